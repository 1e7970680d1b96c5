/* SPDX-License-Identifier: Apache-2.0 */
/* lib/loop.h in the time of the world: what is ready runs in an order that is drawn; when nothing is, time goes on to
 * the next timer or event of the world. Timers fire within their accuracy after their time, never before. */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "doors.h"
#include "lib/loop.h"

#define WATCHES_MAX 512
#define MEMORY_MAX ((size_t) 48 << 20) /* of a daemon; messages are small here, and caps not far */
#define TURN_MAX 100000                /* calls at one point of time: beyond, it stands still for ever */

typedef enum Kind { KIND_TIMER, KIND_DEFER, KIND_IO, KIND_SIGNAL } Kind;

struct LoopWatch {
        Loop *loop;
        Kind kind;
        bool on, used;
        usec_t at;
        LoopAccuracy accuracy;
        int fd; /* or signal */
        uint32_t events;
        union {
                void (*call)(void *userdata);
                void (*io)(void *userdata, int fd, uint32_t events);
                void (*signal)(void *userdata, int signal);
        };
        void *userdata;
};

struct sd_event {
        LoopWatch *watches[WATCHES_MAX];
        size_t n, n_used, n_io;
        bool exiting;
        usec_t turn;
        unsigned calls; /* at that time */
        usec_t looked;  /* at its memory */
};

static Loop *the_loop; /* of the daemon that runs */
static bool wrote;     /* a descriptor may be readable */

usec_t __wrap_clock_now(void);
usec_t __wrap_clock_wall(void);
usec_t __wrap_clock_monotonic(void);

usec_t __wrap_clock_now(void) {
        return world->now + world->ahead;
}

usec_t __wrap_clock_wall(void) {
        return (usec_t) ((int64_t) world_true_time() + world->skew);
}

usec_t __wrap_clock_monotonic(void) {
        return world->now + world->ahead - world->asleep;
}

/* ---- watches ---- */

int loop_new(Loop **ret) {
        *ret = the_loop = calloc(1, sizeof(Loop));
        return *ret ? 0 : -ENOMEM;
}

Loop *loop_free(Loop *loop) {
        if (!loop)
                return NULL;
        if (loop->n_used > 0)
                world_fail("%zu watches are left at the end of the loop", loop->n_used);
        for (size_t i = 0; i < loop->n; i++)
                free(loop->watches[i]);
        if (loop == the_loop)
                the_loop = NULL;
        free(loop);
        return NULL;
}

static int add(Loop *loop, LoopWatch watch, LoopWatch **ret) {
        LoopWatch *new = NULL;

        for (size_t i = 0; i < loop->n && !new; i++)
                if (!loop->watches[i]->used)
                        new = loop->watches[i];
        if (!new) {
                assert(loop->n < WATCHES_MAX);
                new = loop->watches[loop->n++] = calloc(1, sizeof(LoopWatch));
        }
        assert(new);
        watch.loop = loop;
        watch.used = true;
        *new = watch;
        loop->n_used++;
        *ret = new;
        return 0;
}

int loop_add_timer(Loop *loop, LoopAccuracy accuracy, void (*fire)(void *userdata), void *userdata, LoopWatch **ret) {
        return add(
                loop, (LoopWatch){ .kind = KIND_TIMER, .accuracy = accuracy, .call = fire, .userdata = userdata }, ret);
}

static usec_t slack_of(LoopAccuracy accuracy, usec_t wait) {
        usec_t most = accuracy == LOOP_EXACT ? 0 : accuracy == LOOP_RELAXED ? USEC_PER_SEC : USEC_PER_MINUTE;

        most = wait / 10 < most ? wait / 10 : most;
        return most > 10 * USEC_PER_MSEC ? most : 10 * USEC_PER_MSEC;
}

void loop_arm(LoopWatch *timer, usec_t at) {
        usec_t now = world->now + world->ahead, wait = at > now ? at - now : 0;

        assert(timer->used);
        timer->on = true;
        timer->at = at + draw_below(&world->chance, slack_of(timer->accuracy, wait));
}

void loop_arm_in(LoopWatch *timer, usec_t delay) {
        loop_arm(timer, world->now + world->ahead + delay);
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
        loop->n_io++;
        return add(loop,
                (LoopWatch){
                        .kind = KIND_IO, .on = true, .fd = fd, .events = events, .io = ready, .userdata = userdata },
                ret);
}

int loop_set_events(LoopWatch *io, uint32_t events) {
        io->on = events != 0;
        io->events = events;
        return 0;
}

int loop_add_signal(
        Loop *loop, int signal, void (*caught)(void *userdata, int signal), void *userdata, LoopWatch **ret) {
        return add(loop,
                (LoopWatch){ .kind = KIND_SIGNAL, .on = true, .fd = signal, .signal = caught, .userdata = userdata },
                ret);
}

