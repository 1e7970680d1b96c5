/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lib/sql.h"

/* A temporary directory for each test, and the database in it. */
static char directory[64], path[128];

static int setup(void **state) {
        (void) snprintf(directory, sizeof(directory), "/tmp/test-sql-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        (void) snprintf(path, sizeof(path), "%s/outbox.db", directory);
        return 0;
}

static int teardown(void **state) {
        static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                char name[160];

                (void) snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
                (void) unlink(name);
        }
        return rmdir(directory);
}

static Sql *open_good(void) {
        Sql *sql = NULL;

        assert_int_equal(sql_open(path, &sql), 0);
        assert_non_null(sql);
        return sql;
}

static Sql *open_table(void) {
        Sql *sql = open_good();

        assert_int_equal(sql_exec(sql, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, a, b)"), 0);
        return sql;
}

static int64_t query_int(Sql *sql, const char *query) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        int64_t value;

        assert_int_equal(sql_prepare(sql, query, &statement), 0);
        assert_int_equal(sql_step(statement), SQL_ROW);
        value = sql_column_int(statement, 0);
        assert_int_equal(sql_step(statement), SQL_DONE);
        return value;
}

static mode_t mode_of(const char *suffix) {
        char name[160];
        struct stat st;

        (void) snprintf(name, sizeof(name), "%s%s", path, suffix);
        assert_int_equal(stat(name, &st), 0);
        return st.st_mode & 07777;
}

static void write_file(const char *data, size_t size, mode_t mode) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, size), size);
        assert_int_equal(fchmod(fd, mode), 0);
        (void) close(fd);
}

static void test_settings(void **state) {
        _cleanup_(sql_closep) Sql *sql = open_table();
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;

        assert_int_equal(query_int(sql, "PRAGMA synchronous"), 2);
        assert_int_equal(sql_prepare(sql, "PRAGMA journal_mode", &statement), 0);
        assert_int_equal(sql_step(statement), SQL_ROW);
        assert_true(slice_equal(sql_column(statement, 0), "wal"));
        assert_null(sql_close(NULL));
        assert_null(sql_finalize(NULL));
}

/* Readings tell who is at home: nobody else may read them, whatever the umask. */
static void test_mode(void **state) {
        static const mode_t umasks[] = { 0, 022, 0077, 0777 };

        for (size_t i = 0; i < ELEMENTSOF(umasks); i++) {
                mode_t before = umask(umasks[i]);
                Sql *sql = open_table();

                (void) umask(before);
                assert_int_equal(sql_exec(sql, "INSERT INTO t (a) VALUES (1)"), 0);
                assert_int_equal(mode_of(""), 0600);
                assert_int_equal(mode_of("-wal"), 0600);
                assert_int_equal(mode_of("-shm"), 0600);
                sql = sql_close(sql);
                assert_int_equal(unlink(path), 0);
        }
}

/* What root makes in the service's directory, trying something by hand, is the service's: all three files. */
static void test_owner(void **state) {
        static const char *const suffixes[] = { "", "-wal", "-shm" };
        bool root = geteuid() == 0;
        struct stat status;
        char name[160];
        Sql *sql;

        assert_int_equal(chown(directory, 12345, 12346), root ? 0 : -1);
        sql = open_table();
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
                assert_int_equal(stat(name, &status), 0);
                assert_int_equal(status.st_uid, root ? 12345 : geteuid());
                assert_int_equal(status.st_gid, root ? 12346 : getegid());
        }
        sql_close(sql);
}

