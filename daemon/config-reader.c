/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config-reader.h"
#include "lib/bytes.h"

#define PATH_SHOWN_MAX 200 /* of the file's name in a message, its end; the rest of the text must fit behind */
#define VALUE_SHOWN_MAX 60
#define NAME_ENTRY_MAX 255

static int reader_section(const ConfigReader *reader, const char *section, const YamlNode *node, void *base);

/* ---- saying what is wrong ---- */

static void reader_write(
        const ConfigReader *reader, unsigned line, unsigned column, const char *key, const char *text) {
        size_t size = strlen(reader->path), cut = size > PATH_SHOWN_MAX ? size - PATH_SHOWN_MAX : 0;
        char place[40] = "";

        if (line > 0)
                (void) snprintf(place, sizeof(place), "%u:%u:", line, column);
        (void) snprintf(reader->error->text, sizeof(reader->error->text), "%s%s:%s %s%s%s", cut > 0 ? "..." : "",
                reader->path + cut, place, key, key[0] != '\0' ? ": " : "", text);
}

int config_reader_fail(const ConfigReader *reader, const YamlNode *node, const char *key, const char *format, ...) {
        char text[CONFIG_ERROR_MAX];
        va_list list;

        va_start(list, format);
        (void) vsnprintf(text, sizeof(text), format, list);
        va_end(list);

        reader_write(reader, node ? node->line : 0, node ? node->column : 0, key, text);
        return -EBADMSG;
}

/* The value as it may be shown: quoted when it is short and can hold no secret. */
static const char *value_shown(const ConfigRow *row, const char *text, char *buffer, size_t size) {
        bool secret = row->type->private || strchr(text, '@') || strlen(text) > VALUE_SHOWN_MAX;

        (void) snprintf(buffer, size, secret ? "the value" : "\"%s\"", text);
        return buffer;
}

static int fail_value(const ConfigReader *reader, const ConfigRow *row, const YamlNode *node, const char *problem) {
        char shown[VALUE_SHOWN_MAX + 3], allowed[160];

        return config_reader_fail(reader, node, row->key, "%s %s; allowed: %s",
                value_shown(row, node->text, shown, sizeof(shown)), problem,
                config_table_allowed(row, allowed, sizeof(allowed)));
}

static int fail_kind(const ConfigReader *reader, const ConfigRow *row, const YamlNode *node) {
        static const char *const kinds[] = {
                [YAML_SCALAR] = "a single value", [YAML_MAPPING] = "a section", [YAML_SEQUENCE] = "a list"
        };
        char allowed[160];

        return config_reader_fail(reader, node, row->key, "is %s; allowed: %s",
                yaml_is_null(node) ? "empty" : kinds[node->type], config_table_allowed(row, allowed, sizeof(allowed)));
}

static const char *section_next(const void *list, size_t index) {
        const ConfigRow *row;
        const char *name;

        for (size_t i = 0; (row = config_table_row(i)); i++)
                if (config_table_is_in(row, list, &name) && index-- == 0)
                        return name;

        return NULL;
}

static void section_keys(const char *section, char *buffer, size_t size) {
        const char *name;

        buffer[0] = '\0';
        for (size_t i = 0, used = 0; (name = section_next(section, i)) && used < size; i++)
                used += (size_t) snprintf(buffer + used, size - used, "%s%s", i > 0 ? ", " : "", name);
}

