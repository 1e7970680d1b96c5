/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Stores messages. sink.c has what all sinks share: one batch at a time, when to try again, what is logged of an
 * outage, and a thread for a type whose library blocks. A type (MongoDB, ...) knows its remote, but nothing of batches:
 * it gets messages and returns a verdict on each.
 *
 * The subscriber gives the sink a batch and gets the same batch back with a fate for each message. While the remote is
 * down, the sink keeps the batch, tries again with backoff, and takes no other; the subscriber then starts no pull
 * (P5). Writing a message twice leaves one document (P4). Meanwhile the subscriber reads the ack ids in batch->body to
 * renew the leases, so the sink changes nothing but the fates. */

#include "subscribe/batch.h"
#include "subscribe/sink-type.h"

typedef struct Sink Sink;

enum { SINK_WRITE_STARTED = 0, SINK_WRITE_BUSY = 1 };

typedef struct SinkCallbacks {
        /* Gives the batch back. Messages are PENDING only when the sink stops, after sink_let_go(), or when the batch
         * was tried in vain while the remote refuses everything. The subscriber may call sink_write() from inside. */
        void (*on_settled)(void *userdata, Batch *batch);
        /* sink_takes_batches() or something in sink_status() has changed. */
        void (*on_change)(void *userdata);
        void *userdata;
        SinkMeans means; /* its secrets are concealed in the remote's words */
        SinkTap tap;     /* is told of each stored message; on_stored may be NULL */
} SinkCallbacks;

typedef struct SinkStatus {
        bool ready; /* a message, or a probe that can try a write, was accepted, and nothing has failed since */
        /* The remote answers, but no write could be tried or was accepted yet, so only a message can show whether it
         * stores. Messages are pulled one at a time, until the sink is ready or down again. */
        bool untried;
        bool refusing; /* the last write had nothing accepted; the next messages show whether the remote is at fault */
        /* That it is down: not while it is ready or untried, and not before the first try has failed. Also has a cause
         * where it only cannot set apart what it refuses. */
        Failure failure;
        usec_t retry_at;    /* clock_now(); 0: none planned */
        usec_t last_stored; /* clock_wall(); 0: none yet */
        uint64_t stored, duplicates, rejected, failed, writes;
        const char *what; /* the remote's name for STATUS=: "MongoDB" */
        SinkFigures figures;
} SinkStatus;

/* Opens a sink, which begins with a probe. *config* is borrowed. Errors as SinkType.open. */
int sink_new(const SinkType *type, const SubscriptionConfig *config, const SinkCallbacks *callbacks, Sink **ret);
/* Call it after the stop has ended. A thread that is stuck in its library is left alone, together with its batch; any
 * other batch that the sink still holds is freed. */
Sink *sink_free(Sink *sink);
CLEANUP_DEFINE(Sink, sink_free)

/* Takes the batch only when it returns SINK_WRITE_STARTED: when it is ready and idle; or when it retries while it wants
 * a scout, although it holds another batch. Otherwise returns SINK_WRITE_BUSY. */
int sink_write(Sink *sink, Batch *batch);
/* Returns true when the remote refuses everything and has accepted nothing since. New messages, the scout, then show
 * whether the messages or the remote are at fault (P11). */
bool sink_wants_scout(const Sink *sink);
/* The lease of a batch in the sink is over. The batch comes back as soon as no write runs: messages that are bad by
 * themselves are set apart, the others are PENDING. The sink keeps a copy of one of those to try. */
void sink_let_go(Sink *sink, const Batch *batch);
/* Stops the sink: no new try is started. A batch that is not being written comes back at once, another one when its
 * write returns. *complete*: the queue is empty, and the sink got all of its messages. */
void sink_stop(Sink *sink, bool complete);
/* A pull of the subscription was answered with messages (SINK_NEWS_ANSWERED), without (EMPTY), or failed (DEAF). */
void sink_heard(Sink *sink, SinkNews news);
/* Whether a write runs; after sink_stop() also whether the type has something to finish. */
bool sink_is_busy(const Sink *sink);
/* Whether the sink takes whole batches, now or after the present write. False while the remote is up but refuses
 * everything: then single messages are tried. */
bool sink_takes_batches(const Sink *sink);
/* Returns SinkStatus.untried. */
bool sink_is_untried(const Sink *sink);
/* Fills in the status; its texts are valid until the next call that may change them. */
void sink_status(const Sink *sink, SinkStatus *ret);
