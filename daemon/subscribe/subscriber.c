/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/subscriber.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "subscribe/aside.h"
#include "subscribe/held.h"
#include "subscribe/pulls.h"

#define SCOUTS_MAX 60           /* held at once */
#define SCOUT_MESSAGES_MAX 1000 /* in all of them */
/* batches of pulls, being acknowledged, split off, and scouts; the plan stops pulling well before */
#define HELD_MAX (PULLS_MAX * 4 + PULL_PLAN_ACKING_MAX + SCOUTS_MAX)
/* longest pause before a batch is tried again of which some messages were not tried: a type may end a write early */
#define UNTRIED_PAUSE_USEC (5 * USEC_PER_SEC)
/* pause before a batch is offered again to a sink that takes batches but was busy */
#define BUSY_RETRY_USEC (100 * USEC_PER_MSEC)
#define ONCE_PATIENCE_USEC (10 * USEC_PER_SEC) /* to wait until the sink takes batches: two tries to find a server */
/* pulls stay open so long after the stop gave messages back: a round trip on a busy machine */
#define LINGER_USEC (1 * USEC_PER_SEC)
#define ONCE_FAILURES 3 /* failed pulls in a row */

struct Subscriber {
        const SubscriptionConfig *config;
        bool once, begun;
        LoopWatch *timer; /* of the next subscriber_advance() */
        void (*on_change)(void *userdata);
        void *userdata; /* of on_change() */

        Pulls *pulls;
        const PullsStatus *pulled; /* their results */
        bool takes;                /* sink_takes_batches(), as last seen */
        usec_t paused_at;          /* clock_now() since when the sink takes no batches; 0: it does */
        usec_t scout_at;           /* clock_now() before which no scout is pulled */
        usec_t untried_at;         /* ... and none is tried that was tried in part */
        size_t turn;               /* index of the held scout that is tried next */

        HeldHost host;
        Held *held[HELD_MAX]; /* oldest first */
        size_t n_held;
        Aside *aside;
        bool aside_last, aside_refused; /* the last batch came from aside.h; the sink was busy */
        bool emptied;                   /* the queue was seen empty */
};

/* What is tried to see whether the remote accepts a message. REST: messages of a batch that were not tried when it was
 * refused. NEW: a scout is pulled. HELD: the most scouts are held, and one of those is tried again, in turns, since
 * each may itself be bad. */
typedef struct Trial {
        enum { TRIAL_NONE, TRIAL_REST, TRIAL_NEW, TRIAL_HELD } what;
        usec_t at;  /* clock_now() */
        Held *rest; /* REST: the batch */
} Trial;

/* ---- what can be done now ---- */

/* Notes when the sink goes away and comes back. */
static void see_sink(Subscriber *s, usec_t now) {
        bool takes = sink_takes_batches(s->host.sink), paused = !takes && (s->once || !sink_is_untried(s->host.sink));

        if (takes == s->takes && (takes || (paused && s->paused_at > 0)))
                return;
        s->takes = takes;
        s->paused_at = takes ? 0 : now;
        if (!takes)
                return;
        s->scout_at = 0;
        for (size_t i = 0; i < s->n_held; i++)
                held_forgive(s->held[i]);
}

static HeldSum sum_held(const Subscriber *s) {
        HeldSum sum = {};

        for (size_t i = 0; i < s->n_held; i++)
                held_add(s->held[i], &sum);
        return sum;
}

/* Returns the oldest batch of which *is* is true. */
static Held *find(const Subscriber *s, bool (*is)(const Held *held)) {
        for (size_t i = 0; i < s->n_held; i++)
                if (is(s->held[i]))
                        return s->held[i];
        return NULL;
}

