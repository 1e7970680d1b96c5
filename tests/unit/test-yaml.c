/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bytes.h"
#include "lib/yaml.h"

static YamlNode *parse(const char *text) {
        YamlNode *node = NULL;
        YamlError error;

        if (yaml_parse(text, strlen(text), &node, &error) != 0)
                fail_msg("refused at %u:%u: %s", error.line, error.column, error.text);
        assert_non_null(node);
        return node;
}

static void check_place(const YamlNode *node, unsigned line, unsigned column, unsigned key_line, unsigned key_column) {
        assert_int_equal(node->line, line);
        assert_int_equal(node->column, column);
        assert_int_equal(node->key_line, key_line);
        assert_int_equal(node->key_column, key_column);
}

static void test_tree(void **state) {
        _cleanup_(yaml_node_freep) YamlNode *root = parse("# comment\n"
                                                          "state_dir: /var/lib/sensorqd   # default\n"
                                                          "publish:\n"
                                                          "  topic: \"sensor-data\"\n"
                                                          "  outbox: { max_rows: 1000, max_bytes: 256MiB }\n"
                                                          "  sources:\n"
                                                          "    - name: home\n"
                                                          "    - plain\n"
                                                          "    -   - nested\n");
        const YamlNode *publish, *outbox, *sources;

        assert_int_equal(root->type, YAML_MAPPING);
        assert_int_equal(root->n_children, 2);
        assert_null(root->key);
        check_place(root, 2, 1, 0, 0);

        assert_string_equal(root->children[0]->key, "state_dir");
        assert_string_equal(root->children[0]->text, "/var/lib/sensorqd");
        assert_true(root->children[0]->plain);
        check_place(root->children[0], 2, 12, 2, 1);

        publish = yaml_get(root, "publish");
        assert_ptr_equal(publish, root->children[1]);
        assert_int_equal(publish->n_children, 3);
        check_place(publish, 4, 3, 3, 1);
        assert_string_equal(yaml_get(publish, "topic")->text, "sensor-data");
        assert_false(yaml_get(publish, "topic")->plain);
        check_place(yaml_get(publish, "topic"), 4, 10, 4, 3);

        outbox = yaml_get(publish, "outbox");
        assert_int_equal(outbox->type, YAML_MAPPING);
        check_place(outbox, 5, 11, 5, 3);
        check_place(yaml_get(outbox, "max_bytes"), 5, 40, 5, 29);

        sources = yaml_get(publish, "sources");
        assert_int_equal(sources->type, YAML_SEQUENCE);
        assert_int_equal(sources->n_children, 3);
        assert_string_equal(yaml_get(sources->children[0], "name")->text, "home");
        check_place(sources->children[0], 7, 7, 0, 0);
        assert_null(sources->children[1]->key);
        assert_string_equal(sources->children[1]->text, "plain");
        check_place(sources->children[1], 8, 7, 0, 0);
        assert_string_equal(sources->children[2]->children[0]->text, "nested");

        assert_null(yaml_get(root, "none"));
        assert_null(yaml_get(sources, "name"));
        assert_null(yaml_get(root->children[0], "x"));
        assert_null(yaml_get(NULL, "x"));
        assert_null(yaml_node_free(NULL));
}

/* Columns count characters, lines count any ending. */
static void test_places(void **state) {
        _cleanup_(yaml_node_freep) YamlNode *root =
                parse("\"\xe6\xb8\xa9\xe5\xba\xa6\": 1\r\nb: 2\r\n\r\nc:\r\n  - \xe2\x84\x83\n");

        check_place(yaml_get(root, "\xe6\xb8\xa9\xe5\xba\xa6"), 1, 7, 1, 1);
        check_place(yaml_get(root, "b"), 2, 4, 2, 1);
        check_place(yaml_get(root, "c")->children[0], 5, 5, 0, 0);
}

static void test_scalars(void **state) {
        _cleanup_(yaml_node_freep) YamlNode *root = parse("plain: a b c\n"
                                                          "single: 'it''s ~'\n"
                                                          "double: \"a\\tb\\u2103\"\n"
                                                          "literal: |\n"
                                                          "  one\n"
                                                          "  two\n"
                                                          "folded: >-\n"
                                                          "  one\n"
                                                          "  two\n"
                                                          "number: 0x10\n"
                                                          "bool: yes\n"
                                                          "uri: mongodb://u@localhost:27017/?authSource=admin\n");

        assert_string_equal(yaml_get(root, "plain")->text, "a b c");
        assert_string_equal(yaml_get(root, "single")->text, "it's ~");
        assert_false(yaml_get(root, "single")->plain);
        assert_string_equal(yaml_get(root, "double")->text, "a\tb\xe2\x84\x83");
        assert_string_equal(yaml_get(root, "literal")->text, "one\ntwo\n");
        assert_false(yaml_get(root, "literal")->plain);
        assert_string_equal(yaml_get(root, "folded")->text, "one two");
        assert_string_equal(yaml_get(root, "number")->text, "0x10");
        assert_string_equal(yaml_get(root, "bool")->text, "yes");
        assert_string_equal(yaml_get(root, "uri")->text, "mongodb://u@localhost:27017/?authSource=admin");
}

