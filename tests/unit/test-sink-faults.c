/* SPDX-License-Identifier: Apache-2.0 */
/* What the sink makes of faults, and of messages that are put off, in virtual time, with a type that does what the test
 * says: P5, P6, P8, P11. */

#include "sink-fixture.h"

static int says_throttled(unsigned id) {
        return world.calls_for[id] * 7 + id % 5 < 3 ? THROTTLE : 0;
}

/* Throttling that takes some of a batch each time: slow, and no outage. */
static void test_throttling(void **state) {
        world.says = says_throttled;
        assert_null(write_batch(batch_from(1, 1000)));
        assert_true(status().ready);
        virtual_pass(world.loop, USEC_PER_MINUTE);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(batch_count(world.settled[0], FATE_STORED), 1000);
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
}

static int says_later_to_one(unsigned id) {
        return id == 1 ? LATER : 0;
}

static int says_forbidden_to_one(unsigned id) {
        return id == 1 ? LATER_LONG : 0;
}

static int says_later_to_most(unsigned id) {
        return id <= 6 ? LATER : 0;
}

static int says_forbidden_to_all(unsigned id) {
        return LATER_LONG;
}

/* P6, P11: a code that passes, and does not for one message: its neighbours are settled at once, the flow goes on, and
 * it is tried beside it without end; nothing is ever held against it. */
static void test_one_is_put_off(void **state) {
        int (*const says[])(unsigned id) = { says_later_to_one, says_forbidden_to_one };

        for (size_t i = 0; i < ELEMENTSOF(says); i++) {
                Batch *batch, *again;

                world.says = says[i];
                batch = write_batch(batch_from(1, 11));
                assert_non_null(batch);
                assert_int_equal(batch->fates[0], FATE_SUSPECT);
                assert_int_equal(batch_count(batch, FATE_STORED), 10);
                for (unsigned turn = 0; turn < 100; turn++) {
                        assert_true(sink_takes_batches(world.sink));
                        assert_true(batch->suspicions[0].due <= clock_now() + 5 * USEC_PER_SEC);
                        virtual_pass(world.loop, batch->suspicions[0].due - clock_now());
                        batch_free(write_batch(batch_from(100 + turn, 1)));
                        assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &again), 0);
                        again->aside = true;
                        assert_ptr_equal(write_batch(again), again);
                        assert_int_equal(again->fates[0], FATE_SUSPECT);
                        batch_free(batch);
                        batch = again;
                        world.n_settled = 0;
                }
                world.says = says_yes;
                assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &again), 0);
                batch_free(batch);
                batch_free(write_batch(again));
                world.n_settled = 0;
        }
        assert_int_equal(status().stored, 2 * (10 + 100 + 1));
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
}

/* Many of a batch: it is tried again as a whole, and a scout tells an outage from messages that are odd. */
static void test_many_are_put_off(void **state) {
        Batch *scout;

        world.says = says_later_to_most;
        assert_null(write_batch(batch_from(1, 10)));
        assert_true(sink_takes_batches(world.sink));
        virtual_pass(world.loop, 2 * USEC_PER_SEC);
        assert_true(sink_wants_scout(world.sink));
        scout = write_batch(batch_from(20, 1));
        assert_int_equal(scout->fates[0], FATE_STORED);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 2);
        assert_int_equal(batch_count(world.settled[1], FATE_SUSPECT), 6);
        assert_int_equal(batch_count(world.settled[1], FATE_STORED), 4);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(status().rejected, 0);
}

/* All of them: an outage, in the remote's own words, held through; and nothing is rejected when its time is over. */
static void test_all_are_put_off(void **state) {
        Batch *batch = batch_from(1, 100);

        world.says = says_forbidden_to_all;
        assert_null(write_batch(batch));
        virtual_pass(world.loop, 50 * USEC_PER_MINUTE);
        assert_true(sink_wants_scout(world.sink));
        assert_false(status().ready);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged("SENSORQD_REASON=busy"), 1);
        sink_let_go(world.sink, batch);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(batch_count(world.settled[0], FATE_PENDING), 100);
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_UP), 1);
        assert_int_equal(status().rejected, 0);
}

