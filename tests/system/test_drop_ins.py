"""What programs of exec sources find in the unit's sandbox: without a drop-in, and with each of those of the package
(docs/sources/exec.md)."""

import os
import re
import stat
from pathlib import Path

from harness import wait_until
from house import listening

REPO = Path(__file__).resolve().parents[2]
DEVICES = {
    "/dev/ttyUSB0": ("dialout", os.makedev(10, 229)),
    "/dev/i2c-1": ("i2c", os.makedev(10, 200)),  # numbers of /dev/fuse and /dev/net/tun
    "/dev/ttyUSB1": ("dialout", os.makedev(10, 200)),
}
OPEN = """#!/bin/sh
exec 3<{device} || exit 1
echo "{{\\"id\\": \\"{name}\\", \\"user\\": \\"$(id -un)\\", \\"groups\\": \\"$(id -Gn)\\"}}"
"""
PROGRAMS = {
    "serial": ("/usr/local/bin/serial", OPEN.format(name="serial", device="/dev/ttyUSB0")),
    "i2c": ("/usr/local/bin/i2c", OPEN.format(name="i2c", device="/dev/i2c-1")),
    "network": (
        "/usr/local/bin/network",
        """#!/usr/bin/perl
use Socket;
socket(my $interfaces, 16, SOCK_RAW, 0) or die "$!\\n"; # AF_NETLINK
print "{\\"id\\": \\"network\\"}\\n";
""",
    ),
    "ping": (
        "/usr/local/bin/ping",
        """#!/usr/bin/perl
use Socket;
my ($header, $data) = (pack("LL", 0x20080522, 0), "\\0" x 24);
syscall(125, $header, $data) == 0 or die "capget: $!\\n"; # the numbers of amd64
syscall(126, $header, $data) == 0 or die "capset: $!\\n";
socket(my $raw, PF_INET, SOCK_RAW, 1) or die "$!\\n";
print "{\\"id\\": \\"ping\\"}\\n";
""",
    ),
    "home": ("/home/pi/sensors/read", "#!/bin/sh\ncat /home/pi/sensors/value\n"),
    "connection": (
        "/usr/local/bin/connection",
        """#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/$1 && echo '{"id": "connection"}'
""",
    ),
    "own-home": (
        "/usr/local/bin/own-home",
        """#!/bin/sh
echo 1 >"$HOME/mark" && echo '{"id": "own-home"}'
""",
    ),
}
WITHOUT = {
    "serial": "No such file",
    "i2c": "No such file|Permission denied",
    "network": "Address family not supported",
    "home": "sandbox",
    "ping": "Bad system call",
}


def make_devices(machine):
    for name, (group, number) in DEVICES.items():
        machine.run("groupadd", "--force", "--system", group)
        os.mknod(machine.path(name), stat.S_IFCHR, number)
        machine.run("chgrp", group, name)
        machine.run("chmod", "660", name)


def sources(house):
    for name, (path, _) in PROGRAMS.items():
        yield {
            "name": name,
            "type": "exec",
            "interval": "10s",
            "command": [path, *([str(house.pubsub.port)] if name == "connection" else [])],
            **({"environment": {"HOME": "/var/lib/sensorqd"}} if name == "own-home" else {}),
        }


def looks(machine):
    """name -> what its status says: a reading has come, or why not."""
    return {
        source["name"]: source["detail"] if source["failing"] else source["readings"] > 0
        for source in machine.status()["sources"]
    }


def put_drop_in(machine, name):
    machine.run(
        "install",
        "-D",
        "-m",
        "644",
        f"/usr/share/sensorqd/drop-ins/{name}.conf",
        f"/etc/systemd/system/sensorqd.service.d/{name}.conf",
    )
    machine.systemctl("daemon-reload")


def expect(machine, well):
    def settled():
        found = looks(machine)
        return found if all(found.get(name) for name in PROGRAMS) else None

    found = wait_until(settled, "a word of each program")
    for name in PROGRAMS:
        if name in well:
            assert found[name] is True, f"{name}: {found[name]}"
        else:
            assert re.search(WITHOUT[name], str(found[name])), f"{name}: {found[name]}"


