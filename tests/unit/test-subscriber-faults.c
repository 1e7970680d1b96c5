/* SPDX-License-Identifier: Apache-2.0 */
/* The subscriber when things go wrong: P3 and P4 (acknowledgements that fail), P5 (outages, leases), P6, and one log
 * entry for each change.
 */
#include "subscriber-fixture.h"

#include "subscribe/pulls.h"
#include "subscribe/subscription.h"
#include "side-by-side.h"

#define SETTINGS(more) "{\"name\":\"s\",\"topic\":\"projects/p/topics/t\",\"expirationPolicy\":{}," more "}"
#define NOT_FOUND "{\"error\":{\"code\":404,\"message\":\"Subscription does not exist\",\"status\":\"NOT_FOUND\"}}"
#define DETACHED "{\"error\":{\"message\":\"Subscription is detached\",\"status\":\"FAILED_PRECONDITION\"}}"
#define INVALID "{\"error\":{\"code\":400,\"message\":\"\",\"status\":\"INVALID_ARGUMENT\"}}"

/* ---- pulls ---- */

static void test_failing_and_recovered_once(void **state) {
        fixture_stand(&world.service, CALL_PULL, 503, "");
        world.sink.automatic = true;
        world_start(false);
        world_until(fixture_calls(&world.service, CALL_PULL) >= 3);
        assert_true(world_status().failure.on);
        assert_true(world_status().failure.since > 0);
        world_until(world_status().retry_at > 0); /* 0 while the next try is out */
        assert_non_null(strstr(world_status().failure.detail, "HTTP 503"));
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 1);
        fixture_stand(&world.service, CALL_PULL, 0, NULL);
        world_queue(1, 1);
        world_until(world_status().acknowledged == 1);
        assert_false(world_status().failure.on);
        assert_int_equal(world_status().retry_at, 0);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_RECOVERED), 1);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 1);
}

static void test_retry_after_is_honoured(void **state) {
        fixture_script(&world.service, CALL_PULL, 429, "Retry-After: 90\r\n", "");
        world_start(false);
        world_until(world_status().failure.on);
        assert_in_range(world_status().retry_at, clock_now() + 75 * USEC_PER_SEC, clock_now() + 90 * USEC_PER_SEC);
        assert_int_equal(world_logged("SENSORQD_RETRY_SEC=90"), 1);
}

static void on_change(void *userdata) {}

/* Without a token nothing can be asked: the token has told of it, the subscription says nothing of its own, and shows
 * it. What fails after that is said. */
static void test_want_of_a_token_is_not_said(void **state) {
        const ClientReply none = {
                .outcome = CLIENT_REFUSED, .no_token = true, .detail = "no access token: the key was deleted"
        };
        const ClientReply refused = { .outcome = CLIENT_REFUSED, .http_status = 403, .detail = "the role is missing" };
        SubscriptionStatus status;
        Subscription *s;

        assert_int_equal(subscription_new(world.service.event, world.service.client,
                                 &(SubscriptionOptions){ FIXTURE_SUBSCRIPTION, on_change, NULL }, &s),
                0);
        for (int i = 0; i < 3; i++)
                subscription_fail(s, SUBSCRIPTION_PULL, &none, 0);
        subscription_status(s, &status);
        assert_true(status.failure.on);
        assert_non_null(strstr(status.failure.detail, "no access token"));
        subscription_mend(s, SUBSCRIPTION_PULL);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING) + world_logged(EVENT_SUBSCRIPTION_RECOVERED), 0);
        subscription_fail(s, SUBSCRIPTION_PULL, &none, 0);
        subscription_fail(s, SUBSCRIPTION_PULL, &refused, 0);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 1);
        subscription_mend(s, SUBSCRIPTION_PULL);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_RECOVERED), 1);
        assert_null(subscription_free(s));
}

/* From a passing failure to one that needs a human: that is worth a second entry. */
static void test_lasting_failure_is_said_too(void **state) {
        fixture_script(&world.service, CALL_PULL, 503, "", "");
        fixture_script(&world.service, CALL_PULL, 503, "", "");
        fixture_stand(&world.service, CALL_PULL, 403, "{\"error\":{\"status\":\"PERMISSION_DENIED\"}}");
        world_start(false);
        world_until(fixture_calls(&world.service, CALL_PULL) >= 4);
        world_until(world_logged(": cannot pull: the service account has no pubsub.subscriber role on this sub") >= 1);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 2);
}

