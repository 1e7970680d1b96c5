/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/held.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "subscribe/ack.h"

#define ACK_RETRY_MAX_USEC (10 * USEC_PER_SEC)

_asserted_ static const bool moves[HELD_DONE + 1][HELD_DONE + 1] = {
        [HELD_SUSPECT] = { [HELD_RELEASING] = true, [HELD_DONE] = true },
        [HELD_WAITING] = { [HELD_WRITING] = true, [HELD_RELEASING] = true, [HELD_DONE] = true },
        [HELD_WRITING] = { [HELD_WAITING] = true, [HELD_ACKING] = true, [HELD_RELEASING] = true, [HELD_DONE] = true },
        [HELD_ACKING] = { [HELD_DONE] = true },
        [HELD_RELEASING] = { [HELD_DONE] = true },
};

struct Held {
        HeldHost *host;
        HeldState state;
        Batch *batch; /* the sink owns it while WRITING: fates and suspicions must not be read then */
        size_t n;     /* messages */
        bool counted; /* each delivery counts against a message: there is a dead-letter policy */
        Lease *lease;
        Slice *ids;   /* of messages that are settled, but not acknowledged yet; has room for all */
        size_t n_ids; /* 0 unless ACKING, and then: nothing is left to acknowledge */
        Ack *ack, *release;
        bool lapsed; /* max_hold is over: Pub/Sub delivers the messages again, even if the sink still has them */
        bool unsure; /* an acknowledgement may have been carried out although its answer was lost */
        bool refused;
        Backoff backoff;
        LoopWatch *timer; /* next try to acknowledge */
};

static void held_move(Held *held, HeldState state) {
        assert(moves[held->state][state]);
        held->state = state;
}

static void held_end(Held *held) {
        held_move(held, HELD_DONE);
        held->lease = lease_free(held->lease);
        held->host->on_done(held->host->userdata, held);
}

/* Messages will be delivered again: unsettled ones with *oldest*, their oldest publish time; or settled ones that could
 * not be acknowledged, with 0. */
static void held_leave(HeldHost *host, usec_t oldest) {
        host->left = true;
        clock_keep_oldest(&host->oldest_left, oldest);
        if (host->stopping)
                host->released_at = clock_now();
}

/* ---- lease ---- */

void held_log_left(const HeldHost *host, size_t n) {
        const char *subscription = subscription_name(host->subscription);
        char span[CLOCK_SPAN_SIZE];

        log_event(LOG_WARNING, EVENT_LEASE_LAPSED, LOG_FIELDS({ FIELD_SUBSCRIPTION, subscription }),
                "%s: %zu %s held for %s without being stored, and left to Pub/Sub, which keeps what is not "
                "acknowledged and redelivers it",
                subscription, n, n == 1 ? "message was" : "messages were",
                clock_format_span(host->max_hold, span, sizeof(span)));
}

/* Scouts are not logged: while the remote refuses everything, which was logged, they lapse one after the other. */
static void held_log_lapse(const Held *held) {
        if (!held->batch->scout)
                held_log_left(held->host, held->n);
}

static void on_lapsed(void *userdata) {
        Held *held = userdata;

        held->lapsed = true;
        if (held->state == HELD_WRITING) { /* messages that the sink still stores are acknowledged late */
                held_log_lapse(held);
                return sink_let_go(held->host->sink, held->batch);
        }
        if (held->state != HELD_WAITING && held->state != HELD_SUSPECT)
                return; /* the last granted time is long enough to acknowledge */
        held_log_lapse(held);
        held_leave(held->host, held->batch->oldest_publish);
        held_end(held);
}

/* ---- acknowledge, release ---- */

/* Writes the ids of settled messages (or, without *settled*, of the others) to *ids*. Returns their number. */
static size_t collect_ids(const Batch *batch, bool settled, Slice *ids) {
        size_t n = 0;

        for (size_t i = 0; i < batch->pull.n; i++)
                if (batch_is_settled(batch, i) == settled && batch->fates[i] != FATE_MOVED)
                        ids[n++] = batch->pull.messages[i].ack_id;
        return n;
}

static void held_end_if_idle(Held *held) {
        if (!held->ack && !held->release && held->n_ids == 0)
                held_end(held);
}

static void on_released(void *userdata, const AckResult *result) {
        Held *held = userdata;

        held->release = NULL;
        held_end_if_idle(held);
}

