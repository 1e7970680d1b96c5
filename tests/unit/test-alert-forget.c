/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of devices that are gone for good, that got another name, and that no rule is about: nothing. */
#include "alert-fixture.h"

#define HOT "        - { name: hot, field: t, above: 28, clear: 27, to: [a] }\n"

#define DAYS(n) ((n) *24 * HOUR)

static char *removed_text(const World *w) {
        Bytes text = {};

        assert_int_equal(w->book->n_due, 2);
        for (size_t i = 0; i < w->book->n_due; i++) {
                const AlertNotice notice = world_notice(w, i);

                assert_true(notice.kind == ALERT_REMOVED && notice.end == ALERT_END_DEVICE);
                assert_int_equal(alert_text_write(&notice, ALERT_ENGLISH, &text), 0);
        }
        return text.data;
}

/* A sensor that was taken away for good is told of for 30 days, and then never again. */
static void test_forgotten(void **state) {
        _cleanup_free_ char *text = NULL;
        World w;

        world_open(&w, "        - { name: silent, where: { id: x }, stale: 30m, repeat: 240h, to: a }\n" HOT);
        world_say(&w, "x", "\"t\":30");
        world_say(&w, "y", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        for (int day = 1; day < 30; day++) {
                world_go(&w, DAYS(1));
                world_say(&w, "y", "\"t\":20");
                world_expect(&w, "a", ALERT_ACCEPTED,
                        day == 1                 ? "FIRING silent Room x -"
                        : day == 11 || day == 21 ? "REPEAT silent Room x -"
                                                 : "");
        }
        world_go(&w, DAYS(1));
        world_pass(&w);
        text = removed_text(&w);
        assert_non_null(strstr(text, "silent: over, Room x is forgotten: it has sent nothing since "));
        assert_non_null(strstr(text, "hot: over, Room x is forgotten: it was above 28, last at 30, and is silent"));
        world_expect(&w, "a", ALERT_ACCEPTED, "REMOVED hot Room x 30\nREMOVED silent Room x -");
        assert_int_equal(w.ceased, 2);
        for (int day = 0; day < 100; day++) {
                world_go(&w, DAYS(1));
                world_say(&w, "y", "\"t\":20");
                world_quiet(&w); /* nor that its rule finds no device */
        }
        assert_int_equal(w.book->n_devices, 2); /* y, and nobody */
        assert_int_equal(w.book->n_slots, 1);
        assert_int_equal(w.book->n_entries, 0);
        world_say(&w, "x", "\"t\":31"); /* back after all */
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 31");
        world_go(&w, HOUR);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent Room x -");
        world_close(&w);
}

/* While a target is down, what it is to be told of the device stays; a device that comes back meanwhile is none of it.
 */
static void test_forgotten_while_a_target_is_down(void **state) {
        World w;

        world_open(&w, HOT);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_go(&w, DAYS(31));
        world_pass(&w);
        world_expect(&w, "a", ALERT_BACK, "REMOVED hot Room x 30");
        world_go(&w, DAYS(31));
        world_say(&w, "y", "\"t\":20");
        world_expect(&w, "a", ALERT_BACK, "REMOVED hot Room x 30");
        world_say(&w, "x", "\"t\":33");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 33");
        world_go(&w, HOUR);
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_quiet(&w);
        world_close(&w);
}

/* We did not hear, or have not heard for long: it may have sent all the while. And a rule may wait for longer. */
static void test_not_forgotten(void **state) {
        World w;

        world_open(&w, HOT "        - { name: silent, where: { id: z }, stale: 480h, for: 480h, to: a }\n");
        world_say(&w, "x", "\"t\":30");
        world_say(&w, "z", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_go(&w, DAYS(100));
        w.moment.hearing = w.moment.now - HOUR;
        world_pass(&w);
        world_quiet(&w);
        w.moment.hearing = 1;
        w.moment.deaf = true;
        world_pass(&w);
        world_quiet(&w);
        w.moment.deaf = false;
        world_say(&w, "x", "\"t\":31");
        world_quiet(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "");
        world_close(&w);
        world_open(&w, "        - { name: silent, stale: 480h, for: 480h, to: a }\n");
        world_say(&w, "z", "");
        world_go(&w, DAYS(35));
        world_pass(&w);
        world_go(&w, DAYS(10));
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent Room z -");
        world_go(&w, DAYS(35));
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "REMOVED silent Room z -");
        world_close(&w);
}

/* Somebody sets the clock of this machine, by a year too much. */
static void test_not_forgotten_by_a_set_clock(void **state) {
        World w;

        world_open(&w, HOT);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_go(&w, MINUTE);
        w.moment.wall += DAYS(365);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "");
        world_go(&w, MINUTE);
        w.moment.wall -= DAYS(365);
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_close(&w);
}

