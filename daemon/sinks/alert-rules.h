/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rules prepared for many messages: the places that they look at, and a key for each, with which its states survive
 * a reload; and the state of one rule for one device. Pure. */

#include "lib/bytes.h"
#include "sinks/alert-config.h"

/* ---- places ---- */

/* Places of a JSON object, found in one walk: rules look at the same few members of every message. They are a tree, in
 * which the places between the object and a place of a rule are places, too. `AlertPlaces p = {};` is empty. */
#define ALERT_CHAINS 512
typedef struct AlertPlace {
        char *key;       /* name of a member, or index of an element */
        size_t within;   /* index of the place that it is a part of; SIZE_MAX: of the object */
        size_t next;     /* in its chain, as below */
        bool inner;      /* it has parts */
        size_t elements; /* how many elements of an array may be parts */
} AlertPlace;
typedef struct AlertPlaces {
        AlertPlace *items;
        size_t n, allocated;
        size_t chains[ALERT_CHAINS]; /* by hashes of *within* and key: index of the first one, plus 1; 0: none */
} AlertPlaces;
void alert_places_done(AlertPlaces *places);

/* Adds a member's name, or, when it begins with `/`, a JSON pointer without `*`. *ret* is its index; the same place
 * always has the same one. -ENOMEM. */
int alert_places_add(AlertPlaces *places, const char *place, size_t *ret);
/* Points values[index] at the JSON text at each place of *object*; data is NULL when there is none. Of two equal keys
 * the first counts. Returns false, with nothing useful in *values*, when *object* is not a JSON object. Allocates
 * nothing. */
bool alert_places_find(const AlertPlaces *places, Slice object, Slice *values);

/* ---- the rules ---- */

#define ALERT_RULE_KEY_SIZE 17 /* 16 hex digits and the NUL */
#define ALERT_LIMIT_SIZE 32

typedef struct AlertWatch {
        const AlertRule *rule;
        char key[ALERT_RULE_KEY_SIZE]; /* a hash of name, where, field, test and threshold */
        char number[ALERT_LIMIT_SIZE];
        const char *limit;     /* for a reader: "28", or the value of `is`; NULL for `stale` */
        size_t field, created; /* of a rule with a field: places of the value, and of the `created_at` next to it */
        size_t *where;         /* places of its conditions, in order */
} AlertWatch;

typedef struct AlertRules {
        AlertWatch *items;
        size_t n;
        AlertPlaces places;
        size_t source, id, name, site, request_at, online, events; /* places; events: newest_events of a Nature Remo */
} AlertRules;

/* *config* is borrowed. -ENOMEM. */
int alert_rules_new(const AlertConfig *config, AlertRules **ret);
AlertRules *alert_rules_free(AlertRules *rules);
CLEANUP_DEFINE(AlertRules, alert_rules_free)

#define ALERT_NO_RULE SIZE_MAX
/* Returns the index of the rule with that key, or ALERT_NO_RULE. */
size_t alert_rules_find(const AlertRules *rules, Slice key);

/* Whether the conditions of a rule hold; *values* come from alert_places_find(). */
bool alert_rules_match(const AlertWatch *watch, const Slice *values);
/* Whether they can hold for a device with the name in *values*; true also without a name. */
bool alert_rules_match_name(const AlertRules *rules, const AlertWatch *watch, const Slice *values);

/* ---- states ---- */

/* The state of one rule for one device. Pure: times are arguments, in wall time. A message counts only if it is newer
 * than the last one that counted: a repeated or older message changes nothing. */

typedef enum AlertPhase { PHASE_OK, PHASE_PENDING, PHASE_FIRING } AlertPhase;
#define PHASES (PHASE_FIRING + 1)

/* Zeros: no message yet. */
typedef struct AlertState {
        AlertPhase phase;
        usec_t judged; /* time of the newest message that counted */
        usec_t since;  /* PENDING, FIRING: since when it holds */
        usec_t heard;  /* STALE: the last sign of life */
        bool offline;  /* STALE: the device says that it is offline */
} AlertState;

/* What a value means for a rule. */
typedef enum AlertTruth {
        ALERT_SAYS_NOTHING, /* it is missing, or not of the kind that the rule tests */
        ALERT_HOLDS,
        ALERT_BETWEEN, /* between the threshold and `clear` */
        ALERT_OVER,
} AlertTruth;
/* Judges a value, which is JSON text; data NULL: missing. */
AlertTruth alert_judge_value(const AlertRule *rule, Slice value);

typedef enum AlertMove {
        ALERT_OLD,   /* nothing changed */
        ALERT_STAYS, /* it counted, and neither began to fire nor ended */
        ALERT_FIRED,
        ALERT_CEASED,
} AlertMove;

/* For ABOVE, BELOW, IS: a message of time *at* came. */
AlertMove alert_judge_message(const AlertRule *rule, AlertState *state, usec_t at, AlertTruth truth);

typedef struct AlertLife {
        usec_t at, heard;
        bool offline, online; /* the message says so */
} AlertLife;
/* For STALE: a message of time *at* came. It proves life at *heard* (0: it does not), or says that the device is
 * *offline*. If *heard* is so old that the silence still lasts at *now*, the silence does not end; but an offline state
 * does. A firing for silence stays one, even when the device then says that it is offline. */
AlertMove alert_judge_life(const AlertRule *rule, AlertState *state, const AlertLife *life, usec_t now);

/* Time has passed until *now* without a message. */
AlertMove alert_judge_time(const AlertRule *rule, AlertState *state, usec_t now);

/* Returns from when on time alone may change the state; USEC_INFINITY: it cannot. */
usec_t alert_judge_next(const AlertRule *rule, const AlertState *state);
