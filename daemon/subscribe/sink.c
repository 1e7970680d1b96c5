/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* What all sinks have in common: when to try, and what to say.
 *
 *                 timer, or the remote was seen                  sink_write()
 *      DOWN ----------------------------------> PROBING --> READY --------> WRITING ---+
 *       ^                                        |   ^       | ^              |  ^     | a fault, or some
 *       +-------------- no answer ---------------+   +-------+ +--- settled --+  |     | are to be tried again
 *                                                  the remote is gone            |     v
 *                                                                                +-- RETRYING: holds the batch
 *                                                                 timer, or the remote was seen
 *      every one of them --sink_stop()--> STOPPED
 *
 * WRITING is a write, and then, for what can never be stored, a set_apart. A wait is cut short when the type sees its
 * remote again, so that recovery does not wait for the backoff; but never for what only a person can mend, and never
 * oftener than the gaps below. */
/* clang-format on */
#include "subscribe/sink.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "subscribe/sink-host.h"
#include "trouble.h"

/* between the end of one try and the next that the type called for ... */
#define SEEN_GAP_FIRST_USEC (500 * USEC_PER_MSEC)
/* ... doubling up to here: a remote that breaks off each write is seen again after each */
#define SEEN_GAP_MAX_USEC (2 * USEC_PER_SEC)
/* odd messages are tried five times: not with minutes in between while their neighbours wait */
#define AGAIN_MAX_USEC (5 * USEC_PER_SEC)
#define REFUSALS_MAX 5

typedef enum State {
        STATE_DOWN,
        STATE_PROBING,
        STATE_READY,
        STATE_WRITING,
        STATE_RETRYING,
        STATE_STOPPED,
        STATES
} State;

_asserted_ static const bool moves[STATES][STATES] = {
        [STATE_DOWN] = { [STATE_PROBING] = true, [STATE_STOPPED] = true },
        [STATE_PROBING] = { [STATE_READY] = true, [STATE_DOWN] = true, [STATE_STOPPED] = true },
        [STATE_READY] = { [STATE_WRITING] = true, [STATE_PROBING] = true, [STATE_STOPPED] = true },
        [STATE_WRITING] = { [STATE_READY] = true, [STATE_RETRYING] = true, [STATE_STOPPED] = true },
        [STATE_RETRYING] = { [STATE_WRITING] = true, [STATE_STOPPED] = true },
};

struct Sink {
        const SinkType *type;
        State state;
        SinkCallbacks callbacks;
        char *subscription;
        SinkHost *host;
        Batch *batch; /* held: being written or to be retried */
        bool up;      /* the remote answered a probe, and nothing has failed since */
        Trouble trouble;
        Backoff backoff;
        LoopWatch *retry;
        usec_t tried; /* clock_now() at the end of the last try */
        usec_t retry_at;
        bool seen;      /* since the last try began */
        unsigned early; /* tries that the type called for, in this outage */
        SinkStatus status;
};

static void sink_move(Sink *s, State state) {
        assert(moves[s->state][state]);
        s->state = state;
}

static void sink_changed(Sink *s) {
        if (s->callbacks.on_change)
                s->callbacks.on_change(s->callbacks.userdata);
}

/* ---- asking ---- */

static void sink_ask(Sink *s, SinkStep step) {
        s->seen = false;
        s->retry_at = 0;
        loop_off(s->retry);
        sink_host_ask(s->host, step, step == SINK_STEP_PROBE ? NULL : s->batch);
}

static void sink_probe(Sink *s) {
        SinkWork *work;

        sink_move(s, STATE_PROBING);
        s->up = false;
        if (sink_host_prepare(s->host, 0, &work) >= 0)
                return sink_ask(s, SINK_STEP_PROBE);
        sink_move(s, STATE_DOWN);
        s->retry_at = clock_now() + s->backoff.max;
        loop_arm(s->retry, s->retry_at);
}

static void sink_schedule(Sink *s, const SinkAnswer *answer);

