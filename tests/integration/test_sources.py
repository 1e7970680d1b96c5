"""Every kind of source in one daemon, into one topic, over kills: what a peer was told is kept, is kept, and each of it once (P1, P4, P12)."""
import contextlib
import http.server
import json
import random
import re
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from datetime import datetime, timezone

import pytest
from harness import REPO, fill_disk, small_disk, wait_until
from services import mosquitto, ports
from services.mosquitto import Mosquitto
from services.proxy import Proxy

if mosquitto.obstacle():
    pytest.skip(mosquitto.obstacle(), allow_module_level=True)

STREAM = """#!/usr/bin/env python3
import itertools, os, time
for n in itertools.count():
    print('{"n": "stream:%d:%d"}' % (os.getpid(), n))
    time.sleep(0.05)
"""


class Pusher(threading.Thread):
    """Posts numbered readings, each under a key of its own, and again until it is told that they are stored."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.stored, self.ending = port, [], False

    def run(self):
        n = 0
        while not self.ending:
            name = f"push:{n}"
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/readings", json.dumps({"n": name}).encode(),
                                             {"Content-Type": "application/json", "Idempotency-Key": name})
            try:
                with urllib.request.urlopen(request, timeout=5) as reply:
                    assert json.load(reply) == {"stored": 1}
                self.stored.append(name)
                n += 1
            except (OSError, urllib.error.URLError, ValueError):
                time.sleep(0.05)
            time.sleep(0.005)


class History(http.server.ThreadingHTTPServer):
    """An API that keeps points: answers from a time to another, newest first, in pages; and one point lies in the far future."""
    daemon_threads = True
    PAGE = 40

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.points, self.down = [], False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def add(self, n, late=0):
        self.points.append((time.time() - late, f"history:{n}"))

    def page(self, since, until, token):
        found = sorted((point for point in self.points if since <= point[0] <= until or point[0] > 2**31 - 1), reverse=True)
        return found[token:token + self.PAGE], token + self.PAGE if token + self.PAGE < len(found) else None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        points, token = self.server.page(int(query["from"]), int(query["to"]), int(query.get("page", 0)))
        body = json.dumps({"next": token, "points": [{"at": datetime.fromtimestamp(at, timezone.utc).isoformat(), "n": n} for at, n in points]}).encode()
        self.send_response(503 if self.server.down else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def history_source(history):
    return {"name": "history", "type": "http_json", "interval": "10s", "url": f"http://127.0.0.1:{history.server_port}/?from={{since:unix}}&to={{until:unix}}",
            "since": {"overlap": "1h", "window": "2h"}, "paging": {"next": "/next", "parameter": "page"}, "reading": {"items": "/points", "time": "/at"}}


@pytest.fixture
def broker(tmp_path):
    with contextlib.closing(Mosquitto(tmp_path / "mosquitto").start()) as server:
        yield server


@pytest.fixture
def house(make_stack, own_queue, shared_mongodb, remo, broker, tmp_path):
    """A daemon with a source of each kind; its stack has `port` of the push and `history`."""
    own_queue.create()
    program = tmp_path / "stream"
    program.write_text(STREAM)
    program.chmod(0o755)
    stack = make_stack(own_queue, shared_mongodb, remo)
    stack.port = ports.free_port()
    stack.daemon.config["publish"]["labels"] = {"site": "nakano"}
    stack.daemon.config["publish"]["sources"] += [
        {"name": "run", "type": "exec", "interval": "10s", "command": ["sh", "-c", "echo 21.5"]},
        {"name": "stream", "type": "exec", "mode": "stream", "command": [str(program)]},
        {"name": "broker", "type": "mqtt", "url": f"mqtt://127.0.0.1:{broker.port}", "topics": ["home/{id}/{field}"]},
        {"name": "push", "type": "http_push", "listen": f"127.0.0.1:{stack.port}"}]
    with History() as stack.history:
        stack.daemon.config["publish"]["sources"].append(history_source(stack.history))
        stack.daemon.write_config()
        yield stack
        stack.history.shutdown()


def numbers(stack, source):
    """How often each number of a source is stored."""
    return Counter(document.get("n") for document in stack.readings(query={"source": source}))


def test_each_kind_is_stored(house, broker):
    house.history.add(1, late=5)
    house.daemon.start()
    pusher = Pusher(house.port)
    pusher.start()
    wait_until(lambda: (house.daemon.state / "mqtt-broker.session").exists(), "a session with the broker")
    broker.publish("home/kitchen/temperature", "21.5")
    for source in ("home", "run", "stream", "broker", "push", "history"):
        wait_until(lambda: house.readings(query={"source": source}), f"a document of {source} (log: {house.daemon.log.lines[-20:]})")
    pusher.ending = True
    document = house.readings(query={"source": "broker"})[0]
    assert document["temperature"] == 21.5 and document["id"] == "kitchen" and document["site"] == "nakano"
    assert document["pubsub"]["attributes"]["device"] == "kitchen" and document["pubsub"]["attributes"]["site"] == "nakano"
    assert house.readings(query={"source": "run"})[0]["value"] == 21.5
    assert not house.daemon.log.events("SOURCE_FAILING")


def test_nothing_is_lost_or_doubled_over_kills(house, broker):
    """What the broker and the pusher were told is stored is there once, whenever the daemon died."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    house.daemon.start()
    wait_until(lambda: (house.daemon.state / "mqtt-broker.session").exists(), "a session with the broker")
    pusher = Pusher(house.port)
    pusher.start()
    published = []
    for round_ in range(8):
        batch = [f"mqtt:{round_}:{n}" for n in range(250)]
        feeder = threading.Thread(target=broker.publish, args=("home/x/n", *batch))
        feeder.start()
        published += batch
        for n in range(50):
            house.history.add(f"{round_}:{n}", late=chance.uniform(2, 1800))
        time.sleep(chance.uniform(0, 0.3))
        house.daemon.kill()
        house.daemon.start()
        feeder.join()
    wait_until(lambda: set(published) <= set(numbers(house, "broker")), "everything of the broker", patience=60)
    pusher.ending = True
    pusher.join()
    wait_until(lambda: set(pusher.stored) <= set(numbers(house, "push")), "everything that was pushed")
    assert len(pusher.stored) > 10
    wait_until(lambda: {n for _, n in house.history.points} <= set(numbers(house, "history")), "the history", patience=60)
    for source in ("broker", "push", "history"):
        doubled = {name: n for name, n in numbers(house, source).items() if n > 1}
        assert not doubled, f"seed {seed}"
    assert house.daemon.stop() == 0


