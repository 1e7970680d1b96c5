/* SPDX-License-Identifier: Apache-2.0 */
/* What the sink makes of refusals and faults, in virtual time, with a type that does what the test says: P5, P6, P11. */

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
#define FAULT (-1)     /* the remote is down */
#define THROTTLE (-2)  /* it takes only some */
#define BAD (-3)       /* never to be stored */
#define LATER (-4)     /* refused by itself with a code that passes */
#define LATER_LONG (-5) /* ... with one that only a person can end */
#define BACKOFF_MAX (60 * USEC_PER_SEC)

typedef struct World {
        Loop *loop;
        Sink *sink;
        SinkHost *host;
        int (*says)(unsigned id); /* of a message: 0 accepted, a code, or one of the above */
        bool apart_refuses;
        unsigned writes, largest, calls_for[4096];
        Batch *settled[8];
        size_t n_settled;
        int log_fd, stderr_fd;
} World;

static World world;

/* ---- the type ---- */

static unsigned id_of(const SinkItem *item) {
        char text[16];

        (void) snprintf(text, sizeof(text), "%.*s", (int) item->message->message_id.size, item->message->message_id.data);
        return (unsigned) atoi(text);
}

static int fake_open(const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        world.host = host;
        *ret_self = &world;
        return 0;
}

static const char *fake_place(const void *self) {
        return "home.readings";
}

static void fail_with(SinkAnswer *answer, const char *reason) {
        *answer = (SinkAnswer){ .fault = SINK_FAULT_PASSING,
                .accepted = answer->accepted,
                .reason = reason,
                .words = "cannot be reached",
                .remedy = "wait",
                .detail = "the test says so" };
}

static void fake_probe(void *self, SinkAnswer *answer) {
        if (world.says(0) == FAULT)
                fail_with(answer, "unreachable");
        sink_host_answer(world.host);
}

static void fake_write(void *self, SinkWork *work) {
        world.writes++;
        world.largest = work->n > world.largest ? (unsigned) work->n : world.largest;
        for (size_t i = 0; i < work->n; i++) {
                SinkItem *item = &work->items[i];
                int code = world.says(id_of(item));

                world.calls_for[id_of(item)]++;
                if (code == 0) {
                        item->verdict = SINK_STORED;
                        work->answer.accepted = true;
                } else if (code == BAD)
                        sink_item_bad(item, "not_json", "no JSON");
                else if (code == LATER || code == LATER_LONG) {
                        fail_with(&work->answer, "busy");
                        if (code == LATER_LONG)
                                work->answer.fault = SINK_FAULT_LASTING;
                        work->answer.single = item->later = true;
                } else if (code == FAULT || code == THROTTLE)
                        fail_with(&work->answer, code == FAULT ? "unreachable" : "busy");
                else
                        sink_item_suspect(item, code, code == VALIDATOR, "refused", "the remote says no");
        }
        sink_host_answer(world.host);
}

static void fake_set_apart(void *self, SinkWork *work) {
        for (size_t i = 0; i < work->n; i++) {
                assert_non_null(work->items[i].reason);
                assert_non_null(work->items[i].detail);
                work->items[i].verdict = world.apart_refuses ? SINK_BAD : SINK_STORED;
        }
        sink_host_answer(world.host);
}

