/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* One batch from its arrival until nothing of it is to be done: its lease, its way through the sink, its acknowledgement.
 *
 *      waiting --handed to the sink--> writing --settled--> acking --confirmed, or given up--> done
 *        |  ^                           |   |                                                  ^ ^
 *        |  +-- tried in vain, or busy -+   +--stopping, nothing settled--> releasing ---------+ |
 *        |                                                                    ^  ^               |
 *        +--stopping----------------------------------------------------------+  |               |
 *        +--max_hold is over: memory freed, messages come back ------------------|---------------+
 *                                                                                |               |
 *      kept (suspects for which there is no room aside) --stopping---------------+               |
 *        +--room for all, or max_hold is over ---------------------------------------------------+
 *
 * What nobody needs to acknowledge, because all of it went aside, is done when the sink gives it back.
 *
 * Only ids of settled messages are acknowledged (P3). A failed acknowledgement is tried again while the lease lives, then
 * dropped: the messages come back and are found to be stored. Messages that were not settled are left to their deadline,
 * never nacked but at the stop. */
/* clang-format on */

#include "subscribe/ack.h"
#include "subscribe/batch.h"
#include "subscribe/lease.h"
#include "subscribe/sink.h"

typedef struct Held Held;

typedef enum HeldState { HELD_WAITING, HELD_KEPT, HELD_WRITING, HELD_ACKING, HELD_RELEASING, HELD_DONE } HeldState;

/* What all batches of a subscriber share; borrowed. */
typedef struct HeldHost {
        Loop *loop;
        Client *client;
        const char *subscription;
        LeaseRules rules;
        LeaseRules endless; /* without max_hold: of scouts whose deliveries are counted, and of what waits aside */
        bool stopping;
        void (*on_acknowledged)(void *userdata, size_t n);                /* confirmed just now */
        void (*on_ack_result)(void *userdata, const AckResult *result);   /* of one run of acknowledge */
        void (*on_lease_result)(void *userdata, const AckResult *result); /* of one renewal */
        /* messages left to the queue: not settled, *oldest* being their oldest publish time; or (0) not acknowledged */
        void (*on_left)(void *userdata, size_t n, usec_t oldest);
        void (*on_lapsed)(void *userdata, Batch *batch); /* max_hold is over, and the sink has the batch */
        void (*on_done)(void *userdata, Held *held);     /* the owner frees it, here or later */
        void *userdata;
} HeldHost;

/* Takes *batch* when it succeeds. *state*: WAITING; KEPT; or ACKING, for a batch that the sink is done with, and then
 * held_settled() is to follow. */
int held_new(const HeldHost *host, Batch *batch, HeldState state, Held **ret);
/* Drops what is under way. A batch that is in the sink stays the sink's. */
Held *held_free(Held *held);
CLEANUP_DEFINE(Held, held_free)

/* Where it is on its way. */
HeldState held_state(const Held *held);
/* Its batch, still its own; not to be looked into while WRITING. */
Batch *held_batch(const Held *held);
/* Whether the sink was given it in vain, since it was forgiven. */
bool held_was_refused(const Held *held);
/* The sink's remote accepts again: what it refused may be offered once more. */
void held_forgive(Held *held);
/* Messages in it; none once max_hold is over, though the sink may have them still. */
size_t held_count(const Held *held);
/* Bytes of the reply that it came in. */
size_t held_bytes(const Held *held);
/* Its oldest publish time, wall; 0: unknown. */
usec_t held_oldest(const Held *held);

/* Offers the batch to the sink: SINK_WRITE_STARTED, or SINK_WRITE_BUSY and it waits on. */
int held_write(Held *held, Sink *sink);
/* The sink gave the batch back. What is settled is acknowledged, what is PENDING, SUSPECT or FAILED left to the queue;
 * where nothing was settled and nothing is to be left, since it was tried in vain, it waits again. May end in on_done
 * at once. */
void held_settled(Held *held);
/* KEPT: only what is still SUSPECT is its own from now on. May end in on_done. */
void held_narrow(Held *held);
/* Gives a waiting batch back to the queue. */
void held_release(Held *held);
/* Logs that max_hold is over for *n* messages, of a batch or of what waits aside. */
void held_tell_lapsed(const char *subscription, size_t n, usec_t max_hold);
