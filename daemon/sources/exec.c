/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that print what they measure: one JSON object or bare value in each line. They are run from time to time
 * (mode interval) or run all the time (mode stream).
 *
 * The data of one read of the pipe is one commit, and the pipe is read again only after that. Until then the program
 * waits in its write(), so nothing that it printed is lost (P12). At a stop, the rest of the pipe is read at once. A
 * run ends when the program ends, even if another process still has its pipe. */
/* clang-format off */
/*      IDLE --poll(), or a stream's start--> RUNNING --the program ended--> DRAINING --all is on disk--> IDLE
 *       ^                                                                                                 |
 *       +------------------------ stream: after a backoff, for ever --------------------------------------+ */
/* clang-format on */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "lib/array.h"
#include "lib/backoff.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/process.h"
#include "lib/text.h"
#include "publish/shape.h"
#include "publish/source.h"
#include "secret.h"

#define CHUNK (64 * 1024) /* bytes of one read, which is one commit */
/* the most that a pipe holds: fs.pipe-max-size, 16 of the largest pages */
#define PIPE_MAX (1024 * 1024)
#define LINE_MAX_BYTES (1024 * 1024) /* a longer line is left out */
/* in one run of mode interval: a program that prints more does not end by itself */
#define RUN_MAX_BYTES (16 * 1024 * 1024)
#define KILL_AFTER_USEC (5 * USEC_PER_SEC) /* time from SIGTERM to SIGKILL */
#define RESTART_MAX_USEC USEC_PER_MINUTE   /* what is not measured meanwhile is lost */
#define STEADY_USEC USEC_PER_MINUTE        /* a stream that ran for this time is restarted with the shortest wait */
#define QUIET_USEC USEC_PER_MINUTE         /* after this time without a line, a hint is logged */
#define LOST_EVERY_USEC USEC_PER_MINUTE    /* lines that are lost are logged no more often */
#define OOM_SCORE 500                      /* higher than ours: the kernel kills the program, not us */
#define MUTE_RUNS 3 /* in a row are told of a program that has printed before: a sensor may miss one */
#define DETAIL_MAX 512
#define SAID_MAX 300 /* bytes of standard error in it: the end, where the reason usually is */

typedef enum ExecMode { EXEC_INTERVAL, EXEC_STREAM } ExecMode;

typedef struct ExecConfig {
        char **command; /* NULL at the end */
        int mode;       /* ExecMode */
        usec_t timeout;
        ConfigMap environment;
        ShapeConfig reading;
} ExecConfig;

typedef enum ExecState { EXEC_IDLE, EXEC_RUNNING, EXEC_DRAINING, _EXEC_STATE_MAX } ExecState;

_asserted_ static const bool moves[_EXEC_STATE_MAX][_EXEC_STATE_MAX] = {
        [EXEC_IDLE] = { [EXEC_RUNNING] = true },
        [EXEC_RUNNING] = { [EXEC_DRAINING] = true },
        [EXEC_DRAINING] = { [EXEC_IDLE] = true },
};

typedef struct Exec {
        SourceContext context;
        const ExecConfig *keys;
        ExecState state;
        Process *process;
        LoopWatch *timer; /* for the timeout, the hint, or the next start */
        char **environment;
        size_t n_environment;
        Backoff restart;
        unsigned mute;              /* runs since the last line that ended well and only complained */
        bool has_printed, checking; /* has printed a line, in any run; `check` runs it */
        usec_t started;             /* clock_now() of this run */
        Bytes line;                 /* the beginning of a line that is not complete yet */
        bool too_long;              /* the present line is left out; also for want of memory */
        bool said_too_long, said_quiet;
        usec_t said_lost;   /* clock_now() when it was last logged that lines are lost; 0: never */
        size_t read, lines; /* bytes and lines of this run */
        usec_t arrived;     /* clock_wall() of the last read */
        bool waits;         /* a line that was taken is not on disk yet */
        bool held;          /* the source told us to hold */
        bool timed_out, flooded;
        ProcessEnd end; /* *left*: bytes that are still to be read */
        char detail[DETAIL_MAX];
} Exec;

