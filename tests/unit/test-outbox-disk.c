/* SPDX-License-Identifier: Apache-2.0 */
/* What the outbox says and does while the disk refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "capture.h"
#include "events.h"
#include "outbox-fixture.h"
#include "publish/outbox-guest.h"

/* What the outbox takes for now is so much later (the linker's --wrap). */
static usec_t later;
usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);

usec_t __wrap_clock_now(void) {
        return __real_clock_now() + later;
}

/* How long the disk takes for a transaction. */
static usec_t needed, waited;
usec_t __real_clock_monotonic(void);
usec_t __wrap_clock_monotonic(void);

usec_t __wrap_clock_monotonic(void) {
        return __real_clock_monotonic() + later + waited;
}

/* What SQLite answers in its place; 0: it is asked. */
static int refusal;
int __real_sql_begin(Sql *sql, bool durable);
int __wrap_sql_begin(Sql *sql, bool durable);

int __wrap_sql_begin(Sql *sql, bool durable) {
        waited += needed;
        return refusal < 0 ? refusal : __real_sql_begin(sql, durable);
}

static void on_change(void *userdata) {
        unsigned *changes = userdata;

        ++*changes;
}

/* P7: one line when it begins, whoever met it, and one when it is over; and everybody is told. */
static void test_said_once_whoever_met_it(void **state) {
        OutboxFixture *f = *state;
        unsigned changes = 0;
        usec_t began = clock_wall();
        Sql *other = NULL;
        OutboxStatus status;
        OutboxRows rows;
        int64_t id;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        outbox_watch(f->outbox, on_change, &changes);
        assert_int_equal(fixture_put(f->outbox, 0, 3), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1, SIZE_MAX, &rows), 0);
        id = rows.items[0].id;
        outbox_rows_done(&rows);
        assert_int_equal(sql_open(f->file, &other), 0);
        assert_int_equal(sql_exec(other, "BEGIN IMMEDIATE"), 0); /* nothing can be written */

        Capture c = capture_begin();
        assert_int_equal(outbox_forget(f->outbox, &id, 1), -EBUSY);
        assert_false(outbox_is_failing(f->outbox)); /* no reason yet not to poll */
        assert_int_equal(fixture_put(f->outbox, 3, 1), -EBUSY);
        assert_int_equal(fixture_put(f->outbox, 3, 1), -EBUSY);
        assert_int_equal(outbox_reject(f->outbox, id, "no"), -EBUSY);
        assert_true(outbox_is_failing(f->outbox));
        assert_false(outbox_has_room(f->outbox, 1, 1));
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1, SIZE_MAX, &rows), 0); /* what can be read is no sign */
        outbox_rows_done(&rows);
        assert_true(outbox_is_failing(f->outbox));
        assert_int_equal(changes, 2); /* and when polling stopped */
        outbox_status(f->outbox, &status);
        assert_in_range(status.failure.since, began, clock_wall());
        assert_int_equal(status.failure.cause, CAUSE_OCCUPIED);
        assert_non_null(strstr(status.failure.detail, "cannot be written"));

        assert_int_equal(sql_exec(other, "ROLLBACK"), 0);
        assert_int_equal(outbox_forget(f->outbox, &id, 1), 0);
        assert_true(outbox_is_failing(f->outbox)); /* a put takes more than that */
        assert_int_equal(fixture_put(f->outbox, 3, 1), 0);
        assert_false(outbox_is_failing(f->outbox));
        assert_true(outbox_has_room(f->outbox, 1, 1));
        assert_int_equal(changes, 3);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.failure.since, 0);
        assert_int_equal(status.failure.cause, CAUSE_NONE);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 2);
        assert_int_equal(count_of(log, "Polling and publishing continue"), 1);
        assert_int_equal(count_of(log, "Polling is suspended"), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 1);
        sql_close(other);
}

