/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* Shared by all sinks: when to try, how to judge refusals, and what to log.
 *
 *      DOWN --timer, or the remote was seen--> PROBING --it answers--> READY --sink_write()--> WRITING --settled--> READY
 *      PROBING --no answer--> DOWN                       READY --the remote is gone--> PROBING
 *      WRITING --a fault, all refused, or some to be tried again--> RETRYING, which holds the batch
 *      RETRYING --timer, the remote was seen, or a scout--> WRITING
 *      RETRYING --let go, nothing left to try--> READY   RETRYING --let go, some to be set apart--> EXPIRING --> RETRYING
 *      every one of them --sink_stop()--> STOPPED
 *
 * WRITING is a write and then, for messages that can never be stored, a set_apart. A wait ends early when the type sees
 * its remote again, so that recovery does not wait for the backoff; but not when only a person can end the fault, and
 * not more often than the gaps below.
 *
 * blame.c judges refusals and says whether the remote counts as refusing. If so, the batch stays here, one message of
 * it is tried from time to time, no other batch is taken, and a scout may be written meanwhile. */
/* clang-format on */
#include "subscribe/sink.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/text.h"
#include "subscribe/blame.h"
#include "subscribe/sink-host.h"
#include "subscribe/sink-words.h"

/* least time between a try and one that SINK_SEEN_WRITABLE causes ... */
#define SEEN_GAP_FIRST_USEC (500 * USEC_PER_MSEC)
/* ... which doubles up to here: a remote that drops each write is seen again after each */
#define SEEN_GAP_MAX_USEC (2 * USEC_PER_SEC)
/* longest pause after an answer that left only some messages unsettled, or untried: the others wait for them */
#define AGAIN_MAX_USEC (5 * USEC_PER_SEC)
#define UNTRIED_MAX 10 /* messages tried at a time, each alone, that were not tried before everything was refused */

typedef enum SinkState {
        STATE_DOWN,
        STATE_PROBING,
        STATE_READY,
        STATE_WRITING,
        STATE_RETRYING,
        STATE_EXPIRING,
        STATE_STOPPED,
        STATES
} SinkState;

_asserted_ static const bool moves[STATES][STATES] = {
        [STATE_DOWN] = { [STATE_PROBING] = true, [STATE_STOPPED] = true },
        [STATE_PROBING] = { [STATE_READY] = true, [STATE_DOWN] = true, [STATE_STOPPED] = true },
        [STATE_READY] = { [STATE_WRITING] = true, [STATE_PROBING] = true, [STATE_STOPPED] = true },
        [STATE_WRITING] = { [STATE_READY] = true, [STATE_RETRYING] = true, [STATE_STOPPED] = true },
        [STATE_RETRYING] = { [STATE_WRITING] = true,
                [STATE_EXPIRING] = true,
                [STATE_READY] = true,
                [STATE_STOPPED] = true },
        [STATE_EXPIRING] = { [STATE_RETRYING] = true, [STATE_STOPPED] = true },
};

struct Sink {
        const SinkType *type;
        SinkState state;
        SinkCallbacks callbacks;
        const char *subscription; /* of the configuration */
        SinkHost *host;
        Batch *batch; /* held: being written or to be retried */
        Batch *scout; /* being written, while batch waits */
        bool lapsed;  /* the batch is to be given back as soon as no write runs */
        Blame blame;
        uint64_t before;               /* blame.accepted before the write under way */
        size_t turn;                   /* index of the message that is tried next */
        char refusal[SINK_DETAIL_MAX]; /* the remote's words about the last one */
        SinkSaid said;
        Backoff backoff;
        LoopWatch *retry;
        usec_t tried; /* clock_now() at the end of the last try */
        usec_t retry_at;
        bool seen;      /* since the last try began */
        unsigned early; /* tries that the type called for, in this outage */
        SinkStatus status;
};

static void sink_move(Sink *s, SinkState state) {
        assert(moves[s->state][state]);
        s->state = state;
}

