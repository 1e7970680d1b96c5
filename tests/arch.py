"""Builds and runs the C tests where users are and this machine is not: Debian 13, a 32-bit processor, a Raspberry Pi's
two.

arm64 and armhf are cross-built, their tests run under qemu-user, and the main job runs there against the services on
this machine.
"""

import json

from roots import CACHE, QEMU, Root, copy_sources

PLACES = {
    "debian-13": ("trixie", "amd64"),
    "i386": ("bookworm", "i386"),
    "arm64": ("bookworm", "arm64"),
    "armhf": ("bookworm", "armhf"),
}
NO_SERVER = {"mongodb-admin", "sink"}  # want the MongoDB server of tests/requirements.txt, which is not in there
# What measures time or asks the kernel of a connection (TCP_INFO), what starts a program of the other processor, and
# what takes an hour there.
NOT_EMULATED = {
    "exec",
    "extending",
    "http2",
    "literals",
    "outbox",
    "outbox-source",
    "publisher",
    "replay",
    "salvage",
    "sim-disk",
}
NOT_32_BIT = {
    "subscriber",
    "subscriber-faults",
    "webhook",
}  # move the clock under libsystemd, which was built with another struct timespec there


class Place:
    """One of them, built: .root, .reports() of its C tests, .daemon() for this machine."""

    def __init__(self, name, log):
        suite, machine = PLACES[name]
        self.root = Root(suite, machine, log).make()
        self.directory = CACHE / f"build-{name}"
        self.directory.mkdir(exist_ok=True)
        self._binds = (copy_sources(CACHE / f"source-{name}"), "/src"), (self.directory, "/build")
        setup = f"meson setup /build /src -Dwerror=true -Db_ndebug=false {'--cross-file /cross.ini' if self.root.cross else ''}"
        compiler = "" if self.root.cross else 'export CC="ccache cc";'
        self.root.run(f"{compiler} [ -f /build/build.ninja ] || {setup}; ninja -C /build", *self._binds)

    def test(self):
        """Runs the C tests; those that need a MongoDB server are skipped there."""
        for report in self.reports():
            report.unlink()
        tests = json.loads((self.directory / "meson-info" / "intro-tests.json").read_text())
        left_out = (
            NO_SERVER
            | (NOT_EMULATED if self.root.cross else set())
            | (NOT_32_BIT if self.root.machine in ("i386", "armhf") else set())
        )
        names = sorted({test["name"] for test in tests} - left_out)
        self.root.run(
            f"meson test -C /build --no-rebuild --print-errorlogs --num-processes 2 --timeout-multiplier 10 {' '.join(names)}",
            *self._binds,
        )

    def reports(self):
        return sorted((self.directory / "meson-logs").glob("*.junit.xml"))

    def daemon(self):
        """The daemon of the tests as a program of this machine: the same path as everywhere, and qemu-user where that
        is needed."""
        program = CACHE / f"run-{self.root.machine}" / "tests" / "daemon" / "sensorqd"
        program.parent.mkdir(parents=True, exist_ok=True)
        real = self.directory / "tests" / "daemon" / "sensorqd"
        qemu = f"{self.root.tree}/usr/bin/{QEMU[self.root.machine]} -L {self.root.tree}"
        program.write_text(f'#!/bin/sh\nexec {qemu} {real} "$@"\n')
        program.chmod(0o755)
        return program
