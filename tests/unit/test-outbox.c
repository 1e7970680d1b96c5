/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/sql.h"
#include "outbox-fixture.h"
#include "publish/outbox-guest.h"
#include "publish/outbox-sql.h"

static int reopen(OutboxFixture *f, OutboxSalvage *ret_salvage) {
        f->outbox = outbox_close(f->outbox);
        return outbox_open(f->directory, &fixture_caps, &f->outbox, ret_salvage);
}

/* Puts *n* readings in one batch, numbered from *first*. */
static int put(Outbox *outbox, unsigned first, unsigned n, size_t padding) {
        ReadingOrigin origin = { .source = "home", .type = "nature_remo", .at = "2026-11-24T06:27:38.123Z" };
        ReadingList list = {};

        for (unsigned i = first; i < first + n; i++) {
                Bytes payload = {};
                char device[32];

                (void) snprintf(device, sizeof(device), "d%u", i);
                assert_int_equal(bytes_append_format(&payload, "{\"n\":%u,\"text\":\"%0*d\"}", i, (int) padding, 7), 0);
                origin.device = device, origin.unique = i;
                assert_int_equal(reading_list_add(&list, &origin, &payload), 0);
        }
        int r = outbox_put(outbox, &list, NULL);
        reading_list_done(&list);
        return r;
}

static unsigned row_number(const OutboxRow *row) {
        char text[32]; /* the payload has no NUL at its end */
        unsigned n;

        (void) snprintf(text, sizeof(text), "%.*s", (int) row->payload.size, row->payload.data);
        assert_int_equal(sscanf(text, "{\"n\":%u,", &n), 1);
        return n;
}

/* ---- the queue ---- */

static void test_put_peek_forget(void **state) {
        OutboxFixture *f = *state;
        OutboxRows rows;
        OutboxStatus status;
        int64_t ids[3];

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows, 0);
        assert_int_equal(status.oldest, 0);
        assert_int_equal(put(f->outbox, 0, 5, 10), 0);

        /* P1: what was put is there after the file is opened again */
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows, 5);
        assert_true(status.oldest > 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 3, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 3);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(row_number(&rows.items[i]), i);
                ids[i] = rows.items[i].id;
        }
        assert_true(slice_equal(rows.items[1].key, "2026-11-24T06:27:38.123Z:home:d1:0000000000000001"));
        assert_true(slice_equal(rows.items[1].source, "home"));
        assert_true(slice_equal(rows.items[1].type, "nature_remo"));
        assert_true(slice_equal(rows.items[1].device, "d1"));
        outbox_rows_done(&rows);

        /* P2: only what was named is forgotten */
        int64_t outer[] = { ids[0], ids[2] };
        assert_int_equal(outbox_forget(f->outbox, outer, 2), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 10, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 3);
        assert_int_equal(row_number(&rows.items[0]), 1);
        assert_int_equal(row_number(&rows.items[1]), 3);
        outbox_rows_done(&rows);
        assert_int_equal(fixture_waiting(f->outbox), 3);
        assert_int_equal(outbox_forget(f->outbox, outer, 2), 0); /* once more does no harm */
        assert_int_equal(fixture_waiting(f->outbox), 3);
}

static void test_peek_bounds(void **state) {
        OutboxFixture *f = *state;
        OutboxRows rows;
        int64_t last;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 10, 1000), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 10, 1, &rows), 0);
        assert_int_equal(rows.n, 1); /* at least one */
        last = rows.items[0].id;
        outbox_rows_done(&rows);
        assert_int_equal(outbox_rows_peek(f->outbox, last, 10, 2500, &rows), 0);
        assert_int_equal(rows.n, 2);
        assert_int_equal(row_number(&rows.items[0]), 1);
        outbox_rows_done(&rows);
        assert_int_equal(outbox_rows_peek(f->outbox, INT64_C(1) << 60, 10, 1, &rows), 0);
        assert_int_equal(rows.n, 0);
        outbox_rows_done(&rows);
}

/* Ids are never used twice: a late forget cannot hit a newer row. */
static void test_ids_ascend(void **state) {
        OutboxFixture *f = *state;
        OutboxRows rows;
        int64_t id;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 1, 1), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1, 1, &rows), 0);
        id = rows.items[0].id;
        outbox_rows_done(&rows);
        assert_int_equal(outbox_forget(f->outbox, &id, 1), 0);
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 1, 1, 1), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1, 1, &rows), 0);
        assert_true(rows.items[0].id > id);
        outbox_rows_done(&rows);
}

