/* SPDX-License-Identifier: Apache-2.0 */
#include "page-query.h"

#include <stdbool.h>

#define TIME_MAX INT64_C(4102444800000)                     /* 2100-01-01 */
#define RANGE_MAX (INT64_C(10) * 366 * 24 * 60 * 60 * 1000) /* ms; twice as long as values are kept */

/* Reads digits and moves *cursor* behind them. */
static bool number_parse(const char **cursor, int64_t max, int64_t *ret) {
        const char *c = *cursor;
        int64_t value = 0;

        if (*c < '0' || *c > '9')
                return false;
        for (; *c >= '0' && *c <= '9'; c++) {
                value = value * 10 + (*c - '0');
                if (value > max)
                        return false;
        }
        *cursor = c;
        *ret = value;
        return true;
}

static bool whole_parse(const char *text, int64_t max, int64_t *ret) {
        return number_parse(&text, max, ret) && *text == '\0';
}

static bool is_there(const PageQuery *query, int64_t series) {
        for (size_t i = 0; i < query->n; i++)
                if (query->series[i] == series)
                        return true;
        return false;
}

static const char *series_parse(const char *text, PageQuery *query) {
        int64_t series;

        if (!text)
                return "series is missing: their ids, with commas between them";
        for (;;) {
                if (!number_parse(&text, UINT32_MAX, &series))
                        return "series is not a list of ids with commas between them";
                if (!is_there(query, series)) {
                        if (query->n == PAGE_QUERY_SERIES_MAX)
                                return "series has too many ids; ask for them in parts";
                        query->series[query->n++] = series;
                }
                if (*text == '\0')
                        return NULL;
                if (*text++ != ',')
                        return "series is not a list of ids with commas between them";
        }
}

const char *page_query_parse(const PageQueryText *text, PageQuery *ret) {
        int64_t points = PAGE_QUERY_POINTS;
        const char *wrong;

        *ret = (PageQuery){};
        wrong = series_parse(text->series, ret);
        if (wrong)
                return wrong;
        if (!text->from || !text->to || !whole_parse(text->from, TIME_MAX, &ret->from) ||
                !whole_parse(text->to, TIME_MAX, &ret->to))
                return "from and to are times, in milliseconds since 1970 UTC";
        if (ret->to <= ret->from || ret->to - ret->from > RANGE_MAX)
                return "to must be after from, by ten years at most";
        if (text->points && (!whole_parse(text->points, PAGE_QUERY_POINTS_MAX, &points) || points == 0))
                return "points is not a number from 1 to 2000";
        if ((int64_t) ret->n * points > PAGE_QUERY_VALUES_MAX)
                return "these are too many values; ask for fewer points, or for fewer series at once";
        ret->points = (unsigned) points;
        return NULL;
}
