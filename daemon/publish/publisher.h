/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* Takes the oldest readings from the outbox, publishes them, and forgets exactly those for which a message id came back
 * (P2). One request in flight. What the disk refuses to forget is remembered, up to 100 000 rows, and the rest goes out.
 *
 *      idle --rows--> sending --ids; refused--> idle (again at once while rows wait)
 *        |               +--failed-----------> waiting (backoff, Retry-After) --timer--> idle
 *        +--the disk refuses to be read------> waiting
 *        +--only what was set apart is left--> resting --timer, a new row--> idle
 *
 * A 400 halves the batch, down to the message that fails alone: see bisect.h. */
/* clang-format on */

#include "lib/loop.h"
#include "publish/outbox.h"
#include "pubsub/client.h"

typedef struct Publisher Publisher;

#define PUBLISHER_BATCH_ROWS 1000            /* the service's limit of messages in a request */
#define PUBLISHER_BODY_MAX (7 * 1000 * 1000) /* bytes of a request: the service refuses 10 MiB, base64 included */

typedef struct PublisherStatus {
        bool failing;
        usec_t failing_since; /* clock_wall() */
        bool paused;          /* publishing would discard: no subscription of ours keeps it, or it is not known yet */
        usec_t last_publish;  /* clock_wall() of the last message ids; 0: none yet */
        usec_t retry_at;      /* clock_now(); 0: none planned */
        uint64_t published, rejected, requests, failures;
        Cause cause; /* of the failure */
        const char *detail;
} PublisherStatus;

/* All of it is borrowed. */
typedef struct PublisherSpec {
        Loop *loop;
        Client *client;
        Outbox *outbox;
        const char *topic;                 /* full name */
        void (*on_change)(void *userdata); /* something in publisher_status() changed, rows went; may be NULL */
        void *userdata;
} PublisherSpec;

/* -ENOMEM. */
int publisher_new(const PublisherSpec *spec, Publisher **ret);
/* Drops a request under way: its rows stay, and are sent again under the same keys. */
Publisher *publisher_free(Publisher *publisher);
CLEANUP_DEFINE(Publisher, publisher_free)

/* Rows may have come: look. Does not shorten a backoff. */
void publisher_wake(Publisher *publisher);
/* The disk works again: what waits for it goes on now, not after a backoff. */
void publisher_resume(Publisher *publisher);
/* No request is started while paused. *why* is what a person has to mend, and is said once; "": nothing that is not
 * said elsewhere; NULL: go on. */
void publisher_pause(Publisher *publisher, const char *why);
/* True once after each 404 of the topic: who knows its subscriptions looks at them before anything is published again,
 * since a topic that is made anew has none. */
bool publisher_missed_topic(Publisher *publisher);
/* True when nothing is under way and either the outbox is empty or nothing can be sent now (failing, paused). */
bool publisher_is_idle(const Publisher *publisher);
/* What it does and how it fares; the detail is borrowed until the next turn of the loop. */
void publisher_status(const Publisher *publisher, PublisherStatus *ret);
