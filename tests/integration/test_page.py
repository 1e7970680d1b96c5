"""The page through the whole daemon: what was stored is drawn, whatever is down meanwhile (P5, P13)."""

import contextlib
import datetime
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import sys
import threading
import time
from collections import Counter

import pytest
import requests
from harness import fill_disk, small_disk, wait_until
from services import tls
from services.ports import free_port
from test_sources import HANDS_OVER

TE, HU = "/newest_events/te/val", "/newest_events/hu/val"


def now_ms():
    return time.time_ns() // 1_000_000


def reading(device, at_ms, te, hu=None, **more):
    at = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    events = {"te": {"val": te, "created_at": at}, **({"hu": {"val": hu, "created_at": at}} if hu is not None else {})}
    body = {"id": device, "name": f"Room {device}", "source": "home", "request_at": at, "newest_events": events, **more}
    return json.dumps(body).encode(), {"idempotency_key": f"{at}:home:{device}", "source": "home", "device": device}


class Page:
    """A daemon with a page, as a browser sees it."""

    def __init__(self, daemon, port, password=None):
        self.daemon, self.url, self.session = daemon, f"http://127.0.0.1:{port}", requests.Session()
        self.session.trust_env = False
        if password:
            self.session.auth = ("", password)

    def get(self, path, status=200, **query):
        reply = self.session.get(self.url + path, params=query, timeout=20)
        assert reply.status_code == status, f"{reply.status_code} {reply.text[:300]}"
        return reply.json()

    def series(self):
        return {(entry["device"], entry["field"]): entry for entry in self.get("/api/series")["series"]}

    def values(self, entry, start, end, points=600):
        """{time: (minimum, mean, maximum, count)} of one series."""
        (found,) = self.get("/api/values", series=entry["id"], **{"from": start, "to": end}, points=points)["series"]
        return dict(zip(found["time"], zip(found["minimum"], found["mean"], found["maximum"], found["count"])))

    def count(self, key, start, end):
        entry = self.series().get(key)
        return sum(count for *_, count in self.values(entry, start, end, 2000).values()) if entry else 0

    def wait_count(self, key, start, end, wanted):
        wait_until(
            lambda: self.count(key, start, end) == wanted,
            f"{wanted} values of {key} (log: {self.daemon.log.lines[-20:]})",
        )


def minute(at_ms):
    return at_ms // 60000 * 60000


@pytest.fixture
def archive(sensorqd, own_queue):
    """A daemon that stores into files, and shows that."""
    port = free_port()
    own_queue.create(subscription="archive")
    daemon = sensorqd(
        {
            "pubsub": own_queue.section,
            "subscribe": [
                {"subscription": "archive", "backoff": {"initial": "1s", "max": "2s"}, "file": {"directory": "archive"}}
            ],
            "page": {"listen": f"127.0.0.1:{port}", "series": {HU: "湿度"}},
        },
        own_queue.secrets,
        env=own_queue.env,
    )
    daemon.queue = own_queue
    return Page(daemon, port)


def test_what_is_stored_is_drawn(archive):
    daemon, start = archive.daemon, now_ms() - 3600_000
    messages = [reading("a", start + n * 20_000, 20 + n / 10, 50 + n) for n in range(90)] + [
        reading("b", start, -3.5, extra={"co2": 612})
    ]
    messages = messages[::-1] + messages[:30]  # out of order, and some twice
    daemon.start()
    daemon.queue.publish(messages)
    archive.wait_count(("a", TE), start, now_ms(), 90)
    wait_until(lambda: archive.series().keys() == {("a", TE), ("a", HU), ("b", TE), ("b", "/extra/co2")}, "four series")
    entry = archive.series()[("a", HU)]
    assert (entry["source"], entry["name"], entry["labels"], entry["label"], entry["order"], entry["limits"]) == (
        "home",
        "Room a",
        {},
        "湿度",
        0,
        [],
    )
    assert entry["from"] == start and entry["last"] == {"time": start + 89 * 20_000, "value": 139}
    expected = {}
    for n in range(90):
        expected.setdefault(minute(start + n * 20_000), []).append(50 + n)
    found = archive.values(entry, start, now_ms())
    assert {at: (min(v), pytest.approx(sum(v) / len(v)), max(v), len(v)) for at, v in expected.items()} == found

    status = wait_until(
        lambda: (s := archive.get("/api/status"))["subscriptions"][0]["sink"]["stored"] >= 91 and s,
        "a report of what is stored",
    )
    assert (
        status["page"]["subscription"].endswith("/subscriptions/archive")
        and abs(status["page"]["time"] - now_ms()) < 60_000
    )
    assert status["subscriptions"][0]["sink"]["stored"] == 91
    assert archive.get("/api/values", 404, series=999, **{"from": 0, "to": 1000}) == {
        "error": "there is no such series"
    }
    assert "points" in archive.get("/api/values", 400, series=1, points="a", **{"from": 0, "to": 1000})["error"]

    assert daemon.stop() == 0  # a clean stop saves the rest
    daemon.start()
    archive.wait_count(("a", TE), start, now_ms(), 90)


