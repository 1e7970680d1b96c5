/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"

#include <assert.h>
#include <limits.h>

static usec_t backoff_ceiling(const Backoff *b) {
        if (b->attempt >= 64 || b->initial > b->max >> b->attempt)
                return b->max;
        return b->initial << b->attempt;
}

/* Returns the high 64 bits of the product a * b, computed in 64-bit steps because a 32-bit machine has no 128-bit
 * type. */
static uint64_t high_product(uint64_t a, uint64_t b) {
        uint64_t a_high = a >> 32, a_low = (uint32_t) a, b_high = b >> 32, b_low = (uint32_t) b;
        uint64_t middle = a_high * b_low + (a_low * b_low >> 32);
        uint64_t other = a_low * b_high + (uint32_t) middle;

        return a_high * b_high + (middle >> 32) + (other >> 32);
}

usec_t backoff_next(Backoff *b, uint64_t random) {
        usec_t ceiling = backoff_ceiling(b), floor = ceiling / 10 + (ceiling % 10 != 0);
        usec_t width = ceiling - floor + 1;

        assert(b->initial > 0 && b->max >= b->initial);

        if (b->attempt < UINT_MAX)
                b->attempt++;

        return floor + high_product(random, width); /* 0..width-1, without the bias of a remainder */
}

usec_t backoff_next_at_least(Backoff *b, usec_t floor, uint64_t random) {
        usec_t delay = backoff_next(b, random);

        return usec_max(delay, floor);
}

void backoff_reset(Backoff *b) {
        b->attempt = 0;
}
