/* SPDX-License-Identifier: Apache-2.0 */
/* What `systemctl status` and `sensorqd status` say (P5: since when MongoDB is down), and each warning once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "events.h"
#include "lib/json.h"
#include "lib/log.h"
#include "report.h"

#define NOON (UINT64_C(1795521600) * USEC_PER_SEC) /* 2026-11-24T12:00:00Z */
#define NOW (100 * USEC_PER_HOUR)
#define DAY (24 * USEC_PER_HOUR)

typedef struct Fixture {
        Figures input;
        SourceStatus sources[120];
        SubscriberStatus subscribers[4];
        ReportStalls *stalls;
        int log, saved_stderr;
        off_t log_read;
} Fixture;

static void be_well(Fixture *f) {
        f->sources[0] = (SourceStatus){
                .name = "home", .last_poll = NOON + 3 * USEC_PER_SEC, .next_poll = NOW + 57 * USEC_PER_SEC, .detail = ""
        };
        f->subscribers[0] = (SubscriberStatus){
                .subscription = "projects/p/subscriptions/sub",
                .retention = 7 * DAY,
                .detail = "",
                .sink = { .ready = true, .last_stored = NOON + 4 * USEC_PER_SEC, .detail = "", .what = "MongoDB" },
        };
        f->input = (Figures){
                .wall = NOON + 5 * USEC_PER_SEC,
                .now = NOW,
                .started = NOON - USEC_PER_HOUR,
                .publishes = true,
                .outbox = { .max_rows = 1000, .max_bytes = 1000000 },
                .publisher = { .detail = "" },
                .token = { .detail = "", .expires = NOW + USEC_PER_HOUR },
                .sources = f->sources,
                .n_sources = 1,
                .subscribers = f->subscribers,
                .n_subscribers = 1,
        };
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(Fixture));

        assert_non_null(f);
        be_well(f);
        assert_int_equal(report_stalls_new(NULL, &f->stalls), 0);
        f->log = memfd_create("log", MFD_CLOEXEC);
        f->saved_stderr = dup(STDERR_FILENO);
        assert_true(f->log >= 0 && f->saved_stderr >= 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        report_stalls_free(f->stalls);
        assert_int_equal(close(f->log), 0);
        assert_int_equal(close(f->saved_stderr), 0);
        free(f);
        return 0;
}

static void assert_line(const Fixture *f, const char *expected) {
        char line[REPORT_LINE_SIZE];

        assert_string_equal(report_format_line(&f->input, line), expected);
}

/* One look; *event* and *part* are what it must have logged, both NULL: nothing. */
static void look(Fixture *f, const char *event, const char *part) {
        char text[8192] = "";
        ssize_t n;

        (void) fflush(stderr);
        assert_true(dup2(f->log, STDERR_FILENO) >= 0);
        report_stalls_look(f->stalls, &f->input);
        assert_true(dup2(f->saved_stderr, STDERR_FILENO) >= 0);

        n = pread(f->log, text, sizeof(text) - 1, f->log_read);
        assert_true(n >= 0);
        f->log_read += n;
        if (!event) {
                assert_string_equal(text, "");
                return;
        }
        if (!strstr(text, event) || !strstr(text, part))
                fail_msg("no %s with \"%s\" in: %s", event, part, text);
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one entry */
}

