/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub/wire.h"

#include <errno.h>
#include <string.h>

#include "lib/json.h"
#include "lib/text.h"

#define PUBLISH_END "]}"
#define DETAILS_MAX 32 /* elements of error.details that are looked at */

/* ---- publish ---- */

int wire_put_attributes(Bytes *body, const WireAttribute *attributes, size_t n) {
        bytes_append_text(body, "{");
        for (size_t i = 0; i < n; i++) {
                bytes_append_text(body, i > 0 ? "," : "");
                bytes_append_json_string(body, attributes[i].key.data, attributes[i].key.size);
                bytes_append_text(body, ":");
                bytes_append_json_string(body, attributes[i].value.data, attributes[i].value.size);
        }
        return bytes_append_text(body, "}");
}

static int put_message(Bytes *body, const WireOutgoing *message) {
        bytes_append_text(body, "{\"data\":\"");
        bytes_append_base64(body, message->data.data, message->data.size);
        bytes_append_text(body, message->n_attributes > 0 ? "\",\"attributes\":" : "\"");
        if (message->n_attributes > 0)
                wire_put_attributes(body, message->attributes, message->n_attributes);
        return bytes_append_text(body, "}");
}

int wire_add_message(Bytes *body, const WireOutgoing *message, size_t max) {
        size_t before = body->size;
        int r;

        bytes_append_text(body, before == 0 ? "{\"messages\":[" : ",");
        r = put_message(body, message);
        if (r < 0)
                return r;
        if (body->size + strlen(PUBLISH_END) <= max)
                return WIRE_ADDED;
        bytes_cut(body, before);
        return WIRE_FULL;
}

int wire_end_publish(Bytes *body) {
        return bytes_append_text(body, PUBLISH_END);
}

static int count_ids(JsonReader *reader, size_t *n) {
        bool good = true;
        int token;

        token = json_reader_next(reader);
        if (token == JSON_NULL)
                return 0;
        if (token != JSON_ARRAY)
                return -EBADMSG;
        for (;;) {
                token = json_reader_next(reader);
                if (token < 0)
                        return -EBADMSG;
                if (token == JSON_ARRAY_END)
                        return 0;
                good = good && token == JSON_STRING && reader->slice.size > 0;
                if (good)
                        (*n)++;
                if (json_reader_skip(reader, NULL) < 0)
                        return -EBADMSG;
        }
}

int wire_get_publish(const char *body, size_t size, size_t *ret_n) {
        JsonReader reader;
        size_t n = 0;
        int token;

        json_reader_init(&reader, body, size, WIRE_PULL_DEPTH_MAX);
        if (json_reader_next(&reader) != JSON_OBJECT)
                return -EBADMSG;
        while ((token = json_reader_next(&reader)) == JSON_KEY) {
                if (json_reader_equal(&reader, "messageIds")) {
                        n = 0; /* a key given twice: the last one counts */
                        if (count_ids(&reader, &n) < 0)
                                return -EBADMSG;
                } else if (json_reader_skip(&reader, NULL) < 0)
                        return -EBADMSG;
        }
        if (token != JSON_OBJECT_END || json_reader_next(&reader) != JSON_END)
                return -EBADMSG;
        *ret_n = n;
        return 0;
}

/* ---- pull, acknowledge, modifyAckDeadline: requests ---- */

int wire_put_pull(Bytes *body, unsigned max_messages, bool return_immediately) {
        return bytes_append_format(
                body, "{\"maxMessages\":%u%s}", max_messages, return_immediately ? ",\"returnImmediately\":true" : "");
}

int wire_put_ack(Bytes *body, const Slice *ids, size_t n, int deadline_sec, size_t *ret_taken) {
        size_t start = body->size, taken = 0;
        int r;

        if (deadline_sec >= 0)
                bytes_append_format(body, "{\"ackDeadlineSeconds\":%d,\"ackIds\":[", deadline_sec);
        else
                bytes_append_text(body, "{\"ackIds\":[");
        for (; taken < n && taken < WIRE_ACK_IDS_MAX; taken++) {
                size_t before = body->size;

                bytes_append_text(body, taken > 0 ? "," : "");
                r = bytes_append_json_string(body, ids[taken].data, ids[taken].size);
                if (r < 0)
                        return r;
                if (taken > 0 && body->size - start > WIRE_ACK_BODY_MAX - 2) {
                        bytes_cut(body, before);
                        break;
                }
        }
        r = bytes_append_text(body, "]}");
        if (r < 0)
                return r;
        *ret_taken = taken;
        return 0;
}

