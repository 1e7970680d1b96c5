"""What the API answers in every state of the chain: status.json, the series and their values, made up."""

import math
import time

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BUCKETS = [(3 * DAY, MINUTE), (31 * DAY, 5 * MINUTE), (5 * 366 * DAY, HOUR)]
SUBSCRIPTION = "projects/my-project/subscriptions/sensor-data-mongodb"


def now():
    return int(time.time() * 1000)


def utc(ms):
    return None if ms is None else time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms / 1000)) + f".{ms % 1000:03}Z"


def ago(seconds):
    return utc(now() - seconds * 1000)


# ---- status.json ----


def source(name="home", **more):
    return {
        "name": name,
        "failing": False,
        "failing_since": None,
        "speaks": False,
        "last_poll": ago(20),
        "last_reading": ago(20),
        "next_poll": ago(-40),
        "polls": 1440,
        "readings": 4320,
        "repeats": 0,
        "failures": 0,
        "unreadable": 0,
        "dropped": 0,
        "holding": False,
        "clock_wrong": False,
        "detail": "",
        "kind": None,
        "remedy": None,
        **more,
    }


def sink(what="MongoDB", **more):
    return {
        "what": what,
        "ready": True,
        "untried": False,
        "down_since": None,
        "retry_at": None,
        "last_stored": ago(18),
        "stored": 4320,
        "duplicates": 0,
        "rejected": 0,
        "failed": 0,
        "writes": 1440,
        "detail": "",
        "kind": None,
        "remedy": None,
        **more,
    }


def subscription(name=SUBSCRIPTION, sink_=None, **more):
    return {
        "subscription": name,
        "failing": False,
        "failing_since": None,
        "missing": False,
        "paused": False,
        "paused_since": None,
        "last_pull": ago(18),
        "last_ack": ago(18),
        "retry_at": None,
        "held": 0,
        "aside": 0,
        "unkept": 0,
        "unkept_since": None,
        "oldest_unsettled": None,
        "retention_sec": 2678400,
        "received": 4320,
        "acknowledged": 4320,
        "pulls": 1500,
        "empty_pulls": 60,
        "detail": "",
        "kind": None,
        "remedy": None,
        "sink": sink_ or sink(),
        **more,
    }


def well():
    return {
        "version": "0.2.0",
        "config": "/etc/sensorqd/sensorqd.yaml",
        "status": "home polled 12:06:03, 0 readings queued",
        "time": ago(0),
        "started": ago(86400),
        "stopping": False,
        "sources": [source()],
        "outbox": {
            "rows": 0,
            "bytes": 0,
            "rejected_rows": 0,
            "rejected_bytes": 0,
            "max_rows": 1000000,
            "max_bytes": 268435456,
            "oldest": None,
            "full": False,
            "failing": False,
            "failing_since": None,
            "detail": "",
            "kind": None,
            "remedy": None,
        },
        "publisher": {
            "failing": False,
            "failing_since": None,
            "paused": False,
            "last_publish": ago(19),
            "retry_at": None,
            "published": 4320,
            "rejected": 0,
            "requests": 1440,
            "failures": 0,
            "detail": "",
            "kind": None,
            "remedy": None,
        },
        "token": {
            "failing": False,
            "failing_since": None,
            "expires": ago(-2000),
            "retry_at": None,
            "detail": "",
            "kind": None,
            "remedy": None,
        },
        "subscriptions": [subscription()],
    }


def mongodb_down():
    status = well()
    status["subscriptions"][0].update(
        paused=True,
        paused_since=ago(840),
        oldest_unsettled=ago(838),
        held=14,
        sink=sink(
            ready=False,
            down_since=ago(840),
            retry_at=ago(-31),
            last_stored=ago(845),
            failed=9,
            kind="unreachable",
            remedy="service",
            detail="unreachable: no answer from localhost:27017 (No suitable servers found: [connection refused calling hello on 'localhost:27017']); check that it runs, and the hosts and TLS options in mongodb.uri",
        ),
    )
    return status


