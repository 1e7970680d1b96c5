/* SPDX-License-Identifier: Apache-2.0 */
/* Files and names, what of them is durable, and what a cut leaves. */
#include "disk-internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"

#define BLOCK 4096     /* what a file takes on the disk is a multiple of it */
#define CHANGES_MAX 64 /* of names that wait for a sync: a journal commits by itself after some time */
#define FILE_ROOM_MIN 8192

/* A name, and what it stands for: for calls, and after a cut. */
typedef struct Name {
        char *path;
        size_t size;
        DiskNode *now, *kept;
} Name;

/* A change of names that is not durable yet. */
typedef struct Change {
        Name *name, *from; /* from: of a rename */
        DiskNode *node;    /* NULL: removed */
        bool done;
} Change;

struct Disk {
        char *root;
        size_t root_size;
        Draw draw;
        DiskFaults faults;
        DiskCounts counts;
        uint64_t life, numbers, used, changed;
        bool dead;
        Name **names;
        size_t n_names;
        DiskNode **nodes;
        size_t n_nodes, nodes_room;
        Change changes[CHANGES_MAX];
        size_t n_changes;
        void (*hook)(void *userdata, DiskCall call, const char *path, bool done);
        void *userdata;
};

static struct {
        Disk *disk;
        uint64_t mounts;
} mounted; /* of this process: SQLite and libc know no other way to hand it on */

/* ---- nodes ---- */

static DiskNode *node_new(Disk *disk, bool directory) {
        DiskNode *node = arena_alloc(sizeof(DiskNode));

        node->number = ++disk->numbers;
        node->directory = directory;
        if (disk->n_nodes == disk->nodes_room) {
                disk->nodes_room = disk->nodes_room > 0 ? 2 * disk->nodes_room : 16;
                disk->nodes = arena_resize(disk->nodes, disk->nodes_room * sizeof(DiskNode *));
        }
        disk->nodes[disk->n_nodes++] = node;
        return node;
}

static size_t blocks(size_t size) {
        return (size + BLOCK - 1) / BLOCK * BLOCK;
}

static void node_free(Disk *disk, DiskNode *node) {
        size_t i = 0;

        while (disk->nodes[i] != node)
                i++;
        disk->nodes[i] = disk->nodes[--disk->n_nodes];
        disk->used -= blocks(node->size);
        arena_free(node->now);
        arena_free(node->kept);
        arena_free(node->dirty);
        arena_free(node);
}

static void node_free_if_unused(Disk *disk, DiskNode *node) {
        if (node && node->names == 0 && node->handles == 0)
                node_free(disk, node);
}

static size_t sectors(size_t size) {
        return (size + DISK_SECTOR - 1) / DISK_SECTOR;
}

static void *grow_zeroed(void *memory, size_t from, size_t to) {
        uint8_t *larger = arena_resize(memory, to);

        memset(larger + from, 0, to - from);
        return larger;
}

static void node_reserve(DiskNode *node, size_t size) {
        size_t room = node->room > 0 ? node->room : FILE_ROOM_MIN, words = node->room / DISK_SECTOR / 64 + 1;

        if (size <= node->room)
                return;
        while (room < size)
                room *= 2;
        node->now = grow_zeroed(node->now, node->room, room);
        node->kept = grow_zeroed(node->kept, node->room, room);
        node->dirty = grow_zeroed(node->dirty, node->room > 0 ? words * 8 : 0, (room / DISK_SECTOR / 64 + 1) * 8);
        node->room = room;
}

static bool is_dirty(const DiskNode *node, size_t sector) {
        return node->dirty[sector / 64] >> sector % 64 & 1;
}

static void mark_dirty(DiskNode *node, size_t sector) {
        node->dirty[sector / 64] |= UINT64_C(1) << sector % 64;
        if (node->dirty_from >= node->dirty_to) {
                node->dirty_from = sector;
                node->dirty_to = sector + 1;
        } else if (sector < node->dirty_from)
                node->dirty_from = sector;
        else if (sector >= node->dirty_to)
                node->dirty_to = sector + 1;
}

