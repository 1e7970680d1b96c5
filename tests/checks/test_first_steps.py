"""docs/FIRST-STEPS.md and README.md: what they show is what the program says, and where they point is something."""
import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "docs" / "FIRST-STEPS.md").read_text()
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
