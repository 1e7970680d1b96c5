"""SIGHUP: what changes, what stays, and what a bad file does."""

import json
import os
import resource
import signal
import subprocess
import threading
import time

import pytest
from harness import wait_until
from services.nature_remo import NatureRemo
from services.proxy import Proxy


@pytest.fixture
def stack(make_stack, own_queue, shared_mongodb, remo):
    own_queue.create(ackDeadlineSeconds=60)
    return make_stack(own_queue, shared_mongodb, remo, interval_msec=500)


def reload(stack, accepted=True):
    """Writes stack.daemon.config and reloads."""
    log = stack.daemon.log
    before = len(log.events("RELOADED")), len(log.events("RELOAD_REFUSED"))
    stack.daemon.write_config()
    stack.daemon.reload()
    log.wait("RELOADED" if accepted else "RELOAD_REFUSED", before[0 if accepted else 1] + 1)
    assert (len(log.events("RELOADED")), len(log.events("RELOAD_REFUSED"))) == (
        before[0] + accepted,
        before[1] + (not accepted),
    )


def polls(remo, more):
    """Waits for so many further polls."""
    before = remo.polls()
    wait_until(lambda: remo.polls() >= before + more, f"{more} polls")


def requests(stack, match):
    """How many requests of that kind the queue's service has answered so far, or begun and seen broken off."""
    return [event for event in stack.queue.service.log.since(0, "http") if match in json.dumps(event)]


def deliveries(stack):
    return stack.queue.service.log.since(0, "deliver")


def test_source_is_added_and_removed(stack):
    with NatureRemo(limit=100000, devices=1) as second:
        stack.daemon.start()
        polls(stack.remo, 1)
        sources = stack.daemon.config["publish"]["sources"]
        stack.daemon.directory.joinpath("credentials", "second.token").write_text(second.token)
        sources.append({**sources[0], "name": "office", "url": second.url, "token_file": "second.token"})
        reload(stack)
        polls(second, 2)
        polls(stack.remo, 1)
        wait_until(lambda: stack.readings(query={"source": "office"}), "a reading of the new source")
        del sources[0]
        reload(stack)
        before = stack.remo.polls()
        polls(second, 4)
        assert stack.remo.polls() <= before + 1  # one may have been under way
        second.devices = []
        wait_until(
            lambda: stack.count() == len(second.served()) + len(stack.remo.served()),
            "everything that was fetched is stored",
        )


@pytest.mark.parametrize("change", ["none", "removed", "changed", "no publish section"])
def test_reload_lets_a_poll_end(stack, change):
    """The reply of a poll that is under way is stored, whatever the reload makes of its source."""
    rest = threading.Event()
    stack.remo.faults.add(
        {"match": "^GET /1/devices", "times": 1, "after": 1, "action": {"type": "hold", "until": rest}}
    )
    stack.daemon.start()
    wait_until(lambda: stack.remo.polls() == 2 and stack.remo.under_way() == 1, "a poll of whose reply a half has come")
    publish = stack.daemon.config["publish"]
    if change == "removed":
        publish["sources"] = [{**publish["sources"][0], "name": "office", "url": "http://127.0.0.1:9"}]
    elif change == "changed":
        stack.daemon.directory.joinpath("credentials", "other.token").write_text(stack.remo.token)
        publish["sources"][0]["token_file"] = "other.token"
    elif change == "no publish section":
        del stack.daemon.config["publish"]
    reload(stack)
    assert stack.remo.under_way() == 1
    rest.set()
    wait_until(lambda: any(entry["poll"] == 2 for entry in stack.remo.served()), "the end of the reply")
    assert all(entry["complete"] for entry in stack.remo.served())
    if change == "no publish section":
        left = stack.daemon.log.wait("OUTBOX_LEFT")
        assert left.fields["SENSORQD_OUTBOX_ROWS"] == "3" and "put the publish section" in left.text.lower()
        wait_until(lambda: "3 readings left" in stack.daemon.notify.status, "a status of it")
        stack.daemon.config["publish"] = publish
        publish["sources"] = [{**publish["sources"][0], "name": "office", "url": "http://127.0.0.1:9"}]
        reload(stack)
    stack.remo.scenario = "empty"
    wait_until(lambda: stack.count() == len(stack.remo.served()) >= 6, "everything that was served is stored")
    if change in ("removed", "no publish section"):
        assert stack.remo.polls() == 2
    elif change == "none":  # one that did not change is not asked anew beside it
        order = [entry["poll"] for entry in stack.remo.served()]
        assert order == sorted(order)


