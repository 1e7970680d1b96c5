/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SQLite behind one door: a connection, prepared statements, and its result codes as errnos. Strict where durability
 * needs it: WAL and synchronous=FULL are set and read back at open. One thread. (https://sqlite.org/wal.html,
 * https://sqlite.org/pragma.html#pragma_synchronous) */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"

typedef struct Sql Sql;
typedef struct SqlStatement SqlStatement;

enum {
        SQL_DONE = 0,
        SQL_ROW = 1,     /* sql_step(): columns can be read */
        SQL_DAMAGED = 2, /* SQLITE_CORRUPT or SQLITE_NOTADB, and nothing else: the file is no usable database */
};

/* Opens (creates with mode 0600, whatever the umask) the database at *path*. Errors below hold for every call:
 * SQL_DAMAGED, -ENOSPC (SQLITE_FULL, or an I/O error that was ENOSPC/EDQUOT), -EROFS (SQLITE_READONLY), -EBUSY
 * (locked), -EACCES/-ENOENT (SQLITE_CANTOPEN; or the errno that it was), -EIO, -ENOMEM; -EEXIST for a constraint,
 * -E2BIG for a value over SQLite's limit, -EINVAL for SQL that is wrong. sql_open() alone: -ENODEV where the file
 * system cannot share memory, which a WAL needs (9p, CIFS, ntfs3); -EOPNOTSUPP where there is no WAL for another
 * reason. */
int sql_open(const char *path, Sql **ret);
/* The same without shared memory, which a full disk has no room for: nobody else can use the file meanwhile. */
int sql_open_alone(const char *path, Sql **ret);
/* SQL_ALONE: opened in that way. SQL_MOVED: another file stands at its place by now, or none, so that what is written
 * goes where nobody finds it. */
enum { SQL_ALONE = 1 << 0, SQL_MOVED = 1 << 1 };
unsigned sql_standing(const Sql *sql);
Sql *sql_close(Sql *sql);
CLEANUP_DEFINE(Sql, sql_close)

/* Begins a transaction that may write. It is *durable* when its commit returns (synchronous=FULL), or with the next one
 * that is (NORMAL: a power cut may undo it, a kill does not). What is written without a begin is as the one before.
 * The first one of a connection that found a log, and that after a sync that failed, writes the log and the pages that
 * it is about once more, as they are read, and syncs them. Linux takes what could not be written for written, so that
 * the next sync succeeds without it: commits that were not durable themselves, or those of a process that was killed,
 * would be missing on the disk, and with them all that follow. (PostgreSQL: "fsyncgate") */
int sql_begin(Sql *sql, bool durable);
/* Commits where *r*, of what was done in it, is 0; else all is as before. The first error. After -ENOSPC the log goes
 * into the database if that can be, as it does when it has grown to 4 MB, and begins anew with the next one: there may
 * be room then. */
int sql_end(Sql *sql, int r);

/* Calls *ping* from within statements that run long, some hundred times a second, and at each page that goes from the
 * log into the database, or is written once more; also within sql_close(). */
void sql_set_ping(Sql *sql, void (*ping)(void *userdata), void *userdata);

/* Runs one or more statements without results. */
int sql_exec(Sql *sql, const char *statements);

/* Compiles one statement; it lives until sql_finalize() and must go before the connection. */
int sql_prepare(Sql *sql, const char *statement, SqlStatement **ret);
SqlStatement *sql_finalize(SqlStatement *statement);
CLEANUP_DEFINE(SqlStatement, sql_finalize)

/* Binds from index 1. Memory is borrowed until the next sql_reset(). Size 0 binds an empty value, also with NULL; an
 * index that is not bound is the NULL of SQL. The first error is kept until the next sql_reset(), and is what
 * sql_step() returns: a caller looks there alone. */
int sql_bind_int(SqlStatement *statement, int index, int64_t value);
int sql_bind_double(SqlStatement *statement, int index, double value); /* not NAN */
int sql_bind_text(SqlStatement *statement, int index, const char *text, size_t size);
int sql_bind_blob(SqlStatement *statement, int index, const void *data, size_t size);
/* Binds a copy of a column of another statement's row, of whatever type it is. */
int sql_bind_column(SqlStatement *statement, int index, SqlStatement *from, int column);

/* SQL_ROW, SQL_DONE, or as above. sql_reset() it before the next binding, and also to end the read that a SQL_ROW has
 * begun. */
int sql_step(SqlStatement *statement);
/* Makes it ready to run again, bindings cleared. */
void sql_reset(SqlStatement *statement);

/* Steps once and resets: of a statement whose rows nobody wants. What the step answered. */
static inline int sql_run(SqlStatement *statement) {
        int r = sql_step(statement);

        sql_reset(statement);
        return r;
}

/* Columns from 0; slices are valid until the next step or reset. The NULL of SQL is a slice without data; an integer
 * reads as its digits.
 */
int64_t sql_column_int(SqlStatement *statement, int column);
double sql_column_double(SqlStatement *statement, int column);
Slice sql_column(SqlStatement *statement, int column);

/* Copies *n* columns from *first* on into *text* (emptied before), and points *parts* at them. -ENOMEM. */
int sql_copy_columns(SqlStatement *statement, int first, size_t n, Slice *const *parts, Bytes *text);

/* The first column of the first row of a query. -ENODATA: there is no row. */
static inline int sql_query_int(Sql *sql, const char *query, int64_t *ret) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int r = sql_prepare(sql, query, &statement);

        if (r == 0)
                r = sql_step(statement);
        if (r != SQL_ROW)
                return r == SQL_DONE ? -ENODATA : r;
        *ret = sql_column_int(statement, 0);
        return 0;
}
