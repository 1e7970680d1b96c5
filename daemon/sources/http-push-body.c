/* SPDX-License-Identifier: Apache-2.0 */
#include "sources/http-push-body.h"

#include <stdio.h>
#include <string.h>

#include "lib/json.h"

#define NESTING_MAX 90

bool http_push_body_next(Slice *rest, bool lines, size_t *number, Slice *ret) {
        while (rest->size > 0) {
                const char *newline = lines ? memchr(rest->data, '\n', rest->size) : NULL;
                size_t size = newline ? (size_t) (newline - rest->data) : rest->size, used = size + (newline ? 1 : 0);

                *ret = (Slice){ rest->data, size };
                *rest = (Slice){ rest->data + used, rest->size - used };
                (*number)++;
                while (ret->size > 0 && bytes_is_space(ret->data[ret->size - 1]))
                        ret->size--;
                if (ret->size > 0)
                        return true;
        }
        return false;
}

bool http_push_body_check(Slice body, bool lines, char *words, size_t size) {
        size_t number = 0, byte;
        Slice rest = body, line;

        while (http_push_body_next(&rest, lines, &number, &line))
                if (!json_is_whole(line, NESTING_MAX, &byte)) {
                        (void) snprintf(words, size,
                                "Line %zu is not JSON, at its byte %zu. Nothing of this body was stored.\n", number,
                                byte);
                        return false;
                }
        return true;
}
