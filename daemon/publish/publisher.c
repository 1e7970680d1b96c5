/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/publisher.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bisect.h"
#include "events.h"
#include "lib/array.h"
#include "lib/backoff.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/text.h"
#include "trouble.h"

#define PUBLISHER_BACKOFF_MAX_USEC (60 * USEC_PER_SEC)
/* time between tries while only a user can solve the problem; up to twice as long */
#define PUBLISHER_SLOW_MIN_USEC (30 * USEC_PER_SEC)
#define PUBLISHER_BODY_FIRST (512 * 1024) /* first size, for an unknown line: 64 s at 64 kbit/s */
#define PUBLISHER_BODY_MIN (4 * 1024)     /* smallest size: 2 s at 2 kB/s */
#define PUBLISHER_BYTES_PER_SEC 1000      /* a slower line counts as not working */
#define ATTRIBUTES_MAX 100                /* the service's limit; there are at most 40 labels */

_Static_assert(PUBLISHER_BATCH_ROWS == BISECT_WINDOW_MAX, "both are the service's limit");

/* ---- states ---- */

typedef enum PublisherState {
        PUBLISHER_IDLE,    /* there is no row to send */
        PUBLISHER_SENDING, /* a request is running */
        PUBLISHER_WAITING, /* Pub/Sub failed: waits for the timer */
        PUBLISHER_BLOCKED, /* the disk failed: waits for the timer, or for the disk */
        PUBLISHER_RESTING, /* only suspects are left: waits for a new row or the timer */
        _PUBLISHER_STATE_MAX,
} PublisherState;

_asserted_ static const bool moves[_PUBLISHER_STATE_MAX][_PUBLISHER_STATE_MAX] = {
        [PUBLISHER_IDLE] = { [PUBLISHER_SENDING] = true, [PUBLISHER_BLOCKED] = true, [PUBLISHER_RESTING] = true },
        [PUBLISHER_SENDING] = { [PUBLISHER_IDLE] = true, [PUBLISHER_WAITING] = true, [PUBLISHER_BLOCKED] = true },
        [PUBLISHER_WAITING] = { [PUBLISHER_IDLE] = true },
        [PUBLISHER_BLOCKED] = { [PUBLISHER_IDLE] = true },
        [PUBLISHER_RESTING] = { [PUBLISHER_IDLE] = true },
};

/* Rows that Pub/Sub has but the disk does not delete. Other rows are still sent. After a kill these rows are published
 * again with the same keys, so their number is limited; at the limit nothing is sent. */
typedef struct PublisherSent {
        int64_t *ids;
        size_t n, allocated;
        usec_t forget_at; /* clock_now() of the next try */
} PublisherSent;

/* A request made of the oldest rows. All zeros: none. */
typedef struct PublisherRequest {
        Bytes body;   /* until it is sent */
        size_t size;  /* bytes of the body */
        int64_t *ids; /* ids of its rows, ascending; the first row's also if that is too large for any request */
        size_t n, allocated;
        char *first_key; /* key of the first row; NULL: there is no row */
        int error;       /* of the last row */
        usec_t sent_at;  /* clock_now() */
} PublisherRequest;

struct Publisher {
        PublisherSpec spec;
        PublisherState state;
        bool paused;
        ClientCall *call;
        PublisherRequest request; /* the request that was sent */
        PublisherSent sent;
        Bisect bisect;
        Pace pace; /* limits the bytes of a request */
        Backoff backoff, disk_backoff;
        LoopWatch *timer, *step;
        usec_t retry_at;

        Trouble trouble;       /* with Pub/Sub */
        Trouble pause_trouble; /* why it is paused, if that was logged; no answer to a running request ends it */
        Trouble disk_trouble;  /* with the outbox */
        usec_t last_publish;
        uint64_t published, rejected, requests;
        char refusal[CLIENT_DETAIL_MAX]; /* why the last suspect was refused */
};

static void publisher_move(Publisher *p, PublisherState state) {
        assert(moves[p->state][state]);
        p->state = state;
}

