/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sources/http-push-body.h"

static void check(Slice body, bool lines, int status, const char *words) {
        static const ShapeConfig whole;
        char said[200] = "";

        assert_int_equal(http_push_body_check(&whole, body, lines, said, sizeof(said)), status);
        assert_non_null(strstr(said, words));
        assert_true((said[0] == '\0') == (status == 0));
}

#define SLICE(text) ((Slice){ text, sizeof(text) - 1 })

static void test_check(void **state) {
        check(SLICE("{\"a\":\n1}\n"), false, 0, "");
        check(SLICE("{\"a\":1}\r\n\n \t\n21.5"), true, 0, "");
        check(SLICE(""), true, 0, "");
        check(SLICE("{\"a\":\n1}\n"), true, 400,
                "Line 1: its JSON breaks off (byte 5), as if it were written over several lines");
        check(SLICE("1\n\n}"), true, 400, "Line 3: it is not JSON (byte 0)");
        check(SLICE("1 2"), false, 400, "Line 1");
        check(SLICE("warm"), false, 400, "Line 1: it is not JSON (byte 0)"); /* a text needs its quotes here */
}

/* As programs write JSON: a mark before it, a NUL behind it, numbers that are none. */
static void test_nearly_json(void **state) {
        check(SLICE("\xef\xbb\xbf{\"te\":21.5}\0"), false, 0, "");
        check(SLICE("{\"te\":21.5,\"unit\":\"\xb0"
                    "C\"}"),
                false, 0, "");
        check(SLICE("{\"te\":NaN,\"hu\":40}\n{\"te\":nan}"), true, 0, "");
        check(SLICE("{\"te\":none}"), false, 400, "it is not JSON (byte 6)");
        check(SLICE("{\"te\":1}\n{\"te\":2}\n\0"), true, 0, "");
        check(SLICE("\0\0"), true, 0, "");
        check(SLICE("\xef\xbb\xbf"), true, 400, "Line 1: it is empty");
}

static void check_form(Slice form, const char *expected) {
        char said[200] = "";
        Bytes made = {};

        assert_true(http_push_body_form(form, &made, said, sizeof(said)));
        assert_int_equal(bytes_result(&made), 0);
        assert_string_equal(made.data ?: "", expected);
        assert_string_equal(said, "");
        bytes_done(&made);
}

static void check_no_form(const char *text, const char *words) {
        char said[200] = "";
        Bytes made = {};

        if (http_push_body_form((Slice){ text, strlen(text) }, &made, said, sizeof(said)))
                fail_msg("%s: %s", text, made.data);
        assert_non_null(strstr(said, words));
        assert_non_null(strstr(said, "Nothing of this body was stored.\n")); /* it is not cut */
        bytes_done(&made);
}

static void test_forms(void **state) {
        check_form(SLICE("PASSKEY=A1&dateutc=2023-11-14+22:13:20&tempf=70.9&freq=868M\r\n"),
                "{\"PASSKEY\":\"A1\",\"dateutc\":\"2023-11-14 22:13:20\",\"tempf\":\"70.9\",\"freq\":\"868M\"}");
        check_form(SLICE("a%3db=c%26d%22&%E5%b1%8B=%e5%a4%96&x=1=2&y=%2B%00"),
                "{\"a=b\":\"c&d\\\"\",\"\345\261\213\":\"\345\244\226\",\"x\":\"1=2\",\"y\":\"+\\u0000\"}");
        check_form(SLICE("&a=&&=b&a=2&"), "{\"a\":\"\",\"\":\"b\",\"a\":\"2\"}");
        check_form(SLICE(""), "");
        check_form(SLICE("\n"), "");
        check_form(SLICE("a=1&b=2\0"), "{\"a\":\"1\",\"b\":\"2\"}");
        check_form(SLICE("&"), "");
        check_form(
                SLICE("ID=a&PASSWORD=s&x=1&Token=t&%74oken=t&tokens=2"), "{\"ID\":\"a\",\"x\":\"1\",\"tokens\":\"2\"}");
        check_form(SLICE("token=t"), "");
        check_no_form("token=t&password=%zz", "Field 2 ");
        check_no_form("a=1&b", "Field 2 is not NAME=VALUE");
        check_no_form("a=%4", "Field 1 ");
        check_no_form("a=%", "Field 1 ");
        check_no_form("a=1&%g0=1", "Field 2 ");
        check_no_form("a=%0g", "Field 1 ");
        check_no_form("a=\377", "Field 1 ");
        check_no_form("a=%ff", "Field 1 ");
        check_no_form("a=%ed%a0%80", "Field 1 "); /* a surrogate */
        check_no_form("{\"a\": \"x=1\"}", "or is JSON, which has a Content-Type of its own");
        check_no_form("[{\"a\": \"x=1\"}]", "Field 1 ");
        check_no_form("21.5", "Field 1 ");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_nearly_json),
                cmocka_unit_test(test_forms),
        };

        return cmocka_run_group_tests_name("bodies of pushes", tests, NULL, NULL);
}
