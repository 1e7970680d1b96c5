/* SPDX-License-Identifier: Apache-2.0 */
/* lib/process.h: programs are models (programs.h), which die with the daemon that started them. */
#include "lib/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "doors.h"
#include "ledger.h"
#include "plan.h"
#include "programs.h"

#define PIPE ((size_t) 64 * 1024)
#define STORM_SPAN USEC_PER_MINUTE
#define STORM_MAX 30 /* starts within a minute */

struct Process {
        ProcessCallbacks callbacks;
        Program program;
        LoopWatch *again, *patience;
        Bytes pipe, pending; /* written; what waits for room in it */
        Bytes line;          /* read, and no newline yet */
        unsigned references;
        bool held;
        bool ended, dying, stopped, freed;
        uint32_t *unsure; /* lines that were read and may not be on disk */
        size_t n_unsure, unsure_allocated;
        ProcessEnd end;
};

static unsigned n_ended; /* that were not freed */

bool door_program_has_ended(void) {
        return n_ended > 0;
}

/* ---- life and death ---- */

static void unref(Process *process) {
        if (--process->references > 0)
                return;
        bytes_done(&process->pipe);
        bytes_done(&process->pending);
        bytes_done(&process->line);
        free(process->unsure);
        free(process);
}

/* Events of a daemon that has died do not happen: what they hold went with it. */
static void later(Process *process, usec_t delay, void (*run)(void *subject, uint64_t number)) {
        process->references++;
        world_in(delay, run, process, 0, world->life);
}

static void on_end(void *subject, uint64_t number) {
        Process *process = subject;

        if (!process->freed) {
                process->ended = true;
                n_ended++;
                loop_off(process->patience);
                process->end.left = process->pipe.size;
                world_trace("a program ends: %s %d, %zu bytes are left", process->end.killed ? "signal" : "status",
                        process->end.number, process->end.left);
                world_door("program end");
                process->callbacks.on_end(process->callbacks.userdata, &process->end);
        }
        unref(process);
}

/* From now on it writes nothing more. */
static void die(Process *process, bool killed, int number) {
        if (process->dying)
                return;
        process->dying = true;
        process->end = (ProcessEnd){ .killed = killed, .number = number, .error_text = process->program.words };
        process->pending.size = 0;
        later(process, world_latency(100 * USEC_PER_MSEC), on_end);
}

/* ---- writing ---- */

static void on_write(void *subject, uint64_t number);

/* As much as there is room for. True: all of it. */
static bool flush(Process *process) {
        size_t room = PIPE - process->pipe.size, n = process->pending.size < room ? process->pending.size : room;

        if (n == 0)
                return process->pending.size == 0;
        if (draw_below(&world->chance, 6) == 0)
                n = 1 + draw_below(&world->chance, n);
        if (bytes_append(&process->pipe, process->pending.data, n) < 0)
                abort();
        memmove(process->pending.data, process->pending.data + n, process->pending.size - n);
        process->pending.size -= n;
        loop_wake(process->again);
        if (process->pipe.size == PIPE)
                world_count("program waits for its pipe");
        return process->pending.size == 0;
}

static void go_on(Process *process) {
        Program *program = &process->program;

        if (program_hangs(program))
                return;
        if (process->pending.size == 0 && !program_write(program, &process->pending))
                return die(process, program->killed, program->number);
        later(process, flush(process) ? program_pause(program) : 50 * USEC_PER_MSEC, on_write);
}

static void on_write(void *subject, uint64_t number) {
        Process *process = subject;

        if (!process->freed && !process->dying && (process->pending.size == 0 || flush(process)))
                go_on(process);
        else if (!process->freed && !process->dying)
                later(process, 50 * USEC_PER_MSEC, on_write);
        else if (!process->freed && process->ended && process->program.grandchild &&
                 bytes_append_text(&process->pipe, "of a grandchild\n") < 0)
                abort();
        unref(process);
}

/* ---- reading ---- */

/* P12: the pipe is read on only when the lines that were read are on disk. */
static void check_on_disk(Process *process) {
        for (size_t i = 0; !plan_source_may_end() && i < process->n_unsure; i++)
                if (!ledger_is_put(process->unsure[i]))
                        world_fail("a program's pipe is read on, and reading %u is not on disk", process->unsure[i]);
        process->n_unsure = 0;
}

