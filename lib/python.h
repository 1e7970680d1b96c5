/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Python's literals as JSON; pure. Source: The Python Language Reference, chapters 2 (lexical analysis) and 6.2
 * (atoms), as ast.literal_eval() reads them. */

#include "bytes.h"

typedef struct PythonError {
        size_t place;     /* byte of the text */
        const char *what; /* "expected a value", ... */
} PythonError;

/* Appends *text*, one literal, to *json* as JSON: dict, list, tuple (an array), str, int, float, True, False, None.
 * Keys that are numbers, True, False or None become text, as json.dumps() makes them; numbers keep their digits, floats
 * stay floats. Everything else of Python is refused: bytes, sets, complex numbers, names (nan, inf), \N{...}, f'', a
 * hexadecimal number beyond 64 bits. Equal keys are all kept. -EBADMSG with *ret*; -EILSEQ, with *ret* as well, for
 * text that is not UTF-8 or has half a surrogate pair, which has no UTF-8 form; -E2BIG beyond *max_depth* brackets;
 * -ENOMEM. */
int python_to_json(Slice text, unsigned max_depth, Bytes *json, PythonError *ret);
