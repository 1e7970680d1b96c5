/* SPDX-License-Identifier: Apache-2.0 */
#include "page-render.h"

#include <inttypes.h>
#include <stdbool.h>

#define TIME_MAX INT64_C(4102444800000)                     /* 2100-01-01 */
#define RANGE_MAX (INT64_C(10) * 366 * 24 * 60 * 60 * 1000) /* ms; twice as long as values are kept */
#define NUMBER "%.10g" /* digits enough for a screen and for the total of an energy meter */

/* ---- the query of /api/values ---- */

/* Reads digits and moves *cursor* behind them. */
static bool number_parse(const char **cursor, int64_t max, int64_t *ret) {
        const char *c = *cursor;
        int64_t value = 0;

        if (*c < '0' || *c > '9')
                return false;
        for (; *c >= '0' && *c <= '9'; c++) {
                value = value * 10 + (*c - '0');
                if (value > max)
                        return false;
        }
        *cursor = c;
        *ret = value;
        return true;
}

static bool whole_parse(const char *text, int64_t max, int64_t *ret) {
        return number_parse(&text, max, ret) && *text == '\0';
}

static bool is_there(const PageQuery *query, int64_t series) {
        for (size_t i = 0; i < query->n; i++)
                if (query->series[i] == series)
                        return true;
        return false;
}

static const char *series_parse(const char *text, PageQuery *query) {
        int64_t series;

        if (!text)
                return "series is missing: their ids, with commas between them";
        for (;;) {
                if (!number_parse(&text, UINT32_MAX, &series))
                        return "series is not a list of ids with commas between them";
                if (!is_there(query, series)) {
                        if (query->n == PAGE_QUERY_SERIES_MAX)
                                return "series has too many ids; ask for them in parts";
                        query->series[query->n++] = series;
                }
                if (*text == '\0')
                        return NULL;
                if (*text++ != ',')
                        return "series is not a list of ids with commas between them";
        }
}

const char *page_query_parse(const PageQueryText *text, PageQuery *ret) {
        int64_t points = PAGE_QUERY_POINTS;
        const char *wrong;

        *ret = (PageQuery){};
        wrong = series_parse(text->series, ret);
        if (wrong)
                return wrong;
        if (!text->from || !text->to || !whole_parse(text->from, TIME_MAX, &ret->from) ||
                !whole_parse(text->to, TIME_MAX, &ret->to))
                return "from and to are times, in milliseconds since 1970 UTC";
        if (ret->to <= ret->from || ret->to - ret->from > RANGE_MAX)
                return "to must be after from, by ten years at most";
        if (text->points && (!whole_parse(text->points, PAGE_QUERY_POINTS_MAX, &points) || points == 0))
                return "points is not a number from 1 to 2000";
        if ((int64_t) ret->n * points > PAGE_QUERY_VALUES_MAX)
                return "too many values; ask for fewer points, or for fewer series at once";
        ret->points = (unsigned) points;
        return NULL;
}

/* ---- /api/series ---- */

/* Returns the comma before an object of a list, "" before the first. */
static const char *between(const Bytes *json) {
        return json->size > 0 && json->data[json->size - 1] == '}' ? "," : "";
}

static void write_known(Bytes *json, const char *name, int64_t value, bool known) {
        if (known)
                bytes_append_format(json, ",\"%s\":%" PRId64, name, value);
        else
                bytes_append_json_member(json, name, NULL);
}

/* True if a key of page.series names this field: it is a pointer, or a member at the top level. */
static bool name_is_of(const char *name, const char *field) {
        return name[0] == '/' ? strcmp(name, field) == 0 : strcmp(name, field + 1) == 0;
}

/* Returns the label of a field from page.series. *ret_order* gets its position there; -1: it is not there. */
static const char *shown_label(const ConfigMap *names, const char *field, int64_t *ret_order) {
        *ret_order = -1;
        for (size_t i = 0; i < names->n; i++)
                if (name_is_of(names->items[i].name, field)) {
                        *ret_order = (int64_t) i;
                        return names->items[i].values[0];
                }
        return NULL;
}

bool page_render_is_hidden(const ConfigMap *names, const char *field) {
        int64_t order;
        const char *label = shown_label(names, field, &order);

        return label && label[0] == '\0';
}

