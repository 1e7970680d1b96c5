/* SPDX-License-Identifier: Apache-2.0 */
/* The other forms in which a message is stored: the document for the rejected collection, and JSON text; and whether
 * what is stored is the same message. Pure. */
#include "sinks/document.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ATTRIBUTES_PLAIN_MAX 256 /* the service allows 100 */
#define NUMBER_SIZE 40
#define EXACT_INTEGER_MAX 9007199254740992.0 /* 2^53: every integer up to here is exact in a double */
#define DECIMALS_MAX 9

/* ---- the rejected: written without the rules of document.c, because that must always be possible ---- */

static bool append_text(bson_t *bson, const char *key, Slice text) {
        if (bytes_is_utf8(text.data, text.size))
                return bson_append_utf8(bson, key, -1, text.size > 0 ? text.data : "", (int) text.size);
        return bson_append_binary(
                bson, key, -1, BSON_SUBTYPE_BINARY, (const uint8_t *) text.data, (uint32_t) text.size);
}

static bool append_time(bson_t *bson, const char *key, Slice text) {
        int64_t msec;

        if (text.size > 0 && clock_parse_rfc3339(text.data, text.size, &msec))
                return bson_append_date_time(bson, key, -1, msec);
        return append_text(bson, key, text);
}

/* Whether all attributes can be fields of an object unchanged. */
static bool attributes_are_plain(const WireMessage *message) {
        if (message->n_attributes > ATTRIBUTES_PLAIN_MAX)
                return false;
        for (size_t i = 0; i < message->n_attributes; i++) {
                Slice name = message->attributes[i].key, value = message->attributes[i].value;

                if (!bytes_is_utf8(name.data, name.size) || !bytes_is_utf8(value.data, value.size) ||
                        !document_key_is_plain(name))
                        return false;
                for (size_t k = 0; k < i; k++)
                        if (slice_same(message->attributes[k].key, name))
                                return false;
        }
        return true;
}

static bool append_attribute_object(bson_t *pubsub, const WireMessage *message) {
        bson_t object;

        if (!bson_append_document_begin(pubsub, "attributes", -1, &object))
                return false;
        for (size_t i = 0; i < message->n_attributes; i++) {
                const WireAttribute *attribute = &message->attributes[i];

                if (!bson_append_utf8(&object, attribute->key.data, (int) attribute->key.size,
                            attribute->value.size > 0 ? attribute->value.data : "", (int) attribute->value.size))
                        return false;
        }
        return bson_append_document_end(pubsub, &object);
}

static bool append_attribute_list(bson_t *pubsub, const WireMessage *message) {
        bson_t list, element;

        if (!bson_append_array_begin(pubsub, "attributes", -1, &list))
                return false;
        for (size_t i = 0; i < message->n_attributes; i++) {
                const char *key;
                char buffer[16];

                (void) bson_uint32_to_string((uint32_t) i, &key, buffer, sizeof(buffer));
                if (!bson_append_document_begin(&list, key, -1, &element) ||
                        !append_text(&element, "name", message->attributes[i].key) ||
                        !append_text(&element, "value", message->attributes[i].value) ||
                        !bson_append_document_end(&list, &element))
                        return false;
        }
        return bson_append_array_end(pubsub, &list);
}

static bool append_pubsub(bson_t *document, const WireMessage *message, const DocumentRules *rules) {
        bson_t pubsub;

        return bson_append_document_begin(document, "pubsub", -1, &pubsub) &&
               append_text(&pubsub, "message_id", message->message_id) &&
               append_time(&pubsub, "publish_time", message->publish_time) &&
               bson_append_utf8(&pubsub, "subscription", -1, rules->subscription, -1) &&
               (attributes_are_plain(message) ? append_attribute_object(&pubsub, message)
                                              : append_attribute_list(&pubsub, message)) &&
               (message->ordering_key.size == 0 || append_text(&pubsub, "ordering_key", message->ordering_key)) &&
               bson_append_document_end(document, &pubsub);
}

int document_rejected_id(const DocumentInput *input, Bytes *scratch, Slice *ret) {
        const WireMessage *message = input->message;
        const WireMessage nameless = { .message_id = message->message_id, .publish_time = message->publish_time };
        const DocumentInput bare = { .message = &nameless, .rules = input->rules, .id_by_time = input->id_by_time };

        return document_id(&bare, scratch, ret);
}

