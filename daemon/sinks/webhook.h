/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of the webhook sink: its section, and the content of a request (webhook-body.c). The type itself is in
 * webhook.c. */

#include "auth.h"
#include "lib/crypto.h"
#include "sinks/document.h"
#include "subscribe/sink-type.h"
#include "web-place.h"

typedef struct WebhookConfig {
        WebPlace at;
        ConfigMap headers;
        AuthConfig auth;
        char *expect; /* NULL: any answer but a web page */
        unsigned batch;
        usec_t timeout;
} WebhookConfig;

#define WEBHOOK_BODY_MAX (4 * 1024 * 1024) /* of a request with more than one document */

/* The content of a request. `WebhookBody b = {};` is empty. */
typedef struct WebhookBody {
        Bytes text;                /* a JSON array of documents */
        Bytes ids;                 /* their `_id`s, each followed by a line feed */
        char key[SHA256_HEX_SIZE]; /* the hash of *ids* */
        size_t n;                  /* documents */
        usec_t unanswered;         /* clock_now() when a try last had no clear answer (409 excepted); 0: never */
} WebhookBody;
/* Frees what it holds and makes it empty. */
void webhook_body_done(WebhookBody *body);

typedef struct WebhookSpan {
        size_t begin, end; /* indices of items of a SinkWork */
        bool again;        /* its one document was refused before, and another one was accepted since */
} WebhookSpan;

enum { WEBHOOK_BODY_LATER = 2 };
/* Fills the empty *ret* with documents of the items of the span: at most *most*, as many as fit into WEBHOOK_BODY_MAX,
 * but at least one. span->end is set to the index after the last one. Items that cannot become a document are SINK_BAD
 * and left out; if all are, ret->n is 0. WEBHOOK_BODY_LATER: that took long; drop the body, and call this again in
 * another turn of the loop, where those are passed over. -ENOMEM. */
int webhook_body_build(const DocumentRules *rules, SinkWork *work, size_t most, WebhookSpan *span, WebhookBody *ret);

/* Whether a refusal with that status is about the content of the request. */
bool webhook_body_is_at_fault(int status);
