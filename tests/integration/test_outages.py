"""Every remote end fails in every way, at the start, in the middle and at the stop: said once, no storm of requests, memory bounded, and when it is back
everything goes on by itself and every reading is stored once (P5, P7, P8).

SENSORQD_LONG=1 runs the whole matrix, and waits for slow recoveries instead of starting the daemon anew.
"""
import contextlib
import os
import re
import time

import pytest
from conftest import service_queue
from harness import wait_until
from services.httpd import HttpServer, Response
from services.nature_remo import NatureRemo
from services.proxy import Proxy
from services.pubsub import PubSub
from services.wire_mongo import WireMongo

LONG = bool(os.environ.get("SENSORQD_LONG"))
MIB = 1024 * 1024
REMOTES = ("source", "token", "pubsub", "mongodb")
FAULTS = ("refused", "silent", "slow", "tls", "credentials", "4xx", "5xx", "garbage")
PHASES = ("start", "middle", "stop")
SLACK = 15  # seconds that a loaded machine may add to a recovery

STATUS = {"source": "home failing since", "token": "no access token since", "pubsub": "(publishing|subscription) (failing|missing)",
          "mongodb": "MongoDB (down since|not reached yet)"}
# What must be in the log for a remote that fails: (begins, ends).
EVENTS = {"source": [("SOURCE_FAILING", "SOURCE_RECOVERED")], "token": [("TOKEN_REFUSED", "TOKEN_RECOVERED")],
          "pubsub": [("PUBLISH_FAILING", "PUBLISH_RECOVERED")], "mongodb": [("SINK_DOWN", "SINK_UP")]}
PAIRS = [*[pair for pairs in EVENTS.values() for pair in pairs], ("SUBSCRIPTION_FAILING", "SUBSCRIPTION_RECOVERED")]
# Seconds until a fault is noticed, and at most between two tries; None: too long for the normal run (a user must act), so the daemon starts anew.
NOTICED = {("source", "silent"): 35, ("token", "silent"): 65, ("pubsub", "silent"): 65, ("mongodb", "silent"): 25}
RETRIED = {("source", "credentials"): 300, ("source", "4xx"): 300, ("token", "credentials"): 300, ("token", "4xx"): 300, ("pubsub", "credentials"): 60,
           ("pubsub", "4xx"): 60, ("pubsub", "garbage"): 60}


def possible(remote, fault):
    return (remote, fault) not in (("mongodb", "4xx"),)  # MongoDB's refusals for good are `credentials`


def cases():
    chosen = {("source", "refused", "middle"), ("source", "tls", "start"), ("source", "credentials", "middle"), ("source", "5xx", "stop"),
              ("source", "garbage", "middle"), ("source", "slow", "middle"), ("token", "refused", "start"), ("token", "credentials", "middle"),
              ("token", "5xx", "middle"), ("token", "garbage", "stop"), ("token", "tls", "middle"), ("pubsub", "refused", "middle"),
              ("pubsub", "tls", "start"), ("pubsub", "credentials", "middle"), ("pubsub", "4xx", "start"), ("pubsub", "5xx", "middle"),
              ("pubsub", "garbage", "middle"), ("pubsub", "silent", "stop"), ("pubsub", "slow", "middle"), ("mongodb", "refused", "start"),
              ("mongodb", "silent", "stop"), ("mongodb", "5xx", "middle"), ("mongodb", "credentials", "middle"), ("mongodb", "garbage", "start"),
              ("mongodb", "tls", "middle"), ("mongodb", "slow", "middle"), ("mongodb", "refused", "stop")}
    every = [(r, f, p) for r in REMOTES for f in FAULTS for p in PHASES if possible(r, f)]
    return every if LONG else [case for case in every if case in chosen]


class TokenQueue(PubSub):
    """Pub/Sub whose token endpoint is reached under another port."""

    token_port = None

    @property
    def token_url(self):
        return f"https://127.0.0.1:{self.token_port}/token" if self.token_port else super().token_url


