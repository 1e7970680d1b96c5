"""P1, P2, P3 as the kernel sees them. A run is traced; for each moment that matters, the outbox is rebuilt as a power
cut would leave it: what was written before the last sync, and nothing else."""

import codecs
import contextlib
import json
import re
import shutil
import sqlite3

import pytest
from conftest import service_queue
from harness import wait_until
from services.pubsub import PubSub

CALLS = (
    "openat,close,dup,dup2,pwrite64,write,writev,fsync,fdatasync,ftruncate,unlink,unlinkat,connect,sendto,sendmsg,recvfrom,recvmsg,read,"
    "epoll_wait,epoll_pwait,epoll_pwait2"
)
FILES = ("outbox.sqlite", "outbox.sqlite-wal")
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\.\.\.)?')
_KEY = re.compile(rb"[0-9TZ:.-]+:home:[0-9a-f-]{36}:[0-9a-f]{16}")
_STATUS = re.compile(rb"STATUS=.*?(\d+) readings? queued")


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

    @property
    def data(self):
        """The bytes that it carried."""
        parts = _STRING.findall(self.arguments)
        assert not any(cut for _, cut in parts), "the trace holds only a part of it"
        return b"".join(codecs.escape_decode(text.encode())[0] for text, _ in parts)

    @property
    def sends(self):
        return self.name in ("sendto", "sendmsg", "write", "writev")

    @property
    def receives(self):
        return self.name in ("recvfrom", "recvmsg", "read") and (self.result or 0) > 0


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
                call.arguments = call.arguments.removesuffix(" <unfinished ...>") + match[3]
                call.ended = place
    return calls


def descriptors(calls, suffix):
    """What file each write and sync is about: [(call, is it that file)], following opens and closes."""
    ours = set()
    for call in calls:
        if call.name == "openat" and call.result is not None and call.result >= 0:
            ours.discard(call.result)
            if suffix + '"' in call.arguments:
                ours.add(call.result)
        elif call.name == "close":
            ours.discard(call.fd)
        yield call, call.fd in ours


class Disk:
    """The outbox's files as the trace made them."""

    def __init__(self, calls, directory):
        self._directory = directory
        self._changes = [(call, name) for name in FILES for call, ours in descriptors(calls, name) if ours]
        self._changes.sort(key=lambda change: change[0].began)

    def keys(self, place, synced=True):
        """The keys of the readings in it, had the power failed there; not synced: had the kernel written everything by
        itself."""
        image = {name: bytearray() for name in FILES}
        waiting = {name: [] for name in FILES}
        for call, name in self._changes:
            if call.ended is None or call.ended >= place:
                break
            if call.name in ("fsync", "fdatasync"):
                assert call.result == 0
                _apply(image[name], waiting[name])
                waiting[name] = []
            elif call.name in ("pwrite64", "ftruncate"):
                waiting[name].append(call)
            else:
                assert call.name in ("read", "openat", "close"), call.name
        if not synced:
            for name in FILES:
                _apply(image[name], waiting[name])
        return self._read(image)

    def _read(self, image):
        self._directory.mkdir(exist_ok=True)
        for name in (*FILES, "outbox.sqlite-shm"):
            (self._directory / name).unlink(missing_ok=True)
            if image.get(name):
                (self._directory / name).write_bytes(image[name])
        with contextlib.closing(sqlite3.connect(self._directory / "outbox.sqlite")) as database:
            return {key.encode() for (key,) in database.execute("SELECT CAST(key AS TEXT) FROM readings")}


def _apply(image, changes):
    for call in changes:
        if call.name == "ftruncate":
            size = int(call.arguments.split(",")[1].split(")")[0])
            del image[size:]
            image.extend(bytes(size - len(image)))
            continue
        data, at = call.data, int(re.search(r", (\d+)\) += ", call.arguments)[1])
        assert call.result == len(data)
        image.extend(bytes(max(0, at - len(image))))
        image[at : at + len(data)] = data


class Exchange:
    """A request and its answer on one connection."""

    def __init__(self, first, request, replies):
        self.began, self.request, self.reply = first.began, request, b"".join(call.data for call in replies)
        self.answered = replies[-1].ended if replies else None


def exchanges(calls, marker):
    """Those whose request has that in its first bytes."""
    found = []
    for index, call in enumerate(calls):
        if not call.sends or marker not in call.data:
            continue
        request, replies = call.data, []
        for later in calls[index + 1 :]:
            if later.fd != call.fd or later.thread != call.thread:
                continue
            if later.receives:
                replies.append(later)
            elif later.sends and not replies:
                request += later.data
            elif later.sends or later.name in ("close", "connect"):
                break
        found.append(Exchange(call, request, replies))
    return found


def body(message):
    """The JSON of an HTTP message."""
    return json.loads(message.split(b"\r\n\r\n", 1)[1])


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
        stack.daemon.env["ASAN_OPTIONS"] = (
            "detect_leaks=0:abort_on_error=1"  # which looks for leaks by tracing, as strace does
        )
        stack.daemon.wrapper = ["strace", "-D", "-f", "-q", "-s", "200000", "-o", str(trace), "-e", f"trace={CALLS}"]
        stack.daemon.start()
        stack.wait_count(9, patience=60)
        for kind, n in (
            ("publish", 4),
            ("ack", 3),
        ):  # of a slow machine some polls are published together; the answer to the last one may not be heard
            wait_until(lambda: len(service.log.since(0, kind)) >= n, f"{n} x {kind}")  # noqa: B023
        assert stack.daemon.stop() == 0
        wait_until(lambda: "+++ exited with 0 +++" in trace.read_text(errors="replace"), "the end of the trace")
        stack.calls = read_trace(trace)
        stack.disk = Disk(stack.calls, tmp_path / "power-cut")
        yield stack


