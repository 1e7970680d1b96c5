"""Nature Remo service, CO2 sensor -> sensorqd -> Pub/Sub -> sensorqd -> MongoDB on loopback, with MongoDB away for a
while in the middle, and sensorqd's page to watch it on. A week of readings is published first, so that the charts have
something to show.

Ends after --seconds N or with Ctrl-C; the exit status says whether every reading that was served is in MongoDB exactly
once.
"""

import argparse
import base64
import contextlib
import datetime
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import requests  # noqa: E402
from demo_rooms import Rooms, past_messages  # noqa: E402
from services import ports  # noqa: E402
from services.emulator import Emulator  # noqa: E402
from services.emulator import find as find_emulator  # noqa: E402
from services.httpd import HttpServer, Response  # noqa: E402
from services.mongodb import MongoDB  # noqa: E402
from services.pubsub import PubSub  # noqa: E402
from services.tls import make as make_certificates  # noqa: E402

INTERVAL = 10  # seconds between polls, the shortest that the configuration takes
OUTAGE_AT = 15  # MongoDB stops
OUTAGE_FOR = 17  # and stays away: at least one poll falls into it
RULES = [
    {"name": "stuffy", "where": {"source": "co2"}, "field": "co2", "above": 1000, "clear": 900},
    {"name": "too warm", "field": "/newest_events/te/val", "above": 25.0, "clear": 24.5},
]
GRACE = 30  # at the end, for what is under way
PAGE_PORT = 8480  # or any other, when it is taken
TESTS = Path(__file__).resolve().parent


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def page_address():
    """Where the page can listen."""
    with contextlib.suppress(OSError):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", PAGE_PORT))
            return f"127.0.0.1:{PAGE_PORT}"
    return f"127.0.0.1:{ports.free_port()}"


def open_browser(url):
    """In the browser of whoever called sudo."""
    user = os.environ.get("SUDO_USER")
    command = (
        [
            "sudo",
            "-u",
            user,
            "--preserve-env=DISPLAY,WAYLAND_DISPLAY,XAUTHORITY,XDG_RUNTIME_DIR,DBUS_SESSION_BUS_ADDRESS",
        ]
        if user
        else []
    ) + ["xdg-open", url]
    if shutil.which("xdg-open") is None:
        say(f"xdg-open is not installed: open {url} in a browser")
        return
    subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


