"""The alert sink through the real daemon: what is due is told once, over kills, a target that is down and a reload
(P14); messages are acknowledged whatever the target does (P3, P13)."""

import contextlib
import datetime
import json
import re
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from feed import Feed
from harness import wait_until
from terminal import Terminal

BODY = '{"state": "{state}", "rule": {rule}, "name": {name}, "value": {value}}'


class Target:
    """A webhook that knows keys. `status()`: of an answer, None: it takes the message, and never answers."""

    def __init__(self):
        self.lock, self.told, self.keys, self.requests, self.status = threading.Lock(), [], set(), 0, lambda: 200
        self.before = lambda: None
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                target.before()
                status = target.take(self.headers["Idempotency-Key"], body)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/in"

    def take(self, key, body):
        with self.lock:
            self.requests += 1
            status = self.status()
            if status in (None, 200) and (key, json.dumps(body)) not in self.keys:
                self.keys.add((key, json.dumps(body)))
                self.told.append(body)
            return status

    def states(self, name=None):
        with self.lock:
            return [body["state"] for body in self.told if name in (None, body["name"])]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def target():
    with contextlib.closing(Target()) as server:
        yield server


RULES = [{"name": "hot", "field": "t", "above": 28, "clear": 27, "repeat": "5s"}]


def section(target, rules):
    return [
        {
            "subscription": "sensor-data-mongodb",
            "backoff": {"initial": "1s", "max": "1s"},
            "alert": {"targets": [{"name": "me", "type": "webhook", "url": target.url, "body": BODY}], "rules": rules},
        }
    ]


@pytest.fixture
def feed(sensorqd, target):
    feed = Feed(sensorqd, None, uri="mongodb://localhost/", database="none", service={"time_scale": 5})
    feed.daemon.config["subscribe"] = section(target, RULES)
    feed.daemon.write_config()
    with contextlib.closing(feed):
        yield feed


def say(feed, name, value, age=0):
    """A reading of now, as sensorqd publishes it. Returns the message."""
    at = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%f")[
        :-3
    ] + "Z"
    message = (
        json.dumps({"name": name, "id": f"id-{name}", "source": "home", "request_at": at, "t": value}).encode(),
        {
            "idempotency_key": f"{at}:home:{name}:{value}",
            "source": "home",
            "type": "nature_remo",
            "device": f"id-{name}",
        },
    )
    feed.publish(message)
    return message


def test_fires_repeats_and_ends_over_kills(feed, target):
    feed.daemon.start()
    hot = say(feed, "x", 30)
    wait_until(lambda: target.states()[:1] == ["firing"], "a firing")  # and perhaps a repeat of it already
    entry = feed.daemon.log.wait("ALERT_FIRING")
    assert entry.fields["SENSORQD_RULE"] == "hot" and entry.fields["SENSORQD_DEVICE"] == "id-x"
    alerts = lambda: feed.daemon.status()["subscriptions"][0]["sink"]["alerts"]
    told = wait_until(lambda: (told := alerts())["targets"][0]["sent"] >= 1 and told, "the status")
    assert told["firing"] == 1 and told["rules"][0]["value"] == 30
    feed.daemon.kill()
    feed.daemon.start()
    feed.publish(hot)
    say(feed, "x", 20, age=3600)  # what is past changes nothing
    before = len(target.states())
    wait_until(lambda: {"repeat", "firing"} & set(target.states()[max(1, before) :]), "a repeat")
    repeats = target.states()[1:]
    assert set(repeats) <= {"repeat", "firing"}
    feed.daemon.kill()
    feed.daemon.start()
    say(feed, "x", 26)
    wait_until(lambda: target.states()[-1] == "resolved", "the end")
    feed.wait_empty()
    feed.daemon.log.wait("ALERT_RESOLVED")
    assert target.states().count("resolved") == 1
    with target.lock:
        assert (
            target.told[0] == {"state": "firing", "rule": "hot", "name": "x", "value": 30}
            and target.told[-1]["value"] == 26
        )
    assert feed.daemon.stop() == 0


