/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What MongoDB's answers mean; pure. The driver's truth about a bulk is in three places (its error, writeErrors,
 * writeConcernErrors), and none alone is enough. */

#include <mongoc/mongoc.h>
#include <stdbool.h>
#include <stddef.h>

/* What is wrong with the remote, as far as all messages alike are concerned. */
typedef enum MongodbFault {
        MONGODB_FAULT_NONE = 0,
        MONGODB_FAULT_UNREACHABLE,   /* no server, or the connection broke: nothing is known of what was sent */
        MONGODB_FAULT_BUSY,          /* it answers that it cannot now: no primary, shutting down, overloaded, locked */
        MONGODB_FAULT_WRITE_CONCERN, /* written, but a majority does not have it on disk */
        MONGODB_FAULT_DISK_FULL,
        MONGODB_FAULT_LOGIN,     /* user or password are refused */
        MONGODB_FAULT_FORBIDDEN, /* the user lacks a privilege */
        MONGODB_FAULT_SETTINGS,  /* something else that only a person can change */
        MONGODB_FAULT_LOCAL,     /* this process is out of memory */
        MONGODB_FAULT_STRANGE,   /* the command as a whole failed with a code that says neither */
        MONGODB_FAULT_POISON, /* a document in it made the command as a whole fail: to be halved, until it is alone */
} MongodbFault;

/* A word for logs and tests: "unreachable", "login", ... */
const char *mongodb_fault_name(MongodbFault fault);
/* What the reader of a log can do about it. */
const char *mongodb_fault_remedy(MongodbFault fault);
/* Only a person can end it: trying often does not help, and locks accounts. */
bool mongodb_fault_is_config(MongodbFault fault);

/* What became of one document of a bulk. */
typedef enum MongodbVerdict {
        MONGODB_UNKNOWN = 0, /* nothing may be concluded: to be sent again under the same _id */
        MONGODB_STORED,      /* durable under the write concern */
        MONGODB_DUPLICATE,   /* its _id exists already: to be compared with what is stored */
        MONGODB_REFUSED,     /* never to be accepted as it is */
        MONGODB_LATER,       /* not stored, for a reason that is not the document's: to be sent again */
        MONGODB_ODD, /* refused with a code that says neither "never" nor "later": to be tried alone, a few times */
} MongodbVerdict;

/* Judges the answer to an unordered bulk insert of *n* documents: what mongoc_bulk_operation_execute() returned (as a
 * boolean), its reply and its error. Fills *verdicts*. Other faults than NONE may come with verdicts that hold (some
 * stored, the disk full for the rest); MONGODB_FAULT_NONE with verdicts UNKNOWN means: send those again. */
MongodbFault mongodb_reply_judge(
        bool ok, const bson_t *reply, const bson_error_t *error, MongodbVerdict *verdicts, size_t n);

/* The fault of any other command that failed. Never MONGODB_FAULT_NONE. *reply* may be NULL. */
MongodbFault mongodb_reply_fault(const bson_t *reply, const bson_error_t *error);

/* The server has majority reads switched off. */
bool mongodb_reply_lacks_majority_reads(const bson_error_t *error);

/* What the server says of document *index* of the bulk: message, code, and why its validator refused it. Falls back on
 * *error*. Printable UTF-8. */
void mongodb_reply_describe(const bson_t *reply, const bson_error_t *error, size_t index, char *text, size_t size);

/* The same of the command as a whole: what kept its documents from being settled. */
void mongodb_reply_describe_fault(const bson_t *reply, const bson_error_t *error, char *text, size_t size);
void mongodb_reply_describe_error(const bson_error_t *error, char *text, size_t size);
