/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a pull reply in place: every string is unescaped and every base64 decoded where it stands, which only ever
 * shortens text that the reader has already passed. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/json.h"
#include "pubsub/wire.h"

#define SCRATCH_MIN 4096

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

                if (c < '0' || c > '9')
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
