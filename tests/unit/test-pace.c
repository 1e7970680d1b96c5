/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/backoff.h"

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
                cmocka_unit_test(test_grows_while_all_is_fast),
                cmocka_unit_test(test_small_pieces_change_nothing),
                cmocka_unit_test(test_halves_what_got_stuck),
                cmocka_unit_test(test_sizes_by_the_pace),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_too_large),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
