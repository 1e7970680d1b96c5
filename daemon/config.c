/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "config-reader.h"
#include "config-rules.h"
#include "config-table.h"
#include "config.h"
#include "lib/bytes.h"
#include "lib/err.h"
#include "lib/file.h"

/* ---- the structs, along the table ---- */

static void section_done(const char *section, void *base);

static void texts_done(char **texts) {
        for (size_t i = 0; texts && texts[i]; i++)
                free(texts[i]);
        free(texts);
}

/* A uri may carry a password. */
static void text_done(char *text) {
        if (text)
                explicit_bzero(text, strlen(text));
        free(text);
}

static void list_done(const ConfigRow *row, void *base) {
        char *items = *(char **) ((char *) base + row->offset), section[64];
        size_t n = *(size_t *) ((char *) base + row->count);

        (void) snprintf(section, sizeof(section), "%s[]", row->key);
        for (size_t i = 0; i < n; i++)
                section_done(section, items + i * row->size);
        free(items);
}

static void section_done(const char *section, void *base) {
        const ConfigRow *row;

        for (size_t i = 0; (row = config_table_row(i)); i++) {
                void *place = (char *) base + row->offset;

                if (!config_table_is_in(row, section, NULL))
                        continue;
                switch (row->type->storage) {
                case CONFIG_TEXT:
                        text_done(*(char **) place);
                        break;
                case CONFIG_TEXTS:
                        texts_done(*(char ***) place);
                        break;
                case CONFIG_SECTION:
                        section_done(row->key, place);
                        break;
                case CONFIG_LIST:
                        list_done(row, base);
                        break;
                default:
                        break;
                }
        }
}

