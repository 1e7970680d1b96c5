/* SPDX-License-Identifier: Apache-2.0 */
#include "page-recent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"

#define SLOTS_MIN 1024
#define KEPT 2048 /* buckets whose memory is kept when it is cleared */

struct PageRecent {
        PageBucket *items;
        size_t n, allocated;
        uint32_t *slots; /* index + 1; 0: empty */
        size_t n_slots;  /* a power of two, and more than 1.5 times n */
};

static size_t bucket_slot(const PageRecent *recent, uint32_t series, uint32_t minute) {
        uint64_t hash = ((uint64_t) series << 32 | minute) * UINT64_C(0x9e3779b97f4a7c15);

        return (size_t) (hash >> 32) & (recent->n_slots - 1);
}

/* Returns the slot of that bucket, or the empty slot for it. */
static size_t slot_find(const PageRecent *recent, uint32_t series, uint32_t minute) {
        size_t slot = bucket_slot(recent, series, minute);

        for (; recent->slots[slot] > 0; slot = (slot + 1) & (recent->n_slots - 1)) {
                const PageBucket *bucket = &recent->items[recent->slots[slot] - 1];

                if (bucket->series == series && bucket->minute == minute)
                        break;
        }
        return slot;
}

static void slots_fill(PageRecent *recent) {
        memset(recent->slots, 0, recent->n_slots * sizeof(*recent->slots));
        for (size_t i = 0; i < recent->n; i++)
                recent->slots[slot_find(recent, recent->items[i].series, recent->items[i].minute)] = (uint32_t) i + 1;
}

static int slots_grow(PageRecent *recent) {
        size_t n = recent->n_slots > 0 ? 2 * recent->n_slots : SLOTS_MIN;
        uint32_t *slots = calloc(n, sizeof(*slots));

        if (!slots)
                return -ENOMEM;
        free(recent->slots);
        recent->slots = slots;
        recent->n_slots = n;
        slots_fill(recent);
        return 0;
}

static int bucket_new(PageRecent *recent, uint32_t series, uint32_t minute, PageBucket **ret) {
        int r;

        if (recent->n == PAGE_RECENT_MAX)
                return PAGE_RECENT_FULL;
        r = array_reserve(&recent->items, &recent->allocated, recent->n + 1, sizeof(PageBucket));
        if (r < 0)
                return r;
        recent->slots[slot_find(recent, series, minute)] = (uint32_t) recent->n + 1;
        *ret = &recent->items[recent->n++];
        **ret = (PageBucket){ .series = series, .minute = minute };
        return 0;
}

int page_recent_add(PageRecent *recent, uint32_t series, uint32_t minute, double value) {
        PageBucket *bucket = NULL;
        size_t slot;
        int r = 0;

        if (3 * (recent->n + 1) > 2 * recent->n_slots)
                r = slots_grow(recent);
        if (r < 0)
                return r;
        slot = slot_find(recent, series, minute);
        if (recent->slots[slot] > 0)
                bucket = &recent->items[recent->slots[slot] - 1];
        else
                r = bucket_new(recent, series, minute, &bucket);
        if (r != 0)
                return r;
        page_bucket_add(bucket, &(PageBucket){ .count = 1, .low = value, .total = value, .high = value });
        return PAGE_RECENT_ADDED;
}

static int compare(const void *first, const void *second) {
        const PageBucket *a = first, *b = second;

        if (a->minute != b->minute)
                return a->minute < b->minute ? -1 : 1;
        return a->series < b->series ? -1 : a->series > b->series;
}

const PageBucket *page_recent_sorted(PageRecent *recent, size_t *ret_n) {
        if (recent->n > 0) {
                qsort(recent->items, recent->n, sizeof(PageBucket), compare);
                slots_fill(recent);
        }
        return page_recent_all(recent, ret_n);
}

const PageBucket *page_recent_all(const PageRecent *recent, size_t *ret_n) {
        *ret_n = recent->n;
        return recent->items;
}

void page_recent_clear(PageRecent *recent) {
        recent->n = 0;
        if (recent->allocated > KEPT) {
                free(recent->items);
                free(recent->slots);
                recent->items = NULL;
                recent->slots = NULL;
                recent->allocated = recent->n_slots = 0;
        } else if (recent->slots)
                slots_fill(recent);
}

int page_recent_new(PageRecent **ret) {
        *ret = calloc(1, sizeof(PageRecent));
        return *ret ? 0 : -ENOMEM;
}

PageRecent *page_recent_free(PageRecent *recent) {
        if (!recent)
                return NULL;
        free(recent->items);
        free(recent->slots);
        free(recent);
        return NULL;
}
