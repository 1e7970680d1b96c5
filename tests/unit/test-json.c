/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/json.h"

#define DEPTH 90

/* Reads to the end: JSON_END or the error, which must then stand. */
static int read_all(const char *text, size_t size, unsigned depth) {
        JsonReader r;
        int token;

        json_reader_init(&r, text, size, depth);
        do
                token = json_reader_next(&r);
        while (token > 0);

        assert_int_equal(json_reader_next(&r), token);
        assert_int_equal(json_reader_skip(&r, NULL), token < 0 ? token : -EINVAL);
        assert_int_equal(json_reader_next(&r), token);
        assert_true(r.cursor >= r.begin && r.cursor <= r.end);
        return token;
}

/* The text is copied to memory that ends where it ends, so that a sanitizer sees a read beyond it. */
static int check_text(const char *text, size_t size) {
        _cleanup_free_ char *copy = malloc(size > 0 ? size : 1);

        assert_non_null(copy);
        if (size > 0)
                memcpy(copy, text, size);
        return read_all(copy, size, DEPTH);
}

static const char *const good[] = { "{}", "[]", "\"\"", "0", "-0", "1", "-1", "10", "123456789012345678901234567890",
        "0.0", "-0.5", "1.25", "1e0", "1E0", "1e+1", "1e-1", "0e0", "0E+00", "1.5e300", "1e999", "-1.0E-2", "true",
        "false", "null", " 1 ", "\t\r\n 1\t\r\n ", "[1]", "[1,2]", "[ 1 , 2 ]", "[[]]", "[[],[]]", "[{}]", "{\"a\":1}",
        "{ \"a\" : 1 , \"b\" : [ ] }", "{\"\":0}", "{\"a\":{\"b\":{}}}", "{\"a\":1,\"a\":2}", "[null,true,false]",
        "\"a\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0000\"", "\"\\u00e9\\uD83D\\uDE00\"", "\"\\uABCD\\uabcd\"",
        "\"\xc3\xa9\"", "\"\xe2\x84\x83\"", "\"\xf0\x9f\x98\x80\"", "\"\xed\x9f\xbf\"", "\"\x7f\"", "\"\xe2\x80\xa8\"",
        "\"\\u2028\"", "\"/\"", "\"'\"", "[\"12345678\",\"1234567\",\"123456789\"]", "{\"\\u0061\":1}", "\"\\ud800\"",
        "\"\\uDC00\"", /* no syntax error: json_unescape() refuses those two */
        "[                                 1                                 ]",
        "\"0123456789abcdef\\n0123456789abcdef\"" };

