/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "events.h"
#include "lib/log.h"
#include "status.h"

#define PUBLISH_STALL_USEC (10 * USEC_PER_MINUTE) /* ten publish timeouts */
#define POLL_STALL_USEC (10 * USEC_PER_MINUTE)    /* beyond the time of the next poll */
#define HELD_STALL_USEC (5 * USEC_PER_MINUTE)     /* several times the worst write that the driver can make */
#define PULL_STALL_USEC (70 * USEC_PER_MINUTE)    /* the longest interval is 1 h, the longest pull 2 min */
#define WATCHES_MAX 1024 /* one for each of 100 sources, three for each of 32 subscriptions, one more */

/* What is watched, one of each kind for a source or a subscription. */
typedef enum WatchKind {
        WATCH_POLL,      /* polls are made when they are due */
        WATCH_PUBLISH,   /* the outbox gets shorter while nothing is in the way */
        WATCH_HELD,      /* what is held gets stored */
        WATCH_PULL,      /* pulls are answered */
        WATCH_RETENTION, /* unsettled messages are younger than the queue keeps them */
} WatchKind;

typedef struct Watch {
        WatchKind kind;
        char *name;
        uint64_t progress; /* as last seen */
        usec_t since;      /* clock_now() of the last progress, or of the last time that standing still was right */
        unsigned told;     /* how much has been said about it */
        bool seen;         /* in this round; those of stages that went are forgotten */
} Watch;

typedef enum OutboxLevel { OUTBOX_LEVEL_WELL, OUTBOX_LEVEL_HIGH, OUTBOX_LEVEL_FULL } OutboxLevel;

struct StatusWarnings {
        Watch *watches;
        size_t n, allocated;
        OutboxLevel outbox;
        usec_t born; /* clock_now() of the first look; 0: none yet */
};

int status_warnings_new(StatusWarnings **ret) {
        StatusWarnings *warnings = calloc(1, sizeof(StatusWarnings));

        if (!warnings)
                return -ENOMEM;

        *ret = warnings;
        return 0;
}

StatusWarnings *status_warnings_free(StatusWarnings *warnings) {
        if (!warnings)
                return NULL;

        for (size_t i = 0; i < warnings->n; i++)
                free(warnings->watches[i].name);
        free(warnings->watches);
        free(warnings);
        return NULL;
}

static Watch *watch_add(StatusWarnings *warnings, WatchKind kind, const char *name, usec_t now) {
        if (warnings->n == warnings->allocated) {
                size_t allocated = warnings->allocated > 0 ? 2 * warnings->allocated : 8;
                Watch *watches;

                if (allocated > WATCHES_MAX)
                        return NULL;
                watches = reallocarray(warnings->watches, allocated, sizeof(Watch));
                if (!watches)
                        return NULL;
                warnings->watches = watches;
                warnings->allocated = allocated;
        }

        warnings->watches[warnings->n] = (Watch){ .kind = kind, .name = strdup(name), .since = now };
        return warnings->watches[warnings->n].name ? &warnings->watches[warnings->n++] : NULL;
}

/* The watch of that name, a new one at the first time; NULL when memory is short: nothing is warned about then, and the
 * next look tries again. */
static Watch *watch_get(StatusWarnings *warnings, WatchKind kind, const char *name, usec_t now) {
        Watch *watch = NULL;

        for (size_t i = 0; !watch && i < warnings->n; i++)
                if (warnings->watches[i].kind == kind && strcmp(warnings->watches[i].name, name) == 0)
                        watch = &warnings->watches[i];

        if (!watch)
                watch = watch_add(warnings, kind, name, now);
        if (watch)
                watch->seen = true;
        return watch;
}

static void watches_forget_gone(StatusWarnings *warnings) {
        size_t kept = 0;

        for (size_t i = 0; i < warnings->n; i++) {
                if (!warnings->watches[i].seen) {
                        free(warnings->watches[i].name);
                        continue;
                }
                warnings->watches[kept] = warnings->watches[i];
                warnings->watches[kept++].seen = false;
        }
        warnings->n = kept;
}

/* Whether to say now, once, that something stands still: *expected*: it should move; *progress* changes whenever it
 * does. Measured by the clock that no time server steps. */
static bool watch_stalls(Watch *watch, bool expected, uint64_t progress, usec_t now, usec_t patience, usec_t *ret_for) {
        if (!watch)
                return false;

        if (!expected || progress != watch->progress) {
                watch->progress = progress;
                watch->since = now;
                watch->told = 0;
                return false;
        }
        if (watch->told > 0 || now - watch->since < patience)
                return false;

        watch->told = 1;
        *ret_for = now - watch->since;
        return true;
}

static const char *sink_name(const SinkStatus *sink) {
        return sink->what ? sink->what : "the sink";
}

/* ---- stalls ---- */

