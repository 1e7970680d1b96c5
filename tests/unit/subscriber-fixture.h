/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A subscriber between the scripted Pub/Sub and a sink that does what the test says. */
#include "pubsub-fixture.h"

#include "events.h"
#include "subscribe/subscriber.h"

typedef struct FakeSink {
        Sink sink;
        const SinkCallbacks *callbacks;
        Batch *batch;
        bool ready, stopped;
        bool automatic; /* settles each batch inside write() */
        bool refuses;   /* answers SINK_WRITE_BUSY although ready */
        bool stuck;     /* a stop does not bring the batch back */
        unsigned writes;
        size_t stored;
        Fate fate;   /* of automatic */
        Bytes order; /* "ID " for each message written */
} FakeSink;

typedef struct World {
        Fixture service;
        FakeSink sink;
        SubscriptionConfig config;
        Subscriber *subscriber;
        unsigned changes;
} World;

static World world;

static inline void fake_settle(FakeSink *sink, Fate fate) {
        Batch *batch = sink->batch;

        assert_non_null(batch);
        sink->batch = NULL;
        for (size_t i = 0; i < batch->pull.n; i++)
                if (fate != FATE_PENDING)
                        delivery_set_fate(batch, i, fate);
        sink->stored += fate == FATE_STORED ? batch->pull.n : 0;
        sink->callbacks->on_settled(sink->callbacks->userdata, batch);
}

/* Settles with the fates given one by one: "s" stored, "d" duplicate, "r" rejected, "f" failed, "p" pending. */
static inline void fake_settle_each(FakeSink *sink, const char *fates) {
        static const char letters[] = "psdrf";
        Batch *batch = sink->batch;

        assert_non_null(batch);
        assert_int_equal(batch->pull.n, strlen(fates));
        sink->batch = NULL;
        for (size_t i = 0; fates[i]; i++)
                if (fates[i] != 'p')
                        delivery_set_fate(batch, i, (Fate) (strchr(letters, fates[i]) - letters));
        sink->callbacks->on_settled(sink->callbacks->userdata, batch);
}

static inline void fake_set_ready(FakeSink *sink, bool ready) {
        sink->ready = ready;
        sink->callbacks->on_change(sink->callbacks->userdata);
}

static inline int fake_open(
        Loop *event, const SubscriptionConfig *config, const char *secret, const SinkCallbacks *callbacks, Sink **ret) {
        world.sink.callbacks = callbacks;
        *ret = &world.sink.sink;
        return 0;
}

static inline Sink *fake_close(Sink *sink) {
        world.sink.batch = batch_free(world.sink.batch);
        bytes_done(&world.sink.order);
        return NULL;
}

static inline int fake_write(Sink *sink, Batch *batch) {
        FakeSink *fake = (FakeSink *) sink;

        if (fake->batch || fake->refuses)
                return SINK_WRITE_BUSY;
        fake->batch = batch;
        fake->writes++;
        for (size_t i = 0; i < batch->pull.n; i++)
                assert_int_equal(bytes_append_format(&fake->order, "%.*s ", (int) batch->pull.messages[i].message_id.size,
                                         batch->pull.messages[i].message_id.data),
                        0);
        if (fake->automatic)
                fake_settle(fake, fake->fate);
        return SINK_WRITE_STARTED;
}

static inline void fake_stop(Sink *sink) {
        FakeSink *fake = (FakeSink *) sink;

        fake->stopped = true;
        if (fake->batch && !fake->stuck)
                fake_settle(fake, FATE_PENDING);
}

static inline bool fake_is_busy(const Sink *sink) {
        return ((const FakeSink *) sink)->batch != NULL;
}

static inline void fake_status(const Sink *sink, SinkStatus *ret) {
        *ret = (SinkStatus){ .ready = ((const FakeSink *) sink)->ready, .detail = "", .what = "Fake" };
}

static const SinkType fake_type = {
        .name = "fake",
        .open = fake_open,
        .close = fake_close,
        .write = fake_write,
        .stop = fake_stop,
        .is_busy = fake_is_busy,
        .status = fake_status,
};

static inline void world_on_change(void *userdata) {
        world.changes++;
}

static inline int world_set_up(void **state) {
        world = (World){ .sink = { .sink = { .type = &fake_type }, .ready = true, .fate = FATE_STORED } };
        fixture_set_up(&world.service);
        world.config = (SubscriptionConfig){
                .subscription = (char *) FIXTURE_SUBSCRIPTION, .max_messages = 1000, .pulls = 2, .max_hold = USEC_PER_HOUR, .sink = "fake"
        };
        return 0;
}

static inline int world_tear_down(void **state) {
        world.subscriber = subscriber_free(world.subscriber);
        fixture_tear_down(&world.service);
        return 0;
}

static inline void world_start(bool once) {
        const SubscriberOptions options = { .config = &world.config, .once = once, .sink_type = &fake_type };

        assert_int_equal(subscriber_new(world.service.event, world.service.client, &options, world_on_change, NULL, &world.subscriber), 0);
}

static inline SubscriberStatus world_status(void) {
        SubscriberStatus status;

        subscriber_status(world.subscriber, &status);
        return status;
}

/* A reply with messages FIRST..FIRST+N-1: ack ids "aI", message ids "I". */
static inline void world_queue(unsigned first, unsigned n) {
        _cleanup_bytes_ Bytes body = {};

        assert_int_equal(bytes_append_text(&body, "{\"receivedMessages\":["), 0);
        for (unsigned i = first; i < first + n; i++)
                assert_int_equal(bytes_append_format(&body,
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
