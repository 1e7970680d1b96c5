/* SPDX-License-Identifier: Apache-2.0 */
/* Files that earlier versions made: upgraded, and looked into by the verb beside a daemon that was not restarted yet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

#include "outbox-fixture.h"
#include "publish/outbox-guest.h"
#include "publish/outbox-sql.h"

#define SCHEMA_1_ROW                                                                                                   \
        "size INTEGER NOT NULL, put_at INTEGER NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL, device TEXT NOT NULL, "

/* As 0.1.0 made it: *n* waiting with payloads of half a kilobyte, and one rejected. */
static void make_schema_1(OutboxFixture *f, unsigned n) {
        char fill[1024];

        fixture_exec(f,
                "CREATE TABLE readings (id INTEGER PRIMARY KEY AUTOINCREMENT, " SCHEMA_1_ROW "payload BLOB NOT NULL);"
                "CREATE TABLE rejected (id INTEGER PRIMARY KEY, " SCHEMA_1_ROW
                "rejected_at INTEGER NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);"
                "CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;"
                "INSERT INTO counts VALUES ('readings', 0, 0), ('rejected', 0, 0); PRAGMA user_version = 1;");
        (void) snprintf(fill, sizeof(fill),
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u) "
                "INSERT INTO readings (size, put_at, key, source, type, device, payload) "
                "SELECT 549, 1, 'home:d1:2026-01-15T08:13:00.123Z:' || printf('%%016x', i), 'home', 'test', 'd1', zeroblob(490) FROM n;"
                "UPDATE readings SET size = length(key) + 4 + 4 + 2 + 490;"
                "INSERT INTO rejected SELECT id, size, put_at, key, source, type, device, 2, 'no', payload FROM readings WHERE id = 1;"
                "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM readings) WHERE name = 'readings';"
                "UPDATE counts SET (n, bytes) = (SELECT count(*), total(size) FROM rejected) WHERE name = 'rejected';",
                n);
        fixture_exec(f, fill);
}

/* As no release did, but versions between 0.1.0 and 0.2.0: with labels and what is kept for each source. */
static void make_schema_2(OutboxFixture *f, unsigned n) {
        make_schema_1(f, n);
        fixture_exec(f,
                "BEGIN;"
                "ALTER TABLE readings ADD COLUMN labels BLOB NOT NULL DEFAULT x'';"
                "ALTER TABLE rejected ADD COLUMN labels BLOB NOT NULL DEFAULT x'';"
                "CREATE TABLE cursors (source TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
                "CREATE TABLE seen (source TEXT, n INTEGER, at INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (source, n)) WITHOUT ROWID;"
                "CREATE UNIQUE INDEX seen_key ON seen (source, key);"
                "CREATE TABLE unreadable (id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, size INTEGER NOT NULL, at INTEGER NOT NULL, "
                "topic TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);"
                "CREATE INDEX unreadable_source ON unreadable (source, id, size);"
                "CREATE TABLE dropped (source TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;"
                "INSERT INTO cursors VALUES ('history', 'monday');"
                "INSERT INTO unreadable (source, size, at, topic, reason, payload) VALUES ('bus', 4, 1, 't', 'not JSON', x'00');"
                "PRAGMA user_version = 2; COMMIT");
}

/* Everything of it is there, and can be published, rejected, replayed and joined by new rows. */
static void expect_upgraded(OutboxFixture *f, unsigned n) {
        OutboxStatus status;
        OutboxRows rows;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_query(f, "PRAGMA user_version"), OUTBOX_SCHEMA);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows, n);
        assert_int_equal(status.rejected_rows, 1);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1000, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 1000);
        assert_true(slice_equal(rows.items[0].key, "home:d1:2026-01-15T08:13:00.123Z:0000000000000001"));
        assert_int_equal(rows.items[0].labels.size, 0);
        assert_int_equal(rows.items[0].payload.size, 490);
        assert_int_equal(outbox_reject(f->outbox, rows.items[999].id, "no"), 0);
        outbox_rows_done(&rows);
        assert_int_equal(fixture_put(f->outbox, n + 1, 3), 0);
        assert_int_equal(fixture_waiting(f->outbox), n + 2);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM readings"), n + 2);
        assert_int_equal(fixture_query(f, "SELECT max(id) FROM readings"), n + 3);
        assert_int_equal(fixture_query(f, OUTBOX_SQL_WAITING), n + 2);
}

/* A full outbox is upgraded at once: no row is touched. */
static void test_full_outbox(void **state) {
        OutboxFixture *f = *state;
        usec_t began;

        make_schema_1(f, 450000); /* 256 MiB */
        began = clock_now();
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        print_message("upgraded 450 000 rows in %" PRIu64 " ms\n", (clock_now() - began) / 1000);
        expect_upgraded(f, 450000);
}

