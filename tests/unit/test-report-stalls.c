/* SPDX-License-Identifier: Apache-2.0 */
/* What a standstill, a full outbox and the end of the retention are told by: each warning once. */
#include "report-fixture.h"

#include "lib/service.h"

/* lib/service.h has it of the service manager. */
const char *__wrap_service_own_unit(char unit[static SERVICE_UNIT_SIZE]);

const char *__wrap_service_own_unit(char unit[static SERVICE_UNIT_SIZE]) {
        return strcpy(unit, "sensorqd@attic");
}

static void test_warn_nothing(void **state) {
        Fixture *f = *state;

        look(f, NULL, NULL);
        for (unsigned i = 0; i < 10; i++) {
                pass_time(f, USEC_PER_MINUTE);
                look(f, NULL, NULL);
        }
}

/* P7 */
static void test_warn_outbox(void **state) {
        Fixture *f = *state;

        f->input.outbox.rows = 800;
        look(f, NULL, NULL);
        f->input.outbox.rejected_rows = 1;
        look(f, EVENT_OUTBOX_HIGH, "SENSORQD_OUTBOX_ROWS=801");
        look(f, NULL, NULL);
        f->input.outbox.rows = 760;
        look(f, NULL, NULL); /* a little below the mark is no news, and above it again neither */
        f->input.outbox.rows = 850;
        look(f, NULL, NULL);
        f->input.outbox.rows = 999;
        look(f, EVENT_OUTBOX_FULL, "Polling has stopped");
        f->input.outbox.rows = 990;
        look(f, NULL, NULL);
        f->input.outbox.rows = 999;
        look(f, NULL, NULL);
        f->input.outbox.rows = 100;
        look(f, EVENT_OUTBOX_DRAINED, "SENSORQD_OUTBOX_ROWS=101");
        look(f, NULL, NULL);
        f->input.outbox.bytes = 1000000;
        look(f, EVENT_OUTBOX_FULL, "SENSORQD_OUTBOX_BYTES=1000000");
}

/* Months of what Pub/Sub refuses: publishing does not fail, and looking at it would not help. */
static void test_warn_full_of_rejected(void **state) {
        Fixture *f = *state;

        f->input.outbox.rows = 3;
        f->input.outbox.rejected_bytes = 900000;
        look(f, EVENT_OUTBOX_HIGH, "sensorqd rejected list");
        f->input.outbox.rejected_bytes = 1000000;
        look(f, EVENT_OUTBOX_FULL, "sensorqd rejected list");
        f->input.outbox.rejected_bytes = 0;
        look(f, EVENT_OUTBOX_DRAINED, "Polling goes on.");
}

static void test_warn_full_when_a_poll_did_not_fit(void **state) {
        Fixture *f = *state;

        f->input.outbox.rows = 990;
        f->sources[0].holding = true;
        look(f, EVENT_OUTBOX_FULL, "");
        be_well(f);
        f->sources[0].holding = true; /* the disk refuses: told elsewhere */
        f->input.outbox.failure.on = true;
        look(f, EVENT_OUTBOX_DRAINED, "");
}

static void test_warn_publisher_stalls(void **state) {
        Fixture *f = *state;

        f->input.outbox.rows = 5;
        look(f, NULL, NULL);
        pass_time(f, 9 * USEC_PER_MINUTE);
        look(f, NULL, NULL);
        f->input.publisher.published++; /* a long backlog is no stall while it moves */
        pass_time(f, 5 * USEC_PER_MINUTE);
        look(f, NULL, NULL);
        pass_time(f, 10 * USEC_PER_MINUTE);
        look(f, EVENT_STALLED, "SENSORQD_OUTBOX_ROWS=5");
        pass_time(f, USEC_PER_HOUR);
        look(f, NULL, NULL);
        f->input.publisher.failure.on = true; /* now it has a reason */
        look(f, NULL, NULL);
        pass_time(f, USEC_PER_HOUR);
        look(f, NULL, NULL);
        f->input.publisher.failure.on = false;
        pass_time(f, USEC_PER_MINUTE);
        look(f, NULL, NULL);
        f->input.wall += 50 * 365 * DAY; /* a clock that was set is no time that passed */
        look(f, NULL, NULL);
        pass_time(f, 11 * USEC_PER_MINUTE);
        look(f, EVENT_STALLED, "systemctl restart sensorqd@attic,");
}