static bool text_equal(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool texts_equal(char *const *a, char *const *b) {
        for (; *a && *b; a++, b++)
                if (strcmp(*a, *b) != 0)
                        return false;

        return !*a && !*b;
}

/* Whether two structs of one section are equal; of one without lists. */
static bool section_equal(const char *section, const void *a, const void *b) {
        const ConfigRow *row;
        bool equal = true;

        for (size_t i = 0; equal && (row = config_table_row(i)); i++) {
                const void *left = (const char *) a + row->offset, *right = (const char *) b + row->offset;

                if (!config_table_is_in(row, section, NULL))
                        continue;
                switch (row->type->storage) {
                case CONFIG_TEXT:
                        equal = text_equal(*(char *const *) left, *(char *const *) right);
                        break;
                case CONFIG_TEXTS:
                        equal = texts_equal(*(char **const *) left, *(char **const *) right);
                        break;
                case CONFIG_NUMBER:
                        equal = *(const uint64_t *) left == *(const uint64_t *) right;
                        break;
                case CONFIG_UNSIGNED:
                case CONFIG_INT:
                        equal = *(const int *) left == *(const int *) right;
                        break;
                default:
                        equal = section_equal(row->key, left, right);
                }
        }

        return equal;
}

bool source_config_equal(const SourceConfig *a, const SourceConfig *b) {
        return section_equal("publish.sources[]", a, b);
}

bool subscription_config_equal(const SubscriptionConfig *a, const SubscriptionConfig *b) {
        return text_equal(a->sink, b->sink) && section_equal("subscribe[]", a, b);
}

bool pubsub_config_equal(const PubsubConfig *a, const PubsubConfig *b) {
        return a->emulator == b->emulator && text_equal(a->project, b->project) &&
               text_equal(a->credentials_file, b->credentials_file) && text_equal(a->endpoint, b->endpoint) &&
               text_equal(a->ca_file, b->ca_file);
}

Config *config_ref(Config *config) {
        config->references++;
        return config;
}

Config *config_unref(Config *config) {
        if (!config || --config->references > 0)
                return NULL;

        section_done("", config);
        free(config->directory);
        free(config->path);
        free(config);
        return NULL;
}

/* ---- loading ---- */

static const char *process_getenv(const char *name) {
        return getenv(name);
}

static int config_new(const char *path, Config **ret) {
        _cleanup_(config_unrefp) Config *config = NULL;
        _cleanup_free_ char *copy = NULL;

        config = calloc(1, sizeof(Config));
        if (!config)
                return -ENOMEM;

        config->references = 1;
        config->path = strdup(path);
        copy = strdup(path);
        if (!config->path || !copy)
                return -ENOMEM;

        config->directory = strdup(dirname(copy));
        if (!config->directory)
                return -ENOMEM;

        *ret = cleanup_steal(config);
        return 0;
}

/* Where the first byte stands that is not UTF-8 or is NUL. */
static bool text_find_bad(const char *text, size_t size, YamlNode *ret_place) {
        unsigned line = 1;
        size_t begin = 0;

        if (bytes_is_utf8(text, size) && !memchr(text, '\0', size))
                return false;

        while (begin < size) {
                const char *end = memchr(text + begin, '\n', size - begin);
                size_t n = end ? (size_t) (end - text) - begin : size - begin;

                if (!bytes_is_utf8(text + begin, n) || memchr(text + begin, '\0', n))
                        break;
                begin += n + 1;
                line++;
        }

        *ret_place = (YamlNode){ .line = line, .column = 1 };
        return true;
}

/* YAML's commonest slip, for which libyaml's words are of little help. */
static bool line_begins_with_tab(const char *text, size_t size, unsigned line) {
        const char *end = text + size;

        for (; line > 1 && text; line--) {
                text = memchr(text, '\n', (size_t) (end - text));
                text = text ? text + 1 : NULL;
        }
        while (text && text < end && *text == ' ')
                text++;

        return text && text < end && *text == '\t';
}

static int reader_parse(const ConfigReader *reader, const char *text, size_t size, ConfigGetenv env, Config *config) {
        _cleanup_(yaml_freep) YamlNode *root = NULL;
        YamlNode place;
        YamlError error = {};
        int r;

        if (size > YAML_SIZE_MAX)
                return config_reader_fail(reader, NULL, "", "the file is larger than %d KiB", YAML_SIZE_MAX / 1024);
        if (text_find_bad(text, size, &place))
                return config_reader_fail(
                        reader, &place, "", "the line holds a byte that is no UTF-8 text; save the file as UTF-8");

        r = yaml_parse(text, size, &root, &error);
        if (r == -EBADMSG) {
                place = (YamlNode){ .line = error.line, .column = error.column };
                return config_reader_fail(reader, &place, "", "%s%s", error.text,
                        line_begins_with_tab(text, size, error.line) ? "; the line is indented by a tab, use spaces"
                                                                     : "");
        }
        if (r < 0)
                return r;

        r = config_reader_read(reader, root, config);
        if (r < 0)
                return r;

        return config_rules_apply(reader, root, env, config);
}

int config_parse(const char *path, const char *text, size_t size, const char *(*env)(const char *name), Config **ret,
        ConfigError *ret_error) {
        _cleanup_(config_unrefp) Config *config = NULL;
        ConfigReader reader = { path, ret_error };
        int r;

        r = config_new(path, &config);
        if (r >= 0)
                r = reader_parse(&reader, text, size, env ? env : process_getenv, config);
        if (r == -ENOMEM)
                (void) config_reader_fail(&reader, NULL, "", "out of memory");
        if (r < 0)
                return r;

        *ret = cleanup_steal(config);
        return 0;
}

static int fail_open(const ConfigReader *reader, int error) {
        switch (-error) {
        case ENOENT:
                (void) config_reader_fail(reader, NULL, "",
                        "there is no such file; write one (see sensorqd.yaml(5)), or name another with --config");
                break;
        case EISDIR:
                (void) config_reader_fail(reader, NULL, "", "is a directory; name the file itself with --config");
                break;
        case EINVAL:
                (void) config_reader_fail(reader, NULL, "", "is no regular file");
                break;
        case EACCES:
                (void) config_reader_fail(reader, NULL, "",
                        "may not be read by this user; run as root, or let the user of the service read it (chmod "
                        "0644)");
                break;
        default:
                (void) config_reader_fail(reader, NULL, "", "cannot be read: %s", strerror(-error));
        }
        return error;
}

int config_load(const char *path, const char *(*env)(const char *name), Config **ret, ConfigError *ret_error) {
        ConfigReader reader = { path, ret_error };
        _cleanup_close_ int fd = -1;
        Bytes text = {};
        int r;

        r = file_open(path, &fd);
        if (r >= 0)
                r = bytes_reserve(&text, YAML_SIZE_MAX + 1); /* one more byte tells a file that is too large */
        if (r >= 0)
                r = file_read(fd, text.data, YAML_SIZE_MAX + 1, &text.size);
        if (r < 0)
                (void) fail_open(&reader, r);
        else
                r = config_parse(path, text.data, text.size, env, ret, ret_error);

        if (text.data)
                explicit_bzero(text.data, text.size);
        bytes_done(&text);
        return r;
}
