"""What stands around the machine under test, on the loopback that it shares: Nature Remo, Pub/Sub with TLS and OAuth,
MongoDB with a login.

The ledger compares both ends: every reading that was served completely and every message that was published is one
document.
"""

import base64
import contextlib
import json
import re
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import requests
from harness import wait_until
from services.nature_remo import NatureRemo
from services.pubsub import PubSub
from services.pubsub_api import ApiError

PROJECT = "my-project"
TOPIC, SUBSCRIPTION = "sensor-data", "sensor-data-mongodb"
CA_FILE = "/etc/sensorqd/pubsub-ca.pem"


class House:
    """All of it, with a database of its own. devices: how many the source serves. deadline_scale: how many times as
    fast leases end: what was handed to a daemon just before its end comes back after 10 s / deadline_scale."""

    def __init__(self, directory, certificates, mongodb, devices=5, deadline_scale=5):
        self.certificates, self.mongodb = certificates, mongodb
        self.database = "db" + uuid.uuid4().hex[:12]
        self.remo = NatureRemo(limit=100000, devices=devices)
        self.pubsub = PubSub(
            cert=certificates.server.cert, key=certificates.server.key, auth=True, time_scale=deadline_scale
        )
        self.key_file = Path(directory) / "pubsub-credential.json"
        self.published = Counter()
        self.stops = []  # (began, ended): polls in flight may be lost there
        self._first = 0  # entries of the source's ledger before this one are not due
        self._session = requests.Session()
        self._client = None

    def __enter__(self):
        self.remo.start()
        self.pubsub.start()
        self.pubsub.write_service_account(str(self.key_file))
        self._client = self.mongodb.client()
        self.call("PUT", f"topics/{TOPIC}", {})
        self.call(
            "PUT",
            f"subscriptions/{SUBSCRIPTION}",
            {"topic": f"projects/{PROJECT}/topics/{TOPIC}", "ackDeadlineSeconds": 10, "expirationPolicy": {}},
        )
        return self

    def __exit__(self, *_):
        self._client.close()
        self._session.close()
        self.pubsub.stop()
        self.remo.stop()

    # What the administrator writes

    def config(self, publishes=True, **options):
        config = {"pubsub": {"project": PROJECT, "endpoint": self.pubsub.url, "ca_file": CA_FILE}}
        if publishes:
            config["publish"] = {"topic": TOPIC, "sources": [self.source("home")]}
        config["subscribe"] = [
            {
                "subscription": SUBSCRIPTION,
                **options,
                "mongodb": {
                    "uri": self.mongodb_uri(),
                    "password_file": "mongodb.password",
                    "database": self.database,
                    "collection": "readings",
                    "backoff": {"initial": "1s", "max": "2s"},
                },
            }
        ]
        return config

    def source(self, name):
        return {
            "name": name,
            "type": "nature_remo",
            "interval": "10s",
            "token_file": "nature-remo.token",
            "url": self.remo.url,
        }

    def mongodb_uri(self):
        return f"mongodb://{self.mongodb.user[0]}@127.0.0.1:{self.mongodb.port}/?authSource=admin"

    def secrets(self):
        return {
            "nature-remo.token": self.remo.token + "\n",
            "mongodb.password": self.mongodb.user[1] + "\n",
            "pubsub-credential.json": self.key_file.read_text(),
        }

    def move_in(self, machine, config=None, **options):
        """Configures the machine's sensorqd."""
        machine.write(CA_FILE, Path(self.certificates.ca).read_text())
        machine.configure(config or self.config(**options), self.secrets())

    # The queue

    def call(self, method, resource, body=None):
        reply = self._session.request(
            method,
            f"{self.pubsub.url}/v1/projects/{PROJECT}/{resource}",
            json=body,
            verify=self.certificates.ca,
            timeout=120,
            headers={"Authorization": f"Bearer {self.pubsub.oauth.issue('test')}"},
        )
        reply.raise_for_status()
        return reply.json()

    def publish(self, count, padding=0):
        """So many messages of somebody else's, each with a key of its own."""
        while count > 0:
            keys = [f"test:{len(self.published) + i}" for i in range(min(count, 500))]
            messages = [
                {
                    "data": base64.b64encode(json.dumps({"key": key, "padding": "x" * padding}).encode()).decode(),
                    "attributes": {"idempotency_key": key},
                }
                for key in keys
            ]
            self.call("POST", f"topics/{TOPIC}:publish", {"messages": messages})
            self.published.update(keys)
            count -= len(keys)

    @contextlib.contextmanager
    def refusing(self, device):
        """Pub/Sub takes no reading of that device meanwhile."""
        accept = self.pubsub.api.publish

        def publish(name, body):
            if any(message.get("attributes", {}).get("device") == device for message in json.loads(body)["messages"]):
                raise ApiError(400, "One of the messages is not to this service's taste.")
            return accept(name, body)

        self.pubsub.api.publish = publish
        try:
            yield
        finally:
            self.pubsub.api.publish = accept

    @contextlib.contextmanager
    def flow(self, count=10, pause=0.1):
        """Publishes all the time while the block runs."""
        end = threading.Event()

        def work():
            while not end.is_set():
                self.publish(count)
                end.wait(pause)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    @contextlib.contextmanager
    def stop_of(self):
        """The block stops a sensorqd: a poll in flight may be cut off."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.stops.append((began, time.monotonic()))

    @contextlib.contextmanager
    def kill_of(self):
        """The block kills one: also a poll that was answered just before may not have come to the disk. What was
        answered until now is stored."""
        began = time.monotonic()
        wait_until(
            lambda: (
                not self._counted(entry for entry in self._served() if entry["complete"] and entry["mono"] < began)
                - self._stored()
            ),
            "everything that was served is stored",
        )
        try:
            yield
        finally:
            self.stops.append((began, time.monotonic()))

    # MongoDB

    def collection(self, name="readings"):
        return self._client[self.database][name]

    def count(self, query=None):
        return self.collection().count_documents(query or {})

    def wait_count(self, count, query=None, patience=None):
        return wait_until(
            lambda: self.count(query) >= count,
            lambda: f"{count} documents like {query or 'any'} ({self.count(query)} are there)",
            patience,
        )

    # The ledger

    def forget_polls(self):
        """What was polled until now was only looked at (`sensorqd check`)."""
        wait_until(lambda: self.remo.under_way() == 0, "the end of the polls that were answered")
        self._first = len(self.remo.served())

    def _served(self):
        return self.remo.served(self._first)

    def settle(self, patience=None, rejected=0):
        """Ends polling, waits until everything is stored, and checks that it is stored once and that so many are set
        apart. Returns how many documents there are."""
        self.remo.devices = []
        wait_until(lambda: self.remo.under_way() == 0, "the end of the polls that were answered before")
        due = [entry for entry in self._served() if entry["complete"] and not self._may_be_lost(entry)]
        expected = self._counted(due) + Counter(self.published.keys())
        excusable = self._counted(entry for entry in self._served() if self._may_be_lost(entry))
        wait_until(
            lambda: not expected - self._stored(),
            lambda: f"missing: {list((expected - self._stored()).items())[:5]}",
            patience,
        )
        stored = self._stored()
        assert not stored - expected - excusable, f"too many: {list((stored - expected - excusable).items())[:5]}"
        assert max(stored.values()) == 1, "stored twice"
        assert self.collection("readings_rejected").count_documents({}) == rejected
        return sum(stored.values())

    @staticmethod
    def _counted(entries):
        return Counter(_reading(entry["device"], entry["newest_events"]) for entry in entries)

    def _stored(self):
        return Counter(
            document.get("key") or _reading(document["id"], document["newest_events"])
            for document in self.collection().find()
        )

    def _may_be_lost(self, entry):
        return any(began <= entry["mono"] <= ended for began, ended in self.stops)


def _reading(device, events):
    """Each served body has a te.val of its own."""
    return device, float(events["te"]["val"])


def listening(machine, pid):
    """Addresses of TCP and UDP sockets of a process that wait for others."""
    inodes = set(re.findall(r"socket:\[(\d+)\]", machine.run("sh", "-c", f"ls -l /proc/{pid}/fd").stdout))
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in machine.run("cat", f"/proc/{pid}/net/{table}").stdout.splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
