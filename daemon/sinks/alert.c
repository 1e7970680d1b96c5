/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* Alerts as a type of sink. A message counts as stored when its effect on the states of the rules is committed, and
 * with it what is to be told. The sender tells the targets, and nothing here waits for it.
 *
 *      loop:    write --+                            +--> the messages are stored
 *               time  --+--> a turn of the thread ---+
 *               sender -+    (alert-work.c)          +--> the sender sends what was noted
 *
 * One turn runs at a time; what comes meanwhile waits for the next turn, which handles all of it. The book is the
 * thread's during a turn, and the loop's between turns: then the sender looks at what is due and notes what it sends.
 *
 * Where things are, in the order in which one reads them:
 *
 *   alert-config                  the section of the configuration: rules and targets
 *   alert-rules                   rules prepared for many messages, and the state of one rule for one device
 *   alert-reading                 a message as rules see it
 *   alert-device                  a device with its states, and what each target was told and is to be told of them
 *   alert-book                    all devices, and how messages are judged
 *   alert-pass                    time passes: what begins or ends by it, and what is due
 *   alert-work, alert-store       a turn: judge, pass, commit, log; the book in alerts.sqlite
 *   alert-sender                  when which notices are sent to a target, and what an answer means for them
 *   alert-text                    their texts in two languages
 *   alert-target                  a service's requests and answers; one request with our credentials
 *   alert-report                  how they stand: status.json, STATUS=, the verbs check and alerts
 *
 * All from alert-rules to alert-pass is pure: times are arguments. */
/* clang-format on */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backoff.h"
#include "lib/loop.h"
#include "lib/worker.h"
#include "sinks/alert-config.h"
#include "sinks/alert-sender.h"
#include "sinks/alert-store.h"
#include "subscribe/sink-words.h"

/* A turn runs at least this often, since the wall clock may be set. */
#define TURN_MAX_USEC (30 * USEC_PER_SEC)
/* A pull hangs for at most two minutes: without an answer for longer, we may have missed messages. */
#define HEARD_GAP_USEC (3 * USEC_PER_MINUTE)

typedef struct Alert {
        SinkHost *host;
        const SubscriptionConfig
                *config; /* the host of a type that does not block ends before the configuration does */
        AlertStore *store;
        Worker *worker;
        AlertSender *sender;
        LoopWatch *timer;
        AlertTurn turn; /* the thread's while it runs */
        bool running;
        SinkAnswer *asked; /* of a probe or a write that a turn will answer; NULL: none */
        SinkWork *write;   /* of a write; NULL: a probe */
        bool answers;      /* the running turn answers *asked* */
        bool late;         /* a turn is due, by the timer or for the sender */
        Backoff backoff;   /* of turns that fail */
        bool stopping;
        AlertMoment moment;   /* of the last turn, and what was heard since */
        usec_t answered;      /* clock_now() of the last answer to a pull */
        AlertFigures figures; /* as of the last turn that succeeded */
        Bytes report, words;  /* of alert_figures() */
} Alert;

/* ---- turns ---- */

static void answer_fault(const Alert *a, SinkAnswer *answer, int r) {
        sink_disk_answer(answer, r, alert_store_path(a->store));
        if (r != -EOPNOTSUPP)
                return;
        answer->fault = SINK_FAULT_LASTING;
        answer->reason = "newer";
        answer->words = "was made by a later sensorqd";
        answer->remedy = "install that version again, or move the file away: alerts that still fire are then sent "
                         "again";
}

/* Whether no pull was answered for longer than one hangs, because the machine slept or the process was stopped. The
 * queue may then hold messages that must be judged before the passing of time. */
static bool has_missed(const Alert *a, usec_t now) {
        return a->moment.hearing == 0 || now > a->answered + 2 * a->config->interval + HEARD_GAP_USEC;
}

static bool is_wanted(const Alert *a) {
        return a->asked || a->late;
}

