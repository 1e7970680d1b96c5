/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-sql.h"

#include "lib/clock.h"
#include "lib/service.h"

#define PING_USEC (500 * USEC_PER_MSEC)

/* ---- schema ---- */

/* Columns that are needed without the payload come before it, because a large payload continues in overflow pages.
 * `size` is Reading.size, so that forgetting rows need not read them. There is no index: rows are found by id, and a
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

/* Fails if something of all that is missing. */
#define ROW_COLUMNS "id, size, put_at, key, source, type, device, payload, labels"
#define ALL_COLUMNS                                                                                                    \
        "SELECT " ROW_COLUMNS " FROM readings LIMIT 0;"                                                                \
        "SELECT " ROW_COLUMNS ", rejected_at, reason FROM rejected LIMIT 0;"                                           \
        "SELECT name, n, bytes, upto FROM counts LIMIT 0;"                                                             \
        "SELECT source, value FROM cursors LIMIT 0;"                                                                   \
        "SELECT source, n, at, key FROM seen LIMIT 0;"                                                                 \
        "SELECT id, source, size, at, topic, reason, payload FROM unreadable LIMIT 0;"                                 \
        "SELECT source, n FROM dropped LIMIT 0;"

#define RECOUNT                                                                                                        \
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM readings) WHERE name = 'readings';"         \
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM rejected) WHERE name = 'rejected';"

static int in_transaction(Sql *sql, const char *statements) {
        int r = sql_begin(sql, true);

        return r != 0 ? r : sql_end(sql, sql_exec(sql, statements));
}

int outbox_sql_make(Sql *sql, int64_t version) {
        static const char *const from[] = {
                SCHEMA_1 SCHEMA_2 SCHEMA_3,
                SCHEMA_2 SCHEMA_3,
                SCHEMA_3,
        };

        int r = version >= 0 && version < (int64_t) ELEMENTSOF(from) ? in_transaction(sql, from[version]) : 0;

        return r != 0 ? r : sql_exec(sql, ALL_COLUMNS);
}

int outbox_sql_recount(Sql *sql, int64_t version) {
        return in_transaction(sql, version < OUTBOX_SCHEMA ? RECOUNT : RECOUNT ALL_COUNTED);
}

int outbox_sql_open(const char *path, Sql **ret) {
        int r = sql_open(path, ret);

        return r == -ENOSPC ? sql_open_alone(path, ret) : r;
}

int outbox_sql_insert(Sql *sql, const Reading *reading, usec_t at) {
        return sql_do(sql,
                "INSERT INTO readings (size, put_at, key, source, type, device, payload, labels) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                SQL_VALUES(SQL_INT(reading->size), SQL_INT(at), SQL_TEXT(reading->key), SQL_TEXT(reading->source),
                        SQL_TEXT(reading->type), SQL_TEXT(reading->device), SQL_BLOB(reading->payload),
                        SQL_BLOB(reading->labels)));
}

void outbox_sql_ping(void *userdata) {
        usec_t *told = userdata, now = clock_now();

        if (now < *told + PING_USEC)
                return;
        service_working();
        *told = now;
}