/* P3: a damaged reply gives nothing, and is not acknowledged. */
static void test_malformed_reply(void **state) {
        fixture_script(&world.service, CALL_PULL, 200, "",
                "{\"receivedMessages\":[{\"ackId\":\"x\",\"message\":{\"messageId\":\"1\"}},}");
        fixture_script(&world.service, CALL_PULL, 200, "", "{\"receivedMessages\":\"x\"}");
        world.sink.automatic = true;
        world_start(false);
        world_until(world_status().failure.on);
        world_until(fixture_hanging(&world.service) == 1);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 1);
        assert_int_equal(world.sink.writes, 0);
        world_queue(5, 1);
        world_until(world_status().acknowledged == 1);
        assert_int_equal(world_asked("\"x\""), 0);
}

/* P6: an element that is not understood is left alone; its neighbour is stored. */
static void test_odd_element(void **state) {
        world.sink.automatic = true;
        world_start(false);
        fixture_script(&world.service, CALL_PULL, 200, "",
                "{\"receivedMessages\":[{\"ackId\":\"x\"},{\"ackId\":\"a1\",\"message\":{\"messageId\":\"1\"}}]}");
        world_until(world_status().acknowledged == 1);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a1\"]}\n"), 1);
        assert_int_equal(world_logged("1 malformed message in a reply"), 1);
}

static void test_reply_over_the_cap(void **state) {
        fixture_script(&world.service, CALL_PULL, 413, "", "");
        fixture_script(&world.service, CALL_PULL, 413, "", "");
        world_start(false);
        world_until(world_asked("pull {\"maxMessages\":250}\n") == 1);
        assert_int_equal(world_asked("pull {\"maxMessages\":500}\n"), 1);
        assert_int_equal(world_logged(EVENT_CAP_HIT), 1);
        assert_false(world_status().failure.on);
}

/* Queues a reply of *size* bytes with the messages FIRST and FIRST + 1: the rest is blanks. */
static void queue_padded(unsigned first, size_t size) {
        _cleanup_bytes_ Bytes body = {};
        _cleanup_free_ char *blank = malloc(size + 1);

        assert_non_null(blank);
        assert_int_equal(bytes_append_format(&body,
                                 "{\"receivedMessages\":[{\"ackId\":\"a%u\",\"message\":{\"messageId\":\"%u\"}},"
                                 "{\"ackId\":\"a%u\",\"message\":{\"messageId\":\"%u\"}}]",
                                 first, first, first + 1, first + 1),
                0);
        memset(blank, ' ', size);
        assert_int_equal(bytes_append(&body, blank, size - 1 - body.size), 0);
        assert_int_equal(bytes_append_text(&body, "}"), 0);
        assert_int_equal(body.size, size);
        fixture_script(&world.service, CALL_PULL, 200, "", body.data);
}

/* Of this process, since the last call: bytes. */
static size_t peak_memory(void) {
        _cleanup_close_ int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC),
                            refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
        char text[4096] = "";
        size_t kilobytes = 0;

        assert_true(fd >= 0 && refs >= 0 && read(fd, text, sizeof text - 1) > 0);
        assert_int_equal(sscanf(strstr(text, "VmHWM:"), "VmHWM: %zu kB", &kilobytes), 1);
        assert_int_equal(write(refs, "5", 1), 1);
        return kilobytes * 1024;
}

/* The cap of a pull's own reply: what fits is taken, what does not is thrown away unread, and half as many messages are
 * asked for. */
