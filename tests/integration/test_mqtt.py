"""What docs/sources/mqtt.md says of brokers, and of those that are not what they should be."""

import contextlib
import re
import sqlite3
import struct

import pytest
from harness import REPO, wait_until
from services import mosquitto, ports, tls
from services.mqtt_broker import Broker

if mosquitto.obstacle():
    pytest.skip(mosquitto.obstacle(), allow_module_level=True)

PUBREC, PUBCOMP = 5, 7
PAGE = (REPO / "docs" / "sources" / "mqtt.md").read_text()


def source(port, name="broker", scheme="mqtt", **keys):
    return {"name": name, "type": "mqtt", "url": f"{scheme}://127.0.0.1:{port}", "topics": ["n/{id}"], **keys}


@pytest.fixture
def reads(sensorqd, own_queue):
    """Makes a daemon with these sources, which publishes only."""
    return lambda *sources: sensorqd(
        {"pubsub": own_queue.section, "publish": {"topic": "sensor-data", "sources": list(sources)}},
        own_queue.secrets,
        env=own_queue.env,
    )


def stored(daemon):
    """Readings that were committed so far, from the file itself: a copy of it that is made while it is written to may
    be none."""
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(
            sqlite3.connect(f"file:{daemon.state}/outbox.sqlite?mode=ro", uri=True, timeout=10)
        ) as outbox,
    ):
        return (outbox.execute("SELECT seq FROM sqlite_sequence WHERE name = 'readings'").fetchone() or [0])[0]
    return 0  # there is no file yet, or no table


def wait_for_sessions(daemon, **client_ids):
    """Until each source has subscribed in the session of that client id."""

    def has(name, client_id):
        file = daemon.state / f"mqtt-{name}.session"
        return mosquitto.keeps_for(daemon.state, name) and f" {client_id}\n" in file.read_text()

    wait_until(lambda: all(has(*each) for each in client_ids.items()), f"sessions {client_ids}")


def test_settings_of_the_page(reads, tmp_path):
    """With mosquitto's lines of the page: QoS 0 while we are away, more than its 1000 messages, and a broker that is
    killed: all of it comes."""
    lines = re.search(r"```\n(# .*?upgrade_outgoing_qos.*?)```", PAGE, re.S)[1].splitlines()
    with contextlib.closing(mosquitto.Mosquitto(tmp_path / "mosquitto", keeps=lines).start()) as broker:
        daemon = reads(source(broker.port))
        daemon.start()
        wait_until(lambda: mosquitto.keeps_for(daemon.state, "broker"), "a session with the broker")
        broker.publish("n/x", "0")
        wait_until(lambda: stored(daemon) == 1, "the first message")
        assert daemon.stop() == 0
        broker.publish("n/x", *map(str, range(1, 1501)), qos=0)
        kept = tmp_path / "mosquitto" / "mosquitto.db"
        wait_until(lambda: kept.exists() and kept.read_bytes().count(b"n/x") >= 1500, "the broker's file")
        broker.kill()
        broker.start()
        daemon.start()
        wait_until(lambda: stored(daemon) == 1501, "every message")
        assert daemon.stop() == 0


def test_certificates(reads, tmp_path):
    """A broker that asks for a certificate, and one whose own is not to be trusted."""
    made, secure = tls.make(tmp_path / "tls"), ports.free_port()
    lines = [
        f"listener {secure} 127.0.0.1",
        f"cafile {made.ca}",
        f"certfile {made.server.cert}",
        f"keyfile {made.server.key}",
        "require_certificate true",
    ]
    ours = {"certificate_file": made.client.cert, "key_file": made.client.key}
    with contextlib.closing(mosquitto.Mosquitto(tmp_path / "mosquitto", lines).start()) as broker:
        daemon = reads(
            source(secure, "good", "mqtts", ca_file=made.ca, tls=ours),
            source(secure, "stranger", "mqtts", ca_file=made.other_ca, **ours),
            source(secure, "nobody", "mqtts", ca_file=made.ca),
        )
        daemon.start()
        wait_until(lambda: mosquitto.keeps_for(daemon.state, "good"), "a session with the broker")
        broker.publish("n/x", "21.5")
        wait_until(lambda: stored(daemon) == 1, "the message")
        found = {}

        def both_fail():
            found.update({one["name"]: one for one in daemon.status().get("sources", [])})
            return found and found["stranger"]["failing"] and found["nobody"]["failing"]

        wait_until(both_fail, "two that do not get in")
        assert "certificate" in found["stranger"]["detail"] and not found["good"]["failing"]
        assert daemon.stop() == 0


def test_less_than_was_asked_for(reads):
    """A broker that grants QoS 0 is told of once: what it sends while we are away is lost."""
    with contextlib.closing(Broker(counts=True, grants=0)) as broker:
        daemon = reads(source(broker.port))
        daemon.start()
        assert "QoS 0 only" in daemon.log.wait("CONFIG_WARNING", where=lambda entry: "broker" in entry.text).text
        assert daemon.stop() == 0


