"""Independent clients: what sensorqd publishes, Google's own client reads; what that one publishes, sensorqd stores, and pymongo reads."""
import json

import pytest
from harness import wait_until

pubsub_v1 = pytest.importorskip("google.cloud.pubsub_v1", reason="not installed: google-cloud-pubsub")


@pytest.fixture
def official(shared_emulator, monkeypatch):
    """(publisher, subscriber) of google-cloud-pubsub, over gRPC to the emulator."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", shared_emulator.host)
    with pubsub_v1.SubscriberClient() as subscriber:
        yield pubsub_v1.PublisherClient(), subscriber


@pytest.fixture
def emulated(make_stack, shared_emulator, shared_mongodb, remo):
    from conftest import emulator_queue
    queue = emulator_queue(shared_emulator)
    queue.create()
    return make_stack(queue, shared_mongodb, remo)


def test_the_official_client_reads_what_sensorqd_publishes(official, emulated):
    _, subscriber = official
    emulated.queue.subscribe("sensor-data", "another-consumer")
    emulated.daemon.start()
    emulated.wait_count(3)
    path = subscriber.subscription_path(emulated.queue.project, "another-consumer")
    reply = subscriber.pull(subscription=path, max_messages=100, timeout=30)
    assert reply.received_messages
    for received in reply.received_messages:
        reading = json.loads(received.message.data)
        attributes = dict(received.message.attributes)
        assert list(reading)[:4] == ["name", "newest_events", "updated_at", "request_at"]
        assert attributes["source"] == "home" and attributes["type"] == "nature_remo" and attributes["device"] == reading["id"]
        stored = wait_until(lambda: emulated.readings(query={"_id": attributes["idempotency_key"]}), "the same reading in MongoDB")
        assert stored[0]["id"] == reading["id"]


def test_sensorqd_stores_what_the_official_client_publishes(official, emulated):
    publisher, _ = official
    topic = publisher.topic_path(emulated.queue.project, "sensor-data")
    keyed = publisher.publish(topic, json.dumps({"co2": 612, "nested": {"list": [1, None, "x"]}}).encode(), idempotency_key="co2:1").result(30)
    plain = publisher.publish(topic, b'{"any": "object"}').result(30)
    emulated.daemon.start()
    stored = wait_until(lambda: emulated.readings(query={"_id": "co2:1"}), "the keyed message")[0]
    assert stored["co2"] == 612.0 and stored["nested"] == {"list": [1.0, None, "x"]} and stored["pubsub"]["message_id"] == keyed
    name = f"projects/{emulated.queue.project}/subscriptions/sensor-data-mongodb:{plain}"
    assert wait_until(lambda: emulated.readings(query={"_id": name}), "the plain message")[0]["any"] == "object"
