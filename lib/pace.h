/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How large the next piece may be, over a line of unknown speed, so that each is through in good time: halved when one
 * did not get through or was called too large, sized by the line's pace when one took long, doubled while all goes
 * fast. A plain value, pure; pieces that are smaller than the limit because there was no more to send change nothing.
 */

#include "clock.h"

typedef struct Pace {
        size_t min, max;   /* what `limit` stays between */
        size_t limit;      /* bytes of the next piece; a single item may be larger */
        size_t passed;     /* the largest that got through since the last one that did not; 0: none */
        size_t refused;    /* a piece of so many bytes was called too large; 0: none */
        usec_t refused_at; /* clock_now() */
} Pace;

#define PACE_GOOD_USEC (10 * USEC_PER_SEC) /* what a piece is sized for on a slow line */
#define PACE_SLOW_USEC (20 * USEC_PER_SEC) /* longer than this: smaller pieces */
/* so long a size that was called too large is not tried again: whoever has that limit rarely changes it */
#define PACE_REFUSED_USEC USEC_PER_HOUR

/* A piece of *size* bytes is through, after *took*. */
void pace_through(Pace *pace, size_t size, usec_t took, usec_t now);

/* A piece of *size* bytes did not get through: a timeout, a connection that was cut. */
void pace_stuck(Pace *pace, size_t size);

/* A piece of *size* bytes was refused or did not get through, and nobody says why. Where the limit has just grown to
 * it, it is its size, and not tried again for so long: else every second one would be refused. */
void pace_refused(Pace *pace, size_t size, usec_t now);

/* A piece of *size* bytes was called too large. True when nothing was since the last time that so much went through:
 * it is news then. */
bool pace_too_large(Pace *pace, size_t size, usec_t now);
