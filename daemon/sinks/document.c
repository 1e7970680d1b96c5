/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/document.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/json.h"
#include "lib/sha256.h"
#include "lib/text.h"
#include "sinks/document-writer.h"
#include "subscribe/payload.h"

#define DATE_TEXT_MIN 20                         /* 2026-11-24T06:27:38Z */
#define DATE_MIN_MSEC (-INT64_C(62135596800000)) /* 0001-01-01T00:00:00Z */
#define DATE_MAX_MSEC INT64_C(253402300799999)   /* 9999-12-31T23:59:59.999Z */
#define NAME_SHOWN 64                            /* bytes of a field's name in a message */

typedef struct Builder {
        const DocumentInput *input;
        const WireMessage *message;
        const DocumentRules *rules;
        Payload payload;
        JsonReader json;
        Slice name;         /* of the next value, as the publisher wrote it */
        Bytes name_scratch; /* ... unescaped */
        Bytes text_scratch; /* a string value, unescaped */
        char *detail;       /* DOCUMENT_DETAIL_SIZE */
        DocumentWriter writer;
} Builder;

const char *document_reason(DocumentReason reason) {
        static const char *const reasons[] = {
                [DOCUMENT_OK] = "ok",
                [DOCUMENT_NOT_BASE64] = "not_base64",
                [DOCUMENT_NOT_UTF8] = "not_utf8",
                [DOCUMENT_NOT_JSON] = "not_json",
                [DOCUMENT_NOT_OBJECT] = "not_object",
                [DOCUMENT_TOO_DEEP] = "too_deep",
                [DOCUMENT_TOO_LARGE] = "too_large",
                [DOCUMENT_DUPLICATE_KEY] = "duplicate_key",
                [DOCUMENT_NUMBER_RANGE] = "number_range",
                [DOCUMENT_REFUSED] = "refused",
                [DOCUMENT_ID_CONFLICT] = "id_conflict",
        };

        assert((size_t) reason < ELEMENTSOF(reasons));
        return reasons[reason];
}

/* ---- explanations ---- */

/* Writes the explanation. Returns *reason*. */
static int reject(Builder *b, DocumentReason reason, const char *format, ...) _printf_(3, 4);

static int reject(Builder *b, DocumentReason reason, const char *format, ...) {
        va_list args;

        va_start(args, format);
        text_print_list(b->detail, DOCUMENT_DETAIL_SIZE, format, args);
        va_end(args);
        return (int) reason;
}

/* Returns how many bytes of *name* an explanation shows: at most NAME_SHOWN, in whole characters. */
static int shown(Slice name) {
        return (int) text_cut(name.data, name.size, NAME_SHOWN);
}

static size_t place(const Builder *b) {
        return (size_t) (b->json.cursor - b->json.begin);
}

/* Returns the result of the payload, or of what was written so far; writes the explanation of a DocumentReason. */
static int explain(Builder *b) {
        const Slice data = b->message->data;

        switch (b->writer.result) {
        case -EBADMSG:
                if (!bytes_is_utf8(data.data, data.size))
                        return reject(b, DOCUMENT_NOT_UTF8, "the data is not UTF-8");
                return reject(b, DOCUMENT_NOT_JSON, "not JSON at byte %zu of %zu", place(b), data.size);
        case -E2BIG:
                return reject(b, DOCUMENT_TOO_DEEP, "more than %d levels at byte %zu", DOCUMENT_DEPTH_MAX, place(b));
        case DOCUMENT_DUPLICATE_KEY:
                if (b->json.token == JSON_KEY)
                        return reject(b, DOCUMENT_DUPLICATE_KEY,
                                "two fields of one object would be stored as \"%.*s\", at byte %zu",
                                shown(b->writer.key), b->writer.key.data, place(b));
                return reject(b, DOCUMENT_DUPLICATE_KEY,
                        "two fields of one object would be stored under the same name, in the object that ends at byte "
                        "%zu",
                        place(b));
        case DOCUMENT_TOO_LARGE:
                return reject(b, DOCUMENT_TOO_LARGE, "more than %d bytes as BSON", DOCUMENT_SIZE_MAX);
        case DOCUMENT_NUMBER_RANGE:
                return reject(
                        b, DOCUMENT_NUMBER_RANGE, "a number beyond a double or a 64-bit integer at byte %zu", place(b));
        case DOCUMENT_NOT_UTF8:
                return reject(b, DOCUMENT_NOT_UTF8, "half of a surrogate pair, which has no UTF-8 form, at byte %zu",
                        place(b));
        default:
                return b->writer.result;
        }
}

