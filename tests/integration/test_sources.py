"""Every kind of source in one daemon, into one topic, over kills: what a peer was told is kept, is kept, and each of it once (P1, P4, P12)."""
import contextlib
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter

import pytest
from harness import wait_until
from services import mosquitto, ports
from services.mosquitto import Mosquitto

if mosquitto.obstacle():
    pytest.skip(mosquitto.obstacle(), allow_module_level=True)

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
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/readings", json.dumps({"n": name}).encode(),
                                             {"Content-Type": "application/json", "Idempotency-Key": name})
            try:
                with urllib.request.urlopen(request, timeout=5) as reply:
                    assert json.load(reply) == {"stored": 1}
                self.stored.append(name)
                n += 1
            except (OSError, urllib.error.URLError, ValueError):
                time.sleep(0.05)
            time.sleep(0.005)


@pytest.fixture
def broker(tmp_path):
    with contextlib.closing(Mosquitto(tmp_path / "mosquitto").start()) as server:
        yield server


@pytest.fixture
def house(make_stack, own_queue, shared_mongodb, remo, broker, tmp_path):
    """A daemon with a source of each kind; its stack has `port` of the push."""
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
        {"name": "push", "type": "http_push", "listen": f"127.0.0.1:{stack.port}"}]
    stack.daemon.write_config()
    return stack


def numbers(stack, source):
    """How often each number of a source is stored."""
    return Counter(document.get("n") for document in stack.readings(query={"source": source}))


def test_each_kind_is_stored(house, broker):
    house.daemon.start()
    pusher = Pusher(house.port)
    pusher.start()
    wait_until(lambda: (house.daemon.state / "mqtt-broker.session").exists(), "a session with the broker")
    broker.publish("home/kitchen/temperature", "21.5")
    for source in ("home", "run", "stream", "broker", "push"):
        wait_until(lambda: house.readings(query={"source": source}), f"a document of {source} (log: {house.daemon.log.lines[-20:]})")
    pusher.ending = True
    document = house.readings(query={"source": "broker"})[0]
    assert document["temperature"] == 21.5 and document["id"] == "kitchen" and document["site"] == "nakano"
    assert document["pubsub"]["attributes"]["device"] == "kitchen" and document["pubsub"]["attributes"]["site"] == "nakano"
    assert house.readings(query={"source": "run"})[0]["value"] == 21.5
    assert not house.daemon.log.events("SOURCE_FAILING")


def test_nothing_is_lost_or_doubled_over_kills(house, broker):
    """What the broker and the pusher were told is stored is there once, whenever the daemon died."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    house.daemon.start()
    wait_until(lambda: (house.daemon.state / "mqtt-broker.session").exists(), "a session with the broker")
    pusher = Pusher(house.port)
    pusher.start()
    published = []
    for round_ in range(8):
        batch = [f"mqtt:{round_}:{n}" for n in range(250)]
        feeder = threading.Thread(target=broker.publish, args=("home/x/n", *batch))
        feeder.start()
        published += batch
        time.sleep(chance.uniform(0, 0.3))
        house.daemon.kill()
        house.daemon.start()
        feeder.join()
    wait_until(lambda: set(published) <= set(numbers(house, "broker")), "everything of the broker", patience=60)
    pusher.ending = True
    pusher.join()
    wait_until(lambda: set(pusher.stored) <= set(numbers(house, "push")), "everything that was pushed")
    assert len(pusher.stored) > 10
    for source in ("broker", "push"):
        doubled = {name: n for name, n in numbers(house, source).items() if n > 1}
        assert not doubled, f"seed {seed}"
    assert house.daemon.stop() == 0
