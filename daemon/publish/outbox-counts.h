/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How much the outbox holds: kept in memory and in the table `counts`, which changes in the same transaction as the
 * rows. Opening a file of a million rows needs no look at each, and what a second process changed is seen by reading a
 * few. Works within the transaction and on the file of outbox.c, its only client.
 *
 * What was put last is not written down at once: it is above the id `upto`, where rows are counted by looking at them
 * (OUTBOX_SQL_UNCOUNTED_MAX). Readings that are published soon are never written down. */

#include "lib/sql.h"

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
