/* SPDX-License-Identifier: Apache-2.0 */
/* The subscriber when all is well, and its stop: P3 (what is acknowledged), P8 (stop). */
#include "subscriber-fixture.h"

static void test_store_and_acknowledge(void **state) {
        world.sink.automatic = true;
        world_start(false);
        world_queue(1, 3);
        world_until(world_status().acknowledged == 3);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a1\",\"a2\",\"a3\"]}\n"), 1);
        assert_int_equal(world_asked("pull {\"maxMessages\":1000}\n") >= 1, true);
        assert_int_equal(world_status().received, 3);
        assert_int_equal(world_status().held, 0);
        assert_true(world_status().last_ack > 0 && world_status().last_pull > 0);
        assert_true(world.changes > 0);
        assert_false(world_status().failure.on);
        assert_int_equal(fixture_calls(&world.service, CALL_LEASE), 0);
}

/* P3: nothing is acknowledged before the sink has said so. */
static void test_nothing_before_it_is_settled(void **state) {
        world_start(false);
        world_queue(1, 1);
        world_until(world.sink.work);
        fixture_settle(&world.service, 100 * USEC_PER_MSEC);
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), 0);
        assert_int_equal(world_status().held, 1);
        assert_int_equal(world_status().oldest_unsettled, UINT64_C(1767323045) * USEC_PER_SEC);
        fake_settle(&world.sink, FATE_STORED);
        assert_int_equal(world_status().held, 0);
        world_until(world_status().acknowledged == 1);
}

/* P3: stored, duplicate and rejected are acknowledged; failed is held, and told of. */
static void test_only_settled_is_acknowledged(void **state) {
        world_start(false);
        world_queue(1, 4);
        world_until(world.sink.work);
        fake_settle_each(&world.sink, "sfrd");
        world_until(world_status().acknowledged == 3);
        assert_int_equal(world_asked("\"ackIds\":[\"a1\",\"a3\",\"a4\"]}"), 1);
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a2\""), 0);
        assert_int_equal(world_asked("\"ackDeadlineSeconds\":0"), 0);
        assert_int_equal(world_status().held, 1);
        assert_int_equal(world_status().unkept, 1);
        assert_int_equal(world_status().unkept_since, UINT64_C(1767323045) * USEC_PER_SEC);
}

static void test_all_failed_acknowledges_nothing(void **state) {
        world_start(false);
        world_queue(1, 2);
        world_until(world.sink.work);
        fake_settle(&world.sink, FATE_UNKEPT);
        fixture_settle(&world.service, 100 * USEC_PER_MSEC);
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), 0);
        assert_int_equal(world_asked("\"ackDeadlineSeconds\":0"), 0);
        assert_int_equal(world_status().unkept, 2);
}

/* The next batch goes to the sink from inside on_settled: it never idles while one waits. */
static void test_sink_is_kept_busy(void **state) {
        world_start(false);
        world_queue(1, 600);
        world_queue(601, 600);
        world_until(world.sink.work && world_status().held == 1200);
        assert_int_equal(fixture_hanging(&world.service), 0); /* two batches not settled, pulls: 2 */
        fake_settle(&world.sink, FATE_STORED);
        assert_non_null(world.sink.work);
        assert_int_equal(world.sink.writes, 2);
        fake_settle(&world.sink, FATE_STORED);
        world_until(world_status().acknowledged == 1200);
        assert_non_null(strstr(world.sink.order.data, "600 601 "));
}

/* P6: what waits aside has its turn, however long the queue is. */
static void test_aside_has_its_turn(void **state) {
        world_start(false);
        world_queue(1, 2);
        world_queue(3, 1);
        world_until(world.sink.work && world_status().held == 3);
        fake_settle_each(&world.sink, "so");
        assert_non_null(world.sink.work); /* 3, at once: before 2 is due, however slow the machine */
        world_queue(4, 1);
        world_until(world_status().held == 3);
        fixture_settle(&world.service, 1100 * USEC_PER_MSEC); /* it is due */
        fake_settle(&world.sink, FATE_STORED);
        world_until(world.sink.work);
        fake_settle(&world.sink, FATE_STORED);
        world_until(world.sink.work);
        assert_string_equal(world.sink.order.data, "1 2 3 2 4 ");
}

/* Of a batch the first message is stored, and the others are suspects. */
static void settle_suspects(unsigned first, unsigned n) {
        world_queue(first, n);
        world_until(world.sink.work);
        for (size_t i = 0; i < n; i++)
                fake_set_fate(&world.sink.work->items[i], i == 0 ? FATE_STORED : FATE_SUSPECT);
        fake_answer(&world.sink);
}

