/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: P5 (what is held stays held, through an outage, for at most max_hold). */
#include "pubsub-fixture.h"

#include <stdatomic.h>

#include "subscribe/aside.h"
#include "side-by-side.h"

#define NOW (5000 * USEC_PER_SEC)

static Fixture fixture;
static Subscription *subscription;
static usec_t deadline, max_hold;
static Lease *lease;
static unsigned lapsed, results;
static ClientOutcome last_outcome;

static void on_lapsed(void *userdata) {
        lapsed++;
}

/* In place of ack_report() (the linker's --wrap). */
void __wrap_ack_report(const AckResult *result, Subscription *of, SubscriptionCause cause);

void __wrap_ack_report(const AckResult *result, Subscription *of, SubscriptionCause cause) {
        assert_ptr_equal(of, subscription);
        assert_int_equal(cause, SUBSCRIPTION_LEASE);
        results++;
        last_outcome = result->reply->outcome;
}

/* In place of subscription_deadline(). */
usec_t __wrap_subscription_deadline(const Subscription *of);

usec_t __wrap_subscription_deadline(const Subscription *of) {
        return deadline;
}

static int set_up(void **state) {
        fixture_set_up(&fixture);
        subscription = fixture_subscription(&fixture);
        /* Half of it is longer than an answer takes on a busy machine: after a later one the next renewal is due at
         * once. */
        deadline = 4 * USEC_PER_SEC;
        max_hold = 1 * USEC_PER_HOUR;
        lapsed = results = 0;
        return 0;
}

static int tear_down(void **state) {
        lease = lease_free(lease);
        subscription_free(subscription);
        fixture_tear_down(&fixture);
        return 0;
}

static void start(size_t n) {
        static const Slice ids[] = { { "a", 1 }, { "b", 1 }, { "c", 1 } };

        assert_int_equal(lease_new(fixture.event,
                                 &(LeaseSpec){ .subscription = subscription,
                                         .ids = ids,
                                         .n = n,
                                         .end = clock_now() + max_hold,
                                         .granted = clock_now(),
                                         .on_lapsed = on_lapsed },
                                 &lease),
                0);
}

static void test_step(void **state) {
        const usec_t r = 60 * USEC_PER_SEC, end = NOW + 100 * USEC_PER_SEC;
        usec_t at = 0;

        assert_int_equal(lease_step(r, &(LeaseTimes){ end, NOW, 0 }, NOW, &at), LEASE_REST);
        assert_int_equal(at, NOW + 30 * USEC_PER_SEC);
        assert_int_equal(lease_step(r, &(LeaseTimes){ end, NOW, 0 }, at - 1, &at), LEASE_REST);
        assert_int_equal(lease_step(r, &(LeaseTimes){ end, NOW, 0 }, at, &at), LEASE_RENEW);
        /* a failed renewal is tried again soon, not at the next half */
        assert_int_equal(
                lease_step(r, &(LeaseTimes){ end, NOW, NOW + 32 * USEC_PER_SEC }, NOW + 31 * USEC_PER_SEC, &at),
                LEASE_REST);
        assert_int_equal(at, NOW + 32 * USEC_PER_SEC);
        assert_int_equal(
                lease_step(r, &(LeaseTimes){ end, NOW, NOW + 32 * USEC_PER_SEC }, NOW + 32 * USEC_PER_SEC, &at),
                LEASE_RENEW);
        /* what was granted before the deadline was known, or another one */
        assert_int_equal(lease_step(r, &(LeaseTimes){ end, NOW, 0, 10 * USEC_PER_SEC }, NOW, &at), LEASE_REST);
        assert_int_equal(at, NOW + 5 * USEC_PER_SEC);
        /* never beyond max_hold */
        assert_int_equal(lease_step(r, &(LeaseTimes){ end, NOW + 90 * USEC_PER_SEC, 0 }, NOW + 91 * USEC_PER_SEC, &at),
                LEASE_REST);
        assert_int_equal(at, NOW + 100 * USEC_PER_SEC);
        assert_int_equal(lease_step(r, &(LeaseTimes){ end, NOW + 90 * USEC_PER_SEC, 0 }, NOW + 100 * USEC_PER_SEC, &at),
                LEASE_LAPSE);
}

static void test_renews_at_half(void **state) {
        usec_t begin = clock_now();

        deadline = 6 * USEC_PER_SEC; /* a machine that stands still for a moment has not lost it */
        start(2);
        fixture_until(&fixture, results == 2);
        assert_in_range(clock_now() - begin, 6 * USEC_PER_SEC, FIXTURE_PATIENCE_USEC + USEC_PER_SEC);
        assert_int_equal(fixture_asked(&fixture, "lease {\"ackDeadlineSeconds\":6,\"ackIds\":[\"a\",\"b\"]}\n"), 2);
        assert_int_equal(lapsed, 0);
        assert_true(lease_is_live(lease, clock_now()));
        assert_false(lease_is_live(lease, clock_now() + 6 * USEC_PER_SEC));
}

