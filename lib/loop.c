/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>

#define EXACT_USEC (10 * USEC_PER_MSEC)
/* the longest wait: a libsystemd whose time_t has 32 bits refuses a timer beyond 68 years, and the loop ends */
#define LONGEST_USEC (10 * 365 * 24 * USEC_PER_HOUR)

struct LoopWatch {
        sd_event_source *source;
        LoopAccuracy accuracy; /* timers only */
        union {
                void (*call)(void *userdata); /* timers and deferred calls */
                void (*io)(void *userdata, int fd, uint32_t events);
                void (*signal)(void *userdata, int signal);
                void (*child)(void *userdata, int code, int status);
        };
        void *userdata;
};

/* ---- the loop ---- */

int loop_new(Loop **ret) {
        return sd_event_new(ret);
}

Loop *loop_free(Loop *loop) {
        return sd_event_unref(loop);
}

int loop_run(Loop *loop) {
        int r = sd_event_loop(loop);

        return r < 0 ? r : 0;
}

void loop_exit(Loop *loop) {
        (void) sd_event_exit(loop, 0);
}

int loop_turn(Loop *loop, usec_t timeout) {
        return sd_event_run(loop, timeout);
}

int loop_ping_watchdog(Loop *loop) {
        int r = sd_event_set_watchdog(loop, true);

        return r < 0 ? r : 0;
}

/* ---- watches of every kind ---- */

/* After loop_exit() (-ESTALE) nothing fires any more, and nobody waits. Any other failure would leave a stage that
 * waits for ever without a message: so the process ends, and its service manager restarts it. */
static void loop_insist(int r) {
        if (r < 0 && r != -ESTALE)
                abort();
}

/* Returns NULL without memory. */
static LoopWatch *watch_new(void *userdata) {
        LoopWatch *watch = calloc(1, sizeof(*watch));

        if (watch)
                watch->userdata = userdata;
        return watch;
}

/* Returns the watch in *ret* if *r*, the result of sd_event_add_...(), is not an error; else frees it. */
static int watch_keep(LoopWatch *watch, int r, LoopWatch **ret) {
        if (r < 0) {
                loop_drop(watch);
                return r;
        }
        *ret = watch;
        return 0;
}

void loop_off(LoopWatch *watch) {
        if (watch)
                loop_insist(sd_event_source_set_enabled(watch->source, SD_EVENT_OFF));
}

LoopWatch *loop_drop(LoopWatch *watch) {
        if (!watch)
                return NULL;
        (void) sd_event_source_disable_unref(watch->source);
        free(watch);
        return NULL;
}

bool loop_is_armed(const LoopWatch *watch) {
        return sd_event_source_get_enabled(watch->source, NULL) > 0;
}

/* ---- timers ---- */

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        LoopWatch *watch = userdata;

        watch->call(watch->userdata);
        return 0;
}

int loop_add_timer(Loop *loop, LoopAccuracy accuracy, void (*fire)(void *userdata), void *userdata, LoopWatch **ret) {
        LoopWatch *watch = watch_new(userdata);
        int r;

        if (!watch)
                return -ENOMEM;
        watch->call = fire;
        watch->accuracy = accuracy;
        r = sd_event_add_time(loop, &watch->source, CLOCK_BOOTTIME, 0, EXACT_USEC, on_time, watch);
        if (r >= 0)
                r = sd_event_source_set_enabled(watch->source, SD_EVENT_OFF);
        return watch_keep(watch, r, ret);
}

static usec_t timer_slack(LoopAccuracy accuracy, usec_t wait) {
        usec_t most = accuracy == LOOP_RELAXED ? USEC_PER_SEC : USEC_PER_MINUTE, slack = wait / 10;

        if (accuracy == LOOP_EXACT || slack < EXACT_USEC)
                return EXACT_USEC;
        return usec_min(slack, most);
}

void loop_arm(LoopWatch *timer, usec_t at) {
        usec_t now = clock_now();

        at = usec_min(at, now + LONGEST_USEC);
        if (timer->accuracy != LOOP_EXACT)
                loop_insist(sd_event_source_set_time_accuracy(
                        timer->source, timer_slack(timer->accuracy, at > now ? at - now : 0)));
        loop_insist(sd_event_source_set_time(timer->source, at));
        loop_insist(sd_event_source_set_enabled(timer->source, SD_EVENT_ONESHOT));
}

