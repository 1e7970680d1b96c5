"""Neighbours: whether files and alerts notice that MongoDB is down, all three on one topic in one daemon."""
import contextlib
import datetime
import http.server
import json
import statistics
import threading
import time
from types import SimpleNamespace

import stack
from report import Row
from services.proxy import Proxy
from services.pubsub import PubSub

RATE = 20  # messages a second
FLIP = 2  # seconds between the beginning and the end of an alert
TOPIC = f"projects/{stack.PROJECT}/topics/{stack.TOPIC}"
SUBSCRIPTIONS = ("mongodb", "file", "alert")


class Told(http.server.ThreadingHTTPServer):
    """A target of alerts: when it was told which value."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Teller)
        self.at = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Teller(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        value = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["value"]
        self.server.at.setdefault(value, time.monotonic())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def sections(mongo_port, told):
    backoff = {"initial": "1s", "max": "5s"}
    rule = {"name": "hot", "field": "t", "where": {"id": "oven"}, "above": 0}
    target = {"name": "me", "type": "webhook", "url": f"http://127.0.0.1:{told.server_port}/", "body": '{"value": {value}}'}
    return [{**stack.subscribe_section(mongo_port, subscription="mongodb"), "backoff": backoff},
            {"subscription": "file", "backoff": backoff, "file": {"directory": "archive"}},
            {"subscription": "alert", "backoff": backoff, "alert": {"targets": [target], "rules": [rule]}}]


class Sender:
    """Publishes at the rate for some seconds: a reading of one of ten rooms each time, and of the oven, which gets hot and cold by turns."""

    def __init__(self, store):
        self.store, self.serial, self.sent, self.flips = store, 0, {}, {}

    def run(self, seconds):
        """{message id: when it was sent} and {value of the oven: likewise} of this stretch."""
        began, sent, flips = time.monotonic(), {}, {}
        for n in range(int(seconds * RATE)):
            time.sleep(max(0, began + n / RATE - time.monotonic()))
            sent.update(self.send(f"room-{n % 10}", self.serial))
            if n % (FLIP * RATE) == FLIP * RATE // 2:
                value = self.serial if len(self.flips) % 2 == 0 else -self.serial
                self.flips[value] = flips[value] = time.monotonic()
                self.send("oven", value)
        return SimpleNamespace(sent=sent, flips=flips)

    def send(self, room, value):
        self.serial += 1
        at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data = json.dumps({"id": room, "source": "home", "request_at": at, "t": value})
        now = time.monotonic()
        return dict.fromkeys(self.store.publish(TOPIC, [{"data": stack.base64_text(data), "attributes": {"idempotency_key": f"{at}:{self.serial}"}}]), now)


def acknowledged(service, name):
    """{message id: when}."""
    full = f"projects/{stack.PROJECT}/subscriptions/{name}"
    return {message["id"]: event["mono"] for event in service.log.since(0, "ack") if event["subscription"] == full for message in event["messages"]}


def check(true, text):
    if not true:
        raise stack.Broken(text)


def spans(began, ended, what):
    """Milliseconds, in order."""
    missing = set(began) - set(ended)
    check(not missing, f"{what}: {len(missing)} of {len(began)} never came")
    return sorted((ended[name] - at) * 1000 for name, at in began.items())


def p99(values):
    return values[min(len(values) - 1, len(values) * 99 // 100)]


def backlog(service, name):
    return service.store.stats()[f"projects/{stack.PROJECT}/subscriptions/{name}"]["backlog"]


def merge(stretches):
    return SimpleNamespace(**{part: {key: at for stretch in stretches for key, at in getattr(stretch, part).items()} for part in ("sent", "flips")})


def wait_for(condition, what, patience=stack.PATIENCE):
    deadline = time.monotonic() + patience
    while not condition():
        check(time.monotonic() < deadline, f"did not come: {what}")
        time.sleep(0.05)


def neighbours(bench):
    """MongoDB up, then refusing connections, then silent, then up again: until files and alerts have a message, and until a target is told."""
    up, down = bench.sizes.outage
    with contextlib.ExitStack() as stage:
        service = stage.enter_context(PubSub())
        service.api.create_topic(TOPIC, b"{}")
        for name in SUBSCRIPTIONS:
            service.api.create_subscription(f"projects/{stack.PROJECT}/subscriptions/{name}",
                                            json.dumps({"topic": TOPIC, "ackDeadlineSeconds": 60, "expirationPolicy": {}}).encode())
        mongo = stage.enter_context(stack.Tool(bench.build, "replay-mongo", "--expect", 1))
        proxy = stage.enter_context(Proxy(mongo.port))
        told = stage.enter_context(Told())
        daemon = stage.enter_context(stack.Daemon(bench.build, service.port, subscribe=sections(proxy.port, told)))
        daemon.start()
        sender = Sender(service.store)
        sender.run(min(5, up / 2))
        with_it = [sender.run(up / 2)]
        proxy.set_mode("refuse")
        without = [sender.run(down / 2)]
        proxy.set_mode("blackhole")
        without.append(sender.run(down / 2))
        waiting = backlog(service, "mongodb")
        check(waiting >= sum(len(stretch.sent) for stretch in without), f"MongoDB was not down: {waiting} messages wait")
        proxy.set_mode("pass")
        proxy.cut()
        wait_for(lambda: backlog(service, "mongodb") == 0, "what waited for MongoDB")
        with_it.append(sender.run(up / 2))
        wait_for(lambda: set(sender.flips) <= set(told.at) and not any(backlog(service, name) for name in SUBSCRIPTIONS), "the end")
        with_it, without = merge(with_it), merge(without)
        ends = {name: acknowledged(service, name) for name in SUBSCRIPTIONS[1:]}
        pairs = [(f"{name}, acknowledged", with_it.sent, without.sent, ends[name]) for name in ends]
        pairs.append(("alert, the target is told", with_it.flips, without.flips, dict(told.at)))
        for what, before, after, end in pairs:
            one, other = spans(before, end, what), spans(after, end, what)
            yield Row("neighbours", f"{what}: p99 while MongoDB is down", "ms", p99(other), ("<=", max(1.1 * p99(one), p99(one) + 5)),
                      f"p99 {p99(one):.1f} ms while it is up; p50 {statistics.median(other):.1f} and {statistics.median(one):.1f}; {len(other)} in {down:.0f} s, {len(one)} in {up:.0f} s")
