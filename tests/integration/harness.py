"""One sensorqd under test: its directory, its configuration, its process, what it logs and what it tells the service
manager.

The binary is $SENSORQD: tests/daemon/sensorqd of a build, whose doors shorten waits and die at crash points
(tests/daemon/).
"""

import contextlib
import datetime
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PATIENCE = float(
    os.environ.get("SENSORQD_TEST_PATIENCE", "60")
)  # seconds to wait for an event; larger under sanitizers and valgrind

GOOD = {
    "ackDeadlineSeconds": 60,
    "messageRetentionDuration": "604800s",
}  # settings of a subscription that `check` has nothing to say about

_LINE = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:.]+Z) (\w+): (.*?)(?: \[((?:[A-Z0-9_]+=.*)?)\])?$")
_FIELD = re.compile(r"([A-Z][A-Z0-9_]*)=(.*?)(?= [A-Z][A-Z0-9_]*=|$)")


def _event_ids():
    text = (REPO / "daemon" / "events.h").read_text()
    return dict(re.findall(r"#define EVENT_(\w+) \"([0-9a-f]{32})\"", text))


EVENTS = _event_ids()


def binary():
    path = os.environ.get("SENSORQD", str(REPO / "build" / "tests" / "daemon" / "sensorqd"))
    assert path.endswith("tests/daemon/sensorqd"), (
        f"{path} is not the daemon of the tests: ninja -C BUILD tests/daemon/sensorqd"
    )
    return path


