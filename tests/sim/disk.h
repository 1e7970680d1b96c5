/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A disk in memory, for programs that live through years of power cuts in minutes. All that is under its root is on it,
 * for SQLite (a VFS) and for the calls of the daemon itself (open, write, fsync, rename, ...; disk-files.c is linked
 * with --wrap). Everything else goes to the real files.
 *
 * A file has two contents: what calls see, and what a power cut finds. A sync makes them equal. At a cut each sector
 * that was not synced is there or not, for each file all, none or some; older versions of a sector may have reached the
 * disk at any time before. Names are alike: what was created, renamed or removed counts only after a sync of the
 * directory; at a cut what was done since is there up to a point, or each change by itself. All of it follows from the
 * seed and the calls.
 *
 * A kill leaves what calls see. What belongs to a life (open files, locks, shared memory) is in malloc(), the rest in
 * the arena, so a life may be a process of its own. One disk is mounted at a time. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Disk Disk;

/* What a disk does badly; chances are per million calls. Zeros: nothing, and no room at all. */
typedef struct DiskFaults {
        uint64_t size;        /* bytes that fit; DISK_SIZE_MAX: all */
        bool read_only;       /* EROFS */
        bool sync_forgets;    /* after a sync that failed the next one has nothing to do, as Linux has it: what was not
                                 written then never is, though calls see it */
        unsigned read_error;  /* EIO */
        unsigned write_error; /* EIO or, at the end of the room, a part of it */
        unsigned sync_error;  /* EIO */
        unsigned writes_back; /* chance that a sector reaches the disk before it is written again */
        unsigned torn;        /* chance that a sector that was being written at a cut is half new, half old */
} DiskFaults;

#define DISK_SIZE_MAX (UINT64_C(1) << 40)
#define DISK_FAULTS_NONE ((DiskFaults){ .size = DISK_SIZE_MAX, .writes_back = 100000, .torn = 100000 })

typedef enum DiskCall {
        DISK_OPEN,
        DISK_WRITE,
        DISK_SYNC,
        DISK_TRUNCATE,
        DISK_RENAME,
        DISK_UNLINK,
        _DISK_CALL_MAX
} DiskCall;

/* What happened so far. */
typedef struct DiskCounts {
        uint64_t calls[_DISK_CALL_MAX];
        uint64_t cuts, kills;
        uint64_t sectors_lost, sectors_kept, sectors_torn; /* at cuts, of those that were not synced */
        uint64_t names_lost, names_kept;                   /* changes of names */
        uint64_t errors, full;                             /* calls that failed by DiskFaults */
} DiskCounts;

/* Everything under *root*, a path without a slash at its end that no real file has; the root itself is an empty
 * directory. Copies *root*. */
Disk *disk_new(const char *root, uint64_t seed);
Disk *disk_free(Disk *disk);

/* A life begins: SQLite and the calls of this process use it from here on. */
void disk_mount(Disk *disk);

/* In force with the next call; DISK_FAULTS_NONE at first. */
void disk_set_faults(Disk *disk, const DiskFaults *faults);

/* *hook* is called before each call that changes something, and again when it is *done*. Before, it may end the
 * process, let time pass (a slow sync), or call disk_kill() or disk_cut(). */
void disk_set_hook(
        Disk *disk, void (*hook)(void *userdata, DiskCall call, const char *path, bool done), void *userdata);

/* The life ends by a kill: its files and locks are gone, what calls saw is there. All calls fail until disk_mount(), so
 * whoever is still there can only clean up. */
void disk_kill(Disk *disk);

/* The same by a power cut, or a reset: what was not synced is lost, or not. */
void disk_cut(Disk *disk);

/* All that calls see is on the disk, as after half a minute without any. */
void disk_settle(Disk *disk);

/* What calls see of a file; NULL: there is none. Valid until the next call. */
const uint8_t *disk_contents(Disk *disk, const char *path, size_t *ret_size);

/* The medium has other bytes there than were written, for calls and after a cut; *data* NULL: the file ends there. */
void disk_damage(Disk *disk, const char *path, size_t at, const void *data, size_t size);

const DiskCounts *disk_counts(const Disk *disk);
/* Bytes that its files take. */
uint64_t disk_used(const Disk *disk);
/* After a kill or a cut, until disk_mount(). */
bool disk_is_dead(const Disk *disk);