static void sink_changed(Sink *s) {
        if (s->callbacks.on_change)
                s->callbacks.on_change(s->callbacks.userdata);
}

/* The batch that the host is asked about. */
static Batch *sink_current(const Sink *s) {
        return s->scout ? s->scout : s->batch;
}

/* ---- up and down ---- */

static void sink_note_up(Sink *s) {
        blame_move(&s->blame, HEALTH_ACCEPTING);
        s->turn = 0;
        s->early = 0;
        backoff_reset(&s->backoff);
        sink_said_up(&s->said);
}

/* ---- when to try again ---- */

static void sink_wake_at(Sink *s, usec_t at) {
        s->retry_at = at;
        loop_arm(s->retry, at);
}

static usec_t seen_gap(const Sink *s) {
        usec_t gap = SEEN_GAP_FIRST_USEC << (s->early < 4 ? s->early : 4);

        return usec_min(gap, SEEN_GAP_MAX_USEC);
}

/* The type sees its remote again. */
static void sink_try_early(Sink *s) {
        usec_t at = s->tried + seen_gap(s);

        if (s->said.down.grade != TROUBLE_PASSING || (s->retry_at > 0 && s->retry_at <= at))
                return;
        s->early++;
        sink_wake_at(s, at);
}

static usec_t sink_schedule(Sink *s, const SinkAnswer *answer, usec_t at_most) {
        usec_t delay = backoff_next(&s->backoff, loop_random());

        if (answer->fault == SINK_FAULT_LASTING && !answer->partial)
                delay = s->backoff.max;
        else
                delay = usec_min(delay, at_most);
        delay = usec_max(delay, answer->retry_after);
        s->tried = clock_now();
        sink_wake_at(s, s->tried + delay);
        return delay;
}

static void sink_fail(Sink *s, const SinkAnswer *answer) {
        blame_move(&s->blame, HEALTH_AWAY);
        sink_said_down(&s->said, answer, false, sink_schedule(s, answer, s->backoff.max));
        if (s->seen)
                sink_try_early(s);
}

/* ---- giving back ---- */

/* Must be the last call: the subscriber may call sink_write() from inside. */
static void sink_give_back(Sink *s, Batch *batch) {
        if (!batch->orphan)
                return s->callbacks.on_settled(s->callbacks.userdata, batch);
        (void) batch_free(batch);
        sink_changed(s);
}

/* Gives a batch up. A message of a write with an unclear result is told as stored: the next write may find a duplicate,
 * which is not told. Told twice, which shifts a mean, is better than a gap. */
static void sink_give_up(Sink *s, Batch *batch) {
        for (size_t i = 0; s->callbacks.tap.on_stored && i < batch->pull.n; i++)
                if (batch->fates[i] == FATE_PENDING && batch->suspicions[i].unsure)
                        s->callbacks.tap.on_stored(
                                s->callbacks.tap.userdata, s->subscription, &batch->pull.messages[i]);
        sink_give_back(s, batch);
}

/* ---- asking ---- */

static void sink_ask(Sink *s, SinkStep step, Batch *batch) {
        s->seen = false;
        if (!s->scout) {
                s->retry_at = 0;
                loop_off(s->retry);
        }
        sink_host_ask(s->host, step, batch);
}

static void sink_probe(Sink *s) {
        SinkWork *work;

        sink_move(s, STATE_PROBING);
        blame_probing(&s->blame);
        if (sink_host_prepare(s->host, 0, &work) >= 0)
                return sink_ask(s, SINK_STEP_PROBE, NULL);
        sink_move(s, STATE_DOWN);
        sink_wake_at(s, clock_now() + s->backoff.max);
}

static void sink_no_memory(Sink *s) {
        const SinkAnswer answer = { .fault = SINK_FAULT_PASSING,
                .cause = CAUSE_MEMORY,
                .reason = "local",
                .words = "cannot be written to",
                .remedy = "free memory on this machine",
                .detail = "sensorqd is out of memory" };

        sink_move(s, STATE_RETRYING);
        sink_fail(s, &answer);
        if (s->scout)
                sink_give_back(s, cleanup_steal(s->scout));
}

