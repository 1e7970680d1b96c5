"""Every remote end fails in every way, at the start, in the middle and at the stop: said once, no storm of requests,
memory bounded, and when it is back everything goes on by itself, in time, and every reading is stored once (P5, P7,
P8).

SENSORQD_LONG=1 runs the whole matrix.
"""

import contextlib
import os
import re
import time

import pytest
from harness import PATIENCE, wait_until
from outage import BACKOFF_MAX, FAULTS, INTERVAL, LEASE, PULLS, REMOTES, House, Window, possible, secure_server
from services.connects import Connects

LONG = bool(os.environ.get("SENSORQD_LONG"))
MIB = 1024 * 1024
MEMORY = (512 if os.environ.get("SENSORQD_SANITIZED") else 24) * MIB
PHASES = ("start", "middle", "stop")
SLACK = PATIENCE / 10  # seconds that a loaded machine may add
STOP = 15  # seconds: P8
WINDOW = 8  # seconds in which requests are counted
SEEN = 2  # seconds after which a MongoDB that its driver sees is written to
HEARTBEAT, SELECTION = 5, 5  # seconds between looks of the driver, and until it gives up one

STATUS = {
    "source": "home failing since",
    "token": "no access token since",
    "pubsub": "(publishing|subscription) (failing|missing)",
    "mongodb": "MongoDB (down since|not reached yet)",
}
ENDS = {
    "SOURCE_FAILING": "SOURCE_RECOVERED",
    "TOKEN_REFUSED": "TOKEN_RECOVERED",
    "PUBLISH_FAILING": "PUBLISH_RECOVERED",
    "SUBSCRIPTION_FAILING": "SUBSCRIPTION_RECOVERED",
    "SINK_DOWN": "SINK_UP",
}
# What must be said of a remote that fails, and what may be said as well. Whoever cannot work for want of a token does
# not say so: the token has.
SAID = {
    "source": ["SOURCE_FAILING"],
    "token": ["TOKEN_REFUSED"],
    "pubsub": ["PUBLISH_FAILING", "SUBSCRIPTION_FAILING"],
    "mongodb": ["SINK_DOWN"],
}
ALSO = {"pubsub": ["PUBLISH_FAILING"]}
HTTP_STATUS = {
    ("source", "credentials"): "401",
    ("source", "4xx"): "404",
    ("source", "5xx"): "503",
    ("source", "garbage"): "200",
    ("pubsub", "credentials"): "403",
    ("pubsub", "4xx"): "404",
    ("pubsub", "5xx"): "503",
    ("pubsub", "garbage"): "200",
}
# Seconds until a fault without an answer is noticed: the time limit of the request.
NOTICED = {("source", "silent"): 30, ("token", "silent"): 60, ("pubsub", "silent"): 60, ("mongodb", "silent"): 15}
REFUSALS = [("source", "credentials"), ("source", "4xx")]  # the next poll waits for a user, not for the interval

# The rest is left to --long: tests/sim meets refusals, 5xx, garbage and slow answers of source, token and Pub/Sub
# thousands of times in each run.
CHOSEN = """source refused middle, source tls start, source 5xx stop, source garbage middle,
    token credentials middle, token tls middle,
    pubsub refused middle, pubsub tls start, pubsub credentials middle, pubsub 4xx start, pubsub silent stop,
    mongodb refused start, mongodb silent stop, mongodb 5xx middle, mongodb credentials start,
    mongodb garbage start, mongodb tls start, mongodb slow middle, mongodb refused stop"""


def cases():
    chosen = {tuple(case.split()) for case in CHOSEN.split(",")}
    every = [(r, f, p) for r in REMOTES for f in FAULTS for p in PHASES if possible(r, f)]
    return every if LONG else [case for case in every if case in chosen]


@pytest.fixture(scope="session")
def connects():
    """None where they may not be counted."""
    with contextlib.ExitStack() as stack:
        try:
            counter = stack.enter_context(contextlib.closing(Connects()))
        except PermissionError:
            counter = None
        yield counter


@pytest.fixture(scope="session")
def secure(certificates):
    with secure_server(certificates) as server:
        yield server


@pytest.fixture
def house(request, tmp_path, certificates, sensorqd, connects):
    remote, fault = (request.node.callspec.params[name] for name in ("remote", "fault"))
    if fault == "refused" and connects is None:
        pytest.skip("not possible here: counting refused connections needs CAP_NET_RAW")
    secure = request.getfixturevalue("secure") if remote == "mongodb" and fault in ("tls", "credentials") else None
    with contextlib.ExitStack() as stack:
        made = House(tmp_path, certificates, sensorqd, stack, connects, secure)
        yield made
        made.mend()
        made.daemon.close()  # before what it talks to
        (tmp_path / "log").write_text("\n".join(made.daemon.log.lines))


