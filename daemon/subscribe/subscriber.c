/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/subscriber.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backoff.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "subscribe/subscriber-internal.h"

/* ---- looking: what can be done now ---- */

void subscriber_changed(Subscriber *s) {
        if (!s->closing)
                (void) sd_event_source_set_enabled(s->change, SD_EVENT_ONESHOT);
}

static int on_change_source(sd_event_source *source, void *userdata) {
        Subscriber *s = userdata;

        s->on_change(s->userdata);
        return 0;
}

/* Notes when the sink goes away and comes back. */
static void see_sink(Subscriber *s, usec_t now) {
        bool ready = sink_is_ready(s->sink);

        if (ready == s->ready && (ready || s->paused_at > 0))
                return;
        s->ready = ready;
        s->paused_at = ready ? 0 : now;
        s->paused_at_wall = ready ? 0 : clock_wall();
}

static Held *find_held(const Subscriber *s, HeldState state) {
        for (size_t i = 0; i < s->n_held; i++)
                if (held_state(s->held[i]) == state)
                        return s->held[i];
        return NULL;
}

/* True when a batch waits although the sink is ready: it was busy. */
static bool hand_over(Subscriber *s) {
        Held *held;

        while (s->ready && (held = find_held(s, HELD_WAITING)))
                if (held_write(held, s->sink) != SINK_WRITE_STARTED)
                        return !find_held(s, HELD_WRITING);
        return false;
}

static void wake_at(Subscriber *s, usec_t at) {
        int r;

        if (at == USEC_INFINITY)
                r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
        else {
                r = sd_event_source_set_time(s->timer, at);
                if (r >= 0)
                        r = sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
        }
        if (r < 0)
                log_debug("%s: cannot set the timer of the next pull", s->config->subscription);
}

void subscriber_look(Subscriber *s) {
        usec_t now = clock_now(), next = USEC_INFINITY;

        if (s->stopping)
                return subscriber_wind_up(s);
        see_sink(s, now);
        if (hand_over(s))
                next = now + SUBSCRIBER_BUSY_RETRY_USEC;
        subscriber_pull(s, now);
        if (s->ready && s->plan.not_before > now && s->plan.not_before < next)
                next = s->plan.not_before;
        if (s->once && s->begun && !s->ready && s->paused_at + SUBSCRIBER_ONCE_PATIENCE_USEC > now)
                next = s->paused_at + SUBSCRIBER_ONCE_PATIENCE_USEC;
        wake_at(s, next);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Subscriber *s = userdata;

        subscriber_look(s);
        subscriber_changed(s);
        return 0;
}

/* ---- the sink ---- */

static bool holds(const Subscriber *s, const Held *held) {
        for (size_t i = 0; i < s->n_held; i++)
                if (s->held[i] == held)
                        return true;
        return false;
}

static void on_settled(void *userdata, Batch *batch) {
        Subscriber *s = userdata;
        Held *held = batch->lease;

        if (!holds(s, held)) { /* the end: nobody waits for it any more */
                batch_free(batch);
                return;
        }
        if (!s->stopping) {
                see_sink(s, clock_now());
                (void) hand_over(s); /* before anything else: the sink shall not idle */
        }
        held_settled(held);
        subscriber_look(s);
        subscriber_changed(s);
}

static void on_sink_change(void *userdata) {
        Subscriber *s = userdata;

        if (!s->sink)
                return; /* from inside open() */
        subscriber_look(s);
        subscriber_changed(s);
}

/* ---- what a batch reports ---- */

static void on_acknowledged(void *userdata, size_t n) {
        Subscriber *s = userdata;

        s->acknowledged += n;
        s->last_ack = clock_wall();
}

static void on_left(void *userdata, size_t n) {
        Subscriber *s = userdata;

        s->left = true;
        if (s->stopping)
                s->released_at = clock_now();
}

static void note_result(Subscriber *s, HealthCause cause, const AckResult *result) {
        size_t lost = 0;

        for (size_t i = 0; i < result->n; i++)
                lost += result->fates[i] == WIRE_ACK_LOST;
        if (result->outcome == CLIENT_OK && lost < result->n)
                health_mend(&s->health, cause);
        else
                health_fail(&s->health, cause,
                        &(HealthFailure){
                                .outcome = result->outcome == CLIENT_OK ? CLIENT_INVALID : result->outcome,
                                .http_status = result->http_status,
                                .detail = result->outcome == CLIENT_OK
                                                  ? "Pub/Sub calls every ack id of a batch invalid or lapsed"
                                                  : result->detail,
                        });
        subscriber_changed(s);
}

