/* SPDX-License-Identifier: Apache-2.0 */
/* A damaged outbox: that all of it is found which can be read, and what the service manager hears while that takes
 * long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "outbox-fixture.h"
#include "publish/outbox-sql.h"
#include "real-calls.h"

/* ---- a disk as slow as the test wants: its calls cost time that nobody waits for ---- */

static usec_t disk_usec, passed, told, longest;

static void disk_call(void) {
        passed += disk_usec;
}

ssize_t pread64(int fd, void *data, size_t size, off64_t at) {
        ssize_t (*real)(int, void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pread64");

        disk_call();
        return real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
        ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");

        disk_call();
        return real(fd, data, size, at);
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int r = real_clock_gettime(clock, ret);

        ret->tv_sec += (time_t) (passed / USEC_PER_SEC);
        return r;
}

int sd_notify(int unset, const char *state) {
        usec_t now = clock_now();

        assert_non_null(strstr(state, "WATCHDOG=1"));
        assert_non_null(strstr(state, "EXTEND_TIMEOUT_USEC="));
        longest = now - told > longest ? now - told : longest;
        told = now;
        return 0;
}

/* Opens the outbox from such a disk; the longest time between two words to the service manager. */
static usec_t open_slowly(OutboxFixture *f, usec_t each, usec_t *ret_took) {
        usec_t began = clock_now();

        told = began;
        longest = 0;
        disk_usec = each;
        assert_in_range(fixture_reopen(f), OUTBOX_OK, OUTBOX_SALVAGED);
        disk_usec = 0;
        *ret_took = clock_now() - began;
        (void) sd_notify(0, "WATCHDOG=1 EXTEND_TIMEOUT_USEC=");
        return longest;
}

#define WATCHDOG_USEC USEC_PER_MINUTE  /* of the unit */
#define SLOW_USEC (20 * USEC_PER_MSEC) /* a page: a card that is about to die */

/* *again*: of a source that gives what it measured more than once. Returns how many of them were known. */
static size_t put_rows(OutboxFixture *f, unsigned n, bool again) {
        ReadingList list = {};
        size_t repeats = 0;

        for (unsigned i = 0; i < n; i++) {
                ReadingOrigin origin = {
                        .source = "home", .type = "test", .device = "d", .at = "2026-11-24T06:27:38.123Z", .unique = i
                };
                Bytes payload = {};

                assert_int_equal(bytes_append_format(&payload, "{\"n\":%u,\"text\":\"%0400d\"}", i, 7), 0);
                assert_int_equal(reading_list_add(&list, &origin, &payload), 0);
        }
        assert_int_equal(again ? reading_list_name(&list) : 0, 0);
        assert_int_equal(outbox_put(f->outbox, &list, &repeats), 0);
        reading_list_done(&list);
        return repeats;
}

static void put_large(OutboxFixture *f, unsigned n) {
        (void) put_rows(f, n, false);
}

static void overwrite(const OutboxFixture *f, int64_t page) {
        char junk[4096];
        int fd = open(f->file, O_WRONLY | O_CLOEXEC);

        memset(junk, 0xa5, sizeof(junk));
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, junk, sizeof(junk), page * (int64_t) sizeof(junk)), sizeof(junk));
        assert_int_equal(close(fd), 0);
}

/* A7: a watchdog would end it in the middle, and each later start in the same way. */
static void test_check_of_a_slow_disk(void **state) {
        OutboxFixture *f = *state;
        char command[256];
        usec_t took;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        put_large(f, 40000);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        (void) snprintf(
                command, sizeof(command), "printf '' > %s-wal", f->file); /* as after a kill: the whole is looked at */
        f->outbox = outbox_close(f->outbox);
        assert_int_equal(system(command), 0);
        assert_true(open_slowly(f, SLOW_USEC, &took) < WATCHDOG_USEC / 4);
        assert_true(took > WATCHDOG_USEC);
        assert_int_equal(fixture_waiting(f->outbox), 40000);
}

static void test_salvage_from_a_slow_disk(void **state) {
        OutboxFixture *f = *state;
        usec_t took;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        put_large(f, 15000);
        f->outbox = outbox_close(f->outbox);
        overwrite(f, 40);
        assert_true(open_slowly(f, SLOW_USEC, &took) < WATCHDOG_USEC / 2);
        assert_true(took > 2 * WATCHDOG_USEC);
        assert_in_range(fixture_waiting(f->outbox), 14990, 14999);
}

/* Nothing of the table can be read, so every id is tried. */
static void test_probes_of_a_slow_disk(void **state) {
        OutboxFixture *f = *state;
        usec_t took;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        put_large(f, 5000);
        f->outbox = outbox_close(f->outbox);
        overwrite(f, fixture_query(f, "SELECT rootpage - 1 FROM sqlite_master WHERE name = 'readings'"));
        assert_true(open_slowly(f, SLOW_USEC, &took) < WATCHDOG_USEC / 2);
        assert_int_equal(fixture_waiting(f->outbox), 0);
}

