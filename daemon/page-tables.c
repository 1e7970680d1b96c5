/* SPDX-License-Identifier: Apache-2.0 */
#include "page-tables.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/json.h"
#include "lib/sql.h"
#include "lib/text.h"

#define SCHEMA 1

#define HOUR 60 /* from here on, all in minutes */
#define DAY (24 * HOUR)
#define MINUTES_KEPT (3 * DAY)
/* as much is made coarser at once: little enough for one transaction, enough to fill pages */
#define MINUTES_STEP (6 * HOUR)
#define FIVES_KEPT (31 * DAY)
#define HOURS_KEPT (5 * 366 * DAY)
#define TIME_MAX_SEC INT64_C(253402300799) /* the end of the year 9999 */
#define ID_MAX INT32_MAX
#define FIND_COST 8 /* finding one minute of a series takes as long as reading so many on the way */

/* Rows of `minutes` are appended in the order of time; the other tables are written many rows at a time and read by
 * series. A bucket with one value has no low and high. Free pages are used again. */
static const char schema[] =
        "CREATE TABLE series (id INTEGER PRIMARY KEY, source TEXT NOT NULL, device TEXT NOT NULL, labels TEXT NOT NULL,"
        " field TEXT NOT NULL, name TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, value REAL NOT NULL) "
        "STRICT;"
        "CREATE TABLE minutes (at INTEGER NOT NULL, series INTEGER NOT NULL, n INTEGER NOT NULL, low REAL, total REAL "
        "NOT NULL, high REAL, PRIMARY KEY (at, series)) STRICT, WITHOUT ROWID;"
        "CREATE TABLE fives (series INTEGER NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL, low REAL, total REAL "
        "NOT NULL, high REAL, PRIMARY KEY (series, at)) STRICT, WITHOUT ROWID;"
        "CREATE TABLE hours (series INTEGER NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL, low REAL, total REAL "
        "NOT NULL, high REAL, PRIMARY KEY (series, at)) STRICT, WITHOUT ROWID;"
        "CREATE TABLE past (one INTEGER PRIMARY KEY, begun INTEGER NOT NULL, minutes_from INTEGER NOT NULL,"
        " fives_from INTEGER NOT NULL, mark BLOB NOT NULL, complete INTEGER NOT NULL) STRICT;";

#define MERGE                                                                                                          \
        " ON CONFLICT DO UPDATE SET low = min(coalesce(low, total), coalesce(excluded.low, excluded.total)),"          \
        " high = max(coalesce(high, total), coalesce(excluded.high, excluded.total)),"                                 \
        " total = total + excluded.total, n = n + excluded.n"
#define SUMS "sum(n), min(coalesce(low, total)), sum(total), max(coalesce(high, total))"
#define READ " n, coalesce(low, total), total, coalesce(high, total) FROM "

typedef enum Query {
        ADD_MINUTE,
        ADD_FIVE,
        ADD_HOUR,
        FIRST_MINUTE,
        ROLL_MINUTES,
        DROP_MINUTES,
        ROLL_FIVES,
        DROP_FIVES,
        DROP_HOURS,
        READ_MINUTES,
        FIND_MINUTES,
        READ_FIVES,
        READ_HOURS,
        PUT_SERIES,
        DROP_SERIES,
        PUT_PAST,
        QUERIES
} Query;