static void test_null(void **state) {
        _cleanup_(yaml_node_freep) YamlNode *root =
                parse("a: ~\nb: null\nc:\nd: ''\ne: '~'\nf: \"null\"\ng: nul\nh: []\ni: {}\nj: [~, '']\n");
        static const char *const nulls[] = { "a", "b", "c", "none" }, *const others[] = { "d", "e", "f", "g", "h", "i",
                "j" };

        for (size_t i = 0; i < ELEMENTSOF(nulls); i++)
                assert_true(yaml_is_null(yaml_get(root, nulls[i])));
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                assert_false(yaml_is_null(yaml_get(root, others[i])));
        assert_true(yaml_is_null(yaml_get(root, "j")->children[0]));
        assert_false(yaml_is_null(yaml_get(root, "j")->children[1]));
        assert_true(yaml_is_null(NULL));
        assert_int_equal(yaml_get(root, "h")->n_children, 0);
}

static void test_empty(void **state) {
        static const char *const texts[] = { "", "\n", "# only a comment\n", "---\n", "---\n...\n", "\xef\xbb\xbf",
                "\xef\xbb\xbf# BOM\n", "{}" };
        YamlNode *node = NULL;
        YamlError error;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(yaml_node_freep) YamlNode *root = parse(texts[i]);

                assert_int_equal(root->type, YAML_MAPPING);
                assert_int_equal(root->n_children, 0);
        }
        assert_int_equal(yaml_parse(NULL, 0, &node, &error), 0);
        assert_int_equal(node->type, YAML_MAPPING);
        node = yaml_node_free(node);
}

static void test_top_level(void **state) {
        _cleanup_(yaml_node_freep) YamlNode *scalar = parse("text"), *quoted = parse("''"),
                                            *sequence = parse("- a\n- b"), *marked = parse("---\na: 1\n...\n");

        assert_string_equal(scalar->text, "text");
        assert_int_equal(quoted->type, YAML_SCALAR);
        assert_int_equal(sequence->n_children, 2);
        assert_string_equal(yaml_get(marked, "a")->text, "1");
}

static void check_error_of(const char *text, size_t size, unsigned line, unsigned column, const char *words) {
        YamlNode *node = NULL;
        YamlError error = {};

        if (yaml_parse(text, size, &node, &error) != -EBADMSG)
                fail_msg("accepted: %s", text);
        assert_null(node);
        if (error.line != line || error.column != column || !strstr(error.text, words))
                fail_msg("%u:%u: %s, for: %s", error.line, error.column, error.text, text);
}

static void check_error(const char *text, unsigned line, unsigned column, const char *words) {
        check_error_of(text, strlen(text), line, column, words);
}

static void test_refused(void **state) {
        check_error("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate key \"a\", first on line 1");
        check_error("x:\n  a: 1\n  'a': 3\n", 3, 3, "duplicate key \"a\", first on line 2");
        check_error("x: { a: 1, b: 2, a: 3 }\n", 1, 18, "duplicate key");
        check_error("- a: 1\n  \"\\u0061\": 3\n", 2, 3, "duplicate key");
        check_error("a: &anchor 1\n", 1, 4, "anchor");
        check_error("a: &anchor\n  b: 1\n", 1, 4, "anchor");
        check_error("a: &anchor [1]\n", 1, 4, "anchor");
        check_error("&anchor a: 1\n", 1, 1, "anchor");
        check_error("a: *alias\n", 1, 4, "alias");
        check_error("- *alias\n", 1, 3, "alias");
        check_error("*alias : 1\n", 1, 1, "alias");
        check_error("a: !!str 1\n", 1, 4, "tag");
        check_error("a: !local [1]\n", 1, 4, "tag");
        check_error("a: ! 1\n", 1, 4, "tag");
        check_error("a: !!map {}\n", 1, 4, "tag");
        check_error("!!str a: 1\n", 1, 1, "tag");
        check_error("[a]: 1\n", 1, 1, "key");
        check_error("a:\n  {b: 1}: 1\n", 2, 3, "key");
        check_error("? - a\n: 1\n", 1, 3, "key");
        check_error("a: 1\n---\nb: 2\n", 2, 1, "more than one document");
        check_error("a: 1\n...\n---\n", 3, 1, "more than one document");
        check_error("a: 1\n b: 2\n", 2, 3, "");
        check_error("a: 'open\n", 1, 4, "the quote that opens here is never closed");
        check_error("a: 1\nb: \"open\nc: 2\n", 2, 4, "the quote that opens here is never closed");
        check_error("a: b: c\n", 1, 5, "quote a value that holds `: `");
        check_error("a: [1, 2\n", 2, 1, "a comma or ] is missing");
        check_error("a: [x/{id}, b]\n", 1, 7, "is not in quotes");
        check_error("a: { b: c d: e }\n", 1, 12, "a comma or } is missing before this");
        check_error("a: { b: :1 }\n", 1, 9, "a value is missing here");
        check_error("a: { b: @x }\n", 1, 9, "must be in quotes");
        check_error("a:\n    - b: 1\n  - c: 2\n", 3, 3, "this line is indented in another way");
        check_error("a:\n  b: \"c\" d\n", 2, 10, "has more behind the quote, ] or } that ends a value");
        check_error("a:\n  b: [c] d\n", 2, 10, "has more behind the quote, ] or } that ends a value");
        check_error("a:\n  - b\n  c: 1\n", 3, 3, "by its indentation this line belongs to the list above it");
        check_error("a:\n  - b: 1\n    c: 1\n   d: 1\n", 4, 4, "indent it like the entry's other keys");
        check_error("a:\n\t- 1\n", 2, 1, "");
        check_error("a: @x\n", 1, 4, "");
        check_error("a: %x\n", 1, 4, "");
        check_error("a: 1\nnonsense\n", 2, 1, "there is no colon: write");
        check_error("%YAML 3.0\n---\na: 1\n", 1, 1, "");
}

