"""Each verb as a user meets it: what it prints, what it changes, how it ends."""
import base64
import email.utils
import json
import re
import signal
import socket
import subprocess
import time
import uuid
from datetime import datetime, timedelta, timezone
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import EVENTS, binary, wait_until
from services.mongodb import MongoDB

TOPIC = "projects/my-project/topics/sensor-data"
SUBSCRIPTION = "projects/my-project/subscriptions/sensor-data-mongodb"
GOOD = {"ackDeadlineSeconds": 60, "messageRetentionDuration": "604800s"}


@pytest.fixture
def stack(make_stack, own_queue, shared_mongodb, remo):
    """The service over TLS with OAuth; nothing created yet; one poll for each start."""
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=0)
    stack.daemon.config["publish"]["sources"][0]["interval"] = "24h"
    stack.daemon.write_config()
    return stack


@pytest.fixture
def made(stack):
    stack.queue.create(**GOOD)
    return stack


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
    sink = f"mongodb {made.database}.readings"  # which is warned of where the server is not known to keep what it confirms
    assert {word for name, entries in found.items() for word, _ in entries if name != sink} == {"ok"}, found
    assert found[sink][0][0] == "ok" and "MiB free" in found[str(made.daemon.state)][0][1]
    assert {"config", str(made.daemon.state), "source home", made.queue.url, "clock", "token", TOPIC, SUBSCRIPTION, sink} == set(found)
    assert made.count() == 0 and made.queue.is_empty()  # nothing was published, nothing stored


def test_check_runs_programs(made):
    """Only when it is told so; as who, is tried in tests/system."""
    made.daemon.config["publish"]["sources"].append({"name": "run", "type": "exec", "interval": "10s", "command": ["sh", "-c", "echo 21.5"]})
    made.daemon.write_config()
    assert "sh is there; --run-programs runs it once" in made.daemon.run("check").stdout
    assert re.search(r'^ok +source run .*for example \{"value":21\.5', made.daemon.run("check", "--run-programs").stdout, re.M)


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
        assert found[name][0][0] == "FAIL" and file in found[name][0][1] and f"{made.daemon.directory}/credentials" in found[name][0][1], found
    assert found[made.queue.url][0][0] == "ok" and found[f"mongodb {made.database}.readings"][0][0] == "ok"
    done = made.daemon.run("setup")
    assert done.returncode == 77 and lines(done)[f"mongodb {made.database}.readings"][0][0] == "ok"


def test_check_no_topic(stack):
    stack.queue.create(**GOOD)
    stack.queue.call("DELETE", "topics/sensor-data")
    found = check(stack)
    assert "sensorqd setup" in found[TOPIC][0][1]
    assert found[SUBSCRIPTION][0][0] == "FAIL"
    assert any("its topic was deleted" in text and "setup" in text for word, text in found[SUBSCRIPTION] if word == "warn")


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
    made.queue.call("PUT", "topics/sensor-data", {"messageTransforms": [{"javascriptUdf": {"functionName": "f", "code": "function f(m) { return null; }"}}]})
    made.queue.subscribe("sensor-data", "sensor-data-mongodb", **GOOD)
    assert any(word == "warn" and "message transform" in text for word, text in check(made, 0)[TOPIC])


def test_check_no_subscription(stack):
    stack.queue.create(subscription=None)
    fails(check(stack), SUBSCRIPTION, "sensorqd setup", "lost")


