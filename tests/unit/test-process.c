/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/process.h"
#include "lib/service.h"

typedef struct Fixture {
        Loop *loop;
        LoopWatch *tick;
        Process *process;
        Bytes out;
        bool ended, read_nothing;
        int readable, killed, number;
        char error_text[PROCESS_ERROR_TEXT_MAX + 1];
        const char *kept_text;
} Fixture;

static const char *const environment[] = { "PATH=/usr/bin:/bin", "GREETING=good day", NULL };

static void on_tick(void *userdata) {
        Fixture *f = userdata;

        loop_arm_in(f->tick, 10 * USEC_PER_MSEC);
}

static int set_up(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(service_block_signals(), 0);
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(loop_add_timer(f->loop, LOOP_EXACT, on_tick, f, &f->tick), 0);
        loop_arm_in(f->tick, 0);
        *state = f;
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;

        process_free(f->process);
        bytes_done(&f->out);
        loop_drop(f->tick);
        loop_free(f->loop);
        free(f);
        return 0;
}

static void read_all(Fixture *f) {
        char buffer[64];
        size_t n;

        do {
                n = process_read(f->process, buffer, sizeof(buffer));
                assert_int_equal(bytes_append(&f->out, buffer, n), 0);
        } while (n > 0);
}

static void on_readable(void *userdata) {
        Fixture *f = userdata;

        f->readable++;
        if (!f->read_nothing)
                read_all(f);
}

static void on_end(void *userdata, const ProcessEnd *end) {
        Fixture *f = userdata;

        assert_false(f->ended);
        f->ended = true;
        f->killed = end->killed;
        f->number = end->number;
        (void) snprintf(f->error_text, sizeof(f->error_text), "%s", end->error_text);
        f->kept_text = end->error_text;
        read_all(f);
}

static int start(Fixture *f, const char *const *argv) {
        return process_start(f->loop, &(ProcessSpec){ .argv = argv, .environment = environment, .oom_score_adj = 100 },
                &(ProcessCallbacks){ on_readable, on_end, f }, &f->process);
}

static void shell(Fixture *f, const char *script) {
        assert_int_equal(start(f, (const char *const[]){ "sh", "-c", script, NULL }), 0);
}

static void turn_until(Fixture *f, const bool *flag) {
        for (int i = 0; !*flag && i < 300000; i++)
                assert_true(loop_turn(f->loop, 20 * USEC_PER_MSEC) >= 0);
        assert_true(*flag);
}

static const char *output(const Fixture *f) {
        return f->out.data ? f->out.data : "";
}

static void test_output_and_end(void **state) {
        Fixture *f = *state;

        shell(f, "echo one; echo \"$GREETING\"; exit 3");
        turn_until(f, &f->ended);
        assert_string_equal(output(f), "one\ngood day\n");
        assert_false(f->killed);
        assert_int_equal(f->number, 3);
        assert_string_equal(f->error_text, "");
}

/* The signals that it has on that list of /proc/self/status. 32 and 33 are glibc's own: it lets nobody change them, and
 * its posix_spawn(3), by which ninja starts us, leaves them ignored. */
static uint64_t signals(const Fixture *f, const char *list) {
        const char *at = strstr(output(f), list);

        assert_non_null(at);
        return strtoull(at + strlen(list), NULL, 16) & ~(UINT64_C(3) << 31);
}

/* Nothing of ours but what was given: environment, descriptors, signals, input, group. */
static void test_surroundings(void **state) {
        Fixture *f = *state;
        int fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

        assert_true(fd > 2);
        assert_int_equal(setenv("SECRET", "x", 1), 0);
        shell(f, "env | grep -c SECRET; ls /proc/self/fd | wc -l; cat; grep -E '^Sig(Blk|Ign)' /proc/self/status; "
                 "cat /proc/self/oom_score_adj; test $(ps -o pgid= -p $$) = $$ && echo group");
        turn_until(f, &f->ended);
        close(fd);
        print_message("%s", output(f));
        assert_non_null(strstr(output(f), "0\n4\nSigBlk:")); /* 0, 1, 2 and the directory itself */
        assert_int_equal(signals(f, "SigBlk:\t"), 0);
        assert_int_equal(signals(f, "SigIgn:\t"), 0);
        assert_non_null(strstr(output(f), "group"));
}

