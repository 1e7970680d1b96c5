"""Files as a sink, through the whole daemon (P3, P4, P6): the ledger over kills, what cannot be stored, the page's
lines."""

import csv
import json
import os
import re
import resource
import shutil
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from harness import wait_until
from outlets import archive_lines

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sinks" / "file.md"


@pytest.fixture
def archive(sensorqd, own_queue):
    """A daemon that only stores, into state/archive."""
    own_queue.create(subscription="archive")
    daemon = sensorqd(
        {
            "pubsub": own_queue.section,
            "subscribe": [
                {
                    "subscription": "archive",
                    "backoff": {"initial": "1s", "max": "2s"},
                    "file": {"directory": "archive", "max_size": "64KiB"},
                }
            ],
        },
        own_queue.secrets,
        env=own_queue.env,
    )
    daemon.queue, daemon.archive = own_queue, daemon.state / "archive"
    return daemon


def lines(daemon):
    return archive_lines(daemon.archive)


def publish(daemon, numbers):
    daemon.queue.publish(
        [
            (
                json.dumps(
                    {
                        "id": f"d{n % 3}",
                        "name": "居間",
                        "request_at": f"2026-11-24T06:27:{n % 60:02}.000Z",
                        "n": n,
                        "newest_events": {"te": {"val": 20 + n / 10}},
                    }
                ).encode(),
                {"idempotency_key": f"k{n}"},
            )
            for n in numbers
        ]
    )


def test_nothing_is_lost_or_doubled_over_kills(archive, chance):
    archive.queue.service.store.time_scale = 5  # what a killed daemon held comes back sooner
    archive.start()
    for round_ in range(6):
        publish(archive, range(round_ * 300, round_ * 300 + 300))
        time.sleep(chance.uniform(0, 0.2))
        archive.kill()
        archive.start()
    wait_until(
        lambda: archive.queue.is_empty("archive"), f"an empty queue (log: {archive.log.lines[-20:]})", patience=60
    )
    assert archive.stop() == 0
    found = lines(archive)
    assert Counter(document["_id"] for document in found) == Counter(f"k{n}" for n in range(1800))
    document = found[0]
    assert list(document)[0] == "_id" and list(document)[-2:] == ["pubsub", "stored_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["stored_at"])
    assert list(archive.archive.glob("*.gz")), "closed files are compressed"


def test_what_cannot_be_stored(archive):
    archive.queue.publish(
        [
            (b"not json", {"idempotency_key": "x"}),
            (b'{"v": 1}', {"idempotency_key": "y"}),
            (b"{'v': 2}", {"idempotency_key": "z"}),
        ]
    )
    archive.start()
    archive.log.wait("READING_REJECTED", count=2)
    wait_until(lambda: archive.queue.is_empty("archive"), "an empty queue")
    assert [document["_id"] for document in lines(archive)] == ["y"]
    assert re.search(r"^ok +file archive +.*can be written to, \d+ MiB free", archive.run("check").stdout, re.M)
    listed = archive.run("rejected", "list")
    assert listed.returncode == 0 and listed.stdout.count("not_json") == 2
    names = set(re.findall(r"^(\S+)  ", listed.stdout, re.M))
    python = next(name for name in names if "{'v': 2}" in archive.run("rejected", "show", name).stdout)
    assert archive.run("rejected", "replay", python).returncode == 69
    archive.config["subscribe"][0]["payload"] = "python"
    archive.write_config()
    assert archive.run("rejected", "replay", python).returncode == 0  # beside the running daemon
    assert archive.run("rejected", "drop", "--all").returncode == 0
    assert "not_json" not in archive.run("rejected", "list").stdout
    publish(archive, [7])
    wait_until(lambda: len(lines(archive)) == 3, "one more line")
    assert [document["_id"] for document in lines(archive)] == ["y", "z", "k7"]


def test_a_replay_reads_the_archive_once(archive, tmp_path):
    """And not for each message: it may have 200 000 lines, and the daemon's writes wait meanwhile."""
    if shutil.which("strace") is None:
        pytest.skip("not installed: strace")
    publish(archive, [1])
    archive.queue.publish([(b"not json", {"idempotency_key": f"x{n}"}) for n in range(5)])
    archive.start()
    wait_until(lambda: archive.queue.is_empty("archive"), "an empty queue")
    assert archive.stop() == 0
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-q", "-o", trace, "-e", "trace=openat", *archive.command("rejected", "replay", "--all")]
    env = archive.environment(ASAN_OPTIONS="detect_leaks=0")  # which looks for leaks by tracing, as strace does
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=env)
    assert ended.returncode == 69 and ended.stdout.count("still cannot be stored") == 5
    assert len(re.findall(r"\.ndjson\", O_RDONLY", trace.read_text())) == 1


