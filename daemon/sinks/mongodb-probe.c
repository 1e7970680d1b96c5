/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-probe.h"

static mongoc_cursor_t *find_first(MongodbClient *client) {
        bson_t filter = BSON_INITIALIZER, options = BSON_INITIALIZER;
        mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
        mongoc_cursor_t *cursor;

        (void) BSON_APPEND_INT64(&options, "limit", 1);
        (void) BSON_APPEND_BOOL(&options, "singleBatch", true);
        (void) BSON_APPEND_INT64(&options, "maxTimeMS", MONGODB_FIND_MSEC);
        cursor = mongoc_collection_find_with_opts(client->readings, &filter, &options, primary);
        mongoc_read_prefs_destroy(primary);
        bson_destroy(&filter);
        bson_destroy(&options);
        return cursor;
}

/* A copy of the first document; NULL: there is none, or it cannot be had. */
static MongodbFault read_first(MongodbClient *client, bson_t **ret, char *detail, size_t size) {
        MongodbFault fault = MONGODB_FAULT_NONE;
        const bson_t *document, *reply;
        mongoc_cursor_t *cursor;
        bson_error_t error;

        *ret = NULL;
        mongodb_client_enter(client);
        cursor = find_first(client);
        if (mongoc_cursor_next(cursor, &document))
                *ret = bson_copy(document);
        else if (mongoc_cursor_error_document(cursor, &error, &reply)) {
                fault = mongodb_reply_fault(reply, &error);
                mongodb_reply_describe_error(&error, detail, size);
        }
        mongoc_cursor_destroy(cursor);
        mongodb_client_leave(client);
        return fault;
}

/* The whole document and not its _id alone: if it is deleted in between, by a TTL index for one, then it is back, but
 * not without its values. */
static MongodbFault insert_again(MongodbClient *client, const bson_t *document, char *detail, size_t size) {
        mongoc_bulk_operation_t *operation;
        bson_t options = BSON_INITIALIZER, reply;
        bson_error_t error = {};
        MongodbVerdict verdict;
        MongodbFault fault;
        bool ok;

        (void) BSON_APPEND_BOOL(&options, "validate", false);
        mongodb_client_enter(client);
        operation = mongoc_collection_create_bulk_operation_with_opts(client->readings, NULL);
        (void) mongoc_bulk_operation_insert_with_opts(operation, document, &options, &error);
        ok = mongoc_bulk_operation_execute(operation, &reply, &error) != 0;
        mongoc_bulk_operation_destroy(operation);
        mongodb_client_leave(client);
        fault = mongodb_reply_judge(ok, &reply, &error, &verdict, 1);
        if (fault != MONGODB_FAULT_NONE)
                mongodb_reply_describe_fault(&reply, &error, detail, size);
        bson_destroy(&reply);
        bson_destroy(&options);
        return fault;
}

/* What is odd about this one document says nothing about others. */
static MongodbFault general(MongodbFault fault) {
        return fault == MONGODB_FAULT_POISON ? MONGODB_FAULT_NONE : fault;
}

MongodbFault mongodb_probe(MongodbClient *client, char *detail, size_t size) {
        MongodbFault fault = mongodb_client_ping(client, detail, size);
        bson_t *document = NULL;

        if (fault == MONGODB_FAULT_NONE)
                fault = general(read_first(client, &document, detail, size));
        if (document)
                fault = general(insert_again(client, document, detail, size));
        bson_destroy(document);
        return fault;
}
