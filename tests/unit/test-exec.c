/* SPDX-License-Identifier: Apache-2.0 */
/* Real programs, most of them a line of shell. */
#include "source-fixture.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "capture.h"

static usec_t minute = USEC_PER_MINUTE; /* as it is for timers */
static unsigned minutes;                /* that were begun */
static LoopWatch *of_minutes;           /* the timer of the last one */

static bool hurried; /* no wait is long */
static usec_t longest;

void __real_loop_arm_in(LoopWatch *timer, usec_t delay);
void __wrap_loop_arm_in(LoopWatch *timer, usec_t delay);

void __wrap_loop_arm_in(LoopWatch *timer, usec_t delay) {
        minutes += delay == USEC_PER_MINUTE;
        of_minutes = delay == USEC_PER_MINUTE ? timer : of_minutes;
        longest = usec_max(longest, delay);
        if (hurried)
                return __real_loop_arm_in(timer, usec_min(delay, 5 * USEC_PER_MSEC));
        __real_loop_arm_in(timer, delay == USEC_PER_MINUTE ? minute : delay);
}

/* The document for which there is no memory, counted from now; 0: none. */
static unsigned unread;
static unsigned in_vain; /* counts calls, all of which fail; 0: they do not */
int __real_shape_read(const ShapeConfig *config, const ShapeOrigin *origin, Slice document, ReadingList *list);
int __wrap_shape_read(const ShapeConfig *config, const ShapeOrigin *origin, Slice document, ReadingList *list);

int __wrap_shape_read(const ShapeConfig *config, const ShapeOrigin *origin, Slice document, ReadingList *list) {
        if (in_vain > 0 && in_vain++)
                return -ENOMEM;
        return unread > 0 && --unread == 0 ? -ENOMEM : __real_shape_read(config, origin, document, list);
}

#define HEAD "      type: exec\n      interval: 10s\n"

static void run(SourceFixture *f, const char *script, const char *more) {
        char lines[2000];

        (void) snprintf(lines, sizeof(lines), HEAD "      command: [sh, -c, '%s']\n%s", script, more);
        source_fixture_start(f, lines);
}

static void run_once(SourceFixture *f, const char *script, const char *more) {
        run(f, script, more);
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).polls == 1 && !source_is_busy(f->source));
}

static void test_lines_are_readings(void **state) {
        SourceFixture *f = *state;

        run_once(f, "echo \"{\\\"co2\\\": 612}\"; echo 21.5; echo; echo ON", "");
        assert_int_equal(f->n, 3);
        assert_non_null(strstr(
                source_fixture_payloads(f), "{\"co2\":612,\"source\":\"home\",\"id\":\"home\",\"request_at\":\""));
        assert_non_null(strstr(source_fixture_payloads(f), "{\"value\":21.5,"));
        assert_non_null(strstr(source_fixture_payloads(f), "{\"value\":\"ON\","));
        assert_false(source_fixture_status(f).failure.on);
}

static void test_reading_section(void **state) {
        SourceFixture *f = *state;

        run_once(f, "echo \"{\\\"data\\\": {\\\"t\\\": \\\"21.5\\\", \\\"x\\\": 1}}\"",
                "      reading: { name: study, id: /data/x, fields: { te: /data/t }, numbers: [te] }\n");
        assert_int_equal(f->n, 1);
        assert_non_null(strstr(
                source_fixture_payloads(f), "{\"te\":21.5,\"source\":\"home\",\"id\":\"1\",\"name\":\"study\","));
        assert_string_equal(f->devices.data, "1\n");
}

/* The environment is clean but for what is asked for. */
static void test_environment(void **state) {
        SourceFixture *f = *state;

        assert_int_equal(setenv("SECRET_OF_OURS", "x", 1), 0);
        run_once(f, "echo \\\"$SECRET_OF_OURS-$LANG-$PYTHONUNBUFFERED-$MINE\\\"",
                "      environment: { LANG: C, MINE: yes }\n");
        assert_non_null(strstr(source_fixture_payloads(f), "{\"value\":\"-C-1-yes\","));
}