/* Root looks into the directory of a service, which may have put a link there: what it leads to stays as it is. */
static void test_link_is_not_followed_by_root(void **state) {
        char target[] = "/tmp/test-sql-target-XXXXXX", other[] = "/tmp/test-sql-other-XXXXXX", through[160];
        struct stat status;
        Sql *sql = NULL;
        int fd;

        if (geteuid() != 0)
                skip();
        fd = mkstemp(target);
        assert_true(fd >= 0);
        assert_int_equal(fchmod(fd, 0644), 0);
        assert_int_equal(symlink(target, path), 0);
        assert_int_equal(chown(directory, 12345, 12346), 0);
        assert_int_equal(sql_open(path, &sql), -ELOOP);
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0644);
        assert_int_equal(status.st_size, 0); /* an empty file would become a database */
        (void) close(fd);
        assert_int_equal(unlink(target), 0);
        assert_int_equal(unlink(path), 0);

        assert_non_null(mkdtemp(other)); /* /var/lib/sensorqd may be one: DynamicUser= */
        assert_int_equal(rmdir(other), 0);
        assert_int_equal(symlink(directory, other), 0);
        (void) snprintf(through, sizeof(through), "%s/outbox.db", other);
        assert_int_equal(sql_open(through, &sql), 0);
        sql_close(sql);
        assert_int_equal(unlink(other), 0);

        (void) snprintf(through, sizeof(through), "%s/theirs", directory);
        assert_non_null(mkdtemp(strcpy(other, "/tmp/test-sql-other-XXXXXX")));
        assert_int_equal(symlink(other, through), 0); /* a state_dir there could lead anywhere */
        (void) strcat(through, "/outbox.db");
        assert_int_equal(sql_open(through, &sql), -ELOOP);
        assert_int_equal(rmdir(other), 0); /* nothing was made there */
        (void) snprintf(through, sizeof(through), "%s/theirs", directory);
        assert_int_equal(unlink(through), 0);
}

static void test_mode_mended(void **state) {
        _cleanup_(sql_closep) Sql *sql = NULL;

        write_file("", 0, 0644);
        sql = open_table();
        assert_int_equal(mode_of(""), 0600);
        assert_int_equal(mode_of("-wal"), 0600);
}

static void test_values(void **state) {
        static const char blob[] = "a\0b\xff";
        _cleanup_(sql_closep) Sql *sql = open_table();
        _cleanup_(sql_finalizep) SqlStatement *insert = NULL, *select = NULL;
        Slice slice;

        assert_int_equal(sql_prepare(sql, "INSERT INTO t (id, a, b) VALUES (?, ?, ?)", &insert), 0);
        sql_bind_int(insert, 1, INT64_MAX);
        sql_bind_text(insert, 2, "text");
        sql_bind_value(insert, 3, &(const SqlValue) SQL_BLOB(((Slice){ blob, 4 })));
        assert_int_equal(sql_step(insert), SQL_DONE);
        sql_reset(insert);

        sql_bind_int(insert, 1, INT64_MIN); /* the others: not bound any more */
        assert_int_equal(sql_step(insert), SQL_DONE);
        sql_reset(insert);

        sql_bind_int(insert, 1, 7);
        sql_bind_text(insert, 2, "");
        sql_bind_value(insert, 3, &(const SqlValue) SQL_BLOB((Slice){}));
        assert_int_equal(sql_step(insert), SQL_DONE);
        sql_reset(insert);

        assert_int_equal(sql_prepare(sql, "SELECT id, a, b, typeof(a), typeof(b) FROM t ORDER BY id", &select), 0);
        assert_int_equal(sql_step(select), SQL_ROW);
        assert_true(sql_column_int(select, 0) == INT64_MIN);
        assert_null(sql_column(select, 1).data);
        assert_int_equal(sql_column(select, 1).size, 0);
        assert_true(slice_equal(sql_column(select, 3), "null"));
        assert_true(slice_equal(sql_column(select, 0), "-9223372036854775808"));

        assert_int_equal(sql_step(select), SQL_ROW);
        assert_int_equal(sql_column_int(select, 0), 7);
        assert_non_null(sql_column(select, 1).data);
        assert_non_null(sql_column(select, 2).data);
        assert_int_equal(sql_column(select, 2).size, 0);
        assert_true(slice_equal(sql_column(select, 3), "text"));
        assert_true(slice_equal(sql_column(select, 4), "blob"));

        assert_int_equal(sql_step(select), SQL_ROW);
        assert_true(sql_column_int(select, 0) == INT64_MAX);
        assert_true(slice_equal(sql_column(select, 1), "text"));
        slice = sql_column(select, 2);
        assert_int_equal(slice.size, 4);
        assert_memory_equal(slice.data, blob, 4);
        assert_int_equal(sql_step(select), SQL_DONE);
}

