/* SPDX-License-Identifier: Apache-2.0 */
/* What a type that does not block sets apart in state_dir: beside the loop, however slow the disk is. (P13) And a
 * driver that hangs for ever. (P8) */
#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "real-calls.h"
#include "subscribe/rejected.h"
#include "subscribe/sink-host.h"

/* Setting apart begins with the time: there the thread waits until the test lets it go on. */
static pthread_t loop_thread;
static sem_t begun, go_on;
static bool on_loop, held;
usec_t __real_clock_wall(void);
usec_t __wrap_clock_wall(void);

usec_t __wrap_clock_wall(void) {
        if (pthread_equal(pthread_self(), loop_thread))
                on_loop = true;
        else if (!held) {
                held = true;
                (void) sem_post(&begun);
                (void) sem_wait(&go_on);
        }
        return __real_clock_wall();
}

typedef struct World {
        char directory[64];
        Loop *loop;
        SinkHost *host;
        bool open, answered;
} World;

static int fake_open(
        const SubscriptionConfig *config, SinkHost *host, void **ret_self, char problem[static SINK_DETAIL_MAX]) {
        World *w = config->keys;

        w->open = true;
        *ret_self = w;
        return 0;
}

static const char *fake_place(const void *self) {
        return "nowhere";
}

static void *fake_close(void *self) {
        assert_true(pthread_equal(pthread_self(), loop_thread));
        ((World *) self)->open = false;
        return NULL;
}

static const SinkType fake_type = {
        .keys = &(const ConfigSection){ .name = "fake" },
        .what = "Fake",
        .open = fake_open,
        .place = fake_place,
        .close = fake_close,
};

static void on_answer(void *userdata, SinkStep step, SinkWork *work) {
        ((World *) userdata)->answered = true;
}

static void on_seen(void *userdata, unsigned seen) {}

static int set_up(void **state) {
        World *w = calloc(1, sizeof(*w));
        const SubscriptionConfig config = { .subscription = (char *) "s", .sink = "fake", .keys = w };
        char problem[SINK_DETAIL_MAX];

        assert_non_null(w);
        loop_thread = pthread_self();
        on_loop = false;
        assert_int_equal(sem_init(&begun, 0, 0), 0);
        assert_int_equal(sem_init(&go_on, 0, 0), 0);
        (void) strcpy(w->directory, "/tmp/test-sink-host-XXXXXX");
        assert_non_null(mkdtemp(w->directory));
        assert_int_equal(loop_new(&w->loop), 0);
        assert_int_equal(sink_host_new(&fake_type, &config,
                                 &(SinkHostCallbacks){ on_answer, on_seen, w,
                                         .means = { .loop = w->loop, .state_dir = w->directory } },
                                 &w->host, problem),
                0);
        *state = w;
        return 0;
}

static int tear_down(void **state) {
        World *w = *state;
        char path[100];

        (void) sink_host_free(w->host);
        loop_free(w->loop);
        (void) snprintf(path, sizeof(path), "%s/" REJECTED_FILE, w->directory);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(w->directory), 0);
        free(w);
        return 0;
}

/* Returns when the thread has begun. */
static SinkWork *set_apart(World *w) {
        static const WireMessage message = {
                .data = { "no", 2 }, .message_id = { "17", 2 }, .publish_time = { "", 0 }
        };
        SinkWork *work;

        assert_int_equal(sink_host_prepare(w->host, 1, &work), 0);
        work->items[0] = (SinkItem){ .message = &message };
        sink_item_bad(&work->items[0], "not_json", "as the test says");
        work->items[0].verdict = SINK_PENDING;
        held = false;
        sink_host_ask(w->host, SINK_STEP_APART, NULL);
        assert_false(on_loop);
        assert_int_equal(sem_wait(&begun), 0);
        return work;
}