static void *fake_close(void *self) {
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

static void on_settled(void *userdata, Batch *batch) {
        assert_true(world.n_settled < ELEMENTSOF(world.settled));
        world.settled[world.n_settled++] = batch;
}

static Batch *batch_from(unsigned first, unsigned n) {
        _cleanup_bytes_ Bytes body = {};
        Batch *batch;

        (void) bytes_append_text(&body, "{\"receivedMessages\":[");
        for (unsigned i = first; i < first + n; i++)
                (void) bytes_append_format(&body, "%s{\"ackId\":\"a%u\",\"message\":{\"messageId\":\"%u\",\"data\":\"e30=\"}}",
                        i > first ? "," : "", i, i);
        (void) bytes_append_text(&body, "]}");
        assert_int_equal(batch_new(&body, clock_now(), &batch), 0);
        return batch;
}

/* Writes it and does what comes at once; the batch, if it is back. */
static Batch *write_batch(Batch *batch) {
        size_t before = world.n_settled;

        assert_int_equal(sink_write(world.sink, batch), SINK_WRITE_STARTED);
        virtual_pass(world.loop, 0);
        return world.n_settled > before ? world.settled[before] : NULL;
}

static SinkStatus status(void) {
        SinkStatus s;

        sink_status(world.sink, &s);
        return s;
}

static unsigned logged(const char *text) {
        static char log[1 << 20];
        ssize_t size = pread(world.log_fd, log, sizeof(log) - 1, 0);
        unsigned n = 0;

        assert_true(size >= 0);
        log[size] = '\0';
        for (const char *p = log; (p = strstr(p, text)); p += strlen(text))
                n++;
        return n;
}

static int says_yes(unsigned id) {
        return 0;
}

static int says_odd_to_all(unsigned id) {
        return ODD;
}

static int says_validator_to_all(unsigned id) {
        return VALIDATOR;
}

static int says_fault(unsigned id) {
        return FAULT;
}

static int says_odd_to_one(unsigned id) {
        return id == 1 ? ODD : 0;
}

static int says_validator_to_one(unsigned id) {
        return id == 1 ? VALIDATOR : 0;
}

static int says_bad_to_one(unsigned id) {
        return id == 1 ? BAD : 0;
}

static int set_up(void **state) {
        static char subscription[] = SUBSCRIPTION;
        const SubscriptionConfig config = { .subscription = subscription, .backoff = { 1 * USEC_PER_SEC, BACKOFF_MAX } };

        world = (World){ .says = says_yes, .log_fd = memfd_create("log", MFD_CLOEXEC) };
        (void) fflush(stderr);
        world.stderr_fd = dup(STDERR_FILENO);
        assert_true(dup2(world.log_fd, STDERR_FILENO) >= 0);
        assert_int_equal(setenv("SENSORQD_LOG_FIELDS", "1", 1), 0);
        log_open("test");
        assert_int_equal(loop_new(&world.loop), 0);
        assert_int_equal(sink_new(&fake_type, &config, &(SinkCallbacks){ .on_settled = on_settled, .means.loop = world.loop }, &world.sink), 0);
        virtual_pass(world.loop, 0);
        assert_true(sink_takes_batches(world.sink));
        return 0;
}

static int tear_down(void **state) {
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

/* ---- refusals while others are accepted ---- */

/* P6: an odd message leaves the batch, and its neighbours are settled at once. */
static void test_one_odd_message(void **state) {
        Batch *batch;

        world.says = says_odd_to_one;
        batch = write_batch(batch_from(1, 11));
        assert_non_null(batch);
        assert_int_equal(batch->fates[0], FATE_SUSPECT);
        assert_int_equal(batch_count(batch, FATE_STORED), 10);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
}

/* ... and is tried alone until it is known to be its own fault. */
static void test_odd_message_is_rejected_in_the_end(void **state) {
        Batch *batch, *again;
        usec_t begin = clock_now();
        unsigned id = 100;

        world.says = says_odd_to_one;
        batch = write_batch(batch_from(1, 2));
        assert_int_equal(batch->fates[0], FATE_SUSPECT);
        for (;;) {
                virtual_pass(world.loop, batch->suspicions[0].due - clock_now());
                batch_free(write_batch(batch_from(id++, 1))); /* the flow goes on */
                world.n_settled--;
                assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &again), 0);
                again->aside = true;
                assert_ptr_equal(write_batch(again), again);
                batch_free(batch);
                batch = again;
                world.n_settled = 0;
                if (batch->fates[0] != FATE_SUSPECT)
                        break;
        }
        assert_int_equal(batch->fates[0], FATE_REJECTED);
        assert_in_range(clock_now() - begin, BLAME_SPAN_USEC, BLAME_SPAN_USEC + USEC_PER_MINUTE);
        assert_int_equal(status().rejected, 1);
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
        batch_free(batch);
}

