"""The shape of the code, as docs/ARCHITECTURE.md says: who may include whom, how long things may be, one door for each
foreign library."""

import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SOURCES = sorted([*REPO.glob("lib/*.[ch]"), *REPO.glob("daemon/**/*.[ch]")])

# Left may not include right. Files not named stand where their folder's others do.
LAYERS = [
    ["lib/"],
    [
        "daemon/events",
        "daemon/config",
        "daemon/secret",
        "daemon/trouble",
        "daemon/auth",
        "daemon/bisect",
        "daemon/match",
        "daemon/web-listen",
        "daemon/web-place",
        "daemon/publish/reading",
    ],
    ["daemon/publish/shape"],
    [
        "daemon/pubsub/wire",
        "daemon/sinks/document",
        "daemon/subscribe/batch",
        "daemon/subscribe/blame",
        "daemon/subscribe/payload",
    ],
    ["daemon/pubsub/credentials", "daemon/pubsub/token"],
    ["daemon/pubsub/client", "daemon/publish/outbox"],
    ["daemon/publish/", "daemon/subscribe/"],  # source, publisher, sink, lease, subscriber and what only they use
    ["daemon/sources/", "daemon/sinks/mongodb", "daemon/sinks/file", "daemon/sinks/webhook", "daemon/sinks/alert"],
    ["daemon/types"],
    ["daemon/report"],
    ["daemon/page"],
    ["daemon/stages"],
    ["daemon/daemon"],
    ["daemon/verbs/"],
    ["daemon/main"],
]

DOORS = {
    "curl/": ("lib/http", "lib/stream"),
    "microhttpd.h": "lib/listen",
    "yaml.h": "lib/yaml",
    "openssl/": "lib/crypto",
    "zlib.h": "lib/gzip",
    "sqlite3.h": "lib/sql",
    "json-c": "lib/json",
    "json.h": "lib/json",
}


def relative(path):
    return str(path.relative_to(REPO))


def layer(name):
    matches = [
        (len(prefix), number)
        for number, layer_names in enumerate(LAYERS)
        for prefix in layer_names
        if name.startswith(prefix)
    ]
    assert matches, f"{name} has no place in LAYERS"
    return max(matches)[1]


def resolve(source, include):
    for base in (REPO, REPO / "daemon", source.parent):
        if (base / include).is_file():
            return relative(base / include)
    return None


@pytest.mark.parametrize("source", SOURCES, ids=relative)
def test_includes_point_to_the_left(source):
    here = layer(relative(source))
    for include in re.findall(r'^#include "([^"]+)"', source.read_text(), re.M):
        there = resolve(source, include)
        assert there, f"{include} is no file of ours"
        assert layer(there) <= here, f"{relative(source)} includes {there}, which stands to its right"
        ends = [("daemon/publish/", "daemon/sources/"), ("daemon/subscribe/", "daemon/sinks/")]
        assert not any(relative(source).startswith(ends[i]) and there.startswith(ends[1 - i]) for i in (0, 1))


@pytest.mark.parametrize("source", SOURCES, ids=relative)
def test_foreign_libraries_have_one_door(source):
    for include in re.findall(r"^#include <([^>]+)>", source.read_text(), re.M):
        for prefix, door in DOORS.items():
            if include.startswith(prefix):
                assert relative(source).startswith(door), f"<{include}> belongs into {door} only"


def functions(path):
    """(name, lines) of each function of a file: a body opens at the end of an unindented line and closes with an
    unindented brace."""
    found, start, name = [], None, None
    for number, line in enumerate(path.read_text().splitlines()):
        if start is None:
            match = re.match(r"^[a-zA-Z_].*?\b(\w+)\(.*", line)
            if match:
                name = match[1]
            if (
                name
                and line.endswith("{")
                and not line.startswith(("struct", "typedef", "enum", "union", "static const", "extern"))
                and "=" not in line
            ):
                start = number
            elif line.endswith(";"):
                name = None
        elif line == "}":
            found.append((name, number - start + 1))
            start = name = None
    return found


def test_functions_are_short():
    all_lines = [
        (lines, name, relative(path)) for path in SOURCES if path.suffix == ".c" for name, lines in functions(path)
    ]
    lengths = [lines for lines, _, _ in all_lines]
    longest = max(all_lines)
    assert longest[0] <= 60, f"{longest[1]} in {longest[2]} has {longest[0]} lines"
    assert statistics.median(lengths) <= 12
    assert sorted(lengths)[int(len(lengths) * 0.9)] <= 25


def test_files_are_short():
    tests = [path for pattern in ("*.c", "*.h", "*.py") for path in REPO.glob(f"tests/**/{pattern}")]
    for path in [*SOURCES, *tests]:
        assert len(path.read_text().splitlines()) <= (700 if path in SOURCES else 710), relative(path)


def test_main_is_short():
    assert dict(functions(REPO / "daemon" / "main.c"))["main"] <= 40


def test_headers_are_small():
    for path in SOURCES:
        if path.suffix == ".h":
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
            prototypes = re.findall(r"^(?!static|typedef|#|\s|[A-Z_]+\()[^\n(]*\w\([^;{}]*\)[^;{}]*;", text, re.M)
            allowed = 22 if path.name in ("loop.h", "sql.h") else 14  # the door to a whole library
            assert len(prototypes) <= allowed, f"{relative(path)}: {len(prototypes)} prototypes"


def test_exit_is_called_in_main_only():
    for path in SOURCES:
        if path.name not in ("main.c", "process.c"):  # a child that could not become its program ends there
            assert not re.search(r"\b_?exit\(", path.read_text()), relative(path)


def test_layout_is_clang_formats():
    run = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", *map(str, [*SOURCES, *REPO.glob("tests/**/*.[ch]")])],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-4000:]


@pytest.mark.parametrize("arguments", [["format", "--diff"], ["check"]], ids=" ".join)
def test_python_is_as_ruff_wants_it(arguments):
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."], cwd=REPO, capture_output=True, text=True
    )
    assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]


def test_every_file_names_its_licence():
    for path in [*SOURCES, *REPO.glob("tests/**/*.c")]:
        assert path.read_text().startswith("/* SPDX-License-Identifier: Apache-2.0 */"), relative(path)


def test_mutable_state_of_files_is_the_log_only():
    """Apart from lib/log.c, a file-scope variable is const, or tells that something was initialised once."""
    for path in SOURCES:
        if path.suffix != ".c" or path.name == "log.c":
            continue
        for line in path.read_text().splitlines():
            if re.match(r"^static (?!const\b|inline\b|_Thread_local const\b)[^(]*(=.*)?;$", line):
                assert re.search(r"pthread_once_t|\*const\b|const \w+\[", line), f"{relative(path)}: {line}"
