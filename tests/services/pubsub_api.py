"""The rules of the Pub/Sub REST API: request schemas, limits, defaults, and the texts of the errors.

Where a rule comes from: google/pubsub/v1/pubsub.proto and the service's quota page; error texts are as production words
them, as far as they are known.
"""

import re

from services import protojson
from services.faults import google_error
from services.httpd import Response
from services.protojson import seconds
from services.pubsub_store import DEFAULT_EXPIRATION, DEFAULT_RETENTION, NotFound

MAX_REQUEST = 10 * 1024 * 1024
MAX_ACK_REQUEST = 512 * 1024
MAX_PUBLISH = 1000
MAX_PULL = 1000
MAX_ATTRIBUTES = 100
MAX_KEY, MAX_VALUE, MAX_ORDERING_KEY = 256, 1024, 1024
RETENTION = (600, 31 * 86400)
MIN_EXPIRATION = 86400

_NAME = re.compile(r"projects/[^/]+/(topics|subscriptions)/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_TOPIC = {
    "name": "string",
    "labels": "map",
    "messageStoragePolicy": "any",
    "kmsKeyName": "string",
    "schemaSettings": "any",
    "satisfiesPzs": "bool",
    "messageRetentionDuration": "duration",
    "state": "any",
    "tags": "map",
    "messageTransforms": "any",
}
_SUBSCRIPTION = {
    "name": "string",
    "topic": "string",
    "pushConfig": "any",
    "bigqueryConfig": "any",
    "cloudStorageConfig": "any",
    "ackDeadlineSeconds": "int32",
    "retainAckedMessages": "bool",
    "messageRetentionDuration": "duration",
    "labels": "map",
    "enableMessageOrdering": "bool",
    "expirationPolicy": {"ttl": "duration"},
    "filter": "string",
    "deadLetterPolicy": {"deadLetterTopic": "string", "maxDeliveryAttempts": "int32"},
    "retryPolicy": {"minimumBackoff": "duration", "maximumBackoff": "duration"},
    "detached": "bool",
    "enableExactlyOnceDelivery": "bool",
    "topicMessageRetentionDuration": "duration",
    "state": "any",
    "messageTransforms": "any",
    "tags": "map",
}
_MESSAGE = {
    "data": "bytes",
    "attributes": "map",
    "messageId": "string",
    "publishTime": "string",
    "orderingKey": "string",
}
_PUBLISH = {"messages": [_MESSAGE]}
_PULL = {"maxMessages": "int32", "returnImmediately": "bool"}
_ACK = {"ackIds": ["string"]}
_MODIFY = {"ackIds": ["string"], "ackDeadlineSeconds": "int32"}
_PATCH = {"subscription": _SUBSCRIPTION, "updateMask": "string"}
_PERMISSIONS = {"permissions": ["string"]}
_EXPECTED = " Expected OAuth 2 access token, login cookie or other valid authentication credential."
_OUTPUT_ONLY = ("state", "topicMessageRetentionDuration", "satisfiesPzs", "name", "topic")
_IMMUTABLE = {"name", "topic", "enableMessageOrdering", "filter", "state", "topicMessageRetentionDuration"}


class ApiError(Exception):
    """An error answer: HTTP code, message, status name, details, headers."""

    def __init__(self, code, message, status=None, details=(), headers=None):
        super().__init__(message)
        self.code, self.message, self.status, self.details, self.headers = code, message, status, details, headers


def error_response(error):
    return Response.json(
        google_error(error.code, error.message, error.status, error.details), error.code, error.headers
    )


def error_info(reason, metadata, domain="pubsub.googleapis.com"):
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    }


