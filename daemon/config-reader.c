/* SPDX-License-Identifier: Apache-2.0 */
/* From the tree of the YAML file to the structs, by their rows: values, then lists, then sections. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config-place.h"
#include "lib/text.h"

#define VALUE_SHOWN_MAX 60
#define KEY_SHOWN_MAX 40
#define NAME_ENTRY_MAX 255
#define TEXT_ENTRY_MAX 1024
#define KEYS_MAX 64
#define RANGE_SIZE 60

typedef struct Value {
        const ConfigPlace *place; /* the section that contains it */
        const ConfigRow *row;
        const YamlNode *node;
} Value;

/* ---- errors about a value ---- */

#define fail_at(place, key, node, ...) config_place_tell(place, (place)->reader->errors, key, node, __VA_ARGS__)
#define fail(value, ...) fail_at((value)->place, (value)->row->key, (value)->node, __VA_ARGS__)

/* An error about a key or a name is at that, not at its value. */
static YamlNode at_key(const YamlNode *node) {
        return (YamlNode){ .type = YAML_SCALAR, .line = node->key_line, .column = node->key_column };
}

/* Describes the allowed values. Returns *buffer*, or a constant text. */
static const char *allowed_of(const ConfigRow *row, char buffer[static RANGE_SIZE]) {
        return row->type->format ? config_table_range(row, buffer, RANGE_SIZE) : row->type->allowed ?: row->type->name;
}

/* Quotes the value if it is short and cannot contain a secret. */
static int fail_value(const Value *value, const char *problem) {
        const char *text = value->node->text;
        bool secret = value->row->type->private || strpbrk(text, "@?") || strlen(text) > VALUE_SHOWN_MAX;
        const char *quote = secret ? "" : "\"";
        char range[RANGE_SIZE];

        return fail(value, "%s%s%s %s; allowed: %s", quote, secret ? "the value" : text, quote, problem,
                allowed_of(value->row, range));
}

/* True if a # follows the colon: for YAML the rest is a comment, which is rarely meant. */
static bool is_comment(const Value *value) {
        Slice rest = value->place->reader->text, line = {};
        unsigned n = value->node->key_line; /* 0: it has no key */

        while (n > 0 && slice_next(&rest, '\n', &line))
                n--;
        return n == 0 && line.size > 0 && memmem(line.data, line.size, ": #", 3);
}

static bool has_defaults(const ConfigSection *section) {
        const ConfigRow *row = section->rows;

        while (row->key && !(row->flags & CONFIG_REQUIRED))
                row++;
        return !row->key;
}

/* Says "is a list; allowed: ...". */
static int fail_kind(const Value *value) {
        static const char *const kinds[] = {
                [YAML_SCALAR] = "a single value", [YAML_MAPPING] = "a section", [YAML_SEQUENCE] = "a list"
        };
        const ConfigType *type = value->row->type;
        bool text = type->storage == CONFIG_TEXT || type->storage == CONFIG_MAP, empty = yaml_is_null(value->node);
        const char *hint = "";
        char range[RANGE_SIZE];

        if (empty && is_comment(value))
                hint = "; a value that begins with # must be in quotes";
        else if (empty && value->row->flags & (CONFIG_IMPLIED | CONFIG_POINTER) && has_defaults(value->row->section))
                hint = "; write {} for its defaults";
        else if (!empty && text && value->node->type != YAML_SCALAR)
                hint = "; if it is text, put it in single quotes";
        return fail(value, "is %s; allowed: %s%s", empty ? "empty" : kinds[value->node->type],
                allowed_of(value->row, range), hint);
}

static bool is_scalar(const YamlNode *node) {
        return node->type == YAML_SCALAR && !yaml_is_null(node);
}

/* Checks the number of entries. */
static int check_count(const Value *value) {
        const size_t n = value->node->n_children;
        const ConfigRow *row = value->row;

        if (n >= row->min && n <= row->max)
                return 0;
        return fail(value, "has %zu entries; allowed: %" PRIu64 " to %" PRIu64, n, row->min, row->max);
}

