/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A sink in virtual time, with a type that does what the test says. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "events.h"
#include "lib/log.h"
#include "subscribe/sink-words.h"
#include "subscribe/sink.h"
#include "virtual-loop.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"
#define ODD 16755
#define VALIDATOR 121
#define FAULT (-1)      /* the remote is down */
#define THROTTLE (-2)   /* it takes only some */
#define BAD (-3)        /* never to be stored */
#define LATER (-4)      /* refused by itself with a code that passes */
#define LATER_LONG (-5) /* ... with one that only a person can end */
#define BACKOFF_MAX (60 * USEC_PER_SEC)

typedef struct World {
        Loop *loop;
        Sink *sink;
        SinkHost *host;
        int (*says)(unsigned id); /* of a message: 0 accepted, a code, or one of the above */
        bool apart_refuses;
        bool knows;        /* whose fault a refusal by the validator is */
        unsigned patience; /* after so many refusals in a row a write ends, as a webhook's; 0: it asks for each */
        unsigned asked, outage,
                over; /* messages so far; of those, the first one that all is refused from, and is not any more */
        unsigned writes, largest, calls_for[4096];
        Batch *settled[8];
        size_t n_settled;
        int log_fd, stderr_fd;
} World;

static World world;

/* ---- the type ---- */

static inline unsigned id_of(const SinkItem *item) {
        char text[16];

        (void) snprintf(
                text, sizeof(text), "%.*s", (int) item->message->message_id.size, item->message->message_id.data);
        return (unsigned) atoi(text);
}

static inline int fake_open(
        const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        world.host = host;
        *ret_self = &world;
        return 0;
}

static inline const char *fake_place(const void *self) {
        return "home.readings";
}

static inline void fail_with(SinkAnswer *answer, const char *reason) {
        *answer = (SinkAnswer){ .fault = SINK_FAULT_PASSING,
                .accepted = answer->accepted,
                .reason = reason,
                .words = "cannot be reached",
                .remedy = "wait",
                .detail = "the test says so" };
}

static inline void fake_probe(void *self, SinkAnswer *answer) {
        if (world.says(0) == FAULT)
                fail_with(answer, "unreachable");
        sink_host_answer(world.host);
}

static inline void fake_write(void *self, SinkWork *work) {
        unsigned refused = 0;

        world.writes++;
        world.largest = work->n > world.largest ? (unsigned) work->n : world.largest;
        for (size_t i = 0; i < work->n && (world.patience == 0 || refused < world.patience); i++) {
                SinkItem *item = &work->items[i];
                int code = world.says(id_of(item));

                refused = code > 0 ? refused + 1 : 0;
                world.calls_for[id_of(item)]++;
                world.asked++;
                if (code == 0) {
                        item->verdict = SINK_STORED;
                        work->answer.accepted = true;
                } else if (code == BAD)
                        sink_item_bad(item, "not_json", "no JSON");
                else if (code == LATER || code == LATER_LONG) {
                        fail_with(&work->answer, "busy");
                        if (code == LATER_LONG)
                                work->answer.fault = SINK_FAULT_LASTING;
                        work->answer.partial = true;
                        item->verdict = SINK_LATER;
                } else if (code == FAULT || code == THROTTLE)
                        fail_with(&work->answer, code == FAULT ? "unreachable" : "busy");
                else
                        sink_item_refused(item, code, code == VALIDATOR, "refused", "the remote says no");
                item->proven = world.knows && code == VALIDATOR;
        }
        sink_host_answer(world.host);
}

static inline void fake_set_apart(void *self, SinkWork *work) {
        for (size_t i = 0; i < work->n; i++) {
                assert_non_null(work->items[i].reason);
                assert_non_null(work->items[i].detail);
                work->items[i].verdict = world.apart_refuses ? SINK_BAD : SINK_STORED;
        }
        sink_host_answer(world.host);
}

static inline void *fake_close(void *self) {
        return NULL;
}