static const char *const queries[QUERIES] = {
        [ADD_MINUTE] = "INSERT INTO minutes (at, series, n, low, total, high) VALUES (?1, ?2, ?3, ?4, ?5, ?6)" MERGE,
        [ADD_FIVE] = "INSERT INTO fives (at, series, n, low, total, high) VALUES (?1, ?2, ?3, ?4, ?5, ?6)" MERGE,
        [ADD_HOUR] = "INSERT INTO hours (at, series, n, low, total, high) VALUES (?1, ?2, ?3, ?4, ?5, ?6)" MERGE,
        [FIRST_MINUTE] = "SELECT min(at) FROM minutes",
        [ROLL_MINUTES] = "INSERT INTO fives (series, at, n, low, total, high) SELECT series, at / 5 * 5, " SUMS
                         " FROM minutes WHERE at < ?1 GROUP BY series, at / 5" MERGE,
        [DROP_MINUTES] = "DELETE FROM minutes WHERE at < ?1",
        [ROLL_FIVES] = "INSERT INTO hours (series, at, n, low, total, high) SELECT series, at / 60 * 60, " SUMS
                       " FROM fives WHERE series = ?1 AND at < ?2 GROUP BY at / 60" MERGE,
        [DROP_FIVES] = "DELETE FROM fives WHERE series = ?1 AND at < ?2",
        [DROP_HOURS] = "DELETE FROM hours WHERE series = ?1 AND at < ?2",
        [READ_MINUTES] = "SELECT series, at," READ "minutes WHERE at >= ?1 AND at < ?2",
        [FIND_MINUTES] = "WITH RECURSIVE time (minute) AS (SELECT ?1 UNION ALL SELECT minute + 1 FROM time WHERE "
                         "minute + 1 < ?2) SELECT series, at," READ "time CROSS JOIN minutes ON at = minute AND "
                         "series = ?3",
        [READ_FIVES] = "SELECT series, at," READ "fives WHERE at >= ?1 AND at < ?2 AND series = ?3",
        [READ_HOURS] = "SELECT series, at," READ "hours WHERE at >= ?1 AND at < ?2 AND series = ?3",
        [PUT_SERIES] = "INSERT OR REPLACE INTO series VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        [DROP_SERIES] = "DELETE FROM series WHERE id = ?1",
        [PUT_PAST] = "INSERT OR REPLACE INTO past VALUES (1, ?1, ?2, ?3, ?4, ?5)",
};

struct PageTables {
        Sql *sql;
        SqlStatement *statements[QUERIES];
        int64_t minutes_from, fives_from; /* older values are in the next table */
        int64_t oldest;                   /* older values are dropped */
        int64_t before[2];                /* minutes_from and fives_from when the transaction began */
};

static int64_t floor_to(int64_t value, int64_t unit) {
        return value / unit * unit;
}

/* ---- the file ---- */

static int file_make(PageTables *tables, int64_t version) {
        char text[64];
        int r = 0;

        (void) snprintf(text, sizeof(text), "PRAGMA user_version = %d", SCHEMA);
        if (version == 0)
                r = sql_exec(tables->sql, schema);
        if (r == 0 && version == 0)
                r = sql_exec(tables->sql, text);
        return r;
}

static int file_prepare(PageTables *tables) {
        int64_t version;
        int r = sql_query_int(tables->sql, "PRAGMA user_version", &version);

        if (r != 0)
                return r;
        if (version > SCHEMA)
                return -EPROTONOSUPPORT;
        r = sql_exec(tables->sql, "PRAGMA cache_size = -256");
        if (r == 0)
                r = sql_begin(tables->sql, false);
        if (r == 0)
                r = sql_end(tables->sql, file_make(tables, version));
        return r == 0 ? sql_prepare_all(tables->sql, queries, QUERIES, tables->statements) : r;
}

int page_tables_open(const char *directory, PageTables **ret) {
        _cleanup_(page_tables_freep) PageTables *tables = calloc(1, sizeof(*tables));
        _cleanup_free_ char *path = NULL;
        int r;

        if (!tables)
                return -ENOMEM;
        if (text_format(&path, "%s/" PAGE_TABLES_FILE, directory) < 0)
                return -ENOMEM;
        r = sql_open_alone(path, &tables->sql);
        if (r == 0)
                r = file_prepare(tables);
        if (r == -EINVAL)
                r = -EUCLEAN; /* a table is missing */
        if (r == 0)
                *ret = cleanup_steal(tables);
        return r;
}

PageTables *page_tables_free(PageTables *tables) {
        if (!tables)
                return NULL;
        sql_finalize_all(tables->statements, QUERIES);
        sql_close(tables->sql);
        free(tables);
        return NULL;
}

