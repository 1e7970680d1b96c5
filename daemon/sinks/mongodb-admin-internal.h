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

/* An integer of *reply* whatever its type, or *fallback*. */
int64_t mongodb_admin_number(const bson_t *reply, const char *key, int64_t fallback);
