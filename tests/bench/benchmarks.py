"""The benchmarks. Each is a generator of report.Row, given a Bench; its name is the word of the command line."""

import os
import subprocess
import tempfile
import time
from statistics import median
from types import SimpleNamespace

import drain
import measure
import mqtt
import neighbours
import page
import sources
import stack
from report import Row

FULL = SimpleNamespace(
    drain=500_000,
    drain_emulator=30_000,
    publish=300_000,
    latency={1: 20, 100: 1000, 1000: 8000},
    latency_runs=5,
    idle=130,
    starts=20,
    growth=(10_000, 100_000, 1_000_000),
    outbox=(1_000, 100_000, 1_000_000),
    scale=60_000,
    poll_interval=10,
    runs=3,
    mqtt=30_000,
    kills=(4_000, 40),
    push=10_000,
    page=1_000_000,
    exec=300_000,
    more=20,
    file=300_000,
    outage=120,
)
SMOKE = SimpleNamespace(
    drain=3_000,
    drain_emulator=500,
    publish=2_000,
    latency={100: 100},
    latency_runs=1,
    idle=2,
    starts=2,
    growth=(1_000, 2_000),
    outbox=(500, 1_000),
    scale=2_000,
    poll_interval=10,
    runs=1,
    mqtt=1_000,
    kills=(40, 2),
    push=200,
    page=5_000,
    exec=2_000,
    more=2,
    file=2_000,
    outage=4,
)


class Bench:
    """What the benchmarks share."""

    def __init__(self, build, sizes, peers):
        self.build, self.sizes, self.peers = build, sizes, peers
        self.real = stack.RealStack()

    def close(self):
        self.real.stop()


# ---- publish ----


def publish_replay(bench, n):
    """Publishes an outbox of n readings."""
    with stack.Tool(bench.build, "replay-pubsub", "--expect-published", n) as pubsub:
        with stack.Daemon(bench.build, pubsub.port, publish=stack.publish_section(pubsub.port)) as daemon:
            stack.run_tool(bench.build, "fill-outbox", daemon.state, n)
            size = os.path.getsize(daemon.state / "outbox.sqlite")
            span = drain.run_until(daemon, pubsub, "published", pubsub.stats)
            time.sleep(0.3)  # the last readings are forgotten
            span.end()
            stats = pubsub.stats()
            code = daemon.stop()
    stack.check(code == 0 and stats["published"] >= n, f"exit code {code}, {stats}")
    seconds = max(1, stats["last_publish"] - stats["first_publish"]) / 1e6
    batch = n / max(1, stats["publishes"])
    return SimpleNamespace(
        rate=max(1, n - batch) / seconds,
        cpu=span.cpu / n * 1e6,
        rss=span.rss,
        anonymous=span.anonymous,
        size=size / n,
        ready=daemon.ready_seconds,
        life=daemon.cpu - span.before,
    )


