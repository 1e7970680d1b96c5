/* SPDX-License-Identifier: Apache-2.0 */
/* Whose fault a refusal is (P11, P6). A remote is played by a function of the test: which messages it accepts, and with
 * which code it refuses the others. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "subscribe/blame.h"

#define ODD 16755
#define THROTTLED 16500
#define VALIDATOR 121
#define MESSAGES 2000

typedef struct World {
        Blame blame;
        Suspicion suspicions[MESSAGES];
        usec_t now;
        uint64_t random;
} World;

static World world;

static int set_up(void **state) {
        world = (World){ .now = USEC_PER_HOUR, .random = 1 };
        return 0;
}

static uint64_t draw(void) {
        world.random = world.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return world.random >> 33;
}

/* One reply to messages first..first+n-1: *refuses* tells the code, 0 for an accepted one. */
static void reply(size_t first, size_t n, bool alone, bool about, int (*refuses)(size_t i)) {
        uint64_t before = world.blame.accepted;
        int codes[MESSAGES];

        for (size_t i = first; i < first + n; i++) {
                codes[i] = refuses(i);
                if (codes[i] == 0)
                        blame_accepted(&world.blame, &world.suspicions[i], world.now);
        }
        for (size_t i = first; i < first + n; i++)
                if (codes[i] != 0)
                        (void) blame_refused(&world.blame, &world.suspicions[i],
                                &(BlameRefusal){
                                        .code = codes[i], .about_document = about, .alone = alone, .before = before },
                                world.now);
}

static size_t count(BlameState state) {
        size_t n = 0;

        for (size_t i = 0; i < MESSAGES; i++)
                n += world.suspicions[i].state == state;
        return n;
}

static int refuses_first(size_t i) {
        return i == 0 ? ODD : 0;
}

static int refuses_even(size_t i) {
        return i % 2 == 0 ? ODD : 0;
}

static int refuses_all(size_t i) {
        return ODD;
}

static int refuses_none(size_t i) {
        return 0;
}

static int refuses_by_validator(size_t i) {
        return VALIDATOR;
}

static int throttles_all(size_t i) {
        return THROTTLED;
}

static int throttles(size_t i) {
        return draw() % 10 < 4 ? THROTTLED : 0;
}

/* One odd message among good ones: beside the flow at once, rejected after ten minutes of refusals alone, not before.
 */
static void test_one_odd_message(void **state) {
        usec_t begin = world.now;
        unsigned tries = 0;

        reply(0, 11, false, false, refuses_first);
        assert_int_equal(world.suspicions[0].state, BLAME_SUSPECT);
        while (world.suspicions[0].state == BLAME_SUSPECT) {
                world.now = world.suspicions[0].due;
                reply(1, 10, false, false, refuses_none); /* others go on */
                reply(0, 1, true, false, refuses_all);
                tries++;
        }
        assert_int_equal(world.suspicions[0].state, BLAME_REJECTED);
        assert_in_range(world.now - begin, BLAME_SPAN_USEC, BLAME_SPAN_USEC + 30 * USEC_PER_SEC);
        assert_in_range(tries, BLAME_REFUSALS, 12);
}

/* Refusals while nothing else is accepted do not count, however often. */
static void test_no_refusal_counts_without_another_accepted(void **state) {
        reply(0, 11, false, false, refuses_first);
        for (int i = 0; i < 100; i++) {
                world.now += 5 * USEC_PER_MINUTE;
                reply(0, 1, true, false, refuses_all);
        }
        assert_int_equal(world.suspicions[0].state, BLAME_SUSPECT);
        assert_int_equal(world.suspicions[0].refusals, 1);
}

/* Refusals in a bulk with others do not count either. */
static void test_no_refusal_counts_in_a_bulk(void **state) {
        for (int i = 0; i < 100; i++) {
                world.now += 5 * USEC_PER_MINUTE;
                reply(0, 11, false, false, refuses_first);
        }
        assert_int_equal(world.suspicions[0].state, BLAME_SUSPECT);
        assert_int_equal(world.suspicions[0].refusals, 0);
}

