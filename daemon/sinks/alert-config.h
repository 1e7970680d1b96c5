/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The section of the alert sink: rules, and the targets that are told. */

#include "config-type.h"
#include "lib/clock.h"
#include "sinks/alert-notice.h"
#include "sinks/alert-target.h"

#define ALERT_RULES_MAX 200
#define ALERT_TARGETS_MAX 20

/* One entry of `rules`; it has exactly one of above, below, is and stale. */
typedef struct AlertRule {
        char *name;
        ConfigMap where;     /* match.h; empty: every device */
        char *field;         /* name of a member, or a JSON pointer; NULL only with stale */
        AlertTest test;      /* which of the four it has */
        double above, below; /* the other one, or both: NaN */
        double limit;        /* ABOVE, BELOW: the threshold */
        double clear;        /* the value at which it ends; default: the threshold */
        char *is;
        usec_t stale;
        usec_t wait;              /* `for` */
        usec_t repeat;            /* 0: never */
        char **to;                /* names of targets; NULL: all of them */
        char *message, *resolved; /* templates; NULL: the default */
} AlertRule;

typedef struct AlertConfig {
        int language;
        AlertTarget *targets;
        size_t n_targets;
        AlertRule *rules;
        size_t n_rules;
        usec_t forget;
} AlertConfig;

extern const ConfigSection alert_config_section;
extern const SinkAdmin alert_config_admin; /* alert-report.c */

/* Whether the rule sends to that target. */
bool alert_config_tells(const AlertRule *rule, const char *target);

/* Returns the index of the target with that name; n_targets: there is none. */
size_t alert_config_target(const AlertConfig *config, const char *name);

/* SinkType.limits, with an AlertConfig: the thresholds for a chart. These are of rules with `above` or `below` for that
 * field whose `where` matches what is known of the device. */
void alert_config_limits(
        const void *keys, const SinkSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to);
