"""CONTRIBUTING.md, SECURITY.md and the commands of all pages against what there is: files, steps, tests, options, verbs."""
import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
CONTRIBUTING, SECURITY = (re.sub(r" \\\n +", " ", (REPO / name).read_text()) for name in ("CONTRIBUTING.md", "SECURITY.md"))
PLACES = re.compile(r"`((?:daemon|docs|lib|systemd|tests|debian)/[\w./-]+)`")
MAIN = (REPO / "daemon" / "main.c").read_text()


@pytest.mark.parametrize("page", [CONTRIBUTING, SECURITY], ids=["CONTRIBUTING", "SECURITY"])
def test_files_named_are_there(page):
    named = PLACES.findall(page)
    made = {"tests/daemon/sensorqd"}  # by the build
    assert named and not [name for name in named if name not in made and not (REPO / name).exists()]


def test_steps_and_tests_named_exist():
    runner = (REPO / "tests" / "runner.py").read_text()
    for options in re.findall(r"tests/run((?: --?[\w-]+(?: \w+)?)*)", CONTRIBUTING):
        for option, value in re.findall(r"(--\w+)(?: (\w+))?", options):
            assert f'"{option}"' in runner, option
            assert option != "--only" or f'("{value}", ' in runner, value
    for name in re.findall(r"^meson test -C build (\w+)", CONTRIBUTING, re.M):
        assert list((REPO / "tests" / "unit").glob(f"test-{name}.c")), name
    for file, word in re.findall(r"pytest -q (\S+) -k (\w+)", CONTRIBUTING):
        assert re.search(rf"def test_\w*{word}", (REPO / file).read_text()), word


def test_options_of_programs_exist():
    for program, option in re.findall(r"`(?:sudo )?(tests/soak|tests/demo|docs/models/check) (--\w+)", CONTRIBUTING + (REPO / "docs" / "DELIVERY.md").read_text()):
        source = REPO / f"{program}.py" if (REPO / f"{program}.py").exists() else REPO / program
        assert f'"{option}"' in source.read_text(), f"{program} {option}"
    state = re.search(r"canned.py ([\w-]+)`", CONTRIBUTING)[1]
    assert f'"{state}": (' in (REPO / "tests" / "page" / "canned.py").read_text()


def test_the_exposure_is_the_one_that_is_tested():
    tested = re.search(r"^EXPOSURE = (\d+)", (REPO / "tests" / "checks" / "test_unit.py").read_text(), re.M)[1]
    assert f"`systemd-analyze security sensorqd` says {int(tested) / 10}" in " ".join(SECURITY.split())


@pytest.mark.parametrize("page", sorted([*REPO.glob("*.md"), *REPO.glob("docs/**/*.md")]), ids=lambda page: str(page.relative_to(REPO)))
def test_verbs_in_commands_exist(page):
    known = set(re.findall(r'"(\w+)"', re.search(r"verbs\[\] = \{(.*?)\}", MAIN, re.S)[1]))
    text = re.sub(r" \\\n +", " ", page.read_text())
    commands = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S) + re.findall(r"`(sudo sensorqd [^`]+)`", text)
    named = set(re.findall(r"(?:^|sudo |&& )sensorqd (?:-c \S+ )?(\w+)", "\n".join(commands), re.M))
    assert named <= known, named - known
