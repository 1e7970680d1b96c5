/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>

#include "lib/backoff.h"
#include "lib/loop.h"

/* ---- when ---- */

/* The least and the greatest draw give a tenth of the ceiling and the ceiling. */
static void test_ceiling_doubles(void **state) {
        Backoff low = { .initial = USEC_PER_SEC, .max = 60 * USEC_PER_SEC }, high = low;

        for (unsigned n = 0; n < 200; n++) {
                usec_t ceiling = n < 6 ? USEC_PER_SEC << n : 60 * USEC_PER_SEC;

                assert_int_equal(low.attempt, n);
                assert_int_equal(backoff_next(&low, 0), ceiling / 10);
                assert_int_equal(backoff_next(&high, UINT64_MAX), ceiling);
        }
}

static void test_bounds(void **state) {
        static const usec_t initials[] = { 1, 2, 9, 10, 11, 1000, USEC_PER_SEC, UINT64_C(1) << 62, UINT64_MAX };
        static const usec_t factors[] = { 1, 3, 60, 3600 };

        for (size_t i = 0; i < sizeof(initials) / sizeof(*initials); i++)
                for (size_t f = 0; f < sizeof(factors) / sizeof(*factors); f++) {
                        Backoff b = { .initial = initials[i] };

                        if (__builtin_mul_overflow(initials[i], factors[f], &b.max))
                                b.max = UINT64_MAX;
                        for (unsigned n = 0; n < 100; n++) {
                                usec_t ceiling = n < 64 && b.initial <= b.max >> n ? b.initial << n : b.max;
                                usec_t delay = backoff_next(&b, loop_random());

                                assert_true(delay >= 1);
                                assert_true(delay >= ceiling / 10);
                                assert_true(delay <= ceiling);
                        }
                }
}

/* Full jitter: every tenth between the bounds is drawn about equally often. */
static void test_spread(void **state) {
        unsigned buckets[9] = { 0 };

        for (uint64_t i = 0; i < 9000; i++) {
                Backoff b = { .initial = 1000, .max = 1000 };
                usec_t delay = backoff_next(&b, i * (UINT64_MAX / 9000));

                assert_true(delay >= 100 && delay <= 1000);
                buckets[delay == 1000 ? 8 : (delay - 100) / 100]++;
        }
        for (size_t i = 0; i < 9; i++)
                assert_in_range(buckets[i], 980, 1020);
}

static void test_floor(void **state) {
        Backoff b = { .initial = 1000, .max = 8000 };

        assert_int_equal(backoff_next_at_least(&b, 500, UINT64_MAX), 1000);
        assert_int_equal(b.attempt, 1);
        assert_int_equal(backoff_next_at_least(&b, 500, 0), 500);
        assert_int_equal(b.attempt, 2);
        assert_int_equal(
                backoff_next_at_least(&b, 90000, UINT64_MAX), 90000); /* what the server asks for may be beyond max */
        assert_int_equal(b.attempt, 3);
}

static void test_reset(void **state) {
        Backoff b = { .initial = 1000, .max = 8000 };

        for (unsigned n = 0; n < 10; n++)
                (void) backoff_next(&b, UINT64_MAX);
        assert_int_equal(backoff_next(&b, UINT64_MAX), 8000);
        backoff_reset(&b);
        assert_int_equal(b.attempt, 0);
        assert_int_equal(backoff_next(&b, UINT64_MAX), 1000);
}

static void test_attempt_saturates(void **state) {
        Backoff b = { .initial = 1000, .max = 8000, .attempt = UINT_MAX };

        assert_int_equal(backoff_next(&b, UINT64_MAX), 8000);
        assert_int_equal(b.attempt, UINT_MAX);
}

static void test_random(void **state) {
        uint64_t ones = 0, zeros = 0;

        for (unsigned i = 0; i < 200; i++) {
                uint64_t random = loop_random();

                ones |= random;
                zeros |= ~random;
        }
        assert_true(ones == UINT64_MAX);
        assert_true(zeros == UINT64_MAX);
}

/* ---- how much ---- */

#define KB ((size_t) 1000)
#define FAST (USEC_PER_SEC / 10)

static const Pace fresh = { .min = 4 * 1000, .max = 7000 * 1000, .limit = 512 * 1000 };

