/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "lib/loop.h"

typedef struct Fixture {
        Loop *loop;
        LoopWatch *watch, *other, *third;
        int calls, number, code, status;
        uint32_t events;
        usec_t at;
} Fixture;

static int set_up(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(loop_new(&f->loop), 0);
        *state = f;
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;

        loop_drop(f->third);
        loop_drop(f->other);
        loop_drop(f->watch);
        loop_free(f->loop);
        free(f);
        return 0;
}

static void turn(Fixture *f, int until) {
        for (int i = 0; f->calls < until && i < 1000; i++)
                assert_true(loop_turn(f->loop, 10 * USEC_PER_SEC) >= 0);
        assert_int_equal(f->calls, until);
}

/* Everything that is due now, and no more. */
static void settle(Fixture *f) {
        while (loop_turn(f->loop, 0) > 0)
                ;
}

static void on_call(void *userdata) {
        Fixture *f = userdata;

        f->calls++;
        f->at = clock_now();
}

static void test_timer(void **state) {
        static const LoopAccuracy accuracies[] = { LOOP_EXACT, LOOP_RELAXED, LOOP_LAZY };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(accuracies); i++) {
                usec_t at;

                assert_int_equal(loop_add_timer(f->loop, accuracies[i], on_call, f, &f->watch), 0);
                assert_false(loop_is_armed(f->watch));
                settle(f);
                assert_int_equal(f->calls, (int) i); /* off until it is armed */
                at = clock_now() + 20 * USEC_PER_MSEC;
                loop_arm(f->watch, at);
                assert_true(loop_is_armed(f->watch));
                turn(f, (int) i + 1);
                assert_true(f->at >= at); /* never early */
                assert_false(loop_is_armed(f->watch));
                settle(f);
                assert_int_equal(f->calls, (int) i + 1); /* once */
                f->watch = loop_drop(f->watch);
        }
}

static void test_timer_is_moved_and_switched_off(void **state) {
        Fixture *f = *state;

        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_call, f, &f->watch), 0);
        loop_arm_in(f->watch, USEC_PER_HOUR);
        loop_arm(f->watch, 0); /* the past: at once */
        turn(f, 1);
        loop_arm(f->watch, 0);
        loop_off(f->watch);
        loop_off(NULL);
        settle(f);
        assert_int_equal(f->calls, 1);
}

static void on_rearm(void *userdata) {
        Fixture *f = userdata;

        if (++f->calls < 3)
                loop_arm_in(f->watch, 0);
        else
                f->watch = loop_drop(f->watch); /* from inside */
}

/* A wait without an end is one that nothing comes of, also where the service manager's library has small times. */
static void test_timer_of_ever(void **state) {
        static const usec_t ever[] = { USEC_INFINITY, USEC_INFINITY - 1, USEC_INFINITY / 4, INT64_MAX };
        Fixture *f = *state;

        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_call, f, &f->watch), 0);
        for (size_t i = 0; i < ELEMENTSOF(ever); i++) {
                loop_arm(f->watch, ever[i]);
                assert_int_equal(loop_turn(f->loop, 0), 0);
                assert_true(loop_is_armed(f->watch));
        }
        assert_int_equal(f->calls, 0);
}

static void test_timer_rearms_and_frees_itself(void **state) {
        Fixture *f = *state;

        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_rearm, f, &f->watch), 0);
        loop_arm_in(f->watch, 0);
        turn(f, 3);
        settle(f);
        assert_null(f->watch);
}

static void test_defer(void **state) {
        Fixture *f = *state;

        assert_int_equal(loop_add_defer(f->loop, on_call, f, &f->watch), 0);
        settle(f);
        assert_int_equal(f->calls, 0);
        loop_wake(f->watch);
        loop_wake(f->watch);
        assert_int_equal(f->calls, 0); /* not from inside */
        turn(f, 1);
        settle(f);
        assert_int_equal(f->calls, 1); /* twice woken, once run */
}

static void on_wake_again(void *userdata) {
        Fixture *f = userdata;

        f->number++;
        loop_wake(f->other);
}

/* As a stream does, whose peer sends faster than it is read. */
static void test_defer_that_wakes_itself(void **state) {
        Fixture *f = *state;

        assert_int_equal(loop_add_defer(f->loop, on_wake_again, f, &f->other), 0);
        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_call, f, &f->watch), 0);
        loop_arm_in(f->watch, 0);
        loop_wake(f->other);
        turn(f, 1);
        assert_true(f->number > 0);
        loop_off(f->other);
        f->number = 0;
        settle(f);
        assert_int_equal(f->number, 0);
}

static void on_wake_other(void *userdata) {
        Fixture *f = userdata;

        f->number++;
        loop_wake(f->number % 2 == 0 ? f->other : f->third);
}

/* As a commit does, whose answers bring the next requests: no signal, timer or descriptor was looked at until the
 * senders paused. */
static void test_defers_that_wake_each_other(void **state) {
        Fixture *f = *state;

        assert_int_equal(loop_add_defer(f->loop, on_wake_other, f, &f->other), 0);
        assert_int_equal(loop_add_defer(f->loop, on_wake_other, f, &f->third), 0);
        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_call, f, &f->watch), 0);
        loop_arm_in(f->watch, 0);
        loop_wake(f->other);
        turn(f, 1);
        assert_true(f->number > 0);
        loop_off(f->other);
        loop_off(f->third);
}

static void on_io(void *userdata, int fd, uint32_t events) {
        Fixture *f = userdata;

        f->calls++;
        f->number = fd;
        f->events = events;
        loop_off(f->watch);
}

