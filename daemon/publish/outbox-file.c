/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/outbox-file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/service.h"

#define FILE_NEW OUTBOX_FILE ".new"
#define FILE_SALVAGED OUTBOX_FILE ".salvaged"
#define FILE_ASIDE OUTBOX_FILE ".damaged-"
#define FILE_ID_MAX (INT64_C(1) << 53) /* a damaged page may claim others */
#define FILE_PING_USEC (500 * USEC_PER_MSEC)
#define FILE_LOG_BYTES (4 * 1024 * 1024) /* what SQLite's log grows to */

#define SALVAGE_PROBES_MAX 4000000        /* ids tried one by one between damaged places, some 10 s */
#define SALVAGE_COMMIT_BYTES (256 * 1024) /* bounds the write-ahead log while copying, and how long a commit takes */
#define SALVAGE_KNOWN_MAX 1000 /* rows met again, beyond those that are new: the tree goes round in circles */

/* ---- schema ---- */

/* Columns that are looked at before the payload come before it: a large payload goes on in overflow pages. `size` is
 * reading_bytes(), so that forgetting rows need not read them. No index on them, on purpose: rows are found by id, and
 * a damaged index could take the file down. auto_vacuum stays off: pages once taken are used again, so a disk that
 * others filled up meanwhile still takes as many readings. */
#define SCHEMA_ROW                                                                                                     \
        "size INTEGER NOT NULL, put_at INTEGER NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, "                    \
        "type TEXT NOT NULL, device TEXT NOT NULL, "

#define SCHEMA_1                                                                                                       \
        "CREATE TABLE readings (id INTEGER PRIMARY KEY AUTOINCREMENT, " SCHEMA_ROW "payload BLOB NOT NULL);"           \
        "CREATE TABLE rejected (id INTEGER PRIMARY KEY, " SCHEMA_ROW                                                   \
        "rejected_at INTEGER NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);"                                  \
        "CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;"       \
        "INSERT INTO counts VALUES ('readings', 0, 0), ('rejected', 0, 0);"

/* Adding columns touches no row, so that a file of any size is upgraded at once. `seen`: n counts up for each source,
 * so that the oldest are found at its lower end. `unreadable`: what could not become a reading; `dropped`: how many of
 * them were more than is kept. */
#define SCHEMA_2                                                                                                       \
        "ALTER TABLE readings ADD COLUMN labels BLOB NOT NULL DEFAULT x'';"                                            \
        "ALTER TABLE rejected ADD COLUMN labels BLOB NOT NULL DEFAULT x'';"                                            \
        "CREATE TABLE cursors (source TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"                           \
        "CREATE TABLE seen (source TEXT, n INTEGER, at INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (source, n)) " \
        "WITHOUT ROWID;"                                                                                               \
        "CREATE UNIQUE INDEX seen_key ON seen (source, key);"                                                          \
        "CREATE TABLE unreadable (id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, size INTEGER NOT NULL, " \
        "at INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);"                      \
        "CREATE INDEX unreadable_source ON unreadable (source, id, size);"                                             \
        "CREATE TABLE dropped (source TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;"                            \
        "PRAGMA user_version = 2;"
_Static_assert(OUTBOX_SCHEMA == 2, "the text above makes schema 2");

static const char file_recount[] =
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM readings) WHERE name = 'readings';"
        "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM rejected) WHERE name = 'rejected';";