/* ---- numbers ---- */

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

static int read_word(const Value *value, void *place) {
        const ConfigType *type = value->row->type;

        for (size_t i = 0; type->words[i]; i++)
                if (strcmp(type->words[i], value->node->text) == 0) {
                        store_number(type, (uint64_t) type->first + i, place);
                        return 0;
                }

        return fail_value(value, "is not allowed");
}

static int read_number(const Value *value, void *place) {
        const ConfigRow *row = value->row;
        const ConfigType *type = row->type;
        ConfigProblem problem;
        uint64_t number;
        int r;

        if (!is_scalar(value->node))
                return fail_kind(value);
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
        if (type->format && (number < row->min || number > row->max))
                return fail_value(value, "is out of range");
        store_number(type, number, place);
        return 0;
}

/* ---- texts ---- */

static int check_text(const Value *value, uint64_t max) {
        const ConfigType *type = value->row->type;
        const char *text = value->node->text;
        ConfigProblem problem;
        int r;

        if (!is_scalar(value->node))
                return fail_kind(value);
        if (text[0] == '\0' && !type->empty)
                return fail_value(value, "is empty");
        if (strlen(text) > max)
                return fail_value(value, "is too long");
        if (text_has_controls(text, strlen(text)))
                return fail(value, "holds a line break, a tab or another control character; write it on one line");
        if ((type->letters && text[strspn(text, type->letters)] != '\0') ||
                (type->without && strpbrk(text, type->without)))
                return fail_value(value, type->wrong);
        r = type->text ? type->text(text, &problem) : 0;
        return r == -EBADMSG ? fail_value(value, problem.text) : r; /* -ENOMEM is not about the value */
}

static int read_text(const Value *value, uint64_t max, char **place) {
        const ConfigType *type = value->row->type;
        const char *text = value->node->text;
        int r;

        r = check_text(value, max);
        if (r == 0 && type->file)
                r = config_place_path(value->place, value->row->key, text);
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

/* Returns the values of a list, or a single value if the row allows it, or *one*. */
static int list_nodes(const Value *value, bool one, YamlNode *const **ret, size_t *ret_n) {
        if (one && is_scalar(value->node)) {
                *ret = (YamlNode *const *) &value->node;
                *ret_n = 1;
                return 0;
        }
        if (value->node->type != YAML_SEQUENCE)
                return fail_kind(value);
        *ret = value->node->children;
        *ret_n = value->node->n_children;
        return 0;
}

/* Like list_nodes(), and checks that the row allows their number. */
static int counted_nodes(const Value *value, YamlNode *const **ret, size_t *ret_n) {
        int r = list_nodes(value, value->row->flags & CONFIG_ONE, ret, ret_n);

        return r < 0 || value->node->type == YAML_SCALAR ? r : check_count(value);
}

static int read_texts(const Value *value, YamlNode *const *nodes, size_t n, char ***place) {
        char **texts;

        *place = texts = calloc(n + 1, sizeof(char *));
        if (!texts)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                const Value entry = { value->place, value->row, nodes[i] };
                int r;

                r = read_text(&entry, TEXT_ENTRY_MAX, &texts[i]);
                if (r < 0)
                        return r;
                for (size_t j = 0; value->row->flags & CONFIG_UNIQUE && j < i; j++)
                        if (strcmp(texts[j], texts[i]) == 0)
                                return fail(&entry, "\"%s\" is there twice; each name once", texts[j]);
        }

        return 0;
}

static int read_text_list(const Value *value, char ***place) {
        YamlNode *const *nodes;
        size_t n;
        int r = counted_nodes(value, &nodes, &n);

        return r < 0 ? r : read_texts(value, nodes, n, place);
}

