"""`check` and `setup` as a user meets them: what they print, what they create, how they end."""

import email.utils
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import EVENTS, GOOD
from services.mongodb import MongoDB

TOPIC = "projects/my-project/topics/sensor-data"
SUBSCRIPTION = "projects/my-project/subscriptions/sensor-data-mongodb"


@pytest.fixture
def made(bare):
    bare.queue.create(**GOOD)
    return bare


def lines(done):
    """What a verb printed: {name: [(word, text)]}."""
    found = {}
    for line in done.stdout.splitlines():
        word, name, text = re.fullmatch(r"(ok|warn|FAIL) +((?:mongodb |source )?\S+)  (.*)", line).groups()
        found.setdefault(name, []).append((word, text))
    return found


def check(stack, code=69):
    done = stack.daemon.run("check")
    assert done.returncode == code, done.stdout + done.stderr
    return lines(done)


def fails(found, name, *words):
    """That line failed, no other did, and it says what to do."""
    failed = [key for key, entries in found.items() if any(word == "FAIL" for word, _ in entries)]
    assert failed == [name], found
    text = " ".join(text for word, text in found[name] if word == "FAIL")
    for word in words:
        assert word in text, text


# check


def test_check_says_that_all_is_well(made):
    found = check(made, 0)
    sink = (
        f"mongodb {made.database}.readings"  # which is warned of where the server is not known to keep what it confirms
    )
    assert {word for name, entries in found.items() for word, _ in entries if name != sink} == {"ok"}, found
    assert found[sink][0][0] == "ok" and "MiB free" in found[str(made.daemon.state)][0][1]
    assert {
        "config",
        str(made.daemon.state),
        "source home",
        made.queue.url,
        "clock",
        "token",
        TOPIC,
        SUBSCRIPTION,
        sink,
    } == set(found)
    assert made.count() == 0 and made.queue.is_empty()  # nothing was published, nothing stored


def test_check_runs_programs(made):
    """Only when it is told so; as who, is tried in tests/system."""
    made.daemon.config["publish"]["sources"].append(
        {"name": "run", "type": "exec", "interval": "10s", "command": ["sh", "-c", "echo 21.5"]}
    )
    made.daemon.write_config()
    assert "sh is there; --run-programs runs it once" in made.daemon.run("check").stdout
    assert re.search(
        r'^ok +source run .*for example \{"value":21\.5', made.daemon.run("check", "--run-programs").stdout, re.M
    )


def test_check_wrong_source_token(made):
    made.remo.token = "another"
    fails(check(made), "source home", "401", "home.nature.global", "nature-remo.token")


def test_check_account_without_a_device(made):
    """It answers well, and that was surely not meant."""
    made.remo.devices = []
    word, text = check(made, 0)["source home"][0]
    assert word == "warn" and "the account has no device" in text


def test_check_source_cannot_be_reached(made):
    url = made.remo.url
    made.remo.stop()
    fails(check(made), "source home", url, "check the network")


def test_check_refused_key(made):
    made.queue.service.oauth.forget_keys()
    fails(check(made), "token", "pubsub-credential.json")


def test_check_names_every_missing_secret_at_once(made):
    """One look is enough to see all that is left to do."""
    made.daemon.config["pubsub"]["credentials_file"] = "gone.json"
    made.daemon.config["publish"]["sources"][0]["token_file"] = "gone.token"
    made.daemon.write_config()
    found = check(made, 77)
    for name, file in {"credentials": "gone.json", "source home": "gone.token"}.items():
        assert (
            found[name][0][0] == "FAIL"
            and file in found[name][0][1]
            and f"{made.daemon.directory}/credentials" in found[name][0][1]
        ), found
    assert found[made.queue.url][0][0] == "ok" and found[f"mongodb {made.database}.readings"][0][0] == "ok"
    done = made.daemon.run("setup")
    assert done.returncode == 77 and lines(done)[f"mongodb {made.database}.readings"][0][0] == "ok"