static void start(Alert *a) {
        AlertMoment *moment = &a->moment;
        AlertBook *book;
        _asserted_ int r;

        if (a->running || !is_wanted(a))
                return;
        moment->wall = clock_wall();
        moment->now = clock_now();
        if (has_missed(a, moment->now))
                moment->hearing = 0;
        if (moment->hearing > 0 || a->stopping)
                moment->missed = 0;
        else if (moment->missed == 0)
                moment->missed = moment->now;
        a->turn = (AlertTurn){
                .moment = *moment, .items = a->write ? a->write->items : NULL, .n_items = a->write ? a->write->n : 0
        };
        a->answers = a->asked;
        a->late = false;
        a->running = true;
        book = alert_store_book(a->store);
        if (book) {
                alert_book_begin(book, moment);
                alert_sender_note(a->sender, book);
        }
        r = worker_submit(a->worker, a);
        assert(r == WORKER_STARTED);
}

static void run_on_thread(void *userdata, void *job) {
        Alert *a = job;

        alert_work_run(a->store, &a->turn);
}

/* Answers the probe or write. */
static void answer(Alert *a, int r) {
        SinkAnswer *asked = a->asked;
        const SinkWork *write = a->write;

        a->asked = NULL;
        a->write = NULL;
        if (r < 0)
                answer_fault(a, asked, r);
        else
                asked->accepted = write;
        for (size_t i = 0; write && r == 0 && i < write->n; i++)
                write->items[i].verdict = SINK_STORED;
        sink_host_answer(a->host);
}

static void note_turn(Alert *a) {
        usec_t wall = clock_wall(), next;

        if (a->turn.result < 0) {
                loop_arm_in(a->timer, backoff_next(&a->backoff, loop_random()));
                return alert_figures_done(&a->turn.figures);
        }
        backoff_reset(&a->backoff);
        next = alert_store_book(a->store)->next;
        if (!a->stopping)
                loop_arm_in(a->timer, next > wall ? usec_min(next - wall, TURN_MAX_USEC) : 0);
        if (!a->figures.rules.data || strcmp(a->figures.rules.data, a->turn.figures.rules.data) != 0)
                sink_host_seen(a->host, SINK_SEEN_CHANGE);
        alert_figures_done(&a->figures);
        a->figures = a->turn.figures;
        a->turn.figures = (AlertFigures){};
}

static void on_done(void *userdata, void *job) {
        Alert *a = userdata;
        int r = a->turn.result;

        note_turn(a);
        if (alert_store_book(a->store))
                alert_sender_noted(a->sender, alert_store_book(a->store), r == 0);
        if (a->answers)
                answer(a, r);
        else if (r < 0)
                sink_host_seen(a->host, SINK_SEEN_LOST); /* sink.c then probes, and the answer tells the fault */
        a->running = false; /* not before: until here, what is wanted waits for the next turn */
        start(a);
        if (a->stopping)
                sink_host_seen(a->host, SINK_SEEN_CHANGE);
}

/* A turn is due: for the timer and for the sender. */
static void on_due(void *userdata) {
        Alert *a = userdata;

        a->late = true;
        start(a);
}

static void on_sender_change(void *userdata) {
        Alert *a = userdata;

        sink_host_seen(a->host, SINK_SEEN_CHANGE);
}

/* ---- the type ---- */

static void alert_probe(void *self, SinkAnswer *answer) {
        Alert *a = self;

        a->asked = answer;
        start(a);
}

static void alert_write(void *self, SinkWork *work) {
        Alert *a = self;

        a->asked = &work->answer;
        a->write = work;
        start(a);
}

/* A pull was answered. An empty answer proves that all messages have come; what other answers prove is seen when their
 * messages are judged. */
static void note_answer(Alert *a, bool empty) {
        usec_t now = clock_now();

        if (has_missed(a, now))
                a->moment.hearing = now;
        a->answered = now;
        if (empty)
                a->moment.heard = now;
        if (a->backoff.attempt == 0 && !a->stopping)
                loop_arm_in(a->timer, 0);
}

