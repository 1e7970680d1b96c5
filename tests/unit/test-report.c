/* SPDX-License-Identifier: Apache-2.0 */
/* What `systemctl status` and `sensorqd status` say (P5: since when MongoDB is down). */
#include "report-fixture.h"

#include <errno.h>

static bool short_of_memory;
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text) {
        return short_of_memory ? NULL : __real_strdup(text);
}

static void assert_line(const Fixture *f, const char *expected) {
        char line[REPORT_LINE_SIZE];

        assert_string_equal(report_format_line(&f->input, line), expected);
}

/* ---- STATUS= ---- */

static void test_line_well(void **state) {
        Fixture *f = *state;

        assert_line(f, "home polled 12:00:03, 0 readings queued, last stored 12:00:04");
        f->input.outbox.rows = 1;
        f->sources[0].last_poll = NOON - DAY;
        f->subscribers[0].sink.last_stored = 0;
        assert_line(f, "home polled 2026-11-23 12:00, 1 reading queued, nothing stored yet");
        f->input.n_sources = 0;
        f->input.publishes = false;
        f->input.stopping = true;
        assert_line(f, "stopping, nothing stored yet");
}

/* timedatectl set-timezone, while the daemon runs. */
static void test_line_zone(void **state) {
        Fixture *f = *state;

        assert_line(f, "home polled 12:00:03, 0 readings queued, last stored 12:00:04");
        (void) setenv("TZ", "JST-9", 1);
        assert_line(f, "home polled 21:00:03, 0 readings queued, last stored 21:00:04");
        (void) setenv("TZ", "UTC", 1);
}

/* It works, but somebody should look: `sensorqd rejected list`. */
static void test_line_set_apart(void **state) {
        Fixture *f = *state;

        f->subscribers[0].sink.rejected = 10005;
        assert_line(
                f, "home polled 12:00:03, 0 readings queued, last stored 12:00:04, 10005 set apart since the start");
}

/* Why the last poll is not of this minute, and why times are not what they seem. */
static void test_line_limited_and_clock(void **state) {
        Fixture *f = *state;

        f->sources[0].limited = true;
        f->sources[0].next_poll = NOW + 104 * USEC_PER_SEC;
        assert_line(
                f, "home polled 12:00:03 (rate limit, next poll 12:01:49), 0 readings queued, last stored 12:00:04");
        f->sources[0].failure.on = true;
        f->sources[0].failure.since = NOON;
        assert_line(f, "home failing since 12:00:00 (next try 12:01:49), 0 readings queued, last stored 12:00:04");
        f->sources[0].limited = f->sources[0].failure.on = false;
        f->sources[0].clock_wrong = true;
        assert_line(f,
                "this machine's clock is wrong (timedatectl), home polled 12:00:03, 0 readings queued, last stored "
                "12:00:04");
}

/* Nothing else is wrong, but somebody has to act. */
static void test_line_unkept(void **state) {
        Fixture *f = *state;

        f->subscribers[0].held = 2;
        f->subscribers[0].aside = f->subscribers[0].unkept = 1;
        assert_line(f, "home polled 12:00:03, 0 readings queued, last stored 12:00:04, 2 messages held, 1 of them can "
                       "neither be stored nor set "
                       "apart");
}

static void test_line_mongodb_down(void **state) {
        Fixture *f = *state;

        f->subscribers[0].paused = true;
        f->subscribers[0].held = 12;
        f->subscribers[0].sink.ready = false;
        f->subscribers[0].sink.failure.since = NOON - 57 * USEC_PER_MINUTE;
        f->subscribers[0].sink.retry_at = NOW + 40 * USEC_PER_SEC;
        f->input.outbox.rows = 3;
        assert_line(f, "home polled 12:00:03, 3 readings queued, last stored 12:00:04, MongoDB down since 11:03:00 "
                       "(next try 12:00:45), "
                       "pulls paused, "
                       "12 messages held");
        f->subscribers[0].failure.on = true;
        f->subscribers[0].failure.since = NOON;
        f->subscribers[0].held = 0;
        assert_line(f, "home polled 12:00:03, 3 readings queued, last stored 12:00:04, MongoDB down since 11:03:00 "
                       "(next try 12:00:45), "
                       "pulls paused, "
                       "subscription failing since 12:00:00");
        f->subscribers[0].failure.on = false;
        f->subscribers[0].sink.failure.since = 0;
        f->subscribers[0].sink.last_stored = 0;
        f->subscribers[0].held = 0;
        assert_line(f,
                "home polled 12:00:03, 3 readings queued, MongoDB not reached yet (next try 12:00:45), pulls paused");
        f->subscribers[0].sink.untried = true;
        f->subscribers[0].sink.retry_at = 0;
        f->subscribers[0].paused = false;
        assert_line(f, "home polled 12:00:03, 3 readings queued, MongoDB answers and has stored no message yet");
}