/* No hint at a hidden device: what is named is not one, or can be used, with a long name as in by-path. */
static void test_status_and_last_words(void **state) {
        SourceFixture *f = *state;
        char script[400];

        (void) snprintf(script, sizeof(script),
                "echo 1; cd %s; : >0:1; echo /home/it/dev/read.py: none at /dev/..%s/./././././././././././././././0:1: busy >&2; exit 3",
                f->directory, f->directory);
        run_once(f, script, "");
        assert_int_equal(f->n, 1); /* whole lines count all the same */
        assert_true(source_fixture_status(f).failure.on);
        assert_non_null(strstr(source_fixture_status(f).failure.detail, "status 3; it said: /home/it/dev/"));
        assert_string_equal(strstr(source_fixture_status(f).failure.detail, "/0:1"), "/0:1: busy");
}

/* An hour is long after a run that failed; but of one that printed a line there would be two. */
static void test_repeated_unless_it_printed(void **state) {
        SourceFixture *f = *state;

        source_fixture_start(f, "      type: exec\n      interval: 1h\n      command: [sh, -c, 'exit 1']\n");
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).failures == 1);
        assert_true(source_fixture_status(f).next_poll <= clock_now() + USEC_PER_MINUTE);
        source_fixture_stop(f);
        source_fixture_start(f, "      type: exec\n      interval: 1h\n      command: [sh, -c, 'echo 1; exit 1']\n");
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).failures == 1);
        assert_true(source_fixture_status(f).next_poll > clock_now() + 50 * USEC_PER_MINUTE);
        source_fixture_stop(f);
        source_fixture_start(f, "      type: exec\n      interval: 1h\n      command: [sh, -c, 'echo {; exit 1']\n");
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).failures == 1);
        assert_int_equal(f->n_unreadable, 1);
        assert_true(source_fixture_status(f).next_poll > clock_now() + 50 * USEC_PER_MINUTE);
}

static void run_again(SourceFixture *f) {
        assert_int_equal(source_poll_now(f->source), 0);
        SOURCE_FIXTURE_UNTIL(f, !source_is_busy(f->source));
}

/* The status of a pipe is that of its last command. A run without a line may be meant: no failure, but its words are
 * said, once until a line comes; of a program that has printed, only when three runs in a row say nothing else. */
static void test_only_complaints(void **state) {
        SourceFixture *f = *state;
        Capture capture = capture_begin();
        char script[600], *text;

        (void) snprintf(script, sizeof(script),
                "cd %s; echo >>runs; case $(wc -l <runs) in 1|4) ;; 6) echo 5;; *) cat /nowhere/it | head -1;; esac",
                f->directory);
        run_once(f, script, ""); /* prints nothing at all: nothing to be said */
        for (int i = 2; i <= 8; i++)
                run_again(f);
        text = capture_end(&capture);
        assert_int_equal(count_of(text, "the program succeeded but printed nothing; it said: "), 1);
        assert_non_null(strstr(text, "No such file or directory. Logged once until it prints one."));
        assert_int_equal(f->n, 1);
        capture = capture_begin();
        run_again(f); /* the third since its line */
        run_again(f);
        assert_int_equal(count_of(capture_end(&capture), "printed nothing"), 1);
        assert_false(source_fixture_status(f).failure.on);
        assert_false(source_fixture_status(f).odd);
}

static void test_check_warns_of_only_complaints(void **state) {
        SourceFixture *f = *state;
        Capture capture = capture_begin();

        f->host.manual = f->host.checking = f->host.means.may_run = true;
        run(f, "cat /nowhere/it | head -1", "");
        run_again(f);
        assert_null(strstr(capture_end(&capture), "printed nothing"));
        assert_true(source_fixture_status(f).odd);
        assert_non_null(strstr(source_fixture_status(f).answer, "succeeded but printed nothing; it said: cat: "));
}

/* The reason of a long complaint, as of Python, stands at its end. What hides a device is told. */
static void test_last_words_of_many(void **state) {
        SourceFixture *f = *state;
        const char *detail;

        run_once(f,
                "for i in $(seq 100); do echo File main.py, line $i >&2; done; echo OSError: no /dev/ttyUSB-none: >&2; exit 1",
                "");
        detail = source_fixture_status(f).failure.detail;
        assert_non_null(strstr(detail, "the program ended with status 1; it said: ..."));
        assert_non_null(strstr(detail, "line 100 OSError: no /dev/ttyUSB-none:. Plug it in, or allow it: "));
        assert_non_null(strstr(detail, "(docs/sources/exec.md says what helps)"));
        assert_null(strstr(detail, "line 50"));
}

