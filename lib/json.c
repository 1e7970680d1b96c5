/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <json-c/json.h>

#include "err.h"

/* ---- a tree ---- */

/* json-c cuts a key at its NUL, so two different keys would become one. */
static int check_key(const JsonReader *r) {
        _cleanup_free_ char *key = NULL;
        size_t size;

        if (!r->escaped)
                return 0;

        key = malloc(r->slice.size);
        if (!key)
                return -ENOMEM;
        if (json_unescape(r->slice, key, &size) < 0)
                return -EBADMSG;
        return memchr(key, '\0', size) ? -EBADMSG : 0;
}

static int check_strictly(const char *text, size_t size) {
        JsonReader r;
        int token, k;

        json_reader_init(&r, text, size, JSON_TREE_DEPTH);
        for (;;) {
                token = json_reader_next(&r);
                if (token == JSON_END)
                        return 0;
                if (token < 0)
                        return -EBADMSG;

                k = token == JSON_KEY ? check_key(&r) : 0;
                if (k < 0)
                        return k;
        }
}

int json_parse(const char *text, size_t size, Json **ret) {
        enum json_tokener_error error;
        struct json_tokener *tokener;
        Json *json;
        int k;

        if (size > JSON_TREE_MAX)
                return -EFBIG;
        k = check_strictly(text, size);
        if (k < 0)
                return k;

        tokener = json_tokener_new_ex(JSON_TREE_DEPTH + 1); /* a scalar counts as a level */
        if (!tokener)
                return -ENOMEM;

        json = json_tokener_parse_ex(tokener, text, (int) size);
        if (json_tokener_get_error(tokener) == json_tokener_continue) /* a number alone may go on */
                json = json_tokener_parse_ex(tokener, "", 1);
        error = json_tokener_get_error(tokener);
        json_tokener_free(tokener);
        if (error != json_tokener_success)
                return -ENOMEM; /* the strict reader accepted the text, so only memory can be missing */

        *ret = json;
        return 0;
}

Json *json_free(Json *json) {
        (void) json_object_put(json);
        return NULL;
}

Json *json_get(Json *json, const char *key) {
        Json *member;

        if (!json_object_is_type(json, json_type_object) || !json_object_object_get_ex(json, key, &member))
                return NULL;
        return member;
}

/* Returns the text of a string, or NULL for another type or a string with a NUL. */
static const char *string_of(Json *json) {
        const char *text;

        if (!json_object_is_type(json, json_type_string))
                return NULL;
        text = json_object_get_string(json);
        return strlen(text) == (size_t) json_object_get_string_len(json) ? text : NULL;
}

const char *json_get_string(Json *json, const char *key) {
        return string_of(json_get(json, key));
}

/* Reads a string of digits, with an optional `-` in front. */
static bool parse_digits(const char *text, int64_t *ret) {
        const char *digits = text + (*text == '-');
        long long value;

        if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
                return false;

        errno = 0;
        value = strtoll(text, NULL, 10);
        if (errno != 0)
                return false;
        *ret = value;
        return true;
}

bool json_get_int(Json *json, const char *key, int64_t *ret) {
        Json *member = json_get(json, key);
        const char *text = string_of(member);
        int64_t value;

        if (text)
                return parse_digits(text, ret);
        if (!json_object_is_type(member, json_type_int))
                return false;

        /* json-c returns its nearest number when a value is out of range. */
        value = json_object_get_int64(member);
        if (value == INT64_MIN || (value == INT64_MAX && json_object_get_uint64(member) > (uint64_t) INT64_MAX))
                return false;
        *ret = value;
        return true;
}

bool json_get_flag(Json *json, const char *key) {
        Json *member = json_get(json, key);

        return json_object_is_type(member, json_type_boolean) && json_object_get_boolean(member);
}

Json *json_at(Json *json, size_t index) {
        if (!json_object_is_type(json, json_type_array) || index >= json_object_array_length(json))
                return NULL;
        return json_object_array_get_idx(json, index);
}

char *json_text(Json *json) {
        const char *text =
                json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        return text ? strdup(text) : NULL;
}