static void test_cap_of_a_reply(void **state) {
        size_t before;

        world.sink.automatic = true;
        world_start(false);
        queue_padded(1, PULLS_REPLY_MAX);
        world_until(world_status().acknowledged == 2);
        assert_int_equal(world_asked("pull {\"maxMessages\":500}\n"), 0);
        queue_padded(3, PULLS_REPLY_MAX + 1);
        world_until(world_asked("pull {\"maxMessages\":500}\n") >= 1);
        (void) peak_memory();
        before = peak_memory();
        fixture_script(&world.service, CALL_PULL, FIXTURE_FLOOD, "", "");
        world_until(world_asked("pull {\"maxMessages\":250}\n") >= 1);
        assert_in_range(peak_memory(), 0, before + FIXTURE_FLOOD_BYTES / 2);
        assert_false(world_status().failure.on);
        assert_int_equal(world_logged(EVENT_CAP_HIT), 1);
        assert_int_equal(world_logged("larger than 32 MiB"), 1);
        world_queue(5, 1);
        world_until(world_status().acknowledged == 3);
        assert_int_equal(world_asked("\"a3\""), 0);
        assert_int_equal(world_status().received, 3);
}

/* On a slow line a reply of many messages is never whole in time: fewer are asked for, until they get through. */
static void test_reply_on_a_slow_line(void **state) {
        world.sink.automatic = true;
        world.config.pulls = 1;
        fixture_script(&world.service, CALL_PULL, FIXTURE_SLOW, "", "");
        world_start(false);
        world_until(fixture_has_begun(&world.service));
        fixture_settle(&world.service, 200 * USEC_PER_MSEC); /* what was sent is read */
        passed += PULLS_TIMEOUT_USEC + USEC_PER_SEC;
        passed_in_curl += PULLS_TIMEOUT_USEC + USEC_PER_SEC;
        world_until(world_asked("pull {\"maxMessages\":500}\n") == 1);
        assert_false(world_status().failure.on);
        assert_int_equal(world_logged(EVENT_CAP_HIT), 1);
        assert_int_equal(world_logged("was incomplete after 120 s"), 1);
        world_queue(1, 1);
        world_until(world_status().acknowledged == 1);
}

/* A sleep of the machine cut it short, which says nothing of the line. */
static void test_reply_cut_by_a_sleep(void **state) {
        world.config.pulls = 1;
        fixture_script(&world.service, CALL_PULL, FIXTURE_SLOW, "", "");
        world_start(false);
        world_until(fixture_has_begun(&world.service));
        fixture_settle(&world.service, 200 * USEC_PER_MSEC);
        passed += USEC_PER_HOUR;
        fixture_cut(&world.service);
        world_until(world_asked("\"maxMessages\":1000") == 2);
}

/* Not even one message fits: that is a failure, tried again later. */
static void test_one_message_over_the_cap(void **state) {
        world.config.max_messages = 1;
        world_start(false);
        queue_padded(1, PULLS_REPLY_MAX + 1);
        world_until(world_status().failure.on);
        assert_non_null(strstr(world_status().failure.detail, "larger than"));
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 1);
        world_until(fixture_calls(&world.service, CALL_PULL) >= 2);
        assert_int_equal(world_asked("pull {\"maxMessages\":1}\n"), fixture_calls(&world.service, CALL_PULL));
        assert_int_equal(world.sink.writes, 0);
}

/* An empty answer that comes at once is not asked for again at once. */
static void test_quick_empties_do_not_spin(void **state) {
        fixture_stand(&world.service, CALL_PULL, 200, "{}");
        world_start(false);
        world_until(fixture_calls(&world.service, CALL_PULL) >= 2);
        fixture_settle(&world.service, 300 * USEC_PER_MSEC);
        assert_true(fixture_calls(&world.service, CALL_PULL) < 25);
}

/* A proxy, or the service, does not let a pull hang for long: while nothing comes that is no trouble, and the queue is
 * known to be empty, without which no alert would tell of silence. */
static void test_idle_pulls_are_cut(void **state) {
        world_start(false);
        for (unsigned i = 1; i <= 3; i++) {
                world_until(fixture_hanging(&world.service) == 1);
                passed += 60 * USEC_PER_SEC;
                fixture_script(&world.service, CALL_PULL, i == 2 ? 503 : 504, "", "<html>");
                world_until(world_asked("\"returnImmediately\":true") == i);
                world_until(world_status().empty_pulls == i);
        }
        world_until(fixture_hanging(&world.service) == 1);
        assert_false(world_status().failure.on);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 0);
        passed += 60 * USEC_PER_SEC;
        fixture_stand(&world.service, CALL_PULL, 504, "<html>"); /* to what does not hang, too */
        world_until(world_status().failure.on);
        world_until(world_logged(EVENT_SUBSCRIPTION_FAILING) == 1);
}

