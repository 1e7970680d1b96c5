/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One received batch of messages, with the fate of each. A batch has one owner at a time: the subscriber, then the sink
 * (worker thread included), then the subscriber again. Who owns it may touch everything in it.
 *
 * Fate of a message:                                                  Acknowledged?
 *      PENDING    not known to be stored                               no
 *      STORED     confirmed durable by the sink                        yes
 *      DUPLICATE  the same document is durable already                 yes
 *      REJECTED   raw bytes and reason are durable apart               yes
 *      FAILED     cannot be stored nor set apart now                   no
 *      SUSPECT    refused, while its remote accepts others             no
 *      ASIDE      taken out of the batch: see subscribe/aside.h        no, not here
 * Moves: PENDING -> any other; FAILED, SUSPECT -> ASIDE; nothing leaves STORED, DUPLICATE, REJECTED. Any
 * other aborts. */

#include "lib/bytes.h"
#include "lib/clock.h"
#include "pubsub/wire.h"
#include "subscribe/blame.h"

typedef enum Fate {
        FATE_PENDING,
        FATE_STORED,
        FATE_DUPLICATE,
        FATE_REJECTED,
        FATE_FAILED,
        FATE_SUSPECT,
        FATE_ASIDE
} Fate;

typedef struct Batch {
        Bytes body; /* what every slice points into */
        WirePull pull;
        Fate *fates;           /* one for each message */
        Suspicion *suspicions; /* one for each message */
        usec_t received;       /* clock_now(); of the oldest message in it */
        usec_t oldest_publish; /* wall time of the oldest publish_time in it; 0: unknown */
        bool aside;            /* messages that wait aside, for a try of each alone */
        bool scout;            /* pulled to see whether the remote accepts anything */
        bool orphan;           /* nobody waits for it: a sink's copy of what it let go */
        void *lease;           /* the subscriber's; not for sinks */
} Batch;

/* Takes *body* (emptied) when it succeeds, parses it in place. -EBADMSG as wire_get_pull(). */
int batch_new(Bytes *body, usec_t received, Batch **ret);
/* Frees the messages with it. */
Batch *batch_free(Batch *batch);
CLEANUP_DEFINE(Batch, batch_free)

typedef struct BatchPick {
        const Batch *batch;
        size_t index;
} BatchPick;

/* A batch of copies: *n* > 0 messages out of others of the same subscription, with what is held against each, all
 * PENDING. -ENOMEM. */
int batch_gather(const BatchPick *picks, size_t n, Batch **ret);

/* Moves one message to *fate*, which the table of moves allows. */
void batch_set_fate(Batch *batch, size_t index, Fate fate);
/* How many messages have this fate. */
size_t batch_count(const Batch *batch, Fate fate);
/* Some that are PENDING were refused, and blame_refused() kept them. */
bool batch_has_kept(const Batch *batch);
/* STORED, DUPLICATE or REJECTED: to be acknowledged, and nothing else is (P3). */
bool batch_is_settled(const Batch *batch, size_t index);
/* Bytes of the texts of one message. */
size_t batch_message_size(const Batch *batch, size_t index);
