"""`sensorqd init` by a person at a terminal: each question, what is tried at once, and what is asked again."""

import re
import socket
import stat

import pytest
from first_house import DEVICES, TOPIC, House
from services.mongodb import MongoDB
from services.ports import free_port

EMAIL = "sensorqd@my-project.iam.gserviceaccount.com"


@pytest.fixture
def house(tmp_path, own_queue, remo, shared_mongodb):
    return House(tmp_path / "machine", own_queue, remo, shared_mongodb)


def modes(directory):
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in directory.iterdir()}


def answer_all(terminal, house, key="", page="3"):
    """The shortest way to a working house: Enter wherever that does."""
    terminal.answer("Key file of the service account", key)
    terminal.answer("Project [my-project]")
    terminal.answer("Topic [sensor-data]")
    terminal.answer("Number 1-", "1")
    terminal.answer("Access token", house.remo.token)
    terminal.answer("Another sensor?")
    terminal.answer("Number 1-", "1")
    terminal.answer("Address with the user's name", house.mongodb.uri)
    terminal.answer("Password of that user")
    terminal.answer("Collection [readings]")
    terminal.answer("Another place as well?")
    terminal.answer("Number 1-3", page)


def test_a_person_makes_a_first_configuration(house):
    with house.terminal() as terminal:
        answer_all(terminal, house)
        terminal.answer("Write these files?")
        assert terminal.end() == 0, terminal.shown
        shown = terminal.shown
    assert f"issued for {EMAIL}" in shown and house.remo.token not in shown
    assert re.search(r"ok    source home  .*answers with \d+ devices.*for example", shown), shown
    assert f"new   {TOPIC}  does not exist yet" in shown and f"ok    {TOPIC}  created" in shown
    assert terminal.lines("^FAIL") == []
    assert "Delete the original: rm " + str(house.key) in shown
    assert house.written == ["credentials/nature-remo.token", "credentials/pubsub-credential.json", "sensorqd.yaml"]
    assert set(modes(house.etc / "credentials").values()) == {"0o600"} and modes(house.etc) == {
        "credentials": "0o700",
        "sensorqd.yaml": "0o644",
    }
    assert "password_file" not in house.config() and "# Nature Remo" in house.config()
    assert house.verb("check").returncode == 0
    assert house.once() == 0 and house.count() == DEVICES


def test_each_step_is_tried_at_once_and_asked_again(house, own_queue):
    """A key that is none, a token that is refused, a database that does not answer, each mended on the way."""
    (house.home / "notes.txt").write_text("no key")
    with house.terminal() as terminal:
        terminal.answer("Key file of the service account", str(house.home / "missing.json"))
        terminal.answer("Key file of the service account", "~/notes.txt")
        terminal.answer("Project", "my-project")
        terminal.answer("Topic [sensor-data]")
        assert "FAIL  credentials" in terminal.answer("Try again (a)", "a")
        terminal.answer("Key file of the service account", "~/pubsub-credential.json")
        terminal.answer("Project [my-project]")
        terminal.answer("Topic [sensor-data]", "not allowed/")
        assert "FAIL  config" in terminal.answer("Try again (a)", "a")
        terminal.answer("Key file of the service account", "pubsub-credential.json")
        terminal.answer("Project [my-project]")
        terminal.answer("Topic [not allowed/]", "sensor-data")
        terminal.answer("Number 1-", "99")
        terminal.answer("Number 1-", "1")
        terminal.answer("Access token", "")
        terminal.answer("Access token", "wrong-token")
        assert "401" in terminal.answer("Try again (a)", "x")
        assert "home.nature.global" in terminal.shown
        terminal.answer("Try again (a)", "a")
        terminal.answer("Access token", house.remo.token)
        terminal.answer("Another sensor?", "n")
        terminal.answer("Number 1-", "1")
        terminal.answer("Address with the user's name", "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500")
        terminal.answer("Password of that user")
        terminal.answer("Collection [readings]")
        assert "createUser" in terminal.answer("Try again (a)", "a")
        terminal.answer(
            "Address with the user's name [mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500]"[:28], house.mongodb.uri
        )
        terminal.answer("Password of that user")
        terminal.answer("Collection [readings]")
        terminal.answer("Another place as well?")
        terminal.answer("Number 1-3", "3")
        terminal.answer("Write these files?", "y")
        assert terminal.end() == 0, terminal.shown
    assert house.written == ["credentials/nature-remo.token", "credentials/pubsub-credential.json", "sensorqd.yaml"]
    assert (house.etc / "credentials" / "nature-remo.token").read_text() == house.remo.token