/* It was "The disk fails ... Free space on the disk of state_dir" whatever failed. */
static void test_says_what_helps(void **state) {
        static const struct {
                int error;
                Cause cause;
                const char *helps;
        } cases[] = {
                { -ENOMEM, CAUSE_MEMORY, "LimitNOFILE=" },
                { -EMFILE, CAUSE_MEMORY, "LimitNOFILE=" },
                { -ENOSPC, CAUSE_SPACE, "`df -i`" },
                { -EROFS, CAUSE_OWNER, "mount it for writing" },
                { -EACCES, CAUSE_OWNER, "chown" },
                { -ENOENT, CAUSE_DIRECTORY, "create the missing directory" },
                { -EIO, CAUSE_DISK, "look at the disk" },
        };
        OutboxFixture *f = *state;
        OutboxStatus status;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(fixture_reopen(f), OUTBOX_OK);
                Capture c = capture_begin();
                refusal = cases[i].error;
                assert_int_equal(fixture_put(f->outbox, 0, 1), refusal);
                refusal = 0;
                outbox_status(f->outbox, &status);
                assert_int_equal(status.failure.cause, cases[i].cause);
                char *log = capture_end(&c);
                assert_int_equal(count_of(log, cases[i].helps), 1);
                assert_int_equal(count_of(log, "ree space"), cases[i].error == -ENOSPC);
        }
}

/* A memory card that needs seconds for each reading: the log blamed Pub/Sub only (no reply within 5 s). */
static void test_slow(void **state) {
        OutboxFixture *f = *state;
        unsigned n = 0;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        Capture c = capture_begin();
        needed = 2 * USEC_PER_SEC;
        for (unsigned i = 0; i < 20; i++, later += USEC_PER_MINUTE) /* one stall a minute is normal */
                assert_int_equal(fixture_put(f->outbox, n++, 1), 0);
        for (needed = USEC_PER_SEC / 5; n < 100; n++)
                assert_int_equal(fixture_put(f->outbox, n, 1), 0);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_SLOW), 0);

        c = capture_begin();
        needed = 3 * USEC_PER_SEC;
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(fixture_put(f->outbox, n++, 1), 0);
        log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_SLOW), 1);
        assert_int_equal(count_of(log, "of the last 1"), 1); /* 12 s and what this machine needs */
        assert_false(outbox_is_failing(f->outbox));

        c = capture_begin();
        later += USEC_PER_HOUR;
        needed = 3 * USEC_PER_MINUTE; /* once is enough */
        assert_int_equal(fixture_put(f->outbox, n, 1), 0);
        needed = 0;
        log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_SLOW), 1);
        assert_int_equal(count_of(log, "of the last 3 min, 3 min went"), 1); /* it was "within a minute" */
}

/* Where no transaction begins, the disk is not slow: it was an hour, that since the last one. */
static void test_not_slow(void **state) {
        OutboxFixture *f = *state;
        char away[80];

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 1), 0);
        (void) snprintf(away, sizeof(away), "%s.away", f->directory);
        assert_int_equal(rename(f->directory, away), 0);
        later += USEC_PER_HOUR;
        Capture c = capture_begin();
        assert_int_equal(fixture_put(f->outbox, 1, 1), -ENOENT);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_SLOW), 0);
        assert_int_equal(rename(away, f->directory), 0);
}

/* Found by the simulation: what a source remembers over a restart was refused, nobody makes such a put again, and
 * polling waited for ever. */
static void test_refused_put_that_nobody_repeats(void **state) {
        OutboxFixture *f = *state;
        Sql *other = NULL;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(sql_open(f->file, &other), 0);
        assert_int_equal(sql_exec(other, "BEGIN IMMEDIATE"), 0); /* nothing can be written */
        Capture c = capture_begin();
        assert_int_equal(fixture_put(f->outbox, 0, 1), -EBUSY);
        assert_false(outbox_has_room(f->outbox, 1, 1));
        later += USEC_PER_MINUTE;
        assert_true(outbox_has_room(f->outbox, 1, 1)); /* somebody has to try */
        assert_true(outbox_is_failing(f->outbox));
        assert_int_equal(fixture_put(f->outbox, 0, 1), -EBUSY);
        assert_false(outbox_has_room(f->outbox, 1, 1));
        later += USEC_PER_MINUTE;

        assert_int_equal(sql_exec(other, "ROLLBACK"), 0);
        assert_int_equal(fixture_put(f->outbox, 0, 1), 0);
        assert_false(outbox_is_failing(f->outbox));
        assert_true(outbox_has_room(f->outbox, 1, 1));
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 1);
        sql_close(other);
}

