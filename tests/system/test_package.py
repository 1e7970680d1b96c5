"""The package: what it installs and how it behaves at install, upgrade, removal and purge."""

import json
import re
import shutil
import subprocess

import package
import pytest
from harness import wait_until
from house import TOPIC

# What `dpkg --purge` may leave: the package manager's own records, and the journal.
RECORDS = ("/var/lib/dpkg/", "/var/log/", "/var/lib/apt/", "/root/", "/var/lib/systemd/catalog/")


def test_lintian_has_nothing_to_say(deb):
    if shutil.which("lintian") is None:
        pytest.skip("not installed: lintian")
    changes = next(deb.parent.glob("*.changes"))
    run = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", str(changes)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_contents(deb):
    listing = package.run("dpkg-deb", "-c", deb)
    for path in (
        "usr/share/sensorqd/sensorqd.yaml",
        "usr/lib/sysusers.d/sensorqd.conf",
        "usr/bin/sensorqd",
        "usr/lib/systemd/catalog/sensorqd.catalog",
        "usr/lib/systemd/catalog/sensorqd.ja.catalog",
        "usr/share/man/man8/sensorqd.8.gz",
        "usr/share/man/man5/sensorqd.yaml.5.gz",
        "usr/share/bash-completion/completions/sensorqd",
        "usr/share/zsh/vendor-completions/_sensorqd",
        "usr/share/fish/vendor_completions.d/sensorqd.fish",
    ):
        assert f" ./{path}\n" in listing, path
    assert re.search(r"^drwx------ root/root .* \./etc/sensorqd/credentials/$", listing, re.M)
    assert not re.search(r"\./etc/sensorqd/credentials/.+", listing), "shipped empty"
    for unit in ("sensorqd.service", "sensorqd@.service"):
        assert re.search(rf"lib/systemd/system/{unit}$", listing, re.M)


def test_installs_without_starting_or_asking(bare_machine, deb):
    bare_machine.install(deb)
    assert bare_machine.show("ActiveState") == "inactive"
    assert bare_machine.systemctl("is-enabled", "sensorqd", check=False).stdout.strip() == "disabled"
    assert bare_machine.run("dpkg-query", "-W", "-f=${Conffiles}", "sensorqd").stdout.strip() == "", (
        "an upgrade has nothing to ask about"
    )
    assert bare_machine.run("sensorqd", "--version", user="nobody").stdout.startswith("sensorqd ")
    assert bare_machine.run("sensorqd", "check", "--offline").returncode == 0, "the file that is shipped is a valid one"
    assert bare_machine.systemctl("--failed", "--no-legend", "--plain").stdout == ""


def test_completion_offers_verbs(bare_machine, deb):
    """Read by the shell that has no helper functions but those that it uses."""
    bare_machine.install(deb)
    script = (
        '_init_completion() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }\n'
        ". /usr/share/bash-completion/completions/sensorqd; COMP_WORDS=(sensorqd s); COMP_CWORD=1; _sensorqd; echo ${COMPREPLY[@]}"
    )
    assert bare_machine.run("bash", "-c", script).stdout.split() == ["setup", "status"]


def test_upgrade_while_messages_flow(running, house, newer_deb):
    """P4, P8: the daemon is restarted by the new version, and nothing is lost or doubled."""
    house.wait_count(5)
    with house.flow():
        house.wait_count(50, {"key": {"$exists": True}})
        before = running.show("MainPID")
        with house.stop_of():
            running.install(newer_deb)
        after = wait_until(
            lambda: running.show("ActiveState") == "active" and running.show("MainPID"), "the new daemon"
        )
        assert after != before and running.show("NRestarts") == "0"
        seen = house.count()
        house.wait_count(seen + 50)
    assert running.run("dpkg-query", "-W", "-f=${Version}", "sensorqd").stdout == "0.9.0-1"
    house.settle()


