"""Neighbours: whether files and alerts notice that MongoDB is down, all three on one topic in one daemon.

Beside it runs a second one with the same load whose MongoDB is up all the time: what the machine does meanwhile meets
both alike.
"""

import contextlib
import datetime
import http.server
import json
import statistics
import threading
import time

import stack
from report import Row
from services.proxy import Proxy
from services.pubsub import PubSub

RATE = 10  # messages a second to each daemon
FLIP = 10  # seconds between the beginning and the end of an alert
TOPICS = f"projects/{stack.PROJECT}/topics/"
SUBSCRIPTIONS = f"projects/{stack.PROJECT}/subscriptions/"
SINKS = ("mongodb", "file", "alert")


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


def sections(name, mongo_port, told):
    backoff = {"initial": "1s", "max": "5s"}
    rule = {"name": "hot", "field": "t", "where": {"id": "oven"}, "above": 0}
    target = {
        "name": "me",
        "type": "webhook",
        "url": f"http://127.0.0.1:{told.server_port}/",
        "body": '{"value": {value}}',
    }
    return [
        {**stack.subscribe_section(mongo_port, subscription=f"{name}-mongodb"), "backoff": backoff},
        {"subscription": f"{name}-file", "backoff": backoff, "file": {"directory": "archive"}},
        {"subscription": f"{name}-alert", "backoff": backoff, "alert": {"targets": [target], "rules": [rule]}},
    ]


class Side:
    """A daemon with three sinks on a topic of its own, and what it was sent."""

    def __init__(self, name, bench, service, stage):
        self.name, self.service, self.sent, self.flips, self.hot = name, service, {}, {}, False
        service.api.create_topic(TOPICS + name, b"{}")
        for sink in SINKS:
            service.api.create_subscription(
                f"{SUBSCRIPTIONS}{name}-{sink}",
                json.dumps({"topic": TOPICS + name, "ackDeadlineSeconds": 60, "expirationPolicy": {}}).encode(),
            )
        mongo = stage.enter_context(stack.Tool(bench.build, "replay-mongo", "--expect", 1))
        self.proxy = stage.enter_context(Proxy(mongo.port))
        self.told = stage.enter_context(Told())
        stage.enter_context(
            stack.Daemon(bench.build, service.port, subscribe=sections(name, self.proxy.port, self.told))
        ).start()

    def send(self, serial, room, value):
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data = json.dumps({"id": room, "source": "home", "request_at": at, "t": value})
        now = time.monotonic()
        message = {"data": stack.base64_text(data), "attributes": {"idempotency_key": f"{at}:{serial}"}}
        self.sent.update(dict.fromkeys(self.service.store.publish(TOPICS + self.name, [message]), now))

    def flip(self, serial):
        """The oven gets hot and cold by turns, once the target was told of the last one: what comes and goes at once is
        not told."""
        if not set(self.flips) <= set(self.told.at):
            return
        self.hot = not self.hot
        value = serial if self.hot else -serial
        self.flips[value] = time.monotonic()
        self.send(serial, "oven", value)

    def backlog(self, sink):
        return self.service.store.stats()[f"{SUBSCRIPTIONS}{self.name}-{sink}"]["backlog"]

    def is_done(self):
        return set(self.flips) <= set(self.told.at) and not any(self.backlog(sink) for sink in SINKS)

    def spans(self):
        """{what: milliseconds from the sending to the end, in order}."""
        found = {
            f"{sink}, acknowledged": spans(self.sent, acknowledged(self.service, f"{self.name}-{sink}"), sink)
            for sink in SINKS[1:]
        }
        found["alert, the target is told"] = spans(self.flips, self.told.at, "alert")
        return found


class Sender:
    """Publishes to all sides at the rate: a reading of one of ten rooms each time, and now and then of the oven."""

    def __init__(self, sides):
        self.sides, self.serial = sides, 0

    def run(self, seconds):
        began = time.monotonic()
        for n in range(int(seconds * RATE)):
            time.sleep(max(0, began + n / RATE - time.monotonic()))
            for side in self.sides if n % 2 else reversed(self.sides):  # neither is always the second
                self.serial += 1
                side.send(self.serial, f"room-{n % 10}", self.serial)
                if n % (FLIP * RATE) == RATE // 2:
                    self.serial += 1
                    side.flip(self.serial)

    def forget(self):
        """What was sent so far is not looked at."""
        for side in self.sides:
            side.sent.clear()
            side.flips.clear()


def acknowledged(service, name):
    """{message id: when}."""
    full = SUBSCRIPTIONS + name
    return {
        message["id"]: event["mono"]
        for event in service.log.since(0, "ack")
        if event["subscription"] == full
        for message in event["messages"]
    }


def spans(began, ended, what):
    """Milliseconds, in order."""
    missing = set(began) - set(ended)
    stack.check(not missing, f"{what}: {len(missing)} of {len(began)} never came")
    return sorted((ended[name] - at) * 1000 for name, at in began.items())


def p99(values):
    return values[min(len(values) - 1, len(values) * 99 // 100)]


def wait_for(condition, what, patience=stack.PATIENCE):
    deadline = time.monotonic() + patience
    while not condition():
        stack.check(time.monotonic() < deadline, f"did not come: {what}")
        time.sleep(0.05)


def neighbours(bench):
    """MongoDB of one side refuses connections, then is silent: until files and alerts have a message, and until a
    target is told, on both sides."""
    down = bench.sizes.outage
    with contextlib.ExitStack() as stage:
        service = stage.enter_context(PubSub())
        alone, beside = (Side(name, bench, service, stage) for name in ("outage", "well"))
        sender = Sender((alone, beside))
        alone.proxy.set_mode("refuse")
        sender.run(min(5, down / 2))
        sender.forget()
        sender.run(down / 2)
        alone.proxy.set_mode("blackhole")
        sender.run(down / 2)
        waiting = alone.backlog("mongodb")
        stack.check(waiting >= len(alone.sent), f"MongoDB was not down: {waiting} messages wait")
        alone.proxy.set_mode("pass")
        alone.proxy.cut()
        for side in sender.sides:
            wait_for(side.is_done, f"the end of all at {side.name}")
        up = beside.spans()
        for what, other in alone.spans().items():
            one = up[what]
            if not (one and other):
                yield Row(
                    "neighbours",
                    f"{what}: p99 while MongoDB is down",
                    "ms",
                    None,
                    note="there was none in so short a time",
                )
                continue
            yield Row(
                "neighbours",
                f"{what}: p99 while MongoDB is down",
                "ms",
                p99(other),
                ("<=", max(1.1 * p99(one), p99(one) + 5)),
                f"p99 {p99(one):.1f} ms in a daemon beside whose MongoDB is up; p50 {statistics.median(other):.1f} and "
                f"{statistics.median(one):.1f}; {len(other)} each in {down:.0f} s",
            )
