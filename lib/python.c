/* SPDX-License-Identifier: Apache-2.0 */
#include "python.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define CODE_POINT_MAX 0x10ffff

typedef struct Parser {
        const char *begin, *cursor, *end;
        unsigned depth, max_depth;
        Bytes *json;
        PythonError *error;
} Parser;

/* What kind of value parse_value() read. */
enum { VALUE_PLAIN = 1, VALUE_NESTED = 2 };

static int parse_value(Parser *p, bool key);

static int fail(Parser *p, int error, const char *what) {
        *p->error = (PythonError){ (size_t) (p->cursor - p->begin), what };
        return error;
}

static int bad(Parser *p, const char *what) {
        return fail(p, -EBADMSG, what);
}

/* Without memory, python_to_json() fails at its end. */
static void put(Parser *p, const char *text) {
        bytes_append_text(p->json, text);
}

static bool at(const Parser *p, char c) {
        return p->cursor < p->end && *p->cursor == c;
}

static bool take(Parser *p, char c) {
        if (!at(p, c))
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

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char) c >= 0x80;
}

/* ---- between tokens ---- */

/* A backslash that ends a line joins it with the next. */
static bool take_joined_line(Parser *p) {
        return take_word(p, "\\\r\n") || take_word(p, "\\\n") || take_word(p, "\\\r");
}

/* Within brackets, line ends count as blanks. */
static void skip_blanks(Parser *p) {
        for (;;) {
                while (at(p, ' ') || at(p, '\t') || at(p, '\f') || (p->depth > 0 && (at(p, '\n') || at(p, '\r'))))
                        p->cursor++;
                if (p->depth == 0)
                        return;
                if (take_joined_line(p))
                        continue;
                if (!at(p, '#'))
                        return;
                while (p->cursor < p->end && !at(p, '\n') && !at(p, '\r'))
                        p->cursor++;
        }
}

/* Skips empty lines and comments before or after the literal. The line that follows must not be indented. */
static int skip_lines(Parser *p) {
        const char *from = p->cursor;

        while (p->cursor < p->end && strchr(" \t\f\r\n#", *p->cursor) && *p->cursor != '\0') {
                if (at(p, '#'))
                        while (p->cursor + 1 < p->end && p->cursor[1] != '\n' && p->cursor[1] != '\r')
                                p->cursor++;
                p->cursor++;
        }
        for (const char *c = p->cursor; c > from && (c[-1] == ' ' || c[-1] == '\t'); c--)
                if (c - 1 > from && (c[-2] == '\n' || c[-2] == '\r'))
                        return bad(p, "a line that begins with a space");
        return 0;
}

/* ---- numbers ---- */

/* Copies digits, without the single underscores that may stand between them. Returns how many were copied. */
static size_t put_digits(Parser *p) {
        size_t from = p->json->size;

        for (; p->cursor < p->end; p->cursor++) {
                bool between = at(p, '_') && p->json->size > from;

                if (between && p->cursor + 1 < p->end && bytes_is_digit(p->cursor[1]))
                        continue;
                if (!bytes_is_digit(*p->cursor))
                        break;
                bytes_append(p->json, p->cursor, 1);
        }
        return p->json->size - from;
}

/* Like put_digits(), but drops leading zeros. *ret_zeros* is true when there were any. */
static size_t put_whole(Parser *p, bool *ret_zeros) {
        size_t from = p->json->size, zeros = 0, n = put_digits(p);

        while (zeros + 1 < n && p->json->data[from + zeros] == '0')
                zeros++;
        if (zeros > 0) {
                memmove(p->json->data + from, p->json->data + from + zeros, n - zeros + 1);
                p->json->size -= zeros;
        }
        *ret_zeros = zeros > 0;
        return n;
}

static void put_fraction(Parser *p) {
        put(p, ".");
        p->cursor++;
        if (put_digits(p) == 0)
                put(p, "0");
}

static int put_exponent(Parser *p) {
        p->cursor++;
        put(p, at(p, '-') ? "e-" : at(p, '+') ? "e+" : "e");
        p->cursor += at(p, '-') || at(p, '+');
        return put_digits(p) == 0 ? bad(p, "an exponent without digits") : 0;
}

