"""A source of each kind for one daemon, and the peers behind them."""

import http.server
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from datetime import datetime, UTC

from harness import wait_until
from services import mosquitto

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
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}/readings",
                json.dumps({"n": name}).encode(),
                {"Content-Type": "application/json", "Idempotency-Key": name},
            )
            try:
                with urllib.request.urlopen(request, timeout=5) as reply:
                    assert json.load(reply) == {"stored": 1}
                self.stored.append(name)
                n += 1
            except (OSError, urllib.error.URLError, ValueError):
                time.sleep(0.05)
            time.sleep(0.005)


class History(http.server.ThreadingHTTPServer):
    """An API that keeps points: answers from a time to another, newest first, in pages; and one point lies in the far
    future."""

    daemon_threads = True
    PAGE = 40

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.points, self.down = [], False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def add(self, n, late=0):
        self.points.append((time.time() - late, f"history:{n}"))

    def page(self, since, until, token):
        found = sorted(
            (point for point in self.points if since <= point[0] <= until or point[0] > 2**31 - 1), reverse=True
        )
        return found[token : token + self.PAGE], token + self.PAGE if token + self.PAGE < len(found) else None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        points, token = self.server.page(int(query["from"]), int(query["to"]), int(query.get("page", 0)))
        body = json.dumps(
            {"next": token, "points": [{"at": datetime.fromtimestamp(at, UTC).isoformat(), "n": n} for at, n in points]}
        ).encode()
        self.send_response(503 if self.server.down else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def history_source(history):
    return {
        "name": "history",
        "type": "http_json",
        "interval": "10s",
        "url": f"http://127.0.0.1:{history.server_port}/?from={{since:unix}}&to={{until:unix}}",
        "since": {"overlap": "1h", "window": "2h"},
        "paging": {"next": "/next", "parameter": "page"},
        "reading": {"items": "/points", "time": "/at"},
    }


def meet(stack, broker):
    """The daemon has its session, and has seen how the broker counts: from then on it knows what comes again. Returns
    what was sent."""
    wait_until(lambda: mosquitto.keeps_for(stack.daemon.state, "broker"), "a session with the broker")
    for n in range(2):
        broker.publish("home/x/n", f"mqtt:hello:{n}")
        wait_until(lambda: f"mqtt:hello:{n}" in numbers(stack, "broker"), "the first messages")  # noqa: B023
    return ["mqtt:hello:0", "mqtt:hello:1"]


def numbers(stack, source):
    """How often each number of a source is stored."""
    return Counter(document.get("n") for document in stack.readings(query={"source": source}))
