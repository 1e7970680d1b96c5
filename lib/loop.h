/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The event loop; only this module uses sd-event. A watch is a handle with one callback; it is made once and switched
 * on as often as needed. Making a watch can fail, switching it on or off cannot. Callbacks run one at a time, from
 * loop_run() only, and may free any watch, also their own.
 *
 * Times are those of clock_now(). Randomness comes from here as well, so that a test program with a loop of its own
 * controls time, order and chance. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "clock.h"
#include "err.h"

typedef struct sd_event Loop;
typedef struct LoopWatch LoopWatch;

/* Errors of sd_event_new(3). */
int loop_new(Loop **ret);
/* Every watch must have been freed before. */
Loop *loop_free(Loop *loop);
CLEANUP_DEFINE(Loop, loop_free)

/* Runs until loop_exit(). A negative errno when the kernel reports an error. */
int loop_run(Loop *loop);
/* Ends loop_run() after the present callback. */
void loop_exit(Loop *loop);
/* Runs one turn: waits at most *timeout* (USEC_INFINITY: without limit) until something is due, and calls it. Returns 1
 * when something was due. */
int loop_turn(Loop *loop, usec_t timeout);
/* Pings the service manager's watchdog from the loop when $WATCHDOG_USEC asks for it (sd_event_set_watchdog(3)). */
int loop_ping_watchdog(Loop *loop);

/* How late a timer may fire, so that the kernel can wake up once for several timers. No timer fires early. */
typedef enum LoopAccuracy {
        LOOP_EXACT,   /* 10 ms: retries, leases, what a test or a user waits for */
        LOOP_RELAXED, /* a tenth of the wait, at most a second: polls, reports */
        LOOP_LAZY,    /* a tenth of the wait, at most a minute: watches that nobody waits for */
} LoopAccuracy;

/* A timer is off until it is armed; it fires once and is off again. The callback may arm it again. *at* is by
 * clock_now(); beyond ten years it fires after these. */
int loop_add_timer(Loop *loop, LoopAccuracy accuracy, void (*fire)(void *userdata), void *userdata, LoopWatch **ret);
void loop_arm(LoopWatch *timer, usec_t at);
void loop_arm_in(LoopWatch *timer, usec_t delay);
bool loop_is_armed(const LoopWatch *watch);

/* A deferred call is off until it is woken; then it runs once, from the loop and never from inside the caller. If it
 * wakes itself, it runs again after everything else that is due. */
int loop_add_defer(Loop *loop, void (*run)(void *userdata), void *userdata, LoopWatch **ret);
void loop_wake(LoopWatch *defer);

/* Watches a descriptor for *events* of epoll(7); on at once. The caller keeps the descriptor and closes it after the
 * watch is freed. */
int loop_add_io(Loop *loop, int fd, uint32_t events, void (*ready)(void *userdata, int fd, uint32_t events),
        void *userdata, LoopWatch **ret);
/* Changes the events. With 0 nothing is reported, not even hang-ups and errors, until other events are set. */
int loop_set_events(LoopWatch *io, uint32_t events);
/* Of all that is due, this one is called first. */
void loop_go_first(LoopWatch *io);

/* Watches a signal; on at once. Of all that is due it is called first. It must be blocked in every thread before
 * (service_block_signals()). */
int loop_add_signal(
        Loop *loop, int signal, void (*caught)(void *userdata, int signal), void *userdata, LoopWatch **ret);

/* Watches a child process (waitid(2), by its pidfd). *code* is CLD_EXITED, CLD_KILLED, ...; *status* is the exit status
 * or the signal. On at once, fires once, and reaps the child. SIGCHLD must be blocked. */
int loop_add_child(
        Loop *loop, pid_t pid, void (*ended)(void *userdata, int code, int status), void *userdata, LoopWatch **ret);

/* Switches off a watch of any kind; it can be used again. NULL is allowed. */
void loop_off(LoopWatch *watch);
/* Frees a watch, on or off. NULL is allowed; returns NULL. */
LoopWatch *loop_drop(LoopWatch *watch);

/* Returns 64 random bits from the kernel (getrandom(2)); aborts if that fails, which does not happen after boot. */
uint64_t loop_random(void);
