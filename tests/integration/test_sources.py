"""Every kind of source in one daemon, into one topic, over kills: what a peer was told is kept, is kept, and each of it
once (P1, P4, P12)."""

import contextlib
import http.server
import json
import re
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest
from every_source import History, Pusher, history_source, meet, numbers
from harness import REPO, wait_until
from ledger import committed_rows
from services import mosquitto, ports
from services.mqtt_broker import Broker

if mosquitto.obstacle():
    pytest.skip(mosquitto.obstacle(), allow_module_level=True)


def test_each_kind_is_stored(house, broker):
    house.history.add(1, late=5)
    house.daemon.start()
    pusher = Pusher(house.port)
    pusher.start()
    wait_until(lambda: mosquitto.keeps_for(house.daemon.state, "broker"), "a session with the broker")
    broker.publish("home/kitchen/temperature", "21.5")
    for source in ("home", "run", "stream", "broker", "push", "history"):
        wait_until(
            lambda: house.readings(query={"source": source}),
            f"a document of {source} (log: {house.daemon.log.lines[-20:]})",
        )
    pusher.ending = True
    document = house.readings(query={"source": "broker"})[0]
    assert document["temperature"] == 21.5 and document["id"] == "kitchen" and document["site"] == "nakano"
    assert (
        document["pubsub"]["attributes"]["device"] == "kitchen" and document["pubsub"]["attributes"]["site"] == "nakano"
    )
    assert house.readings(query={"source": "run"})[0]["value"] == 21.5
    assert not house.daemon.log.events("SOURCE_FAILING")


def test_nothing_is_lost_or_doubled_over_kills(house, broker, chance):
    """What the broker and the pusher were told is stored is there once, whenever the daemon died."""
    house.daemon.start()
    published = meet(house, broker)
    pusher = Pusher(house.port)
    pusher.start()
    for round_ in range(8):
        batch = [f"mqtt:{round_}:{n}" for n in range(250)]
        feeder = threading.Thread(target=broker.publish, args=("home/x/n", *batch))
        feeder.start()
        published += batch
        for n in range(50):
            house.history.add(f"{round_}:{n}", late=chance.uniform(2, 1800))
        time.sleep(chance.uniform(0, 0.3))
        house.daemon.kill()
        house.daemon.start()
        feeder.join()
    wait_until(lambda: set(published) <= set(numbers(house, "broker")), "everything of the broker", patience=60)
    wait_until(lambda: len(pusher.stored) > 10, "some more of the pusher")
    pusher.ending = True
    pusher.join()
    wait_until(lambda: set(pusher.stored) <= set(numbers(house, "push")), "everything that was pushed")
    wait_until(
        lambda: {n for _, n in house.history.points} <= set(numbers(house, "history")), "the history", patience=60
    )
    for source in ("broker", "push", "history"):
        doubled = {name: n for name, n in numbers(house, source).items() if n > 1}
        assert not doubled
    assert house.daemon.stop() == 0


CHANGES = {
    "home": lambda n: {"interval": f"{10 + n}s"},
    "run": lambda n: {"timeout": f"{20 + n}s"},
    "stream": lambda n: {"environment": {"ROUND": str(n)}},
    "broker": lambda n: {"reading": {"name": f"round {n}"}},
    "push": lambda n: {"max_body": f"{1 + n}MiB"},
    "history": lambda n: {"interval": f"{10 + n}s"},
}


def stream_runs(house):
    """{process: the numbers of its lines}."""
    runs = {}
    for name in numbers(house, "stream"):
        runs.setdefault(name.split(":")[1], set()).add(int(name.split(":")[2]))
    return runs


