"""What meson looks for."""

import json
import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]


def pkg_config(*arguments):
    done = subprocess.run(["pkg-config", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"not installed: {arguments[-1]}")
    return done.stdout.strip()


def set_up(tmp_path, left_out, **instead):
    """meson setup where *left_out* is not installed, and .pc files have another text."""
    directory = tmp_path / "pkgconfig"
    directory.mkdir()
    for folder in pkg_config("--variable", "pc_path", "pkg-config").split(":"):
        for file in Path(folder).glob("*.pc"):
            if file.stem not in (left_out, *instead) and not (directory / file.name).exists():
                (directory / file.name).symlink_to(file)
    for name, text in instead.items():
        (directory / f"{name}.pc").write_text(text)
    done = subprocess.run(
        ["meson", "setup", "-Dtests=false", "-Dman=disabled", tmp_path / "build", REPO],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PKG_CONFIG_LIBDIR": str(directory)},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def with_version(name, version):
    text = (Path(pkg_config("--variable", "pcfiledir", name)) / f"{name}.pc").read_text()
    return re.sub(r"(?m)^Version:.*", f"Version: {version}", text)


def test_mongo_c_driver_2_will_do(tmp_path):
    """It has another name there. (The driver that is linked here stays what it is; only the name is tried.)"""
    said = set_up(tmp_path, "libmongoc-1.0", mongoc2=with_version("libmongoc-1.0", "2.5.7"))
    assert re.search(r"dependency mongoc2 found: YES 2\.5\.7", said)


@pytest.mark.parametrize(
    "version, place, restart",
    [("252", "/lib/systemd/system", "RestartSec=15"), ("257", "/usr/lib/systemd/system", "RestartSteps=6")],
)
def test_unit_without_systemd_pc(tmp_path, version, place, restart):
    """A container has none, nor has Debian 13 without systemd-dev: debian/build makes the package that it makes
    elsewhere."""
    set_up(tmp_path, "systemd", libsystemd=with_version("libsystemd", version))
    plan = json.loads((tmp_path / "build" / "meson-info" / "intro-install_plan.json").read_text())
    places = {Path(row["destination"]).name: row["destination"] for part in plan.values() for row in part.values()}
    for unit in ("sensorqd.service", "sensorqd@.service"):
        assert places[unit] == f"{place}/{unit}"
        assert restart in (tmp_path / "build" / "systemd" / unit).read_text().splitlines()