/* ---- all that can be read ---- */

#define FLIPPED_ROWS 300

static uint64_t random_seed = 1;

static uint64_t next_random(void) {
        random_seed ^= random_seed << 13;
        random_seed ^= random_seed >> 7;
        random_seed ^= random_seed << 17;
        return random_seed;
}

/* Flips bits anywhere but in the first page, which holds the schema. */
static void flip_bits(const OutboxFixture *f, unsigned n) {
        int fd = open(f->file, O_RDWR | O_CLOEXEC);
        struct stat st;

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        for (unsigned i = 0; i < n; i++) {
                off_t at = 4096 + (off_t) (next_random() % (uint64_t) (st.st_size - 4096));
                unsigned char byte;

                assert_int_equal(pread(fd, &byte, 1, at), 1);
                byte = (unsigned char) (byte ^ 1u << next_random() % 8);
                assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
        assert_int_equal(close(fd), 0);
}

/* Rows that a plain SELECT finds, up to the first place that it cannot read. */
static size_t select_rows(const char *file, char **keys, size_t max) {
        _cleanup_(sql_finalizep) SqlStatement *statement = NULL;
        _cleanup_(sql_closep) Sql *sql = NULL;
        size_t n = 0;

        if (sql_open(file, &sql) != 0 || sql_prepare(sql,
                                                 "SELECT coalesce(CAST(key AS BLOB), x''), coalesce(CAST(payload AS "
                                                 "BLOB), x''), put_at, source, type, device, labels FROM readings",
                                                 &statement) != 0)
                return 0;
        while (n < max && sql_step(statement) == SQL_ROW) {
                Slice key = sql_column(statement, 0), payload = sql_column(statement, 1);
                Bytes text = {};

                assert_int_equal(bytes_append(&text, key.data, key.size), 0);
                assert_int_equal(bytes_append(&text, "|", 1), 0);
                assert_int_equal(bytes_append(&text, payload.data, payload.size), 0);
                for (size_t i = 0; i < text.size; i++)
                        text.data[i] = text.data[i] ? text.data[i] : '?'; /* compared as text */
                keys[n++] = text.data;
        }
        return n;
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void free_keys(char **keys, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(keys[i]);
}

/* A5: whatever the order and the ids that the file claims; each once. */
static void test_finds_what_select_finds(void **state) {
        OutboxFixture *f = *state;
        char *selected[2 * FLIPPED_ROWS], *carried[2 * FLIPPED_ROWS], command[256];
        unsigned salvaged = 0;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, FLIPPED_ROWS), 0);
        f->outbox = outbox_close(f->outbox);
        (void) snprintf(command, sizeof(command), "cp %s %s/good", f->file, f->directory);
        assert_int_equal(system(command), 0);

        for (unsigned round = 0; round < 100; round++) {
                OutboxSalvage salvage = {};
                size_t n, found;
                Sql *sql = NULL;

                (void) snprintf(
                        command, sizeof(command), "cd %s && rm -f outbox* && cp good outbox.sqlite", f->directory);
                assert_int_equal(system(command), 0);
                flip_bits(f, 1 + round % 4);
                n = select_rows(f->file, selected, ELEMENTSOF(selected));
                assert_int_equal(outbox_file_open(f->directory, 0, true, &sql, &salvage), OUTBOX_SALVAGED);
                sql_close(sql);
                salvaged += salvage.rows > 0;
                found = select_rows(f->file, carried, ELEMENTSOF(carried));
                qsort(carried, found, sizeof(char *), compare);
                for (size_t i = 1; i < found; i++)
                        assert_string_not_equal(carried[i], carried[i - 1]);
                for (size_t i = 0; i < n; i++)
                        if (!bsearch(&selected[i], carried, found, sizeof(char *), compare))
                                fail_msg("round %u: %s is not carried over (%zu of %zu)", round, selected[i], found, n);
                free_keys(selected, n);
                free_keys(carried, found);
        }
        assert_true(salvaged > 70);
}

/* A bit flipped in the schema's text: the name of a column is another one then, and its rows are as good as before. */
static void test_name_of_a_column(void **state) {
        OutboxFixture *f = *state;
        OutboxSalvage salvage = {};
        char command[600];
        Sql *sql = NULL;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, FLIPPED_ROWS), 0);
        f->outbox = outbox_close(f->outbox);
        (void) snprintf(command, sizeof(command),
                "sed -i '0,/source TEXT NOT NULL, type/s//sourae TEXT NOT NULL, type/' %s && cp %s %s/flipped", f->file,
                f->file, f->directory);
        assert_int_equal(system(command), 0);
        assert_int_equal(outbox_file_open(f->directory, 0, true, &sql, &salvage), OUTBOX_SALVAGED);
        sql_close(sql);
        assert_int_equal(salvage.rows, FLIPPED_ROWS);
        (void) snprintf(command, sizeof(command), "cd %s && rm -f outbox* && cp flipped outbox.sqlite", f->directory);
        assert_int_equal(system(command), 0);
        assert_int_equal(fixture_reopen(f), OUTBOX_SALVAGED); /* nothing else is wrong with it */
        assert_int_equal(fixture_waiting(f->outbox), FLIPPED_ROWS);
}

