/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is done with a section's struct along its rows. */

#include "config-type.h"

/* The row of that key, or NULL. */
const ConfigRow *config_table_find(const ConfigSection *section, const char *key);

/* Whether any section below has a key of that name, whatever it is for. */
bool config_table_knows(const ConfigSection *section, const ConfigTypes *types, const char *key);

/* Frees what the struct at *base* holds, not the struct; texts are wiped, since some are secrets. */
void config_table_done(const ConfigSection *section, void *base);

/* Whether two structs hold the same. Of secrets the names of their files count. */
bool config_table_equal(const ConfigSection *section, const void *a, const void *b);

/* Calls *each* for every secret that the struct names, until one answers other than 0; returns that. */
typedef int (*ConfigEachSecret)(void *userdata, const ConfigRow *row, ConfigSecret *secret);
int config_table_each_secret(const ConfigSection *section, void *base, ConfigEachSecret each, void *userdata);

/* Calls *each* for every file that the struct names and that is no secret, full name. */
typedef void (*ConfigEachFile)(void *userdata, const char *path);
void config_table_each_file(const ConfigSection *section, const void *base, ConfigEachFile each, void *userdata);

/* The one of *words*, which end with NULL, that *text* was surely meant to be, or NULL. */
const char *config_table_nearest(const char *text, const char *const *words);

/* The range of a row in words, "10s..24h"; "" for one without. Returns *buffer*. */
char *config_table_range(const ConfigRow *row, char *buffer, size_t size);
