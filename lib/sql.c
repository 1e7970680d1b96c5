/* SPDX-License-Identifier: Apache-2.0 */
#include "sql.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "file.h"

/* how long the event loop may wait for somebody who looks into the file with the sqlite3 tool */
#define BUSY_MSEC 200

/* pages after which the log is copied into the database and begins anew: SQLite's default */
#define LOG_PAGES 1000
/* When the log begins anew, it keeps at most this much of the disk: it may have grown large while somebody read, or in
 * one large transaction. This is more than LOG_PAGES need, because otherwise the log would be cut and grow again all
 * the time. */
#define LOG_KEPT "PRAGMA journal_size_limit = 16777216"
/* The log has this much of the disk from the start: enough to delete some rows. The log goes with each close, and a
 * database that fills the disk after each open would leave less and less to it. */
#define LOG_ROOM (128 * 1024)
/* https://sqlite.org/fileformat2.html#the_write_ahead_log, https://sqlite.org/walformat.html#locks */
enum { LOG_HEADER = 32, LOG_PAGE_SIZE_AT = 8, LOG_FRAME_HEADER = 24 };
enum { WRITER_LOCK = 0 /* WAL_WRITE_LOCK */, LOG_LOCK = 1 /* WAL_CKPT_LOCK */ };
enum { LAST_READER_LOCK = 7 /* WAL_READ_LOCK(4) */ };

#define PIECE 4096

/* the version of sqlite3_io_methods that is used here: a later SQLite may have more methods, which are not copied */
#define METHODS_VERSION 3

/* steps of SQLite's virtual machine: a few rows, or a few milliseconds when each row needs the disk */
#define PING_EVERY_STEPS 1000

/* The methods of the database file, with a ping before each write: SQLite copies the log into the database within one
 * call and calls no progress handler there. */
typedef struct Methods {
        sqlite3_io_methods base; /* must be first: the file's pMethods points to it */
        const sqlite3_io_methods *real;
        const Sql *sql;
} Methods;

struct Sql {
        sqlite3 *db;
        Methods methods;
        bool alone;
        bool relaxed;  /* synchronous=NORMAL */
        bool unsynced; /* a sync may have failed: SQLite believes that data is written which may not be on the disk */
        void (*ping)(void *userdata);
        void *userdata;
        SqlStatement *used; /* see sql_use() */
        int64_t page_size;
};

struct SqlStatement {
        sqlite3_stmt *stmt;
        int error;          /* the first error of a binding */
        const char *text;   /* see sql_use(); NULL: it belongs to the caller */
        SqlStatement *next; /* of those that belong to the connection */
};

/* EUCLEAN: the file system is damaged. As a result of this module it would mean that the database is. */
static int file_error(int error) {
        return error == EUCLEAN || error <= 0 ? -EIO : -error;
}

/* Returns the errno of the system call that failed below SQLite, or *other* if there was none. When a commit fails,
 * SQLite does not keep it: so our callers clear errno before they call SQLite. */
static int system_error(sqlite3 *db, int other) {
        int error = errno ?: sqlite3_system_errno(db);

        if (error == EDQUOT)
                return -ENOSPC;
        return error > 0 ? file_error(error) : other;
}

/* Translates a result code into an outcome of the header. SQLite's extended codes have the basic code in their low
 * byte, which is enough. */
static int result(sqlite3 *db, int code) {
        switch (code & 0xff) {
        case SQLITE_OK:
        case SQLITE_DONE:
                return SQL_DONE;
        case SQLITE_ROW:
                return SQL_ROW;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EUCLEAN;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_IOERR:
                if (code == SQLITE_IOERR_NOMEM)
                        return -ENOMEM;
                if (code == SQLITE_IOERR_SHMSIZE)
                        return -ENOSPC;          /* SQLite keeps no errno here */
                if (code == SQLITE_IOERR_SHMMAP) /* the disk is not the cause */
                        return system_error(db, -ENODEV) == -ENOMEM ? -ENOMEM : -ENODEV;
                code = system_error(db, -EIO);
                return code == -ENOSPC || code == -EFBIG ? code : -EIO;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL:
                return -EBUSY;
        case SQLITE_CANTOPEN:
                return system_error(db, -EACCES);
        case SQLITE_PERM:
        case SQLITE_AUTH:
                return -EACCES;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_CONSTRAINT:
                return -EEXIST;
        case SQLITE_TOOBIG:
                return -E2BIG;
        case SQLITE_ERROR:
        case SQLITE_MISUSE:
        case SQLITE_RANGE:
        case SQLITE_MISMATCH:
                return -EINVAL;
        default:
                return -EIO;
        }
}

