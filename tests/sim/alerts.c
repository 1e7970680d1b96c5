/* SPDX-License-Identifier: Apache-2.0 */
#include "alerts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "counts.h"
#include "ledger.h"
#include "plan.h"
#include "sinks/alert-store.h"

#define TOLD_WITHIN (3 * USEC_PER_MINUTE)     /* while nothing goes wrong, and nothing did for ... */
#define UNDISTURBED (45 * USEC_PER_MINUTE)    /* ... so long */
#define SEALED_WITHIN (2 * USEC_PER_MINUTE)   /* after a start, what was sealed before is sent again */
#define DISK_PATIENCE (5 * USEC_PER_MINUTE)   /* after it is well, the store may wait for so long */
#define KEY_LIFE (22 * USEC_PER_HOUR)         /* a key is not relied on for longer than about a day */
#define DEATH_CHANCE 30000                    /* per million requests: where it hurts */
#define LEVEL_SPAN_MIN (10 * USEC_PER_MINUTE) /* a device's level stays for so long at least */
#define LEVEL_SPAN_MAX (3 * USEC_PER_HOUR)    /* ... and at most */

const char *const alerts_rule_names[_RULE_MAX] = { "high", "long", "silent", "long" };
const char *const alerts_target_names[ALERT_TARGETS] = { "line", "slack", "pager", "ntfy", "discord" };

/* What a rule thinks of a device, as of the last commit. */
typedef struct Shadow {
        bool there, firing;
        usec_t judged;  /* time of the newest message that counted */
        usec_t changed; /* world time when it began to fire, or ended */
} Shadow;

/* What a target was told of a rule and a device. */
typedef struct Told {
        bool firing;       /* it believes that it fires */
        bool over;         /* it believes that it is over */
        uint32_t serial;   /* of what it was told last */
        AlertWord word;    /* likewise */
        bool unsure, lost; /* the daemon did not record it; nor had the answer */
        unsigned life;     /* of the daemon that sent it */
        usec_t at;
        bool given_up;        /* the target refused it for good */
        bool forgotten;       /* the target was out of the configuration, and was not told since it is back */
        bool known;           /* the daemon's store says that the target believes that it fires */
        bool older;           /* ... of an earlier time than the last */
        unsigned sealed, due; /* entries as of the last commit: sealed; over and not told yet */
} Told;

typedef struct Level {
        double value;
        bool silent;
        usec_t until;
} Level;

typedef struct Alerts {
        Level levels[ALERT_DEVICES];
        Shadow shadows[_RULE_MAX][ALERT_DEVICES];
        Told told[ALERT_TARGETS][_RULE_MAX][ALERT_DEVICES];
        usec_t newest[ALERT_DEVICES]; /* request_at of the newest message that was judged, and its level */
        double newest_level[ALERT_DEVICES];
        bool waits[ALERT_TARGETS]; /* something was sealed when the store was opened, and nothing was sent since */
        unsigned opened;           /* the life that opened the store last */
} Alerts;

void alerts_new(void) {
        world->alerts = arena_alloc(sizeof(Alerts));
}

void alerts_begin(void) {
        memset(world->alerts->waits, 0, sizeof(world->alerts->waits));
}

/* ---- devices ---- */

bool alerts_level(unsigned device, double *ret) {
        static const double levels[] = { 20, 20, 60, 90 };
        Level *level = &world->alerts->levels[device];

        if (world->phase != PHASE_WEATHER)
                level->silent = false;
        else if (world->now >= level->until) {
                level->value = levels[draw_below(&world->chance, 4)];
                level->silent = draw_below(&world->chance, 12) == 0;
                level->until = world->now + LEVEL_SPAN_MIN + draw_skewed(&world->chance, LEVEL_SPAN_MAX);
        }
        *ret = level->value;
        return !level->silent;
}