static const char *const bad[] = { "", " ", "\n", "\xef\xbb\xbf{}", "\xef\xbb\xbf", "{", "}", "[", "]", "[}", "{]",
        "{}}", "[]]", "{}{}", "[][]", "{},", "[],", "1 2", "1,", ",1", ",", ":", "{}x", "[1", "[1,", "[1,]", "[,1]",
        "[,]", "[1,,2]", "[1 2]", "[1:2]", "[1}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}",
        "{,\"a\":1}", "{\"a\":1,,\"b\":2}", "{\"a\" 1}", "{\"a\":}", "{\"a\"}", "{:1}", "{1:1}", "{a:1}", "{'a':1}",
        "{\"a\":1 \"b\":2}", "{\"a\"::1}", "{\"a\":1]", "{null:1}", "{[]:1}", "{\"a\",1}", "{\"a\":1:2}",
        "{\"a\":1,\"b\"}", "{\"a\":1,1}", "[\"a\":1]", "[\"a\"", "01", "-01", "00", "-00", "1.", ".5", "-.5", "1.e1",
        "1e", "1e+", "1e-", "1E", "1e1.5", "1e1e1", "+1", "-", "--1", "- 1", "-a", "0x1", "0x", "1_000", "1a", "1.2.3",
        "1.5.", "0.", "0e", "0.e1", "NaN", "nan", "Infinity", "-Infinity", "inf", "-inf", "True", "TRUE", "tru",
        "truee", "true1", "fals", "falsee", "nul", "nulll", "Null", "undefined", "n", "t", "f", "\"", "\"a", "\"a\\",
        "\"a\\\"", "'a'", "\"\\x41\"", "\"\\a\"", "\"\\'\"", "\"\\0\"", "\"\\ \"", "\"\\u\"", "\"\\u1\"", "\"\\u12\"",
        "\"\\u123\"", "\"\\u123g\"", "\"\\u 123\"", "\"\\u+123\"", "\"\\U0041\"", "\"\\u00", "\"\\u0041", "\"\\u-001\"",
        "\"\\u00\xc3\xa9\"", "\"\n\"", "\"\t\"", "\"\r\"", "\"\x01\"", "\"\x1f\"", "\"12345678\n\"",
        "\"1234567\x1f"
        "8\"",
        "\"\x80\"", "\"\xff\"", "\"\xc3\"", "\"\xc0\xaf\"", "\"\xe2\x84\"", "\"\xed\xa0\x80\"", "\"\xed\xb0\x80\"",
        "\"\xf4\x90\x80\x80\"", "\"\xe0\x80\x80\"",
        "\"12345678\xff"
        "2345678\"",
        "{\"\xff\":1}", "[\xc3\xa9]", "\xff", "/* c */ 1", "1 // c", "# c\n1", "\v1", "\f1",
        "\xc2\xa0"
        "1",
        "\xe2\x80\xa8"
        "1",
        "[1\v]", "(1)", "[1;2]", "\x1f", "{\"a\":1}\x01", "[\"a\\", "[\"a\\u" };

static void test_accepted(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                if (check_text(good[i], strlen(good[i])) != JSON_END)
                        fail_msg("refused: %s", good[i]);
}

static void test_refused(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (check_text(bad[i], strlen(bad[i])) != -EBADMSG)
                        fail_msg("accepted: %s", bad[i]);
        assert_int_equal(read_all(NULL, 0, DEPTH), -EBADMSG);
        assert_int_equal(check_text("1\0", 2), -EBADMSG);
        assert_int_equal(check_text("\0", 1), -EBADMSG);
        assert_int_equal(check_text("\"a\0b\"", 5), -EBADMSG);
        assert_int_equal(check_text("[1,\0]", 5), -EBADMSG);
        assert_int_equal(check_text("{}\0", 3), -EBADMSG);
}

/* Every text cut short is refused, unless what is left is a number. */
static void test_truncated(void **state) {
        static const char text[] =
                "{\"k\\u0041\":[1.5e+3,{\"b\":true},null,\"\\ud83d\\ude00 \xe2\x84\x83 0123456789\"],\"c\":{}}";

        for (size_t n = 0; n < sizeof(text) - 1; n++)
                assert_int_equal(check_text(text, n), -EBADMSG);
        assert_int_equal(check_text(text, sizeof(text) - 1), JSON_END);
}

/* A control, a quote, a backslash or a byte that is not UTF-8 is found wherever it stands in the words that are scanned
 * at once. */
static void test_string_positions(void **state) {
        for (size_t length = 1; length < 40; length++)
                for (size_t place = 0; place < length; place++)
                        for (unsigned c = 0; c < 256; c++) {
                                char text[48];
                                bool fine = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

                                memset(text, 'x', sizeof(text));
                                text[0] = text[length + 1] = '"';
                                text[1 + place] = (char) c;
                                if (fine != (read_all(text, length + 2, 0) == JSON_END))
                                        fail_msg("byte %u at %zu of %zu", c, place, length);
                        }
}

static void next(JsonReader *r, int token, const char *slice) {
        assert_int_equal(json_reader_next(r), token);
        if (slice) {
                assert_int_equal(r->slice.size, strlen(slice));
                assert_memory_equal(r->slice.data, slice, r->slice.size);
        }
}

