"""docs/FIRST-STEPS.md on a fresh machine: its lines, as they stand there."""

import contextlib
import json
import re
from pathlib import Path

from harness import wait_until
from house import CA_FILE

PAGE = re.sub(
    r" \\\n +", " ", (Path(__file__).resolve().parents[2] / "docs" / "FIRST-STEPS.md").read_text()
)  # commands as one line


def block(mark):
    return re.search(rf"<!-- {mark}: .*?-->\n```\w+\n(.*?)```", PAGE, re.S)[1]


def test_from_the_package_to_the_first_reading(machine, house):
    """`init` by options: the example of the package gives way, the unit is enabled and runs, the line of the page shows
    the reading."""
    machine.write(CA_FILE, Path(house.certificates.ca).read_text())
    machine.write("/root/pubsub-credential.json", house.key_file.read_text())
    machine.write("/root/token.txt", house.remo.token + "\n")
    line = block("options").replace("sudo ", "").strip()
    line += f" --endpoint {house.pubsub.url} --ca-file {CA_FILE} --set home.url={house.remo.url}"
    done = machine.run("sh", "-c", f"cd /root && {line}", check=False)
    assert done.returncode == 0, done.stdout
    assert "Delete the original: rm /root/pubsub-credential.json" in done.stdout
    assert re.search(r"^ok +/var/lib/sensorqd  state_dir: the unit makes it", done.stdout, re.M)
    assert (
        machine.show("ActiveState") == "active"
        and machine.systemctl("is-enabled", "sensorqd").stdout.strip() == "enabled"
    )
    shown = wait_until(
        lambda: machine.run("sh", "-c", "tail -n 1 /var/lib/sensorqd/archive/*.ndjson 2>/dev/null", check=False).stdout,
        "a line in the archive",
    )
    assert json.loads(shown)["source"] == "home"
    wait_until(
        lambda: machine.run("test", "-e", "/var/lib/sensorqd/page.sqlite", check=False).returncode == 0,
        "the file of the charts",
    )
    assert machine.show("NRestarts") == "0"
    wait_until(
        lambda: machine.run("sensorqd", "status", "--check", user="nobody", check=False).returncode == 0, "all is well"
    )
    assert machine.run("sensorqd", "init", check=False).returncode == 73


def test_a_second_configuration_of_a_service_that_runs(machine, house):
    """Moved away, made anew: what runs afterwards has the new one. The end of the input behind the last question is a
    no, and all is written."""
    machine.write(CA_FILE, Path(house.certificates.ca).read_text())
    machine.write("/root/pubsub-credential.json", house.key_file.read_text())
    options = [
        "--key-file",
        "/root/pubsub-credential.json",
        "--source",
        "none",
        "--sink",
        "file",
        "--page",
        "none",
        "--set",
        "file.keep=30d",
        "--endpoint",
        house.pubsub.url,
        "--ca-file",
        CA_FILE,
    ]
    first = machine.run("sensorqd", "init", "--yes", "--enable", "--topic", "first", *options, check=False)
    assert first.returncode == 0, first.stdout
    machine.run("mv", "/etc/sensorqd/sensorqd.yaml", "/root/first.yaml")
    done = machine.run("sensorqd", "init", "--yes", "--enable", "--topic", "second", *options, check=False)
    assert done.returncode == 0, done.stdout
    wait_until(lambda: "second-archive" in machine.run("sensorqd", "status", check=False).stdout, "the new one runs")
    machine.run("mv", "/etc/sensorqd/sensorqd.yaml", "/root/second.yaml")
    line = " ".join(
        [
            "sensorqd",
            "init",
            "--project",
            json.loads(house.key_file.read_text())["project_id"],
            "--topic",
            "third",
            *options,
        ]
    )
    done = machine.run("sh", "-c", f"printf 'y\\n\\004' | script -qec '{line}' /dev/null", check=False)
    assert (
        done.returncode == 0
        and "Nothing was written" not in done.stdout
        and "sudo systemctl restart sensorqd" in done.stdout
    ), done.stdout
    assert "subscription: third-archive" in machine.read("/etc/sensorqd/sensorqd.yaml")


