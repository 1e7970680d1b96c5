/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/clock.h"

static void test_clocks(void **state) {
        usec_t first = clock_now(), second = clock_now();
        time_t before = time(NULL); /* of the last tick of the kernel's clock, so maybe one too few */
        usec_t wall = clock_wall();

        assert_true(first > 0);
        assert_true(second >= first);
        assert_true(wall / USEC_PER_SEC >= (usec_t) before && wall / USEC_PER_SEC <= (usec_t) time(NULL) + 1);
}

static void check_format(usec_t wall, const char *expected) {
        char buffer[CLOCK_RFC3339_SIZE];

        assert_ptr_equal(clock_format_rfc3339(wall, buffer), buffer);
        assert_string_equal(buffer, expected);
}

static void test_format_rfc3339(void **state) {
        check_format(0, "1970-01-01T00:00:00.000Z");
        check_format(999, "1970-01-01T00:00:00.000Z");
        check_format(1000, "1970-01-01T00:00:00.001Z");
        check_format(UINT64_C(1795501658123456), "2026-11-24T06:27:38.123Z");
        check_format(UINT64_C(951782399999999), "2000-02-28T23:59:59.999Z");
        check_format(UINT64_C(951782400000000), "2000-02-29T00:00:00.000Z");
        check_format(UINT64_C(4107542399) * USEC_PER_SEC, "2100-02-28T23:59:59.000Z");
        check_format(UINT64_C(4107542400) * USEC_PER_SEC, "2100-03-01T00:00:00.000Z");
        check_format(UINT64_C(253402300799999999), "9999-12-31T23:59:59.999Z");
        check_format(UINT64_C(253402300800000000), "10000-01-01T00:00:00.000Z");
        check_format(UINT64_MAX, "586524-01-19T08:01:49.551Z");
}

static bool parse(const char *text, int64_t *ret) {
        return clock_parse_rfc3339(text, strlen(text), ret);
}

static void test_format_local(void **state) {
        char buffer[CLOCK_LOCAL_SIZE];

        setenv("TZ", "JST-9", 1);
        tzset();
        assert_ptr_equal(clock_format_local(1764490000 * USEC_PER_SEC, buffer), buffer);
        assert_string_equal(buffer, "2025-11-30 17:06:40");
        setenv("TZ", "UTC0", 1);
        tzset();
        assert_string_equal(clock_format_local(1764490000 * USEC_PER_SEC, buffer), "2025-11-30 08:06:40");
        (void) clock_format_local(UINT64_MAX, buffer); /* any time has a form */
        assert_string_equal(buffer, "586524-01-19 08:01:49");
}

static void check_parse(const char *text, int64_t expected) {
        int64_t msec = -1;

        if (!parse(text, &msec))
                fail_msg("refused: %s", text);
        assert_int_equal(msec, expected);
}

static void test_parse_rfc3339(void **state) {
        check_parse("1970-01-01T00:00:00Z", 0);
        check_parse("2026-11-24T06:27:38.123Z", INT64_C(1795501658123));
        check_parse("2026-11-24t06:27:38.123z", INT64_C(1795501658123));
        check_parse("2026-11-24 06:27:38.123Z", INT64_C(1795501658123));
        check_parse("2026-11-24T15:27:38.123+09:00", INT64_C(1795501658123));
        check_parse("2026-11-23T22:57:38.123-07:30", INT64_C(1795501658123));
        check_parse("2026-11-25T06:26:38.123+23:59", INT64_C(1795501658123));
        check_parse("2026-11-24T06:27:38.123-00:00", INT64_C(1795501658123));
        check_parse("2026-11-24T06:27:38Z", INT64_C(1795501658000));
        check_parse("2026-11-24T06:27:38.1Z", INT64_C(1795501658100));
        check_parse("2026-11-24T06:27:38.12Z", INT64_C(1795501658120));
        check_parse("2026-11-24T06:27:38.1239999999999999999999999999999999Z", INT64_C(1795501658123));
        check_parse("2026-11-24T06:27:38.999999999+00:00", INT64_C(1795501658999));
        check_parse("2000-02-29T12:00:00Z", INT64_C(951825600000));
        check_parse("2400-02-29T00:00:00Z", INT64_C(13574563200000));
        check_parse("1969-12-31T23:59:59.999Z", -1);
        check_parse("1969-12-31T23:59:59.001Z", -999);
        check_parse("1900-01-01T00:00:00Z", INT64_C(-2208988800000));
        check_parse("0001-01-01T00:00:00Z", INT64_C(-62135596800000));
        check_parse("0000-01-01T00:00:00Z", INT64_C(-62167219200000));
        check_parse("0000-02-29T00:00:00+23:59", INT64_C(-62162207940000));
        check_parse("9999-12-31T23:59:59.999Z", INT64_C(253402300799999));
        /* RFC 3339 section 5.8 */
        check_parse("1985-04-12T23:20:50.52Z", INT64_C(482196050520));
        check_parse("1996-12-19T16:39:57-08:00", INT64_C(851042397000));
        check_parse("1990-12-31T23:59:60Z", INT64_C(662688000000));
        check_parse("1990-12-31T15:59:60-08:00", INT64_C(662688000000));
        check_parse("1990-12-31T23:59:60.5Z", INT64_C(662688000500));
        check_parse("1937-01-01T12:00:27.87+00:20", INT64_C(-1041337172130));
}

