/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "config-table.h"

#define TEXT_MAX 1024
#define SOURCES_MAX 100
#define SUBSCRIPTIONS_MAX 32 /* each has its own connections and thread */
#define DATE_FIELDS_MAX 64
#define WORD_MAX 48
#define GIB (UINT64_C(1) << 30)

#define TOP(field) offsetof(Config, field)
#define SOURCE(field) offsetof(SourceConfig, field)
#define SUBSCRIPTION(field) offsetof(SubscriptionConfig, field)
#define MONGODB(field) offsetof(MongodbConfig, field)

/* clang-format off */
static const ConfigRow config_rows[] = {
        { "state_dir", &config_type_directory, TOP(state_dir), 1, TEXT_MAX,
                .derived = "$STATE_DIRECTORY, else " CONFIG_STATE_DIR_DEFAULT,
                .doc = "Directory of the outbox, where readings wait until Pub/Sub has them." },
        { "log_level", &config_type_log_level, TOP(log_level), .fallback = "info",
                .doc = "The least urgent messages that are logged." },

        { "pubsub", &config_type_section, 0, .flags = CONFIG_REQUIRED,
                .doc = "The Google Cloud Pub/Sub project, and how to reach it." },
        { "pubsub.project", &config_type_project, TOP(pubsub.project), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "The project of a topic or subscription that is given as a bare id." },
        { "pubsub.credentials_file", &config_type_file, TOP(pubsub.credentials_file), 1, TEXT_MAX,
                .derived = "Google's usual search",
                .doc = "Secret file: a service account's key, or the credentials of a gcloud login." },
        { "pubsub.endpoint", &config_type_url, TOP(pubsub.endpoint), 1, TEXT_MAX, .fallback = "https://pubsub.googleapis.com",
                .doc = "Server of the Pub/Sub API." },
        { "pubsub.ca_file", &config_type_file, TOP(pubsub.ca_file), 1, TEXT_MAX,
                .doc = "PEM file of certificate authorities that replaces the system's for Pub/Sub and its token endpoint." },

        { "publish", &config_type_section, 0,
                .doc = "Polling sensors and publishing their readings; without it the daemon only subscribes." },
        { "publish.topic", &config_type_topic, TOP(topic), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "The topic that readings are published to." },
        { "publish.outbox", &config_type_section, TOP(outbox), .flags = CONFIG_IMPLIED,
                .doc = "Limits of the queue on disk." },
        { "publish.outbox.max_rows", &config_type_count, offsetof(OutboxConfig, max_rows), 1, 100000000, "1000000",
                .doc = "Readings that the outbox holds at most; at this limit polling stops." },
        { "publish.outbox.max_bytes", &config_type_size, offsetof(OutboxConfig, max_bytes), 64 * 1024, 1024 * GIB, "256MiB",
                .doc = "Bytes of payloads, attributes and rejected readings that the outbox holds at most; at this limit polling stops." },
        { "publish.sources", &config_type_list, TOP(sources), 1, SOURCES_MAX, .flags = CONFIG_REQUIRED,
                .size = sizeof(SourceConfig), .count = TOP(n_sources),
                .doc = "The sensors to poll." },
        { "publish.sources[].name", &config_type_name, SOURCE(name), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "Name of the source in messages, logs and keys; unique." },
        { "publish.sources[].type", &config_type_source, SOURCE(type), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "What kind of source it is." },
        { "publish.sources[].interval", &config_type_duration, SOURCE(interval), 10 * USEC_PER_SEC, 24 * USEC_PER_HOUR, "60s",
                .doc = "Time from one poll to the next." },
        { "publish.sources[].token_file", &config_type_file, SOURCE(token_file), 1, TEXT_MAX, .derived = "none; nature_remo needs one",
                .doc = "Secret file with the token of the sensor's API." },
        { "publish.sources[].url", &config_type_url, SOURCE(url), 1, TEXT_MAX, .derived = "nature_remo: https://api.nature.global",
                .doc = "Server of the sensor's API." },
        { "publish.sources[].ca_file", &config_type_file, SOURCE(ca_file), 1, TEXT_MAX,
                .doc = "PEM file of certificate authorities that replaces the system's for this source." },

        { "subscribe", &config_type_list, TOP(subscriptions), 1, SUBSCRIPTIONS_MAX,
                .size = sizeof(SubscriptionConfig), .count = TOP(n_subscriptions),
                .doc = "The subscriptions to pull from, and where their messages are stored; without it the daemon only publishes." },
        { "subscribe[].subscription", &config_type_subscription, SUBSCRIPTION(subscription), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "The subscription that messages are pulled from; unique." },
        { "subscribe[].interval", &config_type_duration, SUBSCRIPTION(interval), 0, USEC_PER_HOUR, "0s",
                .doc = "Wait after a pull that found the queue empty; 0s is a long poll without pause." },
        { "subscribe[].max_messages", &config_type_unsigned, SUBSCRIPTION(max_messages), 1, 1000, "1000",
                .doc = "Messages of one pull at most." },
        { "subscribe[].pulls", &config_type_unsigned, SUBSCRIPTION(pulls), 1, 16, "2",
                .doc = "Pulls in flight plus batches not yet stored, at most." },
        { "subscribe[].id_attribute", &config_type_attribute, SUBSCRIPTION(id_attribute), 1, 256, "idempotency_key",
                .doc = "The message attribute that becomes the document's _id; the message id stands in where it is missing." },
        { "subscribe[].max_hold", &config_type_duration, SUBSCRIPTION(max_hold), 10 * USEC_PER_SEC, USEC_PER_HOUR, "1h",
                .doc = "How long a batch that cannot be stored is held before it is left to the queue again." },

        { "subscribe[].mongodb", &config_type_section, SUBSCRIPTION(mongodb),
                .doc = "Stores the messages in MongoDB." },
        { "subscribe[].mongodb.uri", &config_type_uri, MONGODB(uri), 1, 4 * TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "MongoDB's connection string." },
        { "subscribe[].mongodb.password_file", &config_type_file, MONGODB(password_file), 1, TEXT_MAX,
                .doc = "Secret file with the password of the user in uri." },
        { "subscribe[].mongodb.database", &config_type_database, MONGODB(database), 1, 63, .flags = CONFIG_REQUIRED,
                .doc = "The database that documents are stored in." },
        { "subscribe[].mongodb.collection", &config_type_collection, MONGODB(collection), 1, 200, .flags = CONFIG_REQUIRED,
                .doc = "The collection that documents are stored in." },
        { "subscribe[].mongodb.rejected_collection", &config_type_collection, MONGODB(rejected_collection), 1, 200,
                .derived = "COLLECTION_rejected",
                .doc = "The collection for messages that can never be stored, each with the reason." },
        { "subscribe[].mongodb.date_fields", &config_type_names, MONGODB(date_fields), 0, DATE_FIELDS_MAX, "[created_at, updated_at, request_at]",
                .doc = "Names, at any depth, whose RFC 3339 strings become BSON dates." },
        { "subscribe[].mongodb.backoff", &config_type_section, 0, .flags = CONFIG_IMPLIED,
                .doc = "Waiting between tries while MongoDB is down; drawn at random below a ceiling that doubles." },
        { "subscribe[].mongodb.backoff.initial", &config_type_duration, MONGODB(backoff_initial), USEC_PER_SEC, USEC_PER_HOUR, "1s",
                .doc = "Ceiling of the first wait." },
        { "subscribe[].mongodb.backoff.max", &config_type_duration, MONGODB(backoff_max), USEC_PER_SEC, USEC_PER_HOUR, "60s",
                .doc = "Ceiling of every wait." },
};

