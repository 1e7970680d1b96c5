/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the verbs check, setup and rejected ask of a subscription's MongoDB. Every call blocks, within the driver's time
 * limits (5 s to find a server, 15 s for an answer); never called on the daemon's loop.
 *
 * Calls that talk to MongoDB return MONGODB_ADMIN_OK or MONGODB_ADMIN_FAILED, with one printable line in *detail*
 * either way: what was found, or what went wrong and what to do. No secret is in it. Negative: -ENOMEM. */

#include "config.h"
#include "lib/bytes.h"
#include "sinks/document.h"

typedef struct MongodbAdmin MongodbAdmin;

enum { MONGODB_ADMIN_OK = 0, MONGODB_ADMIN_FAILED = 1 };

#define MONGODB_ADMIN_DETAIL_SIZE 768

typedef struct MongodbAdminDetail {
        char text[MONGODB_ADMIN_DETAIL_SIZE];
} MongodbAdminDetail;

/* One document of the rejected collection. Everything is borrowed and lives until the callback returns. */
typedef struct MongodbRejected {
        Slice id;     /* SUBSCRIPTION:MESSAGE_ID */
        Slice reason; /* a word of document_reason() */
        Slice detail;
        Slice data; /* the raw bytes as they came */
        Slice message_id;
        int64_t rejected_at;    /* milliseconds since the epoch */
        const char *attributes; /* as JSON text; "{}" when there are none */
} MongodbRejected;

/* -EBADMSG with *ret_detail* filled in when the uri is not acceptable. Connects to nothing yet. *secret* is not looked
 * at any more: the configuration has it. */
int mongodb_admin_open(
        const SubscriptionConfig *config, const char *secret, MongodbAdmin **ret, MongodbAdminDetail *ret_detail);
MongodbAdmin *mongodb_admin_close(MongodbAdmin *admin);
CLEANUP_DEFINE(MongodbAdmin, mongodb_admin_close)

/* Reaches a server that takes writes, and logs in. */
int mongodb_admin_check_login(MongodbAdmin *admin, MongodbAdminDetail *ret_detail);

/* Whether the user may insert and read what the daemon does, in both collections. Changes no data. */
int mongodb_admin_check_write(MongodbAdmin *admin, MongodbAdminDetail *ret_detail);

/* Creates the indexes that readers of sensor data use, where they are missing; says which differ, and leaves those. */
int mongodb_admin_create_indexes(MongodbAdmin *admin, MongodbAdminDetail *ret_detail);

/* Calls *each* for the rejected documents of this subscription, oldest first, until it returns false; *id* (NULL: all)
 * picks one. *ret_n* says how many there were. */
int mongodb_admin_each_rejected(MongodbAdmin *admin, const char *id,
        bool (*each)(void *userdata, const MongodbRejected *rejected), void *userdata, size_t *ret_n,
        MongodbAdminDetail *ret_detail);

/* Stores one rejected message by the rules of today, under its own message id and publish time, then deletes it from
 * the rejected collection; each step durable before the next, so that a repeated call is safe. MONGODB_ADMIN_FAILED
 * leaves it where it is. */
int mongodb_admin_replay(MongodbAdmin *admin, const char *id, MongodbAdminDetail *ret_detail);

/* Deletes one rejected document. */
int mongodb_admin_drop(MongodbAdmin *admin, const char *id, MongodbAdminDetail *ret_detail);
