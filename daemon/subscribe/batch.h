/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One received batch of messages, with the fate of each. A batch has one owner at a time: the subscriber, then the sink
 * (worker thread included), then the subscriber again. The owner may change fates and suspicions; the rest stays as it
 * was made.
 *
 * Fate of a message in this batch:                                    Acknowledged?
 *      PENDING    not known to be stored                               no
 *      STORED     confirmed durable by the sink                        yes
 *      DUPLICATE  the same document is durable already                 yes
 *      REJECTED   raw bytes and reason are durable apart               yes
 *      UNKEPT     can neither be stored nor set apart now              no
 *      SUSPECT    refused, while its remote accepts others             no
 *      MOVED      its fate is decided in aside.h or another batch      no, not here
 * Moves: PENDING -> any other; UNKEPT, SUSPECT -> MOVED; nothing leaves STORED, DUPLICATE, REJECTED. Any
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
        FATE_UNKEPT,
        FATE_SUSPECT,
        FATE_MOVED
} Fate;

typedef struct Batch {
        Bytes body; /* every slice points into it */
        WirePull pull;
        Fate *fates;           /* one for each message */
        Suspicion *suspicions; /* one for each message */
        usec_t received;       /* clock_now(); of the oldest message in it */
        usec_t oldest_publish; /* wall time of the oldest publish_time in it; 0: unknown */
        bool aside;            /* it holds messages of aside.h; each is tried alone */
        bool scout;            /* pulled to see whether the remote accepts anything: one message, or some */
        bool orphan;           /* the sink's own copy of messages that it let go: no subscriber waits for it */
        struct Held *held;     /* of the subscriber (held.h); not for sinks */
} Batch;

/* Parses *body* in place, and takes it (it is then empty) on success. -EBADMSG as wire_get_pull(). */
int batch_new(Bytes *body, usec_t received, Batch **ret);
/* Frees the messages with it. */
Batch *batch_free(Batch *batch);
CLEANUP_DEFINE(Batch, batch_free)

typedef struct BatchPick {
        const Batch *batch;
        size_t index;
} BatchPick;

/* Makes a batch of copies of *n* > 0 messages from other batches of the same subscription, with their suspicions. All
 * are PENDING. -ENOMEM. */
int batch_gather(const BatchPick *picks, size_t n, Batch **ret);

/* Moves one message to *fate*, which the table of moves allows. */
void batch_set_fate(Batch *batch, size_t index, Fate fate);
/* How many messages have this fate. */
size_t batch_count(const Batch *batch, Fate fate);
/* Whether some PENDING messages were refused, and blame_refused() returned OUTAGE for them. */
bool batch_meets_outage(const Batch *batch);
/* Whether the remote has not answered for a PENDING message yet: a type may end a write after some refusals. */
bool batch_is_untried(const Batch *batch, size_t index);
bool batch_has_untried(const Batch *batch);
/* Whether the fate is STORED, DUPLICATE or REJECTED. Only such messages are acknowledged (P3). */
bool batch_is_settled(const Batch *batch, size_t index);
/* Returns the bytes of all texts of one message. */
size_t batch_message_size(const Batch *batch, size_t index);
