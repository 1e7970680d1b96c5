/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/source.h"

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

/* between tries while only a user can mend it; never less than the interval */
#define SOURCE_REFUSED_USEC (5 * USEC_PER_MINUTE)
#define SOURCE_LIMIT_MAX_USEC USEC_PER_HOUR       /* a remote that wants a longer pause is asked again anyway */
#define SOURCE_GATE_MAX_USEC (10 * USEC_PER_SEC)  /* between looks whether the outbox has room again */
#define SOURCE_STORE_MAX_USEC (30 * USEC_PER_SEC) /* between tries to store what the disk refused */
#define SOURCE_ROW_BYTES 1024                     /* room for a first batch: more than a device's reading takes */

static const SourceType *const source_types[] = {
        &source_type_nature_remo,
};

/* ---- the table of types ---- */

const SourceType *source_type_find(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(source_types); i++)
                if (strcmp(source_types[i]->name, name) == 0)
                        return source_types[i];
        return NULL;
}

const char *source_type_names(void) {
        return "nature_remo";
}

/* ---- states ---- */

typedef enum SourceState {
        SOURCE_WAITING,
        SOURCE_POLLING,
        SOURCE_HANDING, /* readings in memory, not yet on disk */
        _SOURCE_STATE_MAX,
} SourceState;

_asserted_ static const unsigned source_moves[_SOURCE_STATE_MAX] = {
        [SOURCE_WAITING] = 1u << SOURCE_POLLING,
        [SOURCE_POLLING] = 1u << SOURCE_WAITING | 1u << SOURCE_HANDING,
        [SOURCE_HANDING] = 1u << SOURCE_WAITING,
};

struct Source {
        SourceContext context;
        const SourceType *type;
        void *self; /* the type's */
        SourceCallbacks callbacks;
        bool manual; /* polls never by itself */
        SourceState state;
        sd_event_source *timer;
        usec_t timer_at; /* clock_now(); 0: off */
        usec_t slot;     /* the next poll by the interval alone: slots keep their distance however long a poll takes */
        Backoff gate;    /* while there is no room */
        Backoff store;   /* while the disk refuses */
        ReadingList readings; /* of SOURCE_HANDING */
        usec_t next_poll;     /* once they are stored */
        uint64_t largest_rows, largest_bytes;

        bool failing, clock_wrong;
        SourcePollOutcome outcome;          /* of the last failure */
        usec_t failing_since, failing_from; /* clock_wall(), clock_now() */
        usec_t last_poll;
        uint64_t polls, stored, failures;
        uint64_t failures_since; /* it began to fail */
        char detail[320];
};

static void source_move(Source *s, SourceState state) {
        assert(source_moves[s->state] & 1u << state);
        s->state = state;
}

static void source_changed(Source *s) {
        if (s->callbacks.on_change)
                s->callbacks.on_change(s->callbacks.userdata);
}

/* ---- when ---- */

usec_t source_next_slot(usec_t slot, usec_t interval, usec_t now) {
        if (slot > now)
                return slot;
        return slot + ((now - slot) / interval + 1) * interval;
}

usec_t source_next_poll(const SourcePoll *poll, usec_t slot, usec_t interval, usec_t now) {
        usec_t next = slot, not_before = poll->not_before, refused = backoff_limit(SOURCE_REFUSED_USEC);

        if (poll->outcome == SOURCE_REFUSED)
                next = now + (interval > refused ? interval : refused);
        if (poll->outcome == SOURCE_LIMITED && next < now + interval)
                next = now + interval;
        if (not_before > now + SOURCE_LIMIT_MAX_USEC)
                not_before = now + SOURCE_LIMIT_MAX_USEC;
        return next > not_before ? next : not_before;
}

static int source_on_timer(sd_event_source *event_source, uint64_t usec, void *userdata);

/* Fires at *at*, late by at most a tenth of the wait and a second: the kernel may then wake up once for several timers.
 */
static int source_arm(Source *s, usec_t at) {
        usec_t now = clock_now(), accuracy = at > now ? (at - now) / 10 : 0;
        int r;

        accuracy = accuracy < 1 ? 1 : accuracy > USEC_PER_SEC ? USEC_PER_SEC : accuracy;
        s->timer_at = at;
        if (!s->timer)
                return sd_event_add_time(s->context.event, &s->timer, CLOCK_BOOTTIME, at, accuracy, source_on_timer, s);
        r = sd_event_source_set_time(s->timer, at);
        if (r >= 0)
                r = sd_event_source_set_time_accuracy(s->timer, accuracy);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
        return r;
}

/* The timer exists from source_new() on, so that arming it cannot fail. */
static void source_rearm(Source *s, usec_t at) {
        int r = source_arm(s, at);
        assert(r >= 0);
        (void) r;
}

/* ---- what is said, once for each change ---- */

