/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is written to the collections: messages, as readings or, with their reasons, as rejected ones; the bulks that
 * they go in; and what `rejected` does with those set apart. Blocks. */

#include "sinks/mongodb-client.h"
#include "subscribe/sink-admin.h"

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

/* ---- mongodb-bulk.c ---- */

/* Inserts documents in unordered bulks, as large as the line to the server lets through in good time, and tells the
 * verdict on each. A bulk that is refused as a whole is halved until what is refused is alone, so that no document
 * takes its neighbours with it (P6). Blocks; knows nothing of messages. */

#define MONGODB_BULK_DOCUMENTS 1000

enum { MONGODB_BULK_BUILT = 0, MONGODB_BULK_SKIPPED = 1 };

typedef struct MongodbBulk {
        MongodbClient *client;
        mongoc_collection_t *collection;
        /* Writes the document of *item* into *document*, which is empty: MONGODB_BULK_BUILT, or MONGODB_BULK_SKIPPED
         * when there is none, or -ENOMEM. Called again for the same item when its bulk is halved. */
        int (*build)(void *userdata, size_t item, bson_t *document);
        /* Once for each document sent; not for those behind a fault. *detail* says why it was refused. */
        void (*on_verdict)(void *userdata, size_t item, MongodbJudgement judgement, const char *detail);
        void *userdata;
        bson_t document;                  /* kept from one to the next for its buffer */
        char detail[MONGODB_DETAIL_SIZE]; /* of the fault */
        bool single;            /* the fault met single documents, MONGODB_LATER: the server answered for each */
        bool carried_out;       /* some command was not refused as a whole */
        unsigned refused_alone; /* documents that were, as a command of their own */
} MongodbBulk;

/* The callbacks are the caller's to fill in; the rest is borrowed and outlives the bulk. */
void mongodb_bulk_init(MongodbBulk *bulk, MongodbClient *client, mongoc_collection_t *collection);
void mongodb_bulk_done(MongodbBulk *bulk);

/* Sends the documents of the *n* items. Ends at the first fault, explained in bulk->detail, and returns it; verdicts
 * told before it hold. MONGODB_FAULT_REFUSED: several were refused alone, and no command was carried out. */
MongodbFault mongodb_bulk_send(MongodbBulk *bulk, const size_t *items, size_t n);

/* ---- mongodb-rejected.c ---- */

/* What `rejected` does with the rejected collection, for the table in mongodb-admin.c; *self* is a MongodbClient. As in
 * subscribe/sink-admin.h. */

/* Rows of this subscription, in the order of insertion. */
int mongodb_rejected_each(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]);
/* As the daemon would store it now, under its own message id and publish time. */
int mongodb_rejected_replay(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);
/* Only a row of this subscription. */
int mongodb_rejected_drop(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);

/* Writes "what went wrong: what to do". Returns SINK_ADMIN_FAILED. */
int mongodb_admin_failed(MongodbFault fault, const char *detail, char text[static SINK_ADMIN_TEXT_MAX]);
