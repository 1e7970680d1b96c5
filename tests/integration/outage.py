"""Source, token endpoint, Pub/Sub and MongoDB, each behind a proxy and each breakable in every way, and one daemon that
knows the proxies only."""

import contextlib
import re
import socket
import threading
import time
import uuid
from collections import Counter

from conftest import service_queue
from harness import wait_until
from services import ports
from services.httpd import HttpServer, Response
from services.mongodb import MongoDB
from services.nature_remo import DEFAULT_TOKEN, NatureRemo
from services.proxy import Proxy
from services.pubsub import PubSub
from services.wire_mongo import WireMongo

REMOTES = ("source", "token", "pubsub", "mongodb")
FAULTS = ("refused", "silent", "slow", "tls", "credentials", "4xx", "5xx", "garbage")
INTERVAL = 0.7  # seconds between polls
BACKOFF_MAX = 3  # seconds: cap of every backoff, and the pause after a refusal; in the product they are minutes
LEASE = 10  # seconds
PULL_HANG, PULL_TIMEOUT = 10, 20
PULLS = 2  # at once: the default
PASSWORD = "correct horse"


def possible(remote, fault):
    return (remote, fault) not in (("mongodb", "4xx"),)  # MongoDB's refusals for good are `credentials`


class TokenQueue(PubSub):
    """Pub/Sub whose token endpoint is reached under another port."""

    token_port = None

    @property
    def token_url(self):
        return f"https://127.0.0.1:{self.token_port}/token" if self.token_port else super().token_url


class ScriptedMongo:
    """MongoDB that counts what it is asked."""

    backoff = {"initial": "10s", "max": "20s"}  # so long that only a server which is seen again is tried in time

    def __init__(self, stack):
        self._server = stack.enter_context(WireMongo())
        self.port, self.script = self._server.port, self._server.script
        self.section, self.secrets = {}, {}

    def uri(self, port):
        return f"mongodb://127.0.0.1:{port}/"

    def documents(self):
        return self._server.documents("home.readings")

    def refuse(self, code, name):
        self.script.add(
            {"match": "^(insert|ping|find)", "times": -1, "action": {"type": "error", "code": code, "codeName": name}}
        )

    def mend(self):
        self.script.clear()

    def commands(self, since, until):
        """How often each was asked for between two instants of time.monotonic()."""
        return Counter(
            event["command"] for event in self._server.log.since(0, "command") if since <= event["mono"] <= until
        )

    def first_hello(self, since):
        """When it first answered a monitor after that instant: from then on the driver can know that it is there."""
        replies = [
            event["mono"]
            for event in self._server.log.since(0, "reply")
            if event["command"] == "hello" and event["ok"] and event["complete"]
        ]
        return next((mono for mono in replies if mono >= since), None)


class SecureMongo:
    """MongoDB with TLS and a login whose password can be changed: what the daemon knows is PASSWORD."""

    backoff = {"initial": "1s", "max": f"{BACKOFF_MAX}s"}

    def __init__(self, server, admin, certificates):
        self._admin, self._database = admin, "db" + uuid.uuid4().hex[:12]
        self._ca, self.port = certificates.ca, server.port
        self.section, self.secrets = (
            {"password_file": "mongodb.password", "database": self._database},
            {"mongodb.password": PASSWORD},
        )
        self.mend()

    def uri(self, port):
        return f"mongodb://sensorqd@127.0.0.1:{port}/?authSource=admin&tls=true&tlsCAFile={self._ca}"

    def documents(self):
        return list(self._admin[self._database].readings.find())

    def change_password(self):
        self._admin.admin.command("updateUser", "sensorqd", pwd="another")

    def mend(self):
        self._admin.admin.command("updateUser", "sensorqd", pwd=PASSWORD)

    def commands(self, _since, _until):
        return Counter()

    def first_hello(self, _since):
        return None


@contextlib.contextmanager
def secure_server(certificates):
    """(server, administrator's client) for SecureMongo."""
    with (
        MongoDB(user=("root", "root"), tls=certificates.server, tls_ca=certificates.ca) as server,
        contextlib.closing(server.client()) as admin,
    ):
        admin.admin.command("createUser", "sensorqd", pwd=PASSWORD, roles=["root"])
        yield server, admin


