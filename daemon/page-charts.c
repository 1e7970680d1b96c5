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
#include "page-metrics.h"
#include "page-queue.h"
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

/* A request that waits. */
typedef struct Asked {
        ListenRequest *request;
        PageJobKind kind; /* PAGE_JOB_SERIES, _VALUES or _METRICS */
        PageQuery query;  /* of _VALUES */
        Bytes figures;    /* of _METRICS: its text so far */
        STAILQ_ENTRY(Asked) link;
} Asked;

/* The data of a job. It may outlive the charts when the thread hangs. */
typedef struct Task {
        PageThread *thread;
        PageJob job;
} Task;

struct PageCharts {
        PageChartsHost host;
        Config *config; /* has a page; NULL: no page is wanted */
        const SubscriptionConfig *subscription;
        PageThread *thread;
        Worker *worker;
        Task *task;             /* the running job's; NULL: none runs */
        ListenRequest *request; /* the request of the running job; NULL: it has none, or the client is gone */
        Bytes queue;
        uint64_t dropped;
        bool take, save, open, close; /* which jobs are due */
        bool took;                    /* the last job was not a request */
        bool refused;                 /* the last save failed: history waits, because it can be read again later */
        LoopWatch *take_timer, *save_timer;
        STAILQ_HEAD(, Asked) asked;
        size_t n_asked;
        PageHistory *history;
        Bytes past, mark; /* a piece of history that waits */
        bool piece, piece_complete;
        usec_t again;    /* history could not be started; clock_now() of the next try */
        Trouble trouble; /* the thread cannot be started */
        bool resting;    /* no page is wanted any more: the last job runs */
        bool stopping;
};

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

static void on_piece(void *userdata, Bytes *queue, Slice mark, bool complete) {
        PageCharts *charts = userdata;

        charts->past = bytes_steal(queue);
        bytes_cut(&charts->mark, 0);
        if (bytes_append(&charts->mark, mark.data ? mark.data : "", mark.size) < 0)
                return; /* the next start goes on from the old mark */
        charts->piece = true;
        charts->piece_complete = complete;
        charts_next(charts);
}

static void history_start(PageCharts *charts, const PageJob *job) {
        const SubscriptionConfig *from = charts->config ? history_find(charts) : NULL;
        SecretProblem problem;
        int r;

        if (!from || job->complete || job->begun == 0 || charts->history || charts->close)
                return;
        r = secret_read_all(charts->config, charts->host.secrets, from->section, from->keys, &problem);
        if (r == 0)
                r = page_history_new(&(PageHistorySpec){ .loop = charts->host.loop,
                                             .type = types_sink(from->sink)->history,
                                             .config = from,
                                             .begun = job->begun,
                                             .since = job->since,
                                             .mark = { job->mark.data, job->mark.size },
                                             .on_piece = on_piece,
                                             .userdata = charts },
                        &charts->history);
        charts->again = r < 0 ? clock_now() + AGAIN_USEC : 0;
        if (r < 0)
                log_debug("history: %s", strerror(-r));
}

static void history_end(PageCharts *charts) {
        charts->history = page_history_free(charts->history);
        bytes_done(&charts->past);
        charts->piece = false;
}

/* ---- the end of a job ---- */

static void answer(ListenRequest *request, const PageJob *job) {
        const char *type = job->kind == PAGE_JOB_METRICS ? PAGE_METRICS_TYPE : "application/json";

        if (job->status == 200)
                page_answer_made(request, type, (Slice){ job->body.data, job->body.size },
                        job->gzip ? PAGE_CODING_GZIP : PAGE_CODING_PLAIN);
        else
                page_answer_error(request, job->status, job->words);
}

static void after_past(PageCharts *charts, const PageJob *job) {
        if (!charts->history)
                return;
        if (!job->complete)
                return page_history_go_on(charts->history);
        history_end(charts);
        charts->save = true;
        log_info("What was stored before the page was switched on is in its charts.");
}

static void after_save(PageCharts *charts, const PageJob *job) {
        charts->refused = job->failed;
        if (job->failed)
                loop_arm_in(charts->save_timer, SAVE_AGAIN_USEC);
        if (job->kind != PAGE_JOB_CLOSE)
                return;
        loop_off(charts->save_timer);
        if (charts->resting)
                charts->config = config_unref(charts->config);
        charts->resting = false;
        charts->host.on_stopped(charts->host.userdata);
}

