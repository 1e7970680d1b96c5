/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "err.h"
#include "text.h"

/* bytes of standard error that are read in one turn of the loop: the size of a pipe, pipe(7) */
#define ERROR_PIPE_BYTES 65536
#define FAIL_FD (STDERR_FILENO + 1) /* in the child */
#define EXEC_PATIENCE_MSEC 2000     /* how long to wait for execve(2): on a mount that hangs it never returns */
/* between SIGTERM and SIGKILL for a program that is not waited for: enough to let go of a device */
#define END_PATIENCE_MSEC 100
/* The programs of a configuration are ended one after the other, while all else waits. Those that are left when they
 * have taken so long together are killed at once: the service manager would kill us. */
#define END_TOGETHER_USEC USEC_PER_SEC
/* how long to wait for the end of a program that was just killed: later it stays a zombie until we end */
#define FREE_PATIENCE_MSEC 200

struct Process {
        pid_t pid;
        int out_fd, error_fd; /* -1: not open */
        LoopWatch *out, *error, *child, *patience;
        bool ended, held;
        Bytes error_text;
        ProcessCallbacks callbacks;
};

/* ---- the child, between fork and exec: it may only do what is safe after fork(2) in a process with threads ---- */

/* All that the child needs is looked up before the fork. */
typedef struct Child {
        const char *path;
        const ProcessSpec *spec;
        int out_fd, error_fd, null_fd, fail_fd;
        char oom_score[16];
        bool as_user;
        uid_t uid;
        gid_t gid;
        gid_t groups[64];
        int n_groups;
} Child;