static void exec_move(Exec *exec, ExecState state) {
        assert(moves[exec->state][state]);
        exec->state = state;
}

static const char *exec_name(const Exec *exec) {
        return exec->context.config->name;
}

/* ---- lines ---- */

static int exec_take_line(Exec *exec, Slice line) {
        int r;

        while (line.size > 0 && (line.data[line.size - 1] == '\r' || line.data[line.size - 1] == ' '))
                line.size--;
        if (line.size == 0)
                return 0;
        exec->lines++;
        r = source_take(exec->context.source, &(SourceDocument){ .text = line, .arrived = exec->arrived });
        if (r < 0)
                return r; /* stored() may never follow on a line that was not taken */
        exec->waits = true;
        return 0;
}

static void exec_leave_out(Exec *exec) {
        exec->too_long = true;
        bytes_done(&exec->line);
        if (exec->said_too_long)
                return;
        exec->said_too_long = true;
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_SOURCE, exec_name(exec) }),
                "Source %s: a line of the program is longer than %d bytes and is left out. Logged once. Make the "
                "program print one value or object per line.",
                exec_name(exec), LINE_MAX_BYTES);
}

/* Keeps the part of a line that the chunk begins or ends with. If it cannot be kept, the whole line is left out: the
 * end of `21.5` would be another number. */
static int exec_keep(Exec *exec, Slice piece) {
        int r;

        if (exec->too_long)
                return 0;
        if (piece.size > LINE_MAX_BYTES - exec->line.size) {
                exec_leave_out(exec);
                return 0;
        }
        r = bytes_append(&exec->line, piece.data, piece.size);
        if (r < 0)
                exec->too_long = true;
        return r;
}

static int exec_end_line(Exec *exec, Slice piece) {
        int r;

        r = exec_keep(exec, piece);
        if (r == 0 && !exec->too_long)
                r = exec_take_line(exec, bytes_slice(&exec->line));
        exec->too_long = false;
        bytes_cut(&exec->line, 0);
        return r;
}

/* Logs that a line was lost for want of memory: the program prints it only once. */
static void exec_tell_lost(Exec *exec) {
        usec_t now = clock_now();

        if (exec->said_lost > 0 && now - exec->said_lost < LOST_EVERY_USEC)
                return;
        exec->said_lost = now;
        log_error("Source %s: what the program printed is lost: out of memory; look " CAUSE_MEMORY_PLACES
                  ". Logged once a minute while this lasts.",
                exec_name(exec));
}

/* Splits into lines; after an error in one line, the others are still taken. */
static void exec_split(Exec *exec, const char *data, size_t size) {
        const char *end = data + size, *newline;
        bool lost = false;

        for (; (newline = memchr(data, '\n', (size_t) (end - data))); data = newline + 1)
                lost |= exec_end_line(exec, (Slice){ data, (size_t) (newline - data) }) < 0;
        lost |= exec_keep(exec, (Slice){ data, (size_t) (end - data) }) < 0;
        if (lost)
                exec_tell_lost(exec);
}

/* ---- the pipe ---- */

static void exec_hold(Exec *exec) {
        if (exec->process)
                process_hold(exec->process, exec->held || exec->waits);
}

static void exec_spoke(Exec *exec) {
        if (exec->keys->mode != EXEC_STREAM)
                return;
        exec->said_quiet = true; /* the hint is only for programs that have printed nothing */
        if (exec->restart.attempt > 0 && clock_now() - exec->started < STEADY_USEC)
                return; /* it may end again after a line, for ever: the timer, which is armed, tells that it works */
        loop_off(exec->timer);
        source_tell(exec->context.source, &(SourcePoll){ .outcome = SOURCE_POLLED }, 0);
}

