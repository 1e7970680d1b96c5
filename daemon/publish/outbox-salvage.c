/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-sql.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/service.h"

/* how many ids are tried one by one between damaged places; takes about 10 s */
#define SALVAGE_PROBES_MAX 4000000
#define SALVAGE_COMMIT_BYTES (256 * 1024) /* limits the write-ahead log while copying, and the time of a commit */
/* how many more known rows than new ones are accepted: beyond that, a damaged tree leads round in circles */
#define SALVAGE_KNOWN_MAX 1000

/* ---- rows ---- */

/* A damaged page may return a value of any type, or none. */
#define NUMBER(column) "CAST(coalesce(" column ", 0) AS INTEGER)"
#define TEXT(column) "CAST(coalesce(" column ", '') AS TEXT)"
#define BLOB(column) "CAST(coalesce(" column ", x'') AS BLOB)"

#define ROW_READ                                                                                                       \
        NUMBER("put_at")                                                                                               \
        ", " TEXT("key") ", " TEXT("source") ", " TEXT("type") ", " TEXT("device") ", " BLOB("payload")
#define ROW_COLUMNS "put_at, key, source, type, device, payload, labels"
/* Computed again: the size in the damaged file may be wrong. */
#define ROW_SIZE                                                                                                       \
        "length(CAST(?2 AS BLOB)) + length(CAST(?3 AS BLOB)) + length(CAST(?4 AS BLOB)) + length(CAST(?5 AS BLOB)) + " \
        "length(?6) + length(?7)"

typedef struct SalvageTable {
        const char *name, *columns; /* columns in the order of the file, without the id and the labels */
        const char *read, *insert;  /* insert: ?1 to ?n are the columns that were read, ?n+1 is the id */
        int n;
} SalvageTable;

static const SalvageTable salvage_tables[] = {
        { "readings", "size, put_at, key, source, type, device, payload", "",
                "INSERT INTO readings (" ROW_COLUMNS ", id, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, " ROW_SIZE
                ")",
                7 },
        { "rejected", "size, put_at, key, source, type, device, rejected_at, reason, payload",
                ", " NUMBER("rejected_at") ", " TEXT("reason"),
                "INSERT INTO rejected (" ROW_COLUMNS
                ", rejected_at, reason, id, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, " ROW_SIZE ")",
                9 },
};

typedef struct Salvage {
        Sql *from, *to;
        const SalvageTable *table;
        SqlStatement *forward, *back;  /* rows of the damaged table in both directions; back: with ids up to ?1 */
        SqlStatement *lookup, *insert; /* statements on the new file */
        uint64_t rows, uncommitted;    /* uncommitted: in bytes */
        bool lost;                     /* rows may be missing */
        int64_t last_id;               /* the highest id known to be used */
        int64_t probes;
        usec_t told;
} Salvage;

enum { ROW_KEY = 2, ROW_PAYLOAD = 6 }; /* columns after the id that ROW_READ returns */
enum { ROW_NEW = 0, ROW_KNOWN = 1, ROW_TAKEN = 2 };

/* Checks whether the new file already has that id, for the row under *select* (NULL: for any row) or for another
 * row. */
static int salvage_look_up(Salvage *s, int64_t id, SqlStatement *select) {
        int r;

        sql_bind_int(s->lookup, 1, id);
        for (int i = 2; select && i <= s->table->n; i++)
                if (i == ROW_KEY || i == ROW_PAYLOAD)
                        sql_bind_column(s->lookup, i, select, i);
        r = sql_step(s->lookup);
        if (r == SQL_ROW)
                r = sql_column_int(s->lookup, 0) ? ROW_KNOWN : ROW_TAKEN;
        else if (r == SQL_DONE)
                r = ROW_NEW;
        sql_reset(s->lookup);
        return r;
}

/* Copies the row under *select*, unless it was copied before. If another row has its id, or the id cannot be right, it
 * gets another id. This id is computed from the first one, so that the same row is recognised later. ROW_NEW,
 * ROW_KNOWN, or a negative errno of the new file. */
static int salvage_row(Salvage *s, SqlStatement *select) {
        int64_t claimed = sql_column_int(select, 0), span = s->last_id + 1, id;
        int64_t fresh = (claimed % span + span) % span + 1;
        int r;

        id = claimed > 0 && claimed < OUTBOX_SQL_ID_MAX ? claimed : (fresh += span);
        while ((r = salvage_look_up(s, id, select)) == ROW_TAKEN)
                id = fresh += span;
        if (r != ROW_NEW)
                return r;

        for (int i = 1; i <= s->table->n; i++)
                sql_bind_column(s->insert, i, select, i);
        sql_bind_int(s->insert, s->table->n + 1, id);
        r = sql_run(s->insert);
        if (r != SQL_DONE)
                return r;

        s->rows++;
        s->uncommitted += sql_column(select, ROW_PAYLOAD).size;
        if (s->uncommitted < SALVAGE_COMMIT_BYTES)
                return ROW_NEW;
        s->uncommitted = 0;
        return sql_exec(s->to, "COMMIT; BEGIN");
}

