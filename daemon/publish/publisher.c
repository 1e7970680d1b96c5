/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/publisher.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "lib/backoff.h"
#include "lib/crashpoint.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "publish/bisect.h"
#include "publish/publisher-request.h"
#include "publish/publisher-trouble.h"

#define PUBLISHER_BACKOFF_MAX_USEC (60 * USEC_PER_SEC)
/* between tries while only a user can mend it, plus up to as much again */
#define PUBLISHER_SLOW_MIN_USEC (30 * USEC_PER_SEC)
#define PUBLISHER_BYTES_PER_SEC 50000  /* a slow uplink: 7 MB take longer than the usual timeout */
#define PUBLISHER_BODY_MIN (64 * 1024) /* halving after "too large" stops here */

_Static_assert(PUBLISHER_BATCH_ROWS == BISECT_WINDOW_MAX, "both are the service's limit");

/* ---- states ---- */

typedef enum PublisherState {
        PUBLISHER_IDLE,    /* no row that could be sent */
        PUBLISHER_SENDING, /* a request is under way */
        PUBLISHER_WAITING, /* for the timer: something failed */
        PUBLISHER_RESTING, /* only rows set apart are left: for a new row, or the timer */
        _PUBLISHER_STATE_MAX,
} PublisherState;

_asserted_ static const unsigned publisher_moves[_PUBLISHER_STATE_MAX] = {
        [PUBLISHER_IDLE] = 1u << PUBLISHER_SENDING | 1u << PUBLISHER_WAITING | 1u << PUBLISHER_RESTING,
        [PUBLISHER_SENDING] = 1u << PUBLISHER_IDLE | 1u << PUBLISHER_WAITING,
        [PUBLISHER_WAITING] = 1u << PUBLISHER_IDLE,
        [PUBLISHER_RESTING] = 1u << PUBLISHER_IDLE,
};

struct Publisher {
        sd_event *event;
        Client *client;
        Outbox *outbox;
        const char *topic;
        void (*on_change)(void *userdata);
        void *userdata;

        PublisherState state;
        bool paused;
        ClientCall *call;
        PublisherRequest request; /* what was sent; kept while forgetting it fails on the disk */
        bool forgetting;          /* message ids came back for all of it, and it is still on the disk */
        Bisect bisect;
        size_t body_max; /* halved when the service or a proxy says too large */
        Backoff backoff;
        sd_event_source *timer, *step;
        usec_t retry_at;
        uint64_t rested_rows; /* in the outbox when it began to rest */

        Trouble trouble;
        usec_t last_publish;
        uint64_t published, rejected, requests;
        char refusal[CLIENT_DETAIL_MAX]; /* of the message that was set apart last */
};

static void publisher_move(Publisher *p, PublisherState state) {
        assert(publisher_moves[p->state] & 1u << state);
        p->state = state;
}

static void publisher_changed(Publisher *p) {
        if (p->on_change)
                p->on_change(p->userdata);
}

/* ---- the timer and the step ---- */

static void publisher_arm(Publisher *p, usec_t delay) {
        usec_t accuracy = delay / 10 < USEC_PER_SEC ? delay / 10 + 1 : USEC_PER_SEC;

        p->retry_at = clock_now() + delay;
        (void) sd_event_source_set_time(p->timer, p->retry_at);
        (void) sd_event_source_set_time_accuracy(p->timer, accuracy);
        (void) sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static void publisher_disarm(Publisher *p) {
        p->retry_at = 0;
        (void) sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
}

/* Looks for rows at the loop's next turn: several readings put in this one go together. */
static void publisher_step_soon(Publisher *p) {
        (void) sd_event_source_set_enabled(p->step, SD_EVENT_ONESHOT);
}

static bool publisher_steps_soon(const Publisher *p) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(p->step, &enabled);
        return enabled != SD_EVENT_OFF;
}

static usec_t publisher_slow_delay(usec_t retry_after) {
        usec_t least = backoff_limit(2 * PUBLISHER_SLOW_MIN_USEC) / 2, delay = least + loop_random() % least;
        return delay > retry_after ? delay : retry_after;
}

/* ---- failures ---- */

/* Notes the trouble and waits. */
static void publisher_fail(Publisher *p, TroubleKind kind, int http_status, const char *detail, usec_t delay) {
        OutboxStatus outbox;

        outbox_status(p->outbox, &outbox);
        trouble_begin(&p->trouble, p->topic, kind,
                &(TroubleDetail){ .http_status = http_status, .text = detail, .retry = delay, .rows = outbox.rows });
        publisher_arm(p, delay);
        publisher_changed(p);
}

