"""A backlog into MongoDB or into files: messages a second, CPU and memory; beside it a bare client and other
programs."""

import contextlib
import time
from statistics import median
from types import SimpleNamespace

import measure
import stack
from report import Row


def run_until(daemon, tool, word, stats=lambda: ""):
    """Starts the daemon, and waits for that word of the tool: the Span, which the caller ends."""
    daemon.start()
    span = measure.Span(daemon.pid)
    try:
        tool.wait(word)
    except stack.Broken as error:
        raise stack.Broken(f"{error}\n{stats()}\n{daemon.log()}") from None
    return span


def drain_replay(bench, n, tls=False, **section):
    """Drains n prepared messages into the server that counts; what it took. With tls both ends speak that, by a front
    before each server."""
    build = bench.build
    with contextlib.ExitStack() as stage:
        pubsub = stage.enter_context(stack.Tool(build, "replay-pubsub", "--backlog", n))
        mongo = stage.enter_context(stack.Tool(build, "replay-mongo", "--expect", n))
        ports, fronts, tls = (
            [pubsub.port, mongo.port],
            [],
            stage.enter_context(stack.Tls(build, pubsub.port)) if tls else None,
        )
        if tls:
            fronts = [stage.enter_context(tls.front(port)) for port in ports]
            ports = [front.port for front in fronts]
        daemon = stage.enter_context(
            stack.Daemon(build, ports[0], subscribe=stack.subscribe_section(ports[1], tls=tls, **section), tls=tls)
        )
        span = run_until(daemon, pubsub, "acknowledged", pubsub.stats).end()
        stats = pubsub.stats()
        servers = measure.cpu_seconds(pubsub.process.pid) + measure.cpu_seconds(mongo.process.pid)
        code = daemon.stop()
        connections = sum(front.stop()["connections"] for front in fronts)
        documents = mongo.stop()["documents"]
    stack.check(code == 0, f"sensorqd ended with {code}")
    stack.check(
        documents == n and stats["acknowledged"] == n and stats["unknown"] == 0,
        f"{n} messages, {documents} documents, {stats}",
    )
    seconds = max(1, stats["last_ack"] - stats["first_pull"]) / 1e6
    return SimpleNamespace(
        rate=n / seconds,
        cpu=span.cpu / n * 1e6,
        rss=span.rss,
        anonymous=span.anonymous,
        servers=servers / n * 1e6,
        life=daemon.cpu - span.before,
        connections=connections,
    )


def drain_file(bench):
    """The same into files: each batch is synced before it is acknowledged."""
    n, runs = bench.sizes.file, [drain_file_run(bench, bench.sizes.file) for _ in range(bench.sizes.runs)]
    yield Row(
        "file",
        f"drain of {n} messages, median",
        "/s",
        median(run.rate for run in runs),
        (">=", 100_000),
        f"of {len(runs)} runs",
    )
    yield Row("file", "CPU a message, pull and acknowledgement included, median", "us", median(run.cpu for run in runs))
    yield Row("file", "peak RSS", "MiB", max(run.rss for run in runs))


def drain_file_run(bench, n):
    section = {"subscription": stack.SUBSCRIPTION, "file": {"directory": "archive", "compress": "none"}}
    with (
        stack.Tool(bench.build, "replay-pubsub", "--backlog", n) as pubsub,
        stack.Daemon(bench.build, pubsub.port, subscribe=section) as daemon,
    ):
        span = run_until(daemon, pubsub, "acknowledged", pubsub.stats).end()
        stats, code = pubsub.stats(), daemon.stop()
        found = sum(text.count(b"\n") for text in (path.read_bytes() for path in daemon.state.glob("archive/*.ndjson")))
    stack.check(code == 0 and found == n, f"{n} messages, {found} lines, exit code {code}, {stats}")
    return SimpleNamespace(
        rate=n / (max(1, stats["last_ack"] - stats["first_pull"]) / 1e6), cpu=span.cpu / n * 1e6, rss=span.rss
    )


def fill(bench, n):
    real = bench.real.start()
    topic, subscription, collection = real.fresh()
    stack.run_tool(
        bench.build,
        "bench-client",
        "publish",
        "--pubsub",
        real.pubsub_port,
        "--topic",
        f"projects/{stack.PROJECT}/topics/{topic}",
        "--count",
        n,
    )
    return real, subscription, collection


def drain_emulator(bench, n):
    real, subscription, collection = fill(bench, n)
    with (
        stack.Tool(bench.build, "mongo-tap", "--server", real.mongo_port, "--expect", n) as tap,
        stack.Daemon(
            bench.build,
            real.pubsub_port,
            subscribe=stack.subscribe_section(tap.port, collection, subscription=subscription),
        ) as daemon,
    ):
        span = run_until(daemon, tap, "documents").end()
        log, code = daemon.log(), daemon.stop()
    found = real.count("bench", collection)
    stack.check(found == n and code == 0, f"{n} messages, {found} documents, exit code {code}\n{log}")
    return SimpleNamespace(rate=n / span.wall, cpu=span.cpu / n * 1e6, rss=span.rss, anonymous=span.anonymous)


