/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* One target, a lane:
 *
 *      idle ---> waiting ---> due ---> sealing ---> sending ---> answered ---> recording
 *       ^           |          |           |                        |              |
 *       +-----------+----------+-----------+------------------------+--------------+
 *
 *   waiting    for others that fire at the same time, for the service's pace, or for a target that is down
 *   due        to be sealed before the next turn
 *   sealing    the turn notes what is about to be sent, and under which key
 *   sending    what was sealed
 *   answered   to be judged before the next turn
 *   recording  the turn notes the answer
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
#include "sinks/alert-device.h"

#define WINDOW_USEC USEC_PER_SEC           /* notices that become due within it go out in one message */
#define LASTING_FACTOR 5                   /* of backoff.max: the pause after a failure that only a person can end */
#define REFUSED_MAX 3                      /* so many messages refused alone in a row: the target counts as down */
#define KEY_LIFE_USEC (23 * USEC_PER_HOUR) /* LINE remembers a key for a day */
#define NOTICES_MAX 1000                   /* in a message */

typedef enum LaneState {
        LANE_IDLE,
        LANE_WAITING,
        LANE_DUE,
        LANE_SEALING,
        LANE_SENDING,
        LANE_ANSWERED,
        LANE_RECORDING,
        LANE_STATES
} LaneState;

_asserted_ static const bool moves[LANE_STATES][LANE_STATES] = {
        [LANE_IDLE] = { [LANE_WAITING] = true },
        [LANE_WAITING] = { [LANE_IDLE] = true, [LANE_DUE] = true },
        [LANE_DUE] = { [LANE_IDLE] = true, [LANE_SEALING] = true },
        [LANE_SEALING] = { [LANE_IDLE] = true, [LANE_SENDING] = true },
        [LANE_SENDING] = { [LANE_ANSWERED] = true },
        [LANE_ANSWERED] = { [LANE_IDLE] = true, [LANE_RECORDING] = true },
        [LANE_RECORDING] = { [LANE_IDLE] = true },
};

typedef struct Lane {
        AlertSender *sender;
        const AlertTarget *target;
        AlertPost *post;
        LaneState state;
        const AlertItem *due; /* its part of AlertBook.due */
        size_t n_due;
        bool more;         /* the last message had no room for all that were due: they have waited for others already */
        LoopWatch *timer;  /* for WAITING */
        usec_t window_end; /* clock_now() */
        usec_t not_before; /* clock_now(): the next message is not sent before */
        usec_t held_until; /* the same for a notice that was refused, until another one is accepted */
        char key[ALERT_KEY_SIZE]; /* of the message under way */
        char what[160];           /* the message's first notice, for logs */
        AlertAnswer answer;
        usec_t answered;   /* clock_now() */
        uint64_t accepted; /* messages */
        unsigned refused;  /* messages that were refused alone, in a row */
        Backoff backoff;
        AlertTargetStatus status;
} Lane;

struct AlertSender {
        AlertSenderHost host;
        const AlertConfig *keys;
        Lane *lanes;              /* one for each target */
        const AlertItem **picked; /* scratch: NOTICES_MAX, ... */
        AlertNotice *notices;     /* ... and the same as notices */
        usec_t hearing;           /* AlertMoment.hearing of the last turn */
        bool draining;
        bool lost; /* the last turn failed */
};

static void lane_move(Lane *l, LaneState state) {
        assert(moves[l->state][state]);
        l->state = state;
}

/* ---- what a lane sends next ---- */

/* Whose fault a refusal was. A notice is given up only when it was refused alone, then another one was accepted, and
 * then it was refused alone again. */
typedef enum Doubt {
        DOUBT_NONE,  /* send it, together with others */
        DOUBT_ALONE, /* send it alone; or again, if it is sealed */
        DOUBT_HELD,  /* nothing was accepted since its refusal: a try would show nothing new */
} Doubt;

static Doubt doubt_of(const Lane *l, const AlertEntry *entry) {
        if (!entry->suspect)
                return DOUBT_NONE;
        return entry->refused > l->accepted ? DOUBT_HELD : DOUBT_ALONE;
}

