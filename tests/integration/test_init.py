"""`sensorqd init`: a first configuration, by a person at a terminal and by options, and what is left when it is interrupted."""
import os
import re
import signal
import socket
import stat
import subprocess
import uuid
from pathlib import Path

import pytest
from harness import REPO, binary, wait_until
from services.mongodb import MongoDB
from terminal import Terminal

TOPIC = "projects/my-project/topics/sensor-data"
DEVICES = 3  # that the source serves
EMAIL = "sensorqd@my-project.iam.gserviceaccount.com"


class House:
    """A machine before its first configuration, and what stands around it."""

    def __init__(self, directory, queue, remo, mongodb):
        self.directory, self.queue, self.remo, self.mongodb = Path(directory), queue, remo, mongodb
        self.etc = self.directory / "etc"
        self.etc.mkdir(parents=True)
        self.home = self.directory / "home"
        self.home.mkdir()
        self.database = "db" + uuid.uuid4().hex[:12]
        self.key = self.home / "pubsub-credential.json"
        self.key.write_text(Path(queue.section["credentials_file"]).read_text())
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "MONGOC_DISABLE_SHM": "1", **queue.env}
        self.options = ["--endpoint", queue.url, "--ca-file", queue.section["ca_file"], "--state-dir", str(self.directory / "state"),
                        "--set", f"home.url={remo.url}", "--set", f"mongodb.database={self.database}"]

    def command(self, *arguments):
        return [binary(), "-c", str(self.etc / "sensorqd.yaml"), "init", *self.options, *arguments]

    def terminal(self, *arguments, **env):
        return Terminal(self.command(*arguments), {**self.env, **env}, self.home)

    def run(self, *arguments, **env):
        return subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180,
                              env={**self.env, **env}, cwd=self.home)

    def verb(self, *arguments):
        return subprocess.run([binary(), "-c", str(self.etc / "sensorqd.yaml"), *arguments], capture_output=True, text=True, timeout=180, env=self.env)

    def once(self):
        (self.directory / "state").mkdir(exist_ok=True)  # as the unit does
        return self.verb("once").returncode

    def secret_file(self, name, text):
        path = self.home / name
        path.write_text(text)
        return path

    @property
    def written(self):
        return sorted(str(path.relative_to(self.etc)) for path in self.etc.rglob("*") if path.is_file())

    def config(self):
        return (self.etc / "sensorqd.yaml").read_text()

    def count(self, collection="readings"):
        with self.mongodb.client() as client:
            return client[self.database][collection].count_documents({})


@pytest.fixture
def house(tmp_path, own_queue, remo, shared_mongodb):
    own_queue.service.oauth.assertion_once = False
    return House(tmp_path / "machine", own_queue, remo, shared_mongodb)


def modes(directory):
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in directory.iterdir()}


# By a person


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
    assert set(modes(house.etc / "credentials").values()) == {"0o600"} and modes(house.etc) == {"credentials": "0o700", "sensorqd.yaml": "0o644"}
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
        terminal.answer("Address with the user's name [mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500]"[:28], house.mongodb.uri)
        terminal.answer("Password of that user")
        terminal.answer("Collection [readings]")
        terminal.answer("Another place as well?")
        terminal.answer("Number 1-3", "3")
        terminal.answer("Write these files?", "y")
        assert terminal.end() == 0, terminal.shown
    assert house.written == ["credentials/nature-remo.token", "credentials/pubsub-credential.json", "sensorqd.yaml"]
    assert (house.etc / "credentials" / "nature-remo.token").read_text() == house.remo.token


def test_no_key_after_one_that_was_refused(house):
    """"-" at the second try: the login of gcloud is used, and the key of the first try neither named nor written."""
    (house.home / "notes.txt").write_text("no key")
    login = house.home / ".config" / "gcloud" / "application_default_credentials.json"
    login.parent.mkdir(parents=True)
    login.write_text(house.key.read_text())
    with house.terminal("--project", "my-project", "--topic", "sensor-data", "--source", "none", "--sink", "file", "--page", "none") as terminal:
        terminal.answer("Key file of the service account", "~/notes.txt")
        assert "FAIL  credentials" in terminal.answer("Try again (a)", "a")
        terminal.answer("Key file of the service account", "-")
        terminal.answer("How long files are kept")
        terminal.answer("Write these files?")
        terminal.end()
    assert house.written == ["sensorqd.yaml"] and "credentials_file" not in house.config()
    assert "Delete the original" not in terminal.shown