/* Creates the file with its mode before SQLite sees it: SQLite gives its -wal and -shm files the mode of the database,
 * whatever the umask is. An existing file is not opened, because closing it would drop the locks that another
 * connection of this process holds on it. *foreign*: a link is not followed, neither here nor by SQLite. */
static int prepare_file(const char *path, bool foreign) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        int links = foreign ? AT_SYMLINK_NOFOLLOW : 0;
        struct stat st;

        if (fd >= 0) {
                file_give(fd, path);
                return fchmod(fd, 0600) < 0 ? file_error(errno) : 0;
        }
        if (errno != EEXIST)
                return file_error(errno);
        if (fstatat(AT_FDCWD, path, &st, links) < 0)
                return file_error(errno);
        if (S_ISLNK(st.st_mode))
                return -ELOOP;
        if (S_ISREG(st.st_mode) && (st.st_mode & 0077) != 0)
                (void) !fchmodat(AT_FDCWD, path, 0600, links); /* fails on a read-only file system: no harm */
        return 0;
}

/* Runs a pragma and checks the value that is in force afterwards. */
static int expect(Sql *sql, const char *pragma, const char *value) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int r = sql_prepare(sql, pragma, &statement);

        if (r == 0)
                r = sql_step(statement);
        if (r != SQL_ROW)
                return r == SQL_DONE ? -EOPNOTSUPP : r;
        if (!slice_equal(sql_column(statement, 0), value))
                return -EOPNOTSUPP;
        return sql_step(statement); /* a change of the mode is committed only by this step */
}

static int configure(Sql *sql) {
        int r;

        (void) sqlite3_extended_result_codes(sql->db, 1);
        (void) sqlite3_busy_timeout(sql->db, BUSY_MSEC);
        if (sqlite3_db_readonly(sql->db, "main") == 1)
                return -EROFS; /* SQLite opens a file that it may not write, and fails only at the first write */

        r = expect(sql, "PRAGMA journal_mode = WAL", "wal");
        if (r == 0)
                r = sql_exec(sql, "PRAGMA synchronous = FULL");
        if (r == 0)
                r = expect(sql, "PRAGMA synchronous", "2");
        if (r == 0)
                r = sql_exec(sql, LOG_KEPT);
        if (r == 0)
                r = sql_exec(sql, "PRAGMA schema_version"); /* the first read creates the log */
        return r;
}

/* The file grows by pages, as take_room() asks. A larger chunk would be filled up without room on the disk when SQLite
 * cuts the file. */
static int configure_growth(Sql *sql) {
        int r = sql_query_int(sql, "PRAGMA page_size", &sql->page_size);

        if (r == 0)
                (void) sqlite3_file_control(sql->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &(int){ (int) sql->page_size });
        return r;
}

/* Returns the database file (SQLITE_FCNTL_FILE_POINTER) or its log (SQLITE_FCNTL_JOURNAL_POINTER), or NULL. */
static sqlite3_file *file_of(const Sql *sql, int which) {
        sqlite3_file *file = NULL;
        int code = sqlite3_file_control(sql->db, "main", which, (void *) &file);

        return code == SQLITE_OK && file && file->pMethods ? file : NULL;
}

/* Without room it gets none. */
static void take_log_room(const Sql *sql) {
        sqlite3_file *log = file_of(sql, SQLITE_FCNTL_JOURNAL_POINTER);

        if (!log)
                return;
        (void) log->pMethods->xFileControl(log, SQLITE_FCNTL_CHUNK_SIZE, &(int){ LOG_ROOM });
        (void) log->pMethods->xFileControl(log, SQLITE_FCNTL_SIZE_HINT, &(sqlite3_int64){ LOG_ROOM });
}

static void tell(const Sql *sql) {
        if (sql->ping)
                sql->ping(sql->userdata);
}

