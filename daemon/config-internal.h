/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the reader share: config-file.c has the file and its text, config-reader.c walks the tree along the
 * rows and fills in the structs, config-value.c reads one value, config-slips.c finds what people mistype. Nobody else
 * includes this. */

#include "config-place.h"
#include "config-table.h"

/* ---- config-reader.c ---- */

/* Reads the whole file into the zeroed struct of the root section at *base*, whose content is config_table_done()'s to
 * free in any case. Strict: what it does not understand is an error, and it reads on, so that all errors of a file are
 * told at once. -EBADMSG with the errors filled in, or -ENOMEM. */
int config_reader_read(const ConfigReader *reader, const YamlNode *root, void *base);

/* ---- config-value.c ---- */

typedef struct ConfigValue {
        const ConfigPlace *place; /* the section that it stands in */
        const ConfigRow *row;
        const YamlNode *node;
} ConfigValue;

/* Checks a scalar, or a list of them, and stores it at *place*. 0, -EBADMSG with the error noted, -ENOMEM. */
int config_value_read(const ConfigValue *value, void *place);

/* "is a list; allowed: ...". Both return as config_place_fail(). */
int config_value_fail_kind(const ConfigValue *value);
int config_value_fail(const ConfigValue *value, const char *format, ...) _printf_(2, 3);

/* What may be written there, in words. Returns *buffer*, or a text that stays. */
const char *config_value_allowed(const ConfigRow *row, char *buffer, size_t size);

/* ---- config-slips.c ---- */

/* Slips that people make when they type YAML, found line by line: YAML's own parser stops at the first one, often lines
 * below it, with words for somebody who knows the grammar. Only asked about a file that is wrong; a guess, but one that
 * knows the keys. Pure. */
typedef struct ConfigSlips {
        const char *text;
        size_t size;
        bool (*is_key)(const void *userdata, const char *word); /* of the configuration, in whatever section */
        const void *keys;
        /* Line and column from 1, and what is wrong there, without a word of a value. 0, or an error that ends it. */
        int (*found)(void *userdata, unsigned line, unsigned column, const char *words);
        void *userdata;
} ConfigSlips;

/* 0, or what *found* returned. */
int config_slips_find(const ConfigSlips *slips);