/* Offers the sink messages of aside.h that are due. With *flow* (another batch waits) they take turns. */
static bool try_aside(Subscriber *s, usec_t now, bool flow) {
        Batch *batch;

        if (!s->takes || (flow && s->aside_last) || sink_is_busy(s->host.sink))
                return false;
        batch = aside_try(s->aside, now);
        if (!batch)
                return false;
        s->aside_last = true;
        s->aside_refused = sink_write(s->host.sink, batch) != SINK_WRITE_STARTED;
        if (!s->aside_refused)
                return true;
        aside_note(s->aside, batch);
        batch_free(batch);
        return false;
}

/* Offers a waiting batch to the sink, which takes one at a time. Returns true when it still waits since the sink, which
 * takes batches, was busy. */
static bool hand_over(Subscriber *s, usec_t now) {
        Held *held = find(s, held_is_ready);

        if (!aside_is_empty(s->aside) && try_aside(s, now, held != NULL))
                return false;
        if (!held || !(s->takes || sink_wants_scout(s->host.sink)))
                return false;
        s->aside_refused = held_write(held) != SINK_WRITE_STARTED;
        if (!s->aside_refused)
                s->aside_last = false;
        return s->aside_refused && s->takes && sum_held(s).batches[HELD_WRITING] == 0;
}

/* Moves messages of SUSPECT batches aside when there is room, so that their slots become free. */
static void move_aside(Subscriber *s) {
        for (size_t i = s->n_held; i-- > 0;) {
                Held *held = i < s->n_held ? s->held[i] : NULL; /* held_narrow() may have ended others as well */

                if (!held || held_state(held) != HELD_SUSPECT || !aside_has_room(s->aside))
                        continue;
                aside_take(s->aside, held_batch(held));
                held_narrow(held);
        }
}

/* ---- trials ---- */

static bool is_untried(const Held *held) {
        return held_state(held) == HELD_WAITING && batch_has_untried(held_batch(held));
}

/* Returns what is tried next, and when, to see whether the remote accepts a message: while normal pulls are stopped, or
 * all slots are kept. */
static Trial next_trial(const Subscriber *s, HeldSum sum, usec_t now) {
        const bool usual = s->takes ? sum.batches[HELD_SUSPECT] < s->config->pulls : !sink_wants_scout(s->host.sink);
        const unsigned waiting = sum.batches[HELD_WAITING];
        const PullsStatus *pulls = s->pulled;
        Trial trial = { .at = USEC_INFINITY };
        Held *rest;

        if (usual || find(s, held_is_ready) || sum.batches[HELD_ACKING] >= PULL_PLAN_ACKING_MAX)
                return trial;
        if (s->once && (!s->begun || s->n_held > 0)) /* `once` has at most one scout at a time */
                return trial;
        if (waiting > 0 &&
                (waiting >= SCOUTS_MAX || sum.scouts >= SCOUT_MESSAGES_MAX || sum.bytes >= PULL_PLAN_BYTES_MAX))
                trial = (Trial){ TRIAL_HELD, s->scout_at, NULL };
        else if (pulls->in_flight == 0 && !pull_plan_is_over(pulls->plan))
                trial = (Trial){ TRIAL_NEW, usec_max(s->scout_at, pulls->plan->not_before), NULL };
        rest = find(s, is_untried);
        if (rest && usec_max(s->untried_at, now) <= usec_max(trial.at, now))
                trial = (Trial){ TRIAL_REST, s->untried_at, rest };
        return trial;
}

/* Returns how many messages the next scout brings: one more than all scouts that are held, so that a good one behind
 * many bad ones is found soon; one where each delivery counts against a message. */
static unsigned scout_size(HeldSum sum) {
        const size_t n = sum.scouts + 1, each = sum.bytes / (sum.messages + 1) + 1;

        if (sum.counted || n > SCOUT_MESSAGES_MAX || sum.bytes + n * each > PULL_PLAN_BYTES_MAX)
                return 1;
        return (unsigned) (n < SCOUT_MESSAGES_MAX - sum.scouts ? n : SCOUT_MESSAGES_MAX - sum.scouts);
}

