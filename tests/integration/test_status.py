"""What watches a daemon: `status --check` for a timer, `status --watch` for a person; and verbs that ask, or keep
silent."""

import base64
import json

import pytest
from harness import GOOD, wait_until
from terminal import Terminal


@pytest.fixture
def made(make_stack, own_queue, shared_mongodb, remo):
    own_queue.create(**GOOD)
    return make_stack(own_queue, shared_mongodb, remo, interval_msec=0)


def terminal(stack, *arguments):
    return Terminal(stack.daemon.command(*arguments), stack.daemon.environment())


def test_check_is_silent_while_all_is_well(made):
    assert made.daemon.run("status", "--check").returncode == 69, "no daemon runs"
    made.daemon.start()
    made.wait_count(3)
    wait_until(lambda: made.daemon.run("status", "--check").returncode == 0, "all is well")
    done = made.daemon.run("status", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_says_what_is_not_well(made):
    made.remo.token = "another"
    made.daemon.start()
    made.daemon.log.wait("SOURCE_FAILING")
    done = wait_until(
        lambda: (d := made.daemon.run("status", "--check")).returncode == 69 and "failing" in d.stdout and d,
        "a report of it",
    )
    assert done.stdout.startswith("home failing since ") and done.stdout.count("\n") == 1


def test_an_instance_is_named(made):
    """Nobody is sent to another instance's unit."""
    for file, unit in (
        ("/etc/sensorqd/no-such.garden.yaml", "sensorqd@no-such.garden"),
        ("/no-such/garden.yaml", "sensorqd"),
    ):
        done = made.daemon.run("-c", file, "status")  # the last option counts
        assert done.returncode == 78 and f"See: systemctl status {unit}\n" in done.stderr, done.stderr


def test_a_file_that_is_a_link(made):
    """A ConfigMap, a directory for each release: the link leads elsewhere, and the daemon is asked to reload."""
    daemon, file = made.daemon, made.daemon.config_file
    releases = [daemon.directory / name for name in ("one", "two")]
    for release in releases:
        release.mkdir()
        (release / "sensorqd.yaml").write_text(file.read_text())
    file.unlink()
    file.symlink_to(releases[0] / "sensorqd.yaml")
    daemon.start()
    assert daemon.status()
    file.unlink()
    file.symlink_to(releases[1] / "sensorqd.yaml")
    daemon.reload()
    assert daemon.status()["config"] == str((releases[1] / "sensorqd.yaml").resolve())


def test_a_status_that_cannot_be_written(made):
    """/run is full, say: `status` takes the daemon for dead then, so the log says why. Once."""
    runtime = made.daemon.directory / "run"
    made.daemon.start(RUNTIME_DIRECTORY=str(runtime))

    def said(words):
        return [line for line in made.daemon.log.lines if f"{runtime}/status.json {words}" in line]

    wait_until(lambda: said("cannot be written: No such file"), "the reason")
    made.wait_count(3)
    runtime.mkdir()
    made.daemon.reload()
    wait_until(lambda: said("is written again"), "the end of it")
    assert len(said("cannot be written")) == 1
    assert made.daemon.run("status", RUNTIME_DIRECTORY=str(runtime)).returncode == 0


def test_a_disk_that_cannot_read_the_configuration(made):
    """Not the file's fault, and it may pass: 71, after which the unit is started again, as it is not after 78."""
    made.daemon.config_file.unlink()
    made.daemon.config_file.symlink_to("/proc/self/mem")  # a regular file, whose first byte is an I/O error
    done = made.daemon.run("run")
    assert done.returncode == 71 and "cannot be read: Input/output error" in done.stderr


def test_unreadable_ones_that_are_gone(make_stack, own_queue, shared_mongodb, remo, tmp_path):
    """More than is kept of what cannot become a reading: in STATUS, status, status.json, until somebody has seen it."""
    own_queue.create(**GOOD)
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=0)  # one run of the program for each start
    program = tmp_path / "noise"
    program.write_text("#!/bin/sh\nseq -f '{\"n\": %g' 1005\n")
    program.chmod(0o755)
    stack.daemon.config["publish"]["sources"].append(
        {"name": "noise", "type": "exec", "command": [str(program)], "interval": "1h"}
    )
    stack.daemon.write_config()
    stack.daemon.start()

    def status():
        return json.loads(stack.daemon.run("status", "--json").stdout or "{}")

    def noise():
        return next((source for source in status().get("sources", []) if source["name"] == "noise"), {"dropped": -1})

    wait_until(lambda: noise()["dropped"] == 5, "five that are gone")
    assert noise()["unreadable"] == 1005 and ", 5 unreadable gone" in status()["status"]
    assert "5 that could not become readings are gone" in stack.daemon.run("status").stdout
    stack.daemon.stop()
    program.write_text("#!/bin/sh\n")  # else more is gone when the rest has been dropped
    stack.daemon.start()
    wait_until(lambda: noise()["dropped"] == 5, "the number of before")
    assert stack.daemon.run("rejected", "drop", "--all").returncode == 0
    wait_until(
        lambda: noise()["dropped"] == 0 and "gone" not in status()["status"], "nothing is gone that nobody has seen"
    )