/* The same in a table that only helps: no start without the rows of the others. */
static void test_name_in_another_table(void **state) {
        OutboxFixture *f = *state;
        char command[600];

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, FLIPPED_ROWS), 0);
        f->outbox = outbox_close(f->outbox);
        (void) snprintf(command, sizeof(command),
                "grep -aq 'PRIMARY KEY, n INTEGER' %s && sed -i '0,/PRIMARY KEY, n INTEGER/s//PRIMARY KEY, o INTEGER/' %s",
                f->file, f->file);
        assert_int_equal(system(command), 0);
        assert_int_equal(fixture_reopen(f), OUTBOX_SALVAGED);
        assert_int_equal(fixture_waiting(f->outbox), FLIPPED_ROWS);
}

static size_t put_message(OutboxFixture *f) {
        ReadingList list = {};
        size_t repeats = 0;

        fixture_add(&list, "broker", 1, "7:0123456789abcdef:0", NULL);
        assert_int_equal(outbox_put(f->outbox, &list, &repeats), 0);
        reading_list_done(&list);
        return repeats;
}

/* The page of the file in which that text stands. */
static int64_t page_of(const OutboxFixture *f, const char *text) {
        FILE *file = fopen(f->file, "re");
        size_t max = 16 << 20, size;
        char *data = calloc(1, max), *found;
        int64_t page;

        assert_true(file && data);
        size = fread(data, 1, max, file);
        found = memmem(data, size, text, strlen(text));
        assert_non_null(found);
        page = (found - data) / 4096;
        assert_int_equal(fclose(file), 0);
        free(data);
        return page;
}

/* Readings that are lost, and that their source gives once more, are taken; what a peer has sent is known as before. */
static void test_lost_ones_come_again(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(put_rows(f, 2000, true), 0);
        assert_int_equal(put_message(f), 0);
        f->outbox = outbox_close(f->outbox);
        overwrite(f, page_of(f, "{\"n\":1000,"));
        assert_int_equal(fixture_reopen(f), OUTBOX_SALVAGED);
        assert_in_range(fixture_waiting(f->outbox), 1980, 2000);

        (void) put_rows(f, 2000, true);
        assert_int_equal(fixture_query(f, "SELECT count(DISTINCT key) FROM readings WHERE source = 'home'"), 2000);
        assert_int_equal(put_message(f), 1);
}

/* A row that claims the id of another one gets a fresh one: both are there. */
static void test_ids_that_are_taken(void **state) {
        OutboxFixture *f = *state;
        OutboxRows rows;
        int64_t last;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 200), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 200, SIZE_MAX, &rows), 0);
        last = rows.items[199].id;
        outbox_rows_done(&rows);
        f->outbox = outbox_close(f->outbox);
        /* in the file the rowid of row 150 (two bytes, 0x81 0x16) becomes that of row 22 (0x80 0x16) */
        FILE *file = fopen(f->file, "r+e");
        static const char wanted[] = "0000000000000095"; /* the key's end in row 150 */
        char *data = calloc(1, 1 << 20);
        size_t size, at;

        assert_true(file && data);
        size = fread(data, 1, 1 << 20, file);
        char *key = memmem(data, size, wanted, strlen(wanted));
        assert_non_null(key);
        for (at = (size_t) (key - data); !(data[at] == (char) 0x81 && data[at + 1] == 0x16); at--)
                assert_true((size_t) (key - data) - at < 120);
        data[at] = (char) 0x80;
        assert_int_equal(fseek(file, (long) at, SEEK_SET), 0);
        assert_int_equal(fputc(0x80, file), 0x80);
        assert_int_equal(fclose(file), 0);
        free(data);

        assert_int_equal(fixture_reopen(f), OUTBOX_SALVAGED);
        assert_int_equal(fixture_waiting(f->outbox), 200);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1000, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 200);
        assert_true(rows.items[199].id > last); /* nor is it one that was given before */
        outbox_rows_done(&rows);
}

/* ---- the file is not at its place any more ---- */

static void shell(const OutboxFixture *f, const char *format) {
        char command[400];

        (void) snprintf(command, sizeof(command), "cd %s && %s", f->directory, format);
        assert_int_equal(system(command), 0);
}

