"""docs/OPERATIONS.md against what it speaks of: message ids, verbs, files, links."""
import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "docs" / "OPERATIONS.md").read_text()


def test_every_event_has_its_line():
    events = re.findall(r'^#define EVENT_(\w+) "([0-9a-f]{32})"', (REPO / "daemon" / "events.h").read_text(), re.M)
    lines = re.findall(r"^\| (\w+) \| ([0-9a-f]{32}) \| \S.* \|$", PAGE, re.M)
    assert sorted(lines) == sorted(events)


def test_every_verb_exists():
    known = set(re.findall(r'"(\w+)"', re.search(r"verbs\[\] = \{(.*?)\}", (REPO / "daemon" / "main.c").read_text(), re.S)[1]))
    named = set(sum(re.findall(r"(?:sudo |`|&& )sensorqd (?:-c \S+ )?(\w+)|^sensorqd (?:-c \S+ )?(status)", PAGE, re.M), ())) - {""}
    assert named and named <= known


def test_build_dependencies_are_the_packages():
    control = (REPO / "debian" / "control").read_text()
    wanted = set(re.findall(r"[\w.-]+", re.sub(r"\(.*?\)|:any", "", re.search(r"Build-Depends: (.*?)\n\w", control, re.S)[1]))) - {"debhelper-compat"}
    named = set(re.search(r"apt install --no-install-recommends (build-essential debhelper .*)", PAGE)[1].split())
    assert named == wanted | {"build-essential", "debhelper", "git"}


def test_links_lead_somewhere():
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", PAGE, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("http"):
            assert (REPO / "docs" / target).exists(), target
