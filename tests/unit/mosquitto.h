/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Debian's mosquitto as a child process on a free port of 127.0.0.1, and messages published to it by mosquitto_pub. Its
 * failures are the test's: they end the process. */

#include <stdbool.h>
#include <stdint.h>

typedef struct Mosquitto Mosquitto;

/* False where the program is not installed. */
bool mosquitto_is_installed(void);
/* *lines* are more lines of its configuration, each with its line break; may be "". */
Mosquitto *mosquitto_new(const char *lines);
Mosquitto *mosquitto_free(Mosquitto *broker);
uint16_t mosquitto_port(const Mosquitto *broker);
/* A directory of its own, which goes with it. */
const char *mosquitto_directory(const Mosquitto *broker);
/* kill -9, and a new start on what it has on disk. */
void mosquitto_kill(Mosquitto *broker);
void mosquitto_start(Mosquitto *broker);
/* Publishes with QoS 1, and returns when the broker has it. */
void mosquitto_publish(const Mosquitto *broker, const char *topic, const char *payload, bool retain);
