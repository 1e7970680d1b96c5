/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A subscription as the service knows it: its settings, as GET tells them, and which of them lose or delay messages;
 * whether it is there at all; and whether what is asked of it works. Source of the settings:
 * google/pubsub/v1/pubsub.proto, message Subscription. */

#include "lib/loop.h"
#include "pubsub/client.h"

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
        bool topic_deleted, detached, pushes, exports, broken, exactly_once;
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

/* ---- the one that is pulled from ---- */

/* Reads the settings at the start, every minute, and soon after something says that the subscription is gone; logs what
 * is surely not meant, once for each change. An account that may not read them is no failure: it works without. */
typedef struct Subscription Subscription;

/* no pull tells that its topic was deleted and made anew, or while the sink is away that it is gone: what is published
 * then is lost */
#define SUBSCRIPTION_LOOK_USEC (1 * USEC_PER_MINUTE)

typedef enum SubscriptionCause {
        SUBSCRIPTION_PULL,
        SUBSCRIPTION_ACK,
        SUBSCRIPTION_LEASE,
        SUBSCRIPTION_SETTINGS
} SubscriptionCause;

typedef struct SubscriptionStatus {
        const SubscriptionSettings *settings; /* NULL: not known (yet, or the account may not read them) */
        const char *topic;                    /* that it stands on, or stood on when it was read last; "": not known */
        bool checked; /* it was read once, or may not be read (403): `missing` means something */
        bool missing; /* 404, or its topic was deleted, or it was detached */
        bool failing;
        usec_t failing_since; /* clock_wall() */
        Cause cause;          /* of the failure */
        const char *detail;   /* of the failure; "" */
} SubscriptionStatus;

typedef struct SubscriptionOptions {
        const char *name;                  /* full; borrowed */
        void (*on_change)(void *userdata); /* anything in the status but the trouble */
        void *userdata;
} SubscriptionOptions;

/* The first look is taken at once, from the loop. -ENOMEM. */
int subscription_new(Loop *loop, Client *client, const SubscriptionOptions *options, Subscription **ret);
Subscription *subscription_free(Subscription *subscription);
CLEANUP_DEFINE(Subscription, subscription_free)

/* Nothing is read any more, and what fails from now on is not said. */
void subscription_rest(Subscription *subscription);
/* Something says that its topic is gone: reads the settings at once; `checked` is false until the answer. */
void subscription_look_again(Subscription *subscription);

/* Any call that was sent at *asked* failed, or worked: what the user is told, once for a time of failures. A 404 says
 * that the subscription is gone. *retry_in*: until the next such call; 0: not known. */
void subscription_fail(
        Subscription *subscription, SubscriptionCause cause, const ClientReply *reply, usec_t asked, usec_t retry_in);
void subscription_mend(Subscription *subscription, SubscriptionCause cause);
/* A pull that was sent at *asked* says that it is there. */
void subscription_found(Subscription *subscription, usec_t asked);

/* How it stands; texts live as long as the subscription. */
void subscription_status(const Subscription *subscription, SubscriptionStatus *ret);
/* Whether waiting helps against *outcome*; otherwise somebody has to act. */
static inline bool subscription_is_passing(ClientOutcome outcome) {
        return outcome == CLIENT_RETRY || outcome == CLIENT_UNSURE;
}
