"""Leases and acknowledgements: what is held is held, what is let go comes back, and no outage wears a good message out
(P3, P4, P5, P8)."""

import base64
import json
import os
import signal
import time

import pytest
from feed import PROJECT, SUBSCRIPTION, TOPIC
from harness import wait_until
from services import pubsub_api
from services.proxy import Proxy

LONG = bool(os.environ.get("SENSORQD_LONG"))
INSERT = r"^insert .*\.readings$"
DEAD_TOPIC = f"projects/{PROJECT}/topics/dead"
DEAD = f"projects/{PROJECT}/subscriptions/dead"


@pytest.fixture
def proxied(wire_mongo):
    """The MongoDB server behind a proxy: (server, proxy)."""
    with Proxy(wire_mongo.port) as proxy:
        yield wire_mongo, proxy


def through(proxy):
    return f"mongodb://127.0.0.1:{proxy.port}/"


def modacks(feed, extending=True):
    return [event for event in feed.events("modack") if (event["seconds"] > 0) == extending]


def await_pull(feed):
    wait_until(lambda: feed.store.waiting > 0, f"a hanging pull (log: {feed.daemon.log.lines[-15:]})")


def numbered(count):
    return [b'{"n":%d}' % n for n in range(count)]


@pytest.mark.parametrize("failing", [False, True], ids=["", "renewals-fail-at-first"])
def test_sink_slower_than_the_deadline(make_feed, wire_mongo, failing):
    """P4, P5: a write that takes longer than the ack deadline: leases are renewed, also when the first tries fail, and
    nothing comes twice."""
    feed = make_feed(wire_mongo)
    if failing:
        feed.service.faults.add(
            {"match": ":modifyAckDeadline", "times": 2, "action": {"type": "status", "status": 503}}
        )
    wire_mongo.script.add({"match": INSERT, "times": 2 if LONG else 1, "action": {"type": "reply", "delay": 13}})
    ids = feed.publish(*numbered(20))
    feed.daemon.start()
    feed.wait_empty(patience=90)
    assert modacks(feed) and {message["id"] for event in modacks(feed) for message in event["messages"]} == set(ids)
    assert all(feed.deliveries(message) == 1 for message in ids) and not feed.events("expire")
    assert len(feed.documents()) == 20 and not modacks(feed, extending=False)
    held = feed.events("ack")[-1]["mono"] - feed.events("deliver")[0]["mono"]
    assert len(feed.requests(":modifyAckDeadline")) <= 2 + held / 5 + 2 * failing


def test_outage_longer_than_the_longest_hold(make_feed, proxied):
    """P5: MongoDB goes away while a pull hangs: what the pull brings is held and renewed, no other pull is made, no
    nack; after max_hold it is let go and said; once MongoDB is back it comes again and is stored once."""
    server, proxy = proxied
    feed = make_feed(server, uri=through(proxy), env={"SENSORQD_TEST_MAX_HOLD_MSEC": "12000"})
    feed.daemon.start()
    await_pull(feed)
    proxy.set_mode("refuse")
    ids = feed.publish(*numbered(50))
    wait_until(lambda: all(feed.deliveries(message) == 1 for message in ids), "the delivery")
    feed.daemon.log.wait("SINK_DOWN")
    wait_until(lambda: "50 messages held" in feed.daemon.notify.status, f"STATUS= (last: {feed.daemon.notify.status})")
    assert "MongoDB down since" in feed.daemon.notify.status
    pulls = len(feed.events("deliver"))
    entry = feed.daemon.log.wait("LEASE_LAPSED", patience=60)
    assert entry.fields["SENSORQD_SUBSCRIPTION"] == SUBSCRIPTION
    assert modacks(feed) and not modacks(feed, extending=False) and len(feed.events("deliver")) == pulls
    held = [event["mono"] for event in feed.events("deliver")][0]
    assert 11.5 <= [event["mono"] for event in modacks(feed)][-1] + 10 - held  # the last renewal reached over max_hold
    proxy.set_mode("pass")
    feed.daemon.log.wait("SINK_UP")
    feed.wait_empty(patience=60)
    assert len(feed.documents()) == 50 and all(feed.deliveries(message) <= 2 for message in ids)
    assert len(feed.daemon.log.events("LEASE_LAPSED")) == len(feed.daemon.log.events("SINK_DOWN")) == 1


