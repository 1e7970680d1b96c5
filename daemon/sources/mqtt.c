/* SPDX-License-Identifier: Apache-2.0 */
/* Topics of an MQTT broker. The messages of one turn of the loop are one commit. Only after that, they are
 * acknowledged, in the order in which they came, so that the broker may delete them (P12).
 *
 * If the broker may not have heard the acknowledgement of a stored message, it sends the message again with DUP. Such a
 * repeat is recognised by its number, if the broker counts (mqtt-packet.h), and by a hash of topic and payload. The
 * numbers are stored as the source's cursor. */
#include <stdio.h>
#include <stdlib.h>

#include "config-place.h"
#include "events.h"
#include "lib/array.h"
#include "lib/crypto.h"
#include "lib/http.h"
#include "lib/log.h"
#include "lib/text.h"
#include "publish/shape.h"
#include "publish/source.h"
#include "sources/mqtt-packet.h"
#include "sources/mqtt.h"

#define PACKET_MAX ((size_t) 1024 * 1024)
#define QUIET_USEC (5 * USEC_PER_SEC)
#define PORT 1883
#define PORT_TLS 8883

/* ---- configuration ---- */

typedef enum MqttRetained { MQTT_RETAINED_IGNORE, MQTT_RETAINED_STORE } MqttRetained;

typedef struct MqttConfig {
        char *url;
        char *username; /* NULL: none */
        ConfigSecret password;
        char *client_id; /* NULL: made from this machine and the source's name */
        char **topics;   /* NULL at the end */
        int retained;    /* MqttRetained */
        ConfigTls tls;   /* moves to the two behind ca_file */
        char *ca_file, *certificate_file, *key_file;
        bool allow_plain;
        ShapeConfig reading;
} MqttConfig;

/* Reads a URL that begins with mqtt:// or mqtts://. False: after that there is no valid host with or without a port. */
static bool mqtt_address_read(const char *url, HttpUrl *ret) {
        bool tls = strncmp(url, "mqtts:", strlen("mqtts:")) == 0;

        *ret = (HttpUrl){ .tls = tls, .port = tls ? PORT_TLS : PORT };
        return http_url_split_host(strstr(url, "://") + strlen("://"), ret);
}

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

#define FIELD(field) offsetof(MqttConfig, field)
#define TEXT_MAX 1024

/* clang-format off */
static const ConfigRow rows[] = {
        { "url", &type_url, FIELD(url), 1, TEXT_MAX, .flags = CONFIG_REQUIRED,
                .doc = "The broker." },
        { "username", &config_type_text, FIELD(username), 1, TEXT_MAX,
                .doc = "User name at the broker." },
        { "password_file", &config_type_secret, FIELD(password), 1, TEXT_MAX,
                .doc = "Password of the user." },
        { "client_id", &config_type_text, FIELD(client_id), 1, 256, .derived = "sensorqd- and a hash of machine, state_dir and source",
                .doc = "Client id under which the broker keeps the session. No other program may use it." },
        { "topics", &type_topics, FIELD(topics), 1, 100, .flags = CONFIG_REQUIRED | CONFIG_ONE,
                .doc = "Topics to subscribe to. Named parts of a topic become id, name and the value's field." },
        { "retained", &type_retained, FIELD(retained), .fallback = "ignore",
                .doc = "What to do with retained messages from before the subscription." },
        { "ca_file", &config_type_path, FIELD(ca_file), 1, TEXT_MAX,
                .doc = "PEM file of CA certificates, used instead of the system's for this source." },
        { "tls", &config_type_section, FIELD(tls), .section = &config_tls_section,
                .doc = "Client certificate, for brokers that require one." },
        { "certificate_file", &config_type_path, FIELD(certificate_file), 1, TEXT_MAX,
                .doc = "Same as in tls." },
        { "key_file", &config_type_path, FIELD(key_file), 1, TEXT_MAX,
                .doc = "Same as in tls." },
        { "allow_plain", &config_type_bool, FIELD(allow_plain), .fallback = "false",
                .doc = "Send the password to another machine without TLS." },
        { "reading", &config_type_section, FIELD(reading), .flags = CONFIG_IMPLIED, .section = &shape_section,
                .doc = "How a message becomes readings." },
        {},
};
/* clang-format on */

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
                r = config_place_unused(place, keys[i], "mqtt:// has no TLS; for TLS, write mqtts://");
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