/* A key that does not look like one may be half of a secret. */
static bool key_is_harmless(const char *key) {
        return key[0] != '\0' && strlen(key) <= 40 &&
               key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

static int fail_unknown(const ConfigReader *reader, const char *section, const YamlNode *node) {
        bool harmless = key_is_harmless(node->key);
        const ConfigRow *elsewhere = config_table_elsewhere(section, node->key);
        const char *nearest = config_table_nearest(node->key, section_next, section);
        char text[300], keys[200];

        section_keys(section, keys, sizeof(keys));
        if (elsewhere)
                (void) snprintf(text, sizeof(text), "is not known here, only as %s; allowed: %s", elsewhere->key, keys);
        else if (nearest)
                (void) snprintf(text, sizeof(text), "is not known, did you mean %s? Allowed: %s", nearest, keys);
        else
                (void) snprintf(text, sizeof(text), "is not known; allowed: %s", keys);

        if (harmless) {
                char key[120];

                (void) snprintf(key, sizeof(key), "%s%s%s", section, section[0] != '\0' ? "." : "", node->key);
                reader_write(reader, node->key_line, node->key_column, key, text);
        } else {
                char sentence[320];

                (void) snprintf(sentence, sizeof(sentence), "a key %s", text);
                reader_write(reader, node->key_line, node->key_column, section, sentence);
        }
        return -EBADMSG;
}

/* ---- values ---- */

static void number_store(const ConfigRow *row, uint64_t value, void *place) {
        switch (row->type->storage) {
        case CONFIG_NUMBER:
                *(uint64_t *) place = value;
                break;
        case CONFIG_UNSIGNED:
                *(unsigned *) place = (unsigned) value;
                break;
        default:
                *(int *) place = (int) value;
        }
}

static int reader_number(const ConfigReader *reader, const ConfigRow *row, const YamlNode *node, void *place) {
        ConfigProblem problem;
        uint64_t value;
        int r;

        if (row->type->plain && !node->plain)
                return fail_value(reader, row, node, "is in quotes, which makes it a text");

        r = row->type->number(node->text, &value, &problem);
        if (r < 0)
                return fail_value(reader, row, node, problem.text);
        if (row->type->format && (value < row->min || value > row->max))
                return fail_value(reader, row, node, "is out of range");

        number_store(row, value, place);
        return 0;
}

static bool text_has_controls(const char *text) {
        for (; *text != '\0'; text++)
                if ((unsigned char) *text < ' ' || *text == 0x7f)
                        return true;

        return false;
}

static int text_check(const ConfigReader *reader, const ConfigRow *row, const YamlNode *node, uint64_t max) {
        ConfigProblem problem;

        if (node->type != YAML_SCALAR || yaml_is_null(node))
                return fail_kind(reader, row, node);
        if (node->text[0] == '\0')
                return fail_value(reader, row, node, "is empty");
        if (strlen(node->text) > max)
                return fail_value(reader, row, node, "is too long");
        if (text_has_controls(node->text))
                return config_reader_fail(reader, node, row->key,
                        "holds a line break, a tab or another control character; write it on one line");
        if (row->type->text(node->text, &problem) < 0)
                return fail_value(reader, row, node, problem.text);
        return 0;
}

static int reader_text(const ConfigReader *reader, const ConfigRow *row, const YamlNode *node, char **place) {
        int r;

        r = text_check(reader, row, node, row->max);
        if (r < 0)
                return r;

        *place = strdup(node->text);
        return *place ? 0 : -ENOMEM;
}

static int reader_texts(const ConfigReader *reader, const ConfigRow *row, const YamlNode *node, char ***place) {
        char **texts;

        if (node->type != YAML_SEQUENCE)
                return fail_kind(reader, row, node);
        if (node->n_children > row->max)
                return config_reader_fail(reader, node, row->key, "has %zu entries; allowed: at most %" PRIu64,
                        node->n_children, row->max);

        *place = texts = calloc(node->n_children + 1, sizeof(char *));
        if (!texts)
                return -ENOMEM;

        for (size_t i = 0; i < node->n_children; i++) {
                int r;

                r = text_check(reader, row, node->children[i], NAME_ENTRY_MAX);
                if (r < 0)
                        return r;
                for (size_t j = 0; j < i; j++)
                        if (strcmp(texts[j], node->children[i]->text) == 0)
                                return config_reader_fail(reader, node->children[i], row->key,
                                        "\"%s\" is there twice; each name once", texts[j]);
                texts[i] = strdup(node->children[i]->text);
                if (!texts[i])
                        return -ENOMEM;
        }

        return 0;
}

static int reader_list(const ConfigReader *reader, const ConfigRow *row, const YamlNode *node, void *base) {
        char **items = (char **) ((char *) base + row->offset), section[64];
        size_t *count = (size_t *) ((char *) base + row->count);

        if (node->type != YAML_SEQUENCE)
                return fail_kind(reader, row, node);
        if (node->n_children < row->min || node->n_children > row->max)
                return config_reader_fail(reader, node, row->key, "has %zu entries; allowed: %" PRIu64 "..%" PRIu64,
                        node->n_children, row->min, row->max);

        *items = calloc(node->n_children, row->size);
        if (!*items)
                return -ENOMEM;

        (void) snprintf(section, sizeof(section), "%s[]", row->key);
        for (size_t i = 0; i < node->n_children; i++) {
                int r;

                if (node->children[i]->type != YAML_MAPPING)
                        return config_reader_fail(reader, node->children[i], section,
                                "an entry is no section; allowed: KEY: VALUE lines, the first behind the dash");
                *count = i + 1; /* what was read of the entry is released with the rest */
                r = reader_section(reader, section, node->children[i], *items + i * row->size);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int reader_value(const ConfigReader *reader, const ConfigRow *row, const YamlNode *node, void *base) {
        void *place = (char *) base + row->offset;

        switch (row->type->storage) {
        case CONFIG_SECTION:
                return node->type == YAML_MAPPING ? reader_section(reader, row->key, node, place)
                                                  : fail_kind(reader, row, node);
        case CONFIG_LIST:
                return reader_list(reader, row, node, base);
        case CONFIG_TEXTS:
                return reader_texts(reader, row, node, place);
        case CONFIG_TEXT:
                return reader_text(reader, row, node, place);
        default:
                if (node->type != YAML_SCALAR || yaml_is_null(node))
                        return fail_kind(reader, row, node);
                return reader_number(reader, row, node, place);
        }
}

/* The default goes the same way as if it had been written in the file. */
static int reader_default(const ConfigReader *reader, const ConfigRow *row, const YamlNode *section, void *base) {
        _cleanup_(yaml_freep) YamlNode *node = NULL;
        const char *text = row->flags & CONFIG_IMPLIED ? "{}" : row->fallback;
        char allowed[160];
        YamlError error;
        int r;

        if (row->flags & CONFIG_REQUIRED)
                return config_reader_fail(reader, section, row->key, "is missing; allowed: %s",
                        config_table_allowed(row, allowed, sizeof(allowed)));
        if (!text)
                return 0;

        r = yaml_parse(text, strlen(text), &node, &error);
        return r < 0 ? r : reader_value(reader, row, node, base);
}

static int reader_section(const ConfigReader *reader, const char *section, const YamlNode *node, void *base) {
        const ConfigRow *row;
        int r;

        for (size_t i = 0; i < node->n_children; i++)
                if (!config_table_find(section, node->children[i]->key))
                        return fail_unknown(reader, section, node->children[i]);

        for (size_t i = 0; (row = config_table_row(i)); i++) {
                const YamlNode *child;
                const char *name;

                if (!config_table_is_in(row, section, &name))
                        continue;
                child = yaml_get(node, name);
                r = child ? reader_value(reader, row, child, base) : reader_default(reader, row, node, base);
                if (r < 0)
                        return r;
        }

        return 0;
}

int config_reader_read(const ConfigReader *reader, const YamlNode *root, Config *config) {
        if (root->type != YAML_MAPPING)
                return config_reader_fail(
                        reader, root, "", "the file is no list of KEY: VALUE lines; see sensorqd.yaml(5)");

        return reader_section(reader, "", root, config);
}