def test_each_kind_is_replaced_while_it_works(house, broker):
    """A reload that changes every source: what holds the broker's session, the listener and the program goes from the
    old one to the new one, and nothing is lost or doubled on the way (P1, P4, P9, P12)."""
    house.daemon.start()
    published = meet(house, broker)
    pusher = Pusher(house.port)
    pusher.start()
    wait_until(lambda: stream_runs(house), "a line of the first program")
    for round_ in range(5):
        batch = [f"mqtt:{round_}:{n}" for n in range(100)]
        feeder = threading.Thread(target=broker.publish, args=("home/x/n", *batch))
        feeder.start()
        published += batch
        for n in range(20):
            house.history.add(f"{round_}:{n}")
        for source in house.daemon.config["publish"]["sources"]:
            source.update(CHANGES[source["name"]](round_))
        house.daemon.write_config()
        house.daemon.reload()
        feeder.join()
        before = len(pusher.stored)
        wait_until(lambda: len(pusher.stored) > before + 5, "the listener of the new source")  # noqa: B023
        wait_until(lambda: len(stream_runs(house)) >= round_ + 2, "a line of the new program")  # noqa: B023
    wait_until(lambda: set(published) <= set(numbers(house, "broker")), "everything of the broker")
    pusher.ending = True
    pusher.join()
    wait_until(lambda: set(pusher.stored) <= set(numbers(house, "push")), "everything that was pushed")
    wait_until(
        lambda: {n for _, n in house.history.points} <= set(numbers(house, "history")), "the history", patience=60
    )
    for source in ("broker", "push", "history", "stream"):
        assert not {name: n for name, n in numbers(house, source).items() if n > 1}
    assert len(stream_runs(house)) >= 6  # a process for each configuration
    # What was pulled at the same time may be stored in another order.
    wait_until(
        lambda: all(lines == set(range(len(lines))) for lines in stream_runs(house).values()),
        "no line is missing between others of one run",
    )
    assert not house.daemon.log.events("SOURCE_FAILING")
    assert house.daemon.stop() == 0


