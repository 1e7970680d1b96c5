/* SPDX-License-Identifier: Apache-2.0 */
/* When to pull: P5 (nothing while the sink is away, bounded memory). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "subscribe/pulls.h"

#define NOW (1000 * USEC_PER_SEC)
#define LATE (60 * USEC_PER_SEC) /* a pull that hung */

static PullPlan make(unsigned pulls, usec_t interval, bool once) {
        PullPlan plan;

        pull_plan_init(&plan, pulls, 1000, interval, once);
        return plan;
}

static unsigned due(const PullPlan *plan, unsigned in_flight, unsigned unsettled) {
        return pull_plan_due(plan, &(PullLoad){ .welcome = true, .in_flight = in_flight, .unsettled = unsettled }, NOW);
}

static void test_one_hangs_while_empty(void **state) {
        PullPlan plan = make(4, 0, false);

        assert_int_equal(due(&plan, 0, 0), 1);
        assert_int_equal(due(&plan, 1, 0), 0);
        pull_plan_answered(&plan, 0, LATE, NOW, 1);
        assert_int_equal(due(&plan, 0, 0), 1);
}

static void test_nothing_while_the_sink_is_away(void **state) {
        PullPlan plan = make(4, 0, false);

        assert_int_equal(pull_plan_due(&plan, &(PullLoad){ .welcome = false }, NOW), 0);
}

static void test_backlog_fills_all_slots(void **state) {
        PullPlan plan = make(4, 0, false);

        pull_plan_answered(&plan, 500, LATE, NOW, 1); /* half full */
        assert_int_equal(due(&plan, 0, 1), 3);
        assert_int_equal(due(&plan, 1, 1), 2);
        assert_int_equal(due(&plan, 2, 2), 0);
        pull_plan_answered(&plan, 1, LATE, NOW, 1); /* just published */
        assert_int_equal(due(&plan, 0, 1), 1);
        pull_plan_answered(&plan, 1, 500 * USEC_PER_MSEC, NOW, 1); /* tells nothing */
        assert_int_equal(due(&plan, 0, 1), 1);
        pull_plan_answered(&plan, 1, 20 * USEC_PER_MSEC, NOW, 1); /* had been waiting */
        assert_int_equal(due(&plan, 0, 1), 3);
        pull_plan_answered(&plan, 1, 500 * USEC_PER_MSEC, NOW, 1); /* a slow network does not end a backlog */
        assert_int_equal(due(&plan, 0, 1), 3);
        pull_plan_answered(&plan, 0, LATE, NOW, 1);
        assert_int_equal(due(&plan, 0, 0), 1);
}

static void test_caps(void **state) {
        PullPlan plan = make(4, 0, false);

        assert_int_equal(pull_plan_due(&plan, &(PullLoad){ .welcome = true, .bytes = PULL_PLAN_BYTES_MAX }, NOW), 0);
        assert_int_equal(pull_plan_due(&plan, &(PullLoad){ .welcome = true, .acking = PULL_PLAN_ACKING_MAX }, NOW), 0);
        assert_int_equal(pull_plan_due(&plan, &(PullLoad){ .welcome = true, .unsettled = 4 }, NOW), 0);
}

/* P5: what pulls in flight may bring counts too; a single one is always let out while there is room at all. */
static void test_room_for_large_replies(void **state) {
        PullPlan plan = make(16, 0, false);
        PullLoad load = { .welcome = true, .expected = PULL_PLAN_BYTES_MAX / 4 };

        pull_plan_answered(&plan, 1000, 0, NOW, 1);
        assert_int_equal(pull_plan_due(&plan, &load, NOW), 4);
        load.in_flight = 3;
        assert_int_equal(pull_plan_due(&plan, &load, NOW), 1);
        load.in_flight = 4;
        assert_int_equal(pull_plan_due(&plan, &load, NOW), 0);
        load.in_flight = 2;
        load.bytes = PULL_PLAN_BYTES_MAX / 2 - 1;
        assert_int_equal(pull_plan_due(&plan, &load, NOW), 0);
        load.in_flight = 0;
        load.bytes = PULL_PLAN_BYTES_MAX - 1;
        assert_int_equal(pull_plan_due(&plan, &load, NOW), 1);
        load.expected = 1000;
        load.bytes = 0;
        assert_int_equal(pull_plan_due(&plan, &load, NOW), 16);
}

