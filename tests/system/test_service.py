"""The service as people operate it: configure, start, look, reload, break, stop."""

import re
import time
from pathlib import Path

import pytest
import requests
from harness import EVENTS, wait_until
from house import CA_FILE, House, listening
from services.ports import free_port


def test_edited_example_runs(machine, house):
    """Only the shipped file and the secret files are edited; then everything that is polled lands in MongoDB."""
    text = machine.read("/etc/sensorqd/sensorqd.yaml")
    for old, new in (
        ("#endpoint: https://pubsub.googleapis.com", f"endpoint: {house.pubsub.url}"),
        ("#ca_file: /etc/ssl/certs/proxy.pem", f"ca_file: {CA_FILE}"),
        ("#interval: 60s", "interval: 10s"),
        ("#url: https://api.nature.global", f"url: {house.remo.url}"),
        ("mongodb://sensorqd@localhost:27017/?authSource=admin", house.mongodb_uri()),
        ("database: home", f"database: {house.database}"),
    ):
        assert old in text, old
        text = text.replace(old, new, 1)
    house.move_in(machine)
    machine.write("/etc/sensorqd/sensorqd.yaml", text)
    setup = machine.run("sensorqd", "setup").stdout
    assert "FAIL" not in setup
    check = machine.run("sensorqd", "check").stdout
    assert "FAIL" not in check and len(re.findall(r"^ok ", check, re.M)) >= 5, check
    house.forget_polls()
    machine.systemctl("enable", "--now", "sensorqd")
    state = machine.show("ActiveState", "SubState", "Type")
    assert (state["ActiveState"], state["SubState"], state["Type"]) == ("active", "running", "notify")
    house.wait_count(5)
    house.settle()


def test_nothing_listens_and_nothing_is_handed_down(running, house):
    """Without http_push and page there is no socket that waits for others. From systemd come an empty input and the
    journal, and no more: each file that is open is the service's own."""
    house.wait_count(5)
    pid = running.show("MainPID")
    assert listening(running, pid) == []
    links = dict(
        line.split(" ", 1)
        for line in running.run(
            "sh", "-c", f"cd /proc/{pid}/fd; for fd in *; do echo $fd $(readlink $fd); done"
        ).stdout.splitlines()
    )
    assert links["0"] == "/dev/null" and links["1"] == links["2"] and links["1"].startswith("socket:")
    assert "LISTEN_FDS" not in running.read(f"/proc/{pid}/environ")
    assert {
        link
        for link in links.values()
        if not re.match(r"socket:|pipe:|anon_inode:|/dev/null$|/var/lib/sensorqd/", link)
    } == set()


def test_status_in_words_and_numbers(running, house):
    """`systemctl status` has one line in words; `sensorqd status` is for everybody on the machine, from the start
    on."""
    assert running.status(user="nobody")["stopping"] is False
    house.wait_count(5)
    line = running.wait_status_text(r"home polled \d\d:\d\d:\d\d.*last stored \d\d:\d\d:\d\d")
    wait_until(lambda: "Status: " in running.systemctl("status", "sensorqd").stdout, "the line in systemctl status")
    assert re.search(r"Status: .*home polled", running.systemctl("status", "sensorqd").stdout), line
    wait_until(
        lambda: running.status(user="nobody")["subscriptions"][0]["sink"]["stored"] >= 5, "the count of what is stored"
    )
    assert running.status(user="nobody")["sources"][0]["name"] == "home"
    assert "home" in running.run("sensorqd", "status", user="nobody").stdout


def test_journal_has_fields_and_explanations(running):
    entry = running.wait_event("STARTED")
    assert entry["SYSLOG_IDENTIFIER"] == "sensorqd" and entry["_SYSTEMD_UNIT"] == "sensorqd.service"
    assert entry["SENSORQD_FILE"] == "/etc/sensorqd/sensorqd.yaml" and entry["PRIORITY"] in "56"
    text = running.run("journalctl", "-x", "-u", "sensorqd", "--no-pager", f"MESSAGE_ID={EVENTS['STARTED']}").stdout
    assert "Subject: sensorqd has started" in text and "sensorqd has read /etc/sensorqd/sensorqd.yaml" in text
    assert f"{EVENTS['STARTED']}" in running.run("journalctl", "--list-catalog").stdout


