/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Texts in the form that others need: escaped for a URL, or cut to a length. */

#include <stdarg.h>

#include "bytes.h"

/* Appends *text* percent-encoded (RFC 3986); unreserved characters and those in *also* (may be "") stay as they are.
 * -ENOMEM. */
int text_append_percent(Bytes *b, const char *text, const char *also);

/* Appends `NAME=VALUE` as in application/x-www-form-urlencoded, after `&` unless the buffer is empty. -ENOMEM. */
int text_append_field(Bytes *b, const char *name, const char *value);

/* Returns how many bytes of *text*, which has *size* bytes, fit into *max* without cutting a character. */
size_t text_cut(const char *text, size_t size, size_t max);

/* Whether both are the same text, or both NULL. */
static inline bool text_equal(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* True when *text* is one of *texts*, which end with NULL; *texts* may be NULL. */
bool text_is_among(const char *text, const char *const *texts);

/* The end of a noun beside a number, and of its verb: "1 reading waits", "2 readings wait". */
static inline const char *text_s(uint64_t n) {
        return n == 1 ? "" : "s";
}
static inline const char *text_verb_s(uint64_t n) {
        return n == 1 ? "s" : "";
}

/* A text that grows in a buffer of fixed size; what does not fit is cut at the end, between characters. */
typedef struct TextRoom {
        char *text;
        size_t size, used;
} TextRoom;
/* Appends like snprintf(3). */
void text_add(TextRoom *room, const char *format, ...) _printf_(2, 3);

/* Copies as many whole characters of *text* as fit into *buffer* with a NUL. */
void text_copy(char *buffer, size_t size, const char *text);

/* Copies a remote's text so that it can stand inside a sentence of ours: on one line, without full stops and spaces at
 * its end. If it does not fit, it is cut between words (between characters if a word is long) and ends in "...". */
void text_copy_words(char *buffer, size_t size, const char *text);

/* Returns NULL for an empty text. */
static inline const char *text_or_null(const char *text) {
        return text && text[0] ? text : NULL;
}

/* Like asprintf(3), but *ret is NULL when it fails, and so can be released all the same. -ENOMEM. */
int text_format(char **ret, const char *format, ...) _printf_(2, 3);

/* Like snprintf(3), but a text that does not fit is cut as text_copy_words() does. */
void text_print(char *buffer, size_t size, const char *format, ...) _printf_(3, 4);
void text_print_list(char *buffer, size_t size, const char *format, va_list arguments) _printf_(3, 0);

/* Makes *size* bytes fit for one line of a terminal or log, in place: controls (C0, DEL, C1, U+2028, U+2029, and those
 * that turn the direction of text) become spaces, bytes that are not UTF-8 become `?`. Returns the new size. */
size_t text_clean(char *text, size_t size);

/* True when it holds a control character of ASCII, such as a line break: it cannot be a header's value. */
bool text_has_controls(const char *text, size_t size);

/* Returns the size of the byte order mark that some editors put in front of a UTF-8 text: 3, or 0 without one. */
size_t text_mark(const char *text, size_t size);

/* True when *text* is UTF-16: it has a mark, or the NULs that ASCII text has there. */
bool text_is_utf16(const char *text, size_t size);
