/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How a remote is spared: when it is tried again after a failure, and how much it is sent at once. Plain values; time
 * and randomness come from the caller. */

#include "clock.h"

/* Exponential backoff with jitter: after n earlier failures, a delay is drawn evenly between a tenth of
 * min(max, initial * 2^n) and the whole of it, so that clients that failed together do not come back together. */
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

/* How large the next piece may be on a line of unknown speed, so that each piece is through within a good time. The
 * limit is halved when a piece did not get through or was called too large; computed from the line's speed when a piece
 * was slow; doubled when a piece of more than half of it was fast. */
typedef struct Pace {
        size_t min, max;   /* *limit* stays between these */
        size_t limit;      /* bytes of the next piece; a single item may be longer */
        size_t passed;     /* bytes of the largest piece since the last pace_refused(); 0: none */
        size_t refused;    /* bytes of a piece that was called too large; 0: none */
        usec_t refused_at; /* clock_now() */
} Pace;

#define PACE_GOOD_USEC (10 * USEC_PER_SEC) /* target time of a piece on a slow line */
#define PACE_SLOW_USEC (20 * USEC_PER_SEC) /* a piece that takes longer makes the next ones smaller */
/* for this time, a size that was called too large is not tried again: such limits rarely change */
#define PACE_REFUSED_USEC USEC_PER_HOUR

/* Call this when a piece of *size* bytes is through, after *took*. */
void pace_through(Pace *pace, size_t size, usec_t took, usec_t now);

/* Call this when a piece of *size* bytes did not get through: a timeout, or a lost connection. */
void pace_stuck(Pace *pace, size_t size);

/* Call this when a piece of *size* bytes was refused or did not get through for an unknown reason. If the limit had
 * just grown to that size, the size counts as called too large: otherwise every second piece would be refused. */
void pace_refused(Pace *pace, size_t size, usec_t now);

/* Call this when a piece of *size* bytes was called too large. True the first time, and again after a piece as large as
 * the refused one went through: then it is worth a message. */
bool pace_too_large(Pace *pace, size_t size, usec_t now);
