/* SPDX-License-Identifier: Apache-2.0 */
/* The streaming reader and the tree: what the reader accepts json-c reads as well, and both see the same values; what
 * it gives is UTF-8; and its tokens, written down again, read as the same tokens. */

#include <errno.h>

#include <json-c/json.h>

#include "fuzz.h"

#define DEPTH 90

#define CHECK(condition)                                                                                               \
        do                                                                                                             \
                if (!(condition))                                                                                      \
                        __builtin_trap();                                                                              \
        while (0)

/* The text of a KEY or STRING, in memory of its own. False for a lone surrogate. */
static bool unescape(Slice slice, Bytes *ret) {
        Bytes b = {};
        size_t size;

        CHECK(bytes_append(&b, slice.data, slice.size) == 0);
        if (json_unescape((Slice){ b.data, b.size }, b.data, &size) < 0) {
                bytes_done(&b);
                return false;
        }
        CHECK(size <= b.size && bytes_is_utf8(b.data, size));
        b.size = size;
        b.data[size] = '\0';
        *ret = b;
        return true;
}

/* Writes one token in its shortest form; strings from their unescaped text where they have one. */
static void write_token(const JsonReader *r, int token, Bytes *out) {
        static const char *const fixed[] = {
                [JSON_OBJECT] = "{", "}", "[", "]", [JSON_TRUE] = "true", "false", "null"
        };
        Bytes text = {};

        if (token == JSON_KEY || token == JSON_STRING) {
                if (unescape(r->slice, &text)) {
                        CHECK(json_reader_equal(r, text.data) == (strlen(text.data) == text.size));
                        CHECK(bytes_append_json_string(out, text.data, text.size) == 0);
                } else
                        CHECK(bytes_append_format(out, "\"%.*s\"", (int) r->slice.size, r->slice.data) == 0);
                bytes_done(&text);
        } else if (token == JSON_NUMBER)
                CHECK(bytes_append(out, r->slice.data, r->slice.size) == 0);
        else
                CHECK(bytes_append_text(out, fixed[token]) == 0);
}

static bool ends_value(int token) {
        return token != JSON_OBJECT && token != JSON_ARRAY && token != JSON_KEY;
}

static bool starts_value(int token) {
        return token != JSON_OBJECT_END && token != JSON_ARRAY_END;
}

/* The text again without what does not matter. Returns the reader's last word. */
static int rewrite(const char *text, size_t size, Bytes *out) {
        int token, last = JSON_OBJECT;
        JsonReader r;

        json_reader_init(&r, text, size, DEPTH);
        while ((token = json_reader_next(&r)) > 0) {
                CHECK(r.cursor > text && r.cursor <= text + size && r.depth <= DEPTH);
                if (ends_value(last) && starts_value(token))
                        CHECK(bytes_append_text(out, ",") == 0);
                write_token(&r, token, out);
                if (token == JSON_KEY)
                        CHECK(bytes_append_text(out, ":") == 0);
                last = token;
        }
        CHECK(json_reader_next(&r) == token);
        return token;
}

/* json-c up to 0.18 takes U+1D800 to U+1DFFF, and the same in each higher plane, for a half of a pair where they were
 * written as a pair. */
static bool json_c_knows(const Bytes *text) {
        const unsigned char *p = (const unsigned char *) text->data;

        for (size_t i = 0; i + 2 < text->size; i++)
                if (p[i] >= 0xf0 && (p[i + 1] & 0x0f) == 0x0d && p[i + 2] >= 0xa0)
                        return false;
        return true;
}

/* Walks a value and json-c's idea of it in step. The reader has just returned *token*. */
static void compare(JsonReader *r, int token, Json *json) {
        Bytes text = {};
        size_t n = 0;

        switch (token) {
        case JSON_OBJECT:
                CHECK(json_object_is_type(json, json_type_object));
                while ((token = json_reader_next(r)) != JSON_OBJECT_END) {
                        Json *member;

                        CHECK(token == JSON_KEY && unescape(r->slice, &text));
                        CHECK(!json_c_knows(&text) || json_object_object_get_ex(json, text.data, &member));
                        bytes_done(&text);
                        CHECK(json_reader_skip(r, NULL) == 0); /* of equal keys only the last is in the tree */
                }
                break;
        case JSON_ARRAY:
                CHECK(json_object_is_type(json, json_type_array));
                while ((token = json_reader_next(r)) != JSON_ARRAY_END)
                        compare(r, token, json_at(json, n++));
                CHECK(n == json_object_array_length(json));
                break;
        case JSON_STRING:
                CHECK(json_object_is_type(json, json_type_string));
                if (unescape(r->slice, &text) && json_c_knows(&text))
                        CHECK(text.size == (size_t) json_object_get_string_len(json) &&
                                memcmp(text.data, json_object_get_string(json), text.size) == 0);
                bytes_done(&text);
                break;
        case JSON_NUMBER:
                CHECK(json_object_is_type(json, r->integer ? json_type_int : json_type_double));
                break;
        case JSON_TRUE:
        case JSON_FALSE:
                CHECK(json_object_is_type(json, json_type_boolean) &&
                        json_object_get_boolean(json) == (token == JSON_TRUE));
                break;
        default:
                CHECK(token == JSON_NULL && !json);
        }
}

static void check_tree(const char *text, size_t size, bool accepted) {
        Json *json = NULL;
        JsonReader r;
        int k = json_parse(text, size, &json);

        if (k < 0) {
                CHECK(k == -EBADMSG || k == -EFBIG);
                return;
        }
        CHECK(accepted);
        json_reader_init(&r, text, size, DEPTH);
        compare(&r, json_reader_next(&r), json);
        (void) json_free(json);
}

/* A skip from the first token covers the whole value and finds what the single steps find. */
static void check_skip(const char *text, size_t size, int outcome) {
        Slice raw = {};
        JsonReader r;
        int token, k;

        json_reader_init(&r, text, size, DEPTH);
        token = json_reader_next(&r);
        if (token <= 0) {
                CHECK(token == outcome);
                return;
        }
        k = json_reader_skip(&r, &raw);
        if (k < 0) {
                CHECK(k == outcome && !raw.data);
                return;
        }
        CHECK(raw.size > 0 && raw.data >= text && raw.data + raw.size == r.cursor);
        CHECK(json_reader_next(&r) == outcome);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data;
        Bytes once = {}, twice = {};
        int k = rewrite(text, size, &once);

        check_skip(text, size, k);
        check_tree(text, size, k == JSON_END);
        if (k == JSON_END) {
                CHECK(rewrite(once.data, once.size, &twice) == JSON_END);
                CHECK(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
        }
        bytes_done(&once);
        bytes_done(&twice);
        return 0;
}
