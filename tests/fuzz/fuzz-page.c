/* SPDX-License-Identifier: Apache-2.0 */
/* What browsers and publishers can hand to the page: the parameters of a query, a password, a message. The first byte
 * says which. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "fuzz.h"
#include "page-answer.h"
#include "page-numbers.h"
#include "page-render.h"

/* The next text up to a line break; NULL when nothing is left. */
static char *next_text(char **cursor) {
        char *text = *cursor, *end;

        if (!text)
                return NULL;
        end = strchr(text, '\n');
        *cursor = end ? end + 1 : NULL;
        if (end)
                *end = '\0';
        return text;
}

static void fuzz_query(char *text) {
        PageQueryText parts;
        PageQuery query;

        parts.series = next_text(&text);
        parts.from = next_text(&text);
        parts.to = next_text(&text);
        parts.points = next_text(&text);
        if (page_query_parse(&parts, &query))
                return;
        assert(query.n > 0 && query.n <= PAGE_QUERY_SERIES_MAX && query.points > 0 &&
                query.points <= PAGE_QUERY_POINTS_MAX);
        assert(query.from >= 0 && query.from < query.to && query.n * query.points <= PAGE_QUERY_VALUES_MAX);
}

static void fuzz_login(char *text) {
        PageLogin login = {};
        unsigned seconds;

        for (int i = 0; i < 8; i++)
                (void) page_login_check(&login, "secret", &(PageLoginTry){ next_text(&text), "::1", 1 }, &seconds);
}

static void fuzz_look(const char *text, size_t size) {
        const WireAttribute attributes[] = { { { "site", 4 }, { "x", 1 } }, { { "a", 1 }, { "b", 1 } } };
        PageFound found = {};

        if (page_numbers_find(&(SinkPast){ { text, size }, attributes, 2, 1795840000000 }, "id", &found) ==
                PAGE_NUMBERS_FOUND) {
                assert(found.n > 0 && found.n <= PAGE_NUMBERS_MAX && found.time > 0);
                for (size_t i = 0; i < found.n; i++)
                        assert(isfinite(found.numbers[i].value) && found.fields.data[found.numbers[i].field] == '/');
        }
        page_numbers_done(&found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *text;

        if (size == 0)
                return 0;
        text = malloc(size);
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        if (data[0] % 3 == 0)
                fuzz_query(text);
        else if (data[0] % 3 == 1)
                fuzz_login(text);
        else
                fuzz_look(text, size - 1);
        free(text);
        return 0;
}
