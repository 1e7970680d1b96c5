/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config-rules.h"
#include "config-uri.h"
#include "lib/http.h"

#define NAMESPACE_MAX 255 /* bytes of DATABASE.COLLECTION: MongoDB manual, "MongoDB Limits and Thresholds" */
#define COLLECTION_SUFFIX "_rejected"

/* The node of *key* in *section*, or the section itself: a place for a message. */
static const YamlNode *place_of(const YamlNode *section, const char *key) {
        const YamlNode *node = section ? yaml_get(section, key) : NULL;

        return node ? node : section;
}

/* Puts *a*, *b* and *c* together; *place* may be one of them. */
static int text_join(char **place, const char *a, const char *b, const char *c) {
        char *text;

        if (asprintf(&text, "%s%s%s", a, b, c) < 0)
                return -ENOMEM;

        free(*place);
        *place = text;
        return 0;
}

static void cut_slashes(char *url) {
        size_t size = strlen(url);

        while (size > 0 && url[size - 1] == '/')
                url[--size] = '\0';
}

/* A relative ca_file stands beside the configuration. */
static int rule_ca_file(const Config *config, char **ca_file) {
        if (!*ca_file || (*ca_file)[0] == '/')
                return 0;

        return text_join(ca_file, config->directory, "/", *ca_file);
}

/* systemd.exec(5): several directories are separated by colons; the first is ours. */
static int rule_state_dir(const ConfigReader *reader, ConfigGetenv env, Config *config) {
        const char *directories = env("STATE_DIRECTORY");

        if (config->state_dir)
                return 0;
        if (!directories || directories[0] == '\0')
                directories = CONFIG_STATE_DIR_DEFAULT;

        config->state_dir = strndup(directories, strcspn(directories, ":"));
        if (!config->state_dir)
                return -ENOMEM;
        if (config->state_dir[0] != '/')
                return config_reader_fail(reader, NULL, "state_dir",
                        "$STATE_DIRECTORY is no absolute path; set state_dir, or mend the variable");
        return 0;
}

/* ---- pubsub ---- */

static int rule_emulator(const ConfigReader *reader, const char *host, Config *config) {
        int r;

        if (strncmp(host, "http://", 7) == 0)
                host += 7;
        r = text_join(&config->pubsub.endpoint, "http://", host, "");
        if (r < 0)
                return r;

        cut_slashes(config->pubsub.endpoint);
        if (http_url_check(config->pubsub.endpoint) == HTTP_URL_MALFORMED || strpbrk(config->pubsub.endpoint + 7, "/?"))
                return config_reader_fail(reader, NULL, "pubsub.endpoint",
                        "$PUBSUB_EMULATOR_HOST is set, but is no HOST:PORT; mend or unset the variable");

        config->pubsub.emulator = true;
        return 0;
}

static int rule_pubsub(const ConfigReader *reader, const YamlNode *root, ConfigGetenv env, Config *config) {
        const char *emulator = env("PUBSUB_EMULATOR_HOST");
        int r;

        cut_slashes(config->pubsub.endpoint);
        if (strchr(strstr(config->pubsub.endpoint, "://") + 3, '/'))
                return config_reader_fail(reader, place_of(yaml_get(root, "pubsub"), "endpoint"), "pubsub.endpoint",
                        "has a path, but sensorqd appends /v1/projects/... itself; allowed: https://HOST[:PORT]");

        r = rule_ca_file(config, &config->pubsub.ca_file);
        if (r < 0)
                return r;

        return emulator && emulator[0] != '\0' ? rule_emulator(reader, emulator, config) : 0;
}

/* Makes a full name of an id. */
static int rule_full_name(const Config *config, const char *collection, char **name) {
        char *full;

        if (config_type_is_full_name(*name, collection))
                return 0;
        if (asprintf(&full, "projects/%s/%s/%s", config->pubsub.project, collection, *name) < 0)
                return -ENOMEM;

        free(*name);
        *name = full;
        return 0;
}

/* ---- publish ---- */

static int rule_source(const ConfigReader *reader, const YamlNode *node, const Config *config, SourceConfig *source) {
        const ConfigSourceType *type = config_source_type(source->type);

        if (!source->url && !type->default_url)
                return config_reader_fail(
                        reader, node, "publish.sources[].url", "is missing; a source of type %s needs one", type->name);
        if (!source->token_file && type->needs_token)
                return config_reader_fail(reader, node, "publish.sources[].token_file",
                        "is missing; a source of type %s needs one: a secret file with its token", type->name);

        if (!source->url)
                source->url = strdup(type->default_url);
        if (!source->url)
                return -ENOMEM;

        cut_slashes(source->url);
        return rule_ca_file(config, &source->ca_file);
}

static int rule_publish(const ConfigReader *reader, const YamlNode *publish, Config *config) {
        const YamlNode *list = yaml_get(publish, "sources");
        int r;

        config->publishes = true;
        for (size_t i = 0; i < config->n_sources; i++) {
                const YamlNode *node = list->children[i];

                for (size_t j = 0; j < i; j++)
                        if (strcmp(config->sources[i].name, config->sources[j].name) == 0)
                                return config_reader_fail(reader, yaml_get(node, "name"), "publish.sources[].name",
                                        "\"%s\" is the name of the source in line %u already; each name once",
                                        config->sources[i].name, list->children[j]->line);

                r = rule_source(reader, node, config, &config->sources[i]);
                if (r < 0)
                        return r;
        }

        return rule_full_name(config, "topics", &config->topic);
}

