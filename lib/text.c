/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

int text_append_percent(Bytes *b, const char *text, const char *also) {
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
        int r = 0;

        for (const char *p = text; *p != '\0' && r == 0; p++)
                r = strchr(plain, *p) || strchr(also, *p) ? bytes_append(b, p, 1)
                                                          : bytes_append_format(b, "%%%02X", (unsigned char) *p);
        return r;
}

int text_append_field(Bytes *b, const char *name, const char *value) {
        int r;

        r = bytes_append_format(b, "%s%s=", b->size > 0 ? "&" : "", name);
        if (r < 0)
                return r;
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
