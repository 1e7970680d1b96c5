/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-source.h"

#include <string.h>

#include "lib/err.h"
#include "publish/outbox-sql.h"

#define FROM_SEEN "FROM seen WHERE source = ?1"
/* The last number. One that is out of range is damage: none would follow it, so that a new key would count as known. */
#define LAST_SEEN "(SELECT coalesce(max(n), 0) " FROM_SEEN " AND n BETWEEN 0 AND 9007199254740991)"

/* a smaller difference does not matter for keys that are kept for days */
#define CLOCK_SET_USEC ((int64_t) USEC_PER_HOUR)

enum {
        SEE,
        UNSEE,
        SEE_AGAIN,
        SEEN_SHIFT,
        SEEN_MANY,
        SEEN_LONG_AGO,
        CURSOR,
        CURSOR_SET,
        KEEP,
        KEPT_MANY,
        DROP,
        DROPPED
};

static const char *const statements[] = {
        [SEE] = "INSERT INTO seen (source, n, at, key) VALUES (?1, " LAST_SEEN " + 1, ?2, ?3)",
        [UNSEE] = "DELETE " FROM_SEEN " AND key = ?2",
        [SEE_AGAIN] = "UPDATE seen SET at = ?2 WHERE source = ?1 AND key = ?3 AND at < ?4",
        [SEEN_SHIFT] = "UPDATE seen SET at = min(at + ?1, ?2) WHERE ?1 > 0 OR at > ?2",
        [SEEN_MANY] = "DELETE " FROM_SEEN " AND n <= " LAST_SEEN " - ?2",
        [SEEN_LONG_AGO] = "DELETE " FROM_SEEN " AND n < (SELECT n " FROM_SEEN " AND at >= ?2 ORDER BY n LIMIT 1)",
        [CURSOR] = "SELECT value FROM cursors WHERE source = ?1",
        [CURSOR_SET] = "INSERT OR REPLACE INTO cursors (source, value) VALUES (?1, ?2)",
        [KEEP] =
                "INSERT INTO unreadable (source, at, size, topic, reason, payload) SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE "
                "NOT (?7 AND EXISTS (SELECT 1 FROM unreadable WHERE source = ?1 AND size = ?3 AND payload = ?6))",
        [KEPT_MANY] = "DELETE FROM unreadable WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER newest AS n, "
                      "sum(iif(size BETWEEN 0 AND ?3, size, 0)) OVER newest AS bytes FROM unreadable WHERE source = ?1 "
                      "WINDOW newest AS (ORDER BY id "
                      "DESC)) WHERE n > ?2 OR bytes > ?3)",
        [DROP] = "INSERT INTO dropped (source, n) VALUES (?1, coalesce(?2, changes())) ON CONFLICT (source) DO UPDATE "
                 "SET n = coalesce(n, 0) + excluded.n",
        [DROPPED] = "SELECT n FROM dropped WHERE source = ?1",
};
_Static_assert(ELEMENTSOF(statements) == ELEMENTSOF(((OutboxSource *) 0)->statements), "room for each");

int outbox_source_open(OutboxSource *s, Sql *sql) {
        return outbox_sql_prepare(sql, statements, ELEMENTSOF(statements), s->statements);
}

void outbox_source_close(OutboxSource *s) {
        sql_finalize_all(s->statements, ELEMENTSOF(s->statements));
}

/* ---- keys of readings that may come again ---- */

static int source_see(OutboxSource *s, const char *source, const char *seen, bool anew, usec_t now) {
        int r;

        if (!seen)
                return OUTBOX_SOURCE_NEW;
        if (anew) {
                r = sql_run_with(s->statements[UNSEE], SQL_VALUES(SQL_TEXT(source), SQL_TEXT(seen)));
                if (r < 0)
                        return r;
        }
        r = sql_run_with(s->statements[SEE], SQL_VALUES(SQL_TEXT(source), SQL_INT(now), SQL_TEXT(seen)));
        return r == -EEXIST ? OUTBOX_SOURCE_REPEAT : r;
}

/* Updates the time of a key in place. So newer keys may be kept longer than usual; a source's limit still applies. */
static int source_see_again(OutboxSource *s, const Reading *reading, usec_t now) {
        return sql_run_with(
                s->statements[SEE_AGAIN], SQL_VALUES(SQL_TEXT(reading->source), SQL_INT(now), SQL_TEXT(reading->seen),
                                                  SQL_INT(now - OUTBOX_SEEN_AGAIN_USEC)));
}

static int64_t wall_offset(usec_t wall) {
        return (int64_t) (wall - clock_now());
}

/* Shifts the times of all keys when the clock was set. Nobody knows which keys were written with a wrong clock; those
 * of an earlier process may be right. So no key gets a time in the future, and none gets older than its own time
 * says. */