static void test_interval_after_empty(void **state) {
        PullPlan plan = make(2, 30 * USEC_PER_SEC, false);

        pull_plan_answered(&plan, 0, LATE, NOW, 1);
        assert_int_equal(plan.not_before, NOW + 30 * USEC_PER_SEC);
        assert_int_equal(due(&plan, 0, 0), 0);
        pull_plan_answered(&plan, 3, LATE, NOW, 1);
        assert_int_equal(due(&plan, 0, 1), 1);
}

/* An empty answer that comes at once must not be asked for again and again. */
static void test_quick_empties_slow_down(void **state) {
        PullPlan plan = make(2, 0, false);
        usec_t now = NOW;

        for (int i = 0; i < 20; i++) {
                pull_plan_answered(&plan, 0, USEC_PER_MSEC, now, UINT64_MAX);
                assert_true(plan.not_before > now);
                assert_true(plan.not_before <= now + 5 * USEC_PER_SEC);
        }
        assert_true(plan.not_before >= now + 4 * USEC_PER_SEC);
}

static void test_failure_backs_off(void **state) {
        PullPlan plan = make(4, 0, false);
        usec_t first;

        pull_plan_answered(&plan, 1000, 0, NOW, 1);
        pull_plan_failed(&plan, 50 * USEC_PER_SEC, NOW, UINT64_MAX); /* Retry-After counts from the first failure on */
        assert_int_equal(plan.not_before, NOW + 50 * USEC_PER_SEC);
        pull_plan_answered(&plan, 1000, 0, NOW, 1);
        pull_plan_failed(&plan, 0, NOW, UINT64_MAX);
        first = plan.not_before;
        assert_in_range(first, NOW + 1, NOW + USEC_PER_SEC);
        pull_plan_failed(&plan, 0, NOW, UINT64_MAX); /* its neighbour: the same failure */
        assert_int_equal(plan.not_before, first);
        assert_int_equal(plan.failure.attempt, 1);
        pull_plan_failed(&plan, 9 * USEC_PER_SEC, NOW, UINT64_MAX);
        assert_int_equal(plan.not_before, NOW + 9 * USEC_PER_SEC);

        /* then one tries alone */
        assert_int_equal(pull_plan_due(&plan, &(PullLoad){ .welcome = true }, plan.not_before - 1), 0);
        assert_int_equal(pull_plan_due(&plan, &(PullLoad){ .welcome = true }, plan.not_before), 1);
        for (int i = 0; i < 20; i++)
                pull_plan_failed(&plan, 0, plan.not_before, UINT64_MAX);
        first = plan.not_before;
        pull_plan_failed(&plan, 0, first, UINT64_MAX);
        assert_in_range(plan.not_before, first + 30 * USEC_PER_SEC, first + 60 * USEC_PER_SEC);
        pull_plan_answered(&plan, 1000, 0, NOW, 1);
        assert_int_equal(due(&plan, 0, 0), 4);
}

/* What is in between may cut each pull that hangs: then the next one does not, and tells whether all is well. */
static void test_cut_while_idle(void **state) {
        PullPlan plan = make(4, 0, false);

        for (int i = 0; i < 3; i++) {
                assert_true(pull_plan_cut(&plan, true, LATE));
                pull_plan_failed(&plan, 0, NOW, 1);
                assert_true(plan.asks);
                assert_true(pull_plan_cut(&plan, true, LATE)); /* its neighbour */
                pull_plan_failed(&plan, 0, NOW, 1);
                pull_plan_answered(&plan, 0, USEC_PER_MSEC, NOW, 1);
                assert_false(plan.asks);
                assert_int_equal(due(&plan, 0, 0), 1); /* at once: that one hangs again */
        }
        assert_false(pull_plan_cut(&plan, true, USEC_PER_SEC)); /* sooner it is trouble, */
        assert_true(pull_plan_cut(&plan, true, LATE));
        pull_plan_failed(&plan, 0, NOW, 1);
        assert_false(pull_plan_cut(&plan, false, LATE)); /* and so it is when the one that asks fails */
        pull_plan_failed(&plan, 0, plan.not_before, 1);
        assert_true(plan.asks);
}

