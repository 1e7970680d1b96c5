/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "publish/outbox-file.h"
#include "publish/outbox-internal.h"

#define COPIED "size, put_at, key, source, type, device, payload"

/* Counters stand in a table of their own and change in the same transaction as the rows: opening a file of a million
 * rows needs no look at each, and a second process's changes are seen by reading two rows. */
static const char *const outbox_statements[] = {
        [OUTBOX_BEGIN] = "BEGIN IMMEDIATE",
        [OUTBOX_COMMIT] = "COMMIT",
        [OUTBOX_ROLLBACK] = "ROLLBACK",
        [OUTBOX_DATA_VERSION] = "PRAGMA data_version",
        [OUTBOX_COUNTS] = "SELECT n, bytes FROM counts ORDER BY name",
        [OUTBOX_COUNT] = "UPDATE counts SET n = n + ?1, bytes = bytes + ?2 WHERE name = ?3",
        [OUTBOX_OLDEST] = "SELECT put_at FROM readings ORDER BY id LIMIT 1",
        [OUTBOX_INSERT] = "INSERT INTO readings (" COPIED ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [OUTBOX_LAST_ID] = "SELECT last_insert_rowid()",
        [OUTBOX_PEEK] = "SELECT id, put_at, key, source, type, device, payload FROM readings WHERE id > ?1 ORDER BY id "
                        "LIMIT ?2",
        [OUTBOX_RANGE_SIZE] = "SELECT count(*), total(size) FROM readings WHERE id BETWEEN ?1 AND ?2",
        [OUTBOX_RANGE_DELETE] = "DELETE FROM readings WHERE id BETWEEN ?1 AND ?2",
        [OUTBOX_REJECT] = "INSERT INTO rejected (id, rejected_at, reason, " COPIED ") SELECT id, ?2, ?3, " COPIED
                          " FROM readings WHERE id = ?1",
        [OUTBOX_REJECTED_LIST] = "SELECT id, put_at, rejected_at, key, source, type, device, reason, payload FROM "
                                 "rejected WHERE id > ?1 ORDER BY id",
        [OUTBOX_REJECTED_SIZE] = "SELECT size FROM rejected WHERE id = ?1",
        [OUTBOX_REJECTED_REPLAY] = "INSERT INTO readings (" COPIED ") SELECT " COPIED " FROM rejected WHERE id = ?1",
        [OUTBOX_REJECTED_DROP] = "DELETE FROM rejected WHERE id = ?1",
};
_Static_assert(ELEMENTSOF(outbox_statements) == _OUTBOX_STATEMENT_MAX, "a text for each statement");

static const char *const outbox_tables[] = { [OUTBOX_READINGS] = "readings", [OUTBOX_REJECTED] = "rejected" };

/* ---- statements and counters ---- */

int outbox_step(Outbox *outbox, OutboxStatement statement) {
        int r = outbox_file_fault(sql_step(outbox->statements[statement]));

        if (r != SQL_ROW)
                sql_reset(outbox->statements[statement]);
        return r;
}

/* Steps once and resets: for statements of one row or none. */
int outbox_step_once(Outbox *outbox, OutboxStatement statement) {
        int r = outbox_step(outbox, statement);

        if (r == SQL_ROW)
                sql_reset(outbox->statements[statement]);
        return r < 0 ? r : 0;
}

int outbox_run(Outbox *outbox, OutboxStatement statement, int64_t id) {
        int r = outbox_file_fault(sql_bind_int(outbox->statements[statement], 1, id));
        return r < 0 ? r : outbox_step_once(outbox, statement);
}

int outbox_count(Outbox *outbox, OutboxTable table, int64_t rows, int64_t bytes) {
        SqlStatement *statement = outbox->statements[OUTBOX_COUNT];
        OutboxCount *count = &outbox->counts[table];
        int r;

        r = sql_bind_int(statement, 1, rows);
        if (r == 0)
                r = sql_bind_int(statement, 2, bytes);
        if (r == 0)
                r = sql_bind_text(statement, 3, outbox_tables[table], strlen(outbox_tables[table]));
        if (r == 0)
                r = outbox_step_once(outbox, OUTBOX_COUNT);
        if (r != 0)
                return outbox_file_fault(r);
        count->rows += (uint64_t) rows; /* negative ones wrap around as they should */
        count->bytes += (uint64_t) bytes;
        return 0;
}