def pubsub_down():
    status = well()
    status["outbox"].update(rows=2412, bytes=900_000, oldest=ago(48240))
    detail = "Pub/Sub cannot be reached: name not found (or DNS is down)"
    status["publisher"].update(
        failing=True,
        failing_since=ago(48240),
        last_publish=ago(48250),
        retry_at=ago(-22),
        failures=803,
        detail=detail,
        kind="unreachable",
        remedy="network",
    )
    status["subscriptions"][0].update(
        failing=True, failing_since=ago(48230), retry_at=ago(-10), detail=detail, kind="unreachable", remedy="network"
    )
    return status


def source_down():
    status = well()
    status["sources"][0].update(
        failing=True,
        failing_since=ago(3900),
        last_poll=ago(3960),
        last_reading=ago(3960),
        failures=65,
        kind="refused",
        remedy="token",
        detail="Nature Remo refuses the access token (401): it was revoked or pasted wrongly; put a new one from home.nature.global in "
        "/etc/sensorqd/credentials/nature-remo.token and restart sensorqd",
    )
    return status


def outbox_full():
    status = pubsub_down()
    status["outbox"].update(rows=1_000_000, full=True)
    return status


def disk_refuses():
    status = well()
    status["sources"][0].update(holding=True)
    status["outbox"].update(
        failing=True,
        failing_since=ago(300),
        kind="full",
        remedy="space",
        detail="the outbox in /var/lib/sensorqd cannot be written: No space left on device",
    )
    return status


def missing_subscription():
    status = well()
    status["publisher"].update(
        paused=True, detail="subscription sensor-data-mongodb does not exist: run sensorqd setup"
    )
    status["outbox"].update(rows=120, oldest=ago(2400))
    status["subscriptions"][0].update(
        failing=True,
        missing=True,
        failing_since=ago(2400),
        kind="missing",
        remedy="setup",
        detail="cannot pull: it does not exist: create it with `sensorqd setup`, or check the "
        "subscription's name and `pubsub.project` (HTTP 404 NOT_FOUND)",
    )
    return status


def no_token():
    status = well()
    status["token"].update(
        failing=True,
        failing_since=ago(600),
        detail="the token endpoint refuses /etc/sensorqd/key.json: invalid_grant (Invalid JWT Signature.); "
        "the key was deleted or replaced: install one that is valid, and restart",
        kind="refused",
        remedy="key",
    )
    status["publisher"].update(
        failing=True, failing_since=ago(590), detail="no access token", kind="refused", remedy="key"
    )
    status["outbox"].update(rows=30, oldest=ago(590))
    status["subscriptions"][0]["sink"].update(last_stored=ago(592))
    return status


def starting():
    status = well()
    status.update(started=ago(1))
    status["sources"][0].update(last_poll=None, last_reading=None, readings=0)
    status["publisher"].update(last_publish=None, published=0)
    status["subscriptions"][0].update(last_pull=None, sink=sink(ready=False, last_stored=None, stored=0))
    return status


def untried():
    """MongoDB was away, its user may insert only, and no message came since."""
    status = well()
    status["subscriptions"][0].update(sink=sink(ready=False, untried=True, last_stored=ago(900)))
    return status


def many_parts():
    """Thirty sources and five subscriptions, two of the sources and one sink not well."""
    status = well()
    status["sources"] = [source(f"source-{i:02}", speaks=i % 3 == 0) for i in range(30)]
    status["sources"][20].update(
        failing=True,
        failing_since=ago(3000),
        detail="https://api.example.com/ cannot be reached: connection refused",
        kind="unreachable",
        remedy="network",
    )
    status["sources"][25].update(last_reading=None, speaks=True)
    base = "projects/my-project/subscriptions/sensor-data-"
    status["subscriptions"] = [
        subscription(),
        subscription(base + "archive", sink("file")),
        subscription(
            base + "hook",
            sink(
                "webhook",
                ready=False,
                down_since=ago(300),
                retry_at=ago(-5),
                detail="server_error: HTTP 503; nothing yet; if this persists, look at the server",
                kind="unavailable",
                remedy="wait",
            ),
        ),
        subscription(base + "alerts", sink("alerts")),
    ]
    return status