def test_limits_of_alert_rules_are_told(archive):
    daemon = archive.daemon
    daemon.queue.call("PUT", "subscriptions/alerts", {"topic": f"projects/{daemon.queue.project}/topics/sensor-data"})
    rules = [
        {"name": "暑い", "where": {"name": ["Room a", "Room c"]}, "field": TE, "above": 28, "clear": 27.5},
        {"name": "dry", "where": {"site": "x"}, "field": HU, "below": 40},
        {"name": "silent", "stale": "2h"},
    ]
    daemon.config["subscribe"].append(
        {
            "subscription": "alerts",
            "alert": {"rules": rules, "targets": [{"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/"}]},
        }
    )
    daemon.write_config()
    daemon.start()
    now = now_ms()
    data, attributes = reading("b", now, 20, 50, site="x")
    daemon.queue.publish([reading("a", now, 20, 50), (data, {**attributes, "site": "x"})])
    wait_until(lambda: len(archive.series()) == 4, "four series")
    found = archive.series()
    assert found["a", TE]["limits"] == [{"rule": "暑い", "kind": "above", "value": 28, "clear": 27.5}]
    assert found["b", HU]["limits"] == [{"rule": "dry", "kind": "below", "value": 40, "clear": 40}]
    assert found["b", HU]["labels"] == {"site": "x"} and found["a", HU]["limits"] == found["b", TE]["limits"] == []


def test_a_reload_takes_the_page_away_and_brings_it_back(archive):
    daemon, start = archive.daemon, now_ms() - 600_000
    daemon.start()
    daemon.queue.publish([reading("a", start, 20)])
    archive.wait_count(("a", TE), start, now_ms(), 1)
    section = daemon.config.pop("page")
    daemon.write_config()
    daemon.reload()
    with pytest.raises(requests.ConnectionError):
        archive.get("/api/status")
    daemon.config["page"] = {**section, "password_file": "page.password"}
    (daemon.directory / "credentials" / "page.password").write_text("secret\n")
    daemon.write_config()
    daemon.reload()
    wait_until(lambda: "The page is served" in "\n".join(daemon.log.lines[-30:]), "the page again")
    assert archive.session.get(archive.url + "/api/series", timeout=20).status_code == 401
    archive.session.auth = ("any", "wrong")
    assert archive.session.get(archive.url + "/", timeout=20).status_code == 401
    assert daemon.log.wait("PAGE_LOGIN_REFUSED").fields["SENSORQD_ERROR"] == "127.0.0.1"
    archive.session.auth = ("any", "secret")
    archive.wait_count(("a", TE), start, now_ms(), 1)
    assert not any("secret" in line and "secret file" not in line for line in daemon.log.lines)