static const ConfigSection section = {
        .name = "mqtt",
        .doc = "Topics of an MQTT broker.",
        .rows = rows,
        .size = sizeof(MqttConfig),
        .rule = mqtt_rule,
};

typedef struct Mqtt {
        SourceContext context;
        const MqttConfig *keys;
        HttpUrl address;
        MqttSession *session;
        Bytes filters; /* made from keys->topics */
        char client_id[260];
        char session_id[24];
        MqttNumbers numbers;
        MqttNumbers kept; /* the numbers on disk, or on their way to the disk */
        /* Messages that wait for the disk, or whose acknowledgement the broker may not have heard, oldest first. Those
         * before first_ack are acknowledged, but not confirmed. */
        MqttAck *acks;
        size_t first_ack, n_acks, allocated;
        LoopWatch *checked; /* defer: `check` has its result */
        bool checking, answered, said_too_large, said_foreign, said_stray;
        char detail[400];
} Mqtt;

/* ---- acknowledgements ---- */

/* Some brokers send a message again on the same connection if it is not acknowledged for some time (NATS after 30 s,
 * VerneMQ after 20). We read such copies when the first message is stored, and send one acknowledgement. A second one
 * could be taken for that of a new message with the same identifier. */
static bool mqtt_is_copy(const Mqtt *mqtt, const MqttPacket *packet) {
        for (size_t i = 0; packet->dup && i < mqtt->n_acks; i++)
                if (mqtt->acks[i].packet_id == packet->packet_id)
                        return true;
        return false;
}

static int mqtt_expect_ack(Mqtt *mqtt, const MqttPacket *packet, uint64_t number) {
        _cleanup_(reading_list_done) ReadingList none = {};
        int r;

        if (mqtt_is_copy(mqtt, packet))
                return 0;
        r = array_reserve(&mqtt->acks, &mqtt->allocated, mqtt->n_acks + 1, sizeof(MqttAck));
        if (r < 0)
                return r;
        mqtt->acks[mqtt->n_acks++] = (MqttAck){ number, packet->packet_id, packet->qos };
        return source_put(mqtt->context.source, &none); /* stored() follows on a message without a reading, too */
}

static void mqtt_stored(void *self) {
        Mqtt *mqtt = self;
        size_t first = mqtt->first_ack;

        mqtt->first_ack = mqtt->n_acks;
        if (first < mqtt->n_acks)
                mqtt_session_acknowledge(mqtt->session, mqtt->acks + first, mqtt->n_acks - first);
}

static void on_confirmed(void *userdata, uint64_t number) {
        Mqtt *mqtt = userdata;
        size_t n = 0;

        mqtt_numbers_hear(&mqtt->numbers, number);
        for (size_t i = 0; i < mqtt->first_ack; i++)
                if (mqtt->acks[i].number == number)
                        n = i + 1;
        mqtt->first_ack -= n;
        mqtt->n_acks -= n;
        if (n > 0)
                memmove(mqtt->acks, mqtt->acks + n, mqtt->n_acks * sizeof(MqttAck));
}

/* ---- numbers ---- */

static void mqtt_recall(void *self, const char *cursor) {
        Mqtt *mqtt = self;
        int used = 0;

        if (!cursor || sscanf(cursor, "%23s %n", mqtt->session_id, &used) < 1 || used == 0)
                return;
        mqtt_numbers_read(&mqtt->numbers, cursor + used);
        mqtt->kept = mqtt->numbers;
}

static int mqtt_put_cursor(Mqtt *mqtt) {
        _cleanup_(reading_list_done) ReadingList list = {};
        char numbers[MQTT_NUMBERS_TEXT], cursor[sizeof(mqtt->session_id) + MQTT_NUMBERS_TEXT];
        int r;

        mqtt_numbers_print(&mqtt->numbers, numbers);
        (void) snprintf(cursor, sizeof(cursor), "%s %s", mqtt->session_id, numbers);
        r = reading_list_set_cursor(&list, mqtt->context.config->name, cursor);
        if (r == 0)
                r = source_put(mqtt->context.source, &list);
        if (r == 0)
                mqtt->kept = mqtt->numbers;
        return r;
}

