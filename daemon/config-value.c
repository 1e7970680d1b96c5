/* SPDX-License-Identifier: Apache-2.0 */
#include "config-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

#define VALUE_SHOWN_MAX 60
#define NAME_ENTRY_MAX 255
#define TEXT_ENTRY_MAX 1024

/* ---- one value ---- */

const char *config_value_allowed(const ConfigRow *row, char *buffer, size_t size) {
        if (row->type->format)
                return config_table_range(row, buffer, size);
        return row->type->allowed ?: row->type->name;
}

/* Returns the value for a message: quoted if it is short and cannot contain a secret. */
static const char *value_shown(const ConfigValue *value, char *buffer, size_t size) {
        const char *text = value->node->text;
        bool secret = value->row->type->private || strpbrk(text, "@?") || strlen(text) > VALUE_SHOWN_MAX;

        (void) snprintf(buffer, size, secret ? "the value" : "\"%s\"", text);
        return buffer;
}

static int fail_value(const ConfigValue *value, const char *problem) {
        char shown[VALUE_SHOWN_MAX + 3], range[60];

        return config_value_fail(value, "%s %s; allowed: %s", value_shown(value, shown, sizeof(shown)), problem,
                config_value_allowed(value->row, range, sizeof(range)));
}

/* Returns the start of line *number* of the file; NULL past its end. */
static const char *line_at(const ConfigReader *reader, unsigned number) {
        const char *line = reader->text, *end = line + reader->size;

        for (; line && number > 1; number--) {
                line = memchr(line, '\n', (size_t) (end - line));
                line = line ? line + 1 : NULL;
        }
        return line;
}

/* True if a # follows the colon: for YAML the rest is a comment, which is rarely meant. */
static bool value_is_comment(const ConfigValue *value) {
        const ConfigReader *reader = value->place->reader;
        const char *line = line_at(reader, value->node->key_line);
        size_t size = line ? (size_t) (reader->text + reader->size - line) : 0;
        const char *end = line ? memchr(line, '\n', size) : NULL;

        return line && memmem(line, end ? (size_t) (end - line) : size, ": #", 3);
}

int config_value_fail_kind(const ConfigValue *value) {
        static const char *const kinds[] = {
                [YAML_SCALAR] = "a single value", [YAML_MAPPING] = "a section", [YAML_SEQUENCE] = "a list"
        };
        const ConfigType *type = value->row->type;
        bool text = type->storage == CONFIG_TEXT || type->storage == CONFIG_MAP, empty = yaml_is_null(value->node);
        const char *hint = "";
        char range[60];

        if (empty && value_is_comment(value))
                hint = "; a value that begins with # must be in quotes";
        else if (!empty && text && value->node->type != YAML_SCALAR)
                hint = "; if it is text, put it in single quotes";
        return config_value_fail(value, "is %s; allowed: %s%s", empty ? "empty" : kinds[value->node->type],
                config_value_allowed(value->row, range, sizeof(range)), hint);
}

static bool value_is_scalar(const ConfigValue *value) {
        return value->node->type == YAML_SCALAR && !yaml_is_null(value->node);
}

/* ---- numbers ---- */

static int check_range(const ConfigValue *value, uint64_t number) {
        const ConfigRow *row = value->row;

        return row->type->format && (number < row->min || number > row->max) ? fail_value(value, "is out of range") : 0;
}

static void store_number(const ConfigType *type, uint64_t number, void *place) {
        switch (type->storage) {
        case CONFIG_NUMBER:
                *(uint64_t *) place = number;
                break;
        case CONFIG_UNSIGNED:
                *(unsigned *) place = (unsigned) number;
                break;
        case CONFIG_BOOL:
                *(bool *) place = number != 0;
                break;
        default:
                *(int *) place = (int) number;
        }
}

static int read_word(const ConfigValue *value, void *place) {
        const ConfigType *type = value->row->type;

        for (size_t i = 0; type->words[i]; i++)
                if (strcmp(type->words[i], value->node->text) == 0) {
                        store_number(type, (uint64_t) type->first + i, place);
                        return 0;
                }

        return fail_value(value, "is not allowed");
}

