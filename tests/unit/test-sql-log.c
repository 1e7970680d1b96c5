/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a database that several share, and its way into the database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/sql.h"

#define PAGES 1200 /* more than make a checkpoint */

static struct {
        Sql *first, *second;
        int checkpoints;  /* that were asked for */
        int n;            /* rows */
        bool interrupted; /* the first of those, by commits of the other connection */
        bool met;         /* the second of these came between its two looks */
        int (*unfetch)(sqlite3_file *file, sqlite3_int64 at, void *page);
} world;

static void put(Sql *sql, int pages) {
        char text[160];

        (void) snprintf(text, sizeof(text),
                "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c WHERE i < %d) INSERT INTO t SELECT "
                "NULL, zeroblob(4000) FROM c",
                pages);
        assert_int_equal(sql_begin(sql, true), 0);
        assert_int_equal(sql_end(sql, sql_exec(sql, text)), 0);
        world.n += pages;
}

static int unfetch(sqlite3_file *file, sqlite3_int64 at, void *page) {
        if (!world.met) {
                world.met = true;
                put(world.first, 1);
        }
        return world.unfetch(file, at, page);
}

int __real_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done);
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done);

/* The second one has committed, and the scheduler leaves it here until the first one has committed, too, and has copied
 * it all. */
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *log, int *done) {
        sqlite3_file *file = NULL;

        if (++world.checkpoints > 1 || !world.interrupted)
                return __real_sqlite3_wal_checkpoint_v2(db, name, mode, log, done);
        put(world.first, 1);
        assert_int_equal(world.checkpoints, 2);
        assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, (void *) &file), SQLITE_OK);
        world.unfetch = file->pMethods->xUnfetch;
        ((sqlite3_io_methods *) file->pMethods)->xUnfetch = unfetch; /* the connection's own copy: watch_writes() */
        return __real_sqlite3_wal_checkpoint_v2(db, name, mode, log, done);
}

static char directory[32], path[64];

static int set_up(void **state) {
        memset(&world, 0, sizeof(world));
        (void) snprintf(directory, sizeof(directory), "/tmp/test-sql-log-XXXXXX");
        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/x.db", directory);
        assert_int_equal(sql_open(path, &world.first), 0);
        assert_int_equal(sql_exec(world.first, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)"), 0);
        assert_int_equal(sql_open(path, &world.second), 0);
        return 0;
}

static int tear_down(void **state) {
        world.second = sql_close(world.second);
        world.first = sql_close(world.first);
        return unlink(path) < 0 || rmdir(directory) < 0 ? -1 : 0;
}

/* Each of two has a checkpoint of its own: SQLite before 3.51.3 damages the database where one begins the log anew
 * while the other's checkpoint begins (https://sqlite.org/wal.html#walresetbug). Here that happens for certain: between
 * the two looks that a checkpoint takes, it unmaps what it has of the file. */
static void test_log_begun_anew(void **state) {
        int64_t n = -1;

        world.interrupted = true;
        put(world.second, PAGES);
        if (!world.met)
                skip(); /* a later SQLite may do that elsewhere */
        for (int i = 0; i < PAGES + 100; i++)
                put(world.first, 1);
        world.first = sql_close(world.first);
        world.second = sql_close(world.second);
        assert_int_equal(sql_open(path, &world.first), 0);
        assert_int_equal(sql_query_int(world.first, "SELECT count(*) FROM t", &n), 0);
        assert_int_equal(n, world.n);
        assert_int_equal(sql_query_int(world.first,
                                 "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'", &n),
                0);
        assert_int_equal(n, 1);
}

/* As many readers as SQLite has marks for, each at another place of the log: when they are gone, all of it goes into
 * the database. */
static void test_marks_that_are_left(void **state) {
        Sql *readers[4];
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(readers); i++) {
                put(world.first, 1);
                assert_int_equal(sql_open(path, &readers[i]), 0);
                assert_int_equal(sql_exec(readers[i], "BEGIN; SELECT count(*) FROM t"), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(readers); i++)
                (void) sql_close(readers[i]);
        put(world.first, PAGES);
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_size > PAGES * 4096);
        assert_int_equal(world.checkpoints, 2); /* the first stopped at the mark of its own lock */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_log_begun_anew, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_marks_that_are_left, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
