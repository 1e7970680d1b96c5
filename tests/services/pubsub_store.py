"""The state of the Pub/Sub service: topics, subscriptions, messages, leases. One SQLite database, one lock, one
transaction a call.

Every call has committed when it returns, so a kill -9 of the service afterwards loses nothing. Event log entries belong
to the same transaction as the change that they report.

A delivery row is one message waiting in one subscription. `gen` counts how often it was handed out; an ack id names
(subscription, seq, gen) and works while gen >= min_gen, which each redelivery raises, and a duplicate delivery does
not.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
import struct
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, UTC

from services.protojson import seconds

PULL_BYTES = 20_000_000  # data handed out by one pull, at most
ACK_ID_BYTES = 135  # 180 characters, as long as production's
SWEEP_SECONDS = 0.1
FIRST_MESSAGE_ID = 2 * 10**19  # beyond 64 bits: a client that parses ids as integers shall notice
DELETED_TOPIC = "_deleted-topic_"
DEFAULT_RETENTION = "604800s"
DEFAULT_EXPIRATION = "2678400s"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics(name TEXT PRIMARY KEY, config TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subscriptions(uid INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, topic TEXT, config TEXT, active REAL,
    acked INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS messages(seq INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT, size INTEGER, attributes TEXT, ordering_key TEXT,
    published REAL);
CREATE TABLE IF NOT EXISTS deliveries(seq INTEGER, sub INTEGER, leased INTEGER DEFAULT 0, ready REAL DEFAULT 0, gen INTEGER DEFAULT 0,
    min_gen INTEGER DEFAULT 0, PRIMARY KEY(seq, sub)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_order ON deliveries(sub, leased, seq);
CREATE INDEX IF NOT EXISTS deliveries_ready ON deliveries(sub, leased, ready);
CREATE TABLE IF NOT EXISTS events(seq INTEGER PRIMARY KEY, body TEXT);
"""


class NotFound(Exception):
    """No such topic or subscription; the argument is its name."""


class Exists(Exception):
    """The name is taken; the argument is that name."""


