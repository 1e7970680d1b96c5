"""Benchmarks of messages from an MQTT broker (Debian's mosquitto): how fast they are kept, what is lost and doubled
over kills; other programs in the same run."""

import contextlib
import re
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from statistics import median
from types import SimpleNamespace

import measure
import stack
from report import Row
from services import mosquitto
from services.service import wait_until
from sources import daemon_of, stored, wait_stored

LINES = [
    "autosave_on_changes false",
    "autosave_interval 3600",
    "max_inflight_messages 1000",
    "max_queued_messages 200000",
]


def mqtt(bench):
    """Messages of QoS 1 that a broker (Debian's mosquitto) has kept for us: on disk, and acknowledged."""
    reason = mosquitto.obstacle()
    if reason:
        yield Row("mqtt", "durable rate", "/s", None, None, reason)
        return
    with tempfile.TemporaryDirectory(prefix="bench-mqtt-") as folder:
        runs = [mqtt_run(bench, f"{folder}/{i}") for i in range(bench.sizes.runs)]
        yield Row(
            "mqtt",
            "durable rate, QoS 1, median",
            "/s",
            median(run.rate for run in runs),
            (">=", 20_000),
            f"of {len(runs)} runs",
        )
        yield Row(
            "mqtt",
            "CPU a message, median",
            "us",
            median(run.cpu for run in runs),
            ("<=", 20),
            f"peak RSS {max(run.rss for run in runs):.1f} MiB",
        )
        for command, _ in bench.peers:
            runs = [peer_run(bench, f"{folder}/{name_of(command)}{i}", command) for i in range(bench.sizes.runs)]
            yield Row(
                "mqtt",
                f"rate of {name_of(command)}, median",
                "/s",
                median(run.rate for run in runs),
                None,
                f"of {len(runs)} runs, from its first to its last line",
            )
            yield Row(
                "mqtt",
                f"CPU a message of {name_of(command)}, with start-up, median",
                "us",
                median(run.cpu for run in runs),
                None,
                f"peak RSS {max(run.rss for run in runs):.1f} MiB",
            )


def name_of(command):
    return " ".join(word.rsplit("/", 1)[-1] for word in command.split())


def mqtt_run(bench, folder):
    n = (
        bench.sizes.mqtt
    )  # below 65536: mosquitto_pub takes an early acknowledgement for its last one when packet identifiers come round
    with (
        contextlib.closing(mosquitto.Mosquitto(folder, LINES).start()) as broker,
        daemon_of(bench.build, type="mqtt", url=f"mqtt://127.0.0.1:{broker.port}", topics=["bench/{id}"]) as daemon,
    ):
        daemon.start()
        wait_until(lambda: mosquitto.keeps_for(daemon.state, "bench"))
        broker.publish("bench/x", "1")
        wait_stored(daemon, 1, 20)
        daemon.stop()
        broker.publish("bench/x", *(f'{{"temperature":21.5,"n":{i}}}' for i in range(n)))
        daemon.start()
        span = measure.Span(daemon.pid)
        wait_stored(daemon, n + 1)
        span.end()
        found = stored(daemon)
        if daemon.stop() != 0 or found != n + 1:
            raise stack.Broken(f"{found} readings of {n + 1} messages\n{daemon.log()}")
    return SimpleNamespace(rate=n / span.wall, cpu=span.cpu / n * 1e6, rss=span.rss)


# ---- what both kinds of program are asked: start, what came, an end of each kind ----