static int digit_value(char c) {
        if (bytes_is_digit(c))
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* Writes 0x1f, 0o17 or 0b1 as a decimal number. */
static int put_based(Parser *p, unsigned base) {
        uint64_t value = 0;
        int n = 0;

        for (p->cursor += 2; p->cursor < p->end; p->cursor++, n++) {
                const char *digit = p->cursor + (at(p, '_') && p->cursor + 1 < p->end);
                unsigned d = (unsigned) digit_value(*digit);

                if (d >= base)
                        break;
                if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, d, &value))
                        return bad(p, "a number of this form beyond 64 bits");
                p->cursor = digit;
        }
        if (n == 0)
                return bad(p, "a number without digits");
        return bytes_append_format(p->json, "%" PRIu64, value);
}

static unsigned base_of(const Parser *p) {
        if (p->end - p->cursor < 2 || *p->cursor != '0')
                return 0;
        switch (p->cursor[1] | 0x20) {
        case 'x':
                return 16;
        case 'o':
                return 8;
        case 'b':
                return 2;
        default:
                return 0;
        }
}

static bool is_fraction(const Parser *p, size_t digits) {
        return at(p, '.') && (digits > 0 || (p->end - p->cursor > 1 && bytes_is_digit(p->cursor[1])));
}

/* Writes a number without its sign. *ret_integer* is true when it has neither fraction nor exponent. */
static int put_unsigned(Parser *p, bool *ret_integer) {
        size_t from = p->json->size, n;
        bool zeros;
        int r = 0;

        *ret_integer = true;
        if (base_of(p) > 0)
                return put_based(p, base_of(p));
        n = put_whole(p, &zeros);
        if (is_fraction(p, n)) {
                *ret_integer = false;
                put(p, n > 0 ? "" : "0");
                put_fraction(p);
        } else if (n == 0)
                return bad(p, "expected a number");
        if (at(p, 'e') || at(p, 'E')) {
                *ret_integer = false;
                r = put_exponent(p);
        }
        if (r == 0 && *ret_integer && zeros && strcmp(p->json->data + from, "0") != 0)
                return bad(p, "an integer that begins with 0");
        return r;
}

static int put_number(Parser *p) {
        bool negative = false, integer;
        size_t from = p->json->size;
        int r;

        if (at(p, '-') || at(p, '+')) {
                negative = *p->cursor++ == '-';
                skip_blanks(p);
        }
        put(p, negative ? "-" : "");
        r = put_unsigned(p, &integer);
        if (r < 0)
                return r;
        if (p->cursor < p->end && (is_letter(*p->cursor) || bytes_is_digit(*p->cursor) || at(p, '.')))
                return bad(p, "a number that goes on with something else");
        if (integer && negative && strcmp(p->json->data + from, "-0") == 0) { /* an integer has no negative zero */
                p->json->size = from;
                put(p, "0");
        }
        return 0;
}

/* ---- text ---- */

static void put_plain(Parser *p, const char *data, size_t size) {
        char escape[8];

        for (size_t from = 0, i = 0; from < size; from = ++i) {
                while (i < size && (unsigned char) data[i] >= 0x20 && data[i] != '"' && data[i] != '\\')
                        i++;
                bytes_append(p->json, data + from, i - from);
                if (i == size)
                        break;
                (void) snprintf(escape, sizeof(escape), "\\u%04x", (unsigned char) data[i]);
                put(p, escape);
        }
}

static int put_code_point(Parser *p, uint32_t c) {
        unsigned char utf8[4] = { (unsigned char) c };
        size_t size;

        if (c > CODE_POINT_MAX)
                return bad(p, "a character beyond U+10FFFF");
        if (c >= 0xd800 && c <= 0xdfff)
                return fail(p, -EILSEQ, "half of a surrogate pair, which has no UTF-8 form");
        size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = size - 1; i > 0; i--, c >>= 6)
                utf8[i] = (unsigned char) (0x80 | (c & 0x3f));
        if (size > 1)
                utf8[0] = (unsigned char) ((0xf00u >> size) | c);
        put_plain(p, (const char *) utf8, size);
        return 0;
}

/* Reads the code of a character: up to *most* digits; a hexadecimal one must have all of them. */
static int put_numbered(Parser *p, unsigned base, int most) {
        uint32_t c = 0;
        int n = 0;

        for (; n < most && p->cursor < p->end && (unsigned) digit_value(*p->cursor) < base; n++)
                c = c * base + (uint32_t) digit_value(*p->cursor++);
        if (base == 16 && n < most)
                return bad(p, "an escape that is cut short");
        return put_code_point(p, c);
}