void json_each_string(Json *json, void (*each)(void *userdata, const char *key, const char *value), void *userdata) {
        if (!json_object_is_type(json, json_type_object))
                return;

        json_object_object_foreach(json, key, member) {
                const char *value = string_of(member);

                if (value)
                        each(userdata, key, value);
        }
}

/* ---- streaming reader ---- */

/* clang-format off */
/* The streaming half of json.h. One pass, no allocation, no recursion: what may come next is `state`, what is open is a
 * stack of bits.
 *
 *                     +--------------- a scalar, `]`, `}` ----------------+
 *                     v                                                   |
 *     VALUE --> AFTER_VALUE --- `,` in an array --> VALUE ----------------+--> `[` --> FIRST_VALUE: a value or `]`
 *                  |   |                              ^                   +--> `{` --> FIRST_KEY: a key or `}`
 *                  |   +--- `,` in an object --> KEY -+
 *                  +--- at depth 0: end of text --> FINISHED, also after an error */
/* clang-format on */

enum { VALUE, FIRST_VALUE, FIRST_KEY, KEY, AFTER_VALUE, FINISHED };

void json_reader_init(JsonReader *r, const char *text, size_t size, unsigned max_depth) {
        *r = (JsonReader){
                .begin = text,
                .cursor = text,
                .end = size > 0 ? text + size : text, /* the text of an empty body is NULL */
                .max_depth = max_depth < JSON_READER_DEPTH ? max_depth : JSON_READER_DEPTH,
                .state = VALUE,
                .token = JSON_NULL,
        };
}

/* Ends reading: the reader repeats this token from now on. */
static int finish(JsonReader *r, const char *place, int token) {
        r->cursor = place;
        r->state = FINISHED;
        return r->token = token;
}

static inline int accept(JsonReader *r, const char *place, unsigned state, JsonToken token) {
        r->cursor = place;
        r->state = state;
        return r->token = (int) token;
}

static inline const char *skip_space(const char *p, const char *end) {
        for (;;) {
                if (p == end || !bytes_is_space(*p))
                        return p;
                p++;
                while (end - p >= 8 && bytes_load(p) == BYTES_ONES * ' ') /* fast for replies that are indented */
                        p += 8;
        }
}

/* Returns the 16-bit value of four hexadecimal digits, or -1. */
static int hex_unit(const char *p, const char *end) {
        int unit = 0;

        if (end - p < 4)
                return -1;
        for (int i = 0; i < 4; i++) {
                int digit = bytes_hex_digit(p[i]);

                if (digit < 0)
                        return -1;
                unit = unit << 4 | digit;
        }
        return unit;
}

/* Returns the character that the letter after a backslash means; 0 for `u` and for any other character. */
static inline char escape_letter(char c) {
        switch (c) {
        case '"':
        case '\\':
        case '/':
                return c;
        case 'b':
                return '\b';
        case 'f':
                return '\f';
        case 'n':
                return '\n';
        case 'r':
                return '\r';
        case 't':
                return '\t';
        default:
                return 0;
        }
}

/* Returns the length of the escape at *p*, or 0 when it is not valid. */
static inline size_t escape_length(const char *p, const char *end) {
        if (end - p < 2)
                return 0;
        if (escape_letter(p[1]) != 0)
                return 2;
        return p[1] == 'u' && hex_unit(p + 2, end) >= 0 ? 6 : 0;
}

/* Reads the string whose opening quote is at *p* into r->slice. Returns the place after its closing quote, or NULL
 * after finish(). */
static inline const char *read_string(JsonReader *r, const char *p) {
        const char *text = p + 1, *place = text;
        uint64_t seen = 0;
        bool escaped = false;

        for (;;) {
                size_t length;

                place = bytes_find_special(place, r->end, &seen);
                if (place < r->end && *place == '"')
                        break;

                length = place < r->end && *place == '\\' ? escape_length(place, r->end) : 0;
                if (length == 0) {
                        (void) finish(r, place, -EBADMSG);
                        return NULL;
                }
                escaped = true;
                place += length;
        }
        r->slice = (Slice){ text, (size_t) (place - text) };
        r->escaped = escaped;
        r->foreign = (seen & BYTES_HIGHS) != 0 && !bytes_is_utf8(text, r->slice.size);
        if (r->foreign && !r->lax) {
                (void) finish(r, p, -EBADMSG);
                return NULL;
        }
        return place + 1;
}

