"""As much as one configuration may hold."""

import contextlib
import re
from pathlib import Path

from harness import REPO, wait_until
from services.wire_mongo import WireMongo

SUBSCRIPTIONS, MEMBERS = 32, 3
LARGEST = 5  # members of a set that the unit's limit is counted for
RESERVE = 200  # of the unit's tasks, for names that are looked up and programs that are run
SOURCES, EACH = 1000, 3  # descriptors of a broker (test-stream.c), or of a program
LISTENED = 300  # by the page, and by devices that push


def limit(name):
    return int(re.search(rf"^{name}=(\d+)$", (REPO / "systemd" / "sensorqd.service.in").read_text(), re.M)[1])


def count(daemon, what):
    return len(list(Path(f"/proc/{daemon.process.pid}/{what}").iterdir()))


def test_subscriptions_to_replica_sets(make_feed):
    """P3, P13: each stores, and the unit's limits have room for their threads and connections, for those of larger
    sets, and for what else there may be."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(WireMongo()) for _ in range(MEMBERS)]
        for server in servers:
            server.members = [each.port for each in servers]
        uri = f"mongodb://{','.join(f'127.0.0.1:{server.port}' for server in servers)}/?replicaSet=scripted"
        feed = make_feed(servers[0], uri=uri)
        section = feed.daemon.config["subscribe"].pop()
        for number in range(SUBSCRIPTIONS):
            feed.subscribe(f"projects/my-project/subscriptions/many-{number}")
            feed.daemon.config["subscribe"].append(
                {
                    **section,
                    "subscription": f"many-{number}",
                    "mongodb": {**section["mongodb"], "collection": f"c{number}"},
                }
            )
        feed.daemon.write_config()
        feed.publish((b'{"a":1}', {"idempotency_key": "k"}))
        feed.daemon.start()
        wait_until(
            lambda: all(feed.documents(f"c{number}") for number in range(SUBSCRIPTIONS)),
            f"a document of each (log: {feed.daemon.log.lines[-15:]})",
            120,
        )

        def threads():
            return -(-(count(feed.daemon, "task") - 1) // SUBSCRIPTIONS)

        wait_until(
            lambda: threads() >= 1 + 2 * MEMBERS, "each member is watched by two threads"
        )  # the second one of a secondary may come after the document
        each = threads()
        assert SUBSCRIPTIONS * (each + 2 * (LARGEST - MEMBERS) + 1) + RESERVE <= limit("TasksMax")
        assert count(feed.daemon, "fd") + SUBSCRIPTIONS * 3 * (LARGEST - MEMBERS) + SOURCES * EACH + LISTENED <= limit(
            "LimitNOFILE"
        )
        assert feed.daemon.stop() == 0
