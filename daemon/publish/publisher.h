/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/* Takes the oldest readings from the outbox, publishes them, and forgets exactly those for which a message id came back
 * (P2). One request in flight. Up to PUBLISHER_SENT_MAX rows that the disk does not delete are remembered.
 *
 *      idle --rows--> sending --ids; refused--> idle (again at once while rows wait)
 *        |               +--failed-----------> waiting (backoff, Retry-After) --timer--> idle
 *        +--the disk refuses-----------------> blocked --timer, the disk works--> idle
 *        +--only suspects are left-----------> resting --timer, a new row--> idle
 *
 * A 400 halves the batch, down to the message that fails alone: see bisect.h. */
/* clang-format on */

#include "lib/loop.h"
#include "publish/outbox.h"
#include "pubsub/client.h"

typedef struct Publisher Publisher;

#define PUBLISHER_BATCH_ROWS 1000 /* the service's limit of messages in a request */
/* bytes of a request: the service refuses 10 MiB, counted with base64 */
#define PUBLISHER_BODY_MAX (7 * 1000 * 1000)
#define PUBLISHER_SENT_MAX 100000 /* rows that are remembered; after a kill they are published once more */

typedef struct PublisherStatus {
        Failure failure;
        bool paused; /* published readings would be lost: no subscription of ours receives them, or that is not known
                        yet */
        usec_t last_publish; /* clock_wall() of the last answer with message ids; 0: none yet */
        usec_t retry_at;     /* clock_now(); 0: no try is planned */
        uint64_t published, rejected, requests, failures;
} PublisherStatus;

/* Everything is borrowed. */
typedef struct PublisherSpec {
        Loop *loop;
        Client *client;
        Outbox *outbox;
        const char *topic;                 /* full name */
        void (*on_change)(void *userdata); /* publisher_status() has changed, or rows were deleted */
        /* Pub/Sub answered 404 for the topic: the owner checks its subscriptions before anything is published again,
         * because a topic that is created again has none. May only take a note. */
        void (*on_missing)(void *userdata);
        void *userdata;
} PublisherSpec;

/* Sends nothing yet. -ENOMEM. */
int publisher_new(const PublisherSpec *spec, Publisher **ret);
/* Drops a running request: its rows stay, and are sent again with the same keys. */
Publisher *publisher_free(Publisher *publisher);
CLEANUP_DEFINE(Publisher, publisher_free)

/* Call this when rows may have come. Does not shorten a backoff. */
void publisher_wake(Publisher *publisher);
/* Call this when the disk works again: what waits for it goes on now, not after a backoff. */
void publisher_resume(Publisher *publisher);
#define PUBLISHER_GO_ON NULL
#define PUBLISHER_SAID_ELSEWHERE ""
/* Starts no request while paused. *why* is what a person must correct, and is logged once; or one of those two. */
void publisher_pause(Publisher *publisher, const char *why);
/* True when no request is running, and either the outbox is empty or nothing can be sent now (failing, paused). */
bool publisher_is_idle(const Publisher *publisher);
/* Its state and figures; the detail is borrowed until the next turn of the loop. */
void publisher_status(const Publisher *publisher, PublisherStatus *ret);
