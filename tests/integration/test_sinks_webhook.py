"""The webhook sink through the real daemon: what a server answered 2xx for is acknowledged, and nothing else (P3); one
message that it refuses holds nobody up (P6); all of it over kills and a server that breaks off."""

import contextlib
import json
import re
import sqlite3
import time

import pytest
from feed import SUBSCRIPTION, Feed
from harness import wait_until
from outlets import Receiver
from services import tls
from services.httpd import HttpServer, Response

TOKEN = "q8Zk3-hook-token"


@pytest.fixture
def receiver():
    with contextlib.closing(Receiver()) as server:
        yield server


@pytest.fixture
def feed(sensorqd, receiver):
    feed = Feed(
        sensorqd,
        None,
        uri="mongodb://localhost/",
        database="none",
        service={"time_scale": 5},
        secrets={"hook.token": TOKEN + "\n"},
    )
    feed.daemon.config["subscribe"] = [
        {
            "subscription": "sensor-data-mongodb",
            "backoff": {"initial": "1s", "max": "1s"},
            "webhook": {"url": receiver.url, "batch": 20, "auth": {"type": "bearer", "token_file": "hook.token"}},
        }
    ]
    feed.daemon.write_config()
    with contextlib.closing(feed):
        yield feed


def rejected(feed):
    path = feed.daemon.state / "rejected.sqlite"
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute("SELECT count(*) FROM rejected").fetchone()[0]


def test_nothing_is_lost_over_kills(feed, receiver, chance):
    receiver.mood = lambda: chance.choice([200, 200, 200, None, 503])
    feed.daemon.start()
    serial = 0
    for _ in range(5):
        feed.publish(
            *[(json.dumps({"n": n}).encode(), {"idempotency_key": f"n{n}"}) for n in range(serial, serial + 100)]
        )
        serial += 100
        time.sleep(chance.uniform(0.1, 0.6))
        feed.daemon.kill()
        receiver.forget_bodies()  # stored_at is another one in the next life
        feed.daemon.start()
    receiver.mood = lambda: 200
    feed.publish((b'{"poison": 1}', {"idempotency_key": "bad"}), (b"not json", {}))
    wait_until(lambda: receiver.refused, "the bad one at the server")
    feed.publish(
        (json.dumps({"n": serial}).encode(), {"idempotency_key": f"n{serial}"})
    )  # taken: so it is not the server
    serial += 1
    feed.wait_empty(patience=60)
    assert set(receiver.documents) == {f"n{n}" for n in range(serial)}
    assert receiver.documents["n7"]["n"] == 7 and receiver.documents["n7"]["pubsub"]["attributes"] == {
        "idempotency_key": "n7"
    }
    assert rejected(feed) == 2
    assert all(len(bodies) == 1 for bodies in receiver.bodies.values())
    listed = feed.daemon.run("rejected", "list").stdout
    assert "HTTP 422" in listed and "not_json" in listed
    names = re.findall(r"^(\S+)  ", listed, re.M)
    shown = [feed.daemon.run("rejected", "show", name).stdout for name in names]
    assert any('{"poison": 1}' in text for text in shown) and any("not json" in text for text in shown)
    assert "still cannot be stored: HTTP 422" in feed.daemon.run("rejected", "replay", "--all").stdout
    receiver.poison = "antidote"
    feed.daemon.run("rejected", "replay", "--all")
    assert receiver.documents["bad"]["poison"] == 1 and rejected(feed) == 1
    assert feed.daemon.run("rejected", "drop", names["not json" in shown[1]]).returncode == 0 and rejected(feed) == 0


def test_an_outage_is_said_and_ends(feed, receiver):
    receiver.mood = lambda: 404
    feed.daemon.start()
    feed.publish(*[(json.dumps({"n": n}).encode(), {"idempotency_key": f"n{n}"}) for n in range(40)])
    entry = feed.daemon.log.wait("SINK_DOWN")
    assert "HTTP 404" in entry.text and "revoked or mistyped" in entry.text
    assert not feed.acknowledged() and rejected(feed) == 0
    assert (
        receiver.proofs == {f"Bearer {TOKEN}"}
        and "you said" in entry.text
        and TOKEN not in "\n".join(feed.daemon.log.lines)
    )
    receiver.mood = lambda: 200
    feed.wait_empty()
    feed.daemon.log.wait("SINK_UP")
    assert len(receiver.documents) == 40 and rejected(feed) == 0


def test_a_login_page_stores_nothing(feed, receiver):
    """P3: the network's login page answers everything with 200. The server's own answers have its content type."""
    receiver.page = "<!DOCTYPE html>\n<html><head><title>Hotel Wi-Fi login</title></head></html>"
    feed.daemon.start()
    feed.publish(*[(json.dumps({"n": n}).encode(), {"idempotency_key": f"n{n}"}) for n in range(40)])
    entry = feed.daemon.log.wait("SINK_DOWN")
    assert "answers with a web page" in entry.text and "Hotel Wi-Fi login" in entry.text
    wait_until(lambda: receiver.turned_away > 2, "further tries")
    assert not feed.acknowledged() and rejected(feed) == 0 and not receiver.documents
    receiver.page = None
    feed.wait_empty()
    assert len(receiver.documents) == 40 and rejected(feed) == 0


