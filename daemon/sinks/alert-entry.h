/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* What one target was told, and is to be told, of one rule's firing for one device. Pure.
 *
 *      it fires                          FIRING, until accepted; then REPEAT, as often as the rule says
 *      it is over, the target knew       RESOLVED; REMOVED where no value ended it
 *      it is over, the target did not    ENDED: it was firing from ... to ...; nothing at all where it was history
 *                                        already when we came to know of it
 *
 * There is one of these for each (rule, device, target): what the target is told is how things stand now. A sealed one
 * may have been sent already: it goes out as it was, until a receipt says what became of it. */
/* clang-format on */

#include "sinks/alert-rules.h"

#define ALERT_VALUE_SIZE 40 /* of a value's text, cut */

typedef struct AlertEntry AlertEntry;
struct AlertEntry {
        AlertEntry *next; /* of the same device */
        int64_t id;       /* 0: not stored yet */
        char rule_key[ALERT_RULE_KEY_SIZE];
        size_t watch;               /* of the rules; SIZE_MAX: it is gone */
        char *target;               /* owned, as the texts below, which outlive the rule */
        char *rule, *field, *limit; /* field and limit may be NULL */
        AlertTest test;
        usec_t span; /* of `stale`; 0: the device said that it is offline */
        char value[ALERT_VALUE_SIZE];
        usec_t since, fired; /* it holds since, by the messages; it fires since, by our clock */
        usec_t until, ended; /* likewise; 0: it goes on */
        AlertEnd end;        /* how it ended */
        bool released;       /* it is not history: it may be told */
        usec_t told_since;   /* of the firing that the target believes to go on; 0: it believes that all is well */
        usec_t told_at;      /* accepted last */
        usec_t closed;       /* the firing with this *since* needs no further word */
        AlertKind sealed;    /* where there is a seal: as what */
        usec_t sealed_since, sealed_until;
        char seal[ALERT_KEY_SIZE]; /* "": not sealed */
        int64_t turn;              /* given back so often: it waits behind others */
        bool gone;                 /* nothing will ever be due: it is to be deleted */
        bool dirty;
};

AlertEntry *alert_entry_free(AlertEntry *entry);
CLEANUP_DEFINE(AlertEntry, alert_entry_free)

/* It fires since *since*, by the messages; nobody was told yet. What may have been sent keeps *value* and *span*. */
void alert_entry_fire(AlertEntry *entry, usec_t since, usec_t now, const char *value, usec_t span);
/* It ended at *until*, by the messages. */
void alert_entry_cease(AlertEntry *entry, usec_t until, usec_t now, AlertEnd end, const char *value);

typedef enum AlertDue {
        ALERT_IS_DUE,
        ALERT_IS_LATER, /* at the time that it says; USEC_INFINITY: not foreseen */
        ALERT_IS_DONE,  /* nothing will ever be due: it can go */
} AlertDue;
typedef struct AlertNext {
        AlertKind kind;
        usec_t at; /* when it became due, or will; wall time */
} AlertNext;
/* What is to be told next; *repeat* is the rule's. */
AlertDue alert_entry_due(const AlertEntry *entry, usec_t repeat, usec_t now, AlertNext *ret);

/* What became of what was told as *kind*; ALERT_SEALED: of what is due as that kind. *wall* is when. */
void alert_entry_receive(AlertEntry *entry, AlertKind kind, const AlertReceipt *receipt, usec_t wall);
