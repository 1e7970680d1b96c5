/* SPDX-License-Identifier: Apache-2.0 */
#include "config-table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "secrets.h"

#define WORD_MAX 48

static void *place_at(const void *base, size_t offset) {
        return (char *) base + offset;
}

const ConfigRow *config_table_find(const ConfigSection *section, const char *key) {
        for (const ConfigRow *row = section->rows; row->key; row++)
                if (strcmp(row->key, key) == 0)
                        return row;

        return NULL;
}

bool config_table_knows(const ConfigSection *section, const ConfigTypes *types, const char *key) {
        const ConfigVariants *variants = section->variants;
        const ConfigSection *variant;

        for (const ConfigRow *row = section->rows; row->key; row++)
                if (strcmp(row->key, key) == 0 || (row->section && config_table_knows(row->section, types, key)))
                        return true;
        for (size_t i = 0; variants && (variant = variants->at(types, i)); i++)
                if (strcmp(variant->name, key) == 0 || config_table_knows(variant, types, key))
                        return true;

        return false;
}

static const ConfigSection *variant_of(const ConfigVariants *variants, const void *base) {
        return variants ? *(const ConfigSection **) place_at(base, variants->section) : NULL;
}

static void *variant_keys(const ConfigVariants *variants, const void *base) {
        return *(void **) place_at(base, variants->keys);
}

/* ---- release ---- */

static void texts_done(char **texts) {
        for (size_t i = 0; texts && texts[i]; i++)
                secret_free(texts[i]);
        free(texts);
}

static void secret_done(ConfigSecret *secret) {
        secret_free(secret->file);
        secret_free(secret->text);
}

static void secrets_done(ConfigSecrets *secrets) {
        for (size_t i = 0; i < secrets->n; i++)
                secret_done(&secrets->items[i]);
        free(secrets->items);
}

static void map_done(ConfigMap *map) {
        for (size_t i = 0; i < map->n; i++) {
                free(map->items[i].name);
                texts_done(map->items[i].values);
        }
        free(map->items);
}

/* Returns the struct of a section: at its place, or at the pointer there, which may be NULL. */
static void *section_at(const ConfigRow *row, const void *base) {
        void *place = place_at(base, row->offset);

        return row->flags & CONFIG_POINTER ? *(void **) place : place;
}

static void list_done(const ConfigRow *row, void *base) {
        char *items = *(char **) place_at(base, row->offset);
        size_t n = *(size_t *) place_at(base, row->count);

        for (size_t i = 0; i < n; i++)
                config_table_done(row->section, items + i * row->section->size);
        free(items);
}

static void row_done(const ConfigRow *row, void *base) {
        void *place = place_at(base, row->offset);

        switch (row->type->storage) {
        case CONFIG_TEXT:
                secret_free(*(char **) place);
                break;
        case CONFIG_TEXTS:
                texts_done(*(char ***) place);
                break;
        case CONFIG_SECRET:
                secret_done(place);
                break;
        case CONFIG_SECRETS:
                secrets_done(place);
                break;
        case CONFIG_MAP:
                map_done(place);
                break;
        case CONFIG_SECTION:
                if (section_at(row, base))
                        config_table_done(row->section, section_at(row, base));
                if (row->flags & CONFIG_POINTER)
                        free(section_at(row, base));
                break;
        case CONFIG_LIST:
                list_done(row, base);
                break;
        default:
                break;
        }
}

void config_table_done(const ConfigSection *section, void *base) {
        const ConfigSection *variant = variant_of(section->variants, base);

        for (const ConfigRow *row = section->rows; row->key; row++)
                row_done(row, base);
        if (!variant)
                return;
        config_table_done(variant, variant_keys(section->variants, base));
        free(variant_keys(section->variants, base));
}

/* ---- comparison ---- */

static bool texts_equal(char *const *a, char *const *b) {
        for (; a && b && *a && *b; a++, b++)
                if (strcmp(*a, *b) != 0)
                        return false;

        return (!a || !*a) && (!b || !*b);
}