/* P7: at its caps it says so, to who asks before a poll. P1: what was fetched all the same is stored, beyond the cap,
 * since a kill would take it from memory. */
static void test_caps(void **state) {
        OutboxFixture *f = *state;
        OutboxStatus after;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        outbox_set_caps(f->outbox, &(OutboxConfig){ .max_rows = 10, .max_bytes = 100000 });
        assert_int_equal(put(f->outbox, 0, 8, 10), 0);
        assert_true(outbox_has_room(f->outbox, 2, 100));
        assert_false(outbox_has_room(f->outbox, 3, 100));
        assert_false(outbox_has_room(f->outbox, UINT64_MAX, UINT64_MAX));
        assert_int_equal(put(f->outbox, 8, 3, 10), 0);
        outbox_status(f->outbox, &after);
        assert_int_equal(after.rows, 11);
        assert_false(outbox_has_room(f->outbox, 1, 1));
}

/* P2: a reading that was refused for good stays, with its reason, and counts towards the caps until somebody decides.
 */
static int remember_row(void *userdata, const OutboxRejected *row) {
        int64_t *id = userdata;
        assert_true(slice_equal(row->reason, "invalid_argument: no"));
        assert_true(slice_equal(row->device, "d1"));
        assert_true(row->at > 0);
        *id = row->id;
        return 0;
}

static void test_reject_replay_drop(void **state) {
        OutboxFixture *f = *state;
        OutboxRows rows;
        OutboxStatus status, before;
        OutboxGuest *guest = NULL;
        int64_t id = 0;

        assert_int_equal(outbox_guest_open(f->directory, &guest), -ENOENT);
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 3, 1), 0);
        outbox_status(f->outbox, &before);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 3, SIZE_MAX, &rows), 0);
        assert_int_equal(outbox_reject(f->outbox, rows.items[1].id, "invalid_argument: no"), 0);
        assert_int_equal(outbox_reject(f->outbox, rows.items[1].id, "invalid_argument: no"), 0); /* gone already */
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows, 2);
        assert_int_equal(status.rejected_rows, 1);
        assert_int_equal(status.bytes + status.rejected_bytes, before.bytes);
        outbox_set_caps(f->outbox, &(OutboxConfig){ .max_rows = 4, .max_bytes = before.bytes + 100 });
        assert_true(outbox_has_room(f->outbox, 1, 100));
        assert_false(outbox_has_room(f->outbox, 2, 0)); /* rejected ones take room as well */
        assert_false(outbox_has_room(f->outbox, 1, 101));
        outbox_set_caps(f->outbox, &fixture_caps);

        /* by a second connection, as `sensorqd rejected` beside the daemon */
        assert_int_equal(outbox_guest_open(f->directory, &guest), 0);
        assert_int_equal(outbox_rejected_each(guest, 0, false, remember_row, &id), 0);
        assert_int_equal(id, rows.items[1].id);
        assert_int_equal(outbox_rejected_replay(guest, id + 100), -ENOENT);
        assert_int_equal(outbox_rejected_replay(guest, id), 0);
        outbox_rows_done(&rows);

        outbox_status(f->outbox, &status); /* the owner sees it */
        assert_int_equal(status.rows, 3);
        assert_int_equal(status.bytes, before.bytes);
        assert_int_equal(status.rejected_rows, 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 3, SIZE_MAX, &rows), 0);
        assert_int_equal(row_number(&rows.items[2]), 1); /* at the end, P4: under the same key */
        assert_true(slice_equal(rows.items[2].key, "2026-11-24T06:27:38.123Z:home:d1:0000000000000001"));

        assert_int_equal(outbox_reject(f->outbox, rows.items[2].id, "invalid_argument: no"), 0);
        assert_int_equal(outbox_rejected_drop(guest, rows.items[2].id), 0);
        assert_int_equal(outbox_rejected_drop(guest, rows.items[2].id), -ENOENT);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows, 2);
        assert_int_equal(status.rejected_rows + status.rejected_bytes, 0);
        outbox_rows_done(&rows);
        outbox_guest_close(guest);
}

/* ---- the file ---- */

