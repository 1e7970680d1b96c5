/* SPDX-License-Identifier: Apache-2.0 */
/* The calls by which the daemon itself uses files: linked with --wrap, they go to the disk for what is under its root,
 * and to the kernel for everything else. Descriptors of the disk are numbers that the kernel gives to nobody. */
#include "disk-internal.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#define FIRST_FD (1 << 24)
#define FILES_MAX 256
#define PATH_SIZE 512

typedef struct Descriptor {
        bool used;
        DiskNode *node;
        uint64_t life, heard;
        size_t at;
        int flags;
        bool locks;
        char path[PATH_SIZE];
} Descriptor;

typedef struct Stream {
        uint64_t magic;
        int fd;
        char (*names)[PATH_SIZE]; /* as it was when it was opened */
        size_t n, at;
        struct dirent entry;
} Stream;

#define STREAM_MAGIC UINT64_C(0x6469736b73747265)

/* Of this life. */
static struct {
        uint64_t mounts;
        int n; /* of the files, as far as they were ever used */
        Descriptor files[FILES_MAX];
} table;

#define REAL(type, name, ...)                                                                                          \
        extern type __real_##name(__VA_ARGS__);                                                                        \
        type __wrap_##name(__VA_ARGS__)

REAL(int, open64, const char *path, int flags, ...);
REAL(int, openat64, int directory, const char *path, int flags, ...);
REAL(int, close, int fd);
REAL(ssize_t, read, int fd, void *data, size_t size);
REAL(ssize_t, write, int fd, const void *data, size_t size);
REAL(int, fsync, int fd);
REAL(int, posix_fadvise64, int fd, off64_t at, off64_t size, int advice);
REAL(int, ftruncate64, int fd, off64_t size);
REAL(int, fstat64, int fd, struct stat *ret);
REAL(int, fstatat64, int directory, const char *path, struct stat *ret, int flags);
REAL(int, stat64, const char *path, struct stat *ret);
REAL(int, access, const char *path, int mode);
REAL(int, faccessat, int directory, const char *path, int mode, int flags);
REAL(int, chmod, const char *path, mode_t mode);
REAL(int, fchmod, int fd, mode_t mode);
REAL(int, mkdir, const char *path, mode_t mode);
REAL(int, unlink, const char *path);
REAL(int, unlinkat, int directory, const char *path, int flags);
REAL(int, rename, const char *from, const char *to);
REAL(int, renameat, int from_directory, const char *from, int to_directory, const char *to);
REAL(DIR *, opendir, const char *path);
REAL(DIR *, fdopendir, int fd);
REAL(struct dirent *, readdir64, DIR *stream);
REAL(int, closedir, DIR *stream);
REAL(int, statvfs64, const char *path, struct statvfs *ret);
REAL(int, fstatvfs64, int fd, struct statvfs *ret);
REAL(int, flock, int fd, int operation);
REAL(gzFile, gzdopen, int fd, const char *mode);

/* ---- which of them are ours ---- */

static bool is_ours(int fd) {
        return fd >= FIRST_FD && fd < FIRST_FD + FILES_MAX;
}

static Descriptor *of(int fd) {
        return &table.files[fd - FIRST_FD];
}

static int failed(int error) {
        errno = error;
        return -1;
}

static int outcome(int r) {
        return r < 0 ? failed(-r) : r;
}

/* The descriptor, if its life goes on; else NULL, and errno is set. */
static Descriptor *living(int fd) {
        Descriptor *d = of(fd);
        Disk *disk = disk_mounted();

        if (!d->used || !disk || d->life != disk_life(disk) || disk_is_dead(disk)) {
                errno = d->used ? EIO : EBADF;
                return NULL;
        }
        return d;
}

/* The disk that *path* of *directory* is on, and the whole of the path; NULL: it is not ours. */
static Disk *locate(int directory, const char *path, char whole[static PATH_SIZE]) {
        Disk *disk = disk_mounted();

        if (!disk)
                return NULL;
        if (path[0] == '/') {
                if (!disk_has(disk, path))
                        return NULL;
                (void) snprintf(whole, PATH_SIZE, "%s", path);
                for (size_t n = strlen(whole); n > 1 && whole[n - 1] == '/';)
                        whole[--n] = '\0';
                return disk;
        }
        if (!is_ours(directory))
                return NULL;
        if (strcmp(path, ".") == 0)
                (void) snprintf(whole, PATH_SIZE, "%s", of(directory)->path);
        else
                (void) snprintf(whole, PATH_SIZE, "%s/%s", of(directory)->path, path);
        return disk;
}

/* ---- open and close ---- */

