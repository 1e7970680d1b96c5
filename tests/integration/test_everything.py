"""One daemon with every kind of source into one topic, and four subscriptions from there into MongoDB, files, a webhook
and alerts: each remote is away for a while, the disk is full, and the daemon is killed in some of that (P1, P3, P4, P6,
P7, P11 to P14).

SENSORQD_LONG=1 goes through it three times. SENSORQD_TEST_SEED=N repeats a run's random choices.
"""

import contextlib
import os
import re
import sqlite3
import time

import pytest
from every_source import Pusher, history_source, meet, numbers
from harness import fill_disk, small_disk, wait_until
from outlets import Receiver, Told, alert_secrets, alert_section, archive_lines, doubles
from services import mosquitto
from services.alert_targets import AlertTargets
from services.faults import FaultScript
from services.proxy import Proxy

LONG = bool(os.environ.get("SENSORQD_LONG"))
SUBSCRIPTIONS = ["sensor-data-mongodb", "archive", "hook", "alerts"]
ROOMS = ["attic", "cellar", "kitchen"]
pytestmark = pytest.mark.timeout(900 if LONG else 300)

if mosquitto.obstacle():
    pytest.skip(mosquitto.obstacle(), allow_module_level=True)


@pytest.fixture
def outlets(house):
    """The house with three subscriptions more; `receiver` takes arrays, `people` are told."""
    with contextlib.closing(Receiver()) as receiver, AlertTargets(FaultScript(())) as people:
        house.receiver, house.people = receiver, people
        backoff = {"initial": "1s", "max": "2s"}
        house.daemon.config["subscribe"] += [
            {"subscription": "archive", "backoff": backoff, "file": {"directory": "archive", "max_size": "64KiB"}},
            {"subscription": "hook", "backoff": backoff, "webhook": {"url": receiver.url, "batch": 20}},
            {
                "subscription": "alerts",
                "backoff": backoff,
                "alert": alert_section(people, field="t", where={"source": "broker"}, repeat="5s"),
            },
        ]
        for name in SUBSCRIPTIONS[1:]:
            house.queue.subscribe("sensor-data", name)
        for name, text in alert_secrets(people).items():
            (house.daemon.directory / "credentials" / name).write_text(text)
        house.daemon.write_config()
        yield house


def at_proxy(url, proxy):
    return re.sub(r"127\.0\.0\.1:\d+|localhost:\d+", f"127.0.0.1:{proxy.port}", url, count=1)


@pytest.fixture
def walls(outlets, broker, remo, chance):
    """What can be taken from the house, by name: functions that do so (False) and give it back (True)."""
    sources = {source["name"]: source for source in outlets.daemon.config["publish"]["sources"]}
    mongodb = outlets.daemon.config["subscribe"][0]["mongodb"]
    faults = outlets.queue.service.faults

    def switch(proxy):
        return lambda there: proxy.set_mode("pass" if there else "refuse")

    def fails(match):
        def turn(there):
            if there:
                return faults.clear()
            action = chance.choice(
                [
                    {"type": "status", "status": 503},
                    {"type": "status", "status": 503, "applied": True},
                    {"type": "cut", "when": "after"},
                ]
            )
            faults.add({"match": match, "times": -1, "action": action})

        return turn

    def hook(there):
        outlets.receiver.mood = (lambda: 200) if there else (lambda: chance.choice([503, None]))

    def people(there):
        outlets.people.moods = (
            {} if there else dict.fromkeys(("slack", "line", "hook"), lambda: chance.choice([500, 429, 404]))
        )

    with contextlib.ExitStack() as stack:
        proxies = {
            name: stack.enter_context(Proxy(int(re.search(r":(\d+)", url[url.index("//") :])[1])))
            for name, url in (("remo", remo.url), ("broker", sources["broker"]["url"]), ("mongodb", mongodb["uri"]))
        }
        sources["home"]["url"] = at_proxy(remo.url, proxies["remo"])
        sources["broker"]["url"] = at_proxy(sources["broker"]["url"], proxies["broker"])
        mongodb["uri"] = at_proxy(mongodb["uri"], proxies["mongodb"])
        outlets.daemon.env["SENSORQD_TEST_BACKOFF_MAX_MSEC"] = "500"
        outlets.daemon.write_config()
        disk = stack.enter_context(small_disk(outlets.daemon.state, "16m"))
        yield {
            **{name: switch(proxy) for name, proxy in proxies.items()},
            "publish": fails(":publish$"),
            "pull": fails(":pull$"),
            "acknowledge": fails(":acknowledge$"),
            "history": lambda there: setattr(outlets.history, "down", not there),
            "hook": hook,
            "people": people,
            "disk": lambda there: (disk / "filler").unlink() if there else fill_disk(disk),
        }


