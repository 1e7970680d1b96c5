/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a seed draws beside the weather: the configuration of the daemon, and when it is killed, stopped, reloaded; when
 * the machine loses power, sleeps, or has its clock set. */

#include "world.h"

#define PLAN_STATE "/sim/state" /* on the simulated disk */

#define PLAN_SERIALS                                                                                                   \
        10000000 /* readings: one's number is in the fraction of its humidity, in units of 1/PLAN_SERIALS */
#define PLAN_LINE_TOKEN "line-token"
#define PLAN_SLACK_PATH "T0SECRET"
#define PLAN_DISCORD_PATH "D0SECRET-as-long-as-real"
#define PLAN_NTFY_TOKEN "tk_ntfy"

typedef enum PlanSink { SINK_MONGO, SINK_HOOK, SINK_FILE, SINK_ALERT, _SINK_MAX } PlanSink;

/* Draws all of it and plans the events. *directory*: for the daemon's files. */
void plan_new(const char *directory);
unsigned plan_devices(void);
usec_t plan_interval(void);
/* The number of the subscription that has such a sink; -1: none has. */
int plan_subscription(PlanSink sink);
PlanSink plan_sink(unsigned subscription);
unsigned plan_subscriptions(void);
/* Of the configuration now and of those before: what a stage that ends may still do. */
unsigned plan_pulls_max(void);
/* Messages of one subscription that the daemon may hold at once. */
size_t plan_held_max(void);
/* The shortest max_hold so far. */
usec_t plan_hold_min(void);
/* When the configuration was changed last, 0: never; when the daemon that runs was started. */
usec_t plan_reloaded(void);
/* A source may be at its end: its program's last words are read then, whatever the disk and the room are. */
bool plan_source_may_end(void);
/* When the wall clock was set last, 0: never. */
usec_t plan_clock_set(void);
void plan_start(void);
usec_t plan_started(void);
unsigned plan_max_rows(void);
/* Of alerts.h: whether the configuration has that rule. */
bool plan_has_rule(unsigned rule);
bool plan_has_target(unsigned target);
/* Whether it has both, and the one tells the other. */
bool plan_tells(unsigned rule, unsigned target);
/* Behind the number in the name of a room. */
const char *plan_room_words(void);
/* In the calm no device says anything any more. */
bool plan_is_silent(void);
/* Writes sensorqd.yaml and what it names, as it is drawn now. */
void plan_write_config(void);
const char *plan_config_path(void);
/* SIGTERM. */
void plan_stop(void);
/* The weather is over: nothing is planned any more. */
void plan_calm(void);
