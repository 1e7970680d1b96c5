/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The configuration that `init` is going to write: its recipes, the answers so far (in memory only), and its text. */

#include "config.h"
#include "verbs/init-text.h"

/* ---- recipes ---- */

/* What `sensorqd init` can write for a sensor, or for a place where readings are kept: the blocks of docs/RECIPES.md,
 * made into a table by init-recipes.py when the program is built. */
#define INIT_QUESTIONS_MAX 8 /* of one recipe */
#define INIT_MARK_FIRST 1    /* in a block: the first question's answer; the next byte: the second's */
#define INIT_MARK_TOPIC 0x1f /* in a block: the id of the topic */

/* A text; a text that only an option changes; a secret; a secret that may be left out. */
typedef enum InitAnswer { INIT_ASK, INIT_OPTION, INIT_SECRET, INIT_OPTIONAL_SECRET } InitAnswer;

typedef struct InitQuestion {
        InitAnswer kind;
        const char *key;      /* "uri"; for a secret the name of its file. NULL ends the questions */
        const char *fallback; /* default of a text; file of a secret */
        InitWords words;
} InitQuestion;

/* A sensor; a place where readings are kept; the web page. */
typedef enum InitKind { INIT_SOURCE, INIT_SINK, INIT_PAGE } InitKind;

typedef struct InitRecipe {
        InitKind kind;
        const char *name; /* "switchbot"; NULL ends the recipes */
        InitWords title;
        InitWords failed;  /* what to do when the remote end refuses; NULL: nothing to add */
        const char *block; /* an entry of the list, with marks */
        InitQuestion questions[INIT_QUESTIONS_MAX + 1];
} InitRecipe;

/* In the order of docs/RECIPES.md. */
extern const InitRecipe init_recipes[];
/* The text of config/sensorqd.yaml, which the package installs. As long as it is unchanged, `init` may replace it. */
extern const char init_example[];

/* ---- the draft ---- */

#define INIT_PARTS_MAX 160                        /* more than options can name or a person would enter */
#define INIT_SECRETS_MAX (1 + 2 * INIT_PARTS_MAX) /* the key, and two of each part */

/* An entry of publish.sources or of subscribe, or the page. */
typedef struct InitPart {
        const InitRecipe *recipe;
        char *answers[INIT_QUESTIONS_MAX]; /* for a secret the name of its file; NULL: its line is left out */
        size_t first_secret;               /* its own secrets begin here in the list */
} InitPart;

typedef struct InitSecret {
        char *path;       /* in the directory of credentials */
        const char *file; /* the last part of it */
        char *text;       /* wiped */
        bool there;       /* the file exists with this text already */
} InitSecret;

/* Parts and secrets are stacks: the account's key is the first secret, those of the last part are the last. */
typedef struct InitDraft {
        const char *path;                           /* of the configuration file; borrowed, as the next three */
        const char *state_dir, *endpoint, *ca_file; /* NULL: left out */
        char *directory;                            /* of the configuration file */
        char *credentials;                          /* the directory of the secrets, in that one */
        char *option;                               /* with which a verb reads it: " -c FILE", or "" for the default */
        char *key_path;                             /* where the key is now; NULL: none. Then it has no secret either */
        char *project, *topic;
        InitPart parts[INIT_PARTS_MAX];
        size_t n_parts;
        InitSecret secrets[INIT_SECRETS_MAX];
        size_t n_secrets;
} InitDraft;

/* Makes an empty draft for the configuration at *path*. -ENOMEM. */
int init_draft_new(const char *path, InitDraft **ret);
InitDraft *init_draft_free(InitDraft *draft);
CLEANUP_DEFINE(InitDraft, init_draft_free)

/* Replaces one of the draft's texts; *value* may be NULL. -ENOMEM. */
int init_draft_set(char **text, const char *value);

/* Appends a part with the recipe's defaults as answers. *ret* is borrowed, until the part is dropped. -E2BIG,
 * -ENOMEM. */
int init_draft_add(InitDraft *draft, const InitRecipe *recipe, InitPart **ret);

/* Drops the last part with its secrets. */
void init_draft_drop_last(InitDraft *draft);

/* Returns the recipe of that kind and name, or NULL. */
const InitRecipe *init_draft_recipe(InitKind kind, const char *name);

/* Whether any part is of that kind. */
bool init_draft_has(const InitDraft *draft, InitKind kind);

/* Keeps a secret under the name *file*. When CONFIGDIR/credentials or the draft has another secret of that name, it
 * takes a free name ("mongodb-2.password"): no file is ever replaced. *ret_file* (borrowed) is the name. -E2BIG: no
 * name is free, or too many secrets; -ENOMEM; -ENOTDIR. */
int init_draft_keep_secret(InitDraft *draft, const char *file, const char *text, const char **ret_file);

/* Forgets all secrets but the first *n*: the others are asked for once more. */
void init_draft_forget_secrets(InitDraft *draft, size_t n);

/* Reads the secret CONFIGDIR/credentials/FILE. Errors as secret_read_file(); -ENOENT when it does not exist. */
int init_draft_find_secret(const InitDraft *draft, const char *file, char **ret);

/* Makes the text of the configuration file. *live*: it names the key where it is now. -ENOMEM. */
int init_draft_text(const InitDraft *draft, bool live, Bytes *ret);

/* Parses the draft as if it had been written, secrets included. Errors as config_parse(). */
int init_draft_parse(const InitDraft *draft, Config **ret, ConfigErrors *errors);
