/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* page.sqlite: what stands in it, and where. A value is in one table, by its age; page-store.h says which. All results
 * are those of lib/sql.h: 0, SQL_DAMAGED, or an errno. */

#include "lib/bytes.h"
#include "lib/clock.h"
#include "page-recent.h"
#include "page-series.h"

#define PAGE_TABLES_FILE "page.sqlite"
#define PAGE_TABLES_ASIDE PAGE_TABLES_FILE ".damaged"

typedef struct PageTables PageTables;

/* How far the values from before the file was begun were brought in. */
typedef struct PagePast {
        int64_t begun; /* when the file was made: ms since 1970, by this machine's clock; 0: not known */
        usec_t since;  /* the same by clock_now(), where this process made it; else 0 */
        Bytes mark;    /* of the sink: where to go on; empty: at the beginning */
        bool complete;
} PagePast;

/* When the file was made, by the wall clock of today: it may have been set since. */
static inline int64_t page_past_begun(int64_t begun, usec_t since) {
        return since > 0 ? (int64_t) (clock_wall_of(since) / USEC_PER_MSEC) : begun;
}

/* Opens or makes the file. -EPROTONOSUPPORT: made by a later version. */
int page_tables_open(const char *directory, PageTables **ret);
PageTables *page_tables_free(PageTables *tables);
CLEANUP_DEFINE(PageTables, page_tables_free)
/* Moves the file of a directory aside, in place of one that was moved there before: they may be large. */
int page_tables_set_aside(const char *directory);

/* What was saved. *past* stays as it is where nothing was. */
int page_tables_load(PageTables *tables, PageSeriesTable *series, PagePast *past);

/* One transaction: everything until page_tables_end(), which undoes it unless *r* is 0, and returns what came of it. */
int page_tables_begin(PageTables *tables);
int page_tables_end(PageTables *tables, int r);

/* Makes coarser what has become old: *newest* is the newest minute there is. */
int page_tables_roll(PageTables *tables, int64_t newest, const PageSeriesTable *series);
/* Adds to what is there. */
int page_tables_put(PageTables *tables, const PageBucket *bucket);
int page_tables_put_series(PageTables *tables, const PageSeries *series);
/* Deletes a series with its values, all of which must be old enough to be kept by the hour. */
int page_tables_drop_series(PageTables *tables, int64_t series);
int page_tables_put_past(PageTables *tables, const PagePast *past);

#define PAGE_TABLES_HOUR 60
/* How many minutes make the finest bucket that values from *minute* on are all kept in: PAGE_TABLES_HOUR at most. */
int64_t page_tables_width(const PageTables *tables, int64_t minute);

typedef struct PageRange {
        int64_t from, to; /* minutes; without the end */
        const int64_t *series;
        size_t n, of; /* how many of them, and how many there are */
} PageRange;
/* Calls *each* for every bucket in the range, in no order; also for other series. */
int page_tables_read(PageTables *tables, const PageRange *range, void (*each)(void *userdata, const PageBucket *bucket),
        void *userdata);