/* Reads an escape; the cursor is behind its backslash. */
static int put_escape(Parser *p) {
        static const char letters[] = "\\'\"abfnrtv", meanings[] = "\\'\"\a\b\f\n\r\t\v";
        const char *letter;

        if (p->cursor == p->end)
                return bad(p, "text without an end");
        if (take_word(p, "\r\n") || take(p, '\n') || take(p, '\r'))
                return 0;
        if (*p->cursor >= '0' && *p->cursor <= '7')
                return put_numbered(p, 8, 3);
        if (take(p, 'x'))
                return put_numbered(p, 16, 2);
        if (take(p, 'u'))
                return put_numbered(p, 16, 4);
        if (take(p, 'U'))
                return put_numbered(p, 16, 8);
        if (at(p, 'N'))
                return bad(p, "a character by its name (\\N) is not understood");
        letter = memchr(letters, *p->cursor, sizeof(letters) - 1);
        put_plain(p, letter ? &meanings[letter - letters] : "\\", 1); /* an unknown escape stays as it is */
        p->cursor += letter != NULL;
        return 0;
}

typedef struct Quote {
        char mark;
        bool triple, raw;
} Quote;

static bool take_quote(Parser *p, Quote quote) {
        const char three[] = { quote.mark, quote.mark, quote.mark, '\0' };

        return quote.triple ? take_word(p, three) : take(p, quote.mark);
}

/* Reads one piece of a text between its quotes. */
static int put_piece(Parser *p, Quote quote) {
        const char *begin = p->cursor;

        if (take_word(p, "\r\n") || take(p, '\n') || take(p, '\r')) {
                put(p, "\\u000a");
                return quote.triple ? 0 : bad(p, "a line that ends within a text");
        }
        if (at(p, '\0'))
                return bad(p, "a NUL");
        if (take(p, '\\')) {
                if (!quote.raw)
                        return put_escape(p);
                if (p->cursor < p->end && !at(p, '\n') && !at(p, '\r'))
                        p->cursor++; /* a raw text: a quote after a backslash does not end it */
        } else
                do
                        p->cursor++;
                while (p->cursor < p->end && !at(p, quote.mark) && !at(p, '\\') && !at(p, '\n') && !at(p, '\r') &&
                        !at(p, '\0'));
        put_plain(p, begin, (size_t) (p->cursor - begin));
        return 0;
}