static int read_secrets(const Value *value, ConfigSecrets *place) {
        YamlNode *const *nodes;
        size_t n;
        int r = counted_nodes(value, &nodes, &n);

        if (r < 0)
                return r;
        place->items = calloc(n + 1, sizeof(ConfigSecret));
        if (!place->items)
                return -ENOMEM;

        for (; r == 0 && place->n < n; place->n++)
                r = read_text(&(Value){ value->place, value->row, nodes[place->n] }, TEXT_ENTRY_MAX,
                        &place->items[place->n].file);
        return r;
}

/* ---- maps ---- */

/* A name that does not look like one may be part of a secret. */
static bool name_is_harmless(const char *name) {
        return strlen(name) <= VALUE_SHOWN_MAX && !strpbrk(name, "@:?=/ ");
}

static int check_name(const Value *map, const YamlNode *node) {
        const ConfigType *type = map->row->type;
        ConfigProblem problem = { "is too long" };
        const YamlNode at = at_key(node);

        if (strlen(node->key) <= NAME_ENTRY_MAX && (!type->inside || type->inside(node->key, &problem) == 0) &&
                !text_has_controls(node->key, strlen(node->key)))
                return 0;
        return fail_at(map->place, map->row->key, &at, "the name %.60s %s",
                name_is_harmless(node->key) ? node->key : "in this line", problem.text);
}

static int read_pair(const Value *map, const YamlNode *node, ConfigPair *pair) {
        const Value value = { map->place, map->row, node };
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
                        "%.60s: is an empty list, which nothing ever matches; leave the line out",
                        name_is_harmless(node->key) ? node->key : "a name");
        return r < 0 ? r : read_texts(&value, nodes, n, &pair->values);
}

static int read_map(const Value *value, ConfigMap *place) {
        size_t n = value->node->n_children;
        int r;

        if (value->node->type != YAML_MAPPING)
                return fail_kind(value);
        r = check_count(value);
        if (r < 0)
                return r;
        place->items = calloc(n + 1, sizeof(ConfigPair));
        if (!place->items)
                return -ENOMEM;

        for (; r == 0 && place->n < n; place->n++) /* what was read of a pair is freed with the rest */
                r = read_pair(value, value->node->children[place->n], &place->items[place->n]);
        return r;
}

/* ---- lists of sections, and sections inside ---- */

static int read_section(const ConfigPlace *place, const ConfigSection *section, void *base, void *around);

/* Returns the worse of two results: -ENOMEM ends the reading; -EBADMSG does not, so that all errors are reported at
 * once. */
static int worse(int a, int b) {
        return b < 0 && a != -ENOMEM ? b : a;
}

/* Checks CONFIG_UNIQUE for an entry whose keys are all valid. */
static int check_unique(const Value *list, const ConfigPlace *entry) {
        for (const ConfigRow *row = list->row->section->rows; row->key; row++) {
                const YamlNode *text = row->flags & CONFIG_UNIQUE ? yaml_get(entry->node, row->key) : NULL;

                for (YamlNode *const *child = list->node->children; text && *child != entry->node; child++) {
                        const YamlNode *other = yaml_get(*child, row->key);

                        if (other && other->type == YAML_SCALAR && strcmp(other->text, text->text) == 0)
                                return config_place_fail(entry, row->key,
                                        "\"%s\" is already the %s of the entry in line %u; each may be used once",
                                        text->text, row->key, (*child)->line);
                }
        }

        return 0;
}

static int read_entry(const Value *list, const YamlNode *node, void *base) {
        const ConfigPlace place = { list->place->reader, list->place, list->row->key, true, node };
        int r;

        if (node->type != YAML_MAPPING)
                return config_place_fail(&place, NULL,
                        "an entry is not a section; allowed: KEY: VALUE lines, the first behind the dash");
        r = read_section(&place, list->row->section, base, NULL);
        return r < 0 ? r : check_unique(list, &place);
}