def test_a_key_that_the_service_does_not_find(machine, house):
    """By a variable of root's shell, or in a home directory: the verbs of root find it, the service would end with
    77."""
    machine.write(CA_FILE, Path(house.certificates.ca).read_text())
    machine.write("/root/key.json", house.key_file.read_text(), 0o600)
    project = json.loads(house.key_file.read_text())["project_id"]
    done = machine.run(
        "env",
        "GOOGLE_APPLICATION_CREDENTIALS=/root/key.json",
        "sensorqd",
        "init",
        "--yes",
        "--key-file",
        "-",
        "--project",
        project,
        "--source",
        "none",
        "--sink",
        "file",
        "--endpoint",
        house.pubsub.url,
        "--ca-file",
        CA_FILE,
        check=False,
    )
    assert re.search(r"^warn +/root/key.json  is found by the environment of who runs this", done.stdout, re.M), (
        done.stdout
    )
    machine.write(
        "/etc/sensorqd/sensorqd.yaml",
        machine.read("/etc/sensorqd/sensorqd.yaml").replace(
            "\npubsub:\n", "\npubsub:\n  credentials_file: /root/key.json\n"
        ),
    )
    done = machine.run("sensorqd", "check", check=False)
    assert re.search(r"^warn +/root/key.json  the service runs as sensorqd, who may not read it", done.stdout, re.M), (
        done.stdout
    )
    for path in ("/home/pi/key.json", "/home/pi/ca.pem", "/srv/archive/mark"):
        machine.write(path, house.key_file.read_text(), 0o644)
    machine.write(
        "/etc/sensorqd/sensorqd.yaml",
        machine.read("/etc/sensorqd/sensorqd.yaml")
        .replace("/root/key.json", "/home/pi/key.json")
        .replace("directory: archive", "directory: /srv/archive"),
    )
    done = machine.run("sensorqd", "check", check=False)
    words = "the service does not see it, because ProtectHome= of its unit hides it"
    assert re.search(rf"^warn +/home/pi/key.json  {words}", done.stdout, re.M), done.stdout
    assert re.search(r"^warn +/srv/archive  the unit lets the service write .* ReadWritePaths=", done.stdout, re.M), (
        done.stdout
    )
    machine.systemctl("start", "sensorqd", check=False)
    message = machine.wait_event("CONFIG_REJECTED", unit=None)["MESSAGE"]
    assert "ProtectHome= of its unit hides home directories" in message, message

    machine.run("chmod", "0600", "/etc/sensorqd/sensorqd.yaml")
    done = machine.run("sensorqd", "check", check=False)
    assert done.returncode == 69 and re.search(
        r"^FAIL +/etc/sensorqd/sensorqd.yaml  the service runs as sensorqd, who may not read it", done.stdout, re.M
    ), done.stdout
    machine.run("chmod", "0644", "/etc/sensorqd/sensorqd.yaml")

    machine.run("chown", "sensorqd:", "/srv/archive")
    machine.drop_in("[Service]\nReadWritePaths=-/srv/archive\nProtectHome=read-only\n")
    done = machine.run("sensorqd", "check", check=False)
    assert not re.search("ProtectHome=|ReadWritePaths=|the service runs as", done.stdout), done.stdout

    file = "/etc/sensorqd/sensorqd.yaml"
    machine.write(file, machine.read(file).replace("/srv/archive", "archive"))
    machine.run("install", "-d", "-o", "root", "/var/lib/sensorqd/archive")  # as root restored it
    done = machine.run("sensorqd", "check", check=False)
    assert re.search(r"^warn +/var/lib/sensorqd/archive  the service runs as sensorqd, who may not", done.stdout, re.M)
    machine.write(file, machine.read(file) + "\nstate_dir: /srv/state\n")
    machine.run("install", "-d", "-o", "sensorqd", "/srv/state")
    done = machine.run("sensorqd", "check", check=False)
    assert re.findall(r"^warn +(\S+)  the unit lets the service write", done.stdout, re.M) == ["/srv/state"]
    machine.write(file, machine.read(file).replace("/srv/state", "/home/state"))
    machine.run("install", "-d", "-o", "sensorqd", "/home/state")
    machine.drop_in("[Service]\n")
    done = machine.run("sensorqd", "check", check=False)
    assert re.search(rf"^warn +/home/state  {words}", done.stdout, re.M), done.stdout
    machine.systemctl("start", "sensorqd", check=False)
    said = machine.run("journalctl", "-u", "sensorqd", "-o", "cat", "-n", "8").stdout
    words = "To do: name another directory: ProtectHome= of its unit hides home"
    assert f"/home/state cannot be taken: Permission denied. {words}" in said


def test_the_user_of_the_page_is_enough(machine, house):
    """What MongoDB's administrator is told to make can log in, set up and store."""
    user = re.search(
        r'createUser\(\s*\{ user: "(\w+)", pwd: passwordPrompt\(\), roles: \[\{ role: "(\w+)", db: "(\w+)" \}\] \}\)',
        block("user"),
    )
    with contextlib.closing(house.mongodb.client()) as client:
        client.admin.command("createUser", "page", pwd="of the page", roles=[{"role": user[2], "db": house.database}])
    machine.write(CA_FILE, Path(house.certificates.ca).read_text())
    secrets = {**house.secrets(), "mongodb.password": "of the page"}
    for name, text in secrets.items():
        machine.write(f"/root/{name}", text)
    done = machine.run(
        "sensorqd",
        "init",
        "--yes",
        "--key-file",
        "/root/pubsub-credential.json",
        "--source",
        "home",
        "--sink",
        "mongodb",
        "--secret",
        "nature-remo.token=/root/nature-remo.token",
        "--secret",
        "mongodb.password=/root/mongodb.password",
        "--set",
        f"mongodb.uri={house.mongodb_uri().replace('sensorqd@', 'page@')}",
        "--set",
        f"mongodb.database={house.database}",
        "--endpoint",
        house.pubsub.url,
        "--ca-file",
        CA_FILE,
        "--set",
        f"home.url={house.remo.url}",
        "--enable",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    house.wait_count(5)
