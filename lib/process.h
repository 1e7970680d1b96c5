/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A child program on the loop: its standard output, which the owner reads when it likes (unread bytes stay in the pipe,
 * and the program waits); the end of its standard error; and how it ended. Only the end of the program itself counts:
 * its own children may keep the pipe open longer.
 *
 * The program runs without a shell, in a process group of its own, with an empty standard input, default signals, only
 * the given environment, and none of our descriptors. */

#include "bytes.h"
#include "loop.h"

typedef struct Process Process;

#define PROCESS_ERROR_TEXT_MAX 2048 /* bytes of standard error that are kept: the last ones */

typedef struct ProcessSpec {
        const char *const *argv; /* argv[0] is a path, or a name looked up in $PATH of *environment*; NULL at the end */
        const char *const *environment; /* "NAME=value", NULL at the end */
        int oom_score_adj;              /* added to our own score, so that the kernel kills the program before us */
        const char *user;               /* runs as this user with its groups (we must be root); NULL: as we are */
        const char *const *groups;      /* further groups, names or numbers, NULL at the end; may be NULL */
} ProcessSpec;

/* How the program ended. */
typedef struct ProcessEnd {
        bool killed; /* true: by signal *number*; false: it exited with status *number* */
        int number;
        size_t left; /* bytes of output that wait now: later output comes from programs that it left behind */
        const char *error_text; /* the end of standard error, at most PROCESS_ERROR_TEXT_MAX bytes, cleaned for a log
                                   line; "" if none */
} ProcessEnd;

typedef struct ProcessCallbacks {
        void (*on_readable)(void *userdata); /* output or its end is ready: call process_read() */
        void (*on_end)(void *userdata,
                const ProcessEnd *end); /* unread output can still be read; the owner frees the process */
        void *userdata;
} ProcessCallbacks;

/* Starts the program. -ENOENT, -EACCES, -ENOEXEC, ...: it cannot be executed; -EAGAIN, -ENOMEM: the system cannot make
 * a process; -ESRCH: no such user or group. Waits at most some seconds for the execution: a program that fails to
 * execute after that ends with status 127. SIGCHLD is blocked in this thread from then on. */
int process_start(Loop *loop, const ProcessSpec *spec, const ProcessCallbacks *callbacks, Process **ret);

/* Checks that there is a program that process_start() could run. -ENOENT, -EACCES. */
int process_find(const char *name, const char *const *environment);

/* Reads at most *size* bytes of output. Returns their number; 0: none are there now. */
size_t process_read(Process *process, char *buffer, size_t size);

/* While held, on_readable is not called. */
void process_hold(Process *process, bool hold);

/* Sends SIGTERM to the whole group now, and SIGKILL after *patience* (microseconds) if it still runs. on_end
 * follows. */
void process_stop(Process *process, usec_t patience);

/* Ends the group if it still runs, without a callback: SIGTERM, and SIGKILL to what is left of it a tenth of a second
 * later, but at once when others have taken a second just before. What it printed can still be read. */
void process_kill(Process *process);
/* The same, and drops it. Returns NULL. */
Process *process_free(Process *process);
CLEANUP_DEFINE(Process, process_free)