static void warn_sources(StatusWarnings *warnings, const StatusInput *input) {
        bool blocked = input->stopping || input->outbox_failing || status_outbox_is_full(input);
        char span[32];
        usec_t stalled;

        for (size_t i = 0; i < input->n_sources; i++) {
                const SourceStatus *source = &input->sources[i];
                bool due = source->next_poll > 0 && source->next_poll <= input->now;
                Watch *watch = watch_get(warnings, WATCH_POLL, source->name, input->now);

                if (watch_stalls(watch, due && !blocked && !source->failing && !source->holding,
                            source->polls + source->failures, input->now, POLL_STALL_USEC, &stalled))
                        log_event(LOG_WARNING, EVENT_STALLED, LOG_FIELDS({ FIELD_SOURCE, source->name }),
                                "Source %s should have been polled %s ago, and nothing is known to be in the way. "
                                "sensorqd keeps running; "
                                "if this "
                                "does not pass, restart it (nothing is lost by that) and report what came before in "
                                "the log.",
                                source->name, clock_format_span(stalled, span, sizeof(span)));
        }
}

static void warn_publisher(StatusWarnings *warnings, const StatusInput *input) {
        const PublisherStatus *publisher = &input->publisher;
        bool expected = input->outbox.rows > 0 && !publisher->failing && !publisher->paused && !input->token.failing &&
                        !input->outbox_failing && !input->stopping;
        char span[32], rows[24];
        usec_t stalled;

        if (!input->publishes ||
                !watch_stalls(watch_get(warnings, WATCH_PUBLISH, "", input->now), expected,
                        publisher->published + publisher->rejected, input->now, PUBLISH_STALL_USEC, &stalled))
                return;

        (void) snprintf(rows, sizeof(rows), "%" PRIu64, input->outbox.rows);
        log_event(LOG_WARNING, EVENT_STALLED, LOG_FIELDS({ FIELD_ROWS, rows }),
                "%s readings wait in the outbox, and none was published for %s though nothing is known to be in the "
                "way. They are safe on "
                "disk. "
                "If this does not pass, restart sensorqd and report what came before in the log.",
                rows, clock_format_span(stalled, span, sizeof(span)));
}

static void warn_held(StatusWarnings *warnings, const StatusInput *input, const SubscriberStatus *subscriber) {
        const SinkStatus *sink = &subscriber->sink;
        bool expected = subscriber->held > 0 && sink->ready && !subscriber->failing && !input->stopping;
        uint64_t progress = subscriber->acknowledged + sink->stored + sink->duplicates + sink->rejected + sink->failed;
        char span[32];
        usec_t stalled;

        if (watch_stalls(watch_get(warnings, WATCH_HELD, subscriber->subscription, input->now), expected, progress,
                    input->now, HELD_STALL_USEC, &stalled))
                log_event(LOG_WARNING, EVENT_STALLED, LOG_FIELDS({ FIELD_SUBSCRIPTION, subscriber->subscription }),
                        "%zu messages of %s are held, and none was stored for %s though %s answered last. They are not "
                        "acknowledged and "
                        "come back. "
                        "Look at %s's log; if this does not pass, restart sensorqd.",
                        subscriber->held, subscriber->subscription, clock_format_span(stalled, span, sizeof(span)),
                        sink_name(sink), sink_name(sink));
}

static void warn_pulls(StatusWarnings *warnings, const StatusInput *input, const SubscriberStatus *subscriber) {
        bool expected = subscriber->held == 0 && !subscriber->paused && !subscriber->failing && !input->token.failing &&
                        !input->stopping;
        char span[32];
        usec_t stalled;

        if (watch_stalls(watch_get(warnings, WATCH_PULL, subscriber->subscription, input->now), expected,
                    subscriber->pulls + subscriber->received, input->now, PULL_STALL_USEC, &stalled))
                log_event(LOG_WARNING, EVENT_STALLED, LOG_FIELDS({ FIELD_SUBSCRIPTION, subscriber->subscription }),
                        "No pull from %s came to an end for %s, and nothing is known to be in the way. Messages wait "
                        "in Pub/Sub. If this "
                        "does not "
                        "pass, restart sensorqd and report what came before in the log.",
                        subscriber->subscription, clock_format_span(stalled, span, sizeof(span)));
}

/* ---- retention ---- */

static usec_t age(usec_t wall, usec_t since) {
        return since > 0 && wall > since ? wall - since : 0;
}

/* How old the oldest message may be that is not stored: of those held, and of those that wait unseen since no pull
 * succeeds. The latter cannot be older than this process has been looking, whatever the wall clock did in between. */
static usec_t unsettled_age(const StatusInput *input, const SubscriberStatus *subscriber, usec_t watched) {
        usec_t unseen = 0, held = age(input->wall, subscriber->oldest_unsettled);

        if (subscriber->paused)
                unseen = age(input->wall, subscriber->paused_since);
        if (subscriber->failing && age(input->wall, subscriber->failing_since) > unseen)
                unseen = age(input->wall, subscriber->failing_since);
        if (unseen > watched)
                unseen = watched;
        return held > unseen ? held : unseen;
}

