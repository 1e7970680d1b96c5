/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* Opens the outbox's file: makes, upgrades, checks and repairs it.
 *
 * A damaged file is set aside and never deleted; the rows that can still be read go into a new one.
 *
 *      outbox.sqlite (damaged) --rows--> outbox.sqlite.new --complete, synced, renamed--> outbox.sqlite.salvaged
 *
 * After that rename the new file is the valid one: outbox.sqlite and its -wal and -shm are renamed to
 * outbox.sqlite.damaged-YYYYMMDDTHHMMSSZ, and the new file takes their place. After a kill before the rename, the next
 * start begins again; after a kill later, the next start continues. */
/* clang-format on */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/service.h"
#include "lib/sql-aside.h"
#include "lib/text.h"
#include "publish/outbox-sql.h"
#include "publish/outbox.h"

#define FILE_NEW OUTBOX_FILE ".new"
#define FILE_SALVAGED OUTBOX_FILE ".salvaged"
#define FILE_ASIDE OUTBOX_FILE ".damaged-"
#define ROW_MAX 1000000000               /* bytes: SQLite's limit */
#define FILE_LOG_BYTES (4 * 1024 * 1024) /* size to which SQLite's log grows */

/* The check at start reads every row and finds it again by its id. For 64 MiB or 130 000 readings it takes a quarter of
 * a second from memory and about 2 s from an SD card; for a normal queue 2 ms. So only files up to a certain size are
 * checked; after a clean end, when nothing was being written, that size is smaller. In a larger file, damage is found
 * when the damaged page is read, and repaired in the same way. */
#define FILE_CHECK_MAX (64 * 1024 * 1024)
#define FILE_CHECK_CLEAN_MAX (8 * 1024 * 1024)

/* ---- check ---- */

/* Reads every row in order and finds it again by its id. -EUCLEAN: that fails. *query* returns id, size and whether the
 * row was found. Counts the rows with ids up to *upto*. */
static int file_check_rows(Sql *sql, const char *query, int64_t upto, int64_t *ret_rows, int64_t *ret_bytes) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int64_t last = 0, rows = 0, bytes = 0;
        int r;

        r = sql_prepare(sql, query, &statement);
        if (r != 0)
                return r;
        while ((r = sql_step(statement)) == SQL_ROW) {
                int64_t id = sql_column_int(statement, 0), size = sql_column_int(statement, 1);

                if (id <= last || id >= OUTBOX_SQL_ID_MAX || size < 0 || size > ROW_MAX ||
                        !sql_column_int(statement, 2))
                        return -EUCLEAN;
                last = id;
                rows += id <= upto;
                bytes += id <= upto ? size : 0;
        }
        *ret_rows = rows;
        *ret_bytes = bytes;
        return r;
}

#define CHECK_ROWS(table)                                                                                              \
        "SELECT id, iif(typeof(size) = 'integer', size, -1), EXISTS (SELECT 1 FROM " table                             \
        " AS b WHERE b.id = a.id), payload FROM " table " AS a"

/* The id up to which the table `counts` counts; -1: the number cannot be right. */
#define CHECK_UPTO                                                                                                     \
        "SELECT coalesce((SELECT upto FROM counts WHERE name = 'readings' AND upto BETWEEN 0 AND " OUTBOX_SQL_LAST_ID  \
        "), -1)"

#define CHECK_COUNTS                                                                                                   \
        "SELECT count(*) FROM counts WHERE (name, n, bytes) IN (VALUES ('readings', ?1, ?2), ('rejected', ?3, ?4))"

/* Whether an id is so large that new rows would get none, and SQLite would call the disk full. */
#define CHECK_ID(table, id) "EXISTS (SELECT 1 FROM " table " WHERE " id " >= " OUTBOX_SQL_ID_MAX_TEXT ")"
#define CHECK_IDS "SELECT " CHECK_ID("sqlite_sequence", "seq") " OR " CHECK_ID("unreadable", "id")

/* *ret* gets the number of bytes in pages that are in use. */
static int file_used_bytes(Sql *sql, int64_t *ret) {
        return sql_query_int(sql,
                "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, "
                "pragma_page_size",
                ret);
}

/* -EUCLEAN when the file is damaged. The rows of a file with more than *most* bytes in use are not checked. PRAGMA
 * quick_check is not used: it may take minutes in one step, during which the service manager would hear nothing.
 * *ret_counted* becomes false if the table `counts` is wrong. */
