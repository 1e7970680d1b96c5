/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Operations on a section's struct, guided by the section's rows. */

#include "config-type.h"

/* Returns the row of that key, or NULL. */
const ConfigRow *config_table_find(const ConfigSection *section, const char *key);

#define CONFIG_PATH_MAX 160
/* Returns how many sections have a key of that name: *section*, those below it, and those of types. *path* gets the way
 * to the first, "publish.sources[].interval"; it may be NULL. */
unsigned config_table_search(
        const ConfigSection *section, const ConfigTypes *types, const char *key, char path[CONFIG_PATH_MAX]);

/* Frees what the struct at *base* contains, not the struct itself. Texts are wiped, because some are secrets. */
void config_table_done(const ConfigSection *section, void *base);

/* True if two structs have the same content. Secrets are compared by the names of their files. */
bool config_table_equal(const ConfigSection *section, const void *a, const void *b);

/* Calls *each* for every file that the struct names, in the order of the rows, until one call returns other than 0;
 * returns that, or 0. *secret* is where a secret's text is kept; NULL: the file is not read as a secret here. */
typedef int (*ConfigEachFile)(void *userdata, const ConfigRow *row, const char *file, ConfigSecret *secret);
int config_table_each_file(const ConfigSection *section, const void *base, ConfigEachFile each, void *userdata);

/* Returns the word of *words*, which end with NULL, that *text* was probably meant to be, or NULL. */
const char *config_table_nearest(const char *text, const char *const *words);

/* Writes the range of a row, "10s..24h"; "" if it has none. Returns *buffer*. */
char *config_table_range(const ConfigRow *row, char *buffer, size_t size);