static OutboxStatus publisher_outbox(const Publisher *p) {
        OutboxStatus outbox;

        outbox_status(p->spec.outbox, &outbox);
        return outbox;
}

/* ---- the timer ---- */

static void publisher_arm(Publisher *p, usec_t delay) {
        p->retry_at = clock_now() + delay;
        loop_arm(p->timer, p->retry_at);
}

static void publisher_disarm(Publisher *p) {
        p->retry_at = 0;
        loop_off(p->timer);
}

static usec_t publisher_slow_delay(usec_t retry_after) {
        usec_t least = PUBLISHER_SLOW_MIN_USEC, delay = least + loop_random() % least;

        return usec_max(delay, retry_after);
}

/* ---- failures ---- */

static void publisher_log_failing(Publisher *p, int http_status, usec_t delay) {
        char span[CLOCK_SPAN_SIZE], status[16], retry[24], rows[24];

        (void) clock_format_span(delay, span, sizeof(span));
        (void) snprintf(status, sizeof(status), "%d", http_status);
        (void) snprintf(retry, sizeof(retry), "%" PRIu64, delay / USEC_PER_SEC);
        (void) snprintf(rows, sizeof(rows), "%" PRIu64, publisher_outbox(p).rows);
        log_event(trouble_level(&p->trouble), EVENT_PUBLISH_FAILING,
                LOG_FIELDS({ FIELD_TOPIC, p->spec.topic }, { FIELD_ERROR, p->trouble.detail },
                        { FIELD_STATUS, http_status > 0 ? status : NULL }, { FIELD_RETRY_SEC, retry },
                        { FIELD_ROWS, rows }),
                "Publishing to %s fails: %s. Polling continues; readings waiting in the outbox: %s. Next try in %s. "
                "Logged once until it works again.",
                p->spec.topic, p->trouble.detail, rows, span);
}

/* Notes the failure and waits; *reply* has its detail and status. */
static void publisher_wait(Publisher *p, TroubleGrade grade, const ClientReply *reply) {
        usec_t delay = grade == TROUBLE_PASSING ? backoff_next_at_least(&p->backoff, reply->retry_after, loop_random())
                                                : publisher_slow_delay(reply->retry_after);

        if (reply->no_token)
                trouble_note(&p->trouble, grade, reply->cause, reply->detail);
        else if (trouble_fail(&p->trouble, grade, reply->cause, delay, reply->detail))
                publisher_log_failing(p, reply->http_status, delay);
        publisher_arm(p, delay);
        p->spec.on_change(p->spec.userdata);
}

/* Notes a failure that the outbox has logged. Returns the time until the next try. */
static usec_t publisher_note_disk(Publisher *p, const char *what, int error) {
        usec_t delay = backoff_next(&p->disk_backoff, loop_random());
        char detail[128];

        (void) snprintf(detail, sizeof(detail), "the outbox cannot be %s: %s", what, strerror(-error));
        trouble_note(&p->disk_trouble, TROUBLE_LASTING, cause_of_disk(error), detail);
        return delay;
}

static void publisher_disk_failed(Publisher *p, const char *what, int error) {
        publisher_move(p, PUBLISHER_BLOCKED);
        publisher_arm(p, publisher_note_disk(p, what, error));
        p->spec.on_change(p->spec.userdata);
}

/* Ends the disk's trouble, unless published rows or a verdict still wait for it. */
static void publisher_mend_disk(Publisher *p) {
        char span[CLOCK_SPAN_SIZE];

        if (!trouble_is_on(&p->disk_trouble) || p->sent.n > 0 || p->bisect.put_off)
                return;
        (void) trouble_mend(&p->disk_trouble, span); /* the outbox logs this too */
        backoff_reset(&p->disk_backoff);
}

static void publisher_log_mended(const Publisher *p, const char *span) {
        if (!trouble_is_on(&p->trouble) && !trouble_is_on(&p->pause_trouble))
                log_event(LOG_NOTICE, EVENT_PUBLISH_RECOVERED, LOG_FIELDS({ FIELD_TOPIC, p->spec.topic }),
                        "Publishing to %s works again after %s.", p->spec.topic, span);
}

