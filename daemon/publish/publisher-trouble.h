/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What keeps readings from being published, and what is said about it: one line when it begins, one when its kind
 * changes in a way that asks something else of the reader, one when it is over. For publisher.c only. */

#include "lib/clock.h"
#include "pubsub/client.h"

typedef enum TroubleKind {
        TROUBLE_NONE,
        TROUBLE_REMOTE,    /* network, 429, 5xx: passes by itself */
        TROUBLE_REFUSED,   /* 401, 403 */
        TROUBLE_NOT_FOUND, /* 404 */
        TROUBLE_ANSWER,    /* other refusals, and answers that make no sense */
        TROUBLE_INVALID,   /* 400 for every message so far */
        TROUBLE_DISK,      /* the outbox cannot be read or written */
} TroubleKind;

/* A plain value; zeros: none. */
typedef struct Trouble {
        TroubleKind kind;
        usec_t since, from; /* clock_wall(), clock_now() */
        uint64_t failures;
        char detail[CLIENT_DETAIL_MAX];
} Trouble;

typedef struct TroubleDetail {
        int http_status;  /* 0: none */
        const char *text; /* what happened, what to do */
        usec_t retry;     /* until the next try */
        uint64_t rows;    /* readings waiting in the outbox */
} TroubleDetail;

/* A try failed. */
void trouble_begin(Trouble *trouble, const char *topic, TroubleKind kind, const TroubleDetail *detail);
/* A try succeeded. */
void trouble_end(Trouble *trouble, const char *topic);
