"""docs/FIRST-STEPS.md on a fresh machine: its lines, as they stand there."""
import contextlib
import json
import re
from pathlib import Path

from harness import wait_until
from house import CA_FILE

PAGE = re.sub(r" \\\n +", " ", (Path(__file__).resolve().parents[2] / "docs" / "FIRST-STEPS.md").read_text())  # commands as one line


def block(mark):
    return re.search(rf"<!-- {mark}: .*?-->\n```\w+\n(.*?)```", PAGE, re.S)[1]


def test_from_the_package_to_the_first_reading(machine, house):
    """`init` by options: the example of the package gives way, the unit is enabled and runs, the line of the page shows the reading."""
    machine.write(CA_FILE, Path(house.certificates.ca).read_text())
    machine.write("/root/pubsub-credential.json", house.key_file.read_text())
    machine.write("/root/token.txt", house.remo.token + "\n")
    line = block("options").replace("sudo ", "").strip()
    line += f" --endpoint {house.pubsub.url} --ca-file {CA_FILE} --set home.url={house.remo.url}"
    done = machine.run("sh", "-c", f"cd /root && {line}", check=False)
    assert done.returncode == 0, done.stdout
    assert "Delete the original: rm /root/pubsub-credential.json" in done.stdout
    assert re.search(r"^ok +/var/lib/sensorqd  state_dir: the unit makes it", done.stdout, re.M)
    assert machine.show("ActiveState") == "active" and machine.systemctl("is-enabled", "sensorqd").stdout.strip() == "enabled"
    shown = wait_until(lambda: machine.run("sh", "-c", "tail -n 1 /var/lib/sensorqd/archive/*.ndjson 2>/dev/null", check=False).stdout, "a line in the archive")
    assert json.loads(shown)["source"] == "home"
    wait_until(lambda: machine.run("test", "-e", "/var/lib/sensorqd/page.sqlite", check=False).returncode == 0, "the file of the charts")
    assert machine.show("NRestarts") == "0"
    wait_until(lambda: machine.run("sensorqd", "status", "--check", user="nobody", check=False).returncode == 0, "all is well")
    assert machine.run("sensorqd", "init", check=False).returncode == 73


def test_the_user_of_the_page_is_enough(machine, house):
    """What MongoDB's administrator is told to make can log in, set up and store."""
    user = re.search(r'createUser\(\s*\{ user: "(\w+)", pwd: passwordPrompt\(\), roles: \[\{ role: "(\w+)", db: "(\w+)" \}\] \}\)', block("user"))
    with contextlib.closing(house.mongodb.client()) as client:
        client.admin.command("createUser", "page", pwd="of the page", roles=[{"role": user[2], "db": house.database}])
    machine.write(CA_FILE, Path(house.certificates.ca).read_text())
    secrets = {**house.secrets(), "mongodb.password": "of the page"}
    for name, text in secrets.items():
        machine.write(f"/root/{name}", text)
    done = machine.run("sensorqd", "init", "--yes", "--key-file", "/root/pubsub-credential.json", "--source", "home", "--sink", "mongodb",
                       "--secret", "nature-remo.token=/root/nature-remo.token", "--secret", "mongodb.password=/root/mongodb.password",
                       "--set", f"mongodb.uri={house.mongodb_uri().replace('sensorqd@', 'page@')}", "--set", f"mongodb.database={house.database}",
                       "--endpoint", house.pubsub.url, "--ca-file", CA_FILE, "--set", f"home.url={house.remo.url}", "--enable", check=False)
    assert done.returncode == 0, done.stdout
    house.wait_count(5)