static bool secrets_equal(const ConfigSecrets *a, const ConfigSecrets *b) {
        for (size_t i = 0; i < a->n && i < b->n; i++)
                if (!text_equal(a->items[i].file, b->items[i].file))
                        return false;

        return a->n == b->n;
}

static bool map_equal(const ConfigMap *a, const ConfigMap *b) {
        for (size_t i = 0; i < a->n && i < b->n; i++)
                if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
                        !texts_equal(a->items[i].values, b->items[i].values))
                        return false;

        return a->n == b->n;
}

static bool decimal_equal(double a, double b) {
        return memcmp(&a, &b, sizeof(a)) == 0; /* also equal for NaN */
}

static bool section_equal(const ConfigRow *row, const void *a, const void *b) {
        const void *left = section_at(row, a), *right = section_at(row, b);

        return left && right ? config_table_equal(row->section, left, right) : left == right;
}

static bool list_equal(const ConfigRow *row, const void *a, const void *b) {
        const char *left = *(char **) place_at(a, row->offset), *right = *(char **) place_at(b, row->offset);
        size_t n = *(size_t *) place_at(a, row->count), size = row->section->size;

        if (n != *(size_t *) place_at(b, row->count))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!config_table_equal(row->section, left + i * size, right + i * size))
                        return false;

        return true;
}

static bool row_equal(const ConfigRow *row, const void *a, const void *b) {
        const void *left = place_at(a, row->offset), *right = place_at(b, row->offset);

        switch (row->type->storage) {
        case CONFIG_TEXT:
                return text_equal(*(char *const *) left, *(char *const *) right);
        case CONFIG_TEXTS:
                return texts_equal(*(char **const *) left, *(char **const *) right);
        case CONFIG_SECRET:
                return text_equal(((const ConfigSecret *) left)->file, ((const ConfigSecret *) right)->file);
        case CONFIG_SECRETS:
                return secrets_equal(left, right);
        case CONFIG_MAP:
                return map_equal(left, right);
        case CONFIG_BOOL:
                return *(const bool *) left == *(const bool *) right;
        case CONFIG_DECIMAL:
                return decimal_equal(*(const double *) left, *(const double *) right);
        case CONFIG_NUMBER:
                return *(const uint64_t *) left == *(const uint64_t *) right;
        case CONFIG_UNSIGNED:
        case CONFIG_INT:
                return *(const int *) left == *(const int *) right;
        case CONFIG_SECTION:
                return section_equal(row, a, b);
        case CONFIG_LIST:
                return list_equal(row, a, b);
        default:
                return true;
        }
}

bool config_table_equal(const ConfigSection *section, const void *a, const void *b) {
        const ConfigSection *variant = variant_of(section->variants, a);

        for (const ConfigRow *row = section->rows; row->key; row++)
                if (!row_equal(row, a, b))
                        return false;
        if (!section->variants)
                return true;
        if (variant != variant_of(section->variants, b))
                return false;
        return !variant ||
               config_table_equal(variant, variant_keys(section->variants, a), variant_keys(section->variants, b));
}

/* ---- secrets ---- */

static int row_each_secret(const ConfigRow *row, void *base, ConfigEachSecret each, void *userdata) {
        void *place = place_at(base, row->offset);
        int r = 0;

        switch (row->type->storage) {
        case CONFIG_SECRET:
                return ((ConfigSecret *) place)->file ? each(userdata, row, place) : 0;
        case CONFIG_SECRETS:
                for (size_t i = 0; r == 0 && i < ((ConfigSecrets *) place)->n; i++)
                        r = each(userdata, row, &((ConfigSecrets *) place)->items[i]);
                return r;
        case CONFIG_SECTION:
                place = section_at(row, base);
                return place ? config_table_each_secret(row->section, place, each, userdata) : 0;
        case CONFIG_LIST:
                for (size_t i = 0; r == 0 && i < *(size_t *) place_at(base, row->count); i++)
                        r = config_table_each_secret(
                                row->section, *(char **) place + i * row->section->size, each, userdata);
                return r;
        default:
                return 0;
        }
}

