/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* When to pull, how many at once, and how much each may bring; pure.
 *
 * A pull hangs in the service until a message is there, so one is enough while the queue is empty. A reply that came at
 * once, or was half full, means that more is waiting (a reply holds few messages even then): up to `pulls` follow, as
 * long as there is room for replies as large as the last one. After a failure one pull tries alone. */

#include "lib/backoff.h"

#define PULL_PLAN_BYTES_MAX (48 * 1024 * 1024)       /* of replies held and expected: beyond, no pull */
#define PULL_PLAN_ACKING_MAX 16                      /* batches being acknowledged: beyond, no pull */
#define PULL_PLAN_BACKLOG_USEC (250 * USEC_PER_MSEC) /* a reply with messages that came sooner had them waiting */
/* ... and one that came later did not; in between, a slow network tells nothing */
#define PULL_PLAN_HUNG_USEC (2 * USEC_PER_SEC)
/* an empty reply that came sooner did not hang: not to be repeated at once */
#define PULL_PLAN_QUICK_USEC (1 * USEC_PER_SEC)
#define PULL_PLAN_ONCE_PAUSE_USEC (300 * USEC_PER_MSEC) /* between the empty answers of `once` */
#define PULL_PLAN_ONCE_EMPTIES 3                        /* in a row: one may be empty although messages wait */
#define PULL_PLAN_GROW_AFTER 16                         /* good replies before max_messages grows again */

typedef struct PullPlan {
        unsigned pulls;      /* of the config */
        unsigned configured; /* max_messages of the config */
        usec_t interval;
        bool once;
        unsigned max_messages; /* for the next pull: less than configured after a reply that was too large */
        bool backlog;
        unsigned empties;  /* empty replies in a row */
        unsigned good;     /* replies with messages since max_messages changed */
        usec_t not_before; /* clock_now() before which no pull starts; 0: any time */
        Backoff failure, quick;
} PullPlan;

/* What is there already. */
typedef struct PullLoad {
        bool ready;         /* the sink takes batches */
        unsigned in_flight; /* pulls */
        unsigned unsettled; /* batches waiting or being written */
        unsigned acking;    /* batches being acknowledged */
        size_t bytes;       /* of all batches */
        size_t expected;    /* bytes that one more pull may bring: as many as the last one did; 0: not known */
} PullLoad;

/* As the config says; *once*: of the verb. */
void pull_plan_init(PullPlan *plan, unsigned pulls, unsigned max_messages, usec_t interval, bool once);

/* How many pulls to start now. */
unsigned pull_plan_due(const PullPlan *plan, const PullLoad *load, usec_t now);

/* A pull that had been out for *waited* brought *n* messages. */
void pull_plan_answered(PullPlan *plan, size_t n, usec_t waited, usec_t now, uint64_t random);
/* It failed; *retry_after*: the service's wish, or 0. */
void pull_plan_failed(PullPlan *plan, usec_t retry_after, usec_t now, uint64_t random);
/* Its reply was over the cap, or too slow to come whole: max_messages is halved. False when it was one already. */
bool pull_plan_too_large(PullPlan *plan);
