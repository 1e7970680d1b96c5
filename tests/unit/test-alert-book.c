/* SPDX-License-Identifier: Apache-2.0 */
/* All rules, devices and targets together: what is told, when, and how often (P14). */
#include "alert-fixture.h"

#define HOT "        - { name: hot, field: t, above: 28, clear: 27, to: [a] }\n"

static void test_life_of_a_firing(void **state) {
        World w;

        world_open(&w,
                "        - { name: hot, field: /newest_events/te/val, above: 28, clear: 27, for: 2m, repeat: 1h }\n");
        world_say(&w, "x", "\"newest_events\":{\"te\":{\"val\":28.5}}");
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"newest_events\":{\"te\":{\"val\":28.7}}");
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"newest_events\":{\"te\":{\"val\":29.0}}");
        assert_int_equal(w.book->n_due, 2);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 29.0");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"newest_events\":{\"te\":{\"val\":29.5}}");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING hot Room x 29.5"); /* as it is now */
        world_quiet(&w);
        world_go(&w, HOUR - MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "REPEAT hot Room x 29.5"); /* an hour after each was told */
        world_expect(&w, "b", ALERT_ACCEPTED, "");
        world_go(&w, MINUTE);
        world_expect(&w, "b", ALERT_ACCEPTED, "REPEAT hot Room x 29.5");
        world_say(&w, "x", "\"newest_events\":{\"te\":{\"val\":27.5}}"); /* between */
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"newest_events\":{\"te\":{\"val\":27}}");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 27");
        world_expect(&w, "b", ALERT_ACCEPTED, "RESOLVED hot Room x 27");
        world_quiet(&w);
        assert_int_equal(w.book->n_entries, 0);
        assert_int_equal(w.fired, 1);
        assert_int_equal(w.ceased, 1);
        world_close(&w);
}

static void test_which_device(void **state) {
        World w;

        world_open(&w,
                "        - { name: bed, where: { source: home, name: [Room x, Room y] }, field: t, above: 28, to: a }\n"
                "        - { name: floor, where: { floor: 2 }, field: t, above: 28, to: a }\n"
                "        - { name: deep, where: { /a/b: [on, off] }, field: t, above: 28, to: b }\n");
        world_say(&w, "x", "\"t\":30,\"floor\":\"1\"");
        world_say(&w, "z", "\"t\":31,\"floor\":2.0");
        world_say(&w, "q", "\"t\":32,\"a\":{\"b\":\"off\"}");
        world_say(&w, "y", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING bed Room x 30\nFIRING floor Room z 31");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING deep Room q 32");
        world_close(&w);
}

static void test_target_that_was_down(void **state) {
        World w;

        world_open(&w, HOT);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_BACK, "FIRING hot Room x 30");
        world_go(&w, HOUR);
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "a", ALERT_BACK, "ENDED hot Room x 20"); /* one, not two */
        world_go(&w, HOUR);
        world_say(&w, "x", "\"t\":31");
        world_expect(&w, "a", ALERT_BACK, "FIRING hot Room x 31"); /* how things stand now */
        world_go(&w, HOUR);
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "ENDED hot Room x 20");
        world_quiet(&w);
        assert_int_equal(w.book->n_entries, 0);
        world_close(&w);
}

/* P13: what waits for a target that is down leaves room for what another is to be told. */
static void test_target_that_waits_with_much(void **state) {
        World w;
        char device[8];

        world_open(&w, HOT "        - { name: wet, field: h, above: 80, to: [b] }\n");
        for (unsigned i = 0; i < 1100; i++) {
                (void) snprintf(device, sizeof(device), "x%u", i);
                world_say(&w, device, "\"t\":30");
        }
        world_go(&w, MINUTE);
        world_say(&w, "y", "\"h\":90");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING wet Room y 90");
        free(world_tell(&w, "a", SEALED)); /* ... also while it has no answer */
        world_go(&w, MINUTE);
        world_say(&w, "z", "\"h\":91");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING wet Room z 91");
        world_close(&w);
}

