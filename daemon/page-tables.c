/* SPDX-License-Identifier: Apache-2.0 */
#include "page-tables.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/json.h"
#include "lib/sql-aside.h"
#include "lib/sql.h"
#include "lib/text.h"

#define SCHEMA 1 /* as at the end of *schema* */

#define HOUR PAGE_TABLES_HOUR /* from here on, all in minutes */
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
        " fives_from INTEGER NOT NULL, mark BLOB NOT NULL, complete INTEGER NOT NULL) STRICT;"
        "PRAGMA user_version = 1";

#define MERGE                                                                                                          \
        " ON CONFLICT DO UPDATE SET low = min(coalesce(low, total), coalesce(excluded.low, excluded.total)),"          \
        " high = max(coalesce(high, total), coalesce(excluded.high, excluded.total)),"                                 \
        " total = total + excluded.total, n = n + excluded.n"
#define SUMS "sum(n), min(coalesce(low, total)), sum(total), max(coalesce(high, total))"
#define READ "SELECT series, at, n, coalesce(low, total), total, coalesce(high, total) FROM "
#define ADD(table) "INSERT INTO " table " (at, series, n, low, total, high) VALUES (?1, ?2, ?3, ?4, ?5, ?6)" MERGE

struct PageTables {
        char *path;
        Sql *sql;
        int64_t minutes_from, fives_from; /* older values are in the next table */
        int64_t oldest;                   /* older values are dropped */
        int64_t before[2];                /* minutes_from and fives_from when the transaction began */
};

static int64_t floor_to(int64_t value, int64_t unit) {
        return value / unit * unit;
}

/* ---- the file ---- */

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
        return r == 0 ? sql_end(tables->sql, version == 0 ? sql_exec(tables->sql, schema) : 0) : r;
}

int page_tables_open(const char *directory, PageTables **ret) {
        _cleanup_(page_tables_freep) PageTables *tables = calloc(1, sizeof(*tables));
        int r;

        if (!tables)
                return -ENOMEM;
        if (text_format(&tables->path, "%s/" PAGE_TABLES_FILE, directory) < 0)
                return -ENOMEM;
        r = sql_open_alone(tables->path, &tables->sql);
        if (r == 0)
                r = file_prepare(tables);
        if (r == 0)
                *ret = cleanup_steal(tables);
        return r;
}

PageTables *page_tables_free(PageTables *tables) {
        if (!tables)
                return NULL;
        sql_close(tables->sql);
        free(tables->path);
        free(tables);
        return NULL;
}

int page_tables_set_aside(const char *directory) {
        _cleanup_free_ char *path = NULL, *to = NULL;
        int r;

        if (text_format(&path, "%s/" PAGE_TABLES_FILE, directory) < 0 ||
                text_format(&to, "%s/" PAGE_TABLES_ASIDE, directory) < 0)
                return -ENOMEM;
        if (access(path, F_OK) < 0 && errno == ENOENT)
                return 0; /* somebody removed it: one that was set aside earlier stays */
        r = sql_aside_move(path, to);
        return r < 0 ? r : 0;
}

/* ---- values that cannot be right ---- */

/* A damaged file may still be readable, but not everything in it is to be believed. A text or a blob is greater than
 * any number. */
#define UNSOUND                                                                                                        \
        " WHERE (at BETWEEN 0 AND 4294967295 AND series BETWEEN 1 AND 2147483647 AND n BETWEEN 1 AND 4294967295"       \
        " AND total BETWEEN -1e300 AND 1e300 AND coalesce(low, total) BETWEEN -1e300 AND 1e300"                        \
        " AND coalesce(high, total) BETWEEN -1e300 AND 1e300) IS NOT 1"

int page_tables_mend(PageTables *tables) {
        int r = page_tables_begin(tables);

        if (r != 0)
                return r;
        return page_tables_end(tables, sql_exec(tables->sql, "DELETE FROM minutes" UNSOUND "; DELETE FROM fives" UNSOUND
                                                             "; DELETE FROM hours" UNSOUND));
}

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
        return key->field[0] == '/' && key->labels[0] == '{' && json_is_whole(slice_of(key->labels), 2, NULL);
}