static void keep_sector(DiskNode *node, size_t sector) {
        memcpy(node->kept + sector * DISK_SECTOR, node->now + sector * DISK_SECTOR, DISK_SECTOR);
}

static void all_clean(DiskNode *node) {
        if (node->dirty_from < node->dirty_to)
                memset(node->dirty + node->dirty_from / 64, 0,
                        ((node->dirty_to - 1) / 64 - node->dirty_from / 64 + 1) * 8);
        node->dirty_from = node->dirty_to = 0;
}

/* What calls see is what a cut finds. */
static void node_keep(DiskNode *node) {
        for (size_t i = node->dirty_from; i < node->dirty_to; i++)
                if (is_dirty(node, i))
                        keep_sector(node, i);
        node->kept_size = node->size;
        all_clean(node);
}

/* An older version of a sector reaches the disk before it is written again, and its end of the file with it. */
static void write_back(Disk *disk, DiskNode *node, size_t sector) {
        size_t end = (sector + 1) * DISK_SECTOR;

        if (!is_dirty(node, sector) || !draw_chance(&disk->draw, disk->faults.writes_back))
                return;
        keep_sector(node, sector);
        if (end > node->size)
                end = node->size;
        if (end > node->kept_size)
                node->kept_size = end;
}

/* ---- names ---- */

static Name *name_of(Disk *disk, const char *path, bool make) {
        size_t size = strlen(path);
        Name *name;

        for (size_t i = 0; i < disk->n_names; i++)
                if (disk->names[i]->size == size && memcmp(disk->names[i]->path, path, size) == 0)
                        return disk->names[i];
        if (!make)
                return NULL;
        name = arena_alloc(sizeof(Name));
        name->path = arena_text(path);
        name->size = size;
        disk->names = arena_resize(disk->names, (disk->n_names + 1) * sizeof(Name *));
        disk->names[disk->n_names++] = name;
        return name;
}

static void point(Disk *disk, DiskNode **at, DiskNode *node) {
        DiskNode *before = *at;

        if (node)
                node->names++;
        *at = node;
        if (before)
                before->names--;
        node_free_if_unused(disk, before);
}

/* The change is on the disk. */
static void change_keep(Disk *disk, Change *change) {
        point(disk, &change->name->kept, change->node);
        if (change->from)
                point(disk, &change->from->kept, NULL);
        change->done = true;
}

/* What is done, or given up, no longer holds its node. */
static void changes_drop(Disk *disk, bool all) {
        size_t n = 0;

        for (size_t i = 0; i < disk->n_changes; i++)
                if (all || disk->changes[i].done)
                        point(disk, &disk->changes[i].node, NULL);
                else
                        disk->changes[n++] = disk->changes[i];
        disk->n_changes = n;
}

static void change(Disk *disk, Name *name, Name *from, DiskNode *node) {
        if (disk->n_changes == CHANGES_MAX) {
                for (size_t i = 0; i < CHANGES_MAX / 2; i++)
                        change_keep(disk, &disk->changes[i]);
                changes_drop(disk, false);
        }
        disk->changes[disk->n_changes] = (Change){ .name = name, .from = from };
        point(disk, &disk->changes[disk->n_changes++].node, node);
        point(disk, &name->now, node);
        if (from)
                point(disk, &from->now, NULL);
        disk->changed++;
}

static bool is_changing(const Disk *disk, const Name *name) {
        for (size_t i = 0; i < disk->n_changes; i++)
                if (disk->changes[i].name == name || disk->changes[i].from == name)
                        return true;
        return false;
}

/* Names that stand for nothing. */
static void names_drop(Disk *disk) {
        size_t n = 0;

        for (size_t i = 0; i < disk->n_names; i++) {
                Name *name = disk->names[i];

                if (name->now || name->kept || is_changing(disk, name)) {
                        disk->names[n++] = name;
                        continue;
                }
                arena_free(name->path);
                arena_free(name);
        }
        disk->n_names = n;
}

