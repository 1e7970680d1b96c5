/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A growable buffer, and the text codings that buffers need. Bytes is a plain value: `Bytes b = {};` is empty,
 * bytes_done() releases it.
 *
 * A buffer remembers its first error: after that nothing is appended, and each append returns that error. A function
 * that writes a whole text therefore checks once, at the end: the return value of its last call, or bytes_result().
 * Before that check it must not send, store or read the content, which may be incomplete. The error belongs to the
 * content: bytes_steal() moves both, bytes_done() clears both, bytes_cut() removes the incomplete part and clears the
 * error. A buffer that is used again after a failure needs one of these three calls. */

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "err.h"

typedef struct Bytes {
        char *data;  /* ends with a NUL once anything was appended; NULL before that */
        size_t size; /* bytes, without the NUL */
        size_t allocated;
        int error; /* a negative errno, or 0 */
} Bytes;

/* A part of memory that somebody else owns; it does not end with a NUL. */
typedef struct Slice {
        const char *data;
        size_t size;
} Slice;

static inline Slice bytes_slice(const Bytes *b) {
        return (Slice){ b->data, b->size };
}

static inline Slice slice_of(const char *text) {
        return (Slice){ text, strlen(text) };
}

static inline bool slice_same(Slice a, Slice b) {
        return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equal(Slice slice, const char *text) {
        return slice_same(slice, slice_of(text));
}

/* The same, whatever the case of ASCII letters. */
static inline bool slice_equal_nocase(Slice slice, const char *text) {
        return slice.size == strlen(text) && strncasecmp(slice.data, text, slice.size) == 0;
}

/* Takes the next piece off *rest*: what is before the next *end*, or all of it if there is none. False: *rest* is
 * empty. */
static inline bool slice_next(Slice *rest, char end, Slice *ret) {
        const char *found = rest->size > 0 ? memchr(rest->data, end, rest->size) : NULL;

        if (rest->size == 0)
                return false;
        *ret = (Slice){ rest->data, found ? (size_t) (found - rest->data) : rest->size };
        *rest = found ? (Slice){ found + 1, rest->size - ret->size - 1 } : (Slice){};
        return true;
}

/* In ASCII, in any locale. A space is one of JSON: blank, tab or line break. */
static inline bool bytes_is_digit(char c) {
        return c >= '0' && c <= '9';
}

static inline bool bytes_is_space(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The value of a hexadecimal digit of either case; -1: it is none. */
static inline int bytes_hex_digit(char c) {
        if (bytes_is_digit(c))
                return c - '0';
        return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* Compares byte by byte like strcmp(3). If one is a prefix of the other, the longer one comes later. */
static inline int slice_order(Slice a, Slice b) {
        size_t size = a.size < b.size ? a.size : b.size;
        int order = size > 0 ? memcmp(a.data, b.data, size) : 0;

        return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* FNV-1a hash of *data*. *hash* is BYTES_HASH, or the hash of the bytes before it. Somebody can choose two texts that
 * have the same hash. */
#define BYTES_HASH UINT64_C(0xcbf29ce484222325)
static inline uint64_t bytes_hash(uint64_t hash, const char *data, size_t size) {
        for (size_t i = 0; i < size; i++)
                hash = (hash ^ (uint8_t) data[i]) * UINT64_C(0x100000001b3);
        return hash;
}

/* Frees the content and clears the error; the buffer is empty afterwards. */
void bytes_done(Bytes *b);
/* Like bytes_done(), but overwrites the content first: it is a secret. */
void bytes_wipe(Bytes *b);
#define _cleanup_bytes_ _cleanup_(bytes_done)

/* Moves content and error out; *b* is empty afterwards. */
Bytes bytes_steal(Bytes *b);

/* Returns 0 when everything that was appended is there, else the first error. */
static inline int bytes_result(const Bytes *b) {
        return b->error;
}

/* Records that something could not be appended: keeps *error* unless it is 0 or there is an earlier error. Returns the
 * same as bytes_result(). */
int bytes_fail(Bytes *b, int error);

/* Cuts the buffer to its first *size* bytes, which must be complete, and clears the error of what is cut off. */
void bytes_cut(Bytes *b, size_t size);

/* Makes room for *size* more bytes. -ENOMEM, which the buffer remembers. */
int bytes_reserve(Bytes *b, size_t size);

/* Append at the end. A NUL always follows the last byte; it is not part of *size*. -ENOMEM: nothing of this call is
 * appended. */
int bytes_append(Bytes *b, const void *data, size_t size);
int bytes_append_text(Bytes *b, const char *text);
int bytes_append_format(Bytes *b, const char *format, ...) _printf_(2, 3);

#define BYTES_ONES UINT64_C(0x0101010101010101)
#define BYTES_HIGHS (BYTES_ONES * 0x80)

/* Returns eight bytes as one number; the first byte is the lowest. */
static inline uint64_t bytes_load(const char *p) {
        uint64_t word;

        memcpy(&word, p, sizeof(word));
        return le64toh(word);
}

/* Sets the high bit of each byte that is a quote, a backslash or a control character. The lowest mark is always right.
 * Above it a byte may be marked wrongly, because the subtractions borrow from the next byte. */
static inline uint64_t bytes_mark_special(uint64_t word) {
        return ((word - BYTES_ONES * 0x20) | ((word ^ BYTES_ONES * '"') - BYTES_ONES) |
                       ((word ^ BYTES_ONES * '\\') - BYTES_ONES)) &
               ~word & BYTES_HIGHS;
}

/* True for characters that a JSON string must escape. */
static inline bool bytes_is_special(char c) {
        return c == '"' || c == '\\' || (uint8_t) c < 0x20;
}

/* Returns the first quote, backslash or control character from *p* on, or *end*. *seen* gets the high bits of all bytes
 * before it. */
static inline const char *bytes_find_special(const char *p, const char *end, uint64_t *seen) {
        for (; end - p >= 8; p += 8) {
                uint64_t word = bytes_load(p), marks = bytes_mark_special(word);

                if (marks != 0) {
                        unsigned bits = (unsigned) __builtin_ctzll(marks) & ~7u;

                        *seen |= word & ((UINT64_C(1) << bits) - 1);
                        return p + bits / 8;
                }
                *seen |= word;
        }
        for (; p < end && !bytes_is_special(*p); p++)
                *seen |= (uint8_t) *p;
        return p;
}

/* Appends *text* as a JSON string with its quotes (RFC 8259: `"`, `\` and controls escaped). *text* must be UTF-8. */
int bytes_append_json_string(Bytes *b, const char *text, size_t size);
/* Appends a member of a JSON object, after a comma unless it is the first; *text* NULL: null. Both must be UTF-8. */
static inline int bytes_append_json_member(Bytes *b, const char *name, const char *text) {
        bytes_append_format(b, "%s\"%s\":", b->size > 0 && b->data[b->size - 1] != '{' ? "," : "", name);
        return text ? bytes_append_json_string(b, text, strlen(text)) : bytes_append_text(b, "null");
}

/* Append base64: with padding (RFC 4648 section 4), or in the URL alphabet without padding (section 5). */
int bytes_append_base64(Bytes *b, const void *data, size_t size);
int bytes_append_base64url(Bytes *b, const void *data, size_t size);

/* Decodes base64 of either alphabet, padded or not, into *out*, which may be *text* itself (3/4 of *size* bytes
 * suffice). -EBADMSG for any other byte, misplaced padding, or bits left over; *out* holds nothing useful then. */
int bytes_decode_base64(const char *text, size_t size, char *out, size_t *ret_size);

/* True if all *size* bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong, nothing above U+10FFFF).
 * NUL is allowed. */
bool bytes_is_utf8(const char *data, size_t size);
