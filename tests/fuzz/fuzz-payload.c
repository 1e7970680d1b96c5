/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message's data where Python's text may come: an outcome with words, and what is called JSON because it
 * was Python is JSON. No data is an empty object. */
#include "fuzz.h"
#include "subscribe/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Payload payload = {};
        int r = payload_open((Slice){ (const char *) data, size }, PAYLOAD_PYTHON, &payload);

        require(r >= 0);
        require(payload.content.size <= PAYLOAD_GZIP_MAX + 1);
        require((r == PAYLOAD_OK) == (payload.problem[0] == '\0'));
        require(bytes_is_utf8(payload.problem, strlen(payload.problem)));
        if (r == PAYLOAD_OK)
                require(size == 0 || json_is_whole(payload.text, JSON_READER_DEPTH, NULL));
        payload_done(&payload);
        return 0;
}
