/* SPDX-License-Identifier: Apache-2.0 */
/* Pub/Sub's bodies. P3 (what was not understood is never in a position to be acknowledged), P6 (one bad element does
 * not spoil the others).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "pubsub/wire.h"

static Slice slice(const char *text) {
        return (Slice){ text, strlen(text) };
}

#define assert_slice(actual, text)                                                                                     \
        do {                                                                                                           \
                Slice a_ = (actual);                                                                                   \
                assert_int_equal(a_.size, strlen(text));                                                               \
                if (a_.size > 0)                                                                                       \
                        assert_memory_equal(a_.data, text, a_.size);                                                   \
        } while (0)

typedef struct Pulled {
        char *text;
        WirePull pull;
        int r;
} Pulled;

static Pulled pull(const char *text) {
        Pulled p = {};
        size_t size = strlen(text);

        p.text = malloc(size + 1); /* of the exact size: a sanitizer sees every step beyond */
        assert_non_null(p.text);
        memcpy(p.text, text, size + 1);
        p.r = wire_get_pull(p.text, size, &p.pull);
        return p;
}

static void pulled_done(Pulled *p) {
        if (p->r == 0)
                wire_pull_done(&p->pull);
        free(p->text);
}

#define MESSAGE(data, id) "{\"ackId\":\"a" id "\",\"message\":{\"data\":" data ",\"messageId\":\"" id "\"}}"

static void test_publish_body(void **state) {
        static const char expected[] =
                "{\"messages\":[{\"data\":\"eyJhIjoxfQ==\",\"attributes\":{\"k\\\"1\":\"v\\n\",\"b\":\"\"}},{\"data\":\"eA==\"}]}";
        const WireAttribute attributes[] = { { slice("k\"1"), slice("v\n") }, { slice("b"), slice("") } };
        const WireOutgoing first = { .data = slice("{\"a\":1}"), .attributes = attributes, .n_attributes = 2 },
                           second = { .data = slice("x") };
        _cleanup_bytes_ Bytes body = {};

        assert_int_equal(wire_add_message(&body, &first, strlen(expected)), WIRE_ADDED);
        assert_int_equal(wire_add_message(&body, &first, strlen(expected)), WIRE_FULL);
        assert_int_equal(wire_add_message(&body, &second, strlen(expected) - 1), WIRE_FULL);
        assert_int_equal(wire_add_message(&body, &second, strlen(expected)), WIRE_ADDED);
        assert_int_equal(wire_end_publish(&body), 0);
        assert_string_equal(body.data, expected);
}

/* What does not fit into a request of its own leaves it empty. */
static void test_publish_too_large(void **state) {
        const WireOutgoing message = { .data = slice("xxxx") };
        _cleanup_bytes_ Bytes body = {};

        assert_int_equal(wire_add_message(&body, &message, 20), WIRE_FULL);
        assert_int_equal(body.size, 0);
}

static int publish_ids(const char *text, size_t *n) {
        *n = 99;
        return wire_get_publish(text, strlen(text), n);
}

