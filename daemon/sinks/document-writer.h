/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes nested BSON under the rules for every document that sensorqd stores: which names are allowed, no name twice in
 * one object, a limit on size. The bytes are put straight into the buffer of the bson_t: libbson's own appending costs
 * four times as much. Nothing else is allocated for a document whose names need no change. A plain value of about 12
 * KiB; used by document.c only.
 *
 * Every call answers DOCUMENT_OK, DOCUMENT_TOO_LARGE, DOCUMENT_DUPLICATE_KEY or -ENOMEM; after anything else than
 * DOCUMENT_OK only document_writer_done() is allowed. */

#include <mongoc/mongoc.h>

#include "lib/bytes.h"
#include "sinks/document-reason.h"

/* objects up to here are checked name by name as they grow, larger ones when they are closed */
#define DOCUMENT_WRITER_NAMES 14

typedef struct DocumentWriterName {
        uint32_t offset; /* in the whole document's bytes */
        uint32_t size;
} DocumentWriterName;

typedef struct DocumentWriterLevel {
        uint32_t begin; /* where its length stands in the whole document's bytes */
        uint32_t n;     /* members so far */
        bool array;
        DocumentWriterName names[DOCUMENT_WRITER_NAMES];
} DocumentWriterLevel;

typedef struct DocumentWriter {
        bson_t *document;
        char *data;             /* its buffer; NULL until something is written */
        size_t size, allocated; /* bytes written, without the NULs that close what is open; bytes there */
        unsigned level;
        Slice key;      /* of the next value: borrowed from the caller, or in scratch or index */
        Bytes scratch;  /* a key that had to be changed */
        char index[16]; /* the key of an array's element */
        DocumentWriterLevel levels[DOCUMENT_DEPTH_MAX];
} DocumentWriter;

/* *document* is initialised and empty. */
void document_writer_init(DocumentWriter *w, bson_t *document);
/* Closes what is still open: the document may be half-built, but it is BSON. */
void document_writer_done(DocumentWriter *w);

/* Names the next value; inside an object only, before each value. *name* must stay until that value is written. On
 * level 0 the names that belong to sensorqd
 * (_id, pubsub, stored_at) are changed as well. */
int document_writer_name(DocumentWriter *w, Slice name);

/* The same for sensorqd's own fields: as it is, and unique by the caller's word. *name* is a constant. */
void document_writer_own_name(DocumentWriter *w, const char *name);

/* The value may be an object or array of its own, until document_writer_close(). At most DOCUMENT_DEPTH_MAX levels. */
int document_writer_open(DocumentWriter *w, bool array);
/* On level 0: checks the names only, the document stays open. */
int document_writer_close(DocumentWriter *w);

/* A value under the name given before. *text* is UTF-8. */
int document_writer_string(DocumentWriter *w, Slice text);
/* *msec* since the epoch, UTC. */
int document_writer_date(DocumentWriter *w, int64_t msec);
int document_writer_double(DocumentWriter *w, double value);
int document_writer_int64(DocumentWriter *w, int64_t value);
int document_writer_bool(DocumentWriter *w, bool value);
int document_writer_null(DocumentWriter *w);

/* Whether a name is stored as it is. Else: empty -> `_`; a leading `$`, every `.` and every NUL -> `_`. */
bool document_key_is_plain(Slice name);
/* Appends the name as it is stored to *ret*, with *width* times `_` wherever one would stand. */
int document_key_wide(Slice name, unsigned width, Bytes *ret);
