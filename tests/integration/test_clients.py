"""Independent clients: what sensorqd publishes, Google's own client reads; what that one publishes, sensorqd stores,
and pymongo reads."""

import json
from datetime import datetime

import pytest
from harness import wait_until
from services.nature_remo import generate

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
        assert (
            attributes["source"] == "home"
            and attributes["type"] == "nature_remo"
            and attributes["device"] == reading["id"]
        )
        stored = wait_until(
            lambda: emulated.readings(query={"_id": attributes["idempotency_key"]}), "the same reading in MongoDB"
        )
        assert stored[0]["id"] == reading["id"]


def test_sensorqd_stores_what_the_official_client_publishes(official, emulated):
    publisher, _ = official
    topic = publisher.topic_path(emulated.queue.project, "sensor-data")
    keyed = publisher.publish(
        topic, json.dumps({"co2": 612, "nested": {"list": [1, None, "x"]}}).encode(), idempotency_key="co2:1"
    ).result(30)
    plain = publisher.publish(topic, b'{"any": "object"}').result(30)
    emulated.daemon.start()
    stored = wait_until(lambda: emulated.readings(query={"_id": "co2:1"}), "the keyed message")[0]
    assert (
        stored["co2"] == 612.0
        and stored["nested"] == {"list": [1.0, None, "x"]}
        and stored["pubsub"]["message_id"] == keyed
    )
    name = f"projects/{emulated.queue.project}/subscriptions/sensor-data-mongodb:{plain}"
    assert wait_until(lambda: emulated.readings(query={"_id": name}), "the plain message")[0]["any"] == "object"


def test_the_old_subscribe_script_reads_what_sensorqd_publishes(official, emulated):
    """As the script that sensorqd replaces does it: ten at most, and JSON made of the text by replacing in the whole of
    it."""
    _, subscriber = official
    emulated.remo.devices = generate(3)
    emulated.queue.subscribe("sensor-data", "old-script")
    emulated.daemon.start()
    emulated.wait_count(3)
    path = subscriber.subscription_path(emulated.queue.project, "old-script")
    received = subscriber.pull(subscription=path, max_messages=10, timeout=30).received_messages
    assert received
    for message in (one.message for one in received):
        text = message.data.decode()
        assert not any(word in text for word in ("'", "None", "True", "False"))
        for old, new in (("None", '"None"'), ("True", "true"), ("False", "false"), ("'", '"')):
            text = text.replace(old, new)
        assert json.loads(text) == json.loads(message.data)
        assert {"name", "newest_events", "updated_at", "request_at"} <= set(json.loads(text))


def test_sensorqd_stores_what_the_old_publish_script_publishes(official, emulated):
    """str() of a dict, without attributes; names and values that the old subscribe script broke on."""
    publisher, _ = official
    emulated.daemon.config["subscribe"][0]["payload"] = "python"
    emulated.daemon.write_config()
    topic = publisher.topic_path(emulated.queue.project, "sensor-data")
    readings = [
        {
            "name": name,
            "newest_events": events,
            "updated_at": "2021-03-25T06:08:42Z",
            "request_at": "2021-03-25T15:27:38Z",
        }
        for name, events in (
            ("居間", {"te": {"created_at": "2021-03-25T06:08:42Z", "val": 21.5}, "hu": {"val": 45}}),
            ("Ann's room", {}),
            ("None", None),
            ('He said "it\'s on"\n', {"on": True, "off": False, "list": [1, None, -2.5e-07]}),
        )
    ]
    ids = [publisher.publish(topic, str(reading).encode()).result(30) for reading in readings]
    emulated.remo.scenario, emulated.remo.devices = "empty", None
    emulated.daemon.start()
    for message, reading in zip(ids, readings):
        name = f"projects/{emulated.queue.project}/subscriptions/sensor-data-mongodb:{message}"
        stored = wait_until(lambda: emulated.readings(query={"_id": name}), f"{reading} in MongoDB")[0]
        assert stored["name"] == reading["name"] and stored["newest_events"] == as_stored(reading["newest_events"])


def as_stored(value):
    """Dates as MongoDB has them, without a zone."""
    if isinstance(value, dict):
        return {
            key: datetime(2021, 3, 25, 6, 8, 42) if key == "created_at" else as_stored(below)
            for key, below in value.items()
        }
    return value