/* P7: a disk that is nearly full takes small puts and refuses a large one. "The disk fails" and "works again" were
 * logged in turn with each try, by the hundred in an hour. */
static void test_room_for_small_puts_only(void **state) {
        OutboxFixture *f = *state;
        unsigned n = 10;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        Capture c = capture_begin();
        for (size_t i = 0; i < 5; i++, n++) {
                refusal = -ENOSPC;
                assert_int_equal(fixture_put(f->outbox, 0, 10), -ENOSPC);
                assert_true(outbox_is_failing(f->outbox));
                later += 5 * USEC_PER_SEC;
                refusal = 0;
                assert_int_equal(fixture_put(f->outbox, n, 1), 0);
                assert_false(outbox_is_failing(f->outbox)); /* polling goes on */
        }
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 0);

        c = capture_begin();
        assert_int_equal(fixture_put(f->outbox, 0, 10), 0); /* the large one fits */
        log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 1);

        c = capture_begin();
        refusal = -ENOSPC;
        assert_int_equal(fixture_put(f->outbox, n, 10), -ENOSPC);
        refusal = 0;
        assert_int_equal(fixture_put(f->outbox, n, 1), 0);
        later += USEC_PER_MINUTE; /* nobody has the large one any more */
        assert_int_equal(fixture_put(f->outbox, n + 1, 1), 0);
        log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 1);
}

/* It is said although no reading comes: the report asks for the figures, and that is enough. */
static void test_recovered_while_nobody_puts(void **state) {
        OutboxFixture *f = *state;
        OutboxStatus status;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        Capture c = capture_begin();
        refusal = -ENOSPC;
        assert_int_equal(fixture_put(f->outbox, 0, 10), -ENOSPC);
        refusal = 0;
        assert_int_equal(fixture_put(f->outbox, 10, 1), 0);
        later += USEC_PER_MINUTE; /* nobody has the large one any more, and no reading comes */
        outbox_status(f->outbox, &status);
        assert_true(outbox_has_room(f->outbox, 1, 1));
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 1);
}

/* Nor if it takes small puts and refuses to forget many rows. */
static void test_room_to_put_but_not_to_forget(void **state) {
        OutboxFixture *f = *state;
        const int64_t id = 1;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        Capture c = capture_begin();
        for (unsigned i = 0; i < 5; i++) {
                refusal = -ENOSPC;
                assert_int_equal(outbox_forget(f->outbox, &id, 1), -ENOSPC);
                later += 5 * USEC_PER_SEC;
                refusal = 0;
                assert_int_equal(fixture_put(f->outbox, i, 1), 0);
        }
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 0);

        c = capture_begin();
        assert_int_equal(outbox_forget(f->outbox, &id, 1), 0);
        refusal = -ENOSPC;
        assert_int_equal(outbox_forget(f->outbox, &id, 1), -ENOSPC);
        refusal = 0;
        assert_int_equal(fixture_put(f->outbox, 5, 1), 0);
        later += USEC_PER_MINUTE; /* nobody has anything to forget any more */
        assert_int_equal(fixture_put(f->outbox, 6, 1), 0);
        log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 2);
}

