/* SPDX-License-Identifier: Apache-2.0 */
/* The disk as SQLite sees it: a VFS, with its locks and its shared memory among the connections of one life.
 * (https://sqlite.org/vfs.html) As the one for Unix does: whoever made a journal or a log syncs the directory at its
 * first sync. */
#include "disk-internal.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

#define PATH_SIZE 512
#define REGIONS_MAX 64
#define SHM_FILE_SIZE 32768

/* What the connections to one file share. Lives until the last of them is closed, also when their life has ended, since
 * SQLite holds pointers into the regions. */
typedef struct Shared {
        struct Shared *next;
        DiskNode *node;
        uint64_t life;
        unsigned connections, readers;
        bool reserved, pending, exclusive;
        void *regions[REGIONS_MAX];
        int n_regions;
        unsigned shm_readers[SQLITE_SHM_NLOCK];
        bool shm_writer[SQLITE_SHM_NLOCK];
} Shared;

typedef struct VfsFile {
        sqlite3_file base;
        Disk *disk;
        DiskNode *node;
        Shared *shared;
        uint64_t life, heard;
        int level, chunk; /* chunk: the file grows by a multiple of it when room is taken; 0: none is taken */
        bool read_only, sync_names, delete_at_close;
        unsigned shm_read, shm_written; /* masks of the locks of this connection */
        char path[PATH_SIZE];
} VfsFile;

/* Of this process. */
static struct {
        Shared *shared;
        int error;
        unsigned temporary;
} vfs;

static VfsFile *of(sqlite3_file *file) {
        return (VfsFile *) file;
}

static bool is_dead(const VfsFile *f) {
        return f->life != disk_life(f->disk) || disk_is_dead(f->disk);
}

static int failed(int error, int code) {
        vfs.error = error;
        return code;
}

/* ---- contents ---- */

static int vfs_read(sqlite3_file *file, void *data, int size, sqlite3_int64 at) {
        VfsFile *f = of(file);
        long n = is_dead(f) ? -EIO : disk_read(f->disk, f->node, data, (size_t) size, (size_t) at);

        if (n < 0)
                return failed(EIO, SQLITE_IOERR_READ);
        if (n == size)
                return SQLITE_OK;
        memset((char *) data + n, 0, (size_t) (size - n));
        return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at) {
        VfsFile *f = of(file);
        long n;

        if (is_dead(f) || !disk_begins(f->disk, DISK_WRITE, f->path))
                return failed(EIO, SQLITE_IOERR_WRITE);
        n = disk_write(f->disk, f->node, data, (size_t) size, (size_t) at);
        if (!disk_ends(f->disk, DISK_WRITE, f->path))
                return failed(EIO, SQLITE_IOERR_WRITE);
        if (n == size)
                return SQLITE_OK;
        if (n >= 0 || n == -ENOSPC)
                return failed(ENOSPC, SQLITE_FULL);
        return failed((int) -n, SQLITE_IOERR_WRITE);
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size) {
        VfsFile *f = of(file);
        int r;

        if (is_dead(f) || !disk_begins(f->disk, DISK_TRUNCATE, f->path))
                return failed(EIO, SQLITE_IOERR_TRUNCATE);
        r = disk_truncate(f->disk, f->node, (size_t) size);
        if (r < 0 || !disk_ends(f->disk, DISK_TRUNCATE, f->path))
                return failed(r < 0 ? -r : EIO, SQLITE_IOERR_TRUNCATE);
        return SQLITE_OK;
}

static int sync_directory_of(const VfsFile *f) {
        char path[PATH_SIZE];

        (void) snprintf(path, sizeof(path), "%.*s", (int) (strrchr(f->path, '/') - f->path), f->path);
        return disk_sync_directory(f->disk, path);
}

static int vfs_sync(sqlite3_file *file, int flags) {
        VfsFile *f = of(file);
        int r;

        if (is_dead(f) || !disk_begins(f->disk, DISK_SYNC, f->path))
                return failed(EIO, SQLITE_IOERR_FSYNC);
        r = disk_sync(f->disk, f->node, &f->heard);
        if (r < 0 || !disk_ends(f->disk, DISK_SYNC, f->path))
                return failed(EIO, SQLITE_IOERR_FSYNC);
        if (f->sync_names) {
                f->sync_names = false;
                (void) sync_directory_of(f);
                if (is_dead(f))
                        return failed(EIO, SQLITE_IOERR_FSYNC);
        }
        return SQLITE_OK;
}

