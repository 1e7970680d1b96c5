/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox on a disk that fails and loses: what sim-outbox found once, each by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "lib/log.h"
#include "lib/sql.h"
#include "../outbox-rows.h"
#include "sinks/file.h"

#define ROOT "/disk"
#define SEEDS 100

static const OutboxConfig caps = { .max_rows = 1000, .max_bytes = 1000000 };

static const DiskFaults failing = { .size = DISK_SIZE_MAX, .sync_error = 1000000, .sync_forgets = true };

static Outbox *begin(Disk *disk) {
        Outbox *outbox;

        disk_mount(disk);
        assert_int_equal(outbox_open(ROOT, &caps, &outbox, NULL), OUTBOX_OK);
        return outbox;
}

static int put(Outbox *outbox, unsigned number) {
        ReadingOrigin origin = {
                .source = "home", .type = "test", .device = "d", .at = "2026-11-24T06:27:38.123Z", .unique = number
        };
        ReadingList list = {};
        Bytes payload = {};
        int r;

        assert_int_equal(bytes_append_format(&payload, "{\"n\":%u}", number), 0);
        assert_int_equal(reading_list_add(&list, &origin, &payload), 0);
        r = outbox_put(outbox, &list, NULL);
        reading_list_done(&list);
        return r;
}

static void forget_first(Outbox *outbox) {
        OutboxRows rows;

        assert_int_equal(outbox_rows_peek(outbox, 0, 1, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 1);
        assert_int_equal(outbox_forget(outbox, &rows.items[0].id, 1), 0);
        outbox_rows_done(&rows);
}

static uint64_t waiting(Outbox *outbox) {
        OutboxStatus status;

        outbox_status(outbox, &status);
        return status.rows;
}

static Outbox *cut(Disk *disk, Outbox *outbox) {
        disk_cut(disk);
        outbox_close(outbox);
        return begin(disk);
}

/* The life ends at that call. */
typedef struct Ending {
        Disk *disk;
        unsigned calls, at;
        bool cut;
} Ending;

static void end_at(void *userdata, DiskCall call, const char *path, bool done) {
        Ending *ending = userdata;

        if (done || ++ending->calls != ending->at)
                return;
        if (ending->cut)
                disk_cut(ending->disk);
        else
                disk_kill(ending->disk);
}

/* P1: after a sync that failed Linux takes for written what is not. A forget, which is not synced by itself, would be
 * missing in the log, and with it the put that follows. */
static void test_put_after_a_failed_sync(void **state) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                Disk *disk = disk_new(ROOT, seed);
                Outbox *outbox = begin(disk);

                assert_int_equal(put(outbox, 1), 0);
                assert_int_equal(put(outbox, 2), 0);
                forget_first(outbox);
                disk_set_faults(disk, &failing);
                assert_int_equal(put(outbox, 3), -EIO);
                disk_set_faults(disk, &DISK_FAULTS_NONE);
                assert_int_equal(put(outbox, 3), 0);
                assert_int_equal(put(outbox, 4), 0);
                outbox = cut(disk, outbox);
                assert_int_equal(waiting(outbox), 3);
                outbox_close(outbox);
                disk_free(disk);
        }
}

/* The same when the process was killed in between: nobody remembers the failure. */
static void test_put_after_a_failed_sync_and_a_kill(void **state) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                Disk *disk = disk_new(ROOT, seed);
                Outbox *outbox = begin(disk);

                assert_int_equal(put(outbox, 1), 0);
                assert_int_equal(put(outbox, 2), 0);
                forget_first(outbox);
                disk_set_faults(disk, &failing);
                assert_int_equal(put(outbox, 3), -EIO);
                disk_kill(disk);
                outbox_close(outbox);
                disk_set_faults(disk, &DISK_FAULTS_NONE);
                outbox = begin(disk);
                assert_int_equal(put(outbox, 4), 0);
                outbox = cut(disk, outbox);
                assert_in_range(waiting(outbox), 2, 3); /* the third may be there, as its commit is in the log */
                outbox_close(outbox);
                disk_free(disk);
        }
}

#define TABLE ROOT "/t.sqlite"

