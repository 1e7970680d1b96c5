/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* All states of one subscription's rules, and what its targets were told of them: the content of alerts.sqlite, in
 * memory. Pure: times are arguments. Changes are marked, and alert-store.h writes them. */

#include "sinks/alert-device.h"

#define ALERT_SLOTS_MAX 100000   /* states */
#define ALERT_ENTRIES_MAX 100000 /* pairs of a state and a target */

/* The present time, and what we have heard. All times but the first are clock_now(). */
typedef struct AlertMoment {
        usec_t wall; /* clock_wall() */
        usec_t now;
        usec_t hearing; /* since when all published messages reach us; 0: not yet */
        usec_t heard;   /* until when that is proven: the last pull that was answered without messages */
        bool deaf;      /* the last pull failed */
        bool caught_up; /* all published messages have reached us */
        usec_t missed;  /* since when *hearing* is 0; 0: it is not, or waiting does not help */
} AlertMoment;

/* What is known of the wall clock. */
typedef struct AlertClock {
        int64_t offset; /* clock_wall() minus clock_now(), at the last look; 0: none yet */
        usec_t set_at;  /* clock_now() when it was noticed that the clock was set; 0: never */
} AlertClock;

typedef struct AlertBook {
        const AlertConfig *config; /* borrowed, as the rules */
        const AlertRules *rules;
        AlertDevice **devices; /* sorted by key */
        size_t n_devices, allocated;
        size_t n_slots, n_entries;
        size_t *known;      /* for each rule: number of its devices */
        size_t due;         /* entries that are due and not sealed yet, at the last pass */
        size_t judged;      /* messages since the book was read */
        bool left_out;      /* a state had no room */
        bool untold;        /* for want of room, a target has no entry of a firing */
        Bytes ahead_device; /* the key of the first one whose time was too far ahead; empty: none */
        AlertClock clock;
        usec_t proven; /* as AlertMoment.heard, but proven by messages: all published before them has come */
} AlertBook;

/* Makes an empty book. -ENOMEM. */
int alert_book_new(const AlertConfig *config, const AlertRules *rules, AlertBook **ret);
AlertBook *alert_book_free(AlertBook *book);
CLEANUP_DEFINE(AlertBook, alert_book_free)

/* Finds or makes the device with that key. -ENOMEM. */
int alert_book_device(AlertBook *book, Slice key, AlertDevice **ret);
/* Adds a stored entry to a device, and takes it; its *watch* is set. */
void alert_book_adopt(AlertBook *book, AlertDevice *device, AlertEntry *entry);
/* Call it after the last alert_book_adopt(): ends what the configuration no longer has, and adds entries for targets
 * that are new to a firing. -ENOMEM. */
int alert_book_settle(AlertBook *book, const AlertMoment *moment);

/* Judges messages. -ENOMEM: some were judged; read the book again from the file. */
int alert_book_judge(AlertBook *book, const AlertReadings *readings, const AlertMoment *moment);

/* Updates the states for the passing of time. *ret_next* is when (wall) there is more to do; USEC_INFINITY: unknown.
 * -ENOMEM as above. */
int alert_book_pass(AlertBook *book, const AlertMoment *moment, usec_t *ret_next);
/* Calls *each* for what began to fire or ended since the last call, as a pass found it. */
typedef void (*AlertBookEach)(void *userdata, const AlertDevice *device, const AlertSlot *slot);
void alert_book_news(AlertBook *book, AlertBookEach each, void *userdata);

/* All changes are stored: clears their marks, and frees entries that are gone and have been logged. */
void alert_book_committed(AlertBook *book);

/* As alert_entry_due(), but nothing is due while the device catches up with the past. */
AlertDue alert_book_due(const AlertBook *book, const AlertDevice *device, const AlertEntry *entry,
        const AlertMoment *moment, AlertNext *ret);

/* ---- alert-book-exchange.c ---- */

/* The slot fires: adds entries for all targets of its rule that do not have one for this firing. -ENOMEM. */
int alert_book_tell(AlertBook *book, AlertDevice *device, const AlertSlot *slot);

/* The first takes the sender's receipts. After they are stored, the second gives the sender what is due. -ENOMEM. */
void alert_book_receive(AlertBook *book, const AlertExchange *exchange, const AlertMoment *moment);
int alert_book_give(const AlertBook *book, AlertExchange *exchange, const AlertMoment *moment);

typedef struct AlertFigures {
        size_t firing, pending;
        Bytes rules; /* those that fire, as a JSON array */
        Bytes names; /* of the first ones, for a sentence */
} AlertFigures;
static inline void alert_figures_done(AlertFigures *figures) {
        bytes_done(&figures->rules);
        bytes_done(&figures->names);
}
/* Counts states for a status, into the empty *ret*. -ENOMEM. */
int alert_book_figures(const AlertBook *book, AlertFigures *ret);
