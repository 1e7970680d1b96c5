/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A model of an MQTT broker and of the sensors that publish to it: a session that stays, packet identifiers, messages
 * sent again with DUP, retained values, a window, topics granted at QoS 0, a keep-alive time. It is killed now and
 * then, and comes back with its sessions, with an older state of them, or with none. */

#include "link.h"

#define BROKER_HOST "broker.example"
#define BROKER_CLIENT "sim"
#define BROKER_PASSWORD "broker-password"
#define BROKER_TOPICS 3 /* a, b, and r of what is retained: "LETTER/DEVICE" */

void broker_new(void);
/* The server that is there; NULL: none that the simulation knows. */
const LinkServer *broker_server(const char *host);
bool broker_listens(void);
/* The weather is over. */
void broker_calm(void);
/* Nothing waits for the daemon. */
bool broker_settled(void);
/* Names what waits: a failure. */
void broker_check(void);
