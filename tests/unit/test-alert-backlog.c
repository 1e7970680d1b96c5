/* SPDX-License-Identifier: Apache-2.0 */
/* What came while nobody looked: it is judged first, and then told once (P14). */
#include "alert-fixture.h"

#define HOT "        - { name: hot, field: t, above: 28, clear: 27, to: [a] }\n"

/* A doorbell: that it rang, and that it does not any more, may come with one pull. */
static void test_begins_and_ends_in_one_batch(void **state) {
        World w;
        Said said[2];

        world_open(&w, HOT);
        said_init(&said[0], "x", START, START, "\"t\":30");
        said_init(&said[1], "x", START + USEC_PER_SEC, START, "\"t\":20");
        world_judge(&w, said, 2);
        world_expect(&w, "a", ALERT_ACCEPTED, "ENDED hot Room x 20");
        world_judge(&w, said, 2); /* again */
        world_quiet(&w);
        assert_int_equal(w.book->n_entries, 0);
        world_close(&w);
}

/* Three days of one device, a message a minute, in batches, with alarms in it; the last one still goes on. */
static void backlog(bool shuffle, bool told_before) {
        enum { DAYS = 3, BATCH = 1000, N = DAYS * 24 * 60 / BATCH * BATCH };
        Said *said = calloc(N, sizeof(Said));
        World w;

        world_open(&w, HOT);
        if (told_before) {
                world_say(&w, "x", "\"t\":35");
                world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 35");
        }
        world_go(&w, (N + 1) * MINUTE);
        for (size_t k = 0; k < N; k++) {
                /* a queue without order: the messages of a batch come in any */
                size_t i = shuffle ? k / BATCH * BATCH + (k % BATCH * 7 + 3) % BATCH : k;
                bool hot = (i % 1200 > 100 && i % 1200 < 300) || i > N - 100;
                usec_t at = START + (i + 1) * MINUTE;

                said_init(&said[k], "x", at, at, hot ? "\"t\":30" : "\"t\":20");
        }
        for (size_t i = 0; i < N; i += BATCH) {
                world_judge(&w, &said[i], i + BATCH < N ? BATCH : N - i);
                world_go(&w, 100 * USEC_PER_MSEC);
                if (i + BATCH < N)
                        world_quiet(&w);
        }
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_quiet(&w);
        assert_int_equal(w.fired, 1);
        world_go(&w, MINUTE);
        world_say(&w, "x", "\"t\":20");
        world_expect(&w, "a", ALERT_ACCEPTED, "RESOLVED hot Room x 20");
        world_quiet(&w);
        free(said);
        world_close(&w);
}

static void test_backlog(void **state) {
        backlog(false, false);
        backlog(true, false);
}

static void test_backlog_after_it_was_told(void **state) {
        backlog(false, true);
}

/* P14: Pub/Sub was down for a day, in which it was hot three times. People are told once, when all has come. */
static void test_backlog_in_which_it_ended(void **state) {
        enum { N = 1440, BATCH = 100 };
        Said *said = calloc(N, sizeof(Said));
        World w;

        world_open(&w, HOT "        - { name: long, field: t, above: 28, for: 1h, to: b }\n");
        world_go(&w, (N + 1) * MINUTE);
        for (size_t i = 0; i < N; i += BATCH) {
                for (size_t k = i; k < i + BATCH && k < N; k++) {
                        bool hot = (k > 100 && k < 200) || (k > 410 && k < 440) || (k > 810 && k < 890);
                        usec_t at = START + (k + 1) * MINUTE;

                        said_init(&said[k], "x", at, at, hot ? "\"t\":30" : "\"t\":20");
                }
                world_judge(&w, &said[i], i + BATCH < N ? BATCH : N - i);
                world_go(&w, USEC_PER_SEC);
                if (i + BATCH < N)
                        world_quiet(&w);
        }
        world_pass(&w);
        assert_int_equal(w.book->n_due, 2);
        assert_int_equal(world_notice(&w, 0).since, START + 812 * MINUTE); /* the last time */
        assert_int_equal(world_notice(&w, 0).until, START + 891 * MINUTE);
        world_expect(&w, "a", ALERT_ACCEPTED, "ENDED hot Room x 20");
        world_expect(&w, "b", ALERT_ACCEPTED, "ENDED long Room x 20");
        world_quiet(&w);
        assert_int_equal(w.book->n_entries, 0);
        free(said);
        world_close(&w);
}

/* P14: the present state, not the history. What was due once, before it was read late that it is over, is told. */
static void test_backlog_of_days(void **state) {
        for (unsigned due = 0; due < 2; due++) {
                World w;
                Said said;

                world_open(&w, HOT);
                said_init(&said, "x", START, START, "\"t\":30");
                if (due) {
                        world_judge(&w, &said, 1);
                        world_expect(&w, "a", ALERT_BACK, "FIRING hot Room x 30");
                }
                world_go(&w, 48 * HOUR);
                if (!due)
                        world_judge(&w, &said, 1);
                said_init(&said, "x", START + HOUR, START + HOUR, "\"t\":20");
                world_judge(&w, &said, 1);
                world_go(&w, MINUTE);
                world_expect(&w, "a", ALERT_ACCEPTED, due ? "ENDED hot Room x 20" : "");
                world_quiet(&w);
                assert_int_equal(w.book->n_entries, 0);
                world_close(&w);
        }
}