@pytest.mark.parametrize("settings,word,remedy", [
    ({"filter": 'attributes.type="nature_remo"'}, "ok", "filter"),
    ({"expirationPolicy": {"ttl": "86400s"}}, "ok", "expirationPolicy {}"),
    ({"messageRetentionDuration": "600s"}, "ok", "--message-retention-duration=7d"),
    ({"pushConfig": {"pushEndpoint": "https://example.org/push"}}, "FAIL", "pushConfig"),
    ({"detached": True}, "FAIL", "sensorqd setup"),
    ({"bigqueryConfig": {"table": "p.d.t"}}, "FAIL", "another subscription"),
    ({"messageTransforms": [{"javascriptUdf": {"functionName": "f"}}]}, "ok", "message transform"),
    ({"enableExactlyOnceDelivery": True}, "ok", None),  # its endpoint is not Google's global one here
    ({"topic": "projects/my-project/topics/other"}, "warn", "publish.topic"),  # and the topic has none then: FAIL
])
def test_check_warns_of_settings(made, settings, word, remedy):
    real = made.queue.call("GET", "subscriptions/sensor-data-mongodb")
    made.queue.service.faults.add({"match": "^GET .*subscriptions/", "action": {"type": "status", "status": 200, "body": {**real, **settings}}})
    found = check(made, 0 if word == "ok" else 69)
    assert found[SUBSCRIPTION][0][0] == word
    if remedy:
        assert any(entry == "warn" and remedy in text for entry, text in found[SUBSCRIPTION]), found
    assert any(entry == "FAIL" and "no subscription of this configuration" in text for entry, text in found[TOPIC]) == (word == "warn")


@pytest.mark.parametrize("granted,name,role", [
    (["pubsub.subscriptions.consume"], TOPIC, "roles/pubsub.publisher"),
    (["pubsub.topics.publish"], SUBSCRIPTION, "roles/pubsub.subscriber"),
])
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
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=0, uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=1000")
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
    [entry] = [line for line in feed.daemon.run("check").stdout.splitlines() if "  mongodb " in line and not line.startswith("warn ")]
    assert entry.startswith("ok "), entry
    wire_mongo.script.add({"match": "^update ", "action": {
        "type": "reply", "extra": {"writeErrors": [{"index": 0, "code": 72, "errmsg": "Cannot update a time-series collection"}]}}})
    [entry] = [line for line in feed.daemon.run("check").stdout.splitlines() if "  mongodb " in line]
    assert entry.startswith("FAIL ") and "Cannot update a time-series collection (code 72)" in entry, entry


@pytest.mark.parametrize("skew,word", [(7200, "behind"), (-7200, "ahead")])
def test_check_clock(made, skew, word):
    date = email.utils.formatdate(time.time() + skew, usegmt=True)
    made.queue.service.faults.add({"match": "^GET /$", "action": {"type": "status", "status": 404, "headers": {"Date": date}}})
    fails(check(made), "clock", word, "systemd-timesyncd")


def test_check_offline_opens_no_secret(sensorqd):
    """ExecReload cannot read credentials, and the far ends are no matter of the file."""
    daemon = sensorqd({
        "pubsub": {"project": "my-project", "credentials_file": "/nowhere/key.json"},
        "publish": {"topic": "sensor-data", "sources": [{"name": "home", "type": "nature_remo", "interval": "60s", "token_file": "/nowhere/token"}]},
        "subscribe": [{"subscription": "sub", "mongodb": {"uri": "mongodb://u@127.0.0.1:9/", "password_file": "/nowhere/password", "database": "d",
                                                        "collection": "c"}}]})
    done = daemon.run("check", "--offline")
    assert (done.returncode, done.stdout) == (0, f"ok    config  {daemon.config_file}\n")
    daemon.write_config('{"pubsub": {}}')
    done = daemon.run("check", "--offline")
    assert done.returncode == 78
    assert re.fullmatch(re.escape(f"FAIL  config  {daemon.config_file}") + r":1:\d+: pubsub\.project: .*\n", done.stdout), done.stdout
    # the first step of `systemctl reload`, which alone knows $MAINPID
    done = daemon.run("check", "--offline", MAINPID="1")
    assert done.returncode == 78 and EVENTS["RELOAD_REFUSED"] in done.stderr and "stays in use" in done.stderr
    assert EVENTS["CONFIG_REJECTED"] not in done.stderr


# setup


def test_setup_creates_what_is_missing_and_then_changes_nothing(stack):
    first = stack.daemon.run("setup")
    assert first.returncode == 0, first.stdout
    assert "created" in lines(first)[TOPIC][0][1] and "created" in lines(first)[SUBSCRIPTION][0][1]
    assert "4 created" in lines(first)[f"mongodb {stack.database}.readings"][0][1]
    settings = stack.queue.call("GET", "subscriptions/sensor-data-mongodb")
    assert settings["ackDeadlineSeconds"] == 60 and settings["messageRetentionDuration"] in ("604800s", "2678400s")
    assert not settings.get("expirationPolicy", {}).get("ttl")
    second = stack.daemon.run("setup")
    assert second.returncode == 0
    assert "exists" in lines(second)[TOPIC][0][1] and "exists" in lines(second)[SUBSCRIPTION][0][1]
    assert "0 created" in lines(second)[f"mongodb {stack.database}.readings"][0][1]
    assert {word for entries in lines(second).values() for word, _ in entries} == {"ok"}
    assert stack.queue.call("GET", "subscriptions/sensor-data-mongodb") == settings
    assert check(stack, 0)


