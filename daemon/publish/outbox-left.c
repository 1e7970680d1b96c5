/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-left.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "lib/file.h"
#include "lib/text.h"
#include "publish/outbox-rejected.h"

#define DEFAULT_DIRECTORY "/var/lib/sensorqd"
#define NOTES_FILE "outboxes" /* one directory in each line */
#define NOTES_MAX 4096

static const char *given_directory(void) {
        const char *given = getenv("STATE_DIRECTORY");

        return given && given[0] == '/' && !strchr(given, ':') ? given : NULL;
}

static bool directory_is_in_use(const char *directory) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;

        if (text_format(&path, "%s/lock", directory) < 0)
                return true;
        /* another user may own the directory: do not wait for a FIFO, and open no device */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

/* Returns -1 when the rows cannot be counted: the disk is missing, or this process may not write to it. */
static int64_t rows_in(const char *directory) {
        _cleanup_(outbox_guest_closep) OutboxGuest *guest = NULL;
        uint64_t rows;

        return outbox_guest_open(directory, &guest) == OUTBOX_OK && outbox_guest_waiting(guest, &rows) == 0
                       ? (int64_t) rows
                       : -1;
}

/* The same for a directory that is neither in use nor *state_dir*, else 0. */
static int64_t rows_left_in(const char *directory, const char *state_dir) {
        return strcmp(directory, state_dir) == 0 || directory_is_in_use(directory) ? 0 : rows_in(directory);
}

/* Returns the directory that the service manager gives or, outside of a unit, would give. For an instance
 * (sensorqd@NAME) that is *state_dir* itself, because rows in the directory of sensorqd.service do not belong to it. */
static const char *first_directory(const char *state_dir) {
        bool instance = strncmp(state_dir, DEFAULT_DIRECTORY "-", strlen(DEFAULT_DIRECTORY "-")) == 0;

        return given_directory() ?: (instance ? state_dir : DEFAULT_DIRECTORY);
}

/* Reads the notes; "" when there are none. */
static void notes_read(const char *given, char notes[static NOTES_MAX + 1]) {
        _cleanup_free_ char *path = NULL;
        _cleanup_bytes_ Bytes text = {};

        if (text_format(&path, "%s/" NOTES_FILE, given) == 0)
                (void) file_load_own(path, NOTES_MAX, &text);
        text_copy(notes, NOTES_MAX + 1, text.data ?: "");
}

static bool left_found(OutboxLeft *left, const char *directory, int64_t rows) {
        left->rows = rows > 0 ? (uint64_t) rows : 0;
        text_copy(left->directory, sizeof(left->directory), directory);
        return rows > 0;
}

void outbox_left(const char *state_dir, bool publishes, OutboxLeft *ret) {
        const char *given = first_directory(state_dir);
        char notes[NOTES_MAX + 1], *save = NULL;

        *ret = (OutboxLeft){};
        if (!publishes && left_found(ret, state_dir, rows_in(state_dir)))
                return;
        if (left_found(ret, given, rows_left_in(given, state_dir)))
                return;
        notes_read(given, notes);
        for (char *line = strtok_r(notes, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                if (left_found(ret, line, rows_left_in(line, state_dir)))
                        return;
}

int outbox_left_note(const char *state_dir) {
        const char *given = given_directory();
        char notes[NOTES_MAX + 1], *save = NULL;
        _cleanup_bytes_ Bytes kept = {};
        int r;

        if (!given)
                return 0;
        notes_read(given, notes);
        if (strcmp(given, state_dir) != 0)
                bytes_append_format(&kept, "%s\n", state_dir);
        for (char *line = strtok_r(notes, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                if (rows_left_in(line, state_dir) != 0 && kept.size + strlen(line) < NOTES_MAX)
                        bytes_append_format(&kept, "%s\n", line);
        r = bytes_result(&kept);
        if (r < 0 || (kept.size == 0 && notes[0] == '\0'))
                return r;
        return file_replace(given, NOTES_FILE, kept.data ?: "", kept.size);
}