def assert_refused(machine):
    """DeviceAllow= names one device. Another one, of the same group, can be opened by anybody of it, and not by our
    programs."""
    machine.write("/usr/local/bin/another", OPEN.format(name="another", device="/dev/ttyUSB1"), 0o755)
    run = ["systemd-run", "--quiet", "--wait", "--pipe", "-p", "User=nobody", "-p", "SupplementaryGroups=dialout"]
    assert "another" in machine.run(*run, "/usr/local/bin/another").stdout
    allowed = machine.show("DeviceAllow")
    assert allowed == "/dev/ttyUSB0 rw", allowed
    done = machine.run(*run, "-p", f"DeviceAllow={allowed}", "/usr/local/bin/another", check=False)
    assert done.returncode != 0 and "Operation not permitted" in done.stdout, done.stdout
    pid = machine.show("MainPID")
    done = machine.run(
        "sh",
        "-c",
        f"echo $$ >/sys/fs/cgroup/devices/$(sed -n 's/^[0-9]*:devices:.//p' /proc/{pid}/cgroup)/cgroup.procs && exec /usr/local/bin/another",
        check=False,
    )
    assert done.returncode != 0 and "Operation not permitted" in done.stdout, done.stdout


def test_each_drop_in(machine, house):
    """Without, the program fails and its log says why; with it, and a restart, its reading comes. `check` runs it as
    the unit's user and groups."""
    refuses = machine.can_refuse_devices()
    make_devices(machine)
    for path, text in PROGRAMS.values():
        machine.write(path, text, 0o755)
    machine.write("/home/pi/sensors/value", '{"id": "home"}\n')
    config = house.config()
    config["publish"]["sources"] = list(sources(house))
    house.move_in(machine, config)
    machine.systemctl("start", "sensorqd")
    well = {"connection", "own-home"}
    expect(machine, well)
    assert (
        "FAIL  source serial" in machine.run("sensorqd", "check", "--run-programs", check=False).stdout
    )  # not of the group

    for name in ("serial", "i2c", "network", "ping", "home"):
        put_drop_in(machine, name)
        machine.systemctl("restart", "sensorqd")
        well.add(name)
        expect(machine, well)
        if name == "serial":
            if refuses:
                assert_refused(machine)
            said = machine.run("sensorqd", "check", "--run-programs", check=False).stdout
            line = re.search(r"^ok +source serial .*", said, re.M)
            assert line and '"user":"sensorqd"' in line[0] and "dialout" in line[0], said
    wait_until(
        lambda: house.count({"source": "home"}) > 0 and house.count({"source": "serial"}) > 0,
        "their readings in MongoDB",
    )


def test_sealed(running, house):
    """Without listeners and programs: a root of its own, the journal, READY and reload as ever; nothing listens,
    nothing was handed down. It needs no /usr that can be written to, and leaves nothing there."""
    running.systemctl("stop", "sensorqd")
    put_drop_in(running, "sealed")
    running.write("/run/NetworkManager/resolv.conf", "nameserver 127.0.0.1\n")
    running.run("mount", "--bind", "/usr", "/usr")
    running.run("mount", "-o", "remount,bind,ro", "/usr")
    running.systemctl("start", "sensorqd")
    house.wait_count(house.count() + 5)
    assert running.show("Type") == "notify" and "queued" in running.show("StatusText")
    running.wait_event("STARTED", 2)
    running.systemctl("reload", "sensorqd")
    running.wait_event("RELOADED")
    pid = running.show("MainPID")
    root = set(running.run("ls", f"/proc/{pid}/root/").stdout.split())
    assert root <= {
        "bin",
        "dev",
        "etc",
        "home",
        "lib",
        "lib64",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "usr",
        "var",
    }  # home and root are shut
    assert running.run("ls", f"/proc/{pid}/root/var/lib").stdout.split() == ["sensorqd"]
    said = running.run("systemd-analyze", "security", "--no-pager", "--threshold=10", "sensorqd")
    assert "Overall exposure level for sensorqd.service: 1.0" in said.stdout
    assert running.systemctl("--failed", "--no-legend", "--plain").stdout == ""
    assert listening(running, pid) == []
    assert "nameserver" in running.run("cat", f"/proc/{pid}/root/run/NetworkManager/resolv.conf").stdout

    running.systemctl("stop", "sensorqd")
    running.run("mount", "-o", "remount,bind,rw", "/usr")
    running.systemctl("start", "sensorqd")
    said = running.run("dpkg", "--purge", "sensorqd").stdout
    assert "/usr/share/sensorqd" not in said and not running.path("/usr/share/sensorqd").exists(), said