static void test_beside_the_loop(void **state) {
        World *w = *state;

        for (int i = 0; i < 2; i++) {
                SinkWork *work = set_apart(w);

                w->answered = false;
                assert_true(loop_turn(w->loop, 0) >= 0);
                assert_false(w->answered);
                assert_int_equal(sem_post(&go_on), 0);
                while (!w->answered)
                        assert_true(loop_turn(w->loop, 10 * USEC_PER_MSEC) >= 0);
                assert_int_equal(work->answer.fault, SINK_FAULT_NONE);
                assert_int_equal(work->items[0].verdict, SINK_STORED);
        }
        assert_true(w->open);
}

static unsigned count_threads(void) {
        DIR *tasks = opendir("/proc/self/task");
        const struct dirent *entry;
        unsigned n = 0;

        assert_non_null(tasks);
        while ((entry = readdir(tasks)))
                n += entry->d_name[0] != '.';
        (void) closedir(tasks);
        return n;
}

/* The sink ends meanwhile: its type at once, and what the thread uses with the thread, which ends its work. */
static void test_freed_meanwhile(void **state) {
        World *w = *state;
        int64_t rows;
        Sql *guest;

        (void) set_apart(w);
        w->host = sink_host_free(w->host);
        assert_false(w->open);
        assert_int_equal(sem_post(&go_on), 0);
        for (int i = 0; i < 2000 && count_threads() > 1; i++)
                (void) usleep(10000);
        assert_int_equal(rejected_guest_open(w->directory, &guest), 0);
        assert_int_equal(sql_query_int(guest, "SELECT count(*) FROM rejected", &rows), 0);
        assert_int_equal(rows, 1);
        guest = sql_close(guest);
}

/* ---- a driver that hangs ---- */

static usec_t passed; /* beyond what really has */

int clock_gettime(clockid_t clock, struct timespec *now) {
        int r = real_clock_gettime(clock, now);

        if (clock == CLOCK_BOOTTIME)
                now->tv_sec += (time_t) (passed / USEC_PER_SEC);
        return r;
}

static void blocking_write(void *self, SinkWork *work) {
        const World *w = self;

        sink_host_enter(w->host);
        for (;;)
                (void) pause();
}

/* Lets a write hang, and time pass, until the process ends or *minutes* are over. */
static _Noreturn void hang(unsigned minutes) {
        const SinkType type = { .keys = &(const ConfigSection){ .name = "fake" },
                .what = "Fake",
                .blocks = true,
                .open = fake_open,
                .place = fake_place,
                .write = blocking_write };
        World w = {};
        const SubscriptionConfig config = { .subscription = (char *) "s", .sink = "fake", .keys = &w };
        char problem[SINK_DETAIL_MAX];
        SinkWork *work;

        if (loop_new(&w.loop) < 0 ||
                sink_host_new(&type, &config, &(SinkHostCallbacks){ on_answer, on_seen, &w, .means.loop = w.loop },
                        &w.host, problem) < 0 ||
                sink_host_prepare(w.host, 0, &work) < 0)
                _exit(1);
        sink_host_ask(w.host, SINK_STEP_WRITE, NULL);
        (void) usleep(100000); /* the thread enters the call */
        for (unsigned i = 0; i < 2 * minutes; i++) {
                passed += 30 * USEC_PER_SEC;
                for (int turns = 0; turns < 3; turns++)
                        (void) loop_turn(w.loop, 10 * USEC_PER_MSEC);
        }
        _exit(0);
}

static int end_of(unsigned minutes) {
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0)
                hang(minutes);
        assert_int_equal(waitpid(child, &status, 0), child);
        return status;
}

/* P8: nothing ends such a thread but the end of the process. */
static void test_stuck(void **state) {
        if (sizeof(time_t) > sizeof(long))
                skip(); /* libsystemd was built with another struct timespec, and is not deceived */
        assert_int_equal(end_of(4), 0);
        assert_int_equal(WTERMSIG(end_of(8)), SIGABRT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_beside_the_loop, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_freed_meanwhile, set_up, tear_down),
                cmocka_unit_test(test_stuck),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
