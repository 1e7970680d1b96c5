/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `sensorqd init`: what a first configuration needs is asked for, or taken from options, and tried at once. */

#include "verbs/init-draft.h"
#include "verbs/init-text.h"
#include "verbs/session.h"

#define INIT_OPTIONS_MAX 64

/* What was given on the command line; all borrowed from it. */
typedef struct InitOptions {
        const char *project, *key_file, *topic, *endpoint, *ca_file, *state_dir;
        const char *parts[INIT_PAGE + 1][INIT_OPTIONS_MAX]; /* names of recipes, or "none", by kind */
        const char *sets[INIT_OPTIONS_MAX];                 /* RECIPE.KEY=TEXT */
        const char *secrets[INIT_OPTIONS_MAX];              /* NAME=FILE */
        size_t n_parts[INIT_PAGE + 1], n_sets, n_secrets;
        bool yes, dry_run, unchecked, enable, list;
} InitOptions;

/* Reads what follows the verb; argv[0] is the verb. 0; 64 with a line on standard error; -1 when it was --help. */
int init_options_parse(int argc, char **argv, InitOptions *ret);

/* The text behind "NAME=" among *list*, or NULL. */
const char *init_options_find(const char *const *list, size_t n, const char *name);

/* Prints what --source, --sink and --page take, and the keys of --set and --secret. */
void init_options_list(void);

typedef struct Init {
        InitOptions options;
        InitDraft *draft;
        bool japanese;
        bool asks; /* somebody sits at a terminal */
} Init;

/* ---- for the steps ---- */

/* A text in the language of who runs this; the same printed, *first* for {1}, *second* for {2}. */
const char *init_words(const Init *init, InitText text);
void init_say(const Init *init, InitText text, const char *first, const char *second);

/* What to do where something was refused: a person says it; without one it is STOP. The end of it is said. LEAVE_OUT
 * for an *entry* only. 0, or as ask.h. */
typedef enum InitVerdict { INIT_GOOD, INIT_AGAIN, INIT_LEAVE_OUT, INIT_STOP } InitVerdict;
int init_ask_verdict(const Init *init, bool entry, InitVerdict *ret);

/* Where the file would be wrong: a person is asked what to do; else an option was wrong. 0, or 64, said. */
int init_wrong_answer(const Init *init);

/* Says that an option is needed where nobody can be asked: "--secret ", NAME. Returns 64. */
int init_missing(const char *option, const char *name);

/* A session over what was answered so far; *ret* NULL: none, only whether that is a configuration. 0; EX_CONFIG, said
 * why, where that is no configuration; an exit code of session_open(); -ENOMEM. */
int init_open_session(const Init *init, Config **ret_config, Session **ret);

/* Whether a topic or subscription may be used, or is still to be made; else which role is missing, and how it is
 * granted. */
bool init_look_at(const Init *init, Session *session, const char *resource, const char *permission);

/* The steps before the last: 0; the exit code that ends the verb (positive); an errno. */
int init_step_pubsub(Init *init);
int init_step_parts(Init *init, InitKind kind);

/* ---- init-write.c ---- */

/* Puts it on the disk: secrets first, each whole or not at all, and the configuration last. What ends the process in
 * between, be it SIGKILL or the power, leaves secrets that the next `init` finds, and no configuration. */

/* Whether the configuration may be written: FREE, or EXISTS, when there is one that somebody wrote. The example that a
 * fresh machine has, unchanged, is nobody's. -EACCES, -EROFS and such: its directory cannot be written to. */
enum { INIT_WRITE_FREE = 0, INIT_WRITE_EXISTS = 1 };
int init_write_look(const char *path);

/* Writes it all, and says each file on standard output; a file that is there is never replaced (but for that example).
 * Signals wait until it is done. FREE or EXISTS as above (it came meanwhile; nothing else was touched but secrets),
 * errno as open(2), write(2), link(2). */
int init_write_all(const InitDraft *draft, const Bytes *text);
