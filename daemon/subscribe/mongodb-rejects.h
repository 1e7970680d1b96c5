/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages of one batch that can never be stored, on their way into the rejected collection: raw bytes and reason,
 * durable before the message counts as settled (P3 c). Blocks while it flushes. */

#include "subscribe/delivery.h"
#include "subscribe/mongodb-client.h"

typedef struct MongodbRejects MongodbRejects;

typedef struct MongodbRejectsCount {
        uint64_t rejected, failed;
} MongodbRejectsCount;

int mongodb_rejects_new(MongodbClient *client, MongodbRejects **ret);
MongodbRejects *mongodb_rejects_free(MongodbRejects *rejects);

/* Begins with a batch, or goes on with it in another pass: nothing is waiting afterwards. Each batch has a few log
 * lines, then a summary.
 */
void mongodb_rejects_begin(MongodbRejects *rejects, Batch *batch, bool again);

/* *detail* is copied. -ENOMEM. */
int mongodb_rejects_add(MongodbRejects *rejects, size_t index, DocumentReason reason, const char *detail);

/* Writes what was added. Each message becomes FATE_REJECTED (EVENT_READING_REJECTED), or FATE_FAILED when the rejected
 * collection refuses it for good (logged loudly, once); at a fault of the remote the rest stays FATE_PENDING, and
 * *detail* says what it was. */
MongodbFault mongodb_rejects_flush(MongodbRejects *rejects, MongodbRejectsCount *count, char *detail, size_t size);