static Sql *begin_table(Disk *disk) {
        Sql *sql;

        disk_mount(disk);
        assert_int_equal(sql_open(TABLE, &sql), 0);
        return sql;
}

static Sql *new_table(Disk *disk) {
        Sql *sql = begin_table(disk);

        assert_int_equal(sql_exec(sql, "CREATE TABLE t (a, b)"), 0);
        return sql;
}

static int insert(Sql *sql, const char *values, bool durable) {
        char text[100];
        int r = sql_begin(sql, durable);

        (void) snprintf(text, sizeof(text), "INSERT INTO t VALUES %s", values);
        return r != 0 ? r : sql_end(sql, sql_exec(sql, text));
}

static int64_t found_in_table(Sql *sql, const char *where) {
        SqlStatement *statement;
        char text[100];
        int64_t n;

        (void) snprintf(text, sizeof(text), "SELECT count(*) FROM t WHERE %s", where);
        assert_int_equal(sql_prepare(sql, text, &statement), 0);
        assert_int_equal(sql_step(statement), SQL_ROW);
        n = sql_column_int(statement, 0);
        sql_finalize(statement);
        return n;
}

static bool is_whole(Sql *sql) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;

        assert_int_equal(sql_prepare(sql, "PRAGMA integrity_check", &statement), 0);
        return sql_step(statement) == SQL_ROW && slice_equal(sql_column(statement, 0), "ok");
}

static int64_t found_at_the_next_start(Disk *disk, Sql *sql, const char *where) {
        int64_t n;

        sql_close(sql);
        sql = begin_table(disk);
        n = found_in_table(sql, where);
        sql_close(sql);
        return n;
}

/* P3, P14: a process was killed when a sync had failed; what a later one commits is durable all the same, in a file
 * where each commit is (alerts.sqlite, rejected.sqlite). */
static void test_commit_after_a_failed_sync_and_a_kill(void **state) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                Disk *disk = disk_new(ROOT, seed);
                Sql *sql = new_table(disk);

                assert_int_equal(insert(sql, "(1, '')", true), 0);
                disk_set_faults(disk, &failing);
                assert_int_equal(insert(sql, "(2, '')", true), -EIO);
                disk_kill(disk);
                sql_close(sql);
                disk_set_faults(disk, &DISK_FAULTS_NONE);
                sql = begin_table(disk);
                assert_int_equal(insert(sql, "(3, '')", true), 0);
                disk_cut(disk);
                assert_int_equal(found_at_the_next_start(disk, sql, "a IN (1, 3)"), 2);
                disk_free(disk);
        }
}

static void end_in_file(void *userdata, DiskCall call, const char *path, bool done) {
        if (call == DISK_WRITE && strcmp(path, TABLE) == 0)
                end_at(userdata, call, path, done);
}

static void fill_log(Disk *disk, Sql *sql, unsigned pages) {
        size_t size = 0;

        while (size < pages * 4120) {
                assert_int_equal(insert(sql, "(0, zeroblob(8000))", true), 0);
                assert_non_null(disk_contents(disk, TABLE "-wal", &size));
        }
}

/* A log of a thousand pages, of which the last ones are not synced, when it is to go into the file and cannot be. */
static void fill_log_to_no_avail(Disk *disk, Sql *sql) {
        fill_log(disk, sql, 990);
        disk_set_faults(disk, &failing);
        while (disk_counts(disk)->errors == 0)
                assert_int_equal(insert(sql, "(1, '')", false), 0);
        disk_set_faults(disk, &DISK_FAULTS_NONE);
}

/* P1: SQLite tells nobody that the sync with which the log goes into the file has failed. What was committed before
 * without a sync is missing on the disk then, and with it what is committed after it, until all of it is in the file.
 */
