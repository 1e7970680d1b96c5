/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The event loop: sd-event behind this door. What waits for something is a watch: a handle with one callback, made once
 * and switched on as often as needed. Switching a watch on or off cannot fail, so that a stage decides about failure
 * when it is made and never again. Callbacks run one at a time, from loop_run() only, and may free any watch, their own
 * included.
 *
 * Times are those of clock_now(). Randomness comes from here as well, so that a test program that links a loop of its
 * own decides about time, order and chance alike. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cleanup.h"
#include "clock.h"

typedef struct sd_event Loop;
typedef struct LoopWatch LoopWatch;

/* Errors of sd_event_new(3). */
int loop_new(Loop **ret);
/* Every watch must have been freed. */
Loop *loop_free(Loop *loop);
CLEANUP_DEFINE(Loop, loop_free)

/* Runs until loop_exit(). A negative errno when the kernel refuses to go on. */
int loop_run(Loop *loop);
/* Ends loop_run() when what runs now returns. */
void loop_exit(Loop *loop);
/* One turn: waits for at most *timeout* (USEC_INFINITY: without limit) until something is due, and dispatches it. 1
 * when something was. */
int loop_turn(Loop *loop, usec_t timeout);
/* Pings the service manager's watchdog from the loop when $WATCHDOG_USEC asks for it (sd_event_set_watchdog(3)). */
int loop_ping_watchdog(Loop *loop);

/* How late a timer may fire, so that the kernel wakes up once for several. Never early. */
typedef enum LoopAccuracy {
        LOOP_EXACT,   /* 10 ms: retries, leases, what a test or a user waits for */
        LOOP_RELAXED, /* a tenth of the wait, at most a second: polls, reports */
        LOOP_LAZY,    /* a tenth of the wait, at most a minute: watches that nobody waits for */
} LoopAccuracy;

/* A timer, off until it is armed; it fires once and is off again, which the callback may change. */
int loop_add_timer(Loop *loop, LoopAccuracy accuracy, void (*fire)(void *userdata), void *userdata, LoopWatch **ret);
void loop_arm(LoopWatch *timer, usec_t at);
void loop_arm_in(LoopWatch *timer, usec_t delay);
bool loop_is_armed(const LoopWatch *watch);

/* A deferred call, off until it is woken; then it runs once, from the loop and never from inside the caller. One that
 * wakes itself runs again when what else is due has run. */
int loop_add_defer(Loop *loop, void (*run)(void *userdata), void *userdata, LoopWatch **ret);
void loop_wake(LoopWatch *defer);

/* A descriptor: *events* are those of epoll(7); on at once. The descriptor stays the caller's, and is closed after the
 * watch is freed. */
int loop_add_io(Loop *loop, int fd, uint32_t events, void (*ready)(void *userdata, int fd, uint32_t events),
        void *userdata, LoopWatch **ret);
/* Others from now on; 0: off, hang-ups and errors included, until others are set. */
int loop_set_events(LoopWatch *io, uint32_t events);

/* A signal, blocked in every thread beforehand (service_block_signals()); on at once. */
int loop_add_signal(
        Loop *loop, int signal, void (*caught)(void *userdata, int signal), void *userdata, LoopWatch **ret);

/* The end of a child process (waitid(2), by its pidfd): *code* is CLD_EXITED, CLD_KILLED, ...; *status* the exit status
 * or signal. On at once, fires once; the child is reaped by it. SIGCHLD must be blocked. */
int loop_add_child(
        Loop *loop, pid_t pid, void (*ended)(void *userdata, int code, int status), void *userdata, LoopWatch **ret);

/* Switches a watch of any kind off; it stays usable. NULL is fine. */
void loop_off(LoopWatch *watch);
/* Frees a watch, on or off. NULL is fine; returns NULL. */
LoopWatch *loop_drop(LoopWatch *watch);

/* 64 random bits from the kernel (getrandom(2)); aborts where the kernel has none, which does not happen after boot. */
uint64_t loop_random(void);
