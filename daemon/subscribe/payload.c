/* SPDX-License-Identifier: Apache-2.0 */
#include "subscribe/payload.h"

#include <errno.h>
#include <stdio.h>

#include "lib/gzip.h"
#include "lib/json.h"
#include "lib/text.h"

/* ---- a Python text, from left to right ---- */

typedef struct Parser {
        const char *begin, *cursor, *end;
        Bytes *json;
        PayloadError *error;
} Parser;

static int put_value(Parser *p, bool key, unsigned depth);

static int fail(Parser *p, int error, const char *what) {
        *p->error = (PayloadError){ (size_t) (p->cursor - p->begin), what };
        return error;
}

static int bad(Parser *p, const char *what) {
        return fail(p, -EBADMSG, what);
}

/* Without memory, payload_from_python() fails at its end. */
static void put(Parser *p, const char *text) {
        bytes_append_text(p->json, text);
}

static bool take(Parser *p, char c) {
        if (p->cursor == p->end || *p->cursor != c)
                return false;
        p->cursor++;
        return true;
}

static bool take_word(Parser *p, const char *word) {
        size_t size = strlen(word);

        if ((size_t) (p->end - p->cursor) < size || memcmp(p->cursor, word, size) != 0)
                return false;
        p->cursor += size;
        return true;
}

static void skip_blanks(Parser *p) {
        while (p->cursor < p->end && bytes_is_space(*p->cursor))
                p->cursor++;
}