def test_check_no_topic(bare):
    bare.queue.create(**GOOD)
    bare.queue.call("DELETE", "topics/sensor-data")
    found = check(bare)
    assert "sensorqd setup" in found[TOPIC][0][1]
    assert found[SUBSCRIPTION][0][0] == "FAIL"
    assert any(
        "its topic was deleted" in text and "setup" in text for word, text in found[SUBSCRIPTION] if word == "warn"
    )


def test_check_no_project(made):
    """`setup` could make nothing there."""
    words = "Requested project not found or user does not have access to it (project=my-project)."
    error = {"error": {"code": 404, "message": words, "status": "NOT_FOUND"}}
    made.queue.service.faults.add(
        {"match": "^(GET|POST) /v1/", "times": -1, "action": {"type": "status", "status": 404, "body": error}}
    )
    found = check(made)
    for name in (TOPIC, SUBSCRIPTION):
        assert "check `pubsub.project`" in found[name][0][1] and "setup" not in found[name][0][1], found[name]


def test_check_deleted_and_recreated_topic(made):
    """A subscription of a deleted topic stays dead when a topic of that name comes back."""
    made.queue.call("DELETE", "topics/sensor-data")
    made.queue.call("PUT", "topics/sensor-data", {})
    found = check(made)
    assert found[TOPIC][0][0] == "ok"
    assert [word for word, _ in found[SUBSCRIPTION]] == ["FAIL", "warn"]


def test_check_warns_of_a_topic_that_transforms(made):
    made.queue.call("DELETE", "topics/sensor-data")
    made.queue.call("DELETE", "subscriptions/sensor-data-mongodb")
    made.queue.call(
        "PUT",
        "topics/sensor-data",
        {"messageTransforms": [{"javascriptUdf": {"functionName": "f", "code": "function f(m) { return null; }"}}]},
    )
    made.queue.subscribe("sensor-data", "sensor-data-mongodb", **GOOD)
    assert any(word == "warn" and "message transform" in text for word, text in check(made, 0)[TOPIC])


def test_check_no_subscription(bare):
    bare.queue.create(subscription=None)
    fails(check(bare), SUBSCRIPTION, "sensorqd setup", "lost")


@pytest.mark.parametrize(
    "settings,word,remedy",
    [
        ({"filter": 'attributes.type="nature_remo"'}, "ok", "filter"),
        ({"expirationPolicy": {"ttl": "86400s"}}, "ok", "expirationPolicy {}"),
        ({"messageRetentionDuration": "600s"}, "ok", "--message-retention-duration=7d"),
        ({"pushConfig": {"pushEndpoint": "https://example.org/push"}}, "FAIL", "pushConfig"),
        ({"detached": True}, "FAIL", "sensorqd setup"),
        ({"bigqueryConfig": {"table": "p.d.t"}}, "FAIL", "another subscription"),
        ({"messageTransforms": [{"javascriptUdf": {"functionName": "f"}}]}, "ok", "message transform"),
        ({"enableExactlyOnceDelivery": True}, "ok", None),  # its endpoint is not Google's global one here
        ({"topic": "projects/my-project/topics/other"}, "warn", "publish.topic"),  # and the topic has none then: FAIL
    ],
)
def test_check_warns_of_settings(made, settings, word, remedy):
    real = made.queue.call("GET", "subscriptions/sensor-data-mongodb")
    made.queue.service.faults.add(
        {"match": "^GET .*subscriptions/", "action": {"type": "status", "status": 200, "body": {**real, **settings}}}
    )
    found = check(made, 0 if word == "ok" else 69)
    assert found[SUBSCRIPTION][0][0] == word
    if remedy:
        assert any(entry == "warn" and remedy in text for entry, text in found[SUBSCRIPTION]), found
    assert any(entry == "FAIL" and "no subscription of this configuration" in text for entry, text in found[TOPIC]) == (
        word == "warn"
    )


@pytest.mark.parametrize(
    "granted,name,role",
    [
        (["pubsub.subscriptions.consume"], TOPIC, "roles/pubsub.publisher"),
        (["pubsub.topics.publish"], SUBSCRIPTION, "roles/pubsub.subscriber"),
    ],
)
def test_check_missing_permission(made, granted, name, role):
    made.queue.service.grant = granted
    fails(check(made), name, role)


