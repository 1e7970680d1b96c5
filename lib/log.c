/* SPDX-License-Identifier: Apache-2.0 */
#define SD_JOURNAL_SUPPRESS_LOCATION /* the journal would get the place in this file for each entry */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "text.h"

#define TEXT_MAX 4096  /* bytes of text of one entry: some remote ends answer an error with a whole web page */
#define VALUE_MAX 1024 /* bytes of one field's value */
#define FIELDS_MAX 24  /* fields of one entry; further ones are left out */
/* bytes of one entry; it is on the stack, so that logging never fails for want of memory */
#define ENTRY_MAX (16 * 1024)
/* How long a line may wait for a reader: a terminal that was stopped, or a container's log that nobody takes, must not
 * stop the daemon. The line is lost, and later ones do not wait until there is a reader again. */
#define PATIENCE_MSEC 100

static atomic_int level_max = LOG_INFO;
static atomic_uint lost; /* lines since the last one that was taken */

/* Set by log_open(), read-only afterwards. */
static struct {
        char identifier[64];
        bool journal;
        bool fields;
} target;

static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;
        char end;

        if (!stream || sscanf(stream, "%llu:%llu%c", &device, &inode, &end) != 2)
                return false;
        return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *identifier) {
        const char *fields = getenv("SENSORQD_LOG_FIELDS");

        (void) snprintf(target.identifier, sizeof(target.identifier), "%s", identifier);
        target.journal = stderr_is_journal();
        target.fields = fields && strcmp(fields, "1") == 0;
}

void log_set_level(int level) {
        atomic_store_explicit(&level_max, level, memory_order_relaxed);
}

int log_level(void) {
        return atomic_load_explicit(&level_max, memory_order_relaxed);
}

/* Appends at most *max* bytes of valid UTF-8 without controls: journalctl shows an entry as "blob data" if one byte is
 * not UTF-8. */
static void entry_add(TextRoom *e, const char *text, size_t max) {
        size_t size = strnlen(text, max + 1), start = e->used;
        bool whole = size <= max;

        text_add(e, "%.*s", (int) (whole ? size : text_cut(text, size, max - 3)), text);
        e->used = start + text_clean(e->text + start, e->used - start);
        text_add(e, whole ? "" : "...");
}

/* What a line begins with: its time and level, or, where journald reads our standard error, the level as sd-daemon(3)
 * says. */
static void entry_begin(TextRoom *e, int level) {
        static const char *const names[] = { "emergency", "alert", "critical", "error", "warning", "notice", "info",
                "debug" };
        char time[CLOCK_RFC3339_SIZE];

        if (target.journal)
                text_add(e, "<%d>", LOG_PRI(level));
        else
                text_add(e, "%s %s: ", clock_format_rfc3339(clock_wall(), time), names[LOG_PRI(level)]);
}

static void entry_add_field(TextRoom *e, const char **separator, const char *name, const char *value) {
        if (!value)
                return;
        text_add(e, "%s%s=", *separator, name);
        entry_add(e, value, VALUE_MAX);
        *separator = " ";
}

/* Opens the pipe or terminal of standard error anew, since O_NONBLOCK of standard error itself is shared with other
 * programs. -1: it is something else, or another user's, or there is no descriptor. */
static int stderr_open(void) {
        struct stat st;

        if (fstat(STDERR_FILENO, &st) < 0 || (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode)))
                return -1;
        return open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static bool has_room(int fd) {
        struct pollfd wait = { .fd = fd, .events = POLLOUT };

        return poll(&wait, 1, atomic_load(&lost) > 0 ? 0 : PATIENCE_MSEC) != 0;
}

/* One write(2) for each line but the longest, so that lines of several threads and processes do not mix; a pipe that
 * has room has it for PIPE_BUF. False: the line is lost, or its end is. */
static bool stderr_write(const char *line, size_t size) {
        _cleanup_close_ int own = stderr_open();
        int fd = own >= 0 ? own : STDERR_FILENO;

        while (size > 0) {
                ssize_t n = has_room(fd) ? write(fd, line, size < PIPE_BUF ? size : PIPE_BUF) : -1;

                if (n <= 0)
                        return false;
                line += n;
                size -= (size_t) n;
        }
        return true;
}

static void log_to_stderr(int level, const char *message_id, const LogField *fields, const char *text) {
        const char *separator = " [";
        char line[ENTRY_MAX];
        TextRoom e = { line, sizeof(line), 0 };
        unsigned missing = atomic_load(&lost);

        if (missing > 0) {
                text_add(&e, "\n"); /* the last one may have been cut off */
                entry_begin(&e, LOG_WARNING);
                text_add(&e, "Lines missing here: %u. Standard error did not take them.\n", missing);
        }
        entry_begin(&e, level);
        entry_add(&e, text, TEXT_MAX);
        if (target.fields && !target.journal) {
                for (size_t i = 0; fields && fields[i].name && i < FIELDS_MAX; i++)
                        entry_add_field(&e, &separator, fields[i].name, fields[i].value);
                entry_add_field(&e, &separator, "MESSAGE_ID", message_id);
                if (separator[1] == '\0') /* a field was written */
                        text_add(&e, "]");
        }
        line[e.used++] = '\n'; /* in place of the NUL */
        if (stderr_write(line, e.used))
                atomic_store(&lost, 0);
        else
                atomic_fetch_add(&lost, 1);
}

/* An entry for the journal, and where its fields are in the text. */
typedef struct JournalEntry {
        TextRoom text;
        struct iovec iov[FIELDS_MAX + 4];
        int n;
} JournalEntry;

/* Adds NAME=value; a field that does not fit is left out. */
static void journal_add(JournalEntry *j, const char *name, const char *value, size_t max) {
        TextRoom *e = &j->text;
        size_t start = e->used;

        if (!value || e->size - start < strlen(name) + max + 2)
                return;

        text_add(e, "%s=", name);
        entry_add(e, value, max);
        j->iov[j->n++] = (struct iovec){ .iov_base = e->text + start, .iov_len = e->used - start };
}

static int log_to_journal(int level, const char *message_id, const LogField *fields, const char *text) {
        const char priority[] = { (char) ('0' + LOG_PRI(level)), '\0' };
        char text_room[ENTRY_MAX];
        JournalEntry j = { .text = { text_room, sizeof(text_room), 0 } };

        journal_add(&j, "PRIORITY", priority, 1);
        journal_add(&j, "MESSAGE", text, TEXT_MAX);
        journal_add(&j, "SYSLOG_IDENTIFIER", target.identifier, sizeof(target.identifier));
        journal_add(&j, "MESSAGE_ID", message_id, 64);
        for (size_t i = 0; fields && fields[i].name && i < FIELDS_MAX; i++)
                journal_add(&j, fields[i].name, fields[i].value, VALUE_MAX);
        return sd_journal_sendv(j.iov, j.n);
}

void log_event(int level, const char *message_id, const LogField *fields, const char *format, ...) {
        int saved_errno = errno;
        char text[TEXT_MAX + 2]; /* one byte more than is shown, so that a cut is noticed */
        va_list arguments;

        if (LOG_PRI(level) > log_level())
                return;

        va_start(arguments, format);
        if (vsnprintf(text, sizeof(text), format, arguments) < 0)
                (void) snprintf(text, sizeof(text), "%s", format);
        va_end(arguments);

        if (!target.journal || log_to_journal(level, message_id, fields, text) < 0 || level & LOG_LAST)
                log_to_stderr(level, message_id, fields, text);
        errno = saved_errno;
}
