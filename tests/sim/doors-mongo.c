/* SPDX-License-Identifier: Apache-2.0 */
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counts.h"
#include "mongo-store.h"
#include "weather.h"

#define SOCKET_TIMEOUT (15 * USEC_PER_SEC)
#define SELECTION_TIMEOUT (5 * USEC_PER_SEC)
#define BULK_MAX 100000
#define CODE_UNKNOWN 4711 /* in no table */

struct _mongoc_server_description_t {
        const char *type;
};

struct _mongoc_apm_server_changed_t {
        void *context;
        mongoc_server_description_t before, now;
};

struct _mongoc_apm_callbacks_t {
        mongoc_apm_server_changed_cb_t changed;
};

struct _mongoc_client_t {
        mongoc_client_pool_t *pool;
};

struct _mongoc_client_pool_t {
        mongoc_apm_server_changed_cb_t changed;
        void *context;
        bool lost, looking, destroyed;
        mongoc_client_t client;
};

struct _mongoc_collection_t {
        mongoc_client_pool_t *pool;
        Collection *collection;
};

struct _mongoc_bulk_operation_t {
        mongoc_collection_t *collection;
        bson_t **documents;
        size_t n, allocated;
};

struct _mongoc_cursor_t {
        Collection *collection;
        bson_t ids, current, reply;
        bson_iter_t next;
        bson_error_t error;
        bool local; /* what no majority has is seen as well */
};

/* ---- the driver as a whole ---- */

void mongoc_init(void) {}

bool mongoc_handshake_data_append(const char *name, const char *version, const char *platform) {
        return true;
}

mongoc_apm_callbacks_t *mongoc_apm_callbacks_new(void) {
        return calloc(1, sizeof(mongoc_apm_callbacks_t));
}

void mongoc_apm_callbacks_destroy(mongoc_apm_callbacks_t *callbacks) {
        free(callbacks);
}

void mongoc_apm_set_server_changed_cb(mongoc_apm_callbacks_t *callbacks, mongoc_apm_server_changed_cb_t changed) {
        callbacks->changed = changed;
}

void *mongoc_apm_server_changed_get_context(const mongoc_apm_server_changed_t *event) {
        return event->context;
}

const mongoc_server_description_t *mongoc_apm_server_changed_get_new_description(
        const mongoc_apm_server_changed_t *event) {
        return &event->now;
}

const mongoc_server_description_t *mongoc_apm_server_changed_get_previous_description(
        const mongoc_apm_server_changed_t *event) {
        return &event->before;
}

const char *mongoc_server_description_type(const mongoc_server_description_t *description) {
        return description->type;
}

/* ---- the pool, and what its monitor sees ---- */

static void tell(mongoc_client_pool_t *pool, const char *before, const char *now) {
        const mongoc_apm_server_changed_t event = { pool->context, { before }, { now } };

        if (pool->changed)
                pool->changed(&event);
}

/* The monitor looks again. */
static void on_monitor(void *subject, uint64_t number) {
        mongoc_client_pool_t *pool = subject;

        pool->looking = false;
        if (pool->destroyed)
                return free(pool);
        if (!pool->lost)
                return;
        pool->lost = false;
        world_count("mongo seen again");
        tell(pool, "Unknown", "RSPrimary");
}

static void lose(mongoc_client_pool_t *pool) {
        if (pool->lost)
                return;
        pool->lost = true;
        tell(pool, "RSPrimary", "Unknown");
        if (!pool->looking)
                world_in(draw_skewed(&world->chance, USEC_PER_MINUTE), on_monitor, pool, 0, world->life);
        pool->looking = true;
}

mongoc_client_pool_t *mongoc_client_pool_new_with_error(const mongoc_uri_t *uri, bson_error_t *error) {
        mongoc_client_pool_t *pool = calloc(1, sizeof(mongoc_client_pool_t));

        if (pool)
                pool->client.pool = pool;
        return pool;
}

void mongoc_client_pool_destroy(mongoc_client_pool_t *pool) {
        pool->changed = NULL;
        pool->destroyed = true;
        if (!pool->looking)
                free(pool);
}

bool mongoc_client_pool_set_apm_callbacks(
        mongoc_client_pool_t *pool, mongoc_apm_callbacks_t *callbacks, void *context) {
        pool->changed = callbacks->changed;
        pool->context = context;
        return true;
}

bool mongoc_client_pool_set_error_api(mongoc_client_pool_t *pool, int32_t version) {
        return true;
}

