/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-sql.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/err.h"

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

#define ALL_COUNTED                                                                                                    \
        "UPDATE counts SET upto = max(coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'readings'), 0), "   \
        "coalesce((SELECT max(id) FROM readings), 0)) WHERE name = 'readings';"

/* Adding columns does not touch rows, so a file of any size is upgraded at once. Schema 1 counted all rows, which means
 * up to the last id. `seen`: n increases for each source, so that the oldest keys have the lowest n. `unreadable`:
 * input that could not become a reading; `dropped`: how many of them were deleted. No release made schema 2. */
#define SCHEMA_3                                                                                                       \
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
        "ALTER TABLE counts ADD COLUMN upto INTEGER NOT NULL DEFAULT 0;" ALL_COUNTED "PRAGMA user_version = 3;"
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
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM rejected) WHERE name = "                    \
        "'rejected';" ALL_COUNTED

int outbox_sql_make(Sql *sql, int64_t version) {
        static const char *const from[] = { SCHEMA_1 SCHEMA_3, SCHEMA_3 };
        int r = version >= 0 && version < (int64_t) ELEMENTSOF(from) ? sql_exec(sql, from[version]) : 0;

        return r != 0 ? r : sql_exec(sql, ALL_COLUMNS);
}

int outbox_sql_recount(Sql *sql) {
        int r = sql_begin(sql, true);

        return r != 0 ? r : sql_end(sql, sql_exec(sql, RECOUNT));
}

/* ---- rows and their counts ---- */

int outbox_sql_insert(Sql *sql, const Reading *reading, usec_t at) {
        return sql_do(sql,
                "INSERT INTO readings (size, put_at, key, source, type, device, payload, labels) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                SQL_VALUES(SQL_INT(reading->size), SQL_INT(at), SQL_TEXT(reading->key), SQL_TEXT(reading->source),
                        SQL_TEXT(reading->type), SQL_TEXT(reading->device), SQL_BLOB(reading->payload),
                        SQL_BLOB(reading->labels)));
}

static int counts_measure(Sql *sql, int64_t first, int64_t last, OutboxCount *ret) {
        int64_t size[2];
        int r = sql_ints(sql, "SELECT count(*), total(size) FROM readings WHERE id BETWEEN ?1 AND ?2",
                SQL_VALUES(SQL_INT(first), SQL_INT(last)), 2, size);

        if (r == 0)
                *ret = (OutboxCount){ (uint64_t) size[0], (uint64_t) size[1] };
        return r;
}

int outbox_counts_load(OutboxCounts *c, Sql *sql) {
        int64_t waiting[3], rejected[2];
        OutboxCount above = {};
        int r;

        r = sql_ints(sql, "SELECT n, bytes, upto FROM counts WHERE name = 'readings' AND upto <= " OUTBOX_SQL_LAST_ID,
                NULL, 3, waiting);
        if (r == 0)
                r = sql_ints(sql, "SELECT n, bytes FROM counts WHERE name = 'rejected'", NULL, 2, rejected);
        if (r == 0)
                r = counts_measure(sql, waiting[2] + 1, INT64_MAX, &above);
        if (r < 0)
                return r;
        *c = (OutboxCounts){
                .waiting = { (uint64_t) waiting[0] + above.rows, (uint64_t) waiting[1] + above.bytes },
                .rejected = { (uint64_t) rejected[0], (uint64_t) rejected[1] },
                .uncounted = above.rows,
                .upto = waiting[2],
        };
        return 0;
}

/* Writes the waiting ones as a whole: from now on, all rows are counted in the file. */
static int counts_write(OutboxCounts *c, Sql *sql) {
        int r = sql_ints(sql, "SELECT " OUTBOX_SQL_LAST_ID, NULL, 1, &c->upto);

        if (r < 0)
                return r;
        c->uncounted = 0;
        return sql_do(sql, "UPDATE counts SET n = ?1, bytes = ?2, upto = ?3 WHERE name = 'readings'",
                SQL_VALUES(SQL_INT(c->waiting.rows), SQL_INT(c->waiting.bytes), SQL_INT(c->upto)));
}

int outbox_counts_put(OutboxCounts *c, Sql *sql, const OutboxCount *put) {
        c->waiting.rows += put->rows;
        c->waiting.bytes += put->bytes;
        c->uncounted += put->rows;
        return c->uncounted > OUTBOX_SQL_UNCOUNTED_MAX ? counts_write(c, sql) : 0;
}

