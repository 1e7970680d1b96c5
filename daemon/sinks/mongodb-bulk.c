/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/mongodb-write.h"

#include <stdio.h>

#define BUFFER_KEPT_MAX (1024 * 1024)
/* when so many are refused alone and no command was carried out, the documents are not at fault */
#define REFUSED_ALONE_MAX 3

/* A bulk that is being filled. */
typedef struct Chunk {
        mongoc_bulk_operation_t *operation; /* NULL: none begun */
        size_t n, bytes;
        size_t items[MONGODB_BULK_DOCUMENTS];
} Chunk;

/* Empties the document for the next one, and frees a buffer that a large document has made large. */
static void reset_document(bson_t *document) {
        if (document->len > BUFFER_KEPT_MAX) {
                bson_destroy(document);
                bson_init(document);
        } else
                bson_reinit(document);
}

static mongoc_bulk_operation_t *begin_operation(MongodbBulk *bulk) {
        mongoc_bulk_operation_t *operation;
        bson_t options = BSON_INITIALIZER;

        (void) BSON_APPEND_BOOL(&options, "ordered", false);
        operation = mongoc_collection_create_bulk_operation_with_opts(bulk->collection, &options);
        bson_destroy(&options);
        return operation;
}

/* The driver's own check of each document is switched off: some versions accept invalid UTF-8, it takes longer than the
 * copy, and document.c has stricter rules. */
static bool add_document(MongodbBulk *bulk, Chunk *chunk, size_t item, const bson_t *document, bson_error_t *error) {
        bson_t options = BSON_INITIALIZER;
        bool ok;

        if (!chunk->operation)
                chunk->operation = begin_operation(bulk);
        (void) BSON_APPEND_BOOL(&options, "validate", false);
        ok = mongoc_bulk_operation_insert_with_opts(chunk->operation, document, &options, error);
        bson_destroy(&options);
        if (ok) {
                chunk->items[chunk->n++] = item;
                chunk->bytes += document->len;
        }
        return ok;
}

/* Reports a verdict for each document. When the answer does not account for a document although the remote has no
 * fault, that document counts as refused, so that it is sent alone next time. */
static void tell_verdicts(MongodbBulk *bulk, const Chunk *chunk, MongodbJudgement *judgements, MongodbFault fault,
        const bson_t *reply, const bson_error_t *error) {
        char detail[MONGODB_DETAIL_SIZE];
        bool stored = false;

        if (error->domain == MONGOC_ERROR_SERVER_SELECTION)
                return; /* nothing was sent */
        for (size_t i = 0; i < chunk->n; i++)
                stored |= judgements[i].verdict == SINK_STORED;
        bulk->carried_out |= fault == MONGODB_FAULT_NONE;
        for (size_t i = 0; i < chunk->n; i++) {
                SinkVerdict verdict = judgements[i].verdict;

                detail[0] = '\0';
                if (verdict == SINK_REFUSED || verdict == SINK_LATER || (verdict == SINK_DUPLICATE && chunk->n == 1))
                        mongodb_reply_describe(reply, error, i, detail, sizeof(detail));
                if (verdict == SINK_PENDING && fault == MONGODB_FAULT_NONE) {
                        judgements[i].verdict = SINK_REFUSED;
                        (void) snprintf(detail, sizeof(detail), "the server's answer does not account for it");
                }
                judgements[i].alone = chunk->n == 1;
                judgements[i].proven = stored;
                bulk->on_verdict(bulk->userdata, chunk->items[i], judgements[i], detail);
        }
}

/* A command with a single document was refused as a whole. A server's refusal of a command says nothing about the
 * document, but an error that the driver finds before sending does. */