def test_setup_says_what_differs_and_leaves_it(stack):
    stack.queue.create(ackDeadlineSeconds=10, messageRetentionDuration="600s", expirationPolicy={"ttl": "86400s"})
    before = stack.queue.call("GET", "subscriptions/sensor-data-mongodb")
    done = stack.daemon.run("setup")
    assert done.returncode == 0, done.stdout
    warnings = [text for word, text in lines(done)[SUBSCRIPTION] if word == "warn"]
    for word in ("expirationPolicy", "--message-retention-duration=7d", "ack deadline is only 10 s"):
        assert any(word in text and "left as it is" in text for text in warnings), warnings
    assert stack.queue.call("GET", "subscriptions/sensor-data-mongodb") == before


def test_setup_tells_what_it_could_not_do(stack):
    stack.queue.service.faults.add({"match": "^PUT ", "times": -1, "action": {"type": "status", "status": 403}})
    done = stack.daemon.run("setup")
    assert done.returncode == 69
    assert all(lines(done)[name][0][0] == "FAIL" and "no pubsub.editor role on the project" in lines(done)[name][0][1] for name in (TOPIC, SUBSCRIPTION))


@pytest.mark.parametrize("refused", ["^PUT ", "^(PUT|GET) "])
def test_setup_with_the_least_privilege(stack, refused):
    """Pub/Sub refuses to create what is there, too, where the account may not create (docs/OPERATIONS.md); without viewer it may not look either."""
    stack.queue.create(**GOOD)
    stack.queue.service.faults.add({"match": refused, "times": -1, "action": {"type": "status", "status": 403}})
    done = stack.daemon.run("setup")
    assert done.returncode == 0 and "exists" in lines(done)[TOPIC][0][1] and "exists" in lines(done)[SUBSCRIPTION][0][1], done.stdout


def test_setup_without_a_topic_creates_no_subscription(stack):
    """It does not know where, and says so; what is there it tells about."""
    del stack.daemon.config["publish"]
    stack.daemon.write_config()
    done = stack.daemon.run("setup")
    assert done.returncode == 69, done.stdout
    fails(lines(done), SUBSCRIPTION, "does not exist", "publish.topic")
    stack.queue.create(**GOOD)
    done = stack.daemon.run("setup")
    assert done.returncode == 0 and "exists, on " + TOPIC in lines(done)[SUBSCRIPTION][0][1], done.stdout
    stack.queue.service.faults.add({"match": "^GET ", "times": 1, "action": {"type": "status", "status": 403}})
    done = stack.daemon.run("setup")
    assert done.returncode == 0 and lines(done)[SUBSCRIPTION][0][0] == "warn", done.stdout
    stack.queue.service.faults.add({"match": "^GET ", "times": -1, "action": {"type": "status", "status": 503}})
    assert stack.daemon.run("setup").returncode == 69
    stack.queue.service.faults.clear()
    stack.queue.service.oauth.forget_keys()
    assert stack.daemon.run("setup").returncode == 69


