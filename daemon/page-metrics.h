/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* /metrics: the figures of status.json and the latest values of the sensors, in Prometheus' text format 0.0.4. Names
 * and units follow Prometheus' conventions: seconds, bytes, `_total` for a value that only grows. Pure. */

#include "config.h"
#include "page-series.h"
#include "report.h"

#define PAGE_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define PAGE_METRICS_FRESH_MSEC (INT64_C(15) * 60 * 1000) /* an older value is left out */

/* Appends every figure of the stages. A time that is not known is left out. -ENOMEM. */
int page_metrics_figures(const Figures *figures, Bytes *text);
/* Appends, for each series that page.series does not hide, the time of its latest value and, while it is fresh, the
 * value. *now* is in ms since 1970. -ENOMEM. */
int page_metrics_latest(const PageSeriesTable *series, const ConfigMap *names, int64_t now, Bytes *text);