/* *limit*: its threshold; NULL: it has none. */
static unsigned rule_of(const char *name, const char *limit) {
        unsigned rule = 0;

        while (rule < _RULE_MAX && strcmp(name, alerts_rule_names[rule]) != 0)
                rule++;
        return rule == RULE_LONG && limit && strcmp(limit, &ALERT_RAISED[strlen("above ")]) == 0 ? RULE_RAISED : rule;
}

static unsigned watched_rule(const AlertWatch *watch) {
        return rule_of(watch->rule->name, watch->limit);
}

AlertRuleNumber alerts_long_rule(Target target, unsigned device) {
        Told(*told)[ALERT_DEVICES] = world->alerts->told[target - ALERT_TARGET_FIRST];

        if ((told[RULE_LONG][device].sealed > 0) != (told[RULE_RAISED][device].sealed > 0))
                return told[RULE_LONG][device].sealed > 0 ? RULE_LONG : RULE_RAISED;
        if (told[RULE_LONG][device].firing != told[RULE_RAISED][device].firing)
                return told[RULE_LONG][device].firing ? RULE_LONG : RULE_RAISED;
        return plan_has_rule(RULE_RAISED) ? RULE_RAISED : RULE_LONG;
}

static unsigned target_of(const char *name) {
        unsigned target = 0;

        while (target < ALERT_TARGETS && strcmp(name, alerts_target_names[target]) != 0)
                target++;
        if (target == ALERT_TARGETS)
                world_fail("a target that is not there: %s", name);
        return target;
}

static unsigned device_of(const AlertDevice *device) {
        return device->name && strncmp(device->name, ALERT_ROOM, strlen(ALERT_ROOM)) == 0
                       ? (unsigned) strtoul(device->name + strlen(ALERT_ROOM), NULL, 10)
                       : ALERT_DEVICES - 1;
}

/* ---- what targets are told ---- */

static const char *const said[] = { "firing", "repeat", "resolved", "ended", "removed" };

static bool is_keyed(unsigned target) {
        return target + ALERT_TARGET_FIRST == TARGET_LINE || target + ALERT_TARGET_FIRST == TARGET_PAGER;
}

/* The daemon need not know that the target was told before: it died, or had no answer. A target with keys would have
 * known the message. */
static bool is_excused(const Exchange *x, unsigned target, const Told *told) {
        if (is_keyed(target))
                return told->unsure && world->now - told->at > KEY_LIFE;
        return x->life != world->life || (told->unsure && (told->lost || told->life != x->life));
}

static void count_word(unsigned target, AlertWord word, bool again) {
        char text[48];

        (void) snprintf(
                text, sizeof(text), "alert %s %s%s", alerts_target_names[target], said[word], again ? " again" : "");
        counts_add(text);
}

/* Whether *word* may follow what the target knows, and the daemon knows that it does. */
static bool may_follow(const Told *told, AlertWord word, uint32_t serial) {
        switch (word) {
        case SAYS_FIRING: /* of what ended and fires again, the end is not told where that came first */
                return !told->firing || told->serial != serial;
        case SAYS_ENDED:
                return !told->firing;
        default:
                return told->firing && (!told->unsure || told->word == SAYS_REPEAT);
        }
}

void alerts_told(const Exchange *x, AlertWord word, unsigned rule, unsigned device, uint32_t serial) {
        unsigned target = x->target - ALERT_TARGET_FIRST;
        Told *told = &world->alerts->told[target][rule][device];
        bool good = may_follow(told, word, serial), again = told->unsure || !good;

        world_trace("%s is told: %s %s %u, %u", alerts_target_names[target], alerts_rule_names[rule], said[word],
                device, serial);
        good = good || told->forgotten;
        if (told->unsure && is_keyed(target) && !told->forgotten && !is_excused(x, target, told))
                world_fail(
                        "%s knew that %s %s for device %u, has no record of it yet, and is told under another key: %s",
                        alerts_target_names[target], alerts_rule_names[rule], said[told->word], device, said[word]);
        if (!good && !told->given_up && !is_excused(x, target, told))
                world_fail("%s was told that %s %s for device %u, and is told now: %s", alerts_target_names[target],
                        alerts_rule_names[rule], said[told->word], device, said[word]);
        count_word(target, word, again);
        told->firing = word <= SAYS_REPEAT;
        told->over = !told->firing;
        told->serial = serial;
        told->word = word;
        told->unsure = told->lost = plan_has_target(target); /* of one that was taken out there is no record any more */
        told->given_up = false;
        told->forgotten = told->forgotten && !plan_has_target(target);
        told->life = x->life;
        told->at = world->now;
}

