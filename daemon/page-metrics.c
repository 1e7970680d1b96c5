/* SPDX-License-Identifier: Apache-2.0 */
#include "page-metrics.h"

#include <inttypes.h>
#include <string.h>

#include "lib/json.h"
#include "page-render.h"

typedef enum MetricKind {
        METRIC_FLAG,  /* a gauge of 0 or 1 */
        METRIC_GAUGE, /* a number that goes up and down */
        METRIC_COUNTER,
        METRIC_TIME, /* clock_wall(), written as seconds since 1970 */
        METRIC_SPAN, /* usec_t, written as seconds; left out while it is 0, which means not known */
} MetricKind;

/* A metric: its name, its help text, and the place of its number in the struct. */
typedef struct Metric {
        const char *name, *help;
        MetricKind kind;
        size_t offset, size;
} Metric;

#define METRIC(kind, type, member, name, help)                                                                         \
        { name, help, METRIC_##kind, offsetof(type, member), sizeof(((type *) 0)->member) }

static const Metric daemon_metrics[] = {
        METRIC(TIME, Figures, started, "sensorqd_start_time_seconds", "Time at which the daemon was started."),
        METRIC(FLAG, Figures, stopping, "sensorqd_stopping", "The daemon is stopping."),
        METRIC(TIME, Figures, reload_refused, "sensorqd_reload_refused_timestamp_seconds",
                "Time at which the last reload was refused. Left out while the newest file is in use."),
        METRIC(FLAG, Figures, token.failing, "sensorqd_token_failing", "sensorqd has no access token of Google."),
        {},
};

static const Metric publish_metrics[] = {
        METRIC(GAUGE, Figures, outbox.rows, "sensorqd_outbox_readings", "Readings that wait in the outbox."),
        METRIC(GAUGE, Figures, outbox.bytes, "sensorqd_outbox_bytes", "Size of the readings that wait in the outbox."),
        METRIC(GAUGE, Figures, outbox.max_rows, "sensorqd_outbox_max_readings",
                "Limit on the readings that wait or were refused."),
        METRIC(GAUGE, Figures, outbox.max_bytes, "sensorqd_outbox_max_bytes",
                "Limit on the size of the readings that wait or were refused."),
        METRIC(GAUGE, Figures, outbox.rejected_rows, "sensorqd_outbox_rejected_readings",
                "Readings that Pub/Sub refused for good and that are kept in the outbox."),
        METRIC(GAUGE, Figures, outbox.rejected_bytes, "sensorqd_outbox_rejected_bytes",
                "Size of the readings that Pub/Sub refused for good."),
        METRIC(TIME, Figures, outbox.oldest, "sensorqd_outbox_oldest_timestamp_seconds",
                "Time at which the oldest reading that waits was stored. Left out while none waits."),
        METRIC(FLAG, Figures, outbox_failing, "sensorqd_outbox_failing", "The outbox cannot be written or read."),
        METRIC(TIME, Figures, outbox.failing_since, "sensorqd_outbox_failing_since_timestamp_seconds",
                "Time since which the outbox cannot be written or read. Left out while it works."),
        METRIC(FLAG, Figures, publisher.failing, "sensorqd_publish_failing", "Publishing fails."),
        METRIC(FLAG, Figures, publisher.paused, "sensorqd_publish_paused",
                "Publishing is paused, because no subscription would keep the readings."),
        METRIC(TIME, Figures, publisher.last_publish, "sensorqd_publish_last_timestamp_seconds",
                "Time at which Pub/Sub last accepted readings."),
        METRIC(COUNTER, Figures, publisher.published, "sensorqd_published_total", "Readings that Pub/Sub accepted."),
        METRIC(COUNTER, Figures, publisher.rejected, "sensorqd_publish_rejected_total",
                "Readings that Pub/Sub refused for good."),
        METRIC(COUNTER, Figures, publisher.requests, "sensorqd_publish_requests_total", "Requests to publish."),
        METRIC(COUNTER, Figures, publisher.failures, "sensorqd_publish_failures_total",
                "Requests to publish that failed."),
        {},
};

static const Metric source_metrics[] = {
        METRIC(FLAG, SourceStatus, failing, "sensorqd_source_failing", "The source gives no readings."),
        METRIC(FLAG, SourceStatus, limited, "sensorqd_source_limited", "The next poll waits because of a rate limit."),
        METRIC(FLAG, SourceStatus, clock_wrong, "sensorqd_source_clock_wrong",
                "This machine's clock differs from that of the remote."),
        METRIC(FLAG, SourceStatus, holding, "sensorqd_source_holding",
                "Readings of the source wait in memory for the disk."),
        METRIC(TIME, SourceStatus, last_poll, "sensorqd_source_last_poll_timestamp_seconds",
                "Time of the last poll that succeeded."),
        METRIC(TIME, SourceStatus, last_reading, "sensorqd_source_last_reading_timestamp_seconds",
                "Time at which a reading of the source was last stored in the outbox."),
        METRIC(COUNTER, SourceStatus, polls, "sensorqd_source_polls_total", "Polls of the source."),
        METRIC(COUNTER, SourceStatus, readings, "sensorqd_source_readings_total",
                "Readings of the source that were stored in the outbox."),
        METRIC(COUNTER, SourceStatus, failures, "sensorqd_source_failures_total", "Polls or connections that failed."),
        METRIC(COUNTER, SourceStatus, left_out, "sensorqd_source_left_out_total",
                "Items that where or fields of the source exclude, or that have no value."),
        METRIC(COUNTER, SourceStatus, unreadable, "sensorqd_source_unreadable_total",
                "Inputs that could not become a reading."),
        METRIC(COUNTER, SourceStatus, dropped, "sensorqd_source_dropped_total",
                "Inputs that could not become a reading and were deleted, because only the newest are kept."),
        {},
};

static const Metric subscription_metrics[] = {
        METRIC(FLAG, SubscriberStatus, failing, "sensorqd_subscription_failing", "Pulls or acknowledgements fail."),
        METRIC(FLAG, SubscriberStatus, missing, "sensorqd_subscription_missing", "The subscription is missing."),
        METRIC(FLAG, SubscriberStatus, paused, "sensorqd_subscription_paused",
                "Nothing is pulled, because the sink is down."),
        METRIC(TIME, SubscriberStatus, failing_since, "sensorqd_subscription_failing_since_timestamp_seconds",
                "Time since which pulls or acknowledgements fail. Left out while they work."),
        METRIC(TIME, SubscriberStatus, paused_since, "sensorqd_subscription_paused_since_timestamp_seconds",
                "Time since which the sink is down. Left out while it is up."),
        METRIC(TIME, SubscriberStatus, last_pull, "sensorqd_subscription_last_pull_timestamp_seconds",
                "Time at which a pull was last answered."),
        METRIC(TIME, SubscriberStatus, last_ack, "sensorqd_subscription_last_ack_timestamp_seconds",
                "Time at which messages were last acknowledged."),
        METRIC(GAUGE, SubscriberStatus, held, "sensorqd_subscription_held_messages",
                "Messages that are held: pulled and not stored yet."),
        METRIC(GAUGE, SubscriberStatus, aside, "sensorqd_subscription_aside_messages",
                "Held messages that were refused while others were stored."),
        METRIC(GAUGE, SubscriberStatus, unkept, "sensorqd_subscription_unkept_messages",
                "Held messages that can neither be stored nor set apart."),
        METRIC(TIME, SubscriberStatus, oldest_unsettled, "sensorqd_subscription_oldest_unsettled_timestamp_seconds",
                "Publish time of the oldest pulled message that is not stored yet. Left out while there is none."),
        METRIC(SPAN, SubscriberStatus, retention, "sensorqd_subscription_retention_seconds",
                "How long Pub/Sub keeps a message of the subscription. Left out while it is unknown."),
        METRIC(COUNTER, SubscriberStatus, received, "sensorqd_subscription_received_total",
                "Messages that were pulled."),
        METRIC(COUNTER, SubscriberStatus, acknowledged, "sensorqd_subscription_acknowledged_total",
                "Messages that were acknowledged."),
        METRIC(COUNTER, SubscriberStatus, pulls, "sensorqd_subscription_pulls_total", "Pulls of the subscription."),
        METRIC(COUNTER, SubscriberStatus, empty_pulls, "sensorqd_subscription_empty_pulls_total",
                "Pulls that brought no message."),
        METRIC(FLAG, SubscriberStatus, sink.ready, "sensorqd_sink_ready", "The sink accepts messages."),
        METRIC(FLAG, SubscriberStatus, sink.untried, "sensorqd_sink_untried",
                "The sink answers, but only a message can show whether it stores. It is neither ready nor down."),
        METRIC(TIME, SubscriberStatus, sink.last_stored, "sensorqd_sink_last_stored_timestamp_seconds",
                "Time at which the sink last stored a message."),
        METRIC(COUNTER, SubscriberStatus, sink.stored, "sensorqd_sink_stored_total", "Messages that the sink stored."),
        METRIC(COUNTER, SubscriberStatus, sink.duplicates, "sensorqd_sink_duplicates_total",
                "Messages that the sink had stored before."),
        METRIC(COUNTER, SubscriberStatus, sink.rejected, "sensorqd_sink_rejected_total",
                "Messages that were set apart, because they can never be stored."),
        METRIC(COUNTER, SubscriberStatus, sink.failed, "sensorqd_sink_failed_total",
                "Messages that could neither be stored nor set apart."),
        METRIC(COUNTER, SubscriberStatus, sink.writes, "sensorqd_sink_writes_total", "Writes to the sink."),
        {},
};

/* ---- the format ---- */

/* A value that is not UTF-8 is written as empty: it would make the whole answer invalid. */
static void write_label(Bytes *text, const char *before, const char *name, const char *value) {
        const char *end = bytes_is_utf8(value, strlen(value)) ? value + strlen(value) : value;

        bytes_append_text(text, before);
        bytes_append_text(text, name);
        bytes_append_text(text, "=\"");
        for (const char *c = value; c < end; c++)
                if (*c == '\n')
                        bytes_append_text(text, "\\n");
                else if (*c == '"' || *c == '\\')
                        bytes_append_format(text, "\\%c", *c);
                else
                        bytes_append(text, c, 1);
        bytes_append_text(text, "\"");
}

static void write_head(Bytes *text, const char *name, const char *help, bool counter) {
        bytes_append_format(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, counter ? "counter" : "gauge");
}

static uint64_t number_of(const Metric *metric, const void *at) {
        switch (metric->size) {
        case sizeof(bool):
                return *(const bool *) at;
        case sizeof(uint32_t):
                return *(const uint32_t *) at;
        default:
                return *(const uint64_t *) at;
        }
}

static void write_number(Bytes *text, const Metric *metric, uint64_t number) {
        bool seconds = metric->kind == METRIC_TIME || metric->kind == METRIC_SPAN;

        if (seconds)
                bytes_append_format(text, " %" PRIu64 ".%03u\n", number / USEC_PER_SEC,
                        (unsigned) (number % USEC_PER_SEC / USEC_PER_MSEC));
        else
                bytes_append_format(text, " %" PRIu64 "\n", number);
}

/* ---- figures ---- */

/* Structs that have the same metrics, and the labels of each. */
typedef struct Items {
        const void *first;
        size_t n, size;
        void (*labels)(Bytes *text, const void *item); /* NULL: none */
} Items;

static void write_metric(Bytes *text, const Metric *metric, const Items *items) {
        write_head(text, metric->name, metric->help, metric->kind == METRIC_COUNTER);
        for (size_t i = 0; i < items->n; i++) {
                const char *item = (const char *) items->first + i * items->size;
                uint64_t number = number_of(metric, item + metric->offset);

                if ((metric->kind == METRIC_TIME || metric->kind == METRIC_SPAN) && number == 0)
                        continue;
                bytes_append_text(text, metric->name);
                if (items->labels)
                        items->labels(text, item);
                write_number(text, metric, number);
        }
}

static void write_metrics(Bytes *text, const Metric *metrics, const Items *items) {
        for (const Metric *metric = metrics; metric->name; metric++)
                write_metric(text, metric, items);
}

static void label_source(Bytes *text, const void *item) {
        const SourceStatus *source = item;

        write_label(text, "{", "source", source->name);
        bytes_append_text(text, "}");
}

static void label_subscription(Bytes *text, const void *item) {
        const SubscriberStatus *subscriber = item;

        write_label(text, "{", "subscription", subscriber->subscription);
        write_label(text, ",", "sink", subscriber->sink.what);
        bytes_append_text(text, "}");
}

int page_metrics_figures(const Figures *f, Bytes *text) {
        bool well = report_is_well(f), full = report_outbox_is_full(f);
        const Metric is_well = { "sensorqd_well", "All is well, as /healthz says.", METRIC_FLAG, 0, sizeof(well) };
        const Metric is_full = { "sensorqd_outbox_full", "The outbox is full, and polling has stopped.", METRIC_FLAG, 0,
                sizeof(full) };

        write_head(text, "sensorqd_build_info", "The version that is running.", false);
        bytes_append_text(text, "sensorqd_build_info{version=\"" SENSORQD_VERSION "\"} 1\n");
        write_metric(text, &is_well, &(Items){ &well, 1, sizeof(well), NULL });
        write_metrics(text, daemon_metrics, &(Items){ f, 1, sizeof(*f), NULL });
        if (f->publishes) {
                write_metric(text, &is_full, &(Items){ &full, 1, sizeof(full), NULL });
                write_metrics(text, publish_metrics, &(Items){ f, 1, sizeof(*f), NULL });
                write_metrics(
                        text, source_metrics, &(Items){ f->sources, f->n_sources, sizeof(SourceStatus), label_source });
        }
        write_metrics(text, subscription_metrics,
                &(Items){ f->subscribers, f->n_subscribers, sizeof(SubscriberStatus), label_subscription });
        return bytes_result(text);
}

/* ---- latest values ---- */

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Where somebody else publishes, the name of a label may be any text. A name that Prometheus does not accept would make
 * it refuse the whole answer. So such names are escaped in Prometheus' own way (its documentation, "Escaping schemes",
 * values). Names that look like escaped ones are escaped too, so that two names never become one. */