def test_secrets_are_nowhere_to_be_seen(running, house):
    """P10: neither in argv, environment, journal nor in what others may read."""
    house.wait_count(5)
    assert running.status()["sources"]
    secrets = [house.remo.token, house.mongodb.user[1], "PRIVATE KEY"]
    pid = running.show("MainPID")
    seen = [
        running.read(f"/proc/{pid}/cmdline"),
        running.read(f"/proc/{pid}/environ"),
        running.run("journalctl", "--no-pager", "-o", "export").stdout,
        running.systemctl("show", "sensorqd").stdout,
        running.run("sensorqd", "status", "--json").stdout,
    ]
    assert not [secret for secret in secrets for text in seen if secret in text]
    assert (
        running.run(
            "cat", "/run/credentials/sensorqd.service/sensorqd_mongodb.password", check=False, user="nobody"
        ).returncode
        != 0
    )


def test_reload_takes_a_good_file(running, house):
    """A second source and another log level, twice in a row, without a restart."""
    running.wait_event("STARTED")
    pid = running.show("MainPID")
    config = house.config()
    config["log_level"] = "debug"
    config["publish"]["sources"].append(house.source("attic"))
    running.configure(config, {})
    running.systemctl("reload", "sensorqd")
    running.wait_event("RELOADED")
    wait_until(lambda: house.count({"source": "attic"}) >= 5, "readings of the new source")
    running.systemctl("reload", "sensorqd")
    running.wait_event("RELOADED", 2)
    assert running.show("MainPID") == pid and running.show("ActiveState") == "active"
    assert [e for e in running.journal() if e["PRIORITY"] == "7"], "log_level: debug"
    house.settle()


def test_page_in_the_hardened_unit(running, house, certificates):
    """The server, its TLS library, the charts' thread and their file do with the calls and the memory that the unit
    allows."""
    config, port = house.config(), free_port()
    pair = {"certificate_file": "/etc/sensorqd/page.crt", "key_file": "/etc/sensorqd/page.key"}
    for name, there in (("cert", pair["certificate_file"]), ("key", pair["key_file"])):
        running.write(there, Path(getattr(certificates.server, name)).read_text())
        running.run("chmod", "0644", there)
    config["page"] = {"listen": f"127.0.0.1:{port}", "tls": pair}
    running.configure(config, {})
    running.systemctl("reload", "sensorqd")
    running.wait_event("RELOADED")  # systemctl may be back before the signal is taken
    house.wait_count(5)

    def get(path, **more):
        return requests.get(f"https://127.0.0.1:{port}{path}", verify=certificates.ca, timeout=20, **more)

    series = wait_until(lambda: get("/api/series").json()["series"], "values of what was polled")
    found = get(
        "/api/values",
        params={
            "series": series[0]["id"],
            "from": series[0]["last"]["time"] - 3_600_000,
            "to": series[0]["last"]["time"] + 60_000,
            "points": 10,
        },
    ).json()
    assert (
        found["series"][0]["count"]
        and "sensorqd_reading_timestamp_seconds{" in get("/metrics").text
        and "<title>sensorqd" in get("/").text
    )
    running.systemctl("reload", "sensorqd")
    running.wait_event("RELOADED", 2)
    assert get("/healthz").status_code in (200, 503)
    running.systemctl("stop", "sensorqd")
    assert running.show("Result", "NRestarts") == {"Result": "success", "NRestarts": "0"}
    assert running.run("test", "-s", "/var/lib/sensorqd/page.sqlite", check=False).returncode == 0
    assert not [
        line
        for line in running.run("journalctl", "-u", "sensorqd", "--no-pager").stdout.splitlines()
        if "PAGE" in line or "SIGSYS" in line
    ]


