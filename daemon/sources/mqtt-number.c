/* SPDX-License-Identifier: Apache-2.0 */
#include "sources/mqtt-packet.h"

#include <inttypes.h>
#include <stdio.h>

#define PACKET_IDS UINT16_MAX /* 1 to 65 535 */

/* Returns the first number above *low* whose message has that identifier. */
static uint64_t number_above(uint64_t low, uint16_t packet_id) {
        uint64_t begun = low % PACKET_IDS; /* identifier of low + 1, minus 1 */

        return low + 1 + (PACKET_IDS + (uint64_t) packet_id - 1 - begun) % PACKET_IDS;
}

void mqtt_numbers_renew(MqttNumbers *n) {
        n->from = 0;
        n->counts = false;
}

void mqtt_numbers_hear(MqttNumbers *n, uint64_t number) {
        if (number > n->heard)
                n->heard = number;
}

/* True if the number cannot be used again. A repeat (DUP) can only be a message whose acknowledgement the broker has
 * not heard. */
static bool number_is_used_up(const MqttNumbers *n, uint64_t number, bool dup) {
        return number <= (dup ? n->heard : n->last);
}

/* Continues with a number above all earlier ones, also above those that were used since the last save. */
static uint64_t number_begin(MqttNumbers *n, uint16_t packet_id) {
        n->counts = false;
        n->from = number_above(n->last + MQTT_NUMBER_BACK, packet_id);
        return n->from;
}

/* True if this message proves that the broker counts: it was sent when the broker knew free identifiers, and does not
 * use one of them. A message that is sent again got its identifier earlier, so it proves nothing. */
static bool number_proves(const MqttNumbers *n, uint64_t number, bool dup) {
        return !dup && n->heard >= n->from && number > n->last && number - n->last <= MQTT_NUMBER_BACK;
}

uint64_t mqtt_numbers_take(MqttNumbers *n, uint16_t packet_id, bool dup) {
        uint64_t number = n->from > 0 ? number_above(n->last - MQTT_NUMBER_BACK, packet_id) : 0;

        if (n->from == 0 || number_is_used_up(n, number, dup))
                number = number_begin(n, packet_id);
        else if (number_proves(n, number, dup))
                n->counts = true;
        if (number > n->last)
                n->last = number;
        return number;
}

void mqtt_numbers_print(const MqttNumbers *n, char text[static MQTT_NUMBERS_TEXT]) {
        (void) snprintf(text, MQTT_NUMBERS_TEXT, "%" PRIu64 " %" PRIu64 " %d", n->last, n->heard, n->counts);
}

/* If messages had no number of their own (counts is false), the numbers need not be known. */
void mqtt_numbers_read(MqttNumbers *n, const char *text) {
        uint64_t last, heard;
        int counts;

        *n = (MqttNumbers){};
        if (sscanf(text, "%" SCNu64 " %" SCNu64 " %d", &last, &heard, &counts) != 3)
                return;
        n->last = last;
        n->heard = heard;
        n->counts = counts == 1 && last > MQTT_NUMBER_BACK;
        n->from = n->counts ? 1 : 0;
}
