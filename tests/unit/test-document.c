/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule of DESIGN.md section 3.4: what a message becomes in MongoDB, what can never be stored, and when two documents are the same. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "subscribe/document.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"
#define STORED_AT (UINT64_C(1795502258123) * USEC_PER_MSEC)

static char created_at[] = "created_at", updated_at[] = "updated_at", dotted[] = "a.b", stored_at[] = "stored_at";
static char *date_fields[] = { created_at, updated_at, dotted, stored_at, NULL };
static const DocumentRules rules = { .subscription = SUBSCRIPTION, .id_attribute = "idempotency_key", .date_fields = date_fields };

static Slice slice(const char *text) {
        return (Slice){ text, strlen(text) };
}

static WireMessage message_of(const char *data, size_t size) {
        return (WireMessage){ .data = { data, size }, .message_id = slice("17"), .publish_time = slice("2026-11-24T06:27:38.123456Z") };
}

static int build(const WireMessage *message, bson_t *document, char detail[static 256]) {
        bson_init(document);
        detail[0] = '\0';
        return document_build(message, &rules, STORED_AT, document, detail, 256);
}

/* The payload's part of the document as canonical extended JSON, which tells every type apart. */
static char *payload_json(const bson_t *document) {
        bson_t copy;
        char *json;

        bson_init(&copy);
        bson_copy_to_excluding_noinit(document, &copy, "_id", "pubsub", "stored_at", NULL);
        json = bson_as_canonical_extended_json(&copy, NULL);
        bson_destroy(&copy);
        return json;
}

static void assert_payload(const char *data, size_t size, const char *expected) {
        WireMessage message = message_of(data, size);
        bson_error_t error;
        bson_t document;
        char detail[256], *json;
        int r;

        r = build(&message, &document, detail);
        if (r != DOCUMENT_OK)
                fail_msg("%.*s: %s: %s", (int) size, data, document_reason((DocumentReason) r), detail);
        assert_true(bson_validate_with_error(&document, BSON_VALIDATE_NONE, &error));
        json = payload_json(&document);
        assert_string_equal(json, expected);
        bson_free(json);
        bson_destroy(&document);
}

static void assert_rejected(const char *data, size_t size, DocumentReason reason) {
        WireMessage message = message_of(data, size);
        bson_t document;
        char detail[256];
        int r;

        r = build(&message, &document, detail);
        if (r != (int) reason)
                fail_msg("%.*s: %d instead of %s: %s", (int) size, data, r, document_reason(reason), detail);
        assert_true(bson_validate(&document, BSON_VALIDATE_NONE, NULL)); /* half-built, but closed */
        assert_true(strlen(detail) > 0);
        assert_true(bytes_is_utf8(detail, strlen(detail)));
        bson_reinit(&document); /* P6: wherever it stopped, the next message may be built in the same place */
        message = message_of("{}", 2);
        assert_int_equal(document_build(&message, &rules, STORED_AT, &document, detail, sizeof(detail)), DOCUMENT_OK);
        bson_destroy(&document);
}