static int read_number(const ConfigValue *value, void *place) {
        const ConfigType *type = value->row->type;
        ConfigProblem problem;
        uint64_t number;
        int r;

        if (!value_is_scalar(value))
                return config_value_fail_kind(value);
        if (type->plain && !value->node->plain)
                return fail_value(value, "is in quotes, which makes it a text");
        if (type->words)
                return read_word(value, place);
        r = type->decimal ? type->decimal(value->node->text, place, &problem)
                          : type->number(value->node->text, &number, &problem);
        if (r < 0)
                return fail_value(value, problem.text);
        if (type->decimal)
                return 0;

        r = check_range(value, number);
        if (r == 0)
                store_number(type, number, place);
        return r;
}

/* ---- texts ---- */

static int check_text(const ConfigValue *value, uint64_t max) {
        const ConfigType *type = value->row->type;
        const char *text = value->node->text;
        ConfigProblem problem;
        int r;

        if (!value_is_scalar(value))
                return config_value_fail_kind(value);
        if (text[0] == '\0' && !type->empty)
                return fail_value(value, "is empty");
        if (strlen(text) > max)
                return fail_value(value, "is too long");
        if (text_has_controls(text, strlen(text)))
                return config_value_fail(
                        value, "holds a line break, a tab or another control character; write it on one line");
        if ((type->letters && text[strspn(text, type->letters)] != '\0') ||
                (type->without && strpbrk(text, type->without)))
                return fail_value(value, type->wrong);
        r = type->text ? type->text(text, &problem) : 0;
        return r == -EBADMSG ? fail_value(value, problem.text) : r; /* -ENOMEM is not about the value */
}

static int read_text(const ConfigValue *value, char **place) {
        const ConfigType *type = value->row->type;
        const char *text = value->node->text;
        int r;

        r = check_text(value, value->row->max);
        if (r < 0)
                return r;

        if (!type->beside || text[0] == '/')
                *place = strdup(text);
        else
                (void) text_format(place, "%s/%s", value->place->reader->directory, text);
        if (!*place)
                return -ENOMEM;
        if (type->tidy)
                type->tidy(*place);
        return 0;
}

/* Returns the values of a list, or a single value if the row allows it. */
static int list_nodes(const ConfigValue *value, bool one, YamlNode *const **ret, size_t *ret_n) {
        if (one && value_is_scalar(value)) {
                *ret = (YamlNode *const *) &value->node;
                *ret_n = 1;
                return 0;
        }
        if (value->node->type != YAML_SEQUENCE)
                return config_value_fail_kind(value);
        *ret = value->node->children;
        *ret_n = value->node->n_children;
        return 0;
}

int config_value_count(const ConfigValue *value) {
        const size_t n = value->node->n_children;
        const ConfigRow *row = value->row;

        if (n >= row->min && n <= row->max)
                return 0;
        return config_value_fail(value, "has %zu entries; allowed: %" PRIu64 " to %" PRIu64, n, row->min, row->max);
}

/* Like list_nodes(), and checks that the row allows their number. */
static int counted_nodes(const ConfigValue *value, YamlNode *const **ret, size_t *ret_n) {
        int r = list_nodes(value, value->row->flags & CONFIG_ONE, ret, ret_n);

        return r < 0 || value->node->type == YAML_SCALAR ? r : config_value_count(value);
}

static int read_texts(const ConfigValue *value, YamlNode *const *nodes, size_t n, char ***place) {
        char **texts;

        *place = texts = calloc(n + 1, sizeof(char *));
        if (!texts)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                const ConfigValue entry = { value->place, value->row, nodes[i] };
                int r;

                r = check_text(&entry, TEXT_ENTRY_MAX);
                if (r < 0)
                        return r;
                for (size_t j = 0; value->row->flags & CONFIG_UNIQUE && j < i; j++)
                        if (strcmp(texts[j], entry.node->text) == 0)
                                return config_value_fail(&entry, "\"%s\" is there twice; each name once", texts[j]);
                texts[i] = strdup(entry.node->text);
                if (!texts[i])
                        return -ENOMEM;
        }

        return 0;
}