def test_who_is_meant(feed, target):
    """In the log and in `alerts`: the device whose time is not believed, and a rule's wait for a device that never
    comes."""
    rules = [
        *RULES,
        {"name": "silent", "stale": "1h"},
        {"name": "gone", "where": {"source": "nowhere"}, "stale": "10s"},
    ]
    feed.daemon.config["subscribe"] = section(target, rules)
    feed.daemon.write_config()
    feed.service.pull_hang = 2  # an empty answer is what proves silence
    feed.daemon.start()
    say(feed, "x", 20, age=-3600)
    feed.publish(
        b'{"id": "bare", "t": 20}', b'{"id": "7", "name": "Shed", "t": 20}', b'{"name": "Attic", "t": 20}'
    )  # as others may publish
    odd = feed.daemon.log.wait("READING_ODD")
    assert (odd.fields["SENSORQD_SOURCE"], odd.fields["SENSORQD_DEVICE"]) == (
        "home",
        "id-x",
    ) and "device id-x, source home" in odd.text
    listed = lambda: [line.split(":")[0] for line in feed.daemon.run("alerts").stdout.splitlines()]
    wait_until(
        lambda: (
            sorted(line for line in listed() if line != "firing   gone")
            == [
                f"ok       {rule}, {device}"
                for rule in ("hot", "silent")
                for device in ("Attic", "Shed (7)", "bare", "x (home id-x)")
            ]
        ),
        "devices, and no rule that waits for one",
    )  # its wait may be over already
    fired = feed.daemon.log.wait("ALERT_FIRING", patience=60)
    assert "no device at all" in fired.text and fired.text.endswith(": nothing was heard for 10 s")
    wait_until(lambda: listed()[:1] == ["firing   gone"], "the rule without a device")
    assert feed.daemon.stop() == 0


