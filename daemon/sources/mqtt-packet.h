/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The MQTT packets that a receiver needs, for MQTT 5 (OASIS standard of 2019) and 3.1.1, and at the end which message
 * is a repeat; pure. Numbers in brackets are those of the standard (MQTT-...). It is strict where a tolerant reader
 * could confuse two things; packets and properties that a receiver does not need are checked and skipped. */

#include "lib/bytes.h"

typedef enum MqttVersion { MQTT_3_1_1 = 4, MQTT_5 = 5 } MqttVersion;

/* seconds: the broker keeps the session while we are away (3.1.2.11.2) */
#define MQTT_SESSION_FOR_EVER UINT32_MAX

/* ---- packets to send: each function appends one packet. -ENOMEM; -EMSGSIZE when a text is longer than 65 535 bytes
 * ---- */

typedef struct MqttConnect {
        MqttVersion version;
        const char *client_id;
        const char *username, *password; /* NULL: none */
        bool clean;                      /* begin a new session and delete an old one */
        uint16_t keep_alive_sec;
        uint16_t receive_max;    /* limit of QoS 1 messages that are not acknowledged yet; MQTT 5 */
        uint32_t session_expiry; /* seconds; MQTT 5 */
} MqttConnect;
/* This and the functions below append one packet to *out*. -ENOMEM; -EMSGSIZE: a text is too long. *out* remembers the
 * error. */
int mqtt_put_connect(Bytes *out, const MqttConnect *connect);

/* Subscribes to one filter with QoS 1. *retained*: the broker sends retained messages for a new subscription (MQTT 5; a
 * 3.1.1 broker always sends them). */
int mqtt_put_subscribe(Bytes *out, MqttVersion version, uint16_t packet_id, Slice filter, bool retained);
int mqtt_put_unsubscribe(Bytes *out, MqttVersion version, uint16_t packet_id, Slice filter);

/* Answers to the broker's packets, by their identifier: to a PUBLISH with QoS 1, to one with QoS 2, and to PUBREL. */
typedef enum MqttAnswer { MQTT_PUBACK = 4, MQTT_PUBREC = 5, MQTT_PUBCOMP = 7 } MqttAnswer;
int mqtt_put_answer(Bytes *out, MqttAnswer answer, uint16_t packet_id);

/* Packets without further content. */
int mqtt_put_pingreq(Bytes *out);
int mqtt_put_disconnect(Bytes *out);

/* ---- received packets ---- */

typedef enum MqttType {
        MQTT_CONNACK = 2,
        MQTT_PUBLISH = 3,
        MQTT_PUBREL = 6,
        MQTT_SUBACK = 9,
        MQTT_UNSUBACK = 11,
        MQTT_PINGRESP = 13,
        MQTT_DISCONNECT = 14,
} MqttType;

typedef struct MqttPacket {
        MqttType type;
        uint16_t packet_id; /* PUBLISH with QoS 1 or 2, PUBREL, SUBACK, UNSUBACK */
        uint8_t reason;     /* CONNACK and DISCONNECT */
        Slice words;        /* the broker's explanation of the reason; MQTT 5 */
        /* CONNACK */
        bool session_present;
        uint16_t keep_alive_sec; /* set by the broker, and replaces ours; 0: ours is used */
        uint32_t session_expiry; /* set by the broker, and replaces ours; MQTT_SESSION_FOR_EVER: ours is used */
        /* PUBLISH */
        bool dup, retain;
        bool too_large; /* its payload was not read */
        bool foreign;   /* its topic is not UTF-8 or contains a NUL: some brokers accept that from a publisher. If we
                           closed the connection, the message would come again on the next one */
        uint8_t qos;    /* 0 to 2. We subscribe with 1, but aedes sends 2 all the same. If we closed the connection, the
                           message would come again on the next one */
        Slice topic, payload;
        /* SUBACK, UNSUBACK: a reason code for each filter */
        Slice codes;
} MqttPacket;

enum { MQTT_PACKET = 0, MQTT_MORE = 1 };
/* Reads the packet at the start of *data*. MQTT_PACKET: *ret* is filled in, its slices point into *data*, and
 * *ret_size* is the packet's size. The payload of a PUBLISH that is larger than *max* bytes is left out, and its
 * *ret_size* may be more than has come. MQTT_MORE: at least *ret_size* bytes are needed in total; *ret* is unchanged.
 * -EMSGSIZE: another packet is larger than *max*; -EBADMSG: this is not a packet that a broker may send here; *problem*
 * says what is wrong (a constant). */
int mqtt_read(MqttVersion version, Slice data, size_t max, MqttPacket *ret, size_t *ret_size, const char **problem);

/* Returns words for a reason code of CONNACK, DISCONNECT or SUBACK. Never NULL. */
const char *mqtt_reason(MqttVersion version, MqttType type, uint8_t reason);
/* True if the broker refuses our version of the protocol, so that an older one should be tried. */
bool mqtt_refuses_version(MqttVersion version, const MqttPacket *connack);

/* ---- repeats: numbers of messages ---- */

/* Decides whether a message that a broker sends again (DUP) can be distinguished from another message with the same
 * payload. Pure.
 *
 * A broker identifies a message by a packet identifier, 1 to 65 535. It may use the identifier for another message as
 * soon as it has heard our acknowledgement (MQTT-2.2.1-4); when the connection is lost, nobody knows whether it has.
 * Most brokers count: an identifier comes back only after 65 535 messages. So each message has its own number in the
 * session, and a message that comes again with a number that was stored is a repeat. Other brokers use the lowest free
 * identifier. There, a repeated message looks like a new one that was lost on its way, and we cannot know which it is.
 *
 * So messages get a number only if the broker was seen to count: it did not use an identifier that it knew to be free.
 * This ends with the first message whose number was used before, and begins again with the next proof. In between,
 * messages get no name and none counts as a repeat: a message that is stored twice is better than one that is lost. */

/* A number may come again within so many messages. Brokers have fewer messages on their way at once. If an identifier
 * comes back sooner, the broker has used it again early. */
#define MQTT_NUMBER_BACK 16384

typedef struct MqttNumbers {
        uint64_t last;  /* number of the newest message; numbers only increase, from one session to the next too */
        uint64_t heard; /* the broker has heard the acknowledgements up to this number */
        uint64_t from;  /* first number since the broker last used an identifier early; 0: the next message */
        bool counts;    /* since then, the broker was seen to count */
} MqttNumbers;

/* A new session: the broker begins again with its identifiers. */
void mqtt_numbers_renew(MqttNumbers *numbers);
/* The broker has heard the acknowledgements up to that number; it knew this when it sent later messages. */
void mqtt_numbers_hear(MqttNumbers *numbers, uint64_t number);
/* Returns the number of the next message; call it in the order of arrival. The number is unique only if numbers->counts
 * is true after the call. */
uint64_t mqtt_numbers_take(MqttNumbers *numbers, uint16_t packet_id, bool dup);

/* Size of the numbers as text. They must be saved before the first message gets a name, and again when *last* has
 * increased by MQTT_NUMBER_BACK / 2 or `counts` has changed. */
#define MQTT_NUMBERS_TEXT 48

/* Writes the numbers as text, for the cursor. */
void mqtt_numbers_print(const MqttNumbers *numbers, char text[static MQTT_NUMBERS_TEXT]);
/* Reads the numbers. If that is not possible, nothing is known. */
void mqtt_numbers_read(MqttNumbers *numbers, const char *text);