static void test_not_text(void **state) {
        check_error_of("a: 1\nb: \xff\n", 10, 2, 4, "UTF-8");
        check_error_of("a: 1\n\xe2\x84\x83: \xc3(\n", 13, 2, 5, "UTF-8"); /* the byte that should have gone on */
        check_error_of("a: \x01\n", 5, 1, 4, "control");
        check_error_of("a: b\0c\n", 7, 1, 5, "control");
        check_error("a: \"b\\0c\"\n", 1, 4, "NUL");
        check_error("\"b\\0c\": 1\n", 1, 1, "NUL");
        check_error_of("\xff\xfe"
                       "a\0:\0 \0b\0",
                10, 1, 1, "UTF-8"); /* UTF-16 */
}

static void test_depth(void **state) {
        char text[512];
        size_t n;

        for (unsigned depth = YAML_DEPTH_MAX; depth <= YAML_DEPTH_MAX + 1; depth++) {
                YamlNode *node = NULL;
                YamlError error;
                int r;

                memset(text, '[', depth);
                memset(text + depth, ']', depth);
                r = yaml_parse(text, 2 * depth, &node, &error);
                assert_int_equal(r, depth <= YAML_DEPTH_MAX ? 0 : -EBADMSG);
                node = yaml_node_free(node);
        }
        memset(text, '[', 400);
        check_error_of(text, 400, 1, YAML_DEPTH_MAX + 1, "deep");

        n = 0;
        for (unsigned i = 0; i <= YAML_DEPTH_MAX; i++)
                n += (size_t) sprintf(text + n, "{a: ");
        check_error_of(text, n, 1, 4 * YAML_DEPTH_MAX + 1, "deep");
}

static void test_size(void **state) {
        _cleanup_bytes_ Bytes text = {};
        YamlNode *node = NULL;
        YamlError error;

        while (text.size < YAML_SIZE_MAX)
                assert_int_equal(bytes_append_text(&text, "# 345678901234\n\n"), 0);
        assert_int_equal(yaml_parse(text.data, YAML_SIZE_MAX, &node, &error), 0);
        node = yaml_node_free(node);
        assert_int_equal(bytes_append_text(&text, "#"), 0);
        assert_int_equal(yaml_parse(text.data, YAML_SIZE_MAX + 1, &node, &error), -EBADMSG);
        assert_int_equal(error.line, 0);
        assert_int_equal(error.column, 0);
        assert_true(error.text[0] != '\0');
        assert_null(node);
}

static void test_many_children(void **state) {
        _cleanup_bytes_ Bytes text = {};
        _cleanup_(yaml_node_freep) YamlNode *node = NULL;
        char last[16];

        for (unsigned i = 0; i < YAML_CHILDREN_MAX; i++)
                assert_int_equal(bytes_append_format(&text, "k%u: %u\n", i, i), 0);
        node = parse(text.data);
        assert_int_equal(node->n_children, YAML_CHILDREN_MAX);
        (void) snprintf(last, sizeof(last), "%u", YAML_CHILDREN_MAX - 1);
        assert_string_equal(node->children[YAML_CHILDREN_MAX - 1]->text, last);

        assert_int_equal(bytes_append_text(&text, "more: 1\n"), 0);
        check_error(text.data, YAML_CHILDREN_MAX + 1, 7, "too many");
}

/* The words are cut, never the memory behind them. */
static void test_long_key(void **state) {
        _cleanup_bytes_ Bytes text = {};
        YamlNode *node = NULL;
        YamlError error;

        for (int twice = 0; twice < 2; twice++) {
                for (int i = 0; i < 1000; i++)
                        assert_int_equal(bytes_append_text(&text, "k"), 0);
                assert_int_equal(bytes_append_text(&text, ": 1\n"), 0);
        }
        assert_int_equal(yaml_parse(text.data, text.size, &node, &error), -EBADMSG);
        assert_true(strlen(error.text) < sizeof(error.text));
        assert_non_null(strstr(error.text, "first on line 1"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tree),
                cmocka_unit_test(test_places),
                cmocka_unit_test(test_scalars),
                cmocka_unit_test(test_null),
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_top_level),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_not_text),
                cmocka_unit_test(test_depth),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_many_children),
                cmocka_unit_test(test_long_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
