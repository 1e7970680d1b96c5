/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Pulls messages of one subscription, holds their leases, hands them to the sink, acknowledges what is settled and
 * nothing else (P3). Read next: pulls.h (how messages come), held.h (what becomes of a batch), sink.h (where it goes),
 * aside.h (where those wait that are refused).
 *
 * Pulls: none while the sink takes no batches; one hanging pull while the queue is empty; up to `pulls` (pulls in
 * flight plus batches not yet settled) under backlog. While the sink's remote refuses everything, or every slot is kept
 * by messages that it refuses, one message at a time as a scout, the first at once, then one in each backoff.max.
 *
 * A batch:
 *      received -> waiting (for the sink) -> writing -> acknowledging -> done
 *            every one of them: lease renewed at half the deadline, for at most max_hold, then let go (memory freed,
 * messages come back) */

#include "config.h"
#include "pubsub/client.h"
#include "secret.h"
#include "subscribe/sink.h"
#include "subscribe/subscription.h"

typedef struct Subscriber Subscriber;

/* the service answers an empty pull after about 90 s; aborting earlier steals messages */
#define SUBSCRIBER_PULL_TIMEOUT_USEC (120 * USEC_PER_SEC)
#define SUBSCRIBER_REPLY_MAX (32 * 1024 * 1024)
#define SUBSCRIBER_DEADLINE_UNKNOWN_SEC 10 /* the service's default, when the subscription may not be read */

typedef struct SubscriberStatus {
        const char *subscription;
        bool failing;         /* pulls or acknowledgements fail */
        bool checked;         /* the subscription was read once, or may not be read (403): `missing` means something */
        bool missing;         /* 404, or its topic was deleted, or it was detached */
        const char *topic;    /* that it stands on, or stood on when it was read last; "": not known */
        bool paused;          /* the sink is not ready, and not untried */
        usec_t failing_since; /* clock_wall() */
        usec_t paused_since;  /* clock_wall() */
        usec_t last_pull, last_ack; /* clock_wall(); 0: none yet */
        usec_t retry_at;            /* clock_now(); 0: none planned */
        usec_t oldest_unsettled; /* wall time of the oldest publish_time not settled, also of leases let go; 0: none */
        usec_t retention;        /* of the subscription; 0: it could not be read */
        bool emptied;            /* the queue was seen empty, with nothing else held, since the start */
        uint64_t received, acknowledged, pulls, empty_pulls;
        size_t held;         /* messages held, unsettled; without those whose lease was let go */
        size_t aside;        /* of those: refused while others are accepted, and tried now and then */
        size_t unkept;       /* of those: such that can neither be stored nor set apart */
        usec_t unkept_since; /* wall time of the oldest publish_time of those; 0: none */
        Cause cause;         /* of the failure */
        const char *detail;
        SinkStatus sink;
} SubscriberStatus;

typedef struct SubscriberOptions {
        const SubscriptionConfig *config; /* borrowed */
        SinkMeans means;                  /* what Pub/Sub or the sink says passes secrets_conceal() */
        bool once; /* reads the subscription at once, pulls from subscriber_begin() on: returnImmediately, until three
                    * empty answers in a row, then subscriber_is_drained() */
        const SinkType *sink_type; /* of config->sink */
        SinkTap tap;               /* as SinkCallbacks */
        /* Anything in the status changed; told from the loop, and never from inside a call. */
        void (*on_change)(void *userdata);
        void *userdata;
} SubscriberOptions;

/* Opens the sink; pulls begin from the loop, when that is ready. -EBADMSG, logged: the sink cannot be used as it is
 * configured. */
int subscriber_new(Client *client, const SubscriberOptions *options, Subscriber **ret);

/* The topic is gone, it seems: looks at the subscription at once. `checked` is false until the answer. */
void subscriber_look_again(Subscriber *subscriber);

/* once: everything was published that could be; drain now. */
void subscriber_begin(Subscriber *subscriber);

/* No new pull; batches not in a write are released (modAck 0); the write in progress may end, and what it settled is
 * acknowledged. Pulls in flight stay open until that is done and SUBSCRIBER_LINGER_USEC longer if anything was
 * released, and what they bring is released as well: the service hands what is released to a pull of ours that still
 * hangs, or that was cut, and there it would wait for the whole ack deadline. Ends when subscriber_is_stopped(), which
 * on_change announces. */
void subscriber_stop(Subscriber *subscriber);
bool subscriber_is_stopped(const Subscriber *subscriber);
/* Drops everything at once: leases lapse by themselves. */
Subscriber *subscriber_free(Subscriber *subscriber);
CLEANUP_DEFINE(Subscriber, subscriber_free)

/* once: nothing left to pull and nothing held, or cannot go on (sink down, pull failing): then *ret_complete is false.
 */
bool subscriber_is_drained(const Subscriber *subscriber, bool *ret_complete);
void subscriber_status(const Subscriber *subscriber, SubscriberStatus *ret);
/* Of that, what concerns the subscription at the service alone. */
void subscriber_subscription(const Subscriber *subscriber, SubscriptionStatus *ret);