static const ConfigSection fake_section = { .name = "fake" };
static const SinkType fake_type = {
        .keys = &fake_section,
        .what = "Fake",
        .open = fake_open,
        .place = fake_place,
        .probe = fake_probe,
        .write = fake_write,
        .set_apart = fake_set_apart,
        .close = fake_close,
};

/* ---- the subscriber's side ---- */

static inline void on_settled(void *userdata, Batch *batch) {
        assert_true(world.n_settled < ELEMENTSOF(world.settled));
        world.settled[world.n_settled++] = batch;
}

static inline Batch *batch_from(unsigned first, unsigned n) {
        _cleanup_bytes_ Bytes body = {};
        Batch *batch;

        (void) bytes_append_text(&body, "{\"receivedMessages\":[");
        for (unsigned i = first; i < first + n; i++)
                (void) bytes_append_format(&body,
                        "%s{\"ackId\":\"a%u\",\"message\":{\"messageId\":\"%u\",\"data\":\"e30=\"}}",
                        i > first ? "," : "", i, i);
        (void) bytes_append_text(&body, "]}");
        assert_int_equal(batch_new(&body, clock_now(), &batch), 0);
        return batch;
}

/* Writes it and does what comes at once; the batch, if it is back. */
static inline Batch *write_batch(Batch *batch) {
        size_t before = world.n_settled;

        assert_int_equal(sink_write(world.sink, batch), SINK_WRITE_STARTED);
        virtual_pass(world.loop, 0);
        return world.n_settled > before ? world.settled[before] : NULL;
}

static inline SinkStatus status(void) {
        SinkStatus s;

        sink_status(world.sink, &s);
        return s;
}

static inline unsigned logged(const char *text) {
        static char log[1 << 20];
        ssize_t size = pread(world.log_fd, log, sizeof(log) - 1, 0);
        unsigned n = 0;

        assert_true(size >= 0);
        log[size] = '\0';
        for (const char *p = log; (p = strstr(p, text)); p += strlen(text))
                n++;
        return n;
}

static inline int says_yes(unsigned id) {
        return 0;
}

static inline int says_odd_to_all(unsigned id) {
        return ODD;
}

static inline int says_validator_to_all(unsigned id) {
        return VALIDATOR;
}

static inline int says_fault(unsigned id) {
        return FAULT;
}

static inline int says_odd_to_one(unsigned id) {
        return id == 1 ? ODD : 0;
}

static inline int says_validator_to_one(unsigned id) {
        return id == 1 ? VALIDATOR : 0;
}

static inline int says_bad_to_one(unsigned id) {
        return id == 1 ? BAD : 0;
}

static inline int set_up(void **state) {
        static char subscription[] = SUBSCRIPTION;
        const SubscriptionConfig config = { .subscription = subscription,
                .backoff = { 1 * USEC_PER_SEC, BACKOFF_MAX } };

        world = (World){ .says = says_yes, .log_fd = memfd_create("log", MFD_CLOEXEC) };
        (void) fflush(stderr);
        world.stderr_fd = dup(STDERR_FILENO);
        assert_true(dup2(world.log_fd, STDERR_FILENO) >= 0);
        assert_int_equal(setenv("SENSORQD_LOG_FIELDS", "1", 1), 0);
        log_open("test");
        assert_int_equal(loop_new(&world.loop), 0);
        assert_int_equal(sink_new(&fake_type, &config,
                                 &(SinkCallbacks){ .on_settled = on_settled, .means.loop = world.loop }, &world.sink),
                0);
        virtual_pass(world.loop, 0);
        assert_true(sink_takes_batches(world.sink));
        return 0;
}

static inline int tear_down(void **state) {
        sink_stop(world.sink, false);
        virtual_pass(world.loop, 0);
        world.sink = sink_free(world.sink);
        while (world.n_settled > 0)
                batch_free(world.settled[--world.n_settled]);
        loop_free(world.loop);
        (void) dup2(world.stderr_fd, STDERR_FILENO);
        (void) close(world.stderr_fd);
        (void) close(world.log_fd);
        return 0;
}
