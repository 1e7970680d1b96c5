/* SPDX-License-Identifier: Apache-2.0 */
#include "pace.h"

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
