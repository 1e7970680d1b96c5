/* SPDX-License-Identifier: Apache-2.0 */
#include "config-type.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "secret.h"

#define WORD_MAX 48

const ConfigRow *config_table_find(const ConfigSection *section, const char *key) {
        for (const ConfigRow *row = section->rows; row->key; row++)
                if (strcmp(row->key, key) == 0)
                        return row;

        return NULL;
}

typedef struct Search {
        const ConfigTypes *types;
        const char *key;
        char *path; /* NULL: nobody asks for it */
        unsigned n;
} Search;

/* Counts a key, and keeps the way to the first. */
static void search_key(Search *s, const char *key, const char *path) {
        if (strcmp(key, s->key) == 0 && s->n++ == 0 && s->path)
                text_copy(s->path, CONFIG_PATH_MAX, path);
}

static void search(Search *s, const ConfigSection *section, const char *path) {
        const ConfigVariants *variants = section->variants;
        const ConfigSection *variant;
        char below[CONFIG_PATH_MAX] = "";

        for (const ConfigRow *row = section->rows; row->key; row++) {
                if (s->path)
                        (void) snprintf(below, sizeof(below), "%s%s%s%s", path, path[0] != '\0' ? "." : "", row->key,
                                row->type->storage == CONFIG_LIST ? "[]" : "");
                search_key(s, row->key, below);
                if (row->section)
                        search(s, row->section, below);
        }
        for (size_t i = 0; variants && (variant = variants->at(s->types, i)); i++) {
                if (!variants->nested) {
                        search(s, variant, path);
                        continue;
                }
                (void) snprintf(below, sizeof(below), "%s.%s", path, variant->name);
                search_key(s, variant->name, below);
                search(s, variant, below);
        }
}

unsigned config_table_search(
        const ConfigSection *section, const ConfigTypes *types, const char *key, char path[CONFIG_PATH_MAX]) {
        Search s = { types, key, path };

        search(&s, section, "");
        return s.n;
}

/* ---- one walk for all ---- */

typedef struct Walk {
        /* Gets each value that is neither a section nor a list of sections, and the name of a type in place of a key
         * before the values of that type; other than 0 ends the walk. */
        int (*each)(void *userdata, const ConfigRow *row, void *place);
        void *userdata;
        bool release; /* frees the memory of lists, of sections that are pointers, and of a type's struct behind it */
} Walk;

/* Returns the structs of a section or list, one after the other: their number is *ret_n. */
static char *structs_of(const ConfigRow *row, char *base, size_t *ret_n) {
        const bool list = row->type->storage == CONFIG_LIST;
        char *place = base + row->offset;

        *ret_n = 1;
        if (!list && !(row->flags & CONFIG_POINTER))
                return place;
        *ret_n = list ? *(size_t *) (base + row->count) : *(char **) place != NULL;
        return *(char **) place;
}

static int walk_section(const Walk *walk, const ConfigSection *section, char *base);

static int walk_row(const Walk *walk, const ConfigRow *row, char *base) {
        char *place = base + row->offset, *structs;
        size_t n;
        int r = 0;

        if (!row->section)
                return walk->each(walk->userdata, row, place);
        structs = structs_of(row, base, &n);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = walk_section(walk, row->section, structs + i * row->section->size);
        if (walk->release && structs != place)
                free(structs);
        return r;
}

static int walk_section(const Walk *walk, const ConfigSection *section, char *base) {
        const ConfigVariants *variants = section->variants;
        const ConfigSection *variant = variants ? *(const ConfigSection **) (base + variants->section) : NULL;
        char *keys = variant ? *(char **) (base + variants->keys) : NULL;
        int r = 0;

        for (const ConfigRow *row = section->rows; r == 0 && row->key; row++)
                r = walk_row(walk, row, base);
        if (r == 0 && variant)
                r = walk->each(walk->userdata, &(ConfigRow){ variant->name, &config_type_variant }, base);
        if (r == 0 && variant)
                r = walk_section(walk, variant, keys);
        if (walk->release)
                free(keys);
        return r;
}

/* Returns the secrets of a value: several, one, or none if it is something else. */
static ConfigSecrets secrets_of(const ConfigRow *row, void *place) {
        if (row->type->storage == CONFIG_SECRETS)
                return *(ConfigSecrets *) place;
        return (ConfigSecrets){ place, row->type->storage == CONFIG_SECRET };
}

