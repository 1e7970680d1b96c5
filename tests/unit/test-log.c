/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/log.h"

#define ID "0123456789abcdef0123456789abcdef"

static char captured[64 * 1024];

static int saved_stderr = -1;

static void capture_begin(void) {
        int fd = memfd_create("stderr", 0);

        assert_true(fd >= 0);
        (void) fflush(stderr);
        saved_stderr = dup(STDERR_FILENO);
        assert_true(saved_stderr >= 0);
        assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
        (void) close(fd);
}

static const char *capture_end(void) {
        ssize_t n = pread(STDERR_FILENO, captured, sizeof(captured) - 1, 0);

        assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
        (void) close(saved_stderr);
        assert_true(n >= 0);
        captured[n] = '\0';
        return captured;
}

/* The line after its time, which is checked for its form. */
static const char *after_time(const char *line) {
        static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ ";

        for (size_t i = 0; form[i]; i++)
                if (form[i] == 'd')
                        assert_in_range(line[i], '0', '9');
                else
                        assert_int_equal(line[i], form[i]);
        return line + strlen(form);
}

static int setup(void **state) {
        (void) unsetenv("JOURNAL_STREAM");
        (void) unsetenv("SENSORQD_LOG_FIELDS");
        log_open("sensorqd");
        log_set_level(LOG_INFO);
        return 0;
}

static void test_plain_line(void **state) {
        capture_begin();
        log_warning("outbox: %d of %s", 7, "eight");
        assert_string_equal(after_time(capture_end()), "warning: outbox: 7 of eight\n");
}

static void test_fields_hidden(void **state) {
        capture_begin();
        log_event(LOG_ERR, ID, LOG_FIELDS({ "SOURCE", "home" }), "text");
        assert_string_equal(after_time(capture_end()), "error: text\n");
}

static void test_fields_shown(void **state) {
        assert_int_equal(setenv("SENSORQD_LOG_FIELDS", "1", 1), 0);
        log_open("sensorqd");

        capture_begin();
        log_event(LOG_NOTICE, ID, LOG_FIELDS({ "SOURCE", "home" }, { "ERROR", NULL }, { "STATUS", "HTTP 503\nforged" }),
                "text");
        assert_string_equal(
                after_time(capture_end()), "notice: text [SOURCE=home STATUS=HTTP 503 forged MESSAGE_ID=" ID "]\n");

        capture_begin();
        log_event(LOG_NOTICE, NULL, LOG_FIELDS({ "SOURCE", "home" }), "text");
        assert_string_equal(after_time(capture_end()), "notice: text [SOURCE=home]\n");

        capture_begin();
        log_event(LOG_NOTICE, ID, NULL, "text");
        assert_string_equal(after_time(capture_end()), "notice: text [MESSAGE_ID=" ID "]\n");

        capture_begin();
        log_event(LOG_NOTICE, NULL, LOG_FIELDS({ "SOURCE", NULL }), "text");
        assert_string_equal(after_time(capture_end()), "notice: text\n");
}

static void test_level(void **state) {
        assert_int_equal(log_level(), LOG_INFO);
        capture_begin();
        log_debug("dropped");
        log_info("kept");
        log_set_level(LOG_ERR);
        log_warning("dropped");
        log_error("kept");
        log_set_level(LOG_DEBUG);
        log_debug("kept");
        (void) capture_end();
        assert_int_equal(log_level(), LOG_DEBUG);
        assert_null(strstr(captured, "dropped"));
        assert_non_null(strstr(captured, " info: kept\n"));
        assert_non_null(strstr(captured, " error: kept\n"));
        assert_non_null(strstr(captured, " debug: kept\n"));
}

static void check_clean(const char *text, const char *expected) {
        capture_begin();
        log_info("%s", text);
        assert_string_equal(after_time(capture_end()), expected);
}

static void test_controls(void **state) {
        check_clean("one\ntwo\r\n2026-11-24T06:27:38.123Z error: forged",
                "info: one two  2026-11-24T06:27:38.123Z error: forged\n");
        check_clean("\x1b[2Jclear\x7f\t.", "info:  [2Jclear  .\n");
        check_clean("\xc2\x9b"
                    "31m \xe2\x80\xa8 \xe2\x80\xa9.",
                "info:  31m    .\n");
        check_clean("a \xe2\x80\xae"
                    "b \xe2\x80\xac\xe2\x81\xa6"
                    "c\xe2\x81\xa9.",
                "info: a  b   c .\n"); /* U+202E: backwards */
        check_clean("\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa",
                "info: \xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa\n"); /* beside them */
        check_clean("23 \xe2\x84\x83 \xf0\x9f\x98\x80 \xc2\xa0.", "info: 23 \xe2\x84\x83 \xf0\x9f\x98\x80 \xc2\xa0.\n");
        check_clean("bad \xff \xc3( \xed\xa0\x80 \xe2\x84", "info: bad ? ?( ??? ??\n");
        check_clean("", "info: \n");
}

