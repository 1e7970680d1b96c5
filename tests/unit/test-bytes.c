/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/bytes.h"

static void test_append(void **state) {
        _cleanup_bytes_ Bytes b = {};
        Bytes stolen;

        assert_null(b.data);
        assert_int_equal(bytes_append(&b, NULL, 0), 0);
        assert_int_equal(b.size, 0);
        assert_string_equal(b.data, "");

        assert_int_equal(bytes_append(&b, "a\0b", 3), 0);
        assert_int_equal(b.size, 3);
        assert_memory_equal(b.data, "a\0b", 4);
        assert_int_equal(bytes_append_text(&b, "cd"), 0);
        assert_int_equal(b.size, 5);
        assert_memory_equal(b.data, "a\0bcd", 6);
        assert_true(b.allocated > b.size);

        stolen = bytes_steal(&b);
        assert_null(b.data);
        assert_int_equal(b.size, 0);
        assert_int_equal(b.allocated, 0);
        assert_int_equal(stolen.size, 5);
        bytes_done(&stolen);
        assert_null(stolen.data);
        bytes_done(&stolen);
}

static void test_grow(void **state) {
        _cleanup_bytes_ Bytes b = {};
        char *data;

        for (unsigned i = 0; i < 100000; i++) {
                char c = (char) ('a' + i % 26);

                assert_int_equal(bytes_append(&b, &c, 1), 0);
        }
        assert_int_equal(b.size, 100000);
        assert_int_equal(strlen(b.data), 100000);
        for (unsigned i = 0; i < 100000; i++)
                assert_int_equal(b.data[i], 'a' + i % 26);

        assert_int_equal(bytes_reserve(&b, 5000), 0);
        data = b.data;
        for (unsigned i = 0; i < 5000; i++)
                assert_int_equal(bytes_append(&b, "x", 1), 0);
        assert_ptr_equal(b.data, data);
}

static void test_reserve_too_much(void **state) {
        const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 4, SIZE_MAX - 5, PTRDIFF_MAX, PTRDIFF_MAX - 4 };
        _cleanup_bytes_ Bytes b = {};

        assert_int_equal(bytes_append_text(&b, "kept"), 0);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                assert_int_equal(bytes_reserve(&b, sizes[i]), -ENOMEM);
                assert_int_equal(bytes_result(&b), -ENOMEM);
                assert_string_equal(b.data, "kept");
                bytes_cut(&b, b.size);
        }
        assert_int_equal(bytes_append_text(&b, "!"), 0);
        assert_string_equal(b.data, "kept!");
}

/* Nothing is appended to what has failed, and each call says so; there would be room for all of it. */
static void check_failed(Bytes *b, int error, const char *kept) {
        assert_int_equal(bytes_reserve(b, 0), error);
        assert_int_equal(bytes_append(b, NULL, 0), error);
        assert_int_equal(bytes_append(b, "a", 1), error);
        assert_int_equal(bytes_append_text(b, "a"), error);
        assert_int_equal(bytes_append_format(b, "%d", 1), error);
        assert_int_equal(bytes_append_json_string(b, "a", 1), error);
        assert_int_equal(bytes_append_base64(b, "a", 1), error);
        assert_int_equal(bytes_append_base64url(b, "a", 1), error);
        assert_int_equal(bytes_result(b), error);
        assert_int_equal(b->size, strlen(kept));
        assert_string_equal(b->data, kept);
}

static void test_first_error_stays(void **state) {
        _cleanup_bytes_ Bytes b = {};

        assert_int_equal(bytes_result(&b), 0);
        assert_int_equal(bytes_append_text(&b, "[one"), 0);
        assert_int_equal(bytes_fail(&b, 0), 0);
        assert_int_equal(bytes_fail(&b, 1), 0); /* an outcome is no error */
        assert_int_equal(bytes_fail(&b, -EILSEQ), -EILSEQ);
        assert_int_equal(bytes_fail(&b, -ENOMEM), -EILSEQ);
        assert_int_equal(bytes_reserve(&b, SIZE_MAX), -EILSEQ);
        check_failed(&b, -EILSEQ, "[one");
}

/* What was half written is taken back, and the next of them begins behind what is whole. */
static void test_cut(void **state) {
        _cleanup_bytes_ Bytes b = {};

        bytes_cut(&b, 0);
        assert_null(b.data);
        assert_int_equal(bytes_append_text(&b, "[one,"), 0);
        assert_int_equal(bytes_append_text(&b, "tw"), 0);
        assert_int_equal(bytes_fail(&b, -ENOMEM), -ENOMEM);
        bytes_cut(&b, 5);
        assert_int_equal(bytes_result(&b), 0);
        assert_string_equal(b.data, "[one,");
        assert_int_equal(bytes_append_text(&b, "three]"), 0);
        assert_string_equal(b.data, "[one,three]");
}