/* In one transaction, so that a kill or a full disk leaves the file as it was. */
static int file_make(Sql *sql, bool from_nothing) {
        int r = sql_exec(sql,
                from_nothing ? "BEGIN IMMEDIATE;" SCHEMA_1 SCHEMA_2 "COMMIT;" : "BEGIN IMMEDIATE;" SCHEMA_2 "COMMIT;");

        if (r != 0)
                (void) sql_exec(sql, "ROLLBACK");
        return outbox_file_fault(r);
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

/* A full disk may have no room for the memory that is shared with others. */
static int file_open(const char *path, Sql **ret) {
        int r = sql_open(path, ret);

        return r == -ENOSPC ? sql_open_alone(path, ret) : r;
}

/* ---- check ---- */

/* Tells the service manager that it takes longer; *userdata* is the time when it was told last. */
static void file_ping(void *userdata) {
        usec_t *told = userdata, now = clock_now();

        if (now < *told + FILE_PING_USEC)
                return;
        service_working();
        *told = now;
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

/* Every row is read, in order, and is found by its id. -EUCLEAN: not so. *query* yields id, size and whether it was
 * found. */
static int file_check_rows(Sql *sql, const char *query, int64_t *ret_rows, int64_t *ret_bytes) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int64_t last = 0, rows = 0, bytes = 0;
        int r;

        r = sql_prepare(sql, query, &statement);
        if (r != 0)
                return r == -EINVAL ? -EUCLEAN : outbox_file_fault(r);
        while ((r = sql_step(statement)) == SQL_ROW) {
                int64_t id = sql_column_int(statement, 0);

                if (id <= last || id >= FILE_ID_MAX || !sql_column_int(statement, 2))
                        return -EUCLEAN;
                last = id;
                rows++;
                bytes += sql_column_int(statement, 1);
        }
        *ret_rows = rows;
        *ret_bytes = bytes;
        return outbox_file_fault(r);
}

#define CHECK_ROWS(table)                                                                                              \
        "SELECT id, size, EXISTS (SELECT 1 FROM " table " AS b WHERE b.id = a.id), payload FROM " table " AS a"

/* -EUCLEAN when the file is damaged. Looks at nothing in a file with more than *most* bytes in use. PRAGMA quick_check
 * would do the work of minutes within one step, where nothing can be told to the service manager. */
static int file_check(Sql *sql, int64_t most) {
        int64_t bytes, rows[2], sizes[2], right;
        char query[256];
        int r;

        r = file_used_bytes(sql, &bytes);
        if (r < 0 || bytes > most)
                return r;
        r = file_check_rows(sql, CHECK_ROWS("readings"), &rows[0], &sizes[0]);
        if (r < 0)
                return r;
        r = file_check_rows(sql, CHECK_ROWS("rejected"), &rows[1], &sizes[1]);
        if (r < 0)
                return r;

        (void) snprintf(query, sizeof(query),
                "SELECT count(*) FROM counts WHERE (name, n, bytes) IN (VALUES ('readings', %" PRIi64 ", %" PRIi64
                "), ('rejected', %" PRIi64 ", %" PRIi64 "))",
                rows[0], sizes[0], rows[1], sizes[1]);
        r = outbox_file_query_int(sql, query, &right);
        if (r < 0)
                return r;
        return right == 2 ? 0 : outbox_file_fault(sql_exec(sql, file_recount));
}

/* ---- salvage: rows ---- */

/* What a damaged page says may be of any type, or nothing. */
#define NUMBER(column) "CAST(coalesce(" column ", 0) AS INTEGER)"
#define TEXT(column) "CAST(coalesce(" column ", '') AS TEXT)"
#define BLOB(column) "CAST(coalesce(" column ", x'') AS BLOB)"

#define ROW_READ                                                                                                       \
        NUMBER("put_at")                                                                                               \
        ", " TEXT("key") ", " TEXT("source") ", " TEXT("type") ", " TEXT("device") ", " BLOB("payloa"                  \
                                                                                             "d")
#define ROW_COLUMNS "put_at, key, source, type, device, payload, labels"
/* Counted anew: what the damaged file says about it is not trusted. */
#define ROW_SIZE                                                                                                       \
        "length(CAST(?2 AS BLOB)) + length(CAST(?3 AS BLOB)) + length(CAST(?4 AS BLOB)) + length(CAST(?5 AS BLOB)) + " \
        "length(?6) + length(?7)"

typedef struct SalvageTable {
        const char *name, *columns; /* as they stand in the file, but for the id and the labels */
        const char *read, *insert;  /* ?1 to ?n: the columns as they are read; ?n+1: the id */
        int n;
} SalvageTable;

static const SalvageTable salvage_tables[] = {
        { "readings", "size, put_at, key, source, type, device, payload", "",
                "INSERT INTO readings (" ROW_COLUMNS ", id, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, " ROW_SIZE
                ")",
                7 },
        { "rejected", "size, put_at, key, source, type, device, rejected_at, reason, payload",
                ", " NUMBER("rejected_at") ", " TEXT("reason"),
                "INSERT INTO rejected (" ROW_COLUMNS
                ", rejected_at, reason, id, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, " ROW_SIZE ")",
                9 },
};

typedef struct Salvage {
        Sql *from, *to;
        const SalvageTable *table;
        SqlStatement *forward, *back; /* rows of the damaged table; back: with ids up to ?1 */
        SqlStatement *look, *insert;  /* in the new one */
        uint64_t rows, uncommitted;   /* the latter in bytes */
        int64_t last_id;              /* highest id that was given, as far as is known */
        int64_t probes;
        usec_t told;
} Salvage;

enum { ROW_KEY = 2, ROW_PAYLOAD = 6 }; /* columns of what ROW_READ yields behind the id */
enum { ROW_NEW = 0, ROW_KNOWN = 1, ROW_TAKEN = 2 };

/* Whether the new file has that id already, for the row under *select* (NULL: for whatever row) or for another one. */
static int salvage_look(Salvage *s, int64_t id, SqlStatement *select) {
        int r;

        (void) sql_bind_int(s->look, 1, id);
        for (int i = 2; select && i <= s->table->n; i++)
                if (i == ROW_KEY || i == ROW_PAYLOAD)
                        (void) sql_bind_column(s->look, i, select, i);
        r = sql_step(s->look);
        if (r == SQL_ROW)
                r = sql_column_int(s->look, 0) ? ROW_KNOWN : ROW_TAKEN;
        else if (r == SQL_DONE)
                r = ROW_NEW;
        else
                r = outbox_file_fault(r);
        sql_reset(s->look);
        return r;
}

/* Copies the row under *select*, unless it was copied before. Where another row has its id, or no sane file would hold
 * such an id, it gets a fresh one that follows from it, so that the same row is known again. ROW_NEW, ROW_KNOWN, or a
 * negative errno, which is the new file's. */
static int salvage_row(Salvage *s, SqlStatement *select) {
        int64_t claimed = sql_column_int(select, 0), span = s->last_id + 1, id;
        int64_t fresh = (claimed % span + span) % span + 1;
        int r;

        id = claimed > 0 && claimed < FILE_ID_MAX ? claimed : (fresh += span);
        while ((r = salvage_look(s, id, select)) == ROW_TAKEN)
                id = fresh += span;
        if (r != ROW_NEW)
                return r;

        for (int i = 1; i <= s->table->n; i++)
                (void) sql_bind_column(s->insert, i, select, i);
        (void) sql_bind_int(s->insert, s->table->n + 1, id);
        r = sql_step(s->insert);
        sql_reset(s->insert);
        if (r != SQL_DONE)
                return outbox_file_fault(r);

        s->rows++;
        s->uncommitted += sql_column(select, ROW_PAYLOAD).size;
        if (s->uncommitted < SALVAGE_COMMIT_BYTES)
                return ROW_NEW;
        s->uncommitted = 0;
        return outbox_file_fault(sql_exec(s->to, "COMMIT; BEGIN"));
}

enum { RUN_END = 0, RUN_STOPPED = 1 };

/* Copies the rows of *select* to the end, or to the first place that cannot be read. *until_known*: or to a row that
 * was copied before. *last* becomes the id of the last one. */
static int salvage_run(Salvage *s, SqlStatement *select, bool until_known, int64_t *last) {
        uint64_t known = 0;
        int r, copied = 0;

        while ((r = sql_step(select)) == SQL_ROW) {
                copied = salvage_row(s, select);
                if (copied < 0)
                        break;
                *last = sql_column_int(select, 0);
                if (copied == ROW_KNOWN && (until_known || ++known > s->rows + SALVAGE_KNOWN_MAX))
                        break;
        }
        sql_reset(select);
        if (copied < 0)
                return copied;
        if (r == -ENOMEM || r == -EBUSY)
                return r; /* passes: no reason to leave rows behind */
        return r == SQL_DONE ? RUN_END : RUN_STOPPED;
}

/* Between damaged places, id by id, newest first: a queue's rows lie close together below the last id that was given.
 * One id takes no time, or seconds where a worn disk tries again and again. */
static int salvage_probe(Salvage *s) {
        for (int64_t id = s->last_id, last = id; id > 0 && s->probes < SALVAGE_PROBES_MAX; s->probes++, id--) {
                int r;

                file_ping(&s->told);
                r = salvage_look(s, id, NULL);
                if (r < 0)
                        return r;
                if (r != ROW_NEW)
                        continue;
                (void) sql_bind_int(s->back, 1, id);
                r = salvage_run(s, s->back, true, &last);
                if (r <= 0)
                        return r;
                if (last < id)
                        id = last;
        }
        return 0;
}

/* Columns go by their places: a bit that flipped in the text of the schema may be one of their names. */
static int salvage_query(Salvage *s, bool labels, const char *tail, SqlStatement **ret) {
        char query[1024];

        (void) snprintf(query, sizeof(query),
                "WITH t(id, %s%s) AS (SELECT * FROM %s) SELECT id, " ROW_READ ", %s%s FROM t %s", s->table->columns,
                labels ? ", labels" : "", s->table->name, labels ? BLOB("labels") : "x''", s->table->read, tail);
        return sql_prepare(s->from, query, ret);
}

/* 0: the table was found in the damaged file. SQL_DAMAGED or -EINVAL: it was not. */
static int salvage_prepare(Salvage *s) {
        bool labels = true;
        char look[128];
        int r;

        (void) snprintf(look, sizeof(look), "SELECT key = ?2 AND payload = ?6 FROM %s WHERE id = ?1", s->table->name);
        r = outbox_file_fault(sql_prepare(s->to, look, &s->look));
        if (r == 0)
                r = outbox_file_fault(sql_prepare(s->to, s->table->insert, &s->insert));
        if (r < 0)
                return r;

        r = salvage_query(s, labels, "ORDER BY id", &s->forward);
        if (r == -EINVAL) /* schema 1 */
                r = salvage_query(s, labels = false, "ORDER BY id", &s->forward);
        return r != 0 ? r : salvage_query(s, labels, "WHERE id <= ?1 ORDER BY id DESC", &s->back);
}

static int salvage_rows(Salvage *s) {
        int64_t last;
        int r;

        r = salvage_prepare(s);
        if (r == SQL_DAMAGED || r == -EINVAL)
                return 0; /* the table itself cannot be found */
        if (r < 0)
                return r;
        r = salvage_run(s, s->forward, false, &last);
        if (r <= 0)
                return r;
        (void) sql_bind_int(s->back, 1, INT64_MAX);
        r = salvage_run(s, s->back, false, &last);
        return r <= 0 ? r : salvage_probe(s);
}

static int salvage_table(Salvage *s, const SalvageTable *table) {
        int r;

        s->table = table;
        r = salvage_rows(s);
        s->forward = sql_finalize(s->forward);
        s->back = sql_finalize(s->back);
        s->look = sql_finalize(s->look);
        s->insert = sql_finalize(s->insert);
        return r;
}

/* What helps, and is not a reading: as much of it as can be read from the front. */
static int salvage_extra(Salvage *s, const char *name, int n) {
        _cleanup_(sql_finalizep) SqlStatement *select = NULL, *insert = NULL;
        char query[128];
        int r;

        (void) snprintf(query, sizeof(query), "SELECT * FROM %s", name);
        if (sql_prepare(s->from, query, &select) != 0)
                return 0;
        (void) snprintf(query, sizeof(query), "INSERT OR IGNORE INTO %s VALUES (%.*s)", name, 3 * n - 2,
                "?1,?2,?3,?4,?5,?6,?7");
        r = outbox_file_fault(sql_prepare(s->to, query, &insert));
        if (r < 0)
                return r;
        while (sql_step(select) == SQL_ROW) {
                for (int i = 0; i < n; i++)
                        (void) sql_bind_column(insert, i + 1, select, i);
                r = sql_step(insert);
                sql_reset(insert);
                if (r != SQL_DONE)
                        return outbox_file_fault(r);
        }
        return 0;
}

/* Ids are never given twice, not even those of rows that were lost. */
static int salvage_sequence(Salvage *s) {
        char set[192];
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
                sequence < FILE_ID_MAX && sequence > s->last_id)
                s->last_id = sequence;
        else if (s->last_id == 0)
                s->last_id = SALVAGE_PROBES_MAX;
}