@pytest.mark.parametrize("counts", [False, True], ids=["lowest", "counts"])
def test_same_again_over_kills(sensorqd, own_queue, counts):
    """Messages that say the same, and what the broker has not heard of. P12: of a broker that uses identifiers again at
    once none is lost; P4: of one that counts none is there twice."""
    with contextlib.closing(Broker(counts)) as broker:
        config = {
            "pubsub": own_queue.section,
            "publish": {
                "topic": "sensor-data",
                "sources": [
                    {"name": "broker", "type": "mqtt", "url": f"mqtt://127.0.0.1:{broker.port}", "topics": ["{id}/t"]}
                ],
            },
        }
        daemon = sensorqd(config, own_queue.secrets, env=own_queue.env)
        daemon.start()
        wait_until(lambda: broker.subscribed, "the subscription")
        for round_ in range(4):
            for _ in range(2):
                pings = broker.pings
                broker.publish("x/t", "21.5")
                wait_until(lambda: not broker.flying and broker.pings > pings, "an acknowledgement")  # noqa: B023
            if counts and round_ % 2:
                broker.deaf = True
                broker.publish("x/t", "21.5")  # stored, and not heard of
                wait_until(lambda: broker.unheard > round_ // 2, "an acknowledgement")  # noqa: B023
            daemon.kill()
            broker.deaf = False
            broker.publish("x/t", "21.5")  # lost on its way
            daemon.start()
            wait_until(lambda: not broker.flying, "what was not heard")
        assert daemon.stop() == 0
        assert committed_rows(daemon.state / "outbox.sqlite") == broker.published


def test_history_is_fetched_later(make_stack, own_queue, shared_mongodb, remo, chance):
    """What an API kept while the daemon was dead, or the API itself was down, is there once, however late it came in
    (P1, P4)."""
    own_queue.create()
    stack = make_stack(own_queue, shared_mongodb, remo)
    with History() as history:
        stack.daemon.config["publish"]["sources"].append(history_source(history))
        stack.daemon.write_config()
        history.points.append((2**31 + 1, "history:2038"))
        for round_ in range(6):
            history.down = round_ == 3
            for n in range(100):
                history.add(f"{round_}:{n}", late=chance.uniform(2, 1800))
            stack.daemon.start()
            time.sleep(chance.uniform(0, 0.4))
            stack.daemon.kill()
        stack.daemon.start()
        expected = {n for _, n in history.points}
        wait_until(lambda: expected <= set(numbers(stack, "history")), "every point", patience=60)
        assert stack.daemon.stop() == 0
        history.shutdown()
    counts = numbers(stack, "history")
    assert not {name: n for name, n in counts.items() if n > 1}
    assert set(counts) == expected


class Rotating(http.server.BaseHTTPRequestHandler):
    """A token endpoint as Netatmo's: each refresh token is good once. Its answer comes late."""

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        good = form["refresh_token"] == [f"refresh-{self.server.used}"]
        self.server.used += good
        self.server.asked.set()
        time.sleep(0.5)
        body = json.dumps(
            {"access_token": "access", "expires_in": 10800, "refresh_token": f"refresh-{self.server.used}"}
            if good
            else {"error": "invalid_grant"}
        ).encode()
        self.send_response(200 if good else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_stop_keeps_the_new_refresh_token(sensorqd, own_queue):
    """SIGTERM while the old refresh token has been used up, and the new one is on its way."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rotating) as server:
        server.used, server.asked = 0, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        config = {
            "pubsub": own_queue.section,
            "publish": {
                "topic": "sensor-data",
                "sources": [
                    {
                        "name": "home",
                        "type": "http_json",
                        "interval": "10s",
                        "url": f"{url}/x",
                        "auth": {
                            "type": "oauth2",
                            "token_url": f"{url}/token",
                            "client_id": "me",
                            "refresh_token_file": "home.refresh",
                        },
                    }
                ],
            },
        }
        daemon = sensorqd(config, {**own_queue.secrets, "home.refresh": "refresh-0"}, env=own_queue.env)
        daemon.start()
        assert server.asked.wait(60)
        assert daemon.stop() == 0
        server.shutdown()
    assert json.loads((daemon.state / "oauth2-home.json").read_text())["refresh_token"] == "refresh-1"


PAGE = REPO / "docs" / "sources" / "http-push.md"

# As the service manager does it: the socket is descriptor 3 of the process that is then sensorqd.
HANDS_OVER = """
import os, socket, sys
sock = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def test_socket_of_the_page(sensorqd, own_queue):
    """The page's socket unit and its source fit together: what comes through the socket is on disk when it is
    answered."""
    unit = dict(
        re.findall(r"^(\w+)=(.+)$", re.search(r"^\[Socket\]\n(.*?)\n\n", PAGE.read_text(), re.M | re.S)[1], re.M)
    )
    listen = re.search(r"^ +listen: (systemd:\S+)", PAGE.read_text(), re.M)[1]
    assert (
        listen == f"systemd:{unit['FileDescriptorName']}"
        and unit["ListenStream"].isdigit()
        and unit["Service"] == "sensorqd.service"
    )
    port = ports.free_port()
    config = {
        "pubsub": own_queue.section,
        "publish": {
            "topic": "sensor-data",
            "sources": [
                {"name": "push", "type": "http_push", "listen": listen, "token_file": "push.token", "allow_plain": True}
            ],
        },
    }
    daemon = sensorqd(
        config,
        {**own_queue.secrets, "push.token": "a-secret-of-push"},
        env=own_queue.env,
        wrapper=[sys.executable, "-c", HANDS_OVER, str(port), unit["FileDescriptorName"]],
    )
    daemon.start()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/readings",
        b'{"co2":612}',
        {"Content-Type": "application/json", "Authorization": "Bearer a-secret-of-push"},
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert json.load(reply) == {"stored": 1}
    assert daemon.stop() == 0


def test_unix_socket_of_a_proxy(sensorqd, own_queue, tmp_path):
    """All that comes through it has the same address, and is not one client."""
    hands_over = HANDS_OVER.replace(
        'socket.create_server(("127.0.0.1", int(sys.argv[1])))',
        "socket.socket(socket.AF_UNIX); sock.bind(sys.argv[1]); sock.listen(128)",
    )
    config = {
        "pubsub": own_queue.section,
        "publish": {
            "topic": "sensor-data",
            "sources": [
                {
                    "name": "push",
                    "type": "http_push",
                    "listen": "systemd:proxy",
                    "token_file": "push.token",
                    "allow_plain": True,
                }
            ],
        },
    }
    daemon = sensorqd(
        config,
        {**own_queue.secrets, "push.token": "a-secret-of-push"},
        env=own_queue.env,
        wrapper=[sys.executable, "-c", hands_over, str(tmp_path / "s"), "proxy"],
    ).start()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(100)]
        for client in clients:
            client.connect(str(tmp_path / "s"))
        for n, client in enumerate(clients):
            client.settimeout(20)
            body = b'{"co2":%d}' % n
            client.sendall(
                b"POST /readings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Authorization: Bearer a-secret-of-push\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            assert client.recv(1000).startswith(b"HTTP/1.1 200"), n
    assert daemon.stop() == 0
