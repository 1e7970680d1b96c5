/* SPDX-License-Identifier: Apache-2.0 */
/* For compare-literals.py: texts from standard input, each behind its length (4 bytes, little-endian), to JSON on
 * standard output in the same way; the length of what is refused is ffffffff. */
#include <endian.h>
#include <stdio.h>

#include "subscribe/payload.h"

static bool read_text(Bytes *text) {
        uint32_t size;

        if (fread(&size, 1, sizeof(size), stdin) != sizeof(size))
                return false;
        size = le32toh(size);
        text->size = 0;
        if (bytes_reserve(text, size) < 0 || fread(text->data, 1, size, stdin) != size)
                return false;
        text->size = size;
        return true;
}

int main(void) {
        Bytes text = {}, json = {};

        while (read_text(&text)) {
                PayloadError error;
                uint32_t size;
                int r;

                json.size = 0;
                r = payload_from_python((Slice){ text.data, text.size }, 100, &json, &error);
                size = htole32(r < 0 ? UINT32_MAX : (uint32_t) json.size);
                (void) fwrite(&size, 1, sizeof(size), stdout);
                if (r == 0)
                        (void) fwrite(json.data, 1, json.size, stdout);
        }
        bytes_done(&json);
        bytes_done(&text);
        return 0;
}
