/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A message as a BSON document, by the rules of DESIGN.md section 3.4; pure, and called on the sink's thread. */

#include <mongoc/mongoc.h>

#include "lib/clock.h"
#include "pubsub/wire.h"

#define DOCUMENT_DEPTH_MAX 90                /* mongod refuses about 100 levels */
#define DOCUMENT_SIZE_MAX (15 * 1024 * 1024) /* BSON; below mongod's 16 MiB, with room for the command */

/* Why a message can never be stored; the words are part of the interface (`reason` in the rejected collection). */
typedef enum DocumentReason {
        DOCUMENT_OK = 0,
        DOCUMENT_NOT_BASE64,
        DOCUMENT_NOT_UTF8,
        DOCUMENT_NOT_JSON,
        DOCUMENT_NOT_OBJECT,
        DOCUMENT_TOO_DEEP,
        DOCUMENT_TOO_LARGE,
        DOCUMENT_DUPLICATE_KEY,
        DOCUMENT_NUMBER_RANGE,
        DOCUMENT_REFUSED,     /* by MongoDB, for good */
        DOCUMENT_ID_CONFLICT, /* its _id is taken by a different payload */
} DocumentReason;

/* "not_json", "id_conflict", ... */
const char *document_reason(DocumentReason reason);

typedef struct DocumentRules {
        const char *subscription; /* full name */
        const char *id_attribute;
        char **date_fields; /* NULL at the end */
} DocumentRules;

#define DOCUMENT_ID_MAX 1024 /* a longer id attribute is not used: servers before 4.2 refuse to index it */

/* What `_id` the message gets: the id attribute when it is there, not empty, UTF-8 and at most DOCUMENT_ID_MAX bytes,
 * else SUBSCRIPTION:MESSAGE_ID. *ret* points into the message or into *scratch*, which is overwritten. -ENOMEM. */
int document_id(const WireMessage *message, const DocumentRules *rules, Bytes *scratch, Slice *ret);

/* Builds the document into *document*, which is initialised and empty, and may be left half-built on a rejection:
 * bson_reinit() makes it new. DOCUMENT_OK, or a reason (> 0) with *detail* (what and where, printable, at most
 * *detail_size*), or -ENOMEM. *stored_at* is wall time. */
int document_build(const WireMessage *message, const DocumentRules *rules, usec_t stored_at, bson_t *document,
        char *detail, size_t detail_size);

/* The document for the rejected collection: _id = SUBSCRIPTION:MESSAGE_ID, reason, detail, data (raw bytes), pubsub,
 * rejected_at. Always possible: attributes whose names would have to be changed to be fields, or that are not UTF-8,
 * are kept as a list of {name, value} instead. -ENOMEM. */
int document_build_rejected(const WireMessage *message, const DocumentRules *rules, DocumentReason reason,
        const char *detail, usec_t rejected_at, bson_t *document);

/* Whether two documents carry the same payload: equal but for `stored_at` and `pubsub` at the top level. */
bool document_same_payload(const bson_t *a, const bson_t *b);
