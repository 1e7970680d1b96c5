"""The page: how soon a view is there after a million messages, what the charts cost the disk and the memory, and
whether viewers slow down storing."""

import contextlib
import gzip
import http.client
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import browser
import measure
import stack
from report import Row
from services import ports

VIEWERS = 10
DEVICES = 100
PAGE = Path(__file__).resolve().parents[2] / "daemon" / "page"
DAY = 86400_000


def timed(port, path):
    """Milliseconds of a request on a new connection, bytes over the wire, and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.perf_counter()
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    reply = connection.getresponse()
    body = reply.read()
    took = (time.perf_counter() - began) * 1000
    connection.close()
    if reply.status != 200:
        raise stack.Broken(f"{path}: {reply.status} {body[:200]}")
    return took, len(body), gzip.decompress(body) if reply.headers["Content-Encoding"] == "gzip" else body


def wait_served(port, daemon):
    for _ in range(500):
        with contextlib.suppress(OSError):
            return timed(port, "/api/series")
        time.sleep(0.02)
    raise stack.Broken(f"no page\n{daemon.log()}")


@contextlib.contextmanager
def daemon_with_page(build, backlog=0, expect=1, page=True):
    """A daemon between the replaying servers, page and all; not started."""
    port = ports.free_port()
    with contextlib.ExitStack() as stage:
        pubsub = stage.enter_context(stack.Tool(build, "replay-pubsub", "--backlog", backlog))
        mongo = stage.enter_context(stack.Tool(build, "replay-mongo", "--expect", expect))
        daemon = stage.enter_context(
            stack.Daemon(
                build,
                pubsub.port,
                subscribe=stack.subscribe_section(mongo.port),
                page={"listen": f"127.0.0.1:{port}"} if page else None,
            )
        )
        yield SimpleNamespace(daemon=daemon, port=port, pubsub=pubsub)


def views(port):
    """The paths of a view of all series: the page, how things stand, a day."""
    ids = ",".join(str(entry["id"]) for entry in json.loads(timed(port, "/api/series")[2])["series"][:6])
    now = time.time_ns() // 1_000_000
    day, year = (f"/api/values?series={ids}&from={now - span}&to={now}&points=600" for span in (DAY, 365 * DAY))
    return SimpleNamespace(now=["/api/status", "/api/series"], day=day, year=year)


def median_of(n, port, *paths):
    """Of the sum over the paths: milliseconds, bytes."""
    runs = [[timed(port, path) for path in paths] for _ in range(n)]
    return statistics.median(sum(took for took, _, _ in run) for run in runs), sum(size for _, size, _ in runs[0])


def first_view(bench):
    with daemon_with_page(bench.build) as one:
        filled = stack.run_tool(bench.build, "fill-page", one.daemon.state, bench.sizes.page)
        cpu = [
            sum(
                stack.run_tool(bench.build, "fill-page", one.daemon.state, "ask", days)[part]
                for part in ("read", "render", "gzip")
            )
            for days in (1, 365)
        ]
        one.daemon.start()
        wait_served(one.port, one.daemon)
        paths = views(one.port)
        for what, limit, wanted, note in (
            ("status and latest values", 50, paths.now, f"{bench.sizes.page} messages of six numbers in two years"),
            ("charts of 24 h, 6 series", 100, [paths.day], f"{cpu[0]:.1f} ms of CPU"),
            ("charts of a year, 6 series", 200, [paths.year], f"{cpu[1]:.1f} ms of CPU"),
        ):
            took, size = median_of(9, one.port, *wanted)
            yield Row(
                "page", f"{what}, median", "ms", took, ("<=", limit), f"{size / 1000:.1f} kB over the wire; {note}"
            )
        files = ["/", *(f"/{path.name}" for path in PAGE.iterdir() if path.suffix in (".css", ".js"))]
        size = median_of(1, one.port, *files, *paths.now, paths.day)[1]
        yield Row(
            "page",
            "first view over the wire, gzip",
            "kB",
            size / 1000,
            ("<=", 60),
            f"{len(files)} files, how things stand, a day of 6 series",
        )
        size = (one.daemon.state / "page.sqlite").stat().st_size
        yield Row("page", "page.sqlite after that", "MiB", size / 2**20, None, f"filled in {filled['seconds']:.1f} s")


def in_a_browser(bench):
    """The same view in Chromium: no cache, JavaScript and drawing included."""
    with browser.chromium() as chromium, daemon_with_page(bench.build) as one:
        if not chromium:
            return
        stack.run_tool(bench.build, "fill-page", one.daemon.state, bench.sizes.page)
        one.daemon.start()
        wait_served(one.port, one.daemon)
        times, cards = browser.first_views(chromium, f"http://127.0.0.1:{one.port}/", bench.sizes.runs * 3)
        for name, what in (("now", "chain and latest values drawn"), ("charts", "charts of 24 h drawn")):
            yield Row(
                "page",
                f"first view in Chromium: {what}, median",
                "ms",
                times[name],
                None,
                f"from the navigation; {bench.sizes.page} messages, {cards} charts; {times[name + '_asked']:.0f} ms of it between asking and the last byte",
            )
        yield Row(
            "page", "a year instead, in Chromium: charts drawn, median", "ms", times["year"], None, "from the click"
        )


def metrics(bench):
    """As Prometheus asks: every figure, and of each number its value, its time and its name."""
    with daemon_with_page(bench.build) as one:
        stack.run_tool(bench.build, "fill-page", one.daemon.state, "devices", DEVICES)
        one.daemon.start()
        wait_served(one.port, one.daemon)
        lines = timed(one.port, "/metrics")[2].decode().splitlines()
        if sum(line.startswith("sensorqd_reading_value{") for line in lines) != 4 * DEVICES:
            raise stack.Broken(f"{len(lines)} lines, and not those of {DEVICES} devices")
        took, size = median_of(20, one.port, "/metrics")
        yield Row(
            "page",
            f"/metrics of {DEVICES} devices with four numbers, median",
            "ms",
            took,
            ("<=", 5),
            f"{size / 1000:.1f} kB over the wire",
        )


def disk(bench):
    with tempfile.TemporaryDirectory(prefix="bench-page-", dir="/var/tmp") as folder:
        done = stack.run_tool(bench.build, "fill-page", folder, "hours", 24 if bench.sizes.page > 100_000 else 1)
    yield Row(
        "page", "written to the disk an hour, 20 series at 60 s", "kB", done["bytes_an_hour"] / 1000, ("<=", 1000)
    )


@contextlib.contextmanager
def viewers(build, port, *paths):
    """Ten of them, without pause; what they got is known at the end."""
    told = SimpleNamespace(answered=0)
    process = subprocess.Popen(
        [str(build.tool("page-viewers")), str(port), str(VIEWERS), *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield told
    finally:
        out, _ = process.communicate(timeout=60)
        told.__dict__.update(json.loads(out))


def at_rest(bench, page, look=False):
    """MiB of anonymous memory of a daemon that has stored a little and rests, and with ten viewers."""
    with daemon_with_page(bench.build, 100, 100, page) as one:
        one.daemon.start()
        one.pubsub.wait("acknowledged")
        time.sleep(3)
        rest = measure.memory(one.daemon.pid)["anonymous"]
        if not look:
            return rest, None
        paths = views(one.port)
        with viewers(bench.build, one.port, "/", "/page.css", "/page.js", *paths.now, paths.day) as told:
            time.sleep(5)
            looked = measure.memory(one.daemon.pid)["anonymous"]
        if told.failed:
            raise stack.Broken(f"{told.failed} requests failed\n{one.daemon.log()}")
        return rest, looked


def memory(bench):
    without, _ = at_rest(bench, False)
    rest, looked = at_rest(bench, True, True)
    yield Row("page", "anonymous memory, page on, idle: more than without", "MiB", rest - without, ("<=", 1))
    yield Row("page", "and while ten viewers look", "MiB", looked - rest, ("<=", 4))


def drained(bench, watched, n):
    """Messages stored a second, with ten viewers or alone; the page is on in both cases."""
    with daemon_with_page(bench.build, n, n) as one:
        paths = ["/", "/page.css", "/page.js", "/api/status", "/api/series", "/api/status", "/api/series"]
        one.daemon.start()
        with (
            viewers(bench.build, one.port, *paths)
            if watched
            else contextlib.nullcontext(SimpleNamespace(answered=0)) as told
        ):
            one.pubsub.wait("acknowledged")
            stats = one.pubsub.stats()
        if one.daemon.stop() != 0:
            raise stack.Broken(one.daemon.log())
    return n / max(1, stats["last_ack"] - stats["first_pull"]) * 1e6, told.answered


def rate(bench):
    alone, watched, answered = [], [], 0
    for _ in range(bench.sizes.runs):
        alone.append(drained(bench, False, bench.sizes.drain)[0])
        value, more = drained(bench, True, bench.sizes.drain)
        watched.append(value)
        answered += more
    share = 100 * statistics.median(watched) / statistics.median(alone)
    yield Row(
        "page",
        "storing rate while ten viewers reload",
        "%",
        share,
        (">=", 90),
        f"of {statistics.median(alone):.0f}/s alone, page on; {answered} requests answered meanwhile",
    )


def page(bench):
    """The page: first view, metrics, disk, memory, storing while others look."""
    yield from first_view(bench)
    yield from in_a_browser(bench)
    yield from metrics(bench)
    yield from disk(bench)
    yield from memory(bench)
    yield from rate(bench)
