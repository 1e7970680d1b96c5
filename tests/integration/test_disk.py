"""P1, P7: the disk under the outbox is full, read-only, damaged, or holds the file of a later version."""

import contextlib
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from harness import EVENTS, binary, fill_disk, small_disk, wait_until
from services.nature_remo import NatureRemo, generate
from services.ports import free_port


@pytest.fixture
def stack(make_stack, own_queue, shared_mongodb, remo):
    own_queue.create(ackDeadlineSeconds=60)
    own_queue.service.pull_hang = 1  # a pull whose client has gone takes no messages after that
    return make_stack(own_queue, shared_mongodb, remo, interval_msec=300)


def publishing(stack, works):
    """Lets publishing work, or answers 503 to it."""
    stack.queue.service.faults.clear()
    if not works:
        stack.queue.service.faults.add({"match": ":publish$", "times": -1, "action": {"type": "status", "status": 503}})


def requests(stack, verb):
    return sum(verb in event["target"] for event in stack.queue.service.log.since(0, "http"))


def publishes(stack):
    return requests(stack, ":publish")


def quiet(stack):
    """No more readings; what was served has reached the daemon."""
    stack.quiet()


def stop(stack):
    assert stack.daemon.stop() == 0
    wait_until(lambda: stack.queue.service.store.waiting == 0, "the end of its last pull")


def all_is_stored(stack, patience=60):
    """Nothing was dropped and nothing came twice: every served device of every whole body is one document."""
    stack.remo.fall_silent()
    wait_until(lambda: stack.count() >= len(stack.remo.served()), "every served reading is a document", patience)
    values = sorted(d["request_at"].isoformat() + d["id"] for d in stack.readings())
    assert len(values) == len(set(values)) == len(stack.remo.served())


def rows(stack, table="readings"):
    with contextlib.closing(sqlite3.connect(f"file:{stack.daemon.state}/outbox.sqlite?mode=ro", uri=True)) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.mark.parametrize("cap,devices", [({"max_rows": 10}, 3), ({"max_bytes": 65536}, 40)])
def test_outbox_at_its_caps(stack, cap, devices):
    """P7: polling stops with the outbox full and goes on when it has room; nothing that was fetched is dropped."""
    stack.daemon.config["publish"]["outbox"] = cap
    stack.daemon.write_config()
    stack.remo.devices = generate(devices)
    publishing(stack, False)
    stack.daemon.start()
    stack.daemon.log.wait("OUTBOX_FULL")
    polled = stack.remo.polls()
    held = rows(stack)
    wait_until(lambda: held == len(stack.remo.served()), "the source's note of its last answer")
    assert "max_rows" not in cap or cap["max_rows"] - devices < held <= cap["max_rows"]
    status = stack.daemon.notify.wait("STATUS=.*outbox full")
    assert "polling stopped" in status
    events = len(stack.daemon.log.entries)
    wait_until(
        lambda: len(stack.daemon.log.entries) >= events + 1 or stack.remo.polls() > polled, "another try to publish", 90
    )
    assert stack.remo.polls() == polled and len(stack.daemon.log.events("OUTBOX_FULL")) == 1
    publishing(stack, True)
    stack.daemon.log.wait("OUTBOX_DRAINED", patience=90)
    wait_until(lambda: stack.remo.polls() >= polled + 2, "polls")
    all_is_stored(stack)


def test_full_outbox_survives_a_restart(stack):
    stack.daemon.config["publish"]["outbox"] = {"max_rows": 9}
    stack.daemon.write_config()
    publishing(stack, False)
    stack.daemon.start()
    stack.daemon.log.wait("OUTBOX_FULL")
    polled = stack.remo.polls()
    stack.daemon.kill()
    wait_until(lambda: stack.queue.service.store.waiting == 0, "the end of its last pull")
    stack.daemon.start()
    stack.daemon.log.wait("OUTBOX_FULL", 2)
    assert stack.remo.polls() == polled
    publishing(stack, True)
    all_is_stored(stack)


