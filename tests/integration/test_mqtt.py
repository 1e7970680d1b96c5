"""What docs/sources/mqtt.md says of brokers, and of those that are not what they should be."""

import contextlib
import re
import sqlite3

import pytest
from harness import REPO, wait_until
from services import mosquitto, ports, tls
from services.mqtt_broker import Broker

if mosquitto.obstacle():
    pytest.skip(mosquitto.obstacle(), allow_module_level=True)

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
