/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>

#include "lib/err.h"
#include "lib/pointer.h"
#include "match.h"

static char found[1000];

static int take(void *userdata, const PointerMatch *match) {
        size_t n = strlen(found);

        n += (size_t) snprintf(found + n, sizeof(found) - n, "%.*s", (int) match->value.size, match->value.data);
        for (unsigned i = 0; i < match->n_stars; i++)
                if (match->stars[i].key.data)
                        n += (size_t) snprintf(found + n, sizeof(found) - n, "@%.*s", (int) match->stars[i].key.size,
                                match->stars[i].key.data);
                else
                        n += (size_t) snprintf(found + n, sizeof(found) - n, "@%zu", match->stars[i].index);
        (void) snprintf(found + n, sizeof(found) - n, " ");
        return 0;
}

static void check(const char *json, const char *pointer, const char *expected) {
        found[0] = '\0';
        assert_true(pointer_is_valid(pointer));
        assert_int_equal(pointer_each((Slice){ json, strlen(json) }, pointer, take, NULL), 0);
        assert_string_equal(found, expected);
}

/* The examples of RFC 6901 section 5. */
static void test_rfc(void **state) {
        const char *json =
                "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}";

        check("{\"a\": 1 }", "", "{\"a\": 1 } ");
        check(json, "/foo", "[\"bar\",\"baz\"] ");
        check(json, "/foo/0", "\"bar\" ");
        check(json, "/", "0 ");
        check(json, "/a~1b", "1 ");
        check(json, "/c%d", "2 ");
        check(json, "/e^f", "3 ");
        check(json, "/g|h", "4 ");
        check(json, "/i\\j", "5 ");
        check(json, "/k\"l", "6 ");
        check(json, "/ ", "7 ");
        check(json, "/m~0n", "8 ");
}

static void test_not_there(void **state) {
        check("{\"a\":1}", "/b", "");
        check("{\"a\":1}", "/a/b", "");
        check("[1,2]", "/2", "");
        check("[1,2]", "/01", "");
        check("[1,2]", "/-", "");
        check("[1,2]", "/99999999999999999999999", "");
        check("{\"a\":1,\"a\":2}", "/a", "1 ");
        check("true", "/a", "");
}

static void test_stars(void **state) {
        check("{\"a\":[1,{\"b\":2}],\"c\":{\"d\":3}}", "/*", "[1,{\"b\":2}]@a {\"d\":3}@c ");
        check("{\"a\":[1,{\"b\":2}],\"c\":{\"d\":3}}", "/*/*", "1@a@0 {\"b\":2}@a@1 3@c@d ");
        check("[{\"v\":1},{\"v\":2},{\"w\":3}]", "/*/v", "1@0 2@1 ");
        check("5", "/*", "");
}

static void test_valid(void **state) {
        assert_true(pointer_is_valid("/a/*/b/*"));
        assert_false(pointer_is_valid("/*/*/*"));
        assert_false(pointer_is_valid("a"));
        assert_false(pointer_is_valid("/a~"));
        assert_false(pointer_is_valid("/a~2"));
        assert_int_equal(pointer_count_stars("/a/*/b*/*"), 2);
        assert_int_equal(pointer_count_stars(""), 0);
}

static void test_match(void **state) {
        char *on[] = { (char *) "on", (char *) "1e1", NULL };
        const char *object =
                "{\"s\":\"on\",\"n\":10.0,\"t\":\"10\",\"o\":{},\"e\":\"\",\"/x\":true,\"u\":\"\\u006fn\"}";
        static const struct {
                const char *place;
                bool expected;
        } rows[] = { { "s", true }, { "/s", true }, { "n", true }, { "t", false }, { "o", false }, { "e", false },
                { "none", false }, { "u", true }, { "/x", false } };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                ConfigPair term = { (char *) rows[i].place, on };

                assert_int_equal(
                        match_test(&(ConfigMap){ &term, 1 }, (Slice){ object, strlen(object) }), rows[i].expected);
        }
        assert_true(match_test(&(ConfigMap){}, (Slice){ "5", 1 }));

        char *large[] = { (char *) "8121069065132380161", NULL }; /* of two devices made one after the other */
        assert_true(match_value(large, (Slice){ "8121069065132380161", 19 }));
        assert_false(match_value(large, (Slice){ "8121069065132380162", 19 }));

        char *texts[] = { (char *) "[]", (char *) "{}", NULL };
        assert_true(match_value(texts, (Slice){ "\"[]\"", 4 }));
        assert_false(match_value(texts, (Slice){ "[]", 2 }));
        assert_false(match_value(texts, (Slice){ "{}", 2 }));
}

static void test_star_order(void **state) {
        /* by index, then by key */
        const PointerStar stars[] = { { .index = 0 }, { .index = 2 }, { .index = 10 }, { .key = { "", 0 } },
                { .key = { "a", 1 } }, { .key = { "ab", 2 } }, { .key = { "b", 1 } } };

        for (size_t i = 0; i < ELEMENTSOF(stars); i++)
                for (size_t j = 0; j < ELEMENTSOF(stars); j++) {
                        int r = pointer_star_compare(&stars[i], &stars[j]);

                        assert_int_equal((r > 0) - (r < 0), (i > j) - (i < j));
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_star_order),
                cmocka_unit_test(test_rfc),
                cmocka_unit_test(test_not_there),
                cmocka_unit_test(test_stars),
                cmocka_unit_test(test_valid),
                cmocka_unit_test(test_match),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
