/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where messages are kept. sink.c is what all sinks have in common: one batch at a time, when to try again, what is
 * said of an outage, a thread of its own where the type's library blocks. A type (MongoDB, ...) knows its remote and
 * nothing of batches: it is given messages and says what became of each.
 *
 * The subscriber hands over a batch and gets the same batch back with a fate for each message. While the remote is down
 * the sink keeps the batch, tries again with backoff, and takes no other: the subscriber starts no pull then (P5).
 * Writing a message twice leaves one document (P4). The subscriber reads the ack ids in batch->body meanwhile, to renew
 * their leases: nothing but the fates changes. */

#include "lib/loop.h"
#include "secrets.h"
#include "subscribe/batch.h"
#include "subscribe/sink-type.h"

typedef struct Sink Sink;

enum { SINK_WRITE_STARTED = 0, SINK_WRITE_BUSY = 1 };

typedef struct SinkCallbacks {
        /* The batch is back with the subscriber. Messages are PENDING only when the sink is being stopped, when
         * sink_let_go() asked for the batch, or when it was tried in vain while the remote refuses everything. The
         * subscriber may write the next batch from inside. */
        void (*on_settled)(void *userdata, Batch *batch);
        /* sink_takes_batches() changed, or something in sink_status(). */
        void (*on_change)(void *userdata);
        void *userdata;
        SinkMeans means; /* what the remote says passes secrets_conceal() */
        SinkTap tap;     /* told of each message that was stored; on_stored NULL: nobody */
} SinkCallbacks;

typedef struct SinkStatus {
        bool ready; /* up: a message, or a probe that can tell, was accepted; nothing has failed since */
        /* It answers, and only a message can tell whether it stores: no write could be tried, and none was accepted
         * since. One at a time is pulled. Until it is ready, or said to be down again. */
        bool untried;
        bool refusing;      /* the last write had nothing accepted; what comes next tells whose fault that is */
        usec_t down_since;  /* clock_wall(); 0 while ready or untried, and until the first try failed */
        usec_t retry_at;    /* clock_now(); 0: none planned */
        usec_t last_stored; /* clock_wall(); 0: none yet */
        uint64_t stored, duplicates, rejected, failed, writes;
        Cause cause;        /* why it is down, or cannot set apart what it refuses */
        const char *detail; /* why it is down, what to do; "" when ready. No secret */
        const char *what;   /* name of the remote for STATUS=: "MongoDB" */
        SinkFigures figures;
} SinkStatus;

/* As SinkType.open. *config* is borrowed. Begins with a probe. */
int sink_new(const SinkType *type, const SubscriptionConfig *config, const SinkCallbacks *callbacks, Sink **ret);
/* After the stop has come to an end; a thread still stuck in its library is abandoned, together with its batch. A batch
 * that the sink still holds otherwise is freed. */
Sink *sink_free(Sink *sink);
CLEANUP_DEFINE(Sink, sink_free)

/* Takes the batch only when it answers SINK_WRITE_STARTED: when it is ready and idle; and when it wants a scout, where
 * it may hold another batch already. */
int sink_write(Sink *sink, Batch *batch);
/* The remote refuses everything it was given, and nothing was accepted since: a message that it was not given yet tells
 * whether that is the messages' fault or the remote's (P11). */
bool sink_wants_scout(const Sink *sink);
/* The lease of a batch in the sink is over. It comes back as soon as it is not in a write: what is held against it
 * alone set apart, the rest PENDING. The sink keeps a copy of one of those to try. */
void sink_let_go(Sink *sink, const Batch *batch);
/* No new try is started; a batch that is not in a write right now comes back at once, the other one when its write
 * returns. *complete*: the queue is empty, and it had all of it. */
void sink_stop(Sink *sink, bool complete);
/* A pull of the subscription was answered, with messages or without, or failed: SINK_NEWS_ANSWERED, EMPTY or DEAF. */
void sink_heard(Sink *sink, SinkNews news);
/* A write is under way; after sink_stop() also: the type has something to bring to its end. */
bool sink_is_busy(const Sink *sink);
/* Whole batches are welcome, now or after the write under way. Not so while it is up and refuses what it is given:
 * single messages are tried then. */
bool sink_takes_batches(const Sink *sink);
/* SinkStatus.untried */
bool sink_is_untried(const Sink *sink);
/* How it stands; texts live until the next call that may change them. */
void sink_status(const Sink *sink, SinkStatus *ret);