/* ---- the payload ---- */

/* The text of the KEY or STRING just read; in *scratch* where it is escaped. */
static Slice token_text(Builder *b, Bytes *scratch) {
        if (!b->json.escaped)
                return b->json.slice;
        bytes_cut(scratch, 0);
        if (bytes_reserve(scratch, b->json.slice.size) < 0)
                document_writer_fail(&b->writer, -ENOMEM);
        else if (json_unescape(b->json.slice, scratch->data, &scratch->size) < 0)
                document_writer_fail(&b->writer, DOCUMENT_NOT_UTF8); /* half of a surrogate pair */
        return (Slice){ scratch->data, scratch->size };
}

static bool is_date_field(const Builder *b) {
        if (b->writer.levels[b->writer.level].array)
                return false;
        for (char **field = b->rules->date_fields; field && *field; field++)
                if (slice_equal(b->name, *field))
                        return true;
        return false;
}

/* A date outside the years 1 to 9999 stays text: some languages cannot represent it (Python's datetime). */
static bool parse_date(Slice text, int64_t *ret_msec) {
        return text.size >= DATE_TEXT_MIN && text.data[4] == '-' &&
               clock_parse_rfc3339(text.data, text.size, ret_msec) && *ret_msec >= DATE_MIN_MSEC &&
               *ret_msec <= DATE_MAX_MSEC;
}

static void put_string(Builder *b) {
        Slice text = token_text(b, &b->text_scratch);
        int64_t msec;

        if (is_date_field(b) && parse_date(text, &msec))
                document_writer_date(&b->writer, msec);
        else
                document_writer_string(&b->writer, text);
}

static void put_number(Builder *b) {
        int64_t integer;
        double value;

        switch (document_number_read(b->json.slice, b->json.integer, &value, &integer)) {
        case DOCUMENT_NUMBER_DOUBLE:
                return document_writer_double(&b->writer, value);
        case DOCUMENT_NUMBER_INT64:
                return document_writer_int64(&b->writer, integer);
        case DOCUMENT_NUMBER_OUT_OF_RANGE:
                return document_writer_fail(&b->writer, DOCUMENT_NUMBER_RANGE);
        default:
                return document_writer_fail(&b->writer, -ENOMEM);
        }
}

static void put_token(Builder *b, int token) {
        switch (token) {
        case JSON_KEY:
                b->name = token_text(b, &b->name_scratch);
                return document_writer_name(&b->writer, b->name);
        case JSON_STRING:
                return put_string(b);
        case JSON_NUMBER:
                return put_number(b);
        case JSON_TRUE:
        case JSON_FALSE:
                return document_writer_bool(&b->writer, token == JSON_TRUE);
        case JSON_NULL:
                return document_writer_null(&b->writer);
        case JSON_OBJECT:
        case JSON_ARRAY:
                return document_writer_open(&b->writer, token == JSON_ARRAY);
        case JSON_OBJECT_END:
        case JSON_ARRAY_END:
                return document_writer_close(&b->writer);
        default: /* an error */
                return document_writer_fail(&b->writer, token);
        }
}

/* Writes the payload's fields at the top level of the document, in their order. What is not an object is only rejected
 * for that if the rest is valid JSON. */
static int put_payload(Builder *b) {
        bool is_object;
        int token;

        json_reader_init(&b->json, b->payload.text.data, b->payload.text.size, DOCUMENT_DEPTH_MAX);
        is_object = json_reader_next(&b->json) == JSON_OBJECT;
        while (b->writer.result == DOCUMENT_OK && (token = json_reader_next(&b->json)) != JSON_END)
                if (is_object || token < 0)
                        put_token(b, token);
        if (is_object || b->writer.result != DOCUMENT_OK)
                return explain(b);
        return reject(b, DOCUMENT_NOT_OBJECT, "JSON, but not an object");
}

