/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alerts.h"
#include "arena.h"
#include "counts.h"
#include "disk.h"
#include "doors.h"
#include "pubsub.h"
#include "remotes.h"
#include "sources.h"
#include "subscribe/pulls.h"
#include "talk.h"
#include "weather.h"

#define SOURCE_ENDS (5 * USEC_PER_MINUTE) /* from a reload to the end of the last source that it replaced */
#define ALL_TARGETS ((1U << ALERT_TARGETS) - 1)

/* So that what many of them say has no room in one message. */
#define LONG_NAME                                                                                                      \
        " \xe5\xb1\x85\xe9\x96\x93 beside the old kitchen, \xe4\xba\x8c\xe9\x9a\x8e behind the second door on "        \
        "the left of it, under the window that looks to the garden \xf0\x9f\x8c\xb1, above the cellar where the wine " \
        "was kept before the flood and the bicycles are kept now, next to the pipe"

typedef struct Plan {
        const char *directory;
        char config[512];
        unsigned devices, subscriptions;
        PlanSink sinks[SUBSCRIPTIONS_MAX];
        unsigned interval, interval_max;               /* s */
        unsigned max_rows;                             /* of the outbox; 0: the default */
        unsigned max_messages, pulls, max_hold, batch; /* drawn anew at a reload */
        unsigned pulls_max, max_messages_max, hold_min;
        usec_t reloaded, started, clock_set;
        unsigned repeat;          /* s */
        bool has_rule[_RULE_MAX]; /* but RULE_RAISED, which is there instead of RULE_LONG while it is: */
        bool raised;
        unsigned tells[_RULE_MAX], targets; /* a bit for each target; which there are */
        bool silent, moved;                 /* moved: the pager has another address */
        bool long_names;
} Plan;

unsigned plan_devices(void) {
        return world->plan->devices;
}

usec_t plan_interval(void) {
        return world->plan->interval_max * USEC_PER_SEC;
}

unsigned plan_subscriptions(void) {
        return world->plan->subscriptions;
}

PlanSink plan_sink(unsigned subscription) {
        return world->plan->sinks[subscription];
}

int plan_subscription(PlanSink sink) {
        for (unsigned i = 0; i < world->plan->subscriptions; i++)
                if (world->plan->sinks[i] == sink)
                        return (int) i;
        return -1;
}

const char *plan_config_path(void) {
        return world->plan->config;
}

unsigned plan_pulls_max(void) {
        return world->plan->pulls_max;
}

size_t plan_held_max(void) {
        /* of the configuration that ends, too, and what was let go, whose leases go on for a while, and what is being
         * acknowledged; beside them what waits aside, and scouts */
        return (3 * (size_t) world->plan->pulls_max + PULL_PLAN_ACKING_MAX) * world->plan->max_messages_max + 1000 + 60;
}

usec_t plan_hold_min(void) {
        return world->plan->hold_min * USEC_PER_SEC;
}

usec_t plan_reloaded(void) {
        return world->plan->reloaded;
}

bool plan_source_may_end(void) {
        return world->stopped_at > 0 || (world->plan->reloaded > 0 && world->now < world->plan->reloaded + SOURCE_ENDS);
}

usec_t plan_clock_set(void) {
        return world->plan->clock_set;
}

void plan_start(void) {
        world->plan->started = world->now;
}

usec_t plan_started(void) {
        return world->plan->started;
}

unsigned plan_max_rows(void) {
        return world->plan->max_rows;
}

bool plan_has_rule(unsigned rule) {
        if (rule == RULE_LONG || rule == RULE_RAISED)
                return world->plan->has_rule[RULE_LONG] && world->plan->raised == (rule == RULE_RAISED);
        return world->plan->has_rule[rule];
}

bool plan_has_target(unsigned target) {
        return world->plan->targets >> target & 1;
}

/* Those that the rule names, of those there are; all, if none of them is left. */
static unsigned told_by(unsigned rule) {
        const Plan *p = world->plan;

        return p->tells[rule] & p->targets ? p->tells[rule] & p->targets : p->targets;
}

bool plan_tells(unsigned rule, unsigned target) {
        return plan_has_rule(rule) && (told_by(rule) >> target & 1);
}

const char *plan_room_words(void) {
        return world->plan->long_names ? LONG_NAME : "";
}

bool plan_is_silent(void) {
        return world->plan->silent;
}

/* ---- the configuration ---- */

/* Without devices the last rule would have something to say. */
static bool draw_rule(Draw *d, unsigned rule) {
        return draw_below(d, 3) > 0 && !(world->plan->silent && rule == RULE_SILENT);
}

