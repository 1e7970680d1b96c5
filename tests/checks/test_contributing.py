"""CONTRIBUTING.md, SECURITY.md and the commands of all pages against what there is: files, steps, tests, options,
verbs."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
CONTRIBUTING, SECURITY = (
    re.sub(r" \\\n +", " ", (REPO / name).read_text()) for name in ("CONTRIBUTING.md", "SECURITY.md")
)
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
    for program, option in re.findall(
        r"`(?:sudo )?(tests/soak|tests/demo|docs/models/check) (--\w+)",
        CONTRIBUTING + (REPO / "docs" / "DELIVERY.md").read_text(),
    ):
        source = REPO / f"{program}.py" if (REPO / f"{program}.py").exists() else REPO / program
        assert f'"{option}"' in source.read_text(), f"{program} {option}"
    state = re.search(r"canned.py ([\w-]+)`", CONTRIBUTING)[1]
    assert f'"{state}": (' in (REPO / "tests" / "page" / "states.py").read_text()


def test_the_exposure_is_the_one_that_is_tested():
    tested = re.search(r"^EXPOSURE = (\d+)", (REPO / "tests" / "checks" / "test_unit.py").read_text(), re.M)[1]
    assert f"`systemd-analyze security sensorqd` says {int(tested) / 10}" in " ".join(SECURITY.split())


@pytest.mark.parametrize(
    "page", sorted([*REPO.glob("*.md"), *REPO.glob("docs/**/*.md")]), ids=lambda page: str(page.relative_to(REPO))
)
def test_verbs_in_commands_exist(page):
    known = set(re.findall(r'"(\w+)"', re.search(r"verbs\[\] = \{(.*?)\}", MAIN, re.S)[1]))
    text = re.sub(r" \\\n +", " ", page.read_text())
    commands = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S) + re.findall(r"`(sudo sensorqd [^`]+)`", text)
    named = set(re.findall(r"(?:^|sudo |&& )sensorqd (?:-c \S+ )?(\w+)", "\n".join(commands), re.M))
    assert named <= known, named - known


# gcloud's reference (cloud.google.com/sdk/gcloud/reference): its commands that we name, how many arguments each takes,
# and the flags that we use of it.
GCLOUD = {
    "auth application-default login": (0, {"impersonate-service-account"}),
    "auth login": (0, set()),
    "config set project": (1, set()),
    "billing accounts list": (0, set()),
    "billing projects link": (1, {"billing-account"}),
    "projects create": (1, set()),
    "projects add-iam-policy-binding": (1, {"member", "role"}),
    "services enable": (1, {"project"}),
    "iam service-accounts create": (1, {"project"}),
    "iam service-accounts keys create": (1, {"iam-account"}),
    "iam service-accounts keys delete": (1, {"iam-account"}),
    "iam service-accounts keys list": (0, {"iam-account"}),
    "pubsub topics create": (1, {"project"}),
    "pubsub topics delete": (1, set()),
    "pubsub topics add-iam-policy-binding": (1, {"project", "member", "role"}),
    "pubsub subscriptions create": (
        1,
        {"project", "topic", "ack-deadline", "message-retention-duration", "expiration-period", "message-filter"},
    ),
    "pubsub subscriptions delete": (1, set()),
    "pubsub subscriptions update": (1, {"ack-deadline", "message-retention-duration"}),
    "pubsub subscriptions add-iam-policy-binding": (1, {"project", "member", "role"}),
}


def gcloud_lines():
    for page in sorted([*REPO.glob("*.md"), *REPO.glob("docs/**/*.md"), *REPO.glob("docs/*.scd")]):
        text = re.sub(r" \\\n +", " ", page.read_text())
        yield from (
            (page.name, line)
            for line in re.findall(
                r"^(gcloud .*)$", "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S)), re.M
            )
        )
        yield from ((page.name, re.sub(r"\s+", " ", line)) for line in re.findall(r"`(gcloud [a-z]+ [^`]+)`", text))
    for source in sorted(REPO.glob("daemon/**/*.c")):
        text = re.sub(r'"\s*\n\s*"', "", source.read_text()).replace("\\n", "\n")
        for line in re.findall(r"(?<=[ (])gcloud (?!login)[a-z]+ [^\"`)\n]+", text):
            yield source.name, line.replace("pubsub %s add", "pubsub topics add")


@pytest.mark.parametrize("place, line", sorted(set(gcloud_lines())), ids=lambda text: str(text)[:60])
def test_gcloud_takes_the_line(place, line):
    words = line.split("#")[0].split()[1:]
    command = max((name for name in GCLOUD if " ".join(words).startswith(name)), key=len, default=None)
    assert command, f"{place}: {line}"
    arguments, flags, rest = 0, set(), iter(words[len(command.split()) :])
    for word in rest:
        if word.startswith("--"):
            flags.add(word[2:].partition("=")[0])
            if "=" not in word:
                next(rest, None)
        else:
            arguments += 1
    assert flags <= GCLOUD[command][1] and arguments == GCLOUD[command][0], f"{place}: {line}"