static void sink_no_memory(Sink *s) {
        const SinkAnswer answer = { .fault = SINK_FAULT_PASSING,
                .reason = "local",
                .words = "is not written to",
                .remedy = "free memory on this machine",
                .detail = "sensorqd is out of memory" };

        sink_move(s, STATE_RETRYING);
        sink_schedule(s, &answer);
}

static void sink_try(Sink *s, bool again) {
        SinkWork *work;
        size_t n = 0;

        sink_move(s, STATE_WRITING);
        if (sink_host_prepare(s->host, batch_count(s->batch, FATE_PENDING), &work) < 0)
                return sink_no_memory(s);
        for (size_t i = 0; i < s->batch->pull.n; i++)
                if (s->batch->fates[i] == FATE_PENDING)
                        work->items[n++] = (SinkItem){ .message = &s->batch->pull.messages[i],
                                .alone = s->batch->refusals[i] > 0 };
        work->again = again;
        sink_ask(s, SINK_STEP_WRITE);
}

/* ---- what is said ---- */

static void sink_log_down(const Sink *s, const SinkAnswer *answer, const char *event, usec_t delay) {
        char seconds[24];

        (void) snprintf(seconds, sizeof(seconds), "%.1f", (double) delay / (double) USEC_PER_SEC);
        log_event(trouble_level(&s->trouble), event,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, s->subscription }, { FIELD_COLLECTION, sink_host_place(s->host) },
                        { FIELD_REASON, answer->reason }, { FIELD_ERROR, answer->detail },
                        { FIELD_RETRY_SEC, seconds }),
                "%s for %s %s: %s. No message is pulled meanwhile and none is lost; sensorqd keeps trying. To do: %s",
                s->type->what, s->subscription, answer->words, answer->detail, answer->remedy);
}

static void sink_note_down(Sink *s, const SinkAnswer *answer, usec_t delay) {
        TroubleGrade grade = answer->fault == SINK_FAULT_LASTING ? TROUBLE_LASTING : TROUBLE_PASSING;
        const char *event = s->trouble.said == TROUBLE_NONE ? EVENT_SINK_DOWN : NULL;
        char detail[TROUBLE_DETAIL_MAX];

        s->up = false;
        (void) snprintf(detail, sizeof(detail), "%s: %.256s; %s", answer->reason, answer->detail, answer->remedy);
        if (trouble_fail(&s->trouble, grade, delay, detail))
                sink_log_down(s, answer, event, delay);
}

static void sink_note_up(Sink *s) {
        char span[CLOCK_SPAN_SIZE];

        if (trouble_mend(&s->trouble, span))
                log_event(LOG_NOTICE, EVENT_SINK_UP,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, s->subscription },
                                { FIELD_COLLECTION, sink_host_place(s->host) }),
                        "%s for %s is back after %s; pulling goes on", s->type->what, s->subscription, span);
        s->up = true;
        s->early = 0;
        backoff_reset(&s->backoff);
}

/* ---- when to try again ---- */

static usec_t seen_gap(const Sink *s) {
        usec_t gap = SEEN_GAP_FIRST_USEC << (s->early < 4 ? s->early : 4);

        return gap < SEEN_GAP_MAX_USEC ? gap : SEEN_GAP_MAX_USEC;
}

/* The type sees its remote again. */
static void sink_try_early(Sink *s) {
        usec_t at = s->tried + seen_gap(s);

        if (s->trouble.grade != TROUBLE_PASSING || (s->retry_at > 0 && s->retry_at <= at))
                return;
        s->early++;
        s->retry_at = at;
        loop_arm(s->retry, at);
}

static void sink_schedule(Sink *s, const SinkAnswer *answer) {
        usec_t delay = backoff_next(&s->backoff, loop_random());

        s->tried = clock_now();
        if (answer->fault == SINK_FAULT_LASTING)
                delay = s->backoff.max;
        else if (answer->fault == SINK_FAULT_NONE && delay > AGAIN_MAX_USEC)
                delay = AGAIN_MAX_USEC;
        s->retry_at = s->tried + delay;
        loop_arm(s->retry, s->retry_at);
        if (answer->fault != SINK_FAULT_NONE)
                sink_note_down(s, answer, delay);
        if (s->seen)
                sink_try_early(s);
}