class House:
    """Source, token endpoint, Pub/Sub and MongoDB, each behind a proxy, and a daemon that knows the proxies only."""

    def __init__(self, directory, certificates, make, stack):
        self.certificates = certificates
        server = certificates.server
        self.remo = stack.enter_context(NatureRemo(limit=10**6, cert=server.cert, key=server.key))
        self.queue_service = stack.enter_context(TokenQueue(cert=server.cert, key=server.key, auth=True, pull_hang=20))
        self.wire = stack.enter_context(WireMongo())
        self.impostor = stack.enter_context(contextlib.closing(_Stopping(HttpServer(_page, cert=certificates.expired.cert, key=certificates.expired.key))))
        self.noise = stack.enter_context(contextlib.closing(_Stopping(HttpServer(_page))))
        own = {"source": self.remo.port, "token": self.queue_service.port, "pubsub": self.queue_service.port, "mongodb": self.wire.port}
        self.targets = own
        self.proxies = {name: stack.enter_context(Proxy(port)) for name, port in own.items()}
        self.queue_service.token_port = self.proxies["token"].port
        queue = service_queue(self.queue_service, directory / "keys", certificates)
        self.key_file = directory / "keys" / "pubsub-credential.json"
        queue.create()
        queue.section["endpoint"] = f"https://127.0.0.1:{self.proxies['pubsub'].port}"
        self.daemon = make(self._config(queue.section), {"nature-remo.token": self.remo.token}, env={"SENSORQD_TEST_INTERVAL_MSEC": "700"})

    def _config(self, pubsub):
        return {"pubsub": pubsub, "publish": {"topic": "sensor-data", "sources": [{
            "name": "home", "type": "nature_remo", "interval": "10s", "token_file": "nature-remo.token", "ca_file": self.certificates.ca,
            "url": f"https://127.0.0.1:{self.proxies['source'].port}"}]},
            "subscribe": [{"subscription": "sensor-data-mongodb", "mongodb": {
                "uri": f"mongodb://127.0.0.1:{self.proxies['mongodb'].port}/", "database": "home", "collection": "readings",
                "backoff": {"initial": "1s", "max": "2s"}}}]}

    # Faults

    def break_(self, remote, fault):
        if remote == "token":
            self.queue_service.oauth.revoke_all()
        proxy = self.proxies[remote]
        if fault in ("refused", "silent"):
            proxy.set_mode({"refused": "refuse", "silent": "blackhole"}[fault])
        elif fault == "slow":
            proxy.shape("reply", delay=0.2)
        elif fault == "tls" or remote == "mongodb" and fault == "garbage":
            proxy.target((self.impostor if fault == "tls" else self.noise).port)
            proxy.cut()
        elif fault == "credentials":
            self._refuse_credentials(remote)
        else:
            self._answer(remote, fault)

    def _refuse_credentials(self, remote):
        if remote == "source":
            self.remo.token = "another"
        elif remote == "token":
            self.queue_service.oauth.forget_keys()
        elif remote == "pubsub":
            self.queue_service.faults.add({"match": "/v1/", "times": -1, "action": {"type": "status", "status": 403, "message": "not authorized"}})
        else:
            self.wire.script.add({"match": "^(insert|ping|find)", "times": -1, "action": {"type": "error", "code": 18, "codeName": "AuthenticationFailed"}})

    def _answer(self, remote, fault):
        if remote == "mongodb":
            self.wire.script.add({"match": "^(insert|ping|find)", "times": -1, "action": {"type": "error", "code": 91, "codeName": "ShutdownInProgress"}})
            return
        action = {"4xx": {"status": 404}, "5xx": {"status": 503}, "garbage": {"status": 200, "body": "<html>Welcome to the hotel</html>"}}[fault]
        match = {"source": "", "token": "/token", "pubsub": "/v1/"}[remote]
        service = self.remo if remote == "source" else self.queue_service
        service.faults.add({"match": match, "times": -1, "action": {"type": "status", **action}})

    def mend(self):
        for name, proxy in self.proxies.items():
            proxy.target(self.targets[name])
            proxy.clear()
        self.remo.token = "nature-test-token"
        self.remo.faults.clear()
        self.queue_service.faults.clear()
        self.queue_service.oauth.register_file(str(self.key_file))
        self.wire.script.clear()
        for name in ("source", "token", "pubsub", "mongodb"):
            if self.proxies[name].stats()["mode"] != "pass":
                raise AssertionError("the proxy does not pass")

    # What happened

    def stored(self):
        return self.wire.documents("home.readings")

    def requests(self, remote, since):
        """Requests to that remote which the daemon finished since that many lines of its log."""
        port = self.proxies[remote].port
        return sum(f"https://127.0.0.1:{port}/" in line for line in self.daemon.log.lines[since:] if "debug: http:" in line)

    def quiet(self):
        """No more readings; waits until the last poll is in the outbox."""
        self.remo.scenario = "empty"
        polls = self.remo.polls()
        wait_until(lambda: self.remo.polls() >= polls + 2, "two empty polls")


class _Stopping:
    """HttpServer with close()."""

    def __init__(self, server):
        self.server = server.start()
        self.port = server.port

    def close(self):
        self.server.stop()


def _page(_request):
    return Response(200, "<html>It works!</html>", content_type="text/html")


