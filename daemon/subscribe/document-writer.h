/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes nested BSON under the rules for every document that sensorqd stores: which names are allowed, no name twice in one object, a limit
 * on size. Nothing is allocated for a small document but the buffer of the bson_t itself. A plain value of about 24 KiB; used by document.c
 * only.
 *
 * Every call answers DOCUMENT_OK, DOCUMENT_TOO_LARGE, DOCUMENT_DUPLICATE_KEY or -ENOMEM; after anything else than DOCUMENT_OK only
 * document_writer_done() is allowed. */

#include "subscribe/document.h"

#define DOCUMENT_WRITER_NAMES 14 /* objects up to here are checked name by name as they grow, larger ones when they are closed */

typedef struct DocumentWriterName {
        uint32_t offset; /* in the whole document's bytes */
        uint32_t hash;
} DocumentWriterName;

typedef struct DocumentWriterLevel {
        bson_t bson;   /* unused on level 0, which is the caller's */
        uint32_t base; /* where it begins in the whole document's bytes */
        uint32_t n;    /* members so far */
        bool array;
        DocumentWriterName names[DOCUMENT_WRITER_NAMES];
} DocumentWriterLevel;

typedef struct DocumentWriter {
        bson_t *document;
        unsigned level;
        size_t size; /* never less than what the BSON takes when everything open is closed */
        Slice key;   /* of the next value: borrowed from the caller, or in scratch or index */
        uint32_t key_hash;
        Bytes scratch;  /* a key that had to be changed */
        char index[16]; /* the key of an array's element */
        DocumentWriterLevel levels[DOCUMENT_DEPTH_MAX];
} DocumentWriter;

/* *document* is initialised and empty. */
void document_writer_init(DocumentWriter *w, bson_t *document);
/* Closes what is still open: the document may be half-built, but bson_reinit() makes it new. */
void document_writer_done(DocumentWriter *w);

/* Names the next value; inside an object only, before each value. *name* must stay until that value is written. On level 0 the names that
 * belong to sensorqd
 * (_id, pubsub, stored_at) are changed as well. */
int document_writer_name(DocumentWriter *w, Slice name);

/* The same for sensorqd's own fields: as it is, and unique by the caller's word. *name* is a constant. */
void document_writer_own_name(DocumentWriter *w, const char *name);

/* The value may be an object or array of its own, until document_writer_close(). At most DOCUMENT_DEPTH_MAX levels. */
int document_writer_open(DocumentWriter *w, bool array);
/* On level 0: checks the names only, the document stays open. */
int document_writer_close(DocumentWriter *w);

int document_writer_string(DocumentWriter *w, Slice text); /* UTF-8 */
int document_writer_date(DocumentWriter *w, int64_t msec);
int document_writer_double(DocumentWriter *w, double value);
int document_writer_int64(DocumentWriter *w, int64_t value);
int document_writer_bool(DocumentWriter *w, bool value);
int document_writer_null(DocumentWriter *w);

/* The name as it is stored: empty -> `_`; a leading `$`, every `.` and every NUL -> `_`. *ret* is *name* itself when nothing changes, else
 * in *scratch*. */
int document_key(Slice name, Bytes *scratch, Slice *ret);