def test_which_subscription_is_drawn(archive):
    """The one that the page names, or else one with files, wherever it stands."""
    daemon, start = archive.daemon, now_ms() - 600_000
    other = {"subscription": "other", "webhook": {"url": f"http://127.0.0.1:{free_port()}/", "allow_plain": True}}
    daemon.config["subscribe"].insert(0, other)
    daemon.write_config()
    daemon.start()
    daemon.queue.publish([reading("a", start, 20)])
    archive.wait_count(("a", TE), start, now_ms(), 1)
    daemon.config["page"]["subscription"] = "other"
    daemon.write_config()
    daemon.reload()
    daemon.queue.publish([reading("b", start, 20)])
    wait_until(lambda: daemon.status()["subscriptions"][1]["acknowledged"] == 2, "the second in the archive")
    assert archive.count(("b", TE), start, now_ms()) == 0
    daemon.config["page"]["subscription"] = "archive"
    daemon.write_config()
    daemon.reload()
    daemon.queue.publish([reading("c", start, 20)])
    archive.wait_count(("c", TE), start, now_ms(), 1)


def test_kills_cost_minutes_and_damage_costs_charts(archive):
    """Readings never: a kill takes what was not saved from the charts, a damaged file is set aside."""
    daemon, start = archive.daemon, now_ms() - 600_000
    daemon.start()
    daemon.queue.publish([reading("a", start + n * 1000, n) for n in range(10)])
    archive.wait_count(("a", TE), start, now_ms(), 10)
    section = daemon.config.pop("page")
    daemon.write_config()
    daemon.reload()  # which saves
    wait_until(lambda: not (daemon.state / "page.sqlite-wal").exists(), "a closed file")
    daemon.config["page"] = section
    daemon.write_config()
    daemon.reload()
    wait_until(lambda: sum("The page is served" in line for line in daemon.log.lines) == 2, "the page again")
    daemon.queue.publish([reading("a", start + n * 1000, n) for n in range(10, 15)])
    archive.wait_count(("a", TE), start, now_ms(), 15)
    wait_until(lambda: daemon.queue.is_empty("archive"), "their acknowledgement")  # or they come again after the kill
    daemon.kill()
    daemon.start()
    assert archive.count(("a", TE), start, now_ms()) == 10
    assert daemon.stop() == 0
    with open(daemon.state / "page.sqlite", "r+b") as file:
        file.write(b"rubbish" * 1000)
    daemon.start()
    daemon.log.wait("PAGE_DAMAGED")
    assert archive.series() == {} and (daemon.state / "page.sqlite.damaged").exists()
    lines = [
        json.loads(line)
        for path in (daemon.state / "archive").glob("*.ndjson")
        for line in path.read_text().splitlines()
    ]
    assert Counter(document["_id"] for document in lines).most_common(1)[0][1] == 1 and len(lines) == 15


def test_full_disk_and_a_file_of_a_later_version(archive, tmp_path):
    """Both are told; storing goes on, and so do the charts as far as they can."""
    daemon, start = archive.daemon, now_ms() - 3600_000
    daemon.config["subscribe"][0]["file"]["directory"] = str(tmp_path / "archive")
    daemon.write_config()
    with small_disk(daemon.state, "1M"):
        daemon.start()
        daemon.queue.publish([reading("a", start, 20)])
        archive.wait_count(("a", TE), start, now_ms(), 1)
        filler = fill_disk(daemon.state)
        # more than the 128 KiB that the log of a file has
        many = {f"a-number-of-this-device-{n}": n for n in range(60)}
        daemon.queue.publish([reading(f"many-{n}", start, 20, more=many) for n in range(30)])
        daemon.queue.publish([reading("a", start + n * 60_000, 20) for n in range(1, 10)])
        archive.wait_count(("a", TE), start, now_ms(), 10)
        wait_until(lambda: len(archive.series()) == 1 + 30 * 61, "all series")
        section = daemon.config.pop("page")
        daemon.write_config()
        daemon.reload()  # which saves
        daemon.log.wait("PAGE_FAILING", where=lambda entry: "the disk is full" in entry.fields["SENSORQD_ERROR"])
        filler.unlink()
        daemon.config["page"] = section
        daemon.write_config()
        daemon.reload()
        daemon.queue.publish([reading("b", start, 1)])
        archive.wait_count(("b", TE), start, now_ms(), 1)
        daemon.log.wait("PAGE_RECOVERED")
        daemon.config.pop("page")
        daemon.write_config()
        daemon.reload()
        wait_until(lambda: not (daemon.state / "page.sqlite-wal").exists(), "a closed file")
        with contextlib.closing(sqlite3.connect(daemon.state / "page.sqlite")) as file:
            file.execute("PRAGMA user_version = 99")
        daemon.config["page"] = section
        daemon.write_config()
        daemon.reload()
        daemon.log.wait(
            "PAGE_FAILING", where=lambda entry: "a later sensorqd made it" in entry.fields["SENSORQD_ERROR"]
        )
        daemon.queue.publish([reading("b", start + 60_000, 1)])
        wait_until(
            lambda: archive.get("/api/status")["subscriptions"][0]["sink"]["stored"] == 42,
            "the next reading in the archive",
        )
        assert archive.get("/api/series", 503)["error"].startswith("there are no charts now")
        assert "sensorqd_sink_stored_total{" in archive.session.get(f"{archive.url}/metrics", timeout=20).text
        assert daemon.stop() == 0
        with contextlib.closing(sqlite3.connect(daemon.state / "page.sqlite")) as file:
            assert file.execute("PRAGMA user_version").fetchone() == (99,)  # left alone
    assert sum(len(path.read_text().splitlines()) for path in (tmp_path / "archive").glob("*.ndjson")) == 42


