/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A message as a BSON document, by the rules of docs/DELIVERY.md ("The document"); pure, and called on the sink's
 * thread. */

#include <mongoc/mongoc.h>

#include "lib/clock.h"
#include "pubsub/wire.h"
#include "sinks/document-reason.h"
#include "subscribe/payload.h"

/* "not_json", "id_conflict", ...: the words are part of the interface (`reason` in the rejected collection). */
const char *document_reason(DocumentReason reason);

typedef struct DocumentRules {
        const char *subscription; /* full name */
        const char *id_attribute;
        char **date_fields; /* NULL at the end */
        PayloadFormat payload;
} DocumentRules;

/* What a document is made of. */
typedef struct DocumentInput {
        const WireMessage *message;
        const DocumentRules *rules;
        usec_t at;       /* wall time: `stored_at`, `rejected_at` */
        bool id_by_time; /* SUBSCRIPTION:MESSAGE_ID is taken by a message of another time: `@` and the publish time
                            behind it */
} DocumentInput;

#define DOCUMENT_ID_MAX 1024     /* a longer id attribute is not used: servers before 4.2 refuse to index it */
#define DOCUMENT_DETAIL_SIZE 512 /* what is wrong and where, or the server's words */

/* What `_id` the message gets: the id attribute when it is there, not empty, UTF-8 and at most DOCUMENT_ID_MAX bytes,
 * else the fallback SUBSCRIPTION:MESSAGE_ID. *ret* points into the message or into *scratch*, which is overwritten.
 * DOCUMENT_ID_GIVEN, DOCUMENT_ID_FALLBACK, -ENOMEM. */
enum { DOCUMENT_ID_GIVEN = 0, DOCUMENT_ID_FALLBACK = 1 };
int document_id(const DocumentInput *input, Bytes *scratch, Slice *ret);

/* Builds the document into *document*, which is initialised and empty, and may be left half-built on a rejection:
 * bson_reinit() makes it new. DOCUMENT_OK, or a reason (> 0) with *detail*, printable, or -ENOMEM. */
int document_build(const DocumentInput *input, bson_t *document, char detail[static DOCUMENT_DETAIL_SIZE]);

/* The document for the rejected collection: _id = SUBSCRIPTION:MESSAGE_ID (or with its time), reason, detail, data (raw
 * bytes), pubsub, rejected_at. Always possible: attributes whose names would have to be changed to be fields, or that
 * are not UTF-8, are kept as a list of {name, value} instead. -ENOMEM. */
int document_build_rejected(const DocumentInput *input, const char *reason, const char *detail, bson_t *document);
/* Its `_id`, in *scratch*. -ENOMEM. */
int document_rejected_id(const DocumentInput *input, Bytes *scratch, Slice *ret);

/* Whether two documents carry the same payload: the same `pubsub.sha256`, whatever became of the fields since. Where
 * one has no hash (0.1.0 wrote none): equal but for `stored_at` and `pubsub` at the top level. */
bool document_same_payload(const bson_t *stored, const bson_t *document);

/* Whether two rejected documents carry the same bytes. */
bool document_same_data(const bson_t *stored, const bson_t *document);

/* Whether *stored* was made of a message that was published at the same time as that of *document*. */
bool document_same_time(const bson_t *stored, const bson_t *document);

/* Stands *ret* on what is at *path*: "pubsub.attributes". */
static inline bool document_find(const bson_t *document, const char *path, bson_iter_t *ret) {
        bson_iter_t iter;

        return bson_iter_init(&iter, document) && bson_iter_find_descendant(&iter, path, ret);
}

/* The text there, with a NUL behind it; "" where there is none. */
static inline Slice document_text(const bson_t *document, const char *path) {
        bson_iter_t found;
        const char *text;
        uint32_t size;

        if (!document_find(document, path, &found) || !BSON_ITER_HOLDS_UTF8(&found))
                return (Slice){ "", 0 };
        text = bson_iter_utf8(&found, &size);
        return (Slice){ text, size };
}

/* ---- document-json.c ---- */

/* Appends the document to *ret* as JSON, without blanks or a line break: `_id` first, every text as it came, numbers as
 * short as they can be written to be read as the same, `stored_at` and `pubsub.publish_time` RFC 3339 UTC with
 * milliseconds. The rules have no date_fields. *document* is scratch space, initialised by the caller and used again
 * for the next message; it holds the document afterwards. DOCUMENT_OK, or a reason (> 0) with *detail*, or -ENOMEM;
 * *ret* is as it was then. */
int document_json(const DocumentInput *input, bson_t *document, Bytes *ret, char detail[static DOCUMENT_DETAIL_SIZE]);
/* The document's `pubsub.sha256`, borrowed; "" when it has none. */
const char *document_json_hash(const bson_t *document);

/* ---- document-number.c ---- */

/* JSON numbers as MongoDB gets them; pure, and the same in every locale. */

enum {
        DOCUMENT_NUMBER_DOUBLE = 0,
        DOCUMENT_NUMBER_INT64 = 1,        /* an integer beyond 2^53, where doubles have gaps */
        DOCUMENT_NUMBER_OUT_OF_RANGE = 2, /* an integer beyond int64, or a number beyond the largest double */
};

/* Reads *text*, a number by RFC 8259's grammar; *integer*: it has neither fraction nor exponent. Doubles are the
 * nearest to what is written, so that what is too small for one becomes 0, and `-0` keeps its sign. Writes the result
 * that the outcome names. -ENOMEM. */
int document_number_read(Slice text, bool integer, double *ret_double, int64_t *ret_int64);
