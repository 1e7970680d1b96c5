"""The fault engine, Nature Remo, the proxy, TLS, MongoDB, the scripted MongoDB and the emulator."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pymongo
import pytest
import requests
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.write_concern import WriteConcern

from services import emulator, ferretdb, mongodb, ports, tls
from services.faults import FaultScript
from services.nature_remo import DEFAULT_TOKEN, NatureRemo, edge_devices
from services.proxy import Proxy
from services.service import TESTS_DIR, ServiceProcess, control, wait_until
from services.wire_mongo import WireMongo

BEARER = {"Authorization": f"Bearer {DEFAULT_TOKEN}"}


@pytest.fixture
def remo():
    with NatureRemo(limit=1000) as service:
        yield service


def poll(service, **options):
    return requests.get(f"{service.url}/1/devices", headers=BEARER, timeout=options.pop("timeout", 10), **options)


def completeness(service):
    """The ledger's complete flags, one a body."""
    return [entry["complete"] for entry in service.served() if entry["device"] == service.served()[0]["device"]]


# Faults


def test_rules_count_skip_and_run_out():
    script = FaultScript()
    cut, slow = {"type": "cut"}, {"type": "slow"}
    script.add(
        {"match": ":pull$", "after": 1, "times": 2, "action": cut}, {"match": "^POST", "times": -1, "action": slow}
    )
    assert [script.pick("POST", "/s:pull") for _ in range(4)] == [slow, cut, cut, slow]
    assert script.pick("GET", "/s") is None
    script.clear()
    assert script.pick("POST", "/s:pull") is None
    for bad in ({"action": {"type": "nonsense"}}, {"action": cut, "tmies": 1}):
        with pytest.raises(ValueError):
            script.add(bad)


def test_status_faults_have_every_shape_of_body(remo):
    remo.faults.add(
        {"action": {"type": "status", "status": 429, "headers": {"Retry-After": "7"}, "retry_info": "3s"}},
        {"action": {"type": "status", "status": 502, "body": "<html>Bad Gateway</html>"}},
        {"action": {"type": "status", "status": 503, "body": {"odd": [1]}}},
    )
    limited, html, odd = poll(remo), poll(remo), poll(remo)
    assert limited.headers["Retry-After"] == "7" and limited.json()["error"]["details"][0]["retryDelay"] == "3s"
    assert html.status_code == 502 and html.headers["Content-Type"].startswith("text/html")
    assert odd.json() == {"odd": [1]}
    assert remo.served() == []


def test_cuts_before_after_and_in_the_middle(remo):
    remo.faults.add(
        *({"action": {"type": "cut", "when": when, "reset": when == "mid"}} for when in ("before", "after", "mid")),
        {"action": {"type": "truncate"}},
    )
    for _ in range(4):
        with pytest.raises(requests.RequestException):
            poll(remo)
    wait_until(lambda: len(completeness(remo)) == 3)
    assert completeness(remo) == [False] * 3
    assert poll(remo).status_code == 200
    assert wait_until(lambda: completeness(remo)[-1])


def test_stall_delay_and_slow(remo):
    remo.faults.add(
        {"action": {"type": "stall", "seconds": 30}},
        {"action": {"type": "delay", "seconds": 0.2}},
        {"action": {"type": "slow", "bytes_per_second": 10000}},
    )
    with pytest.raises(requests.Timeout):
        poll(remo, timeout=0.2)
    wait_until(lambda: remo.faults.describe()[0]["fired"])  # by that one, not by the next
    for _ in range(2):
        began = time.monotonic()
        assert poll(remo).status_code == 200
        assert time.monotonic() - began > 0.1


def test_applied_but_status_lost(remo):
    remo.faults.add({"action": {"type": "status", "status": 504, "applied": True}})
    assert poll(remo).status_code == 504
    assert poll(remo).json()[0]["newest_events"]["te"]["val"] == 15.002, "the first poll was carried out"


def test_control_api(remo):
    assert control(remo.url, "faults", {"match": "devices", "action": {"type": "cut"}})["rules"][0]["fired"] == 0
    with pytest.raises(requests.RequestException):
        poll(remo)
    assert control(remo.url, "faults")["rules"][0]["fired"] == 1
    assert control(remo.url, "faults", method="DELETE") == {"rules": []}
    poll(remo)
    log = control(remo.url, "log?kind=http&wait=30&since=1")
    assert log["events"][-1]["status"] == 200 and log["next"] == 2
    with pytest.raises(urllib.error.HTTPError):
        control(remo.url, "faults", {"action": {"type": "nonsense"}})


