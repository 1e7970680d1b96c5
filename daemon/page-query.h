/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is asked for at /api/values; pure. */

#include <stddef.h>
#include <stdint.h>

#define PAGE_QUERY_SERIES_MAX 200
#define PAGE_QUERY_POINTS_MAX 2000 /* of one series; the default is PAGE_QUERY_POINTS */
#define PAGE_QUERY_POINTS 600
#define PAGE_QUERY_VALUES_MAX 60000 /* of all series */

/* The parameters as they came, decoded; NULL: not there. */
typedef struct PageQueryText {
        const char *series, *from, *to, *points;
} PageQueryText;

typedef struct PageQuery {
        int64_t series[PAGE_QUERY_SERIES_MAX]; /* ids, none twice */
        size_t n;
        int64_t from, to; /* ms since 1970; from < to */
        unsigned points;  /* of each series, at most */
} PageQuery;

/* NULL, or what is wrong, in words that need no escaping. */
const char *page_query_parse(const PageQueryText *text, PageQuery *ret);
