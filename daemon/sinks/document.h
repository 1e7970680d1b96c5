/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A message as a BSON document, by the rules of docs/DELIVERY.md ("The document"); pure, and called on the sink's
 * thread. */

#include <mongoc/mongoc.h>

#include "lib/clock.h"
#include "pubsub/wire.h"
#include "subscribe/payload.h"

#define DOCUMENT_DEPTH_MAX 90                /* mongod refuses about 100 levels */
#define DOCUMENT_SIZE_MAX (15 * 1024 * 1024) /* BSON; below mongod's 16 MiB, with room for the command */

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
        DOCUMENT_REFUSED,     /* by MongoDB, permanently */
        DOCUMENT_ID_CONFLICT, /* a document with another payload has its _id */
} DocumentReason;

/* Returns "not_json", "id_conflict", ...: the words are part of the interface (`reason` in the rejected collection). */
const char *document_reason(DocumentReason reason);

typedef struct DocumentRules {
        const char *subscription; /* full name */
        const char *id_attribute;
        char **date_fields; /* NULL at the end */
        PayloadFormat payload;
} DocumentRules;

/* The input of a document. */
typedef struct DocumentInput {
        const WireMessage *message;
        const DocumentRules *rules;
        usec_t at;       /* wall time: `stored_at`, `rejected_at` */
        bool id_by_time; /* SUBSCRIPTION:MESSAGE_ID belongs to a message of another time: append `@` and the publish
                            time */
} DocumentInput;

#define DOCUMENT_ID_MAX 1024     /* a longer id attribute is not used: servers before 4.2 refuse to index it */
#define DOCUMENT_DETAIL_SIZE 512 /* what is wrong and where, or the server's words */

/* Finds the `_id` of the message: the id attribute if it exists, is not empty, UTF-8 and at most DOCUMENT_ID_MAX bytes;
 * else the fallback SUBSCRIPTION:MESSAGE_ID. *ret* points into the message or into *scratch*, which is overwritten.
 * DOCUMENT_ID_GIVEN, DOCUMENT_ID_FALLBACK, -ENOMEM. */
enum { DOCUMENT_ID_GIVEN = 0, DOCUMENT_ID_FALLBACK = 1 };
int document_id(const DocumentInput *input, Bytes *scratch, Slice *ret);

/* Builds the document into *document*, which is initialised and empty, and is so again after a rejection. DOCUMENT_OK,
 * or a reason (> 0) with *detail*, printable, or -ENOMEM. */
int document_build(const DocumentInput *input, bson_t *document, char detail[static DOCUMENT_DETAIL_SIZE]);

/* Whether a name is stored unchanged. Otherwise an empty name, a leading `$`, each `.` and each NUL become `_`. */
bool document_key_is_plain(Slice name);
/* Appends the name as it is stored to *ret*, but with *width* `_` in place of each single one. */
int document_key_wide(Slice name, unsigned width, Bytes *ret);

/* Sets *ret* on the element at *path* ("pubsub.attributes"). Returns false when there is none. */
static inline bool document_find(const bson_t *document, const char *path, bson_iter_t *ret) {
        bson_iter_t iter;

        return bson_iter_init(&iter, document) && bson_iter_find_descendant(&iter, path, ret);
}

/* Returns the text at *path*, which a NUL follows; "" when there is none. */
static inline Slice document_text(const bson_t *document, const char *path) {
        bson_iter_t found;
        const char *text;
        uint32_t size;

        if (!document_find(document, path, &found) || !BSON_ITER_HOLDS_UTF8(&found))
                return (Slice){ "", 0 };
        text = bson_iter_utf8(&found, &size);
        return (Slice){ text, size };
}

/* Reads the date at *path*. Returns false when there is none. */
static inline bool document_date(const bson_t *document, const char *path, int64_t *ret_msec) {
        bson_iter_t found;

        if (!document_find(document, path, &found) || !BSON_ITER_HOLDS_DATE_TIME(&found))
                return false;
        *ret_msec = bson_iter_date_time(&found);
        return true;
}

/* Returns the number at *path*, which servers and proxies send as int32, int64 or double; or *fallback*. */
static inline int64_t document_number(const bson_t *document, const char *path, int64_t fallback) {
        bson_iter_t found;

        return document_find(document, path, &found) && BSON_ITER_HOLDS_NUMBER(&found) ? bson_iter_as_int64(&found)
                                                                                       : fallback;
}

/* ---- document-stored.c ---- */

/* The document for the rejected collection: _id = SUBSCRIPTION:MESSAGE_ID (or with its time), reason, detail, data (raw
 * bytes), pubsub, rejected_at. Always possible: when an attribute is not UTF-8, or its name cannot be a field
 * unchanged, the attributes become a list of {name, value}. -ENOMEM. */
int document_build_rejected(const DocumentInput *input, const char *reason, const char *detail, bson_t *document);
/* Makes its `_id` in *scratch*. -ENOMEM. */
int document_rejected_id(const DocumentInput *input, Bytes *scratch, Slice *ret);

/* Whether two documents have the same payload: the same `pubsub.sha256`, even if fields were changed since. When one
 * has no hash (0.1.0 wrote none), all fields but `stored_at` and `pubsub` must be equal. */
bool document_same_payload(const bson_t *stored, const bson_t *document);

/* Returns the data of a rejected document, borrowed; "" when it has none. */
Slice document_data(const bson_t *document);
/* Whether two rejected documents have the same data. */
bool document_same_data(const bson_t *stored, const bson_t *document);

/* Whether the messages of *stored* and *document* have the same publish time. */
bool document_same_time(const bson_t *stored, const bson_t *document);

/* Appends the document to *ret* as JSON without blanks or a line break: `_id` first, texts unchanged, numbers in the
 * shortest form that gives the same number, `stored_at` and `pubsub.publish_time` in RFC 3339, UTC, with milliseconds.
 * The rules have no date_fields. *document* is scratch space that the caller initialises and can use again; afterwards
 * it holds the document. DOCUMENT_OK; or a reason (> 0) with *detail*, or -ENOMEM, and *ret* is unchanged. */
int document_json(const DocumentInput *input, bson_t *document, Bytes *ret, char detail[static DOCUMENT_DETAIL_SIZE]);
/* Appends a stored document in the same form. -ENOMEM. */
int document_put_json(const bson_t *document, Bytes *ret);
