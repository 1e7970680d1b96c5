/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The table that the configuration is made of: one row for each key, with its type, its place in the struct, its range,
 * its default and its line of documentation. Reader, comparison, release, reference page and example file all follow
 * it. */

#include "config-type.h"
#include "config.h"

enum {
        CONFIG_REQUIRED = 1 << 0, /* missing is an error, when its section is there */
        CONFIG_IMPLIED = 1 << 1,  /* a section whose defaults hold even when it is left out */
};

typedef struct ConfigRow {
        const char *key; /* dotted: "publish.sources[].interval" */
        const ConfigType *type;
        size_t offset;        /* in the struct of the section around it */
        uint64_t min, max;    /* of the value; of the length of a text; of the number of entries of a list */
        const char *fallback; /* the default as it would be written in the file; NULL: none */
        const char *derived;  /* the default in words, when it depends on something else; NULL: see fallback */
        unsigned flags;
        size_t size, count; /* of a list: size of an entry, place of the length */
        const char *doc;
} ConfigRow;

/* Row *index*, or NULL past the end. A section comes right before its keys. */
const ConfigRow *config_table_row(size_t index);

/* The row of key *name* in *section* ("" at the top, else "publish", "publish.sources[]"), or NULL. */
const ConfigRow *config_table_find(const char *section, const char *name);

/* Whether *row* is a key of *section*; *ret_name* (may be NULL) gets the key without the section. */
bool config_table_is_in(const ConfigRow *row, const char *section, const char **ret_name);

/* The section that has a key *name*, when *section* has not: for "it belongs to ...". NULL when none or several have.
 */
const ConfigRow *config_table_elsewhere(const char *section, const char *name);

/* The word of a list that *text* was surely meant to be, or NULL. *next* yields the words by index, NULL at the end. */
const char *config_table_nearest(
        const char *text, const char *(*next)(const void *list, size_t index), const void *list);

/* What may be written there, in words: "10s..24h". Returns *buffer*. */
char *config_table_allowed(const ConfigRow *row, char *buffer, size_t size);