/* Call this first for each message of *session*. It saves the numbers if necessary. */
static int mqtt_number_message(Mqtt *mqtt, const MqttPacket *packet, const char *session, uint64_t *ret) {
        bool other = strcmp(session, mqtt->session_id) != 0;

        if (other) {
                (void) snprintf(mqtt->session_id, sizeof(mqtt->session_id), "%s", session);
                mqtt_numbers_renew(&mqtt->numbers);
        }
        *ret = mqtt_numbers_take(&mqtt->numbers, packet->packet_id, packet->dup);
        if (packet->qos == 2) /* its identifier is free some time after its acknowledgement, so it proves nothing */
                mqtt_numbers_renew(&mqtt->numbers);
        if (!other && mqtt->numbers.counts == mqtt->kept.counts &&
                (!mqtt->numbers.counts || mqtt->numbers.last - mqtt->kept.last < MQTT_NUMBER_BACK / 2))
                return 0;
        return mqtt_put_cursor(mqtt);
}

static int mqtt_name_message(const MqttPacket *packet, uint64_t number, char seen[static 64]) {
        _cleanup_bytes_ Bytes text = {};
        char hash[SHA256_HEX_SIZE];
        int r;

        bytes_append(&text, packet->topic.data, packet->topic.size);
        bytes_append(&text, "", 1);
        r = bytes_append(&text, packet->payload.data, packet->payload.size);
        if (r < 0)
                return r;
        (void) snprintf(seen, 64, "%" PRIu64 ":%.16s", number, crypto_sha256_hex(text.data, text.size, hash));
        return 0;
}

/* ---- messages ---- */

/* An empty payload only deletes a retained message; it contains no value. */
static bool mqtt_is_of_use(const Mqtt *mqtt, const MqttPacket *packet) {
        return packet->payload.size > 0 && (!packet->retain || mqtt->keys->retained == MQTT_RETAINED_STORE);
}

static void mqtt_log_foreign(Mqtt *mqtt, Slice topic) {
        const char *name = mqtt->context.config->name;

        if (mqtt->said_foreign)
                return;
        mqtt->said_foreign = true;
        log_event(LOG_WARNING, NULL, LOG_FIELDS({ FIELD_SOURCE, name }),
                "Source %s: the topic %.*s is not UTF-8; invalid bytes are read as ?. Correct its publisher. Logged "
                "once.",
                name, (int) text_cut(topic.data, topic.size, 200), topic.data);
}

/* Makes a valid text of the topic: an id, a name and a field are taken from it. */
static int mqtt_clean_topic(Mqtt *mqtt, Slice *topic, Bytes *clean) {
        int r;

        r = bytes_append(clean, topic->data, topic->size);
        if (r < 0)
                return r;
        clean->size = text_clean(clean->data, clean->size);
        *topic = (Slice){ clean->data, clean->size };
        mqtt_log_foreign(mqtt, *topic);
        return 0;
}

/* Logs a message that we have not subscribed to. It is read all the same: it may have come while we still had, before
 * the configuration changed. */
static void mqtt_log_stray(Mqtt *mqtt, Slice topic) {
        const char *name = mqtt->context.config->name;

        if (mqtt->said_stray)
                return;
        mqtt->said_stray = true;
        log_event(LOG_WARNING, EVENT_CONFIG_WARNING, LOG_FIELDS({ FIELD_SOURCE, name }),
                "Source %s: topic %.*s matches none of `topics`, but is read. The broker's session of client id %s "
                "has, or had, other subscriptions. If its readings keep coming, give the source a client_id that was "
                "never used. Logged once.",
                name, (int) text_cut(topic.data, topic.size, 200), topic.data, mqtt->client_id);
}

static int mqtt_read_message(Mqtt *mqtt, const MqttPacket *packet, uint64_t number) {
        SourceDocument document = { .text = packet->payload, .topic = packet->topic, .anew = !packet->dup };
        _cleanup_bytes_ Bytes clean = {};
        char seen[64];
        int r = 0;

        if (packet->foreign)
                r = mqtt_clean_topic(mqtt, &document.topic, &clean);
        if (r == 0 && !mqtt_topic_find(mqtt->keys->topics, packet->topic, &(MqttTopic){}))
                mqtt_log_stray(mqtt, document.topic);
        if (r == 0 && packet->qos > 0 && mqtt->numbers.counts) {
                r = mqtt_name_message(packet, number, seen);
                document.seen = seen;
        }
        return r < 0 ? r : source_take(mqtt->context.source, &document);
}