@pytest.mark.slow
def test_silent_remote_ends_end_soon(sensorqd):
    """`check` and `setup` where everything takes connections and says nothing: the times of the manual, and 30 s for the machine that runs this.
    Pub/Sub is asked once (30 s), the source by `check` alone (30 s), and each MongoDB (10 s)."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        daemon = sensorqd({"pubsub": {"project": "my-project"},
                           "publish": {"topic": "sensor-data", "sources": [{"name": "home", "type": "nature_remo", "token_file": "nature-remo.token",
                                                                            "url": f"http://127.0.0.1:{port}"}]},
                           "subscribe": [{"subscription": name, "mongodb": {"uri": f"mongodb://127.0.0.1:{port}/", "database": name, "collection": "c"}}
                                         for name in ("one-of-two", "two-of-two")]},
                          {"nature-remo.token": "t"}, env={"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}"})

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


# once


def test_once_stores_everything(made):
    made.queue.publish([(b'{"n":%d}' % i, {}) for i in range(5)])
    done = made.daemon.run("once")
    assert done.returncode == 0, done.stderr
    assert made.count() == 8 and made.queue.is_empty()
    assert made.daemon.run("once").returncode == 0
    assert made.count() == 11


def test_once_while_mongodb_is_down_leaves_it_in_the_queue(make_stack, own_queue, shared_mongodb, remo):
    own_queue.create(**GOOD)
    down = make_stack(own_queue, shared_mongodb, remo, interval_msec=0, uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=1000", name="down")
    assert down.daemon.run("once", timeout=120).returncode == 75
    up = make_stack(own_queue, shared_mongodb, remo, interval_msec=0, name="up")
    remo.scenario = "empty"
    done = up.daemon.run("once", timeout=120)
    assert done.returncode == 0, done.stderr
    assert up.count() == 3


def test_once_while_mongodb_is_silent_ends_soon(make_stack, own_queue, shared_mongodb, remo):
    """10 s, says the manual; more only for the machine that runs this."""
    own_queue.create(**GOOD)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=0, uri=f"mongodb://127.0.0.1:{silent.getsockname()[1]}/")
        began = time.monotonic()
        done = stack.daemon.run("once", timeout=120)
        assert done.returncode == 75
        assert time.monotonic() - began < 40
    left = next(line for line in done.stderr.splitlines() if "Not everything is stored" in line)
    assert "0 readings wait in the outbox" in left and f"MongoDB is down for {SUBSCRIPTION}" in left and "for the next run" in left


def test_once_while_the_queue_is_down_leaves_it_in_the_outbox(made):
    made.queue.service.faults.add({"match": ":publish$", "times": -1, "action": {"type": "status", "status": 503}})
    done = made.daemon.run("once", timeout=120)
    assert done.returncode == 75
    assert re.search("Not everything is stored. 3 readings wait in the outbox.*publishing: ", done.stderr), done.stderr
    made.queue.service.faults.clear()
    made.remo.scenario = "empty"
    assert made.daemon.run("once", timeout=120).returncode == 0
    assert made.count() == 3


# status


def test_status(made):
    assert made.daemon.run("status").returncode == 69
    made.daemon.start()
    made.wait_count(3)
    report = wait_until(lambda: (r := made.daemon.status()) and r["subscriptions"][0]["sink"]["stored"] >= 3 and not r["outbox"]["rows"] and r,
                        "a report that counts what was stored")
    assert report["sources"][0]["name"] == "home" and report["sources"][0]["readings"] == 3
    assert report["outbox"]["rows"] == 0 and report["subscriptions"][0]["subscription"] == SUBSCRIPTION
    done = made.daemon.run("status")
    assert done.returncode == 0
    for word in ("source        home", "outbox        0 readings", f"subscription  {SUBSCRIPTION}", "MongoDB: up, 3 stored"):
        assert word in done.stdout, done.stdout


def test_status_is_that_of_the_configuration(made, sensorqd):
    """Never another instance's, whatever their files are called and wherever they write; times in one zone."""
    runtime = made.daemon.directory / "run"
    runtime.mkdir()
    made.daemon.env["TZ"] = "Asia/Tokyo"
    made.daemon.start(RUNTIME_DIRECTORY=str(runtime))
    made.wait_count(3)
    other = sensorqd(made.daemon.config, name="other")
    done = other.run("status", RUNTIME_DIRECTORY=str(runtime))
    assert done.returncode == 69 and not done.stdout and str(other.config_file) in done.stderr
    other.write_config("{")  # nor when the file cannot be read
    assert other.run("status", RUNTIME_DIRECTORY=str(runtime)).returncode == 69
    shown = wait_until(lambda: "last good poll" in (s := made.daemon.run("status", RUNTIME_DIRECTORY=str(runtime)).stdout) and s, "a report of the poll")
    told = json.loads(made.daemon.run("status", "--json", RUNTIME_DIRECTORY=str(runtime)).stdout)
    assert told["config"] == str(made.daemon.config_file.resolve())
    assert "T" not in re.search(r"last good poll (\S+)", shown)[1] and not re.search(r"\d\dZ\b", shown), shown
    local = datetime.fromisoformat(told["started"].replace("Z", "+00:00")).astimezone(timezone(timedelta(hours=9)))
    assert f"started {local:%Y-%m-%d %H:%M:%S}," in shown


