/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

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

        /* The high half of the product maps the draw onto 0..width-1 without the bias of a remainder. */
        return floor + (usec_t) ((unsigned __int128) random * width >> 64);
}

usec_t backoff_next_at_least(Backoff *b, usec_t floor, uint64_t random) {
        usec_t delay = backoff_next(b, random);

        return delay > floor ? delay : floor;
}

void backoff_reset(Backoff *b) {
        b->attempt = 0;
}

usec_t backoff_limit(usec_t max) {
#ifdef SENSORQD_CRASHPOINTS
        const char *text = getenv("SENSORQD_TEST_BACKOFF_MAX_MSEC");
        usec_t limit = text ? strtoull(text, NULL, 10) * USEC_PER_MSEC : max;

        return limit < max ? limit : max;
#else
        return max;
#endif
}
