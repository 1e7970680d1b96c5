/* SPDX-License-Identifier: Apache-2.0 */
#include "gzip.h"

#include <errno.h>
#define ZLIB_CONST
#include <zlib.h>

#define WINDOW_GZIP (15 + 16) /* zlib's word for: gzip, and nothing else */
#define STEP_MIN 1024

bool gzip_is(Slice data) {
        return data.size >= 3 && memcmp(data.data, "\x1f\x8b\x08", 3) == 0;
}

/* Room for the next piece. GZIP_TOO_LARGE when there may be no more than there is. */
static int make_room(z_stream *stream, size_t max, Bytes *out) {
        size_t step = out->size > STEP_MIN ? out->size : STEP_MIN;
        int r;

        if (out->size > max)
                return GZIP_TOO_LARGE;
        if (step > max + 1 - out->size)
                step = max + 1 - out->size; /* one more than allowed tells that it is too large */
        r = bytes_reserve(out, step);
        if (r < 0)
                return r;
        stream->next_out = (Bytef *) out->data + out->size;
        stream->avail_out = (uInt) step;
        return GZIP_DONE;
}

/* To the end of one member. */
static int undo_member(z_stream *stream, size_t max, Bytes *out) {
        for (;;) {
                int r = make_room(stream, max, out), z;
                uInt room = stream->avail_out;

                if (r != GZIP_DONE)
                        return r;
                z = inflate(stream, Z_NO_FLUSH);
                out->size += room - stream->avail_out;
                if (z == Z_MEM_ERROR)
                        return -ENOMEM;
                if (z == Z_STREAM_END)
                        return out->size > max ? GZIP_TOO_LARGE : GZIP_DONE;
                if (z != Z_OK || (stream->avail_in == 0 && stream->avail_out > 0))
                        return GZIP_DAMAGED;
        }
}

static bool only_nuls(const z_stream *stream) {
        for (uInt i = 0; i < stream->avail_in; i++)
                if (stream->next_in[i] != 0)
                        return false;
        return true;
}

static int undo_members(z_stream *stream, size_t max, Bytes *out) {
        for (;;) {
                int r = undo_member(stream, max, out);

                if (r != GZIP_DONE)
                        return r;
                if (only_nuls(stream))
                        break;
                if (inflateReset(stream) != Z_OK)
                        return GZIP_DAMAGED;
        }
        out->data[out->size] = '\0'; /* bytes_reserve() left room for it */
        return GZIP_DONE;
}

int gzip_undo(Slice data, size_t max, Bytes *ret) {
        z_stream stream = { .next_in = (const Bytef *) data.data, .avail_in = (uInt) data.size };
        int r;

        if (data.size > UINT32_MAX || inflateInit2(&stream, WINDOW_GZIP) != Z_OK)
                return -ENOMEM;
        max += ret->size;
        r = undo_members(&stream, max, ret);
        (void) inflateEnd(&stream);
        return r;
}
