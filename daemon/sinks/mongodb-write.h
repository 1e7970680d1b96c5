/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes messages to the collections, as readings, or with their reasons as rejected ones; and the functions of
 * `rejected`. All functions block. */

#include "sinks/mongodb-client.h"
#include "subscribe/sink-type.h"

/* Tries once to store every message of *work*. Writing a message twice leaves one document. Fills in the items'
 * verdicts, and `accepted` and `detail` of the answer:
 *
 * SINK_STORED, SINK_DUPLICATE    durable with majority and journal; DUPLICATE: it was so before
 * SINK_BAD                       no document can be made of it, or another payload has its _id
 * SINK_REFUSED                   refused by the server; `alone` is set when it was alone in its command
 * SINK_LATER                     refused with a passing code, while the server answered for the others
 * SINK_PENDING                   not settled because of the fault that is returned
 *
 * *apart*: writes to the rejected collection, with item->reason and item->detail. Messages that this collection
 * refuses, even when a person can end that, are SINK_BAD; the answer's detail says why. */
MongodbFault mongodb_write(MongodbClient *client, SinkWork *work, bool apart);