static void write_limit(void *userdata, const SinkLimit *limit) {
        Bytes *json = userdata;

        bytes_append_format(json, "%s{", between(json));
        bytes_append_json_member(json, "rule", limit->rule);
        bytes_append_json_member(json, "kind", limit->kind);
        bytes_append_format(json, ",\"value\":" NUMBER ",\"clear\":" NUMBER "}", limit->value, limit->clear);
}

static void write_series(Bytes *json, const PageSeries *series, const PageShown *shown) {
        int64_t order;
        const char *label = shown_label(shown->names, series->key.field, &order);

        if (page_render_is_hidden(shown->names, series->key.field))
                return;
        bytes_append_format(json, "%s{\"id\":%" PRId64, between(json), series->id);
        bytes_append_json_member(json, "source", series->key.source);
        bytes_append_json_member(json, "device", series->key.device);
        bytes_append_json_member(json, "name", series->name);
        bytes_append_format(json, ",\"labels\":%s", series->key.labels);
        bytes_append_json_member(json, "field", series->key.field);
        bytes_append_json_member(json, "label", label);
        write_known(json, "order", order, order >= 0);
        bytes_append_format(json, ",\"online\":%s", series->signs.offline ? "false" : "null");
        write_known(json, "changed", series->signs.changed, series->signs.changed > 0);
        write_known(json, "moved", series->signs.moved, series->signs.moved > 0);
        bytes_append_format(json,
                ",\"beyond\":%zu,\"from\":%" PRId64 ",\"last\":{\"time\":%" PRId64 ",\"value\":" NUMBER
                "},\"limits\":[",
                series->signs.beyond, series->first, series->last, series->value);
        if (shown->limits)
                shown->limits(shown->userdata, series, write_limit, json);
        bytes_append_text(json, "]}");
}

int page_render_series(const PageSeriesTable *table, const PageShown *shown, Bytes *json) {
        const PageSeries *series;

        bytes_append_text(json, "{\"series\":[");
        for (size_t i = 0; (series = page_series_at(table, i)); i++)
                write_series(json, series, shown);
        return bytes_append_text(json, "]}\n");
}

/* ---- /api/values ---- */

typedef enum Column { COLUMN_TIME, COLUMN_MINIMUM, COLUMN_MEAN, COLUMN_MAXIMUM, COLUMN_COUNT, COLUMNS } Column;

static const char *const column_names[COLUMNS] = { "time", "minimum", "mean", "maximum", "count" };

static void write_cell(Bytes *json, Column column, const PageBucket *bucket, int64_t time) {
        switch (column) {
        case COLUMN_TIME:
                return (void) bytes_append_format(json, "%" PRId64, time);
        case COLUMN_MINIMUM:
                return (void) bytes_append_format(json, NUMBER, bucket->low);
        case COLUMN_MEAN:
                return (void) bytes_append_format(json, NUMBER, bucket->total / bucket->count);
        case COLUMN_MAXIMUM:
                return (void) bytes_append_format(json, NUMBER, bucket->high);
        case COLUMN_COUNT:
        case COLUMNS:
                return (void) bytes_append_format(json, "%" PRIu32, bucket->count);
        }
}

static void write_column(Bytes *json, Column column, const PageValues *values, const PageBucket *buckets) {
        const char *comma = "";

        bytes_append_format(json, ",\"%s\":[", column_names[column]);
        for (size_t i = 0; i < values->n; i++) {
                if (buckets[i].count == 0)
                        continue;
                bytes_append_text(json, comma);
                write_cell(json, column, &buckets[i], values->from + (int64_t) i * values->bucket);
                comma = ",";
        }
        bytes_append_text(json, "]");
}

int page_render_values(const PageQuery *query, const PageValues *values, Bytes *json) {
        bytes_append_format(json, "{\"bucket\":%" PRId64 ",\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"series\":[",
                values->bucket, values->from, values->to);
        for (size_t i = 0; i < query->n; i++) {
                bytes_append_format(json, "%s{\"id\":%" PRId64, i > 0 ? "," : "", query->series[i]);
                for (Column column = 0; column < COLUMNS; column++)
                        write_column(json, column, values, values->buckets + i * values->n);
                bytes_append_text(json, "}");
        }
        return bytes_append_text(json, "]}\n");
}