/* ---- the subscription's settings ---- */

static void test_missing(void **state) {
        fixture_stand(&world.service, CALL_GET, 404, NOT_FOUND);
        fixture_stand(&world.service, CALL_PULL, 404, NOT_FOUND);
        world_start(false);
        assert_false(world_subscription().checked);
        world_until(world_subscription().missing && world_subscription().checked);
        world_until(fixture_calls(&world.service, CALL_GET) >= 2);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 1);
        assert_true(world_logged("sensorqd setup") >= 1);
        fixture_stand(&world.service, CALL_GET, 0, NULL);
        fixture_stand(&world.service, CALL_PULL, 0, NULL);
        world_until(!world_status().missing);
        world_queue(1, 1);
        world_until(!world_status().failure.on);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_RECOVERED), 1);
}

static void test_missing_is_known_with_the_sink_away(void **state) {
        world.sink.ready = false;
        fixture_stand(&world.service, CALL_GET, 404, NOT_FOUND);
        world_start(false);
        world_until(world_status().missing && world_status().failure.on);
        assert_int_equal(fixture_calls(&world.service, CALL_PULL), 0);
}

/* A pull that hung since before the subscription vanished may still bring messages: that does not mean that it is
 * there. */
static void test_old_pull_does_not_hide_a_missing_subscription(void **state) {
        fixture_script(&world.service, CALL_GET, 503, "", "");
        fixture_stand(&world.service, CALL_GET, 404, NOT_FOUND);
        world_start(false);
        world_until(fixture_hanging(&world.service) == 1);
        world_until(world_status().missing);
        world_queue(1, 1);
        world_until(world.sink.work);
        assert_true(world_status().missing);
}

static void test_deleted_topic(void **state) {
        fixture_stand(&world.service, CALL_GET, 200,
                "{\"name\":\"s\",\"topic\":\"_deleted-topic_\",\"ackDeadlineSeconds\":60,\"expirationPolicy\":{}}");
        world.sink.automatic = true;
        world_start(false);
        world_until(world_status().missing);
        assert_int_equal(world_logged(EVENT_CONFIG_WARNING), 1);
        world_queue(1, 1); /* what it still holds is stored */
        world_until(world_status().acknowledged == 1);
        assert_true(world_status().missing);
        world_until(fixture_calls(&world.service, CALL_GET) >= 3);
        assert_int_equal(world_logged(EVENT_CONFIG_WARNING), 1);
}

/* Nothing that is published reaches it any more: a pull that is refused is a reason to look. */
static void test_detached(void **state) {
        world_start(false);
        world_until(fixture_hanging(&world.service) == 1 && world_subscription().checked);
        assert_false(world_status().missing);
        fixture_stand(&world.service, CALL_GET, 200, SETTINGS("\"ackDeadlineSeconds\":60,\"detached\":true"));
        fixture_stand(&world.service, CALL_PULL, 400, DETACHED);
        world_until(world_status().missing);
        assert_int_equal(world_logged(EVENT_CONFIG_WARNING), 1);
        fixture_stand(&world.service, CALL_GET, 0, NULL); /* another one of that name */
        fixture_stand(&world.service, CALL_PULL, 0, NULL);
        world_until(!world_status().missing);
}

/* Several pulls are refused at once, and again before the look: that does not put it off. */
static void test_refused_together(void **state) {
        const ClientReply refused = { .outcome = CLIENT_FAILED,
                .http_status = 400,
                .error = { .status = "FAILED_PRECONDITION" },
                .detail = "it cannot be used as it is" };
        SubscriptionStatus status;
        Subscription *s;

        assert_int_equal(subscription_new(world.service.event, world.service.client,
                                 &(SubscriptionOptions){ FIXTURE_SUBSCRIPTION, on_change, NULL }, &s),
                0);
        do {
                assert_true(loop_turn(world.service.event, 10 * USEC_PER_MSEC) >= 0);
                subscription_status(s, &status);
        } while (!status.checked);
        stands = true;
        for (int i = 0; i < 8; i++) /* the eighth would wait for 6 s at least */
                subscription_fail(s, SUBSCRIPTION_PULL, &refused, 0);
        passed += 2 * USEC_PER_SEC;
        world_until(fixture_calls(&world.service, CALL_GET) == 2);
        stands = false;
        assert_null(subscription_free(s));
}

