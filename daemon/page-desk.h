/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The charts' threads. This one does one job at a time; it has the store to itself, and says what is wrong with that.
 * The other, at the end, brings in what was stored before. */

#include "config.h"
#include "lib/bytes.h"
#include "lib/loop.h"
#include "page-query.h"
#include "subscribe/sink-type.h"

#define PAGE_DESK_NO_CHARTS "there are no charts now; the journal says why"

typedef enum PageJobKind {
        PAGE_JOB_OPEN, /* nothing but the file; every other job does so, too */
        PAGE_JOB_TAKE, /* messages of the queue */
        PAGE_JOB_PAST, /* the same, with the mark behind them */
        PAGE_JOB_SERIES,
        PAGE_JOB_VALUES,
        PAGE_JOB_METRICS, /* *body* holds the figures, and the latest values are added */
        PAGE_JOB_SAVE,
        PAGE_JOB_CLOSE, /* saves, too */
} PageJobKind;

typedef struct PageJob {
        PageJobKind kind;
        const Config *config; /* stays as long as the job */
        const SubscriptionConfig *subscription;
        Bytes queue;
        Bytes mark;
        bool complete;
        PageQuery query;
        bool gzip; /* the answer is compressed */
        /* From here on its outcome: */
        Bytes body; /* JSON */
        int status; /* of HTTP; without a body, *words* say what is wrong */
        const char *words;
        bool failed;   /* of a save: all of it still waits; of PAGE_JOB_TAKE: the queue does, for a file to be opened */
        bool save;     /* much waits to be saved */
        bool renewed;  /* the file is another one than before, or there is more history: PAGE_JOB_OPEN tells of it */
        int64_t begun; /* of PAGE_JOB_OPEN, with since, mark and complete: as PagePast; 0: there is no file */
        usec_t since;
} PageJob;

typedef struct PageDesk PageDesk;

/* Opens nothing yet. -ENOMEM. */
int page_desk_new(const char *directory, PageDesk **ret);
/* Counted: a thread that is stuck outlives the rest. The last one to go may wait for the disk. From any thread. */
PageDesk *page_desk_ref(PageDesk *desk);
void page_desk_unref(PageDesk *desk);

/* On the thread: does job->kind. */
void page_desk_do(PageDesk *desk, PageJob *job);

/* ---- page-history.c ---- */

/* Brings what a sink stored before the charts began into them: once, a piece at a time, on a thread of its own that
 * ends with it. The remote may be down for days: it goes on where it was. */

typedef struct PageHistory PageHistory;

typedef struct PageHistorySpec {
        Loop *loop;
        const SinkHistory *type;
        const SubscriptionConfig *config; /* its secrets were read; copied by the type */
        int64_t begun;                    /* only what was stored before that, as PagePast */
        usec_t since;                     /* as PagePast, too */
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