static void test_log_that_could_not_go_into_the_file(void **state) {
        for (uint64_t seed = 1; seed <= SEEDS / 5; seed++) {
                Disk *disk = disk_new(ROOT, seed);
                Sql *sql = new_table(disk);
                Ending ending = { .disk = disk, .at = 1 + (unsigned) seed % 8, .cut = true };

                fill_log_to_no_avail(disk, sql);
                assert_int_equal(sql_begin(sql, true), 0);
                disk_set_hook(disk, end_in_file, &ending);
                assert_int_equal(sql_end(sql, sql_exec(sql, "INSERT INTO t VALUES (2, '')")), 0);
                assert_true(disk_is_dead(disk));
                disk_set_hook(disk, NULL, NULL);
                assert_int_equal(found_at_the_next_start(disk, sql, "a = 2"), 1);
                disk_free(disk);
        }
}

/* P1: the same where it shall begin anew for want of room. */
static void test_log_that_could_not_begin_anew(void **state) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                Disk *disk = disk_new(ROOT, seed);
                Sql *sql = new_table(disk);

                for (int i = 0; i < 3; i++)
                        assert_int_equal(insert(sql, "(1, zeroblob(8000))", false), 0);
                assert_int_equal(sql_begin(sql, false), 0);
                disk_set_faults(disk, &failing);
                assert_int_equal(sql_end(sql, -ENOSPC), -ENOSPC);
                assert_in_range(disk_counts(disk)->errors, 1, UINT64_MAX);
                disk_set_faults(disk, &DISK_FAULTS_NONE);
                assert_int_equal(insert(sql, "(2, '')", true), 0);
                disk_cut(disk);
                assert_int_equal(found_at_the_next_start(disk, sql, "a = 2"), 1);
                disk_free(disk);
        }
}

static void fail_at_sync_of_table(void *userdata, DiskCall call, const char *path, bool done) {
        bool fails = !done && call == DISK_SYNC && strcmp(path, TABLE) == 0;

        disk_set_faults(userdata, fails ? &failing : &DISK_FAULTS_NONE);
}

static void insert_until_in_file(Disk *disk, Sql *sql) {
        uint64_t before = disk_counts(disk)->calls[DISK_SYNC] + disk_counts(disk)->errors;

        while (disk_counts(disk)->calls[DISK_SYNC] + disk_counts(disk)->errors == before)
                assert_int_equal(insert(sql, "(1, '')", false), 0);
}

/* P1: a log goes into the file as far as somebody who reads it allows, without a sync, and the rest later. When the
 * sync fails then, all of it is in doubt, not the rest alone. */
static void test_log_that_goes_into_the_file_in_parts(void **state) {
        for (uint64_t seed = 1; seed <= SEEDS / 5; seed++) {
                Disk *disk = disk_new(ROOT, seed);
                Sql *sql = new_table(disk), *other;
                SqlStatement *reads;

                fill_log(disk, sql, 990);
                assert_int_equal(sql_open(TABLE, &other), 0);
                assert_int_equal(sql_prepare(other, "SELECT * FROM t", &reads), 0);
                assert_int_equal(sql_step(reads), SQL_ROW);
                insert_until_in_file(disk, sql);
                sql_finalize(reads);
                sql_close(other);
                disk_set_hook(disk, fail_at_sync_of_table, disk);
                insert_until_in_file(disk, sql);
                disk_set_hook(disk, NULL, NULL);
                disk_set_faults(disk, &DISK_FAULTS_NONE);
                assert_in_range(disk_counts(disk)->errors, 1, UINT64_MAX);
                for (int i = 0; i < 3; i++) /* the log goes into the file, and begins anew */
                        assert_int_equal(insert(sql, "(2, '')", true), 0);
                disk_cut(disk);
                sql_close(sql);
                sql = begin_table(disk);
                assert_true(is_whole(sql));
                assert_int_equal(found_in_table(sql, "a = 2"), 3);
                sql_close(sql);
                disk_free(disk);
        }
}

/* What a cut has left of a log that had just begun is no reason to refuse. */
static void test_log_without_a_whole_header(void **state) {
        for (size_t size = 1; size <= 60; size++) {
                Disk *disk = disk_new(ROOT, size);
                Sql *sql = new_table(disk);

                sql_close(sql);
                sql = begin_table(disk);
                assert_int_equal(insert(sql, "(1, '')", true), 0);
                disk_kill(disk);
                sql_close(sql);
                disk_damage(disk, TABLE "-wal", size, NULL, 0);
                sql = begin_table(disk);
                assert_int_equal(insert(sql, "(2, '')", true), 0);
                disk_cut(disk);
                assert_int_equal(found_at_the_next_start(disk, sql, "a = 2"), 1);
                disk_free(disk);
        }
}