/* ---- the request: rows as a body ---- */

static void request_done(PublisherRequest *request) {
        bytes_done(&request->body);
        free(request->ids);
        free(request->first_key);
        *request = (PublisherRequest){};
}

#define KEY(text)                                                                                                      \
        { text, sizeof(text) - 1 }

/* Adds a row; its labels come after the attributes that every message has. */
static int request_add(Bytes *body, const OutboxRow *row, size_t max) {
        WireAttribute attributes[ATTRIBUTES_MAX] = {
                { KEY("idempotency_key"), row->key },
                { KEY("source"), row->source },
                { KEY("type"), row->type },
                { KEY("device"), row->device },
        };
        WireOutgoing message = { .data = row->payload, .attributes = attributes, .n_attributes = 4 };
        Slice labels = row->labels;

        while (message.n_attributes < ATTRIBUTES_MAX &&
                reading_labels_next(
                        &labels, &attributes[message.n_attributes].key, &attributes[message.n_attributes].value))
                message.n_attributes++;
        return wire_add_message(body, &message, max);
}

enum {
        REQUEST_MADE = 0,
        REQUEST_EMPTY = 1,     /* no rows */
        REQUEST_TOO_LARGE = 2, /* the first row alone exceeds the service's limit */
};

/* Takes as many rows as fit, but at least one if the service's limit allows it. */
static bool on_row(void *userdata, const OutboxRow *row) {
        Publisher *p = userdata;
        PublisherRequest *request = &p->request;

        if (!row) {
                request_done(request);
                return true;
        }
        if (!request->first_key)
                request->first_key = strndup(row->key.data, row->key.size);
        request->error = !request->first_key
                                 ? -ENOMEM
                                 : array_reserve(&request->ids, &request->allocated, request->n + 1, sizeof(int64_t));
        if (request->error < 0)
                return false;
        request->ids[request->n] = row->id;
        request->error = request_add(&request->body, row, request->n == 0 ? PUBLISHER_BODY_MAX : p->pace.limit);
        request->n += request->error == WIRE_ADDED;
        return request->error == WIRE_ADDED;
}

static int request_make(Publisher *p) {
        PublisherRequest *request = &p->request;
        int64_t after;
        size_t n;
        int r;

        assert(request->n == 0 && !request->first_key);
        bisect_next(&p->bisect, &after, &n);
        r = outbox_peek(p->spec.outbox, after, n, on_row, p);
        if (r == 0 && request->error < 0)
                r = request->error;
        if (r == 0 && request->n > 0)
                r = wire_end_publish(&request->body);
        if (r < 0) {
                request_done(request);
                return r;
        }
        request->size = request->body.size;
        return request->n > 0 ? REQUEST_MADE : request->first_key ? REQUEST_TOO_LARGE : REQUEST_EMPTY;
}

/* ---- answers ---- */

/* Deletes rows that Pub/Sub has, now or later when the disk works. A negative errno: they are still there. */
static int publisher_forget(Publisher *p) {
        usec_t now = clock_now();
        int r;

        if (p->sent.n == 0)
                return 0;
        if (now < p->sent.forget_at)
                return -EAGAIN;
        r = outbox_forget(p->spec.outbox, p->sent.ids, p->sent.n);
        if (r < 0) {
                p->sent.forget_at = now + publisher_note_disk(p, "written", r);
                return r;
        }
        free(p->sent.ids);
        p->sent = (PublisherSent){};
        bisect_forgotten(&p->bisect);
        publisher_mend_disk(p);
        return 0;
}

/* Nothing more is to be done for the request; *more*: rows may be left. */
static void publisher_settled(Publisher *p, bool more) {
        request_done(&p->request);
        publisher_move(p, PUBLISHER_IDLE);
        if (more)
                loop_wake(p->step);
        p->spec.on_change(p->spec.userdata);
}

