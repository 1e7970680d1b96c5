/* SPDX-License-Identifier: Apache-2.0 */
#include "sources/http-push-body.h"

#include <stdio.h>
#include <string.h>

static bool is_blank(char c) {
        return bytes_is_space(c) || c == '\0'; /* programs in C often send strlen + 1 */
}

/* Takes the next part that is not blank from *rest*; *separator* NUL: there is one part. */
static bool part_next(Slice *rest, char separator, size_t *number, Slice *ret) {
        while (rest->size > 0) {
                const char *end = separator ? memchr(rest->data, separator, rest->size) : NULL;
                size_t size = end ? (size_t) (end - rest->data) : rest->size, used = size + (end ? 1 : 0);

                *ret = (Slice){ rest->data, size };
                *rest = (Slice){ rest->data + used, rest->size - used };
                (*number)++;
                while (ret->size > 0 && is_blank(ret->data[ret->size - 1]))
                        ret->size--;
                if (ret->size > 0)
                        return true;
        }
        return false;
}

bool http_push_body_next(Slice *rest, bool lines, size_t *number, Slice *ret) {
        return part_next(rest, lines ? '\n' : '\0', number, ret);
}

/* The most readings of one list; of several lines together as many as can be remembered by one key. */
static size_t items_most(size_t items) {
        return items > SHAPE_ITEMS_MAX ? SHAPE_ITEMS_MAX : READING_SEEN_MAX;
}

int http_push_body_check(const ShapeConfig *reading, Slice body, bool lines, char *words, size_t size) {
        size_t number = 0, all = 0;
        Slice rest = body, line;

        while (http_push_body_next(&rest, lines, &number, &line)) {
                _cleanup_bytes_ Bytes made = {};
                char why[100] = "out of memory";
                size_t items;
                Slice json;
                int r;

                r = shape_text_read(line, false, &made, &json, why);
                if (r != 0) {
                        (void) snprintf(words, size, "Line %zu: %s. Nothing of this body was stored.\n", number, why);
                        return r < 0 ? 500 : 400;
                }
                items = shape_count(reading, json);
                all += items > 0 ? items : 1; /* a line without a reading takes time too */
                if (items > items_most(items) || all > items_most(items)) {
                        (void) snprintf(words, size,
                                "More than %zu readings at once. Nothing of this body was stored.\n",
                                items_most(items));
                        return 413;
                }
        }
        return 0;
}

/* ---- forms ---- */

/* Appends what *part* stands for. False: a % that begins no byte, or not UTF-8. */
static bool form_decode(Slice part, Bytes *ret) {
        for (size_t i = 0; i < part.size; i++) {
                char c = part.data[i] == '+' ? ' ' : part.data[i];

                if (c == '%') {
                        int high = part.size - i > 2 ? bytes_hex_digit(part.data[i + 1]) : -1,
                            low = high >= 0 ? bytes_hex_digit(part.data[i + 2]) : -1;

                        if (low < 0)
                                return false;
                        c = (char) (high << 4 | low);
                        i += 2;
                }
                bytes_append(ret, &c, 1);
        }
        return bytes_result(ret) < 0 || bytes_is_utf8(ret->data ?: "", ret->size);
}

static bool is_secret(const Bytes *name) {
        return slice_equal_nocase(bytes_slice(name), HTTP_PUSH_TOKEN) ||
               slice_equal_nocase(bytes_slice(name), HTTP_PUSH_PASSWORD);
}

static void form_append(Bytes *ret, char before, const Bytes *text) {
        bytes_fail(ret, bytes_result(text));
        bytes_append(ret, &before, 1);
        bytes_append_json_string(ret, text->data ?: "", text->size);
}

/* Appends a member. JSON is no field: curl calls everything a form unless it is told otherwise. */
static bool form_append_field(Bytes *ret, Slice field) {
        const char *equals = memchr(field.data, '=', field.size);
        size_t size = equals ? (size_t) (equals - field.data) : 0;
        _cleanup_bytes_ Bytes name = {}, value = {};

        if (!equals || field.data[0] == '{' || field.data[0] == '[' ||
                !form_decode((Slice){ field.data, size }, &name) ||
                !form_decode((Slice){ equals + 1, field.size - size - 1 }, &value))
                return false;
        if (is_secret(&name))
                return true;
        form_append(ret, ret->size > 0 ? ',' : '{', &name);
        form_append(ret, ':', &value);
        return true;
}

bool http_push_body_form(Slice form, Bytes *ret, char *words, size_t size) {
        size_t number = 0;
        Slice field;

        while (part_next(&form, '&', &number, &field))
                if (!form_append_field(ret, field)) {
                        (void) snprintf(words, size,
                                "Field %zu is not NAME=VALUE in UTF-8, or is JSON, which has a Content-Type of its "
                                "own. Nothing of this body was stored.\n",
                                number);
                        return false;
                }
        if (ret->size > 0)
                bytes_append_text(ret, "}");
        return true;
}