static void test_newer_is_left_alone(void **state) {
        OutboxFixture *f = *state;
        struct stat before, after;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 3, 1), 0);
        f->outbox = outbox_close(f->outbox);
        fixture_exec(f, "PRAGMA user_version = 4");
        assert_int_equal(stat(f->file, &before), 0);
        assert_int_equal(reopen(f, NULL), OUTBOX_NEWER);
        assert_null(f->outbox);
        OutboxGuest *guest = NULL;
        assert_int_equal(outbox_guest_open(f->directory, &guest), OUTBOX_NEWER);
        assert_int_equal(stat(f->file, &after), 0);
        assert_int_equal(before.st_size, after.st_size);
        assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
        fixture_exec(f, "PRAGMA user_version = 3");
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), 3);
}

static void test_wrong_counters_are_mended(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 3, 1), 0);
        f->outbox = outbox_close(f->outbox);
        fixture_exec(f, "UPDATE counts SET n = 77, bytes = -1");
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        OutboxStatus status;
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows, 3);
        assert_true(status.bytes > 0 && status.bytes < 1000);
        assert_int_equal(status.rejected_rows, 0);
}

static unsigned count_files(OutboxFixture *f, const char *part) {
        DIR *directory = opendir(f->directory);
        unsigned n = 0;
        assert_non_null(directory);
        for (struct dirent *entry; (entry = readdir(directory));)
                n += strstr(entry->d_name, part) != NULL;
        closedir(directory);
        return n;
}

static void overwrite(OutboxFixture *f, off_t at, size_t size) {
        int fd = open(f->file, O_WRONLY | O_CLOEXEC);
        char junk[4096];
        assert_true(fd >= 0);
        memset(junk, 0xa5, sizeof(junk));
        assert_true(size <= sizeof(junk));
        assert_int_equal(pwrite(fd, junk, size, at), size);
        close(fd);
}

static void test_no_database_at_all(void **state) {
        OutboxFixture *f = *state;
        OutboxSalvage salvage = {};

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 3, 1), 0);
        f->outbox = outbox_close(f->outbox);
        overwrite(f, 0, 512);
        assert_int_equal(reopen(f, &salvage), OUTBOX_SALVAGED);
        assert_int_equal(salvage.rows, 0);
        assert_non_null(strstr(salvage.aside, "outbox.sqlite.damaged-2"));
        assert_int_equal(count_files(f, "damaged"), 1); /* set aside, not deleted */
        assert_int_equal(fixture_waiting(f->outbox), 0);
        assert_int_equal(put(f->outbox, 0, 3, 1), 0);
        assert_int_equal(reopen(f, &salvage), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), 3);
}

/* Pages in the middle are lost, every row before, between and behind them is carried over; ids go on above the old
 * ones. */
static void test_bad_pages(void **state) {
        OutboxFixture *f = *state;
        OutboxSalvage salvage = {};
        OutboxRows rows;
        int64_t last_id;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 1000, 400), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1000, SIZE_MAX, &rows), 0);
        last_id = rows.items[999].id;
        assert_int_equal(outbox_reject(f->outbox, rows.items[0].id, "invalid_argument: no"), 0);
        outbox_rows_done(&rows);
        f->outbox = outbox_close(f->outbox);
        overwrite(f, INT64_C(40) * 4096, 4096);
        overwrite(f, INT64_C(80) * 4096, 4096);

        assert_int_equal(reopen(f, &salvage), OUTBOX_SALVAGED);
        OutboxStatus status;
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rejected_rows, 1);
        assert_in_range(status.rows, 999 - 24, 998);
        assert_int_equal(salvage.rows, status.rows + status.rejected_rows);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1000, SIZE_MAX, &rows), 0);
        assert_int_equal(row_number(&rows.items[0]), 1);
        assert_int_equal(row_number(&rows.items[rows.n - 1]), 999);
        unsigned gaps = 0;
        for (size_t i = 1; i < rows.n; i++)
                gaps += row_number(&rows.items[i]) != row_number(&rows.items[i - 1]) + 1;
        assert_int_equal(gaps, 2);
        outbox_rows_done(&rows);

        assert_int_equal(put(f->outbox, 5000, 1, 1), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, last_id, 10, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 1);
        outbox_rows_done(&rows);
}

