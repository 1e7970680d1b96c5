/* SPDX-License-Identifier: Apache-2.0 */
#include "gzip.h"

#include <errno.h>
#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#include "err.h"
#include "file.h"

#define WINDOW_GZIP (15 + 16) /* zlib's code for: gzip format only */
#define STEP_MIN 1024
#define PIECE 65536
#define MEMORY_LEVEL 8 /* zlib's own default */

bool gzip_is(Slice data) {
        return data.size >= 3 && memcmp(data.data, "\x1f\x8b\x08", 3) == 0;
}

/* Makes room for the next piece. GZIP_TOO_LARGE when *max* does not allow more. */
static int make_room(z_stream *stream, size_t max, Bytes *out) {
        size_t step = out->size > STEP_MIN ? out->size : STEP_MIN;
        int r;

        if (out->size > max)
                return GZIP_TOO_LARGE;
        if (step > max + 1 - out->size)
                step = max + 1 - out->size; /* one byte more than allowed, which shows that the content is too large */
        r = bytes_reserve(out, step);
        if (r < 0)
                return r;
        stream->next_out = (Bytef *) out->data + out->size;
        stream->avail_out = (uInt) step;
        return GZIP_DONE;
}

/* Decompresses up to the end of one member. */
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

int gzip_make(Slice data, Bytes *ret) {
        z_stream stream = { .next_in = (const Bytef *) data.data, .avail_in = (uInt) data.size };
        size_t most;
        int r;

        if (data.size > UINT32_MAX / 2 ||
                deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW_GZIP, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
                return -ENOMEM;
        most = deflateBound(&stream, (uLong) data.size);
        r = bytes_reserve(ret, most);
        if (r == 0) {
                stream.next_out = (Bytef *) ret->data + ret->size;
                stream.avail_out = (uInt) most;
                r = deflate(&stream, Z_FINISH) == Z_STREAM_END ? 0 : -ENOMEM;
                ret->size += r == 0 ? most - stream.avail_out : 0;
        }
        (void) deflateEnd(&stream);
        return r;
}

/* ---- files ---- */

static int deflate_piece(z_stream *stream, int flush, int to, unsigned char out[static PIECE]) {
        int r;

        do {
                stream->next_out = out;
                stream->avail_out = PIECE;
                (void) deflate(stream, flush);
                r = file_write_all(to, out, PIECE - stream->avail_out);
        } while (r == 0 && stream->avail_out == 0);
        return r;
}

static int deflate_all(z_stream *stream, int from, int to, unsigned char pieces[static 2 * PIECE]) {
        size_t n;
        int r;

        do {
                r = file_read(from, pieces, PIECE, &n);
                if (r < 0)
                        return r;
                stream->next_in = pieces;
                stream->avail_in = (uInt) n;
                r = deflate_piece(stream, n < PIECE ? Z_FINISH : Z_NO_FLUSH, to, pieces + PIECE);
        } while (r == 0 && n == PIECE);
        return r;
}

int gzip_copy(int from, int to) {
        _cleanup_free_ unsigned char *pieces = malloc((size_t) 2 * PIECE);
        z_stream stream = {};
        int r;

        if (!pieces || deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_GZIP, MEMORY_LEVEL,
                               Z_DEFAULT_STRATEGY) != Z_OK)
                return -ENOMEM;
        r = deflate_all(&stream, from, to, pieces);
        (void) deflateEnd(&stream);
        return r;
}

int gzip_reader_new(int fd, GzipReader **ret) {
        GzipReader *reader = gzdopen(fd, "rb");

        if (!reader)
                return -ENOMEM;
        (void) gzbuffer(reader, PIECE);
        *ret = reader;
        return 0;
}

GzipReader *gzip_reader_free(GzipReader *reader) {
        if (reader)
                (void) gzclose(reader);
        return NULL;
}

int gzip_reader_read(GzipReader *reader, void *buffer, size_t size, size_t *ret_n) {
        int n, z = Z_OK;

        errno = 0;
        n = gzread(reader, buffer, size > INT32_MAX ? INT32_MAX : (unsigned) size);
        if (n <= 0)
                (void) gzerror(reader, &z);
        if (z == Z_ERRNO)
                return err_errno();
        if (n < 0 || z == Z_BUF_ERROR || z == Z_DATA_ERROR)
                return z == Z_MEM_ERROR ? -ENOMEM : GZIP_DAMAGED;
        *ret_n = (size_t) n;
        return GZIP_DONE;
}
