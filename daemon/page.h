/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The web page: what the stages do at this moment, and charts of what one sink stored. It reads and never changes
 * anything: GET and HEAD only.
 *
 *      /              the page, with the files that it is made of (daemon/page/)
 *      /healthz       200 while all is well, else 503; words in both cases
 *      /metrics       the same figures and the latest values, for Prometheus
 *      /api/status    status.json as it would be written now, and `page`
 *      /api/series    what there are charts of, with the latest values
 *      /api/values    what is drawn: ?series=17,18&from=MS&to=MS&points=600
 *
 * One page for the life of the process; without a section `page:` in the configuration it does nothing and holds
 * nothing. */

#include "config.h"
#include "lib/listen.h"
#include "report.h"

typedef struct Page Page;

/* What it works with; all of it outlives the page. */
typedef struct PageHost {
        Loop *loop;
        Listen *listen;
        Secrets *secrets;
        const char *state_dir;
        /* A look at every stage, which the page ends with report_done(). 0 or -ENOMEM. */
        int (*look)(void *userdata, Figures *ret);
        void (*on_stopped)(void *userdata); /* page_is_stopped() from now on; may only take a note */
        void *userdata;
} PageHost;

/* Serves nothing yet. -ENOMEM, or an error of the loop. */
int page_new(const PageHost *host, Page **ret);
/* Drops everything at once. */
Page *page_free(Page *page);
CLEANUP_DEFINE(Page, page_free)

/* From now on as this configuration says, which is referenced. Its secrets were read. What cannot be listened on is
 * said, and tried again. */
void page_use(Page *page, Config *config);

/* clock_wall() since when it cannot be served, and why (borrowed); 0: it can, or there is none. */
usec_t page_failing(const Page *page, const char **ret_detail);

/* A sink stored a message; a SinkTap has this function, and the page. */
void page_stored(void *page, const char *subscription, const WireMessage *message);

/* The sinks have ended: nothing is stored any more. */
void page_stop(Page *page);
bool page_is_stopped(const Page *page);
