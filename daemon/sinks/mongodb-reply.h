/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The meaning of MongoDB's answers; pure. The driver reports the result of a bulk in three places (its error,
 * writeErrors, writeConcernErrors), and none alone is enough. */

#include <mongoc/mongoc.h>
#include <stdbool.h>
#include <stddef.h>

#include "subscribe/sink-type.h"
#include "trouble.h"

/* A fault of the remote that concerns all messages. */
typedef enum MongodbFault {
        MONGODB_FAULT_NONE = 0,
        MONGODB_FAULT_UNREACHABLE,   /* no server, or the connection was lost: the fate of what was sent is unknown */
        MONGODB_FAULT_BUSY,          /* the server cannot do it now: no primary, shutting down, overloaded, locked */
        MONGODB_FAULT_WRITE_CONCERN, /* written, but a majority does not have it on disk */
        MONGODB_FAULT_DISK_FULL,
        MONGODB_FAULT_LOGIN,     /* user or password are refused */
        MONGODB_FAULT_FORBIDDEN, /* the user lacks a privilege */
        MONGODB_FAULT_QUOTA,     /* the plan's space or number of collections is used up */
        MONGODB_FAULT_TARGET,    /* a collection that cannot keep _id unique */
        MONGODB_FAULT_SETTINGS,  /* something else that only a person can change */
        MONGODB_FAULT_LOCAL,     /* this process is short of memory, descriptors or threads */
        MONGODB_FAULT_REFUSED,   /* the whole command was refused with a code that means none of the above */
} MongodbFault;

/* The words for a fault. */
typedef struct MongodbWords {
        const char *name;   /* for logs and tests: "unreachable", "login", ... */
        const char *words;  /* to follow "MongoDB": "cannot be reached" */
        const char *remedy; /* what the reader can do */
        Cause cause;
        bool lasting; /* only a person can end it; many tries may lock an account */
} MongodbWords;

/* Returns the words for any fault, also for NONE. Static. */
const MongodbWords *mongodb_fault_words(MongodbFault fault);

/* What a code of the server is about. */
typedef enum MongodbKind {
        MONGODB_KIND_OTHER = 0, /* unknown */
        MONGODB_KIND_DUPLICATE, /* a document with this _id, or with the same value in a unique index, exists */
        MONGODB_KIND_DOCUMENT,  /* the document, in writeErrors; nothing when a whole command fails */
        MONGODB_KIND_FAULT,     /* the server, its settings or this user; never the document */
} MongodbKind;

#define MONGODB_CODE_DUPLICATE 11000
#define MONGODB_CODE_NO_MAJORITY_READS 148

/* Returns the kind of a code: by its number; for an unknown number by *name* (the server's codeName, may be ""); for
 * the single number of Atlas by *message*. *ret_fault* is written for MONGODB_KIND_FAULT. */
MongodbKind mongodb_code_kind(int64_t code, const char *name, const char *message, MongodbFault *ret_fault);

/* The result for one document of a bulk. */
typedef struct MongodbJudgement {
        SinkVerdict verdict; /* DUPLICATE: a unique index has its value: compare it with what is stored under its _id */
        bool about_document; /* REFUSED: by its code, the document is at fault */
        int code;            /* the server's code; not for STORED and PENDING */
        bool alone;          /* it was alone in its command */
        bool proven;         /* another one was stored by the same command */
} MongodbJudgement;

/* Judges the answer to an unordered bulk insert of *n* documents: the result of mongoc_bulk_operation_execute() as a
 * boolean, its reply and its error. Fills *judgements*. With a fault, some verdicts may still be final (some stored,
 * the disk full for the rest). PENDING without a fault means: send those again. */
MongodbFault mongodb_reply_judge(
        bool ok, const bson_t *reply, const bson_error_t *error, MongodbJudgement *judgements, size_t n);

/* Sets *ret* on the list at *path*. Returns false when there is none or it is empty. *reply* may be NULL. */
bool mongodb_reply_list(const bson_t *reply, const char *path, bson_iter_t *ret);
/* Returns a text member of the document at *element*, or *fallback*. */
const char *mongodb_reply_text(const bson_iter_t *element, const char *key, const char *fallback);

/* Returns the fault of any other command that failed, never MONGODB_FAULT_NONE. *reply* may be NULL. */
MongodbFault mongodb_reply_fault(const bson_t *reply, const bson_error_t *error);

/* Writes what the server says of document *index* of the bulk: message, code, and why its validator refused it. Without
 * that it uses *error*. Printable UTF-8; *size* > 0. */
void mongodb_reply_describe(const bson_t *reply, const bson_error_t *error, size_t index, char *text, size_t size);

/* The same for the whole command: why its documents are not settled. *host* as below. */
void mongodb_reply_describe_fault(
        const bson_t *reply, const bson_error_t *error, const char *host, char *text, size_t size);
/* The same for any error. *host* (may be NULL) is named where no server was found and *error* names none. */
void mongodb_reply_describe_error(const bson_error_t *error, const char *host, char *text, size_t size);