static int read_key(JsonReader *r, const char *p) {
        if (*p != '"')
                return finish(r, p, -EBADMSG);
        p = read_string(r, p);
        if (!p)
                return r->token;

        p = skip_space(p, r->end);
        if (p == r->end || *p != ':')
                return finish(r, p, -EBADMSG);
        return accept(r, p + 1, VALUE, JSON_KEY);
}

/* Returns the place after one or more digits, or NULL when there is no digit. */
static inline const char *skip_digits(const char *p, const char *end) {
        if (p == end || !bytes_is_digit(*p))
                return NULL;
        while (p < end && bytes_is_digit(*p))
                p++;
        return p;
}

static int read_number(JsonReader *r, const char *start) {
        const char *p = start + (*start == '-'), *end = r->end;
        bool integer = true;

        p = p < end && *p == '0' ? p + 1 : skip_digits(p, end);
        if (p && p < end && *p == '.') {
                integer = false;
                p = skip_digits(p + 1, end);
        }
        if (p && p < end && (*p == 'e' || *p == 'E')) {
                integer = false;
                p++;
                p = skip_digits(p < end && (*p == '+' || *p == '-') ? p + 1 : p, end);
        }
        if (!p)
                return finish(r, start, -EBADMSG);

        r->slice = (Slice){ start, (size_t) (p - start) };
        r->integer = integer;
        return accept(r, p, AFTER_VALUE, JSON_NUMBER);
}

static int read_word(JsonReader *r, const char *p, const char *word, size_t size, JsonToken token) {
        if ((size_t) (r->end - p) < size || memcmp(p, word, size) != 0)
                return finish(r, p, -EBADMSG);
        return accept(r, p + size, AFTER_VALUE, token);
}

static int open_level(JsonReader *r, const char *p, bool object) {
        uint64_t bit = UINT64_C(1) << r->depth % 64, *word = &r->is_object[r->depth / 64];

        if (r->depth >= r->max_depth)
                return finish(r, p, -E2BIG);

        *word = object ? *word | bit : *word & ~bit;
        r->depth++;
        return accept(r, p + 1, object ? FIRST_KEY : FIRST_VALUE, object ? JSON_OBJECT : JSON_ARRAY);
}

static inline bool in_object(const JsonReader *r) {
        unsigned level = r->depth - 1;

        return (r->is_object[level / 64] >> level % 64 & 1) != 0;
}

static int close_level(JsonReader *r, const char *p) {
        bool object = in_object(r);

        if (*p != (object ? '}' : ']'))
                return finish(r, p, -EBADMSG);

        r->depth--;
        return accept(r, p + 1, AFTER_VALUE, object ? JSON_OBJECT_END : JSON_ARRAY_END);
}

static int read_value(JsonReader *r, const char *p) {
        switch (*p) {
        case '"':
                p = read_string(r, p);
                return p ? accept(r, p, AFTER_VALUE, JSON_STRING) : r->token;
        case '{':
                return open_level(r, p, true);
        case '[':
                return open_level(r, p, false);
        case 't':
                return read_word(r, p, "true", 4, JSON_TRUE);
        case 'f':
                return read_word(r, p, "false", 5, JSON_FALSE);
        case 'n':
                return read_word(r, p, "null", 4, JSON_NULL);
        default:
                return read_number(r, p);
        }
}

int json_reader_next(JsonReader *r) {
        unsigned state = r->state;
        const char *p;

        if (state == FINISHED)
                return r->token;

        p = skip_space(r->cursor, r->end);
        if (state == AFTER_VALUE) {
                if (r->depth == 0)
                        return finish(r, p, p == r->end ? JSON_END : -EBADMSG);
                if (p < r->end && *p != ',')
                        return close_level(r, p);
                state = in_object(r) ? KEY : VALUE;
                if (p < r->end)
                        p = skip_space(p + 1, r->end);
        }
        if (p == r->end)
                return finish(r, p, -EBADMSG);

        r->start = p;
        switch (state) {
        case FIRST_KEY:
                return *p == '}' ? close_level(r, p) : read_key(r, p);
        case KEY:
                return read_key(r, p);
        case FIRST_VALUE:
                return *p == ']' ? close_level(r, p) : read_value(r, p);
        default:
                return read_value(r, p);
        }
}