@pytest.mark.parametrize("refuses", [b"\x20\x02\x00\x01", b""], ids=["says so", "closes"])
def test_a_broker_without_mqtt_5(reads, refuses):
    """`check` and `once` go on with 3.1.1, as the daemon does, and call nothing a failure."""
    with contextlib.closing(Broker(counts=True, refuses=refuses)) as broker:
        daemon = reads(source(broker.port))
        assert "ok    source broker" in daemon.run("check").stdout
        broker.publish("n/x", "21.5")
        assert "gives no readings" not in daemon.run("once").stderr
        assert stored(daemon) == 1
        daemon.start()
        broker.publish("n/x", "21.6")
        wait_until(lambda: stored(daemon) == 2, "the next message")
        assert daemon.stop() == 0
        assert not daemon.log.events("SOURCE_FAILING")


def test_client_ids_that_are_exchanged(reads, tmp_path):
    """Two sources that get each other's client_id have each other's topics in their sessions: nothing is lost, and each
    says what to do."""
    with contextlib.closing(mosquitto.Mosquitto(tmp_path / "mosquitto").start()) as broker:
        daemon = reads(
            source(broker.port, "one", topics=["a/{id}"], client_id="first"),
            source(broker.port, "two", topics=["b/{id}"], client_id="second"),
        )
        one, two = daemon.config["publish"]["sources"]
        daemon.start()
        wait_for_sessions(daemon, one="first", two="second")
        broker.publish("a/x", "1")
        broker.publish("b/x", "2")
        wait_until(lambda: stored(daemon) == 2, "a message each")
        one["client_id"], two["client_id"] = two["client_id"], one["client_id"]
        daemon.write_config()
        daemon.reload()
        wait_for_sessions(daemon, one="second", two="first")
        assert not daemon.log.events("CONFIG_WARNING")
        broker.publish("a/x", "3")
        broker.publish("b/x", "4")
        wait_until(lambda: stored(daemon) == 6, "both by each of them")
        told = [entry.text for entry in daemon.log.events("CONFIG_WARNING")]
        assert len(told) == 2 and all("give the source a client_id that was never used" in text for text in told)
        for section, fresh in ((one, "third"), (two, "fourth")):
            section["client_id"] = fresh
        daemon.write_config()
        daemon.reload()
        wait_for_sessions(daemon, one="third", two="fourth")
        broker.publish("a/x", "5")
        broker.publish("b/x", "6")
        wait_until(lambda: stored(daemon) >= 8, "a message each")
        assert daemon.stop() == 0
        assert stored(daemon) == 8 and len(daemon.log.events("CONFIG_WARNING")) == 2


class ExactlyOnce(Broker):
    """Sends with QoS 2, as aedes does it to whoever has subscribed with QoS 1. When it hears PUBREC, it looks how much
    is on the disk, and goes on only if it is to."""

    def __init__(self, on_disk):
        super().__init__(counts=True)
        self.on_disk, self.goes_on, self.received, self.completed = on_disk, True, [], []

    def send(self, packet_id, dup):
        topic, payload = self.flying[packet_id]
        body = struct.pack(">H", len(topic)) + topic + struct.pack(">HB", packet_id, 0) + payload
        with contextlib.suppress(OSError, AttributeError):
            self.connection.sendall(bytes([0x34 | dup << 3, len(body)]) + body)

    def release(self, packet_id):
        self.connection.sendall(b"\x62\x02" + struct.pack(">H", packet_id))

    def hear(self, connection, kind, body):
        super().hear(connection, kind, body)
        if kind == PUBREC:
            packet_id = struct.unpack(">H", body[:2])[0]
            self.flying.pop(packet_id)
            self.received.append((packet_id, self.on_disk()))
            if self.goes_on:
                self.release(packet_id)
        elif kind == PUBCOMP:
            self.completed.append(struct.unpack(">H", body[:2])[0])


def test_qos_2_over_a_kill(reads):
    """A message with QoS 2 is on the disk before the broker hears so. A daemon that is killed then answers the rest of
    its handshake at the next connect, which it knows nothing of, and the identifier may be that of another message."""
    with contextlib.closing(ExactlyOnce(lambda: stored(daemon))) as broker:
        daemon = reads(source(broker.port))
        daemon.start()
        wait_until(lambda: broker.subscribed == 1, "its subscription")
        broker.publish("n/x", "21.5")
        wait_until(lambda: broker.completed == [1], "the whole handshake")
        broker.goes_on = False
        broker.publish("n/x", "21.5")
        wait_until(lambda: len(broker.received) == 2, "PUBREC")
        daemon.kill()
        daemon.start()
        wait_until(lambda: broker.subscribed == 2, "its subscription")
        broker.release(2)
        wait_until(lambda: broker.completed == [1, 2], "the rest of the handshake")
        broker.last, broker.goes_on = 1, True
        broker.publish("n/x", "21.5")
        wait_until(lambda: broker.completed == [1, 2, 2], "another message with that identifier")
        assert broker.received == [(1, 1), (2, 2), (2, 3)]
        assert daemon.stop() == 0
        assert stored(daemon) == 3 and not daemon.log.events("SOURCE_FAILING")