static void test_parse_rfc3339_refused(void **state) {
        static const char *const wrong[] = {
                "",
                "Z",
                "2026-11-24",
                "2026-11-24T06:27:38", /* no offset: whose time? */
                "2026-11-24T06:27:38.123",
                "2026-11-24T06:27Z",
                "2026-11-24T06:27:38.Z",
                "2026-11-24T06:27:38,123Z",
                "2026-11-24T06:27:38.123 Z",
                "2026-11-24T06:27:38.123ZZ",
                "2026-11-24T06:27:38.123Z\n",
                " 2026-11-24T06:27:38.123Z",
                "2026-11-24T06:27:38+0900",
                "2026-11-24T06:27:38+09",
                "2026-11-24T06:27:38+9:00",
                "2026-11-24T06:27:38+09:000",
                "2026-11-24T06:27:38+09.00",
                "2026-11-24T06:27:38+24:00",
                "2026-11-24T06:27:38+09:60",
                "2026-11-24T06:27:38~09:00",
                "2026-11-24T06:27:38UTC",
                "2026-11-24T24:00:00Z",
                "2026-11-24T23:60:00Z",
                "2026-11-24T23:59:61Z",
                "2026-11-24T12:30:60Z", /* no leap second comes at noon */
                "1990-12-31T23:59:60-08:00",
                "2026-00-24T06:27:38Z",
                "2026-13-24T06:27:38Z",
                "2026-11-00T06:27:38Z",
                "2026-11-31T06:27:38Z",
                "2026-02-29T06:27:38Z",
                "2100-02-29T06:27:38Z",
                "2026-12-32T06:27:38Z",
                "26-11-24T06:27:38Z",
                "12026-11-24T06:27:38Z",
                "+2026-11-24T06:27:38Z",
                "-026-11-24T06:27:38Z",
                "2026/11/24T06:27:38Z",
                "2026-11-24_06:27:38Z",
                "2026-11-24  6:27:38Z",
                "2026-11-24T-6:27:38Z",
                "2026-1a-24T06:27:38Z",
                "2026-W48-2T06:27:38Z",
                "20261124T062738Z",
                "2026-11-24T06:27:3\xef\xbc\x98Z",
        };
        int64_t msec = 77;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                if (parse(wrong[i], &msec))
                        fail_msg("accepted: %s", wrong[i]);
        assert_false(clock_parse_rfc3339("2026-11-24T06:27:38Z\0", 21, &msec));
        assert_false(clock_parse_rfc3339("2026-11-24T06:27:38Z", 19, &msec));
        assert_false(clock_parse_rfc3339(NULL, 0, &msec));
        assert_int_equal(msec, 77);
}

/* A calendar of 400 years has every shape of year; the C library counts along. */
static void test_every_day(void **state) {
        for (int64_t day = 0; day < 146097; day++) {
                char buffer[CLOCK_RFC3339_SIZE], expected[32];
                time_t seconds = (time_t) (day * 86400 + day % 86400);
                int64_t msec;
                struct tm tm;

                (void) clock_format_rfc3339((usec_t) seconds * USEC_PER_SEC, buffer);
                assert_int_equal(
                        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&seconds, &tm)), 24);
                assert_string_equal(buffer, expected);
                assert_true(parse(buffer, &msec));
                assert_int_equal(msec, (int64_t) seconds * 1000);
        }
}

