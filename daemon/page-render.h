/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What /api/series and /api/values answer, as JSON. Names of devices and fields are somebody else's words: escaped, and
 * nothing more. Pure. */

#include "config.h"
#include "page-store.h"
#include "subscribe/sink-type.h"

/* How series are shown. Called on the charts' thread. */
typedef struct PageShown {
        const ConfigMap *names; /* page.series */
        /* Calls *each* for every limit of a series; NULL: there are none. */
        void (*limits)(
                void *userdata, const PageSeries *series, void (*each)(void *to, const SinkLimit *limit), void *to);
        void *userdata;
} PageShown;

/* page.series hides this field. */
bool page_render_is_hidden(const ConfigMap *names, const char *field);
/* -ENOMEM. */
int page_render_series(const PageSeriesTable *series, const PageShown *shown, Bytes *json);
/* Buckets without values are left out. -ENOMEM. */
int page_render_values(const PageQuery *query, const PageValues *values, Bytes *json);
