"""What docs/OPERATIONS.md tells an administrator to do, done."""

import contextlib
import json
import re
from pathlib import Path

import pytest
import requests
from harness import wait_until
from house import House
from services import ports
from services.connect_proxy import ConnectProxy
from services.mongodb import MongoDB

PAGE = re.sub(
    r" \\\n +", " ", (Path(__file__).resolve().parents[2] / "docs" / "OPERATIONS.md").read_text()
)  # commands as one line


def block(mark):
    return re.search(rf"<!-- {mark}: .*?-->\n```\w+\n(.*?)```", PAGE, re.S)[1]


def commands(start):
    """The lines of the code block that has this line, without sudo."""
    text = next(code for code in re.findall(r"```sh\n(.*?)```", PAGE, re.S) if start in code)
    return [line.replace("sudo ", "") for line in text.splitlines()]


@pytest.fixture
def strict_mongodb(tmp_path):
    """One whose administrator is not sensorqd's user."""
    with MongoDB(storage=str(tmp_path / "mongodb"), user=("root", "root")) as server:
        yield server


class LeastPrivileged:
    """The house's MongoDB as seen by a user with the page's role only."""

    def __init__(self, server, database):
        self.server, self.user = server, ("sensorqd", "least")
        role = json.loads(
            re.search(r"createRole\((\{.*?\n\})\)", block("role"), re.S)[1].replace('"home"', json.dumps(database))
        )
        with contextlib.closing(server.client()) as client:
            client.admin.command("createRole", role["role"], privileges=role["privileges"], roles=role["roles"])
            client.admin.command("createUser", self.user[0], pwd=self.user[1], roles=[role["role"]])

    def __getattr__(self, name):
        return getattr(self.server, name)


def grant(server, database, collection, action):
    with contextlib.closing(server.client()) as client:
        privilege = {"resource": {"db": database, "collection": collection}, "actions": [action]}
        client.admin.command("grantPrivilegesToRole", "sensorqd", privileges=[privilege])


def test_least_privilege_in_mongodb(machine, tmp_path, certificates, strict_mongodb):
    """P3, P6: insert and find are enough to store and to set apart; setup and replay say what they need beyond."""
    with House(tmp_path, certificates, strict_mongodb) as house:
        house.mongodb = LeastPrivileged(strict_mongodb, house.database)
        house.move_in(machine)
        check = machine.run("sensorqd", "check")
        assert "FAIL" not in check.stdout
        house.forget_polls()
        machine.systemctl("start", "sensorqd")
        house.wait_count(5)
        house.settle()
        house.call(
            "POST",
            "topics/sensor-data:publish",
            {"messages": [{"data": "W10=", "attributes": {"idempotency_key": "no-object"}}]},
        )  # []
        rejected = machine.wait_event("READING_REJECTED")
        assert rejected["SENSORQD_REASON"]
        wait_until(
            lambda: house.collection("readings_rejected").count_documents({}) == 1, "the message that is no object"
        )
        assert re.search(r"^warn .*createIndex", machine.run("sensorqd", "setup").stdout, re.M)
        grant(strict_mongodb, house.database, "readings", "createIndex")
        assert re.search(r"^ok +mongodb .*indexes of .* 4 created", machine.run("sensorqd", "setup").stdout, re.M)
        assert machine.run("sensorqd", "rejected", "drop", "--all", check=False).returncode == 69
        grant(strict_mongodb, house.database, "readings_rejected", "remove")
        machine.run("sensorqd", "rejected", "drop", "--all")
        assert house.collection("readings_rejected").count_documents({}) == 0


def test_question_of_the_page_works(running, house):
    """Types are what readers count on: doubles, and dates."""
    house.wait_count(5)
    house.settle()
    rows = list(house.collection().aggregate(json.loads(block("pipeline"))))
    assert len({row["_id"]["id"] for row in rows}) == 5
    assert all(row["samples"] >= 1 and isinstance(row["temperature"], float) for row in rows)
    assert {type(document["newest_events"]["te"]["val"]) for document in house.collection().find()} == {float}


def test_rotated_token_needs_a_restart(running, house):
    house.wait_count(5)
    house.remo.token = "another-token"
    failing = running.wait_event("SOURCE_FAILING")
    assert "nature-remo.token" in failing["MESSAGE"]
    seen = house.count()
    running.configure(house.config(), house.secrets())
    with house.stop_of():
        running.systemctl("restart", "sensorqd")
    house.wait_count(seen + 5)
    house.settle()


def test_encrypted_credential(machine, house):
    """The page's commands, then the plain file is gone and the login works."""
    house.move_in(machine)
    machine.run("systemd-creds", "setup", check=False)
    lines = commands("systemd-creds encrypt")
    machine.run("sh", "-ec", "\n".join(lines[:-1]).replace("--name", "--with-key=host --name"))
    assert not machine.path("/etc/sensorqd/credentials/mongodb.password").exists()
    machine.run("sh", "-ec", lines[-1])
    house.wait_count(5)
    assert house.mongodb.user[1] not in machine.run("cat", "/etc/sensorqd/mongodb.password.cred").stdout


