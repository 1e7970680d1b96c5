"""docs/FIRST-STEPS.md and README.md: what they show is what the program says, and where they point is something."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PAGE = re.sub(r" \\\n +", " ", (REPO / "docs" / "FIRST-STEPS.md").read_text())  # commands as one line
WORDS = (REPO / "daemon" / "verbs" / "init-text.c").read_text() + (REPO / "docs" / "RECIPES.md").read_text()
PAGES = sorted([*REPO.glob("*.md"), *REPO.glob("docs/*.md"), *REPO.glob("docs/[!j]*/*.md")])  # in English


def test_the_transcript_is_in_the_programs_words():
    shown = re.search(r"<!-- transcript.*?```\n(.*?)```", PAGE, re.S)[1]
    for line in filter(None, map(str.strip, shown.splitlines())):
        text = re.sub(r"^\d+  | \[[^]]*\]:?$|:$| \((not shown.*?)\)(?=:|$)", "", re.sub(r"( \[[^]]*\])?:$", "", line))
        text = text.replace("Start sensorqd now", "Start {1} now")
        assert text in WORDS or f"## {text}\n" in WORDS, text


def test_options_of_the_page_exist():
    options = set(re.findall(r'\{ "([a-z-]+)", ', (REPO / "daemon" / "verbs" / "init.c").read_text()))
    line = re.search(r"^sudo sensorqd init --yes .*$", PAGE, re.M)[0]
    assert set(re.findall(r"--([a-z-]+)", line)) <= options


def anchors(text):
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
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
TITLE = re.compile(
    r"<!-- ([A-Z][^:]*?) -->\n"
)  # of a page that has some of the sections: the English title, below the Japanese one


def sections(text):
    """(level, title, code) of each section; code without its language is a transcript, which is in its own."""
    for marks, title, rest in re.findall(
        r"^(#+) (.*)\n(.*?)(?=^#+ |\Z)",
        re.sub(r"^```.*?^```", lambda code: code[0].replace("#", "\0"), text, flags=re.M | re.S),
        re.M | re.S,
    ):
        yield len(marks), title, re.findall(r"^ *```(\w+)\n(.*?)^ *```", rest, re.M | re.S), rest


@pytest.mark.parametrize("page", JAPANESE, ids=lambda page: page.name)
def test_japanese_pages_are_kept_in_step(page):
    """The same sections in the same order, the same code word by word (a transcript is in its own language), links that
    lead somewhere."""
    other = REPO / "README.md" if page.name == "README.ja.md" else REPO / "docs" / page.name
    english, japanese = other.read_text(), page.read_text()
    wanted, found = list(sections(english)), list(sections(japanese))
    if TITLE.search(japanese):
        named = [title[1] for section in found if (title := TITLE.search(section[3]))]
        wanted = wanted[:1] + [section for section in wanted if section[1] in named]
        assert [section[1] for section in wanted[1:]] == named, (
            "each section names one of the English page, in its order"
        )
    for (level, title, code, _), (ours, name, same, _) in zip(wanted, found, strict=True):
        assert (level, code) == (ours, same), f"{name} is not {title}"
    test_links_lead_somewhere(page)


def test_both_glossaries_have_the_same_words():
    english, japanese = (
        re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", (REPO / "docs" / name).read_text(), re.M)[2:]
        for name in ("GLOSSARY.md", "ja/GLOSSARY.md")
    )
    assert [(word, name) for name, word in japanese] == english


def test_the_japanese_transcript_is_in_the_programs_words():
    shown = re.search(r"^```\n(1/5.*?)```", (REPO / "docs" / "ja" / "FIRST-STEPS.md").read_text(), re.M | re.S)[1]
    for line in filter(None, map(str.strip, shown.splitlines())):
        text = re.sub(r"^\d+  | （(表示されません.*?)）$", "", re.sub(r"( \[[^]]*\])?:$", "", line)).replace(
            "sensorqd を今から", "{1} を今から"
        )
        assert text in WORDS, text
