/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The types of values that a configuration knows: duration, size, name, URL, ... Each one checks a text and says what
 * is wrong with it; none knows files, lines or keys. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

typedef enum ConfigStorage {
        CONFIG_TEXT,     /* char * */
        CONFIG_TEXTS,    /* char **, NULL at the end */
        CONFIG_NUMBER,   /* uint64_t, usec_t */
        CONFIG_UNSIGNED, /* unsigned */
        CONFIG_INT,      /* int */
        CONFIG_SECTION,  /* a mapping: a struct of its own, or more fields of the one around it */
        CONFIG_LIST,     /* a list of mappings: an array of structs and its length */
} ConfigStorage;

/* What is wrong, as the rest of a sentence about the value: "is no duration". Never quotes the value, which may be a
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
        /* Exactly one of these for scalars. 0, or -EBADMSG with *ret_problem* filled in. Ranges are checked by the
         * caller. */
        int (*number)(const char *text, uint64_t *ret, ConfigProblem *ret_problem);
        int (*text)(const char *text, ConfigProblem *ret_problem);
        /* Writes a limit of the range as a user would; NULL: the range is a length, and is not told. */
        void (*format)(uint64_t value, char *buffer, size_t size);
        bool plain;   /* a quoted scalar is a string, and wrong here */
        bool private; /* the value is never quoted in an error */
} ConfigType;

extern const ConfigType config_type_duration, config_type_size, config_type_count, config_type_unsigned,
        config_type_log_level;
extern const ConfigType config_type_directory, config_type_file, config_type_url, config_type_project,
        config_type_topic, config_type_subscription;
extern const ConfigType config_type_name, config_type_source, config_type_attribute;
extern const ConfigType config_type_uri, config_type_database, config_type_collection, config_type_names;
extern const ConfigType config_type_section, config_type_list;

/* Whether *text* is a full name: projects/PROJECT/COLLECTION/ID, *collection* being "topics" or "subscriptions". */
bool config_type_is_full_name(const char *text, const char *collection);
