"""Nature Remo service -> sensorqd -> Pub/Sub -> sensorqd -> MongoDB on loopback, with MongoDB away for a while in the middle.

Ends after --seconds N or with Ctrl-C; the exit status says whether every reading that was served is in MongoDB exactly once.
"""
import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from services.emulator import Emulator  # noqa: E402
from services.emulator import find as find_emulator  # noqa: E402
from services.mongodb import MongoDB  # noqa: E402
from services.nature_remo import NatureRemo  # noqa: E402
from services.pubsub import PubSub  # noqa: E402
from services.tls import make as make_certificates  # noqa: E402

INTERVAL = 10     # seconds between polls, the shortest that the configuration takes
OUTAGE_AT = 15    # MongoDB stops
OUTAGE_FOR = 17   # and stays away: at least one poll falls into it
GRACE = 30        # at the end, for what is under way


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


class Demo:
    """The whole local stack and one daemon."""

    def __init__(self, sensorqd, directory, stack):
        self.sensorqd, self.directory = sensorqd, Path(directory)
        self.environment = dict(os.environ)
        self.remo = stack.enter_context(NatureRemo(limit=100000))
        self.pubsub_section = self.start_queue(stack)
        self.mongodb = stack.enter_context(MongoDB(storage=str(self.directory / "mongodb")))
        self.client = stack.enter_context(contextlib.closing(self.mongodb.client()))
        self.collection = self.client["home"]["readings"]
        self.seen = set()
        self.process = None
        self.write_files()

    def start_queue(self, stack):
        if find_emulator():
            say("Pub/Sub: Google's emulator")
            emulator = stack.enter_context(Emulator())
            self.environment["PUBSUB_EMULATOR_HOST"] = emulator.host
            return {"project": "demo-project"}
        say("Pub/Sub: tests/services/pubsub.py over TLS with OAuth (Google's emulator is not installed)")
        certificates = make_certificates(self.directory / "tls")
        pubsub = stack.enter_context(PubSub(cert=certificates.server.cert, key=certificates.server.key, auth=True))
        key_file = self.directory / "pubsub-credential.json"
        pubsub.write_service_account(str(key_file))
        return {"project": "my-project", "endpoint": pubsub.url, "credentials_file": str(key_file), "ca_file": str(certificates.ca)}

    def write_files(self):
        (self.directory / "state").mkdir()
        (self.directory / "nature-remo.token").write_text(self.remo.token + "\n")
        (self.directory / "sensorqd.yaml").write_text(json.dumps({
            "state_dir": str(self.directory / "state"),
            "pubsub": self.pubsub_section,
            "publish": {"topic": "sensor-data", "sources": [
                {"name": "home", "type": "nature_remo", "interval": f"{INTERVAL}s", "token_file": "nature-remo.token", "url": self.remo.url}]},
            "subscribe": [{"subscription": "sensor-data-mongodb", "mongodb": {
                "uri": self.mongodb.uri, "database": "home", "collection": "readings", "backoff": {"initial": "1s", "max": "5s"}}}],
        }, indent=2))

    def command(self, verb):
        return [self.sensorqd, "-c", str(self.directory / "sensorqd.yaml"), verb]

    def setup(self):
        say("$ sensorqd setup")
        run = subprocess.run(self.command("setup"), env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(run.stdout, end="")
        if run.returncode != 0:
            raise SystemExit(f"setup failed with exit code {run.returncode}")

    def start(self):
        say("$ sensorqd run")
        self.process = subprocess.Popen(self.command("run"), env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        threading.Thread(target=self.copy_log, daemon=True).start()

    def copy_log(self):
        for line in self.process.stdout:
            print(f"          sensorqd | {line}", end="", flush=True)

    def show_new(self):
        for document in self.collection.find().sort("stored_at", 1):
            if document["_id"] not in self.seen:
                self.seen.add(document["_id"])
                events = {name: event["val"] for name, event in (document.get("newest_events") or {}).items()}
                say(f"MongoDB <- {document.get('name', '').strip()}: {events or 'no sensor'}, asked {document['request_at']:%H:%M:%S}, _id {document['_id']}")

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
        served = len([entry for entry in self.remo.served() if entry["complete"]])
        end = time.monotonic() + GRACE
        while time.monotonic() < end and self.collection.count_documents({}) < served:
            self.tick(0.3)
        served = len([entry for entry in self.remo.served() if entry["complete"]])
        self.show_new()
        return served, self.collection.count_documents({})

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


def run(demo, seconds):
    demo.setup()
    demo.start()
    try:
        demo.tick(min(OUTAGE_AT, seconds / 3))
        demo.outage()
        demo.tick(max(0, seconds - OUTAGE_AT - OUTAGE_FOR) if seconds < float("inf") else float("inf"))
    except KeyboardInterrupt:
        say("Ctrl-C")
    served, stored = demo.stop_polling_and_count()
    demo.end()
    say(f"readings served by the source: {served}, documents in MongoDB: {stored}: {'complete' if served == stored else 'NOT COMPLETE'}")
    return 0 if served == stored else 1


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sensorqd", required=True, metavar="FILE", help="the binary")
    options.add_argument("--seconds", type=float, default=float("inf"), help="end after so many seconds (default: Ctrl-C)")
    args = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="sensorqd-demo-") as directory, contextlib.ExitStack() as stack:
        demo = Demo(args.sensorqd, directory, stack)
        try:
            return run(demo, args.seconds)
        finally:
            demo.end()


if __name__ == "__main__":
    sys.exit(main())
