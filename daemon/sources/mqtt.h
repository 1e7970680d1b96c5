/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the source is made of: its keys, topics as the configuration names them, and a session with the broker.
 * mqtt-packet.h has what goes over the line. */

#include "lib/loop.h"
#include "publish/shape.h"
#include "sources/mqtt-packet.h"

/* ---- mqtt-config.c ---- */

typedef enum MqttRetained { MQTT_RETAINED_IGNORE, MQTT_RETAINED_STORE } MqttRetained;

typedef struct MqttConfig {
        char *url;
        char *username; /* NULL: none */
        ConfigSecret password;
        char *client_id; /* NULL: made from this machine and the source's name */
        char **topics;   /* NULL at the end */
        int retained;    /* MqttRetained */
        char *ca_file, *certificate_file, *key_file;
        bool allow_plain;
        ShapeConfig reading;
} MqttConfig;

extern const ConfigSection mqtt_section;

/* What `url` says. */
typedef struct MqttAddress {
        char host[256];
        uint16_t port;
        bool tls;
} MqttAddress;

/* Reads a URL that begins with mqtt:// or mqtts://. False: what follows is not a host, with or without a port. */
bool mqtt_address_read(const char *url, MqttAddress *ret);

/* ---- mqtt-topic.c ---- */

/* Topic patterns: MQTT's filters with names for what a level holds. `{id}`, `{name}` and `{field}` stand for one level,
 * or a part of one that begins and ends at a slash; `{id*}` for the rest, at the end only; `+` and a final `#` as in
 * MQTT. Pure. */

#define MQTT_TOPIC_MAX 65535

/* What a pattern found in a topic; empty slices: the pattern does not name it. */
typedef struct MqttTopic {
        Slice id, name, field;
} MqttTopic;

/* Checks a pattern of the configuration; NULL, or what is wrong with it as the rest of a sentence ("has {id} twice").
 */
const char *mqtt_topic_check(const char *pattern);

/* The filter to subscribe to: "zigbee2mqtt/{id*}" -> "zigbee2mqtt/#". -ENOMEM. */
int mqtt_topic_filter(const char *pattern, Bytes *ret);

/* Whether *topic* belongs to *pattern*, and what it names; the slices point into *topic*. `{id*}` needs at least one
 * level. What begins with `$` matches only a pattern that does (MQTT-4.7.2-1). */
bool mqtt_topic_match(const char *pattern, Slice topic, MqttTopic *ret);

/* What the first of *patterns* (NULL at the end) that it belongs to names; nothing where it belongs to none. */
MqttTopic mqtt_topic_find(char *const *patterns, Slice topic);

/* Whether there is a topic that both patterns match. */
bool mqtt_topic_overlap(const char *a, const char *b);

/* ---- mqtt-session.c ---- */

/* A session with an MQTT broker: connects, logs in, subscribes, keeps alive, connects again. The session is the
 * broker's: it keeps what comes while we are away, as long as our client identifier stays. MQTT 5, and 3.1.1 where the
 * broker refuses 5.
 *
 * A message with QoS 1 stays the broker's until mqtt_session_acknowledge(); what is never acknowledged comes again with
 * DUP after the next connect, and only then. */

typedef struct MqttSession MqttSession;

typedef struct MqttSessionSpec {
        const char *name; /* of the source, for log lines */
        const char *host;
        uint16_t port;
        bool tls;
        const char *ca_file, *certificate_file, *key_file; /* NULL: the system's anchors, no certificate of ours */
        const char *client_id, *username, *password;       /* NULL: none of the latter two */
        const char *const *filters;                        /* NULL at the end */
        bool retained;                                     /* what the broker keeps for new subscribers is wanted */
        bool clean;            /* for a look: a session that ends with the connection, and leaves no trace */
        const char *state_dir; /* where the filters of the session are kept, as mqtt-NAME.session; not when clean */
        size_t packet_max;     /* bytes */
} MqttSessionSpec;

typedef enum MqttState {
        MQTT_READY,       /* subscribed */
        MQTT_UNREACHABLE, /* tried again after *retry_in* */
        MQTT_REFUSED,     /* the broker does not let us in, or not to a topic: tried again all the same */
} MqttState;

/* Plain names of what comes in one turn of the loop; all slices are valid during the call. */
typedef struct MqttSessionCallbacks {
        /* *packet* is a PUBLISH; *session* names the broker's session, so that a packet identifier means the same
         * message only within it. */
        void (*on_message)(void *userdata, const MqttPacket *packet, const char *session);
        /* Everything that came in this turn was handed over. */
        void (*on_batch)(void *userdata);
        /* The broker has heard the acknowledgements up to that mark, before it sent what comes from now on. */
        void (*on_confirmed)(void *userdata, uint64_t mark);
        /* It changed: *detail* in words, "" when ready. */
        void (*on_state)(void *userdata, MqttState state, usec_t retry_in, const char *detail);
        void *userdata;
} MqttSessionCallbacks;

/* The spec's texts are borrowed until mqtt_session_free(). Begins to connect. -ENOMEM. */
int mqtt_session_new(Loop *loop, const MqttSessionSpec *spec, const MqttSessionCallbacks *callbacks, MqttSession **ret);
/* Says goodbye where it can, and closes. Returns NULL. */
MqttSession *mqtt_session_free(MqttSession *session);
CLEANUP_DEFINE(MqttSession, mqtt_session_free)

/* The messages with these packet identifiers are safe with us. In the order in which they came (MQTT-4.6.0-2). Of a
 * connection that is gone nothing is sent, and the messages come again: *connection* is mqtt_session_connection() of
 * the time when they came. *mark*, any number, goes back to on_confirmed() when the broker has heard them, or with one
 * that was given later. */
void mqtt_session_acknowledge(
        MqttSession *session, uint64_t connection, const uint16_t *packet_ids, size_t n, uint64_t mark);
/* Numbers the connections, so that an acknowledgement never meets a later one. */
uint64_t mqtt_session_connection(const MqttSession *session);

/* While held nothing is read: the broker keeps what it has, and the connection is kept alive all the same. */
void mqtt_session_hold(MqttSession *session, bool hold);

/* Ends the connection and makes it anew: what was not acknowledged comes again. *detail*: why, in words. */
void mqtt_session_reset(MqttSession *session, const char *detail);