def test_status_of_a_daemon_that_is_gone(made):
    """What was written last is not taken for what is."""
    made.daemon.start()
    file = made.daemon.state / "status.json"
    report = wait_until(lambda: file.exists() and json.loads(file.read_text()), "a report")
    assert made.daemon.stop() == 0
    assert not file.exists() and made.daemon.run("status").returncode == 69
    for at, arguments in (("2026-01-01T00:00:00.000Z", ["status"]), ("2096-01-01T00:00:00.000Z", ["status", "--json"])):
        file.write_text(json.dumps({**report, "time": at}))  # as after a kill; and the clock was set back since
        done = made.daemon.run(*arguments)
        assert done.returncode == 69 and "does not run any more" in done.stderr and report["version"] in done.stdout
    assert made.daemon.run("once").returncode == 0
    assert not file.exists()


def test_status_before_mongodb_was_tried(make_feed, wire_mongo):
    """Down is what failed, not what was not looked at yet."""
    wire_mongo.script.add({"match": "^hello", "times": -1, "action": {"type": "no_reply", "seconds": 0.5}})
    daemon = make_feed(wire_mongo, uri=f"{wire_mongo.uri}?serverSelectionTimeoutMS=240000").daemon.start()
    report = wait_until(daemon.status, "a report")["subscriptions"][0]["sink"]
    assert (report["ready"], report["down_since"]) == (False, None)
    assert "MongoDB: not reached yet" in daemon.run("status").stdout
    wire_mongo.script.add({"match": "^(ping|update|insert)", "times": -1, "action": {"type": "error", "code": 91, "codeName": "ShutdownInProgress"}})
    wire_mongo.script.drop("^hello")
    daemon.log.wait("SINK_DOWN")
    wait_until(lambda: re.search("MongoDB: DOWN.*\n +down since 20", daemon.run("status").stdout), "that it is down")


# rejected


def test_rejected_in_the_collection(made):
    made.queue.publish([(b"no json", {"n": "1"}), (b"[]", {"n": "2"}), (b'{"a":1}', {"idempotency_key": "k"})])
    assert made.daemon.run("once").returncode == 0
    made.queue.publish([(b'{"a":2}', {"idempotency_key": "k"})])
    assert made.daemon.run("once").returncode == 0
    rejected = {base64.b64encode(d["data"]): d for d in made.readings("readings_rejected")}
    assert len(rejected) == 3
    conflict = rejected[base64.b64encode(b'{"a":2}')]["_id"]
    text = rejected[base64.b64encode(b"no json")]["_id"]
    listing = made.daemon.run("rejected", "list")
    assert listing.returncode == 0 and all(d["_id"] in listing.stdout for d in rejected.values())
    assert "id_conflict" in listing.stdout
    shown = made.daemon.run("rejected", "show", text)
    assert shown.returncode == 0 and "no json" in shown.stdout.splitlines()
    with open("/dev/full", "w") as full:
        unsaved = subprocess.run(made.daemon.command("rejected", "show", text), stdout=full, stderr=subprocess.PIPE, text=True, env=made.daemon.environment())
    assert unsaved.returncode == 74 and "could not be written" in unsaved.stderr
    assert made.daemon.run("rejected", "show", text + "0").returncode == 69

    assert made.daemon.run("rejected", "replay", conflict).returncode == 69  # its _id is still taken by the other payload
    assert made.count("readings_rejected") == 3
    with made.mongodb.client() as client:
        client[made.database]["readings"].delete_one({"_id": "k"})
    assert made.daemon.run("rejected", "replay", conflict).returncode == 0
    assert made.readings(query={"_id": "k"})[0]["a"] == 2.0
    assert made.daemon.run("rejected", "replay", text).returncode == 69  # it is as bad as before, and stays
    assert made.count("readings_rejected") == 2
    assert made.daemon.run("rejected", "drop", text).returncode == 0
    assert made.count("readings_rejected") == 1
    with made.mongodb.client() as client:
        (rejected := client[made.database]["readings_rejected"]).insert_many([{**rejected.find_one(), "_id": i} for i in ("x\x1b]0;\x07\nok    forged", 7)])
    dropped = made.daemon.run("rejected", "drop", "--all")
    assert dropped.returncode == 0 and "\x1b" not in dropped.stdout and len(dropped.stdout.splitlines()) == 2  # who writes there steers no terminal
    assert made.readings("readings_rejected")[0]["_id"] == 7  # which is not ours
    for arguments in (["list"], ["replay", "--all"], ["drop", "--all"]):
        done = made.daemon.run("rejected", *arguments)
        assert (done.returncode, done.stdout) == (0, "") and "no rejected readings" in done.stderr