static void child_reset_signals(void) {
        struct sigaction action = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (int signal = 1; signal < NSIG; signal++)
                (void) sigaction(signal, &action, NULL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Raising the score needs no privilege; if it cannot be set, the program runs anyway. */
static void child_set_oom_score(const char *score) {
        int fd;

        fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        (void) !write(fd, score, strlen(score));
        (void) close(fd);
}

/* Gives up our caller's terminal: a program of another user could type into it (TIOCSTI). setsid() is not used: a
 * session leader would get the next terminal that it opens, and a sensor may be connected to one. */
static void child_leave_terminal(void) {
        int fd;

        fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return;
        (void) ioctl(fd, TIOCNOTTY);
        (void) close(fd);
}

static int child_become(const Child *child) {
        if (!child->as_user)
                return 0;
        child_leave_terminal();
        if (setgroups((size_t) child->n_groups, child->groups) < 0)
                return -1;
        if (setgid(child->gid) < 0)
                return -1;
        return setuid(child->uid);
}

/* Lets go of what is ours before anything can take time: execve(2) may hang on a mount whose server is away, and a lock
 * or an address that the child still had would keep the next daemon out, even after a kill -9 of this one. *fail_fd
 * moves to the first place behind standard error. */
static bool child_let_go(const Child *child, int *fail_fd) {
        if (dup2(child->null_fd, STDIN_FILENO) < 0 || dup2(child->out_fd, STDOUT_FILENO) < 0 ||
                dup2(child->error_fd, STDERR_FILENO) < 0 || dup2(*fail_fd, FAIL_FD) < 0)
                return false;
        *fail_fd = FAIL_FD;
        return fcntl(FAIL_FD, F_SETFD, FD_CLOEXEC) == 0 && syscall(SYS_close_range, FAIL_FD + 1U, ~0U, 0U) == 0;
}

static _Noreturn void child_run(const Child *child) {
        int error, fail_fd = child->fail_fd;

        if (child_let_go(child, &fail_fd)) {
                child_reset_signals();
                child_set_oom_score(child->oom_score);
                if (setpgid(0, 0) == 0 && child_become(child) == 0)
                        (void) execve(child->path, (char **) child->spec->argv, (char **) child->spec->environment);
        }
        error = errno;
        (void) !write(fail_fd, &error, sizeof(error));
        _exit(127);
}

/* ---- before the fork ---- */

static const char *environment_get(const char *const *environment, const char *name) {
        size_t size = strlen(name);

        for (size_t i = 0; environment[i]; i++)
                if (strncmp(environment[i], name, size) == 0 && environment[i][size] == '=')
                        return environment[i] + size + 1;
        return NULL;
}

/* A name without a slash is looked for in the $PATH of *environment*. */
static int find_program(const char *name, const char *const *environment, char **ret) {
        const char *path = environment_get(environment, "PATH");

        if (!path)
                path = "/usr/local/bin:/usr/bin:/bin";
        if (strchr(name, '/')) {
                *ret = strdup(name);
                return *ret ? 0 : -ENOMEM;
        }
        for (const char *at = path; *at != '\0';) {
                size_t n = strcspn(at, ":");
                _cleanup_free_ char *candidate = NULL;

                if (text_format(&candidate, "%.*s/%s", (int) n, at, name) < 0)
                        return -ENOMEM;
                if (n > 0 && access(candidate, X_OK) == 0) {
                        *ret = cleanup_steal(candidate);
                        return 0;
                }
                at += n + (at[n] == ':');
        }
        return -ENOENT;
}

int process_find(const char *name, const char *const *environment) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = find_program(name, environment, &path);
        if (r < 0)
                return r;
        return access(path, X_OK) < 0 ? err_errno() : 0;
}

/* Accepts a name, or a number as systemd does. */
static int find_group(const char *name, gid_t *ret) {
        const struct group *group = getgrnam(name);
        char *end;
        unsigned long number = strtoul(name, &end, 10);

        if (!group && (end == name || *end != '\0'))
                return -ESRCH;
        *ret = group ? group->gr_gid : (gid_t) number;
        return 0;
}

static int find_user(const char *name, const char *const *groups, Child *child) {
        const struct passwd *user;
        int r = 0;

        if (!name)
                return 0;
        errno = 0;
        user = getpwnam(name);
        if (!user)
                return errno > 0 ? -errno : -ESRCH;
        child->as_user = true;
        child->uid = user->pw_uid;
        child->gid = user->pw_gid;
        child->n_groups = ELEMENTSOF(child->groups);
        if (getgrouplist(name, user->pw_gid, child->groups, &child->n_groups) < 0)
                child->n_groups = ELEMENTSOF(child->groups);
        for (; r == 0 && groups && *groups && child->n_groups < (int) ELEMENTSOF(child->groups); groups++)
                r = find_group(*groups, &child->groups[child->n_groups++]);
        return r;
}

/* sd-event watches a child only when SIGCHLD is blocked. The daemon has blocked it before, a verb has not. */
static int block_child_signal(void) {
        sigset_t child;

        (void) sigemptyset(&child);
        (void) sigaddset(&child, SIGCHLD);
        return -pthread_sigmask(SIG_BLOCK, &child, NULL);
}

static int own_oom_score(void) {
        char text[16] = "";
        int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return 0;
        (void) !read(fd, text, sizeof(text) - 1);
        (void) close(fd);
        return atoi(text);
}

/* ---- on the loop ---- */

static void keep_error_text(Process *process, const char *text, size_t size) {
        Bytes *kept = &process->error_text;

        if (bytes_append(kept, text, size) < 0)
                return bytes_cut(kept, kept->size); /* no memory: these words are lost */
        if (kept->size <= PROCESS_ERROR_TEXT_MAX)
                return;
        memmove(kept->data, kept->data + kept->size - PROCESS_ERROR_TEXT_MAX, PROCESS_ERROR_TEXT_MAX + 1);
        kept->size = PROCESS_ERROR_TEXT_MAX;
}

/* Reads the program's standard error, so that the program never waits for us. It reads at most the size of a pipe: a
 * program that writes without end must not block the loop. */
static void process_hear(Process *process) {
        char buffer[1024];
        ssize_t n = 1;

        for (size_t heard = 0; n != 0 && heard < ERROR_PIPE_BYTES; heard += sizeof(buffer)) {
                n = read(process->error_fd, buffer, sizeof(buffer));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0)
                        break;
                keep_error_text(process, buffer, (size_t) n);
        }
        if (n > 0)
                return;
        process->error = loop_drop(process->error);
}

static void on_error_text(void *userdata, int fd, uint32_t events) {
        process_hear(userdata);
}

static void on_output(void *userdata, int fd, uint32_t events) {
        Process *process = userdata;

        process->callbacks.on_readable(process->callbacks.userdata);
}

