/* SPDX-License-Identifier: Apache-2.0 */
/* What the sink makes of refusals, in virtual time, with a type that does what the test says: P6, P11. */

#include <limits.h>

#include "sink-fixture.h"

/* ---- refusals while others are accepted ---- */

/* P6: an odd message leaves the batch, and its neighbours are settled at once. */
static void test_one_odd_message(void **state) {
        Batch *batch;

        world.says = says_odd_to_one;
        batch = write_batch(batch_from(1, 11));
        assert_non_null(batch);
        assert_int_equal(batch->fates[0], FATE_SUSPECT);
        assert_int_equal(batch_count(batch, FATE_STORED), 10);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
}

/* ... and is tried alone until it is known to be its own fault. */
static void test_odd_message_is_rejected_in_the_end(void **state) {
        Batch *batch, *again;
        usec_t begin = clock_now();
        unsigned id = 100;

        world.says = says_odd_to_one;
        batch = write_batch(batch_from(1, 2));
        assert_int_equal(batch->fates[0], FATE_SUSPECT);
        for (;;) {
                virtual_pass(world.loop, batch->suspicions[0].due - clock_now());
                batch_free(write_batch(batch_from(id++, 1))); /* the flow goes on */
                world.n_settled--;
                assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &again), 0);
                again->aside = true;
                assert_ptr_equal(write_batch(again), again);
                batch_free(batch);
                batch = again;
                world.n_settled = 0;
                if (batch->fates[0] != FATE_SUSPECT)
                        break;
        }
        assert_int_equal(batch->fates[0], FATE_REJECTED);
        assert_in_range(clock_now() - begin, BLAME_SPAN_USEC, BLAME_SPAN_USEC + USEC_PER_MINUTE);
        assert_int_equal(status().rejected, 1);
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
        batch_free(batch);
}

static void test_about_the_document(void **state) {
        Batch *batch;

        world.says = says_validator_to_one;
        world.knows = true;
        batch = write_batch(batch_from(1, 3));
        assert_int_equal(batch->fates[0], FATE_REJECTED);
        assert_int_equal(batch_count(batch, FATE_STORED), 2);
}

/* Those that are SUSPECT in it, tried alone when the first one's time has come; it is freed, and they come back as a
 * batch. */
static Batch *try_suspects(Batch *batch) {
        BatchPick picks[64];
        usec_t due = USEC_INFINITY;
        Batch *again;
        size_t n = 0;

        for (size_t i = 0; i < batch->pull.n; i++)
                if (batch->fates[i] == FATE_SUSPECT) {
                        due = batch->suspicions[i].due < due ? batch->suspicions[i].due : due;
                        picks[n++] = (BatchPick){ batch, i };
                }
        assert_in_range(n, 1, ELEMENTSOF(picks));
        assert_int_equal(batch_gather(picks, n, &again), 0);
        again->aside = true;
        batch_free(batch);
        world.n_settled = 0;
        if (due > clock_now())
                virtual_pass(world.loop, due - clock_now());
        assert_ptr_equal(write_batch(again), again);
        return again;
}

/* ... which a type may not know: its neighbours are settled at once, and it is tried alone after a second, and set
 * apart with the first refusal after another one was accepted, not before. */
static void test_about_the_document_is_tried_again(void **state) {
        Batch *batch, *good;
        usec_t begin = clock_now();

        world.says = says_validator_to_one;
        batch = write_batch(batch_from(1, 3));
        assert_int_equal(batch->fates[0], FATE_SUSPECT);
        assert_int_equal(batch_count(batch, FATE_STORED), 2);
        batch = try_suspects(batch);
        assert_int_equal(clock_now() - begin, BLAME_PAUSE_FIRST_USEC);
        assert_int_equal(batch->fates[0], FATE_SUSPECT);
        good = write_batch(batch_from(10, 1));
        assert_int_equal(good->fates[0], FATE_STORED);
        batch_free(good);
        batch = try_suspects(batch);
        assert_int_equal(clock_now() - begin, 3 * USEC_PER_SEC);
        assert_int_equal(batch->fates[0], FATE_REJECTED);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
}

