/* SPDX-License-Identifier: Apache-2.0 */
#include "page-store.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "lib/array.h"

#define DAY INT64_C(1440) /* in minutes */
#define MINUTE_MSEC INT64_C(60000)

#define RECENT_FULL 16384 /* buckets in memory at which a save is due */
#define RECENT_MAX 65536  /* the most, while the disk fails: 3 MiB */
#define RECENT_KEPT 2048  /* so much room is kept after a save */
/* if the clock is set later than this after a start, it was right at the start */
#define SET_RIGHT_USEC USEC_PER_HOUR
#define TOTAL_MAX 1e300 /* of a bucket: any sum of them is finite */
#define ROWS 1024       /* slots; more than PAGE_QUERY_SERIES_MAX, so that a search is short */

struct PageStore {
        char *directory;
        PageTables *tables; /* NULL: a new file must be made, with the content of memory */
        PageSeriesTable *series;
        /* Values since the last save, which may come in any order, summed up by series and minute. Where a series comes
         * back to an earlier minute, that minute has another bucket: both are added up when they are read or saved. */
        PageBucket *recent;
        size_t n_recent, recent_allocated;
        PagePast past;
        bool past_changed;
        uint64_t lost, beyond;
};

/* ---- a damaged file ---- */

static void past_begin(PageStore *store, usec_t since) {
        store->past.since = since;
        store->past.begun = page_past_begun(&store->past);
        store->past_changed = true;
}

/* Makes a new file from the content of memory. The damaged one is kept. */
static int store_renew(PageStore *store) {
        PageSeries *series;
        int r;

        store->tables = page_tables_free(store->tables);
        r = page_tables_set_aside(store->directory);
        if (r < 0)
                return r;
        bytes_cut(&store->past.mark, 0);
        store->past.complete = false;
        past_begin(store, clock_now());
        for (size_t i = 0; (series = page_series_at(store->series, i)); i++)
                series->changed = true;
        r = page_tables_open(store->directory, &store->tables);
        return r == 0 ? PAGE_STORE_ASIDE : r == -EUCLEAN ? -EIO : r;
}

/* Every call that reads or writes ends with this. */
static int store_ended(PageStore *store, int r) {
        return r == -EUCLEAN || r == -EBADMSG ? store_renew(store) : r;
}

/* ---- saving ---- */

/* Returns the newest minute that has a value: this machine's clock may be wrong. */
static int64_t newest_minute(const PageStore *store) {
        const PageSeries *series;
        int64_t newest = 0;

        for (size_t i = 0; (series = page_series_at(store->series, i)); i++)
                newest = series->last > newest ? series->last : newest;
        return newest / MINUTE_MSEC;
}

static int by_minute(const void *first, const void *second) {
        const PageBucket *a = first, *b = second;

        if (a->minute != b->minute)
                return a->minute < b->minute ? -1 : 1;
        return a->series < b->series ? -1 : a->series > b->series;
}

static int save_buckets(PageStore *store) {
        int r = 0;

        if (store->n_recent > 0)
                qsort(store->recent, store->n_recent, sizeof(PageBucket), by_minute);
        for (size_t i = 0; r == 0 && i < store->n_recent; i++)
                r = page_tables_put(store->tables, &store->recent[i]);
        return r;
}

static int save_series(PageStore *store) {
        const PageSeries *series;
        int r = 0;

        for (size_t i = 0; r == 0 && (series = page_series_at(store->series, i)); i++)
                if (series->changed)
                        r = page_tables_put_series(store->tables, series);
        return r;
}

/* True if all its values are kept by the hour. */
static bool series_is_old(const PageStore *store, const PageSeries *series) {
        return page_tables_width(store->tables, series->last / MINUTE_MSEC) == PAGE_TABLES_HOUR;
}

/* Drops at most one series for each save, since five years of values are 44 000 rows. */
static int save_room(PageStore *store) {
        PageSeries *series, *shortest = NULL;

        if (!page_series_at(store->series, PAGE_SERIES_MAX - 1))
                return 0;
        for (size_t i = 0; (series = page_series_at(store->series, i)); i++) {
                series->spent = false;
                if (series_is_old(store, series) &&
                        (!shortest || series->last - series->first < shortest->last - shortest->first))
                        shortest = series;
        }
        if (!shortest)
                return 0;
        shortest->spent = true;
        return page_tables_drop_series(store->tables, shortest->id);
}

static int save_all(PageStore *store) {
        int r;

        r = page_tables_begin(store->tables);
        if (r != 0)
                return r;
        r = save_series(store);
        if (r == 0)
                r = page_tables_roll(store->tables, newest_minute(store), store->series);
        if (r == 0)
                r = save_buckets(store);
        if (r == 0)
                r = save_room(store);
        if (r == 0)
                r = page_tables_put_past(store->tables, &store->past);
        return page_tables_end(store->tables, r);
}

static void note_saved(PageStore *store) {
        PageSeries *series;

        store->n_recent = 0;
        if (store->recent_allocated > RECENT_KEPT) {
                free(store->recent);
                store->recent = NULL;
                store->recent_allocated = 0;
        }
        store->past_changed = false;
        for (size_t i = 0; (series = page_series_at(store->series, i)); i++)
                series->changed = false;
        page_series_drop_spent(store->series);
}

