/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the stages report, in words and numbers: STATUS= for `systemctl status`, status.json for `sensorqd status` and
 * monitoring, and warnings about stalls and nearing retention. Numbers only, never control. The formatting is pure: all
 * times come in. */

#include "lib/bytes.h"
#include "publish/outbox.h"
#include "publish/publisher.h"
#include "publish/source.h"
#include "pubsub/token.h"
#include "subscribe/subscriber.h"

/* One look at every stage. Arrays are borrowed. */
typedef struct StatusInput {
        usec_t wall, now; /* clock_wall(), clock_now() */
        usec_t started;   /* clock_wall() */
        bool stopping;
        bool publishes;
        OutboxStatus outbox;
        bool outbox_failing;
        PublisherStatus publisher;
        TokenStatus token;
        const SourceStatus *sources;
        size_t n_sources;
        const SubscriberStatus *subscribers;
        size_t n_subscribers;
} StatusInput;

/* STATUS= in plain words: "home polled 12:06:03, 3 readings queued, last stored 12:03:04, MongoDB down since 12:03:05
 * (next try 12:06:40), pulls paused". Always one line, at most 500 bytes. Times are local, and absolute: what is read a
 * minute later is still true. */
int status_format_line(const StatusInput *input, Bytes *ret);

/* The same and more as one JSON object (documented in sensorqd(8)). */
int status_format_json(const StatusInput *input, Bytes *ret);

/* Polling has stopped for want of room; the outbox holds more than four fifths of a cap, rejected rows included. */
bool status_outbox_is_full(const StatusInput *input);
bool status_outbox_is_high(const StatusInput *input);

/* Warnings that were given, so that each is given once. */
typedef struct StatusWarnings StatusWarnings;
int status_warnings_new(StatusWarnings **ret);
StatusWarnings *status_warnings_free(StatusWarnings *warnings);
/* Logs EVENT_STALLED, EVENT_RETENTION_NEAR (at half and nine tenths), EVENT_OUTBOX_HIGH/FULL/DRAINED once for each
 * crossing. To be called every minute or so, and as often as anything changes. */
void status_warn(StatusWarnings *warnings, const StatusInput *input);

/* Writes DIRECTORY/status.json, mode 0644: a reader sees the old text or the new one, whole. Not synced: it is about
 * now. Errors as open(2) and write(2), the old file stays. */
int status_write(const char *directory, const char *json, size_t size);
/* At the end of the process: nobody shall take it for a running one. */
void status_remove(const char *directory);
