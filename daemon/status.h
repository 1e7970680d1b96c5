/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the stages report, in words and numbers: STATUS= for `systemctl status`, status.json for `sensorqd status` and monitoring, and warnings about stalls and nearing
 * retention. Numbers only, never control. The formatting is pure: all times come in. */

#include "lib/bytes.h"
#include "publish/outbox.h"
#include "publish/publisher.h"
#include "publish/source.h"
#include "pubsub/token.h"
#include "subscribe/subscriber.h"

/* One look at every stage. Arrays are borrowed. */
typedef struct StatusInput {
        usec_t wall, now;        /* clock_wall(), clock_now() */
        usec_t started;          /* clock_wall() */
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

/* STATUS= in plain words: "3 readings queued, last stored 12:00:03, MongoDB down since 12:03 (retry in 40 s), pulls paused". Always one line, at most 500 bytes. */
int status_format_line(const StatusInput *input, Bytes *ret);

/* The same and more as one JSON object (documented in sensorqd(8)). */
int status_format_json(const StatusInput *input, Bytes *ret);

/* Warnings that were given, so that each is given once. */
typedef struct StatusWarnings StatusWarnings;
int status_warnings_new(StatusWarnings **ret);
StatusWarnings *status_warnings_free(StatusWarnings *warnings);
/* Logs EVENT_STALLED, EVENT_RETENTION_NEAR (at half and nine tenths), EVENT_OUTBOX_HIGH/FULL/DRAINED once for each crossing. */
void status_warn(StatusWarnings *warnings, const StatusInput *input);

/* Writes DIRECTORY/status.json atomically, mode 0644. */
int status_write(const char *directory, const char *json, size_t size);
