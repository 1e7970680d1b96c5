/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What MongoDB's answers mean; pure. The driver's truth about a bulk is in three places (its error, writeErrors,
 * writeConcernErrors), and none alone is enough. The codes and the words are in mongodb-codes.c. */

#include <mongoc/mongoc.h>
#include <stdbool.h>
#include <stddef.h>

#include "cause.h"

/* What is wrong with the remote, as far as all messages alike are concerned. */
typedef enum MongodbFault {
        MONGODB_FAULT_NONE = 0,
        MONGODB_FAULT_UNREACHABLE,   /* no server, or the connection broke: nothing is known of what was sent */
        MONGODB_FAULT_BUSY,          /* it answers that it cannot now: no primary, shutting down, overloaded, locked */
        MONGODB_FAULT_WRITE_CONCERN, /* written, but a majority does not have it on disk */
        MONGODB_FAULT_DISK_FULL,
        MONGODB_FAULT_LOGIN,     /* user or password are refused */
        MONGODB_FAULT_FORBIDDEN, /* the user lacks a privilege */
        MONGODB_FAULT_QUOTA,     /* the plan's space or number of collections is used up */
        MONGODB_FAULT_TARGET,    /* a collection that cannot keep _id unique */
        MONGODB_FAULT_SETTINGS,  /* something else that only a person can change */
        MONGODB_FAULT_LOCAL,     /* this process is out of memory */
        MONGODB_FAULT_REFUSED,   /* the command as a whole was refused with a code that says none of this */
} MongodbFault;

/* What is said of a fault. */
typedef struct MongodbWords {
        const char *name;   /* for logs and tests: "unreachable", "login", ... */
        const char *words;  /* behind "MongoDB": "cannot be reached" */
        const char *remedy; /* what the reader can do */
        Cause cause;
        bool lasting; /* only a person can end it: trying often does not help, and locks accounts */
} MongodbWords;

/* Static; of any fault, NONE as well. */
const MongodbWords *mongodb_fault_words(MongodbFault fault);

/* Whom a code of the server speaks of. */
typedef enum MongodbKind {
        MONGODB_KIND_OTHER = 0, /* it does not say */
        MONGODB_KIND_DUPLICATE, /* something with this _id, or in another unique index, is there */
        MONGODB_KIND_DOCUMENT,  /* of the document, in writeErrors; of nothing where a whole command fails */
        MONGODB_KIND_FAULT,     /* of the server, its settings or this user: never of the document */
} MongodbKind;

#define MONGODB_CODE_DUPLICATE 11000
#define MONGODB_CODE_NO_MAJORITY_READS 148

/* By its number; where that is not known by *name* (the server's codeName, may be ""); Atlas has one number for
 * everything, where *message* decides. *ret_fault* is written for MONGODB_KIND_FAULT. */
MongodbKind mongodb_code_kind(int64_t code, const char *name, const char *message, MongodbFault *ret_fault);

/* What became of one document of a bulk. */
typedef enum MongodbVerdict {
        MONGODB_UNKNOWN = 0, /* nothing may be concluded: to be sent again under the same _id */
        MONGODB_STORED,      /* durable under the write concern */
        MONGODB_DUPLICATE,   /* a unique index has it: to be compared with what is stored under its _id */
        MONGODB_ABOUT,       /* refused with a code that speaks of the document */
        MONGODB_OTHER,       /* refused with a code that does not say whose fault it is */
        MONGODB_LATER,       /* not stored, for a reason that is the server's: to be sent again */
} MongodbVerdict;

typedef struct MongodbJudgement {
        MongodbVerdict verdict;
        int code;    /* of all but STORED and UNKNOWN */
        bool alone;  /* it was alone in its command */
        bool proven; /* another was stored by the same command */
} MongodbJudgement;

/* Judges the answer to an unordered bulk insert of *n* documents: what mongoc_bulk_operation_execute() returned (as a
 * boolean), its reply and its error. Fills *judgements*. Other faults than NONE may come with verdicts that hold (some
 * stored, the disk full for the rest); MONGODB_FAULT_NONE with verdicts UNKNOWN means: send those again. */
MongodbFault mongodb_reply_judge(
        bool ok, const bson_t *reply, const bson_error_t *error, MongodbJudgement *judgements, size_t n);

/* The list at *path*, from which *ret* then reads. False when there is none or it is empty. *reply* may be NULL. */
bool mongodb_reply_list(const bson_t *reply, const char *path, bson_iter_t *ret);
/* A text of the document that *element* stands on; *fallback* when it has none there. */
const char *mongodb_reply_text(const bson_iter_t *element, const char *key, const char *fallback);

/* The fault of any other command that failed. Never MONGODB_FAULT_NONE. *reply* may be NULL. */
MongodbFault mongodb_reply_fault(const bson_t *reply, const bson_error_t *error);

/* What the server says of document *index* of the bulk: message, code, and why its validator refused it. Falls back on
 * *error*. Printable UTF-8. */
void mongodb_reply_describe(const bson_t *reply, const bson_error_t *error, size_t index, char *text, size_t size);

/* The same of the command as a whole: what kept its documents from being settled. */
void mongodb_reply_describe_fault(const bson_t *reply, const bson_error_t *error, char *text, size_t size);
void mongodb_reply_describe_error(const bson_error_t *error, char *text, size_t size);