void mongoc_client_pool_max_size(mongoc_client_pool_t *pool, uint32_t size) {}

mongoc_client_t *mongoc_client_pool_pop(mongoc_client_pool_t *pool) {
        return &pool->client;
}

void mongoc_client_pool_push(mongoc_client_pool_t *pool, mongoc_client_t *client) {}

mongoc_collection_t *mongoc_client_get_collection(mongoc_client_t *client, const char *database, const char *name) {
        mongoc_collection_t *collection = calloc(1, sizeof(mongoc_collection_t));

        if (!collection)
                abort();
        *collection = (mongoc_collection_t){ client->pool, mongo_store_collection(name) };
        return collection;
}

void mongoc_collection_set_write_concern(mongoc_collection_t *collection, const mongoc_write_concern_t *concern) {
        bson_t options = BSON_INITIALIZER;
        bson_iter_t iter, found;

        if (!mongoc_write_concern_append((mongoc_write_concern_t *) concern, &options) ||
                !bson_iter_init(&iter, &options) || !bson_iter_find_descendant(&iter, "writeConcern.w", &found) ||
                !BSON_ITER_HOLDS_UTF8(&found) || strcmp(bson_iter_utf8(&found, NULL), "majority") != 0)
                world_fail("the write concern is not that of a majority");
        bson_destroy(&options);
}

void mongoc_collection_destroy(mongoc_collection_t *collection) {
        free(collection);
}

/* ---- what becomes of a command ---- */

static void set_error(bson_error_t *error, uint32_t domain, uint32_t code, const char *text) {
        bson_set_error(error, domain, code, "%s", text);
}

/* Errors that meet the command as a whole, before it was carried out or after. False: it went well. */
static bool fails(mongoc_client_pool_t *pool, Fault fault, bson_t *reply, bson_error_t *error) {
        static const uint32_t busy[] = { 10107, 189, 91, 11600, 11602, 13435 };

        switch (fault) {
        case FAULT_UNREACHABLE:
        case FAULT_TLS:
                world->ahead += SELECTION_TIMEOUT;
                set_error(error, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE, "no server");
                break;
        case FAULT_LOST:
        case FAULT_UNANSWERED:
                world->ahead += SOCKET_TIMEOUT;
                set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "socket timeout");
                break;
        case FAULT_CUT_EARLY:
        case FAULT_CUT_LATE:
                world->ahead += draw_skewed(&world->chance, SOCKET_TIMEOUT);
                set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "connection reset");
                break;
        case FAULT_BUSY:
                world->ahead += draw_skewed(&world->chance, USEC_PER_SEC);
                set_error(error, MONGOC_ERROR_SERVER, busy[draw_below(&world->chance, 6)], "not primary");
                break;
        case FAULT_UNAUTHORIZED:
                set_error(error, MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, "authentication failed");
                break;
        case FAULT_DENIED:
                set_error(error, MONGOC_ERROR_SERVER, 13, "not authorized");
                break;
        case FAULT_MISSING:
                set_error(error, MONGOC_ERROR_SERVER, CODE_UNKNOWN, "the server is in a mood");
                break;
        default:
                return false;
        }
        if (error->domain == MONGOC_ERROR_STREAM || error->domain == MONGOC_ERROR_SERVER_SELECTION)
                lose(pool);
        (void) BSON_APPEND_INT32(reply, "code", (int32_t) error->code);
        return true;
}

static Fault begin(const char *what) {
        Fault fault = weather_fault(TARGET_MONGO);
        char door[64];

        (void) snprintf(door, sizeof(door), "mongo %s start", what);
        world_door(door);
        world->ahead += world_latency(20 * USEC_PER_MSEC);
        if (fault == FAULT_SLOW)
                world->ahead += draw_skewed(&world->chance, SOCKET_TIMEOUT - USEC_PER_SEC);
        return fault;
}

static void end(const char *what, bool ok, const bson_error_t *error) {
        char door[64];

        world_trace("mongo %s: %s", what, ok ? "ok" : error->message);
        (void) snprintf(door, sizeof(door), "mongo %s done", what);
        world_door(door);
}

