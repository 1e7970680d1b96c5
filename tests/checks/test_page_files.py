"""The files of the web page keep to the policy that the daemon sends, and are of a size to be read."""

import re
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "daemon" / "page"
FILES = sorted(path for path in PAGE.iterdir() if path.suffix in (".html", ".css", ".js"))
sys.path.append(str(PAGE))

from embed import packed, served  # noqa: E402

SCRIPTS = [path for path in FILES if path.suffix == ".js"]
# What would run, or draw, what somebody else wrote.
FORBIDDEN = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setTimeout\(['\"]|\.style\b|javascript:|localStorage|sessionStorage|document\.cookie"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path):
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]+\.", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_comes_from_outside_can_only_become_text(path):
    assert not re.search(FORBIDDEN, path.read_text())
    assert len(path.read_text().splitlines()) <= 450


def test_no_script_or_style_stands_in_the_html():
    text = (REPO / "daemon" / "page" / "page.html").read_text()
    assert not re.search(r"<style|\bstyle=|\son\w+=|<script(?![^>]*src=)", text)


def test_every_file_is_compiled_in():
    build = (REPO / "daemon" / "meson.build").read_text()
    assert [path.name for path in FILES if f"'page/{path.name}'" not in build] == []


def test_first_view_is_small():
    assert sum(len(packed(served(path))) for path in FILES) <= 40_000


def test_only_comments_and_indentation_are_not_served():
    """Line by line: what an error in a browser's console names is found in the repository."""
    for path in FILES:
        here, there = path.read_text().splitlines(), served(path).decode().splitlines()
        assert len(here) == len(there)
        left_out = [line for line, other in zip(here, there) if line.lstrip() != other]
        assert [line for line in left_out if not line.lstrip().startswith("//")] == []


def test_words_for_programs_are_documented_and_in_both_languages():
    """Each kind and remedy of status.json: daemon/trouble.c, sensorqd(8), and what the page says of it."""
    rows = re.findall(
        r'\[CAUSE_\w+\] = \{ "([a-z-]+)", (?:"([a-z-]+)"|NULL) \}', (REPO / "daemon" / "trouble.c").read_text()
    )
    assert len(rows) > 30
    manual = (REPO / "docs" / "sensorqd.8.scd").read_text()
    told = dict(re.findall(r"^\*([a-z]+)\*\n\t(.*)$", manual, re.M))
    assert [(kind, remedy) for kind, remedy in rows if remedy and f"_{remedy}_" not in told[kind]] == []
    assert "other" in told
    texts = (REPO / "daemon" / "page" / "texts.js").read_text()
    kinds = {f"is_{kind}" for kind, _ in rows}
    wanted = kinds | {f"do_{remedy}".replace("-", "_") for _, remedy in rows if remedy}
    assert [key for key in wanted if f"\n    {key}: [" not in texts] == []
    limits = re.findall(
        r"\w+=", re.search("#define CAUSE_MEMORY_PLACES (.*)", (REPO / "daemon" / "trouble.h").read_text())[1]
    )
    said = re.search(r"do_memory: \[(.*?)\]", texts, re.S)[1]
    assert len(limits) == 3 and [limit for limit in limits if said.count(limit) != 2] == []
