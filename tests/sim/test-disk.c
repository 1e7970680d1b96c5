/* SPDX-License-Identifier: Apache-2.0 */
/* The disk of the simulations loses what it may lose, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "lib/file.h"
#include "lib/sql.h"

#define ROUNDS 400

static int setup(void **state) {
        Disk *disk = disk_new("/disk", 1);

        disk_mount(disk);
        *state = disk;
        return 0;
}

static int teardown(void **state) {
        disk_free(*state);
        return 0;
}

static void put(const char *path, const char *text, bool sync) {
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        if (sync)
                assert_int_equal(fsync(fd), 0);
        assert_int_equal(close(fd), 0);
}

static void sync_directory(const char *path) {
        int fd = open(path, O_RDONLY | O_DIRECTORY);

        assert_true(fd >= 0);
        assert_int_equal(fsync(fd), 0);
        assert_int_equal(close(fd), 0);
}

/* What the file holds; NULL: it is not there. The caller frees it. */
static char *get(const char *path) {
        Bytes text = {};

        (void) file_load(path, 70000, &text);
        return text.data;
}

static void cut(Disk *disk) {
        disk_cut(disk);
        disk_mount(disk);
}

static void test_kill_loses_nothing(void **state) {
        char *text;
        int fd;

        put("/disk/a", "one", false);
        fd = open("/disk/a", O_RDONLY);
        disk_kill(*state);
        assert_int_equal(open("/disk/a", O_RDONLY), -1);
        assert_int_equal(errno, EIO);
        assert_int_equal(close(fd), 0);
        disk_mount(*state);
        assert_int_equal(read(fd, &fd, 1), -1);
        text = get("/disk/a");
        assert_string_equal(text, "one");
        free(text);
}

static void test_synced_is_kept(void **state) {
        for (unsigned i = 0; i < ROUNDS; i++) {
                char *text;

                put("/disk/a", "one", true);
                sync_directory("/disk");
                put("/disk/b", "lost, or not", false);
                cut(*state);
                text = get("/disk/a");
                assert_string_equal(text, "one");
                free(text);
                assert_int_equal(unlink("/disk/a"), 0);
                (void) unlink("/disk/b");
                sync_directory("/disk");
        }
}

/* Some cuts lose it and some do not: contents, the name, or the end of the file. */
static void test_unsynced_may_be_lost(void **state) {
        unsigned gone = 0, empty = 0, whole = 0, part = 0;
        char long_text[5001];

        memset(long_text, 'x', 5000);
        long_text[5000] = '\0';
        for (unsigned i = 0; i < ROUNDS; i++) {
                char *text;

                put("/disk/a", long_text, false);
                cut(*state);
                text = get("/disk/a");
                gone += !text;
                empty += text && text[0] == '\0' && strlen(text) == 0;
                whole += text && strcmp(text, long_text) == 0;
                part += text && text[0] == 'x' && strcmp(text, long_text) != 0;
                free(text);
                (void) unlink("/disk/a");
                sync_directory("/disk");
        }
        assert_true(gone > 10 && empty > 10 && whole > 10 && part > 10);
}

/* A file that is replaced as a whole is the old one or the new one. */
static void test_replaced_as_a_whole(void **state) {
        for (unsigned i = 0; i < ROUNDS; i++) {
                char text[32], *found;

                (void) snprintf(text, sizeof(text), "%u", i);
                assert_int_equal(file_replace("/disk", "a", text, strlen(text)), 0);
                cut(*state);
                found = get("/disk/a");
                assert_string_equal(found, text);
                free(found);
        }
}

static void test_rename_needs_a_sync(void **state) {
        unsigned old = 0, new = 0;

        for (unsigned i = 0; i < ROUNDS; i++) {
                put("/disk/a", "x", true);
                sync_directory("/disk");
                assert_int_equal(rename("/disk/a", "/disk/b"), 0);
                assert_int_equal(access("/disk/a", F_OK), -1);
                cut(*state);
                assert_int_not_equal(access("/disk/a", F_OK), access("/disk/b", F_OK));
                old += access("/disk/a", F_OK) == 0;
                new += access("/disk/b", F_OK) == 0;
                (void) unlink("/disk/a");
                (void) unlink("/disk/b");
        }
        assert_true(old > 10 && new > 10);
}

