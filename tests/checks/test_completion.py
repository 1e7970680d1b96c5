"""Completions of three shells: they can be read, offer what is typed most, and know every verb and option of the
program."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "tests" / "integration"))

from terminal import Terminal  # noqa: E402

FILES = {
    "bash": REPO / "config" / "sensorqd.bash-completion",
    "zsh": REPO / "config" / "_sensorqd",
    "fish": REPO / "config" / "sensorqd.fish",
}
MAIN = (REPO / "daemon" / "main.c").read_text()
VERBS = re.findall(r'"(\w+)"', re.search(r"verbs\[\] = \{(.*?)\}", MAIN, re.S)[1])
INIT = (REPO / "daemon" / "verbs" / "init.c").read_text()
OPTIONS = re.findall(r'\{ "([a-z-]+)", (?:no|required)_argument', MAIN + INIT)


@pytest.fixture(params=FILES)
def shell(request):
    if shutil.which(request.param) is None:
        pytest.skip(f"not installed: {request.param}")
    return request.param


@pytest.mark.parametrize("name", FILES)
def test_it_knows_every_verb_and_option(name):
    words = set(re.findall(r"[a-z-]{2,}", FILES[name].read_text()))
    assert {word for word in [*VERBS, *OPTIONS] if word not in words and f"--{word}" not in words} == set()


def test_the_shell_can_read_it(shell):
    run = subprocess.run([shell, "-n", FILES[shell]], capture_output=True, text=True)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_fish_offers_verbs_and_options():
    if shutil.which("fish") is None:
        pytest.skip("not installed: fish")
    script = f"source {FILES['fish']}; complete -C 'sensorqd s'; complete -C 'sensorqd status --'; complete -C 'sensorqd init --yes --d'"
    run = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True)
    words = [line.split("\t")[0] for line in run.stdout.splitlines()]
    assert {"setup", "status", "--json", "--check", "--watch", "--dry-run"} <= set(words), run.stdout + run.stderr


def test_zsh_offers_verbs():
    if shutil.which("zsh") is None:
        pytest.skip("not installed: zsh")
    with Terminal(["zsh", "-f", "-i"], {"PATH": "/usr/bin:/bin", "TERM": "dumb", "HOME": "/nonexistent"}) as terminal:
        terminal.type(f"fpath=({FILES['zsh'].parent} $fpath); autoload -Uz compinit; compinit -u -D; print rea''dy\n")
        terminal.expect("\nready")
        terminal.type("sensorqd se\t")
        terminal.expect("sensorqd setup")
        terminal.type("\x15sensorqd status --j\t")
        terminal.expect("--json")