static void test_tokens(void **state) {
        static const char text[] =
                " { \"a\" : [ 1 , -2.5 , 3e1 , true , false , null , \"s\\n\" ] , \"b\\\"\" : { } , \"c\":\"\" } ";
        JsonReader r;

        json_reader_init(&r, text, sizeof(text) - 1, DEPTH);
        next(&r, JSON_OBJECT, NULL);
        assert_int_equal(r.depth, 1);
        next(&r, JSON_KEY, "a");
        assert_false(r.escaped);
        next(&r, JSON_ARRAY, NULL);
        assert_int_equal(r.depth, 2);
        next(&r, JSON_NUMBER, "1");
        assert_true(r.integer);
        next(&r, JSON_NUMBER, "-2.5");
        assert_false(r.integer);
        next(&r, JSON_NUMBER, "3e1");
        assert_false(r.integer);
        next(&r, JSON_TRUE, NULL);
        next(&r, JSON_FALSE, NULL);
        next(&r, JSON_NULL, NULL);
        next(&r, JSON_STRING, "s\\n");
        assert_true(r.escaped);
        next(&r, JSON_ARRAY_END, NULL);
        next(&r, JSON_KEY, "b\\\"");
        assert_true(r.escaped);
        next(&r, JSON_OBJECT, NULL);
        next(&r, JSON_OBJECT_END, NULL);
        next(&r, JSON_KEY, "c");
        assert_false(r.escaped);
        next(&r, JSON_STRING, "");
        next(&r, JSON_OBJECT_END, NULL);
        assert_int_equal(r.depth, 0);
        next(&r, JSON_END, NULL);
        assert_ptr_equal(r.cursor, text + sizeof(text) - 1);
        next(&r, JSON_END, NULL);
}

static size_t error_offset(const char *text) {
        JsonReader r;
        int token;

        json_reader_init(&r, text, strlen(text), 3);
        do
                token = json_reader_next(&r);
        while (token > 0);
        assert_true(token < 0);
        return (size_t) (r.cursor - r.begin);
}

static void test_error_offset(void **state) {
        assert_int_equal(error_offset(""), 0);
        assert_int_equal(error_offset("  x"), 2);
        assert_int_equal(error_offset("[1, 2, }"), 7);
        assert_int_equal(error_offset("{\"a\" 1}"), 5);
        assert_int_equal(error_offset("[\"ab\ncd\"]"), 4);
        assert_int_equal(error_offset("[\"ab\\xcd\"]"), 4);
        assert_int_equal(error_offset("[1, \"\xff\"]"), 4);
        assert_int_equal(error_offset("[1, 2"), 5);
        assert_int_equal(error_offset("{} {}"), 3);
        assert_int_equal(error_offset("[[[[]]]]"), 3);
}

static void test_depth(void **state) {
        static char text[2 * 600];

        for (unsigned depth = 0; depth <= 600; depth++) {
                unsigned limit = depth < JSON_READER_DEPTH ? depth : JSON_READER_DEPTH;

                memset(text, '[', depth);
                memset(text + depth, ']', depth);
                if (depth > 0)
                        assert_int_equal(
                                read_all(text, 2 * depth, UINT32_MAX), depth > JSON_READER_DEPTH ? -E2BIG : JSON_END);
                if (depth > 0 && depth == limit) {
                        assert_int_equal(read_all(text, 2 * depth, depth), JSON_END);
                        assert_int_equal(read_all(text, 2 * depth, depth - 1), -E2BIG);
                }
        }
        assert_int_equal(read_all("1", 1, 0), JSON_END);
        assert_int_equal(read_all("{}", 2, 0), -E2BIG);
        assert_int_equal(read_all("[{}]", 4, 1), -E2BIG);
}

