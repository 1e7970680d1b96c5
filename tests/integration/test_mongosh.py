"""What the pages give to mongosh is run by mongosh."""

import contextlib
import re
from datetime import datetime
from pathlib import Path

import pymongo
import pytest
from services import mongosh
from services.mongodb import MongoDB

REPO = Path(__file__).resolve().parents[2]
BLOCK, EVAL = re.compile(r"^```js\n(.*?)^```", re.M | re.S), re.compile(r"\bmongosh (\w+) --eval '([^']+)'")


def snippets(page):
    """(database, script) in the order of the page. A block of JavaScript is for mongosh where it says `db.`."""
    text = page.read_text()
    found = [(match.start(), "test", match[1]) for match in BLOCK.finditer(text) if "db." in match[1]]
    found += [(match.start(), match[1], match[2]) for match in EVAL.finditer(text)]
    return list(
        dict.fromkeys((database, script) for _, database, script in sorted(found))
    )  # some hints stand there in two languages


PAGES = {
    str(page.relative_to(REPO)): snippets(page) for page in [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    reason = mongosh.obstacle()
    if reason:
        pytest.skip(reason)
    mongosh.program()  # fetched here, where need be: the time of a test is limited
    with MongoDB(storage=str(tmp_path_factory.mktemp("mongosh") / "data")) as running:
        yield running


@pytest.mark.parametrize("page", [name for name, found in PAGES.items() if found])
def test_what_a_page_gives_to_mongosh(server, page, tmp_path):
    """Each page on a server that has seen none of it, with a reading in it; a user that it makes is there."""
    with contextlib.closing(server.client()) as client:
        for command in ("dropUser", "dropRole"):
            with contextlib.suppress(pymongo.errors.OperationFailure):
                client.admin.command(command, "sensorqd")
        client.home.readings.replace_one({"_id": "one"}, {"name": "Living room"}, upsert=True)
        with contextlib.suppress(pymongo.errors.OperationFailure):
            client.home.readings.drop_index("stored_at_1")
        client.home.readings.create_index([("stored_at", 1)])  # as `sensorqd setup` does
        printed = "".join(
            mongosh.run(f"{server.uri}{database}", script, home=tmp_path) for database, script in PAGES[page]
        )
        makes, asks = (any(word in script for _, script in PAGES[page]) for word in ("createUser", "findOne"))
        assert not makes or [user["user"] for user in client.admin.command("usersInfo")["users"]] == ["sensorqd"]
    assert not asks or "Living room" in printed, printed
    assert makes or asks or printed.strip()


def test_documents_of_the_script_move_over(server, tmp_path):
    """The lines of docs/OPERATIONS.md: what the script stored, and what of its messages sensorqd stored, has the dates and
    devices of sensorqd's own documents. Once more, they change nothing; what others stored stays."""
    [script] = [script for _, script in PAGES["docs/OPERATIONS.md"] if "$merge" in script]
    events = {"te": {"val": 20.5, "created_at": "2021-03-25T06:08:42Z"}, "hu": {"val": 45, "created_at": "None"}}
    old = {"newest_events": events, "updated_at": "2021-03-24T09:10:11Z", "request_at": "2021-03-25T15:10:00Z"}
    ahead, changed = datetime(2021, 3, 26, 15, 10, 30), datetime(2021, 3, 25, 6, 8, 42)
    with contextlib.closing(server.client()) as client:
        home = client.home
        home.script.drop()
        home.readings.drop()
        home.script.insert_many([{"name": name, **old} for name in ("居間", "寝室")])
        home.script.insert_one({"name": "寝室", **old, "newest_events": "None"})
        stored = {"newest_events": {"te": {"val": 21.5, "created_at": changed}}, "request_at": ahead}
        home.readings.insert_many(
            [
                {"_id": "own", "source": "home", "id": "d-1", "name": "居間", "request_at": ahead},
                {"_id": "waited", "name": "居間", **stored},
                {"_id": "other", "co2": 812, "request_at": ahead},
            ]
        )
        untouched = list(home.readings.find({"_id": {"$in": ["own", "other"]}}))
        mongosh.run(f"{server.uri}test", script, home=tmp_path)
        moved = list(home.readings.find({"stored_at": {"$exists": True}}, sort=[("name", 1)]))
        assert [(one["id"], one["source"]) for one in moved] == [("寝室", "home"), ("d-1", "home")]
        assert {one["request_at"] for one in moved} == {datetime(2021, 3, 25, 6, 10)}
        assert all(one["_id"].startswith("2021-03-25T15:10:00:") for one in moved)
        assert moved[0]["newest_events"]["te"] == {"val": 20.5, "created_at": changed}
        assert moved[0]["newest_events"]["hu"] == {"val": 45, "created_at": None}
        waited = home.readings.find_one({"_id": "waited"})
        assert (waited["id"], waited["source"], waited["request_at"]) == (
            "d-1",
            "home",
            datetime(2021, 3, 26, 6, 10, 30),
        )
        assert list(home.readings.find({"_id": {"$in": ["own", "other"]}})) == untouched
        before = sorted(home.readings.find(), key=lambda one: one["_id"])
        mongosh.run(f"{server.uri}test", script, home=tmp_path)
        assert sorted(home.readings.find(), key=lambda one: one["_id"]) == before


def test_pages_have_some():
    assert {"docs/FIRST-STEPS.md", "docs/ja/FIRST-STEPS.md", "docs/OPERATIONS.md"} <= {
        name for name, found in PAGES.items() if found
    }