static bool is_in(const Name *name, const char *directory, size_t size) {
        return name->size > size + 1 && name->path[size] == '/' && memcmp(name->path, directory, size) == 0 &&
               !memchr(name->path + size + 1, '/', name->size - size - 1);
}

DiskNode *disk_find(Disk *disk, const char *path) {
        Name *name = name_of(disk, path, false);

        return name ? name->now : NULL;
}

/* Whether the directory of *path* is there. */
static bool has_parent(Disk *disk, const char *path) {
        const char *slash = strrchr(path, '/');
        char parent[512];

        assert(slash && (size_t) (slash - path) < sizeof(parent));
        (void) snprintf(parent, sizeof(parent), "%.*s", (int) (slash - path), path);
        return disk_find(disk, parent) != NULL;
}

int disk_create(Disk *disk, const char *path, bool directory, DiskNode **ret) {
        if (disk->faults.read_only)
                return -EROFS;
        if (!has_parent(disk, path))
                return -ENOENT;
        if (disk_find(disk, path))
                return -EEXIST;
        if (!disk_has_room(disk, 1))
                return -ENOSPC;
        if (!disk_begins(disk, DISK_OPEN, path))
                return -EIO;
        *ret = node_new(disk, directory);
        change(disk, name_of(disk, path, true), NULL, *ret);
        return disk_ends(disk, DISK_OPEN, path) ? 0 : -EIO;
}

int disk_unlink(Disk *disk, const char *path) {
        if (!disk_find(disk, path))
                return -ENOENT;
        if (disk->faults.read_only)
                return -EROFS;
        if (!disk_begins(disk, DISK_UNLINK, path))
                return -EIO;
        change(disk, name_of(disk, path, true), NULL, NULL);
        return disk_ends(disk, DISK_UNLINK, path) ? 0 : -EIO;
}

int disk_rename(Disk *disk, const char *from, const char *to) {
        DiskNode *node = disk_find(disk, from);

        if (!node || !has_parent(disk, to))
                return -ENOENT;
        if (disk->faults.read_only)
                return -EROFS;
        if (strcmp(from, to) == 0)
                return 0;
        if (!disk_begins(disk, DISK_RENAME, to))
                return -EIO;
        change(disk, name_of(disk, to, true), name_of(disk, from, true), node);
        return disk_ends(disk, DISK_RENAME, to) ? 0 : -EIO;
}

int disk_sync_directory(Disk *disk, const char *path) {
        size_t size = strlen(path);

        if (!disk_begins(disk, DISK_SYNC, path))
                return -EIO;
        if (draw_chance(&disk->draw, disk->faults.sync_error)) {
                disk->counts.errors++;
                return -EIO;
        }
        for (size_t i = 0; i < disk->n_changes; i++)
                if (is_in(disk->changes[i].name, path, size) ||
                        (disk->changes[i].from && is_in(disk->changes[i].from, path, size)))
                        change_keep(disk, &disk->changes[i]);
        changes_drop(disk, false);
        return disk_ends(disk, DISK_SYNC, path) ? 0 : -EIO;
}

const char *disk_entry(const Disk *disk, const char *directory, size_t n) {
        size_t size = strlen(directory);

        for (size_t i = 0; i < disk->n_names; i++)
                if (disk->names[i]->now && is_in(disk->names[i], directory, size) && n-- == 0)
                        return disk->names[i]->path;
        return NULL;
}

uint64_t disk_changes(const Disk *disk) {
        return disk->changed;
}

/* ---- calls ---- */

Disk *disk_mounted(void) {
        return mounted.disk;
}

uint64_t disk_life(const Disk *disk) {
        return disk->life;
}

uint64_t disk_mounts(void) {
        return mounted.mounts;
}

bool disk_is_dead(const Disk *disk) {
        return disk->dead;
}

