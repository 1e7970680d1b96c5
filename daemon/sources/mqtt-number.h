/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