/* ---- release ---- */

static void texts_done(char **texts) {
        for (size_t i = 0; texts && texts[i]; i++)
                secret_free(texts[i]);
        free(texts);
}

static void map_done(ConfigMap *map) {
        for (size_t i = 0; i < map->n; i++) {
                free(map->items[i].name);
                texts_done(map->items[i].values);
        }
        free(map->items);
}

static int value_done(void *userdata, const ConfigRow *row, void *place) {
        const ConfigSecrets secrets = secrets_of(row, place);

        for (size_t i = 0; i < secrets.n; i++) {
                secret_free(secrets.items[i].file);
                secret_free(secrets.items[i].text);
        }
        if (row->type->storage == CONFIG_SECRETS)
                free(secrets.items);
        else if (row->type->storage == CONFIG_TEXT)
                secret_free(*(char **) place);
        else if (row->type->storage == CONFIG_TEXTS)
                texts_done(*(char ***) place);
        else if (row->type->storage == CONFIG_MAP)
                map_done(place);
        return 0;
}

void config_table_done(const ConfigSection *section, void *base) {
        (void) walk_section(&(Walk){ value_done, NULL, .release = true }, section, base);
}

/* ---- comparison: two structs are equal if the same text stands for both ---- */

/* Texts of a configuration have no line breaks. */
static int append_text(Bytes *out, const char *text) {
        return bytes_append_format(out, "%c%s\n", text ? '+' : '-', text ?: "");
}

static int append_texts(Bytes *out, char *const *texts) {
        for (; texts && *texts; texts++)
                append_text(out, *texts);
        return append_text(out, NULL);
}

static int append_map(Bytes *out, const ConfigMap *map) {
        for (size_t i = 0; i < map->n; i++) {
                append_text(out, map->items[i].name);
                append_texts(out, map->items[i].values);
        }
        return bytes_result(out);
}

static int append_secrets(Bytes *out, ConfigSecrets secrets) {
        for (size_t i = 0; i < secrets.n; i++)
                append_text(out, secrets.items[i].file);
        return bytes_result(out);
}

static int append_value(void *userdata, const ConfigRow *row, void *place) {
        Bytes *out = userdata;

        bytes_append_format(out, "%s ", row->key);
        switch (row->type->storage) {
        case CONFIG_TEXT:
                return append_text(out, *(char **) place);
        case CONFIG_TEXTS:
                return append_texts(out, *(char ***) place);
        case CONFIG_MAP:
                return append_map(out, place);
        case CONFIG_BOOL:
                return bytes_append_format(out, "%d\n", *(bool *) place);
        case CONFIG_DECIMAL:
                return bytes_append_format(out, "%a\n", *(double *) place);
        case CONFIG_NUMBER:
                return bytes_append_format(out, "%" PRIu64 "\n", *(uint64_t *) place);
        case CONFIG_UNSIGNED:
        case CONFIG_INT:
                return bytes_append_format(out, "%d\n", *(int *) place);
        default:
                return append_secrets(out, secrets_of(row, place));
        }
}

bool config_table_equal(const ConfigSection *section, const void *a, const void *b) {
        _cleanup_(bytes_wipe) Bytes left = {}, right = {};

        return walk_section(&(Walk){ append_value, &left }, section, (char *) a) == 0 &&
               walk_section(&(Walk){ append_value, &right }, section, (char *) b) == 0 &&
               slice_same(bytes_slice(&left), bytes_slice(&right));
}

/* ---- files ---- */

typedef struct Files {
        ConfigEachFile each;
        void *userdata;
} Files;

static int value_file(void *userdata, const ConfigRow *row, void *place) {
        const ConfigSecrets secrets = secrets_of(row, place);
        const Files *files = userdata;
        int r = 0;

        for (size_t i = 0; r == 0 && i < secrets.n; i++)
                if (secrets.items[i].file)
                        r = files->each(files->userdata, row, secrets.items[i].file, &secrets.items[i]);
        if (row->type->file && row->type->storage == CONFIG_TEXT && *(char **) place)
                r = files->each(files->userdata, row, *(char **) place, NULL);
        return r;
}

int config_table_each_file(const ConfigSection *section, const void *base, ConfigEachFile each, void *userdata) {
        return walk_section(&(Walk){ value_file, &(Files){ each, userdata } }, section, (char *) base);
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
