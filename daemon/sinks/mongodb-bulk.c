/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-bulk.h"

#include <stdio.h>
#include <string.h>

#include "lib/crashpoint.h"

#define BUFFER_KEPT_MAX (1024 * 1024)

/* One bulk as it fills. */
typedef struct Chunk {
        mongoc_bulk_operation_t *operation; /* NULL: none begun */
        size_t n, bytes;
        size_t items[MONGODB_BULK_DOCUMENTS];
} Chunk;

void mongodb_bulk_init(MongodbBulk *bulk, MongodbClient *client, mongoc_collection_t *collection) {
        *bulk = (MongodbBulk){ .client = client, .collection = collection };
        bson_init(&bulk->document);
}

void mongodb_bulk_done(MongodbBulk *bulk) {
        bson_destroy(&bulk->document);
}

/* Empties the document for the next; lets go of a buffer that one large document blew up. */
static void reset_document(MongodbBulk *bulk) {
        if (bulk->document.len > BUFFER_KEPT_MAX) {
                bson_destroy(&bulk->document);
                bson_init(&bulk->document);
        } else
                bson_reinit(&bulk->document);
}

static mongoc_bulk_operation_t *begin_operation(MongodbBulk *bulk) {
        mongoc_bulk_operation_t *operation;
        bson_t options = BSON_INITIALIZER;

        (void) BSON_APPEND_BOOL(&options, "ordered", false);
        operation = mongoc_collection_create_bulk_operation_with_opts(bulk->collection, &options);
        bson_destroy(&options);
        return operation;
}

/* The driver's own check of every document is switched off: it accepts invalid UTF-8 in some versions, costs more than
 * the copy, and document.c has stricter rules. */
static bool add_document(MongodbBulk *bulk, Chunk *chunk, size_t item, bson_error_t *error) {
        bson_t options = BSON_INITIALIZER;
        bool ok;

        if (!chunk->operation)
                chunk->operation = begin_operation(bulk);
        (void) BSON_APPEND_BOOL(&options, "validate", false);
        ok = mongoc_bulk_operation_insert_with_opts(chunk->operation, &bulk->document, &options, error);
        bson_destroy(&options);
        if (ok) {
                chunk->items[chunk->n++] = item;
                chunk->bytes += bulk->document.len;
        }
        return ok;
}

/* A document that the answer does not account for, though nothing is wrong with the remote, is odd: it goes alone next
 * time, where no numbers can hide it. */
static void tell_verdicts(MongodbBulk *bulk, const Chunk *chunk, const MongodbVerdict *verdicts, MongodbFault fault,
        const bson_t *reply, const bson_error_t *error) {
        char detail[MONGODB_DETAIL_SIZE];

        for (size_t i = 0; i < chunk->n; i++) {
                MongodbVerdict verdict = verdicts[i];

                detail[0] = '\0';
                if (verdict == MONGODB_REFUSED || verdict == MONGODB_ODD)
                        mongodb_reply_describe(reply, error, i, detail, sizeof(detail));
                if (verdict == MONGODB_UNKNOWN && fault == MONGODB_FAULT_NONE) {
                        verdict = MONGODB_ODD;
                        (void) snprintf(detail, sizeof(detail), "the server's answer does not account for it");
                }
                bulk->on_verdict(bulk->userdata, chunk->items[i], verdict, detail);
        }
}

/* With a bulk of its own: the caller's document may be built already. */
static MongodbFault halve(MongodbBulk *bulk, const Chunk *chunk, bool strange) {
        size_t middle = chunk->n / 2;
        MongodbFault fault;
        MongodbBulk half;

        if (chunk->n == 1) {
                bulk->on_verdict(
                        bulk->userdata, chunk->items[0], strange ? MONGODB_ODD : MONGODB_REFUSED, bulk->detail);
                return MONGODB_FAULT_NONE;
        }
        half = *bulk;
        bson_init(&half.document);
        fault = mongodb_bulk_send(&half, chunk->items, middle);
        if (fault == MONGODB_FAULT_NONE)
                fault = mongodb_bulk_send(&half, chunk->items + middle, chunk->n - middle);
        memcpy(bulk->detail, half.detail, sizeof(bulk->detail));
        mongodb_bulk_done(&half);
        return fault;
}

/* Sends what the chunk holds and empties it. */
static MongodbFault flush(MongodbBulk *bulk, Chunk *chunk) {
        MongodbVerdict verdicts[MONGODB_BULK_DOCUMENTS];
        bson_error_t error = {};
        MongodbFault fault;
        bson_t reply;
        bool ok;

        if (!chunk->operation)
                return MONGODB_FAULT_NONE;
        CRASHPOINT("sink-mid-bulk");
        mongodb_client_enter(bulk->client);
        ok = mongoc_bulk_operation_execute(chunk->operation, &reply, &error) != 0;
        mongoc_bulk_operation_destroy(cleanup_steal(chunk->operation));
        mongodb_client_leave(bulk->client);
        CRASHPOINT("sink-bulk-done");

        fault = mongodb_reply_judge(ok, &reply, &error, verdicts, chunk->n);
        if (fault != MONGODB_FAULT_NONE)
                mongodb_reply_describe_fault(&reply, &error, bulk->detail, sizeof(bulk->detail));
        if (fault == MONGODB_FAULT_POISON || (fault == MONGODB_FAULT_STRANGE && bulk->halve_strange))
                fault = halve(bulk, chunk, fault == MONGODB_FAULT_STRANGE);
        else
                tell_verdicts(bulk, chunk, verdicts, fault, &reply, &error);
        bson_destroy(&reply);
        chunk->n = chunk->bytes = 0;
        return fault;
}

static MongodbFault local_fault(MongodbBulk *bulk, Chunk *chunk, const char *detail) {
        if (chunk->operation)
                mongoc_bulk_operation_destroy(cleanup_steal(chunk->operation));
        (void) snprintf(bulk->detail, sizeof(bulk->detail), "%s", detail);
        return MONGODB_FAULT_LOCAL;
}

MongodbFault mongodb_bulk_send(MongodbBulk *bulk, const size_t *items, size_t n) {
        MongodbFault fault;
        bson_error_t error;
        Chunk chunk;

        chunk.operation = NULL;
        chunk.n = chunk.bytes = 0;
        for (size_t i = 0; i < n; i++) {
                int r;

                reset_document(bulk);
                r = bulk->build(bulk->userdata, items[i], &bulk->document);
                if (r < 0)
                        return local_fault(bulk, &chunk, "out of memory");
                if (r == MONGODB_BULK_SKIPPED)
                        continue;
                if (chunk.n == MONGODB_BULK_DOCUMENTS ||
                        (chunk.n > 0 && chunk.bytes + bulk->document.len > MONGODB_BULK_BYTES)) {
                        fault = flush(bulk, &chunk);
                        if (fault != MONGODB_FAULT_NONE)
                                return fault;
                }
                if (!add_document(bulk, &chunk, items[i], &error))
                        return local_fault(bulk, &chunk, error.message);
        }
        return flush(bulk, &chunk);
}
