/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A source of a real type, wired to a store in the test: what was handed over, and a disk that may refuse. Its
 * configuration is YAML, as a user writes it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "lib/service.h"
#include "publish/source.h"
#include "real-calls.h"
#include "types.h"

#define SOURCE_FIXTURE_READINGS 200000

typedef struct SourceFixture {
        SourceHost host;
        Loop *loop;
        LoopWatch *tick;
        Config *config;
        Source *source;
        char directory[64];
        bool refuses, no_room; /* refuses: nor can it be read */
        unsigned commits;
        size_t n, n_unreadable, n_unreadable_again, n_repeats;
        Bytes payloads; /* one a line */
        Bytes devices;  /* one a line */
        Bytes seen;     /* keys, one a line */
        char cursor[256];
} SourceFixture;

static bool source_fixture_has_room(void *userdata, uint64_t rows, uint64_t bytes) {
        SourceFixture *f = userdata;

        return !f->no_room && !f->refuses;
}

/* As the outbox does it: a key that is known is a repeat. */
static bool source_fixture_is_repeat(SourceFixture *f, const Reading *reading) {
        char line[600];

        if (!reading->seen)
                return false;
        (void) snprintf(line, sizeof(line), "%s\n", reading->seen);
        if (f->seen.data && strstr(f->seen.data, line))
                return !reading->anew;
        assert_int_equal(bytes_append_text(&f->seen, line), 0);
        return false;
}

static int source_fixture_store(void *userdata, const Source *source, const ReadingList *list, size_t *ret_repeats) {
        SourceFixture *f = userdata;

        if (f->refuses)
                return -ENOSPC;
        f->commits++;
        if (ret_repeats)
                *ret_repeats = f->n_repeats;
        for (size_t i = 0; i < list->n; i++) {
                if (source_fixture_is_repeat(f, &list->items[i])) {
                        f->n_repeats++;
                        continue;
                }
                f->n++;
                assert_int_equal(
                        bytes_append(&f->payloads, list->items[i].payload.data, list->items[i].payload.size), 0);
                assert_int_equal(bytes_append_text(&f->payloads, "\n"), 0);
                assert_int_equal(bytes_append_format(&f->devices, "%s\n", list->items[i].device), 0);
        }
        if (ret_repeats)
                *ret_repeats = f->n_repeats - *ret_repeats;
        f->n_unreadable += list->n_unreadable;
        for (size_t i = 0; i < list->n_unreadable; i++)
                f->n_unreadable_again += list->unreadable[i].repeats;
        if (list->cursor)
                (void) snprintf(f->cursor, sizeof(f->cursor), "%s", list->cursor);
        return 0;
}

static int source_fixture_cursor(void *userdata, const char *name, Bytes *ret) {
        SourceFixture *f = userdata;

        return f->refuses ? -ENOSPC : strchr(name, '/') ? 0 : bytes_append_text(ret, f->cursor);
}

static void source_fixture_changed(void *userdata) {}

static void source_fixture_tick(void *userdata) {
        SourceFixture *f = userdata;

        loop_arm_in(f->tick, 5 * USEC_PER_MSEC);
}

static inline int source_fixture_set_up(void **state) {
        SourceFixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(service_block_signals(), 0);
        (void) signal(SIGPIPE, SIG_IGN);
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, source_fixture_tick, f, &f->tick), 0);
        loop_arm_in(f->tick, 0);
        (void) snprintf(f->directory, sizeof(f->directory), "/tmp/test-source.XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        f->host = (SourceHost){
                .means = { .loop = f->loop, .state_dir = f->directory },
                .has_room = source_fixture_has_room,
                .store = source_fixture_store,
                .cursor = source_fixture_cursor,
                .on_change = source_fixture_changed,
                .userdata = f,
        };
        assert_int_equal(http_new(f->loop, "test", &f->host.means.http), 0);
        assert_int_equal(listen_new(f->loop, &f->host.means.listen), 0);
        assert_int_equal(secrets_new(&f->host.means.secrets), 0);
        *state = f;
        return 0;
}

static inline void source_fixture_stop(SourceFixture *f) {
        f->source = source_free(f->source);
        f->config = config_unref(f->config);
}

static inline int source_fixture_tear_down(void **state) {
        SourceFixture *f = *state;
        char command[96];

        source_fixture_stop(f);
        listen_free(f->host.means.listen);
        http_free(f->host.means.http);
        secrets_free(f->host.means.secrets);
        bytes_done(&f->payloads);
        bytes_done(&f->devices);
        bytes_done(&f->seen);
        (void) snprintf(command, sizeof(command), "rm -r %s", f->directory);
        assert_int_equal(system(command), 0);
        loop_drop(f->tick);
        loop_free(f->loop);
        free(f);
        return 0;
}

/* Reads a configuration whose only source has these *lines*, each indented by six blanks. What is wrong with it is in
 * *error*: "" when nothing is. */
static inline void source_fixture_read(SourceFixture *f, const char *lines, char *error, size_t size) {
        _cleanup_bytes_ Bytes text = {};
        ConfigErrors errors = {};

        assert_int_equal(
                bytes_append_format(&text,
                        "state_dir: %s\npubsub:\n  project: my-project\npublish:\n  topic: sensors\n  sources:\n    - name: home\n%s",
                        f->directory, lines),
                0);
        error[0] = '\0';
        if (config_parse(&(ConfigInput){ .path = "test.yaml", .types = &types_of_config }, text.data, text.size,
                    &f->config, &errors) < 0)
                config_errors_sum_up(&errors, error, size);
        config_errors_done(&errors);
}

static inline void source_fixture_start(SourceFixture *f, const char *lines) {
        const SourceConfig *config;
        SecretProblem problem;
        char error[1000];

        source_fixture_read(f, lines, error, sizeof(error));
        assert_string_equal(error, "");
        config = &f->config->sources[0];
        assert_int_equal(secret_read_all(f->config, f->host.means.secrets, config->section, config->keys, &problem), 0);
        assert_int_equal(source_new(&f->host, types_source(config->type), config, &f->source), 0);
}

static inline SourceStatus source_fixture_status(const SourceFixture *f) {
        SourceStatus status;

        source_status(f->source, &status);
        return status;
}

static inline void source_fixture_turn(SourceFixture *f) {
        assert_true(loop_turn(f->loop, 20 * USEC_PER_MSEC) >= 0);
}

#define SOURCE_FIXTURE_UNTIL(f, condition)                                                                             \
        do {                                                                                                           \
                usec_t until = clock_now() + (is_in_valgrind() ? 900 : 30) * USEC_PER_SEC;                             \
                while (!(condition)) {                                                                                 \
                        assert_true(clock_now() < until);                                                              \
                        source_fixture_turn(f);                                                                        \
                }                                                                                                      \
        } while (0)

static inline const char *source_fixture_payloads(const SourceFixture *f) {
        return f->payloads.data ? f->payloads.data : "";
}
