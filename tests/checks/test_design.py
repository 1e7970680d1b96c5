"""How the pieces hang together: no circles, names that say where they are from, drawings that can be read and are true,
interfaces that say what they do.

Where the tree is not there yet, a list or a number here says how far it is from it. They only ever get shorter.
"""

import collections
import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SOURCES = sorted([*REPO.glob("lib/*.[ch]"), *REPO.glob("daemon/**/*.[ch]")])
HEADERS = [path for path in SOURCES if path.suffix == ".h"]

CIRCLES = 0  # of modules
NAMES = 0  # external functions without the prefix of their file
WIDE = 49  # lines over 120 columns, most of them rows of tables
SILENT = 0  # prototypes without a comment
MANY = 7  # functions with more than five parameters
DEEP = 0  # functions nested deeper than three levels
UNWRITTEN = {"mongodb"}  # types without a page
NAMESAKES = {
    'daemon/sinks/alert-config.c: "webhook"',
    'lib/log.c: "alert"',
}  # a target of alerts, which is no sink; a level of syslog
# Headers of a type's pure part, which is fuzzed through them: one file has it, and the type alone uses it.
PURE = {
    "daemon/sources/http-json.h",
    "daemon/sources/http-push-body.h",
    "daemon/sources/nature-remo.h",
    "daemon/sinks/webhook.h",
}
# Other headers that one file alone includes: why the two are two. Six, and not more.
ALONE = {
    "daemon/bisect.h": "halving is pure, and tested against every pattern of refusals",
    "daemon/daemon.h": "main.c is the only file that ends the process; the flow is read in daemon.c",
    "daemon/page.h": "the page as the daemon sees it: all the rest is behind it",
    "daemon/subscribe/aside.h": "the side list has leases of its own",
    "daemon/subscribe/pulls.h": "requests under way, without what becomes of their messages",
    "lib/process.h": "a door",
}


def relative(path):
    return str(path.relative_to(REPO))


def within(found, limit, what):
    """A list that may not grow."""
    assert len(found) <= limit, f"{len(found)} {what}, at most {limit} are allowed:\n" + "\n".join(map(str, found))


def blank(text):
    """Comments and texts become blanks and x; lines and columns stay where they are."""

    def cover(match):
        word = match[0]
        return (
            word[0] + re.sub(r"[^\n]", "x", word[1:-1]) + word[0] if word[0] in "\"'" else re.sub(r"[^\n]", " ", word)
        )

    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", cover, text, flags=re.S)


def resolve(source, include):
    return next((base / include for base in (REPO, REPO / "daemon", source.parent) if (base / include).is_file()), None)


def includes():
    """{file: files of ours that it includes}."""
    return {
        path: {
            there
            for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M)
            if (there := resolve(path, name))
        }
        for path in SOURCES
    }


# ---- modules ----


def circles(graph):
    """Groups of modules each of which reaches all the others."""

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for other in graph[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return seen

    reached = {module: reach(module) for module in list(graph)}
    rings = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }
    return sorted(sorted(ring) for ring in rings)


def test_no_circles_of_modules():
    """A .c with its .h is one module."""
    graph = collections.defaultdict(set)
    for path, others in includes().items():
        module = relative(path)[:-2]
        graph[module] |= {relative(other)[:-2] for other in others} - {module}
        for other in others:
            graph[relative(other)[:-2]]
    within(circles(graph), CIRCLES, "circles of modules")


def test_headers_have_clients():
    """What one file alone needs stands in that file, or in the header of its family, unless there is a reason."""
    clients = collections.Counter()
    for path, others in includes().items():
        clients.update(other for other in others if other.with_suffix("") != path.with_suffix(""))
    alone = [relative(header) for header in HEADERS if clients[header] <= 1]
    known = PURE | set(ALONE)
    assert set(alone) == known, (
        f"one client, and no reason here, or a reason that is not needed any more: {sorted(set(alone) ^ known)}"
    )


def test_pure_parts_are_fuzzed():
    fuzzers = "".join(path.read_text() for path in REPO.glob("tests/fuzz/*.c"))
    assert [header for header in PURE if f'"{header.removeprefix("daemon/")}"' not in fuzzers] == []


@pytest.mark.parametrize("word", [r"sd-event\.h|\bsd_event", r"SENSORQD_TEST|CRASHPOINT"])
def test_words_that_have_one_place(word):
    """sd-event is behind lib/loop; what a test must replace is a door that it links its own version of
    (tests/daemon/)."""
    found = [
        relative(path)
        for path in SOURCES
        if re.search(word, path.read_text()) and not (relative(path).startswith("lib/loop.") and "sd" in word)
    ]
    assert not found, f"{word}: {found}"


