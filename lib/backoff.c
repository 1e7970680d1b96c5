/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"

#include <assert.h>
#include <limits.h>

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
