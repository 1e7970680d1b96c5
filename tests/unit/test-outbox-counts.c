/* SPDX-License-Identifier: Apache-2.0 */
/* What the outbox says that it holds is what it holds, whoever put it, took it or died over it, and costs the disk
 * little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "outbox-fixture.h"
#include "publish/outbox-guest.h"
#include "publish/outbox-sql.h"

static void expect_counts(OutboxFixture *f) {
        OutboxStatus status;
        OutboxGuest *guest;
        uint64_t waiting;

        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows, fixture_query(f, "SELECT count(*) FROM readings"));
        assert_int_equal(status.bytes, fixture_query(f, "SELECT total(size) FROM readings"));
        assert_int_equal(status.rejected_rows, fixture_query(f, "SELECT count(*) FROM rejected"));
        assert_int_equal(status.rejected_bytes, fixture_query(f, "SELECT total(size) FROM rejected"));
        assert_int_equal(outbox_guest_open(f->directory, &guest), OUTBOX_OK);
        assert_int_equal(outbox_guest_waiting(guest, &waiting), 0);
        assert_int_equal(waiting, status.rows);
        outbox_guest_close(guest);
}

/* Those that wait from the *skip*th on, *n* of them. */
static void forget(OutboxFixture *f, size_t skip, size_t n) {
        int64_t ids[1000];
        OutboxRows rows;

        assert_int_equal(outbox_rows_peek(f->outbox, 0, skip + n, SIZE_MAX, &rows), 0);
        assert_true(rows.n == skip + n && n <= ELEMENTSOF(ids));
        for (size_t i = 0; i < n; i++)
                ids[i] = rows.items[skip + i].id;
        outbox_rows_done(&rows);
        assert_int_equal(outbox_forget(f->outbox, ids, n), 0);
}

/* Around the id up to which rows are counted in the file: below it, above it, and over it. */
static void test_counts_hold(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (unsigned i = 0; i < 40; i++) {
                assert_int_equal(fixture_put(f->outbox, 10 * i, 10), 0);
                if (i % 7 == 6)
                        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
                expect_counts(f);
        }
        forget(f, 0, 5);
        expect_counts(f);
        forget(f, 300, 95); /* to the end, from below */
        expect_counts(f);
        assert_int_equal(fixture_put(f->outbox, 1000, 3), 0);
        forget(f, 298, 4);
        expect_counts(f);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        expect_counts(f);
        forget(f, 0, 299);
        expect_counts(f);
        assert_int_equal(fixture_waiting(f->outbox), 0);
        assert_int_equal(fixture_put(f->outbox, 2000, 1), 0);
        assert_int_equal(fixture_waiting(f->outbox), 1);
}

/* What another process puts and drops beside it. */
static void test_counts_beside_a_guest(void **state) {
        OutboxFixture *f = *state;
        OutboxGuest *guest;
        OutboxRows rows;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 100), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 100, SIZE_MAX, &rows), 0);
        for (size_t i = 0; i < 100; i += 2)
                assert_int_equal(outbox_reject(f->outbox, rows.items[i].id, "no"), 0);
        expect_counts(f);
        assert_int_equal(outbox_guest_open(f->directory, &guest), OUTBOX_OK);
        for (size_t i = 0; i < 100; i += 2) {
                assert_int_equal(i % 4 ? outbox_rejected_drop(guest, rows.items[i].id)
                                       : outbox_rejected_replay(guest, rows.items[i].id),
                        0);
                if (i % 8 == 0)
                        assert_int_equal(fixture_put(f->outbox, 1000 + (unsigned) i, 3), 0);
                expect_counts(f);
        }
        outbox_guest_close(guest);
        outbox_rows_done(&rows);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        expect_counts(f);
        forget(f, 0, (size_t) fixture_waiting(f->outbox));
        expect_counts(f);
}

/* kill -9 between any two transactions, and within them. */
static void test_counts_after_a_kill(void **state) {
        OutboxFixture *f = *state;
        pid_t pid;

        for (unsigned i = 0; i < 20; i++) {
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0) {
                        (void) fixture_reopen(f);
                        for (unsigned k = 0;; k += 7) {
                                (void) fixture_put(f->outbox, k, 7);
                                if (k % 3 == 0)
                                        forget(f, 2, 5);
                        }
                }
                assert_int_equal(usleep(3000 + i * 1700), 0);
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                assert_int_equal(fixture_reopen(f), OUTBOX_OK);
                expect_counts(f);
                f->outbox = outbox_close(f->outbox);
        }
}

