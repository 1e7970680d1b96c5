/* SPDX-License-Identifier: Apache-2.0 */
#include "weather.h"

#include <stdio.h>

#include "arena.h"
#include "counts.h"

static const char *const fault_names[_FAULT_MAX] = { "none", "unreachable", "tls", "lost", "cut early", "unanswered",
        "cut late", "slow", "denied", "missing", "busy", "broken", "broken late", "unauthorized", "portal", "proxy",
        "garbled" };
static const char *const target_names[_TARGET_MAX] = { "pull", "publish", "ack", "look", "token", "remo", "hook",
        "line", "slack", "pager", "ntfy", "discord", "points", "push", "program", "broker", "mongo", "disk" };

#define BIT(target) (1U << (target))
#define PUBSUB (BIT(TARGET_PULL) | BIT(TARGET_PUBLISH) | BIT(TARGET_ACK) | BIT(TARGET_LOOK))
#define GOOGLE (PUBSUB | BIT(TARGET_TOKEN))
#define ALERTS (BIT(TARGET_LINE) | BIT(TARGET_SLACK) | BIT(TARGET_PAGER) | BIT(TARGET_NTFY) | BIT(TARGET_DISCORD))
#define INTERNET (GOOGLE | ALERTS | BIT(TARGET_REMO) | BIT(TARGET_POINTS) | BIT(TARGET_HOOK))
#define SENSORS (BIT(TARGET_REMO) | BIT(TARGET_POINTS) | BIT(TARGET_PUSH) | BIT(TARGET_PROGRAM) | BIT(TARGET_BROKER))
#define ALL (INTERNET | SENSORS | BIT(TARGET_MONGO))

const char *weather_fault_name(Fault fault) {
        return fault_names[fault];
}

const char *weather_target_name(Target target) {
        return target_names[target];
}

static unsigned draw_targets(Draw *d) {
        static const unsigned groups[] = { PUBSUB, GOOGLE, INTERNET, INTERNET, ALERTS, SENSORS, ALL };

        if (draw_below(d, 3) == 0)
                return groups[draw_below(d, sizeof(groups) / sizeof(groups[0]))];
        return BIT(draw_below(d, TARGET_DISK));
}

/* One kind of outage, or a mixture. */
static Fault draw_only(Draw *d) {
        static const Fault usual[] = { FAULT_UNREACHABLE, FAULT_LOST, FAULT_UNANSWERED, FAULT_BUSY, FAULT_BROKEN };

        switch (draw_below(d, 4)) {
        case 0:
                return FAULT_NONE;
        case 1:
                return (Fault) draw_between(d, 1, _FAULT_MAX - 1);
        default:
                return usual[draw_below(d, sizeof(usual) / sizeof(usual[0]))];
        }
}

static void add_spell(Draw *d, usec_t from, usec_t span) {
        static const unsigned densities[] = { 20000, 100000, 300000, 700000, 1000000, 1000000 };
        Weather *w = world->weather;

        if (w->n < SPELLS_MAX)
                w->spells[w->n++] = (Spell){ from, from + span, draw_targets(d),
                        densities[draw_below(d, sizeof(densities) / sizeof(densities[0]))], draw_only(d) };
}

void weather_new(void) {
        static const struct {
                const char *name;
                unsigned base;
                usec_t pause, span; /* between spells, and of them, at most */
        } kinds[] = {
                { "calm", 200, 12 * USEC_PER_HOUR, 10 * USEC_PER_MINUTE },
                { "breeze", 2000, 4 * USEC_PER_HOUR, 30 * USEC_PER_MINUTE },
                { "gusts", 10000, USEC_PER_HOUR, 20 * USEC_PER_MINUTE },
                { "storm", 50000, 30 * USEC_PER_MINUTE, USEC_PER_HOUR },
                { "outages", 1000, 8 * USEC_PER_HOUR, 6 * USEC_PER_HOUR },
        };
        Draw d = draw_split(&world->chance, 'w');
        size_t kind = draw_below(&d, sizeof(kinds) / sizeof(kinds[0]));
        usec_t at = world->now;

        world->weather = arena_alloc(sizeof(Weather));
        world->weather->base = kinds[kind].base;
        world->weather->kind = kinds[kind].name;
        counts_add_at("weather ", kinds[kind].name);
        while (at < world->end) {
                at += 1 + draw_skewed(&d, kinds[kind].pause);
                add_spell(&d, at, 1 + draw_skewed(&d, kinds[kind].span));
        }
}

/* Each as often as the others, but what an answer can say more seldom than what the way to it can do. */
static Fault draw_fault(void) {
        static const Fault way[] = { FAULT_UNREACHABLE, FAULT_LOST, FAULT_CUT_EARLY, FAULT_UNANSWERED, FAULT_CUT_LATE,
                FAULT_SLOW, FAULT_BUSY, FAULT_BROKEN };

        if (draw_below(&world->chance, 2) == 0)
                return way[draw_below(&world->chance, sizeof(way) / sizeof(way[0]))];
        return (Fault) draw_between(&world->chance, 1, _FAULT_MAX - 1);
}

bool weather_may(const char *what) {
        if (world->phase != PHASE_WEATHER || world->faults >= world->fault_limit)
                return false;
        world->faults++;
        world->disturbed = world->now;
        world_trace("fault %" PRIu64 ": %s", world->faults, what);
        return true;
}

/* The strongest spell over the target decides. */
static const Spell *find_spell(Target target) {
        const Weather *w = world->weather;
        const Spell *found = NULL;

        for (size_t i = 0; i < w->n; i++) {
                const Spell *spell = &w->spells[i];

                if (spell->from <= world->now && world->now < spell->to && (spell->targets & BIT(target)) &&
                        (!found || spell->density > found->density))
                        found = spell;
        }
        return found;
}

/* Outside of spells. Targets of alerts are asked a hundred times more rarely than others. */
static unsigned base_of(Target target) {
        unsigned base = world->weather->base;

        if (!(BIT(target) & ALERTS))
                return base;
        return base < PER_MILLION / 40 ? base * 20 : PER_MILLION / 2;
}

Fault weather_fault(Target target) {
        const Spell *spell = find_spell(target);
        unsigned density = spell ? spell->density : base_of(target);
        char text[48];
        Fault fault;

        if (!draw_chance(&world->chance, density))
                return FAULT_NONE;
        fault = spell && spell->only != FAULT_NONE ? spell->only : draw_fault();
        (void) snprintf(text, sizeof(text), "%s %s", target_names[target], fault_names[fault]);
        if (!weather_may(text))
                return FAULT_NONE;
        counts_add(text);
        return fault;
}
