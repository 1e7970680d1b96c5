/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded (LD_PRELOAD) beside a program that was built with -finstrument-functions: notes every function that is entered
 * or left, in order, in the file $CALLS_FILE: first where the program was loaded, then a word each: its address, from
 * bit 48 on the number of the thread, and bit 63 where it is left. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALLS_MAX ((size_t) 64 * 1024 * 1024)

void __cyg_profile_func_enter(void *function, void *caller);
void __cyg_profile_func_exit(void *function, void *caller);

static uint64_t *calls;
static _Atomic size_t n = 1;
static _Atomic uint64_t threads;
static _Thread_local uint64_t thread; /* from 1 */

static int take_base(struct dl_phdr_info *program, size_t size, void *userdata) {
        (void) size;
        *(uint64_t *) userdata = program->dlpi_addr;
        return 1; /* the first one is the program */
}

__attribute__((constructor)) static void open_file(void) {
        const char *path = getenv("CALLS_FILE");
        int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
        void *map;

        if (fd < 0 || ftruncate(fd, CALLS_MAX) < 0)
                return;
        map = mmap(NULL, CALLS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void) close(fd);
        if (map == MAP_FAILED)
                return;
        (void) dl_iterate_phdr(take_base, map);
        calls = map;
}

static void note(void *function, uint64_t left) {
        size_t i;

        if (!calls)
                return;
        if (thread == 0)
                thread = atomic_fetch_add(&threads, 1) + 1;
        i = atomic_fetch_add(&n, 1);
        if (i < CALLS_MAX / sizeof(*calls))
                calls[i] = (uint64_t) (uintptr_t) function | thread << 48 | left << 63;
}

void __cyg_profile_func_enter(void *function, void *caller) {
        (void) caller;
        note(function, 0);
}

void __cyg_profile_func_exit(void *function, void *caller) {
        (void) caller;
        note(function, 1);
}