/* The stack of bits keeps objects and arrays apart beyond its first word. */
static void test_depth_mixed(void **state) {
        char text[4096];
        size_t n = 0;

        for (unsigned i = 0; i < 200; i++)
                n += (size_t) sprintf(text + n, i % 3 == 0 ? "[" : "{\"k\":");
        n += (size_t) sprintf(text + n, "0");
        for (unsigned i = 200; i-- > 0;)
                text[n++] = i % 3 == 0 ? ']' : '}';
        assert_int_equal(read_all(text, n, 200), JSON_END);
        assert_int_equal(read_all(text, n, 199), -E2BIG);
        text[n - 150] = text[n - 150] == ']' ? '}' : ']';
        assert_int_equal(read_all(text, n, 200), -EBADMSG);
}

static void check_skip(const char *value) {
        char text[256];
        JsonReader r;
        Slice raw;

        (void) snprintf(text, sizeof(text), "{\"a\" : %s , \"b\":2}", value);

        /* on the key */
        json_reader_init(&r, text, strlen(text), DEPTH);
        next(&r, JSON_OBJECT, NULL);
        next(&r, JSON_KEY, "a");
        assert_int_equal(json_reader_skip(&r, &raw), 0);
        assert_true(slice_equal(raw, value));
        next(&r, JSON_KEY, "b");
        assert_int_equal(json_reader_skip(&r, NULL), 0);
        next(&r, JSON_OBJECT_END, NULL);
        next(&r, JSON_END, NULL);

        /* on the value's first token */
        json_reader_init(&r, text, strlen(text), DEPTH);
        next(&r, JSON_OBJECT, NULL);
        next(&r, JSON_KEY, "a");
        assert_true(json_reader_next(&r) > 0);
        assert_int_equal(json_reader_skip(&r, &raw), 0);
        assert_true(slice_equal(raw, value));
        next(&r, JSON_KEY, "b");

        /* the whole text */
        json_reader_init(&r, value, strlen(value), DEPTH);
        assert_true(json_reader_next(&r) > 0);
        assert_int_equal(json_reader_skip(&r, &raw), 0);
        assert_true(slice_equal(raw, value));
        next(&r, JSON_END, NULL);
}

static void test_skip(void **state) {
        static const char *const values[] = { "1", "-1.5e3", "\"\"", "\"s\\\"}\"", "true", "false", "null", "[]", "{}",
                "[ ]", "[1, [2, {\"x\":[]}], \"]\"]", "{\"x\" : {\"y\":1}, \"z\":[{}]}" };
        JsonReader r;
        Slice raw = { "kept", 4 };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                check_skip(values[i]);

        json_reader_init(&r, "{\"a\":[1,}", 9, DEPTH);
        next(&r, JSON_OBJECT, NULL);
        next(&r, JSON_KEY, "a");
        assert_int_equal(json_reader_skip(&r, &raw), -EBADMSG);
        assert_string_equal(raw.data, "kept");

        json_reader_init(&r, "{\"a\":[[1]]}", 11, 2);
        next(&r, JSON_OBJECT, NULL);
        next(&r, JSON_KEY, "a");
        assert_int_equal(json_reader_skip(&r, &raw), -E2BIG);

        json_reader_init(&r, "[]", 2, DEPTH);
        next(&r, JSON_ARRAY, NULL);
        next(&r, JSON_ARRAY_END, NULL);
        assert_int_equal(json_reader_skip(&r, &raw), -EINVAL);
        next(&r, JSON_END, NULL);
}

static void check_unescape(const char *text, const char *expected, size_t expected_size) {
        char copy[128], out[128];
        Slice slice = { copy, strlen(text) };
        size_t size;

        memcpy(copy, text, slice.size);
        assert_int_equal(json_unescape(slice, out, &size), 0);
        assert_int_equal(size, expected_size);
        assert_memory_equal(out, expected, size);
        assert_true(size <= slice.size);

        assert_int_equal(json_unescape(slice, copy, &size), 0);
        assert_int_equal(size, expected_size);
        assert_memory_equal(copy, expected, size);
}