/* Ids that are new with every message, which no rule is about. */
static void test_strangers_leave_nothing(void **state) {
        World w;
        char device[16];

        world_open(&w, "        - { name: hot, where: { id: x }, field: t, above: 28, to: a }\n");
        for (unsigned i = 0; i < 1000; i++) {
                (void) snprintf(device, sizeof(device), "s%u", i);
                world_say(&w, device, "\"t\":30");
        }
        assert_int_equal(w.book->n_devices, 0);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_close(&w);
}

/* A message of device x under a name. */
static void say_as(World *w, const char *name, usec_t at, const char *members) {
        char time[CLOCK_RFC3339_SIZE];
        Said said;

        said_init(&said, "x", at, w->moment.wall, "");
        (void) snprintf(said.data, sizeof(said.data),
                "{\"name\":%s,\"id\":\"x\",\"source\":\"home\",\"request_at\":\"%s\",%s}", name,
                clock_format_rfc3339(at, time), members);
        said.message.data = text_slice(said.data);
        world_judge(w, &said, 1);
}

#define REMO "\"newest_events\":{},"

static void say_named(World *w, const char *name, const char *members) {
        say_as(w, name, w->moment.wall, members);
}

#define KITCHEN "        - { name: hot, where: { name: [Kitchen, 台所] }, field: t, above: 28, repeat: 6h, to: a }\n"

/* The rule is about a name; the device that had it gets another one. */
static void test_renamed(void **state) {
        Bytes text = {};
        AlertNotice notice;
        World w;

        world_open(&w, KITCHEN "        - { name: warm, where: { id: x }, field: t, above: 20, to: b }\n");
        say_named(&w, "\"Kitchen\"", REMO "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Kitchen 30");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING warm Kitchen 30");
        world_go(&w, MINUTE);
        say_named(&w, "\"台所\"", REMO "\"t\":31"); /* of the rule as well */
        say_named(&w, "null", REMO "\"t\":31");     /* not told */
        world_quiet(&w);
        world_go(&w, MINUTE);
        say_as(&w, "\"Bath\"", w.moment.wall - HOUR, REMO "\"t\":31"); /* from before, and late */
        world_quiet(&w);
        say_named(&w, "\"Bath\"", REMO "\"t\":32");
        assert_int_equal(w.book->n_due, 1);
        notice = world_notice(&w, 0);
        assert_int_equal(alert_text_write(&notice, ALERT_ENGLISH, &text), 0);
        assert_string_equal(text.data,
                "hot: over, the device is now called Bath, which this rule does not cover; it was above 28, last at 31");
        world_expect(&w, "a", ALERT_ACCEPTED, "REMOVED hot Bath 31");
        assert_int_equal(w.ceased, 1);
        say_as(&w, "\"Kitchen\"", w.moment.wall - MINUTE, REMO "\"t\":31"); /* delivered again */
        world_go(&w, 7 * HOUR);
        say_named(&w, "\"Bath\"", REMO "\"t\":32");
        world_quiet(&w);
        assert_int_equal(w.book->n_entries, 1);
        world_go(&w, MINUTE);
        say_named(&w, "\"Kitchen\"", REMO "\"t\":33"); /* and back */
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Kitchen 33");
        bytes_done(&text);
        world_close(&w);
}

