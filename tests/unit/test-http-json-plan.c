/* SPDX-License-Identifier: Apache-2.0 */
/* What http_json asks for, and where the next page is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sources/http-json.h"

#define HOUR INT64_C(3600)
#define NOW INT64_C(1795824000) /* 2026-11-28T00:00:00Z */

static const HttpJsonSince day = { 24 * USEC_PER_HOUR, 24 * USEC_PER_HOUR, 24 * USEC_PER_HOUR };

static void test_placeholders(void **state) {
        static const struct {
                const char *text;
                bool url;
                const char *expected;
        } cases[] = {
                { "https://a/?f={since}&t={until}", true,
                        "https://a/?f=2026-11-27T00%3A00%3A00Z&t=2026-11-28T00%3A00%3A00Z" },
                { "{\"from\": \"{since}\", \"n\": {now:unix}}", false,
                        "{\"from\": \"2026-11-27T00:00:00Z\", \"n\": 1795824060}" },
                { "{since:unix}-{until:unix_ms}", true, "1795737600-1795824000000" },
                { "{Since} {since:iso} {{now} {now", false, "{Since} {since:iso} {2026-11-28T00:01:00Z {now" },
                { "", true, "" },
        };
        HttpJsonTimes times = { NOW - 24 * HOUR, NOW, NOW + 60 };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_bytes_ Bytes text = {};

                assert_int_equal(http_json_expand(cases[i].text, &times, cases[i].url, &text), 0);
                assert_string_equal(text.data ? text.data : "", cases[i].expected);
        }
        assert_true(http_json_mentions("x{until:unix}", "until"));
        assert_false(http_json_mentions("x{until:x} {since", "until"));
}

static void window_is(int64_t cursor, int64_t now, int64_t from, int64_t until) {
        HttpJsonWindow window = http_json_window(&day, cursor, now);

        assert_int_equal(window.from, from);
        assert_int_equal(window.until, until);
}

static void test_windows(void **state) {
        window_is(HTTP_JSON_NO_CURSOR, NOW, NOW - 24 * HOUR, NOW);         /* the first ever */
        window_is(NOW - 60, NOW, NOW - 60 - 24 * HOUR, NOW);               /* the overlap: for what comes late */
        window_is(NOW - 72 * HOUR, NOW, NOW - 96 * HOUR, NOW - 48 * HOUR); /* an outage longer than the window */
        window_is(NOW + 99 * HOUR, NOW, NOW - 24 * HOUR, NOW);             /* the cursor of a clock that was wrong */
        window_is(10, 20, 0, 20);
}

static void test_cursor(void **state) {
        HttpJsonWindow window = { NOW - 48 * HOUR, NOW };

        assert_int_equal(http_json_advance(&day, HTTP_JSON_NO_CURSOR, &window, NOW, INT64_MAX), NOW);
        assert_int_equal(http_json_advance(&day, NOW - 60, &window, NOW, INT64_MAX), NOW);
        assert_int_equal(http_json_advance(&day, NOW + 60, &window, NOW, INT64_MAX), NOW + 60);
        assert_int_equal(http_json_advance(&day, NOW + 60, &window, NOW, NOW), NOW);
        assert_int_equal(http_json_advance(&day, NOW - 60, &window, NOW, NOW - HOUR), NOW - 60); /* ours is ahead */
        assert_int_equal(http_json_advance(&day, NOW - 2 * HOUR, &window, NOW, NOW - HOUR), NOW - HOUR);
        assert_int_equal(http_json_advance(&day, NOW - 60, &window, NOW, NOW + HOUR), NOW); /* behind */
        /* a first window, ahead by ten days or half a century behind: nothing of `initial` is left out, or begun before
         * it */
        assert_int_equal(
                http_json_advance(&day, HTTP_JSON_NO_CURSOR, &window, NOW, NOW - 240 * HOUR), NOW - 264 * HOUR);
        assert_int_equal(http_json_advance(&day, HTTP_JSON_NO_CURSOR, &window, NOW, NOW + 438000 * HOUR),
                NOW + (438000 - 24) * HOUR);
        assert_int_equal(http_json_advance(&day, HTTP_JSON_NO_CURSOR, &window, NOW, NOW), NOW);
}

