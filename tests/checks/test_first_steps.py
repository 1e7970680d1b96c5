"""docs/FIRST-STEPS.md and README.md: what they show is what the program says, and where they point is something."""
import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PAGE = re.sub(r" \\\n +", " ", (REPO / "docs" / "FIRST-STEPS.md").read_text())  # commands as one line
WORDS = (REPO / "daemon" / "verbs" / "init-text.c").read_text() + (REPO / "docs" / "RECIPES.md").read_text()
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", REPO / "SECURITY.md", *(REPO / "docs" / name for name in ("FIRST-STEPS.md", "GLOSSARY.md", "RECIPES.md"))]


def test_the_transcript_is_in_the_programs_words():
    shown = re.search(r"<!-- transcript.*?```\n(.*?)```", PAGE, re.S)[1]
    for line in filter(None, map(str.strip, shown.splitlines())):
        text = re.sub(r"^\d+  | \[[^]]*\]:?$|:$| \((not shown.*?)\)(?=:|$)", "", re.sub(r"( \[[^]]*\])?:$", "", line))
        text = text.replace("Start sensorqd now", "Start {1} now")
        assert text in WORDS or f"## {text}\n" in WORDS, text


def test_options_of_the_page_exist():
    options = set(re.findall(r'\{ "([a-z-]+)", ', (REPO / "daemon" / "verbs" / "init-options.c").read_text()))
    line = re.search(r"^sudo sensorqd init --yes .*$", PAGE, re.M)[0]
    assert set(re.findall(r"--([a-z-]+)", line)) <= options


def anchors(text):
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text()), target


# The Japanese pages

JAPANESE = [REPO / "README.ja.md", *sorted((REPO / "docs" / "ja").glob("*.md"))]


@pytest.mark.parametrize("page", JAPANESE, ids=lambda page: page.name)
def test_japanese_pages_are_kept_in_step(page):
    """The same sections in the same order, the same code word by word (a transcript is in its own language), links that lead somewhere."""
    other = REPO / "README.md" if page.name == "README.ja.md" else REPO / "docs" / page.name
    english, japanese = other.read_text(), page.read_text()
    levels = [[len(marks) for marks in re.findall(r"^(#+) ", text, re.M)] for text in (english, japanese)]
    assert levels[0] == levels[1]
    code = [re.findall(r"^```(\w+)\n(.*?)^```", text, re.M | re.S) for text in (english, japanese)]
    assert code[0] == code[1]
    test_links_lead_somewhere(page)


def test_the_japanese_transcript_is_in_the_programs_words():
    shown = re.search(r"^```\n(1/5.*?)```", (REPO / "docs" / "ja" / "FIRST-STEPS.md").read_text(), re.M | re.S)[1]
    for line in filter(None, map(str.strip, shown.splitlines())):
        text = re.sub(r"^\d+  | （(表示されません.*?)）$", "", re.sub(r"( \[[^]]*\])?:$", "", line)).replace("sensorqd を今から", "{1} を今から")
        assert text in WORDS, text
