/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/pulls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/log.h"
#include "lib/text.h"

/* ---- the plan ---- */

void pull_plan_init(PullPlan *plan, unsigned pulls, unsigned max_messages, usec_t interval, bool once) {
        *plan = (PullPlan){
                .pulls = pulls,
                .configured = max_messages,
                .interval = interval,
                .once = once,
                .max_messages = max_messages,
                .backlog = once, /* `once` runs because messages may wait */
                .failure = { .initial = 1 * USEC_PER_SEC, .max = 60 * USEC_PER_SEC },
                .quick = { .initial = 200 * USEC_PER_MSEC, .max = 5 * USEC_PER_SEC },
        };
}

unsigned pull_plan_due(const PullPlan *plan, const PullLoad *load, usec_t now) {
        unsigned together = plan->backlog && plan->failure.attempt == 0 ? plan->pulls : 1;
        unsigned taken = load->in_flight + load->unsettled;
        size_t bytes = load->bytes + load->in_flight * load->expected;
        unsigned due;

        if (!load->welcome || now < plan->not_before)
                return 0;
        if (bytes >= PULL_PLAN_BYTES_MAX || load->acking >= PULL_PLAN_ACKING_MAX)
                return 0;
        if (pull_plan_is_over(plan))
                return 0;
        if (taken >= plan->pulls || load->in_flight >= together)
                return 0;
        due = plan->pulls - taken;
        if (due > together - load->in_flight)
                due = together - load->in_flight;
        if (load->expected > 0 && due > (PULL_PLAN_BYTES_MAX - bytes) / load->expected)
                due = (unsigned) ((PULL_PLAN_BYTES_MAX - bytes) / load->expected);
        return due > 0 || load->in_flight > 0 ? due : 1;
}

static void grow(PullPlan *plan) {
        if (plan->max_messages >= plan->configured || ++plan->good < PULL_PLAN_GROW_AFTER)
                return;
        plan->good = 0;
        plan->max_messages += plan->max_messages / 4 + 1;
        if (plan->max_messages > plan->configured)
                plan->max_messages = plan->configured;
}

static void answered_empty(PullPlan *plan, usec_t waited, usec_t now, uint64_t random) {
        usec_t pause = plan->interval;

        plan->backlog = false;
        plan->empties++;
        if (plan->once)
                pause = PULL_PLAN_ONCE_PAUSE_USEC;
        else if (waited < PULL_PLAN_QUICK_USEC)
                pause = backoff_next_at_least(&plan->quick, plan->interval, random);
        plan->not_before = now + pause;
}

void pull_plan_answered(PullPlan *plan, size_t n, usec_t waited, usec_t now, uint64_t random) {
        bool asked = plan->asks;

        backoff_reset(&plan->failure);
        plan->asks = false;
        if (n == 0) /* a pull that was told not to hang is followed by one that hangs, without a pause */
                return answered_empty(plan, asked ? PULL_PLAN_QUICK_USEC : waited, now, random);
        backoff_reset(&plan->quick);
        plan->empties = 0;
        plan->not_before = 0;
        if (n >= (plan->max_messages + 1) / 2 || waited < PULL_PLAN_BACKLOG_USEC)
                plan->backlog = true;
        else if (waited >= PULL_PLAN_HUNG_USEC)
                plan->backlog = plan->once;
        grow(plan);
}

void pull_plan_saw(PullPlan *plan, usec_t age, usec_t now) {
        if (plan->begun == 0)
                plan->begun = now;
        plan->fresh++;
        if (now - plan->begun < PULL_PLAN_ONCE_USEC || age >= now - plan->begun)
                plan->fresh = 0;
}

void pull_plan_failed(PullPlan *plan, usec_t retry_after, usec_t now, uint64_t random) {
        /* pulls that ran together fail together: that counts as one failure */
        if (plan->failure.attempt > 0 && now < plan->not_before)
                plan->not_before = usec_max(plan->not_before, now + retry_after);
        else
                plan->not_before = now + backoff_next_at_least(&plan->failure, retry_after, random);
}

bool pull_plan_cut(PullPlan *plan, bool hung, usec_t waited) {
        bool first = plan->failure.attempt == 0 || plan->asks; /* also for pulls that ran with the first one */

        plan->asks = waited >= PULL_PLAN_IDLE_USEC;
        return plan->asks && hung && first;
}

bool pull_plan_too_large(PullPlan *plan) {
        plan->good = 0;
        plan->empties = plan->fresh = 0; /* the reply had messages, of any age */
        if (plan->max_messages <= 1)
                return false;
        plan->max_messages /= 2;
        return true;
}

/* ---- pulls ---- */

typedef struct Pull {
        Pulls *pulls;
        ClientCall *call; /* NULL: this slot is free */
        usec_t started;
        usec_t awake;      /* clock_monotonic() then */
        bool scout, hangs; /* hangs: it waits until there is a message */
} Pull;