static int salvage_all(Salvage *s) {
        static const struct {
                const char *name;
                int n;
        } extras[] = { { "cursors", 2 }, { "seen", 4 }, { "unreadable", 7 }, { "dropped", 2 } };
        int r = 0;

        salvage_learn_last_id(s);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(salvage_tables); i++)
                r = salvage_table(s, &salvage_tables[i]);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(extras); i++)
                r = salvage_extra(s, extras[i].name, extras[i].n);
        return r;
}

/* ---- salvage: files ---- */

static int directory_open(const char *directory) {
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? err_errno() : fd;
}

static int file_sync(int directory, const char *name) {
        _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || fsync(fd) < 0)
                return err_errno();
        return 0;
}

static void unlink_with_logs(int directory, const char *name) {
        static const char *const suffixes[] = { "", "-wal", "-shm" };
        char file[256];

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(file, sizeof(file), "%s%s", name, suffixes[i]);
                (void) unlinkat(directory, file, 0);
        }
}

/* -ENOSPC, and how much is needed, when the disk has no room for a copy. */
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

/* All of the new file is in the file itself, not in its log, and on disk. */
static int salvage_settle(Sql *to) {
        int64_t busy;
        int r;

        r = outbox_file_fault(sql_exec(to, file_recount));
        if (r == 0)
                r = outbox_file_query_int(to, "PRAGMA wal_checkpoint(TRUNCATE)", &busy);
        if (r < 0)
                return r;
        return busy ? -EBUSY : 0;
}