/* What may have been sent stays as it is; what came meanwhile follows. */
static void test_sealed(void **state) {
        World w;

        world_open(&w, HOT);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", SEALED, "FIRING hot Room x 30");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":33");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30"); /* the first */
        world_expect(&w, "a", SEALED, "FIRING hot Room x 33");         /* the second */
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "a", ALERT_BACK, "FIRING hot Room x 33");
        world_expect(&w, "a", SEALED, "RESOLVED hot Room x 20"); /* it believes in the first one */
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":34");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 34");
        world_quiet(&w);
        world_close(&w);
}

static void test_refused(void **state) {
        World w;

        world_open(&w, "        - { name: hot, field: t, above: 28, repeat: 1h, to: a }\n");
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_REFUSED, "FIRING hot Room x 30");
        world_go(&w, 2 * HOUR);
        world_say(&w, "x", "\"t\":30");
        world_quiet(&w); /* no repeat, */
        world_say(&w, "y", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room y 30"); /* others are told */
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20");
        world_quiet(&w); /* and no end */
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30"); /* the next one is told */
        world_close(&w);
}

/* A machine that slept over the time of a repeat: what the queue has of that time comes first, as long as that may be.
 */
static void test_repeat_after_a_sleep(void **state) {
        for (unsigned outage = 0; outage < 2; outage++) {
                World w;

                world_open(&w, "        - { name: hot, field: t, above: 28, repeat: 1h, to: a }\n");
                world_say(&w, "x", "\"t\":30");
                world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
                world_go(&w, 8 * HOUR);
                w.moment.hearing = 0;
                w.moment.missed = w.moment.now;
                world_pass(&w);
                world_quiet(&w);
                assert_true(w.book->next > w.moment.wall && w.book->next <= w.moment.wall + 3 * MINUTE);
                w.moment.deaf = true; /* the connection of before the sleep was dead */
                world_go(&w, 2 * MINUTE);
                world_quiet(&w);
                if (outage) {
                        world_go(&w, 2 * MINUTE);
                        world_expect(&w, "a", ALERT_ACCEPTED, "REPEAT hot Room x 30");
                } else {
                        w.moment.deaf = false;
                        w.moment.hearing = w.moment.now;
                        w.moment.missed = 0;
                        world_pass(&w);
                        world_quiet(&w); /* what it has comes with the next ones */
                        world_say(&w, "x", "\"t\":20");
                        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
                }
                world_close(&w);
        }
}

/* The clock was set back by a year while something fires: the repeat comes after its time, not after a year. */
static void test_clock_set_back(void **state) {
        World w;

        world_open(&w, "        - { name: hot, field: t, above: 28, repeat: 1h, to: a }\n");
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        w.moment.wall -= 8760 * HOUR;
        world_pass(&w);
        world_quiet(&w);
        world_go(&w, HOUR);
        world_expect(&w, "a", ALERT_ACCEPTED, "REPEAT hot Room x 30");
        world_close(&w);
}

#define REPEATED "        - { name: hot, field: t, above: 28, repeat: 6h, to: a }\n"

/* A machine without a clock of its own: what the wall clock is set forward by when NTP answers did not pass. */
static void test_clock_set_forward(void **state) {
        World w;

        world_open(&w, REPEATED);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_go(&w, MINUTE);
        world_pass(&w);
        w.moment.wall += 24 * HOUR;
        world_pass(&w);
        world_quiet(&w);
        world_go(&w, 6 * HOUR - 2 * MINUTE);
        world_pass(&w);
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "REPEAT hot Room x 30");
        world_close(&w);
}