static void begin_trial(Subscriber *s, const Trial *trial, HeldSum sum, usec_t now) {
        Held *held = trial->rest;

        if (trial->what == TRIAL_NEW)
                return pulls_add(s->pulls, scout_size(sum), now);
        if (trial->what == TRIAL_REST)
                s->untried_at = now + usec_min(UNTRIED_PAUSE_USEC, s->config->backoff.max);
        else
                s->scout_at = now + s->config->backoff.max;
        while (!held || held_state(held) != HELD_WAITING)
                held = s->held[s->turn++ % s->n_held];
        held_forgive(held);
        (void) hand_over(s, now);
}

/* Returns what is held then. */
static HeldSum subscriber_pull(Subscriber *s, usec_t now) {
        HeldSum held = sum_held(s);
        const Trial trial = next_trial(s, held, now);

        if (now >= trial.at) {
                begin_trial(s, &trial, held, now);
                held = sum_held(s);
        }
        pulls_start(s->pulls,
                (PullLoad){ .welcome = s->takes && (s->begun || !s->once),
                        .unsettled = held.unsettled,
                        .acking = held.batches[HELD_ACKING],
                        .bytes = held.bytes },
                now);
        return held;
}

static usec_t next_due(const Subscriber *s, HeldSum held, usec_t now) {
        const PullsStatus *pulls = s->pulled;
        usec_t next = next_trial(s, held, now).at;

        if (s->takes && !aside_is_empty(s->aside))
                next = usec_min(next, aside_next(s->aside, !s->aside_refused && held.batches[HELD_WRITING] == 0 &&
                                                                   !sink_is_busy(s->host.sink)));
        if (s->takes && pulls->plan->not_before > now)
                next = usec_min(next, pulls->plan->not_before);
        if (s->once && s->begun && !s->takes && s->paused_at + ONCE_PATIENCE_USEC > now)
                next = usec_min(next, s->paused_at + ONCE_PATIENCE_USEC);
        return next;
}

static void wake_at(Subscriber *s, usec_t at) {
        if (at == USEC_INFINITY)
                loop_off(s->timer);
        else
                loop_arm(s->timer, at);
}

static void subscriber_wind_up(Subscriber *s);

/* Called after any event, and by the timer: gives batches to the sink, pulls, sets the timer. */
static void subscriber_advance(void *userdata) {
        Subscriber *s = userdata;
        usec_t now = clock_now(), next;
        bool busy;

        if (s->host.stopping)
                return subscriber_wind_up(s);
        s->aside_refused = false;
        see_sink(s, now);
        aside_expire(s->aside, now);
        move_aside(s);
        busy = hand_over(s, now);
        next = next_due(s, subscriber_pull(s, now), now);
        wake_at(s, busy ? usec_min(now + BUSY_RETRY_USEC, next) : next);
        s->on_change(s->userdata);
}

/* ---- batches ---- */

static int keep_batch(Subscriber *s, Batch *batch, HeldState state) {
        int r;

        if (s->n_held >= HELD_MAX)
                return -ENOBUFS;
        r = held_new(&s->host, batch, state, &s->held[s->n_held]);
        if (r < 0)
                return r;
        s->n_held++;
        return 0;
}

static int on_batch(void *userdata, Batch *batch) {
        Subscriber *s = userdata;

        if (batch->scout)
                s->scout_at = clock_now() + s->config->backoff.max;
        return keep_batch(s, batch, HELD_WAITING);
}

static void on_pull_answer(void *userdata) {
        Subscriber *s = userdata;
        const PullsStatus *pulls = s->pulled;
        const bool idle = pulls->plan->empties > 0; /* the last answer had no messages */

        sink_heard(s->host.sink, pulls->failures > 0 ? SINK_NEWS_DEAF : idle ? SINK_NEWS_EMPTY : SINK_NEWS_ANSWERED);
        if (s->takes && (pulls->hung ? s->n_held == 1 : s->n_held == 0 && idle)) {
                s->host.oldest_left = 0; /* all messages of the queue are leased by somebody */
                s->emptied = true;
        }
        subscriber_advance(s);
}