const char *disk_root(const Disk *disk) {
        return disk->root;
}

bool disk_has(const Disk *disk, const char *path) {
        return strncmp(path, disk->root, disk->root_size) == 0 &&
               (path[disk->root_size] == '/' || path[disk->root_size] == '\0');
}

Draw *disk_draw(Disk *disk) {
        return &disk->draw;
}

const DiskFaults *disk_faults(const Disk *disk) {
        return &disk->faults;
}

bool disk_begins(Disk *disk, DiskCall call, const char *path) {
        if (disk->hook)
                disk->hook(disk->userdata, call, path, false);
        if (disk->dead)
                return false;
        disk->counts.calls[call]++;
        return true;
}

bool disk_ends(Disk *disk, DiskCall call, const char *path) {
        if (disk->hook)
                disk->hook(disk->userdata, call, path, true);
        return !disk->dead;
}

/* ---- contents ---- */

uint64_t disk_open_node(DiskNode *node) {
        node->handles++;
        return node->failures;
}

void disk_close_node(Disk *disk, DiskNode *node) {
        assert(node->handles > 0);
        node->handles--;
        node_free_if_unused(disk, node);
}

uint64_t disk_free_bytes(const Disk *disk) {
        return disk->faults.size > disk->used ? disk->faults.size - disk->used : 0;
}

bool disk_has_room(Disk *disk, size_t size) {
        if (disk_free_bytes(disk) >= blocks(size))
                return true;
        disk->counts.full++;
        return false;
}

long disk_read(Disk *disk, const DiskNode *node, void *data, size_t size, size_t at) {
        if (draw_chance(&disk->draw, disk->faults.read_error)) {
                disk->counts.errors++;
                return -EIO;
        }
        if (at >= node->size)
                return 0;
        if (size > node->size - at)
                size = node->size - at;
        memcpy(data, node->now + at, size);
        return (long) size;
}

/* How many of these bytes fit. */
static size_t fitting(Disk *disk, const DiskNode *node, size_t size, size_t at) {
        size_t limit = blocks(node->size) + disk_free_bytes(disk) / BLOCK * BLOCK;

        if (at + size <= limit)
                return size;
        disk->counts.full++;
        return at < limit ? limit - at : 0;
}

static void put(Disk *disk, DiskNode *node, const void *data, size_t size, size_t at) {
        size_t from = at / DISK_SECTOR, to = sectors(at + size);

        node_reserve(node, to * DISK_SECTOR);
        if (at > node->size) /* the hole is written as well, as far as a cut is concerned */
                from = node->size / DISK_SECTOR;
        for (size_t i = from; i < to; i++) {
                write_back(disk, node, i);
                mark_dirty(node, i);
        }
        memcpy(node->now + at, data, size);
        if (at + size > node->size) {
                disk->used += blocks(at + size) - blocks(node->size);
                node->size = at + size;
        }
}

long disk_write(Disk *disk, DiskNode *node, const void *data, size_t size, size_t at) {
        size_t fits;

        if (disk->faults.read_only)
                return -EROFS;
        if (draw_chance(&disk->draw, disk->faults.write_error)) {
                disk->counts.errors++;
                size = draw_below(&disk->draw, 2) ? size / 2 : 0;
                if (size == 0)
                        return -EIO;
        }
        fits = fitting(disk, node, size, at);
        if (fits == 0 && size > 0)
                return -ENOSPC;
        put(disk, node, data, fits, at);
        return (long) fits;
}

int disk_truncate(Disk *disk, DiskNode *node, size_t size) {
        if (disk->faults.read_only)
                return -EROFS;
        if (size > node->size)
                return fitting(disk, node, size - node->size, node->size) < size - node->size
                               ? -ENOSPC
                               : (put(disk, node, "", size > 0, size - 1), 0);
        if (size == node->size)
                return 0;
        for (size_t i = size / DISK_SECTOR; i < sectors(node->size); i++)
                mark_dirty(node, i);
        memset(node->now + size, 0, node->size - size);
        disk->used -= blocks(node->size) - blocks(size);
        node->size = size;
        return 0;
}

