/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "status.h"

/* ---- members: each writes `"KEY":VALUE`, with the comma that parts it from the one before ---- */

static int json_key(Bytes *json, const char *key) {
        char last = json->size > 0 ? json->data[json->size - 1] : '{';
        int r;

        if (last != '{' && last != '[') {
                r = bytes_append_text(json, ",");
                if (r < 0)
                        return r;
        }
        return key ? bytes_append_format(json, "\"%s\":", key) : 0;
}

static int json_number(Bytes *json, const char *key, uint64_t value) {
        int r;

        r = json_key(json, key);
        return r < 0 ? r : bytes_append_format(json, "%" PRIu64, value);
}

static int json_flag(Bytes *json, const char *key, bool value) {
        int r;

        r = json_key(json, key);
        return r < 0 ? r : bytes_append_text(json, value ? "true" : "false");
}

/* Words of a remote may have been cut in the middle of a character: what is no UTF-8 is shown as question marks. */
static int json_text(Bytes *json, const char *key, const char *text) {
        _cleanup_bytes_ Bytes copy = {};
        int r;

        if (!text)
                text = "";
        r = json_key(json, key);
        if (r < 0)
                return r;
        if (bytes_is_utf8(text, strlen(text)))
                return bytes_append_json_string(json, text, strlen(text));

        r = bytes_append_text(&copy, text);
        if (r < 0)
                return r;
        for (size_t i = 0; i < copy.size; i++)
                if ((unsigned char) copy.data[i] >= 0x80)
                        copy.data[i] = '?';
        return bytes_append_json_string(json, copy.data, copy.size);
}

/* Wall time, or null. */
static int json_time(Bytes *json, const char *key, usec_t wall) {
        char buffer[CLOCK_RFC3339_SIZE];
        int r;

        r = json_key(json, key);
        if (r < 0)
                return r;
        return wall == 0 ? bytes_append_text(json, "null")
                         : bytes_append_format(json, "\"%s\"", clock_format_rfc3339(wall, buffer));
}

/* A time of clock_now() as wall time, or null. */
static int json_due(Bytes *json, const char *key, const StatusInput *input, usec_t at) {
        usec_t ahead = at > input->now ? at - input->now : 0;

        return json_time(json, key, at == 0 || ahead > UINT64_MAX / 2 ? 0 : input->wall + ahead);
}

static int json_open(Bytes *json, const char *key, const char *bracket) {
        int r;

        r = json_key(json, key);
        return r < 0 ? r : bytes_append_text(json, bracket);
}

static int json_close(Bytes *json, const char *bracket) {
        return bytes_append_text(json, bracket);
}

#define TRY(call)                                                                                                      \
        do {                                                                                                           \
                int _r = (call);                                                                                       \
                if (_r < 0)                                                                                            \
                        return _r;                                                                                     \
        } while (0)

/* ---- stages ---- */

static int json_source(Bytes *json, const StatusInput *input, const SourceStatus *source) {
        TRY(json_open(json, NULL, "{"));
        TRY(json_text(json, "name", source->name));
        TRY(json_flag(json, "failing", source->failing));
        TRY(json_time(json, "failing_since", source->failing ? source->failing_since : 0));
        TRY(json_time(json, "last_poll", source->last_poll));
        TRY(json_due(json, "next_poll", input, source->next_poll));
        TRY(json_number(json, "polls", source->polls));
        TRY(json_number(json, "readings", source->readings));
        TRY(json_number(json, "failures", source->failures));
        TRY(json_flag(json, "holding", source->holding));
        TRY(json_text(json, "detail", source->detail));
        return json_close(json, "}");
}

static int json_outbox(Bytes *json, const StatusInput *input) {
        const OutboxStatus *outbox = &input->outbox;

        TRY(json_open(json, "outbox", "{"));
        TRY(json_number(json, "rows", outbox->rows));
        TRY(json_number(json, "bytes", outbox->bytes));
        TRY(json_number(json, "rejected_rows", outbox->rejected_rows));
        TRY(json_number(json, "rejected_bytes", outbox->rejected_bytes));
        TRY(json_number(json, "max_rows", outbox->max_rows));
        TRY(json_number(json, "max_bytes", outbox->max_bytes));
        TRY(json_time(json, "oldest", outbox->oldest));
        TRY(json_flag(json, "full", status_outbox_is_full(input)));
        TRY(json_flag(json, "failing", input->outbox_failing));
        return json_close(json, "}");
}

static int json_publisher(Bytes *json, const StatusInput *input) {
        const PublisherStatus *publisher = &input->publisher;

        TRY(json_open(json, "publisher", "{"));
        TRY(json_flag(json, "failing", publisher->failing));
        TRY(json_time(json, "failing_since", publisher->failing ? publisher->failing_since : 0));
        TRY(json_flag(json, "paused", publisher->paused));
        TRY(json_time(json, "last_publish", publisher->last_publish));
        TRY(json_due(json, "retry_at", input, publisher->retry_at));
        TRY(json_number(json, "published", publisher->published));
        TRY(json_number(json, "rejected", publisher->rejected));
        TRY(json_number(json, "requests", publisher->requests));
        TRY(json_number(json, "failures", publisher->failures));
        TRY(json_text(json, "detail", publisher->detail));
        return json_close(json, "}");
}

