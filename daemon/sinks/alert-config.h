/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The section of the alert sink: rules, and where what they find is told. */

#include "config-type.h"
#include "lib/clock.h"
#include "sinks/alert-notice.h"
#include "sinks/alert-target.h"

#define ALERT_RULES_MAX 200
#define ALERT_TARGETS_MAX 20

/* One entry of `rules`; exactly one of above, below, is and stale is there. */
typedef struct AlertRule {
        char *name;
        ConfigMap where; /* match.h; empty: every device */
        char *field;     /* a member or a pointer; NULL: none, with stale only */
        double above, below;
        double clear; /* where it ends; the threshold, unless the file says so */
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
extern const SinkAdmin alert_config_admin; /* alert-admin.c */

/* Which of the four the rule has. */
AlertTest alert_config_test(const AlertRule *rule);
/* Whether the rule tells that target. */
bool alert_config_tells(const AlertRule *rule, const char *target);

/* The index of the target of that name; n_targets: there is none. */
size_t alert_config_target(const AlertConfig *config, const char *name);

/* The thresholds of the rules as a chart shows them. SinkType.limits, with an AlertConfig: rules with `above` or
 * `below` whose field that is, and whose `where` what is known of the device satisfies. */
void alert_config_limits(
        const void *keys, const SinkSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to);
