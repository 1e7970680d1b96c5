/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A child program on the loop: its standard output as bytes that the owner reads when it likes (what it does not read
 * stays in the pipe, and the program waits), the last words of its standard error, and its end. The end is that of the
 * program itself: a grandchild may keep the pipe open for as long as it wants.
 *
 * The program gets no shell, a process group of its own, an empty standard input, signals as they are by default, the
 * environment that is given and nothing else, and no descriptor of ours. */

#include "bytes.h"
#include "loop.h"

typedef struct Process Process;

#define PROCESS_ERROR_TEXT_MAX 2048 /* bytes of standard error that are kept: the last ones */

typedef struct ProcessSpec {
        const char *const *argv; /* argv[0] is a path, or a name that $PATH of *environment* finds; NULL at the end */
        const char *const *environment; /* "NAME=value", NULL at the end */
        int oom_score_adj;              /* added to ours: the kernel ends the program before us */
        const char *user;               /* run as this user with its groups (we are root then); NULL: as we are */
        const char *const *groups;      /* and these, names or numbers, NULL at the end; may be NULL */
} ProcessSpec;

/* How it ended. */
typedef struct ProcessEnd {
        bool killed; /* by signal *number*, else it exited with that status */
        int number;
        size_t left;            /* bytes of output that wait: what else comes is of programs that it has left behind */
        const char *error_text; /* the last lines of standard error, whole characters, without controls; "" */
} ProcessEnd;

typedef struct ProcessCallbacks {
        void (*on_readable)(void *userdata); /* output or its end waits: process_read() */
        void (*on_end)(void *userdata,
                const ProcessEnd *end); /* what it had written can still be read; the owner frees it, here or later */
        void *userdata;
} ProcessCallbacks;

/* Starts the program. -ENOENT, -EACCES, -ENOEXEC, ...: it cannot be executed; -EAGAIN, -ENOMEM: no process to be had;
 * -ESRCH: no such user or group. Waits for that some seconds at most: a program that cannot be executed later on ends
 * with status 127. SIGCHLD is blocked in this thread from then on. */
int process_start(Loop *loop, const ProcessSpec *spec, const ProcessCallbacks *callbacks, Process **ret);

/* Whether there is a program that process_start() would run. -ENOENT, -EACCES. */
int process_find(const char *name, const char *const *environment);

/* Reads at most *size* bytes of output: *ret_n of them, 0 when none wait now. PROCESS_EOF when there will be none any
 * more. */
enum { PROCESS_OPEN = 0, PROCESS_EOF = 1 };
int process_read(Process *process, char *buffer, size_t size, size_t *ret_n);

/* While held, on_readable is not called. */
void process_hold(Process *process, bool hold);

/* SIGTERM to the whole group now, SIGKILL *patience* later if it still runs then. on_end follows. */
void process_stop(Process *process, usec_t patience);

/* Kills the group if it still runs, without a callback. Returns NULL. */
Process *process_free(Process *process);
CLEANUP_DEFINE(Process, process_free)
