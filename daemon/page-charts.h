/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The charts: takes messages that a sink stored, keeps their values in page.sqlite, and answers queries. Everything
 * that may wait for the disk runs on its own thread. New messages wait in memory, up to a limit. Storing in the sink
 * never waits for this. */

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