static void test_cannot_be_executed(void **state) {
        Fixture *f = *state;

        assert_int_equal(start(f, (const char *const[]){ "/nowhere/program", NULL }), -ENOENT);
        assert_int_equal(start(f, (const char *const[]){ "no-such-program-here", NULL }), -ENOENT);
        assert_int_equal(start(f, (const char *const[]){ "/etc/passwd", NULL }), -EACCES);
        assert_null(f->process);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
        assert_int_equal(errno, ECHILD);
}

static bool hangs; /* execve(2), as on a mount whose server is away */
int __real_execve(const char *path, char *const argv[], char *const variables[]);
int __wrap_execve(const char *path, char *const argv[], char *const variables[]);

int __wrap_execve(const char *path, char *const argv[], char *const variables[]) {
        while (hangs)
                (void) pause();
        return __real_execve(path, argv, variables);
}

/* The loop goes on, and the program is stopped as any that does not end. It has nothing of ours meanwhile: a daemon
 * that takes over from us finds the lock free. */
static void test_mount_that_hangs(void **state) {
        Fixture *f = *state;
        char directory[] = "/tmp/test-process.XXXXXX", path[sizeof(directory) + 5];
        int lock, next;

        assert_non_null(mkdtemp(directory));
        assert_int_equal(service_lock(directory, &lock), SERVICE_LOCKED);
        hangs = true;
        shell(f, "exit 0");
        hangs = false;
        close(lock);
        assert_int_equal(service_lock(directory, &next), SERVICE_LOCKED);
        close(next);
        (void) snprintf(path, sizeof(path), "%s/lock", directory);
        assert_int_equal(unlink(path) + rmdir(directory), 0);
        process_stop(f->process, 0);
        turn_until(f, &f->ended);
        assert_true(f->killed);
}

static void test_error_text_is_its_last_words(void **state) {
        Fixture *f = *state;

        shell(f, "for i in $(seq 1 2000); do echo \"line $i\" >&2; done; printf '\\033[31mred\\n' >&2");
        turn_until(f, &f->ended);
        assert_true(strlen(f->error_text) <= PROCESS_ERROR_TEXT_MAX);
        assert_non_null(strstr(f->error_text, "line 2000  [31mred"));
        assert_null(strchr(f->error_text, '\033'));
        assert_null(strstr(f->error_text, "line 1 "));
}

/* The end is the program's, though something that it started keeps the pipe; and that is ended, too. */
static void test_grandchild_keeps_the_pipe(void **state) {
        Fixture *f = *state;

        shell(f, "sleep 60 & echo $!");
        turn_until(f, &f->ended);
        for (int i = 0; i < 500 && kill((pid_t) atoi(output(f)), 0) == 0; i++)
                assert_true(loop_turn(f->loop, 10 * USEC_PER_MSEC) >= 0);
        assert_int_equal(kill((pid_t) atoi(output(f)), 0), -1);
}

/* Who was told of the end may keep its text until it frees the process, whatever such a grandchild says meanwhile. */
static void test_error_text_is_kept(void **state) {
        Fixture *f = *state;

        shell(f, "echo first >&2; setsid sh -c 'sleep 1; head -c 3000 /dev/zero | tr \\\\0 x >&2' & sleep 0.5; exit 3");
        turn_until(f, &f->ended);
        assert_int_equal(f->number, 3);
        for (int i = 0; i < 100; i++)
                assert_true(loop_turn(f->loop, 20 * USEC_PER_MSEC) >= 0);
        assert_string_equal(f->kept_text, "first");
}

static void test_stop_asks_then_kills(void **state) {
        Fixture *f = *state;

        shell(f, "echo ready; exec sleep 60");
        while (f->out.size == 0)
                assert_true(loop_turn(f->loop, USEC_PER_SEC) >= 0);
        process_stop(f->process, USEC_PER_HOUR);
        turn_until(f, &f->ended);
        assert_true(f->killed);
        assert_int_equal(f->number, SIGTERM);
        f->process = process_free(f->process);

        f->ended = false;
        bytes_done(&f->out);
        shell(f, "trap '' TERM; echo ready; while :; do sleep 0.1; done");
        while (f->out.size == 0)
                assert_true(loop_turn(f->loop, USEC_PER_SEC) >= 0);
        process_stop(f->process, 50 * USEC_PER_MSEC);
        turn_until(f, &f->ended);
        assert_true(f->killed);
        assert_int_equal(f->number, SIGKILL);
}

