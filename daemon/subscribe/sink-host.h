/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Connects sink.c with a type: it runs the type on the loop or on a thread of its own, asks one question at a time, and
 * notices a thread that never returns. For sink.c and the verbs; what a type may call is in sink-type.h. */

#include "subscribe/batch.h"
#include "subscribe/sink-type.h"

typedef enum SinkStep { SINK_STEP_PROBE, SINK_STEP_WRITE, SINK_STEP_APART } SinkStep;

typedef struct SinkHostCallbacks {
        /* The last question was answered; secrets in *work* are concealed. It is valid until the next question is
         * prepared. */
        void (*on_answer)(void *userdata, SinkStep step, SinkWork *work);
        void (*on_seen)(void *userdata, unsigned seen); /* SINK_SEEN_* */
        void *userdata;
        SinkMeans means; /* borrowed, for the type; the host uses the same loop */
} SinkHostCallbacks;

/* Opens the type; errors as SinkType.open. */
int sink_host_new(const SinkType *type, const SubscriptionConfig *config, const SinkHostCallbacks *callbacks,
        SinkHost **ret, char problem[static SINK_DETAIL_MAX]);
/* Never waits: a type that blocks is closed on a thread that nobody waits for. If a question runs, that ends first, and
 * then its batch is freed as well. No callback is called after this. */
SinkHost *sink_host_free(SinkHost *host);

/* Prepares the next question: *n* empty items for the caller to fill in. -ENOMEM. Must not be called while busy. */
int sink_host_prepare(SinkHost *host, size_t n, SinkWork **ret);
/* Asks the question. The messages of the work are in *batch* (NULL for a probe), which must not change until the
 * answer. */
void sink_host_ask(SinkHost *host, SinkStep step, Batch *batch);
bool sink_host_is_busy(const SinkHost *host);
const char *sink_host_place(const SinkHost *host);
/* Calls SinkType.figures(); zeros when the type does not have it. */
void sink_host_figures(const SinkHost *host, SinkFigures *ret);
/* Call SinkType.told() and is_busy(). Without them: does nothing, and returns false. */
void sink_host_tell(SinkHost *host, SinkNews news);
bool sink_host_is_working(const SinkHost *host);