/* Makes one line: drops the rest of a character that was cut at the front, makes controls spaces, and cuts spaces at
 * the end. Bytes that are not UTF-8 stay: whoever prints the text cleans it. */
static const char *error_text_clean(Bytes *text) {
        size_t n = 0;

        if (!text->data)
                return "";
        while (n < 3 && n < text->size && ((unsigned char) text->data[n] & 0xc0) == 0x80)
                n++;
        memmove(text->data, text->data + n, text->size - n + 1);
        text->size -= n;
        for (size_t i = 0; i < text->size; i++)
                if ((unsigned char) text->data[i] < ' ' || text->data[i] == 0x7f)
                        text->data[i] = ' ';
        while (text->size > 0 && text->data[text->size - 1] == ' ')
                text->data[--text->size] = '\0';
        return text->data;
}

static size_t process_left(const Process *process) {
        int n = 0;

        return process->out_fd >= 0 && ioctl(process->out_fd, FIONREAD, &n) == 0 && n > 0 ? (size_t) n : 0;
}

static void on_child(void *userdata, int code, int status) {
        Process *process = userdata;
        ProcessEnd end = { .killed = code != CLD_EXITED, .number = status };

        process->ended = true;
        loop_off(process->patience);
        (void) kill(
                -process->pid, SIGKILL); /* what it left in its group; the number is not used again before we return */
        process_hear(process);
        process->error = loop_drop(process->error); /* who is told keeps the text: nothing is added to it any more */
        end.left = process_left(process);
        end.error_text = error_text_clean(&process->error_text);
        process->callbacks.on_end(process->callbacks.userdata, &end);
}

static void on_patience(void *userdata) {
        Process *process = userdata;

        (void) kill(-process->pid, SIGKILL);
}

/* ---- life ---- */

/* The caller closes both, also after an error. */
static int pipe_pair(int *ours, int *theirs) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return err_errno();
        *ours = fds[0];
        *theirs = fds[1];
        return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? err_errno() : 0;
}

/* Waits until the program runs (returns 0) or could not be executed (returns the negative errno). If neither happens in
 * time, the program counts as running: its owner will stop it later, and starts no second one. */
static int wait_for_exec(int fd) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        int error, ready;
        ssize_t n;

        do {
                ready = poll(&wait, 1, EXEC_PATIENCE_MSEC);
                n = read(fd, &error, sizeof(error));
        } while (n < 0 && ready != 0 && (errno == EINTR || errno == EAGAIN));
        return n == sizeof(error) ? -error : 0;
}

static int process_fork(Process *process, Child *child) {
        _cleanup_close_ int null_fd = -1, out_fd = -1, error_fd = -1, said_fd = -1, fail_fd = -1;
        int r;

        null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null_fd < 0)
                return err_errno();
        r = pipe_pair(&process->out_fd, &out_fd);
        if (r < 0)
                return r;
        r = pipe_pair(&process->error_fd, &error_fd);
        if (r < 0)
                return r;
        r = pipe_pair(&said_fd, &fail_fd);
        if (r < 0)
                return r;
        child->null_fd = null_fd;
        child->out_fd = out_fd;
        child->error_fd = error_fd;
        child->fail_fd = fail_fd;

        process->pid = fork();
        if (process->pid < 0)
                return err_errno();
        if (process->pid == 0)
                child_run(child);
        (void) setpgid(process->pid, process->pid); /* parent and child both do this, since either may be first */
        (void) close(cleanup_steal_fd(&fail_fd));
        r = wait_for_exec(said_fd);
        if (r < 0) {
                (void) waitpid(process->pid, NULL, 0);
                process->pid = 0;
        }
        return r;
}

static int process_watch(Process *process, Loop *loop) {
        int r;

        r = loop_add_timer(loop, LOOP_EXACT, on_patience, process, &process->patience);
        if (r < 0)
                return r;
        r = loop_add_io(loop, process->out_fd, EPOLLIN, on_output, process, &process->out);
        if (r < 0)
                return r;
        r = loop_add_io(loop, process->error_fd, EPOLLIN, on_error_text, process, &process->error);
        if (r < 0)
                return r;
        return loop_add_child(loop, process->pid, on_child, process, &process->child);
}