static int file_rename(const char *directory, const char *suffix) {
        _cleanup_free_ char *from = NULL, *to = NULL;

        if (text_format(&from, "%s/" PAGE_TABLES_FILE "%s", directory, suffix) < 0)
                return -ENOMEM;
        if (text_format(&to, "%s/" PAGE_TABLES_ASIDE "%s", directory, suffix) < 0)
                return -ENOMEM;
        if (rename(from, to) == 0)
                return 0;
        if (errno != ENOENT)
                return err_errno();
        (void) unlink(to); /* from a file that was set aside earlier */
        return 0;
}

int page_tables_set_aside(const char *directory) {
        int r = file_rename(directory, "-wal");

        return r < 0 ? r : file_rename(directory, "");
}

/* ---- reading it at the start ---- */

static char *column_text(SqlStatement *statement, int column) {
        Slice text = sql_column(statement, column);

        return strndup(text.data ? text.data : "", text.size);
}

/* Checks values that SQLite does not: a damaged file may still be readable. */
static bool time_is_sound(int64_t msec) {
        return msec >= 0 && msec / USEC_PER_MSEC <= TIME_MAX_SEC;
}

static bool numbers_are_sound(int64_t id, int64_t first, int64_t last, double value) {
        return id > 0 && id <= ID_MAX && time_is_sound(first) && time_is_sound(last) && isfinite(value);
}

static bool texts_are_sound(const PageSeriesKey *key, const char *name) {
        const char *const texts[] = { key->source, key->device, key->labels, key->field, name };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (!bytes_is_utf8(texts[i], strlen(texts[i])))
                        return false;
        return key->field[0] == '/' && key->labels[0] == '{' &&
               json_is_whole((Slice){ key->labels, strlen(key->labels) }, 2, NULL);
}

static int load_row(PageSeriesTable *table, SqlStatement *statement) {
        _cleanup_free_ char *source = column_text(statement, 1), *device = column_text(statement, 2);
        _cleanup_free_ char *labels = column_text(statement, 3), *field = column_text(statement, 4);
        _cleanup_free_ char *name = column_text(statement, 5);
        PageSeries *series;
        int r;

        if (!source || !device || !labels || !field || !name)
                return -ENOMEM;
        if (!texts_are_sound(&(PageSeriesKey){ source, device, labels, field }, name) ||
                !numbers_are_sound(sql_column_int(statement, 0), sql_column_int(statement, 6),
                        sql_column_int(statement, 7), sql_column_double(statement, 8)))
                return -EUCLEAN;
        r = page_series_find(
                table, &(PageSeriesKey){ source, device, labels, field }, sql_column_int(statement, 0), &series);
        if (r != PAGE_SERIES_ADDED)
                return r < 0 ? r : -EUCLEAN;
        r = page_series_note(series, name, sql_column_int(statement, 6), 0, &(PageSigns){});
        if (r == 0)
                r = page_series_note(
                        series, name, sql_column_int(statement, 7), sql_column_double(statement, 8), &(PageSigns){});
        series->changed = false;
        return r;
}

static int load_series(PageTables *tables, PageSeriesTable *table) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int r;

        r = sql_prepare(tables->sql, "SELECT * FROM series ORDER BY id", &statement);
        if (r != 0)
                return r;
        while ((r = sql_step(statement)) == SQL_ROW) {
                r = load_row(table, statement);
                if (r != 0)
                        break;
        }
        return r;
}

static int load_past(PageTables *tables, PagePast *past) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        Slice mark;
        int r;

        r = sql_prepare(tables->sql, "SELECT begun, minutes_from, fives_from, complete, mark FROM past WHERE one = 1",
                &statement);
        if (r != 0)
                return r;
        r = sql_step(statement);
        if (r != SQL_ROW)
                return r;
        past->begun = sql_column_int(statement, 0);
        tables->minutes_from = sql_column_int(statement, 1);
        tables->fives_from = sql_column_int(statement, 2);
        past->complete = sql_column_int(statement, 3) > 0;
        if (!time_is_sound(past->begun) || tables->minutes_from < 0 || tables->minutes_from > TIME_MAX_SEC / 60 ||
                tables->fives_from < 0 || tables->fives_from > tables->minutes_from)
                return -EUCLEAN;
        mark = sql_column(statement, 4);
        bytes_cut(&past->mark, 0);
        return bytes_append(&past->mark, mark.data, mark.size);
}

