/* SPDX-License-Identifier: Apache-2.0 */
/* What a JSON number becomes in MongoDB: a double, an int64 beyond 2^53, or nothing. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sinks/document.h"

static Slice slice(const char *text) {
        return (Slice){ text, strlen(text) };
}

static void assert_number(const char *text, bool integer, int outcome, double real, int64_t whole) {
        int64_t i = 0;
        double d = 0;

        if (document_number_read(slice(text), integer, &d, &i) != outcome)
                fail_msg("%s", text);
        if (outcome == DOCUMENT_NUMBER_DOUBLE && (memcmp(&d, &real, sizeof(d)) != 0))
                fail_msg("%s: %.17g instead of %.17g", text, d, real);
        if (outcome == DOCUMENT_NUMBER_INT64)
                assert_int_equal(i, whole);
}

static void test_numbers(void **state) {
        static const struct {
                const char *text;
                bool integer;
                int outcome;
                double real;
                int64_t whole;
        } rows[] = {
                { "0", true, DOCUMENT_NUMBER_DOUBLE, 0.0, 0 },
                { "-0", true, DOCUMENT_NUMBER_DOUBLE, -0.0, 0 },
                { "-0.0", false, DOCUMENT_NUMBER_DOUBLE, -0.0, 0 },
                { "20", true, DOCUMENT_NUMBER_DOUBLE, 20, 0 },
                { "9007199254740992", true, DOCUMENT_NUMBER_DOUBLE, 9007199254740992.0, 0 },
                { "-9007199254740992", true, DOCUMENT_NUMBER_DOUBLE, -9007199254740992.0, 0 },
                { "9007199254740993", true, DOCUMENT_NUMBER_INT64, 0, INT64_C(9007199254740993) },
                { "-9007199254740993", true, DOCUMENT_NUMBER_INT64, 0, INT64_C(-9007199254740993) },
                { "9223372036854775807", true, DOCUMENT_NUMBER_INT64, 0, INT64_MAX },
                { "-9223372036854775808", true, DOCUMENT_NUMBER_INT64, 0, INT64_MIN },
                { "9223372036854775808", true, DOCUMENT_NUMBER_OUT_OF_RANGE, 0, 0 },
                { "-9223372036854775809", true, DOCUMENT_NUMBER_OUT_OF_RANGE, 0, 0 },
                { "9999999999999999999", true, DOCUMENT_NUMBER_OUT_OF_RANGE, 0, 0 },
                { "10000000000000000000", true, DOCUMENT_NUMBER_OUT_OF_RANGE, 0, 0 },
                { "1e400", false, DOCUMENT_NUMBER_OUT_OF_RANGE, 0, 0 },
                { "-1.8e308", false, DOCUMENT_NUMBER_OUT_OF_RANGE, 0, 0 },
                { "1.7976931348623157e308", false, DOCUMENT_NUMBER_DOUBLE, 1.7976931348623157e308, 0 },
                { "1e-400", false, DOCUMENT_NUMBER_DOUBLE, 0.0, 0 },
                { "-1e-400", false, DOCUMENT_NUMBER_DOUBLE, -0.0, 0 },
                { "5e-324", false, DOCUMENT_NUMBER_DOUBLE, 5e-324, 0 },
                { "2.2250738585072011e-308", false, DOCUMENT_NUMBER_DOUBLE, 2.2250738585072011e-308, 0 },
                { "23.1", false, DOCUMENT_NUMBER_DOUBLE, 23.1, 0 },
                { "-12.345E+2", false, DOCUMENT_NUMBER_DOUBLE, -1234.5, 0 },
                { "1e22", false, DOCUMENT_NUMBER_DOUBLE, 1e22, 0 },
                { "1e23", false, DOCUMENT_NUMBER_DOUBLE, 1e23, 0 },
                { "9007199254740993.0", false, DOCUMENT_NUMBER_DOUBLE, 9007199254740992.0, 0 },
                { "9007199254740993.00000000000000000000000000000000001", false, DOCUMENT_NUMBER_DOUBLE,
                        9007199254740994.0, 0 },
                { "0.1000000000000000055511151231257827021181583404541015625", false, DOCUMENT_NUMBER_DOUBLE, 0.1, 0 },
                { "0e99999999999999999999", false, DOCUMENT_NUMBER_DOUBLE, 0.0, 0 },
                { "1e-99999999999999999999", false, DOCUMENT_NUMBER_DOUBLE, 0.0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                assert_number(rows[i].text, rows[i].integer, rows[i].outcome, rows[i].real, rows[i].whole);
}

/* A mantissa of ten megabytes is read, in linear time, and a locale with a decimal comma changes nothing. */
static void test_numbers_long(void **state) {
        size_t size = 10 * 1000 * 1000;
        char *text = malloc(size);
        const char *locales[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8" };
        int64_t whole;
        double value;

        assert_non_null(text);
        memset(text, '3', size);
        memcpy(text, "0.", 2);
        assert_int_equal(document_number_read((Slice){ text, size }, false, &value, &whole), DOCUMENT_NUMBER_DOUBLE);
        assert_true(value == 1.0 / 3.0);
        free(text);

        for (size_t i = 0; i < ELEMENTSOF(locales); i++)
                if (setlocale(LC_ALL, locales[i]))
                        break;
        assert_number("1.25000000000000000000000000000000001e1", false, DOCUMENT_NUMBER_DOUBLE, 12.5, 0);
        (void) setlocale(LC_ALL, "C");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_numbers_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
