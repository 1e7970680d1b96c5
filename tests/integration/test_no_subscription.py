"""P7: a topic without its subscription accepts and discards, so while it is missing, or stands on a deleted topic,
nothing is published."""

import contextlib
import sqlite3

import pytest
import requests
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
    with contextlib.closing(
        sqlite3.connect(f"file:{stack.daemon.state}/outbox.sqlite?mode=ro", uri=True, timeout=10)
    ) as database:
        return database.execute("SELECT count(*) FROM readings").fetchone()[0]


def waits_then_goes(stack, make_right):
    stack.daemon.start()
    wait_until(lambda: rows(stack) >= 9, "three polls in the outbox")
    assert not published(stack)
    make_right()
    wait_until(lambda: published(stack), "publishing", 90)
    stack.remo.fall_silent()
    wait_until(
        lambda: rows(stack) == 0 and stack.count() == len(stack.remo.served()),
        "every reading, also those from before it was there",
        90,
    )
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


def test_publishing_waits_while_it_is_detached(stack):
    stack.queue.subscribe("sensor-data", "sensor-data-mongodb", detached=True)

    def make_right():
        assert stack.daemon.run("setup").returncode == 69  # it is there, and of no use
        stack.queue.call("DELETE", "subscriptions/sensor-data-mongodb", None)
        stack.queue.subscribe("sensor-data", "sensor-data-mongodb")

    waits_then_goes(stack, make_right)


def topic_exists(stack):
    try:
        return bool(stack.queue.call("GET", "topics/sensor-data"))
    except requests.HTTPError:
        return False


def test_publishing_waits_while_none_is_on_the_topic(stack):
    """A typo in publish.topic: it is there, the subscriptions are, but none of them stands on it."""
    stack.queue.call("PUT", "topics/other", {})
    stack.queue.subscribe("other", "sensor-data-mongodb")
    stack.daemon.start()
    failing = stack.daemon.log.wait("PUBLISH_FAILING")
    assert "no subscription of this configuration is on this topic" in failing.text
    wait_until(lambda: rows(stack) >= 9, "three polls in the outbox")
    assert not published(stack) and len(stack.daemon.log.events("PUBLISH_FAILING")) == 1
    stack.daemon.config["publish"]["topic"] = "other"
    stack.daemon.write_config()
    stack.daemon.reload()
    wait_until(lambda: published(stack), "publishing to the right topic")
    assert stack.daemon.stop() == 0


def test_subscriptions_of_other_topics_do_not_count(stack):
    """Neither one that stands elsewhere, nor one that is missing in another project."""
    stack.queue.call("PUT", "topics/other", {})
    stack.queue.subscribe("sensor-data", "sensor-data-mongodb")
    stack.queue.subscribe("other", "other")
    first = stack.daemon.config["subscribe"][0]
    stack.daemon.config["subscribe"] += [
        {**first, "subscription": "other"},
        {**first, "subscription": "projects/elsewhere/subscriptions/missing"},
    ]
    stack.daemon.write_config()
    stack.daemon.start()
    wait_until(lambda: stack.count() >= 9, "three polls stored")
    stack.queue.call("DELETE", "subscriptions/other", None)
    stack.daemon.log.wait(
        "SUBSCRIPTION_FAILING",
        where=lambda entry: entry.fields["SENSORQD_SUBSCRIPTION"].endswith("/other"),
        patience=90,
    )
    stored = stack.count()
    wait_until(lambda: stack.count() >= stored + 6, "two polls more")
    assert stack.daemon.stop() == 0


def test_a_missing_topic_is_a_reason_to_look(stack):
    """Topic deleted, made anew, the subscription left on the deleted one: nothing goes to where nobody listens."""
    stack.queue.subscribe("sensor-data", "sensor-data-mongodb")
    stack.daemon.start()
    wait_until(lambda: stack.count() >= 3, "a poll stored")
    stack.queue.call("DELETE", "topics/sensor-data", None)
    stack.daemon.log.wait("PUBLISH_FAILING")
    result = stack.daemon.run("setup")
    assert result.returncode == 69 and "_deleted-topic_" in result.stdout and "subscriptions delete" in result.stdout, (
        result.stdout
    )
    stack.queue.service.faults.add(
        {"match": "^GET .*/subscriptions/sensor-data-mongodb", "times": -1, "action": {"type": "status", "status": 503}}
    )
    result = stack.daemon.run("setup")  # which cannot know where the subscription stands
    assert result.returncode == 69 and "cannot be looked at, so its topic is not made" in result.stdout, result.stdout
    stack.queue.service.faults.clear()
    assert not topic_exists(stack)
    stack.queue.call("PUT", "topics/sensor-data", {})  # by other hands
    before, stored = len(published(stack)), stack.count()
    wait_until(lambda: rows(stack) >= 9, "three polls in the outbox")
    assert len(published(stack)) == before
    stack.queue.call("DELETE", "subscriptions/sensor-data-mongodb", None)
    assert stack.daemon.run("setup").returncode == 0
    wait_until(lambda: rows(stack) == 0 and stack.count() > stored, "publishing again", 90)
    stack.remo.fall_silent()
    wait_until(lambda: rows(stack) == 0 and stack.count() == len(stack.remo.served()), "every reading", 90)
    assert stack.daemon.stop() == 0


def test_setup_without_any_subscription(stack):
    """What nobody would get is not published, and no topic is made for it; the words name no subscription that there is
    not."""
    stack.queue.call("DELETE", "topics/sensor-data", None)
    del stack.daemon.config["subscribe"]
    stack.daemon.config["publish"]["topic_has_other_subscribers"] = False
    stack.daemon.write_config()
    result = stack.daemon.run("setup")
    assert (
        result.returncode == 69
        and "this configuration has no subscription" in result.stdout
        and "()" not in result.stdout
    )
    del stack.daemon.config["publish"]["topic_has_other_subscribers"]
    stack.daemon.write_config()
    result = stack.daemon.run("setup")
    assert result.returncode == 0, result.stdout + result.stderr
