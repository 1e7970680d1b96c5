/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/crashpoint.h"
#include "lib/err.h"
#include "lib/service.h"
#include "publish/outbox-file.h"
#include "publish/outbox-salvage.h"

#define SALVAGE_PROBES_MAX 4000000 /* ids tried one by one between two damaged places, some 10 s */
#define SALVAGE_COMMIT_ROWS 10000  /* bounds the write-ahead log while copying */
#define SALVAGE_TELL_USEC (500 * USEC_PER_MSEC)

#define FILE_NEW OUTBOX_FILE ".new"
#define FILE_SALVAGED OUTBOX_FILE ".salvaged"
#define FILE_ASIDE OUTBOX_FILE ".damaged-"

/* `id, size, put_at, text and blob columns in their order`; the last one is the payload. */
typedef struct SalvageTable {
        const char *scan, *scan_back; /* ?1 < id < ?2 */
        const char *insert;
        int n_columns;
} SalvageTable;

#define READINGS "id, put_at, key, source, type, device, payload"
#define REJECTED "id, put_at, key, source, type, device, rejected_at, reason, payload"
#define BETWEEN " WHERE id > ?1 AND id < ?2 ORDER BY id"

static const SalvageTable salvage_tables[] = {
        { "SELECT " READINGS " FROM readings" BETWEEN, "SELECT " READINGS " FROM readings" BETWEEN " DESC",
                "INSERT OR IGNORE INTO readings (" READINGS ", size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", 7 },
        { "SELECT " REJECTED " FROM rejected" BETWEEN, "SELECT " REJECTED " FROM rejected" BETWEEN " DESC",
                "INSERT OR IGNORE INTO rejected (" REJECTED ", size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                9 },
};

typedef struct Salvage {
        Sql *from, *to;
        const SalvageTable *table;
        SqlStatement *insert;
        uint64_t rows;
        int64_t last_id; /* highest id that was given, as far as is known */
        int64_t probes;
        usec_t told; /* the service manager, that it takes longer */
} Salvage;

/* ---- rows ---- */

static bool column_is_number(const SalvageTable *table, int column) {
        return column == 1 || (table->n_columns == 9 && column == 6); /* put_at, rejected_at */
}

/* Copies the row under *select*; a negative errno is the new file's. The size is counted anew: what the damaged file
 * says about it is not trusted. */
static int salvage_row(Salvage *s, SqlStatement *select) {
        int64_t id = sql_column_int(select, 0), size = 0;
        int n = s->table->n_columns, r = 0;

        if (id > 0 && id < OUTBOX_FILE_ID_MAX) /* else the row gets a new id */
                r = sql_bind_int(s->insert, 1, id);
        for (int i = 1; r == 0 && i < n; i++) {
                if (column_is_number(s->table, i)) {
                        r = sql_bind_int(s->insert, i + 1, sql_column_int(select, i));
                        continue;
                }
                Slice value = sql_column(select, i);
                const char *data = value.data ?: "";
                if (i != 7) /* the reason is not counted */
                        size += (int64_t) value.size;
                r = i == n - 1 ? sql_bind_blob(s->insert, i + 1, data, value.size)
                               : sql_bind_text(s->insert, i + 1, data, value.size);
        }
        if (r == 0)
                r = sql_bind_int(s->insert, n + 1, size);
        if (r == 0)
                r = sql_step(s->insert);
        sql_reset(s->insert);
        if (r != SQL_DONE)
                return outbox_file_fault(r);

        s->rows++;
        if (s->rows % SALVAGE_COMMIT_ROWS > 0)
                return 0;
        service_working();
        return outbox_file_fault(sql_exec(s->to, "COMMIT; BEGIN"));
}

enum { RUN_END = 0, RUN_DAMAGED = 1 };

/* Copies rows with ids between *low* and *high* (both exclusive) in the statement's order until the end or the first
 * place that cannot be read. *last* follows the ids. */
static int salvage_run(Salvage *s, SqlStatement *select, bool back, int64_t low, int64_t high, int64_t *last) {
        int r;

        (void) sql_bind_int(select, 1, low);
        (void) sql_bind_int(select, 2, high);
        while ((r = sql_step(select)) == SQL_ROW) {
                int64_t id = sql_column_int(select, 0);
                if (back ? id >= *last : id <= *last)
                        break; /* out of order: the tree itself is damaged, and may go round in circles */
                r = salvage_row(s, select);
                if (r < 0) {
                        sql_reset(select);
                        return r;
                }
                *last = id;
        }
        sql_reset(select);
        if (r == -ENOMEM || r == -EBUSY)
                return r;
        return r == SQL_DONE ? RUN_END : RUN_DAMAGED;
}

/* One id takes no time, or seconds where a worn disk tries again and again. */
static void salvage_tell(Salvage *s) {
        usec_t now = clock_now();

        if (now < s->told + SALVAGE_TELL_USEC)
                return;
        service_working();
        s->told = now;
}

/* From the front to the first damaged place, from the back to the last one, then id by id between them, newest first: a
 * queue's rows lie close together below the last id that was given. */
static int salvage_table(Salvage *s) {
        _cleanup_(sql_finalizep) SqlStatement *scan = NULL, *back = NULL;
        int64_t low = INT64_MIN, high = INT64_MAX;
        int r;

        r = sql_prepare(s->from, s->table->scan, &scan);
        if (r == 0)
                r = sql_prepare(s->from, s->table->scan_back, &back);
        if (r == -ENOMEM || r == -EBUSY)
                return r;
        if (r != 0)
                return 0; /* the table itself cannot be found */

        r = salvage_run(s, scan, false, INT64_MIN, INT64_MAX, &low);
        if (r <= 0)
                return r;
        r = salvage_run(s, back, true, low, INT64_MAX, &high);
        if (r <= 0)
                return r;

        if (high > s->last_id + 1)
                high = s->last_id + 1;
        for (int64_t id = high; id > low + 1 && id > 1 && s->probes < SALVAGE_PROBES_MAX; s->probes++) {
                int64_t last = id;
                salvage_tell(s);
                r = salvage_run(s, back, true, low, id, &last);
                if (r <= 0)
                        return r;
                id = last < id ? last : id - 1;
        }
        return 0;
}

static int salvage_all_tables(Salvage *s) {
        for (size_t i = 0; i < ELEMENTSOF(salvage_tables); i++) {
                int r;

                s->table = &salvage_tables[i];
                r = outbox_file_fault(sql_prepare(s->to, s->table->insert, &s->insert));
                if (r == 0)
                        r = salvage_table(s);
                s->insert = sql_finalize(s->insert);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Ids are never given twice, not even those of rows that were lost. */
static int salvage_sequence(Salvage *s) {
        char set[128];
        int r;

        r = sql_exec(s->to, "INSERT INTO sqlite_sequence (name, seq) SELECT 'readings', 0 "
                            "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'readings')");
        if (r != 0)
                return outbox_file_fault(r);
        (void) snprintf(set, sizeof(set),
                "UPDATE sqlite_sequence SET seq = max(seq, %" PRIi64 ") WHERE name = 'readings'", s->last_id);
        return outbox_file_fault(sql_exec(s->to, set));
}

static void salvage_learn_last_id(Salvage *s) {
        int64_t sequence;

        if (outbox_file_query_int(s->from, "SELECT seq FROM sqlite_sequence WHERE name = 'readings'", &sequence) == 0 &&
                sequence < OUTBOX_FILE_ID_MAX && sequence > s->last_id)
                s->last_id = sequence;
        else if (s->last_id == 0)
                s->last_id = SALVAGE_PROBES_MAX;
}

/* ---- files ---- */

static int directory_open(const char *directory) {
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? err_errno() : fd;
}

static void unlink_with_logs(int directory, const char *name) {
        static const char *const suffixes[] = { "", "-wal", "-shm" };
        char file[256];

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(file, sizeof(file), "%s%s", name, suffixes[i]);
                (void) unlinkat(directory, file, 0);
        }
}

/* All of the new file is in the file itself, not in its log, and on disk. */
static int salvage_settle(Sql *to) {
        int64_t busy;
        int r;

        r = outbox_file_recount(to);
        if (r == 0)
                r = outbox_file_query_int(to, "PRAGMA wal_checkpoint(TRUNCATE)", &busy);
        if (r < 0)
                return r;
        return busy ? -EBUSY : 0;
}

static int salvage_copy(const char *directory, int64_t last_id, uint64_t *ret_rows) {
        _cleanup_(sql_closep) Sql *from = NULL, *to = NULL;
        _cleanup_free_ char *old = NULL, *new = NULL;
        Salvage s = {};
        int r;

        if (asprintf(&old, "%s/" OUTBOX_FILE, directory) < 0)
                old = NULL;
        if (asprintf(&new, "%s/" FILE_NEW, directory) < 0)
                new = NULL;
        if (!old || !new)
                return -ENOMEM;

        r = sql_open(old, &from);
        if (r < 0)
                return r; /* passes; SQL_DAMAGED: not even the header can be read, so there is nothing to carry over */
        r = outbox_file_fault(sql_open(new, &to));
        if (r == 0)
                r = outbox_file_create_schema(to);
        if (r == 0)
                r = outbox_file_fault(sql_exec(to, "BEGIN"));
        if (r < 0)
                return r;

        s = (Salvage){ .from = from, .to = to, .last_id = last_id, .told = clock_now() };
        if (from) {
                salvage_learn_last_id(&s);
                r = salvage_all_tables(&s);
        }
        if (r == 0)
                r = salvage_sequence(&s);
        if (r == 0)
                r = outbox_file_fault(sql_exec(to, "COMMIT"));
        if (r == 0)
                r = salvage_settle(to);
        if (r == 0)
                *ret_rows = s.rows;
        return r;
}

static int file_sync(int directory, const char *name) {
        _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || fsync(fd) < 0)
                return err_errno();
        return 0;
}

/* A name that is still free: two within a second must not overwrite each other. */
static void aside_name(int directory, char *name, size_t size) {
        time_t now = (time_t) (clock_wall() / USEC_PER_SEC);
        char stamp[32];
        struct tm tm;

        (void) strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
        (void) snprintf(name, size, FILE_ASIDE "%s", stamp);
        for (unsigned i = 2; faccessat(directory, name, F_OK, 0) == 0; i++)
                (void) snprintf(name, size, FILE_ASIDE "%s-%u", stamp, i);
}

/* The newest of the files set aside: for a swap that was killed after it had moved the old file. */
static void aside_latest(int directory, char *name, size_t size) {
        int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *entries = fd < 0 ? NULL : fdopendir(fd);

        name[0] = '\0';
        if (!entries) {
                if (fd >= 0)
                        (void) close(fd);
                return;
        }
        for (struct dirent *entry; (entry = readdir(entries));) {
                bool is_log = strstr(entry->d_name, "-wal") || strstr(entry->d_name, "-shm");
                if (!is_log && strncmp(entry->d_name, FILE_ASIDE, strlen(FILE_ASIDE)) == 0 &&
                        strcmp(entry->d_name, name) > 0)
                        (void) snprintf(name, size, "%s", entry->d_name);
        }
        (void) closedir(entries);
}

enum { RENAMED = 0, RENAME_NOT_THERE = 1 };

static int rename_if_there(int directory, const char *from, const char *to) {
        if (renameat(directory, from, directory, to) >= 0)
                return RENAMED;
        return errno == ENOENT ? RENAME_NOT_THERE : err_errno();
}

/* The logs go first: a log beside a file that it does not belong to would be played into it. */
static int swap(int directory, OutboxSalvage *ret) {
        static const char *const suffixes[] = { "-shm", "-wal", "" };
        char from[64], to[sizeof(ret->aside) + 8], aside[sizeof(ret->aside)];
        int r = RENAMED;

        aside_name(directory, aside, sizeof(aside));
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(from, sizeof(from), OUTBOX_FILE "%s", suffixes[i]);
                (void) snprintf(to, sizeof(to), "%s%s", aside, suffixes[i]);
                r = rename_if_there(directory, from, to);
                if (r < 0)
                        return r;
                CRASHPOINT("outbox-salvage-aside");
        }
        if (r == RENAME_NOT_THERE)
                aside_latest(directory, aside, sizeof(aside));
        if (fsync(directory) < 0)
                return err_errno();
        if (renameat(directory, FILE_SALVAGED, directory, OUTBOX_FILE) < 0 || fsync(directory) < 0)
                return err_errno();

        memcpy(ret->aside, aside, sizeof(aside));
        return 0;
}