static void test_grows_while_all_is_fast(void **state) {
        Pace p = fresh;
        unsigned n = 0;

        for (; p.limit < p.max; n++)
                pace_through(&p, p.limit, FAST, n);
        assert_int_equal(n, 4);
        pace_through(&p, p.limit, FAST, n);
        assert_int_equal(p.limit, p.max);
}

/* A handful of readings says nothing about a megabyte. */
static void test_small_pieces_change_nothing(void **state) {
        Pace p = fresh;

        pace_through(&p, 2 * KB, FAST, 0);
        pace_stuck(&p, 2 * KB);
        assert_int_equal(p.limit, fresh.limit);
}

static void test_halves_what_got_stuck(void **state) {
        Pace p = fresh;

        pace_stuck(&p, 512 * KB);
        assert_int_equal(p.limit, 256 * KB);
        for (unsigned i = 0; i < 20; i++)
                pace_stuck(&p, p.limit);
        assert_int_equal(p.limit, p.min);
        pace_through(&p, p.limit, FAST, 0);
        assert_int_equal(p.limit, 2 * p.min);
}

/* 2 kB/s: each piece takes about ten seconds, whatever came before. */
static void test_sizes_by_the_pace(void **state) {
        Pace p = fresh;

        pace_through(&p, 512 * KB, 256 * USEC_PER_SEC, 0);
        assert_in_range(p.limit, 19 * KB, 21 * KB);
        pace_through(&p, 20 * KB, 10 * USEC_PER_SEC, 0); /* good as it is */
        assert_in_range(p.limit, 19 * KB, 21 * KB);
        pace_through(&p, 20 * KB, FAST, 0); /* the line is better now */
        assert_in_range(p.limit, 38 * KB, 42 * KB);
}

/* A cap that nobody names is kept to, too; an outage between large pieces is none. */
static void test_refused(void **state) {
        Pace p = fresh;
        usec_t now = USEC_PER_HOUR;

        for (unsigned i = 0; i < 100; i++)
                if (p.limit > 100 * KB)
                        pace_refused(&p, p.limit, now);
                else
                        pace_through(&p, p.limit, FAST, now);
        assert_int_equal(p.limit, 64 * KB);
        now += PACE_REFUSED_USEC;
        for (unsigned i = 0; i < 8; i++)
                pace_through(&p, p.limit, FAST, now);
        assert_int_equal(p.limit, p.max);

        for (unsigned i = 0; i < 20; i++)
                pace_refused(&p, p.limit, now);
        assert_int_equal(p.limit, p.min);
        for (unsigned i = 0; i < 20; i++)
                pace_through(&p, p.limit, FAST, now);
        assert_true(p.limit > p.max / 4);
}

/* A cap in between is found, kept to, and tried again once an hour, also where it was lifted. */
static void test_too_large(void **state) {
        Pace p = fresh;
        usec_t now = USEC_PER_HOUR;

        p.limit = 4000 * KB;
        assert_true(pace_too_large(&p, 4000 * KB, now));
        assert_false(pace_too_large(&p, 2000 * KB, now));
        assert_int_equal(p.limit, 1000 * KB);
        pace_through(&p, 1000 * KB, FAST, now + 1);
        assert_int_equal(p.limit, 1000 * KB);

        now += PACE_REFUSED_USEC;
        pace_through(&p, 1000 * KB, FAST, now);
        assert_int_equal(p.limit, 2000 * KB);
        assert_false(pace_too_large(&p, 2000 * KB, now)); /* nothing new */
        pace_through(&p, 1000 * KB, FAST, now + 1);
        assert_int_equal(p.limit, 1000 * KB);

        now += PACE_REFUSED_USEC;
        pace_through(&p, 1000 * KB, FAST, now);
        pace_through(&p, 2000 * KB, FAST, now);
        assert_int_equal(p.limit, 4000 * KB);
        assert_true(pace_too_large(&p, 4000 * KB, now));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ceiling_doubles),
                cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_spread),
                cmocka_unit_test(test_floor),
                cmocka_unit_test(test_reset),
                cmocka_unit_test(test_attempt_saturates),
                cmocka_unit_test(test_random),
                cmocka_unit_test(test_grows_while_all_is_fast),
                cmocka_unit_test(test_small_pieces_change_nothing),
                cmocka_unit_test(test_halves_what_got_stuck),
                cmocka_unit_test(test_sizes_by_the_pace),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_too_large),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