def set_dead_letter_policy(feed):
    feed.service.api.create_topic(DEAD_TOPIC, b"{}")
    feed.subscribe(name=DEAD, topic=DEAD_TOPIC)
    feed.service.api.patch_subscription(
        SUBSCRIPTION,
        json.dumps(
            {
                "subscription": {"deadLetterPolicy": {"deadLetterTopic": DEAD_TOPIC, "maxDeliveryAttempts": 5}},
                "updateMask": "deadLetterPolicy",
            }
        ).encode(),
        {},
    )


def five_restarts(feed):
    """Ends the daemon, by SIGTERM or kill -9 in turn, publishes and starts it again; yields (which one, when it was
    started)."""
    for restart in range(5):
        if restart % 2 == 0:
            assert feed.daemon.stop() == 0
        else:
            feed.daemon.kill()
        feed.publish(b'{"restart":%d}' % restart)
        began = time.monotonic()
        feed.daemon.start()
        yield restart, began


def test_no_outage_puts_a_good_message_into_the_dead_letter_topic(make_feed, proxied):
    """P5, P8: with a limit of five attempts, a MongoDB that stays away over five restarts of the daemon, by stop and by
    kill -9."""
    server, proxy = proxied
    feed = make_feed(server, uri=through(proxy), service={"time_scale": 2})
    set_dead_letter_policy(feed)
    feed.daemon.start()
    await_pull(feed)
    proxy.set_mode("refuse")
    ids = feed.publish(*numbered(30))
    wait_until(lambda: all(feed.deliveries(message) == 1 for message in ids), "the delivery")
    feed.daemon.log.wait("SINK_DOWN")
    for _, began in five_restarts(feed):
        wait_until(lambda: feed.requests("GET /v1/", since=began), "the settings to be read")
        time.sleep(5 if LONG else 1.5)
        assert not feed.requests(":pull", since=began) and feed.store.waiting == 0
    proxy.set_mode("pass")
    wait_until(lambda: feed.backlog() == 0, f"an empty queue (log: {feed.daemon.log.lines[-15:]})", 60)
    assert not feed.events("dead_letter") and feed.backlog(DEAD) == 0
    assert len(feed.documents()) == 35 and max(feed.deliveries(message) for message in ids) <= 4


@pytest.mark.parametrize(
    "action",
    [
        {"type": "error", "code": 10107, "codeName": "NotWritablePrimary"},
        {"type": "error", "code": 13, "codeName": "Unauthorized"},
        {
            "type": "reply",
            "write_concern_error": {
                "code": 64,
                "codeName": "WriteConcernFailed",
                "errmsg": "waiting for replication timed out",
            },
        },
    ],
    ids=["no-primary", "no-privilege", "no-majority"],
)
def test_no_refused_write_puts_a_good_message_into_the_dead_letter_topic(make_feed, wire_mongo, action):
    """P5, P8: the same with a MongoDB that answers pings and refuses every write: nothing is pulled before a write is
    known to work."""
    feed = make_feed(wire_mongo, service={"time_scale": 2})
    set_dead_letter_policy(feed)
    feed.publish(b'{"first":1}')
    feed.daemon.start()
    feed.wait_empty()
    await_pull(feed)
    wire_mongo.script.add({"match": "^(insert|update) ", "times": -1, "action": action})
    ids = feed.publish(*numbered(30))
    feed.daemon.log.wait("SINK_DOWN")
    for restart, began in five_restarts(feed):
        feed.daemon.log.wait("SINK_DOWN", count=restart + 2)
        if action.get("code") == 13:  # no write can be tried without a message: one is pulled, and it pays for that
            assert (
                len(feed.requests(":pull", since=began)) <= 1 + (time.monotonic() - began) / 2
            )  # one at each backoff.max
            if restart == 1:
                break
        else:
            assert not feed.requests(":pull", since=began) and feed.store.waiting == 0
    wire_mongo.script.clear()
    wait_until(lambda: feed.backlog() == 0, f"an empty queue (log: {feed.daemon.log.lines[-15:]})", 60)
    assert not feed.events("dead_letter") and feed.backlog(DEAD) == 0
    assert len(feed.documents()) == 32 + restart and max(feed.deliveries(message) for message in ids) <= 4


