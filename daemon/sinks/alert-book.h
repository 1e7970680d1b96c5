/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* All states of one subscription's rules, and what its targets were told of them: what alerts.sqlite holds, in memory.
 * Pure: every time comes in. What changed is marked, and alert-store.h writes it. */

#include "sinks/alert-device.h"

#define ALERT_SLOTS_MAX 100000   /* states */
#define ALERT_ENTRIES_MAX 100000 /* (state, target) that something is told of */

/* Now, and what we can know. All but the first are clock_now(). */
typedef struct AlertMoment {
        usec_t wall; /* clock_wall() */
        usec_t now;
        usec_t hearing; /* since when all that is sent reaches us; 0: it does not yet */
        usec_t heard;   /* until when that is proven: the last answer to a pull that was without messages */
        bool deaf;      /* the last pull failed */
        bool caught_up; /* nothing that is sent is still to reach us */
        usec_t missed;  /* since when *hearing* is 0; 0: it is not, or nothing comes of waiting */
} AlertMoment;

/* What is known of the wall clock. */
typedef struct AlertClock {
        int64_t offset; /* from clock_now() to clock_wall() when that was looked at last; 0: not yet */
        usec_t set_at;  /* clock_now() when it was found set; 0: not yet */
} AlertClock;

typedef struct AlertBook {
        const AlertConfig *config; /* borrowed, as the rules */
        const AlertRules *rules;
        AlertDevice **devices; /* by their keys */
        size_t n_devices, allocated;
        size_t n_slots, n_entries;
        size_t *known;      /* for each rule: devices that it is about */
        size_t due;         /* entries that the sender may have, and did not seal yet; as of the last pass */
        size_t left_out;    /* states beyond the cap */
        bool untold;        /* something fires that some target has no entry of, for want of room */
        size_t ahead;       /* messages whose time was not believed */
        Bytes ahead_device; /* the first of them */
        AlertClock clock;
        usec_t proven; /* as heard of a moment, by messages: what was published before them is there */
} AlertBook;

/* An empty one. -ENOMEM. */
int alert_book_new(const AlertConfig *config, const AlertRules *rules, AlertBook **ret);
AlertBook *alert_book_free(AlertBook *book);
CLEANUP_DEFINE(AlertBook, alert_book_free)

/* The device of that key; made where it is not there. -ENOMEM. */
int alert_book_device(AlertBook *book, Slice key, AlertDevice **ret);
/* Takes an entry that was stored, of a device; its *watch* is set. */
void alert_book_adopt(AlertBook *book, AlertDevice *device, AlertEntry *entry);
/* After the last of those: what the configuration no longer has ends, and targets that are new to a firing are told.
 * -ENOMEM. */
int alert_book_settle(AlertBook *book, const AlertMoment *moment);

/* What the messages mean. -ENOMEM: some were judged, and the book is to be read anew. */
int alert_book_judge(AlertBook *book, const AlertReadings *readings, const AlertMoment *moment);

/* What time alone brings: *each* is told what began to fire, and what ended, by then. *ret_next* is the wall time at
 * which there is more to do; USEC_INFINITY: none is foreseen. -ENOMEM as above. */
typedef void (*AlertBookEach)(void *userdata, const AlertDevice *device, const AlertSlot *slot);
int alert_book_pass(AlertBook *book, const AlertMoment *moment, AlertBookEach each, void *userdata, usec_t *ret_next);

/* What is to be told of an entry now, as alert_entry_due(); what a device says that catches up with the past waits. */
AlertDue alert_book_due(const AlertBook *book, const AlertDevice *device, const AlertEntry *entry,
        const AlertMoment *moment, AlertNext *ret);

/* ---- alert-book-exchange.c ---- */

/* The slot fires: all targets are to be told that its rule tells, but those that are or were. -ENOMEM. */
int alert_book_tell(AlertBook *book, AlertDevice *device, const AlertSlot *slot);

/* Receipts of the sender; afterwards, when they are stored, what is due. -ENOMEM. */
void alert_book_receive(AlertBook *book, const AlertExchange *exchange, const AlertMoment *moment);
int alert_book_give(const AlertBook *book, AlertExchange *exchange, const AlertMoment *moment);

typedef struct AlertFigures {
        size_t firing, pending;
} AlertFigures;
/* Counts for a status, and what fires as a JSON array. -ENOMEM. */
int alert_book_figures(const AlertBook *book, AlertFigures *ret, Bytes *json);