/* Whether the message is at fault, and not the target, if it is refused alone now. */
static bool is_at_fault(const Lane *l, const AlertEntry *entry) {
        return entry->refused == ALERT_REFUSED_AGAIN || (entry->refused > 0 && entry->refused <= l->accepted);
}

typedef struct Pick {
        size_t n;    /* items in sender->picked */
        bool sealed; /* they were sealed before */
        bool held;   /* they were refused, and nothing was accepted since */
} Pick;

static size_t pick_sealed(const Lane *l, const char *key) {
        size_t n = 0;

        for (size_t i = 0; i < l->n_due && n < NOTICES_MAX; i++)
                if (strcmp(l->due[i].entry->seal, key) == 0)
                        l->sender->picked[n++] = &l->due[i];
        return n;
}

/* Picks what goes out first of the items with that doubt: a message that is sealed, or all of them together, or one
 * alone. */
static Pick pick_doubt(const Lane *l, Doubt doubt) {
        Pick pick = { .held = doubt == DOUBT_HELD };

        for (size_t i = 0; i < l->n_due && (pick.n == 0 || doubt == DOUBT_NONE); i++) {
                const AlertEntry *entry = l->due[i].entry;

                if (doubt_of(l, entry) != doubt)
                        continue;
                if (alert_entry_is_sealed(entry))
                        return (Pick){ pick_sealed(l, entry->seal), true, pick.held };
                if (pick.n < NOTICES_MAX)
                        l->sender->picked[pick.n++] = &l->due[i];
        }
        return pick;
}

static Pick lane_pick(const Lane *l) {
        Pick pick = {};

        for (Doubt doubt = DOUBT_NONE; doubt <= DOUBT_HELD && pick.n == 0; doubt++)
                pick = pick_doubt(l, doubt);
        return pick;
}

/* Returns the picked items as a message. */
static AlertMessage lane_message(const Lane *l, const AlertBook *book, size_t n) {
        AlertSender *s = l->sender;

        for (size_t i = 0; i < n; i++)
                s->notices[i] = alert_book_notice(book, s->picked[i]);
        return (AlertMessage){ s->notices, n, (AlertLanguage) s->keys->language, l->key };
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
                return answer->class == WEB_LATER ? "accepts nothing at present" : "refuses messages";
        if (answer->class == WEB_UNKNOWN)
                return answer->cause == CAUSE_NONSENSE ? "sends too large an answer" : "does not answer";
        return answer->cause == CAUSE_NETWORK || answer->cause == CAUSE_TLS ? "cannot be reached"
                                                                            : "cannot be contacted";
}

static void lane_down(Lane *l, TroubleGrade grade, usec_t delay) {
        const AlertAnswer *answer = &l->answer;
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
                "Alert target %s (%s) %s: %s. Alerts that are due wait and are sent when it is back. To do: %s",
                l->target->name, l->status.service, words_of(answer), said,
                answer->remedy ?: "look at the network and the service; sensorqd keeps trying");
}

static void lane_up(Lane *l) {
        char span[CLOCK_SPAN_SIZE];

        if (trouble_mend(&l->status.trouble, span))
                log_event(LOG_NOTICE, EVENT_ALERT_TARGET_UP,
                        LOG_FIELDS({ FIELD_TARGET, l->target->name },
                                { FIELD_SUBSCRIPTION, l->sender->host.config->subscription }),
                        "Alert target %s (%s) accepts messages again after %s", l->target->name, l->status.service,
                        span);
}

static void lane_refused(Lane *l) {
        const AlertAnswer *answer = &l->answer;

        l->status.refused++;
        log_event(LOG_ERR, EVENT_ALERT_REFUSED,
                LOG_FIELDS({ FIELD_TARGET, l->target->name },
                        { FIELD_SUBSCRIPTION, l->sender->host.config->subscription }, { FIELD_ERROR, answer->detail }),
                "Alert target %s (%s) refuses one message for good while accepting others: %s. It was about: %s, and "
                "is not sent again. To do: correct the rule's message or resolved, or the target's body",
                l->target->name, l->status.service, answer->detail, l->what);
}