/* A reset ends the read, so that the WAL can be folded back. */
static void test_reset(void **state) {
        _cleanup_(sql_closep) Sql *sql = open_table();
        _cleanup_(sql_finalizep) SqlStatement *select = NULL;

        assert_int_equal(sql_exec(sql, "INSERT INTO t (a) VALUES (1); INSERT INTO t (a) VALUES (2)"), 0);
        assert_int_equal(sql_prepare(sql, "SELECT a FROM t ORDER BY a", &select), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(sql_step(select), SQL_ROW);
                assert_int_equal(sql_column_int(select, 0), 1);
                sql_reset(select);
        }
        assert_int_equal(query_int(sql, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
}

static void test_wrong_sql(void **state) {
        _cleanup_(sql_closep) Sql *sql = open_table();
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;

        assert_int_equal(sql_exec(sql, "NONSENSE"), -EINVAL);
        assert_int_equal(sql_exec(sql, "INSERT INTO none VALUES (1)"), -EINVAL);
        assert_int_equal(sql_exec(sql, "ROLLBACK"), -EINVAL);
        assert_int_equal(sql_prepare(sql, "SELECT", &statement), -EINVAL);
        assert_int_equal(sql_prepare(sql, "", &statement), -EINVAL);
        assert_int_equal(sql_prepare(sql, "-- nothing", &statement), -EINVAL);
        assert_int_equal(sql_prepare(sql, "SELECT 1; SELECT 2", &statement), -EINVAL);
        assert_null(statement);
        assert_int_equal(sql_prepare(sql, "SELECT ?", &statement), 0);
        sql_bind_int(statement, 2, 1);
        assert_int_equal(sql_step(statement), -EINVAL);
}

/* What a connection keeps is compiled once, and goes with it. */
static void test_statements_that_stay(void **state) {
        static const char insert[] = "INSERT INTO t (id) VALUES (?1)", range[] = "SELECT min(id), max(id) FROM t";
        _cleanup_(sql_closep) Sql *sql = open_table();
        SqlStatement *first, *again;
        int64_t ids[2];

        for (int64_t id = 7; id < 10; id++)
                assert_int_equal(sql_do(sql, insert, SQL_VALUES(SQL_INT(id))), SQL_DONE);
        assert_int_equal(sql_do(sql, insert, SQL_VALUES(SQL_INT(7))), -EEXIST);
        assert_int_equal(sql_ints(sql, range, NULL, 2, ids), 0);
        assert_int_equal(ids[0], 7);
        assert_int_equal(ids[1], 9);
        assert_int_equal(sql_use(sql, range, &first), 0);
        assert_int_equal(sql_use(sql, range, &again), 0);
        assert_ptr_equal(first, again);
        assert_int_equal(sql_ints(sql, "SELECT id FROM t WHERE id = ?1", SQL_VALUES(SQL_INT(1)), 1, ids), -EUCLEAN);
        assert_int_equal(sql_use(sql, "SELECT none FROM t", &again), -EUCLEAN);
        assert_int_equal(sql_do(sql, "SELECT id FROM none", NULL), -EUCLEAN);
}

static void test_constraint(void **state) {
        _cleanup_(sql_closep) Sql *sql = open_table();

        assert_int_equal(sql_exec(sql, "INSERT INTO t (id) VALUES (1)"), 0);
        assert_int_equal(sql_exec(sql, "INSERT INTO t (id) VALUES (1)"), -EEXIST);
        assert_int_equal(query_int(sql, "SELECT count(*) FROM t"), 1);
}

static void test_busy(void **state) {
        _cleanup_(sql_closep) Sql *one = open_table(), *two = open_good();

        assert_int_equal(sql_exec(one, "BEGIN IMMEDIATE; INSERT INTO t (a) VALUES (1)"), 0);
        assert_int_equal(sql_exec(two, "INSERT INTO t (a) VALUES (2)"), -EBUSY);
        assert_int_equal(query_int(two, "SELECT count(*) FROM t"), 0); /* readers go on */
        assert_int_equal(sql_exec(one, "COMMIT"), 0);
        assert_int_equal(sql_exec(two, "INSERT INTO t (a) VALUES (2)"), 0);
        assert_int_equal(query_int(one, "SELECT count(*) FROM t"), 2);
}

/* What another process gets for a write, after a byte came from *fd*. */
static int write_elsewhere(int fd) {
        _cleanup_(sql_closep) Sql *sql = NULL;
        char byte;

        if (read(fd, &byte, 1) != 1 || sql_open(path, &sql) != 0)
                return 1;
        return sql_exec(sql, "INSERT INTO t (a) VALUES (2)") == -EBUSY ? 0 : 2;
}

/* Another open and close in the same process leaves the first connection's locks alone. */
static void test_locks_kept(void **state) {
        _cleanup_(sql_closep) Sql *one = NULL;
        int fds[2], status;
        pid_t pid;
        Sql *two;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(write_elsewhere(fds[0]));

        one = open_table();
        assert_int_equal(sql_exec(one, "BEGIN IMMEDIATE; INSERT INTO t (a) VALUES (1)"), 0);
        two = open_good();
        two = sql_close(two);
        assert_null(two);

        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(sql_exec(one, "COMMIT"), 0);
        (void) close(fds[0]);
        (void) close(fds[1]);
}

/* Killed in a transaction: what was committed is there, the rest is not (P1). */
static void test_killed(void **state) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                Sql *sql = NULL;

                if (sql_open(path, &sql) != 0 ||
                        sql_exec(sql, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)") != 0)
                        _exit(1);
                if (sql_exec(sql, "BEGIN; INSERT INTO t VALUES (3)") != 0)
                        _exit(1);
                (void) raise(SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(mode_of("-wal"), 0600);
        {
                _cleanup_(sql_closep) Sql *sql = open_good();

                assert_int_equal(query_int(sql, "SELECT count(*) FROM t"), 2);
        }
}

static void count(void *userdata) {
        (*(unsigned *) userdata)++;
}

static void put_pages(Sql *sql, unsigned n) {
        assert_int_equal(sql_begin(sql, true), 0);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(sql_exec(sql, "INSERT INTO t (a) VALUES (zeroblob(4000))"), 0);
        assert_int_equal(sql_end(sql, 0), 0);
}

static off_t size_of(const char *suffix) {
        struct stat status;
        char name[160];

        (void) snprintf(name, sizeof(name), "%s%s", path, suffix);
        return stat(name, &status) < 0 ? 0 : status.st_size;
}

/* A log that grew while somebody read goes into the file with the first commit after that: page by page it is told, or
 * a watchdog takes it for a loop that hangs. Then it gives the disk back what it took. */
static void test_log_that_grew(void **state) {
        Sql *sql = open_table(), *reader = open_good();
        unsigned pings = 0;

        put_pages(sql, 10);
        assert_int_equal(sql_exec(reader, "BEGIN; SELECT count(*) FROM t"), 0);
        for (unsigned i = 0; i < 60; i++)
                put_pages(sql, 100);
        assert_true(size_of("-wal") > 24 * 1024 * 1024);
        assert_int_equal(sql_exec(reader, "COMMIT"), 0);
        sql_set_ping(sql, count, &pings);
        put_pages(sql, 1);
        assert_true(size_of("") > 23 * 1024 * 1024);
        assert_true(pings >= 6000);
        put_pages(sql, 1);
        assert_true(size_of("-wal") <= 16 * 1024 * 1024);
        (void) sql_close(reader);
        (void) sql_close(sql);
}

/* The same where what a killed process left is written again, and at a close. */
static void test_log_that_is_left(void **state) {
        Sql *sql = open_table();
        unsigned pings = 0;
        char name[700];

        (void) snprintf(name, sizeof(name), "cp %s %s.copy && cp %s-wal %s.copy-wal", path, path, path, path);
        put_pages(sql, 900);
        assert_int_equal(system(name), 0);
        (void) snprintf(name, sizeof(name), "%s.copy", path);
        (void) sql_close(sql);
        assert_int_equal(sql_open(name, &sql), 0);
        sql_set_ping(sql, count, &pings);
        assert_int_equal(sql_begin(sql, true), 0);
        assert_true(pings >= 2 * 900);
        assert_int_equal(sql_end(sql, 0), 0);
        pings = 0;
        (void) sql_close(sql);
        assert_true(pings >= 900);
        assert_int_equal(unlink(name), 0);
}

static void test_not_a_database(void **state) {
        char junk[8192];
        Sql *sql = NULL;

        memset(junk, 'x', sizeof(junk));
        for (size_t size = 2; size <= sizeof(junk); size *= 2) { /* SQLite takes one byte for an empty file */
                write_file(junk, size, 0600);
                assert_int_equal(sql_open(path, &sql), -EUCLEAN);
                assert_int_equal(mode_of(""), 0600);
        }
        assert_null(sql);
        assert_int_equal(access(path, F_OK), 0); /* never deleted */
}

/* Overwrites *size* bytes of the file at *offset*. */
static void damage(off_t offset, size_t size) {
        char junk[65536];
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        memset(junk, 0xa5, sizeof(junk));
        assert_true(fd >= 0 && size <= sizeof(junk));
        assert_int_equal(pwrite(fd, junk, size, offset), size);
        (void) close(fd);
}

static void test_damaged_page(void **state) {
        _cleanup_(sql_finalizep) SqlStatement *select = NULL;
        _cleanup_(sql_closep) Sql *sql = open_table();
        int r;

        assert_int_equal(sql_exec(sql, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
                                       "INSERT INTO t (a) SELECT hex(randomblob(50)) FROM n"),
                0);
        sql = sql_close(sql); /* folds the WAL back */
        damage(4096, 65536);

        sql = open_good();
        assert_int_equal(sql_exec(sql, "SELECT sum(length(a)) FROM t"), -EUCLEAN);
        assert_int_equal(sql_prepare(sql, "SELECT a FROM t", &select), 0);
        while ((r = sql_step(select)) == SQL_ROW)
                continue;
        assert_int_equal(r, -EUCLEAN);
}

static void test_damaged_header(void **state) {
        Sql *sql = open_table();

        sql = sql_close(sql);
        damage(0, 16);
        assert_int_equal(sql_open(path, &sql), -EUCLEAN);
        assert_null(sql);
}

static void test_full(void **state) {
        _cleanup_(sql_closep) Sql *sql = open_table();

        assert_int_equal(sql_exec(sql, "PRAGMA max_page_count = 8"), 0);
        assert_int_equal(sql_exec(sql, "INSERT INTO t (a) VALUES (zeroblob(100000))"), -ENOSPC);
        assert_int_equal(query_int(sql, "SELECT count(*) FROM t"), 0);
        assert_int_equal(sql_exec(sql, "INSERT INTO t (a) VALUES (1)"), 0);
}

static void test_cannot_open(void **state) {
        Sql *sql = NULL;
        char name[192];

        (void) snprintf(name, sizeof(name), "%s/none/outbox.db", directory);
        assert_int_equal(sql_open(name, &sql), -ENOENT);
        assert_true(sql_open(directory, &sql) < 0);
        write_file("", 0, 0600);
        (void) snprintf(name, sizeof(name), "%s/outbox.db", path);
        assert_int_equal(sql_open(name, &sql), -ENOTDIR);
        assert_null(sql);
}

static void *no_map(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
        errno = ENODEV;
        return MAP_FAILED;
}

/* A file system that memory cannot be shared by, as 9p: nobody shall look for a disk that fails. */
static void test_no_shared_memory(void **state) {
        sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
        Sql *sql = NULL;

        assert_int_equal(vfs->xSetSystemCall(vfs, "mmap", (sqlite3_syscall_ptr) no_map), SQLITE_OK);
        assert_int_equal(sql_open(path, &sql), -ENODEV);
        assert_null(sql);
        assert_int_equal(vfs->xSetSystemCall(vfs, "mmap", NULL), SQLITE_OK);
        assert_int_equal(sql_open(path, &sql), 0);
        sql_close(sql);
}

static void test_too_big(void **state) {
        _cleanup_(sql_closep) Sql *sql = open_table();
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;

        assert_int_equal(sql_prepare(sql, "INSERT INTO t (a) VALUES (?)", &statement), 0);
        sql_bind_value(statement, 1, &(const SqlValue) SQL_BLOB(((Slice){ path, (size_t) INT_MAX + 1 })));
        assert_int_equal(sql_step(statement), -E2BIG);
}

/* What a child with a small file system of its own found: 0, 77 for no such file system, else a line number. */
static void check_child(int (*child)(void)) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(child());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) {
                print_message("skipped: a mount namespace needs root\n");
                skip();
        }
        assert_int_equal(WEXITSTATUS(status), 0);
}

static int mount_small(void) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
                return -1;
        return mount("tmpfs", directory, "tmpfs", 0, "size=512k");
}

