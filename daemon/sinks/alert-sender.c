/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* One target, a lane:
 *
 *      idle ---> waiting ---> sealing ---> sending ---> recording
 *       ^ ^        |  |          |           ^ |            |
 *       | |        |  +----------|-----------+ |            |
 *       | +--------+-------------+-------------+            |
 *       +---------------------------------------------------+
 *
 *   waiting    for others that fire at the same time, for the service's pace, or for a target that is down
 *   sealing    the store notes what is about to be sent, and under which key
 *   sending    what was sealed; from waiting when it was sealed before and has no answer
 *   recording  the store notes the answer
 *
 * A message without an answer may have been accepted. If the service recognises repeated keys, the message stays sealed
 * and is sent again unchanged. Otherwise its notices become due again: telling twice is better than never. A repeated
 * message that is refused waits aside, and new ones go first. */
/* clang-format on */
#include "sinks/alert-sender.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/text.h"
#include "sinks/alert-post.h"

#define WINDOW_USEC USEC_PER_SEC           /* notices that become due within it go out in one message */
#define LASTING_FACTOR 5                   /* of backoff.max: the pause after a failure that only a person can end */
#define REFUSED_MAX 3                      /* after so many refusals alone in a row, the target counts as down */
#define KEY_LIFE_USEC (23 * USEC_PER_HOUR) /* LINE remembers a key for a day */

typedef enum LaneState { LANE_IDLE, LANE_WAITING, LANE_SEALING, LANE_SENDING, LANE_RECORDING, LANE_STATES } LaneState;

_asserted_ static const bool moves[LANE_STATES][LANE_STATES] = {
        [LANE_IDLE] = { [LANE_WAITING] = true },
        [LANE_WAITING] = { [LANE_IDLE] = true, [LANE_SEALING] = true, [LANE_SENDING] = true },
        [LANE_SEALING] = { [LANE_IDLE] = true, [LANE_SENDING] = true },
        [LANE_SENDING] = { [LANE_IDLE] = true, [LANE_RECORDING] = true },
        [LANE_RECORDING] = { [LANE_IDLE] = true },
};

typedef struct Lane {
        AlertSender *sender;
        const AlertTarget *target;
        AlertPost *post;
        LaneState state;
        bool carried;      /* its receipts are in the running question to the store */
        bool more;         /* the last message had no room for all that were due: they have waited for others already */
        LoopWatch *timer;  /* for WAITING */
        usec_t window_end; /* clock_now() */
        usec_t not_before; /* clock_now(): the next message is not sent before */
        usec_t held_until; /* the same for a notice that was refused, until another one is accepted */
        char key[ALERT_KEY_SIZE];
        usec_t doubtful_since;      /* clock_now() since when a request with that key has no answer; 0: all have one */
        char aside[ALERT_KEY_SIZE]; /* key of such a message that was refused later: others go first */
        usec_t aside_since;         /* its doubtful_since */
        bool aside_tried;           /* *aside* was tried later than held notices */
        int64_t *ids;               /* of the message under way */
        size_t n_ids;
        char what[160]; /* the message's first notice, for logs */
        AlertVerdict verdict;
        usec_t verdict_at;
        AlertDoubt doubt;
        Backoff backoff;
        AlertTargetStatus status;
} Lane;

struct AlertSender {
        AlertSenderHost host;
        const AlertConfig *keys;
        Lane *lanes; /* one for each target */
        AlertExchange asking, answer;
        AlertNotice *picked; /* scratch: ALERT_EXCHANGE_MAX */
        bool is_asking, wanted, draining;
        bool lost; /* the last question to the store failed */
        LoopWatch *ask, *later;
        Backoff backoff; /* of the store */
};

static void lane_move(Lane *l, LaneState state) {
        assert(moves[l->state][state]);
        l->state = state;
        l->carried = false;
}

/* ---- what a lane sends next ---- */

typedef struct Pick {
        size_t n;    /* notices in sender->picked */
        bool sealed; /* they were sealed before */
        bool held;   /* they were refused, and nothing was accepted since */
} Pick;

static bool is_for(const Lane *l, const AlertNotice *notice) {
        return strcmp(notice->target, l->target->name) == 0;
}

