/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* One batch from its arrival until nothing of it is to be done: its lease, its way through the sink, its acknowledgement.
 *
 *      waiting --handed to the sink--> writing --settled--> acking --confirmed, or given up--> done
 *        |  ^                             |                                                     ^
 *        |  +------- the sink is busy ----+--stopping, nothing settled--> releasing ------------+
 *        +--stopping----------------------------------------------------------^                 |
 *        +--max_hold is over: memory freed, messages come back ----------------------------------+
 *
 * Only ids of settled messages are acknowledged (P3). A failed acknowledgement is tried again while the lease lives, then dropped: the
 * messages come back and are found to be stored. Messages that were not settled are left to their deadline, never nacked but at the stop.
 */
/* clang-format on */

#include <systemd/sd-event.h>

#include "subscribe/ack.h"
#include "subscribe/delivery.h"
#include "subscribe/lease.h"
#include "subscribe/sink.h"

typedef struct Held Held;

typedef enum HeldState { HELD_WAITING, HELD_WRITING, HELD_ACKING, HELD_RELEASING, HELD_DONE } HeldState;

/* What all batches of a subscriber share; borrowed. */
typedef struct HeldHost {
        sd_event *event;
        Client *client;
        const char *subscription;
        LeaseRules rules;
        bool stopping;
        void (*on_acknowledged)(void *userdata, size_t n);                /* confirmed just now */
        void (*on_ack_result)(void *userdata, const AckResult *result);   /* of one run of acknowledge */
        void (*on_lease_result)(void *userdata, const AckResult *result); /* of one renewal */
        void (*on_left)(void *userdata, size_t n);   /* messages left to the queue: not settled, or not acknowledged */
        void (*on_done)(void *userdata, Held *held); /* the owner frees it, here or later */
        void *userdata;
} HeldHost;

/* Takes *batch* when it succeeds. */
int held_new(const HeldHost *host, Batch *batch, Held **ret);
/* Drops what is under way. A batch that is in the sink stays the sink's. */
Held *held_free(Held *held);
CLEANUP_DEFINE(Held, held_free)

HeldState held_state(const Held *held);
size_t held_count(
        const Held *held); /* messages in it; none once max_hold is over, though the sink may have them still */
size_t held_bytes(const Held *held);  /* of the reply */
usec_t held_oldest(const Held *held); /* oldest publish time, wall; 0: unknown */

/* Offers the batch to the sink: SINK_WRITE_STARTED, or SINK_WRITE_BUSY and it waits on. */
int held_write(Held *held, Sink *sink);
/* The sink gave the batch back. May end in on_done at once. */
void held_settled(Held *held);
/* Gives a waiting batch back to the queue. */
void held_release(Held *held);
