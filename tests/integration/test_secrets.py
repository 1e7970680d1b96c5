"""P10: no secret in any text that sensorqd makes, whatever goes wrong."""

import json
import re
import signal
from pathlib import Path

import pytest
from harness import wait_until
from services.mongodb import MongoDB
from services.nature_remo import NatureRemo
from services.wire_mongo import WireMongo

REMO = "remo-Sf7xQ2v9TkLm3RwZ"
IN_URI = "uri-Hb5nJ8cWqPd4YgX1"
IN_FILE = "file-Kz6tV3rMsFa9EuC2"
HTML = "<html><body>{}</body></html>"


def pieces(secret):
    """The secret, and parts of it that would give it away: a key's lines, a token's ends."""
    if "PRIVATE KEY" in secret:
        return [line for line in secret.splitlines() if len(line) > 20 and "KEY-----" not in line]
    return [secret, secret[:12], secret[-12:]] if len(secret) >= 24 else [secret]


class Watcher:
    """Everything that was seen of a daemon, and every secret that it knew."""

    def __init__(self, stack, key):
        self.stack, self.texts = stack, {}
        self.secrets = {
            REMO,
            IN_URI,
            IN_FILE,
            key.get("private_key"),
            key.get("refresh_token"),
            key.get("client_secret"),
        } - {None}
        issue = stack.queue.service.oauth.issue
        stack.queue.service.oauth.issue = lambda subject: self.issued(issue(subject))

    def issued(self, token):
        self.secrets.add(token)
        return token

    def look(self):
        """At what others may see of a process that runs."""
        process = Path(f"/proc/{self.stack.daemon.process.pid}")
        self.see("argv", (process / "cmdline").read_text())
        self.see("environment", (process / "environ").read_text())
        status = self.stack.daemon.state / "status.json"
        if status.exists():
            self.see("status.json", status.read_text())

    def see(self, name, text):
        self.texts[name] = self.texts.get(name, "") + text

    def judge(self):
        self.see("log", "\n".join(self.stack.daemon.log.lines))
        self.see("STATUS=", "\n".join(self.stack.daemon.notify.messages if self.stack.daemon.notify else []))
        assert len(self.texts["log"]) > 500
        for name, text in self.texts.items():
            for secret in self.secrets:
                for piece in pieces(secret):
                    assert piece not in text, (
                        f"{name} holds a secret: ...{text[max(0, text.index(piece) - 300) : text.index(piece) + 20]}"
                    )
            assert "eyJ" not in text, f"{name} holds a signed assertion"


@pytest.fixture(params=["service_account", "authorized_user"])
def watched(request, own_queue, make_stack, tmp_path, pubsub):
    """Every kind of secret in use; MongoDB wants a login, which one of the two subscriptions has in its uri."""
    own_queue.create()
    own_queue.subscribe("sensor-data", "second-subscription")
    path = own_queue.section["credentials_file"]
    key = (
        json.loads(Path(path).read_text()) if request.param == "service_account" else pubsub.write_authorized_user(path)
    )
    with (
        MongoDB(storage=str(tmp_path / "mongodb"), user=("sensorqd", IN_FILE)) as server,
        NatureRemo(token=REMO, limit=100000) as remo,
    ):
        client = server.client()
        client.admin.command("createUser", "other", pwd=IN_URI, roles=["root"])
        client.close()
        stack = make_stack(
            own_queue,
            server,
            remo,
            interval_msec=500,
            password_file="mongodb.password",
            uri=f"mongodb://sensorqd@127.0.0.1:{server.port}/?authSource=admin",
        )
        stack.daemon.directory.joinpath("credentials", "mongodb.password").write_text(IN_FILE + "\n")
        first = stack.daemon.config["subscribe"][0]
        second = {
            **first["mongodb"],
            "uri": f"mongodb://other:{IN_URI}@127.0.0.1:{server.port}/?authSource=admin",
            "collection": "second",
        }
        del second["password_file"]
        stack.daemon.config["subscribe"].append({"subscription": "second-subscription", "mongodb": second})
        stack.daemon.env["SENSORQD_TEST_BACKOFF_MAX_MSEC"] = "1000"
        stack.daemon.write_config()
        yield Watcher(stack, key)


def run_verbs(watcher):
    for arguments in (["check"], ["setup"], ["rejected", "list"], ["status"], ["check", "--offline"]):
        done = watcher.stack.daemon.run(*arguments, timeout=120)
        watcher.see(" ".join(arguments), done.stdout + done.stderr)


