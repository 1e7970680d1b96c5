/* SPDX-License-Identifier: Apache-2.0 */
/* The subscriber's pulls: start them as the plan says, sort what they bring. */

#include <errno.h>
#include <string.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "subscribe/subscriber-internal.h"

/* ---- what a pull brought ---- */

static void pull_failed(Subscriber *s, const ClientReply *reply, usec_t waited) {
        bool quiet =
                reply->outcome == CLIENT_UNSURE && waited >= SUBSCRIBER_IDLE_CUT_USEC && s->plan.failure.attempt == 0;
        usec_t now = clock_now();

        s->failures++;
        s->unmendable = !health_is_passing(reply->outcome);
        pull_plan_failed(&s->plan, reply->retry_after, now, loop_random());
        if (quiet)
                return; /* something in between does not like idle connections */
        health_fail(&s->health, HEALTH_PULL,
                &(HealthFailure){ .outcome = reply->outcome,
                        .http_status = reply->http_status,
                        .detail = reply->detail,
                        .retry_in = s->plan.not_before - now });
}

static void pull_failed_here(Subscriber *s, ClientOutcome outcome, const char *detail) {
        pull_failed(s, &(ClientReply){ .outcome = outcome, .detail = detail }, 0);
}

static void pull_too_large(Subscriber *s, const ClientReply *reply) {
        if (!pull_plan_too_large(&s->plan))
                return pull_failed(s, reply, 0);
        if (s->said_too_large)
                return;
        s->said_too_large = true;
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_SUBSCRIPTION, s->config->subscription }),
                "%s: a reply was larger than %d MiB and was thrown away; sensorqd now asks for %u messages at a time. "
                "Those messages come "
                "back after their ack deadline",
                s->config->subscription, SUBSCRIBER_REPLY_MAX / (1024 * 1024), s->plan.max_messages);
}

static void note_skipped(Subscriber *s, size_t skipped) {
        if (skipped > 0) {
                s->left = true;
                if (!s->said_skipped)
                        log_warning("%s: %zu elements of a reply were not understood (no ack id or message id, or "
                                    "attributes that are no "
                                    "strings): they are left to "
                                    "Pub/Sub, unacknowledged",
                                s->config->subscription, skipped);
        }
        s->said_skipped = skipped > 0;
}

/* Keeps the messages; on an error they come back after their deadline. */
static int keep_batch(Subscriber *s, Batch **batch) {
        int r;

        if (s->n_held >= SUBSCRIBER_HELD_MAX)
                return -ENOBUFS;
        r = held_new(&s->host, *batch, &s->held[s->n_held]);
        if (r < 0)
                return r;
        s->n_held++;
        *batch = NULL;
        return 0;
}

static void pull_answered(Subscriber *s, ClientReply *reply, usec_t waited) {
        _cleanup_(batch_freep) Batch *batch = NULL;
        usec_t now = clock_now();
        size_t n;
        int r;

        r = batch_new(s->config->subscription, &reply->body, now, &batch);
        if (r < 0)
                return pull_failed_here(s, r == -ENOMEM ? CLIENT_RETRY : CLIENT_FAILED,
                        r == -ENOMEM ? strerror(-r)
                                     : "the answer to a pull is not one of Pub/Sub's (damaged, or a proxy's): nothing "
                                       "of it is taken or "
                                       "acknowledged");
        n = batch->pull.n;
        s->n_pulls++;
        s->empty_pulls += n == 0;
        s->received += n;
        s->last_pull = clock_wall();
        note_skipped(s, batch->pull.skipped);
        if (n > 0) {
                s->reply_bytes = batch->body.allocated;
                r = keep_batch(s, &batch);
                if (r < 0)
                        return pull_failed_here(s, CLIENT_RETRY, strerror(-r));
        }
        s->failures = 0;
        s->unmendable = false;
        pull_plan_answered(&s->plan, n, waited, now, loop_random());
        s->said_too_large = s->said_too_large && s->plan.max_messages < s->plan.configured;
        health_mend(&s->health, HEALTH_PULL);
}

/* Stopping: only what it brought matters, and that is given back. */
static void pull_answered_late(Subscriber *s, ClientReply *reply) {
        _cleanup_(batch_freep) Batch *batch = NULL;

        if (reply->outcome == CLIENT_OK && batch_new(s->config->subscription, &reply->body, clock_now(), &batch) == 0 &&
                batch->pull.n > 0 && keep_batch(s, &batch) < 0)
                log_debug("%s: cannot give back what a pull brought: it comes back after its deadline",
                        s->config->subscription);
}

static void on_pull(void *userdata, ClientReply *reply) {
        Pull *pull = userdata;
        Subscriber *s = pull->subscriber;
        usec_t waited = clock_now() - pull->started;

        pull->call = NULL;
        s->in_flight--;
        if (s->stopping)
                pull_answered_late(s, reply);
        else if (reply->outcome == CLIENT_OK) {
                watch_tell(s->watch, true, pull->started);
                pull_answered(s, reply, waited);
        } else if (reply->outcome == CLIENT_TOO_LARGE)
                pull_too_large(s, reply);
        else {
                if (reply->outcome == CLIENT_NOT_FOUND)
                        watch_tell(s->watch, false, pull->started);
                pull_failed(s, reply, waited);
        }
        subscriber_look(s);
        subscriber_changed(s);
}

/* ---- starting them ---- */

static PullLoad measure_load(const Subscriber *s) {
        PullLoad load = { .ready = s->ready, .in_flight = s->in_flight, .expected = s->reply_bytes };

        for (size_t i = 0; i < s->n_held; i++) {
                HeldState state = held_state(s->held[i]);

                load.unsettled += state == HELD_WAITING || state == HELD_WRITING;
                load.acking += state == HELD_ACKING;
                load.bytes += held_bytes(s->held[i]);
        }
        return load;
}

static Pull *find_slot(Subscriber *s) {
        for (size_t i = 0; i < SUBSCRIBER_PULLS_MAX; i++)
                if (!s->pulls[i].call)
                        return &s->pulls[i];
        return NULL;
}

static int start_pull(Subscriber *s, usec_t now) {
        _cleanup_bytes_ Bytes body = {};
        Pull *pull = find_slot(s);
        ClientSpec spec = {
                .method = "POST",
                .resource = s->config->subscription,
                .verb = ":pull",
                .timeout = s->pull_timeout,
                .max_reply = SUBSCRIBER_REPLY_MAX,
        };
        int r;

        if (!pull)
                return -ENOBUFS;
        r = wire_put_pull(&body, s->plan.max_messages, s->once);
        if (r < 0)
                return r;
        spec.body = bytes_steal(&body);
        r = client_call(s->client, &spec, on_pull, pull, &pull->call);
        bytes_done(&spec.body);
        if (r < 0)
                return r;
        pull->subscriber = s;
        pull->started = now;
        s->in_flight++;
        return 0;
}

void subscriber_pull(Subscriber *s, usec_t now) {
        PullLoad load = measure_load(s);
        unsigned due;
        int r;

        if (s->once && !s->begun)
                return;
        for (due = pull_plan_due(&s->plan, &load, now); due > 0; due--) {
                r = start_pull(s, now);
                if (r < 0)
                        return pull_failed_here(s, CLIENT_RETRY, strerror(-r));
        }
}

void subscriber_drop_pulls(Subscriber *s) {
        for (size_t i = 0; i < SUBSCRIBER_PULLS_MAX; i++)
                s->pulls[i].call = client_cancel(s->pulls[i].call);
        s->in_flight = 0;
}