static void test_warn_source_stalls(void **state) {
        Fixture *f = *state;

        f->sources[0].next_poll = NOW - 1;
        look(f, NULL, NULL);
        f->input.now += 11 * USEC_PER_MINUTE;
        look(f, EVENT_STALLED, "SENSORQD_SOURCE=home");
        f->input.now += 30 * USEC_PER_MINUTE;
        look(f, NULL, NULL);
        f->sources[0].polls++;
        look(f, NULL, NULL);
        f->sources[0].failure.on = true;
        f->input.now += 20 * USEC_PER_MINUTE;
        look(f, NULL, NULL);
}

static void test_warn_held_and_pulls(void **state) {
        Fixture *f = *state;

        f->subscribers[0].held = 10;
        look(f, NULL, NULL);
        f->subscribers[0].sink.stored += 10;
        pass_time(f, 5 * USEC_PER_MINUTE);
        look(f, NULL, NULL);
        pass_time(f, 5 * USEC_PER_MINUTE);
        look(f, EVENT_STALLED, "SENSORQD_SUBSCRIPTION=projects/p/subscriptions/sub");
        f->subscribers[0].sink.ready = false;
        f->subscribers[0].paused = true;
        look(f, NULL, NULL);
        pass_time(f, 2 * USEC_PER_HOUR);
        look(f, NULL, NULL);

        be_well(f); /* it waits for another opinion, and says itself when that takes too long */
        f->input.now = NOW + 3 * USEC_PER_HOUR;
        pass_time(f, 0);
        f->subscribers[0].held = 1;
        f->subscribers[0].sink.refusing = true;
        for (unsigned minute = 0; minute < 30; minute++) {
                f->subscribers[0].sink.retry_at = f->input.now + USEC_PER_MINUTE;
                look(f, NULL, NULL);
                pass_time(f, USEC_PER_MINUTE - 1);
        }

        be_well(f);
        f->input.now = NOW + 4 * USEC_PER_HOUR;
        pass_time(f, 0);
        look(f, NULL, NULL);
        pass_time(f, 70 * USEC_PER_MINUTE);
        f->subscribers[0].pulls--;
        look(f, EVENT_STALLED, "No pull from");
        f->subscribers[0].pulls++;
        look(f, NULL, NULL);
}

/* A laptop over night, or a machine that was put to sleep: who is awake again has had no time to do what is due. */
static void test_sleep_is_no_standstill(void **state) {
        Fixture *f = *state;

        f->input.outbox.rows = 5;
        f->subscribers[0].held = 10;
        f->input.asleep = USEC_PER_HOUR; /* before this process */
        look(f, NULL, NULL);
        for (unsigned night = 0; night < 3; night++) {
                f->input.now += 8 * USEC_PER_HOUR; /* the source is due since */
                f->input.wall += 8 * USEC_PER_HOUR;
                f->input.asleep += 8 * USEC_PER_HOUR;
                look(f, NULL, NULL);
        }
        f->input.outbox.rows = 0;
        f->subscribers[0].held = 0;
        look(f, NULL, NULL);
        f->input.now += 80 * USEC_PER_MINUTE; /* awake for 71 of them */
        f->input.asleep += 9 * USEC_PER_MINUTE;
        f->sources[0].next_poll = f->input.now + 1;
        look(f, EVENT_STALLED, "has completed for 1 h 11 min");
}