/* Fills what is left of the file system. */
static int fill(void) {
        char name[192], block[4096] = { 1 };
        int fd;

        (void) snprintf(name, sizeof(name), "%s/filler", directory);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        while (write(fd, block, sizeof(block)) > 0)
                continue;
        (void) close(fd);
        return errno == ENOSPC ? 0 : -1;
}

static int disk_full_child(void) {
        char name[192];
        _cleanup_(sql_closep) Sql *sql = NULL;
        int r = 0;

        if (mount_small() < 0)
                return 77;
        if (sql_open(path, &sql) != 0 || sql_exec(sql, "CREATE TABLE t (a)") != 0 ||
                sql_exec(sql, "INSERT INTO t VALUES (1)") != 0)
                return 1;
        if (fill() < 0)
                return 2;
        for (int i = 0; i < 200 && r == 0; i++)
                r = sql_exec(sql, "INSERT INTO t VALUES (zeroblob(3000))");
        if (r != -ENOSPC)
                return 3;
        if (query_int(sql, "SELECT min(a) FROM t") != 1)
                return 4;

        (void) snprintf(name, sizeof(name), "%s/filler", directory);
        if (unlink(name) < 0 || sql_exec(sql, "INSERT INTO t VALUES (2)") != 0)
                return 5; /* it goes on by itself once there is room */
        if (query_int(sql, "SELECT count(*) FROM t WHERE a = 2") != 1)
                return 6;
        return 0;
}