/* Where many of those that wait aside go at once, all that kept a slot find room. */
static void test_room_for_all(void **state) {
        world.config.max_hold = 10 * USEC_PER_SEC; /* longer than a busy machine takes over five batches */
        world.config.pulls = 4;
        world_start(false);
        stands = true; /* none of those aside is due again before all are there */
        settle_suspects(1, 1000);
        settle_suspects(1001, 2);
        settle_suspects(1003, 2);
        settle_suspects(1005, 2);
        settle_suspects(1007, 2);
        stands = false;
        assert_int_equal(world_status().aside, 1000);
        assert_int_equal(world_status().held, 1003);
        world_until(world_status().aside < 1000);
        assert_int_equal(world_status().aside, world_status().held);
}

static void test_one_pull_hangs_when_empty(void **state) {
        world.config.pulls = 4;
        world_start(false);
        world_until(fixture_hanging(&world.service) == 1);
        fixture_settle(&world.service, 100 * USEC_PER_MSEC);
        assert_int_equal(fixture_calls(&world.service, CALL_PULL), 1);
}

/* With nothing to do but to wait for that pull, it sleeps. */
static void test_sleeps_when_empty(void **state) {
        world_start(false);
        world_until(fixture_hanging(&world.service) == 1 && world_subscription().checked);
        fixture_settle(&world.service, 300 * USEC_PER_MSEC);
        world.changes = 0;
        fixture_settle(&world.service, 700 * USEC_PER_MSEC);
        assert_int_equal(world.changes, 0);
}

static void test_backlog_takes_more_pulls(void **state) {
        world.config.pulls = 4;
        world_start(false);
        world_queue(1, 1000);
        world_until(world.sink.work);
        world_until(fixture_hanging(&world.service) == 3);
        fixture_settle(&world.service, 50 * USEC_PER_MSEC);
        assert_int_equal(fixture_hanging(&world.service), 3);
}

/* P5: no pull before the sink answers. */
static void test_no_pull_while_the_sink_is_away(void **state) {
        world.sink.ready = false;
        world_start(false);
        world_until(world_subscription().checked);
        fixture_settle(&world.service, 50 * USEC_PER_MSEC);
        assert_int_equal(fixture_calls(&world.service, CALL_PULL), 0);
        assert_true(world_status().paused);
        assert_true(world_status().paused_since > 0);
        fake_set_ready(&world.sink, true);
        world_until(fixture_hanging(&world.service) == 1);
        assert_false(world_status().paused);
        assert_int_equal(world_status().paused_since, 0);
}

/* P5: what a pull brings while the sink is away waits, and is not nacked. */
static void test_what_comes_meanwhile_waits(void **state) {
        world_start(false);
        world_until(fixture_hanging(&world.service) == 1);
        fake_set_ready(&world.sink, false);
        world_queue(1, 2);
        world_until(world_status().held == 2);
        fixture_settle(&world.service, 50 * USEC_PER_MSEC);
        assert_int_equal(world.sink.writes, 0);
        assert_int_equal(fixture_calls(&world.service, CALL_PULL), 1);
        assert_int_equal(fixture_calls(&world.service, CALL_LEASE), 0);
        world.sink.automatic = true;
        fake_set_ready(&world.sink, true);
        world_until(world_status().acknowledged == 2);
}

/* P6: where only a message can tell how the remote is, and those that come first can never be stored, the next one is
 * not waited for. */
static void test_bad_scouts(void **state) {
        world.config.backoff.max = 60 * USEC_PER_SEC;
        world.sink.automatic = world.sink.untried = true;
        world.sink.fate = FATE_REJECTED;
        world_start(false);
        for (unsigned id = 1; id <= 3; id++)
                world_queue(id, 1);
        world_until(world_status().acknowledged == 3);
        world.sink.fate = FATE_STORED;
        world_queue(4, 1);
        world_until(world_status().acknowledged == 4);
        assert_int_equal(world_asked("pull {\"maxMessages\":1}"), 4);
        assert_false(world_status().paused);
}