def test_rejected_of_another_subscription_is_left_alone(made):
    """Two subscriptions may share a rejected collection: a daemon shows, replays and drops only what its own subscriptions left there."""
    made.queue.publish([(b"no json", {}), (b"[]", {})])
    assert made.daemon.run("once").returncode == 0
    before = made.readings("readings_rejected")
    assert len(before) == 2
    section = made.daemon.config["subscribe"][0]
    made.queue.subscribe("sensor-data", "another", **GOOD)
    made.queue.publish([(b"neither", {})])
    made.daemon.config["subscribe"] = [{**section, "subscription": "another"}]
    made.daemon.write_config()
    assert made.daemon.run("once").returncode == 0
    mine, = [d["_id"] for d in made.readings("readings_rejected") if d not in before]
    listing = made.daemon.run("rejected", "list")
    assert re.findall(r"^projects\S+", listing.stdout, re.M) == [mine]
    assert "does not name" in listing.stderr and listing.stderr.endswith("dropped:\n" + before[0]["pubsub"]["subscription"] + "\n")
    for action in ("show", "replay", "drop"):
        done = made.daemon.run("rejected", action, before[0]["_id"])
        assert done.returncode == 69 and "no rejected reading of that name" in done.stdout, done.stdout
    assert made.daemon.run("rejected", "drop", "--all").returncode == 0
    assert made.readings("readings_rejected") == before
    made.daemon.config["subscribe"].append(section)  # its own are its business again
    made.daemon.write_config()
    assert made.daemon.run("rejected", "drop", before[0]["_id"]).returncode == 0
    assert made.readings("readings_rejected") == before[1:]
    assert "does not name" not in made.daemon.run("rejected", "list").stderr


def test_rejected_in_the_outbox(made):
    """P6: a message that the queue refuses moves aside once another one of its topic went through."""
    service = made.queue.service
    publish = service.api.publish

    def refuse(name, body):
        if any("Meter" in base64.b64decode(m["data"]).decode() for m in json.loads(body)["messages"]):
            from services import pubsub_api
            raise pubsub_api.ApiError(400, "refused", "INVALID_ARGUMENT")
        return publish(name, body)

    service.api.publish = refuse
    service.pull_hang = 2
    made.daemon.env["SENSORQD_TEST_INTERVAL_MSEC"] = "1000"
    made.daemon.start()
    made.daemon.log.wait("READING_REJECTED", patience=60)
    made.quiet()
    wait_until(lambda: made.daemon.status()["outbox"]["rows"] <= 1 and made.queue.is_empty(), "everything else is stored")  # the last one waits for its judgement
    assert made.daemon.stop() == 0
    service.api.publish = publish
    ids = re.findall(r"^(outbox:\d+) ", made.daemon.run("rejected", "list").stdout, re.M)
    assert ids
    shown = made.daemon.run("rejected", "show", ids[0])
    assert '"Meter"' in shown.stdout and ":home:" in shown.stdout
    assert made.daemon.run("rejected", "show", "outbox:999").returncode == 69
    for slip in (ids[0] + "x", ids[0].replace(":", ": "), ids[0].replace(":", ":0")):
        assert made.daemon.run("rejected", "drop", slip).returncode == 69
    assert ids[0] in made.daemon.run("rejected", "list").stdout
    wait_until(lambda: service.store.waiting == 0, "the end of the stopped daemon's pull, which would swallow messages until their ack deadline")
    # a daemon that only publishes hears of it at once, without a poll that would take its next look
    made.daemon.config["publish"]["sources"][0]["interval"] = "24h"
    subscribe = made.daemon.config.pop("subscribe")
    made.daemon.write_config()
    made.daemon.env.pop("SENSORQD_TEST_INTERVAL_MSEC")
    before = made.remo.polls()
    made.daemon.start()
    wait_until(lambda: made.remo.polls() > before, "the first poll")
    assert made.daemon.run("rejected", "replay", ids[0]).returncode == 0
    wait_until(lambda: (told := made.daemon.status()) and not told["outbox"]["rows"], "an empty outbox")
    assert made.remo.polls() == before + 1 and made.daemon.stop() == 0
    made.daemon.config["subscribe"] = subscribe
    made.daemon.write_config()
    assert ids[0] not in re.findall(r"outbox:\d+", made.daemon.run("rejected", "list").stdout)
    assert made.daemon.run("rejected", "drop", "--all").returncode == 0
    assert made.daemon.run("rejected", "list").stdout == ""
    assert made.daemon.run("once").returncode == 0
    assert len({d["id"] for d in made.readings(query={"name": "Meter"})}) == 1
    # what the dead pull took comes back after its ack deadline
    wait_until(lambda: made.daemon.run("once").returncode == 0 and made.queue.is_empty(), "an empty queue", 60)


