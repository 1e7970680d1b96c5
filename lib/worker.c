/* SPDX-License-Identifier: Apache-2.0 */
/* The loop and the thread share one object, each with a reference. So a thread that is abandoned in the middle of a job
 * can finish, see that nobody waits, and free the object. */
#include "worker.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "err.h"

#define NAME_SIZE 16 /* the kernel's limit, NUL included */

struct Worker {
        pthread_mutex_t mutex;
        pthread_cond_t wake;
        unsigned n_references;       /* the mutex protects this and the next four */
        bool stop;                   /* the thread ends as soon as it has no job */
        bool running;                /* the job has not finished yet */
        void (*release)(void *what); /* what it does at its end; NULL: nothing */
        void *what;
        int done_fd; /* this and the next three never change */
        char name[NAME_SIZE];
        WorkerRun run;
        void *userdata;
        void *job;        /* belongs to the thread from submit until it has run */
        pthread_t thread; /* this and the following belong to the loop */
        LoopWatch *watch;
        WorkerDone done;
        bool busy; /* the callback of the job was not called yet */
};

/* Drops one reference; frees after the last one. */
static Worker *worker_unref(Worker *worker) {
        bool last;

        (void) pthread_mutex_lock(&worker->mutex);
        last = --worker->n_references == 0;
        (void) pthread_mutex_unlock(&worker->mutex);
        if (!last)
                return NULL;
        if (worker->done_fd >= 0)
                (void) close(worker->done_fd);
        (void) pthread_cond_destroy(&worker->wake);
        (void) pthread_mutex_destroy(&worker->mutex);
        free(worker);
        return NULL;
}

static void *worker_thread(void *userdata) {
        Worker *worker = userdata;

        (void) pthread_setname_np(pthread_self(), worker->name);
        (void) pthread_mutex_lock(&worker->mutex);
        for (;;) {
                while (!worker->running && !worker->stop)
                        (void) pthread_cond_wait(&worker->wake, &worker->mutex);
                if (!worker->running)
                        break;

                (void) pthread_mutex_unlock(&worker->mutex);
                worker->run(worker->userdata, worker->job);
                (void) pthread_mutex_lock(&worker->mutex);

                worker->running = false;
                (void) eventfd_write(worker->done_fd, 1);
        }
        (void) pthread_mutex_unlock(&worker->mutex);
        if (worker->release)
                worker->release(worker->what);
        return worker_unref(worker);
}

/* Signals belong to the loop: the thread starts with all of them blocked, and so do threads that its library starts. */
static int worker_start_thread(Worker *worker) {
        sigset_t all, before;
        int r;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        worker->n_references = 2;
        r = pthread_create(&worker->thread, NULL, worker_thread, worker);
        if (r != 0)
                worker->n_references = 1;
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
        worker->done(worker->userdata, worker->job);
}

int worker_new(Loop *loop, const char *name, WorkerRun run, WorkerDone done, void *userdata, Worker **ret) {
        Worker *worker;
        int r = 0;

        worker = calloc(1, sizeof(*worker));
        if (!worker)
                return -ENOMEM;

        (void) pthread_mutex_init(&worker->mutex, NULL);
        (void) pthread_cond_init(&worker->wake, NULL);
        (void) snprintf(worker->name, sizeof(worker->name), "%s", name);
        worker->n_references = 1;
        worker->run = run;
        worker->done = done;
        worker->userdata = userdata;
        worker->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (worker->done_fd < 0)
                r = err_errno();
        if (r == 0)
                r = loop_add_io(loop, worker->done_fd, EPOLLIN, on_done, worker, &worker->watch);
        if (r >= 0)
                r = worker_start_thread(worker);
        if (r < 0) {
                loop_drop(worker->watch);
                (void) worker_unref(worker);
                return r;
        }

        *ret = worker;
        return 0;
}

int worker_submit(Worker *worker, void *job) {
        if (worker->busy)
                return WORKER_BUSY;

        worker->busy = true;
        worker->job = job;

        (void) pthread_mutex_lock(&worker->mutex);
        assert(!worker->running);
        worker->running = true;
        (void) pthread_cond_signal(&worker->wake);
        (void) pthread_mutex_unlock(&worker->mutex);
        return WORKER_STARTED;
}

/* Returns whether a job runs. */
static bool worker_stop(Worker *worker, void (*release)(void *what), void *what) {
        bool running;

        loop_drop(worker->watch);
        (void) pthread_mutex_lock(&worker->mutex);
        running = worker->running;
        worker->stop = true;
        worker->release = release;
        worker->what = what;
        (void) pthread_cond_signal(&worker->wake);
        (void) pthread_mutex_unlock(&worker->mutex);
        return running;
}

Worker *worker_free(Worker *worker) {
        if (!worker)
                return NULL;
        if (worker_stop(worker, NULL, NULL))
                (void) pthread_detach(worker->thread);
        else
                (void) pthread_join(worker->thread, NULL);
        return worker_unref(worker);
}

void worker_end(Worker *worker, void (*release)(void *what), void *what) {
        if (!worker)
                return release(what);
        (void) worker_stop(worker, release, what);
        (void) pthread_detach(worker->thread);
        (void) worker_unref(worker);
}