static void test_about_the_document(void **state) {
        Batch *batch;

        world.says = says_validator_to_one;
        batch = write_batch(batch_from(1, 3));
        assert_int_equal(batch->fates[0], FATE_REJECTED);
        assert_int_equal(batch_count(batch, FATE_STORED), 2);
}

/* What cannot be set apart either is told of, and its neighbours are settled. */
static void test_cannot_be_set_apart(void **state) {
        Batch *batch;

        world.says = says_bad_to_one;
        world.apart_refuses = true;
        batch = write_batch(batch_from(1, 3));
        assert_int_equal(batch->fates[0], FATE_FAILED);
        assert_int_equal(batch->suspicions[0].state, BLAME_ASIDE);
        assert_true(batch->suspicions[0].unkept);
        assert_int_equal(batch_count(batch, FATE_STORED), 2);
        assert_true(sink_takes_batches(world.sink));
}

/* ... and when it is stored after all, that is over, too. */
static void test_not_set_apart_and_stored(void **state) {
        Batch *batch, *again;

        world.says = says_bad_to_one;
        world.apart_refuses = true;
        batch = write_batch(batch_from(1, 3));
        assert_int_equal(logged(EVENT_APART_FAILING), 1);
        assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &again), 0);
        again->aside = true;
        world.says = says_yes;
        world.n_settled = 0;
        batch_free(batch);
        assert_ptr_equal(write_batch(again), again);
        assert_int_equal(again->fates[0], FATE_STORED);
        assert_int_equal(logged(EVENT_APART_RECOVERED), 1);
}

/* ... and when it has gone: what is left to the queue comes back as another, or never. */
static void test_not_set_apart_and_gone(void **state) {
        world.says = says_bad_to_one;
        world.apart_refuses = true;
        (void) write_batch(batch_from(1, 3));
        virtual_pass(world.loop, SINK_UNKEPT_OVER_USEC - USEC_PER_SEC);
        sink_heard(world.sink, SINK_NEWS_ANSWERED);
        (void) write_batch(batch_from(4, 3));
        virtual_pass(world.loop, USEC_PER_SEC);
        sink_heard(world.sink, SINK_NEWS_DEAF); /* it cannot have come */
        sink_heard(world.sink, SINK_NEWS_ANSWERED);
        assert_int_equal(logged(EVENT_APART_RECOVERED), 0);
        virtual_pass(world.loop, SINK_UNKEPT_OVER_USEC);
        sink_heard(world.sink, SINK_NEWS_ANSWERED);
        assert_int_equal(logged(EVENT_APART_RECOVERED), 1);
}

/* One bad message alone: nobody is told of an outage when the next one is accepted. */
static void test_one_message_alone(void **state) {
        Batch *scout;

        world.says = says_validator_to_one;
        assert_null(write_batch(batch_from(1, 1)));
        assert_false(sink_takes_batches(world.sink));
        assert_true(sink_wants_scout(world.sink));
        assert_true(status().ready);
        virtual_pass(world.loop, USEC_PER_MINUTE);
        assert_true(sink_wants_scout(world.sink));
        scout = write_batch(batch_from(2, 1));
        assert_int_equal(scout->fates[0], FATE_STORED);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 2);
        assert_int_equal(world.settled[1]->fates[0], FATE_REJECTED);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
        assert_int_equal(logged(EVENT_SINK_UP), 0);
}

/* ... and is told of when none comes for long. */
static void test_one_message_alone_for_long(void **state) {
        world.says = says_odd_to_all;
        assert_null(write_batch(batch_from(1, 1)));
        virtual_pass(world.loop, 9 * USEC_PER_MINUTE);
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
        virtual_pass(world.loop, 3 * USEC_PER_MINUTE);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_false(status().ready);
}

