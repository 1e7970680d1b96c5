/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The connection string as the driver takes it, with what sensorqd sets itself. */

#include <mongoc/mongoc.h>

#include "sinks/mongodb-config.h"

/* Time limits in milliseconds; a smaller value in the uri wins. The driver's own defaults (30 s, 10 s, 5 min) would
 * hold up a stop. */
#define MONGODB_SELECTION_MSEC 5000
#define MONGODB_CONNECT_MSEC 5000
/* more than the write concern's, so that the server answers before the driver gives up */
#define MONGODB_SOCKET_MSEC 15000
#define MONGODB_HEARTBEAT_MSEC 5000
#define MONGODB_WRITE_CONCERN_MSEC 10000

/* Reads config->uri, which the configuration has checked, sets time limits, appName, retryable writes and the password.
 * -EBADMSG with a sentence in *problem* for what only a user can mend; no secret is in it. Nothing is looked up or
 * connected to. */
int mongodb_uri_new(
        const MongodbConfig *config, const char *secret, mongoc_uri_t **ret, char *problem, size_t problem_size);

/* majority, journal, MONGODB_WRITE_CONCERN_MSEC (P3). The caller destroys it. */
mongoc_write_concern_t *mongodb_write_concern_new(void);
