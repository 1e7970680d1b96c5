/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The packets of MQTT 5 and 3.1.1 from a broker's side. */

#include "lib/bytes.h"

typedef struct BrokerPacket {
        unsigned type; /* 1 CONNECT, 4 PUBACK, 8 SUBSCRIBE, 10 UNSUBSCRIBE, 12 PINGREQ, 14 DISCONNECT; for a client: 3
                          PUBLISH */
        unsigned flags;
        unsigned version, keep_alive, receive_max; /* of CONNECT */
        bool clean;
        char client_id[64], password[64];
        unsigned id;
        char topic[64];    /* of PUBLISH; the one filter of the others */
        unsigned handling; /* of retained messages */
        Slice payload;
} BrokerPacket;

/* The packet at the start of *data*, of *version* (of CONNECT: its own). The bytes that it takes, 0: it is not whole.
 */
size_t broker_wire_read(unsigned version, Slice data, BrokerPacket *ret);

void broker_wire_connack(
        Bytes *out, unsigned version, bool present, unsigned reason, unsigned keep_alive, const char *words);
/* SUBACK with a code, or UNSUBACK. */
void broker_wire_answer(Bytes *out, unsigned version, bool suback, unsigned id, unsigned code);
void broker_wire_publish(Bytes *out, unsigned version, unsigned flags, const char *topic, unsigned id, Slice payload);
void broker_wire_pingresp(Bytes *out);
void broker_wire_disconnect(Bytes *out, unsigned reason);
