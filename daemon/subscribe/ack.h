/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One run of acknowledge or modifyAckDeadline over a list of ack ids, with a result for each id. The list is split by
 * the service's limits, and one request is sent at a time. An exactly-once subscription answers for each id. A request
 * that is refused as a whole is halved, so that one bad id does not stop the good ones. The owner decides whether to
 * try again. */

#include "lib/bytes.h"
#include "pubsub/wire.h"
#include "subscribe/subscription.h"

typedef struct Ack Ack;

#define ACK_FOREVER (-1)    /* as *deadline_sec*: acknowledge */
#define ACK_RELEASE 0       /* modifyAckDeadline 0: the service delivers again at once */
#define ACK_REQUESTS_MAX 64 /* of one run; ids without a result by then become WIRE_ACK_LOST */
/* Least time for the answer to a modifyAckDeadline; usually it is a quarter of the deadline, so that two more tries fit
 * before the end. Shorter than a stop may take, for ACK_RELEASE. */
#define ACK_TIMEOUT_MIN_USEC (5 * USEC_PER_SEC)

typedef struct AckResult {
        const WireAckOutcome *outcomes; /* one for each id, in the given order; RETRY also for ids that were not sent */
        size_t n;
        const ClientReply *reply; /* CLIENT_OK: every id has its result. Otherwise the reply that ended the run */
} AckResult;

typedef void (*AckDone)(void *userdata, const AckResult *result);

typedef struct AckSpec {
        Subscription *subscription; /* borrowed */
        const Slice *ids;           /* the array is copied; the texts are borrowed until the end */
        size_t n;                   /* > 0 */
        int deadline_sec;           /* or ACK_FOREVER, ACK_RELEASE */
        AckDone done; /* called once from the loop, never from inside ack_start(); must forget the handle: the run is
                         freed after it */
        void *userdata;
} AckSpec;

/* Begins a run. -ENOMEM, or the errors of client_call(). */
int ack_start(const AckSpec *spec, Ack **ret);
/* Tells the subscription whether the run succeeded, as far as its *cause* goes. */
void ack_report(const AckResult *result, Subscription *subscription, SubscriptionCause cause);
/* Drops a request under way, which may have been carried out. */
Ack *ack_cancel(Ack *ack);
