/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/file.h"

static char directory[] = "/tmp/sensorqd-file-XXXXXX";

static int set_up(void **state) {
        return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state) {
        return rmdir(directory);
}

static void path_of(const char *name, char path[static 100]) {
        (void) snprintf(path, 100, "%s/%s", directory, name);
}

static void test_read(void **state) {
        _cleanup_close_ int fd = -1;
        char path[100], buffer[8] = "";
        size_t n;
        FILE *file;

        path_of("text", path);
        file = fopen(path, "w");
        assert_non_null(file);
        (void) fputs("0123456789", file);
        (void) fclose(file);

        assert_int_equal(file_open(path, &fd), 0);
        assert_int_equal(file_read(fd, buffer, sizeof(buffer), &n), 0);
        assert_int_equal(n, sizeof(buffer));
        assert_memory_equal(buffer, "01234567", sizeof(buffer));
        assert_int_equal(file_read(fd, buffer, sizeof(buffer), &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(file_read(fd, buffer, sizeof(buffer), &n), 0);
        assert_int_equal(n, 0);
        (void) unlink(path);
}

/* What is no regular file is refused, and a FIFO that nobody writes to is not waited for. */
static void test_refused(void **state) {
        char path[100];
        int fd = -1;

        path_of("nothing", path);
        assert_int_equal(file_open(path, &fd), -ENOENT);
        assert_int_equal(file_open(directory, &fd), -EISDIR);
        path_of("fifo", path);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(file_open(path, &fd), -EINVAL);
        assert_int_equal(fd, -1);
        (void) unlink(path);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_read),
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