static int vfs_size(sqlite3_file *file, sqlite3_int64 *ret) {
        VfsFile *f = of(file);

        if (is_dead(f))
                return failed(EIO, SQLITE_IOERR_FSTAT);
        *ret = (sqlite3_int64) f->node->size;
        return SQLITE_OK;
}

/* ---- locks (https://sqlite.org/lockingv3.html) ---- */

static Shared *shared_of(VfsFile *f) {
        Shared *s = vfs.shared;

        while (s && (s->node != f->node || s->life != f->life))
                s = s->next;
        if (!s) {
                s = calloc(1, sizeof(Shared));
                assert(s);
                s->node = f->node;
                s->life = f->life;
                s->next = vfs.shared;
                vfs.shared = s;
        }
        return s;
}

static void shared_close(Shared *shared) {
        Shared **at = &vfs.shared;

        if (--shared->connections > 0)
                return;
        while (*at && *at != shared)
                at = &(*at)->next;
        if (*at)
                *at = shared->next;
        for (int i = 0; i < shared->n_regions; i++)
                free(shared->regions[i]);
        free(shared);
}

static bool has_readers_beside(const VfsFile *f) {
        return f->shared->readers > (f->level >= SQLITE_LOCK_SHARED);
}

static int vfs_lock(sqlite3_file *file, int level) {
        VfsFile *f = of(file);
        Shared *s = f->shared;

        if (is_dead(f))
                return failed(EIO, SQLITE_IOERR_LOCK);
        if (level <= f->level)
                return SQLITE_OK;
        if (f->level == SQLITE_LOCK_NONE) {
                if (s->pending || s->exclusive)
                        return SQLITE_BUSY;
                s->readers++;
                f->level = SQLITE_LOCK_SHARED;
        }
        if (level >= SQLITE_LOCK_RESERVED && f->level < SQLITE_LOCK_RESERVED) {
                if (s->reserved || s->exclusive)
                        return SQLITE_BUSY;
                s->reserved = true;
                f->level = SQLITE_LOCK_RESERVED;
        }
        if (level == SQLITE_LOCK_EXCLUSIVE) {
                s->pending = true;
                f->level = SQLITE_LOCK_PENDING;
                if (has_readers_beside(f))
                        return SQLITE_BUSY;
                s->exclusive = true;
                f->level = SQLITE_LOCK_EXCLUSIVE;
        }
        return SQLITE_OK;
}

static int vfs_unlock(sqlite3_file *file, int level) {
        VfsFile *f = of(file);

        if (f->level > SQLITE_LOCK_SHARED && level <= SQLITE_LOCK_SHARED) {
                f->shared->reserved = f->shared->pending = f->shared->exclusive = false;
                f->level = SQLITE_LOCK_SHARED;
        }
        if (f->level == SQLITE_LOCK_SHARED && level == SQLITE_LOCK_NONE) {
                f->shared->readers--;
                f->level = SQLITE_LOCK_NONE;
        }
        return SQLITE_OK;
}

static int vfs_check_reserved(sqlite3_file *file, int *ret) {
        *ret = of(file)->shared->reserved;
        return SQLITE_OK;
}

/* ---- shared memory (https://sqlite.org/walformat.html): on a full disk its file has no room ---- */

static int vfs_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret) {
        VfsFile *f = of(file);
        Shared *s = f->shared;

        *ret = NULL;
        if (is_dead(f))
                return failed(EIO, SQLITE_IOERR_SHMOPEN);
        assert(region < REGIONS_MAX);
        if (region >= s->n_regions && !extend)
                return SQLITE_OK;
        if (region >= s->n_regions && disk_faults(f->disk)->read_only)
                return failed(EROFS, SQLITE_READONLY_CANTINIT);
        if (region >= s->n_regions && !disk_has_room(f->disk, SHM_FILE_SIZE))
                return failed(ENOSPC, SQLITE_IOERR_SHMSIZE);
        for (; s->n_regions <= region; s->n_regions++) {
                s->regions[s->n_regions] = calloc(1, (size_t) size);
                assert(s->regions[s->n_regions]);
        }
        *ret = s->regions[region];
        return SQLITE_OK;
}

static bool shm_is_free(const VfsFile *f, int from, int n, bool write) {
        for (int i = from; i < from + n; i++)
                if (f->shared->shm_writer[i] || (write && f->shared->shm_readers[i] > (f->shm_read >> i & 1)))
                        return false;
        return true;
}

