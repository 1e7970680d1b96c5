/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A connection to SQLite, prepared statements, and result codes as errnos; only this module uses SQLite. It insists on
 * durability: WAL and synchronous=FULL are set and read back at open. One thread. (https://sqlite.org/wal.html,
 * https://sqlite.org/pragma.html#pragma_synchronous) */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"

typedef struct Sql Sql;
typedef struct SqlStatement SqlStatement;

enum {
        SQL_DONE = 0,
        SQL_ROW = 1, /* sql_step(): there is a row to read */
};

/* Opens the database at *path*; creates it with mode 0600, whatever the umask is. These errors hold for every call:
 * -EUCLEAN (SQLITE_CORRUPT or SQLITE_NOTADB: the file is damaged, or no database), -ENOSPC (SQLITE_FULL, or an I/O
 * error that was ENOSPC/EDQUOT), -EFBIG, -EROFS (SQLITE_READONLY), -EBUSY (locked), -EACCES/-ENOENT (SQLITE_CANTOPEN;
 * or its own errno), -EIO, -ENOMEM; -EEXIST for a constraint, -E2BIG for a value over SQLite's limit, -EINVAL for wrong
 * SQL. Only sql_open() returns -ENODEV, when the file system has no shared memory, which a WAL needs (9p, CIFS, ntfs3),
 * and -EOPNOTSUPP, when a WAL is not possible for another reason. */
int sql_open(const char *path, Sql **ret);
/* Like sql_open(), but without shared memory, for which a full disk has no room. Nobody else can use the file
 * meanwhile. */
int sql_open_alone(const char *path, Sql **ret);
/* SQL_ALONE: opened by sql_open_alone(). SQL_MOVED: the file was removed or replaced by another one, so nobody would
 * find what is written. */
enum { SQL_ALONE = 1 << 0, SQL_MOVED = 1 << 1 };
unsigned sql_standing(const Sql *sql);
Sql *sql_close(Sql *sql);
CLEANUP_DEFINE(Sql, sql_close)

/* Begins a transaction that may write. If *durable*, it is on the disk when its commit returns (synchronous=FULL). If
 * not (NORMAL), it is on the disk with the next durable commit: until then a power cut may undo it, a kill does not. A
 * write without sql_begin() is like the last transaction.
 * The first transaction of a connection that found a log, and the first after a failed sync, writes the log and its
 * pages once more, as they are read, and syncs them. The reason: after a failed write Linux marks the data as written,
 * so the next sync succeeds without it. Earlier commits that were not durable, or those of a killed process, would then
 * be missing on the disk, and everything after them too. (PostgreSQL: "fsyncgate") */
int sql_begin(Sql *sql, bool durable);
/* Commits when *r*, the result of the work in the transaction, is 0; else rolls back. Returns *r* or the error of the
 * commit. After -ENOSPC the log is copied into the database if possible, as it is when it has grown to 4 MB; it then
 * begins anew with the next transaction, and there may be room. */
int sql_end(Sql *sql, int r);

/* Calls *ping* during statements that run long, some hundred times a second, and for each page that is copied from the
 * log into the database or written once more; also within sql_close(). */
void sql_set_ping(Sql *sql, void (*ping)(void *userdata), void *userdata);

/* Runs one or more statements without results. */
int sql_exec(Sql *sql, const char *statements);

/* Compiles one statement; it must be finalized before the connection is closed. */
int sql_prepare(Sql *sql, const char *statement, SqlStatement **ret);
SqlStatement *sql_finalize(SqlStatement *statement);
CLEANUP_DEFINE(SqlStatement, sql_finalize)

/* A value for a parameter. */
typedef struct SqlValue {
        enum { SQL_VALUE_END, SQL_VALUE_INT, SQL_VALUE_DOUBLE, SQL_VALUE_TEXT, SQL_VALUE_BLOB } kind;
        int64_t number;
        double real; /* not NaN */
        Slice bytes;
} SqlValue;
#define SQL_INT(value)                                                                                                 \
        { .kind = SQL_VALUE_INT, .number = (int64_t) (value) }
#define SQL_DOUBLE(value)                                                                                              \
        { .kind = SQL_VALUE_DOUBLE, .real = (value) }
#define SQL_TEXT(value)                                                                                                \
        {                                                                                                              \
                .kind = SQL_VALUE_TEXT, .bytes = {.data = (value) }                                                    \
        }
#define SQL_BLOB(value)                                                                                                \
        {                                                                                                              \
                .kind = SQL_VALUE_BLOB, .bytes = {(value).data, (value).size }                                         \
        }
#define SQL_VALUES(...) ((const SqlValue[]){ __VA_ARGS__, {} })

/* Binds a value; indexes start at 1. Its memory must stay valid until the next sql_reset(). A blob of size 0 is an
 * empty value, also with NULL. A text that is NULL, or an index that is not bound, is SQL's NULL. The first error is
 * kept until the next sql_reset() and returned by sql_step(). */
void sql_bind_value(SqlStatement *statement, int index, const SqlValue *value);
/* Binds ?1, ?2 and so on: sql_bind(statement, SQL_VALUES(SQL_INT(id), SQL_TEXT(name))). */
void sql_bind(SqlStatement *statement, const SqlValue *values);
/* Binds a copy of a column of another statement's row, whatever its type is. */
void sql_bind_column(SqlStatement *statement, int index, SqlStatement *from, int column);

static inline void sql_bind_int(SqlStatement *statement, int index, int64_t value) {
        sql_bind_value(statement, index, &(const SqlValue) SQL_INT(value));
}

static inline void sql_bind_text(SqlStatement *statement, int index, const char *text) {
        sql_bind_value(statement, index, &(const SqlValue) SQL_TEXT(text));
}

/* Returns SQL_ROW, SQL_DONE, or an error as above. Call sql_reset() before the next binding. It also ends a read after
 * SQL_ROW. */
int sql_step(SqlStatement *statement);
/* Makes the statement ready to run again and clears its bindings. */
void sql_reset(SqlStatement *statement);

/* Steps once and resets, for a statement whose rows are not needed. Returns the result of the step. */
static inline int sql_run(SqlStatement *statement) {
        int r = sql_step(statement);

        sql_reset(statement);
        return r;
}

/* Read columns; the first is 0. Slices are valid until the next step or reset. SQL's NULL is a slice without data; an
 * integer reads as its digits. */
int64_t sql_column_int(SqlStatement *statement, int column);
double sql_column_double(SqlStatement *statement, int column);
Slice sql_column(SqlStatement *statement, int column);

/* Returns the statement of *text*, a constant: it is compiled when it is first used, and belongs to the connection
 * until that is closed. -EUCLEAN if it cannot be compiled: a table or a column that it names is missing. */
int sql_use(Sql *sql, const char *text, SqlStatement **ret);
/* Runs that statement with these parameters (NULL: none) once; see sql_run(). */
int sql_do(Sql *sql, const char *text, const SqlValue *values);
/* The same for a query that always has a row: reads *n* integers from it. -EUCLEAN: there is none. */
int sql_ints(Sql *sql, const char *text, const SqlValue *values, int n, int64_t *ret);

/* Copies *n* columns from *first* on into *text* (emptied before), and points *parts* at them. -ENOMEM. */
static inline int sql_copy_columns(SqlStatement *statement, int first, size_t n, Slice *const *parts, Bytes *text) {
        size_t total = 0;
        int r;

        for (size_t i = 0; i < n; i++)
                total += sql_column(statement, first + (int) i).size;
        bytes_cut(text, 0);
        r = bytes_reserve(text, total + 1); /* the full size at once, so that the memory does not move */
        for (size_t i = 0; r == 0 && i < n; i++) {
                Slice column = sql_column(statement, first + (int) i);

                *parts[i] = (Slice){ text->data + text->size, column.size };
                r = bytes_append(text, column.data, column.size);
        }
        return r;
}

/* Reads the first column of the first row of a query. -ENODATA: there is no row. */
static inline int sql_query_int(Sql *sql, const char *query, int64_t *ret) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int r = sql_prepare(sql, query, &statement);

        if (r == 0)
                r = sql_step(statement);
        if (r != SQL_ROW)
                return r < 0 ? r : -ENODATA;
        *ret = sql_column_int(statement, 0);
        return 0;
}
