/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Messages whose _id is taken: is what is stored under it the same payload (P3 b)? Blocks. */

#include "sinks/mongodb-client.h"
#include "subscribe/sink.h"

/* Reads what a majority has under the ids of items[indexes[0..n-1]] in one find and writes a verdict for each:
 * MONGODB_DUPLICATE: the same payload; MONGODB_REFUSED: another one; MONGODB_ODD: nothing is there (it vanished since).
 * Any fault: no verdict was written, *detail* says why. */
MongodbFault mongodb_compare(MongodbClient *client, const SinkItem *items, const size_t *indexes, size_t n,
        MongodbVerdict *verdicts, char *detail, size_t size);
