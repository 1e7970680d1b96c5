/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The configuration as plain values (P9: a wrong one never gets this far). config-file.h reads it. */

#include "config-place.h"
#include "lib/clock.h"

#define CONFIG_FILE_DEFAULT "/etc/sensorqd/sensorqd.yaml"
#define CONFIG_STATE_DIR_DEFAULT "/var/lib/sensorqd"

/* What the types of sources and sinks bring, by index; NULL past the end. types.c has them. */
struct ConfigTypes {
        const ConfigSection *(*source)(size_t index);
        const ConfigSection *(*sink)(size_t index);
};

typedef struct SourceConfig {
        char *name;       /* [a-z0-9-]{1,63}, unique */
        const char *type; /* of the source: "nature_remo" */
        usec_t interval;
        ConfigMap labels;             /* its own, and those of `publish` that it does not set itself */
        const ConfigSection *section; /* the type's rows */
        void *keys;                   /* the type's own struct */
} SourceConfig;

typedef struct OutboxConfig {
        uint64_t max_rows;
        uint64_t max_bytes;
} OutboxConfig;

/* Ceilings of the first wait and of every wait. */
typedef struct BackoffConfig {
        usec_t initial, max;
} BackoffConfig;

typedef struct SubscriptionConfig {
        char *subscription; /* full name: projects/P/subscriptions/S */
        usec_t interval;
        unsigned max_messages; /* 1..1000 */
        unsigned pulls;        /* 1..16 */
        char *id_attribute;
        usec_t max_hold; /* a held batch is let go after this */
        int payload;     /* PayloadFormat of subscribe/payload.h */
        BackoffConfig backoff;
        const char *state_dir;        /* of the configuration; borrowed */
        const char *sink;             /* type, and name of its section: "mongodb" */
        const ConfigSection *section; /* the type's rows */
        void *keys;                   /* the type's own struct */
} SubscriptionConfig;

typedef struct PubsubConfig {
        char *project;
        char *credentials_file; /* NULL: Google's usual search, see credentials.h */
        char *endpoint;         /* without a trailing slash; after $PUBSUB_EMULATOR_HOST was heeded */
        char *ca_file;
        bool emulator; /* $PUBSUB_EMULATOR_HOST won: no credentials */
} PubsubConfig;

/* The web page. */
typedef struct PageConfig {
        char *listen;                      /* an address, or systemd:NAME */
        char **hosts;                      /* NULL at the end; NULL: none */
        ConfigSecret password;             /* file NULL: none is asked for */
        char *certificate_file, *key_file; /* both or none */
        bool allow_plain;
        char *subscription; /* full name; NULL: the page chooses */
        ConfigMap series;   /* fields and their names; "" hides one */
} PageConfig;

typedef struct Config {
        unsigned references;
        char *path;            /* of the file, as given */
        char *directory;       /* of the file: where relative secret files are sought last */
        ConfigErrors warnings; /* what works, but deserves EVENT_CONFIG_WARNING */
        char *state_dir;
        int log_level; /* syslog level */
        PubsubConfig pubsub;
        bool publishes;                   /* a publish section is there */
        char *topic;                      /* full name: projects/P/topics/T */
        bool topic_has_other_subscribers; /* publish also where no subscription of this file is on the topic */
        ConfigMap labels;                 /* of every source; merged into theirs */
        OutboxConfig outbox;
        SourceConfig *sources;
        size_t n_sources;
        SubscriptionConfig *subscriptions;
        size_t n_subscriptions;
        PageConfig *page; /* NULL: there is none */
} Config;

/* The whole file as a section, struct Config. */
extern const ConfigSection config_section;
/* Section BackoffConfig, for the rows of a type. */
extern const ConfigSection config_backoff_section;
/* Section PageConfig. */
extern const ConfigSection config_page_section;
/* state_dir of a file in *directory* that does not say it: $STATE_DIRECTORY (*given*; NULL: not set), else that of the
 * unit that runs the file. NULL: no memory. */
char *config_state_dir(const char *path, const char *directory, const char *given);

/* Stages point into the Config that they were made from, so each holds a reference through daemon.c. */
Config *config_ref(Config *config);
Config *config_unref(Config *config);
CLEANUP_DEFINE(Config, config_unref)

/* The section of a subscription, by its full name; NULL: there is none. */
const SubscriptionConfig *config_find_subscription(const Config *config, Slice name);

/* Whether a running stage can stay as it is when the config changes. */
bool config_source_equal(const SourceConfig *a, const SourceConfig *b);
bool config_subscription_equal(const SubscriptionConfig *a, const SubscriptionConfig *b);
bool config_page_equal(const PageConfig *a, const PageConfig *b); /* NULL: there is none */
bool config_pubsub_equal(const Config *a, const Config *b);