def in_flight(machine, house):
    """Leaves a daemon with readings at every place of their way."""
    with house.refusing(house.remo.devices[0]["id"]):
        machine.systemctl("start", "sensorqd")
        wait_until(lambda: machine.status()["outbox"]["rejected_rows"] >= 1, "a reading set apart in the outbox", 60)
    house.call(
        "POST",
        f"topics/{TOPIC}:publish",
        {"messages": [{"data": "bm90IEpTT04=", "attributes": {"idempotency_key": "bad"}}]},
    )
    wait_until(lambda: house.collection("readings_rejected").count_documents({}) == 1, "a message set apart in MongoDB")

    def fail(what):
        house.pubsub.faults.add({"match": what, "times": -1, "action": {"type": "status", "status": 503}})

    fail(":acknowledge")
    house.publish(20)
    house.wait_count(1, {"key": {"$exists": True}})
    fail(":pull")  # not before: none may have been open just then
    house.publish(20)  # a pull that is open may take them
    machine.wait_event("SUBSCRIPTION_FAILING")
    house.publish(20)
    fail(":publish")
    wait_until(lambda: machine.status()["outbox"]["rows"] >= 10, "two polls in the outbox", 60)


def rejected_ids(machine):
    return sorted(re.findall(r"^(?:outbox:|projects/)\S+", machine.run("sensorqd", "rejected", "list").stdout, re.M))


def test_upgrade_from_an_earlier_version(bare_machine, house, old_deb, newer_deb):
    """P1, P2, P4: as it was; 0.1.0 had a dynamic user, the outbox's first schema, documents without a hash. What waits
    in the outbox, what is in the queue, what was stored and not acknowledged and what was set apart at either end is
    there afterwards, once, also after a way back to 0.2.0; the edited file asks nothing and stays."""
    old = package.version(old_deb).split("-")[0]
    bare_machine.install(old_deb)
    assert bare_machine.run("sensorqd", "--version").stdout == f"sensorqd {old}\n" or old not in package.RELEASES
    house.move_in(bare_machine)
    in_flight(bare_machine, house)
    assert bare_machine.path("/var/lib/private/sensorqd/outbox.sqlite").exists() == (old < "0.2")
    config, apart, stored = (
        bare_machine.read("/etc/sensorqd/sensorqd.yaml"),
        rejected_ids(bare_machine),
        list(house.collection().find()),
    )
    assert {id[:7] for id in apart} == {"outbox:", "project"} and any(
        "sha256" in document["pubsub"] for document in stored
    ) == (old != "0.1.0")
    with house.stop_of():
        bare_machine.install(newer_deb)
        if old == "0.2.0":  # NEWS.md: "you can go back"
            wait_until(lambda: bare_machine.show("ActiveState") == "active", "the new daemon")
            bare_machine.install(old_deb)
            wait_until(lambda: bare_machine.show("ActiveState") == "active", "the old daemon again")
            assert rejected_ids(bare_machine) == apart
            bare_machine.install(newer_deb)
    wait_until(lambda: bare_machine.show("ActiveState") == "active", "the new daemon")
    assert (
        int(re.search(r"(\d+) readings queued from before", bare_machine.wait_event("STARTED", 2)["MESSAGE"])[1]) >= 10
    )
    user = bare_machine.run("id", "-u", "sensorqd").stdout.strip()
    state = bare_machine.run(
        "stat", "-c", "%F %a %u", "/var/lib/sensorqd", "/var/lib/sensorqd/outbox.sqlite"
    ).stdout.splitlines()
    assert state == [f"directory 750 {user}", f"regular file 600 {user}"]
    assert bare_machine.read("/etc/sensorqd/sensorqd.yaml") == config
    assert rejected_ids(bare_machine) == apart
    house.pubsub.faults.clear()
    bare_machine.run("sensorqd", "rejected", "replay", *[id for id in apart if id.startswith("outbox:")])
    house.settle(rejected=1)
    assert all(house.collection().find_one({"_id": document["_id"]}) == document for document in stored), (
        "not touched again"
    )


def test_upgrade_leaves_a_stopped_service_stopped(machine, newer_deb):
    machine.write("/etc/sensorqd/sensorqd.yaml", machine.read("/etc/sensorqd/sensorqd.yaml") + "# edited\n")
    machine.install(newer_deb)
    assert machine.show("ActiveState") == "inactive"
    assert machine.read("/etc/sensorqd/sensorqd.yaml").endswith("# edited\n"), "the administrator's file stays"


def test_upgrade_says_what_is_refused(machine, newer_deb):
    assert "FAIL" not in machine.install(newer_deb)
    config = machine.read("/etc/sensorqd/sensorqd.yaml")
    machine.write("/etc/sensorqd/sensorqd.yaml", config + "unheard_of: 1\n")
    assert re.search(r"^FAIL +config .*unheard_of", machine.install(newer_deb), re.M)
    assert machine.run("dpkg-query", "-W", "-f=${Status}", "sensorqd").stdout == "install ok installed"