static int put_quoted(Parser *p, bool raw) {
        Quote quote = { .mark = *p->cursor, .raw = raw };
        int r;

        quote.triple = p->end - p->cursor >= 3 && p->cursor[1] == quote.mark && p->cursor[2] == quote.mark;
        p->cursor += quote.triple ? 3 : 1;
        while (!take_quote(p, quote)) {
                if (p->cursor == p->end)
                        return bad(p, "text without an end");
                r = put_piece(p, quote);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* True when a text begins here, perhaps with a prefix. */
static bool is_text(const Parser *p) {
        const char *c = p->cursor;

        if (c < p->end && strchr("uUrR", *c) && *c != '\0')
                c++;
        return c < p->end && (*c == '\'' || *c == '"');
}

/* Several texts in a row become one. */
static int put_texts(Parser *p) {
        int r = 0;

        put(p, "\"");
        while (r == 0 && is_text(p)) {
                bool raw = at(p, 'r') || at(p, 'R');

                if (!at(p, '\'') && !at(p, '"'))
                        p->cursor++;
                r = put_quoted(p, raw);
                if (r == 0)
                        skip_blanks(p);
        }
        put(p, "\"");
        return r;
}

/* ---- brackets ---- */

static int open_bracket(Parser *p, const char *json) {
        if (p->depth == p->max_depth)
                return fail(p, -E2BIG, "too many brackets within each other");
        p->depth++;
        p->cursor++;
        put(p, json);
        skip_blanks(p);
        return 0;
}

/* Called behind an element. Returns 1 when another element may follow; 0 when the closing bracket was there, which is
 * taken. */
static int go_on(Parser *p, char closing, bool *ret_comma) {
        skip_blanks(p);
        *ret_comma = take(p, ',');
        skip_blanks(p);
        if (take(p, closing)) {
                p->depth--;
                return 0;
        }
        put(p, ",");
        return *ret_comma ? 1 : bad(p, "expected a comma or a closing bracket");
}

/* [..] and (..). A pair of brackets around one value without a comma is just that value: the place of the `[` is a
 * blank until that is known. */
static int put_list(Parser *p, char closing) {
        size_t place = p->json->size;
        bool comma = closing == ']', tuple = comma;
        int r = open_bracket(p, comma ? "[" : " "), more, value = VALUE_NESTED;

        if (r < 0)
                return r;
        more = !take(p, closing);
        if (!more) {
                p->depth--;
                tuple = true;
        }
        while (more) {
                value = parse_value(p, false);
                if (value < 0)
                        return value;
                more = go_on(p, closing, &comma);
                if (more < 0)
                        return more;
                tuple |= comma;
        }
        if (!tuple)
                return value;
        p->json->data[place] = '[';
        put(p, "]");
        return VALUE_NESTED;
}

static int put_pair(Parser *p) {
        int r = parse_value(p, true);

        if (r == VALUE_NESTED)
                return bad(p, "a key that is neither text nor a number");
        if (r < 0)
                return r;
        skip_blanks(p);
        if (!take(p, ':'))
                return bad(p, "expected a colon");
        put(p, ":");
        skip_blanks(p);
        return parse_value(p, false);
}

static int put_dict(Parser *p) {
        bool comma;
        int r = open_bracket(p, "{"), more;

        if (r < 0)
                return r;
        more = !take(p, '}');
        p->depth -= !more;
        while (more) {
                r = put_pair(p);
                if (r < 0)
                        return r;
                more = go_on(p, '}', &comma);
                if (more < 0)
                        return more;
        }
        put(p, "}");
        return VALUE_NESTED;
}

/* ---- values ---- */

static int put_name(Parser *p) {
        static const struct {
                const char *python, *json;
        } names[] = { { "True", "true" }, { "False", "false" }, { "None", "null" } };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (take_word(p, names[i].python)) {
                        if (p->cursor < p->end && (is_letter(*p->cursor) || bytes_is_digit(*p->cursor)))
                                break;
                        put(p, names[i].json);
                        return 0;
                }
        return bad(p, "expected a value");
}

static int put_scalar(Parser *p, bool key) {
        const char *quote = key ? "\"" : "";
        int r;

        put(p, quote);
        r = at(p, '-') || at(p, '+') || at(p, '.') || bytes_is_digit(*p->cursor) ? put_number(p) : put_name(p);
        put(p, quote);
        return r < 0 ? r : VALUE_PLAIN;
}

/* Reads one value and writes it as JSON. Returns a VALUE_... code. With *key*, every plain value becomes text. */
static int parse_value(Parser *p, bool key) {
        int r;

        if (p->cursor == p->end)
                return bad(p, "expected a value");
        if (at(p, '{'))
                return put_dict(p);
        if (at(p, '['))
                return put_list(p, ']');
        if (at(p, '(')) {
                if (key)
                        return bad(p, "a key in brackets");
                return put_list(p, ')');
        }
        if (!is_text(p))
                return put_scalar(p, key);
        r = put_texts(p);
        return r < 0 ? r : VALUE_PLAIN;
}

int python_to_json(Slice text, unsigned max_depth, Bytes *json, PythonError *ret) {
        const char *begin = text.size > 0 ? text.data : "";
        Parser p = { begin, begin, begin + text.size, 0, max_depth, json, ret };
        int r = bytes_reserve(json, text.size);

        if (r < 0)
                return r;
        if (!bytes_is_utf8(begin, text.size))
                return fail(&p, -EILSEQ, "not UTF-8");
        while (at(&p, ' ') || at(&p, '\t')) /* literal_eval() ignores them */
                p.cursor++;
        r = skip_lines(&p);
        if (r == 0)
                r = parse_value(&p, false);
        if (r >= 0)
                r = skip_lines(&p);
        if (r == 0 && p.cursor < p.end)
                r = bad(&p, "something behind the value");
        return bytes_result(json) < 0 ? bytes_result(json) : r; /* without memory, nothing said above is true */
}
