/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One received batch of messages, with the fate of each. A batch has one owner at a time: the subscriber, then the sink
 * (worker thread included), then the subscriber again. Who owns it may touch everything in it.
 *
 * Fate of a message:                                       Acknowledged?
 *      PENDING    not known to be stored                    no
 *      STORED     confirmed durable by the sink             yes
 *      DUPLICATE  the same document is durable already      yes
 *      REJECTED   raw bytes and reason are durable apart    yes
 *      FAILED     cannot be stored nor set apart now        no: stays unacknowledged, comes back after its deadline
 * Moves: PENDING -> any other; nothing leaves STORED, DUPLICATE, REJECTED. FAILED -> PENDING when it is tried again.
 * delivery_set_fate() aborts on any other. */

#include "lib/bytes.h"
#include "lib/clock.h"
#include "pubsub/wire.h"

typedef enum Fate { FATE_PENDING, FATE_STORED, FATE_DUPLICATE, FATE_REJECTED, FATE_FAILED } Fate;

typedef struct Batch {
        const char *subscription; /* full name; borrowed, outlives the batch */
        Bytes body;               /* the reply that every slice points into */
        WirePull pull;
        Fate *fates;           /* one for each message */
        uint8_t *refusals;     /* for each message, how often the sink's remote refused it; the sink's */
        usec_t received;       /* clock_now() */
        usec_t oldest_publish; /* wall time of the oldest publish_time in it; 0: unknown */
        void *lease;           /* the subscriber's; not for sinks */
} Batch;

/* Takes *body* (emptied) when it succeeds, parses it in place. -EBADMSG as wire_get_pull(). */
int batch_new(const char *subscription, Bytes *body, usec_t received, Batch **ret);
Batch *batch_free(Batch *batch);
CLEANUP_DEFINE(Batch, batch_free)

void delivery_set_fate(Batch *batch, size_t index, Fate fate);
/* STORED, DUPLICATE or REJECTED: to be acknowledged, and nothing else is (P3). */
bool fate_is_settled(Fate fate);
const char *fate_name(Fate fate);
size_t batch_count(const Batch *batch, Fate fate);
