"""Each mutant of tests/sim/mutants still changes the lines that it is about: a simulation that does not find it is told
by a run of all only."""

import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ROWS = [
    line.split("\t")
    for line in (REPO / "tests" / "sim" / "mutants").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("name, file, expression", ROWS, ids=[row[0] for row in ROWS])
def test_changes_its_file(name, file, expression):
    path = REPO / file
    for part in re.split(r"; (?=s/)", expression):
        changed = subprocess.run(["sed", "-E", part, path], capture_output=True, text=True, check=True).stdout
        assert changed != path.read_text(), f"{name} of tests/sim/mutants: {part} changes nothing in {file}"