int page_tables_load(PageTables *tables, PageSeriesTable *series, PagePast *past) {
        int r = load_past(tables, past);

        return r == 0 ? load_series(tables, series) : r;
}

/* ---- saving ---- */

int page_tables_begin(PageTables *tables) {
        tables->before[0] = tables->minutes_from;
        tables->before[1] = tables->fives_from;
        return sql_begin(tables->sql, false); /* does not sync each commit */
}

int page_tables_end(PageTables *tables, int r) {
        r = sql_end(tables->sql, r);
        if (r == 0)
                return 0;
        if (r == -EINVAL || r == -EEXIST)
                r = -EUCLEAN; /* numbers are there that cannot be added up */
        tables->minutes_from = tables->before[0];
        tables->fives_from = tables->before[1];
        return r;
}

static int first_minute(PageTables *tables, int64_t *ret) {
        SqlStatement *statement = tables->statements[FIRST_MINUTE];
        int r = sql_step(statement);

        *ret = INT64_MAX;
        if (r == SQL_ROW && sql_column(statement, 0).data)
                *ret = sql_column_int(statement, 0);
        sql_reset(statement);
        return r == SQL_ROW ? 0 : r;
}

static int run_until(SqlStatement *statement, int64_t end) {
        return sql_run_with(statement, SQL_VALUES(SQL_INT(end)));
}

static int roll_minutes(PageTables *tables, int64_t target) {
        int64_t first, end, before = INT64_MIN;

        while (tables->minutes_from < target) {
                int r = first_minute(tables, &first);

                if (r == 0 && first <= before)
                        r = -EUCLEAN; /* it is not a number, and would be found for ever */
                if (r != 0)
                        return r;
                before = first;
                end = first < target ? floor_to(first, MINUTES_STEP) + MINUTES_STEP : target;
                if (first < target)
                        r = run_until(tables->statements[ROLL_MINUTES], end);
                if (r == 0 && first < target)
                        r = run_until(tables->statements[DROP_MINUTES], end);
                if (r != 0)
                        return r;
                tables->minutes_from = end;
        }
        return 0;
}

static int run_for(SqlStatement *statement, int64_t series, int64_t end) {
        return sql_run_with(statement, SQL_VALUES(SQL_INT(series), SQL_INT(end)));
}

static int roll_fives(PageTables *tables, int64_t target, const PageSeriesTable *table) {
        const PageSeries *series;
        int r = 0;

        if (tables->fives_from >= target)
                return 0;
        for (size_t i = 0; r == 0 && (series = page_series_at(table, i)); i++) {
                r = run_for(tables->statements[ROLL_FIVES], series->id, target);
                if (r == 0)
                        r = run_for(tables->statements[DROP_FIVES], series->id, target);
                if (r == 0)
                        r = run_for(tables->statements[DROP_HOURS], series->id, tables->oldest);
        }
        if (r == 0)
                tables->fives_from = target;
        return r;
}

int page_tables_roll(PageTables *tables, int64_t newest, const PageSeriesTable *series) {
        int r;

        tables->oldest = newest - HOURS_KEPT;
        r = roll_minutes(tables, floor_to(newest - MINUTES_KEPT, MINUTES_STEP));
        return r == 0 ? roll_fives(tables, floor_to(newest - FIVES_KEPT, DAY), series) : r;
}