static void test_line_failures(void **state) {
        Fixture *f = *state;

        f->sources[0].failure.on = true;
        f->sources[0].failure.since = NOON;
        f->input.publisher = (PublisherStatus){ .failure = { .on = true, .since = NOON - USEC_PER_MINUTE },
                .retry_at = NOW + USEC_PER_SEC };
        f->input.token = (TokenStatus){ .failure = { .on = true, .since = NOON - 2 * USEC_PER_MINUTE } };
        f->subscribers[0].missing = true;
        f->input.outbox.rejected_rows = 2;
        f->sources[0].dropped = 5;
        assert_line(f, "home failing since 12:00:00, 0 readings queued, 2 rejected, 5 unreadable gone, publishing "
                       "failing since 11:59:00 "
                       "(next try 12:00:06), "
                       "no access token since 11:58:00, last stored 12:00:04, subscription missing");
        be_well(f);
        f->input.token = (TokenStatus){ .failure = { .on = true, .since = NOON }, .expires = NOW + USEC_PER_MINUTE };
        assert_line(f, "home polled 12:00:03, 0 readings queued, access token cannot be renewed since 12:00:00, last "
                       "stored 12:00:04");
        be_well(f);
        f->input.publisher.paused = true;
        f->input.outbox.failure.on = true;
        f->input.outbox.failure.since = NOON;
        assert_line(f,
                "home polled 12:00:03, 0 readings queued, disk refuses the outbox, polling stopped since 12:00:00, "
                "publishing "
                "paused until each "
                "subscription is "
                "known to exist, last stored 12:00:04");
        be_well(f);
        f->input.outbox.rows = 1000;
        assert_line(
                f, "home polled 12:00:03, 1000 readings queued, outbox full, polling stopped, last stored 12:00:04");
}

/* A pushing device whose data `reading` does not fit looked well everywhere but on the page. */
static void test_source_that_sends_nothing_readable(void **state) {
        Fixture *f = *state;

        f->sources[0].readings = 0;
        f->sources[0].unreadable = 2; /* a stray request, a retained text */
        assert_true(report_is_well(&f->input));
        f->sources[0].unreadable = 3;
        assert_false(report_is_well(&f->input));
        assert_line(f, "home sends nothing that can be understood, 0 readings queued, last stored 12:00:04");
        f->sources[0].readings = 1;
        assert_true(report_is_well(&f->input));
        assert_line(f, "home polled 12:00:03, 0 readings queued, last stored 12:00:04");
        f->sources[0].readings = 0;
        f->sources[0].repeats = 1;
        assert_true(report_is_well(&f->input));
}

/* The page cannot say so itself, nor can /healthz and /metrics, which are behind the same address. */
static void test_page_that_is_not_served(void **state) {
        Fixture *f = *state;
        Bytes text = {};
        Json *json;

        f->input.page.on = true;
        f->input.page.since = NOON - 60 * USEC_PER_SEC;
        f->input.page.detail = "another program has that address";
        f->input.page.cause = CAUSE_OCCUPIED;
        assert_false(report_is_well(&f->input));
        assert_line(f, "home polled 12:00:03, 0 readings queued, last stored 12:00:04, page not served since 11:59:00");
        assert_int_equal(report_format_json(&f->input, &text), 0);
        assert_int_equal(json_parse(text.data, text.size, &json), 0);
        assert_string_equal(json_get_string(json_get(json, "page_failing"), "since"), "2026-11-24T11:59:00.000Z");
        assert_string_equal(json_get_string(json_get(json, "page_failing"), "detail"), f->input.page.detail);
        assert_string_equal(json_get_string(json_get(json, "page_failing"), "kind"), "occupied");
        assert_string_equal(json_get_string(json_get(json, "page_failing"), "remedy"), "occupied");
        json_free(json);
        bytes_done(&text);
}