static int read_list(const Value *value, char **items, size_t *count) {
        const size_t n = value->node->n_children, size = value->row->section->size;
        int result;

        if (value->node->type != YAML_SEQUENCE)
                return fail_kind(value);
        result = check_count(value);
        if (result < 0)
                return result;
        *items = calloc(n, size);
        if (!*items)
                return -ENOMEM;

        for (; result != -ENOMEM && *count < n; ++*count) /* what was read of an entry is freed with the rest */
                result = worse(result, read_entry(value, value->node->children[*count], *items + *count * size));
        return result;
}

/* Reads a section that is inside the section at *base*. */
static int read_inner(const Value *value, void *base, void *place) {
        const ConfigSection *section = value->row->section;
        const ConfigPlace below = { value->place->reader, value->place, value->row->key, .node = value->node };

        if (value->node->type != YAML_MAPPING)
                return fail_kind(value);
        if (value->row->flags & CONFIG_POINTER) {
                void *own = calloc(1, section->size);

                if (!own)
                        return -ENOMEM;
                *(void **) place = own;
                place = own;
        }
        return read_section(&below, section, place, base);
}

static int read_value(const Value *value, char *base) {
        const ConfigRow *row = value->row;
        void *place = base + row->offset;

        switch (row->type->storage) {
        case CONFIG_SECTION:
                return read_inner(value, base, place);
        case CONFIG_LIST:
                return read_list(value, place, (size_t *) (base + row->count));
        case CONFIG_VARIANT:
                return 0;
        case CONFIG_TEXTS:
                return read_text_list(value, place);
        case CONFIG_TEXT:
                return read_text(value, row->max, place);
        case CONFIG_SECRET:
                return read_text(value, row->max, &((ConfigSecret *) place)->file);
        case CONFIG_SECRETS:
                return read_secrets(value, place);
        case CONFIG_MAP:
                return read_map(value, place);
        default:
                return read_number(value, place);
        }
}

/* ---- keys and types that there are ---- */

/* Words for a message; what does not fit is left out. */
typedef struct Words {
        const char *all[KEYS_MAX + 1]; /* NULL at the end */
        size_t n;
} Words;

/* A section that is being read. */
typedef struct Section {
        const ConfigPlace *place;
        const ConfigSection *section;
        const ConfigSection *variant; /* NULL: the section has no variants, or none was found */
        Words meant;                  /* the keys that errors about unknown ones suggest */
} Section;

static const ConfigSection *variant_at(const Section *s, size_t index) {
        const ConfigVariants *variants = s->section->variants;

        return variants ? variants->at(s->place->reader->types, index) : NULL;
}

static bool is_beside(const Section *s) {
        return s->section->variants && !s->section->variants->nested;
}

static void add_word(Words *words, const char *word) {
        if (words->n < KEYS_MAX)
                words->all[words->n++] = word;
}

static void add_keys(Words *words, const ConfigSection *section) {
        for (const ConfigRow *row = section->rows; row->key; row++)
                add_word(words, row->key);
}

/* Adds the section's types, or only those that have the key. */
static void add_types(Words *words, const Section *s, const char *key) {
        const ConfigSection *variant;

        for (size_t i = 0; (variant = variant_at(s, i)); i++)
                if (!key || config_table_find(variant, key))
                        add_word(words, variant->name);
}

/* ---- keys that are not known ---- */

/* A key that does not look like a key may be part of a secret. */
static bool key_is_harmless(const char *key) {
        return key[0] != '\0' && strlen(key) <= KEY_SHOWN_MAX && key[strspn(key, CONFIG_LETTERS "_-")] == '\0';
}

/* "project:my-project" in curly brackets is one word in YAML. */
static bool is_glued(const ConfigReader *reader, const char *key) {
        size_t size = strcspn(key, ":");
        char word[48] = "";

        if (key[size] == ':' && size < sizeof(word))
                *(char *) mempcpy(word, key, size) = '\0';
        return word[0] != '\0' && config_table_search(reader->root, reader->types, word, NULL) > 0;
}

