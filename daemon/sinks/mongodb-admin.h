/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What `rejected` does with the rejected collection, for the table in mongodb-admin.c; *self* is a MongodbClient. As in
 * subscribe/sink-admin.h. */

#include "sinks/mongodb-client.h"
#include "subscribe/sink-admin.h"

/* Rows of this subscription, in the order of insertion. */
int mongodb_rejected_each(void *self, const SinkRejectedQuery *query, char text[static SINK_ADMIN_TEXT_MAX]);
/* As the daemon would store it now, under its own message id and publish time. */
int mongodb_rejected_replay(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);
/* Only a row of this subscription. */
int mongodb_rejected_drop(void *self, const char *id, char text[static SINK_ADMIN_TEXT_MAX]);

/* Writes "what went wrong: what to do". Returns SINK_ADMIN_FAILED. */
int mongodb_admin_failed(MongodbFault fault, const char *detail, char text[static SINK_ADMIN_TEXT_MAX]);
