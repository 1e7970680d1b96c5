/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The configuration as plain values; it is valid, because a wrong one is refused when it is read (P9). */

#include "config-place.h"
#include "lib/clock.h"

#define CONFIG_DIRECTORY_DEFAULT "/etc/sensorqd"
#define CONFIG_FILE_DEFAULT CONFIG_DIRECTORY_DEFAULT "/sensorqd.yaml"
#define CONFIG_STATE_DIR_DEFAULT "/var/lib/sensorqd"

/* The sections of the types of sources and sinks, by index; NULL past the end. They are listed in types.c. */
struct ConfigTypes {
        const ConfigSection *(*source)(size_t index);
        const ConfigSection *(*sink)(size_t index);
};

typedef struct SourceConfig {
        char *name;       /* [a-z0-9-]{1,63}, unique */
        const char *type; /* type of the source: "nature_remo" */
        usec_t interval;
        ConfigMap labels;             /* its own labels, and those of `publish` that it does not set itself */
        const ConfigSection *section; /* the type's rows */
        void *keys;                   /* the type's own struct */
} SourceConfig;

typedef struct OutboxConfig {
        uint64_t max_rows;
        uint64_t max_bytes;
} OutboxConfig;

/* Upper limits of the first wait and of every wait. */
typedef struct BackoffConfig {
        usec_t initial, max;
} BackoffConfig;

typedef struct SubscriptionConfig {
        char *subscription; /* full name: projects/P/subscriptions/S */
        usec_t interval;
        unsigned max_messages; /* 1..1000 */
        unsigned pulls;        /* 1..16 */
        char *id_attribute;
        usec_t max_hold; /* a batch that is held for this time is let go */
        int payload;     /* PayloadFormat of subscribe/payload.h */
        BackoffConfig backoff;
        const char *state_dir;        /* borrowed from the configuration */
        const char *sink;             /* the type, which is also the name of its section: "mongodb" */
        const ConfigSection *section; /* the type's rows */
        void *keys;                   /* the type's own struct */
} SubscriptionConfig;

typedef struct PubsubConfig {
        char *project;
        char *credentials_file; /* NULL: Google's usual search, see credentials.h */
        char *endpoint;         /* without a slash at its end; $PUBSUB_EMULATOR_HOST has been applied */
        char *ca_file;
        bool emulator; /* set by $PUBSUB_EMULATOR_HOST: no credentials are used */
} PubsubConfig;

/* The web page. */
typedef struct PageConfig {
        char *listen;          /* an address, or systemd:NAME */
        char **hosts;          /* NULL at the end; NULL: none */
        ConfigSecret password; /* file NULL: no password is needed */
        ConfigTls tls;
        bool allow_plain;
        char *subscription; /* full name; NULL: the page chooses */
        ConfigMap series;   /* fields and their names; "" hides one */
} PageConfig;

typedef struct Config {
        unsigned references;
        char *path;            /* name of the file, as given */
        char *directory;       /* directory of the file: the last place where relative secret files are looked for */
        ConfigErrors warnings; /* what is allowed but deserves EVENT_CONFIG_WARNING */
        char *state_dir;
        bool state_dir_given; /* by the file; else it is the default */
        int log_level;        /* syslog level */
        PubsubConfig pubsub;
        bool publishes;                   /* there is a publish section */
        char *topic;                      /* full name: projects/P/topics/T */
        bool topic_has_other_subscribers; /* publish even if no subscription of this file belongs to the topic */
        ConfigMap labels;                 /* labels for every source; merged into theirs */
        OutboxConfig outbox;
        SourceConfig *sources;
        size_t n_sources;
        SubscriptionConfig *subscriptions;
        size_t n_subscriptions;
        PageConfig *page; /* NULL: there is none */
} Config;

/* ---- reading ---- */

/* What reading depends on, apart from the content of the file, and from $STATE_DIRECTORY and $PUBSUB_EMULATOR_HOST. */
typedef struct ConfigInput {
        const char *path; /* name of the file */
        const ConfigTypes *types;
} ConfigInput;

/* -EBADMSG when the file is wrong (also when it is larger than YAML_SIZE_MAX): *errors*, which must be empty before,
 * then has everything that a user must correct. Another errno when the file cannot be read (-EISDIR for a directory,
 * -EINVAL if not a regular file, else errors of open(2)) or memory is short; *errors* is then filled in as far as
 * possible. Does not read secrets. */
int config_load(const ConfigInput *input, Config **ret, ConfigErrors *errors);

/* Like config_load(), but from memory; input->path is used for messages and config->directory. */
int config_parse(const ConfigInput *input, const char *text, size_t size, Config **ret, ConfigErrors *errors);

#define CONFIG_UNIT_SIZE 128
/* Finds the unit that runs the file *path*: /etc/sensorqd/sensorqd.yaml -> sensorqd, /etc/sensorqd/NAME.yaml ->
 * sensorqd@NAME. Returns false when no unit reads it; *unit* is then "sensorqd", for use in a sentence. */
bool config_unit(const char *path, char unit[static CONFIG_UNIT_SIZE]);
/* Returns the length of the instance's name in the name of a configuration file: all before ".yaml", dots included. */
size_t config_name_size(const char *file);
/* Returns the state_dir of a file that does not set it: $STATE_DIRECTORY, else the state directory of the unit that
 * runs the file. An instance that has never run has none: it gets that of sensorqd.service; but with *beside*, which
 * is for verbs that look at what a unit does, the one that its unit will make, if /etc/sensorqd/sensorqd.yaml is there,
 * to which the other one belongs. NULL: no memory. */
char *config_state_dir(const char *path, bool beside);

/* ---- values ---- */

/* The section that is the whole file; its struct is Config. */
extern const ConfigSection config_section;
/* The section of BackoffConfig, for the rows of a type. */
extern const ConfigSection config_backoff_section;
/* The section of PageConfig. */
extern const ConfigSection config_page_section;

/* Counts references: a stage points into the Config that it was made from, and holds a reference. */
Config *config_ref(Config *config);
Config *config_unref(Config *config);
CLEANUP_DEFINE(Config, config_unref)

/* Finds a subscription by its full name; NULL: there is none. */
const SubscriptionConfig *config_find_subscription(const Config *config, Slice name);

/* True if a running stage can stay as it is when the configuration changes. */
bool config_source_equal(const SourceConfig *a, const SourceConfig *b);
bool config_subscription_equal(const SubscriptionConfig *a, const SubscriptionConfig *b);
bool config_page_equal(const PageConfig *a, const PageConfig *b); /* NULL: there is none */
bool config_pubsub_equal(const Config *a, const Config *b);
