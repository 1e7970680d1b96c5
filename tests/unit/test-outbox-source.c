/* SPDX-License-Identifier: Apache-2.0 */
/* What the outbox keeps for each source beside its readings, and a file of the schema before that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "outbox-fixture.h"
#include "publish/outbox-rejected.h"
#include "publish/outbox-source.h"

/* ---- keys that can repeat ---- */

/* Puts the numbers from *first* on, whose keys name them; how many were known. */
static size_t put_seen(OutboxFixture *f, const char *source, unsigned first, unsigned n) {
        ReadingList list = {};
        size_t repeats = 77;

        for (unsigned i = first; i < first + n; i++) {
                char key[32];

                (void) snprintf(key, sizeof(key), "point:%u", i);
                fixture_add(&list, source, i, key, NULL);
        }
        assert_int_equal(outbox_put(f->outbox, &list, &repeats), 0);
        reading_list_done(&list);
        return repeats;
}

/* P4: what was fetched before is not published again, also after a restart; another source's keys are its own. */
static void test_repeats(void **state) {
        OutboxFixture *f = *state;
        ReadingList twice = {};
        size_t repeats;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(put_seen(f, "history", 0, 10), 0);
        assert_int_equal(put_seen(f, "history", 5, 10), 5);
        assert_int_equal(fixture_waiting(f->outbox), 15);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(put_seen(f, "history", 0, 20), 15);
        assert_int_equal(put_seen(f, "other", 0, 20), 0);
        assert_int_equal(fixture_waiting(f->outbox), 40);

        fixture_add(&twice, "history", 100, "point:100", NULL); /* within one list */
        fixture_add(&twice, "history", 101, "point:100", NULL);
        assert_int_equal(outbox_put(f->outbox, &twice, &repeats), 0);
        assert_int_equal(repeats, 1);
        assert_int_equal(fixture_waiting(f->outbox), 41);
        reading_list_done(&twice);

        OutboxStatus status, again;
        outbox_status(f->outbox, &status);
        assert_int_equal(put_seen(f, "history", 0, 20), 20); /* nothing new: the counters stay right */
        outbox_status(f->outbox, &again);
        assert_memory_equal(&status, &again, sizeof(status));
        assert_int_equal(fixture_query(f, "SELECT sum(size) FROM readings"), status.bytes);
}

/* Every table has a cap: 100 000 keys of a source, for 7 days. */
static void test_keys_are_bounded(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (unsigned i = 0; i < 102000; i += 2000)
                assert_int_equal(put_seen(f, "history", i, 2000), 0);
        assert_int_equal(put_seen(f, "other", 0, 10), 0);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM seen WHERE source = 'history'"), OUTBOX_SEEN_MAX);
        assert_int_equal(put_seen(f, "history", 101999, 1), 1); /* the newest are kept */
        assert_int_equal(put_seen(f, "history", 1999, 1), 0);

        f->outbox = outbox_close(f->outbox);
        fixture_exec(f, "UPDATE seen SET at = at - 8 * 24 * 3600 * 1000000 WHERE n < 101000");
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(put_seen(f, "history", 200000, 1), 0);
        assert_in_range(fixture_query(f, "SELECT count(*) FROM seen WHERE source = 'history'"), 1000, 1010);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM seen WHERE source = 'other'"), 0 + 10);
}

/* ---- the cursor ---- */

static void expect_cursor(OutboxFixture *f, const char *source, const char *expected) {
        Bytes cursor = {};

        assert_int_equal(outbox_cursor(f->outbox, source, &cursor), 0);
        assert_string_equal(cursor.data ? cursor.data : "", expected);
        bytes_done(&cursor);
}

