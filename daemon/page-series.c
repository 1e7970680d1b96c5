/* SPDX-License-Identifier: Apache-2.0 */
#include "page-series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/bytes.h"

#define SLOTS (2 * 2048) /* a power of two, and at least twice PAGE_SERIES_MAX */

struct PageSeriesTable {
        PageSeries **items;
        size_t n, allocated;
        int64_t next_id;
        uint16_t slots[SLOTS]; /* index + 1; 0: empty */
};

static size_t key_slot(const PageSeriesKey *key) {
        const char *const parts[] = { key->source, key->device, key->labels, key->field };
        uint64_t hash = BYTES_HASH;

        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                hash = bytes_hash(hash, parts[i], strlen(parts[i]) + 1); /* with the NUL */
        return (size_t) (hash ^ hash >> 32) % SLOTS;
}

static bool key_equal(const PageSeriesKey *a, const PageSeriesKey *b) {
        return strcmp(a->field, b->field) == 0 && strcmp(a->device, b->device) == 0 &&
               strcmp(a->source, b->source) == 0 && strcmp(a->labels, b->labels) == 0;
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
        series->id = id > 0 ? id : table->next_id;
        if (series->id >= table->next_id)
                table->next_id = series->id + 1;
        *ret = table->items[table->n++] = cleanup_steal(series);
        return 0;
}

int page_series_find(PageSeriesTable *table, const PageSeriesKey *key, int64_t id, PageSeries **ret) {
        size_t slot = key_slot(key);
        int r;

        for (; table->slots[slot] > 0; slot = (slot + 1) % SLOTS) {
                *ret = table->items[table->slots[slot] - 1];
                if (key_equal(&(*ret)->key, key))
                        return PAGE_SERIES_KNOWN;
        }
        if (table->n == PAGE_SERIES_MAX)
                return PAGE_SERIES_FULL;
        r = table_add(table, key, id, ret);
        if (r < 0)
                return r;
        table->slots[slot] = (uint16_t) table->n;
        return PAGE_SERIES_ADDED;
}

static void slots_fill(PageSeriesTable *table) {
        memset(table->slots, 0, sizeof(table->slots));
        for (size_t i = 0; i < table->n; i++) {
                size_t slot = key_slot(&table->items[i]->key);

                while (table->slots[slot] > 0)
                        slot = (slot + 1) % SLOTS;
                table->slots[slot] = (uint16_t) (i + 1);
        }
}

void page_series_drop_spent(PageSeriesTable *table) {
        size_t n = 0;

        for (size_t i = 0; i < table->n; i++)
                if (table->items[i]->spent)
                        series_free(table->items[i]);
                else
                        table->items[n++] = table->items[i];
        if (n == table->n)
                return;
        table->n = n;
        slots_fill(table);
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

int page_series_note(PageSeries *series, const char *name, int64_t time, double value) {
        char *copy;

        if (series->first == 0 || time < series->first) {
                series->first = time;
                series->changed = true;
        }
        if (time < series->last)
                return 0;
        series->last = time;
        series->value = value;
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

void page_series_note_signs(PageSeries *series, int64_t time, const PageSigns *signs) {
        if (time >= series->last)
                series->signs = *signs;
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
        for (size_t i = 0; i < table->n; i++)
                series_free(table->items[i]);
        free(table->items);
        free(table);
        return NULL;
}
