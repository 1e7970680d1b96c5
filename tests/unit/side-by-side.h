/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIDE_BY_SIDE 6 /* at a time */

typedef struct SideBySide {
        pid_t pid;
        FILE *said;
} SideBySide;

static inline SideBySide side_by_side_start(const struct CMUnitTest *test) {
        SideBySide one = { .said = tmpfile() };

        if (!one.said)
                abort();
        (void) fflush(stdout);
        (void) fflush(stderr);
        one.pid = fork();
        if (one.pid < 0)
                abort();
        if (one.pid > 0)
                return one;
        if (dup2(fileno(one.said), STDOUT_FILENO) < 0 || dup2(fileno(one.said), STDERR_FILENO) < 0)
                abort();
        exit(_cmocka_run_group_tests(test->name, test, 1, NULL, NULL));
}

/* Waits for its end and shows what it said; whether it failed. */
static inline int side_by_side_end(SideBySide *one) {
        int status, c;

        if (waitpid(one->pid, &status, 0) != one->pid)
                abort();
        rewind(one->said);
        while ((c = getc(one->said)) != EOF)
                (void) putchar(c);
        (void) fclose(one->said);
        return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* In place of cmocka_run_group_tests, for tests that wait more than they compute and share nothing: each in a process
 * of its own, some at a time. Returns how many failed. */
static inline int side_by_side(const struct CMUnitTest *tests, size_t n) {
        SideBySide running[SIDE_BY_SIDE];
        int failed = 0;

        for (size_t i = 0; i < n + SIDE_BY_SIDE; i++) {
                SideBySide *place = &running[i % SIDE_BY_SIDE];

                if (i >= SIDE_BY_SIDE && i - SIDE_BY_SIDE < n)
                        failed += side_by_side_end(place);
                if (i < n)
                        *place = side_by_side_start(&tests[i]);
        }
        return failed;
}
