/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Texts as others want them: escaped for a URL, cut to a length. */

#include <stdarg.h>

#include "bytes.h"

/* Appends *text* percent-encoded (RFC 3986): all but what is unreserved there, and the characters of *also* (may be
 * ""). -ENOMEM. */
int text_append_percent(Bytes *b, const char *text, const char *also);

/* Appends `NAME=VALUE`, behind `&` unless the buffer is empty, as in application/x-www-form-urlencoded. -ENOMEM. */
int text_append_field(Bytes *b, const char *name, const char *value);

/* The most bytes of *text* (up to *size* of them) that fit into *max* without cutting a character in two. */
size_t text_cut(const char *text, size_t size, size_t max);

/* Whether both are the same text, or both NULL. */
static inline bool text_equal(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether it is one of *texts*, which end with NULL; NULL: of none. */
bool text_is_among(const char *text, const char *const *texts);

/* A text as it grows in a buffer; what does not fit is cut at the end, between characters. */
typedef struct TextRoom {
        char *text;
        size_t size, used;
} TextRoom;
/* As snprintf(3), at the end. */
void text_add(TextRoom *room, const char *format, ...) _printf_(2, 3);

/* Copies as much of *text* as fits into *buffer*, NUL included, whole characters only. */
void text_copy(char *buffer, size_t size, const char *text);

/* Copies what a remote says so that it can stand inside a sentence of ours: without full stops and blanks at its end,
 * on one line; what does not fit is cut between words (between characters, where a word is long) and ends in "...". */
void text_copy_words(char *buffer, size_t size, const char *text);

/* As snprintf(3), but what does not fit is cut as text_copy_words() does. */
void text_print(char *buffer, size_t size, const char *format, ...) _printf_(3, 4);
void text_print_list(char *buffer, size_t size, const char *format, va_list arguments) _printf_(3, 0);

/* Makes *size* bytes fit for one line of a terminal or log, in place: controls (C0, DEL, C1, U+2028, U+2029) become
 * spaces, bytes that are not UTF-8 become `?`. Returns what is left of the size. */
size_t text_clean(char *text, size_t size);

/* The size of the byte order mark that some editors begin a UTF-8 text with: 3, or 0. */
size_t text_mark(const char *text, size_t size);

/* Whether *text* is UTF-16: with a mark, or by its NULs, as ASCII looks there. */
bool text_is_utf16(const char *text, size_t size);