int config_table_each_secret(const ConfigSection *section, void *base, ConfigEachSecret each, void *userdata) {
        const ConfigSection *variant = variant_of(section->variants, base);
        int r = 0;

        for (const ConfigRow *row = section->rows; r == 0 && row->key; row++)
                r = row_each_secret(row, base, each, userdata);
        if (r != 0 || !variant)
                return r;
        return config_table_each_secret(variant, variant_keys(section->variants, base), each, userdata);
}

/* ---- files ---- */

static void row_each_file(const ConfigRow *row, const void *base, ConfigEachFile each, void *userdata) {
        const void *place = place_at(base, row->offset);
        const char *path = row->type == &config_type_path ? *(char *const *) place : NULL;

        if (path)
                each(userdata, path);
        if (row->type->storage == CONFIG_SECTION && section_at(row, base))
                config_table_each_file(row->section, section_at(row, base), each, userdata);
        for (size_t i = 0; row->type->storage == CONFIG_LIST && i < *(size_t *) place_at(base, row->count); i++)
                config_table_each_file(row->section, *(char *const *) place + i * row->section->size, each, userdata);
}

void config_table_each_file(const ConfigSection *section, const void *base, ConfigEachFile each, void *userdata) {
        const ConfigSection *variant = variant_of(section->variants, base);

        for (const ConfigRow *row = section->rows; row->key; row++)
                row_each_file(row, base, each, userdata);
        if (variant)
                config_table_each_file(variant, variant_keys(section->variants, base), each, userdata);
}

/* ---- words ---- */

static size_t smallest(size_t a, size_t b, size_t c) {
        size_t ab = a < b ? a : b;

        return ab < c ? ab : c;
}

/* Returns how many letters must be inserted, deleted or replaced to turn *a* into *b* (Levenshtein distance). Both are
 * shorter than WORD_MAX. */
static size_t word_distance(const char *a, const char *b) {
        size_t row[WORD_MAX + 1], n = strlen(b);

        for (size_t j = 0; j <= n; j++)
                row[j] = j;

        for (size_t i = 1; a[i - 1] != '\0'; i++) {
                size_t corner = row[0];

                row[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        size_t replaced = corner + (a[i - 1] != b[j - 1]);

                        corner = row[j];
                        row[j] = smallest(row[j] + 1, row[j - 1] + 1, replaced);
                }
        }

        return row[n];
}

/* Returns the only word that continues *text* with `_`: `token_file` for `token`. NULL: there is none, or several. */
static const char *word_begun(const char *text, const char *const *words) {
        size_t size = strlen(text);
        const char *begun = NULL;

        for (; *words; words++)
                if (strncmp(*words, text, size) == 0 && (*words)[size] == '_') {
                        if (begun)
                                return NULL;
                        begun = *words;
                }
        return begun;
}

const char *config_table_nearest(const char *text, const char *const *words) {
        size_t size = strlen(text), best = size / 3 + 1;
        const char *nearest = NULL;

        if (size == 0 || size >= WORD_MAX)
                return NULL;

        for (const char *const *word = words; *word; word++) {
                size_t distance;

                if (strlen(*word) >= WORD_MAX)
                        continue;
                distance = word_distance(text, *word);
                if (distance <= best && distance < size) {
                        best = distance > 0 ? distance - 1 : 0;
                        nearest = *word;
                }
        }

        return nearest ? nearest : word_begun(text, words);
}

char *config_table_range(const ConfigRow *row, char *buffer, size_t size) {
        char min[24], max[24];

        buffer[0] = '\0';
        if (row->type->format) {
                row->type->format(row->min, min, sizeof(min));
                row->type->format(row->max, max, sizeof(max));
                (void) snprintf(buffer, size, "%s..%s", min, max);
        }

        return buffer;
}
