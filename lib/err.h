/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How functions of this project report what happened.
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
