/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-sql.h"

#include "lib/clock.h"
#include "lib/service.h"

#define PING_USEC (500 * USEC_PER_MSEC)

/* ---- schema ---- */

/* Columns that are looked at before the payload come before it: a large payload goes on in overflow pages. `size` is
 * reading_bytes(), so that forgetting rows need not read them. No index on them, on purpose: rows are found by id, and
 * a damaged index could take the file down. auto_vacuum stays off: pages once taken are used again, so a disk that
 * others filled up meanwhile still takes as many readings. */
#define SCHEMA_ROW                                                                                                     \
        "size INTEGER NOT NULL, put_at INTEGER NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, "                    \
        "type TEXT NOT NULL, device TEXT NOT NULL, "

#define SCHEMA_1                                                                                                       \
        "CREATE TABLE readings (id INTEGER PRIMARY KEY AUTOINCREMENT, " SCHEMA_ROW "payload BLOB NOT NULL);"           \
        "CREATE TABLE rejected (id INTEGER PRIMARY KEY, " SCHEMA_ROW                                                   \
        "rejected_at INTEGER NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);"                                  \
        "CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;"       \
        "INSERT INTO counts VALUES ('readings', 0, 0), ('rejected', 0, 0);"

/* Adding columns touches no row, so that a file of any size is upgraded at once. `seen`: n counts up for each source,
 * so that the oldest are found at its lower end. `unreadable`: what could not become a reading; `dropped`: how many of
 * them were more than is kept. */
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

/* Before it all rows were counted in `counts`: that is, up to the last id that was given. */
#define SCHEMA_3 "ALTER TABLE counts ADD COLUMN upto INTEGER NOT NULL DEFAULT 0;" ALL_COUNTED "PRAGMA user_version = 3;"
_Static_assert(OUTBOX_SCHEMA == 3, "the text above makes schema 3");

#define RECOUNT                                                                                                        \
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM readings) WHERE name = 'readings';"         \
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM rejected) WHERE name = 'rejected';"

static int in_transaction(Sql *sql, const char *statements) {
        int r = sql_exec(sql, statements);

        if (r != 0)
                (void) sql_exec(sql, "ROLLBACK");
        return outbox_sql_fault(r);
}

int outbox_sql_make(Sql *sql, int64_t version) {
        static const char *const from[] = {
                "BEGIN IMMEDIATE;" SCHEMA_1 SCHEMA_2 SCHEMA_3 "COMMIT;",
                "BEGIN IMMEDIATE;" SCHEMA_2 SCHEMA_3 "COMMIT;",
                "BEGIN IMMEDIATE;" SCHEMA_3 "COMMIT;",
        };

        return version >= 0 && version < (int64_t) ELEMENTSOF(from) ? in_transaction(sql, from[version]) : 0;
}

int outbox_sql_recount(Sql *sql, int64_t version) {
        return in_transaction(sql, version < OUTBOX_SCHEMA ? "BEGIN IMMEDIATE;" RECOUNT "COMMIT;"
                                                           : "BEGIN IMMEDIATE;" RECOUNT ALL_COUNTED "COMMIT;");
}

int outbox_sql_open(const char *path, Sql **ret) {
        int r = sql_open(path, ret);

        return r == -ENOSPC ? sql_open_alone(path, ret) : r;
}

int outbox_sql_query_int(Sql *sql, const char *query, int64_t *ret) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int r;

        r = sql_prepare(sql, query, &statement);
        if (r != 0)
                return outbox_sql_fault(r);
        r = sql_step(statement);
        if (r != SQL_ROW)
                return r == SQL_DONE ? -ENODATA : outbox_sql_fault(r);
        *ret = sql_column_int(statement, 0);
        return 0;
}

int outbox_sql_used_bytes(Sql *sql, int64_t *ret) {
        int64_t pages, free_pages, page_size;
        int r;

        r = outbox_sql_query_int(sql, "PRAGMA page_count", &pages);
        if (r == 0)
                r = outbox_sql_query_int(sql, "PRAGMA freelist_count", &free_pages);
        if (r == 0)
                r = outbox_sql_query_int(sql, "PRAGMA page_size", &page_size);
        if (r < 0)
                return r;
        *ret = (pages - free_pages) * page_size;
        return 0;
}

void outbox_sql_ping(void *userdata) {
        usec_t *told = userdata, now = clock_now();

        if (now < *told + PING_USEC)
                return;
        service_working();
        *told = now;
}
