/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A thread for a library that blocks: it takes one job at a time, and an eventfd tells the loop when the job is done.
 * Nothing else is shared: a job belongs to the thread from worker_submit() until its done callback. */

#include "loop.h"

typedef struct Worker Worker;

enum { WORKER_STARTED = 0, WORKER_BUSY = 1 };

typedef void (*WorkerRun)(void *userdata, void *job);  /* on the thread */
typedef void (*WorkerDone)(void *userdata, void *job); /* on the loop */

/* Starts the thread with every signal blocked. */
int worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret);

/* Gives *job* to the thread, or returns WORKER_BUSY and leaves it with the caller. */
int worker_submit(Worker *worker, void *job);

/* Waits for an idle thread to end. While a job runs, it abandons the thread instead: that may touch only its job and
 * what the caller keeps alive for it, and the process is expected to exit. No callback comes after this. Returns
 * NULL. */
Worker *worker_free(Worker *worker);

/* Ends the thread without waiting for it. The last that it does is to call *release* with *what*, which may block too:
 * at once, or when the job that runs has ended. Without a worker *release* is called here. No callback comes after
 * this. */
void worker_end(Worker *worker, void (*release)(void *what), void *what);