/* A 404 of any call says that it is gone, though nothing is pulled just then. */
static void test_missing_by_acknowledge(void **state) {
        fixture_stand(&world.service, CALL_ACK, 404, NOT_FOUND);
        world_start(false);
        world_queue(1, 1);
        world_until(world_subscription().checked && world.sink.work);
        assert_false(world_status().missing);
        fixture_stand(&world.service, CALL_GET, 404, NOT_FOUND);
        fake_settle(&world.sink, FATE_STORED);
        world_until(world_status().missing);
        assert_int_equal(world_logged("delivered again"), 0); /* what was in it went with it */
        assert_int_equal(world_logged("publishing pauses: a topic without its subscription discards"), 1);
}

static void test_missing_by_lease(void **state) {
        fixture_stand(&world.service, CALL_GET, 200, SETTINGS("\"ackDeadlineSeconds\":1"));
        fixture_stand(&world.service, CALL_LEASE, 404, NOT_FOUND);
        world_start(false);
        world_queue(1, 1);
        world_until(world.sink.work && world_subscription().checked);
        fake_set_ready(&world.sink, false);
        fixture_stand(&world.service, CALL_GET, 404, NOT_FOUND);
        world_until(world_status().missing);
}

/* Only a look can tell that its topic was deleted and made anew, which pulls go on from, and while the sink is away
 * that it is gone: one each minute. */
static void test_refresh_each_minute(void **state) {
        world.sink.ready = false;
        world_start(false);
        world_until(world_subscription().checked);
        stands = true;
        for (unsigned looks = 1; looks < 5; looks++) {
                passed += SUBSCRIPTION_REFRESH_USEC - 10 * USEC_PER_SEC;
                fixture_settle(&world.service, 100 * USEC_PER_MSEC);
                assert_int_equal(fixture_calls(&world.service, CALL_GET), looks);
                passed += 11 * USEC_PER_SEC;
                world_until(fixture_answered(&world.service, CALL_GET) == looks + 1);
                fixture_settle(&world.service, 100 * USEC_PER_MSEC);
                if (looks == 2) {
                        fake_set_ready(&world.sink, true);
                        world_until(fixture_hanging(&world.service) == 1);
                }
        }
        stands = false;
        fixture_stand(&world.service, CALL_GET, 200,
                "{\"name\":\"s\",\"topic\":\"_deleted-topic_\",\"ackDeadlineSeconds\":60,\"expirationPolicy\":{}}");
        passed += SUBSCRIPTION_REFRESH_USEC + USEC_PER_SEC;
        world_until(world_status().missing);
        assert_int_equal(fixture_hanging(&world.service), 1);
        fake_set_ready(&world.sink, false);
        assert_true(fixture_calls(&world.service, CALL_GET) >= 6);
}

/* GET needs a role that pulling does not. */
static void test_settings_may_not_be_read(void **state) {
        fixture_stand(&world.service, CALL_GET, 403, "{\"error\":{\"status\":\"PERMISSION_DENIED\"}}");
        world.sink.automatic = true;
        world_start(false);
        world_queue(1, 1);
        world_until(world_subscription().checked && world_status().acknowledged == 1);
        assert_false(world_status().missing);
        assert_false(world_status().failure.on);
        assert_int_equal(world_status().retention, 0);
}

static void test_retention_is_told(void **state) {
        fixture_stand(&world.service, CALL_GET, 200,
                SETTINGS("\"ackDeadlineSeconds\":60,\"messageRetentionDuration\":\"86400s\""));
        world_start(false);
        world_until(world_subscription().checked);
        assert_int_equal(world_status().retention, 24 * USEC_PER_HOUR);
}

/* ---- acknowledgements ---- */

/* A failed acknowledgement is sent again, with exactly the same ids. */
static void test_ack_is_tried_again(void **state) {
        fixture_script(&world.service, CALL_ACK, 503, "", "");
        fixture_script(&world.service, CALL_ACK, 503, "", "");
        world.sink.automatic = true;
        world_start(false);
        world_queue(1, 2);
        world_until(world_status().failure.on);
        assert_int_equal(world_status().acknowledged, 0);
        world_until(world_status().acknowledged == 2);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a1\",\"a2\"]}\n"), 3);
        assert_false(world_status().failure.on);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 1);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_RECOVERED), 1);
}