def test_disk_full(stack):
    """P7: what was fetched stays in memory and is tried again; polling stops; when there is room all of it is there."""
    with small_disk(stack.daemon.state, "16m") as disk:
        publishing(stack, False)
        stack.daemon.start()
        wait_until(lambda: stack.remo.polls() >= 2, "a poll whose readings are on the disk")
        filler = fill_disk(disk)
        failing = stack.daemon.log.wait("OUTBOX_FAILING")
        assert "No space left" in failing.text and failing.level == "error"
        stack.daemon.notify.wait("STATUS=.*disk refuses the outbox, polling stopped since [0-9:]+")
        polled, tried = stack.remo.polls(), publishes(stack)
        wait_until(lambda: publishes(stack) > tried, "another try to publish", 90)
        assert stack.remo.polls() == polled
        assert len([e for e in stack.daemon.log.events("OUTBOX_FAILING") if "SENSORQD_SOURCE" in e.fields]) == 1
        publishing(stack, True)  # what is forgotten then makes room, for a while
        wait_until(
            lambda: len(stack.queue.service.log.since(0, "publish")) > 0,
            "what is on disk is published all the same",
            90,
        )
        filler.unlink()
        stack.daemon.log.wait("OUTBOX_RECOVERED", patience=90)
        wait_until(lambda: stack.remo.polls() >= polled + 2, "polls")
        all_is_stored(stack)
        assert stack.daemon.stop() == 0


def test_full_disk_and_room_in_the_file(stack):
    """P7: where nothing is free, the room is used that the outbox has: rows that were forgotten leave theirs, and the
    log begins anew."""
    with small_disk(stack.daemon.state, "16m") as disk:
        publishing(stack, False)
        stack.daemon.start()
        wait_until(lambda: stack.remo.polls() >= 20, "a file with room for many rows", 90)
        publishing(stack, True)
        quiet(stack)
        wait_until(lambda: rows(stack) == 0, "nothing in it any more", 90)
        stop(stack)
        stack.remo.scenario = "default"
        stack.daemon.start()
        polled, stored = stack.remo.polls(), stack.count()
        wait_until(
            lambda: stack.remo.polls() >= polled + 5 and stack.count() > stored,
            "a log of some size, and that publishing keeps up",
        )
        filler, polled = fill_disk(disk), stack.remo.polls()
        wait_until(lambda: stack.remo.polls() >= polled + 20, "polls on a full disk", 60)
        assert not stack.daemon.log.events("OUTBOX_FAILING")
        filler.unlink()
        all_is_stored(stack)
        assert stack.daemon.stop() == 0