static bool is_aside(const Lane *l, const AlertNotice *notice) {
        return notice->key[0] != '\0' && strcmp(notice->key, l->aside) == 0;
}

/* Returns a key under which notices are sealed that are not aside, or NULL. */
static const char *find_key(const Lane *l) {
        const AlertExchange *answer = &l->sender->answer;

        for (size_t i = 0; i < answer->n_notices; i++) {
                const AlertNotice *notice = &answer->notices[i];

                if (is_for(l, notice) && notice->key[0] != '\0' && !is_aside(l, notice))
                        return notice->key;
        }
        return NULL;
}

/* Picks at most *most* notices: those that are sealed under *key*; NULL: those with that grade that are not aside.
 * Returns their number. */
static size_t pick_notices(const Lane *l, const char *key, AlertDoubtGrade grade, size_t most) {
        AlertSender *s = l->sender;
        size_t n = 0;

        for (size_t i = 0; i < s->answer.n_notices && n < most; i++) {
                const AlertNotice *notice = &s->answer.notices[i];

                if (is_for(l, notice) &&
                        (key ? strcmp(notice->key, key) == 0
                             : !is_aside(l, notice) && alert_doubt_grade(&l->doubt, notice->id) == grade))
                        s->picked[n++] = *notice;
        }
        return n;
}

static size_t pick_sealed(const Lane *l, const char *key) {
        return pick_notices(l, key, ALERT_DOUBT_NONE, ALERT_EXCHANGE_MAX);
}

/* When nothing else is due, picks refused notices: in turns those aside and those held. */
static Pick lane_pick_refused(const Lane *l) {
        Pick pick = { .held = true };

        if (l->aside[0] != '\0' && !l->aside_tried)
                pick.n = pick_sealed(l, l->aside);
        if (pick.n == 0)
                pick.n = pick_notices(l, NULL, ALERT_DOUBT_HELD, 1);
        if (pick.n == 0 && l->aside[0] != '\0')
                pick.n = pick_sealed(l, l->aside);
        pick.sealed = pick.n > 0 && is_aside(l, &l->sender->picked[0]);
        return pick;
}

static Pick lane_pick(const Lane *l) {
        const char *key = find_key(l);
        Pick pick = { .sealed = key != NULL };

        if (key)
                pick.n = pick_sealed(l, key);
        if (pick.n == 0)
                pick.n = pick_notices(l, NULL, ALERT_DOUBT_NONE, ALERT_EXCHANGE_MAX);
        if (pick.n == 0)
                pick.n = pick_notices(l, NULL, ALERT_DOUBT_ALONE, 1);
        return pick.n > 0 ? pick : lane_pick_refused(l);
}

/* Sets the timer for what is due; when nothing is, the lane is idle. */
static void lane_schedule(Lane *l) {
        Pick pick = lane_pick(l);
        bool in_vain = l->sender->draining && (pick.held || trouble_is_on(&l->status.trouble));
        usec_t at = l->not_before;

        if (pick.n == 0 || in_vain) {
                loop_off(l->timer);
                if (l->state == LANE_WAITING)
                        lane_move(l, LANE_IDLE);
                return;
        }
        if (l->state == LANE_IDLE) {
                lane_move(l, LANE_WAITING);
                l->window_end = clock_now() + (l->more ? 0 : WINDOW_USEC);
        }
        if (!pick.sealed && !l->sender->draining)
                at = usec_max(at, l->window_end);
        if (pick.held)
                at = usec_max(at, l->held_until);
        l->status.next = trouble_is_on(&l->status.trouble) ? at : 0;
        loop_arm(l->timer, at);
}

/* ---- words ---- */

static const char *words_of(const AlertAnswer *answer) {
        if (answer->status >= 500)
                return "fails";
        if (answer->status > 0)
                return answer->class == ALERT_LATER ? "takes nothing just now" : "refuses messages";
        if (answer->class == ALERT_UNKNOWN)
                return "does not answer";
        return answer->cause == CAUSE_NETWORK || answer->cause == CAUSE_TLS ? "cannot be reached" : "cannot be asked";
}

