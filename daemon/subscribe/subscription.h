/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The settings of a subscription, as GET tells them, and which of them lose or delay messages; pure. Source:
 * google/pubsub/v1/pubsub.proto, message Subscription. */

#include "lib/clock.h"

#define SUBSCRIPTION_TOPIC_DELETED "_deleted-topic_" /* what the service writes for `topic` once it is gone */
#define SUBSCRIPTION_RETENTION_DEFAULT_USEC (7 * 24 * USEC_PER_HOUR)   /* the service's */
#define SUBSCRIPTION_EXPIRATION_DEFAULT_USEC (31 * 24 * USEC_PER_HOUR) /* without an expirationPolicy */

typedef struct SubscriptionSettings {
        char topic[640];       /* full name */
        unsigned deadline_sec; /* 10..600 */
        usec_t retention;
        usec_t expiration;     /* deleted after so long without activity; 0: never */
        char filter[257];      /* "" : none; at most 256 bytes by the service's rule */
        char dead_letter[640]; /* topic; "": none */
        int64_t dead_letter_attempts;
        bool topic_deleted, detached, pushes, exports, broken, exactly_once, ordered;
        bool transforms; /* a message transform is at work */
} SubscriptionSettings;

/* Reads the reply to GET. -EBADMSG when it is none. */
int subscription_parse(const char *body, size_t size, SubscriptionSettings *ret);

/* Whether the reply to GET of a topic or subscription has a message transform that is at work: what it answers null for
 * is discarded. */
bool subscription_transforms(const char *body, size_t size);

/* Calls *each* with a sentence for every setting that is surely not meant: what it does to messages, what to do about
 * it. */
void subscription_each_warning(
        const SubscriptionSettings *settings, void (*each)(void *userdata, const char *text), void *userdata);
