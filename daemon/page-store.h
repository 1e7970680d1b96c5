/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* The charts' values: page.sqlite in the state directory, and in memory what came since the last save. Every value is
 * in one place, which depends only on its own time, not on when it comes:
 *
 *      a minute --older than 3 days--> 5 minutes --older than 31 days--> an hour --older than 5 years--> dropped
 *
 * Each place has minimum, sum, maximum and count of its values, so that a coarser place is made of finer ones without
 * loss. The age is measured from the newest value, not by this machine's clock. Values are saved from time to time in
 * one transaction, which wears an SD card little; a kill or a power cut loses only the values that were not saved.
 * Nothing else depends on the file.
 *
 * When there are PAGE_SERIES_MAX series, each save may drop one: of the series without a value for 31 days, the one
 * with the shortest time between its first and last value. So ids that change all the time are dropped before a device
 * that was there for years.
 *
 * The calls block. Only one thread may use a store, and nothing important may wait for that thread. */
/* clang-format on */

#include "page-numbers.h"
#include "page-tables.h"

#define PAGE_STORE_SAVE_USEC (5 * USEC_PER_MINUTE) /* the most that a kill or power cut can lose */

typedef struct PageStore PageStore;

enum {
        PAGE_STORE_OK = 0,
        PAGE_STORE_MENDED = PAGE_TABLES_MENDED, /* values that cannot be right were deleted from the file */
        PAGE_STORE_ASIDE, /* the file was damaged and set aside, or removed; a new one was begun */
        PAGE_STORE_NEWER, /* a later version made the file; it was not opened */
};
/* Opens or creates the file. *since* is the clock_now() that counts as the begin of a new file. Other errors are those
 * of sql_open(), -EBUSY, ... */
int page_store_open(const char *directory, usec_t since, PageStore **ret);
/* Values that were not saved are lost. */
PageStore *page_store_free(PageStore *store);
CLEANUP_DEFINE(PageStore, page_store_free)

/* Adds the numbers of one stored message. PAGE_STORE_OK, also when a limit was reached: page_store_lost() counts values
 * that are in no chart. -ENOMEM. */
int page_store_add(PageStore *store, const PageFound *found);
uint64_t page_store_lost(const PageStore *store);
/* Returns how many numbers of messages were too many or too deep; each device counts once. */
uint64_t page_store_beyond(const PageStore *store);
/* True if so much is unsaved that a save is due. */
bool page_store_is_full(const PageStore *store);

/* Saves the values in memory, and makes old values coarser, a piece at a time. PAGE_STORE_OK, PAGE_STORE_MENDED;
 * PAGE_STORE_ASIDE: the file was damaged, and the values from memory are in a new one; a negative errno: the values
 * stay in memory. */
int page_store_save(PageStore *store);

/* Returns how far the values from before the file was begun have been read. */
const PagePast *page_store_past(const PageStore *store);
/* Notes *mark*; it is saved together with the values that were added before it. -ENOMEM. */
int page_store_note_past(PageStore *store, Slice mark, bool complete);
/* True if more history must be read although it was complete: the clock was behind, and has been corrected since. */
bool page_store_past_goes_on(PageStore *store);

/* Every series. */
const PageSeriesTable *page_store_series(const PageStore *store);

/* What to draw. */
#define PAGE_QUERY_SERIES_MAX 200
#define PAGE_QUERY_POINTS_MAX 2000 /* for one series; the default is PAGE_QUERY_POINTS */
#define PAGE_QUERY_POINTS 600
#define PAGE_QUERY_VALUES_MAX 60000 /* for all series together */

typedef struct PageQuery {
        int64_t series[PAGE_QUERY_SERIES_MAX]; /* ids; none occurs twice */
        size_t n;
        int64_t from, to; /* ms since 1970; from < to */
        unsigned points;  /* the most points for each series */
} PageQuery;

/* The values to draw: for each series of a query *n* buckets, one after the other. A bucket without values has count
 * 0. */
typedef struct PageValues {
        int64_t bucket, from, to; /* ms */
        size_t n;
        PageBucket *buckets; /* minute and series are not filled in */
} PageValues;
/* PAGE_STORE_OK, PAGE_STORE_ASIDE, -ENOENT: there is no such series; -ENOMEM and others. */
int page_store_values(PageStore *store, const PageQuery *query, PageValues *ret);
void page_store_values_done(PageValues *values);