def said(remote, fault, phase):
    """What must be logged. Nothing is published until the subscription is known to be there or may not be looked at,
    nor while it is missing."""
    if remote == "pubsub" and (fault == "4xx" or phase == "start" and fault != "credentials"):
        return ["SUBSCRIPTION_FAILING"]
    return SAID[remote]


def assert_said(house, remote, fault, phase):
    """The outage is in the log, and in STATUS=."""
    for begins in said(remote, fault, phase):
        entry = house.daemon.log.wait(begins, patience=NOTICED.get((remote, fault), 0) + 30)
        assert entry.level in ("warning", "error") and entry.fields.get("SENSORQD_ERROR")
        assert entry.fields.get("SENSORQD_HTTP_STATUS") == HTTP_STATUS.get((remote, fault)), entry
        if remote == "mongodb":
            assert entry.fields["SENSORQD_REASON"] == {"credentials": "login", "5xx": "busy"}.get(fault, "unreachable")
    wait_until(
        lambda: re.search(STATUS[remote], house.daemon.notify.status),
        f"STATUS= of {remote} (last: {house.daemon.notify.status})",
    )


def assert_no_storm(house, remote, fault, window):
    """Few requests while it fails: at the services, and connects as the kernel saw them, refused ones too. Of one
    stage, 60 a minute and some more at the start: with a cap of BACKOFF_MAX it tries every 1.65 s in the mean."""
    tries = 4 + window.seconds
    flow = 4 + 2 * window.seconds / INTERVAL  # each poll is one publish, one or two pulls, one acknowledgement
    polls = 2 + window.seconds / (BACKOFF_MAX if (remote, fault) in REFUSALS else INTERVAL)
    stages = tries if remote in ("token", "pubsub") else flow
    bounds = {
        "poll": polls,
        "token": tries,
        "publish": stages,
        "pull": stages,
        "acknowledge": stages,
        "modifyAckDeadline": stages,
        "get": tries,
    }
    if remote == "mongodb":
        bounds.update(pull=0, acknowledge=0, modifyAckDeadline=tries)
    assert all(count <= bounds[subject] for subject, count in window.requests.items()), f"{window}, allowed: {bounds}"
    assert sum(window.commands[name] for name in ("insert", "ping", "find")) <= (
        tries if remote == "mongodb" else flow
    ), f"{window}"
    # A monitor of MongoDB's driver looks every 0.5 s while somebody waits for the server.
    connects = {"source": polls, "token": tries, "pubsub": 3 * tries, "mongodb": tries + 2 * window.seconds}
    assert all(count <= connects[name] for name, count in window.connects.items()), f"{window}, allowed: {connects}"


def assert_queue_is_left_alone(house, since):
    """MongoDB was down from that instant until now: nothing was pulled, acknowledged or given back (P5)."""
    requests = house.requests(since, time.monotonic())
    assert requests["pull"] == requests["acknowledge"] == 0, requests
    assert not house.messages("ack", since=since) and not house.nacks()
    assert max(house.messages("modack", since=since).values(), default=0) <= 2 + (time.monotonic() - since) / (
        LEASE / 2
    )


def recovery(remote, fault, phase):
    """Seconds that it may take, beside the second of its own and what the machine adds."""
    if remote == "mongodb":
        if fault == "credentials":
            return BACKOFF_MAX
        return SEEN + HEARTBEAT + (SELECTION if fault == "silent" else 0)
    if remote == "source":
        pause = BACKOFF_MAX if (remote, fault) in REFUSALS else INTERVAL
    else:
        pause = BACKOFF_MAX
    return pause + (NOTICED[remote, fault] if (fault, phase) == ("silent", "middle") else 0)


def most(begins, remote, fault, phase):
    """How often that may be said in one outage. Twice where a request that was out before it says something else later:
    a pull that a token was spent on ends well while there is no other token, or one fails on a dead connection when all
    is well again."""
    if begins in said(remote, fault, phase):
        return 2 if (fault, phase) == ("silent", "middle") else 1
    return 2 if begins in ALSO.get(remote, []) else 0