class Store:
    """All calls are safe from any thread. time_scale divides ack deadlines and retry backoffs, retention_scale
    retention and expiry."""

    def __init__(self, log, state_dir=None, time_scale=1.0, retention_scale=1.0, late_ack=True):
        self.log = log
        self.time_scale = time_scale
        self.retention_scale = retention_scale
        self.late_ack = late_ack  # acknowledging after the deadline, before redelivery: takes effect or is ignored
        self._closing = threading.Event()
        self._wake = False
        self.waiting = 0  # pulls that hang now
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._pending = []
        path = os.path.join(state_dir, "pubsub.sqlite") if state_dir else ":memory:"
        if state_dir:
            os.makedirs(state_dir, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._secret = self._load_secret()
        self.log.load(json.loads(body) for (body,) in self._db.execute("SELECT body FROM events ORDER BY seq"))
        self._sweeper = threading.Thread(target=self._sweep_forever, daemon=True, name="pubsub-sweep")
        self._sweeper.start()

    def close(self):
        """Wakes every waiting pull and closes the database."""
        with self._changed:
            if self._closing.is_set():
                return
            self._closing.set()
            self._changed.notify_all()
        self._sweeper.join()
        with self._lock:
            self._db.close()

    # Topics and subscriptions

    def create_topic(self, name, config):
        with self._transaction():
            if self._one("SELECT 1 FROM topics WHERE name=?", name):
                raise Exists(name)
            self._db.execute("INSERT INTO topics VALUES(?,?)", (name, json.dumps(config)))

    def topic(self, name):
        with self._lock:
            row = self._one("SELECT config FROM topics WHERE name=?", name)
        if not row:
            raise NotFound(name)
        return json.loads(row[0])

    def delete_topic(self, name):
        with self._transaction():
            self._topic_or_raise(name)
            self._db.execute("DELETE FROM topics WHERE name=?", (name,))
            self._db.execute("UPDATE subscriptions SET topic=? WHERE topic=?", (DELETED_TOPIC, name))

    def create_subscription(self, name, topic, config):
        with self._transaction():
            if self._one("SELECT 1 FROM subscriptions WHERE name=?", name):
                raise Exists(name)
            self._topic_or_raise(topic)
            self._db.execute(
                "INSERT INTO subscriptions(name, topic, config, active) VALUES(?,?,?,?)",
                (name, topic, json.dumps(config), time.time()),
            )

    def subscription(self, name):
        """Its topic and config."""
        with self._lock:
            _, topic, config = self._subscription(name)
        return topic, config

    def update_subscription(self, name, config):
        with self._transaction():
            self._subscription(name)
            self._db.execute("UPDATE subscriptions SET config=? WHERE name=?", (json.dumps(config), name))

    def delete_subscription(self, name):
        with self._transaction():
            self._drop_subscription(self._subscription(name)[0])

    # Publish

    def publish(self, topic, messages):
        """Stores [{data, attributes, orderingKey}] (data in base64); returns the message ids in the same order."""
        with self._transaction():
            self._topic_or_raise(topic)
            return self._put(topic, messages)

    def _put(self, topic, messages):
        self._wake = True
        subs = [uid for (uid,) in self._db.execute("SELECT uid FROM subscriptions WHERE topic=?", (topic,))]
        now = time.time()
        ids = []
        for message in messages:
            data = message.get("data", "")
            attributes = json.dumps(message.get("attributes", {}))
            size = len(data) * 3 // 4 + len(attributes)
            row = self._db.execute(
                "INSERT INTO messages(data, size, attributes, ordering_key, published) VALUES(?,?,?,?,?)",
                (data, size, attributes, message.get("orderingKey", ""), now),
            )
            seq = row.lastrowid
            self._db.executemany("INSERT INTO deliveries(seq, sub) VALUES(?,?)", [(seq, uid) for uid in subs])
            if not subs:
                self._db.execute("DELETE FROM messages WHERE seq=?", (seq,))
            ids.append(_message_id(seq))
        self._event(
            "publish",
            topic=topic,
            subscriptions=len(subs),
            messages=[{"id": mid, "attributes": m.get("attributes", {})} for mid, m in zip(ids, messages)],
        )
        return ids

    # Pull

    def pull(self, name, limit, wait, duplicate=False):
        """Leases up to `limit` messages, waiting up to `wait` seconds for the first one. Returns ReceivedMessage dicts.

        duplicate: hands out messages that are leased already, too (the older ack ids stay valid)."""
        deadline = time.monotonic() + wait
        with self._changed:
            self.waiting += 1
            try:
                while not self._closing.is_set():
                    with self._transaction():
                        self._touch(name)
                        self._sweep_leases()
                        taken = self._take(name, limit, duplicate)
                    left = deadline - time.monotonic()
                    if taken or left <= 0:
                        return taken
                    self._changed.wait(min(left, self._next_ready(name)))
            finally:
                self.waiting -= 1
        return []

    def _take(self, name, limit, duplicate):
        uid, _, config = self._subscription(name)
        now = time.time()
        rows = self._db.execute(  # +ready: by the index in order of seq, without sorting the backlog
            "SELECT seq, gen, min_gen, data, size, attributes, ordering_key, published FROM deliveries JOIN messages USING(seq)"
            " WHERE sub=? AND " + ("1" if duplicate else "leased=0 AND +ready<=?") + " ORDER BY seq LIMIT ?",
            (uid, limit) if duplicate else (uid, now, limit),
        )
        taken, updates, entries, size = [], [], [], 0
        until = now + self.lease_seconds(config["ackDeadlineSeconds"])
        for seq, gen, min_gen, data, bytes_, attributes, key, published in rows:
            size += bytes_
            if taken and size > PULL_BYTES:
                break
            gen += 1
            ack_id = self._make_ack_id(uid, seq, gen)
            updates.append((until, gen, min_gen if duplicate else gen, seq, uid))
            taken.append(_received(ack_id, seq, gen, data, attributes, key, published, "deadLetterPolicy" in config))
            entries.append({"id": _message_id(seq), "ack_id": ack_id, "attempt": gen})
        rows.close()
        self._db.executemany("UPDATE deliveries SET leased=1, ready=?, gen=?, min_gen=? WHERE seq=? AND sub=?", updates)
        if entries:
            self._event("deliver", subscription=name, lease_until=until, messages=entries)
        return taken

    def _next_ready(self, name):
        """Seconds until a message of this subscription may become deliverable by itself."""
        row = self._one(
            "SELECT min(ready) FROM deliveries JOIN subscriptions ON sub=uid WHERE name=? AND ready>?",
            name,
            time.time(),
        )
        return max(0.001, row[0] - time.time()) if row[0] else 3600

    # Acknowledge and modifyAckDeadline

    def acknowledge(self, name, ack_ids):
        """Removes the messages; returns the ack ids that had no effect."""
        with self._transaction():
            self._touch(name)
            uid, _, config = self._subscription(name)
            done, failed = self._current(uid, config, ack_ids)
            self._remove(uid, done.values())
            self._db.execute("UPDATE subscriptions SET acked=acked+? WHERE uid=?", (len(set(done.values())), uid))
            if done:
                self._event(
                    "ack",
                    subscription=name,
                    messages=[{"id": _message_id(seq), "ack_id": a} for a, seq in done.items()],
                )
            if failed:
                self._event(
                    "ack_ignored",
                    subscription=name,
                    messages=[{"id": self.message_id_of(a), "ack_id": a} for a in failed],
                )
        return failed

    def modify_deadline(self, name, ack_ids, deadline):
        """Extends leases by `deadline` seconds from now, or ends them (0); returns the ack ids that had no effect."""
        with self._transaction():
            self._touch(name)
            uid, _, config = self._subscription(name)
            done, failed = self._current(uid, config, ack_ids)
            seqs = list(dict.fromkeys(done.values()))
            if deadline:
                until = time.time() + self.lease_seconds(deadline)
                self._db.executemany(
                    "UPDATE deliveries SET leased=1, ready=? WHERE seq=? AND sub=?", [(until, s, uid) for s in seqs]
                )
            else:
                self._release(uid, name, config, seqs)
            if done:
                self._event(
                    "modack",
                    subscription=name,
                    seconds=deadline,
                    messages=[{"id": _message_id(seq), "ack_id": a} for a, seq in done.items()],
                )
        return failed

    def end_leases(self, name):
        """The time of every lease of this subscription is over now."""
        with self._transaction():
            self._db.execute("UPDATE deliveries SET ready=0 WHERE leased=1 AND sub=?", (self._subscription(name)[0],))
            self._sweep_leases()

    def valid_ack_id(self, name, ack_id):
        """Whether this server made the ack id, for this subscription."""
        parsed = self._parse_ack_id(ack_id)
        with self._lock:
            return parsed is not None and parsed[0] == self._subscription(name)[0]

    def message_id_of(self, ack_id):
        parsed = self._parse_ack_id(ack_id)
        return parsed and _message_id(parsed[1])

    def lease_seconds(self, value):
        return value / self.time_scale

    def _current(self, uid, config, ack_ids):
        """Sorts ack ids into those that name a held delivery ({ack id: seq}) and the rest."""
        strict = config.get("enableExactlyOnceDelivery") or not self.late_ack
        done, failed, now = {}, [], time.time()
        for ack_id in ack_ids:
            _, seq, gen = self._parse_ack_id(ack_id) or (0, 0, 0)
            row = self._one("SELECT leased, ready, min_gen, gen FROM deliveries WHERE seq=? AND sub=?", seq, uid)
            held = row and row[2] <= gen <= row[3]
            if held and strict:
                held = row[0] and row[1] > now
            if held:
                done[ack_id] = seq
            else:
                failed.append(ack_id)
        return done, failed

    def _remove(self, uid, seqs):
        seqs = list(seqs)
        self._db.executemany("DELETE FROM deliveries WHERE seq=? AND sub=?", [(seq, uid) for seq in seqs])
        self._db.executemany(
            "DELETE FROM messages WHERE seq=?1 AND NOT EXISTS(SELECT 1 FROM deliveries WHERE seq=?1)",
            [(seq,) for seq in seqs],
        )

    def _release(self, uid, name, config, seqs):
        """Ends leases without an ack: back to the backlog, later if there is a retry policy, or to the dead-letter
        topic."""
        self._wake = True
        now, policy = time.time(), config.get("deadLetterPolicy")
        for seq in seqs:
            gen = self._one("SELECT gen FROM deliveries WHERE seq=? AND sub=?", seq, uid)[0]
            if (
                policy
                and gen >= (policy.get("maxDeliveryAttempts") or 5)
                and self._dead_letter(uid, name, policy, seq, gen)
            ):
                continue
            self._db.execute(
                "UPDATE deliveries SET leased=0, ready=? WHERE seq=? AND sub=?",
                (now + self._backoff(config, gen), seq, uid),
            )

    def _backoff(self, config, gen):
        policy = config.get("retryPolicy")
        if policy is None:
            return 0
        low, high = seconds(policy.get("minimumBackoff", "10s")), seconds(policy.get("maximumBackoff", "600s"))
        return self.lease_seconds(min(high, low * 2 ** min(gen - 1, 20)))

    def _dead_letter(self, uid, name, policy, seq, gen):
        """Forwards one message; False when the dead-letter topic is not there."""
        topic = policy["deadLetterTopic"]
        if not self._one("SELECT 1 FROM topics WHERE name=?", topic):
            return False
        data, attributes, key, published = self._one(
            "SELECT data, attributes, ordering_key, published FROM messages WHERE seq=?", seq
        )
        _, project, _, short = name.split("/")
        extra = {
            "DeliveryCount": str(gen),
            "Subscription": short,
            "SubscriptionProject": project,
            "TopicPublishTime": timestamp(published),
        }
        extra = {"CloudPubSubDeadLetterSource" + name_: value for name_, value in extra.items()}
        ids = self._put(topic, [{"data": data, "attributes": {**json.loads(attributes), **extra}, "orderingKey": key}])
        self._remove(uid, [seq])
        self._event(
            "dead_letter",
            subscription=name,
            topic=topic,
            attempts=gen,
            message_id=_message_id(seq),
            new_message_id=ids[0],
        )
        return True

    # Time

    def _sweep_forever(self):
        while not self._closing.wait(SWEEP_SECONDS):
            with self._transaction():
                self._sweep_leases()
                self._sweep_age()

    def _sweep_leases(self):
        """Leases whose deadline has passed end."""
        rows = self._db.execute(
            "SELECT uid, name, config FROM subscriptions WHERE EXISTS(SELECT 1 FROM deliveries"
            " WHERE sub=uid AND leased=1 AND ready<=?)",
            (time.time(),),
        ).fetchall()
        for uid, name, config in rows:
            seqs = [
                s
                for (s,) in self._db.execute(
                    "SELECT seq FROM deliveries WHERE sub=? AND leased=1 AND ready<=?", (uid, time.time())
                )
            ]
            self._event("expire", subscription=name, message_ids=[_message_id(seq) for seq in seqs])
            self._release(uid, name, json.loads(config), seqs)

    def _sweep_age(self):
        """Messages beyond their retention and subscriptions without activity go."""
        now = time.time()
        for uid, name, topic, config, active in self._db.execute(
            "SELECT uid, name, topic, config, active FROM subscriptions"
        ).fetchall():
            config = json.loads(config)
            ttl = config.get("expirationPolicy", {}).get("ttl")
            if ttl and active + seconds(ttl) / self.retention_scale < now:
                self._event("subscription_expired", subscription=name)
                self._drop_subscription(uid)
                continue
            limit = now - self._retention(topic, config) / self.retention_scale
            if self._oldest(uid) < limit:
                seqs = [
                    s
                    for (s,) in self._db.execute(
                        "SELECT seq FROM deliveries JOIN messages USING(seq) WHERE sub=? AND published<? LIMIT 1000",
                        (uid, limit),
                    )
                ]
                self._remove(uid, seqs)
                self._event("retention", subscription=name, message_ids=[_message_id(seq) for seq in seqs])

    def _oldest(self, uid):
        """When the oldest message of a subscription was published; infinity when there is none."""
        row = self._one(
            "SELECT published FROM messages WHERE seq=(SELECT min(seq) FROM"
            " (SELECT min(seq) AS seq FROM deliveries WHERE sub=? AND leased=0 UNION"
            " SELECT min(seq) FROM deliveries WHERE sub=? AND leased=1))",
            uid,
            uid,
        )
        return row[0] if row else float("inf")

    def _retention(self, topic, config):
        row = self._one("SELECT config FROM topics WHERE name=?", topic)
        of_topic = json.loads(row[0]).get("messageRetentionDuration", "0s") if row else "0s"
        return max(seconds(config["messageRetentionDuration"]), seconds(of_topic))

    # Control

    def stats(self):
        """Per subscription: backlog (all that is not acknowledged), leased, acked, oldest (publish time of the oldest,
        or None)."""
        result = {}
        with self._lock:
            for uid, name, topic, acked in self._db.execute(
                "SELECT uid, name, topic, acked FROM subscriptions"
            ).fetchall():
                backlog, leased = self._one(
                    "SELECT count(*), coalesce(sum(leased), 0) FROM deliveries WHERE sub=?", uid
                )
                oldest = self._oldest(uid)
                result[name] = {
                    "topic": topic,
                    "backlog": backlog,
                    "leased": leased,
                    "acked": acked,
                    "oldest": timestamp(oldest) if backlog else None,
                    "oldest_age": time.time() - oldest if backlog else 0,
                }
        return result

    # Helpers

    @contextlib.contextmanager
    def _transaction(self):
        """All or nothing; events recorded inside reach the log only with the commit. Wakes the waiting pulls if _wake
        was set."""
        with self._changed:
            self._db.execute("BEGIN IMMEDIATE")
            self._pending, self._wake = [], False
            try:
                yield
                self._commit()
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            if self._wake:
                self._changed.notify_all()

    def _commit(self):
        if self._pending:
            stamp = {"mono": time.monotonic(), "wall": time.time()}
            self._db.executemany(
                "INSERT INTO events(body) VALUES(?)",
                [(json.dumps({**stamp, "kind": kind, **fields}),) for kind, fields in self._pending],
            )
        self._db.execute("COMMIT")
        if self._pending:
            self.log.extend(self._pending)

    def _event(self, kind, **fields):
        self._pending.append((kind, fields))

    def _one(self, sql, *args):
        return self._db.execute(sql, args).fetchone()

    def _topic_or_raise(self, name):
        if not self._one("SELECT 1 FROM topics WHERE name=?", name):
            raise NotFound(name)

    def _subscription(self, name):
        row = self._one("SELECT uid, topic, config FROM subscriptions WHERE name=?", name)
        if not row:
            raise NotFound(name)
        return row[0], row[1], json.loads(row[2])

    def _touch(self, name):
        self._subscription(name)
        self._db.execute("UPDATE subscriptions SET active=? WHERE name=?", (time.time(), name))

    def _drop_subscription(self, uid):
        self._wake = True
        seqs = [seq for (seq,) in self._db.execute("SELECT seq FROM deliveries WHERE sub=?", (uid,))]
        self._remove(uid, seqs)
        self._db.execute("DELETE FROM subscriptions WHERE uid=?", (uid,))

    def _load_secret(self):
        self._db.execute("INSERT OR IGNORE INTO meta VALUES('secret', ?)", (os.urandom(32),))
        return self._one("SELECT value FROM meta WHERE key='secret'")[0]

    def _make_ack_id(self, uid, seq, gen):
        raw = struct.pack(">IQI", uid, seq, gen) + os.urandom(ACK_ID_BYTES - 32)
        return urlsafe_b64encode(raw + self._digest(raw)).decode()

    def _parse_ack_id(self, ack_id):
        """(subscription uid, seq, gen), or None when this server did not make it."""
        try:
            blob = urlsafe_b64decode(ack_id)
        except ValueError:
            return None
        raw, digest = blob[:-16], blob[-16:]
        if len(blob) != ACK_ID_BYTES or digest != self._digest(raw):
            return None
        return struct.unpack(">IQI", raw[:16])

    def _digest(self, raw):
        return hashlib.blake2b(raw, key=self._secret, digest_size=16).digest()


def timestamp(seconds_):
    """RFC 3339 UTC with milliseconds, as Pub/Sub writes publishTime."""
    return datetime.fromtimestamp(seconds_, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds_ * 1000) % 1000:03d}Z"


def _message_id(seq):
    return str(FIRST_MESSAGE_ID + seq)


def _received(ack_id, seq, gen, data, attributes, key, published, with_attempt):
    message = {"messageId": _message_id(seq), "publishTime": timestamp(published)}
    if data:
        message["data"] = data
    if attributes != "{}":
        message["attributes"] = json.loads(attributes)
    if key:
        message["orderingKey"] = key
    received = {"ackId": ack_id, "message": message}
    if with_attempt:
        received["deliveryAttempt"] = gen
    return received