def alert_sink(rules, **target):
    """As a subscription with alerts tells of itself."""
    targets = [
        {
            "name": "family",
            "service": "line",
            "waiting": 0,
            "sent": 12,
            "refused": 0,
            "last_sent": ago(170),
            "failing_since": None,
            "retry_at": None,
            "detail": "",
            "kind": None,
            "remedy": None,
            **target,
        }
    ]
    return subscription(
        "projects/my-project/subscriptions/sensor-data-alerts",
        sink("The store of alerts", alerts={"firing": len(rules), "pending": 0, "rules": rules, "targets": targets}),
    )


def alerts_firing():
    status = well()
    status["subscriptions"].append(
        alert_sink(
            [
                {
                    "rule": "暑い",
                    "source": "home",
                    "device": "d0",
                    "name": "Bedroom",
                    "field": "/newest_events/te/val",
                    "value": 29.4,
                    "limit": 28,
                    "since": now() - 25 * MINUTE,
                },
                {
                    "rule": "co2 high",
                    "source": "office",
                    "device": "d9",
                    "name": "Study",
                    "field": "/co2",
                    "value": 1640,
                    "limit": 1500,
                    "since": ago(180),
                },
                {
                    "rule": "leak",
                    "source": "home",
                    "device": "d7",
                    "name": "Kitchen",
                    "field": "/water_leak",
                    "value": "true",
                    "limit": "true",
                    "since": ago(60),
                },
                {
                    "rule": "gone",
                    "source": "home",
                    "device": "d8",
                    "name": "Attic",
                    "field": None,
                    "value": None,
                    "limit": None,
                    "since": ago(7200),
                },
            ]
        )
    )
    return status


def alert_target_down():
    status = well()
    status["subscriptions"].append(
        alert_sink(
            [],
            waiting=2,
            failing_since=ago(700),
            retry_at=ago(-50),
            kind="limited",
            remedy="quota",
            detail="HTTP 429: the monthly limit is reached; the messages this month's messages are used up; wait for the next one, or change the plan",
        )
    )
    return status


def many_firing():
    """A rule that fires for nineteen devices, and one that fires for one with a long name."""
    status = alerts_firing()
    rules = status["subscriptions"][1]["sink"]["alerts"]["rules"]
    hot = {**rules[0], "rule": "hot", "limit": 21}
    rules[1:] = [{**hot, "device": f"d{i}", "name": f"Room {i}", "value": 21.2 + i / 10} for i in range(19)]
    rules[0]["name"] = "0xa4c138aabbccddeeff001122334455667788" * 3
    return status


def target_refuses():
    """Nobody listens at the port of the alert target, nor at the one of Pub/Sub's emulator."""
    status = well()
    refused = {"failing_since": ago(130), "retry_at": ago(-11), "kind": "unreachable", "remedy": "network"}
    status["subscriptions"].append(alert_sink([], waiting=2, detail="connection refused", **refused))
    detail = "Pub/Sub cannot be reached: connection refused; check the network and the service"
    status["publisher"].update(failing=True, detail=detail, **refused)
    return status


def subscriber_only():
    status = well()
    status["sources"] = []
    del status["outbox"], status["publisher"]
    return status


def subscriber_cut_off():
    status = pubsub_down()
    status["sources"] = []
    del status["outbox"], status["publisher"]
    return status


def lost():
    """A broker's topic whose messages do not fit `reading`: only the newest are kept."""
    status = well()
    status["sources"].append(source("broker", speaks=True, readings=900, left_out=70, unreadable=5312, dropped=4312))
    return status


def garbled():
    status = well()
    status["sources"].append(source("broker", speaks=True, last_reading=None, readings=0, unreadable=53))
    return status


def clock_wrong():
    """This machine is seven hours ahead of its sources: it seems that no device said anything for so long."""
    status = well()
    status["sources"] = [source(clock_wrong=True), source("office", clock_wrong=True)]
    return status


def disk_unread():
    """What waits in the outbox cannot be read back."""
    status = well()
    detail = "the outbox cannot be read: Input/output error"
    status["outbox"].update(rows=310, oldest=ago(700))
    status["publisher"].update(
        failing=True, failing_since=ago(690), retry_at=ago(-12), detail=detail, kind="disk", remedy="disk"
    )
    status["subscriptions"][0]["sink"].update(last_stored=ago(692))
    return status