def check_token(request, oauth):
    """401 unless the request carries a live bearer token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and oauth.live(token.strip()):
        return
    headers = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}
    service = {"service": "pubsub.googleapis.com"}
    if not token:
        raise ApiError(
            401,
            "Request is missing required authentication credential." + _EXPECTED,
            "UNAUTHENTICATED",
            [error_info("CREDENTIALS_MISSING", service, "googleapis.com")],
            {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'},
        )
    raise ApiError(
        401,
        "Request had invalid authentication credentials." + _EXPECTED,
        "UNAUTHENTICATED",
        [error_info("ACCESS_TOKEN_EXPIRED", service, "googleapis.com")],
        headers,
    )


def check_size(request, verb):
    """Body limits and the content type."""
    limit = MAX_ACK_REQUEST if verb in ("acknowledge", "modifyAckDeadline") else MAX_REQUEST
    if len(request.body) > limit:
        raise ApiError(400, f"Request payload size exceeds the limit: {limit} bytes.")
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if request.body and kind != "application/json":
        raise ApiError(400, f"Invalid JSON payload received. Content type {kind} is not supported.")


def check_name(name):
    if not _NAME.fullmatch(name):
        kind = name.split("/")[2]
        raise ApiError(400, f"Invalid [{kind}] name: (name={name})")


class Api:
    """Calls with parsed names and raw bodies; each returns the reply's JSON value or raises."""

    def __init__(self, store):
        self._store = store

    def create_topic(self, name, body):
        topic = _parse(body, _TOPIC)
        _check_retention(topic.get("messageRetentionDuration"))
        config = {key: value for key, value in topic.items() if key not in _OUTPUT_ONLY}
        self._store.create_topic(name, config)
        return {"name": name, **config}

    def get_topic(self, name):
        return {"name": name, **self._store.topic(name)}

    def publish(self, name, body):
        self._store.topic(name)
        messages = _parse(body, _PUBLISH).get("messages", [])
        if not messages:
            raise ApiError(
                400,
                "The value for message_count is too small. You passed 0 in the request, but the minimum value is 1.",
            )
        if len(messages) > MAX_PUBLISH:
            raise ApiError(
                400,
                f"The value for message_count is too large. You passed {len(messages)} in the request, but the maximum"
                f" value is {MAX_PUBLISH}.",
            )
        for message in messages:
            _check_message(message)
        if len({message.get("orderingKey", "") for message in messages}) > 1:
            raise ApiError(
                400,
                "In a single publish request, all messages must have no ordering key or they must all have the same"
                " ordering key.",
            )
        return self._store.publish(name, messages)

    def create_subscription(self, name, body):
        given = _parse(body, _SUBSCRIPTION)
        topic = given.get("topic", "")
        check_name(topic) if topic.count("/") == 3 else _bad("topic", topic)
        config = {key: value for key, value in given.items() if key not in _OUTPUT_ONLY}
        self._complete(config)
        self._store.create_subscription(name, topic, config)
        return self.get_subscription(name)

    def get_subscription(self, name):
        topic, config = self._store.subscription(name)
        return {
            "name": name,
            "topic": topic,
            "pushConfig": {},
            **{k: v for k, v in config.items() if v not in (False, "", 0)},
            "state": "ACTIVE",
        }

    def patch_subscription(self, name, body, query):
        request = _parse(body, _PATCH if b'"subscription"' in body else _SUBSCRIPTION)
        given = request.get("subscription", request)
        mask = request.get("updateMask") or query.get("updateMask") or ""
        fields = [protojson.camel(part.split(".")[0]) for part in mask.split(",") if part]
        if not fields:
            raise ApiError(
                400,
                "The update_mask in the UpdateSubscriptionRequest must be set, and must contain a non-empty paths list.",
            )
        for field in fields:
            if field not in _SUBSCRIPTION or field in _IMMUTABLE:
                raise ApiError(
                    400,
                    f"Invalid update_mask provided in the UpdateSubscriptionRequest: '{field}' is not a known updatable"
                    " Subscription field.",
                )
        _, config = self._store.subscription(name)
        for field in fields:
            config.pop(field, None)
            if field in given:
                config[field] = given[field]
        self._complete(config)
        self._store.update_subscription(name, config)
        return self.get_subscription(name)

    def pull(self, name, body, hang, at_most, duplicate):
        request = _parse(body, _PULL)
        limit = request.get("maxMessages", 0)
        if limit < 1:
            raise ApiError(
                400,
                f"The value for max_messages is too small. You passed {limit} in the request, but the minimum value is 1.",
            )
        _, config = self._store.subscription(name)
        if (config.get("pushConfig") or {}).get("pushEndpoint"):
            raise ApiError(400, "This method is not supported for push subscriptions.", "FAILED_PRECONDITION")
        if config.get("bigqueryConfig") or config.get("cloudStorageConfig") or config.get("detached"):
            raise ApiError(400, "This method is not supported for this subscription type.", "FAILED_PRECONDITION")
        wait = 0 if request.get("returnImmediately") else hang
        return self._store.pull(name, min(limit, at_most, MAX_PULL), wait, duplicate)

    def acknowledge(self, name, body):
        ids = self._ack_ids(name, _parse(body, _ACK))
        self._report(name, self._store.acknowledge(name, ids))

    def modify_deadline(self, name, body):
        request = _parse(body, _MODIFY)
        deadline = request.get("ackDeadlineSeconds", 0)
        if not 0 <= deadline <= 600:
            raise ApiError(400, f"Invalid ack deadline given (ack_deadline_seconds={deadline}).")
        ids = self._ack_ids(name, request)
        self._report(name, self._store.modify_deadline(name, ids, deadline))

    def test_permissions(self, name, body, grant):
        """The granted subset; nothing for a resource that is not there."""
        wanted = _parse(body, _PERMISSIONS).get("permissions", [])
        try:
            (self._store.topic if "/topics/" in name else self._store.subscription)(name)
        except NotFound:
            return {}
        granted = [permission for permission in wanted if grant is None or permission in grant]
        return {"permissions": granted} if granted else {}

    def _ack_ids(self, name, request):
        """The request's ack ids; one that this service never made spoils the request."""
        ids = request.get("ackIds", [])
        if not ids:
            raise ApiError(400, "No ack ids specified.")
        self._store.subscription(name)
        for ack_id in ids:
            if not self._store.valid_ack_id(name, ack_id):
                raise ApiError(400, f"You have passed an invalid ack ID to the service (ack_id={ack_id[:200]}).")
        return ids

    def _report(self, name, failed):
        """Exactly-once subscriptions say which ids had no effect; others never do."""
        _, config = self._store.subscription(name)
        if failed and config.get("enableExactlyOnceDelivery"):
            metadata = dict.fromkeys(failed, "PERMANENT_FAILURE_INVALID_ACK_ID")
            raise ApiError(
                400,
                "Some acknowledgement ids in the request were invalid. This could be because the acknowledgement ids have"
                " expired or the acknowledgement ids were malformed.",
                "INVALID_ARGUMENT",
                [error_info("EXACTLY_ONCE_ACKID_FAILURE", metadata)],
            )

    def _complete(self, config):
        """Checks a subscription's settings and fills in the defaults."""
        config["ackDeadlineSeconds"] = config.get("ackDeadlineSeconds") or 10
        config.setdefault("messageRetentionDuration", DEFAULT_RETENTION)
        config.setdefault("expirationPolicy", {"ttl": DEFAULT_EXPIRATION})
        if not 10 <= config["ackDeadlineSeconds"] <= 600:
            raise ApiError(
                400,
                f"Invalid ack deadline given (ack_deadline_seconds={config['ackDeadlineSeconds']}). The ack deadline must"
                " be between 10 and 600 seconds.",
            )
        _check_retention(config["messageRetentionDuration"])
        ttl = config["expirationPolicy"].get("ttl")
        if ttl and (seconds(ttl) < MIN_EXPIRATION or seconds(ttl) < seconds(config["messageRetentionDuration"])):
            raise ApiError(
                400, "Invalid expiration_policy.ttl: at least 1 day and not shorter than message_retention_duration."
            )
        self._check_dead_letter(config.get("deadLetterPolicy"))
        _check_retry(config.get("retryPolicy"))

    def _check_dead_letter(self, policy):
        if policy is None:
            return
        if policy.setdefault("maxDeliveryAttempts", 5) == 0:
            policy["maxDeliveryAttempts"] = 5
        if not 5 <= policy["maxDeliveryAttempts"] <= 100:
            raise ApiError(400, "Invalid max_delivery_attempts: it must be between 5 and 100.", "OUT_OF_RANGE")
        self._store.topic(policy.get("deadLetterTopic", ""))