/* What the rules must know of each type of source; publish/source.c has the rows that do the work, and a test checks that both agree. */
static const ConfigSourceType config_source_types[] = {
        { "nature_remo", "https://api.nature.global", true },
};
/* clang-format on */

const ConfigSourceType *config_source_type(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(config_source_types); i++)
                if (strcmp(config_source_types[i].name, name) == 0)
                        return &config_source_types[i];

        return NULL;
}

const ConfigRow *config_table_row(size_t index) {
        return index < ELEMENTSOF(config_rows) ? &config_rows[index] : NULL;
}

bool config_table_is_in(const ConfigRow *row, const char *section, const char **ret_name) {
        size_t size = strlen(section);
        const char *name = row->key;

        if (size > 0) {
                if (strncmp(name, section, size) != 0 || name[size] != '.')
                        return false;
                name += size + 1;
        }
        if (strchr(name, '.'))
                return false;

        if (ret_name)
                *ret_name = name;
        return true;
}

const ConfigRow *config_table_find(const char *section, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(config_rows); i++) {
                const char *key;

                if (config_table_is_in(&config_rows[i], section, &key) && strcmp(key, name) == 0)
                        return &config_rows[i];
        }

        return NULL;
}

const ConfigRow *config_table_elsewhere(const char *section, const char *name) {
        const ConfigRow *found = NULL;

        for (size_t i = 0; i < ELEMENTSOF(config_rows); i++) {
                const char *dot = strrchr(config_rows[i].key, '.');

                if (strcmp(dot ? dot + 1 : config_rows[i].key, name) != 0 ||
                        config_table_is_in(&config_rows[i], section, NULL))
                        continue;
                if (found)
                        return NULL;
                found = &config_rows[i];
        }

        return found;
}