static void warn_retention(StatusWarnings *warnings, const StatusInput *input, const SubscriberStatus *subscriber) {
        Watch *watch = watch_get(warnings, WATCH_RETENTION, subscriber->subscription, input->now);
        usec_t oldest = unsettled_age(input, subscriber, input->now - warnings->born),
               retention = subscriber->retention;
        char old[32], kept[32], left[32];
        unsigned level;

        if (!watch || retention == 0)
                return;
        level = oldest >= retention / 10 * 9 ? 2 : oldest >= retention / 2 ? 1 : 0;
        if (level <= watch->told) {
                watch->told = level;
                return;
        }

        watch->told = level;
        log_event(level == 2 ? LOG_ERR : LOG_WARNING, EVENT_RETENTION_NEAR,
                LOG_FIELDS({ FIELD_SUBSCRIPTION, subscriber->subscription },
                        { FIELD_ERROR, subscriber->sink.ready ? subscriber->detail : subscriber->sink.detail }),
                "Messages of %s have been waiting for up to %s, and Pub/Sub drops them after %s. sensorqd keeps "
                "trying; get %s going "
                "within %s, or "
                "raise the subscription's message retention (31 days at most).",
                subscriber->subscription, clock_format_span(oldest, old, sizeof(old)),
                clock_format_span(retention, kept, sizeof(kept)),
                subscriber->sink.ready ? "the pulls" : sink_name(&subscriber->sink),
                clock_format_span(retention > oldest ? retention - oldest : 0, left, sizeof(left)));
}

/* ---- outbox ---- */

static OutboxLevel outbox_level(const StatusInput *input, OutboxLevel before) {
        const OutboxStatus *outbox = &input->outbox;

        if (status_outbox_is_full(input))
                return OUTBOX_LEVEL_FULL;
        if (status_outbox_is_high(input))
                return before == OUTBOX_LEVEL_FULL ? OUTBOX_LEVEL_FULL : OUTBOX_LEVEL_HIGH;

        /* A little below the mark, or an outbox that sways around it would fill the log. */
        if (outbox->rows + outbox->rejected_rows > outbox->max_rows / 10 * 7 ||
                outbox->bytes + outbox->rejected_bytes > outbox->max_bytes / 10 * 7)
                return before;
        return OUTBOX_LEVEL_WELL;
}

static void warn_outbox(StatusWarnings *warnings, const StatusInput *input) {
        const OutboxStatus *outbox = &input->outbox;
        OutboxLevel level = input->publishes ? outbox_level(input, warnings->outbox) : OUTBOX_LEVEL_WELL,
                    before = warnings->outbox;
        char rows[24], bytes[24];

        warnings->outbox = level;
        if (level == before || !input->publishes)
                return;

        (void) snprintf(rows, sizeof(rows), "%" PRIu64, outbox->rows + outbox->rejected_rows);
        (void) snprintf(bytes, sizeof(bytes), "%" PRIu64, outbox->bytes + outbox->rejected_bytes);
        if (level == OUTBOX_LEVEL_FULL)
                log_event(LOG_ERR, EVENT_OUTBOX_FULL, LOG_FIELDS({ FIELD_ROWS, rows }, { FIELD_BYTES, bytes }),
                        "The outbox is full: %s readings, %s bytes. Polling has stopped until there is room, so "
                        "readings of this time are "
                        "missing. What "
                        "is queued is safe. Mend publishing, or raise publish.outbox.max_rows and max_bytes and "
                        "reload.",
                        rows, bytes);
        else if (level == OUTBOX_LEVEL_HIGH)
                log_event(LOG_WARNING, EVENT_OUTBOX_HIGH, LOG_FIELDS({ FIELD_ROWS, rows }, { FIELD_BYTES, bytes }),
                        "The outbox is over four fifths full: %s readings, %s bytes. Polling goes on until it is full. "
                        "Mend publishing, or "
                        "raise "
                        "publish.outbox.max_rows and max_bytes and reload.",
                        rows, bytes);
        else
                log_event(LOG_NOTICE, EVENT_OUTBOX_DRAINED, LOG_FIELDS({ FIELD_ROWS, rows }, { FIELD_BYTES, bytes }),
                        "The outbox has room again: %s readings, %s bytes. Polling goes on.", rows, bytes);
}

void status_warn(StatusWarnings *warnings, const StatusInput *input) {
        if (warnings->born == 0)
                warnings->born = input->now;

        warn_outbox(warnings, input);
        warn_sources(warnings, input);
        warn_publisher(warnings, input);
        for (size_t i = 0; i < input->n_subscribers; i++) {
                warn_held(warnings, input, &input->subscribers[i]);
                warn_pulls(warnings, input, &input->subscribers[i]);
                warn_retention(warnings, input, &input->subscribers[i]);
        }
        watches_forget_gone(warnings);
}
