/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The side of the MongoDB sink that blocks: one pass over a batch, on the worker's thread. Puts the decision procedure
 * into practice: bulks, then the duplicates, then the rejected. */

#include "subscribe/delivery.h"
#include "subscribe/mongodb-client.h"

typedef struct MongodbWriter MongodbWriter;

#define MONGODB_WRITE_ATTEMPTS 5 /* of a message that is refused with a code that says neither "never" nor "later" */

typedef struct MongodbWriteResult {
        MongodbFault fault;               /* of the remote */
        bool again;                       /* no fault, but some messages are PENDING still: try those again soon */
        char detail[MONGODB_DETAIL_SIZE]; /* of the fault, or why again; printable, no secret */
        uint64_t stored, duplicates, rejected, failed; /* in this pass */
} MongodbWriteResult;

/* Takes *client* when it succeeds. */
int mongodb_writer_new(MongodbClient *client, MongodbWriter **ret);
/* Blocks as mongodb_client_free(). */
MongodbWriter *mongodb_writer_free(MongodbWriter *writer);
CLEANUP_DEFINE(MongodbWriter, mongodb_writer_free)

/* As mongodb_probe(). */
void mongodb_writer_probe(MongodbWriter *writer, MongodbWriteResult *ret);

/* Tries once to settle what is PENDING in *batch*. *again*: the same batch as last time. Changes nothing but its fates.
 */
void mongodb_writer_write(MongodbWriter *writer, Batch *batch, bool again, MongodbWriteResult *ret);
