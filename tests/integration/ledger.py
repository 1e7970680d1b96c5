"""The ledger: what went into sensorqd, what Pub/Sub was told, what MongoDB holds, and whether the three agree.

In:   every reading that the source served (tests/services/nature_remo.py: each has a te.val of its own), and every message that anybody
      published (the event log of tests/services/pubsub.py, which survives its kill -9).
Out:  every acknowledgement that the queue applied (same log), every `_id` that MongoDB confirmed as durable and when (witness.py), every
      document in both collections.

Which readings must be there: those of every poll whose body was written whole to the socket, with one exception. The
last such poll of a daemon that then ended (kill -9 or stop) may have been on its way: it counts as not fetched if the
outbox, read after the death and before the next start, has not committed it. SQLite's sqlite_sequence tells: it moves
only with a commit and never back, so a life of the daemon has committed either all that it was served, or all but the
last poll. Anything else is a loss, also if a row vanished later.
"""

import collections
import contextlib
import json
import shutil
import sqlite3
import tempfile
from pathlib import Path


class Result:
    """What check() found. Each list holds sentences for people; all empty: nothing is wrong."""

    def __init__(self):
        self.lost, self.doubled, self.early, self.wrong = [], [], [], []
        self.served = self.fetched = self.cut_off = self.published = self.acknowledged = self.documents = (
            self.rejected
        ) = 0

        self.foreign = 0

    @property
    def good(self):
        return not (self.lost or self.doubled or self.early or self.wrong)

    @property
    def readings(self):
        """Readings fetched from the source, and those that others published."""
        return self.fetched + self.foreign

    def __str__(self):
        counts = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        text = f"lost {len(self.lost)}, doubled {len(self.doubled)}, acknowledged-before-durable {len(self.early)}, wrong {len(self.wrong)}; {counts}"
        return "\n".join(
            [text, *[f"  {line}" for kind in ("lost", "doubled", "early", "wrong") for line in getattr(self, kind)[:5]]]
        )


class Life:
    """One process of the daemon: the polls after `after` up to the next life's belong to it; what the outbox had
    committed around it."""

    def __init__(self, after, committed_before):
        self.after, self.committed_before, self.committed = after, committed_before, None


def committed_rows(outbox):
    """How many readings this outbox file ever committed. From a copy: the next start shall find what the kill left."""
    outbox = Path(outbox)
    if not outbox.exists():
        outbox = outbox.with_name(
            outbox.name + ".salvaged"
        )  # a kill within the exchange of a damaged file for what was saved of it
    if not outbox.exists():
        return 0
    with tempfile.TemporaryDirectory(prefix="outbox-") as directory:
        for suffix in ("", "-wal"):
            if Path(f"{outbox}{suffix}").exists():
                shutil.copy(f"{outbox}{suffix}", f"{directory}/o{suffix}")
        with contextlib.closing(sqlite3.connect(f"{directory}/o")) as db:
            try:
                row = db.execute("SELECT seq FROM sqlite_sequence WHERE name='readings'").fetchone()
            except sqlite3.OperationalError:  # no table yet
                return 0
    return row[0] if row else 0


