/* SPDX-License-Identifier: Apache-2.0 */
/* Waits that are minutes in the product, so that a test sees them end: $SENSORQD_TEST_BACKOFF_MAX_MSEC is the longest
 * wait before a next try, $SENSORQD_TEST_STUCK_TICK_MSEC the time between looks at a write that may be stuck. */

#include "crash.h"
#include "lib/backoff.h"
#include "lib/loop.h"

#define WAIT_OF_A_TEST (10 * USEC_PER_SEC) /* a first wait from here on is one that a test asked for */
#define WAIT_LONG (25 * USEC_PER_SEC)      /* waits after refusals, which no backoff draws, are longer than that, ... */
#define WAIT_LATER (15 * USEC_PER_MINUTE)  /* ... and shorter than what is no try at all: a token's refresh */
#define STUCK_TICK (30 * USEC_PER_SEC)

DOOR(backoff_next);
DOOR(backoff_next_at_least);
DOOR(loop_arm);
DOOR(loop_arm_in);

static void wait_limit(Backoff *b) {
        usec_t max = door_setting("SENSORQD_TEST_BACKOFF_MAX_MSEC");

        if (max == 0 || b->initial >= WAIT_OF_A_TEST)
                return;
        b->initial = b->initial < max ? b->initial : max;
        b->max = b->max < max ? b->max : max;
}

usec_t __wrap_backoff_next(Backoff *b, uint64_t random) {
        wait_limit(b);
        return __real_backoff_next(b, random);
}

usec_t __wrap_backoff_next_at_least(Backoff *b, usec_t floor, uint64_t random) {
        wait_limit(b);
        return __real_backoff_next_at_least(b, floor, random);
}

static usec_t wait_shorten(usec_t delay) {
        usec_t max = door_setting("SENSORQD_TEST_BACKOFF_MAX_MSEC");

        return max > 0 && delay >= WAIT_LONG && delay <= WAIT_LATER ? max : delay;
}

void __wrap_loop_arm(LoopWatch *timer, usec_t at) {
        usec_t now = clock_now();

        __real_loop_arm(timer, at > now ? now + wait_shorten(at - now) : at);
}

/* STUCK_TICK, to the microsecond, is no wait before a next try: with shorter ticks a write of seconds would be a stuck
 * one. Nor is what a broker has for its answer, or a program for its run, which is as long. */
void __wrap_loop_arm_in(LoopWatch *timer, usec_t delay) {
        usec_t tick = door_setting("SENSORQD_TEST_STUCK_TICK_MSEC");

        if (delay == STUCK_TICK)
                return __real_loop_arm_in(timer, tick > 0 ? tick : delay);
        __real_loop_arm_in(timer, wait_shorten(delay));
}
