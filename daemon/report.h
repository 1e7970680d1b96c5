/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the stages report: a table of figures, written as STATUS= for `systemctl status` and as status.json for
 * `sensorqd status` and monitoring. Figures never control anything. The formatting is pure: all times are arguments. */

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "publish/outbox-left.h"
#include "publish/outbox.h"
#include "publish/publisher.h"
#include "publish/source.h"
#include "pubsub/token.h"
#include "subscribe/subscriber.h"

/* The figures of every stage at one moment. A time of 0 means that there is none. */
typedef struct Figures {
        usec_t wall, now;   /* clock_wall(), clock_now() */
        usec_t asleep;      /* how much of *now* the machine slept since it started */
        usec_t started;     /* clock_wall() */
        const char *config; /* full name of the file; borrowed */
        bool stopping;
        usec_t reload_refused;    /* clock_wall() of the last reload if it was refused; else 0 */
        const char *reload_error; /* why; borrowed */
        bool publishes;
        OutboxStatus outbox;
        bool outbox_failing;
        OutboxLeft left;
        usec_t page_failing;     /* clock_wall() since which the page cannot be served; 0: it is, or there is none */
        const char *page_detail; /* why; borrowed */
        Cause page_cause;
        const char *page_subscription; /* which the page draws, ""; NULL: it is not the page that asks; borrowed */
        PublisherStatus publisher;
        TokenStatus token;
        SourceStatus *sources; /* report_done() frees the arrays */
        size_t n_sources;
        SubscriberStatus *subscribers;
        size_t n_subscribers;
} Figures;

/* Frees the arrays; there are none afterwards. */
void report_done(Figures *figures);

/* _is_full: polling has stopped because there is no room. _is_high: the outbox holds more than four fifths of a limit,
 * rejected rows included. */
bool report_outbox_is_full(const Figures *figures);
bool report_outbox_is_high(const Figures *figures);

/* True if everything works: no source, queue, sink or page fails, waits for room, or has not answered yet. */
bool report_is_well(const Figures *figures);
/* Like report_is_well(), for one subscription. */
bool report_subscriber_is_well(const SubscriberStatus *subscriber);

#define REPORT_LINE_SIZE 501

/* Writes STATUS= in plain words: "home polled 12:06:03, 3 readings queued, last stored 12:03:04, MongoDB down since
 * 12:03:05 (next try 12:06:40), pulls paused". One line of whole characters. Times are local and absolute, so that the
 * line is still true a minute later. Returns *line*. */
const char *report_format_line(const Figures *figures, char line[static REPORT_LINE_SIZE]);

/* Appends the figures, and more, as one JSON object (documented in sensorqd(8)). -ENOMEM. */
int report_format_json(const Figures *figures, Bytes *ret);

/* Writes DIRECTORY/status.json with mode 0644; a reader sees the whole old or the whole new text. It is not synced,
 * because it is only about this moment. Errors of open(2) and write(2); the old file then stays. */
int report_write(const char *directory, const char *json, size_t size);
/* Removes the file at the end of the process, so that nobody believes that it still runs. */
void report_remove(const char *directory);

/* ---- report-stalls.c ---- */

/* Watches the figures and warns: of stages that stand still although no failure is known, messages near the end of
 * their retention, an outbox that gets full. */
typedef struct ReportStalls ReportStalls;

/* STATE_DIR/unsettled keeps since when messages of each subscription have been waiting; without it, each restart would
 * count from 0. NULL: it is not kept. -ENOMEM. */
int report_stalls_new(const char *state_dir, ReportStalls **ret);
ReportStalls *report_stalls_free(ReportStalls *stalls);
CLEANUP_DEFINE(ReportStalls, report_stalls_free)

/* Logs EVENT_STALLED, EVENT_RETENTION_NEAR (at half and nine tenths) and EVENT_OUTBOX_HIGH, _FULL, _DRAINED, once for
 * each change. Call it about every minute, after each change, and at the stop. */
void report_stalls_check(ReportStalls *stalls, const Figures *figures);
