"""One bad reading, message or document never blocks or loses its neighbours (P6), and is acknowledged only when it is
kept apart (P3): from the queue to both collections."""

import contextlib
import datetime
import gzip
import hashlib
import json
import os
import sqlite3
import threading

import pytest
from bson import Int64
from feed import SUBSCRIPTION, Feed
from harness import Sensorqd, wait_until
from services import pubsub_api
from services.nature_remo import generate
from services.wire_mongo import WireMongo
from test_leases import set_dead_letter_policy

MIB = 1024 * 1024
LARGEST = 10 * 1000 * 1000  # of a message's data, by the service's limits


def fill(head, piece, tail, size=LARGEST):
    """head, piece piece piece ..., tail: together at most `size` bytes."""
    return head + piece * ((size - len(head) - len(tail)) // len(piece)) + tail


def many_keys(size=LARGEST):
    return b"{" + b",".join(b'"%x":0' % n for n in range(size // 10)) + b"}"


BAD = {
    "not_utf8": [b'{"a":"\xff"}', b'{"\xc0\x80":1}', b'{"a":"\xed\xa0\x80"}'],
    "not_json": [
        b"\0",
        b"{",
        b'{"a":NaN}',
        b'{"a":01}',
        b"{'a':1}",
        b'{"a":1}x',
        b'{"a":1,}',
        b"\x1f\x8b\x08 is not gzip",
    ],
    "not_object": [b"[1]", b'"text"', b"1", b"null"],
    "too_deep": [b'{"a":' * 91 + b"1" + b"}" * 91, b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}"],
    "too_large": [fill(b'{"a":[0', b",0", b"]}", 4 * MIB)],
    "duplicate_key": [b'{"a":1,"a":2}', b'{"a.b":1,"a_b":2}', b'{"_id":1,"_id_":2}', b'{"x":{"$a":1,"_a":2}}'],
    "number_range": [b'{"a":1e999}', b'{"a":9223372036854775808}', b'{"a":-9223372036854775809}'],
}


@pytest.fixture(scope="module")
def common(shared_mongodb, tmp_path_factory):
    """One feed for the tests that only add messages to it."""
    directory = tmp_path_factory.mktemp("poison")
    feed = Feed(lambda config, secrets, name, env: Sensorqd(directory / name, config, secrets, env=env), shared_mongodb)
    feed.daemon.start()
    yield feed
    feed.close()


def settled(feed, ids, patience=None):
    """Waits until these messages are acknowledged."""
    wait_until(
        lambda: set(ids) <= feed.acknowledged(),
        f"{len(ids)} acknowledgements (log: {feed.daemon.log.lines[-20:]})",
        patience,
    )


def stored(feed, message_id):
    return feed.documents()[f"{SUBSCRIPTION}:{message_id}"]


@pytest.mark.parametrize("reason, number", [(reason, n) for reason, bodies in BAD.items() for n in range(len(bodies))])
def test_bad_data_is_set_apart(common, reason, number):
    """P3, P6: byte by byte, with the reason; its neighbours on both sides are stored."""
    data = BAD[reason][number]
    first, bad, last = common.publish(
        b'{"n":1}', (data, {"idempotency_key": f"{reason}:{number}", "k": "v"}), b'{"n":2}'
    )
    settled(common, [first, bad, last])
    kept = common.rejected()[bad]
    assert kept["reason"] == reason and bytes(kept["data"]) == data and kept["detail"]
    assert kept["pubsub"]["message_id"] == bad and kept["pubsub"]["attributes"] == {
        "idempotency_key": f"{reason}:{number}",
        "k": "v",
    }
    assert isinstance(kept["rejected_at"], datetime.datetime)
    assert stored(common, first)["n"] == 1.0 and stored(common, last)["n"] == 2.0
    assert f"{reason}:{number}" not in common.documents()
    # the first of a reason has a line of its own
    entry = common.daemon.log.wait("READING_REJECTED", where=lambda e: e.fields.get("SENSORQD_REASON") == reason)
    assert entry.fields["SENSORQD_MESSAGE_ID"] in common.rejected() and entry.fields["SENSORQD_KEY"].startswith(
        f"{reason}:"
    )
    assert entry.fields["SENSORQD_COLLECTION"] == f"{common.database}.readings_rejected"


@pytest.mark.parametrize(
    "text, expected",
    [
        (b'{"a":1,"b":-0.0,"c":1e-7}', {"a": 1.0, "b": -0.0, "c": 1e-7}),
        (
            b'{"a":9007199254740992,"b":9007199254740993,"c":-9223372036854775808}',
            {"a": 9007199254740992.0, "b": Int64(9007199254740993), "c": Int64(-9223372036854775808)},
        ),
        (b'{"_id":1,"pubsub":2,"stored_at":3}', {"_id_": 1.0, "pubsub_": 2.0, "stored_at_": 3.0}),
        (b'{"$a":1,"b.c":{"":{"d\\u0000":2}}}', {"_a": 1.0, "b_c": {"_": {"d_": 2.0}}}),
        (
            b'{"x":{"$date":"2024-01-02T03:04:05Z"},"created_at":"2024-01-02T03:04:05+09:00"}',
            {"x": {"_date": "2024-01-02T03:04:05Z"}, "created_at": datetime.datetime(2024, 1, 1, 18, 4, 5)},
        ),
        (b'{"created_at":"yesterday","updated_at":null}', {"created_at": "yesterday", "updated_at": None}),
        (b'{"a":' * 89 + b"[]" + b"}" * 89, None),
        (b"{}", {}),
        (b' \r\n{"a":"\\ud83c\\udf21"}\t', {"a": "🌡"}),
        (b'\xef\xbb\xbf{"te":21.5}\r\n', {"te": 21.5}),
        (b'{"te":21.5}\0', {"te": 21.5}),
        (gzip.compress(b'{"te":21.5}'), {"te": 21.5}),
        (b"", {}),
        (b'{"created_at":"0000-01-01T00:00:00Z","te":1}', {"created_at": "0000-01-01T00:00:00Z", "te": 1.0}),
        (b'{"created_at":"9999-12-31T23:59:59-01:00","te":1}', {"created_at": "9999-12-31T23:59:59-01:00", "te": 1.0}),
        (b'{"v":12345678901234567.89}', {"v": 12345678901234567.89}),
    ],
    ids=[
        "doubles",
        "integers",
        "own-names",
        "keys",
        "dates",
        "no-dates",
        "deep",
        "empty",
        "white-space",
        "mark",
        "nul",
        "gzip",
        "attributes",
        "year-0",
        "year-10000",
        "decimal",
    ],
)
def test_odd_data_is_stored(common, text, expected):
    """P6: what is strange but allowed keeps its meaning."""
    [message] = common.publish((text, {"a.b": "1", "$c": "2"}))
    settled(common, [message])
    document = dict(stored(common, message))
    assert message not in common.rejected()
    assert document["pubsub"]["attributes"] == {"a_b": "1", "_c": "2"}
    hashed = b'{"$c":"2","a.b":"1"}' if text == b"" else gzip.decompress(text) if text[:2] == b"\x1f\x8b" else text
    assert document["pubsub"]["sha256"] == hashlib.sha256(hashed).hexdigest()
    for own in ("_id", "pubsub", "stored_at"):
        del document[own]
    if expected is not None:
        assert document == expected
        assert {name: type(value) for name, value in document.items()} == {
            name: type(value) for name, value in expected.items()
        }


@pytest.mark.main
def test_a_thousand_with_bad_ones_at_many_positions(make_feed, shared_mongodb):
    """P3, P6: each bad one is set apart, each of the others is stored once, all are acknowledged; the first of each
    reason is said, the rest is counted."""
    feed = make_feed(shared_mongodb)
    set_dead_letter_policy(feed)
    kinds = [
        (reason, data)
        for reason, bodies in BAD.items()
        for data in bodies
        if reason != "too_large" and len(data) < 10000
    ]
    bad = sorted({0, 1, 2, 498, 499, 500, 501, 998, 999, *range(13, 1000, 37), *range(600, 640)})
    messages = [b'{"n":%d}' % n for n in range(1000)]
    expected = {}
    for turn, position in enumerate(bad):
        expected[position], messages[position] = kinds[turn % len(kinds)]
    ids = feed.publish(*messages)
    feed.daemon.start()
    feed.wait_empty()
    rejected, documents = feed.rejected(), feed.documents()
    assert {ids.index(message): document["reason"] for message, document in rejected.items()} == expected
    assert sorted(document["n"] for document in documents.values()) == [n for n in range(1000) if n not in expected]
    assert feed.acknowledged() == set(ids)
    lines = [entry.fields for entry in feed.daemon.log.events("READING_REJECTED")]
    first = [fields for fields in lines if "SENSORQD_MESSAGE_ID" in fields]
    assert sorted(fields["SENSORQD_REASON"] for fields in first) == sorted({reason for reason, _ in kinds})
    assert all(int(fields["SENSORQD_ATTEMPT"]) >= 1 for fields in first) and len(lines) == len(first) + 1


def test_what_mongodb_refuses_for_good(make_feed, shared_mongodb):
    """P3, P6: a validator (121) and another unique index (11000, but not on _id) refuse single documents."""
    feed = make_feed(shared_mongodb)
    collection = feed.collection()
    collection.database.create_collection(
        "readings", validator={"$jsonSchema": {"properties": {"val": {"bsonType": "double"}}}}
    )
    collection.create_index("serial", unique=True)
    ids = feed.publish(
        *[json.dumps({"serial": n, "val": n}).encode() for n in range(50)],
        b'{"serial":50,"val":"text"}',
        b'{"serial":7,"val":1}',
        b'{"serial":51,"val":51}',
    )
    feed.daemon.start()
    feed.wait_empty()
    rejected = feed.rejected()
    assert set(rejected) == {ids[50], ids[51]}
    assert {document["reason"] for document in rejected.values()} == {"refused"}
    assert "121" in rejected[ids[50]]["detail"] and "serial" in rejected[ids[51]]["detail"]
    assert sorted(document["serial"] for document in feed.documents().values()) == [*range(50), 51]
    assert not feed.daemon.log.events("SINK_DOWN")


def test_same_id_same_payload_is_one_document(make_feed, shared_mongodb):
    """P4: also within one batch, also when numbers and white space are written otherwise; the first stays as it is."""
    feed = make_feed(shared_mongodb)
    key = {"idempotency_key": "a:1"}
    feed.publish((b'{"val":1,"b":[1,2]}', key), (b'{"val":1,"b":[1,2]}', {**key, "more": "x"}))
    feed.daemon.start()
    feed.wait_empty()
    before = feed.documents()
    feed.publish((b'{"val":1,"b":[1,2]}', key))
    feed.wait_empty()
    assert feed.documents() == before and list(before) == ["a:1"] and not feed.rejected()


def test_same_id_with_another_payload_is_set_apart(make_feed, shared_mongodb):
    """P3, P6: whoever comes second is kept apart as id_conflict, and both are there; the same values written otherwise
    are another payload."""
    feed = make_feed(shared_mongodb)
    key = {"idempotency_key": "a:1"}
    first, second = feed.publish((b'{"val":1}', key), (b'{"val":2}', key))
    feed.daemon.start()
    feed.wait_empty()
    [third, fourth, last] = feed.publish((b'{"val":1,"more":0}', key), (b'{"val":1.0}', key), b'{"val":3}')
    feed.wait_empty()
    assert feed.documents()["a:1"]["val"] == 1.0
    rejected = feed.rejected()
    assert set(rejected) == {second, third, fourth} and {document["reason"] for document in rejected.values()} == {
        "id_conflict"
    }
    assert stored(feed, last)["val"] == 3.0


def test_duplicates_are_read_from_the_primary(make_feed, wire_mongo):
    """P3: a secondary may not have yet, or have no longer, what a duplicate is compared with."""
    feed = make_feed(wire_mongo, uri=f"{wire_mongo.uri}?replicaSet=scripted")
    key = {"idempotency_key": "a:1"}
    feed.publish((b'{"val":1}', key), (b'{"val":1}', key), b"{", b'{"val":2}')
    feed.daemon.start()
    feed.wait_empty()
    finds = [event for event in wire_mongo.log.since(0, "command") if event["command"] == "find"]
    assert finds and {event["read"] for event in finds} == {"primary"}


# The publishing side


def rows(stack, table):
    with contextlib.closing(
        sqlite3.connect(f"file:{stack.daemon.state / 'outbox.sqlite'}?mode=ro", uri=True, timeout=10)
    ) as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_reading_that_pubsub_refuses(make_stack, own_queue, pubsub, shared_mongodb, remo):
    """P6: 400 for one of fourteen devices: it ends in the rejected table, its neighbours are published at once."""
    remo.scenario = "edge"
    own_queue.create()
    stack = make_stack(own_queue, shared_mongodb, remo)
    accept, unwanted = pubsub.api.publish, []

    def picky(name, body):
        messages = json.loads(body)["messages"]
        unwanted[:] = unwanted or [messages[4]["attributes"]["device"]]
        if any(message["attributes"]["device"] == unwanted[0] for message in messages):
            raise pubsub_api.ApiError(400, "One of the messages is not to this service's taste.")
        return accept(name, body)

    pubsub.api.publish = picky
    stack.daemon.start()
    wait_until(lambda: rows(stack, "rejected") >= 2, "two rejected readings")
    stack.quiet()
    served = [entry for entry in remo.served() if entry["device"]]
    wait_until(
        lambda: stack.count() + rows(stack, "rejected") == len(served) and rows(stack, "readings") == 0,
        "every reading at one place",
    )
    refused = [entry for entry in served if entry["device"] == unwanted[0]]
    assert rows(stack, "rejected") == len(refused) and rows(stack, "readings") == 0
    assert not stack.readings(query={"id": unwanted[0]}) and served
    entry = stack.daemon.log.events("READING_REJECTED")[0]
    assert entry.fields["SENSORQD_REASON"] == "invalid_argument" and unwanted[0] in entry.fields["SENSORQD_KEY"]


def test_once_passes_what_is_refused_at_the_head(make_stack, own_queue, pubsub, shared_mongodb, remo):
    """P6: `once` knows nothing of the topic when it begins. The first thirty of forty devices are refused, each time;
    the others are published, and those end in the rejected table."""
    remo.devices = generate(40)
    own_queue.create()
    pubsub.pull_hang = 1
    stack = make_stack(own_queue, shared_mongodb, remo)
    accept, unwanted = pubsub.api.publish, []

    def picky(name, body):
        devices = [message["attributes"]["device"] for message in json.loads(body)["messages"]]
        unwanted[:] = unwanted or devices[:30]
        if not set(unwanted).isdisjoint(devices):
            raise pubsub_api.ApiError(400, "One of the messages is not to this service's taste.")
        return accept(name, body)

    pubsub.api.publish = picky
    assert stack.daemon.run("once").returncode == 0
    assert rows(stack, "rejected") == 30 and rows(stack, "readings") == 0
    assert stack.count() == 10 and not stack.readings(query={"id": {"$in": unwanted}})


def test_topic_that_refuses_everything(make_stack, own_queue, pubsub, shared_mongodb, remo):
    """P6, P7: 400 for every message is the topic's fault: no reading is rejected, and few requests are made; all go
    when the topic is right."""
    remo.devices = generate(40)
    own_queue.create()
    pubsub.pull_hang = 1  # what hangs at the stop takes nothing with it for long
    stack = make_stack(own_queue, shared_mongodb, remo)
    pubsub.faults.add(
        {
            "match": ":publish",
            "times": -1,
            "action": {"type": "status", "status": 400, "message": "Invalid [topics] name"},
        }
    )
    stack.daemon.start()
    stack.daemon.log.wait("PUBLISH_FAILING")
    wait_until(lambda: rows(stack, "readings") >= 120, "three polls in the outbox")
    attempts = len([event for event in pubsub.log.since(0, "http") if ":publish" in event["target"]])
    assert rows(stack, "rejected") == 0 and attempts < 40 and len(stack.daemon.log.events("PUBLISH_FAILING")) == 1
    stack.daemon.notify.wait("^STATUS=.*publishing failing")
    stack.quiet()
    assert stack.daemon.stop() == 0
    wait_until(lambda: pubsub.store.waiting == 0, "the end of its last pull")
    pubsub.faults.clear()
    stack.daemon.start()
    stack.wait_count(len(remo.served()))
    assert rows(stack, "rejected") == 0 and not stack.daemon.log.events("READING_REJECTED")


# Size and memory


PEAK_MAX = (512 if os.environ.get("SENSORQD_SANITIZED") else 96) * MIB


class Peak:
    """The largest RssAnon of a daemon while the block runs."""

    def __init__(self, daemon):
        self.daemon, self.bytes, self._end = daemon, 0, threading.Event()
        self.before = daemon.memory()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self._end.wait(0.004):
            self.bytes = max(self.bytes, self.daemon.memory())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()


EXPENSIVE = {
    "zeros": (fill(b'{"a":[0', b",0", b"]}"), "too_large"),
    "empty-objects": (fill(b'{"a":[{}', b",{}", b"]}"), "too_large"),
    "empty-arrays": (fill(b'{"a":[[]', b",[]", b"]}"), "too_large"),
    "bare-zeros": (fill(b"[0", b",0", b"]"), "not_object"),
    "deep-arrays": (b'{"a":' + b"[" * 4999990 + b"]" * 4999990 + b"}", "too_deep"),
    "deep-again-and-again": (fill(b'{"a":[0', b"," + b"[" * 88 + b"]" * 88, b"]}"), "too_large"),
    "a-million-keys": (many_keys(), None),
    "one-object-each": (fill(b'{"a":[0', b',{"a":0}', b"]}"), "too_large"),
    "one-string": (fill(b'{"a":"', b"x", b'"}'), None),
    "escapes": (fill(b'{"a":"', b"\\u0001", b'"}'), None),
    "long-key": (fill(b'{"', b"k", b'":1}'), None),
    "zero-bytes": (b"\0" * LARGEST, "not_json"),
    "one-number": (fill(b'{"a":', b"1", b"}"), "number_range"),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """One feed for large messages, into a server in this process: SecantusDB needs seconds for such a document."""
    directory = tmp_path_factory.mktemp("large")
    with WireMongo() as server:
        feed = Feed(lambda config, secrets, name, env: Sensorqd(directory / name, config, secrets, env=env), server)
        feed.daemon.start()
        yield feed
        feed.close()


@pytest.mark.parametrize("name", EXPENSIVE)
def test_memory_for_the_most_expensive_payload(large, name):
    """P5, P6: 10 MB of what is dearest to parse is stored or set apart, its neighbour is stored, and memory stays
    within the caps."""
    data, reason = EXPENSIVE[name]
    assert len(data) <= LARGEST
    with Peak(large.daemon) as peak:
        message, neighbour = large.publish(data, b'{"n":1}')
        settled(large, [message, neighbour], patience=120)
    print(
        f"{name}: RssAnon {peak.before / MIB:.0f} MiB before, {peak.bytes / MIB:.0f} MiB at most, {large.daemon.memory() / MIB:.0f} MiB after",
        flush=True,
    )
    if reason:
        assert large.rejected()[message]["reason"] == reason
        assert bytes(large.rejected()[message]["data"]) == data
    else:
        assert stored(large, message)
    assert stored(large, neighbour)["n"] == 1.0
    assert peak.bytes < PEAK_MAX
    large.server.forget()


# What a real MongoDB cannot be made to answer


def test_applied_but_the_reply_is_lost(make_feed, wire_mongo):
    """P3, P4: MongoDB stored the batch and its answer never came, twice: the documents are found, and acknowledged only
    then."""
    feed = make_feed(wire_mongo)
    wire_mongo.script.add({"match": r"^insert .*\.readings$", "times": 3, "action": {"type": "drop_reply"}})
    ids = feed.publish(*[b'{"n":%d}' % n for n in range(30)], b"{")
    feed.daemon.start()
    feed.wait_empty()
    assert len(feed.documents()) == 30 and set(feed.rejected()) == {ids[30]}
    assert len(wire_mongo.log.since(0, "durable")) >= 2
    assert_acknowledged_after_durable(feed)


def assert_acknowledged_after_durable(feed):
    """No acknowledgement before the reply that made it true (P3)."""
    durable = {}
    for event in feed.server.log.since(0, "durable"):
        for identity in event["ids"]:
            durable.setdefault(identity, event["mono"])
    for event in feed.events("ack"):
        for message in event["messages"]:
            assert durable[f"{SUBSCRIPTION}:{message['id']}"] <= event["mono"]


def test_small_write_batches(make_feed, wire_mongo):
    """P6: with maxWriteBatchSize 4 the driver cuts a batch in pieces; the fates still belong to the right messages."""
    wire_mongo.max_write_batch_size = 4
    feed = make_feed(wire_mongo)
    wire_mongo.script.add(
        {
            "match": r"^insert .*\.readings$",
            "times": 1,
            "after": 1,
            "action": {"type": "reply", "write_errors": [{"index": 0, "code": 121}, {"index": 3, "code": 121}]},
        }
    )
    ids = feed.publish(*[b'{"n":%d}' % n for n in range(10)])
    feed.daemon.start()
    feed.wait_empty()
    assert set(feed.rejected()) == {ids[4], ids[7]}
    assert sorted(document["n"] for document in feed.documents().values()) == [0, 1, 2, 3, 5, 6, 8, 9]
    assert_acknowledged_after_durable(feed)


def test_write_errors_of_every_class_in_one_reply(make_feed, wire_mongo):
    """P3, P6: about the document, taken, with codes that say nothing, and without error, side by side."""
    feed = make_feed(wire_mongo)
    key = {"idempotency_key": "a:1"}
    [first] = feed.publish((b'{"val":1}', key))
    feed.daemon.start()
    feed.wait_empty()
    errors = [
        {"index": 1, "code": 121},
        {"index": 2, "code": 2},
        {"index": 3, "code": 10334},
        {"index": 6, "code": 4711},
    ]
    wire_mongo.script.add({"match": r"^insert .*\.readings$", "action": {"type": "reply", "write_errors": errors}})
    ids = feed.publish(
        *[b'{"n":%d}' % n for n in range(7)], (b'{"val":1}', key), (b'{"val":2}', key), b'{"n":9}', b'{"n":10}'
    )
    feed.wait_empty()
    rejected = feed.rejected()
    assert {ids.index(message): document["reason"] for message, document in rejected.items()} == {
        1: "refused",
        3: "refused",
        8: "id_conflict",
    }
    assert sorted(document["n"] for document in feed.documents().values() if "n" in document) == [0, 2, 4, 5, 6, 9, 10]
    assert feed.documents()["a:1"]["val"] == 1.0
    assert feed.acknowledged() == {first, *ids}


def test_unknown_refusals_wait_aside(make_feed, wire_mongo):
    """P6, P11: a code that nobody knows, again and again for the same document: its neighbours do not wait, it is tried
    alone, and nothing is held against it before ten minutes are over (test-sink-judge): when the code is gone it is
    stored."""
    feed = make_feed(wire_mongo)
    wire_mongo.script.add(
        {
            "match": r"^insert .*\.readings$",
            "times": 1,
            "action": {"type": "reply", "write_errors": [{"index": 1, "code": 4711}]},
        },
        {
            "match": r"^insert .*\.readings$",
            "times": 2,
            "action": {"type": "reply", "write_errors": [{"index": 0, "code": 4711}]},
        },
    )
    ids = feed.publish(*[b'{"n":%d}' % n for n in range(3)])
    feed.daemon.start()
    feed.wait_empty()
    settled_at = {message["id"]: event["mono"] for event in feed.events("ack") for message in event["messages"]}
    assert max(settled_at[ids[0]], settled_at[ids[2]]) < settled_at[ids[1]]
    inserts = [
        event
        for event in wire_mongo.log.since(0, "command")
        if event["command"] == "insert" and event["ns"].endswith(".readings")
    ]
    assert [len(event["ids"]) for event in inserts] == [3, 1, 1, 1]
    assert not feed.rejected() and len(feed.documents()) == 3 and feed.deliveries(ids[1]) == 1
    assert not feed.daemon.log.events("SINK_DOWN")


def test_write_errors_with_a_write_concern_error(make_feed, wire_mongo):
    """P3: while majority is not reached nothing of the batch counts as stored, whatever else the reply says; afterwards
    all of it is found."""
    feed = make_feed(wire_mongo)
    key = {"idempotency_key": "a:1"}
    feed.publish((b'{"val":1}', key))
    feed.daemon.start()
    feed.wait_empty()
    seen = len(feed.events("ack"))
    wire_mongo.script.add(
        {
            "match": r"^insert .*\.readings$",
            "times": 2,
            "action": {
                "type": "reply",
                "write_errors": [{"index": 1, "code": 121}, {"index": 2, "code": 112}],
                "write_concern_error": {"code": 64, "errmsg": "waiting for replication timed out"},
            },
        }
    )
    ids = feed.publish(*[b'{"n":%d}' % n for n in range(4)], (b'{"val":1}', key))
    feed.daemon.log.wait("SINK_DOWN")
    assert len(feed.events("ack")) == seen or wire_mongo.script.describe()[0]["fired"] == 2
    feed.daemon.log.wait("SINK_UP")
    feed.wait_empty()
    concerned = [
        event["mono"] for event in wire_mongo.log.since(0, "durable") if f"{SUBSCRIPTION}:{ids[0]}" in event["ids"]
    ]
    assert min(event["mono"] for event in feed.events("ack")[seen:]) >= concerned[0]
    documents, rejected = feed.documents(), feed.rejected()
    assert len(documents) + len(rejected) == 5 and set(rejected) <= {ids[1]}
    assert (
        f"{SUBSCRIPTION}:{ids[0]}" in documents
        and f"{SUBSCRIPTION}:{ids[2]}" in documents
        and f"{SUBSCRIPTION}:{ids[3]}" in documents
    )


@pytest.mark.parametrize(
    "action",
    [
        {"type": "error", "code": 13, "errmsg": "not authorized", "codeName": "Unauthorized"},
        {"type": "reply", "write_errors": [{"index": 0, "code": 121}]},
    ],
    ids=["forbidden", "validator"],
)
def test_rejected_collection_that_cannot_be_written(make_feed, wire_mongo, action):
    """P3, P6: a bad message that cannot be kept apart is held and told of once; what lies beside it is stored and
    acknowledged, and so is what comes later."""
    feed = make_feed(wire_mongo)
    wire_mongo.script.add({"match": r"^insert .*\.readings_rejected$", "times": -1, "action": action})
    ids = feed.publish(b'{"n":0}', b"{", b'{"n":2}')
    feed.daemon.start()
    settled(feed, [ids[0], ids[2]])
    assert feed.daemon.log.wait("APART_FAILING").level == "error"
    [later] = feed.publish(b'{"n":3}')
    settled(feed, [later])
    wait_until(
        lambda: (
            len([event for event in wire_mongo.log.since(0, "command") if event["ns"].endswith("readings_rejected")])
            >= 3
        ),
        "more tries",
    )
    assert ids[1] not in feed.acknowledged() and feed.backlog() == 1 and not feed.rejected()
    assert feed.deliveries(ids[0]) == feed.deliveries(ids[1]) == feed.deliveries(ids[2]) == 1
    assert len(feed.daemon.log.events("APART_FAILING")) == 1
    wire_mongo.script.clear()
    feed.wait_empty()
    feed.daemon.log.wait("APART_RECOVERED")
    assert set(feed.rejected()) == {ids[1]} and len(feed.documents()) == 3