/* A large queue, or a slow line: what is past is read for longer than a device with a wrong clock is waited for. */
static void test_backlog_that_takes_long(void **state) {
        enum { N = 4000 };
        World w;

        world_open(&w, HOT);
        world_go(&w, N * MINUTE);
        for (unsigned i = 0; i < N - 60; i++) {
                usec_t at = START + (i + 1) * MINUTE;
                Said said;

                said_init(&said, "x", at, at, i % 200 < 20 ? "\"t\":30" : "\"t\":20");
                world_judge(&w, &said, 1);
                world_quiet(&w);
                world_go(&w, USEC_PER_SEC); /* 66 minutes in all */
        }
        assert_int_equal(w.fired, 0);
        world_say(&w, "x", "\"t\":31");
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 31");
        world_close(&w);
}

/* The last message of a backlog is old itself: its device is off. */
static void test_backlog_that_ends_long_ago(void **state) {
        World w;
        Said said;

        world_open(&w, HOT);
        world_go(&w, 48 * HOUR);
        said_init(&said, "x", START, START, "\"t\":30");
        world_judge(&w, &said, 1);
        world_quiet(&w);
        assert_true(w.book->next <= w.moment.wall + 5 * USEC_PER_SEC);
        world_go(&w, 5 * USEC_PER_SEC);
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30");
        world_close(&w);
}

/* A reload while the past is read. Nobody knows when the firing of the old rule ended: it may have been days ago. */
static void test_backlog_whose_rule_is_changed(void **state) {
        World w;
        Said said;

        world_open(&w, HOT);
        world_go(&w, 48 * HOUR);
        said_init(&said, "x", START, START, "\"t\":30");
        world_judge(&w, &said, 1);
        world_quiet(&w);
        world_reload(&w, "        - { name: hot, field: t, above: 29, to: a }\n");
        world_quiet(&w);
        assert_int_equal(w.book->n_entries, 0);
        said_init(&said, "x", START + MINUTE, START, "\"t\":20");
        world_judge(&w, &said, 1);
        world_go(&w, MINUTE);
        world_quiet(&w);
        world_close(&w);
}

/* The same with a firing that was due, while its target was down. */
static void test_outage_in_which_the_rule_is_changed(void **state) {
        World w;

        world_open(&w, HOT);
        world_say(&w, "x", "\"t\":30");
        world_expect(&w, "a", ALERT_BACK, "FIRING hot Room x 30");
        world_go(&w, HOUR);
        world_reload(&w, "        - { name: hot, field: t, above: 35, to: a }\n");
        world_expect(&w, "a", ALERT_ACCEPTED, "ENDED hot Room x 30");
        world_quiet(&w);
        world_close(&w);
}

/* `once`: the queue is empty, and nothing more is on its way. */
static void test_end_of_the_queue(void **state) {
        Said said;
        World w;

        world_open(&w, HOT "        - { name: open, field: door, is: true, for: 5m, to: a }\n");
        w.moment.hearing = w.moment.now;
        said_init(&said, "x", w.moment.wall - 10 * MINUTE, w.moment.wall, "\"t\":30,\"door\":true");
        world_judge(&w, &said, 1);
        world_quiet(&w);
        w.moment.caught_up = true;
        world_pass(&w);
        world_expect(&w, "a", ALERT_ACCEPTED, "FIRING hot Room x 30\nFIRING open Room x true");
        world_close(&w);
}

/* Its clock, or the API, is an hour behind for ever: a short delay, and not silence. */
static void test_times_that_are_always_old(void **state) {
        World w;
        unsigned waited = 0;
        bool told = false;

        world_open(&w, HOT);
        for (int i = 0; i < 700 && !told; i++) {
                _cleanup_free_ char *found = NULL;
                Said said;

                said_init(&said, "x", w.moment.wall - HOUR, w.moment.wall, "\"t\":30");
                world_judge(&w, &said, 1);
                found = world_tell(&w, "a", ALERT_ACCEPTED);
                told = found[0] != '\0';
                world_go(&w, USEC_PER_SEC);
                waited++;
        }
        assert_true(told);
        assert_in_range(waited, 600, 602);
        world_close(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_begins_and_ends_in_one_batch),
                cmocka_unit_test(test_backlog),
                cmocka_unit_test(test_backlog_after_it_was_told),
                cmocka_unit_test(test_backlog_in_which_it_ended),
                cmocka_unit_test(test_backlog_of_days),
                cmocka_unit_test(test_backlog_that_takes_long),
                cmocka_unit_test(test_backlog_that_ends_long_ago),
                cmocka_unit_test(test_backlog_whose_rule_is_changed),
                cmocka_unit_test(test_outage_in_which_the_rule_is_changed),
                cmocka_unit_test(test_end_of_the_queue),
                cmocka_unit_test(test_times_that_are_always_old),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
