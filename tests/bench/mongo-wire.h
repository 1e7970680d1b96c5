/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* As much of MongoDB's wire protocol as a benchmark needs
 * (https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/): OP_MSG with its sections, the OP_QUERY of a
 * legacy hello, and the replies to both. Documents of an insert are counted by their lengths, not parsed. */

#include "latency.h"
#include "loop.h"

#include <bson/bson.h>

#define MONGO_OP_REPLY 1
#define MONGO_OP_QUERY 2004
#define MONGO_OP_MSG 2013

typedef struct MongoMessage {
        int32_t length, request_id, response_to, opcode;
        const char *command; /* first key of the body; "" when there is none */
        const uint8_t *body; /* BSON */
        size_t body_size;
        const uint8_t *documents; /* of the first document sequence, back to back; NULL: none */
        size_t documents_size;
        bool more_to_come; /* wants no reply */
} MongoMessage;

/* Returns the message's size, 0 when it is not all there, -1 when it is nonsense. */
ssize_t mongo_message_parse(const char *data, size_t size, MongoMessage *ret);
/* Counts the documents (or updates) that a write carries; adds their latency_sent() times to *sent* when it is not
 * NULL. */
uint64_t mongo_message_documents(const MongoMessage *m, Latency *sent);
/* Appends the reply *document* to the message. */
void mongo_reply(const MongoMessage *m, const bson_t *document, Buffer *out);
