/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages that can never be stored, for types of sinks that have no place of their own for them: raw bytes and reason
 * in state_dir/rejected.sqlite, durable and limited in size. Nothing is ever dropped by itself: when the file is full,
 * the sink is down. All subscriptions share one file; `rejected` finds rows also after their subscription was renamed.
 * The functions block. */

#include "lib/sql.h"
#include "subscribe/sink-type.h"
#include "subscribe/sink-words.h"

#define REJECTED_FILE "rejected.sqlite"
#define REJECTED_ROWS_MAX 100000
#define REJECTED_BYTES_MAX (64 * 1024 * 1024) /* data and attributes */

/* Of one subscription: where it keeps messages, and what was logged of them. `RejectedKeeper k = {...}` */
typedef struct RejectedKeeper {
        char *state_dir;              /* the keeper's owner frees it */
        uint64_t rows_max, bytes_max; /* 0: as above */
        SinkApart said;
} RejectedKeeper;

/* As SinkType.set_apart: keeps all messages of *work* or none, and logs them as sink_said_set_apart(). Blocks: for the
 * disk, and up to five seconds for another subscription's commit. */
void rejected_set_apart(RejectedKeeper *keeper, SinkWork *work);

/* ---- for the verbs, with or without a running daemon ---- */

/* A row that was read. Its slices point into *text*. */
typedef struct RejectedMessage {
        WireMessage wire;
        WireAttribute *attributes;
        Slice subscription;
        Bytes text;
} RejectedMessage;

/* Opens the file; the caller closes it. -ENOENT: nothing was ever kept; -EUCLEAN; -EOPNOTSUPP: made by a later
 * sensorqd; other errors as sql_open(). */
int rejected_guest_open(const char *state_dir, Sql **ret);
/* Calls query->each for the rows of all subscriptions, oldest first; ids begin with the subscription's name. Errors as
 * sql_step(). */
int rejected_guest_each(Sql *guest, const SinkRejectedQuery *query);
/* Reads the message with that id. -ENOENT; -EBADMSG: damaged; other errors as sql_step(). Call rejected_message_done()
 * in any case. */
int rejected_guest_message(Sql *guest, const char *id, RejectedMessage *ret);
void rejected_message_done(RejectedMessage *message);
/* Deletes the row with that id. -ENOENT; other errors as sql_step(). */
int rejected_guest_drop(Sql *guest, const char *id);
