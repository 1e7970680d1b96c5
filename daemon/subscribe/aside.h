/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The list of suspect messages: the remote refused them but accepts others, or they can be neither stored nor set
 * apart. They are copied from their batch, so that the batch and its slot become free. One lease renews all of them.
 * From time to time a few that are due go to the sink as a batch, and it tries each alone. Settled messages leave the
 * list; the others wait on, at most for max_hold. */

#include "subscribe/held.h"

#define ASIDE_MESSAGES_MAX 1000
#define ASIDE_BYTES_MAX (16 * 1024 * 1024)
#define ASIDE_TRY_MAX 16 /* messages in one batch: each is a command of its own, and other batches wait meanwhile */

typedef struct Aside Aside;

typedef struct AsideStatus {
        size_t n, unkept;             /* messages; those among them that could not be set apart */
        usec_t oldest, oldest_unkept; /* oldest publish time (wall) of each; 0: none */
} AsideStatus;

/* *host* is borrowed. */
int aside_new(HeldHost *host, Aside **ret);
/* Gives nothing back: the leases run out by themselves. */
Aside *aside_free(Aside *aside);

/* Copies the SUSPECT and UNKEPT messages of *batch* while there is room, and sets their fate there to MOVED. */
void aside_take(Aside *aside, Batch *batch);

/* Returns a batch of messages that are due, for the sink. NULL when none is due, or such a batch is out already. */
Batch *aside_try(Aside *aside, usec_t now);
/* Notes the results of that batch: settled messages leave the list. The batch stays the caller's. */
void aside_note(Aside *aside, const Batch *batch);

/* Forgets messages whose max_hold is over: Pub/Sub delivers them again. */
void aside_expire(Aside *aside, usec_t now);
/* Returns when (clock_now()) aside_expire(), or with *free* (an idle sink) aside_try(), has something to do;
 * USEC_INFINITY: never. */
usec_t aside_next(const Aside *aside, bool free);

/* At the stop: gives all messages back to Pub/Sub, once, and forgets them. Calls *done* when Pub/Sub has answered;
 * never, if there is nothing to give back or the request cannot be made. */
void aside_release(Aside *aside, void (*done)(void *userdata), void *userdata);
/* Whether the list is empty. */
bool aside_is_empty(const Aside *aside);
/* Whether there is room for one more message of the usual size. */
bool aside_has_room(const Aside *aside);
/* Counts and ages. */
void aside_status(const Aside *aside, AsideStatus *ret);
