"""`sensorqd init` by options, where something is there already, and when it is interrupted."""

import os
import re
import signal
import subprocess

import pytest
from first_house import DEVICES, TOPIC, House
from harness import REPO, binary, wait_until


@pytest.fixture
def house(tmp_path, own_queue, remo, shared_mongodb):
    return House(tmp_path / "machine", own_queue, remo, shared_mongodb)


# By options


def by_options(house, *more):
    token = house.secret_file("token", house.remo.token + "\n")
    return house.run(
        "--yes",
        "--key-file",
        str(house.key),
        "--source",
        "home",
        "--sink",
        "mongodb",
        "--secret",
        f"nature-remo.token={token}",
        "--set",
        f"mongodb.uri={house.mongodb.uri}",
        *more,
    )


def test_options_alone_make_the_same(house):
    done = by_options(house)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "before you say yes" not in done.stdout  # nobody is asked
    assert house.once() == 0 and house.count() == DEVICES


def test_a_machine_that_only_stores(house):
    """What it says will be created is, though its file names no topic; where all is there, its account need not
    publish."""
    done = house.run("--yes", "--key-file", str(house.key), "--source", "none", "--sink", "file")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "does not exist yet" in done.stdout and f"ok    {TOPIC}  created" in done.stdout and "FAIL" not in done.stdout
    )
    assert "publish:" not in house.config() and house.verb("check").returncode == 0
    (house.etc / "sensorqd.yaml").unlink()
    house.queue.service.grant = ["pubsub.subscriptions.consume"]
    done = house.run("--yes", "--key-file", str(house.key), "--source", "none", "--sink", "file")
    assert done.returncode == 0 and "FAIL" not in done.stdout, done.stdout


def test_a_dry_run_writes_nothing(house):
    done = by_options(house, "--dry-run")
    assert done.returncode == 0 and "Nothing was written." in done.stdout and house.remo.token not in done.stdout
    assert "      token_file: nature-remo.token\n" in done.stdout and house.written == []
    assert "topics/sensor-data" not in house.queue.service.store.stats()


def test_what_is_refused_writes_nothing(house):
    house.remo.token = "another"
    token = house.secret_file("token", "wrong")
    done = house.run(
        "--yes",
        "--key-file",
        str(house.key),
        "--source",
        "home",
        "--sink",
        "file",
        "--secret",
        f"nature-remo.token={token}",
    )
    assert done.returncode == 69 and "401" in done.stdout and house.written == []


def test_unchecked_asks_nobody(house):
    house.remo.stop()
    done = by_options(house, "--unchecked")
    assert done.returncode == 0 and "ok    source" not in done.stdout and "sensorqd.yaml" in house.written, done.stdout
    assert house.verb("check", "--offline").returncode == 0


