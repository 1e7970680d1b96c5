/* SPDX-License-Identifier: Apache-2.0 */
/* One run of `sensorqd once`: polls each source, publishes the outbox, then drains each subscription. */

#include "stages.h"

#include "lib/log.h"
#include "lib/text.h"

static int stages_poll_once(Stages *stages) {
        const Stage *stage;
        int r;

        for (size_t i = 0; (stage = stages_next(stages, STAGE_SOURCE, &i));) {
                r = source_poll_now(stage->self);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void stages_drain(Stages *stages) {
        const Stage *stage;

        for (size_t i = 0; (stage = stages_next(stages, STAGE_SUBSCRIBER, &i));)
                subscriber_begin(stage->self);
}

static bool stage_is_idle(const Stage *stage, bool *ret_complete) {
        SourceStatus source;

        if (stage->kind == STAGE_PUBLISHER)
                return publisher_is_idle(stage->self);
        if (stage->kind == STAGE_SUBSCRIBER)
                return subscriber_is_drained(stage->self, ret_complete);
        source_status(stage->self, &source);
        *ret_complete = !source.failure.on && !source.holding;
        return !source_is_busy(stage->self);
}

/* True if each subscription was checked, or cannot be: until then publishing waits for the checks. */
static bool stages_know_subscriptions(const Stages *stages) {
        const Stage *stage;

        for (size_t i = 0; (stage = stages_next(stages, STAGE_SUBSCRIBER, &i));) {
                SubscriptionStatus status;

                subscriber_subscription(stage->self, &status);
                if (!status.checked && !status.failure.on)
                        return false;
        }
        return true;
}

/* True if all stages of that kind are done for now: sources polled, the outbox published, subscriptions drained.
 * *ret_complete* is true if nothing is left. */
static bool stages_are_idle(const Stages *stages, StageKind kind, bool *ret_complete) {
        const Stage *stage;

        *ret_complete = true;
        if (kind == STAGE_PUBLISHER && !stages_know_subscriptions(stages))
                return false;
        for (size_t i = 0; (stage = stages_next(stages, kind, &i));) {
                bool complete = true;

                if (!stage_is_idle(stage, &complete))
                        return false;
                *ret_complete = *ret_complete && complete;
        }
        return true;
}

/* Runs the loop until all stages of that kind are done; *ret_complete* is false when something is left. */
static int wait_for(const StagesHost *host, StageKind kind, bool *ret_complete) {
        while (!host->stopping && !stages_are_idle(host->stages, kind, ret_complete)) {
                int r = loop_turn(host->loop, USEC_INFINITY);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Adds what is wrong with each stage to *text*, each after a separator. Without memory the text is shorter. */
static void add_troubles(const Figures *f, Bytes *text) {
        for (size_t i = 0; i < f->n_sources; i++) {
                const SourceStatus *source = &f->sources[i];

                if (source->failure.on || source->holding)
                        (void) bytes_append_format(text, "; source %s: %s", source->name,
                                source->holding ? "its readings cannot be written to the outbox"
                                                : source->failure.detail);
        }
        if (f->publisher.failure.on)
                (void) bytes_append_format(text, "; publishing: %s", f->publisher.failure.detail);
        for (size_t i = 0; i < f->n_subscribers; i++) {
                const SubscriberStatus *subscriber = &f->subscribers[i];
                const SinkStatus *sink = &subscriber->sink;

                if (!sink->ready && !sink->untried)
                        (void) bytes_append_format(text, "; %s is down for %s: %s", sink->what,
                                subscriber->subscription,
                                sink->failure.detail[0] ? sink->failure.detail : "it has not answered in time");
                if (subscriber->failure.on)
                        (void) bytes_append_format(
                                text, "; %s: %s", subscriber->subscription, subscriber->failure.detail);
        }
}

/* Each failure was logged when it happened; this line sums them up for the person who started the run. */
static void tell_left(const Figures *figures) {
        _cleanup_bytes_ Bytes text = {};

        add_troubles(figures, &text);
        log_warning("Not everything is stored. %" PRIu64
                    " reading%s wait%s in the outbox, and what was not stored waits in Pub/Sub, for the next run%s",
                figures->outbox.rows, text_s(figures->outbox.rows), text_verb_s(figures->outbox.rows),
                text.data ? text.data : "");
}

int stages_run_once(const StagesHost *host, bool *ret_complete) {
        _cleanup_(report_done) Figures figures = {};
        bool polled = false, published = false, drained = false;
        int r;

        r = stages_poll_once(host->stages);
        if (r < 0)
                return r;
        r = wait_for(host, STAGE_SOURCE, &polled);
        if (r < 0)
                return r;
        r = wait_for(host, STAGE_PUBLISHER, &published);
        if (r < 0)
                return r;
        stages_drain(host->stages);
        r = wait_for(host, STAGE_SUBSCRIBER, &drained);
        if (r < 0)
                return r;
        r = stages_figures(host->stages, &figures);
        if (r < 0)
                return r;
        *ret_complete = !host->stopping && polled && drained && figures.outbox.rows == 0;
        if (!*ret_complete)
                tell_left(&figures);
        return 0;
}

int stages_end_once(const StagesHost *host, bool *ret_complete) {
        _cleanup_(report_done) Figures figures = {};
        int r = stages_figures(host->stages, &figures);

        if (r < 0)
                return r;
        *ret_complete = true;
        for (size_t i = 0; i < figures.n_subscribers; i++) {
                const SubscriberStatus *subscriber = &figures.subscribers[i];

                if (!subscriber->sink.figures.waiting)
                        continue;
                *ret_complete = false;
                log_warning("%s: not every alert could be sent. They wait for the next run: %s",
                        subscriber->subscription, subscriber->sink.figures.words ?: "");
        }
        return 0;
}
