/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages under suspicion, beside the flow: refused by a remote that accepts others, or refused where such are set
 * apart. They are copies, so that the batch they came in can go, and its slot with it; one lease renews them all. Now
 * and then a few that are due leave as a batch for the sink, which tries each alone; what is settled then is taken off
 * the list, the rest waits on, for max_hold at most. */

#include "subscribe/held.h"

#define ASIDE_MESSAGES_MAX 1000
#define ASIDE_BYTES_MAX (16 * 1024 * 1024)
#define ASIDE_TRY_MAX 16 /* messages at once: each is a command of its own, and the flow waits meanwhile */

typedef struct Aside Aside;

typedef struct AsideStatus {
        size_t n, unkept;             /* messages; of those, such that could not be set apart */
        usec_t oldest, oldest_unkept; /* publish time, wall; 0: none */
} AsideStatus;

/* *host* is borrowed. */
int aside_new(const HeldHost *host, Aside **ret);
/* Leases lapse by themselves. */
Aside *aside_free(Aside *aside);

/* Copies what is SUSPECT or FAILED in *batch* as long as there is room; what was taken is ASIDE then. */
void aside_take(Aside *aside, Batch *batch);

/* A batch of messages that are due, for the sink; NULL when none is, or one is out already. */
Batch *aside_try(Aside *aside, usec_t now);
/* That batch is back: what is settled in it leaves the list. The batch stays the caller's. */
void aside_return(Aside *aside, const Batch *batch);

/* Forgets those whose max_hold is over; they are the queue's again. Returns how many. */
size_t aside_expire(Aside *aside, usec_t now);
/* When aside_expire() has something to do, or aside_try() where the sink is *free*; USEC_INFINITY: never. */
usec_t aside_next(const Aside *aside, bool free);

/* At the stop: gives all back to the queue, once, and forgets them. *done* is called when the queue knows. */
void aside_release(Aside *aside, void (*done)(void *userdata), void *userdata);
/* Whether nothing waits. */
bool aside_is_empty(const Aside *aside);
/* For one more message of the usual size. */
bool aside_has_room(const Aside *aside);
/* Counts and ages. */
void aside_status(const Aside *aside, AsideStatus *ret);
