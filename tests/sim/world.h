/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The world that a daemon lives in: its time, what is going to happen in it, and its chance. It lies in the arena, so
 * it goes on while daemons die. One process at a time runs it: a daemon's while there is one, else the program itself.
 */

#include <setjmp.h>

#include "draw.h"
#include "lib/clock.h"

typedef struct Event {
        usec_t at;
        uint64_t order; /* among those of one time: drawn */
        void (*run)(void *subject, uint64_t number);
        void *subject; /* in the arena, or of the daemon *life* */
        uint64_t number;
        unsigned life; /* of the daemon that waits for it; it does not happen without that one. 0: of the world */
} Event;

typedef enum Phase {
        PHASE_WEATHER, /* faults happen */
        PHASE_CALM,    /* no fault any more: all must be stored before long */
        PHASE_OVER,    /* all is stored: the daemon stops */
} Phase;

typedef struct World {
        uint64_t seed;
        Draw chance;
        usec_t now;    /* CLOCK_BOOTTIME of the machine */
        usec_t asleep; /* of it, suspended */
        usec_t ahead;  /* what a job on a worker has taken so far, while it runs */
        int64_t skew;  /* the machine's wall clock is ahead of the true one */
        usec_t end;    /* the weather's */
        Phase phase;
        unsigned life;     /* number of the daemon that runs, 0: none */
        unsigned lives;    /* so far */
        unsigned reloaded; /* the last one that was */
        uint64_t calls;    /* through doors, by all lives */
        uint64_t death_in; /* the daemon dies at this call; 0: it does not */
        bool death_is_cut; /* and the machine with it */
        uint64_t faults, fault_limit;
        usec_t stopped_at, stopped_asleep; /* since when the daemon is asked to stop, 0: it is not; asleep by then */
        uint64_t steps;                    /* of the loop and of the world */
        uint64_t digest;
        Event *events; /* a heap */
        size_t n_events, events_allocated;
        bool failed, tracing, home;
        char failure[2048];
        struct Weather *weather;
        struct Pubsub *pubsub;
        struct Remotes *remotes;
        struct Mongo *mongo;
        struct Ledger *ledger;
        struct Archive *archive;
        struct Plan *plan;
        struct Talk *talk;
        struct Disk *disk;
        usec_t disk_bad_until; /* it refuses, or did until then */
        size_t largest;        /* readings that were put at once, by any daemon so far */
        usec_t disturbed;      /* the last time that something went wrong */
        usec_t woke;           /* the last time that the machine did: until then nobody could do anything */
        struct Alerts *alerts;
        struct Sources *sources;
        struct Broker *broker;
        struct Pushers *pushers;
        struct Points *points;
        struct Latest *latest;
        struct AlertTargets *alert_targets;
} World;

extern World *world;

#define WORLD_EPOCH (UINT64_C(1767323045) * USEC_PER_SEC) /* true time when a world begins: 2026-01-02T03:04:05Z */
#define WORLD_BOOT (1000 * USEC_PER_HOUR)

void world_new(uint64_t seed);
/* True time since the epoch, as remotes with a right clock have it. */
usec_t world_true_time(void);

/* *life*: see Event. */
void world_at(usec_t at, void (*run)(void *subject, uint64_t number), void *subject, uint64_t number, unsigned life);
void world_in(usec_t delay, void (*run)(void *subject, uint64_t number), void *subject, uint64_t number, unsigned life);
/* When the next event is, USEC_INFINITY: never. */
usec_t world_next(void);
/* Runs the next event if it is due. */
bool world_step(void);
/* Without a daemon: lets time pass. */
void world_pass(usec_t until);

/* A short wait, a few milliseconds more often than not. */
usec_t world_latency(usec_t most);

/* One line of the trace, with the time. */
void world_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A promise is broken: the run ends, here and now. Without a daemon it goes on at world_escape. */
extern jmp_buf world_escape;
_Noreturn void world_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- what happened how often, over all seeds ---- */

/* *name* is static. */
void world_count(const char *name);

/* ---- daemons ---- */

enum {
        LIFE_STOPPED = 0,
        LIFE_NOT_STARTED = 90,
        LIFE_KILLED = 91,
        LIFE_CUT = 92,
        LIFE_FAILED = 93,
        LIFE_ABANDONED = 94
};

/* A daemon goes through a door: it may die here. *what* and *when* name it. */
void world_door_of(const char *what, const char *when);
void world_door(const char *door);