static int fail_unknown(Section *s, const YamlNode *node, const Words *keys, const Words *owners) {
        const ConfigReader *reader = s->place->reader;
        const YamlNode at = at_key(node);
        const char *nearest = config_table_nearest(node->key, keys->all);
        bool shown = key_is_harmless(node->key) && (nearest || !s->section->private);
        const char *key = shown ? node->key : "", *who = shown ? "is" : "a key is";
        _cleanup_bytes_ Bytes words = {}, types = {};
        char path[CONFIG_PATH_MAX];

        if (is_glued(reader, node->key))
                return fail_at(s->place, key, &at, "there is no space after the colon: write KEY: VALUE");
        if (config_words(&words, keys->all, ", ") < 0 || config_words(&types, owners->all, ", ") < 0)
                return -ENOMEM;
        if (owners->n > 0)
                return fail_at(s->place, key, &at, "is for type %s only; allowed for type %s: %s", types.data,
                        s->variant->name, words.data);
        if (nearest && !text_is_among(nearest, s->meant.all))
                add_word(&s->meant, nearest);
        if (config_table_search(reader->root, reader->types, node->key, path) == 1)
                return fail_at(s->place, key, &at, "%s not known here, only as %s%s%s%s: %s", who, path,
                        nearest ? "; did you mean " : "", nearest ?: "", nearest ? "? Allowed" : "; allowed",
                        words.data);
        if (!nearest)
                return fail_at(s->place, key, &at, "%s not known; allowed: %s", who, words.data);
        return fail_at(s->place, key, &at, "%s not known, did you mean %s? Allowed: %s", who, nearest, words.data);
}

/* Checks for unknown keys. Where the type is not known, a key of any type may be right. */
static int check_keys(Section *s) {
        Words keys = {};
        int result = 0;

        add_keys(&keys, s->section);
        if (!is_beside(s))
                add_types(&keys, s, NULL);
        else if (s->variant)
                add_keys(&keys, s->variant);
        assert(keys.n < KEYS_MAX); /* a key that does not fit would be refused */
        for (size_t i = 0; i < s->place->node->n_children && result != -ENOMEM; i++) {
                const YamlNode *node = s->place->node->children[i];
                Words owners = {};

                if (text_is_among(node->key, keys.all))
                        continue;
                if (is_beside(s))
                        add_types(&owners, s, node->key);
                if (s->variant || owners.n == 0)
                        result = worse(result, fail_unknown(s, node, &keys, &owners));
        }

        return result;
}

/* ---- types ---- */

/* *node*: the value of `type`; NULL: there is none. */
static int fail_type(const Section *s, const YamlNode *node) {
        const char *what = s->section->variants->what, *nearest;
        _cleanup_bytes_ Bytes words = {};
        char quoted[KEY_SHOWN_MAX + 4] = "";
        Words names = {};

        add_types(&names, s, NULL);
        if (config_words(&words, names.all, ", ") < 0)
                return -ENOMEM;
        if (!node)
                return config_place_fail(s->place, "type", "is missing; allowed: %s", words.data);
        nearest = node->type == YAML_SCALAR ? config_table_nearest(node->text, names.all) : NULL;
        if (node->type == YAML_SCALAR && key_is_harmless(node->text))
                (void) snprintf(quoted, sizeof(quoted), "\"%s\" ", node->text);
        return config_place_fail(s->place, "type", "%sis not a type of %s%s%s; allowed: %s", quoted, what,
                nearest ? ", did you mean " : "", nearest ?: "", words.data);
}

/* Finds the type: the one that the key `type` names, or whose section is there. None of the latter kind is no error
 * yet, since an unknown key may be meant as one. */
