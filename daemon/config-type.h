/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The language that the configuration is described in. A section is a table of rows, one for each key: its type, its
 * place in the section's struct, its range, its default, its line of documentation. Reader, comparison, release, the
 * reference page and the example file all follow the rows.
 *
 * The common sections stand in config.c; a type of source or sink brings a section of its own. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

typedef struct ConfigRow ConfigRow;
typedef struct ConfigSection ConfigSection;
typedef struct ConfigPlace ConfigPlace; /* config-place.h */
typedef struct ConfigTypes ConfigTypes; /* config.h */

/* ---- types of values ---- */

typedef enum ConfigStorage {
        CONFIG_TEXT,     /* char * */
        CONFIG_TEXTS,    /* char **, NULL at the end; NULL when the key is not there and has no default */
        CONFIG_MAP,      /* ConfigMap */
        CONFIG_SECRET,   /* ConfigSecret */
        CONFIG_SECRETS,  /* ConfigSecrets */
        CONFIG_NUMBER,   /* uint64_t, usec_t */
        CONFIG_UNSIGNED, /* unsigned */
        CONFIG_INT,      /* int */
        CONFIG_BOOL,     /* bool */
        CONFIG_DECIMAL,  /* double; NAN when the key is not there and has no default */
        CONFIG_SECTION,  /* a mapping: a struct of its own, or more fields of the one around it */
        CONFIG_LIST,     /* a list of mappings: an array of structs and its length */
        CONFIG_VARIANT,  /* the name of a type, see ConfigVariants; nothing else is stored */
} ConfigStorage;

/* A secret file. Its text comes from secret_read_all(), when what needs it is made, and is wiped with the rest. */
typedef struct ConfigSecret {
        char *file; /* NULL: the key is not there */
        char *text;
} ConfigSecret;

typedef struct ConfigSecrets {
        ConfigSecret *items;
        size_t n;
} ConfigSecrets;

/* Names and texts, in the order of the file. */
typedef struct ConfigPair {
        char *name;
        char **values; /* NULL at the end; exactly one without CONFIG_MANY */
} ConfigPair;

typedef struct ConfigMap {
        ConfigPair *items;
        size_t n;
} ConfigMap;

/* The first text under that name, or NULL. */
const char *config_map_get(const ConfigMap *map, const char *name);

/* What is wrong, as the rest of a sentence about the value: "is not a duration". Never quotes the value, which may be a
 * secret. */
typedef struct ConfigProblem {
        char text[200];
} ConfigProblem;

/* Fills it in; returns -EBADMSG. */
int config_problem_set(ConfigProblem *problem, const char *format, ...) _printf_(2, 3);

typedef struct ConfigType {
        const char *name;    /* for the reference page */
        const char *allowed; /* in words; NULL: the range says it */
        ConfigStorage storage;
        /* Exactly one of these for scalars (text may be left out: any text). 0, or -EBADMSG with *ret_problem* filled
         * in; -ENOMEM of a text. Ranges are checked by the caller. */
        int (*number)(const char *text, uint64_t *ret, ConfigProblem *ret_problem);
        int (*decimal)(const char *text, double *ret, ConfigProblem *ret_problem);
        int (*text)(const char *text, ConfigProblem *ret_problem);
        const char *const *words; /* one of these, NULL at the end: its index is the number */
        /* Of a map: checks a name; NULL: any. Of a secret: checks the content of the file; NULL: any line. */
        int (*inside)(const char *text, ConfigProblem *ret_problem);
        void (*tidy)(char *text); /* may shorten what was found right; NULL: as it stands */
        /* Writes a limit of the range as a user would; NULL: the range is a length, and is not told. */
        void (*format)(uint64_t value, char *buffer, size_t size);
        bool empty;   /* "" is a text as well */
        bool plain;   /* a quoted scalar is a string, and wrong here */
        bool private; /* the value is never quoted in an error */
        bool beside;  /* a relative file name stands beside the configuration, and is stored with its directory */
} ConfigType;

