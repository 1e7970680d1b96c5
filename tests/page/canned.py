"""The page's files with the daemon's headers, and answers of the API for every state of the chain: no daemon is needed.

python tests/page/canned.py [STATE] serves one state on http://127.0.0.1:8481/ to look at by hand.
"""

import contextlib
import copy
import gzip
import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from states import DAY, HOUR, STATES, SUBSCRIPTION, now, value, values

PAGE = Path(__file__).resolve().parents[2] / "daemon" / "page"
sys.path.append(str(PAGE))

from embed import served  # noqa: E402

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Answers:
    """What the API says in one state."""

    def __init__(self, state):
        self.state = state
        status, series, self.age = STATES[state]
        self.status_of, self.series = status, series()
        self.asked = []

    def last(self, one):
        """When this series had its last value: one room is silent in that state, or was taken away."""
        silence = {"silent": 5 * HOUR, "gone": 45 * DAY}.get(self.state, 0) if one["device"] == "d1" else 0
        return (now() - self.age * 1000 - silence) // 1000 * 1000

    def status(self, _query):
        status = self.status_of()
        return {**status, "page": {"version": status["version"], "time": now(), "subscription": SUBSCRIPTION}}

    def series_list(self, _query):
        found = []
        for one in copy.deepcopy(self.series):
            one["last"] = {"time": self.last(one), "value": value(one, self.last(one))}
            found.append({key: one[key] for key in one if key not in ("kind", "offset")})
        return {"series": found}

    def values(self, query):
        wanted = [int(text) for text in query["series"].split(",")]
        chosen = [one for one in self.series if one["id"] in wanted]
        answer = values(chosen, int(query["from"]), int(query["to"]), int(query["points"]), now())
        for one, made in zip(chosen, answer["series"]):
            keep = sum(1 for t in made["time"] if t <= self.last(one))
            for key in ("time", "minimum", "mean", "maximum", "count"):
                made[key] = made[key][:keep]
        return answer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if not self.path.startswith(self.server.below + "/"):
            return self.send(404, "text/plain", b"not found\n")
        url = urllib.parse.urlsplit(self.path.removeprefix(self.server.below))
        query = dict(urllib.parse.parse_qsl(url.query))
        answers = self.server.answers
        made = {"/api/status": answers.status, "/api/series": answers.series_list, "/api/values": answers.values}.get(
            url.path
        )
        if made:
            answers.asked.append(self.path)
            return (
                self.send(200, "application/json", json.dumps(made(query)).encode())
                if not self.server.mute
                else self.send(503, "application/json", b"{}")
            )
        path = PAGE / (url.path[1:] or "page.html")
        if path.parent != PAGE or path.suffix not in TYPES or not path.is_file():
            return self.send(404, "text/plain", b"not found\n")
        return self.send(200, f"{TYPES[path.suffix]}; charset=utf-8", served(path))

    def send(self, status, type_, body):
        body = gzip.compress(body)
        self.server.sent += len(body)
        self.send_response(status)
        for name, text in (
            ("Content-Type", type_),
            ("Content-Length", str(len(body))),
            ("Content-Encoding", "gzip"),
            ("Content-Security-Policy", POLICY),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-cache"),
        ):
            self.send_header(name, text)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a browser that is closed reads no more
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Canned:
    """A server of one state at a time: use(state) changes it under the page's eyes."""

    def __init__(self, state="well", port=0):
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.mute, self.server.sent = False, 0
        self.server.below = ""  # the path that a reverse proxy would take away
        self.use(state)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def use(self, state):
        self.server.answers = Answers(state)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    canned = Canned(sys.argv[1] if len(sys.argv) > 1 else "well", 8481)
    print(canned.url, "states:", *STATES, flush=True)
    canned.thread.join()
