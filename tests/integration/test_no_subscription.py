"""P7: a topic without its subscription accepts and discards, so while it is missing, or stands on a deleted topic, nothing is published."""
import contextlib
import sqlite3

import pytest
from harness import wait_until


@pytest.fixture
def stack(make_stack, own_queue, shared_mongodb, remo):
    own_queue.create(subscription=None)
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=500)
    stack.daemon.env["SENSORQD_TEST_BACKOFF_MAX_MSEC"] = "2000"  # between looks whether it is there
    return stack


def published(stack):
    return stack.queue.service.log.since(0, "publish")


def rows(stack):
    with contextlib.closing(sqlite3.connect(f"file:{stack.daemon.state}/outbox.sqlite?mode=ro", uri=True, timeout=10)) as database:
        return database.execute("SELECT count(*) FROM readings").fetchone()[0]


def waits_then_goes(stack, make_right):
    stack.daemon.start()
    wait_until(lambda: rows(stack) >= 9, "three polls in the outbox")
    assert not published(stack)
    make_right()
    wait_until(lambda: published(stack), "publishing", 90)
    stack.remo.scenario = "empty"
    wait_until(lambda: rows(stack) == 0 and stack.count() == len(stack.remo.served()), "every reading, also those from before it was there", 90)
    assert stack.daemon.stop() == 0


def test_publishing_waits_for_the_subscription(stack):
    waits_then_goes(stack, lambda: stack.queue.subscribe("sensor-data", "sensor-data-mongodb"))


def test_publishing_waits_while_it_stands_on_a_deleted_topic(stack):
    stack.queue.subscribe("sensor-data", "sensor-data-mongodb")
    stack.queue.call("DELETE", "topics/sensor-data", None)
    stack.queue.call("PUT", "topics/sensor-data", {})  # of the same name, but not the one that it belongs to

    def make_right():
        stack.queue.call("DELETE", "subscriptions/sensor-data-mongodb", None)
        stack.queue.subscribe("sensor-data", "sensor-data-mongodb")

    waits_then_goes(stack, make_right)
