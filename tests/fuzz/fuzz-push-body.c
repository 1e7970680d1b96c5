/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the body of a push (behind the first one, which says whether it is NDJSON): its documents lie in it, in
 * their order, and a body that is accepted has nothing but JSON and white space. As a form it is one object, or says
 * why not. */
#include <string.h>

#include "fuzz.h"
#include "sources/http-push-body.h"

static bool is_blank(const char *begin, const char *end) {
        for (; begin < end; begin++)
                if (!strchr(" \t\r\n", *begin)) /* or NUL */
                        return false;
        return true;
}

static void fuzz_form(Slice body) {
        char words[200] = "";
        Bytes made = {};
        bool good = http_push_body_form(body, &made, words, sizeof(words));

        require(good == (words[0] == '\0'));
        require(!good || made.size == 0 || made.data[0] == '{');
        require(!good || made.size == 0 || json_is_whole((Slice){ made.data, made.size }, 1, NULL));
        bytes_done(&made);
}

static bool is_json(Slice line) {
        char why[100];
        Bytes made = {};
        Slice json;
        bool is = shape_text_read(line, false, &made, &json, why) == 0 && json_is_whole(json, SHAPE_DEPTH_MAX, NULL);

        bytes_done(&made);
        return is;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice rest, line, body;
        static const ShapeConfig whole;
        size_t number = 0, before = 0;
        char words[200] = "";
        const char *at;
        bool lines, good;

        if (size == 0)
                return 0;
        lines = data[0] % 2 == 1;
        rest = body = (Slice){ (const char *) data + 1, size - 1 };
        at = body.data;
        good = http_push_body_check(&whole, body, lines, words, sizeof(words)) == 0;
        require(good == (words[0] == '\0'));
        while (http_push_body_next(&rest, lines, &number, &line)) {
                require(line.data >= at && line.data + line.size <= body.data + body.size && number > before);
                require(lines || number == 1);
                require(is_blank(at, line.data));
                require(!good || is_json(line));
                at = line.data + line.size;
                before = number;
        }
        require(is_blank(at, body.data + body.size));
        fuzz_form(body);
        return 0;
}
