/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-guest.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/text.h"
#include "publish/outbox-sql.h"

#define WAIT_FOR_OWNER "PRAGMA busy_timeout = 10000" /* ms */

struct OutboxGuest {
        Sql *sql;
        int64_t version; /* schema version: the owner may not have upgraded the file yet */
};

int outbox_guest_open(const char *directory, OutboxGuest **ret) {
        _cleanup_(outbox_guest_closep) OutboxGuest *guest = calloc(1, sizeof(OutboxGuest));
        _cleanup_free_ char *path = NULL;
        int r;

        if (!guest || text_format(&path, "%s/" OUTBOX_FILE, directory) < 0)
                return -ENOMEM;
        if (access(path, F_OK) < 0)
                return err_errno();
        r = sql_open(path, &guest->sql);
        if (r < 0)
                return r;
        r = sql_exec(guest->sql, WAIT_FOR_OWNER);
        if (r == 0)
                r = sql_query_int(guest->sql, "PRAGMA user_version", &guest->version);
        if (r < 0)
                return r;
        if (guest->version == 0)
                return -ENOENT; /* another process is creating it at the moment */
        if (guest->version < 0 || guest->version > OUTBOX_SCHEMA)
                return OUTBOX_NEWER;
        *ret = cleanup_steal(guest);
        return OUTBOX_OK;
}

OutboxGuest *outbox_guest_close(OutboxGuest *guest) {
        if (!guest)
                return NULL;
        sql_close(guest->sql);
        free(guest);
        return NULL;
}

int outbox_guest_waiting(OutboxGuest *guest, uint64_t *ret_rows) {
        int64_t rows;
        int r;

        r = sql_query_int(guest->sql,
                guest->version == 1 ? "SELECT n FROM counts WHERE name = 'readings'" : OUTBOX_SQL_WAITING, &rows);
        if (r == 0)
                *ret_rows = (uint64_t) rows;
        return r;
}

/* ---- list ---- */

/* *columns* are topic, key, type and device. */
#define LISTED(table, at, columns, payload)                                                                            \
        "SELECT id, " at ", length(payload), source, " columns ", reason, " payload " FROM " table                     \
        " WHERE id > ?1 ORDER BY id LIMIT 1"
#define REJECTED(payload) LISTED("rejected", "rejected_at", "'', key, type, device", payload)
#define UNREAD(payload) LISTED("unreadable", "at", "topic, '', '', ''", payload)

/* Reads and copies the next row. The read of the file ends here, so the caller may take its time. SQL_ROW or
 * SQL_DONE. */
static int listed_next(SqlStatement *s, int64_t after, OutboxRejected *row, Bytes *text) {
        Slice *const parts[] = { &row->source, &row->topic, &row->key, &row->type, &row->device, &row->reason,
                &row->payload };
        int r, copied = 0;

        sql_bind_int(s, 1, after);
        r = sql_step(s);
        if (r == SQL_ROW) {
                *row = (OutboxRejected){
                        .id = sql_column_int(s, 0),
                        .at = (usec_t) sql_column_int(s, 1),
                        .size = (size_t) sql_column_int(s, 2),
                };
                copied = sql_copy_columns(s, 3, ELEMENTSOF(parts), parts, text);
        }
        sql_reset(s);
        return copied < 0 ? copied : r;
}

static int listed_each(OutboxGuest *guest, const char *query, int64_t after,
        int (*each)(void *userdata, const OutboxRejected *row), void *userdata) {
        _cleanup_bytes_ Bytes text = {};
        OutboxRejected row = { .id = after };
        SqlStatement *s;
        int r;

        r = sql_use(guest->sql, query, &s);
        while (r == 0 && (r = listed_next(s, row.id, &row, &text)) == SQL_ROW)
                r = each(userdata, &row);
        return r;
}

int outbox_rejected_each(OutboxGuest *guest, int64_t after, bool payloads,
        int (*each)(void *userdata, const OutboxRejected *row), void *userdata) {
        return listed_each(guest, payloads ? REJECTED("payload") : REJECTED("''"), after, each, userdata);
}

int outbox_unread_each(OutboxGuest *guest, int64_t after, bool payloads,
        int (*each)(void *userdata, const OutboxRejected *row), void *userdata) {
        if (guest->version == 1)
                return 0;
        return listed_each(guest, payloads ? UNREAD("payload") : UNREAD("''"), after, each, userdata);
}

/* ---- one of them ---- */

/* Changes a row in one transaction: runs the statements, with the id as ?1; the first one counts the row (-ENOENT: it
 * is not there). Queues *readings*; NULL: none. Then it pauses for as long as that took: thousands of changes without a
 * pause would keep the daemon out of its file. */
