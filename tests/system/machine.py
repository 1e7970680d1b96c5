"""A small Debian booted by systemd-nspawn: its own systemd, journal and files, this machine's network.

The tree is made by debootstrap once and kept; each container writes into a layer of its own above it, which survives
its reboots and goes with the test. The overlay is mounted in a mount namespace that ends with the container, so that
nothing is left mounted.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "tests" / "integration"))

from harness import EVENTS, wait_until  # noqa: E402
from package import CACHE, SUITE, locked, run  # noqa: E402

LIBRARIES = {
    "bookworm": ["libcurl4", "libmicrohttpd12", "libmongoc-1.0-0", "libssl3"],
    "trixie": ["libcurl4t64", "libmicrohttpd12t64", "libmongoc-1.0-0t64", "libssl3t64"],
}
PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "ca-certificates",
    "libjson-c5",
    "libsqlite3-0",
    "libsystemd0",
    "libyaml-0-2",
    "zlib1g",
    "sqlite3",
    *LIBRARIES[SUITE],
]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
DEVICES = Path("/sys/fs/cgroup/devices")
ALONE = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--propagation",
    "private",
]  # mounts of its own; ends with the tests
MOUNT = """set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
shift; root=$1/root; shift
exec systemd-nspawn --quiet --register=no --keep-unit --console=pipe -D "$root" --boot "$@"
"""


def base_tree():
    """The tree below every container; made anew when what goes into it changes."""
    key = hashlib.sha256(" ".join([SUITE, *PACKAGES]).encode()).hexdigest()[:12]
    tree = CACHE / f"root-{key}"
    with locked("root"):
        if not tree.exists():
            making = CACHE / "root.making"
            shutil.rmtree(making, ignore_errors=True)
            run(
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "debootstrap",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                SUITE,
                making,
            )
            (making / "etc/machine-id").write_text(
                ""
            )  # each container draws its own; "uninitialized" would ask the questions of a first boot
            shutil.rmtree(making / "var/cache/apt", ignore_errors=True)
            making.rename(tree)
    return tree


def installed_layer(deb, directory):
    """A layer with the package installed the way that a machine's first boot would find it; lies above base_tree()."""
    container = Container([base_tree()], Path(directory) / "install")
    try:
        container.boot()
        container.install(deb)
        container.power_off()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(container.layer / "var/log/journal")
        return container.layer
    finally:
        container.kill()


