"""What MongoDB and servers like it answer to an insert, in the words that people reported: the remedy follows the
words, and "something is there" is told by what is there (P3, P4)."""

import pytest

REFUSALS = {
    "over the quota": ("you are over your space quota, using 513 MB of 512 MB", "plan"),
    "rights": ("user is not allowed to do action [insert] on [home.readings]", "grant the user"),
    "login": ("bad auth : Authentication failed.", "password file"),
}
TAKEN = {
    "cosmos": "E11000 duplicate key error collection: home.readings. Failed _id or unique index constraint.",
    "ferretdb": "E11000 duplicate key error collection: home.readings",
    "documentdb": "Duplicate key violation on the requested collection: Index '_id_'",
}


@pytest.mark.parametrize("errmsg, remedy", REFUSALS.values(), ids=REFUSALS)
def test_atlas_says_it_in_words(make_feed, wire_mongo, errmsg, remedy):
    """B8: code 8000 is whatever its words say, and the remedy is the one that fits."""
    feed = make_feed(wire_mongo)
    wire_mongo.script.add(
        {
            "match": r"^insert .*\.readings$",
            "times": -1,
            "action": {"type": "error", "code": 8000, "codeName": "AtlasError", "errmsg": errmsg},
        }
    )
    feed.publish(b'{"n":1}')
    feed.daemon.start()
    down = feed.daemon.log.wait("SINK_DOWN")
    assert errmsg.rstrip(".") + " (code 8000)" in down.text and remedy in down.text
    wire_mongo.script.clear()
    feed.wait_empty()
    assert len(feed.documents()) == 1 and not feed.rejected()


@pytest.mark.parametrize("words", TAKEN.values(), ids=TAKEN)
def test_duplicates_in_any_words(make_feed, wire_mongo, words):
    """P3, P4: settled where the same payload is there, set apart where it is another, whatever the server calls it."""
    feed = make_feed(wire_mongo)
    key = {"idempotency_key": "a:1"}
    feed.publish((b'{"te":21.5}', key))
    feed.daemon.start()
    feed.wait_empty()
    wire_mongo.script.add(
        {
            "match": r"^insert .*\.readings$",
            "times": -1,
            "action": {"type": "reply", "write_errors": [{"index": 0, "code": 11000, "errmsg": words}]},
        }
    )
    feed.publish((b'{"te":21.5}', key))
    feed.wait_empty()
    assert not feed.rejected()
    [other] = feed.publish((b'{"te":22}', key))
    feed.wait_empty()
    assert set(feed.rejected()) == {other} and feed.rejected()[other]["reason"] == "id_conflict"
    assert feed.documents()["a:1"]["te"] == 21.5


def test_message_ids_that_come_again(make_feed, wire_mongo):
    """A6: an emulator that was restarted counts from 1 again; the second message 1 is no repetition of the first."""
    first = make_feed(wire_mongo, database="again")
    [one] = first.publish(b'{"te":21.5}')
    first.daemon.start()
    first.wait_empty()
    first.daemon.stop()
    second = make_feed(wire_mongo, database="again")
    for data in (b'{"te":21.5}', b'{"te":19}'):
        second.publish(data)
    second.daemon.start()
    second.wait_empty()
    documents = second.documents()
    again = [document for name, document in documents.items() if "@" in name]
    if one in second.acknowledged():
        assert [document["te"] for document in again] == [21.5]
    assert sorted(document["te"] for document in documents.values()) == [19.0, 21.5, 21.5] and not second.rejected()


def test_old_scripts_text_is_stored(make_feed, wire_mongo):
    """13.4: what `str(dict)` published is read as Python writes it; what is neither that nor JSON is set apart."""
    feed = make_feed(wire_mongo, section={"payload": "python"})
    reading = {
        "name": "Bob's 居間",
        "newest_events": {"te": {"created_at": "2021-03-25T06:08:42Z", "val": 23.5}},
        "updated_at": None,
        "online": True,
    }
    one, two, bad = feed.publish(str(reading).encode(), b'{"te": true}', b"{'te': true}")
    feed.daemon.start()
    feed.wait_empty()
    documents = list(feed.documents().values())
    assert len(documents) == 2 and set(feed.rejected()) == {bad}
    script = next(document for document in documents if "name" in document)
    assert (
        script["name"] == "Bob's 居間"
        and script["newest_events"]["te"]["val"] == 23.5
        and script["updated_at"] is None
        and script["online"] is True
    )
    assert script["newest_events"]["te"]["created_at"].year == 2021
