/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* Whose fault a refusal is: the message's, or its remote's. A message counts as bad only while the remote accepts others;
 * a refusal that meets everything alike is an outage, whatever its code says (P11). Pure: times come in.
 *
 *                 refused, nothing accepted                     refused, another was accepted
 *      CLEAR ------------------------------> KEPT ------------------------------------------------> ASIDE --+
 *      ^ |                                   | |  \                                                  | ^ |  | refused, too
 *      | +--refused, another was accepted----|-|---\-------------------------------------------------|-+ |  | soon to judge
 *      |                                     | |    \                                                |   +--+
 *      +------------- accepted --------------+-|-----\----------- accepted --------------------------+   |
 *                                              |      \                                                  |
 *              max_hold, about the document    |       +--max_hold, any other code--> LAPSED <--max_hold-+
 *              or another was accepted --------+                                                         |
 *                                              v                                                         |
 *                                            REJECTED <----------- refused often enough, alone ----------+
 *                                              |                                                         ^
 *                                              +---------------- cannot be set apart either -------------+
 *
 * KEPT: the message stays in its batch, which keeps its slot: an outage. ASIDE: it waits beside the flow and is tried
 * alone now and then. That one write accepted some and refused others is no proof: an outage may have begun in it, or
 * ended. A code that speaks of the document is believed when it comes again with another message accepted in between,
 * or where the type knows as much of one write; any other code has to be seen again and again. A code that some message
 * got over was the remote's: refusals with it before that do not count. A code that passes by itself is never held
 * against a message; but where it meets one alone, that one shall not keep its neighbours waiting: it goes ASIDE as
 * well, and is tried until max_hold. */
/* clang-format on */

#include <stdbool.h>
#include <stdint.h>

#include "lib/clock.h"

#define BLAME_REFUSALS_ABOUT 2 /* where the code speaks of the document, with another accepted in between */
#define BLAME_REFUSALS 3 /* any other: alone in the command, each with another accepted since the one before ... */
#define BLAME_SPAN_USEC (10 * USEC_PER_MINUTE)     /* ... over so long */
#define BLAME_PAUSE_FIRST_USEC (1 * USEC_PER_SEC)  /* between tries of one that waits aside, doubling ... */
#define BLAME_PAUSE_MAX_USEC (5 * USEC_PER_MINUTE) /* ... up to here */
#define BLAME_PAUSE_LATER_USEC (5 * USEC_PER_SEC)  /* ... or here, where the code passes: it may end at any time */
#define BLAME_CODES 16                             /* codes remembered that some message got over */

typedef enum BlameState { BLAME_CLEAR, BLAME_KEPT, BLAME_ASIDE, BLAME_REJECTED, BLAME_LAPSED } BlameState;
#define BLAME_STATES (BLAME_LAPSED + 1)

/* Of one message; goes with it from batch to batch. Zeros: nothing is held against it. */
typedef struct Suspicion {
        BlameState state;
        bool about_document;
        bool later;  /* its code passes: it says nothing of the message */
        bool unkept; /* was to be set apart, and that was refused as well */
        bool unsure; /* SinkItem.unsure of a write before */
        int code;
        unsigned refusals; /* that count */
        unsigned tries;    /* refusals while ASIDE */
        usec_t first;      /* clock_now() of the first refusal that counts */
        uint64_t mark;     /* what the remote had accepted by the last refusal that counts, or since when it is KEPT */
        usec_t due;        /* ASIDE: clock_now() of its next try */
} Suspicion;

/* Of one remote. Zeros at the start. */
typedef struct Blame {
        uint64_t accepted; /* messages, those that were there already included */
        struct {
                int code;
                usec_t at; /* clock_now(); 0: unused */
        } passed[BLAME_CODES];
} Blame;

typedef struct BlameRefusal {
        int code;
        bool about_document;
        bool proven;     /* of such: SinkItem.proven */
        bool alone;      /* in its command */
        bool few;        /* of a code that passes: most of its neighbours were accepted in the same reply */
        uint64_t before; /* blame->accepted before the reply */
} BlameRefusal;

/* The remote accepted a message. To be called for all of a reply before blame_refused() is for any. */
void blame_accepted(Blame *blame, Suspicion *suspicion, usec_t now);
/* It refused one. Returns the new state: KEPT, ASIDE (suspicion->due is set) or REJECTED. */
BlameState blame_refused(Blame *blame, Suspicion *suspicion, const BlameRefusal *refusal, usec_t now);
/* It put one off with a code that passes (throttling, a full disk), which is never held against a message. CLEAR
 * while some get through in the same reply, KEPT while none does, ASIDE where most do, or others did since the last
 * time. */
BlameState blame_put_off(Blame *blame, Suspicion *suspicion, const BlameRefusal *refusal, usec_t now);
/* A message that is REJECTED, or can never be stored, was refused where such are set apart: ASIDE. */
void blame_unkept(Suspicion *suspicion, usec_t now);
/* max_hold is over: REJECTED or LAPSED. */
BlameState blame_expire(Suspicion *suspicion);