/* P11: a deadline that becomes known does not make what was granted for the shorter one last any longer. */
static void test_deadline_becomes_known(void **state) {
        usec_t begin;

        start(1);
        fixture_until(&fixture, results == 1);
        deadline = 600 * USEC_PER_SEC;
        begin = clock_now();
        assert_false(lease_is_live(lease, clock_now() + 4 * USEC_PER_SEC));
        fixture_until(&fixture, results == 2);
        assert_true(clock_now() - begin < 60 * USEC_PER_SEC); /* the half of the longer one would be 300 s */
        assert_int_equal(fixture_asked(&fixture, "\"ackDeadlineSeconds\":600"), 1);
        assert_true(lease_is_live(lease, clock_now() + 100 * USEC_PER_SEC));
}

static void test_narrow(void **state) {
        start(3);
        lease_narrow(lease, &(Slice){ "b", 1 }, 1);
        fixture_until(&fixture, results == 1);
        assert_int_equal(fixture_asked(&fixture, "\"ackIds\":[\"b\"]}"), 1);
        lease_narrow(lease, &(Slice){}, 0);
        fixture_settle(&fixture, 2200 * USEC_PER_MSEC);
        assert_int_equal(results, 1);
}

static void test_lost_ids_are_dropped(void **state) {
        fixture_script(&fixture, CALL_LEASE, 400, "",
                "{\"error\":{\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":\"type.googleapis.com/"
                "google.rpc.ErrorInfo\",\"reason\":"
                "\"EXACTLY_ONCE_ACKID_FAILURE\",\"metadata\":{\"b\":\"PERMANENT_FAILURE_INVALID_ACK_ID\"}}]}}");
        start(3);
        fixture_until(&fixture, results == 2);
        assert_int_equal(fixture_asked(&fixture, "\"ackIds\":[\"a\",\"c\"]}"), 1);
}

/* Others that come when all were lost are renewed as any: none of them spends a delivery attempt. */
static void test_others_after_all_were_lost(void **state) {
        static const Slice ids[] = { { "a", 1 }, { "b", 1 } };

        fixture_script(&fixture, CALL_LEASE, 400, "",
                "{\"error\":{\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":\"type.googleapis.com/"
                "google.rpc.ErrorInfo\",\"reason\":"
                "\"EXACTLY_ONCE_ACKID_FAILURE\",\"metadata\":{\"a\":\"PERMANENT_FAILURE_INVALID_ACK_ID\"}}]}}");
        start(1);
        fixture_until(&fixture, results == 1);
        fixture_settle(&fixture, 2200 * USEC_PER_MSEC);
        assert_int_equal(results, 1);
        assert_int_equal(lease_set(lease, ids, 2), 0);
        fixture_until(&fixture, results == 3);
        assert_int_equal(fixture_asked(&fixture, "\"ackIds\":[\"a\",\"b\"]}"), 2);
}

/* Others may have been granted a while ago: they are renewed soon, not when those before them are due. */
static void test_others_are_renewed_soon(void **state) {
        static const Slice ids[] = { { "a", 1 }, { "b", 1 } };
        usec_t begin = clock_now();

        deadline = 40 * USEC_PER_SEC;
        start(1);
        assert_int_equal(lease_set(lease, ids, 2), 0);
        fixture_until(&fixture, results == 1);
        assert_in_range(clock_now() - begin, 5 * USEC_PER_SEC, 19 * USEC_PER_SEC); /* half of the deadline are 20 s */
        assert_int_equal(fixture_asked(&fixture, "\"ackIds\":[\"a\",\"b\"]}"), 1);
}

/* Failures are tried again, but no more than once a second. */
static void test_failure_is_no_storm(void **state) {
        fixture_stand(&fixture, CALL_LEASE, 503, "");
        start(1);
        fixture_until(&fixture, results == 1);
        assert_int_equal(last_outcome, CLIENT_RETRY);
        fixture_settle(&fixture, 2500 * USEC_PER_MSEC);
        assert_true(results <= 4);
        fixture_until(&fixture, results >= 2);
        assert_int_equal(last_outcome, CLIENT_RETRY);
        fixture_stand(&fixture, CALL_LEASE, 0, NULL);
        fixture_until(&fixture, last_outcome == CLIENT_OK);
        assert_int_equal(lapsed, 0);
}

