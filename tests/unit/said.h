/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A verb, run in this process, and what it printed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verbs/verbs.h"

typedef struct Said {
        int code;
        char out[16 * 1024], err[4096];
} Said;

static inline void said_redirect(int fd, const char *name, int *ret_saved, int *ret_file) {
        *ret_saved = dup(fd);
        *ret_file = memfd_create(name, MFD_CLOEXEC);
        assert_true(*ret_saved >= 0 && *ret_file >= 0);
        assert_int_equal(dup2(*ret_file, fd), fd);
}

static inline void said_restore(int fd, int saved, int file, char *text, size_t size) {
        ssize_t n = pread(file, text, size - 1, 0);

        assert_int_equal(dup2(saved, fd), fd);
        (void) close(saved);
        (void) close(file);
        assert_true(n >= 0);
        text[n] = '\0';
}

static inline void said_run(
        Config *config, int (*verb)(Config *config, int argc, char **argv), int argc, char **argv, Said *said) {
        int out, out_file, err, err_file;

        (void) fflush(stdout);
        (void) fflush(stderr);
        said_redirect(STDOUT_FILENO, "out", &out, &out_file);
        said_redirect(STDERR_FILENO, "err", &err, &err_file);
        said->code = verb(config, argc, argv);
        (void) fflush(stdout);
        (void) fflush(stderr);
        said_restore(STDERR_FILENO, err, err_file, said->err, sizeof(said->err));
        said_restore(STDOUT_FILENO, out, out_file, said->out, sizeof(said->out));
}

static inline int said_verb_rejected(Config *config, int argc, char **argv) {
        return verb_rejected(config, argc, argv, argc == 1 && strcmp(argv[0], "list") != 0);
}

/* `rejected ACTION [ID]`; --all where the action needs one or the other. */
static inline void said_rejected(Config *config, const char *action, const char *id, Said *said) {
        char words[2][64];

        (void) snprintf(words[0], sizeof(words[0]), "%s", action);
        (void) snprintf(words[1], sizeof(words[1]), "%s", id ? id : "");
        said_run(config, said_verb_rejected, id ? 2 : 1, (char *[]){ words[0], words[1] }, said);
}
