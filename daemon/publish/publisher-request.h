/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One publish request made of the oldest rows. For publisher.c only. */

#include "publish/outbox.h"

/* A plain value. */
typedef struct PublisherRequest {
        Bytes body;
        size_t size;  /* of the body, also after it was handed over */
        int64_t *ids; /* of its rows, ascending */
        size_t n;
        int64_t first_id;
        char *first_key; /* of the first row; NULL: no row */
} PublisherRequest;

enum {
        PUBLISHER_REQUEST_MADE = 0,
        PUBLISHER_REQUEST_EMPTY = 1,     /* no rows */
        PUBLISHER_REQUEST_TOO_LARGE = 2, /* the first row alone goes beyond *body_max* or the service's limit; first_id
                                            and first_key are set */
};

/* Takes up to *max_rows* rows with ids above *after*, and as many of them as fit in *body_max* bytes, but at least one
 * when the service's limit allows it. */
int publisher_request_make(PublisherRequest *request, Outbox *outbox, int64_t after, size_t max_rows, size_t body_max);

/* Releases everything: empty again. */
void publisher_request_done(PublisherRequest *request);
