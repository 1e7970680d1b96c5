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
#include "trouble.h"

typedef struct Page Page;

/* What the page works with; it must outlive the page. */
typedef struct PageHost {
        Loop *loop;
        Listen *listen;
        Secrets *secrets;
        const char *state_dir;
        /* Reads the figures of every stage; the page frees them with report_done(). 0 or -ENOMEM. */
        int (*figures)(void *userdata, Figures *ret);
        void (*on_stopped)(void *userdata); /* called when page_is_stopped() becomes true; may only take a note */
        void *userdata;
} PageHost;

/* Does not serve yet. -ENOMEM, or an error of the loop. */
int page_new(const PageHost *host, Page **ret);
/* Closes at once; drops everything. */
Page *page_free(Page *page);
CLEANUP_DEFINE(Page, page_free)

/* Applies this configuration, and takes a reference to it. Its secrets must have been read. If it cannot listen, that
 * is logged and tried again. */
void page_use(Page *page, Config *config);

/* Why the page cannot be served; not on: it is served, or there is no page. Borrowed. */
const Trouble *page_trouble(const Page *page);

/* Call this when a sink has stored a message; a SinkTap has this function and the page. */
void page_stored(void *page, const char *subscription, const WireMessage *message);

/* Call this when the sinks have ended, so that nothing is stored any more. */
void page_stop(Page *page);
bool page_is_stopped(const Page *page);
