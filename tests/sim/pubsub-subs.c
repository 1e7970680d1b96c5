/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions: with exactly-once delivery or without, with a dead-letter policy, a retention; deleted, and made
 * again. And what of that the daemon has to answer for: no attempt is spent without a reason. */
#include "ledger.h"
#include "plan.h"
#include "pubsub-internal.h"

#define HOUR_SOME (2 * USEC_PER_HOUR)
#define RETENTION_USUAL (7 * 24 * USEC_PER_HOUR)
#define ACK_TROUBLE (3 * USEC_PER_MINUTE)    /* a request that went wrong may be felt for so long */
#define TOKEN_TROUBLE (15 * USEC_PER_MINUTE) /* likewise, with the wait that was asked for */
#define RETIRED_MAX (3 * USEC_PER_HOUR)      /* a stage that was replaced may hold a batch for as long as max_hold */
#define NEAR_SAID (10 * USEC_PER_MINUTE)
#define MISSING_HEARD (100 * USEC_PER_MSEC)   /* from hearing that a subscription is missing to publishing nothing */
#define MISSING_NOTICED (5 * USEC_PER_MINUTE) /* where nothing went wrong */

/* ---- coming and going ---- */

void subs_gone(Sub *sub, Holding *h, const char *why) {
        if (h->acknowledged)
                return;
        h->acknowledged = h->gone = true;
        sub->n_open--;
        world_count(why);
        world_trace("message %" PRIu64 " of subscription %u: %s", h->message->id, sub->number, why);
        ledger_gone(sub->number, h->message->serial);
}

static void make_again(Sub *sub) {
        if (!sub->deleted)
                return;
        world_trace("subscription %u is there again", sub->number);
        sub->deleted = false;
        sub->told = 0;
}

static void on_made(void *subject, uint64_t number) {
        make_again(subject);
}

/* *number*: the mean time between two. */
static void on_deleted(void *subject, uint64_t number) {
        Sub *sub = subject;

        world_in(number / 10 + draw_below(&world->chance, 2 * number), on_deleted, sub, number, 0);
        if (sub->deleted || !weather_may("a subscription is deleted"))
                return;
        world_trace("subscription %u is deleted", sub->number);
        world_count("subscription deleted");
        for (size_t i = sub->first; i < sub->n; i++)
                subs_gone(sub, &sub->holdings[i], "message deleted");
        sub->deleted = true;
        sub->deleted_at = world->now;
        pubsub_answer_deleted(sub);
        world_in(draw_skewed(&world->chance, HOUR_SOME), on_made, sub, 0, 0);
}

void subs_calm(Sub *sub) {
        make_again(sub);
}

/* ---- messages that come near the retention ---- */

void subs_near(Sub *sub) {
        if (sub->retention == RETENTION_USUAL)
                world_fail("messages of subscription %u are said to be near their end, which is %d days away",
                        sub->number, (int) (RETENTION_USUAL / (24 * USEC_PER_HOUR)));
        world_count("retention near");
        sub->near = world->life;
}

/* Ages are counted by the wall clock, and the machine looks at them while it is awake. */
static bool now_is_odd(void) {
        return world->skew < 0 || world->now < plan_clock_set() + NEAR_SAID || world->now < world->woke + NEAR_SAID;
}

/* The daemon has had it for a while, knows how old it is and what the subscription keeps, and could not store it. */
static bool is_near(const Sub *sub, const Holding *h) {
        usec_t now = world->now;

        return !h->acknowledged && h->held == world->life && h->given > 0 && now > h->given + NEAR_SAID &&
               h->lease > now && now > h->message->at + sub->retention / 2 + NEAR_SAID &&
               !ledger_is_stored(sub->number, h->message->serial);
}

static void on_near(void *subject, uint64_t number) {
        const Sub *sub = subject;

        world_in(NEAR_SAID, on_near, subject, 0, 0);
        if (world->life == 0 || world->stopped_at > 0 || sub->looked != world->life || sub->near == world->life ||
                sub->looked_at < plan_reloaded() || now_is_odd() || sub->deleted)
                return;
        for (size_t i = sub->first; i < sub->n; i++)
                if (is_near(sub, &sub->holdings[i]))
                        world_fail("message %" PRIu64 " of subscription %u is %" PRIu64 " min old, %" PRIu64
                                   " min are kept, and nothing is said",
                                sub->holdings[i].message->id, sub->number,
                                (world->now - sub->holdings[i].message->at) / USEC_PER_MINUTE,
                                sub->retention / USEC_PER_MINUTE);
}