static void log_dropped(PageCharts *charts) {
        if (charts->dropped++ > 0)
                return;
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_FILE, charts->host.state_dir }),
                "The disk of %s does not keep up with the page: some values are in no chart. They are stored as all "
                "others.",
                charts->host.state_dir);
}

/* Messages that could not be taken go back into the queue, before those that came in the meantime. */
static void after_take(PageCharts *charts, PageJob *job) {
        if (charts->again > 0 && clock_now() >= charts->again) {
                charts->again = 0;
                charts->open = true;
        }
        if (!job->failed || charts->close)
                return;
        if (bytes_append(&job->queue, charts->queue.data ? charts->queue.data : "", charts->queue.size) < 0)
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

static Task *task_free(Task *task) {
        if (!task)
                return NULL;
        page_thread_unref(task->thread);
        bytes_done(&task->job.body);
        bytes_done(&task->job.mark);
        bytes_done(&task->job.queue);
        free(task);
        return NULL;
}

static void on_done(void *userdata, void *argument) {
        PageCharts *charts = userdata;
        Task *task = argument;
        ListenRequest *request = charts->request;
        PageJob *job = &task->job;

        charts->task = NULL;
        charts->request = NULL;
        if (request)
                answer(request, job);
        if (job->renewed && charts->config) { /* history begins anew, or continues */
                history_end(charts);
                charts->open = true;
        }
        if (job->save && !job->failed)
                charts->save = true;
        charts_conclude(charts, job);
        config_unref((Config *) job->config);
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
                        "The page has no charts, since their thread cannot be started: %s. Look at this machine's "
                        "memory, and at TasksMax. It is tried again; readings are stored as before.",
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
        if (r < 0) {
                page_thread_unref(charts->thread);
                charts->thread = NULL;
        }
        log_begun(charts, r);
        return r;
}

/* ---- the next job ---- */

static Asked *asked_take(PageCharts *charts) {
        Asked *asked = STAILQ_FIRST(&charts->asked);

        if (asked) {
                STAILQ_REMOVE_HEAD(&charts->asked, link);
                charts->n_asked--;
        }
        return asked;
}

static void job_for_asked(PageCharts *charts, PageJob *job) {
        Asked *asked = asked_take(charts);

        job->kind = asked->kind;
        job->query = asked->query;
        job->body = bytes_steal(&asked->figures);
        job->gzip = page_answer_coding(asked->request) == PAGE_CODING_GZIP;
        charts->request = asked->request;
        free(asked);
}

/* Chooses the next job. True when there is one. Stored messages are taken first, so that answers include them; but they
 * alternate with requests. */
static bool charts_choose(PageCharts *charts, PageJob *job) {
        if (charts->open) {
                job->kind = PAGE_JOB_OPEN;
                charts->open = false;
        } else if (charts->took && !STAILQ_EMPTY(&charts->asked)) {
                job_for_asked(charts, job);
        } else if (charts->take || (charts->close && charts->queue.size > 0)) {
                job->kind = PAGE_JOB_TAKE;
                job->queue = bytes_steal(&charts->queue);
                charts->take = false;
        } else if (charts->save && !charts->close) {
                job->kind = PAGE_JOB_SAVE;
                charts->save = false;
        } else if (!STAILQ_EMPTY(&charts->asked)) {
                job_for_asked(charts, job);
        } else if (charts->piece && !charts->refused) {
                job->kind = PAGE_JOB_PAST;
                job->queue = bytes_steal(&charts->past);
                job->mark = bytes_steal(&charts->mark);
                job->complete = charts->piece_complete;
                charts->piece = false;
        } else if (charts->close) {
                job->kind = PAGE_JOB_CLOSE;
                charts->close = charts->save = false;
        } else
                return false;
        return true;
}

static void charts_next(PageCharts *charts) {
        Task *task;

        if (charts->task || !charts->config || charts_begin(charts) < 0)
                return;
        task = calloc(1, sizeof(*task));
        if (!task) /* no memory: the next message or request tries again */
                return;
        if (!charts_choose(charts, &task->job)) {
                free(task);
                return;
        }
        task->thread = page_thread_ref(charts->thread);
        task->job.config = config_ref(charts->config);
        task->job.subscription = charts->subscription;
        charts->task = task;
        charts->took = !charts->request;
        (void) worker_submit(charts->worker, task);
        if (task->job.queue.size > 0 && !loop_is_armed(charts->save_timer))
                loop_arm_in(charts->save_timer, PAGE_STORE_SAVE_USEC);
}

static void on_take(void *userdata) {
        PageCharts *charts = userdata;

        charts->take = charts->queue.size > 0;
        charts_next(charts);
}

static void on_save(void *userdata) {
        PageCharts *charts = userdata;

        charts->save = true;
        charts_next(charts);
}

/* ---- what comes ---- */

void page_charts_add(PageCharts *charts, const char *subscription, const WireMessage *message) {
        PageMessage copy = {
                .text = message->data, .attributes = message->attributes, .n_attributes = message->n_attributes
        };
        const Slice *published = &message->publish_time;

        if (!charts->config || charts->resting || !charts->subscription ||
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

/* Takes the question's figures. */
static void charts_ask(PageCharts *charts, Asked *question) {
        const char *why = NULL;
        Asked *asked = NULL;

        if (charts_begin(charts) < 0)
                why = PAGE_THREAD_NO_CHARTS;
        else if (!charts->config || charts->resting || charts->stopping || charts->n_asked == ASKED_MAX)
                why = "too many ask at once; try again";
        else if (!(asked = malloc(sizeof(*asked))))
                why = "out of memory";
        if (why) {
                bytes_done(&question->figures);
                return page_answer_error(question->request, 503, why);
        }
        *asked = *question;
        STAILQ_INSERT_TAIL(&charts->asked, asked, link);
        charts->n_asked++;
        charts_next(charts);
}

void page_charts_ask_series(PageCharts *charts, ListenRequest *request) {
        charts_ask(charts, &(Asked){ .request = request, .kind = PAGE_JOB_SERIES });
}

void page_charts_ask_values(PageCharts *charts, ListenRequest *request, const PageQuery *query) {
        charts_ask(charts, &(Asked){ .request = request, .kind = PAGE_JOB_VALUES, .query = *query });
}

void page_charts_ask_metrics(PageCharts *charts, ListenRequest *request, Bytes *figures) {
        if (charts_begin(charts) < 0) /* /metrics works without the charts */
                return page_answer_made(
                        request, PAGE_METRICS_TYPE, (Slice){ figures->data, figures->size }, PAGE_CODING_PLAIN);
        charts_ask(charts, &(Asked){ .request = request, .kind = PAGE_JOB_METRICS, .figures = bytes_steal(figures) });
}

void page_charts_forget(PageCharts *charts) {
        charts->request = NULL;
        while (!STAILQ_EMPTY(&charts->asked)) {
                Asked *asked = asked_take(charts);

                bytes_done(&asked->figures);
                free(asked);
        }
}

/* ---- life ---- */

/* Ends the charts; the last job runs with the configuration that it had. */
static void charts_rest(PageCharts *charts) {
        if (!charts->config || charts->resting)
                return;
        page_charts_forget(charts);
        history_end(charts);
        charts->close = charts->resting = true;
        charts_next(charts);
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
                charts->open = true;
        }
        config_unref(old);
}

void page_charts_use(PageCharts *charts, Config *config, const SubscriptionConfig *subscription) {
        if (!config->page)
                return charts_rest(charts);
        charts->open = charts->open || !charts->config || charts->resting;
        charts_take_config(charts, config, subscription);
        charts->close = charts->resting = false;
        charts_next(charts);
}

void page_charts_stop(PageCharts *charts) {
        charts->stopping = true;
        page_charts_forget(charts);
        history_end(charts);
        loop_off(charts->take_timer);
        if (!charts->config || charts_begin(charts) < 0)
                return;
        charts->close = charts->close || !charts->resting; /* otherwise the last job already runs */
        charts_next(charts);
}

bool page_charts_is_stopped(const PageCharts *charts) {
        return charts->stopping && !charts->task && (!charts->close || !charts->worker);
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

/* A running task is left to its thread, which frees it. */
PageCharts *page_charts_free(PageCharts *charts) {
        if (!charts)
                return NULL;
        page_charts_forget(charts);
        history_end(charts);
        worker_free(charts->worker);
        loop_drop(charts->save_timer);
        loop_drop(charts->take_timer);
        bytes_done(&charts->mark);
        bytes_done(&charts->queue);
        page_thread_unref(charts->thread);
        config_unref(charts->config);
        free(charts);
        return NULL;
}