static void draw_rules(Draw *d) {
        Plan *p = world->plan;

        p->silent = draw_below(d, 3) == 0;
        p->long_names = draw_below(d, 8) == 0 && !world->home;
        if (p->long_names)
                p->devices = ALERT_DEVICES - 1; /* all of them may have something to say at once */
        p->targets = draw_below(d, 2) == 0 ? ALL_TARGETS : 1 + (unsigned) draw_below(d, ALL_TARGETS);
        for (unsigned i = 0; i < _RULE_MAX; i++) {
                p->has_rule[i] = i == RULE_HIGH || draw_rule(d, i);
                p->tells[i] = ALL_TARGETS;
        }
}

/* At a reload one of them may go or come, and one move. */
static void change_targets(Draw *d) {
        Plan *p = world->plan;
        unsigned target = (unsigned) draw_below(d, ALERT_TARGETS);
        bool had = plan_has_target(target);

        p->moved = draw_below(d, 2) == 0;
        if (p->targets == 1U << target || draw_below(d, 2) == 0)
                return;
        world_count(had ? "target removed" : "target added");
        p->targets ^= 1U << target;
        if (had)
                alerts_target_gone(target);
}

/* At a reload a rule may go or come, and tell others. The first one always stays. */
static void change_rules(Draw *d) {
        Plan *p = world->plan;
        bool had[_RULE_MAX];

        for (unsigned i = 0; i < _RULE_MAX; i++)
                had[i] = plan_has_rule(i);
        if (draw_below(d, 3) == 0)
                p->raised = !p->raised;
        for (unsigned i = 0; i < _RULE_MAX; i++) {
                if (i != RULE_HIGH && draw_below(d, 2) == 0)
                        p->has_rule[i] = draw_rule(d, i);
                if (draw_below(d, 3) == 0)
                        p->tells[i] = draw_below(d, 2) == 0 ? ALL_TARGETS : 1 + (unsigned) draw_below(d, ALL_TARGETS);
        }
        for (unsigned i = 0; i < _RULE_MAX; i++) {
                if (had[i] != plan_has_rule(i))
                        world_count(had[i] ? "rule removed" : "rule added");
                if (had[i] && !plan_has_rule(i))
                        alerts_rule_gone(i);
        }
        if (had[RULE_LONG] ? plan_has_rule(RULE_RAISED) : had[RULE_RAISED] && plan_has_rule(RULE_LONG))
                world_count("threshold changed");
}

static void draw_topology(Draw *d) {
        Plan *p = world->plan;
        unsigned first = (unsigned) draw_below(d, _SINK_MAX);

        p->devices = 1 + (unsigned) draw_skewed(d, 7);
        p->subscriptions = 1 + (unsigned) draw_below(d, SUBSCRIPTIONS_MAX);
        for (unsigned i = 0; i < p->subscriptions; i++)
                p->sinks[i] = (PlanSink) ((first + i) % _SINK_MAX);
        p->max_rows = draw_below(d, 4) == 0 ? 20 + (unsigned) draw_skewed(d, 2000) : 0;
        if (!world->home)
                return;
        p->devices = 3;
        p->subscriptions = 1;
        p->sinks[0] = SINK_MONGO;
}

static void draw_settings(Draw *d) {
        static const unsigned intervals[] = { 60, 60, 60, 30, 120, 300 }, holds[] = { 3600, 3600, 600, 60, 7200 };
        Plan *p = world->plan;

        p->interval = world->home ? 60 : intervals[draw_below(d, 6)];
        if (p->interval > p->interval_max)
                p->interval_max = p->interval;
        p->max_messages = draw_below(d, 3) == 0 ? 1 + (unsigned) draw_skewed(d, 999) : 1000;
        p->pulls = draw_below(d, 3) == 0 ? 1 + (unsigned) draw_below(d, 8) : 2;
        if (p->max_messages > p->max_messages_max)
                p->max_messages_max = p->max_messages;
        if (p->pulls > p->pulls_max)
                p->pulls_max = p->pulls;
        p->max_hold = holds[draw_below(d, 5)];
        if (p->hold_min == 0 || p->max_hold < p->hold_min)
                p->hold_min = p->max_hold;
        p->batch = 1 + (unsigned) draw_skewed(d, 199);
        sources_draw(d);
        p->repeat = draw_below(d, 2) == 0 ? 600 + (unsigned) draw_below(d, 7200) : 0;
}

static FILE *open_file(const char *name) {
        char path[512];
        FILE *file;

        (void) snprintf(path, sizeof(path), "%s/%s", world->plan->directory, name);
        file = fopen(path, "w");
        if (!file) {
                perror(path);
                exit(70);
        }
        return file;
}