def provoke(service, remo):
    """Every status that a layer words on its own, web pages for JSON, and replies that break off."""
    remo.faults.add(
        {
            "match": "GET /1/devices",
            "times": 1,
            "action": {"type": "status", "status": 500, "body": HTML.format("no secret here")},
        },
        {"match": "GET /1/devices", "times": 1, "action": {"type": "cut", "when": "mid", "bytes": 40}},
    )
    for match in (":publish$", ":pull$", ":acknowledge$", "^GET .*subscriptions", "/token"):
        for status in (401, 403, 500):
            service.faults.add(
                {"match": match, "action": {"type": "status", "status": status, "body": HTML.format(status)}}
            )
        service.faults.add({"match": match, "action": {"type": "cut", "when": "mid", "bytes": 20}})


@pytest.mark.slow
def test_no_secret_in_any_text(watched):
    stack, service = watched.stack, watched.stack.queue.service
    run_verbs(watched)
    stack.daemon.start()
    stack.wait_count(3)
    stack.wait_count(3, "second")
    watched.look()

    provoke(service, stack.remo)
    service.oauth.revoke_all()
    for event in ("SOURCE_FAILING", "TOKEN_REFUSED"):
        stack.daemon.log.wait(event)
    stack.remo.faults.add({"match": "GET /1/devices", "times": -1, "action": {"type": "status", "status": 401}})
    stack.daemon.log.wait("SOURCE_FAILING", where=lambda entry: "401" in entry.text)
    watched.look()
    run_verbs(watched)
    service.faults.clear()
    stack.remo.faults.clear()
    stack.daemon.log.wait("TOKEN_RECOVERED", patience=60)
    service.oauth.forget_keys()
    service.oauth.forget_clients()
    service.oauth.revoke_all()
    stack.daemon.log.wait("TOKEN_REFUSED", 2, patience=60)
    watched.look()
    run_verbs(watched)

    client = stack.mongodb.client()
    client.admin.command("updateUser", "other", pwd="changed")
    client.admin.command("updateUser", "sensorqd", pwd="changed")
    stack.daemon.signal(signal.SIGKILL)
    stack.daemon.wait()
    client.close()
    stack.daemon.start()
    stack.daemon.log.wait("SINK_DOWN", 2)
    watched.look()
    run_verbs(watched)
    assert stack.daemon.stop() == 0
    watched.judge()
    wrong = [text for name, text in watched.texts.items() if name == "check"][0]
    assert "FAIL" in wrong and re.search(r"warn  config  .*sensorqd.yaml:.*mongodb.uri: holds a password", wrong)


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://other:{IN_URI}@127.0.0.1:99999/",
        f"mongodb://other:{IN_URI}@[::1/",
        f"mongodb://other:{IN_URI}@127.0.0.1/?nonsense=1",
        f"mongodb://other:{IN_URI}@127.0.0.1/?w=1",
        f"mongodb://other:{IN_URI}",
        f"http://other:{IN_URI}@127.0.0.1/",
        f"mongodb://o:t:{IN_URI}@127.0.0.1/",
        f"mongodb://other:{IN_URI}%zz@127.0.0.1/",
        f"mongodb://other:a/{IN_URI}@127.0.0.1/",
        f"mongodb+srv://other:{IN_URI}@127.0.0.1/",
        f"mongodb://127.0.0.1/?tlsCertificateKeyFilePassword={IN_URI}&tls=maybe",
        f"mongodb://u@127.0.0.1/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:{IN_URI}&x=1",
    ],
)
def test_uri_that_is_not_right(sensorqd, uri):
    """Whatever the parser trips over, it does not repeat."""
    daemon = sensorqd(
        {
            "pubsub": {"project": "my-project", "credentials_file": "/nowhere"},
            "subscribe": [
                {"subscription": "sensor-data-mongodb", "mongodb": {"uri": uri, "database": "d", "collection": "c"}}
            ],
        }
    )
    done = daemon.run("check", "--offline")
    assert IN_URI not in done.stdout + done.stderr
    assert done.returncode in (0, 78), done.stdout + done.stderr  # some are found out only when they are used
    assert done.returncode == 0 or re.search(r"sensorqd.yaml:\d+:\d+: ", done.stdout)


