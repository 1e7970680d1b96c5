"""The ordered event log of a test service: what a ledger test compares with the other end."""

import threading
import time


class EventLog:
    """Events are dicts with `seq` (from 1, no gaps), `mono` (CLOCK_MONOTONIC, comparable between processes), `wall` and
    `kind`."""

    def __init__(self):
        self._events = []
        self._changed = threading.Condition()

    def add(self, kind, **fields):
        self.extend([(kind, fields)])

    def extend(self, entries):
        """Appends [(kind, fields)] at one instant; returns the new events."""
        mono, wall = time.monotonic(), time.time()
        with self._changed:
            first = len(self._events) + 1
            fresh = [
                {"seq": first + i, "mono": mono, "wall": wall, "kind": kind, **fields}
                for i, (kind, fields) in enumerate(entries)
            ]
            self._events += fresh
            self._changed.notify_all()
        return fresh

    def load(self, events):
        """Takes over what an earlier process of this service had logged."""
        with self._changed:
            self._events = [{**event, "seq": i + 1} for i, event in enumerate(events)]

    def since(self, seq=0, kind=None):
        with self._changed:
            events = self._events[seq:]
        return [event for event in events if kind is None or event["kind"] == kind]

    def wait(self, predicate, timeout, since=0):
        """The first event after `since` for which predicate(event) is true, or None when the time is over."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self._events[since:]:
                    if predicate(event):
                        return event
                since = max(since, len(self._events))
                if not self._changed.wait(max(0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    return None