def picky(feed, refuse):
    """refuse(ack ids) -> ApiError or None, asked before each acknowledgement; returns the list of all requests' ids."""
    accept, requests = feed.service.api.acknowledge, []

    def acknowledge(name, body):
        ids = json.loads(body)["ackIds"]
        requests.append(ids)
        error = refuse(ids)
        if error is None:
            accept(name, body)
        else:
            raise error

    feed.service.api.acknowledge = acknowledge
    return requests


def per_id(fates):
    return pubsub_api.ApiError(
        400,
        "Some acknowledgement ids in the request were invalid.",
        "INVALID_ARGUMENT",
        [pubsub_api.error_info("EXACTLY_ONCE_ACKID_FAILURE", fates)],
    )


def test_exactly_once_results_for_each_id(make_feed, wire_mongo):
    """P3, P4: of one request some ids succeed, some fail for a while, some for good: those again, these never; what
    comes back is known."""
    feed = make_feed(wire_mongo, settings={"enableExactlyOnceDelivery": True, "ackDeadlineSeconds": 60})
    transient, permanent = [], []

    def refuse(ids):
        if transient:
            return None
        transient.extend(ids[3:5])
        permanent.append(ids[7])
        rest = [ack_id for ack_id in ids if ack_id not in transient + permanent]
        feed.store.acknowledge(SUBSCRIPTION, rest)
        return per_id(
            {
                **dict.fromkeys(transient, "TRANSIENT_FAILURE_SERVICE_UNAVAILABLE"),
                ids[7]: "PERMANENT_FAILURE_INVALID_ACK_ID",
            }
        )

    requests = picky(feed, refuse)
    ids = feed.publish(*numbered(20))
    feed.daemon.start()
    wait_until(
        lambda: len(feed.acknowledged()) >= 19, f"those that did not fail for good (log: {feed.daemon.log.lines[-15:]})"
    )
    feed.store.end_leases(SUBSCRIPTION)
    feed.wait_empty()
    assert len(feed.documents()) == 20 and not feed.rejected()
    assert sorted(requests[1]) == sorted(transient) and not any(permanent[0] in request for request in requests[1:])
    assert [message for message in ids if feed.deliveries(message) > 1] == [feed.store.message_id_of(permanent[0])]
    assert len(requests) <= 4


def test_acknowledgement_that_is_partly_refused(make_feed, wire_mongo):
    """P3, P6: one id spoils the request: the others are acknowledged all the same, in few requests, and nothing is
    stored twice."""
    feed = make_feed(wire_mongo, settings={"ackDeadlineSeconds": 60})
    bad = []

    def refuse(ids):
        bad[:] = bad or [ids[33]]
        if bad[0] in ids:
            return pubsub_api.ApiError(400, f"You have passed an invalid ack ID to the service (ack_id={bad[0]}).")
        return None

    requests = picky(feed, refuse)
    ids = feed.publish(*numbered(200))
    feed.daemon.start()
    wait_until(lambda: len(feed.acknowledged()) >= 199, f"the good ones (log: {feed.daemon.log.lines[-15:]})")
    feed.store.end_leases(SUBSCRIPTION)
    feed.wait_empty()  # the bad one has a new ack id at its next delivery
    again = [message for message in ids if feed.deliveries(message) > 1]
    assert again == [feed.store.message_id_of(bad[0])]
    assert len(feed.documents()) == 200 and len(requests) <= 40