/* Picks the *n* messages that are PENDING. While everything is refused, a few that were not tried yet, so that a good
 * one among them is found soon, then one in turn: that shows as much as all of them. Of a scout, all that were not
 * tried yet. */
static void sink_pick(Sink *s, const Batch *batch, size_t n, SinkWork *work) {
        const bool few = blame_is_refusing(&s->blame) && !s->scout;
        const bool untried = (few || s->scout) && batch_has_untried(batch);
        size_t pending = 0;

        work->n = 0;
        for (size_t i = 0; i < batch->pull.n && !(few && untried && work->n == UNTRIED_MAX); i++) {
                if (batch->fates[i] != FATE_PENDING)
                        continue;
                if (untried ? batch_is_untried(batch, i) : pending++ == s->turn % n || !few)
                        work->items[work->n++] = (SinkItem){ .message = &batch->pull.messages[i],
                                .alone = (few && untried) || (batch->aside && !batch->suspicions[i].later) };
        }
        s->turn += few && !untried;
}

/* Writes messages of the batch, or of the scout. */
static void sink_try(Sink *s) {
        Batch *batch = sink_current(s);
        const size_t n = batch_count(batch, FATE_PENDING);
        SinkWork *work;

        sink_move(s, STATE_WRITING);
        if (sink_host_prepare(s->host, n, &work) < 0)
                return sink_no_memory(s);
        sink_pick(s, batch, n, work);
        s->before = s->blame.accepted;
        sink_ask(s, SINK_STEP_WRITE, batch);
}

static void on_retry(void *userdata) {
        Sink *s = userdata;

        s->retry_at = 0;
        if (s->state == STATE_DOWN)
                sink_probe(s);
        else if (s->state == STATE_RETRYING)
                sink_try(s);
}

static void on_seen(void *userdata, unsigned seen) {
        Sink *s = userdata;

        if (seen & SINK_SEEN_WRITABLE) {
                s->seen = true;
                if (s->state == STATE_DOWN || s->state == STATE_RETRYING)
                        sink_try_early(s);
        }
        if (seen & SINK_SEEN_CHANGE)
                sink_changed(s);
        if ((seen & SINK_SEEN_LOST) && s->state == STATE_READY) {
                sink_probe(s); /* idle: probe before the next batch is pulled */
                sink_changed(s);
        }
}

/* ---- letting go ---- */

/* Gives the batch back unfinished. One of its messages stays in memory as the next trial, if any is pending. */
static void sink_leave(Sink *s) {
        Batch *left = cleanup_steal(s->batch);

        for (size_t i = 0; i < left->pull.n && !s->batch; i++)
                if (left->fates[i] == FATE_PENDING && batch_gather(&(BatchPick){ left, i }, 1, &s->batch) < 0)
                        break;
        if (s->batch) {
                s->batch->orphan = true;
                s->batch->suspicions[0] = (Suspicion){};
                sink_wake_at(s, s->retry_at > 0 ? s->retry_at : clock_now() + s->backoff.initial);
        } else {
                sink_move(s, STATE_READY);
                if (!blame_is_refusing(&s->blame))
                        sink_probe(s);
        }
        sink_give_up(s, left);
}

static void sink_expire(Sink *s) {
        Batch *batch = s->batch;
        SinkWork *work;
        size_t n = 0;

        s->lapsed = false;
        if (batch->orphan || sink_host_prepare(s->host, batch->pull.n, &work) < 0)
                return sink_leave(s);
        for (size_t i = 0; i < batch->pull.n; i++)
                if (batch->fates[i] == FATE_PENDING && blame_expire(&batch->suspicions[i]) == BLAME_REJECTED)
                        work->items[n++] = (SinkItem){
                                .message = &batch->pull.messages[i], .reason = "refused", .detail = strdup(s->refusal)
                        };
        work->n = n;
        if (n == 0)
                return sink_leave(s);
        sink_move(s, STATE_EXPIRING);
        sink_ask(s, SINK_STEP_APART, batch);
}