def test_http_details(remo):
    with contextlib.closing(requests.Session()) as session:
        chunked = session.post(
            remo.url + "/_control/options", data=iter([b"{", b"}"]), headers={"Expect": "100-continue"}, timeout=10
        )
        assert chunked.json()["limit"] == 1000
        assert (
            session.get(remo.url + "/1/devices", headers={**BEARER, "Connection": "close"}, timeout=10).status_code
            == 200
        )


def test_a_held_reply_waits_for_its_test(remo):
    rest = threading.Event()
    remo.faults.add({"action": {"type": "hold", "until": rest}})
    replies = []
    thread = threading.Thread(target=lambda: replies.append(poll(remo, timeout=60)))
    thread.start()
    wait_until(lambda: remo.under_way() == 1)
    assert remo.served() == [] and replies == []
    rest.set()
    thread.join(60)
    wait_until(remo.served)  # which is noted after the reply has gone
    assert replies[0].status_code == 200 and completeness(remo) == [True]


def test_drain_waits_for_what_the_dead_asked_for(remo):
    """A client that sends a request and is gone: its poll counts before drain() returns."""
    with socket.create_connection(("127.0.0.1", remo.port)) as dead:
        dead.sendall(f"GET /1/devices HTTP/1.1\r\nAuthorization: {BEARER['Authorization']}\r\n\r\n".encode())
    remo.drain()
    assert remo.polls() == 1 and remo.under_way() == 0


