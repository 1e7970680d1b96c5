/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Brings what a sink stored before the charts began into them: once, a piece at a time, on a thread of its own that
 * ends with it. The remote may be down for days: it goes on where it was. */

#include "lib/loop.h"
#include "subscribe/sink-type.h"

typedef struct PageHistory PageHistory;

typedef struct PageHistorySpec {
        Loop *loop;
        const SinkHistory *type;
        const SubscriptionConfig *config; /* its secrets were read; copied by the type */
        int64_t before;                   /* ms since 1970 */
        Slice mark;                       /* where to go on */
        /* A piece is there: messages as page_queue_put() made them, which are the callee's (emptied), and the mark
         * behind them. No other comes before page_history_go_on(). */
        void (*on_piece)(void *userdata, Bytes *queue, Slice mark, bool complete);
        void *userdata;
} PageHistorySpec;

/* Begins by itself. -EBADMSG: the type cannot be opened like this; -ENOMEM, ... */
int page_history_new(const PageHistorySpec *spec, PageHistory **ret);
/* The piece was taken: the next one, after a pause as long as this one took. */
void page_history_go_on(PageHistory *history);
/* Never waits. */
PageHistory *page_history_free(PageHistory *history);
CLEANUP_DEFINE(PageHistory, page_history_free)
