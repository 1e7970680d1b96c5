/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON Pointer (RFC 6901) over JSON text, without a tree: a result is a part of that text. A reference token `*` stands
 * for every element of an array or member of an object. Pure, no allocation. */

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"

#define POINTER_STARS_MAX 2
#define POINTER_TOKENS_MAX 32
#define POINTER_TOKEN_SIZE 256 /* of one reference token, with its NUL */

/* The key or index that one `*` stood for. */
typedef struct PointerStar {
        Slice key;    /* its text between the quotes; data is NULL for an array's element */
        size_t index; /* for an array's element */
} PointerStar;

typedef struct PointerMatch {
        Slice value; /* the value's text */
        PointerStar stars[POINTER_STARS_MAX];
        unsigned n_stars;
} PointerMatch;

/* True when *text* is a pointer: empty, or a `/` before each token; it has at most POINTER_STARS_MAX times `*`. */
bool pointer_is_valid(const char *text);
/* Reads the token after the `/` at the start of *pointer*, without escapes. Returns the rest of the pointer; NULL: that
 * is not a token. */
const char *pointer_step(const char *pointer, char token[static POINTER_TOKEN_SIZE]);
/* Returns the number of `*`. */
unsigned pointer_count_stars(const char *pointer);

/* Calls *each* for every value that *pointer* finds in *json*, in order, until one call returns other than 0; returns
 * that, or 0. *json* must be one JSON value (json_reader_next() accepted it), *pointer* must be valid. Of two equal
 * keys the first one counts. */
int pointer_each(
        Slice json, const char *pointer, int (*each)(void *userdata, const PointerMatch *match), void *userdata);

/* Finds the first value. */
bool pointer_find(Slice json, const char *pointer, Slice *ret);

/* Returns 0 if both stand for the same key, or for the same index; else which one comes first, as memcmp(3) does. */
int pointer_star_compare(const PointerStar *a, const PointerStar *b);
