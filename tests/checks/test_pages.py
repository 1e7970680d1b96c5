"""The pages as a terminal and an editor show them: lines of at most 100 columns."""

import re
import unicodedata
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
WIDEST = 100
ANYWHERE = {  # what a program prints, or what only machines read
    "configuration.md": r"/etc/sensorqd/sensorqd\.yaml:9:17: ",
    "FIRST-STEPS.md": r"  (Address|接続先).* \[mongodb://",
    "RECIPES.md": r"<!-- ",
}
PAGES = sorted([*REPO.glob("*.md"), *REPO.glob("docs/**/*.md"), REPO / "config" / "sensorqd.yaml"])


def columns(text):
    """Japanese takes two for a character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_lines_fit(page):
    wide = [
        f"{page.name}:{number}: {columns(line)} columns: {line}"
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if columns(line) > WIDEST and not re.match(ANYWHERE.get(page.name, "$."), line)
    ]
    assert not wide, "break the line, or make a list of the table:\n" + "\n".join(wide)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_blocks_for_a_shell_have_a_command(page):
    """Not only the comment that says what it would do."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.M | re.S):
        assert re.search(r"^ *[^#\s]", block, re.M), block


def test_figures_are_figures():
    """Nothing that was to be filled in stands in place of a figure."""
    lists = re.findall(r"^- .*?(?=^\S|\Z)", (REPO / "docs" / "PERFORMANCE.md").read_text(), re.M | re.S)
    figures = [
        figure for text in lists for part in re.findall(r"\*\*(.+?)\*\*", text, re.S) for figure in part.split(";")
    ]
    assert len(figures) > 50
    assert [figure for figure in figures if re.fullmatch(r"\s*[A-Z]{4,}\s*", figure)] == []


def test_the_index_has_all_pages():
    """docs/README.md, and the Japanese one, whose pages are Japanese where there is one."""
    docs = REPO / "docs"
    pages = {
        page
        for pattern in ("*.md", "*.scd", "sources/*.md", "sinks/*.md", "models/*.md")
        for page in docs.glob(pattern)
    } - {docs / "README.md"}
    for index in (docs, docs / "ja"):
        links = {(index / link).resolve() for link in re.findall(r"\]\(([^)#]+)", (index / "README.md").read_text())}
        assert all(path.exists() for path in links)
        wanted = {index / page.name if page.parent == docs and (index / page.name).exists() else page for page in pages}
        assert wanted <= links, wanted - links


def test_examples_have_keys_of_their_type():
    """What a page shows of a source is known to its type: an unknown key is an error, and the service does not
    start."""
    known = re.findall(
        r"^### `publish\.sources\[\]\.(\w+)`(?: \((\w+)\))?", (REPO / "docs" / "configuration.md").read_text(), re.M
    )
    for page in sorted((REPO / "docs" / "sources").glob("*.md")):
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.M | re.S):
            for entry in re.split(r"^    - ", block, flags=re.M)[1:]:
                kind = re.search(r"^ *type: (\w+)", entry, re.M)[1]
                keys = re.findall(r"^(?:      )?(\w+):", entry, re.M)
                assert {key for key in keys if not {(key, ""), (key, kind)} & set(known)} == set(), (
                    f"{page.name}, {kind}"
                )


def test_drop_ins_are_those_of_the_page():
    """What the pages show is what the package has, and what tests/system tries."""
    shown = re.findall(
        r"^```ini\n(.*?)^```",
        "".join((REPO / "docs" / page).read_text() for page in ("sources/exec.md", "OPERATIONS.md")),
        re.M | re.S,
    )
    shipped = [
        re.sub(r"^#.*\n", "", path.read_text(), flags=re.M) for path in (REPO / "systemd/drop-ins").glob("*.conf")
    ]
    assert sorted(shown) == sorted(shipped)
    tried = (REPO / "tests/system/test_drop_ins.py").read_text()
    assert all(f'"{path.stem}"' in tried for path in (REPO / "systemd/drop-ins").glob("*.conf"))
