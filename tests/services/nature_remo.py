"""The Nature Remo cloud API: GET /1/devices with bearer token, rate limit headers and a ledger of what was served.

Scenarios: default (a Remo 3, a mini, an E lite), edge (every quirk known: null and missing fields, unknown keys, blanks
and Japanese in names, a nano, integers and floats, offline, null sensor), null (the body is `null`), empty (`[]`), or N
devices (--devices N). In each served body te.val differs from all earlier ones, so that a reading can be told from
every other one.

Control API under /_control/ (no token, no faults): faults and log as in services/service.py, and
  GET   served    {"served": [{seq, poll, mono, wall, device, newest_events, complete}]}, ?since=SEQ; complete says whether the whole body
                  went out on the wire
  POST  options   change at run time: token, scenario, limit, window, date_skew, rate_headers
  POST  devices   {"devices": [...]}: serve exactly this list, or {"generate": N}
Fault types of its own: body (status, content_type, body: string or JSON, repeat: so many times), e.g. garbage or a huge
reply with 200.
"""

import json
import sys
import threading
import time
import uuid
from email.utils import formatdate
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services import service  # noqa: E402
from services.httpd import Response  # noqa: E402

SCENARIOS = ("default", "edge", "null", "empty")
DEFAULT_TOKEN = "nature-test-token"
_NAMESPACE = uuid.UUID("7d5e1c38-0000-4000-8000-000000000000")


class NatureRemo(service.HttpService):
    """The service. Options are attributes, changeable any time; `devices` (a list) overrides the scenario."""

    fault_types = ("body",)

    def __init__(
        self,
        port=0,
        cert=None,
        key=None,
        token=DEFAULT_TOKEN,
        scenario="default",
        devices=None,
        limit=30,
        window=300.0,
        date_skew=0.0,
        rate_headers=True,
    ):
        super().__init__(port, cert, key)
        self.token = token
        self.scenario = scenario
        self.devices = generate(devices) if isinstance(devices, int) else devices
        self.limit = limit
        self.window = window
        self.date_skew = date_skew
        self.rate_headers = rate_headers
        self._lock = threading.Lock()
        self._polls = 0
        self._under_way = 0
        self._served = []
        self._window_end = 0.0
        self._used = 0
        self.controls.update(served=self._control_served, options=self._control_options, devices=self._control_devices)

    def served(self, since=0):
        """The ledger: one entry for each device in each body."""
        with self._lock:
            return [dict(entry) for entry in self._served[since:]]

    def polls(self):
        """How many lists of devices were asked for so far; the `poll` of the next ledger entries is higher."""
        with self._lock:
            return self._polls

    def under_way(self):
        """How many lists of devices are made and not yet in the ledger."""
        with self._lock:
            return self._under_way

    def fall_silent(self):
        """No more readings: from when this returns, the ledger has all that there will be until `devices` or `scenario`
        say otherwise."""
        self.scenario, self.devices = "empty", None
        service.wait_until(lambda: self.under_way() == 0, 60)

    def handle(self, request):
        remaining, reset = self._count()
        headers = {"Date": formatdate(time.time() + self.date_skew, usegmt=True)}
        if self.rate_headers:
            headers.update(
                {
                    "X-Rate-Limit-Limit": str(self.limit),
                    "X-Rate-Limit-Remaining": str(max(0, remaining)),
                    "X-Rate-Limit-Reset": str(int(reset)),
                }
            )
        fault = request.fault or {}
        if fault.get("type") == "body":
            return _fault_body(fault, headers)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _error(401001, "Unauthorized", headers)
        if remaining < 0:
            return _error(429001, "Too Many Requests", headers)
        if (request.method, request.path) != ("GET", "/1/devices"):
            return _error(404001, "Not Found", headers)
        return self._devices(headers)

    def _count(self):
        """Takes one request from the window; returns what remains (-1: none was left) and when the window ends."""
        now = time.time()
        with self._lock:
            if now >= self._window_end:
                self._window_end, self._used = now + self.window, 0
            remaining = self.limit - self._used - 1
            self._used = min(self.limit, self._used + 1)
            return remaining, self._window_end

    def _devices(self, headers):
        with self._lock:
            self._polls += 1
            self._under_way += 1
            poll = self._polls
        devices = self._body(poll)
        entries = [
            {"poll": poll, "device": device.get("id"), "newest_events": device.get("newest_events")}
            for device in devices or []
        ]
        return Response.json(
            devices, headers=headers, indent=None, on_sent=lambda complete: self._record(entries, complete)
        )

    def _body(self, poll):
        if self.devices is not None:
            return [evolve(device, poll, index) for index, device in enumerate(self.devices)]
        if self.scenario == "null":
            return None
        templates = {"default": default_devices, "edge": edge_devices, "empty": list}[self.scenario]()
        return [evolve(device, poll, index) for index, device in enumerate(templates)]

    def _record(self, entries, complete):
        stamp = {"mono": time.monotonic(), "wall": time.time(), "complete": complete}
        with self._lock:
            self._under_way -= 1
            for entry in entries:
                self._served.append({"seq": len(self._served) + 1, **stamp, **entry})

    def _control_served(self, request):
        return Response.json({"served": self.served(int(request.query.get("since", 0)))}, indent=None)

    def _control_options(self, request):
        names = ("token", "scenario", "limit", "window", "date_skew", "rate_headers")
        for name, value in request.json().items():
            if name not in names or name == "scenario" and value not in SCENARIOS:
                raise ValueError(f"no such option or value: {name}={value}")
            setattr(self, name, value)
            if name in ("limit", "window"):
                self._window_end = 0.0
        return Response.json({name: getattr(self, name) for name in names})

    def _control_devices(self, request):
        spec = request.json()
        self.devices = generate(spec["generate"]) if "generate" in spec else spec["devices"]
        return Response.json({"devices": len(self.devices or [])})