def test_limit_on_the_size_of_files(stack):
    """P7: the signal of LimitFSIZE= ended the daemon without a word, again and again."""
    publishing(stack, False)
    stack.daemon.start()
    wait_until(lambda: stack.remo.polls() >= 2, "a poll whose readings are on the disk")
    most = resource.prlimit(stack.daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(stack.daemon.process.pid, resource.RLIMIT_FSIZE, (20000, most[1]))
    failing = stack.daemon.log.wait("OUTBOX_FAILING")
    assert "File too large" in failing.text and "LimitFSIZE=" in failing.text
    resource.prlimit(stack.daemon.process.pid, resource.RLIMIT_FSIZE, most)
    publishing(stack, True)
    stack.daemon.log.wait("OUTBOX_RECOVERED", patience=90)
    all_is_stored(stack)
    assert stack.daemon.stop() == 0


def pulls(stack):
    return requests(stack, ":pull")


def test_full_disk_stops_sources_that_hold_nothing(stack):
    """P7: a source whose polls brought no readings, so that it has none to store, is not polled either while the disk
    refuses another's."""
    with small_disk(stack.daemon.state, "16m") as disk, NatureRemo(limit=100000, devices=0) as barn:
        sources = stack.daemon.config["publish"]["sources"]
        (stack.daemon.directory / "credentials" / "barn.token").write_text(barn.token)
        sources.append({**sources[0], "name": "barn", "url": barn.url, "token_file": "barn.token"})
        stack.daemon.write_config()
        publishing(stack, False)
        stack.daemon.start()
        wait_until(lambda: stack.remo.polls() >= 2 and barn.polls() >= 2, "polls")
        filler = fill_disk(disk)
        stack.daemon.log.wait("OUTBOX_FAILING")
        stack.daemon.notify.wait("STATUS=.*disk refuses the outbox, polling stopped")
        polled, pulled = barn.polls(), pulls(stack)
        wait_until(
            lambda: pulls(stack) >= pulled + 3,
            "empty pulls, each of which hangs for longer than the interval of the polls",
            90,
        )
        assert barn.polls() <= polled + 1  # one may have been under way
        filler.unlink()
        publishing(stack, True)
        wait_until(lambda: barn.polls() >= polled + 2, "polls of the other one", 90)
        all_is_stored(stack)


def push(port):
    """Returns the status of the answer, and what it has in Retry-After."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/readings", b'{"id": "box", "co2": 612}', {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, None
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"]


def test_full_disk_refuses_what_is_pushed(stack):
    """P12: a source that met the disk when it had room is not asked to wait for one that has none: while the disk
    refuses another's readings, its peers are told to come again."""
    port = free_port()
    with small_disk(stack.daemon.state, "16m") as disk:
        stack.daemon.config["publish"]["sources"].append(
            {"name": "push", "type": "http_push", "listen": f"127.0.0.1:{port}"}
        )
        stack.daemon.write_config()
        publishing(stack, False)
        stack.daemon.start()
        assert push(port) == (200, None)
        filler = fill_disk(disk)
        stack.daemon.log.wait("OUTBOX_FAILING")
        stack.daemon.notify.wait("STATUS=.*disk refuses the outbox, polling stopped")
        assert [push(port) for _ in range(2)] == [(503, "30")] * 2
        filler.unlink()
        stack.daemon.log.wait("OUTBOX_RECOVERED", patience=90)
        wait_until(lambda: push(port) == (200, None), "what is pushed")
        publishing(stack, True)
        assert stack.daemon.stop() == 0


def test_stop_while_the_disk_is_full_says_what_is_lost(stack):
    with small_disk(stack.daemon.state, "16m") as disk:
        publishing(stack, False)
        stack.daemon.start()
        wait_until(lambda: stack.remo.polls() >= 2, "a poll whose readings are on the disk")
        filler = fill_disk(disk)
        stack.daemon.log.wait("OUTBOX_FAILING")
        stop(stack)
        stack.daemon.log.wait(
            "OUTBOX_FAILING", where=lambda entry: "3 readings" in entry.text and "are lost" in entry.text
        )
        filler.unlink()
        publishing(stack, True)
        stack.remo.scenario = "empty"
        kept = len(stack.remo.served()) - 3
        stack.daemon.start()
        stack.wait_count(kept)
        assert stack.daemon.stop() == 0
        assert stack.count() == kept


def test_stop_on_a_slow_disk_has_time(stack):
    """P8: at a stop each source may have a commit to wait for; systemd is asked for more time (six sources where a sync
    took 3 s were killed after TimeoutStopSec=)."""
    program = {"type": "exec", "mode": "stream", "command": ["sh", "-c", "while echo 1; do sleep 0.1; done"]}
    stack.daemon.config["publish"]["sources"] = [{"name": f"p{i}", **program} for i in range(4)]
    stack.daemon.write_config()
    publishing(stack, False)
    stack.daemon.start(SENSORQD_TEST_COMMIT_MSEC="600")
    wait_until(lambda: rows(stack) >= 4, "a reading of each")
    stop(stack)
    told = stack.daemon.notify.messages
    assert told[told.index("STOPPING=1") :].count("EXTEND_TIMEOUT_USEC=60000000") >= 3


def test_read_only_disk(stack):
    """A disk that the kernel makes read-only after an error: nothing is lost but time, and it is said."""
    with small_disk(stack.daemon.state, "4m") as disk:
        publishing(stack, False)
        stack.daemon.start()
        wait_until(lambda: stack.remo.polls() >= 2, "polls")
        quiet(stack)
        stop(stack)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        done = stack.daemon.run("run")
        assert done.returncode == 73, done.stderr
        assert "Read-only" in done.stderr and "ReadWritePaths=" in done.stderr and "mount it for writing" in done.stderr
        done = stack.daemon.run("check")
        assert done.returncode == 69 and "its file system is read-only" in done.stdout, done.stdout
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        publishing(stack, True)
        stack.daemon.start()
        all_is_stored(stack)
        stack.daemon.stop()


def damage_tail(path):
    """Overwrites a page of the table in the middle of the file; the header stays."""
    with path.open("r+b") as file:
        file.seek(0)
        page = int.from_bytes(file.read(18)[16:18], "big")
        size = path.stat().st_size
        file.seek(size // page * 2 // 3 * page)
        file.write(b"\xa5" * page)


@pytest.fixture
def queued(stack):
    """An outbox with a hundred rows and more, closed."""
    stack.remo.devices = generate(60)
    publishing(stack, False)
    stack.daemon.start()
    wait_until(lambda: len(stack.remo.served()) >= 180, "three polls")
    quiet(stack)
    stop(stack)
    publishing(stack, True)
    assert rows(stack) == len(stack.remo.served()) >= 180
    return stack


def test_damaged_outbox_is_set_aside_and_what_can_be_read_carried_over(queued):
    path = queued.daemon.state / "outbox.sqlite"
    damage_tail(path)
    damaged = path.read_bytes()
    queued.daemon.start()
    said = queued.daemon.log.wait("OUTBOX_DAMAGED")
    carried = int(re.search(r"(\d+) readings", said.text)[1])
    aside = said.fields["SENSORQD_FILE"]
    assert len(queued.remo.served()) - 60 < carried < len(queued.remo.served())
    aside = aside if os.path.isabs(aside) else str(queued.daemon.state / aside)
    with open(aside, "rb") as file:
        assert file.read() == damaged
    wait_until(lambda: queued.count() == carried, "what was carried over is stored")
    assert queued.daemon.stop() == 0
    queued.daemon.start()
    queued.daemon.log.wait("STARTED", 3)
    assert len(queued.daemon.log.events("OUTBOX_DAMAGED")) == 1
    assert os.path.exists(aside)


def test_file_that_is_no_database(queued):
    path = queued.daemon.state / "outbox.sqlite"
    path.write_bytes(os.urandom(8192))
    queued.daemon.start()
    assert " 0 readings" in queued.daemon.log.wait("OUTBOX_DAMAGED").text
    queued.remo.scenario = "default"
    wait_until(lambda: queued.count() > 0, "it works on")


def spoil(daemon):
    """Writes over the first page while the daemon is stopped, behind a log that somebody else has emptied: it must read
    that page next. False where it was stopped in the middle of something, or where the log held nothing."""
    path, log = (daemon.state / name for name in ("outbox.sqlite", "outbox.sqlite-wal"))
    daemon.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, daemon.process.pid, os.WSTOPPED)
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            if log.stat().st_size == 0 or database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] != 0:
                return False
        with path.open("r+b") as file:
            file.write(b"\x5a" * 200)
        return True
    finally:
        daemon.signal(signal.SIGCONT)