static int descriptor_new(Disk *disk, const char *path, DiskNode *node, int flags) {
        if (table.mounts != disk_mounts()) { /* those of another life went with it */
                memset(table.files, 0, (size_t) table.n * sizeof(Descriptor));
                table.n = 0;
                table.mounts = disk_mounts();
        }
        for (int i = 0; i < FILES_MAX; i++) {
                Descriptor *d = &table.files[i];

                if (d->used)
                        continue;
                *d = (Descriptor){ .used = true, .node = node, .life = disk_life(disk), .flags = flags };
                (void) snprintf(d->path, sizeof(d->path), "%s", path);
                d->heard = disk_open_node(node);
                table.n = i < table.n ? table.n : i + 1;
                return FIRST_FD + i;
        }
        return failed(EMFILE);
}

static int open_ours(Disk *disk, const char *path, int flags) {
        bool writes = (flags & O_ACCMODE) != O_RDONLY;
        DiskNode *node;
        int r = 0;

        if (disk_is_dead(disk))
                return failed(EIO);
        node = disk_find(disk, path);
        if (!node && !(flags & O_CREAT))
                return failed(ENOENT);
        if (node && (flags & O_CREAT) && (flags & O_EXCL))
                return failed(EEXIST);
        if (node && writes && disk_faults(disk)->read_only)
                return failed(EROFS);
        if (node && node->directory != !!(flags & O_DIRECTORY) && (writes || flags & O_DIRECTORY))
                return failed(node->directory ? EISDIR : ENOTDIR);
        if (!node)
                r = disk_create(disk, path, false, &node);
        else if (flags & O_TRUNC && node->size > 0) {
                if (!disk_begins(disk, DISK_TRUNCATE, path))
                        return failed(EIO);
                r = disk_truncate(disk, node, 0);
                if (!disk_ends(disk, DISK_TRUNCATE, path))
                        return failed(EIO);
        }
        return r < 0 ? failed(-r) : descriptor_new(disk, path, node, flags);
}

