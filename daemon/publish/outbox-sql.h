/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What outbox*.c share: the file, its tables, the counts of their rows, and what is kept for each source. */

#include <stdint.h>

#include "lib/sql.h"
#include "publish/reading.h"

#define OUTBOX_SCHEMA 3                      /* `PRAGMA user_version`; its text is in outbox-sql.c */
#define OUTBOX_SQL_ID_MAX (INT64_C(1) << 53) /* a damaged page may contain larger ids */
#define OUTBOX_SQL_ID_MAX_TEXT "(1 << 53)"   /* the same in SQL */

/* The last id that was used. */
#define OUTBOX_SQL_LAST_ID "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'readings')"

/* Waiting rows are counted in two parts: up to the id `upto` in the table `counts`, and the rows above it when they are
 * needed. So a reading that is published soon costs no write of `counts`. At most this many rows are above `upto`, plus
 * those that other processes put. */
#define OUTBOX_SQL_UNCOUNTED_MAX 64
#define OUTBOX_SQL_WAITING                                                                                             \
        "SELECT n + (SELECT count(*) FROM readings WHERE id > upto) FROM counts WHERE name = 'readings'"

/* Makes the tables, or upgrades those of an older *version* (0: an empty file) to OUTBOX_SCHEMA; then call it within a
 * transaction, so that after a kill or a full disk the file is as before. It touches no row, so a file of any size is
 * upgraded at once. -EINVAL: a table or a column is missing. */
int outbox_sql_make(Sql *sql, int64_t version);

/* Counts all rows again. */
int outbox_sql_recount(Sql *sql);

/* Inserts the reading as a waiting row. SQL_DONE, or an error. */
int outbox_sql_insert(Sql *sql, const Reading *reading, usec_t at);

/* ---- counts ---- */

/* How much the outbox holds. The counts are in memory and in the table `counts`, which is changed in the same
 * transaction as the rows. So a file with a million rows opens without reading each, and changes by a second process
 * are found by reading a few. Works on the file and within the transaction of outbox.c.
 *
 * The newest rows are not in `counts` yet: they are above the id `upto` and are counted directly
 * (OUTBOX_SQL_UNCOUNTED_MAX). So readings that are published soon are never written to `counts`. */

typedef struct OutboxCount {
        uint64_t rows, bytes;
} OutboxCount;

/* *waiting*, *rejected*: the last known numbers. */
typedef struct OutboxCounts {
        OutboxCount waiting, rejected;
        uint64_t uncounted; /* rows of *waiting* above *upto* */
        int64_t upto;
} OutboxCounts;

/* Errors below are those of lib/sql.h. */

/* Reads the counts from the file: another process changed it, or a transaction was rolled back. */
int outbox_counts_load(OutboxCounts *c, Sql *sql);

/* Call this after rows were put: *put* of them. */
int outbox_counts_put(OutboxCounts *c, Sql *sql, const OutboxCount *put);

/* Deletes the waiting rows with ids from *first* to *last*. */
int outbox_counts_forget(OutboxCounts *c, Sql *sql, int64_t first, int64_t last);

/* Moves a row from the waiting to the rejected ones, if it exists; *now* is the wall time. */
int outbox_counts_reject(OutboxCounts *c, Sql *sql, int64_t id, const char *reason, usec_t now);

/* ---- for each source ---- */

/* Data that the outbox keeps for each source beside its readings: keys of readings that may come again, its cursor, and
 * input that could not become a reading. Works on the file and within the transaction of outbox.c. */

/* how long keys are kept; at most READING_SEEN_MAX for a source */
#define OUTBOX_SEEN_USEC (7 * 24 * USEC_PER_HOUR)
/* a key that comes again is written only once in this time: so not within the usual overlap of 24 h */
#define OUTBOX_SEEN_AGAIN_USEC (2 * 24 * USEC_PER_HOUR)
#define OUTBOX_UNREADABLE_ROWS 1000 /* rows kept for a source, the newest ones; the others are only counted */
#define OUTBOX_UNREADABLE_BYTES (4 * 1024 * 1024)

/* Call this first in a transaction, with the wall time that the calls below get, and how far the clock was set since
 * the last commit, perhaps by days: so no key is forgotten too early. */
int outbox_source_shift(Sql *sql, int64_t moved, usec_t wall);

/* Notes the `seen` key of a reading. OUTBOX_SOURCE_REPEAT: it is known already. */
enum { OUTBOX_SOURCE_NEW = 0, OUTBOX_SOURCE_REPEAT = 1 };
int outbox_source_see(Sql *sql, const Reading *reading, usec_t now);

/* Stores everything in the list except its readings. Forgets keys that are too many or too old. */
int outbox_source_put(Sql *sql, const ReadingList *list, usec_t now);

/* ---- the file: outbox-file.c, outbox-salvage.c ---- */

typedef struct OutboxSalvage OutboxSalvage; /* of outbox.h, as the outcomes are */

/* Opens or creates DIRECTORY/outbox.sqlite. A check or salvage may take long; the service manager is told meanwhile.
 * *damaged*: damage is known, so the file is salvaged in any case. *last_id* is the highest id known to be used, 0 at
 * the start; new rows get higher ids. OUTBOX_OK, OUTBOX_SALVAGED (*ret_salvage filled in), OUTBOX_NEWER (nothing was
 * opened), or an errno. An existing outbox opens also on a full disk, at least for reading. */
int outbox_file_open(const char *directory, int64_t last_id, bool damaged, Sql **ret, OutboxSalvage *ret_salvage);

/* Makes a new file while the old one is open as *old*, but was removed or replaced by another file. The new file gets
 * all rows of *old* with the same ids, and those of the other file, which is set aside (*ret_salvage; "" when there was
 * none). The caller keeps *old*, which stays open. OUTBOX_OK, OUTBOX_NEWER, or an errno. */
int outbox_file_renew(const char *directory, int64_t last_id, Sql *old, Sql **ret, OutboxSalvage *ret_salvage);

/* Copies the rows that can still be read from a damaged outbox into a new one: from the front, from the back, and id by
 * id between damaged places. Each row is copied once, even if damage shows it twice.
 *
 * Makes the tables in *to*, which is empty or was filled by an earlier call, and copies the rows of *from* (NULL:
 * nothing can be read). If *to* already has an id, the row gets another one. On return, all rows are in the file
 * itself, not in its log, and synced. *last_id* is the highest id known to be used, 0 at the start; new rows get higher
 * ids. The service manager is told meanwhile. Errors are those of *to*, with -EUCLEAN if it is damaged; -ENOMEM and
 * -EBUSY may come from *from*. */
int outbox_salvage(Sql *from, Sql *to, int64_t last_id, uint64_t *ret_rows);
