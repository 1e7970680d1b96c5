/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The pulls of one subscription: a plan starts them, their answers are sorted, and messages are passed on as batches. A
 * pull ends early only by its own timeout or at the end of the stop: otherwise the service would give the next messages
 * to the dead request. */

#include "config.h"
#include "lib/backoff.h"
#include "subscribe/batch.h"
#include "subscribe/subscription.h"

/* ---- the plan ---- */

/* When to pull, how many pulls at once, and how many messages each may bring; pure.
 *
 * A pull waits in the service ("hangs") until there is a message, so one is enough while the queue is empty. A reply
 * that came at once, or was half full, means that more messages wait (even then a reply may hold few): up to `pulls`
 * pulls follow, while there is room for replies as large as the last one. After a failure only one pull runs. */

#define PULL_PLAN_BYTES_MAX (48 * 1024 * 1024)       /* of replies that are held or expected: with more, no pull */
#define PULL_PLAN_ACKING_MAX 16                      /* batches being acknowledged: with more, no pull */
#define PULL_PLAN_BACKLOG_USEC (250 * USEC_PER_MSEC) /* messages of a reply that came sooner had been waiting */
/* messages of a reply that came later had not; between the two, the network may be slow */
#define PULL_PLAN_HUNG_USEC (2 * USEC_PER_SEC)
/* an empty reply that came sooner did not hang: wait before the next pull */
#define PULL_PLAN_QUICK_USEC (1 * USEC_PER_SEC)
#define PULL_PLAN_ONCE_PAUSE_USEC (300 * USEC_PER_MSEC) /* after an empty answer of `once` */
/* in a row: one answer may be empty, or have only what came since, although messages wait */
#define PULL_PLAN_ONCE_EMPTIES 3
#define PULL_PLAN_ONCE_USEC USEC_PER_MINUTE     /* then `once` leaves what is published while it runs */
#define PULL_PLAN_GROW_AFTER 16                 /* good replies before max_messages grows again */
#define PULL_PLAN_IDLE_USEC (30 * USEC_PER_SEC) /* a pull that hung so long may be cut without a fault */

typedef struct PullPlan {
        unsigned pulls;      /* of the config */
        unsigned configured; /* max_messages of the config */
        usec_t interval;
        bool once;
        unsigned max_messages; /* of the next pull: less than configured after a reply that was too large */
        bool backlog;
        bool asks;         /* the last pull was cut while it hung: the next one does not hang, to test the way */
        unsigned empties;  /* empty replies in a row */
        usec_t begun;      /* clock_now() of the first reply with messages; 0: none yet */
        unsigned fresh;    /* replies in a row, but for empty ones, that had only what `once` leaves */
        unsigned good;     /* replies with messages since max_messages changed */
        usec_t not_before; /* clock_now() before which no pull starts; 0: any time */
        Backoff failure, quick;
} PullPlan;

/* The present load. */
typedef struct PullLoad {
        bool welcome;       /* the sink takes batches */
        unsigned in_flight; /* pulls */
        unsigned unsettled; /* batches waiting or being written */
        unsigned acking;    /* batches being acknowledged */
        size_t bytes;       /* of all batches */
        size_t expected;    /* bytes that one more pull may bring, as many as the last one did; 0: unknown */
} PullLoad;

/* Begins a plan with the settings of the configuration; *once* is for the verb `once`. */
void pull_plan_init(PullPlan *plan, unsigned pulls, unsigned max_messages, usec_t interval, bool once);

/* Whether `once` has found the queue empty, or as good as that: it has only what came since. */
static inline bool pull_plan_is_over(const PullPlan *plan) {
        return plan->once && (plan->fresh >= PULL_PLAN_ONCE_EMPTIES || plan->empties >= PULL_PLAN_ONCE_EMPTIES);
}
/* Returns how many pulls to start now. */
unsigned pull_plan_due(const PullPlan *plan, const PullLoad *load, usec_t now);

/* A pull was answered after *waited* with *n* messages. */
void pull_plan_answered(PullPlan *plan, size_t n, usec_t waited, usec_t now, uint64_t random);
/* The oldest message of a reply was published *age* ago: `once` ends although publishers never pause. */
void pull_plan_saw(PullPlan *plan, usec_t age, usec_t now);
/* A pull failed; *retry_after* is what the service asked for, or 0. */
void pull_plan_failed(PullPlan *plan, usec_t retry_after, usec_t now, uint64_t random);
/* Call this before pull_plan_failed(). *waited* is > 0 for a pull that was cut or had a passing error: a proxy, or the
 * service itself, may cut a pull that *hung* for long. Returns true when the failure need not be reported yet. */
bool pull_plan_cut(PullPlan *plan, bool hung, usec_t waited);
/* A reply was over the cap, or too slow to arrive completely: halves max_messages. Returns false when that was 1. */
bool pull_plan_too_large(PullPlan *plan);

/* ---- pulls ---- */

#define PULLS_MAX 16 /* the config's range */
/* the service answers an empty pull after about 90 s; a pull aborted before that may take messages with it */
#define PULLS_TIMEOUT_USEC (120 * USEC_PER_SEC)
#define PULLS_REPLY_MAX (32 * 1024 * 1024)
/* one answer may be late because of a token, a handshake or a slow network while messages wait, but not two in a row */
#define PULLS_HUNG_ENOUGH 2

typedef struct Pulls Pulls;

typedef struct PullsOptions {
        const SubscriptionConfig *config;
        Subscription *subscription; /* pulls from it, and tells it of failures */
        bool once;
        int (*on_batch)(void *userdata, Batch *batch); /* takes *batch* on success */
        void (*on_answer)(void *userdata);             /* called last for each answer */
        void *userdata;
} PullsOptions;

typedef struct PullsStatus {
        unsigned in_flight, failures; /* failures in a row */
        bool unmendable;              /* the last pull failed, and waiting does not help */
        bool hung;   /* the last PULLS_HUNG_ENOUGH answers came after a wait: no more messages are there */
        bool left;   /* to Pub/Sub: elements that were not understood, or what was in a reply that was not taken */
        usec_t last; /* clock_wall(); 0: none yet */
        uint64_t received, pulls, empties;
        const PullPlan *plan;
} PullsStatus;

/* Borrows what *options* points to. */
int pulls_new(const PullsOptions *options, Pulls **ret);
/* As pulls_drop(). */
Pulls *pulls_free(Pulls *pulls);

/* Starts the pulls that are due. `in_flight` and `expected` of *load* are filled in here. */
void pulls_start(Pulls *pulls, PullLoad load, usec_t now);
/* Starts a pull now. *scout*: number of messages of a scout; 0: it is none. */
void pulls_add(Pulls *pulls, unsigned scout, usec_t now);
/* From now on answers only give messages back, and failures are not reported. */
void pulls_stop(Pulls *pulls);
/* Drops the pulls in flight. */
void pulls_drop(Pulls *pulls);
/* Results so far; borrowed. */
const PullsStatus *pulls_status(const Pulls *pulls);