static void test_capped(void **state) {
        static char text[9000];

        memset(text, 'x', 4096);
        capture_begin();
        log_info("%s", text);
        assert_int_equal(strlen(after_time(capture_end())), strlen("info: \n") + 4096);
        assert_null(strstr(captured, "..."));

        memset(text, 'x', sizeof(text) - 1);
        capture_begin();
        log_info("%s", text);
        assert_int_equal(strlen(after_time(capture_end())), strlen("info: \n") + 4096);
        assert_string_equal(captured + strlen(captured) - 5, "x...\n");

        for (size_t i = 0; i + 3 < sizeof(text); i += 3)
                memcpy(text + i, "\xe2\x84\x83", 3); /* a cut never leaves half a character */
        for (size_t start = 0; start < 3; start++) {
                capture_begin();
                log_info("%.*s%s", (int) start, "ab", text);
                assert_null(strchr(after_time(capture_end()), '?'));
                assert_in_range(strlen(after_time(captured)), 4090, strlen("info: \n") + 4096);
        }
}

static void test_many_fields(void **state) {
        static char value[3000];
        LogField fields[61];

        memset(value, 'v', sizeof(value) - 1);
        for (size_t i = 0; i < 60; i++)
                fields[i] = (LogField){ "FIELD", value };
        fields[60] = (LogField){ NULL, NULL };
        assert_int_equal(setenv("SENSORQD_LOG_FIELDS", "1", 1), 0);
        log_open("sensorqd");

        capture_begin();
        log_event(LOG_INFO, ID, fields, "text");
        (void) capture_end();
        assert_in_range(strlen(captured), 10000, 16 * 1024);
        assert_ptr_equal(strchr(captured, '\n'), captured + strlen(captured) - 1);
}

static void test_errno_kept(void **state) {
        capture_begin();
        errno = ENOSPC;
        log_info("write: %m");
        assert_int_equal(errno, ENOSPC);
        assert_string_equal(after_time(capture_end()), "info: write: No space left on device\n");
}

/* Logs *n* lines of *size* bytes to *fd*, with no descriptor left if *full*. The alarm ends a wait without an end. */
static void log_to(int fd, unsigned n, size_t size, bool full) {
        int kept = dup(STDERR_FILENO);
        struct rlimit limit, none;
        char text[4096];

        memset(text, 'x', size);
        text[size] = '\0';
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = (struct rlimit){ full ? STDERR_FILENO + 1 : limit.rlim_cur, limit.rlim_max };
        (void) fflush(stderr);
        assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        (void) alarm(10);
        for (unsigned i = 0; i < n; i++)
                log_error("%s", text);
        (void) alarm(0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
        (void) close(kept);
}

static const char *read_log(int fd) {
        ssize_t n = read(fd, captured, sizeof(captured) - 1);

        assert_true(n > 0);
        captured[n] = '\0';
        return captured;
}

/* Whoever does not read what we say does not stop us, and reads later how much is missing. */
static void test_nobody_reads(void **state) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        log_to(fds[1], 1000, 500, false);
        assert_true(strlen(read_log(fds[0])) > 50000);
        log_to(fds[1], 1, 10, false);
        const char *said = strstr(read_log(fds[0]), "Lines missing here: ");

        assert_non_null(said);
        assert_non_null(strstr(said, ". Standard error did not take them.\n"));
        log_to(fds[1], 1, 10, false);
        assert_string_equal(after_time(read_log(fds[0])), "error: xxxxxxxxxx\n");
        (void) close(fds[0]);
        (void) close(fds[1]);
}

/* poll(2) says that there is room, but there is less than the line needs. */
static void test_room_for_less_than_a_line(void **state) {
        int fds[2], terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), side;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_true(fcntl(fds[1], F_SETPIPE_SZ, 4096) >= 4096);
        log_to(fds[1], 5, 4090, false);
        (void) read_log(fds[0]);
        log_to(fds[1], 5, 4090, true);
        (void) close(fds[0]);
        (void) close(fds[1]);
        assert_true(terminal >= 0);
        assert_int_equal(grantpt(terminal) | unlockpt(terminal), 0);
        side = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(side >= 0);
        log_to(side, 1000, 333, false);
        assert_true(strlen(read_log(terminal)) > 1000);
        (void) close(side);
        (void) close(terminal);
        capture_begin(); /* tells what is missing */
        log_error("x");
        (void) capture_end();
}

static void test_not_the_journal(void **state) {
        static const char *const streams[] = { "", "1:1", "1", "x:y", "1:1:1", "18446744073709551615:1" };

        for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
                assert_int_equal(setenv("JOURNAL_STREAM", streams[i], 1), 0);
                capture_begin();
                log_open("sensorqd");
                log_info("plain");
                assert_string_equal(after_time(capture_end()), "info: plain\n");
        }
}