static bool run_command(mongoc_client_pool_t *pool, const bson_t *command, bson_t *reply, bson_error_t *error) {
        bson_t local, cursor, batch;
        bool ok;

        if (!reply)
                reply = &local;
        bson_init(reply);
        ok = !fails(pool, begin("command"), reply, error);
        if (ok && bson_has_field(command, "listCollections")) {
                (void) BSON_APPEND_DOCUMENT_BEGIN(reply, "cursor", &cursor);
                (void) BSON_APPEND_ARRAY_BEGIN(&cursor, "firstBatch", &batch);
                (void) bson_append_array_end(&cursor, &batch);
                (void) bson_append_document_end(reply, &cursor);
        }
        (void) BSON_APPEND_INT32(reply, "ok", ok);
        end("command", ok, error);
        if (reply == &local)
                bson_destroy(&local);
        return ok;
}

bool mongoc_client_command_simple(mongoc_client_t *client, const char *database, const bson_t *command,
        const mongoc_read_prefs_t *prefs, bson_t *reply, bson_error_t *error) {
        return run_command(client->pool, command, reply, error);
}

bool mongoc_client_write_command_with_opts(mongoc_client_t *client, const char *database, const bson_t *command,
        const bson_t *options, bson_t *reply, bson_error_t *error) {
        return run_command(client->pool, command, reply, error);
}

/* ---- bulks ---- */

mongoc_bulk_operation_t *mongoc_collection_create_bulk_operation_with_opts(
        mongoc_collection_t *collection, const bson_t *options) {
        mongoc_bulk_operation_t *bulk = calloc(1, sizeof(mongoc_bulk_operation_t));

        if (!bulk)
                abort();
        bulk->collection = collection;
        return bulk;
}

bool mongoc_bulk_operation_insert_with_opts(
        mongoc_bulk_operation_t *bulk, const bson_t *document, const bson_t *options, bson_error_t *error) {
        if (bulk->n == bulk->allocated) {
                bulk->allocated = bulk->allocated > 0 ? bulk->allocated * 2 : 64;
                bulk->documents = reallocarray(bulk->documents, bulk->allocated, sizeof(bson_t *));
        }
        if (bulk->n == BULK_MAX)
                world_fail("a bulk of more than %d documents", BULK_MAX);
        bulk->documents[bulk->n++] = bson_copy(document);
        return true;
}

void mongoc_bulk_operation_destroy(mongoc_bulk_operation_t *bulk) {
        if (!bulk)
                return;
        for (size_t i = 0; i < bulk->n; i++)
                bson_destroy(bulk->documents[i]);
        free(bulk->documents);
        free(bulk);
}

static void append_error(bson_t *list, uint32_t number, size_t index, int32_t code, const char *text) {
        char buffer[16];
        const char *key;
        bson_t element;

        (void) bson_uint32_to_string(number, &key, buffer, sizeof(buffer));
        (void) bson_append_document_begin(list, key, -1, &element);
        (void) BSON_APPEND_INT32(&element, "index", (int32_t) index);
        (void) BSON_APPEND_INT32(&element, "code", code);
        (void) BSON_APPEND_UTF8(&element, "errmsg", text);
        (void) bson_append_document_end(list, &element);
}

/* The code that the server has for a document, whatever it is: 0 for none. */
static int32_t odd_code(Fault fault) {
        if (fault == FAULT_PORTAL && draw_below(&world->chance, 3) == 0)
                return CODE_UNKNOWN;
        if (fault == FAULT_PROXY && draw_below(&world->chance, 20) == 0)
                return 121;
        if (fault == FAULT_BROKEN_LATE && draw_below(&world->chance, 2) == 0)
                return 50;
        return 0;
}

/* Inserts each; the errors go into *list*. *known*: the majority will answer. Returns how many it inserted. One that is
 * left out without a word (FAULT_GARBLED) shows in that number alone. */
static int32_t insert_all(mongoc_bulk_operation_t *bulk, Fault fault, bool known, bson_t *list, bson_error_t *error) {
        size_t left_out = fault == FAULT_GARBLED ? draw_below(&world->chance, bulk->n) : SIZE_MAX;
        uint32_t n_errors = 0;
        int32_t inserted = 0;

        for (size_t i = 0; i < bulk->n; i++) {
                int32_t code;

                if (i == left_out)
                        continue;
                code = odd_code(fault);

                if (code == 0 && !mongo_store_insert(bulk->collection->collection, bulk->documents[i], known))
                        code = 11000;
                inserted += code == 0;
                if (code == 0)
                        continue;
                append_error(list, n_errors++, i, code, code == 11000 ? "E11000 duplicate key error" : "simulated");
                if (error->code == 0)
                        set_error(error, MONGOC_ERROR_SERVER, (uint32_t) code, "a document was refused");
        }
        return inserted;
}