def test_who_asks_too_much(archive):
    """HEAD is GET without its body, nothing else is allowed; who takes all connections that an address may have shuts
    out nobody else."""
    daemon, address = archive.daemon, ("127.0.0.1", int(archive.url.rsplit(":", 1)[1]))
    daemon.start()
    for path in (
        "/",
        "/page.js",
        "/api/status",
        "/api/series",
        "/metrics",
        "/healthz",
        "/nothing",
        "/api/values?series=1",
    ):
        head, whole = (archive.session.request(method, archive.url + path, timeout=20) for method in ("HEAD", "GET"))
        assert (
            head.status_code == whole.status_code
            and head.content == b""
            and head.headers["Content-Type"] == whole.headers["Content-Type"]
        )
        assert int(head.headers["Content-Length"]) > 0
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert archive.session.request(method, archive.url + "/api/status", data=b"x", timeout=20).status_code == 405
    archive.session.close()
    before = daemon.memory()

    slow = []
    for _ in range(64):
        slow.append(socket.create_connection(address))
        slow[-1].sendall(b"GET / HTTP/1.1\r\nHost: local")  # and never the rest

    def ask(source):
        with socket.create_connection(address, timeout=20, source_address=(source, 0)) as one:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                return b"".join(iter(lambda: one.recv(65536), b""))
        return b""

    wait_until(lambda: ask("127.0.0.1") == b"", "an end of what one address may have")
    assert ask("127.0.0.2").startswith(b"HTTP/1.1 200") or ask("127.0.0.2").startswith(b"HTTP/1.1 503")
    for _ in range(10_000):
        socket.create_connection(address, timeout=20).close()
    assert ask("127.0.0.2").startswith(b"HTTP/1.1 ")
    for one in slow:
        one.close()
    wait_until(lambda: ask("127.0.0.1").startswith(b"HTTP/1.1 "), "room again")
    assert daemon.memory() - before < 4 * 2**20, f"{(daemon.memory() - before) / 2**20:.1f} MiB more"
    assert daemon.stop() == 0


def test_check_names_what_the_page_lacks(archive):
    daemon = archive.daemon
    assert re.search(rf"^ok +page +can be served on {archive.url[7:]}", daemon.run("check").stdout, re.M)
    daemon.config["page"].update(
        password_file="page.password", tls={"certificate_file": "page.crt", "key_file": "page.key"}
    )
    daemon.write_config()
    told = daemon.run("check")
    assert (
        told.returncode == 77
        and "page.password" in told.stdout
        and "page.crt: No such file or directory" in told.stdout
    )
    assert daemon.run().returncode == 77