enum { RUN_END = 0, RUN_STOPPED = 1 };

/* Copies the rows of *select* to its end, or to the first place that cannot be read; with *until_known* also only to a
 * row that was copied before. *last* gets the id of the last row. */
static int salvage_run(Salvage *s, SqlStatement *select, bool until_known, int64_t *last) {
        uint64_t known = 0;
        int r, copied = 0;

        while ((r = sql_step(select)) == SQL_ROW) {
                copied = salvage_row(s, select);
                if (copied < 0)
                        break;
                *last = sql_column_int(select, 0);
                if (copied == ROW_KNOWN && (until_known || ++known > s->rows + SALVAGE_KNOWN_MAX))
                        break;
        }
        sql_reset(select);
        if (copied < 0)
                return copied;
        if (r == -ENOMEM || r == -EBUSY)
                return r; /* a temporary error is no reason to leave rows out */
        return r == SQL_DONE ? RUN_END : RUN_STOPPED;
}

/* Tries ids one by one between damaged places, newest first: the rows of a queue have ids close below the last one. One
 * id takes almost no time, or seconds if a worn disk repeats its reads. */
static int salvage_probe(Salvage *s) {
        for (int64_t id = s->last_id, last = id; id > 0 && s->probes < SALVAGE_PROBES_MAX; s->probes++, id--) {
                int r;

                service_working(&s->told);
                r = salvage_look_up(s, id, NULL);
                if (r < 0)
                        return r;
                if (r != ROW_NEW)
                        continue;
                sql_bind_int(s->back, 1, id);
                r = salvage_run(s, s->back, true, &last);
                if (r <= 0)
                        return r;
                if (last < id)
                        id = last;
        }
        return 0;
}

/* Columns are identified by position: a bit error in the schema's text may have changed a name. */
static int salvage_query(Salvage *s, bool labels, const char *tail, SqlStatement **ret) {
        char query[1024];

        (void) snprintf(query, sizeof(query),
                "WITH t(id, %s%s) AS (SELECT * FROM %s) SELECT id, " ROW_READ ", %s%s FROM t %s", s->table->columns,
                labels ? ", labels" : "", s->table->name, labels ? BLOB("labels") : "x''", s->table->read, tail);
        return sql_prepare(s->from, query, ret);
}

/* Prepares the statements. 0: the table exists in the damaged file. -EUCLEAN or -EINVAL: it does not. */
static int salvage_prepare(Salvage *s) {
        bool labels = true;
        char lookup[128];
        int r;

        (void) snprintf(
                lookup, sizeof(lookup), "SELECT key = ?2 AND payload = ?6 FROM %s WHERE id = ?1", s->table->name);
        r = sql_prepare(s->to, lookup, &s->lookup);
        if (r == 0)
                r = sql_prepare(s->to, s->table->insert, &s->insert);
        if (r < 0)
                return r == -EUCLEAN ? -EIO : r; /* the new file: that says nothing of the table */

        r = salvage_query(s, labels, "ORDER BY id", &s->forward);
        if (r == -EINVAL) /* schema 1 has no labels */
                r = salvage_query(s, labels = false, "ORDER BY id", &s->forward);
        return r != 0 ? r : salvage_query(s, labels, "WHERE id <= ?1 ORDER BY id DESC", &s->back);
}

static int salvage_rows(Salvage *s) {
        int64_t last;
        int r;

        r = salvage_prepare(s);
        if (r == -EUCLEAN || r == -EINVAL) {
                s->lost = true;
                return 0; /* the table does not exist any more */
        }
        if (r < 0)
                return r;
        r = salvage_run(s, s->forward, false, &last);
        if (r <= 0)
                return r;
        sql_bind_int(s->back, 1, INT64_MAX);
        r = salvage_run(s, s->back, false, &last);
        if (r <= 0)
                return r;
        s->lost = true;
        return salvage_probe(s);
}

static int salvage_table(Salvage *s, const SalvageTable *table) {
        int r;

        s->table = table;
        r = salvage_rows(s);
        s->forward = sql_finalize(s->forward);
        s->back = sql_finalize(s->back);
        s->lookup = sql_finalize(s->lookup);
        s->insert = sql_finalize(s->insert);
        return r;
}

