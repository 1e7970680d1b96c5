/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A place in the configuration file, and the messages about it. */

#include "config-type.h"
#include "lib/bytes.h"
#include "lib/yaml.h"

#define CONFIG_ERRORS_MAX 20

/* Sentences for a user: "FILE:LINE:COLUMN: KEY: what is wrong; allowed: ...". They contain no secret, not even from a
 * uri. `ConfigErrors e = {};` is empty. */
typedef struct ConfigErrors {
        char *texts[CONFIG_ERRORS_MAX]; /* in the order of the file */
        size_t n;                       /* the last text of a full list says how many were left out */
        size_t left_out;
        unsigned lines[CONFIG_ERRORS_MAX]; /* line of each text; 0: no place */
} ConfigErrors;
/* Frees the texts; the list is empty afterwards. */
void config_errors_done(ConfigErrors *errors);

/* Drops the errors of the lines from *from* to *to*. */
void config_errors_drop(ConfigErrors *errors, unsigned from, unsigned to);

/* Writes the first error, and how many more there are; "": none. */
void config_errors_sum_up(const ConfigErrors *errors, char *buffer, size_t size);

typedef struct ConfigReader {
        const char *path;      /* name of the file, for messages */
        const char *directory; /* directory of the file, for relative names */
        Slice text;            /* content of the file */
        const ConfigSection *root;
        const ConfigTypes *types;
        ConfigErrors *errors, *warnings;
} ConfigReader;

/* A section of the file, and the path to it: "publish.sources[]". */
struct ConfigPlace {
        const ConfigReader *reader;
        const ConfigPlace *parent; /* NULL: the file itself */
        const char *key;           /* in its parent; "" for the file itself */
        bool entry;                /* true: an entry of the list under that key */
        const YamlNode *node;      /* a mapping */
};

/* Notes an error or a warning about *key* of the section (NULL: about the section). Its place is *node*; NULL: the
 * value, or the start of the section. *errors* is one of the reader's two lists. -EBADMSG for an error, 0 for a
 * warning; -ENOMEM when it could not be noted. */
int config_place_tell(const ConfigPlace *place, ConfigErrors *errors, const char *key, const YamlNode *node,
        const char *format, ...) _printf_(5, 6);
#define config_place_fail(place, key, ...) config_place_tell(place, (place)->reader->errors, key, NULL, __VA_ARGS__)
#define config_place_warn(place, key, ...) config_place_tell(place, (place)->reader->warnings, key, NULL, __VA_ARGS__)

/* Warns if *key* is set although nothing reads it: "has no effect: WHY". 0 or -ENOMEM. */
int config_place_unused(const ConfigPlace *place, const char *key, const char *why);

/* Warns if the value of *key*, a path, begins with what only a shell replaces: `~/`, `$HOME/`. 0 or -ENOMEM. */
int config_place_path(const ConfigPlace *place, const char *key, const char *path);

extern const ConfigSection config_tls_section;

/* Takes a certificate and its key from *tls*, or from the keys of the same names beside it, which version 0.2.0 had.
 * Both or neither, and not twice. 0, -EBADMSG, -ENOMEM. */
int config_place_tls(const ConfigPlace *place, ConfigTls *tls, char **certificate, char **key);

/* Appends words, which end with NULL, with *between* between them. -ENOMEM. */
int config_words(Bytes *out, const char *const *words, const char *between);

/* Checks that the section has the keys that *kind* needs, and none that only other kinds have. *type* is the kind's
 * name. */
int config_place_kind(const ConfigPlace *place, const ConfigRow *rows, unsigned kind, const char *type);

/* Notes an error of YAML itself or of the file; *at_line* 0 means no place. -EBADMSG or -ENOMEM. */
#define config_reader_fail(reader, at_line, at_column, ...)                                                            \
        config_place_tell(&(ConfigPlace){ reader, .key = "" }, (reader)->errors, NULL,                                 \
                &(YamlNode){ .line = at_line, .column = at_column }, __VA_ARGS__)

/* ---- for config.c ---- */

/* config-reader.c: reads the whole file into the zeroed struct of the root section at *base*; the caller frees its
 * content with config_table_done() in any case. Everything that it does not understand is an error. It goes on after an
 * error, so that all errors of a file are reported at once. -EBADMSG with the errors filled in, or -ENOMEM. */
int config_reader_read(const ConfigReader *reader, const YamlNode *root, void *base);

/* config-slips.c: finds mistakes that people make when they type YAML, line by line, and notes them in place of the
 * errors that they led to. YAML's parser stops at the first mistake, often some lines below it, and its message needs
 * knowledge of the grammar. Only used for a file that is wrong; *line* is where the parser stopped, 0 if it did not:
 * only there it looks whether lines are indented alike. It guesses, but it knows the keys of all sections. The notes
 * contain nothing of a value. 0 or -ENOMEM. */
int config_slips_note(const ConfigReader *reader, unsigned line);
