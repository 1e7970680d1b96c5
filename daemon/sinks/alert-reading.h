/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A message as rules see it: its device, its time, and the values that rules look at. Pure. */

#include "pubsub/wire.h"
#include "sinks/alert-rules.h"
#include "subscribe/payload.h"

#define ALERT_AHEAD_USEC (5 * USEC_PER_MINUTE) /* a time that is further ahead of the publish time is not believed */

/* One message. */
typedef struct AlertReading {
        size_t order;                 /* of arrival */
        usec_t at;                    /* `request_at`; if that is missing or not believed, the publish time */
        bool ahead;                   /* `request_at` was not believed */
        Slice device;                 /* its key: source, id and labels */
        Slice source, id, name, site; /* texts; empty: unknown */
        bool named;    /* the name is a Nature Remo device's; other names may differ in messages of one device */
        Slice *values; /* JSON text by place; data NULL: missing */
        char *text;    /* owned; all slices point into it */
} AlertReading;

/* The readings of a batch. `AlertReadings r = {};` is empty. */
typedef struct AlertReadings {
        AlertReading *items; /* oldest first after sorting */
        size_t n, allocated;
        Slice *scratch;
        usec_t oldest;     /* publish time of the first one; 0: none */
        size_t unreadable; /* messages that are not JSON objects */
} AlertReadings;
void alert_readings_done(AlertReadings *readings);

/* Adds a message. One that is not a JSON object is only counted as unreadable. *now* is used for a message without a
 * time. -ENOMEM. */
int alert_readings_add(
        AlertReadings *readings, const AlertRules *rules, const WireMessage *message, PayloadFormat format, usec_t now);
/* Returns what the reading proves about the life of its device, for a rule with `stale`. */
AlertLife alert_reading_life(const AlertRules *rules, const AlertWatch *watch, const AlertReading *reading);
/* Sorts by time; readings of the same time keep their order. */
void alert_readings_sort(AlertReadings *readings);