static int json_token(Bytes *json, const StatusInput *input) {
        const TokenStatus *token = &input->token;

        TRY(json_open(json, "token", "{"));
        TRY(json_flag(json, "failing", token->failing));
        TRY(json_time(json, "failing_since", token->failing ? token->failing_since : 0));
        TRY(json_due(json, "expires", input, token->expires));
        TRY(json_due(json, "retry_at", input, token->retry_at));
        TRY(json_text(json, "detail", token->detail));
        return json_close(json, "}");
}

static int json_sink(Bytes *json, const StatusInput *input, const SinkStatus *sink) {
        TRY(json_open(json, "sink", "{"));
        TRY(json_text(json, "what", sink->what));
        TRY(json_flag(json, "ready", sink->ready));
        TRY(json_time(json, "down_since", sink->ready ? 0 : sink->down_since));
        TRY(json_due(json, "retry_at", input, sink->retry_at));
        TRY(json_time(json, "last_stored", sink->last_stored));
        TRY(json_number(json, "stored", sink->stored));
        TRY(json_number(json, "duplicates", sink->duplicates));
        TRY(json_number(json, "rejected", sink->rejected));
        TRY(json_number(json, "failed", sink->failed));
        TRY(json_number(json, "writes", sink->writes));
        TRY(json_text(json, "detail", sink->detail));
        return json_close(json, "}");
}

static int json_subscriber(Bytes *json, const StatusInput *input, const SubscriberStatus *subscriber) {
        TRY(json_open(json, NULL, "{"));
        TRY(json_text(json, "subscription", subscriber->subscription));
        TRY(json_flag(json, "failing", subscriber->failing));
        TRY(json_time(json, "failing_since", subscriber->failing ? subscriber->failing_since : 0));
        TRY(json_flag(json, "missing", subscriber->missing));
        TRY(json_flag(json, "paused", subscriber->paused));
        TRY(json_time(json, "paused_since", subscriber->paused ? subscriber->paused_since : 0));
        TRY(json_time(json, "last_pull", subscriber->last_pull));
        TRY(json_time(json, "last_ack", subscriber->last_ack));
        TRY(json_due(json, "retry_at", input, subscriber->retry_at));
        TRY(json_number(json, "held", subscriber->held));
        TRY(json_time(json, "oldest_unsettled", subscriber->oldest_unsettled));
        TRY(json_number(json, "retention_sec", subscriber->retention / USEC_PER_SEC));
        TRY(json_number(json, "received", subscriber->received));
        TRY(json_number(json, "acknowledged", subscriber->acknowledged));
        TRY(json_number(json, "pulls", subscriber->pulls));
        TRY(json_number(json, "empty_pulls", subscriber->empty_pulls));
        TRY(json_text(json, "detail", subscriber->detail));
        TRY(json_sink(json, input, &subscriber->sink));
        return json_close(json, "}");
}

static int json_all(Bytes *json, const StatusInput *input) {
        _cleanup_bytes_ Bytes line = {};

        TRY(status_format_line(input, &line));
        TRY(json_open(json, NULL, "{"));
        TRY(json_text(json, "version", SENSORQD_VERSION));
        TRY(json_text(json, "status", line.data));
        TRY(json_time(json, "time", input->wall));
        TRY(json_time(json, "started", input->started));
        TRY(json_flag(json, "stopping", input->stopping));
        TRY(json_open(json, "sources", "["));
        for (size_t i = 0; i < input->n_sources; i++)
                TRY(json_source(json, input, &input->sources[i]));
        TRY(json_close(json, "]"));
        if (input->publishes) {
                TRY(json_outbox(json, input));
                TRY(json_publisher(json, input));
        }
        TRY(json_token(json, input));
        TRY(json_open(json, "subscriptions", "["));
        for (size_t i = 0; i < input->n_subscribers; i++)
                TRY(json_subscriber(json, input, &input->subscribers[i]));
        TRY(json_close(json, "]"));
        return json_close(json, "}\n");
}

int status_format_json(const StatusInput *input, Bytes *ret) {
        _cleanup_bytes_ Bytes json = {};

        TRY(json_all(&json, input));
        *ret = bytes_steal(&json);
        return 0;
}

/* ---- the file ---- */

static int file_fill(int fd, const char *data, size_t size) {
        if (fchmod(fd, 0644) < 0) /* open(2) is under the umask */
                return err_errno();

        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno();
                data += n;
                size -= (size_t) n;
        }

        return 0;
}

int status_write(const char *directory, const char *json, size_t size) {
        _cleanup_free_ char *path = NULL, *temporary = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (asprintf(&path, "%s/status.json", directory) < 0)
                return path = NULL, -ENOMEM;
        if (asprintf(&temporary, "%s/.status.json.new", directory) < 0)
                return temporary = NULL, -ENOMEM;

        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW,
                0644); /* one left by a kill is used again */
        if (fd < 0)
                return err_errno();

        r = file_fill(fd, json, size);
        if (r >= 0 && rename(temporary, path) < 0)
                r = err_errno();
        if (r < 0)
                (void) unlink(temporary);
        return r;
}

void status_remove(const char *directory) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/status.json", directory) < 0) {
                path = NULL;
                return;
        }
        (void) unlink(path);
}
