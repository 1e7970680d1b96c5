/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON in two halves: a tree for small bodies (tokens, errors, credentials), and a strict streaming reader for bodies
 * that may be large or hostile.
 *
 * Only this module uses json-c, which makes the tree. The strict reader checks the input first, because json-c alone
 * accepts NaN, single quotes and `-01`, and cuts keys at NUL. A text has at most JSON_TREE_MAX bytes: its tree takes up
 * to 260 times as much memory. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

/* ---- a tree ---- */

#define JSON_TREE_MAX (1024 * 1024) /* 10 MB of `{},` would take 2.6 GB as a tree */
#define JSON_TREE_DEPTH 32

typedef struct json_object Json;

/* Parses the whole of *text*. -EBADMSG: not JSON, too deep, or a key with a NUL or a lone surrogate; -EFBIG: over
 * JSON_TREE_MAX; -ENOMEM. Of equal keys the last one counts. The tree of the text `null` is NULL. */
int json_parse(const char *text, size_t size, Json **ret);
Json *json_free(Json *json);
CLEANUP_DEFINE(Json, json_free)

/* Return a member, which the tree still owns. NULL when *json* is NULL or not an object, the key is not there, or its
 * value is null. */
Json *json_get(Json *json, const char *key);
/* Returns the member's text, NUL-terminated, or NULL when it is not a string or contains a NUL. */
const char *json_get_string(Json *json, const char *key);
/* Reads the member as an integer; it may be a string of digits (proto3 JSON allows both, and token endpoints send
 * both). False when it is neither or out of range; INT64_MIN counts as out of range, because json-c returns it for all
 * smaller numbers. */
bool json_get_int(Json *json, const char *key, int64_t *ret);
/* True only when the member is there and is true. */
bool json_get_flag(Json *json, const char *key);
/* Returns element *index* of an array; NULL past the end, or when *json* is not an array. */
Json *json_at(Json *json, size_t index);
/* Calls *each* for every member of an object whose value is a string without NUL. Other members are skipped. */
void json_each_string(Json *json, void (*each)(void *userdata, const char *key, const char *value), void *userdata);

/* Returns *json* as text, malloc'ed; NULL without memory. */
char *json_text(Json *json);

/* ---- streaming reader: RFC 8259 exactly, UTF-8 checked, no allocation ---- */

typedef enum JsonToken {
        JSON_END = 0, /* the value and all white space after it were read */
        JSON_OBJECT = 1,
        JSON_OBJECT_END,
        JSON_ARRAY,
        JSON_ARRAY_END,
        JSON_KEY,    /* slice: text between the quotes; the next token is its value */
        JSON_STRING, /* slice: text between the quotes. This one and those below are values without parts */
        JSON_NUMBER, /* slice: the number as written */
        JSON_TRUE,
        JSON_FALSE,
        JSON_NULL,
} JsonToken;

#define JSON_READER_DEPTH 512 /* hard limit of the bit stack; json_reader_init() takes a smaller one */

typedef struct JsonReader {
        const char *begin, *cursor, *end;
        Slice slice;  /* text of the last KEY, STRING or NUMBER, with its escapes */
        bool escaped; /* the slice has backslashes: use json_unescape() */
        bool integer; /* the NUMBER has neither fraction nor exponent */
        bool lax;     /* set after json_reader_init(): a KEY or STRING that is not UTF-8 is accepted */
        bool foreign; /* with lax: the last KEY or STRING is not UTF-8 */
        unsigned depth, max_depth;
        unsigned state;
        int token;                                  /* what json_reader_next() returned last */
        const char *start;                          /* of the last key or value */
        uint64_t is_object[JSON_READER_DEPTH / 64]; /* one bit for each open level */
} JsonReader;

/* Begins at *text*, which the caller keeps; more than *max_depth* levels are an error. */
void json_reader_init(JsonReader *r, const char *text, size_t size, unsigned max_depth);

/* Returns the next JsonToken (>= 0); -EBADMSG for a syntax error or bad UTF-8, -E2BIG beyond max_depth. After an error
 * or JSON_END, each further call returns the same. r->cursor - r->begin is the byte offset for messages. */
int json_reader_next(JsonReader *r);

/* Skips the rest of the value whose first token was just returned (nothing for scalars); after a JSON_KEY, skips its
 * value. *ret_raw* (may be NULL) gets the value's text. Errors are those of json_reader_next(); -EINVAL when the last
 * token does not start a value. */
int json_reader_skip(JsonReader *r, Slice *ret_raw);

/* Writes the text of a STRING or KEY slice without escapes to *out*, which may be the slice's own memory; it never gets
 * longer. -EBADMSG for a lone surrogate, which has no UTF-8 form. */
int json_unescape(Slice slice, char *out, size_t *ret_size);

/* True when the KEY or STRING that was just read equals *text*, escapes resolved. */
bool json_reader_equal(const JsonReader *r, const char *text);

/* True when the whole of *text* is one JSON value. *ret_byte* (may be NULL) gets the byte offset at which reading
 * stopped. */
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