/* ---- subscribe ---- */

static int rule_password(const ConfigReader *reader, const YamlNode *node, MongodbConfig *mongodb) {
        const YamlNode *file = place_of(node, "password_file");
        ConfigProblem problem;
        ConfigUri uri;
        int r;

        r = config_uri_parse(mongodb->uri, &uri, &problem);
        if (r < 0)
                return r;

        if (mongodb->password_file && uri.user_password)
                return config_reader_fail(reader, file, "subscribe[].mongodb.password_file",
                        "uri carries a password already; give one of the two");
        if (mongodb->password_file && !uri.user)
                return config_reader_fail(reader, file, "subscribe[].mongodb.password_file",
                        "uri names no user; write mongodb://USER@HOST/...");
        if (uri.user && !uri.user_password && !mongodb->password_file && !uri.keyless)
                return config_reader_fail(reader, place_of(node, "uri"), "subscribe[].mongodb.uri",
                        "names a user without a password; put it into a file, and name that in password_file");

        mongodb->password_in_uri = uri.secret;
        return 0;
}

static int rule_collections(const ConfigReader *reader, const YamlNode *node, MongodbConfig *mongodb) {
        int r;

        if (!mongodb->rejected_collection) {
                r = text_join(&mongodb->rejected_collection, mongodb->collection, COLLECTION_SUFFIX, "");
                if (r < 0)
                        return r;
        }

        if (strcmp(mongodb->collection, mongodb->rejected_collection) == 0)
                return config_reader_fail(reader, place_of(node, "rejected_collection"),
                        "subscribe[].mongodb.rejected_collection",
                        "is the same as collection; choose another, such as %s%s", mongodb->collection,
                        COLLECTION_SUFFIX);
        if (strlen(mongodb->database) + 1 + strlen(mongodb->rejected_collection) > NAMESPACE_MAX)
                return config_reader_fail(reader, place_of(node, "rejected_collection"),
                        "subscribe[].mongodb.rejected_collection",
                        "is too long together with the database; allowed: %d bytes for both and the dot between",
                        NAMESPACE_MAX);
        return 0;
}

static int rule_mongodb(const ConfigReader *reader, const YamlNode *node, MongodbConfig *mongodb) {
        const YamlNode *backoff = place_of(node, "backoff");
        int r;

        r = rule_password(reader, node, mongodb);
        if (r < 0)
                return r;
        r = rule_collections(reader, node, mongodb);
        if (r < 0)
                return r;

        if (mongodb->backoff_initial > mongodb->backoff_max)
                return config_reader_fail(reader, place_of(backoff, yaml_get(backoff, "initial") ? "initial" : "max"),
                        "subscribe[].mongodb.backoff",
                        "initial (%" PRIu64 "s) is longer than max (%" PRIu64 "s); allowed: initial <= max",
                        mongodb->backoff_initial / USEC_PER_SEC, mongodb->backoff_max / USEC_PER_SEC);
        return 0;
}

static int rule_subscribe(const ConfigReader *reader, const YamlNode *list, Config *config) {
        int r;

        for (size_t i = 0; i < config->n_subscriptions; i++) {
                SubscriptionConfig *subscription = &config->subscriptions[i];
                const YamlNode *node = list->children[i], *sink = yaml_get(node, "mongodb");

                if (!sink)
                        return config_reader_fail(reader, node, "subscribe[].mongodb",
                                "is missing; a subscription needs a place to store its messages");
                subscription->sink = "mongodb";
                r = rule_mongodb(reader, sink, &subscription->mongodb);
                if (r < 0)
                        return r;

                r = rule_full_name(config, "subscriptions", &subscription->subscription);
                if (r < 0)
                        return r;
                for (size_t j = 0; j < i; j++)
                        if (strcmp(subscription->subscription, config->subscriptions[j].subscription) == 0)
                                return config_reader_fail(reader, yaml_get(node, "subscription"),
                                        "subscribe[].subscription",
                                        "is the subscription of line %u already; each subscription once",
                                        list->children[j]->line);
        }

        return 0;
}

int config_rules_apply(const ConfigReader *reader, const YamlNode *root, ConfigGetenv env, Config *config) {
        const YamlNode *publish = yaml_get(root, "publish"), *subscribe = yaml_get(root, "subscribe");
        int r;

        r = rule_state_dir(reader, env, config);
        if (r < 0)
                return r;
        r = rule_pubsub(reader, root, env, config);
        if (r < 0)
                return r;

        if (!publish && !subscribe)
                return config_reader_fail(reader, root, "publish",
                        "is missing, and so is subscribe: nothing to do; write one of the two sections, or both");
        if (publish) {
                r = rule_publish(reader, publish, config);
                if (r < 0)
                        return r;
        }

        return subscribe ? rule_subscribe(reader, subscribe, config) : 0;
}