int __wrap_openat64(int directory, const char *path, int flags, ...) {
        char whole[PATH_SIZE];
        Disk *disk = locate(directory, path, whole);
        mode_t mode = 0;
        va_list list;

        if (disk)
                return open_ours(disk, whole, flags);
        va_start(list, flags);
        if (flags & (O_CREAT | O_TMPFILE))
                mode = va_arg(list, mode_t);
        va_end(list);
        return __real_openat64(directory, path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...) {
        mode_t mode = 0;
        va_list list;

        va_start(list, flags);
        if (flags & (O_CREAT | O_TMPFILE))
                mode = va_arg(list, mode_t);
        va_end(list);
        return __wrap_openat64(AT_FDCWD, path, flags, mode);
}

int __wrap_close(int fd) {
        Descriptor *d;

        if (!is_ours(fd))
                return __real_close(fd);
        d = of(fd);
        if (!d->used)
                return failed(EBADF);
        if (d->life == disk_life(disk_mounted()))
                disk_close_node(disk_mounted(), d->node);
        *d = (Descriptor){};
        return 0;
}

/* ---- contents ---- */

ssize_t __wrap_read(int fd, void *data, size_t size) {
        Descriptor *d;
        long n;

        if (!is_ours(fd))
                return __real_read(fd, data, size);
        d = living(fd);
        if (!d)
                return -1;
        if (d->node->directory)
                return failed(EISDIR);
        n = disk_read(disk_mounted(), d->node, data, size, d->at);
        if (n < 0)
                return failed((int) -n);
        d->at += (size_t) n;
        return n;
}

ssize_t __wrap_write(int fd, const void *data, size_t size) {
        Disk *disk = disk_mounted();
        Descriptor *d;
        long n;

        if (!is_ours(fd))
                return __real_write(fd, data, size);
        d = living(fd);
        if (!d || !disk_begins(disk, DISK_WRITE, d->path))
                return failed(EIO);
        if (d->flags & O_APPEND)
                d->at = d->node->size;
        n = disk_write(disk, d->node, data, size, d->at);
        if (!disk_ends(disk, DISK_WRITE, d->path))
                return failed(EIO);
        if (n < 0)
                return failed((int) -n);
        d->at += (size_t) n;
        return n;
}

int __wrap_fsync(int fd) {
        Disk *disk = disk_mounted();
        Descriptor *d;
        int r;

        if (!is_ours(fd))
                return __real_fsync(fd);
        d = living(fd);
        if (!d)
                return -1;
        if (d->node->directory)
                return outcome(disk_sync_directory(disk, d->path));
        if (!disk_begins(disk, DISK_SYNC, d->path))
                return failed(EIO);
        r = disk_sync(disk, d->node, &d->heard);
        return disk_ends(disk, DISK_SYNC, d->path) ? outcome(r) : failed(EIO);
}

int __wrap_posix_fadvise64(int fd, off64_t at, off64_t size, int advice) {
        Descriptor *d;

        if (!is_ours(fd))
                return __real_posix_fadvise64(fd, at, size, advice);
        d = living(fd);
        if (!d)
                return EIO;
        if (advice == POSIX_FADV_DONTNEED)
                disk_node_drop_cache(d->node);
        return 0;
}

int __wrap_ftruncate64(int fd, off64_t size) {
        Disk *disk = disk_mounted();
        Descriptor *d;
        int r;

        if (!is_ours(fd))
                return __real_ftruncate64(fd, size);
        d = living(fd);
        if (!d || !disk_begins(disk, DISK_TRUNCATE, d->path))
                return failed(EIO);
        r = disk_truncate(disk, d->node, (size_t) size);
        return disk_ends(disk, DISK_TRUNCATE, d->path) ? outcome(r) : failed(EIO);
}

/* gzread() reads by itself: it gets a real file with the same bytes. */
gzFile __wrap_gzdopen(int fd, const char *mode) {
        Descriptor *d;
        int copy;

        if (!is_ours(fd))
                return __real_gzdopen(fd, mode);
        d = living(fd);
        copy = d ? memfd_create("disk", MFD_CLOEXEC) : -1;
        if (copy < 0)
                return NULL;
        if (__real_write(copy, d->node->now, d->node->size) != (ssize_t) d->node->size ||
                lseek(copy, 0, SEEK_SET) < 0) {
                (void) __real_close(copy);
                return NULL;
        }
        (void) __wrap_close(fd);
        return __real_gzdopen(copy, mode);
}

/* ---- what is known of files ---- */

static void describe(const DiskNode *node, struct stat *ret) {
        *ret = (struct stat){
                .st_dev = 1,
                .st_ino = node->number,
                .st_mode = node->directory ? S_IFDIR | 0750 : S_IFREG | 0600,
                .st_nlink = 1,
                .st_uid = geteuid(),
                .st_gid = getegid(),
                .st_size = (off_t) node->size,
                .st_blksize = 4096,
                .st_blocks = (blkcnt_t) (node->size + 511) / 512,
        };
        if (node->directory) /* a directory's time tells of new names */
                ret->st_mtim = (struct timespec){ 1700000000 + (time_t) (node->changes / 1000000),
                        (long) (node->changes % 1000000) };
}

int __wrap_fstat64(int fd, struct stat *ret) {
        Descriptor *d;

        if (!is_ours(fd))
                return __real_fstat64(fd, ret);
        d = living(fd);
        if (!d)
                return -1;
        describe(d->node, ret);
        return 0;
}

int __wrap_fstatat64(int directory, const char *path, struct stat *ret, int flags) {
        char whole[PATH_SIZE];
        Disk *disk = locate(directory, path, whole);
        const DiskNode *node;

        if (!disk)
                return __real_fstatat64(directory, path, ret, flags);
        if (disk_is_dead(disk))
                return failed(EIO);
        node = disk_find(disk, whole);
        if (!node)
                return failed(ENOENT);
        describe(node, ret);
        return 0;
}

int __wrap_stat64(const char *path, struct stat *ret) {
        return __wrap_fstatat64(AT_FDCWD, path, ret, 0);
}

int __wrap_faccessat(int directory, const char *path, int mode, int flags) {
        char whole[PATH_SIZE];
        Disk *disk = locate(directory, path, whole);

        if (!disk)
                return __real_faccessat(directory, path, mode, flags);
        if (disk_is_dead(disk))
                return failed(EIO);
        if (!disk_find(disk, whole))
                return failed(ENOENT);
        return mode & W_OK && disk_faults(disk)->read_only ? failed(EROFS) : 0;
}

int __wrap_access(const char *path, int mode) {
        return __wrap_faccessat(AT_FDCWD, path, mode, 0);
}

int __wrap_chmod(const char *path, mode_t mode) {
        char whole[PATH_SIZE];

        return locate(AT_FDCWD, path, whole) ? 0 : __real_chmod(path, mode);
}

int __wrap_fchmod(int fd, mode_t mode) {
        return is_ours(fd) ? 0 : __real_fchmod(fd, mode);
}

static void describe_disk(Disk *disk, struct statvfs *ret) {
        uint64_t room = disk_free_bytes(disk) / 4096;

        *ret = (struct statvfs){
                .f_bsize = 4096,
                .f_frsize = 4096,
                .f_blocks = disk_faults(disk)->size / 4096 + 1,
                .f_bfree = room,
                .f_bavail = room,
                .f_files = 1000000,
                .f_ffree = 1000000,
                .f_favail = 1000000,
                .f_flag = disk_faults(disk)->read_only ? ST_RDONLY : 0,
                .f_namemax = 255,
        };
}

int __wrap_statvfs64(const char *path, struct statvfs *ret) {
        char whole[PATH_SIZE];
        Disk *disk = locate(AT_FDCWD, path, whole);

        if (!disk)
                return __real_statvfs64(path, ret);
        describe_disk(disk, ret);
        return 0;
}

int __wrap_fstatvfs64(int fd, struct statvfs *ret) {
        if (!is_ours(fd))
                return __real_fstatvfs64(fd, ret);
        describe_disk(disk_mounted(), ret);
        return 0;
}

/* ---- names ---- */

int __wrap_mkdir(const char *path, mode_t mode) {
        char whole[PATH_SIZE];
        Disk *disk = locate(AT_FDCWD, path, whole);
        DiskNode *node;

        if (!disk)
                return __real_mkdir(path, mode);
        return disk_is_dead(disk) ? failed(EIO) : outcome(disk_create(disk, whole, true, &node));
}

int __wrap_unlinkat(int directory, const char *path, int flags) {
        char whole[PATH_SIZE];
        Disk *disk = locate(directory, path, whole);

        if (!disk)
                return __real_unlinkat(directory, path, flags);
        return disk_is_dead(disk) ? failed(EIO) : outcome(disk_unlink(disk, whole));
}

int __wrap_unlink(const char *path) {
        return __wrap_unlinkat(AT_FDCWD, path, 0);
}

int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to) {
        char whole_from[PATH_SIZE], whole_to[PATH_SIZE];
        Disk *disk = locate(from_directory, from, whole_from);

        if (!disk)
                return __real_renameat(from_directory, from, to_directory, to);
        if (locate(to_directory, to, whole_to) != disk)
                return failed(EXDEV);
        return disk_is_dead(disk) ? failed(EIO) : outcome(disk_rename(disk, whole_from, whole_to));
}

