/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Data that the outbox keeps for each source beside its readings: keys of readings that may come again, its cursor, and
 * input that could not become a reading. Works on the file and within the transaction of outbox.c, its only user. It is
 * separate only because one file would be too long. */

#include "lib/sql.h"
#include "publish/reading.h"

/* how long keys are kept; at most READING_SEEN_MAX for a source */
#define OUTBOX_SEEN_USEC (7 * 24 * USEC_PER_HOUR)
/* a key that comes again is written only once in this time: so not within the usual overlap of 24 h */
#define OUTBOX_SEEN_AGAIN_USEC (2 * 24 * USEC_PER_HOUR)
#define OUTBOX_UNREADABLE_ROWS 1000 /* rows kept for a source, the newest ones; the others are only counted */
#define OUTBOX_UNREADABLE_BYTES (4 * 1024 * 1024)

/* A plain value; all zeros: closed. */
typedef struct OutboxSource {
        SqlStatement *statements[12];
        int64_t offset; /* clock_wall() minus clock_now() at the last commit; 0: there was none */
} OutboxSource;

/* Errors below are those of lib/sql.h. */
int outbox_source_open(OutboxSource *s, Sql *sql);
void outbox_source_close(OutboxSource *s);

/* Call this first in a transaction, with the wall time that the calls below get. If the clock was set since the last
 * commit, perhaps by days, no key is forgotten too early. Call outbox_source_noted() after the commit. */
int outbox_source_note_clock(OutboxSource *s, usec_t wall);
void outbox_source_noted(OutboxSource *s, usec_t wall);

/* Notes the key of a reading, if it has one. OUTBOX_SOURCE_REPEAT: the key is known already. */
enum { OUTBOX_SOURCE_NEW = 0, OUTBOX_SOURCE_REPEAT = 1 };
int outbox_source_see(OutboxSource *s, const Reading *reading, usec_t now);

/* Stores everything in the list except its readings. Forgets keys that are too many or too old. */
int outbox_source_put(OutboxSource *s, const ReadingList *list, usec_t now);

/* Appends the cursor of *source*; nothing if there is none. */
int outbox_source_cursor(OutboxSource *s, const char *source, Bytes *ret);

/* *ret* gets how many inputs of *source* that could not become a reading were deleted, because only the newest are
 * kept. */
int outbox_source_dropped(OutboxSource *s, const char *source, uint64_t *ret);