/* ---- answers of the target ---- */

/* Ends the message of the picked items with that verdict. */
static void lane_end(Lane *l, size_t n, AlertVerdict verdict) {
        usec_t wall = clock_wall_of(l->answered);

        for (size_t i = 0; i < n; i++)
                alert_entry_answer(l->sender->picked[i]->entry, verdict, wall);
        l->key[0] = '\0';
        lane_move(l, LANE_RECORDING);
}

static void lane_taken(Lane *l, size_t n) {
        l->accepted++;
        l->refused = 0;
        backoff_reset(&l->backoff);
        l->not_before = l->answered + alert_target_pace(l->target);
        l->status.sent++;
        l->status.last_sent = clock_wall();
        lane_up(l);
        log_info("Alert target %s (%s) accepted %zu %s: %s%s", l->target->name, l->status.service, n,
                n == 1 ? "notice" : "notices", l->what, n == 1 ? "" : ", ...");
        lane_end(l, n, ALERT_ACCEPTED);
}

static usec_t lasting_delay(const Lane *l) {
        return usec_max(LASTING_FACTOR * l->backoff.max, l->answer.retry_after);
}

/* Whether the service may have accepted the message already and still knows its key: then it stays sealed. */
static bool lane_is_doubtful(const Lane *l) {
        usec_t since = l->sender->picked[0]->entry->doubtful;

        return alert_target_is_keyed(l->target) && since > 0 && l->answered - since < KEY_LIFE_USEC;
}

/* The message was not accepted, for a reason that is not its own. */
static void lane_failed(Lane *l, size_t n) {
        bool person = l->answer.class == WEB_PERSON;
        usec_t delay =
                person ? lasting_delay(l) : backoff_next_at_least(&l->backoff, l->answer.retry_after, loop_random());

        l->not_before = l->answered + delay;
        lane_down(l, person ? TROUBLE_LASTING : TROUBLE_PASSING, delay);
        for (size_t i = 0; l->answer.class == WEB_UNKNOWN && i < n; i++)
                l->sender->picked[i]->entry->doubtful = l->sender->picked[i]->entry->doubtful ?: l->answered;
        if (lane_is_doubtful(l))
                return lane_move(l, LANE_IDLE);
        lane_end(l, n, ALERT_BACK);
}

/* The message or the target is at fault. If the message may have been accepted before, it stays sealed; and when it is
 * known to be at fault, it is tried only when nothing else is due, until the target knows its key no more. */
static void lane_suspect(Lane *l, size_t n) {
        AlertEntry *first = l->sender->picked[0]->entry;
        bool doubtful = lane_is_doubtful(l), alone = n == 1 || doubtful, guilty = alone && is_at_fault(l, first);
        usec_t delay = lasting_delay(l);

        l->not_before = l->answered + alert_target_pace(l->target);
        l->refused += alone && first->refused == 0;
        if (guilty && !doubtful) {
                lane_refused(l);
                return lane_end(l, n, ALERT_REFUSED);
        }
        for (size_t i = 0; i < n; i++) {
                AlertEntry *entry = l->sender->picked[i]->entry;

                entry->suspect = true;
                entry->refused = guilty ? ALERT_REFUSED_AGAIN : alone ? l->accepted + 1 : 0;
                entry->turn += doubtful; /* another one goes first */
        }
        if (l->refused >= REFUSED_MAX)
                l->not_before = l->answered + delay;
        l->held_until = l->answered + delay;
        if (!guilty && (l->refused >= REFUSED_MAX || pick_doubt(l, DOUBT_NONE).n + pick_doubt(l, DOUBT_ALONE).n == 0))
                lane_down(l, TROUBLE_LASTING, delay);
        if (doubtful)
                return lane_move(l, LANE_IDLE);
        lane_end(l, pick_sealed(l, l->key), ALERT_BACK);
}

