/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration keys of `reading:`. */
#include <string.h>

#include "config-place.h"
#include "lib/pointer.h"
#include "lib/text.h"
#include "match.h"
#include "publish/shape.h"

#define TEXT_MAX 1024
#define ENTRIES_MAX 100
#define FIELD(field) offsetof(ShapeConfig, field)

/* ---- kinds of values ---- */

static int pointer_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] == '/' && pointer_is_valid(text))
                return 0;
        return config_problem_set(ret_problem,
                "is not a JSON pointer: /a/b, with ~1 for a slash and ~0 for ~ in a name, "
                "and at most two steps that are *");
}

static int word_check(const char *text, ConfigProblem *ret_problem) {
        return text[0] == '/' ? pointer_check(text, ret_problem) : 0;
}

static int thousands_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] != '\0' && text[1] == '\0' && strchr(",'_ ", text[0]))
                return 0;
        return config_problem_set(ret_problem, "is not a character between groups of three digits");
}

#define POINTER_WORDS "a JSON pointer, as /a/b"

static const ConfigType type_pointer = { "JSON pointer", POINTER_WORDS, CONFIG_TEXT, .text = pointer_check };
static const ConfigType type_pointers = { "JSON pointers", "a JSON pointer, as /a/b, or a list of them", CONFIG_TEXTS,
        .text = pointer_check };
static const ConfigType type_word = { "JSON pointer or text", "a JSON pointer, as /a/b, or a text", CONFIG_TEXT,
        .text = word_check };
static const ConfigType type_fields = { "map of JSON pointers", "NAME: /POINTER lines, indented", CONFIG_MAP,
        .text = pointer_check };
static const ConfigType type_thousands = { "character", "one of , ' _ and a space, in quotes", CONFIG_TEXT,
        .text = thousands_check };
static const ConfigType type_time_format = { "rfc3339, unix, unix_ms or local", NULL, CONFIG_INT,
        .words = (const char *const[]){ "rfc3339", "unix", "unix_ms", "local", NULL } };
static const ConfigType type_once_per = { "arrival or measurement", NULL, CONFIG_INT,
        .words = (const char *const[]){ "arrival", "measurement", NULL } };

/* ---- rows ---- */

/* clang-format off */
static const ConfigRow rows[] = {
        { "items", &type_pointers, FIELD(items), 1, ENTRIES_MAX, .derived = "the whole", .flags = CONFIG_ONE,
                .doc = "Where the items are. Each item becomes a reading. A list stands for its elements, and a step * for every element or member." },
        { "where", &match_where_type, FIELD(where), 0, ENTRIES_MAX, .derived = "every item", .flags = CONFIG_MANY,
                .doc = "Only items in which the given member or JSON pointer has the given value, or one of several." },
        { "id", &type_word, FIELD(id), 1, TEXT_MAX, .derived = "of the topic, else the source's name",
                .doc = "Stable id of the device: its place in the item, or the id itself. * is what the last * of items matched." },
        { "name", &type_word, FIELD(name), 1, TEXT_MAX, .derived = "of the topic, else none",
                .doc = "Name of the device: its place in the item, or the name itself." },
        { "names", &config_type_map, FIELD(names), 0, 1000,
                .doc = "Names of devices by id, which take precedence over name." },
        { "time", &type_pointer, FIELD(time), 1, TEXT_MAX, .derived = "none: the time of arrival",
                .doc = "Where the time of the measurement is." },
        { "time_format", &type_time_format, FIELD(time_format), .fallback = "rfc3339",
                .doc = "Format of the time: with an offset, in seconds or milliseconds since 1970, or in this machine's zone." },
        { "once_per", &type_once_per, FIELD(once_per), .fallback = "arrival",
                .doc = "measurement: a point that is fetched twice is one reading. It needs time." },
        { "fields", &type_fields, FIELD(fields), 0, ENTRIES_MAX, .derived = "the item as it is",
                .doc = "Members of a reading, and where each is in the item. Members without a value are left out." },
        { "numbers", &config_type_names, FIELD(numbers), 0, ENTRIES_MAX, .flags = CONFIG_ONE,
                .doc = "Members whose text becomes a number; * is every text that is a number." },
        { "thousands", &type_thousands, FIELD(thousands), 1, 1,
                .doc = "Thousands separator in numbers." },
        { "missing", &config_type_texts, FIELD(missing), 0, ENTRIES_MAX,
                .derived = "unavailable, unknown, nan, NaN, Infinity, -Infinity, inf, null",
                .doc = "Texts that stand for no value. A member with one of them is left out." },
        {},
};
/* clang-format on */

static int shape_rule(const ConfigPlace *place, void *self, void *around) {
        const ShapeConfig *config = self;
        int r = 0;

        if (!config->time && config->once_per == SHAPE_MEASUREMENT)
                return config_place_fail(place, "once_per", "measurement needs time, which says where its time stands");
        if (!config->time && yaml_get(place->node, "time_format"))
                return config_place_fail(place, "time_format", "says how time is written, and there is no time");
        if (config->thousands && !config->numbers)
                return config_place_fail(place, "thousands", "says how numbers are written, and there are no numbers");
        if (text_is_among("/", (const char *const *) config->items))
                r = config_place_warn(place, "items",
                        "/ is the member whose name is empty, which hardly anything has; leave items out for the "
                        "whole");
        return r < 0 ? r : match_warn(place, "where");
}

const ConfigSection shape_section = {
        .shared = "reading", .rows = rows, .size = sizeof(ShapeConfig), .rule = shape_rule
};

const ShapeConfig *shape_of(const ConfigSection *section, const void *keys) {
        for (const ConfigRow *row = section->rows; row->key; row++)
                if (row->section == &shape_section)
                        return (const ShapeConfig *) ((const char *) keys + row->offset);
        return NULL;
}
