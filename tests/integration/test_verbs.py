"""The other verbs, and all of them in common: what they print, what they change, how they end."""

import base64
import fcntl
import json
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest
import requests
from harness import EVENTS, GOOD, binary, wait_until
from services import ports

SUBSCRIPTION = "projects/my-project/subscriptions/sensor-data-mongodb"


@pytest.fixture
def made(bare):
    bare.queue.create(**GOOD)
    return bare


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
    down = make_stack(
        own_queue,
        shared_mongodb,
        remo,
        interval_msec=0,
        uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=1000",
        name="down",
    )
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
        stack = make_stack(
            own_queue, shared_mongodb, remo, interval_msec=0, uri=f"mongodb://127.0.0.1:{silent.getsockname()[1]}/"
        )
        began = time.monotonic()
        done = stack.daemon.run("once", timeout=120)
        assert done.returncode == 75
        assert time.monotonic() - began < 40
    left = next(line for line in done.stderr.splitlines() if "Not everything is stored" in line)
    assert (
        "0 readings wait in the outbox" in left
        and f"MongoDB is down for {SUBSCRIPTION}" in left
        and "for the next run" in left
    )


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
    report = wait_until(
        lambda: (
            (r := made.daemon.status())
            and r["subscriptions"][0]["sink"]["stored"] >= 3
            and not r["outbox"]["rows"]
            and r
        ),
        "a report that counts what was stored",
    )
    assert report["sources"][0]["name"] == "home" and report["sources"][0]["readings"] == 3
    assert report["outbox"]["rows"] == 0 and report["subscriptions"][0]["subscription"] == SUBSCRIPTION
    done = made.daemon.run("status")
    assert done.returncode == 0
    for word in (
        "source        home",
        "outbox        0 readings",
        f"subscription  {SUBSCRIPTION}",
        "MongoDB: up, 3 stored",
    ):
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
    assert other.run("status", RUNTIME_DIRECTORY=str(runtime)).returncode == 78
    shown = wait_until(
        lambda: "last good poll" in (s := made.daemon.run("status", RUNTIME_DIRECTORY=str(runtime)).stdout) and s,
        "a report of the poll",
    )
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
    wire_mongo.script.add(
        {
            "match": "^(ping|update|insert)",
            "times": -1,
            "action": {"type": "error", "code": 91, "codeName": "ShutdownInProgress"},
        }
    )
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
        unsaved = subprocess.run(
            made.daemon.command("rejected", "show", text),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=made.daemon.environment(),
        )
    assert unsaved.returncode == 74 and "could not be written" in unsaved.stderr
    assert made.daemon.run("rejected", "show", text + "0").returncode == 69

    assert (
        made.daemon.run("rejected", "replay", conflict).returncode == 69
    )  # its _id is still taken by the other payload
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
        (rejected := client[made.database]["readings_rejected"]).insert_many(
            [{**rejected.find_one(), "_id": i} for i in ("x\x1b]0;\x07\nok    forged", 7)]
        )
    dropped = made.daemon.run("rejected", "drop", "--all")
    assert (
        dropped.returncode == 0 and "\x1b" not in dropped.stdout and len(dropped.stdout.splitlines()) == 2
    )  # who writes there steers no terminal
    assert made.readings("readings_rejected")[0]["_id"] == 7  # which is not ours
    for arguments in (["list"], ["replay", "--all"], ["drop", "--all"]):
        done = made.daemon.run("rejected", *arguments)
        assert (done.returncode, done.stdout) == (0, "") and "no rejected readings" in done.stderr


def test_rejected_of_another_subscription_is_left_alone(made):
    """Two subscriptions may share a rejected collection: a daemon shows, replays and drops only what its own
    subscriptions left there."""
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
    (mine,) = [d["_id"] for d in made.readings("readings_rejected") if d not in before]
    listing = made.daemon.run("rejected", "list")
    assert re.findall(r"^projects\S+", listing.stdout, re.M) == [mine]
    assert "does not name" in listing.stderr and listing.stderr.endswith(
        "dropped:\n" + before[0]["pubsub"]["subscription"] + "\n"
    )
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
    wait_until(
        lambda: made.daemon.status()["outbox"]["rows"] <= 1 and made.queue.is_empty(), "everything else is stored"
    )  # the last one waits for its judgement
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
    wait_until(
        lambda: service.store.waiting == 0,
        "the end of the stopped daemon's pull, which would swallow messages until their ack deadline",
    )
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


def test_a_replay_that_is_killed_before_it_tells_the_daemon(made):
    """What it has queued is published, also where no source ever wakes the publisher again."""
    if shutil.which("strace") is None:
        pytest.skip("not installed: strace")
    port = ports.free_port()
    push = {"name": "hook", "type": "http_push", "listen": f"127.0.0.1:{port}"}
    made.daemon.config["publish"]["sources"] = [push]
    made.daemon.write_config()
    made.daemon.env["SENSORQD_TEST_BACKOFF_MAX_MSEC"] = "2000"
    made.daemon.start()
    assert requests.post(f"http://127.0.0.1:{port}/readings", json=[[5, 6]]).json() == {"stored": 0}
    push["reading"] = {"fields": {"a": "/0"}}
    made.daemon.write_config()
    command = ["strace", "-q", "-o", "/dev/null", "-e", "trace=utimensat", "-e", "inject=utimensat:signal=SIGKILL"]
    command += made.daemon.command("rejected", "replay", "source:hook:1")
    assert subprocess.run(command, env=made.daemon.environment(), capture_output=True).returncode != 0
    made.wait_count(1)
    assert made.readings()[0]["a"] == 5


