/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* alerts.sqlite in state_dir: the book of each subscription, durable; and the turns of the
 * thread that has it. Blocks: for one thread at a time. */

#include "lib/sql.h"
#include "sinks/alert-book.h"
#include "subscribe/sink-type.h"

#define ALERT_STORE_FILE "alerts.sqlite"

typedef struct AlertStoreSpec {
        const char *state_dir, *subscription;
        const AlertConfig *config; /* all of it is borrowed */
} AlertStoreSpec;

typedef struct AlertStore AlertStore;

/* Opens nothing yet. -ENOMEM. */
int alert_store_new(const AlertStoreSpec *spec, AlertStore **ret);
/* What was not committed is gone. */
AlertStore *alert_store_free(AlertStore *store);
CLEANUP_DEFINE(AlertStore, alert_store_free)

/* Opens the file and reads the book, unless that was done. A damaged file is moved aside, which is logged; a new one is
 * begun, with what is in memory. -EOPNOTSUPP: made by a later version, and left alone; else as sql_open(). */
int alert_store_open(AlertStore *store, const AlertMoment *moment);
/* Of a store that is open. */
AlertBook *alert_store_book(AlertStore *store);

/* Writes what changed in the book, in one transaction that is durable when this returns; nothing changed: nothing is
 * written. After an error it is as if nothing had happened since the last commit, and the store is no longer open. */
int alert_store_commit(AlertStore *store);
/* The book is not what it should be: it is read anew when the store is opened next. */
void alert_store_drop(AlertStore *store);

/* Calls *each* for every state that is in the file, also beside a running daemon; *entries* are what targets were told
 * of it. -ENOENT: there is no file; else as alert_store_open(). */
int alert_store_each(const AlertStoreSpec *spec, AlertBookEach each, void *userdata);

/* ---- alert-work.c ---- */

/* One turn of the thread that has alerts.sqlite: messages are judged, time passes, receipts are taken, all of it is
 * committed at once, and then the sender is given what is due. */
typedef struct AlertWork AlertWork;

/* Opens nothing yet; *spec* is borrowed as alert_store_new() says. -ENOMEM. */
int alert_work_new(const AlertStoreSpec *spec, PayloadFormat payload, AlertWork **ret);
AlertWork *alert_work_free(AlertWork *work);
CLEANUP_DEFINE(AlertWork, alert_work_free)

typedef struct AlertTurn {
        AlertMoment moment;
        const SinkItem *items; /* messages to be judged */
        size_t n_items;
        bool exchanges;
        AlertExchange exchange;
        /* Afterwards. Of a turn that failed nothing has happened, and only the result is set. */
        int result;
        usec_t next; /* wall time of the next turn, though nothing comes; USEC_INFINITY: none is needed */
        bool due;    /* there is something for the sender */
        AlertFigures figures;
        Bytes firing; /* a JSON array */
} AlertTurn;

/* Blocks. */
void alert_work_run(AlertWork *work, AlertTurn *turn);
