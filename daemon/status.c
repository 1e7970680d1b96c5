/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "status.h"

#define LINE_MAX_SIZE 500
#define NAME_SHOWN_MAX 40 /* characters of a source's or subscription's name */
#define NAMED_MAX 2       /* sources and subscriptions told by name; the rest is counted */
#define TIME_SIZE 32
#define NAME_SIZE (NAME_SHOWN_MAX + 4)

/* 12:00:04 of today, else with the day. */
static const char *local_time(usec_t wall, usec_t today, char buffer[static TIME_SIZE]) {
        time_t seconds = (time_t) (wall / USEC_PER_SEC), now = (time_t) (today / USEC_PER_SEC);
        struct tm tm, tm_now;

        if (!localtime_r(&seconds, &tm) || !localtime_r(&now, &tm_now))
                return "?";

        (void) strftime(buffer, TIME_SIZE,
                tm.tm_year == tm_now.tm_year && tm.tm_yday == tm_now.tm_yday ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &tm);
        return buffer;
}

static const char *name_cut(const char *name, char buffer[static NAME_SIZE]) {
        (void) snprintf(buffer, NAME_SIZE, strlen(name) > NAME_SHOWN_MAX ? "%.*s..." : "%.*s", NAME_SHOWN_MAX, name);
        return buffer;
}

/* Begins the next piece of the sentence. */
static int line_comma(Bytes *line) {
        return line->size > 0 ? bytes_append_text(line, ", ") : 0;
}

/* " since 12:03:00", " (next try 12:03:40)": both are left out when unknown. */
static int line_since(Bytes *line, const StatusInput *input, usec_t since, usec_t retry_at) {
        char buffer[TIME_SIZE];
        int r = 0;

        if (since > 0)
                r = bytes_append_format(line, " since %s", local_time(since, input->wall, buffer));
        if (r >= 0 && retry_at > input->now)
                r = bytes_append_format(
                        line, " (next try %s)", local_time(input->wall + (retry_at - input->now), input->wall, buffer));
        return r;
}

static int line_more(Bytes *line, size_t n, const char *what) {
        return n > 0 ? bytes_append_format(line, ", %zu more %s", n, what) : 0;
}

/* ---- sources ---- */

static int line_failing_sources(Bytes *line, const StatusInput *input, size_t *ret_failing) {
        size_t failing = 0;
        int r;

        for (size_t i = 0; i < input->n_sources; i++) {
                const SourceStatus *source = &input->sources[i];
                char name[NAME_SIZE];

                if (!source->failing || failing++ >= NAMED_MAX)
                        continue;
                r = line_comma(line);
                if (r >= 0)
                        r = bytes_append_format(line, "%s failing", name_cut(source->name, name));
                if (r >= 0)
                        r = line_since(line, input, source->failing_since, 0);
                if (r < 0)
                        return r;
        }

        *ret_failing = failing;
        return failing > NAMED_MAX ? line_more(line, failing - NAMED_MAX, "sources failing") : 0;
}

static int line_well_sources(Bytes *line, const StatusInput *input, size_t failing) {
        char name[NAME_SIZE], buffer[TIME_SIZE];
        const SourceStatus *only = NULL;
        size_t well = input->n_sources - failing;
        usec_t last = 0;
        int r;

        if (well == 0)
                return 0;
        for (size_t i = 0; i < input->n_sources; i++)
                if (!input->sources[i].failing) {
                        only = &input->sources[i];
                        last = only->last_poll > last ? only->last_poll : last;
                }

        r = line_comma(line);
        if (r < 0)
                return r;
        if (well == 1)
                (void) name_cut(only->name, name);
        else
                (void) snprintf(name, sizeof(name), "%zu sources", well);
        if (last == 0)
                return bytes_append_format(line, "%s not polled yet", name);
        return bytes_append_format(line, well == 1 ? "%s polled %s" : "%s well, last poll %s", name,
                local_time(last, input->wall, buffer));
}