def test_damage_while_running(queued):
    """The file goes bad under the daemon: it sets it aside and goes on polling."""
    publishing(queued, False)
    queued.daemon.start()
    queued.remo.scenario = "default"
    wait_until(lambda: spoil(queued.daemon), "a moment in which the daemon does not read")
    publishing(queued, True)
    queued.daemon.log.wait("OUTBOX_DAMAGED", patience=90)
    before = queued.count()
    wait_until(lambda: queued.count() > before, "readings are stored again")
    assert queued.daemon.stop() == 0


@pytest.mark.parametrize("verb", ["run", "once", "rejected list"])
def test_outbox_of_a_later_version_is_left_alone(queued, verb):
    path = queued.daemon.state / "outbox.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    done = queued.daemon.run(*verb.split())
    assert done.returncode == (69 if verb == "rejected list" else 73), done.stderr
    assert "later sensorqd" in done.stdout + done.stderr
    assert path.read_bytes() == content
    assert not [p for p in queued.daemon.state.iterdir() if p.name.startswith("outbox.sqlite.") or "damaged" in p.name]


def test_lost_outbox_is_made_anew(queued):
    """Somebody removed the directory's content: it starts, and the readings that are queued from then on are safe."""
    for file in queued.daemon.state.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    queued.daemon.start()
    queued.remo.scenario = "default"
    wait_until(lambda: queued.count() > 0, "readings are stored")


