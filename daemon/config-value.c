/* SPDX-License-Identifier: Apache-2.0 */
#include "config-value.h"

#include <stdarg.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_SHOWN_MAX 60
#define NAME_ENTRY_MAX 255

/* ---- one value ---- */

int config_value_fail(const ConfigValue *value, const char *format, ...) {
        va_list list;
        int r;

        va_start(list, format);
        r = config_place_note(value->place, value->row->key, value->node, format, list);
        va_end(list);
        return r;
}

const char *config_value_allowed(const ConfigRow *row, char *buffer, size_t size) {
        return row->type->format ? config_table_range(row, buffer, size) : row->type->allowed;
}

/* The value as it may be shown: quoted when it is short and can hold no secret. */
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

int config_value_fail_kind(const ConfigValue *value) {
        static const char *const kinds[] = {
                [YAML_SCALAR] = "a single value", [YAML_MAPPING] = "a section", [YAML_SEQUENCE] = "a list"
        };
        char range[60];

        return config_value_fail(value, "is %s; allowed: %s",
                yaml_is_null(value->node) ? "empty" : kinds[value->node->type],
                config_value_allowed(value->row, range, sizeof(range)));
}

static bool value_is_scalar(const ConfigValue *value) {
        return value->node->type == YAML_SCALAR && !yaml_is_null(value->node);
}

static int read_number(const ConfigValue *value, void *place) {
        const ConfigRow *row = value->row;
        ConfigProblem problem;
        uint64_t number;
        int r;

        if (!value_is_scalar(value))
                return config_value_fail_kind(value);
        if (row->type->plain && !value->node->plain)
                return fail_value(value, "is in quotes, which makes it a text");
        r = row->type->number(value->node->text, &number, &problem);
        if (r < 0)
                return fail_value(value, problem.text);
        if (row->type->format && (number < row->min || number > row->max))
                return fail_value(value, "is out of range");

        if (row->type->storage == CONFIG_NUMBER)
                *(uint64_t *) place = number;
        else if (row->type->storage == CONFIG_UNSIGNED)
                *(unsigned *) place = (unsigned) number;
        else
                *(int *) place = (int) number;
        return 0;
}

static bool text_has_controls(const char *text) {
        for (; *text != '\0'; text++)
                if ((unsigned char) *text < ' ' || *text == 0x7f)
                        return true;

        return false;
}

static int check_text(const ConfigValue *value, uint64_t max) {
        ConfigProblem problem;

        if (!value_is_scalar(value))
                return config_value_fail_kind(value);
        if (value->node->text[0] == '\0')
                return fail_value(value, "is empty");
        if (strlen(value->node->text) > max)
                return fail_value(value, "is too long");
        if (text_has_controls(value->node->text))
                return config_value_fail(
                        value, "holds a line break, a tab or another control character; write it on one line");
        if (value->row->type->text && value->row->type->text(value->node->text, &problem) < 0)
                return fail_value(value, problem.text);
        return 0;
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
        else if (asprintf(place, "%s/%s", value->place->reader->directory, text) < 0)
                *place = NULL;
        if (!*place)
                return -ENOMEM;
        if (type->tidy)
                type->tidy(*place);
        return 0;
}

static int read_texts(const ConfigValue *value, char ***place) {
        size_t n = value->node->n_children;
        char **texts;

        if (value->node->type != YAML_SEQUENCE)
                return config_value_fail_kind(value);
        if (n > value->row->max)
                return config_value_fail(value, "has %zu entries; allowed: at most %" PRIu64, n, value->row->max);

        *place = texts = calloc(n + 1, sizeof(char *));
        if (!texts)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                const ConfigValue entry = { value->place, value->row, value->node->children[i] };
                int r;

                r = check_text(&entry, NAME_ENTRY_MAX);
                if (r < 0)
                        return r;
                for (size_t j = 0; j < i; j++)
                        if (strcmp(texts[j], entry.node->text) == 0)
                                return config_value_fail(&entry, "\"%s\" is there twice; each name once", texts[j]);
                texts[i] = strdup(entry.node->text);
                if (!texts[i])
                        return -ENOMEM;
        }

        return 0;
}

int config_value_read(const ConfigValue *value, void *place) {
        switch (value->row->type->storage) {
        case CONFIG_TEXTS:
                return read_texts(value, place);
        case CONFIG_TEXT:
                return read_text(value, place);
        case CONFIG_SECRET:
                return read_text(value, &((ConfigSecret *) place)->file);
        default:
                return read_number(value, place);
        }
}
