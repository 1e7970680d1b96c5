/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The charts' thread: one job at a time. It has the store to itself, and says what is wrong with that. */

#include "config.h"
#include "lib/bytes.h"
#include "page-query.h"

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
        bool failed;   /* of a save: all of it still waits */
        bool save;     /* much waits to be saved */
        bool renewed;  /* the file is another one than before: PAGE_JOB_OPEN tells of it */
        int64_t begun; /* of PAGE_JOB_OPEN, with mark and complete: as PagePast; 0: there is no file */
} PageJob;

typedef struct PageDesk PageDesk;

/* Opens nothing yet. -ENOMEM. */
int page_desk_new(const char *directory, PageDesk **ret);
/* Counted: a thread that is stuck outlives the rest. The last one to go may wait for the disk. From any thread. */
PageDesk *page_desk_ref(PageDesk *desk);
void page_desk_unref(PageDesk *desk);

/* On the thread: does job->kind. */
void page_desk_do(PageDesk *desk, PageJob *job);