static int disk_full_open_child(void) {
        _cleanup_(sql_closep) Sql *sql = NULL;

        if (mount_small() < 0)
                return 77;
        if (fill() < 0)
                return 2;
        return sql_open(path, &sql) == -ENOSPC ? 0 : 3;
}

static int read_only_child(void) {
        char name[192];
        _cleanup_(sql_closep) Sql *sql = NULL;

        if (mount_small() < 0)
                return 77;
        if (sql_open(path, &sql) != 0 || sql_exec(sql, "CREATE TABLE t (a)") != 0)
                return 1;
        sql = sql_close(sql);
        if (mount("none", directory, "none", MS_REMOUNT | MS_RDONLY, NULL) < 0)
                return 2;
        if (sql_open(path, &sql) != -EROFS)
                return 3;
        (void) snprintf(name, sizeof(name), "%s/new.db", directory);
        return sql_open(name, &sql) == -EROFS ? 0 : 4;
}

static void test_disk_full(void **state) {
        check_child(disk_full_child);
}

static void test_disk_full_at_open(void **state) {
        check_child(disk_full_open_child);
}

static void test_read_only(void **state) {
        check_child(read_only_child);
}

static int insert(Sql *sql) {
        int r = sql_begin(sql, true);

        return r < 0 ? r : sql_end(sql, sql_exec(sql, "INSERT INTO t (a) VALUES (zeroblob(3000))"));
}