static int salvage_write(Salvage *s) {
        int r;

        r = file_make(s->to, true);
        if (r == 0)
                r = outbox_file_fault(sql_set_durable(s->to, false)); /* salvage_settle() syncs it as a whole */
        if (r == 0)
                r = outbox_file_fault(sql_exec(s->to, "PRAGMA wal_autocheckpoint = 100; BEGIN"));
        if (r == 0 && s->from)
                r = salvage_all(s);
        if (r == 0)
                r = salvage_sequence(s);
        if (r == 0)
                r = outbox_file_fault(sql_exec(s->to, "COMMIT"));
        return r < 0 ? r : salvage_settle(s->to);
}

static int salvage_copy(int directory, const char *path, int64_t last_id, OutboxSalvage *ret) {
        _cleanup_(sql_closep) Sql *from = NULL, *to = NULL;
        Salvage s = { .last_id = last_id, .told = clock_now() };
        _cleanup_free_ char *new = NULL;
        int r;

        if (asprintf(&new, "%s.new", path) < 0) {
                new = NULL;
                return -ENOMEM;
        }
        r = file_open(path, &from);
        if (r < 0)
                return r; /* passes; SQL_DAMAGED: not even the header can be read, so there is nothing to carry over */
        r = salvage_has_room(directory, from, &ret->needed);
        if (r < 0)
                return r;
        r = outbox_file_fault(sql_open(new, &to));
        if (r < 0)
                return r;

        s.from = from;
        s.to = to;
        if (from)
                sql_set_ping(from, file_ping, &s.told);
        sql_set_ping(to, file_ping, &s.told);
        r = salvage_write(&s);
        if (r == 0)
                ret->rows = s.rows;
        return r;
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
        for (struct dirent *entry; entries && (entry = readdir(entries));)
                if (strncmp(entry->d_name, FILE_ASIDE, strlen(FILE_ASIDE)) == 0 && !strstr(entry->d_name, "-wal") &&
                        !strstr(entry->d_name, "-shm") && strcmp(entry->d_name, name) > 0)
                        (void) snprintf(name, size, "%s", entry->d_name);
        if (entries)
                (void) closedir(entries);
        else if (fd >= 0)
                (void) close(fd);
}

