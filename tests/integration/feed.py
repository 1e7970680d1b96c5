"""Queue and sink without a source: a test publishes, a daemon stores. The queue lives in the test's process, so that a
test can put in what no client could publish (10 MB of data) and can read the queue's log without a request."""

import base64
import json
import uuid

from harness import wait_until
from services.pubsub import PubSub

PROJECT = "my-project"
TOPIC = f"projects/{PROJECT}/topics/sensor-data"
SUBSCRIPTION = f"projects/{PROJECT}/subscriptions/sensor-data-mongodb"


class Feed:
    """server: services.mongodb.MongoDB or services.wire_mongo.WireMongo. settings: of the subscription in Pub/Sub;
    section: of it in the configuration; service: options of PubSub; what is left: of the mongodb section."""

    def __init__(
        self,
        make,
        server,
        settings=None,
        section=None,
        service=None,
        publish=None,
        database=None,
        uri=None,
        env=None,
        secrets=None,
        **mongodb,
    ):
        self.server = server
        self.database = database or "db" + uuid.uuid4().hex[:12]
        self.service = PubSub(**(service or {})).start()
        self.store = self.service.store
        self.service.api.create_topic(TOPIC, b"{}")
        self.subscribe(**(settings or {}))
        config = {
            "pubsub": {"project": PROJECT},
            "subscribe": [
                {
                    "subscription": "sensor-data-mongodb",
                    **(section or {}),
                    "mongodb": {
                        "uri": uri or server.uri,
                        "database": self.database,
                        "collection": "readings",
                        "backoff": {"initial": "1s", "max": "2s"},
                        **mongodb,
                    },
                }
            ],
        }
        if publish:
            config["publish"] = publish
        self.daemon = make(
            config,
            secrets,
            name="feed" + uuid.uuid4().hex[:6],
            env={"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{self.service.port}", **(env or {})},
        )
        self._client = None

    def subscribe(self, name=SUBSCRIPTION, topic=TOPIC, **settings):
        body = {"topic": topic, "ackDeadlineSeconds": 10, "expirationPolicy": {}, **settings}
        self.service.api.create_subscription(name, json.dumps(body).encode())

    def publish(self, *messages, topic=TOPIC):
        """messages: data, or (data, attributes); returns the message ids."""
        whole = [message if isinstance(message, tuple) else (message, {}) for message in messages]
        return self.store.publish(
            topic, [{"data": base64.b64encode(data).decode(), "attributes": attributes} for data, attributes in whole]
        )

    # What happened in the queue

    def events(self, kind):
        return self.service.log.since(0, kind)

    def deliveries(self, message_id):
        """How often the message was handed out."""
        return sum(message["id"] == message_id for event in self.events("deliver") for message in event["messages"])

    def acknowledged(self):
        return {message["id"] for event in self.events("ack") for message in event["messages"]}

    def backlog(self, name=SUBSCRIPTION):
        return self.store.stats()[name]["backlog"]

    def wait_empty(self, patience=None):
        wait_until(lambda: self.backlog() == 0, f"an empty queue (log: {self.daemon.log.lines[-15:]})", patience)

    def requests(self, part, since=0.0):
        """Requests whose line contains *part*, begun after *since* on the monotonic clock."""
        return [
            event
            for event in self.events("http")
            if part in f"{event['method']} {event['target']}" and event["began"] >= since
        ]

    # What is in the collections

    def documents(self, collection="readings"):
        """{_id: document}."""
        if hasattr(self.server, "documents"):
            found = self.server.documents(f"{self.database}.{collection}")
        else:
            found = self.collection(collection).find()
        return {document["_id"]: document for document in found}

    def collection(self, name="readings"):
        if self._client is None:
            self._client = self.server.client()
        return self._client[self.database][name]

    def rejected(self):
        """{message id: document} of the rejected collection."""
        return {name.rpartition(":")[2]: document for name, document in self.documents("readings_rejected").items()}

    def wait_documents(self, n, collection="readings", patience=None):
        wait_until(
            lambda: len(self.documents(collection)) >= n,
            f"{n} documents in {collection} (log: {self.daemon.log.lines[-15:]})",
            patience,
        )

    def close(self):
        self.daemon.close()
        if self._client is not None:
            self._client.close()
        self.service.stop()