int page_tables_put(PageTables *tables, const PageBucket *bucket) {
        SqlStatement *statement = tables->statements[ADD_MINUTE];
        int64_t at = bucket->minute;

        if (at < tables->oldest)
                return 0;
        if (at < tables->fives_from) {
                statement = tables->statements[ADD_HOUR];
                at = floor_to(at, 60);
        } else if (at < tables->minutes_from) {
                statement = tables->statements[ADD_FIVE];
                at = floor_to(at, 5);
        }
        sql_bind(statement, SQL_VALUES(SQL_INT(at), SQL_INT(bucket->series), SQL_INT(bucket->count)));
        sql_bind_value(statement, 5, &(const SqlValue) SQL_DOUBLE(bucket->total));
        if (bucket->count > 1) {
                sql_bind_value(statement, 4, &(const SqlValue) SQL_DOUBLE(bucket->low));
                sql_bind_value(statement, 6, &(const SqlValue) SQL_DOUBLE(bucket->high));
        }
        return sql_run(statement);
}

int page_tables_put_series(PageTables *tables, const PageSeries *series) {
        SqlStatement *statement = tables->statements[PUT_SERIES];

        return sql_run_with(
                statement, SQL_VALUES(SQL_INT(series->id), SQL_TEXT(series->key.source), SQL_TEXT(series->key.device),
                                   SQL_TEXT(series->key.labels), SQL_TEXT(series->key.field), SQL_TEXT(series->name),
                                   SQL_INT(series->first), SQL_INT(series->last), SQL_DOUBLE(series->value)));
}

int page_tables_drop_series(PageTables *tables, int64_t series) {
        int r = run_for(tables->statements[DROP_HOURS], series, INT64_MAX);

        return r == 0 ? sql_run_with(tables->statements[DROP_SERIES], SQL_VALUES(SQL_INT(series))) : r;
}

int page_tables_put_past(PageTables *tables, const PagePast *past) {
        SqlStatement *statement = tables->statements[PUT_PAST];

        return sql_run_with(
                statement, SQL_VALUES(SQL_INT(page_past_begun(past->begun, past->since)), SQL_INT(tables->minutes_from),
                                   SQL_INT(tables->fives_from), SQL_BLOB(past->mark), SQL_INT(past->complete)));
}

/* ---- reading ---- */

int64_t page_tables_width(const PageTables *tables, int64_t minute) {
        return minute < tables->fives_from ? PAGE_TABLES_HOUR : minute < tables->minutes_from ? 5 : 1;
}

static int read_rows(const PageRange *range, SqlStatement *statement, int64_t series) {
        int r;

        sql_bind(statement, SQL_VALUES(SQL_INT(range->from), SQL_INT(range->to)));
        if (series > 0)
                sql_bind_int(statement, 3, series);
        while ((r = sql_step(statement)) == SQL_ROW)
                range->each(range->userdata, &(PageBucket){ .series = (uint32_t) sql_column_int(statement, 0),
                                                     .minute = (uint32_t) sql_column_int(statement, 1),
                                                     .count = (uint32_t) sql_column_int(statement, 2),
                                                     .low = sql_column_double(statement, 3),
                                                     .total = sql_column_double(statement, 4),
                                                     .high = sql_column_double(statement, 5) });
        sql_reset(statement);
        return r;
}

/* Rows of `minutes` are sorted by time, then series. To read a few series of many, each row is looked up. */
static int read_minutes(const PageTables *tables, const PageRange *range) {
        PageRange minutes = *range;
        int r = 0;

        if (minutes.from < tables->minutes_from)
                minutes.from = tables->minutes_from;
        if (minutes.n * FIND_COST >= minutes.of || minutes.to - minutes.from > 2 * MINUTES_KEPT)
                return read_rows(&minutes, tables->statements[READ_MINUTES], 0);
        for (size_t i = 0; r == 0 && i < minutes.n; i++)
                r = read_rows(&minutes, tables->statements[FIND_MINUTES], minutes.series[i]);
        return r;
}

int page_tables_read(PageTables *tables, const PageRange *range) {
        int r = 0;

        if (range->to > tables->minutes_from)
                r = read_minutes(tables, range);
        for (size_t i = 0; r == 0 && i < range->n; i++) {
                if (range->from < tables->minutes_from)
                        r = read_rows(range, tables->statements[READ_FIVES], range->series[i]);
                if (r == 0 && range->from < tables->fives_from)
                        r = read_rows(range, tables->statements[READ_HOURS], range->series[i]);
        }
        return r;
}
