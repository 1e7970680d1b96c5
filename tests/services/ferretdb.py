"""FerretDB as a second MongoDB server: start, stop, kill -9, restart on the same port and storage.

It is built where Go is installed, once for each version of what goes into it, from the Go module proxy: the program's
source and the pinned versions are in ferretdb-server/. It is kept in $SENSORQD_TEST_BUILD; what the build needed beside
it (1 GB) is removed.

Unlike MongoDB it names no index in a duplicate key error, is no replica set, turns -0.0 into 0.0, and has no
validators, fail points or logins here.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services import child, ports  # noqa: E402

SOURCE = Path(__file__).resolve().parent / "ferretdb-server"
CACHE = Path(os.environ.get("SENSORQD_TEST_BUILD", "/var/tmp/sensorqd-tests")) / "ferretdb"


def obstacle():
    """Why it cannot be built here, or None."""
    wanted = re.search(r"^go (\d+)\.(\d+)", (SOURCE / "go.mod").read_text(), re.M).groups()
    go = shutil.which("go")
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, cwd="/").stdout if go else ""
    found = re.match(r"go(\d+)\.(\d+)", said)
    if not found or tuple(map(int, found.groups())) < tuple(map(int, wanted)):
        return f"not installed: Go {'.'.join(wanted)} or later"
    return None


def build():
    """The server's program; a minute and a half of one core when it is not there yet. RuntimeError with the compiler's
    words when it fails."""
    key = hashlib.sha256(
        b"".join((SOURCE / name).read_bytes() for name in ("main.go", "go.mod", "go.sum"))
    ).hexdigest()[:12]
    program = CACHE / f"ferretdb-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
                _compile(Path(scratch), program)
    return str(program)


def _compile(scratch, program):
    env = {
        **os.environ,
        "GOMODCACHE": str(scratch / "modules"),
        "GOCACHE": str(scratch / "cache"),
        "GOFLAGS": "-modcacherw -mod=readonly -trimpath",
    }
    done = subprocess.run(
        ["go", "build", "-ldflags=-s -w", "-o", scratch / "ferretdb", "."],
        cwd=SOURCE,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"FerretDB cannot be built:\n{done.stderr[-4000:]}")
    (scratch / "ferretdb").rename(program)


class FerretDB:
    """One server. storage: directory, kept over restarts (default: a temporary one, removed by close())."""

    def __init__(self, port=0, storage=None):
        self._temporary = None if storage else tempfile.TemporaryDirectory(prefix="ferretdb-")
        self.storage = str(storage or os.path.join(self._temporary.name, "data"))
        self.port = port
        self.child = child.Child(self.storage.rstrip("/") + ".log")

    @property
    def uri(self):
        return f"mongodb://127.0.0.1:{self.port}/"

    def start(self):
        """Starts it and waits for a ping; the port stays the same over restarts."""
        self.port = self.port or ports.free_port()
        os.makedirs(self.storage, exist_ok=True)
        self.child.start([build(), f"127.0.0.1:{self.port}", self.storage], self._answers, timeout=60)
        return self

    def stop(self):
        return self.child.end()

    def kill(self):
        return self.child.end(signal.SIGKILL)

    def close(self):
        """The end, and a temporary storage goes; its own takes seconds while a client is connected."""
        self.kill()
        if self._temporary:
            self._temporary.cleanup()

    def client(self, **options):
        """A pymongo client; the caller closes it."""
        import pymongo

        return pymongo.MongoClient(
            "127.0.0.1", self.port, **{"serverSelectionTimeoutMS": 30000, "directConnection": True, **options}
        )

    def _answers(self):
        import pymongo

        with contextlib.closing(self.client(serverSelectionTimeoutMS=500)) as client:
            try:
                return client.admin.command("ping")["ok"] == 1
            except pymongo.errors.PyMongoError:
                return False

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()


def main(argv=None):
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--port", type=int, default=0, help="0 (default) takes a free port")
    options.add_argument("--storage", metavar="DIR", help="kept over restarts (default: a temporary directory)")
    args = options.parse_args(argv)
    if obstacle():
        print(obstacle(), file=sys.stderr)
        return 3
    server = FerretDB(args.port, args.storage)
    return child.run(server, lambda: server.uri)


if __name__ == "__main__":
    sys.exit(main())