static void pass_time(Fixture *f, usec_t span) {
        f->input.now += span;
        f->input.wall += span;
        f->sources[0].next_poll = f->input.now + 30 * USEC_PER_SEC;
        f->subscribers[0].pulls++;
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
        f->sources[0].failing = true;
        f->sources[0].failing_since = NOON;
        assert_line(f, "home failing since 12:00:00 (next try 12:01:49), 0 readings queued, last stored 12:00:04");
        f->sources[0].limited = f->sources[0].failing = false;
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
        f->subscribers[0].sink.down_since = NOON - 57 * USEC_PER_MINUTE;
        f->subscribers[0].sink.retry_at = NOW + 40 * USEC_PER_SEC;
        f->input.outbox.rows = 3;
        assert_line(f, "home polled 12:00:03, 3 readings queued, last stored 12:00:04, MongoDB down since 11:03:00 "
                       "(next try 12:00:45), "
                       "pulls paused, "
                       "12 messages held");
        f->subscribers[0].failing = true;
        f->subscribers[0].failing_since = NOON;
        f->subscribers[0].held = 0;
        assert_line(f, "home polled 12:00:03, 3 readings queued, last stored 12:00:04, MongoDB down since 11:03:00 "
                       "(next try 12:00:45), "
                       "pulls paused, "
                       "subscription failing since 12:00:00");
        f->subscribers[0].failing = false;
        f->subscribers[0].sink.down_since = 0;
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

        f->sources[0].failing = true;
        f->sources[0].failing_since = NOON;
        f->input.publisher = (PublisherStatus){
                .failing = true, .failing_since = NOON - USEC_PER_MINUTE, .retry_at = NOW + USEC_PER_SEC
        };
        f->input.token = (TokenStatus){ .failing = true, .failing_since = NOON - 2 * USEC_PER_MINUTE };
        f->subscribers[0].missing = true;
        f->input.outbox.rejected_rows = 2;
        f->sources[0].dropped = 5;
        assert_line(f, "home failing since 12:00:00, 0 readings queued, 2 rejected, 5 unreadable gone, publishing "
                       "failing since 11:59:00 "
                       "(next try 12:00:06), "
                       "no access token since 11:58:00, last stored 12:00:04, subscription missing");
        be_well(f);
        f->input.token = (TokenStatus){ .failing = true, .failing_since = NOON, .expires = NOW + USEC_PER_MINUTE };
        assert_line(f, "home polled 12:00:03, 0 readings queued, access token cannot be renewed since 12:00:00, last "
                       "stored 12:00:04");
        be_well(f);
        f->input.publisher.paused = true;
        f->input.outbox_failing = true;
        f->input.outbox.failing_since = NOON;
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
}

static void test_line_many(void **state) {
        Fixture *f = *state;
        static char name[64], subscription[300];
        char line[REPORT_LINE_SIZE];

        memset(name, 'n', 63);
        memset(subscription, 's', 299);
        f->input.n_sources = 120;
        for (size_t i = 0; i < 120; i++)
                f->sources[i] = (SourceStatus){ .name = name, .failing = i < 119, .failing_since = NOON - 40 * DAY };
        f->input.n_subscribers = 4;
        for (size_t i = 0; i < 4; i++) {
                f->subscribers[i] = f->subscribers[0];
                f->subscribers[i].subscription = subscription;
                f->subscribers[i].sink.ready = false;
                f->subscribers[i].sink.down_since = NOON - 40 * DAY;
                f->subscribers[i].sink.retry_at = NOW + DAY;
                f->subscribers[i].held = 4000;
        }
        f->input.outbox_failing = true;
        assert_non_null(strstr(report_format_line(&f->input, line), ", 117 more sources failing, "));

        f->input.n_sources = 3;
        assert_non_null(strstr(report_format_line(&f->input, line), ", 1 more source failing, "));

        be_well(f);
        f->sources[0].speaks = true;
        assert_non_null(strstr(report_format_line(&f->input, line), "home has sent no reading yet, "));
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
        f->subscribers[1].failing = true;
        f->subscribers[1].failing_since = NOON;
        assert_line(f, "3 sources well, last poll 12:00:03, 0 readings queued, last stored 12:00:04, sub: subscription "
                       "failing since 12:00:00");
}

/* ---- JSON ---- */

