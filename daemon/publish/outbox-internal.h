/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What outbox.c and outbox-rejected.c stand on: the open file, its statements and counters, and the transaction around
 * each change (outbox-connect.c). */

#include "lib/sql.h"
#include "publish/outbox.h"

typedef enum OutboxStatement {
        OUTBOX_BEGIN,
        OUTBOX_COMMIT,
        OUTBOX_ROLLBACK,
        OUTBOX_DATA_VERSION,
        OUTBOX_COUNTS,
        OUTBOX_COUNT,
        OUTBOX_OLDEST,
        OUTBOX_INSERT,
        OUTBOX_LAST_ID,
        OUTBOX_PEEK,
        OUTBOX_RANGE_SIZE,
        OUTBOX_RANGE_DELETE,
        OUTBOX_REJECT,
        OUTBOX_REJECTED_LIST,
        OUTBOX_REJECTED_SIZE,
        OUTBOX_REJECTED_REPLAY,
        OUTBOX_REJECTED_DROP,
        _OUTBOX_STATEMENT_MAX,
} OutboxStatement;

typedef enum OutboxTable { OUTBOX_READINGS, OUTBOX_REJECTED, _OUTBOX_TABLE_MAX } OutboxTable;

typedef struct OutboxCount {
        uint64_t rows, bytes;
} OutboxCount;

struct Outbox {
        char *directory;
        OutboxConfig caps;
        bool guest; /* a second process: the owner may be running, so nothing is mended */
        Sql *sql;   /* NULL after a repair that failed: the next call tries again */
        SqlStatement *statements[_OUTBOX_STATEMENT_MAX];
        OutboxCount counts[_OUTBOX_TABLE_MAX]; /* as of data_version */
        int64_t data_version;
        int64_t last_id; /* highest id seen: a new file after a repair goes on above it */
        usec_t oldest;
};

/* Connects the struct to an open file; takes *sql* when it succeeds. */
int outbox_attach(Outbox *outbox, Sql *sql);

/* Runs *change* within a transaction: commits on 0, else rolls back, counters included, and passes its result on. When
 * the file turns out to be damaged, it is repaired and the change made again. -EUCLEAN: damaged, and cannot be repaired
 * here. */
typedef int (*OutboxChange)(Outbox *outbox, void *arguments);
int outbox_change(Outbox *outbox, OutboxChange change, void *arguments);

/* The same for reading, without a transaction. */
int outbox_read(Outbox *outbox, OutboxChange read, void *arguments);

/* Steps a statement whose values are bound. SQL_ROW (the caller resets it), or SQL_DONE or a negative errno, and it is
 * reset. */
int outbox_step(Outbox *outbox, OutboxStatement statement);

/* Steps once and resets, row or not. */
int outbox_step_once(Outbox *outbox, OutboxStatement statement);

/* Binds *id* as the first value, steps to the end, resets. */
int outbox_run(Outbox *outbox, OutboxStatement statement, int64_t id);

/* Adds to the counters, within a transaction. */
int outbox_count(Outbox *outbox, OutboxTable table, int64_t rows, int64_t bytes);

/* Looks whether another process changed the file since, and reads the counters again if so. */
int outbox_refresh(Outbox *outbox);
