/* SPDX-License-Identifier: Apache-2.0 */
/* What is stored beside a payload, what is set apart, and when two documents are the same. */
#include "document-fixture.h"

/* P4: the name of a document depends on nothing but the message. */
static void test_id(void **state) {
        char long_text[DOCUMENT_ID_MAX + 2];
        WireAttribute attributes[] = { { slice("device"), slice("d") },
                { slice("idempotency_key"), slice("home:d:1") } };
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
                char detail[DOCUMENT_DETAIL_SIZE];
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
        assert_int_equal(document_id(&(DocumentInput){ &message, &rules, 0, false }, &scratch, &id), DOCUMENT_ID_GIVEN);
        assert_int_equal(id.size, DOCUMENT_ID_MAX);
        assert_int_equal(document_id(&(DocumentInput){ &message, &rules, 0, true }, &scratch, &id), DOCUMENT_ID_GIVEN);
        assert_int_equal(id.size, DOCUMENT_ID_MAX);
        message.n_attributes = 0; /* A6: ids that come again */
        assert_int_equal(
                document_id(&(DocumentInput){ &message, &rules, 0, true }, &scratch, &id), DOCUMENT_ID_FALLBACK);
        assert_true(slice_equal(id, SUBSCRIPTION ":17@2026-11-24T06:27:38.123456Z"));
        bytes_done(&scratch);
}

