"""Fault scripts: which request goes wrong, how often, and how.

A rule is a dict:
  match        regular expression searched in "METHOD TARGET", e.g. ":pull", "^POST .*:publish$", "/token", "GET /1/devices"
  times        how many matching requests it spoils (default 1; -1 = until deleted)
  after        how many matching requests it lets through first (default 0)
  probability  chance per matching request (default 1; drawn from a generator with a fixed seed)
  action       a dict with `type`:
    status    status, headers {}, body (object -> JSON, string -> as it is), content_type, retry_info "5s" (adds google.rpc.RetryInfo),
              message; applied: true does the request's work first, then answers the status all the same
    stall     seconds: no reply, then the connection closes; applied: true as above
    delay     seconds: answers late
    cut       when "before" (nothing applied), "after" (applied, no reply), "mid" (reply cut; bytes: after so many); reset: true for RST
    truncate  missing: so many bytes fewer than Content-Length says, then the connection closes
    slow      bytes_per_second
    hold      until: a threading.Event of the same process; the first half of the reply goes out, the rest when that is set
    and those which the service itself carries out, see its --help: duplicate, partial, id_count, revoke, body, ...
"""

import json
import random
import re
import threading

from services.httpd import Response

_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TYPES = {"status", "stall", "delay", "cut", "truncate", "slow", "hold"}


class Rule:
    """One rule and its counters."""

    def __init__(self, spec, own_types):
        unknown = set(spec) - {"match", "times", "after", "probability", "action"}
        if unknown:
            raise ValueError(f"unknown key in a fault rule: {', '.join(sorted(unknown))}")
        self.pattern = re.compile(spec.get("match", ""))
        self.times = spec.get("times", 1)
        self.after = spec.get("after", 0)
        self.probability = spec.get("probability", 1)
        self.action = dict(spec["action"])
        if self.action.get("type") not in _TYPES | set(own_types):
            raise ValueError(f"unknown fault type {self.action.get('type')!r}")
        self.seen = 0
        self.fired = 0

    def takes(self, line, rng):
        """Counts the request; True when this rule spoils it."""
        if not self.pattern.search(line) or self.fired == self.times:
            return False
        self.seen += 1
        if self.seen <= self.after or rng.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def describe(self):
        return {
            "match": self.pattern.pattern,
            "times": self.times,
            "after": self.after,
            "probability": self.probability,
            "action": self.action,
            "seen": self.seen,
            "fired": self.fired,
        }


class FaultScript:
    """Rules in order; the first that takes a request decides. own_types: fault types that the service carries out
    itself."""

    def __init__(self, own_types=(), seed=1):
        self._own_types = own_types
        self._rules = []
        self._lock = threading.Lock()
        self._random = random.Random(seed)

    def add(self, *rules):
        """Appends rules; ValueError when one is malformed, and then none is added."""
        fresh = [Rule(rule, self._own_types) for rule in rules]
        with self._lock:
            self._rules += fresh

    def replace(self, *rules):
        """These instead of those that there are; no request finds none of both."""
        fresh = [Rule(rule, self._own_types) for rule in rules]
        with self._lock:
            self._rules = fresh

    def clear(self):
        with self._lock:
            self._rules = []

    def drop(self, match):
        """Takes out the rules with exactly this `match`."""
        with self._lock:
            self._rules = [rule for rule in self._rules if rule.pattern.pattern != match]

    def describe(self):
        with self._lock:
            return [rule.describe() for rule in self._rules]

    def pick(self, method, target):
        """The action for this request, or None."""
        line = f"{method} {target}"
        with self._lock:
            for rule in self._rules:
                if rule.takes(line, self._random):
                    return rule.action
        return None

    @staticmethod
    def response(action):
        """The reply of a `status` action."""
        status = action.get("status", 503)
        body = action.get("body")
        if isinstance(body, str):
            return Response(status, body, action.get("headers"), action.get("content_type", "text/html; charset=UTF-8"))
        if body is None:
            body = google_error(status, action.get("message", "injected fault"), details=_retry_info(action))
        return Response(
            status,
            json.dumps(body),
            action.get("headers"),
            action.get("content_type", "application/json; charset=UTF-8"),
        )


def google_error(code, message, status=None, details=()):
    """An error body as Google's APIs write it."""
    error = {"code": code, "message": message, "status": status or _STATUS_NAMES.get(code, "UNKNOWN")}
    if details:
        error["details"] = list(details)
    return {"error": error}


def _retry_info(action):
    if "retry_info" not in action:
        return ()
    return ({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": action["retry_info"]},)