/* Half a line of a program that was killed is not a reading; of one that ended well it is a line. */
static void test_line_without_an_end(void **state) {
        SourceFixture *f = *state;

        run_once(f, "printf 21.5", "");
        assert_int_equal(f->n, 1);
        source_fixture_stop(f);
        run_once(f, "printf 42; kill -9 $$", "");
        assert_int_equal(f->n, 1);
        assert_non_null(strstr(source_fixture_status(f).failure.detail, "ended by signal 9 (Killed)"));
        source_fixture_stop(f);
        run_once(f, "kill -SYS $$", ""); /* by a filter of system calls */
        assert_non_null(
                strstr(source_fixture_status(f).failure.detail, "(Bad system call), as the unit's sandbox does"));
        source_fixture_stop(f);
        run_once(f, "printf 43; exit 1", "");
        assert_int_equal(f->n, 1);
}

static void test_timeout(void **state) {
        SourceFixture *f = *state;

        run_once(f, "echo 1; sleep 60", "      timeout: 1s\n");
        if (f->n == 0) { /* a machine on which a program needs so long to begin */
                source_fixture_stop(f);
                run_once(f, "echo 1; sleep 60", "      timeout: 20s\n");
        }
        assert_int_equal(f->n, 1);
        assert_non_null(strstr(source_fixture_status(f).failure.detail, "did not end within its timeout"));
}

/* A grandchild that keeps the pipe does not keep the source: the end is the program's. */
static void test_grandchild(void **state) {
        SourceFixture *f = *state;
        char script[200], command[200];

        (void) snprintf(script, sizeof(script), "echo 1; setsid sleep 300 & echo $! >%s/pid; echo 2", f->directory);
        run_once(f, script, ""); /* with a patience of 30 s */
        assert_int_equal(f->n, 2);
        (void) snprintf(command, sizeof(command), "kill $(cat %s/pid) 2>/dev/null || true", f->directory);
        assert_int_equal(system(command), 0);
}

/* One that prints on and on there neither: what it prints after that end is nobody's. */
static void test_talkative_grandchild(void **state) {
        SourceFixture *f = *state;

        run_once(f, "echo 1; setsid yes 2 & exit 0", "");
        assert_false(source_fixture_status(f).failure.on); /* not one that printed too much */
        assert_in_range(f->n, 1, 500000);
}

static void test_cannot_start(void **state) {
        SourceFixture *f = *state;

        source_fixture_start(f, HEAD "      command: [/nowhere/mhz19]\n");
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).polls == 1);
        assert_non_null(strstr(
                source_fixture_status(f).failure.detail, "/nowhere/mhz19 cannot be started: there is no such program"));
}

/* A shell would split it. */
static void test_arguments_in_one_entry(void **state) {
        SourceFixture *f = *state;

        source_fixture_start(f, HEAD "      command: [/bin/sh -c 'echo 1']\n");
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).polls == 1);
        assert_non_null(
                strstr(source_fixture_status(f).failure.detail, "each argument is an entry of its own in `command`"));
}

static void run_without_descriptors(SourceFixture *f, const char *more) {
        struct rlimit before, none;

        run(f, "echo 5", more);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ 0, before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).failures == 1);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_non_null(strstr(source_fixture_status(f).failure.detail, "cannot be started: Too many open files"));
        assert_non_null(strstr(source_fixture_status(f).failure.detail, "LimitNOFILE="));
        assert_int_equal(source_fixture_status(f).failure.cause, CAUSE_MEMORY); /* not the program */
        assert_true(source_fixture_status(f).next_poll <= clock_now() + 10 * USEC_PER_SEC);
}

/* What the machine is short of passes: the next interval, not the wait for somebody who mends it. */
static void test_no_descriptors(void **state) {
        run_without_descriptors(*state, "");
}

static void test_no_descriptors_for_a_stream(void **state) {
        run_without_descriptors(*state, "      mode: stream\n");
}

