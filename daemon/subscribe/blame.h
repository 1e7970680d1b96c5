/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* Decides whether the message or the remote is at fault when a message is refused. A message counts as bad only while
 * the remote accepts others. When everything is refused it is an outage, whatever the code says (P11). Pure: times are
 * arguments.
 *
 *      CLEAR --refused, nothing accepted--> OUTAGE         CLEAR --refused, another was accepted--> SUSPECT
 *      OUTAGE --refused, another was accepted--> SUSPECT   SUSPECT --refused again, too soon to judge--> SUSPECT
 *      OUTAGE --accepted--> CLEAR                          SUSPECT --accepted--> CLEAR
 *      CLEAR --proven--> REJECTED   OUTAGE --proven--> REJECTED   SUSPECT --proven--> REJECTED
 *      REJECTED --cannot be set apart either--> SUSPECT    REJECTED --not set apart yet, a passing code--> CLEAR
 *      OUTAGE --max_hold is over, about the document--> REJECTED
 *      any of them --max_hold is over, anything else--> LAPSED
 *
 * OUTAGE: an outage; the message stays in its batch, and the batch keeps its slot. SUSPECT: the message waits in the list
 * of aside.h and is tried alone from time to time. That one write accepted some messages and refused others is no proof:
 * an outage may have begun or ended in it. A code about the document is believed when it comes again after another
 * message was accepted, or when the type knows this of a single write. Any other code must be seen several times. When a
 * message that was refused with a code is accepted later, the remote was at fault: earlier refusals with that code do
 * not count. A passing code never counts against a message; but a message that alone meets one is SUSPECT as well, so
 * that the others need not wait, and is tried until max_hold.
 *
 * The remote, as far as its answers show it:
 *
 *      AWAY --a probe--> ACCEPTING --one message refused, and no other came--> DOUBTED --more, or long after--> REFUSING
 *      AWAY --a probe that could try no write--> UNTRIED --all refused--> REFUSING
 *      AWAY --anything refused--> REFUSING       ACCEPTING --all refused--> REFUSING
 *      any of them --a message accepted--> ACCEPTING;      any of them --a fault--> AWAY
 *
 * A new probe begins at AWAY if it was ACCEPTING, at REFUSING if it was DOUBTED. */
/* clang-format on */

#include <stdbool.h>
#include <stdint.h>

#include "lib/clock.h"

#define BLAME_REFUSALS_ABOUT 2 /* refusals with a code about the document, with another message accepted in between */
#define BLAME_REFUSALS 3 /* other codes: refusals alone in a command, each after another message was accepted ... */
#define BLAME_SPAN_USEC (10 * USEC_PER_MINUTE)     /* ... in at least this time, make a message REJECTED */
#define BLAME_PAUSE_FIRST_USEC (1 * USEC_PER_SEC)  /* between tries of a message that is SUSPECT; it doubles ... */
#define BLAME_PAUSE_MAX_USEC (5 * USEC_PER_MINUTE) /* ... up to here */
#define BLAME_PAUSE_LATER_USEC (5 * USEC_PER_SEC)  /* ... or up to here for a passing code, which may end soon */
#define BLAME_CODES 16                             /* number of codes in `passed` */
/* when a single message is refused and no other comes, the remote counts as refusing only after this time */
#define BLAME_ALONE_USEC (10 * USEC_PER_MINUTE)

typedef enum BlameState { BLAME_CLEAR, BLAME_OUTAGE, BLAME_SUSPECT, BLAME_REJECTED, BLAME_LAPSED } BlameState;
#define BLAME_STATES (BLAME_LAPSED + 1)

/* What is known against one message; it is copied with the message. Zeros: nothing. */
typedef struct Suspicion {
        BlameState state;
        bool about_document;
        bool later;  /* it met a passing code, which does not count against it */
        bool unkept; /* it was to be set apart, and that was refused as well */
        bool unsure; /* SinkItem.unsure of an earlier write */
        int code;
        unsigned refusals; /* that count */
        unsigned tries;    /* refusals while SUSPECT */
        usec_t first;      /* clock_now() of the first refusal that counts */
        uint64_t mark;     /* Blame.accepted at the last refusal that counts, or when it became OUTAGE */
        usec_t due;        /* SUSPECT: clock_now() of its next try */
} Suspicion;