void alerts_answered(const Exchange *x) {
        for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                for (unsigned device = 0; device < ALERT_DEVICES; device++) {
                        Told *told = &world->alerts->told[x->target - ALERT_TARGET_FIRST][rule][device];

                        if (told->at >= x->started && told->life == x->life)
                                told->lost = false;
                }
}

void alerts_asked(Target target) {
        world->alerts->waits[target - ALERT_TARGET_FIRST] = false;
        if (world->death_in == 0 && draw_chance(&world->chance, DEATH_CHANCE) &&
                weather_may("a death is near a notice")) {
                world->death_in = 1 + draw_skewed(&world->chance, 40);
                world->death_is_cut = draw_below(&world->chance, 3) == 0;
        }
}

void alerts_refused(const char *target, const char *about) {
        const char *room = strstr(about, ALERT_ROOM);
        unsigned device = room ? (unsigned) strtoul(room + strlen(ALERT_ROOM), NULL, 10) : ALERT_DEVICES - 1;

        for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                if (strncmp(about, alerts_rule_names[rule], strlen(alerts_rule_names[rule])) == 0)
                        world->alerts->told[target_of(target)][rule][device].given_up = true;
}

/* ---- what the daemon notes ---- */

static const AlertTurn *the_turn; /* that runs */

static const char *find_after(const WireMessage *message, const char *before) {
        const char *found = memmem(message->data.data, message->data.size, before, strlen(before));

        if (!found)
                world_fail("a message without %s: %.*s", before, (int) message->data.size, message->data.data);
        return found + strlen(before);
}

static void note_message(const SinkItem *item) {
        const WireMessage *message = item->message;
        unsigned device;
        const char *at;
        int64_t msec;

        ledger_judged((unsigned) plan_subscription(SINK_ALERT), ledger_find(message->data.data, message->data.size));
        if (!memmem(message->data.data, message->data.size, ALERT_ROOM, strlen(ALERT_ROOM)))
                return; /* of a source that no rule is about */
        device = (unsigned) strtoul(find_after(message, ALERT_ROOM), NULL, 10);
        at = find_after(message, "\"request_at\":\"");
        if (!clock_parse_rfc3339(at, strcspn(at, "\""), &msec))
                world_fail("request_at is not a time: %.*s", (int) message->data.size, message->data.data);
        if ((usec_t) msec * USEC_PER_MSEC <= world->alerts->newest[device])
                return;
        world->alerts->newest[device] = (usec_t) msec * USEC_PER_MSEC;
        world->alerts->newest_level[device] = strtod(find_after(message, "\"hu\":{\"val\":"), NULL);
}

/* The state of a rule without a memory follows from the newest message. */
static void check_truth(void) {
        for (unsigned device = 0; device < plan_devices(); device++) {
                const Shadow *shadow = &world->alerts->shadows[RULE_HIGH][device];

                if (world->alerts->newest[device] == 0)
                        continue;
                if (!shadow->there || shadow->judged < world->alerts->newest[device])
                        world_fail("the newest message of device %u was not judged", device);
                if (shadow->judged > world->alerts->newest[device])
                        continue; /* by a daemon that died before it knew that this was committed */
                if (shadow->firing != (world->alerts->newest_level[device] > 70))
                        world_fail("%s %s for device %u, whose last value is %f", alerts_rule_names[RULE_HIGH],
                                shadow->firing ? "fires" : "does not fire", device,
                                world->alerts->newest_level[device]);
        }
}