/* A12: a reply larger than the caps would stop polling for ever, if nothing waits that could make room. */
static void test_empty_outbox_takes_a_poll(void **state) {
        OutboxFixture *f = *state;
        OutboxRows rows;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        outbox_set_caps(f->outbox, &(OutboxConfig){ .max_rows = 2, .max_bytes = 200 });
        assert_true(outbox_has_room(f->outbox, 3, 100000));
        assert_int_equal(fixture_put(f->outbox, 0, 3), 0);
        assert_false(outbox_has_room(f->outbox, 1, 1));

        /* rejected rows take room as well: where they fill it, somebody has to act */
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 3, SIZE_MAX, &rows), 0);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(i == 0 ? outbox_reject(f->outbox, rows.items[i].id, "no")
                                        : outbox_forget(f->outbox, &rows.items[i].id, 1),
                        0);
        outbox_rows_done(&rows);
        assert_true(outbox_has_room(f->outbox, 3, 100000));
        assert_int_equal(fixture_put(f->outbox, 3, 1), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 3, SIZE_MAX, &rows), 0);
        assert_int_equal(outbox_reject(f->outbox, rows.items[0].id, "no"), 0);
        outbox_rows_done(&rows);
        assert_false(outbox_has_room(f->outbox, 1, 1));
}

/* ---- a disk without room ---- */

static void mount_disk(const OutboxFixture *f, const char *size) {
        char command[256];

        (void) snprintf(command, sizeof(command), "mount -t tmpfs -o size=%s tmpfs %s 2>/dev/null", size, f->directory);
        if (geteuid() != 0 || system(command) != 0) {
                print_message("skipped: mounting a small tmpfs needs root\n");
                skip();
        }
}

static void unmount_disk(OutboxFixture *f) {
        char command[256];

        f->outbox = outbox_close(f->outbox);
        (void) snprintf(command, sizeof(command), "umount -l %s", f->directory);
        assert_int_equal(system(command), 0);
}

static void ballast(const OutboxFixture *f, char name[static 128]) {
        (void) snprintf(name, 128, "%s/ballast", f->directory);
}

static void fill_disk(const OutboxFixture *f) {
        static const char zeros[4096];
        char name[128];
        int fd;

        ballast(f, name);
        fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        while (write(fd, zeros, sizeof(zeros)) > 0)
                ;
        (void) close(fd);
}

static void free_disk(const OutboxFixture *f) {
        char name[128];

        ballast(f, name);
        assert_int_equal(unlink(name), 0);
}

/* A13: what is queued can be read, so published, from a disk that is full at the start, with or without a log that was
 * left; and when there is room it is an outbox like any other, which a second process can look into. */
static void test_full_at_the_start(void **state) {
        OutboxFixture *f = *state;
        OutboxGuest *guest;
        OutboxRows rows;
        int r = 0;

        mount_disk(f, "1m");
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 500), 0);
        f->outbox = outbox_close(f->outbox);
        fill_disk(f);

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_waiting(f->outbox), 500);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1000, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, 500);
        outbox_rows_done(&rows);
        for (unsigned i = 0; i < 100 && r == 0; i++)
                r = fixture_put(f->outbox, 500, 500);
        assert_int_equal(r, -ENOSPC);
        assert_true(outbox_is_failing(f->outbox));
        free_disk(f);
        assert_int_equal(fixture_put(f->outbox, 500, 5), 0);
        assert_false(outbox_is_failing(f->outbox));
        assert_true(fixture_waiting(f->outbox) >= 505);
        assert_int_equal(outbox_guest_open(f->directory, &guest), OUTBOX_OK);
        outbox_guest_close(guest);
        unmount_disk(f);
}

/* P7: filled by the outbox alone, with nothing on it that could be deleted. What was published is forgotten, and the
 * room in the file is used again: the log could not be copied into a file that could not grow, and then took nothing
 * more. */
static void test_filled_by_itself(void **state) {
        OutboxFixture *f = *state;
        OutboxRows rows;
        unsigned n = 0;
        int64_t id;

        mount_disk(f, "6m");
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        while (fixture_put(f->outbox, n, 100) == 0)
                n += 100;
        assert_int_equal(fixture_waiting(f->outbox), n);
        for (unsigned i = 0; i < n; i++) {
                assert_int_equal(outbox_rows_peek(f->outbox, 0, 1, SIZE_MAX, &rows), 0);
                id = rows.items[0].id;
                outbox_rows_done(&rows);
                assert_int_equal(outbox_forget(f->outbox, &id, 1), 0);
        }
        assert_int_equal(fixture_waiting(f->outbox), 0);
        assert_int_equal(fixture_put(f->outbox, n, n / 2), 0);
        assert_false(outbox_is_failing(f->outbox));
        unmount_disk(f);
}