@pytest.mark.parametrize(
    "address, word",
    [
        ("taken", "or this service, if state_dir was changed"),
        ("192.0.2.1:8480", "no such address"),
        ("free", None),
        ("unknown", "is served, or would be"),
        ("systemd:page", "not tried"),
        ("127.0.0.1:443", "not tried"),
    ],
)
def test_check_tries_the_address(sensorqd, own_queue, address, word):
    """As no daemon runs, nothing else than that address tells whether the page can be served. Unknown: whether one runs
    cannot be told, and it may have that address."""
    if address == "127.0.0.1:443" and os.geteuid() != 0:
        pytest.skip("only root may")
    own_queue.create(subscription="archive")
    with socket.create_server(("127.0.0.1", free_port())) as server:
        host, port = server.getsockname()
        if address == "free":
            server.close()
        daemon = sensorqd(
            {
                "pubsub": own_queue.section,
                "subscribe": [{"subscription": "archive", "file": {"directory": "archive"}}],
                "page": {
                    "listen": address if ":" in address else f"{host}:{port}",
                    "password_file": "p",
                    "allow_plain": True,
                },
            },
            {**own_queue.secrets, "p": "a-password"},
            env=own_queue.env,
        )
        if address == "unknown":
            (daemon.state / "lock").mkdir()
        done = daemon.run("check")
    told = re.search("^(ok|FAIL) +page  (.*)$", done.stdout, re.M)
    bad = address in ("taken", "192.0.2.1:8480")
    assert (told[1], done.returncode) == (("FAIL", 69) if bad else ("ok", 0)), done.stdout
    assert word in told[2] if word else told[2] == f"can be served on {host}:{port}, with a password"


def test_an_address_that_is_taken(archive):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(archive.url.rsplit(":", 1)[1])))
        taken.listen()
        archive.daemon.start()
        assert "another program has that address" in archive.daemon.log.wait("PAGE_FAILING").fields["SENSORQD_ERROR"]
        wait_until(lambda: "page not served since" in archive.daemon.notify.status, "STATUS that says so")
        assert re.search("^page +not served since .*: another program", archive.daemon.run("status").stdout, re.M)
        assert archive.daemon.run("status", "--check").returncode == 69
        told = json.loads(archive.daemon.run("status", "--json").stdout)["page_failing"]
        assert (told["kind"], told["remedy"]) == ("occupied", "occupied")
    archive.daemon.log.wait("PAGE_RECOVERED")
    archive.get("/api/status")


