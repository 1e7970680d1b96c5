"""docs/DELIVERY.md: each promise has a row, and every test, event and STATUS text that it names exists."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "docs" / "DELIVERY.md").read_text()
PROMISES = {
    name: " ".join(tests.split())
    for name, tests in re.findall(r"^- \*\*(P\d+)\.\*\* .*?^  - Tests: (.*?)(?=^\S|^$)", PAGE, re.M | re.S)
}
PYTHON = "\n".join(
    path.read_text() for folder in ("integration", "system") for path in (REPO / "tests" / folder).glob("test_*.py")
)


def test_every_promise_has_a_row():
    assert list(PROMISES) == [f"P{number}" for number in range(1, 15)]


@pytest.mark.parametrize("promise", PROMISES)
def test_tests_named_exist(promise):
    named = 0
    for group in PROMISES[promise].split(";"):
        module, _, names = group.rpartition(":")
        unit = re.fullmatch(r"\s*(test-[a-z0-9-]+)", module or group)
        text = (REPO / "tests" / "unit" / f"{unit[1]}.c").read_text() if unit else PYTHON
        for name in re.findall(r"\btest_\w+", names):
            assert re.search(rf"\b(void|def) {name}\(", text), f"{promise}: {group.strip()}"
            named += 1
        named += bool(unit)
    assert named >= 2


def test_events_named_exist():
    events = set(re.findall(r"#define EVENT_(\w+)", (REPO / "daemon" / "events.h").read_text()))
    table = PAGE.partition("## When something fails")[2].partition("## What is not promised")[0]
    assert set(re.findall(r"`([A-Z]+_[A-Z]+|STARTED|STOPPED|STOPPING)`", table)) <= events
