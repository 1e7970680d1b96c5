"""The journal's vocabulary: each message id of daemon/events.h is explained in both catalogs and in sensorqd(8), and
nothing else is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
HEADER = (REPO / "daemon" / "events.h").read_text()
EVENTS = dict(re.findall(r'^#define EVENT_(\w+) "([0-9a-f]{32})"', HEADER, re.M))
FIELDS = set(re.findall(r'^#define FIELD_\w+ "(\w+)"', HEADER, re.M))
CATALOGS = ["sensorqd.catalog", "sensorqd.ja.catalog"]
SOURCES = [path.read_text() for path in REPO.glob("daemon/**/*.c")]


def entries(name):
    """(message id, headers, text) of each entry."""
    text = (REPO / "systemd" / name).read_text()
    for part in re.split(r"^-- ", text, flags=re.M)[1:]:
        first, rest = part.split("\n", 1)
        headers, body = rest.split("\n\n", 1)
        yield first, dict(line.split(": ", 1) for line in headers.splitlines()), body.strip()


def test_header_names_each_id_once():
    assert len(EVENTS) == len(re.findall(r"^#define EVENT_", HEADER, re.M)) == len(set(EVENTS.values()))


@pytest.mark.parametrize("catalog", CATALOGS)
def test_every_event_has_one_entry_and_nothing_else_has(catalog):
    ids = [message_id for message_id, _, _ in entries(catalog)]
    assert ids == list(EVENTS.values()), "the same ids in the order of events.h (the language is in the file's name)"


@pytest.mark.parametrize("catalog", CATALOGS)
def test_entries_are_complete(catalog):
    for message_id, headers, body in entries(catalog):
        assert list(headers) == ["Subject", "Defined-By", "Support", "Documentation"], message_id
        assert (
            headers["Defined-By"] == "sensorqd" and headers["Documentation"] == "man:sensorqd(8) man:sensorqd.yaml(5)"
        )
        assert body.count("\n\n") >= 1, f"{message_id}: what happened, and what the reader can do"
        assert set(re.findall(r"@(\w+)@", headers["Subject"] + body)) <= FIELDS, message_id


def test_both_languages_show_the_same_fields():
    english, japanese = (
        {message_id: set(re.findall(r"@(\w+)@", body)) for message_id, _, body in entries(name)} for name in CATALOGS
    )
    assert english == japanese


def log_calls():
    """(event, the fields that it always carries) of each call; where a call is handed its fields or its event, those of
    the function count."""
    names = dict(re.findall(r'^#define (FIELD_\w+) "(\w+)"', HEADER, re.M))
    for text in SOURCES:
        for function in re.findall(r"^[^\s#/].*?^}\n", text, re.M | re.S):
            for call in re.findall(r"\blog_event\((.*?)\);", function, re.S):
                sent = re.findall(r"\{ (FIELD_\w+),(?![^{}]*\bNULL\b)", call if "LOG_FIELDS" in call else function)
                for event in set(re.findall(r"\bEVENT_(\w+)", call) or re.findall(r"\bEVENT_(\w+)", function)):
                    yield event, {names[name] for name in sent}


def test_entries_show_only_what_every_call_sends():
    """journalctl puts the field's name in the place of one that is not there."""
    shown = {
        message_id: set(re.findall(r"@(\w+)@", headers["Subject"] + body))
        for message_id, headers, body in entries(CATALOGS[0])
    }
    calls = list(log_calls())
    assert {event for event, _ in calls} == set(EVENTS)
    assert [(event, missing) for event, sent in calls if (missing := shown[EVENTS[event]] - sent)] == []


def test_japanese_is_japanese():
    for message_id, headers, body in entries("sensorqd.ja.catalog"):
        assert re.search(r"[぀-ヿ]", headers["Subject"]) and re.search(r"[぀-ヿ]", body), message_id


def test_systemd_takes_the_catalogs(tmp_path):
    for folder in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
        (tmp_path / folder).mkdir(parents=True)
    for name in CATALOGS:
        shutil.copy(REPO / "systemd" / name, tmp_path / "usr/lib/systemd/catalog")
    update = subprocess.run(
        ["journalctl", f"--root={tmp_path}", "--update-catalog"], capture_output=True, text=True, env={"LC_ALL": "C"}
    )
    assert update.returncode == 0 and update.stdout + update.stderr == ""
    dump = subprocess.run(
        ["journalctl", f"--root={tmp_path}", "--list-catalog"], capture_output=True, text=True, env={"LC_ALL": "C"}
    )
    assert sorted(line.split()[0] for line in dump.stdout.splitlines()) == sorted(EVENTS.values())


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_logged_somewhere(name):
    assert any(re.search(rf"\bEVENT_{name}\b", text) for text in SOURCES)


def test_pages_have_the_same_text():
    """docs/MESSAGES.md and docs/ja/MESSAGES.md."""
    made = subprocess.run([sys.executable, REPO / "docs" / "messages.py", "--check"], capture_output=True, text=True)
    assert (made.returncode, made.stdout) == (0, "")


def test_manual_lists_ids_and_fields():
    manual = (REPO / "docs" / "sensorqd.8.scd").read_text()
    assert set(re.findall(r"\b[0-9a-f]{32}\b", manual)) == set(EVENTS.values())
    assert set(re.findall(r"\bSENSORQD_[A-Z_]+\b", manual)) - {"SENSORQD_LOG_FIELDS"} == FIELDS


@pytest.mark.parametrize("name, field", re.findall(r'^#define (FIELD_\w+) "(\w+)"', HEADER, re.M))
def test_every_field_is_sent_and_a_test_sees_it(name, field):
    assert any(re.search(rf"\b{name}\b", text) for text in SOURCES)
    tests = [
        path
        for pattern in ("unit/*.[ch]", "integration/*.py", "system/*.py")
        for path in (REPO / "tests").glob(pattern)
    ]
    assert any(re.search(rf"\b({name}|{field})\b", path.read_text()) for path in tests)
