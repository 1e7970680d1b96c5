"""The processes of a benchmark: the daemon, the replay servers, Google's emulator with SecantusDB, other programs to
compare with."""

import base64
import contextlib
import json
import os
import resource
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PATIENCE = 600  # seconds for the slowest of all figures

sys.path.insert(0, str(TESTS))
import builds  # noqa: E402
from services import emulator, mongodb  # noqa: E402

SYSTEM_ANCHORS = "/etc/ssl/certs/ca-certificates.crt"
PROJECT, TOPIC, SUBSCRIPTION = "bench", "bench", "bench"


class NotHere(Exception):
    """Something that a figure needs is not installed; the text says what."""


class Broken(Exception):
    """A process did not do what the figure needs; the text has the end of its log."""


def check(true, text):
    if not true:
        raise Broken(text)


class Build:
    """An optimised build as a distribution makes it."""

    def __init__(self, directory):
        self.directory = Path(directory)

    def make(self):
        flags = self._flags()
        builds.prepare(self.directory, ["--buildtype=plain", "-Dtests=true"], self._run, flags)
        self._run(
            "ninja",
            "-C",
            self.directory,
            "daemon/sensorqd",
            *(
                f"tests/bench/{name}"
                for name in (
                    "replay-pubsub",
                    "replay-mongo",
                    "mongo-tap",
                    "tls-front",
                    "bench-client",
                    "fill-outbox",
                    "fill-page",
                    "page-viewers",
                    "push-client",
                )
            ),
            env=flags,
        )
        return self

    @staticmethod
    def _flags():
        """Debian's own compiler flags where dpkg-dev is installed."""
        known = {
            "CFLAGS": "-g -O2 -fstack-protector-strong -Wformat -Werror=format-security",
            "CPPFLAGS": "-D_FORTIFY_SOURCE=2",
            "LDFLAGS": "-Wl,-z,relro",
        }
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            text = subprocess.run(
                ["dpkg-buildflags", "--export=cmdline"],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "DEB_BUILD_MAINT_OPTIONS": "hardening=+all"},
                cwd="/",
            ).stdout
            known.update(pair.split("=", 1) for pair in shlex.split(text) if pair.split("=", 1)[0] in known)
        return known

    @staticmethod
    def _run(*command, env):
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, env={**os.environ, **env}
        )
        if done.returncode != 0:
            raise Broken(f"{command[0]} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")

    @property
    def sensorqd(self):
        return self.directory / "daemon" / "sensorqd"

    def tool(self, name):
        return str(self.directory / "tests" / "bench" / name)

    def stripped_size(self):
        with tempfile.NamedTemporaryFile() as copy:
            subprocess.run(["strip", "-o", copy.name, str(self.sensorqd)], check=True)
            return os.path.getsize(copy.name)


