/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What stands between sink.c and a type: where the type runs (on the loop, or on a thread of its own), one question at
 * a time, and the watch over a thread that never comes back. For sink.c and the verbs; what a type may call is in
 * sink-type.h. */

#include "lib/loop.h"
#include "subscribe/batch.h"
#include "subscribe/sink-type.h"

typedef enum SinkStep { SINK_STEP_PROBE, SINK_STEP_WRITE, SINK_STEP_APART } SinkStep;

typedef struct SinkHostCallbacks {
        void (*on_answer)(void *userdata);              /* to what was asked last */
        void (*on_seen)(void *userdata, unsigned seen); /* SINK_SEEN_* */
        void *userdata;
        SinkMeans means; /* borrowed, for the type; its loop is the host's, too */
} SinkHostCallbacks;

/* Opens the type: as SinkType.open. */
int sink_host_new(const SinkType *type, const SubscriptionConfig *config, const SinkHostCallbacks *callbacks,
        SinkHost **ret, char problem[static SINK_DETAIL_MAX]);
/* Never waits: the type is closed on a thread that nobody waits for where it blocks; one that is in the middle of a
 * question ends it first, and then releases the question's batch as well. No callback comes after this. */
SinkHost *sink_host_free(SinkHost *host);

/* What the next question is about: *n* items, empty, for the caller to fill in. -ENOMEM. Not while busy. */
int sink_host_prepare(SinkHost *host, size_t n, SinkWork **ret);
/* Asks. The messages of the work are in *batch*, NULL for a probe, which must not change until the answer. */
void sink_host_ask(SinkHost *host, SinkStep step, Batch *batch);
bool sink_host_is_busy(const SinkHost *host);
/* Of the last question, and no secret is in it; *ret_step* may be NULL. Valid until the next one is prepared. */
SinkWork *sink_host_work(SinkHost *host, SinkStep *ret_step);
const char *sink_host_place(const SinkHost *host);
/* What the type tells of itself; zeros where it has nothing to tell. */
void sink_host_figures(const SinkHost *host, SinkFigures *ret);
/* SinkType.told() and is_busy(); nothing, and false, where the type has none. */
void sink_host_tell(SinkHost *host, SinkNews news);
bool sink_host_is_working(const SinkHost *host);