static int outbox_load_counts(Outbox *outbox) {
        SqlStatement *statement = outbox->statements[OUTBOX_COUNTS];
        OutboxCount counts[_OUTBOX_TABLE_MAX] = {};
        int r;

        for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
                r = outbox_step(outbox, OUTBOX_COUNTS);
                if (r != SQL_ROW)
                        return r < 0 ? r : -EUCLEAN;
                counts[i] = (OutboxCount){ (uint64_t) sql_column_int(statement, 0),
                        (uint64_t) sql_column_int(statement, 1) };
        }
        sql_reset(statement);
        memcpy(outbox->counts, counts, sizeof(counts));
        return 0;
}

/* Looks whether another process changed the file since, and reads the counters again if so. */
int outbox_refresh(Outbox *outbox) {
        SqlStatement *statement = outbox->statements[OUTBOX_DATA_VERSION];
        int64_t version;
        int r;

        r = outbox_step(outbox, OUTBOX_DATA_VERSION);
        if (r != SQL_ROW)
                return r < 0 ? r : -EUCLEAN;
        version = sql_column_int(statement, 0);
        sql_reset(statement);
        if (version == outbox->data_version)
                return 0;

        r = outbox_load_counts(outbox);
        if (r == 0)
                outbox->data_version = version;
        return r;
}

/* ---- opening, closing, mending ---- */

static void outbox_detach(Outbox *outbox) {
        for (size_t i = 0; i < ELEMENTSOF(outbox->statements); i++)
                outbox->statements[i] = sql_finalize(outbox->statements[i]);
        outbox->sql = sql_close(outbox->sql);
        outbox->data_version = -1;
}

static int outbox_prepare(Outbox *outbox, Sql *sql) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(outbox->statements); i++)
                r = sql_prepare(sql, outbox_statements[i], &outbox->statements[i]);
        return outbox_file_fault(r);
}

int outbox_attach(Outbox *outbox, Sql *sql) {
        int64_t sequence;
        int r;

        outbox->sql = sql;
        outbox->data_version = -1;
        r = outbox_prepare(outbox, sql);
        if (r == 0)
                r = outbox_refresh(outbox);
        if (r == 0)
                r = outbox_file_query_int(
                        sql, "SELECT total(seq) FROM sqlite_sequence WHERE name = 'readings'", &sequence);
        if (r < 0) {
                outbox->sql = NULL; /* stays with the caller */
                outbox_detach(outbox);
                return r;
        }
        if (sequence > outbox->last_id)
                outbox->last_id = sequence;
        return 0;
}

/* OUTBOX_OK, OUTBOX_SALVAGED, OUTBOX_NEWER, or an errno. */
static int outbox_reopen(Outbox *outbox, bool suspect, OutboxSalvage *ret_salvage) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        int r, attached;

        r = outbox_file_open(outbox->directory, outbox->last_id, suspect, &sql, ret_salvage);
        if (r < 0 || r == OUTBOX_NEWER)
                return r;
        attached = outbox_attach(outbox, sql);
        if (attached < 0)
                return attached;
        sql = NULL;
        return r;
}

/* Opens the file again, which sets it aside if it is damaged. */
static int outbox_repair(Outbox *outbox) {
        OutboxSalvage salvage = {};
        int r;

        if (outbox->guest)
                return -EUCLEAN;
        outbox_detach(outbox);
        r = outbox_reopen(outbox, true, &salvage);
        if (r == OUTBOX_SALVAGED) {
                log_event(LOG_ERR, EVENT_OUTBOX_DAMAGED, LOG_FIELDS({ FIELD_FILE, salvage.aside }),
                        "The outbox in %s turned out to be damaged. It was set aside as %s, and %" PRIu64
                        " readings that could be read were carried over into a new one, which is in use now. "
                        "Look at the disk; keep the file if readings are missed.",
                        outbox->directory, salvage.aside, salvage.rows);
                return 0;
        }
        return r == OUTBOX_NEWER ? -EPROTONOSUPPORT : r;
}

