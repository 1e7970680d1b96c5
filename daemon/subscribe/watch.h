/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Keeps an eye on a subscription's settings: reads them at the start, every hour, and soon after something says that it
 * is gone; logs what is surely not meant, once for each change. An account that may not read them is no failure:
 * sensorqd works without. */

#include <systemd/sd-event.h>

#include "pubsub/client.h"
#include "subscribe/health.h"
#include "subscribe/subscription.h"

typedef struct Watch Watch;

#define WATCH_EVERY_USEC (1 * USEC_PER_HOUR)

/* *subscription* and *health* are borrowed. on_change: anything below changed. */
int watch_new(sd_event *event, Client *client, const char *subscription, Health *health,
        void (*on_change)(void *userdata), void *userdata, Watch **ret);
Watch *watch_free(Watch *watch);
CLEANUP_DEFINE(Watch, watch_free)

/* A pull that was sent at *asked* says that the subscription is there, or is gone. */
void watch_tell(Watch *watch, bool found, usec_t asked);

/* Something says that its topic is gone: reads the settings at once; watch_is_checked() is false until the answer. */
void watch_look_again(Watch *watch);

/* NULL: not known (yet, or the account may not read them). */
const SubscriptionSettings *watch_settings(const Watch *watch);
/* It does not exist, or its topic was deleted. */
bool watch_is_missing(const Watch *watch);
/* The topic that it stands on, or stood on when it was read last; "": not known. */
const char *watch_topic(const Watch *watch);
/* Whether watch_is_missing() rests on an answer of the service. */
bool watch_is_checked(const Watch *watch);