static MongodbFault tell_alone(MongodbBulk *bulk, size_t item, const bson_error_t *error) {
        MongodbJudgement judgement = { .verdict = SINK_REFUSED, .code = (int) error->code, .alone = true };
        MongodbFault ignored;

        if (error->domain == MONGOC_ERROR_BSON || error->domain == MONGOC_ERROR_COMMAND)
                judgement.about_document = true;
        else if (mongodb_code_kind(error->code, "", "", &ignored) == MONGODB_KIND_DUPLICATE)
                judgement.verdict = SINK_DUPLICATE;
        bulk->on_verdict(bulk->userdata, item, judgement, bulk->detail);
        bulk->refused_alone++;
        return !bulk->carried_out && bulk->refused_alone >= REFUSED_ALONE_MAX ? MONGODB_FAULT_REFUSED
                                                                              : MONGODB_FAULT_NONE;
}

static MongodbFault halve(MongodbBulk *bulk, const Chunk *chunk) {
        size_t middle = chunk->n / 2;
        MongodbFault fault = mongodb_bulk_send(bulk, chunk->items, middle);

        return fault == MONGODB_FAULT_NONE ? mongodb_bulk_send(bulk, chunk->items + middle, chunk->n - middle) : fault;
}

static bool execute(MongodbBulk *bulk, Chunk *chunk, bson_t *reply, bson_error_t *error) {
        usec_t began = clock_now(), took;
        bool ok;

        sink_host_enter(bulk->client->host);
        ok = mongoc_bulk_operation_execute(chunk->operation, reply, error) != 0;
        mongoc_bulk_operation_destroy(cleanup_steal(chunk->operation));
        sink_host_leave(bulk->client->host);

        took = clock_now() - began;
        if (error->domain == MONGOC_ERROR_STREAM)
                pace_stuck(&bulk->client->pace, chunk->bytes);
        else if (ok || error->domain == MONGOC_ERROR_SERVER)
                pace_through(
                        &bulk->client->pace, chunk->bytes, took * PACE_GOOD_USEC / bulk->client->good, clock_now());
        return ok;
}

/* Sends the documents of the chunk and empties it. */
static MongodbFault flush(MongodbBulk *bulk, Chunk *chunk) {
        MongodbJudgement judgements[MONGODB_BULK_DOCUMENTS];
        bson_error_t error = {};
        MongodbFault fault;
        bson_t reply;
        bool ok;

        if (!chunk->operation)
                return MONGODB_FAULT_NONE;
        ok = execute(bulk, chunk, &reply, &error);
        fault = mongodb_reply_judge(ok, &reply, &error, judgements, chunk->n);
        if (fault != MONGODB_FAULT_NONE)
                mongodb_reply_describe_fault(&reply, &error, bulk->detail, sizeof(bulk->detail));
        for (size_t i = 0; i < chunk->n; i++)
                bulk->partial |= judgements[i].verdict == SINK_LATER;
        if (fault != MONGODB_FAULT_REFUSED)
                tell_verdicts(bulk, chunk, judgements, fault, &reply, &error);
        else if (chunk->n == 1)
                fault = tell_alone(bulk, chunk->items[0], &error);
        else
                fault = halve(bulk, chunk);
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

static bool is_full(const MongodbBulk *bulk, const Chunk *chunk, const bson_t *document) {
        return chunk->n == MONGODB_BULK_DOCUMENTS ||
               (chunk->n > 0 && chunk->bytes + document->len > bulk->client->pace.limit);
}

MongodbFault mongodb_bulk_send(MongodbBulk *bulk, const size_t *items, size_t n) {
        _cleanup_(bson_destroy) bson_t document = BSON_INITIALIZER; /* reused for its buffer */
        MongodbFault fault;
        bson_error_t error;
        Chunk chunk;

        chunk.operation = NULL;
        chunk.n = chunk.bytes = 0;
        for (size_t i = 0; i < n; i++) {
                int r;

                reset_document(&document);
                r = bulk->build(bulk->userdata, items[i], &document);
                if (r < 0)
                        return local_fault(bulk, &chunk, "out of memory");
                if (r == MONGODB_BULK_SKIPPED)
                        continue;
                if (is_full(bulk, &chunk, &document)) {
                        fault = flush(bulk, &chunk);
                        if (fault != MONGODB_FAULT_NONE)
                                return fault;
                }
                if (!add_document(bulk, &chunk, items[i], &document, &error))
                        return local_fault(bulk, &chunk, error.message);
        }
        return flush(bulk, &chunk);
}