/* Pub/Sub returned an id for every message. */
static void publisher_accepted(Publisher *p) {
        PublisherSent *sent = &p->sent;
        usec_t now = clock_now();
        char span[CLOCK_SPAN_SIZE];
        int r;

        pace_through(&p->pace, p->request.size, now - p->request.sent_at, now);
        p->published += p->request.n;
        p->last_publish = clock_wall();
        p->refusal[0] = '\0';
        if (trouble_mend_proven(&p->trouble, span))
                publisher_log_mended(p, span);
        backoff_reset(&p->backoff);
        publisher_disarm(p);
        r = array_reserve(&sent->ids, &sent->allocated, sent->n + p->request.n, sizeof(int64_t));
        if (r < 0) {
                request_done(&p->request);
                return publisher_disk_failed(p, "written", r);
        }
        memcpy(sent->ids + sent->n, p->request.ids, p->request.n * sizeof(int64_t));
        sent->n += p->request.n;
        bisect_accepted(&p->bisect, p->request.ids[p->request.n - 1]);
        r = publisher_forget(p);
        publisher_settled(p, r < 0 || p->bisect.after > 0 || !outbox_is_empty(p->spec.outbox));
}

/* If the disk cannot store the rejection, other rows go first. */
static void publisher_reject(Publisher *p, const char *word, const char *detail) {
        _cleanup_bytes_ Bytes reason = {};
        int r;

        r = bytes_append_format(&reason, "%s: %s", word, detail);
        if (r == 0)
                r = outbox_reject(p->spec.outbox, bisect_suspected(&p->bisect), reason.data);
        if (r < 0) {
                (void) publisher_note_disk(p, "written", r);
                return bisect_put_off(&p->bisect);
        }
        log_event(LOG_ERR, EVENT_READING_REJECTED,
                LOG_FIELDS({ FIELD_TOPIC, p->spec.topic }, { FIELD_KEY, p->request.first_key }, { FIELD_REASON, word },
                        { FIELD_ERROR, detail }),
                "Pub/Sub refuses reading %s while it accepts others (%s). It is kept in the outbox as rejected: see "
                "`sensorqd rejected`.",
                p->request.first_key, detail);
        p->rejected++;
        bisect_judged(&p->bisect);
        publisher_mend_disk(p);
}

static void publisher_failed(Publisher *p, TroubleGrade grade, const ClientReply *reply) {
        request_done(&p->request);
        publisher_move(p, PUBLISHER_WAITING);
        publisher_wait(p, grade, reply);
}

/* Pub/Sub answered 400 INVALID_ARGUMENT, or a single message is too large. */
static void publisher_refused(Publisher *p, const ClientReply *reply) {
        const char *word = reply->outcome == CLIENT_TOO_LARGE ? "too_large" : "invalid_argument";
        size_t n = p->request.n;

        switch (bisect_refused(&p->bisect, p->request.ids[n - 1], n, publisher_outbox(p).last_id)) {
        case BISECT_REJECT:
                publisher_reject(p, word, reply->detail);
                break;
        case BISECT_REST:
                return publisher_failed(p, TROUBLE_LASTING, reply);
        case BISECT_GO_ON:
                text_copy(p->refusal, sizeof(p->refusal), reply->detail);
                break;
        }
        publisher_settled(p, true);
}

/* Pub/Sub answered 413. */
static void publisher_too_large(Publisher *p, const ClientReply *reply) {
        bool news;

        if (p->request.n == 1 || p->request.size <= PUBLISHER_BODY_MIN)
                return publisher_refused(p, reply);
        news = pace_too_large(&p->pace, p->request.size, clock_now());
        if (news)
                log_event(LOG_WARNING, EVENT_CAP_HIT,
                        LOG_FIELDS({ FIELD_TOPIC, p->spec.topic }, { FIELD_ERROR, reply->detail }),
                        "Pub/Sub rejects a publish request to %s as too large (%s). Requests shrink until they are "
                        "accepted; a larger one is tried once an hour.",
                        p->spec.topic, reply->detail);
        publisher_settled(p, true);
}

