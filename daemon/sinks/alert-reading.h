/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages as rules see them: of which device, of which time, and the values that they look at. Pure. */

#include "pubsub/wire.h"
#include "sinks/alert-rules.h"
#include "subscribe/payload.h"

#define ALERT_AHEAD_USEC (5 * USEC_PER_MINUTE) /* a time further ahead of its publishing is not believed */

/* One message. */
typedef struct AlertReading {
        size_t order; /* of arrival */
        usec_t at;    /* `request_at`, or where that is not told or not to be believed, when it was published */
        bool ahead;   /* it was not to be believed */
        Slice device; /* what tells it from others: source, id and labels */
        Slice source, id, name, site; /* as texts; empty: not told */
        Slice *values;                /* JSON text by place, data NULL: not there */
        char *text;                   /* owned: what all of it points into */
} AlertReading;

/* Those of a batch. `AlertReadings r = {};` is empty. */
typedef struct AlertReadings {
        AlertReading *items; /* oldest first once they are sorted */
        size_t n, allocated;
        Slice *scratch;
        size_t unreadable; /* messages that are no JSON object */
} AlertReadings;
void alert_readings_done(AlertReadings *readings);

/* Adds a message. One that is no JSON object is counted as unreadable, and not added. *now* is the time of one that
 * tells none. -ENOMEM. */
int alert_readings_add(
        AlertReadings *readings, const AlertRules *rules, const WireMessage *message, PayloadFormat format, usec_t now);
/* Those of the same time stay in their order. */
void alert_readings_sort(AlertReadings *readings);
