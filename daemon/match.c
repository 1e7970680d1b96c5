/* SPDX-License-Identifier: Apache-2.0 */
#include "match.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "config-place.h"
#include "lib/json.h"
#include "lib/pointer.h"

#define NUMBER_SIZE_MAX 400                  /* a longer text is not compared as a number */
#define EXACT_INTEGER_MAX 9007199254740992.0 /* 2^53: above this, several integers have the same double */

static int place_check(const char *text, ConfigProblem *ret_problem) {
        if (text[0] != '/')
                return 0;
        if (!pointer_is_valid(text))
                return config_problem_set(
                        ret_problem, "is not a JSON pointer: /a/b, with ~1 for a slash and ~0 for ~ in a name");
        return pointer_count_stars(text) == 0
                       ? 0
                       : config_problem_set(ret_problem, "has a step *, which stands for many places");
}

const ConfigType match_place_type = { "JSON pointer or member", "a JSON pointer, as /a/b, or the name of a member",
        CONFIG_TEXT, .text = place_check };
const ConfigType match_where_type = { "map of texts", "MEMBER: TEXT lines, or MEMBER: [TEXT, TEXT], indented",
        CONFIG_MAP, .inside = place_check, .empty = true };

/* ---- words ---- */

/* Many devices send ON and OFF in capitals. */
static bool is_word(const YamlNode *node) {
        static const char *const words[] = { "True", "TRUE", "False", "FALSE", "yes", "Yes", "no", "No", "on", "On",
                "off", "Off", NULL };

        for (size_t i = 0; node->type == YAML_SCALAR && node->plain && words[i]; i++)
                if (strcmp(node->text, words[i]) == 0)
                        return true;
        return false;
}

/* Returns the first such word of a value or a list of values; NULL: none. */
static const char *find_word(const YamlNode *node) {
        if (is_word(node))
                return node->text;
        for (size_t i = 0; node->type == YAML_SEQUENCE && i < node->n_children; i++)
                if (is_word(node->children[i]))
                        return node->children[i]->text;
        return NULL;
}

static int warn_word(const ConfigPlace *place, const char *key, const char *member, const char *word) {
        if (!word)
                return 0;
        return config_place_warn(place, key,
                "%s%s%s is a text here, and no message that says true or false has it: write true or false. If the "
                "device sends that very word, put it in quotes",
                member, member[0] ? ": " : "", word);
}

/* Other programs write dots between the steps of a place. Names such as `1.8.0` (meters) are meant as they are. */
static int warn_dots(const ConfigPlace *place, const char *key, const char *member) {
        if (!strchr(member, '.') || (member[0] != '.' && !isalpha((unsigned char) member[0])))
                return 0;
        return config_place_warn(place, key,
                "%s is one member, with a dot in its name. Write a place as /a/b, and that member as /%s", member,
                member);
}

int match_warn_place(const ConfigPlace *place, const char *key) {
        const YamlNode *node = yaml_get(place->node, key);

        return node && node->type == YAML_SCALAR ? warn_dots(place, key, node->text) : 0;
}

int match_warn(const ConfigPlace *place, const char *key) {
        const YamlNode *node = yaml_get(place->node, key);
        int r = 0;

        if (!node || node->type != YAML_MAPPING)
                return node ? warn_word(place, key, "", find_word(node)) : 0;
        for (size_t i = 0; r == 0 && i < node->n_children; i++) {
                r = warn_dots(place, key, node->children[i]->key);
                if (r == 0)
                        r = warn_word(place, key, node->children[i]->key, find_word(node->children[i]));
        }
        return r;
}

/* ---- matching ---- */

/* Finds a member by its name, without building a pointer. */
static bool find_member(Slice object, const char *name, Slice *ret) {
        JsonReader r;

        json_reader_init(&r, object.data, object.size, JSON_READER_DEPTH);
        if (json_reader_next(&r) != JSON_OBJECT)
                return false;
        while (json_reader_next(&r) == JSON_KEY) {
                bool found = json_reader_equal(&r, name);

                if (json_reader_skip(&r, ret) < 0)
                        return false;
                if (found)
                        return true;
        }
        return false;
}

bool match_find(Slice object, const char *place, Slice *ret) {
        return place[0] == '/' ? pointer_find(object, place, ret) : find_member(object, place, ret);
}

int match_text(Slice value, Bytes *text) {
        size_t size = 0;
        int r;

        bytes_cut(text, 0);
        if (value.size == 0 || value.data[0] == '{' || value.data[0] == '[')
                return 0;
        r = bytes_append(text, value.data, value.size);
        if (r < 0)
                return r;
        if (value.data[0] != '"')
                return 1;
        if (json_unescape((Slice){ value.data + 1, value.size - 2 }, text->data, &size) < 0)
                return 0;
        text->size = size;
        text->data[size] = '\0';
        return 1;
}

/* True if the whole *text* is a JSON number that a double represents exactly enough. Larger integers are mostly ids of
 * devices; they are compared by their digits. */
static bool text_is_number(const char *text, size_t size, double *ret) {
        JsonReader r;

        json_reader_init(&r, text, size, 1);
        if (json_reader_next(&r) != JSON_NUMBER || json_reader_next(&r) != JSON_END)
                return false;
        *ret = strtod(text, NULL);
        return !r.integer || fabs(*ret) < EXACT_INTEGER_MAX;
}

/* Allocates nothing: a lack of memory would look like a condition that is not true. */
bool match_value(char *const *values, Slice value) {
        char text[NUMBER_SIZE_MAX + 1];
        double number, wanted;
        bool is_number = false, is_string;
        JsonReader r;

        if (value.size == 0 || value.data[0] == '{' || value.data[0] == '[')
                return false;
        json_reader_init(&r, value.data, value.size, 1);
        is_string = json_reader_next(&r) == JSON_STRING;
        if (!is_string && value.size < sizeof(text)) {
                *(char *) mempcpy(text, value.data, value.size) = '\0';
                is_number = text_is_number(text, value.size, &number);
        }
        for (char *const *v = values; *v; v++) {
                if (is_number && text_is_number(*v, strlen(*v), &wanted) && number == wanted)
                        return true;
                if (is_string ? json_reader_equal(&r, *v) : slice_equal(value, *v))
                        return true;
        }
        return false;
}

bool match_has(const ConfigMap *where, const char *name, const char *text) {
        for (size_t i = 0; i < where->n; i++)
                for (char **v = where->items[i].values; strcmp(where->items[i].name, name) == 0 && *v; v++)
                        if (strcmp(*v, text) == 0)
                                return true;
        return false;
}

bool match_test(const ConfigMap *where, Slice object) {
        Slice value;

        for (size_t i = 0; i < where->n; i++)
                if (!match_find(object, where->items[i].name, &value) || !match_value(where->items[i].values, value))
                        return false;
        return true;
}