def test_rejected_of_a_source(made):
    """What could not become a reading is one after its section was corrected."""
    program = {"name": "program", "type": "exec", "command": ["/bin/echo", "[[5,6]]"], "interval": "24h"}
    made.daemon.config["publish"]["sources"] = [program, {"name": "hook", "type": "http_push", "listen": "127.0.0.1:8427"}]
    made.daemon.write_config()
    assert "Source hook sends when it wants to, so `once` leaves it out" in made.daemon.run("once").stderr
    assert made.daemon.run("rejected", "replay", "source:program:1").returncode == 69
    program["reading"] = {"fields": {"a": "/0"}}
    program["command"] = ["/bin/true"]
    made.daemon.write_config()
    assert "whose values" in made.daemon.run("rejected", "list").stdout
    assert "[5,6]" in made.daemon.run("rejected", "show", "source:program:1").stdout.splitlines()
    assert made.daemon.run("rejected", "replay", "source:program:1").returncode == 0
    assert made.daemon.run("rejected", "list").stdout == ""
    made.daemon.run("once")
    assert [d["a"] for d in made.readings(query={"source": "program"})] == [5.0]


# how it ends


@pytest.mark.parametrize("arguments", [
    ["fly"], ["--fly"], ["run", "now"], ["run", "--offline"], ["check", "--json"], ["once", "--all"], ["-c"], ["setup", "x"],
    ["rejected"], ["rejected", "list", "x"], ["rejected", "show"], ["rejected", "replay"], ["rejected", "drop", "x", "--all"], ["rejected", "eat", "x"]])
def test_usage_errors(sensorqd, arguments):
    """They come before the configuration, which is no good here."""
    daemon = sensorqd({})
    daemon.write_config("{")
    done = daemon.run(*arguments)
    assert done.returncode == 64, done.stdout + done.stderr
    assert done.stderr.startswith("sensorqd: ") and not done.stdout


def test_help_and_version(sensorqd, tmp_path):
    daemon = sensorqd({})
    daemon.write_config("{")  # is not even looked at
    shown = daemon.run("--help")
    assert shown.returncode == 0 and not shown.stderr
    for verb in ("run", "check", "setup", "once", "status", "rejected"):
        assert f"\n  {verb}" in shown.stdout
    assert re.fullmatch(r"sensorqd \d+(\.\d+)+\S*\n", daemon.run("--version").stdout)
    assert binary()