/* It was said with each read of the pipe. */
static void test_lost_lines_are_said_once(void **state) {
        Capture capture = capture_begin();

        in_vain = 1;
        run(*state, "while sleep 0.02; do echo 5; done", "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL((SourceFixture *) *state, in_vain > 10);
        in_vain = 0;
        assert_int_equal(count_of(capture_end(&capture), "printed is lost: out of memory"), 1);
}

static void test_not_readable(void **state) {
        SourceFixture *f = *state;

        run_once(f, "echo \"{\\\"broken\\\": \"; echo 5", "");
        assert_int_equal(f->n, 1);
        assert_int_equal(f->n_unreadable, 1); /* kept raw */
}

static void test_long_line_and_flood(void **state) {
        SourceFixture *f = *state;

        run_once(f, "head -c 1100000 /dev/zero | tr \"\\\\0\" x; echo; echo 7", "");
        assert_int_equal(f->n, 1);
        assert_non_null(strstr(source_fixture_payloads(f), "{\"value\":7,"));
        source_fixture_stop(f);
        run_once(f, "yes \"{\\\"x\\\": \\\"$(head -c 1000 /dev/zero | tr \"\\\\0\" x)\\\"}\"", "");
        assert_non_null(strstr(source_fixture_status(f).failure.detail, "printed more than 16 MiB"));
}

/* The disk refuses: what was read stays in memory, the rest in the pipe, and nothing is missing when it is over. */
static void test_disk_refuses(void **state) {
        SourceFixture *f = *state;

        f->refuses = true;
        run(f, "seq 1 30000", "");
        f->refuses = false; /* room for the poll to begin */
        SOURCE_FIXTURE_UNTIL(f, source_is_busy(f->source));
        f->refuses = true;
        for (int i = 0; i < 20; i++)
                source_fixture_turn(f);
        assert_true(f->n < 30000);
        f->refuses = false;
        source_resume(f->source);
        SOURCE_FIXTURE_UNTIL(f, f->n == 30000);
        assert_int_equal(f->n_repeats, 0);
}

/* The timeout is the program's: it does not run out while the program waits for us. */
static void test_disk_refuses_for_longer_than_the_timeout(void **state) {
        SourceFixture *f = *state;
        unsigned n;

        run(f, "seq 1 60000", "      timeout: 60s\n");
        SOURCE_FIXTURE_UNTIL(f, source_is_busy(f->source));
        f->refuses = true;
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).holding);
        minute = 5 * USEC_PER_MSEC;
        n = minutes;
        __real_loop_arm_in(of_minutes, 0); /* the first one is over, too */
        SOURCE_FIXTURE_UNTIL(f, minutes > n + 2);
        minute = USEC_PER_MINUTE;
        n = minutes;
        SOURCE_FIXTURE_UNTIL(f, minutes > n);
        n = minutes;
        f->refuses = false;
        source_resume(f->source);
        SOURCE_FIXTURE_UNTIL(f, !source_is_busy(f->source));
        assert_int_equal(minutes, n + 1); /* it begins anew: what was left of it could be too short */
        assert_int_equal(f->n, 60000);
        assert_false(source_fixture_status(f).failure.on);
}

/* A poll under way may end, also when a reload has retired the source, and there is no room for a while. */
static void test_run_comes_to_its_end(void **state) {
        SourceFixture *f = *state;

        run(f, "seq 1 20000; sleep 0.1; seq 20001 60000", "");
        SOURCE_FIXTURE_UNTIL(f, f->n > 0);
        f->no_room = true;
        source_retire(f->source);
        for (int i = 0; i < 30; i++)
                source_fixture_turn(f);
        assert_true(f->n < 60000);
        f->no_room = false;
        SOURCE_FIXTURE_UNTIL(f, !source_is_busy(f->source));
        assert_int_equal(f->n, 60000);
        assert_int_equal(source_fixture_status(f).failures, 0);
}