def test_reload_refuses_a_bad_file(running, house):
    """P9: the reload fails visibly, and the old configuration goes on."""
    house.wait_count(5)
    pid = running.show("MainPID")
    good = running.read("/etc/sensorqd/sensorqd.yaml")
    running.write("/etc/sensorqd/sensorqd.yaml", good.replace('"interval": "10s"', '"interval": "5s"'))
    assert running.systemctl("reload", "sensorqd", check=False).returncode != 0
    entry = running.wait_event("RELOAD_REFUSED", unit=None)  # of `check`, which has ended
    assert re.search(r"sensorqd\.yaml:\d+:\d+: .*interval", entry["MESSAGE"])
    assert not running.journal("CONFIG_REJECTED", unit=None)
    assert running.show("MainPID") == pid and running.show("ActiveState") == "active"
    running.wait_status_text("reload refused")  # until the file is right: the next start would fail
    running.systemctl("kill", "--signal=HUP", "--kill-who=main", "sensorqd")
    assert re.search(r"sensorqd\.yaml:\d+:\d+", running.wait_event("RELOAD_REFUSED", 2, unit=None)["MESSAGE"])
    running.wait_status_text("reload refused")
    seen = house.count()
    house.wait_count(seen + 5)
    assert running.show("MainPID") == pid
    house.settle()


def test_mongodb_outage(machine, tmp_path, certificates, own_mongodb):
    """P5: seen in systemctl status and the journal, over by itself, nothing lost."""
    with House(tmp_path, certificates, own_mongodb, deadline_scale=1) as house:
        house.move_in(machine)
        machine.systemctl("start", "sensorqd")
        house.wait_count(5)
        own_mongodb.stop()
        house.publish(1)
        entry = machine.wait_event("SINK_DOWN")
        assert entry["PRIORITY"] in "34" and entry["SENSORQD_SUBSCRIPTION"].endswith("/sensor-data-mongodb")
        machine.wait_status_text("MongoDB down since")
        polled = len(house.remo.served())
        house.publish(200)
        wait_until(lambda: len(house.remo.served()) > polled, "a poll during the outage")
        assert machine.show("ActiveState") == "active"
        own_mongodb.start()
        machine.wait_event("SINK_UP")
        house.settle()
        wait_until(lambda: "MongoDB down" not in machine.show("StatusText"), "a status without the outage")
        assert len(machine.journal("SINK_DOWN")) == len(machine.journal("SINK_UP")) == 1
        text = machine.run("journalctl", "-x", "-u", "sensorqd", "--no-pager").stdout
        assert re.search(r"Subject: Messages of \S+ cannot be stored", text) and re.search(
            r"Subject: Messages of \S+ are stored again", text
        )


def test_watchdog_ends_a_daemon_that_hangs(machine, house):
    """P4, P8: killed by its service manager, it starts again and goes on."""
    machine.drop_in("[Service]\nWatchdogSec=5\nRestartSec=1\n")
    house.move_in(machine)
    machine.systemctl("start", "sensorqd")
    house.wait_count(5)
    pid = machine.show("MainPID")
    with house.kill_of():
        machine.run("sh", "-c", f"kill -STOP {pid}")
        wait_until(
            lambda: machine.show("NRestarts") != "0" and machine.show("ActiveState") == "active",
            "a restart by the watchdog",
        )
    assert machine.show("MainPID") not in ("0", pid)
    assert "Watchdog timeout" in machine.run("journalctl", "-u", "sensorqd", "--no-pager").stdout
    house.publish(50)
    house.settle()
    assert not list(machine.path("/var/lib/systemd").glob("coredump/*"))


