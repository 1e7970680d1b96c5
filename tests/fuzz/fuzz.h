/* SPDX-License-Identifier: Apache-2.0 */
/* What all fuzzers need. */
#pragma once
#include <stdint.h>
#include <stdlib.h>

#include "lib/json.h"
#include "publish/reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not inlined: the compiler makes one call of many abort()s, and a trace then names any of their lines. */
__attribute__((noinline, unused)) static void require(bool ok) {
        if (!ok)
                abort();
}

/* What a source makes of any input can be published. */
static inline void require_message(const Reading *reading) {
        JsonReader reader;
        int token;

        require(bytes_is_utf8(reading->payload.data, reading->payload.size));
        json_reader_init(&reader, reading->payload.data, reading->payload.size, 90);
        require(json_reader_next(&reader) == JSON_OBJECT);
        while ((token = json_reader_next(&reader)) > 0)
                ;
        require(token == JSON_END);
        require(reading->device[0] != '\0' && bytes_is_utf8(reading->device, strlen(reading->device)));
        require(strlen(reading->key) <= 1024); /* an attribute's limit */
}
