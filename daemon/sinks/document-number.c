/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/document.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#define EXACT_INTEGER_MAX (UINT64_C(1) << 53) /* every integer up to here is exact in a double */
#define EXACT_POWER_MAX 22                    /* 10^22 is the last power of ten that is exact in a double */
#define MANTISSA_DIGITS_MAX 18                /* cannot overflow 64 bits */
#define STACK_SIZE 128

/* Reads an integer. The grammar allows no leading zeros, so more than 19 digits do not fit into int64. */
static int read_integer(Slice text, double *ret_double, int64_t *ret_int64) {
        bool negative = text.data[0] == '-';
        size_t digits = text.size - negative;
        uint64_t value = 0;

        if (digits > 19)
                return DOCUMENT_NUMBER_OUT_OF_RANGE;
        for (size_t i = negative; i < text.size; i++)
                value = value * 10 + (uint64_t) (text.data[i] - '0');

        if (value <= EXACT_INTEGER_MAX) {
                *ret_double = negative ? -(double) value : (double) value;
                return DOCUMENT_NUMBER_DOUBLE;
        }
        if (value > (uint64_t) INT64_MAX + negative)
                return DOCUMENT_NUMBER_OUT_OF_RANGE;
        *ret_int64 = (int64_t) (negative ? -value : value);
        return DOCUMENT_NUMBER_INT64;
}

/* Splits a number into its digits without the point, and the power of ten to multiply them by. Returns false when there
 * are too many for read_short(). */
static bool split_number(const char *p, const char *end, uint64_t *ret_mantissa, int *ret_exponent) {
        uint64_t mantissa = 0;
        int digits = 0, exponent = 0, written = 0;
        bool fraction = false, negative;

        for (; p < end && (bytes_is_digit(*p) || *p == '.'); p++) {
                if (*p == '.') {
                        fraction = true;
                        continue;
                }
                if (++digits > MANTISSA_DIGITS_MAX)
                        return false;
                mantissa = mantissa * 10 + (uint64_t) (*p - '0');
                exponent -= fraction;
        }
        if (p < end) { /* e or E */
                p++;
                negative = *p == '-';
                for (p += *p == '-' || *p == '+'; p < end; p++) {
                        if (written > 1000)
                                return false;
                        written = written * 10 + (*p - '0');
                }
                exponent += negative ? -written : written;
        }
        *ret_mantissa = mantissa;
        *ret_exponent = exponent;
        return true;
}

/* When mantissa and power of ten are both exact doubles, one operation rounds once, and so correctly (W. D. Clinger,
 * "How to Read Floating Point Numbers Accurately", 1990). Not usable when the compiler computes with more precision
 * than double. */
static bool read_short(Slice text, double *ret) {
        static const double powers[EXACT_POWER_MAX + 1] = {
                1e0,
                1e1,
                1e2,
                1e3,
                1e4,
                1e5,
                1e6,
                1e7,
                1e8,
                1e9,
                1e10,
                1e11,
                1e12,
                1e13,
                1e14,
                1e15,
                1e16,
                1e17,
                1e18,
                1e19,
                1e20,
                1e21,
                1e22,
        };
        bool negative = text.data[0] == '-';
        uint64_t mantissa;
        int exponent;
        double value;

        if (FLT_EVAL_METHOD != 0 || !split_number(text.data + negative, text.data + text.size, &mantissa, &exponent))
                return false;
        if (mantissa > EXACT_INTEGER_MAX || exponent < -EXACT_POWER_MAX || exponent > EXACT_POWER_MAX)
                return false;
        value = (double) mantissa;
        value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
        *ret = negative ? -value : value;
        return true;
}

/* Reads all other numbers with the C library, which rounds correctly, in the C locale. */
static int read_long(Slice text, double *ret) {
        char buffer[STACK_SIZE], *copy = buffer;
        locale_t c_locale;
        double value;

        c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
        if (!c_locale)
                return -ENOMEM;
        if (text.size >= sizeof(buffer))
                copy = malloc(text.size + 1);
        if (!copy) {
                freelocale(c_locale);
                return -ENOMEM;
        }
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
        value = strtod_l(copy, NULL, c_locale);
        if (copy != buffer)
                free(copy);
        freelocale(c_locale);

        if (!isfinite(value))
                return DOCUMENT_NUMBER_OUT_OF_RANGE;
        *ret = value;
        return DOCUMENT_NUMBER_DOUBLE;
}

int document_number_read(Slice text, bool integer, double *ret_double, int64_t *ret_int64) {
        if (integer)
                return read_integer(text, ret_double, ret_int64);
        if (read_short(text, ret_double))
                return DOCUMENT_NUMBER_DOUBLE;
        return read_long(text, ret_double);
}