/* Gives *n* messages back to Pub/Sub. It tries once: otherwise they come back after their ack deadline. */
static void held_start_release(Held *held, const Slice *ids, size_t n) {
        int r;

        if (n == 0)
                return;
        r = ack_start(&(AckSpec){ .subscription = held->host->subscription,
                              .ids = ids,
                              .n = n,
                              .deadline_sec = ACK_RELEASE,
                              .done = on_released,
                              .userdata = held },
                &held->release);
        if (r < 0)
                log_debug("%s: messages that cannot be released, redelivered after their ack deadline: %zu",
                        subscription_name(held->host->subscription), n);
}

static void held_acknowledge(void *userdata);

static void held_give_up_acks(Held *held) {
        held_leave(held->host, 0);
        log_debug("%s: %zu acknowledgements given up: the messages are redelivered and recognised as stored",
                subscription_name(held->host->subscription), held->n_ids);
        held->n_ids = 0;
        held_end_if_idle(held);
}

static void held_retry_later(Held *held, usec_t retry_after) {
        usec_t now = clock_now();

        if (!lease_is_live(held->lease, now))
                return held_give_up_acks(held);
        if (!held->timer && loop_add_timer(held->host->loop, LOOP_EXACT, held_acknowledge, held, &held->timer) < 0)
                return held_give_up_acks(held);
        loop_arm(held->timer, now + backoff_next_at_least(&held->backoff, retry_after, loop_random()));
}

/* Keeps the ids that can be tried again. Returns how many were acknowledged; *ret_lost*: how many can never be. */
static size_t held_sort_acks(Held *held, const AckResult *result, size_t *ret_lost) {
        size_t done = 0, kept = 0;

        for (size_t i = 0; i < result->n; i++) {
                done += result->outcomes[i] == WIRE_ACK_DONE;
                if (result->outcomes[i] == WIRE_ACK_RETRY)
                        held->ids[kept++] = held->ids[i];
        }
        *ret_lost = result->n - done - kept;
        held->n_ids = kept;
        return done;
}

/* An exactly-once subscription calls an id invalid after it was acknowledged. When the answer to an earlier try was
 * lost, such an id therefore counts as acknowledged. If that is wrong, the message comes back and is found to be
 * stored. */
static void on_acknowledged(void *userdata, const AckResult *result) {
        static const WireAckOutcome well = WIRE_ACK_DONE;
        Held *held = userdata;
        AckResult settled = *result;
        size_t done, lost;

        held->ack = NULL;
        done = held_sort_acks(held, result, &lost);
        if (lost > 0 && held->unsure) {
                done += lost;
                lost = 0;
                settled.outcomes = &well;
                settled.n = 1;
        }
        held->unsure = result->reply->outcome == CLIENT_UNSURE || result->reply->outcome == CLIENT_RETRY;
        if (done > 0)
                held->host->last_ack = clock_wall();
        held->host->acknowledged += done;
        if (lost > 0)
                held_leave(held->host, 0);
        ack_report(&settled, held->host->subscription, SUBSCRIPTION_ACK);
        held->host->on_change(held->host->userdata);
        if (held->n_ids > 0) {
                lease_narrow(held->lease, held->ids, held->n_ids);
                return held_retry_later(held, result->reply->retry_after);
        }
        held_end_if_idle(held);
}

static void held_acknowledge(void *userdata) {
        Held *held = userdata;
        int r;

        r = ack_start(&(AckSpec){ .subscription = held->host->subscription,
                              .ids = held->ids,
                              .n = held->n_ids,
                              .deadline_sec = ACK_FOREVER,
                              .done = on_acknowledged,
                              .userdata = held },
                &held->ack);
        if (r < 0)
                held_retry_later(held, 0);
}

/* Whether all messages are still PENDING, and the batch may still be held. */
static bool held_is_tried_in_vain(const Held *held) {
        return !held->host->stopping && !held->lapsed && batch_count(held->batch, FATE_PENDING) == held->n;
}

void held_settled(Held *held) {
        Slice *left; /* the array holds both parts */
        size_t n_left;

        assert(held->state == HELD_WRITING);
        if (held_is_tried_in_vain(held)) {
                held->refused = true;
                return held_move(held, HELD_WAITING);
        }
        held->n_ids = collect_ids(held->batch, true, held->ids);
        left = held->ids + held->n_ids;
        n_left = collect_ids(held->batch, false, left);
        if (n_left > 0)
                held_leave(held->host, held->batch->oldest_publish);
        if (held->n_ids == 0 && !held->host->stopping)
                return held_end(held);
        held_move(held, held->n_ids > 0 ? HELD_ACKING : HELD_RELEASING);
        if (held->host->stopping)
                held_start_release(held, left, n_left);
        lease_narrow(held->lease, held->ids, held->n_ids);
        if (held->n_ids > 0)
                held_acknowledge(held);
        else
                held_end_if_idle(held);
}

