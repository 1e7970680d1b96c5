"""What Metabase sees of a collection: it learns a table's fields from the first and the last 500 documents by `_id`."""

import datetime
import re
import secrets
import uuid

import pytest

START = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
MINUTES = 3 * 24 * 60
# source: its interval in minutes, and what only its documents have
SOURCES = {
    "home": (1, "te"),
    "co2": (1, "ppm"),
    "power": (5, "watt"),
    "outside": (60, "wind"),
    "water": (24 * 60, "litres"),
}


def old_key(source, at):
    return f"{source}:device:{at}:{secrets.token_hex(8)}"


def new_key(source, at):
    return f"{at}:{source}:device:{secrets.token_hex(8)}"


@pytest.fixture
def collection(shared_mongodb):
    with shared_mongodb.client() as client:
        yield client["db" + uuid.uuid4().hex[:12]]["readings"]


def fill(collection, key, first=0, last=MINUTES):
    """What each source measured between two minutes, under keys of one kind."""
    documents = []
    for minute in range(first, last):
        for source, (interval, field) in SOURCES.items():
            if minute % interval == 0:
                at = START + datetime.timedelta(minutes=minute)
                documents.append(
                    {
                        "_id": key(source, at.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
                        "source": source,
                        "request_at": at,
                        field: float(minute),
                    }
                )
    for begin in range(0, len(documents), 1000):
        collection.insert_many(documents[begin : begin + 1000])


def sampled(collection):
    """The fields that Metabase knows after a sync."""
    documents = [
        document for order in (1, -1) for document in collection.aggregate([{"$sort": {"_id": order}}, {"$limit": 500}])
    ]
    return {field for document in documents for field in document}


def test_each_source_that_speaks_hourly_has_its_fields(collection):
    fill(collection, new_key)
    assert {field for interval, field in SOURCES.values() if interval <= 60} <= sampled(collection)


def test_a_daily_one_among_those_of_a_minute(collection):
    """It began with the others, so the first 500 have it. One that came later is seen only on the day of its reading,
    as docs/OPERATIONS.md says."""
    fill(collection, new_key)
    assert "litres" in sampled(collection)
    collection.delete_many({"source": "water", "request_at": {"$lt": START + datetime.timedelta(days=1)}})
    assert "litres" not in sampled(collection)


def test_old_keys_hid_the_middle(collection):
    """Keys of 0.1.0 begin with the source: only the first and the last names were seen. New keys sort before all of
    them, and show every source."""
    fill(collection, old_key)
    assert sampled(collection) == {"_id", "source", "request_at", "ppm", "litres", "watt"}  # neither home nor outside
    fill(collection, new_key, MINUTES, 2 * MINUTES)
    assert {"te", "ppm", "watt", "wind", "litres"} <= sampled(collection)


def test_usual_questions(collection):
    """A mean by day over a range, and the latest of each source: the same as counted here."""
    fill(collection, new_key)
    begin, end = START + datetime.timedelta(days=1), START + datetime.timedelta(days=3)
    days = list(
        collection.aggregate(
            [
                {"$match": {"source": "home", "request_at": {"$gte": begin, "$lt": end}}},
                {
                    "$group": {
                        "_id": {"$dateToString": {"date": "$request_at", "format": "%Y-%m-%d"}},
                        "mean": {"$avg": "$te"},
                        "n": {"$sum": 1},
                    }
                },
                {"$sort": {"_id": 1}},
            ]
        )
    )
    assert [(day["_id"], day["n"], day["mean"]) for day in days] == [
        ("2026-11-02", 1440, 1440 + 719.5),
        ("2026-11-03", 1440, 2880 + 719.5),
    ]
    latest = {
        row["_id"]: row["at"].replace(tzinfo=datetime.UTC)
        for row in collection.aggregate([{"$group": {"_id": "$source", "at": {"$max": "$request_at"}}}])
    }
    assert latest == {
        source: START + datetime.timedelta(minutes=(MINUTES - 1) // interval * interval)
        for source, (interval, _) in SOURCES.items()
    }


def test_a_key_of_the_daemon_begins_with_the_time(make_stack, own_queue, shared_mongodb, remo):
    own_queue.create()
    stack = make_stack(own_queue, shared_mongodb, remo)
    stack.daemon.start()
    stack.wait_count(3)
    for document in stack.readings():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z:home:[^:]+:[0-9a-f]{16}", document["_id"])
    assert stack.daemon.run("setup").returncode == 0
    with shared_mongodb.client() as client:
        keys = [list(index["key"].items()) for index in client[stack.database]["readings"].list_indexes()]
    assert [("request_at", 1)] in keys
