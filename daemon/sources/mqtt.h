/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of the source: the topic patterns of the configuration, and a session with the broker. mqtt-packet.h has
 * the packets. */

#include "lib/http.h"
#include "lib/stream.h"
#include "sources/mqtt-packet.h"
#include "trouble.h"

/* ---- mqtt-topic.c ---- */

/* Topic patterns: MQTT's filters with names for parts of a topic. `{id}`, `{name}` and `{field}` stand for one whole
 * level. `{id*}` stands for all remaining levels, only at the end. `+` and a final `#` are as in MQTT. Pure. */

#define MQTT_TOPIC_MAX 65535

/* The named parts of a topic; an empty slice: the pattern does not name it. */
typedef struct MqttTopic {
        Slice id, name, field;
} MqttTopic;

/* Checks a pattern of the configuration. Returns NULL, or what is wrong as the end of a sentence ("has {id} twice"). */
const char *mqtt_topic_check(const char *pattern);

/* Appends the filter to subscribe to: "zigbee2mqtt/{id*}" -> "zigbee2mqtt/#". -ENOMEM. */
int mqtt_topic_filter(const char *pattern, Bytes *ret);

/* True if *topic* matches *pattern*; *ret* gets its named parts, which point into *topic*. `{id*}` may be no level at
 * all, and is empty then. A topic that begins with `$` matches only a pattern that does too (MQTT-4.7.2-1). */
bool mqtt_topic_match(const char *pattern, Slice topic, MqttTopic *ret);

/* The same for the first of *patterns* (NULL at the end) that matches; if none does, the parts are empty. */
bool mqtt_topic_find(char *const *patterns, Slice topic, MqttTopic *ret);

/* True if some topic matches both patterns. */
bool mqtt_topic_overlap(const char *a, const char *b);

/* ---- mqtt-session.c ---- */

/* A session with an MQTT broker: connects, logs in, subscribes, keeps the connection alive, connects again. The broker
 * keeps the session: it stores messages while we are away, as long as our client identifier stays the same. Uses MQTT
 * 5, or 3.1.1 if the broker refuses 5.
 *
 * The broker keeps a message with QoS 1 or 2 until mqtt_session_acknowledge(). A message that is never acknowledged
 * comes again with DUP after the next connect, and only then. */

typedef struct MqttSession MqttSession;

typedef struct MqttSessionSpec {
        const char *name;                            /* of the source, for log lines */
        StreamSpec stream;                           /* without its timeout */
        const char *client_id, *username, *password; /* the last two: NULL: none */
        const char *filters;                         /* to subscribe to, each with a line break behind it */
        bool retained;                               /* ask the broker for retained messages */
        bool clean;            /* for `check`: the session ends with the connection and leaves no trace */
        const char *state_dir; /* keeps the session's filters, as mqtt-NAME.session; not used when clean */
        size_t packet_max;     /* bytes */
} MqttSessionSpec;

/* What the broker waits to hear of a message. */
typedef struct MqttAck {
        uint64_t number; /* any */
        uint16_t packet_id;
        uint8_t qos;
} MqttAck;

/* All slices are valid only during the call. */
typedef struct MqttSessionCallbacks {
        /* *packet* is a PUBLISH. *session* is a name for the broker's session: a packet identifier means the same
         * message only within it. */
        void (*on_message)(void *userdata, const MqttPacket *packet, const char *session);
        /* The broker has heard the acknowledgements up to that number; it knew this when it sent later messages. */
        void (*on_confirmed)(void *userdata, uint64_t number);
        /* The state has changed. CAUSE_NONE: subscribed, which is told later if the last connections did not last;
         * *detail* is "". Any other: it is tried again after *retry_in* (microseconds); CAUSE_LOGIN: the broker refuses
         * us or a topic, or another program took the session. */
        void (*on_state)(void *userdata, Cause cause, usec_t retry_in, const char *detail);
        void *userdata;
} MqttSessionCallbacks;

/* Begins to connect. The texts of the spec are borrowed until mqtt_session_free(). -ENOMEM. */
int mqtt_session_new(Loop *loop, const MqttSessionSpec *spec, const MqttSessionCallbacks *callbacks, MqttSession **ret);
/* Sends DISCONNECT if possible, and closes. Returns NULL. */
MqttSession *mqtt_session_free(MqttSession *session);
CLEANUP_DEFINE(MqttSession, mqtt_session_free)

/* Acknowledges one or more messages that are stored, in the order in which they came (MQTT-4.6.0-2). They must have
 * come on the present connection: those of one that was lost since come again. The last one's number, or that of a
 * later call, goes to on_confirmed() when the broker has heard these acknowledgements. */
void mqtt_session_acknowledge(MqttSession *session, const MqttAck *acks, size_t n);

/* While held, nothing is read: the broker keeps its messages. The connection is kept alive. */
void mqtt_session_hold(MqttSession *session, bool hold);

/* Closes the connection for want of memory, and connects again: messages that were not acknowledged come again. */
void mqtt_session_reset(MqttSession *session);