def test_upgrade_restarts_instances(machine, house, newer_deb):
    house.move_in(machine)
    machine.configure(house.config(publishes=False), {}, name="second")
    machine.systemctl("start", "sensorqd@second")
    before = machine.show("MainPID", unit="sensorqd@second")
    machine.install(newer_deb)
    assert machine.show("ActiveState", unit="sensorqd@second") == "active"
    assert machine.show("MainPID", unit="sensorqd@second") != before


def test_installed_again_what_is_enabled_runs_again(running, house, deb):
    """As Debian's users expect it: apt remove, apt install, and it does what it did; what an administrator has stopped
    for good stays stopped."""
    running.configure(house.config(publishes=False), {}, name="second")
    running.configure(house.config(publishes=False), {}, name="third")
    running.systemctl("enable", "sensorqd", "sensorqd@second")
    running.systemctl("start", "sensorqd@second", "sensorqd@third")
    units = "sensorqd", "sensorqd@second", "sensorqd@third"
    running.run("apt-get", "remove", "-qy", "sensorqd")
    assert [running.show("ActiveState", unit=unit) for unit in units] == ["inactive"] * 3
    running.run("apt-get", "install", "-qy", f"/root/{deb.name}")
    assert [running.show("ActiveState", unit=unit) for unit in units] == ["active", "active", "inactive"]
    house.wait_count(house.count() + 3)
    running.systemctl("stop", "sensorqd")
    running.run("apt-get", "install", "-qy", "--reinstall", f"/root/{deb.name}")
    assert [running.show("ActiveState", unit=unit) for unit in units] == ["inactive", "active", "inactive"]
    running.systemctl("disable", "sensorqd")
    running.run("apt-get", "remove", "-qy", "sensorqd")
    running.run("apt-get", "install", "-qy", f"/root/{deb.name}")
    assert [running.show("ActiveState", unit=unit) for unit in units] == ["inactive", "active", "inactive"]


def test_removal_keeps_and_purge_removes(running, house, deb):
    """Removing stops the service and keeps what it has; purging leaves nothing behind but what the administrator put
    there."""
    mine = [
        "/etc/sensorqd/credentials/nature-remo.token",
        "/etc/sensorqd/second.yaml",
        "/var/lib/sensorqd-backup/outbox.sqlite",
        "/var/lib/sensorqd/archive/a.ndjson",
    ]
    for path in mine[2:]:
        running.write(path, "mine")
    running.configure(house.config(publishes=False), {}, name="second")
    running.systemctl("enable", "--now", "sensorqd", "sensorqd@second")
    house.wait_count(5)
    running.write("/var/lib/sensorqd-sensorqd/outbox.sqlite", "of an instance that reads sensorqd.yaml, too")
    ours = [
        f"/var/lib/sensorqd/{name}"
        for name in (
            "oauth2-home.json",
            "mqtt-home.session",
            "alerts.sqlite",
            "rejected.sqlite",
            "page.sqlite",
            "page.sqlite.damaged",
        )
    ]
    for path in ours:
        running.write(path, "the service's")
    running.run("dpkg", "--remove", "sensorqd")
    assert (
        running.show("ActiveState") == "inactive" and running.show("ActiveState", unit="sensorqd@second") == "inactive"
    )
    assert running.path("/var/lib/sensorqd/outbox.sqlite").exists()
    assert json.loads(running.read("/etc/sensorqd/sensorqd.yaml"))
    running.run("dpkg", "--purge", "sensorqd")
    assert not any(running.path(path).exists() for path in (*ours, "/var/lib/sensorqd-sensorqd"))
    assert (
        all(running.path(path).exists() for path in mine) and not running.path("/etc/sensorqd/sensorqd.yaml").exists()
    )
    running.run("rm", "-rf", "/etc/sensorqd", "/var/lib/sensorqd", "/var/lib/sensorqd-backup")
    found = running.run("find", "/", "-xdev", "-name", "*sensorqd*", "-not", "-path", "/proc/*").stdout.split()
    assert [path for path in found if not path.startswith(RECORDS)] == []
    assert running.systemctl("--failed", "--no-legend", "--plain").stdout == ""
