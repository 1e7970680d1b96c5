/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The configuration file as plain values. It comes from one table (config-table.c: key, parser, place in the struct,
 * range, default, one line of documentation), and one function for the rules that span keys. Strict: what is not
 * understood is an error with line and column (P9). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "lib/clock.h"

#define CONFIG_FILE_DEFAULT "/etc/sensorqd/sensorqd.yaml"
#define CONFIG_STATE_DIR_DEFAULT "/var/lib/sensorqd"

typedef struct SourceConfig {
        char *name; /* [a-z0-9-]{1,63}, unique */
        char *type; /* a row of the table in publish/source.c */
        usec_t interval;
        char *token_file; /* secret file name, see secret.h */
        char *url;
        char *ca_file; /* NULL: the system's trust anchors */
} SourceConfig;

typedef struct OutboxConfig {
        uint64_t max_rows;
        uint64_t max_bytes;
} OutboxConfig;

typedef struct MongodbConfig {
        char *uri;
        char *password_file; /* NULL: none */
        char *database;
        char *collection;
        char *rejected_collection; /* filled in: COLLECTION_rejected */
        char **date_fields;        /* NULL at the end; never NULL itself */
        usec_t backoff_initial, backoff_max;
        bool password_in_uri; /* or another secret: works, but deserves EVENT_CONFIG_WARNING */
} MongodbConfig;

typedef struct SubscriptionConfig {
        char *subscription; /* full name: projects/P/subscriptions/S */
        usec_t interval;
        unsigned max_messages; /* 1..1000 */
        unsigned pulls;        /* 1..16 */
        char *id_attribute;
        usec_t max_hold;  /* a held batch is let go after this; default and maximum 1 h */
        const char *sink; /* name of the sink section that is present: "mongodb" */
        MongodbConfig mongodb;
} SubscriptionConfig;

typedef struct PubsubConfig {
        char *project;
        char *credentials_file; /* NULL: Google's usual search, see credentials.h */
        char *endpoint;         /* without a trailing slash; after $PUBSUB_EMULATOR_HOST was heeded */
        char *ca_file;
        bool emulator; /* $PUBSUB_EMULATOR_HOST won: no credentials */
} PubsubConfig;

typedef struct Config {
        unsigned references;
        char *path;      /* of the file, as given */
        char *directory; /* of the file: where relative secret files are sought last */
        char *state_dir;
        int log_level; /* syslog level */
        PubsubConfig pubsub;
        bool publishes; /* a publish section is there */
        char *topic;    /* full name: projects/P/topics/T */
        OutboxConfig outbox;
        SourceConfig *sources;
        size_t n_sources;
        SubscriptionConfig *subscriptions;
        size_t n_subscriptions;
} Config;

/* What the configuration must know of a type of source. The table of types that do the work (publish/source.c) stands
 * to the right of this file, so that config-table.c has rows of its own; a test checks that both agree. */
typedef struct ConfigSourceType {
        const char *name;
        const char *default_url; /* NULL: `url` is required */
        bool needs_token;
} ConfigSourceType;

/* NULL for a type that does not exist; no loaded config holds one. */
const ConfigSourceType *config_source_type(const char *name);

#define CONFIG_ERROR_MAX 512
typedef struct ConfigError {
        char text[CONFIG_ERROR_MAX]; /* "FILE:LINE:COLUMN: KEY: what is wrong, what is allowed"; no secret, not even
                                        from a uri */
} ConfigError;

/* Reads the file. -EBADMSG with *ret_error filled in for anything that a user can mend in the file (larger than
 * YAML_SIZE_MAX included); another errno when it cannot be read (-EISDIR a directory, -EINVAL no regular file, else as
 * open(2)) or memory is short, *ret_error filled in as well. Opens no secret. Environment: $STATE_DIRECTORY,
 * $PUBSUB_EMULATOR_HOST, through *getenv* (NULL: the process's). */
int config_load(const char *path, const char *(*getenv)(const char *name), Config **ret, ConfigError *ret_error);

/* The same from memory; *path* is for messages and config->directory. */
int config_parse(const char *path, const char *text, size_t size, const char *(*getenv)(const char *name), Config **ret,
        ConfigError *ret_error);

/* Stages point into the Config that they were made from, so each holds a reference through daemon.c. */
Config *config_ref(Config *config);
Config *config_unref(Config *config);
CLEANUP_DEFINE(Config, config_unref)

/* Whether a running stage can stay as it is when the config changes. */
bool source_config_equal(const SourceConfig *a, const SourceConfig *b);
bool subscription_config_equal(const SubscriptionConfig *a, const SubscriptionConfig *b);
bool pubsub_config_equal(const PubsubConfig *a, const PubsubConfig *b);

/* Rows of the table for the reference page and its test: calls *each* with the dotted key
 * ("publish.sources[].interval"), its type and range ("duration 10s..24h"; ends in ", required" when it is), its
 * default (NULL: none) and its one-line documentation. */
void config_describe(
        void (*each)(void *userdata, const char *key, const char *type, const char *fallback, const char *doc),
        void *userdata);