int process_start(Loop *loop, const ProcessSpec *spec, const ProcessCallbacks *callbacks, Process **ret) {
        _cleanup_(process_freep) Process *process = NULL;
        int r, oom_score = own_oom_score() + spec->oom_score_adj;
        Child child = { .spec = spec };
        _cleanup_free_ char *path = NULL;

        (void) snprintf(child.oom_score, sizeof(child.oom_score), "%d", oom_score < 1000 ? oom_score : 1000);
        r = block_child_signal();
        if (r < 0)
                return r;
        r = find_program(spec->argv[0], spec->environment, &path);
        if (r < 0)
                return r;
        child.path = path;
        r = find_user(spec->user, spec->groups, &child);
        if (r < 0)
                return r;
        process = calloc(1, sizeof(*process));
        if (!process)
                return -ENOMEM;
        process->out_fd = process->error_fd = -1;
        process->callbacks = *callbacks;
        r = process_fork(process, &child);
        if (r < 0)
                return r;
        r = process_watch(process, loop);
        if (r < 0)
                return r;
        *ret = cleanup_steal(process);
        return 0;
}

size_t process_read(Process *process, char *buffer, size_t size) {
        ssize_t n;

        if (process->out_fd < 0)
                return 0;
        do
                n = read(process->out_fd, buffer, size);
        while (n < 0 && errno == EINTR);
        if (n > 0)
                return (size_t) n;
        if (n < 0 && errno == EAGAIN)
                return 0;
        process->out = loop_drop(process->out);
        (void) close(process->out_fd);
        process->out_fd = -1;
        return 0;
}

void process_hold(Process *process, bool hold) {
        if (hold == process->held)
                return;
        process->held = hold;
        if (process->out && loop_set_events(process->out, hold ? 0 : EPOLLIN) < 0)
                process_stop(process, 0); /* we could never read its output: stop it, and its owner starts it again */
}

void process_stop(Process *process, usec_t patience) {
        if (process->ended)
                return;
        (void) kill(-process->pid, SIGTERM);
        loop_arm_in(process->patience, patience);
}

static void wait_for_end(int fd, int patience) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };

        if (fd >= 0)
                (void) poll(&wait, 1, patience);
}

/* Waits for the end of a program that was asked, and of its children, since a script ends at once and what it called
 * may hold the device; unless those just before it took too long. */
static void wait_after_asking(pid_t pid, int fd) {
        static usec_t waited, until; /* how long, of those that followed each other; the end of the last wait */
        usec_t begin = clock_now();

        if (begin > until + END_TOGETHER_USEC)
                waited = 0;
        if (waited < END_TOGETHER_USEC)
                wait_for_end(fd, END_PATIENCE_MSEC);
        if (waited < END_TOGETHER_USEC && waitpid(pid, NULL, WNOHANG) == pid)
                while (kill(-pid, 0) == 0 && clock_now() < begin + END_PATIENCE_MSEC * USEC_PER_MSEC)
                        (void) nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
        until = clock_now();
        waited += until - begin;
}

void process_kill(Process *process) {
        _cleanup_close_ int fd = -1;

        if (process->pid <= 0 || process->ended)
                return;
        process->ended = true;
        process->child = loop_drop(process->child);
        process->patience = loop_drop(process->patience);
        fd = (int) syscall(SYS_pidfd_open, process->pid, 0);
        (void) kill(-process->pid, SIGTERM);
        wait_after_asking(process->pid, fd);
        (void) kill(-process->pid, SIGKILL);
        wait_for_end(fd, FREE_PATIENCE_MSEC);
        (void) waitpid(process->pid, NULL, WNOHANG);
}

Process *process_free(Process *process) {
        if (!process)
                return NULL;
        process_kill(process);
        loop_drop(process->child);
        loop_drop(process->error);
        loop_drop(process->out);
        loop_drop(process->patience);
        if (process->error_fd >= 0)
                (void) close(process->error_fd);
        if (process->out_fd >= 0)
                (void) close(process->out_fd);
        bytes_done(&process->error_text);
        free(process);
        return NULL;
}
