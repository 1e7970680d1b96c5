/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The outbox's tables, the counts of their rows, and common SQL functions of outbox*.c. */

#include <stdint.h>

#include "lib/err.h"
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

/* Makes the tables, or upgrades those of an older *version* (0: an empty file) to OUTBOX_SCHEMA. It uses one
 * transaction, so that after a kill or a full disk the file is as before. It touches no row, so a file of any size is
 * upgraded at once. */
int outbox_sql_make(Sql *sql, int64_t version);

/* Counts all rows again; the tables are those of *version*. */
int outbox_sql_recount(Sql *sql, int64_t version);

/* Like sql_open(); but if a full disk has no room for shared memory, it opens without that. */
int outbox_sql_open(const char *path, Sql **ret);

/* Like sql_prepare_all(). -EUCLEAN also when a table is missing. */
int outbox_sql_prepare(Sql *sql, const char *const *texts, size_t n, SqlStatement **ret);

/* Binds ?1 to ?8 of a statement that inserts the reading: size, time, key, source, type, device, payload, labels. */
void outbox_sql_bind(SqlStatement *statement, const Reading *reading, usec_t at);

/* For sql_set_ping(): tells the service manager that the work takes longer. *userdata* points to the time when it was
 * last told. */
void outbox_sql_ping(void *userdata);

/* ---- outbox-counts.c ---- */

/* How much the outbox holds. The counts are in memory and in the table `counts`, which is changed in the same
 * transaction as the rows. So a file with a million rows opens without reading each, and changes by a second process
 * are found by reading a few. Works on the file and within the transaction of outbox.c.
 *
 * The newest rows are not in `counts` yet: they are above the id `upto` and are counted directly
 * (OUTBOX_SQL_UNCOUNTED_MAX). So readings that are published soon are never written to `counts`. */

typedef struct OutboxCount {
        uint64_t rows, bytes;
} OutboxCount;

/* All zeros: closed. *waiting*, *rejected*: the last known numbers. */
typedef struct OutboxCounts {
        OutboxCount waiting, rejected;
        uint64_t uncounted; /* rows of *waiting* above *upto* */
        int64_t upto;
        SqlStatement *statements[6];
} OutboxCounts;

/* Errors below are those of lib/sql.h. */
int outbox_counts_open(OutboxCounts *c, Sql *sql);
void outbox_counts_close(OutboxCounts *c);

/* Reads the counts from the file: another process changed it, or a transaction was rolled back. */
int outbox_counts_load(OutboxCounts *c);

/* Call this after *rows* were put; *last* is the highest of their ids. */
int outbox_counts_put(OutboxCounts *c, uint64_t rows, uint64_t bytes, int64_t last);

/* Deletes the waiting rows with ids from *first* to *last*. */
int outbox_counts_forget(OutboxCounts *c, int64_t first, int64_t last);

/* Call this before a row moves from the waiting to the rejected ones. OUTBOX_COUNTS_NO_ROW: it does not exist. */
enum { OUTBOX_COUNTS_DONE = 0, OUTBOX_COUNTS_NO_ROW = 1 };
int outbox_counts_reject(OutboxCounts *c, int64_t id);