static int line_sources(Bytes *line, const StatusInput *input) {
        size_t failing;
        int r;

        r = line_failing_sources(line, input, &failing);
        return r < 0 ? r : line_well_sources(line, input, failing);
}

/* ---- outbox, publisher, token ---- */

static int line_outbox(Bytes *line, const StatusInput *input) {
        const OutboxStatus *outbox = &input->outbox;
        int r;

        r = line_comma(line);
        if (r >= 0)
                r = bytes_append_format(
                        line, "%" PRIu64 " reading%s queued", outbox->rows, outbox->rows == 1 ? "" : "s");
        if (r >= 0 && outbox->rejected_rows > 0)
                r = bytes_append_format(line, ", %" PRIu64 " rejected", outbox->rejected_rows);
        if (r >= 0 && status_outbox_is_full(input))
                r = bytes_append_text(line, ", outbox full, polling stopped");
        if (r >= 0 && input->outbox_failing)
                r = bytes_append_text(line, ", disk refuses the outbox, polling stopped");
        return r;
}

static int line_publisher(Bytes *line, const StatusInput *input) {
        const PublisherStatus *publisher = &input->publisher;
        int r;

        if (publisher->failing) {
                r = bytes_append_text(line, ", publishing failing");
                return r < 0 ? r : line_since(line, input, publisher->failing_since, publisher->retry_at);
        }
        if (publisher->paused)
                return bytes_append_text(line, ", publishing paused until each subscription is known to exist");
        return 0;
}

static int line_token(Bytes *line, const StatusInput *input) {
        int r;

        if (!input->token.failing)
                return 0;
        r = line_comma(line);
        if (r >= 0)
                r = bytes_append_text(
                        line, input->token.expires > input->now ? "access token cannot be renewed" : "no access token");
        return r < 0 ? r : line_since(line, input, input->token.failing_since, input->token.retry_at);
}

/* ---- subscriptions ---- */

static bool subscriber_is_well(const SubscriberStatus *subscriber) {
        return subscriber->sink.ready && !subscriber->failing && !subscriber->missing;
}

/* The id without its project, and only where there are several. */
static int line_subscription_name(Bytes *line, const StatusInput *input, const SubscriberStatus *subscriber) {
        const char *slash = strrchr(subscriber->subscription, '/');
        char name[NAME_SIZE];

        if (input->n_subscribers < 2)
                return 0;
        return bytes_append_format(line, "%s: ", name_cut(slash ? slash + 1 : subscriber->subscription, name));
}

static int line_sink_down(Bytes *line, const StatusInput *input, const SinkStatus *sink) {
        const char *what = sink->what ? sink->what : "sink";
        int r;

        r = sink->down_since > 0 ? bytes_append_format(line, "%s down", what)
                                 : bytes_append_format(line, "%s not reached yet", what);
        if (r >= 0)
                r = line_since(line, input, sink->down_since, sink->retry_at);
        return r < 0 ? r : bytes_append_text(line, ", pulls paused");
}

static int line_trouble(Bytes *line, const StatusInput *input, const SubscriberStatus *subscriber) {
        bool down = !subscriber->sink.ready;
        int r;

        r = line_comma(line);
        if (r >= 0)
                r = line_subscription_name(line, input, subscriber);
        if (r >= 0 && down)
                r = line_sink_down(line, input, &subscriber->sink);
        if (r >= 0 && (subscriber->failing || subscriber->missing)) {
                r = bytes_append_format(
                        line, "%ssubscription %s", down ? ", " : "", subscriber->missing ? "missing" : "failing");
                if (r >= 0)
                        r = line_since(line, input, subscriber->failing_since, subscriber->retry_at);
        }
        if (r >= 0 && subscriber->held > 0)
                r = bytes_append_format(
                        line, ", %zu message%s held", subscriber->held, subscriber->held == 1 ? "" : "s");
        return r;
}