static int read_text_list(const ConfigValue *value, char ***place) {
        YamlNode *const *nodes;
        size_t n;
        int r = counted_nodes(value, &nodes, &n);

        return r < 0 ? r : read_texts(value, nodes, n, place);
}

static int read_secrets(const ConfigValue *value, ConfigSecrets *place) {
        YamlNode *const *nodes;
        size_t n;
        int r = counted_nodes(value, &nodes, &n);

        if (r < 0)
                return r;
        place->items = calloc(n + 1, sizeof(ConfigSecret));
        if (!place->items)
                return -ENOMEM;

        for (; place->n < n; place->n++) {
                const ConfigRow row = { value->row->key, value->row->type, .max = TEXT_ENTRY_MAX };

                r = read_text(&(ConfigValue){ value->place, &row, nodes[place->n] }, &place->items[place->n].file);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* ---- maps ---- */

/* A name that does not look like one may be part of a secret. */
static bool name_is_harmless(const char *name) {
        return strlen(name) <= VALUE_SHOWN_MAX && !strpbrk(name, "@:?=/ ");
}

static int check_name(const ConfigValue *map, const YamlNode *node) {
        /* An error about a name is at the name, not at its value. */
        const YamlNode name = { .type = YAML_SCALAR, .line = node->key_line, .column = node->key_column };
        const ConfigValue value = { map->place, map->row, &name };
        const ConfigType *type = map->row->type;
        ConfigProblem problem = { "is too long" };

        if (strlen(node->key) <= NAME_ENTRY_MAX && (!type->inside || type->inside(node->key, &problem) == 0) &&
                !text_has_controls(node->key, strlen(node->key)))
                return 0;
        return config_value_fail(
                &value, "the name %.60s %s", name_is_harmless(node->key) ? node->key : "in this line", problem.text);
}

static int read_pair(const ConfigValue *map, const YamlNode *node, ConfigPair *pair) {
        const ConfigValue value = { map->place, map->row, node };
        YamlNode *const *nodes = (YamlNode *const *) &node;
        size_t n = 1;
        int r;

        r = check_name(map, node);
        if (r < 0)
                return r;
        pair->name = strdup(node->key);
        if (!pair->name)
                return -ENOMEM;
        r = map->row->flags & CONFIG_MANY ? list_nodes(&value, true, &nodes, &n) : 0;
        if (r < 0)
                return r;
        if (n == 0) /* a program that makes this file from a table may leave it empty */
                r = config_place_warn(map->place, map->row->key,
                        "%.60s: is an empty list, so nothing is ever one of it; leave the line out",
                        name_is_harmless(node->key) ? node->key : "a name");
        return r < 0 ? r : read_texts(&value, nodes, n, &pair->values);
}

static int read_map(const ConfigValue *value, ConfigMap *place) {
        size_t n = value->node->n_children;
        int r;

        if (value->node->type != YAML_MAPPING)
                return config_value_fail_kind(value);
        r = config_value_count(value);
        if (r < 0)
                return r;
        place->items = calloc(n + 1, sizeof(ConfigPair));
        if (!place->items)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                place->n = i + 1; /* so that what was read of the pair is freed with the rest */
                r = read_pair(value, value->node->children[i], &place->items[i]);
                if (r < 0)
                        return r;
        }

        return 0;
}

int config_value_read(const ConfigValue *value, void *place) {
        switch (value->row->type->storage) {
        case CONFIG_TEXTS:
                return read_text_list(value, place);
        case CONFIG_TEXT:
                return read_text(value, place);
        case CONFIG_SECRET:
                return read_text(value, &((ConfigSecret *) place)->file);
        case CONFIG_SECRETS:
                return read_secrets(value, place);
        case CONFIG_MAP:
                return read_map(value, place);
        default:
                return read_number(value, place);
        }
}