static int find_variant(Section *s) {
        const YamlNode *type = is_beside(s) ? yaml_get(s->place->node, "type") : NULL;
        const ConfigSection *variant;

        for (size_t i = 0; (variant = variant_at(s, i)); i++) {
                bool named = type && type->type == YAML_SCALAR && strcmp(variant->name, type->text) == 0;

                if (is_beside(s) ? !named : !yaml_get(s->place->node, variant->name))
                        continue;
                if (s->variant)
                        return config_place_fail(s->place, variant->name,
                                "cannot be combined with %s; allowed: one %s, so write a separate entry for the other",
                                s->variant->name, s->section->variants->what);
                s->variant = variant;
        }
        return is_beside(s) && !s->variant ? fail_type(s, type) : 0;
}

static int fail_no_variant(const Section *s) {
        _cleanup_bytes_ Bytes words = {};
        Words names = {};

        add_types(&names, s, NULL);
        if (config_words(&words, names.all, " or ") < 0)
                return -ENOMEM;
        return config_place_fail(
                s->place, NULL, "has no %s; allowed: a section %s", s->section->variants->what, words.data);
}

/* ---- sections ---- */

/* Reads the default in the same way as if it had been written in the file. */
static int read_default(const Section *s, const ConfigRow *row, char *base) {
        const char *text = row->flags & CONFIG_IMPLIED ? "{}" : row->fallback;
        _cleanup_(yaml_node_freep) YamlNode *node = NULL;
        char range[RANGE_SIZE];
        YamlError error;
        int r;

        if (row->flags & CONFIG_REQUIRED && row->type->storage != CONFIG_VARIANT)
                return text_is_among(row->key, s->meant.all)
                               ? -EBADMSG
                               : config_place_fail(
                                         s->place, row->key, "is missing; allowed: %s", allowed_of(row, range));
        if (!text && row->type->storage == CONFIG_DECIMAL)
                *(double *) (base + row->offset) = NAN;
        if (!text)
                return 0;

        r = yaml_parse(text, strlen(text), &node, &error);
        return r < 0 ? r : read_value(&(Value){ s->place, row, node }, base);
}

static int read_rows(const Section *s, const ConfigRow *row, char *base) {
        int result = 0;

        for (; row->key && result != -ENOMEM; row++) {
                const YamlNode *node = yaml_get(s->place->node, row->key);

                result = worse(
                        result, node ? read_value(&(Value){ s->place, row, node }, base) : read_default(s, row, base));
        }

        return result;
}

/* Makes the struct of the type that was found, and reads it. */
static int read_variant(const Section *s, char *base) {
        const ConfigVariants *variants = s->section->variants;
        const ConfigSection *variant = s->variant;
        void *keys = calloc(1, variant->size);
        int r;

        if (!keys)
                return -ENOMEM;
        *(const char **) (base + variants->name) = variant->name;
        *(const ConfigSection **) (base + variants->section) = variant;
        *(void **) (base + variants->keys) = keys;
        if (variants->nested) {
                const ConfigRow row = { variant->name, &config_type_section, .section = variant };

                return read_inner(&(Value){ s->place, &row, yaml_get(s->place->node, variant->name) }, base, keys);
        }
        r = read_rows(s, variant->rows, keys);
        return r == 0 && variant->rule ? variant->rule(s->place, keys, base) : r;
}

static int read_section(const ConfigPlace *place, const ConfigSection *section, void *base, void *around) {
        Section s = { place, section };
        int r = find_variant(&s), keys = check_keys(&s);

        if (r == 0 && keys == 0 && section->variants && !s.variant)
                keys = fail_no_variant(&s);
        r = worse(r, keys);
        r = worse(r, read_rows(&s, section->rows, base));
        if (s.variant)
                r = worse(r, read_variant(&s, base));
        return r == 0 && section->rule ? section->rule(place, base, around) : r;
}

int config_reader_read(const ConfigReader *reader, const YamlNode *root, void *base) {
        const ConfigPlace place = { reader, NULL, "", false, root };

        if (root->type != YAML_MAPPING)
                return config_place_fail(
                        &place, NULL, "the file is not a list of KEY: VALUE lines; see sensorqd.yaml(5)");
        return read_section(&place, reader->root, base, NULL);
}
