/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Durable queue of readings in SQLite (WAL, synchronous=FULL): a reading is here from right after it was fetched (P1)
 * until Pub/Sub has answered with its message id (P2). Nothing is ever dropped: at its caps it says so and its callers
 * stop (P7). One process owns the file; one transaction for a put or a forget.
 *
 * Table `readings`: id (ascending, never reused), payload, key, source, type, device, put_at. Table `rejected`:
 * readings that Pub/Sub refused for good, with the reason; they count towards the caps until `sensorqd rejected`
 * replays or drops them. `PRAGMA user_version` is the schema. */

#include "config.h"
#include "lib/bytes.h"
#include "publish/reading.h"

typedef struct Outbox Outbox;

#define OUTBOX_FILE "outbox.sqlite"
#define OUTBOX_SCHEMA 1 /* outbox-file.c has its text */

enum {
        OUTBOX_OK = 0,
        OUTBOX_SALVAGED = 2, /* open: the file was damaged and set aside; readable rows were carried over */
        OUTBOX_NEWER = 3,    /* open: made by a later version; left alone */
};

typedef struct OutboxSalvage {
        char aside[256]; /* name of the file set aside */
        uint64_t rows;   /* carried over */
} OutboxSalvage;

typedef struct OutboxRow {
        int64_t id;
        usec_t put_at; /* clock_wall() */
        Slice payload, key, source, type, device;
} OutboxRow;

/* Rows in memory, oldest first. A plain value that owns its text. */
typedef struct OutboxRows {
        OutboxRow *items;
        size_t n;
        Bytes text;
} OutboxRows;

typedef struct OutboxStatus {
        uint64_t rows, bytes; /* waiting */
        uint64_t rejected_rows, rejected_bytes;
        uint64_t max_rows, max_bytes;
        usec_t oldest; /* put_at of the oldest waiting row; 0: empty */
} OutboxStatus;

/* Opens or creates DIRECTORY/outbox.sqlite and checks its integrity. OUTBOX_OK, OUTBOX_SALVAGED (*ret_salvage filled
 * in), OUTBOX_NEWER, or an errno. */
int outbox_open(const char *directory, const OutboxConfig *caps, Outbox **ret, OutboxSalvage *ret_salvage);
Outbox *outbox_close(Outbox *outbox);
CLEANUP_DEFINE(Outbox, outbox_close)
void outbox_set_caps(Outbox *outbox, const OutboxConfig *caps);

/* Whether *rows* readings of *bytes* more would fit under the caps. */
bool outbox_has_room(Outbox *outbox, uint64_t rows, uint64_t bytes);

/* All of the readings in one transaction, or none. On return 0 they survive power loss. -ENOSPC, -EROFS, -EIO, ... The
 * caps are no reason to refuse: they are asked before a poll, and what was fetched nevertheless has no other place that
 * survives a kill (P1). So a cap is passed by one reply of each source at most. */
int outbox_put(Outbox *outbox, const ReadingList *readings);

/* Up to *max_rows* rows and about *max_bytes* of payload (at least one row) with ids above *after*, oldest first. */
int outbox_peek(Outbox *outbox, int64_t after, size_t max_rows, size_t max_bytes, OutboxRows *ret);
void outbox_rows_done(OutboxRows *rows);

/* Pub/Sub has these: they go in one transaction, durable on return. */
int outbox_forget(Outbox *outbox, const int64_t *ids, size_t n);

/* Moves one row to the rejected table with the reason, durable on return. */
int outbox_reject(Outbox *outbox, int64_t id, const char *reason);

void outbox_status(Outbox *outbox, OutboxStatus *ret);
