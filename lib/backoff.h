/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Exponential backoff with jitter: after n earlier failures, a delay is drawn evenly between a tenth of
 * min(max, initial * 2^n) and the whole of it, so that clients that failed together do not come back together. A plain
 * value; time and randomness come from the caller. */

#include "clock.h"

typedef struct Backoff {
        usec_t initial;   /* ceiling of the first delay, > 0 */
        usec_t max;       /* ceiling of every delay, >= initial */
        unsigned attempt; /* failures since the last success */
} Backoff;

/* Counts one failure and returns the delay before the next try, drawn with *random* (any 64 evenly distributed bits).
 * Never below a tenth of the ceiling: a draw of zero would hammer a remote that has just failed. */
usec_t backoff_next(Backoff *b, uint64_t random);

/* Like backoff_next(), but the delay is at least *floor*, for instance a server's Retry-After. */
usec_t backoff_next_at_least(Backoff *b, usec_t floor, uint64_t random);

/* The next failure starts from *initial* again. */
void backoff_reset(Backoff *b);