/* Tries again to make the file that store_renew() could not make. */
static int store_begin_anew(PageStore *store) {
        int r = store_ended(store, page_tables_open(store->directory, &store->tables));

        return r == 0 ? PAGE_STORE_ASIDE : r;
}

/* Saves; values in the file that prevent it are deleted. */
static int save_and_mend(PageStore *store) {
        int r = save_all(store);

        if (r != -EBADMSG)
                return r;
        r = page_tables_mend(store->tables);
        if (r == 0)
                r = save_all(store);
        return r == 0 ? PAGE_STORE_MENDED : r;
}

int page_store_save(PageStore *store) {
        int r = store->tables ? 0 : store_begin_anew(store), saved;

        if (r < 0 || (r == 0 && store->n_recent == 0 && !store->past_changed))
                return r;
        saved = store_ended(store, save_and_mend(store));
        if (saved == PAGE_STORE_ASIDE) {
                r = PAGE_STORE_ASIDE;
                saved = save_all(store);
        }
        if (saved < 0)
                return saved == -EUCLEAN || saved == -EBADMSG ? -EIO : saved;
        note_saved(store);
        return r == PAGE_STORE_ASIDE ? r : saved;
}

/* ---- adding ---- */

static void bucket_add(PageBucket *bucket, const PageBucket *part) {
        if (bucket->count == 0 || part->low < bucket->low)
                bucket->low = part->low;
        if (bucket->count == 0 || part->high > bucket->high)
                bucket->high = part->high;
        bucket->total += part->total;
        bucket->count += part->count;
}

/* True if the latest bucket of the series is of that minute, and was neither saved nor moved since. */
static bool recent_has(const PageStore *store, const PageSeries *series, uint32_t minute) {
        return series->bucket < store->n_recent && store->recent[series->bucket].series == series->id &&
               store->recent[series->bucket].minute == minute;
}

enum { ADDED = 0, NO_ROOM = 1 };

static int recent_add(PageStore *store, PageSeries *series, uint32_t minute, double value) {
        int r;

        if (!recent_has(store, series, minute)) {
                if (store->n_recent == RECENT_MAX)
                        return NO_ROOM;
                r = array_reserve(&store->recent, &store->recent_allocated, store->n_recent + 1, sizeof(PageBucket));
                if (r < 0)
                        return r;
                series->bucket = store->n_recent;
                store->recent[store->n_recent++] = (PageBucket){ .series = (uint32_t) series->id, .minute = minute };
        }
        bucket_add(&store->recent[series->bucket],
                &(PageBucket){ .count = 1, .low = value, .total = value, .high = value });
        return ADDED;
}

static int add_number(PageStore *store, const PageFound *found, const PageNumber *number) {
        const PageSeriesKey key = { found->source, found->device, found->labels.data,
                found->fields.data + number->field };
        PageSeries *series;
        int r;

        r = page_series_find(store->series, &key, 0, &series);
        if (r < 0)
                return r;
        r = r == PAGE_SERIES_FULL ? NO_ROOM
                                  : recent_add(store, series, (uint32_t) (found->time / MINUTE_MSEC), number->value);
        if (r == NO_ROOM)
                store->lost++;
        if (r != ADDED)
                return r < 0 ? r : 0;
        if (found->beyond > 0 && !series->told) {
                store->beyond += number == found->numbers ? found->beyond : 0;
                series->told = true;
        }
        return page_series_note(series, found->name, found->time, number->value,
                &(PageSigns){ number->changed, found->moved, found->offline, found->beyond });
}

int page_store_add(PageStore *store, const PageFound *found) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < found->n; i++)
                r = add_number(store, found, &found->numbers[i]);
        return r;
}

uint64_t page_store_lost(const PageStore *store) {
        return store->lost;
}

uint64_t page_store_beyond(const PageStore *store) {
        return store->beyond;
}

bool page_store_is_full(const PageStore *store) {
        return store->n_recent >= RECENT_FULL;
}

const PageSeriesTable *page_store_series(const PageStore *store) {
        return store->series;
}

const PagePast *page_store_past(const PageStore *store) {
        return &store->past;
}

int page_store_note_past(PageStore *store, Slice mark, bool complete) {
        int r;

        bytes_cut(&store->past.mark, 0);
        r = bytes_append(&store->past.mark, mark.data, mark.size);
        store->past.complete = complete;
        store->past_changed = true;
        return r;
}

bool page_store_past_goes_on(PageStore *store) {
        PagePast *past = &store->past;
        int64_t begun = page_past_begun(past);

        if (!past->complete || begun - past->begun < MINUTE_MSEC || clock_now() - past->since > SET_RIGHT_USEC)
                return false;
        past->begun = begun;
        past->complete = false;
        store->past_changed = true;
        return true;
}

/* ---- values ---- */

