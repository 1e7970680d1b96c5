/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of the sink: its section of the configuration, the driver's client for one subscription, writing, and the
 * tables of the type. mongodb-reply.h has the meaning of the server's answers. */

#include <mongoc/mongoc.h>

#include "config.h"
#include "lib/backoff.h"
#include "lib/err.h"
#include "sinks/document.h"
#include "sinks/mongodb-reply.h"
#include "subscribe/sink-type.h"
#include "subscribe/sink.h"

/* ---- mongodb-config.c ---- */

/* The section `mongodb` of a subscription. Its connection string is checked here, with line and column: what MongoDB's
 * driver refuses, and what it takes although it is wrong (mongoc_uri_t(3)): it ignores options that it does not know,
 * and repeated ones are undefined. */
typedef struct MongodbConfig {
        char *uri; /* has no options that sensorqd sets itself */
        ConfigSecret password;
        char *database;
        char *collection;
        char *rejected_collection; /* default: COLLECTION_rejected */
        char **date_fields;        /* NULL at the end; never NULL itself */
        BackoffConfig backoff;     /* its place in 0.1.0; copied to the subscription */
} MongodbConfig;

extern const ConfigSection mongodb_config_section;

/* From now on, what the driver logs goes to our log, at level debug. */
void mongodb_config_hear_driver(void);

/* ---- mongodb-client.c ---- */

/* The driver's client for one subscription. It always uses a pool, even for one thread: single clients of libmongoc
 * before 1.24.3 can deadlock for ever (CDRIVER-4666).
 *
 * All calls but those marked otherwise block, and must be made on one thread. The client keeps copies of what it needs
 * of the config, because a thread that is stuck in the driver outlives the config. */

#define MONGODB_DETAIL_SIZE SINK_DETAIL_MAX
#define MONGODB_FIND_MSEC 10000 /* time limit of a find on the server; less than socketTimeoutMS */

typedef struct MongodbClient {
        char *database, *collection, *rejected_collection;
        DocumentRules rules; /* its strings are owned */
        mongoc_uri_t *uri;
        const char *host_name; /* named where no server is found: the first of the uri, or that of mongodb+srv:// */
        mongoc_write_concern_t *concern; /* majority, journal, MONGODB_WRITE_CONCERN_MSEC (P3) */
        mongoc_client_pool_t *pool;      /* this and the following are NULL until mongodb_client_connect() */
        mongoc_client_t *client;
        mongoc_collection_t *readings, *rejected;
        bool failed;             /* the last ping or write */
        unsigned login_failures; /* in a row */
        uint64_t files;          /* state of the certificates' files when the pool was made */
        bool no_majority_reads;  /* the server has them switched off: reads use the primary alone */
        Pace pace;               /* of bulks */
        usec_t good;             /* bulks that take longer are made smaller; well below the socket's timeout */
        SinkHost *host;          /* is told of server changes and of each library call; may be NULL */
} MongodbClient;

/* Time limits in milliseconds. The driver's defaults (30 s, 10 s, 5 min) would delay a recovery. The uri may set
 * others, up to a maximum. */
#define MONGODB_SELECTION_MSEC 5000
#define MONGODB_CONNECT_MSEC 5000
#define MONGODB_HEARTBEAT_MSEC 5000
#define MONGODB_SOCKET_MSEC 15000      /* more than the write concern's limit, so that the server answers first */
#define MONGODB_SOCKET_MAX_MSEC 120000 /* twice this and the rest is less than sink-host.c allows for a call */
#define MONGODB_WRITE_CONCERN_MSEC 10000

/* Makes a client. Does not block: it makes no lookup and no connection. *host* may be NULL. -EBADMSG, with a sentence
 * without secrets in *problem*, for a mistake of the user in the uri. */
int mongodb_client_new(const SubscriptionConfig *config, SinkHost *host, MongodbClient **ret,
        char problem[static MONGODB_DETAIL_SIZE]);
/* Blocks up to the connect timeout, since the driver waits for its monitors. */
MongodbClient *mongodb_client_free(MongodbClient *client);
CLEANUP_DEFINE(MongodbClient, mongodb_client_free)

/* Makes the pool if there is none, or if the last try failed and the files of certificates were changed since; looks up
 * a mongodb+srv name. It does not connect to a server. This function and the following write *detail* with every fault.
 */
MongodbFault mongodb_client_connect(MongodbClient *client, char detail[static MONGODB_DETAIL_SIZE]);

/* Call this with the outcome of each write. After some refused logins the next one gets a new pool. */
void mongodb_client_note(MongodbClient *client, MongodbFault fault);

/* Finds a writable server, logs in and gets an answer. */
MongodbFault mongodb_client_ping(MongodbClient *client, char detail[static MONGODB_DETAIL_SIZE]);

/* Pings; checks the kind of the readings' collection, if it can be listed (MONGODB_FAULT_TARGET); then updates a
 * document that does not exist, with the usual write concern. Nothing is stored or changed. *ret_tried* is false when
 * no write could be tried: the user may not update, which is not needed otherwise, or the server does not support this
 * update (Cosmos DB, for a sharded collection). */
MongodbFault mongodb_client_try(MongodbClient *client, bool *ret_tried, char detail[static MONGODB_DETAIL_SIZE]);

/* Run a command on the primary: one that writes nothing, and one that writes, with the write concern; for the latter,
 * errors of single statements count as well. *reply* is always initialised; the caller destroys it. */
MongodbFault mongodb_client_read_command(MongodbClient *client, const char *database, const bson_t *command,
        bson_t *reply, char detail[static MONGODB_DETAIL_SIZE]);
MongodbFault mongodb_client_write_command(
        MongodbClient *client, const bson_t *command, bson_t *reply, char detail[static MONGODB_DETAIL_SIZE]);

/* Destroys the cursor of a find. Returns the fault that ended it, or MONGODB_FAULT_NONE. */
MongodbFault mongodb_client_end_find(
        const MongodbClient *client, mongoc_cursor_t *cursor, char detail[static MONGODB_DETAIL_SIZE]);

/* ---- mongodb-write.c ---- */

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

/* ---- mongodb-admin.c ---- */

extern const SinkAdmin mongodb_admin;