static void exec_watch_flood(Exec *exec) {
        if (exec->keys->mode != EXEC_INTERVAL || exec->read <= RUN_MAX_BYTES || exec->flooded)
                return;
        exec->flooded = true;
        process_stop(exec->process, 0);
}

/* Reads at most *most* bytes and returns how many were read. */
static size_t exec_read(Exec *exec, size_t most) {
        size_t n, lines = exec->lines;
        char chunk[CHUNK];

        n = process_read(exec->process, chunk, most < sizeof(chunk) ? most : sizeof(chunk));
        exec->read += n;
        exec->arrived = clock_wall();
        exec_watch_flood(exec);
        if (n > 0 && !exec->flooded)
                exec_split(exec, chunk, n);
        exec_hold(exec);
        if (exec->lines > lines)
                exec_spoke(exec);
        return n;
}

static void on_readable(void *userdata) {
        (void) exec_read(userdata, CHUNK);
}

/* ---- the end of a run ---- */

/* Returns the end of standard error, from a blank on if one is near. *ret_said* gets the words before it: "; it said:
 * ", or "". */
static const char *exec_last_words(const Exec *exec, const char **ret_said) {
        const char *words = exec->end.error_text, *blank;
        size_t size = strlen(words);

        *ret_said = size == 0 ? "" : size <= SAID_MAX ? "; it said: " : "; it said: ...";
        if (size <= SAID_MAX)
                return words;
        words += size - SAID_MAX;
        blank = strchr(words, ' ');
        if (blank && blank < words + SAID_MAX / 2)
                return blank + 1;
        while (((unsigned char) *words & 0xc0) == 0x80)
                words++;
        return words;
}

/* Whether the first *size* bytes of *name* are a file that this process cannot use. */
static bool exec_is_barred(const char *name, size_t size) {
        char path[SAID_MAX + 1];

        text_copy(path, sizeof(path), name);
        path[size] = '\0';
        return access(path, R_OK | W_OK) < 0;
}

/* A device that the program names and that this process cannot use either is perhaps not plugged in, but more often
 * hidden: a unit sees none. It ends with a colon, or has some in its name, as in /dev/serial/by-path. */
static const char *exec_hidden_device(const char *words) {
        for (const char *at = words; (at = strstr(at, "/dev/")); at++) {
                bool inside = at > words && !strchr(" \"'`=:,;([<", at[-1]); /* of another path */
                size_t size = strcspn(at, " \"'`,;()[]<>");

                while (strchr(".:", at[size - 1]))
                        size--;
                if (!inside && exec_is_barred(at, size) && exec_is_barred(at, strcspn(at, " :")))
                        return ". Plug it in, or allow it: the unit's sandbox hides devices (docs/sources/exec.md says "
                               "what helps)";
        }
        return "";
}

static void exec_describe_end(Exec *exec) {
        const char *said, *words = exec_last_words(exec, &said);

        if (exec->timed_out)
                text_print(exec->detail, sizeof(exec->detail),
                        "the program did not end within its timeout and was stopped%s%s", said, words);
        else if (exec->flooded)
                text_print(exec->detail, sizeof(exec->detail),
                        "the program printed more than %d MiB and was stopped; does it need mode: stream?",
                        RUN_MAX_BYTES >> 20);
        else if (exec->end.killed)
                text_print(exec->detail, sizeof(exec->detail), "the program was ended by signal %d (%s)%s%s%s",
                        exec->end.number, strsignal(exec->end.number),
                        exec->end.number == SIGSYS
                                ? ", as the unit's sandbox does (docs/sources/exec.md says what helps)"
                                : "",
                        said, words);
        else
                text_print(exec->detail, sizeof(exec->detail), "the program ended with status %d%s%s%s%s",
                        exec->end.number,
                        exec->end.number == 0 ? " (a stream must keep running; does it need mode: interval?)" : "",
                        said, words, exec_hidden_device(words));
}