static void test_metadata(void **state) {
        const WireAttribute attributes[] = { { slice("type"), slice("nature_remo") }, { slice("$a.b"), slice("") },
                { slice("_id"), slice("x") } };
        WireMessage message = message_of("{\"z\":1,\"a\":2}", 13);
        static const char *const order[] = { "_id", "z", "a", "pubsub", "stored_at" };
        bson_t document;
        bson_iter_t iter;
        char detail[DOCUMENT_DETAIL_SIZE];

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

/* B4: neither of two attributes vanishes because its name has to be changed, and in whatever order they come. */
static void test_attribute_names(void **state) {
        const WireAttribute attributes[] = { { slice("a.b"), slice("dot") }, { slice("a_b"), slice("plain") },
                { slice("a__b"), slice("two") }, { { "a\0b", 3 }, slice("nul") }, { slice("$"), slice("dollar") },
                { slice(""), slice("empty") }, { slice("."), slice("point") } };
        const WireAttribute backwards[] = { attributes[1], attributes[0] };
        WireMessage message = message_of("{}", 2);
        char detail[DOCUMENT_DETAIL_SIZE];
        bson_t document;

        message.attributes = attributes;
        message.n_attributes = ELEMENTSOF(attributes);
        assert_int_equal(build(&message, &document, detail), DOCUMENT_OK);
        assert_string(&document, "pubsub.attributes.a_b", "plain");
        assert_string(&document, "pubsub.attributes.a__b", "two");
        assert_string(&document, "pubsub.attributes.a___b", "dot");
        assert_string(&document, "pubsub.attributes.a____b", "nul");
        assert_string(&document, "pubsub.attributes._", "dollar");
        assert_string(&document, "pubsub.attributes.__", "empty");
        assert_string(&document, "pubsub.attributes.___", "point");
        bson_destroy(&document);

        message.attributes = backwards;
        message.n_attributes = ELEMENTSOF(backwards);
        assert_int_equal(build(&message, &document, detail), DOCUMENT_OK);
        assert_string(&document, "pubsub.attributes.a_b", "plain");
        assert_string(&document, "pubsub.attributes.a__b", "dot");
        bson_destroy(&document);
}

static void assert_hash(const WireMessage *message, const char *expected) {
        char detail[DOCUMENT_DETAIL_SIZE];
        bson_t document;

        assert_int_equal(build(message, &document, detail), DOCUMENT_OK);
        assert_string(&document, "pubsub.sha256", expected);
        bson_destroy(&document);
}

/* A3: the hash is that of the data, or of the sorted attributes where there is none. Expected: sha256sum(1). */
static void test_hash(void **state) {
        const WireAttribute attributes[] = { { slice("b"), slice("2\"") }, { slice("a"), slice("1") } };
        static const char zipped[] =
                "\x1f\x8b\x08\x00\x07\x00\x00\x00\x02\xff\xab\x56\x2a\x49\x55\xb2\x32\x32\xd4\x33\xad\x05\x00\x31"
                "\x57\x8b\x18\x0b\x00\x00\x00";
        static const char plain_hash[] = "c78b52650b065ad62cb17fe1504ceb0cc5339d67ed2c4d5de3263fe8a38c8c6a";
        WireMessage message = message_of("{\"te\":21.5}", 11);

        assert_hash(&message, plain_hash);
        message.attributes = attributes;
        message.n_attributes = 2;
        message.ordering_key = slice("o");
        assert_hash(&message, plain_hash);
        message.data = (Slice){ zipped, sizeof(zipped) - 1 };
        assert_hash(&message, plain_hash);
        message.data = slice("");
        assert_hash(
                &message, "115f8c5408b8754a7c27578ffe507147b1c9a0cd4fc866f2ab803bacca1416c9"); /* {"a":"1","b":"2\""} */
        message.n_attributes = 0;
        assert_hash(&message, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"); /* {} */
}

static void test_ordering_key(void **state) {
        WireMessage message = message_of("{}", 2);
        char detail[DOCUMENT_DETAIL_SIZE];
        bson_iter_t iter, found;
        bson_t document;

        message.ordering_key = slice("room 1");
        assert_int_equal(build(&message, &document, detail), DOCUMENT_OK);
        assert_string(&document, "pubsub.ordering_key", "room 1");
        bson_destroy(&document);
        message.ordering_key = (Slice){};
        assert_int_equal(build(&message, &document, detail), DOCUMENT_OK);
        assert_true(bson_iter_init(&iter, &document));
        assert_false(bson_iter_find_descendant(&iter, "pubsub.ordering_key", &found));
        bson_destroy(&document);
}

static void test_attribute_rejections(void **state) {
        const WireAttribute twice[] = { { slice("a"), slice("1") }, { slice("a"), slice("2") } };
        const WireAttribute bad[] = { { slice("a"), slice("\xff") } };
        WireMessage message = message_of("{}", 2);
        bson_t document;
        char detail[DOCUMENT_DETAIL_SIZE];

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

/* The message is read twice at times (a duplicate, a retry, a rejection): building leaves it as it is, and the same
 * bytes give the same document. */
static void test_repeatable(void **state) {
        const char *data = "{\"a\\u0041\":\"\\u00e9\\\\x\",\"$b\":[1,2.5]}";
        WireMessage message = message_of(data, strlen(data));
        bson_t first, second;
        char detail[DOCUMENT_DETAIL_SIZE];

        assert_int_equal(build(&message, &first, detail), DOCUMENT_OK);
        bson_init(&second);
        for (int i = 0; i < 3; i++) {
                bson_reinit(&second);
                assert_int_equal(
                        document_build(&(DocumentInput){ &message, &rules, STORED_AT, false }, &second, detail),
                        DOCUMENT_OK);
                assert_true(bson_equal(&first, &second));
        }
        bson_destroy(&first);
        bson_destroy(&second);
}

/* What a publisher wrote is shown, but never half of a character or a control. */
static void test_detail_is_cut(void **state) {
        char data[256], detail[DOCUMENT_DETAIL_SIZE], name[100] = "";
        bson_t document;

        for (size_t i = 0; i < 33; i++) {
                WireMessage message;

                (void) strcat(name, i == 0 ? "\\u0007" : i == 1 ? "x" : "\xc3\xa9");
                (void) snprintf(data, sizeof(data), "{\"%s\":1,\"%s\":2}", name, name);
                message = message_of(data, strlen(data));
                assert_int_equal(build(&message, &document, detail), DOCUMENT_DUPLICATE_KEY);
                assert_true(strlen(detail) > 0);
                assert_true(bytes_is_utf8(detail, strlen(detail)));
                assert_null(strchr(detail, '\a'));
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
        assert_int_equal(document_build_rejected(&(DocumentInput){ &message, &rules, STORED_AT, false },
                                 document_reason(DOCUMENT_NOT_UTF8), "the data is not UTF-8", &document),
                0);
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
        assert_int_equal(document_build_rejected(&(DocumentInput){ &message, &rules, STORED_AT, false },
                                 document_reason(DOCUMENT_DUPLICATE_KEY), "", &document),
                0);
        assert_string(&document, "pubsub.attributes.0.name", "a.b");
        assert_string(&document, "pubsub.attributes.0.value", "1");
        assert_string(&document, "pubsub.attributes.1.name", "a.b");
        assert_true(bson_iter_init(&iter, &document) &&
                    bson_iter_find_descendant(&iter, "pubsub.attributes.1.value", &found));
        assert_true(BSON_ITER_HOLDS_BINARY(&found));
        bson_destroy(&document);
}

/* One name that could not be a field as it is, or one value that is no text, makes all of them a list. */
static void test_rejected_attribute_alone(void **state) {
        const WireAttribute odd[] = { { slice("a.b"), slice("1") }, { slice("$a"), slice("1") },
                { slice(""), slice("1") }, { { "a\0b", 3 }, slice("1") }, { slice("\xff"), slice("1") },
                { slice("a"), slice("\xff") } };

        for (size_t i = 0; i < ELEMENTSOF(odd); i++) {
                const WireAttribute attributes[] = { { slice("plain"), slice("0") }, odd[i] };
                WireMessage message = message_of("", 0);
                bson_iter_t iter, found;
                bson_t document;

                message.attributes = attributes;
                message.n_attributes = 2;
                bson_init(&document);
                assert_int_equal(document_build_rejected(&(DocumentInput){ &message, &rules, STORED_AT, false },
                                         document_reason(DOCUMENT_REFUSED), "", &document),
                        0);
                assert_string(&document, "pubsub.attributes.0.name", "plain");
                assert_true(bson_iter_init(&iter, &document) &&
                            bson_iter_find_descendant(&iter, "pubsub.attributes.1.name", &found));
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
                { "{ \"_id\": 1, \"a\": 1, \"stored_at\": 5 }",
                        "{ \"_id\": 1, \"pubsub\": {\"x\": 1}, \"a\": 1, \"stored_at\": 6 }", true },
                { "{ \"_id\": 1, \"a\": 1 }", "{ \"_id\": 2, \"a\": 1 }", false },
                { "{ \"_id\": 1, \"a\": 1 }", "{ \"_id\": 1, \"a\": 2 }", false },
                { "{ \"_id\": 1, \"a\": 1 }", "{ \"_id\": 1, \"a\": 1.0 }", false },
                { "{ \"_id\": 1, \"a\": 1 }", "{ \"_id\": 1 }", false },
                { "{ \"_id\": 1 }", "{ \"_id\": 1, \"a\": 1 }", false },
                { "{ \"_id\": 1, \"a\": 1, \"b\": 2 }", "{ \"_id\": 1, \"b\": 2, \"a\": 1 }", false },
                { "{ \"_id\": 1, \"a\": {\"stored_at\": 1} }", "{ \"_id\": 1, \"a\": {\"stored_at\": 2} }", false },
                { "{ \"_id\": 1, \"a\": \"x\" }", "{ \"_id\": 1, \"a\": \"xy\" }", false },
                { "{ }", "{ \"pubsub\": 1 }", true },
                /* A3: the hash decides alone: a user may change fields, a server -0.0 into 0.0 */
                { "{ \"a\": 1, \"pubsub\": { \"sha256\": \"x\" } }", "{ \"a\": 2, \"pubsub\": { \"sha256\": \"x\" } }",
                        true },
                { "{ \"a\": 1, \"pubsub\": { \"sha256\": \"x\" } }", "{ \"a\": 1, \"pubsub\": { \"sha256\": \"y\" } }",
                        false }, /* written otherwise */
                { "{ \"a\": 1, \"pubsub\": { \"sha256\": \"x\" } }", "{ \"a\": 2, \"pubsub\": { \"sha256\": \"y\" } }",
                        false },
                { "{ \"a\": 1, \"pubsub\": { } }", "{ \"a\": 1, \"pubsub\": { \"sha256\": \"y\" } }", true },
                { "{ \"a\": 1, \"pubsub\": { } }", "{ \"a\": 2, \"pubsub\": { \"sha256\": \"y\" } }", false },
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
        char detail[DOCUMENT_DETAIL_SIZE];

        assert_int_equal(build(&message, &first, detail), DOCUMENT_OK);
        again.publish_time = slice("2026-11-24T07:00:00Z");
        bson_init(&second);
        assert_int_equal(
                document_build(&(DocumentInput){ &again, &rules, STORED_AT + USEC_PER_HOUR, false }, &second, detail),
                DOCUMENT_OK);
        assert_false(bson_equal(&first, &second));
        assert_true(document_same_payload(&first, &second));
        assert_false(document_same_time(&first, &second));
        assert_true(document_same_time(&first, &first));
        bson_destroy(&first);
        bson_destroy(&second);
}

static void test_reason_words(void **state) {
        static const char *const words[] = { "ok", "not_base64", "not_utf8", "not_json", "not_object", "too_deep",
                "too_large", "duplicate_key", "number_range", "refused", "id_conflict" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                assert_string_equal(document_reason((DocumentReason) i), words[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_id),
                cmocka_unit_test(test_metadata),
                cmocka_unit_test(test_attribute_names),
                cmocka_unit_test(test_hash),
                cmocka_unit_test(test_ordering_key),
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