/* ---- ends of a write ---- */

/* The fault concerns everything. */
static bool is_down(const SinkAnswer *answer) {
        return answer->fault != SINK_FAULT_NONE && !answer->partial;
}

/* A write ended in which nothing was accepted and some messages were refused. */
static void sink_refuse(Sink *s, const SinkAnswer *of) {
        usec_t now = clock_now(), delay;
        const bool say = blame_all_refused(&s->blame, batch_count(s->batch, FATE_PENDING), s->scout != NULL, now);
        SinkAnswer answer = { .fault = SINK_FAULT_LASTING,
                .cause = CAUSE_INVALID,
                .reason = "refused",
                .words = "refuses every message",
                .remedy = of->remedy ?: "see its log: the latest change there is the likely cause" };

        delay = s->scout && s->retry_at > now
                        ? s->retry_at - now
                        : sink_schedule(s, of, batch_has_untried(s->batch) ? AGAIN_MAX_USEC : s->backoff.max);
        text_copy(answer.detail, sizeof(answer.detail), s->refusal);
        if (of->fault != SINK_FAULT_NONE)
                answer = *of;
        if (say)
                sink_said_down(&s->said, &answer, true, delay);
}

/* The write of a scout has ended. If the scout was accepted, the batch is tried at once. */
static void sink_end_scout(Sink *s, const SinkAnswer *answer, bool progress) {
        Batch *scout = s->scout;

        sink_move(s, STATE_RETRYING);
        if (is_down(answer))
                sink_fail(s, answer);
        else if (progress) {
                sink_note_up(s);
                sink_wake_at(s, clock_now());
        } else if (batch_count(scout, FATE_PENDING) + batch_count(scout, FATE_SUSPECT) > 0)
                sink_refuse(s, answer);
        else if (s->retry_at == 0) /* it was bad itself, and in its time the batch was due */
                sink_wake_at(s, clock_now());
        s->scout = NULL;
        if (s->lapsed)
                sink_expire(s);
        sink_give_back(s, scout);
}

static void sink_end_write(Sink *s, const SinkAnswer *answer) {
        const BlameWrite write = { .fault = answer->fault != SINK_FAULT_NONE,
                .down = is_down(answer),
                .lasting = answer->fault == SINK_FAULT_LASTING,
                .accepted = s->blame.accepted > s->before,
                .left = batch_count(s->batch, FATE_PENDING) > 0,
                .outage = batch_meets_outage(s->batch),
                .refusing = blame_is_refusing(&s->blame) };
        bool accepts;
        const BlameNext next = blame_next(&write, &accepts);

        if (s->scout)
                return sink_end_scout(s, answer, write.accepted);
        if (accepts)
                sink_note_up(s);
        if (next == WRITE_DONE) {
                Batch *batch = cleanup_steal(s->batch);

                s->lapsed = false;
                sink_move(s, STATE_READY);
                if (s->blame.health == HEALTH_AWAY) /* one settled message does not change that */
                        sink_probe(s);
                return sink_give_back(s, batch);
        }
        sink_move(s, STATE_RETRYING);
        if (next == WRITE_DOWN)
                sink_fail(s, answer);
        else if (next == WRITE_REFUSED)
                sink_refuse(s, answer);
        else if (next == WRITE_AT_ONCE)
                sink_wake_at(s, clock_now());
        else
                (void) sink_schedule(s, answer, AGAIN_MAX_USEC);
        if (s->lapsed)
                return sink_expire(s);
        sink_changed(s);
}

/* ---- answers ---- */

/* Returns which message of the batch it is. */
static size_t index_of(const Batch *batch, const SinkItem *item) {
        return (size_t) (item->message - batch->pull.messages);
}