/* Later batches do not wait for it; it waits as long as the service wishes. */
/* Of one that is stopping it is not said: when it has gone nobody would say that it is over. */
static void test_ack_that_fails_at_the_stop(void **state) {
        fixture_script(&world.service, CALL_ACK, 503, "", "");
        fixture_script(&world.service, CALL_ACK, 503, "", "");
        world_start(false);
        world_queue(1, 2);
        world_until(world.sink.work);
        subscriber_stop(world.subscriber);
        fake_settle(&world.sink, FATE_STORED);
        world_until(world_status().acknowledged == 2);
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), 3);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 0);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_RECOVERED), 0);
}

static void test_ack_failure_holds_nothing_up(void **state) {
        fixture_script(&world.service, CALL_ACK, 429, "Retry-After: 2\r\n", "");
        world.sink.automatic = true;
        world_start(false);
        world_queue(1, 1);
        world_until(fixture_calls(&world.service, CALL_ACK) == 1);
        stands = true;
        world_queue(2, 1);
        world_until(world_status().acknowledged == 1);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a2\"]}\n"), 1);
        passed += USEC_PER_SEC;
        fixture_settle(&world.service, 100 * USEC_PER_MSEC);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a1\"]}\n"), 1);
        stands = false;
        world_until(world_status().acknowledged == 2);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a1\"]}\n"), 2);
}

/* After the deadline the id is worth nothing: it is dropped, and the queue delivers again. */
static void test_ack_is_dropped_with_the_lease(void **state) {
        unsigned calls;

        log_set_level(LOG_DEBUG);
        fixture_stand(&world.service, CALL_ACK, 503, "");
        fixture_stand(&world.service, CALL_LEASE, 503, "");
        world.sink.automatic = true;
        world_start(false);
        world_until(world_subscription().checked);
        world_queue(1, 1);
        world_until(fixture_calls(&world.service, CALL_ACK) >= 2);
        passed += 61 * USEC_PER_SEC; /* the lease has ended, and so does a try after that */
        world_until(world_logged("acknowledgements given up") == 1);
        calls = fixture_calls(&world.service, CALL_ACK);
        assert_in_range(calls, 2, 20);
        fixture_stand(&world.service, CALL_ACK, 0, NULL);
        fixture_settle(&world.service, 1500 * USEC_PER_MSEC);
        assert_int_equal(world_status().acknowledged, 0);
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), calls);
}

/* P4: after max_hold as well: what was granted before lasts. */
static void test_ack_is_tried_again_after_max_hold(void **state) {
        world.config.max_hold = 200 * USEC_PER_MSEC;
        fixture_script(&world.service, CALL_ACK, 503, "", "");
        world_start(false);
        world_queue(1, 2);
        world_until(world_logged(EVENT_LEASE_LAPSED) == 1);
        fake_settle_each(&world.sink, "sp");
        world_until(world_status().acknowledged == 1);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a1\"]}\n"), 2);
}

/* P6: an id that poisons its request does not keep the others from being acknowledged, and is not sent again. */
static void test_poisoned_ack(void **state) {
        fixture_script(&world.service, CALL_ACK, 400, "", INVALID); /* 1 2 */
        fixture_script(&world.service, CALL_ACK, 400, "", INVALID); /* 1 */
        world.sink.automatic = true;
        world_start(false);
        world_queue(1, 2);
        world_until(world_status().acknowledged == 1);
        fixture_settle(&world.service, 50 * USEC_PER_MSEC);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a1\"]}\n"), 1);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a2\"]}\n"), 1);
        assert_false(world_status().failure.on);
}

static void test_exactly_once_results(void **state) {
        fixture_script(&world.service, CALL_ACK, 400, "",
                "{\"error\":{\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":\"type.googleapis.com/"
                "google.rpc.ErrorInfo\",\"reason\":"
                "\"EXACTLY_ONCE_ACKID_FAILURE\",\"metadata\":{\"a1\":\"PERMANENT_FAILURE_INVALID_ACK_ID\",\"a3\":"
                "\"TRANSIENT_FAILURE_X\"}}]"
                "}}");
        world.sink.automatic = true;
        world_start(false);
        world_queue(1, 3);
        world_until(world_status().acknowledged == 1 && !world_status().failure.on); /* late is no failure */
        world_until(world_status().acknowledged == 2);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a3\"]}\n"), 1);
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), 2);
}