/* The target's answer comes, the clock is set, and then the answer is noted. */
static void test_clock_set_before_the_record(void **state) {
        World w;

        world_open(&w, REPEATED);
        world_say(&w, "x", "\"t\":30");
        free(world_tell(&w, "a", SEALED));
        world_go(&w, USEC_PER_SEC);
        w.moment.wall += 24 * HOUR;
        alert_book_begin(w.book, &w.moment);
        alert_entry_answer(w.book->due[0].entry, ALERT_ACCEPTED, w.moment.wall - USEC_PER_SEC);
        world_pass(&w);
        world_quiet(&w);
        world_go(&w, 6 * HOUR - USEC_PER_SEC);
        world_expect(&w, "a", ALERT_ACCEPTED, "REPEAT hot Room x 30");
        world_close(&w);
}

/* The machine starts, and its wall clock says that *behind* of the time since the target was told did not pass. */
static void boot(World *w, usec_t behind) {
        w->moment = (AlertMoment){ w->moment.wall - behind, MINUTE, 1, MINUTE, false };
        world_reload(w, REPEATED);
        world_quiet(w);
        world_go(w, MINUTE);
        world_pass(w);
        world_quiet(w);
        w->moment.wall += behind;
        world_pass(w);
        world_quiet(w);
}

static void test_clock_behind_at_the_start(void **state) {
        World w;

        world_open(&w, REPEATED);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_go(&w, 5 * HOUR);
        boot(&w, 2 * HOUR); /* the time without power passed, too */
        world_go(&w, HOUR - MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "REPEAT hot Room x 30");
        world_go(&w, 5 * HOUR);
        boot(&w, 1000 * HOUR); /* nothing tells how long ago it was told: the whole time from the start on */
        world_go(&w, 6 * HOUR - 2 * MINUTE);
        world_pass(&w);
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "REPEAT hot Room x 30");
        world_close(&w);
}

static void test_fields_in_messages_of_their_own(void **state) {
        World w;
        Said said;

        world_open(&w, "        - { name: leak, field: leak, is: true, to: a }\n" HOT);
        said_init(&said, "x", START + 5000, START, "\"t\":20");
        world_judge(&w, &said, 1);
        said_init(&said, "x", START, START, "\"leak\":true"); /* older, and about something else */
        world_judge(&w, &said, 1);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING leak Room x true");
        world_close(&w);
}

/* At the cap a device is watched by some of its rules; by all of them when there is room again. */
static void test_room_for_some_rules(void **state) {
        World w;

        world_open(&w, HOT "        - { name: leak, field: leak, is: true, to: a }\n");
        w.book->n_slots = ALERT_SLOTS_MAX - 2;
        world_say(&w, "y", "\"t\":20,\"leak\":false");
        assert_false(w.book->left_out); /* full, and nothing was left out */
        w.book->n_slots--;
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20,\"leak\":true");
        world_expect(&w, "a", ALERT_ACCEPTED, "");
        assert_int_equal(w.book->n_slots, ALERT_SLOTS_MAX);
        assert_true(w.book->left_out);
        w.book->n_slots -= 2; /* others are forgotten */
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20,\"leak\":true");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING leak Room x true");
        world_close(&w);
}

/* There is no room to tell of an alert when it begins: it is told when there is. */
static void test_room_to_tell(void **state) {
        World w;

        world_open(&w, "        - { name: hot, field: t, above: 28, repeat: 1h }\n");
        w.book->n_entries = ALERT_ENTRIES_MAX - 1;
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_expect(&w, "b", ALERT_ACCEPTED, "");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":31");
        world_quiet(&w);
        w.book->n_entries -= 2; /* others are over */
        world_pass(&w);
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING hot Room x 31");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_expect(&w, "b", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_close(&w);
}

static void test_time_ahead(void **state) {
        World w;
        Said said;

        world_open(&w, HOT);
        said_init(&said, "x", START + 9 * HOUR, START, "\"t\":30"); /* local time with a Z, as the old scripts wrote */
        world_judge(&w, &said, 1);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        assert_true(w.book->ahead_device.size > 0);
        world_go(&w, MINUTE);
        said_init(&said, "x", START + 9 * HOUR + MINUTE, START + MINUTE, "\"t\":20");
        world_judge(&w, &said, 1);
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_close(&w);
}