@pytest.mark.parametrize("end", ["stop", "reload"])
def test_an_end_within_a_write(feed, receiver, end):
    """P8: a write of many requests ends with the one in progress. What was taken is acknowledged, the rest comes again
    at once, and the server has nothing twice."""
    taken = []

    def mood():
        taken.append(receiver.requests)
        time.sleep(0.1)
        return 200

    receiver.mood = mood
    section = feed.daemon.config["subscribe"][0]["webhook"]
    section["batch"] = 1
    feed.daemon.write_config()
    feed.publish(*[(json.dumps({"n": n}).encode(), {"idempotency_key": f"n{n}"}) for n in range(400)])
    feed.daemon.start()
    wait_until(lambda: len(taken) >= 5, "a write in progress")
    if end == "stop":
        assert feed.daemon.stop() == 0
        assert 5 <= len(taken) < 100 and len(feed.acknowledged()) == len(taken)
        assert feed.store.stats()[SUBSCRIPTION]["leased"] == 0
        feed.daemon.start()
    section["batch"] = 50
    feed.daemon.write_config()
    feed.daemon.reload()
    feed.wait_empty()
    assert len(receiver.documents) == 400 and len(feed.acknowledged()) == 400
    assert len(taken) < 150 and receiver.posted == 400


@pytest.mark.parametrize("code", [400, 413, 422])
def test_an_outage_within_a_write(feed, receiver, code):
    """P11: everything is refused with a code that speaks of documents, from the middle of a write to the middle of
    another, again and again: no good one is set apart for it, and a bad one is, as soon as it is known."""
    feed.daemon.config["subscribe"][0]["webhook"]["batch"] = 5
    feed.daemon.write_config()
    receiver.mood = lambda: 200 if receiver.requests % 16 < 4 else code
    documents = [(json.dumps({"n": n}).encode(), {"idempotency_key": f"n{n}"}) for n in range(60)]
    feed.publish(*documents[:30], (b'{"poison": 1}', {"idempotency_key": "bad"}), *documents[30:])
    feed.daemon.start()
    wait_until(lambda: receiver.requests > 40, "three times of it", patience=60)
    receiver.mood = lambda: 200
    feed.wait_empty(patience=60)
    assert len(receiver.documents) == 60
    listed = feed.daemon.run("rejected", "list").stdout
    assert rejected(feed) == 1 and "HTTP 422" in listed, listed


def test_check_sends_nothing(feed, receiver):
    result = feed.daemon.run("check")
    assert f"ok    webhook {receiver.url}  127.0.0.1 takes connections" in result.stdout, result.stdout
    assert receiver.requests == 0
    receiver.close()
    assert "FAIL  webhook" in feed.daemon.run("check").stdout


def test_servers_that_ask_who_we_are(sensorqd, tmp_path):
    """One server gives readings, takes documents and is told of alerts, from whoever shows a certificate only."""
    made, told = tls.make(tmp_path / "tls"), {}

    def answer(request):
        told.setdefault(f"{request.method} {request.path}", request.json())
        return Response(body='{"n": 30}')

    server = HttpServer(answer, cert=made.server.cert, key=made.server.key, client_ca=made.ca).start()
    trust = {"ca_file": made.ca}
    ours = {**trust, "tls": {"certificate_file": made.client.cert, "key_file": made.client.key}}
    read = {"type": "http_json", "interval": "10s", "url": server.url + "/read"}
    sources = [{"name": "good", **read, **ours}, {"name": "nobody", **read, **trust}]
    publish = {"topic": "sensor-data", "sources": sources}
    feed = Feed(sensorqd, None, uri="mongodb://localhost/", database="none", publish=publish)
    feed.subscribe(f"{SUBSCRIPTION}-alerts")
    alert = {
        "targets": [{"name": "me", "type": "webhook", "url": server.url + "/alert", **ours}],
        "rules": [{"name": "hot", "field": "n", "above": 20}],
    }
    feed.daemon.config["subscribe"] = [
        {"subscription": "sensor-data-mongodb", "webhook": {"url": server.url + "/store", **ours}},
        {"subscription": "sensor-data-mongodb-alerts", "alert": alert},
    ]
    feed.daemon.write_config()
    with contextlib.closing(feed), contextlib.ExitStack() as stage:
        stage.callback(server.stop)
        checked = feed.daemon.run("check").stdout
        feed.daemon.start()
        wait_until(lambda: set(told) == {"GET /read", "POST /store", "POST /alert"}, lambda: f"all of it: {told}")
        failing = feed.daemon.log.wait("SOURCE_FAILING")
    assert told["POST /store"][0]["n"] == 30 and told["POST /alert"]["rule"] == "hot"
    assert "Source nobody" in failing.text
    assert re.search(r"^ok +source good ", checked, re.M) and re.search(r"^FAIL +source nobody ", checked, re.M), (
        checked
    )