/* A number that cannot be is noticed before anything is counted by it. */
static void test_counted_too_far(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 100), 0);
        forget(f, 0, 90);
        f->outbox = outbox_close(f->outbox);
        fixture_exec(f, "UPDATE counts SET upto = 1000 WHERE name = 'readings'");
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        expect_counts(f);
        assert_int_equal(fixture_put(f->outbox, 100, 5), 0);
        forget(f, 0, 15);
        expect_counts(f);
        assert_int_equal(fixture_waiting(f->outbox), 0);
}

/* A size or an id that cannot be right, in rows that can be read: the queue is neither full for ever nor refused. */
static void test_odd_numbers(void **state) {
        static const char *const damage[] = {
                "UPDATE readings SET size = 9223372036854775807 WHERE id = 2",
                "UPDATE rejected SET size = 9223372036854775807",
                "UPDATE rejected SET size = 'abc'",
                "UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'readings'",
        };
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 5), 0);
        assert_int_equal(outbox_reject(f->outbox, 1, "reason"), 0);
        for (size_t i = 0; i < ELEMENTSOF(damage); i++) {
                f->outbox = outbox_close(f->outbox);
                fixture_exec(f, damage[i]);
                assert_int_equal(fixture_reopen(f), OUTBOX_SALVAGED);
                expect_counts(f);
                assert_true(outbox_has_room(f->outbox, 1, 100));
                assert_int_equal(fixture_put(f->outbox, 10, 1), 0);
                assert_int_equal(fixture_waiting(f->outbox), 4 + i + 1);
        }
}

static long size_of(const char *path) {
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        return (long) st.st_size;
}

/* A poll that is published soon writes the readings' page and the sequence's when it is put, and the readings' page
 * when it is forgotten: the log grows by three frames, of 4096 bytes and 24. */
static void test_pages_of_a_poll(void **state) {
        OutboxFixture *f = *state;
        char log[160];
        long before, after;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        (void) snprintf(log, sizeof(log), "%s-wal", f->file);
        for (unsigned i = 0, grown = 0; grown < 3; i++) {
                before = size_of(log);
                assert_int_equal(fixture_put(f->outbox, 4 * i, 4), 0);
                forget(f, 0, 4);
                after = size_of(log);
                if (grown > 0) /* before it there was room in the log */
                        assert_int_equal(after - before, 3 * (4096 + 24));
                grown += after > before;
        }
        expect_counts(f);
}

/* A17: its own readings are not those that nobody publishes, by whatever name it has their directory. */
static void test_a_directory_of_several_names(void **state) {
        static const char *const ways[] = { "", "/", "/.", "/link" };
        OutboxFixture *f = *state;
        char name[80], notes[80];
        OutboxLeft left;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 3), 0);
        f->outbox = outbox_close(f->outbox);
        (void) snprintf(notes, sizeof(notes), "%s/outboxes", f->directory);
        (void) snprintf(name, sizeof(name), "%s/link", f->directory);
        assert_int_equal(symlink(f->directory, name), 0);
        assert_int_equal(setenv("STATE_DIRECTORY", f->directory, 1), 0);
        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                (void) snprintf(name, sizeof(name), "%s%s", f->directory, ways[i]);
                outbox_left(name, true, &left);
                assert_int_equal(left.rows, 0);
                assert_int_equal(outbox_left_note(name), 0);
                assert_int_equal(access(notes, F_OK), -1);
        }
        outbox_left("/tmp", true, &left);
        assert_int_equal(left.rows, 3);
        assert_string_equal(left.directory, f->directory);
        assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_counts_hold),
                TEST(test_counts_beside_a_guest),
                TEST(test_counts_after_a_kill),
                TEST(test_counted_too_far),
                TEST(test_odd_numbers),
                TEST(test_pages_of_a_poll),
                TEST(test_a_directory_of_several_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