/* The error is where the content is. */
static void test_error_moves(void **state) {
        _cleanup_bytes_ Bytes b = {};
        Bytes stolen;

        assert_int_equal(bytes_fail(&b, -ENOMEM), -ENOMEM);
        stolen = bytes_steal(&b);
        assert_int_equal(bytes_result(&b), 0);
        assert_int_equal(bytes_append_text(&b, "new"), 0);
        assert_int_equal(bytes_append_text(&stolen, "old"), -ENOMEM);
        assert_null(stolen.data);
        bytes_done(&stolen);
        assert_int_equal(bytes_result(&stolen), 0);
        bytes_wipe(&b);
        assert_int_equal(bytes_fail(&b, -ENOMEM), -ENOMEM);
        bytes_wipe(&b);
        assert_int_equal(bytes_result(&b), 0);
}

/* The call for memory that fails, counted from now; 0: none. */
static unsigned fails;
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size) {
        return fails > 0 && --fails == 0 ? NULL : __real_realloc(memory, size);
}

/* A writer that looks once, wherever it is that no memory is left. */
static int write_without_looking(Bytes *b) {
        for (unsigned i = 0; i < 100; i++) {
                bytes_append_json_string(b, "\ttext", 5);
                bytes_append_format(b, ":%.70f", 1.0 / 3);
                bytes_append_base64(b, "\xff\xff\xff", 3);
                bytes_append_base64url(b, "\xff\xff\xff", 3);
                bytes_append(b, ",", 1);
        }
        return bytes_append_text(b, "end");
}

static void test_without_memory(void **state) {
        _cleanup_bytes_ Bytes whole = {};
        unsigned n = 0, left;

        assert_int_equal(write_without_looking(&whole), 0);
        do {
                _cleanup_bytes_ Bytes b = {};
                int r;

                fails = ++n;
                r = write_without_looking(&b);
                left = fails;
                fails = 0;
                assert_int_equal(r, left == 0 ? -ENOMEM : 0);
                assert_int_equal(bytes_result(&b), r);
                assert_true(b.size <= whole.size);
                if (b.size > 0)
                        assert_memory_equal(b.data, whole.data, b.size);
                bytes_cut(&b, 0);
                assert_int_equal(write_without_looking(&b), 0);
                assert_string_equal(b.data, whole.data);
        } while (left == 0);
        assert_true(n > 5);
}

static void test_format(void **state) {
        _cleanup_bytes_ Bytes b = {};

        assert_int_equal(bytes_append_format(&b, "%s", ""), 0);
        assert_string_equal(b.data, "");
        for (int i = 0; i < 300; i++) {
                size_t before = b.size;

                assert_int_equal(bytes_append_format(&b, "<%*d>", i, 7), 0);
                assert_int_equal(b.size - before, (i > 1 ? i : 1) + 2);
                assert_int_equal(b.data[b.size - 1], '>');
                assert_int_equal(b.data[b.size], '\0');
        }
        assert_int_equal(strlen(b.data), b.size);
}

static void check_json_string(const char *text, size_t size, const char *expected) {
        _cleanup_bytes_ Bytes b = {};

        assert_int_equal(bytes_append_json_string(&b, text, size), 0);
        assert_string_equal(b.data, expected);
        assert_int_equal(b.size, strlen(expected));
}

static void test_json_member(void **state) {
        _cleanup_bytes_ Bytes b = {};

        bytes_append_json_member(&b, "bare", "1");
        bytes_append_text(&b, ",\"in\":{");
        bytes_append_json_member(&b, "a", "\"");
        bytes_append_json_member(&b, "b", NULL);
        assert_int_equal(bytes_append_text(&b, "}"), 0);
        assert_string_equal(b.data, "\"bare\":\"1\",\"in\":{\"a\":\"\\\"\",\"b\":null}");
}

/* An empty Bytes or Slice has no memory. */
static void test_nothing(void **state) {
        _cleanup_bytes_ Bytes b = {};
        size_t size = 77;

        assert_int_equal(bytes_append_base64(&b, NULL, 0), 0);
        assert_int_equal(bytes_append_base64url(&b, NULL, 0), 0);
        assert_int_equal(b.size, 0);
        assert_int_equal(bytes_decode_base64(NULL, 0, NULL, &size), 0);
        assert_int_equal(size, 0);
        assert_true(bytes_is_utf8(NULL, 0));
        assert_true(slice_equal((Slice){}, ""));
        assert_false(slice_equal((Slice){}, "a"));
        assert_false(slice_equal((Slice){ "ab", 2 }, "a"));
        assert_true(slice_equal((Slice){ "ab", 1 }, "a"));
}

