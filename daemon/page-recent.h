/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What was stored since the last save, summed up by series and minute: in whatever order it came. */

#include <stddef.h>
#include <stdint.h>

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

enum { PAGE_RECENT_ADDED = 0, PAGE_RECENT_FULL = 1 };
/* One value more. PAGE_RECENT_FULL: it would need one bucket too many. -ENOMEM. */
int page_recent_add(PageRecent *recent, uint32_t series, uint32_t minute, double value);

/* All of them, in the order of time and series; good until the next call. */
const PageBucket *page_recent_sorted(PageRecent *recent, size_t *ret_n);
/* The same in no order: for a look. */
const PageBucket *page_recent_all(const PageRecent *recent, size_t *ret_n);
/* Empties it, and gives back the memory of a burst. */
void page_recent_clear(PageRecent *recent);