/* ---- what comes with the payload ---- */

int document_id(const DocumentInput *input, Bytes *scratch, Slice *ret) {
        const WireMessage *message = input->message;
        int r;

        for (size_t i = 0; i < message->n_attributes; i++) {
                Slice value = message->attributes[i].value;

                if (slice_equal(message->attributes[i].key, input->rules->id_attribute) && value.size > 0 &&
                        value.size <= DOCUMENT_ID_MAX && bytes_is_utf8(value.data, value.size)) {
                        *ret = value;
                        return DOCUMENT_ID_GIVEN;
                }
        }
        bytes_cut(scratch, 0);
        bytes_append_format(scratch, "%s:", input->rules->subscription);
        bytes_append(scratch, message->message_id.data, message->message_id.size);
        if (input->id_by_time) {
                bytes_append(scratch, "@", 1);
                bytes_append(scratch, message->publish_time.data, message->publish_time.size);
        }
        r = bytes_result(scratch);
        if (r < 0)
                return r;
        *ret = (Slice){ scratch->data, scratch->size };
        return DOCUMENT_ID_FALLBACK;
}

/* Writes a date if the text is one, as it always is from the service; else the text. */
static void put_time(DocumentWriter *w, Slice text) {
        int64_t msec;

        if (parse_date(text, &msec))
                document_writer_date(w, msec);
        else
                document_writer_string(w, text);
}

static void put_attribute(DocumentWriter *w, Slice name, Slice value) {
        document_writer_name(w, name);
        document_writer_string(w, value);
}

/* Whether an attribute has *name* as its own, or was given it (*given* holds such names, each ended by a NUL). */
static bool is_attribute_taken(const WireMessage *message, Slice name, const Bytes *given) {
        for (size_t i = 0; i < message->n_attributes; i++)
                if (slice_same(message->attributes[i].key, name))
                        return true;
        for (const char *each = given->data, *end = given->data + given->size; each < end; each += strlen(each) + 1)
                if (slice_equal(name, each))
                        return true;
        return false;
}

/* Finds the name for an attribute that cannot keep its own, and appends it to *given*. When another attribute has that
 * name, each `_` becomes `__`, and so on: next to `a_b`, `a.b` is stored as `a__b`. */
static int give_attribute_name(const WireMessage *message, Slice name, Bytes *given, Slice *ret) {
        size_t from = given->size;

        for (unsigned width = 1;; width++) {
                int r;

                given->size = from;
                r = document_key_wide(name, width, given);
                if (r < 0)
                        return r;
                *ret = (Slice){ given->data + from, given->size - from };
                given->size = from;
                if (!is_attribute_taken(message, *ret, given))
                        break;
        }
        given->size = from + ret->size + 1; /* with the NUL after it */
        return DOCUMENT_OK;
}

/* Writes the attributes whose names must change. The others, written before, have priority, whatever the order. */
static void put_changed_attributes(Builder *b) {
        _cleanup_bytes_ Bytes given = {};

        for (size_t i = 0; b->writer.result == DOCUMENT_OK && i < b->message->n_attributes; i++) {
                const WireAttribute *attribute = &b->message->attributes[i];
                Slice name = {};

                if (document_key_is_plain(attribute->key))
                        continue;
                document_writer_fail(&b->writer, give_attribute_name(b->message, attribute->key, &given, &name));
                put_attribute(&b->writer, name, attribute->value);
        }
}

static void put_attributes(Builder *b) {
        bool changed = false;

        for (size_t i = 0; i < b->message->n_attributes; i++) {
                const WireAttribute *attribute = &b->message->attributes[i];

                if (document_key_is_plain(attribute->key))
                        put_attribute(&b->writer, attribute->key, attribute->value);
                else
                        changed = true;
        }
        if (changed)
                put_changed_attributes(b);
}

