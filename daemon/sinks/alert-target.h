/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where alerts are sent: the rows of one target, what a request to it says, and what its answer means. Pure; the
 * sender has the requests. */

#include "auth.h"
#include "sinks/alert-notice.h"
#include "subscribe/sink-type.h"
#include "web-place.h"

typedef enum AlertService {
        ALERT_SLACK, /* an incoming webhook of Slack, of what takes the same (Mattermost), of Discord */
        ALERT_NTFY,
        ALERT_LINE, /* Messaging API */
        ALERT_WEBHOOK,
} AlertService;
#define ALERT_SERVICES (ALERT_WEBHOOK + 1)

typedef struct AlertTarget {
        char *name;
        int type;    /* AlertService */
        WebPlace at; /* see alert_target_at() */
        char *topic, *recipient;
        ConfigSecret token;
        ConfigMap headers;
        AuthConfig auth;
        char *body;
} AlertTarget;

extern const ConfigSection alert_target_section; /* an entry of `targets` */

/* "Slack", "ntfy", ... */
const char *alert_target_service(const AlertTarget *target);
/* Its server, that of the service where the configuration names none. Borrowed from *target*. */
WebPlace alert_target_at(const AlertTarget *target);
/* Notes what of its address is a secret. -ENOMEM. */
int alert_target_note(const AlertTarget *target, Secrets *secrets);
/* How requests prove who they are. Borrowed from *target*. */
AuthSpec alert_target_auth(const AlertTarget *target);

/* ---- requests ---- */

/* The shortest time between two requests that its service likes. */
usec_t alert_target_pace(const AlertTarget *target);
/* Whether the service knows a request that it had before by its key. */
bool alert_target_is_keyed(const AlertTarget *target);
typedef struct AlertMessage {
        const AlertNotice *notices; /* one or more */
        size_t n;
        AlertLanguage language;
        const char *key; /* not for alert_target_fit() */
} AlertMessage;

/* How many of the notices, from the first on, one message has room for; at least 1. -ENOMEM. */
int alert_target_fit(const AlertTarget *target, const AlertMessage *message);

typedef struct AlertRequest {
        Bytes url, body, key; /* key: a header; empty: none */
} AlertRequest;
void alert_target_request_done(AlertRequest *request);

/* Fills the empty *ret* with the request that tells all of the notices: what would be markup is escaped, and what the
 * service has no room for is cut, between characters. -ENOMEM. */
int alert_target_write(const AlertTarget *target, const AlertMessage *message, AlertRequest *ret);

/* ---- answers ---- */

typedef enum AlertClass {
        ALERT_TAKEN,
        ALERT_LATER,   /* not taken; waiting helps */
        ALERT_UNKNOWN, /* perhaps taken; waiting helps */
        ALERT_PERSON,  /* not taken; the target's address, or who we are, is at fault: somebody has to act */
        ALERT_SUSPECT, /* not taken: by the fault of the message, or of the target */
} AlertClass;

typedef struct AlertAnswer {
        AlertClass class;
        int status;                   /* HTTP; 0: no answer */
        usec_t retry_after;           /* the service wants no other request before; 0: it does not say */
        char detail[SINK_DETAIL_MAX]; /* what the service said; printable, with secrets not yet blotted out */
        Cause cause;                  /* of what was not taken */
        const char *remedy;           /* static; NULL: none */
} AlertAnswer;

/* What an answer, or the lack of one, means. */
void alert_target_judge(const AlertTarget *target, const HttpReply *reply, AlertAnswer *ret);