/* ---- everything is refused ---- */

/* P11: held, said once, one message tried at a time; scouts that are refused come back; all is stored when it ends. */
static void test_everything_refused(void **state) {
        unsigned writes;

        world.says = says_odd_to_all;
        assert_null(write_batch(batch_from(1, 1000)));
        assert_false(sink_takes_batches(world.sink));
        assert_false(status().ready);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        world.largest = 0;
        for (unsigned i = 0; i < 40; i++) {
                Batch *scout = write_batch(batch_from(2000 + i, 1));

                assert_non_null(scout);
                assert_int_equal(scout->fates[0], FATE_PENDING);
                batch_free(scout);
                world.n_settled = 0;
                writes = world.writes;
                virtual_pass(world.loop, BACKOFF_MAX);
                assert_in_range(world.writes - writes, 1, 10);
        }
        assert_int_equal(world.largest, 1);
        assert_int_equal(world.n_settled, 0);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 0);

        world.says = says_yes;
        writes = world.writes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(world.writes - writes, 2); /* one message, and then all */
        assert_int_equal(batch_count(world.settled[0], FATE_STORED), 1000);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(status().rejected, 0);
}

/* The first scout that is accepted ends it: what is refused still is judged. */
static void test_scout_ends_it(void **state) {
        Batch *scout;

        world.says = says_odd_to_all;
        assert_null(write_batch(batch_from(1, 3)));
        world.says = says_odd_to_one;
        scout = write_batch(batch_from(10, 1));
        assert_int_equal(scout->fates[0], FATE_STORED);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 2);
        assert_int_equal(world.settled[1]->fates[0], FATE_SUSPECT);
        assert_int_equal(batch_count(world.settled[1], FATE_STORED), 2);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
}

/* That the remote can be reached says nothing new while it refuses everything. */
static void test_no_false_recovery(void **state) {
        world.says = says_validator_to_all;
        assert_null(write_batch(batch_from(1, 3)));
        sink_let_go(world.sink, NULL);
        for (int i = 0; i < 5; i++) {
                sink_host_seen(world.host, SINK_SEEN_LOST);
                sink_host_seen(world.host, SINK_SEEN_WRITABLE);
                virtual_pass(world.loop, BACKOFF_MAX);
        }
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 0);
}

/* A broken validator: nothing is rejected before the lease ends; then what it refused is; and only scouts go on. */
static void test_broken_validator(void **state) {
        Batch *batch = batch_from(1, 5);

        world.says = says_validator_to_all;
        assert_null(write_batch(batch));
        virtual_pass(world.loop, 59 * USEC_PER_MINUTE);
        assert_int_equal(status().rejected, 0);
        sink_let_go(world.sink, batch);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(batch_count(batch, FATE_REJECTED), 5);
        assert_false(sink_takes_batches(world.sink));
        assert_true(sink_wants_scout(world.sink));
        sink_host_seen(world.host, SINK_SEEN_LOST); /* idle: it asks, and that is no recovery */
        virtual_pass(world.loop, 0);
        assert_true(sink_wants_scout(world.sink));
        world.says = says_yes;
        assert_non_null(write_batch(batch_from(10, 1)));
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
}

