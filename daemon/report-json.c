/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the figures, and status.json, which is written from it. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/err.h"
#include "report.h"

/* ---- the table ---- */

#define MEMBER_SIZE(type, member) sizeof(((type *) 0)->member)
#define NAMED(kind, key, type, member, ...)                                                                            \
        { key, FIGURE_##kind, offsetof(type, member), MEMBER_SIZE(type, member), __VA_ARGS__ }
#define ONLY_WITH(member) .only = offsetof(Told, member), .only_size = MEMBER_SIZE(Told, member)
#define FIGURE(kind, type, member, ...) NAMED(kind, #member, type, member, __VA_ARGS__)
/* What a Failure tells of its reason. */
#define FAILURE(type, member)                                                                                          \
        NAMED(TEXT, "detail", type, member.detail), NAMED(KIND, "kind", type, member.cause),                           \
                NAMED(REMEDY, "remedy", type, member.cause)

static const Figure source_figures[] = {
        FIGURE(TEXT, SourceStatus, name, "source"),
        NAMED(FLAG, "failing", SourceStatus, failure.on, "sensorqd_source_failing", "The source gives no readings."),
        NAMED(TIME, "failing_since", SourceStatus, failure.since),
        FIGURE(FLAG, SourceStatus, speaks),
        FIGURE(TIME, SourceStatus, last_poll, "sensorqd_source_last_poll_timestamp_seconds",
                "Time of the last poll that succeeded."),
        FIGURE(TIME, SourceStatus, last_reading, "sensorqd_source_last_reading_timestamp_seconds",
                "Time at which a reading of the source was last stored in the outbox."),
        FIGURE(DUE, SourceStatus, next_poll),
        FIGURE(FLAG, SourceStatus, limited, "sensorqd_source_limited", "The next poll waits because of a rate limit."),
        FIGURE(FLAG, SourceStatus, clock_wrong, "sensorqd_source_clock_wrong",
                "This machine's clock differs from that of the remote."),
        FIGURE(COUNT, SourceStatus, polls, "sensorqd_source_polls_total", "Polls of the source."),
        FIGURE(COUNT, SourceStatus, readings, "sensorqd_source_readings_total",
                "Readings of the source that were stored in the outbox."),
        FIGURE(COUNT, SourceStatus, repeats),
        FIGURE(COUNT, SourceStatus, failures, "sensorqd_source_failures_total", "Polls or connections that failed."),
        FIGURE(COUNT, SourceStatus, left_out, "sensorqd_source_left_out_total",
                "Items that where or fields of the source exclude, or that have no value."),
        FIGURE(COUNT, SourceStatus, unreadable, "sensorqd_source_unreadable_total",
                "Inputs that could not become a reading."),
        FIGURE(COUNT, SourceStatus, dropped, "sensorqd_source_dropped_total",
                "Inputs that could not become a reading and were deleted, because only the newest are kept."),
        FIGURE(FLAG, SourceStatus, holding, "sensorqd_source_holding",
                "Readings of the source wait in memory for the disk."),
        FAILURE(SourceStatus, failure),
        {},
};

static const Figure outbox_figures[] = {
        NAMED(COUNT, "rows", Told, figures.outbox.rows, "sensorqd_outbox_readings",
                "Readings that wait in the outbox."),
        NAMED(COUNT, "bytes", Told, figures.outbox.bytes, "sensorqd_outbox_bytes",
                "Size of the readings that wait in the outbox."),
        NAMED(COUNT, "rejected_rows", Told, figures.outbox.rejected_rows, "sensorqd_outbox_rejected_readings",
                "Readings that Pub/Sub refused for good and that are kept in the outbox."),
        NAMED(COUNT, "rejected_bytes", Told, figures.outbox.rejected_bytes, "sensorqd_outbox_rejected_bytes",
                "Size of the readings that Pub/Sub refused for good."),
        NAMED(COUNT, "max_rows", Told, figures.outbox.max_rows, "sensorqd_outbox_max_readings",
                "Limit on the readings that wait or were refused."),
        NAMED(COUNT, "max_bytes", Told, figures.outbox.max_bytes, "sensorqd_outbox_max_bytes",
                "Limit on the size of the readings that wait or were refused."),
        NAMED(TIME, "oldest", Told, figures.outbox.oldest, "sensorqd_outbox_oldest_timestamp_seconds",
                "Time at which the oldest reading that waits was stored. Left out while none waits."),
        NAMED(FLAG, "full", Told, outbox_full, "sensorqd_outbox_full", "The outbox is full, and polling has stopped."),
        NAMED(FLAG, "failing", Told, figures.outbox.failure.on, "sensorqd_outbox_failing",
                "The outbox cannot be written or read."),
        NAMED(TIME, "failing_since", Told, figures.outbox.failure.since,
                "sensorqd_outbox_failing_since_timestamp_seconds",
                "Time since which the outbox cannot be written or read. Left out while it works."),
        FAILURE(Told, figures.outbox.failure),
        {},
};

static const Figure publisher_figures[] = {
        NAMED(FLAG, "failing", PublisherStatus, failure.on, "sensorqd_publish_failing", "Publishing fails."),
        NAMED(TIME, "failing_since", PublisherStatus, failure.since),
        FIGURE(FLAG, PublisherStatus, paused, "sensorqd_publish_paused",
                "Publishing is paused, because no subscription would keep the readings."),
        FIGURE(TIME, PublisherStatus, last_publish, "sensorqd_publish_last_timestamp_seconds",
                "Time at which Pub/Sub last accepted readings."),
        FIGURE(DUE, PublisherStatus, retry_at),
        FIGURE(COUNT, PublisherStatus, published, "sensorqd_published_total", "Readings that Pub/Sub accepted."),
        FIGURE(COUNT, PublisherStatus, rejected, "sensorqd_publish_rejected_total",
                "Readings that Pub/Sub refused for good."),
        FIGURE(COUNT, PublisherStatus, requests, "sensorqd_publish_requests_total", "Requests to publish."),
        FIGURE(COUNT, PublisherStatus, failures, "sensorqd_publish_failures_total", "Requests to publish that failed."),
        FAILURE(PublisherStatus, failure),
        {},
};

static const Figure token_figures[] = {
        NAMED(FLAG, "failing", TokenStatus, failure.on, "sensorqd_token_failing",
                "sensorqd has no access token of Google."),
        NAMED(TIME, "failing_since", TokenStatus, failure.since),
        FIGURE(DUE, TokenStatus, expires),
        FIGURE(DUE, TokenStatus, retry_at),
        FAILURE(TokenStatus, failure),
        {},
};

static const Figure sink_figures[] = {
        FIGURE(TEXT, SinkStatus, what, "sink"),
        FIGURE(FLAG, SinkStatus, ready, "sensorqd_sink_ready", "The sink accepts messages."),
        FIGURE(FLAG, SinkStatus, untried, "sensorqd_sink_untried",
                "The sink answers, but only a message can show whether it stores. It is neither ready nor down."),
        NAMED(TIME, "down_since", SinkStatus, failure.since),
        FIGURE(DUE, SinkStatus, retry_at),
        FIGURE(TIME, SinkStatus, last_stored, "sensorqd_sink_last_stored_timestamp_seconds",
                "Time at which the sink last stored a message."),
        FIGURE(COUNT, SinkStatus, stored, "sensorqd_sink_stored_total", "Messages that the sink stored."),
        FIGURE(COUNT, SinkStatus, duplicates, "sensorqd_sink_duplicates_total",
                "Messages that the sink had stored before."),
        FIGURE(COUNT, SinkStatus, rejected, "sensorqd_sink_rejected_total",
                "Messages that were set apart, because they can never be stored."),
        FIGURE(COUNT, SinkStatus, failed, "sensorqd_sink_failed_total",
                "Messages that could neither be stored nor set apart."),
        FIGURE(COUNT, SinkStatus, writes, "sensorqd_sink_writes_total", "Writes to the sink."),
        NAMED(TEXT, "detail", SinkStatus, failure.detail),
        NAMED(JSON, "alerts", SinkStatus, figures.json),
        NAMED(KIND, "kind", SinkStatus, failure.cause),
        NAMED(REMEDY, "remedy", SinkStatus, failure.cause),
        {},
};

static const Figure subscriber_figures[] = {
        FIGURE(TEXT, SubscriberStatus, subscription, "subscription"),
        NAMED(FLAG, "failing", SubscriberStatus, failure.on, "sensorqd_subscription_failing",
                "Pulls or acknowledgements fail."),
        NAMED(TIME, "failing_since", SubscriberStatus, failure.since,
                "sensorqd_subscription_failing_since_timestamp_seconds",
                "Time since which pulls or acknowledgements fail. Left out while they work."),
        FIGURE(FLAG, SubscriberStatus, missing, "sensorqd_subscription_missing", "The subscription is missing."),
        FIGURE(FLAG, SubscriberStatus, paused, "sensorqd_subscription_paused",
                "Nothing is pulled, because the sink is down."),
        FIGURE(TIME, SubscriberStatus, paused_since, "sensorqd_subscription_paused_since_timestamp_seconds",
                "Time since which the sink is down. Left out while it is up."),
        FIGURE(TIME, SubscriberStatus, last_pull, "sensorqd_subscription_last_pull_timestamp_seconds",
                "Time at which a pull was last answered."),
        FIGURE(TIME, SubscriberStatus, last_ack, "sensorqd_subscription_last_ack_timestamp_seconds",
                "Time at which messages were last acknowledged."),
        FIGURE(DUE, SubscriberStatus, retry_at),
        FIGURE(COUNT, SubscriberStatus, held, "sensorqd_subscription_held_messages",
                "Messages that are held: pulled and not stored yet."),
        FIGURE(COUNT, SubscriberStatus, aside, "sensorqd_subscription_aside_messages",
                "Held messages that were refused while others were stored."),
        FIGURE(COUNT, SubscriberStatus, unkept, "sensorqd_subscription_unkept_messages",
                "Held messages that can neither be stored nor set apart."),
        FIGURE(TIME, SubscriberStatus, unkept_since),
        FIGURE(TIME, SubscriberStatus, oldest_unsettled, "sensorqd_subscription_oldest_unsettled_timestamp_seconds",
                "Publish time of the oldest pulled message that is not stored yet. Left out while there is none."),
        NAMED(SPAN, "retention_sec", SubscriberStatus, retention, "sensorqd_subscription_retention_seconds",
                "How long Pub/Sub keeps a message of the subscription. Left out while it is unknown."),
        FIGURE(COUNT, SubscriberStatus, received, "sensorqd_subscription_received_total", "Messages that were pulled."),
        FIGURE(COUNT, SubscriberStatus, acknowledged, "sensorqd_subscription_acknowledged_total",
                "Messages that were acknowledged."),
        FIGURE(COUNT, SubscriberStatus, pulls, "sensorqd_subscription_pulls_total", "Pulls of the subscription."),
        FIGURE(COUNT, SubscriberStatus, empty_pulls, "sensorqd_subscription_empty_pulls_total",
                "Pulls that brought no message."),
        NAMED(TEXT, "detail", SubscriberStatus, failure.detail),
        { "sink", FIGURE_OBJECT, offsetof(SubscriberStatus, sink), .members = sink_figures },
        NAMED(KIND, "kind", SubscriberStatus, failure.cause),
        NAMED(REMEDY, "remedy", SubscriberStatus, failure.cause),
        {},
};

static const Figure reload_figures[] = {
        NAMED(TIME, "time", Told, figures.reload_refused, "sensorqd_reload_refused_timestamp_seconds",
                "Time at which the last reload was refused. Left out while the newest file is in use."),
        NAMED(TEXT, "error", Told, figures.reload_error),
        {},
};

static const Figure left_figures[] = {
        NAMED(COUNT, "rows", Told, figures.left.rows),
        NAMED(TEXT, "directory", Told, left_in),
        {},
};

static const Figure page_figures[] = {
        NAMED(TIME, "since", Told, figures.page.since),
        FAILURE(Told, figures.page),
        {},
};

/* For browsers only: the time that JavaScript calculates with, and what tells one daemon from another. */
static const Figure to_page_figures[] = {
        FIGURE(TEXT, Told, version),
        NAMED(COUNT, "time", Told, msec),
        NAMED(TEXT, "subscription", Told, figures.page_subscription),
        {},
};

const Figure report_figures[] = {
        FIGURE(TEXT, Told, version),
        NAMED(TEXT, "config", Told, figures.config),
        FIGURE(TEXT, Told, status),
        FIGURE(FLAG, Told, well, "sensorqd_well", "All is well, as /healthz says."),
        NAMED(TIME, "time", Told, figures.wall),
        NAMED(TIME, "started", Told, figures.started, "sensorqd_start_time_seconds",
                "Time at which the daemon was started."),
        NAMED(FLAG, "stopping", Told, figures.stopping, "sensorqd_stopping", "The daemon is stopping."),
        { "reload_refused", FIGURE_OBJECT, 0, .members = reload_figures, ONLY_WITH(figures.reload_refused) },
        { "page_failing", FIGURE_OBJECT, 0, .members = page_figures, ONLY_WITH(figures.page.on) },
        { "sources", FIGURE_ARRAY, offsetof(Told, figures.sources), sizeof(SourceStatus), .members = source_figures,
                .n = offsetof(Told, figures.n_sources) },
        { "outbox", FIGURE_OBJECT, 0, .members = outbox_figures, ONLY_WITH(figures.publishes) },
        { "outbox_left", FIGURE_OBJECT, 0, .members = left_figures, ONLY_WITH(figures.left.rows) },
        { "publisher", FIGURE_OBJECT, offsetof(Told, figures.publisher), .members = publisher_figures,
                ONLY_WITH(figures.publishes) },
        { "token", FIGURE_OBJECT, offsetof(Told, figures.token), .members = token_figures },
        { "subscriptions", FIGURE_ARRAY, offsetof(Told, figures.subscribers), sizeof(SubscriberStatus),
                .members = subscriber_figures, .n = offsetof(Told, figures.n_subscribers) },
        { "page", FIGURE_OBJECT, 0, .members = to_page_figures, ONLY_WITH(figures.page_subscription) },
        {},
};

/* ---- the writer ---- */

typedef struct Writer {
        const Told *told;
        Bytes *json;
} Writer;

static void write_text(Writer *w, const char *text) {
        bytes_append_text(w->json, text);
}

/* In a text that is not UTF-8, every byte beyond ASCII becomes a question mark. */
static void write_string(Writer *w, const char *text) {
        size_t size = text ? strlen(text) : 0;
        _cleanup_free_ char *copy = NULL;

        if (size > 0 && !bytes_is_utf8(text, size)) {
                copy = strdup(text);
                if (!copy)
                        return (void) bytes_fail(w->json, -ENOMEM);
                for (char *c = copy; *c; c++)
                        if ((unsigned char) *c >= 0x80)
                                *c = '?';
                text = copy;
        }
        bytes_append_json_string(w->json, text, size);
}

static void write_number(Writer *w, uint64_t number) {
        bytes_append_format(w->json, "%" PRIu64, number);
}

static void write_word(Writer *w, const char *word) {
        if (word)
                write_string(w, word);
        else
                write_text(w, "null");
}

static void write_time(Writer *w, usec_t wall) {
        char buffer[CLOCK_RFC3339_SIZE];

        if (wall > 0)
                write_string(w, clock_format_rfc3339(wall, buffer));
        else
                write_text(w, "null");
}

static void write_due(Writer *w, usec_t at) {
        const Figures *f = &w->told->figures;
        usec_t ahead = at > f->now ? at - f->now : 0;

        write_time(w, at == 0 || ahead > USEC_INFINITY / 2 ? 0 : f->wall + ahead);
}

static void write_value(Writer *w, const Figure *figure, const char *at);

static void write_object(Writer *w, const Figure *figures, const char *base) {
        char comma = '{';

        for (const Figure *f = figures; f->key; f++) {
                if (f->kind == FIGURE_JSON && !*(const char *const *) (base + f->offset))
                        continue;
                if (!report_is_told(w->told, f))
                        continue;
                bytes_append_format(w->json, "%c\"%s\":", comma, f->key);
                write_value(w, f, base + f->offset);
                comma = ',';
        }
        write_text(w, "}");
}

static void write_array(Writer *w, const Figure *figure, const char *items) {
        size_t n = report_length(w->told, figure);

        write_text(w, "[");
        for (size_t i = 0; i < n; i++) {
                write_text(w, i > 0 ? "," : "");
                write_object(w, figure->members, items + i * figure->size);
        }
        write_text(w, "]");
}

static void write_value(Writer *w, const Figure *figure, const char *at) {
        switch (figure->kind) {
        case FIGURE_TEXT:
                return write_string(w, *(const char *const *) at);
        case FIGURE_JSON:
                return write_text(w, *(const char *const *) at);
        case FIGURE_FLAG:
                return write_text(w, *(const bool *) at ? "true" : "false");
        case FIGURE_COUNT:
                return write_number(w, report_number(at, figure->size));
        case FIGURE_SPAN: /* 0 means not known */
                return *(const usec_t *) at == 0 ? write_text(w, "null")
                                                 : write_number(w, *(const usec_t *) at / USEC_PER_SEC);
        case FIGURE_TIME:
                return write_time(w, *(const usec_t *) at);
        case FIGURE_DUE:
                return write_due(w, *(const usec_t *) at);
        case FIGURE_KIND:
                return write_word(w, cause_kind(*(const Cause *) at));
        case FIGURE_REMEDY:
                return write_word(w, cause_remedy(*(const Cause *) at));
        case FIGURE_OBJECT:
                return write_object(w, figure->members, at);
        case FIGURE_ARRAY:
                return write_array(w, figure, *(const char *const *) at);
        }
}

Told report_tell(const Figures *figures) {
        return (Told){
                .version = SENSORQD_VERSION,
                .outbox_full = report_outbox_is_full(figures),
                .well = report_is_well(figures),
                .left_in = figures->left.directory,
                .msec = figures->wall / USEC_PER_MSEC,
                .figures = *figures,
        };
}

int report_format_json(const Figures *figures, Bytes *ret) {
        Told told = report_tell(figures);
        char line[REPORT_LINE_SIZE];
        Writer w = { .told = &told, .json = ret };

        told.status = report_format_line(figures, line);
        write_object(&w, report_figures, (const char *) &told);
        return bytes_append_text(ret, "\n");
}
