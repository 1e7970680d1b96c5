/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A device: the states of its rules, and what targets were told of them. Pure. */

#include "sinks/alert-reading.h"

#define ALERT_VALUE_SIZE 40 /* of a value's text; a longer one is cut */

typedef struct AlertDevice AlertDevice;
typedef struct AlertSlot AlertSlot;

/* ---- entries ---- */

#define ALERT_PAST_USEC (24 * USEC_PER_HOUR) /* what is over for longer before it could be told is of the past */

/* clang-format off */
/* What one target was told, and what it is to be told, of one rule's firing for one device:
 *
 *      it fires                          FIRING, until accepted; then REPEAT, as often as the rule says
 *      it is over, the target knew       RESOLVED; REMOVED where no value ended it
 *      it is over, the target did not    ENDED: it was firing from ... to ...; of several only the last, and nothing if
 *                                        it was never due and is over for more than a day
 *
 * There is one entry for each rule, device and target. The target is told the present state. A sealed entry may have
 * been sent already, so it is sent again unchanged until there is an answer. */
/* clang-format on */
typedef struct AlertEntry AlertEntry;
struct AlertEntry {
        AlertEntry *next; /* of the same device */
        int64_t id;       /* of its row; 0: not stored yet */
        char rule_key[ALERT_RULE_KEY_SIZE];
        size_t watch;               /* index of the rule; ALERT_NO_RULE: it is gone */
        size_t to;                  /* index of the target; AlertConfig.n_targets: it is gone */
        char *target;               /* owned, like the next texts: they outlive the rule */
        char *rule, *field, *limit; /* field and limit may be NULL */
        AlertTest test;
        usec_t span; /* of `stale`; 0: the device said that it is offline */
        char value[ALERT_VALUE_SIZE];
        usec_t since, until; /* by the times of messages; until: 0 while it goes on */
        AlertEnd end;        /* how it ended */
        bool was_due;        /* it was to be told; otherwise it may be history */
        usec_t told_since;   /* *since* of the firing that the target was told of; 0: none, or its end was told */
        usec_t told_at;      /* wall time of the last accepted notice */
        usec_t closed;       /* nothing more is to be told of the firing with this *since* */
        AlertKind sealed;    /* if sealed: the kind of the notice */
        usec_t sealed_since, sealed_until;
        char seal[ALERT_KEY_SIZE]; /* key of the message; "": not sealed */
        int64_t turn;              /* how often it was given back: it then waits behind others */
        bool news;                 /* its rule was removed while it fired: that is to be logged */
        bool gone;                 /* nothing will ever be due: delete it */
        bool dirty;
        /* What the sender knows of its message, and does not store: */
        usec_t doubtful; /* clock_now() since when a request with its key has no answer; 0: all have one */
        bool suspect;    /* it was refused, perhaps with others: it is sent alone, or again as it is sealed */
        /* ... alone: one more than the number of messages that the target had accepted; 0: it was not */
        uint64_t refused;
};

#define ALERT_REFUSED_AGAIN UINT64_MAX /* as AlertEntry.refused: once more, after another message was accepted */

/* Whether a notice of it is under way, or may have been sent and has no answer. */
static inline bool alert_entry_is_sealed(const AlertEntry *entry) {
        return entry->seal[0] != '\0';
}

AlertEntry *alert_entry_free(AlertEntry *entry);
CLEANUP_DEFINE(AlertEntry, alert_entry_free)

/* The firing ended at *until*, by the messages. */
void alert_entry_cease(AlertEntry *entry, usec_t until, AlertEnd end, const char *value);
/* The state of the slot is over, and the targets that have an entry of it are to be told. */
void alert_entry_end(const AlertDevice *device, const AlertSlot *slot, usec_t until, AlertEnd end);

typedef enum AlertDue {
        ALERT_IS_DUE,
        ALERT_IS_LATER, /* at AlertNext.at; USEC_INFINITY: unknown */
        ALERT_IS_DONE,  /* nothing will ever be due: the entry can be deleted */
} AlertDue;
typedef struct AlertNext {
        AlertKind kind;
        usec_t at; /* when it became due, by the times of messages; or the wall time when it will be */
} AlertNext;
/* Returns whether something is to be told, and what; *repeat* is the rule's. */
AlertDue alert_entry_due(const AlertEntry *entry, usec_t repeat, usec_t now, AlertNext *ret);

/* A notice that is due. */
typedef struct AlertItem {
        const AlertDevice *device;
        AlertEntry *entry;
        AlertNext next;
} AlertItem;
/* The item is about to be sent under *key*. */
void alert_entry_seal(const AlertItem *item, const char *key, usec_t wall);

typedef enum AlertVerdict {
        ALERT_ACCEPTED, /* the target has accepted it */
        ALERT_REFUSED,  /* the target refuses it for good, but accepts others */
        ALERT_BACK,     /* the target does not have it: it is due again, and no longer sealed */
} AlertVerdict;
/* The message that the entry was sealed for was answered, at that wall time; or it was never sent. */
void alert_entry_answer(AlertEntry *entry, AlertVerdict verdict, usec_t wall);
void alert_entry_unseal(AlertEntry *entry);

/* ---- devices ---- */

/* The state of one rule for the device. */
struct AlertSlot {
        size_t watch; /* index of the rule */
        bool said;    /* that it fires was logged, so its end is logged as well */
        bool news;    /* *said* has changed, and that is to be logged */
        bool gone;    /* it is forgotten, and removed with the next messages */
        bool left;    /* the device got another name, to which the rule does not apply */
        AlertState state;
        usec_t seen;                  /* wall time of the last message to which the rule applied */
        usec_t moved;                 /* clock_now() of the last message that counted, ... */
        usec_t catching;              /* ... and since when such messages are old; 0: they are not */
        usec_t behind;                /* how old they were then */
        char value[ALERT_VALUE_SIZE]; /* the last value, for a reader */
};

struct AlertDevice {
        Slice key;                       /* owned */
        char *source, *id, *name, *site; /* "": unknown */
        AlertSlot *slots;                /* in the order of the rules */
        size_t n_slots, allocated;
        AlertEntry *entries;
        bool dirty; /* it has changes that are not in alerts.sqlite */
};

/* Returns the silence after which the rule fired; 0: the device said that it is offline. */
static inline usec_t alert_slot_span(const AlertSlot *slot, const AlertRule *rule) {
        return slot->state.offline ? 0 : rule->stale;
}

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

/* The first finds the slot of a rule; NULL: there is none, as for ALERT_NO_RULE. The second finds or adds it.
 * -ENOMEM. */
AlertSlot *alert_device_find(const AlertDevice *device, size_t watch);
int alert_device_need(AlertDevice *device, size_t watch, AlertSlot **ret);

/* The wall clock was set by *by*: times that it gave since the machine started, between *boot* and *now* as it was
 * before, are taken along. Of a sealed entry, which may have been sent, the firing keeps its times. */
void alert_device_shift(AlertDevice *device, int64_t boot, int64_t now, int64_t by);