static void test_io(void **state) {
        Fixture *f = *state;
        int pipe_fds[2];

        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(loop_add_io(f->loop, pipe_fds[0], EPOLLIN, on_io, f, &f->watch), 0);
        settle(f);
        assert_int_equal(f->calls, 0);
        assert_int_equal(write(pipe_fds[1], "x", 1), 1);
        turn(f, 1);
        assert_int_equal(f->number, pipe_fds[0]);
        assert_true(f->events & EPOLLIN);
        f->watch = loop_drop(f->watch);

        assert_int_equal(loop_add_io(f->loop, pipe_fds[1], 0, on_io, f, &f->watch), 0);
        settle(f);
        assert_int_equal(f->calls, 1);
        assert_int_equal(loop_set_events(f->watch, EPOLLOUT), 0);
        turn(f, 2);
        f->watch = loop_drop(f->watch);
        assert_int_equal(loop_add_io(f->loop, -1, EPOLLIN, on_io, f, &f->watch), -EBADF);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
}

/* Before a call that has been due for longer. */
static void test_io_goes_first(void **state) {
        Fixture *f = *state;
        int pipe_fds[2];

        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(loop_add_io(f->loop, pipe_fds[0], EPOLLIN, on_io, f, &f->watch), 0);
        assert_int_equal(loop_add_defer(f->loop, on_call, f, &f->other), 0);
        loop_go_first(f->watch);
        loop_wake(f->other);
        assert_int_equal(write(pipe_fds[1], "x", 1), 1);
        assert_int_equal(loop_turn(f->loop, 0), 1);
        assert_int_equal(f->number, pipe_fds[0]);
        assert_true(loop_is_armed(f->other));
        f->watch = loop_drop(f->watch);
        turn(f, 2);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
}

static void on_signal(void *userdata, int signal) {
        Fixture *f = userdata;

        f->calls++;
        f->number = signal;
}

/* A stop was behind all that was due: as many commits as sources had readings for. */
static void test_signal_goes_first(void **state) {
        Fixture *f = *state;
        sigset_t set, before;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
        assert_int_equal(loop_add_signal(f->loop, SIGUSR1, on_signal, f, &f->watch), 0);
        assert_int_equal(loop_add_defer(f->loop, on_call, f, &f->other), 0);
        loop_wake(f->other);
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
        assert_int_equal(loop_turn(f->loop, 0), 1);
        assert_int_equal(f->number, SIGUSR1);
        assert_true(loop_is_armed(f->other));
        f->watch = loop_drop(f->watch);
        turn(f, 2);
        assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
}

static void on_child(void *userdata, int code, int status) {
        Fixture *f = userdata;

        f->calls++;
        f->code = code;
        f->status = status;
}

static void test_signal_and_child(void **state) {
        Fixture *f = *state;
        sigset_t set, before;
        pid_t pid;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
        assert_int_equal(loop_add_signal(f->loop, SIGUSR1, on_signal, f, &f->watch), 0);
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
        turn(f, 1);
        assert_int_equal(f->number, SIGUSR1);

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(7);
        assert_int_equal(loop_add_child(f->loop, pid, on_child, f, &f->other), 0);
        turn(f, 2);
        assert_int_equal(f->code, CLD_EXITED);
        assert_int_equal(f->status, 7);
        assert_int_equal(waitpid(pid, NULL, 0), -1); /* reaped */
        f->other = loop_drop(f->other);
        f->watch = loop_drop(f->watch);
        assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
}

static void on_exit_call(void *userdata) {
        Fixture *f = userdata;

        f->calls++;
        loop_exit(f->loop);
}

static void test_run_until_exit(void **state) {
        Fixture *f = *state;

        assert_int_equal(loop_add_defer(f->loop, on_exit_call, f, &f->watch), 0);
        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_call, f, &f->other), 0);
        loop_wake(f->watch);
        assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(f->calls, 1);
        loop_arm_in(f->other, 0); /* after the end: nothing fires, nothing aborts */
        loop_wake(f->watch);
        loop_off(f->other);
}

static void test_watchdog(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t size = sizeof(sa_family_t);
        char name[128] = "@", pid[16], message[64] = "";
        Fixture *f = *state;
        int fd;

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, size), 0);
        size = sizeof(address);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &size), 0);
        memcpy(name + 1, address.sun_path + 1, size - sizeof(sa_family_t) - 1);

        (void) snprintf(pid, sizeof(pid), "%d", (int) getpid());
        assert_int_equal(loop_ping_watchdog(f->loop), 0); /* not asked for */
        assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
        assert_int_equal(setenv("WATCHDOG_USEC", "100000", 1), 0);
        assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
        assert_int_equal(loop_ping_watchdog(f->loop), 0);
        while (strcmp(message, "WATCHDOG=1") != 0) {
                ssize_t n = recv(fd, message, sizeof(message) - 1, 0);

                message[n > 0 ? n : 0] = '\0';
                assert_true(loop_turn(f->loop, USEC_PER_SEC) >= 0);
        }
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
        assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
        close(fd);
}

/* Over 64 draws every bit was seen both ways, but for odds of 2^-57. */
static void test_random(void **state) {
        uint64_t ones = 0, zeros = 0;

        for (int i = 0; i < 64; i++) {
                uint64_t random = loop_random();

                ones |= random;
                zeros |= ~random;
        }
        assert_true(ones == UINT64_MAX && zeros == UINT64_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_timer, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_timer_is_moved_and_switched_off, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_timer_of_ever, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_timer_rearms_and_frees_itself, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_defer, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_defer_that_wakes_itself, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_defers_that_wake_each_other, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_io, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_io_goes_first, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_signal_goes_first, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_signal_and_child, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_run_until_exit, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_watchdog, set_up, tear_down),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
