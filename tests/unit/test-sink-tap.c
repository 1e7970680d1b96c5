/* SPDX-License-Identifier: Apache-2.0 */
/* Who wants to know what a sink stores, in virtual time, with a type that does what the test says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "subscribe/sink.h"
#include "virtual-loop.h"

#define SUBSCRIPTION "projects/p/subscriptions/s"
#define MESSAGES 3

/* What becomes of one message in a write. */
typedef enum Says { STORES, FINDS, FAILS, LOSES } Says; /* LOSES: it was sent, and the answer was lost */

static SinkHost *host;
static Says says[MESSAGES];
static unsigned told_of[MESSAGES];
static Batch *sink_batch, *settled; /* given to it last, given back by it last */

/* ---- the type ---- */

static int fake_open(
        const SubscriptionConfig *config, SinkHost *its, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        *ret_self = host = its;
        return 0;
}

static const char *fake_place(const void *self) {
        return "home.readings";
}

static void fake_probe(void *self, SinkAnswer *answer) {
        sink_host_answer(host);
}

static unsigned id_of(const WireMessage *message) {
        return (unsigned) message->message_id.data[0] - '0';
}

static void fake_write(void *self, SinkWork *work) {
        for (size_t i = 0; i < work->n; i++) {
                SinkItem *item = &work->items[i];
                Says say = says[id_of(item->message)];

                item->unsure = say == LOSES;
                if (say == STORES || say == FINDS) {
                        item->verdict = say == STORES ? SINK_STORED : SINK_DUPLICATE;
                        work->answer.accepted = true;
                } else
                        work->answer = (SinkAnswer){ .fault = SINK_FAULT_PASSING,
                                .reason = "unreachable",
                                .words = "cannot be reached",
                                .remedy = "wait" };
        }
        sink_host_answer(host);
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
        .close = fake_close,
};

/* ---- the other side ---- */

static void on_settled(void *userdata, Batch *batch) {
        settled = batch;
}

static void on_stored(void *userdata, const char *subscription, const WireMessage *message) {
        assert_string_equal(subscription, SUBSCRIPTION);
        told_of[id_of(message)]++;
}

static void say(Says first, Says second, Says third) {
        says[0] = first;
        says[1] = second;
        says[2] = third;
}

static void assert_told(unsigned first, unsigned second, unsigned third) {
        assert_int_equal(told_of[0], first);
        assert_int_equal(told_of[1], second);
        assert_int_equal(told_of[2], third);
}

static void write_all(Sink *sink, Loop *loop) {
        _cleanup_bytes_ Bytes body = {};
        Batch *batch;

        (void) bytes_append_text(&body, "{\"receivedMessages\":[");
        for (unsigned i = 0; i < MESSAGES; i++)
                (void) bytes_append_format(&body,
                        "%s{\"ackId\":\"a%u\",\"message\":{\"messageId\":\"%u\",\"data\":\"e30=\"}}", i > 0 ? "," : "",
                        i, i);
        (void) bytes_append_text(&body, "]}");
        assert_int_equal(batch_new(&body, clock_now(), &batch), 0);
        settled = batch_free(settled);
        sink_batch = batch;
        assert_int_equal(sink_write(sink, batch), SINK_WRITE_STARTED);
        virtual_pass(loop, 0);
}

/* A write whose answer was lost stored one of two: that one is found there, and told of as the other is. What was there
 * before its first write is not, nor is anything that comes once more. */
static void test_what_an_unsure_write_stored(void **state) {
        static char subscription[] = SUBSCRIPTION;
        const SubscriptionConfig config = { .subscription = subscription,
                .backoff = { USEC_PER_SEC, 4 * USEC_PER_SEC } };
        SinkStatus status;
        Loop *loop;
        Sink *sink;

        assert_int_equal(loop_new(&loop), 0);
        assert_int_equal(
                sink_new(&fake_type, &config,
                        &(SinkCallbacks){ .on_settled = on_settled, .means.loop = loop, .tap = { on_stored, NULL } },
                        &sink),
                0);
        virtual_pass(loop, 0);
        say(LOSES, LOSES, FAILS);
        write_all(sink, loop);
        say(FAILS, FAILS, FAILS); /* the next try does not even reach it */
        virtual_pass(loop, 2 * USEC_PER_SEC);
        assert_told(0, 0, 0);
        say(FINDS, STORES, FINDS);
        virtual_pass(loop, 10 * USEC_PER_SEC);
        assert_non_null(settled);
        assert_int_equal(batch_count(settled, FATE_DUPLICATE), 2);
        assert_told(1, 1, 0);
        say(FINDS, FINDS, FINDS);
        write_all(sink, loop);
        assert_told(1, 1, 0);
        sink_status(sink, &status);
        assert_int_equal(status.duplicates, 5);
        sink_stop(sink, false);
        sink_free(sink);
        settled = batch_free(settled);
        loop_free(loop);
}

/* A reload, or the end of the lease, before the next try: the message comes again to whom it is a duplicate. */
static void test_what_is_left_unsure_at_the_end(void **state) {
        static char subscription[] = SUBSCRIPTION;
        const SubscriptionConfig config = { .subscription = subscription,
                .backoff = { USEC_PER_SEC, 4 * USEC_PER_SEC } };

        for (unsigned stops = 0; stops < 2; stops++) {
                Loop *loop;
                Sink *sink;

                memset(told_of, 0, sizeof(told_of));
                assert_int_equal(loop_new(&loop), 0);
                assert_int_equal(
                        sink_new(&fake_type, &config,
                                &(SinkCallbacks){
                                        .on_settled = on_settled, .means.loop = loop, .tap = { on_stored, NULL } },
                                &sink),
                        0);
                virtual_pass(loop, 0);
                say(LOSES, FAILS, STORES);
                write_all(sink, loop);
                assert_told(0, 0, 1);
                if (stops)
                        sink_stop(sink, false);
                else
                        sink_let_go(sink, sink_batch);
                assert_non_null(settled);
                assert_told(1, 0, 1);
                sink_stop(sink, false);
                assert_told(1, 0, 1); /* what it kept of the one that it let go says nothing new */
                sink_free(sink);
                settled = batch_free(settled);
                loop_free(loop);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_an_unsure_write_stored),
                cmocka_unit_test(test_what_is_left_unsure_at_the_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
