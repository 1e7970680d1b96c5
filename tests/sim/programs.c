/* SPDX-License-Identifier: Apache-2.0 */
#include "programs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "ledger.h"
#include "plan.h"

#define STREAM_PAUSE (20 * USEC_PER_MINUTE)
#define STREAM_PAUSE_CALM (3 * USEC_PER_MINUTE)
#define RUN_PAUSE (2 * USEC_PER_SEC)
#define SLOW_PAUSE (40 * USEC_PER_SEC) /* the timeout is 30 s */
#define MANY 3000                      /* lines: more than a pipe holds */

static const struct {
        bool killed;
        int number;
        const char *words;
} ends[_FAULT_MAX] = {
        [FAULT_CUT_EARLY] = { true, SIGSEGV, "" },
        [FAULT_CUT_LATE] = { true, SIGKILL, "" },
        [FAULT_GARBLED] = { false, 1, "Traceback (most recent call last):" },
        [FAULT_BROKEN] = { false, 1, "no device" },
        [FAULT_BROKEN_LATE] = { false, 3, "" },
        [FAULT_DENIED] = { false, 126, "permission denied" },
        [FAULT_MISSING] = { false, 127, "not found" },
        [FAULT_UNAUTHORIZED] = { false, 2, "usage: prog" },
};

static int refusal_of(Fault fault) {
        return fault == FAULT_UNREACHABLE ? -ENOENT : fault == FAULT_TLS ? -EAGAIN : fault == FAULT_PROXY ? -EACCES : 0;
}

int program_start(Program *program, bool stream) {
        Fault fault = weather_fault(TARGET_PROGRAM);

        *program = (Program){ .stream = stream,
                .fault = fault,
                .killed = ends[fault].killed,
                .number = ends[fault].number,
                .words = ends[fault].words ?: "" };
        if (refusal_of(fault) < 0)
                return refusal_of(fault);
        program->deaf = fault == FAULT_UNANSWERED;
        program->polite = draw_below(&world->chance, 2) == 0;
        program->grandchild = fault == FAULT_BUSY || draw_below(&world->chance, 20) == 0;
        program->pause = stream ? STREAM_PAUSE : fault == FAULT_SLOW ? SLOW_PAUSE : RUN_PAUSE;
        program->lines = 1 + (unsigned) draw_skewed(&world->chance, 8);
        if (draw_below(&world->chance, 60) == 0)
                program->lines = 1 + (unsigned) draw_skewed(&world->chance, MANY);
        if (stream && fault == FAULT_NONE)
                program->lines = UINT32_MAX;
        if (fault == FAULT_DENIED || fault == FAULT_MISSING || fault == FAULT_UNAUTHORIZED || fault == FAULT_CUT_EARLY)
                program->lines = 0;
        return 0;
}

bool program_hangs(const Program *program) {
        return !program->stream && (program->fault == FAULT_LOST || program->fault == FAULT_UNANSWERED);
}

usec_t program_pause(const Program *program) {
        usec_t most = program->pause;

        if (program->stream && world->phase != PHASE_WEATHER)
                most = STREAM_PAUSE_CALM;
        return draw_skewed(&world->chance, most);
}

static void say(Bytes *out, uint32_t serial, size_t size) {
        char line[64];
        int n = snprintf(line, sizeof(line), "{\"newest_events\":{\"te\":{\"val\":%u}}}\n", serial);

        if (bytes_append(out, line, size < (size_t) n ? size : (size_t) n) < 0)
                abort();
}

/* The last one, of which only a piece is written. */
static bool write_half(Program *program, Bytes *out) {
        program->fault = FAULT_BROKEN;
        say(out, ledger_serve(), 1 + draw_below(&world->chance, 28));
        return true;
}

bool program_write(Program *program, Bytes *out) {
        unsigned n = program->stream ? 1 : 1 + (unsigned) draw_below(&world->chance, program->lines);

        if (program->lines == 0 && (program->fault == FAULT_CUT_LATE || program->fault == FAULT_GARBLED))
                return write_half(program, out);
        if (program->lines == 0)
                return false;
        if (program->stream && draw_below(&world->chance, 40) == 0)
                n = 1 + (unsigned) draw_skewed(&world->chance, program->lines < MANY ? program->lines - 1 : MANY);
        program->lines -= program->lines == UINT32_MAX ? 0 : n;
        if (program->fault == FAULT_PORTAL && bytes_append_text(out, "\xff\xfe?\n") < 0)
                abort();
        while (n-- > 0) {
                uint32_t serial = ledger_serve();

                ledger_offered(serial);
                say(out, serial, SIZE_MAX);
        }
        if (program->lines == 0 && !program->stream && program->fault == FAULT_NONE &&
                draw_below(&world->chance, 4) == 0)
                out->size--; /* the last line has no end: of a program that ends well it counts */
        return true;
}