/* P6: a good message behind many that are refused is found soon: each scout brings one more than all before. */
static void test_scouts_grow(void **state) {
        world.config.pulls = 1;
        world.config.backoff.initial = world.config.backoff.max = 5 * USEC_PER_MSEC;
        world.sink.automatic = true;
        world.sink.fate = FATE_MOVED; /* a code about the document, to each */
        for (unsigned id = 1; id < 256; id *= 2)
                world_queue(id, id);
        world_start(false);
        world_until(world_status().received == 255);
        world_until(world_asked("pull {\"maxMessages\":255}") == 1); /* the first batch is none of them */
        assert_int_equal(world_asked("pull {\"maxMessages\":1}"), 1);
        assert_int_equal(world_asked("pull {\"maxMessages\":3}"), 1);
        assert_int_equal(world_asked("pull {\"maxMessages\":127}"), 1);
        assert_int_equal(world_status().sink.rejected, 0);
        world.sink.fate = FATE_STORED;
        world_queue(256, 1);
        world_until(world_status().acknowledged == 256);
}

/* ... also where a type asks for ten of them at a time. */
static void test_scouts_are_tried_to_their_end(void **state) {
        world.config.pulls = 1;
        world.config.backoff.initial = world.config.backoff.max = 5 * USEC_PER_MSEC;
        world.sink.automatic = true;
        world.sink.fate = FATE_MOVED;
        world.sink.patience = 10;
        world.sink.good = 45;
        world_queue(1, 5);
        world_queue(6, 1);
        world_queue(7, 40);
        world_start(false);
        world_until(world_status().received == 46);
        world_until(world_asked("ack {\"ackIds\":[\"a45\"]}") == 1);
}

/* ... but where each delivery is counted, as few as can be are taken out of the queue. */
static void test_counted_scouts_do_not_grow(void **state) {
        world.config.pulls = 1;
        world.config.backoff.initial = world.config.backoff.max = 5 * USEC_PER_MSEC;
        world.sink.automatic = true;
        world.sink.fate = FATE_MOVED;
        for (unsigned id = 1; id <= 6; id++) {
                _cleanup_bytes_ Bytes body = {};

                assert_int_equal(bytes_append_format(&body,
                                         "{\"receivedMessages\":[{\"ackId\":\"a%u\",\"deliveryAttempt\":1,"
                                         "\"message\":{\"data\":\"e30=\",\"messageId\":\"%u\"}}]}",
                                         id, id),
                        0);
                fixture_script(&world.service, CALL_PULL, 200, "", body.data);
        }
        world_start(false);
        world_until(world_status().received == 6);
        world_until(world_asked("pull {\"maxMessages\":1}") == 6);
        assert_int_equal(world_asked("pull {\"maxMessages\":2}"), 0);
}

/* ... but while acknowledgements fail, no more of them are taken out of the queue than of any other messages. */
static void test_bad_scouts_that_cannot_be_acknowledged(void **state) {
        world.sink.automatic = world.sink.untried = true;
        world.sink.fate = FATE_REJECTED;
        fixture_stand(&world.service, CALL_ACK, 503, "");
        for (unsigned id = 1; id <= 30; id++)
                world_queue(id, 1);
        world_start(false);
        world_until(world_status().received >= 16);
        fixture_settle(&world.service, 300 * USEC_PER_MSEC);
        assert_int_equal(world_status().received, 16);
        fixture_stand(&world.service, CALL_ACK, 0, NULL);
        world_until(world_status().acknowledged == 30);
}

/* One message is refused, and none other comes that could tell: it is tried again, and that is no standstill. */
static void test_waits_for_another_opinion(void **state) {
        world.config.backoff.initial = world.config.backoff.max = 60 * USEC_PER_SEC;
        world.sink.automatic = true;
        world.sink.fate = FATE_SUSPECT;
        world_start(false);
        world_queue(1, 1);
        world_until(world_status().sink.refusing);
        assert_true(world_status().sink.ready);
        assert_true(world_status().sink.retry_at > clock_now());
        world.sink.fate = FATE_STORED;
        world_queue(2, 1);
        world_until(world_status().acknowledged == 2);
        assert_false(world_status().sink.refusing);
}

/* Only a message can tell, and none comes: the sink was reached, and a pull waits for one. */
static void test_untried(void **state) {
        usec_t begun = clock_wall();

        world.sink.automatic = world.sink.untried = true;
        world_start(false);
        world_until(fixture_hanging(&world.service) == 1 && clock_wall() > begun + USEC_PER_SEC / 4);
        assert_true(world_status().sink.untried && !world_status().sink.ready);
        assert_false(world_status().paused);
        fake_set_ready(&world.sink, false);
        world_until(world.sink.probe);
        fake_fail(world.sink.probe);
        sink_host_answer(world.sink.host);
        world_until(world_status().paused);
        assert_false(world_status().sink.untried);
        assert_true(world_status().paused_since > begun + USEC_PER_SEC / 4); /* not since the start */
        world.sink.probe = NULL;
        fake_set_ready(&world.sink, true);
        world_until(world_status().sink.untried); /* it answers again, and nobody knows more */
        assert_false(world_status().paused || world_status().sink.failure.since > 0);
        world_queue(1, 1);
        world_until(world_status().acknowledged == 1);
        assert_true(world_status().sink.ready && !world_status().sink.untried);
}

