/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What disk.c, disk-vfs.c (SQLite's calls) and disk-files.c (the daemon's own) share. */

#include "disk.h"
#include "draw.h"

#define DISK_SECTOR 512
#define DISK_SAME 0 /* as calls see it */

/* What names stand for. In the arena. */
typedef struct DiskNode {
        uint64_t number;
        bool directory, forgotten; /* forgotten: what a cut finds differs also where nothing is dirty */
        uint64_t failures;         /* of syncs: each handle hears once of those since it was opened */
        unsigned names;            /* that stand for it, in either way, or will after a change under way */
        unsigned handles;          /* of this life */
        uint8_t *now;              /* what calls see. Zeros behind the end */
        size_t size, kept_size, room;
        uint64_t *dirty;             /* a bit for each sector: the next sync writes it */
        size_t dirty_from, dirty_to; /* sectors; empty: from >= to */
        uint32_t *before;            /* for each sector: what a cut finds there: DISK_SAME, or where it is in *old* */
        size_t differ_to;            /* behind it all are the same */
        uint8_t *old;                /* sectors; those that nobody needs begin with the number of the next one */
        uint32_t free_old;           /* the first of these; 0: none */
        size_t n_old, old_room;
        uint64_t changes; /* of a directory: of its entries */
} DiskNode;

#define DISK_CHANGES_MAX 64 /* of names that wait for a sync: a journal commits by itself after some time */

/* A name, and what it stands for: for calls, and after a cut. */
typedef struct DiskName {
        char *path;
        size_t size;
        DiskNode *now, *kept;
} DiskName;

/* A change of names that is not durable yet. */
typedef struct DiskChange {
        DiskName *name, *from; /* from: of a rename */
        DiskNode *node;        /* NULL: removed */
        bool done;
} DiskChange;

struct Disk {
        char *root;
        size_t root_size;
        Draw draw;
        DiskFaults faults;
        DiskCounts counts;
        uint64_t life, numbers, used;
        bool dead;
        DiskName **names;
        size_t n_names;
        DiskNode **nodes;
        size_t n_nodes, nodes_room;
        DiskChange changes[DISK_CHANGES_MAX];
        size_t n_changes;
        void (*hook)(void *userdata, DiskCall call, const char *path, bool done);
        void *userdata;
};

/* The disk of this process; NULL: none. A handle that was opened in another life than `disk_life()` is dead. */
Disk *disk_mounted(void);
uint64_t disk_life(const Disk *disk);
/* How often *disk_mount()* was called: whoever keeps something for a life forgets it then. */
uint64_t disk_mounts(void);
const char *disk_root(const Disk *disk);
bool disk_has(const Disk *disk, const char *path);
Draw *disk_draw(Disk *disk);
const DiskFaults *disk_faults(const Disk *disk);

/* Tells the hook. False when the life ended in there: nothing is done. */
bool disk_begins(Disk *disk, DiskCall call, const char *path);
bool disk_ends(Disk *disk, DiskCall call, const char *path);

/* ---- names; 0 or a negative errno ---- */

DiskNode *disk_find(Disk *disk, const char *path);
int disk_create(Disk *disk, const char *path, bool directory, DiskNode **ret);
int disk_unlink(Disk *disk, const char *path);
int disk_rename(Disk *disk, const char *from, const char *to);
int disk_sync_directory(Disk *disk, const char *path);
/* The path of the *n*th entry in that directory; NULL: no more. */
const char *disk_entry(const Disk *disk, const char *directory, size_t n);

/* ---- contents ---- */

DiskNode *disk_node_new(Disk *disk, bool directory);
void disk_node_free(Disk *disk, DiskNode *node);
void disk_node_free_if_unused(Disk *disk, DiskNode *node);
/* What calls see is what a cut finds. */
void disk_node_keep(DiskNode *node);
/* What a cut finds is what there is. */
void disk_node_cut(Disk *disk, DiskNode *node);
/* Calls see what is on the disk, but for what is to be written yet: what a sync that failed has forgotten is gone. */
void disk_node_drop_cache(DiskNode *node);
/* What calls see and what a cut finds have these bytes; they lie within the file. */
void disk_node_damage(DiskNode *node, const uint8_t *data, size_t size, size_t at);

uint64_t disk_open_node(DiskNode *node);
void disk_close_node(Disk *disk, DiskNode *node);
/* How many bytes were read, -EIO. */
long disk_read(Disk *disk, const DiskNode *node, void *data, size_t size, size_t at);
/* How many bytes were written, which may be fewer; -EIO, -ENOSPC, -EROFS. */
long disk_write(Disk *disk, DiskNode *node, const void *data, size_t size, size_t at);
int disk_truncate(Disk *disk, DiskNode *node, size_t size);
/* *heard*: of the handle: failures that it knows, from disk_open_node() on. */
int disk_sync(Disk *disk, DiskNode *node, uint64_t *heard);
uint64_t disk_free_bytes(const Disk *disk);
/* Whether something is still as small as that, or the disk is full. */
bool disk_has_room(Disk *disk, size_t size);

/* Registers the VFS. */
void disk_vfs_register(void);
