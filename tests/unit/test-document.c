/* SPDX-License-Identifier: Apache-2.0 */
/* What a payload becomes in MongoDB, and what can never be stored: docs/DELIVERY.md, "The document". */
#include "document-fixture.h"

/* P3: values arrive as what they are, in one type for each kind of value. */
static void test_values(void **state) {
        static const struct {
                const char *data, *expected;
        } rows[] = {
                { "{}", "{ }" },
                { " { } \n", "{ }" },
                { "{\"a\":\"\"}", "{ \"a\" : \"\" }" },
                { "{\"a\":true,\"b\":false,\"c\":null}", "{ \"a\" : true, \"b\" : false, \"c\" : null }" },
                { "{\"a\":{},\"b\":[]}", "{ \"a\" : { }, \"b\" : [ ] }" },
                { "{\"a\":[1,\"x\",[true],{\"b\":2}]}",
                        "{ \"a\" : [ { \"$numberDouble\" : \"1.0\" }, \"x\", [ true ], { \"b\" : { \"$numberDouble\" : \"2.0\" } } ] }" },
                { "{\"z\":1,\"a\":2}",
                        "{ \"z\" : { \"$numberDouble\" : \"1.0\" }, \"a\" : { \"$numberDouble\" : \"2.0\" } }" },
                { "{\"a\":\"\\u00e9\\ud83d\\ude00\\n\\\"\"}", "{ \"a\" : \"\xc3\xa9\xf0\x9f\x98\x80\\n\\\"\" }" },
                { "{\"\\u0061\\t\":1}", "{ \"a\\t\" : { \"$numberDouble\" : \"1.0\" } }" },
                { "{\"a\":\"x\\u0000y\"}", "{ \"a\" : \"x\\u0000y\" }" },
                { "{\"\xc3\xa9\":\"\xf0\x9f\x98\x80\"}", "{ \"\xc3\xa9\" : \"\xf0\x9f\x98\x80\" }" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                assert_payload(rows[i].data, strlen(rows[i].data), rows[i].expected);
}

static void test_names(void **state) {
        static const struct {
                const char *data, *expected;
        } rows[] = {
                { "{\"\":null}", "{ \"_\" : null }" },
                { "{\"$a\":null}", "{ \"_a\" : null }" },
                { "{\"$\":null}", "{ \"_\" : null }" },
                { "{\"$$a\":null}", "{ \"_$a\" : null }" },
                { "{\"a$b\":null}", "{ \"a$b\" : null }" },
                { "{\"a.b..c\":null}", "{ \"a_b__c\" : null }" },
                { "{\".\":null}", "{ \"_\" : null }" },
                { "{\"a\\u0000b\":null}", "{ \"a_b\" : null }" },
                { "{\"\\u0024date\":null}", "{ \"_date\" : null }" },
                { "{\"a\":{\"\":{\"$x.y\":null}}}", "{ \"a\" : { \"_\" : { \"_x_y\" : null } } }" },
                /* reserved at the top, nowhere else, also when a name becomes one by the rules above */
                { "{\"_id\":null}", "{ \"_id_\" : null }" },
                { "{\"$id\":null}", "{ \"_id_\" : null }" },
                { "{\"pubsub\":null,\"stored_at\":null}", "{ \"pubsub_\" : null, \"stored_at_\" : null }" },
                { "{\"stored.at\":null}", "{ \"stored_at_\" : null }" },
                { "{\"_\\u0069d\":null}", "{ \"_id_\" : null }" },
                { "{\"a\":{\"_id\":null,\"pubsub\":null,\"stored_at\":null}}",
                        "{ \"a\" : { \"_id\" : null, \"pubsub\" : null, \"stored_at\" : null } }" },
                /* nothing that looks like extended JSON changes a type */
                { "{\"t\":{\"$date\":\"2026-01-01T00:00:00Z\"}}",
                        "{ \"t\" : { \"_date\" : \"2026-01-01T00:00:00Z\" } }" },
                { "{\"t\":{\"$numberLong\":\"5\"}}", "{ \"t\" : { \"_numberLong\" : \"5\" } }" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                assert_payload(rows[i].data, strlen(rows[i].data), rows[i].expected);
}

static void test_dates(void **state) {
#define DATE(ms) "{ \"$date\" : { \"$numberLong\" : \"" ms "\" } }"
        static const struct {
                const char *data, *expected;
        } rows[] = {
                { "{\"created_at\":\"2026-11-24T06:27:38Z\"}", "{ \"created_at\" : " DATE("1795501658000") " }" },
                { "{\"created_at\":\"2026-11-24T06:27:38.123456789Z\"}",
                        "{ \"created_at\" : " DATE("1795501658123") " }" },
                { "{\"created_at\":\"2026-11-24T15:27:38+09:00\"}", "{ \"created_at\" : " DATE("1795501658000") " }" },
                { "{\"a\":[{\"updated_at\":\"1969-12-31T23:59:59Z\"}]}",
                        "{ \"a\" : [ { \"updated_at\" : " DATE("-1000") " } ] }" },
                { "{\"cr\\u0065ated_at\":\"2026-11-24T06:27:38\\u005a\"}",
                        "{ \"created_at\" : " DATE("1795501658000") " }" },
                /* the list has names as publishers write them, before they are changed */
                { "{\"a.b\":\"2026-11-24T06:27:38Z\"}", "{ \"a_b\" : " DATE("1795501658000") " }" },
                { "{\"stored_at\":\"2026-11-24T06:27:38Z\"}", "{ \"stored_at_\" : " DATE("1795501658000") " }" },
                { "{\"created_at\":\"0001-01-01T00:00:00Z\"}", "{ \"created_at\" : " DATE("-62135596800000") " }" },
                { "{\"created_at\":\"9999-12-31T23:59:59.999Z\"}", "{ \"created_at\" : " DATE("253402300799999") " }" },
                /* B15: everything else stays what it is, years too that Python's datetime cannot hold */
                { "{\"created_at\":\"0000-01-01T00:00:00Z\",\"te\":null}",
                        "{ \"created_at\" : \"0000-01-01T00:00:00Z\", \"te\" : null }" },
                { "{\"created_at\":\"9999-12-31T23:59:59-01:00\"}",
                        "{ \"created_at\" : \"9999-12-31T23:59:59-01:00\" }" },
                { "{\"created_at\":\"0001-01-01T00:00:00+00:01\"}",
                        "{ \"created_at\" : \"0001-01-01T00:00:00+00:01\" }" },
                { "{\"other\":\"2026-11-24T06:27:38Z\"}", "{ \"other\" : \"2026-11-24T06:27:38Z\" }" },
                { "{\"created_at\":\"2026-11-24\"}", "{ \"created_at\" : \"2026-11-24\" }" },
                { "{\"created_at\":\"2026-02-30T06:27:38Z\"}", "{ \"created_at\" : \"2026-02-30T06:27:38Z\" }" },
                { "{\"created_at\":\"2026-11-24T06:27:38\"}", "{ \"created_at\" : \"2026-11-24T06:27:38\" }" },
                { "{\"created_at\":[\"2026-11-24T06:27:38Z\"]}", "{ \"created_at\" : [ \"2026-11-24T06:27:38Z\" ] }" },
                { "{\"created_at\":null,\"updated_at\":1}",
                        "{ \"created_at\" : null, \"updated_at\" : { \"$numberDouble\" : \"1.0\" } }" },
        };
#undef DATE

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                assert_payload(rows[i].data, strlen(rows[i].data), rows[i].expected);
}

static void test_rejections(void **state) {
        static const struct {
                const char *data;
                DocumentReason reason;
        } rows[] = {
                { " ", DOCUMENT_NOT_JSON },
                { "{", DOCUMENT_NOT_JSON },
                { "{\"a\":1}{\"b\":2}", DOCUMENT_NOT_JSON },
                { "{\"a\":1} x", DOCUMENT_NOT_JSON },
                { "{\"a\":1,}", DOCUMENT_NOT_JSON },
                { "{'a':1}", DOCUMENT_NOT_JSON },
                { "{\"a\":NaN}", DOCUMENT_NOT_JSON },
                { "{\"a\":-01}", DOCUMENT_NOT_JSON },
                { "{\"a\":.5}", DOCUMENT_NOT_JSON },
                { "{\"a\":+1}", DOCUMENT_NOT_JSON },
                { "{\"a\":\"x\ny\"}", DOCUMENT_NOT_JSON },
                { "{\"a\":1}/* */", DOCUMENT_NOT_JSON },
                { "\xef\xbb\xbf", DOCUMENT_NOT_JSON },
                { "{\xef\xbb\xbf}", DOCUMENT_NOT_JSON },
                { "\x1f\x8b\x08", DOCUMENT_NOT_JSON },
                { "{\"te\":21.5,\"hu\":nan}", DOCUMENT_NOT_JSON },
                { "hello", DOCUMENT_NOT_JSON },
                { "[1,2", DOCUMENT_NOT_JSON },
                { "1 2", DOCUMENT_NOT_JSON },
                { "[1,2]", DOCUMENT_NOT_OBJECT },
                { "23.1", DOCUMENT_NOT_OBJECT },
                { "\"x\"", DOCUMENT_NOT_OBJECT },
                { "null", DOCUMENT_NOT_OBJECT },
                { " true ", DOCUMENT_NOT_OBJECT },
                { "{\"a\":\"\xff\xfe\"}", DOCUMENT_NOT_UTF8 },
                { "{\"a\xc3\":1}", DOCUMENT_NOT_UTF8 },
                { "{\"a\":\"\xed\xa0\x80\"}", DOCUMENT_NOT_UTF8 },
                { "\xff{}", DOCUMENT_NOT_UTF8 },
                { "{\"a\":\"\\ud800\"}", DOCUMENT_NOT_UTF8 },
                { "{\"a\":\"\\udc00\\ud800\"}", DOCUMENT_NOT_UTF8 },
                { "{\"\\ud800\":1}", DOCUMENT_NOT_UTF8 },
                { "{\"a\":1,\"a\":1}", DOCUMENT_DUPLICATE_KEY },
                { "{\"a\":1,\"\\u0061\":2}", DOCUMENT_DUPLICATE_KEY },
                { "{\"a.b\":1,\"a_b\":2}", DOCUMENT_DUPLICATE_KEY },
                { "{\"\":1,\"_\":2}", DOCUMENT_DUPLICATE_KEY },
                { "{\"$\":1,\".\":2}", DOCUMENT_DUPLICATE_KEY },
                { "{\"_id\":1,\"_id_\":2}", DOCUMENT_DUPLICATE_KEY },
                { "{\"_id\":1,\"$id\":2}", DOCUMENT_DUPLICATE_KEY },
                { "{\"pubsub_\":1,\"x\":{},\"pubsub\":2}", DOCUMENT_DUPLICATE_KEY },
                { "{\"x\":[{\"y\":1},{\"y\":{\"z\":1,\"z\":2}}]}", DOCUMENT_DUPLICATE_KEY },
                { "{\"a\":9223372036854775808}", DOCUMENT_NUMBER_RANGE },
                { "{\"a\":-9223372036854775809}", DOCUMENT_NUMBER_RANGE },
                { "{\"a\":100000000000000000000000}", DOCUMENT_NUMBER_RANGE },
                { "{\"a\":1e309}", DOCUMENT_NUMBER_RANGE },
                { "{\"a\":[-1e999999999999]}", DOCUMENT_NUMBER_RANGE },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                assert_rejected(rows[i].data, strlen(rows[i].data), rows[i].reason);
        assert_rejected("{\"a\":1}\0x", 9, DOCUMENT_NOT_JSON);
        assert_rejected("\0{\"a\":1}", 8, DOCUMENT_NOT_JSON);
        assert_rejected("\0", 1, DOCUMENT_NOT_JSON);
        assert_rejected("{\"a\0b\":1}", 9, DOCUMENT_NOT_JSON);
        for (size_t i = 1; i < strlen("{\"a\":[1.5e3,\"x\"]}"); i++) /* cut anywhere */
                assert_rejected("{\"a\":[1.5e3,\"x\"]}", i, DOCUMENT_NOT_JSON);
}

/* Who moves over from the scripts, or forgot the key, is told of it. */
static void test_python_without_the_key(void **state) {
        static const struct {
                const char *data;
                bool told;
        } rows[] = { { "{'name': 'study'}", true }, { "{\"name\": 'study'}", false }, { "{", false }, { "'", false } };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                WireMessage message = message_of(rows[i].data, strlen(rows[i].data));
                char detail[DOCUMENT_DETAIL_SIZE];
                bson_t document;

                bson_init(&document);
                assert_int_equal(build(&message, &document, detail), DOCUMENT_NOT_JSON);
                assert_int_equal(strstr(detail, "`payload: python` reads it") != NULL, rows[i].told);
                bson_destroy(&document);
        }
}

static char *repeat(const char *before, const char *unit, size_t n, const char *after, size_t *ret_size) {
        size_t size = strlen(unit);
        char *text = malloc(strlen(before) + n * size + strlen(after) + 1), *p = text;

        assert_non_null(text);
        p = stpcpy(p, before);
        for (size_t i = 0; i < n; i++)
                p = stpcpy(p, unit);
        p = stpcpy(p, after);
        *ret_size = (size_t) (p - text);
        return text;
}

static void test_depth(void **state) {
        for (size_t depth = 88; depth <= 92; depth++) {
                char text[2048] = "", *p = text;
                WireMessage message;
                bson_t document;
                char detail[DOCUMENT_DETAIL_SIZE];

                for (size_t i = 1; i < depth; i++)
                        p = stpcpy(p, "{\"a\":");
                p = stpcpy(p, "{}");
                for (size_t i = 1; i < depth; i++)
                        p = stpcpy(p, "}");
                message = message_of(text, strlen(text));
                assert_int_equal(build(&message, &document, detail), depth <= 90 ? DOCUMENT_OK : DOCUMENT_TOO_DEEP);
                bson_destroy(&document);
        }
}

/* P6: the most expensive payloads are given up as soon as they are too large, with bounded memory. */
static void test_size(void **state) {
        static const struct {
                const char *before, *unit, *after;
                size_t n;
                DocumentReason reason;
        } rows[] = {
                { "{\"a\":[0", ",0", "]}", 4900000, DOCUMENT_TOO_LARGE },
                { "{\"a\":[{}", ",{}", "]}", 3300000, DOCUMENT_TOO_LARGE },
                { "{\"a\":[[[[[]]]]", ",[[[[]]]]", "]}", 1000000, DOCUMENT_TOO_LARGE },
                { "{\"a\":[1e-300", ",1e-300", "]}", 1400000, DOCUMENT_TOO_LARGE },
                { "{\"a\":\"", "x", "\"}", 9900000, DOCUMENT_OK },
                { "{\"a\":\"", "\\n", "\"}", 4900000, DOCUMENT_OK },
                { "{\"a\":\"", "x", "\"}", 15 * 1024 * 1024 - 400, DOCUMENT_OK },
                { "{\"a\":\"", "x", "\"}", 15 * 1024 * 1024, DOCUMENT_TOO_LARGE },
                { "{\"a\":[0", ",0", "]}", 700000, DOCUMENT_OK },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                WireMessage message;
                bson_t document;
                char detail[DOCUMENT_DETAIL_SIZE], *text;
                size_t size;

                text = repeat(rows[i].before, rows[i].unit, rows[i].n, rows[i].after, &size);
                message = message_of(text, size);
                if (build(&message, &document, detail) != (int) rows[i].reason)
                        fail_msg("row %zu: %s", i, detail);
                if (rows[i].reason == DOCUMENT_OK)
                        assert_true(document.len <= DOCUMENT_SIZE_MAX);
                bson_destroy(&document);
                free(text);
        }
}

/* However a document grows, its buffer is not more than the power of two above twice the largest document. */
static void test_buffer(void **state) {
        uint32_t length;
        WireMessage message;
        bson_t document;
        char detail[DOCUMENT_DETAIL_SIZE], *begin, *text;
        uint8_t *buffer;
        size_t size;

        begin = repeat("{\"a\":\"", "x", 7400000, "\",\"b\":\"", &size);
        text = repeat(begin, "x", 7500000, "\"}", &size);
        message = message_of(text, size);
        assert_int_equal(build(&message, &document, detail), DOCUMENT_OK);
        buffer = bson_destroy_with_steal(&document, true, &length);
        assert_true(malloc_usable_size(buffer) <= (size_t) 33 * 1024 * 1024);
        bson_free(buffer);
        free(text);
        free(begin);
}

/* An object with *n* names of its own, and one more at the end. */
static char *many_names(size_t n, const char *last, size_t *ret_size) {
        char *text = malloc(n * 16 + 64), *p = text;

        assert_non_null(text);
        p = stpcpy(p, "{\"o\":{");
        for (size_t i = 0; i < n; i++)
                p += sprintf(p, "\"%zx\":0,", i);
        p += sprintf(p, "\"%s\":0}}", last);
        *ret_size = (size_t) (p - text);
        return text;
}

static void test_many_names(void **state) {
        static const size_t counts[] = { 1, 2, 13, 14, 15, 16, 17, 18, 100, 5000, 800000 };

        for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
                const struct {
                        const char *last;
                        DocumentReason reason;
                } rows[] = { { "x", DOCUMENT_OK }, { "0", DOCUMENT_DUPLICATE_KEY } };

                for (size_t k = 0; k < ELEMENTSOF(rows); k++) {
                        WireMessage message;
                        bson_t document;
                        char detail[DOCUMENT_DETAIL_SIZE], *text;
                        size_t size;

                        text = many_names(counts[i], rows[k].last, &size);
                        message = message_of(text, size);
                        if (build(&message, &document, detail) != (int) rows[k].reason)
                                fail_msg("%zu names and %s: %s", counts[i], rows[k].last, detail);
                        bson_destroy(&document);

                        /* and at the top level */
                        message.data = (Slice){ text + 5, size - 6 };
                        if (build(&message, &document, detail) != (int) rows[k].reason)
                                fail_msg("%zu names and %s at the top: %s", counts[i], rows[k].last, detail);
                        bson_destroy(&document);
                        free(text);
                }
        }
}

/* B4, B5: what programs publish beside plain JSON. */
static void test_around_the_object(void **state) {
        static const char zipped[] =
                "\x1f\x8b\x08\x00\x07\x00\x00\x00\x02\xff\xab\x56\x2a\x49\x55\xb2\x32\x32\xd4\x33\xad\x05\x00\x31"
                "\x57\x8b\x18\x0b\x00\x00\x00";
        static const char te[] = "{ \"te\" : { \"$numberDouble\" : \"21.5\" } }";

        assert_payload("\xef\xbb\xbf{\"te\":21.5}\r\n", 16, te);
        assert_payload("{\"te\":21.5}\0", 12, te);
        assert_payload("\xef\xbb\xbf{\"te\":21.5}\n\0\0\0", 18, te);
        assert_payload(zipped, sizeof(zipped) - 1, te);
        assert_payload("", 0, "{ }");
        assert_payload(
                "{\"v\":12345678901234567.89}", 26, "{ \"v\" : { \"$numberDouble\" : \"12345678901234568.0\" } }");
        assert_rejected(zipped, sizeof(zipped) - 2, DOCUMENT_NOT_JSON);
        assert_rejected("\x1f\x8b\x08 is not gzip", 15, DOCUMENT_NOT_JSON);
}

/* What the scripts of before published, where the subscription says that it may come. */
static void test_python(void **state) {
        const DocumentRules python = {
                .subscription = SUBSCRIPTION, .id_attribute = "k", .date_fields = date_fields, .payload = PAYLOAD_PYTHON
        };
        static const struct {
                const char *data, *expected;
                DocumentReason reason;
        } rows[] = {
                { "{'name': \"Bob's\", 'newest_events': {'te': {'val': 23, 'created_at': '2026-11-24T06:27:38Z'}}, 'x': None}",
                        "{ \"name\" : \"Bob's\", \"newest_events\" : { \"te\" : { \"val\" : { \"$numberDouble\" : \"23.0\" }, \"created_at\" : { \"$date\" : "
                        "{ \"$numberLong\" : \"1795501658000\" } } } }, \"x\" : null }",
                        DOCUMENT_OK },
                { "{\"a\":true}", "{ \"a\" : true }", DOCUMENT_OK },
                { "", "{ }", DOCUMENT_OK }, /* attributes only */
                { " ", NULL, DOCUMENT_NOT_JSON },
                { "{'a': True}\n", "{ \"a\" : true }", DOCUMENT_OK },
                { "{'a': true}", NULL, DOCUMENT_NOT_JSON },
                { "{'a': b'x'}", NULL, DOCUMENT_NOT_JSON },
                { "{'a': '\\ud800'}", NULL, DOCUMENT_NOT_UTF8 },
                { "['a']", NULL, DOCUMENT_NOT_OBJECT },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                WireMessage message = message_of(rows[i].data, strlen(rows[i].data));
                char detail[DOCUMENT_DETAIL_SIZE] = "", *json;
                bson_t document;

                bson_init(&document);
                assert_int_equal(document_build(&(DocumentInput){ &message, &python, 0, false }, &document, detail),
                        rows[i].reason);
                json = payload_json(&document);
                if (rows[i].expected)
                        assert_string_equal(json, rows[i].expected);
                else
                        assert_true(strlen(detail) > 0);
                bson_free(json);
                bson_destroy(&document);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_dates),
                cmocka_unit_test(test_rejections),
                cmocka_unit_test(test_python_without_the_key),
                cmocka_unit_test(test_depth),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_buffer),
                cmocka_unit_test(test_many_names),
                cmocka_unit_test(test_around_the_object),
                cmocka_unit_test(test_python),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
