/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <errno.h>
#include <stdio.h>

int text_append_percent(Bytes *b, const char *text, const char *also) {
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

        for (const char *p = text; *p != '\0'; p++)
                if (strchr(plain, *p) || strchr(also, *p))
                        bytes_append(b, p, 1);
                else
                        bytes_append_format(b, "%%%02X", (unsigned char) *p);
        return bytes_result(b);
}

int text_append_field(Bytes *b, const char *name, const char *value) {
        bytes_append_format(b, "%s%s=", b->size > 0 ? "&" : "", name);
        return text_append_percent(b, value, "");
}

size_t text_cut(const char *text, size_t size, size_t max) {
        if (size <= max)
                return size;
        while (max > 0 && ((unsigned char) text[max] & 0xc0) == 0x80)
                max--;
        return max;
}

void text_copy(char *buffer, size_t size, const char *text) {
        size_t n = text_cut(text, strlen(text), size - 1);

        memmove(buffer, text, n);
        buffer[n] = '\0';
}

/* Returns the length of the character at *p*; 0 when it is not UTF-8. */
static size_t character_length(const char *p, size_t left) {
        uint8_t lead = (uint8_t) *p;
        size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

        return n <= left && bytes_is_utf8(p, n) ? n : 0;
}

/* A text was cut after *size* bytes: returns the size without an incomplete last character. */
static size_t whole_size(const char *text, size_t size) {
        for (size_t back = 1; back <= 4 && back <= size; back++)
                if (((unsigned char) text[size - back] & 0xc0) != 0x80)
                        return character_length(text + size - back, back) > 0 ? size : size - back;
        return size;
}

/* C0, DEL, C1; from U+2028 to U+202E the line and paragraph separators and what turns the direction of text, which
 * U+2066 to U+2069 do, too. */
static bool character_is_control(const char *p, size_t length) {
        uint8_t first = (uint8_t) p[0], second = length > 1 ? (uint8_t) p[1] : 0,
                third = length > 2 ? (uint8_t) p[2] : 0;

        if (length == 1)
                return first < 0x20 || first == 0x7f;
        if (length == 2)
                return first == 0xc2 && second < 0xa0;
        return first == 0xe2 && ((second == 0x80 && third >= 0xa8 && third <= 0xae) ||
                                        (second == 0x81 && third >= 0xa6 && third <= 0xa9));
}

size_t text_clean(char *text, size_t size) {
        size_t n = 0;

        for (size_t i = 0, length; i < size; i += length) {
                length = character_length(text + i, size - i);
                if (length == 0) {
                        text[n++] = '?';
                        length = 1;
                } else if (character_is_control(text + i, length))
                        text[n++] = ' ';
                else {
                        memmove(text + n, text + i, length);
                        n += length;
                }
        }
        return n;
}

bool text_has_controls(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if ((uint8_t) text[i] < ' ' || text[i] == 0x7f)
                        return true;
        return false;
}

static size_t words_end(const char *text, size_t n, const char *ends) {
        while (n > 0 && strchr(ends, text[n - 1]))
                n--;
        return n;
}

void text_copy_words(char *buffer, size_t size, const char *text) {
        size_t n = words_end(text, strlen(text), ". \t\r\n"), room = size - sizeof("..."), cut, blank;
        bool whole = n < size;

        if (!whole) {
                n = cut = text_cut(text, n, room);
                for (blank = cut; blank > cut / 2 && text[blank] != ' ';)
                        blank--;
                if (text[blank] == ' ')
                        n = blank;
                n = words_end(text, n, ".,;: \t\r\n");
        }
        memmove(buffer, text, n);
        n = text_clean(buffer, n);
        (void) memcpy(buffer + n, whole ? "" : "...", whole ? 1 : sizeof("..."));
}

int text_format(char **ret, const char *format, ...) {
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vasprintf(ret, format, arguments);
        va_end(arguments);
        if (n >= 0)
                return 0;
        *ret = NULL;
        return -ENOMEM;
}

void text_print_list(char *buffer, size_t size, const char *format, va_list arguments) {
        _cleanup_free_ char *text = NULL;

        if (vasprintf(&text, format, arguments) < 0)
                text = NULL;
        text_copy_words(buffer, size, text ?: "out of memory");
}

void text_print(char *buffer, size_t size, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        text_print_list(buffer, size, format, arguments);
        va_end(arguments);
}

bool text_is_among(const char *text, const char *const *texts) {
        for (; texts && *texts; texts++)
                if (strcmp(*texts, text) == 0)
                        return true;
        return false;
}

void text_add(TextRoom *room, const char *format, ...) {
        size_t left = room->size - room->used;
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(room->text + room->used, left, format, arguments);
        va_end(arguments);
        if (n < 0)
                return;
        if ((size_t) n >= left)
                n = (int) whole_size(room->text + room->used, left - 1);
        room->used += (size_t) n;
        room->text[room->used] = '\0';
}

size_t text_mark(const char *text, size_t size) {
        static const char mark[] = "\xef\xbb\xbf";

        return size >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0 ? strlen(mark) : 0;
}

bool text_is_utf16(const char *text, size_t size) {
        if (size < 2)
                return false;
        if (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0)
                return true;
        return size >= 4 && ((text[0] == '\0' && text[2] == '\0') || (text[1] == '\0' && text[3] == '\0'));
}