static bool exec_ended_well(const Exec *exec) {
        return !exec->timed_out && !exec->flooded && !exec->end.killed && exec->end.number == 0;
}

static void exec_start_later(Exec *exec, Cause cause) {
        usec_t delay;

        if (clock_now() - exec->started >= STEADY_USEC)
                backoff_reset(&exec->restart);
        delay = backoff_next(&exec->restart, loop_random());
        source_tell(exec->context.source,
                &(SourcePoll){ .outcome = SOURCE_UNREACHABLE, .cause = cause, .detail = exec->detail }, delay);
        loop_arm_in(exec->timer, delay);
}

/* Fills in *detail* for a run that ended well, but only complained: the status of `read-it | head -1` is that of head.
 * That may be meant, so it is no failure, and is said once until a line comes. Returns true if `check` should warn. */
static bool exec_judge_mute(Exec *exec) {
        const char *said, *words = exec_last_words(exec, &said);

        exec->detail[0] = '\0';
        exec->has_printed |= exec->lines > 0;
        exec->mute = exec->lines > 0 ? 0 : exec->mute + (*words != '\0');
        if (exec->lines > 0 || *words == '\0')
                return false;
        text_print(exec->detail, sizeof(exec->detail), "the program succeeded but printed nothing%s%s", said, words);
        secrets_conceal(exec->context.means.secrets, exec->detail);
        if (!exec->checking && exec->mute == (exec->has_printed ? MUTE_RUNS : 1))
                log_event(LOG_NOTICE, NULL, LOG_FIELDS({ FIELD_SOURCE, exec_name(exec) }),
                        "Source %s: %s. Logged once until it prints one.", exec_name(exec), exec->detail);
        return exec->checking;
}

/* Ends the run: all its output is on disk. */
static void exec_finish(Exec *exec) {
        bool stream = exec->keys->mode == EXEC_STREAM, well = !stream && exec_ended_well(exec);
        bool odd = well && exec_judge_mute(exec);

        if (!well)
                exec_describe_end(exec);
        else if (!odd && exec->context.means.run_as) /* by `check`, of a machine with the unit */
                text_copy(exec->detail, sizeof(exec->detail),
                        "answers here; the service runs it in the sandbox of its unit, which hides devices "
                        "(docs/sources/exec.md)");
        exec_move(exec, EXEC_IDLE);
        exec->process = process_free(exec->process);
        if (stream)
                return exec_start_later(exec, CAUSE_PROGRAM);
        source_polled(exec->context.source, &(SourcePoll){ .outcome = well ? SOURCE_POLLED : SOURCE_UNREACHABLE,
                                                    .cause = well ? CAUSE_NONE : CAUSE_PROGRAM,
                                                    .detail = exec->detail,
                                                    .odd = odd });
}

/* A last line without a line end counts only if the program ended by itself and with success: otherwise it may be
 * incomplete. */
static void exec_end_last_line(Exec *exec) {
        if (exec->line.size > 0 && exec_ended_well(exec) && exec_end_line(exec, (Slice){}) < 0)
                exec_tell_lost(exec);
        bytes_cut(&exec->line, 0);
}

/* Reads what the program left in the pipe, one commit at a time, but not what other processes write later. */
static void exec_drain(Exec *exec) {
        for (size_t n; exec->end.left > 0 && !exec->waits; exec->end.left -= n)
                if ((n = exec_read(exec, exec->end.left)) == 0)
                        n = exec->end.left;
        if (exec->waits)
                return;
        exec_end_last_line(exec);
        if (!exec->waits)
                exec_finish(exec);
}

static void on_end(void *userdata, const ProcessEnd *end) {
        Exec *exec = userdata;

        loop_off(exec->timer);
        exec->end = *end;
        exec_move(exec, EXEC_DRAINING);
        exec_drain(exec);
}

