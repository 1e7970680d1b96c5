/* SPDX-License-Identifier: Apache-2.0 */
/* What targets are told, as they read it: true when it is sent, and the same when it is sent again (P14). */
#include "alert-fixture.h"

#define HOT "        - { name: hot, field: t, above: 28, clear: 27, to: [a] }\n"

/* What is due for a target, sealed, as it is sent then. */
static void expect_text(World *w, const char *target, const char *expected) {
        _cleanup_bytes_ Bytes text = {};
        AlertNotice notice;

        free(world_tell(w, target, SEALED));
        assert_int_equal(w->book->n_due, 1);
        assert_true(alert_entry_is_sealed(w->book->due[0].entry));
        notice = world_notice(w, 0);
        assert_int_equal(alert_text_write(&notice, ALERT_ENGLISH, &text), 0);
        assert_string_equal(text.data, expected);
}

static void test_how_long_it_lasts(void **state) {
        World w;

        world_open(&w, "        - { name: hot, field: t, above: 28, for: 10m, repeat: 6h, to: a }\n");
        world_say(&w, "x", "\"t\":30");
        world_go(&w, 10 * MINUTE);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_go(&w, 6 * HOUR);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_BACK, "REPEAT hot Room x 30");
        world_go(&w, 2 * HOUR); /* the target was down: what is sent is as it is then */
        expect_text(&w, "a", "hot: Room x is still at 30, above 28, since 2026-11-27 23:34 (8 h 10 min)");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20"); /* over, before the target has answered: the same goes out again */
        expect_text(&w, "a", "hot: Room x is still at 30, above 28, since 2026-11-27 23:34 (8 h 10 min)");
        world_close(&w);
}

/* ... and so is what a target that was down is told first, */
static void test_how_long_it_was_silent(void **state) {
        World w;

        world_open(&w, "        - { name: silent, stale: 30m, to: a }\n");
        world_say(&w, "x", "");
        world_go(&w, 30 * MINUTE);
        world_pass(&w);
        world_expect(&w, "a", ALERT_BACK, "FIRING silent Room x -");
        world_go(&w, 2 * HOUR);
        expect_text(&w, "a", "silent: Room x has sent nothing since 2026-11-27 23:34 (2 h 30 min)");
        world_go(&w, HOUR);
        expect_text(&w, "a", "silent: Room x has sent nothing since 2026-11-27 23:34 (2 h 30 min)");
        world_close(&w);
}

/* ... and the end of what it was told of. */
static void test_how_long_it_lasted(void **state) {
        World w;

        world_open(&w, HOT);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        for (int i = 0; i < 3; i++) {
                world_go(&w, HOUR);
                world_say(&w, "x", i % 2 == 0 ? "\"t\":20" : "\"t\":30");
        }
        expect_text(&w, "a", "hot: over after 3 h, Room x is at 20");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_quiet(&w);
        assert_int_equal(w.book->n_entries, 0);
        world_close(&w);
}

/* A device that was offline, and is silent now: what was sealed meanwhile was of the former. */
static void test_offline_and_then_silent(void **state) {
        World w;

        world_open(&w, "        - { name: silent, stale: 30m, to: a }\n");
        world_say(&w, "x", "\"online\":false");
        expect_text(&w, "a", "silent: Room x has been offline since 2026-11-27 23:34");
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"online\":true");
        world_go(&w, 30 * MINUTE);
        world_pass(&w);
        expect_text(&w, "a", "silent: Room x has been offline since 2026-11-27 23:34");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING silent Room x -");
        expect_text(&w, "a", "silent: Room x has sent nothing since 2026-11-27 23:35 (30 min)");
        world_close(&w);
}

/* A device may send more digits than are kept: cut in its exponent it is not a number any more. */
static void test_a_number_that_was_cut(void **state) {
        _cleanup_(alert_figures_done) AlertFigures figures = {};
        World w;

        world_open(&w, HOT);
        world_say(&w, "x", "\"t\":30.00000000000000000000000000000000000e+0");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30.00000000000000000000000000000000000e");
        assert_int_equal(alert_report_figures(w.book, &figures), 0);
        assert_int_equal(figures.firing, 1);
        assert_non_null(
                strstr(figures.rules.data, "\"value\":\"30.00000000000000000000000000000000000e\",\"limit\":28}"));
        world_close(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_how_long_it_lasts),
                cmocka_unit_test(test_how_long_it_was_silent),
                cmocka_unit_test(test_how_long_it_lasted),
                cmocka_unit_test(test_offline_and_then_silent),
                cmocka_unit_test(test_a_number_that_was_cut),
        };

        (void) setenv("TZ", "UTC", 1);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