static void test_reload_refused(void **state) {
        Fixture *f = *state;
        Bytes text = {};
        Json *json;

        f->input.reload_refused = NOON - 60 * USEC_PER_SEC;
        f->input.reload_error = "/etc/sensorqd/sensorqd.yaml:3:5: publish: is not a section";
        assert_line(f, "reload refused 11:59:00: /etc/sensorqd/sensorqd.yaml:3:5: publish: is not a section, home "
                       "polled 12:00:03, "
                       "0 readings queued, last stored 12:00:04");
        assert_int_equal(report_format_json(&f->input, &text), 0);
        assert_int_equal(json_parse(text.data, text.size, &json), 0);
        assert_string_equal(json_get_string(json_get(json, "reload_refused"), "time"), "2026-11-24T11:59:00.000Z");
        assert_string_equal(json_get_string(json_get(json, "reload_refused"), "error"), f->input.reload_error);
        json_free(json);
        bytes_done(&text);

        f->input.reload_error =
                "/etc/sensorqd/sensorqd.yaml:19:9: publish.sources[].intervall: is not known, did you mean interval? "
                "Allowed: subscription, interval, max_messages, pulls, id_attribute, max_hold, payload, backoff, alert, file, mongodb";
        assert_line(f,
                "reload refused 11:59:00: /etc/sensorqd/sensorqd.yaml:19:9: publish.sources[].intervall: is not known, did you "
                "mean interval? Allowed: subscription, interval, max_messages, pulls, id_attribute, max_hold, payload, backoff..., home polled "
                "12:00:03, 0 readings queued, last stored 12:00:04");
}

static void test_line_many(void **state) {
        Fixture *f = *state;
        static char name[64], subscription[300];
        char line[REPORT_LINE_SIZE];

        memset(name, 'n', 63);
        memset(subscription, 's', 299);
        f->input.n_sources = 120;
        for (size_t i = 0; i < 120; i++)
                f->sources[i] = (SourceStatus){ .name = name, .failure = { .on = i < 119, .since = NOON - 40 * DAY } };
        f->input.n_subscribers = 4;
        for (size_t i = 0; i < 4; i++) {
                f->subscribers[i] = f->subscribers[0];
                f->subscribers[i].subscription = subscription;
                f->subscribers[i].sink.ready = false;
                f->subscribers[i].sink.failure.since = NOON - 40 * DAY;
                f->subscribers[i].sink.retry_at = NOW + DAY;
                f->subscribers[i].held = 4000;
        }
        f->input.outbox.failure.on = true;
        assert_non_null(strstr(report_format_line(&f->input, line), ", 117 more sources failing, "));

        f->input.n_sources = 3;
        assert_non_null(strstr(report_format_line(&f->input, line), ", 1 more source failing, "));

        be_well(f);
        f->sources[0].speaks = true;
        assert_non_null(strstr(report_format_line(&f->input, line), "home has sent no reading yet, "));
        f->input.n_sources = 2;
        f->sources[1] = f->sources[0];
        assert_non_null(strstr(report_format_line(&f->input, line), "2 sources have sent no reading yet, "));
        f->input.n_sources = 1;
        f->sources[0].last_reading = NOON + 2 * USEC_PER_SEC;
        assert_non_null(strstr(report_format_line(&f->input, line), "home last reading 12:00:02, "));
        f->sources[0].speaks = false;

        f->input.n_sources = 3;
        f->sources[1] = f->sources[2] = f->sources[0];
        f->sources[2].speaks = true; /* the one that was heard last tells what it was */
        f->sources[2].last_reading = NOON + 4 * USEC_PER_SEC;
        assert_non_null(strstr(report_format_line(&f->input, line), "3 sources well, last reading 12:00:04, "));
        f->sources[2].speaks = false;
        f->input.n_subscribers = 2;
        f->subscribers[1] = f->subscribers[0];
        f->subscribers[1].failure.on = true;
        f->subscribers[1].failure.since = NOON;
        assert_line(f, "3 sources well, last poll 12:00:03, 0 readings queued, last stored 12:00:04, sub: subscription "
                       "failing since 12:00:00");
}

/* ---- JSON ---- */

