/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/document.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/json.h"
#include "lib/sha256.h"
#include "lib/text.h"
#include "subscribe/payload.h"

#define DATE_TEXT_MIN 20                         /* 2026-11-24T06:27:38Z */
#define DATE_MIN_MSEC (-INT64_C(62135596800000)) /* 0001-01-01T00:00:00Z */
#define DATE_MAX_MSEC INT64_C(253402300799999)   /* 9999-12-31T23:59:59.999Z */
#define NAME_SHOWN 64                            /* bytes of a field's name in a message */
#define ALLOCATE_MIN 1024
#define NAMES_FEW 14 /* so many names of an object are compared with each new one, more are sorted at its end */

#define OWN(name) ((Slice){ name, sizeof(name) - 1 })

/* The document is written directly into the buffer of its bson_t: libbson's own functions, which take the values as
 * variable arguments, make a reading a fifth more expensive (docs/PERFORMANCE.md). After the first failure, which
 * *result* and *detail* tell, nothing more is written: functions return false. */
typedef struct Builder {
        const DocumentInput *input;
        const WireMessage *message;
        const DocumentRules *rules;
        Payload payload;
        JsonReader json;
        Slice name;             /* of the value being read, as the publisher wrote it; empty in an array */
        Bytes plain;            /* a name without escapes */
        Bytes changed;          /* a name that cannot be stored as it is */
        Bytes text;             /* a text without escapes */
        char *data;             /* the document's buffer; NULL until something is written */
        size_t size, allocated; /* bytes written, without the closing NULs of open levels; bytes allocated */
        size_t levels;          /* open ones */
        int result;             /* DOCUMENT_OK, a reason, or a negative errno */
        char *detail;           /* DOCUMENT_DETAIL_SIZE */
        bson_t *document;
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

/* ---- failures ---- */

static bool fail(Builder *b, int result, const char *format, ...) _printf_(3, 4);

static bool fail(Builder *b, int result, const char *format, ...) {
        va_list args;

        va_start(args, format);
        text_print_list(b->detail, DOCUMENT_DETAIL_SIZE, format, args);
        va_end(args);
        b->result = result;
        return false;
}

static bool fail_here(Builder *b, int error) {
        b->result = error;
        return false;
}

/* Returns how many bytes of *name* an explanation shows: at most NAME_SHOWN, in whole characters. */
static int shown(Slice name) {
        return (int) text_cut(name.data, name.size, NAME_SHOWN);
}

static size_t place(const Builder *b) {
        return (size_t) (b->json.cursor - b->json.begin);
}

/* The reader returned an error. */
static bool fail_to_read(Builder *b, int error) {
        const Slice data = b->message->data;

        if (error == -E2BIG)
                return fail(b, DOCUMENT_TOO_DEEP, "more than %d levels at byte %zu", DOCUMENT_DEPTH_MAX, place(b));
        if (!bytes_is_utf8(data.data, data.size))
                return fail(b, DOCUMENT_NOT_UTF8, "the data is not UTF-8");
        return fail(b, DOCUMENT_NOT_JSON, "not JSON at byte %zu of %zu", place(b), data.size);
}

/* ---- fields ---- */

/* Makes room for a document of *size* bytes. The buffer may move. */
static bool grow(Builder *b, size_t size) {
        size_t wanted = size * 2 < ALLOCATE_MIN ? ALLOCATE_MIN : size * 2;
        uint8_t *data;

        if (wanted > DOCUMENT_SIZE_MAX)
                wanted = DOCUMENT_SIZE_MAX; /* put_field() never needs more */
        data = bson_reserve_buffer(b->document, (uint32_t) wanted);
        if (!data)
                return fail_here(b, -ENOMEM);
        b->data = (char *) data;
        b->allocated = wanted;
        return true;
}

/* Writes the type and name of a field. Returns where its *size* bytes are to be written; NULL after a failure. Room to
 * close all levels always remains. */
static char *put_field(Builder *b, bson_type_t type, Slice name, size_t size) {
        size_t end = b->size + 1 + name.size + 1 + size;
        char *at;

        if (end + b->levels > DOCUMENT_SIZE_MAX) {
                (void) fail(b, DOCUMENT_TOO_LARGE, "more than %d bytes as BSON", DOCUMENT_SIZE_MAX);
                return NULL;
        }
        if (end + b->levels > b->allocated && !grow(b, end + b->levels))
                return NULL;
        at = b->data + b->size;
        *at++ = (char) type;
        memcpy(at, name.data, name.size);
        at[name.size] = '\0';
        b->size = end;
        return at + name.size + 1;
}

static bool put_text(Builder *b, Slice name, Slice text) {
        char *at = put_field(b, BSON_TYPE_UTF8, name, sizeof(uint32_t) + text.size + 1);
        uint32_t size = htole32((uint32_t) text.size + 1);

        if (!at)
                return false;
        memcpy(at, &size, sizeof(size));
        at += sizeof(size);
        if (text.size > 0)
                memcpy(at, text.data, text.size);
        at[text.size] = '\0';
        return true;
}

static bool put_bits(Builder *b, bson_type_t type, Slice name, uint64_t bits) {
        char *at = put_field(b, type, name, sizeof(bits));

        bits = htole64(bits);
        return at && memcpy(at, &bits, sizeof(bits));
}

/* Completes the bytes of an object or array, to which more may be added all the same. Returns its size. */
static uint32_t seal(Builder *b, size_t begin) {
        uint32_t size = (uint32_t) (b->size + 1 - begin), length = htole32(size);

        b->data[b->size] = '\0';
        memcpy(b->data + begin, &length, sizeof(length));
        return size;
}

/* Writes an object or array, and by *put* what is in it. *begin* is its offset in the document. */
static bool put_level(Builder *b, bson_type_t type, Slice name, bool (*put)(Builder *b, size_t begin)) {
        char *at = put_field(b, type, name, sizeof(uint32_t) + 1);
        size_t begin;
        bool ok;

        if (!at)
                return false;
        begin = (size_t) (at - b->data);
        b->size--; /* its NUL is written at the end */
        b->levels++;
        ok = put(b, begin);
        (void) seal(b, begin); /* also where it is incomplete */
        b->size++;
        b->levels--;
        return ok;
}

/* A date outside the years 1 to 9999 stays text: some languages cannot represent it (Python's datetime). */
static bool parse_date(Slice text, int64_t *ret_msec) {
        return text.size >= DATE_TEXT_MIN && text.data[4] == '-' &&
               clock_parse_rfc3339(text.data, text.size, ret_msec) && *ret_msec >= DATE_MIN_MSEC &&
               *ret_msec <= DATE_MAX_MSEC;
}

/* ---- names ---- */

static bool is_changed(Slice name, size_t i) {
        return name.data[i] == '.' || name.data[i] == '\0' || (i == 0 && name.data[i] == '$');
}

bool document_key_is_plain(Slice name) {
        return name.size > 0 && name.data[0] != '$' && !memchr(name.data, '.', name.size) &&
               !memchr(name.data, '\0', name.size);
}

int document_key_wide(Slice name, unsigned width, Bytes *ret) {
        for (size_t i = 0; i < name.size || i == 0; i++)
                if (name.size > 0 && !is_changed(name, i))
                        bytes_append(ret, name.data + i, 1);
                else
                        for (unsigned k = 0; k < width; k++)
                                bytes_append(ret, "_", 1);
        return bytes_result(ret);
}

/* The names of an object so far: their number, and where the first ones stand in the document. */
typedef struct Names {
        size_t n;
        struct {
                size_t begin, size;
        } few[NAMES_FEW];
} Names;

/* Adds the name of the field that is written next. Returns false when the object, if it is small, has it already. */
static bool add_name(const Builder *b, Names *names, Slice name) {
        for (size_t i = 0; names->n <= NAMES_FEW && i < names->n; i++)
                if (names->few[i].size == name.size && memcmp(b->data + names->few[i].begin, name.data, name.size) == 0)
                        return false;
        if (names->n < NAMES_FEW) {
                names->few[names->n].begin = b->size + 1;
                names->few[names->n].size = name.size;
        }
        names->n++;
        return true;
}

static int name_order(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Checks that an object with *n* names, more than few, has none twice, with one sorted list of them: a million names
 * take a third of a second and 8 MB. DOCUMENT_OK, DOCUMENT_DUPLICATE_KEY, -ENOMEM. */
static int check_names(Builder *b, size_t begin, size_t n) {
        _cleanup_free_ const char **names = NULL;
        bson_iter_t iter;
        size_t i = 0;

        names = calloc(n, sizeof(*names));
        if (!names || !bson_iter_init_from_data(&iter, (const uint8_t *) b->data + begin, seal(b, begin)))
                return -ENOMEM;
        while (i < n && bson_iter_next(&iter))
                names[i++] = bson_iter_key(&iter);
        qsort(names, i, sizeof(*names), name_order);
        for (size_t k = 1; k < i; k++)
                if (strcmp(names[k - 1], names[k]) == 0)
                        return DOCUMENT_DUPLICATE_KEY;
        return DOCUMENT_OK;
}

/* ---- the payload ---- */

/* Removes the escapes of the KEY or STRING just read. */
static bool unescape(Builder *b, Bytes *scratch, Slice *ret) {
        bytes_cut(scratch, 0);
        if (bytes_reserve(scratch, b->json.slice.size) < 0)
                return fail_here(b, -ENOMEM);
        if (json_unescape(b->json.slice, scratch->data, &scratch->size) < 0)
                return fail(b, DOCUMENT_NOT_UTF8, "half of a surrogate pair, which has no UTF-8 form, at byte %zu",
                        place(b));
        *ret = (Slice){ scratch->data, scratch->size };
        return true;
}

static bool is_date_field(const Builder *b) {
        for (char **field = b->rules->date_fields; field && *field; field++)
                if (slice_equal(b->name, *field))
                        return true;
        return false;
}

static bool put_string(Builder *b, Slice name) {
        Slice text = b->json.slice;
        int64_t msec;

        if (b->json.escaped && !unescape(b, &b->text, &text))
                return false;
        if (parse_date(text, &msec) && is_date_field(b))
                return put_bits(b, BSON_TYPE_DATE_TIME, name, (uint64_t) msec);
        return put_text(b, name, text);
}

static bool put_number(Builder *b, Slice name) {
        int64_t integer;
        uint64_t bits;
        double value;

        switch (document_number_read(b->json.slice, b->json.integer, &value, &integer)) {
        case DOCUMENT_NUMBER_DOUBLE:
                memcpy(&bits, &value, sizeof(bits));
                return put_bits(b, BSON_TYPE_DOUBLE, name, bits);
        case DOCUMENT_NUMBER_INT64:
                return put_bits(b, BSON_TYPE_INT64, name, (uint64_t) integer);
        case DOCUMENT_NUMBER_OUT_OF_RANGE:
                return fail(
                        b, DOCUMENT_NUMBER_RANGE, "a number beyond a double or a 64-bit integer at byte %zu", place(b));
        default:
                return fail_here(b, -ENOMEM);
        }
}

static bool put_bool(Builder *b, Slice name, bool value) {
        char *at = put_field(b, BSON_TYPE_BOOL, name, 1);

        if (at)
                *at = value;
        return at;
}

static bool put_members(Builder *b, size_t begin);
static bool put_elements(Builder *b, size_t begin);

static bool put_value(Builder *b, Slice name, int token) {
        switch (token) {
        case JSON_STRING:
                return put_string(b, name);
        case JSON_NUMBER:
                return put_number(b, name);
        case JSON_TRUE:
        case JSON_FALSE:
                return put_bool(b, name, token == JSON_TRUE);
        case JSON_NULL:
                return put_field(b, BSON_TYPE_NULL, name, 0);
        case JSON_OBJECT:
                return put_level(b, BSON_TYPE_DOCUMENT, name, put_members);
        case JSON_ARRAY:
                return put_level(b, BSON_TYPE_ARRAY, name, put_elements);
        default:
                return fail_to_read(b, token);
        }
}

static bool put_elements(Builder *b, size_t begin) {
        int token;

        for (uint32_t i = 0; (token = json_reader_next(&b->json)) != JSON_ARRAY_END; i++) {
                const char *key;
                char buffer[16];
                size_t size = bson_uint32_to_string(i, &key, buffer, sizeof(buffer));

                b->name = (Slice){};
                if (!put_value(b, (Slice){ key, size }, token))
                        return false;
        }
        return true;
}

static bool is_own(Slice name) {
        return slice_equal(name, "_id") || slice_equal(name, "pubsub") || slice_equal(name, "stored_at");
}

/* Makes the name that is stored instead. At the top level, sensorqd's own names get a `_` appended. */
static bool change_name(Builder *b, Slice *name) {
        bytes_cut(&b->changed, 0);
        document_key_wide(*name, 1, &b->changed);
        if (b->json.depth == 1 && is_own((Slice){ b->changed.data, b->changed.size }))
                bytes_append(&b->changed, "_", 1);
        *name = (Slice){ b->changed.data, b->changed.size };
        return bytes_result(&b->changed) == 0 || fail_here(b, -ENOMEM);
}

static bool put_members(Builder *b, size_t begin) {
        Names names = { .n = b->json.depth == 1 }; /* `_id` */
        int r;

        while ((r = json_reader_next(&b->json)) == JSON_KEY) {
                Slice name = b->json.slice;

                if (b->json.escaped && !unescape(b, &b->plain, &name))
                        return false;
                b->name = name;
                if ((!document_key_is_plain(name) || (b->json.depth == 1 && is_own(name))) && !change_name(b, &name))
                        return false;
                if (!add_name(b, &names, name))
                        return fail(b, DOCUMENT_DUPLICATE_KEY,
                                "two fields of one object would be stored as \"%.*s\", at byte %zu", shown(name),
                                name.data, place(b));
                if (!put_value(b, name, json_reader_next(&b->json)))
                        return false;
        }
        if (r < 0)
                return fail_to_read(b, r);
        r = names.n > NAMES_FEW ? check_names(b, begin, names.n) : DOCUMENT_OK;
        if (r == DOCUMENT_DUPLICATE_KEY)
                return fail(b, r,
                        "two fields of one object would be stored under the same name, in the object that ends at byte "
                        "%zu",
                        place(b));
        return r == DOCUMENT_OK || fail_here(b, r);
}

/* Writes the payload's fields at the top level of the document, in their order. What is not an object is only rejected
 * for that if the rest is valid JSON. */
static bool put_payload(Builder *b) {
        int token;

        json_reader_init(&b->json, b->payload.text.data, b->payload.text.size, DOCUMENT_DEPTH_MAX);
        token = json_reader_next(&b->json);
        if (token == JSON_OBJECT) {
                if (!put_members(b, 0))
                        return false;
                token = json_reader_next(&b->json);
                return token == JSON_END || fail_to_read(b, token);
        }
        while (token > JSON_END)
                token = json_reader_next(&b->json);
        return token < 0 ? fail_to_read(b, token) : fail(b, DOCUMENT_NOT_OBJECT, "JSON, but not an object");
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
static bool put_time(Builder *b, Slice name, Slice text) {
        int64_t msec;

        return parse_date(text, &msec) ? put_bits(b, BSON_TYPE_DATE_TIME, name, (uint64_t) msec)
                                       : put_text(b, name, text);
}

/* Finds the name for an attribute that cannot keep its own. When another attribute has that name, each `_` becomes
 * `__`, and so on: next to `a_b`, `a.b` is stored as `a__b`. */
static bool give_attribute_name(Builder *b, size_t begin, Slice *name) {
        const Slice own = *name;
        bson_iter_t iter;

        for (unsigned width = 1;; width++) {
                bytes_cut(&b->changed, 0);
                if (document_key_wide(own, width, &b->changed) < 0)
                        return fail_here(b, -ENOMEM);
                *name = (Slice){ b->changed.data, b->changed.size };
                if (!bson_iter_init_from_data(&iter, (const uint8_t *) b->data + begin, seal(b, begin)) ||
                        !bson_iter_find_w_len(&iter, name->data, (int) name->size))
                        return true;
        }
}

static bool put_attribute(Builder *b, Names *names, Slice name, Slice value) {
        return add_name(b, names, name) ? put_text(b, name, value)
                                        : fail(b, DOCUMENT_DUPLICATE_KEY, "two attributes of the same name");
}

/* Those that keep their names come first, so that they have priority, whatever the order. */
static bool put_attributes(Builder *b, size_t begin) {
        const WireAttribute *attributes = b->message->attributes;
        size_t n_changed = 0;
        Names names = {};
        int r;

        for (size_t i = 0; i < b->message->n_attributes; i++)
                if (!document_key_is_plain(attributes[i].key))
                        n_changed++;
                else if (!put_attribute(b, &names, attributes[i].key, attributes[i].value))
                        return false;
        for (size_t i = 0; n_changed > 0; i++) {
                Slice name = attributes[i].key;

                if (document_key_is_plain(name))
                        continue;
                if (!give_attribute_name(b, begin, &name) || !put_attribute(b, &names, name, attributes[i].value))
                        return false;
                n_changed--;
        }
        r = names.n > NAMES_FEW ? check_names(b, begin, names.n) : DOCUMENT_OK;
        if (r == DOCUMENT_DUPLICATE_KEY)
                return fail(b, r, "two attributes of the same name");
        return r == DOCUMENT_OK || fail_here(b, r);
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

static bool put_hash(Builder *b) {
        _cleanup_bytes_ Bytes attributes = {};
        Slice data = b->payload.data;
        char hash[SHA256_HEX_SIZE];

        if (b->message->data.size == 0) {
                if (sorted_attributes(b->message, &attributes) < 0)
                        return fail_here(b, -ENOMEM);
                data = (Slice){ attributes.data, attributes.size };
        }
        (void) sha256_hex(data.data, data.size, hash);
        return put_text(b, OWN("sha256"), (Slice){ hash, strlen(hash) });
}

/* pubsub: {message_id, publish_time, subscription, attributes, ordering_key, sha256} */
static bool put_pubsub(Builder *b, size_t begin) {
        const WireMessage *message = b->message;
        const Slice subscription = { b->rules->subscription, strlen(b->rules->subscription) };

        return put_text(b, OWN("message_id"), message->message_id) &&
               put_time(b, OWN("publish_time"), message->publish_time) &&
               put_text(b, OWN("subscription"), subscription) &&
               put_level(b, BSON_TYPE_DOCUMENT, OWN("attributes"), put_attributes) &&
               (message->ordering_key.size == 0 || put_text(b, OWN("ordering_key"), message->ordering_key)) &&
               put_hash(b);
}

static bool is_utf8(Slice text) {
        return bytes_is_utf8(text.data, text.size);
}

static bool check_texts(Builder *b) {
        const WireMessage *message = b->message;

        if (!is_utf8(message->message_id) || !is_utf8(message->publish_time) || !is_utf8(message->ordering_key))
                return fail(b, DOCUMENT_NOT_UTF8, "the message id, publish time or ordering key is not UTF-8");
        for (size_t i = 0; i < message->n_attributes; i++)
                if (!is_utf8(message->attributes[i].key) || !is_utf8(message->attributes[i].value))
                        return fail(b, DOCUMENT_NOT_UTF8, "an attribute is not UTF-8");
        return true;
}

static bool put_id(Builder *b) {
        Slice id;

        if (document_id(b->input, &b->text, &id) < 0)
                return fail_here(b, -ENOMEM);
        if (!is_utf8(id))
                return fail(b, DOCUMENT_NOT_UTF8, "the message id is not UTF-8");
        return put_text(b, OWN("_id"), id);
}

/* Opens the payload. A message with attributes only counts as an empty object. */
static bool open_payload(Builder *b) {
        static const DocumentReason reasons[] = { [PAYLOAD_BAD] = DOCUMENT_NOT_JSON,
                [PAYLOAD_NOT_UTF8] = DOCUMENT_NOT_UTF8,
                [PAYLOAD_TOO_LARGE] = DOCUMENT_TOO_LARGE,
                [PAYLOAD_TOO_DEEP] = DOCUMENT_TOO_DEEP };
        int r;

        if (b->message->data_bad)
                return fail(b, DOCUMENT_NOT_BASE64, "the data is not base64");
        r = payload_open(b->message->data, b->rules->payload, &b->payload);
        if (r > PAYLOAD_OK)
                return fail(b, (int) reasons[r], "%s", b->payload.problem);
        if (b->message->data.size == 0)
                b->payload.text = (Slice){ "{}", 2 };
        return r == PAYLOAD_OK || fail_here(b, r);
}

int document_build(const DocumentInput *input, bson_t *document, char detail[static DOCUMENT_DETAIL_SIZE]) {
        Builder b = { .input = input,
                .message = input->message,
                .rules = input->rules,
                .size = sizeof(uint32_t),
                .levels = 1,
                .detail = detail,
                .document = document };

        (void) (open_payload(&b) && put_id(&b) && put_payload(&b) && check_texts(&b) &&
                put_level(&b, BSON_TYPE_DOCUMENT, OWN("pubsub"), put_pubsub) &&
                put_bits(&b, BSON_TYPE_DATE_TIME, OWN("stored_at"), input->at / USEC_PER_MSEC));
        if (b.data)
                document->len = seal(&b, 0);
        payload_done(&b.payload);
        bytes_done(&b.plain);
        bytes_done(&b.changed);
        bytes_done(&b.text);
        return b.result;
}
