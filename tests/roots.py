"""Debian trees other than this machine's: another release, another processor. Each is made by debootstrap once and
kept."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("SENSORQD_TEST_BUILD", "/var/tmp/sensorqd-tests")) / "roots"
LIBRARIES = [
    "libcurl4-openssl-dev",
    "libjson-c-dev",
    "libmicrohttpd-dev",
    "libmongoc-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "libsystemd-dev",
    "libyaml-dev",
    "zlib1g-dev",
]
TOOLS = [
    "build-essential",
    "ca-certificates",
    "ccache",
    "debhelper",
    "fakeroot",
    "git",
    "jq",
    "meson",
    "mosquitto",
    "mosquitto-clients",
    "ninja-build",
    "openssl",
    "pkg-config",
    "procps",
    "python3",
    "scdoc",
]
TRIPLETS = {"arm64": "aarch64-linux-gnu", "armhf": "arm-linux-gnueabihf"}
QEMU = {"arm64": "qemu-aarch64-static", "armhf": "qemu-arm-static"}
CROSS = """[binaries]
c = ['ccache', '{triplet}-gcc']
ar = '{triplet}-ar'
strip = '{triplet}-strip'
pkgconfig = 'pkg-config'
exe_wrapper = '{qemu}'

[properties]
pkg_config_libdir = '/usr/lib/{triplet}/pkgconfig:/usr/share/pkgconfig'

[host_machine]
system = 'linux'
cpu_family = '{family}'
cpu = '{family}'
endian = 'little'
"""


class Failed(Exception):
    """A command failed; the text is the end of what it said."""


@contextlib.contextmanager
def locked(name):
    """One process at a time, over runs that overlap."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Root:
    """A tree of *suite* in which programs for *machine* are built: natively where this processor runs them, else by a
    cross compiler."""

    def __init__(self, suite, machine, log=None):
        self.suite, self.machine, self.log = suite, machine, log
        self.cross = machine in TRIPLETS
        own = "amd64" if self.cross else machine
        self.packages = [
            *TOOLS,
            *([f"crossbuild-essential-{machine}", f"pkgconf:{machine}", "qemu-user-static"] if self.cross else []),
        ]
        self.packages += [f"{name}:{machine}" if self.cross else name for name in [*LIBRARIES, "libcmocka-dev"]]
        self.packages += (
            [f"systemd-dev:{own}"] if suite != "bookworm" else []
        )  # systemd.pc, which bookworm has in systemd itself
        self.packages += ["systemd"] if suite == "bookworm" else []
        key = hashlib.sha256(" ".join([suite, own, *self.packages]).encode()).hexdigest()[:12]
        self.own, self.tree = own, CACHE / f"{suite}-{machine}-{key}"

    def make(self):
        """The tree with everything in it that a build needs."""
        with locked(self.tree.name):
            if not self.tree.exists():
                making = self.tree.with_suffix(".making")
                shutil.rmtree(making, ignore_errors=True)
                self._host(
                    "unshare",
                    "--mount",
                    "--propagation",
                    "private",
                    "debootstrap",
                    "--variant=minbase",
                    f"--arch={self.own}",
                    self.suite,
                    making,
                )
                self._fill(making)
                making.rename(self.tree)
        return self

    def _fill(self, tree):
        script = "set -e; export DEBIAN_FRONTEND=noninteractive\n"
        script += f"dpkg --add-architecture {self.machine}\n" if self.cross else ""
        script += (
            f"apt-get update -q\napt-get install -qy --no-install-recommends {' '.join(self.packages)}\napt-get clean\n"
        )
        self._host(*self._inside(tree), "sh", "-c", script)
        if self.cross:
            family = {"arm64": "aarch64", "armhf": "arm"}[self.machine]
            (tree / "cross.ini").write_text(
                CROSS.format(triplet=TRIPLETS[self.machine], qemu=QEMU[self.machine], family=family)
            )

    def _inside(self, tree, *binds):
        return [
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--pipe",
            "--as-pid2",
            "-D",
            str(tree),
            *[f"--bind={host}:{inside}" for host, inside in binds],
            "--setenv=LC_ALL=C.UTF-8",
            "--setenv=CCACHE_DIR=/var/cache/ccache",
        ]

    def run(self, command, *binds, environment=None, keep=True, timeout=3000):
        """Runs a shell command inside, with *binds* ((here, there), ...) mounted; Failed when it fails. Without *keep*
        the tree stays as it was."""
        self._host(
            *self._inside(self.tree, *binds),
            *([] if keep else ["--volatile=overlay"]),
            *[f"--setenv={name}={value}" for name, value in (environment or {}).items()],
            "sh",
            "-c",
            command,
            timeout=timeout,
        )

    def _host(self, *command, timeout=3000):
        done = subprocess.run(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        if self.log:
            self.log.write(f"$ {' '.join(map(str, command))}\n{done.stdout}")
        if done.returncode != 0:
            raise Failed(
                f"{self.suite} {self.machine}: {command[0]}: exit code {done.returncode}\n{done.stdout[-6000:]}"
            )


def copy_sources(target):
    """The tree as git knows it, with what is changed and not committed, into an empty directory. All is new there: what
    was built of another tree is never taken for it (ccache makes that cheap)."""
    shutil.rmtree(target, ignore_errors=True)
    names = (
        subprocess.run(
            ["git", "-C", REPO, "ls-files", "-coz", "--exclude-standard"], stdout=subprocess.PIPE, check=True
        )
        .stdout.decode()
        .split("\0")
    )
    for name in filter(None, names):
        if (REPO / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, target / name)
    return target