class Container:
    """One machine. layers: directories, the topmost first. Files are reached under its path() while it runs."""

    def __init__(self, layers, directory):
        self.layers, self.directory = layers, Path(directory)
        self.layer = self.directory / "upper"
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self.process = self.leader = None
        self.cgroups = None  # of the hierarchy of devices, before this machine made some there

    # Power

    def boot(self, network=True):
        """Returns when the boot is over. network=False: a machine whose only interface is its own loopback."""
        lower = ":".join(map(str, self.layers))
        options = [] if network else ["--private-network"]
        with open(self.directory / "console.log", "ab") as log:
            self.process = subprocess.Popen(
                [*ALONE, "sh", "-c", MOUNT, "sh", lower, str(self.directory), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.leader = wait_until(self._find_leader, f"a container: {self._console()}", 120)
        wait_until(
            lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
            f"the end of the boot: {self._console()}",
            180,
        )
        return self

    def _console(self):
        return (self.directory / "console.log").read_text(errors="replace")[-2000:]

    def _find_leader(self):
        """PID 1 of the container, as this machine numbers it."""
        assert self.process.poll() is None, f"systemd-nspawn ended: {self._console()}"
        with contextlib.suppress(OSError, IndexError):
            child = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0]
            return int(child) if Path(f"/proc/{child}/comm").read_text().strip() == "systemd" else None
        return None

    def power_off(self):
        self.run("systemctl", "poweroff")
        self.process.wait(180)
        self.process = self.leader = None

    def kill(self):
        """The power goes."""
        if self.process is None:
            return
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader or self.process.pid, 9)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = self.leader = None
        if self.cgroups is not None:
            for path in sorted(set(DEVICES.rglob("*/")) - self.cgroups, reverse=True):  # those below come first
                with contextlib.suppress(OSError):
                    path.rmdir()
            self.cgroups = None

    # Commands

    def run(self, *command, check=True, timeout=300, user=None):
        """Runs a command inside, as root or as another user. Its output and error output are both in .stdout."""
        inside = [
            *(["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups"] if user else []),
            *map(str, command),
        ]
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", "--", *inside],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            env=ENVIRONMENT,
        )
        assert not check or done.returncode == 0, (
            f"{' '.join(inside)}: exit code {done.returncode}\n{done.stdout[-4000:]}\n{self.last_log()}"
        )
        return done

    def systemctl(self, *arguments, check=True, **options):
        return self.run("systemctl", *arguments, check=check, **options)

    def show(self, *names, unit="sensorqd"):
        """Properties of a unit: a dict, or the text when only one is asked for."""
        lines = self.run("systemctl", "show", unit, *[f"-p{name}" for name in names]).stdout.splitlines()
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        return values[names[0]] if len(names) == 1 else values

    def install(self, deb):
        """dpkg -i, without a question."""
        name = f"/root/{Path(deb).name}"
        shutil.copy(deb, self.path(name))
        return self.run("dpkg", "-i", name).stdout

    # Files

    def path(self, name):
        """Where a file of the running container is found from here."""
        return Path(f"/proc/{self.leader}/root") / str(name).lstrip("/")

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def read(self, name):
        return self.path(name).read_text()

    def configure(self, config, secrets, name="sensorqd"):
        """Writes what an administrator writes: a configuration (JSON is YAML) and the secret files."""
        self.write(f"/etc/sensorqd/{name}.yaml", json.dumps(config, indent=2))
        for secret, text in secrets.items():
            self.write(f"/etc/sensorqd/credentials/{secret}", text, 0o600)

    def can_refuse_devices(self):
        """Lets DeviceAllow= have its effect: systemd-nspawn mounts the hierarchy of devices read-only, and systemd asks
        at its start what it may use. False where there is none (cgroup v2 alone): systemd would load a BPF program,
        which systemd-nspawn lets no container do."""
        if not DEVICES.is_dir():
            return False
        self.cgroups = set(DEVICES.rglob("*/"))
        self.run("mount", "-o", "remount,rw,bind", DEVICES)
        self.systemctl("daemon-reexec")
        return True

    def drop_in(self, text, unit="sensorqd.service"):
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    # Journal

    def journal(self, event=None, unit="sensorqd", **fields):
        """Entries of a unit, as dicts; those of one EVENT_ name when it is given. unit=None: of any, which is for the
        last words of a process: the journal asks for the unit when it reads them, and knows none if the process has
        ended by then."""
        wanted = {**({"MESSAGE_ID": EVENTS[event]} if event else {}), **fields}
        of_unit = ["-u", unit] if unit else []
        text = self.run(
            "journalctl", *of_unit, "-o", "json", "--no-pager", *[f"{k}={v}" for k, v in wanted.items()]
        ).stdout
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def wait_event(self, event, count=1, unit="sensorqd", patience=None):
        """The count-th entry of that event."""
        try:
            return wait_until(
                lambda: self.journal(event, unit)[count - 1 : count], f"{event} x{count} of {unit}", patience
            )[0]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.last_log()}") from None

    def last_log(self):
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", "--", "journalctl", "-n", "40", "--no-pager", "-o", "short"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=ENVIRONMENT,
        )
        return done.stdout

    def status(self, name="sensorqd", user=None):
        """`sensorqd status --json`."""
        return json.loads(
            self.run("sensorqd", "-c", f"/etc/sensorqd/{name}.yaml", "status", "--json", user=user).stdout
        )

    def wait_status_text(self, pattern, patience=None):
        """Waits until the Status: line of `systemctl status` matches."""

        def look():
            text = self.show("StatusText")
            return text if re.search(pattern, text) else None

        try:
            return wait_until(look, f"STATUS= like {pattern!r}", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is: {self.show('StatusText')}\n{self.last_log()}") from None


def obstacle():
    """Why no container can be booted here, or None."""
    if os.geteuid() != 0:
        return "not possible here: only root may boot a container"
    for program in ("systemd-nspawn", "debootstrap", "nsenter", "dpkg-buildpackage"):
        if shutil.which(program) is None:
            return f"not installed: {program}"
    with tempfile.TemporaryDirectory() as directory:
        script = f"cd {directory} && mkdir a b c d && mount -t overlay overlay -o lowerdir=a,upperdir=b,workdir=c d"
        probe = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--ipc", "--uts", "--net", "sh", "-c", script],
            capture_output=True,
            text=True,
        )
    return None if probe.returncode == 0 else f"not possible here: no namespaces or no overlay: {probe.stderr.strip()}"
