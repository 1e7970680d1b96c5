/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "lib/gzip.h"

/* One gzip member of *size* times *c*. */
static void append_zipped(char c, size_t size, Bytes *ret) {
        z_stream stream = {};
        char *plain = malloc(size + 1);
        size_t bound;

        assert_non_null(plain);
        memset(plain, c, size);
        assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        bound = deflateBound(&stream, size);
        assert_int_equal(bytes_reserve(ret, bound), 0);
        stream.next_in = (Bytef *) plain;
        stream.avail_in = (uInt) size;
        stream.next_out = (Bytef *) ret->data + ret->size;
        stream.avail_out = (uInt) bound;
        assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
        ret->size += stream.total_out;
        (void) deflateEnd(&stream);
        free(plain);
}

static int undo(const Bytes *zipped, size_t size, size_t max, Bytes *out) {
        out->size = 0;
        return gzip_undo((Slice){ zipped->data, size }, max, out);
}

static void test_members(void **state) {
        Bytes zipped = {}, out = {};

        append_zipped('a', 5000, &zipped);
        assert_true(gzip_is((Slice){ zipped.data, zipped.size }));
        assert_int_equal(undo(&zipped, zipped.size, 5000, &out), GZIP_DONE);
        assert_int_equal(out.size, 5000);
        assert_int_equal(undo(&zipped, zipped.size, 4999, &out), GZIP_TOO_LARGE);
        append_zipped('b', 1, &zipped);
        assert_int_equal(bytes_append(&zipped, "\0\0", 2), 0);
        assert_int_equal(undo(&zipped, zipped.size, 10000, &out), GZIP_DONE);
        assert_int_equal(out.size, 5001);
        assert_int_equal(out.data[5000], 'b');
        assert_int_equal(out.data[5001], '\0');
        assert_int_equal(bytes_append(&zipped, "x", 1), 0);
        assert_int_equal(undo(&zipped, zipped.size, 10000, &out), GZIP_DAMAGED);
        bytes_done(&zipped);
        bytes_done(&out);
}

/* A thousand times its size: refused without ever being in memory. */
static void test_bomb(void **state) {
        Bytes zipped = {}, out = {};

        append_zipped('0', 20 * 1024 * 1024, &zipped);
        assert_true(zipped.size < 50000);
        assert_int_equal(undo(&zipped, zipped.size, 100000, &out), GZIP_TOO_LARGE);
        assert_true(out.allocated < 400000);
        bytes_done(&zipped);
        bytes_done(&out);
}

static void test_damaged(void **state) {
        Bytes zipped = {}, out = {};

        append_zipped('a', 300, &zipped);
        for (size_t size = 3; size < zipped.size; size++)
                assert_int_equal(undo(&zipped, size, 1000, &out), GZIP_DAMAGED);
        zipped.data[zipped.size - 1] ^= 1;
        assert_int_equal(undo(&zipped, zipped.size, 1000, &out), GZIP_DAMAGED);
        assert_false(gzip_is((Slice){ "\x1f\x8b", 2 }));
        assert_false(gzip_is((Slice){ "{\"a\":1}", 7 }));
        bytes_done(&zipped);
        bytes_done(&out);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_members),
                cmocka_unit_test(test_bomb),
                cmocka_unit_test(test_damaged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
