/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A durable queue of readings in SQLite (WAL). A reading is here from the moment after it was fetched (P1) until
 * Pub/Sub has answered with its message id (P2). Nothing is ever dropped: at its limits the outbox says so and its
 * callers stop (P7). One process owns the file; a put or a forget is one transaction.
 *
 * Every call repairs a damaged file and continues. While the disk refuses, calls fail with an errno and callers try
 * again; the outbox logs that once for all callers, and once more when it is over.
 *
 * Table `readings`: id (ascending, never used again), payload, key, source, type, device, labels, put_at. Table
 * `rejected`: readings that Pub/Sub refused permanently, with the reason; they count towards the limits until `sensorqd
 * rejected` replays or drops them. In addition, for each source: `seen`, the keys of readings that may come again; its
 * cursor; and `unreadable`, input that could not become a reading, with its own limit. */

#include "config.h"
#include "publish/reading.h"
#include "trouble.h"

#define OUTBOX_FILE "outbox.sqlite"

enum {
        OUTBOX_OK = 0,
        OUTBOX_SALVAGED = 2, /* the file was damaged and set aside; the rows that can be read are in a new one */
        OUTBOX_NEWER = 3,    /* made by a later version; not changed */
};

typedef struct OutboxSalvage {
        char aside[256]; /* name of the file that was set aside */
        uint64_t rows;   /* rows that were copied */
        uint64_t needed; /* bytes needed on the disk; set when it fails with -ENOSPC */
} OutboxSalvage;

typedef struct Outbox Outbox;

/* A reading that waits; borrowed. */
typedef struct OutboxRow {
        int64_t id;
        Slice payload, key, source, type, device;
        Slice labels; /* for reading_labels_next() */
} OutboxRow;

typedef struct OutboxStatus {
        uint64_t rows, bytes; /* waiting */
        uint64_t rejected_rows, rejected_bytes;
        uint64_t max_rows, max_bytes;
        usec_t oldest;   /* put_at of the oldest waiting row; 0: empty */
        int64_t last_id; /* the highest that a row had, as far as this process has seen */
        Failure failure; /* while outbox_is_failing(); its detail is borrowed until the next call */
} OutboxStatus;

/* Opens or creates DIRECTORY/outbox.sqlite and checks it. OUTBOX_OK, OUTBOX_SALVAGED (*ret_salvage filled in; may be
 * NULL), OUTBOX_NEWER, or an errno. Returns OUTBOX_OK on a full disk too: then either queued readings can be published,
 * or nothing works until there is room. */
int outbox_open(const char *directory, const OutboxConfig *caps, Outbox **ret, OutboxSalvage *ret_salvage);
Outbox *outbox_close(Outbox *outbox);
CLEANUP_DEFINE(Outbox, outbox_close)
void outbox_set_caps(Outbox *outbox, const OutboxConfig *caps);

/* *on_change* is called when the disk begins to refuse and when it works again. It is called from inside the failing
 * call, so it may only take a note. NULL: nobody is told. */
void outbox_watch(Outbox *outbox, void (*on_change)(void *userdata), void *userdata);

/* True when a reading that is fetched now could not be written. */
bool outbox_is_failing(const Outbox *outbox);

/* True when *rows* more readings of *bytes* fit under the limits. If nothing waits, any poll fits. False while the file
 * cannot be opened, and for a minute after the disk refused a put. In that minute the owner of the refused readings has
 * tried again; if nobody did, another caller must try. */
bool outbox_has_room(Outbox *outbox, uint64_t rows, uint64_t bytes);

/* Stores everything in the list in one transaction, or nothing. When it returns 0, the data survives a power cut.
 * Readings whose `seen` key is known are left out; *ret_repeats (may be NULL) gets their number. -ENOSPC, -EROFS, -EIO,
 * ... Limits are not checked here but before a poll: readings that were already fetched have no other place that
 * survives a kill (P1). So each source may exceed a limit by at most one reply. */
int outbox_put(Outbox *outbox, const ReadingList *readings, size_t *ret_repeats);

/* Appends to *ret* the cursor that the source stored last; nothing if it stored none. */
int outbox_cursor(Outbox *outbox, const char *source, Bytes *ret);

/* Returns how many inputs of *source* that could not become a reading were deleted, because only the newest are kept; 0
 * while the file cannot be read. */
uint64_t outbox_dropped(Outbox *outbox, const char *source);

/* Calls *each* for up to *max_rows* rows with ids above *after*, oldest first, until it returns false. Each time the
 * reading begins, it is called with NULL: what came before, until damage was met and repaired, does not count. It must
 * not use the outbox. */
int outbox_peek(Outbox *outbox, int64_t after, size_t max_rows, bool (*each)(void *userdata, const OutboxRow *row),
        void *userdata);

/* Deletes rows that Pub/Sub has, a thousand in a transaction. After an errno some may be deleted; they may be passed
 * again. A kill does not bring deleted rows back. A power cut may, until the next put, whose sync includes this
 * deletion; then they are published again with the same keys. */
int outbox_forget(Outbox *outbox, const int64_t *ids, size_t n);
/* Whether no row waits, as the last put or forget found it; for right after it. */
bool outbox_is_empty(const Outbox *outbox);

/* Moves one row to the rejected table with the reason; durable on return. */
int outbox_reject(Outbox *outbox, int64_t id, const char *reason);

/* How much waits, how much was rejected, and the limits. */
void outbox_status(Outbox *outbox, OutboxStatus *ret);
