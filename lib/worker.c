/* SPDX-License-Identifier: Apache-2.0 */
/* The loop and the thread share one small object, each with a reference. So a thread that is abandoned in the middle of
 * a job can finish, see that nobody waits, and free the object. */
#include "worker.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "err.h"

#define NAME_SIZE 16 /* the kernel's limit, NUL included */

typedef struct Shared {
        pthread_mutex_t mutex;
        pthread_cond_t wake;
        unsigned n_references; /* the mutex protects this and the members below */
        bool stop;             /* the thread ends as soon as it has no job */
        void *job;             /* belongs to the thread from submit until it has run */
        bool running;          /* the job has not finished yet */
        int done_fd;           /* this and the members below never change */
        char name[NAME_SIZE];
        WorkerRun run;
        void *userdata;
} Shared;

struct Worker {
        Shared *shared;
        pthread_t thread;
        LoopWatch *watch;
        WorkerDone done;
        void *userdata;
        void *job; /* submitted; its callback was not called yet */
        bool busy; /* there is such a job */
};

static Shared *shared_free(Shared *shared) {
        if (!shared)
                return NULL;

        if (shared->done_fd >= 0)
                (void) close(shared->done_fd);
        (void) pthread_cond_destroy(&shared->wake);
        (void) pthread_mutex_destroy(&shared->mutex);
        free(shared);
        return NULL;
}

/* Drops one reference and unlocks; frees after the last one. */
static void shared_unref_locked(Shared *shared) {
        bool last = --shared->n_references == 0;

        (void) pthread_mutex_unlock(&shared->mutex);
        if (last)
                (void) shared_free(shared);
}

static void *worker_thread(void *userdata) {
        Shared *shared = userdata;

        (void) pthread_setname_np(pthread_self(), shared->name);
        (void) pthread_mutex_lock(&shared->mutex);
        for (;;) {
                while (!shared->running && !shared->stop)
                        (void) pthread_cond_wait(&shared->wake, &shared->mutex);
                if (!shared->running)
                        break;

                (void) pthread_mutex_unlock(&shared->mutex);
                shared->run(shared->userdata, shared->job);
                (void) pthread_mutex_lock(&shared->mutex);

                shared->running = false;
                (void) eventfd_write(shared->done_fd, 1);
        }
        shared_unref_locked(shared);
        return NULL;
}

static int shared_new(const char *name, WorkerRun run, void *userdata, Shared **ret) {
        Shared *shared;

        shared = calloc(1, sizeof(*shared));
        if (!shared)
                return -ENOMEM;

        (void) pthread_mutex_init(&shared->mutex, NULL);
        (void) pthread_cond_init(&shared->wake, NULL);
        (void) snprintf(shared->name, sizeof(shared->name), "%s", name);
        shared->n_references = 1;
        shared->run = run;
        shared->userdata = userdata;
        shared->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (shared->done_fd < 0) {
                int r = err_errno();

                (void) shared_free(shared);
                return r;
        }

        *ret = shared;
        return 0;
}

/* Signals belong to the loop: the thread starts with all of them blocked, and so do threads that its library starts. */
static int worker_start_thread(Worker *worker) {
        sigset_t all, before;
        int r;

        (void) sigfillset(&all);
        r = pthread_sigmask(SIG_SETMASK, &all, &before);
        if (r != 0)
                return -r;

        worker->shared->n_references = 2;
        r = pthread_create(&worker->thread, NULL, worker_thread, worker->shared);
        if (r != 0)
                worker->shared->n_references = 1;
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);

        return -r;
}

/* The callback comes last, because it may free the worker. */
static void on_done(void *userdata, int fd, uint32_t events) {
        Worker *worker = userdata;
        eventfd_t count;

        if (eventfd_read(fd, &count) < 0 || !worker->busy)
                return;

        worker->busy = false;
        worker->done(worker->userdata, cleanup_steal(worker->job));
}

int worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret) {
        Worker *worker;
        int r;

        worker = calloc(1, sizeof(*worker));
        if (!worker)
                return -ENOMEM;

        worker->done = done;
        worker->userdata = userdata;
        r = shared_new(name, run, userdata, &worker->shared);
        if (r == 0 && loop)
                r = loop_add_io(loop, worker->shared->done_fd, EPOLLIN, on_done, worker, &worker->watch);
        if (r >= 0)
                r = worker_start_thread(worker);
        if (r < 0) {
                loop_drop(worker->watch);
                (void) shared_free(worker->shared);
                free(worker);
                return r;
        }

        *ret = worker;
        return 0;
}

int worker_submit(Worker *worker, void *job) {
        Shared *shared = worker->shared;

        if (worker->busy)
                return WORKER_BUSY;

        worker->busy = true;
        worker->job = job;

        (void) pthread_mutex_lock(&shared->mutex);
        assert(!shared->running);
        shared->job = job;
        shared->running = true;
        (void) pthread_cond_signal(&shared->wake);
        (void) pthread_mutex_unlock(&shared->mutex);
        return WORKER_STARTED;
}

Worker *worker_free(Worker *worker) {
        Shared *shared;
        pthread_t thread;
        bool running;

        if (!worker)
                return NULL;

        shared = worker->shared;
        thread = worker->thread;
        loop_drop(worker->watch);
        free(worker);

        (void) pthread_mutex_lock(&shared->mutex);
        running = shared->running;
        shared->stop = true;
        (void) pthread_cond_signal(&shared->wake);
        shared_unref_locked(shared);

        if (running)
                (void) pthread_detach(thread);
        else
                (void) pthread_join(thread, NULL);
        return NULL;
}
