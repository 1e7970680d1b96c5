/* SPDX-License-Identifier: Apache-2.0 */
#include "page-series.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"

struct PageSeriesTable {
        PageSeries **items; /* in the order of their ids */
        size_t n, allocated;
        void *by_key; /* the same as a tree of tsearch(3), which owns them */
        int64_t next_id;
};

static int key_order(const void *first, const void *second) {
        const PageSeriesKey *a = &((const PageSeries *) first)->key, *b = &((const PageSeries *) second)->key;
        int order = strcmp(a->device, b->device);

        order = order != 0 ? order : strcmp(a->field, b->field);
        order = order != 0 ? order : strcmp(a->source, b->source);
        return order != 0 ? order : strcmp(a->labels, b->labels);
}

static PageSeries *series_free(PageSeries *series) {
        if (!series)
                return NULL;
        free((char *) series->key.source);
        free((char *) series->key.device);
        free((char *) series->key.labels);
        free((char *) series->key.field);
        free(series->name);
        free(series);
        return NULL;
}
CLEANUP_DEFINE(PageSeries, series_free)

static void node_free(void *series) {
        series_free(series);
}

static int table_add(PageSeriesTable *table, const PageSeriesKey *key, int64_t id, PageSeries **ret) {
        _cleanup_(series_freep) PageSeries *series = calloc(1, sizeof(*series));
        int r;

        if (!series)
                return -ENOMEM;
        series->key =
                (PageSeriesKey){ strdup(key->source), strdup(key->device), strdup(key->labels), strdup(key->field) };
        series->name = strdup("");
        if (!series->key.source || !series->key.device || !series->key.labels || !series->key.field || !series->name)
                return -ENOMEM;
        r = array_reserve(&table->items, &table->allocated, table->n + 1, sizeof(PageSeries *));
        if (r < 0)
                return r;
        if (!tsearch(series, &table->by_key, key_order))
                return -ENOMEM;
        series->id = id > 0 ? id : table->next_id;
        if (series->id >= table->next_id)
                table->next_id = series->id + 1;
        *ret = table->items[table->n++] = cleanup_steal(series);
        return 0;
}

int page_series_find(PageSeriesTable *table, const PageSeriesKey *key, int64_t id, PageSeries **ret) {
        PageSeries *const *known = tfind(&(PageSeries){ .key = *key }, &table->by_key, key_order);
        int r;

        if (known) {
                *ret = *known;
                return PAGE_SERIES_KNOWN;
        }
        if (table->n == PAGE_SERIES_MAX)
                return PAGE_SERIES_FULL;
        r = table_add(table, key, id, ret);
        return r < 0 ? r : PAGE_SERIES_ADDED;
}

void page_series_drop_spent(PageSeriesTable *table) {
        size_t n = 0;

        for (size_t i = 0; i < table->n; i++) {
                PageSeries *series = table->items[i];

                if (!series->spent) {
                        table->items[n++] = series;
                        continue;
                }
                (void) tdelete(series, &table->by_key, key_order);
                series_free(series);
        }
        table->n = n;
}

PageSeries *page_series_get(const PageSeriesTable *table, int64_t id) {
        for (size_t i = 0; i < table->n; i++)
                if (table->items[i]->id == id)
                        return table->items[i];
        return NULL;
}

size_t page_series_count(const PageSeriesTable *table) {
        return table->n;
}

PageSeries *page_series_at(const PageSeriesTable *table, size_t index) {
        return index < table->n ? table->items[index] : NULL;
}

int page_series_note(PageSeries *series, const char *name, int64_t time, double value, const PageSigns *signs) {
        char *copy;

        if (series->first == 0 || time < series->first) {
                series->first = time;
                series->changed = true;
        }
        if (time < series->last)
                return 0;
        series->last = time;
        series->value = value;
        series->signs = *signs;
        series->changed = true;
        if (name[0] == '\0' || strcmp(series->name, name) == 0)
                return 0;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        free(series->name);
        series->name = copy;
        return 0;
}

bool page_series_is_off(const PageSeries *series, int64_t now) {
        const PageSigns *signs = &series->signs;

        return signs->offline || (signs->moved > 0 && now - signs->moved > PAGE_STILL_MSEC);
}

int page_series_new(PageSeriesTable **ret) {
        *ret = calloc(1, sizeof(PageSeriesTable));
        if (!*ret)
                return -ENOMEM;
        (*ret)->next_id = 1;
        return 0;
}

PageSeriesTable *page_series_free(PageSeriesTable *table) {
        if (!table)
                return NULL;
        tdestroy(table->by_key, node_free);
        free(table->items);
        free(table);
        return NULL;
}
