/* SPDX-License-Identifier: Apache-2.0 */
/* The wall clock is set while something is watched: a machine without a clock of its own starts with an old time, and
 * is told the right one later (P14: nothing is told that was not due). */
#include "alert-fixture.h"

#define OPEN "        - { name: door, field: door, is: open, for: 10m, to: a }\n"

/* The machine started ten minutes ago, *behind* the right time. */
static void open_behind(World *w, const char *rules, usec_t behind) {
        world_open(w, rules);
        w->moment = (AlertMoment){ START - behind, 10 * MINUTE, 1, 10 * MINUTE, false };
        world_pass(w);
}

/* After a while NTP answers. */
static void set_clock(World *w, int64_t by) {
        world_go(w, 30 * USEC_PER_SEC);
        w->moment.wall = (usec_t) ((int64_t) w->moment.wall + by);
        world_pass(w);
}

static usec_t since_of(const World *w) {
        for (size_t i = 0; i < w->book->n_devices; i++)
                if (w->book->devices[i]->entries)
                        return w->book->devices[i]->entries->since;
        return 0;
}

/* What the clock skips did not pass: neither by time alone, ... */
static void test_for_counts_what_passed(void **state) {
        World w;

        open_behind(&w, OPEN, HOUR);
        world_say(&w, "x", "\"door\":\"open\"");
        set_clock(&w, (int64_t) HOUR);
        world_quiet(&w);
        world_go(&w, 9 * MINUTE);
        world_pass(&w);
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING door Room x open");
        assert_in_range(since_of(&w), START - MINUTE, START + MINUTE);
        world_close(&w);
}

/* ... nor by further messages. */
static void test_for_over_messages(void **state) {
        World w;

        open_behind(&w, OPEN, 1000 * HOUR);
        world_say(&w, "x", "\"door\":\"open\"");
        set_clock(&w, 1000 * (int64_t) HOUR);
        for (int i = 0; i < 9; i++) {
                world_say(&w, "x", "\"door\":\"open\"");
                world_quiet(&w);
                world_go(&w, MINUTE);
        }
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"door\":\"open\"");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING door Room x open");
        world_close(&w);
}

/* It was open before, as the right clock said: that counts whatever happens to the clock. */
static void test_for_of_before(void **state) {
        World w;

        world_open(&w, OPEN);
        world_say(&w, "x", "\"door\":\"open\"");
        w.moment = (AlertMoment){ START + MINUTE, MINUTE / 2, 1, MINUTE / 2, false };
        world_reload(&w, OPEN);
        set_clock(&w, (int64_t) HOUR);
        world_go(&w, MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING door Room x open");
        assert_int_equal(since_of(&w), START);
        world_close(&w);
}

/* Somebody sets it a year too far, and back: nothing waits for a year. */
static void test_for_over_a_mistake(void **state) {
        World w;

        open_behind(&w, OPEN, 0);
        world_say(&w, "x", "\"door\":\"open\"");
        set_clock(&w, 8760 * (int64_t) HOUR);
        set_clock(&w, -8760 * (int64_t) HOUR);
        world_quiet(&w);
        world_go(&w, 9 * MINUTE);
        world_pass(&w);
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING door Room x open");
        world_close(&w);
}

/* ... neither the notice that a device got another name, ... */
static void test_name_over_a_mistake(void **state) {
        World w;
        Said said;

        open_behind(&w, "        - { name: hot, field: t, above: 28, where: { name: Room x }, to: a }\n", 0);
        world_say(&w, "x", "\"t\":30,\"newest_events\":{}");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        set_clock(&w, 8760 * (int64_t) HOUR);
        set_clock(&w, -8760 * (int64_t) HOUR);
        world_go(&w, MINUTE);
        said_init(&said, "x", w.moment.wall, w.moment.wall, "\"t\":30,\"newest_events\":{}");
        memcpy(strstr(said.data, "Room x"), "Cave x", 6);
        world_judge(&w, &said, 1);
        world_expect(&w, "a", ALERT_ACCEPTED, "REMOVED hot Cave x 30");
        world_close(&w);
}

/* ... nor does a firing begin in a year. */
static void test_firing_over_a_mistake(void **state) {
        World w;

        open_behind(&w, "        - { name: hot, field: t, above: 28, to: a }\n", 0);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        set_clock(&w, 8760 * (int64_t) HOUR);
        set_clock(&w, -8760 * (int64_t) HOUR);
        assert_in_range(since_of(&w), START, w.moment.wall);
        world_quiet(&w);
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_close(&w);
}

/* What fires already is the same firing, and its begin is no longer one of 1970. */
static void test_what_fires(void **state) {
        World w;

        open_behind(&w, "        - { name: hot, field: t, above: 28, repeat: 1h, to: a }\n", START - HOUR);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        set_clock(&w, (int64_t) (START - HOUR));
        world_quiet(&w);
        assert_in_range(since_of(&w), START - MINUTE, START + MINUTE);
        world_go(&w, HOUR);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "REPEAT hot Room x 30");
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_quiet(&w);
        world_close(&w);
}

/* What may have been sent already is sent again as it was. */
static void test_what_is_sealed(void **state) {
        usec_t since;
        World w;

        open_behind(&w, "        - { name: hot, field: t, above: 28, to: a }\n", HOUR);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", SEALED, "FIRING hot Room x 30");
        since = since_of(&w);
        set_clock(&w, (int64_t) HOUR);
        assert_int_equal(since_of(&w), since);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_quiet(&w);
        world_close(&w);
}

/* It was heard just now, not in 1970. */
static void test_silence(void **state) {
        World w;

        open_behind(&w, "        - { name: mute, stale: 30m, to: a }\n", START - HOUR);
        world_say(&w, "x", "");
        set_clock(&w, (int64_t) (START - HOUR));
        world_go(&w, 30 * MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING mute Room x -");
        assert_in_range(since_of(&w), START, START + HOUR);
        world_close(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_for_counts_what_passed),
                cmocka_unit_test(test_for_over_messages),
                cmocka_unit_test(test_for_of_before),
                cmocka_unit_test(test_for_over_a_mistake),
                cmocka_unit_test(test_name_over_a_mistake),
                cmocka_unit_test(test_firing_over_a_mistake),
                cmocka_unit_test(test_what_fires),
                cmocka_unit_test(test_what_is_sealed),
                cmocka_unit_test(test_silence),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
