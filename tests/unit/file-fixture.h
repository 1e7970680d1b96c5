/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the tests of the file sink share: a sink in a directory of its own, messages for it, and what stands there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/gzip.h"
#include "sinks/file.h"
#include "subscribe/sink-host.h"
#include "types.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"

typedef struct World {
        char directory[64], archive[96];
        FileConfig keys;
        SubscriptionConfig config;
        Loop *loop;
        SinkHost *host;
        SinkWork *answered; /* the last answer */
} World;

static char relative[] = "archive", subscription[] = SUBSCRIPTION, id_attribute[] = "key";

static inline void on_answer(void *userdata, SinkStep step, SinkWork *work) {
        ((World *) userdata)->answered = work;
}

static inline void on_seen(void *userdata, unsigned seen) {}

static inline void open_sink(World *w) {
        const SinkHostCallbacks callbacks = { .on_answer = on_answer,
                .on_seen = on_seen,
                .userdata = w,
                .means = { .loop = w->loop, .state_dir = w->directory } };
        char problem[SINK_DETAIL_MAX] = "";

        assert_int_equal(sink_host_new(types_sink("file"), &w->config, &callbacks, &w->host, problem), 0);
}

static inline void close_sink(World *w) {
        w->host = sink_host_free(w->host);
}

static inline SinkWork *wait_answer(World *w) {
        for (unsigned i = 0; i < 1500 && sink_host_is_busy(w->host); i++)
                assert_true(loop_turn(w->loop, 20 * USEC_PER_MSEC) >= 0);
        assert_false(sink_host_is_busy(w->host));
        return w->answered;
}

static inline SinkAnswer probe(World *w) {
        SinkWork *work;

        assert_int_equal(sink_host_prepare(w->host, 0, &work), 0);
        sink_host_ask(w->host, SINK_STEP_PROBE, NULL);
        return wait_answer(w)->answer;
}

static inline Slice slice(const char *text) {
        return (Slice){ text, strlen(text) };
}

typedef struct Given {
        const char *id, *data, *time;
} Given;

/* One letter for each verdict: pending, stored, duplicate, bad. */
static inline SinkWork *write_as(World *w, SinkStep step, const Given *given, size_t n, const char *expected) {
        WireMessage *messages = calloc(n, sizeof(*messages));
        WireAttribute *attributes = calloc(n, sizeof(*attributes));
        char found[64] = "";
        SinkWork *work;

        assert_int_equal(sink_host_prepare(w->host, n, &work), 0);
        for (size_t i = 0; i < n; i++) {
                attributes[i] = (WireAttribute){ slice("key"), slice(given[i].id ? given[i].id : "") };
                messages[i] = (WireMessage){ .data = slice(given[i].data),
                        .message_id = slice("17"),
                        .publish_time = slice(given[i].time ? given[i].time : "2026-11-24T06:27:38.123Z"),
                        .attributes = &attributes[i],
                        .n_attributes = 1 };
                work->items[i] = (SinkItem){ .message = &messages[i] };
                if (step == SINK_STEP_APART)
                        work->items[i].reason = "not_json";
        }
        sink_host_ask(w->host, step, NULL);
        work = wait_answer(w);
        for (size_t i = 0; i < n && i < sizeof(found) - 1; i++)
                found[i] = "PSDBU"[work->items[i].verdict];
        if (expected)
                assert_string_equal(found, expected);
        free(attributes);
        free(messages);
        return work;
}

static inline void store(World *w, const char *id, const char *data, const char *expected) {
        (void) write_as(w, SINK_STEP_WRITE, &(Given){ id, data, NULL }, 1, expected);
}

/* The files, the oldest first, and all their text. */
typedef struct Found {
        unsigned files, packed;
        size_t lines;
        char last[400];
        Bytes text;
} Found;

static inline int by_name(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static inline Found look(const World *w) {
        struct dirent **entries;
        Found found = {};
        int n = scandir(w->archive, &entries, NULL, by_name);

        for (int i = 0; i < n; i++) {
                GzipReader *reader;
                char path[400], piece[4096];
                size_t size = 1;
                int fd;

                if (entries[i]->d_name[0] != '.' && !strstr(entries[i]->d_name, ".torn")) {
                        found.files++;
                        found.packed += strstr(entries[i]->d_name, ".gz") != NULL;
                        (void) snprintf(path, sizeof(path), "%s/%s", w->archive, entries[i]->d_name);
                        (void) snprintf(found.last, sizeof(found.last), "%s", path);
                        fd = open(path, O_RDONLY | O_CLOEXEC);
                        assert_int_equal(gzip_reader_new(fd, &reader), 0);
                        while (size > 0) {
                                assert_int_equal(gzip_reader_read(reader, piece, sizeof(piece), &size), GZIP_DONE);
                                assert_int_equal(bytes_append(&found.text, piece, size), 0);
                        }
                        gzip_reader_free(reader);
                }
                free(entries[i]);
        }
        free(entries);
        for (size_t i = 0; i < found.text.size; i++)
                found.lines += found.text.data[i] == '\n';
        return found;
}

static inline size_t lines_of(const World *w) {
        Found found = look(w);

        bytes_done(&found.text);
        return found.lines;
}

static inline int set_up(void **state) {
        World *w = calloc(1, sizeof(World));

        (void) snprintf(w->directory, sizeof(w->directory), "/tmp/test-file-sink-XXXXXX");
        assert_non_null(mkdtemp(w->directory));
        (void) snprintf(w->archive, sizeof(w->archive), "%s/archive", w->directory);
        w->keys = (FileConfig){ .directory = relative, .max_size = 1 << 20 };
        w->config = (SubscriptionConfig){
                .subscription = subscription, .id_attribute = id_attribute, .sink = "file", .keys = &w->keys
        };
        assert_int_equal(loop_new(&w->loop), 0);
        open_sink(w);
        *state = w;
        return 0;
}

static inline int tear_down(void **state) {
        World *w = *state;
        char command[128];

        close_sink(w);
        w->loop = loop_free(w->loop);
        (void) snprintf(command, sizeof(command), "rm -rf %s", w->directory);
        assert_int_equal(system(command), 0);
        free(w);
        return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
