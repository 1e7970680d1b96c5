/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What can never be stored, for the types of sinks that have no place of their own for it: raw bytes and reason in
 * state_dir/rejected.sqlite, durable, capped. The oldest are never dropped: when it is full the sink is down. One file
 * for all subscriptions; rows are found by what they are, also when their subscription was renamed. Blocks. */

#include "lib/sql.h"
#include "subscribe/sink-admin.h"

#define REJECTED_FILE "rejected.sqlite"
#define REJECTED_ROWS_MAX 100000
#define REJECTED_BYTES_MAX (64 * 1024 * 1024) /* data and attributes */

/* Of one subscription: where, and what was said of it. `RejectedKeeper k = {...}` */
typedef struct RejectedKeeper {
        char *state_dir, *subscription; /* owned by whoever has the keeper */
        const char *place;              /* what the messages are not stored in; borrowed */
        uint64_t rows_max, bytes_max;   /* 0: as above */
        unsigned lines;                 /* said since the time below */
        usec_t since;                   /* clock_now() */
        uint64_t unsaid;
        usec_t counted; /* clock_now() when they were told as a count; 0: not yet */
} RejectedKeeper;

/* As SinkType.set_apart: keeps every message of *work*, all or none, and logs each (a flood as a count). */
void rejected_keep(RejectedKeeper *keeper, SinkWork *work);

/* The verbs' side: beside a running daemon, or without one. */

/* A row read back; what it points to lives as long as this. */
typedef struct RejectedMessage {
        WireMessage wire;
        WireAttribute *attributes;
        Slice subscription;
        Bytes text;
} RejectedMessage;

/* -ENOENT: nothing was ever kept there; SQL_DAMAGED; -EOPNOTSUPP: made by a later sensorqd; as sql_open(). The
 * caller closes it. */
int rejected_guest_open(const char *state_dir, Sql **ret);
/* Of all subscriptions, oldest first; ids begin with their names. As sql_step(). */
int rejected_guest_each(Sql *guest, const SinkRejectedQuery *query);
/* Reads the message of that id. -ENOENT; -EBADMSG: damaged; as sql_step(). rejected_message_done() in any case. */
int rejected_guest_message(Sql *guest, const char *id, RejectedMessage *ret);
void rejected_message_done(RejectedMessage *message);
/* -ENOENT; as sql_step(). */
int rejected_guest_drop(Sql *guest, const char *id);
