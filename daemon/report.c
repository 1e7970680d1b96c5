/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdlib.h>

#include "lib/cleanup.h"
#include "lib/file.h"
#include "lib/text.h"

void report_done(Figures *figures) {
        free(figures->sources);
        free(figures->subscribers);
        *figures = (Figures){};
}

/* ---- the outbox and its limits ---- */

static uint64_t outbox_rows(const OutboxStatus *outbox) {
        return outbox->rows + outbox->rejected_rows;
}

static uint64_t outbox_bytes(const OutboxStatus *outbox) {
        return outbox->bytes + outbox->rejected_bytes;
}

/* True if the readings that a source holds in memory did not fit, or the next poll's might not fit. */
static bool source_is_shut_out(const Figures *f, const SourceStatus *source) {
        if (f->outbox_failing || (!source->holding && !source->gated))
                return false;
        return report_outbox_is_high(f) || outbox_rows(&f->outbox) + source->next_rows > f->outbox.max_rows ||
               outbox_bytes(&f->outbox) + source->next_bytes > f->outbox.max_bytes;
}

bool report_outbox_is_full(const Figures *f) {
        if (!f->publishes || f->outbox.max_rows == 0)
                return false;
        if (outbox_rows(&f->outbox) >= f->outbox.max_rows || outbox_bytes(&f->outbox) >= f->outbox.max_bytes)
                return true;
        for (size_t i = 0; i < f->n_sources; i++)
                if (source_is_shut_out(f, &f->sources[i]))
                        return true;
        return false;
}

bool report_outbox_is_high(const Figures *f) {
        if (!f->publishes || f->outbox.max_rows == 0)
                return false;
        return outbox_rows(&f->outbox) > f->outbox.max_rows / 5 * 4 ||
               outbox_bytes(&f->outbox) > f->outbox.max_bytes / 5 * 4;
}

/* ---- the whole ---- */

bool report_subscriber_is_well(const SubscriberStatus *subscriber) {
        return subscriber->sink.ready && !subscriber->failing && !subscriber->missing && subscriber->unkept == 0;
}

bool report_is_well(const Figures *f) {
        bool well = !f->stopping && f->page_failing == 0 && !f->outbox_failing && !report_outbox_is_full(f) &&
                    !f->publisher.failing && !f->token.failing;

        for (size_t i = 0; well && i < f->n_sources; i++)
                well = !f->sources[i].failing && !f->sources[i].holding;
        for (size_t i = 0; well && i < f->n_subscribers; i++)
                well = report_subscriber_is_well(&f->subscribers[i]) && !f->subscribers[i].sink.figures.failing;
        return well;
}

/* ---- status.json as a file ---- */

int report_write(const char *directory, const char *json, size_t size) {
        return file_show(directory, "status.json", json, size);
}

void report_remove(const char *directory) {
        _cleanup_free_ char *path = NULL;

        if (text_format(&path, "%s/status.json", directory) == 0)
                (void) unlink(path);
}
