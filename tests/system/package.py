"""The .deb: built once from a copy of the sources, kept until they change; and the same again with a higher version.

$SENSORQD_TEST_SUITE says for which Debian: bookworm, this machine's, or trixie, where a tree of its own builds it.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SUITE = os.environ.get("SENSORQD_TEST_SUITE", "bookworm")
CACHE = Path(os.environ.get("SENSORQD_TEST_BUILD", "/var/tmp/sensorqd-tests")) / "system"
PARTS = [
    "lib",
    "daemon",
    "config",
    "systemd",
    "docs",
    "debian",
    "meson.build",
    "meson_options.txt",
    "tests/meson.build",
    "README.md",
    "README.ja.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "NEWS.md",
    "LICENSE",
]
PARTS += [
    f"tests/{name}" for name in re.findall(r"^subdir\('(\w+)'\)", (REPO / "tests" / "meson.build").read_text(), re.M)
]  # read without the tests, too
KEPT = 3  # builds, newest first
RELEASES = {"0.1.0": "ffa12abc43", "0.2.0": "0cefeffb65"}  # the commits that were these

sys.path.append(str(REPO / "tests"))

from roots import Root  # noqa: E402


class locked:
    """One process at a time, over runs that overlap."""

    def __init__(self, name):
        CACHE.mkdir(parents=True, exist_ok=True)
        self._file = open(CACHE / f"{name}.lock", "w")

    def __enter__(self):
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self._file.close()


def run(*command, **options):
    """Output of a command that must succeed."""
    done = subprocess.run(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **options,
    )
    assert done.returncode == 0, f"{command[0]}: exit code {done.returncode}\n{done.stdout[-6000:]}"
    return done.stdout


def _files():
    for part in PARTS:
        path = REPO / part
        yield from (
            sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
            if path.is_dir()
            else [path]
        )


def _digest():
    digest = hashlib.sha256(SUITE.encode())
    for path in _files():
        digest.update(f"{path.relative_to(REPO)} {path.stat().st_mode & 0o111}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _build(directory):
    source = directory / "source"
    for path in _files():
        target = source / path.relative_to(REPO)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    options = {"DEB_BUILD_OPTIONS": f"noautodbgsym parallel={os.cpu_count()}"}
    if SUITE == "bookworm":
        run(source / "debian" / "build", directory, env={**os.environ, **options})
    else:
        Root(SUITE, "amd64").make().run(
            "/source/debian/build /target", (source, "/source"), (directory, "/target"), environment=options
        )
    shutil.rmtree(source)


def _forget_old():
    for old in sorted(CACHE.glob("deb-*"), key=lambda p: p.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def build():
    """The package's file; its .changes stands beside it."""
    directory = CACHE / f"deb-{_digest()}"
    with locked("deb"):
        if not (directory / "complete").exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            _build(directory)
            (directory / "complete").touch()
            _forget_old()
    return next(directory.glob("sensorqd_*.deb"))


def release(number):
    """The package of an earlier version as it was, built of the history; None in a tree without it."""
    commit = RELEASES[number]
    directory = CACHE / f"release-{SUITE}-{commit}"
    if (
        subprocess.run(
            ["git", "-C", REPO, "cat-file", "-e", f"{commit}^{{commit}}"], stderr=subprocess.DEVNULL
        ).returncode
        != 0
    ):
        return None
    with locked("release"):
        if not directory.exists():
            making = CACHE / "release.making"
            shutil.rmtree(making, ignore_errors=True)
            (making / "source").mkdir(parents=True)
            run("sh", "-c", f"git -C {REPO} archive {commit} | tar -x -C {making}/source")
            options = {"DEB_BUILD_OPTIONS": f"noautodbgsym nocheck parallel={os.cpu_count()}"}
            if SUITE == "bookworm":
                run("dpkg-buildpackage", "-b", "-us", "-uc", cwd=making / "source", env={**os.environ, **options})
            else:
                Root(SUITE, "amd64").make().run(
                    "cd /making/source && dpkg-buildpackage -b -us -uc", (making, "/making"), environment=options
                )
            shutil.rmtree(making / "source")
            making.rename(directory)
    return next(directory.glob("sensorqd_*.deb"))


def stand_in(deb, directory):
    """This program in the clothes of 0.1.0, where the history is not there: a dynamic user, and the configuration as a
    conffile that the next version changes."""

    def as_it_was(tree):
        for unit in tree.glob("**/systemd/system/sensorqd*.service"):
            unit.write_text(
                unit.read_text()
                .replace("User=sensorqd", "DynamicUser=yes")
                .replace("StateDirectoryMode=0750", "StateDirectoryMode=0700")
            )
        (tree / "usr/lib/sysusers.d/sensorqd.conf").unlink()
        postinst = tree / "DEBIAN" / "postinst"
        postinst.write_text(re.sub(r"systemd-sysusers .*", ":", postinst.read_text()))
        (tree / "etc/sensorqd/sensorqd.yaml").write_text(
            "# of 0.1.0\n" + (tree / "usr/share/sensorqd/sensorqd.yaml").read_text()
        )
        (tree / "DEBIAN" / "conffiles").write_text("/etc/sensorqd/sensorqd.yaml\n")

    return with_version(deb, "0.0.9-1", directory, as_it_was)


def version(deb):
    return run("dpkg-deb", "-f", deb, "Version").strip()


def with_version(deb, number, directory, change=lambda tree: None):
    """The same package under another version number, and with its tree changed."""
    tree = Path(directory) / f"deb-{number}"
    run("dpkg-deb", "-R", deb, tree)
    change(tree)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace(f"Version: {version(deb)}\n", f"Version: {number}\n"))
    target = Path(directory) / f"sensorqd_{number}.deb"
    run("dpkg-deb", "--root-owner-group", "-b", tree, target)
    return target
