/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Figures of a daemon that is well, and what is logged of them. For test-report*.c. */
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

static inline void be_well(Fixture *f) {
        f->sources[0] = (SourceStatus){ .name = "home",
                .last_poll = NOON + 3 * USEC_PER_SEC,
                .next_poll = NOW + 57 * USEC_PER_SEC,
                .failure.detail = "" };
        f->subscribers[0] = (SubscriberStatus){
                .subscription = "projects/p/subscriptions/sub",
                .retention = 7 * DAY,
                .failure.detail = "",
                .sink = { .ready = true,
                        .last_stored = NOON + 4 * USEC_PER_SEC,
                        .failure.detail = "",
                        .what = "MongoDB" },
        };
        f->input = (Figures){
                .wall = NOON + 5 * USEC_PER_SEC,
                .now = NOW,
                .started = NOON - USEC_PER_HOUR,
                .publishes = true,
                .outbox = { .max_rows = 1000, .max_bytes = 1000000 },
                .publisher = { .failure.detail = "" },
                .token = { .failure.detail = "", .expires = NOW + USEC_PER_HOUR },
                .sources = f->sources,
                .n_sources = 1,
                .subscribers = f->subscribers,
                .n_subscribers = 1,
        };
}

static inline int setup(void **state) {
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

static inline int teardown(void **state) {
        Fixture *f = *state;

        report_stalls_free(f->stalls);
        assert_int_equal(close(f->log), 0);
        assert_int_equal(close(f->saved_stderr), 0);
        free(f);
        return 0;
}

/* One look; *event* and *part* are what it must have logged, both NULL: nothing. */
static inline void look(Fixture *f, const char *event, const char *part) {
        char text[8192] = "";
        ssize_t n;

        (void) fflush(stderr);
        assert_true(dup2(f->log, STDERR_FILENO) >= 0);
        report_stalls_check(f->stalls, &f->input);
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

static inline void pass_time(Fixture *f, usec_t span) {
        f->input.now += span;
        f->input.wall += span;
        f->sources[0].next_poll = f->input.now + 30 * USEC_PER_SEC;
        f->subscribers[0].pulls++;
}

static inline int report_tests(const char *name, const struct CMUnitTest *tests, size_t n) {
        (void) setenv("TZ", "UTC", 1);
        (void) setenv("SENSORQD_LOG_FIELDS", "1", 1);
        (void) unsetenv("JOURNAL_STREAM");
        tzset();
        log_open(name);
        return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}
