/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON in two halves: a tree for small bodies (tokens, errors, credentials), and a strict streaming reader for what may
 * be large or hostile.
 *
 * The tree is json-c's, behind this door only. Input is first checked with the strict reader, because json-c alone
 * takes NaN, single quotes and `-01`, and cuts keys at NUL. At most JSON_TREE_MAX bytes: a tree takes up to 260 times
 * the text. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define JSON_TREE_MAX (1024 * 1024) /* 10 MB of `{},` would take 2.6 GB as a tree */
#define JSON_TREE_DEPTH 32

typedef struct json_object Json;

/* Parses the whole of *text*. -EBADMSG: not JSON, too deep, or a key with a NUL or a lone surrogate; -EFBIG: over
 * JSON_TREE_MAX; -ENOMEM. Of equal keys the last one counts. The tree of the text `null` is NULL. */
int json_parse(const char *text, size_t size, Json **ret);
Json *json_free(Json *json);
CLEANUP_DEFINE(Json, json_free)

/* Members, borrowed from the tree: NULL when *json* is NULL or not an object, or has no such key, or the value is null.
 */
Json *json_get(Json *json, const char *key);
/* The member's text, NUL-terminated, or NULL when it is no string or holds a NUL. */
const char *json_get_string(Json *json, const char *key);
/* The member as an integer, also from a string of digits (proto3 JSON allows both; so do token endpoints). False when
 * it is neither or out of range (INT64_MIN counts as that: json-c does not tell it from what is below). */
bool json_get_int(Json *json, const char *key, int64_t *ret);
bool json_get_bool(Json *json, const char *key, bool *ret);
/* Whether the member is there, and true. */
static inline bool json_get_flag(Json *json, const char *key) {
        bool value = false;

        return json_get_bool(json, key, &value) && value;
}
/* Element *index* of an array, or NULL past the end or when *json* is no array. */
Json *json_at(Json *json, size_t index);
/* Calls *each* for every member of an object whose value is a string (NUL-free). Others are skipped. */
void json_each_string(Json *json, void (*each)(void *userdata, const char *key, const char *value), void *userdata);

/* *json* as text, malloc'ed; NULL without memory. */
char *json_text(Json *json);

/* ---- streaming reader: RFC 8259 exactly, UTF-8 checked, no allocation ---- */

typedef enum JsonToken {
        JSON_END = 0, /* the value and all white space after it were read */
        JSON_OBJECT = 1,
        JSON_OBJECT_END,
        JSON_ARRAY,
        JSON_ARRAY_END,
        JSON_KEY,    /* slice: text between the quotes; the next token is its value */
        JSON_STRING, /* slice: text between the quotes */
        JSON_NUMBER, /* slice: the number as written */
        JSON_TRUE,
        JSON_FALSE,
        JSON_NULL,
} JsonToken;

#define JSON_READER_DEPTH 512 /* hard limit of the bit stack; json_reader_init() takes a smaller one */

typedef struct JsonReader {
        const char *begin, *cursor, *end;
        Slice slice;  /* of the last KEY, STRING or NUMBER, not unescaped */
        bool escaped; /* the slice has backslashes: json_unescape() it */
        bool integer; /* the NUMBER has neither fraction nor exponent */
        bool lax;     /* set after json_reader_init(): a KEY or STRING that is not UTF-8 is no error, but... */
        bool foreign; /* ... marked: the last one is not UTF-8 */
        unsigned depth, max_depth;
        unsigned state;
        int token;                                  /* what json_reader_next() returned last */
        uint64_t is_object[JSON_READER_DEPTH / 64]; /* one bit for each open level */
} JsonReader;

/* Begins at *text*, which stays the caller's; levels beyond *max_depth* are an error. */
void json_reader_init(JsonReader *r, const char *text, size_t size, unsigned max_depth);

/* The next JsonToken (>= 0), or -EBADMSG for a syntax error or bad UTF-8, -E2BIG beyond max_depth. After an error or
 * JSON_END every further call gives the same. r->cursor - r->begin is the byte offset for messages. */
int json_reader_next(JsonReader *r);

/* Skips the rest of the value whose first token was just returned (nothing for scalars); on a JSON_KEY, skips its
 * value. *ret_raw* (may be NULL) gets the value's text. Same errors; -EINVAL when the last token starts no value. */
int json_reader_skip(JsonReader *r, Slice *ret_raw);

/* Writes the unescaped text of a STRING or KEY slice to *out*, which may be the slice itself; never longer. -EBADMSG
 * for a lone surrogate (it has no UTF-8 form). */
int json_unescape(Slice slice, char *out, size_t *ret_size);

/* True when the KEY or STRING just read equals *text* after unescaping. */
bool json_reader_equal(const JsonReader *r, const char *text);

/* Whether the whole of *text* is one JSON value; *ret_byte* (may be NULL): where that was decided. */
static inline bool json_is_whole(Slice text, unsigned max_depth, size_t *ret_byte) {
        JsonReader reader;
        int token;

        json_reader_init(&reader, text.data, text.size, max_depth);
        do
                token = json_reader_next(&reader);
        while (token > JSON_END);
        if (ret_byte)
                *ret_byte = (size_t) (reader.cursor - reader.begin);
        return token == JSON_END;
}