static void mqtt_place(const void *keys, ShapeOrigin *origin) {
        MqttTopic topic;

        (void) mqtt_topic_find(((const MqttConfig *) keys)->topics, origin->topic, &topic);
        origin->id = topic.id;
        origin->name = topic.name;
        origin->field = topic.field;
}

/* Logs a message that is too large. It is acknowledged without being read, because otherwise it would come again and
 * again and hold up all later ones. */
static void mqtt_log_too_large(Mqtt *mqtt, Slice topic) {
        const char *name = mqtt->context.config->name;

        if (mqtt->said_too_large)
                return;
        mqtt->said_too_large = true;
        log_event(LOG_WARNING, EVENT_CAP_HIT, LOG_FIELDS({ FIELD_SOURCE, name }),
                "Source %s: a message of topic %.*s is larger than %zu bytes and is left out. Logged once. Narrow "
                "`topics`: images and updates may travel by MQTT, too.",
                name, (int) text_cut(topic.data, topic.size, 200), topic.data, PACKET_MAX);
}

static void on_message(void *userdata, const MqttPacket *packet, const char *session) {
        Mqtt *mqtt = userdata;
        uint64_t number = 0;
        int r = 0;

        if (mqtt->checking)
                return;
        if (packet->qos > 0)
                r = mqtt_number_message(mqtt, packet, session, &number);
        if (packet->too_large)
                mqtt_log_too_large(mqtt, packet->topic);
        else if (r == 0 && mqtt_is_of_use(mqtt, packet))
                r = mqtt_read_message(mqtt, packet, number);
        if (r >= 0 && packet->qos > 0)
                r = mqtt_expect_ack(mqtt, packet, number);
        if (r < 0) /* a message without acknowledgement comes again, but only on a new connection */
                mqtt_session_reset(mqtt->session);
}

/* ---- state ---- */

/* Returns what failed, and which broker. */
static const char *mqtt_fails(Mqtt *mqtt, const char *detail) {
        text_print(mqtt->detail, sizeof(mqtt->detail), "%s: %s", mqtt->keys->url, detail);
        return mqtt->detail;
}

static void on_state(void *userdata, Cause cause, usec_t retry_in, const char *detail) {
        Mqtt *mqtt = userdata;
        SourcePoll poll = { .outcome = SOURCE_POLLED, .cause = cause, .detail = detail };

        if (cause != CAUSE_NONE) {
                mqtt->first_ack = mqtt->n_acks = 0; /* of a lost connection none can be sent or confirmed */
                poll.outcome = cause == CAUSE_LOGIN ? SOURCE_REFUSED : SOURCE_UNREACHABLE;
                poll.detail = mqtt_fails(mqtt, detail);
        }
        source_tell(mqtt->context.source, &poll, retry_in);
}

static void mqtt_hold(void *self, bool hold) {
        Mqtt *mqtt = self;

        if (mqtt->session)
                mqtt_session_hold(mqtt->session, hold);
}

/* ---- life ---- */

static void mqtt_close(void *self) {
        Mqtt *mqtt = self;

        if (mqtt->numbers.counts && mqtt->numbers.heard > mqtt->kept.heard)
                (void) mqtt_put_cursor(mqtt); /* tells the next process which acknowledgements were heard */
        mqtt_session_free(mqtt->session);
        loop_drop(mqtt->checked);
        bytes_done(&mqtt->filters);
        free(mqtt->acks);
}

/* Makes the client id from this machine, this state directory and this source. It never changes, because the broker
 * keeps the session under it, and no other instance has it. */
static void mqtt_make_client_id(Mqtt *mqtt) {
        char machine[64] = "", text[512], hash[SHA256_HEX_SIZE];
        FILE *file = fopen("/etc/machine-id", "re");

        if (file) {
                (void) !fgets(machine, sizeof(machine), file);
                (void) fclose(file);
        }
        if (mqtt->keys->client_id) {
                (void) snprintf(mqtt->client_id, sizeof(mqtt->client_id), "%s", mqtt->keys->client_id);
                return;
        }
        (void) snprintf(
                text, sizeof(text), "%s %s %s", machine, mqtt->context.means.state_dir, mqtt->context.config->name);
        (void) snprintf(mqtt->client_id, sizeof(mqtt->client_id), "sensorqd-%.16s",
                crypto_sha256_hex(text, strlen(text), hash));
}

