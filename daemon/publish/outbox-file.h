/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The outbox's file: made, opened, checked. For outbox*.c only. */

#include <stdint.h>

#include "lib/err.h"
#include "lib/sql.h"
#include "publish/outbox.h"

/* The check at start (quick_check and a recount) reads every page in use: 64 MiB, 130 000 readings, take a quarter of a
 * second from memory and about 2 s from an SD card; what a queue normally holds, 2 ms. So it is made up to a size only,
 * which is smaller after a clean end: then nothing was being written. In a larger file damage is found when the damaged
 * page is read, and mended in the same way. */
#define OUTBOX_FILE_CHECK_MAX (64 * 1024 * 1024)
#define OUTBOX_FILE_CHECK_CLEAN_MAX (8 * 1024 * 1024)

/* Ids and row sizes that a sane file holds: a damaged page may claim others. */
#define OUTBOX_FILE_ID_MAX (INT64_C(1) << 53)

/* Opens or creates DIRECTORY/outbox.sqlite for its owner. OUTBOX_OK, OUTBOX_SALVAGED (*ret_salvage filled in),
 * OUTBOX_NEWER (nothing was opened), or an errno. *last_id*: ids that are known to be used, 0 for a fresh start.
 * *suspect*: damage was met in it; it is checked whatever its size. */
int outbox_file_open(const char *directory, int64_t last_id, bool suspect, Sql **ret, OutboxSalvage *ret_salvage);

/* Opens the file for a second process: never creates, checks or mends it. -ENOENT, -EUCLEAN when damaged, OUTBOX_NEWER.
 */
int outbox_file_visit(const char *directory, Sql **ret);

/* Makes the tables in an empty file, and sets the counters to what the tables hold. */
int outbox_file_create_schema(Sql *sql);
int outbox_file_recount(Sql *sql);

/* The first column of the first row of a query. -ENODATA when there is none. */
int outbox_file_query_int(Sql *sql, const char *query, int64_t *ret);

/* Makes renames and new names in *directory* durable. */
int outbox_file_sync_directory(const char *directory);

/* SQL_DAMAGED as a negative errno, so that it cannot be taken for an outcome of this module. */
static inline int outbox_file_fault(int r) {
        return r == SQL_DAMAGED ? -EUCLEAN : r;
}