def test_full_disk_at_the_start(stack):
    """A13, P7: it starts, goes on subscribing, publishes what is queued, and polls when there is room."""
    with small_disk(stack.daemon.state, "16m") as disk:
        publishing(stack, False)
        stack.remo.devices = generate(500)
        stack.daemon.start()
        wait_until(lambda: rows(stack) >= 1500, "more rows than a request takes")
        quiet(stack)
        stop(stack)
        queued = rows(stack)
        filler = fill_disk(disk)
        publishing(stack, True)
        stack.queue.publish([(b'{"co2":612}', {"idempotency_key": "co2:1"})])
        stack.remo.scenario = "default"
        stack.daemon.start()
        stack.wait_count(queued + 1)
        stack.daemon.log.wait("OUTBOX_FAILING")
        filler.unlink()
        stack.daemon.log.wait("OUTBOX_RECOVERED")
        stack.remo.fall_silent()
        wait_until(lambda: stack.count() >= len(stack.remo.served()) + 1, "every served reading is a document")
        assert stack.count() == len(stack.remo.served()) + 1
        said = lambda name: len(stack.daemon.log.events(name))
        # more than once where what was published meanwhile made room for a while
        wait_until(
            lambda: said("OUTBOX_FAILING") == said("OUTBOX_RECOVERED"), "as often that it works as that it does not", 90
        )
        assert stack.daemon.stop() == 0


def test_once_ends_on_a_full_disk(stack):
    """A13: the disk fills during the poll: 75, and the next run is not locked out."""
    with small_disk(stack.daemon.state, "16m") as disk:
        filler = fill_disk(disk)
        assert stack.daemon.run("once").returncode == 75
        filler.unlink()
        assert stack.daemon.run("once").returncode == 0
        assert stack.count() >= 3


def test_readings_that_nobody_publishes_are_told(queued):
    """A17: at the start, in check and in STATUS, until they are gone: without the publish section, and with another
    state_dir."""
    waiting, config = rows(queued), queued.daemon.config
    publish = config.pop("publish")
    queued.daemon.write_config()
    queued.daemon.start()
    said = queued.daemon.log.wait("OUTBOX_LEFT")
    assert f"{waiting} readings" in said.text and said.fields["SENSORQD_OUTBOX_ROWS"] == str(waiting)
    assert str(waiting) in queued.daemon.notify.wait("STATUS=.*left in .*not published")
    told = wait_until(queued.daemon.status, "a report")
    assert told["outbox_left"] == {"rows": waiting, "directory": str(queued.daemon.state)}
    checked = queued.daemon.run("check")
    assert f"warn  outbox  {waiting} readings wait in {queued.daemon.state}" in checked.stdout
    stop(queued)

    config["publish"] = publish
    config["state_dir"] = str(queued.daemon.directory / "elsewhere")
    os.mkdir(config["state_dir"])
    queued.daemon.write_config()
    checked = queued.daemon.run("check", STATE_DIRECTORY=str(queued.daemon.state))
    assert f"{waiting} readings wait in {queued.daemon.state}" in checked.stdout
    queued.daemon.start(STATE_DIRECTORY=str(queued.daemon.state))
    queued.daemon.log.wait("OUTBOX_LEFT", 2)
    stop(queued)

    config["state_dir"] = str(queued.daemon.state)
    queued.daemon.write_config()
    queued.daemon.start()
    wait_until(lambda: rows(queued) == 0, "they are published")
    queued.daemon.log.wait("STARTED", 4)
    assert "outbox_left" not in wait_until(queued.daemon.status, "a report")
    assert len(queued.daemon.log.events("OUTBOX_LEFT")) == 2


def test_a_lock_that_is_none_is_not_waited_for(queued):
    """A directory that a note names may hold anything: root's `check` opens what its owner has put there."""
    given, other = queued.daemon.directory / "given", queued.daemon.directory / "other"
    for directory in (given, other):
        directory.mkdir()
    (given / "outboxes").write_text(f"{other}\n")
    os.mkfifo(other / "lock")
    assert queued.daemon.run("check", STATE_DIRECTORY=str(given)).stdout