static void note_line(Process *process) {
        uint32_t serial = ledger_find(process->line.data ? process->line.data : "", process->line.size);

        process->line.size = 0;
        if (serial == 0)
                return;
        if (process->n_unsure == process->unsure_allocated) {
                process->unsure_allocated = process->unsure_allocated * 2 + 16;
                process->unsure = realloc(process->unsure, process->unsure_allocated * sizeof(uint32_t));
                if (!process->unsure)
                        abort();
        }
        process->unsure[process->n_unsure++] = serial;
        ledger_delivered(serial);
}

static void note_read(Process *process, const char *data, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (data[i] == '\n')
                        note_line(process);
                else if (bytes_append(&process->line, data + i, 1) < 0)
                        abort();
        /* a last line without an end counts when the program ended well */
        if (process->ended && process->end.left == size && !process->stopped && !process->end.killed &&
                process->end.number == 0 && process->line.size > 0 && process->line.data[process->line.size - 1] == '}')
                note_line(process);
}

size_t process_read(Process *process, char *buffer, size_t size) {
        size_t n = process->pipe.size < size ? process->pipe.size : size;

        check_on_disk(process);
        world_door("program read");
        if (n > 1 && !process->ended && draw_below(&world->chance, 8) == 0)
                n = 1 + draw_below(&world->chance, n - 1);
        if (n == 0)
                return 0;
        memcpy(buffer, process->pipe.data, n);
        memmove(process->pipe.data, process->pipe.data + n, process->pipe.size - n);
        process->pipe.size -= n;
        note_read(process, buffer, n);
        if (process->ended)
                process->end.left -= n < process->end.left ? n : process->end.left;
        return n;
}

static void on_again(void *userdata) {
        Process *process = userdata;

        if (process->held || process->ended || process->pipe.size == 0)
                return;
        process->references++;
        loop_wake(process->again);
        world_door("program readable");
        process->callbacks.on_readable(process->callbacks.userdata);
        world_door("program was read");
        unref(process);
}

void process_hold(Process *process, bool hold) {
        process->held = hold;
        if (!hold && !process->freed)
                loop_wake(process->again);
}

/* ---- starting and stopping ---- */

static void on_patience(void *userdata) {
        die(userdata, true, SIGKILL);
}

/* Starts must not come one after the other. */
static void watch_storm(void) {
        static usec_t since;
        static unsigned n;

        if (world->now - since > STORM_SPAN) {
                since = world->now;
                n = 0;
        }
        if (++n > STORM_MAX)
                world_fail("%u programs are started within a minute", n);
}

int process_start(Loop *loop, const ProcessSpec *spec, const ProcessCallbacks *callbacks, Process **ret) {
        Process *process = calloc(1, sizeof(Process));
        int r;

        if (!process)
                return -ENOMEM;
        watch_storm();
        world_door("program start");
        r = program_start(&process->program, strcmp(spec->argv[1], "stream") == 0);
        if (r < 0)
                return free(process), r;
        process->callbacks = *callbacks;
        process->references = 1;
        if (loop_add_defer(loop, on_again, process, &process->again) < 0 ||
                loop_add_timer(loop, LOOP_EXACT, on_patience, process, &process->patience) < 0)
                abort();
        world_trace("a program starts: %s", spec->argv[1]);
        world_count("program run");
        later(process, world_latency(USEC_PER_SEC), on_write);
        *ret = process;
        return 0;
}

int process_find(const char *name, const char *const *environment) {
        return -ENOENT;
}

void process_stop(Process *process, usec_t patience) {
        if (process->ended)
                return;
        world_count("program is stopped");
        process->stopped = true;
        loop_arm_in(process->patience, patience);
        if (!process->program.deaf)
                die(process, !process->program.polite, process->program.polite ? 0 : SIGTERM);
}

/* Nothing is printed while we read: time stands still. */
void process_kill(Process *process) {}

/* What an ended one has left in its pipe is read before. */
static void check_left(const Process *process) {
        bool quiet = world->stopped_at == 0 && world->reloaded != world->life;

        if (process->ended && process->end.left > 0 && quiet)
                world_fail("%zu bytes that a program said are not read", process->end.left);
}

Process *process_free(Process *process) {
        if (!process)
                return NULL;
        check_left(process);
        process->freed = true;
        n_ended -= process->ended;
        process->again = loop_drop(process->again);
        process->patience = loop_drop(process->patience);
        unref(process);
        return NULL;
}
