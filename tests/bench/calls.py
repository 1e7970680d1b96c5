"""Counts what the first reading after a start costs in calls of our own functions, and how far it travels.

    python3 tests/bench/calls.py [--tree DIR] [--keep FILE]

Builds the tree (this one, or another with the same layout: an older one to compare with) with -finstrument-functions
and without optimisation, and runs the daemon against services of tests/services: one Nature Remo with one device, a
Pub/Sub with OAuth, a MongoDB. Every function of lib/ and daemon/ that is entered is noted. Counted are the calls from
the first function of the source that polls to the answer to the acknowledgement; what else runs in between (tokens,
other timers) is in the count, too.

The hops of the reading: the functions of daemon/ that were under way whenever it came to a door (DOORS), each call
once; the same way to the same door, gone again, is not counted again. Not counted is what runs for something else
(ASIDE). --way prints them, a line for each change of file: docs/ARCHITECTURE.md has the main ones.
"""

import argparse
import collections
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from services.mongodb import MongoDB  # noqa: E402
from services.nature_remo import NatureRemo  # noqa: E402
from services.pubsub import PubSub  # noqa: E402

import requests  # noqa: E402

PATIENCE = 60  # seconds
# where a reading is read, written down, sent, handed to a thread, stored
DOORS = {
    "http_start",
    "sql_step",
    "sql_exec",
    "worker_submit",
    "json_reader_init",
    "json_parse",
    "wire_get_publish",
    "wire_get_pull",
    "send_bulk",
}
# tokens, figures, settings, and the pull that is sent before there is a reading
ASIDE = re.compile(
    r"daemon/(report.*|status.*|page.*|remote|pubsub/(token|credentials).*|subscribe/(watch|subscription))\.c .*"
    r"|daemon/stages\.c stages_settle|daemon/subscribe/(pulls\.c start|subscriber-pull\.c (?!on_pull|pull_answered).*)"
)
LOOP = ("daemon/main.c", "daemon/daemon.c")
FLAGS = ["--buildtype=debug", "-Doptimization=0", "-Dc_args=-finstrument-functions -gdwarf-4"]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def build(tree, directory):
    if not (directory / "build.ninja").exists():
        run("meson", "setup", directory, tree, *FLAGS)
    run("ninja", "-C", directory, "daemon/sensorqd")
    run("cc", "-shared", "-fPIC", "-O2", "-o", directory / "record-calls.so", HERE / "record-calls.c")
    return directory / "daemon" / "sensorqd"


def configuration(directory, pubsub, remo, mongodb):
    key = directory / "key.json"
    pubsub.write_service_account(key)
    (directory / "nature-remo.token").write_text(remo.token + "\n")
    (directory / "state").mkdir()
    path = directory / "sensorqd.yaml"
    path.write_text(
        json.dumps(
            {
                "state_dir": str(directory / "state"),
                "pubsub": {"project": "my-project", "endpoint": pubsub.url, "credentials_file": str(key)},
                "publish": {
                    "topic": "readings",
                    "sources": [
                        {
                            "name": "home",
                            "type": "nature_remo",
                            "interval": "24h",
                            "token_file": "nature-remo.token",
                            "url": remo.url,
                        }
                    ],
                },
                "subscribe": [
                    {
                        "subscription": "store",
                        "mongodb": {"uri": mongodb.uri, "database": "home", "collection": "readings"},
                    }
                ],
            }
        )
    )
    return path


def record(program, recorder, directory):
    """What was entered (or left), in order: the address relative to the program, the thread, whether it was left."""
    pubsub, remo, mongodb = (
        PubSub(auth=True, pull_hang=5).start(),
        NatureRemo(devices=1).start(),
        MongoDB(storage=str(directory / "mongodb")).start(),
    )
    try:
        config, calls = configuration(directory, pubsub, remo, mongodb), directory / "calls"
        token = requests.get(
            pubsub.url + "/computeMetadata/v1/instance/service-accounts/default/token",
            headers={"Metadata-Flavor": "Google"},
            timeout=20,
        ).json()["access_token"]
        for name, body in (
            ("topics/readings", {}),
            (
                "subscriptions/store",
                {"topic": "projects/my-project/topics/readings", "ackDeadlineSeconds": 60, "expirationPolicy": {}},
            ),
        ):
            requests.put(
                f"{pubsub.url}/v1/projects/my-project/{name}",
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=20,
            ).raise_for_status()
        log = open(directory / "log", "wb")
        process = subprocess.Popen(
            [program, "--config", config],
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                "LD_PRELOAD": str(recorder),
                "CALLS_FILE": str(calls),
                "STATE_DIRECTORY": str(directory / "state"),
            },
        )
        deadline = time.monotonic() + PATIENCE
        while not requests.get(f"{pubsub.url}/_control/stats", timeout=20).json()[
            "projects/my-project/subscriptions/store"
        ]["acked"]:
            if time.monotonic() > deadline or process.poll() is not None:
                process.kill()
                sys.exit((directory / "log").read_text()[-3000:])
            time.sleep(0.1)
        time.sleep(1)  # the answer to the acknowledgement
        process.terminate()
        process.wait(30)
        data = calls.read_bytes()
    finally:
        for service in (mongodb, remo, pubsub):
            service.close() if hasattr(service, "close") else service.stop()
    base, *words = struct.unpack(f"<{len(data) // 8}Q", data)
    return [((word & (1 << 48) - 1) - base, word >> 48 & 0x7FFF, bool(word >> 63)) for word in words[: words.index(0)]]