/* A batch that lapses: one message is kept for a try, and nothing else is welcome until it is accepted. */
static void test_lapse(void **state) {
        Batch *batch = batch_from(1, 5);

        world.says = says_fault;
        assert_null(write_batch(batch));
        virtual_pass(world.loop, USEC_PER_HOUR);
        sink_let_go(world.sink, batch);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(batch_count(batch, FATE_PENDING), 5);
        world.largest = 0;
        virtual_pass(world.loop, 5 * BACKOFF_MAX);
        assert_int_equal(world.largest, 1);
        assert_false(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(status().stored, 1);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
}

/* ---- faults ---- */

static int says_throttled(unsigned id) {
        return world.calls_for[id] * 7 + id % 5 < 3 ? THROTTLE : 0;
}

/* Throttling that takes some of a batch each time: slow, and no outage. */
static void test_throttling(void **state) {
        world.says = says_throttled;
        assert_null(write_batch(batch_from(1, 1000)));
        assert_true(status().ready);
        virtual_pass(world.loop, USEC_PER_MINUTE);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(batch_count(world.settled[0], FATE_STORED), 1000);
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
}

static int says_later_to_one(unsigned id) {
        return id == 1 ? LATER : 0;
}

static int says_forbidden_to_one(unsigned id) {
        return id == 1 ? LATER_LONG : 0;
}

static int says_later_to_most(unsigned id) {
        return id <= 6 ? LATER : 0;
}

static int says_forbidden_to_all(unsigned id) {
        return LATER_LONG;
}

/* P6, P11: a code that passes, and does not for one message: its neighbours are settled at once, the flow goes on, and it is tried beside it without end; nothing is
 * ever held against it. */
static void test_one_is_put_off(void **state) {
        int (*const says[])(unsigned id) = { says_later_to_one, says_forbidden_to_one };

        for (size_t i = 0; i < ELEMENTSOF(says); i++) {
                Batch *batch, *again;

                world.says = says[i];
                batch = write_batch(batch_from(1, 11));
                assert_non_null(batch);
                assert_int_equal(batch->fates[0], FATE_SUSPECT);
                assert_int_equal(batch_count(batch, FATE_STORED), 10);
                for (unsigned turn = 0; turn < 100; turn++) {
                        assert_true(sink_takes_batches(world.sink));
                        assert_true(batch->suspicions[0].due <= clock_now() + 5 * USEC_PER_SEC);
                        virtual_pass(world.loop, batch->suspicions[0].due - clock_now());
                        batch_free(write_batch(batch_from(100 + turn, 1)));
                        assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &again), 0);
                        again->aside = true;
                        assert_ptr_equal(write_batch(again), again);
                        assert_int_equal(again->fates[0], FATE_SUSPECT);
                        batch_free(batch);
                        batch = again;
                        world.n_settled = 0;
                }
                world.says = says_yes;
                assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &again), 0);
                batch_free(batch);
                batch_free(write_batch(again));
                world.n_settled = 0;
        }
        assert_int_equal(status().stored, 2 * (10 + 100 + 1));
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
}

/* Many of a batch: it is tried again as a whole, and a scout tells an outage from messages that are odd. */
static void test_many_are_put_off(void **state) {
        Batch *scout;

        world.says = says_later_to_most;
        assert_null(write_batch(batch_from(1, 10)));
        assert_true(sink_takes_batches(world.sink));
        virtual_pass(world.loop, 2 * USEC_PER_SEC);
        assert_true(sink_wants_scout(world.sink));
        scout = write_batch(batch_from(20, 1));
        assert_int_equal(scout->fates[0], FATE_STORED);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 2);
        assert_int_equal(batch_count(world.settled[1], FATE_SUSPECT), 6);
        assert_int_equal(batch_count(world.settled[1], FATE_STORED), 4);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(status().rejected, 0);
}

/* All of them: an outage, in the remote's own words, held through; and nothing is rejected when its time is over. */
static void test_all_are_put_off(void **state) {
        Batch *batch = batch_from(1, 100);

        world.says = says_forbidden_to_all;
        assert_null(write_batch(batch));
        virtual_pass(world.loop, 50 * USEC_PER_MINUTE);
        assert_true(sink_wants_scout(world.sink));
        assert_false(status().ready);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged("SENSORQD_REASON=busy"), 1);
        sink_let_go(world.sink, batch);
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(batch_count(world.settled[0], FATE_PENDING), 100);
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_true(sink_takes_batches(world.sink));
        assert_int_equal(logged(EVENT_SINK_UP), 1);
        assert_int_equal(status().rejected, 0);
}

