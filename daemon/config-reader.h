/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Walks a YAML tree along the table and fills in the structs; strict. Stops at the first thing that it does not
 * understand. */

#include "config-table.h"
#include "config.h"
#include "lib/yaml.h"

typedef struct ConfigReader {
        const char *path; /* for messages */
        ConfigError *error;
} ConfigReader;

/* Reads the whole file's mapping into *config*, which is zeroed. -EBADMSG with the error filled in, or -ENOMEM. */
int config_reader_read(const ConfigReader *reader, const YamlNode *root, Config *config);

/* Fills in the error, "FILE:LINE:COLUMN: KEY: ...", and returns -EBADMSG. *node* is where the value (not the key)
 * stands; NULL: no place in the file. */
int config_reader_fail(const ConfigReader *reader, const YamlNode *node, const char *key, const char *format, ...)
        _printf_(4, 5);