def test_no_key_after_one_that_was_refused(house):
    """ "-" at the second try: the login of gcloud is used, and the key of the first try neither named nor written."""
    (house.home / "notes.txt").write_text("no key")
    login = house.home / ".config" / "gcloud" / "application_default_credentials.json"
    login.parent.mkdir(parents=True)
    login.write_text(house.key.read_text())
    with house.terminal(
        "--project", "my-project", "--topic", "sensor-data", "--source", "none", "--sink", "file", "--page", "none"
    ) as terminal:
        terminal.answer("Key file of the service account", "~/notes.txt")
        assert "FAIL  credentials" in terminal.answer("Try again (a)", "a")
        terminal.answer("Key file of the service account", "-")
        terminal.answer("How long files are kept")
        terminal.answer("Write these files?")
        terminal.end()
    assert house.written == ["sensorqd.yaml"] and "credentials_file" not in house.config()
    assert "Delete the original" not in terminal.shown


def test_an_entry_that_cannot_be_had_is_left_out(house):
    """A second archive, for which nothing that is asked makes room; a token that is not at hand: the rest is written,
    without what was typed for them."""
    with house.terminal("--key-file", str(house.key), "--page", "none") as terminal:
        for prompt, answer in (
            ("Project", ""),
            ("Topic", ""),
            ("Number 1-", "1"),
            ("Access token", "wrong"),
            ("leave it out (l)", "l"),
            ("Another sensor?", "n"),
            ("Number 1-", "2"),
            ("How long", ""),
            ("Another place", "y"),
            ("Number 1-", "2"),
            ("How long", ""),
            ("leave it out (l)", "l"),
            ("Another place", "n"),
            ("Write these files?", ""),
        ):
            terminal.answer(prompt, answer)
        assert terminal.end() == 0, terminal.shown
    assert (
        house.written == ["credentials/pubsub-credential.json", "sensorqd.yaml"]
        and house.config().count("subscription:") == 1
    )
    assert house.verb("check").returncode == 0


def test_a_missing_role_is_named_with_the_line_that_grants_it(house):
    house.queue.create()
    house.queue.service.grant = ["pubsub.subscriptions.consume"]
    with house.terminal() as terminal:
        terminal.answer("Key file of the service account")
        terminal.answer("Project")
        terminal.answer("Topic")
        shown = terminal.answer("Try again (a)", "k")
        assert f"FAIL  {EMAIL}  may not use {TOPIC}." in shown
        member = f"--member serviceAccount:{EMAIL}"
        assert f"gcloud projects add-iam-policy-binding my-project {member} --role roles/pubsub.editor" in shown
        assert (
            f"gcloud pubsub topics add-iam-policy-binding sensor-data --project my-project {member} --role roles/pubsub.publisher"
            in shown
        )
        house.queue.service.grant = ["pubsub.topics.publish"]
        terminal.answer("Number 1-", "99")
        terminal.type(str(len(terminal.lines(r"^  +[0-9]+  "))) + "\n")  # none
        terminal.answer("Number 1-", "1")
        terminal.answer("Address with the user's name", house.mongodb.uri)
        terminal.answer("Password of that user")
        terminal.answer("Collection [readings]")
        assert "gcloud pubsub subscriptions add-iam-policy-binding sensor-data-mongodb" in terminal.answer(
            "Try again (a)", "q"
        )
        assert terminal.end() == 69 and "Nothing was written." in terminal.shown
    assert house.written == []