static void on_retry(void *userdata) {
        Sink *s = userdata;

        if (s->state == STATE_DOWN)
                sink_probe(s);
        else if (s->state == STATE_RETRYING)
                sink_try(s, true);
}

static void on_seen(void *userdata, unsigned seen) {
        Sink *s = userdata;

        if (seen & SINK_SEEN_WRITABLE) {
                s->seen = true;
                if (s->state == STATE_DOWN || s->state == STATE_RETRYING)
                        sink_try_early(s);
        }
        if ((seen & SINK_SEEN_LOST) && s->state == STATE_READY) {
                sink_probe(s); /* idle: ask before the next batch is pulled */
                sink_changed(s);
        }
}

/* ---- answers ---- */

static size_t sink_index(const Sink *s, const SinkItem *item) {
        return (size_t) (item->message - s->batch->pull.messages);
}

static void sink_settle(Sink *s, const SinkItem *item, Fate fate) {
        delivery_set_fate(s->batch, sink_index(s, item), fate);
        s->status.stored += fate == FATE_STORED;
        s->status.duplicates += fate == FATE_DUPLICATE;
        s->status.rejected += fate == FATE_REJECTED;
        s->status.failed += fate == FATE_FAILED;
        if (fate == FATE_STORED)
                s->status.last_stored = clock_wall();
}

/* Always the last thing done: from inside, the subscriber may hand over the next batch or free the sink. */
static void sink_give_back(Sink *s) {
        s->callbacks.on_settled(s->callbacks.userdata, cleanup_steal(s->batch));
}

static void sink_end_write(Sink *s, const SinkAnswer *answer) {
        if (answer->fault == SINK_FAULT_NONE) {
                sink_note_up(s); /* it answers; only some messages may be odd */
                if (batch_count(s->batch, FATE_PENDING) == 0) {
                        sink_move(s, STATE_READY);
                        return sink_give_back(s);
                }
        }
        sink_move(s, STATE_RETRYING);
        sink_schedule(s, answer);
        sink_changed(s);
}

static void sink_probed(Sink *s, const SinkAnswer *answer) {
        if (answer->fault == SINK_FAULT_NONE) {
                sink_note_up(s);
                sink_move(s, STATE_READY);
        } else {
                sink_move(s, STATE_DOWN);
                sink_schedule(s, answer);
        }
        sink_changed(s);
}

/* A suspect is refused too often to be tried again. */
static bool sink_gives_up(Sink *s, const SinkItem *item) {
        return ++s->batch->refusals[sink_index(s, item)] >= REFUSALS_MAX;
}

/* Keeps those items of *work* that are to be set apart, as a work of their own. Returns how many. */
static size_t sink_sort_written(Sink *s, SinkWork *work) {
        size_t n = 0;

        for (size_t i = 0; i < work->n; i++) {
                SinkItem *item = &work->items[i];

                if (item->verdict == SINK_STORED || item->verdict == SINK_DUPLICATE)
                        sink_settle(s, item, item->verdict == SINK_STORED ? FATE_STORED : FATE_DUPLICATE);
                else if (item->verdict == SINK_BAD || (item->verdict == SINK_SUSPECT && sink_gives_up(s, item))) {
                        SinkItem keep = *item;

                        *item = work->items[n];
                        keep.verdict = SINK_PENDING;
                        work->items[n++] = keep;
                }
        }
        return n;
}

static void sink_written(Sink *s, SinkWork *work) {
        const SinkAnswer answer = work->answer;
        size_t n;

        s->status.writes++;
        n = sink_sort_written(s, work);
        if (answer.fault != SINK_FAULT_NONE || n == 0 || s->state == STATE_STOPPED)
                return sink_end_write(s, &answer);
        for (size_t i = n; i < work->n; i++)
                free(cleanup_steal(work->items[i].detail));
        work->n = n;
        sink_ask(s, SINK_STEP_APART);
}

