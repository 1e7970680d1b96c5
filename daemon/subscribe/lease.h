/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* The lease of one batch: as long as it lives, the service delivers its messages to nobody else. Renewed at half the deadline, which leaves
 * the other half for a slow network and for more tries; after max_hold it is let go for good.
 *
 *      resting --half of the deadline--> renewing --granted--> resting
 *         ^                                 |
 *         +---- failed: soon again ---------+          any --max_hold--> lapsed
 *
 * The batch may belong to the sink's thread meanwhile. The lease never touches it: it has its own list of ack ids, whose text is in
 * batch->body, which a sink never changes (sinks only set fates). */
/* clang-format on */

#include "lib/loop.h"
#include "subscribe/ack.h"

/* of one renewal; else a quarter of the deadline, so that two more tries fit before the lease lapses */
#define LEASE_TIMEOUT_MIN_USEC (5 * USEC_PER_SEC)
#define LEASE_ENDLESS_USEC (USEC_INFINITY / 4)  /* as max_hold: none */
#define LEASE_RETRY_MIN_USEC (1 * USEC_PER_SEC) /* between tries: at most 60 a minute for a batch, whatever fails */

/* Of the subscription; may change while leases live. */
typedef struct LeaseRules {
        usec_t deadline;
        usec_t max_hold;
} LeaseRules;

typedef enum LeaseStep { LEASE_REST, LEASE_RENEW, LEASE_LAPSE } LeaseStep;

/* clock_now() of what became of a lease so far. */
typedef struct LeaseTimes {
        usec_t received; /* when the batch came */
        usec_t granted;  /* when the last grant was asked for */
        usec_t retry_at; /* the next try after a failed one, else 0 */
        usec_t span;     /* for how long it was; 0: the deadline, which may have been another one then */
} LeaseTimes;

/* What to do with a lease at *now*; pure. *ret_at* gets the time to ask again after LEASE_REST. */
LeaseStep lease_step(const LeaseRules *rules, const LeaseTimes *times, usec_t now, usec_t *ret_at);

typedef struct Lease Lease;

typedef struct LeaseCallbacks {
        void (*on_lapsed)(void *userdata); /* max_hold is over; once. The lease may be freed in it */
        void (*on_result)(void *userdata,
                const AckResult *result); /* of a renewal, for who tells the user. The lease must not be freed in it */
        void *userdata;
} LeaseCallbacks;

typedef struct LeaseSpec {
        Client *client;           /* borrowed */
        const char *subscription; /* borrowed */
        const LeaseRules *rules;  /* borrowed */
        const Slice *ids;         /* copied; their text is borrowed */
        size_t n;
        usec_t received; /* clock_now(): max_hold counts from here */
        usec_t granted;  /* clock_now(): when the messages came, or were renewed last; 0: to be renewed at once */
        LeaseCallbacks callbacks;
} LeaseSpec;

/* Begins to renew, from the loop. -ENOMEM. */
int lease_new(Loop *loop, const LeaseSpec *spec, Lease **ret);
Lease *lease_free(Lease *lease);
CLEANUP_DEFINE(Lease, lease_free)

/* These ids from now on, some of them new, which have half a deadline left: renewed soon. -ENOMEM: it goes on with
 * those before. */
int lease_set(Lease *lease, const Slice *ids, size_t n);
/* Only these ids from now on, a part of those before. */
void lease_narrow(Lease *lease, const Slice *ids, size_t n);
/* Whether the messages are still ours at *now*, as far as can be known here: when max_hold is over, until the last
 * grant ends. */
bool lease_is_live(const Lease *lease, usec_t now);