/* Judges the answer. */
static void lane_judge(Lane *l) {
        size_t n = pick_sealed(l, l->key);

        if (n == 0)
                return; /* the last turn failed before it listed what is due */
        switch (l->answer.class) {
        case WEB_TAKEN:
                lane_taken(l, n);
                break;
        case WEB_REFUSED:
                lane_suspect(l, n);
                break;
        default:
                lane_failed(l, n);
        }
        l->sender->host.on_change(l->sender->host.userdata);
}

static void on_posted(void *userdata, const AlertAnswer *answer) {
        Lane *l = userdata;

        l->answer = *answer;
        l->answered = clock_now();
        lane_move(l, LANE_ANSWERED);
        l->sender->host.want(l->sender->host.userdata);
}

/* ---- a message ---- */

static void on_timer(void *userdata) {
        Lane *l = userdata;

        lane_move(l, LANE_DUE);
        l->sender->host.want(l->sender->host.userdata);
}

static void lane_seal(Lane *l, const AlertBook *book) {
        const AlertItem **picked = l->sender->picked;
        Pick pick = lane_pick(l);
        AlertMessage message;
        int r;

        if (pick.n == 0)
                return lane_move(l, LANE_IDLE);
        lane_move(l, LANE_SEALING);
        if (pick.sealed) { /* it has no answer; before a start, nobody knows since when */
                text_copy(l->key, sizeof(l->key), picked[0]->entry->seal);
                for (size_t i = 0; i < pick.n; i++)
                        picked[i]->entry->doubtful = picked[i]->entry->doubtful ?: book->moment.now;
                return;
        }
        message = lane_message(l, book, pick.n);
        r = alert_target_fit(l->target, &message);
        message.n = r < 0 ? 1 : (size_t) r;
        l->more = pick.n > message.n;
        alert_post_draw_key(l->key);
        for (size_t i = 0; i < message.n; i++)
                alert_entry_seal(picked[i], l->key, book->moment.wall);
}

/* Sends what is sealed under the lane's key. */
static void lane_send(Lane *l, const AlertBook *book) {
        const AlertMessage message = lane_message(l, book, pick_sealed(l, l->key));
        const AlertNotice *first = message.notices;
        const char *device = first->name ?: first->device ?: first->source;
        int size = snprintf(l->what, sizeof(l->what), "%s%s%s (%s)", first->rule, device ? ", " : "", device ?: "",
                alert_text_title(first->kind, ALERT_ENGLISH));

        l->what[text_cut(l->what, (size_t) size, sizeof(l->what) - 1)] = '\0';
        lane_move(l, LANE_SENDING);
        alert_post_send(l->post, &message, on_posted, l);
}

/* ---- turns ---- */

void alert_sender_note(AlertSender *sender, const AlertBook *book) {
        /* after a failed turn, or when the machine slept and a repeat is to wait for messages: the turn says what is
         * due */
        bool outdated = sender->lost || book->moment.hearing != sender->hearing;

        for (size_t i = 0; i < sender->keys->n_targets; i++) {
                Lane *l = &sender->lanes[i];

                if (l->state == LANE_ANSWERED)
                        lane_judge(l);
                else if (l->state == LANE_DUE && outdated)
                        lane_move(l, LANE_IDLE);
                else if (l->state == LANE_DUE)
                        lane_seal(l, book);
        }
}

/* The turn failed, so nothing is sent. When the store is back, perhaps after hours, what was to be sealed may be over,
 * or wait for messages: the first good turn says what is due. */
static void lane_lost(Lane *l) {
        size_t n = l->state == LANE_SEALING ? pick_sealed(l, l->key) : 0;

        for (size_t i = 0; i < n; i++)
                if (l->sender->picked[i]->entry->doubtful == 0) /* otherwise it was sent before */
                        alert_entry_unseal(l->sender->picked[i]->entry);
        if (l->state == LANE_SEALING)
                lane_move(l, LANE_IDLE);
}

/* Gives each lane its part of what is due. */
static void share_out(const AlertSender *s, const AlertBook *book) {
        for (size_t i = 0; i < s->keys->n_targets; i++)
                s->lanes[i].n_due = 0;
        for (size_t i = 0; i < book->n_due; i++) {
                Lane *l = &s->lanes[book->due[i].entry->to];

                l->due = l->n_due++ > 0 ? l->due : &book->due[i];
        }
}

