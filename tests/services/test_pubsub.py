"""The Pub/Sub service: does it behave as production does?"""

import base64
import os
import re
import socket
import threading
import time

import pytest
import requests

from services.pubsub import PubSub
from services.service import ServiceProcess, wait_until

TOPIC = "projects/p/topics/readings"
SUBSCRIPTION = "projects/p/subscriptions/store"


class Client:
    """The calls of the API, by requests."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()

    def call(self, method, path, body=None, **options):
        return self.session.request(method, f"{self.url}/v1/{path}", json=body, timeout=30, **options)

    def ok(self, method, path, body=None):
        reply = self.call(method, path, body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def create(self, **settings):
        """Topic and subscription; ackDeadlineSeconds=600 where no lease shall expire during the test (12 s of its
        scaled time)."""
        self.call("PUT", TOPIC, {})
        return self.ok("PUT", SUBSCRIPTION, {"topic": TOPIC, **settings})

    def publish(self, *texts, **attributes):
        messages = [{"data": base64.b64encode(text.encode()).decode(), "attributes": attributes} for text in texts]
        return self.ok("POST", f"{TOPIC}:publish", {"messages": messages})["messageIds"]

    def pull(self, limit=1000, now=False):
        body = {"maxMessages": limit, **({"returnImmediately": True} if now else {})}
        return self.ok("POST", f"{SUBSCRIPTION}:pull", body).get("receivedMessages", [])

    def ack(self, *ack_ids):
        return self.call("POST", f"{SUBSCRIPTION}:acknowledge", {"ackIds": ack_ids})

    def modify(self, seconds, *ack_ids):
        return self.call(
            "POST", f"{SUBSCRIPTION}:modifyAckDeadline", {"ackIds": ack_ids, "ackDeadlineSeconds": seconds}
        )


@pytest.fixture
def pubsub():
    with PubSub(pull_hang=5, time_scale=50) as service:
        yield service


@pytest.fixture
def client(pubsub):
    return Client(pubsub.url)


def error_of(reply):
    return reply.status_code, reply.json()["error"]["status"]


def texts(messages):
    return [base64.b64decode(m["message"]["data"]).decode() for m in messages]


def test_publish_pull_acknowledge(pubsub, client):
    client.create(ackDeadlineSeconds=600)
    ids = client.publish("one", "two", device="d1")
    got = client.pull()
    assert [m["message"]["messageId"] for m in got] == ids and texts(got) == ["one", "two"]
    assert all(len(m["ackId"]) == 180 and "deliveryAttempt" not in m for m in got)
    assert got[0]["message"]["attributes"] == {"device": "d1"} and got[0]["message"]["publishTime"].endswith("Z")
    assert client.ack(*[m["ackId"] for m in got]).json() == {}
    assert client.pull(now=True) == []
    kinds = [event["kind"] for event in pubsub.log.since() if event["kind"] != "http"]
    assert kinds == ["publish", "deliver", "ack"]
    assert pubsub.store.stats()[SUBSCRIPTION]["acked"] == 2


def test_settings_come_back_with_defaults(client):
    made = client.create(filter='attributes.a = "b"', pushConfig={}, enableExactlyOnceDelivery=True)
    assert made["ackDeadlineSeconds"] == 10 and made["messageRetentionDuration"] == "604800s"
    assert made["expirationPolicy"] == {"ttl": "2678400s"} and made["state"] == "ACTIVE" and made["filter"]
    body = {
        "subscription": {"ackDeadlineSeconds": 60, "expirationPolicy": {}},
        "updateMask": "ackDeadlineSeconds,expirationPolicy",
    }
    patched = client.ok("PATCH", SUBSCRIPTION, body)
    assert patched["ackDeadlineSeconds"] == 60 and patched["expirationPolicy"] == {}
    assert (
        client.call("PATCH", SUBSCRIPTION, {"subscription": {"filter": ""}, "updateMask": "filter"}).status_code == 400
    )


def test_names_and_missing_things(client):
    assert error_of(client.call("GET", TOPIC)) == (404, "NOT_FOUND")
    assert error_of(client.call("PUT", SUBSCRIPTION, {"topic": TOPIC})) == (404, "NOT_FOUND")
    client.create()
    assert error_of(client.call("PUT", TOPIC, {})) == (409, "ALREADY_EXISTS")
    for name in ("ab", "google", "1abc", "a b c", "x" * 256):
        assert client.call("PUT", f"projects/p/topics/{name}", {}).status_code == 400, name
    assert client.call("PUT", "projects/p/topics/a%2525b", {}).json()["name"] == "projects/p/topics/a%25b"
    reply = client.call("POST", f"{TOPIC}:nothing", {})
    assert reply.status_code == 404 and reply.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"messages":[]}',
        b"{}",
        b'{"messages":[{}]}',
        b'{"messages":[{"data":""}]}',
        b'{"messages":[{"data":"a b="}]}',
        b'{"messages":[{"data":"A"}]}',
        b'{"messages":[{"data":"YQ==","x":1}]}',
        b'{"messages":[{"attributes":{"a":1}}]}',
        b'{"messages":[{"attributes":{"googx":"1"}}]}',
        b'{"messages":[{"attributes":{"":"1"}}]}',
        b'{"messages":[{"data":"\xff"}]}',
        b'{"messages":[{"attributes":{"%s":"1"}}]}' % (b"k" * 257),
        b'{"messages":[{"attributes":{"k":"%s"}}]}' % (b"v" * 1025),
        b'{"messages":[{"data":"YQ=="},{"data":"YQ","attributes":{%s}}]}'
        % b",".join(b'"k%d":"v"' % i for i in range(101)),
        b'{"messages":[%s]}' % b",".join([b'{"data":"YQ=="}'] * 1001),
    ],
)
def test_a_bad_publish_publishes_nothing(client, body):
    client.create()
    reply = client.session.post(
        f"{client.url}/v1/{TOPIC}:publish", data=body, headers={"Content-Type": "application/json"}, timeout=10
    )
    assert error_of(reply) == (400, "INVALID_ARGUMENT")
    assert client.pull(now=True) == []


def test_base64_in_and_out(client):
    client.create(ackDeadlineSeconds=600)
    for text in ("-_-_", "_w", "/w==", "YQ"):
        client.ok("POST", f"{TOPIC}:publish", {"messages": [{"data": text}]})
    assert [m["message"]["data"] for m in client.pull()] == ["+/+/", "/w==", "/w==", "YQ=="]
    client.ok("POST", f"{TOPIC}:publish", {"messages": [{"attributes": {"a": "b"}}]})
    assert "data" not in client.pull()[0]["message"]


def test_size_limits(client):
    client.create()
    big = base64.b64encode(bytes(7_800_000)).decode()
    assert client.call("POST", f"{TOPIC}:publish", {"messages": [{"data": big}]}).status_code == 200
    reply = client.call("POST", f"{TOPIC}:publish", {"messages": [{"data": big + "AAAA" * 30000}]})
    assert reply.status_code == 400 and "Request payload size exceeds the limit: 10485760 bytes." in reply.text
    reply = client.ack(*["x" * 180] * 3000)
    assert reply.status_code == 400 and "exceeds the limit: 524288 bytes" in reply.text


def test_a_pull_is_capped_by_bytes_and_by_count(client):
    client.create(ackDeadlineSeconds=600)
    for _ in range(5):
        client.ok("POST", f"{TOPIC}:publish", {"messages": [{"data": base64.b64encode(bytes(6_000_000)).decode()}]})
    assert len(client.pull()) == 3 and len(client.pull()) == 2
    client.ok("POST", f"{TOPIC}:publish", {"messages": [{"data": "YQ=="}] * 1000})
    assert len(client.pull(5000)) == 1000
    for limit in (0, -1):
        assert client.call("POST", f"{SUBSCRIPTION}:pull", {"maxMessages": limit}).status_code == 400


def test_a_waiting_pull_wakes_on_publish(pubsub, client):
    pubsub.pull_hang = 60
    client.create()
    got = []
    thread = threading.Thread(target=lambda: got.extend(Client(pubsub.url).pull()))
    thread.start()
    client.publish("x")
    thread.join(30)
    assert texts(got) == ["x"]


def test_an_aborted_pull_steals_messages_until_the_deadline(pubsub, client):
    pubsub.pull_hang = 60
    client.create(ackDeadlineSeconds=100)
    body = b'{"maxMessages":10}'
    with socket.create_connection(("127.0.0.1", pubsub.port)) as sock:
        sock.sendall(
            b"POST /v1/%s:pull HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (SUBSCRIPTION.encode(), len(body), body)
        )
        wait_until(lambda: pubsub.store.waiting == 1)
    client.publish("stolen")
    assert pubsub.log.wait(lambda event: event["kind"] == "deliver", 10)
    early = client.pull(now=True)
    assert not early or pubsub.log.since(kind="expire"), "handed out before the deadline"
    assert texts(early or client.pull()) == ["stolen"]
    assert [e["attempt"] for event in pubsub.log.since(kind="deliver") for e in event["messages"]] == [1, 2]


def test_leases_expire_are_extended_and_released(pubsub, client):
    client.create()
    client.publish("x")
    first = client.pull()[0]["ackId"]
    second = client.pull()[0]["ackId"]
    assert first != second
    client.ack(first)
    assert pubsub.store.stats()[SUBSCRIPTION]["backlog"] == 1, "a superseded ack id has no effect"
    assert client.modify(600, second).status_code == 200
    assert client.pull(now=True) == []
    client.modify(0, second)
    assert len(client.pull(now=True)) == 1
    for seconds in (-1, 601):
        assert client.modify(seconds, second).status_code == 400


def test_a_late_ack_works_until_redelivery_unless_told_otherwise(pubsub, client):
    client.create()
    client.publish("x")
    ack_id = client.pull()[0]["ackId"]
    assert pubsub.log.wait(lambda event: event["kind"] == "expire", 30)
    pubsub.store.late_ack = False
    client.ack(ack_id)
    assert pubsub.store.stats()[SUBSCRIPTION]["backlog"] == 1
    pubsub.store.late_ack = True
    client.ack(ack_id)
    assert pubsub.store.stats()[SUBSCRIPTION]["backlog"] == 0


def test_a_foreign_ack_id_spoils_the_whole_request(pubsub, client):
    client.create(ackDeadlineSeconds=600)
    client.publish("x")
    good = client.pull()[0]["ackId"]
    assert error_of(client.ack(good, "garbage")) == (400, "INVALID_ARGUMENT")
    assert client.ack().status_code == 400
    assert pubsub.store.stats()[SUBSCRIPTION]["backlog"] == 1
    assert client.ack(good).status_code == 200 and client.ack(good).status_code == 200


def test_exactly_once_names_each_failed_id(client):
    client.create(enableExactlyOnceDelivery=True, ackDeadlineSeconds=600)
    client.publish("x", "y")
    old = client.pull(1)[0]["ackId"]
    client.modify(0, old)
    new = client.pull()
    reply = client.ack(old, *[m["ackId"] for m in new])
    info = reply.json()["error"]["details"][0]
    assert reply.status_code == 400 and info["reason"] == "EXACTLY_ONCE_ACKID_FAILURE"
    assert info["metadata"] == {old: "PERMANENT_FAILURE_INVALID_ACK_ID"}
    assert client.pull(now=True) == []


def test_dead_letters_after_the_last_attempt(pubsub, client):
    dead, keeper = "projects/p/topics/dead", "projects/p/subscriptions/dead-keeper"
    client.ok("PUT", dead, {})
    client.ok("PUT", keeper, {"topic": dead})
    client.create(ackDeadlineSeconds=600, deadLetterPolicy={"deadLetterTopic": dead, "maxDeliveryAttempts": 5})
    client.publish("poison", a="b")
    for attempt in range(1, 6):
        got = client.pull()[0]
        assert got["deliveryAttempt"] == attempt
        client.modify(0, got["ackId"])
    assert client.pull(now=True) == []
    forwarded = client.ok("POST", f"{keeper}:pull", {"maxMessages": 1})["receivedMessages"][0]["message"]
    assert (
        forwarded["attributes"]["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
        and forwarded["attributes"]["a"] == "b"
    )
    assert pubsub.log.since(kind="dead_letter")[0]["attempts"] == 5


def test_a_retry_policy_delays_redelivery(pubsub, client):
    client.create(retryPolicy={"minimumBackoff": "100s", "maximumBackoff": "600s"})
    client.publish("x")
    ack_id = client.pull()[0]["ackId"]
    released = time.monotonic()  # its event comes a little later than the backoff begins
    client.modify(0, ack_id)
    assert texts(client.pull()) == ["x"]
    assert pubsub.log.since(kind="deliver")[1]["mono"] - released >= 100 / 50  # of scaled time


def test_retention_and_expiry(pubsub, client):
    pubsub.store.retention_scale = 6000
    client.create(messageRetentionDuration="600s", expirationPolicy={})
    client.publish("x")
    assert pubsub.log.wait(lambda event: event["kind"] == "retention", 30)
    assert client.pull(now=True) == []
    client.ok(
        "PATCH",
        SUBSCRIPTION,
        {"subscription": {"expirationPolicy": {"ttl": "86400s"}}, "updateMask": "expirationPolicy"},
    )
    pubsub.store.retention_scale = 86400 * 5
    assert pubsub.log.wait(lambda event: event["kind"] == "subscription_expired", 30)
    assert client.call("GET", SUBSCRIPTION).status_code == 404
    for bad in (
        {"messageRetentionDuration": "599s"},
        {"messageRetentionDuration": "2678401s"},
        {"expirationPolicy": {"ttl": "60s"}},
        {"ackDeadlineSeconds": 9},
        {"ackDeadlineSeconds": 601},
    ):
        assert client.call("PUT", SUBSCRIPTION, {"topic": TOPIC, **bad}).status_code == 400
    assert (
        client.create(messageRetentionDuration="2678400s", expirationPolicy={})["messageRetentionDuration"]
        == "2678400s"
    )


def test_deleted_topic_keeps_the_backlog(client):
    client.create()
    client.publish("x")
    client.ok("DELETE", TOPIC)
    assert client.ok("GET", SUBSCRIPTION)["topic"] == "_deleted-topic_"
    assert texts(client.pull()) == ["x"]
    client.ok("PUT", TOPIC, {})
    client.publish("lost")
    client.ok("DELETE", SUBSCRIPTION)
    assert client.call("POST", f"{SUBSCRIPTION}:pull", {"maxMessages": 1}).status_code == 404


def test_permissions(pubsub, client):
    wanted = {"permissions": ["pubsub.topics.publish", "pubsub.topics.get"]}
    assert client.ok("POST", f"{TOPIC}:testIamPermissions", wanted) == {}
    client.create()
    assert client.ok("POST", f"{TOPIC}:testIamPermissions", wanted) == wanted
    pubsub.grant = ["pubsub.topics.publish"]
    assert client.ok("POST", f"{TOPIC}:testIamPermissions", wanted) == {"permissions": ["pubsub.topics.publish"]}


def test_duplicate_partial_and_id_count_faults(pubsub, client):
    client.create(ackDeadlineSeconds=600)
    client.publish("a", "b")
    first = client.pull()
    pubsub.faults.add({"match": ":pull", "action": {"type": "duplicate"}})
    second = client.pull()
    assert texts(second) == ["a", "b"]
    client.ack(first[0]["ackId"], second[1]["ackId"])
    assert pubsub.store.stats()[SUBSCRIPTION]["backlog"] == 0
    client.publish("a", "b", "c")
    pubsub.faults.add(
        {"match": ":pull", "action": {"type": "partial", "messages": 2}},
        {"match": ":publish", "action": {"type": "id_count", "delta": -1}},
    )
    assert len(client.pull()) == 2
    assert len(client.publish("a", "b")) == 1


def test_grpc_free_official_client(pubsub):
    """google-cloud-pubsub over its REST transport; it insists on https unless told otherwise."""
    pubsub_v1 = pytest.importorskip("google.cloud.pubsub_v1")
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.pubsub_v1.services.publisher.transports.rest import PublisherRestTransport
    from google.pubsub_v1.services.subscriber.transports.rest import SubscriberRestTransport
    from google.pubsub_v1 import PublisherClient, SubscriberClient

    assert pubsub_v1 and ClientOptions
    where = {"host": f"127.0.0.1:{pubsub.port}", "credentials": AnonymousCredentials(), "url_scheme": "http"}
    publisher = PublisherClient(transport=PublisherRestTransport(**where))
    subscriber = SubscriberClient(transport=SubscriberRestTransport(**where))
    publisher.create_topic(name=TOPIC)
    made = subscriber.create_subscription(request={"name": SUBSCRIPTION, "topic": TOPIC, "ack_deadline_seconds": 60})
    assert made.ack_deadline_seconds == 60
    ids = publisher.publish(topic=TOPIC, messages=[{"data": "気温".encode(), "attributes": {"k": "v"}}]).message_ids
    got = subscriber.pull(subscription=SUBSCRIPTION, max_messages=10).received_messages
    assert [m.message.message_id for m in got] == list(ids) and got[0].message.data.decode() == "気温"
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[got[0].ack_id])
    assert pubsub.store.stats()[SUBSCRIPTION]["backlog"] == 0


def test_state_survives_kill(tmp_path):
    process = ServiceProcess(
        "pubsub",
        "--state",
        tmp_path / "state",
        "--pull-hang",
        "1",
        "--service-account",
        tmp_path / "sa.json",
        "--time-scale",
        "20",
    )
    with process:
        client = Client(process.url)
        client.create(ackDeadlineSeconds=600)
        published = client.publish(*[str(i) for i in range(100)])
        held = client.pull(10)
        client.ack(*[m["ackId"] for m in held[:5]])
        process.kill()
        process.start()
        assert client.ack(*[m["ackId"] for m in held[5:]]).status_code == 200, "ack ids outlive the restart"
        got = [m["message"]["messageId"] for m in client.pull()]
        assert got == published[10:]
        kinds = [event["kind"] for event in process.control("log")["events"] if event["kind"] != "http"]
        assert kinds == ["publish", "deliver", "ack", "ack", "deliver"]
        assert process.control("stats")[SUBSCRIPTION]["acked"] == 10
    assert (
        re.search("private_key", (tmp_path / "sa.json").read_text())
        and os.stat(tmp_path / "sa.json").st_mode & 0o77 == 0
    )


def test_many_waiting_pulls_share_the_messages(pubsub, client):
    pubsub.pull_hang = 0.2
    client.create(ackDeadlineSeconds=600)
    seen, lock, all_published = [], threading.Lock(), threading.Event()

    def drain():
        mine = Client(pubsub.url)
        over = False
        while (got := mine.pull(50)) or not over:
            over = not got and all_published.is_set()  # one more pull after that
            with lock:
                seen.extend(m["message"]["messageId"] for m in got)
            if got:
                mine.ack(*[m["ackId"] for m in got])

    threads = [threading.Thread(target=drain) for _ in range(8)]
    for thread in threads:
        thread.start()
    published = [mid for _ in range(20) for mid in client.publish(*"abcdefghij")]
    all_published.set()
    for thread in threads:
        thread.join(60)
    assert sorted(seen) == sorted(published)