@pytest.mark.parametrize("way", ["run", "once"])
def test_what_came_and_went_meanwhile(feed, target, way):
    """An hour of heat, and a short one, while nobody listened: each is told once, from when to when (P14)."""
    for name, age in (("x", 3600), ("y", 20)):
        say(feed, name, 40, age)
        say(feed, name, 20, age // 2)
    if way == "once":
        assert feed.daemon.run("once").returncode == 0
    feed.daemon.start()
    wait_until(lambda: target.states("x") == target.states("y") == ["ended"], "both, as over")
    say(feed, "x", 30)
    wait_until(lambda: target.states("x") == ["ended", "firing"], "the next one")
    assert feed.daemon.stop() == 0 and target.states("y") == ["ended"]


def test_once_tells_what_is_due(feed, target):
    """At the end of `once` nothing is on its way: what would be held back, since it may be over in a moment, is how
    things stand."""
    say(feed, "x", 30, age=600)
    assert feed.daemon.run("once").returncode == 0
    assert target.states() == ["firing"]
    target.status = lambda: 429
    say(feed, "x", 20, age=300)
    assert feed.daemon.run("once").returncode == 75
    target.status = lambda: 200
    assert feed.daemon.run("once").returncode == 0
    assert target.states() == ["firing", "resolved"]


def test_a_target_that_is_down(feed, target):
    target.status = lambda: 429  # so it was not taken; what was perhaps taken is told as it was
    feed.daemon.start()
    say(feed, "x", 30)
    say(feed, "y", 31)
    wait_until(lambda: target.requests > 0, "a try")
    feed.wait_empty()  # acknowledged all the same
    wait_until(lambda: feed.daemon.run("status", "--check").returncode == 69, "that not all is well")
    told = feed.daemon.run("status").stdout
    assert re.search(r"^ +target me \(web server\) down since 20\S+ \S+, \d waiting: HTTP 429", told, re.M), told
    say(feed, "x", 20)
    feed.wait_empty()
    tries = target.requests
    wait_until(
        lambda: target.requests >= tries + 2, "a try that began after that"
    )  # what was on its way before may say that x fires
    feed.daemon.kill()
    feed.daemon.start()
    target.status = lambda: 200
    wait_until(lambda: len(target.states("x")) == 1 and len(target.states("y")) >= 1, "one of each")
    assert target.states("x") == ["ended"] and target.states("y")[0] == "firing"
    feed.daemon.config["subscribe"] = section(target, [{"name": "cold", "field": "t", "below": 5}])
    feed.daemon.write_config()
    feed.daemon.reload()
    wait_until(lambda: target.states("y")[-1] == "removed", "the end of a rule that is gone")
    feed.daemon.log.wait("ALERT_RESOLVED", where=lambda entry: "hot is over for y: the rule was" in entry.text)
    assert feed.daemon.stop() == 0


def test_a_file_that_is_damaged_newer_or_gone(feed, target):
    """Set aside, left alone, written anew; each said, and what still fires is known again (P14)."""
    path = feed.daemon.state / "alerts.sqlite"
    feed.daemon.config["subscribe"] = section(target, [{"name": "hot", "field": "t", "above": 28, "clear": 27}])
    feed.daemon.write_config()
    feed.daemon.start()
    say(feed, "x", 30)
    wait_until(lambda: target.states() == ["firing"], "a firing")
    wait_until(lambda: ("", 1) in rows(path), "its record")
    path.unlink()
    say(feed, "y", 20)
    wait_until(lambda: path.exists() and len(rows(path)) == 1, "a new file with what is known")
    feed.wait_empty()  # its acknowledgement comes after that
    feed.daemon.kill()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    feed.daemon.start()
    assert "later sensorqd" in feed.daemon.log.wait("SINK_DOWN").text
    say(feed, "x", 20)
    say(feed, "y", 30)
    time.sleep(0.3)
    assert feed.backlog() == 2 and target.states("y") == []
    assert "later sensorqd" in feed.daemon.run("alerts").stderr
    began = time.monotonic()
    assert feed.daemon.stop() == 0 and time.monotonic() - began < 10, "a stop waits for nothing that cannot be"
    feed.daemon.start()
    feed.daemon.log.wait("SINK_DOWN", 2)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
    feed.daemon.log.wait("SINK_UP")
    wait_until(lambda: target.states("x")[-1] == "resolved" and target.states("y") == ["firing"], "how things stand")
    feed.daemon.kill()
    path.write_bytes(b"no database" * 1000)
    feed.daemon.start()
    feed.daemon.log.wait("ALERTS_DAMAGED")
    say(feed, "y", 31)
    wait_until(lambda: target.states("y") == ["firing", "firing"], "told again")
    assert list(feed.daemon.state.glob("alerts.sqlite.damaged-*"))
    assert feed.daemon.stop() == 0


def test_no_name_steers_a_terminal(feed, target):
    """A name is anybody's who may publish; JSON has it as it is, but not on a terminal."""
    feed.daemon.start()
    say(feed, "a\u009b31m\u202eb", 30)
    wait_until(target.states, "a firing")
    assert json.loads(feed.daemon.run("alerts", "--json").stdout)[0]["name"] == "a\u009b31m\u202eb"
    for arguments in (["alerts"], ["alerts", "--json"]):
        with Terminal(feed.daemon.command(*arguments), feed.daemon.environment()) as shown:
            assert shown.end() == 0
        assert "a 31m b" in shown.shown


def rows(path):
    """(seal, whether it was told) of each notice."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return database.execute("SELECT seal, told_since > 0 FROM notice").fetchall()
        except sqlite3.OperationalError:  # no table yet
            return []


def test_a_reload_while_it_is_told(feed, target):
    """The answer that is on its way counts, whatever became of the rule and the target meanwhile; a new name is a new
    target."""

    def beside(name):
        return {"name": name, "type": "webhook", "url": target.url, "body": BODY.replace("{rule}", f'"{name}"')}

    answer = threading.Event()
    path = feed.daemon.state / "alerts.sqlite"
    feed.daemon.config["subscribe"] = section(target, [*RULES, {"name": "warm", "field": "t", "above": 25}])
    feed.daemon.config["subscribe"][0]["alert"]["targets"].append(beside("twin"))
    feed.daemon.write_config()
    target.before = answer.wait
    feed.daemon.start()
    say(feed, "x", 30)
    wait_until(
        lambda: path.exists() and sum(seal != "" for seal, _ in rows(path)) == 2, "one for each target on its way"
    )
    feed.daemon.config["subscribe"] = section(
        target, [{"name": "hot", "field": "t", "above": 28, "clear": 27, "to": ["me", "heir"]}]
    )
    feed.daemon.config["subscribe"][0]["alert"]["targets"].append(beside("heir"))
    feed.daemon.write_config()
    feed.daemon.reload()
    answer.set()
    told = lambda: sorted((body["state"], body["rule"]) for body in list(target.told))
    # `me` and `twin` of both rules, as far as they were on their way; `me` of the end of what it was told of `warm`;
    # `heir` of what fires
    wait_until(
        lambda: {("firing", "hot"), ("firing", "heir")} <= set(told()) and not any(seal for seal, _ in rows(path)),
        "the heir",
    )
    say(feed, "x", 20)
    wait_until(lambda: {("resolved", "hot"), ("resolved", "heir")} <= set(told()), "the end for two")
    feed.wait_empty()
    wait_until(lambda: not rows(path), "nothing that is left to be told")
    assert told().count(("removed", "warm")) == (1 if ("firing", "warm") in told() else 0)
    assert feed.daemon.stop() == 0


def test_nothing_is_lost_over_kills(feed, target, chance):
    target.status = lambda: chance.choice([200, 200, None, 503])
    feed.daemon.config["subscribe"] = section(target, [{"name": "hot", "field": "t", "above": 28}])
    feed.daemon.write_config()
    feed.daemon.start()
    last = {}
    for _ in range(4):
        for name in ("x", "y", "z"):
            last[name] = chance.choice([20, 30])
            say(feed, name, last[name])
        time.sleep(chance.uniform(0.2, 1.5))
        feed.daemon.kill()
        feed.daemon.start()
    target.status = lambda: 200
    feed.wait_empty(patience=60)
    ends = {20: ("resolved", "ended"), 30: ("firing",)}

    def is_told():
        return all(
            (not target.states(name) and value == 20) or (target.states(name) or [""])[-1] in ends[value]
            for name, value in last.items()
        )

    wait_until(is_told, f"how things stand, {last}")
    for name in last:  # beginnings and ends take turns; what has a key is told once
        believes = False
        for state in target.states(name):
            assert state != "resolved" or believes, target.told
            assert state != "ended" or not believes, target.told
            believes = state == "firing"
    assert feed.daemon.stop() == 0
