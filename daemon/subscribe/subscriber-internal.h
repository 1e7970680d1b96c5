/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What subscriber.c (life, sink, acknowledgements, status) and subscriber-pull.c (pulls) share; for these two only. */

#include "subscribe/health.h"
#include "subscribe/held.h"
#include "subscribe/pull-plan.h"
#include "subscribe/subscriber.h"
#include "subscribe/watch.h"

#define SUBSCRIBER_PULLS_MAX 16                                               /* the config's range */
#define SUBSCRIBER_HELD_MAX (SUBSCRIBER_PULLS_MAX * 2 + PULL_PLAN_ACKING_MAX) /* the plan stops well before */
/* a pull that hung for so long may be cut without that being trouble */
#define SUBSCRIBER_IDLE_CUT_USEC (30 * USEC_PER_SEC)
/* a sink that was busy although ready is offered the batch again */
#define SUBSCRIBER_BUSY_RETRY_USEC (100 * USEC_PER_MSEC)
/* for the sink to become ready: two tries to find a server */
#define SUBSCRIBER_ONCE_PATIENCE_USEC (10 * USEC_PER_SEC)
/* for pulls to bring what the stop released: a round trip, and a busy machine */
#define SUBSCRIBER_LINGER_USEC (1 * USEC_PER_SEC)
#define SUBSCRIBER_ONCE_FAILURES 3 /* of pulls in a row */

typedef struct Pull {
        Subscriber *subscriber;
        ClientCall *call; /* NULL: this slot is free */
        usec_t started;
} Pull;

struct Subscriber {
        sd_event *event;
        Client *client;
        const SubscriptionConfig *config;
        usec_t pull_timeout;
        bool once, begun, stopping, closing;
        void (*on_change)(void *userdata);
        void *userdata;
        sd_event_source *change; /* on_change comes from here: never from inside a call into this module */
        sd_event_source *timer;  /* the next look */

        SinkCallbacks callbacks;
        Sink *sink;
        bool ready;                       /* as last seen */
        usec_t paused_at, paused_at_wall; /* since when not ready: clock_now(), clock_wall() */

        PullPlan plan;
        Pull pulls[SUBSCRIBER_PULLS_MAX];
        unsigned in_flight, failures; /* failed pulls in a row */
        size_t reply_bytes;           /* of the last reply with messages */
        bool unmendable;              /* the last pull failed in a way that waiting does not mend */
        bool said_too_large, said_skipped;

        HeldHost host;
        Held *held[SUBSCRIBER_HELD_MAX]; /* oldest first */
        size_t n_held;
        bool left;          /* something was left to the queue */
        usec_t released_at; /* stopping: when a batch was last given back; 0: none was */

        Watch *watch;
        Health health;
        usec_t last_pull, last_ack;
        uint64_t received, acknowledged, n_pulls, empty_pulls;
};

/* Does what can be done now: hands over, pulls, sets the timer. */
void subscriber_look(Subscriber *s);
/* Announces a change of status. */
void subscriber_changed(Subscriber *s);

/* Starts the pulls that are due. */
void subscriber_pull(Subscriber *s, usec_t now);
void subscriber_drop_pulls(Subscriber *s);
/* Stopping: gives back what waits, and ends the pulls when nothing more is to be given back. */
void subscriber_wind_up(Subscriber *s);