static int name_append(Bytes *name, const char *key) {
        if (key[strspn(key, NAME_LETTERS "_")] == '\0' && strncmp(key, "U__", 3) != 0)
                return bytes_append_text(name, key);
        bytes_append_text(name, "U__");
        for (const char *c = key; *c != '\0'; c++)
                if (*c == '_')
                        bytes_append_text(name, "__");
                else if (strchr(NAME_LETTERS, *c))
                        bytes_append(name, c, 1);
                else
                        bytes_append_format(name, "_%x_", (unsigned char) *c);
        return bytes_result(name);
}

static void add_label(void *userdata, const char *key, const char *value) {
        _cleanup_bytes_ Bytes name = {};
        Bytes *text = userdata;

        if (bytes_fail(text, name_append(&name, key)) == 0)
                write_label(text, ",label_", name.data, value);
}

static void label_series(Bytes *text, const PageSeries *series) {
        _cleanup_(json_freep) Json *labels = NULL;

        write_label(text, "{", "source", series->key.source);
        write_label(text, ",", "device", series->key.device);
        write_label(text, ",", "field", series->key.field);
        if (json_parse(series->key.labels, strlen(series->key.labels), &labels) == 0)
                json_each_string(labels, add_label, text);
        bytes_append_text(text, "}");
}