/* True when a smaller request may succeed: this one timed out or was cut, or a proxy answered with its own page. */
static bool is_stuck(const ClientReply *reply) {
        return reply->outcome == CLIENT_UNSURE || reply->http_status == 408 || reply->http_status == 504 ||
               (reply->http_status >= 400 && reply->http_status != 413 && reply->error.status[0] == '\0');
}

/* If the ids do not match the messages, nothing is known of any: all are sent again with the same keys. */
static void publisher_answered(Publisher *p, ClientReply *reply) {
        size_t n = 0;

        if (wire_get_publish(reply->body.data ?: "", reply->body.size, &n) < 0 || n != p->request.n) {
                reply->cause = CAUSE_BETWEEN;
                reply->detail = "the answer does not have one message id per message; check that pubsub.endpoint is "
                                "Pub/Sub";
                return publisher_failed(p, TROUBLE_LASTING, reply);
        }
        publisher_accepted(p);
}

static void publisher_on_reply(void *userdata, ClientReply *reply) {
        Publisher *p = userdata;

        p->call = NULL;
        if (is_stuck(reply))
                pace_refused(&p->pace, p->request.size, clock_now());
        switch (reply->outcome) {
        case CLIENT_OK:
                return publisher_answered(p, reply);
        case CLIENT_RETRY:
        case CLIENT_UNSURE:
                return publisher_failed(p, TROUBLE_PASSING, reply);
        case CLIENT_INVALID:
                return publisher_refused(p, reply);
        case CLIENT_TOO_LARGE:
                if (reply->http_status > 0)
                        return publisher_too_large(p, reply);
                break; /* the answer was too large, not the request */
        case CLIENT_NOT_FOUND:
                p->spec.on_missing(p->spec.userdata);
                break;
        case CLIENT_REFUSED:
        case CLIENT_EXISTS:
        case CLIENT_FAILED:
                break;
        }
        publisher_failed(p, TROUBLE_LASTING, reply);
}

/* ---- looking for rows ---- */

static void publisher_send(Publisher *p) {
        ClientSpec spec = {
                .method = "POST",
                .resource = p->spec.topic,
                .verb = ":publish",
                .body = bytes_steal(&p->request.body),
                .stall = CLIENT_TIMEOUT_USEC,
                .timeout = CLIENT_TIMEOUT_USEC + p->request.size / PUBLISHER_BYTES_PER_SEC * USEC_PER_SEC,
                .max_reply = CLIENT_REPLY_MAX,
        };
        int r;

        publisher_move(p, PUBLISHER_SENDING);
        p->request.sent_at = clock_now();
        r = client_call(p->spec.client, &spec, publisher_on_reply, p, &p->call);
        if (r < 0) {
                bytes_done(&spec.body);
                return publisher_failed(
                        p, TROUBLE_PASSING, &(ClientReply){ .cause = CAUSE_MEMORY, .detail = strerror(-r) });
        }
        p->requests++;
        p->spec.on_change(p->spec.userdata);
}

/* Only suspects are left: either they or the topic may be at fault. */
static void publisher_rest(Publisher *p) {
        char detail[CLIENT_DETAIL_MAX], cut[401];

        publisher_move(p, PUBLISHER_RESTING);
        if (p->retry_at > 0)
                return;
        if (p->bisect.put_off) /* the disk is the problem, not the topic */
                publisher_arm(p, publisher_slow_delay(0));
        else {
                text_copy_words(cut, sizeof(cut),
                        p->refusal[0] ? p->refusal : "a reading is larger than a publish request may be");
                (void) snprintf(detail, sizeof(detail),
                        "%s; the reading at fault stays in the outbox until the topic has accepted another one after "
                        "it",
                        cut);
                publisher_wait(p, TROUBLE_LASTING, &(ClientReply){ .cause = CAUSE_INVALID, .detail = detail });
        }
}

enum { NEXT_DONE = 0, NEXT_AGAIN = 1, NEXT_FOUND = 2, NEXT_LATER = 3 };

