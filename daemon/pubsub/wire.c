/* SPDX-License-Identifier: Apache-2.0 */
#include "pubsub/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/json.h"
#include "lib/text.h"

#define PUBLISH_END "]}"
#define SCRATCH_MIN 4096
#define DETAILS_MAX 32 /* elements of error.details that are looked at */
#define ERROR_INFO "type.googleapis.com/google.rpc.ErrorInfo"
#define RETRY_INFO "type.googleapis.com/google.rpc.RetryInfo"

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

/* ---- a pull's reply ---- */

/* It is read in place: every string is unescaped and every base64 decoded where it stands, which only ever shortens
 * text that the reader has already passed. */

enum { READ_OK = 0, READ_ODD = 1 }; /* ODD: valid JSON, but not what this field may hold */

typedef struct PullReader {
        JsonReader json;
        WirePull pull;
        size_t messages_allocated, attributes_allocated;
        size_t first_attribute; /* of the message being read */
        bool odd;               /* the message being read is */
        char *scratch;          /* base64 is decoded here first: text that is not base64 must stay as it is */
        size_t scratch_size;
} PullReader;

/* Unescapes a text of the reply where it stands; leaves none if that fails. */
static int unescape(Slice *text) {
        if (json_unescape(*text, (char *) text->data, &text->size) == 0)
                return READ_OK;
        *text = (Slice){};
        return READ_ODD;
}

/* Skips a value of a wrong type. */
static int skip_odd(PullReader *p) {
        int r = json_reader_skip(&p->json, NULL);

        return r < 0 ? r : READ_ODD;
}

/* The value after a key: a string, or null, which proto3 JSON allows for every field. */
static int read_string(PullReader *p, Slice *ret) {
        int token = json_reader_next(&p->json);

        *ret = (Slice){};
        if (token < 0)
                return token;
        if (token != JSON_STRING)
                return token == JSON_NULL ? READ_OK : skip_odd(p);
        if (p->json.foreign)
                return READ_ODD;
        *ret = p->json.slice;
        return p->json.escaped ? unescape(ret) : READ_OK;
}

/* Reads the rest of the current object: *field* is called on each key and reads its value. */
static int read_fields(PullReader *p, WireMessage *message, int (*field)(PullReader *p, WireMessage *message)) {
        int r, token;

        while ((token = json_reader_next(&p->json)) == JSON_KEY) {
                r = field(p, message);
                if (r < 0)
                        return r;
                p->odd |= r == READ_ODD;
        }
        return token < 0 ? token : READ_OK;
}

static int read_int(PullReader *p, int *ret) {
        int token = json_reader_next(&p->json), value = 0;

        if (token < 0)
                return token;
        if (token != JSON_STRING && token != JSON_NUMBER)
                return json_reader_skip(&p->json, NULL);
        if (p->json.slice.size == 0 || p->json.slice.size > 9)
                return 0;
        for (size_t i = 0; i < p->json.slice.size; i++) {
                char c = p->json.slice.data[i];

                if (!bytes_is_digit(c))
                        return 0;
                value = value * 10 + (c - '0');
        }
        *ret = value;
        return 0;
}

static int reserve_scratch(PullReader *p, size_t size) {
        size_t wanted = size < SCRATCH_MIN ? SCRATCH_MIN : size;
        char *larger;

        if (size <= p->scratch_size)
                return 0;
        larger = realloc(p->scratch, wanted);
        if (!larger)
                return -ENOMEM;
        p->scratch = larger;
        p->scratch_size = wanted;
        return 0;
}

static int read_data(PullReader *p, WireMessage *message) {
        size_t decoded;
        Slice text = {};
        int r;

        message->data_bad = false;
        r = read_string(p, &text);
        if (r == READ_ODD && p->json.token == JSON_STRING && p->json.foreign) {
                message->data = p->json.slice;
                message->data_bad = true;
                return READ_OK;
        }
        if (r != READ_OK)
                return r;
        message->data = text;
        if (text.size == 0)
                return READ_OK;
        r = reserve_scratch(p, text.size);
        if (r < 0)
                return r;
        if (bytes_decode_base64(text.data, text.size, p->scratch, &decoded) < 0) {
                message->data_bad = true;
                return READ_OK;
        }
        memcpy((char *) text.data, p->scratch, decoded);
        message->data.size = decoded;
        return READ_OK;
}

