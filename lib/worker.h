/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One owned thread for a library that blocks: a mailbox of one slot in, an eventfd back to the loop. No other state is
 * shared; a job belongs to the thread from worker_submit() until its done callback. */

#include <stdbool.h>

#include "loop.h"

typedef struct Worker Worker;

enum { WORKER_STARTED = 0, WORKER_BUSY = 1 };

typedef void (*WorkerRun)(void *userdata, void *job);  /* on the thread */
typedef void (*WorkerDone)(void *userdata, void *job); /* on the loop */

/* Starts the thread with every signal blocked. *loop* may be NULL: no callback then, and no need of a loop that still
 * runs. */
int worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret);

/* Hands *job* over, or answers WORKER_BUSY and leaves it with the caller. */
int worker_submit(Worker *worker, void *job);

/* Joins the thread when idle. While a job runs, returns NULL as well but abandons the thread: it may touch only its job
 * and what the caller keeps alive for it, and the process is expected to exit. Callbacks never come after this. Returns
 * NULL. */
Worker *worker_free(Worker *worker);

/* Runs *job* once on a thread that nobody waits for. Without memory for one it does not run: what it holds goes with
 * the process. */
static inline void worker_run_apart(const char *name, WorkerRun run, void *job) {
        Worker *worker;

        if (worker_new(NULL, name, run, NULL, NULL, &worker) < 0)
                return;
        (void) worker_submit(worker, job);
        (void) worker_free(worker);
}