static void on_ack_result(void *userdata, const AckResult *result) {
        note_result(userdata, HEALTH_ACK, result);
}

static void on_lease_result(void *userdata, const AckResult *result) {
        note_result(userdata, HEALTH_LEASE, result);
}

static void on_done(void *userdata, Held *held) {
        Subscriber *s = userdata;

        for (size_t i = 0; i < s->n_held; i++) {
                if (s->held[i] != held)
                        continue;
                memmove(&s->held[i], &s->held[i + 1], (s->n_held - i - 1) * sizeof s->held[0]);
                s->n_held--;
                break;
        }
        if (s->released_at > 0)
                s->released_at = clock_now(); /* the service knows of it only now */
        held_free(held);
        if (s->n_held == 0)
                health_mend(&s->health, HEALTH_LEASE); /* no lease is left that could fail */
        subscriber_look(s);
        subscriber_changed(s);
}

static void on_watch_change(void *userdata) {
        Subscriber *s = userdata;
        const SubscriptionSettings *settings = s->watch ? watch_settings(s->watch) : NULL;

        s->host.rules.deadline = (settings ? settings->deadline_sec : SUBSCRIBER_DEADLINE_UNKNOWN_SEC) * USEC_PER_SEC;
        subscriber_changed(s);
}

/* ---- stop ---- */

void subscriber_wind_up(Subscriber *s) {
        usec_t until = s->released_at > 0 ? s->released_at + SUBSCRIBER_LINGER_USEC : 0;
        Held *held;

        if (s->closing)
                return;
        while ((held = find_held(s, HELD_WAITING)))
                held_release(held);
        if (s->n_held > 0 || s->in_flight == 0)
                wake_at(s, USEC_INFINITY);
        else if (clock_now() < until)
                wake_at(s, until);
        else
                subscriber_drop_pulls(s);
}

void subscriber_stop(Subscriber *s) {
        if (s->stopping)
                return;
        s->stopping = s->host.stopping = true;
        s->watch = watch_free(s->watch);
        sink_stop(s->sink);
        subscriber_wind_up(s);
        subscriber_changed(s);
}

bool subscriber_is_stopped(const Subscriber *s) {
        return s->stopping && s->n_held == 0 && s->in_flight == 0 && !sink_is_busy(s->sink);
}

/* ---- once ---- */

void subscriber_begin(Subscriber *s) {
        if (s->begun)
                return;
        s->begun = true;
        s->paused_at = s->ready ? 0 : clock_now();
        subscriber_look(s);
        subscriber_changed(s);
}

static bool cannot_go_on(const Subscriber *s) {
        if (!s->ready)
                return s->begun && clock_now() >= s->paused_at + SUBSCRIBER_ONCE_PATIENCE_USEC;
        return s->failures >= SUBSCRIBER_ONCE_FAILURES || (s->failures > 0 && s->unmendable);
}

bool subscriber_is_drained(const Subscriber *s, bool *ret_complete) {
        bool drained = s->begun && s->plan.empties >= PULL_PLAN_ONCE_EMPTIES && s->in_flight == 0;

        if (s->stopping || (cannot_go_on(s) && (!s->ready || s->n_held == 0))) {
                *ret_complete = false;
                return true;
        }
        if (!drained || s->n_held > 0)
                return false;
        *ret_complete = !s->left;
        return true;
}

/* ---- life ---- */

static int open_sink(Subscriber *s, const SubscriberOptions *options) {
        s->callbacks = (SinkCallbacks){ .on_settled = on_settled, .on_change = on_sink_change, .userdata = s };
        return sink_new(s->event, options->sink_type, options->config, &s->callbacks, &s->sink);
}

static int add_sources(Subscriber *s) {
        int r;

        r = sd_event_add_time(s->event, &s->timer, CLOCK_BOOTTIME, 0, 10 * USEC_PER_MSEC, on_timer,
                s); /* the first look, from the loop */
        if (r < 0)
                return r;
        r = sd_event_add_defer(s->event, &s->change, on_change_source, s);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(s->change, SD_EVENT_OFF);
}