/* A code about the document is believed when it comes again, and another was accepted in between. */
static void test_about_the_document(void **state) {
        reply(0, 2, false, true, refuses_first);
        assert_int_equal(world.suspicions[0].state, BLAME_SUSPECT);
        assert_int_equal(world.suspicions[0].due, world.now + BLAME_PAUSE_FIRST_USEC);
        reply(0, 1, true, true, refuses_all);    /* nothing since */
        reply(0, 2, false, true, refuses_first); /* ... or in the same write: before it, or after it? */
        assert_int_equal(world.suspicions[0].state, BLAME_SUSPECT);
        reply(0, 1, true, true, refuses_all);
        assert_int_equal(world.suspicions[0].state, BLAME_REJECTED);

        reply(10, 5, false, true, refuses_all);
        assert_int_equal(count(BLAME_OUTAGE), 5);
        reply(20, 1, true, true, refuses_none); /* a scout */
        reply(10, 5, false, true, refuses_all);
        assert_int_equal(count(BLAME_REJECTED), 6);
}

/* ... or at once, where the type knows that it is the document's fault. */
static void test_about_the_document_as_the_type_knows(void **state) {
        const BlameRefusal refusal = { .code = VALIDATOR, .about_document = true, .proven = true };

        reply(1, 1, true, true, refuses_none);
        assert_int_equal(blame_refused(&world.blame, &world.suspicions[0], &refusal, world.now), BLAME_REJECTED);
}

/* P11: an outage that begins in the middle of a write, and one that ends there: nobody is to blame. What all are
 * refused with until then is no proof later either, since some get over it. */
static void test_an_outage_within_a_write(void **state) {
        reply(0, 10, false, true, refuses_even); /* it begins */
        assert_int_equal(count(BLAME_SUSPECT), 5);
        reply(10, 10, false, true, refuses_all);
        assert_int_equal(count(BLAME_OUTAGE), 10);
        world.now += USEC_PER_MINUTE;
        reply(10, 10, false, true, refuses_even); /* it ends */
        assert_int_equal(count(BLAME_OUTAGE), 0);
        assert_int_equal(count(BLAME_SUSPECT), 10);
        world.now += BLAME_PAUSE_FIRST_USEC;
        reply(0, 2, true, true, refuses_even); /* this one was bad all the time */
        reply(2, 18, true, true, refuses_none);
        assert_int_equal(count(BLAME_REJECTED), 0);
        world.now += BLAME_PAUSE_FIRST_USEC;
        reply(0, 1, true, true, refuses_all);
        assert_int_equal(world.suspicions[0].state, BLAME_SUSPECT); /* others got over the code since */
        reply(1, 1, true, true, refuses_none);
        reply(0, 1, true, true, refuses_all);
        assert_int_equal(world.suspicions[0].state, BLAME_REJECTED);
}

/* ... but not by what was accepted before it was refused with that code: the validator may be broken since. */
static void test_about_the_document_of_another_code(void **state) {
        reply(0, 11, false, false, refuses_first);
        assert_int_equal(world.suspicions[0].state, BLAME_SUSPECT);
        for (int i = 0; i < 5; i++) {
                world.now = world.suspicions[0].due;
                reply(0, 1, true, true, refuses_by_validator);
                assert_int_equal(world.suspicions[0].state, BLAME_SUSPECT);
        }
        reply(1, 1, true, false, refuses_none);
        reply(0, 1, true, true, refuses_by_validator);
        assert_int_equal(world.suspicions[0].state, BLAME_REJECTED);
}

/* A validator that refuses all: held, and what it refused is rejected only when max_hold ends. */
static void test_broken_validator(void **state) {
        for (int i = 0; i < 60; i++) {
                reply(0, 1000, false, true, refuses_all);
                world.now += USEC_PER_MINUTE;
        }
        assert_int_equal(count(BLAME_OUTAGE), 1000);
        assert_int_equal(blame_expire(&world.suspicions[0]), BLAME_REJECTED);
}

