/* SPDX-License-Identifier: Apache-2.0 */
/* One run of acknowledge: P3 (only the given ids), P6 (one bad id does not hold back the good ones). */
#include "pubsub-fixture.h"

#include "subscribe/ack.h"

#define IDS_MAX 2500

typedef struct Run {
        Ack *ack;
        bool done;
        WireAckOutcome outcomes[IDS_MAX];
        AckResult result;
        ClientReply reply;
        char text[IDS_MAX][12];
        Slice ids[IDS_MAX];
} Run;

static Fixture fixture;
static Subscription *subscription;
static Run run;

static void on_done(void *userdata, const AckResult *result) {
        Run *r = userdata;

        assert_false(r->done);
        r->ack = NULL;
        r->done = true;
        r->result = *result;
        r->reply = *result->reply;
        memcpy(r->outcomes, result->outcomes, result->n * sizeof *result->outcomes);
}

static int set_up(void **state) {
        fixture_set_up(&fixture);
        subscription = fixture_subscription(&fixture);
        run = (Run){};
        for (size_t i = 0; i < IDS_MAX; i++) {
                (void) snprintf(run.text[i], sizeof run.text[i], "id%zu", i);
                run.ids[i] = (Slice){ run.text[i], strlen(run.text[i]) };
        }
        return 0;
}

static int tear_down(void **state) {
        run.ack = ack_cancel(run.ack);
        subscription_free(subscription);
        fixture_tear_down(&fixture);
        return 0;
}

static void start(size_t n, int deadline_sec) {
        assert_int_equal(ack_start(&(AckSpec){ subscription, run.ids, n, deadline_sec, on_done, &run }, &run.ack), 0);
}

static size_t count(WireAckOutcome outcome) {
        size_t n = 0;

        for (size_t i = 0; i < run.result.n; i++)
                n += run.outcomes[i] == outcome;
        return n;
}

static void test_one_request(void **state) {
        start(3, ACK_FOREVER);
        fixture_until(&fixture, run.done);
        assert_int_equal(run.reply.outcome, CLIENT_OK);
        assert_int_equal(count(WIRE_ACK_DONE), 3);
        assert_int_equal(fixture_asked(&fixture, "ack {\"ackIds\":[\"id0\",\"id1\",\"id2\"]}\n"), 1);
}

static void test_extend(void **state) {
        start(1, 60);
        fixture_until(&fixture, run.done);
        assert_int_equal(fixture_asked(&fixture, "lease {\"ackDeadlineSeconds\":60,\"ackIds\":[\"id0\"]}\n"), 1);
}

static void test_split(void **state) {
        start(IDS_MAX, ACK_FOREVER);
        fixture_until(&fixture, run.done);
        assert_int_equal(fixture_calls(&fixture, CALL_ACK), 3);
        assert_int_equal(count(WIRE_ACK_DONE), IDS_MAX);
        for (size_t i = 0; i < IDS_MAX; i += 499) {
                char text[20];

                (void) snprintf(text, sizeof text, "\"id%zu\"", i);
                assert_int_equal(fixture_asked(&fixture, text), 1);
        }
}

/* Whatever is refused as a whole is halved: three bad ids of eight, told by the server below. */
static bool refuse_bad(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        bool bad = strstr(call->body.data, "\"id2\"") || strstr(call->body.data, "\"id3\"") ||
                   strstr(call->body.data, "\"id6\"");

        http_server_reply(c, bad ? 400 : 200, "",
                bad ? "{\"error\":{\"code\":400,\"message\":\"Invalid ack id\",\"status\":\"INVALID_ARGUMENT\"}}"
                    : "{}");
        return true;
}

