/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The pulls of one subscription: started as a plan says, their answers sorted, messages handed on as batches. A
 * pull is never aborted but by its own timeout or at the end of the stop: the service would hand the next messages to
 * the dead request. */

#include "config.h"
#include "lib/backoff.h"
#include "pubsub/client.h"
#include "subscribe/batch.h"
#include "subscribe/subscription.h"

/* ---- the plan ---- */

/* When to pull, how many at once, and how much each may bring; pure.
 *
 * A pull hangs in the service until a message is there, so one is enough while the queue is empty. A reply that came at
 * once, or was half full, means that more is waiting (a reply holds few messages even then): up to `pulls` follow, as
 * long as there is room for replies as large as the last one. After a failure one pull tries alone. */

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
#define PULL_PLAN_IDLE_USEC (30 * USEC_PER_SEC)         /* a pull that hung so long may be cut, and all be well */

typedef struct PullPlan {
        unsigned pulls;      /* of the config */
        unsigned configured; /* max_messages of the config */
        usec_t interval;
        bool once;
        unsigned max_messages; /* for the next pull: less than configured after a reply that was too large */
        bool backlog;
        bool asks;         /* the last pull was cut while it hung: the next one does not, and tells how things are */
        unsigned empties;  /* empty replies in a row */
        unsigned good;     /* replies with messages since max_messages changed */
        usec_t not_before; /* clock_now() before which no pull starts; 0: any time */
        Backoff failure, quick;
} PullPlan;

/* What is there already. */
typedef struct PullLoad {
        bool welcome;       /* the sink takes batches */
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
/* The same, of one that was cut, or answered with an error that passes: what is in between, or the service itself, may
 * not like a pull that *hung* for long. Before pull_plan_failed(). True: that is no trouble yet. */
bool pull_plan_cut(PullPlan *plan, bool hung, usec_t waited);
/* Its reply was over the cap, or too slow to come whole: max_messages is halved. False when it was one already. */
bool pull_plan_too_large(PullPlan *plan);

/* ---- pulls ---- */

#define PULLS_MAX 16 /* the config's range */
/* one answer may be late for a token, a handshake or a slow line, and more be waiting; not one after the other */
#define PULLS_HUNG_ENOUGH 2

typedef struct Pulls Pulls;

typedef struct PullsOptions {
        Client *client;
        const SubscriptionConfig *config;
        Subscription *subscription; /* told what fails */
        usec_t timeout;
        size_t max_reply;
        bool once;
        int (*on_batch)(void *userdata, Batch *batch); /* takes it when it succeeds */
        void (*on_answer)(void *userdata);             /* the last word of each answer */
        void *userdata;
} PullsOptions;

typedef struct PullsStatus {
        unsigned in_flight, failures; /* failed ones in a row */
        bool unmendable;              /* the last one failed in a way that waiting does not mend */
        bool idle;                    /* the last answer was without messages */
        bool hung;                    /* it had some, as the one before, and both had to wait: no more were there */
        bool empty;                   /* once: the queue is */
        bool skipped;                 /* something was not understood, and left to the queue */
        usec_t not_before;            /* clock_now() before which none starts */
        usec_t last;                  /* clock_wall(); 0: none yet */
        uint64_t received, pulls, empties;
} PullsStatus;

/* All of *options* is borrowed. */
int pulls_new(const PullsOptions *options, Pulls **ret);
/* As pulls_drop(). */
Pulls *pulls_free(Pulls *pulls);

/* Starts those that are due; *load* without what is in flight and expected. */
void pulls_start(Pulls *pulls, PullLoad load, usec_t now);
/* Starts one for a single message, unless one of any kind is in flight or none may start now. */
void pulls_scout(Pulls *pulls, usec_t now);
/* From now on failures are no news. */
void pulls_stop(Pulls *pulls);
/* Drops those in flight. */
void pulls_drop(Pulls *pulls);
/* What came of them so far. */
void pulls_status(const Pulls *pulls, PullsStatus *ret);