static void lane_down(Lane *l, TroubleGrade grade, usec_t delay, const AlertAnswer *answer) {
        const char *event = l->status.trouble.said == TROUBLE_NONE ? EVENT_ALERT_TARGET_DOWN : NULL;
        char detail[TROUBLE_DETAIL_MAX], said[257], seconds[24], status[16] = "";

        text_copy_words(said, sizeof(said), answer->detail);
        (void) snprintf(detail, sizeof(detail), "%s%s%s", said, answer->remedy ? "; " : "", answer->remedy ?: "");
        if (!trouble_fail(&l->status.trouble, grade, answer->cause, delay, detail))
                return;
        (void) snprintf(seconds, sizeof(seconds), "%.1f", (double) delay / (double) USEC_PER_SEC);
        (void) snprintf(status, sizeof(status), "%d", answer->status);
        log_event(trouble_level(&l->status.trouble), event,
                LOG_FIELDS({ FIELD_TARGET, l->target->name },
                        { FIELD_SUBSCRIPTION, l->sender->host.config->subscription }, { FIELD_ERROR, said },
                        { FIELD_STATUS, answer->status > 0 ? status : NULL }, { FIELD_RETRY_SEC, seconds }),
                "Alert target %s (%s) %s: %s. What is due waits and is sent when it is back. To do: %s",
                l->target->name, l->status.service, words_of(answer), said,
                answer->remedy ?: "look at the network and the service; sensorqd keeps trying");
}

static void lane_up(Lane *l) {
        char span[CLOCK_SPAN_SIZE];

        if (trouble_mend(&l->status.trouble, span))
                log_event(LOG_NOTICE, EVENT_ALERT_TARGET_UP,
                        LOG_FIELDS({ FIELD_TARGET, l->target->name },
                                { FIELD_SUBSCRIPTION, l->sender->host.config->subscription }),
                        "Alert target %s (%s) takes messages again after %s", l->target->name, l->status.service, span);
}

static void lane_refused(Lane *l, const AlertAnswer *answer) {
        l->status.refused++;
        log_event(LOG_ERR, EVENT_ALERT_REFUSED,
                LOG_FIELDS({ FIELD_TARGET, l->target->name },
                        { FIELD_SUBSCRIPTION, l->sender->host.config->subscription }, { FIELD_ERROR, answer->detail }),
                "Alert target %s (%s) refuses one message for good and takes others: %s. It was about: %s. To do: %s",
                l->target->name, l->status.service, answer->detail, l->what, answer->remedy);
}

/* ---- answers of the target ---- */

static void lane_end(Lane *l, AlertVerdict verdict) {
        if (strcmp(l->key, l->aside) == 0)
                l->aside[0] = '\0';
        l->verdict = verdict;
        l->verdict_at = clock_now();
        lane_move(l, LANE_RECORDING);
        loop_wake(l->sender->ask);
}

/* Ends a try without a receipt: the message is sent again unchanged. */
static void lane_keep(Lane *l) {
        lane_move(l, LANE_IDLE);
        lane_schedule(l);
}

static void lane_taken(Lane *l) {
        alert_doubt_accepted(&l->doubt, l->ids, l->n_ids);
        backoff_reset(&l->backoff);
        l->not_before = clock_now() + alert_target_pace(l->target);
        l->status.sent++;
        l->status.last_sent = clock_wall();
        lane_up(l);
        log_info("Alert target %s (%s) has %zu %s: %s%s", l->target->name, l->status.service, l->n_ids,
                l->n_ids == 1 ? "notice" : "notices", l->what, l->n_ids == 1 ? "" : ", ...");
        lane_end(l, ALERT_ACCEPTED);
}

static usec_t lasting_delay(const Lane *l, const AlertAnswer *answer) {
        return usec_max(LASTING_FACTOR * l->backoff.max, answer->retry_after);
}

/* Whether the service may have accepted the message already and still knows its key. */
static bool lane_is_doubtful(const Lane *l) {
        return alert_target_is_keyed(l->target) && l->doubtful_since > 0 &&
               clock_now() - l->doubtful_since < KEY_LIFE_USEC;
}

