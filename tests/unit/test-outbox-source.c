/* SPDX-License-Identifier: Apache-2.0 */
/* What the outbox keeps for each source beside its readings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <string.h>

#include "outbox-fixture.h"
#include "publish/outbox-guest.h"
#include "publish/outbox-sql.h"

static usec_t set_by; /* the wall clock */

usec_t __real_clock_wall(void);
usec_t __wrap_clock_wall(void);

usec_t __wrap_clock_wall(void) {
        return __real_clock_wall() + set_by;
}

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
        assert_memory_equal(&status, &again, offsetof(OutboxStatus, failure)); /* in which there is padding */
        assert_true(status.failure.on == again.failure.on && status.failure.since == again.failure.since);
        assert_int_equal(fixture_query(f, "SELECT sum(size) FROM readings"), status.bytes);
}

/* A number that cannot be right: what is new is still new, what was seen is known, and old keys still go. */
static void test_keys_with_an_odd_number(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(put_seen(f, "history", 0, 3), 0);
        assert_int_equal(put_seen(f, "other", 0, 1), 0);
        f->outbox = outbox_close(f->outbox);
        fixture_exec(f,
                "UPDATE seen SET n = 9223372036854775807 WHERE n = 2; UPDATE seen SET n = -9e999 WHERE source = 'other'");
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(put_seen(f, "other", 1, 3), 0);
        assert_int_equal(put_seen(f, "history", 3, 3), 0);
        assert_int_equal(put_seen(f, "history", 0, 6), 6);
        assert_int_equal(fixture_waiting(f->outbox), 10);
}

/* Every table has a cap: 100 000 keys of a source, for 7 days. */
static void test_keys_are_bounded(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (unsigned i = 0; i < 102000; i += 2000)
                assert_int_equal(put_seen(f, "history", i, 2000), 0);
        assert_int_equal(put_seen(f, "other", 0, 10), 0);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM seen WHERE source = 'history'"), READING_SEEN_MAX);
        assert_int_equal(put_seen(f, "history", 101999, 1), 1); /* the newest are kept */
        assert_int_equal(put_seen(f, "history", 1999, 1), 0);

        f->outbox = outbox_close(f->outbox);
        fixture_exec(f, "UPDATE seen SET at = at - 8 * 24 * 3600 * 1000000 WHERE n < 101000");
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(put_seen(f, "history", 200000, 1), 0);
        assert_in_range(fixture_query(f, "SELECT count(*) FROM seen WHERE source = 'history'"), 1000, 1010);
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM seen WHERE source = 'other'"), 0 + 10);
}

/* What a window that stands still has in it comes with each poll: it is known from when it came last, not first. That
 * is written now and then; not of what a sender names. */
static void test_what_comes_again_stays_known(void **state) {
        OutboxFixture *f = *state;
        size_t repeats;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (int day = 0; day <= 30; day++) {
                ReadingList again = {}, pushed = {};

                for (unsigned i = 0; i < 10; i++)
                        fixture_add(&again, "history", i, NULL, NULL);
                assert_int_equal(reading_list_name(&again), 0);
                fixture_add(&again, "history", 100 + (unsigned) day, "point", NULL);
                again.items[10].seen[0] = (char) ('a' + day);
                fixture_add(&pushed, "push", 1, "abc:0", NULL);
                fixture_add(&pushed, "push", 2, again.items[10].seen, NULL);
                assert_int_equal(outbox_put(f->outbox, &again, &repeats), 0);
                assert_int_equal(repeats, day > 0 ? 10 : 0);
                assert_int_equal(outbox_put(f->outbox, &pushed, &repeats), 0);
                assert_int_equal(repeats, day % 8 > 0);
                f->outbox = outbox_close(f->outbox);
                if (day == 0)
                        fixture_exec(f,
                                "CREATE TABLE times (at INTEGER); CREATE TRIGGER t AFTER UPDATE OF at ON seen WHEN new.at > old.at BEGIN INSERT INTO times VALUES (new.at); END");
                fixture_exec(f, "UPDATE seen SET at = at - 24 * 3600 * 1000000");
                assert_int_equal(fixture_reopen(f), OUTBOX_OK);
                reading_list_done(&again);
                reading_list_done(&pushed);
        }
        assert_in_range(fixture_query(f, "SELECT count(*) FROM times"), 100, 150); /* of 300 */
}

