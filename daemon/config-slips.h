/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Slips that people make when they type YAML, found line by line: YAML's own parser stops at the first one, often lines
 * below it, with words for somebody who knows the grammar. Only asked about a file that is wrong; a guess, but one that
 * knows the keys. Pure. */

#include <stdbool.h>
#include <stddef.h>

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
