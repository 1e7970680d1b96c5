/* SPDX-License-Identifier: Apache-2.0 */
/* Dies before or after a bulk of readings, or of rejected ones, is written. */

#include <mongoc/mongoc.h>
#include <string.h>

#include "crash.h"

DOOR(mongoc_bulk_operation_execute);
DOOR(mongoc_collection_create_bulk_operation_with_opts);

static _Thread_local const mongoc_bulk_operation_t *mongodb_rejecting;

mongoc_bulk_operation_t *__wrap_mongoc_collection_create_bulk_operation_with_opts(
        mongoc_collection_t *collection, const bson_t *options) {
        mongoc_bulk_operation_t *operation =
                __real_mongoc_collection_create_bulk_operation_with_opts(collection, options);

        if (strstr(mongoc_collection_get_name(collection), "rejected"))
                mongodb_rejecting = operation;
        return operation;
}

uint32_t __wrap_mongoc_bulk_operation_execute(mongoc_bulk_operation_t *operation, bson_t *reply, bson_error_t *error) {
        const char *done = operation == mongodb_rejecting ? "sink-rejected-written" : "sink-bulk-done";
        uint32_t r;

        crash_pass("sink-mid-bulk");
        mongodb_rejecting = NULL;
        r = __real_mongoc_bulk_operation_execute(operation, reply, error);
        crash_pass(done);
        return r;
}