static void test_http_date(void **state) {
        static const char *const wrong[] = {
                "",
                "Mon, 06 Nov 1994 08:49:37 GMT", /* that was a Sunday */
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994",
                "Sun, 6 Nov 1994 08:49:37 GMT",
                "Sun, 06 Nov 1994 08:49:37 UTC",
                "Sun, 06 Nov 1994 08:49:37 gmt",
                "Sun, 06 Nov 1994 08:49:37 GMT ",
                "Sun, 06 Nov 1994 08:49:37",
                "Sun, 06 nov 1994 08:49:37 GMT",
                "Sun, 06 Nov 1994 24:49:37 GMT",
                "Sun, 06 Nov 1994 08:60:37 GMT",
                "Sun, 06 Nov 1994 08:49:61 GMT",
                "Sun, 00 Nov 1994 08:49:37 GMT",
                "Thu, 31 Nov 1994 08:49:37 GMT",
                "Sun, 06 Nox 1994 08:49:37 GMT",
                "Wed, 31 Dec 1969 23:59:59 GMT",
                "Sun; 06 Nov 1994 08:49:37 GMT",
                "Sun, 06-Nov 1994 08:49:37 GMT",
                "Sun, 06 Nov-1994 08:49:37 GMT",
                "Sun, 06 Nov 1994T08:49:37 GMT",
                "120",
        };
        usec_t wall = 77;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                if (clock_parse_http_date(wrong[i], &wall))
                        fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(wall, 77);

        assert_true(clock_parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", &wall));
        assert_int_equal(wall, UINT64_C(784111777) * USEC_PER_SEC);
        assert_true(clock_parse_http_date("Tue, 24 Nov 2026 06:27:38 GMT", &wall));
        assert_int_equal(wall, UINT64_C(1795501658) * USEC_PER_SEC);
        assert_true(clock_parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT", &wall));
        assert_int_equal(wall, 0);
        assert_true(clock_parse_http_date("Tue, 29 Feb 2028 00:00:00 GMT", &wall));
        assert_int_equal(wall, UINT64_C(1835395200) * USEC_PER_SEC);
        assert_true(clock_parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT", &wall));
        assert_int_equal(wall, UINT64_C(1483228800) * USEC_PER_SEC);
}

static void check_span(usec_t span, const char *expected) {
        char buffer[64];

        assert_ptr_equal(clock_format_span(span, buffer, sizeof(buffer)), buffer);
        assert_string_equal(buffer, expected);
}

static void test_format_span(void **state) {
        char tiny[4];

        check_span(0, "0 ms");
        check_span(999, "0 ms");
        check_span(850 * USEC_PER_MSEC, "850 ms");
        check_span(USEC_PER_SEC - 1, "999 ms");
        check_span(USEC_PER_SEC, "1 s");
        check_span(40 * USEC_PER_SEC, "40 s");
        check_span(USEC_PER_MINUTE - 1, "59 s");
        check_span(USEC_PER_MINUTE, "1 min");
        check_span(3 * USEC_PER_MINUTE + 20 * USEC_PER_SEC, "3 min");
        check_span(USEC_PER_HOUR - 1, "59 min");
        check_span(USEC_PER_HOUR, "1 h");
        check_span(2 * USEC_PER_HOUR + 5 * USEC_PER_MINUTE, "2 h 5 min");
        check_span(24 * USEC_PER_HOUR - 1, "23 h 59 min");
        check_span(24 * USEC_PER_HOUR, "1 d");
        check_span((6 * 24 + 4) * USEC_PER_HOUR, "6 d 4 h");
        check_span(USEC_INFINITY, "213503982 d 8 h");
        assert_string_equal(clock_format_span(40 * USEC_PER_SEC, tiny, sizeof(tiny)), "40 ");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_clocks),
                cmocka_unit_test(test_format_rfc3339),
                cmocka_unit_test(test_format_local),
                cmocka_unit_test(test_parse_rfc3339),
                cmocka_unit_test(test_parse_rfc3339_refused),
                cmocka_unit_test(test_every_day),
                cmocka_unit_test(test_http_date),
                cmocka_unit_test(test_format_span),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