int disk_sync(Disk *disk, DiskNode *node, uint64_t *heard) {
        if (!draw_chance(&disk->draw, disk->faults.sync_error)) {
                bool is_news = *heard != node->failures;

                node_keep(node);
                *heard = node->failures;
                return is_news ? -EIO : 0;
        }
        *heard = ++node->failures;
        disk->counts.errors++;
        for (size_t i = node->dirty_from; i < node->dirty_to; i++) /* some of it was written */
                if (is_dirty(node, i) && draw_below(&disk->draw, 2))
                        keep_sector(node, i);
        if (disk->faults.sync_forgets) {
                node->forgotten = true;
                all_clean(node);
        }
        return -EIO;
}

/* ---- the end of a life ---- */

/* The first half of a sector, or the second one, had been written. */
static void tear(Disk *disk, DiskNode *node, size_t sector) {
        size_t at = 8 * draw_between(&disk->draw, 1, DISK_SECTOR / 8 - 1), from = sector * DISK_SECTOR;

        if (draw_below(&disk->draw, 2))
                memcpy(node->kept + from, node->now + from, at);
        else
                memcpy(node->kept + from + at, node->now + from + at, DISK_SECTOR - at);
        disk->counts.sectors_torn++;
}

/* What was not synced of one file. The end that a cut finds is behind every sector that is there. */
static void cut_node(Disk *disk, DiskNode *node) {
        static const unsigned chances[] = { 0, 0, PER_MILLION, PER_MILLION / 10, PER_MILLION / 2,
                PER_MILLION / 10 * 9 };
        unsigned chance = chances[draw_below(&disk->draw, sizeof(chances) / sizeof(chances[0]))];
        size_t end = 0;

        for (size_t i = node->dirty_from; i < node->dirty_to; i++) {
                if (!is_dirty(node, i))
                        continue;
                if (!draw_chance(&disk->draw, chance)) {
                        disk->counts.sectors_lost++;
                        continue;
                }
                disk->counts.sectors_kept++;
                end = (i + 1) * DISK_SECTOR < node->size ? (i + 1) * DISK_SECTOR : node->size;
                if (chance < PER_MILLION && draw_chance(&disk->draw, disk->faults.torn))
                        tear(disk, node, i);
                else
                        keep_sector(node, i);
        }
        if (end > node->kept_size)
                node->kept_size = end;
        if (chance == PER_MILLION || (chance > 0 && draw_below(&disk->draw, 2))) {
                if (node->kept_size > node->size)
                        memset(node->kept + node->size, 0, node->kept_size - node->size);
                node->kept_size = node->size;
        }
}

/* What is on the disk is what there is. */
static void settle_node(Disk *disk, DiskNode *node) {
        size_t larger = node->kept_size > node->size ? node->kept_size : node->size;

        if (node->dirty_from >= node->dirty_to && node->size == node->kept_size && !node->forgotten)
                return;
        if (node->kept_size < larger)
                memset(node->kept + node->kept_size, 0, larger - node->kept_size);
        if (larger > 0)
                memcpy(node->now, node->kept, sectors(larger) * DISK_SECTOR);
        disk->used += blocks(node->kept_size);
        disk->used -= blocks(node->size);
        node->size = node->kept_size;
        node->forgotten = false;
        all_clean(node);
}

static void cut_names(Disk *disk) {
        size_t first = draw_below(&disk->draw, disk->n_changes + 1); /* a journal keeps the order; others do not */
        bool ordered = draw_below(&disk->draw, 2) == 0;

        for (size_t i = 0; i < disk->n_changes; i++)
                if (ordered ? i < first : draw_below(&disk->draw, 2)) {
                        change_keep(disk, &disk->changes[i]);
                        disk->counts.names_kept++;
                } else
                        disk->counts.names_lost++;
        changes_drop(disk, true);
        for (size_t i = 0; i < disk->n_names; i++)
                point(disk, &disk->names[i]->now, disk->names[i]->kept);
}