def assert_recovers(house, remote, fault, phase):
    """What was said to fail is said to be well again, in time; as often as it was said, and nothing else was."""
    log = house.daemon.log
    house.mend(revive=phase == "start")
    back, mended, limit = time.time(), time.monotonic(), recovery(remote, fault, phase) + 1 + SLACK
    for begins in said(remote, fault, phase):
        took = log.wait(ENDS[begins], patience=limit + 5).time - back
        assert took <= limit, f"{ENDS[begins]} {took:.1f} s after {remote} was back, {limit} s are allowed"
    if remote == "mongodb" and fault != "silent":
        seen = house.mongodb.first_hello(mended)
        seconds = log.events("SINK_UP")[0].time - back - (seen - mended if seen else 0)
        assert seconds <= SEEN + SLACK or seen is None, f"SINK_UP {seconds:.1f} s after the driver saw MongoDB"
    for begins in ALSO.get(remote, []):
        for count in range(1, len(log.events(begins)) + 1):
            assert log.wait(ENDS[begins], count, patience=limit + BACKOFF_MAX).time - back <= limit + BACKOFF_MAX
    for begins, ends in ENDS.items():
        assert len(log.events(begins)) == len(log.events(ends)) <= most(begins, remote, fault, phase), (
            f"{log.events(begins)}, {log.events(ends)}"
        )
    wait_until(
        lambda: not re.search(STATUS[remote], house.daemon.notify.status),
        f"STATUS= without {remote} (last: {house.daemon.notify.status})",
    )


def assert_messages_are_not_juggled(house):
    """Over the whole run: few deliveries of each message, an acknowledgement for each (one more where its answer was
    lost), given back only at a stop: once, and once more by each pull that was open and was handed it again."""
    deliveries, nacks = house.messages("deliver"), house.nacks()
    acknowledgements = house.messages("ack") + house.messages("ack_ignored")
    assert max(nacks.values(), default=0) <= house.stops * (1 + PULLS), nacks.most_common(3)
    assert max(deliveries.values()) <= 2 + 2 * house.stops, deliveries.most_common(3)
    assert all(count <= deliveries[message] + 1 for message, count in acknowledgements.items()), (
        acknowledgements.most_common(3)
    )


def assert_all_stored(house, remote):
    """Each reading that the daemon fetched is one document."""
    house.quiet()
    served = {
        (entry["device"], entry["poll"]): entry
        for entry in house.remo.served()
        if entry["complete"] and entry["device"]
    }
    if remote != "source":  # what a broken line to the source swallowed was never fetched
        wait_until(
            lambda: len(house.mongodb.documents()) >= len(served),
            f"{len(served)} documents (log: {house.daemon.log.lines[-40:]})",
            90,
        )
        assert len(house.mongodb.documents()) == len(served)
    readings = [document["pubsub"]["attributes"]["idempotency_key"] for document in house.mongodb.documents()]
    assert len(readings) == len(set(readings)) and 0 < len(readings) <= len(served)
    wait_until(
        lambda: "0 readings queued" in house.daemon.notify.status,
        f"an empty outbox (last: {house.daemon.notify.status})",
        60,
    )
    assert house.daemon.memory() < MEMORY
    assert_messages_are_not_juggled(house)
    assert house.stop() == 0


def stop_while_it_fails(house, remote, fault):
    """With readings in the outbox, messages held and requests under way."""
    if remote == "source":
        house.quiet()
        house.break_(remote, fault)
    else:
        house.break_(remote, fault)
        polls = house.remo.polls()
        wait_until(lambda: house.remo.polls() > polls, "a poll")
        house.quiet()
    began = time.monotonic()
    assert house.stop() == 0
    assert time.monotonic() - began <= STOP + SLACK
    assert house.daemon.log.events("STOPPED")


@pytest.mark.slow
@pytest.mark.parametrize("remote, fault, phase", cases())
def test_outage(house, remote, fault, phase):
    daemon = house.daemon
    if phase == "start":
        house.break_(remote, fault)
    began = time.monotonic()
    daemon.start()
    if phase != "start":
        wait_until(lambda: len(house.mongodb.documents()) >= 6, f"two polls stored (log: {daemon.log.lines[-15:]})")
    if phase == "stop":
        stop_while_it_fails(house, remote, fault)
        stored = len(house.mongodb.documents())
        house.mend()
        house.remo.scenario = "default"
        daemon.start()
        wait_until(
            lambda: len(house.mongodb.documents()) >= stored + 3,
            f"more readings after the start (log: {daemon.log.lines[-15:]})",
            60,
        )
    elif fault == "slow":
        if phase == "middle":
            house.break_(remote, fault)
        before = len(house.mongodb.documents())
        wait_until(
            lambda: len(house.mongodb.documents()) >= before + 6,
            f"readings over a slow line (log: {daemon.log.lines[-15:]})",
            60,
        )
        assert not [begins for begins in ENDS if daemon.log.events(begins)]
        house.mend()
    else:
        if phase == "middle":
            house.break_(remote, fault)
        assert_said(house, remote, fault, phase)
        began = began if phase == "start" else time.monotonic()
        assert_no_storm(house, remote, fault, Window(house, WINDOW))
        if remote == "mongodb":
            assert_queue_is_left_alone(house, began)
        assert daemon.memory() < MEMORY
        assert_recovers(house, remote, fault, phase)
    assert_all_stored(house, remote)