static void write_to(FILE *file, unsigned tells) {
        const char *before = ", to: [";

        if (tells == world->plan->targets)
                return;
        for (unsigned i = 0; i < ALERT_TARGETS; i++)
                if (tells >> i & 1) {
                        fprintf(file, "%s%s", before, alerts_target_names[i]);
                        before = ", ";
                }
        fprintf(file, "]");
}

/* So that it says of which of the two it is. */
#define RESOLVED(threshold) "\"{rule}: over after {duration}, {name} is at {value}, " threshold " no more\""

static void write_alert(FILE *file) {
        static const char *const rules[_RULE_MAX] = { "field: /newest_events/hu/val, above: 70",
                "field: /newest_events/hu/val, above: 70, clear: 50, for: 5m, resolved: " RESOLVED(ALERT_NOT_RAISED),
                "where: { source: home }, stale: 20m",
                "field: /newest_events/hu/val, above: 75, clear: 55, for: 5m, resolved: " RESOLVED(ALERT_RAISED) };
        static const char *const targets[ALERT_TARGETS] = { "type: line, token_file: line.token, recipient: U1",
                "type: slack, url_file: slack.url", "type: webhook, url: https://pager.example/in",
                "type: ntfy, url: https://ntfy.example, topic: home, token_file: ntfy.token",
                "type: slack, url_file: discord.url" };
        const Plan *p = world->plan;

        fprintf(file, "    alert:\n      targets:\n");
        for (unsigned i = 0; i < ALERT_TARGETS; i++)
                if (plan_has_target(i))
                        fprintf(file, "        - { name: %s, %s%s }\n", alerts_target_names[i], targets[i],
                                i == TARGET_PAGER - ALERT_TARGET_FIRST && p->moved ? "-2" : "");
        fprintf(file, "      rules:\n");
        for (unsigned i = 0; i < _RULE_MAX; i++) {
                if (!plan_has_rule(i))
                        continue;
                fprintf(file, "        - { name: %s, %s", alerts_rule_names[i], rules[i]);
                if (p->repeat > 0 && i != RULE_HIGH)
                        fprintf(file, ", repeat: %us", p->repeat);
                write_to(file, told_by(i));
                fprintf(file, " }\n");
        }
}

static void write_sink(FILE *file, unsigned i) {
        const Plan *p = world->plan;

        fprintf(file, "  - subscription: sub-%u\n    max_messages: %u\n    pulls: %u\n    max_hold: %us\n", i,
                p->max_messages, p->pulls, p->max_hold);
        switch (p->sinks[i]) {
        case SINK_MONGO:
                fprintf(file, "    mongodb:\n      uri: mongodb://mongo.example:27017/\n      database: home\n"
                              "      collection: readings\n");
                break;
        case SINK_HOOK:
                fprintf(file, "    webhook:\n      url: https://hook.example/in\n      batch: %u\n", p->batch);
                break;
        case SINK_FILE:
                fprintf(file, "    file:\n      directory: archive\n      compress: none\n");
                break;
        case SINK_ALERT:
                write_alert(file);
                break;
        case _SINK_MAX:
                break;
        }
}

void plan_write_config(void) {
        const Plan *p = world->plan;
        FILE *file = open_file("sensorqd.yaml");

        fprintf(file,
                "state_dir: " PLAN_STATE "\npubsub:\n  project: " PUBSUB_PROJECT "\n  credentials_file: key.json\n");
        fprintf(file, "publish:\n  topic: " PUBSUB_TOPIC "\n");
        if (p->max_rows > 0)
                fprintf(file, "  outbox: { max_rows: %u }\n", p->max_rows);
        fprintf(file,
                "  sources:\n    - name: home\n      type: nature_remo\n      interval: %us\n      token_file: "
                "remo.token\n",
                p->interval);
        sources_write(file);
        fprintf(file, "subscribe:\n");
        for (unsigned i = 0; i < p->subscriptions; i++)
                write_sink(file, i);
        (void) fclose(file);
}

/* ---- what is planned ---- */

static void again(void (*run)(void *subject, uint64_t number), usec_t mean) {
        world_in(mean / 10 + draw_below(&world->chance, 2 * mean), run, NULL, mean, 0);
}

/* *number*: the mean time between two. */
static void on_death(void *subject, uint64_t number) {
        again(on_death, number);
        if (world->life == 0 || world->death_in > 0 || !weather_may("a death is near"))
                return;
        world->death_in = 1 + draw_skewed(&world->chance, 40);
        world->death_is_cut = draw_below(&world->chance, 3) == 0;
}

static void on_stop(void *subject, uint64_t number) {
        again(on_stop, number);
        if (world->life == 0 || !weather_may("SIGTERM"))
                return;
        world_count("stop");
        plan_stop();
}