def test_reload_without_descriptors(stack):
    """A service manager that is not told READY=1 waits for it: it is told as soon as there is a descriptor for that."""
    stack.daemon.start()
    stack.wait_count(3)
    pid, told = stack.daemon.process.pid, len(stack.daemon.notify.messages)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 8192))
    stack.daemon.signal(signal.SIGHUP)
    stack.daemon.log.wait("RELOAD_REFUSED")
    assert "READY=1" not in stack.daemon.notify.messages[told:]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (8192, 8192))
    stack.daemon.notify.wait("^READY=1", since=told)
    stack.daemon.notify.wait("^STATUS=reload refused", since=told)


def test_changed_token_of_a_source(stack):
    """The remedy that a refused token's message gives."""
    stack.daemon.start()
    polls(stack.remo, 1)
    stack.remo.token = "replaced"
    stack.daemon.log.wait("SOURCE_FAILING")
    stack.daemon.directory.joinpath("credentials", "other.token").write_text("replaced\n")
    stack.daemon.config["publish"]["sources"][0]["token_file"] = "other.token"
    reload(stack)
    polls(stack.remo, 2)
    stack.remo.scenario = "empty"
    wait_until(lambda: stack.count() == len(stack.remo.served()) > 3, "readings under the new token")


def test_topic_changes(stack):
    """Rows go to the topic that is configured when they are sent."""
    stack.queue.call("PUT", "topics/other-topic", {})
    stack.queue.subscribe("other-topic", "other-subscription")
    stack.daemon.start()
    stack.wait_count(3)
    stack.daemon.config["publish"].update(topic="other-topic", topic_has_other_subscribers=True)
    reload(stack)
    name = "projects/my-project/subscriptions/other-subscription"
    wait_until(lambda: stack.queue.service.store.stats()[name]["backlog"] >= 6, "readings on the new topic")
    stack.remo.scenario = "empty"
    wait_until(
        lambda: stack.count() + stack.queue.service.store.stats()[name]["backlog"] == len(stack.remo.served()),
        "every reading once",
    )


def test_subscription_changes(stack):
    """What the old one held is stored or given back; the new one takes over what comes."""
    stack.queue.subscribe("sensor-data", "second-subscription", ackDeadlineSeconds=60)
    stack.daemon.start()
    stack.wait_count(3)
    stack.daemon.config["subscribe"][0]["subscription"] = "second-subscription"
    reload(stack)
    wait_until(
        lambda: any(d["pubsub"]["subscription"].endswith("second-subscription") for d in stack.readings()),
        "a message of the new one",
    )
    stack.remo.scenario = "empty"
    wait_until(
        lambda: stack.queue.is_empty("second-subscription") and stack.count() == len(stack.remo.served()),
        "everything is stored",
    )
    ids = [d["_id"] for d in stack.readings()]
    assert len(ids) == len(set(ids))


def test_log_level(stack):
    stack.daemon.start()
    polls(stack.remo, 1)
    wait_until(lambda: any(e.level == "debug" for e in stack.daemon.log.entries), "debug lines")
    stack.daemon.config["log_level"] = "warning"
    stack.daemon.write_config()
    stack.daemon.reload()
    polls(stack.remo, 1)
    since = time.time()
    polls(stack.remo, 2)
    assert stack.daemon.stop() == 0
    assert [e for e in stack.daemon.log.entries if e.level in ("debug", "info", "notice") and e.time > since] == []


def test_outbox_caps(stack):
    """The remedy that the message of a full outbox gives."""
    stack.queue.service.faults.add({"match": ":publish$", "times": -1, "action": {"type": "status", "status": 503}})
    stack.daemon.config["publish"]["outbox"] = {"max_rows": 6}
    stack.daemon.write_config()
    stack.daemon.start()
    stack.daemon.log.wait("OUTBOX_FULL")
    stuck = stack.remo.polls()
    assert stuck == 2
    stack.daemon.config["publish"]["outbox"] = {"max_rows": 60}
    reload(stack)
    stack.daemon.log.wait("OUTBOX_DRAINED")
    polls(stack.remo, 2)
    stack.queue.service.faults.clear()
    stack.remo.scenario = "empty"
    wait_until(lambda: stack.count() == len(stack.remo.served()), "every reading is stored")


def test_unchanged_subscription_keeps_its_pull_and_its_batch(make_stack, own_queue, shared_mongodb):
    """Neither a new pull nor a redelivery: the stage goes on as if nothing had been."""
    own_queue.create(ackDeadlineSeconds=60)
    with Proxy(shared_mongodb.port) as proxy:
        stack = make_stack(
            own_queue,
            shared_mongodb,
            None,
            interval_msec=0,
            uri=f"mongodb://127.0.0.1:{proxy.port}/?socketTimeoutMS=60000",
        )
        stack.daemon.start()
        wait_until(lambda: own_queue.service.store.waiting == 1, "the hanging pull")
        pulls = len(requests(stack, ":pull"))
        stack.daemon.config["log_level"] = "info"
        for _ in range(3):
            reload(stack)
        assert own_queue.service.store.waiting == 1
        assert len(requests(stack, ":pull")) == pulls

        proxy.set_mode("blackhole")
        own_queue.publish([(b'{"n":1}', {})])
        wait_until(lambda: deliveries(stack), "the batch")
        reload(stack)
        reload(stack)
        proxy.set_mode("pass")
        stack.wait_count(1)
        wait_until(lambda: own_queue.is_empty(), "its acknowledgement")
        assert len(deliveries(stack)) == 1 and stack.count() == 1
        assert stack.daemon.stop() == 0


