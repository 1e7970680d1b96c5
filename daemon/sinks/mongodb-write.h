/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The side of the MongoDB sink that blocks: one pass over a batch, on the worker's thread. Puts the decision procedure
 * into practice: bulks, then the duplicates, then the rejected. */

#include "sinks/mongodb-client.h"
#include "subscribe/sink.h"

typedef struct MongodbWriter MongodbWriter;

#define MONGODB_WRITE_ATTEMPTS 5 /* of a command that fails as a whole with an unknown code, until it is halved */

/* Takes *client* when it succeeds. */
int mongodb_writer_new(MongodbClient *client, MongodbWriter **ret);
/* Blocks as mongodb_client_free(). */
MongodbWriter *mongodb_writer_free(MongodbWriter *writer);
CLEANUP_DEFINE(MongodbWriter, mongodb_writer_free)

const MongodbClient *mongodb_writer_client(const MongodbWriter *writer);

/* As SinkType.probe, write and set_apart; only answer->detail is filled in, and of *work* the items. */
MongodbFault mongodb_writer_probe(MongodbWriter *writer, SinkAnswer *answer);
MongodbFault mongodb_writer_write(MongodbWriter *writer, SinkWork *work);
MongodbFault mongodb_writer_set_apart(MongodbWriter *writer, SinkWork *work);