class House:
    """All of it. connects: a Connects, or None where the kernel does not tell: then refused attempts do not count.
    secure: (server, administrator's client) of secure_server(), or None for a scripted MongoDB."""

    def __init__(self, directory, certificates, make, stack, connects, secure=None):
        self.certificates, self.connects = certificates, connects
        server = certificates.server
        self.remo = stack.enter_context(NatureRemo(limit=10**6, cert=server.cert, key=server.key))
        self.queue_service = stack.enter_context(
            TokenQueue(cert=server.cert, key=server.key, auth=True, pull_hang=PULL_HANG)
        )
        self.mongodb = SecureMongo(*secure, certificates) if secure else ScriptedMongo(stack)
        self.impostor = stack.enter_context(_Page(certificates.expired.cert, certificates.expired.key))
        self.noise = stack.enter_context(_Noise())
        self._targets = {
            "source": self.remo.port,
            "token": self.queue_service.port,
            "pubsub": self.queue_service.port,
            "mongodb": self.mongodb.port,
        }
        self.proxies = {name: stack.enter_context(Proxy(port)) for name, port in self._targets.items()}
        self.queue_service.token_port = self.proxies["token"].port
        queue = service_queue(self.queue_service, directory / "keys", certificates)
        self._key_file = directory / "keys" / "pubsub-credential.json"
        queue.create(ackDeadlineSeconds=LEASE)
        queue.section["endpoint"] = f"https://127.0.0.1:{self.proxies['pubsub'].port}"
        self.daemon = make(
            self._config(queue.section),
            {"nature-remo.token": self.remo.token, **self.mongodb.secrets},
            env={
                "SENSORQD_TEST_INTERVAL_MSEC": str(int(INTERVAL * 1000)),
                "SENSORQD_TEST_BACKOFF_MAX_MSEC": str(BACKOFF_MAX * 1000),
                "SENSORQD_TEST_PULL_TIMEOUT_MSEC": str(PULL_TIMEOUT * 1000),
            },
        )
        self.stops = 0

    def _config(self, pubsub):
        return {
            "pubsub": pubsub,
            "publish": {
                "topic": "sensor-data",
                "sources": [
                    {
                        "name": "home",
                        "type": "nature_remo",
                        "interval": "10s",
                        "token_file": "nature-remo.token",
                        "ca_file": self.certificates.ca,
                        "url": f"https://127.0.0.1:{self.proxies['source'].port}",
                    }
                ],
            },
            "subscribe": [
                {
                    "subscription": "sensor-data-mongodb",
                    "mongodb": {
                        "uri": self.mongodb.uri(self.proxies["mongodb"].port),
                        "database": "home",
                        "collection": "readings",
                        "backoff": self.mongodb.backoff,
                        **self.mongodb.section,
                    },
                }
            ],
        }

    # Faults

    def break_(self, remote, fault):
        proxy = self.proxies[remote]
        if fault in ("refused", "silent"):
            proxy.set_mode({"refused": "refuse", "silent": "blackhole"}[fault])
        elif fault == "slow":
            proxy.shape("reply", delay=0.2)
        elif fault == "tls" or remote == "mongodb" and fault == "garbage":
            proxy.target((self.impostor if fault == "tls" else self.noise).port)
            proxy.cut()
        elif fault == "credentials":
            self._refuse_credentials(remote)
        else:
            self._answer(remote, fault)
        if remote == "token":
            self.queue_service.oauth.revoke_all()  # last: nobody gets a token before it fails

    def _refuse_credentials(self, remote):
        if remote == "source":
            self.remo.token = "another"
        elif remote == "token":
            self.queue_service.oauth.forget_keys()
        elif remote == "pubsub":
            self.queue_service.faults.add(
                {"match": "/v1/", "times": -1, "action": {"type": "status", "status": 403, "message": "not authorized"}}
            )
        else:
            self.mongodb.change_password()
            self.proxies[remote].cut()  # who is logged in stays so

    def _answer(self, remote, fault):
        if remote == "mongodb":
            self.mongodb.refuse(91, "ShutdownInProgress")
            return
        action = {
            "4xx": {"status": 404},
            "5xx": {"status": 503},
            "garbage": {"status": 200, "body": "<html>Welcome to the hotel</html>"},
        }[fault]
        match = {"source": "", "token": "/token", "pubsub": "/v1/"}[remote]
        service = self.remo if remote == "source" else self.queue_service
        service.faults.add({"match": match, "times": -1, "action": {"type": "status", **action}})

    def mend(self, revive=True):
        """All is well when it returns; revive=False: what hangs on a connection goes on hanging."""
        if not revive:
            for proxy in self.proxies.values():
                if proxy.stats()["mode"] == "blackhole":
                    proxy.abandon()
        self.remo.token = DEFAULT_TOKEN
        self.remo.faults.clear()
        self.queue_service.faults.clear()
        self.queue_service.oauth.register_file(str(self._key_file))
        self.mongodb.mend()
        for name, proxy in self.proxies.items():
            proxy.target(self._targets[name])
            proxy.clear()

    # The daemon

    def stop(self):
        self.stops += 1
        return self.daemon.stop()

    def quiet(self):
        """No more readings; waits until the last poll is in the outbox."""
        self.remo.scenario = "empty"
        polls = self.remo.polls()
        wait_until(lambda: self.remo.polls() >= polls + 2, "two empty polls")

    # What the services saw

    def requests(self, since, until):
        """Requests by what they ask for, begun between two instants of time.monotonic(): poll, token, publish, pull,
        acknowledge, ..."""
        events = [(self.remo, event) for event in self.remo.log.since(0, "http")] + [
            (None, event) for event in self.queue_service.log.since(0, "http")
        ]
        return Counter(
            "poll" if service else _subject(event) for service, event in events if since <= event["began"] <= until
        )

    def attempts(self):
        """Connection attempts so far, by remote."""
        if self.connects is None:
            return {name: proxy.stats()["connections"] for name, proxy in self.proxies.items()}
        return {name: self.connects[proxy.port] for name, proxy in self.proxies.items()}

    def messages(self, kind, where=lambda event: True, since=0.0):
        """How often each message was in an event of that kind of the queue."""
        events = [event for event in self.queue_service.log.since(0, kind) if where(event) and event["mono"] >= since]
        return Counter(message["id"] for event in events for message in event["messages"])

    def nacks(self):
        return self.messages("modack", lambda event: event["seconds"] == 0)