static int says_validator_to_odd(unsigned id) {
        return id % 2 == 1 ? VALIDATOR : 0;
}

/* Twenty of forty: each is found out by its second try, with one write of others in between. */
static void test_many_about_the_document(void **state) {
        Batch *batch;

        world.says = says_validator_to_odd;
        batch = write_batch(batch_from(1, 40));
        assert_int_equal(batch_count(batch, FATE_SUSPECT), 20);
        assert_int_equal(batch_count(batch, FATE_STORED), 20);
        batch_free(write_batch(batch_from(100, 1)));
        batch = try_suspects(batch);
        assert_int_equal(batch_count(batch, FATE_REJECTED), 20);
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
}

static int says_validator_in_the_outage(unsigned id) {
        return world.asked >= world.outage && world.asked < world.over ? VALIDATOR : 0;
}

/* P11: an outage that begins in the middle of a write, with a code that speaks of documents: nothing is set apart. */
static void test_outage_begins_in_a_write(void **state) {
        Batch *batch;

        world.says = says_validator_in_the_outage;
        world.outage = 3;
        world.over = UINT_MAX;
        batch = write_batch(batch_from(1, 10));
        assert_int_equal(batch_count(batch, FATE_STORED), 3);
        assert_int_equal(batch_count(batch, FATE_SUSPECT), 7);
        assert_null(write_batch(batch_from(20, 5)));
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        world.over = 0;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.n_settled, 2);
        assert_int_equal(batch_count(world.settled[1], FATE_STORED), 5);
        batch_free(world.settled[1]);
        batch = try_suspects(batch);
        assert_int_equal(batch_count(batch, FATE_STORED), 7);
        assert_int_equal(status().rejected, 0);
}

/* ... and one that ends there. */
static void test_outage_ends_in_a_write(void **state) {
        Batch *batch;

        world.says = says_validator_in_the_outage;
        world.over = 7;
        batch = write_batch(batch_from(1, 10));
        assert_int_equal(batch_count(batch, FATE_STORED), 3);
        assert_int_equal(batch_count(batch, FATE_SUSPECT), 7);
        batch = try_suspects(batch);
        assert_int_equal(batch_count(batch, FATE_STORED), 7);
        assert_int_equal(status().rejected, 0);
}

/* What cannot be set apart either is told of, and its neighbours are settled. */
static void test_cannot_be_set_apart(void **state) {
        Batch *batch;

        world.says = says_bad_to_one;
        world.apart_refuses = true;
        batch = write_batch(batch_from(1, 3));
        assert_int_equal(batch->fates[0], FATE_UNKEPT);
        assert_int_equal(batch->suspicions[0].state, BLAME_SUSPECT);
        assert_true(batch->suspicions[0].unkept);
        assert_int_equal(batch_count(batch, FATE_STORED), 2);
        assert_true(sink_takes_batches(world.sink));
}

/* ... and when it is stored after all, that is over, too. */
static void test_not_set_apart_and_stored(void **state) {
        Batch *batch, *again;

        world.says = says_bad_to_one;
        world.apart_refuses = true;
        batch = write_batch(batch_from(1, 3));
        assert_int_equal(logged(EVENT_APART_FAILING), 1);
        assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &again), 0);
        again->aside = true;
        world.says = says_yes;
        world.n_settled = 0;
        batch_free(batch);
        assert_ptr_equal(write_batch(again), again);
        assert_int_equal(again->fates[0], FATE_STORED);
        assert_int_equal(logged(EVENT_APART_RECOVERED), 1);
}

/* ... and when it has gone: what is left to the queue comes back as another, or never. */
static void test_not_set_apart_and_gone(void **state) {
        world.says = says_bad_to_one;
        world.apart_refuses = true;
        (void) write_batch(batch_from(1, 3));
        virtual_pass(world.loop, SINK_UNKEPT_OVER_USEC - USEC_PER_SEC);
        sink_heard(world.sink, SINK_NEWS_ANSWERED);
        (void) write_batch(batch_from(4, 3));
        virtual_pass(world.loop, USEC_PER_SEC);
        sink_heard(world.sink, SINK_NEWS_DEAF); /* it cannot have come */
        sink_heard(world.sink, SINK_NEWS_ANSWERED);
        assert_int_equal(logged(EVENT_APART_RECOVERED), 0);
        virtual_pass(world.loop, SINK_UNKEPT_OVER_USEC);
        sink_heard(world.sink, SINK_NEWS_ANSWERED);
        assert_int_equal(logged(EVENT_APART_RECOVERED), 1);
}