/* P1: kill -9 at any moment of it: the next start finds the old schema whole, or the new one. */
static void test_kills(void **state) {
        OutboxFixture *f = *state;
        unsigned before = 0, after = 0;

        for (unsigned i = 0; i < 30 || (after == 0 && i < 1000); i++) { /* a busy machine needs longer */
                char command[256];
                pid_t pid;

                (void) snprintf(command, sizeof(command), "rm -f %s*", f->file);
                assert_int_equal(system(command), 0);
                make_schema_1(f, 2000);
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0) {
                        Outbox *outbox;

                        (void) outbox_open(f->directory, &fixture_caps, &outbox, NULL);
                        for (;;)
                                (void) pause();
                }
                assert_int_equal(usleep(i * 500), 0);
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                if (fixture_query(f, "PRAGMA user_version") == 1)
                        before++;
                else
                        after++;
                expect_upgraded(f, 2000);
                f->outbox = outbox_close(f->outbox);
        }
        print_message("killed before the upgrade %u times, after it %u times\n", before, after);
        assert_true(before > 0 && after > 0);
}

static int on_row(void *userdata, const OutboxRejected *row) {
        unsigned *n = userdata;

        assert_string_equal(row->reason.data, "no");
        assert_int_equal(row->payload.size, row->size);
        (*n)++;
        return 0;
}

static void on_dropped(void *userdata, Slice source, uint64_t n) {
        fail();
}

/* The verb beside a daemon that was not restarted yet: its tables stay, and count all that waits. There is no place for
 * what sources could not read. */
static void test_guest(void **state) {
        OutboxFixture *f = *state;
        OutboxGuest *guest;
        uint64_t waiting;
        unsigned n = 0;

        make_schema_1(f, 5);
        assert_int_equal(outbox_guest_open(f->directory, &guest), OUTBOX_OK);
        assert_int_equal(outbox_guest_waiting(guest, &waiting), 0);
        assert_int_equal(waiting, 5);
        assert_int_equal(outbox_rejected_each(guest, 0, true, on_row, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(outbox_rejected_replay(guest, 1), 0);
        assert_int_equal(outbox_rejected_drop(guest, 1), -ENOENT);
        assert_int_equal(outbox_guest_waiting(guest, &waiting), 0);
        assert_int_equal(waiting, 6);
        assert_int_equal(outbox_unread_each(guest, 0, true, on_row, &n), 0);
        assert_int_equal(outbox_unread_settle(guest, 1, NULL), -ENOENT);
        assert_int_equal(outbox_unread_each_dropped(guest, on_dropped, NULL), 0);
        assert_int_equal(outbox_unread_forget_dropped(guest), 0);
        assert_int_equal(n, 1);
        outbox_guest_close(guest);
        assert_int_equal(fixture_query(f, "PRAGMA user_version"), 1);
        assert_int_equal(fixture_query(f, "SELECT n FROM counts WHERE name = 'readings'"), 6);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), 6);
}

/* A damaged file is set aside as it was: an upgrade would write over rows where the list of free pages is damaged. */
static void test_damaged(void **state) {
        OutboxFixture *f = *state;
        static const char junk[4096];
        char command[512];
        FILE *file;

        make_schema_1(f, 2000);
        fixture_exec(f, "DELETE FROM readings WHERE id BETWEEN 1000 AND 1200");
        file = fopen(f->file, "r+e");
        assert_non_null(file);
        assert_int_equal(fseek(file, 40 * (long) sizeof(junk), SEEK_SET), 0);
        assert_int_equal(fwrite(junk, sizeof(junk), 1, file), 1);
        assert_int_equal(fclose(file), 0);
        (void) snprintf(command, sizeof(command), "cp %s %s/copy", f->file, f->directory);
        assert_int_equal(system(command), 0);
        assert_int_equal(fixture_reopen(f), OUTBOX_SALVAGED);
        assert_in_range(fixture_waiting(f->outbox), 1780, 1799);
        (void) snprintf(command, sizeof(command), "cmp %s.damaged-*Z %s/copy", f->file, f->directory);
        assert_int_equal(system(command), 0);
}

/* It is like a damaged one: nothing is lost. */
static void test_schema_2(void **state) {
        OutboxFixture *f = *state;
        _cleanup_bytes_ Bytes cursor = {};

        make_schema_2(f, 5);
        assert_int_equal(fixture_reopen(f), OUTBOX_SALVAGED);
        assert_int_equal(fixture_waiting(f->outbox), 5);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM rejected"), 1);
        assert_int_equal(outbox_cursor(f->outbox, "history", &cursor), 0);
        assert_int_equal(cursor.size, 6);
        assert_memory_equal(cursor.data, "monday", 6);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable"), 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_full_outbox),
                TEST(test_kills),
                TEST(test_guest),
                TEST(test_damaged),
                TEST(test_schema_2),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