static void source_well(Source *s) {
        char span[64];

        if (!s->failing)
                return;
        (void) clock_format_span(clock_now() - s->failing_from, span, sizeof(span));
        log_event(LOG_NOTICE, EVENT_SOURCE_RECOVERED, LOG_FIELDS({ FIELD_SOURCE, s->context.config->name }),
                "Source %s answers again, after %s in which %" PRIu64
                " polls failed. What it measured meanwhile is not to be had.",
                s->context.config->name, span, s->failures_since);
        s->failing = false;
        s->detail[0] = '\0';
}

/* Counts a failure; logs the first one, and one more when from then on only a user can mend it. */
static void source_failed(Source *s, const SourcePoll *poll, usec_t wait) {
        bool tell = !s->failing || (poll->outcome == SOURCE_REFUSED && s->outcome != SOURCE_REFUSED);
        char span[64], status[16], retry[24];

        (void) snprintf(s->detail, sizeof(s->detail), "%s", poll->detail ?: "no detail");
        s->failures++;
        s->failures_since = s->failing ? s->failures_since + 1 : 1;
        if (!s->failing) {
                s->failing_since = clock_wall();
                s->failing_from = clock_now();
        }
        s->failing = true;
        s->outcome = poll->outcome;
        if (!tell)
                return;

        (void) snprintf(status, sizeof(status), "%d", poll->http_status);
        (void) snprintf(retry, sizeof(retry), "%" PRIu64, wait / USEC_PER_SEC);
        (void) clock_format_span(wait, span, sizeof(span));
        log_event(poll->outcome == SOURCE_REFUSED ? LOG_ERR : LOG_WARNING, EVENT_SOURCE_FAILING,
                LOG_FIELDS({ FIELD_SOURCE, s->context.config->name }, { FIELD_ERROR, s->detail },
                        { FIELD_STATUS, poll->http_status > 0 ? status : NULL },
                        { FIELD_RETRY_SEC, s->manual ? NULL : retry }),
                "Source %s gives no readings: %s. %s%s%s", s->context.config->name, s->detail,
                s->manual ? "" : "Next try in ", s->manual ? "It is not tried again in this run." : span,
                s->manual ? "" : "; this is said once until it answers again.");
}

static void source_tell_clock(Source *s, int64_t offset) {
        const LogField *fields = LOG_FIELDS({ FIELD_SOURCE, s->context.config->name });
        char span[64];

        if ((offset != 0) == s->clock_wrong)
                return;
        s->clock_wrong = offset != 0;
        if (!s->clock_wrong) {
                log_event(LOG_NOTICE, EVENT_CLOCK_RIGHT, fields,
                        "This machine's clock agrees with that of source %s again; request_at comes from it.",
                        s->context.config->name);
                return;
        }
        (void) clock_format_span((usec_t) (offset < 0 ? -offset : offset), span, sizeof(span));
        log_event(LOG_WARNING, EVENT_CLOCK_WRONG, fields,
                "This machine's clock is %s %s that of source %s. request_at comes from the source until it is right; "
                "look at the time "
                "service "
                "(timedatectl).",
                span, offset < 0 ? "ahead of" : "behind", s->context.config->name);
}

/* ---- the cycle ---- */

static void source_wait(Source *s, usec_t next) {
        s->next_poll = next;
        if (!s->manual)
                source_rearm(s, next);
}

/* Hands the readings over; while that fails they stay here, and nothing is polled. */
static void source_store(Source *s) {
        uint64_t rows = s->readings.n, bytes = reading_list_bytes(&s->readings);

        if (s->callbacks.on_readings(s->callbacks.userdata, s, &s->readings) != 0) {
                source_rearm(s, clock_now() + backoff_next(&s->store, loop_random()));
                source_changed(s);
                return;
        }
        s->stored += rows;
        s->largest_rows = rows > s->largest_rows ? rows : s->largest_rows;
        s->largest_bytes = bytes > s->largest_bytes ? bytes : s->largest_bytes;
        backoff_reset(&s->store);
        reading_list_done(&s->readings);
        source_move(s, SOURCE_WAITING);
        source_wait(s, source_next_slot(s->next_poll, s->context.config->interval, clock_now()));
        source_changed(s);
}

void source_polled(Source *s, SourcePoll *poll) {
        usec_t now = clock_now(), interval = s->context.config->interval, next;

        assert(s->state == SOURCE_POLLING);
        s->slot = source_next_slot(s->slot, interval, now);
        next = source_next_poll(poll, s->slot, interval, now);

        if (poll->outcome != SOURCE_POLLED) {
                reading_list_done(&poll->readings);
                source_failed(s, poll, next - now);
                source_move(s, SOURCE_WAITING);
                source_wait(s, next);
                source_changed(s);
                return;
        }

        CRASHPOINT("source-fetched");
        s->last_poll = clock_wall();
        source_tell_clock(s, poll->clock_offset);
        source_well(s);
        if (poll->readings.n == 0) {
                reading_list_done(&poll->readings);
                source_move(s, SOURCE_WAITING);
                source_wait(s, next);
                source_changed(s);
                return;
        }
        s->readings = reading_list_steal(&poll->readings);
        s->next_poll = next;
        source_move(s, SOURCE_HANDING);
        source_store(s);
}