/* One bad message alone: nobody is told of an outage when the next one is accepted. */
static void test_one_message_alone(void **state) {
        Batch *scout;

        world.says = says_validator_to_one;
        assert_null(write_batch(batch_from(1, 1)));
        assert_false(sink_takes_batches(world.sink));
        assert_true(sink_wants_scout(world.sink));
        assert_true(status().ready);
        virtual_pass(world.loop, USEC_PER_MINUTE);
        assert_true(sink_wants_scout(world.sink));
        scout = write_batch(batch_from(2, 1));
        assert_int_equal(scout->fates[0], FATE_STORED);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 2);
        assert_int_equal(world.settled[1]->fates[0], FATE_REJECTED);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
        assert_int_equal(logged(EVENT_SINK_UP), 0);
}

static int says_validator_to_one_and_bad_to_others(unsigned id) {
        return id == 1 ? VALIDATOR : BAD;
}

/* ... nor when those that follow are bad themselves: of them the remote was not asked. */
static void test_one_message_alone_and_bad_ones(void **state) {
        world.says = says_validator_to_one_and_bad_to_others;
        assert_null(write_batch(batch_from(1, 1)));
        for (unsigned i = 0; i < 3; i++) {
                Batch *scout = write_batch(batch_from(2 + i, 1));

                assert_int_equal(scout->fates[0], FATE_REJECTED);
                assert_true(sink_wants_scout(world.sink));
                assert_int_equal(logged(EVENT_SINK_DOWN), 0);
                assert_true(status().ready);
        }
        world.says = says_yes;
        virtual_pass(world.loop, 2 * BACKOFF_MAX); /* it is still tried */
        assert_int_equal(world.n_settled, 4);
        assert_int_equal(world.settled[3]->fates[0], FATE_STORED);
}

/* ... and is told of when none comes for long. */
static void test_one_message_alone_for_long(void **state) {
        world.says = says_odd_to_all;
        assert_null(write_batch(batch_from(1, 1)));
        virtual_pass(world.loop, 9 * USEC_PER_MINUTE);
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
        virtual_pass(world.loop, 3 * USEC_PER_MINUTE);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_false(status().ready);
}

/* ---- everything is refused ---- */

/* P11: held, said once, one message tried at a time; scouts that are refused come back; all is stored when it ends. */
static void test_everything_refused(void **state) {
        unsigned writes;

        world.says = says_odd_to_all;
        assert_null(write_batch(batch_from(1, 1000)));
        assert_false(sink_takes_batches(world.sink));
        assert_false(status().ready);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        world.largest = 0;
        for (unsigned i = 0; i < 40; i++) {
                Batch *scout = write_batch(batch_from(2000 + i, 1));

                assert_non_null(scout);
                assert_int_equal(scout->fates[0], FATE_PENDING);
                batch_free(scout);
                world.n_settled = 0;
                writes = world.writes;
                virtual_pass(world.loop, BACKOFF_MAX);
                assert_in_range(world.writes - writes, 1, 10);
        }
        assert_int_equal(world.largest, 1);
        assert_int_equal(world.n_settled, 0);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 0);

        world.says = says_yes;
        writes = world.writes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(world.writes - writes, 2); /* one message, and then all */
        assert_int_equal(batch_count(world.settled[0], FATE_STORED), 1000);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(status().rejected, 0);
}

/* The first scout that is accepted ends it: what is refused still is judged. */
static void test_scout_ends_it(void **state) {
        Batch *scout;

        world.says = says_odd_to_all;
        assert_null(write_batch(batch_from(1, 3)));
        world.says = says_odd_to_one;
        scout = write_batch(batch_from(10, 1));
        assert_int_equal(scout->fates[0], FATE_STORED);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 2);
        assert_int_equal(world.settled[1]->fates[0], FATE_SUSPECT);
        assert_int_equal(batch_count(world.settled[1], FATE_STORED), 2);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
}