def test_boot_while_nothing_can_be_reached(machine, house):
    """P5: the unit starts at boot without network and stays up; with the network it does its work."""
    house.move_in(machine)
    machine.systemctl("enable", "sensorqd")
    machine.power_off()
    machine.boot(network=False)
    assert wait_until(lambda: machine.show("ActiveState") == "active", "the service")
    machine.wait_event("SOURCE_FAILING")
    machine.wait_event("SINK_DOWN")
    assert machine.show("ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    assert not house.remo.served()
    machine.power_off()
    machine.boot()
    house.wait_count(5)
    house.settle()


def test_power_cut(machine, house):
    """P1: the machine goes down hard while messages flow, and goes on at the next boot."""
    house.move_in(machine)
    machine.systemctl("enable", "--now", "sensorqd")
    with house.flow():
        house.wait_count(50, {"key": {"$exists": True}})
        with house.kill_of():
            machine.kill()
            machine.boot()
    house.settle()


def test_stop_under_load_is_bounded(running, house):
    """P8: at most 30 s and what a slow machine adds, clean, and nothing is lost."""
    house.publish(4000, padding=500)
    house.wait_count(200, {"key": {"$exists": True}})
    began = time.monotonic()
    with house.stop_of():
        running.systemctl("stop", "sensorqd")
    assert time.monotonic() - began < 45
    assert running.show("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    running.wait_event("STOPPED", unit=None)
    running.systemctl("start", "sensorqd")
    house.settle()


CLINGING = """#!/bin/bash
setsid bash -c 'trap "" TERM; echo $$ >/var/lib/sensorqd/child; sleep 1000' &
trap 'echo off >/var/lib/sensorqd/device; exit' TERM
echo 1
while :; do sleep 0.1; done
"""


def test_nobody_clings_to_a_stop(machine, house):
    """P8: a program lets go of its device, and what it left behind, which listens to nothing, ends with the service."""
    machine.write("/usr/local/bin/clinging", CLINGING, 0o755)
    config = house.config()
    config["publish"]["sources"] = [
        {"name": "clinging", "type": "exec", "mode": "stream", "command": ["/usr/local/bin/clinging"]}
    ]
    house.move_in(machine, config)
    child = machine.path("/var/lib/sensorqd/child")
    machine.systemctl("start", "sensorqd")
    wait_until(lambda: child.exists() and child.read_text().strip() and house.count(), "its child and its reading")
    began = time.monotonic()
    machine.systemctl("stop", "sensorqd")
    assert time.monotonic() - began < 25  # TimeoutStopSec= is 30 s
    assert machine.show("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    assert machine.read("/var/lib/sensorqd/device") == "off\n"
    assert machine.run("test", "-d", f"/proc/{child.read_text().strip()}", check=False).returncode != 0

    child.unlink()
    machine.systemctl("start", "sensorqd")
    wait_until(lambda: child.exists() and child.read_text().strip(), "its child")
    machine.systemctl("kill", "--kill-who=main", "--signal=KILL", "sensorqd")
    wait_until(lambda: machine.show("SubState") == "auto-restart", "the pause before a restart", 25)
    assert machine.run("test", "-d", f"/proc/{child.read_text().strip()}", check=False).returncode != 0


@pytest.mark.parametrize("what", ["configuration", "secret"])
def test_what_only_a_person_can_mend_is_not_retried(machine, house, what):
    """P9: exit 78 for the file, 77 for a secret; failed at once, with words, and no restart."""
    config, secrets = house.config(), house.secrets()
    if what == "configuration":
        config["publish"]["sources"][0]["intervall"] = "60s"
    else:
        secrets = {}  # an empty credentials directory is no obstacle of its own
    machine.write(CA_FILE, Path(house.certificates.ca).read_text())
    machine.configure(config, secrets)
    assert machine.systemctl("start", "sensorqd", check=False).returncode != 0
    state = machine.show("ActiveState", "NRestarts", "ExecMainStatus", "Result")
    assert state == {
        "ActiveState": "failed",
        "NRestarts": "0",
        "Result": "exit-code",
        "ExecMainStatus": "78" if what == "configuration" else "77",
    }
    message = machine.wait_event("CONFIG_REJECTED", unit=None)["MESSAGE"]
    assert re.search(
        r"sensorqd\.yaml:\d+:\d+: .*intervall"
        if what == "configuration"
        else "credentials|mongodb.password|nature-remo.token",
        message,
    )
    house.move_in(machine)
    machine.systemctl("start", "sensorqd")
    house.wait_count(5)


def test_pauses_between_restarts_grow(machine):
    """P4: tried for ever; rarer and rarer where systemd can (254 and later), in steps up to five minutes."""
    version = int(machine.systemctl("--version").stdout.split()[1])
    machine.drop_in("[Service]\nExecStart=\nExecStart=/bin/false\n")
    machine.systemctl("start", "sensorqd", check=False)
    if version < 254:
        assert machine.show("RestartUSec", "StartLimitIntervalUSec") == {
            "RestartUSec": "15s",
            "StartLimitIntervalUSec": "0",
        }
        return
    wait_until(lambda: machine.show("NRestarts") == "3", "three restarts", 60)
    entries = machine.journal(None, CODE_FUNC="service_enter_restart")
    assert len(entries) == 3, entries
    moments = [int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6 for entry in entries]
    assert machine.show("RestartUSec", "RestartSteps", "RestartMaxDelayUSec", "StartLimitIntervalUSec") == {
        "RestartUSec": "5s",
        "RestartSteps": "6",
        "RestartMaxDelayUSec": "5min",
        "StartLimitIntervalUSec": "0",
    }
    pauses = [later - earlier for earlier, later in zip(moments, moments[1:])]
    assert 9 < pauses[0] and 18 < pauses[1], pauses  # how much longer is the machine's affair


def test_three_instances_share_a_subscription(machine, house):
    """P4: each stores a part, none stores what another one has."""
    house.move_in(machine)
    names = ["a", "b", "c"]
    for name in names:
        machine.configure(house.config(publishes=False, max_messages=20), {}, name=name)
    machine.systemctl("start", *[f"sensorqd@{name}" for name in names])
    wait_until(
        lambda: house.pubsub.store.waiting >= len(names), "a pull of each"
    )  # else two may be through before the third has begun
    house.publish(1500)
    stored = house.settle()
    wait_until(
        lambda: sum(machine.status(name)["subscriptions"][0]["sink"]["stored"] for name in names) == stored,
        "three counts that add up",
    )
    assert all(machine.status(name)["subscriptions"][0]["sink"]["stored"] > 0 for name in names)
    for name in names:
        assert machine.path(f"/var/lib/sensorqd-{name}").is_dir()
        assert machine.journal("STARTED", unit=f"sensorqd@{name}")


def test_verbs_of_an_instance_leave_others_alone(running, house):
    """What one instance has set apart is neither listed nor dropped by the verbs of another one, whose file names no
    state_dir either."""
    running.configure(house.config(publishes=False), {}, name="second")
    house.wait_count(5)
    running.run(
        "sqlite3",
        "-cmd",
        ".timeout 10000",
        "/var/lib/sensorqd/outbox.sqlite",
        "INSERT INTO unreadable (source, size, at, topic, reason, payload) VALUES ('home', 1, 1, '', 'odd', x'7b')",
    )
    apart = running.run("sensorqd", "rejected", "list").stdout
    assert "source:home:" in apart
    second = "sensorqd", "-c", "/etc/sensorqd/second.yaml", "rejected"
    assert "/var/lib/sensorqd-second  state_dir: the unit makes it" in running.run(*second[:3], "check").stdout
    assert "source:home:" not in running.run(*second, "list").stdout
    running.run(*second, "drop", "--all", check=False)
    assert running.run("sensorqd", "rejected", "list").stdout == apart

    running.systemctl("start", "sensorqd@second")
    assert "source:home:" not in running.run(*second, "list").stdout
    running.run(*second, "drop", "--all", check=False)
    assert running.run("sensorqd", "rejected", "list").stdout == apart

    house.pubsub.faults.add({"match": ":publish", "times": -1, "action": {"type": "status", "status": 503}})
    running.wait_event("PUBLISH_FAILING")
    with house.stop_of():
        running.systemctl("stop", "sensorqd")
    assert (
        "readings wait in"
        not in running.run("sensorqd", "-c", "/etc/sensorqd/second.yaml", "check", check=False).stdout
    )  # what waits is not its own
    house.pubsub.faults.clear()
    running.systemctl("start", "sensorqd")
    house.settle()


def test_verbs_of_root_leave_the_outbox_to_the_service(running, house):
    """P1: a look by root, while the service runs and while it does not, changes no owner that the service needs."""
    house.wait_count(5)
    running.run("sensorqd", "rejected", "list")
    with house.stop_of():
        running.systemctl("stop", "sensorqd")
    running.run("sensorqd", "rejected", "list")
    seen = house.count()
    running.systemctl("start", "sensorqd")
    house.wait_count(seen + 5)
    running.run("sensorqd", "rejected", "list")
    owners = {path.stat().st_uid for path in running.path("/var/lib/sensorqd").iterdir()}
    assert len(owners) == 1 and 0 not in owners
    assert not running.journal("OUTBOX_FAILING")
    house.settle()
