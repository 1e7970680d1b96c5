/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where messages are kept. This file is the interface that every type of sink implements and the table of types; a new
 * one (a file, Slack) is one file and one row.
 *
 * A sink takes one batch at a time and gives the same batch back with a fate for each message. While its remote is down
 * it keeps the batch, tries again with backoff, and is not `ready`: the subscriber starts no pull then (P5). Writing a
 * batch twice leaves one document for each message (P4). In a batch a sink changes nothing but the fates: the
 * subscriber reads the ack ids in batch->body meanwhile, to renew their leases. */

#include <systemd/sd-event.h>

#include "config.h"
#include "subscribe/delivery.h"

typedef struct Sink Sink; /* each type's struct begins with it */

enum { SINK_WRITE_STARTED = 0, SINK_WRITE_BUSY = 1 };

typedef struct SinkCallbacks {
        /* The batch is back with the subscriber; every message has a fate other than PENDING unless the sink is being
         * stopped. The subscriber may call write() from inside, with the next batch. */
        void (*on_settled)(void *userdata, Batch *batch);
        /* sink_is_ready() changed, or something in sink_status(). */
        void (*on_change)(void *userdata);
        void *userdata;
} SinkCallbacks;

typedef struct SinkStatus {
        bool ready; /* the remote took a write or, where that cannot be tried, answered a ping; and no write has failed
                       since */
        usec_t down_since;  /* clock_wall(); 0 while ready, and until the first try failed */
        usec_t retry_at;    /* clock_now(); 0: none planned */
        usec_t last_stored; /* clock_wall(); 0: none yet */
        uint64_t stored, duplicates, rejected, failed, writes;
        const char *detail; /* why it is down, what to do; "" when ready. No secret */
        const char *what;   /* name of the remote for STATUS=: "MongoDB" */
} SinkStatus;

typedef struct SinkType {
        const char *name; /* key of its section in the config: "mongodb" */
        /* *secret* is the password file's content or NULL. -EBADMSG for what only a user can mend in the config. Never
         * blocks, never fails because the remote is down. */
        int (*open)(sd_event *event, const SubscriptionConfig *config, const char *secret,
                const SinkCallbacks *callbacks, Sink **ret);
        /* After *stop* has come to an end; a thread still stuck in its library is abandoned, together with its batch. A
         * batch that the sink still holds otherwise is freed. */
        Sink *(*close)(Sink *sink);
        int (*write)(Sink *sink, Batch *batch); /* takes the batch only when it answers SINK_WRITE_STARTED */
        /* No new try is started; a batch that is not in a write right now comes back at once, the other one when its
         * write returns. */
        void (*stop)(Sink *sink);
        bool (*is_busy)(const Sink *sink); /* a write is under way on the thread */
        void (*status)(const Sink *sink, SinkStatus *ret);
} SinkType;

struct Sink {
        const SinkType *type;
};

extern const SinkType sink_type_mongodb;

const SinkType *sink_type_find(const char *name);

/* Shorthands. */
static inline bool sink_is_ready(const Sink *sink) {
        SinkStatus status;

        sink->type->status(sink, &status);
        return status.ready;
}