int document_build_rejected(const DocumentInput *input, const char *reason, const char *detail, bson_t *document) {
        const WireMessage *message = input->message;
        _cleanup_bytes_ Bytes scratch = {};
        Slice id;
        bool ok;

        if (document_rejected_id(input, &scratch, &id) < 0)
                return -ENOMEM;
        ok = append_text(document, "_id", id) && bson_append_utf8(document, "reason", -1, reason, -1) &&
             append_text(document, "detail", (Slice){ detail, strlen(detail) }) &&
             bson_append_binary(document, "data", -1, BSON_SUBTYPE_BINARY,
                     (const uint8_t *) (message->data.size > 0 ? message->data.data : ""),
                     (uint32_t) message->data.size) &&
             append_pubsub(document, message, input->rules) &&
             bson_append_date_time(document, "rejected_at", -1, (int64_t) (input->at / USEC_PER_MSEC));
        return ok ? 0 : -ENOMEM;
}

/* ---- comparing ---- */

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

/* Compares as 0.1.0 did: byte by byte. (bson_copy_to_excluding_noinit() aborts where a value is broken.) */
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
        int64_t then, now;

        if (document_date(stored, "pubsub.publish_time", &then) && document_date(document, "pubsub.publish_time", &now))
                return then == now;
        if (!document_find(document, "pubsub.publish_time", &ours) ||
                !document_find(stored, "pubsub.publish_time", &there))
                return false;
        return BSON_ITER_HOLDS_UTF8(&there) && BSON_ITER_HOLDS_UTF8(&ours) &&
               strcmp(bson_iter_utf8(&there, NULL), bson_iter_utf8(&ours, NULL)) == 0;
}

Slice document_data(const bson_t *document) {
        const uint8_t *data = (const uint8_t *) "";
        bson_subtype_t subtype;
        bson_iter_t iter;
        uint32_t size = 0;

        if (bson_iter_init_find(&iter, document, "data") && BSON_ITER_HOLDS_BINARY(&iter))
                bson_iter_binary(&iter, &subtype, &size, &data);
        return (Slice){ (const char *) data, size };
}

bool document_same_data(const bson_t *stored, const bson_t *document) {
        bson_iter_t iter;

        return bson_iter_init_find(&iter, stored, "data") && BSON_ITER_HOLDS_BINARY(&iter) &&
               slice_same(document_data(stored), document_data(document));
}

/* ---- JSON text of the same document: a line of a file sink, or an element of a webhook's array ---- */

/* The same rules decide what can be stored, and the names of fields. */

static size_t put_digits(uint64_t value, char *buffer) {
        char digits[24];
        size_t n = 0;

        do
                digits[n++] = (char) ('0' + value % 10);
        while ((value /= 10) > 0);
        for (size_t i = 0; i < n; i++)
                buffer[i] = digits[n - 1 - i];
        return n;
}

/* Writes a number like 23.1 or 7: an integer of at most 53 bits divided by a small power of ten. Both are exact
 * doubles, so a reader of the text gets the same double. Returns the size; 0: the number cannot be written so. */
static size_t short_number(double value, char *buffer) {
        double magnitude = fabs(value), power = 1, scaled;
        size_t size = 0, decimals = 0, whole;
        uint64_t integer;

        for (; decimals <= DECIMALS_MAX; decimals++, power *= 10) {
                scaled = magnitude * power;
                if (scaled > EXACT_INTEGER_MAX)
                        return 0;
                scaled = (double) (uint64_t) (scaled + 0.5);
                if (scaled / power == magnitude) /* NOLINT: exact, see above */
                        break;
        }
        if (decimals > DECIMALS_MAX)
                return 0;
        integer = (uint64_t) scaled;
        if (signbit(value))
                buffer[size++] = '-';
        whole = (size_t) (uint64_t) power;
        size += put_digits(integer / whole, buffer + size);
        if (decimals == 0)
                return size;
        buffer[size++] = '.';
        integer %= whole;
        for (whole /= 10; whole > 0; integer %= whole, whole /= 10)
                buffer[size++] = (char) ('0' + integer / whole);
        return size;
}

/* Replaces the locale's decimal point, which a library may have set, by JSON's. */
static void mend_point(char *text) {
        for (; *text; text++)
                if (*text != '-' && *text != '+' && *text != 'e' && (*text < '0' || *text > '9'))
                        *text = '.';
}

