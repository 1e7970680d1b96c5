"""The benchmark's --peer: another program that ends at once, fails or cannot be started is reported, and holds nothing
up."""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import drain  # noqa: E402
import measure  # noqa: E402
import stack  # noqa: E402

MESSAGES = 10


class Tap:
    """Stands for mongo-tap: nothing is ever confirmed."""

    port = 9

    def __init__(self, *_):
        pass

    def wait(self, word, patience):
        time.sleep(0.01)
        raise stack.Broken(word)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def bench(monkeypatch):
    """Servers that no peer reaches."""
    real = SimpleNamespace(
        pubsub_port=9, mongo_port=9, fresh=lambda: ("topic", "subscription", "collection"), count=lambda *_: 0
    )
    real.start = lambda: real
    monkeypatch.setattr(stack, "Tool", Tap)
    monkeypatch.setattr(stack, "run_tool", lambda *_: None)
    return SimpleNamespace(build=None, real=real)


@pytest.mark.parametrize(
    "command, words",
    [
        ("true", "it ended with exit code 0"),
        ("exit 3", "it ended with exit code 3"),
        (
            "echo cannot log in to {mongodb} >&2; exit 1",
            "it ended with exit code 1 cannot log in to mongodb://127.0.0.1:9/",
        ),
        ("/nowhere/no-such-program", "it ended with exit code 127"),
        ("kill -9 $$", "it ended with exit code -9"),
        ("sleep 600 & exit 5", "it ended with exit code 5"),
    ],
)
def test_peer_that_ends(bench, command, words):
    began = time.monotonic()
    row = drain.drain_peer(bench, MESSAGES, command, None)
    assert time.monotonic() - began < 60
    assert row.note.startswith(f"0 of {MESSAGES} documents are there: {words}"), row.note
    assert row.rate == 0 and row.cpu >= 0 and row.rss >= 0


def test_peer_that_never_ends_is_ended(bench, monkeypatch):
    peers = []
    start = stack.Peer
    monkeypatch.setattr(stack, "Peer", lambda *arguments: peers.append(start(*arguments)) or peers[-1])
    wait = drain.wait_for_peer
    monkeypatch.setattr(drain, "wait_for_peer", lambda tap, peer: wait(tap, peer, patience=0.3))
    row = drain.drain_peer(bench, MESSAGES, "sleep 600", None)
    assert "it still runs" in row.note
    assert peers[0].process.returncode is not None and measure.group(peers[0].process.pid) == []


def test_usage_of_what_ends_meanwhile(monkeypatch):
    """A process may be gone, or not be waited for, between the look at the group and the look at it."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(measure, "group", lambda _: [child, 2**22 + 1])
    assert measure.usage(child)[1] == 0
    os.waitpid(child, 0)


def test_braces_of_a_command():
    assert stack.Peer.understands("peer --mongo {mongodb} {database}.{collection} {{}}")
    for command in ("awk {print}", "peer {", "peer {}", "peer {0}"):
        assert not stack.Peer.understands(command), command