def test_history_is_fetched_later(make_stack, own_queue, shared_mongodb, remo):
    """What an API kept while the daemon was dead, or the API itself was down, is there once, however late it came in (P1, P4)."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    own_queue.create()
    stack = make_stack(own_queue, shared_mongodb, remo)
    with History() as history:
        stack.daemon.config["publish"]["sources"].append(history_source(history))
        stack.daemon.write_config()
        history.points.append((2**31 + 1, "history:2038"))
        for round_ in range(6):
            history.down = round_ == 3
            for n in range(100):
                history.add(f"{round_}:{n}", late=chance.uniform(2, 1800))
            stack.daemon.start()
            time.sleep(chance.uniform(0, 0.4))
            stack.daemon.kill()
        stack.daemon.start()
        expected = {n for _, n in history.points}
        wait_until(lambda: expected <= set(numbers(stack, "history")), "every point", patience=60)
        assert stack.daemon.stop() == 0
        history.shutdown()
    counts = numbers(stack, "history")
    assert not {name: n for name, n in counts.items() if n > 1}, f"seed {seed}"
    assert set(counts) == expected


def at_proxy(url, proxy):
    return re.sub(r"127\.0\.0\.1:\d+|localhost:\d+", f"127.0.0.1:{proxy.port}", url, count=1)


@pytest.fixture
def walls(house, broker, remo):
    """What can be taken from the house, by name: functions that do so (False) and give it back (True)."""
    sources = {source["name"]: source for source in house.daemon.config["publish"]["sources"]}
    mongodb = house.daemon.config["subscribe"][0]["mongodb"]
    faults = house.queue.service.faults

    def switch(proxy):
        return lambda there: proxy.set_mode("pass" if there else "refuse")

    def answers(match):
        return lambda there: faults.clear() if there else faults.add({"match": match, "times": -1, "action": {"type": "status", "status": 503}})

    with contextlib.ExitStack() as stack:
        proxies = {name: stack.enter_context(Proxy(int(re.search(r":(\d+)", url[url.index("//"):])[1])))
                   for name, url in (("remo", remo.url), ("broker", sources["broker"]["url"]), ("mongodb", mongodb["uri"]))}
        sources["home"]["url"] = at_proxy(remo.url, proxies["remo"])
        sources["broker"]["url"] = at_proxy(sources["broker"]["url"], proxies["broker"])
        mongodb["uri"] = at_proxy(mongodb["uri"], proxies["mongodb"])
        house.daemon.env["SENSORQD_TEST_BACKOFF_MAX_MSEC"] = "500"
        house.daemon.write_config()
        disk = stack.enter_context(small_disk(house.daemon.state, "16m"))
        yield {**{name: switch(proxy) for name, proxy in proxies.items()}, "publish": answers(":publish$"), "pull": answers(":pull$"), "acknowledge": answers(":acknowledge$"),
               "history": lambda there: setattr(house.history, "down", not there), "disk": lambda there: (disk / "filler").unlink() if there else fill_disk(disk)}


def test_nothing_is_lost_or_doubled_over_outages(house, walls, broker):
    """P1, P4, P7, P12: each remote is away for a while, and the disk is full, with kills of the daemon in some of that."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    house.daemon.start()
    wait_until(lambda: (house.daemon.state / "mqtt-broker.session").exists(), "a session with the broker")
    pusher = Pusher(house.port)
    pusher.start()
    published = []
    for round_, name in enumerate(chance.sample(sorted(walls), len(walls))):
        print(f"without {name}")
        walls[name](False)
        batch = [f"mqtt:{round_}:{n}" for n in range(100)]
        broker.publish("home/x/n", *batch)
        published += batch
        for n in range(30):
            house.history.add(f"{round_}:{n}", late=chance.uniform(2, 1800))
        time.sleep(chance.uniform(0.2, 1))
        if chance.random() < 0.5:
            house.daemon.kill()
            house.daemon.start()
        walls[name](True)
    wait_until(lambda: set(published) <= set(numbers(house, "broker")), f"everything of the broker (log: {house.daemon.log.lines[-20:]})", patience=90)
    pusher.ending = True
    pusher.join()
    wait_until(lambda: set(pusher.stored) <= set(numbers(house, "push")), "everything that was pushed", patience=90)
    wait_until(lambda: {n for _, n in house.history.points} <= set(numbers(house, "history")), "the history", patience=90)
    assert house.daemon.stop() == 0
    for source in ("broker", "push", "history", "stream"):
        assert not {name: n for name, n in numbers(house, source).items() if n > 1}, f"seed {seed}"
    runs = {}
    for name in numbers(house, "stream"):
        runs.setdefault(name.split(":")[1], []).append(int(name.split(":")[2]))
    assert runs and all(sorted(run) == list(range(len(run))) for run in runs.values()), f"seed {seed}: a line is missing between others of one run"
    assert set(pusher.stored) and not house.readings("readings_rejected")


