/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that lose or delay messages are told, and that a subscription is there. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bytes.h"
#include "subscribe/subscription.h"

#define HEAD                                                                                                           \
        "{\"name\":\"projects/p/subscriptions/s\",\"topic\":\"projects/p/topics/t\",\"ackDeadlineSeconds\":60,\"expirationPolicy\":{}"

static void collect(void *userdata, const char *text) {
        assert_int_equal(bytes_append_format(userdata, "%s\n", text), 0);
}

static Bytes warnings(const char *body, SubscriptionSettings *settings) {
        Bytes all = {};

        assert_int_equal(subscription_parse(body, strlen(body), settings), 0);
        assert_int_equal(bytes_append_text(&all, ""), 0);
        subscription_each_warning(settings, collect, &all);
        return all;
}

static void test_good(void **state) {
        SubscriptionSettings s;
        _cleanup_bytes_ Bytes text = warnings(HEAD
                ",\"state\":\"ACTIVE\",\"pushConfig\":{},\"messageTransforms\":[{\"disabled\":true}],\"enableExactlyOnceDelivery\":true,\"messageRetentionDuration\":\"1209600s\"}",
                &s);

        assert_int_equal(text.size, 0);
        assert_string_equal(s.topic, "projects/p/topics/t");
        assert_int_equal(s.deadline_sec, 60);
        assert_int_equal(s.retention, 14 * 24 * USEC_PER_HOUR);
        assert_int_equal(s.expiration, 0);
        assert_true(s.exactly_once);
        assert_false(s.topic_deleted);
}

static void test_defaults(void **state) {
        SubscriptionSettings s;
        _cleanup_bytes_ Bytes text = warnings("{\"topic\":\"t\"}", &s);

        assert_int_equal(s.deadline_sec, 10);
        assert_int_equal(s.retention, SUBSCRIPTION_RETENTION_DEFAULT_USEC);
        assert_int_equal(s.expiration, SUBSCRIPTION_EXPIRATION_DEFAULT_USEC);
        assert_non_null(strstr(text.data, "31 d"));
}

static void test_each_warning(void **state) {
        static const struct {
                const char *body, *word;
        } cases[] = {
                { "{\"name\":\"s\",\"topic\":\"_deleted-topic_\",\"ackDeadlineSeconds\":60,\"expirationPolicy\":{}}",
                        "topic was deleted" },
                { HEAD ",\"detached\":true}", "detached" },
                { HEAD ",\"pushConfig\":{\"pushEndpoint\":\"https://x\"}}", "pushes" },
                { HEAD ",\"bigqueryConfig\":{\"table\":\"x\"}}", "exports" },
                { HEAD ",\"cloudStorageConfig\":{\"bucket\":\"x\"}}", "exports" },
                { HEAD ",\"state\":\"RESOURCE_ERROR\"}", "RESOURCE_ERROR" },
                { HEAD ",\"filter\":\"attributes.a\"}", "attributes.a" },
                { HEAD ",\"messageTransforms\":[{\"javascriptUdf\":{\"functionName\":\"f\"},\"disabled\":true},{\"javascriptUdf\":{\"functionName\":\"g\"}}]}",
                        "turns into null is discarded" },
                { HEAD ",\"messageRetentionDuration\":\"600s\"}", "10 min" },
                { HEAD ",\"deadLetterPolicy\":{\"deadLetterTopic\":\"projects/p/topics/dead\"}}",
                        "after 5 deliveries a message moves to projects/p/topics/dead" },
                { "{\"topic\":\"t\",\"ackDeadlineSeconds\":10,\"expirationPolicy\":{}}", "only 10 s" },
                { "{\"topic\":\"t\",\"ackDeadlineSeconds\":60,\"expirationPolicy\":{\"ttl\":\"86400s\"}}",
                        "without activity" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                SubscriptionSettings s;
                _cleanup_bytes_ Bytes text = warnings(cases[i].body, &s);

                assert_non_null(strstr(text.data, cases[i].word));
                assert_ptr_equal(strchr(text.data, '\n'), text.data + text.size - 1); /* exactly one */
        }
}

static void test_not_a_subscription(void **state) {
        static const char *const bodies[] = { "", "{}", "[]", "<html>", "{\"error\":{}}" };

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                SubscriptionSettings s;

                assert_int_equal(subscription_parse(bodies[i], strlen(bodies[i]), &s), -EBADMSG);
        }
}

static void on_change(void *userdata) {
        ++*(unsigned *) userdata;
}

/* The first pull shows it, whatever becomes of the look at its settings, which may take a minute: publishing waits for
 * the notice. */
static void test_found_by_a_pull(void **state) {
        SubscriptionStatus status;
        unsigned changes = 0;
        Subscription *s;
        Loop *loop;

        assert_int_equal(loop_new(&loop), 0);
        assert_int_equal(
                subscription_new(loop, NULL, &(SubscriptionOptions){ "s", on_change, &changes, false }, &s), 0);
        subscription_found(s, clock_now());
        subscription_status(s, &status);
        assert_true(status.checked);
        assert_int_equal(changes, 1);
        subscription_found(s, clock_now());
        assert_int_equal(changes, 1); /* no news */
        assert_null(subscription_free(s));
        loop_free(loop);
}

/* The look at the settings that is under way, and the client's functions in this test. */
static struct {
        ClientDone done;
        void *userdata;
        unsigned calls;
} look;