static int write_and_tell(sqlite3_file *file, const void *data, int size, sqlite3_int64 at) {
        const Methods *methods = (const Methods *) file->pMethods;

        tell(methods->sql);
        return methods->real->xWrite(file, data, size, at);
}

static void watch_writes(Sql *sql) {
        sqlite3_file *file = file_of(sql, SQLITE_FCNTL_FILE_POINTER);

        if (!file)
                return;
        sql->methods = (Methods){ *file->pMethods, file->pMethods, sql };
        sql->methods.base.xWrite = write_and_tell;
        if (sql->methods.base.iVersion > METHODS_VERSION)
                sql->methods.base.iVersion = METHODS_VERSION;
        file->pMethods = &sql->methods.base;
}

static void unwatch_writes(Sql *sql) {
        sqlite3_file *file = file_of(sql, SQLITE_FCNTL_FILE_POINTER);

        if (file && sql->methods.real)
                file->pMethods = sql->methods.real;
}

/* Returns the size in bytes; 0: there is no log; -1: not known. */
static sqlite3_int64 log_size(const Sql *sql) {
        sqlite3_file *log = file_of(sql, SQLITE_FCNTL_JOURNAL_POINTER);
        sqlite3_int64 size = 0;

        return !log ? 0 : log->pMethods->xFileSize(log, &size) == SQLITE_OK ? size : -1;
}

typedef struct LogLock {
        int lock, how;
} LogLock;

static int take(sqlite3_file *file, LogLock lock) {
        return file->pMethods->xShmLock(file, lock.lock, 1, SQLITE_SHM_LOCK | lock.how);
}

static void release(sqlite3_file *file, LogLock lock) {
        (void) file->pMethods->xShmLock(file, lock.lock, 1, SQLITE_SHM_UNLOCK | lock.how);
}

/* Copies the log into the database. Not when the log itself may not be on the disk. Nobody may begin the log anew
 * meanwhile: SQLite before 3.51.3 looks at the log twice and takes the new log for the one of its first look. It then
 * never copies the beginning of the new log, and the database is damaged (https://sqlite.org/wal.html#walresetbug). A
 * reader's lock keeps others from that, and still lets them append: the last one, because SQLite prefers the first that
 * is free. A reader that is gone may have left its mark there, and then SQLite stops at that mark: so what remains is
 * copied under the writer's lock, under which SQLite clears old marks. */
