/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A place in the configuration file, and what is said about it. */

#include <stdarg.h>

#include "config-type.h"
#include "lib/bytes.h"
#include "lib/yaml.h"

#define CONFIG_ERRORS_MAX 20

/* Sentences for a user: "FILE:LINE:COLUMN: KEY: what is wrong; allowed: ...". No secret is in one, not even from a uri.
 * `ConfigErrors e = {};` is empty. */
typedef struct ConfigErrors {
        char **texts; /* in the order of the file */
        size_t n;     /* at most CONFIG_ERRORS_MAX; the last one then says how many more there are */
        size_t left_out;
        unsigned lines[CONFIG_ERRORS_MAX]; /* of the file; 0: no place */
} ConfigErrors;
/* Frees the texts, and leaves none. */
void config_errors_done(ConfigErrors *errors);

/* Drops those of the lines *from* to *to*. */
void config_errors_drop(ConfigErrors *errors, unsigned from, unsigned to);

/* The first one, and how many more there are. */
void config_errors_sum_up(const ConfigErrors *errors, char *buffer, size_t size);

typedef struct ConfigReader {
        const char *path;      /* of the file, for messages */
        const char *directory; /* of the file, for what stands beside it */
        const char *text;      /* the file */
        size_t size;
        const ConfigSection *root;
        const ConfigTypes *types;
        ConfigErrors *errors, *warnings;
} ConfigReader;

/* A section of the file, and how it is reached: "publish.sources[]". */
struct ConfigPlace {
        const ConfigReader *reader;
        const ConfigPlace *parent; /* NULL: the file itself */
        const char *key;           /* in its parent; "" for the file itself */
        bool entry;                /* one of the list under that key */
        const YamlNode *node;      /* a mapping */
};

/* Says what is wrong with *key* of the section (NULL: with the section), and where: at its value, or where the section
 * begins. -EBADMSG; -ENOMEM when it could not be noted. */
int config_place_fail(const ConfigPlace *place, const char *key, const char *format, ...) _printf_(3, 4);

/* The same for a value that is at hand, or a key: *node* is where it stands. */
int config_place_note(const ConfigPlace *place, const char *key, const YamlNode *node, const char *format, va_list list)
        _printf_(4, 0);

/* The same for what works all the same. 0 or -ENOMEM. */
int config_place_warn(const ConfigPlace *place, const char *key, const char *format, ...) _printf_(3, 4);

/* Warns where *key* stands and nothing reads it: "has no effect: WHY". 0 or -ENOMEM. */
int config_place_unused(const ConfigPlace *place, const char *key, const char *why);

/* Every name of *names* (NULL: none) must be in *known*; both end with NULL. *what* says what is named: "target". */
int config_place_refer(
        const ConfigPlace *place, const char *key, char *const *names, const char *const *known, const char *what);

/* Which keys a kind needs, and which it may have besides: bits of 1 << kind. */
typedef struct ConfigUse {
        const char *key;
        unsigned needed, allowed;
} ConfigUse;

/* The keys of *uses* that stand there must be those of *kind*, whose name is *type*. */
int config_place_uses(const ConfigPlace *place, const ConfigUse *uses, size_t n, unsigned kind, const char *type);

/* For errors of YAML itself and of the file: *line* 0 is no place. -EBADMSG or -ENOMEM. */
int config_reader_fail(const ConfigReader *reader, unsigned line, unsigned column, const char *format, ...)
        _printf_(4, 5);
