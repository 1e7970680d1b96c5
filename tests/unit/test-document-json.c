/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON text of a document, as files and webhooks get it. */
#include <locale.h>
#include <math.h>

#include "document-fixture.h"
#include "lib/json.h"
#include "sinks/document.h"

#define BEFORE "{\"_id\":\"" SUBSCRIPTION ":17\""
#define AFTER                                                                                                          \
        "\"pubsub\":{\"message_id\":\"17\",\"publish_time\":\"2026-11-24T06:27:38.123Z\",\"subscription\":"            \
        "\"" SUBSCRIPTION "\",\"attributes\":{},\"sha256\":\""

static char *json_of(const WireMessage *message, char detail[static DOCUMENT_DETAIL_SIZE], int *ret_r) {
        bson_t document = BSON_INITIALIZER;
        DocumentRules plain = rules;
        Bytes text = {};

        plain.date_fields = NULL;
        *ret_r = document_json(
                &(DocumentInput){ .message = message, .rules = &plain, .at = STORED_AT }, &document, &text, detail);
        bson_destroy(&document);
        return bytes_steal(&text).data;
}

/* What stands between `_id` and `pubsub`. */
static void assert_fields(const char *data, const char *expected) {
        const WireMessage message = message_of(data, strlen(data));
        char detail[DOCUMENT_DETAIL_SIZE] = "", *text, *end;
        int r;

        text = json_of(&message, detail, &r);
        if (r != DOCUMENT_OK)
                fail_msg("%s: %s", data, detail);
        assert_int_equal(strncmp(text, BEFORE ",", strlen(BEFORE ",")), 0);
        end = strstr(text, AFTER);
        assert_non_null(end);
        assert_string_equal(end + strlen(AFTER) + 64, "\"},\"stored_at\":\"2026-11-24T06:37:38.123Z\"}");
        *end = '\0';
        assert_string_equal(text + strlen(BEFORE ","), expected);
        free(text);
}

static void test_fields(void **state) {
        assert_fields("{\"a\":1,\"b\":[true,false,null,[],{}],\"c\":{\"d\":\"x\"}}",
                "\"a\":1,\"b\":[true,false,null,[],{}],\"c\":{\"d\":\"x\"},");
        assert_fields(
                "{\"created_at\":\"2026-11-24T15:27:38+09:00\"}", "\"created_at\":\"2026-11-24T15:27:38+09:00\",");
        assert_fields("{\"_id\":1,\"a.b\":2,\"$c\":3,\"\":4}", "\"_id_\":1,\"a_b\":2,\"_c\":3,\"_\":4,");
        assert_fields("{\"n\":\"\\u5bdd\\u5ba4 \\\"x\\\" \\n\"}", "\"n\":\"\xe5\xaf\x9d\xe5\xae\xa4 \\\"x\\\" \\n\",");
}

static void test_numbers(void **state) {
        assert_fields("{\"a\":23.1,\"b\":-0.05,\"c\":1e3,\"d\":0.1,\"e\":-7,\"f\":-0}",
                "\"a\":23.1,\"b\":-0.05,\"c\":1000,\"d\":0.1,\"e\":-7,\"f\":-0,");
        assert_fields("{\"a\":9007199254740993,\"b\":-9223372036854775808}",
                "\"a\":9007199254740993,\"b\":-9223372036854775808,");
        assert_fields("{\"a\":1e300,\"b\":5e-324,\"c\":0.1234567890123}",
                "\"a\":1e+300,\"b\":4.94065645841247e-324,\"c\":0.1234567890123,");
        assert_fields("{\"a\":35.68123456789}", "\"a\":35.68123456789,");
}

/* Every double is read back as itself. */
static void test_round_trip(void **state) {
        const WireMessage base = message_of("", 0);
        char data[64], detail[DOCUMENT_DETAIL_SIZE], *text;
        static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e5, 1e7, 1e11 };
        uint64_t seed = 88172645463325252u;
        int r;

        for (size_t i = 0; i < 20000; i++) {
                WireMessage message = base;
                double value, back;

                seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                if (i % 2 == 0)
                        value = (double) (seed >> 40) / powers[seed % ELEMENTSOF(powers)];
                else
                        memcpy(&value, &seed, sizeof(value));
                if (!isfinite(value))
                        continue;
                (void) snprintf(data, sizeof(data), "{\"v\":%.17g}", value);
                message.data = slice(data);
                text = json_of(&message, detail, &r);
                assert_int_equal(r, DOCUMENT_OK);
                back = strtod(text + strlen(BEFORE ",\"v\":"), NULL);
                if (memcmp(&back, &value, sizeof(value)) != 0)
                        fail_msg("%s became %s", data, text);
                free(text);
        }
}

/* What cannot be a document leaves no trace of itself. */
static void test_rejected(void **state) {
        bson_t document = BSON_INITIALIZER;
        const WireMessage good = message_of("{}", 2), bad = message_of("{\"a\":1,\"a\":2}", 13);
        char detail[DOCUMENT_DETAIL_SIZE] = "";
        Bytes text = {};

        assert_int_equal(bytes_append_text(&text, "before"), 0);
        assert_int_equal(document_json(&(DocumentInput){ &bad, &rules, STORED_AT, false }, &document, &text, detail),
                DOCUMENT_DUPLICATE_KEY);
        assert_string_equal(text.data, "before");
        assert_true(strlen(detail) > 0);
        assert_int_equal(document_json(&(DocumentInput){ &good, &rules, STORED_AT, false }, &document, &text, detail),
                DOCUMENT_OK);
        assert_int_equal(strlen(document_text(&document, "pubsub.sha256").data), 64);
        bytes_done(&text);
        bson_destroy(&document);
}

/* A time that no RFC 3339 reader would expect stays what it is, one before 1970 keeps its sign. */
static void test_times(void **state) {
        WireMessage message = message_of("{}", 2);
        char detail[DOCUMENT_DETAIL_SIZE] = "", *text;
        int r;

        message.publish_time = slice("1969-12-31T23:59:59.250Z");
        text = json_of(&message, detail, &r);
        assert_non_null(strstr(text, "\"publish_time\":\"1969-12-31T23:59:59.250Z\""));
        free(text);
        message.publish_time = slice("yesterday");
        text = json_of(&message, detail, &r);
        assert_non_null(strstr(text, "\"publish_time\":\"yesterday\""));
        free(text);
}

/* A document of somebody else in the collection: what no message becomes is null, at any depth. */
static void test_foreign(void **state) {
        bson_t *document = BCON_NEW("n", BCON_DOUBLE(NAN), "i", BCON_INT32(-7), "o", BCON_UNDEFINED, "t",
                BCON_DATE_TIME(INT64_MIN), "d", "{", "x", BCON_BOOL(false), "}");
        Bytes text = {};

        assert_int_equal(document_put_json(document, &text), 0);
        assert_non_null(strstr(text.data, "{\"n\":null,\"i\":-7,\"o\":null,\"t\":\"-"));
        assert_non_null(strstr(text.data, "\"d\":{\"x\":false}}"));
        for (unsigned i = 0; i < 2000; i++) {
                bson_t *above = BCON_NEW("a", BCON_DOCUMENT(document));

                bson_destroy(document);
                document = above;
        }
        bytes_cut(&text, 0);
        assert_int_equal(document_put_json(document, &text), 0);
        assert_true(json_is_whole((Slice){ text.data, text.size }, DOCUMENT_DEPTH_MAX, NULL));
        bson_destroy(document);
        bytes_done(&text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_rejected),
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_foreign),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