/* No programs here. */
int loop_add_child(
        Loop *loop, pid_t pid, void (*ended)(void *userdata, int code, int status), void *userdata, LoopWatch **ret) {
        return -EOPNOTSUPP;
}

void loop_off(LoopWatch *watch) {
        if (watch)
                watch->on = false;
}

LoopWatch *loop_drop(LoopWatch *watch) {
        if (!watch)
                return NULL;
        watch->loop->n_used--;
        watch->loop->n_io -= watch->kind == KIND_IO;
        *watch = (LoopWatch){ .loop = watch->loop };
        return NULL;
}

uint64_t loop_random(void) {
        return draw(&world->chance);
}

int loop_ping_watchdog(Loop *loop) {
        return 0;
}

/* ---- turns ---- */

/* Only this process writes to its descriptors: without that none becomes readable. */
int eventfd_write(int fd, eventfd_t value) {
        wrote = true;
        return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

static bool is_readable(const LoopWatch *watch) {
        struct pollfd entry = { .fd = watch->fd, .events = (short) watch->events };

        return poll(&entry, 1, 0) > 0;
}

static bool is_ready(const LoopWatch *watch) {
        if (!watch->on)
                return false;
        switch (watch->kind) {
        case KIND_TIMER:
                return watch->at <= world->now;
        case KIND_DEFER:
                return true;
        case KIND_IO:
                return wrote && is_readable(watch);
        case KIND_SIGNAL:
                return false;
        }
        return false;
}

/* One of those that are ready, each as likely as the others; the world's next event is one of them. NULL with *ret_n >
 * 0: that. */
static LoopWatch *pick(Loop *loop, size_t *ret_n) {
        LoopWatch *picked = NULL;
        size_t n = world_next() <= world->now;

        for (size_t i = 0; i < loop->n; i++)
                if (is_ready(loop->watches[i]) && draw_below(&world->chance, ++n) == 0)
                        picked = loop->watches[i];
        if (n == 0)
                wrote = false;
        *ret_n = n;
        return picked;
}

/* For gdb's `info symbol`. */
static void trace_call(const LoopWatch *watch) {
        if (watch->loop->calls > TURN_MAX - 8)
                world_trace("call of kind %d at sim+%td", watch->kind, (char *) watch->call - (char *) loop_new);
}

static void dispatch(LoopWatch *watch) {
        trace_call(watch);
        world->steps++;
        world->digest = (world->digest ^ world->now ^ world->chance.state) * UINT64_C(0x100000001b3);
        if (watch->kind == KIND_IO)
                return watch->io(watch->userdata, watch->fd, watch->events);
        watch->on = false;
        watch->call(watch->userdata);
}

static void count_turn(Loop *loop) {
        if (loop->turn != world->now) {
                loop->turn = world->now;
                loop->calls = 0;
        }
        if (++loop->calls > TURN_MAX)
                world_fail("the loop does not come to rest: %d calls without any time passing", TURN_MAX);
}

static void watch_memory(Loop *loop) {
        size_t used;

        if (world->now < loop->looked + USEC_PER_MINUTE)
                return;
        loop->looked = world->now;
        used = mallinfo2().uordblks;
        if (used > MEMORY_MAX)
                world_fail("the daemon uses %zu kB of memory", used / 1024);
}

static usec_t next_time(const Loop *loop) {
        usec_t next = world_next();

        for (size_t i = 0; i < loop->n; i++) {
                const LoopWatch *watch = loop->watches[i];

                if (watch->on && watch->kind == KIND_TIMER && watch->at < next)
                        next = watch->at;
        }
        return next;
}

/* One call, or time goes on, to *until* at most. False: it has come there. */
static bool turn(Loop *loop, usec_t until) {
        size_t n;
        LoopWatch *watch = pick(loop, &n);
        usec_t next;

        if (watch || n > 0) {
                count_turn(loop);
                if (watch)
                        dispatch(watch);
                else
                        (void) world_step();
                return true;
        }
        if (world->now >= until)
                return false;
        next = next_time(loop);
        if (next == USEC_INFINITY)
                world_fail("nothing will ever happen again");
        world->now = next < until ? next : until;
        watch_memory(loop);
        return true;
}

int loop_run(Loop *loop) {
        while (!loop->exiting)
                (void) turn(loop, USEC_INFINITY);
        return 0;
}

void loop_exit(Loop *loop) {
        loop->exiting = true;
}

int loop_turn(Loop *loop, usec_t timeout) {
        usec_t until = timeout == USEC_INFINITY ? USEC_INFINITY : world->now + timeout;

        return turn(loop, until);
}

void door_signal(int signal) {
        for (size_t i = 0; the_loop && i < the_loop->n; i++) {
                LoopWatch *watch = the_loop->watches[i];

                if (watch->used && watch->kind == KIND_SIGNAL && watch->fd == signal)
                        return watch->signal(watch->userdata, signal);
        }
}
