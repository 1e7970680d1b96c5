/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/pull-plan.h"

void pull_plan_init(PullPlan *plan, unsigned pulls, unsigned max_messages, usec_t interval, bool once) {
        *plan = (PullPlan){
                .pulls = pulls,
                .configured = max_messages,
                .interval = interval,
                .once = once,
                .max_messages = max_messages,
                .backlog = once, /* it runs because something may wait */
                .failure = { .initial = 1 * USEC_PER_SEC, .max = 60 * USEC_PER_SEC },
                .quick = { .initial = 200 * USEC_PER_MSEC, .max = 5 * USEC_PER_SEC },
        };
}

static unsigned at_most(unsigned a, size_t b) {
        return a < b ? a : (unsigned) b;
}

unsigned pull_plan_due(const PullPlan *plan, const PullLoad *load, usec_t now) {
        unsigned together = plan->backlog && plan->failure.attempt == 0 ? plan->pulls : 1;
        unsigned taken = load->in_flight + load->unsettled;
        size_t bytes = load->bytes + load->in_flight * load->expected;
        unsigned due;

        if (!load->ready || now < plan->not_before)
                return 0;
        if (bytes >= PULL_PLAN_BYTES_MAX || load->acking >= PULL_PLAN_ACKING_MAX)
                return 0;
        if (plan->once && plan->empties >= PULL_PLAN_ONCE_EMPTIES)
                return 0;
        if (taken >= plan->pulls || load->in_flight >= together)
                return 0;
        due = at_most(plan->pulls - taken, together - load->in_flight);
        if (load->expected > 0)
                due = at_most(due, (PULL_PLAN_BYTES_MAX - bytes) / load->expected);
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
        backoff_reset(&plan->failure);
        if (n == 0)
                return answered_empty(plan, waited, now, random);
        backoff_reset(&plan->quick);
        plan->empties = 0;
        plan->not_before = 0;
        if (n >= (plan->max_messages + 1) / 2 || waited < PULL_PLAN_BACKLOG_USEC)
                plan->backlog = true;
        else if (waited >= PULL_PLAN_HUNG_USEC)
                plan->backlog = plan->once;
        grow(plan);
}

void pull_plan_failed(PullPlan *plan, usec_t retry_after, usec_t now, uint64_t random) {
        usec_t at;

        if (plan->failure.attempt > 0 &&
                now < plan->not_before) { /* pulls that were out together fail together: that is one failure */
                at = now + retry_after;
                if (plan->not_before < at)
                        plan->not_before = at;
                return;
        }
        plan->not_before = now + backoff_next_at_least(&plan->failure, retry_after, random);
}

bool pull_plan_too_large(PullPlan *plan) {
        plan->good = 0;
        if (plan->max_messages <= 1)
                return false;
        plan->max_messages /= 2;
        return true;
}