typedef enum Health { HEALTH_AWAY, HEALTH_ACCEPTING, HEALTH_DOUBTED, HEALTH_UNTRIED, HEALTH_REFUSING } Health;
#define HEALTHS (HEALTH_REFUSING + 1)

/* What is known of one remote. Zeros at the start. */
typedef struct Blame {
        Health health;
        usec_t refusing_since; /* clock_now() of the first refusal of everything; 0: none since AWAY or ACCEPTING */
        size_t refused;        /* number of messages refused since then */
        uint64_t accepted;     /* number of messages, duplicates included */
        struct {               /* codes that messages were refused with before they were accepted */
                int code;
                usec_t at; /* clock_now(); 0: unused */
        } passed[BLAME_CODES];
} Blame;

typedef struct BlameRefusal {
        int code;
        bool about_document;
        bool proven;     /* of such: SinkItem.proven */
        bool alone;      /* in its command */
        bool few;        /* with a passing code: most of the other messages were accepted in the same reply */
        uint64_t before; /* blame->accepted before the reply */
} BlameRefusal;

/* The remote accepted a message. Call it for all accepted messages of a reply before blame_refused(). */
void blame_accepted(Blame *blame, Suspicion *suspicion, usec_t now);
/* The remote refused a message. Returns the new state: OUTAGE, SUSPECT (suspicion->due is set) or REJECTED. */
BlameState blame_refused(Blame *blame, Suspicion *suspicion, const BlameRefusal *refusal, usec_t now);
/* The remote refused a message with a passing code (throttling, a full disk), which never counts against it. Returns
 * CLEAR when some messages of the reply were accepted, OUTAGE when none was, SUSPECT when most were, or when others
 * were accepted since the last time. */
BlameState blame_put_off(Blame *blame, Suspicion *suspicion, const BlameRefusal *refusal, usec_t now);
/* A message that can never be stored could not be set apart either: it becomes SUSPECT. */
void blame_unkept(Suspicion *suspicion, usec_t now);
/* max_hold is over: returns REJECTED or LAPSED. */
BlameState blame_expire(Suspicion *suspicion);

/* A probe or a write showed this of the remote. */
void blame_move(Blame *blame, Health health);
/* A probe begins: what was accepted before shows nothing any more. */
void blame_probing(Blame *blame);
/* A write ended in which nothing was accepted and some messages were refused: *n* of a batch, or a *scout* beside it.
 * Returns true when the remote is at fault, as far as is known; false when only one message was refused so far. */
bool blame_all_refused(Blame *blame, size_t n, bool scout, usec_t now);
/* Whether only single messages are tried: DOUBTED, UNTRIED, REFUSING. */
bool blame_is_refusing(const Blame *blame);

/* How the write of a batch ended. */
typedef struct BlameWrite {
        bool fault;    /* the remote has one ... */
        bool down;     /* ... which concerns everything ... */
        bool lasting;  /* ... and which only a person can end */
        bool accepted; /* a message was accepted */
        bool left;     /* messages are PENDING ... */
        bool outage;   /* ... and some of them OUTAGE */
        bool refusing; /* blame_is_refusing() before its end */
} BlameWrite;

/* What follows for the batch. */
typedef enum BlameNext { WRITE_DONE, WRITE_DOWN, WRITE_REFUSED, WRITE_AT_ONCE, WRITE_LATER } BlameNext;

/* clang-format off */
/* Blank: whatever it is.
 *
 *      down    lasting     accepted    left        refusing    next        *ret_accepts
 *      yes     yes                                             DOWN        no
 *      yes     no          no                                  DOWN        no
 *      yes     no          yes                                 LATER       no
 *      no                  yes         no                      DONE        yes
 *      no                  no          no                      DONE        if there is no fault, and it was not refusing
 *      no                  yes         yes         yes         AT_ONCE     yes
 *      no                  yes         yes         no          LATER       yes
 *      no                  no          OUTAGE                  REFUSED     no
 *      no                  no          others                  LATER       if there is no fault, and it was not refusing */
/* clang-format on */
BlameNext blame_next(const BlameWrite *write, bool *ret_accepts);
