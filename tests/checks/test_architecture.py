"""docs/ARCHITECTURE.md names files and functions that are there, so that a reader can follow it with an editor."""

import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "docs" / "ARCHITECTURE.md").read_text()


def rows(title):
    """(files, what they do) of each item of a section's list."""
    section = PAGE[PAGE.index(f"## {title}") :].split("\n## ")[0]
    items = re.findall(r"^- (`.*?)(?=^\S|^$)", section, re.M | re.S)
    return [" ".join(item.split()).split(": ", 1) for item in items]


def test_rooms_are_there():
    for places, _ in rows("Rooms"):
        for place in re.findall(r"`([^`]+)`", places):
            found = list(REPO.glob(place)) or list(REPO.glob("daemon/" + place))
            assert found, place


def test_the_way_of_a_reading_can_be_followed():
    way = rows("The way of a reading")
    assert len(way) > 10
    for places, functions in way:
        texts = []
        folder = REPO / "daemon"
        for place in re.findall(r"`([^`]+)`", places):
            path = REPO / "daemon" / place
            path = path if path.is_file() else folder / place
            folder = path.parent
            texts.append(path.read_text())
        for name in re.findall(r"`(\w+)\(\)`", functions):
            assert any(re.search(rf"^\w[^;=\n]*\b{name}\(", text, re.M) for text in texts), (
                f"{name}() is not in {places}"
            )


def test_no_page_has_the_marks_of_a_merge():
    for path in [
        *REPO.glob("docs/**/*.md"),
        *REPO.glob("docs/*.scd"),
        *REPO.glob("systemd/**/*.*"),
        REPO / "NEWS.md",
        REPO / "README.md",
    ]:
        assert not re.search(r"^(<<<<<<<|>>>>>>>) ", path.read_text(), re.M), path