def test_an_entry_that_cannot_be_had_is_left_out(house):
    """A second archive, for which nothing that is asked makes room; a token that is not at hand: the rest is written, without what was typed for them."""
    with house.terminal("--key-file", str(house.key), "--page", "none") as terminal:
        for prompt, answer in (("Project", ""), ("Topic", ""), ("Number 1-", "1"), ("Access token", "wrong"), ("leave it out (l)", "l"), ("Another sensor?", "n"),
                               ("Number 1-", "2"), ("How long", ""), ("Another place", "y"), ("Number 1-", "2"), ("How long", ""), ("leave it out (l)", "l"),
                               ("Another place", "n"), ("Write these files?", "")):
            terminal.answer(prompt, answer)
        assert terminal.end() == 0, terminal.shown
    assert house.written == ["credentials/pubsub-credential.json", "sensorqd.yaml"] and house.config().count("subscription:") == 1
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
        assert f"gcloud pubsub topics add-iam-policy-binding sensor-data --project my-project {member} --role roles/pubsub.publisher" in shown
        house.queue.service.grant = ["pubsub.topics.publish"]
        terminal.answer("Number 1-", "99")
        terminal.type(str(len(terminal.lines(r"^  +[0-9]+  "))) + "\n")  # none
        terminal.answer("Number 1-", "1")
        terminal.answer("Address with the user's name", house.mongodb.uri)
        terminal.answer("Password of that user")
        terminal.answer("Collection [readings]")
        assert "gcloud pubsub subscriptions add-iam-policy-binding sensor-data-mongodb" in terminal.answer("Try again (a)", "q")
        assert terminal.end() == 69 and "Nothing was written." in terminal.shown
    assert house.written == []


def test_an_api_that_is_off_is_said(house):
    error = {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "Cloud Pub/Sub API has not been used in project 1 before or it is disabled.",
                       "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "googleapis.com"}]}}
    house.queue.service.faults.add({"match": "^(GET|POST) /v1/", "times": -1, "action": {"type": "status", "status": 403, "body": error}})
    done = house.run("--yes", "--key-file", str(house.key), "--sink", "file")
    assert done.returncode == 69 and "gcloud services enable pubsub.googleapis.com --project my-project" in done.stdout, done.stdout
    assert house.written == []


@pytest.mark.parametrize("status,reason,words", [(403, "CONSUMER_INVALID", "Google knows no such project"), (403, "BILLING_DISABLED", "enable billing"),
                                                 (401, None, "does not accept the access token")])
def test_what_no_role_would_mend_is_said(house, status, reason, words):
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}] if reason else []
    error = {"error": {"code": status, "status": "PERMISSION_DENIED" if status == 403 else "UNAUTHENTICATED", "message": "No.", "details": details}}
    house.queue.service.faults.add({"match": "^(GET|POST) /v1/", "times": -1, "action": {"type": "status", "status": status, "body": error}})
    done = house.run("--yes", "--key-file", str(house.key), "--source", "home", "--sink", "file")
    assert done.returncode == 69 and re.search(rf"^FAIL  {TOPIC}  .*{words}", done.stdout, re.M) and "add-iam-policy-binding" not in done.stdout, done.stdout


def test_the_subscription_is_not_mended_in_mongodb(house):
    house.queue.service.faults.add({"match": "^GET /v1/.*/subscriptions/", "times": -1, "action": {"type": "status", "status": 500}})
    done = house.run("--yes", "--key-file", str(house.key), "--source", "none", "--sink", "mongodb", "--set", f"mongodb.uri={house.mongodb.uri}")
    assert done.returncode == 69 and "FAIL  projects/my-project/subscriptions/sensor-data-mongodb" in done.stdout and "createUser" not in done.stdout, done.stdout