/* What is not read stays in the pipe, and the program waits. */
static void test_hold(void **state) {
        Fixture *f = *state;
        struct stat before, after;
        char path[] = "/tmp/test-process-XXXXXX", script[256];
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        (void) snprintf(script, sizeof(script),
                "i=0; while [ $i -lt 40000 ]; do echo 0123456789; i=$((i+1)); printf . >>%s; done", path);
        shell(f, script);
        process_hold(f->process, true);
        do {
                assert_int_equal(fstat(fd, &before), 0);
                for (int i = 0; i < 20; i++)
                        assert_true(loop_turn(f->loop, 20 * USEC_PER_MSEC) >= 0);
                assert_int_equal(fstat(fd, &after), 0);
        } while (after.st_size != before.st_size || after.st_size == 0); /* it has come to rest */
        assert_int_equal(f->readable, 0);
        assert_true(after.st_size < 40000);
        process_hold(f->process, false);
        turn_until(f, &f->ended);
        assert_int_equal(f->out.size, 40000 * 11);
        close(fd);
        assert_int_equal(unlink(path), 0);
}

/* The kernel does not watch the pipe again. Nobody would read what the program says: it ends, for who started it to
 * start it anew. */
static bool unwatched;
int __real_loop_set_events(LoopWatch *io, uint32_t events);
int __wrap_loop_set_events(LoopWatch *io, uint32_t events);

int __wrap_loop_set_events(LoopWatch *io, uint32_t events) {
        return unwatched ? -ENOMEM : __real_loop_set_events(io, events);
}

static void test_hold_for_ever(void **state) {
        Fixture *f = *state;

        shell(f, "echo 1; exec sleep 60");
        while (f->out.size == 0)
                assert_true(loop_turn(f->loop, USEC_PER_SEC) >= 0);
        process_hold(f->process, true);
        unwatched = true;
        process_hold(f->process, false);
        unwatched = false;
        turn_until(f, &f->ended);
        assert_true(f->killed);
        assert_string_equal(output(f), "1\n");
}

static int asked; /* polls that waited for what a program does when it is asked to end */
static bool slow; /* waits are for a machine of which they are known not to be too short */
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout) {
        asked += timeout == 100;
        return __real_poll(fds, n, slow ? 60000 : timeout);
}

/* A program may let go of its device, and its last words are read. */
static void test_free_asks_first(void **state) {
        Fixture *f = *state;

        slow = true;
        shell(f, "trap 'echo off; exit' TERM; echo ready; while :; do sleep 0.1; done");
        while (f->out.size == 0)
                assert_true(loop_turn(f->loop, USEC_PER_SEC) >= 0);
        process_kill(f->process);
        slow = false;
        read_all(f);
        assert_string_equal(output(f), "ready\noff\n");
        assert_false(f->ended);
}

/* So may what a script calls, although the script itself ends at once. */
static void test_free_waits_for_the_group(void **state) {
        Fixture *f = *state;

        shell(f,
                "sh -c 'trap \"sleep 0.03; echo off; exit\" TERM; echo ready; while :; do sleep 1 & wait; done'; true");
        while (f->out.size == 0)
                assert_true(loop_turn(f->loop, USEC_PER_SEC) >= 0);
        process_kill(f->process);
        read_all(f);
        assert_string_equal(output(f), "ready\noff\n");
}

/* One that does not listen is killed. */
static void test_free_kills_in_the_end(void **state) {
        Fixture *f = *state;

        shell(f, "trap '' TERM; echo $$; while :; do sleep 0.1; done");
        while (f->out.size == 0)
                assert_true(loop_turn(f->loop, USEC_PER_SEC) >= 0);
        process_kill(f->process);
        (void) waitpid((pid_t) atoi(output(f)), NULL, 0);
        assert_int_equal(kill((pid_t) atoi(output(f)), 0), -1);
}

