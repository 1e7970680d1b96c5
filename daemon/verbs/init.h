/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `sensorqd init`: asks for what a first configuration needs, or takes it from options, and tries it at once. */

#include "verbs/init-draft.h"

#define INIT_OPTIONS_MAX 64

typedef struct InitList {
        const char *items[INIT_OPTIONS_MAX];
        size_t n;
} InitList;

/* The command line's options; all texts are borrowed from it. */
typedef struct InitOptions {
        const char *project, *key_file, *topic, *endpoint, *ca_file, *state_dir;
        InitList parts[INIT_PAGE + 1]; /* names of recipes, or "none", by kind */
        InitList sets;                 /* RECIPE.KEY=TEXT */
        InitList secrets;              /* NAME=FILE */
        const char *config;            /* --config behind the verb; NULL: it was before it, or is the default */
        bool yes, dry_run, unchecked, enable, list, help;
} InitOptions;

typedef struct Init {
        InitOptions options;
        InitDraft *draft;
        bool asks; /* somebody sits at a terminal */
} Init;

/* ---- init-ask.c ---- */

/* Ask for what is still open, and try the answers at once: account, project and topic; the parts of one kind. 0; an
 * exit code (positive) that ends the verb; an errno, and -ENODATA when the input has ended. */
int init_ask_pubsub(const Init *init);
int init_ask_parts(const Init *init, InitKind kind);

/* ---- init-write.c ---- */

/* Writes the files: secrets first, each complete or not at all, and the configuration last. A process that is killed,
 * or loses power, in between leaves secrets, which the next `init` finds, and no configuration. */

/* Returns whether the configuration may be written: FREE, or EXISTS when the file exists and is not the unchanged
 * example. -EACCES, -EROFS and the like: its directory cannot be written to. */
enum { INIT_WRITE_FREE = 0, INIT_WRITE_EXISTS = 1 };
int init_write_check(const char *path);

/* Writes all files and prints each on standard output. It never replaces a file but that example. Signals are blocked
 * until it is done. FREE: done. EXISTS: the configuration has appeared meanwhile, and only secrets may have been
 * written. Errno of open(2), write(2), link(2). */
int init_write_all(const InitDraft *draft, const Bytes *text);
