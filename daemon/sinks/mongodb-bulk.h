/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inserts documents in unordered bulks, as large as the line to the server lets through in good time, and tells the
 * verdict on each. A bulk that is refused as a whole is halved until what is refused is alone, so that no document
 * takes its neighbours with it (P6). Blocks; knows nothing of messages. */

#include "sinks/mongodb-client.h"

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
