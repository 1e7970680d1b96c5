/* SPDX-License-Identifier: Apache-2.0 */
/* What repr() writes as JSON; compare-literals.py holds the same against Python itself. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "subscribe/payload.h"

static void test_values(void **state) {
        static const struct {
                const char *python, *json;
        } rows[] = {
                { "{'name': '\xe5\xb1\x85', 'val': 45}", "{\"name\":\"\xe5\xb1\x85\",\"val\":45}" },
                { "{}", "{}" },
                { " {'a': None, 'b': True, 'c': False, }\n", "{\"a\":null,\"b\":true,\"c\":false}" },
                { "[1, (2, 3), (4,), ()]", "[1,[2,3],[4],[]]" },
                { "\"it's\"", "\"it's\"" },
                { "'a\"b'", "\"a\\\"b\"" },
                { "'\\x1b\\u2028\\U000e0001\\n\\r\\t\\\\\\''",
                        "\"\\u001b\\u2028\\udb40\\udc01\\u000a\\u000d\\u0009\\u005c\\u0027\"" },
                { "[0, -5, 1000000000000000000000]", "[0,-5,1000000000000000000000]" },
                { "[1.0, 0.5, 1e+16, 1e-07, -0.0]", "[1.0,0.5,1e+16,1e-07,-0.0]" },
                { "{1: 'a', True: 'b', None: 'c', -2.5: 'd'}",
                        "{\"1\":\"a\",\"true\":\"b\",\"null\":\"c\",\"-2.5\":\"d\"}" },
                { "[1,\n 2\n]", "[1,2]" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                PayloadError error = {};
                Bytes json = {};
                int r = payload_from_python((Slice){ rows[i].python, strlen(rows[i].python) }, 8, &json, &error);

                if (r < 0)
                        fail_msg("%s: %s at %zu", rows[i].python, error.what, error.place);
                assert_string_equal(json.data, rows[i].json);
                bytes_done(&json);
        }
}

static void test_refused(void **state) {
        static const struct {
                const char *python;
                int error;
        } rows[] = {
                { "", -EBADMSG },
                { "{'a': 1} x", -EBADMSG },
                { "{'a': 1", -EBADMSG },
                { "{'a' 1}", -EBADMSG },
                { "{'a': 1 'b': 2}", -EBADMSG },
                { "{1, 2}", -EBADMSG },
                { "{'a': nan}", -EBADMSG },
                { "{'a': true}", -EBADMSG },
                { "{'a': Truex}", -EBADMSG },
                { "b'x'", -EBADMSG },
                { "'x' b'y'", -EBADMSG },
                { "f'x'", -EBADMSG },
                { "r'x'", -EBADMSG },
                { "'x' 'y'", -EBADMSG },
                { "'''x'''", -EBADMSG },
                { "'\\101'", -EBADMSG },
                { "(1)", -EBADMSG },
                { "[1, # one\n]", -EBADMSG },
                { "1_000", -EBADMSG },
                { "0x1F", -EBADMSG },
                { "+1", -EBADMSG },
                { "1.", -EBADMSG },
                { "1+2j", -EBADMSG },
                { "1j", -EBADMSG },
                { "007", -EBADMSG },
                { "1__0", -EBADMSG },
                { "1_", -EBADMSG },
                { "0x", -EBADMSG },
                { "0xfffffffffffffffff", -EBADMSG },
                { "1e", -EBADMSG },
                { "--1", -EBADMSG },
                { "'a\nb'", -EBADMSG },
                { "'a", -EBADMSG },
                { "'\\x4'", -EBADMSG },
                { "'\\N{DASH}'", -EBADMSG },
                { "'\\U00110000'", -EBADMSG },
                { "{(1, 2): 3}", -EBADMSG },
                { "{'a': {}}.b", -EBADMSG },
                { "[,]", -EBADMSG },
                { "(,)", -EBADMSG },
                { "\n  {}", -EBADMSG },
                { "__import__('os')", -EBADMSG },
                { "'\\ud83d\\ude00'", -EILSEQ },
                { "'\xff'", -EILSEQ },
                { "[[[[[[[[[1]]]]]]]]]", -E2BIG },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                PayloadError error = {};
                Bytes json = {};
                int r = payload_from_python((Slice){ rows[i].python, strlen(rows[i].python) }, 8, &json, &error);

                if (r != rows[i].error)
                        fail_msg("%s: %d: %s", rows[i].python, r, json.data ? json.data : "");
                assert_non_null(error.what);
                assert_true(error.place <= strlen(rows[i].python));
                bytes_done(&json);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
