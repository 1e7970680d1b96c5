/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* One batch, from its arrival until nothing is left to do: its lease, its way through the sink, its acknowledgement.
 *
 *      WAITING --handed to the sink--> WRITING --settled--> ACKING --confirmed, or given up--> DONE
 *      WRITING --tried in vain, or the sink is busy--> WAITING
 *      WRITING --nothing is settled--> DONE        WRITING --the same while stopping--> RELEASING --answered--> DONE
 *      WAITING --stopping--> RELEASING             WAITING --max_hold is over: the messages come back--> DONE
 *      SUSPECT --stopping--> RELEASING             SUSPECT --room aside for all, or max_hold is over--> DONE
 *
 * SUSPECT: a batch of suspects for which there is no room aside.
 * When the sink gives a batch back and all its messages went aside, it is done: there is nothing to acknowledge.
 *
 * Only ids of settled messages are acknowledged (P3): a type says STORED when its remote has confirmed that the write
 * is durable; sink.c makes it a fate, in sink_set_fate(), and gives the batch back; held_settled() picks the ids by
 * these fates, and held_acknowledge() sends them. Nothing else acknowledges. A failed acknowledgement is tried again
 * while the lease is live, then given up: the messages come back and are found to be stored. Messages that were not
 * settled come back after their ack deadline; they are nacked only at the stop. */
/* clang-format on */

#include "subscribe/batch.h"
#include "subscribe/lease.h"
#include "subscribe/sink.h"

typedef struct Held Held;

/* The first three are not settled. */
typedef enum HeldState { HELD_WAITING, HELD_SUSPECT, HELD_WRITING, HELD_ACKING, HELD_RELEASING, HELD_DONE } HeldState;

/* Shared by all batches of a subscriber, which add to its figures; borrowed. */
typedef struct HeldHost {
        Loop *loop;
        Subscription *subscription;
        Sink *sink;
        usec_t max_hold;
        bool stopping;
        void (*on_change)(void *userdata);           /* something below has changed; may only take a note */
        void (*on_done)(void *userdata, Held *held); /* the owner frees *held*, in the callback or later */
        void *userdata;
        /* what became of the messages: */
        usec_t last_ack; /* clock_wall() */
        uint64_t acknowledged;
        bool left;          /* some were left to Pub/Sub, which delivers them again */
        usec_t oldest_left; /* publish time of the oldest of those that were not stored; 0: none */
        usec_t released_at; /* stopping: clock_now() when some were last given back; 0: none was */
} HeldHost;

/* Takes *batch* on success. *state* is WAITING, SUSPECT, or ACKING for a batch of aside.h of which the sink has settled
 * messages: then call held_begin_acks() next. */
int held_new(HeldHost *host, Batch *batch, HeldState state, Held **ret);
/* Drops requests under way. A batch that is in the sink stays the sink's. */
Held *held_free(Held *held);
CLEANUP_DEFINE(Held, held_free)

/* Its state. */
HeldState held_state(const Held *held);
/* Returns the batch, borrowed. Fates and suspicions must not be read while WRITING. */
Batch *held_batch(const Held *held);
/* Whether it waits, and the sink has not tried it in vain since the last held_forgive(). */
bool held_is_ready(const Held *held);
/* The remote accepts again: the batch may be offered to the sink once more. */
void held_forgive(Held *held);
/* Whether max_hold is over; the sink may still have it. */
bool held_is_lapsed(const Held *held);

/* Batches together; zeros at the start. */
typedef struct HeldSum {
        unsigned batches[HELD_DONE + 1]; /* in each state */
        size_t bytes;                    /* of the replies that they came in */
        unsigned unsettled;              /* batches */
        size_t messages;                 /* in those, but not after max_hold */
        usec_t oldest;                   /* publish time (wall) of those; 0: unknown */
        size_t scouts;                   /* messages in those of scouts */
        bool counted;                    /* deliveries are counted: deliveryAttempt came with some of those */
} HeldSum;
/* Counts a batch in. */
void held_add(const Held *held, HeldSum *sum);

/* Offers the batch to the sink: SINK_WRITE_STARTED; or SINK_WRITE_BUSY, and it goes on waiting. */
int held_write(Held *held);
/* The sink gave the batch back. Settled messages are acknowledged; PENDING, SUSPECT and UNKEPT ones will be delivered
 * again. But a batch in which all are still PENDING waits again, unless its lease is over or the subscriber stops. May
 * call on_done before it returns. */
void held_settled(Held *held);
/* Acknowledges what is settled of an ACKING batch. May call on_done before it returns. */
void held_begin_acks(Held *held);
/* For a SUSPECT batch of which some messages went aside: it keeps the others, or ends in on_done if there are none. */
void held_narrow(Held *held);
/* Gives a WAITING or SUSPECT batch back to Pub/Sub. */
void held_release(Held *held);
/* Logs that max_hold is over for *n* messages of a batch or of those aside. */
void held_log_left(const HeldHost *host, size_t n);
