/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The query of /api/values; pure. */

#include <stddef.h>
#include <stdint.h>

#define PAGE_QUERY_SERIES_MAX 200
#define PAGE_QUERY_POINTS_MAX 2000 /* for one series; the default is PAGE_QUERY_POINTS */
#define PAGE_QUERY_POINTS 600
#define PAGE_QUERY_VALUES_MAX 60000 /* for all series together */

/* The parameters, decoded; NULL: not given. */
typedef struct PageQueryText {
        const char *series, *from, *to, *points;
} PageQueryText;

typedef struct PageQuery {
        int64_t series[PAGE_QUERY_SERIES_MAX]; /* ids; none occurs twice */
        size_t n;
        int64_t from, to; /* ms since 1970; from < to */
        unsigned points;  /* the most points for each series */
} PageQuery;

/* Returns NULL, or what is wrong; the text needs no escaping. */
const char *page_query_parse(const PageQueryText *text, PageQuery *ret);
