/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/document.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "lib/crypto.h"
#include "lib/json.h"
#include "lib/text.h"
#include "subscribe/payload.h"

#define DATE_TEXT_MIN 20                         /* 2026-11-24T06:27:38Z */
#define DATE_MIN_MSEC (-INT64_C(62135596800000)) /* 0001-01-01T00:00:00Z */
#define DATE_MAX_MSEC INT64_C(253402300799999)   /* 9999-12-31T23:59:59.999Z */
#define EXACT_INTEGER_MAX (INT64_C(1) << 53)     /* every integer up to here is exact in a double */
#define NAME_SHOWN 64                            /* bytes of a field's name in a message */
#define ALLOCATE_MIN 1024
#define NAMES_FEW 14 /* so many names of an object are compared with each new one, more are sorted at its end */

#define NAME(text) ((Slice){ text, sizeof(text) - 1 })

/* An object or array that is being written; the first one is the document. */
typedef struct Level {
        size_t begin; /* its offset in the document */
        bool array;   /* the names of its fields are their indexes */
        size_t n;     /* fields so far */
        struct {
                size_t begin, size;
        } few[NAMES_FEW]; /* where the names of the first ones stand in the document */
} Level;

/* The document is written in one pass, directly into the buffer of its bson_t: libbson's own functions, which take the
 * values as variable arguments, make a reading a fifth more expensive (docs/PERFORMANCE.md). A function that returns
 * false has failed, and *result* and *detail* tell why: nothing more is written then. */