static void test_cursor(void **state) {
        OutboxFixture *f = *state;
        ReadingList list = {}, alone = {}, moved = {};

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        expect_cursor(f, "history", "");
        fixture_add(&list, "history", 1, "p:1", NULL);
        assert_int_equal(reading_list_set_cursor(&list, "history", "2026-11-24T06:00:00Z"), 0);
        assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
        expect_cursor(f, "history", "2026-11-24T06:00:00Z");

        /* a window without a reading moves it as well, and lists that wait for the disk together move it once */
        assert_int_equal(reading_list_set_cursor(&alone, "history", "2026-11-24T07:00:00Z"), 0);
        assert_int_equal(reading_list_set_cursor(&moved, "history", "2026-11-24T08:00:00Z"), 0);
        assert_false(reading_list_is_empty(&alone));
        assert_int_equal(reading_list_move(&alone, &moved), 0);
        assert_true(reading_list_is_empty(&moved));
        assert_int_equal(outbox_put(f->outbox, &alone, NULL), 0);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        expect_cursor(f, "history", "2026-11-24T08:00:00Z");
        expect_cursor(f, "other", "");
        assert_int_equal(fixture_waiting(f->outbox), 1);
        reading_list_done(&list);
        reading_list_done(&alone);
}

/* ---- what could not be read ---- */

static void put_unreadable(OutboxFixture *f, const char *source, unsigned first, unsigned n, size_t size) {
        ReadingList list = {};

        for (unsigned i = first; i < first + n; i++) {
                Bytes payload = {};

                assert_int_equal(bytes_append_format(&payload, "%u:%0*d", i, (int) size, 0), 0);
                assert_int_equal(reading_list_add_unreadable(&list, source, "tele/x", "not JSON", &payload), 0);
                assert_null(payload.data);
        }
        assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
        reading_list_done(&list);
}

/* The newest 1000 or 4 MiB of each source, the rest counted; the caps of the queue do not see them. */
static void test_unreadable_is_kept_raw(void **state) {
        OutboxFixture *f = *state;
        OutboxStatus status;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        put_unreadable(f, "zigbee", 0, 700, 10);
        put_unreadable(f, "zigbee", 700, 700, 10);
        put_unreadable(f, "push", 0, 3, 10);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable WHERE source = 'zigbee'"), OUTBOX_UNREADABLE_ROWS);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable WHERE source = 'zigbee' AND CAST(payload AS TEXT) LIKE '1399:%'"), 1);
        assert_int_equal(fixture_query(f, "SELECT n FROM dropped WHERE source = 'zigbee'"), 400);
        assert_int_equal(fixture_query(f, "SELECT coalesce(sum(n), 0) FROM dropped WHERE source = 'push'"), 0);

        put_unreadable(f, "push", 3, 5, 1024 * 1024);
        assert_in_range(fixture_query(f, "SELECT sum(size) FROM unreadable WHERE source = 'push'"), 3 * 1024 * 1024, OUTBOX_UNREADABLE_BYTES);
        assert_int_equal(fixture_query(f, "SELECT n FROM dropped WHERE source = 'push'"), 5);
        put_unreadable(f, "push", 8, 1, OUTBOX_UNREADABLE_BYTES + 1); /* is not kept, and pushes out nothing */
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable WHERE source = 'push'"), 3);
        assert_int_equal(fixture_query(f, "SELECT n FROM dropped WHERE source = 'push'"), 6);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows + status.bytes + status.rejected_rows + status.rejected_bytes, 0);
}

/* ---- labels ---- */

static void test_labels_travel_and_count(void **state) {
        OutboxFixture *f = *state;
        Bytes labels = {};
        ReadingList list = {};
        OutboxStatus status;
        OutboxGuest *guest;
        Slice name, value;
        OutboxRows rows;

        assert_int_equal(labels_add(&labels, "site", "nakano"), 0);
        assert_int_equal(labels_add(&labels, "floor", ""), 0);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        fixture_add(&list, "home", 1, NULL, NULL);
        fixture_add(&list, "home", 1, NULL, &labels);
        assert_int_equal(reading_bytes(&list.items[1]) - reading_bytes(&list.items[0]), labels.size);
        assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.bytes, reading_list_bytes(&list));
        reading_list_done(&list);
        bytes_done(&labels);

        /* through the rejected table and back */
        assert_int_equal(outbox_peek(f->outbox, 0, 2, SIZE_MAX, &rows), 0);
        assert_int_equal(outbox_reject(f->outbox, rows.items[1].id, "no"), 0);
        assert_int_equal(outbox_guest_open(f->directory, &guest), OUTBOX_OK);
        assert_int_equal(outbox_rejected_replay(guest, rows.items[1].id), 0);
        outbox_guest_close(guest);
        outbox_rows_done(&rows);
        assert_int_equal(outbox_peek(f->outbox, 0, 2, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.items[0].labels.size, 0);
        Slice rest = rows.items[1].labels;
        assert_true(labels_next(&rest, &name, &value));
        assert_true(slice_equal(name, "site") && slice_equal(value, "nakano"));
        assert_true(labels_next(&rest, &name, &value));
        assert_true(slice_equal(name, "floor") && slice_equal(value, ""));
        assert_false(labels_next(&rest, &name, &value));
        outbox_rows_done(&rows);
}