static void init_host(Subscriber *s) {
        s->host = (HeldHost){
                .event = s->event,
                .client = s->client,
                .subscription = s->config->subscription,
                .rules = { .deadline = SUBSCRIBER_DEADLINE_UNKNOWN_SEC * USEC_PER_SEC,
                        .max_hold = s->config->max_hold },
                .on_acknowledged = on_acknowledged,
                .on_ack_result = on_ack_result,
                .on_lease_result = on_lease_result,
                .on_left = on_left,
                .on_done = on_done,
                .userdata = s,
        };
}

int subscriber_new(sd_event *event, Client *client, const SubscriberOptions *options, void (*on_change)(void *userdata),
        void *userdata, Subscriber **ret) {
        _cleanup_(subscriber_freep) Subscriber *s = NULL;
        const SubscriptionConfig *config = options->config;
        int r;

        s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(event);
        s->client = client;
        s->config = config;
        s->pull_timeout =
                options->once ? CLIENT_TIMEOUT_USEC : SUBSCRIBER_PULL_TIMEOUT_USEC; /* those of `once` return at once */
        s->once = options->once;
        s->on_change = on_change;
        s->userdata = userdata;
        s->health.subscription = config->subscription;
        init_host(s);
        pull_plan_init(&s->plan, config->pulls < SUBSCRIBER_PULLS_MAX ? config->pulls : SUBSCRIBER_PULLS_MAX,
                config->max_messages, config->interval, s->once);
        r = add_sources(s);
        if (r < 0)
                return r;
        r = watch_new(event, client, config->subscription, &s->health, on_watch_change, s, &s->watch);
        if (r < 0)
                return r;
        r = open_sink(s, options);
        if (r < 0)
                return r;
        *ret = cleanup_steal(s);
        return 0;
}

Subscriber *subscriber_free(Subscriber *s) {
        if (!s)
                return NULL;
        s->stopping = s->closing = true;
        subscriber_drop_pulls(s);
        watch_free(s->watch);
        while (s->n_held > 0)
                held_free(s->held[--s->n_held]);
        sink_free(s->sink);
        sd_event_source_disable_unref(s->timer);
        sd_event_source_disable_unref(s->change);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}

/* ---- status ---- */

static void measure_held(const Subscriber *s, SubscriberStatus *ret) {
        for (size_t i = 0; i < s->n_held; i++) {
                HeldState state = held_state(s->held[i]);
                usec_t oldest = held_oldest(s->held[i]);

                if (state != HELD_WAITING && state != HELD_WRITING)
                        continue;
                ret->held += held_count(s->held[i]);
                if (oldest > 0 && (ret->oldest_unsettled == 0 || oldest < ret->oldest_unsettled))
                        ret->oldest_unsettled = oldest;
        }
}

void subscriber_look_again(Subscriber *s) {
        if (s->watch)
                watch_look_again(s->watch);
}

void subscriber_status(const Subscriber *s, SubscriberStatus *ret) {
        const SubscriptionSettings *settings = s->watch ? watch_settings(s->watch) : NULL;
        bool failing = health_is_failing(&s->health);

        *ret = (SubscriberStatus){
                .subscription = s->config->subscription,
                .failing = failing,
                .checked = s->watch && watch_is_checked(s->watch),
                .missing = s->watch && watch_is_missing(s->watch),
                .topic = s->watch ? watch_topic(s->watch) : "",
                .paused = !s->ready,
                .failing_since = s->health.since_wall,
                .paused_since = s->paused_at_wall,
                .last_pull = s->last_pull,
                .last_ack = s->last_ack,
                .retry_at = failing && s->plan.not_before > clock_now() ? s->plan.not_before : 0,
                .retention = settings ? settings->retention : SUBSCRIPTION_RETENTION_DEFAULT_USEC,
                .received = s->received,
                .acknowledged = s->acknowledged,
                .pulls = s->n_pulls,
                .empty_pulls = s->empty_pulls,
                .detail = s->health.detail,
        };
        measure_held(s, ret);
        sink_status(s->sink, &ret->sink);
}