static void test_pieces(void **state) {
        static const char *const cases[][2] = { { "", "" }, { "a", "<a>" }, { "a;", "<a>" }, { ";", "<>" },
                { "a;;bc", "<a><><bc>" }, { ";;", "<><>" } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Slice rest = slice_of(cases[i][0]), piece;
                _cleanup_bytes_ Bytes found = {};

                while (slice_next(&rest, ';', &piece))
                        bytes_append_format(&found, "<%.*s>", (int) piece.size, piece.data);
                assert_string_equal(found.data ?: "", cases[i][1]);
        }
}

static void test_json_string(void **state) {
        check_json_string(NULL, 0, "\"\"");
        check_json_string("plain", 5, "\"plain\"");
        check_json_string("\"\\/", 3, "\"\\\"\\\\/\"");
        check_json_string("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
        check_json_string("a\0b", 3, "\"a\\u0000b\"");
        check_json_string("\x01\x1f\x20\x7f", 4, "\"\\u0001\\u001f \x7f\"");
        check_json_string("\v", 1, "\"\\u000b\"");
        check_json_string("23.1 \xe2\x84\x83", 8, "\"23.1 \xe2\x84\x83\"");
        check_json_string("end\n", 4, "\"end\\n\"");
}

static void check_base64(const char *text, const char *plain, const char *url) {
        _cleanup_bytes_ Bytes b = {}, u = {};
        char out[32];
        size_t size = strlen(text);

        assert_int_equal(bytes_append_base64(&b, text, size), 0);
        assert_string_equal(b.data, plain);
        assert_int_equal(bytes_append_base64url(&u, text, size), 0);
        assert_string_equal(u.data, url);

        assert_int_equal(bytes_decode_base64(b.data, b.size, out, &size), 0);
        assert_int_equal(size, strlen(text));
        assert_memory_equal(out, text, size);
        assert_int_equal(bytes_decode_base64(u.data, u.size, out, &size), 0);
        assert_int_equal(size, strlen(text));
        assert_memory_equal(out, text, size);
}

static void test_base64(void **state) {
        /* RFC 4648 section 10 */
        check_base64("", "", "");
        check_base64("f", "Zg==", "Zg");
        check_base64("fo", "Zm8=", "Zm8");
        check_base64("foo", "Zm9v", "Zm9v");
        check_base64("foob", "Zm9vYg==", "Zm9vYg");
        check_base64("fooba", "Zm9vYmE=", "Zm9vYmE");
        check_base64("foobar", "Zm9vYmFy", "Zm9vYmFy");
        check_base64("\xfb\xff\xbf", "+/+/", "-_-_");
        check_base64("\xff\xfe", "//4=", "__4");
}

/* Every length, every byte value, decoded in place. */
static void test_base64_round_trip(void **state) {
        uint8_t data[600];

        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t) (i * 167 + i / 256);
        for (size_t n = 0; n <= sizeof(data); n++) {
                _cleanup_bytes_ Bytes b = {}, u = {};
                size_t size;

                assert_int_equal(bytes_append_base64(&b, data, n), 0);
                assert_int_equal(b.size, (n + 2) / 3 * 4);
                assert_int_equal(bytes_decode_base64(b.data, b.size, b.data, &size), 0);
                assert_int_equal(size, n);
                assert_memory_equal(b.data, data, n);

                assert_int_equal(bytes_append_base64url(&u, data, n), 0);
                assert_int_equal(u.size, (n * 4 + 2) / 3);
                assert_int_equal(bytes_decode_base64(u.data, u.size, u.data, &size), 0);
                assert_int_equal(size, n);
                assert_memory_equal(u.data, data, n);
        }
}

static void test_base64_refused(void **state) {
        static const char *const wrong[] = {
                "A",
                "AAAAA",
                "=",
                "==",
                "===",
                "====",
                "A=",
                "A==",
                "A===",
                "AA=",
                "AAA==",
                "AAAA=",
                "AAAA==",
                "AAAA====",
                "AA=A",
                "A=AA",
                "=AAA",
                "AA==AA==",
                "AAA=AAAA",
                "AB",
                "AB==",
                "AAB",
                "AAB=",
                "A/==",
                "AAD=",
                "AA.A",
                "AA*A",
                "AA,A",
                "AA:A",
                "AA@A",
                "AA[A",
                "AA`A",
                "AA{A",
                "AA\n",
                "AAA\n",
                "AAAA\n",
                " AAA",
                "\xff\xff\xff\xff",
                "AAAAA\x80==",
        };
        char out[16];
        size_t size = 77;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(bytes_decode_base64(wrong[i], strlen(wrong[i]), out, &size), -EBADMSG);
        assert_int_equal(bytes_decode_base64("AA\0A", 4, out, &size), -EBADMSG);
        assert_int_equal(size, 77);
        assert_int_equal(bytes_decode_base64("AQ==", 4, out, &size), 0);
        assert_int_equal(size, 1);
        assert_int_equal(out[0], 1);
}