def drain_bare(bench, n):
    real, subscription, collection = fill(bench, n)
    with stack.Tool(bench.build, "mongo-tap", "--server", real.mongo_port) as tap:
        told = stack.run_tool(
            bench.build,
            "bench-client",
            "carry",
            "--pubsub",
            real.pubsub_port,
            "--mongo",
            tap.port,
            "--count",
            n,
            "--collection",
            collection,
            "--subscription",
            f"projects/{stack.PROJECT}/subscriptions/{subscription}",
        )
    return SimpleNamespace(rate=n / told["usec"] * 1e6, cpu=told["cpu_usec"] / n)


def wait_for_peer(tap, peer, patience=90):
    """Whether all documents were confirmed before the peer ended or the time was over."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        ended = peer.process.poll() is not None
        try:
            tap.wait("documents", 1)
            return True
        except stack.Broken:
            if ended:
                return False
    return False


def drain_peer(bench, n, command, target):
    """Documents are counted as they are confirmed, once more at the end where they should be."""
    real, subscription, collection = fill(bench, n)
    database, collection = target.split(".", 1) if target else ("bench", collection)
    with stack.Tool(bench.build, "mongo-tap", "--server", real.mongo_port, "--expect", n) as tap:
        peer = stack.Peer(
            command,
            {
                "emulator": f"127.0.0.1:{real.pubsub_port}",
                "project": stack.PROJECT,
                "subscription": subscription,
                "mongodb": f"mongodb://127.0.0.1:{tap.port}/?directConnection=true",
                "database": database,
                "collection": collection,
            },
        )
        began = time.monotonic()
        confirmed = wait_for_peer(tap, peer)
        wall = time.monotonic() - began
        cpu, rss = measure.usage(peer.process.pid)
        note = "" if confirmed else f"{peer.ended()} {' '.join(peer.log().split())[-100:]}".strip()
        peer.stop()
    found = real.count(database, collection)
    if found != n:
        note = f"{found} of {n} documents are there: {note}"
    return SimpleNamespace(rate=found / wall, cpu=cpu / max(found, 1) * 1e6, rss=rss, note=note)


def drain(bench):
    """A backlog to MongoDB: readings a second, CPU, memory."""
    runs = [drain_replay(bench, bench.sizes.drain) for _ in range(bench.sizes.runs)]
    servers = median(r.servers for r in runs)
    yield Row("drain", "replay, readings a second", "/s", median(r.rate for r in runs), (">=", 50_000))
    yield Row(
        "drain",
        "replay, CPU a reading",
        "us",
        median(r.cpu for r in runs),
        ("<=", 12),
        f"the servers beside it: {servers:.1f} us",
    )
    yield Row("drain", "peak RSS", "MiB", max(r.rss for r in runs), ("<=", 32))
    yield Row("drain", "peak anonymous memory", "MiB", max(r.anonymous for r in runs), ("<=", 14))
    try:
        yield from drain_tls(bench)
        yield from drain_real(bench)
    except stack.NotHere as reason:
        yield Row("drain", "TLS, emulator + SecantusDB", "/s", None, None, str(reason))


def drain_tls(bench):
    """The same drain over TLS at both ends, with the connections of 2 pulls at a time and of 16."""
    for pulls in (2, 16):
        runs = [drain_replay(bench, bench.sizes.drain, tls=True, pulls=pulls) for _ in range(bench.sizes.runs)]
        name = f"replay over TLS, {pulls} pulls"
        yield Row(
            "drain",
            f"{name}, CPU a reading",
            "us",
            median(r.cpu for r in runs),
            ("<=", 12) if pulls == 2 else None,
            f"{median(r.rate for r in runs):.0f}/s",
        )
        yield Row(
            "drain",
            f"{name}, peak RSS",
            "MiB",
            max(r.rss for r in runs),
            ("<=", 32) if pulls == 2 else None,
            f"anonymous {max(r.anonymous for r in runs):.1f} MiB, {max(r.connections for r in runs)} connections",
        )


def drain_real(bench):
    n = bench.sizes.drain_emulator
    drain_bare(bench, min(n, 3000))  # the emulator's Java compiles what it runs often
    runs = [(drain_emulator(bench, n), drain_bare(bench, n)) for _ in range(bench.sizes.runs)]
    ours, bare = (
        SimpleNamespace(rate=median(r.rate for r in side), cpu=median(r.cpu for r in side)) for side in zip(*runs)
    )
    yield Row(
        "drain",
        "emulator + SecantusDB, readings a second",
        "/s",
        ours.rate,
        (">=", 1_540),
        f"bare client: {bare.rate:.0f}/s",
    )
    yield Row(
        "drain", "emulator + SecantusDB, CPU a reading", "us", ours.cpu, ("<=", 15), f"bare client: {bare.cpu:.1f} us"
    )
    yield Row("drain", "emulator + SecantusDB, peak RSS", "MiB", max(run.rss for run, _ in runs), ("<=", 32))
    for command, target in bench.peers:
        peer = drain_peer(bench, n, command, target)
        name = " ".join(word.rsplit("/", 1)[-1] for word in command.split())
        yield Row("drain", f"the same by {name}, readings a second", "/s", peer.rate, None, peer.note)
        yield Row("drain", f"the same by {name}, CPU a reading, with start-up", "us", peer.cpu)
        yield Row("drain", f"the same by {name}, peak RSS", "MiB", peer.rss)