/* P1: the name of a log that a killed process made is durable before anything in the log is said to be. */
static void test_log_of_a_killed_process(void **state) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                Disk *disk = disk_new(ROOT, seed);
                Outbox *outbox = begin(disk);

                assert_int_equal(put(outbox, 1), 0);
                outbox_close(outbox); /* a clean end takes the log away */
                outbox = begin(disk); /* and this one makes it */
                disk_kill(disk);
                outbox_close(outbox);
                outbox = begin(disk);
                assert_int_equal(put(outbox, 2), 0);
                outbox = cut(disk, outbox);
                assert_int_equal(waiting(outbox), 2);
                outbox_close(outbox);
                disk_free(disk);
        }
}

#define NOON UINT64_C(1700000000000000)

/* A life with the archive of the file sink. */
typedef struct Archive {
        FileArchive *archive;
        FileKeys *keys;
} Archive;

static Archive begin_archive(Disk *disk) {
        const FileArchiveSpec spec = { .directory = ROOT "/archive", .max_size = 1 << 20, .subscription = "s" };
        Archive a = {};

        disk_mount(disk);
        assert_int_equal(file_archive_new(&spec, &a.archive), 0);
        assert_int_equal(file_keys_new(100, &a.keys), 0);
        assert_int_equal(file_archive_lock(a.archive, a.keys, 0), 0);
        return a;
}

static void end_archive(Archive *a) {
        file_archive_free(a->archive);
        file_keys_free(a->keys);
}

static bool has_line(const Archive *a, const char *id) {
        FileKey key = file_key((Slice){ id, strlen(id) }, "", (Slice){ "", 0 });

        return file_keys_find(a->keys, key.id);
}

static int append_line(const Archive *a, const char *id) {
        char line[700];
        int n = snprintf(line, sizeof(line), "{\"_id\":\"%s\",\"x\":\"%0600d\"}\n", id, 0);

        return file_archive_append(a->archive, (Slice){ line, (size_t) n }, NOON);
}

static void end_at_truncate(void *userdata, DiskCall call, const char *path, bool done) {
        if (!done && call == DISK_TRUNCATE)
                disk_kill(userdata);
}

/* P3: a line whose sync failed, when the process was killed before it could take it back: the next one does not take it
 * for stored because it sees it. */
static void test_line_after_a_failed_sync_and_a_kill(void **state) {
        unsigned known = 0;

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                Disk *disk = disk_new(ROOT, seed);
                Archive a = begin_archive(disk);
                bool seen;

                assert_int_equal(append_line(&a, "a"), 0);
                disk_set_faults(disk, &failing);
                disk_set_hook(disk, end_at_truncate, disk);
                assert_int_equal(append_line(&a, "b"), -EIO);
                assert_true(disk_is_dead(disk));
                disk_set_hook(disk, NULL, NULL);
                disk_set_faults(disk, &DISK_FAULTS_NONE);
                end_archive(&a);
                a = begin_archive(disk);
                seen = has_line(&a, "b");
                known += seen;
                disk_cut(disk);
                end_archive(&a);
                a = begin_archive(disk);
                assert_true(has_line(&a, "a"));
                assert_true(!seen || has_line(&a, "b"));
                end_archive(&a);
                disk_free(disk);
        }
        assert_in_range(known, 1, SEEDS - 1);
}

/* https://sqlite.org/fileformat2.html#file_format_version_numbers */
static bool is_wal(Disk *disk) {
        size_t size;
        const uint8_t *header = disk_contents(disk, ROOT "/t.sqlite", &size);

        return header && size >= 100 && header[18] == 2 && header[19] == 2;
}

