/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the rules of the alert sink think of each device, as of its last commit, and what each target was told: P14. */

#include "exchange.h"

#define ALERT_DEVICES 9    /* the last one: no device at all */
#define ALERT_ROOM "Room " /* a device's name is that and its number */

/* RULE_RAISED is RULE_LONG with other thresholds, under the same name: a reload may change the one into the other. */
typedef enum AlertRuleNumber { RULE_HIGH, RULE_LONG, RULE_SILENT, RULE_RAISED, _RULE_MAX } AlertRuleNumber;
#define ALERT_RAISED "above 75" /* in its texts; perhaps in none that comes when it is gone */
#define ALERT_NOT_RAISED "above 70"
extern const char *const alerts_rule_names[_RULE_MAX];

/* Targets of the alert sink are told apart by their Target. */
#define ALERT_TARGET_FIRST TARGET_LINE
#define ALERT_TARGETS 5
extern const char *const alerts_target_names[ALERT_TARGETS];

typedef enum AlertWord { SAYS_FIRING, SAYS_REPEAT, SAYS_RESOLVED, SAYS_ENDED, SAYS_REMOVED } AlertWord;

void alerts_new(void);
/* A daemon starts. */
void alerts_begin(void);
/* The humidity of a device now; false: it is silent. */
bool alerts_level(unsigned device, double *ret);
/* A target was told that; *serial* tells firings apart: that of the reading whose value is named; of silence, when it
 * began. */
void alerts_told(const Exchange *x, AlertWord word, unsigned rule, unsigned device, uint32_t serial);
/* The daemon has the answer that says that a target took the message. */
void alerts_answered(const Exchange *x);
/* A request to a target starts. */
void alerts_asked(Target target);
/* The log says that a message was given up: its rule and device. */
void alerts_refused(const char *target, const char *about);
/* It is not in the configuration any more. */
void alerts_rule_gone(unsigned rule);
/* A target is not in the configuration any more: what it was told is forgotten. */
void alerts_target_gone(unsigned target);
/* Which of the two the target believes to fire, if only one. */
AlertRuleNumber alerts_long_rule(Target target, unsigned device);
/* Whether every target believes what is so, and nothing more is to be told. */
bool alerts_settled(void);
/* Names what is not told, if anything is: a failure. */
void alerts_check(void);
