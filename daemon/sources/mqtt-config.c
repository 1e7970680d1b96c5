/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration keys of the type mqtt. */
#include "config-place.h"
#include "lib/text.h"
#include "sources/mqtt.h"

#define PORT 1883
#define PORT_TLS 8883
#define FIELD(field) offsetof(MqttConfig, field)
#define TEXT_MAX 1024

/* ---- the broker's address ---- */

bool mqtt_address_read(const char *url, HttpUrl *ret) {
        bool tls = strncmp(url, "mqtts:", strlen("mqtts:")) == 0;

        *ret = (HttpUrl){ .tls = tls, .port = tls ? PORT_TLS : PORT };
        return http_url_split_host(strstr(url, "://") + strlen("://"), ret);
}

/* ---- kinds of values ---- */

static int mqtt_url_check(const char *text, ConfigProblem *ret_problem) {
        const char *host = strncmp(text, "mqtt://", 7) == 0    ? text + 7
                           : strncmp(text, "mqtts://", 8) == 0 ? text + 8
                                                               : NULL;

        if (!host)
                return config_problem_set(ret_problem, "does not begin with mqtt:// or mqtts://");
        if (strpbrk(host, "@"))
                return config_problem_set(
                        ret_problem, "holds a user: name it in username, and the password in password_file");
        if (host[0] == '\0' || strpbrk(host, "/?# "))
                return config_problem_set(
                        ret_problem, "is not mqtt://HOST or mqtt://HOST:PORT; topics are a key of their own");
        return 0;
}

static int mqtt_topic_kind_check(const char *text, ConfigProblem *ret_problem) {
        const char *problem = mqtt_topic_check(text);

        return problem ? config_problem_set(ret_problem, "%s", problem) : 0;
}

static const ConfigType type_url = { "URL", "mqtt://HOST, mqtts://HOST, each with :PORT if need be", CONFIG_TEXT,
        .text = mqtt_url_check, .private = true };
static const ConfigType type_topics = { "list of topics",
        "topics with {id}, {name}, {field}, + for a level, {id*} or # for the rest", CONFIG_TEXTS,
        .text = mqtt_topic_kind_check };
static const ConfigType type_retained = { "ignore or store", "ignore or store", CONFIG_INT,
        .words = (const char *const[]){ "ignore", "store", NULL } };

/* ---- rows ---- */

/* clang-format off */
static const ConfigRow rows[] = {
        { "url", &type_url, FIELD(url), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "The broker." },
        { "username", &config_type_text, FIELD(username), 1, TEXT_MAX,
                .doc = "Name of the user at the broker." },
        { "password_file", &config_type_secret, FIELD(password), 1, TEXT_MAX,
                .doc = "Secret file with the user's password." },
        { "client_id", &config_type_text, FIELD(client_id), 1, 256, .derived = "sensorqd- and a hash of machine, state_dir and source",
                .doc = "The name under which the broker keeps our session; no other program may use it." },
        { "topics", &type_topics, FIELD(topics), 1, 100, .flags = CONFIG_REQUIRED | CONFIG_ONE,
                .doc = "The topics to subscribe to; the named parts of a topic become id, name and the value's field." },
        { "retained", &type_retained, FIELD(retained), .fallback = "ignore",
                .doc = "What to do with values that the broker kept from the time before our subscription." },
        { "ca_file", &config_type_path, FIELD(ca_file), 1, TEXT_MAX,
                .doc = "PEM file of certificate authorities that replaces the system's for this source." },
        { "tls", &config_type_section, FIELD(tls), .section = &config_tls_section,
                .doc = "A certificate that tells the broker who we are." },
        { "certificate_file", &config_type_path, FIELD(certificate_file), 1, TEXT_MAX,
                .doc = "The same as in tls." },
        { "key_file", &config_type_path, FIELD(key_file), 1, TEXT_MAX,
                .doc = "The same as in tls." },
        { "allow_plain", &config_type_bool, FIELD(allow_plain), .fallback = "false",
                .doc = "Send the password without TLS to another machine." },
        { "reading", &config_type_section, FIELD(reading), .flags = CONFIG_IMPLIED, .section = &shape_section,
                .doc = "How a message becomes readings." },
        {},
};
/* clang-format on */

/* ---- rules that a single row cannot check ---- */