static void queue_large(unsigned id, size_t size) {
        _cleanup_bytes_ Bytes body = {};

        assert_int_equal(bytes_append_text(&body, "{\"receivedMessages\":[{\"ackId\":\"a"), 0);
        assert_int_equal(bytes_append_format(&body, "%u\",\"message\":{\"messageId\":\"%u\",\"data\":\"", id, id), 0);
        assert_int_equal(bytes_reserve(&body, size), 0);
        memset(body.data + body.size, 'A', size);
        body.size += size;
        assert_int_equal(bytes_append_text(&body, "\"}}]}"), 0);
        fixture_script(&world.service, CALL_PULL, 200, "", body.data);
}

/* P5: scouts are held as long as the outage lasts, so of large messages fewer are. */
static void test_large_scouts(void **state) {
        world.config.pulls = 1;
        world.config.backoff.initial = world.config.backoff.max = 5 * USEC_PER_MSEC;
        world.sink.automatic = true;
        world.sink.fate = FATE_MOVED; /* a code about the document, to each */
        for (unsigned id = 1; id <= 12; id++)
                queue_large(id, 8 << 20);
        world_start(false);
        world_until(world_status().held == 6);
        fixture_settle(&world.service, 300 * USEC_PER_MSEC);
        assert_in_range(world_status().received, 6, 7);
        world.sink.fate = FATE_STORED;
        world_until(world_status().acknowledged == 12);
}

/* P11: an outage is said once, however long it is: not for each scout whose time is over. */
static void test_scouts_lapse_in_silence(void **state) {
        world.config.pulls = 1;
        world.config.max_hold = 2 * USEC_PER_SEC;
        world.config.backoff.initial = world.config.backoff.max = 5 * USEC_PER_MSEC;
        world.sink.automatic = true;
        world.sink.fate = FATE_SUSPECT;
        world_start(false);
        for (unsigned id = 1; id <= 5; id++)
                world_queue(id, 1);
        world_until(world_status().received == 5);
        world_until(world_status().held == 0);
        assert_int_equal(world_logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(world_logged(EVENT_LEASE_LAPSED), 1);
}

/* ---- stop ---- */

/* P8: what waits is released, what is being written may end and is acknowledged. */
static void test_stop(void **state) {
        world_start(false);
        world_queue(1, 600);
        world_queue(601, 2);
        world_until(world.sink.work && world_status().held == 602);
        subscriber_stop(world.subscriber);
        assert_false(subscriber_is_stopped(world.subscriber));
        world_until(world_asked("lease {\"ackDeadlineSeconds\":0,\"ackIds\":[\"a601\",\"a602\"]}\n") == 1);
        assert_false(subscriber_is_stopped(world.subscriber));
        fake_settle(&world.sink, FATE_STORED);
        world_until(subscriber_is_stopped(world.subscriber));
        assert_int_equal(world_status().acknowledged, 600);
        fixture_settle(&world.service, 20 * USEC_PER_MSEC);
        assert_int_equal(fixture_calls(&world.service, CALL_LEASE), 1);
}

/* P8: a write that ends at the stop: settled ones are acknowledged, the others released at once. */
static void test_stop_with_a_mixed_batch(void **state) {
        world_start(false);
        world_queue(1, 4);
        world_until(world.sink.work);
        subscriber_stop(world.subscriber);
        fake_settle_each(&world.sink, "sfpd");
        world_until(subscriber_is_stopped(world.subscriber));
        assert_int_equal(world_asked("ack {\"ackIds\":[\"a1\",\"a4\"]}\n"), 1);
        assert_int_equal(world_asked("lease {\"ackDeadlineSeconds\":0,\"ackIds\":[\"a2\",\"a3\"]}\n"), 1);
}

/* The sink gives its batch back inside stop(). */
static void test_stop_brings_the_batch_back(void **state) {
        world_start(false);
        world_queue(1, 1);
        world_until(world.sink.work);
        fake_set_ready(&world.sink, false);
        subscriber_stop(world.subscriber);
        world_until(subscriber_is_stopped(world.subscriber));
        assert_int_equal(world_asked("lease {\"ackDeadlineSeconds\":0,\"ackIds\":[\"a1\"]}\n"), 1);
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), 0);
}

