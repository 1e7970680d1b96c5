"""Everything around one daemon for the tests that kill: source, queue (its own process), MongoDB behind a witness, a
foreign publisher, ledger."""

import base64
import json
import random
import threading
import time
from pathlib import Path

import requests
from harness import Sensorqd, wait_until
from ledger import Ledger
from services.mongodb import MongoDB
from services.nature_remo import NatureRemo
from services.proxy import Proxy
from services.service import ServiceProcess
from services.tls import make as make_certificates
from witness import Witness

PROJECT = "my-project"
TIME_SCALE = 5  # the queue's ack deadlines run so many times as fast: what a killed daemon held comes back after 2 s
BAD = [b"\xff\xfe", b"{", b"[1]", b'{"a":NaN}', b'{"a":1,"a":2}', b'"text"', b'{"a":1e999}']


class ForeignPublisher(threading.Thread):
    """Somebody else who publishes to the topic: keyed and plain readings, some that can never be stored, some whose key
    is taken. Repeats a batch with keys until the queue has answered, as any good publisher does, so that the same key
    may be published more than once."""

    def __init__(self, world, rng, pause=0.1, batch=4):
        super().__init__(daemon=True)
        self.world, self.rng, self.pause, self.batch = world, rng, pause, batch
        self.serial = 0
        self.answered = 0
        self._end = threading.Event()

    def run(self):
        while not self._end.wait(self.pause):
            self._send(self._messages())

    def end(self):
        self._end.set()
        self.join(30)

    def _messages(self):
        messages = []
        for _ in range(self.rng.randrange(1, 2 * self.batch)):
            self.serial += 1
            body = {"serial": self.serial, "sensor": "co2", "val": self.rng.randrange(400, 2000)}
            draw = self.rng.random()
            if draw < 0.03:
                messages.append((self.rng.choice(BAD), {"kind": "bad"}))
            elif draw < 0.06 and self.serial > 10:
                key = f"co2:{self.serial - 1}"
                messages.append(
                    (
                        json.dumps({**body, "variant": f"v{self.serial}"}).encode(),
                        {"idempotency_key": key, "variant": f"v{self.serial}"},
                    )
                )
            elif draw < 0.3:
                messages.append((json.dumps(body).encode(), {"kind": "plain"}))
            else:
                messages.append((json.dumps(body).encode(), {"idempotency_key": f"co2:{self.serial}"}))
        return messages

    def _send(self, messages):
        while messages and not self._end.is_set():
            try:
                self.world.publish(messages)
                self.answered += len(messages)
                return
            except requests.RequestException:
                messages = [(data, attributes) for data, attributes in messages if "idempotency_key" in attributes]
                self._end.wait(0.3)


class Remotes:
    """Queue and MongoDB, each a process of its own; many worlds may share them, one after the other."""

    def __init__(self, directory, time_scale=TIME_SCALE, pull_hang=3):
        directory = Path(directory)
        self.certificates = make_certificates(directory / "tls")
        self.key_file = directory / "pubsub-credential.json"
        self.events_file = directory / "pubsub" / "pubsub.sqlite"
        self.pubsub = ServiceProcess(
            "pubsub",
            "--state",
            directory / "pubsub",
            "--auth",
            "--service-account",
            self.key_file,
            "--pull-hang",
            pull_hang,
            "--time-scale",
            time_scale,
            "--tls-cert",
            self.certificates.server.cert,
            "--tls-key",
            self.certificates.server.key,
        )
        self.mongodb = MongoDB(storage=str(directory / "mongodb"))
        self.start()
        self.witness = Witness(self.mongodb.port)

    def start(self):
        """Starts what does not run."""
        parts = [
            part
            for part, running in ((self.pubsub, self.pubsub.process), (self.mongodb, self.mongodb.child.process))
            if not running
        ]
        threads = [threading.Thread(target=part.start) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self):
        self.witness.close()
        self.mongodb.close()
        self.pubsub.stop()


