/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* Which rows the next publish request takes, and what a refusal says about them; pure. Pub/Sub answers 400 for a whole
 * batch when one message is at fault, and for every message when the topic's name is. So a refused batch is halved down
 * to the message that fails alone. That message is a suspect. It is judged only after the topic has accepted another
 * one: it is then sent alone again, and rejected if it is refused again. If it is accepted, the topic was at fault, and
 * the other suspects are cleared. The newest is judged first, because a topic at fault refused it last. Where many are
 * rejected one after the other, other rows go in between, if there are any: the topic may be at fault again.
 *
 *      forward: rows after `after`, `window` of them
 *        ^    refused: half of them ... refused alone: a suspect, the next one alone as a probe
 *        |    accepted, with some suspects ----+
 *        |                                     v
 *        +--- all judged -------------- judging: the suspects, one by one
 *
 * A refusal does not tell which messages are good, so a single good one among many bad ones is found only by trying
 * each alone. So it tries ever more of them between two rests, until each was tried since the topic last accepted one,
 * or very many were: the topic is at fault, then.
 * When some in line were refused alone, rows further ahead are tried first, ever nearer to the newest one: one source's
 * rows must not hide that the topic takes others. */
/* clang-format on */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BISECT_WINDOW_MAX 1000   /* the service's limit of messages in a request */
#define BISECT_SUSPECTS_MAX 1000 /* as many are remembered; more are skipped */
#define BISECT_PROBES_MAX 8      /* so many in line are tried alone, then some ahead; then more in line: up to ... */
#define BISECT_LINE_ACCEPTED 256 /* ... so many before the first rest, if the topic has accepted any; else none */
#define BISECT_LINE_MAX 1000     /* four times as many before the next rest, up to here */
#define BISECT_TRIED_MAX 10000   /* after so many without a success, only PROBES_MAX between rests */
#define BISECT_JUDGED_MAX 256    /* after so many that were rejected, another must be accepted, if any is left */
#define BISECT_AHEAD_MAX 64      /* so many ahead: more than needed, unless rows come faster than they are tried */

typedef struct Bisect {
        int64_t after;   /* rows up to this id are deleted, suspects or skipped */
        int64_t line;    /* where it goes on in line after rows ahead were tried; 0: it is in line */
        int64_t bad_end; /* a row between `after` and this id was refused; 0: not known */
        size_t window;
        bool judging; /* the next request is a suspect alone: there is one */
        bool put_off;
        bool passed_over;                      /* some rows were skipped, and are tried again later */
        unsigned tried;                        /* messages refused alone since the topic last accepted one */
        unsigned probes;                       /* of them those since the last rest */
        unsigned in_line;                      /* so many of them before the next rest */
        int64_t suspects[BISECT_SUSPECTS_MAX]; /* ids */
        size_t n_suspects;
        unsigned judged; /* of them since the topic last accepted one */
} Bisect;

/* Forgets the suspects and tries everything again, as a start; if the topic has not accepted any since they were tried,
 * only PROBES_MAX of them between rests. */
void bisect_restart(Bisect *b);

/* Which request comes next: at most *ret_rows rows after id *ret_after. */
void bisect_next(const Bisect *b, int64_t *ret_after, size_t *ret_rows);

/* Call this when the request with rows up to id *last* was accepted. */
void bisect_accepted(Bisect *b, int64_t last);

typedef enum BisectVerdict {
        BISECT_GO_ON,  /* send fewer rows, or the next row */
        BISECT_REJECT, /* the row that was judged is at fault: reject it, then call bisect_judged() */
        BISECT_REST,   /* all that were tried were refused: the topic may be at fault; go on slowly */
} BisectVerdict;
/* Call this when the request with *n* rows up to id *last* was refused as invalid. *newest*: the highest id. */
BisectVerdict bisect_refused(Bisect *b, int64_t last, size_t n, int64_t newest);

/* Call this when row *id*, the first one after `after`, is too large for any request. */
void bisect_suspect(Bisect *b, int64_t id);

/* Returns the suspect that is judged now, or will be next. */
int64_t bisect_suspected(const Bisect *b);

/* bisect_put_off(): the verdict on the suspect cannot be stored now; other rows go first, those that were skipped
 * too. It is judged again after the next accepted request, or when bisect_take_up() is called, which returns true if
 * such a verdict waits. */
void bisect_put_off(Bisect *b);
bool bisect_take_up(Bisect *b);

/* Call this when the accepted rows are deleted. If there is no suspect, none is left up to `after`, so it starts at 0
 * again. */
void bisect_forgotten(Bisect *b);

/* Call this when the suspect is rejected, or no longer there. */
void bisect_judged(Bisect *b);

/* Call this when no row is left after `after`. True: suspects wait for a proof that the topic works. False: look again,
 * if `after` was not 0. */
bool bisect_at_end(Bisect *b);
