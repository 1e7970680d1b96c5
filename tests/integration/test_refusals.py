"""Every insert is refused, whatever the code, by a command's `ok: 0` or document by document: nothing is rejected,
nothing acknowledged, no delivery attempt spent, it is said once, and when it ends everything is stored (P11).

SENSORQD_LONG=1 stays longer with each code.
"""

import json
import os
import time

import pytest
from feed import SUBSCRIPTION
from harness import wait_until
from test_leases import DEAD, set_dead_letter_policy

LONG = bool(os.environ.get("SENSORQD_LONG"))
INSERT = r"^insert .*\.readings$"
QUICK = {"SENSORQD_TEST_BACKOFF_MAX_MSEC": "150"}  # between tries
MESSAGES = 5
REFUSALS = 3  # inserts that are refused before a code is left

# (code, its own words or None)
CODES = [
    (1, "attempt to write a readonly database (8)"),
    (2, "cannot use 'j' option when a host does not have journaling enabled"),
    (6, None),
    (8, "disk I/O error"),
    (9, None),
    (13, None),
    (14, None),
    (20, None),
    (24, None),
    (50, None),
    (64, None),
    (70, None),
    (82, None),
    (90, None),
    (91, None),
    (112, None),
    (203, None),
    (211, None),
    (215, None),
    (216, None),
    (249, None),
    (279, None),
    (301, None),
    (319, None),
    (355, None),
    (358, None),
    (402, None),
    (406, None),
    (407, None),
    (412, None),
    (450, None),
    (453, None),
    (462, None),
    (8000, "you are over your space quota, using 513 MB of 512 MB"),
    (8000, "user is not allowed to do action [insert] on [home.readings]"),
    (10107, None),
    (12501, "quota exceeded"),
    (14031, None),
    (16500, "Error=16500, RetryAfterMs=8, TooManyRequests (429)"),
    (46841, None),
    (91331, None),
    (10045600, None),
    (4711, "nobody knows this one"),
]
OF_DOCUMENTS = [
    (121, "Document failed validation"),
    (10334, None),
    (16755, "Can't extract geo keys"),
    (17280, None),
]  # a broken validator, index or limit refuses all alike


def refusal(level, code, words):
    words = words or f"refused with {code}"
    if level == "command":
        return {"type": "error", "code": code, "errmsg": words}
    return {"type": "reply", "write_errors": [{"index": index, "code": code, "errmsg": words} for index in range(1000)]}


def codes(level):
    return CODES + (OF_DOCUMENTS if level == "document" else [])


def refuse(server, level, code, words):
    """From now on."""
    server.script.replace({"match": INSERT, "times": -1, "action": refusal(level, code, words)})
    return time.monotonic()


def wait_refused(server, since, code):
    """Until that was answered to some inserts."""
    wait_until(
        lambda: (
            sum(event["command"] == "insert" for event in server.log.since(0, "reply") if event["mono"] > since)
            >= REFUSALS
        ),
        f"{REFUSALS} refusals with {code}",
    )
    if LONG:
        time.sleep(5)


def numbered(first):
    return [(json.dumps({"n": n}).encode(), {"idempotency_key": f"n:{n}"}) for n in range(first, first + MESSAGES)]


def assert_said(feed, times):
    log = feed.daemon.log
    wait_until(lambda: len(log.events("SINK_UP")) >= times, f"SINK_UP x{times} (log: {log.lines[-15:]})")
    assert (len(log.events("SINK_DOWN")), len(log.events("SINK_UP"))) == (times, times), "\n".join(log.lines[-40:])
    assert not log.events("READING_REJECTED") and not feed.rejected()


@pytest.mark.slow
@pytest.mark.parametrize("level", ["command", "document"])
def test_each_code_is_an_outage(make_feed, wire_mongo, level):
    feed = make_feed(wire_mongo, env=QUICK)
    feed.daemon.start()
    for turn, (code, words) in enumerate(codes(level)):
        since = refuse(wire_mongo, level, code, words)
        ids = set(feed.publish(*numbered(turn * MESSAGES)))
        wait_refused(wire_mongo, since, code)
        feed.daemon.log.wait("SINK_DOWN", turn + 1)  # not before the halves of the batch were tried, too
        assert not feed.acknowledged() & ids and not feed.rejected(), code
        wire_mongo.script.clear()
        feed.wait_documents((turn + 1) * MESSAGES)
        feed.wait_empty()
        assert_said(feed, turn + 1)
    assert max(feed.deliveries(message) for message in feed.acknowledged()) <= 2


def test_no_code_of_one_message_holds_up_others(make_feed, wire_mongo):
    """P6: each code there is, for one message among others: those are stored, and those that come later, and nothing is
    held against it but by codes about it."""
    feed = make_feed(wire_mongo, env=QUICK, section={"pulls": 1})
    feed.daemon.start()
    odd, good = set(), set()
    for turn, (code, words) in enumerate(CODES):
        wire_mongo.script.replace(
            {
                "match": INSERT,
                "times": -1,
                "action": {"type": "reply", "odd": {"code": code, **({"errmsg": words} if words else {})}},
            }
        )
        messages = numbered(turn * MESSAGES)
        messages[turn % MESSAGES] = (b'{"odd":%d}' % code, messages[turn % MESSAGES][1])
        ids = feed.publish(*messages)
        odd.add(ids[turn % MESSAGES])
        good |= set(ids) - odd
        wait_until(
            lambda: good <= feed.acknowledged(), f"what stands beside {code} (log: {feed.daemon.log.lines[-15:]})"
        )
    assert not feed.acknowledged() & odd and not feed.rejected() and feed.backlog() == len(odd)
    assert not feed.daemon.log.events("SINK_DOWN")
    wire_mongo.script.clear()
    feed.wait_empty()
    assert not feed.rejected() and len(feed.documents()) == len(CODES) * MESSAGES


@pytest.mark.parametrize("level", ["command", "document"])
def test_no_code_wears_a_message_out(make_feed, wire_mongo, level):
    """With a limit of five attempts, one code after another, without a pause between them."""
    feed = make_feed(wire_mongo, env=QUICK)
    set_dead_letter_policy(feed)
    feed.publish((b'{"first":1}', {}))
    feed.daemon.start()
    feed.wait_empty()
    wire_mongo.script.add({"match": INSERT, "times": -1, "action": refusal(level, *codes(level)[0])})
    ids = feed.publish(*numbered(0), *numbered(MESSAGES))
    feed.daemon.log.wait("SINK_DOWN")
    for code, words in codes(level):
        wait_refused(wire_mongo, refuse(wire_mongo, level, code, words), code)
    assert not feed.acknowledged() & set(ids) and not feed.rejected()
    wire_mongo.script.clear()
    feed.wait_documents(1 + 2 * MESSAGES)
    feed.wait_empty()
    assert_said(feed, 1)
    assert not feed.events("dead_letter") and feed.backlog(DEAD) == 0
    assert max(feed.deliveries(message) for message in ids) <= 2 and feed.backlog(SUBSCRIPTION) == 0