def evolve(template, poll, index):
    """The device as it looks at this poll: te.val is new at each poll, hu, il and mo change now and then, each with its
    own time."""
    device = json.loads(json.dumps(template))
    events = device.get("newest_events")
    now = int(time.time())
    steps = {
        "te": (1, lambda n: _number(15 + index + n / 1000)),
        "hu": (3, lambda n: 40 + n % 30),
        "il": (2, lambda n: round(n * 1.7 % 200, 1)),
        "mo": (7, lambda n: 1),
    }
    for name, event in (events or {}).items():
        if name in steps and isinstance(event, dict) and event.get("val") == "auto":
            period, value = steps[name]
            step = poll // period
            events[name] = {**event, "val": value(step), "created_at": _utc(now - 60 * (poll % period))}
    return device


def default_devices():
    """The three models of a usual household."""
    return [
        device(
            "Living room",
            "Remo/1.14.8",
            {"te": AUTO, "hu": AUTO, "il": AUTO, "mo": AUTO},
            online=True,
            temperature_offset=-1,
        ),
        device("Bedroom", "Remo-mini/1.4.9", {"te": AUTO}),
        device("Meter", "Remo-E-lite/1.7.2", {}, online=True),
    ]


def edge_devices():
    """Devices that have broken other clients."""
    full = {"te": AUTO, "hu": AUTO}
    missing = device("No times", "Remo/1.0.62-gabbf5bd", full)
    for name in ("updated_at", "temperature_offset", "humidity_offset", "users", "mac_address"):
        del missing[name]
    no_events = device("No events", "Remo/1.14.8", {})
    del no_events["newest_events"]
    stale = {"te": {"val": 21.5, "created_at": "2023-04-11T01:02:03Z"}}
    numbers = {
        name: {"val": value, "created_at": _utc(0)}
        for name, value in (("te", 24.0), ("hu", -0.0), ("il", 1e-7), ("mo", 1))
    }
    return [
        device("Master Bedroom ", "Remo-mini/1.4.9", {"te": AUTO}),
        device("寝室のリモ🌡", "Remo/1.14.8", full),
        device('Quote " back \\ tab \t', "Remo/1.14.8", full),
        device("Nano", "Remo-nano/1.0.0", {}),
        device("Null events", "Remo/1.14.8", None),
        device("Null sensor", "Remo/1.14.8", {"te": AUTO, "hu": None}),
        device(
            "Null offsets", "Remo/1.14.8", full, temperature_offset=None, humidity_offset=None, online=None, users=None
        ),
        device("Unknown field", "Remo/3.0.0", full, floor={"level": 2, "tags": ["a", {"b": None}]}),
        device(
            "Unknown events",
            "Remo/3.0.0",
            {"te": AUTO, "co2": {"val": 612, "created_at": _utc(0), "unit": "ppm"}, "x.y$z": {"val": True}},
        ),
        device("Offline for ever", "Remo/1.0.77", stale, online=False),
        device("Numbers", "Remo/1.14.8", numbers),
        device("", "Remo/1.14.8", {}),
        missing,
        no_events,
    ]


