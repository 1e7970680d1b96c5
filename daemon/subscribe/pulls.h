/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The pulls of one subscription: started as pull-plan.c says, their answers sorted, messages handed on as batches. A
 * pull is never aborted but by its own timeout or at the end of the stop: the service would hand the next messages to
 * the dead request. */

#include "config.h"
#include "pubsub/client.h"
#include "subscribe/batch.h"
#include "subscribe/pull-plan.h"
#include "subscribe/subscription.h"

#define PULLS_MAX 16 /* the config's range */

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
        bool empty;                   /* once: the queue is */
        bool skipped;                 /* something was not understood, and left to the queue */
        usec_t not_before;            /* clock_now() before which none starts */
        usec_t last;                  /* clock_wall(); 0: none yet */
        usec_t emptied;               /* clock_wall() of the last answer without messages; 0: none yet */
        uint64_t received, pulls, empties;
} PullsStatus;

/* All of *options* is borrowed. */
int pulls_new(const PullsOptions *options, Pulls **ret);
/* As pulls_drop(). */
Pulls *pulls_free(Pulls *pulls);
CLEANUP_DEFINE(Pulls, pulls_free)

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