/* ---- a file of schema 1 ---- */

#define SCHEMA_1_ROW "size INTEGER NOT NULL, put_at INTEGER NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL, device TEXT NOT NULL, "

/* As 0.1.0 made it: *n* waiting with payloads of half a kilobyte, and one rejected. */
static void make_schema_1(OutboxFixture *f, unsigned n) {
        char fill[1024];

        fixture_exec(f,
                "CREATE TABLE readings (id INTEGER PRIMARY KEY AUTOINCREMENT, " SCHEMA_1_ROW "payload BLOB NOT NULL);"
                "CREATE TABLE rejected (id INTEGER PRIMARY KEY, " SCHEMA_1_ROW "rejected_at INTEGER NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL);"
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

/* Everything of it is there, and can be published, rejected, replayed and joined by new rows. */
static void expect_upgraded(OutboxFixture *f, unsigned n) {
        OutboxStatus status;
        OutboxRows rows;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_query(f, "PRAGMA user_version"), OUTBOX_SCHEMA);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows, n);
        assert_int_equal(status.rejected_rows, 1);
        assert_int_equal(outbox_peek(f->outbox, 0, 1000, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 1000);
        assert_true(slice_equal(rows.items[0].key, "home:d1:2026-01-15T08:13:00.123Z:0000000000000001"));
        assert_int_equal(rows.items[0].labels.size, 0);
        assert_int_equal(rows.items[0].payload.size, 490);
        assert_int_equal(outbox_reject(f->outbox, rows.items[999].id, "no"), 0);
        outbox_rows_done(&rows);
        assert_int_equal(put_seen(f, "history", n + 1, 3), 0);
        assert_int_equal(fixture_waiting(f->outbox), n + 2);
}

/* A full outbox is upgraded at once: no row is touched. */
static void test_upgrade_of_a_full_outbox(void **state) {
        OutboxFixture *f = *state;
        usec_t began;

        make_schema_1(f, 450000); /* 256 MiB */
        began = clock_now();
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        print_message("upgraded 450 000 rows in %" PRIu64 " ms\n", (clock_now() - began) / 1000);
        expect_upgraded(f, 450000);
}

/* P1: kill -9 at any moment of it: the next start finds the old schema whole, or the new one. */
static void test_upgrade_with_kills(void **state) {
        OutboxFixture *f = *state;
        unsigned before = 0, after = 0;

        for (unsigned i = 0; i < 60; i++) {
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
                assert_int_equal(usleep(i * 300), 0);
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

/* The verb beside a daemon that was not restarted yet. */
static void test_guest_of_schema_1(void **state) {
        OutboxFixture *f = *state;
        OutboxGuest *guest;
        uint64_t waiting;

        make_schema_1(f, 5);
        assert_int_equal(outbox_guest_open(f->directory, &guest), OUTBOX_OK);
        assert_int_equal(outbox_guest_waiting(guest, &waiting), 0);
        assert_int_equal(waiting, 5);
        assert_int_equal(outbox_rejected_replay(guest, 1), 0);
        assert_int_equal(outbox_rejected_drop(guest, 1), -ENOENT);
        assert_int_equal(outbox_guest_waiting(guest, &waiting), 0);
        assert_int_equal(waiting, 6);
        outbox_guest_close(guest);
        assert_int_equal(fixture_query(f, "PRAGMA user_version"), 1);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), 6);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_repeats),
                TEST(test_keys_are_bounded),
                TEST(test_cursor),
                TEST(test_unreadable_is_kept_raw),
                TEST(test_labels_travel_and_count),
                TEST(test_upgrade_of_a_full_outbox),
                TEST(test_upgrade_with_kills),
                TEST(test_guest_of_schema_1),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
