/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A subscriber between the scripted Pub/Sub and a sink that does what the test says. */
#include "pubsub-fixture.h"

#include <time.h>

#include "events.h"
#include "real-calls.h"
#include "subscribe/subscriber.h"

static usec_t passed;         /* of the boot-time clock, beyond what really has */
static usec_t passed_in_curl; /* of libcurl's */
static bool stands;           /* the boot-time clock, but for what passes as above */

int clock_gettime(clockid_t clock, struct timespec *now) {
        static struct timespec last;
        int r = real_clock_gettime(clock, now);

        if (clock == CLOCK_BOOTTIME) {
                if (stands)
                        *now = last;
                last = *now;
                now->tv_sec += (time_t) (passed / USEC_PER_SEC);
        } else if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW)
                now->tv_sec += (time_t) (passed_in_curl / USEC_PER_SEC);
        return r;
}

typedef struct FakeSink {
        SinkHost *host;
        SinkWork *work;    /* a write that waits for its answer */
        SinkAnswer *probe; /* a probe that does */
        bool ready;        /* answers; else probes wait and writes fail */
        bool untried;      /* probes try no write */
        bool automatic;    /* settles each write at once */
        unsigned writes;
        unsigned patience; /* after so many refusals in a row a write ends, as a webhook's; 0: it asks for each */
        unsigned good;     /* the id of a message that is stored whatever *fate* says */
        Fate fate;         /* of automatic */
        Bytes order;       /* "ID " for each message written */
} FakeSink;

typedef struct World {
        Fixture service;
        FakeSink sink;
        SubscriptionConfig config;
        Subscriber *subscriber;
        unsigned changes;
} World;

static World world;

static inline void fake_set_fate(SinkItem *item, Fate fate) {
        switch (fate) {
        case FATE_STORED:
                item->verdict = SINK_STORED;
                break;
        case FATE_DUPLICATE:
                item->verdict = SINK_DUPLICATE;
                break;
        case FATE_REJECTED:
        case FATE_UNKEPT:
                sink_item_bad(item, fate == FATE_REJECTED ? "rejected" : "failed", "as the test says");
                break;
        case FATE_SUSPECT: /* with a code that says nothing */
                sink_item_refused(item, 4711, false, "rejected", "as the test says");
                break;
        case FATE_MOVED: /* with a code that speaks of the document */
                sink_item_refused(item, 121, true, "rejected", "as the test says");
                break;
        case FATE_PENDING:
                break;
        }
}

/* Answers the write under way, and turns the loop until that has come home. */
static inline void fake_answer(FakeSink *sink) {
        sink->work = NULL;
        sink_host_answer(sink->host);
        for (int i = 0; i < 20 && loop_turn(world.service.event, 0) > 0; i++)
                continue;
}

static inline void fake_settle(FakeSink *sink, Fate fate) {
        assert_non_null(sink->work);
        for (size_t i = 0; i < sink->work->n; i++)
                fake_set_fate(&sink->work->items[i], fate);
        fake_answer(sink);
}

/* Settles with the fates given one by one: "s" stored, "d" duplicate, "r" rejected, "f" failed, "p" pending;
 * "o" refused with an odd code, "v" with one about the document. */
static inline void fake_settle_each(FakeSink *sink, const char *fates) {
        static const char letters[] = "psdrfov";

        assert_non_null(sink->work);
        assert_int_equal(sink->work->n, strlen(fates));
        for (size_t i = 0; fates[i]; i++)
                fake_set_fate(&sink->work->items[i], (Fate) (strchr(letters, fates[i]) - letters));
        fake_answer(sink);
}

static inline void fake_fail(SinkAnswer *answer) {
        *answer = (SinkAnswer){ .fault = SINK_FAULT_PASSING,
                .reason = "unreachable",
                .words = "cannot be reached",
                .remedy = "ask the test",
                .detail = "the test says so" };
}

static inline void fake_set_ready(FakeSink *sink, bool ready) {
        SinkAnswer *probe = sink->probe;

        sink->ready = ready;
        if (ready && probe) {
                sink->probe = NULL;
                sink_host_answer(sink->host);
        } else if (!ready && sink->work) {
                fake_fail(&sink->work->answer);
                fake_answer(sink);
        }
        sink_host_seen(sink->host, ready ? SINK_SEEN_WRITABLE : SINK_SEEN_LOST);
        for (int i = 0; i < 20 && loop_turn(world.service.event, 0) > 0; i++)
                continue;
}

static inline int fake_open(
        const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        world.sink.host = host;
        *ret_self = &world.sink;
        return 0;
}

