/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-sql.h"

#include "lib/clock.h"
#include "lib/service.h"

#define PING_USEC (500 * USEC_PER_MSEC)

/* ---- schema ---- */

/* Columns that are needed without the payload come before it, because a large payload continues in overflow pages.
 * `size` is reading_bytes(), so that forgetting rows need not read them. There is no index: rows are found by id, and a
 * damaged index could make the file unusable. auto_vacuum stays off: free pages stay in the file, so the outbox can
 * hold as many readings again even if other programs fill the disk. */
#define SCHEMA_ROW                                                                                                     \
        "size INTEGER NOT NULL, put_at INTEGER NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, "                    \
        "type TEXT NOT NULL, device TEXT NOT NULL, "

#define SCHEMA_1                                                                                                       \
        "CREATE TABLE readings (id INTEGER PRIMARY KEY AUTOINCREMENT, " SCHEMA_ROW "payload BLOB NOT NULL);"           \
        "CREATE TABLE rejected (id INTEGER PRIMARY KEY, " SCHEMA_ROW                                                   \
        "rejected_at INTEGER NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);"                                  \
        "CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;"       \
        "INSERT INTO counts VALUES ('readings', 0, 0), ('rejected', 0, 0);"

/* Adding columns does not touch rows, so a file of any size is upgraded at once. `seen`: n increases for each source,
 * so that the oldest keys have the lowest n. `unreadable`: input that could not become a reading; `dropped`: how many
 * of them were deleted. */
#define SCHEMA_2                                                                                                       \
        "ALTER TABLE readings ADD COLUMN labels BLOB NOT NULL DEFAULT x'';"                                            \
        "ALTER TABLE rejected ADD COLUMN labels BLOB NOT NULL DEFAULT x'';"                                            \
        "CREATE TABLE cursors (source TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"                           \
        "CREATE TABLE seen (source TEXT, n INTEGER, at INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (source, n)) " \
        "WITHOUT ROWID;"                                                                                               \
        "CREATE UNIQUE INDEX seen_key ON seen (source, key);"                                                          \
        "CREATE TABLE unreadable (id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, size INTEGER NOT NULL, " \
        "at INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);"                      \
        "CREATE INDEX unreadable_source ON unreadable (source, id, size);"                                             \
        "CREATE TABLE dropped (source TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;"                            \
        "PRAGMA user_version = 2;"

#define ALL_COUNTED                                                                                                    \
        "UPDATE counts SET upto = max(coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'readings'), 0), "   \
        "coalesce((SELECT max(id) FROM readings), 0)) WHERE name = 'readings';"

/* Before schema 3, `counts` counted all rows, which means up to the last id. */
#define SCHEMA_3 "ALTER TABLE counts ADD COLUMN upto INTEGER NOT NULL DEFAULT 0;" ALL_COUNTED "PRAGMA user_version = 3;"
_Static_assert(OUTBOX_SCHEMA == 3, "the text above makes schema 3");

#define RECOUNT                                                                                                        \
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM readings) WHERE name = 'readings';"         \
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM rejected) WHERE name = 'rejected';"

static int in_transaction(Sql *sql, const char *statements) {
        int r = sql_begin(sql, true);

        return outbox_sql_fault(r != 0 ? r : sql_end(sql, sql_exec(sql, statements)));
}

int outbox_sql_make(Sql *sql, int64_t version) {
        static const char *const from[] = {
                SCHEMA_1 SCHEMA_2 SCHEMA_3,
                SCHEMA_2 SCHEMA_3,
                SCHEMA_3,
        };

        return version >= 0 && version < (int64_t) ELEMENTSOF(from) ? in_transaction(sql, from[version]) : 0;
}

int outbox_sql_recount(Sql *sql, int64_t version) {
        return in_transaction(sql, version < OUTBOX_SCHEMA ? RECOUNT : RECOUNT ALL_COUNTED);
}

int outbox_sql_open(const char *path, Sql **ret) {
        int r = sql_open(path, ret);

        return r == -ENOSPC ? sql_open_alone(path, ret) : r;
}

int outbox_sql_prepare(Sql *sql, const char *const *texts, size_t n, SqlStatement **ret) {
        int r = sql_prepare_all(sql, texts, n, ret);

        return r == -EINVAL ? -EUCLEAN : outbox_sql_fault(r);
}

void outbox_sql_bind(SqlStatement *statement, const Reading *reading, usec_t at) {
        sql_bind_int(statement, 1, (int64_t) reading_bytes(reading));
        sql_bind_int(statement, 2, (int64_t) at);
        sql_bind_text(statement, 3, reading->key);
        sql_bind_text(statement, 4, reading->source);
        sql_bind_text(statement, 5, reading->type);
        sql_bind_text(statement, 6, reading->device);
        sql_bind_blob(statement, 7, reading->payload.data, reading->payload.size);
        sql_bind_blob(statement, 8, reading->labels.data, reading->labels.size);
}

int outbox_sql_query_int(Sql *sql, const char *query, int64_t *ret) {
        return outbox_sql_fault(sql_query_int(sql, query, ret));
}

void outbox_sql_ping(void *userdata) {
        usec_t *told = userdata, now = clock_now();

        if (now < *told + PING_USEC)
                return;
        service_working();
        *told = now;
}

/* ---- how much it holds ---- */

enum { WAITING, REJECTED, SET, ADD, RANGE_SIZE, RANGE_DELETE };

