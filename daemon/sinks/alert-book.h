/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* All states of one subscription's rules, and what its targets were told of them: the content of alerts.sqlite, in
 * memory. Pure: times are arguments. Changes are marked, and alert-store.h writes them. */

#include "sinks/alert-device.h"

#define ALERT_SLOTS_MAX 100000   /* states */
#define ALERT_ENTRIES_MAX 100000 /* pairs of a state and a target */

/* A message older than this, when it is judged, may be history. Nothing is told while the device catches up, ... */
#define ALERT_OLD_USEC (2 * USEC_PER_MINUTE)
/* ... and it has caught up when no newer message came for so long. */
#define ALERT_QUIET_USEC (5 * USEC_PER_SEC)
/* A device that catches up for longer than this is not catching up: its times are wrong, or always late. */
#define ALERT_CATCHING_MAX_USEC (10 * USEC_PER_MINUTE)
/* When we hear again after a gap, the first messages may take so long; until then no state changes by time alone. */
#define ALERT_CALM_USEC (30 * USEC_PER_SEC)

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

typedef struct AlertBook {
        const AlertConfig *config; /* borrowed, as the rules */
        const AlertRules *rules;
        AlertDevice **devices; /* sorted by key */
        size_t n_devices, allocated;
        AlertDevice *nobody; /* one of them: not a device, but the states of rules that have found none; NULL: none */
        size_t n_slots, n_entries;
        AlertItem *due; /* as of the last pass, by target; sealed ones too; valid until the book is changed again */
        size_t n_due, due_allocated;
        usec_t next;         /* wall time when that pass has more to do; USEC_INFINITY: unknown */
        AlertMoment moment;  /* of this turn, or of the last one; zeros: there was none */
        size_t judged;       /* messages since the book was read */
        bool left_out;       /* a state had no room */
        bool untold, full;   /* a target has no entry of a firing, for want of memory or room; for want of room */
        unsigned warned;     /* of what the log was told already: bits of alert-work.c */
        Bytes ahead_device;  /* the key of the first one whose time was too far ahead; empty: none */
        usec_t clock_set_at; /* clock_now() when it was noticed that the wall clock was set; 0: never */
        usec_t proven;       /* as AlertMoment.heard, but proven by messages: all published before them has come */
} AlertBook;

/* ---- alert-book.c ---- */

/* Makes an empty book. -ENOMEM. */
int alert_book_new(const AlertConfig *config, const AlertRules *rules, AlertBook **ret);
AlertBook *alert_book_free(AlertBook *book);
CLEANUP_DEFINE(AlertBook, alert_book_free)

/* Finds or makes the device with that key. -ENOMEM. */
int alert_book_device(AlertBook *book, Slice key, AlertDevice **ret);
/* Adds a stored entry to a device, and takes it; finds its rule and its target. */
void alert_book_adopt(AlertBook *book, AlertDevice *device, AlertEntry *entry);
/* Call it after the last alert_book_adopt(), to begin the first turn: ends what the configuration no longer has, and
 * adds entries for targets that are new to a firing. -ENOMEM. */
int alert_book_settle(AlertBook *book, const AlertMoment *moment);

/* Begins a turn, which all of the following is a part of: notices whether the wall clock was set. */
void alert_book_begin(AlertBook *book, const AlertMoment *moment);
/* Judges messages. -ENOMEM: some were judged; judging them again does no harm. */
int alert_book_judge(AlertBook *book, const AlertReadings *readings);
/* The slot fires: adds entries for all targets of its rule that do not have one for this firing. Without room or memory
 * some have none, and the next pass tries again. */
void alert_book_tell(AlertBook *book, AlertDevice *device, const AlertSlot *slot);
/* Returns what is due as a notice: the present state, or what was sealed. It points into the book. */
AlertNotice alert_book_notice(const AlertBook *book, const AlertItem *item);
/* Whether any message has had a value that the rule could judge. */
bool alert_book_has_heard(const AlertBook *book, size_t watch);
/* All changes are stored: clears their marks, and frees entries that are gone and have been logged. */
void alert_book_committed(AlertBook *book);

/* ---- alert-pass.c ---- */

/* Updates the states for the passing of time, and lists what is due. -ENOMEM as above. */
int alert_pass_time(AlertBook *book);

typedef struct AlertFigures {
        size_t firing, pending;
        Bytes rules; /* those that fire, as a JSON array */
        Bytes names; /* of the first ones, for a sentence */
} AlertFigures;
static inline void alert_figures_done(AlertFigures *figures) {
        bytes_done(&figures->rules);
        bytes_done(&figures->names);
}

/* ---- alert-report.c ---- */

/* Counts states for a status, into the empty *ret*. -ENOMEM. */
int alert_report_figures(const AlertBook *book, AlertFigures *ret);