def test_root_follows_no_link_of_the_service(archive):
    """The service's user may have made it: what root replays would be written where it leads, and files there removed."""
    if os.geteuid() != 0:
        pytest.skip("not possible here: giving a directory away needs root")
    archive.queue.publish([(b"{'v': 2}", {"idempotency_key": "z"})])
    archive.start()
    archive.log.wait("READING_REJECTED")
    assert archive.stop() == 0
    archive.config["subscribe"][0]["payload"] = "python"
    archive.write_config()
    archive.archive.rename(archive.directory / "aside")
    target = archive.directory / "root"
    target.mkdir()
    (target / ".x.part").touch()
    archive.archive.symlink_to(target)
    for path in (archive.state, *archive.state.iterdir()):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    replayed = archive.run("rejected", "replay", "--all")
    assert replayed.returncode == 69 and "run this as that user" in replayed.stdout
    assert [path.name for path in target.iterdir()] == [".x.part"]
    archive.archive.unlink()
    assert archive.run("rejected", "replay", "--all").returncode == 0
    assert [document["v"] for document in lines(archive)] == [2] and archive.archive.stat().st_uid == 12345


def test_rejected_after_a_rename(archive):
    """What an earlier name of the subscription left is listed, shown and dropped; replayed with a configuration that
    has that name."""
    archive.queue.publish([(b"{'v': 2}", {"idempotency_key": "z"}), (b"not json", {"idempotency_key": "x"})])
    archive.start()
    archive.log.wait("READING_REJECTED", count=2)
    assert archive.stop() == 0
    before = archive.config_file.with_name("before.yaml")
    archive.config["subscribe"][0]["payload"] = "python"
    before.write_text(json.dumps(archive.config))
    archive.config["subscribe"][0]["subscription"] = "renamed"
    archive.write_config()
    archive.queue.subscribe("sensor-data", "renamed")
    archive.start()
    names = re.findall(r"^(\S+:archive\S*|\S+/archive:\S+)  ", archive.run("rejected", "list").stdout, re.M)
    assert len(names) == 2
    python, text = sorted(names, key=lambda name: "not json" in archive.run("rejected", "show", name).stdout)
    replayed = archive.run("rejected", "replay", python)
    assert (
        replayed.returncode == 69
        and "has that name any more" in replayed.stdout
        and "sensorqd -c FILE" in replayed.stdout
    )
    assert archive.run("-c", str(before), "rejected", "replay", python).returncode == 0
    assert [document["v"] for document in lines(archive)] == [2]
    assert archive.run("rejected", "drop", text).returncode == 0
    assert "no rejected readings" in archive.run("rejected", "list").stderr


def is_told(archive, **environment):
    """What `check` says of a directory that two sinks have."""
    done = archive.run("check", "--offline", **environment)
    said = [
        word
        for word, words in (("refused", "is the directory of line"), ("warned of", "written in another way"))
        if words in done.stderr + done.stdout
    ]
    assert (done.returncode == 78) == (said == ["refused"])
    return said[-1] if said else "free"


def test_one_directory_one_sink(archive):
    """However it is written; in two ways 0.2.0 took it, and who upgrades keeps what ran."""
    state = archive.config["state_dir"]
    archive.config["subscribe"].append({"subscription": "other", "file": {}})
    for directory, told in (
        ("archive", "refused"),
        ("archive//", "refused"),
        ("./archive", "warned of"),
        (".//archive/.", "warned of"),
        (f"{state}/archive", "warned of"),
        (f"/{state}//./archive/", "warned of"),
        ("archive/x", "free"),
        (".archive", "free"),
        ("/archive", "free"),
    ):
        archive.config["subscribe"][1]["file"]["directory"] = directory
        archive.write_config()
        assert is_told(archive) == told, directory
    # of a unit with a state of its own, as sensorqd@ has it
    del archive.config["state_dir"]
    for directory, told in (("/var/lib/sensorqd/archive", "free"), (f"{state}/archive", "warned of")):
        archive.config["subscribe"][1]["file"]["directory"] = directory
        archive.write_config()
        assert is_told(archive, STATE_DIRECTORY=f"{state}:/another") == told, directory