static void test_bad_ids_are_isolated(void **state) {
        HttpServer *server = http_server_new(refuse_bad, NULL);
        char *endpoint = fixture.config.pubsub.endpoint, other[64];

        (void) snprintf(other, sizeof other, "http://127.0.0.1:%u", http_server_port(server));
        fixture.config.pubsub.endpoint = other;
        start(8, ACK_FOREVER);
        fixture_until(&fixture, run.done);
        assert_int_equal(run.reply.outcome, CLIENT_OK);
        for (size_t i = 0; i < 8; i++)
                assert_int_equal(run.outcomes[i], i == 2 || i == 3 || i == 6 ? WIRE_ACK_LOST : WIRE_ACK_DONE);
        fixture.config.pubsub.endpoint = endpoint;
        http_server_free(server);
}

static void test_all_bad_is_bounded(void **state) {
        fixture_stand(
                &fixture, CALL_ACK, 400, "{\"error\":{\"code\":400,\"message\":\"\",\"status\":\"INVALID_ARGUMENT\"}}");
        start(1000, ACK_FOREVER);
        fixture_until(&fixture, run.done);
        assert_int_equal(fixture_calls(&fixture, CALL_ACK), ACK_REQUESTS_MAX);
        assert_int_equal(count(WIRE_ACK_LOST), 1000);
}

static void test_exactly_once(void **state) {
        fixture_script(&fixture, CALL_ACK, 400, "",
                "{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":\"type.googleapis.com/"
                "google.rpc.ErrorInfo\","
                "\"reason\":\"EXACTLY_ONCE_ACKID_FAILURE\",\"metadata\":{\"id0\":\"PERMANENT_FAILURE_INVALID_ACK_ID\",\"id2\":"
                "\"TRANSIENT_FAILURE_UNKNOWN\",\"other\":\"PERMANENT_X\"}}]}}");
        start(4, ACK_FOREVER);
        fixture_until(&fixture, run.done);
        assert_int_equal(run.outcomes[0], WIRE_ACK_LOST);
        assert_int_equal(run.outcomes[1], WIRE_ACK_DONE);
        assert_int_equal(run.outcomes[2], WIRE_ACK_RETRY);
        assert_int_equal(run.outcomes[3], WIRE_ACK_DONE);
        assert_int_equal(fixture_calls(&fixture, CALL_ACK), 1);
}

/* What is not confirmed is never counted as acknowledged. */
static void test_failure_ends_the_run(void **state) {
        static const struct {
                int status;
                ClientOutcome outcome;
        } cases[] = { { 503, CLIENT_RETRY }, { 403, CLIENT_REFUSED }, { 404, CLIENT_NOT_FOUND } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                unsigned before = fixture_calls(&fixture, CALL_ACK);

                run.done = false;
                fixture_script(&fixture, CALL_ACK, 200, "", "{}");
                fixture_script(
                        &fixture, CALL_ACK, cases[i].status, "Retry-After: 7\r\n", "{\"error\":{\"message\":\"no\"}}");
                start(IDS_MAX, ACK_FOREVER);
                fixture_until(&fixture, run.done);
                assert_int_equal(run.reply.outcome, cases[i].outcome);
                assert_int_equal(count(WIRE_ACK_DONE), WIRE_ACK_IDS_MAX);
                assert_int_equal(count(WIRE_ACK_RETRY), IDS_MAX - WIRE_ACK_IDS_MAX);
                assert_int_equal(fixture_calls(&fixture, CALL_ACK), before + 2);
                assert_int_equal(run.reply.retry_after, 7 * USEC_PER_SEC);
        }
}

static void test_html_is_no_confirmation(void **state) {
        fixture_script(&fixture, CALL_ACK, 200, "", "<html>please log in</html>");
        start(1, ACK_FOREVER);
        fixture_until(&fixture, run.done);
        assert_int_equal(run.reply.outcome, CLIENT_FAILED);
        assert_int_equal(run.outcomes[0], WIRE_ACK_RETRY);
}

static void test_cancel(void **state) {
        start(1, ACK_FOREVER);
        run.ack = ack_cancel(run.ack);
        fixture_settle(&fixture, 50 * USEC_PER_MSEC);
        assert_false(run.done);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_one_request, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_extend, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_split, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_bad_ids_are_isolated, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_all_bad_is_bounded, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_exactly_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_failure_ends_the_run, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_html_is_no_confirmation, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
