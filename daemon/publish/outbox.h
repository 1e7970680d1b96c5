/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Durable queue of readings in SQLite (WAL): a reading is here from right after it was fetched (P1) until Pub/Sub has
 * answered with its message id (P2). Nothing is ever dropped: at its caps it says so and its callers stop (P7). One
 * process owns the file; one transaction for a put or a forget.
 *
 * Every call mends a damaged file and goes on. While the disk refuses, calls fail with an errno and their callers try
 * again; that is said here, once for all of them, and once more when it is over.
 *
 * Table `readings`: id (ascending, never reused), payload, key, source, type, device, labels, put_at. Table `rejected`:
 * readings that Pub/Sub refused for good, with the reason; they count towards the caps until `sensorqd rejected`
 * replays or drops them. Beside them, for each source: `seen`, the keys of what may come again; its cursor; and
 * `unreadable`, what came and could not become a reading, with a cap of its own. */

#include "cause.h"
#include "config.h"
#include "publish/outbox-file.h"
#include "publish/reading.h"

typedef struct Outbox Outbox;

typedef struct OutboxRow {
        int64_t id;
        usec_t put_at; /* clock_wall() */
        Slice payload, key, source, type, device;
        Slice labels; /* for reading_labels_next() */
        Bytes text;   /* what the slices point at */
} OutboxRow;

/* Rows in memory, oldest first. A plain value. */
typedef struct OutboxRows {
        OutboxRow *items;
        size_t n, allocated;
} OutboxRows;

typedef struct OutboxStatus {
        uint64_t rows, bytes; /* waiting */
        uint64_t rejected_rows, rejected_bytes;
        uint64_t max_rows, max_bytes;
        usec_t oldest;        /* put_at of the oldest waiting row; 0: empty */
        usec_t failing_since; /* clock_wall() since which outbox_is_failing(); 0: it is not */
        Cause cause;          /* of that, */
        const char *detail;   /* and in words; borrowed until the next call; "" */
} OutboxStatus;

/* Opens or creates DIRECTORY/outbox.sqlite and checks its integrity. OUTBOX_OK, OUTBOX_SALVAGED (*ret_salvage filled
 * in; may be NULL), OUTBOX_NEWER, or an errno. On a full disk OUTBOX_OK: what is queued can be published, or nothing
 * works until there is room. */
int outbox_open(const char *directory, const OutboxConfig *caps, Outbox **ret, OutboxSalvage *ret_salvage);
Outbox *outbox_close(Outbox *outbox);
CLEANUP_DEFINE(Outbox, outbox_close)
void outbox_set_caps(Outbox *outbox, const OutboxConfig *caps);

/* *on_change* is called when the disk begins to refuse, and when it works again: from inside the call that met it, so
 * it may only take a note. NULL: nobody listens. */
void outbox_watch(Outbox *outbox, void (*on_change)(void *userdata), void *userdata);

/* What is fetched now could not be written. */
bool outbox_is_failing(const Outbox *outbox);

/* Whether *rows* readings of *bytes* more would fit under the caps. An outbox in which nothing waits takes whatever a
 * poll brings. False while the file cannot be opened, and for a minute after each put that the disk refused: by then
 * who holds the readings has tried again, and if nobody does, somebody has to. */
bool outbox_has_room(Outbox *outbox, uint64_t rows, uint64_t bytes);

/* All that the list holds in one transaction, or nothing. On return 0 it survives power loss. Readings whose `seen` key
 * is known are left out; *ret_repeats (may be NULL): how many. -ENOSPC, -EROFS, -EIO, ... The caps are no reason to
 * refuse: they are asked before a poll, and what was fetched nevertheless has no other place that survives a kill (P1).
 * So a cap is passed by one reply of each source at most. */
int outbox_put(Outbox *outbox, const ReadingList *readings, size_t *ret_repeats);

/* The cursor that the source has put last, appended to *ret*; nothing where it has put none. */
int outbox_cursor(Outbox *outbox, const char *source, Bytes *ret);

/* How many of what came from *source* and could not become a reading are gone, since only the newest are kept; 0 while
 * the file cannot be read. */
uint64_t outbox_dropped(Outbox *outbox, const char *source);

/* Up to *max_rows* rows and about *max_bytes* of payload (at least one row) with ids above *after*, oldest first. */
int outbox_peek(Outbox *outbox, int64_t after, size_t max_rows, size_t max_bytes, OutboxRows *ret);
void outbox_rows_done(OutboxRows *rows);

/* Pub/Sub has these: they go, a thousand in a transaction; on an errno some may be gone, and may be named again. A kill
 * does not bring them back; a power cut may until the next put, whose sync covers this one too, and then they are
 * published again under the same keys. */
int outbox_forget(Outbox *outbox, const int64_t *ids, size_t n);

/* Moves one row to the rejected table with the reason, durable on return. */
int outbox_reject(Outbox *outbox, int64_t id, const char *reason);

/* What waits, what was rejected, and the limits. */
void outbox_status(Outbox *outbox, OutboxStatus *ret);