class Ours:
    def __init__(self, bench, broker, stack_):
        self.daemon = stack_.enter_context(
            daemon_of(bench.build, type="mqtt", url=f"mqtt://127.0.0.1:{broker.port}", topics=["bench/{id}"])
        )
        self.start = self.daemon.start

    def meet(self):
        """From now on the broker keeps messages for it."""
        wait_until(lambda: mosquitto.keeps_for(self.daemon.state, "bench"))

    def kill(self):
        process, self.daemon.process = self.daemon.process, None
        process.kill()
        process.wait()

    def count(self):
        return stored(self.daemon)

    def came(self):
        """How often each number came. What nobody publishes stays in the outbox."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.daemon.state}/outbox.sqlite?mode=ro", uri=True, timeout=10)
        ) as outbox:
            return numbers(payload.decode() for (payload,) in outbox.execute("SELECT payload FROM readings"))

    def log(self):
        return self.daemon.log()


class Theirs:
    """A peer that appends a line for each message to a file."""

    def __init__(self, command, broker, folder):
        self.command, self.places, self.peer = command, {"broker": broker.port, "file": f"{folder}/lines"}, None

    def start(self):
        self.peer = stack.Peer(self.command, self.places)

    def meet(self):
        time.sleep(2)  # a stranger has no sign of it

    def kill(self):
        self.peer.stop(signal.SIGKILL)

    def stop(self):
        self.peer.stop()

    def text(self):
        with contextlib.suppress(FileNotFoundError):
            return Path(self.places["file"]).read_text()
        return ""

    def count(self):
        return self.text().count("\n")

    def came(self):
        return numbers(self.text().splitlines())

    def log(self):
        return self.peer.log()


def numbers(lines):
    return Counter(int(found[1]) for line in lines if (found := re.search(r'"n":(\d+)', line)))


def wait_count(who, n, patience):
    deadline = time.monotonic() + patience
    while who.count() < n:
        if time.monotonic() > deadline:
            raise stack.Broken(f"{who.count()} of {n} messages came\n{who.log()}")
        time.sleep(0.01)


def peer_run(bench, folder, command):
    n = bench.sizes.mqtt
    with contextlib.closing(mosquitto.Mosquitto(folder, LINES).start()) as broker:
        peer = Theirs(command, broker, folder)
        try:
            peer.start()
            peer.meet()
            broker.publish("bench/x", '{"n":1}')
            wait_count(peer, 1, 60)
            peer.stop()
            broker.publish("bench/x", *(f'{{"temperature":21.5,"n":{i}}}' for i in range(n)))
            peer.start()
            wait_count(peer, 2, 60)
            begin, before = time.monotonic(), peer.count()
            wait_count(peer, n + 1, 120)
            wall = time.monotonic() - begin
            cpu, rss = measure.usage(peer.peer.process.pid)
        finally:
            peer.stop()
    return SimpleNamespace(rate=(n + 1 - before) / wall, cpu=cpu / n * 1e6, rss=rss)


# ---- kills ----


def kills(bench):
    """Messages of QoS 1, a thousand a second, over kill -9 at random moments: how many are lost, how many are there
    twice."""
    reason = mosquitto.obstacle()
    if reason:
        yield Row("mqtt-kills", "lost", "", None, None, reason)
        return
    n, rounds = bench.sizes.kills
    with tempfile.TemporaryDirectory(prefix="bench-mqtt-") as folder:
        for command in (None, *(command for command, _ in bench.peers)):
            name = name_of(command) if command else "sensorqd"
            with (
                contextlib.closing(mosquitto.Mosquitto(f"{folder}/{name}").start()) as broker,
                contextlib.ExitStack() as stack_,
            ):
                lost, doubled = kills_run(
                    Theirs(command, broker, folder) if command else Ours(bench, broker, stack_), broker, n, rounds
                )
            yield Row(
                "mqtt-kills",
                f"lost by {name}",
                "",
                lost,
                None if command else ("<=", 0),
                f"of {n} messages over {rounds} kills",
            )
            yield Row("mqtt-kills", f"doubled by {name}", "", doubled, None if command else ("<=", 0))


def kills_run(who, broker, n, rounds):
    chance = Random(4711)
    who.start()
    who.meet()
    for i in range(n, n + 2):  # the session is there
        broker.publish("bench/x", f'{{"n":{i}}}')
        wait_count(who, i - n + 1, 60)
    for i in range(rounds):
        feeder = threading.Thread(target=feed, args=(broker, range(i * n // rounds, (i + 1) * n // rounds)))
        feeder.start()
        time.sleep(chance.uniform(0, 1))
        who.kill()
        who.start()
        feeder.join()
    deadline = time.monotonic() + 60
    while len(who.came()) < n + 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)  # what comes twice may come late
    who.kill()
    came = who.came()
    return n + 2 - len(came), sum(times - 1 for times in came.values())


def feed(broker, span):
    """A message every millisecond, or as fast as the broker takes them."""
    with subprocess.Popen(
        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", "bench/x", "-l"],
        stdin=subprocess.PIPE,
        text=True,
    ) as publisher:
        for i in span:
            publisher.stdin.write(f'{{"n":{i}}}\n')
            publisher.stdin.flush()
            time.sleep(0.001)
        publisher.stdin.close()
