/* SPDX-License-Identifier: Apache-2.0 */
/* All rows of the configuration, one after the other: what the reference page must say. */
#pragma once
#include <assert.h>

#include "config.h"
#include "lib/bytes.h"

#define SHARED_MAX 8 /* sections that several types have */

/* config_describe() calls *each* with the dotted key ("publish.sources[].interval"), the
 * type that the row belongs to (NULL: to all), its kind of value and range ("duration 10s..24h"; ends in ", required"
 * when it is), its default (NULL: none) and its one-line documentation. */
typedef void (*ConfigEach)(
        void *userdata, const char *key, const char *owner, const char *kind, const char *fallback, const char *doc);

typedef struct Describe {
        const ConfigTypes *types;
        ConfigEach each;
        void *userdata;
        const ConfigSection *shared[SHARED_MAX]; /* met so far; described at the end */
        size_t n_shared;
} Describe;

static inline void describe_note_shared(Describe *d, const ConfigSection *section) {
        for (size_t i = 0; i < d->n_shared; i++)
                if (d->shared[i] == section)
                        return;
        assert(d->n_shared < SHARED_MAX);
        d->shared[d->n_shared++] = section;
}

static inline void describe_section(Describe *d, const char *path, const char *owner, const ConfigSection *section);

static inline void describe_row(Describe *d, const char *path, const char *owner, const ConfigRow *row) {
        Bytes key = {}, below = {}, kind = {};
        char range[60];

        (void) config_table_range(row, range, sizeof(range));
        (void) bytes_append_format(&key, "%s%s%s", path, path[0] != '\0' ? "." : "", row->key);
        (void) bytes_append_format(&below, "%s%s", key.data, row->type->storage == CONFIG_LIST ? "[]" : "");
        (void) bytes_append_format(&kind, "%s%s%s%s", row->type->name, range[0] != '\0' ? " " : "", range,
                row->flags & CONFIG_REQUIRED ? ", required" : "");
        d->each(d->userdata, key.data, owner, kind.data, row->fallback ? row->fallback : row->derived, row->doc);
        if (row->section && row->section->shared)
                describe_note_shared(d, row->section);
        else if (row->section)
                describe_section(d, below.data, owner, row->section);
        bytes_done(&key);
        bytes_done(&below);
        bytes_done(&kind);
}

static inline void describe_variants(Describe *d, const char *path, const ConfigVariants *variants) {
        const ConfigSection *variant;

        for (size_t i = 0; (variant = variants->at(d->types, i)); i++) {
                Bytes key = {};

                (void) bytes_append_format(&key, "%s.%s", path, variant->name);
                if (variants->nested)
                        d->each(d->userdata, key.data, NULL, "section", NULL, variant->doc);
                describe_section(
                        d, variants->nested ? key.data : path, variants->nested ? NULL : variant->name, variant);
                bytes_done(&key);
        }
}

static inline void describe_section(Describe *d, const char *path, const char *owner, const ConfigSection *section) {
        for (const ConfigRow *row = section->rows; row->key; row++)
                describe_row(d, path, owner, row);
        if (section->variants)
                describe_variants(d, path, section->variants);
}

static inline void config_describe(const ConfigTypes *types, ConfigEach each, void *userdata) {
        Describe d = { .types = types, .each = each, .userdata = userdata };

        describe_section(&d, "", NULL, &config_section);
        for (size_t i = 0; i < d.n_shared; i++)
                describe_section(&d, d.shared[i]->shared, NULL, d.shared[i]);
}