def test_failed_acknowledgements_are_tried_again(make_feed, wire_mongo):
    """P4: 503 for a while, a reply lost after the work was done, a torn reply: acknowledged in the end, delivered
    once."""
    feed = make_feed(wire_mongo, settings={"ackDeadlineSeconds": 60})
    feed.service.faults.add(
        {"match": ":acknowledge", "times": 2, "action": {"type": "status", "status": 503}},
        {"match": ":acknowledge", "action": {"type": "cut", "when": "after"}},
        {"match": ":acknowledge", "action": {"type": "truncate", "missing": 1}},
    )
    ids = feed.publish(*numbered(20))
    feed.daemon.start()
    feed.wait_empty()
    wait_until(lambda: len(feed.requests(":acknowledge")) >= 5, f"the last try (log: {feed.daemon.log.lines[-15:]})")
    assert all(feed.deliveries(message) == 1 for message in ids) and len(feed.documents()) == 20
    wait_until(
        lambda: (
            len(feed.daemon.log.events("SUBSCRIPTION_RECOVERED")) == len(feed.daemon.log.events("SUBSCRIPTION_FAILING"))
        ),
        "recovery",
    )
    assert len(feed.daemon.log.events("SUBSCRIPTION_FAILING")) <= 1


def test_a_remote_that_flaps_is_said_seldom(make_feed, wire_mongo):
    """Each of some failures in a row is said, and its end; then an end must prove itself. status.json tells the present
    state all the time."""
    feed = make_feed(wire_mongo, settings={"ackDeadlineSeconds": 60})
    feed.daemon.start()

    def failing():
        return feed.daemon.status()["subscriptions"][0]["failing"]

    for n in range(1, 11):
        began = time.monotonic()
        feed.service.faults.add({"match": ":acknowledge", "times": -1, "action": {"type": "status", "status": 503}})
        feed.publish(b'{"n":%d}' % n)
        wait_until(failing, "the failure in status.json")
        wait_until(lambda since=began: len(feed.requests(":acknowledge", since)) > 2, "the third try")
        feed.service.faults.clear()
        feed.wait_empty()
        wait_until(lambda: not failing(), "its end in status.json")
    counts = [len(feed.daemon.log.events(f"SUBSCRIPTION_{word}")) for word in ("FAILING", "RECOVERED")]
    assert counts == [5, 4]
    assert len(feed.documents()) == 10


def test_stop_releases_what_is_held(make_feed, proxied):
    """P8: at the stop held leases end at once, so that another daemon need not wait for the deadline."""
    server, proxy = proxied
    feed = make_feed(server, uri=through(proxy), settings={"ackDeadlineSeconds": 600})
    feed.daemon.start()
    await_pull(feed)
    proxy.set_mode("refuse")
    ids = feed.publish(*numbered(10))
    feed.daemon.log.wait("SINK_DOWN")
    wait_until(lambda: all(feed.deliveries(message) == 1 for message in ids), "the delivery")
    wait_until(lambda: "10 messages held" in feed.daemon.notify.status, "STATUS=")
    assert feed.daemon.stop() == 0
    released = modacks(feed, extending=False)
    assert {message["id"] for event in released for message in event["messages"]} == set(ids)
    proxy.set_mode("pass")
    feed.daemon.start()
    feed.wait_empty()
    assert len(feed.documents()) == 10 and all(feed.deliveries(message) <= 3 for message in ids)


def answer_releases_late(feed):
    """Once a pull that hangs has what was released: from the answer on the daemon waits a second for it."""
    modify = feed.service.api.modify_deadline

    def release(name, body):
        hangs, delivered = feed.store.waiting > 0, len(feed.events("deliver"))
        modify(name, body)
        if hangs and json.loads(body)["ackDeadlineSeconds"] == 0:
            wait_until(lambda: len(feed.events("deliver")) > delivered, "the next delivery")

    feed.service.api.modify_deadline = release


