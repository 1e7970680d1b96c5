/* SPDX-License-Identifier: Apache-2.0 */
#include "config-internal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "lib/yaml.h"

static int read_section(const ConfigPlace *place, const ConfigSection *section, void *base, void *around);

/* ---- lists ---- */

static ConfigPlace place_of_entry(const ConfigValue *list, size_t index) {
        return (ConfigPlace){ list->place->reader, list->place, list->row->key, .entry = true,
                .node = list->node->children[index] };
}

/* Checks CONFIG_UNIQUE for the entry *index*; all its keys are valid. */
static int check_unique(const ConfigValue *list, size_t index) {
        const ConfigPlace place = place_of_entry(list, index);

        for (const ConfigRow *row = list->row->section->rows; row->key; row++) {
                const YamlNode *text = row->flags & CONFIG_UNIQUE ? yaml_get(place.node, row->key) : NULL;

                for (size_t i = 0; text && i < index; i++) {
                        const YamlNode *other = yaml_get(list->node->children[i], row->key);

                        if (other && other->type == YAML_SCALAR && strcmp(other->text, text->text) == 0)
                                return config_place_fail(&place, row->key,
                                        "\"%s\" is the %s of the entry in line %u already; each once", text->text,
                                        row->key, list->node->children[i]->line);
                }
        }

        return 0;
}

static int read_entry(const ConfigValue *list, size_t index, void *base) {
        const ConfigPlace place = place_of_entry(list, index);
        int r;

        if (place.node->type != YAML_MAPPING)
                return config_place_fail(&place, NULL,
                        "an entry is not a section; allowed: KEY: VALUE lines, the first behind the dash");
        r = read_section(&place, list->row->section, base, NULL);
        if (r < 0)
                return r;
        return check_unique(list, index);
}

static int read_list(const ConfigValue *value, void *base) {
        const ConfigRow *row = value->row;
        char **items = (char **) ((char *) base + row->offset);
        size_t *count = (size_t *) ((char *) base + row->count), n = value->node->n_children;
        int result;

        if (value->node->type != YAML_SEQUENCE)
                return config_value_fail_kind(value);
        result = config_value_count(value);
        if (result < 0)
                return result;

        *items = calloc(n, row->section->size);
        if (!*items)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                int r;

                *count = i + 1; /* so that what was read of the entry is freed with the rest */
                r = read_entry(value, i, *items + i * row->section->size);
                if (r < 0 && r != -EBADMSG)
                        return r;
                result = r < 0 ? r : result;
        }

        return result;
}

/* Reads a section that is inside the section at *base*. */
static int read_inner(const ConfigValue *value, void *base) {
        const ConfigSection *section = value->row->section;
        const ConfigPlace below = { value->place->reader, value->place, value->row->key, .node = value->node };
        void *place = (char *) base + value->row->offset;

        if (value->node->type != YAML_MAPPING)
                return config_value_fail_kind(value);
        if (value->row->flags & CONFIG_POINTER) {
                void *own = calloc(1, section->size);

                if (!own)
                        return -ENOMEM;
                *(void **) place = own;
                place = own;
        }
        return read_section(&below, section, place, base);
}

static int read_value(const ConfigValue *value, void *base) {
        void *place = (char *) base + value->row->offset;

        switch (value->row->type->storage) {
        case CONFIG_SECTION:
                return read_inner(value, base);
        case CONFIG_LIST:
                return read_list(value, base);
        case CONFIG_VARIANT:
                return 0;
        default:
                return config_value_read(value, place);
        }
}

/* ---- keys and types that there are ---- */

#define KEYS_MAX 64

/* A section that is being read. */
typedef struct SectionRead {
        const ConfigPlace *place;
        const ConfigSection *section;
        const ConfigSection *variant;    /* NULL: the section has no variants, or none was found */
        const char *meant[KEYS_MAX + 1]; /* the keys that errors about unknown ones suggest; NULL at the end */
} SectionRead;

static const ConfigSection *variant_at(const SectionRead *r, size_t index) {
        const ConfigVariants *variants = r->section->variants;

        return variants ? variants->at(r->place->reader->types, index) : NULL;
}

static const ConfigSection *variant_named(const SectionRead *r, const char *name) {
        const ConfigSection *variant;

        for (size_t i = 0; (variant = variant_at(r, i)); i++)
                if (strcmp(variant->name, name) == 0)
                        return variant;

        return NULL;
}

static bool is_beside(const ConfigSection *section) {
        return section->variants && !section->variants->nested;
}

/* Adds a word to a list; what does not fit is left out. */
static void add_word(const char *words[static KEYS_MAX + 1], const char *word) {
        size_t n = 0;

        while (words[n])
                n++;
        if (n < KEYS_MAX) {
                words[n] = word;
                words[n + 1] = NULL;
        }
}

/* Lists the section's types, or only those that have the key. */
static void list_types(const SectionRead *r, const char *key, const char *names[static KEYS_MAX + 1]) {
        const ConfigSection *variant;

        names[0] = NULL;
        for (size_t i = 0; (variant = variant_at(r, i)); i++)
                if (!key || config_table_find(variant, key))
                        add_word(names, variant->name);
}