static void shm_unlock(VfsFile *f, int from, int n) {
        for (int i = from; i < from + n; i++) {
                if (f->shm_written >> i & 1)
                        f->shared->shm_writer[i] = false;
                if (f->shm_read >> i & 1)
                        f->shared->shm_readers[i]--;
                f->shm_written &= ~(1U << i);
                f->shm_read &= ~(1U << i);
        }
}

static int vfs_shm_lock(sqlite3_file *file, int from, int n, int flags) {
        VfsFile *f = of(file);
        bool write = flags & SQLITE_SHM_EXCLUSIVE;

        if (flags & SQLITE_SHM_UNLOCK) {
                shm_unlock(f, from, n);
                return SQLITE_OK;
        }
        if (is_dead(f))
                return failed(EIO, SQLITE_IOERR_SHMLOCK);
        if (!write && f->shm_read >> from & 1)
                return SQLITE_OK;
        if (!shm_is_free(f, from, n, write))
                return SQLITE_BUSY;
        for (int i = from; i < from + n; i++)
                if (write) {
                        f->shared->shm_writer[i] = true;
                        f->shm_written |= 1U << i;
                } else {
                        f->shared->shm_readers[i]++;
                        f->shm_read |= 1U << i;
                }
        return SQLITE_OK;
}

static void vfs_shm_barrier(sqlite3_file *file) {}

static int vfs_shm_unmap(sqlite3_file *file, int delete) {
        shm_unlock(of(file), 0, SQLITE_SHM_NLOCK);
        return SQLITE_OK;
}

/* ---- files ---- */

static int vfs_close(sqlite3_file *file) {
        VfsFile *f = of(file);

        (void) vfs_unlock(file, SQLITE_LOCK_NONE);
        shm_unlock(f, 0, SQLITE_SHM_NLOCK);
        shared_close(f->shared);
        if (f->life != disk_life(f->disk))
                return SQLITE_OK;
        if (f->delete_at_close && !disk_is_dead(f->disk))
                (void) disk_unlink(f->disk, f->path);
        disk_close_node(f->disk, f->node);
        return SQLITE_OK;
}

/* As the one for Unix does by posix_fallocate(3). */
static int take_room(VfsFile *f, sqlite3_int64 size) {
        size_t end = f->chunk > 0 ? ((size_t) size + (size_t) f->chunk - 1) / (size_t) f->chunk * (size_t) f->chunk : 0;
        int r;

        if (is_dead(f))
                return failed(EIO, SQLITE_IOERR_FSTAT);
        if (end <= f->node->size)
                return SQLITE_OK;
        r = disk_begins(f->disk, DISK_TRUNCATE, f->path) ? disk_truncate(f->disk, f->node, end) : -EIO;
        return r == 0 && disk_ends(f->disk, DISK_TRUNCATE, f->path) ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int vfs_control(sqlite3_file *file, int op, void *value) {
        switch (op) {
        case SQLITE_FCNTL_CHUNK_SIZE:
                of(file)->chunk = *(const int *) value;
                return SQLITE_OK;
        case SQLITE_FCNTL_SIZE_HINT:
                return take_room(of(file), *(const sqlite3_int64 *) value);
        case SQLITE_FCNTL_LAST_ERRNO:
                *(int *) value = vfs.error;
                return SQLITE_OK;
        case SQLITE_FCNTL_LOCKSTATE:
                *(int *) value = of(file)->level;
                return SQLITE_OK;
        case SQLITE_FCNTL_POWERSAFE_OVERWRITE:
                *(int *) value = 1;
                return SQLITE_OK;
        default:
                return SQLITE_NOTFOUND;
        }
}

static int vfs_sector_size(sqlite3_file *file) {
        return 4096; /* as the one for Unix says, whatever the disk has */
}

static int vfs_characteristics(sqlite3_file *file) {
        return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = vfs_close,
        .xRead = vfs_read,
        .xWrite = vfs_write,
        .xTruncate = vfs_truncate,
        .xSync = vfs_sync,
        .xFileSize = vfs_size,
        .xLock = vfs_lock,
        .xUnlock = vfs_unlock,
        .xCheckReservedLock = vfs_check_reserved,
        .xFileControl = vfs_control,
        .xSectorSize = vfs_sector_size,
        .xDeviceCharacteristics = vfs_characteristics,
        .xShmMap = vfs_shm_map,
        .xShmLock = vfs_shm_lock,
        .xShmBarrier = vfs_shm_barrier,
        .xShmUnmap = vfs_shm_unmap,
};

/* The node of *path*, made if asked for. */
static int find_or_create(VfsFile *f, int flags) {
        int r;

        f->node = disk_find(f->disk, f->path);
        if (f->node)
                return f->node->directory ? -EISDIR : 0;
        if (!(flags & SQLITE_OPEN_CREATE))
                return -ENOENT;
        r = disk_create(f->disk, f->path, false, &f->node);
        f->sync_names = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL);
        return r;
}