/* P8: what is released goes to a pull that still hangs. It is read, and given back too; no pull follows it. */
static void test_stop_gives_back_what_comes_late(void **state) {
        world.config.backoff.initial = world.config.backoff.max = 10 * USEC_PER_SEC;
        world_start(false);
        world_queue(1, 1);
        world_until(world.sink.work && fixture_hanging(&world.service) == 1);
        fake_set_ready(&world.sink, false);
        stands = true; /* it waits for a second after the release */
        subscriber_stop(world.subscriber);
        assert_false(subscriber_is_stopped(world.subscriber));
        world_until(world_asked("lease {\"ackDeadlineSeconds\":0,\"ackIds\":[\"a1\"]}\n") == 1);
        world_queue(7, 2);
        world_until(world_asked("lease {\"ackDeadlineSeconds\":0,\"ackIds\":[\"a7\",\"a8\"]}\n") == 1);
        stands = false;
        world_until(subscriber_is_stopped(world.subscriber));
        assert_int_equal(fixture_calls(&world.service, CALL_PULL), 2);
        assert_int_equal(fixture_calls(&world.service, CALL_ACK), 0);
        assert_int_equal(world.sink.writes, 1);
}

/* P8: a pull that fails while the stop waits for the write is no news. */
static void test_stop_while_pulls_fail(void **state) {
        world_start(false);
        world_queue(1, 1);
        world_until(world.sink.work && fixture_hanging(&world.service) == 1);
        subscriber_stop(world.subscriber);
        fixture_script(&world.service, CALL_PULL, 503, "", "");
        world_until(fixture_hanging(&world.service) == 0);
        fixture_settle(&world.service, 50 * USEC_PER_MSEC);
        fake_settle(&world.sink, FATE_STORED);
        world_until(subscriber_is_stopped(world.subscriber));
        assert_int_equal(world_status().acknowledged, 1);
        assert_int_equal(world_logged(EVENT_SUBSCRIPTION_FAILING), 0);
        assert_int_equal(fixture_calls(&world.service, CALL_PULL), 2);
}

static void test_stop_while_idle(void **state) {
        world_start(false);
        world_until(fixture_hanging(&world.service) == 1);
        world.changes = 0;
        subscriber_stop(world.subscriber);
        assert_true(subscriber_is_stopped(world.subscriber));
        world_until(world.changes > 0);
}

/* Nothing is lost sight of when all is dropped in the middle. */
static void test_free_in_the_middle(void **state) {
        world_start(false);
        world_queue(1, 600);
        world_queue(601, 600);
        world_until(world.sink.work && world_status().held == 1200);
        fake_settle(&world.sink, FATE_STORED);
        world.subscriber = subscriber_free(world.subscriber);
        fixture_settle(&world.service, 20 * USEC_PER_MSEC);
}

/* ---- once ---- */

static void test_once(void **state) {
        bool complete = false;

        world.sink.automatic = true;
        world_queue(1, 3);
        world_queue(4, 1);
        world_start(true);
        world_until(world_subscription().checked);
        fixture_settle(&world.service, 50 * USEC_PER_MSEC);
        assert_int_equal(fixture_calls(&world.service, CALL_PULL), 0); /* not before it is told to begin */
        assert_false(subscriber_is_drained(world.subscriber, &complete));
        subscriber_begin(world.subscriber);
        world_until(subscriber_is_drained(world.subscriber, &complete));
        assert_true(complete);
        assert_int_equal(world_status().acknowledged, 4);
        assert_int_equal(world_asked("\"returnImmediately\":true"), fixture_calls(&world.service, CALL_PULL));
        assert_true(world_status().empty_pulls >= 3);
}

/* No write could be tried, since the user may not update: the first message tells. */
static void test_once_without_a_trial(void **state) {
        bool complete = false;

        world.sink.automatic = world.sink.untried = true;
        world_queue(1, 1);
        world_queue(2, 3);
        world_start(true);
        world_until(world_subscription().checked);
        fixture_settle(&world.service, 50 * USEC_PER_MSEC);
        assert_int_equal(fixture_calls(&world.service, CALL_PULL), 0);
        subscriber_begin(world.subscriber);
        world_until(subscriber_is_drained(world.subscriber, &complete));
        assert_true(complete);
        assert_int_equal(world_status().acknowledged, 4);
        assert_int_equal(world_asked("pull {\"maxMessages\":1,"), 1);
}