static int mqtt_rule_topics(const ConfigPlace *place, const MqttConfig *keys) {
        for (size_t i = 0; keys->topics[i]; i++)
                for (size_t j = 0; j < i; j++)
                        if (mqtt_topic_overlap(keys->topics[i], keys->topics[j]))
                                return config_place_fail(place, "topics",
                                        "\"%s\" and \"%s\" can match the same topic, and it is not clear which one "
                                        "names its parts; put one of them into a second source",
                                        keys->topics[j], keys->topics[i]);
        return 0;
}

/* Returns RabbitMQ's VHOST if the user is VHOST:USER: each VHOST has its own clients. */
static Slice mqtt_vhost(const char *user) {
        const char *end = user ? strrchr(user, ':') : NULL;

        return end ? (Slice){ user, (size_t) (end - user) } : (Slice){};
}

/* Two sessions with the same client id are one session, in which each gets what the other subscribed to. That holds for
 * two users as well, except at a broker that makes the id from the user (Mosquitto's use_username_as_clientid). It is
 * only a warning, because 0.2.0 accepted it. */
static int mqtt_rule_client(const ConfigPlace *place, const MqttConfig *keys, const HttpUrl *address) {
        const YamlNode *sources = place->parent ? yaml_get(place->parent->node, "sources") : NULL, *node;
        int r = 0;

        for (size_t i = 0; r == 0 && keys->client_id && sources && (node = sources->children[i]) != place->node; i++) {
                const YamlNode *id = yaml_get(node, "client_id"), *url = yaml_get(node, "url");
                const YamlNode *user = yaml_get(node, "username");
                HttpUrl other;

                if (!id || !text_equal(id->text, keys->client_id) || !url || !url->text ||
                        mqtt_url_check(url->text, &(ConfigProblem){}) < 0 || !mqtt_address_read(url->text, &other) ||
                        strcasecmp(other.host, address->host) != 0 || other.port != address->port ||
                        !slice_same(mqtt_vhost(user ? user->text : NULL), mqtt_vhost(keys->username)))
                        continue;
                r = config_place_warn(place, "client_id",
                        "is that of the source in line %u, at the same broker: %seach takes the other's messages; give "
                        "each its own",
                        node->line,
                        text_equal(user ? user->text : NULL, keys->username) ? ""
                                                                             : "unless it goes by username there, ");
        }
        return r;
}

static int mqtt_rule_plain(const ConfigPlace *place) {
        static const char *const keys[] = { "ca_file", "tls", "certificate_file", "key_file" };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ELEMENTSOF(keys); i++)
                r = config_place_unused(place, keys[i], "mqtt:// has no TLS; with it the URL begins with mqtts://");
        return r;
}

/* Without {id} the device is the source itself, and its readings do not say which topic they came from. */
static int mqtt_rule_id(const ConfigPlace *place, const MqttConfig *keys) {
        for (char **topic = keys->topics; !keys->reading.id && *topic; topic++)
                if ((strpbrk(*topic, "+#") || strstr(*topic, "{name}")) && !strstr(*topic, "{id"))
                        return config_place_warn(place, "topics",
                                "\"%s\" has no {id}, so whatever it brings becomes one device. Write {id} for the "
                                "level "
                                "that tells devices apart ({id*} at the end for several levels), or set reading.id",
                                *topic);
        return 0;
}

static int mqtt_rule(const ConfigPlace *place, void *self, void *around) {
        MqttConfig *keys = self;
        HttpUrl address;
        int r;

        if (!mqtt_address_read(keys->url, &address))
                return config_place_fail(place, "url", "is not mqtt://HOST or mqtt://HOST:PORT");
        if (keys->password.file && !keys->username)
                return config_place_fail(place, "password_file", "needs username");
        if (keys->password.file && !address.tls && !http_url_is_loopback(&address) && !keys->allow_plain)
                return config_place_fail(place, "url",
                        "would send the password unencrypted; allowed: mqtts://, a broker on this machine, or "
                        "allow_plain: true");
        r = config_place_tls(place, &keys->tls, &keys->certificate_file, &keys->key_file);
        if (r == 0)
                r = config_place_unused(place, "interval", "the broker sends when it has something");
        if (r == 0 && !address.tls)
                r = mqtt_rule_plain(place);
        if (r == 0)
                r = mqtt_rule_client(place, keys, &address);
        if (r == 0)
                r = mqtt_rule_id(place, keys);
        return r < 0 ? r : mqtt_rule_topics(place, keys);
}

const ConfigSection mqtt_section = {
        .name = "mqtt",
        .doc = "Topics of an MQTT broker.",
        .rows = rows,
        .size = sizeof(MqttConfig),
        .rule = mqtt_rule,
};