static void checkpoint(Sql *sql) {
        static const LogLock locks[] = { { LAST_READER_LOCK, SQLITE_SHM_SHARED },
                { WRITER_LOCK, SQLITE_SHM_EXCLUSIVE } };
        sqlite3_file *file = sql->alone ? NULL : file_of(sql, SQLITE_FCNTL_FILE_POINTER);
        int code = SQLITE_OK, pages = 1, done = 0;

        for (size_t i = 0; i < ELEMENTSOF(locks) && code == SQLITE_OK && done < pages && !sql->unsynced; i++) {
                if (file && take(file, locks[i]) != SQLITE_OK)
                        continue; /* somebody reads or writes: if it is both, try after the next commit */
                code = sqlite3_wal_checkpoint_v2(sql->db, "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &done);
                if (file)
                        release(file, locks[i]);
                sql->unsynced |= code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY;
        }
}

/* Replaces SQLite's own hook, which does the same but does not report a failed sync. */
static int on_commit(void *userdata, sqlite3 *db, const char *name, int pages) {
        if (pages >= LOG_PAGES)
                checkpoint(userdata);
        return SQLITE_OK; /* the commit itself has succeeded */
}

/* Makes the names of the database, its journal and its log durable before anything depends on them. SQLite does that at
 * the first sync of a journal or log that the same connection created, but not if another process created it. */
static int sync_names(const char *path) {
        _cleanup_free_ char *directory = file_directory(path);
        _cleanup_close_ int fd = -1;

        if (!directory)
                return -ENOMEM;
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? file_error(errno) : 0;
}

static int open_database(const char *path, bool alone, Sql **ret) {
        _cleanup_(sql_closep) Sql *sql = calloc(1, sizeof(*sql));
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, code, r;
        _cleanup_free_ char *found = NULL;
        bool foreign;

        if (!sql)
                return -ENOMEM;
        r = file_find(path, &found);
        if (r < 0)
                return r == -ENOMEM ? r : file_error(-r);
        foreign = r == FILE_FOREIGN;
        r = prepare_file(found ?: path, foreign);
        if (r < 0)
                return r;

        errno = 0;
        /* SQLITE_OPEN_NOFOLLOW refuses a link anywhere in a path: those that we follow are resolved in *found* */
        code = sqlite3_open_v2(found ?: path, &sql->db, flags | (foreign ? SQLITE_OPEN_NOFOLLOW : 0), NULL);
        sql->alone = alone;
        sql->unsynced = true; /* nobody knows whether a sync of an earlier process failed */
        r = code == SQLITE_OK ? sync_names(path) : result(sql->db, code);
        if (r == 0 && alone)
                r = sql_exec(sql, "PRAGMA locking_mode = EXCLUSIVE");
        if (r == 0)
                r = configure(sql);
        if (r == 0)
                r = configure_growth(sql);
        if (r == 0)
                r = sync_names(path);
        if (r != 0)
                return r;

        sql->unsynced = log_size(sql) != 0;
        take_log_room(sql);
        watch_writes(sql);
        (void) sqlite3_wal_hook(sql->db, on_commit, sql);
        *ret = cleanup_steal(sql);
        return 0;
}

int sql_open(const char *path, Sql **ret) {
        return open_database(path, false, ret);
}

int sql_open_alone(const char *path, Sql **ret) {
        return open_database(path, true, ret);
}

Sql *sql_close(Sql *sql) {
        if (!sql)
                return NULL;

        if (sql->db && sql->unsynced && log_size(sql) != 0) /* its log must not be copied into the database */
                (void) sqlite3_db_config(sql->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        for (SqlStatement *used = sql->used, *next; used; used = next) {
                next = used->next;
                sql_finalize(used);
        }
        if (sqlite3_close(sql->db) == SQLITE_BUSY) { /* a statement is still open: SQLite closes the database with the
                                                        last statement, which may be after *sql* is freed */
                unwatch_writes(sql);
                (void) sqlite3_close_v2(sql->db);
        }
        free(sql);
        return NULL;
}

unsigned sql_standing(const Sql *sql) {
        int moved = 0;

        (void) sqlite3_file_control(sql->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
        return (sql->alone ? SQL_ALONE : 0) | (moved != 0 ? SQL_MOVED : 0);
}

static int set_durable(Sql *sql, bool durable) {
        int r;

        if (durable == !sql->relaxed)
                return 0;
        r = sql_exec(sql, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
        if (r == 0)
                sql->relaxed = !durable;
        return r;
}

/* Writes *size* bytes from *at* on once more, as they are read, up to the end of the file. */
static int write_again(const Sql *sql, sqlite3_file *file, sqlite3_int64 at, sqlite3_int64 size) {
        char piece[PIECE];
        int code = SQLITE_OK;

        for (sqlite3_int64 done = 0; code == SQLITE_OK && done < size; done += PIECE) {
                int n = size - done < PIECE ? (int) (size - done) : PIECE;

                tell(sql);
                code = file->pMethods->xRead(file, piece, n, at + done);
                if (code == SQLITE_IOERR_SHORT_READ)
                        return SQLITE_OK;
                if (code == SQLITE_OK)
                        code = file->pMethods->xWrite(file, piece, n, at + done);
        }
        return code;
}

static uint32_t read_number(sqlite3_file *file, sqlite3_int64 at, int *code) {
        uint8_t bytes[4] = {};

        if (*code == SQLITE_OK)
                *code = file->pMethods->xRead(file, bytes, sizeof(bytes), at);
        return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8 | bytes[3];
}

/* Writes all pages that the log names once more: nobody knows which of them were copied into the file without being
 * synced. (https://sqlite.org/fileformat2.html#the_write_ahead_log) */
static int write_pages_again(const Sql *sql, sqlite3_file *file, sqlite3_file *log, sqlite3_int64 log_size) {
        int code = SQLITE_OK;
        uint32_t page_size = read_number(log, LOG_PAGE_SIZE_AT, &code);

        for (sqlite3_int64 at = LOG_HEADER; code == SQLITE_OK && at + LOG_FRAME_HEADER <= log_size;
                at += LOG_FRAME_HEADER + page_size) {
                sqlite3_int64 page = read_number(log, at, &code);

                if (code == SQLITE_OK && page > 0)
                        code = write_again(sql, file, (page - 1) * page_size, page_size);
        }
        return code == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : code;
}

/* Keeps others from copying the log into the file at the same time. */
static int write_pages_again_alone(Sql *sql, sqlite3_file *log, sqlite3_int64 log_size) {
        sqlite3_file *file = file_of(sql, SQLITE_FCNTL_FILE_POINTER);
        const LogLock lock = { LOG_LOCK, SQLITE_SHM_EXCLUSIVE };
        int code = SQLITE_OK;

        if (!file)
                return SQLITE_IOERR;
        if (!sql->alone)
                code = take(file, lock);
        if (code != SQLITE_OK)
                return code;
        code = write_pages_again(sql, file, log, log_size);
        if (!sql->alone)
                release(file, lock);
        return code;
}

/* Must be called within a transaction that may write. */
static int write_all_again(Sql *sql) {
        sqlite3_file *log = file_of(sql, SQLITE_FCNTL_JOURNAL_POINTER);
        sqlite3_int64 size = log_size(sql);
        int code = size < 0 ? SQLITE_IOERR : SQLITE_OK;

        if (!log || size == 0)
                return 0;
        if (code == SQLITE_OK)
                code = write_again(sql, log, 0, size);
        if (code == SQLITE_OK)
                code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
        if (code == SQLITE_OK && size > LOG_HEADER)
                code = write_pages_again_alone(sql, log, size);
        return result(sql->db, code);
}

int sql_begin(Sql *sql, bool durable) {
        int r = set_durable(sql, durable);

        if (r == 0)
                r = sql_exec(sql, "BEGIN IMMEDIATE");
        if (r != 0 || !sql->unsynced)
                return r;
        r = write_all_again(sql);
        if (r == 0)
                sql->unsynced = false;
        else
                (void) sql_exec(sql, "ROLLBACK");
        return r;
}

/* Takes the room in the database file for all pages that the log will hold. A log that cannot be copied, because a full
 * disk lets the file not grow, would never begin anew: then nothing could be written any more, deleting included. */
static int take_room(Sql *sql) {
        int64_t pages;
        int r;

        r = sql_ints(sql, "PRAGMA page_count", NULL, 1, &pages);
        if (r < 0)
                return r;
        switch (sqlite3_file_control(
                sql->db, "main", SQLITE_FCNTL_SIZE_HINT, &(sqlite3_int64){ pages * sql->page_size })) {
        case SQLITE_IOERR_WRITE: /* SQLite keeps no errno here */
                return -ENOSPC;
        case SQLITE_IOERR_FSTAT:
                return -EIO;
        }
        return 0; /* another answer: it cannot be done on this file system */
}

int sql_end(Sql *sql, int r) {
        if (r == 0)
                r = take_room(sql);
        if (r == 0)
                r = sql_exec(sql, "COMMIT");
        if (r == 0)
                return 0;
        sql->unsynced |= r == -EIO || (sqlite3_errcode(sql->db) & 0xff) == SQLITE_IOERR; /* a full disk counts too */
        (void) sql_exec(sql, "ROLLBACK"); /* fails if SQLite has already rolled back: no harm */
        if (r == -ENOSPC)
                checkpoint(sql);
        return r;
}

static int on_progress(void *userdata) {
        tell(userdata);
        return 0; /* 0 = continue */
}

void sql_set_ping(Sql *sql, void (*ping)(void *userdata), void *userdata) {
        sql->ping = ping;
        sql->userdata = userdata;
        sqlite3_progress_handler(sql->db, ping ? PING_EVERY_STEPS : 0, ping ? on_progress : NULL, sql);
}

int sql_exec(Sql *sql, const char *statements) {
        errno = 0;
        return result(sql->db, sqlite3_exec(sql->db, statements, NULL, NULL, NULL));
}

int sql_prepare(Sql *sql, const char *text, SqlStatement **ret) {
        _cleanup_(sql_finalizep) SqlStatement *statement = calloc(1, sizeof(*statement));
        const char *rest;
        int r;

        if (!statement)
                return -ENOMEM;
        errno = 0;
        r = result(sql->db, sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement->stmt, &rest));
        if (r != 0)
                return r;
        if (!statement->stmt || *rest != '\0')
                return -EINVAL;

        *ret = cleanup_steal(statement);
        return 0;
}

SqlStatement *sql_finalize(SqlStatement *statement) {
        if (!statement)
                return NULL;

        (void) sqlite3_finalize(statement->stmt);
        free(statement);
        return NULL;
}

static int statement_result(SqlStatement *statement, int code) {
        return result(sqlite3_db_handle(statement->stmt), code);
}

static void bound(SqlStatement *statement, int code) {
        if (statement->error == 0)
                statement->error = statement_result(statement, code);
}

void sql_bind_value(SqlStatement *statement, int index, const SqlValue *value) {
        const Slice *bytes = &value->bytes;
        int code = SQLITE_OK;

        switch (value->kind) {
        case SQL_VALUE_INT:
                code = sqlite3_bind_int64(statement->stmt, index, value->number);
                break;
        case SQL_VALUE_DOUBLE:
                code = sqlite3_bind_double(statement->stmt, index, value->real);
                break;
        case SQL_VALUE_TEXT:
                if (bytes->data) /* else it stays NULL, as sql_reset() left it */
                        code = sqlite3_bind_text(statement->stmt, index, bytes->data, -1, SQLITE_STATIC);
                break;
        case SQL_VALUE_BLOB:
                code = sqlite3_bind_blob64(
                        statement->stmt, index, bytes->size > 0 ? bytes->data : "", bytes->size, SQLITE_STATIC);
                break;
        case SQL_VALUE_END:
                break;
        }
        bound(statement, code);
}

void sql_bind(SqlStatement *statement, const SqlValue *values) {
        for (int i = 1; values->kind != SQL_VALUE_END; i++, values++)
                sql_bind_value(statement, i, values);
}

void sql_bind_column(SqlStatement *statement, int index, SqlStatement *from, int column) {
        bound(statement, sqlite3_bind_value(statement->stmt, index, sqlite3_column_value(from->stmt, column)));
}

int sql_step(SqlStatement *statement) {
        if (statement->error != 0)
                return statement->error;
        errno = 0;
        return statement_result(statement, sqlite3_step(statement->stmt));
}

void sql_reset(SqlStatement *statement) {
        (void) sqlite3_reset(statement->stmt);
        (void) sqlite3_clear_bindings(statement->stmt);
        statement->error = 0;
}

int64_t sql_column_int(SqlStatement *statement, int column) {
        return sqlite3_column_int64(statement->stmt, column);
}

double sql_column_double(SqlStatement *statement, int column) {
        return sqlite3_column_double(statement->stmt, column);
}

Slice sql_column(SqlStatement *statement, int column) {
        const char *data = sqlite3_column_blob(statement->stmt, column);

        if (data)
                return (Slice){ data, (size_t) sqlite3_column_bytes(statement->stmt, column) };
        return (Slice){ sqlite3_column_type(statement->stmt, column) == SQLITE_NULL ? NULL : "", 0 };
}

int sql_use(Sql *sql, const char *text, SqlStatement **ret) {
        SqlStatement *used = sql->used;
        int r;

        while (used && used->text != text)
                used = used->next;
        if (!used) {
                r = sql_prepare(sql, text, &used);
                if (r != 0)
                        return r == -EINVAL ? -EUCLEAN : r;
                used->text = text;
                used->next = sql->used;
                sql->used = used;
        }
        *ret = used;
        return 0;
}

/* Returns the result of the first step, and *n* integers of its row. */
static int do_once(Sql *sql, const char *text, const SqlValue *values, int n, int64_t *ret) {
        SqlStatement *statement;
        int r = sql_use(sql, text, &statement);

        if (r != 0)
                return r;
        if (values)
                sql_bind(statement, values);
        r = sql_step(statement);
        for (int i = 0; r == SQL_ROW && i < n; i++)
                ret[i] = sql_column_int(statement, i);
        sql_reset(statement);
        return r;
}

int sql_do(Sql *sql, const char *text, const SqlValue *values) {
        return do_once(sql, text, values, 0, NULL);
}

int sql_ints(Sql *sql, const char *text, const SqlValue *values, int n, int64_t *ret) {
        int r = do_once(sql, text, values, n, ret);

        return r == SQL_ROW ? 0 : r < 0 ? r : -EUCLEAN;
}
