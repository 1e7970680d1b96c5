/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Every series that charts are drawn of: one field of one device, with its latest value. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

#define PAGE_SERIES_MAX 2000

/* What tells one from another. */
typedef struct PageSeriesKey {
        const char *source, *device, *labels, *field; /* labels: an object of texts, as text */
} PageSeriesKey;

/* What a device says of itself: its latest value may be an old one. Times are ms since 1970; 0: it does not say. */
typedef struct PageSigns {
        int64_t changed; /* when this value changed last */
        int64_t moved;   /* when any value of the device did */
        bool offline;
} PageSigns;

/* A device none of whose values has changed for so long is off, whatever else is said of it. */
#define PAGE_STILL_MSEC (INT64_C(24) * 60 * 60 * 1000)

typedef struct PageSeries {
        int64_t id; /* never given to another one */
        PageSeriesKey key;
        char *name;          /* of the device, as it was called last */
        int64_t first, last; /* times of values, ms since 1970 */
        double value;        /* of `last` */
        PageSigns signs;     /* of `last`; not saved: the next message tells */
        bool changed;        /* since it was saved */
} PageSeries;

typedef struct PageSeriesTable PageSeriesTable;

/* Empty. -ENOMEM. */
int page_series_new(PageSeriesTable **ret);
PageSeriesTable *page_series_free(PageSeriesTable *table);
CLEANUP_DEFINE(PageSeriesTable, page_series_free)

enum { PAGE_SERIES_KNOWN = 0, PAGE_SERIES_ADDED = 1, PAGE_SERIES_FULL = 2 };
/* The series of that key, made when it is not there; *id* 0 stands for the next one that is free. The pointer is good
 * until the table is freed. PAGE_SERIES_FULL: there are PAGE_SERIES_MAX already. -ENOMEM. */
int page_series_find(PageSeriesTable *table, const PageSeriesKey *key, int64_t id, PageSeries **ret);
/* By its number, or NULL. */
PageSeries *page_series_get(const PageSeriesTable *table, int64_t id);
/* One after the other; NULL past the end. */
PageSeries *page_series_at(const PageSeriesTable *table, size_t index);

/* A value of the device that is called *name* now. */
int page_series_note(PageSeries *series, const char *name, int64_t time, double value);
/* The same message said this of the device at *time*. */
void page_series_note_signs(PageSeries *series, int64_t time, const PageSigns *signs);
/* Whether its device is off, by what it said last. *now*: ms since 1970. */
bool page_series_is_off(const PageSeries *series, int64_t now);

/* ---- page-recent.c ---- */

/* What was stored since the last save, summed up by series and minute: in whatever order it came. */

/* Some values of one series in one minute. */
typedef struct PageBucket {
        uint32_t minute; /* since 1970 UTC */
        uint32_t series; /* its id */
        uint32_t count;
        double low, total, high;
} PageBucket;

typedef struct PageRecent PageRecent;

/* Holds *most* buckets. -ENOMEM. */
int page_recent_new(size_t most, PageRecent **ret);
PageRecent *page_recent_free(PageRecent *recent);
CLEANUP_DEFINE(PageRecent, page_recent_free)

enum { PAGE_RECENT_ADDED = 0, PAGE_RECENT_FULL = 1 };
/* One value more. PAGE_RECENT_FULL: it would need one bucket too many. -ENOMEM. */
int page_recent_add(PageRecent *recent, uint32_t series, uint32_t minute, double value);

/* All of them, in the order of time and series; good until the next call. */
const PageBucket *page_recent_sorted(PageRecent *recent, size_t *ret_n);
/* The same in no order: for a look. */
const PageBucket *page_recent_all(const PageRecent *recent, size_t *ret_n);
/* Empties it, and gives back the memory of a burst. */
void page_recent_clear(PageRecent *recent);
