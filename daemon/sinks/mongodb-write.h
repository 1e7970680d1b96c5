/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes messages to the collections, as readings, or with their reasons as rejected ones; the bulks for that; and the
 * functions of `rejected`. All functions block. */

#include "sinks/mongodb-client.h"
#include "subscribe/sink-admin.h"

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

/* ---- mongodb-bulk.c ---- */

/* Inserts documents in unordered bulks, as large as the network to the server allows in good time, and reports a
 * verdict on each. A bulk that is refused as a whole is halved until the refused document is alone, so that it does not
 * affect the others (P6). Blocks; knows nothing of messages. */

#define MONGODB_BULK_DOCUMENTS 1000

enum { MONGODB_BULK_BUILT = 0, MONGODB_BULK_SKIPPED = 1 };

/* The caller sets all up to *userdata*, which are borrowed; else zeros. */
typedef struct MongodbBulk {
        MongodbClient *client;
        mongoc_collection_t *collection;
        /* Builds the document of *item* in *document*, which is empty. Returns MONGODB_BULK_BUILT, MONGODB_BULK_SKIPPED
         * when there is none, or -ENOMEM. Called again for the same item when its bulk is halved. */
        int (*build)(void *userdata, size_t item, bson_t *document);
        /* Called once for each document sent, but not for those after a fault. *detail* says why it was refused. */
        void (*on_verdict)(void *userdata, size_t item, MongodbJudgement judgement, const char *detail);
        void *userdata;
        char detail[MONGODB_DETAIL_SIZE]; /* of the fault */
        bool partial;           /* the fault concerns single documents (SINK_LATER): the server answered for each */
        bool carried_out;       /* some command was not refused as a whole */
        unsigned refused_alone; /* documents refused alone in their command */
} MongodbBulk;

/* Sends the documents of the *n* items. Ends at the first fault, explained in bulk->detail, and returns it; verdicts
 * reported before are final. MONGODB_FAULT_REFUSED: several were refused alone, and no command was carried out. */
MongodbFault mongodb_bulk_send(MongodbBulk *bulk, const size_t *items, size_t n);

/* ---- mongodb-rejected.c ---- */

/* Functions of SinkAdmin for the rejected collection, for the table in mongodb-admin.c; *self* is a MongodbClient. */

/* Lists rows of this subscription, in the order of insertion. */
int mongodb_rejected_each(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]);
/* Stores a message as the daemon would now, with its own message id and publish time. */
int mongodb_rejected_replay(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);
/* Drops a row, only of this subscription. */
int mongodb_rejected_drop(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);

/* Writes "what went wrong: what to do". Returns SINK_ADMIN_FAILED. */
int mongodb_admin_failed(MongodbFault fault, const char *detail, char text[static SINK_ADMIN_TEXT_MAX]);