/* Every byte value in every place of a group. */
static void test_base64_alphabet(void **state) {
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_";

        for (unsigned place = 0; place < 4; place++)
                for (unsigned c = 0; c < 256; c++) {
                        char text[8] = "AAAAAAAA", out[8];
                        bool valid = c != 0 && strchr(alphabet, (int) c);
                        size_t size;

                        text[place] = (char) c;
                        assert_int_equal(bytes_decode_base64(text, 8, out, &size), valid ? 0 : -EBADMSG);
                }
}

static bool is_utf8(const char *text) {
        return bytes_is_utf8(text, strlen(text));
}

static void test_utf8(void **state) {
        static const char *const good[] = {
                "",
                "plain ASCII, longer than one word",
                "\x7f",
                "\xc2\x80",
                "\xdf\xbf",
                "\xe0\xa0\x80",
                "\xe1\x80\x80",
                "\xec\xbf\xbf",
                "\xed\x80\x80",
                "\xed\x9f\xbf",
                "\xee\x80\x80",
                "\xef\xbf\xbd",
                "\xef\xbf\xbf",
                "\xef\xbb\xbf",
                "\xf0\x90\x80\x80",
                "\xf1\x80\x80\x80",
                "\xf3\xbf\xbf\xbf",
                "\xf4\x8f\xbf\xbf",
                "\xe6\xb8\xa9\xe5\xba\xa6 23.1 \xe2\x84\x83",
        };
        static const char *const bad[] = {
                "\x80",
                "\xbf",
                "\xc0\x80",
                "\xc1\xbf",
                "\xc2",
                "\xc2\x7f",
                "\xc2\xc0",
                "\xdf ",
                "\xe0\x80\x80",
                "\xe0\x9f\xbf",
                "\xe1\x80",
                "\xe1\x80\x7f",
                "\xe1\x80\xc0",
                "\xe1\x7f\x80",
                "\xed\xa0\x80", /* a surrogate */
                "\xed\xbf\xbf",
                "\xf0\x80\x80\x80",
                "\xf0\x8f\xbf\xbf",
                "\xf0\x90\x80",
                "\xf0\x90\x80\x7f",
                "\xf0\x90\x7f\x80",
                "\xf4\x90\x80\x80", /* above U+10FFFF */
                "\xf5\x80\x80\x80",
                "\xf8\x88\x80\x80\x80",
                "\xfe",
                "\xff",
                "1234567\x80",
                "12345678\xff",
                "1234567\xc2",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(is_utf8(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(is_utf8(bad[i]));
        assert_true(bytes_is_utf8("a\0b", 3));
        assert_true(bytes_is_utf8(NULL, 0));
}

/* The definition, written as a decoder, against the function: every lead byte with every second byte and a set of third
 * and fourth ones. */
static bool decode_one(const uint8_t *p, size_t size) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
        uint32_t c = p[0] & (0x7fu >> (n > 1 ? n : 0));

        if (n != size)
                return false;
        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return false;
                c = c << 6 | (p[i] & 0x3f);
        }
        return c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

static void test_utf8_table(void **state) {
        static const uint8_t edges[] = { 0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff };

        for (unsigned lead = 0x80; lead < 256; lead++)
                for (unsigned second = 0; second < 256; second++)
                        for (size_t i = 0; i < ELEMENTSOF(edges); i++)
                                for (size_t j = 0; j < ELEMENTSOF(edges); j++) {
                                        uint8_t text[12] = "12345678";

                                        text[8] = (uint8_t) lead;
                                        text[9] = (uint8_t) second;
                                        text[10] = edges[i];
                                        text[11] = edges[j];
                                        if (second >= 0x80 && edges[i] >= 0x80 && edges[j] >= 0x80)
                                                assert_int_equal(bytes_is_utf8((char *) text, 12),
                                                        decode_one(text + 8, 4) ||
                                                                (decode_one(text + 8, 2) && decode_one(text + 10, 2)));
                                        assert_int_equal(bytes_is_utf8((char *) text, 11),
                                                decode_one(text + 8, 3) ||
                                                        (decode_one(text + 8, 2) && edges[i] < 0x80));
                                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_append),
                cmocka_unit_test(test_grow),
                cmocka_unit_test(test_reserve_too_much),
                cmocka_unit_test(test_first_error_stays),
                cmocka_unit_test(test_cut),
                cmocka_unit_test(test_error_moves),
                cmocka_unit_test(test_without_memory),
                cmocka_unit_test(test_format),
                cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_pieces),
                cmocka_unit_test(test_json_string),
                cmocka_unit_test(test_json_member),
                cmocka_unit_test(test_base64),
                cmocka_unit_test(test_base64_round_trip),
                cmocka_unit_test(test_base64_refused),
                cmocka_unit_test(test_base64_alphabet),
                cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_utf8_table),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
