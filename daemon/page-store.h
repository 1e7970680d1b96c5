/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* The charts' values: page.sqlite in the state directory, and in memory what came since the last save. Every value is
 * in one place, by its own time and whenever it comes:
 *
 *      a minute --older than 3 days--> 5 minutes --older than 31 days--> an hour --older than 5 years--> dropped
 *
 * Each place has minimum, sum, maximum and count of what fell into it, so what is coarser is made of what is finer
 * without loss. "Older" is measured from the newest value there is, not from this machine's clock. Saved now and then
 * in one transaction, so that a card does not notice; what a kill or a power cut takes is what was not saved. Nothing
 * else depends on the file.
 *
 * With PAGE_SERIES_MAX series each save makes room for another: of those that have had no value for 31 days, the one
 * that had them for the shortest time goes. So ids that change all the time give way, and a device of years does last.
 *
 * Blocks: for one thread at a time, and none that anything waits for. */
/* clang-format on */

#include "page-look.h"
#include "page-query.h"
#include "page-tables.h"

#define PAGE_STORE_SAVE_USEC (5 * USEC_PER_MINUTE) /* at most this is lost */

typedef struct PageStore PageStore;

enum {
        PAGE_STORE_OK = 0,
        PAGE_STORE_ASIDE = 1, /* the file was damaged, and is set aside; a new one was begun */
        PAGE_STORE_NEWER = 2, /* made by a later version; left alone, nothing was opened */
};
/* Opens or creates the file. *since*: clock_now(), when a new file begins. Other errors as sql_open(), -EBUSY, ... */
int page_store_open(const char *directory, usec_t since, PageStore **ret);
/* What was not saved is gone. */
PageStore *page_store_free(PageStore *store);
CLEANUP_DEFINE(PageStore, page_store_free)

/* The numbers of one stored message. PAGE_STORE_OK, also where a cap was hit: page_store_lost() counts what is in no
 * chart. -ENOMEM. */
int page_store_add(PageStore *store, const PageFound *found);
uint64_t page_store_lost(const PageStore *store);
/* Numbers of messages that were too many or too deep, of each device once. */
uint64_t page_store_beyond(const PageStore *store);
/* So much waits to be saved that it should be now. */
bool page_store_is_full(const PageStore *store);

/* Saves what came, and makes coarser, a piece at a time, what has become old. PAGE_STORE_OK; PAGE_STORE_ASIDE: the file
 * turned out to be damaged, what was in memory is in a new one; an errno: it stays in memory. */
int page_store_save(PageStore *store);

/* How far the values from before the file was begun were brought in. */
const PagePast *page_store_past(const PageStore *store);
/* What was added up to *mark* is saved together with it. -ENOMEM. */
int page_store_note_past(PageStore *store, Slice mark, bool complete);
/* True where they go on although they were complete: the clock was behind, and has been set right since. */
bool page_store_past_goes_on(PageStore *store);

/* Every series. */
const PageSeriesTable *page_store_series(const PageStore *store);

/* What is drawn: for each series of a query, *n* buckets one behind the other, those without values with count 0. */
typedef struct PageValues {
        int64_t bucket, from, to; /* ms */
        size_t n;
        PageBucket *buckets; /* minute and series are not set */
} PageValues;
/* PAGE_STORE_OK, PAGE_STORE_ASIDE, -ENOENT: no such series; -ENOMEM and others. */
int page_store_values(PageStore *store, const PageQuery *query, PageValues *ret);
void page_store_values_done(PageValues *values);