/* Returns whether the status may have changed. */
static bool lane_noted(Lane *l, const AlertBook *book) {
        bool changed = l->state != LANE_IDLE || l->status.waiting != l->n_due;

        l->status.waiting = l->n_due;
        if (l->state == LANE_SEALING)
                lane_send(l, book);
        if (l->state == LANE_RECORDING)
                lane_move(l, LANE_IDLE);
        if (l->state == LANE_IDLE || l->state == LANE_WAITING)
                lane_schedule(l);
        return changed;
}

void alert_sender_noted(AlertSender *sender, const AlertBook *book, bool stored) {
        bool changed = sender->lost == stored;

        share_out(sender, book);
        sender->hearing = book->moment.hearing;
        sender->lost = !stored;
        for (size_t i = 0; i < sender->keys->n_targets; i++)
                if (stored)
                        changed |= lane_noted(&sender->lanes[i], book);
                else
                        lane_lost(&sender->lanes[i]);
        if (changed)
                sender->host.on_change(sender->host.userdata);
}

/* ---- the end ---- */

void alert_sender_drain(AlertSender *sender) {
        sender->draining = true;
        sender->host.want(sender->host.userdata);
}

/* While the store fails, nothing more is sent; the lane only waits for an answer and its record. */
static bool lane_is_drained(const Lane *l) {
        return l->sender->lost ? l->state < LANE_SENDING : l->state == LANE_IDLE;
}

bool alert_sender_is_drained(const AlertSender *sender) {
        for (size_t i = 0; sender->draining && i < sender->keys->n_targets; i++)
                if (!lane_is_drained(&sender->lanes[i]))
                        return false;
        return sender->draining;
}

const AlertTargetStatus *alert_sender_status(const AlertSender *sender, size_t target) {
        return target < sender->keys->n_targets ? &sender->lanes[target].status : NULL;
}

/* ---- life ---- */

static void lane_done(Lane *l) {
        l->post = alert_post_free(l->post);
        l->timer = loop_drop(l->timer);
}

AlertSender *alert_sender_free(AlertSender *sender) {
        if (!sender)
                return NULL;
        for (size_t i = 0; sender->lanes && i < sender->keys->n_targets; i++)
                lane_done(&sender->lanes[i]);
        free(sender->notices);
        free(sender->picked);
        free(sender->lanes);
        free(sender);
        return NULL;
}

static int lane_make(Lane *l, AlertSender *s, const AlertTarget *target, char problem[static SINK_DETAIL_MAX]) {
        const SubscriptionConfig *config = s->host.config;
        int r;

        l->sender = s;
        l->target = target;
        l->backoff = (Backoff){ .initial = config->backoff.initial, .max = config->backoff.max };
        l->status.name = target->name;
        l->status.service = alert_target_service(target);
        r = alert_post_new(&s->host.means, config->subscription, target, &l->post, problem);
        return r < 0 ? r : loop_add_timer(s->host.means.loop, LOOP_EXACT, on_timer, l, &l->timer);
}

int alert_sender_new(const AlertSenderHost *host, AlertSender **ret, char problem[static SINK_DETAIL_MAX]) {
        _cleanup_(alert_sender_freep) AlertSender *sender = calloc(1, sizeof(AlertSender));
        int r = 0;

        if (!sender)
                return -ENOMEM;
        sender->host = *host;
        sender->keys = host->config->keys;
        sender->lanes = calloc(sender->keys->n_targets + 1, sizeof(Lane));
        sender->picked = calloc(NOTICES_MAX, sizeof(*sender->picked));
        sender->notices = calloc(NOTICES_MAX, sizeof(*sender->notices));
        if (!sender->lanes || !sender->picked || !sender->notices)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < sender->keys->n_targets; i++)
                r = lane_make(&sender->lanes[i], sender, &sender->keys->targets[i], problem);
        if (r < 0)
                return r;
        *ret = cleanup_steal(sender);
        return 0;
}
