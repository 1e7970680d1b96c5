/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The charts: takes what a sink stored, keeps it in page.sqlite, and answers what is asked of it. All that may wait for
 * the disk is on a thread of its own; what comes meanwhile waits in memory, up to a cap. Storing never waits for it. */

#include "config.h"
#include "lib/listen.h"
#include "page-query.h"
#include "secrets.h"
#include "subscribe/sink-type.h"

typedef struct PageCharts PageCharts;

typedef struct PageChartsHost {
        Loop *loop;
        Secrets *secrets;
        const char *state_dir;
        void (*on_stopped)(void *userdata); /* page_charts_is_stopped() from now on */
        void *userdata;
} PageChartsHost;

/* Does nothing and holds nothing yet. -ENOMEM, or an error of the loop. */
int page_charts_new(const PageChartsHost *host, PageCharts **ret);
/* What was not saved is gone. Never waits. */
PageCharts *page_charts_free(PageCharts *charts);
CLEANUP_DEFINE(PageCharts, page_charts_free)

/* From now on as *config*, which is referenced, says; *subscription* is the one that is drawn (NULL: none). A
 * configuration without a page ends it: what is in memory is saved, and the file closed. */
void page_charts_use(PageCharts *charts, Config *config, const SubscriptionConfig *subscription);

/* A sink stored this just now. */
void page_charts_add(PageCharts *charts, const char *subscription, const WireMessage *message);

/* Answers the request, now or later: with all series, or with values when there is a *query*. */
void page_charts_ask(PageCharts *charts, ListenRequest *request, const PageQuery *query);
/* Answers with *figures*, which it takes, and behind them the latest values of all series as /metrics tells them. */
void page_charts_ask_metrics(PageCharts *charts, ListenRequest *request, Bytes *figures);
/* The requests that wait are gone. */
void page_charts_forget(PageCharts *charts);

/* Saves the rest, then ends. */
void page_charts_stop(PageCharts *charts);
bool page_charts_is_stopped(const PageCharts *charts);