static void forget_ids(OutboxFixture *f, int64_t first, size_t n) {
        int64_t ids[10];

        for (size_t i = 0; i < n; i++)
                ids[i] = first + (int64_t) i;
        assert_int_equal(outbox_forget(f->outbox, ids, n), 0);
}

/* P1: somebody emptied the directory. What waits, and what comes, is in a file that the next start finds, under the ids
 * that a publisher knows. */
static void test_removed_while_it_runs(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 5), 0);
        shell(f, "rm -f outbox.sqlite*");
        assert_int_equal(fixture_put(f->outbox, 5, 2), 0);
        assert_int_equal(fixture_waiting(f->outbox), 7);
        forget_ids(f, 1, 3);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), 4);
        assert_int_equal(fixture_query(f, "SELECT min(id) * 100 + max(id) FROM readings"), 407);
}

/* Somebody put a copy of before back, or mounted another disk there: what waits in it is not lost either. */
static void test_replaced_while_it_runs(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 3), 0);
        f->outbox = outbox_close(f->outbox);
        shell(f, "cp outbox.sqlite copy");
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        forget_ids(f, 1, 2);
        assert_int_equal(fixture_put(f->outbox, 10, 3), 0); /* 3, of before, and 4 to 6 */
        shell(f, "rm -f outbox.sqlite* && cp copy outbox.sqlite");
        assert_int_equal(fixture_put(f->outbox, 20, 1), 0);
        assert_int_equal(fixture_waiting(f->outbox), 7);
        forget_ids(f, 3, 4);
        assert_int_equal(fixture_waiting(f->outbox), 3);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), 3);
        shell(f, "test $(ls outbox.sqlite.damaged-* | wc -l) = 1");
}

/* In that copy a reading waits that was rejected meanwhile, under the same id: it is sent once more, and rejected
 * again. */
static void test_replaced_by_what_was_rejected(void **state) {
        OutboxFixture *f = *state;
        OutboxStatus status;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 3), 0);
        f->outbox = outbox_close(f->outbox);
        shell(f, "cp outbox.sqlite copy");
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(outbox_reject(f->outbox, 2, "invalid_argument: no good"), 0);
        shell(f, "rm -f outbox.sqlite* && cp copy outbox.sqlite");
        assert_int_equal(fixture_waiting(f->outbox), 3);
        assert_int_equal(outbox_reject(f->outbox, 2, "invalid_argument: no good"), 0);
        assert_false(outbox_is_failing(f->outbox));
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows, 2);
        assert_int_equal(status.rejected_rows, 2);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), 2);
}

/* Nothing can be made there: nothing is taken, nor said to be stored; and it goes on when something can. */
static void test_directory_that_is_gone(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 1), 0);
        shell(f, "mv $PWD $PWD.away");
        assert_int_equal(fixture_put(f->outbox, 1, 1), -ENOENT);
        assert_true(outbox_is_failing(f->outbox));
        assert_false(outbox_has_room(f->outbox, 1, 1));
        (void) snprintf(f->file, sizeof(f->file), "%s.away", f->directory);
        assert_int_equal(rename(f->file, f->directory), 0);
        assert_int_equal(fixture_put(f->outbox, 1, 1), 0);
        assert_false(outbox_is_failing(f->outbox));
        assert_int_equal(fixture_waiting(f->outbox), 2);
}

/* A table that is not there is damage, whichever it is: what the others hold is carried over. */
static void test_table_that_is_gone(void **state) {
        static const char *const tables[] = { "rejected", "counts", "cursors", "seen", "unreadable", "dropped",
                "readings" };
        OutboxFixture *f = *state;
        char drop[64];

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (unsigned i = 0; i < ELEMENTSOF(tables); i++) {
                assert_int_equal(fixture_put(f->outbox, i, 1), 0);
                f->outbox = outbox_close(f->outbox);
                (void) snprintf(drop, sizeof(drop), "DROP TABLE %s", tables[i]);
                fixture_exec(f, drop);
                assert_int_equal(fixture_reopen(f), OUTBOX_SALVAGED);
                assert_int_equal(fixture_waiting(f->outbox), strcmp(tables[i], "readings") == 0 ? 0 : i + 1);
        }
        assert_int_equal(fixture_put(f->outbox, 0, 1), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_check_of_a_slow_disk),
                TEST(test_salvage_from_a_slow_disk),
                TEST(test_probes_of_a_slow_disk),
                TEST(test_finds_what_select_finds),
                TEST(test_name_of_a_column),
                TEST(test_name_in_another_table),
                TEST(test_lost_ones_come_again),
                TEST(test_ids_that_are_taken),
                TEST(test_removed_while_it_runs),
                TEST(test_replaced_while_it_runs),
                TEST(test_replaced_by_what_was_rejected),
                TEST(test_directory_that_is_gone),
                TEST(test_table_that_is_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
