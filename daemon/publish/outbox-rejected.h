/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* An outbox seen from a second process, beside its owner: what waits in it, the readings that Pub/Sub refused for good,
 * and what came to a source and could not become a reading, for the verb `sensorqd rejected`. The daemon may be running
 * on the same file: every change is one transaction, and the daemon sees it before its next look at the counters. Never
 * creates, upgrades, checks or mends the file. */

#include "lib/bytes.h"
#include "lib/clock.h"
#include "publish/outbox-file.h"
#include "publish/reading.h"

typedef struct OutboxGuest OutboxGuest;

typedef struct OutboxRejected {
        int64_t id;
        usec_t put_at, rejected_at; /* clock_wall() */
        size_t size;                /* of the payload */
        Slice key, source, type, device, reason;
        Slice payload; /* empty unless asked for */
} OutboxRejected;

/* Opens an outbox that is there. OUTBOX_OK, OUTBOX_NEWER, -ENOENT, -EUCLEAN (damaged: the daemon mends it at its next
 * start), or another errno. */
int outbox_guest_open(const char *directory, OutboxGuest **ret);
OutboxGuest *outbox_guest_close(OutboxGuest *guest);
CLEANUP_DEFINE(OutboxGuest, outbox_guest_close)

/* How many readings wait to be published. */
int outbox_guest_waiting(OutboxGuest *guest, uint64_t *ret_rows);

/* Calls *each* for the rejected rows with ids above *after*, oldest first, until it returns something else than 0,
 * which is returned. The slices are valid during the call. Nothing is held open in the file meanwhile, so *each* may
 * take its time, and may change the outbox. Payloads are not even read, unless *payloads* asks for them. */
int outbox_rejected_each(OutboxGuest *guest, int64_t after, bool payloads,
        int (*each)(void *userdata, const OutboxRejected *row), void *userdata);

/* Puts one back at the end of the queue, under the same key. -ENOENT: no such row. Durable on return. */
int outbox_rejected_replay(OutboxGuest *guest, int64_t id);

/* Deletes one for good. -ENOENT: no such row. Durable on return. */
int outbox_rejected_drop(OutboxGuest *guest, int64_t id);

/* What came to a source and could not become a reading, as it came. */
typedef struct OutboxUnread {
        int64_t id;
        usec_t at;   /* clock_wall() */
        size_t size; /* of the payload */
        Slice source, topic, reason;
        Slice payload; /* empty unless asked for */
} OutboxUnread;

/* As outbox_rejected_each(). An outbox of the schema before has none. */
int outbox_unread_each(OutboxGuest *guest, int64_t after, bool payloads,
        int (*each)(void *userdata, const OutboxUnread *row), void *userdata);

/* Calls *each* for every source of which more came than is kept: how many are gone for good. */
int outbox_unread_each_dropped(
        OutboxGuest *guest, void (*each)(void *userdata, Slice source, uint64_t n), void *userdata);
/* Somebody has seen those numbers: they begin anew. */
int outbox_unread_forget_dropped(OutboxGuest *guest);

/* Deletes one for good, and queues the *readings* that it became (NULL: none) in the same transaction. -ENOENT: no such
 * row, and nothing is queued. Durable on return. */
int outbox_unread_settle(OutboxGuest *guest, int64_t id, const ReadingList *readings);
