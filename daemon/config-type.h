/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The language that describes the configuration. A section is a table of rows, one for each key: its type, its place in
 * the section's struct, its range, its default, one line of documentation. Reading, comparing and freeing, the
 * reference page and the example file all follow the rows.
 *
 * The common sections are in config.c; each type of source or sink has its own section. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

typedef struct ConfigRow ConfigRow;
typedef struct ConfigSection ConfigSection;
typedef struct ConfigPlace ConfigPlace; /* config-place.h */
typedef struct ConfigTypes ConfigTypes; /* config.h */

/* ---- types of values ---- */

typedef enum ConfigStorage {
        CONFIG_TEXT,     /* char * */
        CONFIG_TEXTS,    /* char **, NULL at the end; NULL when the key is not set and has no default */
        CONFIG_MAP,      /* ConfigMap */
        CONFIG_SECRET,   /* ConfigSecret */
        CONFIG_SECRETS,  /* ConfigSecrets */
        CONFIG_NUMBER,   /* uint64_t, usec_t */
        CONFIG_UNSIGNED, /* unsigned */
        CONFIG_INT,      /* int */
        CONFIG_BOOL,     /* bool */
        CONFIG_DECIMAL,  /* double; NAN when the key is not set and has no default */
        CONFIG_SECTION,  /* a mapping: a struct of its own, or more fields of the struct around it */
        CONFIG_LIST,     /* a list of mappings: an array of structs and its length */
        CONFIG_VARIANT,  /* the name of a type, see ConfigVariants; stores nothing itself */
} ConfigStorage;