static void note_slot(unsigned device, const AlertSlot *slot, const AlertRules *rules) {
        unsigned rule = watched_rule(&rules->items[slot->watch]);
        Shadow *shadow = &world->alerts->shadows[rule][device];
        bool firing = slot->state.phase == PHASE_FIRING;

        if (!plan_has_rule(rule)) /* the daemon has not heard of that yet */
                return;
        if (shadow->firing != firing)
                shadow->changed = world->now;
        shadow->there = true;
        shadow->firing = firing;
        shadow->judged = slot->state.judged;
}

static Told *told_of(const AlertDevice *device, const AlertEntry *entry) {
        unsigned rule = rule_of(entry->rule, entry->limit);

        if (rule == _RULE_MAX)
                world_fail("a rule that is not there: %s", entry->rule);
        return &world->alerts->told[target_of(entry->target)][rule][device_of(device)];
}

void alerts_rule_gone(unsigned rule) {
        memset(world->alerts->shadows[rule], 0, sizeof(world->alerts->shadows[rule]));
}

void alerts_target_gone(unsigned target) {
        for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                for (unsigned device = 0; device < ALERT_DEVICES; device++) {
                        world->alerts->told[target][rule][device].forgotten = true;
                        world->alerts->told[target][rule][device].unsure = false;
                }
}

static void note_entries(const AlertDevice *device) {
        for (const AlertEntry *entry = device->entries; entry; entry = entry->next) {
                Told *told = told_of(device, entry);

                told->sealed += entry->seal[0] != '\0' && !entry->gone;
                told->due += entry->until > 0 && !entry->gone;
                told->known = told->known || (entry->told_since > 0 && !entry->gone);
                told->older =
                        told->older || (entry->told_since > 0 && entry->told_since != entry->since && !entry->gone);
        }
}

static void forget_entries(void) {
        for (unsigned target = 0; target < ALERT_TARGETS; target++)
                for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                        for (unsigned device = 0; device < ALERT_DEVICES; device++) {
                                Told *told = &world->alerts->told[target][rule][device];

                                told->sealed = told->due = 0;
                                told->known = told->older = false;
                        }
}

static void note_book(const AlertBook *book) {
        forget_entries();
        for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                for (unsigned device = 0; device < ALERT_DEVICES; device++)
                        world->alerts->shadows[rule][device].there = false;
        for (size_t i = 0; i < book->n_devices; i++) {
                const AlertDevice *device = book->devices[i];

                for (size_t k = 0; k < device->n_slots; k++)
                        note_slot(device_of(device), &device->slots[k], book->rules);
                note_entries(device);
        }
}

/* Those whose answers are on disk with the next commit: the entry's memory is kept until then. */
typedef struct Receipt {
        Told *told;
        AlertVerdict verdict;
} Receipt;

static Receipt receipts[10000];
static size_t n_receipts;
static const AlertBook *the_book; /* as it was opened */

static Told *find_entry(const AlertEntry *wanted) {
        for (size_t i = 0; i < the_book->n_devices; i++)
                for (const AlertEntry *entry = the_book->devices[i]->entries; entry; entry = entry->next)
                        if (entry == wanted)
                                return told_of(the_book->devices[i], entry);
        return NULL;
}

void __real_alert_entry_answer(AlertEntry *entry, AlertVerdict verdict, usec_t wall);
void __wrap_alert_entry_answer(AlertEntry *entry, AlertVerdict verdict, usec_t wall);

void __wrap_alert_entry_answer(AlertEntry *entry, AlertVerdict verdict, usec_t wall) {
        receipts[n_receipts++] = (Receipt){ find_entry(entry), verdict };
        __real_alert_entry_answer(entry, verdict, wall);
}

static void note_receipts(void) {
        for (size_t i = 0; i < n_receipts; i++)
                if (receipts[i].verdict == ALERT_ACCEPTED)
                        receipts[i].told->unsure = false;
        n_receipts = 0;
}

