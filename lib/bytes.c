/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "err.h"

#define BYTES_FIRST 64 /* size of the first allocation: most bodies are not much smaller */

void bytes_done(Bytes *b) {
        free(b->data);
        *b = (Bytes){};
}

void bytes_wipe(Bytes *b) {
        if (b->data)
                explicit_bzero(b->data, b->allocated);
        bytes_done(b);
}

Bytes bytes_steal(Bytes *b) {
        Bytes stolen = *b;

        *b = (Bytes){};
        return stolen;
}

int bytes_fail(Bytes *b, int error) {
        if (b->error == 0 && error < 0)
                b->error = error;
        return b->error;
}

void bytes_cut(Bytes *b, size_t size) {
        assert(size <= b->size);
        b->size = size;
        b->error = 0;
        if (b->data)
                b->data[size] = '\0';
}

int bytes_reserve(Bytes *b, size_t size) {
        size_t needed, wanted;
        char *data;

        if (b->error < 0)
                return b->error;
        if (size >= PTRDIFF_MAX - b->size)
                return bytes_fail(b, -ENOMEM);
        needed = b->size + size + 1;
        if (needed <= b->allocated)
                return 0;

        wanted = b->allocated + b->allocated / 2;
        if (wanted < needed)
                wanted = needed < BYTES_FIRST ? BYTES_FIRST : needed;

        data = realloc(b->data, wanted);
        if (!data)
                return bytes_fail(b, -ENOMEM);

        data[b->size] = '\0';
        b->data = data;
        b->allocated = wanted;
        return 0;
}

/* Counts *size* bytes that were written into the reserved room. */
static void bytes_commit(Bytes *b, size_t size) {
        assert(size < b->allocated - b->size);
        b->size += size;
        b->data[b->size] = '\0';
}

int bytes_append(Bytes *b, const void *data, size_t size) {
        int r = bytes_reserve(b, size);

        if (r < 0)
                return r;

        if (size > 0)
                memcpy(b->data + b->size, data, size);
        bytes_commit(b, size);
        return 0;
}

int bytes_append_text(Bytes *b, const char *text) {
        return bytes_append(b, text, strlen(text));
}

/* Prints into the room that is left, and once more where that was too small. */
int bytes_append_format(Bytes *b, const char *format, ...) {
        va_list arguments;
        size_t room;
        int n = 0;

        do {
                if (bytes_reserve(b, (size_t) n) < 0)
                        return b->error;
                room = b->allocated - b->size;
                va_start(arguments, format);
                n = vsnprintf(b->data + b->size, room, format, arguments);
                va_end(arguments);
                if (n < 0 || (size_t) n >= room)
                        b->data[b->size] = '\0'; /* none of it is appended */
                if (n < 0)
                        return bytes_fail(b, err_errno());
        } while ((size_t) n >= room);
        bytes_commit(b, (size_t) n);
        return 0;
}

/* Returns the number of bytes that *c* takes in a JSON string. */
static size_t json_length(uint8_t c) {
        if (!bytes_is_special((char) c))
                return 1;
        if (c >= 0x20)
                return 2;
        return c == '\b' || c == '\t' || c == '\n' || c == '\f' || c == '\r' ? 2 : 6;
}

static char *json_escape(uint8_t c, char *out) {
        static const char digits[] = "0123456789abcdef";
        static const char letters[0x20] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };

        *out++ = '\\';
        if (json_length(c) == 2) {
                *out++ = c < sizeof(letters) ? letters[c] : (char) c;
                return out;
        }

        memcpy(out, "u00", 3);
        out[3] = digits[c >> 4];
        out[4] = digits[c & 0xf];
        return out + 5;
}

int bytes_append_json_string(Bytes *b, const char *text, size_t size) {
        uint64_t seen = 0;
        size_t plain = (size_t) (bytes_find_special(text, text + size, &seen) - text), length = size + 2;
        char *out;
        int r;

        for (size_t i = plain; i < size; i++)
                length += json_length((uint8_t) text[i]) - 1;
        r = bytes_reserve(b, length);
        if (r < 0)
                return r;

        out = b->data + b->size;
        *out++ = '"';
        if (plain > 0)
                memcpy(out, text, plain);
        out += plain;
        for (size_t i = plain; i < size; i++)
                if (bytes_is_special(text[i]))
                        out = json_escape((uint8_t) text[i], out);
                else
                        *out++ = text[i];
        *out++ = '"';
        bytes_commit(b, length);
        return 0;
}