/* P4: a machine without a battery behind its clock begins days ago, and is set while a sender waits for its answer. No
 * key is forgotten for that, nor kept for years where the clock was ahead for a moment. */
static void test_set_clock_forgets_nothing(void **state) {
        static const int days[] = { -10, 0, 3000, 0 };
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (unsigned i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
                set_by = (usec_t) days[i] * 24 * USEC_PER_HOUR;
                assert_int_equal(put_seen(f, "push", i, 1), 0);
                assert_int_equal(put_seen(f, "push", 0, i + 1), i + 1);
        }
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM seen"), 4);
        assert_in_range(fixture_query(f, "SELECT max(at) FROM seen"), clock_wall() - USEC_PER_MINUTE, clock_wall());
        assert_in_range(fixture_query(f, "SELECT min(at) FROM seen"), clock_wall() - USEC_PER_MINUTE, clock_wall());
}

/* A hardware clock in local time, as where another system keeps it so: nine hours ahead at each start, until a time
 * server is heard. What a right clock wrote gets no older by that, and what waits for its answer is known again. (P4)
 */
static void test_clock_ahead_at_each_start(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(put_seen(f, "push", 0, 1), 0);
        for (unsigned day = 1; day <= 6; day++) {
                f->outbox = outbox_close(f->outbox);
                fixture_exec(f, "UPDATE seen SET at = at - 24 * 3600 * 1000000");
                assert_int_equal(fixture_reopen(f), OUTBOX_OK);
                set_by = 9 * USEC_PER_HOUR;
                assert_int_equal(put_seen(f, "push", 2 * day, 1), 0);
                set_by = 0;
                assert_int_equal(put_seen(f, "push", 2 * day + 1, 1), 0);
        }
        assert_int_equal(put_seen(f, "push", 0, 1), 1);
        assert_true(fixture_query(f, "SELECT max(at) FROM seen") <= (int64_t) clock_wall());
}

/* Days behind at each start: old keys do not move into the future, start by start, to be kept for ever. */
static void test_clock_behind_at_each_start(void **state) {
        OutboxFixture *f = *state;

        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(fixture_reopen(f), OUTBOX_OK);
                set_by = (usec_t) -10 * 24 * USEC_PER_HOUR;
                assert_int_equal(put_seen(f, "push", 2 * i, 1), 0);
                set_by = 0;
                assert_int_equal(put_seen(f, "push", 2 * i + 1, 1), 0);
        }
        assert_int_equal(put_seen(f, "push", 0, 6), 6);
        assert_true(fixture_query(f, "SELECT max(at) FROM seen") <= (int64_t) clock_wall());
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
                assert_int_equal(
                        reading_list_add_unreadable(&list, source, slice_of("tele/x"), "not JSON", &payload), 0);
                assert_null(payload.data);
        }
        assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
        reading_list_done(&list);
}

