/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>

#include "lib/worker.h"

typedef struct Job {
        int number;
        bool hang; /* until *go_on* */
        sem_t running, go_on, finished;
        pthread_t ran_on;
        char thread_name[16];
        sigset_t blocked;
} Job;

typedef struct Fixture {
        Loop *event;
        Worker *worker;
        Job jobs[100];
        int n_done;
        pthread_t done_on;
        int order[100];
        void (*then)(struct Fixture *f);
} Fixture;

static void run(void *userdata, void *job_of_ours) {
        Job *job = job_of_ours;

        job->ran_on = pthread_self();
        (void) pthread_getname_np(pthread_self(), job->thread_name, sizeof(job->thread_name));
        (void) pthread_sigmask(SIG_BLOCK, NULL, &job->blocked);
        (void) sem_post(&job->running);
        if (job->hang)
                (void) sem_wait(&job->go_on);
        (void) sem_post(&job->finished);
}

static void done(void *userdata, void *job_of_ours) {
        Fixture *f = userdata;
        Job *job = job_of_ours;

        f->done_on = pthread_self();
        f->order[f->n_done++] = job->number;
        if (f->then)
                f->then(f);
}

static int set_up(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        for (int i = 0; i < (int) ELEMENTSOF(f->jobs); i++) {
                f->jobs[i].number = i;
                assert_int_equal(sem_init(&f->jobs[i].running, 0, 0), 0);
                assert_int_equal(sem_init(&f->jobs[i].go_on, 0, 0), 0);
                assert_int_equal(sem_init(&f->jobs[i].finished, 0, 0), 0);
        }
        assert_int_equal(loop_new(&f->event), 0);
        assert_int_equal(worker_new(f->event, "a name that is too long", run, done, f, &f->worker), 0);
        *state = f;
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;

        f->worker = worker_free(f->worker);
        loop_free(f->event);
        free(f);
        return 0;
}

static void run_until(Fixture *f, int n_done) {
        while (f->n_done < n_done)
                assert_true(loop_turn(f->event, UINT64_MAX) >= 0);
}

static void test_job(void **state) {
        Fixture *f = *state;
        Job *job = &f->jobs[7];

        assert_int_equal(worker_submit(f->worker, job), WORKER_STARTED);
        run_until(f, 1);
        assert_int_equal(f->order[0], 7);
        assert_true(pthread_equal(f->done_on, pthread_self()));
        assert_false(pthread_equal(job->ran_on, pthread_self()));
        assert_string_equal(job->thread_name, "a name that is ");
        assert_true(sigismember(&job->blocked, SIGTERM) && sigismember(&job->blocked, SIGHUP) &&
                    sigismember(&job->blocked, SIGUSR1));
}

static void test_busy(void **state) {
        Fixture *f = *state;

        f->jobs[0].hang = true;
        assert_int_equal(worker_submit(f->worker, &f->jobs[0]), WORKER_STARTED);
        assert_int_equal(worker_submit(f->worker, &f->jobs[1]), WORKER_BUSY);

        (void) sem_post(&f->jobs[0].go_on);
        (void) sem_wait(&f->jobs[0].finished);
        assert_int_equal(worker_submit(f->worker, &f->jobs[1]), WORKER_BUSY); /* the loop has not heard yet */
        run_until(f, 1);
        assert_int_equal(worker_submit(f->worker, &f->jobs[1]), WORKER_STARTED);
        run_until(f, 2);
}

static void submit_next(Fixture *f) {
        if (f->n_done < (int) ELEMENTSOF(f->jobs))
                assert_int_equal(worker_submit(f->worker, &f->jobs[f->n_done]), WORKER_STARTED);
}

static void test_order(void **state) {
        Fixture *f = *state;

        f->then = submit_next;
        submit_next(f);
        run_until(f, ELEMENTSOF(f->jobs));
        for (int i = 0; i < (int) ELEMENTSOF(f->jobs); i++)
                assert_int_equal(f->order[i], i);
}

/* P8: a driver that hangs does not hold up the stop. What it comes back to is gone, and it notices. */
static void test_abandon(void **state) {
        Fixture *f = *state;

        f->jobs[0].hang = true;
        assert_int_equal(worker_submit(f->worker, &f->jobs[0]), WORKER_STARTED);
        (void) sem_wait(&f->jobs[0].running);
        f->worker = worker_free(f->worker);
        assert_null(f->worker);

        (void) sem_post(&f->jobs[0].go_on);
        (void) sem_wait(&f->jobs[0].finished);
        assert_int_equal(loop_turn(f->event, 0), 0);
        assert_int_equal(f->n_done, 0);
}

/* Done, but the loop has not heard of it: no callback comes any more. */
static void test_free_after_job(void **state) {
        Fixture *f = *state;

        assert_int_equal(worker_submit(f->worker, &f->jobs[0]), WORKER_STARTED);
        (void) sem_wait(&f->jobs[0].finished);
        f->worker = worker_free(f->worker);
        assert_int_equal(loop_turn(f->event, 0), 0);
        assert_int_equal(f->n_done, 0);
}

static void free_worker(Fixture *f) {
        f->worker = worker_free(f->worker);
}

static void test_free_in_callback(void **state) {
        Fixture *f = *state;

        f->then = free_worker;
        assert_int_equal(worker_submit(f->worker, &f->jobs[0]), WORKER_STARTED);
        run_until(f, 1);
        assert_null(f->worker);
        assert_int_equal(loop_turn(f->event, 0), 0);
}

static void release(void *job) {
        run(NULL, job);
}

/* P8: what is released is released on the thread, also at the very end, when the loop takes nothing new. */
static void test_end(void **state) {
        Fixture *f = *state;

        loop_exit(f->event);
        assert_int_equal(loop_run(f->event), 0);
        worker_end(f->worker, release, &f->jobs[0]);
        f->worker = NULL;
        (void) sem_wait(&f->jobs[0].finished);
        assert_string_equal(f->jobs[0].thread_name, "a name that is ");
}

/* A job that runs comes first. */
static void test_end_while_it_runs(void **state) {
        Fixture *f = *state;

        f->jobs[0].hang = true;
        assert_int_equal(worker_submit(f->worker, &f->jobs[0]), WORKER_STARTED);
        (void) sem_wait(&f->jobs[0].running);
        worker_end(f->worker, release, &f->jobs[1]);
        f->worker = NULL;
        assert_int_equal(loop_turn(f->event, 50 * USEC_PER_MSEC), 0);
        assert_int_equal(sem_trywait(&f->jobs[1].running), -1);

        (void) sem_post(&f->jobs[0].go_on);
        (void) sem_wait(&f->jobs[1].finished);
        assert_true(pthread_equal(f->jobs[0].ran_on, f->jobs[1].ran_on));
        assert_int_equal(loop_turn(f->event, 0), 0);
        assert_int_equal(f->n_done, 0);
}

static void test_end_without_thread(void **state) {
        Fixture *f = *state;

        worker_end(NULL, release, &f->jobs[0]);
        assert_int_equal(sem_trywait(&f->jobs[0].finished), 0);
        assert_true(pthread_equal(f->jobs[0].ran_on, pthread_self()));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_job, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_busy, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_abandon, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_free_after_job, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_free_in_callback, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_end_while_it_runs, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_end_without_thread, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