static void alert_told(void *self, SinkNews news) {
        Alert *a = self;

        if (news == SINK_NEWS_STOP || news == SINK_NEWS_END) {
                a->stopping = true;
                a->moment.caught_up = news == SINK_NEWS_END;
                loop_off(a->timer);
                return alert_sender_drain(a->sender);
        }
        a->moment.deaf = news == SINK_NEWS_DEAF;
        if (!a->moment.deaf)
                note_answer(a, news == SINK_NEWS_EMPTY);
}

static bool alert_is_busy(const void *self) {
        const Alert *a = self;

        return a->running || is_wanted(a) || !alert_sender_is_drained(a->sender);
}

static void alert_figures(void *self, SinkFigures *ret) {
        Alert *a = self;
        const AlertTargetStatus *target;

        if (alert_report_write(&a->figures, a->sender, &a->report, &a->words) < 0)
                return;
        ret->json = a->report.data;
        ret->words = a->words.data;
        for (size_t i = 0; (target = alert_sender_status(a->sender, i)); i++) {
                ret->waiting = ret->waiting || target->waiting > 0;
                ret->failing = ret->failing || trouble_is_on(&target->trouble);
        }
}

static void alert_exclusive(
        const SubscriptionConfig *config, const char *state_dir, char name[static SINK_EXCLUSIVE_MAX]) {
        (void) snprintf(name, SINK_EXCLUSIVE_MAX, "the alerts of %s", config->subscription);
}

static int alert_usable(const SubscriptionConfig *config, char problem[static SINK_DETAIL_MAX]) {
        const AlertConfig *keys = config->keys;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < keys->n_targets; i++)
                r = web_place_check(&keys->targets[i].at, problem);
        return r < 0 ? r : 0;
}

static const char *alert_place(const void *self) {
        return alert_store_path(((const Alert *) self)->store);
}

static void *alert_close(void *self) {
        Alert *a = self;
        bool abandoned;

        if (!a)
                return NULL;
        abandoned = a->running;
        a->sender = alert_sender_free(a->sender);
        a->timer = loop_drop(a->timer);
        a->worker = worker_free(a->worker);
        if (abandoned)
                return a;
        a->store = alert_store_free(a->store);
        alert_figures_done(&a->turn.figures);
        alert_figures_done(&a->figures);
        bytes_done(&a->report);
        bytes_done(&a->words);
        free(a);
        return NULL;
}

static int make_parts(Alert *a, char problem[static SINK_DETAIL_MAX]) {
        const SinkMeans *means = sink_host_means(a->host);
        int r = alert_sender_new(&(AlertSenderHost){ .means = *means,
                                         .config = a->config,
                                         .want = on_due,
                                         .on_change = on_sender_change,
                                         .userdata = a },
                &a->sender, problem);

        if (r == 0)
                r = alert_store_new(a->config, &a->store);
        if (r == 0)
                r = loop_add_timer(means->loop, LOOP_EXACT, on_due, a, &a->timer);
        return r < 0 ? r : worker_new(means->loop, "alert", run_on_thread, on_done, a, &a->worker);
}

static int alert_open(
        const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        Alert *a;
        int r;

        if (sink_host_means(host)->guest) {
                (void) snprintf(problem, SINK_DETAIL_MAX, "alerts accept no replayed message: it would be out of date");
                return -EBADMSG;
        }
        a = calloc(1, sizeof(Alert));
        if (!a)
                return -ENOMEM;
        a->host = host;
        a->config = config;
        a->backoff = (Backoff){ .initial = config->backoff.initial, .max = config->backoff.max };
        r = make_parts(a, problem);
        if (r < 0) {
                (void) alert_close(a);
                return r;
        }
        *ret_self = a;
        return 0;
}

const SinkType sink_type_alert = {
        .keys = &alert_config_section,
        .what = "The store of alerts",
        .blocks = false,
        .open = alert_open,
        .place = alert_place,
        .probe = alert_probe,
        .write = alert_write,
        .close = alert_close,
        .told = alert_told,
        .is_busy = alert_is_busy,
        .figures = alert_figures,
        .limits = alert_config_limits,
        .usable = alert_usable,
        .exclusive = alert_exclusive,
        .admin = &alert_config_admin,
};