/* No row is left to send. */
static int publisher_at_end(Publisher *p) {
        bool from_start = p->bisect.after != 0;

        if (!bisect_at_end(&p->bisect))
                return from_start ? NEXT_AGAIN : NEXT_DONE;
        publisher_rest(p);
        return NEXT_DONE;
}

/* Handles the suspect, which is sent alone; *made* is the result of making its request. */
static int publisher_judge(Publisher *p, int made) {
        if (made == REQUEST_EMPTY || p->request.ids[0] != bisect_suspected(&p->bisect))
                bisect_judged(&p->bisect); /* another process has removed it */
        else if (made == REQUEST_TOO_LARGE)
                publisher_reject(p, "too_large", "larger than a publish request may be");
        else
                return NEXT_FOUND;
        request_done(&p->request);
        return NEXT_AGAIN;
}

/* Takes the next rows and makes a request. */
static int publisher_next(Publisher *p) {
        int r;

        r = request_make(p);
        if (r < 0)
                return r;
        if (p->bisect.judging)
                return publisher_judge(p, r);
        if (r == REQUEST_EMPTY)
                return publisher_at_end(p);
        if (r == REQUEST_MADE)
                return NEXT_FOUND;
        bisect_suspect(&p->bisect, p->request.ids[0]);
        request_done(&p->request);
        return NEXT_AGAIN;
}

/* Deletes sent rows. True when that must be done before more are sent: else they would be sent again, or there are as
 * many as allowed. */
static bool publisher_waits_to_forget(Publisher *p) {
        bool from_start = p->bisect.after == 0 && !p->bisect.judging;
        usec_t now = clock_now();

        if (publisher_forget(p) == 0 || (!from_start && p->sent.n <= PUBLISHER_SENT_MAX - PUBLISHER_BATCH_ROWS))
                return false;
        publisher_move(p, PUBLISHER_BLOCKED);
        publisher_arm(p, p->sent.forget_at > now ? p->sent.forget_at - now : 0);
        p->spec.on_change(p->spec.userdata);
        return true;
}

/* Looks for rows and sends them. */
static void publisher_go(Publisher *p) {
        int r;

        do
                r = publisher_waits_to_forget(p) ? NEXT_LATER : publisher_next(p);
        while (r == NEXT_AGAIN);

        if (r < 0)
                return publisher_disk_failed(p, "read", r);
        publisher_mend_disk(p);
        if (r == NEXT_FOUND)
                publisher_send(p);
}

/* Runs at the next turn of the loop, so that readings put in this turn are sent together. */
static void publisher_step(void *userdata) {
        Publisher *p = userdata;

        if (p->state == PUBLISHER_RESTING)
                publisher_move(p, PUBLISHER_IDLE);
        if (p->state == PUBLISHER_IDLE && !p->paused)
                publisher_go(p);
        else if (p->state != PUBLISHER_SENDING && p->sent.n > 0 && publisher_forget(p) == 0)
                p->spec.on_change(p->spec.userdata);
}

static void publisher_on_timer(void *userdata) {
        Publisher *p = userdata;

        if (p->state == PUBLISHER_RESTING && !bisect_take_up(&p->bisect))
                bisect_restart(&p->bisect);
        publisher_disarm(p);
        if (p->state != PUBLISHER_IDLE && p->state != PUBLISHER_SENDING)
                publisher_move(p, PUBLISHER_IDLE);
        loop_wake(p->step);
}

/* ---- what others ask ---- */

void publisher_wake(Publisher *p) {
        if (!p->paused && (p->state == PUBLISHER_IDLE || p->state == PUBLISHER_RESTING))
                loop_wake(p->step);
}

void publisher_resume(Publisher *p) {
        if (!trouble_is_on(&p->disk_trouble))
                return;
        p->sent.forget_at = 0;
        if (p->state == PUBLISHER_BLOCKED || (p->state == PUBLISHER_RESTING && p->bisect.put_off))
                publisher_on_timer(p);
        else
                loop_wake(p->step);
}