/* What died under way to the disk, or failed there, may have come there. */
static void note_luck(void) {
        for (unsigned target = 0; target < ALERT_TARGETS; target++)
                for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                        for (unsigned device = 0; device < ALERT_DEVICES; device++) {
                                Told *told = &world->alerts->told[target][rule][device];

                                if (told->sealed == 0 && told->known == told->firing && !told->older)
                                        told->unsure = false;
                        }
}

static void on_due(void *subject, uint64_t number);

static void await_changes(void) {
        for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                for (unsigned device = 0; device < ALERT_DEVICES; device++)
                        if (world->alerts->shadows[rule][device].changed == world->now)
                                world_in(TOLD_WITHIN, on_due, NULL, rule * ALERT_DEVICES + device, world->life);
}

int __real_alert_store_commit(AlertStore *store);
int __wrap_alert_store_commit(AlertStore *store);

static bool commit_failed; /* the last one */

int __wrap_alert_store_commit(AlertStore *store) {
        int r;

        world_door("alert commit");
        r = __real_alert_store_commit(store);
        if (r == 0) {
                for (size_t i = 0; i < the_turn->n_items; i++)
                        note_message(&the_turn->items[i]);
                note_receipts();
                the_book = alert_store_book(store);
                note_book(the_book);
                if (commit_failed)
                        note_luck();
                check_truth();
                await_changes();
        }
        commit_failed = r != 0;
        world_door("alert committed");
        return r;
}

void __real_alert_work_run(AlertStore *store, AlertTurn *turn);
void __wrap_alert_work_run(AlertStore *store, AlertTurn *turn);

void __wrap_alert_work_run(AlertStore *store, AlertTurn *turn) {
        the_turn = turn;
        __real_alert_work_run(store, turn);
        the_turn = NULL;
}

/* ---- what a daemon finds when it starts ---- */

static void check_slot(unsigned device, const AlertSlot *slot, const AlertRules *rules) {
        unsigned rule = watched_rule(&rules->items[slot->watch]);
        Shadow *shadow = &world->alerts->shadows[rule][device];

        if (!shadow->there)
                return;
        shadow->there = false; /* found */
        if (slot->state.judged < shadow->judged)
                world_fail("%s of device %u was committed as of a message %" PRIu64
                           " s newer than what is in the store",
                        alerts_rule_names[rule], device, (shadow->judged - slot->state.judged) / USEC_PER_SEC);
}

static void check_book(const AlertBook *book) {
        for (size_t i = 0; i < book->n_devices; i++)
                for (size_t k = 0; k < book->devices[i]->n_slots; k++)
                        check_slot(device_of(book->devices[i]), &book->devices[i]->slots[k], book->rules);
        for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                for (unsigned device = 0; device < ALERT_DEVICES - 1; device++)
                        if (world->alerts->shadows[rule][device].there)
                                world_fail("what was committed of %s and device %u is not in the store",
                                        alerts_rule_names[rule], device);
}

/* *number*: the target. */
static void on_sealed(void *subject, uint64_t number) {
        if (!world->alerts->waits[number] || world->stopped_at > 0 || !plan_has_target((unsigned) number))
                return;
        if (world->now < world->disk_bad_until + DISK_PATIENCE || world->now < world->woke + SEALED_WITHIN)
                return world_in(SEALED_WITHIN, on_sealed, NULL, number, world->life);
        world_fail("what was sealed for %s before the start is not sent again within %d min",
                alerts_target_names[number], (int) (SEALED_WITHIN / USEC_PER_MINUTE));
}

static void await_sealed(void) {
        for (unsigned target = 0; target < ALERT_TARGETS; target++) {
                bool *waits = &world->alerts->waits[target];

                *waits = false;
                for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                        for (unsigned device = 0; device < ALERT_DEVICES; device++)
                                *waits = *waits || world->alerts->told[target][rule][device].sealed > 0;
                if (!*waits)
                        continue;
                world_count("sealed before a start");
                world_in(SEALED_WITHIN, on_sealed, NULL, target, world->life);
        }
}