static void test_too_large_halves_and_grows_back(void **state) {
        PullPlan plan = make(2, 0, false);
        unsigned replies = 0;

        pull_plan_answered(&plan, 0, 0, NOW - USEC_PER_SEC, 1);
        assert_int_equal(plan.empties, 1);
        assert_true(pull_plan_too_large(&plan));
        assert_int_equal(plan.empties, 0); /* there are messages */
        assert_int_equal(plan.max_messages, 500);
        while (plan.max_messages > 1)
                assert_true(pull_plan_too_large(&plan));
        assert_false(pull_plan_too_large(&plan));
        for (; plan.max_messages < 1000; replies++) {
                assert_true(replies < 1000);
                pull_plan_answered(&plan, 1, 0, NOW, 1);
        }
        assert_true(replies > 100);
        assert_int_equal(plan.max_messages, 1000);
}

static void test_once_ends_after_three_empties(void **state) {
        PullPlan plan = make(2, USEC_PER_HOUR, true);

        pull_plan_answered(&plan, 0, 0, NOW - USEC_PER_SEC, 1);
        pull_plan_answered(&plan, 0, 0, NOW - USEC_PER_SEC, 1);
        assert_int_equal(due(&plan, 0, 0), 1);
        pull_plan_answered(&plan, 5, 0, NOW, 1);
        assert_int_equal(plan.empties, 0);
        for (int i = 0; i < PULL_PLAN_ONCE_EMPTIES; i++)
                pull_plan_answered(&plan, 0, 0, NOW - USEC_PER_SEC, 1);
        assert_int_equal(due(&plan, 0, 0), 0);
}

/* Publishers that never pause do not keep `once` for ever, and what waited before is not left. */
static void test_once_ends_though_more_comes(void **state) {
        PullPlan plan = make(2, 0, true), daemon = make(2, 0, false);

        pull_plan_saw(&plan, 24 * USEC_PER_HOUR, 100 * USEC_PER_SEC);
        pull_plan_saw(&plan, 1 * USEC_PER_SEC, 159 * USEC_PER_SEC);
        assert_true(due(&plan, 0, 0) > 0);
        pull_plan_saw(&plan, 24 * USEC_PER_HOUR, 170 * USEC_PER_SEC); /* a backlog */
        assert_true(due(&plan, 0, 0) > 0);
        for (int i = 0; i < PULL_PLAN_ONCE_EMPTIES; i++) {
                assert_true(due(&plan, 0, 0) > 0); /* Pub/Sub keeps no order: one reply shows little */
                pull_plan_saw(&plan, 69 * USEC_PER_SEC, 170 * USEC_PER_SEC);
        }
        assert_int_equal(due(&plan, 0, 0), 0);
        assert_true(pull_plan_too_large(&plan)); /* nobody saw how old those are */
        assert_true(due(&plan, 0, 0) > 0);

        pull_plan_saw(&daemon, 1 * USEC_PER_SEC, 100 * USEC_PER_SEC);
        pull_plan_saw(&daemon, 1 * USEC_PER_SEC, 900 * USEC_PER_SEC);
        assert_true(due(&daemon, 0, 0) > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_hangs_while_empty),
                cmocka_unit_test(test_nothing_while_the_sink_is_away),
                cmocka_unit_test(test_backlog_fills_all_slots),
                cmocka_unit_test(test_caps),
                cmocka_unit_test(test_room_for_large_replies),
                cmocka_unit_test(test_interval_after_empty),
                cmocka_unit_test(test_quick_empties_slow_down),
                cmocka_unit_test(test_failure_backs_off),
                cmocka_unit_test(test_cut_while_idle),
                cmocka_unit_test(test_too_large_halves_and_grows_back),
                cmocka_unit_test(test_once_ends_after_three_empties),
                cmocka_unit_test(test_once_ends_though_more_comes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
