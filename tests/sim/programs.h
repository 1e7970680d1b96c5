/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Models of programs: what one run of them prints and when, and how it ends. */

#include "lib/bytes.h"
#include "weather.h"

typedef struct Program {
        bool stream;     /* it runs on */
        Fault fault;     /* of this run */
        bool deaf;       /* to SIGTERM */
        bool polite;     /* at SIGTERM it ends by itself, with status 0 */
        bool grandchild; /* which keeps the pipe, and writes to it when the program has ended */
        unsigned lines;  /* to come; of a stream: until it dies */
        usec_t pause;    /* at most, between two writes */
        bool killed;     /* how it ends, by itself */
        int number;
        const char *words; /* on standard error */
} Program;

/* Draws a run. Of what cannot be started the errno; 0. */
int program_start(Program *program, bool stream);
/* What it writes next: a whole line or several, or a piece of one, whose rest follows. False: it has nothing more to
 * say, and ends. */
bool program_write(Program *program, Bytes *out);
/* It does nothing more, but for SIGTERM, if it hears that. */
bool program_hangs(const Program *program);
/* How long it waits before it. */
usec_t program_pause(const Program *program);
