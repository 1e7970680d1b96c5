"""What strangers' tools look at: licences (reuse), the workflow of the CI (actionlint), releases (debian/watch)."""

import hashlib
import http.server
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("SENSORQD_TEST_BUILD", "/var/tmp/sensorqd-tests")) / "go"
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.7"
VENV = Path(os.environ.get("SENSORQD_VENV", "/var/tmp/sensorqd-venv"))


def test_every_file_has_a_licence():
    reuse = VENV / "bin" / "reuse"
    if not reuse.exists():
        pytest.skip("not installed: reuse")
    run = subprocess.run([reuse, "--root", REPO, "lint"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_nothing_of_another_user_is_run(tmp_path):
    """Who made the directory first in /var/tmp could have put a program there: `sudo tests/demo` would run it."""
    os.chown(tmp_path, 65534, 65534)
    words = f". {REPO}/tests/bootstrap.sh; bootstrap_own {tmp_path} SENSORQD_VENV"
    run = subprocess.run(["bash", "-c", words], capture_output=True, text=True, env={**os.environ, "SUDO_UID": ""})
    assert run.returncode == 1 and "is another user's" in run.stderr
    assert subprocess.run(["bash", "-c", words], env={**os.environ, "SUDO_UID": "65534"}).returncode == 0


def test_a_purge_of_another_root_leaves_this_machine_alone(tmp_path):
    """`dpkg --root=DIRECTORY --force-script-chrootless --purge`: nothing outside DIRECTORY is taken away."""
    root, programs = tmp_path / "sensorqd-image", tmp_path / "programs"  # named like the state of an instance
    state = root / "var/lib/sensorqd"
    for directory in (state, root / "etc/sensorqd/credentials", root / "run", programs):
        directory.mkdir(parents=True)
    (state / "outbox.sqlite").touch()
    (root / "etc/sensorqd/sensorqd.yaml").touch()
    link = root / "etc/systemd/system/multi-user.target.wants/sensorqd.service"
    link.parent.mkdir(parents=True)
    link.symlink_to("/bin/sh")  # this machine has it, and the other root has it no more
    own = link.with_name("sensorqd@attic.service")  # of a unit that the administrator made
    own.symlink_to("../sensorqd@.service")
    (link.parent.parent / "sensorqd@.service").touch()
    for name in ("rm", "rmdir"):  # in place of those of the system: what this test is about would be done otherwise
        (programs / name).write_text(
            f'#!/bin/sh\nfor a; do case $a in -*|{root}/*) ;; *) echo "{name} $a"; exit 0;; esac; done\nexec /bin/{name} "$@"\n'
        )
        (programs / name).chmod(0o755)
    run = subprocess.run(
        ["sh", REPO / "debian" / "sensorqd.postrm", "purge"],
        capture_output=True,
        text=True,
        env={"PATH": f"{programs}:{os.environ['PATH']}", "DPKG_ROOT": str(root)},
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, "")
    assert not state.exists() and not (root / "etc/sensorqd").exists() and not link.is_symlink() and own.is_symlink()


def test_a_purge_of_a_state_directory_that_is_a_mount_point(tmp_path):
    """Its file system goes with the administrator's `umount`: dpkg would call the package half removed for ever."""
    state = tmp_path / "var/lib/sensorqd"
    state.mkdir(parents=True)
    words = (
        f"mount -t tmpfs none {state} && touch {state}/lock && sh {REPO}/debian/sensorqd.postrm purge && ls -A {state}"
    )
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("not possible here: no mounts of its own")
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", words],
        capture_output=True,
        text=True,
        env={**os.environ, "DPKG_ROOT": str(tmp_path)},
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_examples_of_all_releases_are_known():
    """`init` writes over them. Before a release its own stands in the list; the file changes after that."""
    news = re.findall(r"^## (\d+\.\d+\.\d+), (.*)", (REPO / "NEWS.md").read_text(), re.M)
    known = dict(
        re.findall(r'\{ "([\d.]+)", "([0-9a-f]{64})" \}', (REPO / "daemon" / "verbs" / "init-write.c").read_text())
    )
    assert sorted(known) == sorted(version for version, date in news if date != "not yet released")
    if news[0][1] != "not yet released":
        assert known[news[0][0]] == hashlib.sha256((REPO / "config" / "sensorqd.yaml").read_bytes()).hexdigest()
    assert (
        known["0.1.0"]
        == hashlib.sha256((REPO / "tests" / "fuzz" / "corpus" / "yaml" / "example").read_bytes()).hexdigest()
    )


def test_the_workflow_is_one():
    if shutil.which("go") is None:
        pytest.skip("not installed: go")
    program = CACHE / "actionlint"
    if not program.exists():
        subprocess.run(
            ["go", "install", ACTIONLINT],
            env={**os.environ, "GOBIN": str(CACHE), "GOFLAGS": "-mod=mod"},
            check=True,
            timeout=300,
        )
    run = subprocess.run([program, *(REPO / ".github" / "workflows").glob("*.yml")], capture_output=True, text=True)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


class _Tags(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(
            b"".join(
                b'<a href="/sensorqd/sensorqd/archive/refs/tags/v%s.tar.gz">x</a>' % v
                for v in (b"0.1.0", b"9.10.0", b"9.9.1")
            )
        )

    def log_message(self, *_):
        pass


def test_releases_are_found(tmp_path):
    """The newest by its number, not by its letters."""
    if shutil.which("uscan") is None:
        pytest.skip("not installed: uscan")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Tags)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    watch = tmp_path / "watch"
    watch.write_text(
        (REPO / "debian" / "watch")
        .read_text()
        .replace("https://github.com", f"http://127.0.0.1:{server.server_address[1]}")
    )
    run = subprocess.run(
        [
            "uscan",
            "--dehs",
            "--no-download",
            "--watchfile",
            watch,
            "--package",
            "sensorqd",
            "--upstream-version",
            "0.1.0",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    server.shutdown()
    assert "<upstream-version>9.10.0</upstream-version>" in run.stdout, run.stdout + run.stderr


def test_one_version():
    """In the build, the package and NEWS.md; between two releases it is not that of the last one, which may have faults
    that are mended here."""
    version = re.search(r"version : '([\d.~a-z]+)'", (REPO / "meson.build").read_text())[1]
    news, date = re.search(r"^## (\S+), (.*)", (REPO / "NEWS.md").read_text(), re.M).groups()
    assert version == (f"{news}~dev" if date == "not yet released" else news)
    assert re.match(rf"sensorqd \({re.escape(version)}-\d+\) ", (REPO / "debian" / "changelog").read_text())


def test_a_package_between_two_releases_names_its_commit(tmp_path):
    def git(*words):
        return subprocess.run(
            ["git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True
        ).stdout.decode()

    tree = tmp_path / "tree"
    (tree / "debian").mkdir(parents=True)
    shutil.copy(REPO / "debian" / "build", tree / "debian")
    (tree / "debian" / "changelog").write_text("sensorqd (7.8.9~dev-1) UNRELEASED; urgency=medium\n")
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "a", "--date=2026-01-02T03:04:05Z")
    (tmp_path / "dpkg-buildpackage").write_text("#!/bin/sh\ncp debian/changelog ../sensorqd_1.deb\n")
    (tmp_path / "dpkg-buildpackage").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([tree / "debian" / "build"], check=True, env=environment)
    built = (tmp_path / "sensorqd_1.deb").read_text()
    assert re.match(r"sensorqd \(7\.8\.9~dev\+\d{8}\.\d{6}\.[0-9a-f]{7,}-1\) UNRELEASED", built), built
    assert git("log", "-1", "--format=%h").strip() in built


def test_a_newer_tree_of_the_same_version_is_installed(tmp_path):
    """`git pull && sudo debian/build --install`: apt tells two packages of one version apart by what they need and
    their size only."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("not installed: apt-get, dpkg-deb")
    control = "Package: sensorqd\nVersion: 0.2.0-1\nArchitecture: all\nMaintainer: A <a@b>\nInstalled-Size: 1\nDescription: a\n"
    (tmp_path / "tree" / "DEBIAN").mkdir(parents=True)
    (tmp_path / "tree" / "DEBIAN" / "control").write_text(control)
    subprocess.run(
        ["dpkg-deb", "--build", tmp_path / "tree", tmp_path / "sensorqd.deb"], check=True, capture_output=True
    )
    (tmp_path / "status").write_text(control.replace("Version", "Status: install ok installed\nVersion") + "\n")
    for directory in ("lists/partial", "cache/archives/partial"):
        (tmp_path / directory).mkdir(parents=True)
    places = {"State": "", "State::status": "status", "State::lists": "lists", "Cache": "cache"}
    options = [f"-oDir::{name}={tmp_path / place}" for name, place in places.items()]
    options += ["-oDir::Etc::sourcelist=/dev/null", "-oDir::Etc::sourceparts=/dev/null", "-oDebug::NoLocking=1"]
    line = re.search(r'apt-get (install .*) "\$deb"', (REPO / "debian" / "build").read_text())[1]
    done = subprocess.run(
        ["apt-get", "--simulate", *options, *line.split(), tmp_path / "sensorqd.deb"], capture_output=True, text=True
    )
    assert re.search(r"^Inst sensorqd ", done.stdout, re.M), done.stdout + done.stderr