/* The message was not accepted, for a reason that is not its own. */
static void lane_failed(Lane *l, const AlertAnswer *answer) {
        bool person = answer->class == ALERT_PERSON;
        usec_t now = clock_now(), delay;

        delay = person ? lasting_delay(l, answer)
                       : backoff_next_at_least(&l->backoff, answer->retry_after, loop_random());
        l->not_before = now + delay;
        lane_down(l, person ? TROUBLE_LASTING : TROUBLE_PASSING, delay, answer);
        if (answer->class == ALERT_UNKNOWN && l->doubtful_since == 0)
                l->doubtful_since = now;
        if (lane_is_doubtful(l))
                return lane_keep(l);
        lane_end(l, ALERT_BACK);
}

/* Whether other notices can be tried before the refused ones. */
static bool lane_has_others(const Lane *l) {
        return l->doubt.refused < REFUSED_MAX &&
               pick_notices(l, NULL, ALERT_DOUBT_NONE, 1) + pick_notices(l, NULL, ALERT_DOUBT_ALONE, 1) > 0;
}

/* A message that may have been accepted before is refused now. The first request may have succeeded, so it stays
 * sealed. */
static void lane_put_aside(Lane *l, const AlertAnswer *answer) {
        usec_t now = clock_now(), delay = lasting_delay(l, answer);
        bool another = l->aside[0] != '\0' && strcmp(l->aside, l->key) != 0;

        (void) memcpy(l->aside, l->key, sizeof(l->aside));
        l->aside_since = l->doubtful_since;
        l->aside_tried = true;
        l->held_until = now + delay;
        l->not_before = now + (another ? delay : alert_target_pace(l->target));
        if (!lane_has_others(l))
                lane_down(l, TROUBLE_LASTING, delay, answer);
        lane_keep(l);
}

static void lane_suspect(Lane *l, const AlertAnswer *answer) {
        usec_t now = clock_now(), delay = lasting_delay(l, answer);
        int r;

        if (lane_is_doubtful(l))
                return lane_put_aside(l, answer);
        l->aside_tried = false;
        r = alert_doubt_refused(&l->doubt, l->ids, l->n_ids);
        l->not_before = now + alert_target_pace(l->target);
        if (r == ALERT_DOUBT_FINAL) {
                lane_refused(l, answer);
                return lane_end(l, ALERT_REFUSED);
        }
        if (r < 0 || l->doubt.refused >= REFUSED_MAX)
                l->not_before = now + delay;
        l->held_until = now + delay;
        if (!lane_has_others(l))
                lane_down(l, TROUBLE_LASTING, delay, answer);
        lane_end(l, ALERT_BACK);
}

static void on_posted(void *userdata, const AlertAnswer *answer) {
        Lane *l = userdata;

        switch (answer->class) {
        case ALERT_TAKEN:
                lane_taken(l);
                break;
        case ALERT_SUSPECT:
                lane_suspect(l, answer);
                break;
        default:
                lane_failed(l, answer);
        }
        l->sender->host.on_change(l->sender->host.userdata);
}

/* ---- a message ---- */

static void lane_note(Lane *l, size_t n) {
        const AlertNotice *picked = l->sender->picked;
        const char *device = picked->name ?: picked->device ?: picked->source;
        int size = snprintf(l->what, sizeof(l->what), "%s%s%s (%s)", picked->rule ?: "", device ? ", " : "",
                device ?: "", alert_text_title(picked->kind, ALERT_ENGLISH));

        l->what[text_cut(l->what, (size_t) size, sizeof(l->what) - 1)] = '\0';
        for (size_t i = 0; i < n; i++)
                l->ids[i] = picked[i].id;
        l->n_ids = n;
}

/* Sends the picked notices under the lane's key. */
static void lane_send(Lane *l, size_t n) {
        const AlertSender *s = l->sender;

        lane_note(l, n);
        lane_move(l, LANE_SENDING);
        alert_post_send(
                l->post, &(AlertMessage){ s->picked, n, (AlertLanguage) s->keys->language, l->key }, on_posted, l);
}

static void lane_seal(Lane *l, size_t n) {
        const AlertSender *s = l->sender;
        int r = alert_target_fit(l->target, &(AlertMessage){ s->picked, n, (AlertLanguage) s->keys->language, NULL });

        lane_note(l, r < 0 ? 1 : (size_t) r);
        l->more = n > l->n_ids;
        alert_post_draw_key(l->key);
        l->doubtful_since = 0;
        lane_move(l, LANE_SEALING);
        loop_wake(s->ask);
}

