/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/backoff.h"
#include "lib/loop.h"

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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ceiling_doubles),
                cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_spread),
                cmocka_unit_test(test_floor),
                cmocka_unit_test(test_reset),
                cmocka_unit_test(test_attempt_saturates),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