struct Pulls {
        PullsOptions options;
        PullPlan plan;
        usec_t timeout; /* of each; those of `once` return at once */
        Pull slots[PULLS_MAX];
        size_t reply_bytes; /* of the last reply with messages */
        unsigned hung;      /* answers in a row whose messages came only after a wait */
        bool stopping, said_too_large, said_skipped;
        PullsStatus status;
};

/* ---- what a pull brought ---- */

/* Whether something may have cut a hanging pull: the service itself (503), or a proxy (502, 504). */
static bool may_be_cut(const ClientReply *reply) {
        return reply->outcome == CLIENT_UNSURE ||
               (reply->outcome == CLIENT_RETRY && reply->http_status > 0 && reply->http_status != 429);
}

static void pull_failed(Pull *pull, const ClientReply *reply, usec_t waited) {
        Pulls *p = pull->pulls;
        bool quiet = pull_plan_cut(&p->plan, pull->hangs, may_be_cut(reply) ? waited : 0);
        usec_t now = clock_now();

        p->status.failures++;
        p->status.unmendable = !subscription_is_passing(reply->outcome);
        pull_plan_failed(&p->plan, reply->retry_after, now, loop_random());
        if (!quiet)
                subscription_fail(p->options.subscription, SUBSCRIPTION_PULL, reply, p->plan.not_before - now);
}

static void pull_failed_here(Pull *pull, ClientOutcome outcome, const char *detail) {
        pull_failed(pull,
                &(ClientReply){ .outcome = outcome,
                        .cause = outcome == CLIENT_RETRY ? CAUSE_MEMORY : CAUSE_SETTINGS,
                        .detail = detail },
                0);
}

/* The reply was over the cap, or too slow to arrive completely: half as many messages are requested from now on. */
static void pull_too_large(Pull *pull, const ClientReply *reply) {
        Pulls *p = pull->pulls;
        char what[64];
        const char *name = p->options.config->subscription;

        if (!pull_plan_too_large(&p->plan))
                return pull_failed(pull, reply, 0);
        if (p->said_too_large)
                return;
        p->said_too_large = true;
        if (reply->outcome == CLIENT_TOO_LARGE)
                (void) snprintf(what, sizeof(what), "was larger than %d MiB", PULLS_REPLY_MAX / (1024 * 1024));
        else
                (void) snprintf(
                        what, sizeof(what), "was incomplete after %u s", (unsigned) (p->timeout / USEC_PER_SEC));
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_SUBSCRIPTION, name }),
                "%s: a reply %s and was discarded; sensorqd now asks for %u message%s at a time. The discarded ones "
                "are redelivered after their ack deadline",
                name, what, p->plan.max_messages, text_s(p->plan.max_messages));
}

static void count(Pulls *p, const Batch *batch, usec_t wall) {
        const size_t n = batch->pull.n, skipped = batch->pull.skipped;

        p->status.pulls++;
        p->status.empties += n == 0;
        p->status.received += n;
        p->status.last = wall;
        if (n > 0)
                p->reply_bytes = batch->body.allocated;
        p->status.left |= skipped > 0;
        if (skipped > 0 && !p->said_skipped)
                log_warning("%s: %zu malformed message%s in a reply (no ack id or message id, or attributes that are "
                            "not text): left to Pub/Sub, unacknowledged",
                        p->options.config->subscription, skipped, text_s(skipped));
        p->said_skipped = skipped > 0;
}

static void pull_answered(Pull *pull, ClientReply *reply, usec_t waited) {
        _cleanup_(batch_freep) Batch *batch = NULL;
        Pulls *p = pull->pulls;
        usec_t now = clock_now(), wall = clock_wall();
        size_t n;
        int r;

        r = batch_new(&reply->body, now, &batch);
        p->status.left |= r < 0;
        if (r < 0)
                return pull_failed_here(pull, r == -ENOMEM ? CLIENT_RETRY : CLIENT_FAILED,
                        r == -ENOMEM ? strerror(-r)
                                     : "the answer to a pull is not from Pub/Sub (damaged, or from a proxy): it is "
                                       "discarded, nothing is acknowledged");
        n = batch->pull.n;
        batch->scout = pull->scout;
        count(p, batch, wall);
        if (n > 0) {
                pull_plan_saw(&p->plan, wall - usec_min(batch->oldest_publish, wall), now);
                r = p->options.on_batch(p->options.userdata, batch);
                p->status.left |= r < 0;
                if (r < 0)
                        return pull_failed_here(pull, CLIENT_RETRY, strerror(-r));
                cleanup_steal(batch);
        }
        p->status.failures = 0;
        p->status.unmendable = false;
        pull_plan_answered(&p->plan, n, waited, now, loop_random());
        p->hung = n > 0 && pull->hangs && waited >= PULL_PLAN_HUNG_USEC && !p->plan.backlog ? p->hung + 1 : 0;
        p->status.hung = p->hung >= PULLS_HUNG_ENOUGH;
        p->said_too_large = p->said_too_large && p->plan.max_messages < p->plan.configured;
        subscription_mend(p->options.subscription, SUBSCRIPTION_PULL);
}

