"""P1, P2, P3 as the kernel sees them: what is on the disk, and what MongoDB has said, before the next step is taken."""
import contextlib
import re
import shutil
import sqlite3

import pytest
from conftest import service_queue
from harness import wait_until
from services.pubsub import PubSub

CALLS = ("openat,close,dup,dup2,pwrite64,write,writev,fsync,fdatasync,ftruncate,unlink,unlinkat,connect,sendto,sendmsg,recvfrom,recvmsg,read,"
         "epoll_wait,epoll_pwait,epoll_pwait2")
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")


class Call:
    """One system call: *began* and *ended* are places in the order of the trace."""

    def __init__(self, thread, name, arguments, began):
        self.thread, self.name, self.arguments, self.began, self.ended = thread, name, arguments, began, None

    @property
    def fd(self):
        match = re.match(r"(\d+)", self.arguments)
        return int(match[1]) if match else None

    @property
    def result(self):
        match = re.search(r"\) += (-?\d+)", self.arguments)
        return int(match[1]) if match else None


def read_trace(path):
    """Calls in the order in which they began."""
    calls, open_calls = [], {}
    for place, line in enumerate(path.read_text(errors="replace").splitlines()):
        if match := _CALL.match(line):
            call = Call(match[1], match[2], match[3], place)
            calls.append(call)
            if "<unfinished ...>" in line:
                open_calls[match[1]] = call
            else:
                call.ended = place
        elif match := _RESUMED.match(line):
            call = open_calls.pop(match[1], None)
            if call:
                call.arguments += match[3]
                call.ended = place
    return calls


def descriptors(calls, suffix):
    """What file each write and sync is about: [(call, is it that file)], following opens and closes."""
    ours = set()
    for call in calls:
        if call.name == "openat" and call.result is not None and call.result >= 0:
            ours.discard(call.result)
            if suffix in call.arguments:
                ours.add(call.result)
        elif call.name == "close":
            ours.discard(call.fd)
        yield call, call.fd in ours


def unsynced(calls, suffix, steps):
    """The calls for which steps(call) is true while something written to that file is not synced."""
    dirty, bad = False, []
    for call, ours in descriptors(calls, suffix):
        if ours and call.name in ("pwrite64", "write", "writev"):
            dirty = True
        elif ours and call.name in ("fsync", "fdatasync") and call.result == 0:
            dirty = False
        elif steps(call) and dirty:
            bad.append(call.arguments[:120])
    return bad


def sends(call, text):
    return call.name in ("sendto", "sendmsg", "write", "writev") and text in call.arguments


@pytest.fixture
def traced(tmp_path, make_stack, shared_mongodb, remo):
    """A run of some polls under strace, over plain http so that the bytes are to be seen; ended by SIGTERM."""
    if shutil.which("strace") is None:
        pytest.skip("not installed: strace")
    with PubSub(auth=True) as service:
        queue = service_queue(service, tmp_path / "keys")
        queue.create(ackDeadlineSeconds=60)
        stack = make_stack(queue, shared_mongodb, remo, interval_msec=500)
        trace = tmp_path / "trace"
        stack.daemon.wrapper = ["strace", "-D", "-f", "-q", "-s", "600", "-o", str(trace), "-e", f"trace={CALLS}"]
        stack.daemon.start()
        stack.wait_count(9, patience=60)
        mode = sqlite3.connect(stack.daemon.state / "outbox.sqlite")
        with contextlib.closing(mode):
            assert mode.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert stack.daemon.stop() == 0
        wait_until(lambda: "+++ exited with 0 +++" in trace.read_text(errors="replace"), "the end of the trace")
        stack.calls = read_trace(trace)
        yield stack


def test_order_of_disk_queue_and_mongodb(traced):
    calls = traced.calls
    publishes = [call for call in calls if sends(call, ":publish HTTP")]
    acknowledges = [call for call in calls if sends(call, ":acknowledge HTTP")]
    inserts = [call for call in calls if sends(call, "insert\\0") and "readings\\0" in call.arguments]
    assert len(publishes) >= 3 and len(acknowledges) >= 3 and len(inserts) >= 3, (len(publishes), len(acknowledges), len(inserts))

    # P1: the rows are synced before the first byte of them leaves
    wal = [call for call, ours in descriptors(calls, "outbox.sqlite-wal") if ours]
    assert any(call.name == "pwrite64" for call in wal) and any(call.name == "fdatasync" for call in wal)
    assert unsynced(calls, "outbox.sqlite-wal", lambda call: sends(call, ":publish HTTP")) == []
    first = next(call.began for call in wal if call.name == "fdatasync")
    assert first < publishes[0].began

    # synchronous=FULL: no turn of the loop ends with an unsynced transaction, neither a put nor a forget
    main = calls[0].thread
    assert unsynced(calls, "outbox.sqlite-wal", lambda call: call.name.startswith("epoll") and call.thread == main) == []

    # P2: nothing is forgotten before the queue has answered
    for publish in publishes:
        later = [call for call in calls if call.began > publish.ended]
        reply = next(call for call in later if call.name in ("recvfrom", "read") and call.fd == publish.fd and "HTTP/1.1 200" in call.arguments)
        assert not [call for call in wal if call.name == "pwrite64" and publish.ended < call.began < reply.began and "DELETE" in call.arguments]

    # P3: an insert's reply has come before each acknowledgement
    for acknowledge in acknowledges:
        before = [call for call in inserts if call.began < acknowledge.began]
        assert before
        insert = before[-1]
        replies = [call for call in calls if call.name in ("recvfrom", "recvmsg", "read") and call.fd == insert.fd and call.began > insert.began
                   and call.ended is not None and call.ended < acknowledge.began and (call.result or 0) > 0]
        assert replies, "acknowledged before MongoDB had answered"


def test_new_outbox_is_in_its_directory_before_anything_is_published(traced):
    """A file whose directory entry is not synced is gone after a power cut."""
    calls = traced.calls
    publish = next(call for call in calls if sends(call, ":publish HTTP"))
    state = str(traced.daemon.state) + '"'
    synced = [call for call, ours in descriptors(calls, state) if ours and call.name in ("fsync", "fdatasync") and call.result == 0]
    assert synced and synced[0].began < publish.began
