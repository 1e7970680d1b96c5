/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the outbox keeps for each source beside its readings: the keys of what may come again, its cursor, and what came
 * and could not become a reading. Works within the transaction and on the file of outbox.c, its only client: the two
 * together would be too long for one file. */

#include "lib/sql.h"
#include "publish/reading.h"

#define OUTBOX_SEEN_USEC (7 * 24 * USEC_PER_HOUR) /* that keys are remembered, READING_SEEN_MAX of a source at most */
/* what comes again is noted no oftener: not within the overlap of 24 h that is usual */
#define OUTBOX_SEEN_AGAIN_USEC (2 * 24 * USEC_PER_HOUR)
#define OUTBOX_UNREADABLE_ROWS 1000 /* of a source that are kept, the newest ones; the rest is counted */
#define OUTBOX_UNREADABLE_BYTES (4 * 1024 * 1024)

/* A plain value; zeros: closed. */
typedef struct OutboxSource {
        SqlStatement *statements[12];
        int64_t offset; /* from clock_now() to clock_wall() at the last commit; 0: there was none */
} OutboxSource;

/* Errors below are those of lib/sql.h, with -EUCLEAN for a damaged file. */
int outbox_source_open(OutboxSource *s, Sql *sql);
void outbox_source_close(OutboxSource *s);

/* First in a transaction, with the wall time that the calls below are given: where somebody set the clock since the
 * last commit, by days perhaps, no key is forgotten early for that. After the commit: outbox_source_noted(). */
int outbox_source_note_clock(OutboxSource *s, usec_t wall);
void outbox_source_noted(OutboxSource *s, usec_t wall);

/* Notes the key of a reading that has one. OUTBOX_SOURCE_REPEAT: it is known already. */
enum { OUTBOX_SOURCE_NEW = 0, OUTBOX_SOURCE_REPEAT = 1 };
int outbox_source_see(OutboxSource *s, const Reading *reading, usec_t now);

/* What the list holds beside its readings; and forgets keys that are too many or too old. */
int outbox_source_put(OutboxSource *s, const ReadingList *list, usec_t now);

/* Appends the cursor of *source*; nothing where there is none. */
int outbox_source_cursor(OutboxSource *s, const char *source, Bytes *ret);

/* How many of what came from *source* and could not become a reading were more than is kept. */
int outbox_source_dropped(OutboxSource *s, const char *source, uint64_t *ret);
