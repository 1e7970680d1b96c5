/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* page.sqlite: its tables. A value is in one table, by its age; page-store.h says which. All results are those of
 * lib/sql.h: 0, or a negative errno. */

#include "lib/bytes.h"
#include "lib/clock.h"
#include "page-series.h"

#define PAGE_TABLES_FILE "page.sqlite"
#define PAGE_TABLES_ASIDE PAGE_TABLES_FILE ".damaged"

typedef struct PageTables PageTables;

/* The values of one series in one minute, or in the time that a table has. */
typedef struct PageBucket {
        uint32_t minute; /* minutes since 1970 UTC */
        uint32_t series; /* id of the series */
        uint32_t count;
        double low, total, high;
} PageBucket;

/* How far the values from before the file was begun have been read. */
typedef struct PagePast {
        int64_t begun; /* when the file was made: ms since 1970, by this machine's clock; 0: not known */
        usec_t since;  /* the same by clock_now(), if this process made the file; else 0 */
        Bytes mark;    /* the sink's position at which to continue; empty: at the beginning */
        bool complete;
} PagePast;

/* Returns when the file was made, in ms since 1970 by the present wall clock, which may have been set since. */
static inline int64_t page_past_begun(const PagePast *past) {
        return past->since > 0 ? (int64_t) (clock_wall_of(past->since) / USEC_PER_MSEC) : past->begun;
}

/* Opens or creates the file. -EPROTONOSUPPORT: a later version made it. */
int page_tables_open(const char *directory, PageTables **ret);
PageTables *page_tables_free(PageTables *tables);
CLEANUP_DEFINE(PageTables, page_tables_free)
/* Moves the file of a directory aside. It replaces one that was moved aside earlier, because these files may be
 * large. */
int page_tables_set_aside(const char *directory);

enum { PAGE_TABLES_LOADED = 0, PAGE_TABLES_MENDED = 1 };
/* Loads what was saved; nothing was saved if *past* has no *begun*. MENDED: rows with impossible values were left out,
 * and deleted. */
int page_tables_load(PageTables *tables, PageSeriesTable *series, PagePast *past);
/* Deletes values that cannot be right. Call it when page_tables_end() returned -EBADMSG. */
int page_tables_mend(PageTables *tables);

/* One transaction: everything between begin and end. page_tables_end() rolls back unless *r* is 0, and returns the
 * result. -EBADMSG: the file has values that cannot be added up. -EUCLEAN also if somebody removed the file: what is
 * saved in it is lost when it is closed. */
int page_tables_begin(PageTables *tables);
int page_tables_end(PageTables *tables, int r);

/* Makes old values coarser; *newest* is the newest minute that has a value. */
int page_tables_roll(PageTables *tables, int64_t newest, const PageSeriesTable *series);
/* Adds the values to those that are there. */
int page_tables_put(PageTables *tables, const PageBucket *bucket);
int page_tables_put_series(PageTables *tables, const PageSeries *series);
/* Deletes a series and its values. All of them must be old enough to be kept by the hour. */
int page_tables_drop_series(PageTables *tables, int64_t series);
int page_tables_put_past(PageTables *tables, const PagePast *past);

#define PAGE_TABLES_HOUR 60
/* Returns the width in minutes of the finest bucket in which all values from *minute* on are kept; at most
 * PAGE_TABLES_HOUR. */
int64_t page_tables_width(const PageTables *tables, int64_t minute);

typedef struct PageRange {
        int64_t from, to; /* minutes; *to* is not included */
        const int64_t *series;
        size_t n, of; /* n: how many series are asked for; of: how many there are */
        void (*each)(void *userdata, const PageBucket *bucket);
        void *userdata;
} PageRange;
/* Calls *each* for every bucket in the range, without an order. It may also pass buckets of other series. */
int page_tables_read(PageTables *tables, const PageRange *range);
