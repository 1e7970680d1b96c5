/* SPDX-License-Identifier: Apache-2.0 */
#include "page-render.h"

#include <inttypes.h>
#include <string.h>

#include "lib/json.h"
#include "page-series.h"

/* ---- the format ---- */

/* A value that is not UTF-8 is written as empty: it would make the whole answer invalid. */
static void write_label(Bytes *text, const char *before, const char *name, const char *value) {
        const char *end = bytes_is_utf8(value, strlen(value)) ? value + strlen(value) : value;

        bytes_append_text(text, before);
        bytes_append_text(text, name);
        bytes_append_text(text, "=\"");
        for (const char *c = value; c < end; c++)
                if (*c == '\n')
                        bytes_append_text(text, "\\n");
                else if (*c == '"' || *c == '\\')
                        bytes_append_format(text, "\\%c", *c);
                else
                        bytes_append(text, c, 1);
        bytes_append_text(text, "\"");
}

static void write_head(Bytes *text, const char *name, const char *help) {
        size_t size = strlen(name), total = strlen("_total");
        bool counter = size > total && strcmp(name + size - total, "_total") == 0;

        bytes_append_format(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, counter ? "counter" : "gauge");
}

/* ---- figures ---- */

/* Structs that have the same figures. */
typedef struct Items {
        const Told *told;
        const Figure *figures;
        const char *first;
        size_t n, size;
} Items;

static bool ends_in(const Bytes *text, char c) {
        return text->size > 0 && text->data[text->size - 1] == c;
}

static void write_labels(Bytes *text, const Figure *figures, const char *item) {
        for (const Figure *f = figures; f->key; f++)
                if (f->kind == FIGURE_OBJECT)
                        write_labels(text, f->members, item + f->offset);
                else if (f->kind == FIGURE_TEXT && f->metric)
                        write_label(text, ends_in(text, '"') ? "," : "{", f->metric,
                                *(const char *const *) (item + f->offset));
}

static void write_sample(Bytes *text, const Items *items, const Figure *figure, const char *item, uint64_t number) {
        bytes_append_text(text, figure->metric);
        write_labels(text, items->figures, item);
        bytes_append_text(text, ends_in(text, '"') ? "} " : " ");
        if (figure->kind == FIGURE_TIME || figure->kind == FIGURE_SPAN)
                bytes_append_format(text, "%" PRIu64 ".%03u\n", number / USEC_PER_SEC,
                        (unsigned) (number % USEC_PER_SEC / USEC_PER_MSEC));
        else
                bytes_append_format(text, "%" PRIu64 "\n", number);
}

/* A time or span of 0 is not known, and left out. */
static void write_metric(Bytes *text, const Items *items, const Figure *figure, size_t offset) {
        bool known = figure->kind != FIGURE_TIME && figure->kind != FIGURE_SPAN;

        write_head(text, figure->metric, figure->help);
        for (size_t i = 0; i < items->n; i++) {
                const char *item = items->first + i * items->size;
                uint64_t number = report_number(item + offset, figure->size);

                if (known || number > 0)
                        write_sample(text, items, figure, item, number);
        }
}

static void write_figures(Bytes *text, const Items *items, const Figure *figures, size_t offset) {
        for (const Figure *f = figures; f->key; f++) {
                const char *at = items->first + offset + f->offset;

                if (!report_is_told(items->told, f))
                        continue;
                if (f->kind == FIGURE_OBJECT)
                        write_figures(text, items, f->members, offset + f->offset);
                else if (f->kind == FIGURE_ARRAY && report_length(items->told, f) > 0)
                        write_figures(text,
                                &(Items){ items->told, f->members, *(const char *const *) at,
                                        report_length(items->told, f), f->size },
                                f->members, 0);
                else if (f->kind != FIGURE_TEXT && f->metric)
                        write_metric(text, items, f, offset + f->offset);
        }
}

int page_metrics_figures(const Figures *f, Bytes *text) {
        const Told told = report_tell(f);

        write_head(text, "sensorqd_build_info", "The version that is running.");
        bytes_append_text(text, "sensorqd_build_info{version=\"" SENSORQD_VERSION "\"} 1\n");
        write_figures(text, &(Items){ &told, report_figures, (const char *) &told, 1, 0 }, report_figures, 0);
        return bytes_result(text);
}

