"""The main job, an outage, redelivery and what is rejected on a second MongoDB, FerretDB: the same tests, with its
servers in the place of SecantusDB's.

It names no index in a duplicate key error, knows no replica set and turns -0.0 into 0.0 (tests/services/ferretdb.py).
"""

import contextlib

import pytest
import test_main_job
import test_poison
import test_verbs
from harness import GOOD
from services import ferretdb

pytestmark = pytest.mark.timeout(300, func_only=True)  # whoever comes first builds it

if ferretdb.obstacle():
    pytest.skip(ferretdb.obstacle(), allow_module_level=True)

test_document_carries_what_the_source_served = test_main_job.test_document_carries_what_the_source_served
test_foreign_messages_are_stored = test_main_job.test_foreign_messages_are_stored
test_mongodb_outage_costs_nothing = test_main_job.test_mongodb_outage_costs_nothing
test_a_thousand_with_bad_ones_at_many_positions = test_poison.test_a_thousand_with_bad_ones_at_many_positions
test_same_id_same_payload_is_one_document = test_poison.test_same_id_same_payload_is_one_document
test_same_id_with_another_payload_is_set_apart = test_poison.test_same_id_with_another_payload_is_set_apart
test_rejected_in_the_collection = test_verbs.test_rejected_in_the_collection


@pytest.fixture(scope="session")
def shared_mongodb():
    with contextlib.closing(ferretdb.FerretDB().start()) as server:
        yield server


@pytest.fixture
def own_mongodb(tmp_path):
    with contextlib.closing(ferretdb.FerretDB(storage=str(tmp_path / "ferretdb")).start()) as server:
        yield server


@pytest.fixture
def queue(own_queue):
    """One of the two is enough here."""
    return own_queue


@pytest.fixture
def made(make_stack, own_queue, shared_mongodb, remo):
    own_queue.create(**GOOD)
    return make_stack(own_queue, shared_mongodb, remo, interval_msec=None)


def test_delivered_again_with_a_negative_zero(make_feed, shared_mongodb):
    """P4: what the server changes is no other payload when it is delivered again."""
    feed = make_feed(shared_mongodb)
    feed.publish((b'{"val":-0.0}', {"idempotency_key": "a:1"}), (b'{"val":-0.0}', {"idempotency_key": "a:1"}))
    feed.daemon.start()
    feed.wait_empty()
    [again] = feed.publish((b'{"val":-0.0}', {"idempotency_key": "a:1"}))
    feed.wait_empty()
    assert list(feed.documents()) == ["a:1"] and not feed.rejected() and again in feed.acknowledged()