/* That the remote can be reached says nothing new while it refuses everything. */
static void test_no_false_recovery(void **state) {
        world.says = says_validator_to_all;
        assert_null(write_batch(batch_from(1, 3)));
        sink_let_go(world.sink, NULL);
        for (int i = 0; i < 5; i++) {
                sink_host_seen(world.host, SINK_SEEN_LOST);
                sink_host_seen(world.host, SINK_SEEN_WRITABLE);
                virtual_pass(world.loop, BACKOFF_MAX);
        }
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 0);
}

/* A broken validator: nothing is rejected before the lease ends; then what it refused is; and only scouts go on. */
static void test_broken_validator(void **state) {
        Batch *batch = batch_from(1, 5);

        world.says = says_validator_to_all;
        assert_null(write_batch(batch));
        virtual_pass(world.loop, 59 * USEC_PER_MINUTE);
        assert_int_equal(status().rejected, 0);
        sink_let_go(world.sink, batch);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(batch_count(batch, FATE_REJECTED), 5);
        assert_false(sink_takes_batches(world.sink));
        assert_true(sink_wants_scout(world.sink));
        sink_host_seen(world.host, SINK_SEEN_LOST); /* idle: it asks, and that is no recovery */
        virtual_pass(world.loop, 0);
        assert_true(sink_wants_scout(world.sink));
        world.says = says_yes;
        assert_non_null(write_batch(batch_from(10, 1)));
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
}

/* A batch that lapses: one message is kept for a try, and nothing else is welcome until it is accepted. */
static void test_lapse(void **state) {
        Batch *batch = batch_from(1, 5);

        world.says = says_fault;
        assert_null(write_batch(batch));
        virtual_pass(world.loop, USEC_PER_HOUR);
        sink_let_go(world.sink, batch);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(batch_count(batch, FATE_PENDING), 5);
        world.largest = 0;
        virtual_pass(world.loop, 5 * BACKOFF_MAX);
        assert_int_equal(world.largest, 1);
        assert_false(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(status().stored, 1);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
}

static unsigned good;

static int says_yes_to_one(unsigned id) {
        return id == good ? 0 : VALIDATOR;
}

/* P6: a single good message among many that are refused is found soon, also where a write ends after some refusals:
 * each is tried once before any is tried again. */
static void test_lone_good(void **state) {
        static const unsigned places[] = { 1, 10, 11, 100, 500, 1000 };

        world.patience = 10;
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                Batch *batch = batch_from(1, 1000);

                good = places[i];
                world.says = says_yes_to_one;
                memset(world.calls_for, 0, sizeof(world.calls_for));
                (void) write_batch(batch);
                for (unsigned writes = 1; batch->fates[good - 1] != FATE_STORED; writes++) {
                        assert_in_range(writes, 1, (good - 1) / world.patience);
                        virtual_pass(world.loop, 5 * USEC_PER_SEC);
                }
                assert_int_equal(world.calls_for[good], 1);
                world.says = says_yes;
                virtual_pass(world.loop, 2 * BACKOFF_MAX);
                assert_int_equal(world.n_settled, 1);
                batch_free(world.settled[--world.n_settled]);
        }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                CASE(test_one_odd_message),
                CASE(test_odd_message_is_rejected_in_the_end),
                CASE(test_about_the_document),
                CASE(test_about_the_document_is_tried_again),
                CASE(test_many_about_the_document),
                CASE(test_outage_begins_in_a_write),
                CASE(test_outage_ends_in_a_write),
                CASE(test_cannot_be_set_apart),
                CASE(test_not_set_apart_and_stored),
                CASE(test_not_set_apart_and_gone),
                CASE(test_one_message_alone),
                CASE(test_one_message_alone_and_bad_ones),
                CASE(test_one_message_alone_for_long),
                CASE(test_everything_refused),
                CASE(test_scout_ends_it),
                CASE(test_no_false_recovery),
                CASE(test_broken_validator),
                CASE(test_lapse),
                CASE(test_lone_good),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