/* Copies the messages with *fate* into a batch of their own. On an error they are left to Pub/Sub. */
static void split_off(Subscriber *s, Batch *batch, Fate fate, HeldState state) {
        _cleanup_free_ BatchPick *picks = calloc(batch->pull.n, sizeof(BatchPick));
        _cleanup_(batch_freep) Batch *part = NULL;
        size_t n = 0;

        for (size_t i = 0; picks && i < batch->pull.n; i++)
                if (batch->fates[i] == fate)
                        picks[n++] = (BatchPick){ batch, i };
        if (!picks || batch_gather(picks, n, &part) < 0)
                return;
        part->scout = batch->scout;
        for (size_t i = 0; i < n && state == HELD_SUSPECT; i++)
                batch_set_fate(part, i, FATE_SUSPECT);
        if (keep_batch(s, part, state) < 0)
                return;
        cleanup_steal(part);
        for (size_t i = 0; i < n; i++)
                batch_set_fate(batch, picks[i].index, FATE_MOVED);
}

/* Moves unsettled messages out of a batch that is partly settled, so that the rest is acknowledged and the slot freed.
 */
static void sort_batch(Subscriber *s, Batch *batch) {
        const size_t pending = batch_count(batch, FATE_PENDING);

        aside_take(s->aside, batch);
        if (batch_count(batch, FATE_SUSPECT) > 0)
                split_off(s, batch, FATE_SUSPECT, HELD_SUSPECT);
        if (pending > 0 && pending < batch->pull.n)
                split_off(s, batch, FATE_PENDING, HELD_WAITING);
}

/* A batch of aside.h came back: its settled messages are acknowledged like any other batch. */
static void settle_aside(Subscriber *s, Batch *batch) {
        bool settled = false;

        aside_note(s->aside, batch);
        for (size_t i = 0; i < batch->pull.n; i++) {
                settled = settled || batch_is_settled(batch, i);
                if (!batch_is_settled(batch, i) && batch->fates[i] != FATE_MOVED)
                        batch_set_fate(batch, i, FATE_MOVED); /* it is still in the list */
        }
        if (settled && keep_batch(s, batch, HELD_ACKING) == 0)
                held_begin_acks(batch->held);
        else
                batch_free(batch);
}

static void on_settled(void *userdata, Batch *batch) {
        Subscriber *s = userdata;
        Held *held = batch->held;

        if (batch->aside)
                settle_aside(s, batch);
        else {
                if (!s->host.stopping && !held_is_lapsed(held))
                        sort_batch(s, batch);
                if (batch->scout && batch_count(batch, FATE_REJECTED) > 0)
                        s->scout_at = 0; /* the scout itself was bad, which says nothing of the remote */
                held_settled(held);
        }
        subscriber_advance(s);
}

static void on_sink_change(void *userdata) {
        Subscriber *s = userdata;

        if (s->host.sink) /* NULL: called from inside open() */
                subscriber_advance(s);
}

/* ---- what a batch reports ---- */

static void on_done(void *userdata, Held *held) {
        Subscriber *s = userdata;

        for (size_t i = 0; i < s->n_held; i++) {
                if (s->held[i] != held)
                        continue;
                memmove(&s->held[i], &s->held[i + 1], (s->n_held - i - 1) * sizeof(s->held[0]));
                s->n_held--;
                break;
        }
        if (s->host.released_at > 0)
                s->host.released_at = clock_now(); /* Pub/Sub has answered only now */
        held_free(held);
        if (s->n_held == 0) { /* no batch is left whose acknowledgement could fail */
                subscription_mend(s->host.subscription, SUBSCRIPTION_ACK);
                if (aside_is_empty(s->aside))
                        subscription_mend(s->host.subscription, SUBSCRIPTION_LEASE);
        }
        subscriber_advance(s);
}