/* Nor are ids given again whose rows were gone before the damage. */
static void test_ids_ascend_over_damage(void **state) {
        OutboxFixture *f = *state;
        OutboxSalvage salvage = {};
        int64_t ids[500];
        OutboxRows rows;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 1000, 400), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1000, SIZE_MAX, &rows), 0);
        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                ids[i] = rows.items[500 + i].id;
        outbox_rows_done(&rows);
        assert_int_equal(outbox_forget(f->outbox, ids, ELEMENTSOF(ids)), 0);
        f->outbox = outbox_close(f->outbox);
        overwrite(f, INT64_C(20) * 4096, 4096);
        assert_int_equal(reopen(f, &salvage), OUTBOX_SALVAGED);
        assert_in_range(salvage.rows, 480, 499);
        assert_int_equal(put(f->outbox, 5000, 1, 1), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, ids[ELEMENTSOF(ids) - 1], 10, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 1);
        outbox_rows_done(&rows);
}

/* The name that a file set aside would get, *later* seconds from now. */
static void aside_file(OutboxFixture *f, time_t now, unsigned later, char path[static 192]) {
        time_t then = now + later;
        char stamp[32];
        struct tm tm;

        (void) strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&then, &tm));
        (void) snprintf(path, 192, "%s.damaged-%s", f->file, stamp);
}

/* P7: a file that was set aside before is not written over, however close together the two are. */
static void test_aside_keeps_what_is_there(void **state) {
        OutboxFixture *f = *state;
        OutboxSalvage salvage = {};
        time_t now = time(NULL);
        char path[192];

        for (unsigned later = 0; later < 60; later++) {
                FILE *file;

                aside_file(f, now, later, path);
                file = fopen(path, "we");
                assert_non_null(file);
                assert_int_equal(fputs("mine", file) >= 0, 1);
                (void) fclose(file);
        }
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        f->outbox = outbox_close(f->outbox);
        overwrite(f, 0, 512);
        assert_int_equal(reopen(f, &salvage), OUTBOX_SALVAGED);
        assert_string_equal(salvage.aside + strlen(salvage.aside) - 2, "-2");
        for (unsigned later = 0; later < 60; later++) {
                struct stat st;

                aside_file(f, now, later, path);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_size, 4);
        }
}

/* Damage that shows while running: mended at once, and the call goes on. */
static void test_damage_while_running(void **state) {
        OutboxFixture *f = *state;
        OutboxRows rows;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        for (unsigned i = 0; i < 20; i++) /* more than SQLite keeps in memory */
                assert_int_equal(put(f->outbox, 1000 * i, 1000, 400), 0);
        assert_int_equal(reopen(f, NULL), OUTBOX_OK); /* everything is in the file, nothing in the log */
        overwrite(f, INT64_C(40) * 4096, 4096);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1000, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 1000);
        assert_in_range(row_number(&rows.items[999]), 1000, 1020); /* some are missing before it */
        outbox_rows_done(&rows);
        assert_int_equal(count_files(f, "damaged"), 1);
        assert_in_range(fixture_waiting(f->outbox), 19980, 19999);
        assert_int_equal(put(f->outbox, 20000, 1, 1), 0);
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
}

/* A file too large for the check at start is mended all the same, when the damage is met. */
static void damage_in_large_file(OutboxFixture *f, unsigned batches) {
        OutboxSalvage salvage = {};
        OutboxRows rows;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        for (unsigned i = 0; i < batches; i++)
                assert_int_equal(put(f->outbox, 1000 * i, 1000, 3000), 0); /* 4 MiB */
        f->outbox = outbox_close(f->outbox);
        overwrite(f, INT64_C(100) * 4096, 4096);

        assert_int_equal(reopen(f, &salvage), OUTBOX_OK);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 200, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 200);
        outbox_rows_done(&rows);
        assert_int_equal(count_files(f, "damaged"), 1);
        assert_in_range(fixture_waiting(f->outbox), 1000 * batches - 10, 1000 * batches - 1);
}

static void test_damage_beyond_the_check_after_a_clean_end(void **state) {
        damage_in_large_file(*state, 3);
}

static void test_damage_beyond_any_check(void **state) {
        damage_in_large_file(*state, 18);
}