/* A secret file. secret_read_all() reads its text shortly before it is needed; the text is wiped with the rest. */
typedef struct ConfigSecret {
        char *file; /* NULL: the key is not set */
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

/* Returns the first text under that name, or NULL. */
const char *config_map_get(const ConfigMap *map, const char *name);

/* What is wrong with a value, as the end of a sentence: "is not a duration". It never quotes the value, which may be a
 * secret. */
typedef struct ConfigProblem {
        char text[200];
} ConfigProblem;

/* Writes the text; returns -EBADMSG. */
int config_problem_set(ConfigProblem *problem, const char *format, ...) _printf_(2, 3);

/* Letters and digits of ASCII, for strspn(3). */
#define CONFIG_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

typedef struct ConfigType {
        const char *name;    /* for the reference page */
        const char *allowed; /* description; NULL: the range describes it, or else the name */
        ConfigStorage storage;
        /* Exactly one of these for scalars; without *text*, any text is allowed. They return 0, or -EBADMSG with
         * *ret_problem* filled in; *text* also -ENOMEM. The caller checks ranges. */
        int (*number)(const char *text, uint64_t *ret, ConfigProblem *ret_problem);
        int (*decimal)(const char *text, double *ret, ConfigProblem *ret_problem);
        int (*text)(const char *text, ConfigProblem *ret_problem);
        const char *const *words; /* one of these words, NULL at the end: the number is its index, and *first* */
        int first;
        /* For texts: only these characters, none of those (NULL: any), and what is wrong otherwise; *text* comes
         * after that. */
        const char *letters, *without, *wrong;
        /* For a map: checks a name; NULL: any name. For a secret: checks the content of the file; NULL: any line. */
        int (*inside)(const char *text, ConfigProblem *ret_problem);
        void (*tidy)(char *text); /* may shorten a valid text; NULL: the text is kept as written */
        /* Writes a limit of the range in the form that a user would write; NULL: the range is a length, and is not
         * shown. */
        void (*format)(uint64_t value, char *buffer, size_t size);
        bool empty;   /* "" is allowed */
        bool plain;   /* a quoted scalar is a text, and so an error here */
        bool private; /* the value is never quoted in an error */
        bool file;    /* the value is the name of a file or directory */
        bool beside;  /* a relative file name belongs to the directory of the configuration, and is stored with it */
} ConfigType;

extern const ConfigType config_type_duration, config_type_size, config_type_count, config_type_unsigned,
        config_type_decimal, config_type_bool, config_type_log_level;
extern const ConfigType config_type_directory, config_type_url, config_type_project, config_type_topic,
        config_type_subscription, config_type_name, config_type_attribute, config_type_text, config_type_names,
        config_type_map;
/* A URL of any server; it may have a query. *config_type_url* allows only https or loopback, because a secret is sent
 * there. Neither allows the metadata server, which only gives tokens. */
extern const ConfigType config_type_web_url;
/* Returns the first of *names*, NULL at the end, that a parameter of the URL has, in any case; NULL: none. */
const char *config_type_query_names(const char *url, const char *const *names);
/* A list of texts of any kind, also "": the arguments of a program. */
extern const ConfigType config_type_texts;
/* Headers of requests, but none that carries a secret: those belong to `auth`. */
extern const ConfigType config_type_headers;
/* An address to listen on: an IP address and a port, or systemd:NAME. */
extern const ConfigType config_type_address;
/* Names that a reading and a message may have in addition to their own. */
extern const ConfigType config_type_labels;
/* Files. config_type_secret, _token, _tokens and _value: secret files whose text is read (ConfigSecret, ConfigSecrets);
 * _token and _value check that the text can be part of a header. _secret_name: a secret file that is read elsewhere.
 * _path: a file that is not a secret, relative to the configuration. _state_directory: a directory that the service
 * writes to; a relative one is below state_dir. */
extern const ConfigType config_type_secret, config_type_token, config_type_tokens, config_type_value,
        config_type_secret_name, config_type_path, config_type_state_directory;
extern const ConfigType config_type_section, config_type_list, config_type_variant;

/* The section `tls` of everything that connects or listens: who we are. */
typedef struct ConfigTls {
        char *certificate_file, *key_file; /* both or neither */
} ConfigTls;

/* True if *text* is a full name: projects/PROJECT/COLLECTION/ID; *collection* is "topics" or "subscriptions". */
bool config_type_is_full_name(const char *text, const char *collection);

/* ---- sections ---- */

enum {
        CONFIG_REQUIRED = 1 << 0, /* it is an error if the section is there without this key */
        CONFIG_IMPLIED = 1 << 1,  /* a section whose defaults apply even when it is not written */
        CONFIG_UNIQUE = 1 << 2,   /* a text that no other entry of the list may have */
        CONFIG_ONE = 1 << 3,      /* for a list of texts or secrets: a single value means a list with one entry */
        CONFIG_MANY = 1 << 4,     /* for a map: each name may have a list of texts */
        CONFIG_POINTER = 1 << 5,  /* for a section: stored as a pointer to its struct, NULL when it is not written */
};

struct ConfigRow {
        const char *key; /* name of the key in its section: "interval"; NULL ends the rows */
        const ConfigType *type;
        size_t offset;        /* place in the section's struct */
        uint64_t min, max;    /* limits of the value, of the length of a text, or of the number of entries of a list */
        const char *fallback; /* the default as it would be written in the file; NULL: none */
        const char *derived;  /* description of a default that depends on something else; NULL: see fallback */
        unsigned flags;
        const ConfigSection *section; /* for a section, and for the entries of a list */
        size_t count;                 /* for a list: place of its length, a size_t */
        /* For a key that only some kinds of the section have: those that need it, and those that allow it, as bits
         * 1 << kind, for config_place_kind(). */
        unsigned needed, allowed;
        const char *doc;
};

/* The types of a section whose other keys depend on a type. Three fields of its struct say which type it is. */
typedef struct ConfigVariants {
        const char *what; /* "source" */
        bool nested; /* true: the type's rows are in a section of its name; false: they are in the same section as the
                        key `type` */
        /* Returns a type by its index; NULL past the end. */
        const ConfigSection *(*at)(const ConfigTypes *types, size_t index);
        size_t name;    /* place of a const char *: the type's name */
        size_t section; /* place of a const ConfigSection *: its rows */
        size_t keys;    /* place of a void *: its struct */
} ConfigVariants;

struct ConfigSection {
        const char *name; /* for a type: "mongodb"; else NULL */
        const char *doc;  /* for a type */
        const ConfigRow *rows;
        size_t size; /* of its struct */
        /* Checks what one row cannot check; NULL: nothing. Called when every single key is valid. *self* is the
         * section's struct; *around* is, for a type, the struct of the section around it, else NULL. It may complete
         * values, and reports errors with config_place_fail(). 0, -EBADMSG, -ENOMEM. */
        int (*rule)(const ConfigPlace *place, void *self, void *around);
        const ConfigVariants *variants;
        /* For a section that several types have: the reference page describes it once, under this name. NULL: it is
         * described where it is used. */
        const char *shared;
        bool private; /* an unknown key is never quoted in an error, unless it is almost a known one */
};

/* ---- config-table.c: what the rows say of a struct ---- */

/* Returns the row of that key, or NULL. */
const ConfigRow *config_table_find(const ConfigSection *section, const char *key);

#define CONFIG_PATH_MAX 160
/* Returns how many sections have a key of that name: *section*, those below it, and those of types. *path* gets the way
 * to the first, "publish.sources[].interval"; it may be NULL. */
unsigned config_table_search(
        const ConfigSection *section, const ConfigTypes *types, const char *key, char path[CONFIG_PATH_MAX]);

/* Frees what the struct at *base* contains, not the struct itself. Texts are wiped, because some are secrets. */
void config_table_done(const ConfigSection *section, void *base);

/* True if two structs have the same content. Secrets are compared by the names of their files. */
bool config_table_equal(const ConfigSection *section, const void *a, const void *b);

/* Calls *each* for every file and directory that the struct names, in the order of the rows, until one call returns
 * other than 0; returns that, or 0. *secret* is where a secret's text is kept; NULL: the file is not read as a secret
 * here. */
typedef int (*ConfigEachFile)(void *userdata, const ConfigRow *row, const char *file, ConfigSecret *secret);
int config_table_each_file(const ConfigSection *section, const void *base, ConfigEachFile each, void *userdata);

/* Returns the word of *words*, which end with NULL, that *text* was probably meant to be, or NULL. */
const char *config_table_nearest(const char *text, const char *const *words);

/* Writes the range of a row, "10s..24h"; "" if it has none. Returns *buffer*. */
char *config_table_range(const ConfigRow *row, char *buffer, size_t size);