static void publisher_disk_failed(Publisher *p, const char *what, int error) {
        char detail[128];

        (void) snprintf(detail, sizeof(detail), "the outbox cannot be %s: %s", what, strerror(-error));
        publisher_move(p, PUBLISHER_WAITING);
        publisher_fail(p, TROUBLE_DISK, 0, detail, backoff_next(&p->backoff, loop_random()));
}

/* ---- answers ---- */

/* Ids came back for all that was sent. It is forgotten now, or as soon as the disk allows: until then nothing else is
 * sent. */
static int publisher_forget(Publisher *p) {
        int r = outbox_forget(p->outbox, p->request.ids, p->request.n);

        if (r < 0)
                return r;
        CRASHPOINT("publish-forgotten");
        p->forgetting = false;
        p->refusal[0] = '\0';
        bisect_accepted(&p->bisect, p->request.ids[p->request.n - 1]);
        publisher_request_done(&p->request);
        backoff_reset(&p->backoff);
        publisher_disarm(p);
        trouble_end(&p->trouble, p->topic);
        return 0;
}

/* The request is settled; *r* says how writing that down went. */
static void publisher_answered(Publisher *p, int r) {
        if (r < 0) {
                publisher_disk_failed(p, "written", r);
                return;
        }
        publisher_move(p, PUBLISHER_IDLE);
        publisher_step_soon(p);
        publisher_changed(p);
}

static void publisher_accepted(Publisher *p) {
        p->published += p->request.n;
        p->last_publish = clock_wall();
        p->forgetting = true;
        publisher_answered(p, publisher_forget(p));
}

static int publisher_reject(Publisher *p, const char *word, const char *detail) {
        _cleanup_bytes_ Bytes reason = {};
        int r;

        r = bytes_append_format(&reason, "%s: %s", word, detail);
        if (r == 0)
                r = outbox_reject(p->outbox, p->bisect.apart[0].id, reason.data);
        if (r < 0)
                return r;
        log_event(LOG_ERR, EVENT_READING_REJECTED,
                LOG_FIELDS({ FIELD_TOPIC, p->topic }, { FIELD_KEY, p->request.first_key }, { FIELD_REASON, word },
                        { FIELD_ERROR, detail }),
                "Reading %s is refused by Pub/Sub while its neighbours are accepted (%s). It is kept in the outbox as "
                "rejected: see "
                "`sensorqd rejected`.",
                p->request.first_key, detail);
        p->rejected++;
        bisect_judged(&p->bisect);
        return 0;
}

/* 400 INVALID_ARGUMENT, or a single message that is too large. */
static void publisher_refused(Publisher *p, const ClientReply *reply) {
        size_t n = p->request.n;
        const char *word = reply->outcome == CLIENT_TOO_LARGE ? "too_large" : "invalid_argument";
        int r = 0;

        switch (bisect_refused(&p->bisect, p->request.ids[n - 1], n)) {
        case BISECT_REJECT:
                r = publisher_reject(p, word, reply->detail);
                break;
        case BISECT_REST:
                publisher_request_done(&p->request);
                publisher_move(p, PUBLISHER_WAITING);
                bisect_rested(&p->bisect);
                publisher_fail(p, TROUBLE_INVALID, reply->http_status, reply->detail,
                        publisher_slow_delay(reply->retry_after));
                return;
        case BISECT_GO_ON:
                (void) snprintf(p->refusal, sizeof(p->refusal), "%s", reply->detail);
                break;
        }
        publisher_request_done(&p->request);
        publisher_answered(p, r);
}

static void publisher_too_large(Publisher *p, const ClientReply *reply) {
        if (p->request.n == 1 || p->request.size / 2 < PUBLISHER_BODY_MIN) {
                publisher_refused(p, reply);
                return;
        }
        p->body_max = p->request.size / 2;
        publisher_request_done(&p->request);
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_TOPIC, p->topic }, { FIELD_ERROR, reply->detail }),
                "A publish request to %s is called too large (%s). From now on requests have at most %zu bytes.",
                p->topic, reply->detail, p->body_max);
        publisher_move(p, PUBLISHER_IDLE);
        publisher_step_soon(p);
}

static void publisher_failed(Publisher *p, TroubleKind trouble, const ClientReply *reply, const char *detail) {
        usec_t delay = trouble == TROUBLE_REMOTE ? backoff_next_at_least(&p->backoff, reply->retry_after, loop_random())
                                                 : publisher_slow_delay(reply->retry_after);

        publisher_request_done(&p->request);
        publisher_move(p, PUBLISHER_WAITING);
        publisher_fail(p, trouble, reply->http_status, detail, delay);
}

/* An answer whose ids do not match what was sent says nothing about any single message: all of it is sent again, under
 * the same keys. */
static bool reply_is_for(const ClientReply *reply, const PublisherRequest *request) {
        size_t n;

        return wire_get_publish(reply->body.data ?: "", reply->body.size, &n) >= 0 && n == request->n;
}