static void on_timer(void *userdata) {
        Lane *l = userdata;
        Pick pick = lane_pick(l);

        if (pick.n == 0)
                return lane_move(l, LANE_IDLE);
        if (!pick.sealed)
                return lane_seal(l, pick.n);
        if (strcmp(l->key, l->sender->picked[0].key) != 0) { /* sealed by an earlier process, or it was aside */
                (void) memcpy(l->key, l->sender->picked[0].key, sizeof(l->key));
                l->doubtful_since = strcmp(l->key, l->aside) == 0 ? l->aside_since : clock_now();
        }
        lane_send(l, pick.n);
}

/* ---- the store ---- */

static bool lane_has_receipts(const Lane *l) {
        return (l->state == LANE_SEALING || l->state == LANE_RECORDING) && !l->carried;
}

static void lane_add_receipts(Lane *l, AlertExchange *exchange) {
        bool sealing = l->state == LANE_SEALING;

        l->carried = true;
        for (size_t i = 0; i < l->n_ids; i++) {
                AlertReceipt *receipt = &exchange->receipts[exchange->n_receipts++];

                *receipt = (AlertReceipt){ .id = l->ids[i],
                        .verdict = sealing ? ALERT_SEALED : l->verdict,
                        .at = sealing ? clock_now() : l->verdict_at };
                (void) memcpy(receipt->key, l->key, sizeof(receipt->key));
        }
}

static int sender_collect(AlertSender *s) {
        size_t n = 0;

        for (size_t i = 0; i < s->keys->n_targets; i++)
                n += lane_has_receipts(&s->lanes[i]) ? s->lanes[i].n_ids : 0;
        s->asking.receipts = calloc(n + 1, sizeof(*s->asking.receipts));
        if (!s->asking.receipts)
                return -ENOMEM;
        for (size_t i = 0; i < s->keys->n_targets; i++)
                if (lane_has_receipts(&s->lanes[i]))
                        lane_add_receipts(&s->lanes[i], &s->asking);
        return 0;
}

static void on_ask(void *userdata) {
        AlertSender *s = userdata;

        s->wanted = s->is_asking;
        if (s->is_asking)
                return;
        loop_off(s->later);
        s->is_asking = true;
        if (sender_collect(s) < 0)
                return alert_sender_exchanged(s, -ENOMEM);
        s->host.exchange(s->host.userdata, &s->asking);
}

/* The store has committed the lane's receipts. */
static void lane_carried(Lane *l) {
        size_t n;

        l->carried = false;
        if (l->state == LANE_RECORDING) {
                l->key[0] = '\0';
                return lane_move(l, LANE_IDLE);
        }
        n = pick_sealed(l, l->key);
        if (n > 0)
                return lane_send(l, n);
        lane_move(l, LANE_IDLE); /* none of its notices is due any more */
}

static void lane_answered(Lane *l) {
        const AlertExchange *answer = &l->sender->answer;

        l->status.waiting = 0;
        for (size_t i = 0; i < answer->n_notices; i++)
                l->status.waiting += is_for(l, &answer->notices[i]);
        alert_doubt_prune(&l->doubt, answer);
        if (l->carried)
                lane_carried(l);
        if (l->state == LANE_IDLE || l->state == LANE_WAITING)
                lane_schedule(l);
}

static void sender_failed(AlertSender *s) {
        alert_exchange_done(&s->asking);
        for (size_t i = 0; i < s->keys->n_targets; i++)
                s->lanes[i].carried = false;
        s->wanted = s->lost = true;
        loop_arm_in(s->later, backoff_next(&s->backoff, loop_random()));
        s->host.on_change(s->host.userdata);
}

void alert_sender_exchanged(AlertSender *sender, int r) {
        assert(sender->is_asking);
        sender->is_asking = false;
        if (r < 0)
                return sender_failed(sender);
        backoff_reset(&sender->backoff);
        sender->lost = false;
        alert_exchange_done(&sender->answer);
        sender->answer = sender->asking;
        sender->asking = (AlertExchange){};
        for (size_t i = 0; i < sender->keys->n_targets; i++)
                lane_answered(&sender->lanes[i]);
        if (sender->wanted)
                loop_wake(sender->ask);
        sender->host.on_change(sender->host.userdata);
}

