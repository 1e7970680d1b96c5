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
/* This and the others below append one packet to *out*. -ENOMEM; -EMSGSIZE: a text is too long. *out* remembers it. */
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
        bool too_large; /* its payload is not read */
        bool foreign;   /* its topic is not UTF-8, or has a NUL: not every broker refuses that of a publisher, and a
                           connection that ends for it meets it again with the next one */
        uint8_t qos;    /* 0 or 1 */
        Slice topic, payload;
        /* SUBACK, UNSUBACK: a reason code for each filter */
        Slice codes;
} MqttPacket;

enum { MQTT_PACKET = 0, MQTT_MORE = 1 };
/* Reads the packet at the start of *data*. MQTT_PACKET: *ret* is filled in, its slices point into *data*, and
 * *ret_size* bytes are used up; of a PUBLISH that is larger than *max* bytes the payload is left out, and *ret_size*
 * may be more than has come. MQTT_MORE: *ret_size* bytes in all are needed at least, *ret* is unchanged. -EMSGSIZE:
 * another packet is larger than *max*; -EBADMSG: no packet that a broker may send here; *problem* says what is wrong
 * with it (a constant). */
int mqtt_read(MqttVersion version, Slice data, size_t max, MqttPacket *ret, size_t *ret_size, const char **problem);

/* What a reason code of CONNACK or DISCONNECT means, in words, and of SUBACK. Never NULL. */
const char *mqtt_reason(MqttVersion version, MqttType type, uint8_t reason);
/* Whether the broker refuses our version of the protocol, so that an older one is worth a try. */
bool mqtt_refuses_version(MqttVersion version, const MqttPacket *connack);

/* ---- mqtt-number.c ---- */

/* Pure: whether a message that a broker sends again (DUP) can be told from another one with the same payload.
 *
 * A broker names a message by a packet identifier, 1 to 65 535, which it may give to another one as soon as it has
 * heard our acknowledgement (MQTT-2.2.1-4). Whether it has, nobody knows when the connection ends. Most brokers count:
 * an identifier comes back after 65 535 messages only, so each message has a number of its own in the session, and what
 * comes again under a number that was stored is a repeat. Others take the lowest identifier that is free: there a
 * message that comes again looks like a new one that was lost on its way, and no record of ours tells which it is.
 *
 * So messages have a number only where the broker was seen to count: it passed over an identifier that it knew to be
 * free. That ends with the first message under a number that is used up, and begins again with the next proof. Between
 * the two nothing is named, and nothing is taken for a repeat: rather twice than never. */

/* So many messages back a number may come again, which is more than brokers let be on their way at once; and an
 * identifier that comes back sooner is used again early. */
#define MQTT_NUMBER_BACK 16384

typedef struct MqttNumbers {
        uint64_t last;  /* the newest message; numbers only rise, from one session to the next as well */
        uint64_t heard; /* the broker has heard the acknowledgements up to this one */
        uint64_t from;  /* the first one since it last used an identifier again early; 0: that is the next one */
        bool counts;    /* it was seen to count, since then */
} MqttNumbers;

/* Another session: the broker begins anew. */
void mqtt_numbers_renew(MqttNumbers *numbers);
/* The broker has heard the acknowledgements up to that number, before it sent what comes from now on. */
void mqtt_numbers_hear(MqttNumbers *numbers, uint64_t number);
/* The number of the next message, in the order of arrival. Only while numbers->counts, as it stands afterwards, is it
 * that message's alone. */
uint64_t mqtt_numbers_take(MqttNumbers *numbers, uint16_t packet_id, bool dup);

/* How they stand, as it is kept: no longer than MQTT_NUMBERS_TEXT. It must be kept before the first message is named,
 * and again when last has risen by MQTT_NUMBER_BACK / 2 or `counts` has changed. */
#define MQTT_NUMBERS_TEXT 48

/* As text, for the cursor. */
void mqtt_numbers_print(const MqttNumbers *numbers, char text[static MQTT_NUMBERS_TEXT]);
/* Whatever cannot be read counts as nothing known. */
void mqtt_numbers_read(MqttNumbers *numbers, const char *text);
