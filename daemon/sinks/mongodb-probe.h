/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whether MongoDB can be written to, asked before anything is pulled: a message that is pulled and cannot be stored
 * costs a delivery attempt, and a dead-letter policy counts those. */

#include "sinks/mongodb-client.h"

/* A ping; then the first document of the collection is inserted once more. The server refuses its _id, but only after
 * it has let the user write, and its answer waits for the majority as any write does; nothing changes. An empty
 * collection is only pinged. Blocks. */
MongodbFault mongodb_probe(MongodbClient *client, char *detail, size_t size);
