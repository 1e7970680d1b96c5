/* SPDX-License-Identifier: Apache-2.0 */
/* What sim-outbox takes for possible, and what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdlib.h>

#include "outbox-book.h"

static int set_up(void **state) {
        *state = calloc(1, sizeof(Book));
        return *state ? 0 : -1;
}

static int tear_down(void **state) {
        free(*state);
        return 0;
}

/* *n* readings. */
static void put(Book *book, size_t n) {
        ReadingList list = {};
        BookChange change;

        book_compose(book, 1, n, &list, &change);
        change.cursor = change.unreadable = 0;
        book_note(book, &change, true);
        reading_list_done(&list);
}

static void forget(Book *book, uint32_t number, bool failed) {
        BookChange change = { .kind = BOOK_FORGET, .failed = failed, .numbers = { number }, .n = 1 };

        book_note(book, &change, false);
}

/* What a life finds: all that was put, but for those in *gone*, whose bits stand for readings. */
static bool finds(Book *book, bool cut, unsigned gone) {
        BookState found = { .seen = book->base.seen };
        char error[200];

        for (uint32_t i = 0; i < book->next; i++)
                found.where[i] = gone >> i & 1 ? BOOK_GONE : BOOK_WAITING;
        return book_check(book, &found, cut, false, error, sizeof(error));
}

#define GONE(number) (1U << (number))

/* A cut undid that 0 was forgotten, and then, some lives long, that others were: whatever was written over it and lost
 * in its turn, it may come back with the last of these. */
static void test_forget_comes_back_late(void **state) {
        Book *book = *state;

        put(book, 4);
        forget(book, 0, false);
        assert_true(finds(book, true, 0));
        for (unsigned i = 0; i < 20; i++) {
                forget(book, 1, i % 2);
                assert_true(finds(book, true, 0));
        }
        forget(book, 1, false);
        assert_false(finds(book, true, GONE(2)));
        assert_true(finds(book, true, GONE(0)));
}

/* A put that is durable lies where it lay. */
static void test_nothing_comes_back_behind_a_put(void **state) {
        Book *book = *state;

        put(book, 4);
        forget(book, 0, false);
        assert_true(finds(book, true, 0));
        put(book, 1);
        assert_false(finds(book, true, GONE(0)));
        assert_true(finds(book, true, 0));
}

/* What is written once more is the same as before, to the bit, so what followed it then may follow it again; nothing
 * else does. */
static void test_rest_of_what_is_done_again(void **state) {
        Book *book = *state;

        put(book, 4);
        forget(book, 0, false);
        forget(book, 1, false);
        assert_true(finds(book, true, 0));
        forget(book, 2, false);
        forget(book, 3, false);
        assert_true(finds(book, true, 0));
        forget(book, 0, false);
        assert_true(finds(book, true, GONE(0)));
        assert_false(finds(book, true, GONE(0) | GONE(3)));
        assert_false(finds(book, true, 0));
        assert_true(finds(book, true, GONE(0) | GONE(1)));
}

/* The hole was filled by what a killed process wrote, which no sync had reached: the next cut may undo it. */
static void test_what_came_back_without_a_sync(void **state) {
        Book *book = *state;

        put(book, 4);
        forget(book, 0, false);
        assert_true(finds(book, true, 0));
        forget(book, 1, true);
        assert_true(finds(book, false, GONE(0)));
        assert_true(finds(book, false, GONE(0)));
        assert_true(finds(book, true, 0));
}

/* A put of repeats alone writes nothing, so what failed before it is still the last thing in the log. */
static void test_repeats_alone_write_nothing(void **state) {
        Book *book = *state;
        char error[200];
        BookState found;

        put(book, 16);
        for (;;) {
                ReadingList list = {};
                BookChange change;
                bool writes;

                book_compose(book, 1, 1, &list, &change);
                reading_list_done(&list);
                change.cursor = change.unreadable = 0;
                writes = book_writes(book, &change);
                forget(book, 0, true);
                book_note(book, &change, writes);
                if (!writes)
                        break;
        }
        found = book->now;
        found.where[0] = BOOK_GONE;
        assert_true(book_check(book, &found, false, false, error, sizeof(error)));
        assert_int_equal(book->resurrected, 1);
}

/* A kill undoes nothing, whatever lies behind the end. */
static void test_kill_undoes_nothing(void **state) {
        Book *book = *state;

        put(book, 4);
        forget(book, 0, false);
        forget(book, 1, false);
        assert_true(finds(book, true, 0));
        forget(book, 0, false);
        forget(book, 2, true);
        assert_false(finds(book, false, 0));
        assert_false(finds(book, false, GONE(1)));
        assert_true(finds(book, false, GONE(0) | GONE(1)));
}

/* Readings that were put and forgotten, or were never put: only the names of what may come again tell which. */
static void test_names_tell_the_ways_apart(void **state) {
        Book *book = *state, *put_and_forgotten = calloc(1, sizeof(Book));
        BookState found = {};
        BookChange change;
        ReadingList list = {};
        char error[200];

        assert_non_null(put_and_forgotten);
        book_compose(book, 1, 8, &list, &change);
        reading_list_done(&list);
        change.cursor = change.unreadable = 0;
        book_note(put_and_forgotten, &change, false);
        assert_int_not_equal(put_and_forgotten->now.seen, 0);
        book_note(book, &change, false);
        change.kind = BOOK_FORGET;
        book_note(book, &change, false);
        found.seen = put_and_forgotten->now.seen;
        free(put_and_forgotten);
        assert_true(book_check(book, &found, true, false, error, sizeof(error)));
        assert_true(book->now.seen == found.seen);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_forget_comes_back_late, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_nothing_comes_back_behind_a_put, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_rest_of_what_is_done_again, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_what_came_back_without_a_sync, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_repeats_alone_write_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_kill_undoes_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_names_tell_the_ways_apart, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
