/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads the query of /api/values, and writes the answers of /api/series and /api/values as JSON. Names of devices and
 * fields come from outside: they are escaped, and otherwise unchanged. Pure. */

#include "config.h"
#include "page-store.h"
#include "report.h"
#include "subscribe/sink-type.h"

/* The parameters, decoded; NULL: not given. */
typedef struct PageQueryText {
        const char *series, *from, *to, *points;
} PageQueryText;
/* Returns NULL, or what is wrong; the text needs no escaping. */
const char *page_query_parse(const PageQueryText *text, PageQuery *ret);

/* How to show series. Called on the charts' thread. */
typedef struct PageShown {
        const ConfigMap *names; /* page.series */
        /* Calls *each* for every limit of a series; NULL: there are no limits. */
        void (*limits)(
                void *userdata, const PageSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to);
        void *userdata;
} PageShown;

/* True if page.series hides this field. */
bool page_render_is_hidden(const ConfigMap *names, const char *field);
/* Writes all series. -ENOMEM. */
int page_render_series(const PageSeriesTable *series, const PageShown *shown, Bytes *json);
/* Writes values; buckets without values are left out. -ENOMEM. */
int page_render_values(const PageQuery *query, const PageValues *values, Bytes *json);

/* ---- page-metrics.c ---- */

/* /metrics: the figures of status.json and the latest values of the sensors, in Prometheus' text format 0.0.4. Names
 * and units follow Prometheus' conventions: seconds, bytes, `_total` for a value that only grows. Pure. */

#define PAGE_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define PAGE_METRICS_FRESH_MSEC (INT64_C(15) * 60 * 1000) /* an older value is left out */

/* Appends every figure of the stages. A time that is not known is left out. -ENOMEM. */
int page_metrics_figures(const Figures *figures, Bytes *text);
/* Appends, for each series that page.series does not hide, the time of its latest value and, while it is fresh, the
 * value. *now* is in ms since 1970. -ENOMEM. */
int page_metrics_latest(const PageSeriesTable *series, const ConfigMap *names, int64_t now, Bytes *text);
