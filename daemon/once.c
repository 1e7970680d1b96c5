/* SPDX-License-Identifier: Apache-2.0 */
#include "once.h"

#include <string.h>

#include "lib/log.h"

/* ---- what is left ---- */

static uint64_t once_queued(const Stages *stages) {
        OutboxStatus outbox = {};

        if (stages->host->outbox)
                outbox_status(stages->host->outbox, &outbox);
        return outbox.rows;
}

/* Adds what is the matter with each stage to *text*, each after a separator. A text that lacks memory is a shorter one.
 */
static void once_add_troubles(const Stages *stages, Bytes *text) {
        for (size_t i = 0; i < stages->n_sources; i++) {
                SourceStatus status;

                source_status(stages->sources[i]->source, &status);
                if (status.failing || status.holding)
                        (void) bytes_append_format(text, "; source %s: %s", stages->sources[i]->section->name,
                                status.holding ? "its readings cannot be written to the outbox" : status.detail);
        }
        if (stages->publisher) {
                PublisherStatus status;

                publisher_status(stages->publisher->publisher, &status);
                if (status.failing)
                        (void) bytes_append_format(text, "; publishing: %s", status.detail);
        }
        for (size_t i = 0; i < stages->n_subscribers; i++) {
                SubscriberStatus status;

                subscriber_status(stages->subscribers[i]->subscriber, &status);
                if (!status.sink.ready)
                        (void) bytes_append_format(text, "; %s is down for %s: %s", status.sink.what,
                                status.subscription,
                                status.sink.detail[0] ? status.sink.detail : "it has not answered in time");
                if (status.failing)
                        (void) bytes_append_format(text, "; %s: %s", status.subscription, status.detail);
        }
}

/* Each failure was logged when it came; this one line is for who started the run, and says what they add up to. */
static void once_tell_left(const Stages *stages, uint64_t queued) {
        _cleanup_bytes_ Bytes text = {};

        once_add_troubles(stages, &text);
        log_warning("Not everything is stored. %" PRIu64
                    " readings wait in the outbox, and what was not stored waits in Pub/Sub, for the "
                    "next run%s",
                queued, text.data ? text.data : "");
}

/* ---- steps ---- */

static bool once_sources_are_well(const Stages *stages) {
        for (size_t i = 0; i < stages->n_sources; i++) {
                SourceStatus status;

                source_status(stages->sources[i]->source, &status);
                if (status.failing || status.holding)
                        return false;
        }
        return true;
}

bool once_advance(Once *once, Stages *stages) {
        bool drained = false;
        uint64_t queued;

        if (once->step == ONCE_POLL && stages_are_polled(stages))
                once->step = ONCE_PUBLISH;
        if (once->step == ONCE_PUBLISH && stages_are_published(stages)) {
                once->step = ONCE_DRAIN;
                stages_drain(stages);
        }
        if (once->step != ONCE_DRAIN || !stages_are_drained(stages, &drained))
                return false;

        once->step = ONCE_ENDED;
        queued = once_queued(stages);
        once->complete = drained && queued == 0 && once_sources_are_well(stages);
        if (!once->complete)
                once_tell_left(stages, queued);
        return true;
}