def test_a_verb_sees_an_encrypted_credential(machine, house):
    """By the page's line; without it `check` says that the secret is missing."""
    house.move_in(machine)
    machine.run("systemd-creds", "setup", check=False)
    machine.run(
        "sh", "-ec", "\n".join(commands("systemd-creds encrypt")[:-1]).replace("--name", "--with-key=host --name")
    )
    assert machine.run("sensorqd", "check", check=False).returncode == 77
    [line] = commands("systemd-run")
    shown = machine.run("sh", "-ec", line, check=False)
    assert re.search(r"^ok +mongodb ", shown.stdout, re.M) and "FAIL" not in shown.stdout, shown.stdout + shown.stderr


def test_alarm_by_mail(running, house):
    """Nothing while all is well; what is wrong, once it is."""
    house.wait_count(5)
    running.write("/usr/local/bin/mail", "#!/bin/sh\ncat >/root/mail-$2\n")
    running.run("chmod", "755", "/usr/local/bin/mail")
    running.run(
        "sh",
        "-ec",
        block("alarm")
        .replace("sudo ", "")
        .replace("sleep 60", "sleep 1")
        .replace('"sensorqd: something is wrong"', "alarm"),
    )
    assert running.systemctl("is-active", "sensorqd-watch.timer").stdout.strip() == "active"
    wait_until(
        lambda: running.systemctl("start", "sensorqd-watch", check=False).returncode == 0,
        "a look at a machine where all is well",
    )
    running.systemctl("stop", "sensorqd")
    running.run("rm", "-f", "/root/mail-alarm")  # it may not have been well at once
    running.systemctl("start", "sensorqd-watch", check=False)
    mail = wait_until(
        lambda: (
            running.path("/root/mail-alarm").exists()
            and "no status of a daemon" in (text := running.read("/root/mail-alarm"))
            and text
        ),
        "the mail",
    )
    assert "Active: inactive" in mail


def test_behind_a_proxy(machine, house):
    """Both ways of the page, through a proxy that is the only way."""
    with ConnectProxy() as proxy:
        config = house.config()
        config["pubsub"]["endpoint"] = house.pubsub.url.replace(
            "127.0.0.1", "pubsub.example"
        )  # a name that only the proxy knows
        house.move_in(machine, config)
        lines = (
            block("proxy")
            .replace("sudo ", "")
            .replace("proxy.lan:3128", f"127.0.0.1:{proxy.port}")
            .replace(" no_proxy=localhost,127.0.0.1", "")
        )
        [check] = [
            line.replace("sudo ", "env ") for line in commands("https_proxy=http://proxy.lan:3128 sensorqd check")
        ]
        shown = machine.run("sh", "-ec", check.replace("proxy.lan:3128", f"127.0.0.1:{proxy.port}"), check=False)
        assert "FAIL" not in shown.stdout and proxy.connects > 0, shown.stdout
        before = proxy.connects
        machine.run("sh", "-ec", lines)
        house.wait_count(5)
        assert proxy.connects > before


def test_socket_of_systemd(running, house, deb):
    """The page's unit and lines beside a service that runs; what is pushed arrives, also after a removal and another
    installation."""
    port = ports.free_port()
    page = (Path(__file__).resolve().parents[2] / "docs" / "sources" / "http-push.md").read_text()
    name, unit = re.search(r"^```ini\n# (\S+\.socket)\n(.*?)```", page, re.M | re.S).groups()
    running.write(name, unit.replace("ListenStream=8427", f"ListenStream=127.0.0.1:{port}"))
    config = house.config()
    config["publish"]["sources"].append(
        {"name": "push", "type": "http_push", "listen": "systemd:push", "token_file": "push.token", "allow_plain": True}
    )
    running.configure(config, {"push.token": "a-secret-of-push"})

    def push():
        headers = {"Authorization": "Bearer a-secret-of-push"}
        assert requests.post(
            f"http://127.0.0.1:{port}/readings", json={"co2": 612}, headers=headers, timeout=60
        ).json() == {"stored": 1}

    running.run("sh", "-ec", re.search(r"<!-- socket: .*?-->\n```sh\n(.*?)```", page, re.S)[1].replace("sudo ", ""))
    push()
    running.systemctl("enable", "sensorqd")
    running.run("dpkg", "--remove", "sensorqd")
    running.install(deb)
    push()


def test_missing_credentials_directory_is_243(machine, house):
    """systemd gives up before sensorqd begins; an install of the directory mends it, without another start. Until then
    the journal grows slowly."""
    house.move_in(machine)
    grows = machine.show("RestartUSec") != "15s"  # to 5 min: test_pauses_between_restarts_grow
    machine.drop_in("[Service]\nRestartSec=1\n" + ("RestartSteps=0\n" if grows else ""))
    machine.run("mv", "/etc/sensorqd/credentials", "/root/credentials")
    assert machine.systemctl("start", "sensorqd", check=False).returncode != 0
    wait_until(
        lambda: "243/CREDENTIALS" in machine.run("journalctl", "-u", "sensorqd", "--no-pager").stdout,
        "the reason in the journal",
    )
    wait_until(lambda: int(machine.show("NRestarts")) >= 4, "four more tries")
    lines = machine.run("journalctl", "-u", "sensorqd", "-o", "cat", "--no-pager").stdout.count("\n") / (
        1 + int(machine.show("NRestarts"))
    )
    assert lines * 3600 / (300 if grows else 15) < 2500, f"{lines} lines a try"  # some of them are of the CPU time
    machine.run("mv", "/root/credentials", "/etc/sensorqd/credentials")
    wait_until(lambda: machine.show("ActiveState") == "active", "the next try")
    house.wait_count(5)


