/* SPDX-License-Identifier: Apache-2.0 */
/* What a JSON number becomes in MongoDB: a double, an int64 beyond 2^53, or nothing. */
#include <locale.h>
#include <math.h>

#include "document-fixture.h"

/* Builds the document of `{"a":TEXT}`. */
static int build_number(Slice text, bson_t *document) {
        _cleanup_bytes_ Bytes data = {};
        char detail[DOCUMENT_DETAIL_SIZE];
        WireMessage message;

        bytes_append_text(&data, "{\"a\":");
        bytes_append(&data, text.data, text.size);
        assert_int_equal(bytes_append_text(&data, "}"), 0);
        message = message_of(data.data, data.size);
        return build(&message, document, detail);
}

static void assert_number(const char *text, bson_type_t type, double real, int64_t whole) {
        bson_iter_t found;
        bson_t document;
        double d;

        if (build_number(slice(text), &document) != (type == BSON_TYPE_EOD ? DOCUMENT_NUMBER_RANGE : DOCUMENT_OK))
                fail_msg("%s", text);
        if (type != BSON_TYPE_EOD && (!document_find(&document, "a", &found) || bson_iter_type(&found) != type))
                fail_msg("%s", text);
        if (type == BSON_TYPE_DOUBLE) {
                d = bson_iter_double(&found);
                if (memcmp(&d, &real, sizeof(d)) != 0)
                        fail_msg("%s: %.17g instead of %.17g", text, d, real);
        } else if (type == BSON_TYPE_INT64)
                assert_int_equal(bson_iter_int64(&found), whole);
        bson_destroy(&document);
}

static void test_numbers(void **state) {
        static const struct {
                const char *text;
                bson_type_t type; /* BSON_TYPE_EOD: out of range */
                double real;
                int64_t whole;
        } rows[] = {
                { "0", BSON_TYPE_DOUBLE, 0.0, 0 },
                { "-0", BSON_TYPE_DOUBLE, -0.0, 0 },
                { "-0.0", BSON_TYPE_DOUBLE, -0.0, 0 },
                { "20", BSON_TYPE_DOUBLE, 20, 0 },
                { "9007199254740992", BSON_TYPE_DOUBLE, 9007199254740992.0, 0 },
                { "-9007199254740992", BSON_TYPE_DOUBLE, -9007199254740992.0, 0 },
                { "9007199254740993", BSON_TYPE_INT64, 0, INT64_C(9007199254740993) },
                { "-9007199254740993", BSON_TYPE_INT64, 0, INT64_C(-9007199254740993) },
                { "9223372036854775807", BSON_TYPE_INT64, 0, INT64_MAX },
                { "-9223372036854775808", BSON_TYPE_INT64, 0, INT64_MIN },
                { "9223372036854775808", BSON_TYPE_EOD, 0, 0 },
                { "-9223372036854775809", BSON_TYPE_EOD, 0, 0 },
                { "9999999999999999999", BSON_TYPE_EOD, 0, 0 },
                { "10000000000000000000", BSON_TYPE_EOD, 0, 0 },
                { "1e400", BSON_TYPE_EOD, 0, 0 },
                { "-1.8e308", BSON_TYPE_EOD, 0, 0 },
                { "1.7976931348623157e308", BSON_TYPE_DOUBLE, 1.7976931348623157e308, 0 },
                { "1e-400", BSON_TYPE_DOUBLE, 0.0, 0 },
                { "-1e-400", BSON_TYPE_DOUBLE, -0.0, 0 },
                { "5e-324", BSON_TYPE_DOUBLE, 5e-324, 0 },
                { "2.2250738585072011e-308", BSON_TYPE_DOUBLE, 2.2250738585072011e-308, 0 },
                { "23.1", BSON_TYPE_DOUBLE, 23.1, 0 },
                { "-12.345E+2", BSON_TYPE_DOUBLE, -1234.5, 0 },
                { "1e22", BSON_TYPE_DOUBLE, 1e22, 0 },
                { "1e23", BSON_TYPE_DOUBLE, 1e23, 0 },
                { "9007199254740993.0", BSON_TYPE_DOUBLE, 9007199254740992.0, 0 },
                { "9007199254740993.00000000000000000000000000000000001", BSON_TYPE_DOUBLE, 9007199254740994.0, 0 },
                { "0.1000000000000000055511151231257827021181583404541015625", BSON_TYPE_DOUBLE, 0.1, 0 },
                { "0e99999999999999999999", BSON_TYPE_DOUBLE, 0.0, 0 },
                { "1e-99999999999999999999", BSON_TYPE_DOUBLE, 0.0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                assert_number(rows[i].text, rows[i].type, rows[i].real, rows[i].whole);
}

/* A mantissa of ten megabytes is read, in linear time, and a locale with a decimal comma changes nothing. */
static void test_numbers_long(void **state) {
        size_t size = 10 * 1000 * 1000;
        char *text = malloc(size);
        const char *locales[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8" };
        bson_iter_t found;
        bson_t document;

        assert_non_null(text);
        memset(text, '3', size);
        memcpy(text, "0.", 2);
        assert_int_equal(build_number((Slice){ text, size }, &document), DOCUMENT_OK);
        assert_true(document_find(&document, "a", &found));
        assert_true(bson_iter_double(&found) == 1.0 / 3.0);
        bson_destroy(&document);
        free(text);

        for (size_t i = 0; i < ELEMENTSOF(locales); i++)
                if (setlocale(LC_ALL, locales[i]))
                        break;
        assert_number("1.25000000000000000000000000000000001e1", BSON_TYPE_DOUBLE, 12.5, 0);
        (void) setlocale(LC_ALL, "C");
}

/* What follows a number is not read with it: hexadecimal digits, or what is in memory behind a text that is cut off. */
static void test_numbers_cut(void **state) {
        static const char *const texts[] = { "{\"a\":1", "{\"a\":[2.5", "{\"a\":{\"b\":-1e4", "{\"a\":0001",
                "{\"a\":0x1", "{\"a\":0x1p99999}", "{\"a\":-0xffffffffffffffffffffffff" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                char *copy = malloc(strlen(texts[i]));

                assert_non_null(copy);
                memcpy(copy, texts[i], strlen(texts[i]));
                assert_rejected(copy, strlen(texts[i]), DOCUMENT_NOT_JSON);
                free(copy);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_numbers_long),
                cmocka_unit_test(test_numbers_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
