/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The configuration that `init` is about to write: the recipes that it is made of, what was answered so far, in memory
 * only, and its text. */

#include "config.h"
#include "lib/bytes.h"

/* ---- recipes ---- */

/* What `sensorqd init` can write for a sensor, or for a place where readings are kept: the blocks of docs/RECIPES.md,
 * made into a table by init-recipes.py when the program is built. */
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

/* ---- the draft ---- */

#define INIT_PARTS_MAX 160   /* more than options can name, and than a person has the patience for */
#define INIT_SECRETS_MAX 512 /* each may have two, and as many again that were answered anew */
#define INIT_KEY_FILE "pubsub-credential.json"

/* An entry of publish.sources or of subscribe. */
typedef struct InitPart {
        const InitRecipe *recipe;
        char *answers[INIT_QUESTIONS_MAX]; /* of a secret the name of its file; NULL: its line is left out */
} InitPart;

typedef struct InitSecret {
        char *file; /* in CONFIGDIR/credentials */
        char *text; /* wiped */
        bool there; /* that file has this text already */
} InitSecret;

typedef struct InitDraft {
        char *path, *directory; /* of the configuration */
        bool japanese;          /* its comments */
        char *key_path;         /* where the key is now; NULL: none. Its text is among the secrets */
        char *key_file;         /* its name in CONFIGDIR/credentials; NULL: none */
        char *state_dir, *project, *topic, *endpoint, *ca_file; /* NULL: left out */
        InitPart parts[INIT_PARTS_MAX];
        size_t n_parts;
        InitSecret secrets[INIT_SECRETS_MAX];
        size_t n_secrets;
} InitDraft;

/* An empty one for the configuration at *path*. -ENOMEM. */
int init_draft_new(const char *path, bool japanese, InitDraft **ret);
InitDraft *init_draft_free(InitDraft *draft);
CLEANUP_DEFINE(InitDraft, init_draft_free)

/* Replaces one of the texts above; *value* may be NULL. -ENOMEM. */
int init_draft_set(char **text, const char *value);

/* Appends an entry with the recipe's own texts as answers, borrowed until it is dropped. -E2BIG, -ENOMEM. */
int init_draft_add(InitDraft *draft, const InitRecipe *recipe, InitPart **ret);

/* Nothing more is asked for the last entry, which is dropped unless *keep*. Forgets the secrets that neither an entry
 * nor the key names: of what was dropped, or answered anew. */
void init_draft_end_last(InitDraft *draft, bool keep);

/* The recipe of that kind and name, or NULL. */
const InitRecipe *init_draft_recipe(InitKind kind, const char *name);

/* Whether any entry is of that kind. */
bool init_draft_has(const InitDraft *draft, InitKind kind);

/* Takes a secret for the configuration, under the name *file* or, where CONFIGDIR/credentials or an entry before the
 * last has another one under that name, under one that is free ("mongodb-2.password"): no file is ever replaced.
 * *ret_file* (borrowed) is the name. -E2BIG, -ENOMEM, or the errno of a file there that cannot be read. */
int init_draft_keep_secret(InitDraft *draft, const char *file, const char *text, const char **ret_file);

/* Forgets the key of the account: another answer came. */
void init_draft_drop_key(InitDraft *draft);

/* The secret in CONFIGDIR/credentials/FILE, as secret_read_file() gives it; -ENOENT. */
int init_draft_find_secret(const InitDraft *draft, const char *file, char **ret);

/* The text of the file. *live*: the key is named where it is now. -ENOMEM. */
int init_draft_text(const InitDraft *draft, bool live, Bytes *ret);

/* The configuration as it would be read, its secrets in it. As config_parse(). */
int init_draft_parse(const InitDraft *draft, Config **ret, ConfigErrors *errors);
