/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/service.h"
#include "publish/outbox-file.h"
#include "publish/outbox-salvage.h"

/* Columns that are looked at before the payload come before it: a large payload goes on in overflow pages. `size` is
 * reading_bytes(), so that forgetting rows need not read them. No index, on purpose: rows are found by id, and a
 * damaged index could take the file down. auto_vacuum stays off: pages once taken are used again, so a disk that others
 * filled up meanwhile still takes as many readings. */
#define OUTBOX_COLUMNS                                                                                                 \
        "size INTEGER NOT NULL, put_at INTEGER NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT "      \
        "NULL, device TEXT NOT "                                                                                       \
        "NULL, "

static const char outbox_schema[] =
        "BEGIN IMMEDIATE;"
        "CREATE TABLE readings (id INTEGER PRIMARY KEY AUTOINCREMENT, " OUTBOX_COLUMNS "payload BLOB NOT NULL);"
        "CREATE TABLE rejected (id INTEGER PRIMARY KEY, " OUTBOX_COLUMNS
        "rejected_at INTEGER NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);"
        "CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;"
        "INSERT INTO counts VALUES ('readings', 0, 0), ('rejected', 0, 0);"
        "PRAGMA user_version = 1;"
        "COMMIT;";
_Static_assert(OUTBOX_SCHEMA == 1, "the text above makes schema 1");

static const char outbox_recount[] =
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM readings) WHERE name = 'readings';"
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM rejected) WHERE name = 'rejected';";

/* Whether the counters are not what the tables hold. */
static const char outbox_counts_off[] =
        "SELECT count(*) <> 2 FROM counts JOIN (SELECT 'readings' AS name, count(*) AS n, total(size) AS bytes FROM "
        "readings"
        " UNION ALL SELECT 'rejected', count(*), total(size) FROM rejected) AS held USING (name)"
        " WHERE counts.n = held.n AND counts.bytes = held.bytes";

int outbox_file_sync_directory(const char *directory) {
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 || fsync(fd) < 0)
                return err_errno();
        return 0;
}

int outbox_file_query_int(Sql *sql, const char *query, int64_t *ret) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int r;

        r = sql_prepare(sql, query, &statement);
        if (r != 0)
                return outbox_file_fault(r);
        r = sql_step(statement);
        if (r != SQL_ROW)
                return r == SQL_DONE ? -ENODATA : outbox_file_fault(r);
        *ret = sql_column_int(statement, 0);
        return 0;
}

int outbox_file_create_schema(Sql *sql) {
        int r = sql_exec(sql, outbox_schema);

        if (r != 0)
                (void) sql_exec(sql, "ROLLBACK");
        return outbox_file_fault(r);
}

int outbox_file_recount(Sql *sql) {
        return outbox_file_fault(sql_exec(sql, outbox_recount));
}

static int file_used_bytes(Sql *sql, int64_t *ret) {
        int64_t pages, free_pages, page_size;
        int r;

        r = outbox_file_query_int(sql, "PRAGMA page_count", &pages);
        if (r == 0)
                r = outbox_file_query_int(sql, "PRAGMA freelist_count", &free_pages);
        if (r == 0)
                r = outbox_file_query_int(sql, "PRAGMA page_size", &page_size);
        if (r < 0)
                return r;
        *ret = (pages - free_pages) * page_size;
        return 0;
}

static int file_check_pages(Sql *sql) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int r;

        r = sql_prepare(sql, "PRAGMA quick_check(1)", &statement);
        if (r == 0)
                r = sql_step(statement);
        if (r == SQL_ROW)
                return slice_equal(sql_column(statement, 0), "ok") ? 0 : -EUCLEAN;
        return r == SQL_DONE ? -EUCLEAN : outbox_file_fault(r);
}

/* A clean end takes the log away: one that is left tells of a kill, a crash or a power cut. */
static bool file_has_log(const char *path) {
        _cleanup_free_ char *log = NULL;

        if (asprintf(&log, "%s-wal", path) < 0) {
                log = NULL;
                return true;
        }
        return access(log, F_OK) == 0;
}

/* -EUCLEAN when the file is damaged. Looks at nothing in a file with more than *most* bytes in use. */
static int file_check(Sql *sql, int64_t most) {
        int64_t bytes, off;
        int r;

        r = file_used_bytes(sql, &bytes);
        if (r < 0)
                return r;
        if (bytes > most)
                return 0;

        r = file_check_pages(sql);
        if (r == 0)
                r = outbox_file_query_int(sql, outbox_counts_off, &off);
        if (r < 0)
                return r;
        return off ? outbox_file_recount(sql) : 0;
}

static int file_connect(const char *path, Sql **ret_sql, int64_t *ret_version) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        int r;

        r = sql_open(path, &sql);
        if (r != 0)
                return outbox_file_fault(r);

        r = outbox_file_query_int(sql, "PRAGMA user_version", ret_version);
        if (r < 0)
                return r;
        *ret_sql = cleanup_steal(sql);
        return 0;
}

/* OUTBOX_OK, OUTBOX_NEWER, -EUCLEAN, or another errno. */
static int file_try(const char *directory, const char *path, bool suspect, Sql **ret) {
        int64_t check_max = suspect              ? INT64_MAX
                            : file_has_log(path) ? OUTBOX_FILE_CHECK_MAX
                                                 : OUTBOX_FILE_CHECK_CLEAN_MAX;
        _cleanup_(sql_closep) Sql *sql = NULL;
        bool is_new = access(path, F_OK) < 0;
        int64_t version;
        int r;

        r = file_connect(path, &sql, &version);
        if (r < 0)
                return r;
        if (version != 0 && version != OUTBOX_SCHEMA)
                return OUTBOX_NEWER;

        r = version == 0 ? outbox_file_create_schema(sql) : file_check(sql, check_max);
        if (r == 0 && is_new)
                r = outbox_file_sync_directory(directory);
        if (r < 0)
                return r;
        *ret = cleanup_steal(sql);
        return OUTBOX_OK;
}

int outbox_file_open(const char *directory, int64_t last_id, bool suspect, Sql **ret, OutboxSalvage *ret_salvage) {
        _cleanup_free_ char *path = NULL;
        int64_t rows;
        int r, finished;

        if (asprintf(&path, "%s/" OUTBOX_FILE, directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }

        finished = outbox_salvage_finish(directory, ret_salvage);
        if (finished < 0)
                return finished;

        if (suspect)
                service_working();
        r = file_try(directory, path, suspect, ret);
        if (r == -EUCLEAN) {
                r = outbox_salvage(directory, last_id, ret_salvage);
                return r < 0 ? r : (r = file_try(directory, path, false, ret)) == OUTBOX_OK ? OUTBOX_SALVAGED : r;
        }
        if (r != OUTBOX_OK || finished == OUTBOX_SALVAGE_NONE)
                return r;

        r = outbox_file_query_int(*ret, "SELECT sum(n) FROM counts", &rows);
        ret_salvage->rows = r == 0 ? (uint64_t) rows : 0;
        return OUTBOX_SALVAGED;
}

int outbox_file_visit(const char *directory, Sql **ret) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        _cleanup_free_ char *path = NULL;
        int64_t version;
        int r;

        if (asprintf(&path, "%s/" OUTBOX_FILE, directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (access(path, F_OK) < 0)
                return err_errno();

        r = file_connect(path, &sql, &version);
        if (r < 0)
                return r;
        if (version == 0)
                return -ENOENT; /* being made just now */
        if (version != OUTBOX_SCHEMA)
                return OUTBOX_NEWER;
        *ret = cleanup_steal(sql);
        return OUTBOX_OK;
}
