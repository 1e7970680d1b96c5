/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rules made ready to be asked of many messages: which places they look at, and what each rule is by itself, so
 * that its states survive a reload. Pure. */

#include "sinks/alert-config.h"
#include "sinks/alert-judge.h"
#include "sinks/alert-places.h"

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