def test_check_with_the_least_permissions_is_content(made):
    """The two roles of the manual read no settings: that is no failure."""
    made.queue.service.faults.add({"match": "^GET /v1/", "times": -1, "action": {"type": "status", "status": 403}})
    found = check(made, 0)
    assert "roles/pubsub.viewer" in found[SUBSCRIPTION][0][1]


def test_check_mongodb_cannot_be_reached(make_stack, own_queue, shared_mongodb, remo):
    own_queue.create(**GOOD)
    stack = make_stack(
        own_queue, shared_mongodb, remo, interval_msec=0, uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=1000"
    )
    fails(check(stack), f"mongodb {stack.database}.readings", "check that it runs")


def test_check_mongodb_login(make_stack, own_queue, remo, tmp_path):
    own_queue.create(**GOOD)
    with MongoDB(storage=str(tmp_path / "mongodb"), user=("sensorqd", "right")) as server:
        uri = f"mongodb://sensorqd@127.0.0.1:{server.port}/?authSource=admin"
        stack = make_stack(own_queue, server, remo, interval_msec=0, uri=uri, password_file="mongodb.password")
        password = stack.daemon.directory / "credentials" / "mongodb.password"
        password.write_text("right\n")
        found = check(stack, 0)
        assert "may insert" in found[f"mongodb {stack.database}.readings"][0][1]
        password.write_text("wrong\n")
        fails(check(stack), f"mongodb {stack.database}.readings", "password file")


def test_check_collection_that_takes_no_such_write(make_feed, wire_mongo):
    """The command is carried out, but its only write is refused, as a time-series collection does: that is not well."""
    feed = make_feed(wire_mongo)
    [entry] = [
        line
        for line in feed.daemon.run("check").stdout.splitlines()
        if "  mongodb " in line and not line.startswith("warn ")
    ]
    assert entry.startswith("ok "), entry
    wire_mongo.script.add(
        {
            "match": "^update ",
            "action": {
                "type": "reply",
                "extra": {
                    "writeErrors": [{"index": 0, "code": 72, "errmsg": "Cannot update a time-series collection"}]
                },
            },
        }
    )
    [entry] = [line for line in feed.daemon.run("check").stdout.splitlines() if "  mongodb " in line]
    assert entry.startswith("FAIL ") and "Cannot update a time-series collection (code 72)" in entry, entry


@pytest.mark.parametrize("skew,word", [(7200, "behind"), (-7200, "ahead")])
def test_check_clock(made, skew, word):
    date = email.utils.formatdate(time.time() + skew, usegmt=True)
    made.queue.service.faults.add(
        {"match": "^GET /$", "action": {"type": "status", "status": 404, "headers": {"Date": date}}}
    )
    fails(check(made), "clock", word, "systemd-timesyncd")


def test_check_offline_opens_no_secret(sensorqd):
    """ExecReload cannot read credentials, and the far ends are no matter of the file."""
    daemon = sensorqd(
        {
            "pubsub": {"project": "my-project", "credentials_file": "/nowhere/key.json"},
            "publish": {
                "topic": "sensor-data",
                "sources": [{"name": "home", "type": "nature_remo", "interval": "60s", "token_file": "/nowhere/token"}],
            },
            "subscribe": [
                {
                    "subscription": "sub",
                    "mongodb": {
                        "uri": "mongodb://u@127.0.0.1:9/",
                        "password_file": "/nowhere/password",
                        "database": "d",
                        "collection": "c",
                    },
                }
            ],
        }
    )
    done = daemon.run("check", "--offline")
    assert (done.returncode, done.stdout) == (0, f"ok    config  {daemon.config_file}\n")
    daemon.write_config('{"pubsub": {}}')
    done = daemon.run("check", "--offline")
    assert done.returncode == 78
    assert re.fullmatch(
        re.escape(f"FAIL  config  {daemon.config_file}") + r":1:\d+: pubsub\.project: .*\n", done.stdout
    ), done.stdout
    # the first step of `systemctl reload`, which alone knows $MAINPID
    done = daemon.run("check", "--offline", MAINPID="1")
    assert done.returncode == 78 and EVENTS["RELOAD_REFUSED"] in done.stderr and "stays in use" in done.stderr
    assert EVENTS["CONFIG_REJECTED"] not in done.stderr


