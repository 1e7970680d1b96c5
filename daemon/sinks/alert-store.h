/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* alerts.sqlite in state_dir: keeps the book of each subscription durably; and the turns of the thread that owns it.
 * The functions block; only one thread at a time may call them. */

#include "lib/sql.h"
#include "sinks/alert-book.h"
#include "subscribe/sink-type.h"

#define ALERT_STORE_FILE "alerts.sqlite"

typedef struct AlertStore AlertStore;

/* Makes a store; opens nothing yet. *config* is borrowed. -ENOMEM. */
int alert_store_new(const SubscriptionConfig *config, AlertStore **ret);
/* Loses what was not committed. */
AlertStore *alert_store_free(AlertStore *store);
CLEANUP_DEFINE(AlertStore, alert_store_free)

/* Opens the file and reads the book, unless that was done. A damaged file is moved aside, which is logged, and a new
 * one is begun with what is in memory. -EOPNOTSUPP: the file was made by a later version and is not touched; other
 * errors as sql_open(). */
int alert_store_open(AlertStore *store, const AlertMoment *moment);
/* Returns the book of an open store. */
AlertBook *alert_store_book(AlertStore *store);
/* The first returns the configuration, the second what was warned of already: bits of the caller. */
const SubscriptionConfig *alert_store_config(const AlertStore *store);
unsigned *alert_store_warned(AlertStore *store);

/* Writes the changes of the book, if any, in one transaction, which is durable when this returns. After an error
 * nothing has changed since the last commit, and the store is closed. */
int alert_store_commit(AlertStore *store);
/* Drops a book that may be wrong: it is read again when the store is next opened. */
void alert_store_drop(AlertStore *store);

/* Calls *each* for every state in the file, also while a daemon runs; the device's entries say what targets were told.
 * -ENOENT: there is no file; other errors as alert_store_open(). */
int alert_store_each(const SubscriptionConfig *config, AlertBookEach each, void *userdata);

/* ---- alert-work.c ---- */

/* A turn of the thread that owns alerts.sqlite: it judges messages, updates states for the passing of time, takes
 * receipts, commits all of that at once, and then collects what is due for the sender. */
typedef struct AlertTurn {
        AlertMoment moment;
        const SinkItem *items; /* messages to be judged */
        size_t n_items;
        bool exchanges;
        AlertExchange exchange;
        /* Results. A turn that failed has changed nothing, and sets only *result*. */
        int result;
        usec_t next;          /* wall time of the next turn, even without messages; USEC_INFINITY: not needed */
        bool due;             /* there are notices for the sender */
        bool unreadable;      /* one of the messages is not a JSON object */
        AlertFigures figures; /* owned */
} AlertTurn;

/* Does the turn. Blocks. */
void alert_work_run(AlertStore *store, AlertTurn *turn);