typedef struct Builder {
        const DocumentInput *input;
        const WireMessage *message;
        const DocumentRules *rules;
        Payload payload;
        JsonReader json;
        Slice key;              /* of the next value, as the publisher wrote it ... */
        Slice name;             /* ... and as it is stored */
        Bytes plain;            /* a key without escapes */
        Bytes changed;          /* a name that cannot be stored as it is */
        Bytes text;             /* a text without escapes */
        char *data;             /* the document's buffer; NULL until something is written */
        size_t size, allocated; /* bytes written, without the closing NULs of open levels; bytes allocated */
        Level *levels;          /* open ones */
        size_t n_levels;
        locale_t c_locale; /* a library may have set another, with a comma in numbers */
        int result;        /* DOCUMENT_OK, a reason, or a negative errno */
        char *detail;      /* DOCUMENT_DETAIL_SIZE */
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

static _printf_(3, 4) bool fail(Builder *b, int result, const char *format, ...) {
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
        return fail(b, DOCUMENT_NOT_JSON, "not JSON at byte %zu of %zu%s", place(b), data.size,
                data.size > 1 && data.data[0] == '{' && data.data[1] == '\''
                        ? ", but a Python dict: `payload: python` reads it"
                        : "");
}

/* Neither of two values may vanish. The name is shown in whole characters. */
static bool fail_twice(Builder *b, Slice name) {
        return fail(b, DOCUMENT_DUPLICATE_KEY, "two fields of one object would be stored as \"%.*s\"",
                (int) text_cut(name.data, name.size, NAME_SHOWN), name.data);
}

/* ---- fields and levels ---- */

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

/* Writes a field of the innermost level: the bytes of *value* as they are, but a text with its size before and a NUL
 * behind it. Room to close all levels always remains. */
static bool put_field(Builder *b, bson_type_t type, Slice name, Slice value) {
        Level *level = &b->levels[b->n_levels - 1];
        const bool text = type == BSON_TYPE_UTF8;
        const uint32_t text_size = htole32((uint32_t) value.size + 1);
        char index[16], *at;
        size_t few = level->array || level->n > NAMES_FEW ? 0 : level->n, end;

        if (level->array)
                name.size = bson_uint32_to_string((uint32_t) level->n, &name.data, index, sizeof(index));
        for (size_t i = 0; i < few; i++)
                if (level->few[i].size == name.size && memcmp(b->data + level->few[i].begin, name.data, name.size) == 0)
                        return fail_twice(b, name);
        end = b->size + 1 + name.size + 1 + value.size + (text ? sizeof(text_size) + 1 : 0);
        if (end + b->n_levels > DOCUMENT_SIZE_MAX)
                return fail(b, DOCUMENT_TOO_LARGE, "more than %d bytes as BSON", DOCUMENT_SIZE_MAX);
        if (end + b->n_levels > b->allocated && !grow(b, end + b->n_levels))
                return false;
        if (level->n < NAMES_FEW) {
                level->few[level->n].begin = b->size + 1;
                level->few[level->n].size = name.size;
        }
        level->n++;

        at = b->data + b->size;
        *at++ = (char) type;
        at = mempcpy(at, name.data, name.size);
        *at++ = '\0';
        if (text)
                at = mempcpy(at, &text_size, sizeof(text_size));
        if (value.size > 0)
                at = mempcpy(at, value.data, value.size);
        if (text)
                *at = '\0';
        b->size = end;
        return true;
}

/* Writes a date if the text is one, else the text. A date outside the years 1 to 9999 stays text: some languages cannot
 * represent it (Python's datetime). */
static bool put_time(Builder *b, Slice name, Slice text) {
        int64_t msec;

        if (text.size < DATE_TEXT_MIN || text.data[4] != '-' || !clock_parse_rfc3339(text.data, text.size, &msec) ||
                msec < DATE_MIN_MSEC || msec > DATE_MAX_MSEC)
                return put_field(b, BSON_TYPE_UTF8, name, text);
        msec = (int64_t) htole64((uint64_t) msec);
        return put_field(b, BSON_TYPE_DATE_TIME, name, (Slice){ (const char *) &msec, sizeof(msec) });
}

/* Begins an object or array, to which the fields belong that are put until end_level(). */
static bool open_level(Builder *b, bson_type_t type, Slice name) {
        static const char size_and_end[sizeof(uint32_t) + 1];
        Level *level = &b->levels[b->n_levels];

        if (!put_field(b, type, name, (Slice){ size_and_end, sizeof(size_and_end) }))
                return false;
        b->size--; /* its end, a NUL, follows what is put in it */
        level->begin = b->size - sizeof(uint32_t);
        level->array = type == BSON_TYPE_ARRAY;
        level->n = 0;
        b->n_levels++;
        return true;
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

static int name_order(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Begins to read the innermost level as far as it is written. */
static bool read_level(const Builder *b, bson_iter_t *ret) {
        const size_t begin = b->levels[b->n_levels - 1].begin, size = b->size + 1 - begin;
        const uint32_t length = htole32((uint32_t) size);

        b->data[b->size] = '\0';
        memcpy(b->data + begin, &length, sizeof(length));
        return bson_iter_init_from_data(ret, (const uint8_t *) b->data + begin, size);
}

/* Checks that the innermost level has no name twice, with one sorted list of them: a million names take a third of a
 * second and 8 MB. */
static bool check_names(Builder *b) {
        const Level *level = &b->levels[b->n_levels - 1];
        _cleanup_free_ const char **names = NULL;
        bson_iter_t iter;
        size_t n = 0;

        names = calloc(level->n, sizeof(*names));
        if (!names || !read_level(b, &iter))
                return fail_here(b, -ENOMEM);
        while (n < level->n && bson_iter_next(&iter))
                names[n++] = bson_iter_key(&iter);
        qsort(names, n, sizeof(*names), name_order);
        for (size_t i = 1; i < n; i++)
                if (strcmp(names[i - 1], names[i]) == 0)
                        return fail_twice(b, slice_of(names[i]));
        return true;
}

/* Ends the innermost level. */
static bool end_level(Builder *b) {
        const Level *level = &b->levels[b->n_levels - 1];
        uint32_t size = htole32((uint32_t) (b->size + 1 - level->begin));

        if (!level->array && level->n > NAMES_FEW && !check_names(b))
                return false;
        b->data[b->size++] = '\0';
        memcpy(b->data + level->begin, &size, sizeof(size));
        b->n_levels--;
        return true;
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
        *ret = bytes_slice(scratch);
        return true;
}

/* Takes the KEY just read. At the top level, sensorqd's own names get a `_` appended. */
static bool take_key(Builder *b) {
        static const Slice own[] = { NAME("_id"), NAME("pubsub"), NAME("stored_at") };

        b->key = b->json.slice;
        if (b->json.escaped && !unescape(b, &b->plain, &b->key))
                return false;
        b->name = b->key;
        if (!document_key_is_plain(b->name)) {
                bytes_cut(&b->changed, 0);
                document_key_wide(b->key, 1, &b->changed);
                b->name = bytes_slice(&b->changed);
        }
        for (size_t i = 0; b->json.depth == 1 && i < ELEMENTSOF(own); i++)
                if (slice_same(b->name, own[i])) {
                        bytes_cut(&b->changed, 0);
                        bytes_append_format(&b->changed, "%s_", own[i].data);
                        b->name = bytes_slice(&b->changed);
                        break;
                }
        return bytes_result(&b->changed) == 0 || fail_here(b, -ENOMEM);
}

static bool put_string(Builder *b) {
        const bool array = b->levels[b->n_levels - 1].array;
        Slice text = b->json.slice;

        if (b->json.escaped && !unescape(b, &b->text, &text))
                return false;
        if (text.size >= DATE_TEXT_MIN && !array)
                for (char **field = b->rules->date_fields; field && *field; field++)
                        if (slice_equal(b->key, *field))
                                return put_time(b, b->name, text);
        return put_field(b, BSON_TYPE_UTF8, b->name, text);
}

/* A number becomes the nearest double: one that is too small becomes 0, and `-0` keeps its sign. But an integer beyond
 * 2^53, where doubles are not exact, becomes an int64. */
static bool put_number(Builder *b) {
        const char *text = b->json.slice.data;
        bson_type_t type = BSON_TYPE_DOUBLE;
        int64_t integer = 0;
        uint64_t bits;
        double value;

        if (b->json.cursor == b->json.end || !strchr(",]} \t\r\n", *b->json.cursor))
                return fail_to_read(b, -EBADMSG); /* strtod() would read on: "0x1", or beyond the end of the data */
        errno = 0;
        if (b->json.integer)
                integer = strtoll(text, NULL, 10);
        if (errno != 0)
                value = INFINITY;
        else
                value = integer != 0 ? (double) integer : strtod_l(text, NULL, b->c_locale);
        if (!isfinite(value))
                return fail(
                        b, DOCUMENT_NUMBER_RANGE, "a number beyond a double or a 64-bit integer at byte %zu", place(b));
        memcpy(&bits, &value, sizeof(bits));
        if (integer > EXACT_INTEGER_MAX || integer < -EXACT_INTEGER_MAX) {
                type = BSON_TYPE_INT64;
                bits = (uint64_t) integer;
        }
        bits = htole64(bits);
        return put_field(b, type, b->name, (Slice){ (const char *) &bits, sizeof(bits) });
}

/* Writes the payload's fields at the top level of the document, in their order. */
static bool put_fields(Builder *b) {
        bool ok = true;

        while (ok) {
                int token = json_reader_next(&b->json);

                switch (token) {
                case JSON_KEY:
                        ok = take_key(b);
                        break;
                case JSON_STRING:
                        ok = put_string(b);
                        break;
                case JSON_NUMBER:
                        ok = put_number(b);
                        break;
                case JSON_TRUE:
                case JSON_FALSE:
                        ok = put_field(b, BSON_TYPE_BOOL, b->name, (Slice){ token == JSON_TRUE ? "\1" : "\0", 1 });
                        break;
                case JSON_NULL:
                        ok = put_field(b, BSON_TYPE_NULL, b->name, (Slice){});
                        break;
                case JSON_OBJECT:
                case JSON_ARRAY:
                        ok = open_level(b, token == JSON_OBJECT ? BSON_TYPE_DOCUMENT : BSON_TYPE_ARRAY, b->name);
                        break;
                case JSON_OBJECT_END:
                case JSON_ARRAY_END:
                        ok = b->json.depth == 0 || end_level(b); /* more is added to the document itself */
                        break;
                case JSON_END:
                        return true;
                default:
                        return fail_to_read(b, token);
                }
        }
        return false;
}

/* What is not an object is only rejected for that if the rest is valid JSON. */
static bool put_payload(Builder *b) {
        int token;

        json_reader_init(&b->json, b->payload.text.data, b->payload.text.size, DOCUMENT_DEPTH_MAX);
        token = json_reader_next(&b->json);
        if (token == JSON_OBJECT)
                return put_fields(b);
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

/* Finds the name for an attribute that cannot keep its own. When another attribute has that name, each `_` becomes
 * `__`, and so on: next to `a_b`, `a.b` is stored as `a__b`. */
static bool give_attribute_name(Builder *b, Slice *name) {
        const Slice own = *name;
        bson_iter_t iter;

        for (unsigned width = 1;; width++) {
                bytes_cut(&b->changed, 0);
                if (document_key_wide(own, width, &b->changed) < 0)
                        return fail_here(b, -ENOMEM);
                *name = bytes_slice(&b->changed);
                if (!read_level(b, &iter) || !bson_iter_find_w_len(&iter, name->data, (int) name->size))
                        return true;
        }
}

/* Those that keep their names come first, so that they have priority, whatever the order. */
static bool put_attributes(Builder *b) {
        const WireAttribute *attributes = b->message->attributes;
        size_t n_changed = 0;

        if (!open_level(b, BSON_TYPE_DOCUMENT, NAME("attributes")))
                return false;
        for (size_t i = 0; i < b->message->n_attributes; i++) {
                const Slice name = attributes[i].key, value = attributes[i].value;

                if (!bytes_is_utf8(name.data, name.size) || !bytes_is_utf8(value.data, value.size))
                        return fail(b, DOCUMENT_NOT_UTF8, "an attribute is not UTF-8");
                if (!document_key_is_plain(name))
                        n_changed++;
                else if (!put_field(b, BSON_TYPE_UTF8, name, value))
                        return false;
        }
        for (size_t i = 0; n_changed > 0; i++) {
                Slice name = attributes[i].key;

                if (document_key_is_plain(name))
                        continue;
                if (!give_attribute_name(b, &name) || !put_field(b, BSON_TYPE_UTF8, name, attributes[i].value))
                        return false;
                n_changed--;
        }
        return end_level(b);
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
                data = bytes_slice(&attributes);
        }
        (void) crypto_sha256_hex(data.data, data.size, hash);
        return put_field(b, BSON_TYPE_UTF8, NAME("sha256"), slice_of(hash));
}

/* pubsub: {message_id, publish_time, subscription, attributes, ordering_key, sha256} */
static bool put_pubsub(Builder *b) {
        const WireMessage *message = b->message;

        return open_level(b, BSON_TYPE_DOCUMENT, NAME("pubsub")) &&
               put_field(b, BSON_TYPE_UTF8, NAME("message_id"), message->message_id) &&
               put_time(b, NAME("publish_time"), message->publish_time) &&
               put_field(b, BSON_TYPE_UTF8, NAME("subscription"), slice_of(b->rules->subscription)) &&
               put_attributes(b) &&
               (message->ordering_key.size == 0 ||
                       put_field(b, BSON_TYPE_UTF8, NAME("ordering_key"), message->ordering_key)) &&
               put_hash(b) && end_level(b);
}

static bool put_id(Builder *b) {
        const Slice texts[] = { b->message->message_id, b->message->publish_time, b->message->ordering_key };
        Slice id;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (!bytes_is_utf8(texts[i].data, texts[i].size))
                        return fail(b, DOCUMENT_NOT_UTF8, "the message id, publish time or ordering key is not UTF-8");
        if (document_id(b->input, &b->text, &id) < 0)
                return fail_here(b, -ENOMEM);
        return put_field(b, BSON_TYPE_UTF8, NAME("_id"), id);
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
        const uint64_t at = htole64(input->at / USEC_PER_MSEC);
        Level levels[DOCUMENT_DEPTH_MAX]; /* of sensorqd's own there are three */
        Builder b = { .input = input,
                .message = input->message,
                .rules = input->rules,
                .size = sizeof(uint32_t),
                .levels = levels,
                .n_levels = 1,
                .c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0),
                .detail = detail,
                .document = document };

        if (!b.c_locale)
                return -ENOMEM;
        levels[0].begin = levels[0].n = 0;
        levels[0].array = false;
        if (open_payload(&b) && put_id(&b) && put_payload(&b) && put_pubsub(&b) &&
                put_field(&b, BSON_TYPE_DATE_TIME, NAME("stored_at"), (Slice){ (const char *) &at, sizeof(at) }) &&
                end_level(&b))
                document->len = (uint32_t) b.size;
        else {
                bson_destroy(document); /* its buffer may be large */
                bson_init(document);
        }
        freelocale(b.c_locale);
        payload_done(&b.payload);
        bytes_done(&b.plain);
        bytes_done(&b.changed);
        bytes_done(&b.text);
        return b.result;
}