def types():
    """(kind, name) of each type of source and sink, from the two lists of types.c."""
    text = (REPO / "daemon" / "types.c").read_text()
    for kind in ("source", "sink"):
        rows = re.search(rf"#define {kind.upper()}S\(type\)((?: \\\n +type\(\w+\))+)", text)[1]
        yield from ((kind, name) for name in re.findall(r"\((\w+)\)", rows))


@pytest.mark.parametrize("kind, name", [*types()])
def test_type_is_known_in_its_own_files(kind, name):
    """A type is its own files, one line in types.c, its test and its page: nothing else in the code has its name.
    meson.build has the files' names."""
    stem, camel = name.replace("_", "-"), name.title().replace("_", "")
    own = f"daemon/{kind}s/{stem}"
    assert (REPO / f"{own}.c").exists()
    for path in SOURCES:
        if not relative(path).startswith((own, "daemon/types.")):
            code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
            found = re.search(
                rf'\b(?:{kind}_type_)?{name}(?:_\w+)?\(|"{name}"|\b{camel}(?:Config)?\b|"{kind}s/{stem}[^"]*\.h"', code
            )
            assert not found or name in ("exec", "file") or f"{relative(path)}: {found[0]}" in NAMESAKES, (
                f"{relative(path)}: {found[0]}"
            )
    page, test = REPO / "docs" / f"{kind}s" / f"{stem}.md", list((REPO / "tests" / "unit").glob(f"test-{stem}*.c"))
    assert test, f"no tests/unit/test-{stem}.c"
    assert page.exists() or name in UNWRITTEN, f"no {relative(page)}"


# ---- interfaces ----


def prototypes(header):
    """(name, parameters, line number) of each function that a header declares."""
    text = blank(header.read_text())
    for match in re.finditer(
        r"^(?!static\b|typedef\b|#|\s|[A-Z_]+\(|\}|enum\b.*\{|struct \w+ \{)[^\n(;{}=]*?\b(\w+)\(", text, re.M
    ):
        depth, at = 1, match.end()
        while depth and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        inner = text[match.end() : at - 1]
        while re.search(r"\([^()]*\)", inner):
            inner = re.sub(r"\([^()]*\)", "", inner)
        yield match[1], 0 if inner.strip() in ("", "void") else inner.count(",") + 1, text.count("\n", 0, match.start())


def test_names_carry_their_file():
    """subscriber-pull.h declares subscriber_pull_...() or subscriber_...(); secret.h may declare secrets_...(), and
    trouble.h cause_...(), because it defines the type Cause."""
    found = []
    for header in HEADERS:
        words = header.stem.split("-")
        types = re.findall(r"^(?:\}|typedef .*?) (\w+);", blank(header.read_text()), re.M)
        allowed = ["_".join(words[:n]) for n in range(1, len(words) + 1)]
        allowed += [allowed[0] + "s", allowed[0].removesuffix("s")]
        allowed += [re.sub(r"\B([A-Z])", r"_\1", name).lower() for name in types]
        found += [
            f"{relative(header)}: {name}"
            for name, _, _ in prototypes(header)
            if not any(name == a or name.startswith(a + "_") for a in allowed)
        ]
    within(found, NAMES, "external names without their file's prefix")


def test_prototypes_are_explained():
    """A comment stands above each, or above the group that it belongs to; a destructor needs none."""
    found = []
    for header in HEADERS:
        lines, bare = header.read_text().splitlines(), blank(header.read_text()).splitlines()
        for name, _, number in prototypes(header):
            above = number - 1
            while (
                above >= 0 and lines[above].strip() and bare[above].strip() and not bare[above].startswith(("#", "}"))
            ):
                above -= 1
            explained = above >= 0 and lines[above].strip() and not bare[above].strip()
            if not explained and not re.search(r"_(free|unref|done|drop|cancel)$", name):
                found.append(f"{relative(header)}:{number + 1}: {name}")
    within(found, SILENT, "prototypes without a comment")


def definitions(path):
    """(name, parameters) of each function of a .c file."""
    text = re.sub(r"_printf_\(\d, \d\) ", "", blank(path.read_text()))
    for match in re.finditer(r"^(?!typedef\b|#|\s|[A-Z_]+\()[^\n;={}]*?\b(\w+)\(([^;{}]*)\)\s*\{", text, re.M):
        inner = match[2]
        while re.search(r"\([^()]*\)", inner):
            inner = re.sub(r"\([^()]*\)", "", inner)
        yield match[1], 0 if inner.strip() in ("", "void") else inner.count(",") + 1


