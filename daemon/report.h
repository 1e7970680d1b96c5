/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the stages report: one table of figures, written as STATUS= for `systemctl status` and as status.json for
 * `sensorqd status` and monitoring. Numbers only, never control. The formatting is pure: all times come in. */

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "publish/outbox-left.h"
#include "publish/outbox.h"
#include "publish/publisher.h"
#include "publish/source.h"
#include "pubsub/token.h"
#include "subscribe/subscriber.h"

/* One look at every stage. A time of 0 means that there is none. */
typedef struct Figures {
        usec_t wall, now;   /* clock_wall(), clock_now() */
        usec_t asleep;      /* what of now the machine slept, since it started */
        usec_t started;     /* clock_wall() */
        const char *config; /* full name of the file; borrowed */
        bool stopping;
        usec_t reload_refused;    /* clock_wall() of the last reload if it was refused; else 0 */
        const char *reload_error; /* why; borrowed */
        bool publishes;
        OutboxStatus outbox;
        bool outbox_failing;
        OutboxLeft left;
        usec_t page_failing;     /* clock_wall() since when the page cannot be served; 0: it can, or there is none */
        const char *page_detail; /* why; borrowed */
        PublisherStatus publisher;
        TokenStatus token;
        SourceStatus *sources; /* the arrays are what report_done() frees */
        size_t n_sources;
        SubscriberStatus *subscribers;
        size_t n_subscribers;
} Figures;

/* Frees the arrays, and leaves none. */
void report_done(Figures *figures);

/* Polling has stopped for want of room; the outbox holds more than four fifths of a cap, rejected rows included. */
bool report_outbox_is_full(const Figures *figures);
bool report_outbox_is_high(const Figures *figures);

/* Everything does what it is there for: no source, queue, sink or page fails, waits for room, or has not answered yet.
 */
bool report_is_well(const Figures *figures);
/* The same of one subscription. */
bool report_subscriber_is_well(const SubscriberStatus *subscriber);

#define REPORT_LINE_SIZE 501

/* STATUS= in plain words: "home polled 12:06:03, 3 readings queued, last stored 12:03:04, MongoDB down since 12:03:05
 * (next try 12:06:40), pulls paused". Always one line of whole characters. Times are local, and absolute: what is read
 * a minute later is still true. Returns *line*. */
const char *report_format_line(const Figures *figures, char line[static REPORT_LINE_SIZE]);

/* The same and more as one JSON object (documented in sensorqd(8)). -ENOMEM. */
int report_format_json(const Figures *figures, Bytes *ret);

/* Writes DIRECTORY/status.json, mode 0644: a reader sees the old text or the new one, whole. Not synced: it is about
 * now. Errors as open(2) and write(2), the old file stays. */
int report_write(const char *directory, const char *json, size_t size);
/* At the end of the process: nobody shall take it for a running one. */
void report_remove(const char *directory);

/* ---- report-stalls.c ---- */

/* What is watched and warned of, from the figures of a report: stages that stand still though nothing is known to be in
 * the way, messages that near the end of their retention, an outbox that fills. */
typedef struct ReportStalls ReportStalls;

/* Since when messages of each subscription wait is kept in STATE_DIR/unsettled, or each restart would begin to count
 * anew; NULL: it is not kept. -ENOMEM. */
int report_stalls_new(const char *state_dir, ReportStalls **ret);
ReportStalls *report_stalls_free(ReportStalls *stalls);
CLEANUP_DEFINE(ReportStalls, report_stalls_free)

/* Logs EVENT_STALLED, EVENT_RETENTION_NEAR (at half and nine tenths) and EVENT_OUTBOX_HIGH, _FULL, _DRAINED, once for
 * each crossing. To be called every minute or so, as often as anything changes, and at the stop. */
void report_stalls_look(ReportStalls *stalls, const Figures *figures);
