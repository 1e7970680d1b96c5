/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What lies under a call of the C library that a test defines itself. */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A 32-bit kernel has a second call for times beyond 2038, which is the one that struct timespec is made for. */
#ifndef SYS_clock_gettime64
#define SYS_clock_gettime64 SYS_clock_gettime
#endif

static inline int real_clock_gettime(clockid_t clock, struct timespec *ret) {
        return (int) syscall(SYS_clock_gettime64, clock, ret);
}

/* valgrind keeps descriptors for itself and answers setrlimit() on its own, so a process in it is never short of them.
 */
static inline bool is_in_valgrind(void) {
        const char *preloaded = getenv("LD_PRELOAD");

        return preloaded && strstr(preloaded, "/vgpreload_");
}
