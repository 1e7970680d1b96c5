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

/* Another file of that name goes, from a process that was killed. It is not written to: where root writes into the
 * directory of a service's user, it may be a FIFO or a hard link. */
static int create(int directory_fd, const char *name) {
        int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, fd = openat(directory_fd, name, flags, 0600);

        if (fd < 0 && errno == EEXIST && unlinkat(directory_fd, name, 0) == 0)
                fd = openat(directory_fd, name, flags, 0600);
        return fd < 0 ? err_errno() : fd;
}

static int write_new(int directory_fd, const char *name, Slice content, bool lasts) {
        _cleanup_close_ int fd = create(directory_fd, name);
        int r;

        if (fd < 0)
                return fd;
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
                (void) !fchown(fd, around->st_uid, around->st_gid);
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

/* Whether another user than root may put links there that the kernel follows for everybody; in a directory like /tmp it
 * does not: protected_symlinks of proc(5). */
static bool is_foreign(const struct stat *directory) {
        mode_t mode = directory->st_mode;
        bool shared = mode & S_IWOTH || (mode & S_IWGRP && directory->st_gid != 0);

        return directory->st_uid != 0 || (shared && !(mode & S_ISVTX));
}

/* Returns where the part of *path* begins that is in a directory of another user, while we are root; the size of
 * *path*: there is none. */
static size_t foreign_at(const char *path) {
        const char *slash = path;
        struct stat around;

        if (geteuid() != 0)
                return strlen(path);
        while ((slash = strchr(slash, '/'))) {
                size_t size = (size_t) (slash - path) + (slash == path);
                _cleanup_free_ char *directory = strndup(path, size);

                slash += strspn(slash, "/");
                if (!directory || stat(directory, &around) < 0 || is_foreign(&around))
                        return (size_t) (slash - path);
        }
        return strlen(path);
}

/* Opens one directory in *at*. -ELOOP: it is a link. */
static int open_in(int at, const char *name, int flags) {
        int fd = openat(at, name, flags | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        struct stat status;

        if (fd < 0 && errno == ENOTDIR && fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISLNK(status.st_mode))
                return -ELOOP;
        return fd < 0 ? err_errno() : fd;
}

/* Opens the directory that the last name of *path* is in. From *foreign* on no link is followed. */
static int open_above(const char *path, size_t foreign) {
        _cleanup_free_ char *directory = strndup(path, foreign), *rest = strdup(path + foreign);
        char *next = rest;
        int at;

        if (!directory || !rest)
                return -ENOMEM;
        at = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (at < 0)
                return err_errno();
        while (at >= 0 && strchr(next, '/')) {
                _cleanup_close_ int above = at;
                const char *name = strsep(&next, "/");

                next += strspn(next, "/");
                at = open_in(above, name, O_PATH);
        }
        return at;
}

int file_find(const char *path, char **ret) {
        size_t foreign = foreign_at(path);
        _cleanup_free_ char *directory = strndup(path, foreign), *real = NULL;
        _cleanup_close_ int above = -1;

        if (path[foreign] == '\0')
                return FILE_OURS;
        if (!directory)
                return -ENOMEM;
        above = open_above(path, foreign);
        if (above < 0)
                return above;
        real = realpath(directory, NULL);
        if (!real)
                return err_errno();
        return text_format(ret, "%s/%s", real, path + foreign) < 0 ? -ENOMEM : FILE_FOREIGN;
}

static int open_ours(const char *path, mode_t mode, int *ret_fd) {
        int made = mkdir(path, mode) == 0 ? FILE_MADE : FILE_OPENED, fd;

        if (made == FILE_OPENED && errno != EEXIST)
                return err_errno();
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return err_errno();
        *ret_fd = fd;
        return made;
}

static int open_foreign(int above, const char *name, mode_t mode, int *ret_fd) {
        int made = mkdirat(above, name, mode) == 0 ? FILE_MADE : FILE_OPENED, fd;

        if (made == FILE_OPENED && errno != EEXIST)
                return err_errno();
        fd = open_in(above, name, O_RDONLY);
        if (fd < 0)
                return fd;
        *ret_fd = fd;
        return made;
}

int file_open_directory(const char *path, mode_t mode, int *ret_fd) {
        size_t foreign = foreign_at(path);
        _cleanup_close_ int above = -1;

        if (path[foreign] == '\0')
                return open_ours(path, mode, ret_fd);
        above = open_above(path, foreign);
        return above < 0 ? above : open_foreign(above, strrchr(path, '/') + 1, mode, ret_fd);
}

char *file_directory(const char *path) {
        _cleanup_free_ char *copy = strdup(path);

        return copy ? strdup(dirname(copy)) : NULL;
}
