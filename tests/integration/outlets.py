"""What a daemon's sinks reach, other than MongoDB: an archive of files, a webhook that takes arrays, services that tell
people."""

import contextlib
import gzip
import json
import re
import socket
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import wait_until
from services import alert_targets


def archive_lines(directory):
    """The documents of a file sink, closed and compressed files too, in the order of names."""
    found = []
    for path in sorted(directory.glob("[0-9]*.ndjson*")):
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found += [json.loads(line) for line in text.split(b"\n")[:-1]]
    return found


class _Server(ThreadingHTTPServer):
    """Knows how many connections are open."""

    daemon_threads = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.lock, self.open = threading.Lock(), 0

    def process_request(self, *arguments):
        with self.lock:
            self.open += 1
        super().process_request(*arguments)

    def process_request_thread(self, *arguments):
        super().process_request_thread(*arguments)
        with self.lock:
            self.open -= 1


class Receiver:
    """A server that takes arrays. `mood()` says what becomes of a request: a status, or None: it is carried out, and
    never answered. While `page` is set, something before it answers everything with 200 and that page."""

    def __init__(self):
        self.lock, self.documents, self.bodies = threading.Lock(), {}, defaultdict(set)
        self.mood, self.requests, self.poison, self.proofs = lambda: 200, 0, "poison", set()
        self.refused, self.page, self.turned_away = 0, None, 0
        self.posted = 0  # documents taken, those of repeated requests again
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.proofs.add(self.headers["Authorization"])
                if receiver.page:
                    receiver.turned_away += 1
                    status, words = 200, receiver.page.encode()
                else:
                    status = receiver.take(self.headers["Idempotency-Key"], body)
                    words = f"you said {self.headers['Authorization']}".encode()
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(words)))
                self.end_headers()
                self.wfile.write(words)

            def log_message(self, *arguments):
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/in"

    def forget_bodies(self):
        """The sender is dead: what it sent needs no repeating. Waits until all that it asked for is done."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(self.server.server_address) as last,
        ):  # behind those that wait to be accepted
            last.shutdown(socket.SHUT_WR)
            last.recv(1)
        wait_until(lambda: not self.server.open, "the end of the dead one's connections")
        self.bodies.clear()

    def take(self, key, body):
        documents = json.loads(body)
        with self.lock:
            self.requests += 1
            status = self.mood()
            if status in (None, 503):
                self.bodies[key].add(body)  # to be repeated, to the byte
            if status in (None, 200) and any(self.poison in document for document in documents):
                self.refused += 1
                return 422
            if status in (None, 200):
                self.posted += len(documents)
                for document in documents:
                    self.documents[document["_id"]] = document
            return status

    def close(self):
        self.server.shutdown()
        self.server.server_close()


ALERT_BODY = '{"state": "{state}", "name": {id}, "value": {value}}'


def alert_section(services, **rule):
    """A target that knows nothing of keys, one that drops what it has by its key, one that is told the state."""
    return {
        "targets": [
            {"name": "slack", "type": "slack", "url_file": "slack.url"},
            {
                "name": "line",
                "type": "line",
                "url": services.url,
                "token_file": "line.token",
                "recipient": "U4af4980629",
            },
            {"name": "hook", "type": "webhook", "url": services.url + alert_targets.HOOK, "body": ALERT_BODY},
        ],
        "rules": [{"name": "hot", "above": 28, "clear": 27, "message": "{id} fires", "resolved": "{id} over", **rule}],
    }


def alert_secrets(services):
    return {"slack.url": services.url + alert_targets.SLACK, "line.token": alert_targets.LINE_TOKEN + "\n"}


class Told:
    """What the services of alert_section() were told of one device, in order: `firing`, `repeat`, `resolved`,
    `ended`."""

    def __init__(self, services, device):
        seen = set()
        self.hook = []
        for message in [message for message in services.accepted if message.service == "hook"]:
            body = json.loads(message.text)
            if body["name"] == device and message.key not in seen:
                self.hook.append(body["state"])
            seen.add(message.key)
        self.line, self.slack = (
            [self.state(line) for line in services.texts(name) if re.search(rf"\b{device}\b", line)]
            for name in ("line", "slack")
        )

    @staticmethod
    def state(line):
        return "firing" if line.endswith("fires") else "resolved" if line.endswith("over") else "ended"

    def ends_as(self, hot):
        """Whether each target knows how things stand."""
        return all(
            (said[-1] in ("firing", "repeat")) == hot if said else not hot
            for said in (self.hook, self.line, self.slack)
        )

    def faults(self):
        """Sentences: what a target with keys was told twice, or out of turn, and an end without a beginning."""
        return [f"{name}: {said}" for name, said in (("hook", self.hook), ("line", self.line)) if not in_turn(said)]

    def doubled(self):
        """How many ends the target without keys was told more than once."""
        return sum(a == b != "firing" for a, b in zip(self.slack, self.slack[1:]))


def in_turn(said):
    """A beginning, told again or not, and its end; or that it has been, where the beginning was not told. LINE's texts
    say `firing` again for a repeat; a webhook's state tells the two apart."""
    believes, repeats = False, "repeat" in said
    for state in said:
        if (
            state in ("repeat", "resolved")
            and not believes
            or state == "ended"
            and believes
            or state == "firing"
            and believes
            and repeats
        ):
            return False
        believes = state in ("firing", "repeat")
    return True


def doubles(documents):
    """Of an archive: what is there more than once."""
    return [name for name, n in Counter(document["_id"] for document in documents).items() if n > 1]
