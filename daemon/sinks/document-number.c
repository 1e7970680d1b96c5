/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/document.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#define EXACT_INTEGER_MAX (INT64_C(1) << 53) /* every integer up to here is exact in a double */
#define STACK_SIZE 128

int document_number_read(Slice text, bool integer, double *ret_double, int64_t *ret_int64) {
        _cleanup_free_ char *allocated = text.size < STACK_SIZE ? NULL : malloc(text.size + 1);
        char buffer[STACK_SIZE], *copy = text.size < STACK_SIZE ? buffer : allocated;
        locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);

        if (!copy || !c_locale)
                return -ENOMEM;
        *(char *) mempcpy(copy, text.data, text.size) = '\0';
        *ret_double = strtod_l(copy, NULL, c_locale);
        freelocale(c_locale);
        if (!integer)
                return isfinite(*ret_double) ? DOCUMENT_NUMBER_DOUBLE : DOCUMENT_NUMBER_OUT_OF_RANGE;
        errno = 0;
        *ret_int64 = strtoll(copy, NULL, 10);
        if (errno == ERANGE)
                return DOCUMENT_NUMBER_OUT_OF_RANGE;
        return *ret_int64 > EXACT_INTEGER_MAX || *ret_int64 < -EXACT_INTEGER_MAX ? DOCUMENT_NUMBER_INT64
                                                                                 : DOCUMENT_NUMBER_DOUBLE;
}
