/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The packets of MQTT that a receiver needs, for MQTT 5 (OASIS standard of 2019) and 3.1.1; pure. Numbers in brackets
 * are the standard's own (MQTT-...). Strict where a lenient reading would take one thing for another; what a receiver
 * has no use for is checked and passed over. */

#include "lib/bytes.h"

typedef enum MqttVersion { MQTT_3_1_1 = 4, MQTT_5 = 5 } MqttVersion;

#define MQTT_SESSION_FOR_EVER UINT32_MAX /* seconds: the broker keeps the session without us (3.1.2.11.2) */

/* ---- what is sent: each appends one packet. -ENOMEM; -EMSGSIZE when a text is longer than its 65 535 bytes ---- */

typedef struct MqttConnect {
        MqttVersion version;
        const char *client_id;
        const char *username, *password; /* NULL: none */
        bool clean;                      /* begin a new session, and drop an old one */
        uint16_t keep_alive_sec;
        uint16_t receive_max;    /* QoS 1 messages that may be unacknowledged; MQTT 5 */
        uint32_t packet_max;     /* bytes of the largest packet that we take; MQTT 5 */
        uint32_t session_expiry; /* seconds; MQTT 5 */
} MqttConnect;
/* This and the others below append one packet to *out*. -ENOMEM. */
int mqtt_put_connect(Bytes *out, const MqttConnect *connect);

/* Asks for QoS 1 of each of the *n* filters. *retained*: retained messages are wanted where it is new (MQTT 5;
 * a 3.1.1 broker always sends them). */
typedef struct MqttSubscribe {
        MqttVersion version;
        uint16_t packet_id;
        const char *const *filters;
        size_t n;
        bool retained;
} MqttSubscribe;
/* The second wants nothing more of the filters; it passes over *retained*. */
int mqtt_put_subscribe(Bytes *out, const MqttSubscribe *subscribe);
int mqtt_put_unsubscribe(Bytes *out, const MqttSubscribe *unsubscribe);

/* Each a packet without content but its kind, and an id for PUBACK. */
int mqtt_put_puback(Bytes *out, uint16_t packet_id);
int mqtt_put_pingreq(Bytes *out);
int mqtt_put_disconnect(Bytes *out);

/* ---- what is received ---- */

typedef enum MqttType {
        MQTT_CONNACK = 2,
        MQTT_PUBLISH = 3,
        MQTT_SUBACK = 9,
        MQTT_UNSUBACK = 11,
        MQTT_PINGRESP = 13,
        MQTT_DISCONNECT = 14,
} MqttType;

typedef struct MqttPacket {
        MqttType type;
        uint16_t packet_id; /* of PUBLISH with QoS 1, SUBACK, UNSUBACK */
        uint8_t reason;     /* of CONNACK and DISCONNECT */
        Slice words;        /* of the broker for that reason; MQTT 5 */
        /* CONNACK */
        bool session_present;
        uint16_t keep_alive_sec; /* the broker's, which counts; 0: it leaves ours */
        uint32_t session_expiry; /* the broker's, which counts; MQTT_SESSION_FOR_EVER when it leaves ours */
        /* PUBLISH */
        bool dup, retain;
        uint8_t qos; /* 0 or 1 */
        Slice topic, payload;
        /* SUBACK, UNSUBACK: a reason code for each filter */
        Slice codes;
} MqttPacket;

enum { MQTT_PACKET = 0, MQTT_MORE = 1 };
/* Reads the packet at the start of *data*. MQTT_PACKET: *ret* is filled in, its slices point into *data*, and
 * *ret_size* bytes are used up. MQTT_MORE: *ret_size* bytes in all are needed at least, *ret* is unchanged. -EMSGSIZE:
 * larger than *max* bytes; -EBADMSG: no packet that a broker may send here; *problem* says what is wrong with it (a
 * constant). */
int mqtt_read(MqttVersion version, Slice data, size_t max, MqttPacket *ret, size_t *ret_size, const char **problem);

/* What a reason code of CONNACK or DISCONNECT means, in words, and of SUBACK. Never NULL. */
const char *mqtt_reason(MqttVersion version, MqttType type, uint8_t reason);
/* Whether the broker refuses our version of the protocol, so that an older one is worth a try. */
bool mqtt_refuses_version(MqttVersion version, const MqttPacket *connack);