void subs_draw(Sub *sub) {
        Draw d = draw_split(&world->chance, 's');

        sub->retention = RETENTION_USUAL;
        if (world->home)
                return;
        sub->exactly_once = draw_below(&d, 3) == 0;
        sub->max_attempts = draw_below(&d, 3) == 0 ? 5 + (unsigned) draw_skewed(&d, 20) : 0;
        if (draw_below(&d, 8) == 0)
                sub->retention = USEC_PER_HOUR + draw_below(&d, 5 * USEC_PER_HOUR);
        if (sub->retention < RETENTION_USUAL)
                world_in(NEAR_SAID, on_near, sub, 0, 0);
        if (draw_below(&d, 6) == 0)
                world_in(draw_below(&d, 12 * USEC_PER_HOUR), on_deleted, sub, 12 * USEC_PER_HOUR, 0);
}

bool subs_ends(Sub *sub, Holding *h) {
        if (world->now > h->message->at + sub->retention)
                return subs_gone(sub, h, "message too old"), true;
        if (sub->max_attempts == 0 || h->deliveries < sub->max_attempts)
                return false;
        subs_again(sub, h);
        return subs_gone(sub, h, "dead letter"), true;
}

/* ---- attempts ---- */

/* The daemon that has it lives, and nothing kept it from doing what it should. */
static bool is_without_excuse(const Sub *sub, usec_t since) {
        return world->life > 0 && world->stopped_at == 0 && since > sub->troubled + ACK_TROUBLE &&
               since > world->pubsub->token_troubled + TOKEN_TROUBLE && since > world->woke &&
               world->now > plan_reloaded() + RETIRED_MAX;
}

static bool is_on_time(const Sub *sub, usec_t since) {
        return sub->troubled < since && world->pubsub->token_troubled < since && world->woke < since;
}

void subs_again(const Sub *sub, const Holding *h) {
        if (h->given == 0 || h->held != world->life || !is_without_excuse(sub, h->given) ||
                !is_on_time(sub, h->given) || sub->deleted)
                return;
        if (h->failed > 0)
                world_fail("an acknowledgement of message %" PRIu64 " failed for a moment and was not tried again",
                        h->message->id);
        if (world->now < h->given + plan_hold_min())
                world_fail("message %" PRIu64 " of subscription %u comes again, %" PRIu64
                           " s after the daemon had it, and nothing went wrong",
                        h->message->id, sub->number, (world->now - h->given) / USEC_PER_SEC);
}

void subs_given_back(const Sub *sub, const Exchange *x) {
        if (x->life == world->life && world->stopped_at == 0 && world->now > plan_reloaded() + RETIRED_MAX)
                world_fail("messages of subscription %u are given back by a daemon that goes on", sub->number);
}

/* ---- a subscription that is missing ---- */

void subs_check_publish(void) {
        for (unsigned i = 0; i < world->pubsub->n_subs; i++) {
                const Sub *sub = &world->pubsub->subs[i];
                usec_t quiet = world->disturbed > world->woke ? world->disturbed : world->woke;

                if (!sub->deleted)
                        continue;
                if (sub->told == world->life &&
                        sub->told_at > plan_reloaded() && /* a reload asks anew, and may be refused */
                        world->now > sub->told_at + MISSING_HEARD)
                        world_fail("a publish, %" PRIu64 " s after the daemon heard that subscription %u is missing",
                                (world->now - sub->told_at) / USEC_PER_SEC, i);
                if (world->now > sub->deleted_at + MISSING_NOTICED && world->now > quiet + MISSING_NOTICED &&
                        world->now > plan_started() + MISSING_NOTICED)
                        world_fail("a publish, %" PRIu64 " s after subscription %u was deleted, and nothing went wrong",
                                (world->now - sub->deleted_at) / USEC_PER_SEC, i);
        }
}
