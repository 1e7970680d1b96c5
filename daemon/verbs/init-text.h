/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What `init` says, in English and Japanese. */

#include "lib/bytes.h"

typedef struct InitWords {
        const char *english, *japanese;
} InitWords;

typedef enum InitText {
        INIT_SAY_BEGIN, /* {1}: the file */
        INIT_SAY_DRY_RUN,
        INIT_SAY_STEP_PUBSUB,
        INIT_SAY_STEP_SOURCES, /* this and the next two are in the order of InitKind */
        INIT_SAY_STEP_SINKS,
        INIT_SAY_STEP_PAGE,
        INIT_SAY_STEP_WRITE,
        INIT_ASK_KEY,
        INIT_SAY_KEY_NONE,
        INIT_SAY_KEY_BAD, /* {1}: the file, {2}: why */
        INIT_ASK_PROJECT,
        INIT_ASK_TOPIC,
        INIT_SAY_NOT_YET,   /* {1}: a topic or subscription */
        INIT_SAY_FORBIDDEN, /* {1}: the account, {2}: a topic or subscription */
        INIT_SAY_GRANT,
        INIT_SAY_API_OFF,
        INIT_ASK_WHICH,       /* {1}: the highest number */
        INIT_SAY_NONE_SOURCE, /* in the order of InitKind */
        INIT_SAY_NONE_SINK,
        INIT_SAY_NONE_PAGE,
        INIT_ASK_ANOTHER_SOURCE,
        INIT_ASK_ANOTHER_SINK,
        INIT_ASK_USE_SECRET, /* {1}: its file */
        INIT_SAY_HIDDEN,
        INIT_SAY_OPTIONAL,
        INIT_SAY_EMPTY,
        INIT_SAY_PASSWORD_MOVED,
        INIT_ASK_WHAT_NOW,
        INIT_ASK_WHAT_NOW_ENTRY,
        INIT_SAY_NOTHING_TO_DO,
        INIT_SAY_FILE,   /* {1}: a file that would be written */
        INIT_SAY_SECRET, /* {1}: the same, for a secret */
        INIT_ASK_WRITE,
        INIT_SAY_WRITTEN, /* {1}: a file */
        INIT_SAY_NOTHING_WRITTEN,
        INIT_SAY_KEY_LEFT,       /* {1}: the original */
        INIT_ASK_ENABLE,         /* {1}: the unit */
        INIT_SAY_ENABLE_BY_HAND, /* {1}: the unit */
        INIT_SAY_NOT_ALL_WELL,   /* {1}: " -c FILE", or "" for the default file */
        INIT_SAY_DONE,           /* {1}: the unit, {2}: " -c FILE" or "" */
        INIT_SAY_PAGE,           /* {1}: host and port */
        INIT_COMMENT_TOP,        /* {1}: directory of the file, {2}: the unit, {3}: " -c FILE" or "" */
        INIT_COMMENT_PROJECT,
        INIT_COMMENT_KEY,
        INIT_COMMENT_PUBLISH,
        INIT_COMMENT_SUBSCRIBE,
} InitText;

/* Returns the words in the user's language: Japanese if that is Japanese in UTF-8, by $LC_ALL, else $LC_MESSAGES, else
 * $LANG. *words* may be NULL in both languages. */
const char *init_words(const InitWords *words);

/* Returns the text in the user's language, with {1} to {3} as they stand there. */
const char *init_text(InitText text);

/* Appends the text, with *values* in place of {1} to {3}; NULL is an empty one. -ENOMEM. */
int init_text_append(Bytes *out, InitText text, const char *const values[static 3]);

/* Prints the text on standard output, with *first* for {1} and *second* for {2}; either may be NULL. */
void init_say(InitText text, const char *first, const char *second);
