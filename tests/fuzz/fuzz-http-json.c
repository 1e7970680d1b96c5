/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an answer's pointer to its next page (behind the first byte, which says how it is given), and as a URL
 * with placeholders: what comes of it is a URL of the same server, or none. */
#include <stdlib.h>

#include "fuzz.h"
#include "lib/http.h"
#include "sources/http-json.h"

static void page(Slice document, bool by_parameter) {
        HttpJsonPaging paging = { (char *) "/next", by_parameter ? (char *) "page" : NULL, 20 };
        static const char first[] = "https://api.example.com/v1/points?from=1&page=0";
        Bytes next = {};
        int r = http_json_next(&paging, document, first, &next);

        require(r == HTTP_JSON_LAST || r == HTTP_JSON_MORE || r == HTTP_JSON_ELSEWHERE);
        if (r == HTTP_JSON_MORE)
                require(http_url_check(next.data) == HTTP_URL_OK && http_json_same_origin(first, next.data) &&
                        strlen(next.data) == next.size);
        bytes_done(&next);
}

static void expand(Slice text) {
        char *copy = strndup(text.data, text.size);
        Bytes url = {}, body = {};

        require(copy);
        require(http_json_expand(copy, &(HttpJsonTimes){ 1, 2, 3 }, true, &url) == 0);
        require(http_json_expand(copy, &(HttpJsonTimes){ 1, 2, 3 }, false, &body) == 0);
        require(!url.data || !http_json_mentions(url.data, "since") || strchr(copy, '{'));
        bytes_done(&url);
        bytes_done(&body);
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice text = { (const char *) data + 1, size - 1 };

        if (size == 0)
                return 0;
        if (json_is_whole(text, 90, NULL))
                page(text, data[0] & 1);
        expand(text);
        return 0;
}
