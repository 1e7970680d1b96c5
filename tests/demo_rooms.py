"""The home of tests/demo: what its sensors measure at any time, and the readings of the week before the demo began.

Run as a program it is a CO2 sensor: it prints one reading.
"""

import json
import math
import random
import sys
import time

from services.nature_remo import NatureRemo, device

DAY = 86400


def wave(now, shift=0.0):
    """-1 at five in the morning, 1 at five in the afternoon, local time."""
    local = now + time.localtime(now).tm_gmtoff
    return math.sin((local / DAY - 11 / 24 + shift) * 2 * math.pi)


def jitter(now, name, scale):
    """Noise that is the same for the same second."""
    return random.Random(f"{name}{int(now)}").gauss(0, scale)


def weather(now):
    """Days differ."""
    return math.sin(now / DAY * 1.3) + 0.6 * math.sin(now / DAY * 3.1)


def at_home(now):
    """0..1: evenings and mornings."""
    hour = (now + time.localtime(now).tm_gmtoff) % DAY / 3600
    return max(0.0, math.exp(-(((hour - 20.5) / 2.6) ** 2)), 0.7 * math.exp(-(((hour - 7.3) / 1.2) ** 2)))


def living_room(now):
    return {
        "te": 21.4 + 1.3 * wave(now) + 0.7 * weather(now) + 1.4 * at_home(now) + jitter(now, "a", 0.05),
        "hu": 48 - 4 * wave(now) + 3 * weather(now + DAY) + 4 * at_home(now) + jitter(now, "d", 0.35),
        "il": max(0, 95 * wave(now, 0.14)) + 34 * at_home(now),
        "mo": 1,
    }


def bedroom(now):
    return {"te": 19.6 + 0.9 * wave(now, -0.05) + 0.6 * weather(now) + jitter(now, "b", 0.05)}


def study(now):
    return {
        "te": 20.8 + 1.8 * wave(now, 0.03) + 0.7 * weather(now) + jitter(now, "c", 0.06),
        "hu": 44 - 3 * wave(now) + 3 * weather(now + DAY) + jitter(now, "e", 0.35),
    }


def co2(now):
    return 430 + 620 * at_home(now) * (0.75 + 0.25 * math.sin(now / 2100)) + jitter(now, "co2", 8)


ROOMS = {"Living room": living_room, "Bedroom": bedroom, "書斎": study}
SPREAD = 300  # seconds between the readings of the last day
COARSE = 1800  # and of the days before


def events(name, now):
    digits = {"te": 1, "hu": 0, "il": 0, "mo": 0}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    return {key: {"val": round(value, digits[key]), "created_at": stamp} for key, value in ROOMS[name](now).items()}


class Rooms(NatureRemo):
    """The cloud API for these rooms."""

    def _body(self, poll):
        return [
            device(name, "Remo/1.14.8", events(name, time.time()), online=True)
            for name in ROOMS
            if self.scenario != "empty"
        ]


def past_messages(now, days=7):
    """What another sensorqd would have published during the last days: [(payload, attributes)]."""
    found = []
    first = int(now - days * DAY)
    for second in range(first, int(now), SPREAD):
        if second < now - DAY and (second - first) % COARSE:
            continue
        request_at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(second))
        for name in ROOMS:
            made = device(name, "Remo/1.14.8", events(name, second))
            found.append(
                message(
                    {
                        "name": name,
                        "newest_events": made["newest_events"],
                        "updated_at": made["updated_at"],
                        "id": made["id"],
                    },
                    "home",
                    "nature_remo",
                    request_at,
                )
            )
        found.append(message({"name": "Kitchen", "co2": round(co2(second)), "id": "co2"}, "co2", "exec", request_at))
    return found


def message(reading, source, type_, request_at):
    attributes = {
        "idempotency_key": f"{request_at}:{source}:{reading['id']}:{random.getrandbits(64):016x}",
        "source": source,
        "type": type_,
        "device": reading["id"],
    }
    return {**reading, "source": source, "request_at": request_at}, attributes


if __name__ == "__main__":
    print(json.dumps({"co2": round(co2(time.time()))}), file=sys.stdout)
