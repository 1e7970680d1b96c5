"""The unit and its template: understood by systemd without a warning, and confined."""
import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
UNITS = {"sensorqd.service": ("sensorqd", "sensorqd"), "sensorqd@.service": ("%i", "sensorqd-%i")}
EXPOSURE = 11  # tenths; Debian's redis-server has 12, tor 68, most daemons 96


def restarts():
    """What meson.build writes for this machine's systemd."""
    new, old = re.search(r"version_compare\('>= 254'\) \? \[(.*?)\] : \[(.*?)\]", (REPO / "systemd" / "meson.build").read_text(), re.S).groups()
    version = int(re.match(r"systemd (\d+)", subprocess.run(["systemctl", "--version"], capture_output=True, text=True).stdout)[1])
    return "\n".join(re.findall(r"'(.*?)'", new if version >= 254 else old))


@pytest.fixture(params=UNITS)
def unit(request, tmp_path):
    """The unit as meson makes it, for a program that exists."""
    program = tmp_path / "bin" / "sensorqd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    config, directory = UNITS[request.param]
    values = {"bindir": str(program.parent), "sysconfdir": "/etc", "config": config, "directory": directory, "restart": restarts()}
    text = (REPO / "systemd" / "sensorqd.service.in").read_text()
    path = tmp_path / request.param.replace("@.", "@second.")
    path.write_text(re.sub(r"@(\w+)@", lambda match: values[match[1]], text))
    return path


def test_systemd_understands_every_line(unit):
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_exposure_is_low(unit):
    run = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE}", str(unit)], capture_output=True, text=True)
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
