/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A subscription at the service: its settings (by GET), and which of them lose or delay messages; whether it exists;
 * and whether calls for it succeed. Source of the settings: google/pubsub/v1/pubsub.proto, message Subscription. */

#include "lib/loop.h"
#include "pubsub/client.h"

#define SUBSCRIPTION_TOPIC_DELETED "_deleted-topic_" /* what the service gives as `topic` after that was deleted */
#define SUBSCRIPTION_RETENTION_DEFAULT_USEC (7 * 24 * USEC_PER_HOUR)   /* the service's default */
#define SUBSCRIPTION_EXPIRATION_DEFAULT_USEC (31 * 24 * USEC_PER_HOUR) /* the same, without expirationPolicy */

typedef struct SubscriptionSettings {
        char topic[640];       /* full name */
        unsigned deadline_sec; /* 10..600 */
        usec_t retention;
        usec_t expiration;     /* the service deletes it after so long without activity; 0: never */
        char filter[257];      /* "" : none; at most 256 bytes by the service's rule */
        char dead_letter[640]; /* topic; "": none */
        int64_t dead_letter_attempts;
        bool topic_deleted, detached, pushes, exports, broken, exactly_once;
        bool transforms; /* a message transform is enabled */
} SubscriptionSettings;

/* Parses a reply to GET. -EBADMSG when it is not one; -ENOMEM. */
int subscription_parse(const char *body, size_t size, SubscriptionSettings *ret);

/* Whether a reply to GET of a topic or subscription has an enabled message transform: messages for which it returns
 * null are discarded. */
bool subscription_transforms(const char *body, size_t size);

/* Calls *each* with a sentence for every setting that is surely a mistake: what it does to messages, and what to do. */
void subscription_each_warning(
        const SubscriptionSettings *settings, void (*each)(void *userdata, const char *text), void *userdata);

/* ---- the subscription that is pulled from ---- */

/* Reads the settings at the start, every minute, and soon after a sign that the subscription is gone. Logs settings
 * that are surely mistakes, once for each change. It is not a failure when the account may not read them. */
typedef struct Subscription Subscription;

/* pulls do not show that the topic was deleted and made anew, nor, while the sink is down, that the subscription is
 * gone: messages published then are lost */
#define SUBSCRIPTION_REFRESH_USEC (1 * USEC_PER_MINUTE)

typedef enum SubscriptionCause {
        SUBSCRIPTION_PULL,
        SUBSCRIPTION_ACK,
        SUBSCRIPTION_LEASE,
        SUBSCRIPTION_SETTINGS
} SubscriptionCause;

typedef struct SubscriptionStatus {
        const SubscriptionSettings *settings; /* NULL: unknown (not read yet, or the account may not read them) */
        const char *topic;                    /* its topic when it was last read; "": unknown */
        bool checked;                         /* it was read once, or may not be read (403): `missing` is valid */
        bool missing;                         /* 404, or its topic was deleted, or it was detached */
        Failure failure;                      /* also has a cause where it is only missing */
} SubscriptionStatus;

typedef struct SubscriptionOptions {
        const char *name;                  /* full; borrowed */
        void (*on_change)(void *userdata); /* something in the status may have changed */
        void *userdata;
        bool once; /* this run is one of many: what `check` says of the settings is no warning of each */
} SubscriptionOptions;

/* The settings are read at once, from the loop. -ENOMEM. */
int subscription_new(Loop *loop, Client *client, const SubscriptionOptions *options, Subscription **ret);
Subscription *subscription_free(Subscription *subscription);
CLEANUP_DEFINE(Subscription, subscription_free)

/* Calls the service for this subscription: client_call(), which is told the resource here. */
int subscription_call(Subscription *subscription, ClientSpec *spec, ClientDone done, void *userdata, ClientCall **ret);
/* Its full name, borrowed. */
const char *subscription_name(const Subscription *subscription);
/* Returns its ack deadline; where it may not be read, the service's default of 10 s. It may change. */
usec_t subscription_deadline(const Subscription *subscription);

/* Stops reading the settings; failures are not logged from now on. */
void subscription_rest(Subscription *subscription);
/* The topic seems to be gone, and may be made anew any moment: reads the settings at once; `checked` is false until
 * they, or a 403 or 404, are the answer. Pulls go on without a topic, so they do not count meanwhile. */
void subscription_refresh(Subscription *subscription);

/* A call failed, or such calls work again: logged once for each period of failures. A 404 means that the subscription
 * is gone. *retry_in*: time until the next such call; 0: unknown. */
void subscription_fail(Subscription *subscription, SubscriptionCause cause, const ClientReply *reply, usec_t retry_in);
void subscription_mend(Subscription *subscription, SubscriptionCause cause);
/* A pull that was sent at *asked* (clock_now()) shows that the subscription exists. */
void subscription_found(Subscription *subscription, usec_t asked);

/* Fills in the status; its texts live as long as the subscription. */
void subscription_status(const Subscription *subscription, SubscriptionStatus *ret);
/* Whether waiting helps after *outcome*; otherwise a person must act. */
static inline bool subscription_is_passing(ClientOutcome outcome) {
        return outcome == CLIENT_RETRY || outcome == CLIENT_UNSURE;
}
