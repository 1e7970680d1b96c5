"""Alerts through the real daemon to services as strict as the real ones: what is due is told once to each, whatever
dies or fails (P14), and no target delays an acknowledgement or another target (P13).

SENSORQD_LONG=1 kills 200 times."""

import contextlib
import datetime
import json
import os
import re
from collections import Counter

import pytest
from feed import Feed
from harness import REPO, wait_until
from services import alert_targets
from services.alert_targets import AlertTargets
from services.faults import FaultScript

LONG = bool(os.environ.get("SENSORQD_LONG"))
TARGETS = ["slack", "discord", "ntfy", "line", "hook"]
RULE = {
    "name": "hot",
    "field": "te",
    "above": 28,
    "clear": 27,
    "message": "{name} fires {value}/{limit}",
    "resolved": "{name} over {value}",
}


@pytest.fixture
def services():
    with AlertTargets(FaultScript(())) as server:
        yield server


def targets_of(url):
    return [
        {"name": "slack", "type": "slack", "url_file": "slack.url"},
        {"name": "discord", "type": "slack", "url_file": "discord.url"},
        {"name": "ntfy", "type": "ntfy", "url": url, "topic": "house"},
        {"name": "line", "type": "line", "url": url, "token_file": "line.token", "recipient": "U4af4980629"},
        {"name": "hook", "type": "webhook", "url": url + alert_targets.HOOK},
    ]


def make(sensorqd, services, targets=TARGETS, **alert):
    feed = Feed(
        sensorqd,
        None,
        uri="mongodb://localhost/",
        database="none",
        service={"time_scale": 5},
        secrets={
            "slack.url": services.url + alert_targets.SLACK,
            "discord.url": services.url + alert_targets.DISCORD,
            "line.token": alert_targets.LINE_TOKEN + "\n",
        },
    )
    feed.daemon.config["subscribe"] = [
        {
            "subscription": "sensor-data-mongodb",
            "backoff": {"initial": "1s", "max": "1s"},
            "alert": {
                "targets": [target for target in targets_of(services.url) if target["name"] in targets],
                "rules": [RULE],
                **alert,
            },
        }
    ]
    feed.daemon.write_config()
    return feed


def say(feed, name, te, key=None):
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    reading = {"id": name, "name": name, "source": "home", "request_at": now, "te": te}
    feed.publish(
        (
            json.dumps(reading).encode(),
            {"idempotency_key": key or f"{now}:{name}:{te}", "source": "home", "device": name},
        )
    )


def hook_texts(services):
    return [message.body["message"] for message in services.accepted if message.service == "hook"]


def all_have(services, text, names=TARGETS):
    return all(text in (hook_texts(services) if name == "hook" else services.texts(name)) for name in names)


def test_every_service_is_told_once(sensorqd, services):
    with contextlib.closing(make(sensorqd, services)) as feed:
        feed.daemon.start()
        say(feed, "Bed<_room_> @everyone", 29.5)
        wait_until(
            lambda: all_have(services, "Bed<_room_> @everyone fires 29.5/28", ["ntfy", "line", "hook"]),
            "firing at three",
        )
        wait_until(
            lambda: all_have(services, "Bed<_room_> @\u200beveryone fires 29.5/28", ["slack", "discord"]),
            "firing at the others",
        )
        feed.daemon.notify.wait(r"1 alert firing \(hot: Bed<_room_> @everyone\)")
        listed = (
            r"^firing   hot, Bed<_room_> @everyone \(home Bed<_room_> @everyone\): since .*, value 29.5, last sent 20"
        )
        wait_until(
            lambda: re.search(listed, feed.daemon.run("alerts").stdout),
            f"it is listed: {feed.daemon.run('alerts').stdout}",
        )
        say(feed, "Bed<_room_> @everyone", 25)
        wait_until(lambda: all_have(services, "Bed<_room_> @everyone over 25", ["ntfy", "line", "hook"]), "the end")
        wait_until(lambda: len(services.accepted) >= 10, "two messages for each")
        feed.wait_empty()
        feed.daemon.stop()
    assert Counter(message.service for message in services.accepted) == dict.fromkeys(TARGETS, 2)
    body = next(message.body for message in services.accepted if message.service == "hook")
    assert body["state"] == "firing" and body["value"] == 29.5 and body["limit"] == 28 and body["rule"] == "hot"
    assert len({message.key for message in services.accepted if message.service in ("line", "hook")}) == 4
    log = "\n".join(feed.daemon.log.lines)
    assert "4Hd8sK2p9QxZtAbC" not in log and "k3yOfD1scord" not in log and alert_targets.LINE_TOKEN not in log