def test_stop_leaves_nothing_to_its_own_pulls(make_feed, wire_mongo):
    """P8: what the stop releases is handed to the pulls of the same daemon that still hang: they are read, and give it
    back."""
    feed = make_feed(wire_mongo, settings={"ackDeadlineSeconds": 600}, section={"pulls": 3})
    answer_releases_late(feed)
    wire_mongo.script.add({"match": INSERT, "times": -1, "action": {"type": "no_reply", "seconds": 2}})
    ids = feed.publish(*numbered(10))
    feed.daemon.start()
    wait_until(
        lambda: [event for event in wire_mongo.log.since(0, "command") if event["command"] == "insert"], "a write"
    )
    await_pull(feed)
    assert feed.daemon.stop() == 0
    released = [message["id"] for event in modacks(feed, extending=False) for message in event["messages"]]
    assert set(released) == set(ids) and len(released) >= 2 * len(ids)
    assert feed.store.stats()[SUBSCRIPTION]["leased"] == 0
    wire_mongo.script.clear()
    feed.daemon.start()
    feed.wait_empty()
    assert len(feed.documents()) == 10 and all(feed.deliveries(message) <= 4 for message in ids)


def test_write_that_never_returns(make_feed, wire_mongo):
    """P5: a call into the driver that outlasts all its time limits ends the process, and the next one goes on. The
    limit is shortened for the test to less than the driver's own, which then cannot end the call."""
    feed = make_feed(wire_mongo, env={"SENSORQD_TEST_STUCK_TICK_MSEC": "300"}, service={"time_scale": 5})
    wire_mongo.script.add({"match": INSERT, "action": {"type": "no_reply"}})
    feed.publish(*numbered(10))
    feed.daemon.start()
    assert feed.daemon.wait() == -signal.SIGABRT
    assert "has not returned from one call" in next(
        entry.text for entry in feed.daemon.log.entries if entry.level == "critical"
    )
    assert not feed.acknowledged()
    del feed.daemon.env[
        "SENSORQD_TEST_STUCK_TICK_MSEC"
    ]  # a machine that stands still for three seconds is no reason to end this one
    feed.daemon.start()
    feed.wait_empty()
    assert len(feed.documents()) == 10


def test_duplicates_without_majority_reads(make_feed, wire_mongo):
    """P3, P4: a server that has majority reads switched off (MongoDB before 5.0 can): duplicates are compared and
    settled all the same, readings and rejected alike."""
    feed = make_feed(wire_mongo)
    wire_mongo.majority_reads = False
    good, odd = [(json.dumps({"n": n}).encode(), {"idempotency_key": f"k:{n}"}) for n in range(10)], b"no JSON"
    feed.publish(*good, odd)
    wire_mongo.script.add({"match": r"^insert .*_rejected$", "action": {"type": "drop_reply"}})
    feed.daemon.start()
    feed.wait_empty()
    feed.publish(*good, (b'{"n":-1}', {"idempotency_key": "k:0"}))
    feed.wait_empty()
    assert len(feed.documents()) == 10 and sorted(document["reason"] for document in feed.rejected().values()) == [
        "id_conflict",
        "not_json",
    ]


def test_duplicate_deliveries(make_feed, wire_mongo):
    """P4: a queue that hands out the same messages many times over."""
    feed = make_feed(wire_mongo)
    feed.service.faults.add({"match": ":pull", "times": 5, "action": {"type": "duplicate"}})
    feed.publish(*[(json.dumps({"n": n}).encode(), {"idempotency_key": f"k:{n}"}) for n in range(100)])
    wire_mongo.script.add({"match": INSERT, "times": 3, "action": {"type": "reply", "delay": 0.3}})
    feed.daemon.start()
    feed.wait_empty()
    assert sorted(feed.documents()) == sorted(f"k:{n}" for n in range(100)) and not feed.rejected()


def test_more_than_one_request_takes(make_feed, wire_mongo):
    """P3: a batch of a thousand large messages, acknowledged within the service's limits of size."""
    feed = make_feed(wire_mongo)
    data = base64.b64encode(os.urandom(3000))
    ids = feed.publish(*[b'{"n":%d,"x":"%s"}' % (n, data) for n in range(3000)], topic=TOPIC)
    feed.daemon.start()
    feed.wait_empty(patience=60)
    assert len(feed.documents()) == 3000 and feed.acknowledged() == set(ids)
    assert all(
        event["status"] == 200 and event["request_bytes"] <= 512 * 1024 for event in feed.requests(":acknowledge")
    )