static int guest_change(OutboxGuest *guest, int64_t id, const char *const *statements, const ReadingList *readings) {
        int r = sql_begin(guest->sql, true);
        usec_t began = clock_now();
        int64_t found;

        if (r == 0)
                r = sql_ints(guest->sql, *statements, SQL_VALUES(SQL_INT(id)), 1, &found);
        if (r == 0 && found == 0)
                r = -ENOENT;
        while (r == 0 && *++statements)
                r = sql_do(guest->sql, *statements, SQL_VALUES(SQL_INT(id)));
        for (size_t i = 0; r == 0 && readings && i < readings->n; i++)
                r = outbox_sql_insert(guest->sql, &readings->items[i], clock_wall());
        r = sql_end(guest->sql, r);
        (void) usleep((useconds_t) usec_min(clock_now() - began, USEC_PER_SEC));
        return r;
}

#define FIND_IT "SELECT count(*) FROM rejected WHERE id = ?1"
#define SIZE_OF_IT "(SELECT size FROM rejected WHERE id = ?1)"
#define QUEUE_IT(columns) "INSERT INTO readings (" columns ") SELECT " columns " FROM rejected WHERE id = ?1"
#define DROP_IT                                                                                                        \
        "UPDATE counts SET n = n - 1, bytes = bytes - " SIZE_OF_IT " WHERE name = 'rejected'",                         \
                "DELETE FROM rejected WHERE id = ?1", NULL

int outbox_rejected_replay(OutboxGuest *guest, int64_t id) {
        static const char *const of_1[] = {
                FIND_IT,
                "UPDATE counts SET n = n + 1, bytes = bytes + " SIZE_OF_IT " WHERE name = 'readings'",
                QUEUE_IT("size, put_at, key, source, type, device, payload"),
                DROP_IT,
        };
        /* the new row is above the last counted id (OUTBOX_SQL_UNCOUNTED_MAX); schema 1 counts all rows */
        static const char *const of_3[] = {
                FIND_IT,
                QUEUE_IT("size, put_at, key, source, type, device, payload, labels"),
                DROP_IT,
        };

        return guest_change(guest, id, guest->version == 1 ? of_1 : of_3, NULL);
}

int outbox_rejected_drop(OutboxGuest *guest, int64_t id) {
        static const char *const statements[] = { FIND_IT, DROP_IT };

        return guest_change(guest, id, statements, NULL);
}

/* ---- what sources could not read ---- */

int outbox_unread_each_dropped(
        OutboxGuest *guest, void (*each)(void *userdata, Slice source, uint64_t n), void *userdata) {
        _cleanup_(sql_finalizep) SqlStatement *s = NULL;
        int r;

        if (guest->version == 1)
                return 0;
        r = sql_prepare(guest->sql, "SELECT source, n FROM dropped WHERE n > 0 ORDER BY source", &s);
        while (r == 0 && (r = sql_step(s)) == SQL_ROW) {
                each(userdata, sql_column(s, 0), (uint64_t) sql_column_int(s, 1));
                r = 0;
        }
        return r;
}

int outbox_unread_forget_dropped(OutboxGuest *guest) {
        int r;

        if (guest->version == 1)
                return 0;
        r = sql_begin(guest->sql, true);
        return r < 0 ? r : sql_end(guest->sql, sql_exec(guest->sql, "DELETE FROM dropped"));
}

int outbox_unread_settle(OutboxGuest *guest, int64_t id, const ReadingList *readings) {
        static const char *const statements[] = {
                "SELECT count(*) FROM unreadable WHERE id = ?1",
                "DELETE FROM unreadable WHERE id = ?1",
                NULL,
        };

        return guest->version == 1 ? -ENOENT : guest_change(guest, id, statements, readings);
}

/* ---- readings that nobody publishes: a guest in the outbox of a former configuration ---- */

#define NOTES_FILE "outboxes" /* one directory in each line */
#define NOTES_MAX 4096

static const char *given_directory(void) {
        const char *given = getenv("STATE_DIRECTORY");

        return given && given[0] == '/' && !strchr(given, ':') ? given : NULL;
}

/* A directory may have several names: with a slash at its end, or a link to where the disk has room. */
static bool is_same_directory(const char *a, const char *b) {
        return strcmp(a, b) == 0 || file_is_same(a, b);
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
        return is_same_directory(directory, state_dir) || directory_is_in_use(directory) ? 0 : rows_in(directory);
}

/* Returns the directory that the service manager gives or, outside of a unit, would give. For an instance
 * (sensorqd@NAME) that is *state_dir* itself, because rows in the directory of sensorqd.service do not belong to it. */
static const char *first_directory(const char *state_dir) {
        bool instance = strncmp(state_dir, CONFIG_STATE_DIR_DEFAULT "-", strlen(CONFIG_STATE_DIR_DEFAULT "-")) == 0;

        return given_directory() ?: (instance ? state_dir : CONFIG_STATE_DIR_DEFAULT);
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
        if (!is_same_directory(given, state_dir))
                bytes_append_format(&kept, "%s\n", state_dir);
        for (char *line = strtok_r(notes, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                if (rows_left_in(line, state_dir) != 0 && kept.size + strlen(line) < NOTES_MAX)
                        bytes_append_format(&kept, "%s\n", line);
        r = bytes_result(&kept);
        if (r < 0 || (kept.size == 0 && notes[0] == '\0'))
                return r;
        return file_replace(given, NOTES_FILE, kept.data ?: "", kept.size);
}