int outbox_salvage_finish(const char *directory, OutboxSalvage *ret) {
        _cleanup_close_ int fd = directory_open(directory);
        int r;

        if (fd < 0)
                return fd;
        if (faccessat(fd, FILE_SALVAGED, F_OK, 0) < 0)
                return OUTBOX_SALVAGE_NONE;
        r = swap(fd, ret);
        return r < 0 ? r : OUTBOX_SALVAGE_FINISHED;
}

int outbox_salvage(const char *directory, int64_t last_id, OutboxSalvage *ret) {
        _cleanup_close_ int fd = directory_open(directory);
        uint64_t rows = 0;
        int r;

        if (fd < 0)
                return fd;

        service_working();
        unlink_with_logs(fd, FILE_NEW); /* of a start that was killed */
        r = salvage_copy(directory, last_id, &rows);
        CRASHPOINT("outbox-salvage-copied");
        if (r == 0)
                r = file_sync(fd, FILE_NEW);
        if (r == 0 && renameat(fd, FILE_NEW, fd, FILE_SALVAGED) < 0)
                r = err_errno();
        unlink_with_logs(fd, FILE_NEW);
        if (r == 0 && fsync(fd) < 0)
                r = err_errno();
        if (r < 0)
                return r;
        CRASHPOINT("outbox-salvage-complete");

        r = swap(fd, ret);
        if (r == 0)
                ret->rows = rows;
        return r;
}