/* An outage with a code that nobody knows: held, all of it accepted when it ends; what lapses is not rejected. */
static void test_outage_of_any_code(void **state) {
        for (int i = 0; i < 60; i++) {
                reply(0, 1000, i % 2, false, refuses_all);
                world.now += USEC_PER_MINUTE;
        }
        assert_int_equal(count(BLAME_OUTAGE), 1000);
        assert_int_equal(blame_expire(&world.suspicions[999]), BLAME_LAPSED);
        reply(0, 999, false, false, refuses_none);
        assert_int_equal(count(BLAME_CLEAR), MESSAGES - 1);
}

/* Throttling that accepts 600 of 1000, each time others: nobody is to blame, since some always get over the code. */
static void test_throttling(void **state) {
        usec_t end = world.now + USEC_PER_HOUR;

        reply(0, 1000, false, false, throttles);
        assert_in_range(count(BLAME_SUSPECT), 300, 500);
        while (count(BLAME_SUSPECT) > 0) {
                assert_true(world.now < end);
                world.now += USEC_PER_SEC;
                for (size_t i = 0; i < 1000; i++)
                        if (world.suspicions[i].state == BLAME_SUSPECT && world.suspicions[i].due <= world.now)
                                reply(i, 1, true, false, throttles);
        }
        assert_int_equal(count(BLAME_REJECTED), 0);
        assert_int_equal(count(BLAME_CLEAR), MESSAGES);
}

/* The same for as long as it lasts: even one that is refused each time is not blamed while others get over its code,
 * whatever other codes they get over. */
static void test_throttling_of_one_for_ever(void **state) {
        reply(0, 11, false, false, refuses_first);
        for (int i = 0; i < 50; i++) {
                world.now = world.suspicions[0].due;
                reply(1, 1, true, false, refuses_all);
                reply(1, 1, true, false, refuses_none); /* another got over the code */
                reply(1, 1, true, false, throttles_all);
                reply(1, 1, true, false, refuses_none);
                reply(0, 1, true, false, refuses_all);
        }
        assert_int_equal(world.suspicions[0].state, BLAME_SUSPECT);
}

/* To be put off, however long ago, is no refusal: three are still due, and the ten minutes between them. */
static void test_put_off_is_no_refusal(void **state) {
        Suspicion *s = &world.suspicions[0];

        reply(1, 10, false, false, refuses_none);
        assert_int_equal(
                blame_put_off(&world.blame, s, &(BlameRefusal){ .code = ODD, .few = true }, world.now), BLAME_SUSPECT);
        for (unsigned i = 0; i < BLAME_REFUSALS; i++) {
                world.now += BLAME_SPAN_USEC;
                reply(1, 1, true, false, refuses_none);
                reply(0, 1, true, false, refuses_all);
                assert_int_equal(s->state, i + 1 < BLAME_REFUSALS ? BLAME_SUSPECT : BLAME_REJECTED);
        }
}

/* 2000 bad messages of one sensor, others in between: each of them is found out. */
static void test_many_odd_messages(void **state) {
        usec_t end = world.now + 2 * BLAME_SPAN_USEC;

        for (size_t i = 0; i < MESSAGES; i++) {
                Suspicion other = {};

                blame_accepted(&world.blame, &other, world.now);
                world.blame.accepted += i == 0;
                (void) blame_refused(&world.blame, &world.suspicions[i],
                        &(BlameRefusal){ .code = ODD, .before = world.blame.accepted - 1 }, world.now);
        }
        assert_int_equal(count(BLAME_SUSPECT), MESSAGES);
        while (count(BLAME_REJECTED) < MESSAGES) {
                Suspicion other = {};

                assert_true(world.now < end);
                world.now += USEC_PER_SEC;
                blame_accepted(&world.blame, &other, world.now);
                for (size_t i = 0; i < MESSAGES; i++)
                        if (world.suspicions[i].state == BLAME_SUSPECT && world.suspicions[i].due <= world.now)
                                reply(i, 1, true, false, refuses_all);
        }
        assert_true(world.now - USEC_PER_HOUR >= BLAME_SPAN_USEC);
}

