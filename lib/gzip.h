/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The gzip format (RFC 1952). Only this module uses zlib. */

#include "bytes.h"

enum {
        GZIP_DONE = 0,
        GZIP_TOO_LARGE = 1, /* longer than the caller's *max*; the content of *ret* is useless */
        GZIP_DAMAGED = 2,   /* cut short, a wrong checksum, or other data behind it */
};

/* Whether *data* begins as gzip does: 1f 8b, and 08, the only method there is. */
bool gzip_is(Slice data);

/* Decompresses *data*, which has one or several members, and appends at most *max* bytes. NULs behind the last member
 * are ignored. Returns a GZIP_... code or -ENOMEM. */
int gzip_undo(Slice data, size_t max, Bytes *ret);

/* Compresses *data* and appends it; it prefers speed to size. -ENOMEM. */
int gzip_make(Slice data, Bytes *ret);

/* Compresses *from*, from its present position to its end, and writes to *to*. Errors of read(2), write(2); -ENOMEM. */
int gzip_copy(int from, int to);

/* Reads a file piece by piece and decompresses it; a file that is not compressed is read as it is. */
typedef struct gzFile_s GzipReader;
/* Takes *fd* over when it succeeds. -ENOMEM. */
int gzip_reader_new(int fd, GzipReader **ret);
GzipReader *gzip_reader_free(GzipReader *reader);
CLEANUP_DEFINE(GzipReader, gzip_reader_free)
/* Reads at most *size* bytes; *ret_n* is 0 at the end. GZIP_DONE, GZIP_DAMAGED; errors of read(2). */
int gzip_reader_read(GzipReader *reader, void *buffer, size_t size, size_t *ret_n);