/* From one kind of trouble to the other and back: one outage. */
static void test_fault_and_refusal_are_one_outage(void **state) {
        world.says = says_fault;
        assert_null(write_batch(batch_from(1, 3)));
        virtual_pass(world.loop, 2 * BACKOFF_MAX);
        world.says = says_odd_to_all;
        virtual_pass(world.loop, 2 * BACKOFF_MAX);
        assert_true(sink_wants_scout(world.sink));
        world.says = says_fault;
        virtual_pass(world.loop, 2 * BACKOFF_MAX);
        assert_false(sink_wants_scout(world.sink));
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(logged(EVENT_SINK_DOWN), 1);
        assert_int_equal(logged(EVENT_SINK_UP), 1);
}

/* A single failure between two good answers is not said. */
static void test_one_fault_is_not_said(void **state) {
        world.says = says_fault;
        assert_null(write_batch(batch_from(1, 3)));
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.n_settled, 1);
        assert_int_equal(logged(EVENT_SINK_DOWN), 0);
        assert_int_equal(logged(EVENT_SINK_UP), 0);
}

/* The remote was down, and then refused the one message by itself: whether it is up again is asked, not forgotten. */
static void test_one_is_put_off_after_a_fault(void **state) {
        Batch *batch, *alone;

        world.says = says_later_to_one;
        batch = write_batch(batch_from(1, 3));
        assert_non_null(batch);
        assert_int_equal(batch->fates[0], FATE_SUSPECT);
        assert_int_equal(batch_gather(&(BatchPick){ batch, 0 }, 1, &alone), 0);
        alone->aside = true;
        world.says = says_fault;
        assert_null(write_batch(alone));
        world.says = says_later_to_one;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_int_equal(world.n_settled, 2);
        assert_true(sink_takes_batches(world.sink));
        assert_non_null(write_batch(batch_from(4, 1)));
}

/* A server that was lost while idle: not ready until it has answered again. */
static void test_not_ready_while_probing(void **state) {
        world.says = says_fault;
        sink_host_seen(world.host, SINK_SEEN_LOST);
        virtual_pass(world.loop, 0);
        assert_false(sink_takes_batches(world.sink));
        assert_int_equal(sink_write(world.sink, NULL), SINK_WRITE_BUSY);
        world.says = says_yes;
        virtual_pass(world.loop, BACKOFF_MAX);
        assert_true(sink_takes_batches(world.sink));
}

/* P8: at the stop all comes back, the scout too. */
static void test_stop_with_a_batch_and_a_scout(void **state) {
        world.says = says_odd_to_all;
        assert_null(write_batch(batch_from(1, 3)));
        assert_int_equal(sink_write(world.sink, batch_from(10, 1)), SINK_WRITE_STARTED);
        sink_stop(world.sink, false);
        assert_true(sink_is_busy(world.sink));
        virtual_pass(world.loop, 0);
        assert_int_equal(world.n_settled, 2);
        assert_false(sink_is_busy(world.sink));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                CASE(test_one_odd_message),
                CASE(test_odd_message_is_rejected_in_the_end),
                CASE(test_about_the_document),
                CASE(test_cannot_be_set_apart),
                CASE(test_not_set_apart_and_stored),
                CASE(test_not_set_apart_and_gone),
                CASE(test_one_message_alone),
                CASE(test_one_message_alone_for_long),
                CASE(test_everything_refused),
                CASE(test_scout_ends_it),
                CASE(test_no_false_recovery),
                CASE(test_broken_validator),
                CASE(test_lapse),
                CASE(test_throttling),
                CASE(test_one_is_put_off),
                CASE(test_many_are_put_off),
                CASE(test_all_are_put_off),
                CASE(test_fault_and_refusal_are_one_outage),
                CASE(test_one_fault_is_not_said),
                CASE(test_one_is_put_off_after_a_fault),
                CASE(test_not_ready_while_probing),
                CASE(test_stop_with_a_batch_and_a_scout),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