void plan_stop(void) {
        if (world->stopped_at == 0) {
                world->stopped_at = world->now;
                world->stopped_asleep = world->asleep;
        }
        door_signal(SIGTERM);
}

static void on_reload(void *subject, uint64_t number) {
        again(on_reload, number);
        if (world->life == 0 || !weather_may("SIGHUP"))
                return;
        world_count("reload");
        draw_settings(&world->chance);
        change_rules(&world->chance);
        change_targets(&world->chance);
        plan_write_config();
        world->plan->reloaded = world->now;
        talk_reloaded();
        world->reloaded = world->life;
        door_signal(SIGHUP);
}

static void on_sleep(void *subject, uint64_t number) {
        usec_t span;

        again(on_sleep, number);
        if (!weather_may("the machine sleeps"))
                return;
        span = draw_skewed(&world->chance, 4 * USEC_PER_HOUR);
        world_count("sleep");
        world->now += span;
        world->asleep += span;
        world->woke = world->now;
}

static void on_clock(void *subject, uint64_t number) {
        again(on_clock, number);
        if (!weather_may("the wall clock is set"))
                return;
        world_count("clock set");
        world->plan->clock_set = world->now;
        world->skew = 0;
        if (draw_below(&world->chance, 2) == 0)
                world->skew = (int64_t) draw_skewed(&world->chance, 2 * USEC_PER_HOUR) - (int64_t) USEC_PER_HOUR;
}

static void on_disk_well(void *subject, uint64_t number) {
        world_trace("the disk is well");
        disk_set_faults(world->disk, &DISK_FAULTS_NONE);
}

static DiskFaults draw_disk_faults(void) {
        DiskFaults faults = DISK_FAULTS_NONE;
        unsigned chance = 1000U << draw_below(&world->chance, 10);

        switch (draw_below(&world->chance, 4)) {
        case 0:
                faults.size = 0; /* nothing more fits */
                break;
        case 1:
                faults.read_only = true;
                break;
        case 2:
                faults.write_error = chance;
                break;
        default:
                faults.sync_error = chance;
        }
        return faults;
}

static void on_disk_bad(void *subject, uint64_t number) {
        usec_t span = draw_skewed(&world->chance, 30 * USEC_PER_MINUTE);
        DiskFaults faults = draw_disk_faults();

        again(on_disk_bad, number);
        if (!weather_may(faults.size == 0   ? "the disk is full"
                         : faults.read_only ? "the disk is read-only"
                                            : "the disk fails"))
                return;
        world_count(faults.size == 0 ? "disk full" : faults.read_only ? "disk read-only" : "disk errors");
        disk_set_faults(world->disk, &faults);
        world->disk_bad_until = world->now + span;
        world_in(span, on_disk_well, NULL, 0, 0);
}

static void on_revoke(void *subject, uint64_t number) {
        again(on_revoke, number);
        if (!weather_may("tokens are revoked"))
                return;
        world_count("tokens revoked");
        remotes_revoke_tokens();
}

static void plan_events(Draw *d) {
        static const struct {
                void (*run)(void *subject, uint64_t number);
                usec_t mean;
        } kinds[] = {
                { on_death, 3 * USEC_PER_HOUR },
                { on_stop, 12 * USEC_PER_HOUR },
                { on_reload, 8 * USEC_PER_HOUR },
                { on_sleep, 24 * USEC_PER_HOUR },
                { on_clock, 12 * USEC_PER_HOUR },
                { on_revoke, 12 * USEC_PER_HOUR },
                { on_disk_bad, 24 * USEC_PER_HOUR },
        };

        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
                if (draw_below(d, 3) > 0)
                        again(kinds[i].run, kinds[i].mean >> draw_below(d, 5));
}

void plan_calm(void) {
        world->skew = 0;
        world->death_in = 0;
        pubsub_calm();
        sources_calm();
        if (world->disk_bad_until > world->now)
                world->disk_bad_until = world->now;
        disk_set_faults(world->disk, &DISK_FAULTS_NONE);
}

void plan_new(const char *directory) {
        Draw d = draw_split(&world->chance, 'p');
        Plan *p = arena_alloc(sizeof(Plan));

        world->plan = p;
        p->directory = arena_text(directory);
        (void) snprintf(p->config, sizeof(p->config), "%s/sensorqd.yaml", directory);
        sources_new();
        draw_topology(&d);
        draw_rules(&d);
        draw_settings(&d);
        plan_events(&d);
        plan_write_config();
        for (unsigned i = 0; i < p->subscriptions; i++)
                counts_add_at("sink ", (const char *const[]){ "mongodb", "webhook", "file", "alert" }[p->sinks[i]]);
}