static void source_poll(Source *s) {
        int r;

        s->timer_at = 0;
        s->polls++;
        source_move(s, SOURCE_POLLING);
        r = s->type->poll(s->self);
        if (r < 0)
                source_polled(s, &(SourcePoll){ .outcome = SOURCE_UNREACHABLE, .detail = strerror(-r) });
}

static int source_on_timer(sd_event_source *event_source, uint64_t usec, void *userdata) {
        Source *s = userdata;

        if (s->state == SOURCE_HANDING) {
                source_store(s);
                return 0;
        }
        assert(s->state == SOURCE_WAITING);
        if (!s->callbacks.may_poll(s->callbacks.userdata)) {
                s->next_poll = clock_now() + backoff_next(&s->gate, loop_random());
                source_rearm(s, s->next_poll);
                if (s->gate.attempt == 1)
                        source_changed(s);
                return 0;
        }
        backoff_reset(&s->gate);
        source_poll(s);
        return 0;
}

int source_poll_now(Source *s) {
        if (s->state != SOURCE_WAITING)
                return -EBUSY;
        if (!s->callbacks.may_poll(s->callbacks.userdata)) {
                source_failed(s,
                        &(SourcePoll){ .outcome = SOURCE_UNREACHABLE,
                                .detail = "the outbox has no room for what a poll would bring" },
                        s->context.config->interval);
                source_changed(s);
                return 0;
        }
        source_poll(s);
        return 0;
}

void source_retire(Source *s) {
        s->manual = true;
        if (s->state == SOURCE_WAITING)
                (void) sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
}

/* ---- from birth to the end ---- */

int source_new(sd_event *event, Http *http, const SourceConfig *config, const char *token, bool manual,
        const SourceCallbacks *callbacks, Source **ret) {
        _cleanup_(source_freep) Source *s = NULL;
        usec_t now = clock_now();
        int r;

        s = calloc(1, sizeof(Source));
        if (!s)
                return -ENOMEM;
        s->type = source_type_find(config->type);
        if (!s->type)
                return -ENOTSUP;
        s->context = (SourceContext){ config, token, http, event, s, callbacks->secrets };
        s->callbacks = *callbacks;
        s->manual = manual;
        s->gate = (Backoff){ .initial = USEC_PER_SEC, .max = SOURCE_GATE_MAX_USEC };
        s->store = (Backoff){ .initial = USEC_PER_SEC, .max = SOURCE_STORE_MAX_USEC };
        s->slot = now + config->interval -
                  loop_random() %
                          (config->interval / 10 + 1); /* sources that start together part from the second poll on */
        s->next_poll = now;

        r = source_arm(s, now);
        if (r >= 0 && manual)
                r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = s->type->open(&s->context, &s->self);
        if (r < 0)
                return r;
        *ret = cleanup_steal(s);
        return 0;
}

/* The last chance for readings that the disk refused: they are nowhere else. */
static void source_store_last(Source *s) {
        if (s->callbacks.on_readings(s->callbacks.userdata, s, &s->readings) == 0)
                return;
        log_event(LOG_ERR, EVENT_OUTBOX_FAILING, LOG_FIELDS({ FIELD_SOURCE, s->context.config->name }),
                "Source %s: %zu readings that the disk refused to the end are lost. Free space on the disk of "
                "state_dir, or mend it.",
                s->context.config->name, s->readings.n);
}

Source *source_free(Source *s) {
        if (!s)
                return NULL;
        if (s->self)
                s->self = s->type->close(s->self);
        s->timer = sd_event_source_disable_unref(s->timer);
        if (s->state == SOURCE_HANDING)
                source_store_last(s);
        reading_list_done(&s->readings);
        free(s);
        return NULL;
}

bool source_is_busy(const Source *s) {
        return s->state != SOURCE_WAITING;
}

void source_room(const Source *s, uint64_t *ret_rows, uint64_t *ret_bytes) {
        *ret_rows = s->largest_rows > 0 ? s->largest_rows : 1;
        *ret_bytes = s->largest_bytes > 0 ? s->largest_bytes : SOURCE_ROW_BYTES;
}

void source_status(const Source *s, SourceStatus *ret) {
        bool holding = s->state == SOURCE_HANDING;

        *ret = (SourceStatus){
                .name = s->context.config->name,
                .failing = s->failing,
                .failing_since = s->failing ? s->failing_since : 0,
                .last_poll = s->last_poll,
                .next_poll = s->state == SOURCE_WAITING && !s->manual ? s->next_poll : 0,
                .polls = s->polls,
                .readings = s->stored,
                .failures = s->failures,
                .detail = s->detail,
                .holding = holding,
                .gated = s->state == SOURCE_WAITING && s->gate.attempt > 0,
        };
        source_room(s, &ret->next_rows, &ret->next_bytes);
        if (holding) {
                ret->next_rows = s->readings.n;
                ret->next_bytes = reading_list_bytes(&s->readings);
        }
}
