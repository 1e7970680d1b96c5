/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON Pointer (RFC 6901) over JSON text, without a tree: what is found is a stretch of that text. A reference token
 * `*` stands for every element of an array or member of an object. Pure, no allocation. */

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"

#define POINTER_STARS_MAX 2
#define POINTER_TOKENS_MAX 32
#define POINTER_TOKEN_SIZE 256 /* of one reference token, with its NUL */

/* What one `*` stood for. */
typedef struct PointerStar {
        Slice key;    /* as it stands between the quotes; data is NULL for an array's element */
        size_t index; /* of an array's element */
} PointerStar;

typedef struct PointerMatch {
        Slice value; /* the value's text */
        PointerStar stars[POINTER_STARS_MAX];
        unsigned n_stars;
} PointerMatch;

/* Whether *text* is a pointer: empty, or `/` before each token; at most POINTER_STARS_MAX times `*`. */
bool pointer_is_valid(const char *text);
/* How many `*` it has. */
unsigned pointer_count_stars(const char *pointer);

/* Calls *each* for every value that *pointer* finds in *json*, in order, until one answers other than 0; returns that,
 * or 0. *json* must be one JSON value (json_reader_next() took it), *pointer* a valid one. Of two equal keys the first
 * counts. */
int pointer_each(
        Slice json, const char *pointer, int (*each)(void *userdata, const PointerMatch *match), void *userdata);

/* The first value found. */
bool pointer_find(Slice json, const char *pointer, Slice *ret);

/* Whether both stood for the same key, or the same index. */
bool pointer_star_equal(const PointerStar *a, const PointerStar *b);