/* After a kill more is looked at: here the file that a kill leaves behind, log and all. */
static void test_damage_after_a_kill(void **state) {
        OutboxFixture *f = *state;
        OutboxSalvage salvage = {};
        char command[512];

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(put(f->outbox, 1000 * i, 1000, 3000), 0);
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 3000, 1, 1), 0);
        (void) snprintf(command, sizeof(command), "cd %s; mkdir k; cp outbox.sqlite outbox.sqlite-wal k", f->directory);
        assert_int_equal(system(command), 0);
        f->outbox = outbox_close(f->outbox);
        (void) snprintf(command, sizeof(command), "cd %s && mv k/* . && rmdir k", f->directory);
        assert_int_equal(system(command), 0);
        overwrite(f, INT64_C(100) * 4096, 4096);

        assert_int_equal(reopen(f, &salvage), OUTBOX_SALVAGED);
        assert_in_range(salvage.rows, 2991, 3000);
}

/* A start that was killed between the new file's completion and the end of the swap: the next one goes on there. */
static void test_interrupted_swap(void **state) {
        OutboxFixture *f = *state;
        OutboxSalvage salvage = {};
        char from[512], to[256];

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 7, 1), 0);
        f->outbox = outbox_close(f->outbox);
        (void) snprintf(to, sizeof(to), "%s.salvaged", f->file);
        assert_int_equal(rename(f->file, to), 0); /* complete */
        (void) snprintf(from, sizeof(from), "printf damaged > %s; printf log > %s-wal", f->file, f->file);
        assert_int_equal(system(from), 0);
        assert_int_equal(reopen(f, &salvage), OUTBOX_SALVAGED);
        assert_int_equal(salvage.rows, 7);
        assert_int_equal(fixture_waiting(f->outbox), 7);
        assert_int_equal(count_files(f, "damaged"), 2);
        assert_int_equal(count_files(f, "salvaged"), 0);

        /* and the same when the old file had been moved already */
        f->outbox = outbox_close(f->outbox);
        assert_int_equal(rename(f->file, to), 0);
        (void) strcpy(from, salvage.aside);
        salvage = (OutboxSalvage){};
        assert_int_equal(reopen(f, &salvage), OUTBOX_SALVAGED);
        assert_int_equal(fixture_waiting(f->outbox), 7);
        assert_string_equal(salvage.aside, from); /* the file that is there */
}

static void test_half_made_copy_is_dropped(void **state) {
        OutboxFixture *f = *state;
        OutboxSalvage salvage = {};
        char command[512];

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 500, 400), 0);
        f->outbox = outbox_close(f->outbox);
        overwrite(f, INT64_C(20) * 4096, 4096);
        (void) snprintf(command, sizeof(command), "printf half > %s.new; printf log > %s.new-wal", f->file, f->file);
        assert_int_equal(system(command), 0);
        assert_int_equal(reopen(f, &salvage), OUTBOX_SALVAGED);
        assert_in_range(salvage.rows, 480, 499);
        assert_int_equal(count_files(f, ".new"), 0);
}

/* What passes is no reason to leave rows behind. */
static void test_salvage_of_a_locked_file(void **state) {
        _cleanup_(sql_closep) Sql *other = NULL, *sql = NULL;
        OutboxFixture *f = *state;
        OutboxSalvage salvage = {};

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 7, 1), 0);
        f->outbox = outbox_close(f->outbox);
        assert_int_equal(sql_open(f->file, &other), 0);
        assert_int_equal(sql_exec(other, "PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE"), 0);
        assert_int_equal(outbox_file_open(f->directory, 0, true, &sql, &salvage), -EBUSY);
        assert_int_equal(count_files(f, "damaged"), 0);
        other = sql_close(other);
        assert_int_equal(outbox_file_open(f->directory, 0, true, &sql, &salvage), OUTBOX_SALVAGED);
        sql = sql_close(sql);
        assert_int_equal(salvage.rows, 7);
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), 7);
}

/* The service manager, which reads at once: a socket holds few messages, and whoever sends one more waits. */
typedef struct Manager {
        int fd;
        unsigned asked;
} Manager;

static void *run_manager(void *userdata) {
        Manager *manager = userdata;
        char text[64];

        while (recv(manager->fd, text, sizeof(text), 0) > 0)
                manager->asked += strncmp(text, "EXTEND_TIMEOUT_USEC=", strlen("EXTEND_TIMEOUT_USEC=")) == 0;
        return NULL;
}