/* Logs why it is paused, like a failure. */
static void publisher_log_pause(Publisher *p, const char *why) {
        if (trouble_fail(&p->pause_trouble, TROUBLE_LASTING, CAUSE_SETUP, 0, why))
                log_event(LOG_ERR, EVENT_PUBLISH_FAILING,
                        LOG_FIELDS({ FIELD_TOPIC, p->spec.topic }, { FIELD_ERROR, why }),
                        "Publishing to %s is paused: %s. Polling continues; readings wait in the outbox.",
                        p->spec.topic, why);
}

static void publisher_go_on(Publisher *p) {
        char span[CLOCK_SPAN_SIZE];

        if (!p->paused)
                return;
        p->paused = false;
        if (trouble_mend(&p->pause_trouble, span))
                publisher_log_mended(p, span);
        publisher_wake(p);
        p->spec.on_change(p->spec.userdata);
}

void publisher_pause(Publisher *p, const char *why) {
        bool say = why && why[0] != '\0';

        if (why == PUBLISHER_GO_ON)
                return publisher_go_on(p);
        if (p->paused && (!say || trouble_is_on(&p->pause_trouble)))
                return;
        p->paused = true;
        if (say)
                publisher_log_pause(p, why);
        if (client_withdraw(p->call)) {
                p->call = client_cancel(p->call);
                publisher_settled(p, true);
        }
        p->spec.on_change(p->spec.userdata);
}

static const Trouble *publisher_worst(const Publisher *p) {
        if (trouble_is_on(&p->disk_trouble))
                return &p->disk_trouble;
        return trouble_is_on(&p->pause_trouble) ? &p->pause_trouble : &p->trouble;
}

bool publisher_is_idle(const Publisher *p) {
        if (p->state == PUBLISHER_SENDING)
                return false;
        if (p->paused)
                return true;
        if (trouble_is_on(publisher_worst(p)))
                return !loop_is_armed(p->step); /* unless it is about to try again */
        return publisher_outbox(p).rows == 0;
}

void publisher_status(const Publisher *p, PublisherStatus *ret) {
        *ret = (PublisherStatus){
                .failure = trouble_failure(publisher_worst(p)),
                .paused = p->paused,
                .last_publish = p->last_publish,
                .retry_at = p->retry_at,
                .published = p->published,
                .rejected = p->rejected,
                .requests = p->requests,
                .failures = p->trouble.failures + p->pause_trouble.failures + p->disk_trouble.failures,
        };
}

/* ---- from birth to the end ---- */

int publisher_new(const PublisherSpec *spec, Publisher **ret) {
        _cleanup_(publisher_freep) Publisher *p = NULL;
        int r;

        p = calloc(1, sizeof(Publisher));
        if (!p)
                return -ENOMEM;
        p->spec = *spec;
        p->pace = (Pace){ .min = PUBLISHER_BODY_MIN, .max = PUBLISHER_BODY_MAX, .limit = PUBLISHER_BODY_FIRST };
        p->backoff = p->disk_backoff = (Backoff){ .initial = USEC_PER_SEC, .max = PUBLISHER_BACKOFF_MAX_USEC };
        bisect_restart(&p->bisect);

        r = loop_add_timer(spec->loop, LOOP_RELAXED, publisher_on_timer, p, &p->timer);
        if (r < 0)
                return r;
        r = loop_add_defer(spec->loop, publisher_step, p, &p->step);
        if (r < 0)
                return r;
        *ret = cleanup_steal(p);
        return 0;
}

Publisher *publisher_free(Publisher *p) {
        if (!p)
                return NULL;
        p->call = client_cancel(p->call);
        p->step = loop_drop(p->step);
        p->timer = loop_drop(p->timer);
        if (p->sent.n > 0) /* rows that stay are sent again with the same keys */
                (void) outbox_forget(p->spec.outbox, p->sent.ids, p->sent.n);
        free(p->sent.ids);
        request_done(&p->request);
        free(p);
        return NULL;
}
