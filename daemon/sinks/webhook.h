/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of the webhook sink: its section, and what goes into a request. The type itself is in webhook.c. */

#include "auth.h"
#include "lib/sha256.h"
#include "sinks/document.h"
#include "subscribe/sink-admin.h"
#include "web-place.h"

typedef struct WebhookConfig {
        WebPlace at;
        ConfigMap headers;
        AuthConfig auth;
        unsigned batch;
        usec_t timeout;
} WebhookConfig;

extern const ConfigSection webhook_config_section; /* webhook-config.c */
extern const SinkAdmin webhook_config_admin;

#define WEBHOOK_BODY_MAX (4 * 1024 * 1024) /* of a request with more than one document */

/* A request, whole. `WebhookBody b = {};` is empty. */
typedef struct WebhookBody {
        Bytes text;                /* a JSON array of documents */
        Bytes ids;                 /* their `_id`s, each with a line feed behind it */
        char key[SHA256_HEX_SIZE]; /* the hash of *ids* */
        size_t n;                  /* documents */
        usec_t unanswered;         /* clock_now() when it was left open last, by anything but 409; 0: it was not */
} WebhookBody;
/* Frees what it holds, and leaves it empty. */
void webhook_body_done(WebhookBody *body);

typedef struct WebhookSpan {
        size_t begin, end; /* of the items of a SinkWork */
        bool again;        /* its one document was refused before, and something was taken since */
} WebhookSpan;

/* Fills the empty *ret* with the documents of the items of the span, at most *most* and as many as fit into
 * WEBHOOK_BODY_MAX, at least one; span->end becomes what follows the last. Items that are no document are SINK_BAD
 * then, and passed over; with nothing but such ret->n is 0. -ENOMEM. */
int webhook_body_build(const DocumentRules *rules, SinkWork *work, size_t most, WebhookSpan *span, WebhookBody *ret);

typedef enum WebhookClass {
        WEBHOOK_TAKEN,
        WEBHOOK_LATER,   /* waiting helps */
        WEBHOOK_PERSON,  /* no message is at fault: the address or who we are */
        WEBHOOK_REFUSED, /* something in it, or all of them */
} WebhookClass;
/* What an answer's status says of a request. */
WebhookClass webhook_body_class(int status);
/* Whether a refusal with that status speaks of what was sent. */
bool webhook_body_is_at_fault(int status);