def test_readings_in_a_directory_of_ones_own_are_told(queued):
    """A17: from one state_dir of one's own to another: the directory that the service manager gives has a note of the
    first."""
    waiting, config = rows(queued), queued.daemon.config
    given = queued.daemon.directory / "given"
    given.mkdir()
    publishing(queued, False)
    queued.daemon.start(STATE_DIRECTORY=str(given))
    queued.daemon.log.wait("STARTED", 2)
    stop(queued)
    config["state_dir"] = str(queued.daemon.directory / "elsewhere")
    os.mkdir(config["state_dir"])
    queued.daemon.write_config()
    for nth in (1, 2):
        queued.daemon.start(STATE_DIRECTORY=str(given))
        said = queued.daemon.log.wait("OUTBOX_LEFT", nth)
        assert f"{waiting} readings" in said.text and str(queued.daemon.state) in said.text
        stop(queued)
    checked = queued.daemon.run("check", STATE_DIRECTORY=str(given))
    assert f"{waiting} readings wait in {queued.daemon.state}" in checked.stdout

    publishing(queued, True)
    config["state_dir"] = str(queued.daemon.state)
    queued.daemon.write_config()
    queued.daemon.start(STATE_DIRECTORY=str(given))
    wait_until(lambda: rows(queued) == 0, "they are published")
    assert (given / "outboxes").read_text() == f"{queued.daemon.state}\n"
    stop(queued)
    config["state_dir"] = str(given)
    queued.daemon.write_config()
    queued.daemon.start(STATE_DIRECTORY=str(given))
    wait_until(lambda: (given / "outboxes").read_text() == "", "nothing is left to note")
    assert len(queued.daemon.log.events("OUTBOX_LEFT")) == 2


def test_a_file_in_place_of_the_state_directory(queued):
    """73 whatever is wrong with it, and no word of a bug."""
    queued.daemon.config["state_dir"] = str(queued.daemon.config_file)
    queued.daemon.write_config()
    done = queued.daemon.run("run")
    assert done.returncode == 73, done.stderr
    assert "Not a directory" in done.stderr and "sensorqd ends" not in done.stderr


def test_a_directory_in_place_of_the_outbox(queued):
    for file in queued.daemon.state.glob("outbox.sqlite*"):
        file.unlink()
    (queued.daemon.state / "outbox.sqlite").mkdir()
    done = queued.daemon.run("run")
    assert done.returncode == 73 and EVENTS["OUTBOX_FAILING"] in done.stderr
    assert "cannot be opened: Is a directory" in done.stderr and "To do: look at the disk" in done.stderr


def test_a_note_stays_until_its_directory_was_looked_into(queued):
    """A17: a disk that is not there at a start says nothing of what waits on it: `check` finds it when it is back."""
    waiting, config, state = rows(queued), queued.daemon.config, queued.daemon.state
    given, away = queued.daemon.directory / "given", queued.daemon.directory / "away"
    given.mkdir()
    publishing(queued, False)
    queued.daemon.start(STATE_DIRECTORY=str(given))
    queued.daemon.log.wait("STARTED", 2)
    stop(queued)
    assert (given / "outboxes").read_text() == f"{state}\n"

    state.rename(away)
    config["state_dir"] = str(queued.daemon.directory / "elsewhere")
    os.mkdir(config["state_dir"])
    queued.daemon.write_config()
    queued.daemon.start(STATE_DIRECTORY=str(given))
    queued.daemon.log.wait("STARTED", 3)
    stop(queued)
    away.rename(state)
    assert f"{waiting} readings wait in {state}" in queued.daemon.run("check", STATE_DIRECTORY=str(given)).stdout


@pytest.mark.parametrize("verb", [["check", "--offline"], ["alerts"]])
def test_nothing_of_the_driver_stays(sensorqd, verb):
    """Its counters' file in /dev/shm, which it makes before main() and leaves where no exit handler runs: one for each
    minute of a cron job. Without the variable that the harness sets."""
    daemon = sensorqd(
        {
            "pubsub": {"project": "my-project"},
            "subscribe": [{"subscription": "sensor-data-archive", "file": {"directory": "archive"}}],
        }
    )
    environment = {name: value for name, value in os.environ.items() if name != "MONGOC_DISABLE_SHM"}
    with subprocess.Popen(
        [binary(), "-c", daemon.config_file, *verb], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.wait() == 0, process.stdout.read()
    assert not Path(f"/dev/shm/mongoc-{process.pid}").exists()