/* What a program said while nobody read it is not lost with it. */
static void test_stop_reads_the_rest(void **state) {
        SourceFixture *f = *state;
        char script[200], said[128];

        (void) snprintf(said, sizeof(said), "%s/said", f->directory);
        (void) snprintf(script, sizeof(script), "echo 1; echo 2; touch %s; echo -n 3; exec sleep 60", said);
        f->no_room = true;
        run(f, script, "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, access(said, F_OK) == 0);
        assert_int_equal(f->n, 0);
        source_fixture_stop(f);
        assert_int_equal(f->n, 2); /* 3 may be half a line */
}

/* A reload that takes the source away while the disk refuses: the rest waits in memory until it works. */
static void test_reload_reads_the_rest(void **state) {
        SourceFixture *f = *state;
        char script[200], said[128];

        (void) snprintf(said, sizeof(said), "%s/said", f->directory);
        (void) snprintf(script, sizeof(script), "echo 1; echo 2; touch %s; exec sleep 60", said);
        f->no_room = true;
        run(f, script, "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, access(said, F_OK) == 0);
        f->refuses = true;
        source_retire(f->source);
        source_fixture_turn(f);
        assert_true(source_is_busy(f->source));
        f->refuses = false;
        source_resume(f->source);
        SOURCE_FIXTURE_UNTIL(f, !source_is_busy(f->source));
        assert_int_equal(f->n, 2);
}

/* The program has ended, so its last line without an end is complete. The disk refuses it with the others, which is
 * said of all of them. */
static void test_stop_tells_of_the_last_line(void **state) {
        SourceFixture *f = *state;
        Capture capture;

        run(f, "echo 1; echo -n 2", "      timeout: 60s\n");
        SOURCE_FIXTURE_UNTIL(f, source_is_busy(f->source));
        f->refuses = true;
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).holding && !loop_is_armed(of_minutes));
        capture = capture_begin();
        source_fixture_stop(f);
        assert_non_null(
                strstr(capture_end(&capture), "2 readings that could not be written to disk before the end are lost"));
}

/* A pipe holds 64 KiB where a page has 4: a Raspberry Pi 5 has pages of 16, and a program may make it larger anywhere.
 */