int outbox_counts_forget(OutboxCounts *c, Sql *sql, int64_t first, int64_t last) {
        OutboxCount size = {};
        int r;

        r = counts_measure(sql, first, last, &size);
        if (r < 0 || size.rows == 0)
                return r;
        r = sql_do(sql, "DELETE FROM readings WHERE id BETWEEN ?1 AND ?2", SQL_VALUES(SQL_INT(first), SQL_INT(last)));
        if (r < 0)
                return r;
        c->waiting.rows -= size.rows;
        c->waiting.bytes -= size.bytes;
        if (first <= c->upto)
                return counts_write(c, sql);
        c->uncounted -= size.rows;
        return 0;
}

#define COPIED "size, put_at, key, source, type, device, payload, labels"

int outbox_counts_reject(OutboxCounts *c, Sql *sql, int64_t id, const char *reason, usec_t now) {
        OutboxCount size = {};
        int r;

        r = counts_measure(sql, id, id, &size);
        if (r < 0 || size.rows == 0)
                return r;
        c->rejected.rows += size.rows;
        c->rejected.bytes += size.bytes;
        r = sql_do(sql, "UPDATE counts SET n = ?1, bytes = ?2 WHERE name = 'rejected'",
                SQL_VALUES(SQL_INT(c->rejected.rows), SQL_INT(c->rejected.bytes)));
        /* the id may be used: by the same reading, which waits again because an older copy of the file was put back */
        if (r == 0)
                r = sql_do(sql,
                        "INSERT INTO rejected (id, rejected_at, reason, " COPIED ") SELECT CASE WHEN id IN (SELECT id "
                        "FROM rejected) THEN (SELECT max(id) + 1 FROM rejected) ELSE id END, ?2, ?3, " COPIED
                        " FROM readings WHERE id = ?1",
                        SQL_VALUES(SQL_INT(id), SQL_INT(now), SQL_TEXT(reason)));
        return r < 0 ? r : outbox_counts_forget(c, sql, id, id);
}

/* ---- keys of readings that may come again ---- */

#define FROM_SEEN "FROM seen WHERE source = ?1"
/* The last number. One that is out of range is damage: none would follow it, so that a new key would count as known. */
#define LAST_SEEN "(SELECT coalesce(max(n), 0) " FROM_SEEN " AND n BETWEEN 0 AND 9007199254740991)"

/* a smaller difference does not matter for keys that are kept for days */
#define CLOCK_SET_USEC ((int64_t) USEC_PER_HOUR)

static int source_see(Sql *sql, const char *source, const char *seen, bool anew, usec_t now) {
        int r;

        if (anew) {
                r = sql_do(sql, "DELETE " FROM_SEEN " AND key = ?2", SQL_VALUES(SQL_TEXT(source), SQL_TEXT(seen)));
                if (r < 0)
                        return r;
        }
        r = sql_do(sql, "INSERT INTO seen (source, n, at, key) VALUES (?1, " LAST_SEEN " + 1, ?2, ?3)",
                SQL_VALUES(SQL_TEXT(source), SQL_INT(now), SQL_TEXT(seen)));
        return r == -EEXIST ? OUTBOX_SOURCE_REPEAT : r;
}

/* Updates the time of a key in place. So newer keys may be kept longer than usual; a source's limit still applies. */
static int source_see_again(Sql *sql, const Reading *reading, usec_t now) {
        return sql_do(sql, "UPDATE seen SET at = ?2 WHERE source = ?1 AND key = ?3 AND at < ?4",
                SQL_VALUES(SQL_TEXT(reading->source), SQL_INT(now), SQL_TEXT(reading->seen),
                        SQL_INT(now - OUTBOX_SEEN_AGAIN_USEC)));
}

/* Shifts the times of all keys when the clock was set. Nobody knows which keys were written with a wrong clock; those
 * of an earlier process may be right. So no key gets a time in the future, and none gets older than its own time
 * says. */
int outbox_source_shift(Sql *sql, int64_t moved, usec_t wall) {
        if (moved < CLOCK_SET_USEC && moved > -CLOCK_SET_USEC)
                return 0;
        return sql_do(sql, "UPDATE seen SET at = min(at + ?1, ?2) WHERE ?1 > 0 OR at > ?2",
                SQL_VALUES(SQL_INT(moved), SQL_INT(wall)));
}

int outbox_source_see(Sql *sql, const Reading *reading, usec_t now) {
        int r = source_see(sql, reading->source, reading->seen, reading->anew, now);
        int again = r == OUTBOX_SOURCE_REPEAT && reading->again ? source_see_again(sql, reading, now) : 0;

        return again < 0 ? again : r;
}