/* Values that cannot be right, in rows that can be read: the next ones are kept all the same. */
static void test_unreadable_with_odd_numbers(void **state) {
        static const struct {
                const char *damage;
                int open;
        } cases[] = {
                { "UPDATE unreadable SET size = 9223372036854775807", OUTBOX_OK },
                { "UPDATE unreadable SET id = 9223372036854775807 WHERE id = 2", OUTBOX_SALVAGED },
                { "UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'unreadable'", OUTBOX_SALVAGED },
                { "PRAGMA writable_schema = ON;"
                  "UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'dropped';"
                  "PRAGMA writable_schema = RESET; UPDATE dropped SET n = NULL; PRAGMA writable_schema = ON;"
                  "UPDATE sqlite_schema SET sql = replace(sql, 'n INTEGER', 'n INTEGER NOT NULL') WHERE name = 'dropped'",
                        OUTBOX_OK },
        };
        OutboxFixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(fixture_reopen(f), OUTBOX_OK);
                put_unreadable(f, "zigbee", 0, 2, 10);
                f->outbox = outbox_close(f->outbox);
                fixture_exec(f, cases[i].damage);
                assert_int_equal(fixture_reopen(f), cases[i].open);
                put_unreadable(f, "zigbee", 2, 1, 10);
        }
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable"), 3 * ELEMENTSOF(cases) - 1);
}

/* The newest 1000 or 4 MiB of each source, the rest counted; the caps of the queue do not see them. */
static void test_unreadable_is_kept_raw(void **state) {
        OutboxFixture *f = *state;
        OutboxStatus status;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        put_unreadable(f, "zigbee", 0, 700, 10);
        put_unreadable(f, "zigbee", 700, 700, 10);
        put_unreadable(f, "push", 0, 3, 10);
        assert_int_equal(
                fixture_query(f, "SELECT count(*) FROM unreadable WHERE source = 'zigbee'"), OUTBOX_UNREADABLE_ROWS);
        assert_int_equal(
                fixture_query(f,
                        "SELECT count(*) FROM unreadable WHERE source = 'zigbee' AND CAST(payload AS TEXT) LIKE '1399:%'"),
                1);
        assert_int_equal(fixture_query(f, "SELECT n FROM dropped WHERE source = 'zigbee'"), 400);
        assert_int_equal(fixture_query(f, "SELECT coalesce(sum(n), 0) FROM dropped WHERE source = 'push'"), 0);

        put_unreadable(f, "push", 3, 5, 1024 * 1024);
        assert_in_range(fixture_query(f, "SELECT sum(size) FROM unreadable WHERE source = 'push'"), 3 * 1024 * 1024,
                OUTBOX_UNREADABLE_BYTES);
        assert_int_equal(fixture_query(f, "SELECT n FROM dropped WHERE source = 'push'"), 5);
        put_unreadable(f, "push", 8, 1, OUTBOX_UNREADABLE_BYTES + 1); /* is not kept, and pushes out nothing */
        assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable WHERE source = 'push'"), 3);
        assert_int_equal(outbox_dropped(f->outbox, "push"), 6);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        assert_int_equal(outbox_dropped(f->outbox, "push"), 6);
        assert_int_equal(outbox_dropped(f->outbox, "zigbee"), 400);
        assert_int_equal(outbox_dropped(f->outbox, "home"), 0);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.rows + status.bytes + status.rejected_rows + status.rejected_bytes, 0);
}

/* P4: a push that is repeated under its key, a message that a broker sends again: what could not be read of it is kept
 * once, or a replay would make two readings of it. */
static void test_unreadable_under_a_name(void **state) {
        static const struct {
                const char *name;
                bool anew;
                int n, rows;
        } rounds[] = { { "abc:1", false, 1, 1 }, { "abc:1", false, 1, 1 }, { "abd:1", false, 1, 2 },
                { "abd:1", true, 1, 3 }, { "abd:1", false, 1, 3 },
                { "abd:1", false, 3, 5 } /* those behind one that is known are kept */ };
        OutboxFixture *f = *state;
        ReadingList list = {};

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (size_t i = 0; i < ELEMENTSOF(rounds); i++) {
                for (int j = 0; j < rounds[i].n; j++) {
                        Bytes payload = {};

                        assert_int_equal(bytes_append_text(&payload, "{\"co2\":612}"), 0);
                        assert_int_equal(reading_list_add_unreadable(&list, "push", (Slice){}, "no id", &payload), 0);
                }
                assert_int_equal(reading_list_name_by(&list, rounds[i].name, rounds[i].anew), 0);
                assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
                reading_list_done(&list);
                assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable"), rounds[i].rows);
                assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        }
}

