/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sources/http-push-body.h"

static bool check(Slice body, bool lines, const char *words) {
        char said[200] = "";
        bool good = http_push_body_check(body, lines, said, sizeof(said));

        assert_non_null(strstr(said, words));
        return good;
}

#define SLICE(text) ((Slice){ text, sizeof(text) - 1 })

static void test_check(void **state) {
        assert_true(check(SLICE("{\"a\":\n1}\n"), false, ""));
        assert_true(check(SLICE("{\"a\":1}\r\n\n \t\n21.5"), true, ""));
        assert_true(check(SLICE(""), true, ""));
        assert_false(check(SLICE("{\"a\":\n1}\n"), true, "Line 1 is not JSON, at its byte 5"));
        assert_false(check(SLICE("1\n\n}"), true, "Line 3 is not JSON, at its byte 0"));
        assert_false(check(SLICE("1 2"), false, "Line 1"));
}

/* A NUL is no white space. */
static void test_nul(void **state) {
        assert_false(check(SLICE("21.5\0"), false, "Line 1 is not JSON"));
        assert_false(check(SLICE("\0\0"), true, "Line 1 is not JSON"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_nul),
        };

        return cmocka_run_group_tests_name("bodies of pushes", tests, NULL, NULL);
}