static void test_warn_retention(void **state) {
        Fixture *f = *state;

        look(f, NULL, NULL);
        f->subscribers[0].paused = true;
        f->subscribers[0].paused_since = f->input.wall;
        f->subscribers[0].sink.ready = false;
        f->subscribers[0].sink.failure.detail = "connection refused";
        pass_time(f, 3 * DAY);
        look(f, NULL, NULL);
        pass_time(f, DAY);
        look(f, EVENT_RETENTION_NEAR, "warning: ");
        look(f, NULL, NULL);
        pass_time(f, 3 * DAY);
        look(f, EVENT_RETENTION_NEAR, "error: ");
        pass_time(f, 3 * DAY);
        look(f, NULL, NULL);

        be_well(f);
        f->input.now = NOW + 10 * DAY;
        look(f, NULL, NULL);
        pass_time(f, 2 * DAY);
        look(f, NULL, NULL);
        f->subscribers[0].oldest_unsettled = f->input.wall - 4 * DAY; /* held, and old already */
        f->subscribers[0].held = 1;
        look(f, EVENT_RETENTION_NEAR, "SENSORQD_SUBSCRIPTION=");
}

/* A backlog that is drained batch by batch, or messages that look old because the clock is days ahead. */
static void test_warn_retention_once(void **state) {
        Fixture *f = *state;

        for (unsigned i = 0; i < 100; i++) {
                f->subscribers[0].oldest_unsettled = f->input.wall - 4 * DAY;
                f->subscribers[0].held = 1;
                look(f, i == 0 ? EVENT_RETENTION_NEAR : NULL, i == 0 ? "warning: " : NULL);
                be_well(f);
                pass_time(f, USEC_PER_HOUR);
                look(f, NULL, NULL);
        }
        f->subscribers[0].paused = true; /* an outage that begins at once is told of, when it is as old */
        f->subscribers[0].paused_since = f->input.wall;
        f->subscribers[0].sink.ready = false;
        pass_time(f, 2 * DAY);
        look(f, NULL, NULL);
        pass_time(f, 2 * DAY);
        look(f, EVENT_RETENTION_NEAR, "warning: ");
}

/* Where a source knows how far the clock is ahead, nothing looks old; nor is it young where that is behind. */
static void test_warn_retention_clock(void **state) {
        Fixture *f = *state;

        f->subscribers[0].held = 1;
        f->subscribers[0].oldest_unsettled = f->input.wall;
        f->sources[0].true_start = f->input.wall - f->input.now;
        f->input.wall += 4067 * DAY;
        look(f, NULL, NULL);
        f->input.wall -= 2 * 4067 * DAY;
        look(f, NULL, NULL);
        f->input.wall += 4067 * DAY; /* it is set, and the source is not polled yet */
        look(f, NULL, NULL);
        f->input.wall -= 4067 * DAY;
        f->sources[0].true_start += 4 * DAY;
        look(f, EVENT_RETENTION_NEAR, "waiting for up to 4 d");
}

/* The machine was off for longer than messages are kept. */
static void test_warn_retention_over(void **state) {
        Fixture *f = *state;

        f->subscribers[0].oldest_unsettled = f->input.wall - 8 * DAY;
        f->subscribers[0].held = 1;
        look(f, EVENT_RETENTION_NEAR, "drops them after 7 d: the oldest may be lost by now. Restore the pulls now, or");
}

/* Without the role for it; a subscription may keep messages for 31 days, and nobody may be told otherwise. */
static void test_warn_retention_unknown(void **state) {
        Fixture *f = *state;

        f->subscribers[0].retention = 0;
        f->subscribers[0].oldest_unsettled = f->input.wall - 8 * DAY;
        f->subscribers[0].held = 1;
        look(f, EVENT_RETENTION_NEAR, "after 7 d (assumed: its settings cannot be read): the oldest may be");
}