static int put_long(Outbox *outbox, unsigned first, unsigned n) {
        ReadingList list = {};
        char source[500];
        int r;

        (void) snprintf(source, sizeof(source), "%0499u", n);
        for (unsigned i = first; i < first + n; i++)
                fixture_add(&list, source, i, NULL, NULL);
        r = outbox_put(outbox, &list, NULL);
        reading_list_done(&list);
        return r;
}

/* P7: the log goes with each stop, and what comes next may take its room. It keeps enough to forget what was published,
 * in several transactions if need be. */
static void test_filled_at_each_start(void **state) {
        OutboxFixture *f = *state;
        int64_t ids[1000];
        OutboxRows rows;
        unsigned n = 0;

        mount_disk(f, "3m");
        for (unsigned life = 0; life < 40; life++) {
                assert_int_equal(fixture_reopen(f), OUTBOX_OK);
                while (put_long(f->outbox, n, 20) == 0)
                        n += 20;
                f->outbox = outbox_close(f->outbox);
        }
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, ELEMENTSOF(ids), SIZE_MAX, &rows), 0);
        assert_int_equal(rows.n, ELEMENTSOF(ids));
        for (size_t i = 0; i < rows.n; i++)
                ids[i] = rows.items[i].id;
        outbox_rows_done(&rows);
        assert_int_equal(outbox_forget(f->outbox, ids, ELEMENTSOF(ids)), 0);
        assert_int_equal(fixture_waiting(f->outbox), n - ELEMENTSOF(ids));
        unmount_disk(f);
}

/* Nothing there yet, and no room to make it: the daemon starts all the same, and goes on when there is room. */
static void test_made_when_there_is_room(void **state) {
        OutboxFixture *f = *state;

        mount_disk(f, "256k");
        fill_disk(f);
        Capture c = capture_begin();
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_true(outbox_is_failing(f->outbox));
        assert_false(outbox_has_room(f->outbox, 1, 1));
        assert_int_equal(fixture_put(f->outbox, 0, 1), -ENOSPC);
        free_disk(f);
        for (unsigned i = 0; i < 100 && fixture_put(f->outbox, 0, 1) != 0; i++)
                assert_int_equal(usleep(100000), 0); /* it is not tried all the time */
        assert_false(outbox_is_failing(f->outbox));
        assert_int_equal(fixture_waiting(f->outbox), 1);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 1);
        unmount_disk(f);
}

/* A damaged file, and no room for a copy of what can be read of it: how much is needed is said, and nothing is lost. */
static void test_no_room_for_a_salvage(void **state) {
        OutboxFixture *f = *state;
        char junk[4096];
        int fd;

        mount_disk(f, "3m");
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (unsigned i = 0; i < 4000; i += 1000)
                assert_int_equal(fixture_put(f->outbox, i, 1000), 0);
        f->outbox = outbox_close(f->outbox);
        memset(junk, 0xa5, sizeof(junk));
        fd = open(f->file, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, junk, sizeof(junk), INT64_C(40) * 4096), sizeof(junk));
        assert_int_equal(close(fd), 0);
        fill_disk(f);

        Capture c = capture_begin();
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_true(outbox_is_failing(f->outbox));
        free_disk(f);
        for (unsigned i = 0; i < 100 && !outbox_has_room(f->outbox, 1, 1); i++)
                assert_int_equal(usleep(100000), 0);
        assert_in_range(fixture_waiting(f->outbox), 3900, 3999);
        char *log = capture_end(&c);
        assert_int_equal(count_of(log, EVENT_OUTBOX_FAILING), 1);
        assert_int_equal(count_of(log, "bytes are needed"), 1);
        assert_int_equal(count_of(log, "was copied to a new one"), 1);
        assert_int_equal(count_of(log, EVENT_OUTBOX_RECOVERED), 1);
        unmount_disk(f);
}

/* ---- a list that somebody reads slowly ---- */