/* ... and where there is none, all is done, also while another subscription takes its time. */
static void test_once_without_a_trial_and_a_message(void **state) {
        bool complete = false;

        world.sink.automatic = world.sink.untried = true;
        world_start(true);
        subscriber_begin(world.subscriber);
        world_until(subscriber_is_drained(world.subscriber, &complete));
        assert_true(complete);
        fixture_settle(&world.service, 1 * USEC_PER_SEC);
        assert_in_range(fixture_calls(&world.service, CALL_PULL), 3, 4);
        passed += 11 * USEC_PER_SEC; /* longer than a sink is waited for */
        complete = false;
        assert_true(subscriber_is_drained(world.subscriber, &complete));
        assert_true(complete);
}

static void test_once_says_what_is_left(void **state) {
        bool complete = true;

        world.sink.automatic = true;
        world.sink.fate = FATE_UNKEPT;
        world_queue(1, 1);
        world_start(true);
        subscriber_begin(world.subscriber);
        world_until(subscriber_is_drained(world.subscriber, &complete));
        assert_false(complete);
}

/* Stored, and delivered again: its acknowledgement came too late. */
/* The messages of a reply that was discarded are leased: the pulls after it find nothing. */
static void test_once_says_what_a_reply_had(void **state) {
        bool complete = true;

        fixture_script(&world.service, CALL_PULL, 413, "", "");
        world.sink.automatic = true;
        world_start(true);
        subscriber_begin(world.subscriber);
        world_until(subscriber_is_drained(world.subscriber, &complete));
        assert_false(complete);
        assert_false(world_status().failure.on);
}

static void test_once_says_what_comes_again(void **state) {
        bool complete = true;

        fixture_script(&world.service, CALL_ACK, 400, "",
                "{\"error\":{\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
                "\"reason\":\"EXACTLY_ONCE_ACKID_FAILURE\",\"metadata\":{\"a1\":\"PERMANENT_FAILURE_INVALID_ACK_ID\"}}]}}");
        world.sink.automatic = true;
        world_queue(1, 1);
        world_start(true);
        subscriber_begin(world.subscriber);
        world_until(subscriber_is_drained(world.subscriber, &complete));
        assert_false(complete);
}

static void test_once_cannot_go_on(void **state) {
        bool complete = true;

        fixture_stand(&world.service, CALL_PULL, 403, "{\"error\":{\"status\":\"PERMISSION_DENIED\"}}");
        world_start(true);
        subscriber_begin(world.subscriber);
        world_until(subscriber_is_drained(world.subscriber, &complete));
        assert_false(complete);
        assert_in_range(fixture_calls(&world.service, CALL_PULL), 1, world.config.pulls);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                CASE(test_store_and_acknowledge),
                CASE(test_nothing_before_it_is_settled),
                CASE(test_only_settled_is_acknowledged),
                CASE(test_all_failed_acknowledges_nothing),
                CASE(test_sink_is_kept_busy),
                CASE(test_aside_has_its_turn),
                CASE(test_room_for_all),
                CASE(test_one_pull_hangs_when_empty),
                CASE(test_sleeps_when_empty),
                CASE(test_backlog_takes_more_pulls),
                CASE(test_no_pull_while_the_sink_is_away),
                CASE(test_what_comes_meanwhile_waits),
                CASE(test_bad_scouts),
                CASE(test_scouts_grow),
                CASE(test_scouts_are_tried_to_their_end),
                CASE(test_counted_scouts_do_not_grow),
                CASE(test_bad_scouts_that_cannot_be_acknowledged),
                CASE(test_waits_for_another_opinion),
                CASE(test_untried),
                CASE(test_large_scouts),
                CASE(test_scouts_lapse_in_silence),
                CASE(test_stop),
                CASE(test_stop_with_a_mixed_batch),
                CASE(test_stop_brings_the_batch_back),
                CASE(test_stop_gives_back_what_comes_late),
                CASE(test_stop_while_pulls_fail),
                CASE(test_stop_while_idle),
                CASE(test_free_in_the_middle),
                CASE(test_once),
                CASE(test_once_without_a_trial),
                CASE(test_once_without_a_trial_and_a_message),
                CASE(test_once_says_what_is_left),
                CASE(test_once_says_what_a_reply_had),
                CASE(test_once_says_what_comes_again),
                CASE(test_once_cannot_go_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
