/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The gzip format (RFC 1952). zlib behind this door. */

#include "bytes.h"

enum {
        GZIP_DONE = 0,
        GZIP_TOO_LARGE = 1, /* more than the caller wants to have; *ret* holds nothing useful */
        GZIP_DAMAGED = 2,   /* cut short, a wrong checksum, something else behind it */
};

/* Whether *data* begins as gzip does: 1f 8b, and 08, the only method there is. */
bool gzip_is(Slice data);

/* Appends what *data* was before it was compressed, at most *max* bytes. One member or several in a row; NULs behind
 * the last one are passed over. GZIP_*, -ENOMEM. */
int gzip_undo(Slice data, size_t max, Bytes *ret);

/* Appends *data* compressed, fast rather than small. -ENOMEM. */
int gzip_make(Slice data, Bytes *ret);

/* Compresses all of *from*, from where it stands, onto *to*. As read(2), write(2); -ENOMEM. */
int gzip_copy(int from, int to);

/* Reads a file piece by piece as it was before it was compressed; one that never was, as it is. */
typedef struct GzipReader GzipReader;
/* Takes *fd* over when it succeeds. -ENOMEM. */
int gzip_reader_new(int fd, GzipReader **ret);
GzipReader *gzip_reader_free(GzipReader *reader);
CLEANUP_DEFINE(GzipReader, gzip_reader_free)
/* At most *size* bytes; *ret_n* is 0 at the end. GZIP_DONE, GZIP_DAMAGED; as read(2). */
int gzip_reader_read(GzipReader *reader, void *buffer, size_t size, size_t *ret_n);