static void sink_set_fate(Sink *s, Batch *batch, size_t index, Fate fate) {
        batch_set_fate(batch, index, fate);
        s->status.stored += fate == FATE_STORED;
        s->status.duplicates += fate == FATE_DUPLICATE;
        s->status.rejected += fate == FATE_REJECTED;
        s->status.failed += fate == FATE_UNKEPT;
        if (fate != FATE_STORED && (fate != FATE_DUPLICATE || !batch->suspicions[index].unsure))
                return;
        s->status.last_stored = clock_wall();
        if (s->callbacks.tap.on_stored)
                s->callbacks.tap.on_stored(s->callbacks.tap.userdata, s->subscription, &batch->pull.messages[index]);
}

/* Returns how many messages were accepted. */
static size_t sink_note_accepted(Sink *s, Batch *batch, const SinkWork *work) {
        usec_t now = clock_now();
        size_t n = 0;

        for (size_t i = 0; i < work->n; i++) {
                const SinkItem *item = &work->items[i];
                const size_t index = index_of(batch, item);
                Suspicion *suspicion = &batch->suspicions[index];

                suspicion->unsure |= item->unsure;
                if (item->verdict != SINK_STORED && item->verdict != SINK_DUPLICATE)
                        continue;
                if (suspicion->unkept)
                        sink_said_apart(&s->said, "", true, false);
                sink_set_fate(s, batch, index, item->verdict == SINK_STORED ? FATE_STORED : FATE_DUPLICATE);
                blame_accepted(&s->blame, suspicion, now);
                n++;
        }
        if (work->answer.accepted && s->blame.accepted == s->before)
                s->blame.accepted++;
        return n;
}

/* Whether a message that is REFUSED, or LATER, which does not count, is to be set apart. *few*: see BlameRefusal. */
static bool sink_judge(Sink *s, Batch *batch, const SinkWork *work, const SinkItem *item, bool few) {
        const size_t index = index_of(batch, item);
        const bool later = item->verdict == SINK_LATER;
        const BlameRefusal refusal = { .code = item->code,
                .about_document = item->about_document,
                .proven = item->proven,
                .alone = item->alone || work->n == 1,
                .few = few,
                .before = s->before };
        BlameState state =
                (later ? blame_put_off : blame_refused)(&s->blame, &batch->suspicions[index], &refusal, clock_now());

        if (later || state == BLAME_OUTAGE)
                text_copy(s->refusal, sizeof(s->refusal), later ? work->answer.detail : item->detail);
        if (state == BLAME_SUSPECT)
                sink_set_fate(s, batch, index, FATE_SUSPECT);
        return state == BLAME_REJECTED;
}

static size_t count_verdicts(const SinkWork *work, SinkVerdict verdict) {
        size_t n = 0;

        for (size_t i = 0; i < work->n; i++)
                n += work->items[i].verdict == verdict;
        return n;
}

/* Moves those items of *work* that are to be set apart to its front. Returns how many. */
static size_t sink_judge_all(Sink *s, Batch *batch, SinkWork *work) {
        bool few = count_verdicts(work, SINK_LATER) <= work->n / 2;
        size_t n = 0;

        if (work->answer.fault == SINK_FAULT_PASSING && s->blame.accepted == s->before &&
                count_verdicts(work, SINK_REFUSED) > 0)
                work->answer.fault = SINK_FAULT_NONE; /* the refusals say more than the fault */
        if (is_down(&work->answer))
                return 0;
        for (size_t i = 0; i < work->n; i++) {
                SinkItem item = work->items[i];

                if (item.verdict != SINK_BAD && item.verdict != SINK_REFUSED && item.verdict != SINK_LATER)
                        continue;
                if (item.verdict != SINK_BAD && !sink_judge(s, batch, work, &item, few))
                        continue;
                work->items[i] = work->items[n];
                item.verdict = SINK_PENDING;
                work->items[n++] = item;
        }
        return n;
}