static void test_full_and_read_only(void **state) {
        DiskFaults faults = DISK_FAULTS_NONE;
        char block[4096] = "";
        int fd = open("/disk/a", O_WRONLY | O_CREAT, 0600);

        assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
        faults.size = 8192;
        disk_set_faults(*state, &faults);
        assert_int_equal(write(fd, block, 4000), 4000);
        assert_int_equal(write(fd, block, sizeof(block)), 96);
        assert_int_equal(write(fd, block, 1), -1);
        assert_int_equal(errno, ENOSPC);
        assert_int_equal(open("/disk/b", O_WRONLY | O_CREAT, 0600), -1);
        assert_int_equal(errno, ENOSPC);
        faults = DISK_FAULTS_NONE;
        faults.read_only = true;
        disk_set_faults(*state, &faults);
        assert_int_equal(write(fd, block, 1), -1);
        assert_int_equal(errno, EROFS);
        assert_int_equal(unlink("/disk/a"), -1);
        assert_int_equal(close(fd), 0);
}

static void test_names_of_a_directory(void **state) {
        const struct dirent *entry;
        unsigned n = 0;
        DIR *directory;

        assert_int_equal(mkdir("/disk/d", 0750), 0);
        assert_int_equal(mkdir("/disk/no/d", 0750), -1);
        put("/disk/d/a", "", false);
        put("/disk/d/b", "", false);
        put("/disk/c", "", false);
        directory = opendir("/disk/d");
        assert_non_null(directory);
        while ((entry = readdir(directory))) {
                n++;
                assert_true(strcmp(entry->d_name, "a") == 0 || strcmp(entry->d_name, "b") == 0);
        }
        assert_int_equal(closedir(directory), 0);
        assert_int_equal(n, 2);
}

static void test_locks_end_with_their_life(void **state) {
        int fd = open("/disk/lock", O_RDWR | O_CREAT, 0600), other = open("/disk/lock", O_RDWR);

        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
        assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
        assert_int_equal(errno, EWOULDBLOCK);
        disk_kill(*state);
        disk_mount(*state);
        other = open("/disk/lock", O_RDWR);
        assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
}

static int64_t count_rows(Sql *sql) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;

        assert_int_equal(sql_prepare(sql, "SELECT count(*) FROM t", &statement), 0);
        assert_int_equal(sql_step(statement), SQL_ROW);
        return sql_column_int(statement, 0);
}

/* SQLite: what was committed is there, with two connections and a log in between. */
static void test_sqlite(void **state) {
        unsigned rows = 0;
        Sql *sql, *other;

        for (unsigned i = 0; i < ROUNDS; i++) {
                assert_int_equal(sql_open("/disk/t.sqlite", &sql), 0);
                sync_directory("/disk");
                assert_int_equal(sql_exec(sql, "CREATE TABLE IF NOT EXISTS t (a)"), 0);
                assert_int_equal(count_rows(sql), rows);
                assert_int_equal(sql_open("/disk/t.sqlite", &other), 0);
                assert_int_equal(sql_exec(sql, "BEGIN IMMEDIATE; INSERT INTO t VALUES (zeroblob(3000))"), 0);
                assert_int_equal(sql_exec(other, "INSERT INTO t VALUES (1)"), -EBUSY);
                assert_int_equal(sql_exec(sql, "COMMIT"), 0);
                assert_int_equal(sql_exec(other, "INSERT INTO t VALUES (1)"), 0);
                rows += 2;
                assert_int_equal(count_rows(sql), rows);
                if (i % 2)
                        disk_cut(*state);
                sql_close(other);
                sql_close(sql);
                disk_mount(*state);
        }
}

/* A sync that failed is the last word on what was not written then. */
static void test_sync_that_forgets(void **state) {
        DiskFaults faults = DISK_FAULTS_NONE;
        unsigned lost = 0;

        for (unsigned i = 0; i < ROUNDS; i++) {
                int fd = open("/disk/a", O_RDWR | O_CREAT | O_TRUNC, 0600);
                char *text;

                sync_directory("/disk");
                assert_int_equal(write(fd, "x", 1), 1);
                faults.sync_error = 1000000;
                faults.sync_forgets = true;
                disk_set_faults(*state, &faults);
                assert_int_equal(fsync(fd), -1);
                disk_set_faults(*state, &DISK_FAULTS_NONE);
                assert_int_equal(fsync(fd), 0);
                assert_int_equal(close(fd), 0);
                text = get("/disk/a");
                assert_string_equal(text, "x");
                free(text);
                cut(*state);
                text = get("/disk/a");
                lost += strcmp(text, "x") != 0;
                free(text);
                assert_int_equal(unlink("/disk/a"), 0);
        }
        assert_in_range(lost, ROUNDS / 4, ROUNDS / 4 * 3);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_kill_loses_nothing),
                TEST(test_synced_is_kept),
                TEST(test_unsynced_may_be_lost),
                TEST(test_replaced_as_a_whole),
                TEST(test_rename_needs_a_sync),
                TEST(test_full_and_read_only),
                TEST(test_names_of_a_directory),
                TEST(test_locks_end_with_their_life),
                TEST(test_sqlite),
                TEST(test_sync_that_forgets),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