/* The connection breaks in the middle: some of it was carried out, and nobody is told. */
static void insert_some(mongoc_bulk_operation_t *bulk) {
        size_t n = draw_below(&world->chance, bulk->n + 1);

        for (size_t i = 0; i < n; i++)
                (void) mongo_store_insert(bulk->collection->collection, bulk->documents[i], false);
}

static bool run_bulk(mongoc_bulk_operation_t *bulk, Fault fault, bson_t *reply, bson_error_t *error) {
        bool known = fault != FAULT_BROKEN;
        bson_t list;
        int32_t inserted;

        *error = (bson_error_t){};
        if (fault == FAULT_UNANSWERED || fault == FAULT_CUT_LATE)
                insert_some(bulk);
        if (fails(bulk->collection->pool, fault, reply, error))
                return false;
        (void) BSON_APPEND_ARRAY_BEGIN(reply, "writeErrors", &list);
        inserted = insert_all(bulk, fault, known, &list, error);
        (void) bson_append_array_end(reply, &list);
        (void) BSON_APPEND_INT32(reply, "nInserted", inserted);
        (void) BSON_APPEND_ARRAY_BEGIN(reply, "writeConcernErrors", &list);
        if (!known) {
                append_error(&list, 0, 0, 64, "waiting for replication timed out");
                world->ahead += draw_skewed(&world->chance, 10 * USEC_PER_SEC);
                if (error->code == 0)
                        set_error(error, MONGOC_ERROR_WRITE_CONCERN, 64, "waiting for replication timed out");
        }
        (void) bson_append_array_end(reply, &list);
        return error->code == 0;
}

uint32_t mongoc_bulk_operation_execute(mongoc_bulk_operation_t *bulk, bson_t *reply, bson_error_t *error) {
        Fault fault = begin("bulk");
        bool ok;

        bson_init(reply);
        ok = run_bulk(bulk, fault, reply, error);
        counts_add_n("mongo documents sent", bulk->n);
        end("bulk", ok, error);
        return ok;
}

/* ---- finding by _id ---- */

static bool is_majority_read(const bson_t *options) {
        bson_iter_t iter, level;

        return bson_iter_init(&iter, options) && bson_iter_find_descendant(&iter, "readConcern.level", &level) &&
               strcmp(bson_iter_utf8(&level, NULL), "majority") == 0;
}

mongoc_cursor_t *mongoc_collection_find_with_opts(mongoc_collection_t *collection, const bson_t *filter,
        const bson_t *options, const mongoc_read_prefs_t *prefs) {
        mongoc_cursor_t *cursor = calloc(1, sizeof(mongoc_cursor_t));
        bson_iter_t iter, list;
        bool ok;

        if (!cursor)
                abort();
        bson_copy_to(filter, &cursor->ids);
        bson_init(&cursor->reply);
        cursor->collection = collection->collection;
        cursor->local = !is_majority_read(options);
        ok = !fails(collection->pool, begin("find"), &cursor->reply, &cursor->error);
        if (!bson_iter_init(&iter, &cursor->ids) || !bson_iter_find_descendant(&iter, "_id.$in", &list) ||
                !bson_iter_recurse(&list, &cursor->next))
                world_fail("a find that the model does not know");
        end("find", ok, &cursor->error);
        return cursor;
}

bool mongoc_cursor_next(mongoc_cursor_t *cursor, const bson_t **document) {
        while (cursor->error.code == 0 && bson_iter_next(&cursor->next)) {
                const Document *found =
                        mongo_store_find(cursor->collection, bson_iter_utf8(&cursor->next, NULL), cursor->local);

                if (!found)
                        continue;
                (void) bson_init_static(&cursor->current, found->data, found->size);
                *document = &cursor->current;
                return true;
        }
        return false;
}

bool mongoc_cursor_error(mongoc_cursor_t *cursor, bson_error_t *error) {
        *error = cursor->error;
        return cursor->error.code != 0;
}

bool mongoc_cursor_error_document(mongoc_cursor_t *cursor, bson_error_t *error, const bson_t **reply) {
        *error = cursor->error;
        *reply = &cursor->reply;
        return cursor->error.code != 0;
}

void mongoc_cursor_destroy(mongoc_cursor_t *cursor) {
        bson_destroy(&cursor->ids);
        bson_destroy(&cursor->reply);
        free(cursor);
}
