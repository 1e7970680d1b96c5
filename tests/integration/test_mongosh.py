"""What the pages give to mongosh is run by mongosh."""

import contextlib
import re
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


def test_pages_have_some():
    assert {"docs/FIRST-STEPS.md", "docs/ja/FIRST-STEPS.md", "docs/OPERATIONS.md"} <= {
        name for name, found in PAGES.items() if found
    }
