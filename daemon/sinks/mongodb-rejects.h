/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages that can never be stored, on their way into the rejected collection: raw bytes and reason, durable before
 * the message counts as settled (P3). */

#include "sinks/mongodb-client.h"
#include "subscribe/sink.h"

/* As SinkType.set_apart; blocks. Each message becomes SINK_STORED (EVENT_READING_REJECTED: a few lines for each call,
 * then a summary), or SINK_BAD when the rejected collection refuses it for good (logged loudly, once); at a fault of
 * the remote the rest stays SINK_PENDING, and work->answer.detail says what it was. */
MongodbFault mongodb_rejects_write(MongodbClient *client, SinkWork *work);