/* The reader stands on the key of one attribute. */
static int read_attribute(PullReader *p, WireMessage *message) {
        WireAttribute *attribute;
        int r, token;
        bool odd;

        if (p->pull.n_attributes >= WIRE_PULL_ATTRIBUTES_MAX)
                return skip_odd(p);
        r = array_reserve(
                &p->pull.attributes, &p->attributes_allocated, p->pull.n_attributes + 1, sizeof(*p->pull.attributes));
        if (r < 0)
                return r;
        attribute = &p->pull.attributes[p->pull.n_attributes];
        attribute->key = p->json.slice;
        odd = p->json.escaped && unescape(&attribute->key) != READ_OK;
        token = json_reader_next(&p->json);
        if (token < 0)
                return token;
        if (token != JSON_STRING)
                return skip_odd(p);
        attribute->value = p->json.slice;
        odd |= p->json.escaped && unescape(&attribute->value) != READ_OK;
        if (odd)
                return READ_ODD;
        p->pull.n_attributes++;
        message->n_attributes++;
        return READ_OK;
}

static int read_attributes(PullReader *p, WireMessage *message) {
        int token;

        p->pull.n_attributes = p->first_attribute; /* a key given twice: the last one counts */
        message->n_attributes = 0;
        token = json_reader_next(&p->json);
        if (token < 0 || token == JSON_NULL)
                return token < 0 ? token : READ_OK;
        return token == JSON_OBJECT ? read_fields(p, message, read_attribute) : skip_odd(p);
}

/* The reader stands on a key inside `message`. */
static int read_message_field(PullReader *p, WireMessage *message) {
        int r;

        if (json_reader_equal(&p->json, "data"))
                return read_data(p, message);
        if (json_reader_equal(&p->json, "attributes"))
                return read_attributes(p, message);
        if (json_reader_equal(&p->json, "messageId"))
                return read_string(p, &message->message_id);
        if (json_reader_equal(&p->json, "publishTime"))
                r = read_string(p, &message->publish_time);
        else if (json_reader_equal(&p->json, "orderingKey"))
                r = read_string(p, &message->ordering_key);
        else
                r = json_reader_skip(&p->json, NULL);
        return r < 0 ? r : READ_OK; /* a bad value here does not keep the message from being stored */
}

static int read_message(PullReader *p, WireMessage *message) {
        WireMessage fresh = { .ack_id = message->ack_id, .delivery_attempt = message->delivery_attempt };
        int token;

        *message = fresh;
        p->odd = false; /* a key given twice: the last one counts */
        p->pull.n_attributes = p->first_attribute;
        token = json_reader_next(&p->json);
        if (token < 0)
                return token;
        return token == JSON_OBJECT ? read_fields(p, message, read_message_field) : skip_odd(p);
}

/* The reader stands on a key beside `message`. */
static int read_element_field(PullReader *p, WireMessage *message) {
        if (json_reader_equal(&p->json, "ackId"))
                return read_string(p, &message->ack_id);
        if (json_reader_equal(&p->json, "message"))
                return read_message(p, message);
        if (json_reader_equal(&p->json, "deliveryAttempt"))
                return read_int(p, &message->delivery_attempt);
        return json_reader_skip(&p->json, NULL);
}