/* Reads to the end of the object or array that was just opened. */
static int skip_level(JsonReader *r) {
        unsigned outside = r->depth - 1;

        do {
                int token = json_reader_next(r);

                if (token < 0)
                        return token;
        } while (r->depth > outside);
        return 0;
}

int json_reader_skip(JsonReader *r, Slice *ret_raw) {
        int token = r->state != FINISHED && r->token == JSON_KEY ? json_reader_next(r) : r->token, k = 0;
        const char *start = r->start;

        if (token == JSON_OBJECT || token == JSON_ARRAY)
                k = skip_level(r);
        else if (token < JSON_STRING)
                return token < 0 ? token : -EINVAL;
        if (k == 0 && ret_raw)
                *ret_raw = (Slice){ start, (size_t) (r->cursor - start) };
        return k;
}

static size_t utf8_encode(uint32_t c, char out[static 4]) {
        if (c < 0x80) {
                out[0] = (char) c;
                return 1;
        }
        if (c < 0x800) {
                out[0] = (char) (0xc0 | c >> 6);
                out[1] = (char) (0x80 | (c & 0x3f));
                return 2;
        }
        if (c < 0x10000) {
                out[0] = (char) (0xe0 | c >> 12);
                out[1] = (char) (0x80 | (c >> 6 & 0x3f));
                out[2] = (char) (0x80 | (c & 0x3f));
                return 3;
        }
        out[0] = (char) (0xf0 | c >> 18);
        out[1] = (char) (0x80 | (c >> 12 & 0x3f));
        out[2] = (char) (0x80 | (c >> 6 & 0x3f));
        out[3] = (char) (0x80 | (c & 0x3f));
        return 4;
}

/* Decodes the escape at *p* into at most 4 bytes. Returns its length in the text, or 0 when it has no UTF-8 form. */
static size_t unescape_one(const char *p, const char *end, char out[static 4], size_t *ret_size) {
        int unit, low;

        if (end - p >= 2 && escape_letter(p[1]) != 0) {
                out[0] = escape_letter(p[1]);
                *ret_size = 1;
                return 2;
        }
        unit = end - p >= 6 && p[1] == 'u' ? hex_unit(p + 2, end) : -1;
        if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
                return 0;
        if (unit < 0xd800 || unit > 0xdfff) {
                *ret_size = utf8_encode((uint32_t) unit, out);
                return 6;
        }

        low = end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex_unit(p + 8, end) : -1;
        if (low < 0xdc00 || low > 0xdfff)
                return 0;
        *ret_size = utf8_encode(0x10000 + ((uint32_t) (unit - 0xd800) << 10 | (uint32_t) (low - 0xdc00)), out);
        return 12;
}

int json_unescape(Slice slice, char *out, size_t *ret_size) {
        const char *p = slice.data, *end = slice.size > 0 ? p + slice.size : p, *begin = out;

        while (p < end) {
                const char *backslash = memchr(p, '\\', (size_t) (end - p));
                size_t run = (size_t) ((backslash ? backslash : end) - p), size, length;
                char decoded[4];

                memmove(out, p, run);
                out += run;
                p += run;
                if (p == end)
                        break;

                length = unescape_one(p, end, decoded, &size);
                if (length == 0)
                        return -EBADMSG;
                memcpy(out, decoded, size);
                out += size;
                p += length;
        }
        *ret_size = (size_t) (out - begin);
        return 0;
}

bool json_reader_equal(const JsonReader *r, const char *text) {
        const char *p = r->slice.data, *end = p + r->slice.size;
        size_t left = strlen(text);

        if (!r->escaped)
                return slice_equal(r->slice, text);

        while (p < end) {
                char decoded[4] = { *p };
                size_t size = 1, length = *p == '\\' ? unescape_one(p, end, decoded, &size) : 1;

                if (length == 0 || size > left || memcmp(decoded, text, size) != 0)
                        return false;
                p += length;
                text += size;
                left -= size;
        }
        return left == 0;
}
