/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* What one rule makes of one device. Pure: every time comes in, as wall time.
 *
 *             holds                       held for `for`
 *      OK -----------------> PENDING -----------------------> FIRING
 *       ^                       |                                |
 *       +--- no longer holds ---+        over (past `clear`) ----+--> OK
 *
 * A message counts once, and only if it is newer than the last one that counted: the same one again, or an older one,
 * changes nothing, in whatever order they come. */
/* clang-format on */

#include "lib/bytes.h"
#include "lib/clock.h"
#include "sinks/alert-notice.h"

typedef struct AlertLogic {
        AlertTest test;
        double limit, clear; /* ABOVE, BELOW */
        char *const *is;     /* IS: as match_value() wants it */
        usec_t stale;        /* STALE */
        usec_t wait;
} AlertLogic;

typedef enum AlertPhase { PHASE_OK, PHASE_PENDING, PHASE_FIRING } AlertPhase;
#define PHASES (PHASE_FIRING + 1)

/* Zeros: nothing was heard yet. */
typedef struct AlertState {
        AlertPhase phase;
        usec_t judged; /* time of the newest message that counted */
        usec_t since;  /* PENDING, FIRING: it holds since then */
        usec_t heard;  /* STALE: the last sign of life */
        bool offline;  /* STALE: it says itself that it is */
} AlertState;

/* What a value says. */
typedef enum AlertTruth {
        ALERT_SAYS_NOTHING, /* it is not there, or not of the kind that the rule is about */
        ALERT_HOLDS,
        ALERT_BETWEEN, /* past the threshold, and not past `clear` */
        ALERT_OVER,
} AlertTruth;
/* *value* is JSON text; data NULL: not there. */
AlertTruth alert_judge_value(const AlertLogic *logic, Slice value);

typedef enum AlertMove {
        ALERT_OLD,   /* nothing changed */
        ALERT_STAYS, /* it counted, and neither began to fire nor ended */
        ALERT_FIRED,
        ALERT_CEASED,
} AlertMove;

/* ABOVE, BELOW, IS: a message of time *at*. */
AlertMove alert_judge_message(const AlertLogic *logic, AlertState *state, usec_t at, AlertTruth truth);

/* STALE: a message of time *at*, which proves life at *heard* (0: it does not), or says that the device is *offline*.
 * Silence that lasts until *now* all the same does not end. */
typedef struct AlertLife {
        usec_t at, heard;
        bool offline;
} AlertLife;
AlertMove alert_judge_life(const AlertLogic *logic, AlertState *state, const AlertLife *life, usec_t now);

/* Time went on to *now*, and no message came. Without *silence*, a device that was not heard of counts as if it had
 * been: it is we who may not hear. */
AlertMove alert_judge_time(const AlertLogic *logic, AlertState *state, usec_t now, bool silence);

/* When alert_judge_time() may have something to do; USEC_INFINITY: never, without a message. */
usec_t alert_judge_next(const AlertLogic *logic, const AlertState *state);