static int attribute_order(const void *a, const void *b) {
        return slice_order(((const WireAttribute *) a)->key, ((const WireAttribute *) b)->key);
}

/* Makes one sorted JSON object of the attributes, without blanks: the hash of a message without data is made of it. */
static int sorted_attributes(const WireMessage *message, Bytes *ret) {
        _cleanup_free_ WireAttribute *sorted = calloc(message->n_attributes + 1, sizeof(*sorted));

        if (!sorted)
                return -ENOMEM;
        for (size_t i = 0; i < message->n_attributes; i++)
                sorted[i] = message->attributes[i];
        qsort(sorted, message->n_attributes, sizeof(*sorted), attribute_order);
        return wire_put_attributes(ret, sorted, message->n_attributes);
}

static void put_own_string(DocumentWriter *w, const char *name, Slice text) {
        document_writer_own_name(w, name);
        document_writer_string(w, text);
}

static void put_hash(Builder *b) {
        _cleanup_bytes_ Bytes attributes = {};
        Slice data = b->payload.data;
        char hash[SHA256_HEX_SIZE];

        if (b->message->data.size == 0) {
                document_writer_fail(&b->writer, sorted_attributes(b->message, &attributes));
                data = (Slice){ attributes.data, attributes.size };
        }
        (void) sha256_hex(data.data, data.size, hash);
        put_own_string(&b->writer, "sha256", (Slice){ hash, strlen(hash) });
}

static bool is_utf8(Slice text) {
        return bytes_is_utf8(text.data, text.size);
}

/* pubsub: {message_id, publish_time, subscription, attributes, ordering_key, sha256} */
static int put_pubsub(Builder *b) {
        const WireMessage *message = b->message;
        DocumentWriter *w = &b->writer;

        if (!is_utf8(message->message_id) || !is_utf8(message->publish_time) || !is_utf8(message->ordering_key))
                return reject(b, DOCUMENT_NOT_UTF8, "the message id, publish time or ordering key is not UTF-8");
        for (size_t i = 0; i < message->n_attributes; i++)
                if (!is_utf8(message->attributes[i].key) || !is_utf8(message->attributes[i].value))
                        return reject(b, DOCUMENT_NOT_UTF8, "an attribute is not UTF-8");

        document_writer_own_name(w, "pubsub");
        document_writer_open(w, false);
        put_own_string(w, "message_id", message->message_id);
        document_writer_own_name(w, "publish_time");
        put_time(w, message->publish_time);
        put_own_string(w, "subscription", (Slice){ b->rules->subscription, strlen(b->rules->subscription) });
        document_writer_own_name(w, "attributes");
        document_writer_open(w, false);
        put_attributes(b);
        document_writer_close(w);
        if (message->ordering_key.size > 0)
                put_own_string(w, "ordering_key", message->ordering_key);
        put_hash(b);
        document_writer_close(w);
        if (w->result == DOCUMENT_DUPLICATE_KEY)
                return reject(b, DOCUMENT_DUPLICATE_KEY, "two attributes of the same name");
        return explain(b);
}

static int put_id(Builder *b) {
        Slice id;
        int r;

        r = document_id(b->input, &b->text_scratch, &id);
        if (r < 0)
                return r;
        if (!is_utf8(id))
                return reject(b, DOCUMENT_NOT_UTF8, "the message id is not UTF-8");
        put_own_string(&b->writer, "_id", id);
        return explain(b);
}

/* Opens the payload. A message with attributes only counts as an empty object. */
static int open_payload(Builder *b) {
        static const DocumentReason reasons[] = { [PAYLOAD_BAD] = DOCUMENT_NOT_JSON,
                [PAYLOAD_NOT_UTF8] = DOCUMENT_NOT_UTF8,
                [PAYLOAD_TOO_LARGE] = DOCUMENT_TOO_LARGE,
                [PAYLOAD_TOO_DEEP] = DOCUMENT_TOO_DEEP };
        int r = payload_open(b->message->data, b->rules->payload, &b->payload);

        if (r > PAYLOAD_OK)
                return reject(b, reasons[r], "%s", b->payload.problem);
        if (r == PAYLOAD_OK && b->message->data.size == 0)
                b->payload.text = (Slice){ "{}", 2 };
        return r;
}

