/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tells targets what the store has for them, one request in flight for each target, on the loop. */

#include "sinks/alert-target.h"
#include "trouble.h"

typedef struct AlertSender AlertSender;

typedef struct AlertSenderHost {
        SinkMeans means;
        const char *subscription; /* for log entries */
        const AlertTarget *targets;
        size_t n_targets;
        AlertLanguage language;
        BackoffConfig backoff;
        /* Asks the store; alert_sender_exchanged() answers, later or at once. One question at a time. The exchange is
         * borrowed until then. */
        void (*exchange)(void *userdata, AlertExchange *exchange);
        void (*on_change)(void *userdata); /* the status may be another one; NULL: nobody wants to know */
        void *userdata;
} AlertSenderHost;

/* Texts and targets of *host* are borrowed for its life, the secrets of the targets were read. Nothing is asked before
 * alert_sender_wake(). -EBADMSG with a sentence in *problem* for what is wrong with a secret. */
int alert_sender_new(const AlertSenderHost *host, AlertSender **ret, char problem[static SINK_DETAIL_MAX]);
/* Drops requests in flight; what they carried stays sealed. Returns NULL. */
AlertSender *alert_sender_free(AlertSender *sender);
CLEANUP_DEFINE(AlertSender, alert_sender_free)

/* Something may be due. */
void alert_sender_wake(AlertSender *sender);
/* The answer to host.exchange(). *r* < 0: nothing was committed. */
void alert_sender_exchanged(AlertSender *sender, AlertExchange *exchange, int r);

/* From now on what is due is sent at once, without waiting for more to send with it, and nothing is tried again. */
void alert_sender_drain(AlertSender *sender);
/* Whether nothing is left to do then: no request, and no record of an answer, is under way, without which a target
 * might be told twice. host.on_change() tells when that may have changed. */
bool alert_sender_is_drained(const AlertSender *sender);
/* Whether something is due that no target has. */
bool alert_sender_is_waiting(const AlertSender *sender);
/* Whether a target is down. */
bool alert_sender_is_failing(const AlertSender *sender);

typedef struct AlertTargetStatus {
        const char *name, *service;
        uint64_t waiting; /* notices */
        usec_t last_sent; /* wall time of the last message that was taken since the start; 0: none */
        uint64_t sent;    /* messages, since then */
        uint64_t refused; /* notices given up, since then */
        Trouble trouble;
        usec_t next; /* clock_now() of the next try while it fails; 0: none */
} AlertTargetStatus;
/* Of the target with that index; NULL: there are no more. */
const AlertTargetStatus *alert_sender_status(const AlertSender *sender, size_t target);

/* ---- alert-report.c ---- */

/* What status.json and STATUS= say of alerts. */
typedef struct AlertReport {
        size_t firing, pending;
        const char *rules; /* what fires, as a JSON array of objects with `rule`, `name` and `device` */
        const AlertSender *sender;
} AlertReport;

/* Fills *json* with an object, and *words* with what belongs into STATUS=, "" where all is well. -ENOMEM. */
int alert_report_write(const AlertReport *report, Bytes *json, Bytes *words);
