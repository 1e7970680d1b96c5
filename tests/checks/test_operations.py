"""docs/OPERATIONS.md against what it speaks of: message ids, verbs, files, links."""

import re
import shutil
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "tests" / "integration"))

from harness import wait_until  # noqa: E402
from terminal import Terminal  # noqa: E402

PAGE = re.sub(r" \\\n +", " ", (REPO / "docs" / "OPERATIONS.md").read_text())  # commands as one line


def test_every_verb_exists():
    known = set(
        re.findall(r'"(\w+)"', re.search(r"verbs\[\] = \{(.*?)\}", (REPO / "daemon" / "main.c").read_text(), re.S)[1])
    )
    named = set(
        sum(re.findall(r"(?:sudo |`|&& )sensorqd (?:-c \S+ )?(\w+)|^sensorqd (?:-c \S+ )?(status)", PAGE, re.M), ())
    ) - {""}
    assert named and named <= known


def test_build_dependencies_are_the_packages():
    control = (REPO / "debian" / "control").read_text()
    wanted = set(
        re.findall(r"[\w.-]+", re.sub(r"\(.*?\)|:any", "", re.search(r"Build-Depends: (.*?)\n\w", control, re.S)[1]))
    ) - {"debhelper-compat"}
    named = set(re.search(r"apt install --no-install-recommends (build-essential debhelper .*)", PAGE)[1].split())
    assert named == wanted | {"build-essential", "debhelper", "git"}


def test_secrets_by_hand(tmp_path):
    """The page's lines at a terminal: what is typed is not shown, and stands in a file of its owner's."""
    lines = (
        re.search(r"<!-- secrets:.*?-->\n```sh\n(.*?)```", PAGE, re.S)[1]
        .replace("sudo ", "")
        .replace("/etc/sensorqd/credentials", str(tmp_path))
    )
    if shutil.which("systemd-ask-password") is None:
        pytest.skip("not installed: systemd-ask-password")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "pubsub-credential.json").write_text("{}")
    with Terminal(["sh", "-ec", lines], {"PATH": "/usr/bin:/bin", "TERM": "dumb"}, tmp_path / "home") as terminal:
        for prompt, secret in (("Token:", "a token"), ("Password:", "a p%ss")):
            terminal.expect(prompt)
            wait_until(lambda: not terminal.echoes(), "the echo is off")
            terminal.type(secret + "\n")
        assert terminal.end() == 0 and "a token" not in terminal.shown and "p%ss" not in terminal.shown
    assert {
        path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in tmp_path.iterdir() if path.is_file()
    } == {
        "pubsub-credential.json": ("{}", 0o600),
        "nature-remo.token": ("a token", 0o600),
        "mongodb.password": ("a p%ss", 0o600),
    }
    assert not list((tmp_path / "home").iterdir())
