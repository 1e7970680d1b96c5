/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pubsub/credentials.h"

/* The endpoint's time counts, however the wall clock was set since it was heard; but a wall clock that agrees is finer.
 */
static void test_signing_time(void **state) {
        const usec_t now = 5 * USEC_PER_HOUR, theirs = 1000 * USEC_PER_HOUR, ahead = theirs - now,
                     little = 29 * USEC_PER_SEC;

        assert_int_equal(credentials_signing_time(0, now, 7), 7);
        assert_int_equal(credentials_signing_time(ahead, now, theirs - little), theirs - little);
        assert_int_equal(credentials_signing_time(ahead, now, theirs + little), theirs + little);
        assert_int_equal(credentials_signing_time(ahead, now, 7), theirs);
        assert_int_equal(credentials_signing_time(ahead, now, theirs + USEC_PER_HOUR), theirs);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_signing_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