static int file_check(Sql *sql, int64_t most, bool *ret_counted) {
        int64_t odd, used, upto, rows[2], bytes[2], right;
        int r;

        r = sql_query_int(sql, CHECK_IDS, &odd);
        if (r == 0)
                r = odd ? -EUCLEAN : file_used_bytes(sql, &used);
        if (r < 0 || used > most)
                return r;
        r = sql_query_int(sql, CHECK_UPTO, &upto);
        if (r == 0)
                r = file_check_rows(sql, CHECK_ROWS("readings"), upto, &rows[0], &bytes[0]);
        if (r == 0)
                r = file_check_rows(sql, CHECK_ROWS("rejected"), INT64_MAX, &rows[1], &bytes[1]);
        if (r == 0)
                r = sql_ints(sql, CHECK_COUNTS,
                        SQL_VALUES(SQL_INT(rows[0]), SQL_INT(bytes[0]), SQL_INT(rows[1]), SQL_INT(bytes[1])), 1,
                        &right);
        if (r == 0)
                *ret_counted = right == 2 && upto >= 0;
        return r;
}

/* ---- salvage ---- */

/* Returns a descriptor of the directory; *ret_path* gets the path of the file in it. */
static int directory_open(const char *directory, char **ret_path) {
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return err_errno();
        if (text_format(ret_path, "%s/" OUTBOX_FILE, directory) < 0)
                return -ENOMEM;
        return cleanup_steal_fd(&fd);
}

static int new_file_sync(int directory) {
        _cleanup_close_ int fd = openat(directory, FILE_NEW, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || fsync(fd) < 0)
                return err_errno();
        return 0;
}

static void new_file_unlink(int directory) {
        static const char *const names[] = { FILE_NEW, FILE_NEW "-wal", FILE_NEW "-shm" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                (void) unlinkat(directory, names[i], 0);
}

/* -ENOSPC when the disk has no room for a copy; *ret_needed* gets the bytes that are needed. */
static int salvage_has_room(int directory, Sql *from, uint64_t *ret_needed) {
        struct statvfs disk;
        struct stat st;
        int64_t bytes;

        if (!from || file_used_bytes(from, &bytes) < 0 || bytes < 0) {
                if (fstatat(directory, OUTBOX_FILE, &st, 0) < 0)
                        return err_errno();
                bytes = st.st_size;
        }
        if (fstatvfs(directory, &disk) < 0)
                return err_errno();
        *ret_needed = (uint64_t) bytes + (bytes < FILE_LOG_BYTES ? (uint64_t) bytes : FILE_LOG_BYTES);
        return (uint64_t) disk.f_bavail * disk.f_frsize < *ret_needed ? -ENOSPC : 0;
}

static bool is_there(int directory, const char *name) {
        return faccessat(directory, name, F_OK, 0) == 0;
}

/* Like sql_open(); but if a full disk has no room for shared memory, it opens without that. */
static int open_or_alone(const char *path, Sql **ret) {
        int r = sql_open(path, ret);

        return r == -ENOSPC ? sql_open_alone(path, ret) : r;
}

/* *own* is the database that is already open and is copied first; NULL: none. */
static int salvage_copy(int directory, const char *path, int64_t last_id, Sql *own, OutboxSalvage *ret) {
        _cleanup_(sql_closep) Sql *from = NULL, *to = NULL;
        _cleanup_free_ char *new = NULL;
        uint64_t rows = 0;
        int r = 0;

        if (text_format(&new, "%s.new", path) < 0)
                return -ENOMEM;
        if (!own || is_there(directory, OUTBOX_FILE))
                r = open_or_alone(path, &from);
        if (r < 0 && r != -EUCLEAN) /* -EUCLEAN: not even the header can be read, so nothing can be copied */
                return r;
        r = salvage_has_room(directory, own ?: from, &ret->needed);
        if (r < 0)
                return r;
        r = sql_open(new, &to);
        if (r == 0 && own)
                r = outbox_salvage(own, to, last_id, &rows);
        if (r == 0)
                r = outbox_salvage(from, to, last_id, &ret->rows);
        ret->rows += rows;
        return r;
}

/* Finds the newest file that was set aside: the swap may have been killed after it had moved the old file. */
static void aside_latest(int directory, char *name, size_t size) {
        int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *entries = fd < 0 ? NULL : fdopendir(fd);

        name[0] = '\0';
        for (struct dirent *entry; entries && (entry = readdir(entries));)
                if (strncmp(entry->d_name, FILE_ASIDE, strlen(FILE_ASIDE)) == 0 && !strstr(entry->d_name, "-wal") &&
                        !strstr(entry->d_name, "-shm") && strcmp(entry->d_name, name) > 0)
                        (void) snprintf(name, size, "%s", entry->d_name);
        if (entries)
                (void) closedir(entries);
        else if (fd >= 0)
                (void) close(fd);
}

static int salvage_swap(int directory, const char *path, OutboxSalvage *ret) {
        _cleanup_free_ char *aside = NULL;
        int r = sql_aside_name(path, &aside);

        if (r == 0)
                r = sql_aside_move(path, aside);
        if (r >= 0 && fsync(directory) < 0)
                r = err_errno();
        if (r < 0)
                return r;
        if (renameat(directory, FILE_SALVAGED, directory, OUTBOX_FILE) < 0 || fsync(directory) < 0)
                return err_errno();

        if (r == SQL_ASIDE_NOTHING)
                aside_latest(directory, ret->aside, sizeof(ret->aside));
        else
                text_copy(ret->aside, sizeof(ret->aside), strrchr(aside, '/') + 1);
        return 0;
}

/* Makes the new file and swaps it in. Nobody may have the old one open. On a negative errno the old file stays. */
static int file_salvage(int directory, const char *path, int64_t last_id, Sql *own, OutboxSalvage *ret) {
        int r;

        service_working(NULL);
        new_file_unlink(directory); /* left by a start that was killed */
        r = salvage_copy(directory, path, last_id, own, ret);
        if (r == 0)
                r = new_file_sync(directory);
        if (r == 0 && renameat(directory, FILE_NEW, directory, FILE_SALVAGED) < 0)
                r = err_errno();
        new_file_unlink(directory);
        if (r == 0 && fsync(directory) < 0)
                r = err_errno();
        if (r < 0)
                return r;
        return salvage_swap(directory, path, ret);
}

/* ---- opening ---- */

static int file_connect(const char *path, Sql **ret, int64_t *ret_version) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        int r;

        r = open_or_alone(path, &sql);
        if (r < 0)
                return r;
        r = sql_query_int(sql, "PRAGMA user_version", ret_version);
        if (r < 0)
                return r;
        *ret = cleanup_steal(sql);
        return 0;
}

