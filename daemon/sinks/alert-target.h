/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where alerts are sent: the configuration of a target, the content of a request to it, and the meaning of its answer.
 * Pure, but for the last part. */

#include "auth.h"
#include "sinks/alert-notice.h"
#include "subscribe/sink-type.h"
#include "web-place.h"

typedef enum AlertService {
        ALERT_SLACK, /* an incoming webhook of Slack, Discord, or a service with Slack's format (Mattermost) */
        ALERT_NTFY,
        ALERT_LINE, /* Messaging API */
        ALERT_WEBHOOK,
} AlertService;
#define ALERT_SERVICES (ALERT_WEBHOOK + 1)

typedef struct AlertTarget {
        char *name;
        int type; /* AlertService */
        WebPlace at;
        char *topic, *recipient;
        ConfigSecret token;
        ConfigMap headers;
        AuthConfig auth;
        char *body;
} AlertTarget;

extern const ConfigSection alert_target_section; /* an entry of `targets` */

/* "Slack", "ntfy", ... */
const char *alert_target_service(const AlertTarget *target);
/* Returns how requests authenticate. Borrowed from *target*. */
AuthConfig alert_target_auth(const AlertTarget *target);

/* ---- requests ---- */

/* Returns the shortest time between two requests that its service allows. */
usec_t alert_target_pace(const AlertTarget *target);
/* Whether the service recognises a repeated request by its key. */
bool alert_target_is_keyed(const AlertTarget *target);
typedef struct AlertMessage {
        const AlertNotice *notices; /* one or more */
        size_t n;
        AlertLanguage language;
        const char *key; /* not used by alert_target_fit() */
} AlertMessage;

/* Returns how many of the first notices fit into one message; at least 1. -ENOMEM. */
int alert_target_fit(const AlertTarget *target, const AlertMessage *message);

typedef struct AlertRequest {
        const char *method;
        Bytes url, body, key; /* key is a header; empty: none */
} AlertRequest;
void alert_target_request_done(AlertRequest *request);

/* Fills the empty *ret* with a request for all notices. Markup is escaped, and a text that is too long for the service
 * is cut between characters. *message* NULL, for LINE: one that only shows whether it takes our token. -ENOMEM. */
int alert_target_write(const AlertTarget *target, const AlertMessage *message, AlertRequest *ret);

/* ---- answers ---- */

typedef struct AlertAnswer {
        WebClass class;
        int status;                   /* HTTP; 0: no answer */
        usec_t retry_after;           /* the service wants no request before this time has passed; 0: it does not say */
        char detail[SINK_DETAIL_MAX]; /* what the service said; printable; secrets are not concealed yet */
        Cause cause;                  /* why it was not accepted */
        const char *remedy;           /* static; NULL: none */
} AlertAnswer;

/* Judges an answer, or a failure to get one. */
void alert_target_judge(const AlertTarget *target, const HttpReply *reply, AlertAnswer *ret);

/* ---- one request with our credentials ---- */

/* Sends requests to one target, one at a time, with our credentials. */
typedef struct AlertPost AlertPost;

/* *subscription*, together with the target's name, identifies its stored tokens. *target*, whose secrets were read, and
 * what *means* points to are borrowed for the life of the post. A guest uses up no refresh token (AuthCall.guest).
 * -EBADMSG, with a sentence in *problem*, when a secret is wrong. */
int alert_post_new(const SinkMeans *means, const char *subscription, const AlertTarget *target, AlertPost **ret,
        char problem[static SINK_DETAIL_MAX]);
/* Drops a request under way without a callback. Returns NULL. */
AlertPost *alert_post_free(AlertPost *post);
CLEANUP_DEFINE(AlertPost, alert_post_free)

/* Draws a random UUID (RFC 9562, version 4) as the key of a message. */
void alert_post_draw_key(char key[static ALERT_KEY_SIZE]);

/* Secrets are concealed in *answer*. */
typedef void (*AlertPostDone)(void *userdata, const AlertAnswer *answer);
/* Sends one message (NULL: as alert_target_write()) and calls *done* once, perhaps from inside. */
void alert_post_send(AlertPost *post, const AlertMessage *message, AlertPostDone done, void *userdata);
