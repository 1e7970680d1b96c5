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