/* Upgrades the file and checks it. Both in one transaction, so that a damaged file stays as it was: where its list of
 * free pages is damaged as well, new tables would be written over rows. */
static int file_prepare(Sql *sql, int64_t version, int64_t most) {
        bool upgrade = version < OUTBOX_SCHEMA, counted = true;
        int r = upgrade ? sql_begin(sql, true) : 0;

        if (r < 0)
                return r;
        r = outbox_sql_make(sql, version);
        if (r == 0)
                r = file_check(sql, most, &counted);
        if (upgrade)
                r = sql_end(sql, r);
        return r < 0 || counted ? r : outbox_sql_recount(sql);
}

/* Opens and checks the file. OUTBOX_OK, OUTBOX_NEWER, -EUCLEAN, or another errno. */
static int file_try(int directory, const char *path, Sql **ret) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        /* a clean end removes the log: if there is one, the last process was killed or crashed, or the power failed */
        bool has_log = is_there(directory, OUTBOX_FILE "-wal");
        int64_t version;
        usec_t told = clock_now();
        int r;

        r = file_connect(path, &sql, &version);
        if (r < 0)
                return r;
        if (version < 0 || version > OUTBOX_SCHEMA)
                return OUTBOX_NEWER;

        sql_set_ping(sql, service_working, &told);
        r = file_prepare(sql, version, has_log ? FILE_CHECK_MAX : FILE_CHECK_CLEAN_MAX);
        sql_set_ping(sql, NULL, NULL);
        if (r == 0)
                *ret = cleanup_steal(sql);
        return r == -EINVAL ? -EUCLEAN : r; /* a statement does not fit: a table or column is missing */
}

int outbox_file_open(const char *directory, int64_t last_id, bool damaged, Sql **ret, OutboxSalvage *ret_salvage) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = directory_open(directory, &path);
        bool finished;
        int64_t rows;
        int r;

        if (fd < 0)
                return fd;
        finished = is_there(fd, FILE_SALVAGED); /* an earlier start was killed at this point */
        r = finished ? salvage_swap(fd, path, ret_salvage) : 0;
        if (r < 0)
                return r;
        r = damaged && !finished ? -EUCLEAN : file_try(fd, path, ret);
        if (r == -EUCLEAN) {
                r = file_salvage(fd, path, last_id, NULL, ret_salvage);
                if (r < 0)
                        return r;
                r = file_try(fd, path, ret);
                return r == OUTBOX_OK ? OUTBOX_SALVAGED : r;
        }
        if (r != OUTBOX_OK || !finished)
                return r;

        r = sql_query_int(
                *ret, "SELECT (" OUTBOX_SQL_WAITING ") + (SELECT n FROM counts WHERE name = 'rejected')", &rows);
        ret_salvage->rows = r == 0 ? (uint64_t) rows : 0;
        return OUTBOX_SALVAGED;
}

static bool file_is_newer(const char *path) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        int64_t version;

        return file_connect(path, &sql, &version) == 0 && (version < 0 || version > OUTBOX_SCHEMA);
}

int outbox_file_renew(const char *directory, int64_t last_id, Sql *old, Sql **ret, OutboxSalvage *ret_salvage) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = directory_open(directory, &path);
        bool replaced;
        int r;

        if (fd < 0)
                return fd;
        replaced = is_there(fd, OUTBOX_FILE);
        if (replaced && file_is_newer(path))
                return OUTBOX_NEWER;
        r = file_salvage(fd, path, last_id, old, ret_salvage);
        if (r < 0)
                return r;
        if (!replaced)
                ret_salvage->aside[0] = '\0';
        return file_try(fd, path, ret);
}
