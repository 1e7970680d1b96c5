/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/sink-host.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "events.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/worker.h"
#include "subscribe/rejected.h"

/* With the time limits that a type sets, a call into its library takes less than a minute (with a long
 * socketTimeoutMS in a uri, up to four). A call that lasts for STUCK_TICKS ticks hangs without end, and a thread cannot
 * be stopped from outside: the process aborts, and the service manager starts it again. Ticks are counted instead of
 * time, since a machine that slept for hours ticks only once. */
#define STUCK_TICK_USEC (30 * USEC_PER_SEC)
#define STUCK_TICKS 10

/* A stuck thread outlives the sink: what ends last frees it, see sink_host_free(). */
struct SinkHost {
        const SinkType *type;
        void *self;
        int seen_fd;       /* eventfd for the loop */
        atomic_uint seen;  /* SINK_SEEN_* since the loop last looked */
        atomic_uint calls; /* into the library; counted before and after each call, so odd during a call */
        SinkStep step;     /* this and the next two belong to the thread while a question runs */
        SinkWork work;
        Batch *batch;
        RejectedKeeper rejected; /* for types that do not set messages apart themselves */
        char *place;             /* for what that logs: the type may be closed by then */
        char *subscription;      /* this and the following belong to the loop */
        SinkHostCallbacks callbacks;
        bool busy;
        Worker *worker; /* for a type that does not block: begun when messages of it are first set apart here */
        LoopWatch *watch, *answer, *stuck;
        unsigned stuck_calls, stuck_ticks;
};

/* ---- what a type may call ---- */

const SinkMeans *sink_host_means(const SinkHost *host) {
        return &host->callbacks.means;
}

void sink_host_enter(SinkHost *host) {
        if (host)
                (void) atomic_fetch_add(&host->calls, 1);
}

void sink_host_leave(SinkHost *host) {
        if (host)
                (void) atomic_fetch_add(&host->calls, 1);
}

void sink_host_seen(SinkHost *host, unsigned seen) {
        (void) atomic_fetch_or(&host->seen, seen);
        (void) eventfd_write(host->seen_fd, 1);
}

void sink_host_answer(SinkHost *host) {
        assert(!host->type->blocks);
        loop_wake(host->answer);
}

static void sink_item_judge(SinkItem *item, SinkVerdict verdict, const char *reason, const char *detail) {
        free(item->detail);
        item->detail = strdup(detail);
        if (!item->detail)
                return;
        item->verdict = verdict;
        item->reason = reason;
}

void sink_item_bad(SinkItem *item, const char *reason, const char *detail) {
        sink_item_judge(item, SINK_BAD, reason, detail);
}

void sink_item_refused(SinkItem *item, int code, bool about_document, const char *reason, const char *detail) {
        item->code = code;
        item->about_document = about_document;
        sink_item_judge(item, SINK_REFUSED, reason, detail);
}

/* ---- the work ---- */

static void clear_work(SinkHost *host) {
        for (size_t i = 0; i < host->work.n; i++)
                free(host->work.items[i].detail);
        free(host->work.items);
        host->work = (SinkWork){};
}

/* Nothing runs any more. Closing may block (P8). */
static void sink_host_release(void *userdata) {
        SinkHost *host = userdata;

        if (host->self)
                host->self = host->type->close(host->self);
        clear_work(host);
        host->batch = batch_free(host->batch);
        if (host->seen_fd >= 0)
                (void) close(host->seen_fd);
        free(host->rejected.state_dir);
        free(host->place);
        free(host->subscription);
        free(host);
}

static void apart(SinkHost *host) {
        if (host->type->set_apart)
                return host->type->set_apart(host->self, &host->work);
        rejected_set_apart(&host->rejected, &host->work);
}

static void run(SinkHost *host) {
        switch (host->step) {
        case SINK_STEP_PROBE:
                host->type->probe(host->self, &host->work.answer);
                break;
        case SINK_STEP_WRITE:
                host->type->write(host->self, &host->work);
                break;
        case SINK_STEP_APART:
                apart(host);
                break;
        }
}

/* Runs on the thread. It uses the host only: the sink may be freed. */
static void run_on_thread(void *userdata, void *argument) {
        run(argument);
}

/* ---- on the loop ---- */

/* Conceals secrets: the words of a remote may repeat them. */
static void conceal(const Secrets *secrets, SinkWork *work) {
        secrets_conceal(secrets, work->answer.detail);
        for (size_t i = 0; i < work->n; i++)
                if (work->items[i].detail)
                        secrets_conceal(secrets, work->items[i].detail);
}

static void on_answer(void *userdata) {
        SinkHost *host = userdata;

        host->busy = false;
        host->batch = NULL;
        loop_off(host->stuck);
        if (host->callbacks.means.secrets)
                conceal(host->callbacks.means.secrets, &host->work);
        host->callbacks.on_answer(host->callbacks.userdata, host->step, &host->work);
}

static void on_done(void *userdata, void *job) {
        on_answer(userdata);
}

static void on_seen(void *userdata, int fd, uint32_t events) {
        SinkHost *host = userdata;
        eventfd_t count;

        if (eventfd_read(fd, &count) >= 0)
                host->callbacks.on_seen(host->callbacks.userdata, atomic_exchange(&host->seen, 0));
}