static void test_json(void **state) {
        Fixture *f = *state;
        Bytes text = {};
        Json *json, *source, *subscription, *sink;
        int64_t number;

        f->sources[0].failure.on = true;
        f->sources[0].failure.since = NOON;
        f->sources[0].failure.detail = "bad \"quote\"\n\xc3";
        f->sources[0].dropped = 9;
        f->sources[0].failure.cause = CAUSE_TOKEN;
        f->input.outbox.failure.since = NOON;
        f->input.outbox.failure.cause = CAUSE_OTHER;
        f->input.outbox.failure.detail = "Input/output error";
        f->subscribers[0].sink.failure.detail = NULL;
        f->subscribers[0].held = 7;
        short_of_memory = true; /* for the copy of a text that is not UTF-8 */
        assert_int_equal(report_format_json(&f->input, &text), -ENOMEM);
        short_of_memory = false;
        bytes_done(&text);
        assert_int_equal(report_format_json(&f->input, &text), 0);
        assert_int_equal(json_parse(text.data, text.size, &json), 0);

        assert_string_equal(json_get_string(json, "version"), SENSORQD_VERSION);
        assert_string_equal(json_get_string(json, "time"), "2026-11-24T12:00:05.000Z");
        source = json_at(json_get(json, "sources"), 0);
        assert_string_equal(json_get_string(source, "failing_since"), "2026-11-24T12:00:00.000Z");
        assert_string_equal(json_get_string(source, "next_poll"), "2026-11-24T12:01:02.000Z");
        assert_string_equal(json_get_string(source, "detail"), "bad \"quote\"\n?");
        assert_true(json_get_int(source, "dropped", &number));
        assert_int_equal(number, 9);
        assert_string_equal(json_get_string(source, "kind"), "refused");
        assert_string_equal(json_get_string(source, "remedy"), "token");
        assert_null(json_get(json_get(json, "outbox"), "oldest"));
        assert_string_equal(json_get_string(json_get(json, "outbox"), "failing_since"), "2026-11-24T12:00:00.000Z");
        assert_string_equal(json_get_string(json_get(json, "outbox"), "detail"), "Input/output error");
        assert_string_equal(json_get_string(json_get(json, "outbox"), "kind"), "other");
        assert_null(json_get_string(json_get(json, "outbox"), "remedy"));
        assert_null(json_get_string(json_get(json, "publisher"), "kind"));
        assert_true(json_get_int(json_get(json, "outbox"), "max_rows", &number));
        assert_int_equal(number, 1000);
        assert_string_equal(json_get_string(json_get(json, "token"), "expires"), "2026-11-24T13:00:05.000Z");
        subscription = json_at(json_get(json, "subscriptions"), 0);
        assert_true(json_get_int(subscription, "held", &number));
        assert_int_equal(number, 7);
        assert_true(json_get_int(subscription, "retention_sec", &number));
        assert_int_equal(number, 7 * 86400);
        sink = json_get(subscription, "sink");
        assert_true(json_get_flag(sink, "ready"));
        assert_string_equal(json_get_string(sink, "detail"), "");
        json_free(json);
        bytes_done(&text);

        f->input.publishes = false;
        f->input.n_sources = f->input.n_subscribers = 0;
        assert_int_equal(report_format_json(&f->input, &text), 0);
        assert_int_equal(json_parse(text.data, text.size, &json), 0);
        assert_null(json_get(json, "outbox"));
        json_free(json);
        bytes_done(&text);
}

static void test_write(void **state) {
        char directory[] = "/tmp/sensorqd-test-XXXXXX", path[64], content[16] = "";
        mode_t mask = umask(0077);
        struct stat status;
        FILE *file;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/status.json", directory);
        assert_int_equal(report_write(directory, "old", 3), 0);
        assert_int_equal(report_write(directory, "{}\n", 3), 0);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0644);
        file = fopen(path, "r");
        assert_non_null(file);
        assert_int_equal(fread(content, 1, sizeof(content) - 1, file), 3);
        assert_string_equal(content, "{}\n");
        assert_int_equal(fclose(file), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(directory), 0); /* nothing else is left in it */
        assert_int_equal(report_write(directory, "{}\n", 3), -ENOENT);
        (void) umask(mask);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_line_well, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_zone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_set_apart, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_limited_and_clock, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_unkept, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_mongodb_down, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_failures, setup, teardown),
                cmocka_unit_test_setup_teardown(test_source_that_sends_nothing_readable, setup, teardown),
                cmocka_unit_test_setup_teardown(test_page_that_is_not_served, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reload_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_many, setup, teardown),
                cmocka_unit_test_setup_teardown(test_json, setup, teardown),
                cmocka_unit_test(test_write),
        };

        return report_tests("report", tests, sizeof(tests) / sizeof(tests[0]));
}