void loop_arm_in(LoopWatch *timer, usec_t delay) {
        loop_arm(timer, clock_now() + delay);
}

/* ---- deferred calls ---- */

static int on_defer(sd_event_source *source, void *userdata) {
        LoopWatch *watch = userdata;

        watch->call(watch->userdata);
        return 0;
}

int loop_add_defer(Loop *loop, void (*run)(void *userdata), void *userdata, LoopWatch **ret) {
        LoopWatch *watch = watch_new(userdata);
        int r;

        if (!watch)
                return -ENOMEM;
        watch->call = run;
        r = sd_event_add_defer(loop, &watch->source, on_defer, watch);
        if (r >= 0)
                r = sd_event_source_set_enabled(watch->source, SD_EVENT_OFF);
        return watch_keep(watch, r, ret);
}

/* sd-event first calls the source that has been due for the longest time, and a deferred call counts from when it was
 * made. One that wakes itself, or two that wake each other, would always be first, and no signal, timer or descriptor
 * would ever be looked at: so a new source replaces it, behind the others. Without memory the old one stays. */
static void defer_stand_behind(LoopWatch *watch) {
        sd_event_source *source;

        if (sd_event_add_defer(sd_event_source_get_event(watch->source), &source, on_defer, watch) < 0)
                return;
        (void) sd_event_source_disable_unref(watch->source);
        watch->source = source;
}

void loop_wake(LoopWatch *defer) {
        if (!loop_is_armed(defer))
                defer_stand_behind(defer);
        loop_insist(sd_event_source_set_enabled(defer->source, SD_EVENT_ONESHOT));
}

/* ---- descriptors, signals, children ---- */

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        LoopWatch *watch = userdata;

        watch->io(watch->userdata, fd, events);
        return 0;
}

int loop_add_io(Loop *loop, int fd, uint32_t events, void (*ready)(void *userdata, int fd, uint32_t events),
        void *userdata, LoopWatch **ret) {
        LoopWatch *watch = watch_new(userdata);

        if (!watch)
                return -ENOMEM;
        watch->io = ready;
        return watch_keep(watch, sd_event_add_io(loop, &watch->source, fd, events, on_io, watch), ret);
}

int loop_set_events(LoopWatch *io, uint32_t events) {
        int r;

        if (events == 0) { /* even with no events, the kernel reports a hang-up */
                loop_off(io);
                return 0;
        }
        r = sd_event_source_set_io_events(io->source, events);
        return r < 0 ? r : sd_event_source_set_enabled(io->source, SD_EVENT_ON);
}

void loop_go_first(LoopWatch *io) {
        loop_insist(sd_event_source_set_priority(io->source, SD_EVENT_PRIORITY_IMPORTANT));
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        LoopWatch *watch = userdata;

        watch->signal(watch->userdata, (int) info->ssi_signo);
        return 0;
}

int loop_add_signal(
        Loop *loop, int signal, void (*caught)(void *userdata, int signal), void *userdata, LoopWatch **ret) {
        LoopWatch *watch = watch_new(userdata);
        int r;

        if (!watch)
                return -ENOMEM;
        watch->signal = caught;
        r = sd_event_add_signal(loop, &watch->source, signal, on_signal, watch);
        if (r >= 0) /* a stop does not wait for all that is due, each of which may wait for the disk */
                r = sd_event_source_set_priority(watch->source, SD_EVENT_PRIORITY_IMPORTANT);
        return watch_keep(watch, r, ret);
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata) {
        LoopWatch *watch = userdata;

        watch->child(watch->userdata, info->si_code, info->si_status);
        return 0;
}

int loop_add_child(
        Loop *loop, pid_t pid, void (*ended)(void *userdata, int code, int status), void *userdata, LoopWatch **ret) {
        LoopWatch *watch = watch_new(userdata);

        if (!watch)
                return -ENOMEM;
        watch->child = ended;
        return watch_keep(watch, sd_event_add_child(loop, &watch->source, pid, WEXITED, on_child, watch), ret);
}

/* ---- chance ---- */

uint64_t loop_random(void) {
        uint64_t random;
        ssize_t n;

        do
                n = getrandom(&random, sizeof(random), 0);
        while (n < 0 && errno == EINTR);

        if (n != sizeof(random))
                abort();
        return random;
}
