/* SPDX-License-Identifier: Apache-2.0 */
/* When a device counts as silent, and when the silence may be ours (P14). */
#include "alert-fixture.h"

#define SILENT "        - { name: silent, stale: 30m, to: a }\n"

static usec_t find_notice_span(World *w) {
        assert_int_equal(w->book->n_due, 1);
        return world_notice(w, 0).span;
}

static void test_silence(void **state) {
        World w;

        world_open(&w, SILENT);
        world_say(&w, "x", "");
        world_go(&w, 30 * MINUTE);
        w.moment.heard -= MINUTE; /* whether something came is not known before a pull is answered */
        world_pass(&w);
        world_quiet(&w);
        w.moment.heard = w.moment.now;
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent Room x -");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"online\":false");
        world_quiet(&w); /* that it is offline is no sign of life */
        world_go(&w, MINUTE);
        world_say(&w, "x", "");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED silent Room x -");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"online\":false");
        assert_int_equal(find_notice_span(&w), 0); /* not silent: it has just said so */
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent Room x -");
        world_close(&w);
}

/* With `interval`, or after a rest, the queue holds what was sent meanwhile, and an answer is a part of it. */
static void test_silence_with_more_to_come(void **state) {
        Said said, last[2];
        World w;

        world_open(&w, SILENT);
        world_say(&w, "x", "");
        world_say(&w, "y", "");
        world_go(&w, HOUR);
        w.moment.heard -= HOUR; /* no answer is without messages */
        for (int ago = 55; ago >= 34; ago -= 7) {
                said_init(&said, "y", w.moment.wall - (usec_t) ago * MINUTE, w.moment.wall - (usec_t) ago * MINUTE, "");
                world_judge(&w, &said, 1);
                world_go(&w, MINUTE);
                w.moment.heard -= HOUR + MINUTE;
                world_pass(&w);
                world_expect(&w, "a", ALERT_ACCEPTED, "");
        }
        said_init(&last[0], "y", w.moment.wall, w.moment.wall, "");
        said_init(&last[1], "x", w.moment.wall, w.moment.wall, ""); /* what it sent meanwhile comes last */
        world_judge(&w, last, 2);
        world_quiet(&w);
        world_go(&w, 31 * MINUTE);
        w.moment.heard = 0;
        world_say(&w, "y", ""); /* a queue that is never empty proves silence as well */
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent Room x -");
        world_close(&w);
}

/* SILENT fires for x after a whole half hour from now, whatever was before. */
static void expect_silence_from_now(World *w) {
        world_pass(w);
        world_quiet(w);
        world_go(w, 29 * MINUTE);
        world_pass(w);
        world_quiet(w);
        world_go(w, MINUTE);
        world_pass(w);
        world_expect(w, "a", ALERT_ACCEPTED, "FIRING silent Room x -");
}

static void test_silence_of_ours(void **state) {
        World w;

        world_open(&w, SILENT);
        world_say(&w, "x", "");
        world_go(&w, 4 * HOUR);
        w.moment.hearing = w.moment.now; /* we were away, or our pulls failed, and that is over */
        expect_silence_from_now(&w);
        world_close(&w);
}

/* The wall clock is set forward, and nobody was silent: all has to be quiet for as long as the rule says since then. */
static void test_silence_after_a_set_clock(void **state) {
        World w;

        world_open(&w, SILENT);
        world_say(&w, "x", "");
        world_pass(&w);
        world_go(&w, MINUTE);
        w.moment.wall += 5 * HOUR;
        expect_silence_from_now(&w);
        world_close(&w);
}

static void test_silence_of_a_value(void **state) {
        char members[200], time[CLOCK_RFC3339_SIZE];
        World w;

        world_open(&w, "        - { name: stuck, field: /newest_events/te/val, stale: 2h, to: a }\n");
        (void) snprintf(members, sizeof(members), "\"newest_events\":{\"te\":{\"val\":20,\"created_at\":\"%s\"}}",
                clock_format_rfc3339(START, time));
        world_say(&w, "x", members);
        for (int i = 0; i < 3; i++) {
                world_quiet(&w);
                world_go(&w, 40 * MINUTE);
                world_say(&w, "x", members);
        }
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING stuck Room x 20");
        world_close(&w);
}

/* It is online again, and the value is still not there: offline is over, and silence is told when its time is up. */
static void test_online_without_the_value(void **state) {
        World w;

        world_open(&w, "        - { name: stuck, field: t, stale: 30m, to: a }\n");
        world_say(&w, "x", "\"t\":20");
        for (int i = 0; i < 2; i++) {
                world_go(&w, MINUTE);
                world_say(&w, "x", "\"online\":false");
                assert_int_equal(find_notice_span(&w), 0);
                world_expect(&w, "a", ALERT_ACCEPTED, "FIRING stuck Room x 20");
                world_go(&w, i == 0 ? MINUTE : HOUR);
                world_say(&w, "x", "\"h\":50"); /* says nothing of it */
                world_quiet(&w);
                world_go(&w, MINUTE);
                world_say(&w, "x", "\"online\":true");
                if (i == 0)
                        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED stuck Room x 20");
        }
        assert_true(find_notice_span(&w) == 30 * MINUTE);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING stuck Room x 20");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":21");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED stuck Room x 21");
        world_close(&w);
}

/* A value that is told to be silent: that its device was offline meanwhile, and is online again, brings none. */
static void test_offline_while_the_value_is_silent(void **state) {
        World w;

        world_open(&w, "        - { name: stuck, field: t, stale: 30m, to: a }\n");
        world_say(&w, "x", "\"t\":20");
        world_go(&w, 30 * MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING stuck Room x 20");
        world_go(&w, MINUTE);
        w.moment.hearing = w.moment.now; /* our pulls failed: silence would be told again half an hour from now */
        world_say(&w, "x", "\"online\":false");
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"online\":true");
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":21");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED stuck Room x 21");
        world_close(&w);
}

/* A Nature Remo that is unplugged: the API gives its last values for ever. One that stands still for hours is no such.
 */
static void test_silence_of_an_unplugged_remo(void **state) {
        char members[200], first[CLOCK_RFC3339_SIZE], second[CLOCK_RFC3339_SIZE];
        World w;

        world_open(&w, SILENT);
        (void) snprintf(members, sizeof(members),
                "\"newest_events\":{\"te\":{\"val\":20,\"created_at\":\"%s\"},\"hu\":{\"val\":50,\"created_at\":\"%s\"}}",
                clock_format_rfc3339(START - 9 * HOUR, first), clock_format_rfc3339(START, second));
        for (int i = 0; i < 24; i++) {
                world_say(&w, "x", members);
                world_quiet(&w);
                world_go(&w, HOUR);
        }
        world_say(&w, "x", members);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent Room x -");
        (void) snprintf(members, sizeof(members), "\"newest_events\":{\"te\":{\"val\":21,\"created_at\":\"%s\"}}",
                clock_format_rfc3339(w.moment.wall, first));
        world_go(&w, MINUTE);
        world_say(&w, "x", members);
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED silent Room x -");
        world_close(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_silence),
                cmocka_unit_test(test_silence_with_more_to_come),
                cmocka_unit_test(test_silence_of_ours),
                cmocka_unit_test(test_silence_after_a_set_clock),
                cmocka_unit_test(test_silence_of_a_value),
                cmocka_unit_test(test_online_without_the_value),
                cmocka_unit_test(test_offline_while_the_value_is_silent),
                cmocka_unit_test(test_silence_of_an_unplugged_remo),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
