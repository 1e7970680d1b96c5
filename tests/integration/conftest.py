"""Fixtures: servers, queues and daemons; everything started is stopped."""

import contextlib
import random
import sys
import uuid
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import requests  # noqa: E402
from every_source import STREAM, History, history_source  # noqa: E402
from failed import FAILED, pytest_runtest_makereport  # noqa: E402, F401
from feed import Feed  # noqa: E402
from harness import Sensorqd, seed, wait_until  # noqa: E402
from services import ports  # noqa: E402
from services.emulator import Emulator  # noqa: E402
from services.emulator import find as find_emulator  # noqa: E402
from services.mongodb import MongoDB  # noqa: E402
from services.mosquitto import Mosquitto  # noqa: E402
from services.nature_remo import NatureRemo  # noqa: E402
from services.pubsub import PubSub  # noqa: E402
from services.tls import make as make_certificates  # noqa: E402
from services.wire_mongo import WireMongo  # noqa: E402


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def shared_mongodb():
    """For tests that do not disturb it; each takes a database of its own."""
    with MongoDB() as server:
        yield server


@pytest.fixture
def own_mongodb(tmp_path):
    """For tests that stop it, kill it or arm its fail points."""
    with MongoDB(storage=str(tmp_path / "mongodb")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_emulator():
    if find_emulator() is None:
        pytest.skip("not installed: Google's Pub/Sub emulator is not installed")
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def remo():
    with NatureRemo(limit=100000) as service:
        yield service


class Queue:
    """Pub/Sub as a test sees it, whichever server stands behind it: `env` is what the daemon needs, `section` its
    pubsub section."""

    def __init__(self, url, project, section, env, secrets, service=None):
        self.url, self.project, self.section, self.env, self.secrets, self.service = (
            url,
            project,
            section,
            env,
            secrets,
            service,
        )
        self.session = requests.Session()
        self.verify = True

    def call(self, method, resource, body=None):
        headers = (
            {"Authorization": f"Bearer {self.service.oauth.issue('test')}"}
            if self.service and self.service.auth
            else {}
        )
        reply = self.session.request(
            method,
            f"{self.url}/v1/projects/{self.project}/{resource}",
            json=body,
            headers=headers,
            verify=self.verify,
            timeout=120,
        )
        reply.raise_for_status()
        return reply.json()

    def create(self, topic="sensor-data", subscription="sensor-data-mongodb", **options):
        """The topic, and one subscription unless None."""
        self.call("PUT", f"topics/{topic}", {})
        if subscription:
            self.subscribe(topic, subscription, **options)

    def subscribe(self, topic, subscription, **options):
        body = {
            "topic": f"projects/{self.project}/topics/{topic}",
            "ackDeadlineSeconds": 10,
            "expirationPolicy": {},
            **options,
        }
        self.call("PUT", f"subscriptions/{subscription}", body)

    def publish(self, messages, topic="sensor-data"):
        """messages: [(data bytes, attributes)]; returns the ids."""
        import base64

        body = {
            "messages": [
                {"data": base64.b64encode(data).decode(), "attributes": attributes or {}}
                for data, attributes in messages
            ]
        }
        return self.call("POST", f"topics/{topic}:publish", body)["messageIds"]

    def is_empty(self, subscription="sensor-data-mongodb"):
        """True when nothing is left, neither waiting nor leased (own service only)."""
        stats = self.service.store.stats()[f"projects/{self.project}/subscriptions/{subscription}"]
        return stats["backlog"] == 0 and stats["leased"] == 0


def emulator_queue(emulator):
    project = "p" + uuid.uuid4().hex[:12]
    return Queue(emulator.url, project, {"project": project}, {"PUBSUB_EMULATOR_HOST": emulator.host}, {})


def service_queue(service, directory, certificates=None):
    directory.mkdir(exist_ok=True)
    key_file = directory / "pubsub-credential.json"
    service.write_service_account(str(key_file))
    section = {"project": "my-project", "endpoint": service.url, "credentials_file": str(key_file)}
    queue = Queue(service.url, "my-project", section, {}, {}, service)
    if certificates:
        section["ca_file"] = certificates.ca
        queue.verify = certificates.ca
    return queue


@pytest.fixture
def pubsub(tmp_path, certificates):
    """The project's own service, over TLS, with OAuth."""
    with PubSub(
        cert=certificates.server.cert, key=certificates.server.key, state_dir=str(tmp_path / "pubsub"), auth=True
    ) as service:
        yield service


@pytest.fixture
def own_queue(pubsub, tmp_path, certificates):
    return service_queue(pubsub, tmp_path / "keys", certificates)


@pytest.fixture(params=["emulator", "service"])
def queue(request, tmp_path):
    """One suite against both: Google's emulator and tests/services/pubsub.py."""
    if request.param == "emulator":
        return emulator_queue(request.getfixturevalue("shared_emulator"))
    return request.getfixturevalue("own_queue")


@pytest.fixture
def chance(request):
    """Random choices of this test, the same for the same seed."""
    return random.Random(f"{seed()} {request.node.name}")


@pytest.fixture
def sensorqd(tmp_path, request):
    """Makes daemons: sensorqd(config, secrets, env=..., name=...). What they logged stands beside a failure."""
    made = []

    def make(config, secrets=None, name="daemon", **options):
        daemon = Sensorqd(tmp_path / name, config, secrets, **options)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        if request.node.stash.get(FAILED, False):
            print(f"---- {daemon.directory} logged last:", *daemon.log.lines[-60:], sep="\n")
        daemon.close()


class Stack:
    """Source, queue and MongoDB with one daemon between them, and a look at the collection."""

    def __init__(
        self,
        make,
        queue,
        mongodb,
        remo,
        database=None,
        interval_msec=1000,
        name="daemon",
        options=None,
        **mongodb_options,
    ):
        self.queue, self.mongodb, self.remo = queue, mongodb, remo
        self.database = database or "db" + uuid.uuid4().hex[:12]
        uri = mongodb_options.pop("uri", mongodb.uri)
        config = {"pubsub": queue.section}
        if remo:
            config["publish"] = {
                "topic": "sensor-data",
                "sources": [
                    {
                        "name": "home",
                        "type": "nature_remo",
                        "interval": "10s",
                        "token_file": "nature-remo.token",
                        "url": remo.url,
                    }
                ],
            }
        config["subscribe"] = [
            {
                "subscription": "sensor-data-mongodb",
                "mongodb": {
                    "uri": uri,
                    "database": self.database,
                    "collection": "readings",
                    "backoff": {"initial": "1s", "max": "2s"},
                    **mongodb_options,
                },
            }
        ]
        config["subscribe"][0].update(options or {})
        secrets = {**queue.secrets, "nature-remo.token": (remo.token if remo else "none") + "\n"}
        env = {**queue.env, **({"SENSORQD_TEST_INTERVAL_MSEC": str(interval_msec)} if interval_msec else {})}
        self.daemon = make(config, secrets, name=name, env=env)
        self._client = mongodb.client()

    def readings(self, collection="readings", query=None):
        return list(self._client[self.database][collection].find(query or {}))

    def count(self, collection="readings"):
        return self._client[self.database][collection].count_documents({})

    def quiet(self):
        """No more readings; what was served has reached the daemon and is on its disk: the poll after that has
        begun."""
        self.remo.fall_silent()
        polls = self.remo.polls()
        wait_until(lambda: self.remo.polls() >= polls + 2, "two empty polls")

    def wait_count(self, n, collection="readings", patience=None):
        return wait_until(
            lambda: self.count(collection) >= n,
            f"{n} documents in {collection} (log: {self.daemon.log.lines[-15:]})",
            patience,
        )

    def close(self):
        self._client.close()


@pytest.fixture
def stack(sensorqd, queue, shared_mongodb, remo):
    """The main job on either queue."""
    queue.create()
    stack = Stack(sensorqd, queue, shared_mongodb, remo)
    yield stack
    stack.close()


@pytest.fixture
def make_stack(sensorqd):
    """Stacks of a test's own making: make_stack(queue, mongodb, remo, ...)."""
    made = []

    def make(*arguments, **options):
        made.append(Stack(sensorqd, *arguments, **options))
        return made[-1]

    yield make
    for stack in made:
        stack.close()


@pytest.fixture
def bare(make_stack, own_queue, shared_mongodb, remo):
    """The service over TLS with OAuth; nothing created yet; one poll for each start."""
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=0)
    stack.daemon.config["publish"]["sources"][0]["interval"] = "24h"
    stack.daemon.write_config()
    return stack