/* However many of them there are, a stop or a reload waits for about a second. */
static void test_many_that_do_not_listen(void **state) {
        Fixture *f = *state;

        asked = 0;
        for (int i = 0; i < 15; i++) {
                shell(f, "trap '' TERM; echo; while :; do sleep 1; done");
                f->out.size = 0;
                while (f->out.size == 0)
                        assert_true(loop_turn(f->loop, USEC_PER_SEC) >= 0);
                f->process = process_free(f->process);
        }
        assert_in_range(asked, 1, 10);
}

static void test_free_kills(void **state) {
        Fixture *f = *state;
        pid_t pid;

        shell(f, "echo $$; exec sleep 60");
        while (f->out.size == 0)
                assert_true(loop_turn(f->loop, USEC_PER_SEC) >= 0);
        pid = (pid_t) atoi(output(f));
        f->process = process_free(f->process);
        (void) waitpid(pid, NULL, 0); /* a machine that is slower than its patience: killed, and ends any time now */
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(errno, ESRCH);
        assert_false(f->ended);
}

static void test_as_user(void **state) {
        Fixture *f = *state;

        if (geteuid() != 0)
                skip();
        assert_int_equal(process_start(f->loop,
                                 &(ProcessSpec){ .argv = (const char *const[]){ "id", "-un", NULL },
                                         .environment = environment,
                                         .user = "nobody" },
                                 &(ProcessCallbacks){ on_readable, on_end, f }, &f->process),
                0);
        turn_until(f, &f->ended);
        assert_string_equal(output(f), "nobody\n");
        f->process = process_free(f->process);
        f->out.size = 0;
        f->ended = false;
        assert_int_equal(process_start(f->loop,
                                 &(ProcessSpec){ .argv = (const char *const[]){ "id", "-Gn", NULL },
                                         .environment = environment,
                                         .user = "nobody",
                                         .groups = (const char *const[]){ "dialout", "12345", NULL } },
                                 &(ProcessCallbacks){ on_readable, on_end, f }, &f->process),
                0);
        turn_until(f, &f->ended);
        assert_non_null(strstr(output(f), " dialout 12345\n"));
        f->process = process_free(f->process);
        assert_int_equal(process_start(f->loop,
                                 &(ProcessSpec){ .argv = (const char *const[]){ "id", NULL },
                                         .environment = environment,
                                         .user = "nobody",
                                         .groups = (const char *const[]){ "no-such-group", NULL } },
                                 &(ProcessCallbacks){ on_readable, on_end, f }, &f->process),
                -ESRCH);
        assert_int_equal(process_start(f->loop,
                                 &(ProcessSpec){ .argv = (const char *const[]){ "id", NULL },
                                         .environment = environment,
                                         .user = "no-such-user" },
                                 &(ProcessCallbacks){ on_readable, on_end, f }, &f->process),
                -ESRCH);
}

/* What a program that runs as somebody else finds of our terminal. Called in a process of its own. */
static int look_for_terminal(void) {
        const ProcessSpec spec = { .argv = (const char *const[]){ "sh", "-c",
                                           "(: </dev/tty) 2>/dev/null && echo there || echo none", NULL },
                .environment = environment,
                .user = "nobody" };
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        void *state = NULL;
        Fixture *f;

        if (setsid() < 0 || master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
                open(ptsname(master), O_RDWR | O_CLOEXEC) < 0 || open("/dev/tty", O_RDWR | O_CLOEXEC) < 0)
                return 2;
        (void) set_up(&state);
        f = state;
        if (process_start(f->loop, &spec, &(ProcessCallbacks){ on_readable, on_end, f }, &f->process) < 0)
                return 3;
        turn_until(f, &f->ended);
        return strcmp(output(f), "none\n") != 0;
}

/* Root's shell would take what such a program types there. */
static void test_as_user_without_terminal(void **state) {
        int status;
        pid_t pid;

        if (geteuid() != 0)
                skip();
        pid = fork();
        if (pid == 0)
                _exit(look_for_terminal());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_output_and_end, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_surroundings, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cannot_be_executed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_mount_that_hangs, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_error_text_is_its_last_words, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_grandchild_keeps_the_pipe, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_error_text_is_kept, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_stop_asks_then_kills, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hold, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hold_for_ever, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_free_asks_first, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_free_waits_for_the_group, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_free_kills_in_the_end, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many_that_do_not_listen, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_free_kills, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_as_user, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_as_user_without_terminal, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
