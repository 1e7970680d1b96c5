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
/* Return the path of the file, the book (NULL: it was not read yet), and the configuration. */
const char *alert_store_path(const AlertStore *store);
AlertBook *alert_store_book(AlertStore *store);
const SubscriptionConfig *alert_store_config(const AlertStore *store);

/* Writes the changes of the book, if any, in one transaction, which is durable when this returns. After an error they
 * stay marked, for the next commit. */
int alert_store_commit(AlertStore *store);

/* Makes a store and reads its book, to look at, also while a daemon runs. -ENOENT: there is no file; other errors as
 * alert_store_open(). */
int alert_store_look(const SubscriptionConfig *config, AlertStore **ret);

/* Write the states of a device as JSON text, and read them:
 * [["KEY",phase,judged,since,heard,offline,said,since,"value"],...]. Of removed rules none is read: it would be
 * outdated if the rule came back. -ENOMEM; -EBADMSG: the text is not ours. */
int alert_store_write_states(const AlertDevice *device, const AlertRules *rules, Bytes *ret);
int alert_store_read_states(AlertDevice *device, const AlertRules *rules, Slice text);

/* ---- alert-work.c ---- */

/* A turn of the thread: it judges messages, updates states for the passing of time, lists what is due, and commits all
 * of that at once, with what changed since the last turn. */
typedef struct AlertTurn {
        AlertMoment moment;
        const SinkItem *items; /* messages to be judged */
        size_t n_items;
        /* Results. A turn that failed sets only *result*: what it changed is not committed, and will be by the next one
         * that succeeds. */
        int result;
        AlertFigures figures; /* owned */
} AlertTurn;

/* Does the turn, which alert_book_begin() began with the same moment if there was a book. Blocks. The book is the
 * thread's meanwhile, and the loop's between turns. */
void alert_work_run(AlertStore *store, AlertTurn *turn);