def test_secret_in_the_wrong_place(sensorqd, remo):
    """A token pasted where a file's name belongs, or a key file that is no JSON: neither is repeated in full."""
    key = (
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n"
    )
    daemon = sensorqd(
        {
            "pubsub": {"project": "my-project", "credentials_file": "key.json"},
            "publish": {
                "topic": "sensor-data",
                "sources": [
                    {"name": "home", "type": "nature_remo", "interval": "60s", "token_file": "token", "url": remo.url}
                ],
            },
        },
        {"key.json": key, "token": f"{REMO}\nx\n"},
    )
    for text in (
        key,
        json.dumps(
            {
                "type": "service_account",
                "private_key": key,
                "client_email": "a@b",
                "token_uri": "https://127.0.0.1:9/token",
            }
        ),
        json.dumps({"type": "authorized_user", "refresh_token": REMO, "client_secret": {"x": REMO}}),
    ):
        daemon.directory.joinpath("credentials", "key.json").write_text(text)
        for verb in ("run", "check"):
            done = daemon.run(verb)
            assert done.returncode == 77, done.stdout + done.stderr
            assert "MIIEvQ" not in done.stdout + done.stderr and REMO not in done.stdout + done.stderr


def test_secret_that_the_disk_does_not_give(sensorqd):
    """Nothing is wrong with it, so the unit may try again: not 77, after which it does not
    (RestartPreventExitStatus=)."""
    silent = "/proc/self/mem"  # a regular file that answers a read of its beginning with EIO
    sources = [{"name": "home", "type": "nature_remo", "token_file": silent}]
    for pubsub, token, env in (
        ({"credentials_file": silent}, "token", {}),
        ({}, silent, {"PUBSUB_EMULATOR_HOST": "127.0.0.1:9"}),
    ):
        sources[0]["token_file"] = token
        daemon = sensorqd(
            {"pubsub": {"project": "my-project", **pubsub}, "publish": {"topic": "sensor-data", "sources": sources}},
            {"token": "t"},
            env=env,
        )
        for verb in ("run", "once"):
            done = daemon.run(verb)
            assert done.returncode == 71 and silent in done.stderr and "Input/output error" in done.stderr, done.stderr
        done = daemon.run("check")
        assert done.returncode == 71 and silent in done.stdout and "Input/output error" in done.stdout, done.stdout


def test_mongodb_that_repeats_the_password(make_feed):
    """Whatever it refuses, and whoever asks: the daemon, `check`, `setup` or `rejected`."""
    with WireMongo() as server:
        server.login = ("SCRAM-SHA-256", ("sensorqd", IN_FILE))
        feed = make_feed(
            server,
            uri=f"mongodb://sensorqd@127.0.0.1:{server.port}/?authMechanism=SCRAM-SHA-256",
            secrets={"p": IN_FILE},
            password_file="p",
        )
        words = {"code": 4711, "errmsg": f"sensorqd:{IN_FILE} shall not have that"}
        server.script.add(
            {"match": r"^insert .*\.readings_rejected$", "times": -1, "action": {"type": "error", **words}}
        )
        feed.publish(b"{")
        feed.daemon.start()
        feed.daemon.log.wait("APART_FAILING")
        server.script.add(
            {
                "match": "^(insert|find|createIndexes|listIndexes|update|listCollections|connectionStatus|buildInfo|count) ",
                "times": -1,
                "action": {"type": "error", **words},
            }
        )
        feed.publish(b'{"n":1}', b'{"n":2}')
        feed.daemon.log.wait("SINK_DOWN")
        wait_until(lambda: "4711" in (feed.daemon.state / "status.json").read_text(), "the words in status.json")
        shown = [
            feed.daemon.run(*verb)
            for verb in (["check"], ["setup"], ["rejected", "list"], ["rejected", "show", "x"], ["rejected", "replay"])
        ]
        told = [done.stdout + done.stderr for done in shown] + [
            "\n".join(feed.daemon.log.lines),
            (feed.daemon.state / "status.json").read_text(),
        ]
        assert not [text for text in told if IN_FILE in text]
        assert all("[secret] shall not" in text for text in (told[2], told[-2], told[-1])) and "shall not" in told[0]
        assert sum("nor set apart" in line for line in feed.daemon.log.lines) == 1
        assert f"{feed.database}.readings_rejected: " in feed.daemon.log.events("APART_FAILING")[0].text
