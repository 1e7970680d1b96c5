/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"

#include <assert.h>
#include <limits.h>

/* ---- when ---- */

static usec_t backoff_ceiling(const Backoff *b) {
        if (b->attempt >= 64 || b->initial > b->max >> b->attempt)
                return b->max;
        return b->initial << b->attempt;
}

usec_t backoff_next(Backoff *b, uint64_t random) {
        usec_t ceiling = backoff_ceiling(b), floor = ceiling / 10 + (ceiling % 10 != 0);
        usec_t width = ceiling - floor + 1;

        assert(b->initial > 0 && b->max >= b->initial);

        if (b->attempt < UINT_MAX)
                b->attempt++;

        /* 53 bits of it, as many as a double has: 0..width-1, without the bias of a remainder */
        return floor + (usec_t) ((double) (random >> 11) * 0x1p-53 * (double) width);
}

usec_t backoff_next_at_least(Backoff *b, usec_t floor, uint64_t random) {
        usec_t delay = backoff_next(b, random);

        return usec_max(delay, floor);
}

void backoff_reset(Backoff *b) {
        b->attempt = 0;
}

/* ---- how much ---- */

static void pace_set(Pace *p, size_t limit) {
        p->limit = limit < p->min ? p->min : limit > p->max ? p->max : limit;
}

/* Returns the next larger limit; the old one if a piece of that size was refused not long ago. */
static size_t pace_larger(const Pace *p, usec_t now) {
        size_t larger = p->limit > p->max / 2 ? p->max : 2 * p->limit;

        return p->refused > 0 && larger >= p->refused && now - p->refused_at < PACE_REFUSED_USEC ? p->limit : larger;
}

void pace_through(Pace *p, size_t size, usec_t took, usec_t now) {
        if (size >= p->refused)
                p->refused = 0;
        p->passed = size > p->passed ? size : p->passed;
        if (took > PACE_SLOW_USEC)
                pace_set(p, (size_t) ((double) size * (double) PACE_GOOD_USEC / (double) took));
        else if (size > p->limit / 2 && took < PACE_GOOD_USEC)
                pace_set(p, pace_larger(p, now));
}

void pace_stuck(Pace *p, size_t size) {
        if (size > p->min && size / 2 < p->limit) /* that a small piece failed says nothing about size */
                pace_set(p, size / 2);
}

void pace_refused(Pace *p, size_t size, usec_t now) {
        bool grown = p->passed > 0 && size / 3 * 2 > p->passed && size > p->limit / 2;

        p->passed = 0;
        if (grown)
                (void) pace_too_large(p, size, now);
        else
                pace_stuck(p, size);
}

bool pace_too_large(Pace *p, size_t size, usec_t now) {
        bool news = p->refused == 0;

        pace_stuck(p, size);
        p->refused = size;
        p->refused_at = now;
        return news;
}
