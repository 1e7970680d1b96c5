/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Chance that a seed decides: splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"). */

#include <stdbool.h>
#include <stdint.h>

typedef struct Draw {
        uint64_t state;
} Draw;

#define PER_MILLION 1000000U

static inline uint64_t draw(Draw *d) {
        uint64_t z = (d->state += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

/* 0 to n - 1; 0 for n = 0. */
static inline uint64_t draw_below(Draw *d, uint64_t n) {
        return n > 0 ? (uint64_t) (((unsigned __int128) draw(d) * n) >> 64) : 0;
}

/* *from* to *to*, both included. */
static inline uint64_t draw_between(Draw *d, uint64_t from, uint64_t to) {
        return from + draw_below(d, to - from + 1);
}

static inline bool draw_chance(Draw *d, unsigned per_million) {
        return draw_below(d, PER_MILLION) < per_million;
}

/* Small ones often, large ones seldom: evenly over the orders of magnitude up to *most*. */
static inline uint64_t draw_skewed(Draw *d, uint64_t most) {
        uint64_t limit = most;

        for (uint64_t halvings = draw_below(d, 12); halvings > 0 && limit > 1; halvings--)
                limit /= 2;
        return draw_below(d, limit + 1);
}

/* A stream of its own, for what shall not disturb the others. */
static inline Draw draw_split(Draw *d, uint64_t name) {
        Draw own = { draw(d) ^ (name * UINT64_C(0xd1342543de82ef95)) };

        (void) draw(&own);
        return own;
}