extern const ConfigType config_type_duration, config_type_size, config_type_count, config_type_unsigned,
        config_type_decimal, config_type_bool, config_type_log_level;
extern const ConfigType config_type_directory, config_type_url, config_type_project, config_type_topic,
        config_type_subscription, config_type_name, config_type_attribute, config_type_text, config_type_names,
        config_type_map;
/* A URL of any server, with a query if need be; *config_type_url* takes https or loopback only, for a secret goes
 * there. Neither takes the metadata server, which is there for tokens only. */
extern const ConfigType config_type_web_url;
/* A list of texts of any kind, "" as well: the arguments of a program. */
extern const ConfigType config_type_texts;
/* Headers of requests, without those that carry a secret: `auth` is there for them. */
extern const ConfigType config_type_headers;
/* Where to listen: an IP address and a port, or systemd:NAME. */
extern const ConfigType config_type_address;
/* Names that a reading and a message may have beside their own. */
extern const ConfigType config_type_labels;
/* A secret file that a type reads as a text (ConfigSecret); one whose text goes into a header as it is; one that is
 * read elsewhere; and a file that is no secret and stands beside the configuration. */
extern const ConfigType config_type_secret, config_type_token, config_type_tokens, config_type_value,
        config_type_secret_name, config_type_path;
extern const ConfigType config_type_section, config_type_list, config_type_variant;

/* Whether *text* is a full name: projects/PROJECT/COLLECTION/ID, *collection* being "topics" or "subscriptions". */
bool config_type_is_full_name(const char *text, const char *collection);

/* ---- sections ---- */

enum {
        CONFIG_REQUIRED = 1 << 0, /* missing is an error, when its section is there */
        CONFIG_IMPLIED = 1 << 1,  /* a section whose defaults hold even when it is left out */
        CONFIG_UNIQUE = 1 << 2,   /* a text that no other entry of the list has */
        CONFIG_ONE = 1 << 3,      /* of a list of texts or secrets: a single value stands for a list of one */
        CONFIG_MANY = 1 << 4,     /* of a map: each name may have a list of texts */
        CONFIG_POINTER = 1 << 5,  /* of a section: stored as a pointer to its struct, NULL when it is not there */
};

struct ConfigRow {
        const char *key; /* in its section: "interval"; NULL ends the rows */
        const ConfigType *type;
        size_t offset;        /* in the section's struct */
        uint64_t min, max;    /* of the value; of the length of a text; of the number of entries of a list */
        const char *fallback; /* the default as it would be written in the file; NULL: none */
        const char *derived;  /* the default in words, when it depends on something else; NULL: see fallback */
        unsigned flags;
        const ConfigSection *section; /* of a section, of a list's entries */
        size_t count;                 /* of a list: place of its length, a size_t */
        const char *doc;
};

/* Where the rest of a section depends on a type. Three fields of its struct say which one it is. */
typedef struct ConfigVariants {
        const char *what; /* "source" */
        bool nested;      /* the type's rows are a section of its name; else they stand beside the key `type` */
        /* The types, by index; NULL past the end. */
        const ConfigSection *(*at)(const ConfigTypes *types, size_t index);
        size_t name;    /* place of a const char *: the type's name */
        size_t section; /* place of a const ConfigSection *: its rows */
        size_t keys;    /* place of a void *: its struct */
} ConfigVariants;

struct ConfigSection {
        const char *name; /* of a type: "mongodb"; else NULL */
        const char *doc;  /* of a type */
        const ConfigRow *rows;
        size_t size; /* of its struct */
        /* What no row can say alone; NULL: nothing. Called when every key is right by itself. *self* is the section's
         * struct; *around*, for a type, that of the section which it stands in, else NULL. May complete values; says
         * what is wrong by config_place_fail(). 0, -EBADMSG, -ENOMEM. */
        int (*rule)(const ConfigPlace *place, void *self, void *around);
        const ConfigVariants *variants;
        const char *shorthand; /* the key that a single value in place of the section stands for; NULL: none */
        /* Of a section that several types have: the reference page describes it once, under this name. NULL: where it
         * stands. */
        const char *shared;
};