def test_rejected_of_a_source(made):
    """What could not become a reading is one after its section was corrected."""
    program = {"name": "program", "type": "exec", "command": ["/bin/echo", "[[5,6]]"], "interval": "24h"}
    made.daemon.config["publish"]["sources"] = [
        program,
        {"name": "hook", "type": "http_push", "listen": "127.0.0.1:8427"},
    ]
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


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["--fly"],
        ["run", "now"],
        ["run", "--offline"],
        ["check", "--json"],
        ["once", "--all"],
        ["-c"],
        ["setup", "x"],
        ["rejected"],
        ["rejected", "list", "x"],
        ["rejected", "show"],
        ["rejected", "replay"],
        ["rejected", "drop", "x", "--all"],
        ["rejected", "eat", "x"],
    ],
)
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
    daemon.write_config(
        "pubsub:\n  project: my-project\npublish:\n  topic: sensor-data\n  sources:\n    - name: Home!\n"
    )
    arguments = [verb] if verb != "rejected" else [verb, "list"]
    done = daemon.run(*arguments)
    assert done.returncode == 78
    assert re.search(re.escape(str(daemon.config_file)) + r":6:\d+: publish\.sources\S*name: ", done.stderr), (
        done.stderr
    )
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
    """What `systemctl` waits for, in its order: READY=1; RELOADING=1 with the time (v253), and READY=1 again;
    STOPPING=1."""
    made.daemon.start()
    made.daemon.reload()
    made.daemon.log.wait("RELOADED")
    assert made.daemon.stop() == 0
    made.daemon.notify.wait("^STOPPING=1")
    words = [message for message in made.daemon.notify.messages if not message.startswith(("STATUS=", "WATCHDOG="))]
    assert [word.split("=")[0] for word in words] == ["READY", "RELOADING", "MONOTONIC_USEC", "READY", "STOPPING"], (
        words
    )


def test_service_manager_hears_of_a_reload_without_descriptors(made):
    """RELOADING=1 was lost, and READY=1 alone ends no reload of Type=notify-reload."""
    made.daemon.start()
    pid = made.daemon.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    seen = len(made.daemon.notify.messages)
    made.daemon.signal(signal.SIGHUP)
    made.daemon.log.wait("RELOAD_REFUSED")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    made.daemon.notify.wait("^READY=1", since=seen)
    words = [word.split("=")[0] for word in made.daemon.notify.messages[seen:]]
    assert [word for word in words if word not in ("STATUS", "WATCHDOG")] == ["RELOADING", "MONOTONIC_USEC", "READY"]


def test_a_lock_that_is_held_for_a_moment(made):
    """A child of a killed daemon, between fork and execve, holds the lock: the next start ended with 75."""
    with open(made.daemon.state / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        release = threading.Timer(0.5, fcntl.flock, (lock, fcntl.LOCK_UN))
        release.start()
        made.daemon.start()
        release.join()


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
    assert "without it sensorqd does not start" in made.daemon.run("check").stdout
    done = made.daemon.run("run")
    assert done.returncode == 73 and "state_dir" in done.stderr


def test_a_state_directory_that_no_unit_makes(made):
    """It only begins like that of the unit."""
    made.daemon.config["state_dir"] = "/var/lib/sensorqd-" + uuid.uuid4().hex
    made.daemon.write_config()
    assert "the unit makes it" not in made.daemon.run("check").stdout
    assert "state_dir is not there" in made.daemon.run("rejected", "list").stdout


def test_closed_standard_error(sensorqd):
    """Log lines go nowhere then, and not into the file or connection that got its number."""
    daemon = sensorqd(
        {
            "pubsub": {"project": "my-project", "endpoint": "http://127.0.0.1:9"},
            "publish": {
                "topic": "sensor-data",
                "sources": [
                    {
                        "name": "home",
                        "type": "nature_remo",
                        "token_file": "nature-remo.token",
                        "url": "http://127.0.0.1:9",
                    }
                ],
            },
        },
        {"nature-remo.token": "t"},
        env={"GCE_METADATA_HOST": "127.0.0.1:9"},
        wrapper=["sh", "-c", 'exec "$@" 2>&-', "sh"],
    )
    daemon.start()
    assert daemon.stop() == 0
    assert (daemon.state / "lock").stat().st_size == 0


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_output_that_cannot_be_written_is_an_error(option):
    with open("/dev/full", "w") as full:
        lost = subprocess.run([binary(), option], stdout=full, stderr=subprocess.PIPE, text=True)
    assert lost.returncode == 74 and "could not be written" in lost.stderr