int __wrap_client_call(Client *client, ClientSpec *spec, ClientDone done, void *userdata, ClientCall **ret);
int __wrap_client_call(Client *client, ClientSpec *spec, ClientDone done, void *userdata, ClientCall **ret) {
        assert_null(look.done);
        look.done = done;
        look.userdata = userdata;
        look.calls++;
        *ret = (ClientCall *) &look;
        return 0;
}

ClientCall *__wrap_client_cancel(ClientCall *call);
ClientCall *__wrap_client_cancel(ClientCall *call) {
        if (call)
                look.done = NULL;
        return NULL;
}

static void answer_look_with(ClientReply reply) {
        ClientDone done = look.done;

        assert_non_null(done);
        look.done = NULL;
        done(look.userdata, &reply);
}

static void answer_look(void) {
        static char body[] = HEAD "}";

        answer_look_with(
                (ClientReply){ .outcome = CLIENT_OK, .body = { .data = body, .size = strlen(body) }, .detail = "" });
}

/* The subscription is deleted after a look at it was answered, and before that answer arrives: it must not count as
 * newer than the 404 of a pull, or publishing goes on. */
static void test_gone_during_a_look(void **state) {
        const ClientReply gone = { .outcome = CLIENT_NOT_FOUND, .http_status = 404, .detail = "no such subscription" };
        SubscriptionStatus status;
        unsigned changes = 0;
        Subscription *s;
        Loop *loop;

        assert_int_equal(loop_new(&loop), 0);
        assert_int_equal(
                subscription_new(loop, NULL, &(SubscriptionOptions){ "s", on_change, &changes, false }, &s), 0);
        while (look.calls == 0)
                assert_true(loop_turn(loop, USEC_PER_SEC) >= 0);
        subscription_fail(s, SUBSCRIPTION_PULL, &gone, 0);
        if (look.done)
                answer_look();
        subscription_status(s, &status);
        assert_true(status.checked);
        assert_true(status.missing);

        while (look.calls == 1) /* it is looked at anew, soon */
                assert_true(loop_turn(loop, USEC_PER_SEC) >= 0);
        answer_look();
        subscription_status(s, &status);
        assert_false(status.missing);
        assert_null(subscription_free(s));
        loop_free(loop);
}

/* The publisher got a 404 for the topic, which may be made anew any moment: a pull does not show that the subscription
 * is on it. Only an answer about the subscription does. */
static void test_refreshed(void **state) {
        const ClientReply unavailable = { .outcome = CLIENT_RETRY, .http_status = 503, .detail = "not available" },
                          nonsense = { .outcome = CLIENT_OK, .body = { .data = (char[]){ "{}" }, .size = 2 } };
        SubscriptionStatus status;
        unsigned changes = 0;
        Subscription *s;
        Loop *loop;

        assert_int_equal(loop_new(&loop), 0);
        assert_int_equal(
                subscription_new(loop, NULL, &(SubscriptionOptions){ "s", on_change, &changes, false }, &s), 0);
        subscription_refresh(s);
        answer_look();
        subscription_status(s, &status);
        assert_true(status.checked);
        subscription_refresh(s);
        subscription_found(s, clock_now());
        subscription_status(s, &status);
        assert_false(status.checked);
        answer_look_with(unavailable);
        subscription_found(s, clock_now());
        subscription_status(s, &status);
        assert_false(status.checked);
        while (!look.done) /* it is looked at anew, soon */
                assert_true(loop_turn(loop, USEC_PER_SEC) >= 0);
        answer_look_with(nonsense); /* publishing goes on pausing, so that is said */
        subscription_status(s, &status);
        assert_true(!status.checked && status.failure.on && status.failure.logged_since > 0);
        assert_non_null(strstr(status.failure.detail, "cannot be read: the answer is not from Pub/Sub"));
        while (!look.done)
                assert_true(loop_turn(loop, USEC_PER_SEC) >= 0);
        answer_look();
        subscription_status(s, &status);
        assert_true(status.checked && !status.failure.on);
        assert_null(subscription_free(s));
        loop_free(loop);
}

/* Leases count on 10 s while the deadline is unknown, also when it was known before: never on 0, which would give the
 * messages back, and never on what may have been shortened since. */
static void test_deadline(void **state) {
        const ClientReply forbidden = { .outcome = CLIENT_REFUSED, .http_status = 403, .detail = "may not be read" },
                          gone = { .outcome = CLIENT_NOT_FOUND, .http_status = 404, .detail = "no such subscription" };
        unsigned changes = 0;
        Subscription *s;
        Loop *loop;

        assert_int_equal(loop_new(&loop), 0);
        assert_int_equal(
                subscription_new(loop, NULL, &(SubscriptionOptions){ "s", on_change, &changes, false }, &s), 0);
        assert_int_equal(subscription_deadline(s), 10 * USEC_PER_SEC);
        subscription_refresh(s);
        answer_look();
        assert_int_equal(subscription_deadline(s), 60 * USEC_PER_SEC);
        subscription_refresh(s);
        assert_int_equal(subscription_deadline(s), 60 * USEC_PER_SEC); /* until the answer comes */
        answer_look_with(forbidden);
        assert_int_equal(subscription_deadline(s), 10 * USEC_PER_SEC);
        subscription_refresh(s);
        answer_look();
        subscription_refresh(s);
        answer_look_with(gone);
        assert_int_equal(subscription_deadline(s), 10 * USEC_PER_SEC);
        assert_null(subscription_free(s));
        loop_free(loop);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_each_warning),
                cmocka_unit_test(test_not_a_subscription),
                cmocka_unit_test(test_found_by_a_pull),
                cmocka_unit_test(test_gone_during_a_look),
                cmocka_unit_test(test_refreshed),
                cmocka_unit_test(test_deadline),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
