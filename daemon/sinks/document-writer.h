/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writes nested BSON by the rules for every document that sensorqd stores: which names are allowed, no name twice in
 * one object, a limit on size. It writes directly into the buffer of the bson_t: libbson's own functions take four
 * times as long. Nothing else is allocated for a document whose names need no change. The writer is a plain struct of
 * about 12 KiB; only document.c uses it.
 *
 * As a Bytes does, the writer remembers its first failure in *result*, and does nothing after it: DOCUMENT_TOO_LARGE,
 * DOCUMENT_DUPLICATE_KEY, -ENOMEM, or what document_writer_fail() was told. */

#include <mongoc/mongoc.h>

#include "lib/bytes.h"
#include "sinks/document-reason.h"

/* objects with up to so many names are checked at each new name, larger ones when they are closed */
#define DOCUMENT_WRITER_NAMES 14

typedef struct DocumentWriterName {
        uint32_t offset; /* in the bytes of the document */
        uint32_t size;
} DocumentWriterName;

typedef struct DocumentWriterLevel {
        uint32_t begin; /* offset of its length in the bytes of the document */
        uint32_t n;     /* members so far */
        bool array;
        DocumentWriterName names[DOCUMENT_WRITER_NAMES];
} DocumentWriterLevel;

typedef struct DocumentWriter {
        bson_t *document;
        char *data;             /* the document's buffer; NULL until something is written */
        size_t size, allocated; /* bytes written, without the closing NULs of open levels; bytes allocated */
        unsigned level;
        int result;     /* DOCUMENT_OK, or the first failure */
        Slice key;      /* of the next value: borrowed from the caller, or in scratch or index */
        Bytes scratch;  /* a key that had to be changed */
        char index[16]; /* the key of an array's element */
        DocumentWriterLevel levels[DOCUMENT_DEPTH_MAX];
} DocumentWriter;

/* Begins to write into *document*, which is initialised and empty. */
void document_writer_init(DocumentWriter *w, bson_t *document);
/* Closes all open levels: the document may be incomplete, but it is valid BSON. */
void document_writer_done(DocumentWriter *w);
/* Notes that what was to be written cannot be: *r* is a DocumentReason or a negative errno. */
static inline void document_writer_fail(DocumentWriter *w, int r) {
        if (w->result == DOCUMENT_OK)
                w->result = r;
}

/* Sets the name of the next value; call it before each value of an object. *name* must stay valid until that value is
 * written. On level 0, sensorqd's own names (_id, pubsub, stored_at) are changed as well. */
void document_writer_name(DocumentWriter *w, Slice name);

/* The same for sensorqd's own fields: the name is not changed or checked; the caller keeps it unique. *name* is a
 * constant. */
void document_writer_own_name(DocumentWriter *w, const char *name);

/* Begins an object or array as the value; document_writer_close() ends it. At most DOCUMENT_DEPTH_MAX levels. */
void document_writer_open(DocumentWriter *w, bool array);
/* Ends the object or array. On level 0 it only checks the names, and the document stays open. */
void document_writer_close(DocumentWriter *w);

/* This and the following write a value under the name set before. *text* is UTF-8. */
void document_writer_string(DocumentWriter *w, Slice text);
/* *msec*: milliseconds since the epoch, UTC. */
void document_writer_date(DocumentWriter *w, int64_t msec);
void document_writer_double(DocumentWriter *w, double value);
void document_writer_int64(DocumentWriter *w, int64_t value);
void document_writer_bool(DocumentWriter *w, bool value);
void document_writer_null(DocumentWriter *w);

/* Whether a name is stored unchanged. Otherwise an empty name, a leading `$`, each `.` and each NUL become `_`. */
bool document_key_is_plain(Slice name);
/* Appends the name as it is stored to *ret*, but with *width* `_` in place of each single one. */
int document_key_wide(Slice name, unsigned width, Bytes *ret);