static void test_for_without_a_message(void **state) {
        World w;

        world_open(&w, "        - { name: door, field: open, is: true, for: 10m, to: a }\n");
        world_say(&w, "x", "\"open\":true");
        assert_true(w.book->next == START + 10 * MINUTE);
        world_go(&w, 10 * MINUTE);
        w.moment.deaf = true; /* it may have been closed meanwhile */
        world_pass(&w);
        world_quiet(&w);
        w.moment.deaf = false;
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING door Room x true");
        world_close(&w);
}

static void test_rule_that_finds_nothing(void **state) {
        World w;

        world_open(&w, "        - { name: lost, where: { name: Cellar }, stale: 30m, to: a }\n");
        w.moment.hearing = w.moment.now;
        world_say(&w, "x", "");
        world_quiet(&w);
        assert_true(w.book->next <= START + 30 * MINUTE);
        world_go(&w, 30 * MINUTE);
        world_say(&w, "x", "");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING lost - -");
        world_say(&w, "y", "\"name\":\"other\"");
        world_quiet(&w);
        {
                Said said;

                said_init(&said, "c", w.moment.wall, w.moment.wall, "");
                memcpy(strstr(said.data, "Room c"), "Cellar", 6);
                world_judge(&w, &said, 1);
        }
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED lost - -");
        world_close(&w);
}

/* ---- a reload ---- */

static void test_reload(void **state) {
        World w;

        world_open(&w, HOT "        - { name: cold, field: t, below: 5 }\n");
        world_say(&w, "x", "\"t\":30");
        world_say(&w, "y", "\"t\":1");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING cold Room y 1\nFIRING hot Room x 30");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING cold Room y 1");

        /* texts, waits and targets are not what a rule is; b is new to the firing, and a is told no more of the other
         */
        world_reload(&w, "        - { name: cold, field: t, below: 5, for: 1h, message: brr, to: b }\n"
                         "        - { name: hot, field: t, above: 28, clear: 27, repeat: 2h }\n");
        world_expect(&w, "a", ALERT_ACCEPTED, "REMOVED cold Room y 1");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_quiet(&w);

        /* another threshold is another rule */
        world_reload(&w, "        - { name: hot, field: t, above: 29, to: a }\n");
        world_expect(&w, "a", ALERT_ACCEPTED, "REMOVED hot Room x 30");
        world_expect(&w, "b", ALERT_ACCEPTED, "REMOVED cold Room y 1\nREMOVED hot Room x 30");
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_close(&w);
}

/* Another threshold under the same name: what was is over before what is now begins, also where it came back. */
static void test_end_before_another_beginning(void **state) {
        World w;

        world_open(&w, HOT);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_reload(&w, "        - { name: hot, field: t, above: 25, to: a }\n");
        world_expect(&w, "a", ALERT_BACK, "REMOVED hot Room x 30");
        world_say(&w, "x", "\"t\":31");
        world_expect(&w, "a", ALERT_ACCEPTED, "REMOVED hot Room x 30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 31");
        world_quiet(&w);
        world_close(&w);
}

/* A target is taken out of `to` and put back before it was told of the end: what fires goes on for it. */
static void test_target_that_is_put_back(void **state) {
        static const char both[] = "        - { name: hot, field: t, above: 28, clear: 27 }\n";
        World w;

        world_open(&w, both);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_reload(&w, HOT);
        world_expect(&w, "b", ALERT_BACK, "REMOVED hot Room x 30");
        world_reload(&w, both);
        world_expect(&w, "b", ALERT_ACCEPTED, "");

        /* ... and when it may have been told already */
        world_reload(&w, HOT);
        world_expect(&w, "b", SEALED, "REMOVED hot Room x 30");
        world_reload(&w, both);
        world_expect(&w, "b", ALERT_ACCEPTED, "REMOVED hot Room x 30");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "b", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_close(&w);
}

