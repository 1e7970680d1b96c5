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

/* config_value_fail_kind() says "is a list; allowed: ...". Both return the same as config_place_fail(). */
int config_value_fail_kind(const ConfigValue *value);
int config_value_fail(const ConfigValue *value, const char *format, ...) _printf_(2, 3);

/* Describes the allowed values. Returns *buffer*, or a constant text. */
const char *config_value_allowed(const ConfigRow *row, char *buffer, size_t size);

/* ---- config-slips.c ---- */

/* Finds mistakes that people make when they type YAML, line by line. YAML's parser stops at the first mistake, often
 * some lines below it, and its message needs knowledge of the grammar. Only used for a file that is wrong. It guesses,
 * but it knows the keys. Pure. */
typedef struct ConfigSlips {
        const char *text;
        size_t size;
        bool (*is_key)(const void *userdata, const char *word); /* true for a key of any section */
        const void *keys;
        /* Gets line and column from 1, and what is wrong there; *words* contain nothing of a value. Returns 0, or an
         * error that ends the search. */
        int (*found)(void *userdata, unsigned line, unsigned column, const char *words);
        void *userdata;
} ConfigSlips;

/* Returns 0, or what *found* returned. */
int config_slips_find(const ConfigSlips *slips);