/* One that waits for its `for` does not fire under the new name. */
static void test_renamed_before_it_fires(void **state) {
        World w;

        world_open(&w, "        - { name: open, where: { name: Kitchen }, field: door, is: true, for: 10m, to: a }\n");
        say_named(&w, "\"Kitchen\"", REMO "\"door\":true");
        world_go(&w, MINUTE);
        say_named(&w, "\"Bath\"", REMO "\"door\":true");
        world_go(&w, HOUR);
        world_pass(&w);
        world_quiet(&w);
        world_close(&w);
}

/* What else tells messages apart, and a name where messages of several kinds have one, says nothing. */
static void test_messages_of_other_kinds(void **state) {
        World w;

        world_open(&w, KITCHEN "        - { name: leak, where: { kind: 1 }, field: leak, is: true, to: b }\n");
        say_as(&w, "\"Kitchen\"", w.moment.wall, "\"t\":30,\"kind\":1,\"leak\":true");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Kitchen 30");
        world_expect(&w, "b", ALERT_ACCEPTED, "FIRING leak Kitchen true");
        world_go(&w, MINUTE);
        say_as(&w, "\"Bath\"", w.moment.wall, "\"t\":20,\"kind\":2,\"leak\":false");
        say_named(&w, "\"Kitchen\"", REMO "\"kind\":2");
        world_quiet(&w);
        world_close(&w);
}

/* A rule with `stale` whose only device got another name finds no device any more: that is told, as it is after a
 * start, and not that the device is silent. */
static void test_renamed_and_silent(void **state) {
        World w;

        world_open(&w, "        - { name: silent, where: { name: Kitchen }, stale: 30m, to: a }\n");
        say_named(&w, "\"Kitchen\"", REMO "\"t\":30");
        world_go(&w, HOUR);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent Kitchen -");
        say_named(&w, "\"Bath\"", REMO "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "REMOVED silent Bath -");
        for (int i = 0; i < 29; i++) {
                world_go(&w, MINUTE);
                say_named(&w, "\"Bath\"", REMO "\"t\":30");
                world_quiet(&w);
        }
        world_go(&w, 2 * MINUTE);
        say_named(&w, "\"Bath\"", REMO "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent - -");
        world_go(&w, DAYS(31)); /* the old name is forgotten; the rule has found no device all the same */
        say_named(&w, "\"Bath\"", REMO "\"t\":30");
        world_quiet(&w);
        say_named(&w, "\"Kitchen\"", REMO "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED silent - -");
        world_close(&w);
}

/* A restart does not bring back what got another name: the rule has no device. */
static void test_reload_after_a_new_name(void **state) {
        static const char silent[] = "        - { name: silent, where: { name: Room x }, stale: 30m, to: a }\n";
        Said said;
        World w;

        world_open(&w, silent);
        world_say(&w, "x", "\"newest_events\":{}");
        world_go(&w, MINUTE);
        said_init(&said, "x", w.moment.wall, w.moment.wall, "\"newest_events\":{}");
        strstr(said.data, "Room x")[strlen("Room ")] = 'z';
        world_judge(&w, &said, 1);
        world_reload(&w, silent);
        world_go(&w, 32 * MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent - -");
        world_close(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_forgotten),
                cmocka_unit_test(test_forgotten_while_a_target_is_down),
                cmocka_unit_test(test_not_forgotten),
                cmocka_unit_test(test_not_forgotten_by_a_set_clock),
                cmocka_unit_test(test_renamed),
                cmocka_unit_test(test_renamed_before_it_fires),
                cmocka_unit_test(test_messages_of_other_kinds),
                cmocka_unit_test(test_renamed_and_silent),
                cmocka_unit_test(test_reload_after_a_new_name),
                cmocka_unit_test(test_strangers_leave_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
