/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The charts: takes messages that a sink stored, keeps their values in page.sqlite, and answers queries. Everything
 * that may wait for the disk runs on its own thread. New messages wait in memory, up to a limit. Storing in the sink
 * never waits for this. page-history.c, at the end of this file, reads what was stored before the charts began. */

#include "config.h"
#include "lib/listen.h"
#include "page-thread.h"
#include "secret.h"

typedef struct PageCharts PageCharts;

typedef struct PageChartsHost {
        Loop *loop;
        Secrets *secrets;
        const char *state_dir;
        void (*on_stopped)(void *userdata); /* called when page_charts_is_stopped() becomes true */
        void *userdata;
} PageChartsHost;

/* Holds no resources yet. -ENOMEM, or an error of the loop. */
int page_charts_new(const PageChartsHost *host, PageCharts **ret);
/* Values that were not saved are lost. Never waits. */
PageCharts *page_charts_free(PageCharts *charts);
CLEANUP_DEFINE(PageCharts, page_charts_free)

/* Applies *config*, and takes a reference to it; *subscription* is the one that is drawn (NULL: none). A configuration
 * without a page ends the charts: values in memory are saved, and the file is closed. */
void page_charts_use(PageCharts *charts, Config *config, const SubscriptionConfig *subscription);

/* Call this when a sink has stored *message*. */
void page_charts_add(PageCharts *charts, const char *subscription, const WireMessage *message);

/* Answers the request, now or later, by a job of PAGE_JOB_SERIES, _VALUES or _METRICS. Takes its *body*. */
void page_charts_ask(PageCharts *charts, ListenRequest *request, PageJob *job);
/* Forgets the waiting requests: they no longer exist. */
void page_charts_forget(PageCharts *charts);

/* Saves the values in memory, then ends. */
void page_charts_stop(PageCharts *charts);
bool page_charts_is_stopped(const PageCharts *charts);

/* ---- page-history.c ---- */

/* Reads what a sink stored before the charts began, piece by piece, on a thread of its own that ends when all is read.
 * The remote may be down for days; reading then continues where it was. */

typedef struct PageHistory PageHistory;

typedef struct PageHistorySpec {
        Loop *loop;
        const SubscriptionConfig *config; /* of a type with a history; its secrets have been read; copied as needed */
        const PagePast *past; /* reads only what was stored before its begin, from its mark on; it is copied */
        /* Called with a piece: *queue* has messages as page_queue_put() made them, and the callee takes it; *mark* is
         * the position after them. The next piece comes after page_history_go_on(). */
        void (*on_piece)(void *userdata, Bytes *queue, Slice mark, bool complete);
        void *userdata;
} PageHistorySpec;

/* Starts reading. -EBADMSG: the type cannot be opened with this configuration; -ENOMEM, ... */
int page_history_new(const PageHistorySpec *spec, PageHistory **ret);
/* Call this when a piece was taken: the next one is read after a pause as long as this one took. */
void page_history_go_on(PageHistory *history);
/* Never waits. */
PageHistory *page_history_free(PageHistory *history);
CLEANUP_DEFINE(PageHistory, page_history_free)
