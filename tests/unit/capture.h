/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The log of a test, as text. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"

typedef struct Capture {
        int saved;
        FILE *file;
} Capture;

/* From here on the log goes into a file, with its fields. */
static inline Capture capture_begin(void) {
        Capture c = { .saved = dup(STDERR_FILENO), .file = tmpfile() };

        assert_non_null(c.file);
        (void) setenv("SENSORQD_LOG_FIELDS", "1", 1);
        log_open("test");
        assert_true(dup2(fileno(c.file), STDERR_FILENO) >= 0);
        return c;
}

/* What was logged meanwhile; valid until the next call. */
static inline char *capture_end(Capture *c) {
        static char text[16384];

        assert_true(dup2(c->saved, STDERR_FILENO) >= 0);
        (void) close(c->saved);
        rewind(c->file);
        text[fread(text, 1, sizeof(text) - 1, c->file)] = '\0';
        (void) fclose(c->file);
        return text;
}

static inline unsigned count_of(const char *text, const char *part) {
        unsigned n = 0;

        for (const char *p = text; (p = strstr(p, part)); p++)
                n++;
        return n;
}
