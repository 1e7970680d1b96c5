"""The daemon and its verbs in the environments that they meet: a cron job's, which has next to nothing, and the unit's.
The other tests' one is kinder than both."""

import subprocess
from pathlib import Path

import pytest
from harness import wait_until

GOOD = {"ackDeadlineSeconds": 60, "expirationPolicy": {}, "messageRetentionDuration": "604800s"}


@pytest.fixture
def made(make_stack, own_queue, shared_mongodb, remo):
    own_queue.create(**GOOD)
    return make_stack(own_queue, shared_mongodb, remo)


def in_cron(stack, tmp_path):
    """env -i HOME PATH"""
    fixed = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **stack.daemon.env}
    stack.daemon.environment = lambda **more: {**fixed, **more}
    return stack.daemon


def in_unit(stack, tmp_path):
    """What systemd hands over for StateDirectory=, RuntimeDirectory= and LoadCredential=, and the unit's own line."""
    (tmp_path / "run").mkdir()
    fixed = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
        "USER": "sensorqd",
        "LOGNAME": "sensorqd",
        "HOME": "/",
        "INVOCATION_ID": "0" * 32,
        "STATE_DIRECTORY": str(stack.daemon.state),
        "RUNTIME_DIRECTORY": str(tmp_path / "run"),
        "CREDENTIALS_DIRECTORY": str(stack.daemon.directory / "credentials"),
        "MONGOC_DISABLE_SHM": "1",
        **stack.daemon.env,
    }
    stack.daemon.environment = lambda **more: {**fixed, **more}
    del stack.daemon.config["state_dir"]
    stack.daemon.write_config()
    return stack.daemon


def run(daemon, *arguments):
    """(exit code, standard output, standard error); leaves nothing behind."""
    process = subprocess.Popen(
        daemon.command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=daemon.environment(),
        cwd="/",
    )
    shown, told = process.communicate(timeout=180)
    assert not Path(f"/dev/shm/mongoc-{process.pid}").exists(), arguments
    told = "".join(
        line for line in told.splitlines(True) if "Falling back to malloc" not in line
    )  # of what another program left under this number
    return process.returncode, shown, told


def test_once_in_cron(made, tmp_path):
    daemon = in_cron(made, tmp_path)
    code, shown, logged = run(daemon, "once")
    assert code == 0 and made.count() > 0, logged
    assert shown == "" and "warning" not in logged, logged
    assert run(daemon, "once")[0] == 0


def test_verbs_in_cron(made, tmp_path):
    daemon = in_cron(made, tmp_path)
    for arguments, expected in (
        (["check"], 0),
        (["setup"], 0),
        (["check", "--offline"], 0),
        (["rejected", "list"], 0),
        (["status"], 69),
        (["--help"], 0),
    ):
        code, shown, told = run(daemon, *arguments)
        assert code == expected, (arguments, shown, told)
        assert told == "" or arguments in (["rejected", "list"], ["status"]), (arguments, told)


def test_daemon_in_the_unit(made, tmp_path):
    daemon = in_unit(made, tmp_path)
    daemon.start()
    made.wait_count(3)
    assert (tmp_path / "run/status.json").exists() and (daemon.state / "outbox.sqlite").exists()
    assert daemon.stop() == 0
    assert not Path(f"/dev/shm/mongoc-{daemon.process.pid}").exists()


def test_verbs_beside_the_unit(made, tmp_path):
    daemon = in_unit(made, tmp_path)
    daemon.start()
    made.wait_count(1)
    wait_until(lambda: run(daemon, "status", "--check")[0] == 0, "all is well")
    for arguments, expected in (
        (["check"], 0),
        (["status"], 0),
        (["status", "--json"], 0),
        (["rejected", "list"], 0),
        (["once"], 75),
    ):
        code, shown, told = run(daemon, *arguments)
        assert code == expected, (arguments, shown, told)
    assert daemon.stop() == 0


def test_start_short_of_descriptors(sensorqd):
    """The words name the machine's limits: nothing is wrong with the configuration."""
    mongodb = {"uri": "mongodb://127.0.0.1:9/", "database": "home", "collection": "readings"}
    config = {"pubsub": {"project": "my-project"}, "subscribe": [{"subscription": "sub", "mongodb": mongodb}]}
    daemon = sensorqd(config, env={"PUBSUB_EMULATOR_HOST": "127.0.0.1:9"})
    for limit in range(8, 40):
        daemon.wrapper = ["prlimit", f"--nofile={limit}"]
        done = daemon.run("once")
        if done.returncode == 71 and "Not started" in done.stderr:
            break
    assert "Too many open files; look at this machine's memory, and at the unit's" in done.stderr