/* ---- reading it at the start ---- */

static char *column_text(SqlStatement *statement, int column) {
        Slice text = sql_column(statement, column);

        return strndup(text.data ? text.data : "", text.size);
}

enum { ROW_TAKEN = 0, ROW_UNSOUND = 1 };

static int load_row(PageSeriesTable *table, SqlStatement *statement) {
        _cleanup_free_ char *source = column_text(statement, 1), *device = column_text(statement, 2);
        _cleanup_free_ char *labels = column_text(statement, 3), *field = column_text(statement, 4);
        _cleanup_free_ char *name = column_text(statement, 5);
        const PageSeriesKey key = { source, device, labels, field };
        int64_t id = sql_column_int(statement, 0), first = sql_column_int(statement, 6),
                last = sql_column_int(statement, 7);
        double value = sql_column_double(statement, 8);
        PageSeries *series;
        int r;

        if (!source || !device || !labels || !field || !name)
                return -ENOMEM;
        if (!texts_are_sound(&key, name) || !numbers_are_sound(id, first, last, value))
                return ROW_UNSOUND;
        r = page_series_find(table, &key, id, &series);
        if (r != PAGE_SERIES_ADDED)
                return r < 0 ? r : ROW_UNSOUND;
        r = page_series_note(series, name, first, 0, &(PageSigns){});
        if (r == 0)
                r = page_series_note(series, name, last, value, &(PageSigns){});
        series->changed = false;
        return r;
}

static int load_series(PageTables *tables, PageSeriesTable *table, bool *mended) {
        SqlStatement *statement;
        int r;

        r = sql_use(tables->sql, "SELECT * FROM series ORDER BY id", &statement);
        if (r != 0)
                return r;
        while ((r = sql_step(statement)) == SQL_ROW) {
                r = load_row(table, statement);
                if (r == ROW_UNSOUND) {
                        *mended = true;
                        r = sql_do(tables->sql, "DELETE FROM series WHERE id = ?1",
                                SQL_VALUES(SQL_INT(sql_column_int(statement, 0))));
                }
                if (r < 0)
                        break;
        }
        sql_reset(statement);
        return r;
}

/* An impossible row is as none, but for one thing: history is not read, since its values may be there already. */
static int load_past(PageTables *tables, PagePast *past, bool *mended) {
        int64_t row[] = { 0, 0, 0, 0 };
        SqlStatement *statement;
        Slice mark;
        int r;

        r = sql_use(tables->sql, "SELECT begun, minutes_from, fives_from, complete, mark FROM past WHERE one = 1",
                &statement);
        if (r != 0)
                return r;
        r = sql_step(statement);
        for (int i = 0; r == SQL_ROW && i < (int) ELEMENTSOF(row); i++)
                row[i] = sql_column_int(statement, i);
        if (r == SQL_ROW &&
                (!time_is_sound(row[0]) || row[1] < 0 || row[1] > TIME_MAX_SEC / 60 || row[2] < 0 || row[2] > row[1])) {
                past->complete = *mended = true;
                r = 0;
        } else if (r == SQL_ROW) {
                past->begun = row[0];
                tables->minutes_from = row[1];
                tables->fives_from = row[2];
                past->complete = row[3] > 0;
                mark = sql_column(statement, 4);
                bytes_cut(&past->mark, 0);
                r = bytes_append(&past->mark, mark.data, mark.size);
        }
        sql_reset(statement);
        return r;
}

#define ORPHANED " WHERE series NOT IN (SELECT id FROM series)"

/* Deletes values without a series: a new one could get its id. */
static int drop_orphans(PageTables *tables) {
        return sql_exec(tables->sql,
                "DELETE FROM minutes" ORPHANED "; DELETE FROM fives" ORPHANED "; DELETE FROM hours" ORPHANED);
}