def test_every_recipe_can_be_had(house):
    listed = house.run("--list").stdout
    sources, sinks, secrets = (
        re.findall(pattern, listed, re.M) for pattern in (r"^--source (\S+)", r"^--sink (\S+)", r"--secret (\S+)=FILE")
    )
    assert re.findall(r"^--page (\S+)", listed, re.M) == ["local", "network"]
    assert len(sources) >= 12 and sinks == ["mongodb", "file"]
    options = [
        option
        for kind, names in (("--source", sources), ("--sink", sinks), ("--page", ["network"]))
        for name in names
        for option in (kind, name)
    ]
    options += [option for name in secrets for option in ("--secret", f"{name}={house.secret_file(name, 'x' + name)}")]
    done = house.run("--yes", "--unchecked", "--key-file", str(house.key), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert house.verb("check", "--offline").returncode == 0
    assert set(os.listdir(house.etc / "credentials")) == {*secrets, "pubsub-credential.json"}


def test_a_large_house(house):
    """A meter in each room: an entry each."""
    secrets = [
        option
        for name in ("switchbot.token", "switchbot.secret")
        for option in ("--secret", f"{name}={house.secret_file(name, 'x' + name)}")
    ]
    done = house.run(
        "--yes",
        "--unchecked",
        "--key-file",
        str(house.key),
        *["--source", "switchbot"] * 40,
        "--sink",
        "file",
        "--page",
        "local",
        *secrets,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "- name: switchbot-40\n" in house.config() and house.verb("check", "--offline").returncode == 0


@pytest.mark.parametrize(
    "arguments,word",
    [
        (["--sorce", "home"], "sensorqd init: unrecognized option"),
        (["--source", "nothing"], "no such recipe"),
        (["--sink", "home"], "no such recipe"),
        (["--set", "home=1"], "RECIPE.KEY=TEXT"),
        (["--set", "home.uri=1"], "RECIPE.KEY=TEXT"),
        (["--secret", "home=1"], "NAME=FILE"),
        (["superfluous"], "superfluous"),
        (["--key-file", "-"], "--project"),
        (["--source", "home"], "--secret nature-remo.token"),
        (["--key-file", "nonexistent"], "nonexistent: does not exist"),
        (
            ["--key-file", "/dev/null"],
            "/dev/null: holds line breaks or control characters inside, or is not a regular file",
        ),
        (["--source", "home", "--secret", "nature-remo.token=/tmp"], "/tmp: is a directory: name a file"),
        (["--source", "none", "--sink", "none"], "nothing to do"),
        (["--source", "none", "--sink", "none", "--page", "local"], "nothing to do"),
        (["--sink", "file", "--set", "file.keep=long"], '"long" is not a number'),
        (["--set", "file.keep=30d"] * 65, "too often"),
        (["--sink", "file", "--page", "local", "--page", "local"], "one page"),
    ],
)
def test_usage(house, arguments, word):
    key = [] if "--key-file" in arguments else ["--key-file", str(house.key)]
    done = house.run("--yes", "--unchecked", *key, *arguments)
    assert done.returncode == 64 and word in done.stdout + done.stderr, done.stdout + done.stderr
    assert house.written == []


def test_the_file_named_behind_the_verb(house):
    """As with all verbs."""
    file = house.etc / "attic.yaml"
    done = house.run("--yes", "--unchecked", "--key-file", str(house.key), "--sink", "file", "-c", str(file))
    assert done.returncode == 0 and file.exists(), done.stdout + done.stderr
    assert "sensorqd.yaml" not in house.written


def test_a_wrong_answer_that_is_kept(house):
    """It is the person's file now, but nothing is said to be well with it, and nothing is started."""
    with house.terminal(
        "--unchecked", "--enable", "--key-file", str(house.key), "--source", "none", "--page", "none"
    ) as terminal:
        for prompt, answer in (
            ("Project", ""),
            ("Topic", ""),
            ("Number 1-", "1"),
            ("Address with the user's name", "mongodb://localhost/"),
            ("Password", ""),
            ("Collection [readings]", "a$b"),
            ("Try again (a)", "k"),
            ("Another place", ""),
            ("Write these files?", ""),
        ):
            terminal.answer(prompt, answer)
        assert terminal.end() == 78 and "Not all is well" in terminal.shown, terminal.shown
    assert house.verb("check", "--offline").returncode == 78


# What is there already


def test_a_configuration_is_never_written_over(house):
    (house.etc / "sensorqd.yaml").write_text("# mine\n")
    done = by_options(house)
    assert done.returncode == 73 and "is there already" in done.stderr and house.config() == "# mine\n"
    assert house.written == ["sensorqd.yaml"]


@pytest.mark.parametrize("example", ["config/sensorqd.yaml", "tests/fuzz/corpus/yaml/example"])
def test_the_example_of_a_fresh_machine_is_nobodys(house, example):
    """Also of a machine that was upgraded since: the second one is that of 0.1.0."""
    example = (REPO / example).read_text()
    (house.etc / "sensorqd.yaml").write_text(example)
    assert by_options(house).returncode == 0 and "made by" in house.config()
    (house.etc / "sensorqd.yaml").write_text(example + "# mine\n")
    assert by_options(house).returncode == 73 and house.config().endswith("# mine\n")


def test_a_place_that_cannot_be_written(house):
    (house.directory / "file").write_text("")
    done = subprocess.run(
        [
            binary(),
            "-c",
            str(house.directory / "file" / "x.yaml"),
            "init",
            "--yes",
            "--unchecked",
            "--key-file",
            str(house.key),
            "--sink",
            "file",
        ],
        capture_output=True,
        text=True,
        env=house.env,
        cwd=house.home,
    )
    assert done.returncode == 73 and "cannot be written" in done.stderr


def test_a_secret_that_is_there_is_used_or_kept_beside(house):
    credentials = house.etc / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "nature-remo.token").write_text(house.remo.token + "\n")
    (credentials / "mongodb.password").write_text("of another\n")
    uri = house.mongodb.uri.replace("://", "://sensorqd@")
    with house.terminal("--set", f"mongodb.uri={uri}", "--key-file", str(house.key)) as terminal:
        terminal.answer("Project")
        terminal.answer("Topic")
        terminal.answer("Number 1-", "1")
        terminal.answer("nature-remo.token is there already. Use it? [Y/n]")
        terminal.answer("Another sensor?")
        terminal.answer("Number 1-", "1")
        terminal.answer("mongodb.password is there already. Use it? [Y/n]", "n")
        terminal.answer("Password of that user", "mine")
        terminal.answer("Collection [readings]")
        terminal.answer("Try again (a)", "k")  # the server knows no such user
        terminal.answer("Another place as well?")
        terminal.answer("Number 1-3", "3")
        terminal.answer("Write these files?")
        terminal.end()
    assert (credentials / "mongodb.password").read_text() == "of another\n" and (
        credentials / "mongodb-2.password"
    ).read_text() == "mine"
    assert (
        "password_file: mongodb-2.password" in house.config()
        and (credentials / "nature-remo.token").read_text() == house.remo.token + "\n"
    )


@pytest.mark.parametrize(
    "place,config,key",
    [("etc", "sensorqd.yaml", None), ("home", "../etc/sensorqd.yaml", None), ("home", "{etc}/sensorqd.yaml", "{link}")],
)
def test_the_key_that_is_in_its_place_stays(house, place, config, key):
    """Found there beside a configuration that is named by a path that begins elsewhere, or named by another way to it:
    there is no other copy."""
    credentials, link = house.etc / "credentials", house.home / "link"
    credentials.mkdir(mode=0o700)
    house.key.rename(credentials / house.key.name)
    link.symlink_to(credentials)
    options = ["--key-file", key.format(link=link / house.key.name)] if key else []
    done = subprocess.run(
        [binary(), "-c", config.format(etc=house.etc), "init", "--yes", "--unchecked", "--sink", "file", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=house.env,
        cwd=house.directory / place,
    )
    assert done.returncode == 0 and "written" in done.stdout, done.stdout + done.stderr
    assert "Delete" not in done.stdout and house.written == ["credentials/pubsub-credential.json", "sensorqd.yaml"]


# Interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_at_a_question(house, number):
    """Every prompt on the way: nothing is left, and the terminal shows what is typed again."""
    prompts = [
        ("Key file of the service account", ""),
        ("Project", ""),
        ("Topic", ""),
        ("Number 1-", "1"),
        ("Access token", house.remo.token),
        ("Another sensor?", ""),
        ("Number 1-", "2"),
        ("How long files are kept", ""),
        ("Another place as well?", ""),
        ("Number 1-3", "1"),
        ("Write these files?", ""),
    ]
    for stop in range(len(prompts)):
        with house.terminal() as terminal:
            for prompt, answer in prompts[:stop]:
                terminal.answer(prompt, answer)
            terminal.expect(prompts[stop][0])
            terminal.expect(": ")
            if prompts[stop][0] == "Access token":
                wait_until(lambda: not terminal.echoes(), "the echo is off")
            os.kill(terminal.pid, number)
            assert terminal.end() == -number
            assert number == signal.SIGKILL or "\n" in terminal.shown
        assert house.written == []


def test_ctrl_c_while_a_secret_is_typed_gives_the_terminal_back(house):
    with house.terminal() as terminal:
        for prompt, answer in (("Key file", ""), ("Project", ""), ("Topic", ""), ("Number 1-", "1")):
            terminal.answer(prompt, answer)
        terminal.expect("Access token")
        wait_until(lambda: not terminal.echoes(), "the echo is off")
        terminal.type("half a tok\x03")
        wait_until(terminal.echoes, "the echo is on again")
        assert terminal.end() == -signal.SIGINT and "half" not in terminal.shown
    assert house.written == []


@pytest.mark.parametrize("answers", [0, 2, 4])
def test_end_of_input(house, answers):
    with house.terminal() as terminal:
        for prompt, answer in [("Key file", ""), ("Project", ""), ("Topic", ""), ("Number 1-", "1")][:answers]:
            terminal.answer(prompt, answer)
        terminal.expect(": ")
        terminal.type("\x04")
        assert terminal.end() == 64 and "Nothing was written." in terminal.shown
    assert house.written == []


def test_killed_while_it_writes(house):
    """Whatever write, link or rename is the last: each file is whole or not there, the configuration comes last, and
    the next `init` goes on."""
    whole = {
        "credentials/nature-remo.token": house.remo.token,
        "credentials/pubsub-credential.json": house.key.read_text(),
    }
    token = house.secret_file("token", house.remo.token)
    seen = set()
    for call in range(1, 12):
        command = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            f"inject=linkat,fsync,fchmod:signal=SIGKILL:when={call}",
        ]
        subprocess.run(
            [
                *command,
                *house.command(
                    "--yes",
                    "--unchecked",
                    "--key-file",
                    str(house.key),
                    "--source",
                    "home",
                    "--sink",
                    "file",
                    "--secret",
                    f"nature-remo.token={token}",
                ),
            ],
            capture_output=True,
            env=house.env,
            cwd=house.home,
        )
        written = house.written
        seen.add(tuple(written))
        assert all((house.etc / name).read_text() == text for name, text in whole.items() if name in written)
        assert "sensorqd.yaml" not in written or set(written) == {*whole, "sensorqd.yaml"}, written
        if "sensorqd.yaml" in written:
            assert house.verb("check", "--offline").returncode == 0
            break
    assert len(seen) >= 3 and set(house.written) == {*whole, "sensorqd.yaml"}, seen
