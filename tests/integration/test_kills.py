"""kill -9 of everything, everywhere: the daemon at each of its crash points and at random moments, MongoDB while it
writes, the queue while it serves. After each the ledger must balance: nothing lost, nothing doubled, nothing
acknowledged before it was durable (P1, P2, P3, P4, P5).

SENSORQD_LONG=1 kills several times as often. SENSORQD_TEST_SEED=N repeats a run's random choices.
"""

import contextlib
import hashlib
import os
import re
import sqlite3
import time

import pytest
from harness import REPO, wait_until
from world import Remotes, World

LONG = bool(os.environ.get("SENSORQD_LONG"))
DOORS = "".join(path.read_text() for path in (REPO / "tests" / "daemon").glob("doors-*.c"))
POINTS = sorted(set(re.findall(r'"((?:source|outbox|publish|pull|sink|ack)-[a-z-]+)"', DOORS)))
SALVAGE = [point for point in POINTS if point.startswith("outbox-salvage-")]
RUNNING = [point for point in POINTS if point not in SALVAGE]
pytestmark = pytest.mark.timeout(3600 if LONG else 300)
BEFORE_COMMIT = {"source-fetched", "outbox-put-before-commit"}


@pytest.fixture(scope="session")
def remotes(tmp_path_factory):
    with contextlib.closing(Remotes(tmp_path_factory.mktemp("remotes"))) as made:
        yield made


@pytest.fixture
def world(remotes, tmp_path, request, chance):
    remotes.start()  # a test that failed may have left one dead
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    with contextlib.closing(World(remotes, tmp_path, chance, name)) as made:
        yield made


def assert_balanced(world, **settle):
    result = world.settle(**settle)
    assert result.good and result.fetched > 0 and result.published > 0, str(result)
    return result


def test_there_are_crash_points():
    assert len(RUNNING) >= 15 and len(SALVAGE) == 3


def test_the_ledger_notices(world):
    """The ledger itself: a document that is missing, doubled, altered, or was acknowledged early, does not pass."""
    world.foreign.start()
    world.start()
    wait_until(lambda: world.ledger.collection.count_documents({}) >= 3 * world.devices, "three polls")
    assert_balanced(world)
    ledger, documents = world.ledger, world.ledger.collection
    first = documents.find_one({"source": "home"})
    documents.delete_one({"_id": first["_id"]})
    assert len(ledger.check().lost) == 3  # served, published and confirmed
    documents.insert_many([first, {**first, "_id": "another"}])
    assert len(ledger.check().doubled) == 1 and len(ledger.check().wrong) == 1
    documents.delete_one({"_id": "another"})
    documents.update_one({"_id": first["_id"]}, {"$set": {"newest_events.te.val": -1.0}})
    assert len(ledger.check().lost) == 1 and len(ledger.check().wrong) == 1
    documents.replace_one({"_id": first["_id"]}, first)
    world.witness.durable[documents.full_name, first["_id"]] += 1000
    assert len(ledger.check().early) >= 1
    del world.witness.durable[documents.full_name, first["_id"]]
    assert len(ledger.check().early) >= 1
    ledger.lives[0].committed += 1
    assert len(ledger.check().lost) == 1


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(p, marks=pytest.mark.main if p in ("outbox-put-committed", "sink-bulk-done") else [])
        for p in RUNNING
    ],
)
def test_daemon_dies_at(world, point):
    """P1..P4: at the first passing and at later ones, each time restarted on what was left."""
    world.foreign.start()
    for passing in [1, *(world.rng.randint(2, 8) for _ in range(8 if LONG else 1))]:
        world.crash(point, passing, patience=90)
    world.start()
    result = assert_balanced(world)
    if point in BEFORE_COMMIT:
        assert result.cut_off == world.kills * world.devices
    else:
        assert result.cut_off <= world.kills * world.devices


@pytest.mark.main
def test_daemon_dies_at_random(world):
    """P1..P4: at any moment, also while it starts."""
    world.foreign.start()
    for number in range(30 if LONG else 4):
        world.start(ready=number % 4 != 3)
        time.sleep(world.rng.random() * (0.3 if number % 4 == 3 else 2))
        world.kill()
    world.start()
    assert_balanced(world)


def damage(world):
    """Overwrites the page of a table that is empty, after the log was worked in: every reading can still be read."""
    with contextlib.closing(sqlite3.connect(world.ledger.outbox)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name='rejected'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
        rows = db.execute("SELECT count(*) FROM readings").fetchone()[0]
    with open(world.ledger.outbox, "r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)
    return rows


@pytest.mark.parametrize(
    "point, passing",
    [("outbox-salvage-copied", 1), ("outbox-salvage-complete", 1), *(("outbox-salvage-aside", n) for n in (1, 2, 3))],
)
def test_daemon_dies_while_it_mends_a_damaged_outbox(world, point, passing):
    """P7: what can still be read of a damaged file is carried over, wherever the mending is cut off."""
    world.publish([(b'{"serial":0}', {"idempotency_key": "co2:0"})])
    world.pubsub.kill()
    world.start()
    wait_until(lambda: world.remo.polls() >= 4, "four polls that cannot be published")
    world.kill()
    assert damage(world) >= world.devices
    world.crash(point, passing)
    world.pubsub.start()
    world.start()
    assert_balanced(world)
    assert list(world.daemon.state.glob("outbox.sqlite.damaged-*"))


def strike(world, kill, start, times, pause):
    """Kills a remote `times` times at random moments, with an outage between kill and restart."""
    world.foreign.start()
    world.start()
    wait_until(lambda: world.ledger.collection.count_documents({}) >= world.devices, "the first readings")
    for _ in range(times):
        time.sleep(0.2 + world.rng.random() * pause)
        kill()
        time.sleep(world.rng.random())
        start()
        world.kills += 1


def test_mongodb_dies_while_it_writes(world):
    """P3, P4, P5: what MongoDB confirmed is there after its kill -9, what it had not confirmed comes again."""
    strike(world, world.mongodb.kill, world.mongodb.start, 40 if LONG else 4, 1.5)
    assert_balanced(world)


def test_queue_dies(world):
    """P2, P4, P7: publishing, pulling and acknowledging go on where the queue stands after its kill -9."""
    strike(world, world.pubsub.kill, world.pubsub.start, 40 if LONG else 4, 1.5)
    assert_balanced(world)


def test_everything_dies(world):
    """P1..P5: the daemon and both remotes, in any order and at the same time."""
    world.foreign.start()
    for _ in range(15 if LONG else 2):
        world.start(ready=False)
        time.sleep(0.5 + world.rng.random() * 1.5)
        steps = [world.kill, world.mongodb.kill, world.pubsub.kill]
        world.rng.shuffle(steps)
        for step in steps:
            step()
            time.sleep(world.rng.random() * 0.3)
        world.remotes.start()
        world.kills += 2
    world.start()
    assert_balanced(world)