def test_all_that_came_was_left_out(make_stack, own_queue, shared_mongodb, remo):
    """A `fields` that fits nothing is no failure, and nothing of what came is kept."""
    own_queue.create(**GOOD)
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=0)
    stack.daemon.config["publish"]["sources"].append(
        {
            "name": "co2",
            "type": "exec",
            "command": ["echo", '{"co2": 612}'],
            "interval": "1h",
            "reading": {"fields": {"co2": "/CO2"}},
        }
    )
    stack.daemon.write_config()
    stack.daemon.start()
    wait_until(
        lambda: "all that came, 1, was left out by `where` or `fields`" in stack.daemon.run("status").stdout,
        "what was left out",
    )


def test_watch_shows_it_again_and_again(made):
    made.daemon.start()
    with terminal(made, "status", "--watch") as shown:
        for _ in range(2):
            shown.expect("\x1b[H\x1b[2J")
            shown.expect("status        ")
        shown.type("\x03")
        assert shown.end() == -2


def test_nothing_in_the_file_steers_a_terminal(made):
    """It is of the service's user, and root reads it."""
    evil = "a\x1b]0;x\x07\u009b31m\u202e"
    report = {
        "config": str(made.daemon.config_file),
        "time": evil,
        "version": evil,
        "status": evil,
        "sources": [{"name": evil, "last_poll": evil, "failing": True, "failing_since": evil, "detail": evil}],
        "subscriptions": [{"subscription": evil, "sink": {"what": evil, "down_since": evil, "detail": evil}}],
    }
    (made.daemon.state / "status.json").write_text(
        json.dumps(report, ensure_ascii=False).replace("\x1b", "\\u001b").replace("\x07", "\\u0007")
    )
    for arguments in (["status"], ["status", "--check"]):
        shown = made.daemon.run(*arguments).stdout
        assert "a ]0;x  31m " in shown and not set(shown) & set("\x1b\x07\u009b\u202e")
    with terminal(made, "status", "--json") as shown:
        shown.end()
    assert "31m" in shown.shown and not set(shown.shown) & set("\u009b\u202e")
    assert json.loads(made.daemon.run("status", "--json").stdout) == report  # unchanged for a program


def test_one_way_of_showing(made):
    done = made.daemon.run("check", "--watch")
    assert done.returncode == 64 and "belong to status" in done.stderr


def reject_one(stack):
    stack.remo.scenario = "empty"
    stack.queue.call("POST", "topics/sensor-data:publish", {"messages": [{"data": base64.b64encode(b"[]").decode()}]})
    assert stack.daemon.run("once", timeout=120).returncode == 0
    return len(stack.daemon.run("rejected", "list").stdout.splitlines())


def test_drop_all_asks_a_person(made):
    assert reject_one(made) == 1
    for answer, left in (("", 1), ("n", 1), ("y", 0)):
        with terminal(made, "rejected", "drop", "--all") as asked:
            asked.answer("Delete all rejected readings for good?", answer)
            assert asked.end() == (0 if answer == "y" else 75)
        assert len(made.daemon.run("rejected", "list").stdout.splitlines()) == left


def test_once_has_nothing_to_mail_while_all_goes_well(made):
    made.daemon.config["log_level"] = "info"
    made.daemon.write_config()
    done = made.daemon.run("once", timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and made.count() == 3
    made.queue.service.faults.add({"match": ":publish$", "times": -1, "action": {"type": "status", "status": 503}})
    done = made.daemon.run("once", timeout=120)
    assert done.returncode == 75 and "Not everything is stored" in done.stderr


def test_once_has_no_advice_to_mail(make_stack, own_queue, shared_mongodb, remo):
    """Each run would give it anew: a subscription as gcloud makes it, a sensor that was unplugged, a key without effect."""
    own_queue.create("dead", None)
    own_queue.create(deadLetterPolicy={"deadLetterTopic": "projects/my-project/topics/dead"})
    remo.scenario = "edge"
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=0)
    stack.daemon.config["log_level"] = "info"
    stack.daemon.config["publish"]["sources"].append(
        {"name": "stream", "type": "exec", "mode": "stream", "command": ["/bin/cat"], "interval": "1m"}
    )
    stack.daemon.write_config()
    advice = stack.daemon.run("check", timeout=120).stdout
    assert "ack deadline" in advice and "has no effect" in advice, advice
    done = stack.daemon.run("once", timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and stack.count() > 3
