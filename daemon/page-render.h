/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes the answers of /api/series and /api/values as JSON. Names of devices and fields come from outside: they are
 * escaped, and otherwise unchanged. Pure. */

#include "config.h"
#include "page-store.h"
#include "subscribe/sink-type.h"

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