def generate(count):
    """So many devices of the model Remo 3."""
    return [device(f"Room {i}", "Remo/1.14.8", {"te": AUTO, "hu": AUTO, "il": AUTO, "mo": AUTO}) for i in range(count)]


AUTO = {"val": "auto"}  # a sensor whose value evolve() fills in


def device(name, firmware, events, **fields):
    """One element of the reply, with every field that the API documents."""
    identity = uuid.uuid5(_NAMESPACE, name)
    tail = identity.hex[:6]
    return {
        "name": name,
        "id": str(identity),
        "created_at": "2021-03-24T04:13:15Z",
        "updated_at": "2021-03-24T09:10:11Z",
        "mac_address": ":".join(["24", "0a", "c4", tail[:2], tail[2:4], tail[4:]]),
        "bt_mac_address": None,
        "serial_number": "1W3" + tail.upper(),
        "firmware_version": firmware,
        "temperature_offset": 0,
        "humidity_offset": 0,
        "users": [{"id": str(uuid.uuid5(_NAMESPACE, "user")), "nickname": "Test User", "superuser": True}],
        "newest_events": events,
        **fields,
    }


def _number(value):
    """JSON as the API writes it: 23, not 23.0."""
    value = round(value, 3)
    return int(value) if value == int(value) else value


def _utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds or 1700000000))


def _error(code, message, headers):
    return Response.json({"code": code, "message": message}, code // 1000, headers, indent=None)


def _fault_body(fault, headers):
    body = fault.get("body", "{")
    text = body if isinstance(body, str) else json.dumps(body)
    return Response(
        fault.get("status", 200), text * fault.get("repeat", 1), headers, fault.get("content_type", "application/json")
    )


def main(argv=None):
    options = service.parser(__doc__)
    options.add_argument("--token", default=DEFAULT_TOKEN, help=f"bearer token (default {DEFAULT_TOKEN})")
    options.add_argument("--scenario", choices=SCENARIOS, default="default")
    options.add_argument("--devices", type=int, metavar="N", help="serve N generated devices instead of a scenario")
    options.add_argument("--limit", type=int, default=30, help="requests in a window (default 30)")
    options.add_argument(
        "--window", type=float, default=300, metavar="SECONDS", help="length of a window (default 300)"
    )
    options.add_argument("--date-skew", type=float, default=0, metavar="SECONDS", help="added to the Date header")
    options.add_argument("--no-rate-headers", action="store_true")
    args = options.parse_args(argv)
    return service.run(
        NatureRemo(
            args.port,
            args.tls_cert,
            args.tls_key,
            args.token,
            args.scenario,
            args.devices,
            args.limit,
            args.window,
            args.date_skew,
            not args.no_rate_headers,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
