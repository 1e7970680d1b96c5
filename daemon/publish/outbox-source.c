/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lib/err.h"
#include "publish/outbox-sql.h"

#define FROM_SEEN "FROM seen WHERE source = ?1"
/* The last number. One that is out of range is damage: none would follow it, so that a new key would count as known. */
#define LAST_SEEN "(SELECT coalesce(max(n), 0) " FROM_SEEN " AND n BETWEEN 0 AND 9007199254740991)"

/* a smaller difference does not matter for keys that are kept for days */
#define CLOCK_SET_USEC ((int64_t) USEC_PER_HOUR)

/* ---- keys of readings that may come again ---- */

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

/* ---- together ---- */

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

int outbox_source_cursor(Sql *sql, const char *source, Bytes *ret) {
        SqlStatement *s;
        Slice value;
        int r;

        r = sql_use(sql, "SELECT value FROM cursors WHERE source = ?1", &s);
        if (r < 0)
                return r;
        sql_bind_text(s, 1, source);
        r = sql_step(s);
        if (r == SQL_ROW) {
                value = sql_column(s, 0);
                r = bytes_append(ret, value.data, value.size);
        }
        sql_reset(s);
        return r;
}
