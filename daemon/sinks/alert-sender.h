/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Sends what is due to the targets, on the loop, with one request in flight for each target. */

#include "sinks/alert-book.h"
#include "sinks/alert-target.h"
#include "trouble.h"

typedef struct AlertSender AlertSender;

typedef struct AlertSenderHost {
        SinkMeans means;
        const SubscriptionConfig *config;  /* whose secrets were read */
        void (*want)(void *userdata);      /* a turn is wanted soon */
        void (*on_change)(void *userdata); /* the status may have changed */
        void *userdata;
} AlertSenderHost;

/* Makes a sender; it borrows host->config. -EBADMSG, with a sentence in *problem*, when a secret is wrong. */
int alert_sender_new(const AlertSenderHost *host, AlertSender **ret, char problem[static SINK_DETAIL_MAX]);
/* Drops requests in flight; their notices stay sealed. Returns NULL. */
AlertSender *alert_sender_free(AlertSender *sender);
CLEANUP_DEFINE(AlertSender, alert_sender_free)

/* The book is the sender's between turns. The first is called before a turn: it changes the book by what is about to be
 * sent, and by answers. The second is called after it, if there is a book: what was stored is sent. Without *stored*
 * the turn failed. */
void alert_sender_note(AlertSender *sender, const AlertBook *book);
void alert_sender_noted(AlertSender *sender, const AlertBook *book, bool stored);

/* From now on, due notices are sent at once, without waiting for others, and nothing is tried again. */
void alert_sender_drain(AlertSender *sender);
/* Whether the drain has ended: no request runs, and no record of an answer, without which a target might be told twice.
 * It holds while no turn is wanted or runs. host.on_change() is called when this may have changed. */
bool alert_sender_is_drained(const AlertSender *sender);
typedef struct AlertTargetStatus {
        const char *name, *service;
        uint64_t waiting; /* notices */
        usec_t last_sent; /* wall time of the last message accepted since the start; 0: none */
        uint64_t sent;    /* messages since the start */
        uint64_t refused; /* notices given up since the start */
        Trouble trouble;
        usec_t next; /* clock_now() of the next try while it fails; 0: none */
} AlertTargetStatus;
/* Returns the status of the target with that index; NULL: there are no more. */
const AlertTargetStatus *alert_sender_status(const AlertSender *sender, size_t target);

/* ---- alert-report.c ---- */

/* Writes an object for status.json into *json*, and into *words* the text for STATUS=, "" when nothing is wrong.
 * -ENOMEM. */
int alert_report_write(const AlertFigures *figures, const AlertSender *sender, Bytes *json, Bytes *words);
