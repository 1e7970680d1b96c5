/* SPDX-License-Identifier: Apache-2.0 */
#include "readings.h"

#include <stdio.h>
#include <string.h>

void reading_device(unsigned i, char out[READINGS_DEVICE_SIZE + 1]) {
        (void) snprintf(out, READINGS_DEVICE_SIZE + 1, "%08x-5c1e-4b7a-9d2f-0123456789ab", i * 2654435761U);
}

void reading_append_events(Buffer *out, unsigned i) {
        buffer_format(out,
                "{\"te\":{\"val\":%u.%u,\"created_at\":\"2026-01-15T08:12:%02uZ\"},\"hu\":{\"val\":%u,\"created_at\":\"2026-01-15T08:09:%"
                "02uZ\"},"
                "\"il\":{\"val\":%u.%u,\"created_at\":\"2026-01-15T08:11:%02uZ\"}}",
                18 + i % 9, i % 10, i % 60, 35 + i % 40, (i * 7) % 60, 20 + i % 180, i % 10, (i * 13) % 60);
}

void reading_append(Buffer *out, unsigned i) {
        char device[READINGS_DEVICE_SIZE + 1];

        reading_device(i, device);
        buffer_format(out, "{\"name\":\"Room %03u\",\"newest_events\":", i);
        reading_append_events(out, i);
        buffer_format(out,
                ",\"updated_at\":\"2026-01-14T22:01:%02uZ\",\"request_at\":\"2026-01-15T08:13:00.%03uZ\",\"id\":\"%s\",\"source\":\"home\","
                "\"online\":true}",
                i % 60, i, device);
}

void base64_append(Buffer *out, const char *data, size_t size) {
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

        for (size_t i = 0; i < size; i += 3) {
                uint32_t left = (uint32_t) (size - i), v = (uint32_t) (uint8_t) data[i] << 16;
                char quad[4];

                if (left > 1)
                        v |= (uint32_t) (uint8_t) data[i + 1] << 8;
                if (left > 2)
                        v |= (uint8_t) data[i + 2];
                quad[0] = alphabet[v >> 18];
                quad[1] = alphabet[v >> 12 & 63];
                quad[2] = left > 1 ? alphabet[v >> 6 & 63] : '=';
                quad[3] = left > 2 ? alphabet[v & 63] : '=';
                buffer_append(out, quad, sizeof quad);
        }
}

static int base64_value(char c) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t base64_decode(char *text) {
        size_t size = 0;
        uint32_t bits = 0;
        unsigned held = 0;

        for (const char *at = text; *at && *at != '='; at++) {
                int value = base64_value(*at);

                if (value < 0)
                        return -1;
                bits = bits << 6 | (uint32_t) value;
                held += 6;
                if (held >= 8) {
                        held -= 8;
                        text[size++] = (char) (bits >> held & 255);
                }
        }
        return (ssize_t) size;
}
