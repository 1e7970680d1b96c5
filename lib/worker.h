/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A thread for a library that blocks: it takes one job at a time, and an eventfd tells the loop when the job is done.
 * Nothing else is shared: a job belongs to the thread from worker_submit() until its done callback. */

#include <stdbool.h>

#include "loop.h"

typedef struct Worker Worker;

enum { WORKER_STARTED = 0, WORKER_BUSY = 1 };

typedef void (*WorkerRun)(void *userdata, void *job);  /* on the thread */
typedef void (*WorkerDone)(void *userdata, void *job); /* on the loop */

/* Starts the thread with every signal blocked. *loop* may be NULL: then there is no callback, and no running loop is
 * needed. */
int worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret);

/* Gives *job* to the thread, or returns WORKER_BUSY and leaves it with the caller. */
int worker_submit(Worker *worker, void *job);

/* Waits for an idle thread to end. While a job runs, it abandons the thread instead: that may touch only its job and
 * what the caller keeps alive for it, and the process is expected to exit. No callback comes after this. Returns
 * NULL. */
Worker *worker_free(Worker *worker);

/* Runs *job* once on a thread that nobody waits for; if there can be no thread, here: what it holds (descriptors, other
 * threads) is what is missing. */
static inline void worker_run_apart(const char *name, WorkerRun run, void *job) {
        Worker *worker;

        if (worker_new(NULL, name, run, NULL, NULL, &worker) < 0)
                return run(NULL, job);
        (void) worker_submit(worker, job);
        (void) worker_free(worker);
}
