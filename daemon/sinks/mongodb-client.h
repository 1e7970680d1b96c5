/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The driver's client for one subscription. Always a pool, even for one thread: single clients of libmongoc
 * before 1.24.3 can deadlock for ever (CDRIVER-4666).
 *
 * All calls but those marked otherwise block and belong to one thread. The client keeps copies of all that it needs of
 * the config, because a thread that is stuck in the driver outlives it. */

#include <mongoc/mongoc.h>

#include "config.h"
#include "lib/cleanup.h"
#include "lib/pace.h"
#include "lib/text.h"
#include "sinks/document.h"
#include "sinks/mongodb-config.h"
#include "sinks/mongodb-reply.h"
#include "subscribe/sink.h"

#define MONGODB_DETAIL_SIZE SINK_DETAIL_MAX
#define MONGODB_FIND_MSEC 10000 /* that the server may take for a find; less than socketTimeoutMS */

typedef struct MongodbClient {
        char *database, *collection, *rejected_collection;
        DocumentRules rules; /* its strings are owned as well */
        mongoc_uri_t *uri;
        mongoc_write_concern_t *concern;
        mongoc_client_pool_t *pool; /* from here on NULL until mongodb_client_connect() */
        mongoc_client_t *client;
        mongoc_collection_t *readings, *rejected;
        unsigned login_failures; /* in a row */
        bool no_majority_reads;  /* switched off; the write before waited for a majority, also of what it found there */
        Pace pace;               /* of bulks */
        usec_t good;             /* what a bulk may take without being made smaller: well below the socket's timeout */
        SinkHost *host;          /* told what the monitors see, and of each call; NULL: nobody */
} MongodbClient;

/* Time limits in milliseconds. The driver's own (30 s, 10 s, 5 min) would hold up a recovery; what the uri says counts
 * up to the ceilings. */
#define MONGODB_SELECTION_MSEC 5000
#define MONGODB_CONNECT_MSEC 5000
#define MONGODB_HEARTBEAT_MSEC 5000
#define MONGODB_SOCKET_MSEC 15000      /* more than the write concern's, so that the server answers first */
#define MONGODB_SOCKET_MAX_MSEC 120000 /* twice that and the rest is less than the watch over stuck calls allows */
#define MONGODB_WRITE_CONCERN_MSEC 10000

/* Reads config->uri, which the configuration has checked, sets time limits, appName, retryable writes where the uri
 * does not say, and the password. -EBADMSG with a sentence in *problem* for what only a user can mend; no secret is in
 * it. Nothing is looked up or connected to. */
int mongodb_uri_new(const MongodbConfig *config, mongoc_uri_t **ret, char problem[static MONGODB_DETAIL_SIZE]);

/* majority, journal, MONGODB_WRITE_CONCERN_MSEC (P3). The caller destroys it. */
mongoc_write_concern_t *mongodb_write_concern_new(void);

/* Does not block. *host* may be NULL. -EBADMSG as mongodb_uri_new(). */
int mongodb_client_new(const SubscriptionConfig *config, SinkHost *host, MongodbClient **ret,
        char problem[static MONGODB_DETAIL_SIZE]);
/* Blocks for up to the connect timeout, since the driver waits for its monitors. */
MongodbClient *mongodb_client_free(MongodbClient *client);
CLEANUP_DEFINE(MongodbClient, mongodb_client_free)

/* Sets up the pool if there is none: a mongodb+srv name is looked up here. Does not yet reach for a server. Here and in
 * what follows *detail* is written with every fault. */
MongodbFault mongodb_client_connect(MongodbClient *client, char detail[static MONGODB_DETAIL_SIZE]);

/* Finds a writable server, logs in and gets an answer. */
MongodbFault mongodb_client_ping(MongodbClient *client, char detail[static MONGODB_DETAIL_SIZE]);

/* A ping; a look at what kind of collection readings go to, where that may be had (MONGODB_FAULT_TARGET); then an
 * update of a document that nobody has, under the write concern of every write. Nothing is stored, read or brought
 * back. *ret_tried* is false where the user may not update, which is not needed otherwise, or the server takes no such
 * update (Cosmos DB, of a sharded collection): nothing was tried then. */
MongodbFault mongodb_client_try(MongodbClient *client, bool *ret_tried, char detail[static MONGODB_DETAIL_SIZE]);

/* A command that writes nothing, on the primary, and one that writes, under the write concern: errors of single
 * statements count as well there. *reply* is set up in any case and the caller's to destroy. */
MongodbFault mongodb_client_read_command(MongodbClient *client, const char *database, const bson_t *command,
        bson_t *reply, char detail[static MONGODB_DETAIL_SIZE]);
MongodbFault mongodb_client_write_command(
        MongodbClient *client, const bson_t *command, bson_t *reply, char detail[static MONGODB_DETAIL_SIZE]);

/* What is done with each document found. */
typedef struct MongodbReader {
        void (*each)(void *userdata, const bson_t *document);
        void *userdata;
} MongodbReader;

/* Calls *reader* for the documents with one of the ids in *ids* (a BSON array), as a majority has them. A server whose
 * majority reads are switched off (possible before MongoDB 5.0) is asked for what its primary has: the refused insert
 * that asks for the document waited for the majority already. */
MongodbFault mongodb_client_read_ids(MongodbClient *client, mongoc_collection_t *collection, const bson_t *ids,
        const MongodbReader *reader, char detail[static MONGODB_DETAIL_SIZE]);