/* Refused where such are set apart: waits aside, is tried now and then, and lapses in the end. */
static void test_unkept(void **state) {
        Suspicion *s = &world.suspicions[0];

        blame_unkept(s, world.now);
        assert_int_equal(s->state, BLAME_SUSPECT);
        assert_true(s->unkept);
        assert_int_equal(s->due, world.now + BLAME_PAUSE_FIRST_USEC);
        for (int i = 0; i < 20; i++)
                blame_unkept(s, world.now);
        assert_int_equal(s->due, world.now + BLAME_PAUSE_MAX_USEC);
        assert_int_equal(blame_expire(s), BLAME_LAPSED);
}

/* ---- how a write ends ---- */

typedef enum Left { LEFT_NONE, LEFT_OUTAGE, LEFT_OTHERS } Left;
#define ANY (-1)

/* The table of blame.h. */
typedef struct Row {
        int down, lasting, accepted, left, refusing;
        BlameNext next;
        enum { NO, YES, QUIET } accepts; /* QUIET: if there is no fault, and it was not refusing */
} Row;

static const Row rows[] = {
        { true, true, ANY, ANY, ANY, WRITE_DOWN, NO },
        { true, false, false, ANY, ANY, WRITE_DOWN, NO },
        { true, false, true, ANY, ANY, WRITE_LATER, NO },
        { false, ANY, true, LEFT_NONE, ANY, WRITE_DONE, YES },
        { false, ANY, false, LEFT_NONE, ANY, WRITE_DONE, QUIET },
        { false, ANY, true, LEFT_OUTAGE, true, WRITE_AT_ONCE, YES },
        { false, ANY, true, LEFT_OTHERS, true, WRITE_AT_ONCE, YES },
        { false, ANY, true, LEFT_OUTAGE, false, WRITE_LATER, YES },
        { false, ANY, true, LEFT_OTHERS, false, WRITE_LATER, YES },
        { false, ANY, false, LEFT_OUTAGE, ANY, WRITE_REFUSED, NO },
        { false, ANY, false, LEFT_OTHERS, ANY, WRITE_LATER, QUIET },
};

static bool fits(int column, int value) {
        return column == ANY || column == value;
}

static bool row_fits(const Row *row, const BlameWrite *write, Left left) {
        return fits(row->down, write->down) && fits(row->lasting, write->lasting) &&
               fits(row->accepted, write->accepted) && fits(row->left, left) && fits(row->refusing, write->refusing);
}

/* Every write that can be is in one row. A fault that concerns everything is a fault. */
static void test_ends_of_a_write(void **state) {
        size_t seen[sizeof(rows) / sizeof(rows[0])] = {};

        for (unsigned bits = 0; bits < 32; bits++)
                for (Left left = LEFT_NONE; left <= LEFT_OTHERS; left++) {
                        const BlameWrite write = { .fault = bits & 3,
                                .down = bits & 1,
                                .lasting = bits & 4,
                                .accepted = bits & 8,
                                .left = left != LEFT_NONE,
                                .outage = left == LEFT_OUTAGE,
                                .refusing = bits & 16 };
                        size_t found = 0;
                        bool accepts;

                        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                                if (!row_fits(&rows[i], &write, left))
                                        continue;
                                found++;
                                seen[i]++;
                                assert_int_equal(blame_next(&write, &accepts), rows[i].next);
                                assert_int_equal(accepts, rows[i].accepts == QUIET ? !write.fault && !write.refusing
                                                                                   : rows[i].accepts == YES);
                        }
                        assert_int_equal(found, 1);
                }
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                assert_true(seen[i] > 0);
}

#define CASE(name) cmocka_unit_test_setup(name, set_up)

int main(void) {
        const struct CMUnitTest tests[] = {
                CASE(test_one_odd_message),
                CASE(test_no_refusal_counts_without_another_accepted),
                CASE(test_no_refusal_counts_in_a_bulk),
                CASE(test_about_the_document),
                CASE(test_about_the_document_as_the_type_knows),
                CASE(test_an_outage_within_a_write),
                CASE(test_about_the_document_of_another_code),
                CASE(test_broken_validator),
                CASE(test_outage_of_any_code),
                CASE(test_throttling),
                CASE(test_throttling_of_one_for_ever),
                CASE(test_put_off_is_no_refusal),
                CASE(test_many_odd_messages),
                CASE(test_unkept),
                CASE(test_ends_of_a_write),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