static void test_stop_reads_a_large_pipe(void **state) {
        SourceFixture *f = *state;
        char script[400], said[128];

        (void) snprintf(said, sizeof(said), "%s/said", f->directory);
        (void) snprintf(script, sizeof(script),
                "python3 -c \"import fcntl; fcntl.fcntl(1, 1031, 1 << 18)\" && seq 1 30000 && touch %s; exec sleep 60",
                said);
        f->no_room = true;
        run(f, script, "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, access(said, F_OK) == 0);
        assert_int_equal(f->n, 0);
        source_fixture_stop(f);
        assert_int_equal(f->n, 30000);
}

static size_t count_lines(const char *path) {
        FILE *file = fopen(path, "r");
        size_t n = 0;

        assert_non_null(file);
        for (int c; (c = fgetc(file)) != EOF;)
                n += c == '\n';
        assert_int_equal(fclose(file), 0);
        return n;
}

/* Nor what it prints while the rest is read. */
static void test_stop_reads_what_comes_meanwhile(void **state) {
        SourceFixture *f = *state;
        char script[300], said[128];

        (void) snprintf(said, sizeof(said), "%s/said", f->directory);
        (void) snprintf(script, sizeof(script), "while :; do i=$((i + 1)); echo $i; echo >&3; done 3> %s", said);
        f->no_room = true;
        run(f, script, "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, access(said, F_OK) == 0 && count_lines(said) > 10000);
        assert_int_equal(f->n, 0);
        source_fixture_stop(f);
        assert_true(f->n >= count_lines(said));
}

static void test_stream(void **state) {
        SourceFixture *f = *state;
        char script[200], command[200];

        (void) snprintf(script, sizeof(script), "echo 1; until test -e %s/go; do sleep 0.01; done; echo 2; sleep 60",
                f->directory);
        run(f, script, "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, f->n == 1);
        (void) snprintf(command, sizeof(command), "touch %s/go", f->directory);
        assert_int_equal(system(command), 0);
        SOURCE_FIXTURE_UNTIL(f, f->n == 2);
        assert_int_equal(f->commits, 2); /* each at once: nobody waits for the end */
        assert_false(source_fixture_status(f).failure.on);
        assert_int_equal(source_fixture_status(f).next_poll, 0);
        source_fixture_stop(f); /* ends the program */
}

/* A program that prints and ends is probably meant for the other mode. It does not work again with each line. */
static void test_stream_that_ends(void **state) {
        SourceFixture *f = *state;
        Capture capture = capture_begin();
        const char *text;

        run(f, "echo 1", "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, f->n >= 3 && source_fixture_status(f).failures >= 3);
        text = capture_end(&capture);
        assert_null(strstr(text, "answers again, after"));
        text = strstr(text, "gives no readings");
        assert_non_null(text);
        assert_null(strstr(text + 1, "gives no readings"));
        assert_true(source_fixture_status(f).failure.on);
        assert_string_equal(source_fixture_status(f).failure.detail,
                "the program ended with status 0 (a stream must keep running; does it need mode: interval?)");
}

/* It works again when it has run for a minute. */
static void test_stream_that_runs_on_again(void **state) {
        SourceFixture *f = *state;
        char script[200];

        (void) snprintf(script, sizeof(script), "echo 1; test -e %s/seen && sleep 60; touch %s/seen", f->directory,
                f->directory);
        run(f, script, "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, f->n == 2);
        assert_true(source_fixture_status(f).failure.on);
        __real_loop_arm_in(of_minutes, 0);
        SOURCE_FIXTURE_UNTIL(f, !source_fixture_status(f).failure.on);
        source_fixture_stop(f);
}

/* A program that keeps what it prints in a buffer looks like one without a sensor: after a minute there is a hint,
 * once. */
static void test_stream_without_a_line(void **state) {
        SourceFixture *f = *state;
        Capture capture = capture_begin();
        const char *text;

        minute = USEC_PER_MSEC;
        run(f, "sleep 60", "      mode: stream\n");
        for (int i = 0; i < 20; i++)
                source_fixture_turn(f);
        minute = USEC_PER_MINUTE;
        text = capture_end(&capture);
        assert_non_null(strstr(text, "has printed no line for a minute"));
        assert_null(strstr(strstr(text, "for a minute") + 1, "for a minute"));
        assert_false(source_fixture_status(f).failure.on);
        source_fixture_stop(f);
}

/* What is not read has printed nothing that we know of. */
static void test_held_stream_gets_no_hint(void **state) {
        SourceFixture *f = *state;
        Capture capture = capture_begin();

        minute = USEC_PER_MSEC;
        f->no_room = true;
        run(f, "echo 1; sleep 60", "      mode: stream\n");
        for (int i = 0; i < 20; i++)
                source_fixture_turn(f);
        minute = USEC_PER_MINUTE;
        assert_null(strstr(capture_end(&capture), "for a minute"));
        f->no_room = false;
        source_resume(f->source);
        SOURCE_FIXTURE_UNTIL(f, f->n == 1);
        source_fixture_stop(f);
}

/* Started again for ever, also when starting fails. */
static void test_stream_restarts(void **state) {
        SourceFixture *f = *state;
        char path[128], lines[400];
        FILE *file;

        (void) snprintf(path, sizeof(path), "%s/program", f->directory);
        (void) snprintf(lines, sizeof(lines), HEAD "      mode: stream\n      command: [%s]\n", path);
        source_fixture_start(f, lines);
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).failures >= 2);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs("#!/bin/sh\necho 1\n", file) >= 0);
        assert_int_equal(fchmod(fileno(file), 0755), 0);
        assert_int_equal(fclose(file), 0);
        SOURCE_FIXTURE_UNTIL(f, f->n >= 2);
}

/* A sensor that is plugged in again is not heard until then. */
static void test_stream_waits_a_minute_at_most(void **state) {
        SourceFixture *f = *state;

        hurried = true;
        longest = 0;
        run(f, "exit 1", "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).failures >= 14);
        hurried = false;
        source_fixture_stop(f);
        assert_in_range(longest, USEC_PER_SEC, USEC_PER_MINUTE);
}

static void test_stream_is_held(void **state) {
        SourceFixture *f = *state;

        run(f, "i=0; while :; do i=$((i+1)); echo $i; done", "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, f->n > 0);
        f->refuses = true;
        for (int i = 0; i < 30; i++)
                source_fixture_turn(f);
        size_t n = f->n;
        for (int i = 0; i < 30; i++)
                source_fixture_turn(f);
        assert_int_equal(f->n, n);
        f->refuses = false;
        source_resume(f->source);
        SOURCE_FIXTURE_UNTIL(f, f->n > n + 1000);
        source_retire(f->source);
        SOURCE_FIXTURE_UNTIL(f, !source_is_busy(f->source));
}

/* A line for which there is no memory is lost, and said to be; no other one, and nothing waits for it. (P6) */
static void test_without_memory(void **state) {
        SourceFixture *f = *state;
        Capture capture = capture_begin();

        unread = 1;
        run(f, "echo 1; echo 2; sleep 0.1; echo 3; sleep 60", "      mode: stream\n");
        SOURCE_FIXTURE_UNTIL(f, f->n == 2);
        assert_non_null(strstr(capture_end(&capture), "out of memory"));
        source_fixture_stop(f);
}

/* Nor does a run wait for it at its end. */
static void test_run_without_memory(void **state) {
        SourceFixture *f = *state;

        unread = 1;
        run(f, "echo 1", "");
        SOURCE_FIXTURE_UNTIL(f, source_fixture_status(f).last_poll > 0);
        assert_int_equal(f->n, 0);
}

static void test_check_runs_nothing(void **state) {
        SourceFixture *f = *state;
        char path[128], script[200];

        f->host.manual = f->host.checking = true;
        (void) snprintf(path, sizeof(path), "%s/ran", f->directory);
        (void) snprintf(script, sizeof(script), "touch %s; echo 5", path);
        run(f, script, "");
        assert_int_equal(source_poll_now(f->source), 0);
        SOURCE_FIXTURE_UNTIL(f, !source_is_busy(f->source));
        assert_non_null(strstr(source_fixture_status(f).answer, "sh is there; --run-programs runs it once"));
        assert_int_equal(access(path, F_OK), -1);
        source_fixture_stop(f);
        f->host.means.may_run = true;
        run(f, script, "");
        assert_int_equal(source_poll_now(f->source), 0);
        SOURCE_FIXTURE_UNTIL(f, !source_is_busy(f->source));
        assert_int_equal(f->n, 1);
}

static void test_wrong_configuration(void **state) {
        static const struct {
                const char *lines, *words;
        } cases[] = {
                { "      type: exec\n", "command" },
                { "      type: exec\n      command: []\n", "command" },
                { "      type: exec\n      command: [x]\n      mode: often\n", "interval or stream" },
                { "      type: exec\n      command: [x]\n      environment: { A=B: x }\n", "environment" },
                { "      type: exec\n      command: [x]\n      timeout: 2h\n", "timeout" },
                { "      type: exec\n      command: [x]\n      token_file: x\n", "nature_remo" },
        };
        SourceFixture *f = *state;
        char error[1000];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                source_fixture_read(f, cases[i].lines, error, sizeof(error));
                if (!strstr(error, cases[i].words))
                        fail_msg("%s: %s", cases[i].lines, error);
                f->config = config_unref(f->config);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, source_fixture_set_up, source_fixture_tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_lines_are_readings),
                TEST(test_reading_section),
                TEST(test_environment),
                TEST(test_status_and_last_words),
                TEST(test_repeated_unless_it_printed),
                TEST(test_only_complaints),
                TEST(test_check_warns_of_only_complaints),
                TEST(test_last_words_of_many),
                TEST(test_line_without_an_end),
                TEST(test_timeout),
                TEST(test_grandchild),
                TEST(test_talkative_grandchild),
                TEST(test_cannot_start),
                TEST(test_arguments_in_one_entry),
                TEST(test_no_descriptors),
                TEST(test_no_descriptors_for_a_stream),
                TEST(test_lost_lines_are_said_once),
                TEST(test_not_readable),
                TEST(test_long_line_and_flood),
                TEST(test_disk_refuses),
                TEST(test_disk_refuses_for_longer_than_the_timeout),
                TEST(test_run_comes_to_its_end),
                TEST(test_stop_reads_the_rest),
                TEST(test_reload_reads_the_rest),
                TEST(test_stop_tells_of_the_last_line),
                TEST(test_stop_reads_a_large_pipe),
                TEST(test_stop_reads_what_comes_meanwhile),
                TEST(test_stream),
                TEST(test_stream_that_ends),
                TEST(test_stream_that_runs_on_again),
                TEST(test_stream_without_a_line),
                TEST(test_held_stream_gets_no_hint),
                TEST(test_stream_restarts),
                TEST(test_stream_waits_a_minute_at_most),
                TEST(test_stream_is_held),
                TEST(test_without_memory),
                TEST(test_run_without_memory),
                TEST(test_check_runs_nothing),
                TEST(test_wrong_configuration),
        };

        return cmocka_run_group_tests_name("exec", tests, NULL, NULL);
}