def count_syncs(bench, status, seconds):
    """(polls, fsyncs) of a daemon whose source is polled every poll_interval, over about that many seconds after its
    first poll."""
    with (
        stack.Tool(bench.build, "replay-pubsub", "--devices", 3, "--publish-status", status) as pubsub,
        tempfile.TemporaryDirectory(prefix="bench-strace-") as folder,
    ):
        section = stack.publish_section(pubsub.port, f"{bench.sizes.poll_interval}s")
        trace = os.path.join(folder, "trace")
        wrapper = ("strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o", trace)
        with stack.Daemon(bench.build, pubsub.port, publish=section, wrapper=wrapper) as daemon:
            daemon.start()
            wait_for(lambda: pubsub.stats()["polls"] >= 1)
            time.sleep(1.5)
            polls, syncs = pubsub.stats()["polls"], lines(trace)
            wait_for(lambda: pubsub.stats()["polls"] >= polls + seconds // bench.sizes.poll_interval, seconds + 30)
            time.sleep(1.5)
            polls, syncs = pubsub.stats()["polls"] - polls, lines(trace) - syncs
            stop_traced(daemon)
    return polls, syncs


def stop_traced(daemon):
    """strace passes no signal on: end its child."""
    children = open(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read().split()
    for child in children:
        os.kill(int(child), 15)
    daemon.process.wait(30)
    daemon.process = None


def lines(path):
    with open(path) as text:
        return sum(1 for line in text if "sync" in line and "unfinished" not in line)


def wait_for(condition, patience=60):
    deadline = time.monotonic() + patience
    while not condition():
        stack.check(time.monotonic() < deadline, "the daemon did not poll")
        time.sleep(0.05)


def disk_of_a_poll(bench, devices, polls=400):
    """What the outbox alone writes, from put to forgotten: checkpoints are in it."""
    with tempfile.TemporaryDirectory(prefix="bench-outbox-", dir="/var/tmp") as folder:
        cost = stack.run_tool(bench.build, "fill-outbox", folder, devices * polls, devices)
    yield Row(
        "publish",
        f"bytes written to the disk a poll of {devices} devices, stored, published, forgotten",
        "kB",
        cost["bytes"] / polls / 1000,
        ("<=", 20),
    )
    yield Row("publish", "the same, polls a second", "/s", polls / cost["seconds"])


def publish(bench):
    """An outbox to Pub/Sub: readings a second, CPU; what one poll costs the disk."""
    runs = [publish_replay(bench, bench.sizes.publish) for _ in range(bench.sizes.runs)]
    yield Row("publish", "replay, readings a second", "/s", median(r.rate for r in runs), (">=", 50_000))
    yield Row("publish", "replay, CPU a reading", "us", median(r.cpu for r in runs), ("<=", 10))
    yield Row("publish", "peak RSS", "MiB", max(r.rss for r in runs))
    yield Row("publish", "outbox on disk, a reading", "bytes", median(r.size for r in runs))
    yield from disk_of_a_poll(bench, 4)
    if not stack.have("strace"):
        yield Row("publish", "fsyncs a poll of 3 devices", "", None, ("<=", 2), "strace is not installed")
        return
    seconds = bench.sizes.poll_interval * bench.sizes.runs
    try:
        if bench.sizes is not SMOKE:  # a poll every 10 s is the shortest there is
            polls, syncs = count_syncs(bench, 503, seconds)
            yield Row(
                "publish",
                "fsyncs a poll of 3 devices, stored",
                "",
                syncs / max(1, polls),
                ("<=", 2),
                f"{syncs} in {polls} polls while Pub/Sub refuses",
            )
        polls, syncs = count_syncs(bench, 200, seconds)
        yield Row(
            "publish",
            "fsyncs a poll of 3 devices, stored, published, forgotten",
            "",
            syncs / max(1, polls),
            ("<=", 1),
            f"{syncs} in {polls} polls",
        )
    except stack.Broken as error:
        yield Row("publish", "fsyncs a poll of 3 devices", "", None, ("<=", 2), str(error).splitlines()[0])


# ---- latency ----


def latency_replay(bench, rate, n, bare):
    with (
        stack.Tool(bench.build, "replay-pubsub", "--backlog", n, "--rate", rate, "--rate-delay-ms", 1500) as pubsub,
        stack.Tool(bench.build, "replay-mongo", "--timed", "--expect", n) as mongo,
    ):
        if bare:
            stack.run_tool(
                bench.build, "bench-client", "carry", "--pubsub", pubsub.port, "--mongo", mongo.port, "--count", n
            )
        else:
            with stack.Daemon(bench.build, pubsub.port, subscribe=stack.subscribe_section(mongo.port)) as daemon:
                daemon.start()
                mongo.wait("documents")
        return mongo.stop()["latency"]


def latency_real(bench, rate, n, bare):
    real = bench.real.start()
    topic, subscription, collection = real.fresh()
    real.create("bench", collection)
    publish = (
        "publish",
        "--pubsub",
        real.pubsub_port,
        "--topic",
        f"projects/{stack.PROJECT}/topics/{topic}",
        "--count",
        n,
        "--rate",
        rate,
    )
    with stack.Tool(bench.build, "mongo-tap", "--server", real.mongo_port, "--expect", n) as tap:
        if bare:
            carry = subprocess.Popen(
                [
                    bench.build.tool("bench-client"),
                    "carry",
                    "--pubsub",
                    str(real.pubsub_port),
                    "--mongo",
                    str(tap.port),
                    "--count",
                    str(n),
                    "--collection",
                    collection,
                    "--subscription",
                    f"projects/{stack.PROJECT}/subscriptions/{subscription}",
                ],
                stdout=subprocess.DEVNULL,
            )
            time.sleep(1)
            stack.run_tool(bench.build, "bench-client", *publish)
            stack.check(carry.wait(120) == 0, "the bare client failed")
        else:
            with stack.Daemon(
                bench.build,
                real.pubsub_port,
                subscribe=stack.subscribe_section(tap.port, collection, subscription=subscription),
            ) as daemon:
                daemon.start()
                time.sleep(1)
                stack.run_tool(bench.build, "bench-client", *publish)
                tap.wait("documents", 120)
        return tap.stop()["latency"]


def latency(bench):
    """From the publish call to the confirmed document, beside a client that does nothing else."""
    for name, one in (("replay", latency_replay), ("emulator + SecantusDB", latency_real)):
        try:
            for rate, n in bench.sizes.latency.items():
                yield from latency_rate(bench, name, one, rate, n)
        except stack.NotHere as reason:
            yield Row("latency", name, "ms", None, None, str(reason))


def latency_rate(bench, name, one, rate, n):
    """Runs alternate, and where there is a target the median counts: one pause of the database is more than the slowest
    hundredth of a run."""
    bare, ours = [], []
    for _ in range(bench.sizes.latency_runs if rate == 100 else 1):
        bare.append(one(bench, rate, n, True))
        ours.append(one(bench, rate, n, False))
        stack.check(ours[-1]["n"] == n, f"{n} sent, {ours[-1]['n']} seen")
    for key in ("p50", "p99"):
        servers = median(run[f"{key}_ms"] for run in bare)
        limit = (
            ("<=", servers + 15) if rate == 100 and key == "p99" else None
        )  # at 1/s the slowest of 20 is no percentile
        yield Row(
            "latency",
            f"{name}, {rate}/s, {key}",
            "ms",
            median(run[f"{key}_ms"] for run in ours),
            limit,
            f"bare client {servers:.1f} ms",
        )


# ---- idle ----


def idle(bench):
    """One source of 60 s, one empty subscription: memory, wake-ups, CPU; how fast it starts, how large it is."""
    build, seconds = bench.build, bench.sizes.idle
    with stack.Tool(build, "replay-pubsub") as pubsub, stack.Tool(build, "replay-mongo") as mongo:
        starts, start_cpu = [], []
        for _ in range(bench.sizes.starts):
            with stack.Daemon(
                build, pubsub.port, stack.publish_section(pubsub.port, "60s"), stack.subscribe_section(mongo.port)
            ) as daemon:
                starts.append(daemon.start().ready_seconds * 1000)
                start_cpu.append(measure.cpu_seconds(daemon.pid) * 1000)
        quiet = rest(build, seconds, pubsub.port, pubsub.port, stack.subscribe_section(mongo.port))
    yield Row("idle", "RSS", "MiB", quiet.rss, ("<=", 22))
    yield Row("idle", "anonymous memory", "MiB", quiet.anonymous, ("<=", 5))
    yield Row("idle", "wake-ups of our own threads", "/s", quiet.own, ("<=", 0.5), quiet.detail)
    yield Row("idle", "wake-ups of all threads", "/s", quiet.all, ("<=", 3))
    yield Row("idle", "CPU", "s an hour", quiet.cpu * 3600)
    yield Row(
        "idle",
        "start to READY=1, median",
        "ms",
        median(starts),
        ("<=", 50),
        f"worst {max(starts):.0f} ms of {len(starts)}",
    )
    yield Row("idle", "CPU from exec to READY=1, median", "ms", median(start_cpu))
    yield Row("idle", "stripped binary", "kB", build.stripped_size() / 1000, ("<=", 600))
    try:
        yield from idle_tls(build, min(60, seconds))
    except stack.NotHere as reason:
        yield Row("idle", "over TLS", "MiB", None, None, str(reason))


def idle_tls(build, seconds):
    """The same with TLS to Pub/Sub, then to MongoDB as well, with all anchors of the system for each."""
    for both in (False, True):
        with (
            stack.Tool(build, "replay-pubsub") as pubsub,
            stack.Tool(build, "replay-mongo") as mongo,
            stack.Tls(build, pubsub.port) as tls,
            tls.front(pubsub.port) as pubsub_front,
            tls.front(mongo.port) as mongo_front,
        ):
            section = (
                stack.subscribe_section(mongo_front.port, tls=tls) if both else stack.subscribe_section(mongo.port)
            )
            quiet = rest(build, seconds, pubsub.port, pubsub_front.port, section, tls)
            connections = f"{pubsub_front.stop()['connections']} connections to Pub/Sub, {mongo_front.stop()['connections']} to MongoDB"
        name = "TLS to Pub/Sub and MongoDB" if both else "TLS to Pub/Sub"
        yield Row("idle", f"{name}, RSS", "MiB", quiet.rss, None if both else ("<=", 22), connections)
        yield Row("idle", f"{name}, anonymous memory", "MiB", quiet.anonymous, None if both else ("<=", 5))
        yield Row(
            "idle", f"{name}, wake-ups of our own threads", "/s", quiet.own, ("<=", 0.5), f"of all {quiet.all:.2f}/s"
        )


def rest(build, seconds, api_port, pubsub_port, section, tls=None):
    """A daemon that has nothing to do: what it uses meanwhile."""
    with stack.Daemon(build, pubsub_port, stack.publish_section(api_port, "60s"), section, tls=tls) as daemon:
        daemon.start()
        time.sleep(min(10, seconds))
        before, cpu, began = measure.wakeups(daemon.pid), measure.cpu_seconds(daemon.pid), time.monotonic()
        time.sleep(seconds)
        after, cpu, wall = measure.wakeups(daemon.pid), measure.cpu_seconds(daemon.pid) - cpu, time.monotonic() - began
        memory, main = measure.memory(daemon.pid), daemon.pid
    rates = {
        task: (name, (switches - before.get(task, (name, 0))[1]) / wall) for task, (name, switches) in after.items()
    }
    worker = min(
        (task for task, (name, _) in rates.items() if task != main and name == "mongodb"), default=None
    )  # the driver's threads come after it, and inherit its name
    return SimpleNamespace(
        rss=memory["rss"],
        anonymous=memory["anonymous"],
        cpu=cpu / wall,
        all=sum(rate for _, rate in rates.values()),
        own=sum(rate for task, (_, rate) in rates.items() if task in (main, worker)),
        detail=", ".join(
            f"{'driver' if task not in (main, worker) else name} {rate:.2f}" for task, (name, rate) in rates.items()
        ),
    )


# ---- growth ----


def growth(bench):
    """Cost a reading and memory as the backlog and the outbox grow.

    The cost counts from READY=1 to the end of the process, so that what is put off to the end (SQLite's checkpoint) is
    in it; what a start and a stop with one single reading cost is taken off and told by itself. Without that the
    smallest size would seem dear: it is done within a few milliseconds.
    """
    for what, sizes, one in (
        ("drain", bench.sizes.growth, drain.drain_replay),
        ("outbox", bench.sizes.outbox, publish_replay),
    ):
        results = {}
        for n in (1, *sizes):
            repeats = 1 if bench.sizes.runs == 1 else 11 if n <= 10_000 else 3
            runs = [one(bench, n) for _ in range(repeats)]
            results[n] = SimpleNamespace(life=median(r.life for r in runs), rss=median(r.rss for r in runs))
            if n == 1:
                yield Row("growth", f"{what} of 1, CPU from READY=1 to the end", "ms", results[1].life * 1000)
                continue
            results[n].cpu = (results[n].life - results[1].life) / (n - 1) * 1e6
            ready = f", READY=1 after {median(r.ready for r in runs) * 1000:.0f} ms" if what == "outbox" else ""
            yield Row(
                "growth",
                f"{what} of {n}, CPU a reading",
                "us",
                results[n].cpu,
                None,
                f"peak RSS {results[n].rss:.1f} MiB{ready}",
            )
        last, first = results[sizes[-1]], results[sizes[0]]
        yield Row(
            "growth",
            f"{what} of {sizes[-1]} against {sizes[0]}, CPU a reading",
            "times",
            last.cpu / first.cpu,
            ("<=", 1.1),
        )
        yield Row(
            "growth", f"{what} of {sizes[-1]} against {sizes[0]}, peak RSS", "times", last.rss / first.rss, ("<=", 1.1)
        )


# ---- scale-out ----


def scale_out(bench):
    """Several daemons on one subscription, into a database that takes 20 ms a write."""
    rates = {}
    for n_daemons in (1, 2, 4):
        rates[n_daemons] = scale_one(bench, n_daemons)
        factor = rates[n_daemons] / rates[1]
        yield Row(
            "scale-out",
            f"{n_daemons} daemon{'s' if n_daemons > 1 else ''}, 100 readings and 20 ms a write",
            "/s",
            rates[n_daemons],
            None,
            f"{factor:.2f} times one",
        )


def scale_one(bench, n_daemons):
    n, build, daemons = bench.sizes.scale, bench.build, []
    with (
        stack.Tool(build, "replay-pubsub", "--backlog", n) as pubsub,
        stack.Tool(build, "replay-mongo", "--expect", n, "--delay-ms", 20) as mongo,
    ):
        try:
            for _ in range(n_daemons):
                daemons.append(
                    stack.Daemon(build, pubsub.port, subscribe=stack.subscribe_section(mongo.port, max_messages=100))
                )
            for daemon in daemons:
                daemon.start()
            pubsub.wait("acknowledged")
            stats = pubsub.stats()
        finally:
            for daemon in daemons:
                daemon.__exit__()
        documents = mongo.stop()["documents"]
    stack.check(documents == n and stats["acknowledged"] == n, f"{n} messages, {documents} documents, {stats}")
    return n / (stats["last_ack"] - stats["first_pull"]) * 1e6


ALL = {
    "drain": drain.drain,
    "publish": publish,
    "latency": latency,
    "idle": idle,
    "growth": growth,
    "scale-out": scale_out,
    "mqtt": mqtt.mqtt,
    "mqtt-kills": mqtt.kills,
    "push": sources.push,
    "page": page.page,
    "exec": sources.lines,
    "more-mqtt": sources.more_mqtt,
    "file": drain.drain_file,
    "neighbours": neighbours.neighbours,
}