enum { RENAMED = 0, RENAME_NOT_THERE = 1 };

static int rename_if_there(int directory, const char *from, const char *to) {
        if (renameat(directory, from, directory, to) >= 0)
                return RENAMED;
        return errno == ENOENT ? RENAME_NOT_THERE : err_errno();
}

/* The logs go first: a log beside a file that it does not belong to would be played into it. */
static int salvage_swap(int directory, OutboxSalvage *ret) {
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

/* Makes the new file and swaps it in. Nothing may have the old one open. A negative errno leaves the old file where it
 * is. */
static int file_salvage(int directory, const char *path, int64_t last_id, OutboxSalvage *ret) {
        int r;

        service_working();
        unlink_with_logs(directory, FILE_NEW); /* of a start that was killed */
        r = salvage_copy(directory, path, last_id, ret);
        if (r == 0)
                r = file_sync(directory, FILE_NEW);
        if (r == 0 && renameat(directory, FILE_NEW, directory, FILE_SALVAGED) < 0)
                r = err_errno();
        unlink_with_logs(directory, FILE_NEW);
        if (r == 0 && fsync(directory) < 0)
                r = err_errno();
        if (r < 0)
                return r;
        return salvage_swap(directory, ret);
}

/* ---- opening ---- */

static int file_connect(const char *path, Sql **ret, int64_t *ret_version) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        int r;

        r = outbox_file_fault(file_open(path, &sql));
        if (r < 0)
                return r;
        r = outbox_file_query_int(sql, "PRAGMA user_version", ret_version);
        if (r < 0)
                return r;
        *ret = cleanup_steal(sql);
        return 0;
}