static void test_unescape(void **state) {
        static const char *const wrong[] = { "\\ud800", "\\udbff", "\\udc00", "\\udfff", "a\\ud83d", "\\ud83dx",
                "\\ud83d\\n", "\\ud83d\\u0041", "\\ud83d\\ud83d", "\\ude00\\ud83d", "\\ud83d\\ude0", "\\ud83d\\", "\\",
                "\\x", "\\u12", "\\u12g4" };
        char out[64];
        size_t size = 77;

        assert_int_equal(json_unescape((Slice){}, out, &size), 0);
        assert_int_equal(size, 0);
        size = 77;
        check_unescape("", "", 0);
        check_unescape("plain", "plain", 5);
        check_unescape("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8);
        check_unescape("a\\u0000b", "a\0b", 3);
        check_unescape("\\u007f\\u0080\\u07ff\\u0800\\uffff", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 11);
        check_unescape("\\ud7ff\\ue000", "\xed\x9f\xbf\xee\x80\x80", 6);
        check_unescape("\\uD83D\\ude00!", "\xf0\x9f\x98\x80!", 5);
        check_unescape("\\ud800\\udc00\\udbff\\udfff", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8);
        check_unescape("\xe2\x84\x83\\u2103", "\xe2\x84\x83\xe2\x84\x83", 6);
        check_unescape("\\\\u0041", "\\u0041", 6);

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(json_unescape((Slice){ wrong[i], strlen(wrong[i]) }, out, &size), -EBADMSG);
        assert_int_equal(size, 77);
}

static bool key_equal(const char *key, const char *text) {
        JsonReader r;

        json_reader_init(&r, key, strlen(key), DEPTH);
        assert_int_equal(json_reader_next(&r), JSON_STRING);
        return json_reader_equal(&r, text);
}

static void test_equal(void **state) {
        assert_true(key_equal("\"data\"", "data"));
        assert_false(key_equal("\"data\"", "dat"));
        assert_false(key_equal("\"data\"", "data2"));
        assert_true(key_equal("\"\"", ""));
        assert_false(key_equal("\"\"", "a"));
        assert_true(key_equal("\"d\\u0061ta\"", "data"));
        assert_false(key_equal("\"d\\u0061ta\"", "dat"));
        assert_false(key_equal("\"d\\u0061ta\"", "data2"));
        assert_false(key_equal("\"d\\u0061ta\"", "dbta"));
        assert_false(key_equal("\"d\\u0061ta\"", ""));
        assert_true(key_equal("\"\\ud83d\\ude00\\n\"", "\xf0\x9f\x98\x80\n"));
        assert_false(key_equal("\"\\ud83d\\ude00\"", "\xf0\x9f\x98"));
        assert_false(key_equal("\"\\ud83d\"", "\xed\xa0\xbd"));
        assert_false(key_equal("\"data\\u0000\"", "data"));
        assert_false(key_equal("\"\\u0000\"", ""));
}

static Json *parse(const char *text) {
        Json *json = NULL;

        assert_int_equal(json_parse(text, strlen(text), &json), 0);
        return json;
}

static void test_tree(void **state) {
        _cleanup_(json_freep) Json *json = parse(
                " {\"s\":\"text\",\"n\":null,\"o\":{\"x\":[1,\"two\"]},\"nul\":\"a\\u0000b\",\"e\":\"\",\"a\\u0062\":\"\\ud83d\\ude00\"} ");

        assert_string_equal(json_get_string(json, "s"), "text");
        assert_string_equal(json_get_string(json, "e"), "");
        assert_string_equal(json_get_string(json, "ab"), "\xf0\x9f\x98\x80");
        assert_null(json_get_string(json, "n"));
        assert_null(json_get_string(json, "o"));
        assert_null(json_get_string(json, "nul"));
        assert_null(json_get_string(json, "none"));
        assert_non_null(json_get(json, "nul"));
        assert_null(json_get(json, "n"));
        assert_null(json_get(json, "none"));
        assert_null(json_get(NULL, "s"));
        assert_null(json_get(json_get(json, "s"), "s"));
        assert_null(json_get(json_get(json_get(json, "o"), "x"), "s"));
        assert_non_null(json_at(json_get(json_get(json, "o"), "x"), 1));
        assert_null(json_at(json_get(json_get(json, "o"), "x"), 2));
        assert_null(json_at(json_get(json_get(json, "o"), "x"), SIZE_MAX));
        assert_null(json_at(json, 0));
        assert_null(json_at(NULL, 0));
        assert_null(json_free(NULL));
}

static void test_tree_int(void **state) {
        _cleanup_(json_freep) Json *json = parse(
                "{\"a\":3599,\"b\":\"3599\",\"c\":-7,\"d\":\"-7\",\"max\":9223372036854775807,\"smax\":\"9223372036854775807\","
                "\"over\":9223372036854775808,\"u\":18446744073709551615,\"far\":99999999999999999999999,\"under\":-9223372036854775809,"
                "\"sover\":\"9223372036854775808\",\"f\":1.0,\"g\":1e3,\"t\":true,\"e\":\"\",\"x\":\"12x\",\"p\":\"+1\",\"sp\":\" 1\","
                "\"m\":\"-\",\"nul\":\"1\\u0000\",\"arr\":[1],\"n\":null,\"z\":-0,\"h\":\"0x10\"}");
        static const char *const none[] = { "over", "u", "far", "under", "sover", "f", "g", "t", "e", "x", "p", "sp",
                "m", "nul", "arr", "n", "h", "none" };
        int64_t value = 77;

        for (size_t i = 0; i < ELEMENTSOF(none); i++)
                if (json_get_int(json, none[i], &value))
                        fail_msg("accepted: %s", none[i]);
        assert_int_equal(value, 77);
        assert_false(json_get_int(NULL, "a", &value));

        assert_true(json_get_int(json, "a", &value) && value == 3599);
        assert_true(json_get_int(json, "b", &value) && value == 3599);
        assert_true(json_get_int(json, "c", &value) && value == -7);
        assert_true(json_get_int(json, "d", &value) && value == -7);
        assert_true(json_get_int(json, "max", &value) && value == INT64_MAX);
        assert_true(json_get_int(json, "smax", &value) && value == INT64_MAX);
        assert_true(json_get_int(json, "z", &value) && value == 0);
}

static void test_tree_bool(void **state) {
        _cleanup_(json_freep) Json *json = parse("{\"t\":true,\"f\":false,\"n\":null,\"i\":1,\"s\":\"true\"}");

        assert_true(json_get_flag(json, "t"));
        assert_false(json_get_flag(json, "f"));
        assert_false(json_get_flag(json, "n"));
        assert_false(json_get_flag(json, "i"));
        assert_false(json_get_flag(json, "s"));
        assert_false(json_get_flag(json, "none"));
}

static void add_pair(void *userdata, const char *key, const char *value) {
        assert_int_equal(bytes_append_format(userdata, "%s=%s;", key, value), 0);
}

static void test_tree_each_string(void **state) {
        _cleanup_(json_freep) Json *json = parse(
                "{\"a\":\"1\",\"b\":2,\"c\":\"\",\"d\":null,\"e\":\"x\\u0000y\",\"f\":{\"g\":\"h\"},\"i\":\"j\"}");
        _cleanup_bytes_ Bytes pairs = {};

        json_each_string(json, add_pair, &pairs);
        assert_string_equal(pairs.data, "a=1;c=;i=j;");
        json_each_string(NULL, add_pair, &pairs);
        json_each_string(json_get(json, "a"), add_pair, &pairs);
        assert_int_equal(pairs.size, 11);
}

static void test_tree_duplicates(void **state) {
        _cleanup_(json_freep) Json *json = parse("{\"a\":1,\"a\":2,\"\\u0061\":3}");
        int64_t value;

        assert_true(json_get_int(json, "a", &value));
        assert_int_equal(value, 3);
}

/* Every text of the tables gets the same answer from both halves. */
static void test_tree_strict(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                Json *json = NULL;

                if (json_parse(good[i], strlen(good[i]), &json) != 0)
                        fail_msg("refused: %s", good[i]);
                (void) json_free(json);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Json *json = NULL;

                if (json_parse(bad[i], strlen(bad[i]), &json) != -EBADMSG)
                        fail_msg("accepted: %s", bad[i]);
                assert_null(json);
        }
}