static void exec_stored(void *self) {
        Exec *exec = self;

        exec->waits = false;
        exec_hold(exec);
        if (exec->state == EXEC_DRAINING)
                exec_drain(exec);
}

static void exec_on_hold(void *self, bool hold) {
        Exec *exec = self;
        bool waited = exec->held && !hold;

        exec->held = hold;
        exec_hold(exec);
        if (waited && exec->state == EXEC_RUNNING && exec->keys->mode == EXEC_INTERVAL && !exec->timed_out)
                loop_arm_in(exec->timer, exec->keys->timeout); /* what has passed of it, the program may have waited */
}

/* ---- starting ---- */

static const char *exec_why_not(const char *program, int error) {
        switch (error) {
        case -ENOENT:
                return strchr(program, ' ')
                               ? "there is no such program: each argument is an entry of its own in `command`"
                               : "there is no such program, or its interpreter is missing: check `command`";
        case -EACCES:
                return "this user may not execute it: check its mode, and that no mount or sandbox forbids it";
        case -ENOEXEC:
                return "it is not a program for this machine, or a script without #!";
        case -ESRCH:
                return "the user or a group of the unit is not there: check User= and SupplementaryGroups=";
        default:
                return strerror(-error);
        }
}

/* What the machine, or the unit, lacks is not the program's fault. */
static Cause exec_cause(int error) {
        return err_is_want(error) || error == -EAGAIN ? CAUSE_MEMORY : CAUSE_PROGRAM;
}

static void exec_describe_no_start(Exec *exec, int error) {
        const char *program = exec->keys->command[0];

        text_print(exec->detail, sizeof(exec->detail), "%s cannot be started: %s%s", program,
                exec_why_not(program, error), exec_cause(error) == CAUSE_MEMORY ? "; look " CAUSE_MEMORY_PLACES : "");
}

static int exec_start(Exec *exec) {
        ProcessSpec spec = {
                .argv = (const char *const *) exec->keys->command,
                .environment = (const char *const *) exec->environment,
                .oom_score_adj = OOM_SCORE,
                .user = exec->context.means.run_as,
                .groups = exec->context.means.run_groups,
        };
        int r;

        exec->started = clock_now();
        exec->read = exec->lines = 0;
        bytes_cut(&exec->line, 0);
        exec->too_long = exec->timed_out = exec->flooded = exec->said_quiet = false;
        r = process_start(
                exec->context.means.loop, &spec, &(ProcessCallbacks){ on_readable, on_end, exec }, &exec->process);
        if (r < 0) {
                exec_describe_no_start(exec, r);
                return r;
        }
        exec_move(exec, EXEC_RUNNING);
        exec_hold(exec);
        return 0;
}

static void exec_start_stream(Exec *exec) {
        int r = exec_start(exec);

        if (r < 0)
                return exec_start_later(exec, exec_cause(r));
        loop_arm_in(exec->timer, QUIET_USEC);
}

/* A minute after the start. */
static void exec_hint(Exec *exec) {
        if (exec->said_quiet)
                return source_tell(exec->context.source, &(SourcePoll){ .outcome = SOURCE_POLLED }, 0);
        if (exec->held || exec->waits) /* it may have printed lines that we have not read */
                return loop_arm_in(exec->timer, QUIET_USEC);
        exec->said_quiet = true;
        log_event(LOG_NOTICE, NULL, LOG_FIELDS({ FIELD_SOURCE, exec_name(exec) }),
                "Source %s: the program runs, but has printed no line for a minute. If it should have: many programs "
                "buffer what they print to a pipe; make it flush after each line (stdbuf -oL, sed -u).",
                exec_name(exec));
}

static void on_timer(void *userdata) {
        Exec *exec = userdata;

        if (exec->state == EXEC_IDLE)
                return exec_start_stream(exec);
        if (exec->keys->mode == EXEC_STREAM)
                return exec_hint(exec);
        if (exec->held || exec->waits) /* the program may be waiting for us */
                return loop_arm_in(exec->timer, exec->keys->timeout);
        exec->timed_out = true;
        process_stop(exec->process, KILL_AFTER_USEC);
}