static void sink_set_apart(Sink *s, SinkWork *work) {
        const SinkAnswer answer = work->answer;

        for (size_t i = 0; i < work->n; i++) {
                const SinkItem *item = &work->items[i];

                if (item->verdict == SINK_STORED || item->verdict == SINK_DUPLICATE)
                        sink_settle(s, item, FATE_REJECTED);
                else if (item->verdict == SINK_BAD)
                        sink_settle(s, item, FATE_FAILED);
        }
        sink_end_write(s, &answer);
}

static void on_answer(void *userdata) {
        Sink *s = userdata;
        SinkStep step;
        SinkWork *work = sink_host_work(s->host, &step);

        if (step == SINK_STEP_WRITE && s->state == STATE_STOPPED)
                (void) sink_sort_written(s, work);
        if (s->state == STATE_STOPPED && s->batch)
                sink_give_back(s);
        else if (s->state == STATE_STOPPED)
                sink_changed(s);
        else if (step == SINK_STEP_PROBE)
                sink_probed(s, &work->answer);
        else if (step == SINK_STEP_WRITE)
                sink_written(s, work);
        else
                sink_set_apart(s, work);
}

/* ---- what the subscriber calls ---- */

int sink_new(Loop *loop, const SinkType *type, const SubscriptionConfig *config, const SinkCallbacks *callbacks,
        Sink **ret) {
        _cleanup_(sink_freep) Sink *s = NULL;
        char problem[SINK_DETAIL_MAX] = "";
        int r;

        s = calloc(1, sizeof(Sink));
        if (!s)
                return -ENOMEM;
        s->type = type;
        s->callbacks = *callbacks;
        s->backoff = (Backoff){ .initial = config->backoff.initial, .max = config->backoff.max };
        s->subscription = strdup(config->subscription);
        if (!s->subscription)
                return -ENOMEM;
        r = sink_host_new(loop, type, config, &(SinkHostCallbacks){ on_answer, on_seen, s }, &s->host, problem);
        if (r == -EBADMSG)
                log_event(LOG_ERR, EVENT_CONFIG_REJECTED,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, config->subscription }, { FIELD_ERROR, problem }),
                        "Subscription %s cannot be stored: %s", config->subscription, problem);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, LOOP_EXACT, on_retry, s, &s->retry);
        if (r < 0)
                return r;
        sink_probe(s);
        *ret = cleanup_steal(s);
        return 0;
}

Sink *sink_free(Sink *s) {
        if (!s)
                return NULL;
        s->retry = loop_drop(s->retry);
        if (s->batch && !(s->host && sink_host_is_busy(s->host)))
                s->batch = batch_free(s->batch);
        s->host = sink_host_free(s->host);
        free(s->subscription);
        free(s);
        return NULL;
}

int sink_write(Sink *s, Batch *batch) {
        if (s->state != STATE_READY)
                return SINK_WRITE_BUSY;
        s->batch = batch;
        sink_try(s, false);
        return SINK_WRITE_STARTED;
}

void sink_stop(Sink *s) {
        bool retrying = s->state == STATE_RETRYING;

        if (s->state == STATE_STOPPED)
                return;
        sink_move(s, STATE_STOPPED);
        loop_off(s->retry);
        s->retry_at = 0;
        if (retrying)
                sink_give_back(s);
        else
                sink_changed(s);
}

bool sink_is_busy(const Sink *s) {
        return s->batch && sink_host_is_busy(s->host);
}

bool sink_is_ready(const Sink *s) {
        return s->up && s->state != STATE_STOPPED;
}

void sink_status(const Sink *s, SinkStatus *ret) {
        *ret = s->status;
        ret->ready = sink_is_ready(s);
        ret->down_since = s->trouble.since_wall;
        ret->retry_at = s->retry_at;
        ret->detail = s->trouble.detail;
        ret->what = s->type->what;
}