/* P3: values arrive as what they are, in one type for each kind of value. */
static void test_values(void **state) {
        static const struct {
                const char *data, *expected;
        } rows[] = {
                { "{}", "{ }" },
                { " { } \n", "{ }" },
                { "{\"a\":\"\"}", "{ \"a\" : \"\" }" },
                { "{\"a\":true,\"b\":false,\"c\":null}", "{ \"a\" : true, \"b\" : false, \"c\" : null }" },
                { "{\"a\":{},\"b\":[]}", "{ \"a\" : {  }, \"b\" : [  ] }" },
                { "{\"a\":[1,\"x\",[true],{\"b\":2}]}",
                        "{ \"a\" : [ { \"$numberDouble\" : \"1.0\" }, \"x\", [ true ], { \"b\" : { \"$numberDouble\" : \"2.0\" } } ] }" },
                { "{\"z\":1,\"a\":2}", "{ \"z\" : { \"$numberDouble\" : \"1.0\" }, \"a\" : { \"$numberDouble\" : \"2.0\" } }" },
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
                { "{\"t\":{\"$date\":\"2026-01-01T00:00:00Z\"}}", "{ \"t\" : { \"_date\" : \"2026-01-01T00:00:00Z\" } }" },
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
                { "{\"created_at\":\"2026-11-24T06:27:38.123456789Z\"}", "{ \"created_at\" : " DATE("1795501658123") " }" },
                { "{\"created_at\":\"2026-11-24T15:27:38+09:00\"}", "{ \"created_at\" : " DATE("1795501658000") " }" },
                { "{\"a\":[{\"updated_at\":\"1969-12-31T23:59:59Z\"}]}", "{ \"a\" : [ { \"updated_at\" : " DATE("-1000") " } ] }" },
                { "{\"cr\\u0065ated_at\":\"2026-11-24T06:27:38\\u005a\"}", "{ \"created_at\" : " DATE("1795501658000") " }" },
                /* the list has names as publishers write them, before they are changed */
                { "{\"a.b\":\"2026-11-24T06:27:38Z\"}", "{ \"a_b\" : " DATE("1795501658000") " }" },
                { "{\"stored_at\":\"2026-11-24T06:27:38Z\"}", "{ \"stored_at_\" : " DATE("1795501658000") " }" },
                /* everything else stays what it is */
                { "{\"other\":\"2026-11-24T06:27:38Z\"}", "{ \"other\" : \"2026-11-24T06:27:38Z\" }" },
                { "{\"created_at\":\"2026-11-24\"}", "{ \"created_at\" : \"2026-11-24\" }" },
                { "{\"created_at\":\"2026-02-30T06:27:38Z\"}", "{ \"created_at\" : \"2026-02-30T06:27:38Z\" }" },
                { "{\"created_at\":\"2026-11-24T06:27:38\"}", "{ \"created_at\" : \"2026-11-24T06:27:38\" }" },
                { "{\"created_at\":[\"2026-11-24T06:27:38Z\"]}", "{ \"created_at\" : [ \"2026-11-24T06:27:38Z\" ] }" },
                { "{\"created_at\":null,\"updated_at\":1}", "{ \"created_at\" : null, \"updated_at\" : { \"$numberDouble\" : \"1.0\" } }" },
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
                { "", DOCUMENT_NOT_JSON },
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
                { "\xef\xbb\xbf{}", DOCUMENT_NOT_JSON },
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
        assert_rejected("{\"a\":1}\0", 8, DOCUMENT_NOT_JSON);
        assert_rejected("{\"a\0b\":1}", 9, DOCUMENT_NOT_JSON);
        for (size_t i = 0; i < strlen("{\"a\":[1.5e3,\"x\"]}"); i++) /* cut anywhere */
                assert_rejected("{\"a\":[1.5e3,\"x\"]}", i, DOCUMENT_NOT_JSON);
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
                char detail[256];

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
                char detail[256], *text;
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
        char detail[256], *begin, *text;
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
                        char detail[256], *text;
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

static void assert_string(const bson_t *document, const char *path, const char *expected) {
        bson_iter_t iter, found;

        assert_true(bson_iter_init(&iter, document));
        assert_true(bson_iter_find_descendant(&iter, path, &found));
        assert_true(BSON_ITER_HOLDS_UTF8(&found));
        assert_string_equal(bson_iter_utf8(&found, NULL), expected);
}

static void assert_date(const bson_t *document, const char *path, int64_t expected) {
        bson_iter_t iter, found;

        assert_true(bson_iter_init(&iter, document));
        assert_true(bson_iter_find_descendant(&iter, path, &found));
        assert_true(BSON_ITER_HOLDS_DATE_TIME(&found));
        assert_int_equal(bson_iter_date_time(&found), expected);
}

/* P4: the name of a document depends on nothing but the message. */
static void test_id(void **state) {
        char long_text[DOCUMENT_ID_MAX + 2];
        WireAttribute attributes[] = { { slice("device"), slice("d") }, { slice("idempotency_key"), slice("home:d:1") } };
        const struct {
                Slice value;
                const char *expected;
        } rows[] = {
                { slice("home:d:1"), "home:d:1" },
                { slice(""), SUBSCRIPTION ":17" },
                { { long_text, DOCUMENT_ID_MAX + 1 }, SUBSCRIPTION ":17" },
        };

        memset(long_text, 'x', sizeof(long_text) - 1);
        long_text[sizeof(long_text) - 1] = '\0';
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                WireMessage message = message_of("{\"a\":1}", 7);
                bson_t document;
                char detail[256];
                bson_iter_t iter;

                attributes[1].value = rows[i].value;
                message.attributes = attributes;
                message.n_attributes = 2;
                assert_int_equal(build(&message, &document, detail), DOCUMENT_OK);
                assert_string(&document, "_id", rows[i].expected);
                assert_true(bson_iter_init(&iter, &document) && bson_iter_next(&iter));
                assert_string_equal(bson_iter_key(&iter), "_id"); /* first, or the driver and the server move it */
                bson_destroy(&document);
        }

        attributes[1].value = (Slice){ long_text, DOCUMENT_ID_MAX };
        WireMessage message = message_of("{}", 2);
        Bytes scratch = {};
        Slice id;

        message.attributes = attributes;
        message.n_attributes = 2;
        assert_int_equal(document_id(&message, &rules, &scratch, &id), 0);
        assert_int_equal(id.size, DOCUMENT_ID_MAX);
        bytes_done(&scratch);
}

static void test_metadata(void **state) {
        const WireAttribute attributes[] = { { slice("type"), slice("nature_remo") }, { slice("$a.b"), slice("") },
                { slice("_id"), slice("x") } };
        WireMessage message = message_of("{\"z\":1,\"a\":2}", 13);
        static const char *const order[] = { "_id", "z", "a", "pubsub", "stored_at" };
        bson_t document;
        bson_iter_t iter;
        char detail[256];

        message.attributes = attributes;
        message.n_attributes = 3;
        assert_int_equal(build(&message, &document, detail), DOCUMENT_OK);
        assert_true(bson_iter_init(&iter, &document));
        for (size_t i = 0; i < ELEMENTSOF(order); i++) {
                assert_true(bson_iter_next(&iter));
                assert_string_equal(bson_iter_key(&iter), order[i]);
        }
        assert_false(bson_iter_next(&iter));
        assert_date(&document, "stored_at", INT64_C(1795502258123));
        assert_string(&document, "pubsub.message_id", "17");
        assert_string(&document, "pubsub.subscription", SUBSCRIPTION);
        assert_date(&document, "pubsub.publish_time", INT64_C(1795501658123));
        assert_string(&document, "pubsub.attributes.type", "nature_remo");
        assert_string(&document, "pubsub.attributes._a_b", "");
        assert_string(&document, "pubsub.attributes._id", "x");
        bson_destroy(&document);

        message.publish_time = slice("yesterday");
        message.n_attributes = 0;
        assert_int_equal(build(&message, &document, detail), DOCUMENT_OK);
        assert_string(&document, "pubsub.publish_time", "yesterday");
        bson_destroy(&document);
}

static void test_attribute_rejections(void **state) {
        const WireAttribute twice[] = { { slice("a.b"), slice("1") }, { slice("a_b"), slice("2") } };
        const WireAttribute bad[] = { { slice("a"), slice("\xff") } };
        WireMessage message = message_of("{}", 2);
        bson_t document;
        char detail[256];

        message.attributes = twice;
        message.n_attributes = 2;
        assert_int_equal(build(&message, &document, detail), DOCUMENT_DUPLICATE_KEY);
        bson_destroy(&document);
        message.attributes = bad;
        message.n_attributes = 1;
        assert_int_equal(build(&message, &document, detail), DOCUMENT_NOT_UTF8);
        bson_destroy(&document);

        message = message_of("!!", 2);
        message.data_bad = true;
        assert_int_equal(build(&message, &document, detail), DOCUMENT_NOT_BASE64);
        bson_destroy(&document);
}

/* The message is read twice at times (a duplicate, a retry, a rejection): building leaves it as it is, and the same bytes give the same
 * document. */
static void test_repeatable(void **state) {
        const char *data = "{\"a\\u0041\":\"\\u00e9\\\\x\",\"$b\":[1,2.5]}";
        WireMessage message = message_of(data, strlen(data));
        bson_t first, second;
        char detail[256];

        assert_int_equal(build(&message, &first, detail), DOCUMENT_OK);
        bson_init(&second);
        for (int i = 0; i < 3; i++) {
                bson_reinit(&second);
                assert_int_equal(document_build(&message, &rules, STORED_AT, &second, detail, sizeof(detail)), DOCUMENT_OK);
                assert_true(bson_equal(&first, &second));
        }
        bson_destroy(&first);
        bson_destroy(&second);
}

static void test_detail_is_cut(void **state) {
        WireMessage message = message_of("{\"\xc3\xa9\xc3\xa9\xc3\xa9\\u0007\":1,\"\xc3\xa9\xc3\xa9\xc3\xa9\\u0007\":2}", 32);
        bson_t document;
        char detail[256];

        message.data.size = strlen(message.data.data);
        for (size_t size = 0; size < sizeof(detail); size++) {
                bson_init(&document);
                memset(detail, 'x', sizeof(detail));
                assert_int_equal(document_build(&message, &rules, STORED_AT, &document, detail, size), DOCUMENT_DUPLICATE_KEY);
                if (size > 0) {
                        assert_true(strlen(detail) < size);
                        assert_true(bytes_is_utf8(detail, strlen(detail)));
                        assert_null(strchr(detail, '\a'));
                }
                bson_destroy(&document);
        }
}

/* P3 (c): what can never be stored is kept whole: its bytes, where it came from, why. */
static void test_rejected(void **state) {
        static const char data[] = "\xff\x00{broken";
        const WireAttribute attributes[] = { { slice("idempotency_key"), slice("k") } };
        WireMessage message = message_of(data, sizeof(data) - 1);
        bson_t document;
        bson_iter_t iter;
        bson_subtype_t subtype;
        const uint8_t *binary;
        uint32_t size;

        message.attributes = attributes;
        message.n_attributes = 1;
        bson_init(&document);
        assert_int_equal(document_build_rejected(&message, &rules, DOCUMENT_NOT_UTF8, "the data is not UTF-8", STORED_AT, &document), 0);
        assert_string(&document, "_id", SUBSCRIPTION ":17");
        assert_string(&document, "reason", "not_utf8");
        assert_string(&document, "detail", "the data is not UTF-8");
        assert_string(&document, "pubsub.message_id", "17");
        assert_string(&document, "pubsub.attributes.idempotency_key", "k");
        assert_date(&document, "rejected_at", INT64_C(1795502258123));
        assert_date(&document, "pubsub.publish_time", INT64_C(1795501658123));
        assert_true(bson_iter_init_find(&iter, &document, "data") && BSON_ITER_HOLDS_BINARY(&iter));
        bson_iter_binary(&iter, &subtype, &size, &binary);
        assert_int_equal(size, sizeof(data) - 1);
        assert_memory_equal(binary, data, size);
        bson_destroy(&document);
}

/* Attributes that cannot be fields as they are go into a list, unchanged. */
static void test_rejected_attributes(void **state) {
        const WireAttribute attributes[] = { { slice("a.b"), slice("1") }, { slice("a.b"), slice("\xff") } };
        WireMessage message = message_of("", 0);
        bson_t document;
        bson_iter_t iter, found;

        message.attributes = attributes;
        message.n_attributes = 2;
        bson_init(&document);
        assert_int_equal(document_build_rejected(&message, &rules, DOCUMENT_DUPLICATE_KEY, "", STORED_AT, &document), 0);
        assert_string(&document, "pubsub.attributes.0.name", "a.b");
        assert_string(&document, "pubsub.attributes.0.value", "1");
        assert_string(&document, "pubsub.attributes.1.name", "a.b");
        assert_true(bson_iter_init(&iter, &document) && bson_iter_find_descendant(&iter, "pubsub.attributes.1.value", &found));
        assert_true(BSON_ITER_HOLDS_BINARY(&found));
        bson_destroy(&document);
}

/* One name that could not be a field as it is, or one value that is no text, makes all of them a list. */
static void test_rejected_attribute_alone(void **state) {
        const WireAttribute odd[] = { { slice("a.b"), slice("1") }, { slice("$a"), slice("1") }, { slice(""), slice("1") },
                { { "a\0b", 3 }, slice("1") }, { slice("\xff"), slice("1") }, { slice("a"), slice("\xff") } };

        for (size_t i = 0; i < ELEMENTSOF(odd); i++) {
                const WireAttribute attributes[] = { { slice("plain"), slice("0") }, odd[i] };
                WireMessage message = message_of("", 0);
                bson_iter_t iter, found;
                bson_t document;

                message.attributes = attributes;
                message.n_attributes = 2;
                bson_init(&document);
                assert_int_equal(document_build_rejected(&message, &rules, DOCUMENT_REFUSED, "", STORED_AT, &document), 0);
                assert_string(&document, "pubsub.attributes.0.name", "plain");
                assert_true(bson_iter_init(&iter, &document) && bson_iter_find_descendant(&iter, "pubsub.attributes.1.name", &found));
                bson_destroy(&document);
        }
}

/* P3 (b): the same payload under the same name is a duplicate; anything else is a conflict. */
static void test_same_payload(void **state) {
        static const struct {
                const char *a, *b;
                bool same;
        } rows[] = {
                { "{ \"_id\": 1, \"a\": 1 }", "{ \"_id\": 1, \"a\": 1 }", true },
                { "{ \"_id\": 1, \"a\": 1, \"stored_at\": 5 }", "{ \"_id\": 1, \"pubsub\": {\"x\": 1}, \"a\": 1, \"stored_at\": 6 }",
                        true },
                { "{ \"_id\": 1, \"a\": 1 }", "{ \"_id\": 2, \"a\": 1 }", false },
                { "{ \"_id\": 1, \"a\": 1 }", "{ \"_id\": 1, \"a\": 2 }", false },
                { "{ \"_id\": 1, \"a\": 1 }", "{ \"_id\": 1, \"a\": 1.0 }", false },
                { "{ \"_id\": 1, \"a\": 1 }", "{ \"_id\": 1 }", false },
                { "{ \"_id\": 1 }", "{ \"_id\": 1, \"a\": 1 }", false },
                { "{ \"_id\": 1, \"a\": 1, \"b\": 2 }", "{ \"_id\": 1, \"b\": 2, \"a\": 1 }", false },
                { "{ \"_id\": 1, \"a\": {\"stored_at\": 1} }", "{ \"_id\": 1, \"a\": {\"stored_at\": 2} }", false },
                { "{ \"_id\": 1, \"a\": \"x\" }", "{ \"_id\": 1, \"a\": \"xy\" }", false },
                { "{ }", "{ \"pubsub\": 1 }", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                bson_t *a = bson_new_from_json((const uint8_t *) rows[i].a, -1, NULL),
                       *b = bson_new_from_json((const uint8_t *) rows[i].b, -1, NULL);

                assert_non_null(a);
                assert_non_null(b);
                if (document_same_payload(a, b) != rows[i].same || document_same_payload(b, a) != rows[i].same)
                        fail_msg("%s against %s", rows[i].a, rows[i].b);
                bson_destroy(a);
                bson_destroy(b);
        }
}

static void test_same_payload_of_two_builds(void **state) {
        WireMessage message = message_of("{\"te\":{\"val\":23.1}}", 19), again = message;
        bson_t first, second;
        char detail[256];

        assert_int_equal(build(&message, &first, detail), DOCUMENT_OK);
        again.publish_time = slice("2026-11-24T07:00:00Z");
        bson_init(&second);
        assert_int_equal(document_build(&again, &rules, STORED_AT + USEC_PER_HOUR, &second, detail, sizeof(detail)), DOCUMENT_OK);
        assert_false(bson_equal(&first, &second));
        assert_true(document_same_payload(&first, &second));
        bson_destroy(&first);
        bson_destroy(&second);
}

static void test_reason_words(void **state) {
        static const char *const words[] = { "ok", "not_base64", "not_utf8", "not_json", "not_object", "too_deep", "too_large",
                "duplicate_key", "number_range", "refused", "id_conflict" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                assert_string_equal(document_reason((DocumentReason) i), words[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_dates),
                cmocka_unit_test(test_rejections),
                cmocka_unit_test(test_depth),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_buffer),
                cmocka_unit_test(test_many_names),
                cmocka_unit_test(test_id),
                cmocka_unit_test(test_metadata),
                cmocka_unit_test(test_attribute_rejections),
                cmocka_unit_test(test_repeatable),
                cmocka_unit_test(test_detail_is_cut),
                cmocka_unit_test(test_rejected),
                cmocka_unit_test(test_rejected_attributes),
                cmocka_unit_test(test_rejected_attribute_alone),
                cmocka_unit_test(test_same_payload),
                cmocka_unit_test(test_same_payload_of_two_builds),
                cmocka_unit_test(test_reason_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