/* True for errors that pass without help: the machine lacks a resource now, or the program file is being replaced. */
static bool exec_passes(int error) {
        return exec_cause(error) == CAUSE_MEMORY || error == -ETXTBSY;
}

static int exec_poll(void *self) {
        Exec *exec = self;
        int r;

        assert(exec->state == EXEC_IDLE);
        r = exec_start(exec);
        if (r < 0) {
                source_polled(exec->context.source,
                        &(SourcePoll){ .outcome = exec_passes(r) ? SOURCE_UNREACHABLE : SOURCE_REFUSED,
                                .cause = exec_cause(r),
                                .detail = exec->detail });
                return 0;
        }
        loop_arm_in(exec->timer, exec->keys->timeout);
        return 0;
}

/* ---- life ---- */

/* Reads what the program has printed but was not read yet, for lack of room or time: everything in the pipe. The
 * program ends first: one that waited for room would go on printing while we read. A pipe holds 16 pages, which are 256
 * KiB on a Raspberry Pi 5, or the size that the program has set (F_SETPIPE_SZ). */
static void exec_read_rest(Exec *exec) {
        size_t n, most, left = exec->state == EXEC_DRAINING ? exec->end.left : PIPE_MAX;
        char chunk[CHUNK];

        if (!exec->process || exec->flooded)
                return;
        process_kill(exec->process);
        exec->arrived = clock_wall();
        do {
                most = left < CHUNK ? left : CHUNK;
                n = process_read(exec->process, chunk, most);
                exec_split(exec, chunk, n);
                left -= n;
        } while (n == most && left > 0);
        if (exec->state == EXEC_DRAINING)
                exec_end_last_line(exec);
}

static void exec_close(void *self) {
        Exec *exec = self;

        exec_read_rest(exec);
        process_free(exec->process);
        loop_drop(exec->timer);
        array_free_texts(exec->environment);
        bytes_done(&exec->line);
}

/* The program may read a device that can be opened only once. */
static void exec_exclusive(const SourceConfig *config, char name[static SOURCE_EXCLUSIVE_MAX]) {
        (void) snprintf(name, SOURCE_EXCLUSIVE_MAX, "the program of source %s", config->name);
}

static int exec_add_variable(Exec *exec, const char *name, const char *value) {
        if (text_format(&exec->environment[exec->n_environment], "%s=%s", name, value) < 0)
                return -ENOMEM;
        exec->n_environment++;
        return 0;
}

/* Makes a new environment, because ours may contain secrets. */
static int exec_make_environment(Exec *exec) {
        static const char *const own[][2] = {
                { "PATH", "/usr/local/bin:/usr/bin:/bin" }, { "LANG", "C.UTF-8" },
                { "PYTHONUNBUFFERED", "1" }, /* otherwise Python collects lines for a pipe in a buffer */
        };
        const ConfigMap *map = &exec->keys->environment;
        int r = 0;

        exec->environment = calloc(map->n + ELEMENTSOF(own) + 1, sizeof(char *));
        if (!exec->environment)
                return -ENOMEM;
        for (size_t i = 0; i < map->n && r == 0; i++)
                r = exec_add_variable(exec, map->items[i].name, map->items[i].values[0]);
        for (size_t i = 0; i < ELEMENTSOF(own) && r == 0; i++)
                if (!config_map_get(map, own[i][0]))
                        r = exec_add_variable(exec, own[i][0], own[i][1]);
        return r;
}

