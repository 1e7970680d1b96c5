/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Every series that charts are drawn of: one field of one device, with its latest value. There are PAGE_SERIES_MAX at
 * most: page-store.h says which make room. */

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
        size_t beyond; /* numbers of its message that are in no chart */
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
        bool spent;          /* it makes room for another when that is saved */
        bool told;           /* signs.beyond was counted once */
} PageSeries;

typedef struct PageSeriesTable PageSeriesTable;

/* Empty. -ENOMEM. */
int page_series_new(PageSeriesTable **ret);
PageSeriesTable *page_series_free(PageSeriesTable *table);
CLEANUP_DEFINE(PageSeriesTable, page_series_free)

enum { PAGE_SERIES_KNOWN = 0, PAGE_SERIES_ADDED = 1, PAGE_SERIES_FULL = 2 };
/* The series of that key, made when it is not there; *id* 0 stands for the next one that is free. The pointer is good
 * until one is dropped. PAGE_SERIES_FULL: there are PAGE_SERIES_MAX already. -ENOMEM. */
int page_series_find(PageSeriesTable *table, const PageSeriesKey *key, int64_t id, PageSeries **ret);
/* By its number, or NULL. */
PageSeries *page_series_get(const PageSeriesTable *table, int64_t id);
size_t page_series_count(const PageSeriesTable *table);
/* One after the other; NULL past the end. */
PageSeries *page_series_at(const PageSeriesTable *table, size_t index);

/* Those that are spent are freed. */
void page_series_drop_spent(PageSeriesTable *table);

/* A value of the device that is called *name* now. */
int page_series_note(PageSeries *series, const char *name, int64_t time, double value);
/* The same message said this of the device at *time*. */
void page_series_note_signs(PageSeries *series, int64_t time, const PageSigns *signs);
/* Whether its device is off, by what it said last. *now*: ms since 1970. */
bool page_series_is_off(const PageSeries *series, int64_t now);