def test_a_drawn_port_is_nobody_elses():
    """Also while nobody listens there, and until the process that drew it ends."""
    port, take = (
        ports.free_port(),
        "import sys; from services import ports; print(ports._drawn.take(int(sys.argv[1])), flush=True); sys.stdin.read()",
    )
    with subprocess.Popen(
        [sys.executable, "-c", take, str(port)], cwd=TESTS_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.communicate("")[0] == "False\n"
    port = 10**6 + os.getpid()  # given back, one of the range might be drawn by others
    assert ports._drawn.take(port)
    ports._drawn.give_back(port)
    with subprocess.Popen(
        [sys.executable, "-c", take, str(port)], cwd=TESTS_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "True\n" and not ports._drawn.take(port)
    assert ports._drawn.take(port)


# Nature Remo


def test_default_devices_and_ledger(remo):
    first = poll(remo).json()
    wait_until(lambda: len(remo.served()) == 3)  # written when the answer is on its way
    second = poll(remo).json()
    assert [sorted(device["newest_events"]) for device in first] == [["hu", "il", "mo", "te"], ["te"], []]
    assert first[0]["newest_events"]["te"]["val"] != second[0]["newest_events"]["te"]["val"]
    wait_until(lambda: len(remo.served()) == 6)
    ledger = control(remo.url, "served?since=3")["served"]
    assert [entry["newest_events"] for entry in ledger] == [device["newest_events"] for device in second]
    assert all(entry["complete"] and entry["poll"] == 2 for entry in ledger)


def test_wrong_token_and_rate_limit():
    with NatureRemo(limit=2, window=3600) as service:
        reply = requests.get(f"{service.url}/1/devices", headers={"Authorization": "Bearer x"}, timeout=10)
        assert (reply.status_code, reply.json()) == (401, {"code": 401001, "message": "Unauthorized"})
        good = poll(service)
        assert good.headers["X-Rate-Limit-Limit"] == "2" and good.headers["X-Rate-Limit-Remaining"] == "0"
        assert int(good.headers["X-Rate-Limit-Reset"]) >= int(time.time())
        limited = poll(service)
        assert (limited.status_code, limited.json()) == (429, {"code": 429001, "message": "Too Many Requests"})
        service._window_end = time.time() + 0.5
        wait_until(lambda: poll(service).status_code == 200)


def test_scenarios_date_skew_and_bodies(remo):
    for scenario, count in (("edge", len(edge_devices())), ("empty", 0)):
        remo.scenario = scenario
        assert len(poll(remo).json()) == count
    remo.scenario = "null"
    assert poll(remo).json() is None
    assert control(remo.url, "devices", {"generate": 200})["devices"] == 200
    assert len(poll(remo).json()) == 200
    remo.date_skew = -86400 * 366
    assert poll(remo).headers["Date"].split()[3] < time.strftime("%Y", time.gmtime())
    remo.faults.add(
        {"action": {"type": "body", "body": '[{"id":'}}, {"action": {"type": "body", "body": " ", "repeat": 1 << 20}}
    )
    with pytest.raises(ValueError):
        poll(remo).json()
    assert len(poll(remo).content) == 1 << 20


def test_as_a_process():
    process = ServiceProcess("nature_remo", "--devices", "5", "--limit", "9")
    process.start()
    port = process.port
    assert len(poll(process).json()) == 5
    assert process.stop() == 0
    process.start()
    assert process.port == port and poll(process).headers["X-Rate-Limit-Remaining"] == "8"
    assert process.kill() == -9


@pytest.mark.parametrize(
    "name, args",
    [
        ("pubsub", ["--auth", "--pkcs1", "--service-account", "sa.json", "--authorized-user", "user.json"]),
        ("nature_remo", ["--scenario", "edge"]),
        ("proxy", ["--target", "9"]),
        ("wire_mongo", ["--standalone"]),
        ("mongodb", []),
        pytest.param(
            "emulator",
            [],
            marks=pytest.mark.skipif(emulator.find() is None, reason="Google's emulator is not installed"),
        ),
    ],
)
def test_each_program_starts_and_ends(name, args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    process = ServiceProcess(name, *args).start(timeout=60)
    with contextlib.suppress(ConnectionResetError), socket.create_connection(("127.0.0.1", process.port), timeout=30):
        pass  # the proxy ends it at once, for want of a target
    assert process.stop(30) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", process.port), timeout=5)


# TLS


def test_certificates(tmp_path):
    made = tls.make(tmp_path)

    def get(pair, ca):
        with NatureRemo(cert=pair.cert, key=pair.key) as service:
            request = urllib.request.Request(f"{service.url}/1/devices", headers=BEARER)
            with urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context(cafile=ca)) as reply:
                return reply.status

    assert get(made.server, made.ca) == 200
    for pair, ca in ((made.expired, made.ca), (made.wrong_host, made.ca), (made.server, made.other_ca)):
        with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
            get(pair, ca)


# Proxy


@pytest.fixture
def proxy(remo):
    with Proxy(remo.port) as made:
        yield made


def test_pass_refuse_and_target(remo, proxy):
    assert poll(proxy).status_code == 200
    proxy.set_mode("refuse")
    with pytest.raises(requests.ConnectionError, match="refused"):
        poll(proxy)
    proxy.set_mode("pass")
    assert poll(proxy).status_code == 200
    proxy.target(ports.free_port())
    with pytest.raises(requests.ConnectionError):
        poll(proxy)


def test_blackhole_and_stall_hold_bytes_back(proxy):
    for begin, end in (
        (lambda: proxy.set_mode("blackhole"), lambda: proxy.set_mode("pass")),
        (lambda: proxy.shape("reply", stall=True), proxy.clear),
        (lambda: proxy.shape("request", stall=True), proxy.clear),
    ):
        begin()
        with pytest.raises(requests.Timeout):
            poll(proxy, timeout=0.2)
        end()
        assert poll(proxy).status_code == 200


def test_abandoned_connections_stay_silent(proxy):
    with requests.Session() as session:
        assert session.get(proxy.url, timeout=10).status_code == 401
        proxy.abandon()
        with pytest.raises(requests.Timeout):
            session.get(proxy.url, timeout=0.2)
    assert poll(proxy).status_code == 200


@pytest.mark.parametrize("direction, count", [("request", 20), ("reply", 1), ("reply", 400)])
def test_cut_after_bytes(remo, proxy, direction, count):
    proxy.cut_after(direction, count)
    with pytest.raises(requests.RequestException):
        poll(proxy)
    assert proxy.stats()["bytes"][direction] == count and proxy.stats()["cuts"] == 1
    assert poll(proxy).status_code == 200


def test_cut_now(proxy):
    with contextlib.closing(requests.Session()) as session:
        session.get(f"{proxy.url}/1/devices", headers=BEARER, timeout=10)
        assert proxy.stats()["open"] == 1
        proxy.cut(reset=True)
        assert proxy.stats()["open"] == 0


def test_trickle_and_delay(proxy):
    proxy.shape("reply", chunk=1)
    proxy.shape("request", delay=0.1)
    assert len(poll(proxy).json()) == 3


def test_proxy_as_a_process(remo):
    with ServiceProcess("proxy", "--target", remo.port) as process:
        assert poll(process).status_code == 200
        assert process.control("mode", {"mode": "refuse"})["mode"] == "refuse"
        with pytest.raises(requests.ConnectionError):
            poll(process)
        process.control("clear", {})
        process.control("cut", {"direction": "reply", "bytes": 3})
        with pytest.raises(requests.ConnectionError):
            poll(process)
        assert process.control("stats")["connections"] == 2


# Scripted MongoDB


@pytest.fixture
def wire():
    with WireMongo() as server:
        yield server


def collection(server, **options):
    client = pymongo.MongoClient(server.uri, serverSelectionTimeoutMS=30000, **options)
    return client.home.get_collection("readings", write_concern=WriteConcern(w="majority", j=True))


def stored(server):
    return [document["_id"] for document in server.documents("home.readings")]


def test_insert_find_and_duplicates(wire):
    readings = collection(wire)
    readings.create_index("created_at")
    readings.insert_many([{"_id": i, "v": "x"} for i in range(5)], ordered=False)
    with pytest.raises(BulkWriteError) as caught:
        readings.insert_many([{"_id": i} for i in (4, 5)], ordered=False)
    assert [(e["index"], e["code"], e["keyPattern"]) for e in caught.value.details["writeErrors"]] == [
        (0, 11000, {"_id": 1})
    ]
    assert [d["_id"] for d in readings.find({"_id": {"$in": [5, 0, 99]}})] == [5, 0]
    assert len(list(readings.find({}, batch_size=2))) == 6
    durable = [event["ids"] for event in wire.log.since(kind="durable")]
    assert durable == [[0, 1, 2, 3, 4], [4, 5]]


def test_dropped_replies_and_retryable_writes(wire):
    readings = collection(wire)
    wire.script.add({"match": "^insert ", "action": {"type": "drop_reply"}})
    readings.insert_one({"_id": "a"})
    assert stored(wire) == ["a"], "the driver's retry got the first result"
    wire.script.add({"match": "^insert ", "action": {"type": "drop"}})
    readings.insert_one({"_id": "b"})
    wire.retry_aware = False
    wire.script.add({"match": "^insert ", "action": {"type": "drop_reply"}})
    with pytest.raises(pymongo.errors.DuplicateKeyError):
        readings.insert_one({"_id": "c"})
    assert stored(wire) == ["a", "b", "c"]


def test_standalone_has_no_retries():
    with WireMongo(standalone=True) as server:
        readings = collection(server)
        server.script.add({"match": "^insert ", "action": {"type": "drop_reply"}})
        with pytest.raises(AutoReconnect):
            readings.insert_one({"_id": "a"})
        assert stored(server) == ["a"] and server.log.since(kind="durable") == []
        assert all(event["txn"] is None for event in server.log.since(kind="command"))


def test_scripted_errors(wire):
    readings = collection(wire)
    errors = [{"index": 1, "code": 121}, {"index": 2, "code": 64}]
    wire.script.add(
        {
            "match": "^insert ",
            "action": {
                "type": "reply",
                "write_errors": errors,
                "write_concern_error": {"code": 64},
                "extra": {"unknown": 1},
                "chunk": 1,
            },
        }
    )
    with pytest.raises(BulkWriteError) as caught:
        readings.insert_many([{"_id": i} for i in range(4)], ordered=False)
    details = caught.value.details
    assert [e["code"] for e in details["writeErrors"]] == [121, 64] and details["writeConcernErrors"][0]["code"] == 64
    assert stored(wire) == [0, 3] and wire.log.since(kind="durable") == []
    wire.script.add(
        {
            "match": "^insert ",
            "times": 2,
            "action": {"type": "error", "code": 10107, "labels": ["RetryableWriteError"]},
        },
        {"match": "^insert ", "action": {"type": "error", "code": 22, "errmsg": "bad BSON"}},
        {"match": "^insert ", "action": {"type": "reply", "n": 7, "delay": 0.05, "doubles": True}},
    )
    with pytest.raises(NotPrimaryError):
        readings.insert_one({"_id": 9})
    with pytest.raises(OperationFailure, match="bad BSON"):
        readings.insert_one({"_id": 9})
    readings.insert_one({"_id": 9})
    assert stored(wire) == [0, 3, 9]


def test_limits_are_announced(wire):
    wire.max_write_batch_size, wire.max_bson_object_size = 4, 10000
    readings = collection(wire)
    readings.insert_many([{"_id": i} for i in range(10)], ordered=False)
    assert [len(e["ids"]) for e in wire.log.since(kind="command") if e["command"] == "insert"] == [4, 4, 2]
    with pytest.raises(DocumentTooLarge):
        readings.insert_one({"v": "x" * 40000})


def test_silence(wire):
    collection(wire).insert_one({"_id": 0})
    readings = collection(wire, socketTimeoutMS=500, retryWrites=False)
    wire.script.add({"match": "^insert ", "action": {"type": "no_reply", "applied": True, "seconds": 30}})
    with pytest.raises(AutoReconnect):
        readings.insert_one({"_id": 1})
    wait_until(lambda: stored(wire) == [0, 1])
    assert len(wire.log.since(kind="durable")) == 1
    wire.script.add({"match": "^hello ", "times": -1, "action": {"type": "no_reply", "seconds": 30}})
    with pytest.raises(ServerSelectionTimeoutError):
        pymongo.MongoClient(wire.uri, serverSelectionTimeoutMS=300, connectTimeoutMS=200).home.readings.insert_one({})


def test_wire_mongo_as_a_process():
    with ServiceProcess("wire_mongo", "--max-write-batch-size", "2") as process:
        process.uri = process.url.replace("http:", "mongodb:") + "/"
        collection(process).insert_many([{"_id": i} for i in range(3)])
        process.control("faults", {"match": "^insert ", "action": {"type": "error", "code": 13}})
        with pytest.raises(OperationFailure):
            collection(process).insert_one({})
        assert process.control("documents?ns=home.readings")["documents"] == [{"_id": i} for i in range(3)]
        assert [e["ids"] for e in process.control("log?kind=durable")["events"]] == [[0, 1], [2]]


# SecantusDB


def test_mongodb_survives_kill_and_obeys_fail_points():
    server = mongodb.MongoDB()
    try:
        server.start()
        port = server.port
        with contextlib.closing(server.client()) as client:
            client.home.readings.insert_many([{"_id": i} for i in range(100)])
            server.kill()
            server.start()
            assert server.port == port and client.home.readings.count_documents({}) == 100
            server.fail_point(times=2, failCommands=["insert"], errorCode=112)
            with pytest.raises(OperationFailure):
                client.home.readings.insert_one({})
            server.fail_point("off")
            client.home.readings.insert_one({})
            server.suspend()
            with pytest.raises(PyMongoError):
                server.client(serverSelectionTimeoutMS=300, connectTimeoutMS=200).admin.command("ping")
            server.resume()
            assert client.admin.command("ping")["ok"] == 1
    finally:
        server.close()


def test_mongodb_with_login_and_tls(tmp_path):
    made = tls.make(tmp_path / "tls")
    server = mongodb.MongoDB(storage=tmp_path / "data", user=("sensorqd", "p:/@ä"), tls=made.server, tls_ca=made.ca)
    with (
        server,
        contextlib.closing(server.client()) as client,
        contextlib.closing(server.client(login=False)) as stranger,
    ):
        client.home.readings.insert_one({"_id": 1})
        with pytest.raises(OperationFailure):
            stranger.home.readings.insert_one({"_id": 2})
        server.restart()
        assert client.home.readings.count_documents({}) == 1


# Emulator


@pytest.mark.skipif(emulator.find() is None, reason="Google's Pub/Sub emulator is not installed")
def test_emulator():
    with emulator.Emulator() as service:
        url = f"{service.url}/v1/projects/p/topics/readings"
        assert requests.put(url, json={}, timeout=60).json() == {"name": "projects/p/topics/readings"}
        assert requests.post(
            f"{url}:publish",
            data=json.dumps({"messages": [{"data": "YQ=="}]}),
            timeout=60,
            headers={"Content-Type": "application/json"},
        ).json() == {"messageIds": ["1"]}
        pid = service.child.process.pid
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


# FerretDB


@pytest.mark.timeout(900)  # it may have to be built
@pytest.mark.skipif(ferretdb.obstacle() is not None, reason=str(ferretdb.obstacle()))
def test_ferretdb_keeps_what_it_confirmed_over_a_kill(tmp_path):
    with ferretdb.FerretDB(storage=str(tmp_path / "data")) as server:
        concern = WriteConcern("majority", j=True)
        with contextlib.closing(server.client()) as client:
            client.home.get_collection("readings", write_concern=concern).insert_one({"_id": "a", "val": 21.5})
            with pytest.raises(pymongo.errors.DuplicateKeyError) as refused:
                client.home.readings.insert_one({"_id": "a"})
            assert "keyPattern" not in refused.value.details and "index" not in refused.value.details["errmsg"]
        server.kill()
        server.start()
        with contextlib.closing(server.client()) as client:
            assert list(client.home.readings.find()) == [{"_id": "a", "val": 21.5}]