/* The acknowledgement was carried out and its answer lost: what an exactly-once subscription says to the next try is no
 * failure, and nothing is left. */
static void test_exactly_once_lost_answer(void **state) {
        fixture_script(&world.service, CALL_ACK, 503, "", "");
        fixture_script(&world.service, CALL_ACK, 400, "",
                "{\"error\":{\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":\"type.googleapis.com/"
                "google.rpc.ErrorInfo\",\"reason\":"
                "\"EXACTLY_ONCE_ACKID_FAILURE\",\"metadata\":{\"a1\":\"PERMANENT_FAILURE_INVALID_ACK_ID\",\"a2\":"
                "\"PERMANENT_FAILURE_INVALID_"
                "ACK_ID\"}}]}}");
        world.sink.automatic = true;
        world_start(false);
        world_queue(1, 2);
        world_until(world_status().acknowledged == 2);
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), 2);
        assert_false(world_status().failure.on);
        assert_int_equal(world_status().held, 0);
}

/* ---- leases ---- */

/* P5: through an outage of the sink the leases of all batches are renewed, in the sink and waiting. */
static void test_leases_through_an_outage(void **state) {
        fixture_stand(&world.service, CALL_GET, 200, SETTINGS("\"ackDeadlineSeconds\":2"));
        world_start(false);
        world_until(world_subscription().checked);
        world_queue(1, 600);
        world_queue(601, 2);
        world_until(world.sink.work && world_status().held == 602);
        fake_set_ready(&world.sink, false);
        world_until(world_asked("lease {\"ackDeadlineSeconds\":2,\"ackIds\":[\"a601\",\"a602\"]}\n") >= 2);
        world_until(world_asked("lease {\"ackDeadlineSeconds\":2,\"ackIds\":[\"a1\",") >= 2);
        assert_int_equal(world_asked("\"ackDeadlineSeconds\":0"), 0); /* never nacked */
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), 0);
        assert_int_equal(world_status().held, 602);
}

/* P5: after max_hold all batches are let go, once, without a nack; one message is kept for a try, and only when that is
 * stored is anything pulled. */
static void test_let_go_after_max_hold(void **state) {
        unsigned pulls;

        world_start(false);
        world_queue(1, 600);
        world_queue(601, 2);
        world_until(world.sink.work && world_status().held == 602);
        fake_set_ready(&world.sink, false);
        passed += world.config.max_hold;
        world_until(world_logged(EVENT_LEASE_LAPSED) == 2);
        assert_int_equal(world_status().held, 0);
        assert_int_equal(world_status().oldest_unsettled, UINT64_C(1767323045) * USEC_PER_SEC);
        assert_int_equal(world_asked("\"ackDeadlineSeconds\":0"), 0);
        pulls = fixture_calls(&world.service, CALL_PULL);
        world.sink.order.size = 0;
        fake_set_ready(&world.sink, true);
        world_until(world.sink.work);
        assert_string_equal(world.sink.order.data, "1 ");
        assert_int_equal(fixture_calls(&world.service, CALL_PULL), pulls);
        fake_settle(&world.sink, FATE_STORED);
        world_until(fixture_calls(&world.service, CALL_PULL) > pulls);
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), 0);
}

/* One message a minute, and no pull is ever answered without: that each of them has to be waited for tells that what
 * was left to the queue is there no more. */