def of_each_kind():
    """A source and a subscription for each kind of failure that is told of in the same way."""
    status = well()
    status["sources"] = [
        source(
            f"source-{kind}",
            failing=True,
            failing_since=ago(600 + i),
            detail=f"what the daemon says of it; {remedy}",
            kind=kind,
            remedy=remedy,
        )
        for i, (kind, remedy) in enumerate(KINDS)
    ]
    return status


def refused_reload():
    status = well()
    status["reload_refused"] = {
        "time": ago(100),
        "error": "/etc/sensorqd/sensorqd.yaml:12:5: interval: is too short: allowed: 10s..24h",
    }
    status["outbox_left"] = {"rows": 12, "directory": "/var/lib/sensorqd-old"}
    return status


KINDS = [
    ("unanswered", "wait"),
    ("insecure", "tls"),
    ("unavailable", "wait"),
    ("limited", "interval"),
    ("intercepted", "between"),
    ("missing", "address"),
    ("invalid", "server-log"),
    ("unusable", "settings"),
    ("full", "plan"),
    ("disk", "owner"),
    ("occupied", "occupied"),
    ("memory", "memory"),
    ("program", "program"),
    ("other", None),
]

# ---- series and values ----

FIELDS = {
    "te": ("/newest_events/te/val", 22.5, 3.0),
    "hu": ("/newest_events/hu/val", 52, 9),
    "il": ("/newest_events/il/val", 60, 55),
    "mo": ("/newest_events/mo/val", 1, 0),
    "co2": ("/co2", 720, 250),
    "power_w": ("/power_w", 480, 350),
    "pm": ("/particles/pm10", 12, 5),
}


def series_of(devices):
    """devices: [(id, source, name, fields, labels)]."""
    found = []
    for device, source_, name, fields, labels in devices:
        for field in fields:
            found.append(
                {
                    "id": len(found) + 1,
                    "source": source_,
                    "device": device,
                    "name": name,
                    "labels": labels,
                    "field": FIELDS[field][0],
                    "label": None,
                    "order": None,
                    "from": now() - 400 * DAY,
                    "beyond": 0,
                    "limits": [],
                    "kind": field,
                    "offset": len(found) * 0.7,
                }
            )
    return found


def rooms():
    series = series_of(
        [
            ("d0", "home", "Bedroom", ["te", "hu", "il"], {}),
            ("d1", "home", "居間", ["te", "hu"], {}),
            ("d2", "home", "Study", ["te", "co2", "pm"], {}),
            ("meter", "home", "Smart meter", ["power_w"], {}),
        ]
    )
    for one in series:
        if one["kind"] == "te":
            one["limits"] = [{"rule": "hot", "kind": "above", "value": 28.0, "clear": 27.0}]
    return series


def old_remos():
    """Unplugged Remos, of which the API goes on giving the last values: a new one says that it is offline, an old one
    nothing; and one whose hygrometer is broken."""
    series = rooms() + series_of([("d3", "home", "Hall", ["te", "hu", "mo"], {})])
    for i, one in enumerate(series):
        one.update(id=i + 1, online=None, changed=now() - 20 * MINUTE, moved=now() - 20 * MINUTE)
        if one["device"] == "d1":
            one.update(online=False, changed=now() - 5 * HOUR, moved=now() - 5 * HOUR)
        elif one["device"] == "d2":
            one.update(changed=now() - 20 * DAY, moved=now() - 19 * DAY)
        elif one["kind"] == "hu" and one["device"] == "d3":
            one.update(changed=now() - 3 * DAY)
        elif one["kind"] == "mo":
            one.update(changed=now() - 9 * HOUR)
    return series


def sold_remos():
    """The same a month later."""
    series = old_remos()
    for one in series:
        if one["device"] in ("d1", "d2"):
            one.update(changed=now() - 50 * DAY, moved=now() - 49 * DAY)
    return series


def fifty():
    return series_of(
        [
            (f"d{i}", f"source-{i % 30:02}", f"Room {i:02}", ["te", "hu"], {"site": "north" if i % 2 else "south"})
            for i in range(50)
        ]
    )


NASTY = [
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "\u202eevil\u202d \u2067right",
    "שלום & co",
    '"><b>bold',
    "a" * 300,
    "javascript:alert(1)",
    "{name} {{x}}",
]