def names(program, addresses, tree):
    """{address: (file, function)}."""
    distinct = sorted(set(addresses))
    text = subprocess.run(
        ["addr2line", "-f", "-e", program],
        input="\n".join(hex(address) for address in distinct),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    found = {}
    for i, address in enumerate(distinct):
        place = os.path.realpath(text[2 * i + 1].rsplit(":", 1)[0])
        found[address] = (re.sub(r"^.*?/((?:lib|daemon)/)", r"\1", place.replace(str(tree), "")), text[2 * i])
    return found


def hops(events, known, first, last):
    """The calls that lead to a door, from event *first* to *last*, which counts as one, as [(file, function)], in
    order."""
    stacks, ways, seen, found = collections.defaultdict(list), set(), set(), []
    for number, (address, thread, left) in enumerate(events[: last + 1]):
        stack, call = stacks[thread], known[address]
        if left:
            while stack and stack.pop()[1] != call:
                pass
            continue
        stack.append((number, call))
        if number < first or (call[1] not in DOORS and number < last):
            continue
        own = [(at, (file, name)) for at, (file, name) in stack if file.startswith("daemon/") and file not in LOOP]
        way = (call[1], *(each for _, each in own))
        if way in ways or any(ASIDE.fullmatch(" ".join(each)) for _, each in own):
            continue
        ways.add(way)
        found += [each for at, each in own if at not in seen]
        seen |= {at for at, _ in own}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tree", type=Path, default=HERE.parents[1])
    parser.add_argument("--build", type=Path, default=Path("/var/tmp/sensorqd-calls"))
    parser.add_argument("--way", action="store_true", help="print the hops of the reading")
    parser.add_argument("--keep", type=Path, help="write every call into this file")
    options = parser.parse_args()
    program = build(options.tree.resolve(), options.build)
    with tempfile.TemporaryDirectory(prefix="calls-") as directory:
        events = record(program, options.build / "record-calls.so", Path(directory))
    known = names(program, [address for address, _, _ in events], options.tree.resolve())
    entered = [
        i for i, (address, _, left) in enumerate(events) if not left and not known[address][1].startswith("__")
    ]  # glibc's inline ones are not ours
    calls = [known[events[i][0]] for i in entered]
    if options.keep:
        options.keep.write_text("".join(f"{file} {function}\n" for file, function in calls))
    first = next(
        i
        for i, (file, function) in enumerate(calls)
        if file.startswith("daemon/sources/") and function.endswith("_poll") or function in ("source_poll", "poll_now")
    )
    last = next(
        i for i, (file, function) in enumerate(calls) if file.endswith("subscribe/ack.c") and function == "on_answer"
    )
    way = calls[first : last + 1]
    print(
        f"from the poll to the acknowledgement: {len(way)} calls in {len(set(way))} functions of {len({file for file, _ in way})} files"
    )
    for room in ("lib/", "daemon/"):
        part = [call for call in way if call[0].startswith(room)]
        changes = sum(a[0] != b[0] for a, b in zip(part, part[1:]))
        print(
            f"  {room:8} {len(part):6} calls, {len(set(part)):4} functions, {len({file for file, _ in part}):3} files, {changes} changes of file"
        )
    print(f"since the start: {last + 1} calls")
    path = hops(events, known, entered[first], entered[last])
    changes = [i for i in range(1, len(path)) if path[i - 1][0] != path[i][0]]
    print(
        f"the reading: {len(path)} hops through {len(set(path))} functions of {len({file for file, _ in path})} files, {len(changes)} changes of file"
    )
    for begin, end in zip([0, *changes], [*changes, len(path)]) if options.way else ():
        print(f"  {path[begin][0]}:", *(f"{name}()" for _, name in path[begin:end]))
    print(
        "most often:",
        *(f"  {count:6} {file} {function}()" for (file, function), count in collections.Counter(way).most_common(25)),
        sep="\n",
    )


if __name__ == "__main__":
    main()