@pytest.mark.main
@pytest.mark.parametrize("verb", ["run", "setup", "once", "rejected"])
def test_config_error_names_the_place(sensorqd, verb):
    """P9."""
    daemon = sensorqd({})
    daemon.write_config("pubsub:\n  project: my-project\npublish:\n  topic: sensor-data\n  sources:\n    - name: Home!\n")
    arguments = [verb] if verb != "rejected" else [verb, "list"]
    done = daemon.run(*arguments)
    assert done.returncode == 78
    assert re.search(re.escape(str(daemon.config_file)) + r":6:\d+: publish\.sources\S*name: ", done.stderr), done.stderr
    assert EVENTS["CONFIG_REJECTED"] in done.stderr
    daemon.config_file.unlink()
    assert daemon.run(*arguments).returncode == 78


@pytest.mark.parametrize("damage", ["missing", "two lines", "empty", "quoted"])
def test_secret_that_cannot_be_used(made, damage):
    token = made.daemon.directory / "credentials" / "nature-remo.token"
    if damage == "missing":
        token.unlink()
    else:
        token.write_text({"two lines": "one\ntwo\n", "empty": "\n", "quoted": '"token"\n'}[damage])
    for verb in ("run", "once"):
        done = made.daemon.run(verb)
        assert done.returncode == 77, done.stderr
        assert "nature-remo.token" in done.stderr
        assert damage != "quoted" or "holds a quote (character 1)" in done.stderr


@pytest.mark.parametrize("verb", ["run", "once", "check", "setup"])
def test_credentials_that_cannot_be_used(made, tmp_path, verb):
    key = tmp_path / "keys" / "pubsub-credential.json"
    text = key.read_text()
    for damaged in (None, "{", text.replace("BEGIN PRIVATE KEY", "BEGIN NOTHING")):
        key.unlink(missing_ok=True)
        if damaged is not None:
            key.write_text(damaged)
        done = made.daemon.run(verb)
        assert done.returncode == 77, done.stdout + done.stderr


@pytest.mark.parametrize("verb", ["check", "setup", "rejected list"])
def test_verbs_end_77_for_an_unreadable_secret(made, verb):
    made.daemon.config["subscribe"][0]["mongodb"]["password_file"] = "nowhere"
    made.daemon.config["subscribe"][0]["mongodb"]["uri"] = "mongodb://u@127.0.0.1:9/"
    made.daemon.write_config()
    done = made.daemon.run(*verb.split())
    assert done.returncode == 77, done.stdout + done.stderr
    assert "secret file nowhere" in done.stdout


def test_service_manager_hears_of_start_reload_and_stop(made):
    """What `systemctl` waits for, in its order: READY=1; RELOADING=1 with the time (v253), and READY=1 again; STOPPING=1."""
    made.daemon.start()
    made.daemon.reload()
    made.daemon.log.wait("RELOADED")
    assert made.daemon.stop() == 0
    made.daemon.notify.wait("^STOPPING=1")
    words = [message for message in made.daemon.notify.messages if not message.startswith(("STATUS=", "WATCHDOG="))]
    assert [word.split("=")[0] for word in words] == ["READY", "RELOADING", "MONOTONIC_USEC", "READY", "STOPPING"], words


def test_second_instance(made):
    made.daemon.start()
    for verb in ("run", "once"):
        done = made.daemon.run(verb)
        assert done.returncode == 75
        assert "in use by another sensorqd" in done.stderr
    made.daemon.process.send_signal(signal.SIGKILL)
    made.daemon.wait()
    assert made.daemon.run("once").returncode == 0  # a lock does not outlive its holder


def test_unwritable_state_directory(made):
    made.daemon.config["state_dir"] = f"/nowhere-{uuid.uuid4().hex}"
    made.daemon.write_config()
    done = made.daemon.run("run")
    assert done.returncode == 73 and "state_dir" in done.stderr


def test_closed_standard_error(sensorqd):
    """Log lines go nowhere then, and not into the file or connection that got its number."""
    daemon = sensorqd({"pubsub": {"project": "my-project", "endpoint": "http://127.0.0.1:9"}, "publish": {"topic": "sensor-data", "sources": [
        {"name": "home", "type": "nature_remo", "token_file": "nature-remo.token", "url": "http://127.0.0.1:9"}]}},
        {"nature-remo.token": "t"}, env={"GCE_METADATA_HOST": "127.0.0.1:9"}, wrapper=["sh", "-c", 'exec "$@" 2>&-', "sh"])
    daemon.start()
    assert daemon.stop() == 0
    assert (daemon.state / "lock").stat().st_size == 0