void alert_sender_wake(AlertSender *sender) {
        sender->wanted = true;
        loop_wake(sender->ask);
}

/* ---- the end ---- */

void alert_sender_drain(AlertSender *sender) {
        sender->draining = true;
        for (size_t i = 0; i < sender->keys->n_targets; i++)
                if (sender->lanes[i].state == LANE_WAITING)
                        lane_schedule(&sender->lanes[i]);
        alert_sender_wake(sender);
}

/* While the store fails, nothing more is sent; the lane only waits for an answer and its record. */
static bool lane_is_drained(const Lane *l) {
        return l->sender->lost ? l->state != LANE_SENDING && l->state != LANE_RECORDING : l->state == LANE_IDLE;
}

bool alert_sender_is_drained(const AlertSender *sender) {
        if (!sender->draining || sender->is_asking || (sender->wanted && !sender->lost))
                return false;
        for (size_t i = 0; i < sender->keys->n_targets; i++)
                if (!lane_is_drained(&sender->lanes[i]))
                        return false;
        return true;
}

const AlertTargetStatus *alert_sender_status(const AlertSender *sender, size_t target) {
        return target < sender->keys->n_targets ? &sender->lanes[target].status : NULL;
}

/* ---- life ---- */

static void lane_done(Lane *l) {
        l->post = alert_post_free(l->post);
        l->timer = loop_drop(l->timer);
        alert_doubt_done(&l->doubt);
        free(l->ids);
}

AlertSender *alert_sender_free(AlertSender *sender) {
        if (!sender)
                return NULL;
        for (size_t i = 0; sender->lanes && i < sender->keys->n_targets; i++)
                lane_done(&sender->lanes[i]);
        sender->later = loop_drop(sender->later);
        sender->ask = loop_drop(sender->ask);
        alert_exchange_done(&sender->answer);
        alert_exchange_done(&sender->asking);
        free(sender->picked);
        free(sender->lanes);
        free(sender);
        return NULL;
}

static int lane_make(Lane *l, AlertSender *s, const AlertTarget *target, char problem[static SINK_DETAIL_MAX]) {
        int r;

        l->sender = s;
        l->target = target;
        l->backoff = s->backoff;
        l->status.name = target->name;
        l->status.service = alert_target_service(target);
        l->ids = calloc(ALERT_EXCHANGE_MAX, sizeof(*l->ids));
        r = l->ids ? alert_post_new(&s->host.means, s->host.config->subscription, target, &l->post, problem) : -ENOMEM;
        return r < 0 ? r : loop_add_timer(s->host.means.loop, LOOP_EXACT, on_timer, l, &l->timer);
}

static int sender_make(AlertSender *s, char problem[static SINK_DETAIL_MAX]) {
        int r;

        s->backoff = (Backoff){ .initial = s->host.config->backoff.initial, .max = s->host.config->backoff.max };
        s->lanes = calloc(s->keys->n_targets + 1, sizeof(*s->lanes));
        s->picked = calloc(ALERT_EXCHANGE_MAX, sizeof(*s->picked));
        r = s->lanes && s->picked ? 0 : -ENOMEM;
        if (r >= 0)
                r = loop_add_defer(s->host.means.loop, on_ask, s, &s->ask);
        if (r >= 0)
                r = loop_add_timer(s->host.means.loop, LOOP_EXACT, on_ask, s, &s->later);
        for (size_t i = 0; r >= 0 && i < s->keys->n_targets; i++)
                r = lane_make(&s->lanes[i], s, &s->keys->targets[i], problem);
        return r;
}

int alert_sender_new(const AlertSenderHost *host, AlertSender **ret, char problem[static SINK_DETAIL_MAX]) {
        _cleanup_(alert_sender_freep) AlertSender *sender = calloc(1, sizeof(AlertSender));
        int r;

        if (!sender)
                return -ENOMEM;
        sender->host = *host;
        sender->keys = host->config->keys;
        r = sender_make(sender, problem);
        if (r < 0)
                return r;
        *ret = cleanup_steal(sender);
        return 0;
}