static size_t smallest(size_t a, size_t b, size_t c) {
        size_t ab = a < b ? a : b;

        return ab < c ? ab : c;
}

/* Letters to insert, delete or replace until *a* is *b* (Levenshtein). Both are shorter than WORD_MAX. */
static size_t word_distance(const char *a, const char *b) {
        size_t row[WORD_MAX + 1], n = strlen(b);

        for (size_t j = 0; j <= n; j++)
                row[j] = j;

        for (size_t i = 1; a[i - 1] != '\0'; i++) {
                size_t corner = row[0];

                row[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        size_t replaced = corner + (a[i - 1] != b[j - 1]);

                        corner = row[j];
                        row[j] = smallest(row[j] + 1, row[j - 1] + 1, replaced);
                }
        }

        return row[n];
}

const char *config_table_nearest(
        const char *text, const char *(*next)(const void *list, size_t index), const void *list) {
        size_t size = strlen(text), best = size / 3 + 1;
        const char *nearest = NULL, *word;

        if (size == 0 || size >= WORD_MAX)
                return NULL;

        for (size_t i = 0; (word = next(list, i)); i++) {
                size_t distance;

                if (strlen(word) >= WORD_MAX)
                        continue;
                distance = word_distance(text, word);
                if (distance <= best && distance < size) {
                        best = distance > 0 ? distance - 1 : 0;
                        nearest = word;
                }
        }

        return nearest;
}

char *config_table_allowed(const ConfigRow *row, char *buffer, size_t size) {
        char min[24], max[24];

        if (row->type->format) {
                row->type->format(row->min, min, sizeof(min));
                row->type->format(row->max, max, sizeof(max));
                (void) snprintf(buffer, size, "%s..%s", min, max);
        } else
                (void) snprintf(buffer, size, "%s", row->type->allowed);

        return buffer;
}

void config_describe(
        void (*each)(void *userdata, const char *key, const char *type, const char *fallback, const char *doc),
        void *userdata) {
        for (size_t i = 0; i < ELEMENTSOF(config_rows); i++) {
                const ConfigRow *row = &config_rows[i];
                char type[200], range[60] = "";

                if (row->type->format)
                        (void) config_table_allowed(row, range, sizeof(range));
                (void) snprintf(type, sizeof(type), "%s%s%s%s", row->type->name, range[0] != '\0' ? " " : "", range,
                        row->flags & CONFIG_REQUIRED ? ", required" : "");
                each(userdata, row->key, type, row->fallback ? row->fallback : row->derived, row->doc);
        }
}
