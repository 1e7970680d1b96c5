"""The main job: Nature Remo -> Pub/Sub -> MongoDB, on real input, against both queues."""

import datetime
import json
import time

from harness import PATIENCE, wait_until

SOON = 2.0 * max(
    1.0, PATIENCE / 60
)  # seconds; more where the tests are told to be patient, as on an emulated processor


def test_poll_of_three_devices_soon_becomes_three_documents(stack):
    """Where the machine has time for it: of some polls, the fastest counts."""
    stack.daemon.start()

    def seconds_of_next_poll():
        polls = stack.remo.polls()
        first = wait_until(lambda: [entry for entry in stack.remo.served() if entry["poll"] > polls], "a poll")[0]
        values = [
            entry["newest_events"]["te"]["val"]
            for entry in stack.remo.served()
            if entry["poll"] == first["poll"] and "te" in entry["newest_events"]
        ]
        wait_until(
            lambda: len(stack.readings(query={"newest_events.te.val": {"$in": values}})) == len(values) > 0,
            "its documents",
        )
        return time.monotonic() - first["mono"]

    wait_until(lambda: seconds_of_next_poll() < SOON, f"a poll that is stored within {SOON:g} seconds")


def of_device(device, events):
    """What tells a reading from others of its device, where that has a thermometer."""
    return device, (events or {}).get("te", {}).get("val")


def test_document_carries_what_the_source_served(stack):
    stack.daemon.start()
    stack.wait_count(3)
    documents = {
        of_device(document["id"], document["newest_events"]): document for document in stack.readings()
    }  # a queue may change their order

    def all_served():
        served = {of_device(entry["device"], entry["newest_events"]): entry for entry in stack.remo.served()}
        return documents.keys() <= served.keys() and served

    served = wait_until(all_served, "the source's note of its last answer")
    for name_of, document in documents.items():
        assert document["_id"].startswith(document["request_at"].strftime("%Y-%m-%dT%H:%M:%S"))
        assert f":home:{document['id']}:" in document["_id"]
        assert document["source"] == "home"
        assert document["pubsub"]["attributes"]["idempotency_key"] == document["_id"]
        assert document["pubsub"]["attributes"]["type"] == "nature_remo"
        assert document["pubsub"]["message_id"]
        assert isinstance(document["request_at"], datetime.datetime)
        assert "users" not in document and "mac_address" not in document and "serial_number" not in document
        for name, event in served[name_of]["newest_events"].items():
            stored = document["newest_events"][name]
            assert isinstance(stored["val"], float) and stored["val"] == event["val"]
            assert isinstance(stored["created_at"], datetime.datetime)


def values(events):
    return sorted((event or {}).get("te", {}).get("val", 0) for event in events)


def test_every_poll_is_stored_once(stack):
    """P4: over a stop and a start, each reading that was served is one document."""
    stack.daemon.start()
    stack.wait_count(9)
    stack.quiet()
    wait_until(lambda: stack.count() == len(stack.remo.served()), "everything stored")
    assert stack.daemon.stop() == 0
    stack.remo.scenario = "default"
    stack.daemon.start()
    stack.wait_count(15)
    stack.quiet()
    wait_until(lambda: stack.count() == len(stack.remo.served()), "everything stored after the restart")
    assert values(d["newest_events"] for d in stack.readings()) == values(
        e["newest_events"] for e in stack.remo.served()
    )


def test_foreign_messages_are_stored(stack):
    """P3, P4: any JSON object of any publisher, with and without an idempotency key."""
    stack.queue.publish(
        [(json.dumps({"co2": 612, "room": "study"}).encode(), {"idempotency_key": "co2:1"}), (b'{"plain":true}', {})]
    )
    stack.daemon.start()
    wait_until(lambda: [d for d in stack.readings() if d.get("plain") is True], "the plain message")
    keyed = wait_until(lambda: stack.readings(query={"_id": "co2:1"}), "the keyed message")[0]
    assert keyed["co2"] == 612.0 and isinstance(keyed["co2"], float)
    plain = stack.readings(query={"plain": True})[0]
    assert (
        plain["_id"]
        == f"projects/{stack.queue.project}/subscriptions/sensor-data-mongodb:{plain['pubsub']['message_id']}"
    )


def test_mongodb_outage_costs_nothing(make_stack, queue, own_mongodb, remo):
    """P5: MongoDB goes away and comes back; every reading fetched meanwhile is stored once."""
    queue.create()
    stack = make_stack(queue, own_mongodb, remo)
    stack.daemon.start()
    stack.wait_count(3)
    own_mongodb.stop()
    stack.daemon.log.wait("SINK_DOWN")
    before = len(remo.served())
    wait_until(lambda: len(remo.served()) >= before + 9, "three polls during the outage")
    own_mongodb.start()
    stack.daemon.log.wait("SINK_UP")
    served = len(remo.served())
    stack.wait_count(served)
    ids = [d["_id"] for d in stack.readings()]
    assert len(ids) == len(set(ids))
    assert len(stack.daemon.log.events("SINK_DOWN")) == 1


def test_starts_while_everything_is_down(sensorqd, tmp_path):
    """P5: no network at all is no reason not to start."""
    daemon = sensorqd(
        {
            "pubsub": {"project": "my-project", "endpoint": "http://127.0.0.1:9"},
            "publish": {
                "topic": "sensor-data",
                "sources": [
                    {
                        "name": "home",
                        "type": "nature_remo",
                        "interval": "10s",
                        "token_file": "nature-remo.token",
                        "url": "http://127.0.0.1:9",
                    }
                ],
            },
            "subscribe": [
                {
                    "subscription": "sensor-data-mongodb",
                    "mongodb": {
                        "uri": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=1000",
                        "database": "d",
                        "collection": "c",
                    },
                }
            ],
        },
        {"nature-remo.token": "t"},
        env={"PUBSUB_EMULATOR_HOST": "127.0.0.1:9"},
    )
    daemon.start()
    daemon.log.wait("SOURCE_FAILING")
    daemon.log.wait("SINK_DOWN")
    assert daemon.stop() == 0
