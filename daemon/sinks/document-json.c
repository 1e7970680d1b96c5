/* SPDX-License-Identifier: Apache-2.0 */
/* A message as JSON text of the same document that MongoDB would get: a line of a file sink, or an element of a
 * webhook's array. The same rules decide what can be stored, and the names of fields. Pure. */
#include "sinks/document.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NUMBER_SIZE 40
#define EXACT_INTEGER_MAX 9007199254740992.0 /* 2^53: every integer up to here is exact in a double */
#define DECIMALS_MAX 9

/* ---- numbers ---- */

static size_t put_digits(uint64_t value, char *buffer) {
        char digits[24];
        size_t n = 0;

        do
                digits[n++] = (char) ('0' + value % 10);
        while ((value /= 10) > 0);
        for (size_t i = 0; i < n; i++)
                buffer[i] = digits[n - 1 - i];
        return n;
}

/* Writes a number like 23.1 or 7: an integer of at most 53 bits divided by a small power of ten. Both are exact
 * doubles, so a reader of the text gets the same double. Returns the size; 0: the number cannot be written so. */
static size_t short_number(double value, char *buffer) {
        double magnitude = fabs(value), power = 1, scaled;
        size_t size = 0, decimals = 0, whole;
        uint64_t integer;

        for (; decimals <= DECIMALS_MAX; decimals++, power *= 10) {
                scaled = magnitude * power;
                if (scaled > EXACT_INTEGER_MAX)
                        return 0;
                scaled = (double) (uint64_t) (scaled + 0.5);
                if (scaled / power == magnitude) /* NOLINT: exact, see above */
                        break;
        }
        if (decimals > DECIMALS_MAX)
                return 0;
        integer = (uint64_t) scaled;
        if (signbit(value))
                buffer[size++] = '-';
        whole = (size_t) (uint64_t) power;
        size += put_digits(integer / whole, buffer + size);
        if (decimals == 0)
                return size;
        buffer[size++] = '.';
        integer %= whole;
        for (whole /= 10; whole > 0; integer %= whole, whole /= 10)
                buffer[size++] = (char) ('0' + integer / whole);
        return size;
}

/* Replaces the locale's decimal point, which a library may have set, by JSON's. */
static void mend_point(char *text) {
        for (; *text; text++)
                if (*text != '-' && *text != '+' && *text != 'e' && (*text < '0' || *text > '9'))
                        *text = '.';
}

static int put_double(double value, Bytes *ret) {
        char buffer[NUMBER_SIZE];
        size_t size;

        if (!isfinite(value)) /* never of ours */
                return bytes_append_text(ret, "null");
        size = short_number(value, buffer);
        if (size > 0)
                return bytes_append(ret, buffer, size);
        for (int digits = 15; digits <= 17; digits++) {
                (void) snprintf(buffer, sizeof(buffer), "%.*g", digits, value);
                if (digits == 17 || strtod(buffer, NULL) == value)
                        break;
        }
        mend_point(buffer);
        return bytes_append_text(ret, buffer);
}

/* ---- the tree ---- */

static int put_date(int64_t msec, Bytes *ret) {
        char text[96]; /* enough for any struct tm */
        time_t second = (time_t) (msec / 1000 - (msec % 1000 < 0));
        struct tm tm;

        if (msec >= 0)
                (void) clock_format_rfc3339((usec_t) msec * USEC_PER_MSEC, text);
        else if (!gmtime_r(&second, &tm))
                return bytes_append_text(ret, "null");
        else
                (void) snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                        (int) ((msec % 1000 + 1000) % 1000));
        return bytes_append_json_string(ret, text, strlen(text));
}

static int put_members(bson_iter_t *iter, bool array, unsigned depth, Bytes *ret);

/* What document.c does not make, deeper levels or another type, becomes null: others may write to the collection. */
static int put_below(const bson_iter_t *iter, bool array, unsigned depth, Bytes *ret) {
        bson_iter_t below;

        if (depth == DOCUMENT_DEPTH_MAX || !bson_iter_recurse(iter, &below))
                return bytes_append_text(ret, "null");
        return put_members(&below, array, depth, ret);
}

static int put_value(const bson_iter_t *iter, unsigned depth, Bytes *ret) {
        const char *text;
        uint32_t size;

        switch (bson_iter_type_unsafe(iter)) {
        case BSON_TYPE_UTF8:
                text = bson_iter_utf8(iter, &size);
                return bytes_append_json_string(ret, text, size);
        case BSON_TYPE_DOUBLE:
                return put_double(bson_iter_double(iter), ret);
        case BSON_TYPE_INT32:
        case BSON_TYPE_INT64:
                return bytes_append_format(ret, "%" PRIi64, bson_iter_as_int64(iter));
        case BSON_TYPE_BOOL:
                return bytes_append_text(ret, bson_iter_bool(iter) ? "true" : "false");
        case BSON_TYPE_DATE_TIME:
                return put_date(bson_iter_date_time(iter), ret);
        case BSON_TYPE_DOCUMENT:
                return put_below(iter, false, depth + 1, ret);
        case BSON_TYPE_ARRAY:
                return put_below(iter, true, depth + 1, ret);
        default:
                return bytes_append_text(ret, "null");
        }
}

static void put_key(const bson_iter_t *iter, Bytes *ret) {
        bytes_append_json_string(ret, bson_iter_key(iter), bson_iter_key_len(iter));
        bytes_append(ret, ":", 1);
}

static int put_members(bson_iter_t *iter, bool array, unsigned depth, Bytes *ret) {
        bool first = true;

        bytes_append(ret, array ? "[" : "{", 1);
        while (bson_iter_next(iter)) {
                if (!first)
                        bytes_append(ret, ",", 1);
                first = false;
                if (!array)
                        put_key(iter, ret);
                put_value(iter, depth, ret);
        }
        return bytes_append(ret, array ? "]" : "}", 1);
}

/* ---- a document ---- */

int document_put_json(const bson_t *document, Bytes *ret) {
        bson_iter_t iter;

        return bson_iter_init(&iter, document) ? put_members(&iter, false, 0, ret) : bytes_fail(ret, -ENOMEM);
}

int document_json(const DocumentInput *input, bson_t *document, Bytes *ret, char detail[static DOCUMENT_DETAIL_SIZE]) {
        size_t before = ret->size;
        int r;

        bson_reinit(document);
        r = document_build(input, document, detail);
        if (r != DOCUMENT_OK)
                return r;
        r = document_put_json(document, ret);
        if (r == 0)
                return DOCUMENT_OK;
        bytes_cut(ret, before);
        return r;
}
