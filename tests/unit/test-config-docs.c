/* SPDX-License-Identifier: Apache-2.0 */
/* The reference page and the example file say what the table says, and every example is one that the daemon takes. */
#include <ctype.h>
#include "config-describe.h"
#include "config-fixture.h"
#include "sources/nature-remo.h"

#define PAGE SOURCE_ROOT "/docs/configuration.md"
#define EXAMPLE SOURCE_ROOT "/config/sensorqd.yaml"

static char *read_file(const char *path) {
        Bytes text = {};
        char buffer[4096];
        size_t n;
        FILE *file = fopen(path, "r");

        assert_non_null(file);
        while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0)
                assert_int_equal(bytes_append(&text, buffer, n), 0);
        assert_int_equal(fclose(file), 0);
        assert_non_null(text.data);
        return text.data;
}

/* Lines of a paragraph as one line: a table's text is not broken. */
static char *unwrap(char *text) {
        for (char *c = text; *c != '\0'; c++) {
                if (*c == '\n' && c > text && c[-1] != '\n' && c[1] != '\n')
                        *c = ' ';
        }
        return text;
}

static size_t count(const char *text, const char *part) {
        size_t n = 0;

        for (; (text = strstr(text, part)); text++)
                n++;
        return n;
}

/* ---- the reference page ---- */

typedef struct Page {
        const char *cursor; /* behind the key before: the order is the table's */
        size_t rows;
} Page;

static void find_row(
        void *userdata, const char *key, const char *owner, const char *type, const char *fallback, const char *doc) {
        Page *page = userdata;
        char text[600];
        const char *found;

        assert_true(snprintf(text, sizeof(text), "\n### `%s`%s%s%s\n\n*%s%s%s.* %s", key, owner ? " (" : "",
                            owner ? owner : "", owner ? ")" : "", type, fallback ? "; default: " : "",
                            fallback ? fallback : "", doc) < (int) sizeof(text));
        found = strstr(page->cursor, text);
        if (!found)
                fail_msg("docs/configuration.md does not have, at its place:%s", text);
        page->cursor = found + 1;
        page->rows++;
}

static void test_page_has_every_row(void **state) {
        char *text = unwrap(read_file(PAGE));
        Page page = { text, 0 };

        config_describe(&types_of_config, find_row, &page);
        assert_int_equal(count(text, "\n### `"), page.rows); /* and no other */
        free(text);
}

static void test_examples_of_the_page(void **state) {
        char *text = read_file(PAGE), *begin = text, *end;
        size_t n = 0;

        while ((begin = strstr(begin, "\n```yaml\n"))) {
                begin += strlen("\n```yaml\n");
                end = strstr(begin, "```\n");
                assert_non_null(end);
                config_unref(parse_as("configuration.md", begin, (size_t) (end - begin), &types_of_config));
                n++;
        }
        assert_true(n >= 3);
        free(text);
}

/* The message that the page shows is one that is given. */
static void test_error_of_the_page(void **state) {
        static const char text[] =
                "pubsub:\n  project: p\npublish:\n  topic: top\n  sources:\n    - name: home\n      type: nature_remo\n"
                "      token_file: t\n      interval: 5s\n";
        char *page = read_file(PAGE);
        char *said = errors_of(text, strlen(text), &(ConfigInput){ CONFIG_FILE_DEFAULT, &types_of_config });

        assert_non_null(strstr(page, said));
        free(said);
        free(page);
}

/* ---- the example file ---- */

/* Takes the `#` from each line of the form `#key:`, which is a setting and no comment. */
static void uncomment(char *text) {
        char *out = text;

        for (char *line = text; *line != '\0';) {
                size_t size = strcspn(line, "\n"), indent = strspn(line, " ");
                const char *key = line + indent + 1;

                if (line[indent] == '#' && islower((unsigned char) *key) &&
                        key[strspn(key, "abcdefghijklmnopqrstuvwxyz_")] == ':') {
                        memmove(out, line, indent);
                        memmove(out + indent, key, size - indent - 1);
                        out += size - 1;
                } else {
                        memmove(out, line, size);
                        out += size;
                }
                line += size;
                if (*line == '\n')
                        *out++ = *line++;
        }
        *out = '\0';
}