/* Nine hours ahead, as where another system keeps the hardware's clock in local time, until a time server is heard. */
static void test_set_back(void **state) {
        assert_int_equal(http_json_set_back(NOW + 9 * HOUR, -9 * HOUR, NOW + 60), NOW);
        assert_int_equal(
                http_json_set_back(NOW, 9 * HOUR, NOW + 9 * HOUR), NOW); /* what lies between was never asked for */
        assert_int_equal(
                http_json_set_back(NOW, -9 * HOUR, NOW + 60), NOW); /* it was written before, by a right clock */
        assert_int_equal(http_json_set_back(NOW, -HOUR, NOW - HOUR),
                NOW - HOUR); /* or by one that is wrong now: known points come again */
        assert_int_equal(http_json_set_back(NOW, -NOW, 60), NOW);
        assert_int_equal(http_json_set_back(HTTP_JSON_NO_CURSOR, -HOUR, NOW), HTTP_JSON_NO_CURSOR);
}

static void next_is(const char *parameter, const char *document, const char *first, int expected, const char *url) {
        HttpJsonPaging paging = { (char *) "/next", (char *) parameter, 20 };
        _cleanup_bytes_ Bytes next = {};

        assert_int_equal(http_json_next(&paging, (Slice){ document, strlen(document) }, first, &next), expected);
        if (url)
                assert_string_equal(next.data, url);
}

static void test_token(void **state) {
        next_is("p", "{\"next\":\"a b&\"}", "https://a/x", HTTP_JSON_MORE, "https://a/x?p=a%20b%26");
        next_is("p", "{\"next\":7}", "https://a/x?q=1", HTTP_JSON_MORE, "https://a/x?q=1&p=7");
        next_is("p", "{\"next\":\"t\"}", "https://a/x?p=0&q=1&pp=2", HTTP_JSON_MORE, "https://a/x?q=1&pp=2&p=t");
        next_is("p", "{\"next\":null}", "https://a/x", HTTP_JSON_LAST, NULL);
        next_is("p", "{\"next\":\"\"}", "https://a/x", HTTP_JSON_LAST, NULL);
        next_is("p", "{\"next\":false}", "https://a/x", HTTP_JSON_LAST, NULL);
        next_is("p", "{}", "https://a/x", HTTP_JSON_LAST, NULL);
        next_is("p", "[]", "https://a/x", HTTP_JSON_LAST, NULL);
        next_is("p", "{\"next\":{}}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
        next_is("p", "{\"next\":\"a\\u0000b\"}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
}

static void test_url(void **state) {
        next_is(NULL, "{\"next\":\"https://a/x?page=2\"}", "https://a/x", HTTP_JSON_MORE, "https://a/x?page=2");
        next_is(NULL, "{\"next\":\"HTTPS://A:443/y\"}", "https://a/x", HTTP_JSON_MORE, "HTTPS://A:443/y");
        next_is(NULL, "{\"next\":\"/y?page=2\"}", "https://a:8443/x?z=/", HTTP_JSON_MORE, "https://a:8443/y?page=2");
        next_is(NULL, "{\"next\":\"//evil/y\"}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
        next_is(NULL, "{\"next\":\"https://evil/y\"}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
        next_is(NULL, "{\"next\":\"https://a.evil/y\"}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
        next_is(NULL, "{\"next\":\"https://a@evil/y\"}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
        next_is(NULL, "{\"next\":\"https://a:444/y\"}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
        next_is(NULL, "{\"next\":\"http://a/y\"}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
        next_is(NULL, "{\"next\":\"https://[::1]:443/y\"}", "https://[::1]/x", HTTP_JSON_MORE, "https://[::1]:443/y");
        next_is(NULL, "{\"next\":\"file:///etc/passwd\"}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
        next_is(NULL, "{\"next\":\"page 2\"}", "https://a/x", HTTP_JSON_ELSEWHERE, NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_placeholders),
                cmocka_unit_test(test_windows),
                cmocka_unit_test(test_cursor),
                cmocka_unit_test(test_set_back),
                cmocka_unit_test(test_token),
                cmocka_unit_test(test_url),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