static void test_json(void **state) {
        Fixture *f = *state;
        Bytes text = {};
        Json *json, *source, *subscription, *sink;
        bool flag;
        int64_t number;

        f->sources[0].failing = true;
        f->sources[0].failing_since = NOON;
        f->sources[0].detail = "bad \"quote\"\n\xc3";
        f->sources[0].dropped = 9;
        f->sources[0].cause = CAUSE_TOKEN;
        f->input.outbox.failing_since = NOON;
        f->input.outbox.cause = CAUSE_OTHER;
        f->input.outbox.detail = "Input/output error";
        f->subscribers[0].sink.detail = NULL;
        f->subscribers[0].held = 7;
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
        assert_true(json_get_bool(sink, "ready", &flag) && flag);
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

/* ---- warnings ---- */

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
        f->input.outbox_failing = true;
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
        f->input.publisher.failing = true; /* now it has a reason */
        look(f, NULL, NULL);
        pass_time(f, USEC_PER_HOUR);
        look(f, NULL, NULL);
        f->input.publisher.failing = false;
        pass_time(f, USEC_PER_MINUTE);
        look(f, NULL, NULL);
        f->input.wall += 50 * 365 * DAY; /* a clock that was set is no time that passed */
        look(f, NULL, NULL);
        pass_time(f, 11 * USEC_PER_MINUTE);
        look(f, EVENT_STALLED, "5 readings wait");
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
        f->sources[0].failing = true;
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

static void test_warn_retention(void **state) {
        Fixture *f = *state;

        look(f, NULL, NULL);
        f->subscribers[0].paused = true;
        f->subscribers[0].paused_since = f->input.wall;
        f->subscribers[0].sink.ready = false;
        f->subscribers[0].sink.detail = "connection refused";
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
        f->subscribers[0].oldest_unsettled = f->input.wall - 4 * DAY; /* held, and old already */
        f->subscribers[0].held = 1;
        look(f, EVENT_RETENTION_NEAR, "SENSORQD_SUBSCRIPTION=");
}

/* The machine was off for longer than messages are kept. */
static void test_warn_retention_over(void **state) {
        Fixture *f = *state;

        f->subscribers[0].oldest_unsettled = f->input.wall - 8 * DAY;
        f->subscribers[0].held = 1;
        look(f, EVENT_RETENTION_NEAR,
                "drops them after 7 d: the oldest may be lost by now. Get the pulls going now, or");
}

/* Without the role for it; a subscription may keep messages for 31 days, and nobody may be told otherwise. */
static void test_warn_retention_unknown(void **state) {
        Fixture *f = *state;

        f->subscribers[0].retention = 0;
        f->subscribers[0].oldest_unsettled = f->input.wall - 8 * DAY;
        f->subscribers[0].held = 1;
        look(f, EVENT_RETENTION_NEAR, "after 7 d (unless it was set otherwise, which may not be read): the oldest may be");
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
        f->subscribers[0].sink.detail = "connection refused";
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
        f->subscribers[0].paused = f->subscribers[0].failing = true;
        f->subscribers[0].paused_since = f->subscribers[0].failing_since = USEC_PER_HOUR;
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
                cmocka_unit_test_setup_teardown(test_line_well, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_zone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_set_apart, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_limited_and_clock, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_unkept, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_mongodb_down, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_failures, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reload_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_line_many, setup, teardown),
                cmocka_unit_test_setup_teardown(test_json, setup, teardown),
                cmocka_unit_test(test_write),
                cmocka_unit_test_setup_teardown(test_warn_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_outbox, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_full_when_a_poll_did_not_fit, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_publisher_stalls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_source_stalls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_held_and_pulls, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_full_of_rejected, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention_over, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention_unknown, setup, teardown),
                cmocka_unit_test_setup_teardown(test_warn_retention_over_restarts, setup, teardown),
                cmocka_unit_test_setup_teardown(test_clock_set_is_no_age, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stages_that_go_are_forgotten, setup, teardown),
        };

        (void) setenv("TZ", "UTC", 1);
        (void) setenv("SENSORQD_LOG_FIELDS", "1", 1);
        (void) unsetenv("JOURNAL_STREAM");
        tzset();
        log_open("test-report");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