class World:
    """A daemon between remotes, with topic, subscription and database of its own, named *name*.
    proxied: network faults can be put before MongoDB and the queue (`mongodb_proxy`, `pubsub_proxy`)."""

    def __init__(
        self,
        remotes,
        directory,
        rng,
        name="w",
        devices=20,
        interval_msec=150,
        proxied=False,
        log_level="debug",
        foreign=None,
    ):
        self.remotes, self.rng, self.devices = remotes, rng, devices
        self.pubsub, self.mongodb, self.witness = remotes.pubsub, remotes.mongodb, remotes.witness
        self.topic, self.subscription, self.database = f"readings-{name}", f"store-{name}", f"home-{name}"
        self.subscription_name = f"projects/{PROJECT}/subscriptions/{self.subscription}"
        directory = Path(directory)
        self.remo = NatureRemo(limit=10**9, devices=devices).start()
        self.pubsub_proxy = Proxy(self.pubsub.port).start() if proxied else None
        self.mongodb_proxy = Proxy(self.witness.port).start() if proxied else None
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = remotes.certificates.ca
        self.token = None
        self.call("PUT", f"topics/{self.topic}", {})
        self.call(
            "PUT",
            f"subscriptions/{self.subscription}",
            {"topic": f"projects/{PROJECT}/topics/{self.topic}", "ackDeadlineSeconds": 10, "expirationPolicy": {}},
        )
        self.client = self.mongodb.client()
        self.daemon = Sensorqd(
            directory / "daemon",
            {"log_level": log_level, **self._config()},
            {"nature-remo.token": self.remo.token + "\n"},
            env={"SENSORQD_TEST_INTERVAL_MSEC": str(interval_msec), "SENSORQD_TEST_PULL_TIMEOUT_MSEC": "20000"},
        )
        database = self.client[self.database]
        self.ledger = Ledger(
            self.remo,
            self.daemon.state / "outbox.sqlite",
            remotes.events_file,
            self.witness,
            database["readings"],
            database["readings_rejected"],
            f"projects/{PROJECT}/topics/{self.topic}",
            self.subscription_name,
        )
        self.foreign = ForeignPublisher(self, random.Random(rng.random()), **(foreign or {}))
        self.kills = 0

    def _config(self):
        port = (self.pubsub_proxy or self.pubsub).port
        mongodb = (self.mongodb_proxy or self.witness).port
        return {
            "pubsub": {
                "project": PROJECT,
                "endpoint": f"https://127.0.0.1:{port}",
                "credentials_file": str(self.remotes.key_file),
                "ca_file": self.remotes.certificates.ca,
            },
            "publish": {
                "topic": self.topic,
                "sources": [
                    {
                        "name": "home",
                        "type": "nature_remo",
                        "interval": "10s",
                        "token_file": "nature-remo.token",
                        "url": self.remo.url,
                    }
                ],
            },
            "subscribe": [
                {
                    "subscription": self.subscription,
                    "mongodb": {
                        "uri": f"mongodb://127.0.0.1:{mongodb}/",
                        "database": self.database,
                        "collection": "readings",
                        "backoff": {"initial": "1s", "max": "2s"},
                    },
                }
            ],
        }

    # The queue, as another client sees it

    def call(self, method, resource, body=None):
        headers = {"Authorization": f"Bearer {self._token()}"}
        reply = self.session.request(
            method, f"{self.pubsub.url}/v1/projects/{PROJECT}/{resource}", json=body, headers=headers, timeout=20
        )
        if reply.status_code == 401:
            self.token = None
        reply.raise_for_status()
        return reply.json()

    def _token(self):
        if self.token is None:
            path = "/computeMetadata/v1/instance/service-accounts/default/token"
            reply = self.session.get(self.pubsub.url + path, headers={"Metadata-Flavor": "Google"}, timeout=20)
            reply.raise_for_status()
            self.token = reply.json()["access_token"]
        return self.token

    def publish(self, messages):
        return self.call(
            "POST",
            f"topics/{self.topic}:publish",
            {
                "messages": [
                    {"data": base64.b64encode(data).decode(), "attributes": attributes} for data, attributes in messages
                ]
            },
        )["messageIds"]

    def backlog(self):
        reply = self.session.get(f"{self.pubsub.url}/_control/stats", timeout=20).json()
        return reply[self.subscription_name]["backlog"]

    def pubsub_faults(self, rules):
        """Replaces the queue's fault rules."""
        self.session.delete(f"{self.pubsub.url}/_control/faults", timeout=20)
        if rules:
            self.session.post(
                f"{self.pubsub.url}/_control/faults", json={"rules": rules}, timeout=20
            ).raise_for_status()

    # The daemon

    def start(self, ready=True, **env):
        self.ledger.begin_life()
        self.daemon.start(ready=ready, **env)

    def died(self, code):
        """Notes an end that came; the exit code must be this one."""
        assert self.daemon.process.returncode == code, (
            f"exit code {self.daemon.process.returncode}; log:\n" + "\n".join(self.daemon.log.lines[-40:])
        )
        self.ledger.end_life()

    def kill(self):
        self.kills += 1
        self.daemon.kill()
        self.died(-9)

    def stop(self):
        self.daemon.stop()
        self.died(0)

    def crash(self, point, passing=1, patience=None):
        """Starts the daemon and waits until it dies at the passing-th passing of that crash point."""
        self.start(ready=False, SENSORQD_CRASHPOINT=f"{point}:{passing}")
        wait_until(lambda: self.daemon.process.poll() is not None, f"crash point {point}, passing {passing}", patience)
        self.kills += 1
        self.died(-9)

    # The end

    def settle(self, patience=90, check_every=0.3):
        """No more input; waits until everything is where it belongs, stops the daemon, and returns the ledger's
        result."""
        if self.foreign.is_alive():
            self.foreign.end()
        self.remo.devices = []
        polls = self.remo.polls()
        wait_until(lambda: self.remo.polls() >= polls + 2, "two empty polls", patience)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.backlog() == 0 and self.ledger.check().good:
                break
            time.sleep(check_every)
        self.stop()
        result = self.ledger.check()
        print(result, flush=True)
        return result

    def close(self):
        if self.foreign.is_alive():
            self.foreign.end()
        self.daemon.close()
        self.client.close()
        for part in (self.pubsub_proxy, self.mongodb_proxy):
            if part:
                part.stop()
        self.remo.stop()
