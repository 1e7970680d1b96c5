/* SPDX-License-Identifier: Apache-2.0 */
#include "page-charts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "events.h"
#include "lib/log.h"
#include "lib/worker.h"
#include "page-answer.h"
#include "page-render.h"
#include "page-store.h"
#include "page-thread.h"
#include "secret.h"
#include "trouble.h"
#include "types.h"

#define TAKE_USEC USEC_PER_SEC /* several messages are taken in one wake-up */
#define TAKE_SIZE ((size_t) 64 * 1024)
#define QUEUE_MAX ((size_t) 8 * 1024 * 1024) /* holds one large pull, and messages while the disk is too slow */
#define SAVE_AGAIN_USEC USEC_PER_MINUTE
#define AGAIN_USEC USEC_PER_MINUTE /* wait after a thread for history could not be started */
#define ASKED_MAX 64

/* A job of the thread; one with a request waits in a queue. It may outlive the charts when the thread hangs. */
typedef struct Task {
        PageThread *thread;
        ListenRequest *request; /* which the job answers; NULL: none, or the client is gone */
        PageJob job;
        STAILQ_ENTRY(Task) link;
} Task;

typedef enum ChartsState {
        CHARTS_OFF, /* no page is wanted */
        CHARTS_ON,
        CHARTS_RESTING, /* no page is wanted any more: the values in memory are saved */
        CHARTS_STOPPING,
} ChartsState;

struct PageCharts {
        PageChartsHost host;
        ChartsState state;
        Config *config; /* has a page; NULL: no page is wanted */
        const SubscriptionConfig *subscription;
        PageThread *thread;
        Worker *worker;
        Task *task; /* it runs; NULL: none does */
        Bytes queue;
        bool dropped;                 /* messages, which was said */
        bool due[PAGE_JOB_CLOSE + 1]; /* jobs that nobody asks for: OPEN, TAKE, SAVE and CLOSE, in turn */
        bool took;                    /* the last job was not a request */
        bool refused;                 /* the last save failed: history waits, because it can be read again later */
        LoopWatch *take_timer, *save_timer;
        STAILQ_HEAD(, Task) asked;
        size_t n_asked;
        PageHistory *history;
        Task *piece;     /* of history, which waits; NULL: none */
        usec_t again;    /* history could not be started; clock_now() of the next try */
        Trouble trouble; /* the thread cannot be started */
};

static Task *task_free(Task *task) {
        if (!task)
                return NULL;
        config_unref((Config *) task->job.config);
        bytes_done(&task->job.body);
        bytes_done(&task->job.past.mark);
        bytes_done(&task->job.queue);
        free(task);
        return NULL;
}

static void charts_next(PageCharts *charts);

/* ---- history ---- */

/* Returns a subscription whose sink can read its messages back; it prefers the one that is drawn. */
static const SubscriptionConfig *history_find(const PageCharts *charts) {
        const Config *config = charts->config;

        if (charts->subscription && types_sink(charts->subscription->sink)->history)
                return charts->subscription;
        for (size_t i = 0; i < config->n_subscriptions; i++)
                if (types_sink(config->subscriptions[i].sink)->history)
                        return &config->subscriptions[i];
        return NULL;
}

/* Without memory the piece is left out; the next start goes on from the mark before it. */
static void on_piece(void *userdata, Bytes *queue, Slice mark, bool complete) {
        PageCharts *charts = userdata;
        Task *task = calloc(1, sizeof(*task));

        if (!task)
                return;
        task->job = (PageJob){ .kind = PAGE_JOB_PAST, .queue = bytes_steal(queue), .past.complete = complete };
        if (bytes_append(&task->job.past.mark, mark.data, mark.size) < 0) {
                task_free(task);
                return;
        }
        charts->piece = task;
        charts_next(charts);
}

static void history_start(PageCharts *charts, const PageJob *job) {
        const SubscriptionConfig *from = charts->config ? history_find(charts) : NULL;
        SecretProblem problem;
        int r;

        if (!from || job->past.complete || job->past.begun == 0 || charts->history || charts->due[PAGE_JOB_CLOSE])
                return;
        r = secret_read_all(charts->config, charts->host.secrets, from->section, from->keys, &problem);
        if (r == 0)
                r = page_history_new(&(PageHistorySpec){ .loop = charts->host.loop,
                                             .config = from,
                                             .past = &job->past,
                                             .on_piece = on_piece,
                                             .userdata = charts },
                        &charts->history);
        charts->again = r < 0 ? clock_now() + AGAIN_USEC : 0;
        if (r < 0)
                log_debug("history: %s", strerror(-r));
}

