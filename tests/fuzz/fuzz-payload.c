/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message's data where Python's text may come: an outcome with words, and what is called JSON because it was Python is JSON. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/json.h"
#include "subscribe/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok) {
        if (!ok)
                abort();
}

static bool is_json(Slice text) {
        JsonReader reader;
        int token;

        json_reader_init(&reader, text.data, text.size, JSON_READER_DEPTH);
        do
                token = json_reader_next(&reader);
        while (token > JSON_END);
        return token == JSON_END;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Payload payload = {};
        int r = payload_open((Slice){ (const char *) data, size }, PAYLOAD_PYTHON, &payload);

        require(r >= 0);
        require(payload.content.size <= PAYLOAD_GZIP_MAX + 1);
        require((r == PAYLOAD_OK) == (payload.problem[0] == '\0'));
        require(bytes_is_utf8(payload.problem, strlen(payload.problem)));
        if (r == PAYLOAD_OK)
                require(is_json(payload.text));
        payload_done(&payload);
        return 0;
}