/* Of which type of sink the key is, in *name*; false: of none, or of the first one. */
static bool is_of_another_sink(const char *key, char name[static 64]) {
        return sscanf(key, "subscribe[].%63[^.]", name) == 1 && types_sink(name) && strcmp(name, "mongodb") != 0;
}

/* "key: default" in the example, wherever the key has a default. */
static void find_setting(
        void *userdata, const char *key, const char *owner, const char *type, const char *fallback, const char *doc) {
        const char *text = userdata, *dot = strrchr(key, '.'), *name = dot ? dot + 1 : key;
        bool derived = !fallback || strchr(fallback, '$') || strchr(fallback, ';') || strstr(fallback, "COLLECTION") ||
                       strstr(fallback, "usual") || strstr(fallback, "without") || strstr(fallback, "else") ||
                       strstr(fallback, ": ");
        char setting[200], sink[64];

        /* The first source and sink stand there whole; of another type an example does, and its page has the rest. */
        if (owner && strcmp(owner, "nature_remo") != 0) {
                (void) snprintf(setting, sizeof(setting), "type: %s\n", owner);
                if (!strstr(text, setting))
                        fail_msg("config/sensorqd.yaml has no example of type %s", owner);
                return;
        }
        if (is_of_another_sink(key, sink)) {
                (void) snprintf(setting, sizeof(setting), " %s:", sink);
                if (!strstr(text, setting))
                        fail_msg("config/sensorqd.yaml has no example of sink %s", sink);
                return;
        }
        if (strncmp(key, "reading.", strlen("reading.")) == 0 || strncmp(key, "auth.", strlen("auth.")) == 0)
                return; /* a section that several types have */
        (void) snprintf(setting, sizeof(setting), " %s:%s%s", name, derived ? "" : " ", derived ? "" : fallback);
        if (!dot)
                setting[0] = '\n';
        if (!strstr(text, setting))
                fail_msg("config/sensorqd.yaml does not have \"%s\" for %s", setting + 1, key);
}

static void drop_labels(ConfigMap *labels) {
        for (size_t i = 0; i < labels->n; i++) {
                free(labels->items[i].name);
                free(labels->items[i].values[0]);
                free(labels->items[i].values);
        }
        free(labels->items);
        *labels = (ConfigMap){};
}

static void test_example_file(void **state) {
        char *text = read_file(EXAMPLE);
        NatureRemoConfig *remo;
        Config *plain = parse_as("sensorqd.yaml", text, strlen(text), &types_of_config), *full;

        uncomment(text);
        full = parse_as("sensorqd.yaml", text, strlen(text), &types_of_config);
        config_describe(&types_of_config, find_setting, text);

        /* What is commented out is the default, but for the keys that have none. */
        assert_string_equal(config_map_get(&full->sources[0].labels, "site"), "nakano");
        assert_string_equal(config_map_get(&full->sources[0].labels, "floor"), "upstairs");
        drop_labels(&full->sources[0].labels);
        remo = full->sources[0].keys;
        assert_string_equal(full->pubsub.ca_file, remo->ca_file);
        free(full->pubsub.ca_file);
        free(remo->ca_file);
        full->pubsub.ca_file = remo->ca_file = NULL;
        assert_string_equal(plain->state_dir, full->state_dir);
        assert_int_equal(plain->log_level, full->log_level);
        assert_true(config_pubsub_equal(plain, full));
        assert_true(config_source_equal(plain->sources, full->sources));
        assert_true(config_subscription_equal(plain->subscriptions, full->subscriptions));
        assert_memory_equal(&plain->outbox, &full->outbox, sizeof(OutboxConfig));
        config_unref(plain);
        config_unref(full);
        free(text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_page_has_every_row),
                cmocka_unit_test(test_examples_of_the_page),
                cmocka_unit_test(test_error_of_the_page),
                cmocka_unit_test(test_example_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