/* P2: an id that is none must not stand for a reading. */
static void test_publish_reply(void **state) {
        size_t n;

        assert_int_equal(publish_ids("{\n \"messageIds\": [\"1\", \"22\" ]\n}\n", &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(publish_ids("{}", &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(publish_ids("{\"x\":[1,{\"y\":2}],\"messageIds\":null}", &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(publish_ids("{\"messageIds\":[\"1\",\"\",\"3\"]}", &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(publish_ids("{\"messageIds\":[7,\"3\"]}", &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(publish_ids("{\"messageIds\":[\"1\",[\"2\"],\"3\"]}", &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(publish_ids("{\"messageIds\":\"1\"}", &n), -EBADMSG);
        assert_int_equal(publish_ids("{\"messageIds\":[\"1\"]", &n), -EBADMSG);
        assert_int_equal(publish_ids("[\"1\"]", &n), -EBADMSG);
        assert_int_equal(publish_ids("<html>", &n), -EBADMSG);
        assert_int_equal(publish_ids("{\"messageIds\":[\"1\"]}x", &n), -EBADMSG);
        assert_int_equal(publish_ids("", &n), -EBADMSG);
}

static void test_pull_request(void **state) {
        _cleanup_bytes_ Bytes a = {}, b = {};

        assert_int_equal(wire_put_pull(&a, 1000, false), 0);
        assert_string_equal(a.data, "{\"maxMessages\":1000}");
        assert_int_equal(wire_put_pull(&b, 1, true), 0);
        assert_string_equal(b.data, "{\"maxMessages\":1,\"returnImmediately\":true}");
}

static void test_pull_empty(void **state) {
        const char *const texts[] = { "{}", "{\n}\n", "{\"receivedMessages\":[]}", "{\"receivedMessages\":null}",
                "{\"other\":[{\"ackId\":\"a\"}]}" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Pulled p = pull(texts[i]);

                assert_int_equal(p.r, 0);
                assert_int_equal(p.pull.n, 0);
                assert_int_equal(p.pull.skipped, 0);
                pulled_done(&p);
        }
}

static void test_pull_full_message(void **state) {
        Pulled p = pull(
                "{ \"receivedMessages\": [ { \"ackId\": \"projects\\/p\\/s:1\", \"new\": {\"a\": [1]}, \"message\": {\n"
                "  \"data\": \"eyJ\\u0068IjoxfQ==\", \"attributes\": { \"k\": \"v\\u00e9\", \"source\": \"home\" }, \"messageId\": "
                "\"12345678901234567890\",\n"
                "  \"publishTime\": \"2026-01-02T03:04:05.678Z\", \"orderingKey\": \"o\", \"unknown\": null }, "
                "\"deliveryAttempt\": \"7\" },\n"
                " " MESSAGE("\"eA\"", "2") "] }");
        const WireMessage *m;

        assert_int_equal(p.r, 0);
        assert_int_equal(p.pull.n, 2);
        assert_int_equal(p.pull.skipped, 0);
        m = &p.pull.messages[0];
        assert_slice(m->ack_id, "projects/p/s:1");
        assert_slice(m->data, "{\"a\":1}");
        assert_false(m->data_bad);
        assert_slice(m->message_id, "12345678901234567890");
        assert_slice(m->publish_time, "2026-01-02T03:04:05.678Z");
        assert_slice(m->ordering_key, "o");
        assert_int_equal(m->delivery_attempt, 7);
        assert_int_equal(m->n_attributes, 2);
        assert_slice(m->attributes[0].key, "k");
        assert_slice(m->attributes[0].value, "v\xc3\xa9");
        assert_slice(m->attributes[1].key, "source");
        assert_slice(m->attributes[1].value, "home");
        assert_slice(p.pull.messages[1].data, "x");
        assert_int_equal(p.pull.messages[1].n_attributes, 0);
        pulled_done(&p);
}

static void test_pull_without_data(void **state) {
        Pulled p = pull(
                "{\"receivedMessages\":[{\"ackId\":\"a\",\"message\":{\"attributes\":{\"k\":\"v\"},\"messageId\":\"1\"}}," MESSAGE(
                        "null", "2") "]}");

        assert_int_equal(p.pull.n, 2);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(p.pull.messages[i].data.size, 0);
                assert_false(p.pull.messages[i].data_bad);
        }
        pulled_done(&p);
}

/* Text that is no base64 is kept byte for byte, so that it can be set apart. */
static void test_pull_bad_base64(void **state) {
        const char *const texts[] = { "eA===", "e", "eyJhIjoxfQ=", "eyJ hIjox", "eyJhIjoxfQ==eA", "*",
                "eyJhIjoxfR==", "eyJhIjoxeyJhIjox!yJh" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                char text[200];
                Pulled p;

                (void) snprintf(text, sizeof text,
                        "{\"receivedMessages\":[{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"data\":\"%s\"}}]}",
                        texts[i]);
                p = pull(text);
                assert_int_equal(p.pull.n, 1);
                assert_true(p.pull.messages[0].data_bad);
                assert_slice(p.pull.messages[0].data, texts[i]);
                pulled_done(&p);
        }
}

/* P3, P6: an element that is not understood is left out and counted; its neighbours stand. */
static void test_pull_odd_elements(void **state) {
        const char *const odd[] = {
                "null",
                "1",
                "\"a\"",
                "[]",
                "{}",
                "{\"ackId\":\"a\"}",
                "{\"ackId\":\"a\",\"message\":null}",
                "{\"ackId\":\"a\",\"message\":[1]}",
                "{\"ackId\":\"\",\"message\":{\"messageId\":\"1\"}}",
                "{\"ackId\":7,\"message\":{\"messageId\":\"1\"}}",
                "{\"ackId\":\"\\ud800\",\"message\":{\"messageId\":\"1\"}}",
                "{\"message\":{\"messageId\":\"1\"}}",
                "{\"ackId\":\"a\",\"message\":{\"data\":\"eA==\"}}",
                "{\"ackId\":\"a\",\"message\":{\"data\":\"eA==\",\"messageId\":5}}",
                "{\"ackId\":\"a\",\"message\":{\"data\":{\"x\":1},\"messageId\":\"1\"}}",
                "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"attributes\":[]}}",
                "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"attributes\":{\"good\":\"x\",\"bad\":1}}}",
                "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"attributes\":{\"good\":\"x\",\"bad\":{\"y\":\"z\"}}}}",
                "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"attributes\":{\"\\udc00\":\"x\"}}}",
        };

        for (size_t i = 0; i < ELEMENTSOF(odd); i++) {
                char text[500];
                Pulled p;

                (void) snprintf(text, sizeof text,
                        "{\"receivedMessages\":[{\"ackId\":\"b\",\"message\":{\"messageId\":\"3\",\"attributes\":{\"p\":\"q\"}}},%s,"
                        "{\"ackId\":\"c\",\"message\":{\"data\":\"eA==\",\"messageId\":\"4\",\"attributes\":{\"r\":\"s\"}}}]}",
                        odd[i]);
                p = pull(text);
                assert_int_equal(p.r, 0);
                assert_int_equal(p.pull.n, 2);
                assert_int_equal(p.pull.skipped, 1);
                assert_slice(p.pull.messages[0].ack_id, "b");
                assert_slice(p.pull.messages[0].attributes[0].key, "p");
                assert_slice(p.pull.messages[1].ack_id, "c");
                assert_slice(p.pull.messages[1].data, "x");
                assert_int_equal(p.pull.messages[1].n_attributes, 1);
                assert_slice(p.pull.messages[1].attributes[0].value, "s");
                pulled_done(&p);
        }
}

/* P6: a text that is not UTF-8 is the fault of its own message alone, and that one can still be set apart. */
static void test_pull_not_utf8(void **state) {
        Pulled p = pull(
                "{\"receivedMessages\":["
                "{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"data\":\"eA==\",\"attributes\":{\"k\":\"caf\xe9 \\u00e9\",\"\xff\":\"v\"}}},"
                "{\"ackId\":\"b\",\"message\":{\"messageId\":\"2\",\"data\":\"\xe9\"}},"
                "{\"ackId\":\"c\",\"message\":{\"messageId\":\"3\",\"orderingKey\":\"\xe9\",\"x\xe9\":\"\xe9\"}},"
                "{\"ackId\":\"\xe9\",\"message\":{\"messageId\":\"4\"}},"
                "{\"ackId\":\"e\",\"message\":{\"messageId\":\"5\",\"attributes\":{\"r\":\"\xc3\xa9\"}}}]}");

        assert_int_equal(p.r, 0);
        assert_int_equal(p.pull.n, 4);
        assert_int_equal(p.pull.skipped, 1); /* without an ack id nothing can be done about it */
        assert_slice(p.pull.messages[0].data, "x");
        assert_slice(p.pull.messages[0].attributes[0].value, "caf\xe9 \xc3\xa9");
        assert_slice(p.pull.messages[0].attributes[1].key, "\xff");
        assert_true(p.pull.messages[1].data_bad);
        assert_slice(p.pull.messages[1].data, "\xe9");
        assert_int_equal(p.pull.messages[2].ordering_key.size, 0);
        assert_slice(p.pull.messages[3].attributes[0].value, "\xc3\xa9");
        pulled_done(&p);
}

/* Fields that nothing hangs on may be odd without harm. */
static void test_pull_tolerates(void **state) {
        Pulled p = pull(
                "{\"receivedMessages\":[{\"deliveryAttempt\":1.5,\"ackId\":\"a\",\"message\":{\"publishTime\":5,\"orderingKey\":[],"
                "\"messageId\":\"1\","
                "\"attributes\":null}},{\"deliveryAttempt\":{},\"ackId\":\"b\",\"message\":{\"messageId\":\"2\",\"data\":\"\"}}]}");

        assert_int_equal(p.pull.n, 2);
        assert_int_equal(p.pull.messages[0].publish_time.size, 0);
        assert_int_equal(p.pull.messages[0].delivery_attempt, 0);
        assert_int_equal(p.pull.messages[1].delivery_attempt, 0);
        pulled_done(&p);
}

static void test_pull_last_key_counts(void **state) {
        Pulled p = pull(
                "{\"receivedMessages\":[{\"ackId\":\"a\",\"message\":{\"messageId\":\"1\",\"data\":5,\"attributes\":{\"x\":\"y\"}},"
                "\"ackId\":\"b\","
                "\"message\":{\"messageId\":\"2\",\"attributes\":{\"k\":\"v\",\"l\":\"w\"},\"attributes\":{\"m\":\"n\"}}}]}");

        assert_int_equal(p.pull.n, 1);
        assert_slice(p.pull.messages[0].ack_id, "b");
        assert_slice(p.pull.messages[0].message_id, "2");
        assert_int_equal(p.pull.messages[0].n_attributes, 1);
        assert_slice(p.pull.messages[0].attributes[0].key, "m");
        pulled_done(&p);
}

/* P3: half a reply, or what is none, gives nothing at all. */
static void test_pull_malformed(void **state) {
        const char whole[] = "{\"receivedMessages\":[" MESSAGE("\"eA==\"", "1") "," MESSAGE("\"eA==\"", "2") "]}";
        const char *const texts[] = { "", "[]", "null", "<html></html>", "{\"receivedMessages\":{}}",
                "{\"receivedMessages\":\"x\"}", "{} {}" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Pulled p = pull(texts[i]);

                assert_int_equal(p.r, -EBADMSG);
                pulled_done(&p);
        }
        for (size_t n = 0; n < strlen(whole); n++) {
                char *cut = strndup(whole, n);
                Pulled p = pull(cut);

                assert_int_equal(p.r, -EBADMSG);
                pulled_done(&p);
                free(cut);
        }
}

static void test_pull_many(void **state) {
        _cleanup_bytes_ Bytes body = {};
        WirePull many;

        assert_int_equal(bytes_append_text(&body, "{\"receivedMessages\":["), 0);
        for (int i = 0; i < WIRE_PULL_MESSAGES_MAX + 5; i++)
                assert_int_equal(
                        bytes_append_format(&body,
                                "%s{\"ackId\":\"a%d\",\"message\":{\"data\":\"eA==\",\"messageId\":\"%d\",\"attributes\":{\"i\":"
                                "\"%d\",\"j\":\"\"}}}",
                                i > 0 ? "," : "", i, i, i),
                        0);
        assert_int_equal(bytes_append_text(&body, "]}"), 0);
        assert_int_equal(wire_get_pull(body.data, body.size, &many), 0);
        assert_int_equal(many.n, WIRE_PULL_MESSAGES_MAX);
        assert_int_equal(many.skipped, 5);
        for (size_t i = 0; i < many.n; i++) {
                char text[32];

                (void) snprintf(text, sizeof text, "%zu", i);
                assert_slice(many.messages[i].message_id, text);
                assert_slice(many.messages[i].attributes[0].value, text);
        }
        wire_pull_done(&many);
}

static void test_ack_body(void **state) {
        Slice ids[] = { slice("a"), slice("b\"") };
        _cleanup_bytes_ Bytes ack = {}, lease = {};
        size_t taken = 0;

        assert_int_equal(wire_put_ack(&ack, ids, 2, -1, &taken), 0);
        assert_string_equal(ack.data, "{\"ackIds\":[\"a\",\"b\\\"\"]}");
        assert_int_equal(taken, 2);
        assert_int_equal(wire_put_ack(&lease, ids, 1, 0, &taken), 0);
        assert_string_equal(lease.data, "{\"ackDeadlineSeconds\":0,\"ackIds\":[\"a\"]}");
        assert_int_equal(taken, 1);
}

static void test_ack_body_is_bounded(void **state) {
        Slice ids[2000];
        char id[1000];
        _cleanup_bytes_ Bytes many = {}, large = {};
        size_t taken = 0;

        memset(id, 'x', sizeof id);
        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                ids[i] = (Slice){ id, 100 };
        assert_int_equal(wire_put_ack(&many, ids, ELEMENTSOF(ids), -1, &taken), 0);
        assert_int_equal(taken, WIRE_ACK_IDS_MAX);
        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                ids[i] = (Slice){ id, sizeof id };
        assert_int_equal(wire_put_ack(&large, ids, ELEMENTSOF(ids), 60, &taken), 0);
        assert_in_range(taken, 490, 499);
        assert_in_range(large.size, WIRE_ACK_BODY_MAX - 2000, WIRE_ACK_BODY_MAX);
        assert_memory_equal(large.data + large.size - 4, "x\"]}", 4);
}

static WireError error(const char *text) {
        WireError e;

        wire_get_error(text, strlen(text), &e);
        return e;
}

static void test_error(void **state) {
        WireError e = error(
                "{\"error\":{\"code\":429,\"message\":\"Slow\\ndown\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[1,{\"@type\":"
                "\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"RATE_LIMIT_EXCEEDED\"},"
                "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"2.5s\"}]}}");

        assert_string_equal(e.status, "RESOURCE_EXHAUSTED");
        assert_string_equal(e.message, "Slow down");
        assert_string_equal(e.reason, "RATE_LIMIT_EXCEEDED");
        assert_int_equal(e.retry_delay, 2500 * USEC_PER_MSEC);

        e = error("{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT Signature.\"}");
        assert_string_equal(e.status, "invalid_grant");
        assert_string_equal(e.message, "Invalid JWT Signature");
}

static void test_error_of_no_body(void **state) {
        const char *const texts[] = { "", "<html>502</html>", "[]", "{\"error\":5}",
                "{\"error\":{\"status\":7,\"details\":{}}}", "{\"error\":{\"message\":" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                WireError e = error(texts[i]);

                assert_string_equal(e.status, "");
                assert_string_equal(e.message, "");
                assert_string_equal(e.reason, "");
                assert_int_equal(e.retry_delay, 0);
        }
}

/* A cut message stays UTF-8. */
static void test_error_is_cut(void **state) {
        _cleanup_bytes_ Bytes body = {};
        WireError e;

        assert_int_equal(bytes_append_text(&body, "{\"error\":{\"message\":\"x"), 0);
        for (int i = 0; i < 300; i++)
                assert_int_equal(bytes_append_text(&body, "\xc3\xa9"), 0);
        assert_int_equal(bytes_append_text(&body, "\"}}"), 0);
        wire_get_error(body.data, body.size, &e);
        assert_in_range(strlen(e.message), sizeof e.message - 3, sizeof e.message - 1);
        assert_true(bytes_is_utf8(e.message, strlen(e.message)));
}

static void test_duration(void **state) {
        usec_t t = 1;

        assert_true(wire_get_duration("604800s", &t));
        assert_int_equal(t, 604800 * USEC_PER_SEC);
        assert_true(wire_get_duration("0.000000001s", &t));
        assert_int_equal(t, 0);
        assert_true(wire_get_duration("600.500s", &t));
        assert_int_equal(t, 600500 * USEC_PER_MSEC);
        t = 5;
        assert_false(wire_get_duration("", &t));
        assert_false(wire_get_duration("s", &t));
        assert_false(wire_get_duration("5", &t));
        assert_false(wire_get_duration("-5s", &t));
        assert_false(wire_get_duration("5m", &t));
        assert_false(wire_get_duration("99999999999999999999s", &t));
        assert_int_equal(t, 5);
}

static void count_failure(void *userdata, const char *ack_id, WireAckOutcome outcome) {
        char *log = userdata;

        (void) snprintf(
                log + strlen(log), 100 - strlen(log), "%s=%s ", ack_id, outcome == WIRE_ACK_RETRY ? "retry" : "lost");
}

static void test_ack_failures(void **state) {
        const char text[] =
                "{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":\"type.googleapis.com/"
                "google.rpc.ErrorInfo\","
                "\"reason\":\"EXACTLY_ONCE_ACKID_FAILURE\",\"domain\":\"pubsub.googleapis.com\",\"metadata\":{\"id/1\":"
                "\"PERMANENT_FAILURE_INVALID_ACK_ID\",\"id2\":\"TRANSIENT_FAILURE_SERVICE_UNAVAILABLE\",\"id3\":\"SOMETHING\","
                "\"id4\":5}}]}}";
        const char other[] = "{\"error\":{\"code\":400,\"details\":[{\"@type\":\"type.googleapis.com/"
                             "google.rpc.ErrorInfo\",\"reason\":\"X\",\"metadata\":"
                             "{\"a\":\"PERMANENT_FAILURE_INVALID_ACK_ID\"}}]}}";
        char log[100] = "";

        assert_int_equal(wire_each_ack_failure(text, strlen(text), count_failure, log), 2);
        assert_string_equal(log, "id/1=lost id2=retry ");
        assert_int_equal(wire_each_ack_failure(other, strlen(other), count_failure, log), 0);
        assert_int_equal(wire_each_ack_failure("<", 1, count_failure, log), 0);
        assert_int_equal(wire_each_ack_failure("", 0, count_failure, log), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_publish_body),
                cmocka_unit_test(test_publish_too_large),
                cmocka_unit_test(test_publish_reply),
                cmocka_unit_test(test_pull_request),
                cmocka_unit_test(test_pull_empty),
                cmocka_unit_test(test_pull_full_message),
                cmocka_unit_test(test_pull_without_data),
                cmocka_unit_test(test_pull_bad_base64),
                cmocka_unit_test(test_pull_odd_elements),
                cmocka_unit_test(test_pull_not_utf8),
                cmocka_unit_test(test_pull_tolerates),
                cmocka_unit_test(test_pull_last_key_counts),
                cmocka_unit_test(test_pull_malformed),
                cmocka_unit_test(test_pull_many),
                cmocka_unit_test(test_ack_body),
                cmocka_unit_test(test_ack_body_is_bounded),
                cmocka_unit_test(test_error),
                cmocka_unit_test(test_error_of_no_body),
                cmocka_unit_test(test_error_is_cut),
                cmocka_unit_test(test_duration),
                cmocka_unit_test(test_ack_failures),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
