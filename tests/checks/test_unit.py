"""The unit and its template: understood by systemd without a warning, and confined."""

import functools
import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
UNITS = {"sensorqd.service": ("sensorqd", "sensorqd"), "sensorqd@.service": ("%i", "sensorqd-%i")}
EXPOSURE = 11  # tenths; Debian's redis-server has 12, tor 68, most daemons 96


def restarts():
    """What meson.build writes for this machine's systemd."""
    new, old = re.search(
        r"version_compare\('>= 254'\) \? \[(.*?)\] : \[(.*?)\]", (REPO / "systemd" / "meson.build").read_text(), re.S
    ).groups()
    version = int(
        re.match(r"systemd (\d+)", subprocess.run(["systemctl", "--version"], capture_output=True, text=True).stdout)[1]
    )
    return "\n".join(re.findall(r"'(.*?)'", new if version >= 254 else old))


@pytest.fixture(params=UNITS)
def unit(request, tmp_path):
    """The unit as meson makes it, for a program that exists."""
    program = tmp_path / "bin" / "sensorqd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    config, directory = UNITS[request.param]
    values = {
        "bindir": str(program.parent),
        "sysconfdir": "/etc",
        "config": config,
        "directory": directory,
        "restart": restarts(),
    }
    text = (REPO / "systemd" / "sensorqd.service.in").read_text()
    path = tmp_path / request.param.replace("@.", "@second.")
    path.write_text(re.sub(r"@(\w+)@", lambda match: values[match[1]], text))
    return path


def test_systemd_understands_every_line(unit):
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


@pytest.mark.parametrize("status", [0, 78])
def test_reload_checks_the_file_and_tells_the_service(unit, status):
    """Both, whatever the check says; an instance is named as systemd escapes it (`first\\x2dfloor`)."""
    program = unit.parent / "bin" / "sensorqd"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "$0.told"\nexit {status}\n')
    (line,) = re.findall(r"^ExecReload=(.*)$", unit.read_text(), re.M)
    words = [word.replace("%i", r"first\x2dfloor") for word in shlex.split(line)]
    hears = functools.partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # also under nohup, which ignores it
    with subprocess.Popen(["sleep", "60"], preexec_fn=hears) as service:
        run = subprocess.run(words, env={**os.environ, "MAINPID": str(service.pid)})
        assert service.wait(5) == -signal.SIGHUP
    name = r"first\x2dfloor" if "@" in unit.name else "sensorqd"
    told = Path(f"{program}.told").read_text().splitlines()
    assert (run.returncode, told) == (status, ["--config", f"/etc/sensorqd/{name}.yaml", "check", "--offline"])
    assert subprocess.run(words, env={**os.environ, "MAINPID": str(service.pid)}, stderr=subprocess.DEVNULL).returncode


def test_exposure_is_low(unit):
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE}", str(unit)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr


def points_left(unit):
    """What `systemd-analyze security` still counts."""
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--json=short", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    return {row["name"]: row["exposure"] for row in json.loads(run.stdout) if row["exposure"]}


def test_each_point_left_has_a_reason(unit):
    """SECURITY.md names what remains, with its figure; sealed.conf takes away what it says."""
    page = re.sub(r"\s+", " ", (REPO / "SECURITY.md").read_text())
    left = points_left(unit)
    assert left == dict(re.findall(r"`([A-Z]\w+=[^`]*)` \((\d\.\d)\)", page))
    sealed = re.sub(r"^(#.*|\[.*)\n", "", (REPO / "systemd" / "drop-ins" / "sealed.conf").read_text(), flags=re.M)
    unit.write_text(unit.read_text().replace("[Install]", f"{sealed}\n[Install]"))
    assert left.keys() - points_left(unit).keys() == {"RootDirectory=/RootImage="}
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=10", str(unit)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr


def test_meson_fills_in_what_the_unit_names():
    """The table above is meson.build's."""
    text = (REPO / "systemd" / "meson.build").read_text()
    for name, (config, directory) in UNITS.items():
        assert f"'{name}' : ['{config}', '{directory}']" in text
    named = set(re.findall(r"@(\w+)@", (REPO / "systemd" / "sensorqd.service.in").read_text()))
    assert named == {"bindir", "sysconfdir", "config", "directory", "restart"}


def test_user_is_made():
    """The unit's user is the one that sysusers.d makes."""
    user = re.search(r"^User=(\w+)$", (REPO / "systemd" / "sensorqd.service.in").read_text(), re.M)[1]
    assert re.search(rf"^u {user} ", (REPO / "systemd" / "sensorqd.sysusers").read_text(), re.M)