/* A service manager would end a start that takes too long, and the next one as well. */
static void test_salvage_asks_for_time(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        OutboxFixture *f = *state;
        Manager manager = {};
        pthread_t thread;

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 25000, 100), 0);
        f->outbox = outbox_close(f->outbox);
        overwrite(f, INT64_C(20) * 4096, 4096);

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", f->directory);
        manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(manager.fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(pthread_create(&thread, NULL, run_manager, &manager), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        assert_int_equal(reopen(f, NULL), OUTBOX_SALVAGED);
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_int_equal(shutdown(manager.fd, SHUT_RD), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(manager.asked >= 1); /* test-salvage: how often, when it takes long */
        (void) close(manager.fd);
}

/* ---- what must survive ---- */

/* P1, P2: kill -9 in the middle; what was acknowledged to the caller is there. */
static void test_kill(void **state) {
        OutboxFixture *f = *state;
        int ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Outbox *outbox = NULL;
                if (outbox_open(f->directory, &fixture_caps, &outbox, NULL) != OUTBOX_OK)
                        _exit(1);
                for (unsigned i = 0;; i += 10)
                        if (put(outbox, i, 10, 50) != 0 || write(ready[1], "x", 1) != 1)
                                _exit(1);
        }
        close(ready[1]);
        for (unsigned i = 0; i < 20; i++)
                assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        unsigned acknowledged = 20;
        while (read(ready[0], &byte, 1) == 1)
                acknowledged++;
        close(ready[0]);

        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_true(fixture_waiting(f->outbox) >= 10 * (uint64_t) acknowledged);
        assert_int_equal(fixture_waiting(f->outbox) % 10, 0); /* batches whole or not at all */
}

/* P7: a disk without room refuses the batch as a whole, and takes it once there is room again. */
static void fill_disk(const char *directory) {
        char name[128];
        (void) snprintf(name, sizeof(name), "%s/ballast", directory);
        int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        static const char zeros[4096];
        assert_true(fd >= 0);
        while (write(fd, zeros, sizeof(zeros)) > 0)
                ;
        close(fd);
}

static void test_disk_full(void **state) {
        OutboxFixture *f = *state;
        char name[128], command[256];
        int r = 0;

        (void) snprintf(command, sizeof(command), "mount -t tmpfs -o size=1m tmpfs %s 2>/dev/null", f->directory);
        if (geteuid() != 0 || system(command) != 0) {
                print_message("skipped: mounting a small tmpfs needs root\n");
                skip();
        }
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(put(f->outbox, 0, 10, 100), 0);
        fill_disk(f->directory);
        unsigned n = 10;
        for (; n < 100000 && r == 0; n += r == 0 ? 10 : 0)
                r = put(f->outbox, n, 10, 100);
        assert_int_equal(r, -ENOSPC);
        assert_int_equal(fixture_waiting(f->outbox), n);
        assert_int_equal(put(f->outbox, n, 10, 100), -ENOSPC);
        (void) snprintf(name, sizeof(name), "%s/ballast", f->directory);
        assert_int_equal(unlink(name), 0);
        assert_int_equal(put(f->outbox, n, 10, 100), 0);
        assert_int_equal(fixture_waiting(f->outbox), n + 10);
        assert_int_equal(reopen(f, NULL), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), n + 10);
        f->outbox = outbox_close(f->outbox);
        (void) snprintf(command, sizeof(command), "umount %s", f->directory);
        assert_int_equal(system(command), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_put_peek_forget),
                TEST(test_peek_bounds),
                TEST(test_ids_ascend),
                TEST(test_caps),
                TEST(test_reject_replay_drop),
                TEST(test_newer_is_left_alone),
                TEST(test_wrong_counters_are_mended),
                TEST(test_no_database_at_all),
                TEST(test_bad_pages),
                TEST(test_ids_ascend_over_damage),
                TEST(test_aside_keeps_what_is_there),
                TEST(test_damage_while_running),
                TEST(test_damage_beyond_the_check_after_a_clean_end),
                TEST(test_damage_beyond_any_check),
                TEST(test_damage_after_a_kill),
                TEST(test_interrupted_swap),
                TEST(test_half_made_copy_is_dropped),
                TEST(test_salvage_of_a_locked_file),
                TEST(test_salvage_asks_for_time),
                TEST(test_kill),
                TEST(test_disk_full),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