static void publisher_on_reply(void *userdata, ClientReply *reply) {
        Publisher *p = userdata;

        p->call = NULL;
        switch (reply->outcome) {
        case CLIENT_OK:
                if (!reply_is_for(reply, &p->request)) {
                        publisher_failed(p, TROUBLE_ANSWER, reply,
                                "the answer does not hold one message id for each message; check that pubsub.endpoint "
                                "is Pub/Sub");
                        return;
                }
                CRASHPOINT("publish-ids-received");
                publisher_accepted(p);
                return;
        case CLIENT_RETRY:
        case CLIENT_UNSURE:
                publisher_failed(p, TROUBLE_REMOTE, reply, reply->detail);
                return;
        case CLIENT_INVALID:
                publisher_refused(p, reply);
                return;
        case CLIENT_TOO_LARGE:
                if (reply->http_status > 0)
                        publisher_too_large(p, reply);
                else /* the answer was, which says nothing about the request */
                        publisher_failed(p, TROUBLE_ANSWER, reply, reply->detail);
                return;
        case CLIENT_REFUSED:
                publisher_failed(p, TROUBLE_REFUSED, reply, reply->detail);
                return;
        case CLIENT_NOT_FOUND:
                publisher_failed(p, TROUBLE_NOT_FOUND, reply, reply->detail);
                return;
        case CLIENT_EXISTS:
        case CLIENT_FAILED:
                publisher_failed(p, TROUBLE_ANSWER, reply, reply->detail);
                return;
        }
}

/* ---- requests ---- */

static void publisher_send(Publisher *p) {
        usec_t by_size = p->request.size / PUBLISHER_BYTES_PER_SEC * USEC_PER_SEC;
        ClientSpec spec = {
                .method = "POST",
                .resource = p->topic,
                .verb = ":publish",
                .body = bytes_steal(&p->request.body),
                .timeout = by_size > CLIENT_TIMEOUT_USEC ? by_size : CLIENT_TIMEOUT_USEC,
                .max_reply = CLIENT_REPLY_MAX,
        };
        int r;

        publisher_move(p, PUBLISHER_SENDING);
        r = client_call(p->client, &spec, publisher_on_reply, p, &p->call);
        if (r < 0) {
                bytes_done(&spec.body);
                publisher_failed(p, TROUBLE_REMOTE, &(ClientReply){}, strerror(-r));
                return;
        }
        CRASHPOINT("publish-sent");
        p->requests++;
}

/* The row that was set apart for its size is judged without being sent. 0: go on looking. */
static int publisher_judge_unsent(Publisher *p) {
        int r = publisher_reject(p, "too_large", "larger than a publish request may be");

        publisher_request_done(&p->request);
        return r;
}

/* Said when all that is left was set apart: it may be at fault, or the topic. */
static void publisher_rest(Publisher *p) {
        char detail[CLIENT_DETAIL_MAX];

        (void) snprintf(detail, sizeof(detail),
                "%.400s; the reading at fault stays until the topic has accepted another one after it",
                p->refusal[0] ? p->refusal : "a reading is larger than a request may be");
        publisher_fail(p, TROUBLE_INVALID, 0, detail, publisher_slow_delay(0));
}

/* No row is left to send. True: look again from the start. */
static bool publisher_at_end(Publisher *p) {
        bool from_start = p->bisect.after != 0;
        OutboxStatus outbox;

        if (!bisect_at_end(&p->bisect))
                return from_start;
        if (p->retry_at == 0)
                publisher_rest(p);
        publisher_move(p, PUBLISHER_RESTING);
        outbox_status(p->outbox, &outbox);
        p->rested_rows = outbox.rows;
        return false;
}

enum { LOOK_DONE = 0, LOOK_AGAIN = 1, LOOK_FOUND = 2 };

/* Takes the next rows and makes a request of them. */
static int publisher_look(Publisher *p) {
        int64_t after;
        size_t rows;
        int r;

        bisect_next(&p->bisect, &after, &rows);
        r = publisher_request_make(&p->request, p->outbox, after, rows, p->body_max);
        if (r < 0)
                return r;

        if (bisect_is_judging(&p->bisect)) {
                if (r == PUBLISHER_REQUEST_EMPTY || p->request.first_id != p->bisect.apart[0].id) {
                        publisher_request_done(&p->request);
                        bisect_judged(&p->bisect); /* it is gone: somebody else took it away */
                        return LOOK_AGAIN;
                }
                if (r == PUBLISHER_REQUEST_TOO_LARGE) {
                        r = publisher_judge_unsent(p);
                        return r < 0 ? r : LOOK_AGAIN;
                }
                return LOOK_FOUND;
        }
        if (r == PUBLISHER_REQUEST_EMPTY)
                return publisher_at_end(p) ? LOOK_AGAIN : LOOK_DONE;
        if (r == PUBLISHER_REQUEST_TOO_LARGE) {
                bisect_too_large(&p->bisect, p->request.first_id);
                publisher_request_done(&p->request);
                return LOOK_AGAIN;
        }
        return LOOK_FOUND;
}