static void history_end(PageCharts *charts) {
        charts->history = page_history_free(charts->history);
        charts->piece = task_free(charts->piece);
}

/* ---- the end of a job ---- */

static void answer(ListenRequest *request, const PageJob *job) {
        const char *type = job->kind == PAGE_JOB_METRICS ? PAGE_METRICS_TYPE : PAGE_ANSWER_JSON;

        if (job->status == 200)
                page_answer_made(
                        request, type, bytes_slice(&job->body), job->gzip ? PAGE_CODING_GZIP : PAGE_CODING_PLAIN);
        else
                page_answer_error(request, job->status, job->words);
}

static void after_past(PageCharts *charts, const PageJob *job) {
        if (!charts->history)
                return;
        if (!job->past.complete)
                return page_history_go_on(charts->history);
        history_end(charts);
        charts->due[PAGE_JOB_SAVE] = true;
        log_info("What was stored before the page was enabled is in its charts.");
}

static void after_save(PageCharts *charts, const PageJob *job) {
        charts->refused = job->failed;
        if (job->failed)
                loop_arm_in(charts->save_timer, SAVE_AGAIN_USEC);
        if (job->kind != PAGE_JOB_CLOSE)
                return;
        loop_off(charts->save_timer);
        if (charts->state == CHARTS_RESTING) {
                charts->config = config_unref(charts->config);
                charts->state = CHARTS_OFF;
        }
        charts->host.on_stopped(charts->host.userdata);
}

static void log_dropped(PageCharts *charts) {
        if (charts->dropped)
                return;
        charts->dropped = true;
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_FILE, charts->host.state_dir }),
                "The disk of %s cannot keep up with the page, or memory is short: some values are missing from the "
                "charts. They are stored like all others. Logged once.",
                charts->host.state_dir);
}

/* Messages that could not be taken go back into the queue, before those that came in the meantime. */
static void after_take(PageCharts *charts, PageJob *job) {
        if (charts->again > 0 && clock_now() >= charts->again) {
                charts->again = 0;
                charts->due[PAGE_JOB_OPEN] = true;
        }
        if (!job->failed || charts->due[PAGE_JOB_CLOSE])
                return;
        if (bytes_append(&job->queue, charts->queue.data, charts->queue.size) < 0)
                return log_dropped(charts);
        bytes_done(&charts->queue);
        charts->queue = bytes_steal(&job->queue);
        if (!loop_is_armed(charts->take_timer))
                loop_arm_in(charts->take_timer, USEC_PER_MINUTE);
}

static void charts_conclude(PageCharts *charts, PageJob *job) {
        switch (job->kind) {
        case PAGE_JOB_OPEN:
                return history_start(charts, job);
        case PAGE_JOB_PAST:
                return after_past(charts, job);
        case PAGE_JOB_SAVE:
        case PAGE_JOB_CLOSE:
                return after_save(charts, job);
        case PAGE_JOB_TAKE:
                return after_take(charts, job);
        case PAGE_JOB_SERIES:
        case PAGE_JOB_VALUES:
        case PAGE_JOB_METRICS:
                break;
        }
}

static void on_done(void *userdata, void *argument) {
        PageCharts *charts = userdata;
        Task *task = argument;
        PageJob *job = &task->job;

        charts->task = NULL;
        if (task->request)
                answer(task->request, job);
        if (job->renewed && charts->state == CHARTS_ON) { /* history begins anew, or continues */
                history_end(charts);
                charts->due[PAGE_JOB_OPEN] = true;
        }
        if (job->save && !job->failed)
                charts->due[PAGE_JOB_SAVE] = true;
        charts_conclude(charts, job);
        task_free(task);
        charts_next(charts);
}

/* Runs on the thread. It uses only the task: the charts may be freed. */
static void run(void *userdata, void *argument) {
        Task *task = argument;

        page_thread_do(task->thread, &task->job);
}

/* ---- the thread ---- */

static void log_begun(PageCharts *charts, int r) {
        char span[CLOCK_SPAN_SIZE];

        if (r < 0 && trouble_fail(&charts->trouble, TROUBLE_LASTING, CAUSE_MEMORY, 0, strerror(-r)))
                log_event(trouble_level(&charts->trouble), EVENT_PAGE_FAILING,
                        LOG_FIELDS({ FIELD_ERROR, charts->trouble.detail }),
                        "The page has no charts: their thread cannot be started: %s. Look at this machine's memory, "
                        "and at TasksMax=. sensorqd keeps trying; readings are stored as usual.",
                        charts->trouble.detail);
        else if (r == 0 && trouble_mend(&charts->trouble, span))
                log_event(LOG_NOTICE, EVENT_PAGE_RECOVERED, NULL, "The page has charts again, after %s.", span);
}