/* From one kind of trouble to the other and back: one outage. */
static void test_fault_and_refusal_are_one_outage(void **state) {
        world.says = says_fault;
        assert_null(write_batch(batch_from(1, 3)));
        virtual_pass(world.loop, 2 * BACKOFF_MAX);
        world.says = says_odd_to_all;
        virtual_pass(world.loop, 2 * BACKOFF_MAX);
        assert_true(sink_wants_scout(world.sink));
        world.says = says_fault;
        virtual_pass(world.loop, 2 * BACKOFF_MAX);
        assert_false(sink_wants_scout(world.sink));
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
}

static int says_yes_and_breaks_off(unsigned id) {
        return id == 1 || id == 20 ? 0 : FAULT;
}

/* The outage is over, and the first write breaks off when some were taken: what is left is written again as a whole,
 * for a type that sends a request without an answer again as it was. */
static void test_fault_after_all_were_refused(void **state) {
        world.says = says_odd_to_all;
        assert_null(write_batch(batch_from(1, 3)));
        assert_true(sink_wants_scout(world.sink));
        world.says = says_yes_and_breaks_off;
        assert_non_null(write_batch(batch_from(20, 1)));
        virtual_pass(world.loop, 0);
        assert_int_equal(status().stored, 2);
        assert_false(sink_wants_scout(world.sink));
        world.largest = 0;
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.largest, 2);
        assert_int_equal(world.n_settled, 2);
}

/* A single failure between two good answers is not said. */
static void test_one_fault_is_not_said(void **state) {
        world.says = says_fault;
        assert_null(write_batch(batch_from(1, 3)));
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
        assert_int_equal(logged(EVENT_SINK_UP), 0);
}

/* The remote was down, and then refused the one message by itself: whether it is up again is asked, not forgotten. */
static void test_one_is_put_off_after_a_fault(void **state) {
        Batch *batch, *alone;

        world.says = says_later_to_one;
        batch = write_batch(batch_from(1, 3));
        assert_non_null(batch);
        assert_int_equal(batch->fates[0], FATE_SUSPECT);
        assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &alone), 0);
        alone->aside = true;
        world.says = says_fault;
        assert_null(write_batch(alone));
        world.says = says_later_to_one;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.n_settled, 2);
        assert_true(sink_takes_batches(world.sink));
        assert_non_null(write_batch(batch_from(4, 1)));
}

/* A server that was lost while idle: not ready until it has answered again. */
static void test_not_ready_while_probing(void **state) {
        world.says = says_fault;
        sink_host_seen(world.host, SINK_SEEN_LOST);
        virtual_pass(world.loop, 0);
        assert_false(sink_takes_batches(world.sink));
        assert_int_equal(sink_write(world.sink, NULL), SINK_WRITE_BUSY);
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_true(sink_takes_batches(world.sink));
}

/* P8: at the stop all comes back, the scout too. */
static void test_stop_with_a_batch_and_a_scout(void **state) {
        world.says = says_odd_to_all;
        assert_null(write_batch(batch_from(1, 3)));
        assert_int_equal(sink_write(world.sink, batch_from(10, 1)), SINK_WRITE_STARTED);
        sink_stop(world.sink, false);
        assert_true(sink_is_busy(world.sink));
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 2);
        assert_false(sink_is_busy(world.sink));
}

/* A library's words end with a full stop of their own, or two. */
static void test_sentences_of_a_library(void **state) {
        SinkSaid said = { .subscription = "sub", .what = "MongoDB", .place = "home" };
        const SinkAnswer answer = { .reason = "unreachable",
                .words = "cannot be reached",
                .remedy = "Look there",
                .detail = "Not now. Try again later.." };

        sink_said_down(&said, &answer, false, USEC_PER_HOUR);
        assert_int_equal(logged("cannot be reached: Not now. Try again later. No messages are pulled"), 1);
        assert_string_equal(said.down.detail, "unreachable: Not now. Try again later; Look there");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                CASE(test_throttling),
                CASE(test_one_is_put_off),
                CASE(test_many_are_put_off),
                CASE(test_all_are_put_off),
                CASE(test_fault_and_refusal_are_one_outage),
                CASE(test_fault_after_all_were_refused),
                CASE(test_one_fault_is_not_said),
                CASE(test_one_is_put_off_after_a_fault),
                CASE(test_not_ready_while_probing),
                CASE(test_stop_with_a_batch_and_a_scout),
                CASE(test_sentences_of_a_library),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