/* ---- latest values ---- */

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Where somebody else publishes, the name of a label may be any text. A name that Prometheus does not accept would make
 * it refuse the whole answer. So such names are escaped in Prometheus' own way (its documentation, "Escaping schemes",
 * values). Names that look like escaped ones are escaped too, so that two names never become one. */
static int name_append(Bytes *name, const char *key) {
        if (key[strspn(key, NAME_LETTERS "_")] == '\0' && strncmp(key, "U__", 3) != 0)
                return bytes_append_text(name, key);
        bytes_append_text(name, "U__");
        for (const char *c = key; *c != '\0'; c++)
                if (*c == '_')
                        bytes_append_text(name, "__");
                else if (strchr(NAME_LETTERS, *c))
                        bytes_append(name, c, 1);
                else
                        bytes_append_format(name, "_%x_", (unsigned char) *c);
        return bytes_result(name);
}

static void add_label(void *userdata, const char *key, const char *value) {
        _cleanup_bytes_ Bytes name = {};
        Bytes *text = userdata;

        if (bytes_fail(text, name_append(&name, key)) == 0)
                write_label(text, ",label_", name.data, value);
}

static void label_series(Bytes *text, const PageSeries *series) {
        _cleanup_(json_freep) Json *labels = NULL;

        write_label(text, "{", "source", series->key.source);
        write_label(text, ",", "device", series->key.device);
        write_label(text, ",", "field", series->key.field);
        if (json_parse(series->key.labels, strlen(series->key.labels), &labels) == 0)
                json_each_string(labels, add_label, text);
        bytes_append_text(text, "}");
}

static void write_value(Bytes *text, const char *name, const PageSeries *series, int64_t now) {
        if (now - series->last > PAGE_METRICS_FRESH_MSEC || page_series_is_off(series, now))
                return;
        bytes_append_text(text, name);
        label_series(text, series);
        bytes_append_format(text, " %.15g\n", series->value); /* as many digits as a double always keeps */
}

static void write_time(Bytes *text, const char *name, const PageSeries *series, int64_t time) {
        bytes_append_text(text, name);
        label_series(text, series);
        bytes_append_format(text, " %" PRId64 ".%03d\n", time / 1000, (int) (time % 1000));
}

static void write_moment(Bytes *text, const char *name, const PageSeries *series, int64_t now) {
        write_time(text, name, series, series->last);
}

static void write_change(Bytes *text, const char *name, const PageSeries *series, int64_t now) {
        if (series->signs.changed > 0)
                write_time(text, name, series, series->signs.changed);
}

/* The name of a device may change, and a label that changes would begin another series. So the name is a metric of its
 * own. */
static void write_name(Bytes *text, const char *name, const PageSeries *series, int64_t now) {
        bytes_append_text(text, name);
        label_series(text, series);
        text->size -= bytes_result(text) == 0;
        write_label(text, ",", "name", series->name);
        bytes_append_text(text, "} 1\n");
}

int page_metrics_latest(const PageSeriesTable *table, const ConfigMap *names, int64_t now, Bytes *text) {
        static const struct {
                const char *name, *help;
                void (*write)(Bytes *text, const char *name, const PageSeries *series, int64_t now);
        } metrics[] = {
                { "sensorqd_reading_value",
                        "The latest value that was stored. Left out when it is older than 15 minutes or its device is "
                        "offline.",
                        write_value },
                { "sensorqd_reading_timestamp_seconds", "Time of the latest value that was stored.", write_moment },
                { "sensorqd_reading_changed_timestamp_seconds",
                        "Time at which the value last changed, if the device tells it.", write_change },
                { "sensorqd_reading_info", "The name of the device. Always 1.", write_name },
        };
        const PageSeries *series;

        for (size_t m = 0; m < ELEMENTSOF(metrics); m++) {
                write_head(text, metrics[m].name, metrics[m].help);
                for (size_t i = 0; (series = page_series_at(table, i)); i++)
                        if (!page_render_is_hidden(names, series->key.field))
                                metrics[m].write(text, metrics[m].name, series, now);
        }
        return bytes_result(text);
}
