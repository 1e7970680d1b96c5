/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Readings that Pub/Sub refused for good, for the verb `sensorqd rejected`. The daemon may be running on the same file:
 * every call is one transaction, and the daemon sees the change before its next look at the counters. */

#include "publish/outbox.h"

typedef struct OutboxRejected {
        int64_t id;
        usec_t put_at, rejected_at; /* clock_wall() */
        Slice payload, key, source, type, device, reason;
} OutboxRejected;

/* Opens an outbox that is there, beside its owner: never creates, checks or mends the file. OUTBOX_OK, OUTBOX_NEWER,
 * -ENOENT, -EUCLEAN (damaged: the daemon mends it at its next start), or another errno. */
int outbox_rejected_open(const char *directory, Outbox **ret);

/* Calls *each* for the rows with ids above *after*, oldest first, until it returns something else than 0, which is
 * returned. The slices are valid during the call, which may not use the outbox. */
int outbox_rejected_each(
        Outbox *outbox, int64_t after, int (*each)(void *userdata, const OutboxRejected *row), void *userdata);

/* Puts one back at the end of the queue, under the same key. -ENOENT: no such row. Durable on return. */
int outbox_rejected_replay(Outbox *outbox, int64_t id);

/* Deletes one for good. -ENOENT: no such row. Durable on return. */
int outbox_rejected_drop(Outbox *outbox, int64_t id);
