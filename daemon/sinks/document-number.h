/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON numbers as MongoDB gets them; pure, and the same in every locale. */

#include <stdbool.h>

#include "lib/bytes.h"

enum {
        DOCUMENT_NUMBER_DOUBLE = 0,
        DOCUMENT_NUMBER_INT64 = 1,        /* an integer beyond 2^53, where doubles have gaps */
        DOCUMENT_NUMBER_OUT_OF_RANGE = 2, /* an integer beyond int64, or a number beyond the largest double */
};

/* Reads *text*, a number by RFC 8259's grammar; *integer*: it has neither fraction nor exponent. Doubles are the
 * nearest to what is written, so that what is too small for one becomes 0, and `-0` keeps its sign. Writes the result
 * that the outcome names. -ENOMEM. */
int document_number_read(Slice text, bool integer, double *ret_double, int64_t *ret_int64);