static void sink_probed(Sink *s, const SinkAnswer *answer) {
        if (answer->fault == SINK_FAULT_NONE) {
                if (s->blame.health == HEALTH_AWAY && answer->untried)
                        blame_move(&s->blame, HEALTH_UNTRIED);
                else if (s->blame.health == HEALTH_AWAY) /* otherwise an answer to a probe shows nothing new */
                        sink_note_up(s);
                sink_move(s, STATE_READY);
        } else {
                sink_move(s, STATE_DOWN);
                sink_fail(s, answer);
        }
        sink_changed(s);
}

static void sink_written(Sink *s, Batch *batch, SinkWork *work) {
        size_t n = 0;

        s->status.writes++;
        if (sink_note_accepted(s, batch, work) < work->n)
                n = sink_judge_all(s, batch, work);
        if (n == 0 || batch->orphan) {
                for (size_t i = 0; i < n; i++) /* Pub/Sub delivers it again */
                        batch_set_fate(batch, index_of(batch, &work->items[i]), FATE_UNKEPT);
                return sink_end_write(s, &work->answer);
        }
        for (size_t i = n; i < work->n; i++)
                free(cleanup_steal(work->items[i].detail));
        work->n = n;
        sink_ask(s, SINK_STEP_APART, batch);
}

static void sink_settle_apart(Sink *s, Batch *batch, const SinkWork *work) {
        bool done = false, refused = false;

        for (size_t i = 0; i < work->n; i++) {
                const SinkItem *item = &work->items[i];
                const size_t index = index_of(batch, item);

                if (item->verdict == SINK_STORED || item->verdict == SINK_DUPLICATE) {
                        done = true;
                        sink_set_fate(s, batch, index, FATE_REJECTED);
                } else if (item->verdict == SINK_BAD || item->verdict == SINK_REFUSED) {
                        refused = true;
                        blame_unkept(&batch->suspicions[index], clock_now());
                        sink_set_fate(s, batch, index, FATE_UNKEPT);
                }
        }
        sink_said_apart(&s->said, work->answer.detail, done, refused);
}

static void sink_set_apart(Sink *s, Batch *batch, const SinkWork *work) {
        const SinkAnswer answer = work->answer;

        sink_settle_apart(s, batch, work);
        if (s->state != STATE_EXPIRING)
                return sink_end_write(s, &answer);
        sink_move(s, STATE_RETRYING);
        sink_leave(s);
}

/* An answer after the stop: settled messages count, and all batches are given back. */
static void sink_answered_late(Sink *s, SinkStep step, Batch *batch, const SinkWork *work) {
        if (step == SINK_STEP_WRITE)
                (void) sink_note_accepted(s, batch, work);
        else if (step == SINK_STEP_APART)
                sink_settle_apart(s, batch, work);
        if (s->scout)
                sink_give_up(s, cleanup_steal(s->scout));
        if (s->batch)
                sink_give_up(s, cleanup_steal(s->batch));
        sink_changed(s);
}

static void on_answer(void *userdata, SinkStep step, SinkWork *work) {
        Sink *s = userdata;
        Batch *batch = sink_current(s);

        if (s->state == STATE_STOPPED)
                sink_answered_late(s, step, batch, work);
        else if (step == SINK_STEP_WRITE)
                sink_written(s, batch, work);
        else if (step == SINK_STEP_APART)
                sink_set_apart(s, batch, work);
        else
                sink_probed(s, &work->answer);
}

/* ---- what the subscriber calls ---- */