int outbox_open(const char *directory, const OutboxConfig *caps, Outbox **ret, OutboxSalvage *ret_salvage) {
        _cleanup_(outbox_closep) Outbox *outbox = NULL;
        OutboxSalvage salvage = {};
        int r;

        outbox = calloc(1, sizeof(Outbox));
        if (!outbox)
                return -ENOMEM;
        outbox->caps = *caps;
        outbox->directory = strdup(directory);
        if (!outbox->directory)
                return -ENOMEM;

        r = outbox_reopen(outbox, false, &salvage);
        if (r < 0 || r == OUTBOX_NEWER)
                return r;
        if (r == OUTBOX_SALVAGED && ret_salvage)
                *ret_salvage = salvage;
        *ret = cleanup_steal(outbox);
        return r;
}

Outbox *outbox_close(Outbox *outbox) {
        if (!outbox)
                return NULL;
        outbox_detach(outbox);
        free(outbox->directory);
        free(outbox);
        return NULL;
}

void outbox_set_caps(Outbox *outbox, const OutboxConfig *caps) {
        outbox->caps = *caps;
}

/* ---- transactions ---- */

static int outbox_begin(Outbox *outbox) {
        int r = outbox_step_once(outbox, OUTBOX_BEGIN);

        if (r < 0)
                return r;
        return outbox_refresh(outbox);
}

static void outbox_rollback(Outbox *outbox) {
        (void) outbox_step_once(
                outbox, OUTBOX_ROLLBACK); /* SQLite has done it by itself after some errors, and says so */
        outbox->data_version = -1;
}

static int outbox_transact(Outbox *outbox, OutboxChange change, void *arguments) {
        OutboxCount before[_OUTBOX_TABLE_MAX];
        int r;

        r = outbox_begin(outbox);
        memcpy(before, outbox->counts, sizeof(before));
        if (r == 0)
                r = change(outbox, arguments);
        if (r == 0)
                r = outbox_step_once(outbox, OUTBOX_COMMIT);
        if (r != 0) {
                memcpy(outbox->counts, before, sizeof(before));
                outbox_rollback(outbox);
        }
        return r;
}

/* Makes sure that a file is open, tries, and once more after a repair when the file is damaged. */
static int outbox_try(Outbox *outbox, int (*attempt)(Outbox *outbox, OutboxChange change, void *arguments),
        OutboxChange change, void *arguments) {
        int r = 0;

        if (!outbox->sql)
                r = outbox_repair(outbox);
        if (r == 0)
                r = attempt(outbox, change, arguments);
        if (r != -EUCLEAN)
                return r;
        r = outbox_repair(outbox);
        return r < 0 ? r : attempt(outbox, change, arguments);
}

/* Lets the log begin anew in the space that it has. SQLite does so when it has grown to 4 MB, which a full disk may not
 * allow it. */
static void outbox_restart_log(Outbox *outbox) {
        (void) sql_exec(outbox->sql, "PRAGMA wal_checkpoint(RESTART)");
}

int outbox_change(Outbox *outbox, OutboxChange change, void *arguments) {
        int r = outbox_try(outbox, outbox_transact, change, arguments);

        if (r != -ENOSPC || !outbox->sql)
                return r;
        outbox_restart_log(outbox);
        return outbox_try(outbox, outbox_transact, change, arguments);
}

static int outbox_attempt_read(Outbox *outbox, OutboxChange read, void *arguments) {
        return read(outbox, arguments);
}

int outbox_read(Outbox *outbox, OutboxChange read, void *arguments) {
        return outbox_try(outbox, outbox_attempt_read, read, arguments);
}
