/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What messages tell, and of which device; a device, the states of the rules that are about it, and what targets were
 * told of them. Pure. */

#include "pubsub/wire.h"
#include "sinks/alert-entry.h"
#include "subscribe/payload.h"

/* ---- alert-reading.c ---- */

/* Messages as rules see them: of which device, of which time, and the values that they look at. Pure. */
#define ALERT_AHEAD_USEC (5 * USEC_PER_MINUTE) /* a time further ahead of its publishing is not believed */

/* One message. */
typedef struct AlertReading {
        size_t order; /* of arrival */
        usec_t at;    /* `request_at`, or where that is not told or not to be believed, when it was published */
        bool ahead;   /* it was not to be believed */
        Slice device; /* what tells it from others: source, id and labels */
        Slice source, id, name, site; /* as texts; empty: not told */
        bool named;    /* the name is a Nature Remo's; elsewhere it may tell messages of one device apart */
        Slice *values; /* JSON text by place, data NULL: not there */
        char *text;    /* owned: what all of it points into */
} AlertReading;

/* Those of a batch. `AlertReadings r = {};` is empty. */
typedef struct AlertReadings {
        AlertReading *items; /* oldest first once they are sorted */
        size_t n, allocated;
        Slice *scratch;
        usec_t oldest;     /* publish time of the first one; 0: none */
        size_t unreadable; /* messages that are no JSON object */
} AlertReadings;
void alert_readings_done(AlertReadings *readings);

/* Adds a message. One that is no JSON object is counted as unreadable, and not added. *now* is the time of one that
 * tells none. -ENOMEM. */
int alert_readings_add(
        AlertReadings *readings, const AlertRules *rules, const WireMessage *message, PayloadFormat format, usec_t now);
/* What it proves of the life of its device, for a rule with `stale`. */
AlertLife alert_reading_life(const AlertRules *rules, const AlertWatch *watch, const AlertReading *reading);
/* Those of the same time stay in their order. */
void alert_readings_sort(AlertReadings *readings);

/* ---- devices ---- */

/* What one rule thinks of the device. */
typedef struct AlertSlot {
        size_t watch; /* of the rules */
        bool matches; /* its conditions hold for the last message */
        bool said;    /* that it fires; so that its end is said, too */
        bool gone;    /* it is forgotten; it leaves with the next messages */
        bool left;    /* the device has another name, which the rule is not about */
        usec_t fired; /* by our clock; 0: it does not fire */
        AlertState state;
        usec_t seen;                  /* wall time of the last message that it is about */
        usec_t moved;                 /* clock_now() of the last message that counted, ... */
        usec_t catching;              /* ... and since when those that count are old; 0: they are not */
        usec_t behind;                /* how old they were then */
        char value[ALERT_VALUE_SIZE]; /* the last one, for a reader */
} AlertSlot;

typedef struct AlertDevice {
        Slice key;                       /* owned; empty: no device, but rules that have found none */
        char *source, *id, *name, *site; /* "": not told */
        Bytes where;                     /* what the conditions saw last */
        bool placed;                     /* they saw something since the start */
        AlertSlot *slots;                /* in the order of the rules */
        size_t n_slots, allocated;
        AlertEntry *entries;
        bool dirty; /* something changed that alerts.sqlite does not know */
} AlertDevice;

/* Copies *key*; without a state yet. -ENOMEM. */
int alert_device_new(Slice key, AlertDevice **ret);
AlertDevice *alert_device_free(AlertDevice *device);
CLEANUP_DEFINE(AlertDevice, alert_device_free)

/* Takes over what the message says of the device itself. -ENOMEM. */
int alert_device_describe(AlertDevice *device, const AlertReading *reading);
/* Asks the conditions of all rules, unless they would see what they saw last. *ret_added* counts slots that are new;
 * at most *most* are. -ENOMEM. */
int alert_device_place(
        AlertDevice *device, const AlertRules *rules, const AlertReading *reading, size_t most, size_t *ret_added);

/* Neither a state nor anything to be told. */
bool alert_device_is_empty(const AlertDevice *device);
/* Lets slots that are gone go; returns how many there were. */
size_t alert_device_shrink(AlertDevice *device);

/* The slot of that rule, NULL: there is none, as of a rule that is gone (SIZE_MAX); made where it is not there. */
AlertSlot *alert_device_find(const AlertDevice *device, size_t watch);
int alert_device_add(AlertDevice *device, size_t watch, AlertSlot **ret);

/* The states as JSON text, and back; those of rules that are gone are left out. -ENOMEM; -EBADMSG: it is none of ours.
 */
int alert_device_write(const AlertDevice *device, const AlertRules *rules, Bytes *ret);
int alert_device_read(AlertDevice *device, const AlertRules *rules, Slice text);