/* Starts the thread. If that fails, each message and each request tries again. */
static int charts_begin(PageCharts *charts) {
        int r;

        if (charts->worker)
                return 0;
        r = page_thread_new(charts->host.state_dir, &charts->thread);
        if (r == 0)
                r = worker_new(charts->host.loop, "page", run, on_done, charts, &charts->worker);
        if (r < 0)
                charts->thread = page_thread_free(charts->thread);
        log_begun(charts, r);
        return r;
}

/* ---- the next job ---- */

static Task *asked_take(PageCharts *charts) {
        Task *task = STAILQ_FIRST(&charts->asked);

        if (task) {
                STAILQ_REMOVE_HEAD(&charts->asked, link);
                charts->n_asked--;
        }
        return task;
}

/* Returns the first job that is due; NULL: there is none, or no memory: the next message or request tries again. */
static Task *due_take(PageCharts *charts) {
        PageJobKind kind = PAGE_JOB_OPEN;
        Task *task;

        while (kind < PAGE_JOB_CLOSE && !charts->due[kind])
                kind++;
        task = charts->due[kind] ? calloc(1, sizeof(*task)) : NULL;
        if (!task)
                return NULL;
        charts->due[kind] = false;
        task->job.kind = kind;
        if (kind == PAGE_JOB_TAKE)
                task->job.queue = bytes_steal(&charts->queue);
        return task;
}

/* Chooses the next job. Stored messages are taken first, so that answers include them; but they alternate with
 * requests. */
static Task *charts_choose(PageCharts *charts) {
        bool busy = charts->due[PAGE_JOB_TAKE] || charts->due[PAGE_JOB_SAVE];

        if (!charts->due[PAGE_JOB_OPEN] && !STAILQ_EMPTY(&charts->asked) && (charts->took || !busy))
                return asked_take(charts);
        if (!charts->due[PAGE_JOB_OPEN] && !busy && charts->piece && !charts->refused)
                return cleanup_steal(charts->piece);
        return due_take(charts);
}

static void charts_next(PageCharts *charts) {
        Task *task;

        if (charts->task || !charts->config || charts_begin(charts) < 0)
                return;
        task = charts_choose(charts);
        if (!task)
                return;
        task->thread = charts->thread;
        task->job.config = config_ref(charts->config);
        task->job.subscription = charts->subscription;
        charts->task = task;
        charts->took = !task->request;
        (void) worker_submit(charts->worker, task);
        if (task->job.queue.size > 0 && !loop_is_armed(charts->save_timer))
                loop_arm_in(charts->save_timer, PAGE_STORE_SAVE_USEC);
}

static void on_take(void *userdata) {
        PageCharts *charts = userdata;

        charts->due[PAGE_JOB_TAKE] = charts->queue.size > 0;
        charts_next(charts);
}

static void on_save(void *userdata) {
        PageCharts *charts = userdata;

        charts->due[PAGE_JOB_SAVE] = true;
        charts_next(charts);
}

/* ---- what comes ---- */

void page_charts_add(PageCharts *charts, const char *subscription, const WireMessage *message) {
        SinkPast copy = {
                .text = message->data, .attributes = message->attributes, .n_attributes = message->n_attributes
        };
        const Slice *published = &message->publish_time;

        if (charts->state != CHARTS_ON || !charts->subscription ||
                strcmp(subscription, charts->subscription->subscription) != 0)
                return;
        if (charts->queue.size + copy.text.size > QUEUE_MAX)
                return log_dropped(charts);
        (void) clock_parse_rfc3339(published->data, published->size, &copy.published);
        if (page_queue_put(&charts->queue, &copy) < 0)
                return log_dropped(charts);
        if (charts->queue.size >= TAKE_SIZE)
                on_take(charts);
        else if (!loop_is_armed(charts->take_timer))
                loop_arm_in(charts->take_timer, TAKE_USEC);
}