def test_an_api_that_is_off_is_said(house):
    error = {
        "error": {
            "code": 403,
            "status": "PERMISSION_DENIED",
            "message": "Cloud Pub/Sub API has not been used in project 1 before or it is disabled.",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "SERVICE_DISABLED",
                    "domain": "googleapis.com",
                }
            ],
        }
    }
    house.queue.service.faults.add(
        {"match": "^(GET|POST) /v1/", "times": -1, "action": {"type": "status", "status": 403, "body": error}}
    )
    done = house.run("--yes", "--key-file", str(house.key), "--sink", "file")
    assert (
        done.returncode == 69 and "gcloud services enable pubsub.googleapis.com --project my-project" in done.stdout
    ), done.stdout
    assert house.written == []


@pytest.mark.parametrize(
    "status,reason,words",
    [
        (403, "CONSUMER_INVALID", "Google knows no such project"),
        (403, "BILLING_DISABLED", "enable billing"),
        (401, None, "does not accept the access token"),
    ],
)
def test_what_no_role_would_mend_is_said(house, status, reason, words):
    details = (
        [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}]
        if reason
        else []
    )
    error = {
        "error": {
            "code": status,
            "status": "PERMISSION_DENIED" if status == 403 else "UNAUTHENTICATED",
            "message": "No.",
            "details": details,
        }
    }
    house.queue.service.faults.add(
        {"match": "^(GET|POST) /v1/", "times": -1, "action": {"type": "status", "status": status, "body": error}}
    )
    done = house.run("--yes", "--key-file", str(house.key), "--source", "home", "--sink", "file")
    assert (
        done.returncode == 69
        and re.search(rf"^FAIL  {TOPIC}  .*{words}", done.stdout, re.M)
        and "add-iam-policy-binding" not in done.stdout
    ), done.stdout


def test_the_subscription_is_not_mended_in_mongodb(house):
    house.queue.service.faults.add(
        {"match": "^GET /v1/.*/subscriptions/", "times": -1, "action": {"type": "status", "status": 500}}
    )
    done = house.run(
        "--yes",
        "--key-file",
        str(house.key),
        "--source",
        "none",
        "--sink",
        "mongodb",
        "--set",
        f"mongodb.uri={house.mongodb.uri}",
    )
    assert (
        done.returncode == 69
        and "FAIL  projects/my-project/subscriptions/sensor-data-mongodb" in done.stdout
        and "createUser" not in done.stdout
    ), done.stdout


def test_a_role_on_a_topic_of_another_project(house):
    house.queue.service.faults.add(
        {"match": "^(GET|POST) /v1/", "times": -1, "action": {"type": "status", "status": 403}}
    )
    done = house.run(
        "--yes",
        "--key-file",
        str(house.key),
        "--topic",
        "projects/other-project/topics/house",
        "--source",
        "home",
        "--sink",
        "file",
    )
    assert (
        "gcloud projects add-iam-policy-binding other-project " in done.stdout
        and "add-iam-policy-binding house --project other-project " in done.stdout
    ), done.stdout


