/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Topic patterns: MQTT's filters with names for what a level holds. `{id}`, `{name}` and `{field}` stand for one level,
 * or a part of one that begins and ends at a slash; `{id*}` for the rest, at the end only; `+` and a final `#` as in
 * MQTT. Pure. */

#include "lib/bytes.h"

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

/* Whether there is a topic that both patterns match. */
bool mqtt_topic_overlap(const char *a, const char *b);