void page_charts_ask(PageCharts *charts, ListenRequest *request, PageJob *job) {
        const char *why = NULL;
        Task *task = NULL;

        if (charts_begin(charts) < 0 && job->kind == PAGE_JOB_METRICS) /* /metrics works without the charts */
                page_answer_made(request, PAGE_METRICS_TYPE, bytes_slice(&job->body), PAGE_CODING_PLAIN);
        else if (!charts->worker)
                why = PAGE_THREAD_NO_CHARTS;
        else if (charts->state != CHARTS_ON || charts->n_asked == ASKED_MAX)
                why = "too many ask at once; try again";
        else if (!(task = calloc(1, sizeof(*task))))
                why = "out of memory";
        if (why)
                page_answer_error(request, 503, why);
        if (!task)
                return bytes_done(&job->body);
        task->request = request;
        task->job = *job;
        task->job.gzip = page_answer_coding(request) == PAGE_CODING_GZIP;
        STAILQ_INSERT_TAIL(&charts->asked, task, link);
        charts->n_asked++;
        charts_next(charts);
}

void page_charts_forget(PageCharts *charts) {
        Task *task;

        if (charts->task)
                charts->task->request = NULL;
        while ((task = asked_take(charts)))
                task_free(task);
}

/* ---- life ---- */

/* The last job saves; before it, what is in the queue is taken. */
static void charts_close(PageCharts *charts) {
        charts->due[PAGE_JOB_TAKE] = charts->queue.size > 0;
        charts->due[PAGE_JOB_SAVE] = false;
        charts->due[PAGE_JOB_CLOSE] = true;
        charts_next(charts);
}

/* Ends the charts; the last job runs with the configuration that it had. */
static void charts_rest(PageCharts *charts) {
        if (charts->state != CHARTS_ON)
                return;
        page_charts_forget(charts);
        history_end(charts);
        charts->state = CHARTS_RESTING;
        charts_close(charts);
}

/* History continues where it was, or begins anew if it is read from another subscription. */
static void charts_take_config(PageCharts *charts, Config *config, const SubscriptionConfig *subscription) {
        const SubscriptionConfig *before = charts->config ? history_find(charts) : NULL, *from;
        Config *old = charts->config;

        charts->config = config_ref(config);
        charts->subscription = subscription;
        from = history_find(charts);
        if (before != from && !(before && from && config_subscription_equal(before, from))) {
                history_end(charts);
                charts->due[PAGE_JOB_OPEN] = true;
        }
        config_unref(old);
}

void page_charts_use(PageCharts *charts, Config *config, const SubscriptionConfig *subscription) {
        if (!config->page)
                return charts_rest(charts);
        if (charts->state != CHARTS_ON)
                charts->due[PAGE_JOB_OPEN] = true;
        charts_take_config(charts, config, subscription);
        charts->state = CHARTS_ON;
        charts->due[PAGE_JOB_SAVE] |= charts->due[PAGE_JOB_CLOSE]; /* which would have saved */
        charts->due[PAGE_JOB_CLOSE] = false;
        charts_next(charts);
}

void page_charts_stop(PageCharts *charts) {
        bool closes = charts->state == CHARTS_RESTING; /* the last job waits or runs already */

        charts->state = CHARTS_STOPPING;
        page_charts_forget(charts);
        history_end(charts);
        loop_off(charts->take_timer);
        if (!charts->config)
                return;
        if (closes)
                charts_next(charts);
        else
                charts_close(charts);
}

bool page_charts_is_stopped(const PageCharts *charts) {
        return charts->state == CHARTS_STOPPING && !charts->task && (!charts->due[PAGE_JOB_CLOSE] || !charts->worker);
}

int page_charts_new(const PageChartsHost *host, PageCharts **ret) {
        _cleanup_(page_charts_freep) PageCharts *charts = calloc(1, sizeof(*charts));
        int r;

        if (!charts)
                return -ENOMEM;
        charts->host = *host;
        STAILQ_INIT(&charts->asked);
        r = loop_add_timer(host->loop, LOOP_RELAXED, on_take, charts, &charts->take_timer);
        if (r < 0)
                return r;
        r = loop_add_timer(host->loop, LOOP_LAZY, on_save, charts, &charts->save_timer);
        if (r < 0)
                return r;
        *ret = cleanup_steal(charts);
        return 0;
}

/* What a job that runs uses is left to its thread: the process ends. */
PageCharts *page_charts_free(PageCharts *charts) {
        if (!charts)
                return NULL;
        page_charts_forget(charts);
        history_end(charts);
        worker_free(charts->worker);
        loop_drop(charts->save_timer);
        loop_drop(charts->take_timer);
        bytes_done(&charts->queue);
        if (!charts->task)
                page_thread_free(charts->thread);
        config_unref(charts->config);
        free(charts);
        return NULL;
}
