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
#include "sinks/document.h"
#include "sinks/mongodb-reply.h"
#include "subscribe/sink.h"

#define MONGODB_DETAIL_SIZE 512
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
        bool no_majority_reads;  /* the server has them switched off */
        SinkHost *host;          /* told what the monitors see, and of each call; NULL: nobody */
} MongodbClient;

/* Does not block. -EBADMSG with a sentence in *problem*, as mongodb_uri_new(). */
int mongodb_client_new(
        const SubscriptionConfig *config, const char *secret, MongodbClient **ret, char *problem, size_t problem_size);
/* Blocks for up to the connect timeout, since the driver waits for its monitors. */
MongodbClient *mongodb_client_free(MongodbClient *client);
CLEANUP_DEFINE(MongodbClient, mongodb_client_free)

/* Sets up the pool if there is none: a mongodb+srv name is looked up here. Does not yet reach for a server. */
MongodbFault mongodb_client_connect(MongodbClient *client, char *detail, size_t size);

/* Finds a writable server, logs in and gets an answer. */
MongodbFault mongodb_client_ping(MongodbClient *client, char *detail, size_t size);

/* A command that writes nothing, on the primary. *reply* is set up in any case and the caller's to destroy. */
MongodbFault mongodb_client_read_command(
        MongodbClient *client, const char *database, const bson_t *command, bson_t *reply, char *detail, size_t size);

/* Calls *each* for the documents with one of the ids in *ids* (a BSON array), as a majority has them. A server whose
 * majority reads are switched off (possible before MongoDB 5.0) is asked for what its primary has: the refused insert
 * that asks for the document waited for the majority already. */
typedef void (*MongodbEach)(void *userdata, const bson_t *document);
MongodbFault mongodb_client_read_ids(MongodbClient *client, mongoc_collection_t *collection, const bson_t *ids,
        MongodbEach each, void *userdata, char *detail, size_t size);

/* Around every call into the driver that may block, so that the loop can tell a stuck one. */
void mongodb_client_enter(MongodbClient *client);
void mongodb_client_leave(MongodbClient *client);
