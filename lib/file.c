/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "text.h"

static int load(const char *path, int flags, size_t most, Bytes *ret) {
        _cleanup_close_ int fd = -1;
        struct stat status;
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
        if (fd < 0 || fstat(fd, &status) < 0)
                return err_errno();
        if (S_ISDIR(status.st_mode))
                return -EISDIR;
        if (!S_ISREG(status.st_mode))
                return -EINVAL;

        r = bytes_reserve(ret, most);
        if (r == 0)
                r = file_read(fd, ret->data, most, &ret->size);
        if (r == 0)
                ret->data[ret->size] = '\0';
        return r;
}

int file_load(const char *path, size_t most, Bytes *ret) {
        return load(path, 0, most, ret);
}

int file_load_own(const char *path, size_t most, Bytes *ret) {
        return load(path, O_NOFOLLOW, most, ret);
}

int file_read(int fd, void *buffer, size_t size, size_t *ret_n) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = read(fd, (char *) buffer + done, size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno();
                if (n == 0)
                        break;
                done += (size_t) n;
        }

        *ret_n = done;
        return 0;
}

int file_write_all(int fd, const void *data, size_t size) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = write(fd, (const char *) data + done, size - done);

                if (n < 0 && errno != EINTR)
                        return err_errno();
                if (n > 0)
                        done += (size_t) n;
        }
        return 0;
}

static int write_new(int directory_fd, const char *name, Slice content, bool lasts) {
        _cleanup_close_ int fd = -1;
        int r;

        fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return err_errno();
        file_settle(fd, lasts ? 0600 : 0644, directory_fd);
        r = file_write_all(fd, content.data, content.size);
        if (r < 0 || !lasts)
                return r;
        return fsync(fd) < 0 ? err_errno() : 0;
}

static int replace(const char *directory, const char *name, Slice content, bool lasts) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (text_format(&temporary, "%s.new", name) < 0)
                return -ENOMEM;
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return err_errno();
        r = write_new(fd, temporary, content, lasts);
        if (r == 0 && renameat(fd, temporary, fd, name) < 0)
                r = err_errno();
        if (r < 0)
                (void) unlinkat(fd, temporary, 0); /* the disk may be full */
        return r == 0 && lasts && fsync(fd) < 0 ? err_errno() : r;
}

int file_replace(const char *directory, const char *name, const void *data, size_t size) {
        return replace(directory, name, (Slice){ data, size }, true);
}

int file_show(const char *directory, const char *name, const void *data, size_t size) {
        return replace(directory, name, (Slice){ data, size }, false);
}

bool file_is_same(const char *a, const char *b) {
        struct stat first, second;

        return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
               first.st_ino == second.st_ino;
}

static void give(int fd, const struct stat *around) {
        if (geteuid() == 0 && around->st_uid != 0)
                (void) fchown(fd, around->st_uid, around->st_gid);
}

void file_settle(int fd, mode_t mode, int directory_fd) {
        struct stat around;

        if (fstat(directory_fd, &around) == 0)
                give(fd, &around);
        (void) fchmod(fd, mode);
}

void file_give(int fd, const char *path) {
        _cleanup_free_ char *directory = file_directory(path);
        struct stat around;

        if (directory && stat(directory, &around) == 0)
                give(fd, &around);
}

bool file_is_foreign(const char *path) {
        _cleanup_free_ char *directory = file_directory(path);
        struct stat around;

        return geteuid() == 0 && (!directory || stat(directory, &around) < 0 || around.st_uid != 0);
}

char *file_directory(const char *path) {
        _cleanup_free_ char *copy = strdup(path);

        return copy ? strdup(dirname(copy)) : NULL;
}
