/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages as readings of devices; and devices with the states of their rules and what targets were told. Pure. */

#include "pubsub/wire.h"
#include "sinks/alert-entry.h"
#include "subscribe/payload.h"

/* ---- alert-reading.c ---- */

/* A message as rules see it: its device, its time, and the values that rules look at. Pure. */
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

/* ---- devices ---- */

/* The state of one rule for the device. */
typedef struct AlertSlot {
        size_t watch; /* index of the rule */
        bool said;    /* that it fires was logged, so its end is logged as well */
        bool news;    /* *said* has changed, and that is to be logged */
        bool gone;    /* it is forgotten, and removed with the next messages */
        bool left;    /* the device got another name, to which the rule does not apply */
        usec_t fired; /* wall time by our clock; 0: it does not fire */
        AlertState state;
        usec_t seen;                  /* wall time of the last message to which the rule applied */
        usec_t moved;                 /* clock_now() of the last message that counted, ... */
        usec_t catching;              /* ... and since when such messages are old; 0: they are not */
        usec_t behind;                /* how old they were then */
        char value[ALERT_VALUE_SIZE]; /* the last value, for a reader */
} AlertSlot;

typedef struct AlertDevice {
        Slice key;                       /* owned */
        char *source, *id, *name, *site; /* "": unknown */
        AlertSlot *slots;                /* in the order of the rules */
        size_t n_slots, allocated;
        AlertEntry *entries;
        bool dirty; /* it has changes that are not in alerts.sqlite */
} AlertDevice;

/* Makes a device without states; copies *key*. -ENOMEM. */
int alert_device_new(Slice key, AlertDevice **ret);
AlertDevice *alert_device_free(AlertDevice *device);
CLEANUP_DEFINE(AlertDevice, alert_device_free)

/* The key of nobody: not a device, but the states of rules that have found none. */
#define ALERT_NOBODY ((Slice){ "", 0 })
static inline bool alert_device_is_nobody(const AlertDevice *device) {
        return device->key.size == 0;
}

/* Takes source, id, name and site from the message. -ENOMEM. */
int alert_device_describe(AlertDevice *device, const AlertReading *reading);
/* Whether it has neither a state nor an entry. */
bool alert_device_is_empty(const AlertDevice *device);
/* Removes slots that are gone. Returns their number. */
size_t alert_device_shrink(AlertDevice *device);

/* The first finds the slot of a rule; NULL: there is none, as for ALERT_NO_RULE. The second adds one. -ENOMEM. */
AlertSlot *alert_device_find(const AlertDevice *device, size_t watch);
int alert_device_add(AlertDevice *device, size_t watch, AlertSlot **ret);

/* The wall clock was set by *by*: times that it gave since the machine started, between *boot* and *now* as it was
 * before, are taken along. Of a sealed entry, which may have been sent, the firing keeps its times. */
void alert_device_shift(AlertDevice *device, int64_t boot, int64_t now, int64_t by);

/* Write the states as JSON text, and read them; states of removed rules are left out. -ENOMEM; -EBADMSG: the text is
 * not ours. */
int alert_device_write(const AlertDevice *device, const AlertRules *rules, Bytes *ret);
int alert_device_read(AlertDevice *device, const AlertRules *rules, Slice text);
