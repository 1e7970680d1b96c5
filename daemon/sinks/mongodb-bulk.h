/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inserts documents in unordered bulks of bounded size and tells the verdict on each. A bulk that fails as a whole
 * because of one document in it is halved until that one is alone, so it never takes its neighbours with it (P6).
 * Blocks; knows nothing of batches. */

#include "sinks/mongodb-client.h"

#define MONGODB_BULK_DOCUMENTS 1000
#define MONGODB_BULK_BYTES (4 * 1024 * 1024) /* the driver copies every document once more */

enum { MONGODB_BULK_BUILT = 0, MONGODB_BULK_SKIPPED = 1 };

typedef struct MongodbBulk {
        MongodbClient *client;
        mongoc_collection_t *collection;
        /* Writes the document of *item* into *document*, which is empty: MONGODB_BULK_BUILT, or MONGODB_BULK_SKIPPED
         * when there is none, or -ENOMEM. Called again for the same item when its bulk is halved. */
        int (*build)(void *userdata, size_t item, bson_t *document);
        /* Once for each document sent; not for those behind a fault. *detail* says why it was refused. */
        void (*on_verdict)(void *userdata, size_t item, MongodbVerdict verdict, const char *detail);
        void *userdata;
        bool halve_strange; /* MONGODB_FAULT_STRANGE is taken for a document's fault; alone, it is MONGODB_ODD */
        bson_t document;    /* kept from one to the next for its buffer */
        char detail[MONGODB_DETAIL_SIZE]; /* of the fault */
} MongodbBulk;

void mongodb_bulk_init(MongodbBulk *bulk, MongodbClient *client, mongoc_collection_t *collection);
void mongodb_bulk_done(MongodbBulk *bulk);

/* Sends the documents of the *n* items. Ends at the first fault, explained in bulk->detail, and returns it; verdicts
 * told before it hold.
 */
MongodbFault mongodb_bulk_send(MongodbBulk *bulk, const size_t *items, size_t n);