/* OUTBOX_OK, OUTBOX_NEWER, -EUCLEAN, or another errno. */
static int file_try(int directory, const char *path, Sql **ret) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        /* a clean end takes the log away: one that is left tells of a kill, a crash or a power cut */
        bool has_log = faccessat(directory, OUTBOX_FILE "-wal", F_OK, 0) == 0;
        int64_t version;
        usec_t told = clock_now();
        int r;

        r = file_connect(path, &sql, &version);
        if (r < 0)
                return r;
        if (version < 0 || version > OUTBOX_SCHEMA)
                return OUTBOX_NEWER;

        sql_set_ping(sql, file_ping, &told);
        r = version == 0 ? 0 : file_check(sql, has_log ? OUTBOX_FILE_CHECK_MAX : OUTBOX_FILE_CHECK_CLEAN_MAX);
        if (r == 0 && version < OUTBOX_SCHEMA)
                r = file_make(sql, version == 0);
        sql_set_ping(sql, NULL, NULL);
        if (r == 0)
                *ret = cleanup_steal(sql);
        return r;
}

int outbox_file_open(const char *directory, int64_t last_id, bool damaged, Sql **ret, OutboxSalvage *ret_salvage) {
        _cleanup_close_ int fd = directory_open(directory);
        _cleanup_free_ char *path = NULL;
        bool finished;
        int64_t rows;
        int r;

        if (fd < 0)
                return fd;
        if (asprintf(&path, "%s/" OUTBOX_FILE, directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }

        finished = faccessat(fd, FILE_SALVAGED, F_OK, 0) == 0; /* by a start that was killed then */
        r = finished ? salvage_swap(fd, ret_salvage) : 0;
        if (r < 0)
                return r;
        r = damaged && !finished ? -EUCLEAN : file_try(fd, path, ret);
        if (r == -EUCLEAN) {
                r = file_salvage(fd, path, last_id, ret_salvage);
                if (r < 0)
                        return r;
                r = file_try(fd, path, ret);
                return r == OUTBOX_OK ? OUTBOX_SALVAGED : r;
        }
        if (r != OUTBOX_OK || !finished)
                return r;

        r = outbox_file_query_int(*ret, "SELECT sum(n) FROM counts", &rows);
        ret_salvage->rows = r == 0 ? (uint64_t) rows : 0;
        return OUTBOX_SALVAGED;
}