/* Returns the source if something in the list has a `seen` key, else NULL. */
static const char *list_named(const ReadingList *list) {
        for (size_t i = 0; i < list->n; i++)
                if (list->items[i].seen)
                        return list->items[i].source;
        for (size_t i = 0; i < list->n_unreadable; i++)
                if (list->unreadable[i].seen)
                        return list->source;
        return NULL;
}

static int source_prune_seen(Sql *sql, const ReadingList *list, usec_t now) {
        const char *source = list_named(list);
        int r;

        if (!source)
                return 0;
        r = sql_do(sql, "DELETE " FROM_SEEN " AND n <= " LAST_SEEN " - ?2",
                SQL_VALUES(SQL_TEXT(source), SQL_INT(READING_SEEN_MAX)));
        if (r < 0)
                return r;
        return sql_do(sql, "DELETE " FROM_SEEN " AND n < (SELECT n " FROM_SEEN " AND at >= ?2 ORDER BY n LIMIT 1)",
                SQL_VALUES(SQL_TEXT(source), SQL_INT(now - OUTBOX_SEEN_USEC)));
}

/* ---- the unreadable ---- */

#define DROP(n)                                                                                                        \
        "INSERT INTO dropped (source, n) VALUES (?1, " n ") ON CONFLICT (source) DO UPDATE SET n = coalesce(n, 0) + "  \
        "excluded.n"

static int source_count_dropped(Sql *sql, const char *source, size_t n) {
        return sql_do(sql, DROP("?2"), SQL_VALUES(SQL_TEXT(source), SQL_INT(n)));
}

static int source_keep(Sql *sql, const char *source, const Unreadable *unreadable, usec_t now) {
        size_t size = unreadable->payload.size + strlen(unreadable->topic);
        int r;

        r = unreadable->seen ? source_see(sql, source, unreadable->seen, unreadable->anew, now) : OUTBOX_SOURCE_NEW;
        if (r != OUTBOX_SOURCE_NEW)
                return r < 0 ? r : 0;
        if (size > OUTBOX_UNREADABLE_BYTES) /* it would displace all others */
                return source_count_dropped(sql, source, 1);
        return sql_do(sql,
                "INSERT INTO unreadable (source, at, size, topic, reason, payload) SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE "
                "NOT (?7 AND EXISTS (SELECT 1 FROM unreadable WHERE source = ?1 AND size = ?3 AND payload = ?6))",
                SQL_VALUES(SQL_TEXT(source), SQL_INT(now), SQL_INT(size), SQL_TEXT(unreadable->topic),
                        SQL_TEXT(unreadable->reason), SQL_BLOB(unreadable->payload), SQL_INT(unreadable->repeats)));
}

static int source_keep_all(Sql *sql, const ReadingList *list, usec_t now) {
        int r = 0;

        if (list->n_unreadable == 0)
                return 0;
        for (size_t i = 0; r == 0 && i < list->n_unreadable; i++)
                r = source_keep(sql, list->source, &list->unreadable[i], now);
        if (r == 0)
                r = source_count_dropped(sql, list->source, list->n_dropped);
        if (r == 0)
                r = sql_do(sql,
                        "DELETE FROM unreadable WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER newest AS n, "
                        "sum(iif(size BETWEEN 0 AND ?3, size, 0)) OVER newest AS bytes FROM unreadable WHERE source = "
                        "?1 WINDOW newest AS (ORDER BY id DESC)) WHERE n > ?2 OR bytes > ?3)",
                        SQL_VALUES(SQL_TEXT(list->source), SQL_INT(OUTBOX_UNREADABLE_ROWS),
                                SQL_INT(OUTBOX_UNREADABLE_BYTES)));
        if (r == 0)
                r = sql_do(sql, DROP("changes()"), SQL_VALUES(SQL_TEXT(list->source)));
        return r;
}

/* ---- all that a list brings for its source ---- */

int outbox_source_put(Sql *sql, const ReadingList *list, usec_t now) {
        int r;

        r = source_prune_seen(sql, list, now);
        if (r == 0)
                r = source_keep_all(sql, list, now);
        if (r < 0 || !list->cursor)
                return r;
        return sql_do(sql, "INSERT OR REPLACE INTO cursors (source, value) VALUES (?1, ?2)",
                SQL_VALUES(SQL_TEXT(list->source), SQL_TEXT(list->cursor)));
}
