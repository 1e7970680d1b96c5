/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "counts.h"

World *world;
jmp_buf world_escape;

void world_new(uint64_t seed) {
        world = arena_alloc(sizeof(World));
        world->seed = seed;
        world->chance.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        (void) draw(&world->chance);
        world->now = WORLD_BOOT;
        world->fault_limit = UINT64_MAX;
}

usec_t world_true_time(void) {
        return WORLD_EPOCH + (world->now - WORLD_BOOT) + world->ahead;
}

/* ---- events ---- */

static bool is_before(const Event *a, const Event *b) {
        return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(size_t i, size_t j) {
        Event event = world->events[i];

        world->events[i] = world->events[j];
        world->events[j] = event;
}

void world_at(usec_t at, void (*run)(void *subject, uint64_t number), void *subject, uint64_t number, unsigned life) {
        size_t i = world->n_events++;

        if (world->n_events > world->events_allocated) {
                world->events_allocated = world->events_allocated > 0 ? world->events_allocated * 2 : 256;
                world->events = arena_resize(world->events, world->events_allocated * sizeof(Event));
        }
        world->events[i] = (Event){ at, draw(&world->chance), run, subject, number, life };
        for (; i > 0 && is_before(&world->events[i], &world->events[(i - 1) / 2]); i = (i - 1) / 2)
                swap(i, (i - 1) / 2);
}

void world_in(
        usec_t delay, void (*run)(void *subject, uint64_t number), void *subject, uint64_t number, unsigned life) {
        world_at(world->now + world->ahead + delay, run, subject, number, life);
}

usec_t world_next(void) {
        return world->n_events > 0 ? world->events[0].at : USEC_INFINITY;
}

static Event take_first(void) {
        Event first = world->events[0];
        size_t i = 0;

        world->events[0] = world->events[--world->n_events];
        for (;;) {
                size_t least = i;

                for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < world->n_events; child++)
                        if (is_before(&world->events[child], &world->events[least]))
                                least = child;
                if (least == i)
                        return first;
                swap(i, least);
                i = least;
        }
}

bool world_step(void) {
        Event event;

        if (world_next() > world->now)
                return false;
        event = take_first();
        if (event.life != 0 && event.life != world->life)
                return true;
        world->steps++;
        world->digest = (world->digest ^ world->now ^ world->chance.state) * UINT64_C(0x100000001b3);
        event.run(event.subject, event.number);
        return true;
}

void world_pass(usec_t until) {
        while (world_next() <= until) {
                if (world->now < world_next())
                        world->now = world_next();
                (void) world_step();
        }
        if (world->now < until)
                world->now = until;
}

usec_t world_latency(usec_t most) {
        return USEC_PER_MSEC + draw_skewed(&world->chance, most);
}

/* ---- words ---- */

static void print_time(FILE *stream) {
        usec_t since = world->now + world->ahead - WORLD_BOOT, seconds = since / USEC_PER_SEC;

        fprintf(stream, "%3" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%06" PRIu64 " %2u  ", seconds / 3600,
                seconds / 60 % 60, seconds % 60, since % USEC_PER_SEC, world->life);
}

void world_trace(const char *format, ...) {
        va_list arguments;

        if (!world->tracing)
                return;
        print_time(stdout);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        putchar('\n');
}

void world_fail(const char *format, ...) {
        va_list arguments;

        if (!world->failed) {
                world->failed = true;
                va_start(arguments, format);
                (void) vsnprintf(world->failure, sizeof(world->failure), format, arguments);
                va_end(arguments);
                world_trace("FAILED: %s", world->failure);
        }
        fflush(NULL);
        if (world->life == 0)
                longjmp(world_escape, 1);
        _exit(LIFE_FAILED);
}

/* ---- daemons ---- */

void world_count(const char *name) {
        counts_add(name);
}

void world_door(const char *door) {
        world_door_of(door, "");
}

void world_door_of(const char *what, const char *when) {
        char door[64];

        if (world->life == 0)
                return;
        world->calls++;
        if (world->death_in == 0 || --world->death_in > 0)
                return;
        (void) snprintf(door, sizeof(door), "%s%s", what, when);
        world_trace("%s at %s", world->death_is_cut ? "POWER CUT" : "KILLED", door);
        world_count(world->death_is_cut ? "cut" : "kill");
        counts_add_at(world->death_is_cut ? "cut at " : "kill at ", door);
        fflush(NULL);
        _exit(world->death_is_cut ? LIFE_CUT : LIFE_KILLED);
}