/* Longer than the backoff would wait: the service's wish counts, even beyond the lease. */
static void test_retry_after_is_honoured(void **state) {
        usec_t begin = clock_now();

        fixture_script(&fixture, CALL_LEASE, 429, "Retry-After: 4\r\n", "");
        start(1);
        fixture_until(&fixture, results == 1);
        assert_int_equal(last_outcome, CLIENT_RETRY);
        fixture_until(&fixture, results == 2);
        assert_int_equal(last_outcome, CLIENT_OK);
        assert_in_range(clock_now() - begin, 4 * USEC_PER_SEC, 2 * FIXTURE_PATIENCE_USEC);
        assert_int_equal(fixture_calls(&fixture, CALL_LEASE), 2);
}

static void test_lapses_once(void **state) {
        deadline = 8 * USEC_PER_SEC;
        max_hold = 7 * USEC_PER_SEC; /* over before the second renewal */
        start(1);
        fixture_until(&fixture, results == 1);
        fixture_until(&fixture, lapsed == 1);
        assert_int_equal(results, 1);
        assert_false(lease_is_live(lease, clock_now() + 8 * USEC_PER_SEC));
        fixture_settle(&fixture, 2200 * USEC_PER_MSEC);
        assert_int_equal(lapsed, 1);
        assert_int_equal(results, 1);
}

/* P4: what was granted lasts, though it is not renewed any more: what the sink stored until now is acknowledged. */
static void test_lives_on_after_max_hold(void **state) {
        deadline = 60 * USEC_PER_SEC;
        max_hold = 10 * USEC_PER_MSEC;
        start(1);
        fixture_until(&fixture, lapsed == 1);
        assert_true(lease_is_live(lease, clock_now()));
        assert_false(lease_is_live(lease, clock_now() + 60 * USEC_PER_SEC));
}

static atomic_uint asked;
static atomic_bool answers;

/* Refuses the first request as a whole, once the test says so. */
static bool refuse_late(void *userdata, HttpServerConnection *c, const HttpServerCall *call) {
        bool first = atomic_fetch_add(&asked, 1) == 0;

        while (first && !answers)
                (void) usleep(1000);
        http_server_reply(c, first ? 400 : 200, "",
                first ? "{\"error\":{\"code\":400,\"message\":\"Invalid ack id\",\"status\":\"INVALID_ARGUMENT\"}}"
                      : "{}");
        return true;
}

static Batch *two_suspects(void) {
        static const char reply[] =
                "{\"receivedMessages\":["
                "{\"ackId\":\"the-first-ack-id-of-two\",\"message\":{\"messageId\":\"1\",\"data\":\"e30=\"}},"
                "{\"ackId\":\"the-other-ack-id-of-two\",\"message\":{\"messageId\":\"2\",\"data\":\"e30=\"}}]}";
        _cleanup_bytes_ Bytes body = {};
        Batch *batch;

        assert_int_equal(bytes_append_text(&body, reply), 0);
        assert_int_equal(batch_new(&body, clock_now(), &batch), 0);
        for (size_t i = 0; i < batch->pull.n; i++)
                batch_set_fate(batch, i, FATE_SUSPECT);
        return batch;
}

/* A message that waits aside is stored, and so its ack id freed, while a renewal is under way that holds it. */
static void test_aside_leaves_during_a_renewal(void **state) {
        _cleanup_(batch_freep) Batch *batch = two_suspects(), *tried = NULL;
        HttpServer *server = http_server_new(refuse_late, NULL);
        char *endpoint = fixture.config.pubsub.endpoint, other[64];
        HeldHost host = { .loop = fixture.event, .subscription = subscription, .max_hold = max_hold };
        Aside *aside;

        deadline = 60 * USEC_PER_SEC;
        (void) snprintf(other, sizeof other, "http://127.0.0.1:%u", http_server_port(server));
        fixture.config.pubsub.endpoint = other;
        assert_int_equal(aside_new(&host, &aside), 0);
        aside_take(aside, batch);
        fixture_until(&fixture, asked == 1);
        tried = aside_try(aside, clock_now());
        assert_non_null(tried);
        batch_set_fate(tried, 0, FATE_STORED);
        aside_note(aside, tried);
        answers = true;
        fixture_until(&fixture, results == 1);
        assert_int_equal(last_outcome, CLIENT_OK);
        assert_int_equal(asked, 2); /* the other id alone; halves of the first request would be two more */
        aside = aside_free(aside);
        fixture.config.pubsub.endpoint = endpoint;
        http_server_free(server);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_step),
                cmocka_unit_test_setup_teardown(test_renews_at_half, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_deadline_becomes_known, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_narrow, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lost_ids_are_dropped, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_others_after_all_were_lost, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_others_are_renewed_soon, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_failure_is_no_storm, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_retry_after_is_honoured, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lapses_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lives_on_after_max_hold, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_aside_leaves_during_a_renewal, set_up, tear_down),
        };

        return side_by_side(tests, ELEMENTSOF(tests));
}