/* Widths in minutes that divide a day, or are whole days. */
static const int64_t widths[] = { 1, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, DAY, 2 * DAY, 7 * DAY, 14 * DAY,
        28 * DAY, 84 * DAY, 364 * DAY, INT64_C(100) * 366 * DAY };

/* Chooses the width of a bucket: not finer than the oldest part of the range is kept. */
static int64_t width_choose(const PageStore *store, const PageQuery *query) {
        int64_t from = query->from / MINUTE_MSEC, to = (query->to + MINUTE_MSEC - 1) / MINUTE_MSEC;
        int64_t least = store->tables ? page_tables_width(store->tables, from) : 1;
        size_t i = 0;

        while (widths[i] < least || (to - from + widths[i] - 1) / widths[i] > query->points)
                i++;
        return widths[i];
}

typedef struct Reading {
        const PageQuery *query;
        PageValues *values;
        int64_t from, to, width; /* minutes */
        uint16_t rows[ROWS];     /* hash table: position of a series in the query + 1; 0: empty */
} Reading;

/* Returns the slot of that series, or the empty slot for it. */
static size_t row_slot(const Reading *reading, int64_t series) {
        size_t slot = (size_t) series % ROWS;

        while (reading->rows[slot] > 0 && reading->query->series[reading->rows[slot] - 1] != series)
                slot = (slot + 1) % ROWS;
        return slot;
}

static void reading_add(void *userdata, const PageBucket *part) {
        Reading *reading = userdata;
        PageBucket *bucket;
        size_t row = reading->rows[row_slot(reading, part->series)];

        if (row == 0 || part->count == 0 || part->minute < reading->from || part->minute >= reading->to)
                return;
        /* 0.2.0 added up values that were too large; and a file may be damaged */
        if (!(fabs(part->total) <= TOTAL_MAX && isfinite(part->low) && isfinite(part->high)))
                return;
        bucket = &reading->values->buckets[(row - 1) * reading->values->n +
                                           (size_t) ((part->minute - reading->from) / reading->width)];
        bucket_add(bucket, part);
}

static int reading_begin(const PageStore *store, Reading *reading) {
        const PageQuery *query = reading->query;
        PageValues *values = reading->values;
        int64_t span;

        for (size_t i = 0; i < query->n; i++) {
                if (!page_series_get(store->series, query->series[i]))
                        return -ENOENT;
                reading->rows[row_slot(reading, query->series[i])] = (uint16_t) (i + 1);
        }
        reading->width = width_choose(store, query);
        reading->from = query->from / MINUTE_MSEC / reading->width * reading->width;
        span = (query->to + MINUTE_MSEC - 1) / MINUTE_MSEC - reading->from;
        *values = (PageValues){ .bucket = reading->width * MINUTE_MSEC,
                .from = reading->from * MINUTE_MSEC,
                .n = (size_t) ((span + reading->width - 1) / reading->width) };
        reading->to = reading->from + (int64_t) values->n * reading->width;
        values->to = reading->to * MINUTE_MSEC;
        values->buckets = calloc(query->n * values->n, sizeof(PageBucket));
        return values->buckets ? 0 : -ENOMEM;
}

static int read_tables(PageStore *store, Reading *reading) {
        const PageRange range = { reading->from, reading->to, reading->query->series, reading->query->n,
                page_series_count(store->series), reading_add, reading };

        return store->tables ? page_tables_read(store->tables, &range) : 0;
}

int page_store_values(PageStore *store, const PageQuery *query, PageValues *ret) {
        Reading reading = { .query = query, .values = ret };
        int r;

        r = reading_begin(store, &reading);
        if (r < 0)
                return r;
        r = store_ended(store, read_tables(store, &reading));
        if (r < 0) {
                page_store_values_done(ret);
                return r;
        }
        for (size_t i = 0; i < store->n_recent; i++)
                reading_add(&reading, &store->recent[i]);
        return r;
}

void page_store_values_done(PageValues *values) {
        free(values->buckets);
        *values = (PageValues){};
}

/* ---- life ---- */

/* Uses what can be read of a damaged file: at least names and ids of the series. */
int page_store_open(const char *directory, usec_t since, PageStore **ret) {
        _cleanup_(page_store_freep) PageStore *store = calloc(1, sizeof(*store));
        int r;

        if (!store)
                return -ENOMEM;
        store->directory = strdup(directory);
        r = store->directory ? page_series_new(&store->series) : -ENOMEM;
        if (r < 0)
                return r;
        r = page_tables_open(directory, &store->tables);
        if (r == -EPROTONOSUPPORT)
                return PAGE_STORE_NEWER;
        if (r == 0)
                r = page_tables_load(store->tables, store->series, &store->past);
        if (r >= 0 && store->past.begun == 0)
                past_begin(store, since);
        r = store_ended(store, r);
        if (r >= 0)
                *ret = cleanup_steal(store);
        return r;
}

PageStore *page_store_free(PageStore *store) {
        if (!store)
                return NULL;
        page_tables_free(store->tables);
        free(store->recent);
        page_series_free(store->series);
        bytes_done(&store->past.mark);
        free(store->directory);
        free(store);
        return NULL;
}
