/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "lib/text.h"

static void test_percent(void **state) {
        _cleanup_bytes_ Bytes b = {}, form = {};

        assert_int_equal(text_append_percent(&b, "a/b:c d+%\xe6\x9a\x91~", "/:"), 0);
        assert_string_equal(b.data, "a/b:c%20d%2B%25%E6%9A%91~");
        assert_int_equal(text_append_field(&form, "a", "1&2=3"), 0);
        assert_int_equal(text_append_field(&form, "b", ""), 0);
        assert_string_equal(form.data, "a=1%262%3D3&b=");
}

static void test_text_cut(void **state) {
        char buffer[6];

        assert_int_equal(text_cut("abc", 3, 5), 3);
        assert_int_equal(text_cut("ab\xe6\x9a\x91", 5, 4), 2);
        assert_int_equal(text_cut("ab\xe6\x9a\x91", 5, 5), 5);
        text_copy(buffer, sizeof(buffer), "abc\xe6\x9a\x91");
        assert_string_equal(buffer, "abc");
        text_copy(buffer, sizeof(buffer), "ab\xe6\x9a\x91");
        assert_string_equal(buffer, "ab\xe6\x9a\x91");
}

static void test_add(void **state) {
        char buffer[8];
        TextRoom room = { buffer, sizeof(buffer) };

        text_add(&room, "%d", 12);
        text_add(&room, "%s", "\xe6\x9a\x91\xe6\x9a\x91");
        assert_string_equal(buffer, "12\xe6\x9a\x91");
        assert_int_equal(room.used, 5);
        text_add(&room, "%s", "abc");
        assert_string_equal(buffer, "12\xe6\x9a\x91"
                                    "ab");
        text_add(&room, "%s", "\xe6\x9a\x91");
        assert_string_equal(buffer, "12\xe6\x9a\x91"
                                    "ab");
        assert_int_equal(room.used, 7);
}

static void test_words(void **state) {
        static const struct {
                const char *text, *words;
        } cases[] = {
                { "Try again later..", "Try again later" },
                { "Try again later.\r\n", "Try again later" },
                { "a line\nand another", "a line and another" },
                { "not more than nineteen", "not more than..." },
                { "one, twothreefourfive", "one, twothreefou..." },
                { "the first, the second", "the first, the..." },
                { "nineteen characters", "nineteen characters" },
                { "\xe6\x9a\x91\xe6\x9a\x91\xe6\x9a\x91\xe6\x9a\x91\xe6\x9a\x91\xe6\x9a\x91\xe6\x9a\x91",
                        "\xe6\x9a\x91\xe6\x9a\x91\xe6\x9a\x91\xe6\x9a\x91\xe6\x9a\x91..." },
                { "...", "" },
                { "", "" },
        };
        char buffer[20];

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                text_copy_words(buffer, sizeof(buffer), cases[i].text);
                assert_string_equal(buffer, cases[i].words);
        }
}

static void test_codings(void **state) {
        assert_int_equal(text_mark("\xef\xbb\xbfx", 4), 3);
        assert_int_equal(text_mark("\xef\xbb", 2), 0);
        assert_int_equal(text_mark("", 0), 0);
        assert_true(text_is_utf16("\xff\xfe", 2));
        assert_true(text_is_utf16("\xfe\xff\0a", 4));
        assert_true(text_is_utf16("a\0b\0", 4));
        assert_true(text_is_utf16("\0a\0b", 4));
        assert_false(text_is_utf16("ab\0c", 4));
        assert_false(text_is_utf16("\xff", 1));
}

/* B20: a sentence that is too long ends between two words, and never within a character. */
static void test_print(void **state) {
        char text[24];

        text_print(text, sizeof(text), "%s answers %d", "it", 503);
        assert_string_equal(text, "it answers 503");
        text_print(text, sizeof(text), "%s answers: %s", "https://example.com", "no");
        assert_string_equal(text, "https://example.com...");
        text_print(text, sizeof(text), "%s", "居間居間居間居間居間");
        assert_string_equal(text, "居間居間居間...");
        text_print(text, sizeof(text), "%s", "refused.");
        assert_string_equal(text, "refused");
}

static void test_format(void **state) {
        _cleanup_free_ char *text = NULL;

        assert_int_equal(text_format(&text, "%s/%u", "here", 7u), 0);
        assert_string_equal(text, "here/7");
}

/* A stop said "1 readings wait". */
static void test_one_and_many(void **state) {
        static const char *const said[] = { "0 readings wait", "1 reading waits", "2 readings wait" };
        char text[32];

        for (unsigned n = 0; n < ELEMENTSOF(said); n++) {
                (void) snprintf(text, sizeof(text), "%u reading%s wait%s", n, text_s(n), text_verb_s(n));
                assert_string_equal(text, said[n]);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_format),
                cmocka_unit_test(test_one_and_many),
                cmocka_unit_test(test_percent),
                cmocka_unit_test(test_text_cut),
                cmocka_unit_test(test_add),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_print),
                cmocka_unit_test(test_codings),
        };

        return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