/* Copies rows that are useful but not readings, from the front as far as they can be read. *which* selects rows. */
static int salvage_extra(Salvage *s, const char *name, int n, const char *which) {
        _cleanup_(sql_finalizep) SqlStatement *select = NULL, *insert = NULL;
        char query[128];
        int r;

        (void) snprintf(query, sizeof(query), "SELECT * FROM %s %s", name, which);
        if (sql_prepare(s->from, query, &select) != 0)
                return 0;
        (void) snprintf(query, sizeof(query), "INSERT OR IGNORE INTO %s VALUES (%.*s)", name, 3 * n - 2,
                "?1,?2,?3,?4,?5,?6,?7");
        r = sql_prepare(s->to, query, &insert);
        if (r < 0)
                return r;
        while (sql_step(select) == SQL_ROW) {
                for (int i = 0; i < n; i++)
                        sql_bind_column(insert, i + 1, select, i);
                r = sql_run(insert);
                if (r != SQL_DONE)
                        return r;
        }
        return 0;
}

/* No id is used twice, not even that of a row that was lost. */
static int salvage_sequence(Salvage *s) {
        int r = sql_exec(s->to, "INSERT INTO sqlite_sequence (name, seq) SELECT 'readings', 0 "
                                "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'readings')");

        return r != 0 ? r
                      : sql_do(s->to, "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'readings'",
                                SQL_VALUES(SQL_INT(s->last_id)));
}

static void salvage_learn_last_id(Salvage *s) {
        int64_t sequence;

        if (sql_query_int(s->from, "SELECT seq FROM sqlite_sequence WHERE name = 'readings'", &sequence) == 0 &&
                sequence < OUTBOX_SQL_ID_MAX && sequence > s->last_id)
                s->last_id = sequence;
        else if (s->last_id == 0)
                s->last_id = SALVAGE_PROBES_MAX;
}

static int salvage_all(Salvage *s) {
        static const struct {
                const char *name;
                int n;
                const char *which, *if_lost;
        } extras[] = {
                { "cursors", 2, "", "" },
                /* If rows were lost, keys made of a measurement are not copied (see reading_list_name()). The source
                 * sends the measurement again, so a lost reading comes back. One that was not lost is published again
                 * with the same key. */
                { "seen", 4, "", "WHERE key NOT LIKE '____-__-__T__:__:%Z:' || source || ':%'" },
                { "unreadable", 7, "WHERE id < " OUTBOX_SQL_ID_MAX_TEXT, "WHERE id < " OUTBOX_SQL_ID_MAX_TEXT },
                { "dropped", 2, "", "" },
        };
        int r = 0;

        salvage_learn_last_id(s);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(salvage_tables); i++)
                r = salvage_table(s, &salvage_tables[i]);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(extras); i++)
                r = salvage_extra(s, extras[i].name, extras[i].n, s->lost ? extras[i].if_lost : extras[i].which);
        return r;
}

/* Moves all rows from the log into the new file and syncs it. */
static int salvage_settle(Sql *to) {
        int64_t busy;
        int r;

        r = outbox_sql_recount(to);
        if (r == 0)
                r = sql_query_int(to, "PRAGMA wal_checkpoint(TRUNCATE)", &busy);
        if (r != 0)
                return r;
        return busy ? -EBUSY : 0;
}

static int salvage_write(Salvage *s) {
        int64_t version;
        int r;

        r = sql_query_int(s->to, "PRAGMA user_version", &version);
        if (r == 0)
                r = sql_exec(s->to, "PRAGMA wal_autocheckpoint = 100");
        if (r == 0)
                r = sql_begin(s->to, false); /* not durable: salvage_settle() syncs the whole file */
        if (r == 0)
                r = outbox_sql_make(s->to, version);
        if (r == 0 && s->from)
                r = salvage_all(s);
        if (r == 0)
                r = salvage_sequence(s);
        if (r == 0)
                r = sql_exec(s->to, "COMMIT");
        return r < 0 ? r : salvage_settle(s->to);
}

int outbox_salvage(Sql *from, Sql *to, int64_t last_id, uint64_t *ret_rows) {
        Salvage s = { .from = from, .to = to, .last_id = last_id, .told = clock_now() };
        int r;

        if (from)
                sql_set_ping(from, service_working, &s.told);
        sql_set_ping(to, service_working, &s.told);
        r = salvage_write(&s);
        if (from)
                sql_set_ping(from, NULL, NULL);
        sql_set_ping(to, NULL, NULL);
        if (r == 0)
                *ret_rows = s.rows;
        return r;
}