class Tool:
    """One of the C programs of this folder: says "listening PORT" first, and lines of its own at the end of its job."""

    def __init__(self, build, name, *arguments):
        self._name, self._text = name, b""
        self.process = subprocess.Popen(
            [build.tool(name), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        self.port = int(self.wait("listening", 10).split()[1])

    def wait(self, word, patience=PATIENCE):
        """The line that begins with the word."""
        deadline = time.monotonic() + patience
        while True:
            while b"\n" in self._text:
                line, self._text = self._text.split(b"\n", 1)
                if line.startswith(word.encode()):
                    return line.decode()
            ready = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise Broken(f"{self._name} did not say {word!r} within {patience} s")
            self._text += data

    def stats(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_stats", timeout=10) as reply:
            return json.load(reply)

    def stop(self):
        """Ends it; what it said last, as JSON if it is."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        text = (self._text + process.stdout.read()).decode().strip()
        process.wait(10)
        process.stdout.close()
        return json.loads(text.splitlines()[-1]) if text.endswith("}") else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def run_tool(build, name, *arguments, timeout=PATIENCE):
    """A C program that ends by itself; its last line as JSON, or None."""
    done = subprocess.run([build.tool(name), *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise Broken(f"{name} {' '.join(map(str, arguments))}: {done.stderr[-500:]}")
    return json.loads(done.stdout) if done.stdout.strip() else None


class Tls:
    """A certificate for what stands before a server, and an account to get tokens for."""

    def __init__(self, build, token_port):
        try:
            from services import oauth, tls
        except ImportError as error:
            raise NotHere(f"TLS needs what tests/run installs: {error}") from None
        self._build, self._folder = build, tempfile.TemporaryDirectory(prefix="bench-tls-")
        made = tls.make(self._folder.name)
        self._certificate, self.ca = made.server.both, os.path.join(self._folder.name, "anchors.pem")
        with open(self.ca, "wb") as anchors:  # beside all that a real system trusts: it takes memory
            for path in (SYSTEM_ANCHORS, made.ca):
                with contextlib.suppress(FileNotFoundError):
                    anchors.write(Path(path).read_bytes())
        self.account = os.path.join(self._folder.name, "account.json")
        oauth.write_service_account(self.account, f"http://127.0.0.1:{token_port}/token")

    def front(self, port):
        return Tool(self._build, "tls-front", "--server", port, "--certificate", self._certificate)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._folder.cleanup()


class Daemon:
    """One sensorqd in a directory of its own. With tls the port speaks that, else it passes for the emulator."""

    def __init__(self, build, pubsub_port, publish=None, subscribe=None, wrapper=(), tls=None, page=None):
        self._folder = tempfile.TemporaryDirectory(prefix="sensorqd-bench-", dir=os.environ.get("TMPDIR", "/var/tmp"))
        self.directory = Path(self._folder.name)
        self.state = self.directory / "state"
        self.state.mkdir()
        (self.directory / "nature-remo.token").write_text("bench-token\n")
        config = {"state_dir": str(self.state), "log_level": "notice", "pubsub": {"project": PROJECT}}
        if tls:
            config["pubsub"].update(
                endpoint=f"https://127.0.0.1:{pubsub_port}", ca_file=tls.ca, credentials_file=tls.account
            )
        if publish:
            config["publish"] = publish
        if subscribe:
            config["subscribe"] = subscribe if isinstance(subscribe, list) else [subscribe]
        if page:
            config["page"] = page
        (self.directory / "sensorqd.yaml").write_text(json.dumps(config, indent=1))
        self._command = [*wrapper, str(build.sensorqd), "-c", str(self.directory / "sensorqd.yaml"), "run"]
        self._env = {
            "PATH": os.environ["PATH"],
            "NOTIFY_SOCKET": str(self.directory / "notify"),
            "MONGOC_DISABLE_SHM": "1",
        }
        if not tls:
            self._env["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{pubsub_port}"
        self.process = None
        self.ready_seconds = None
        self.cpu = None  # seconds of the whole life, once it has ended

    def start(self, patience=120):
        """Starts it and waits for READY=1."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.directory / "log", "wb") as log:
            notify.bind(self._env["NOTIFY_SOCKET"])
            notify.settimeout(patience)
            began = time.monotonic()
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env, cwd="/"
            )
            try:
                while b"READY=1" not in notify.recv(65536):
                    pass
            except TimeoutError:
                raise Broken(f"sensorqd did not become ready:\n{self.log()}") from None
            self.ready_seconds = time.monotonic() - began
        os.unlink(self._env["NOTIFY_SOCKET"])
        return self

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return (self.directory / "log").read_text(errors="replace")[-3000:]

    def stop(self):
        """SIGTERM; the exit code."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self._folder.cleanup()


def subscribe_section(mongo_port, collection="readings", tls=None, **more):
    options = f"?directConnection=true&tls=true&tlsCAFile={tls.ca}" if tls else ""
    return {
        "subscription": more.pop("subscription", SUBSCRIPTION),
        "mongodb": {
            "uri": f"mongodb://127.0.0.1:{mongo_port}/{options}",
            "database": "bench",
            "collection": collection,
        },
        **more,
    }


def base64_text(text):
    return base64.b64encode(text.encode()).decode()


def publish_section(api_port, interval="24h"):
    return {
        "topic": TOPIC,
        "outbox": {"max_rows": 10000000, "max_bytes": "16384MiB"},
        "sources": [
            {
                "name": "home",
                "type": "nature_remo",
                "interval": interval,
                "token_file": "nature-remo.token",
                "url": f"http://127.0.0.1:{api_port}",
            }
        ],
    }


class RealStack:
    """Google's emulator and SecantusDB, started once for all figures that need them; a topic, subscription and
    collection for each."""

    def __init__(self):
        self._emulator = self._mongodb = None
        self._n = 0

    def start(self):
        if self._emulator is not None:
            return self
        if emulator.find() is None:
            raise NotHere("Google's Pub/Sub emulator or java is not installed")
        if mongodb.find() is None:
            raise NotHere("SecantusDB is not installed (tests/requirements.txt)")
        self._emulator = emulator.Emulator().start()
        self._mongodb = mongodb.MongoDB(fail_points=False).start()
        return self

    @property
    def pubsub_port(self):
        return self._emulator.port

    @property
    def mongo_port(self):
        return self._mongodb.port

    def fresh(self):
        """Names that nobody used before: (topic, subscription, collection). Topic and subscription exist."""
        self._n += 1
        topic, subscription = f"bench-{self._n}", f"bench-sub-{self._n}"
        self._put(f"topics/{topic}", {})
        self._put(
            f"subscriptions/{subscription}", {"topic": f"projects/{PROJECT}/topics/{topic}", "ackDeadlineSeconds": 60}
        )
        return topic, subscription, f"readings_{self._n}"

    def _put(self, name, body):
        request = urllib.request.Request(
            f"{self._emulator.url}/v1/projects/{PROJECT}/{name}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            reply.read()

    def create(self, database, collection):
        """Makes the collection, so that no measurement waits for that."""
        with contextlib.closing(self._mongodb.client()) as client:
            client[database].create_collection(collection)

    def count(self, database, collection):
        """Slow for many documents, and it slows the server down: only after a measurement."""
        with contextlib.closing(self._mongodb.client()) as client:
            return client[database][collection].count_documents({})

    def stop(self):
        if self._emulator:
            self._emulator.stop()
        if self._mongodb:
            self._mongodb.close()
        self._emulator = self._mongodb = None


class Peer:
    """Another program on the same servers; its command may name {emulator} {project} {subscription} {mongodb}
    {database} {collection}, beside a broker {broker} {file}."""

    def __init__(self, command, places):
        self._log = tempfile.NamedTemporaryFile(prefix="bench-peer-")
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command.format(**places)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            env={
                **os.environ,
                "PUBSUB_EMULATOR_HOST": places.get("emulator", ""),
                **{f"BENCH_{key.upper()}": str(value) for key, value in places.items()},
            },
        )

    @staticmethod
    def understands(command):
        """Whether everything in braces is one of the names."""
        try:
            command.format(
                **dict.fromkeys(
                    ("emulator", "project", "subscription", "mongodb", "database", "collection", "broker", "file"), ""
                )
            )
        except (LookupError, ValueError):
            return False
        return True

    def log(self):
        return Path(self._log.name).read_text(errors="replace")[-2000:]

    def ended(self):
        """In words, with the exit code."""
        code = self.process.poll()
        return "it still runs" if code is None else f"it ended with exit code {code}"

    def stop(self, *signals):
        for number in signals or (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                break


def have(program):
    return shutil.which(program) is not None