/* A database that could not be made a WAL one is not taken for one: its commits would not be durable. */
static void test_mode_that_could_not_be_set(void **state) {
        unsigned opened = 0;

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                DiskFaults faults = failing;
                Disk *disk = disk_new(ROOT, seed);
                Sql *sql = NULL;

                faults.sync_error = 300000;
                disk_mount(disk);
                disk_set_faults(disk, &faults);
                if (sql_open(ROOT "/t.sqlite", &sql) == 0) {
                        disk_set_faults(disk, &DISK_FAULTS_NONE);
                        assert_int_equal(sql_exec(sql, "CREATE TABLE t (a)"), 0);
                        assert_true(is_wal(disk));
                        opened++;
                }
                sql_close(sql);
                disk_free(disk);
        }
        assert_in_range(opened, 5, SEEDS - 5);
}

static bool opens_after(uint64_t seed, unsigned kill, unsigned cut) {
        Disk *disk = disk_new(ROOT, seed);
        Ending ending = { disk };
        Outbox *outbox = NULL;
        int r = -EIO;

        disk_set_hook(disk, end_at, &ending);
        for (unsigned life = 0; life < 3; life++) {
                disk_mount(disk);
                ending.calls = 0;
                ending.at = life == 0 ? kill : life == 1 ? cut : 0;
                ending.cut = life == 1;
                r = outbox_open(ROOT, &caps, &outbox, NULL);
                if (life < 2 && !disk_is_dead(disk))
                        disk_kill(disk);
                outbox = outbox_close(outbox);
        }
        disk_free(disk);
        return r == OUTBOX_OK;
}

/* A journal that a killed process made: without a name that is durable a cut in the first write would leave a file that
 * looks damaged. */
static void test_journal_of_a_killed_process(void **state) {
        for (uint64_t seed = 1; seed <= SEEDS / 4; seed++)
                for (unsigned kill = 1; kill <= 6; kill++)
                        for (unsigned cut = 5; cut <= 9; cut++)
                                assert_true(opens_after(seed, kill, cut));
}

/* Damage in a page that the check does not look at, and that is needed to open: mended at once, not at the next start,
 * for ever. */
static void test_damage_that_shows_late(void **state) {
        Disk *disk = disk_new(ROOT, 1);
        Outbox *outbox = begin(disk);
        static const char zeros[4096];
        OutboxSalvage salvage;
        SqlStatement *statement;
        int64_t page;
        Sql *sql;

        assert_int_equal(put(outbox, 1), 0);
        outbox_close(outbox);
        assert_int_equal(sql_open(ROOT "/" OUTBOX_FILE, &sql), 0);
        assert_int_equal(
                sql_prepare(sql, "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_sequence'", &statement), 0);
        assert_int_equal(sql_step(statement), SQL_ROW);
        page = sql_column_int(statement, 0);
        sql_finalize(statement);
        sql_close(sql);
        disk_damage(disk, ROOT "/" OUTBOX_FILE, (size_t) (page - 1) * sizeof(zeros), zeros, sizeof(zeros));
        assert_int_equal(outbox_open(ROOT, &caps, &outbox, &salvage), OUTBOX_SALVAGED);
        assert_int_equal(salvage.rows, 1);
        assert_int_equal(waiting(outbox), 1);
        outbox_close(outbox);
        disk_free(disk);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_put_after_a_failed_sync),
                cmocka_unit_test(test_put_after_a_failed_sync_and_a_kill),
                cmocka_unit_test(test_commit_after_a_failed_sync_and_a_kill),
                cmocka_unit_test(test_log_that_could_not_go_into_the_file),
                cmocka_unit_test(test_log_that_could_not_begin_anew),
                cmocka_unit_test(test_log_that_goes_into_the_file_in_parts),
                cmocka_unit_test(test_log_without_a_whole_header),
                cmocka_unit_test(test_log_of_a_killed_process),
                cmocka_unit_test(test_line_after_a_failed_sync_and_a_kill),
                cmocka_unit_test(test_mode_that_could_not_be_set),
                cmocka_unit_test(test_journal_of_a_killed_process),
                cmocka_unit_test(test_damage_that_shows_late),
        };

        log_set_level(LOG_EMERG); /* that the disk fails */
        return cmocka_run_group_tests(tests, NULL, NULL);
}
