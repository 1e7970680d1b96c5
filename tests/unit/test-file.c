/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/err.h"
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
        Bytes text = {};
        size_t n;
        FILE *file;

        path_of("text", path);
        file = fopen(path, "w");
        assert_non_null(file);
        (void) fputs("0123456789", file);
        (void) fclose(file);

        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(file_read(fd, buffer, sizeof(buffer), &n), 0);
        assert_int_equal(n, sizeof(buffer));
        assert_memory_equal(buffer, "01234567", sizeof(buffer));
        assert_int_equal(file_read(fd, buffer, sizeof(buffer), &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(file_read(fd, buffer, sizeof(buffer), &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(file_load(path, 5, &text), 0);
        assert_string_equal(text.data, "01234");
        bytes_done(&text);
        (void) unlink(path);
}

/* What is no regular file is refused, and a FIFO that nobody writes to is not waited for. */
static void test_refused(void **state) {
        char path[100];
        Bytes text = {};

        path_of("nothing", path);
        assert_int_equal(file_load(path, 9, &text), -ENOENT);
        assert_int_equal(file_load(directory, 9, &text), -EISDIR);
        path_of("fifo", path);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(file_load(path, 9, &text), -EINVAL);
        (void) unlink(path);
        path_of("link", path);
        assert_int_equal(symlink("/etc/passwd", path), 0);
        assert_int_equal(file_load_own(path, 9, &text), -ELOOP);
        assert_null(text.data);
        (void) unlink(path);
}

static void assert_content(const char *path, const char *expected) {
        _cleanup_bytes_ Bytes text = {};

        assert_int_equal(file_load(path, 64, &text), 0);
        assert_string_equal(text.data, expected);
}

static void test_replace(void **state) {
        char path[100], temporary[100];
        struct stat status;

        path_of("state", path);
        path_of("state.new", temporary);
        assert_int_equal(file_replace(directory, "state", "one", 3), 0);
        assert_content(path, "one");
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        assert_int_equal(file_replace(directory, "state", "2", 1), 0);
        assert_content(path, "2");
        assert_int_equal(access(temporary, F_OK), -1);
        assert_int_equal(mkdir(temporary, 0700), 0); /* the new one cannot be written: the old one stays */
        assert_int_equal(file_replace(directory, "state", "three", 5), -EISDIR);
        assert_content(path, "2");
        assert_int_equal(rmdir(temporary), 0);
        assert_int_equal(file_replace("/nowhere", "state", "x", 1), -ENOENT);
        (void) unlink(path);
}

/* Root writes into the directory of a service's user, who may have put anything where the new file is written. */
static void test_replace_writes_a_file_of_its_own(void **state) {
        char path[100], temporary[100], other[100];

        path_of("state", path);
        path_of("state.new", temporary);
        path_of("other", other);
        assert_int_equal(file_replace(directory, "other", "theirs", 6), 0);
        assert_int_equal(link(other, temporary), 0);
        assert_int_equal(file_replace(directory, "state", "one", 3), 0);
        assert_content(path, "one");
        assert_content(other, "theirs");
        assert_int_equal(symlink(other, temporary), 0);
        assert_int_equal(file_replace(directory, "state", "two", 3), 0);
        assert_content(path, "two");
        assert_content(other, "theirs");
        assert_int_equal(mkfifo(temporary, 0600), 0);
        (void) alarm(10); /* nobody reads it */
        assert_int_equal(file_replace(directory, "state", "three", 5), 0);
        (void) alarm(0);
        assert_content(path, "three");
        (void) unlink(path);
        (void) unlink(other);
}

static void test_same(void **state) {
        char path[100], other[100], link[100];

        path_of("one", path);
        path_of("two", other);
        path_of("link", link);
        assert_int_equal(file_replace(directory, "one", "x", 1), 0);
        assert_int_equal(file_replace(directory, "two", "x", 1), 0);
        assert_int_equal(symlink(path, link), 0);
        assert_true(file_is_same(path, path) && file_is_same(path, link));
        assert_false(file_is_same(path, other));
        (void) unlink(path);
        assert_false(file_is_same(path, link) || file_is_same(path, path)); /* both lead nowhere */
        (void) unlink(other);
        (void) unlink(link);
}

static void test_directory(void **state) {
        static const char *const cases[][2] = { { "/etc/a.yaml", "/etc" }, { "/a.yaml", "/" }, { "b/c/a", "b/c" },
                { "a", "." }, { "./a", "." }, { "", "." } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *found = file_directory(cases[i][0]);

                assert_string_equal(found, cases[i][1]);
                free(found);
        }
}

static int open_below(const char *name, int *ret_fd) {
        char path[100];
        int r;

        path_of(name, path);
        r = file_open_directory(path, 0700, ret_fd);
        if (r >= 0)
                (void) close(*ret_fd);
        return r;
}

/* Root follows the links that only root can have made; others follow all. */
static void test_open_directory(void **state) {
        int fd, followed = geteuid() == 0 ? -ELOOP : FILE_OPENED;
        char path[100], *found = NULL;

        assert_int_equal(open_below("ours", &fd), FILE_MADE);
        assert_int_equal(open_below("ours", &fd), FILE_OPENED);
        assert_int_equal(open_below("no/such", &fd), -ENOENT);
        assert_int_equal(open_below("theirs", &fd), FILE_MADE);
        assert_int_equal(open_below("theirs/inner", &fd), FILE_MADE);
        path_of("ours-too", path);
        assert_int_equal(symlink("theirs", path), 0);
        path_of("theirs/out", path);
        assert_int_equal(symlink("../ours", path), 0);
        path_of("ours/inner", path);
        assert_int_equal(mkdir(path, 0700), 0);
        path_of("theirs", path);
        assert_int_equal(chown(path, 12345, 12346), geteuid() == 0 ? 0 : -1);

        assert_int_equal(open_below("ours-too/inner", &fd), FILE_OPENED);
        assert_int_equal(open_below("ours-too/more", &fd), FILE_MADE);
        assert_int_equal(open_below("theirs/out", &fd), followed);
        assert_int_equal(open_below("theirs/out/inner", &fd), followed);
        assert_int_equal(open_below("theirs/none/more", &fd), -ENOENT);
        if (geteuid() == 0) {
                assert_int_equal(chown(path, 0, 12346), 0);
                assert_int_equal(chmod(path, 0770), 0);
                assert_int_equal(open_below("theirs/out", &fd), -ELOOP);
                assert_int_equal(chown(path, 0, 0), 0);
                assert_int_equal(open_below("theirs/out", &fd), FILE_OPENED);
                assert_int_equal(chown(path, 12345, 12346), 0);
                assert_int_equal(open_below("theirs/out/new", &fd), -ELOOP);
                path_of("ours-too/out/new", path);
                assert_int_equal(file_find(path, &found), -ELOOP);
                path_of("ours-too/none/new", path);
                assert_int_equal(file_find(path, &found), -ENOENT);
                path_of("ours-too/inner//out", path);
                assert_int_equal(file_find(path, &found), FILE_FOREIGN);
                path_of("theirs/inner//out", path);
                assert_string_equal(found, path);
        }
        free(found);
        path_of("ours/inner", path);
        assert_int_equal(file_find(path, &found), FILE_OURS);
        for (size_t i = 0; i < 7; i++) {
                static const char *const made[] = { "theirs/inner", "theirs/more", "theirs/out", "theirs", "ours/inner",
                        "ours", "ours-too" };

                path_of(made[i], path);
                assert_int_equal(remove(path), 0);
        }
}

/* What root makes in somebody else's directory is that one's; others can give nothing away. */
static void test_settle(void **state) {
        bool root = geteuid() == 0;
        char path[100], file[120];
        struct stat status;
        int at, fd;

        path_of("theirs", path);
        (void) snprintf(file, sizeof(file), "%s/file", path);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(chown(path, 12345, 12346), root ? 0 : -1);
        at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        fd = openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        file_settle(fd, 0640, at);
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(status.st_uid, root ? 12345 : geteuid());
        assert_int_equal(status.st_gid, root ? 12346 : getegid());
        assert_int_equal(status.st_mode & 07777, 0640);
        close(fd);
        close(at);
        assert_int_equal(file_replace(path, "file", "x", 1), 0);
        assert_int_equal(stat(file, &status), 0);
        assert_int_equal(status.st_uid, root ? 12345 : geteuid());
        assert_int_equal(status.st_mode & 07777, 0600);
        assert_int_equal(unlink(file), 0);
        assert_int_equal(rmdir(path), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_read),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_replace),
                cmocka_unit_test(test_replace_writes_a_file_of_its_own),
                cmocka_unit_test(test_same),
                cmocka_unit_test(test_directory),
                cmocka_unit_test(test_open_directory),
                cmocka_unit_test(test_settle),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