static void on_stuck(void *userdata) {
        SinkHost *host = userdata;
        unsigned calls = atomic_load(&host->calls);

        host->stuck_ticks = calls % 2 == 1 && calls == host->stuck_calls ? host->stuck_ticks + 1 : 0;
        host->stuck_calls = calls;
        if (host->stuck_ticks >= STUCK_TICKS) {
                log_event(LOG_CRIT, NULL, LOG_FIELDS({ FIELD_SUBSCRIPTION, host->subscription }),
                        "The %s driver has not returned from one call for %s for %d min, far beyond its time limits. "
                        "Ending the process so that the service manager starts it again; nothing is lost: what was "
                        "not acknowledged is redelivered",
                        host->type->what, host->subscription, (int) (STUCK_TICKS * STUCK_TICK_USEC / USEC_PER_MINUTE));
                abort();
        }
        loop_arm_in(host->stuck, STUCK_TICK_USEC);
}

int sink_host_prepare(SinkHost *host, size_t n, SinkWork **ret) {
        assert(!host->busy);
        clear_work(host);
        host->work.items = calloc(n + 1, sizeof(SinkItem));
        if (!host->work.items)
                return -ENOMEM;
        host->work.n = n;
        *ret = &host->work;
        return 0;
}

/* The question is to set messages apart, and the type leaves that to us. */
static bool is_set_apart_here(const SinkHost *host) {
        return host->step == SINK_STEP_APART && !host->type->set_apart;
}

/* Whether the question is one for the thread. A slow disk must not hold up the loop (P13), so messages are set apart
 * here on the thread as well; without memory for it, on the loop. */
static bool is_for_thread(SinkHost *host) {
        if (host->type->blocks)
                return true;
        if (!is_set_apart_here(host))
                return false;
        return host->worker || worker_new(host->callbacks.means.loop, host->type->keys->name, run_on_thread, on_done,
                                       host, &host->worker) == 0;
}

void sink_host_ask(SinkHost *host, SinkStep step, Batch *batch) {
        _asserted_ int r;

        assert(!host->busy);
        host->busy = true;
        host->step = step;
        host->batch = batch;
        host->work.answer = (SinkAnswer){};
        if (!is_for_thread(host)) {
                run(host);
                if (is_set_apart_here(host))
                        sink_host_answer(host);
                return;
        }
        host->stuck_ticks = 0;
        if (host->type->blocks)
                loop_arm_in(host->stuck, STUCK_TICK_USEC);
        r = worker_submit(host->worker, host);
        assert(r == WORKER_STARTED);
}

bool sink_host_is_busy(const SinkHost *host) {
        return host->busy;
}

const char *sink_host_place(const SinkHost *host) {
        return host->type->place(host->self);
}

void sink_host_figures(const SinkHost *host, SinkFigures *ret) {
        *ret = (SinkFigures){};
        if (host->type->figures)
                host->type->figures(host->self, ret);
}

void sink_host_tell(SinkHost *host, SinkNews news) {
        if (host->type->told)
                host->type->told(host->self, news);
}

bool sink_host_is_working(const SinkHost *host) {
        return host->type->is_busy && host->type->is_busy(host->self);
}

/* ---- life ---- */

static int add_watches(SinkHost *host) {
        Loop *loop = host->callbacks.means.loop;
        int r;

        r = loop_add_io(loop, host->seen_fd, EPOLLIN, on_seen, host, &host->watch);
        if (r < 0)
                return r;
        if (!host->type->blocks)
                return loop_add_defer(loop, on_answer, host, &host->answer);
        r = loop_add_timer(loop, LOOP_LAZY, on_stuck, host, &host->stuck);
        if (r < 0)
                return r;
        return worker_new(loop, host->type->keys->name, run_on_thread, on_done, host, &host->worker);
}

static int add_keeper(SinkHost *host) {
        const char *state_dir = host->callbacks.means.state_dir;

        if (host->type->set_apart || !state_dir)
                return 0;
        host->place = strdup(host->type->place(host->self));
        if (!host->place)
                return -ENOMEM;
        host->rejected.said = (SinkApart){
                .subscription = host->subscription, .place = host->place, .where = REJECTED_FILE, .field = FIELD_FILE
        };
        host->rejected.state_dir = strdup(state_dir);
        return host->rejected.state_dir ? 0 : -ENOMEM;
}

int sink_host_new(const SinkType *type, const SubscriptionConfig *config, const SinkHostCallbacks *callbacks,
        SinkHost **ret, char problem[static SINK_DETAIL_MAX]) {
        SinkHost *host;
        int r;

        host = calloc(1, sizeof(SinkHost));
        if (!host)
                return -ENOMEM;
        host->type = type;
        host->callbacks = *callbacks;
        host->seen_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        host->subscription = strdup(config->subscription);
        if (host->seen_fd < 0)
                r = err_errno();
        else if (!host->subscription)
                r = -ENOMEM;
        else
                r = type->open(config, host, &host->self, problem);
        if (r >= 0)
                r = add_keeper(host);
        if (r >= 0)
                r = add_watches(host);
        if (r < 0) {
                (void) sink_host_free(host);
                return r;
        }
        *ret = host;
        return 0;
}

SinkHost *sink_host_free(SinkHost *host) {
        if (!host)
                return NULL;
        host->stuck = loop_drop(host->stuck);
        host->answer = loop_drop(host->answer);
        host->watch = loop_drop(host->watch);
        if (host->self && !host->type->blocks) /* on the loop, even if the thread still sets messages apart */
                host->self = host->type->close(host->self);
        if (host->self && !host->type->blocks) /* a thread of the type still reads the messages */
                host->worker = worker_free(host->worker);
        else
                worker_end(host->worker, sink_host_release, host);
        return NULL;
}