class Demo:
    """The whole local stack and one daemon."""

    def __init__(self, sensorqd, directory, stack, emulator=True, rules=RULES, page=None):
        """emulator: False is for who needs the faults of the project's own Pub/Sub. rules: of the alerts. page: its
        address."""
        self.sensorqd, self.directory = sensorqd, Path(directory)
        self.environment = dict(os.environ)
        self.remo = stack.enter_context(Rooms(limit=100000))
        self.pubsub = None
        self.pubsub_section = self.start_queue(stack, emulator)
        self.mongodb = stack.enter_context(MongoDB(storage=str(self.directory / "mongodb")))
        self.client = stack.enter_context(contextlib.closing(self.mongodb.client()))
        self.collection = self.client["home"]["readings"]
        self.seen = set()
        self.past = []
        self.began = datetime.datetime.now(datetime.UTC)
        self.process = None
        self.page = page or page_address()
        self.hook = HttpServer(self.on_alert)
        self.hook.start()
        stack.callback(self.hook.stop)
        self.write_files(rules)

    def start_queue(self, stack, emulator):
        if emulator and find_emulator():
            say("Pub/Sub: Google's emulator")
            emulator = stack.enter_context(Emulator())
            self.environment["PUBSUB_EMULATOR_HOST"] = emulator.host
            self.queue_url = emulator.url
            return {"project": "demo-project"}
        say(
            f"Pub/Sub: tests/services/pubsub.py over TLS with OAuth (Google's emulator {'is not installed' if emulator else 'has no faults'})"
        )
        certificates = make_certificates(self.directory / "tls")
        self.pubsub = stack.enter_context(PubSub(cert=certificates.server.cert, key=certificates.server.key, auth=True))
        key_file = self.directory / "pubsub-credential.json"
        self.pubsub.write_service_account(str(key_file))
        self.queue_url = self.pubsub.url
        return {
            "project": "my-project",
            "endpoint": self.pubsub.url,
            "credentials_file": str(key_file),
            "ca_file": str(certificates.ca),
        }

    def on_alert(self, request):
        """Where alerts are sent to."""
        say(f"---- alert: {request.json()['message']} ----")
        return Response.json({})

    def write_files(self, rules):
        (self.directory / "state").mkdir()
        (self.directory / "nature-remo.token").write_text(self.remo.token + "\n")
        (self.directory / "sensorqd.yaml").write_text(
            json.dumps(
                {
                    "state_dir": str(self.directory / "state"),
                    "pubsub": self.pubsub_section,
                    "publish": {
                        "topic": "sensor-data",
                        "sources": [
                            {
                                "name": "home",
                                "type": "nature_remo",
                                "interval": f"{INTERVAL}s",
                                "token_file": "nature-remo.token",
                                "url": self.remo.url,
                            },
                            {
                                "name": "co2",
                                "type": "exec",
                                "interval": f"{INTERVAL}s",
                                "command": [sys.executable, str(TESTS / "demo_rooms.py")],
                                "reading": {"id": "co2", "name": "Kitchen"},
                            },
                        ],
                    },
                    "subscribe": [
                        {
                            "subscription": "sensor-data-mongodb",
                            "mongodb": {
                                "uri": self.mongodb.uri,
                                "database": "home",
                                "collection": "readings",
                                "backoff": {"initial": "1s", "max": "5s"},
                            },
                        },
                        {
                            "subscription": "sensor-data-alerts",
                            "alert": {
                                "targets": [
                                    {
                                        "name": "demo",
                                        "type": "webhook",
                                        "url": f"http://127.0.0.1:{self.hook.port}/alert",
                                    }
                                ],
                                "rules": rules,
                            },
                        },
                    ],
                    "page": {"listen": self.page},
                },
                indent=2,
            )
        )

    def command(self, verb):
        return [self.sensorqd, "-c", str(self.directory / "sensorqd.yaml"), verb]

    def setup(self):
        say("$ sensorqd setup")
        run = subprocess.run(
            self.command("setup"), env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        print(run.stdout, end="")
        if run.returncode != 0:
            raise SystemExit(f"setup failed with exit code {run.returncode}")

    def publish_past(self):
        """A week of readings, as another sensorqd would have published them."""
        self.past = past_messages(time.time())
        headers = {"Authorization": f"Bearer {self.pubsub.oauth.issue('demo')}"} if self.pubsub else {}
        for i in range(0, len(self.past), 1000):
            messages = [
                {"data": base64.b64encode(json.dumps(payload).encode()).decode(), "attributes": attributes}
                for payload, attributes in self.past[i : i + 1000]
            ]
            reply = requests.post(
                f"{self.queue_url}/v1/projects/{self.pubsub_section['project']}/topics/sensor-data:publish",
                json={"messages": messages},
                headers=headers,
                verify=self.pubsub_section.get("ca_file", True),
                timeout=60,
            )
            reply.raise_for_status()
        say(
            f"{len(self.past)} readings of the last seven days are on the topic, so that the charts have something to show"
        )

    def start(self):
        say("$ sensorqd run")
        self.process = subprocess.Popen(
            self.command("run"),
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self.copy_log, daemon=True).start()

    def copy_log(self):
        for line in self.process.stdout:
            print(f"          sensorqd | {line}", end="", flush=True)

    def show_new(self):
        for document in self.collection.find({"request_at": {"$gte": self.began}}).sort("stored_at", 1):
            if document["_id"] not in self.seen:
                self.seen.add(document["_id"])
                events = {
                    name: event["val"]
                    for name, event in (document.get("newest_events") or {"co2": {"val": document.get("co2")}}).items()
                }
                say(
                    f"MongoDB <- {document.get('name', '').strip()}: {events or 'no sensor'}, asked {document['request_at']:%H:%M:%S}, _id {document['_id']}"
                )

    def tick(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"sensorqd ended with exit code {self.process.returncode}")
            if self.mongodb.child.process:
                self.show_new()
            time.sleep(0.3)

    def outage(self):
        self.show_new()
        say(f"---- MongoDB is stopped; {len(self.seen)} readings are stored, polling goes on ----")
        self.mongodb.stop()
        before = len(self.remo.served())
        self.tick(OUTAGE_FOR)
        say(f"---- MongoDB is started again; {len(self.remo.served()) - before} readings were taken meanwhile ----")
        self.mongodb.start()

    def stop_polling_and_count(self):
        """Readings served until now, and stored at the end."""
        self.remo.fall_silent()
        served = len([entry for entry in self.remo.served() if entry["complete"]])
        end = time.monotonic() + GRACE
        while time.monotonic() < end and self.stored() < served:
            self.tick(0.3)
        self.show_new()
        return served, self.stored()

    def stored(self):
        """Documents of what the rooms' API served since the start."""
        return self.collection.count_documents({"source": "home", "request_at": {"$gte": self.began}})

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


def run(demo, seconds, show):
    demo.setup()
    demo.publish_past()
    demo.start()
    say(f"---- the page: http://{demo.page}/ ----")
    if show:
        open_browser(f"http://{demo.page}/")
    try:
        demo.tick(min(OUTAGE_AT, seconds / 3))
        demo.outage()
        demo.tick(max(0, seconds - OUTAGE_AT - OUTAGE_FOR) if seconds < float("inf") else float("inf"))
    except KeyboardInterrupt:
        say("Ctrl-C")
    served, stored = demo.stop_polling_and_count()
    demo.end()
    say(
        f"readings served by the source: {served}, documents in MongoDB: {stored}: {'complete' if served == stored else 'NOT COMPLETE'}"
    )
    return 0 if served == stored else 1


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sensorqd", required=True, metavar="FILE", help="the binary")
    options.add_argument(
        "--seconds", type=float, default=float("inf"), help="end after so many seconds (default: Ctrl-C)"
    )
    options.add_argument("--open", action="store_true", help="open the page in a browser")
    args = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="sensorqd-demo-") as directory, contextlib.ExitStack() as stack:
        demo = Demo(args.sensorqd, directory, stack)
        try:
            return run(demo, args.seconds, args.open)
        finally:
            demo.end()


if __name__ == "__main__":
    sys.exit(main())
