/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A model of Google Cloud Pub/Sub: one topic, subscriptions with leases, redelivery, and delivery more than once. */

#include "exchange.h"

#define PUBSUB_PROJECT "sim-project"
#define PUBSUB_TOPIC "readings"
#define SUBSCRIPTIONS_MAX 3

/* *n* subscriptions of the topic, "sub-0", "sub-1", ... */
void pubsub_new(unsigned n);
void pubsub_serve(Exchange *x);
/* The daemon has the answer to a pull, whole. */
void pubsub_delivered(const Exchange *x);
/* What may never be sent is not in it: an acknowledgement of what is not stored. */
void pubsub_check(const Exchange *x);
/* A request of which something goes wrong starts, or ends. */
void pubsub_troubled(const Exchange *x);
/* The daemon has the answer. */
void pubsub_answered(const Exchange *x, bool good);
/* The log says that messages of it come near its retention. */
void pubsub_near(const char *subscription);
/* The weather is over: what was deleted is there again. */
void pubsub_calm(void);
/* Messages that are not acknowledged yet. */
size_t pubsub_backlog(void);