@pytest.fixture
def make_feed(sensorqd):
    """A queue of the test's own with a daemon behind it: make_feed(server, ...)."""
    made = []

    def make(*arguments, **options):
        made.append(Feed(sensorqd, *arguments, **options))
        return made[-1]

    yield make
    for feed in made:
        feed.close()


@pytest.fixture
def wire_mongo():
    """A MongoDB server that answers by script."""
    with WireMongo() as server:
        yield server


@pytest.fixture
def broker(tmp_path):
    with contextlib.closing(Mosquitto(tmp_path / "mosquitto").start()) as server:
        yield server


@pytest.fixture
def house(make_stack, own_queue, shared_mongodb, remo, broker, tmp_path):
    """A daemon with a source of each kind; its stack has `port` of the push and `history`."""
    own_queue.create()
    program = tmp_path / "stream"
    program.write_text(STREAM)
    program.chmod(0o755)
    stack = make_stack(own_queue, shared_mongodb, remo)
    stack.port = ports.free_port()
    stack.daemon.config["publish"]["labels"] = {"site": "nakano"}
    stack.daemon.config["publish"]["sources"] += [
        {"name": "run", "type": "exec", "interval": "10s", "command": ["sh", "-c", "echo 21.5"]},
        {"name": "stream", "type": "exec", "mode": "stream", "command": [str(program)]},
        {"name": "broker", "type": "mqtt", "url": f"mqtt://127.0.0.1:{broker.port}", "topics": ["home/{id}/{field}"]},
        {"name": "push", "type": "http_push", "listen": f"127.0.0.1:{stack.port}"},
    ]
    with History() as stack.history:
        stack.daemon.config["publish"]["sources"].append(history_source(stack.history))
        stack.daemon.write_config()
        yield stack
        stack.history.shutdown()
