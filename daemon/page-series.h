/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* All series that charts show. A series is one field of one device; this has its latest value. There are at most
 * PAGE_SERIES_MAX; page-store.h says which are dropped for new ones. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define PAGE_SERIES_MAX 2000

/* The identity of a series. */
typedef struct PageSeriesKey {
        const char *source, *device, *labels, *field; /* labels: a JSON object of texts, as text */
} PageSeriesKey;

/* What a device says about itself, to find out whether its latest value is old. Times are ms since 1970; 0: it does not
 * say. */
typedef struct PageSigns {
        int64_t changed; /* when this value changed last */
        int64_t moved;   /* when any value of the device changed last */
        bool offline;
        size_t beyond; /* how many numbers of its message are in no chart */
} PageSigns;

/* A device is off when none of its values has changed for this time, whatever else it says. */
#define PAGE_STILL_MSEC (INT64_C(24) * 60 * 60 * 1000)

typedef struct PageSeries {
        int64_t id; /* never used again for another series */
        PageSeriesKey key;
        char *name;          /* the latest name of its device */
        int64_t first, last; /* times of the first and latest value, ms since 1970 */
        double value;        /* the value at `last` */
        PageSigns signs;     /* its signs at `last`; not saved, since the next message brings them */
        size_t bucket;       /* where the store has its latest values that are not saved; may be out of date */
        bool changed;        /* since it was last saved */
        bool spent;          /* dropped for a new series when the transaction is saved */
        bool told;           /* signs.beyond has been counted */
} PageSeries;

typedef struct PageSeriesTable PageSeriesTable;

/* The table is empty. -ENOMEM. */
int page_series_new(PageSeriesTable **ret);
PageSeriesTable *page_series_free(PageSeriesTable *table);
CLEANUP_DEFINE(PageSeriesTable, page_series_free)

enum { PAGE_SERIES_KNOWN = 0, PAGE_SERIES_ADDED = 1, PAGE_SERIES_FULL = 2 };
/* Finds the series of that key, or adds it; *id* 0 means the next free id. The pointer is valid until a series is
 * dropped. PAGE_SERIES_FULL: there are already PAGE_SERIES_MAX. -ENOMEM. */
int page_series_find(PageSeriesTable *table, const PageSeriesKey *key, int64_t id, PageSeries **ret);
/* Finds a series by its id; NULL: there is none. */
PageSeries *page_series_get(const PageSeriesTable *table, int64_t id);
size_t page_series_count(const PageSeriesTable *table);
/* Returns the series at *index*; NULL past the end. */
PageSeries *page_series_at(const PageSeriesTable *table, size_t index);

/* Frees the series that are spent. */
void page_series_drop_spent(PageSeriesTable *table);

/* Notes a value; *name* and *signs* are those of its device in the same message. -ENOMEM. */
int page_series_note(PageSeries *series, const char *name, int64_t time, double value, const PageSigns *signs);
/* True if the device is off, by what it said last. *now* is in ms since 1970. */
bool page_series_is_off(const PageSeries *series, int64_t now);