static void test_tree_keys(void **state) {
        static const char *const wrong[] = { "{\"a\\u0000b\":1}", "{\"\\u0000\":1}", "[{\"x\\n\\u0000\":1}]",
                "{\"\\ud800\":1}", "{\"a\":{\"b\\u0000\":{}}}" };
        Json *json = NULL;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(json_parse(wrong[i], strlen(wrong[i]), &json), -EBADMSG);
        assert_null(json);

        json = parse("{\"\\\\u0000\":1}");
        assert_non_null(json_get(json, "\\u0000"));
        (void) json_free(json);
}

static void test_tree_limits(void **state) {
        _cleanup_free_ char *text = malloc(JSON_TREE_MAX + 2);
        Json *json = NULL;

        assert_non_null(text);
        memset(text, ' ', JSON_TREE_MAX + 2);
        text[0] = '7';
        assert_int_equal(json_parse(text, JSON_TREE_MAX + 1, &json), -EFBIG);
        assert_int_equal(json_parse(text, JSON_TREE_MAX, &json), 0);
        (void) json_free(json);

        memset(text, '[', 40);
        memset(text + JSON_TREE_DEPTH, ']', JSON_TREE_DEPTH);
        assert_int_equal(json_parse(text, 2 * JSON_TREE_DEPTH, &json), 0);
        (void) json_free(json);
        text[JSON_TREE_DEPTH] = '[';
        memset(text + JSON_TREE_DEPTH + 1, ']', JSON_TREE_DEPTH + 1);
        assert_int_equal(json_parse(text, 2 * (JSON_TREE_DEPTH + 1), &json), -EBADMSG);

        text[JSON_TREE_DEPTH - 1] = text[JSON_TREE_DEPTH] = '1'; /* a scalar at the last level */
        assert_int_equal(json_parse(text, 2 * JSON_TREE_DEPTH, &json), 0);
        (void) json_free(json);
}