int page_tables_load(PageTables *tables, PageSeriesTable *series, PagePast *past) {
        bool mended = false;
        int r;

        r = page_tables_begin(tables);
        if (r != 0)
                return r;
        r = load_past(tables, past, &mended);
        if (r == 0)
                r = load_series(tables, series, &mended);
        if (r == 0 && mended)
                r = drop_orphans(tables);
        r = page_tables_end(tables, r);
        return r == 0 && mended ? PAGE_TABLES_MENDED : r;
}

/* ---- saving ---- */

int page_tables_begin(PageTables *tables) {
        if (access(tables->path, F_OK) < 0 && errno == ENOENT)
                return -EUCLEAN;
        tables->before[0] = tables->minutes_from;
        tables->before[1] = tables->fives_from;
        return sql_begin(tables->sql, false); /* does not sync each commit */
}

int page_tables_end(PageTables *tables, int r) {
        r = sql_end(tables->sql, r);
        if (r == 0)
                return 0;
        if (r == -EINVAL || r == -EEXIST)
                r = -EBADMSG; /* numbers are there that cannot be added up */
        tables->minutes_from = tables->before[0];
        tables->fives_from = tables->before[1];
        return r;
}

#define NO_MINUTE "9223372036854775807" /* INT64_MAX */

static int roll_piece(PageTables *tables, int64_t end) {
        int r = sql_do(tables->sql,
                "INSERT INTO fives (series, at, n, low, total, high) SELECT series, at / 5 * 5, " SUMS
                " FROM minutes WHERE at < ?1 GROUP BY series, at / 5" MERGE,
                SQL_VALUES(SQL_INT(end)));

        return r == 0 ? sql_do(tables->sql, "DELETE FROM minutes WHERE at < ?1", SQL_VALUES(SQL_INT(end))) : r;
}

static int roll_minutes(PageTables *tables, int64_t target) {
        int64_t first, end, before = INT64_MIN;
        int r;

        while (tables->minutes_from < target) {
                r = sql_ints(tables->sql, "SELECT coalesce(min(at), " NO_MINUTE ") FROM minutes", NULL, 1, &first);
                if (r == 0 && first <= before)
                        r = -EBADMSG; /* it is not a number, and would be found for ever */
                if (r != 0)
                        return r;
                before = first;
                end = first < target ? floor_to(first, MINUTES_STEP) + MINUTES_STEP : target;
                r = first < target ? roll_piece(tables, end) : 0;
                if (r != 0)
                        return r;
                tables->minutes_from = end;
        }
        return 0;
}

static int drop_hours(PageTables *tables, int64_t series, int64_t end) {
        return sql_do(tables->sql, "DELETE FROM hours WHERE series = ?1 AND at < ?2",
                SQL_VALUES(SQL_INT(series), SQL_INT(end)));
}

static int roll_series(PageTables *tables, int64_t series, int64_t target) {
        int r = sql_do(tables->sql,
                "INSERT INTO hours (series, at, n, low, total, high) SELECT series, at / 60 * 60, " SUMS
                " FROM fives WHERE series = ?1 AND at < ?2 GROUP BY at / 60" MERGE,
                SQL_VALUES(SQL_INT(series), SQL_INT(target)));

        if (r == 0)
                r = sql_do(tables->sql, "DELETE FROM fives WHERE series = ?1 AND at < ?2",
                        SQL_VALUES(SQL_INT(series), SQL_INT(target)));
        return r == 0 ? drop_hours(tables, series, tables->oldest) : r;
}