@pytest.mark.parametrize("damage", ["syntax", "key", "secret", "state_dir", "driver"])
def test_bad_file_keeps_the_old_configuration(stack, tmp_path, damage):
    """P9: refused with the place and the reason; everything goes on."""
    stack.daemon.start()
    stack.wait_count(3)
    good = json.loads(json.dumps(stack.daemon.config))
    if damage == "syntax":
        stack.daemon.config_file.write_text("pubsub: [")
        stack.daemon.reload()
        stack.daemon.log.wait("RELOAD_REFUSED")
    else:
        if damage == "key":
            stack.daemon.config["publish"]["sources"][0]["intervall"] = "10s"
        elif damage == "secret":
            stack.daemon.config["publish"]["sources"][0]["token_file"] = "nowhere"
        elif damage == "driver":  # which alone knows that these two do not go together
            stack.daemon.config["subscribe"][0]["mongodb"]["uri"] = (
                "mongodb://127.0.0.1:9/?tls=true&authMechanism=MONGODB-X509&authSource=admin"
            )
        else:
            (tmp_path / "elsewhere").mkdir()
            stack.daemon.config["state_dir"] = str(tmp_path / "elsewhere")
        reload(stack, accepted=False)
    refused = stack.daemon.log.events("RELOAD_REFUSED")[0]
    assert not stack.daemon.log.events("CONFIG_REJECTED"), "which would say that nothing was started"
    words = {
        "syntax": "sensorqd.yaml:1:9: ",
        "key": "intervall",
        "secret": "nowhere",
        "state_dir": "need a restart",
        "driver": "mongodb.uri: the value is refused by MongoDB's driver: ",
    }
    assert words[damage] in refused.fields["SENSORQD_ERROR"] and words[damage] in refused.text
    assert words[damage] in stack.daemon.notify.wait(r"^STATUS=reload refused \d\d:\d\d:\d\d: ")
    told = wait_until(
        lambda: json.loads((stack.daemon.state / "status.json").read_text()).get("reload_refused"), "a report of it"
    )
    assert words[damage] in told["error"] and told["time"]
    polls(stack.remo, 2)
    stack.daemon.config = good
    reload(stack)
    wait_until(lambda: "refused" not in stack.daemon.notify.status, "a status without it")
    stack.remo.scenario = "empty"
    wait_until(lambda: stack.count() == len(stack.remo.served()), "every reading is stored")
    assert stack.daemon.stop() == 0


def test_hangup_before_the_daemon_listens(sensorqd, tmp_path):
    """A reload that is asked for while it still reads its options is made later, and kills nothing."""
    source = tmp_path / "early.c"
    source.write_text("""
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <signal.h>
        struct option;
        int getopt_long(int n, char *const v[], const char *s, const struct option *l, int *i) {
                static int once;
                if (!once++)
                        raise(SIGHUP);
                return ((int (*)(int, char *const *, const char *, const struct option *, int *)) dlsym(RTLD_NEXT, "getopt_long"))(n, v, s, l, i);
        }""")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "early.so", source, "-ldl"], check=True)
    mongodb = {"uri": "mongodb://127.0.0.1:9/", "database": "home", "collection": "readings"}
    daemon = sensorqd(
        {"pubsub": {"project": "my-project"}, "subscribe": [{"subscription": "sub", "mongodb": mongodb}]},
        env={"PUBSUB_EMULATOR_HOST": "127.0.0.1:9"},
    )
    daemon.start(
        LD_PRELOAD=str(tmp_path / "early.so"),
        ASAN_OPTIONS="verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", ""),
    )
    daemon.log.wait("RELOADED")
    assert daemon.stop() == 0


def test_password_in_the_uri_is_warned_about(stack):
    stack.daemon.start()
    assert stack.daemon.log.events("CONFIG_WARNING") == []
    mongodb = stack.daemon.config["subscribe"][0]["mongodb"]
    mongodb["uri"] = mongodb["uri"].replace("mongodb://", "mongodb://user:hush-hush@")
    reload(stack)
    warning = stack.daemon.log.wait("CONFIG_WARNING")
    assert warning.fields["SENSORQD_FILE"].endswith("sensorqd.yaml") and "password_file" in warning.text
    assert stack.daemon.stop() == 0
    stack.daemon.start()
    stack.daemon.log.wait("CONFIG_WARNING", 2)
    assert "hush-hush" not in "\n".join(stack.daemon.log.lines)