/* The text need not end with a NUL, and nothing beyond it is read. */
static void test_tree_top_level(void **state) {
        Json *json = NULL;

        assert_int_equal(json_parse(NULL, 0, &json), -EBADMSG);
        assert_int_equal(json_parse("12345", 2, &json), 0);
        assert_non_null(json);
        (void) json_free(json);
        assert_int_equal(json_parse("\"x\"y", 3, &json), 0);
        assert_non_null(json);
        (void) json_free(json);
        assert_int_equal(json_parse("null1", 4, &json), 0);
        assert_null(json);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused),
                cmocka_unit_test(test_truncated), cmocka_unit_test(test_string_positions),
                cmocka_unit_test(test_tokens), cmocka_unit_test(test_error_offset), cmocka_unit_test(test_depth),
                cmocka_unit_test(test_depth_mixed), cmocka_unit_test(test_skip), cmocka_unit_test(test_unescape),
                cmocka_unit_test(test_equal), cmocka_unit_test(test_tree), cmocka_unit_test(test_tree_int),
                cmocka_unit_test(test_tree_bool), cmocka_unit_test(test_tree_each_string),
                cmocka_unit_test(test_tree_duplicates), cmocka_unit_test(test_tree_strict),
                cmocka_unit_test(test_tree_keys), cmocka_unit_test(test_tree_limits),
                cmocka_unit_test(test_tree_top_level) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