int sink_new(const SinkType *type, const SubscriptionConfig *config, const SinkCallbacks *callbacks, Sink **ret) {
        _cleanup_(sink_freep) Sink *s = NULL;
        char problem[SINK_DETAIL_MAX] = "";
        int r;

        s = calloc(1, sizeof(Sink));
        if (!s)
                return -ENOMEM;
        s->type = type;
        s->callbacks = *callbacks;
        s->backoff = (Backoff){ .initial = config->backoff.initial, .max = config->backoff.max };
        s->subscription = config->subscription;
        r = sink_host_new(
                type, config, &(SinkHostCallbacks){ on_answer, on_seen, s, callbacks->means }, &s->host, problem);
        if (r == -EBADMSG) /* the caller logs whether the start fails or a reload is refused */
                log_event(LOG_ERR, NULL,
                        LOG_FIELDS({ FIELD_SUBSCRIPTION, config->subscription }, { FIELD_ERROR, problem }),
                        "Subscription %s cannot be stored: %s", config->subscription, problem);
        if (r < 0)
                return r;
        s->said = (SinkSaid){ .subscription = s->subscription, .what = type->what, .place = sink_host_place(s->host) };
        r = loop_add_timer(callbacks->means.loop, LOOP_EXACT, on_retry, s, &s->retry);
        if (r < 0)
                return r;
        loop_arm_in(s->retry, 0); /* from the loop: a refused reload frees its sinks before the loop turns */
        *ret = cleanup_steal(s);
        return 0;
}

Sink *sink_free(Sink *s) {
        const Batch *writing;

        if (!s)
                return NULL;
        writing = s->host && sink_host_is_busy(s->host) ? sink_current(s) : NULL; /* the host frees it */
        s->retry = loop_drop(s->retry);
        if (s->scout != writing)
                s->scout = batch_free(s->scout);
        if (s->batch != writing)
                s->batch = batch_free(s->batch);
        s->host = sink_host_free(s->host);
        free(s);
        return NULL;
}

int sink_write(Sink *s, Batch *batch) {
        if (s->state == STATE_READY)
                s->batch = batch;
        else if (sink_wants_scout(s))
                s->scout = batch;
        else
                return SINK_WRITE_BUSY;
        sink_try(s);
        return SINK_WRITE_STARTED;
}

bool sink_wants_scout(const Sink *s) {
        return blame_is_refusing(&s->blame) && (s->state == STATE_READY || s->state == STATE_RETRYING);
}

void sink_let_go(Sink *s, const Batch *batch) {
        if (batch != s->batch)
                return;
        s->lapsed = true;
        if (s->state == STATE_RETRYING)
                sink_expire(s);
}

void sink_stop(Sink *s, bool complete) {
        bool retrying = s->state == STATE_RETRYING;

        if (s->state == STATE_STOPPED)
                return;
        sink_move(s, STATE_STOPPED);
        sink_host_tell(s->host, complete ? SINK_NEWS_END : SINK_NEWS_STOP);
        loop_off(s->retry);
        s->retry_at = 0;
        if (retrying)
                sink_give_up(s, cleanup_steal(s->batch));
        else
                sink_changed(s);
}

bool sink_is_busy(const Sink *s) {
        return (sink_current(s) && sink_host_is_busy(s->host)) ||
               (s->state == STATE_STOPPED && sink_host_is_working(s->host));
}

void sink_heard(Sink *s, SinkNews news) {
        sink_host_tell(s->host, news);
        sink_said_heard(&s->said, news != SINK_NEWS_DEAF && sink_takes_batches(s));
}

bool sink_takes_batches(const Sink *s) {
        return s->blame.health == HEALTH_ACCEPTING && s->state != STATE_STOPPED;
}

bool sink_is_untried(const Sink *s) {
        return s->blame.health == HEALTH_UNTRIED && s->state != STATE_STOPPED;
}

void sink_status(const Sink *s, SinkStatus *ret) {
        *ret = s->status;
        ret->untried = sink_is_untried(s);
        ret->refusing = blame_is_refusing(&s->blame);
        ret->ready = sink_takes_batches(s) || (s->blame.health == HEALTH_DOUBTED && s->state != STATE_STOPPED);
        ret->failure = trouble_failure(&s->said.down);
        if (!trouble_is_on(&s->said.down))
                ret->failure.cause = s->said.apart.cause;
        if (ret->untried) {
                ret->failure.on = false;
                ret->failure.since = 0;
                ret->failure.detail = "";
        }
        ret->retry_at = s->retry_at;
        ret->what = s->type->what;
        sink_host_figures(s->host, &ret->figures);
}