/* What a document had beyond its cap was never in the list. */
static void test_unreadable_beyond_the_cap(void **state) {
        OutboxFixture *f = *state;
        ReadingList list = {};
        Bytes payload = {};

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (int i = 1; i <= 2; i++) {
                assert_int_equal(bytes_append_text(&payload, "{}"), 0);
                assert_int_equal(reading_list_add_unreadable(&list, "push", (Slice){}, "no id", &payload), 0);
                list.n_dropped = 7;
                assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
                reading_list_done(&list);
                assert_int_equal(outbox_dropped(f->outbox, "push"), 7 * i);
                assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable"), i);
        }
}

/* What is asked for again at each poll pushes out nothing else. */
static void test_unreadable_that_comes_again(void **state) {
        OutboxFixture *f = *state;

        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        for (int i = 0; i < 5; i++) {
                ReadingList list = {};

                for (int j = 0; j < 3; j++) {
                        Bytes payload = {};

                        assert_int_equal(bytes_append_format(&payload, "{\"v\":%d}", j / 2), 0);
                        assert_int_equal(
                                reading_list_add_unreadable(&list, "history", (Slice){}, "no id", &payload), 0);
                        list.unreadable[j].repeats = i < 4;
                }
                assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
                reading_list_done(&list);
                assert_int_equal(fixture_query(f, "SELECT count(*) FROM unreadable"),
                        i < 4 ? 2 : 5); /* else each is another one */
        }
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

        assert_int_equal(reading_labels_add(&labels, "site", "nakano"), 0);
        assert_int_equal(reading_labels_add(&labels, "floor", ""), 0);
        assert_int_equal(fixture_reopen(f), OUTBOX_OK);
        fixture_add(&list, "home", 1, NULL, NULL);
        fixture_add(&list, "home", 1, NULL, &labels);
        assert_int_equal(list.items[1].size - list.items[0].size, labels.size);
        assert_int_equal(outbox_put(f->outbox, &list, NULL), 0);
        outbox_status(f->outbox, &status);
        assert_int_equal(status.bytes, list.bytes);
        reading_list_done(&list);
        bytes_done(&labels);

        /* through the rejected table and back */
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 2, SIZE_MAX, &rows), 0);
        assert_int_equal(outbox_reject(f->outbox, rows.items[1].id, "no"), 0);
        assert_int_equal(outbox_guest_open(f->directory, &guest), OUTBOX_OK);
        assert_int_equal(outbox_rejected_replay(guest, rows.items[1].id), 0);
        outbox_guest_close(guest);
        outbox_rows_done(&rows);
        assert_int_equal(outbox_rows_peek(f->outbox, 0, 2, SIZE_MAX, &rows), 0);
        assert_int_equal(rows.items[0].labels.size, 0);
        Slice rest = rows.items[1].labels;
        assert_true(reading_labels_next(&rest, &name, &value));
        assert_true(slice_equal(name, "site") && slice_equal(value, "nakano"));
        assert_true(reading_labels_next(&rest, &name, &value));
        assert_true(slice_equal(name, "floor") && slice_equal(value, ""));
        assert_false(reading_labels_next(&rest, &name, &value));
        outbox_rows_done(&rows);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_repeats),
                TEST(test_keys_with_an_odd_number),
                TEST(test_keys_are_bounded),
                TEST(test_set_clock_forgets_nothing),
                TEST(test_clock_ahead_at_each_start),
                TEST(test_clock_behind_at_each_start),
                TEST(test_what_comes_again_stays_known),
                TEST(test_cursor),
                TEST(test_unreadable_with_odd_numbers),
                TEST(test_unreadable_is_kept_raw),
                TEST(test_unreadable_under_a_name),
                TEST(test_unreadable_beyond_the_cap),
                TEST(test_unreadable_that_comes_again),
                TEST(test_labels_travel_and_count),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