def test_few_functions_have_many_parameters():
    found = [
        f"{relative(path)}: {name} {count}"
        for path in SOURCES
        if path.suffix == ".c"
        for name, count in definitions(path)
        if count > 5
    ]
    within(found, MANY, "functions with more than five parameters")


def test_nesting_is_flat():
    found = []
    for path in SOURCES:
        depth, name = 0, ""
        for line in blank(path.read_text()).splitlines() if path.suffix == ".c" else []:
            match = re.match(r"^[a-zA-Z_].*?\b(\w+)\(", line)
            name = match[1] if match and depth == 0 else name
            for mark in re.findall("[{}]", line):
                depth += 1 if mark == "{" else -1
                if depth > 4 and f"{relative(path)}: {name}" not in found:
                    found.append(f"{relative(path)}: {name}")
    within(found, DEEP, "functions nested deeper than three levels")


def test_lines_fit():
    found = [
        f"{relative(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line.expandtabs(8)) > 120
    ]
    within(found, WIDE, "lines over 120 columns")


# ---- drawings ----

ARROW = r"-->|<--|--+\+|\+--+"


def drawings(path):
    """(first line, text, whether it stands between clang-format off and on) of each comment with arrows on two lines or
    more."""
    text, fence = path.read_text(), []
    for match in re.finditer(r"/\* clang-format (off|on) \*/", text):
        fence.append((match.start(), match[1] == "off"))
    for match in re.finditer(r"/\*.*?\*/", text, re.S):
        if len([line for line in match[0].splitlines() if re.search(ARROW, line)]) >= 2:
            fenced = [off for at, off in fence if at < match.start()]
            yield text.count("\n", 0, match.start()) + 1, match[0], bool(fenced) and fenced[-1]


@pytest.mark.parametrize("path", [path for path in SOURCES if any(drawings(path))], ids=relative)
def test_drawings_are_kept(path):
    """The formatter would fill their lines."""
    assert all(fenced for _, _, fenced in drawings(path)), (
        f"{relative(path)}: clang-format off above, on below the drawing"
    )


def machines(path):
    """{state: states that it may move to} of each table of allowed moves of a file, without the prefix of the
    states."""
    for table in re.findall(
        r"^(?:_asserted_ )?static const [\w ]*moves\[.*?\] = \{\n(.*?)^\};", path.read_text(), re.M | re.S
    ):
        word = r"\b[A-Z]+(?:_[A-Z]+)*\b"
        rows = {
            state: re.findall(word, moves)
            for state, moves in re.findall(r"^ {8}\[(\w+)\] = (.*?),\n(?= {8}\[|\Z)", table, re.M | re.S)
        }
        names = {*rows, *(move for moves in rows.values() for move in moves)}
        prefix = min(names).split("_")[0] + "_"
        size = len(prefix) if all(name.startswith(prefix) for name in names) else 0
        yield {state[size:].lower(): {move[size:].lower() for move in rows.get(state, [])} for state in names}


def drawn_moves(text):
    """(state, state) of each arrow that runs from one word to another on one line."""
    for line in text.splitlines():
        for left, right in re.findall(r"(?=\b(\w+) -(?:[^<>|+]*[^<>|+ ])?-+> ?(\w+))", line):
            yield left.lower(), right.lower()
        for right, left in re.findall(r"(?=\b(\w+) <-(?:[^<>|+]*[^<>|+ ])?-+ (\w+))", line):
            yield left.lower(), right.lower()


@pytest.mark.parametrize("path", [path for path in SOURCES if any(machines(path))], ids=relative)
def test_drawings_are_true(path):
    """Each state of a table of moves is in the drawing beside it, and each arrow from word to word is a move of a
    table."""
    beside = [p for p in (path, path.with_suffix(".h")) if p.exists()]
    text = "\n".join(drawing for p in beside for _, drawing, _ in drawings(p))
    text = text or "\n".join(
        re.findall(r"/\*.*?Moves:.*?\*/", beside[-1].read_text(), re.S)
    )  # or each by its name, in a list
    assert text, f"{relative(path)} has a table of moves and no drawing of it"
    tables = list(machines(path))
    for state in set().union(*tables):
        assert re.search(rf"\b{state}\b", text.replace("-", " "), re.I), (
            f"{relative(path)}: {state} is not in the drawing"
        )
    for left, right in drawn_moves(text):
        for table in tables:
            if left in table and right in table:
                assert right in table[left], (
                    f"{relative(path)}: the drawing moves from {left} to {right}, the table does not"
                )
