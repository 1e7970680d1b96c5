/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A growable buffer, and the text codings that buffers need. Bytes is a plain value: `Bytes b = {};` is empty,
 * bytes_done() releases.
 *
 * It remembers its first error: from there on nothing is appended, and everything that appends returns that error. So
 * who writes a whole looks once, at what the last call returned or at bytes_result(); before that nobody may send,
 * store or read what may be half of it. The error goes where the content goes: bytes_steal() moves it along,
 * bytes_done() ends it, bytes_cut() takes it back with what was half written. A buffer that is used again after a
 * failure needs one of these. */

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cleanup.h"

typedef struct Bytes {
        char *data;  /* NUL after the last byte as soon as anything was appended; else NULL */
        size_t size; /* without that NUL */
        size_t allocated;
        int error; /* a negative errno, or 0 */
} Bytes;

/* A stretch of somebody else's memory, not NUL-terminated. */
typedef struct Slice {
        const char *data;
        size_t size;
} Slice;

static inline bool slice_same(Slice a, Slice b) {
        return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equal(Slice slice, const char *text) {
        return slice_same(slice, (Slice){ text, strlen(text) });
}

/* As strcmp(3): byte by byte, and what is longer comes later. */
static inline int slice_order(Slice a, Slice b) {
        size_t size = a.size < b.size ? a.size : b.size;
        int order = size > 0 ? memcmp(a.data, b.data, size) : 0;

        return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* FNV-1a, from BYTES_HASH or from what came before. Others may choose texts that share one. */
#define BYTES_HASH UINT64_C(0xcbf29ce484222325)
static inline uint64_t bytes_hash(uint64_t hash, const char *data, size_t size) {
        for (size_t i = 0; i < size; i++)
                hash = (hash ^ (uint8_t) data[i]) * UINT64_C(0x100000001b3);
        return hash;
}

/* Frees the content, and leaves it empty. */
void bytes_done(Bytes *b);
/* The same of a secret, which is overwritten before. */
void bytes_wipe(Bytes *b);
#define _cleanup_bytes_ _cleanup_(bytes_done)

/* Moves the content out: *b* is empty afterwards. */
Bytes bytes_steal(Bytes *b);

/* 0: all that was appended is there. Else the first error. */
static inline int bytes_result(const Bytes *b) {
        return b->error;
}

/* What should have been appended cannot be had: remembers *error*, unless it is 0 or comes after another. Returns as
 * bytes_result(). */
int bytes_fail(Bytes *b, int error);

/* Back to the first *size* bytes, which are whole: what was appended since is taken back, with its error. */
void bytes_cut(Bytes *b, size_t size);

/* Makes room for *size* more bytes. -ENOMEM, which is remembered. */
int bytes_reserve(Bytes *b, size_t size);

/* Append at the end; what is there always has a NUL behind it, which does not count. -ENOMEM: nothing of this. */
int bytes_append(Bytes *b, const void *data, size_t size);
int bytes_append_text(Bytes *b, const char *text);
int bytes_append_format(Bytes *b, const char *format, ...) _printf_(2, 3);

#define BYTES_ONES UINT64_C(0x0101010101010101)
#define BYTES_HIGHS (BYTES_ONES * 0x80)

/* Eight bytes, the first one lowest. */
static inline uint64_t bytes_load(const char *p) {
        uint64_t word;

        memcpy(&word, p, sizeof(word));
        return le64toh(word);
}

/* A high bit in the lowest byte that is a quote, a backslash or a control: taking away one more than it holds borrows
 * from the high bit, and only bytes above it may be marked wrongly by that borrow. */
static inline uint64_t bytes_mark_special(uint64_t word) {
        return ((word - BYTES_ONES * 0x20) | ((word ^ BYTES_ONES * '"') - BYTES_ONES) |
                       ((word ^ BYTES_ONES * '\\') - BYTES_ONES)) &
               ~word & BYTES_HIGHS;
}

/* What cannot stand in a JSON string as it is. */
static inline bool bytes_is_special(char c) {
        return c == '"' || c == '\\' || (uint8_t) c < 0x20;
}

/* The first quote, backslash or control from *p* on, or *end*. The high bits of all bytes before it are added to
 * *seen*. */
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

/* Appends base64 with padding (RFC 4648 section 4), or the URL alphabet without padding (section 5). */
int bytes_append_base64(Bytes *b, const void *data, size_t size);
int bytes_append_base64url(Bytes *b, const void *data, size_t size);

/* Decodes base64 of either alphabet, padded or not, into *out*, which may be *text* itself (3/4 of *size* bytes
 * suffice). -EBADMSG for any other byte, misplaced padding, or bits left over; *out* holds nothing useful then. */
int bytes_decode_base64(const char *text, size_t size, char *out, size_t *ret_size);

/* True if all *size* bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong, nothing above U+10FFFF).
 * NUL is allowed. */
bool bytes_is_utf8(const char *data, size_t size);
