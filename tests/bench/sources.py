"""Benchmarks of sources that speak when they like: readings that are on disk, while Pub/Sub is away, so that nothing
else costs time."""

import contextlib
import socket
import sqlite3
import subprocess
import tempfile
import time
from statistics import median
from types import SimpleNamespace

import measure
import stack
from report import Row
from services import mosquitto, ports
from services.service import wait_until

CLIENTS = 16


@contextlib.contextmanager
def daemon_of(build, **source):
    section = {
        "topic": stack.TOPIC,
        "outbox": {"max_rows": 10000000, "max_bytes": "16384MiB"},
        "sources": [{"name": "bench", **source}],
    }
    with stack.Daemon(build, ports.free_port(), publish=section) as daemon:
        yield daemon


def stored(daemon):
    """Readings that were put into the outbox, as another process sees them: committed."""
    with contextlib.closing(
        sqlite3.connect(f"file:{daemon.state}/outbox.sqlite?mode=ro", uri=True, timeout=10)
    ) as outbox:
        row = outbox.execute("SELECT seq FROM sqlite_sequence WHERE name = 'readings'").fetchone()
    return row[0] if row else 0


def wait_stored(daemon, n, patience=stack.PATIENCE):
    deadline = time.monotonic() + patience
    while (found := stored(daemon)) < n:
        if time.monotonic() > deadline:
            raise stack.Broken(f"{found} of {n} readings came\n{daemon.log()}")
        time.sleep(0.01)


def push(bench):
    """Readings that 16 clients POST, each answered when it is on disk."""
    for what, count, lines, unit, limit in (
        ("requests of one reading", bench.sizes.push, 1, "/s", (">=", 5_000)),
        ("readings, 1000 a request", bench.sizes.push // 10, 1000, "/s", (">=", 20_000)),
    ):
        runs = [push_run(bench, count, lines) for _ in range(bench.sizes.runs)]
        yield Row(
            "push",
            f"{what}, median",
            unit,
            median(run.rate for run in runs),
            limit,
            f"{median(run.cpu for run in runs):.1f} us of CPU a reading",
        )


def push_run(bench, count, lines):
    port = ports.free_port()
    with daemon_of(bench.build, type="http_push", listen=f"127.0.0.1:{port}") as daemon:
        daemon.start()
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.01)
        span = measure.Span(daemon.pid)
        try:
            done = stack.run_tool(
                bench.build, "push-client", "--port", port, "--clients", CLIENTS, "--count", count, "--lines", lines
            )
        except subprocess.TimeoutExpired:
            raise stack.Broken(f"the clients did not end\n{daemon.log()}") from None
        span.end()
        found = stored(daemon)
        if daemon.stop() != 0 or found != count * lines:
            raise stack.Broken(f"{found} readings stored of {count * lines}\n{daemon.log()}")
    return SimpleNamespace(rate=count * lines / done["seconds"], cpu=span.cpu / (count * lines) * 1e6)


def lines(bench):
    """Lines of a program that runs on, each on disk before the pipe is read on."""
    n, runs = bench.sizes.exec, [lines_run(bench, bench.sizes.exec) for _ in range(bench.sizes.runs)]
    yield Row(
        "exec",
        f"durable lines of a stream, median, {n}",
        "/s",
        median(run.rate for run in runs),
        (">=", 50_000),
        f"of {len(runs)} runs",
    )
    yield Row(
        "exec",
        "CPU a line, median",
        "us",
        median(run.cpu for run in runs),
        None,
        f"peak RSS {max(run.rss for run in runs):.1f} MiB",
    )


def lines_run(bench, n):
    program = f"""sleep 2; seq -f '{{"sensor":"mhz19","temperature":21.5,"co2":%g}}' {n}; sleep 300"""
    with daemon_of(bench.build, type="exec", mode="stream", command=["/bin/sh", "-c", program]) as daemon:
        daemon.start()
        wait_stored(daemon, 1)
        span = measure.Span(daemon.pid)
        wait_stored(daemon, n)
        span.end()
        found = stored(daemon)
        if daemon.stop() != 0 or found != n:
            raise stack.Broken(f"{found} readings of {n} lines\n{daemon.log()}")
    return SimpleNamespace(rate=n / span.wall, cpu=span.cpu / n * 1e6, rss=span.rss)


def more_mqtt(bench):
    """What one more source of type mqtt costs a daemon that has nothing to do."""
    reason = mosquitto.obstacle()
    if reason:
        yield Row("more-mqtt", "memory", "kB", None, None, reason)
        return
    n, seconds = bench.sizes.more, bench.sizes.idle
    with (
        tempfile.TemporaryDirectory(prefix="bench-mqtt-") as folder,
        contextlib.closing(mosquitto.Mosquitto(folder, []).start()) as broker,
    ):
        few, many = (more_mqtt_run(bench, broker, count, seconds) for count in (1, 1 + n))
    yield Row(
        "more-mqtt",
        f"anonymous memory a source, of {n}",
        "kB",
        (many.anonymous - few.anonymous) * 1048.576 / n,
        ("<=", 100),
    )
    yield Row(
        "more-mqtt",
        "wake-ups a source, keep-alive included",
        "/s",
        (many.wakeups - few.wakeups) / n,
        None,
        f"in {seconds} s, a ping in 60 s",
    )


def more_mqtt_run(bench, broker, count, seconds):
    sources = [
        {"name": f"m{i}", "type": "mqtt", "url": f"mqtt://127.0.0.1:{broker.port}", "topics": [f"bench/{i}/{{id}}"]}
        for i in range(count)
    ]
    with stack.Daemon(bench.build, ports.free_port(), publish={"topic": stack.TOPIC, "sources": sources}) as daemon:
        daemon.start()
        for i in range(count):
            wait_until(lambda: mosquitto.keeps_for(daemon.state, f"m{i}"))  # noqa: B023
            broker.publish(f"bench/{i}/x", "1")
        wait_stored(daemon, count, 30)
        time.sleep(5)
        before = sum(switches for _, switches in measure.wakeups(daemon.pid).values())
        time.sleep(seconds)
        switches = sum(switches for _, switches in measure.wakeups(daemon.pid).values()) - before
        memory = measure.memory(daemon.pid)
        if daemon.stop() != 0:
            raise stack.Broken(daemon.log())
    return SimpleNamespace(anonymous=memory["anonymous"], wakeups=switches / seconds)