static int put_double(double value, Bytes *ret) {
        char buffer[NUMBER_SIZE];
        size_t size;

        if (!isfinite(value)) /* never of ours */
                return bytes_append_text(ret, "null");
        size = short_number(value, buffer);
        if (size > 0)
                return bytes_append(ret, buffer, size);
        for (int digits = 15; digits <= 17; digits++) {
                (void) snprintf(buffer, sizeof(buffer), "%.*g", digits, value);
                if (digits == 17 || strtod(buffer, NULL) == value)
                        break;
        }
        mend_point(buffer);
        return bytes_append_text(ret, buffer);
}

static int put_date(int64_t msec, Bytes *ret) {
        char text[96]; /* enough for any struct tm */
        time_t second = (time_t) (msec / 1000 - (msec % 1000 < 0));
        struct tm tm;

        if (msec >= 0)
                (void) clock_format_rfc3339((usec_t) msec * USEC_PER_MSEC, text);
        else if (!gmtime_r(&second, &tm))
                return bytes_append_text(ret, "null");
        else
                (void) snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                        (int) ((msec % 1000 + 1000) % 1000));
        return bytes_append_json_string(ret, text, strlen(text));
}

static int put_members(bson_iter_t *iter, bool array, unsigned depth, Bytes *ret);

/* What document.c does not make, deeper levels or another type, becomes null: others may write to the collection. */
static int put_below(const bson_iter_t *iter, bool array, unsigned depth, Bytes *ret) {
        bson_iter_t below;

        if (depth == DOCUMENT_DEPTH_MAX || !bson_iter_recurse(iter, &below))
                return bytes_append_text(ret, "null");
        return put_members(&below, array, depth, ret);
}

static int put_value(const bson_iter_t *iter, unsigned depth, Bytes *ret) {
        const char *text;
        uint32_t size;

        switch (bson_iter_type_unsafe(iter)) {
        case BSON_TYPE_UTF8:
                text = bson_iter_utf8(iter, &size);
                return bytes_append_json_string(ret, text, size);
        case BSON_TYPE_DOUBLE:
                return put_double(bson_iter_double(iter), ret);
        case BSON_TYPE_INT32:
        case BSON_TYPE_INT64:
                return bytes_append_format(ret, "%" PRIi64, bson_iter_as_int64(iter));
        case BSON_TYPE_BOOL:
                return bytes_append_text(ret, bson_iter_bool(iter) ? "true" : "false");
        case BSON_TYPE_DATE_TIME:
                return put_date(bson_iter_date_time(iter), ret);
        case BSON_TYPE_DOCUMENT:
                return put_below(iter, false, depth + 1, ret);
        case BSON_TYPE_ARRAY:
                return put_below(iter, true, depth + 1, ret);
        default:
                return bytes_append_text(ret, "null");
        }
}

static void put_key(const bson_iter_t *iter, Bytes *ret) {
        bytes_append_json_string(ret, bson_iter_key(iter), bson_iter_key_len(iter));
        bytes_append(ret, ":", 1);
}

static int put_members(bson_iter_t *iter, bool array, unsigned depth, Bytes *ret) {
        bool first = true;

        bytes_append(ret, array ? "[" : "{", 1);
        while (bson_iter_next(iter)) {
                if (!first)
                        bytes_append(ret, ",", 1);
                first = false;
                if (!array)
                        put_key(iter, ret);
                put_value(iter, depth, ret);
        }
        return bytes_append(ret, array ? "]" : "}", 1);
}

int document_put_json(const bson_t *document, Bytes *ret) {
        bson_iter_t iter;

        return bson_iter_init(&iter, document) ? put_members(&iter, false, 0, ret) : bytes_fail(ret, -ENOMEM);
}

int document_json(const DocumentInput *input, bson_t *document, Bytes *ret, char detail[static DOCUMENT_DETAIL_SIZE]) {
        size_t before = ret->size;
        int r;

        bson_reinit(document);
        r = document_build(input, document, detail);
        if (r != DOCUMENT_OK)
                return r;
        r = document_put_json(document, ret);
        if (r == 0)
                return DOCUMENT_OK;
        bytes_cut(ret, before);
        return r;
}
