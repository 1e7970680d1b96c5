/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One pass over messages: into the collection of readings, or, with their reasons, into the one of the rejected.
 * Blocks. */

#include "sinks/mongodb-client.h"

/* Tries once to keep every message of *work*, which is set up; writing a message twice leaves one document. Fills in
 * the items' verdicts, and of the answer `accepted` and `detail`:
 *
 * SINK_STORED, SINK_DUPLICATE    durable under majority and journal; DUPLICATE: it was before
 * SINK_BAD                       no document can be made of it, or its _id is taken by another payload
 * SINK_SUSPECT                   refused by the server; `alone` is set where it was alone in its command
 * SINK_PENDING                   behind a fault, which is returned
 *
 * *apart*: into the rejected collection, under item->reason and item->detail. What that collection refuses, also for a
 * reason that only a person can mend, is SINK_BAD; why is in the answer's detail. */
MongodbFault mongodb_write(MongodbClient *client, SinkWork *work, bool apart);