static inline const char *fake_place(const void *self) {
        return "fake.place";
}

static inline void fake_probe(void *self, SinkAnswer *answer) {
        FakeSink *fake = self;

        answer->untried = fake->untried;
        if (fake->ready)
                sink_host_answer(fake->host);
        else
                fake->probe = answer;
}

static inline void fake_write(void *self, SinkWork *work) {
        FakeSink *fake = self;
        unsigned refused = 0;

        assert_null(fake->work);
        fake->writes++;
        for (size_t i = 0; i < work->n; i++)
                assert_int_equal(
                        bytes_append_format(&fake->order, "%.*s ", (int) work->items[i].message->message_id.size,
                                work->items[i].message->message_id.data),
                        0);
        if (!fake->ready)
                fake_fail(&work->answer);
        for (size_t i = 0; fake->ready && fake->automatic && i < work->n; i++) {
                const WireMessage *message = work->items[i].message;
                const bool good = strtoul(message->message_id.data, NULL, 10) == fake->good;

                if (fake->patience > 0 && refused == fake->patience)
                        break;
                refused = good ? 0 : refused + 1;
                fake_set_fate(&work->items[i], good ? FATE_STORED : fake->fate);
        }
        if (!fake->ready || fake->automatic)
                sink_host_answer(fake->host);
        else
                fake->work = work;
}

static inline void fake_set_apart(void *self, SinkWork *work) {
        FakeSink *fake = self;

        for (size_t i = 0; i < work->n; i++)
                if (strcmp(work->items[i].reason, "rejected") == 0)
                        work->items[i].verdict = SINK_STORED;
                else
                        sink_item_bad(&work->items[i], "failed", "not even here");
        sink_host_answer(fake->host);
}

static inline void *fake_close(void *self) {
        bytes_done(&world.sink.order);
        return NULL;
}

static const SinkType fake_type = {
        .keys = &(const ConfigSection){ .name = "fake" },
        .what = "Fake",
        .open = fake_open,
        .place = fake_place,
        .probe = fake_probe,
        .write = fake_write,
        .set_apart = fake_set_apart,
        .close = fake_close,
};

static inline void world_on_change(void *userdata) {
        world.changes++;
}

static inline int world_set_up(void **state) {
        world = (World){ .sink = { .ready = true, .fate = FATE_STORED } };
        fixture_set_up(&world.service);
        world.config = (SubscriptionConfig){ .subscription = (char *) FIXTURE_SUBSCRIPTION,
                .max_messages = 1000,
                .pulls = 2,
                .max_hold = USEC_PER_HOUR,
                .sink = "fake",
                .backoff = { 100 * USEC_PER_MSEC, 1 * USEC_PER_SEC } };
        return 0;
}

static inline int world_tear_down(void **state) {
        world.subscriber = subscriber_free(world.subscriber);
        fixture_tear_down(&world.service);
        return 0;
}

static inline void world_start(bool once) {
        const SubscriberOptions options = { .config = &world.config,
                .means.loop = world.service.event,
                .once = once,
                .sink_type = &fake_type,
                .on_change = world_on_change,
                .on_subscription = world_on_change };

        assert_int_equal(subscriber_new(world.service.client, &options, &world.subscriber), 0);
}

static inline SubscriberStatus world_status(void) {
        SubscriberStatus status;

        subscriber_status(world.subscriber, &status);
        return status;
}

static inline SubscriptionStatus world_subscription(void) {
        SubscriptionStatus status;

        subscriber_subscription(world.subscriber, &status);
        return status;
}

/* A reply with messages FIRST..FIRST+N-1: ack ids "aI", message ids "I". */
static inline void world_queue(unsigned first, unsigned n) {
        _cleanup_bytes_ Bytes body = {};

        assert_int_equal(bytes_append_text(&body, "{\"receivedMessages\":["), 0);
        for (unsigned i = first; i < first + n; i++)
                assert_int_equal(
                        bytes_append_format(&body,
                                "%s{\"ackId\":\"a%u\",\"message\":{\"data\":\"e30=\",\"messageId\":\"%u\",\"publishTime\":"
                                "\"2026-01-02T03:04:05Z\"}}",
                                i > first ? "," : "", i, i),
                        0);
        assert_int_equal(bytes_append_text(&body, "]}"), 0);
        fixture_script(&world.service, CALL_PULL, 200, "", body.data);
}

#define world_until(condition) fixture_until(&world.service, condition)
#define world_asked(text) fixture_asked(&world.service, text)
#define world_logged(id) fixture_logged(&world.service, id)
