/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How functions of this project end: what they report, and what they release.
 *
 * negative: an errno: the function cannot go on. Callers return it unchanged; whoever decides what happens next logs
 * it, once.
 *
 * 0: done.
 *
 * positive: an outcome that the function's own header names (OUTBOX_PUT_FULL). Callers handle each of them.
 *
 * Results leave through `ret_` parameters, which are written only on success. lib/ never logs above debug. assert() is
 * for our own bugs only; only main.c ends the process. */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* The negative form of errno, never 0: a foreign call that failed without setting errno must not read as success. */
static inline int err_errno(void) {
        return errno > 0 ? -errno : -EIO;
}

/* True when this machine, or a limit of the process, has no memory or no descriptor left. The disk and the file are
 * then not the cause. */
static inline bool err_is_want(int error) {
        return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

/* True when the same call may succeed at the next start although nobody changed anything: the system had no resources
 * left, or the disk did not answer. */
static inline bool err_passes(int error) {
        switch (-error) {
        case EAGAIN: /* pthread_create(3): no more threads */
        case EIO:
        case ESTALE:
        case ETIMEDOUT:
                return true;
        default:
                return err_is_want(error);
        }
}

/* ---- scope cleanup ---- */

/* A variable that names its destructor is released however its scope is left.
 *
 *     _cleanup_(json_freep) Json *reply = NULL;
 *
 * A destructor accepts NULL and half-built objects, releases in reverse order and returns NULL: `self->poll =
 * http_cancel(self->poll);` */
#define _cleanup_(function) __attribute__((cleanup(function)))
#define _asserted_ __attribute__((unused)) /* only assert() uses it, and NDEBUG removes assert() */
#define _printf_(string, first) __attribute__((format(printf, string, first)))

/* Defines `NAMEp`, the form of destructor NAME that _cleanup_ takes. */
#define CLEANUP_DEFINE(type, name)                                                                                     \
        static inline void name##p(type **object) {                                                                    \
                if (*object)                                                                                           \
                        (void) name(*object);                                                                          \
        }

static inline void cleanup_freep(void *pointer) {
        free(*(void **) pointer);
}

static inline void cleanup_closep(const int *fd) {
        if (*fd >= 0)
                (void) close(*fd);
}

#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)

/* Returns the pointer and sets the variable to NULL: the caller's new owner has it now. */
#define cleanup_steal(pointer)                                                                                         \
        ({                                                                                                             \
                __typeof__(pointer) _stolen = (pointer);                                                               \
                (pointer) = NULL;                                                                                      \
                _stolen;                                                                                               \
        })

/* The same for a descriptor. */
static inline int cleanup_steal_fd(int *fd) {
        int stolen = *fd;

        *fd = -1;
        return stolen;
}

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))