static void write_value(Bytes *text, const PageSeries *series, int64_t now) {
        if (now - series->last > PAGE_METRICS_FRESH_MSEC || page_series_is_off(series, now))
                return;
        bytes_append_text(text, "sensorqd_reading_value");
        label_series(text, series);
        bytes_append_format(text, " %.15g\n", series->value); /* as many digits as a double always keeps */
}

static void write_time(Bytes *text, const char *name, const PageSeries *series, int64_t time) {
        bytes_append_text(text, name);
        label_series(text, series);
        bytes_append_format(text, " %" PRId64 ".%03d\n", time / 1000, (int) (time % 1000));
}

static void write_moment(Bytes *text, const PageSeries *series, int64_t now) {
        write_time(text, "sensorqd_reading_timestamp_seconds", series, series->last);
}

static void write_change(Bytes *text, const PageSeries *series, int64_t now) {
        if (series->signs.changed > 0)
                write_time(text, "sensorqd_reading_changed_timestamp_seconds", series, series->signs.changed);
}

/* The name of a device may change, and a label that changes would begin another series. So the name is a metric of its
 * own. */
static void write_name(Bytes *text, const PageSeries *series, int64_t now) {
        bytes_append_text(text, "sensorqd_reading_info");
        label_series(text, series);
        text->size -= bytes_result(text) == 0;
        write_label(text, ",", "name", series->name);
        bytes_append_text(text, "} 1\n");
}

static void write_each(Bytes *text, const PageSeriesTable *table, const ConfigMap *names,
        void (*each)(Bytes *text, const PageSeries *series, int64_t now), int64_t now) {
        const PageSeries *series;

        for (size_t i = 0; (series = page_series_at(table, i)); i++)
                if (!page_render_is_hidden(names, series->key.field))
                        each(text, series, now);
}

int page_metrics_latest(const PageSeriesTable *table, const ConfigMap *names, int64_t now, Bytes *text) {
        write_head(text, "sensorqd_reading_value",
                "The latest value that was stored. Left out when it is older than 15 minutes or its device is offline.",
                false);
        write_each(text, table, names, write_value, now);
        write_head(text, "sensorqd_reading_timestamp_seconds", "Time of the latest value that was stored.", false);
        write_each(text, table, names, write_moment, now);
        write_head(text, "sensorqd_reading_changed_timestamp_seconds",
                "Time at which the value last changed, if the device tells it.", false);
        write_each(text, table, names, write_change, now);
        write_head(text, "sensorqd_reading_info", "The name of the device. Always 1.", false);
        write_each(text, table, names, write_name, now);
        return bytes_result(text);
}
