/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Converts Python's literals to JSON; pure. It follows ast.literal_eval(); source: The Python Language Reference,
 * chapters 2 (lexical analysis) and 6.2 (atoms). */

#include "bytes.h"

typedef struct PythonError {
        size_t place;     /* byte offset in the text */
        const char *what; /* "expected a value", ... */
} PythonError;

/* Appends *text*, one literal, to *json* as JSON: dict, list, tuple (an array), str, int, float, True, False, None.
 * Keys that are numbers, True, False or None become text, as json.dumps() makes them; numbers keep their digits, floats
 * stay floats. Everything else in Python is refused: bytes, sets, complex numbers, names (nan, inf), \N{...}, f'', a
 * hexadecimal number of more than 64 bits. Equal keys are all kept. -EBADMSG; -EILSEQ for text that is not UTF-8 or has
 * a lone surrogate, which has no UTF-8 form (both fill in *ret*); -E2BIG beyond *max_depth* brackets; -ENOMEM. */
int python_to_json(Slice text, unsigned max_depth, Bytes *json, PythonError *ret);
