"""The main job, an outage and what is rejected on a second MongoDB, FerretDB: the same tests, with its servers in the place of SecantusDB's.

It names no index in a duplicate key error, knows no replica set and turns -0.0 into 0.0 (tests/services/ferretdb.py).
"""
import contextlib

import pytest
import test_main_job
import test_poison
from services import ferretdb

if ferretdb.obstacle():
    pytest.skip(ferretdb.obstacle(), allow_module_level=True)

test_document_carries_what_the_source_served = test_main_job.test_document_carries_what_the_source_served
test_foreign_messages_are_stored = test_main_job.test_foreign_messages_are_stored
test_mongodb_outage_costs_nothing = test_main_job.test_mongodb_outage_costs_nothing
test_a_thousand_with_bad_ones_at_many_positions = test_poison.test_a_thousand_with_bad_ones_at_many_positions


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
