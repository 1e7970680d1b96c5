/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The outbox's tables, how much is in them, and what outbox*.c ask of lib/sql.h alike. */

#include <stdint.h>

#include "lib/err.h"
#include "lib/sql.h"

#define OUTBOX_SCHEMA 3                      /* `PRAGMA user_version`; outbox-sql.c has its text */
#define OUTBOX_SQL_ID_MAX (INT64_C(1) << 53) /* a damaged page may claim others */

/* The last id that was given. */
#define OUTBOX_SQL_LAST_ID "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'readings')"

/* What waits is counted in two parts: up to the id `upto` in the table `counts`, and the rows above it when somebody
 * asks. So a poll that is published soon costs no page for being counted. At most so many are above it, and what other
 * processes put. */
#define OUTBOX_SQL_UNCOUNTED_MAX 64
#define OUTBOX_SQL_WAITING                                                                                             \
        "SELECT n + (SELECT count(*) FROM readings WHERE id > upto) FROM counts WHERE name = 'readings'"

/* Makes the tables, or brings those of an older *version* (0: an empty file) up to OUTBOX_SCHEMA: in one transaction,
 * so that a kill or a full disk leaves the file as it was, and without touching a row, so that a file of any size is
 * upgraded at once. */
int outbox_sql_make(Sql *sql, int64_t version);

/* Counts all rows anew, those of *version*'s tables. */
int outbox_sql_recount(Sql *sql, int64_t version);

/* sql_open(); where a full disk has no room for the memory that is shared with others, without that. */
int outbox_sql_open(const char *path, Sql **ret);

/* The first column of the first row of a query. -ENODATA when there is none. */
int outbox_sql_query_int(Sql *sql, const char *query, int64_t *ret);

/* Bytes of the pages that hold something. */
int outbox_sql_used_bytes(Sql *sql, int64_t *ret);

/* For sql_set_ping(): tells the service manager that it takes longer; *userdata* is the time when it was told last. */
void outbox_sql_ping(void *userdata);

/* SQL_DAMAGED as a negative errno, so that it cannot be taken for an outcome of this module. */
static inline int outbox_sql_fault(int r) {
        return r == SQL_DAMAGED ? -EUCLEAN : r;
}

/* ---- how much it holds ---- */

/* Kept in memory and in the table `counts`, which changes in the same transaction as the rows. Opening a file of a
 * million rows needs no look at each, and what a second process changed is seen by reading a few. Works within the
 * transaction and on the file of outbox.c.
 *
 * What was put last is not written down at once: it is above the id `upto`, where rows are counted by looking at them
 * (OUTBOX_SQL_UNCOUNTED_MAX). Readings that are published soon are never written down. */

typedef struct OutboxCount {
        uint64_t rows, bytes;
} OutboxCount;

/* Zeros: closed. *waiting*, *rejected*: as last known. */
typedef struct OutboxCounts {
        OutboxCount waiting, rejected;
        uint64_t uncounted; /* rows of *waiting* above *upto* */
        int64_t upto;
        SqlStatement *statements[6];
} OutboxCounts;

/* Errors below are those of lib/sql.h, with -EUCLEAN for a damaged file. */
int outbox_counts_open(OutboxCounts *c, Sql *sql);
void outbox_counts_close(OutboxCounts *c);

/* Reads them from the file: another process changed it, or a transaction was rolled back. */
int outbox_counts_load(OutboxCounts *c);

/* *rows* were put, up to the id *last*. */
int outbox_counts_put(OutboxCounts *c, uint64_t rows, uint64_t bytes, int64_t last);

/* Deletes what waits from the id *first* to *last*. */
int outbox_counts_forget(OutboxCounts *c, int64_t first, int64_t last);

/* The row is about to move from what waits to what was rejected. OUTBOX_COUNTS_NO_ROW: it is not there. */
enum { OUTBOX_COUNTS_DONE = 0, OUTBOX_COUNTS_NO_ROW = 1 };
int outbox_counts_reject(OutboxCounts *c, int64_t id);