/* ---- errors ---- */

bool wire_get_duration(const char *text, usec_t *ret) {
        usec_t seconds = 0, fraction = 0, unit = USEC_PER_SEC / 10;
        const char *p = text;

        for (; *p >= '0' && *p <= '9'; p++) {
                seconds = seconds * 10 + (usec_t) (*p - '0');
                if (seconds > UINT64_C(315576000000)) /* the type's range: 10 000 years */
                        return false;
        }
        if (p == text)
                return false;
        if (*p == '.')
                for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
                        fraction += (usec_t) (*p - '0') * unit;
        if (strcmp(p, "s") != 0)
                return false;
        *ret = seconds * USEC_PER_SEC + fraction;
        return true;
}

static void copy_member(char *out, size_t size, Json *object, const char *key) {
        const char *text = json_get_string(object, key);

        if (text)
                text_copy_words(out, size, text);
}

static bool detail_is(Json *detail, const char *type) {
        const char *text = json_get_string(detail, "@type");

        return text && strncmp(text, "type.googleapis.com/", strlen("type.googleapis.com/")) == 0 &&
               strcmp(text + strlen("type.googleapis.com/"), type) == 0;
}

static void get_details(Json *details, WireError *ret) {
        for (size_t i = 0; i < DETAILS_MAX; i++) {
                Json *detail = json_at(details, i);
                const char *delay;

                if (detail_is(detail, "google.rpc.ErrorInfo") && ret->reason[0] == '\0')
                        copy_member(ret->reason, sizeof(ret->reason), detail, "reason");
                delay = detail_is(detail, "google.rpc.RetryInfo") ? json_get_string(detail, "retryDelay") : NULL;
                if (delay)
                        (void) wire_get_duration(delay, &ret->retry_delay);
        }
}

void wire_get_error(const char *body, size_t size, WireError *ret) {
        _cleanup_(json_freep) Json *json = NULL;
        Json *error;

        *ret = (WireError){ .status = "" };
        if (size == 0 || json_parse(body, size, &json) < 0)
                return;
        error = json_get(json, "error");
        copy_member(ret->status, sizeof(ret->status), error, "status");
        copy_member(ret->message, sizeof(ret->message), error, "message");
        get_details(json_get(error, "details"), ret);
        /* OAuth's form (RFC 6749 section 5.2) */
        copy_member(ret->status, sizeof(ret->status), json, "error");
        copy_member(ret->message, sizeof(ret->message), json, "error_description");
}

typedef struct AckFailures {
        void (*each)(void *userdata, const char *ack_id, WireAckOutcome outcome);
        void *userdata;
        int n;
} AckFailures;

static void each_failure(void *userdata, const char *ack_id, const char *value) {
        AckFailures *failures = userdata;
        bool transient = strncmp(value, "TRANSIENT_", strlen("TRANSIENT_")) == 0;

        if (!transient && strncmp(value, "PERMANENT_", strlen("PERMANENT_")) != 0)
                return; /* other metadata, or an unknown result: official clients skip it as well */
        failures->n++;
        failures->each(failures->userdata, ack_id, transient ? WIRE_ACK_RETRY : WIRE_ACK_LOST);
}

int wire_each_ack_failure(const char *body, size_t size,
        void (*each)(void *userdata, const char *ack_id, WireAckOutcome outcome), void *userdata) {
        AckFailures failures = { .each = each, .userdata = userdata };
        _cleanup_(json_freep) Json *json = NULL;
        Json *details;

        if (size == 0 || json_parse(body, size, &json) < 0)
                return 0;
        details = json_get(json_get(json, "error"), "details");
        for (size_t i = 0; i < DETAILS_MAX; i++) {
                Json *detail = json_at(details, i);
                const char *reason = json_get_string(detail, "reason");

                if (detail_is(detail, "google.rpc.ErrorInfo") && reason &&
                        strcmp(reason, "EXACTLY_ONCE_ACKID_FAILURE") == 0)
                        json_each_string(json_get(detail, "metadata"), each_failure, &failures);
        }
        return failures.n;
}
