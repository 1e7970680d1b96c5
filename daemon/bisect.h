/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* Which rows the next publish request takes, and what a refusal says about them; pure. Pub/Sub answers 400 for a whole
 * batch when one message is at fault, and for every message when the topic's name is. So a refused batch is halved down
 * to the message that fails alone. That one is set apart, and judged only once the topic has accepted another: sent
 * alone again, and rejected if it is refused again.
 *
 *      forward: rows after `after`, `window` of them
 *        ^    refused: half of them ... refused alone: set apart, the next one alone as a probe
 *        |    accepted, with some set apart ---+
 *        |                                     v
 *        +--- all judged -------------- judging: those set apart, one by one */
/* clang-format on */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BISECT_WINDOW_MAX 1000 /* the service's limit of messages in a request */
#define BISECT_APART_MAX 256   /* remembered; more are passed over, and looked at again later */
#define BISECT_PROBES_MAX 16   /* messages refused one after the other before the topic is taken to be at fault */

typedef struct BisectApart {
        int64_t id;
        bool too_large; /* for a request: cannot even be sent */
} BisectApart;

typedef struct Bisect {
        int64_t after;   /* rows up to here are gone, set apart or passed over */
        int64_t bad_end; /* a row between `after` and here was refused; 0: nothing is known */
        size_t window;
        bool judging, put_off;
        bool passed_over; /* some were set apart without being remembered */
        unsigned probes;  /* messages refused alone since the topic last accepted one */
        BisectApart apart[BISECT_APART_MAX];
        size_t n_apart;
} Bisect;

/* Also: forgets what was set apart, so that everything is tried anew; by single messages while the topic has accepted
 * none. */
void bisect_restart(Bisect *b);

/* True while one message that was set apart is to be judged next: b->apart[0]. */
bool bisect_is_judging(const Bisect *b);
/* The request after `*ret_after` takes at most *ret_rows rows. */
void bisect_next(const Bisect *b, int64_t *ret_after, size_t *ret_rows);

/* The request of *n* rows up to id *last* was accepted. */
void bisect_accepted(Bisect *b, int64_t last);

typedef enum BisectVerdict {
        BISECT_GO_ON,  /* smaller, or with the next row */
        BISECT_REJECT, /* the row that was judged is at fault: reject it, then bisect_judged() */
        BISECT_REST,   /* too many refused in a row: the topic is at fault; try again slowly */
} BisectVerdict;
/* The request of *n* rows up to id *last* was refused as invalid. */
BisectVerdict bisect_refused(Bisect *b, int64_t last, size_t n);

/* Row *id*, the first one after `after`, is too large for any request. */
void bisect_too_large(Bisect *b, int64_t id);

/* The verdict on b->apart[0] cannot be written down: others go first. It is judged again with the next one accepted, or
 * by bisect_take_up(), which tells whether there is such a verdict. */
void bisect_put_off(Bisect *b);
bool bisect_take_up(Bisect *b);

/* What was accepted is deleted: where nothing waits apart, no row is left up to `after`. */
void bisect_forgotten(Bisect *b);

/* b->apart[0] is settled: published, rejected, or no longer there. */
void bisect_judged(Bisect *b);

/* No row is left after `after`. True: rows set apart wait for proof. False: look from the start again, if `after` was
 * not 0. */
bool bisect_at_end(Bisect *b);

/* BISECT_REST was slept through. */
void bisect_rested(Bisect *b);
