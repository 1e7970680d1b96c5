/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What `sensorqd init` can write for a sensor, or for a place where readings are kept: the blocks of docs/RECIPES.md,
 * made into a table by init-recipes.py when the program is built. */

#include <stdbool.h>

#define INIT_QUESTIONS_MAX 8 /* of one recipe */
#define INIT_MARK_FIRST 1    /* byte of a template that the first question's answer replaces; the others follow */
#define INIT_MARK_TOPIC 0x1f /* and the one that stands for the id of the topic */

typedef struct InitWords {
        const char *english, *japanese;
} InitWords;

/* A text; the same that only an option changes; a secret; one that need not be. */
typedef enum InitAnswer { INIT_ASK, INIT_OPTION, INIT_SECRET, INIT_OPTIONAL_SECRET } InitAnswer;

typedef struct InitQuestion {
        InitAnswer kind;
        const char *key;      /* "uri"; of a secret the name of its file. NULL ends the questions */
        const char *fallback; /* a text's default, a secret's file */
        InitWords words;
} InitQuestion;

/* A sensor, a place where readings are kept, the web page. */
typedef enum InitKind { INIT_SOURCE, INIT_SINK, INIT_PAGE } InitKind;

typedef struct InitRecipe {
        InitKind kind;
        const char *name; /* "switchbot"; NULL ends the recipes */
        InitWords title;
        InitWords failed;  /* what to do where the remote end refuses; NULL: nothing to add */
        const char *block; /* an entry of the list, with marks */
        InitQuestion questions[INIT_QUESTIONS_MAX + 1];
} InitRecipe;

/* In the order of the page. */
extern const InitRecipe init_recipes[];
/* config/sensorqd.yaml, which a fresh machine has: nobody's configuration as long as it is unchanged. */
extern const char init_example[];