def _subject(event):
    return (
        re.sub(r".*[:/]", "", event["target"])
        if ":" in event["target"] or event["target"] == "/token"
        else event["method"].lower()
    )


class _Page:
    """A web server that is not the one that is wanted."""

    def __init__(self, cert, key):
        self._server = HttpServer(
            lambda _: Response(200, "<html>It works!</html>", content_type="text/html"), cert=cert, key=key
        )

    def __enter__(self):
        self._server.start()
        self.port = self._server.port
        return self

    def __exit__(self, *_):
        self._server.stop()


class _Noise:
    """Answers whatever comes with bytes of no protocol."""

    def __enter__(self):
        self._listener = ports.bind(0)
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True, name="noise").start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.closing(client), contextlib.suppress(OSError):
                client.settimeout(5)
                client.recv(4096)
                client.sendall(bytes(range(256)))


class Window:
    """Counts while a remote fails: connection attempts by remote, requests by subject, MongoDB's commands."""

    def __init__(self, house, seconds):
        began, before = time.monotonic(), house.attempts()
        time.sleep(seconds)
        ended = time.monotonic()
        self.began, self.seconds = began, ended - began
        self.connects = {name: count - before[name] for name, count in house.attempts().items()}
        self.requests, self.commands = house.requests(began, ended), house.mongodb.commands(began, ended)

    def __repr__(self):
        return f"in {self.seconds:.1f} s: connects {self.connects}, requests {dict(self.requests)}, MongoDB {dict(self.commands)}"