static int roll_fives(PageTables *tables, int64_t target, const PageSeriesTable *table) {
        const PageSeries *series;
        int r = 0;

        if (tables->fives_from >= target)
                return 0;
        for (size_t i = 0; r == 0 && (series = page_series_at(table, i)); i++)
                r = roll_series(tables, series->id, target);
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
        SqlValue low = SQL_TEXT(NULL), high = SQL_TEXT(NULL);
        int64_t width = page_tables_width(tables, bucket->minute);
        const char *add = width == HOUR ? ADD("hours") : width == 5 ? ADD("fives") : ADD("minutes");

        if (bucket->minute < tables->oldest)
                return 0;
        if (bucket->count > 1) {
                low = (SqlValue) SQL_DOUBLE(bucket->low);
                high = (SqlValue) SQL_DOUBLE(bucket->high);
        }
        return sql_do(tables->sql, add,
                SQL_VALUES(SQL_INT(floor_to(bucket->minute, width)), SQL_INT(bucket->series), SQL_INT(bucket->count),
                        low, SQL_DOUBLE(bucket->total), high));
}

int page_tables_put_series(PageTables *tables, const PageSeries *series) {
        return sql_do(tables->sql, "INSERT OR REPLACE INTO series VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                SQL_VALUES(SQL_INT(series->id), SQL_TEXT(series->key.source), SQL_TEXT(series->key.device),
                        SQL_TEXT(series->key.labels), SQL_TEXT(series->key.field), SQL_TEXT(series->name),
                        SQL_INT(series->first), SQL_INT(series->last), SQL_DOUBLE(series->value)));
}

int page_tables_drop_series(PageTables *tables, int64_t series) {
        int r = drop_hours(tables, series, INT64_MAX);

        return r == 0 ? sql_do(tables->sql, "DELETE FROM series WHERE id = ?1", SQL_VALUES(SQL_INT(series))) : r;
}

int page_tables_put_past(PageTables *tables, const PagePast *past) {
        return sql_do(tables->sql, "INSERT OR REPLACE INTO past VALUES (1, ?1, ?2, ?3, ?4, ?5)",
                SQL_VALUES(SQL_INT(page_past_begun(past)), SQL_INT(tables->minutes_from), SQL_INT(tables->fives_from),
                        SQL_BLOB(past->mark), SQL_INT(past->complete)));
}

/* ---- reading ---- */

int64_t page_tables_width(const PageTables *tables, int64_t minute) {
        return minute < tables->fives_from ? HOUR : minute < tables->minutes_from ? 5 : 1;
}

/* *query* has the range as ?1 and ?2, and *series* as ?3 if it asks for one. */
static int read_rows(const PageTables *tables, const PageRange *range, const char *query, int64_t series) {
        SqlStatement *statement;
        int r;

        r = sql_use(tables->sql, query, &statement);
        if (r != 0)
                return r;
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

#define FIND_MINUTES                                                                                                   \
        "WITH RECURSIVE time (minute) AS (SELECT ?1 UNION ALL SELECT minute + 1 FROM time WHERE minute + 1 < "         \
        "?2) " READ "time CROSS JOIN minutes ON at = minute AND series = ?3"

/* Rows of `minutes` are sorted by time, then series. To read a few series of many, each row is looked up. */
static int read_minutes(const PageTables *tables, const PageRange *range) {
        PageRange minutes = *range;
        int r = 0;

        if (minutes.from < tables->minutes_from)
                minutes.from = tables->minutes_from;
        if (minutes.n * FIND_COST >= minutes.of || minutes.to - minutes.from > 2 * MINUTES_KEPT)
                return read_rows(tables, &minutes, READ "minutes WHERE at >= ?1 AND at < ?2", 0);
        for (size_t i = 0; r == 0 && i < minutes.n; i++)
                r = read_rows(tables, &minutes, FIND_MINUTES, minutes.series[i]);
        return r;
}

#define OF_SERIES " WHERE at >= ?1 AND at < ?2 AND series = ?3"

int page_tables_read(PageTables *tables, const PageRange *range) {
        int r = 0;

        if (range->to > tables->minutes_from)
                r = read_minutes(tables, range);
        for (size_t i = 0; r == 0 && i < range->n; i++) {
                if (range->from < tables->minutes_from)
                        r = read_rows(tables, range, READ "fives" OF_SERIES, range->series[i]);
                if (r == 0 && range->from < tables->fives_from)
                        r = read_rows(tables, range, READ "hours" OF_SERIES, range->series[i]);
        }
        return r;
}