/* A process that ends and begins again. */
static void start_again(Fixture *f, const char *directory) {
        f->input.stopping = true;
        look(f, NULL, NULL);
        f->stalls = report_stalls_free(f->stalls);
        f->input.stopping = false;
        f->input.now -= 50 * USEC_PER_MINUTE; /* the machine was booted as well */
        assert_int_equal(report_stalls_new(directory, &f->stalls), 0);
}

/* Retention 600 s and a restart each 205 s: none of the processes sees more than 205 s of the outage. */
static void test_warn_retention_over_restarts(void **state) {
        char directory[] = "/tmp/sensorqd-stalls-XXXXXX", path[64];
        Fixture *f = *state;
        struct stat before, after;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/unsettled", directory);
        f->stalls = report_stalls_free(f->stalls);
        assert_int_equal(report_stalls_new(directory, &f->stalls), 0);
        f->subscribers[0].retention = 600 * USEC_PER_SEC;
        f->subscribers[0].paused = true;
        f->subscribers[0].sink.ready = false;
        f->subscribers[0].sink.failure.detail = "connection refused";
        for (int i = 0; i < 3; i++) {
                f->subscribers[0].paused_since = f->input.wall;
                look(f, NULL, NULL);
                pass_time(f, 59 * USEC_PER_SEC);
                look(f, NULL, NULL);
                pass_time(f, 146 * USEC_PER_SEC);
                if (i == 1)
                        look(f, EVENT_RETENTION_NEAR, "warning: ");
                else if (i == 2)
                        look(f, EVENT_RETENTION_NEAR, "error: ");
                start_again(f, directory);
        }

        /* Drained: nothing is carried on. */
        be_well(f);
        f->subscribers[0].retention = 600 * USEC_PER_SEC;
        f->subscribers[0].emptied = true;
        look(f, NULL, NULL);
        start_again(f, directory);
        f->subscribers[0].emptied = false;
        assert_int_equal(stat(path, &before), 0);
        assert_int_equal(before.st_size, 0);
        pass_time(f, USEC_PER_HOUR);
        look(f, NULL, NULL);
        assert_int_equal(stat(path, &after), 0); /* what is well writes nothing */
        assert_int_equal(after.st_ino, before.st_ino);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(directory), 0);
}

/* A machine without a clock of its own starts in 1970 and is set later. */
static void test_clock_set_is_no_age(void **state) {
        Fixture *f = *state;

        f->input.wall = USEC_PER_HOUR;
        f->subscribers[0].paused = f->subscribers[0].failure.on = true;
        f->subscribers[0].paused_since = f->subscribers[0].failure.since = USEC_PER_HOUR;
        f->subscribers[0].sink.ready = false;
        look(f, NULL, NULL);
        f->input.wall = NOON;
        look(f, NULL, NULL);
        pass_time(f, 4 * DAY);
        look(f, EVENT_RETENTION_NEAR, "");
}

static void test_stages_that_go_are_forgotten(void **state) {
        Fixture *f = *state;

        f->sources[0].next_poll = NOW - 1;
        look(f, NULL, NULL);
        f->input.now += 11 * USEC_PER_MINUTE;
        look(f, EVENT_STALLED, "home");
        f->input.n_sources = 0; /* a reload took it away, another brings it back */
        look(f, NULL, NULL);
        f->input.n_sources = 1;
        look(f, NULL, NULL);
        f->input.now += 11 * USEC_PER_MINUTE;
        look(f, EVENT_STALLED, "home");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_warn_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_outbox, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_full_when_a_poll_did_not_fit, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_publisher_stalls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_source_stalls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_held_and_pulls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sleep_is_no_standstill, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_full_of_rejected, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention_clock, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention_over, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention_unknown, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention_over_restarts, setup, teardown),
                cmocka_unit_test_setup_teardown(test_clock_set_is_no_age, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stages_that_go_are_forgotten, setup, teardown),
        };

        return report_tests("report-stalls", tests, sizeof(tests) / sizeof(tests[0]));
}
