/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Values since the last save, summed up by series and minute; they may come in any order. */

#include <stddef.h>
#include <stdint.h>

/* The values of one series in one minute. */
typedef struct PageBucket {
        uint32_t minute; /* minutes since 1970 UTC */
        uint32_t series; /* id of the series */
        uint32_t count;
        double low, total, high;
} PageBucket;

typedef struct PageRecent PageRecent;

/* Adds the values of *part* to those of *bucket*. */
static inline void page_bucket_add(PageBucket *bucket, const PageBucket *part) {
        if (bucket->count == 0 || part->low < bucket->low)
                bucket->low = part->low;
        if (bucket->count == 0 || part->high > bucket->high)
                bucket->high = part->high;
        bucket->total += part->total;
        bucket->count += part->count;
}

#define PAGE_RECENT_MAX 65536 /* the most buckets in memory while the disk fails, 3 MiB */

/* -ENOMEM. */
int page_recent_new(PageRecent **ret);
PageRecent *page_recent_free(PageRecent *recent);

enum { PAGE_RECENT_ADDED = 0, PAGE_RECENT_FULL = 1 };
/* Adds one value. PAGE_RECENT_FULL: it needs a new bucket, and there are PAGE_RECENT_MAX already. -ENOMEM. */
int page_recent_add(PageRecent *recent, uint32_t series, uint32_t minute, double value);

/* Returns all buckets, sorted by time and series; valid until the next call. */
const PageBucket *page_recent_sorted(PageRecent *recent, size_t *ret_n);
/* Returns all buckets without an order, for a quick look. */
const PageBucket *page_recent_all(const PageRecent *recent, size_t *ret_n);
/* Empties it, and frees memory that only a peak needed. */
void page_recent_clear(PageRecent *recent);