static void end_life(Disk *disk) {
        for (size_t i = disk->n_nodes; i-- > 0;) {
                disk->nodes[i]->handles = 0;
                node_free_if_unused(disk, disk->nodes[i]);
        }
        disk->life++;
        disk->dead = true;
}

void disk_kill(Disk *disk) {
        if (disk->dead)
                return;
        end_life(disk);
        names_drop(disk);
        disk->counts.kills++;
}

void disk_cut(Disk *disk) {
        if (!disk->dead)
                end_life(disk);
        cut_names(disk);
        for (size_t i = 0; i < disk->n_nodes; i++) {
                cut_node(disk, disk->nodes[i]);
                settle_node(disk, disk->nodes[i]);
        }
        names_drop(disk);
        disk->counts.cuts++;
}

/* ---- a disk ---- */

Disk *disk_new(const char *root, uint64_t seed) {
        Disk *disk = arena_alloc(sizeof(Disk));
        DiskNode *node;
        Name *name;

        disk->root = arena_text(root);
        disk->root_size = strlen(root);
        disk->draw = (Draw){ seed };
        disk->faults = DISK_FAULTS_NONE;
        node = node_new(disk, true);
        name = name_of(disk, root, true);
        point(disk, &name->now, node);
        point(disk, &name->kept, node);
        return disk;
}

Disk *disk_free(Disk *disk) {
        if (!disk)
                return NULL;
        if (mounted.disk == disk)
                mounted.disk = NULL;
        disk->n_changes = 0;
        while (disk->n_nodes > 0)
                node_free(disk, disk->nodes[0]);
        for (size_t i = 0; i < disk->n_names; i++) {
                arena_free(disk->names[i]->path);
                arena_free(disk->names[i]);
        }
        arena_free(disk->nodes);
        arena_free(disk->names);
        arena_free(disk->root);
        return arena_free(disk);
}

void disk_mount(Disk *disk) {
        mounted.disk = disk;
        mounted.mounts++;
        disk->dead = false;
        disk_vfs_register();
}

void disk_set_faults(Disk *disk, const DiskFaults *faults) {
        disk->faults = *faults;
}

void disk_set_hook(
        Disk *disk, void (*hook)(void *userdata, DiskCall call, const char *path, bool done), void *userdata) {
        disk->hook = hook;
        disk->userdata = userdata;
}

void disk_settle(Disk *disk) {
        for (size_t i = 0; i < disk->n_changes; i++)
                change_keep(disk, &disk->changes[i]);
        changes_drop(disk, true);
        for (size_t i = 0; i < disk->n_nodes; i++)
                node_keep(disk->nodes[i]);
}

const uint8_t *disk_contents(Disk *disk, const char *path, size_t *ret_size) {
        const DiskNode *node = disk_find(disk, path);

        if (!node || node->directory)
                return NULL;
        *ret_size = node->size;
        return node->now;
}

void disk_damage(Disk *disk, const char *path, size_t at, const void *data, size_t size) {
        DiskNode *node = disk_find(disk, path);

        if (!node || at >= node->size)
                return;
        if (!data) {
                node_keep(node);
                (void) disk_truncate(disk, node, at);
                node_keep(node);
                return;
        }
        if (size > node->size - at)
                size = node->size - at;
        memcpy(node->now + at, data, size);
        memcpy(node->kept + at, data, size);
}

const DiskCounts *disk_counts(const Disk *disk) {
        return &disk->counts;
}

uint64_t disk_used(const Disk *disk) {
        return disk->used;
}

bool disk_has_forgotten(const Disk *disk) {
        for (size_t i = 0; i < disk->n_nodes; i++)
                if (disk->nodes[i]->forgotten)
                        return true;
        return false;
}