def test_it_speaks_japanese(house):
    port = free_port()
    with house.terminal(
        "--set", f"network.listen=0.0.0.0:{port}", LANG="en_US.UTF-8", LC_MESSAGES="ja_JP.UTF-8"
    ) as terminal:
        terminal.answer("サービスアカウントの鍵ファイル")
        terminal.answer("プロジェクト [my-project]")
        terminal.answer("トピック [sensor-data]")
        terminal.answer("番号 1-", "1")
        terminal.answer("アクセストークン", house.remo.token)
        terminal.answer("ほかのセンサーも追加しますか")
        terminal.answer("番号 1-", "2")
        terminal.answer("ファイルを残す期間 [400d]", "")
        terminal.answer("ほかの保存先も追加しますか")
        terminal.answer("番号 1-3", "2")
        terminal.answer("ページのパスワード", "himitsu")
        terminal.answer("以上のファイルを書き込みますか")
        assert terminal.end() == 0, terminal.shown
        assert f"ページ： http://{socket.gethostname()}:{port}" in terminal.shown
    assert "# センサーと、測定値を送るトピック" in house.config() and "# ファイル" in house.config()
    assert (
        house.etc / "credentials" / "page.password"
    ).read_text() == "himitsu" and f"listen: 0.0.0.0:{port}" in house.config()
    assert house.once() == 0
    [archive] = (house.directory / "state" / "archive").glob("*.ndjson")
    assert len(archive.read_text().splitlines()) == DEVICES


@pytest.mark.parametrize(
    "env,japanese",
    [
        ({"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, False),
        ({"LC_ALL": "ja_JP.utf8"}, True),
        ({"LANG": "ja_JP.eucJP"}, False),
        ({"LC_ALL": "", "LANG": "ja_JP.UTF-8"}, True),
    ],
)
def test_the_language_is_the_locales(house, env, japanese):
    assert (
        "試行"
        in house.run(
            "--yes", "--unchecked", "--dry-run", "--key-file", "-", "--project", "p-1234", "--sink", "file", **env
        ).stdout
    ) == japanese


def test_a_password_in_the_address_gets_a_file(house, tmp_path):
    """A % that encodes nothing is one of the password's letters."""
    with MongoDB(storage=str(tmp_path / "mongodb"), user=("sensorqd", "p@ss:w/rd%4u")) as server:
        with house.terminal("--source", "none", "--key-file", str(house.key)) as terminal:
            terminal.answer("Project")
            terminal.answer("Topic")
            terminal.answer("Number 1-", "1")
            terminal.answer(
                "Address with the user's name",
                f"mongodb://sensorqd:p%40ss%3Aw%2Frd%4u@127.0.0.1:{server.port}/?authSource=admin",
            )
            terminal.answer("Collection [readings]")
            terminal.answer("Another place as well?")
            terminal.answer("Number 1-3", "1")
            terminal.answer("Write these files?", "n")
            assert terminal.end() == 64, terminal.shown
        assert "logged in as sensorqd of admin" in terminal.shown and house.written == []
        done = house.run(
            "--yes",
            "--key-file",
            str(house.key),
            "--source",
            "home",
            "--sink",
            "mongodb",
            "--secret",
            f"nature-remo.token={house.secret_file('t', house.remo.token)}",
            "--set",
            f"mongodb.uri=mongodb://sensorqd:p%40ss%3Aw%2Frd%4u@127.0.0.1:{server.port}/?authSource=admin",
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (house.etc / "credentials" / "mongodb.password").read_text() == "p@ss:w/rd%4u"
    assert (
        f"uri: mongodb://sensorqd@127.0.0.1:{server.port}/?authSource=admin" in house.config()
        and "p@ss" not in house.config() + done.stdout
    )


def test_two_meters_have_names_of_their_own(house):
    with house.terminal("--unchecked", "--key-file", str(house.key), "--sink", "file", "--page", "none") as terminal:
        terminal.answer("Project")
        terminal.answer("Topic")
        for device, name, more in (("B0E9FE000001", "Kitchen", "y"), ("B0E9FE000002", "居間", "n")):
            for prompt, answer in (
                ("Number 1-", "2"),
                ("Device id", device),
                ("Token", "t"),
                ("Client secret", "s"),
                ("Name of the sensor", name),
                ("Another sensor?", more),
            ):
                terminal.answer(prompt, answer)
        terminal.answer("How long")
        terminal.answer("Write these files?")
        assert terminal.end() == 0, terminal.shown
    assert "names: { B0E9FE000001: Kitchen }" in house.config() and "names: { B0E9FE000002: 居間 }" in house.config()