@pytest.fixture
def house(tmp_path, certificates, sensorqd):
    with contextlib.ExitStack() as stack:
        made = House(tmp_path, certificates, sensorqd, stack)
        yield made
        made.daemon.close()  # before what it talks to
        (tmp_path / "log").write_text("\n".join(made.daemon.log.lines))


def events(remote, phase):
    """At the start nothing is published before the subscription is known to be there."""
    return [("SUBSCRIPTION_FAILING", "SUBSCRIPTION_RECOVERED")] if (remote, phase) == ("pubsub", "start") else EVENTS[remote]


def assert_said(house, remote, fault, phase):
    """The outage is in the log, once, and in STATUS=."""
    for begins, _ in events(remote, phase):
        entry = house.daemon.log.wait(begins, patience=NOTICED.get((remote, fault), 0) + 30)
        assert entry.level in ("warning", "error") and entry.fields.get("SENSORQD_ERROR")
    wait_until(lambda: re.search(STATUS[remote], house.daemon.notify.status), f"STATUS= of {remote} (last: {house.daemon.notify.status})")


def assert_no_storm(house, remote, seconds):
    """Few requests while it fails: sources keep to their interval, all others back off."""
    mark, began = len(house.daemon.log.lines), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    if remote == "mongodb":
        assert not house.requests("pubsub", mark) or house.daemon.log.events("SINK_DOWN")
        return
    count = house.requests(remote, mark)
    assert count <= (2 + 2 * passed if remote == "source" else 8 + 2 * passed), f"{count} requests in {passed:.1f} s"


def assert_recovers(house, remote, fault, phase):
    """Everything that was said to fail is said to be well again, in time, and each only once."""
    retried = RETRIED.get((remote, fault), 8)
    if retried > 20 and not LONG:
        if remote != "source":
            house.quiet()  # a poll that the stop cuts off is served and never fetched
        assert house.daemon.stop() == 0
        house.remo.scenario = "default"
        house.daemon.start()
        return
    for begins, ends in events(remote, phase):
        house.daemon.log.wait(ends, count=len(house.daemon.log.events(begins)), patience=retried + 1 + SLACK)
    for begins, ends in PAIRS:
        wait_until(lambda b=begins, e=ends: len(house.daemon.log.events(b)) == len(house.daemon.log.events(e)), f"{ends} after {begins}", 70)
        assert len(house.daemon.log.events(begins)) <= 2
    assert len(house.daemon.log.events(events(remote, phase)[0][0])) == 1


def assert_all_stored(house, remote):
    """Each reading that the daemon fetched is one document."""
    house.quiet()
    served = {(entry["device"], entry["poll"]): entry for entry in house.remo.served() if entry["complete"] and entry["device"]}
    if remote != "source":  # what a broken line to the source swallowed was never fetched
        wait_until(lambda: len(house.stored()) >= len(served), f"{len(served)} documents (log: {house.daemon.log.lines[-40:]})", 90)
        assert len(house.stored()) == len(served)
    readings = [document["pubsub"]["attributes"]["idempotency_key"] for document in house.stored()]
    assert len(readings) == len(set(readings)) and 0 < len(readings) <= len(served)
    wait_until(lambda: "0 readings queued" in house.daemon.notify.status, f"an empty outbox (last: {house.daemon.notify.status})", 60)
    assert house.daemon.memory() < 48 * MIB
    assert house.daemon.stop() == 0


@pytest.mark.parametrize("remote, fault, phase", cases())
def test_outage(house, remote, fault, phase):
    daemon = house.daemon
    if phase == "start":
        house.break_(remote, fault)
    daemon.start()
    if phase != "start":
        wait_until(lambda: len(house.stored()) >= 6, f"two polls stored (log: {daemon.log.lines[-15:]})")
        if phase == "stop":
            house.quiet()
        house.break_(remote, fault)
    if phase == "stop":
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 15 + SLACK
        house.mend()
        house.remo.scenario = "default"
        daemon.start()
        wait_until(lambda: len(house.stored()) >= 9, f"more readings after the start (log: {daemon.log.lines[-15:]})", 60)
    elif fault == "slow":
        before = len(house.stored())
        wait_until(lambda: len(house.stored()) >= before + 6, f"readings over a slow line (log: {daemon.log.lines[-15:]})", 60)
        assert not daemon.log.events(EVENTS[remote][0][0])
        house.mend()
    else:
        assert_said(house, remote, fault, phase)
        assert_no_storm(house, remote, 20 if LONG else 3)
        assert daemon.memory() < 48 * MIB
        house.mend()
        assert_recovers(house, remote, fault, phase)
    assert_all_stored(house, remote)