static void test_left_and_come_again(void **state) {
        world.config.pulls = 1;
        world.config.max_hold = 500 * USEC_PER_MSEC;
        world_start(false);
        world_queue(1, 2);
        world_until(world.sink.work);
        fake_set_ready(&world.sink, false);
        world_until(world_logged(EVENT_LEASE_LAPSED) == 1);
        world.sink.automatic = true;
        fake_set_ready(&world.sink, true);
        world_queue(1, 2);
        world_until(world_status().acknowledged == 2);
        assert_int_equal(world_status().oldest_unsettled, UINT64_C(1767323045) * USEC_PER_SEC);
        assert_false(world_status().emptied);
        world_until(fixture_hanging(&world.service) == 1);
        passed += 60 * USEC_PER_SEC;
        world_queue(3, 1);
        world_until(world_status().acknowledged == 3 && fixture_hanging(&world.service) == 1);
        assert_false(world_status().emptied); /* one alone may have been slow on its way */
        passed += 60 * USEC_PER_SEC;
        world_queue(4, 1);
        world_until(world_status().acknowledged == 4);
        assert_int_equal(world_status().empty_pulls, 0);
        assert_int_equal(world_status().oldest_unsettled, 0);
        assert_true(world_status().emptied);
}

/* A message whose deliveries are counted. */
static void queue_counted(unsigned id) {
        char body[200];

        (void) snprintf(body, sizeof(body),
                "{\"receivedMessages\":[{\"ackId\":\"a%u\",\"deliveryAttempt\":1,\"message\":{\"data\":\"e30=\","
                "\"messageId\":\"%u\"}}]}",
                id, id);
        fixture_script(&world.service, CALL_PULL, 200, "", body);
}

/* P11: all is refused for longer than max_hold, with a dead-letter policy: what was refused first is set apart, scouts
 * do not lapse, and no more of them may be held. Those tell when it is over. */
static void test_as_many_scouts_as_may_be(void **state) {
        world.config.pulls = 1;
        world.config.backoff.initial = world.config.backoff.max = 5 * USEC_PER_MSEC;
        world.sink.automatic = true;
        world.sink.fate = FATE_MOVED; /* a code about the document, to each */
        for (unsigned id = 1; id <= 70; id++)
                queue_counted(id);
        world_start(false);
        world_until(world_status().held == 61);
        passed += USEC_PER_HOUR;
        world_until(world_logged(EVENT_LEASE_LAPSED) == 1);
        fixture_settle(&world.service, 300 * USEC_PER_MSEC);
        assert_in_range(fixture_calls(&world.service, CALL_PULL), 61, 62); /* one of them may be the sink's now */
        world.sink.fate = FATE_STORED;
        world_until(world_status().acknowledged >= 60);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void) {
        if (sizeof(time_t) >
                sizeof(long)) { /* libsystemd was built with another struct timespec, and is not deceived */
                (void) puts("SKIPPED: not possible here: the clock under libsystemd cannot be moved");
                return 77;
        }
        const struct CMUnitTest tests[] = {
                CASE(test_failing_and_recovered_once),
                CASE(test_retry_after_is_honoured),
                CASE(test_want_of_a_token_is_not_said),
                CASE(test_lasting_failure_is_said_too),
                CASE(test_malformed_reply),
                CASE(test_odd_element),
                CASE(test_reply_over_the_cap),
                CASE(test_cap_of_a_reply),
                CASE(test_reply_on_a_slow_line),
                CASE(test_reply_cut_by_a_sleep),
                CASE(test_one_message_over_the_cap),
                CASE(test_quick_empties_do_not_spin),
                CASE(test_idle_pulls_are_cut),
                CASE(test_missing),
                CASE(test_missing_is_known_with_the_sink_away),
                CASE(test_old_pull_does_not_hide_a_missing_subscription),
                CASE(test_deleted_topic),
                CASE(test_detached),
                CASE(test_refused_together),
                CASE(test_missing_by_acknowledge),
                CASE(test_missing_by_lease),
                CASE(test_refresh_each_minute),
                CASE(test_settings_may_not_be_read),
                CASE(test_retention_is_told),
                CASE(test_ack_is_tried_again),
                CASE(test_ack_that_fails_at_the_stop),
                CASE(test_ack_failure_holds_nothing_up),
                CASE(test_ack_is_dropped_with_the_lease),
                CASE(test_ack_is_tried_again_after_max_hold),
                CASE(test_poisoned_ack),
                CASE(test_exactly_once_results),
                CASE(test_exactly_once_lost_answer),
                CASE(test_leases_through_an_outage),
                CASE(test_let_go_after_max_hold),
                CASE(test_left_and_come_again),
                CASE(test_as_many_scouts_as_may_be),
        };

        return side_by_side(tests, ELEMENTSOF(tests));
}