int __real_alert_store_open(AlertStore *store, const AlertMoment *moment);
int __wrap_alert_store_open(AlertStore *store, const AlertMoment *moment);

int __wrap_alert_store_open(AlertStore *store, const AlertMoment *moment) {
        int r = __real_alert_store_open(store, moment);

        if (r < 0 || world->alerts->opened == world->life)
                return r;
        world->alerts->opened = world->life;
        the_book = alert_store_book(store);
        n_receipts = 0;
        check_book(alert_store_book(store));
        note_book(alert_store_book(store));
        note_luck();
        await_sealed();
        return r;
}

/* ---- whether all is told ---- */

static bool is_told(unsigned target, unsigned rule, unsigned device) {
        const Told *told = &world->alerts->told[target][rule][device];
        bool firing = plan_tells(rule, target) && world->alerts->shadows[rule][device].firing;

        return told->given_up || !plan_has_target(target) || (told->forgotten && told->firing) ||
               told->firing == firing;
}

/* *number*: rule and device. */
static void on_due(void *subject, uint64_t number) {
        unsigned rule = (unsigned) number / ALERT_DEVICES, device = (unsigned) number % ALERT_DEVICES;
        const Shadow *shadow = &world->alerts->shadows[rule][device];

        if (shadow->changed + TOLD_WITHIN != world->now || world->now < world->disturbed + UNDISTURBED ||
                world->now < world->disk_bad_until + UNDISTURBED || world->stopped_at > 0)
                return;
        world_count("alert looked at in quiet");
        for (unsigned target = 0; target < ALERT_TARGETS; target++)
                if (!is_told(target, rule, device))
                        world_fail("%s was not told within %d min that %s %s for device %u, and nothing went wrong",
                                alerts_target_names[target], (int) (TOLD_WITHIN / USEC_PER_MINUTE),
                                alerts_rule_names[rule], shadow->firing ? "fires" : "is over", device);
}

/* What the values are in the calm is known. */
static bool should_fire(unsigned rule, unsigned device, bool before) {
        double level = world->alerts->levels[device].value;

        if (rule == RULE_SILENT)
                return plan_is_silent() && before;
        return level > 70 || ((rule == RULE_LONG || rule == RULE_RAISED) && level > 55 && before);
}

/* What is not as it should be, in words; NULL: all is. */
static const char *find_fault(unsigned target, unsigned rule, unsigned device) {
        const Shadow *shadow = &world->alerts->shadows[rule][device];
        const Told *told = &world->alerts->told[target][rule][device];

        if (plan_has_rule(rule) && device < plan_devices() && shadow->judged > 0 && !plan_is_silent() &&
                shadow->firing != should_fire(rule, device, shadow->firing))
                return "has another state than its readings say";
        if (!is_told(target, rule, device))
                return "is not told";
        if (!plan_has_target(target))
                return NULL;
        if (told->sealed > 0)
                return "is sealed and not sent";
        return told->due > 0 ? "is due and not sent" : told->unsure && !told->given_up ? "is not recorded" : NULL;
}

bool alerts_settled(void) {
        if (plan_subscription(SINK_ALERT) < 0)
                return true;
        for (unsigned target = 0; target < ALERT_TARGETS; target++)
                for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                        for (unsigned device = 0; device < ALERT_DEVICES; device++)
                                if (find_fault(target, rule, device))
                                        return false;
        return true;
}

void alerts_check(void) {
        if (plan_subscription(SINK_ALERT) < 0)
                return;
        for (unsigned target = 0; target < ALERT_TARGETS; target++)
                for (unsigned rule = 0; rule < _RULE_MAX; rule++)
                        for (unsigned device = 0; device < ALERT_DEVICES; device++) {
                                const char *fault = find_fault(target, rule, device);

                                if (fault)
                                        world_fail("what %s of device %u is to say to %s %s", alerts_rule_names[rule],
                                                device, alerts_target_names[target], fault);
                        }
}