def test_one_directory_in_two_ways(archive):
    """Of two topics in one directory each message is there once, across a restart, too."""
    archive.queue.create("others", "others")
    archive.config["subscribe"].append({"subscription": "others", "file": {"directory": "./archive"}})
    archive.write_config()
    archive.start()
    for i in range(3):
        publish(archive, range(10 * i, 10 * i + 10))
        archive.queue.publish([(b"{}", {"idempotency_key": f"o{10 * i + n}"}) for n in range(10)], topic="others")
        wait_until(lambda: archive.queue.is_empty("archive") and archive.queue.is_empty("others"), "empty queues")
        assert archive.stop() == 0
        archive.start()
    assert Counter(document["_id"] for document in lines(archive)) == Counter(
        f"{topic}{n}" for topic in "ko" for n in range(30)
    )


@pytest.fixture
def written(archive):
    """Thirty lines in files."""
    publish(archive, range(30))
    archive.start()
    wait_until(lambda: archive.queue.is_empty("archive"), "an empty queue")
    assert archive.stop() == 0
    return archive


def code_of_page(language):
    return re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.M | re.S)[1]


def test_duckdb_reads_it(written):
    duckdb = pytest.importorskip("duckdb", reason="not installed: duckdb")
    query = code_of_page("sql").replace("archive/", f"{written.archive}/")
    found = dict(duckdb.connect().execute(query).fetchall())
    assert sorted(found) == ["d0", "d1", "d2"] and [str(found[name])[14:19] for name in sorted(found)] == [
        "27:27",
        "27:28",
        "27:29",
    ]


def test_pandas_reads_it(written):
    pytest.importorskip("pandas", reason="not installed: pandas")
    names = {}
    exec(code_of_page("python").replace("archive/", f"{written.archive}/"), names)
    readings = names["readings"]
    assert sorted(readings["n"]) == list(range(30)) and set(readings["name"]) == {"居間"} and "_id" in readings.columns


def test_jq_reads_it(written):
    archive = written
    command = re.search(r"^zcat .*\|\n +jq .*$", PAGE.read_text(), re.M)[0]
    done = subprocess.run(["sh", "-c", command], cwd=archive.state, capture_output=True, text=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [document["te"] for document in found] == [22.7, 22.8, 22.9], done.stderr


def test_jq_makes_a_table_of_it(written):
    block = next(block for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.M | re.S) if "@csv" in block)
    done = subprocess.run(
        ["sh", "-c", block],
        cwd=written.state,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "UTC"},
    )
    rows = list(csv.DictReader((written.state / "readings.csv").read_text("utf-8-sig").splitlines()))
    assert len(rows) == 30 and rows[0].keys() == {"time", "device", "te"}, done.stderr
    assert {row["device"] for row in rows} == {"居間"} and {row["time"][:17] for row in rows} == {"2026-11-24 06:27:"}


def test_what_cannot_go_to_work_is_tried_again(archive):
    """After a reload the new sink waits for the old one's end, and then there is no descriptor for it. Nothing else
    moves in this daemon."""
    rest = threading.Event()
    archive.queue.service.faults.add({"match": ":acknowledge", "times": 1, "action": {"type": "hold", "until": rest}})
    publish(archive, [1])
    archive.start(SENSORQD_TEST_BACKOFF_MAX_MSEC="300")
    wait_until(lambda: lines(archive), "a line, of which Pub/Sub is told")
    archive.config["subscribe"][0]["file"]["max_size"] = "1MiB"
    archive.write_config()
    archive.reload()
    archive.log.wait("RELOADED")
    before = resource.prlimit(archive.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(archive.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    rest.set()
    assert "Too many open files" in archive.log.wait("PART_FAILING").text
    resource.prlimit(archive.process.pid, resource.RLIMIT_NOFILE, before)
    archive.log.wait("PART_RECOVERED")


def test_memory_of_a_backlog_is_given_back(archive):
    """What the answers of a backlog took stayed the daemon's until its end: what is still in use lies in between."""
    mib = 1024 * 1024
    archive.env["SENSORQD_TEST_BACKOFF_MAX_MSEC"] = "1000"  # it looks as often as that, and not each minute
    for start in range(0, 16000, 1000):
        archive.queue.publish([(b'{"n": "%d", "x": "%s"}' % (n, b"x" * 1000), {}) for n in range(start, start + 1000)])
    slow = {"match": ":acknowledge$", "times": -1, "action": {"type": "status", "status": 503}}
    archive.queue.service.faults.add(slow)
    archive.start()
    rest = archive.memory()
    wait_until(lambda: archive.memory() > rest + 15 * mib, "answers that wait for their acknowledgement")
    archive.queue.service.faults.clear()
    wait_until(lambda: archive.queue.is_empty("archive"), f"an empty queue (log: {archive.log.lines[-20:]})", 120)
    wait_until(
        lambda: archive.memory() < rest + 10 * mib, lambda: f"{archive.memory() / mib:.1f} MiB, {rest / mib:.1f} before"
    )
    assert archive.stop() == 0