/* Reads one element of receivedMessages, after its opening brace. */
static int read_element(PullReader *p) {
        WireMessage message = {};
        int r;

        p->odd = false;
        p->first_attribute = p->pull.n_attributes;
        r = read_fields(p, &message, read_element_field);
        if (r < 0)
                return r;
        if (p->odd || message.ack_id.size == 0 || message.message_id.size == 0 || p->pull.n == WIRE_PULL_MESSAGES_MAX) {
                p->pull.skipped++;
                p->pull.n_attributes = p->first_attribute;
                return 0;
        }
        r = array_reserve(&p->pull.messages, &p->messages_allocated, p->pull.n + 1, sizeof(message));
        if (r == 0)
                p->pull.messages[p->pull.n++] = message;
        return r;
}

static int read_elements(PullReader *p) {
        int r, token;

        token = json_reader_next(&p->json);
        if (token < 0 || token == JSON_NULL)
                return token < 0 ? token : 0;
        if (token != JSON_ARRAY)
                return -EBADMSG;
        for (;;) {
                token = json_reader_next(&p->json);
                if (token < 0)
                        return token;
                if (token == JSON_ARRAY_END)
                        return 0;
                if (token == JSON_OBJECT)
                        r = read_element(p);
                else {
                        r = json_reader_skip(&p->json, NULL);
                        p->pull.skipped++;
                }
                if (r < 0)
                        return r;
        }
}

static int read_reply(PullReader *p) {
        int r, token;

        if (json_reader_next(&p->json) != JSON_OBJECT)
                return -EBADMSG;
        while ((token = json_reader_next(&p->json)) == JSON_KEY) {
                r = json_reader_equal(&p->json, "receivedMessages") ? read_elements(p)
                                                                    : json_reader_skip(&p->json, NULL);
                if (r < 0)
                        return r;
        }
        return token == JSON_OBJECT_END && json_reader_next(&p->json) == JSON_END ? 0 : -EBADMSG;
}

int wire_get_pull(char *body, size_t size, WirePull *ret) {
        PullReader p = {};
        size_t first = 0;
        int r;

        json_reader_init(&p.json, body, size, WIRE_PULL_DEPTH_MAX);
        p.json.lax = true; /* one text that is not UTF-8 must not block the other messages */
        r = read_reply(&p);
        free(p.scratch);
        if (r < 0) {
                wire_pull_done(&p.pull);
                return r == -ENOMEM ? r : -EBADMSG;
        }
        for (size_t i = 0; i < p.pull.n; i++) { /* the array has stopped moving */
                p.pull.messages[i].attributes = p.pull.attributes ? p.pull.attributes + first : NULL;
                first += p.pull.messages[i].n_attributes;
        }
        *ret = p.pull;
        return 0;
}

void wire_pull_done(WirePull *pull) {
        free(pull->messages);
        free(pull->attributes);
        *pull = (WirePull){};
}

/* ---- errors ---- */

bool wire_get_duration(const char *text, usec_t *ret) {
        usec_t seconds = 0, fraction = 0, unit = USEC_PER_SEC / 10;
        const char *p = text;

        for (; bytes_is_digit(*p); p++) {
                seconds = seconds * 10 + (usec_t) (*p - '0');
                if (seconds > UINT64_C(315576000000)) /* the type's range: 10 000 years */
                        return false;
        }
        if (p == text)
                return false;
        if (*p == '.')
                for (p++; bytes_is_digit(*p); p++, unit /= 10)
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
        return text_equal(json_get_string(detail, "@type"), type);
}

static void get_details(Json *details, WireError *ret) {
        for (size_t i = 0; i < DETAILS_MAX; i++) {
                Json *detail = json_at(details, i);
                const char *delay;

                if (detail_is(detail, ERROR_INFO) && ret->reason[0] == '\0')
                        copy_member(ret->reason, sizeof(ret->reason), detail, "reason");
                delay = detail_is(detail, RETRY_INFO) ? json_get_string(detail, "retryDelay") : NULL;
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

                if (detail_is(detail, ERROR_INFO) &&
                        text_equal(json_get_string(detail, "reason"), "EXACTLY_ONCE_ACKID_FAILURE"))
                        json_each_string(json_get(detail, "metadata"), each_failure, &failures);
        }
        return failures.n;
}