static int build(Builder *b) {
        int r;

        if (b->message->data_bad)
                return reject(b, DOCUMENT_NOT_BASE64, "the data is not base64");
        r = open_payload(b);
        if (r != DOCUMENT_OK)
                return r;
        r = put_id(b);
        if (r != DOCUMENT_OK)
                return r;
        r = put_payload(b);
        if (r != DOCUMENT_OK)
                return r;
        r = put_pubsub(b);
        if (r != DOCUMENT_OK)
                return r;
        document_writer_own_name(&b->writer, "stored_at");
        document_writer_date(&b->writer, (int64_t) (b->input->at / USEC_PER_MSEC));
        return explain(b);
}

int document_build(const DocumentInput *input, bson_t *document, char detail[static DOCUMENT_DETAIL_SIZE]) {
        Builder b; /* not cleared: a level is set up when it is opened, and clearing all costs more than a small
                      document */
        int r;

        b.input = input;
        b.message = input->message;
        b.rules = input->rules;
        b.payload = (Payload){};
        b.name = (Slice){};
        b.name_scratch = b.text_scratch = (Bytes){};
        b.detail = detail;
        document_writer_init(&b.writer, document);

        r = build(&b);

        document_writer_done(&b.writer);
        payload_done(&b.payload);
        bytes_done(&b.name_scratch);
        bytes_done(&b.text_scratch);
        return r;
}

/* ---- comparison ---- */

/* Moves on to the next element of the payload and skips sensorqd's own fields. Writes the element's offset. */
static bool next_field(bson_iter_t *iter, uint32_t *ret_offset) {
        while (bson_iter_next(iter)) {
                const char *key = bson_iter_key(iter);

                if (strcmp(key, "pubsub") != 0 && strcmp(key, "stored_at") != 0) {
                        *ret_offset = bson_iter_offset(iter);
                        return true;
                }
        }
        return false;
}

/* Returns the bytes of the element that begins at *offset* and on which *iter* stands. */
static Slice field_bytes(const bson_t *document, const bson_iter_t *iter, uint32_t offset) {
        bson_iter_t ahead = *iter;
        uint32_t end = bson_iter_next(&ahead) ? bson_iter_offset(&ahead) : document->len - 1;

        return (Slice){ (const char *) bson_get_data(document) + offset, end - offset };
}

/* Compares as 0.1.0 did: byte by byte. */
static bool same_fields(const bson_t *a, const bson_t *b) {
        bson_iter_t left, right;
        uint32_t left_offset, right_offset;

        if (!bson_iter_init(&left, a) || !bson_iter_init(&right, b))
                return false;
        for (;;) {
                bool more = next_field(&left, &left_offset);

                if (next_field(&right, &right_offset) != more)
                        return false;
                if (!more)
                        return true;
                if (!slice_same(field_bytes(a, &left, left_offset), field_bytes(b, &right, right_offset)))
                        return false;
        }
}

bool document_same_payload(const bson_t *stored, const bson_t *document) {
        Slice there = document_text(stored, "pubsub.sha256"), ours = document_text(document, "pubsub.sha256");

        return there.size > 0 && ours.size > 0 ? slice_same(there, ours) : same_fields(stored, document);
}

bool document_same_time(const bson_t *stored, const bson_t *document) {
        bson_iter_t there, ours;

        if (!document_find(document, "pubsub.publish_time", &ours) ||
                !document_find(stored, "pubsub.publish_time", &there))
                return false;
        if (BSON_ITER_HOLDS_DATE_TIME(&there) && BSON_ITER_HOLDS_DATE_TIME(&ours))
                return bson_iter_date_time(&there) == bson_iter_date_time(&ours);
        return BSON_ITER_HOLDS_UTF8(&there) && BSON_ITER_HOLDS_UTF8(&ours) &&
               strcmp(bson_iter_utf8(&there, NULL), bson_iter_utf8(&ours, NULL)) == 0;
}
