/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the files of the reader: config-file.c has the file and its text, config-reader.c walks through the tree
 * and fills in the structs by their rows, config-value.c reads one value, config-slips.c finds typing mistakes. No
 * other file includes this. */

#include "config-place.h"
#include "config-table.h"

/* ---- config-reader.c ---- */

/* Reads the whole file into the zeroed struct of the root section at *base*; the caller frees its content with
 * config_table_done() in any case. Everything that it does not understand is an error. It goes on after an error, so
 * that all errors of a file are reported at once. -EBADMSG with the errors filled in, or -ENOMEM. */
int config_reader_read(const ConfigReader *reader, const YamlNode *root, void *base);

/* ---- config-value.c ---- */

typedef struct ConfigValue {
        const ConfigPlace *place; /* the section that contains it */
        const ConfigRow *row;
        const YamlNode *node;
} ConfigValue;

/* Checks a scalar or a list of scalars and stores it at *place*. 0, -EBADMSG with the error noted, -ENOMEM. */
int config_value_read(const ConfigValue *value, void *place);

/* Checks that the row allows as many entries. */
int config_value_count(const ConfigValue *value);

/* config_value_fail_kind() says "is a list; allowed: ...". Both return the same as config_place_tell(). */
int config_value_fail_kind(const ConfigValue *value);
#define config_value_fail(value, ...)                                                                                  \
        config_place_tell((value)->place, (value)->place->reader->errors, (value)->row->key, (value)->node, __VA_ARGS__)

/* Describes the allowed values. Returns *buffer*, or a constant text. */
const char *config_value_allowed(const ConfigRow *row, char *buffer, size_t size);

/* ---- config-slips.c ---- */

/* Finds mistakes that people make when they type YAML, line by line, and notes them in place of the errors that they
 * led to. YAML's parser stops at the first mistake, often some lines below it, and its message needs knowledge of the
 * grammar. Only used for a file that is wrong. It guesses, but it knows the keys of all sections. The notes contain
 * nothing of a value. 0 or -ENOMEM. */
int config_slips_note(const ConfigReader *reader);