/* Lists the keys that the section may have. */
static void list_keys(const SectionRead *r, const char *keys[static KEYS_MAX + 1]) {
        const ConfigSection *own = is_beside(r->section) ? r->variant : NULL, *variant;

        keys[0] = NULL;
        for (const ConfigRow *row = r->section->rows; row->key; row++)
                add_word(keys, row->key);
        for (const ConfigRow *row = own ? own->rows : NULL; row && row->key; row++)
                add_word(keys, row->key);
        for (size_t i = 0; !is_beside(r->section) && (variant = variant_at(r, i)); i++)
                add_word(keys, variant->name);
}

/* ---- keys that are not known ---- */

/* A key that does not look like a key may be part of a secret. */
static bool key_is_harmless(const char *key) {
        return key[0] != '\0' && strlen(key) <= 40 &&
               key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

static unsigned search(const SectionRead *r, const char *key, char path[CONFIG_PATH_MAX]) {
        return config_table_search(r->place->reader->root, r->place->reader->types, key, path);
}

/* "project:my-project" in curly brackets is one word in YAML. */
static bool is_glued(const SectionRead *r, const char *key) {
        size_t size = strcspn(key, ":");
        char word[48] = "";

        if (key[size] == ':' && size < sizeof(word))
                *(char *) mempcpy(word, key, size) = '\0';
        return word[0] != '\0' && search(r, word, NULL) > 0;
}

static int fail_unknown(SectionRead *r, const YamlNode *node, const char *const *keys, const char *const *owners) {
        /* An error is usually at the value; for an unknown key it is at the key. */
        YamlNode at = { .type = YAML_SCALAR, .line = node->key_line, .column = node->key_column };
        const ConfigRow row = { key_is_harmless(node->key) ? node->key : "", &config_type_variant };
        const char *who = row.key[0] != '\0' ? "is" : "a key is", *nearest = config_table_nearest(node->key, keys);
        const ConfigValue value = { r->place, &row, &at };
        _cleanup_bytes_ Bytes words = {}, types = {};
        char path[CONFIG_PATH_MAX];

        if (is_glued(r, node->key))
                return config_value_fail(&value, "there is no space after the colon: write KEY: VALUE");
        if (config_words(&words, keys, ", ") < 0 || config_words(&types, owners, ", ") < 0)
                return -ENOMEM;
        if (owners[0])
                return config_value_fail(&value, "is for type %s only; allowed for type %s: %s", types.data,
                        r->variant->name, words.data);
        if (nearest && !text_is_among(nearest, r->meant))
                add_word(r->meant, nearest);
        if (search(r, node->key, path) == 1)
                return config_value_fail(&value, "%s not known here, only as %s%s%s%s: %s", who, path,
                        nearest ? "; did you mean " : "", nearest ?: "", nearest ? "? Allowed" : "; allowed",
                        words.data);
        if (!nearest)
                return config_value_fail(&value, "%s not known; allowed: %s", who, words.data);
        return config_value_fail(&value, "%s not known, did you mean %s? Allowed: %s", who, nearest, words.data);
}

/* Checks for unknown keys. -EBADMSG when there was one. Where the type is not known, a key of any type may be right. */
static int check_keys(SectionRead *r) {
        const char *keys[KEYS_MAX + 1], *owners[KEYS_MAX + 1] = {};
        int result = 0;

        list_keys(r, keys);
        for (size_t i = 0; i < r->place->node->n_children; i++) {
                const YamlNode *node = r->place->node->children[i];
                int k;

                if (is_beside(r->section))
                        list_types(r, node->key, owners);
                if (text_is_among(node->key, keys) || (!r->variant && owners[0]))
                        continue;
                k = fail_unknown(r, node, keys, owners);
                if (k != -EBADMSG)
                        return k;
                result = k;
        }

        return result;
}

/* ---- types ---- */

static int fail_type(const SectionRead *r, const YamlNode *node) {
        const char *names[KEYS_MAX + 1], *nearest;
        _cleanup_bytes_ Bytes words = {};
        int k;

        list_types(r, NULL, names);
        k = config_words(&words, names, ", ");
        if (k < 0)
                return k;
        if (!node)
                return config_place_fail(r->place, "type", "is missing; allowed: %s", words.data);
        if (node->type != YAML_SCALAR || !key_is_harmless(node->text))
                return config_place_fail(
                        r->place, "type", "is not a type of %s; allowed: %s", r->section->variants->what, words.data);
        nearest = config_table_nearest(node->text, names);
        return config_place_fail(r->place, "type", "\"%s\" is not a type of %s%s%s; allowed: %s", node->text,
                r->section->variants->what, nearest ? ", did you mean " : "", nearest ? nearest : "", words.data);
}

/* Finds the type that the key `type` names. */
static int find_beside(SectionRead *r) {
        const YamlNode *node = yaml_get(r->place->node, "type");

        r->variant = node && node->type == YAML_SCALAR ? variant_named(r, node->text) : NULL;
        return r->variant ? 0 : fail_type(r, node);
}

/* Finds the type by the section that is there. */
static int find_nested(SectionRead *r) {
        const ConfigSection *variant;

        for (size_t i = 0; (variant = variant_at(r, i)); i++) {
                if (!yaml_get(r->place->node, variant->name))
                        continue;
                if (r->variant)
                        return config_place_fail(r->place, variant->name,
                                "stands beside %s; allowed: one %s, so write an entry of its own for the other",
                                r->variant->name, r->section->variants->what);
                r->variant = variant;
        }

        return 0;
}

static int fail_no_variant(const SectionRead *r) {
        const char *names[KEYS_MAX + 1];
        _cleanup_bytes_ Bytes words = {};
        int k;

        list_types(r, NULL, names);
        k = config_words(&words, names, " or ");
        if (k < 0)
                return k;
        return config_place_fail(
                r->place, NULL, "has no %s; allowed: a section %s", r->section->variants->what, words.data);
}

/* ---- sections ---- */

static int read_rows(const SectionRead *r, const ConfigSection *section, void *base);

static int read_variant(const SectionRead *r, void *base) {
        const ConfigVariants *variants = r->section->variants;
        const ConfigSection *variant = r->variant;
        const YamlNode *node = yaml_get(r->place->node, variant->name);
        const ConfigPlace below = { r->place->reader, r->place, variant->name, .node = node };
        const ConfigRow row = { variant->name, &config_type_section, .section = variant };
        void *keys;

        keys = calloc(1, variant->size);
        if (!keys)
                return -ENOMEM;
        *(const char **) ((char *) base + variants->name) = variant->name;
        *(const ConfigSection **) ((char *) base + variants->section) = variant;
        *(void **) ((char *) base + variants->keys) = keys;

        if (!variants->nested) {
                int k = read_rows(r, variant, keys);

                return k == 0 && variant->rule ? variant->rule(r->place, keys, base) : k;
        }
        if (node->type != YAML_MAPPING)
                return config_value_fail_kind(&(ConfigValue){ r->place, &row, node });
        return read_section(&below, variant, keys, base);
}

/* Reads the default in the same way as if it had been written in the file. */
static int read_default(const SectionRead *r, const ConfigRow *row, void *base) {
        const char *text = row->flags & CONFIG_IMPLIED ? "{}" : row->fallback;
        _cleanup_(yaml_node_freep) YamlNode *node = NULL;
        char range[60];
        YamlError error;
        int k;

        if (row->flags & CONFIG_REQUIRED && row->type->storage != CONFIG_VARIANT)
                return text_is_among(row->key, r->meant)
                               ? -EBADMSG
                               : config_place_fail(r->place, row->key, "is missing; allowed: %s",
                                         config_value_allowed(row, range, sizeof(range)));
        if (!text && row->type->storage == CONFIG_DECIMAL)
                *(double *) ((char *) base + row->offset) = NAN;
        if (!text)
                return 0;

        k = yaml_parse(text, strlen(text), &node, &error);
        if (k < 0)
                return k;
        return read_value(&(ConfigValue){ r->place, row, node }, base);
}

static int read_rows(const SectionRead *r, const ConfigSection *section, void *base) {
        int result = 0;

        for (const ConfigRow *row = section->rows; row->key; row++) {
                const YamlNode *node = yaml_get(r->place->node, row->key);
                int k;

                k = node ? read_value(&(ConfigValue){ r->place, row, node }, base) : read_default(r, row, base);
                if (k < 0 && k != -EBADMSG)
                        return k;
                result = k < 0 ? k : result;
        }

        return result;
}

/* Returns the worse of two results: -ENOMEM ends the reading, -EBADMSG does not. */
static int worse(int a, int b) {
        return b < 0 && a != -ENOMEM ? b : a;
}

static int find_variant(SectionRead *r) {
        if (!r->section->variants)
                return 0;
        return r->section->variants->nested ? find_nested(r) : find_beside(r);
}

static int read_section(const ConfigPlace *place, const ConfigSection *section, void *base, void *around) {
        SectionRead r = { place, section };
        int k, result;

        result = find_variant(&r);
        k = check_keys(&r);
        if (k == 0 && result == 0 && section->variants && !r.variant)
                k = fail_no_variant(&r);
        result = worse(result, k);
        result = worse(result, read_rows(&r, section, base));
        if (r.variant)
                result = worse(result, read_variant(&r, base));
        return result == 0 && section->rule ? section->rule(place, base, around) : result;
}

int config_reader_read(const ConfigReader *reader, const YamlNode *root, void *base) {
        const ConfigPlace place = { reader, NULL, "", false, root };

        if (root->type != YAML_MAPPING)
                return config_place_fail(
                        &place, NULL, "the file is not a list of KEY: VALUE lines; see sensorqd.yaml(5)");
        return read_section(&place, reader->root, base, NULL);
}
