/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by mongodb-admin.c and mongodb-admin-rejected.c only. */

#include "sinks/mongodb-admin.h"
#include "sinks/mongodb-client.h"

struct MongodbAdmin {
        MongodbClient *client;
};

/* Writes "what went wrong; what to do". Returns MONGODB_ADMIN_FAILED. */
int mongodb_admin_failed(MongodbAdminDetail *detail, MongodbFault fault, const char *text);

/* A write command under the daemon's write concern. *reply* is set up in any case and the caller's to destroy; *code*
 * is the server's, 0 when it was none. Errors of single statements count as well. */
MongodbFault mongodb_admin_write_command(
        MongodbAdmin *admin, const bson_t *command, bson_t *reply, uint32_t *code, char *text, size_t size);

/* An integer of *reply* whatever its type, or *fallback*. */
int64_t mongodb_admin_number(const bson_t *reply, const char *key, int64_t fallback);