static int exec_open(void *self) {
        Exec *exec = self;
        int r;

        exec->keys = exec->context.keys;
        exec->restart = (Backoff){ .initial = USEC_PER_SEC, .max = RESTART_MAX_USEC };
        r = exec_make_environment(exec);
        if (r < 0)
                return r;
        r = loop_add_timer(exec->context.means.loop, LOOP_EXACT, on_timer, exec, &exec->timer);
        if (r < 0)
                return r;
        if (exec->keys->mode == EXEC_STREAM && !exec->context.manual)
                loop_arm_in(exec->timer, 0);
        return 0;
}

/* ---- the type ---- */

static bool exec_speaks(const void *keys) {
        return ((const ExecConfig *) keys)->mode == EXEC_STREAM;
}

/* `check` looks for the program, and runs it only if that is allowed: a program may do anything. */
static int exec_check(void *self) {
        Exec *exec = self;
        int r;

        exec->checking = true;
        if (exec->context.means.may_run && exec->keys->mode == EXEC_INTERVAL)
                return exec_poll(exec);
        r = process_find(exec->keys->command[0], (const char *const *) exec->environment);
        if (r < 0)
                exec_describe_no_start(exec, r);
        else
                text_print(exec->detail, sizeof(exec->detail), "%s is there%s", exec->keys->command[0],
                        exec->keys->mode == EXEC_STREAM ? "; a stream is not run by check"
                                                        : "; --run-programs runs it once");
        source_polled(exec->context.source,
                &(SourcePoll){ .outcome = r < 0 ? SOURCE_REFUSED : SOURCE_POLLED, .detail = exec->detail });
        return 0;
}

#define FIELD(field) offsetof(ExecConfig, field)

static int variable_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] == '\0' || strchr(text, '=') || (text[0] >= '0' && text[0] <= '9'))
                return config_problem_set(ret_problem, "is not a name of a variable");
        return 0;
}

static int exec_rule(const ConfigPlace *place, void *self, void *around) {
        const ExecConfig *keys = self;
        int r;

        if (!exec_speaks(keys))
                return 0;
        r = config_place_unused(place, "interval", "a program of mode stream prints when it has something");
        return r < 0 ? r : config_place_unused(place, "timeout", "a program of mode stream runs on");
}

static const ConfigType type_environment = { "map of texts", "NAME: TEXT lines, indented", CONFIG_MAP,
        .inside = variable_check, .empty = true };
static const ConfigType type_mode = { "interval or stream", NULL, CONFIG_INT,
        .words = (const char *const[]){ "interval", "stream", NULL } };

/* clang-format off */
static const ConfigRow rows[] = {
        { "command", &config_type_texts, FIELD(command), 1, 64, .flags = CONFIG_REQUIRED,
                .doc = "Program and arguments, run without a shell." },
        { "mode", &type_mode, FIELD(mode), .fallback = "interval",
                .doc = "interval: run the program at each interval. stream: keep it running and restart it when it ends." },
        { "timeout", &config_type_duration, FIELD(timeout), USEC_PER_SEC, USEC_PER_HOUR, "30s",
                .doc = "Time limit for a run in mode interval." },
        { "environment", &type_environment, FIELD(environment), 0, 100,
                .doc = "Variables of the program, in addition to PATH, LANG and PYTHONUNBUFFERED. It gets no others." },
        { "reading", &config_type_section, FIELD(reading), .flags = CONFIG_IMPLIED, .section = &shape_section,
                .doc = "How a line becomes readings." },
        {},
};
/* clang-format on */

static const ConfigSection section = {
        .name = "exec",
        .doc = "The standard output of a program: one JSON object or bare value a line.",
        .rows = rows,
        .size = sizeof(ExecConfig),
        .rule = exec_rule,
};

const SourceType source_type_exec = {
        .keys = &section,
        .size = sizeof(Exec),
        .open = exec_open,
        .exclusive = exec_exclusive,
        .poll = exec_poll,
        .speaks = exec_speaks,
        .check = exec_check,
        .hold = exec_on_hold,
        .stored = exec_stored,
        .close = exec_close,
};