def serial(port, ca):
    """Of the certificate that is served there now."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return secure.getpeercert()["serialNumber"]


def takes_tls(port, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL's own default refuses the old versions
    context.minimum_version = context.maximum_version = version
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError:
        return False


def test_page_and_push_on_one_address_with_tls(archive, tmp_path):
    """Both have names of their own for Host; a certificate that was renewed is served after a reload, and what is open
    goes on."""
    daemon, port = archive.daemon, int(archive.url.rsplit(":", 1)[1])
    pairs = [tls.make(tmp_path / name) for name in ("first", "second", "third")]
    files = {"certificate_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}

    def install(pair, key=None):
        shutil.copy(pair.server.cert, files["certificate_file"])
        shutil.copy((key or pair).server.key, files["key_file"])

    install(pairs[0])
    daemon.config["page"].update(tls=files, password_file="page.password", hosts=["page.example"])
    daemon.config["publish"] = {
        "topic": "sensor-data",
        "sources": [
            {"name": "push", "type": "http_push", "listen": archive.url[7:], "hosts": ["push.example"], "tls": files}
        ],
    }
    (daemon.directory / "credentials" / "page.password").write_text("secret")
    daemon.write_config()
    daemon.start()
    archive.url, archive.session.auth = archive.url.replace("http:", "https:"), ("", "secret")

    def push(verify, **more):
        return archive.session.post(
            f"{archive.url}/readings", json={"id": "x", "co2": 400}, verify=verify, timeout=20, **more
        )

    archive.session.verify = pairs[0].ca
    assert archive.get("/api/status")["page"] and push(pairs[0].ca).json() == {"stored": 1}
    versions = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert [takes_tls(port, version) for version in versions] == [False, False, True, True]
    for host, page, pushed in (("page.example", 200, 403), ("push.example", 403, 200)):
        assert archive.session.get(f"{archive.url}/healthz", headers={"Host": host}, timeout=20).status_code == page
        assert push(pairs[0].ca, headers={"Host": host}).status_code == pushed
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(archive.url, verify=pairs[1].ca, timeout=20)

    before = serial(port, pairs[0].ca)
    daemon.reload()
    assert serial(port, pairs[0].ca) == before
    pusher = requests.Session()  # a connection of its own
    pusher.trust_env, pusher.verify = False, pairs[0].ca
    assert pusher.post(f"{archive.url}/readings", json={"id": "x", "co2": 401}, timeout=20).json() == {"stored": 1}
    assert archive.get("/api/status")["page"]
    install(pairs[1])
    daemon.reload()
    assert serial(port, pairs[1].ca) != before
    # Over the connections that were open: no other certificate is there, so a new one would fail.
    last = archive.session.get(f"{archive.url}/healthz", headers={"Host": "page.example"}, timeout=20)
    assert last.status_code == 200 and last.headers["Connection"] == "close"
    last = pusher.post(
        f"{archive.url}/readings", json={"id": "x", "co2": 402}, headers={"Host": "push.example"}, timeout=20
    )
    assert last.json() == {"stored": 1} and last.headers["Connection"] == "close"
    pusher.close()
    archive.session.close()
    archive.session.verify = pairs[1].ca
    assert archive.get("/api/status")["page"] and push(pairs[1].ca).json() == {"stored": 1}

    assert daemon.run("check").returncode == 0
    install(pairs[2], key=pairs[0])
    checked = daemon.run("check")
    assert checked.returncode == 69
    assert re.search(r"^FAIL +source push +.*certificate and key of tls do not fit", checked.stdout, re.M), (
        checked.stdout
    )
    assert re.search(r"^FAIL +page +.*certificate and key of tls do not fit", checked.stdout, re.M), checked.stdout
    daemon.reload()
    daemon.log.wait("CONFIG_WARNING", where=lambda entry: "certificate and key of tls do not fit" in entry.text)
    assert archive.get("/api/status")["page"] and serial(port, pairs[1].ca)
    install(pairs[2])
    daemon.reload()
    assert serial(port, pairs[2].ca)

    # files of other names for both
    files.update(certificate_file=str(tmp_path / "cert-2.pem"), key_file=str(tmp_path / "key-2.pem"))
    install(pairs[0])
    daemon.write_config()
    daemon.reload()
    wait_until(lambda: serial(port, pairs[0].ca), "the other certificate")
    archive.session.verify = pairs[0].ca
    assert archive.get("/api/status")["page"] and push(pairs[0].ca).json() == {"stored": 1}
    assert not daemon.log.events("SOURCE_FAILING") and not daemon.log.events("PAGE_FAILING")
    assert daemon.stop() == 0


def test_socket_of_the_service_manager(archive):
    daemon, port = archive.daemon, archive.url.rsplit(":", 1)[1]
    daemon.config["page"].update(listen="systemd:page", password_file="page.password", allow_plain=True)
    (daemon.directory / "credentials" / "page.password").write_text("secret")
    daemon.write_config()
    daemon.wrapper = [sys.executable, "-c", HANDS_OVER, port, "page"]
    daemon.start()
    archive.session.auth = ("", "secret")
    assert archive.get("/api/status")["page"]["subscription"].endswith("/archive")
    section = daemon.config.pop("page")
    daemon.write_config()
    daemon.reload()  # the socket stays open: who asks now waits
    daemon.config["page"] = section
    daemon.write_config()
    daemon.reload()
    assert archive.get("/api/status")["page"] and daemon.stop() == 0


@pytest.fixture
def mongodb_page(sensorqd, own_queue, own_mongodb):
    """A daemon that stores into MongoDB; its page is switched on by the test."""
    own_queue.create()
    daemon = sensorqd(
        {
            "pubsub": own_queue.section,
            "subscribe": [
                {
                    "subscription": "sensor-data-mongodb",
                    "mongodb": {
                        "uri": own_mongodb.uri,
                        "database": "home",
                        "collection": "readings",
                        "backoff": {"initial": "1s", "max": "2s"},
                    },
                }
            ],
        },
        own_queue.secrets,
        env=own_queue.env,
    )
    daemon.queue, daemon.mongodb = own_queue, own_mongodb
    return Page(daemon, free_port())


def test_history_of_mongodb_once_and_charts_while_it_is_down(mongodb_page):
    page, daemon, start = mongodb_page, mongodb_page.daemon, now_ms() - 2 * 365 * 86400_000
    daemon.start()
    old = [reading("a", start + n * 3600_000, n % 40, labels="x") for n in range(1500)] + [
        reading("b", start + n * 60_000, 1) for n in range(700)
    ]
    for n in range(0, len(old), 500):
        daemon.queue.publish(old[n : n + 500])
    with daemon.mongodb.client() as client:
        wait_until(lambda: client.home.readings.estimated_document_count() == 2200, "everything stored", 120)
    daemon.config["page"] = {"listen": page.url[7:]}
    daemon.write_config()
    daemon.reload()
    wait_until(
        lambda: any("is in its charts" in line for line in daemon.log.lines), f"history (log: {daemon.log.lines[-20:]})"
    )
    daemon.queue.publish([reading("a", now_ms(), 50)])
    page.wait_count(("a", TE), start - 86400_000, now_ms() + 60_000, 1501)
    assert page.count(("b", TE), start - 86400_000, now_ms() + 60_000) == 700
    daemon.stop()
    daemon.mongodb.stop()
    daemon.start()
    assert page.count(("a", TE), start - 86400_000, now_ms() + 60_000) == 1501  # it is down, and nothing is read twice
    assert page.get("/api/status")["subscriptions"][0]["sink"]["ready"] is False
    assert page.session.get(page.url + "/healthz", timeout=20).status_code == 503


def test_history_of_other_programs_is_never_of_the_future(mongodb_page):
    """Values of a time that has not come yet would be the newest: all others would be too old to be kept."""
    page, daemon, start = mongodb_page, mongodb_page.daemon, now_ms() - 2 * 365 * 86400_000
    daemon.start()
    daemon.queue.publish([reading("a", start + n * 3600_000, 20) for n in range(100)])
    with daemon.mongodb.client() as client:
        readings = client.home.readings
        wait_until(lambda: readings.estimated_document_count() == 100, "everything stored")
        stored = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        readings.insert_one({"_id": "z", "id": "z", "request_at": "9999-12-31T23:59:59Z", "te": 1, "stored_at": stored})
    daemon.config["page"] = {"listen": page.url[7:]}
    daemon.write_config()
    daemon.reload()
    wait_until(lambda: any("is in its charts" in line for line in daemon.log.lines), "history")
    assert daemon.stop() == 0  # saves
    daemon.start()
    assert page.count(("a", TE), start - 86400_000, now_ms()) == 100
    assert page.count(("z", "/te"), now_ms() - 2 * 3600_000, now_ms()) == 1


def test_reloads_while_history_is_read_and_others_look(mongodb_page):
    """The page comes and goes between any two pieces: every value is in its charts once, and the stop is clean."""
    page, daemon, start = mongodb_page, mongodb_page.daemon, now_ms() - 30 * 86400_000
    daemon.start()
    for n in range(0, 2500, 500):
        daemon.queue.publish([reading("a", start + k * 60_000, k % 40) for k in range(n, n + 500)])
    wait_until(lambda: daemon.mongodb.client().home.readings.estimated_document_count() == 2500, "everything stored")
    ended = threading.Event()

    def look():
        viewer = Page(daemon, page.url.rsplit(":", 1)[1])
        while not ended.is_set():
            with contextlib.suppress(requests.ConnectionError, AssertionError):  # it is away, or an answer is 503
                viewer.count(("a", TE), start - 86400_000, now_ms())

    viewers = [threading.Thread(target=look, daemon=True) for _ in range(3)]
    for viewer in viewers:
        viewer.start()
    try:
        for turn in range(9):
            daemon.config["page"] = {"listen": page.url[7:]} if turn % 2 == 0 else None
            daemon.config = {key: value for key, value in daemon.config.items() if value is not None}
            daemon.write_config()
            daemon.reload()
        page.wait_count(("a", TE), start - 86400_000, now_ms() + 60_000, 2500)
        assert daemon.stop() == 0
    finally:
        ended.set()
    for viewer in viewers:
        viewer.join()
