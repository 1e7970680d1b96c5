/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The thread of the charts: it does one job at a time; only it uses the store, and it logs failures of the store. */

#include "config.h"
#include "lib/bytes.h"
#include "page-store.h"
#include "subscribe/sink-type.h"

#define PAGE_THREAD_NO_CHARTS "there are no charts now; the journal says why"

typedef enum PageJobKind {
        PAGE_JOB_OPEN, /* only opens the file, which every other job does too */
        PAGE_JOB_TAKE, /* takes the messages of the queue */
        PAGE_JOB_PAST, /* the same for messages of history, with the mark behind them */
        PAGE_JOB_SERIES,
        PAGE_JOB_VALUES,
        PAGE_JOB_METRICS, /* adds the latest values to the figures in *body* */
        PAGE_JOB_SAVE,
        PAGE_JOB_CLOSE, /* saves, and closes the file */
} PageJobKind;

typedef struct PageJob {
        PageJobKind kind;
        const Config *config; /* must stay valid during the job */
        const SubscriptionConfig *subscription;
        Bytes queue;
        PagePast past; /* for PAGE_JOB_PAST: *mark* and *complete*; on return of PAGE_JOB_OPEN: all; no *begun*: no file
                        */
        PageQuery query;
        bool gzip; /* the client accepts gzip; on return: *body* is compressed */
        /* From here on, the results: */
        Bytes body; /* JSON */
        int status; /* HTTP status; if there is no body, *words* say what is wrong */
        const char *words;
        bool failed;  /* a save: nothing was saved; PAGE_JOB_TAKE: the file is not open, so the queue must wait */
        bool save;    /* so much is unsaved that a save is due */
        bool renewed; /* the file was replaced, or more history must be read: send PAGE_JOB_OPEN */
} PageJob;

typedef struct PageThread PageThread;

/* Does not open the file yet. -ENOMEM. */
int page_thread_new(const char *directory, PageThread **ret);
/* Call it when no job runs; it may wait for the disk. */
PageThread *page_thread_free(PageThread *thread);

/* Runs on the thread and does the job. */
void page_thread_do(PageThread *thread, PageJob *job);

/* ---- the queue ---- */

/* Stored messages on their way to the charts' thread, one after another in one buffer. They are copied once, and read
 * there. */

/* Adds a message; its text is the published payload, or JSON. -ENOMEM. */
int page_queue_put(Bytes *queue, const SinkPast *message);

#define PAGE_QUEUE_ATTRIBUTES_MAX 64 /* per message; more are skipped */
typedef struct PageQueueItem {
        SinkPast message;
        WireAttribute attributes[PAGE_QUEUE_ATTRIBUTES_MAX];
} PageQueueItem;
/* Takes the first message from *queue*; *ret* points into it. False at the end. */
bool page_queue_next(Slice *queue, PageQueueItem *ret);
