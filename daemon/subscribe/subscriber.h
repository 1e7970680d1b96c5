/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Pulls messages of one subscription, holds their leases, gives them to the sink, and acknowledges only settled ones
 * (P3). Read next: pulls.h (how messages come), held.h (the life of a batch), sink.h (where it is stored), aside.h
 * (where refused messages wait).
 *
 * Pulls: none while the sink takes no batches; one hanging pull while the queue is empty; up to `pulls` (pulls in
 * flight plus batches not yet settled) while there is a backlog. When the remote refuses everything, or refused
 * messages keep all slots, single messages ("scouts") are pulled: the first at once, then one in each backoff.max.
 *
 * A batch:
 *      received -> waiting (for the sink) -> writing -> acknowledging -> done
 *            in each of these states: the lease is renewed at half the deadline, for at most max_hold, then let go
 *            (memory is freed, and the messages come back) */

#include "config.h"
#include "pubsub/client.h"
#include "subscribe/sink.h"
#include "subscribe/subscription.h"

typedef struct Subscriber Subscriber;

typedef struct SubscriberStatus {
        const char *subscription;
        Failure failure;            /* of pulls, acknowledgements and more; as in SubscriptionStatus */
        bool missing;               /* 404, or its topic was deleted, or it was detached */
        bool paused;                /* the sink is neither ready nor untried */
        usec_t paused_since;        /* clock_wall() */
        usec_t last_pull, last_ack; /* clock_wall(); 0: none yet */
        usec_t retry_at;            /* clock_now(); 0: none planned */
        usec_t oldest_unsettled;    /* wall: oldest publish_time that is not settled, lapsed leases included; 0: none */
        usec_t retention;           /* of the subscription; 0: it could not be read */
        bool emptied;               /* the queue was seen empty, with nothing else held, since the start */
        uint64_t received, acknowledged, pulls, empty_pulls;
        size_t held;         /* messages held and not settled, without those whose lease is over */
        size_t aside;        /* of those: refused while others are accepted; tried from time to time */
        size_t unkept;       /* of those: they can neither be stored nor set apart */
        usec_t unkept_since; /* wall: oldest publish_time of those; 0: none */
        SinkStatus sink;
} SubscriberStatus;

typedef struct SubscriberOptions {
        const SubscriptionConfig *config; /* borrowed */
        SinkMeans means;                  /* its secrets are concealed in all words of remotes */
        bool once; /* reads the subscription at once, but pulls only after subscriber_begin(), with returnImmediately,
                    * until three answers in a row are empty: then subscriber_is_drained() */
        const SinkType *sink_type; /* of config->sink */
        SinkTap tap;               /* as SinkCallbacks */
        /* The status changed; on_subscription(): perhaps that of the subscription at the service, too. They may only
         * take a note. */
        void (*on_change)(void *userdata), (*on_subscription)(void *userdata);
        void *userdata;
} SubscriberOptions;

/* Opens the sink; pulls begin from the loop when it is ready. -EBADMSG, logged: the sink's configuration is wrong. */
int subscriber_new(Client *client, const SubscriberOptions *options, Subscriber **ret);

/* The topic seems to be gone: reads the subscription at once. Its status is not `checked` until the answer. */
void subscriber_refresh(Subscriber *subscriber);

/* `once`: all that could be published was; drain the subscription now. */
void subscriber_begin(Subscriber *subscriber);

/* Stops: no new pull is started; batches that are not being written are released (modAck 0); a write in progress may
 * end, and its settled messages are acknowledged. Pulls in flight stay open until that is done, and LINGER_USEC longer
 * if anything was released; messages that they bring are released as well. The reason: the service may give released
 * messages to one of our pulls that hangs or was cut, where they would wait for the whole ack deadline. It has ended
 * when subscriber_is_stopped(); on_change tells. */
void subscriber_stop(Subscriber *subscriber);
bool subscriber_is_stopped(const Subscriber *subscriber);
/* Drops everything at once; leases run out by themselves. */
Subscriber *subscriber_free(Subscriber *subscriber);
CLEANUP_DEFINE(Subscriber, subscriber_free)

/* `once`: returns true when nothing is left to pull or held (*ret_complete* is true if all was stored), or when it
 * cannot go on, since the sink is down or pulls fail (*ret_complete* is false). */
bool subscriber_is_drained(const Subscriber *subscriber, bool *ret_complete);
void subscriber_status(const Subscriber *subscriber, SubscriberStatus *ret);
/* The part of the status that only concerns the subscription at the service. */
void subscriber_subscription(const Subscriber *subscriber, SubscriptionStatus *ret);
