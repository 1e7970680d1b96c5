/* SPDX-License-Identifier: Apache-2.0 */
#include "page-render.h"

#include <inttypes.h>

#define NUMBER "%.10g" /* what a screen can show, and an energy meter's total */

typedef struct Writer {
        Bytes *json;
        int error; /* the first one; nothing is added after it */
        bool comma;
} Writer;

static void write_text(Writer *w, const char *text) {
        if (w->error >= 0)
                w->error = bytes_append_text(w->json, text);
}

static void write_string(Writer *w, const char *text) {
        size_t size = strlen(text);

        if (w->error < 0)
                return;
        if (!bytes_is_utf8(text, size))
                write_text(w, "\"?\"");
        else
                w->error = bytes_append_json_string(w->json, text, size);
}

static void write_int(Writer *w, int64_t value) {
        if (w->error >= 0)
                w->error = bytes_append_format(w->json, "%" PRId64, value);
}

static void write_known(Writer *w, int64_t value, bool known) {
        if (known)
                write_int(w, value);
        else
                write_text(w, "null");
}

static void write_double(Writer *w, double value) {
        if (w->error >= 0)
                w->error = bytes_append_format(w->json, NUMBER, value);
}

static void write_member(Writer *w, const char *name, const char *text) {
        if (w->error >= 0)
                w->error = bytes_append_format(w->json, ",\"%s\":", name);
        if (text)
                write_string(w, text);
        else
                write_text(w, "null");
}

/* ---- series ---- */

/* A line of page.series that speaks of this field: a pointer, or a member at the top. */
static bool name_is_of(const char *name, const char *field) {
        return name[0] == '/' ? strcmp(name, field) == 0 : strcmp(name, field + 1) == 0;
}

/* *ret_order*: which line; -1: none. */
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
        Writer *w = userdata;

        write_text(w, w->comma ? ",{\"rule\":" : "{\"rule\":");
        write_string(w, limit->rule);
        write_member(w, "kind", limit->kind);
        write_text(w, ",\"value\":");
        write_double(w, limit->value);
        write_text(w, ",\"clear\":");
        write_double(w, limit->clear);
        write_text(w, "}");
        w->comma = true;
}

static void write_series(Writer *w, const PageSeries *series, const PageShown *shown) {
        int64_t order;
        const char *label = shown_label(shown->names, series->key.field, &order);

        if (page_render_is_hidden(shown->names, series->key.field))
                return;
        write_text(w, w->comma ? ",{\"id\":" : "{\"id\":");
        write_int(w, series->id);
        write_member(w, "source", series->key.source);
        write_member(w, "device", series->key.device);
        write_member(w, "name", series->name);
        write_text(w, ",\"labels\":");
        write_text(w, series->key.labels);
        write_member(w, "field", series->key.field);
        write_member(w, "label", label);
        write_text(w, ",\"order\":");
        write_known(w, order, order >= 0);
        write_text(w, series->signs.offline ? ",\"online\":false,\"changed\":" : ",\"online\":null,\"changed\":");
        write_known(w, series->signs.changed, series->signs.changed > 0);
        write_text(w, ",\"moved\":");
        write_known(w, series->signs.moved, series->signs.moved > 0);
        write_text(w, ",\"beyond\":");
        write_int(w, (int64_t) series->signs.beyond);
        write_text(w, ",\"from\":");
        write_int(w, series->first);
        write_text(w, ",\"last\":{\"time\":");
        write_int(w, series->last);
        write_text(w, ",\"value\":");
        write_double(w, series->value);
        write_text(w, "},\"limits\":[");
        w->comma = false;
        if (shown->limits)
                shown->limits(shown->userdata, series, write_limit, w);
        write_text(w, "]}");
        w->comma = true;
}

int page_render_series(const PageSeriesTable *table, const PageShown *shown, Bytes *json) {
        Writer w = { .json = json };
        const PageSeries *series;

        write_text(&w, "{\"series\":[");
        for (size_t i = 0; (series = page_series_at(table, i)); i++)
                write_series(&w, series, shown);
        write_text(&w, "]}\n");
        return w.error;
}

/* ---- values ---- */

typedef enum Column { COLUMN_TIME, COLUMN_MINIMUM, COLUMN_MEAN, COLUMN_MAXIMUM, COLUMN_COUNT, COLUMNS } Column;

static const char *const column_names[COLUMNS] = { "time", "minimum", "mean", "maximum", "count" };

static void write_cell(Writer *w, Column column, const PageBucket *bucket, int64_t time) {
        switch (column) {
        case COLUMN_TIME:
                return write_int(w, time);
        case COLUMN_MINIMUM:
                return write_double(w, bucket->low);
        case COLUMN_MEAN:
                return write_double(w, bucket->total / bucket->count);
        case COLUMN_MAXIMUM:
                return write_double(w, bucket->high);
        case COLUMN_COUNT:
        case COLUMNS:
                return write_int(w, bucket->count);
        }
}

static void write_column(Writer *w, Column column, const PageValues *values, const PageBucket *buckets) {
        bool comma = false;

        write_text(w, ",\"");
        write_text(w, column_names[column]);
        write_text(w, "\":[");
        for (size_t i = 0; i < values->n; i++) {
                if (buckets[i].count == 0)
                        continue;
                if (comma)
                        write_text(w, ",");
                write_cell(w, column, &buckets[i], values->from + (int64_t) i * values->bucket);
                comma = true;
        }
        write_text(w, "]");
}

int page_render_values(const PageQuery *query, const PageValues *values, Bytes *json) {
        Writer w = { .json = json };

        w.error = bytes_append_format(json,
                "{\"bucket\":%" PRId64 ",\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"series\":[", values->bucket,
                values->from, values->to);
        for (size_t i = 0; i < query->n; i++) {
                write_text(&w, i > 0 ? ",{\"id\":" : "{\"id\":");
                write_int(&w, query->series[i]);
                for (Column column = 0; column < COLUMNS; column++)
                        write_column(&w, column, values, values->buckets + i * values->n);
                write_text(&w, "}");
        }
        write_text(&w, "]}\n");
        return w.error;
}