def test_outbox_in_another_place(running, house):
    """A drop-in gives the unit a user with a fixed number and the directory."""
    house.wait_count(5)
    seen = house.count()
    running.configure({**house.config(), "state_dir": "/srv/sensorqd"}, {})
    with house.stop_of():
        running.run("sh", "-ec", "\n".join(commands("ReadWritePaths")))
    house.wait_count(seen + 5)
    assert running.path("/srv/sensorqd/outbox.sqlite").exists()
    assert running.status(user="nobody")["sources"]
    house.settle()


def test_backup_of_the_outbox(running, house):
    """What waits is in a copy that is taken while the service runs, and is stored once after it is put back elsewhere
    (P4)."""
    house.wait_count(5)
    house.pubsub.faults.add({"match": ":publish", "times": -1, "action": {"type": "status", "status": 503}})
    running.wait_event("PUBLISH_FAILING")
    running.run("sh", "-ec", commands(".backup")[-1])
    assert int(running.run("sqlite3", "/root/outbox.sqlite", "SELECT count(*) FROM readings").stdout) >= 5
    house.pubsub.faults.clear()
    running.wait_event("PUBLISH_RECOVERED", patience=60)
    house.settle()
    stored = house.count()
    with house.stop_of():
        running.run("sh", "-ec", "\n".join(commands("chown --reference")))
    wait_until(
        lambda: running.status()["subscriptions"][0]["sink"]["duplicates"] >= 5, "the copies that are there already"
    )
    assert house.count() == stored
    house.settle()
    before = running.run("sh", "-c", "ls -d /var/lib/sensorqd/before-*").stdout.strip()
    back = [
        line.replace("cp /root/outbox.sqlite", f"cp -a {before}/outbox.sqlite*")
        for line in commands("chown --reference")
    ]
    with house.stop_of():
        running.run("sh", "-ec", "\n".join(back))  # the one that was there before, in the same way
    assert len(running.run("sh", "-c", "ls -d /var/lib/sensorqd/before-*").stdout.splitlines()) == 2
    house.settle()


def test_what_the_service_may_not_use(running, house):
    """P9: an outbox that root has put back, a configuration that root has written with a umask of 077: `check` says so
    before a start fails."""
    house.wait_count(5)
    assert "the service runs as" not in running.run("sensorqd", "check", check=False).stdout
    running.systemctl("stop", "sensorqd")
    running.run("chown", "root:root", "/var/lib/sensorqd/outbox.sqlite")
    running.run("chmod", "600", "/etc/sensorqd/sensorqd.yaml")
    shown = running.run("sensorqd", "check", check=False).stdout
    assert re.findall(r"^(\w+) +(\S+)  the service runs as sensorqd, who may not", shown, re.M) == [
        ("FAIL", "/etc/sensorqd/sensorqd.yaml"),
        ("warn", "/var/lib/sensorqd/outbox.sqlite"),
    ]
    running.run("chmod", "644", "/etc/sensorqd/sensorqd.yaml")
    assert running.systemctl("start", "sensorqd", check=False).returncode != 0 and "73" in running.show(
        "ExecMainStatus"
    )
    assert "give the files there to the user" in running.wait_event("OUTBOX_FAILING")["MESSAGE"]
    running.run("chown", "root:root", "/var/lib/sensorqd/lock")
    assert running.systemctl("start", "sensorqd", check=False).returncode != 0
    said = running.run("journalctl", "-u", "sensorqd", "-o", "cat", "-n", "8").stdout
    assert "Permission denied. To do: give the files there to the user" in said
    running.run("chown", "--reference=/var/lib/sensorqd", "/var/lib/sensorqd/lock")
    running.run("chown", "--reference=/var/lib/sensorqd", "/var/lib/sensorqd/outbox.sqlite")
    running.systemctl("start", "sensorqd")


def test_lines_that_look_and_lines_that_set(running, house):
    """Those of the page that no other test runs."""
    house.wait_count(5)
    for line in commands("journalctl -u sensorqd -f"):
        if " -f " not in line:
            running.run("sh", "-ec", line)
    for start in ("MemoryMax", "Storage=persistent", "cp -a /var/lib/sensorqd"):
        with house.stop_of():
            running.run("sh", "-ec", "\n".join(commands(start)))
    assert running.show("MemoryMax") == str(256 << 20)
    assert running.path("/root/sensorqd-state/outbox.sqlite").exists()
    house.settle()