/* ---- whatever comes ---- */

static uint64_t draw(uint64_t *seed) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        return *seed;
}

/* What a person behind a target can see: beginnings and ends take turns, and the end is how things stand. */
static void hear(bool believes[static 3], const char *told) {
        for (const char *line = told; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                size_t device = (size_t) (strstr(line, "Room ")[5] - 'x');
                bool firing = strncmp(line, "FIRING", 6) == 0 || strncmp(line, "REPEAT", 6) == 0;

                if (strncmp(line, "REPEAT", 6) == 0 || strncmp(line, "RESOLVED", 8) == 0)
                        assert_true(believes[device]);
                if (strncmp(line, "ENDED", 5) == 0)
                        assert_false(believes[device]);
                believes[device] = firing;
        }
}

static void random_life(uint64_t *seed) {
        static const char *const devices[] = { "x", "y", "z" };
        bool believes[2][3] = {}, hot[3] = {};
        World w;

        world_open(&w, "        - { name: hot, field: t, above: 28, clear: 27, repeat: 30m }\n");
        for (int step = 0; step < 200; step++) {
                Said said[8];
                size_t n = draw(seed) % 6;

                for (size_t i = 0; i < n; i++) {
                        size_t device = draw(seed) % 3;
                        bool late = draw(seed) % 8 == 0;

                        said_init(&said[i], devices[device], w.moment.wall + i * 1000 - (late ? HOUR : 0),
                                w.moment.wall, draw(seed) % 2 ? "\"t\":30" : "\"t\":20");
                        if (!late)
                                hot[device] = strstr(said[i].data, "\"t\":30");
                }
                world_judge(&w, said, n);
                if (n > 0 && draw(seed) % 3 == 0)
                        world_judge(&w, said, n); /* the same again */
                for (size_t i = 0; i < 2; i++) {
                        AlertVerdict verdict = draw(seed) % 3 ? ALERT_ACCEPTED : ALERT_BACK;
                        _cleanup_free_ char *told = draw(seed) % 2 ? world_tell(&w, i == 0 ? "a" : "b", verdict) : NULL;

                        if (told && verdict == ALERT_ACCEPTED)
                                hear(believes[i], told);
                }
                world_go(&w, MINUTE + draw(seed) % MINUTE);
        }
        for (size_t i = 0; i < 2; i++) {
                _cleanup_free_ char *told = world_tell(&w, i == 0 ? "a" : "b", ALERT_ACCEPTED);

                hear(believes[i], told);
                for (size_t k = 0; k < 3; k++)
                        assert_int_equal(believes[i][k], hot[k]);
        }
        world_close(&w);
}

static void test_random(void **state) {
        uint64_t seed = 88172645463325252;

        for (int round = 0; round < 200; round++)
                random_life(&seed);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_life_of_a_firing),
                cmocka_unit_test(test_which_device),
                cmocka_unit_test(test_target_that_was_down),
                cmocka_unit_test(test_target_that_waits_with_much),
                cmocka_unit_test(test_sealed),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_repeat_after_a_sleep),
                cmocka_unit_test(test_clock_set_back),
                cmocka_unit_test(test_clock_set_forward),
                cmocka_unit_test(test_clock_set_before_the_record),
                cmocka_unit_test(test_clock_behind_at_the_start),
                cmocka_unit_test(test_fields_in_messages_of_their_own),
                cmocka_unit_test(test_room_for_some_rules),
                cmocka_unit_test(test_room_to_tell),
                cmocka_unit_test(test_time_ahead),
                cmocka_unit_test(test_for_without_a_message),
                cmocka_unit_test(test_rule_that_finds_nothing),
                cmocka_unit_test(test_reload),
                cmocka_unit_test(test_end_before_another_beginning),
                cmocka_unit_test(test_target_that_is_put_back),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