int outbox_source_note_clock(OutboxSource *s, usec_t wall) {
        int64_t moved = wall_offset(wall) - s->offset;

        if (s->offset == 0 || (moved < CLOCK_SET_USEC && moved > -CLOCK_SET_USEC))
                return 0;
        return sql_run_with(s->statements[SEEN_SHIFT], SQL_VALUES(SQL_INT(moved), SQL_INT(wall)));
}

void outbox_source_noted(OutboxSource *s, usec_t wall) {
        s->offset = wall_offset(wall);
}

int outbox_source_see(OutboxSource *s, const Reading *reading, usec_t now) {
        int r = source_see(s, reading->source, reading->seen, reading->anew, now);
        int again = r == OUTBOX_SOURCE_REPEAT && reading->again ? source_see_again(s, reading, now) : 0;

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

static int source_prune_seen(OutboxSource *s, const ReadingList *list, usec_t now) {
        const char *source = list_named(list);
        int r;

        if (!source)
                return 0;
        r = sql_run_with(s->statements[SEEN_MANY], SQL_VALUES(SQL_TEXT(source), SQL_INT(READING_SEEN_MAX)));
        if (r < 0)
                return r;
        return sql_run_with(
                s->statements[SEEN_LONG_AGO], SQL_VALUES(SQL_TEXT(source), SQL_INT(now - OUTBOX_SEEN_USEC)));
}

/* ---- the unreadable ---- */

static int source_count_dropped(OutboxSource *s, const char *source, size_t n) {
        return sql_run_with(s->statements[DROP], SQL_VALUES(SQL_TEXT(source), SQL_INT(n)));
}

static int source_keep(OutboxSource *s, const char *source, const Unreadable *unreadable, usec_t now) {
        SqlStatement *keep = s->statements[KEEP];
        size_t size = unreadable->payload.size + strlen(unreadable->topic);
        int r;

        r = source_see(s, source, unreadable->seen, unreadable->anew, now);
        if (r != OUTBOX_SOURCE_NEW)
                return r < 0 ? r : 0;
        if (size > OUTBOX_UNREADABLE_BYTES) /* it would displace all others */
                return source_count_dropped(s, source, 1);
        return sql_run_with(keep,
                SQL_VALUES(SQL_TEXT(source), SQL_INT(now), SQL_INT(size), SQL_TEXT(unreadable->topic),
                        SQL_TEXT(unreadable->reason), SQL_BLOB(unreadable->payload), SQL_INT(unreadable->repeats)));
}

static int source_keep_all(OutboxSource *s, const ReadingList *list, usec_t now) {
        int r = 0;

        if (list->n_unreadable == 0)
                return 0;
        for (size_t i = 0; r == 0 && i < list->n_unreadable; i++)
                r = source_keep(s, list->source, &list->unreadable[i], now);
        if (r == 0)
                r = source_count_dropped(s, list->source, list->n_dropped);
        if (r < 0)
                return r;
        r = sql_run_with(s->statements[KEPT_MANY],
                SQL_VALUES(SQL_TEXT(list->source), SQL_INT(OUTBOX_UNREADABLE_ROWS), SQL_INT(OUTBOX_UNREADABLE_BYTES)));
        if (r < 0)
                return r;
        return sql_run_with(s->statements[DROP], SQL_VALUES(SQL_TEXT(list->source)));
}

/* ---- together ---- */

int outbox_source_put(OutboxSource *s, const ReadingList *list, usec_t now) {
        int r;

        r = source_prune_seen(s, list, now);
        if (r < 0)
                return r;
        r = source_keep_all(s, list, now);
        if (r < 0 || !list->cursor)
                return r;
        return sql_run_with(s->statements[CURSOR_SET], SQL_VALUES(SQL_TEXT(list->source), SQL_TEXT(list->cursor)));
}

int outbox_source_cursor(OutboxSource *s, const char *source, Bytes *ret) {
        SqlStatement *select = s->statements[CURSOR];
        Slice value;
        int r;

        sql_bind_text(s->statements[CURSOR], 1, source);
        r = sql_step(select);
        if (r == SQL_ROW) {
                value = sql_column(select, 0);
                r = bytes_append(ret, value.data, value.size);
        }
        sql_reset(select);
        return r;
}

int outbox_source_dropped(OutboxSource *s, const char *source, uint64_t *ret) {
        SqlStatement *select = s->statements[DROPPED];
        int r;

        sql_bind_text(s->statements[DROPPED], 1, source);
        r = sql_step(select);
        *ret = r == SQL_ROW ? (uint64_t) sql_column_int(select, 0) : 0;
        sql_reset(select);
        return r == SQL_ROW ? 0 : r;
}
