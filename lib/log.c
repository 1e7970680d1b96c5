/* SPDX-License-Identifier: Apache-2.0 */
#define SD_JOURNAL_SUPPRESS_LOCATION /* the journal would get the place in this file for each entry */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "clock.h"
#include "text.h"

#define TEXT_MAX 4096  /* bytes of text of one entry: some remote ends answer an error with a whole web page */
#define VALUE_MAX 1024 /* bytes of one field's value */
#define FIELDS_MAX 24  /* fields of one entry; further ones are left out */
/* bytes of one entry; it is on the stack, so that logging never fails for want of memory */
#define ENTRY_MAX (16 * 1024)

static atomic_int level_max = LOG_INFO;

/* Set by log_open(), read-only afterwards. */
static struct {
        char identifier[64];
        bool journal;
        bool fields;
} target;

typedef struct Entry {
        size_t size;
        char data[ENTRY_MAX];
} Entry;

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

/* Appends what fits; one byte stays free for the end of the line. */
static void entry_append(Entry *e, const char *data, size_t size) {
        size_t room = sizeof(e->data) - 1 - e->size;

        if (size > room)
                size = room;
        memcpy(e->data + e->size, data, size);
        e->size += size;
}

static void entry_append_text(Entry *e, const char *text) {
        entry_append(e, text, strlen(text));
}

/* Appends at most *max* bytes of valid UTF-8 without controls: journalctl shows an entry as "blob data" if one byte is
 * not UTF-8. */
static void entry_append_clean(Entry *e, const char *text, size_t max) {
        size_t size = strnlen(text, max + 1), start = e->size;

        entry_append(e, text, size > max ? text_cut(text, size, max - 3) : size);
        e->size = start + text_clean(e->data + start, e->size - start);
        if (size > max)
                entry_append_text(e, "...");
}

/* What a line begins with: its time and level, or, where journald reads our standard error, the level as sd-daemon(3)
 * says. */
static void entry_append_head(Entry *e, int level) {
        static const char *const names[] = { "emergency", "alert", "critical", "error", "warning", "notice", "info",
                "debug" };
        const char prefix[] = { '<', (char) ('0' + LOG_PRI(level)), '>', '\0' };
        char time[CLOCK_RFC3339_SIZE];

        if (target.journal)
                return entry_append_text(e, prefix);
        entry_append_text(e, clock_format_rfc3339(clock_wall(), time));
        entry_append_text(e, " ");
        entry_append_text(e, names[LOG_PRI(level)]);
        entry_append_text(e, ": ");
}

static void entry_append_field(Entry *e, const char **separator, const char *name, const char *value) {
        if (!value)
                return;

        entry_append_text(e, *separator);
        entry_append_text(e, name);
        entry_append_text(e, "=");
        entry_append_clean(e, value, VALUE_MAX);
        *separator = " ";
}

/* Uses one write(2), so that lines of several threads and processes do not mix. */
static void log_to_stderr(int level, const char *message_id, const LogField *fields, const char *text) {
        const char *separator = " [";
        Entry e;

        e.size = 0;
        entry_append_head(&e, level);
        entry_append_clean(&e, text, TEXT_MAX);
        if (target.fields && !target.journal) {
                for (size_t i = 0; fields && fields[i].name && i < FIELDS_MAX; i++)
                        entry_append_field(&e, &separator, fields[i].name, fields[i].value);
                entry_append_field(&e, &separator, "MESSAGE_ID", message_id);
                if (separator[1] == '\0') /* a field was written */
                        entry_append_text(&e, "]");
        }
        e.data[e.size++] = '\n';
        if (write(STDERR_FILENO, e.data, e.size) < 0)
                return; /* nothing else can be done */
}

/* An entry for the journal, and where its fields are in the text. */
typedef struct JournalEntry {
        Entry text;
        struct iovec iov[FIELDS_MAX + 4];
        int n;
} JournalEntry;

/* Adds NAME=value; a field that does not fit is left out. */
static void journal_add(JournalEntry *j, const char *name, const char *value, size_t max) {
        Entry *e = &j->text;
        size_t start = e->size;

        if (!value || sizeof(e->data) - start < strlen(name) + max + 2)
                return;

        entry_append_text(e, name);
        entry_append_text(e, "=");
        entry_append_clean(e, value, max);
        j->iov[j->n++] = (struct iovec){ .iov_base = e->data + start, .iov_len = e->size - start };
}

static int log_to_journal(int level, const char *message_id, const LogField *fields, const char *text) {
        const char priority[] = { (char) ('0' + LOG_PRI(level)), '\0' };
        JournalEntry j;

        j.text.size = 0;
        j.n = 0;
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