def _parse(body, schema):
    try:
        return protojson.parse(body, schema)
    except protojson.InvalidJson as error:
        raise ApiError(400, str(error)) from None


def _bad(what, value):
    raise ApiError(400, f"You have passed an invalid argument to the service ({what}={value}).")


def _check_message(message):
    attributes = message.get("attributes", {})
    if not message.get("data") and not attributes:
        raise ApiError(
            400,
            "One or more messages in the publish request is empty. Each message must contain either non-empty data, or"
            " at least one attribute.",
        )
    if len(attributes) > MAX_ATTRIBUTES:
        raise ApiError(400, f"A message has too many attributes: {len(attributes)}, the maximum is {MAX_ATTRIBUTES}.")
    for key, value in attributes.items():
        if not key or len(key.encode()) > MAX_KEY or key.lower().startswith("goog"):
            raise ApiError(
                400, f"Invalid attribute key: {key[:80]!r}. It must have 1 to {MAX_KEY} bytes and not begin with goog."
            )
        if len(value.encode()) > MAX_VALUE:
            raise ApiError(400, f"The value of attribute {key!r} is longer than {MAX_VALUE} bytes.")
    if len(message.get("orderingKey", "").encode()) > MAX_ORDERING_KEY:
        raise ApiError(400, f"The ordering key is longer than {MAX_ORDERING_KEY} bytes.")


def _check_retention(duration):
    if duration is not None and not RETENTION[0] <= seconds(duration) <= RETENTION[1]:
        raise ApiError(
            400, f"Invalid message_retention_duration {duration}: it must be between 10 minutes and 31 days."
        )


def _check_retry(policy):
    for name in ("minimumBackoff", "maximumBackoff"):
        if policy and not 0 <= seconds(policy.get(name, "10s")) <= 600:
            raise ApiError(400, f"Invalid retry_policy.{name}: it must be between 0 and 600 seconds.")