/* Two clients with the same id would disconnect each other. */
static void mqtt_exclusive(const SourceConfig *config, char name[static SOURCE_EXCLUSIVE_MAX]) {
        const MqttConfig *keys = config->keys;

        (void) snprintf(
                name, SOURCE_EXCLUSIVE_MAX, "the MQTT client %s of %s", keys->client_id ?: config->name, keys->url);
}

static int mqtt_connect(Mqtt *mqtt, void (*told)(void *userdata, Cause cause, usec_t retry_in, const char *detail)) {
        const MqttConfig *keys = mqtt->keys;
        const MqttSessionSpec spec = {
                .name = mqtt->context.config->name,
                .stream = { mqtt->address.host, mqtt->address.port, mqtt->address.tls, keys->ca_file,
                        keys->certificate_file, keys->key_file },
                .client_id = mqtt->client_id,
                .username = keys->username,
                .password = keys->password.text,
                .filters = mqtt->filters.data,
                .retained = keys->retained == MQTT_RETAINED_STORE,
                .clean = mqtt->checking,
                .state_dir = mqtt->context.means.state_dir,
                .packet_max = PACKET_MAX,
        };

        return mqtt_session_new(mqtt->context.means.loop, &spec,
                &(MqttSessionCallbacks){ on_message, on_confirmed, told, mqtt }, &mqtt->session);
}

static int mqtt_open(void *self) {
        Mqtt *mqtt = self;
        int r;

        mqtt->keys = mqtt->context.keys;
        (void) mqtt_address_read(mqtt->keys->url, &mqtt->address); /* valid: the rule has checked it */
        mqtt_make_client_id(mqtt);
        for (char **topic = mqtt->keys->topics; *topic; topic++) {
                mqtt_topic_filter(*topic, &mqtt->filters);
                bytes_append_text(&mqtt->filters, "\n");
        }
        r = bytes_result(&mqtt->filters);
        if (r < 0)
                return r;
        return mqtt->context.manual ? 0 : mqtt_connect(mqtt, on_state);
}

/* ---- check: connects with another client id, leaves no trace, and takes no message away ---- */

static void on_checked(void *userdata) {
        Mqtt *mqtt = userdata;

        mqtt->session = mqtt_session_free(mqtt->session);
        source_polled(
                mqtt->context.source, &(SourcePoll){ .outcome = mqtt->answered ? SOURCE_POLLED : SOURCE_UNREACHABLE,
                                              .detail = mqtt->detail });
}

static void on_check_state(void *userdata, Cause cause, usec_t retry_in, const char *detail) {
        Mqtt *mqtt = userdata;

        mqtt->answered = cause == CAUSE_NONE;
        if (mqtt->answered)
                text_print(
                        mqtt->detail, sizeof(mqtt->detail), "%s accepts this user, and every topic", mqtt->keys->url);
        else
                (void) mqtt_fails(mqtt, detail);
        loop_wake(mqtt->checked); /* not here: the session is still running */
}

static int mqtt_check(void *self) {
        Mqtt *mqtt = self;
        int r;

        mqtt->checking = true;
        (void) snprintf(
                mqtt->client_id, sizeof(mqtt->client_id), "sensorqd-check-%08" PRIx32, (uint32_t) loop_random());
        if (!mqtt->checked) {
                r = loop_add_defer(mqtt->context.means.loop, on_checked, mqtt, &mqtt->checked);
                if (r < 0)
                        return r;
        }
        return mqtt_connect(mqtt, on_check_state);
}

const SourceType source_type_mqtt = {
        .keys = &section,
        .size = sizeof(Mqtt),
        .open = mqtt_open,
        .exclusive = mqtt_exclusive,
        .quiet = QUIET_USEC,
        .recall = mqtt_recall,
        .check = mqtt_check,
        .hold = mqtt_hold,
        .stored = mqtt_stored,
        .close = mqtt_close,
        .place = mqtt_place,
};