static void on_held_change(void *userdata) {
        const Subscriber *s = userdata;

        s->on_change(s->userdata);
}

/* ---- stop ---- */

static void on_aside_released(void *userdata) {
        Subscriber *s = userdata;

        s->host.released_at = clock_now();
        subscriber_wind_up(s);
}

static Held *find_held(const Subscriber *s, HeldState state) {
        for (size_t i = 0; i < s->n_held; i++)
                if (held_state(s->held[i]) == state)
                        return s->held[i];
        return NULL;
}

static void subscriber_wind_up(Subscriber *s) {
        usec_t until = s->host.released_at > 0 ? s->host.released_at + LINGER_USEC : 0;
        Held *held;

        while ((held = find_held(s, HELD_WAITING)) || (held = find_held(s, HELD_SUSPECT)))
                held_release(held);
        aside_release(s->aside, on_aside_released, s);
        if (s->n_held > 0 || !aside_is_empty(s->aside) || s->pulled->in_flight == 0)
                wake_at(s, USEC_INFINITY);
        else if (clock_now() < until)
                wake_at(s, until);
        else
                pulls_drop(s->pulls);
        s->on_change(s->userdata);
}

void subscriber_stop(Subscriber *s) {
        bool complete = false;

        if (s->host.stopping)
                return;
        (void) subscriber_is_drained(s, &complete);
        s->host.stopping = true;
        s->host.left = s->host.left || !aside_is_empty(s->aside);
        subscription_rest(s->host.subscription);
        pulls_stop(s->pulls);
        sink_stop(s->host.sink, complete);
        subscriber_wind_up(s);
}

bool subscriber_is_stopped(const Subscriber *s) {
        return s->host.stopping && s->n_held == 0 && aside_is_empty(s->aside) && s->pulled->in_flight == 0 &&
               !sink_is_busy(s->host.sink);
}

/* ---- once ---- */

void subscriber_begin(Subscriber *s) {
        if (s->begun)
                return;
        s->begun = true;
        s->paused_at = s->takes ? 0 : clock_now();
        subscriber_advance(s);
}

static bool cannot_go_on(const Subscriber *s) {
        if (!s->takes)
                return s->begun && clock_now() >= s->paused_at + ONCE_PATIENCE_USEC;
        return s->pulled->failures >= ONCE_FAILURES || (s->pulled->failures > 0 && s->pulled->unmendable);
}

bool subscriber_is_drained(const Subscriber *s, bool *ret_complete) {
        const PullsStatus *pulls = s->pulled;

        *ret_complete = false;
        if (s->host.stopping || !s->begun || !pull_plan_is_over(pulls->plan) || pulls->in_flight > 0 ||
                s->n_held > sum_held(s).batches[HELD_SUSPECT])
                return s->host.stopping || (cannot_go_on(s) && (!s->takes || s->n_held == 0));
        *ret_complete = !s->host.left && !pulls->left && s->n_held == 0 && aside_is_empty(s->aside);
        return true; /* even if the sink has failed since */
}

/* ---- life ---- */

static void init_host(Subscriber *s, Loop *loop) {
        s->host = (HeldHost){
                .loop = loop,
                .max_hold = s->config->max_hold,
                .on_change = on_held_change,
                .on_done = on_done,
                .userdata = s,
        };
}