static void publisher_go(Publisher *p) {
        int r;

        do
                r = publisher_look(p);
        while (r == LOOK_AGAIN);

        if (r < 0)
                publisher_disk_failed(p, "read", r);
        else if (r == LOOK_FOUND)
                publisher_send(p);
}

static int publisher_on_step(sd_event_source *source, void *userdata) {
        Publisher *p = userdata;

        if (p->state == PUBLISHER_SENDING || p->state == PUBLISHER_WAITING)
                return 0;
        if (p->state == PUBLISHER_RESTING)
                publisher_move(p, PUBLISHER_IDLE);
        if (p->forgetting) {
                int r = publisher_forget(p);
                if (r < 0) {
                        publisher_disk_failed(p, "written", r);
                        return 0;
                }
        }
        if (!p->paused)
                publisher_go(p);
        if (p->state != PUBLISHER_IDLE) /* else nothing was found, and who hears of it may wake us to look again */
                publisher_changed(p);
        return 0;
}

static int publisher_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Publisher *p = userdata;

        if (p->state == PUBLISHER_RESTING)
                bisect_restart(&p->bisect);
        publisher_disarm(p);
        if (p->state == PUBLISHER_WAITING || p->state == PUBLISHER_RESTING)
                publisher_move(p, PUBLISHER_IDLE);
        publisher_step_soon(p);
        return 0;
}

/* ---- from birth to the end ---- */

int publisher_new(sd_event *event, Client *client, Outbox *outbox, const char *topic, void (*on_change)(void *userdata),
        void *userdata, Publisher **ret) {
        _cleanup_(publisher_freep) Publisher *p = NULL;
        int r;

        p = calloc(1, sizeof(Publisher));
        if (!p)
                return -ENOMEM;
        p->event = event;
        p->client = client;
        p->outbox = outbox;
        p->topic = topic;
        p->on_change = on_change;
        p->userdata = userdata;
        p->body_max = PUBLISHER_BODY_MAX;
        p->backoff = (Backoff){ .initial = USEC_PER_SEC, .max = backoff_limit(PUBLISHER_BACKOFF_MAX_USEC) };
        bisect_restart(&p->bisect);

        r = sd_event_add_time(event, &p->timer, CLOCK_BOOTTIME, 0, 1, publisher_on_timer, p);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &p->step, publisher_on_step, p);
        if (r < 0)
                return r;
        *ret = cleanup_steal(p);
        return 0;
}

Publisher *publisher_free(Publisher *p) {
        if (!p)
                return NULL;
        p->call = client_cancel(p->call);
        p->step = sd_event_source_disable_unref(p->step);
        p->timer = sd_event_source_disable_unref(p->timer);
        if (p->forgetting)
                (void) publisher_forget(p); /* else they are sent again, under the same keys */
        publisher_request_done(&p->request);
        free(p);
        return NULL;
}

/* Whoever hears of a change may call this, also of one that a step made: a step without new rows would bring about the
 * next one, for ever.
 */
void publisher_wake(Publisher *p) {
        OutboxStatus outbox;

        if (p->paused || (p->state != PUBLISHER_IDLE && p->state != PUBLISHER_RESTING))
                return;
        outbox_status(p->outbox, &outbox);
        if (outbox.rows > (p->state == PUBLISHER_RESTING ? p->rested_rows : 0))
                publisher_step_soon(p);
}

void publisher_pause(Publisher *p, bool paused) {
        if (p->paused == paused)
                return;
        p->paused = paused;
        publisher_wake(p);
        publisher_changed(p);
}

bool publisher_is_idle(const Publisher *p) {
        OutboxStatus outbox;

        if (p->state == PUBLISHER_SENDING)
                return false;
        if (p->paused || p->trouble.kind != TROUBLE_NONE)
                return !publisher_steps_soon(p) || p->paused;
        outbox_status(p->outbox, &outbox);
        return outbox.rows == 0;
}

void publisher_status(const Publisher *p, PublisherStatus *ret) {
        *ret = (PublisherStatus){
                .failing = p->trouble.kind != TROUBLE_NONE,
                .failing_since = p->trouble.kind != TROUBLE_NONE ? p->trouble.since : 0,
                .paused = p->paused,
                .last_publish = p->last_publish,
                .retry_at = p->retry_at,
                .published = p->published,
                .rejected = p->rejected,
                .requests = p->requests,
                .failures = p->trouble.failures,
                .detail = p->trouble.kind != TROUBLE_NONE ? p->trouble.detail : "",
        };
}