def nasty():
    series = series_of([(name, name, name, ["te"], {"site": name}) for name in NASTY])
    series[0].update(label="<b>Temp</b>")
    series[1].update(field="/<script>/te~1x", kind="te")
    series[2].update(limits=[{"rule": "<img src=x onerror=alert(1)>", "kind": "above", "value": 25, "clear": 25}])
    return series


def nasty_status():
    status = well()
    status["sources"] = [source(name, failing=True, failing_since=ago(100), detail=name) for name in NASTY]
    status["subscriptions"] = [
        alert_sink(
            [{"rule": name, "device": name, "name": name, "value": name, "since": now()} for name in NASTY],
            name=NASTY[1],
            failing_since=ago(60),
            detail=NASTY[0],
        ),
        subscription(sink_=sink(NASTY[0], ready=False, down_since=ago(50), detail=NASTY[1])),
    ]
    return status


def value(one, time_):
    _, middle, swing = FIELDS[one["kind"]]
    day = math.sin((time_ / DAY + one["offset"] / 9) * 2 * math.pi - 2)
    year = math.sin(time_ / (365 * DAY) * 2 * math.pi)
    noise = math.sin(time_ / 1_900_000 + one["offset"]) * math.sin(time_ / 701_000 + one["offset"] * 3)
    found = middle + swing * (0.55 * day + 0.5 * year + 0.22 * noise) + one["offset"] * swing * 0.05
    return round(max(0, found) if one["kind"] in ("il", "power_w", "co2") else found, 2)


def is_gap(one, time_, end):
    """Some hours of yesterday without a value, and two weeks of last spring."""
    return end - 16 * HOUR < time_ < end - 11.5 * HOUR or end - 210 * DAY < time_ < end - 195 * DAY


def values(series, start, end, points, last):
    bucket = next(size for age, size in BUCKETS if now() - start <= age + HOUR)
    bucket *= max(1, math.ceil((end - start) / points / bucket))
    found = []
    for one in series:
        times = [t for t in range(start // bucket * bucket, end, bucket) if not is_gap(one, t, now()) and t <= last]
        samples = [[value(one, t + bucket * k // 6) for k in range(6)] for t in times]
        found.append(
            {
                "id": one["id"],
                "time": times,
                "minimum": list(map(min, samples)),
                "mean": [round(sum(v) / 6, 2) for v in samples],
                "maximum": list(map(max, samples)),
                "count": [max(1, bucket // MINUTE)] * len(times),
            }
        )
    return {"bucket": bucket, "from": start, "to": end, "series": found}


STATES = {
    "well": (well, rooms, 20),
    "mongodb-down": (mongodb_down, rooms, 845),
    "pubsub-down": (pubsub_down, rooms, 48250),
    "source-down": (source_down, rooms, 3960),
    "outbox-full": (outbox_full, rooms, 48250),
    "disk-refuses": (disk_refuses, rooms, 60),
    "missing-subscription": (missing_subscription, rooms, 2400),
    "no-token": (no_token, rooms, 600),
    "starting": (starting, list, 0),
    "untried": (untried, rooms, 900),
    "many-parts": (many_parts, rooms, 20),
    "alerts": (alerts_firing, rooms, 20),
    "alert-target-down": (alert_target_down, rooms, 20),
    "many-firing": (many_firing, rooms, 20),
    "target-refuses": (target_refuses, rooms, 120),
    "lost": (lost, rooms, 20),
    "garbled": (garbled, rooms, 20),
    "disk-unread": (disk_unread, rooms, 700),
    "clock-wrong": (clock_wrong, rooms, 7 * 3600),
    "each-kind": (of_each_kind, rooms, 20),
    "silent": (well, rooms, 20),
    "gone": (well, rooms, 20),
    "old-remos": (well, old_remos, 20),
    "sold-remos": (well, sold_remos, 20),
    "subscriber-only": (subscriber_only, rooms, 20),
    "subscriber-cut-off": (subscriber_cut_off, rooms, 48250),
    "refused-reload": (refused_reload, rooms, 20),
    "empty": (well, list, 0),
    "fifty": (many_parts, fifty, 20),
    "nasty": (nasty_status, nasty, 20),
}