int __wrap_rename(const char *from, const char *to) {
        return __wrap_renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* ---- directories ---- */

static Stream *ours(DIR *stream) {
        Stream *s = (Stream *) (void *) stream;

        return s->magic == STREAM_MAGIC ? s : NULL;
}

DIR *__wrap_fdopendir(int fd) {
        const char *path;
        Descriptor *d;
        Stream *s;

        if (!is_ours(fd))
                return __real_fdopendir(fd);
        d = living(fd);
        s = d ? calloc(1, sizeof(Stream)) : NULL;
        if (!s)
                return NULL;
        s->magic = STREAM_MAGIC;
        s->fd = fd;
        for (; (path = disk_entry(disk_mounted(), d->path, s->n)); s->n++) {
                s->names = realloc(s->names, (s->n + 1) * sizeof(*s->names));
                assert(s->names);
                (void) snprintf(s->names[s->n], sizeof(*s->names), "%s", strrchr(path, '/') + 1);
        }
        return (DIR *) (void *) s;
}

DIR *__wrap_opendir(const char *path) {
        char whole[PATH_SIZE];
        int fd;

        if (!locate(AT_FDCWD, path, whole))
                return __real_opendir(path);
        fd = __wrap_open64(path, O_RDONLY | O_DIRECTORY);
        return fd < 0 ? NULL : __wrap_fdopendir(fd);
}

struct dirent *__wrap_readdir64(DIR *stream) {
        Stream *s = ours(stream);

        if (!s)
                return __real_readdir64(stream);
        if (s->at == s->n || !living(s->fd))
                return NULL;
        (void) snprintf(s->entry.d_name, sizeof(s->entry.d_name), "%.255s", s->names[s->at++]);
        return &s->entry;
}

int __wrap_closedir(DIR *stream) {
        Stream *s = ours(stream);
        int fd;

        if (!s)
                return __real_closedir(stream);
        fd = s->fd;
        free(s->names);
        free(s);
        return __wrap_close(fd);
}

/* ---- locks: the other descriptors of this life ---- */

int __wrap_flock(int fd, int operation) {
        Descriptor *d;

        if (!is_ours(fd))
                return __real_flock(fd, operation);
        d = living(fd);
        if (!d)
                return -1;
        for (int i = 0; i < table.n; i++) {
                const Descriptor *other = &table.files[i];

                if (operation & LOCK_EX && other != d && other->used && other->locks && other->node == d->node)
                        return failed(EWOULDBLOCK);
        }
        d->locks = !(operation & LOCK_UN);
        return 0;
}