def wait_until(condition, what, patience=None):
    """The first true value of condition(); AssertionError naming *what* (a function is asked then) when it does not
    come. patience: where PATIENCE is too short."""
    deadline = time.monotonic() + max(patience or 0, PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen: {what() if callable(what) else what}")
        time.sleep(0.02)


def seed():
    """$SENSORQD_TEST_SEED, or a new one; printed, so that a failure can be repeated."""
    value = os.environ.get("SENSORQD_TEST_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"seed: SENSORQD_TEST_SEED={value}", flush=True)
    return value


class Entry:
    """One line of the log with its fields. time: of the daemon's clock, like time.time(); None for what others
    wrote."""

    def __init__(self, level, text, fields, stamp=None):
        self.level, self.text, self.fields = level, text, fields
        self.event = fields.get("MESSAGE_ID")
        self.time = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() if stamp else None

    def __repr__(self):
        return f"<{self.level}: {self.text} {self.fields}>"


class Log:
    """What the process wrote, line by line, as it comes."""

    def __init__(self):
        self.lines, self.entries = [], []
        self._changed = threading.Condition()

    def feed(self, line):
        match = _LINE.match(line)
        entry = (
            Entry(match[2], match[3], dict(_FIELD.findall(match[4] or "")), match[1])
            if match
            else Entry("raw", line, {})
        )
        with self._changed:
            self.lines.append(line)
            self.entries.append(entry)
            self._changed.notify_all()

    def events(self, name):
        """Entries with that EVENT_ name so far."""
        with self._changed:
            return [entry for entry in self.entries if entry.event == EVENTS[name]]

    def wait(self, name, count=1, patience=None, where=lambda entry: True):
        """Waits for the count-th entry of that event."""

        def enough():
            found = [entry for entry in self.events(name) if where(entry)]
            return found[count - 1] if len(found) >= count else None

        try:
            return wait_until(enough, f"event {name} x{count}", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; log so far:\n" + "\n".join(self.lines[-40:])) from None


class Notify:
    """The service manager's end of $NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = str(path)
        self.messages = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self._socket.bind(self.path)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                return
            for line in data.decode().splitlines():
                self.messages.append(line)

    def wait(self, pattern, patience=None, since=0):
        """The first message from index *since* that matches."""
        return wait_until(
            lambda: next((m for m in self.messages[since:] if re.search(pattern, m)), None),
            f"notification {pattern!r} (last: {self.messages[-3:]})",
            patience,
        )

    @property
    def status(self):
        return next((m[len("STATUS=") :] for m in reversed(self.messages) if m.startswith("STATUS=")), "")

    def close(self):
        self._socket.close()


class Sensorqd:
    """A daemon in a directory of its own. config: a dict in the shape of the YAML file. secrets: file name -> text."""

    def __init__(self, directory, config, secrets=None, env=None, wrapper=()):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_file = self.directory / "sensorqd.yaml"
        self.config = {"state_dir": str(self.directory / "state"), "log_level": "debug", **config}
        self.state = Path(self.config["state_dir"])
        self.state.mkdir(exist_ok=True)
        self.env = dict(env or {})
        self.wrapper = list(wrapper)
        self.log = Log()
        self.notify = self.process = self._reader = None
        self.write_config()
        credentials = self.directory / "credentials"
        credentials.mkdir(exist_ok=True, mode=0o700)
        for name, text in (secrets or {}).items():
            (credentials / name).write_text(text)
            (credentials / name).chmod(0o600)

    def write_config(self, text=None):
        """JSON is YAML: the file needs no writer of its own."""
        self.config_file.write_text(text if text is not None else json.dumps(self.config, indent=2))

    def command(self, *arguments):
        return [*self.wrapper, binary(), "-c", str(self.config_file), *arguments]

    def environment(self, **more):
        clean = {
            k: v
            for k, v in os.environ.items()
            if k
            not in (
                "NOTIFY_SOCKET",
                "JOURNAL_STREAM",
                "PUBSUB_EMULATOR_HOST",
                "CREDENTIALS_DIRECTORY",
                "STATE_DIRECTORY",
                "RUNTIME_DIRECTORY",
                "GOOGLE_APPLICATION_CREDENTIALS",
            )
        }
        return {
            **clean,
            "SENSORQD_LOG_FIELDS": "1",
            "MONGOC_DISABLE_SHM": "1",
            **self.env,
            **more,
        }  # killed, it would leave its counters in /dev/shm

    def start(self, *arguments, ready=True, **env):
        """Starts `run` (or the verb given) and waits for READY=1."""
        assert self.process is None or self.process.poll() is not None, "is running"
        if self.notify:
            self.notify.close()
        self.notify = Notify(self.directory / "notify.sock")
        self.process = subprocess.Popen(
            self.command(*(arguments or ("run",))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self.environment(NOTIFY_SOCKET=self.notify.path, **env),
        )
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        if ready:
            try:
                self.notify.wait("^READY=1")
            except AssertionError as error:
                raise AssertionError(
                    f"{error}; exit code {self.process.poll()}; log:\n" + "\n".join(self.log.lines[-40:])
                ) from None
        return self

    def _read(self, stream):
        for line in stream:
            self.log.feed(line.rstrip("\n"))

    def run(self, *arguments, timeout=180, **env):
        """Runs a verb to its end."""
        return subprocess.run(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(**env),
        )

    def signal(self, number):
        self.process.send_signal(number)

    def status(self):
        """`status --json`; {} while no daemon has reported."""
        return json.loads(self.run("status", "--json").stdout or "{}")

    def stop(self, timeout=60):
        """SIGTERM; returns the exit code. A daemon that outlives the time is an error."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        return self.wait()

    def wait(self, timeout=60):
        """The exit code, when all that the process wrote is in the log."""
        try:
            code = self.process.wait(timeout)
            self._reader.join(10)
            return code
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("did not end; log:\n" + "\n".join(self.log.lines[-40:])) from None

    def reload(self):
        """SIGHUP; waits until the reload is over."""
        seen = len(self.notify.messages)
        self.signal(signal.SIGHUP)
        self.notify.wait("^RELOADING=1", since=seen)
        self.notify.wait("^READY=1", since=seen)

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()
        if self.notify:
            self.notify.close()

    def memory(self, name="RssAnon"):
        """Bytes, from /proc/PID/status."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1]) * 1024


@contextlib.contextmanager
def small_disk(directory, size):
    """A disk of its own, mounted there."""
    if os.geteuid() != 0:
        pytest.skip("not possible here: mounting needs root")
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"not possible here: {done.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def fill_disk(disk):
    """Leaves no room; returns what to delete to make some."""
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while file.write(b"x" * 1024):
            pass
    return disk / "filler"