def test_an_outage_delays_nothing_and_loses_nothing(sensorqd, services):
    """Told when it is back: what began and ended meanwhile, in one message; the other target was told as it
    happened."""
    with contextlib.closing(make(sensorqd, services, ["slack", "ntfy"])) as feed:
        services.moods["slack"] = lambda: 503
        feed.daemon.start()
        say(feed, "Bedroom", 29)
        entry = feed.daemon.log.wait("ALERT_TARGET_DOWN")
        assert entry.fields["SENSORQD_TARGET"] == "slack" and entry.fields["SENSORQD_HTTP_STATUS"] == "503"
        wait_until(lambda: "Bedroom fires 29/28" in services.texts("ntfy"), "the other target")
        say(feed, "Bedroom", 25)
        wait_until(lambda: "Bedroom over 25" in services.texts("ntfy"), "the end at the other target")
        feed.wait_empty()
        assert not services.texts("slack")
        tries = services.tried.count("slack")
        wait_until(
            lambda: services.tried.count("slack") >= tries + 2, "a try that began after that"
        )  # what was on its way before may say that it fires
        feed.daemon.kill()
        feed.daemon.start()
        feed.daemon.log.wait("ALERT_TARGET_DOWN", 2)
        services.moods["slack"] = lambda: None
        wait_until(lambda: services.texts("slack"), "slack")
        feed.daemon.log.wait("ALERT_TARGET_UP")
        say(feed, "Kitchen", 30)
        wait_until(lambda: "Kitchen fires 30/28" in services.texts("slack"), "the next one")
        told = services.texts("slack")
        assert len(told) == 2 and re.match(r"hot: Bedroom was above 28 from ", told[0]), told


def test_a_revoked_address_and_a_login_page(sensorqd, services):
    with contextlib.closing(make(sensorqd, services, ["slack", "hook"])) as feed:
        services.moods |= {"slack": lambda: 404, "hook": lambda: "page"}
        feed.daemon.start()
        say(feed, "Bedroom", 29)
        entries = {
            entry.fields["SENSORQD_TARGET"]: entry.text
            for entry in (feed.daemon.log.wait("ALERT_TARGET_DOWN", n) for n in (1, 2))
        }
        assert "make a new webhook" in entries["slack"] and "web page" in entries["hook"]
        feed.wait_empty()
        services.moods.clear()
        wait_until(lambda: all_have(services, "Bedroom fires 29/28", ["slack", "hook"]), "both")


def test_check_and_test(sensorqd, services):
    with contextlib.closing(make(sensorqd, services)) as feed:
        line = feed.daemon.config["subscribe"][0]["alert"]["targets"][TARGETS.index("line")]
        line |= {
            "url": services.url.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
            "allow_plain": True,
        }  # to `check`, another machine
        feed.daemon.write_config()
        checked = feed.daemon.run("check").stdout
        for name in TARGETS:
            assert re.search(rf"^ok    alert sensor-data-mongodb  target {name} \(.*nothing was sent", checked, re.M), (
                checked
            )
        assert not services.tried
        for name in TARGETS:
            assert feed.daemon.run("alerts", "test", name).stdout.startswith(f"ok    target {name}  "), name
        assert [message.service for message in services.accepted] == TARGETS and "Test by sensorqd" in services.texts(
            "slack"
        )[0]
        services.moods["ntfy"] = lambda: 403
        failed = feed.daemon.run("alerts", "test", "ntfy")
        assert (
            failed.returncode == 69
            and "FAIL  target ntfy  ntfy has not taken it: HTTP 403" in failed.stdout
            and "token_file" in failed.stdout
        )
        unknown = feed.daemon.run("alerts", "test", "nobody")
        assert unknown.returncode == 64 and "slack, discord, ntfy, line, hook" in unknown.stderr
        assert feed.daemon.run("alerts", "test").returncode == 64
        assert feed.daemon.run("alerts").returncode == 0 and feed.daemon.run("alerts", "--json").stdout == "[]\n"
        (feed.daemon.directory / "credentials" / "line.token").write_text("wr0ng-token\n")
        checked = feed.daemon.run("check")
        assert checked.returncode == 69 and re.search(
            r"^FAIL  alert .*target line .*HTTP 401.*channel access token", checked.stdout, re.M
        ), checked.stdout