/* Names the file that standard error is as the journal's stream. */
static void claim_journal(void) {
        char stream[64];
        struct stat st;

        if (fstat(STDERR_FILENO, &st) < 0)
                _exit(1);
        (void) snprintf(
                stream, sizeof(stream), "%llu:%llu", (unsigned long long) st.st_dev, (unsigned long long) st.st_ino);
        (void) setenv("JOURNAL_STREAM", stream, 1);
        log_open("sensorqd");
}

/* A journal of our own, where the library looks for it, in a mount namespace. */
static int fake_journal(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
                mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
                return -1;
        (void) mkdir("/run/systemd", 0755);
        (void) mkdir("/run/systemd/journal", 0755);
        return bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? -1 : fd;
}

static bool has_line(const char *entry, const char *line) {
        const char *found = strstr(entry, line);

        return found && (found == entry || found[-1] == '\n') && found[strlen(line)] == '\n';
}

/* Last words go both ways: a sender that is gone is no unit's any more. Where nobody reads the journal's socket, what
 * standard error leads to does, and the level is kept. */
static int journal_child_ends(int journal) {
        static char entry[64 * 1024];
        int file = memfd_create("stderr", MFD_CLOEXEC);
        ssize_t n;

        if (file < 0 || dup2(file, STDERR_FILENO) < 0)
                return 8;
        claim_journal();
        log_error("not the last");
        log_event(LOG_ERR | LOG_LAST, ID, NULL, "gone\nnow");
        if (recv(journal, entry, sizeof(entry) - 1, MSG_DONTWAIT) <= 0)
                return 9;
        n = recv(journal, entry, sizeof(entry) - 1, MSG_DONTWAIT);
        if (n <= 0)
                return 10;
        entry[n] = '\0';
        if (!has_line(entry, "MESSAGE=gone now") || !has_line(entry, "PRIORITY=3") ||
                !has_line(entry, "MESSAGE_ID=" ID))
                return 11;
        (void) close(journal);
        log_event(LOG_WARNING, ID, LOG_FIELDS({ "SOURCE", "home" }), "nobody there");
        n = pread(file, entry, sizeof(entry) - 1, 0);
        entry[n > 0 ? n : 0] = '\0';
        return strcmp(entry, "<3>gone now\n<4>nobody there\n") == 0 ? 0 : 12;
}

/* 0: as it should be; 77: no namespace for us; other: the number of what went wrong. */
static int journal_child(void) {
        static char entry[64 * 1024];
        int null = open("/dev/null", O_RDWR | O_CLOEXEC), fd = fake_journal();
        ssize_t n;

        if (fd < 0)
                return 77;
        if (null < 0 || dup2(null, STDERR_FILENO) < 0)
                return 1;
        claim_journal();
        log_event(LOG_WARNING, ID, LOG_FIELDS({ "SOURCE", "home" }, { "NOTHING", NULL }, { "ERROR", "a\nb" }),
                "text %d\nline", 1);
        n = recv(fd, entry, sizeof(entry) - 1, MSG_DONTWAIT);
        if (n <= 0)
                return 2;
        entry[n] = '\0';
        if (!has_line(entry, "PRIORITY=4") || !has_line(entry, "MESSAGE=text 1 line") ||
                !has_line(entry, "SYSLOG_IDENTIFIER=sensorqd"))
                return 3;
        if (!has_line(entry, "MESSAGE_ID=" ID) || !has_line(entry, "SOURCE=home") || !has_line(entry, "ERROR=a b"))
                return 4;
        if (strstr(entry, "NOTHING") || strstr(entry, "CODE_FILE"))
                return 5;

        log_info("second");
        n = recv(fd, entry, sizeof(entry) - 1, MSG_DONTWAIT);
        if (n <= 0)
                return 6;
        entry[n] = '\0';
        if (!has_line(entry, "PRIORITY=6") || !has_line(entry, "MESSAGE=second") || strstr(entry, "MESSAGE_ID"))
                return 7;
        return journal_child_ends(fd);
}

static void test_journal(void **state) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(journal_child());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) {
                print_message("skipped: a mount namespace needs root\n");
                skip();
        }
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_plain_line, setup),
                cmocka_unit_test_setup(test_fields_hidden, setup),
                cmocka_unit_test_setup(test_fields_shown, setup),
                cmocka_unit_test_setup(test_level, setup),
                cmocka_unit_test_setup(test_controls, setup),
                cmocka_unit_test_setup(test_capped, setup),
                cmocka_unit_test_setup(test_many_fields, setup),
                cmocka_unit_test_setup(test_errno_kept, setup),
                cmocka_unit_test_setup(test_nobody_reads, setup),
                cmocka_unit_test_setup(test_room_for_less_than_a_line, setup),
                cmocka_unit_test_setup(test_not_the_journal, setup),
                cmocka_unit_test_setup(test_journal, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
