/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of the webhook sink: its section, and what goes into a request. The type itself is in webhook.c. */

#include "auth.h"
#include "lib/sha256.h"
#include "lib/stream.h"
#include "sinks/document-json.h"
#include "subscribe/sink-admin.h"

typedef struct WebhookConfig {
        char *url; /* this, or url_file */
        ConfigSecret url_file;
        ConfigMap headers;
        AuthConfig auth;
        unsigned batch;
        usec_t timeout;
        char *ca_file;
        bool allow_plain;
} WebhookConfig;

extern const ConfigSection webhook_config_section; /* webhook-config.c */
extern const SinkAdmin webhook_config_admin;

/* Where requests go. Borrowed; its secret was read. */
const char *webhook_config_url(const WebhookConfig *keys);
/* The URL as it may be shown: without a query, and of a secret one no more than its server. Owned; NULL without memory.
 */
char *webhook_config_place(const WebhookConfig *keys);
#define WEBHOOK_HOST_SIZE 256
/* How to connect there without sending anything, the host in *host*. False: not by itself, a proxy stands between. */
bool webhook_config_stream(const WebhookConfig *keys, char host[static WEBHOOK_HOST_SIZE], StreamSpec *ret);
/* What is wrong with the URL, which is only known when its secret was read. -EBADMSG with a sentence in *problem*. */
int webhook_config_check(const WebhookConfig *keys, char problem[static SINK_DETAIL_MAX]);

#define WEBHOOK_BODY_MAX (4 * 1024 * 1024) /* of a request with more than one document */

/* A request, whole. `WebhookBody b = {};` is empty. */
typedef struct WebhookBody {
        Bytes text;                /* a JSON array of documents */
        Bytes ids;                 /* their `_id`s, each with a line feed behind it */
        char key[SHA256_HEX_SIZE]; /* the hash of *ids* */
        size_t n;                  /* documents */
} WebhookBody;
void webhook_body_done(WebhookBody *body);

typedef struct WebhookSpan {
        size_t begin, end; /* of the items of a SinkWork */
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
