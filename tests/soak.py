"""Hundreds of devices and another publisher on one side, MongoDB on the other, and for some minutes everything between
them breaks at random:
the daemon, MongoDB and the queue are killed and stopped, connections are refused, cut, stalled and black-holed, every
kind of request answers errors or half a reply. Then all is healed, and every reading must be in MongoDB exactly once,
none acknowledged before it was durable.

Exit status 0 when the ledger balances and the daemon's anonymous memory stayed within its limit. A failed run keeps its
directory.
"""

import argparse
import collections
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "integration")]

from test_kills import RUNNING  # noqa: E402
from world import Remotes, World  # noqa: E402

MEMORY_LIMIT = 24 * 1024 * 1024  # RssAnon of the daemon
DEVICES, INTERVAL_MSEC = 200, 2000
CALLS = [
    ":publish$",
    ":publish$",
    ":publish$",
    ":pull$",
    ":acknowledge$",
    ":modifyAckDeadline$",
    "/token$",
    "GET /v1/.*/subscriptions/",
]


class Soak:
    """The faults: one thread for each thing that breaks, so that they overlap as chance wants it."""

    def __init__(self, world, remotes, seed, minutes):
        self.world, self.remotes, self.seed, self.minutes = world, remotes, seed, minutes
        self.over = threading.Event()
        self.counts = collections.Counter()
        self.problems = []
        self.peak = 0
        self.slowest_stop = 0.0

    def run(self):
        self.world.start()
        self.world.foreign.start()
        loops = [
            threading.Thread(target=self._loop, args=(name, actions, pauses))
            for name, actions, pauses in (
                ("daemon", (self.kill, self.kill, self.crash, self.crash, self.stop, self.reload), (4, 20)),
                (
                    "mongodb",
                    (
                        self.mongodb_kill,
                        self.mongodb_suspend,
                        self.mongodb_fail_point,
                        self.mongodb_network,
                        self.mongodb_network,
                    ),
                    (2, 10),
                ),
                (
                    "queue",
                    (
                        self.queue_kill,
                        self.queue_faults,
                        self.queue_faults,
                        self.queue_faults,
                        self.queue_network,
                        self.queue_network,
                    ),
                    (2, 10),
                ),
                ("source", (self.source_faults,), (2, 12)),
            )
        ]
        loops += [threading.Thread(target=self._watch), threading.Thread(target=self._tell)]
        for loop in loops:
            loop.start()
        self.over.wait(self.minutes * 60)
        self.over.set()
        for loop in loops[:4]:
            loop.join()
        self.heal()
        return self.world.settle(patience=420, check_every=5)

    def _loop(self, name, actions, pauses):
        rng = random.Random(f"{self.seed} {name}")
        while not self.over.wait(rng.uniform(*pauses)):
            action = rng.choice(actions)
            try:
                action(rng)
            except Exception:  # every one counts, and the others go on
                self.problem(f"{name}: {action.__name__}: {traceback.format_exc()}")

    def problem(self, text):
        print(text, flush=True)
        self.problems.append(text)
        self.over.set()

    def pause(self, rng, low, high):
        self.over.wait(rng.uniform(low, high))

    def _watch(self):
        """Anonymous memory, and that the daemon ends only when it was made to."""
        while self.world.daemon.process is not None and not (
            self.over.is_set() and self.world.daemon.process.poll() is not None
        ):
            with contextlib.suppress(OSError, TypeError):
                self.peak = max(self.peak, self.world.daemon.memory())
            time.sleep(0.2)

    def _tell(self):
        began = time.monotonic()
        while not self.over.wait(60):
            print(
                f"{(time.monotonic() - began) / 60:4.0f} min: {self.faults()} faults, {self.kills()} kills, "
                f"{self.world.remo.served()[-1]['seq']} readings served, {self.world.foreign.answered} published by others, "
                f"memory at most {self.peak / 2**20:.1f} MiB",
                flush=True,
            )

    def faults(self):
        return sum(self.counts.values())

    def kills(self):
        return sum(count for name, count in self.counts.items() if name.startswith("kill"))

    # The daemon

    def alive(self):
        code = self.world.daemon.process.poll()
        if code is not None:
            self.problem(
                f"sensorqd ended by itself with exit code {code}:\n" + "\n".join(self.world.daemon.log.lines[-30:])
            )
        return code is None

    def kill(self, rng):
        if self.alive():
            self.world.kill()
            self.counts["kill daemon"] += 1
            self.pause(rng, 0, 2)
            self.world.start(ready=rng.random() < 0.8)

    def crash(self, rng):
        """Dies at a crash point, if it comes past it in time; else by SIGKILL."""
        if not self.alive():
            return
        self.world.kill()
        self.world.start(ready=False, SENSORQD_CRASHPOINT=f"{rng.choice(RUNNING)}:{rng.randrange(1, 8)}")
        with contextlib.suppress(Exception):
            self.world.daemon.process.wait(rng.uniform(2, 15))
        if self.world.daemon.process.poll() is None:
            self.world.kill()
        else:
            self.world.died(-signal.SIGKILL)
        self.counts["kill daemon"] += 2
        self.world.start()

    def stop(self, rng):
        if self.alive():
            began = time.monotonic()
            self.world.stop()
            self.slowest_stop = max(self.slowest_stop, time.monotonic() - began)
            self.counts["stop daemon"] += 1
            self.pause(rng, 0, 3)
            self.world.start()

    def reload(self, _rng):
        if self.alive():
            self.world.daemon.signal(signal.SIGHUP)
            self.counts["reload daemon"] += 1

    # MongoDB

    def mongodb_kill(self, rng):
        self.remotes.mongodb.kill()
        self.counts["kill MongoDB"] += 1
        self.pause(rng, 0, 6)
        self.remotes.mongodb.start()

    def mongodb_suspend(self, rng):
        self.remotes.mongodb.suspend()
        self.counts["suspend MongoDB"] += 1
        self.pause(rng, 0.5, 6)
        self.remotes.mongodb.resume()

    def mongodb_fail_point(self, rng):
        data = rng.choice(
            [
                {"closeConnection": True},
                {"errorCode": 10107, "errorLabels": ["RetryableWriteError"]},
                {"errorCode": 91},
                {"errorCode": 11600},
                {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
                {"writeConcernError": {"code": 91, "errmsg": "shutdown"}},
                {"errorCode": 13},
                {"errorCode": 50},
                {"blockConnection": True, "blockTimeMS": rng.randrange(100, 3000)},
            ]
        )
        commands = rng.choice([["insert"], ["insert", "find"], ["find"], ["ping", "hello"]])
        self.remotes.mongodb.fail_point(times=rng.randrange(1, 6), failCommands=commands, **data)
        self.counts["MongoDB error"] += 1

    def mongodb_network(self, rng):
        self.network(rng, self.world.mongodb_proxy, "MongoDB network")

    # The queue

    def queue_kill(self, rng):
        self.remotes.pubsub.kill()
        self.counts["kill queue"] += 1
        self.pause(rng, 0, 5)
        self.remotes.pubsub.start()

    def queue_faults(self, rng):
        rules = [
            {
                "match": rng.choice(CALLS),
                "times": rng.randrange(1, 12),
                "after": rng.randrange(3),
                "action": self.queue_action(rng),
            }
            for _ in range(rng.randrange(1, 4))
        ]
        self.world.pubsub_faults(rules)
        self.counts["queue error"] += len(rules)
        self.pause(rng, 1, 8)
        self.world.pubsub_faults([])

    def queue_action(self, rng):
        applied = rng.random() < 0.5
        return rng.choice(
            [
                {"type": "status", "status": rng.choice([408, 429, 499, 500, 502, 503, 504]), "applied": applied},
                {"type": "status", "status": 503, "body": "<html>Bad Gateway</html>", "applied": applied},
                {"type": "status", "status": 429, "headers": {"Retry-After": "2"}, "retry_info": "1s"},
                {"type": "status", "status": 401},
                {"type": "revoke"},
                {"type": "cut", "when": rng.choice(["before", "mid", "after"]), "reset": applied},
                {"type": "truncate"},
                {"type": "stall", "seconds": rng.uniform(0.5, 8), "applied": applied},
                {"type": "delay", "seconds": rng.uniform(0.1, 4)},
                {"type": "slow", "bytes_per_second": 20000},
                {"type": "duplicate"},
                {"type": "partial", "messages": rng.randrange(1, 5)},
                {"type": "id_count", "delta": rng.choice([-1, 1])},
                {"type": "status", "status": rng.choice([400, 403, 404]) if rng.random() < 0.2 else 503},
            ]
        )

    def queue_network(self, rng):
        self.network(rng, self.world.pubsub_proxy, "queue network")

    # Network and source

    def network(self, rng, proxy, name):
        direction = rng.choice(["request", "reply"])
        what = rng.choice(
            [
                lambda: proxy.cut(reset=rng.random() < 0.5),
                lambda: proxy.cut_after(direction, rng.randrange(1, 200000), times=rng.randrange(1, 4)),
                lambda: proxy.shape(direction, stall=True),
                lambda: proxy.shape(direction, delay=rng.uniform(0.05, 1)),
                lambda: proxy.shape(direction, chunk=rng.randrange(1, 2000), pause=0.002),
                lambda: proxy.set_mode("refuse"),
                lambda: proxy.set_mode("blackhole"),
            ]
        )
        what()
        self.counts[name] += 1
        self.pause(rng, 0.5, 8)
        proxy.clear()

    def source_faults(self, rng):
        """Only such that tell clearly whether the whole body went out."""
        action = rng.choice(
            [
                {"type": "status", "status": rng.choice([500, 502, 503])},
                {"type": "status", "status": 429, "headers": {"Retry-After": "2"}},
                {"type": "cut", "when": rng.choice(["before", "mid", "after"]), "reset": rng.random() < 0.5},
                {"type": "truncate"},
                {"type": "stall", "seconds": rng.uniform(0.5, 4)},
                {"type": "slow", "bytes_per_second": 200000},
                {"type": "body", "body": rng.choice(["{", "[{]", "<html>"])},
            ]
        )
        self.world.remo.faults.add({"match": "GET /1/devices", "times": rng.randrange(1, 3), "action": action})
        self.counts["source error"] += 1

    def heal(self):
        """All remotes work from here on."""
        self.world.remo.faults.clear()
        self.world.mongodb_proxy.clear()
        self.world.pubsub_proxy.clear()
        self.remotes.start()
        self.remotes.mongodb.fail_point(mode="off")
        self.world.pubsub_faults([])
        if self.world.daemon.process.poll() is not None:
            self.alive()
            self.world.died(self.world.daemon.process.returncode)
            self.world.start()


def report(soak, result):
    memory_good = soak.peak <= MEMORY_LIMIT
    print(f"lost {len(result.lost)}, doubled {len(result.doubled)}, acknowledged-before-durable {len(result.early)}")
    for line in (result.lost + result.doubled + result.early + result.wrong)[:20]:
        print(f"  {line}")
    print(
        f"readings {result.readings}: {result.fetched} from the source, {result.foreign} from another publisher; {result.cut_off} more were on their way "
        f"when the daemon ended; {result.rejected} messages rejected as they should be; {result.acknowledged} acknowledgements"
    )
    print(
        f"faults {soak.faults()}, kills {soak.kills()}: "
        + ", ".join(f"{name} {count}" for name, count in sorted(soak.counts.items()))
    )
    print(
        f"daemon: peak anonymous memory {soak.peak / 2**20:.1f} MiB (limit {MEMORY_LIMIT // 2**20} MiB), slowest stop {soak.slowest_stop:.1f} s"
    )
    good = result.good and memory_good and not soak.problems
    print(f"soak: {'PASSED' if good else 'FAILED'}: {soak.minutes:g} minutes, --seed {soak.seed}", flush=True)
    return good


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, required=True, metavar="N")
    options.add_argument(
        "--seed", default=str(random.SystemRandom().randrange(10**9)), help="of all random choices (default: a new one)"
    )
    options.add_argument("--directory", help="work there and keep it")
    args = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = Path(args.directory or tempfile.mkdtemp(prefix="sensorqd-soak-"))
    print(f"soak: {args.minutes:g} minutes, --seed {args.seed}, in {directory}", flush=True)
    good = False
    try:
        with contextlib.closing(Remotes(directory, time_scale=1, pull_hang=10)) as remotes:
            with contextlib.closing(
                World(
                    remotes,
                    directory,
                    random.Random(f"{args.seed} world"),
                    "soak",
                    DEVICES,
                    INTERVAL_MSEC,
                    proxied=True,
                    log_level="info",
                    foreign={"pause": 0.7, "batch": 10},
                )
            ) as world:
                soak = Soak(world, remotes, args.seed, args.minutes)
                try:
                    good = report(soak, soak.run())
                finally:
                    soak.over.set()
                    (directory / "daemon.log").write_text("\n".join(world.daemon.log.lines) + "\n")
    finally:
        if good and not args.directory:
            shutil.rmtree(directory)
        elif not good:
            print(f"kept: {directory} (daemon.log, daemon/state, pubsub/pubsub.sqlite)", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
