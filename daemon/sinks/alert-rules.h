/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rules made ready to be asked of many messages: which places they look at, what each makes of a device, and what
 * it is by itself, so that its states survive a reload. Pure. */

#include "sinks/alert-config.h"
#include "sinks/alert-places.h"

/* ---- alert-judge.c ---- */

/* What one rule makes of one device. Pure: every time comes in, as wall time. A message counts once, and only if it is
 * newer than the last one that counted: the same one again, or an older one, changes nothing, in whatever order they
 * come. */

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

typedef struct AlertLife {
        usec_t at, heard;
        bool offline, online; /* it says so */
} AlertLife;
/* STALE: a message of time *at*, which proves life at *heard* (0: it does not), or says that the device is *offline*.
 * Silence that lasts until *now* all the same does not end, but where the device was offline: that is over. What fires
 * for silence goes on as silence, whatever the device says of itself. */
AlertMove alert_judge_life(const AlertLogic *logic, AlertState *state, const AlertLife *life, usec_t now);

/* Time went on to *now*, and no message came. Without *silence*, a device that was not heard of counts as if it had
 * been: it is we who may not hear. */
AlertMove alert_judge_time(const AlertLogic *logic, AlertState *state, usec_t now, bool silence);

/* When alert_judge_time() may have something to do; USEC_INFINITY: never, without a message. */
usec_t alert_judge_next(const AlertLogic *logic, const AlertState *state);

/* Of STALE, how long a device is silent at least when it fires; 0: it says itself that it is offline. */
usec_t alert_judge_span(const AlertLogic *logic, const AlertState *state);

/* ---- the rules ---- */

#define ALERT_RULE_KEY_SIZE 17 /* 16 hex digits and the NUL */
#define ALERT_LIMIT_SIZE 32

typedef struct AlertWatch {
        const AlertRule *rule;
        AlertLogic logic;
        char *is[2];                   /* what logic.is points to */
        char key[ALERT_RULE_KEY_SIZE]; /* of all that decides what it finds: name, where, field, test and threshold */
        char number[ALERT_LIMIT_SIZE];
        const char *limit; /* for a reader: "28", or what `is` says; of `stale` NULL */
        bool has_field;
        size_t field, created; /* places: of the value, and of the `created_at` beside it */
        size_t *where;         /* places of its conditions, in their order */
} AlertWatch;

typedef struct AlertRules {
        AlertWatch *items;
        size_t n;
        AlertPlaces *places;
        size_t source, id, name, site, request_at, online, events; /* places; events: newest_events of a Nature Remo */
        size_t *where;                                             /* places that any condition looks at, each once */
        size_t n_where;
} AlertRules;

/* *config* is borrowed. -ENOMEM. */
int alert_rules_new(const AlertConfig *config, AlertRules **ret);
AlertRules *alert_rules_free(AlertRules *rules);
CLEANUP_DEFINE(AlertRules, alert_rules_free)

/* The rule of that key, or SIZE_MAX. */
size_t alert_rules_find(const AlertRules *rules, Slice key);

/* Whether the conditions of a rule hold; *values* by place, as alert_places_find() left them. */
bool alert_rules_match(const AlertWatch *watch, const Slice *values);
/* Whether they can hold under the name that *values* tell; also where none is told. */
bool alert_rules_match_name(const AlertRules *rules, const AlertWatch *watch, const Slice *values);
