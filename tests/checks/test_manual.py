"""The manual pages as a terminal shows them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(params=["sensorqd.8", "sensorqd.yaml.5"])
def source(request):
    if request.param == "sensorqd.8":
        return (DOCS / "sensorqd.8.scd").read_text()
    return subprocess.run(
        [sys.executable, DOCS / "man-from-page.py", DOCS / "configuration.md"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture
def page(source, tmp_path):
    """A manual page in roff, made as docs/meson.build does."""
    for program in ("scdoc", "man"):
        if shutil.which(program) is None:
            pytest.skip(f"not installed: {program}")
    path = tmp_path / source.split("\n")[0]
    roff = subprocess.run(["scdoc"], input=source, capture_output=True, text=True, check=True).stdout
    roff = re.sub(r"^(\.TH .*\n)", r"\1.nh\n", roff, flags=re.M)
    path.write_text(".pl 1000i\n" + roff)  # a terminal has no pages, which a table's cell could stand across
    return path


def shown(page):
    return subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", page],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANPAGER": "cat", "PAGER": "cat"},
    )


def test_it_is_formatted_without_a_warning(page):
    warnings = [
        line for line in shown(page).stderr.splitlines() if not line.endswith("will not fit on one page")
    ]  # a terminal has no pages
    assert not warnings


def test_names_to_be_copied_are_not_broken_by_a_hyphen(page):
    text = re.sub(r".\x08", "", shown(page).stdout)
    assert not re.search("\u2010\\n", text)
    fields = set(re.findall(r"SENSORQD_[A-Z_]+", page.read_text().replace("\\", "")))
    assert fields <= set(re.findall(r"SENSORQD_[A-Z_]+", text))


def test_the_reference_has_every_heading_and_no_markdown():
    text = subprocess.run(
        [sys.executable, DOCS / "man-from-page.py", DOCS / "configuration.md"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shown_text = text.replace("\\", "")
    keys = re.findall(r"^### `(.*?)`(.*)$", (DOCS / "configuration.md").read_text(), re.M)
    assert len(keys) > 150
    assert [key + of for key, of in keys if f"\n*{key}*{of}\n\t" not in shown_text] == []
    prose = re.sub(r"^```\n.*?^```", "", text, flags=re.M | re.S)
    assert re.findall(r".*(?:`|\]\().*", prose) == []
    # a link "page" becomes the name of a file, which has no article
    assert re.findall(r"\b(?:The|the|its) [a-z/-]+\.md\b", prose) == []


def test_a_terminal_of_80_columns_is_wide_enough(page, source):
    """A cell of a table that does not fit is broken into a column of words: a list says it instead. Only examples may
    be wider."""
    rows = re.findall(r"^\|\[ (.*)\n:\[ (.*)$", source, re.M)
    assert [row for row in rows if len("".join(row)) > 66] == []
    examples = {
        line.strip()
        for block in re.findall(r"^\t?```\n(.*?)^\t?```", source, re.M | re.S)
        for line in block.splitlines()
    }
    text = re.sub(r".\x08", "", shown(page).stdout)
    wide = [line for line in text.splitlines() if len(line) > 80 and line.strip() not in examples]
    assert wide == []