static int line_stored(Bytes *line, const StatusInput *input) {
        char buffer[TIME_SIZE];
        size_t well = 0;
        usec_t last = 0;
        int r;

        for (size_t i = 0; i < input->n_subscribers; i++) {
                usec_t stored = input->subscribers[i].sink.last_stored;

                well += subscriber_is_well(&input->subscribers[i]);
                last = stored > last ? stored : last;
        }
        if (last == 0 && well == 0)
                return 0;

        r = line_comma(line);
        if (r < 0)
                return r;
        if (last == 0)
                return bytes_append_text(line, "nothing stored yet");
        return bytes_append_format(line, "last stored %s", local_time(last, input->wall, buffer));
}

static int line_subscribers(Bytes *line, const StatusInput *input) {
        size_t troubled = 0;
        int r;

        r = line_stored(line, input);
        for (size_t i = 0; r >= 0 && i < input->n_subscribers; i++)
                if (!subscriber_is_well(&input->subscribers[i]) && troubled++ < NAMED_MAX)
                        r = line_trouble(line, input, &input->subscribers[i]);

        if (r >= 0 && troubled > NAMED_MAX)
                r = line_more(line, troubled - NAMED_MAX, "subscriptions not well");
        return r;
}

/* ---- the whole ---- */

/* Cuts between characters. */
static void line_cut(Bytes *line) {
        size_t n = LINE_MAX_SIZE - 3;

        if (line->size <= LINE_MAX_SIZE)
                return;

        while (n > 0 && ((unsigned char) line->data[n] & 0xc0) == 0x80)
                n--;
        memcpy(line->data + n, "...", 4);
        line->size = n + 3;
}

/* What a source holds in memory did not fit, or what its next poll may bring would not. */
static bool source_is_shut_out(const StatusInput *input, const SourceStatus *source) {
        const OutboxStatus *outbox = &input->outbox;

        if (input->outbox_failing || (!source->holding && !source->gated))
                return false;
        return status_outbox_is_high(input) ||
               outbox->rows + outbox->rejected_rows + source->next_rows > outbox->max_rows ||
               outbox->bytes + outbox->rejected_bytes + source->next_bytes > outbox->max_bytes;
}

bool status_outbox_is_full(const StatusInput *input) {
        const OutboxStatus *outbox = &input->outbox;
        uint64_t rows = outbox->rows + outbox->rejected_rows, bytes = outbox->bytes + outbox->rejected_bytes;

        if (!input->publishes || outbox->max_rows == 0)
                return false;
        if (rows >= outbox->max_rows || bytes >= outbox->max_bytes)
                return true;
        for (size_t i = 0; i < input->n_sources; i++)
                if (source_is_shut_out(input, &input->sources[i]))
                        return true;

        return false;
}

bool status_outbox_is_high(const StatusInput *input) {
        const OutboxStatus *outbox = &input->outbox;

        if (!input->publishes || outbox->max_rows == 0)
                return false;
        return outbox->rows + outbox->rejected_rows > outbox->max_rows / 5 * 4 ||
               outbox->bytes + outbox->rejected_bytes > outbox->max_bytes / 5 * 4;
}

int status_format_line(const StatusInput *input, Bytes *ret) {
        _cleanup_bytes_ Bytes line = {};
        int r = 0;

        if (input->stopping)
                r = bytes_append_text(&line, "stopping");
        if (r >= 0)
                r = line_sources(&line, input);
        if (r >= 0 && input->publishes)
                r = line_outbox(&line, input);
        if (r >= 0 && input->publishes)
                r = line_publisher(&line, input);
        if (r >= 0)
                r = line_token(&line, input);
        if (r >= 0)
                r = line_subscribers(&line, input);
        if (r < 0)
                return r;

        line_cut(&line);
        *ret = bytes_steal(&line);
        return 0;
}
