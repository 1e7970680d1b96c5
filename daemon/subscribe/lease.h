/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* The lease of one batch: while it is live, the service delivers the messages to nobody else. It is renewed after half
 * of the deadline; the other half is for a slow network and more tries. After max_hold it is never renewed again.
 *
 *      resting --half of the deadline--> renewing --granted--> resting
 *         ^                                 |
 *         +---- failed: soon again ---------+          any --max_hold--> lapsed
 *
 * The sink's thread may own the batch meanwhile, so the lease never reads it. It has its own list of ack ids. Their
 * texts are in batch->body, which a sink never changes (sinks only set fates). */
/* clang-format on */

#include "lib/loop.h"
#include "subscribe/ack.h"

#define LEASE_ENDLESS_USEC (USEC_INFINITY / 4)  /* as *end*: max_hold is never over */
#define LEASE_RETRY_MIN_USEC (1 * USEC_PER_SEC) /* between tries: at most 60 tries a minute for a batch */

typedef enum LeaseStep { LEASE_REST, LEASE_RENEW, LEASE_LAPSE } LeaseStep;

/* The history of a lease, in clock_now(). */
typedef struct LeaseTimes {
        usec_t end;      /* max_hold is over */
        usec_t granted;  /* the last grant was requested */
        usec_t retry_at; /* next try after a failed one; 0: none failed */
        usec_t span;     /* length of the last grant; 0: the present deadline */
} LeaseTimes;

/* Returns what to do with a lease at *now*; pure. After LEASE_REST, *ret_at* is when to ask again. */
LeaseStep lease_step(usec_t deadline, const LeaseTimes *times, usec_t now, usec_t *ret_at);

typedef struct Lease Lease;

typedef struct LeaseSpec {
        Subscription *subscription; /* borrowed; it knows the deadline, and is told whether renewals succeed */
        const Slice *ids;           /* copied; their text is borrowed */
        size_t n;
        usec_t end;     /* clock_now() at which max_hold is over */
        usec_t granted; /* clock_now() when the messages came or were last renewed; 0: renew at once */
        void (*on_lapsed)(void *userdata); /* max_hold is over; called once. It may free the lease */
        void *userdata;
} LeaseSpec;

/* Starts a lease; renewals are sent from the loop. -ENOMEM. */
int lease_new(Loop *loop, const LeaseSpec *spec, Lease **ret);
Lease *lease_free(Lease *lease);
CLEANUP_DEFINE(Lease, lease_free)

/* Replaces the ids, before on_lapsed. Some of them may be new and have half a deadline left, so a renewal follows soon.
 * -ENOMEM: the old ids stay. */
int lease_set(Lease *lease, const Slice *ids, size_t n);
/* Replaces the ids by some of the present ones. A renewal under way still reads the texts of all. */
void lease_narrow(Lease *lease, const Slice *ids, size_t n);
/* Whether a renewal is under way. */
bool lease_is_renewing(const Lease *lease);
/* Whether the messages are still leased at *now*, that is, the last grant has not ended. That can be after max_hold. */
bool lease_is_live(const Lease *lease, usec_t now);