def test_check_of_directories_of_files(sensorqd, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "there").mkdir()
    places = {"file": "is not a directory", "missing/archive": "create the missing directory", "there": "MiB free"}
    daemon = sensorqd(
        {
            "pubsub": {"project": "my-project"},
            "subscribe": [
                {"subscription": f"sub-{n}", "file": {"directory": str(tmp_path / place)}}
                for n, place in enumerate(places)
            ],
        },
        env={"PUBSUB_EMULATOR_HOST": "127.0.0.1:9"},
    )
    said = daemon.run("check").stdout
    for place, words in places.items():
        mark = "ok  " if place == "there" else "FAIL"
        assert re.search(rf"^{mark} +file +{re.escape(str(tmp_path / place))}  .*{words}", said, re.M), said
    daemon.config["subscribe"][0]["file"]["directory"] = "archive/../../file"
    daemon.write_config()
    done = daemon.run("check")
    assert done.returncode == 78 and 'file.directory: has a part ".."' in done.stdout


def test_check_of_a_webhook_whose_url_is_a_secret(sensorqd):
    daemon = sensorqd(
        {"pubsub": {"project": "my-project"}, "subscribe": [{"subscription": "sub", "webhook": {"url_file": "hook"}}]},
        {"hook": "https://127.0.0.2:9/very-secret"},
        env={"PUBSUB_EMULATOR_HOST": "127.0.0.1:9"},
    )
    said = daemon.run("check").stdout
    assert re.search(r"^FAIL +webhook hook  .*connection refused", said, re.M) and "very-secret" not in said
    said = daemon.run("check", https_proxy="http://127.0.0.1:9").stdout
    assert re.search(r"^ok +webhook hook  is reached through the proxy of the environment", said, re.M), said
    (daemon.directory / "credentials" / "hook").write_text("http://metadata.google.internal/very-secret")
    said = daemon.run("check").stdout
    assert re.search(r"^FAIL +webhook hook  .*the URL of the metadata server", said, re.M) and "very-secret" not in said


# setup


def test_setup_creates_what_is_missing_and_then_changes_nothing(bare):
    first = bare.daemon.run("setup")
    assert first.returncode == 0, first.stdout
    assert "created" in lines(first)[TOPIC][0][1] and "created" in lines(first)[SUBSCRIPTION][0][1]
    assert "4 created" in lines(first)[f"mongodb {bare.database}.readings"][0][1]
    settings = bare.queue.call("GET", "subscriptions/sensor-data-mongodb")
    assert settings["ackDeadlineSeconds"] == 60 and settings["messageRetentionDuration"] in ("604800s", "2678400s")
    assert not settings.get("expirationPolicy", {}).get("ttl")
    second = bare.daemon.run("setup")
    assert second.returncode == 0
    assert "exists" in lines(second)[TOPIC][0][1] and "exists" in lines(second)[SUBSCRIPTION][0][1]
    assert "0 created" in lines(second)[f"mongodb {bare.database}.readings"][0][1]
    assert {word for entries in lines(second).values() for word, _ in entries} == {"ok"}
    assert bare.queue.call("GET", "subscriptions/sensor-data-mongodb") == settings
    assert check(bare, 0)


def test_setup_says_what_differs_and_leaves_it(bare):
    bare.queue.create(ackDeadlineSeconds=10, messageRetentionDuration="600s", expirationPolicy={"ttl": "86400s"})
    before = bare.queue.call("GET", "subscriptions/sensor-data-mongodb")
    done = bare.daemon.run("setup")
    assert done.returncode == 0, done.stdout
    warnings = [text for word, text in lines(done)[SUBSCRIPTION] if word == "warn"]
    for word in ("expirationPolicy", "--message-retention-duration=7d", "ack deadline is only 10 s"):
        assert any(word in text and "left as it is" in text for text in warnings), warnings
    assert bare.queue.call("GET", "subscriptions/sensor-data-mongodb") == before