def waiting(house):
    """Readings in the outbox: in the file, not in a report of a moment ago."""
    with contextlib.closing(
        sqlite3.connect(f"file:{house.daemon.state}/outbox.sqlite?mode=ro", uri=True, timeout=10)
    ) as outbox:
        return outbox.execute("SELECT count(*) FROM readings").fetchone()[0]


class Story:
    """What happens outside, and what must have become of it."""

    def __init__(self, house, broker, chance):
        self.house, self.broker, self.chance = house, broker, chance
        self.published, self.hot, self.kills, self.serial = [], {}, 0, 0
        self.pusher = Pusher(house.port)

    def begin(self):
        self.house.daemon.start()
        self.published += meet(self.house, self.broker)
        self.pusher.start()

    def go_on(self):
        """Readings of each source that can have some, and rooms that get hot or cold."""
        self.serial += 1
        batch = [f"mqtt:{self.serial}:{n}" for n in range(100)]
        self.broker.publish("home/x/n", *batch)
        self.published += batch
        for n in range(10 if LONG else 30):  # an answer of the history has 20 pages at most
            self.house.history.add(f"{self.serial}:{n}", late=self.chance.uniform(2, 1800))
        for room in ROOMS:
            self.hot[room] = self.chance.random() < 0.5
            self.broker.publish(f"home/{room}/t", "30" if self.hot[room] else "20")

    def kill(self):
        self.kills += 1
        self.house.daemon.kill()
        self.house.daemon.start()

    def end(self):
        """Nothing comes any more: waits until all is where it belongs, and stops the daemon."""
        house = self.house
        wait_until(
            lambda: set(self.published) <= set(numbers(house, "broker")),
            f"everything of the broker (log: {house.daemon.log.lines[-20:]})",
            patience=90,
        )
        self.pusher.ending = True
        self.pusher.join()
        wait_until(
            lambda: {n for _, n in house.history.points} <= set(numbers(house, "history")), "the history", patience=90
        )
        house.daemon.config["publish"]["sources"] = [history_source(house.history)]  # which has nothing new
        house.daemon.write_config()
        assert house.daemon.stop() == 0  # and with it the last line of the stream is in the outbox
        self.kills += 1  # for who has no keys: what was being told at the stop may be told again
        house.daemon.start()
        wait_until(lambda: waiting(house) == 0, "an empty outbox")
        wait_until(
            lambda: all(house.queue.is_empty(name) for name in SUBSCRIPTIONS),
            f"empty subscriptions (log: {house.daemon.log.lines[-20:]})",
            patience=90,
        )
        try:
            wait_until(
                lambda: all(self.told(room).ends_as(hot) for room, hot in self.hot.items()),
                "all are told how things stand",
                patience=60,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.hot}, {[vars(self.told(room)) for room in ROOMS]}") from None
        assert house.daemon.stop() == 0

    def told(self, room):
        return Told(self.house.people, room)


def check_sources(story):
    """What each peer was told is kept is there, once."""
    house = story.house
    assert story.pusher.stored and set(story.pusher.stored) <= set(numbers(house, "push"))
    for source in ("broker", "push", "history", "stream"):
        assert not {name: n for name, n in numbers(house, source).items() if n > 1 and name}
    runs = {}
    for name in numbers(house, "stream"):
        runs.setdefault(name.split(":")[1], []).append(int(name.split(":")[2]))
    assert runs and all(sorted(run) == list(range(len(run))) for run in runs.values()), (
        "a line is missing between others of one run"
    )
    assert house.readings(query={"source": "home"}) and house.readings(query={"source": "run"})


def check_sinks(story):
    """Every sink has the same documents: none is missing, none is there twice, none was set apart."""
    house = story.house
    stored = {document["_id"]: document["pubsub"]["sha256"] for document in house.readings()}
    lines = archive_lines(house.daemon.state / "archive")
    assert not doubles(lines)
    assert {line["_id"]: line["pubsub"]["sha256"] for line in lines} == stored
    assert {name: document["pubsub"]["sha256"] for name, document in house.receiver.documents.items()} == stored
    assert not house.readings("readings_rejected") and not (house.daemon.state / "rejected.sqlite").exists()


def check_people(story):
    told = {room: story.told(room) for room in ROOMS}
    assert not {room: faults for room in ROOMS if (faults := told[room].faults())}
    assert any(told[room].hook for room in ROOMS)
    assert sum(told[room].doubled() for room in ROOMS) <= story.kills, [vars(told[room]) for room in ROOMS]


def test_nothing_is_lost_or_doubled_over_outages(outlets, walls, broker, chance):
    story = Story(outlets, broker, chance)
    story.begin()
    for name in [name for _ in range(3 if LONG else 1) for name in chance.sample(sorted(walls), len(walls))]:
        print(f"without {name}")
        walls[name](False)
        story.go_on()
        time.sleep(chance.uniform(0.2, 1))
        if chance.random() < 0.5:
            story.kill()
        walls[name](True)
    story.go_on()
    story.end()
    check_sources(story)
    check_sinks(story)
    check_people(story)