static const char *const statements[] = {
        [WAITING] = ("SELECT n, bytes, upto FROM counts WHERE name = 'readings' AND upto <= " OUTBOX_SQL_LAST_ID),
        [REJECTED] = "SELECT n, bytes FROM counts WHERE name = 'rejected'",
        [SET] = "UPDATE counts SET n = ?1, bytes = ?2, upto = ?3 WHERE name = 'readings'",
        [ADD] = "UPDATE counts SET n = n + ?1, bytes = bytes + ?2 WHERE name = ?3",
        [RANGE_SIZE] = "SELECT count(*), total(size) FROM readings WHERE id BETWEEN ?1 AND ?2",
        [RANGE_DELETE] = "DELETE FROM readings WHERE id BETWEEN ?1 AND ?2",
};
_Static_assert(ELEMENTSOF(statements) == ELEMENTSOF(((OutboxCounts *) 0)->statements), "room for each");

int outbox_counts_open(OutboxCounts *c, Sql *sql) {
        return outbox_sql_prepare(sql, statements, ELEMENTSOF(statements), c->statements);
}

void outbox_counts_close(OutboxCounts *c) {
        sql_finalize_all(c->statements, ELEMENTSOF(c->statements));
}

/* Runs a statement that returns rows and bytes, and perhaps an id. -EUCLEAN: it returns nothing. */
static int counts_read(OutboxCounts *c, int statement, OutboxCount *ret, int64_t *ret_upto) {
        SqlStatement *s = c->statements[statement];
        int r = sql_step(s);

        if (r == SQL_ROW) {
                *ret = (OutboxCount){ (uint64_t) sql_column_int(s, 0), (uint64_t) sql_column_int(s, 1) };
                if (ret_upto)
                        *ret_upto = sql_column_int(s, 2);
        }
        sql_reset(s);
        return r == SQL_ROW ? 0 : r == SQL_DONE ? -EUCLEAN : outbox_sql_fault(r);
}

static void bind_range(OutboxCounts *c, int statement, int64_t first, int64_t last) {
        sql_bind_int(c->statements[statement], 1, first);
        sql_bind_int(c->statements[statement], 2, last);
}

static int counts_measure(OutboxCounts *c, int64_t first, int64_t last, OutboxCount *ret) {
        bind_range(c, RANGE_SIZE, first, last);
        return counts_read(c, RANGE_SIZE, ret, NULL);
}

int outbox_counts_load(OutboxCounts *c) {
        OutboxCount waiting, rejected, above;
        int64_t upto;
        int r;

        r = counts_read(c, WAITING, &waiting, &upto);
        if (r == 0)
                r = counts_read(c, REJECTED, &rejected, NULL);
        if (r == 0)
                r = counts_measure(c, upto + 1, INT64_MAX, &above);
        if (r < 0)
                return r;
        c->waiting = (OutboxCount){ waiting.rows + above.rows, waiting.bytes + above.bytes };
        c->rejected = rejected;
        c->uncounted = above.rows;
        c->upto = upto;
        return 0;
}

int outbox_counts_put(OutboxCounts *c, uint64_t rows, uint64_t bytes, int64_t last) {
        c->waiting.rows += rows;
        c->waiting.bytes += bytes;
        c->uncounted += rows;
        if (c->uncounted <= OUTBOX_SQL_UNCOUNTED_MAX)
                return 0;
        c->uncounted = 0;
        c->upto = last;
        sql_bind_int(c->statements[SET], 1, (int64_t) c->waiting.rows);
        sql_bind_int(c->statements[SET], 2, (int64_t) c->waiting.bytes);
        sql_bind_int(c->statements[SET], 3, last);
        return outbox_sql_fault(sql_run(c->statements[SET]));
}

/* Changes the stored counts by these numbers, which may be negative. */
static int counts_add(OutboxCounts *c, const char *name, int64_t rows, int64_t bytes) {
        sql_bind_int(c->statements[ADD], 1, rows);
        sql_bind_int(c->statements[ADD], 2, bytes);
        sql_bind_text(c->statements[ADD], 3, name);
        return outbox_sql_fault(sql_run(c->statements[ADD]));
}

/* Deletes a range of ids that is completely below or completely above *upto*. */
static int forget_range(OutboxCounts *c, int64_t first, int64_t last) {
        OutboxCount size;
        int r;

        r = counts_measure(c, first, last, &size);
        if (r < 0 || size.rows == 0)
                return r;
        bind_range(c, RANGE_DELETE, first, last);
        r = outbox_sql_fault(sql_run(c->statements[RANGE_DELETE]));
        if (r < 0)
                return r;
        c->waiting.rows -= size.rows;
        c->waiting.bytes -= size.bytes;
        if (first <= c->upto)
                return counts_add(c, "readings", -(int64_t) size.rows, -(int64_t) size.bytes);
        c->uncounted -= size.rows;
        return 0;
}

int outbox_counts_forget(OutboxCounts *c, int64_t first, int64_t last) {
        int r;

        if (first > c->upto || last <= c->upto)
                return forget_range(c, first, last);
        r = forget_range(c, first, c->upto);
        return r < 0 ? r : forget_range(c, c->upto + 1, last);
}

int outbox_counts_reject(OutboxCounts *c, int64_t id) {
        OutboxCount size;
        int r;

        r = counts_measure(c, id, id, &size);
        if (r < 0 || size.rows == 0)
                return r < 0 ? r : OUTBOX_COUNTS_NO_ROW;
        c->rejected.rows += size.rows;
        c->rejected.bytes += size.bytes;
        return counts_add(c, "rejected", (int64_t) size.rows, (int64_t) size.bytes);
}
