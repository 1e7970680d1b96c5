"""What meson looks for."""
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


def test_mongo_c_driver_2_will_do(tmp_path):
    """It has another name there. (The driver that is linked here stays what it is; only the name is tried.)"""
    directory = tmp_path / "pkgconfig"
    directory.mkdir()
    for folder in pkg_config("--variable", "pc_path", "pkg-config").split(":"):
        for file in Path(folder).glob("*.pc"):
            if file.name != "libmongoc-1.0.pc" and not (directory / file.name).exists():
                (directory / file.name).symlink_to(file)
    old = Path(pkg_config("--variable", "pcfiledir", "libmongoc-1.0")) / "libmongoc-1.0.pc"
    (directory / "mongoc2.pc").write_text(re.sub(r"(?m)^Version:.*", "Version: 2.5.7", old.read_text()))
    done = subprocess.run(["meson", "setup", "-Dtests=false", "-Dman=disabled", tmp_path / "build", REPO], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "PKG_CONFIG_LIBDIR": str(directory)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert re.search(r"dependency mongoc2 found: YES 2\.5\.7", done.stdout)