PAGE = REPO / "docs" / "sources" / "http-push.md"

# As the service manager does it: the socket is descriptor 3 of the process that is then sensorqd.
HANDS_OVER = """
import os, socket, sys
sock = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def test_socket_of_the_page(sensorqd, own_queue):
    """The page's socket unit and its source fit together: what comes through the socket is on disk when it is answered."""
    unit = dict(re.findall(r"^(\w+)=(.+)$", re.search(r"^\[Socket\]\n(.*?)\n\n", PAGE.read_text(), re.M | re.S)[1], re.M))
    listen = re.search(r"^ +listen: (systemd:\S+)", PAGE.read_text(), re.M)[1]
    assert listen == f"systemd:{unit['FileDescriptorName']}" and unit["ListenStream"].isdigit() and unit["Service"] == "sensorqd.service"
    port = ports.free_port()
    config = {"pubsub": own_queue.section, "publish": {"topic": "sensor-data", "sources": [
        {"name": "push", "type": "http_push", "listen": listen, "token_file": "push.token", "allow_plain": True}]}}
    daemon = sensorqd(config, {**own_queue.secrets, "push.token": "a-secret-of-push"}, env=own_queue.env,
                      wrapper=[sys.executable, "-c", HANDS_OVER, str(port), unit["FileDescriptorName"]])
    daemon.start()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/readings", b'{"co2":612}', {"Content-Type": "application/json", "Authorization": "Bearer a-secret-of-push"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert json.load(reply) == {"stored": 1}
    assert daemon.stop() == 0