void held_begin_acks(Held *held) {
        assert(held->state == HELD_ACKING);
        held->n_ids = collect_ids(held->batch, true, held->ids);
        held_acknowledge(held);
}

void held_narrow(Held *held) {
        size_t n = collect_ids(held->batch, false, held->ids);

        assert(held->state == HELD_SUSPECT);
        if (n == 0)
                return held_end(held);
        held->n = n;
        lease_narrow(held->lease, held->ids, n);
}

void held_release(Held *held) {
        assert(held->state == HELD_WAITING || held->state == HELD_SUSPECT);
        held_move(held, HELD_RELEASING);
        held->lease = lease_free(held->lease);
        held_leave(held->host, held->batch->oldest_publish);
        held_start_release(held, held->ids, collect_ids(held->batch, false, held->ids));
        held_end_if_idle(held);
}

/* ---- the sink ---- */

int held_write(Held *held) {
        int r;

        held_move(held, HELD_WRITING); /* first, since the sink may settle it before sink_write() returns */
        r = sink_write(held->host->sink, held->batch);
        if (r == SINK_WRITE_STARTED)
                return r;
        held_move(held, HELD_WAITING);
        return SINK_WRITE_BUSY;
}

/* ---- life ---- */

/* A scout whose deliveries are counted has no max_hold. */
static int held_lease(Held *held, HeldState state, usec_t granted) {
        const HeldHost *host = held->host;
        const bool endless = held->batch->scout && held->counted;
        const LeaseSpec spec = { .subscription = host->subscription,
                .ids = held->ids,
                .n = collect_ids(held->batch, state == HELD_ACKING, held->ids),
                .end = endless ? LEASE_ENDLESS_USEC : held->batch->received + host->max_hold,
                .granted = granted,
                .on_lapsed = on_lapsed,
                .userdata = held };

        return lease_new(host->loop, &spec, &held->lease);
}

int held_new(HeldHost *host, Batch *batch, HeldState state, Held **ret) {
        _cleanup_(held_freep) Held *held = NULL;
        usec_t granted = state == HELD_SUSPECT ? 0 : state == HELD_ACKING ? clock_now() : batch->received;
        int r;

        held = calloc(1, sizeof(Held));
        if (!held)
                return -ENOMEM;
        held->host = host;
        held->state = HELD_WRITING; /* so that held_free() does not free the batch on an error */
        held->batch = batch;
        held->n = batch->pull.n;
        held->counted = held->n > 0 && batch->pull.messages[0].delivery_attempt > 0;
        held->backoff = (Backoff){ .initial = 500 * USEC_PER_MSEC, .max = ACK_RETRY_MAX_USEC };
        held->ids = calloc(held->n + 1, sizeof(Slice));
        if (!held->ids)
                return -ENOMEM;
        r = held_lease(held, state, granted);
        if (r < 0)
                return r;
        held->state = state;
        batch->held = held;
        *ret = cleanup_steal(held);
        return 0;
}

Held *held_free(Held *held) {
        if (!held)
                return NULL;
        held->release = ack_cancel(held->release);
        held->ack = ack_cancel(held->ack);
        held->lease = lease_free(held->lease);
        held->timer = loop_drop(held->timer);
        if (held->state != HELD_WRITING)
                batch_free(held->batch);
        free(held->ids);
        free(held);
        return NULL;
}

Batch *held_batch(const Held *held) {
        return held->batch;
}

bool held_is_ready(const Held *held) {
        return held->state == HELD_WAITING && !held->refused;
}

void held_forgive(Held *held) {
        held->refused = false;
}

HeldState held_state(const Held *held) {
        return held->state;
}

bool held_is_lapsed(const Held *held) {
        return held->lapsed;
}

void held_add(const Held *held, HeldSum *sum) {
        sum->batches[held->state]++;
        sum->bytes += held->batch->body.allocated;
        if (held->state >= HELD_ACKING)
                return;
        sum->unsettled++;
        sum->messages += held->lapsed ? 0 : held->n;
        clock_keep_oldest(&sum->oldest, held->batch->oldest_publish);
        sum->scouts += held->batch->scout ? held->n : 0;
        sum->counted |= held->counted;
}