def test_a_role_on_a_topic_of_another_project(house):
    house.queue.service.faults.add({"match": "^(GET|POST) /v1/", "times": -1, "action": {"type": "status", "status": 403}})
    done = house.run("--yes", "--key-file", str(house.key), "--topic", "projects/other-project/topics/house", "--source", "home", "--sink", "file")
    assert "gcloud projects add-iam-policy-binding other-project " in done.stdout and "add-iam-policy-binding house --project other-project " in done.stdout, done.stdout


def test_it_speaks_japanese(house):
    with house.terminal(LANG="en_US.UTF-8", LC_MESSAGES="ja_JP.UTF-8") as terminal:
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
        assert f"ページ： http://{socket.gethostname()}:8480" in terminal.shown
    assert "# センサーと、測定値を送るトピック" in house.config() and "# ファイル" in house.config()
    assert (house.etc / "credentials" / "page.password").read_text() == "himitsu" and "listen: 0.0.0.0:8480" in house.config()
    assert house.once() == 0
    [archive] = (house.directory / "state" / "archive").glob("*.ndjson")
    assert len(archive.read_text().splitlines()) == DEVICES


@pytest.mark.parametrize("env,japanese", [
    ({"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, False), ({"LC_ALL": "ja_JP.utf8"}, True), ({"LANG": "ja_JP.eucJP"}, False), ({"LC_ALL": "", "LANG": "ja_JP.UTF-8"}, True)])
def test_the_language_is_the_locales(house, env, japanese):
    assert ("試行" in house.run("--yes", "--unchecked", "--dry-run", "--key-file", "-", "--project", "p-1234", "--sink", "file", **env).stdout) == japanese


def test_a_password_in_the_address_gets_a_file(house, tmp_path):
    """A % that encodes nothing is one of the password's letters."""
    with MongoDB(storage=str(tmp_path / "mongodb"), user=("sensorqd", "p@ss:w/rd%4u")) as server:
        with house.terminal("--source", "none", "--key-file", str(house.key)) as terminal:
            terminal.answer("Project")
            terminal.answer("Topic")
            terminal.answer("Number 1-", "1")
            terminal.answer("Address with the user's name", f"mongodb://sensorqd:p%40ss%3Aw%2Frd%4u@127.0.0.1:{server.port}/?authSource=admin")
            terminal.answer("Collection [readings]")
            terminal.answer("Another place as well?")
            terminal.answer("Number 1-3", "1")
            terminal.answer("Write these files?", "n")
            assert terminal.end() == 64, terminal.shown
        assert "logged in as sensorqd of admin" in terminal.shown and house.written == []
        done = house.run("--yes", "--key-file", str(house.key), "--source", "home", "--sink", "mongodb",
                         "--secret", f"nature-remo.token={house.secret_file('t', house.remo.token)}",
                         "--set", f"mongodb.uri=mongodb://sensorqd:p%40ss%3Aw%2Frd%4u@127.0.0.1:{server.port}/?authSource=admin")
        assert done.returncode == 0, done.stdout + done.stderr
    assert (house.etc / "credentials" / "mongodb.password").read_text() == "p@ss:w/rd%4u"
    assert f"uri: mongodb://sensorqd@127.0.0.1:{server.port}/?authSource=admin" in house.config() and "p@ss" not in house.config() + done.stdout


def test_two_meters_have_names_of_their_own(house):
    with house.terminal("--unchecked", "--key-file", str(house.key), "--sink", "file", "--page", "none") as terminal:
        terminal.answer("Project")
        terminal.answer("Topic")
        for device, name, more in (("B0E9FE000001", "Kitchen", "y"), ("B0E9FE000002", "居間", "n")):
            for prompt, answer in (("Number 1-", "2"), ("Device id", device), ("Token", "t"), ("Client secret", "s"), ("Name of the sensor", name), ("Another sensor?", more)):
                terminal.answer(prompt, answer)
        terminal.answer("How long")
        terminal.answer("Write these files?")
        assert terminal.end() == 0, terminal.shown
    assert "names: { B0E9FE000001: Kitchen }" in house.config() and "names: { B0E9FE000002: 居間 }" in house.config()


# By options


def by_options(house, *more):
    token = house.secret_file("token", house.remo.token + "\n")
    return house.run("--yes", "--key-file", str(house.key), "--source", "home", "--sink", "mongodb", "--secret", f"nature-remo.token={token}",
                     "--set", f"mongodb.uri={house.mongodb.uri}", *more)


def test_options_alone_make_the_same(house):
    done = by_options(house)
    assert done.returncode == 0, done.stdout + done.stderr
    assert house.once() == 0 and house.count() == DEVICES


def test_a_machine_that_only_stores(house):
    """What it says will be created is, though its file names no topic; where all is there, its account need not publish."""
    done = house.run("--yes", "--key-file", str(house.key), "--source", "none", "--sink", "file")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "does not exist yet" in done.stdout and f"ok    {TOPIC}  created" in done.stdout and "FAIL" not in done.stdout
    assert "publish:" not in house.config() and house.verb("check").returncode == 0
    (house.etc / "sensorqd.yaml").unlink()
    house.queue.service.grant = ["pubsub.subscriptions.consume"]
    done = house.run("--yes", "--key-file", str(house.key), "--source", "none", "--sink", "file")
    assert done.returncode == 0 and "FAIL" not in done.stdout, done.stdout


def test_a_dry_run_writes_nothing(house):
    done = by_options(house, "--dry-run")
    assert done.returncode == 0 and "Nothing was written." in done.stdout and house.remo.token not in done.stdout
    assert "      token_file: nature-remo.token\n" in done.stdout and house.written == []
    assert "topics/sensor-data" not in house.queue.service.store.stats()


def test_what_is_refused_writes_nothing(house):
    house.remo.token = "another"
    token = house.secret_file("token", "wrong")
    done = house.run("--yes", "--key-file", str(house.key), "--source", "home", "--sink", "file", "--secret", f"nature-remo.token={token}")
    assert done.returncode == 69 and "401" in done.stdout and house.written == []


def test_unchecked_asks_nobody(house):
    house.remo.stop()
    done = by_options(house, "--unchecked")
    assert done.returncode == 0 and "ok    source" not in done.stdout and "sensorqd.yaml" in house.written, done.stdout
    assert house.verb("check", "--offline").returncode == 0


def test_every_recipe_can_be_had(house):
    listed = house.run("--list").stdout
    sources, sinks, secrets = (re.findall(pattern, listed, re.M) for pattern in (r"^--source (\S+)", r"^--sink (\S+)", r"--secret (\S+)=FILE"))
    assert re.findall(r"^--page (\S+)", listed, re.M) == ["local", "network"]
    assert len(sources) >= 12 and sinks == ["mongodb", "file"]
    options = [option for kind, names in (("--source", sources), ("--sink", sinks), ("--page", ["network"])) for name in names for option in (kind, name)]
    options += [option for name in secrets for option in ("--secret", f"{name}={house.secret_file(name, 'x' + name)}")]
    done = house.run("--yes", "--unchecked", "--key-file", str(house.key), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert house.verb("check", "--offline").returncode == 0
    assert set(os.listdir(house.etc / "credentials")) == {*secrets, "pubsub-credential.json"}


def test_a_large_house(house):
    """A meter in each room: an entry each."""
    secrets = [option for name in ("switchbot.token", "switchbot.secret") for option in ("--secret", f"{name}={house.secret_file(name, 'x' + name)}")]
    done = house.run("--yes", "--unchecked", "--key-file", str(house.key), *["--source", "switchbot"] * 40, "--sink", "file", "--page", "local", *secrets)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "- name: switchbot-40\n" in house.config() and house.verb("check", "--offline").returncode == 0


@pytest.mark.parametrize("arguments,word", [
    (["--sorce", "home"], "unrecognized option"), (["--source", "nothing"], "no such recipe"), (["--sink", "home"], "no such recipe"),
    (["--set", "home=1"], "RECIPE.KEY=TEXT"), (["--set", "home.uri=1"], "RECIPE.KEY=TEXT"), (["--secret", "home=1"], "NAME=FILE"), (["superfluous"], "superfluous"),
    (["--key-file", "-"], "--project"), (["--source", "home"], "--secret nature-remo.token"),
    (["--key-file", "/nonexistent"], "No such file"), (["--source", "none", "--sink", "none"], "nothing to do"),
    (["--source", "none", "--sink", "none", "--page", "local"], "nothing to do"),
    (["--sink", "file", "--set", "file.keep=long"], '"long" is not a number'), (["--set", "file.keep=30d"] * 65, "too often"),
    (["--sink", "file", "--page", "local", "--page", "local"], "one page")])
def test_usage(house, arguments, word):
    key = [] if "--key-file" in arguments else ["--key-file", str(house.key)]
    done = house.run("--yes", "--unchecked", *key, *arguments)
    assert done.returncode == 64 and word in done.stdout + done.stderr, done.stdout + done.stderr
    assert house.written == []


def test_a_wrong_answer_that_is_kept(house):
    """It is the person's file now, but nothing is said to be well with it, and nothing is started."""
    with house.terminal("--unchecked", "--enable", "--key-file", str(house.key), "--source", "none", "--page", "none") as terminal:
        for prompt, answer in (("Project", ""), ("Topic", ""), ("Number 1-", "1"), ("Address with the user's name", "mongodb://localhost/"), ("Password", ""),
                               ("Collection [readings]", "a$b"), ("Try again (a)", "k"), ("Another place", ""), ("Write these files?", "")):
            terminal.answer(prompt, answer)
        assert terminal.end() == 78 and "Not all is well" in terminal.shown, terminal.shown
    assert house.verb("check", "--offline").returncode == 78


# What is there already


def test_a_configuration_is_never_written_over(house):
    (house.etc / "sensorqd.yaml").write_text("# mine\n")
    done = by_options(house)
    assert done.returncode == 73 and "is there already" in done.stderr and house.config() == "# mine\n"
    assert house.written == ["sensorqd.yaml"]


@pytest.mark.parametrize("example", ["config/sensorqd.yaml", "tests/fuzz/corpus/yaml/example"])
def test_the_example_of_a_fresh_machine_is_nobodys(house, example):
    """Also of a machine that was upgraded since: the second one is that of 0.1.0."""
    example = (REPO / example).read_text()
    (house.etc / "sensorqd.yaml").write_text(example)
    assert by_options(house).returncode == 0 and "made by" in house.config()
    (house.etc / "sensorqd.yaml").write_text(example + "# mine\n")
    assert by_options(house).returncode == 73 and house.config().endswith("# mine\n")


def test_a_place_that_cannot_be_written(house):
    (house.directory / "file").write_text("")
    done = subprocess.run([binary(), "-c", str(house.directory / "file" / "x.yaml"), "init", "--yes", "--unchecked", "--key-file", str(house.key), "--sink", "file"],
                          capture_output=True, text=True, env=house.env, cwd=house.home)
    assert done.returncode == 73 and "cannot be written" in done.stderr


def test_a_secret_that_is_there_is_used_or_kept_beside(house):
    credentials = house.etc / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "nature-remo.token").write_text(house.remo.token + "\n")
    (credentials / "mongodb.password").write_text("of another\n")
    uri = house.mongodb.uri.replace("://", "://sensorqd@")
    with house.terminal("--set", f"mongodb.uri={uri}", "--key-file", str(house.key)) as terminal:
        terminal.answer("Project")
        terminal.answer("Topic")
        terminal.answer("Number 1-", "1")
        terminal.answer("nature-remo.token is there already. Use it? [Y/n]")
        terminal.answer("Another sensor?")
        terminal.answer("Number 1-", "1")
        terminal.answer("mongodb.password is there already. Use it? [Y/n]", "n")
        terminal.answer("Password of that user", "mine")
        terminal.answer("Collection [readings]")
        terminal.answer("Try again (a)", "k")  # the server knows no such user
        terminal.answer("Another place as well?")
        terminal.answer("Number 1-3", "3")
        terminal.answer("Write these files?")
        terminal.end()
    assert (credentials / "mongodb.password").read_text() == "of another\n" and (credentials / "mongodb-2.password").read_text() == "mine"
    assert "password_file: mongodb-2.password" in house.config() and (credentials / "nature-remo.token").read_text() == house.remo.token + "\n"


@pytest.mark.parametrize("place,config,key", [("etc", "sensorqd.yaml", None), ("home", "../etc/sensorqd.yaml", None), ("home", "{etc}/sensorqd.yaml", "{link}")])
def test_the_key_that_is_in_its_place_stays(house, place, config, key):
    """Found there beside a configuration that is named by a path that begins elsewhere, or named by another way to it: there is no other copy."""
    credentials, link = house.etc / "credentials", house.home / "link"
    credentials.mkdir(mode=0o700)
    house.key.rename(credentials / house.key.name)
    link.symlink_to(credentials)
    options = ["--key-file", key.format(link=link / house.key.name)] if key else []
    done = subprocess.run([binary(), "-c", config.format(etc=house.etc), "init", "--yes", "--unchecked", "--sink", "file", *options],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, env=house.env, cwd=house.directory / place)
    assert done.returncode == 0 and "written" in done.stdout, done.stdout + done.stderr
    assert "Delete" not in done.stdout and house.written == ["credentials/pubsub-credential.json", "sensorqd.yaml"]


# Interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_at_a_question(house, number):
    """Every prompt on the way: nothing is left, and the terminal shows what is typed again."""
    prompts = [("Key file of the service account", ""), ("Project", ""), ("Topic", ""), ("Number 1-", "1"), ("Access token", house.remo.token),
               ("Another sensor?", ""), ("Number 1-", "2"), ("How long files are kept", ""), ("Another place as well?", ""), ("Number 1-3", "1"), ("Write these files?", "")]
    for stop in range(len(prompts)):
        with house.terminal() as terminal:
            for prompt, answer in prompts[:stop]:
                terminal.answer(prompt, answer)
            terminal.expect(prompts[stop][0])
            terminal.expect(": ")
            if prompts[stop][0] == "Access token":
                wait_until(lambda: not terminal.echoes(), "the echo is off")
            os.kill(terminal.pid, number)
            assert terminal.end() == -number
            assert number == signal.SIGKILL or "\n" in terminal.shown
        assert house.written == []


def test_ctrl_c_while_a_secret_is_typed_gives_the_terminal_back(house):
    with house.terminal() as terminal:
        for prompt, answer in (("Key file", ""), ("Project", ""), ("Topic", ""), ("Number 1-", "1")):
            terminal.answer(prompt, answer)
        terminal.expect("Access token")
        wait_until(lambda: not terminal.echoes(), "the echo is off")
        terminal.type("half a tok\x03")
        wait_until(terminal.echoes, "the echo is on again")
        assert terminal.end() == -signal.SIGINT and "half" not in terminal.shown
    assert house.written == []


@pytest.mark.parametrize("answers", [0, 2, 4])
def test_end_of_input(house, answers):
    with house.terminal() as terminal:
        for prompt, answer in [("Key file", ""), ("Project", ""), ("Topic", ""), ("Number 1-", "1")][:answers]:
            terminal.answer(prompt, answer)
        terminal.expect(": ")
        terminal.type("\x04")
        assert terminal.end() == 64 and "Nothing was written." in terminal.shown
    assert house.written == []


def test_killed_while_it_writes(house):
    """Whatever write, link or rename is the last: each file is whole or not there, the configuration comes last, and the next `init` goes on."""
    whole = {"credentials/nature-remo.token": house.remo.token, "credentials/pubsub-credential.json": house.key.read_text()}
    token = house.secret_file("token", house.remo.token)
    seen = set()
    for call in range(1, 12):
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=linkat,fsync,fchmod:signal=SIGKILL:when={call}"]
        subprocess.run([*command, *house.command("--yes", "--unchecked", "--key-file", str(house.key), "--source", "home", "--sink", "file",
                                                 "--secret", f"nature-remo.token={token}")], capture_output=True, env=house.env, cwd=house.home)
        written = house.written
        seen.add(tuple(written))
        assert all((house.etc / name).read_text() == text for name, text in whole.items() if name in written)
        assert "sensorqd.yaml" not in written or set(written) == {*whole, "sensorqd.yaml"}, written
        if "sensorqd.yaml" in written:
            assert house.verb("check", "--offline").returncode == 0
            break
    assert len(seen) >= 3 and set(house.written) == {*whole, "sensorqd.yaml"}, seen