static int append_base64(Bytes *b, const uint8_t *data, size_t size, const char alphabet[static 64], bool pad) {
        size_t room = (size / 3 + 1) * 4; /* no overflow: *data* takes at most half of all addresses */
        char *out;
        int r;

        r = bytes_reserve(b, room);
        if (r < 0)
                return r;

        out = b->data + b->size;
        for (; size >= 3; size -= 3, data += 3) {
                uint32_t v = (uint32_t) data[0] << 16 | (uint32_t) data[1] << 8 | data[2];

                *out++ = alphabet[v >> 18];
                *out++ = alphabet[v >> 12 & 63];
                *out++ = alphabet[v >> 6 & 63];
                *out++ = alphabet[v & 63];
        }
        if (size > 0) {
                uint32_t v = (uint32_t) data[0] << 16 | (size == 2 ? (uint32_t) data[1] << 8 : 0);

                *out++ = alphabet[v >> 18];
                *out++ = alphabet[v >> 12 & 63];
                if (size == 2)
                        *out++ = alphabet[v >> 6 & 63];
                if (pad) {
                        memcpy(out, "==", 3 - size);
                        out += 3 - size;
                }
        }
        bytes_commit(b, (size_t) (out - (b->data + b->size)));
        return 0;
}

int bytes_append_base64(Bytes *b, const void *data, size_t size) {
        return append_base64(b, data, size, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

int bytes_append_base64url(Bytes *b, const void *data, size_t size) {
        return append_base64(b, data, size, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

/* clang-format off */
#define XX 0xff /* not in either alphabet; every value of the alphabets is below 64 */
static const uint8_t base64_values[256] = {
        XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
        XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, 62, XX, 62, XX, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, XX, XX, XX, XX, XX, XX,
        XX,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, XX, XX, XX, XX, 63,
        XX, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, XX, XX, XX, XX, XX,
        XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
        XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
        XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
        XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
};
/* clang-format on */

/* Decodes the last 0, 2 or 3 characters of a text without padding. The bits that belong to no byte must be zero:
 * otherwise two texts would mean the same bytes. */
static int decode_base64_tail(const uint8_t *in, size_t size, char *out) {
        uint8_t a, b, c;

        if (size == 0)
                return 0;
        if (size == 1)
                return -EBADMSG;

        a = base64_values[in[0]];
        b = base64_values[in[1]];
        c = size == 3 ? base64_values[in[2]] : 0;
        if ((a | b | c) > 63 || (size == 2 ? b & 0xf : c & 0x3) != 0)
                return -EBADMSG;

        out[0] = (char) (a << 2 | b >> 4);
        if (size == 3)
                out[1] = (char) (b << 4 | c >> 2);
        return 0;
}

int bytes_decode_base64(const char *text, size_t size, char *out, size_t *ret_size) {
        const uint8_t *in = (const uint8_t *) text;
        const char *begin = out;

        if (size > 0 && size % 4 == 0 && in[size - 1] == '=')
                size -= in[size - 2] == '=' ? 2 : 1;

        for (; size >= 4; size -= 4, in += 4, out += 3) {
                uint32_t a = base64_values[in[0]], b = base64_values[in[1]], c = base64_values[in[2]],
                         d = base64_values[in[3]];
                uint32_t v = a << 18 | b << 12 | c << 6 | d;

                if ((a | b | c | d) > 63)
                        return -EBADMSG;
                out[0] = (char) (v >> 16);
                out[1] = (char) (v >> 8);
                out[2] = (char) v;
        }
        if (decode_base64_tail(in, size, out) < 0)
                return -EBADMSG;

        *ret_size = (size_t) (out - begin) + (size > 0 ? size - 1 : 0);
        return 0;
}

/* Returns the length of the multi-byte sequence at *p*, or 0 when it is malformed (RFC 3629 section 4). */
static size_t utf8_sequence(const uint8_t *p, size_t left) {
        uint8_t low = 0x80, high = 0xbf;
        size_t n;

        if (p[0] < 0xc2 || p[0] > 0xf4)
                return 0;
        n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
        if (left < n)
                return 0;

        if (p[0] == 0xe0)
                low = 0xa0;
        else if (p[0] == 0xed)
                high = 0x9f;
        else if (p[0] == 0xf0)
                low = 0x90;
        else if (p[0] == 0xf4)
                high = 0x8f;
        if (p[1] < low || p[1] > high)
                return 0;

        for (size_t i = 2; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        return n;
}

bool bytes_is_utf8(const char *data, size_t size) {
        const uint8_t *p = (const uint8_t *) data;

        for (size_t i = 0, n; i < size; i += n) {
                if (size - i >= sizeof(uint64_t) && (bytes_load(data + i) & BYTES_HIGHS) == 0)
                        n = sizeof(uint64_t);
                else
                        n = p[i] < 0x80 ? 1 : utf8_sequence(p + i, size - i);
                if (n == 0)
                        return false;
        }
        return true;
}