static int vfs_open(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags, int *ret_flags) {
        VfsFile *f = of(file);
        Disk *disk = disk_mounted();
        int r;

        *f = (VfsFile){ .disk = disk };
        if (!disk || disk_is_dead(disk))
                return failed(EIO, SQLITE_CANTOPEN);
        if (path)
                (void) snprintf(f->path, sizeof(f->path), "%s", path);
        else
                (void) snprintf(f->path, sizeof(f->path), "%s/.temporary-%u", disk_root(disk), ++vfs.temporary);
        f->life = disk_life(disk);
        f->delete_at_close = flags & SQLITE_OPEN_DELETEONCLOSE;
        r = find_or_create(f, flags);
        if (r < 0)
                return failed(-r, r == -ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN);
        f->read_only = disk_faults(disk)->read_only;
        f->heard = disk_open_node(f->node);
        f->shared = shared_of(f);
        f->shared->connections++;
        f->base.pMethods = &methods;
        if (ret_flags)
                *ret_flags = f->read_only
                                     ? (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY
                                     : flags;
        return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *self, const char *path, int sync) {
        Disk *disk = disk_mounted();
        char directory[PATH_SIZE];
        int r;

        if (!disk || disk_is_dead(disk))
                return failed(EIO, SQLITE_IOERR_DELETE);
        r = disk_unlink(disk, path);
        if (r < 0)
                return failed(-r, r == -ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE);
        if (!sync)
                return SQLITE_OK;
        (void) snprintf(directory, sizeof(directory), "%.*s", (int) (strrchr(path, '/') - path), path);
        return disk_sync_directory(disk, directory) < 0 ? failed(EIO, SQLITE_IOERR_DIR_FSYNC) : SQLITE_OK;
}

/* As the one for Unix: an empty file is as good as none. */
static int vfs_access(sqlite3_vfs *self, const char *path, int flags, int *ret) {
        Disk *disk = disk_mounted();
        const DiskNode *node = disk && !disk_is_dead(disk) ? disk_find(disk, path) : NULL;

        *ret = node && (flags != SQLITE_ACCESS_EXISTS || node->directory || node->size > 0) &&
               (flags != SQLITE_ACCESS_READWRITE || !disk_faults(disk)->read_only);
        return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *self, const char *path, int size, char *ret) {
        (void) snprintf(ret, (size_t) size, "%s", path);
        return SQLITE_OK;
}

/* ---- the rest of the world ---- */

static int vfs_randomness(sqlite3_vfs *self, int size, char *ret) {
        Disk *disk = disk_mounted();

        for (int i = 0; i < size; i++)
                ret[i] = disk ? (char) draw(disk_draw(disk)) : 0;
        return size;
}

/* Whoever holds the lock has no chance to let go meanwhile: there is one thread. */
static int vfs_sleep(sqlite3_vfs *self, int usec) {
        return usec;
}

#define JULIAN_EPOCH_MSEC INT64_C(210866760000000)

static int vfs_time_msec(sqlite3_vfs *self, sqlite3_int64 *ret) {
        *ret = JULIAN_EPOCH_MSEC + (sqlite3_int64) (clock_wall() / USEC_PER_MSEC);
        return SQLITE_OK;
}

static int vfs_time(sqlite3_vfs *self, double *ret) {
        sqlite3_int64 msec;

        (void) vfs_time_msec(self, &msec);
        *ret = (double) msec / 86400000.0;
        return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *self, int size, char *text) {
        return vfs.error;
}

void disk_vfs_register(void) {
        static sqlite3_vfs self = {
                .iVersion = 2,
                .szOsFile = sizeof(VfsFile),
                .mxPathname = PATH_SIZE - 1,
                .zName = "disk",
                .xOpen = vfs_open,
                .xDelete = vfs_delete,
                .xAccess = vfs_access,
                .xFullPathname = vfs_full_path,
                .xRandomness = vfs_randomness,
                .xSleep = vfs_sleep,
                .xCurrentTime = vfs_time,
                .xGetLastError = vfs_last_error,
                .xCurrentTimeInt64 = vfs_time_msec,
        };

        (void) sqlite3_vfs_register(&self, 1);
        sqlite3_randomness(0, NULL); /* it begins again, from ours */
}