/* While stopping, messages that a pull still brings are given back; all else is ignored. */
static void pull_answered_late(const Pull *pull, ClientReply *reply) {
        _cleanup_(batch_freep) Batch *batch = NULL;
        const PullsOptions *options = &pull->pulls->options;

        if (reply->outcome != CLIENT_OK || batch_new(&reply->body, clock_now(), &batch) < 0 || batch->pull.n == 0)
                return;
        if (options->on_batch(options->userdata, batch) == 0)
                cleanup_steal(batch);
        else
                log_debug("%s: cannot give back the messages of a pull: they are redelivered after their ack deadline",
                        options->config->subscription);
}

/* Whether the time for the reply has passed. A machine that sleeps receives nothing, so that does not count. A tenth
 * may be missing: libcurl's clock (CLOCK_MONOTONIC_RAW) is not slewed by a time service, ours is. */
static bool pull_ran_out(const Pull *pull) {
        return clock_monotonic() - pull->awake >= pull->pulls->timeout / 10 * 9;
}

static void on_pull(void *userdata, ClientReply *reply) {
        Pull *pull = userdata;
        Pulls *p = pull->pulls;
        usec_t waited = clock_now() - pull->started;

        pull->call = NULL;
        p->status.in_flight--;
        p->status.hung = false;
        p->status.left |= reply->outcome == CLIENT_TOO_LARGE || reply->outcome == CLIENT_UNSURE;
        if (p->stopping)
                pull_answered_late(pull, reply);
        else if (reply->outcome == CLIENT_OK) {
                subscription_found(p->options.subscription, pull->started);
                pull_answered(pull, reply, waited);
        } else if (reply->outcome == CLIENT_TOO_LARGE || (reply->begun && pull_ran_out(pull)))
                pull_too_large(pull, reply);
        else
                pull_failed(pull, reply, waited);
        p->options.on_answer(p->options.userdata);
}

/* ---- starting them ---- */

static Pull *find_slot(Pulls *p) {
        for (size_t i = 0; i < PULLS_MAX; i++)
                if (!p->slots[i].call)
                        return &p->slots[i];
        return NULL;
}

void pulls_add(Pulls *p, unsigned scout, usec_t now) {
        const unsigned max = p->plan.max_messages;
        Pull *pull = find_slot(p);
        ClientSpec spec = {
                .method = "POST",
                .verb = ":pull",
                .timeout = p->timeout,
                .max_reply = PULLS_REPLY_MAX,
        };
        int r;

        if (!pull)
                return;
        *pull = (Pull){ .pulls = p,
                .started = now,
                .awake = clock_monotonic(),
                .scout = scout > 0,
                .hangs = !p->options.once && !p->plan.asks };
        r = wire_put_pull(&spec.body, scout > 0 && scout < max ? scout : max, !pull->hangs);
        if (r >= 0)
                r = subscription_call(p->options.subscription, &spec, on_pull, pull, &pull->call);
        bytes_done(&spec.body);
        if (r < 0)
                return pull_failed_here(pull, CLIENT_RETRY, strerror(-r));
        p->status.in_flight++;
}

void pulls_start(Pulls *p, PullLoad load, usec_t now) {
        load.in_flight = p->status.in_flight;
        load.expected = p->reply_bytes;
        for (unsigned due = pull_plan_due(&p->plan, &load, now); due > 0 && now >= p->plan.not_before; due--)
                pulls_add(p, 0, now);
}

void pulls_stop(Pulls *p) {
        p->stopping = true;
}

void pulls_drop(Pulls *p) {
        for (size_t i = 0; i < PULLS_MAX; i++)
                p->slots[i].call = client_cancel(p->slots[i].call);
        p->status.in_flight = 0;
}

/* ---- life ---- */

int pulls_new(const PullsOptions *options, Pulls **ret) {
        const SubscriptionConfig *config = options->config;
        Pulls *p;

        p = calloc(1, sizeof(Pulls));
        if (!p)
                return -ENOMEM;
        p->options = *options;
        p->timeout = options->once ? CLIENT_TIMEOUT_USEC : PULLS_TIMEOUT_USEC;
        p->status.plan = &p->plan;
        pull_plan_init(&p->plan, config->pulls < PULLS_MAX ? config->pulls : PULLS_MAX, config->max_messages,
                config->interval, options->once);
        *ret = p;
        return 0;
}

Pulls *pulls_free(Pulls *p) {
        if (!p)
                return NULL;
        pulls_drop(p);
        free(p);
        return NULL;
}

const PullsStatus *pulls_status(const Pulls *p) {
        return &p->status;
}
