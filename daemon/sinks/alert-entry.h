/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* What one target was told, and what it is to be told, of one rule's firing for one device. Pure.
 *
 *      it fires                          FIRING, until accepted; then REPEAT, as often as the rule says
 *      it is over, the target knew       RESOLVED; REMOVED where no value ended it
 *      it is over, the target did not    ENDED: it was firing from ... to ...; nothing at all where it was history
 *                                        already when we came to know of it
 *
 * There is one entry for each rule, device and target. The target is told the present state. A sealed entry may have
 * been sent already, so it is sent again unchanged until there is a receipt. */
/* clang-format on */

#include "sinks/alert-rules.h"

#define ALERT_VALUE_SIZE 40 /* of a value's text; a longer one is cut */

typedef struct AlertEntry AlertEntry;
struct AlertEntry {
        AlertEntry *next; /* of the same device */
        int64_t id;       /* 0: not stored yet */
        char rule_key[ALERT_RULE_KEY_SIZE];
        size_t watch;               /* index of the rule; ALERT_NO_RULE: it is gone */
        char *target;               /* owned, like the next texts: they outlive the rule */
        char *rule, *field, *limit; /* field and limit may be NULL */
        AlertTest test;
        usec_t span; /* of `stale`; 0: the device said that it is offline */
        char value[ALERT_VALUE_SIZE];
        usec_t since, fired; /* begin by the times of messages; begin of the firing by our clock */
        usec_t until, ended; /* end, by the same two; 0: it goes on */
        AlertEnd end;        /* how it ended */
        bool released;       /* the firing is not history, so it may be told */
        usec_t told_since;   /* *since* of the firing that the target was told of; 0: none, or its end was told */
        usec_t told_at;      /* wall time of the last accepted notice */
        usec_t closed;       /* nothing more is to be told of the firing with this *since* */
        AlertKind sealed;    /* if sealed: the kind of the notice */
        usec_t sealed_since, sealed_until;
        char seal[ALERT_KEY_SIZE]; /* "": not sealed */
        int64_t turn;              /* how often it was given back: it then waits behind others */
        bool news;                 /* its rule was removed while it fired: that is to be logged */
        bool gone;                 /* nothing will ever be due: delete it */
        bool dirty;
};

AlertEntry *alert_entry_free(AlertEntry *entry);
CLEANUP_DEFINE(AlertEntry, alert_entry_free)

/* Whether a notice of it is under way, or may have been sent and has no receipt. */
static inline bool alert_entry_is_sealed(const AlertEntry *entry) {
        return entry->seal[0] != '\0';
}

/* The rule fires since *since*, by the messages. A sealed entry, which may have been sent, keeps its value and span. */
void alert_entry_fire(AlertEntry *entry, usec_t since, usec_t now, const char *value, usec_t span);
/* The firing ended at *until*, by the messages. */
void alert_entry_cease(AlertEntry *entry, usec_t until, usec_t now, AlertEnd end, const char *value);

typedef enum AlertDue {
        ALERT_IS_DUE,
        ALERT_IS_LATER, /* at AlertNext.at; USEC_INFINITY: unknown */
        ALERT_IS_DONE,  /* nothing will ever be due: the entry can be deleted */
} AlertDue;
typedef struct AlertNext {
        AlertKind kind;
        usec_t at; /* wall time when it became or will be due */
} AlertNext;
/* Returns whether something is to be told, and what; *repeat* is the rule's. */
AlertDue alert_entry_due(const AlertEntry *entry, usec_t repeat, usec_t now, AlertNext *ret);

/* Takes the receipt of a notice of that *kind*; with ALERT_SEALED the notice is only about to be sent. *wall* is the
 * time of the receipt. */
void alert_entry_receive(AlertEntry *entry, AlertKind kind, const AlertReceipt *receipt, usec_t wall);