static int put_code_point(Parser *p, uint32_t c) {
        if (c > 0x10ffff)
                return bad(p, "a character beyond U+10FFFF");
        if (c >= 0xd800 && c <= 0xdfff)
                return fail(p, -EILSEQ, "half of a surrogate pair, which has no UTF-8 form");
        if (c < 0x10000)
                return bytes_append_format(p->json, "\\u%04x", c);
        c -= 0x10000;
        return bytes_append_format(p->json, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

/* Reads the code of a character: hexadecimal digits. */
static int put_numbered(Parser *p, int digits) {
        uint32_t c = 0;

        for (; digits > 0; digits--, p->cursor++) {
                int digit = p->cursor < p->end ? bytes_hex_digit(*p->cursor) : -1;

                if (digit < 0)
                        return bad(p, "an escape that is cut short");
                c = c << 4 | (uint32_t) digit;
        }
        return put_code_point(p, c);
}

/* Reads an escape; the cursor is behind its backslash. */
static int put_escape(Parser *p) {
        static const char letters[] = "\\'\"nrt", meanings[] = "\\'\"\n\r\t";
        const char *letter;

        if (take(p, 'x'))
                return put_numbered(p, 2);
        if (take(p, 'u'))
                return put_numbered(p, 4);
        if (take(p, 'U'))
                return put_numbered(p, 8);
        letter = p->cursor < p->end ? memchr(letters, *p->cursor, sizeof(letters) - 1) : NULL;
        if (!letter)
                return bad(p, "an escape that repr() does not write");
        p->cursor++;
        return put_code_point(p, (uint32_t) meanings[letter - letters]);
}

static int put_text(Parser *p) {
        const char mark = *p->cursor++;
        int r = 0;

        put(p, "\"");
        while (!take(p, mark)) {
                const char *from = p->cursor;

                while (p->cursor < p->end && *p->cursor != mark && !bytes_is_special(*p->cursor))
                        p->cursor++;
                bytes_append(p->json, from, (size_t) (p->cursor - from));
                if (take(p, '\\'))
                        r = put_escape(p);
                else if (mark != '"' && take(p, '"'))
                        put(p, "\\\"");
                else if (p->cursor == p->end || *p->cursor != mark)
                        return bad(p, "text without an end");
                if (r < 0)
                        return r;
        }
        put(p, "\"");
        return 0;
}

/* JSON writes them alike. */
static int put_number(Parser *p) {
        Slice number = { p->cursor, 0 };

        while (p->cursor < p->end && (bytes_is_digit(*p->cursor) || memchr("+-.eE", *p->cursor, 5)))
                p->cursor++;
        number.size = (size_t) (p->cursor - number.data);
        return json_is_whole(number, 0, NULL) ? bytes_append(p->json, number.data, number.size)
                                              : bad(p, "not a number as repr() writes it");
}

static int put_name(Parser *p) {
        if (take_word(p, "True"))
                return bytes_append_text(p->json, "true");
        if (take_word(p, "False"))
                return bytes_append_text(p->json, "false");
        return take_word(p, "None") ? bytes_append_text(p->json, "null") : bad(p, "expected a value");
}

static int put_item(Parser *p, bool pair, unsigned depth) {
        int r;

        if (pair) {
                r = put_value(p, true, depth);
                if (r < 0)
                        return r;
                skip_blanks(p);
                if (!take(p, ':'))
                        return bad(p, "expected a colon");
                put(p, ":");
                skip_blanks(p);
        }
        return put_value(p, false, depth);
}

/* A dict, a list or a tuple, whose opening bracket was read. */
static int put_items(Parser *p, char closing, unsigned depth) {
        bool comma = true;
        size_t n = 0;
        int r;

        if (depth == 0)
                return fail(p, -E2BIG, "too many brackets within each other");
        put(p, closing == '}' ? "{" : "[");
        for (skip_blanks(p); !take(p, closing); skip_blanks(p)) {
                if (!comma)
                        return bad(p, "expected a comma or a closing bracket");
                put(p, n++ > 0 ? "," : "");
                r = put_item(p, closing == '}', depth - 1);
                if (r < 0)
                        return r;
                skip_blanks(p);
                comma = take(p, ',');
        }
        if (closing == ')' && n == 1 && !comma)
                return bad(p, "brackets around a value, which are no tuple");
        put(p, closing == '}' ? "}" : "]");
        return 0;
}

/* Reads one value, in at most *depth* brackets, and writes it as JSON. With *key*, every value becomes text. */
static int put_value(Parser *p, bool key, unsigned depth) {
        const char first = p->cursor < p->end ? *p->cursor : '\0';
        int r;

        if (first == '\'' || first == '"')
                return put_text(p);
        if (!key && take(p, '{'))
                return put_items(p, '}', depth);
        if (!key && take(p, '['))
                return put_items(p, ']', depth);
        if (!key && take(p, '('))
                return put_items(p, ')', depth);
        put(p, key ? "\"" : "");
        r = first == '-' || bytes_is_digit(first) ? put_number(p) : put_name(p);
        put(p, key ? "\"" : "");
        return r;
}

int payload_from_python(Slice text, unsigned max_depth, Bytes *json, PayloadError *ret) {
        const char *begin = text.size > 0 ? text.data : "";
        Parser p = { begin, begin, begin + text.size, json, ret };
        int r = bytes_reserve(json, text.size);

        if (r < 0)
                return r;
        if (!bytes_is_utf8(begin, text.size))
                return fail(&p, -EILSEQ, "not UTF-8");
        while (take(&p, ' ') || take(&p, '\t'))
                ;
        r = put_value(&p, false, max_depth);
        skip_blanks(&p);
        if (r == 0 && p.cursor < p.end)
                r = bad(&p, "something behind the value");
        return bytes_result(json) < 0 ? bytes_result(json) : r; /* without memory, nothing said above is true */
}

/* ---- a payload ---- */

static Slice without_mark_and_nuls(Slice text) {
        size_t mark;

        while (text.size > 0 && text.data[text.size - 1] == '\0')
                text.size--;
        mark = text_mark(text.data, text.size);
        return (Slice){ text.data + mark, text.size - mark };
}

static int undo_gzip(Payload *p) {
        int r = gzip_undo(p->data, PAYLOAD_GZIP_MAX, &p->content);

        switch (r) {
        case GZIP_DONE:
                p->data = (Slice){ p->content.data, p->content.size };
                return PAYLOAD_OK;
        case GZIP_TOO_LARGE:
                (void) snprintf(p->problem, sizeof(p->problem), "gzip of more than %d bytes", PAYLOAD_GZIP_MAX);
                return PAYLOAD_TOO_LARGE;
        case GZIP_DAMAGED:
                (void) snprintf(p->problem, sizeof(p->problem), "begins as gzip, but cannot be unpacked");
                return PAYLOAD_BAD;
        default:
                return r;
        }
}

static int undo_python(Payload *p) {
        PayloadError error = {};
        int r = payload_from_python(p->text, PAYLOAD_DEPTH_MAX, &p->json, &error);

        if (r == 0) {
                p->text = (Slice){ p->json.data, p->json.size };
                return PAYLOAD_OK;
        }
        (void) snprintf(p->problem, sizeof(p->problem), "neither JSON nor a literal of Python: %s at byte %zu",
                error.what ? error.what : "?", error.place);
        return r == -EBADMSG ? PAYLOAD_BAD : r == -EILSEQ ? PAYLOAD_NOT_UTF8 : r == -E2BIG ? PAYLOAD_TOO_DEEP : r;
}

int payload_open(Slice data, PayloadFormat format, Payload *ret) {
        int r;

        ret->data = data;
        if (gzip_is(data)) {
                r = undo_gzip(ret);
                if (r != PAYLOAD_OK)
                        return r;
        }
        ret->text = without_mark_and_nuls(ret->data);
        if (format != PAYLOAD_PYTHON || data.size == 0 || json_is_whole(ret->text, JSON_READER_DEPTH, NULL))
                return PAYLOAD_OK;
        return undo_python(ret);
}

void payload_done(Payload *payload) {
        bytes_done(&payload->json);
        bytes_done(&payload->content);
}