def test_setup_tells_what_it_could_not_do(bare):
    bare.queue.service.faults.add({"match": "^PUT ", "times": -1, "action": {"type": "status", "status": 403}})
    done = bare.daemon.run("setup")
    assert done.returncode == 69
    assert all(
        lines(done)[name][0][0] == "FAIL" and "no pubsub.editor role on the project" in lines(done)[name][0][1]
        for name in (TOPIC, SUBSCRIPTION)
    )


@pytest.mark.parametrize("refused", ["^PUT ", "^(PUT|GET) "])
def test_setup_with_the_least_privilege(bare, refused):
    """Pub/Sub refuses to create what is there, too, where the account may not create (docs/OPERATIONS.md); without
    viewer it may not look either."""
    bare.queue.create(**GOOD)
    bare.queue.service.faults.add({"match": refused, "times": -1, "action": {"type": "status", "status": 403}})
    done = bare.daemon.run("setup")
    assert (
        done.returncode == 0 and "exists" in lines(done)[TOPIC][0][1] and "exists" in lines(done)[SUBSCRIPTION][0][1]
    ), done.stdout


def test_setup_without_a_topic_creates_no_subscription(bare):
    """It does not know where, and says so; what is there it tells about."""
    del bare.daemon.config["publish"]
    bare.daemon.write_config()
    done = bare.daemon.run("setup")
    assert done.returncode == 69, done.stdout
    fails(lines(done), SUBSCRIPTION, "does not exist", "publish.topic")
    bare.queue.create(**GOOD)
    done = bare.daemon.run("setup")
    assert done.returncode == 0 and "exists, on " + TOPIC in lines(done)[SUBSCRIPTION][0][1], done.stdout
    bare.queue.service.faults.add({"match": "^GET ", "times": 1, "action": {"type": "status", "status": 403}})
    done = bare.daemon.run("setup")
    assert done.returncode == 0 and lines(done)[SUBSCRIPTION][0][0] == "warn", done.stdout
    bare.queue.service.faults.add({"match": "^GET ", "times": -1, "action": {"type": "status", "status": 503}})
    assert bare.daemon.run("setup").returncode == 69
    bare.queue.service.faults.clear()
    bare.queue.service.oauth.forget_keys()
    assert bare.daemon.run("setup").returncode == 69


@pytest.mark.slow
def test_silent_remote_ends_end_soon(sensorqd):
    """`check` and `setup` where everything takes connections and says nothing: the times of the manual, and 30 s for
    the machine that runs this. Pub/Sub is asked once (30 s), the source by `check` alone (30 s), and each MongoDB (10
    s)."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        daemon = sensorqd(
            {
                "pubsub": {"project": "my-project"},
                "publish": {
                    "topic": "sensor-data",
                    "sources": [
                        {
                            "name": "home",
                            "type": "nature_remo",
                            "token_file": "nature-remo.token",
                            "url": f"http://127.0.0.1:{port}",
                        }
                    ],
                },
                "subscribe": [
                    {
                        "subscription": name,
                        "mongodb": {"uri": f"mongodb://127.0.0.1:{port}/", "database": name, "collection": "c"},
                    }
                    for name in ("one-of-two", "two-of-two")
                ],
            },
            {"nature-remo.token": "t"},
            env={"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}"},
        )

        def timed(verb):
            began = time.monotonic()
            return daemon.run(verb, timeout=240), time.monotonic() - began

        with ThreadPoolExecutor() as pool:
            results = dict(zip(("check", "setup"), pool.map(timed, ("check", "setup"))))
    for verb, first, limit in (("check", "source home", 30 + 30 + 20), ("setup", TOPIC, 30 + 20)):
        done, seconds = results[verb]
        assert done.returncode == 69 and seconds < limit + 30, (verb, seconds, done.stdout)
        failed = [name for name, entries in lines(done).items() if entries[0][0] == "FAIL"]
        assert failed[0] == first and failed[-2:] == ["mongodb one-of-two.c", "mongodb two-of-two.c"], done.stdout
        assert not any("subscriptions/" in name for name in failed), done.stdout