def test_a_power_cut_finds_what_is_due_on_the_disk(traced):
    calls, disk = traced.calls, traced.disk
    publishes = exchanges(calls, b":publish HTTP")
    answered = [publish for publish in publishes if b"messageIds" in publish.reply]
    assert len(answered) >= 3
    syncs = [
        call
        for call, ours in descriptors(calls, "outbox.sqlite-wal")
        if ours and call.name == "fdatasync" and call.result == 0
    ]
    returned = {}  # readings whose ids have come back, and when
    for publish in publishes:
        keys = set(_KEY.findall(publish.request))
        assert keys
        put = max((sync.began for sync in syncs if sync.began < publish.began), default=-1)
        gone = {key for key, answered in returned.items() if answered < put}
        # P1: before the first byte leaves, the readings are there whatever happens
        assert keys <= disk.keys(publish.began), "published before it was synced"
        # what was forgotten is gone for good with the next put
        assert not gone & disk.keys(publish.began), (
            "a power cut brings back what was published, and the next readings have been put already"
        )
        if publish in answered:
            # P2: until the ids are there nothing is forgotten, not even in what the kernel might write by itself
            assert keys <= disk.keys(publish.answered, synced=False), "forgotten before the ids came"
            returned.update(dict.fromkeys(keys, publish.answered))
    assert not returned.keys() & disk.keys(calls[-1].began + 1)

    # of what the service manager is told of the outbox nothing is missing after a power cut; what was forgotten since
    # the last put may be back
    told = [
        (call, match) for call in calls if call.name in ("sendmsg", "sendto") and (match := _STATUS.search(call.data))
    ]
    assert told
    for call, match in told:
        assert len(disk.keys(call.began, synced=False)) == int(match[1]), match[0]
        assert disk.keys(call.began, synced=False) <= disk.keys(call.began), "told, and gone after a power cut"


def test_one_sync_for_each_poll(traced):
    """synchronous=FULL for what is put, which is synced before anything else is done; NORMAL for what is forgotten: the
    next put's sync covers it."""
    unsynced, syncs, main = set(), 0, traced.calls[0].thread
    publishes = exchanges(traced.calls, b":publish HTTP")
    first, last = publishes[0].began, publishes[-1].began
    polls = [
        poll for poll in exchanges(traced.calls, b"GET /1/devices") if poll.answered and first < poll.answered < last
    ]
    for call, ours in descriptors(traced.calls, "outbox.sqlite-wal"):
        if ours and call.name == "pwrite64":
            unsynced |= set(_KEY.findall(call.data))
        elif ours and call.name == "fdatasync" and call.result == 0:
            unsynced = set()
            syncs += first < call.began < last
        elif unsynced and call.thread == main:
            assert not call.name.startswith("epoll") and not call.sends, call.arguments[:120]
    assert syncs <= len(polls) + 1, "a sync for each poll, and none for what is forgotten"


def test_acknowledged_after_the_journaled_majority(traced):
    """P3: of each message that is acknowledged, MongoDB has confirmed the insert, with majority and journal, before the
    first byte."""
    calls, names = traced.calls, {}
    for pull in exchanges(calls, b":pull HTTP"):
        if b"receivedMessages" in pull.reply:
            names.update(
                {
                    received["ackId"]: received["message"]["attributes"]["idempotency_key"]
                    for received in body(pull.reply)["receivedMessages"]
                }
            )
    confirmed = {}  # key -> place of the confirmation
    for insert in exchanges(calls, b"insert\0"):
        durable = b"w\0\x09\0\0\0majority\0" in insert.request and b"\x08j\0\x01" in insert.request
        good = (
            b"\x01ok\0\0\0\0\0\0\0\xf0?" in insert.reply
            and b"writeErrors" not in insert.reply
            and b"writeConcernError" not in insert.reply
        )
        if durable and good:
            confirmed.update({key.decode(): insert.answered for key in _KEY.findall(insert.request)})
    acknowledges = exchanges(calls, b":acknowledge HTTP")
    assert len(acknowledges) >= 3
    for acknowledge in acknowledges:
        ids = body(acknowledge.request)["ackIds"]
        assert ids
        for identity in ids:
            assert confirmed[names[identity]] < acknowledge.began, "acknowledged before MongoDB had confirmed it"


def test_new_outbox_is_in_its_directory_before_anything_is_published(traced):
    """A file whose directory entry is not synced is gone after a power cut."""
    calls = traced.calls
    publish = exchanges(calls, b":publish HTTP")[0]
    synced = [
        call
        for call, ours in descriptors(calls, str(traced.daemon.state))
        if ours and call.name in ("fsync", "fdatasync") and call.result == 0
    ]
    assert synced and synced[0].began < publish.began