class Ledger:
    """topic, subscription: full names. collection, rejected: pymongo collections. remo: the NatureRemo service in this
    process."""

    def __init__(
        self,
        remo,
        outbox,
        events_file,
        witness,
        collection,
        rejected,
        topic,
        subscription,
        source="home",
        id_attribute="idempotency_key",
    ):
        self.remo, self.outbox, self.events_file, self.witness = remo, outbox, events_file, witness
        self.collection, self.rejected = collection, rejected
        self.topic, self.subscription, self.source, self.id_attribute = topic, subscription, source, id_attribute
        self.lives = []

    # The daemon's lives

    def begin_life(self):
        """Call before each start of the daemon."""
        self.lives.append(Life(self.remo.polls(), committed_rows(self.outbox)))

    def end_life(self):
        """Call after each end of the daemon, before anything else touches its state. Waits until the source has done
        what the dead one asked for:
        it belongs to this life."""
        self.lives[-1].committed = committed_rows(self.outbox)
        self.remo.drain()

    def _cut_off(self, served, result):
        """The polls that count as not fetched; complains about every life whose sums do not allow for that."""
        cut_off = set()
        for number, life in enumerate(self.lives):
            until = self.lives[number + 1].after if number + 1 < len(self.lives) else float("inf")
            sizes = collections.Counter(
                entry["poll"] for entry in served if entry["complete"] and life.after < entry["poll"] <= until
            )
            if life.committed is None:
                continue  # still alive: all of it must come
            missing = sum(sizes.values()) - (life.committed - life.committed_before)
            last = max(sizes, default=0)
            if missing and missing == sizes[last]:
                cut_off.add(last)
            elif missing:
                result.lost.append(
                    f"life {number + 1}: the source served {sum(sizes.values())} readings in {len(sizes)} polls, the outbox committed "
                    f"{life.committed - life.committed_before}, and the last poll had {sizes[last]}"
                )
        return cut_off

    # The queue's log

    def events(self):
        with contextlib.closing(sqlite3.connect(self.events_file)) as db:
            events = [json.loads(body) for (body,) in db.execute("SELECT body FROM events ORDER BY seq")]
        return [
            event
            for event in events
            if event.get("topic") == self.topic or event.get("subscription") == self.subscription
        ]

    # The check

    def check(self):
        result = Result()
        events = self.events()
        confirmed = list(self.witness.durable)  # before the documents are read: the daemon may still write
        documents, rejected = list(self.collection.find()), list(self.rejected.find())
        result.documents, result.rejected = len(documents), len(rejected)
        self._check_ids(documents, result)
        self._check_ids(rejected, result)
        self._check_served(documents, result)
        places = self._check_published(
            events, {d["_id"]: d for d in documents}, {d["_id"]: d for d in rejected}, result
        )
        self._check_acknowledged(events, places, result)
        present = {(self.collection.full_name, d["_id"]) for d in documents}
        present |= {(self.rejected.full_name, d["_id"]) for d in rejected}
        self._check_durable(confirmed, present, result)
        return result

    def _check_ids(self, documents, result):
        for identity, count in collections.Counter(d["_id"] for d in documents).items():
            if count > 1:
                result.doubled.append(f"_id {identity} stands {count} times")

    def _check_served(self, documents, result):
        """Each fetched reading is one document with the values that were served, and no document came from nowhere."""
        served = self.remo.served()
        cut_off = self._cut_off(served, result)
        stored = collections.defaultdict(list)
        for document in documents:
            if document.get("source") == self.source:
                stored[document["id"], document["newest_events"]["te"]["val"]].append(document)
        result.served = len(served)
        for entry in served:
            events = entry["newest_events"]
            found = stored.pop((entry["device"], events["te"]["val"]), [])
            wanted = entry["complete"] and entry["poll"] not in cut_off
            result.fetched += wanted
            result.cut_off += entry["poll"] in cut_off
            if len(found) > 1:
                result.doubled.append(f"poll {entry['poll']}, device {entry['device']}: {[d['_id'] for d in found]}")
            if wanted and not found:
                result.lost.append(
                    f"poll {entry['poll']} at {entry['mono']:.3f}, device {entry['device']}: served, not stored"
                )
            if found and not wanted:
                result.wrong.append(f"poll {entry['poll']}, device {entry['device']}: stored, though not fetched")
            if found and {name: event["val"] for name, event in found[0]["newest_events"].items()} != {
                n: e["val"] for n, e in events.items()
            }:
                result.wrong.append(f"poll {entry['poll']}, device {entry['device']}: other values than served")
        result.wrong += [f"{d['_id']}: nobody served that" for found in stored.values() for d in found]

    def _check_published(self, events, documents, rejected, result):
        """Each published message has its place; returns message id -> (collection, _id). Attributes say what a message
        is: kind=bad can never be stored, and among messages with one key and several variants one is stored and each
        other one rejected."""
        places, names, refused = {}, set(), set()
        for event in events:
            if event["kind"] != "publish":
                continue
            if not event["subscriptions"]:
                result.wrong.append(
                    f"{len(event['messages'])} messages were published to a topic without a subscription"
                )
            for message in event["messages"]:
                attributes, own = message["attributes"], f"{self.subscription}:{message['id']}"
                name = attributes.get(self.id_attribute) or own
                document = documents.get(name)
                result.published += 1
                if attributes.get("kind") == "bad" or (
                    document and document.get("variant") != attributes.get("variant")
                ):
                    refused.add(own)
                    places[message["id"]] = (self.rejected, own)
                    if own not in rejected:
                        result.lost.append(f"message {message['id']} {attributes}: neither stored nor rejected")
                    result.foreign += 1
                    continue
                places[message["id"]] = (self.collection, name)
                if not document:
                    result.lost.append(
                        f"message {message['id']} {attributes}: published, not stored"
                        + (" but rejected" if own in rejected else "")
                    )
                elif document["pubsub"]["attributes"] != attributes:
                    result.wrong.append(f"{name}: other attributes than published")
                result.foreign += name not in names and attributes.get("source") != self.source
                names.add(name)
        result.wrong += [f"{name}: a document that nobody published" for name in documents.keys() - names]
        result.wrong += [f"{name}: rejected without cause" for name in rejected.keys() - refused]
        return places

    def _check_acknowledged(self, events, places, result):
        for event in events:
            for message in event["messages"] if event["kind"] == "ack" else ():
                result.acknowledged += 1
                place, identity = places.get(message["id"], (self.collection, None))
                durable = self.witness.durable.get((place.full_name, identity))
                if durable is None or durable > event["mono"]:
                    late = "never" if durable is None else f"{durable - event['mono']:.3f} s later"
                    result.early.append(
                        f"message {message['id']} was acknowledged at {event['mono']:.3f}; {identity} was durable {late}"
                    )

    def _check_durable(self, confirmed, present, result):
        """What MongoDB confirmed is still there, whatever was killed since."""
        for namespace, identity in confirmed:
            if (namespace, identity) not in present and namespace in (
                self.collection.full_name,
                self.rejected.full_name,
            ):
                result.lost.append(f"{namespace} {identity}: MongoDB confirmed it, and has it no more")
