/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One run of acknowledge or modifyAckDeadline over a list of ack ids, with a result for each id: split by the service's
 * limits, one request at a time; an exactly-once subscription's results are read per id; where a request is refused as
 * a whole it is halved, so that one bad id does not hold back the good ones. It does not try again: that is the owner's
 * decision. */

#include "lib/bytes.h"
#include "pubsub/client.h"
#include "pubsub/wire.h"

typedef struct Ack Ack;

#define ACK_FOREVER (-1)                            /* as *deadline_sec*: acknowledge */
#define ACK_RELEASE 0                               /* modifyAckDeadline 0: deliver again at once */
#define ACK_RELEASE_TIMEOUT_USEC (5 * USEC_PER_SEC) /* within the time that a stop may take */
#define ACK_REQUESTS_MAX 64 /* of one run: ids that are not settled by then are given up as WIRE_ACK_LOST */

typedef struct AckResult {
        const WireAckFate *fates; /* one for each id, in the order given; RETRY also for those that were not tried */
        size_t n;
        const ClientReply *reply; /* CLIENT_OK: every id was tried. Else what ended the run */
} AckResult;

typedef void (*AckDone)(void *userdata, const AckResult *result);

typedef struct AckSpec {
        Client *client;           /* borrowed */
        const char *subscription; /* borrowed */
        const Slice *ids;         /* copied; their text is borrowed until the end */
        size_t n;                 /* > 0 */
        int deadline_sec;         /* or ACK_FOREVER, ACK_RELEASE */
        usec_t timeout;           /* of each request */
        AckDone done;             /* called once from the loop, never from inside ack_start(); the run is gone then */
        void *userdata;
} AckSpec;

/* Begins the run. -ENOMEM, and the errnos of client_call(). */
int ack_start(const AckSpec *spec, Ack **ret);
/* Requests under way are dropped: they may have been carried out. */
Ack *ack_cancel(Ack *ack);