static int make_parts(Subscriber *s, Client *client, const SubscriberOptions *options) {
        int r;

        r = loop_add_timer(s->host.loop, LOOP_EXACT, subscriber_advance, s, &s->timer);
        if (r < 0)
                return r;
        r = subscription_new(s->host.loop, client,
                &(SubscriptionOptions){
                        s->config->subscription, options->on_subscription, options->userdata, options->once },
                &s->host.subscription);
        if (r < 0)
                return r;
        r = aside_new(&s->host, &s->aside);
        if (r < 0)
                return r;
        r = pulls_new(&(PullsOptions){ .config = s->config,
                              .subscription = s->host.subscription,
                              .once = s->once,
                              .on_batch = on_batch,
                              .on_answer = on_pull_answer,
                              .userdata = s },
                &s->pulls);
        if (r < 0)
                return r;
        s->pulled = pulls_status(s->pulls);
        return sink_new(options->sink_type, options->config,
                &(SinkCallbacks){ .on_settled = on_settled,
                        .on_change = on_sink_change,
                        .userdata = s,
                        .means = options->means,
                        .tap = options->tap },
                &s->host.sink);
}

int subscriber_new(Client *client, const SubscriberOptions *options, Subscriber **ret) {
        _cleanup_(subscriber_freep) Subscriber *s = NULL;
        int r;

        s = calloc(1, sizeof(Subscriber));
        if (!s)
                return -ENOMEM;
        s->config = options->config;
        s->once = options->once;
        s->on_change = options->on_change;
        s->userdata = options->userdata;
        init_host(s, options->means.loop);
        r = make_parts(s, client, options);
        if (r < 0)
                return r;
        loop_arm_in(s->timer, 0); /* the first subscriber_advance() comes from the loop */
        *ret = cleanup_steal(s);
        return 0;
}

Subscriber *subscriber_free(Subscriber *s) {
        if (!s)
                return NULL;
        s->pulls = pulls_free(s->pulls);
        while (s->n_held > 0)
                held_free(s->held[--s->n_held]);
        s->aside = aside_free(s->aside);
        s->host.sink = sink_free(s->host.sink);
        s->host.subscription = subscription_free(s->host.subscription);
        s->timer = loop_drop(s->timer);
        free(s);
        return NULL;
}

/* ---- status ---- */

static void measure_held(const Subscriber *s, SubscriberStatus *ret) {
        const HeldSum held = sum_held(s);
        AsideStatus aside;

        aside_status(s->aside, &aside);
        ret->held = held.messages + aside.n;
        ret->oldest_unsettled = held.oldest;
        ret->aside = aside.n;
        ret->unkept = aside.unkept;
        ret->unkept_since = aside.oldest_unkept;
        clock_keep_oldest(&ret->oldest_unsettled, aside.oldest);
        clock_keep_oldest(&ret->oldest_unsettled, s->host.oldest_left);
}

void subscriber_refresh(Subscriber *s) {
        if (!s->host.stopping)
                subscription_refresh(s->host.subscription);
}

void subscriber_subscription(const Subscriber *s, SubscriptionStatus *ret) {
        subscription_status(s->host.subscription, ret);
}

void subscriber_status(const Subscriber *s, SubscriberStatus *ret) {
        SubscriptionStatus subscription;
        const PullsStatus *pulls = s->pulled;

        subscription_status(s->host.subscription, &subscription);
        *ret = (SubscriberStatus){
                .subscription = s->config->subscription,
                .failure = subscription.failure,
                .missing = subscription.missing,
                .last_pull = pulls->last,
                .last_ack = s->host.last_ack,
                .retry_at =
                        subscription.failure.on && pulls->plan->not_before > clock_now() ? pulls->plan->not_before : 0,
                .retention = subscription.settings ? subscription.settings->retention : 0,
                .emptied = s->emptied,
                .received = pulls->received,
                .acknowledged = s->host.acknowledged,
                .pulls = pulls->pulls,
                .empty_pulls = pulls->empties,
        };
        measure_held(s, ret);
        sink_status(s->host.sink, &ret->sink);
        ret->paused = !ret->sink.ready && !ret->sink.untried;
        ret->paused_since = ret->paused && s->paused_at > 0 ? clock_wall_of(s->paused_at) : 0;
}
