/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Converts what Python's repr() writes of plain values to JSON; pure. Source: The Python Language Reference, chapter 2
 * (lexical analysis), and repr() of CPython. */

#include "bytes.h"

typedef struct PythonError {
        size_t place;     /* byte offset in the text */
        const char *what; /* "expected a value", ... */
} PythonError;

/* Appends *text*, one value, to *json* as JSON: dict, list, tuple (an array), str, int, float, True, False, None, with
 * any blanks between them. Keys that are numbers, True, False or None become text, as json.dumps() makes them; numbers
 * keep their digits. Everything else is refused: bytes, sets, nan and inf, and what Python reads but repr() does not
 * write (r'', 0x1f, 1_000, comments). Equal keys are all kept. -EBADMSG; -EILSEQ for text that is not UTF-8 or has a
 * lone surrogate, which has no UTF-8 form (both fill in *ret*); -E2BIG beyond *max_depth* brackets; -ENOMEM. */
int python_to_json(Slice text, unsigned max_depth, Bytes *json, PythonError *ret);
