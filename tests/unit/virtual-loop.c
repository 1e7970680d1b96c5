/* SPDX-License-Identifier: Apache-2.0 */
#include "virtual-loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define WATCHES_MAX 64
#define START (1000 * USEC_PER_HOUR)
#define WALL (UINT64_C(1767323045) * USEC_PER_SEC) /* 2026-01-02T03:04:05Z */

typedef enum Kind { KIND_TIMER, KIND_DEFER, KIND_IO } Kind;

struct LoopWatch {
        struct sd_event *loop;
        Kind kind;
        bool on, dropped;
        usec_t at;
        int fd;
        uint32_t events;
        void (*call)(void *userdata);
        void (*ready)(void *userdata, int fd, uint32_t events);
        void *userdata;
};

struct sd_event {
        LoopWatch *watches[WATCHES_MAX];
        size_t n;
};

static usec_t now = START;

usec_t __wrap_clock_now(void);
usec_t __wrap_clock_wall(void);

usec_t __wrap_clock_now(void) {
        return now;
}

usec_t __wrap_clock_wall(void) {
        return WALL + (now - START);
}

int loop_new(Loop **ret) {
        *ret = calloc(1, sizeof(Loop));
        return *ret ? 0 : -ENOMEM;
}

/* Watches that were dropped are freed here: a callback may drop its own. */
Loop *loop_free(Loop *loop) {
        for (size_t i = 0; i < loop->n; i++) {
                assert(loop->watches[i]->dropped);
                free(loop->watches[i]);
        }
        free(loop);
        return NULL;
}

static int add(Loop *loop, LoopWatch watch, LoopWatch **ret) {
        LoopWatch *new = NULL;

        for (size_t i = 0; i < loop->n && !new; i++)
                if (loop->watches[i]->dropped)
                        new = loop->watches[i];
        if (!new) {
                assert(loop->n < WATCHES_MAX);
                new = loop->watches[loop->n++] = calloc(1, sizeof(LoopWatch));
        }
        assert(new);
        *new = watch;
        new->loop = loop;
        *ret = new;
        return 0;
}

int loop_add_timer(Loop *loop, LoopAccuracy accuracy, void (*fire)(void *userdata), void *userdata, LoopWatch **ret) {
        return add(loop, (LoopWatch){ .kind = KIND_TIMER, .call = fire, .userdata = userdata }, ret);
}

void loop_arm(LoopWatch *timer, usec_t at) {
        timer->on = true;
        timer->at = at;
}

void loop_arm_in(LoopWatch *timer, usec_t delay) {
        loop_arm(timer, now + delay);
}

bool loop_is_armed(const LoopWatch *watch) {
        return watch->on;
}

int loop_add_defer(Loop *loop, void (*run)(void *userdata), void *userdata, LoopWatch **ret) {
        return add(loop, (LoopWatch){ .kind = KIND_DEFER, .call = run, .userdata = userdata }, ret);
}

void loop_wake(LoopWatch *defer) {
        defer->on = true;
}

int loop_add_io(Loop *loop, int fd, uint32_t events, void (*ready)(void *userdata, int fd, uint32_t events),
        void *userdata, LoopWatch **ret) {
        return add(loop,
                (LoopWatch){
                        .kind = KIND_IO, .on = true, .fd = fd, .events = events, .ready = ready, .userdata = userdata },
                ret);
}

int loop_set_events(LoopWatch *io, uint32_t events) {
        io->on = events != 0;
        io->events = events;
        return 0;
}

/* What is ready is called in the order of the watches; no test here depends on another. */
void loop_go_first(LoopWatch *io) {}

void loop_off(LoopWatch *watch) {
        if (watch)
                watch->on = false;
}

LoopWatch *loop_drop(LoopWatch *watch) {
        if (watch) {
                watch->on = false;
                watch->dropped = true;
        }
        return NULL;
}

uint64_t loop_random(void) {
        return UINT64_MAX; /* the longest wait that may be drawn */
}

static bool is_due(const LoopWatch *watch) {
        struct pollfd entry = { .fd = watch->fd, .events = (short) watch->events };

        if (!watch->on)
                return false;
        if (watch->kind == KIND_IO)
                return poll(&entry, 1, 0) > 0;
        return watch->kind == KIND_DEFER || watch->at <= now;
}

static bool turn(Loop *loop) {
        for (size_t i = 0; i < loop->n; i++) {
                LoopWatch *watch = loop->watches[i];

                if (!is_due(watch))
                        continue;
                if (watch->kind == KIND_IO)
                        watch->ready(watch->userdata, watch->fd, watch->events);
                else {
                        watch->on = false;
                        watch->call(watch->userdata);
                }
                return true;
        }
        return false;
}

int loop_turn(Loop *loop, usec_t timeout) {
        return turn(loop);
}

void virtual_pass(Loop *loop, usec_t span) {
        usec_t end = now + span;

        for (;;) {
                usec_t next = end;

                while (turn(loop))
                        continue;
                if (now >= end)
                        return;
                for (size_t i = 0; i < loop->n; i++) {
                        const LoopWatch *watch = loop->watches[i];

                        if (watch->on && watch->kind == KIND_TIMER && watch->at < next)
                                next = watch->at;
                }
                now = next;
        }
}

void virtual_sleep(usec_t span) {
        now += span;
}