def test_a_test_asks_for_its_own_secret_only(sensorqd, services):
    with contextlib.closing(make(sensorqd, services)) as feed:
        (feed.daemon.directory / "credentials" / "line.token").unlink()
        tested = feed.daemon.run("alerts", "test", "slack")
        assert tested.returncode == 0 and tested.stdout.startswith("ok    target slack  "), tested.stdout
        tested = feed.daemon.run("alerts", "test", "line")
        assert tested.returncode == 77 and tested.stdout.startswith(
            "FAIL  target line  secret file line.token is neither"
        ), tested.stdout
        unknown = feed.daemon.run("alerts", "test", "nobody")
        assert unknown.returncode == 64 and "there are: slack, discord" in unknown.stderr and not unknown.stdout
        assert "no rule has judged anything yet" in feed.daemon.run("alerts").stderr
        feed.daemon.config["subscribe"] = [{"subscription": "sensor-data-mongodb", "file": {"directory": "archive"}}]
        feed.daemon.write_config()
        listed = feed.daemon.run("alerts")
        assert listed.returncode == 0 and "no subscription of this configuration has a section alert" in listed.stderr


def test_the_recipes_are_right(sensorqd, tmp_path):
    blocks = re.findall(
        r"^```yaml\n(  - subscription: sensor-data-alerts\n.*?)^```$",
        (REPO / "docs" / "RECIPES.md").read_text(),
        re.M | re.S,
    )
    daemon = sensorqd({"pubsub": {"project": "my-project"}})
    for block in blocks:
        daemon.write_config("pubsub: { project: my-project }\nsubscribe:\n" + block)
        checked = daemon.run("check", "--offline")
        assert checked.returncode == 0, checked.stdout + block
    assert len(blocks) == 6


@pytest.mark.parametrize("name", ["slack", "line"])
def test_a_start_sends_what_has_no_answer(sensorqd, services, name):
    """With no message after it: LINE knows a repeated one by its key, Slack does not."""
    with contextlib.closing(make(sensorqd, services, [name])) as feed:
        services.moods[name] = lambda: 500
        feed.daemon.start()
        say(feed, "Bedroom", 29)
        feed.daemon.log.wait("ALERT_TARGET_DOWN")
        feed.wait_empty()
        feed.daemon.kill()
        services.moods.clear()
        feed.daemon.start()
        wait_until(lambda: services.texts(name), "the firing")


def told_of(lines, n):
    """What a service was told of a device, in order: `fires`, `over`, or `ended` where it began and ended untold."""
    found = [line for line in lines if re.search(rf"\bd{n}\b", line)]
    return ["fires" if " fires " in line else "over" if " over " in line else "ended" for line in found]


@pytest.mark.timeout(1800 if LONG else 300)
@pytest.mark.slow
def test_nothing_is_lost_over_kills(sensorqd, services, chance):
    """A device for each turn, which fires in it and is over once it has: every message says which firing it is about,
    and each kill meets a beginning, an end, or both."""
    kills = 200 if LONG else 8
    services.moods["line"] = lambda: chance.choice([None, None, 500])
    with contextlib.closing(make(sensorqd, services, ["slack", "line"])) as feed:
        over = set()

        def end_what_fires():
            for name in {entry.fields["SENSORQD_DEVICE"] for entry in feed.daemon.log.events("ALERT_FIRING")} - over:
                over.add(name)
                say(feed, name, 25)

        feed.daemon.start()
        for n in range(kills):
            before = len(services.tried)
            end_what_fires()
            say(feed, f"d{n}", 29)
            if chance.random() < 0.7:
                wait_until(lambda: len(services.tried) > before, "a request")
            feed.daemon.kill()
            feed.daemon.start()
        services.moods.clear()
        wait_until(
            lambda: all(
                f"d{n}" in over or all_have(services, f"d{n} fires 29/28", ["slack", "line"]) for n in range(kills)
            ),
            "every firing",
        )
        for n in set(range(kills)) - {int(name[1:]) for name in over}:
            say(feed, f"d{n}", 25)
        wait_until(
            lambda: all(
                told_of(services.texts(name), n)[-1:] in (["over"], ["ended"])
                for name in ("slack", "line")
                for n in range(kills)
            ),
            "every end",
        )
        say(feed, "last", 29)
        wait_until(lambda: all_have(services, "last fires 29/28", ["slack", "line"]), "the last")
        feed.wait_empty()
    line, slack = ([told_of(services.texts(name), n) for n in range(kills)] for name in ("line", "slack"))
    assert all(told in (["fires", "over"], ["ended"]) for told in line), line
    once = [[state for at, state in enumerate(told) if told[: at + 1].count(state) == 1] for told in slack]
    assert all(told in (["fires", "over"], ["ended"]) for told in once), slack
    seen, again = set(), 0
    for lines in (message.text.split("\n") for message in services.accepted if message.service == "slack"):
        again += not seen.isdisjoint(lines)
        seen.update(lines)
    print(
        f"{kills} kills: LINE was told of {sum(told[0] == 'fires' for told in line)} beginnings and {kills} ends, none twice; {again} messages to Slack were repeated"
    )
    assert again <= kills