typedef struct Reader {
        OutboxFixture *f;
        OutboxGuest *guest;
        unsigned n;
} Reader;

static int read_slowly(void *userdata, const OutboxRejected *row) {
        Reader *reader = userdata;
        Sql *sql = NULL;

        assert_int_equal(row->payload.size, 0); /* a list has no use for it */
        assert_int_equal(row->size, 7);
        if (reader->n++ == 1) { /* the log can be written back to its begin meanwhile: no read holds it */
                assert_int_equal(sql_open(reader->f->file, &sql), 0);
                assert_int_equal(fixture_query(reader->f, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
                sql_close(sql);
        }
        assert_int_equal(outbox_rejected_drop(reader->guest, row->id), 0); /* nor does it mind a change */
        return 0;
}

static int show_one(void *userdata, const OutboxRejected *row) {
        int64_t *id = userdata;

        *id = row->id;
        assert_true(slice_equal(row->payload, "{\"n\":1}"));
        return 1;
}

/* B6: while a pager is open the daemon's log must not grow. */
static void test_list_holds_nothing(void **state) {
        OutboxFixture *f = *state;
        Reader reader = { .f = f };
        OutboxRows rows;
        int64_t id = 0;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 5), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 5, SIZE_MAX, &rows), 0);
        for (size_t i = 0; i < rows.n; i++)
                assert_int_equal(outbox_reject(f->outbox, rows.items[i].id, "no"), 0);
        assert_int_equal(outbox_guest_open(f->directory, &reader.guest), OUTBOX_OK);
        assert_int_equal(outbox_rejected_each(reader.guest, rows.items[1].id - 1, true, show_one, &id), 1);
        assert_int_equal(id, rows.items[1].id);
        assert_int_equal(outbox_rejected_each(reader.guest, 0, false, read_slowly, &reader), 0);
        assert_int_equal(reader.n, 5);
        outbox_guest_close(reader.guest);
        outbox_rows_done(&rows);
}

static void *drop_all(void *userdata) {
        const OutboxFixture *f = userdata;
        OutboxGuest *guest;

        assert_int_equal(outbox_guest_open(f->directory, &guest), OUTBOX_OK);
        for (int64_t id = 1; id <= 1000; id++)
                assert_int_equal(outbox_rejected_drop(guest, id), 0);
        outbox_guest_close(guest);
        return NULL;
}

/* Whoever changes one row after the other leaves room for the daemon. */
static void test_guest_gives_way(void **state) {
        OutboxFixture *f = *state;
        unsigned n = 0, refused = 0;
        pthread_t thread;
        OutboxRows rows;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(fixture_put(f->outbox, 0, 1000), 0);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 1000, SIZE_MAX, &rows), 0);
        for (size_t i = 0; i < rows.n; i++)
                assert_int_equal(outbox_reject(f->outbox, rows.items[i].id, "no"), 0);
        outbox_rows_done(&rows);
        assert_int_equal(pthread_create(&thread, NULL, drop_all, f), 0);
        while (fixture_query(f, "SELECT count(*) FROM rejected") > 0) {
                refused += fixture_put(f->outbox, 1000 + n, 1) < 0;
                n++;
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_in_range(refused, 0, 2 + n / 10); /* a machine that pauses in the midst of a change */
        assert_int_equal(fixture_waiting(f->outbox), n - refused);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_said_once_whoever_met_it),
                TEST(test_says_what_helps),
                TEST(test_slow),
                TEST(test_not_slow),
                TEST(test_refused_put_that_nobody_repeats),
                TEST(test_room_for_small_puts_only),
                TEST(test_recovered_while_nobody_puts),
                TEST(test_room_to_put_but_not_to_forget),
                TEST(test_empty_outbox_takes_a_poll),
                TEST(test_full_at_the_start),
                TEST(test_filled_by_itself),
                TEST(test_filled_at_each_start),
                TEST(test_made_when_there_is_room),
                TEST(test_no_room_for_a_salvage),
                TEST(test_list_holds_nothing),
                TEST(test_guest_gives_way),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