/* SQLite does not keep the errno of a commit: a quota that was used up, and a limit, were an error of the disk. */
static void test_commit_says_what_failed(void **state) {
        struct rlimit most, small;
        Sql *sql = open_table();
        int r = 0, again;

        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &most), 0);
        small = (struct rlimit){ 64 * 1024, most.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        for (unsigned i = 0; r == 0 && i < 100; i++)
                r = insert(sql);
        again = insert(sql);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &most), 0);
        assert_int_equal(r, -EFBIG);
        assert_int_equal(again, -EFBIG); /* when the log is written once more */
        assert_int_equal(insert(sql), 0);
        sql_close(sql);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_settings),
                TEST(test_commit_says_what_failed),
                TEST(test_mode),
                TEST(test_owner),
                TEST(test_link_is_not_followed_by_root),
                TEST(test_mode_mended),
                TEST(test_values),
                TEST(test_reset),
                TEST(test_wrong_sql),
                TEST(test_statements_that_stay),
                TEST(test_constraint),
                TEST(test_busy),
                TEST(test_locks_kept),
                TEST(test_killed),
                TEST(test_log_that_grew),
                TEST(test_log_that_is_left),
                TEST(test_not_a_database),
                TEST(test_damaged_page),
                TEST(test_damaged_header),
                TEST(test_full),
                TEST(test_cannot_open),
                TEST(test_no_shared_memory),
                TEST(test_too_big),
                TEST(test_disk_full),
                TEST(test_disk_full_at_open),
                TEST(test_read_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
